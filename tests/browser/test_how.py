"""The course in a real browser: each step opens, with its text, its formula and its figure."""

import pytest

from ganlib.demo import course
from tests.browser.test_axe import faults
from tests.browser.test_page import CHROMIUM, NARROW, WIDE, Visit, browser  # noqa: F401, a fixture

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")

STEPS = course.steps()
ROOT = "document.querySelector('#how .has_children')"
# whether the shown figure has a canvas or picture of more than one colour, or an SVG with parts
DRAWN = """() => {
    const figure = [...document.querySelectorAll("#how .how-figure")].find((place) => place.offsetParent);
    const isDrawn = (canvas) => {
        if (!canvas.width || !canvas.height || !canvas.offsetParent) return false;
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const pixels = new Uint32Array(data.buffer);
        return pixels.some((pixel) => pixel !== pixels[0]);
    };
    return Boolean(figure) && ([...figure.querySelectorAll("canvas")].some(isDrawn)
        || figure.querySelectorAll("svg :is(path, line, circle, rect)").length > 2);
}"""


def opened(browser, address: str, query: str = "tab=how", **options) -> Visit:  # noqa: F811
    """A window with the course, in which all that goes wrong is noted."""
    visit = Visit(browser.new_context(**options).new_page(), address)
    visit.go(f"{address}/?{query}")
    visit.page.locator("#how .katex-display >> visible=true").first.wait_for()
    return visit


def closed(visit: Visit) -> list[str]:
    """Close the window. Returns what went wrong in it."""
    visit.close()
    return visit.wrong


def shows(page, step: course.Step) -> None:
    """Wait until a step is shown: its number, its title, its text with a formula, its figure, and no other text."""
    page.locator(f"#how .how-steps [aria-current=step]:nth-child(1) b:text-is('{step.number}')").wait_for()
    assert page.locator("#how .how-title").inner_text() == step.title
    page.locator(f"#how-text-{step.number} .katex-display .katex-html").first.wait_for()
    assert page.locator("#how .how-text.block >> visible=true").count() == 1
    assert page.locator("#how .how-figure >> visible=true").get_attribute("data-figure") == step.figure
    page.wait_for_function(DRAWN)


def test_the_ten_steps_open_one_after_the_other(browser, address):  # noqa: F811
    visit = opened(browser, address, **WIDE)
    for step in STEPS:
        shows(visit.page, step)
        visit.page.get_by_role("button", name="Start again" if step is STEPS[-1] else "Next", exact=True).click()
    shows(visit.page, STEPS[0])
    assert visit.page.locator(".how-figure .stage-wrong").count() == 0
    assert closed(visit) == []


@pytest.mark.slow
@pytest.mark.parametrize("screen", [WIDE, NARROW], ids=["desktop", "phone"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.slug)
def test_a_step_opens_by_its_link_and_fits_the_screen(browser, address, step, screen):  # noqa: F811
    visit = opened(browser, address, f"tab=how&step={step.number}", **screen)
    page = visit.page
    shows(page, step)
    page.locator("#how").get_by_role("button", name="Copy link", exact=True).click()
    assert page.locator("#how").get_by_role("textbox", name="Link", exact=True).input_value() == (
        f"{address}/?tab=how&step={step.number}")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator(".how-figure .stage-wrong >> visible=true").all_inner_texts() == []
    assert closed(visit) == []


@pytest.mark.slow
@pytest.mark.parametrize("step", ["0", "11", "x"])
def test_a_link_to_no_step_says_so_and_opens_the_first(browser, address, step):  # noqa: F811
    visit = Visit(browser.new_context(**WIDE).new_page(), address)
    visit.go(f"{address}/?tab=how&step={step}")
    visit.page.get_by_text("Step must be a whole number from 1 to 10").wait_for()  # it is seen for ten seconds
    shows(visit.page, STEPS[0])
    assert closed(visit) == []


@pytest.mark.slow
def test_a_change_of_step_needs_no_server(browser, address):  # noqa: F811
    visit = opened(browser, address, **WIDE)
    page = visit.page
    page.route("**/*", lambda route: None)  # nothing is answered any more
    for step in STEPS[1:]:
        page.locator("#how .how-steps a").nth(step.number - 1).click()
        shows(page, step)
    page.context.close()


@pytest.mark.slow
def test_the_course_works_by_keys(browser, address):  # noqa: F811
    visit = opened(browser, address, **WIDE)
    page = visit.page
    page.locator("#how .how-steps a").first.focus()
    for key, number in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", 10), ("ArrowRight", 10),
                        ("Home", 1), ("ArrowLeft", 1)):
        page.keyboard.press(key)
        shows(page, STEPS[number - 1])
        assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith(f"Step {number}:")
    page.keyboard.press("Tab")
    assert page.evaluate("Boolean(document.activeElement.closest('.how-figure'))")
    page.get_by_role("button", name="Next", exact=True).press("Enter")
    shows(page, STEPS[1])
    assert page.evaluate("document.activeElement.className") == "how-title"
    box = page.locator("#how .how-title").bounding_box()
    assert 0 <= box["y"] <= WIDE["viewport"]["height"] - box["height"]
    page.get_by_role("button", name="Previous", exact=True).press("Enter")
    shows(page, STEPS[0])
    assert closed(visit) == []


@pytest.mark.slow
def test_on_a_phone_the_figure_comes_before_the_text(browser, address):  # noqa: F811
    visit = opened(browser, address, **NARROW)
    tops = [visit.page.locator(f"#how {part} >> visible=true").first.bounding_box()["y"]
            for part in (".how-steps", ".how-title", ".how-figure", ".how-text.block", "[data-part=next]")]
    assert tops == sorted(tops)
    boxes = [link.bounding_box() for link in visit.page.locator("#how .how-steps a").all()]
    assert min(min(box["width"], box["height"]) for box in boxes) >= 32
    assert closed(visit) == []


@pytest.mark.slow
def test_a_figure_that_fails_leaves_the_rest_of_the_course(browser, address):  # noqa: F811
    visit = opened(browser, address, **WIDE)
    page = visit.page
    # within a function: the page would be asked to call what the assignment gives
    page.evaluate(f"() => {{ {ROOT}.ganlab.FIGURES.noise = () => {{ throw new Error('broken for the test'); }}; }}")
    page.locator("#how .how-steps a").nth(1).click()
    page.get_by_text("This figure does not work in your browser.").wait_for()
    page.locator("#how-text-2 .katex-display").first.wait_for()
    page.locator("#how .how-steps a").nth(5).click()
    shows(page, STEPS[5])
    assert [message for message in closed(visit) if "broken for the test" not in message] == []


@pytest.mark.slow
@pytest.mark.parametrize("screen", [WIDE, NARROW], ids=["desktop", "phone"])
def test_a_formula_takes_part_in_the_tab_order_if_it_scrolls(browser, address, screen):  # noqa: F811
    visit = opened(browser, address, **screen)
    page = visit.page
    for step in STEPS:
        page.locator("#how .how-steps a").nth(step.number - 1).click()
        shows(page, step)
        page.wait_for_function("document.fonts.status === 'loaded'")
        found = page.locator(f"#how-text-{step.number} .katex-display").evaluate_all(
            "boxes => boxes.map((box) => [box.scrollWidth > box.clientWidth, box.tabIndex === 0])")
        assert [scrolls for scrolls, _ in found] == [focusable for _, focusable in found], step.slug
    assert closed(visit) == []


@pytest.mark.slow
@pytest.mark.parametrize("change", [
    "box.querySelector('.katex-html').append('a long formula that is wide '.repeat(8))", "box.style.width = '60px'"],
    ids=["in other fonts", "in a narrower box"])
def test_a_formula_that_becomes_too_wide_is_made_smaller(browser, address, change):  # noqa: F811
    visit = opened(browser, address, **WIDE)
    page = visit.page
    box = page.locator("#how-text-1 .katex-display").first
    box.evaluate(f"box => {{ {change}; document.fonts.dispatchEvent(new Event('loadingdone')); }}")
    size = "box => [Number(box.style.getPropertyValue('--how-fit')), box.tabIndex]"
    assert box.evaluate(size) == [0.72, 0]
    assert closed(visit) == []


@pytest.mark.slow
def test_a_course_that_was_removed_listens_no_more(browser, address):  # noqa: F811
    visit = opened(browser, address, **WIDE)
    removed = visit.page.evaluate(f"""() => {{
        const removed = [];
        for (const place of [window, document, document.fonts]) {{
            const own = place.removeEventListener;
            place.removeEventListener = (name, ...given) => {{ removed.push(name); own.call(place, name, ...given); }};
        }}
        {ROOT}.remove();
        window.dispatchEvent(new Event("resize"));
        document.dispatchEvent(new Event("visibilitychange"));
        document.fonts.dispatchEvent(new Event("loadingdone"));
        return removed;
    }}""")
    assert {"resize", "visibilitychange", "loadingdone"} <= set(removed)
    visit.page.context.close()


@pytest.mark.slow
def test_the_figure_stops_while_another_tab_is_open(browser, address):  # noqa: F811
    visit = opened(browser, address, **WIDE)
    page = visit.page
    page.evaluate(f"""() => {{
        window.told = [];
        const figure = {ROOT}.ganlab.course.figures.classifiers;
        for (const name of ["show", "hide"]) {{
            const own = figure[name].bind(figure);
            figure[name] = () => {{ told.push(name); own(); }};
        }}
    }}""")
    visit.tab("Generate")
    page.wait_for_function("told.join() === 'hide'")
    visit.tab("How it works")
    page.wait_for_function("told.join() === 'hide,show'")
    assert closed(visit) == []


@pytest.mark.slow
def test_a_step_goes_on_in_its_tab(browser, address):  # noqa: F811
    visit = opened(browser, address, "tab=how&step=3", **WIDE)
    visit.page.get_by_role("button", name="Go on in Game").click()
    visit.page.locator("#game [data-part=canvas]").wait_for()
    assert closed(visit) == []


@pytest.mark.slow
def test_all_texts_are_printed_and_no_control(browser, address):  # noqa: F811
    visit = opened(browser, address, **WIDE)
    page = visit.page
    page.emulate_media(media="print")
    assert page.locator("#how .how-text h2 >> visible=true").all_inner_texts() == [
        f"{step.number}. {step.title}" for step in STEPS]
    assert page.locator("button >> visible=true").count() == 0
    assert page.locator("[role=tab] >> visible=true").count() == 0
    assert closed(visit) == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [WIDE, NARROW], ids=["desktop", "phone"])
def test_no_step_has_a_serious_fault(browser, address, screen, scheme):  # noqa: F811
    visit = opened(browser, address, **{**screen, "color_scheme": scheme})
    found = {}
    for step in STEPS:
        visit.page.locator("#how .how-steps a").nth(step.number - 1).click()
        shows(visit.page, step)
        found[step.slug] = faults(visit.page)
    assert found == {step.slug: [] for step in STEPS}
    visit.page.context.close()
