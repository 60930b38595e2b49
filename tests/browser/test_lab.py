"""The live lab in a real browser: what a visitor sees, draws, hears and takes away."""

import base64
import io
import os
import re
import shutil
from contextlib import nullcontext
from itertools import chain, pairwise
from typing import Any
from urllib.parse import parse_qsl

import pytest
from PIL import Image

from ganlib import __version__, passport
from ganlib.demo.stages import FOLDER
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
# packs of so many bytes and one step more each, as a long training sends them
ADD_FRAMES = f"""([count, size]) => {{
    const {{film}} = {LAB}, first = film.frames[0];
    let most = 0;
    for (let i = 1; i <= count; i++) {{
        const header = {{step: i, actions: [["both", i]], arrays: [["sheet", "uint8", [size]]]}};
        const text = JSON.stringify(header), bytes = new Uint8Array(4 + Math.ceil(text.length / 4) * 4 + size).fill(32);
        new DataView(bytes.buffer).setUint32(0, bytes.length - 4 - size, true);
        bytes.set(new TextEncoder().encode(text), 4);
        film.add(bytes.buffer);
        most = Math.max(most, film.frames.length);
    }}
    const bytes = film.frames.reduce((sum, moment) => sum + moment.buffer.byteLength, 0);
    return {{most, bytes, counted: film.bytes, same: film.frames[0] === first,
             steps: film.frames.map(({{header}}) => header.step)}};
}}"""
DOWNLOAD = "The digits need a download of 11 MB."
COUNT_REQUESTS = f"""() => {{
    const {{wire}} = {LAB}, send = wire.send.bind(wire);
    wire.sent = [];
    wire.send = (name, data) => {{ wire.sent.push(name); return send(name, data); }};
}}"""


class Lab(Visit):
    """A visit to the lab's tab, whose first film is loaded. Close it, and look at `wrong`, at the end."""

    def __init__(self, page, address: str, query: str = ""):
        super().__init__(page, address)
        if query:
            self.go(address + query)  # the page selects the tab by itself
        else:
            self.tab("Lab")
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

    def until_paused(self) -> None:
        """Wait until all that was asked for is shown."""
        self.until("!stage.playing && !stage.next && !stage.film.asking && !stage.todo.length && !stage.tween.from")

    def copied(self) -> str:
        """The link to this moment, from its path on."""
        self.press("Copy link")
        link = self.root.get_by_label("Link", exact=True).input_value()
        return link[link.index("/?"):]

    def open_film(self, name: str) -> dict[str, Any]:
        """Choose a recorded film, and wait for it; its row of the page's table."""
        row = self.page.evaluate(f"name => {LAB}.page.films.find(film => film.name === name)", name)
        self.root.locator(f"[data-story='film:{name}']").click()
        self.until(f"stage.film.about.film === '{name}' && !stage.next")
        return row

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
    labs = []

    def visit(query: str = "", **options: Any) -> Lab:
        labs.append(Lab(browser.new_context(**{**DESKTOP, **options}).new_page(), address, query))
        return labs[-1]

    yield visit
    for lab in labs:
        lab.close()
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
    found.leave()
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


@pytest.mark.slow
def test_a_link_trains_unseen_where_motion_is_reduced(open_lab):
    lab = open_lab("/?target=ring&step=40", reduced_motion="reduce")
    assert lab.page.evaluate(f"{LAB}.drawn") == 1  # the last frame alone
    state = lab.state()
    assert (state["step"], state["playing"]) == (40, False)
    assert state["frames"] > 2
    assert not lab.root.locator("[data-part=catching]").is_visible()
    lab.press("Play")
    lab.until("stage.film.last.header.step > 40")


@pytest.mark.slow
def test_a_story_trains_unseen_where_motion_is_reduced(open_lab):
    lab = open_lab(reduced_motion="reduce")
    lab.page.evaluate(f"""() => {{
        const stage = {LAB}, story = stage.page.stories.find(({{settings}}) => settings.target !== 'digits');
        stage.tell({{...story, steps: 30}});
    }}""")
    lab.until("!stage.next && !stage.film.recorded")
    assert (lab.state()["step"], lab.state()["playing"]) == (30, False)


@pytest.mark.slow
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


def test_a_step_is_done_while_the_film_plays(lab):
    lab.train("normal", 5)
    lab.press("Play")
    lab.until("stage.film.asking")
    lab.page.evaluate(f"""() => {{
        for (const who of ["discriminator", "discriminator", "generator"]) {LAB}.parts[who].click();
    }}""")
    lab.until_paused()
    assert lab.state()["actions"][-2:] == [["discriminator", 2], ["generator", 1]]


@pytest.mark.slow
def test_a_step_is_done_right_after_a_change(lab):
    lab.train("normal", 5)
    lab.root.get_by_label("Seed, as a number").fill("3")
    lab.root.get_by_label("Seed, as a number").press("Enter")
    lab.press("D step")
    lab.until_paused()
    assert lab.state()["actions"] == [["discriminator", 1]]


@pytest.mark.slow
def test_a_step_is_done_on_a_recorded_film(lab):
    row = lab.open_film("ring")
    lab.press("D step")
    lab.until("!stage.film.recorded")
    lab.until_paused()
    state = lab.state()
    assert state["actions"] == [["discriminator", 1]]
    assert state["settings"] == lab.page.evaluate(f"{LAB}.page.defaults.ring")
    assert not lab.root.get_by_text(row["sentence"]).is_visible()  # this is another film


@pytest.mark.slow
def test_the_film_of_a_recipe_has_no_settings_of_the_lab(lab, open_lab):
    row = lab.open_film("ring")
    lab.root.get_by_text("These are the networks of toy-ring, not the lab’s.").wait_for()
    assert lab.root.locator("[data-control] :is(input, select)").evaluate_all(
        "all => all.filter((one) => one.checkVisibility()).map((one) => one.id)") == ["lab-target"]
    lab.press("Pause")
    lab.scrub(20)
    step, link = lab.state()["step"], lab.copied()
    assert link == f"/?tab=lab&film=ring&step={step}"
    fresh = open_lab(link)
    assert fresh.state() == lab.state()
    assert open_lab(f"/?film=ring&step={step + 1}").state()["step"] == step  # the nearest one
    lab.press("Train")
    lab.until("!stage.film.recorded && stage.film.last.header.step > 0")
    assert lab.state()["settings"] == lab.page.evaluate(f"{LAB}.page.defaults.ring")
    assert not lab.root.get_by_text(row["sentence"]).is_visible()
    assert lab.root.locator(".lab-card[aria-pressed=true]").count() == 0
    assert lab.root.locator("[data-control=loss]").is_visible()


def test_what_is_real_and_whether_probabilities_are_calibrated_is_said(lab):
    lab.open_film("ring")
    truth = lab.page.evaluate(f"{LAB}.film.opening.header.truth")
    words = lab.root.locator("[data-part=facts]").text_content()
    assert words == f"{truth[0].upper()}{truth[1:]}. D’s probability is calibrated on these samples."


@pytest.mark.slow
def test_the_longest_film_asks_for_no_more(lab):
    lab.train("normal", 5)
    lab.page.evaluate(f"() => {{ {LAB}.page.limits.steps = {LAB}.film.last.header.step; }}")
    lab.page.evaluate(COUNT_REQUESTS)
    for button in ("D step", "Play"):
        lab.press(button)
        lab.root.get_by_text("The film is at its longest. Press Reset to begin again.").wait_for()
        lab.until_paused()
    assert lab.page.evaluate(f"{LAB}.wire.sent") == []


@pytest.mark.slow
def test_a_film_that_is_chosen_ends_the_wait_for_another(lab):
    lab.page.evaluate(f"""() => {{
        const {{wire}} = {LAB}, {{server}} = wire;
        wire.server = {{...server, lab_film: (data) => server.lab_film(data), lab_frame: async () => {{
            await new Promise((resolve) => setTimeout(resolve, 50));
            return {{progress: 1, of: 9}};
        }}}};
    }}""")
    lab.choose("moons")
    overlay = lab.root.locator("[data-part=catching]")
    overlay.wait_for()
    lab.open_film("ring")
    lab.until("stage.position > 2")
    assert not overlay.is_visible()


@pytest.mark.slow
def test_a_download_is_asked_for_and_the_link_is_kept(lab):
    title = lab.root.locator("[data-part=watch]").text_content()
    lab.page.evaluate(f"""sentence => {{
        const stage = {LAB}, {{wire}} = stage, {{server}} = wire;
        wire.server = {{
            lab_frame: async (data) => data.download ? server.lab_frame(data) : {{download: sentence}},
            lab_digits: async () => ({{digits: {{download: sentence}}}}),
            lab_film: (data) => server.lab_film(data)}};
        stage.openLink("?target=digits&seed=7&step=1");
    }}""", DOWNLOAD)
    lab.root.get_by_text(DOWNLOAD).wait_for()
    assert lab.root.locator("[data-part=watch]").text_content() == title  # the film that is shown
    lab.page.evaluate(f"""() => {{
        const stage = {LAB};
        stage.tell({{...stage.page.stories[0], settings: stage.page.defaults.digits}});
    }}""")
    assert lab.root.locator("[data-part=watch]").text_content() == title
    lab.page.evaluate(f"() => {{ {LAB}.openLink('?target=digits&seed=7&step=1'); }}")
    lab.press("Download and train")
    lab.until("!stage.film.recorded && stage.film.last.header.step === 1 && !stage.playing")
    assert lab.state()["settings"]["seed"] == 7


@pytest.mark.slow
def test_where_digits_are_off_their_film_is_shown(lab):
    off = "Digits cannot be trained here."
    lab.open_film("ring")
    lab.page.evaluate(f"""sentence => {{
        const {{wire}} = {LAB}, {{server}} = wire;
        wire.server = {{lab_frame: async () => ({{error: "There is no MNIST.", again: false}}),
                       lab_digits: async () => ({{digits: {{off: sentence}}}}),
                       lab_film: (data) => server.lab_film(data)}};
    }}""", off)
    lab.choose("digits")
    lab.root.get_by_text(off).wait_for()
    lab.until("stage.film.recorded && stage.film.settings.target === 'digits' && !stage.next")


def test_an_error_says_what_to_do(lab):
    lab.train("normal", 5)
    for again, advice in ((True, "Press Play to try again."), (False, "Change a setting.")):
        lab.page.evaluate(f"""again => {{
            {LAB}.wire.server = {{lab_frame: async () => ({{error: "It failed.", again}})}};
        }}""", again)
        lab.press("Play")
        lab.root.get_by_text(f"It failed. {advice}").wait_for()


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


def draw(page, places: list[tuple[float, float]], pointer: str) -> None:
    """Draw through these places with a mouse, a finger or a pen."""
    protocol = page.context.new_cdp_session(page)
    for name, x, y in [("down", *places[0]), *(("move", *place) for place in places[1:]), ("up", *places[-1])]:
        if pointer == "touch":
            kind = {"down": "touchStart", "move": "touchMove", "up": "touchEnd"}[name]
            protocol.send("Input.dispatchTouchEvent",
                          {"type": kind, "touchPoints": [] if name == "up" else [{"x": x, "y": y}]})
        else:
            kind = {"down": "mousePressed", "move": "mouseMoved", "up": "mouseReleased"}[name]
            protocol.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1,
                                                       "clickCount": 1, "pointerType": pointer})


@pytest.mark.parametrize(("lab", "pointer"), [("desktop", "mouse"), ("phone", "touch"), ("desktop", "pen")],
                         indirect=["lab"])
def test_a_visitor_draws_a_target_and_trains_on_it(lab, pointer):
    lab.choose("drawn-cloud")
    done, canvas = lab.root.get_by_role("button", name="Done"), lab.root.locator(".lab-field-canvas")
    assert done.is_disabled()
    canvas.scroll_into_view_if_needed()
    canvas.evaluate("canvas => canvas.addEventListener('pointermove', (event) => canvas.title = event.pointerType)")
    field = canvas.bounding_box()
    x, y = field["x"] + field["width"] / 4, field["y"] + field["height"] / 2
    draw(lab.page, [(x + field["width"] / 2 * i / 10, y) for i in range(11)], pointer)
    assert canvas.get_attribute("title") == pointer
    done.click()
    lab.until("stage.film.settings.target === 'drawn-cloud' && stage.film.last.header.step > 0")
    drawn = lab.state()["settings"]["drawn"]
    assert 10 < len(drawn) <= 400
    assert max(abs(second) for _, second in drawn) < 0.3  # a horizontal line
    assert max(first for first, _ in drawn) - min(first for first, _ in drawn) > 0.8


@pytest.mark.slow
def test_a_link_after_drawing_again_restores_the_same_target(lab):
    for target in ("drawn-cloud", "drawn-line"):
        lab.page.evaluate(f"target => {LAB}.start({LAB}.page.defaults[target])", target)
        lab.until(f"stage.film.settings.target === '{target}'")
        lab.press("Draw again")
        lab.press("Done")
        lab.until("!stage.next && stage.film.last.header.step > 0")
        lab.press("Pause")
        lab.until_paused()
        drawn, link = lab.state()["settings"]["drawn"], lab.copied()
        lab.page.evaluate(f"link => {LAB}.openLink(link.slice(1))", link)
        lab.until("stage.next === null && stage.film.plan === null && !stage.playing")
        assert lab.state()["settings"]["drawn"] == drawn


@pytest.mark.slow
def test_a_film_plays_on_after_a_drawing_that_was_not_made(lab):
    lab.train("normal", 5)
    lab.press("Play")
    lab.choose("drawn-line")
    assert not lab.state()["playing"]
    lab.choose("ring")
    lab.until("stage.film.settings.target === 'ring' && stage.film.last.header.step > 0")
    assert lab.state()["playing"]
    lab.choose("drawn-line")
    lab.choose("drawn-cloud")
    lab.press("Cancel")
    assert lab.state()["playing"]
    assert lab.root.locator("#lab-target").input_value() == "ring"


def test_a_link_restores_the_state_in_a_fresh_window(lab, open_lab):
    lab.train("normal", 5)
    lab.root.locator("[data-control=loss] select").select_option("Hinge")
    lab.root.get_by_label("Seed, as a number").fill("3")
    lab.root.get_by_label("Seed, as a number").press("Enter")
    lab.until("!stage.next && stage.film.settings.seed === 3 && stage.film.settings.loss === 'hinge'")
    for button in ("Step", "D step", "Step"):
        lab.press(button)
    lab.until("!stage.film.asking && !stage.todo.length && !stage.tween.from && stage.film.last.header.step === 2")
    link = lab.copied()
    assert link == "/?tab=lab&target=normal&loss=hinge&seed=3&do=b1-d1-b1"
    fresh = open_lab(link)
    fresh.until("!stage.playing && stage.film.last.header.step === 2 && !stage.tween.from")
    state, restored = lab.state(), fresh.state()
    assert {**restored, "frames": 0, "position": 0} == {**state, "frames": 0, "position": 0}
    assert fresh.pixels() == lab.pixels()


def test_a_link_hides_controls_and_tells_what_is_wrong(open_lab):
    lab = open_lab("/?target=ring&loss=nonsense&generator_lr=9&hide=loss,stories,draw,layers")
    assert lab.state()["settings"]["target"] == "ring"
    assert lab.state()["settings"]["loss"] == lab.page.evaluate(f"{LAB}.page.defaults.ring.loss")
    lab.root.get_by_text("Not valid in this link: Loss, Learning rate of G. The defaults are used.").wait_for()
    assert lab.root.locator("[data-control=penalty] select").is_visible()
    for hidden in ("[data-control=loss]", "[data-part=stories]", "[data-part=layers]"):
        assert not lab.root.locator(hidden).is_visible()
    assert lab.root.locator("#lab-target option[value^=drawn]").count() == 0
    reached = lab.page.evaluate("""() => [...document.querySelectorAll('#lab :is(button, input, select)')]
        .filter((one) => one.checkVisibility()).map((one) => one.closest('[data-control]')?.dataset.control)""")
    assert "penalty" in reached
    assert "loss" not in reached


@pytest.mark.slow
@pytest.mark.parametrize("query", ["target", "story", "film"])
def test_a_link_to_nothing_shows_the_first_film(open_lab, query):
    lab = open_lab(f"/?{query}=nonsense")
    lab.root.get_by_text(f"This link names no {query} of the lab. The first film is shown.").wait_for()
    assert lab.page.evaluate(f"{LAB}.film.about.film === {LAB}.page.first")


@pytest.mark.slow
def test_a_link_that_hides_drawing_keeps_the_drawn_target(open_lab):
    lab = open_lab("/?target=drawn-line&hide=draw")
    assert lab.root.locator("#lab-target").input_value() == "drawn-line"
    assert not lab.root.get_by_role("button", name="Draw again").is_visible()
    assert lab.root.locator("#lab-target option[value^=drawn]").count() == 1


@pytest.mark.slow
def test_the_legend_has_the_colours_of_the_picture(open_lab):
    marks = """() => Object.fromEntries([...document.querySelectorAll("#lab .lab-layers [data-mark]")]
        .map((mark) => [mark.dataset.mark, getComputedStyle(mark).background]))"""
    light, dark = (open_lab("/?film=ring", color_scheme=scheme) for scheme in ("light", "dark"))
    found = [lab.page.evaluate(marks) for lab in (light, dark)]
    assert found[0]["#f97316"] == found[1]["#f97316"]
    assert "rgb(251, 252, 254)" in found[0]["heat"]  # the middle of the heat map
    assert "rgb(21, 25, 37)" in found[1]["heat"]
    assert "rgb(229, 233, 242)" in found[1]["strong"]
    light.page.evaluate("document.body.classList.add('dark')")
    light.page.wait_for_function(f"marks => ({marks})().heat === marks.heat", arg=found[1])


def test_the_sentences_are_short_and_in_one_table(lab):
    texts = lab.page.evaluate("""() => Object.values(document.querySelector("#lab .lab").ganlab.SENTENCES)
        .map((one) => typeof one === "string" ? one : one("Loss, Seed", 2, 3, 4))""")
    assert len(texts) > 20
    for sentence in chain.from_iterable(re.split(r"(?<=[.!?])\s", text) for text in texts):
        assert len(sentence.split()) < 20, sentence
    code = "".join(path.read_text(encoding="utf-8") for path in (FOLDER / "lab").glob("*.js")
                   if path.name != "sentences.js")
    assert re.findall(r"""["`][A-Z][^"`\n]* [^"`\n]*\.["`]""", code) == []


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


@pytest.mark.slow
def test_a_request_that_fails_is_sent_once_more(lab):
    lab.train("normal", 5)
    lab.page.evaluate(f"""() => {{
        const {{wire}} = {LAB}, {{server}} = wire;
        wire.asked = 0;
        // undefined is what gradio makes of a request that failed
        wire.server = {{...server, lab_frame: async (data) => wire.asked++ ? server.lab_frame(data) : undefined}};
    }}""")
    lab.press("Play")
    lab.until("stage.wire.asked > 2 && stage.film.last.header.step > 20")
    assert lab.state()["playing"]


@pytest.mark.slow
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
    lab.tab("Lab")
    lab.until(f"stage.wire.sent.length > {sent}")


@pytest.mark.parametrize(("count", "size"), [(12_000, 0), (3_000, 30_000)], ids=["in frames", "in bytes"])
def test_the_film_is_bounded(lab, count, size):
    lab.page.evaluate(f"() => {{ {LAB}.start({LAB}.page.defaults.normal); }}")
    lab.until("!stage.next && !stage.film.asking")
    kept = lab.page.evaluate(ADD_FRAMES, [count, size])
    assert kept["most"] <= 600
    assert kept["bytes"] == kept["counted"] <= 12e6
    assert kept["same"]
    assert kept["steps"][-1] == count
    gaps = [after - before for before, after in pairwise(kept["steps"])]
    assert max(gaps) < 1.5 * count / len(gaps)


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
    query = dict(parse_qsl(lab.copied().partition("?")[2]))
    for file in (png, gif):  # the passport has the link's values
        assert passport.read(file) == {"ganlib": __version__, "tab": "lab", **query}


@pytest.mark.slow
def test_a_film_that_is_being_saved_stays_the_same(lab):
    lab.open_film("ring")
    with lab.page.expect_download() as download:
        lab.press("Save film")
        lab.choose("normal")
    assert download.value.suggested_filename == "gan-lab-ring.gif"


@pytest.mark.slow
@pytest.mark.parametrize("button", ["Save picture", "Save film"])
def test_a_file_that_cannot_be_made_is_told(lab, button):
    lab.page.evaluate("() => { HTMLCanvasElement.prototype.toBlob = (done) => done(null); }")
    lab.press(button)
    lab.root.get_by_text("The file could not be made. The browser could not make a picture.").wait_for()


# gradio cannot render on the server below a path: its check that node runs asks for the root
@pytest.mark.slow
@pytest.mark.parametrize(("path", "by_server"), [("", False), ("", True), ("/spaces/gan", False)],
                         ids=["plain", "rendered by the server", "below a path"])
def test_a_linked_lab_trains_wherever_the_page_is(browser, tmp_path, path, by_server):  # noqa: F811
    environment = {**os.environ, "GRADIO_SSR_MODE": str(by_server)} | ({"GRADIO_ROOT_PATH": path} if path else {})
    if by_server and not shutil.which("node"):
        pytest.skip("gradio renders on the server with node, which is not here")
    with serve_page(tmp_path, environment) as address, below(path, address) if path else nullcontext(address) as found:
        lab = Lab(browser.new_context(**DESKTOP).new_page(), found, "/?target=moons&seed=4&step=40")
        lab.until("stage.film.last.header.step === 40 && !stage.playing")
        lab.press("Play")
        lab.until("stage.film.last.header.step > 60")
        lab.press("Pause")
        assert lab.state()["settings"]["seed"] == 4
        assert lab.page.evaluate(f"{LAB}.link([])").startswith(f"{found}/?tab=lab&target=moons")
        lab.close()
    assert lab.wrong == []
