"""The tab Explore in a real browser: sliders, plane, arithmetic, and what a visitor takes away."""

import pytest

from ganlib import passport
from ganlib.demo import explore
from tests.browser.test_page import CHROMIUM, browser, visit  # noqa: F401, fixtures

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")

STAGE = "document.querySelector('#explore .explore')?.ganlab"


class Tab:
    """The stage of a page whose tab Explore is open."""

    def __init__(self, page):
        self.page, self.root = page, page.locator("#explore .explore")

    def until(self, condition: str) -> None:
        """Wait for a condition on the stage and its parts, in JavaScript."""
        self.page.wait_for_function(f"""() => {{
            const stage = {STAGE}, {{sliders, plane, sum}} = stage || {{}};
            return stage && {condition};
        }}""")

    def pixels(self, label: str) -> str:
        return self.root.get_by_label(label).first.evaluate("canvas => canvas.toDataURL()")

    def link(self) -> str:
        self.root.get_by_role("button", name="Copy link").click()
        link = self.root.get_by_label("Link", exact=True).input_value()
        return link[link.index("/?"):]


def test_a_point_is_moved_by_sliders_on_a_plane_and_by_arithmetic(visit, address):  # noqa: F811
    page = visit.page
    visit.go(f"{address}?tab=explore&model=mlp-gan&point=40")
    tab = Tab(page)
    tab.until("sliders.names && sliders.waypoint === '40'")
    before = tab.pixels("The picture of seed 40")

    # a slider by keys: the picture follows, other seeds too
    slider = tab.root.get_by_role("slider").first
    slider.focus()
    page.keyboard.press("End")
    tab.until("sliders.amounts[0] === 3 && sliders.waypoint?.startsWith('z')")
    moved = tab.pixels("The picture of seed 40")
    assert moved != before
    assert slider.input_value() == "3"
    tab.root.get_by_text("From \u22123 to 3").click()
    tab.root.get_by_role("button", name="Slant 0.0").click()
    tab.until("sliders.amounts[0] === 0 && sliders.waypoint === '40'")
    assert tab.pixels("The picture of seed 40") == before
    page.keyboard.press("End")  # the strip's button was pressed, not the slider
    slider.focus()
    page.keyboard.press("End")
    tab.until("sliders.amounts[0] === 3 && sliders.waypoint?.startsWith('z')")

    # a saved picture says how it was made
    with page.expect_download() as download:
        tab.root.get_by_role("button", name="Save picture").click()
    found = passport.read(download.value.path())
    assert (found["model"], found["point"], found["amounts"]) == ("mlp-gan", "40", [3, 0, 0, 0, 0])

    # the plane follows the mouse and the keys without the server
    tab.root.get_by_text("Plane", exact=True).click()
    tab.until("plane.grid?.side === 17 && plane.waypoint")
    field = tab.root.get_by_role("application")
    box = field.bounding_box()
    drawn = page.evaluate(f"{STAGE}.plane.drawn")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 2, box["y"] + 2, steps=10)
    page.mouse.up()
    tab.until("plane.at.join() === '0,0' && plane.waypoint")
    assert page.evaluate(f"{STAGE}.plane.drawn") >= drawn + 5
    page.keyboard.press("ArrowRight")
    tab.until("plane.at.join() === '0.05,0' && plane.waypoint")
    there = tab.pixels("The picture at the point")

    # the link of all that, in a fresh window
    link = tab.link()
    visit.go(address + link)
    tab.until("stage.part === 'plane' && plane.waypoint && plane.grid?.side === 17")
    assert tab.pixels("The picture at the point") == there
    assert page.evaluate(f"{STAGE}.sliders.amounts") == [3, 0, 0, 0, 0]

    # arithmetic, whose result the sliders take over
    tab.root.get_by_text("Arithmetic", exact=True).click()
    tab.until("sum.waypoint")
    result = tab.pixels("A minus B plus C")
    tab.root.get_by_label("Seed of B", exact=True).fill("12")
    tab.until("sum.waypoint && sum.fields[1].value === '12'")
    assert tab.pixels("A minus B plus C") != result
    tab.root.get_by_role("button", name="Open in Sliders").click()
    tab.until("stage.part === 'sliders' && sliders.waypoint === sliders.point.value && sliders.point.value[0] === 'z'")

    # another model has points of its own; the found point comes back with the first one
    found = page.evaluate(f"{STAGE}.sliders.waypoint")
    tab.root.get_by_text("dcgan", exact=True).click()
    tab.until("stage.model === 'dcgan' && sliders.waypoint === stage.about.dcgan.first.point")
    tab.root.get_by_text("mlp-gan", exact=True).click()
    tab.until(f"stage.model === 'mlp-gan' && sliders.waypoint === '{found}'")

    # on its way to Interpolate
    tab.root.get_by_role("button", name="Open in Interpolate").click()
    page.get_by_role("tab", name="Interpolate", selected=True).wait_for()


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_link_that_is_not_valid_falls_back_with_a_word(visit, address):  # noqa: F811
    visit.go(f"{address}?tab=explore&model=mlp-gan&part=arithmetic&a=12345&psi=9")
    tab = Tab(visit.page)
    tab.until("stage.part === 'arithmetic' && sum.waypoint")
    visit.page.get_by_text("Seed must be a whole number from 0 to 9999").first.wait_for()
    assert visit.page.evaluate(f"[{STAGE}.psi, {STAGE}.sum.fields[0].value]") == [1, "62"]
    assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.slow
def test_the_first_visit_shows_the_chosen_examples(visit):  # noqa: F811
    visit.tab("Explore")
    tab = Tab(visit.page)
    first = explore.first("cdcgan")
    tab.until(f"sliders.waypoint === '{first['point']}'")
    assert not tab.root.get_by_role("button", name="Open in Sliders").is_visible()
    tab.root.get_by_text("Plane", exact=True).click()
    tab.until(f"plane.waypoint && plane.points.corners.join() === '{','.join(first['corners'])}'")
    tab.root.get_by_text("Arithmetic", exact=True).click()
    tab.until("sum.waypoint")
    assert [visit.page.evaluate(f"{STAGE}.sum.points.{name}") for name in "abc"] == [first[name] for name in "abc"]
    tab.root.get_by_text("A bold 7 minus a thin 7").wait_for()

    # a state that names a point sets the point, and nothing of the other parts
    visit.page.evaluate(f"""() => {{
        {STAGE}.open({{part: 'plane', corners: ['1', '2', '3', '4']}});
        {STAGE}.open({{point: '9:3'}});
    }}""")
    tab.until("sliders.waypoint === '9:3' && plane.points.corners.join() === '1,2,3,4'")

    # a seed out of range, and a server that does not answer
    tab.root.get_by_label("Seed of the point").fill("77777")
    tab.root.get_by_text("A seed is a whole number from 0 to 9,999.").wait_for()
    tab.root.get_by_label("Seed of the point").blur()
    visit.page.evaluate(f"""() => {{
        const {{sliders}} = {STAGE}, {{wire}} = sliders.exact, known = wire.server;
        window.mend = () => {{ wire.server = known; }};
        Object.assign(wire, {{server: {{explore_sliders: () => new Promise(() => null)}}, limit: 4_000}});
        sliders.change();
    }}""")
    tab.root.get_by_text("The pictures are loading.").wait_for()
    tab.root.get_by_text("The server does not answer.").wait_for()
    visit.page.evaluate("mend()")
    tab.root.get_by_role("button", name="Try again").click()
    tab.until("sliders.waypoint === '9:3' && stage.parts.note.textContent === ''")

    # what comes while a model of the Hub is loading is not lost
    visit.page.evaluate(f"""() => {{
        const stage = {STAGE};
        stage.wire.server = {{explore_model: () => new Promise((resolve) => {{ window.arrive = resolve; }})}};
        stage.sliders.change = stage.needNames = () => null;
        stage.open({{model: 'bob/slow', point: '5'}});
        stage.open({{model: 'bob/slow', point: '6:2'}});
    }}""")
    visit.page.wait_for_function("typeof arrive === 'function'")
    visit.page.evaluate("about => arrive(about)", explore.about("bob/slow", "abc"))
    tab.until("stage.model === 'bob/slow' && sliders.point.value === '6:2'")
