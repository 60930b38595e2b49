"""The tab Draw in a real browser: a pen, the networks' answers, a photo, a search, and what is taken away."""

import base64
import io

import pytest

from ganlib import passport
from tests.browser.test_page import CHROMIUM, Visit, browser, visit  # noqa: F401, fixtures
from tests.test_drawing import THREE, scene

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")

DRAW = "document.querySelector('#draw .draw')"
DROP = """(field, data) => {
    const transfer = new DataTransfer(), bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    transfer.items.add(new File([bytes], "three.jpg", {type: "image/jpeg"}));
    window.dropped = 0;
    window.addEventListener("drop", () => { window.dropped += 1; });
    field.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: transfer}));
}"""
PIXELS = "canvas => canvas.toDataURL()"


class Field:
    """The stage of a page whose tab Draw is open."""

    def __init__(self, page):
        self.page, self.root = page, page.locator("#draw .draw")
        self.root.wait_for()

    def press(self, name: str) -> None:
        self.root.get_by_role("button", name=name, exact=True).click()

    def draw(self, points: list[tuple[float, float]]) -> None:
        """Draw a line through points of the field, from 0 to 1."""
        box = self.root.locator("[data-part=canvas]").bounding_box()
        for i, (x, y) in enumerate(points):
            self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=2)
            if i == 0:
                self.page.mouse.down()
        self.page.mouse.up()

    def part(self, name: str) -> str:
        """The words of a part."""
        return self.root.locator(f"[data-part={name}]").inner_text()

    def pixels(self, name: str) -> str:
        return self.root.locator(f"[data-part={name}]").evaluate(PIXELS)

    def until(self, part: str, words: str) -> None:
        """Wait until a part has these words, and all that was asked is answered."""
        self.page.wait_for_function(f"""([part, words]) => {{
            const root = {DRAW}, {{asking, finder}} = root.ganlab;
            return !asking && root.querySelector(`[data-part=${{part}}]`).textContent.includes(words);
        }}""", arg=[part, words])


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}}], indirect=True, ids=["phone"])
def test_a_digit_is_drawn_read_found_and_taken_away(visit):  # noqa: F811
    visit.tab("Draw")
    page, field = visit.page, Field(visit.page)
    assert field.root.get_by_role("button", name="Find it").is_disabled()
    field.draw([(x / 540, y / 600) for x, y in THREE])
    field.until("line", "A 3, ")
    assert page.locator("#draw [data-part=line]").bounding_box()["y"] < 844  # in sight, beside the field
    drawn = field.pixels("seen")

    # undo is exact, and so is what follows
    field.draw([(0.2, 0.9), (0.8, 0.9)])
    field.until("line", "%")
    assert field.pixels("seen") != drawn
    page.keyboard.press("Control+z")
    field.until("line", "A 3, ")
    assert field.pixels("seen") == drawn
    field.press("Clear")
    field.until("line", "Draw, and the networks answer.")
    assert field.root.get_by_role("button", name="Example").count() == 10
    field.root.locator("[data-part=canvas]").focus()
    page.keyboard.press("8")
    field.until("line", "An 8, ")

    # without the server, nothing false is said, and what is drawn is not lost
    page.evaluate(f"{DRAW}.ganlab.wire.server = {{draw_read: () => Promise.reject()}}")
    page.keyboard.press("5")
    page.keyboard.press("Backspace")
    field.until("line", "Not read yet")
    assert (field.part("read"), field.part("sees")) == ("An 8", "What the networks saw last")
    for button in ("Save picture", "Find it"):
        field.press(button)
        field.until("note", "The server does not answer.")
    page.evaluate(f"{{ const {{wire, finder}} = {DRAW}.ganlab; wire.server = finder.wire.server; }}")
    field.press("Try again")
    field.until("line", "An 8, ")
    assert field.part("note") == ""

    # a drawing ends somewhere, with a word, and so does what undo keeps
    page.evaluate(f"""() => {{
        const {{ink, field}} = {DRAW}.ganlab;
        for (let i = 0; i < 300; i++) ink.example("8");
        ink.begin(5, 5, 1);
        for (let i = 0; i < 7_000; i++) ink.extend(5 + i % 2, 5, 1);
        field.update();
    }}""")
    field.until("note", "as many points as it may have")
    field.press("Undo")
    field.until("line", "An 8, ")
    assert page.evaluate(f"{DRAW}.ganlab.ink.before.length") == 199

    # a photo; the page itself must not see the drop
    file = io.BytesIO()
    scene().save(file, "JPEG")
    field.root.locator("[data-part=field]").evaluate(DROP, base64.b64encode(file.getvalue()).decode())
    field.until("steps", "Scaled and centred")
    field.until("line", "A 3, ")
    assert page.evaluate("window.dropped") == 0
    assert field.root.locator("[data-part=steps] img").count() == 4

    # the class of a model without classes is not asked for
    field.root.get_by_text("mlp-gan", exact=True).click()
    field.until("realWords", "mlp-gan")
    assert not field.root.locator("[data-part=class]").is_visible()
    page.evaluate(f"""() => {{
        const {{wire}} = {DRAW}.ganlab.finder, known = wire.server;
        window.stops = 0;
        wire.server = {{draw_find: () => new Promise((resolve) => {{ window.answer = resolve; }}),
                        draw_stop: async () => {{ wire.server = known; stops += 1; return {{}}; }}}};
    }}""")
    field.press("Find it")
    page.wait_for_function("Boolean(window.answer)")
    field.press("Stop")
    assert "Stopped." in field.part("result")
    page.evaluate("answer({})")
    page.wait_for_function("stops === 1")  # the server knows
    field.press("Find it")
    field.until("result", "The classifier reads a 3")
    assert "dB" in field.part("result")

    # a link and a file bring all back
    field.press("Copy link")
    link = field.root.get_by_label("Link", exact=True).input_value()
    with page.expect_download() as download:
        field.press("Save picture")
    saved = passport.read(download.value.path())
    shown = [field.part("line"), field.part("result"), *map(field.pixels, ("seen", "found", "difference"))]
    other = page.context.new_page()
    other.goto(link)
    again = Field(other)
    again.until("result", "dB")
    assert shown == [again.part("line"), again.part("result"), *map(again.pixels, ("seen", "found", "difference"))]
    assert (saved["model"], saved["tab"]) == ("mlp-gan", "draw")
    assert f"drawing={saved['drawing']}&latent={saved['latent']}" in link
    other.close()

    # my 3 becomes a waypoint
    field.press("Add to Interpolate")
    page.wait_for_function("""latent => document.querySelector("#interpolate .interpolate")?.dataset.shown
        ?.includes(latent)""", arg=saved["latent"])
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.slow
def test_the_networks_answer_five_times_a_second_while_the_pen_moves(visit):  # noqa: F811
    visit.tab("Draw")
    field = Field(visit.page)
    field.press("Example 3")
    field.until("line", "A 3, ")
    answers, seconds = visit.page.evaluate(f"""async () => {{
        const draw = {DRAW}.ganlab, first = draw.answers, start = performance.now();
        while (performance.now() - start < 3000) {{
            draw.ink.extend(14 + 8 * Math.sin(performance.now() / 200), 14 + 8 * Math.cos(performance.now() / 300), 1);
            draw.field.update();
            await new Promise((resolve) => setTimeout(resolve, 16));
        }}
        return [draw.answers - first, (performance.now() - start) / 1000];
    }}""")
    assert answers / seconds >= 5


@pytest.mark.slow
def test_a_vae_shows_its_reconstruction_at_once_and_a_search_goes_on_from_there(browser, address):  # noqa: F811
    opened = Visit(browser.new_page(), address)
    opened.go(f"{address}/?tab=draw&model=vae")
    field = Field(opened.page)
    field.press("Example 3")
    field.until("line", "A 3, ")
    assert field.part("caption") == "Its reconstruction, in one pass"
    assert field.part("result").startswith("The encoder of vae reads your drawing in one pass")
    assert field.part("realWords") == "vae has no discriminator: nothing here says how real it looks."
    assert not field.root.locator("[data-part=needle]").is_visible()
    assert not field.root.get_by_role("button", name="Search from").is_visible()
    first, latent = field.pixels("found"), opened.page.evaluate(f"{DRAW}.ganlab.finder.shown")
    assert opened.page.evaluate(f"{DRAW}.ganlab.values().then(({{latent}}) => latent)") is None  # nothing was searched
    field.press("Find it")
    field.until("result", " One pass of the encoder: PSNR ")
    assert field.part("caption") == "The generator’s closest"
    assert field.pixels("found") != first
    assert opened.page.evaluate(f"{DRAW}.ganlab.finder.shown") != latent
    found, passed = opened.page.evaluate(f"[{DRAW}.ganlab.finder.answer.psnr, {DRAW}.ganlab.finder.pass.psnr]")
    assert found > passed
    field.press("Undo")
    field.until("result", "Find it searches the random numbers from which vae makes")  # nothing is drawn
    assert field.part("caption") == "The generator’s closest"
    field.press("Example 8")
    field.until("caption", "Its reconstruction, in one pass")
    field.root.get_by_text("dcgan", exact=True).click()
    field.until("result", "Find it searches the random numbers from which dcgan makes")
    field.until("realWords", "says the discriminator of dcgan")
    opened.close()
    assert opened.wrong == []
