"""The live lab in a real browser: what a visitor sees, draws, hears and takes away."""

import base64
import io
import os
import shutil
from contextlib import nullcontext
from itertools import chain
from typing import Any

import pytest
from PIL import Image

from ganlib.lab import unpack
from tests.browser.test_page import CHROMIUM, Visit, browser  # noqa: F401, a fixture
from tests.conftest import serve_page
from tests.proxy import below

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")

DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}}

LAB = "document.querySelector('#lab .lab').ganlab.stage"
STATE = f"""() => {{
    const {{film, shown, position, playing, next}} = {LAB};
    return {{settings: film.settings, actions: shown.header.actions, step: shown.header.step, position, playing,
             frames: film.frames.length, recorded: film.recorded, waiting: next !== null,
             verdict: document.querySelector('#lab .lab-verdict').textContent}};
}}"""
COUNT_REQUESTS = f"""() => {{
    const {{wire}} = {LAB}, send = wire.send.bind(wire);
    wire.sent = [];
    wire.send = (name, data) => {{ wire.sent.push(name); return send(name, data); }};
}}"""


class Lab(Visit):
    """A visit to the lab's tab, whose first film is loaded. Close its context, and look at `wrong`, at the end."""

    def __init__(self, page, address: str, query: str = ""):
        super().__init__(page, address)
        if query:
            page.goto(address + query)  # the page selects the tab by itself
            self.wrong.clear()  # of the page that was left
        else:
            self.tab("Toy lab")
        self.until("stage.film && !stage.next")
        self.root = page.locator("#lab .lab")

    def until(self, condition: str) -> None:
        """Wait for a condition on the stage, in JavaScript."""
        self.page.wait_for_function(f"""() => {{
            const stage = document.querySelector('#lab .lab')?.ganlab?.stage;
            return stage && {condition};
        }}""")

    def state(self) -> dict[str, Any]:
        return self.page.evaluate(STATE)

    def pixels(self) -> str:
        return self.page.evaluate(f"{LAB}.parts.canvas.toDataURL()")

    def press(self, name: str) -> None:
        self.root.get_by_role("button", name=name, exact=True).click()

    def choose(self, target: str) -> None:
        self.root.get_by_label("Target: what is real").select_option(target)

    def train(self, target: str, step: int) -> None:
        """Train a target live to this step, and pause."""
        self.choose(target)
        self.until(f"stage.film.settings.target === '{target}' && !stage.film.recorded")
        if not self.state()["playing"]:
            self.press("Play")
        self.until(f"stage.film.last.header.step >= {step}")
        self.press("Pause")
        self.until("!stage.film.asking && !stage.tween.from")

    def scrub(self, position: int) -> None:
        self.page.evaluate("""position => {
            const slider = document.querySelector("#lab [data-part=time]");
            slider.value = position;
            slider.dispatchEvent(new Event("input", {bubbles: true}));
        }""", position)

    def saved(self, button: str) -> tuple[str, bytes]:
        """The name and the bytes of the file that a button makes."""
        with self.page.expect_download() as download:
            self.press(button)
        with open(download.value.path(), "rb") as file:
            return download.value.suggested_filename, file.read()


@pytest.fixture
def open_lab(browser, address):  # noqa: F811
    """A function that opens the lab in a fresh window: of a query, and options of the browser."""
    contexts, labs = [], []

    def visit(query: str = "", **options: Any) -> Lab:
        contexts.append(browser.new_context(**{**DESKTOP, **options}))
        labs.append(Lab(contexts[-1].new_page(), address, query))
        return labs[-1]

    yield visit
    for context in contexts:
        context.close()
    assert [lab.wrong for lab in labs] == [[] for _ in labs]


@pytest.fixture(scope="module")
def windows(browser):  # noqa: F811
    """Windows for the tests that need no fresh one: their cache makes them quicker."""
    found = {"desktop": browser.new_context(**DESKTOP), "phone": browser.new_context(**PHONE, has_touch=True)}
    yield found
    for context in found.values():
        context.close()


@pytest.fixture
def lab(windows, address, request):
    """The lab in a tab of a window."""
    page = windows[getattr(request, "param", "desktop")].new_page()
    found = Lab(page, address)
    yield found
    page.close()
    assert found.wrong == []


ON_BOTH = pytest.mark.parametrize("lab", ["desktop", "phone"], indirect=True)


@pytest.mark.parametrize("options", [DESKTOP, PHONE | {"color_scheme": "dark"}], ids=["desktop", "phone"])
def test_a_film_plays_before_any_click(open_lab, options):
    lab = open_lab(**options)
    first, pixels = lab.state(), lab.pixels()
    assert first["recorded"]
    lab.until(f"stage.position > {first['position'] + 2}")
    assert lab.pixels() != pixels
    lab.root.get_by_text("Recorded film. Press Train to train it live.").wait_for()
    assert lab.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_nothing_moves_by_itself_where_motion_is_reduced(open_lab):
    lab = open_lab(reduced_motion="reduce")
    state = lab.state()
    assert not state["playing"]
    assert state["position"] == state["frames"] - 1
    lab.press("Play")
    lab.until("stage.position > 1 && stage.position < stage.film.frames.length - 1 && stage.tween.from === null")


@ON_BOTH
def test_a_story_plays_to_its_end(lab):
    name = lab.page.evaluate(f"""{LAB}.page.stories.filter(({{settings}}) => settings.target !== 'digits')
        .toSorted((one, other) => one.steps - other.steps)[0].name""")
    story = lab.page.evaluate(f"name => {LAB}.page.stories.find(story => story.name === name)", name)
    lab.root.get_by_role("button", name=story["title"]).last.click()
    for sentence in story["watch"]:
        lab.root.get_by_text(sentence).wait_for()
    lab.until("stage.film.frames.length > 3 && !stage.film.recorded")
    lab.press("Pause")
    lab.until("!stage.film.asking")
    paused = lab.state()
    assert 0 < paused["step"] < story["steps"]
    assert paused["settings"] == story["settings"]
    lab.press("Play")
    lab.until(f"stage.film.last.header.step === {story['steps']} && !stage.playing")
    state = lab.state()
    assert state["verdict"].startswith(f"Step {story['steps']:,}:")
    assert lab.root.locator("[aria-live=polite]").first.text_content() == state["verdict"]


@ON_BOTH
def test_rewinding_shows_the_earlier_frame_again_without_a_request(lab):
    lab.train("normal", 10)
    last, pixels = lab.state(), lab.pixels()
    lab.page.evaluate(COUNT_REQUESTS)
    lab.scrub(1)
    early, early_pixels = lab.state(), lab.pixels()
    assert early["position"] == 1
    assert early["step"] < last["step"]
    assert early_pixels != pixels
    lab.scrub(last["position"])
    assert lab.pixels() == pixels
    lab.scrub(1)
    assert lab.pixels() == early_pixels
    assert lab.page.evaluate(f"{LAB}.wire.sent") == []
    lab.press("Play")  # through the kept frames, then on
    lab.until(f"stage.film.last.header.step > {last['step']}")
    assert lab.page.evaluate(f"{LAB}.wire.sent.length") > 0


def test_steps_of_one_network_are_added_at_the_end(lab):
    lab.train("normal", 5)
    actions = lab.state()["actions"]
    for button in ("D step", "D step", "G step", "Step"):
        lab.press(button)
    lab.until("!stage.film.asking && !stage.todo.length")
    assert lab.state()["actions"] == [*actions, ["discriminator", 2], ["generator", 1], ["both", 1]]


def test_the_browser_reads_the_bytes_as_python_does(lab):
    lab.train("normal", 5)
    films = lab.page.evaluate(f"""async () => {{
        const stage = {LAB}, {{unpack}} = stage.root.ganlab, found = [];
        for (const {{name}} of stage.page.films) found.push(await stage.wire.film(name));
        const text = (buffer) => btoa(Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join(""));
        return [stage.film, ...found].map(({{frames}}) => [frames[0], frames.at(-1)].map(({{buffer}}) => {{
            const {{header, arrays, shapes}} = unpack(buffer);
            const lists = Object.entries(arrays).map(([name, array]) => [name, Array.from(array)]);
            return {{bytes: text(buffer), header, shapes, arrays: Object.fromEntries(lists)}};
        }}));
    }}""")
    assert len(films) > 1
    for frame in chain.from_iterable(films):
        header, arrays = unpack(base64.b64decode(frame["bytes"]))
        assert frame["header"] == header
        assert frame["shapes"] == {name: list(array.shape) for name, array in arrays.items()}
        assert frame["arrays"] == {name: array.flatten().tolist() for name, array in arrays.items()}
    sentences = lab.page.evaluate(f"""() => {{
        const {{film, root}} = {LAB}, {{buffer}} = film.last, longer = new ArrayBuffer(buffer.byteLength + 4);
        new Uint8Array(longer).set(new Uint8Array(buffer));
        return [buffer.slice(0, 2), buffer.slice(0, 40), buffer.slice(0, -4), longer].map((bytes) => {{
            try {{ root.ganlab.unpack(bytes); }} catch (error) {{ return error.message; }}
        }});
    }}""")
    assert sentences[:2] == ["The frame is empty.", "The frame's header is cut off."]
    assert "is cut off" in sentences[2]
    assert sentences[3] == "The frame is longer than its header says."


@ON_BOTH
def test_a_visitor_draws_a_target_and_trains_on_it(lab):
    lab.choose("drawn-cloud")
    done = lab.root.get_by_role("button", name="Done")
    assert done.is_disabled()
    field, mouse = lab.root.locator(".lab-field-canvas").bounding_box(), lab.page.mouse
    x, y = field["x"] + field["width"] / 4, field["y"] + field["height"] / 2
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + field["width"] / 2, y, steps=10)
    mouse.up()
    done.click()
    lab.until("stage.film.settings.target === 'drawn-cloud' && stage.film.last.header.step > 0")
    drawn = lab.state()["settings"]["drawn"]
    assert 10 < len(drawn) <= 400
    assert max(abs(second) for _, second in drawn) < 0.3  # a horizontal line
    assert max(first for first, _ in drawn) - min(first for first, _ in drawn) > 0.8


def test_a_link_restores_the_state_in_a_fresh_window(lab, open_lab):
    lab.train("normal", 5)
    lab.root.locator("[data-control=loss] select").select_option("Hinge")
    lab.root.get_by_label("Seed, as a number").fill("3")
    lab.root.get_by_label("Seed, as a number").press("Enter")
    lab.until("!stage.next && stage.film.settings.seed === 3 && stage.film.settings.loss === 'hinge'")
    for button in ("Step", "D step", "Step"):
        lab.press(button)
    lab.until("!stage.film.asking && !stage.todo.length && !stage.tween.from && stage.film.last.header.step === 2")
    lab.press("Copy link")
    link = lab.root.get_by_label("Link", exact=True).input_value()
    assert link.endswith("?target=normal&loss=hinge&seed=3&do=b1-d1-b1")
    fresh = open_lab(link[link.index("/?"):])
    fresh.until("!stage.playing && stage.film.last.header.step === 2 && !stage.tween.from")
    state, restored = lab.state(), fresh.state()
    assert {**restored, "frames": 0, "position": 0} == {**state, "frames": 0, "position": 0}
    assert fresh.pixels() == lab.pixels()


def test_a_link_hides_controls_and_tells_what_is_wrong(open_lab):
    lab = open_lab("/?target=ring&loss=nonsense&hide=loss,stories,draw,layers")
    assert lab.state()["settings"]["target"] == "ring"
    assert lab.state()["settings"]["loss"] == lab.page.evaluate(f"{LAB}.page.defaults.ring.loss")
    lab.root.get_by_text("The link has no valid loss. The default is used.").wait_for()
    assert lab.root.locator("[data-control=penalty] select").is_visible()
    for hidden in ("[data-control=loss]", "[data-part=stories]", "[data-part=layers]"):
        assert not lab.root.locator(hidden).is_visible()
    assert lab.root.locator("#lab-target option[value^=drawn]").count() == 0
    reached = lab.page.evaluate("""() => [...document.querySelectorAll('#lab :is(button, input, select)')]
        .filter((one) => one.checkVisibility()).map((one) => one.closest('[data-control]')?.dataset.control)""")
    assert "penalty" in reached
    assert "loss" not in reached


def test_the_lab_works_by_keyboard_alone(lab):
    keyboard = lab.page.keyboard
    lab.root.locator("[data-part=canvas]").focus()
    assert lab.state()["playing"]
    keyboard.press("Space")
    assert not lab.state()["playing"]
    keyboard.press("Home")
    assert lab.state()["position"] == 0
    for _ in range(3):
        keyboard.press("ArrowRight")
    keyboard.press("ArrowLeft")
    assert lab.state()["position"] == 2
    keyboard.press("End")
    assert lab.state()["position"] == lab.state()["frames"] - 1
    lab.root.locator("#lab-target").focus()
    keyboard.type("Draw a curve")
    lab.root.get_by_role("button", name="Two steps").focus()
    keyboard.press("Enter")
    lab.root.get_by_role("button", name="Done").focus()
    keyboard.press("Space")
    lab.until("stage.film.settings.target === 'drawn-line' && stage.film.last.header.step > 0")
    lab.root.locator("[data-part=canvas]").focus()
    keyboard.press("Space")
    assert not lab.state()["playing"]


def test_a_server_that_does_not_answer_costs_nothing(lab):
    lab.train("normal", 5)
    frames = lab.state()["frames"]
    lab.page.evaluate(f"""() => {{
        const {{wire}} = {LAB}, {{server}} = wire;
        wire.server = {{lab_frame: () => Promise.reject(new Error("no network"))}};
        wire.mend = () => {{ wire.server = server; }};
    }}""")
    lab.press("Play")
    lab.root.get_by_text("The server does not answer. Check your connection, then press Play to go on.").wait_for()
    assert not lab.state()["playing"]
    assert lab.state()["frames"] == frames
    lab.page.evaluate(f"{LAB}.wire.mend()")
    lab.press("Play")
    lab.until(f"stage.film.frames.length > {frames}")


def test_a_hidden_lab_asks_for_nothing(lab):
    lab.train("normal", 5)
    lab.page.evaluate(COUNT_REQUESTS)
    lab.press("Play")
    lab.until("stage.wire.sent.length > 1")
    lab.tab("Generate")
    lab.until("!stage.isVisible()")
    sent = lab.page.evaluate(f"{LAB}.wire.sent.length")
    lab.page.wait_for_timeout(300)
    assert lab.page.evaluate(f"{LAB}.wire.sent.length") == sent
    lab.tab("Toy lab")
    lab.until(f"stage.wire.sent.length > {sent}")


def test_the_film_is_bounded(lab):
    kept = lab.page.evaluate(f"""() => {{
        const {{film}} = {LAB}, buffer = film.last.buffer, first = film.frames[0];
        let most = 0;
        for (let i = 0; i < 1500; i++) {{
            film.add(buffer);
            most = Math.max(most, film.frames.length);
        }}
        const bytes = film.frames.reduce((sum, moment) => sum + moment.buffer.byteLength, 0);
        return {{most, bytes, counted: film.bytes, same: film.frames[0] === first}};
    }}""")
    assert kept["most"] <= 600
    assert kept["bytes"] == kept["counted"] <= 12e6
    assert kept["same"]


@ON_BOTH
def test_a_picture_and_the_film_can_be_saved(lab):
    lab.train("ring", 10)
    name, png = lab.saved("Save picture")
    assert name.startswith("gan-lab-ring")
    assert Image.open(io.BytesIO(png)).format == "PNG"
    name, gif = lab.saved("Save film")
    assert name == "gan-lab-ring.gif"
    picture = Image.open(io.BytesIO(gif))
    assert (picture.format, picture.width) == ("GIF", 480)
    assert picture.n_frames > 1


# gradio cannot render on the server below a path: its check that node runs asks for the root
@pytest.mark.slow
@pytest.mark.parametrize(("path", "by_server"), [("", False), ("", True), ("/spaces/gan", False)],
                         ids=["plain", "rendered by the server", "below a path"])
def test_a_linked_lab_trains_wherever_the_page_is(browser, tmp_path, path, by_server):  # noqa: F811
    environment = {**os.environ, "GRADIO_SSR_MODE": str(by_server)} | ({"GRADIO_ROOT_PATH": path} if path else {})
    if by_server and not shutil.which("node"):
        pytest.skip("gradio renders on the server with node, which is not here")
    with serve_page(tmp_path, environment) as address, below(path, address) if path else nullcontext(address) as found:
        context = browser.new_context(**DESKTOP)
        lab = Lab(context.new_page(), found, "/?target=moons&seed=4&step=40")
        lab.until("stage.film.last.header.step === 40 && !stage.playing")
        lab.press("Play")
        lab.until("stage.film.last.header.step > 60")
        lab.press("Pause")
        assert lab.state()["settings"]["seed"] == 4
        assert lab.page.evaluate(f"{LAB}.link([])").startswith(f"{found}/?target=moons")
        context.close()
    assert lab.wrong == []
