"""The two figures of the course that compare models, in a real browser."""

import json

import numpy
import pytest

from ganlib.demo import models, pairs
from tests.browser.test_page import CHROMIUM, NARROW, WIDE, Visit, browser  # noqa: F401, a fixture
from tests.conftest import vae as small_vae

pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")]

NETWORKS, PAIR = "#how [data-figure=networks]", "#how [data-figure=pair]"


class Figure:
    """A figure of the course that is open, and the numbers that it keeps."""

    def __init__(self, visit: Visit, selector: str, address: str, step: int):
        self.visit, self.page, self.selector = visit, visit.page, selector
        visit.go(f"{address}/?tab=how&step={step}")
        self.root = self.page.locator(selector)
        self.root.wait_for()

    def __getitem__(self, name: str):
        text = self.root.get_attribute(f"data-{name}")
        return json.loads(text) if text and text[0] in "{[" else text

    def until(self, condition: str, *arguments) -> None:
        """Wait for a condition in JavaScript on `data`, the figure's numbers, and `given`, the arguments."""
        self.page.wait_for_function(f"([selector, given]) => {{ const data = document.querySelector(selector).dataset; "
                                    f"return {condition}; }}", arg=[self.selector, arguments])

    def until_changed(self, canvas, change) -> None:
        """Do something, and wait until the canvas shows another picture."""
        before = canvas.evaluate("canvas => canvas.toDataURL()")
        change()
        self.page.wait_for_function("([canvas, before]) => canvas.toDataURL() !== before",
                                    arg=[canvas.element_handle(), before])

    def pixels(self, canvas) -> numpy.ndarray:
        """A canvas as grey levels (H, W)."""
        height, width, data = canvas.evaluate("""canvas => [canvas.height, canvas.width, Array.from(
            canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)]""")
        return numpy.array(data).reshape(height, width, 4)[..., 0]


# what figure 10 asks of the server's functions of these names waits until it is released; `called` has all names
HOLD = """names => {
    const {course} = [...document.querySelectorAll('#how, #how *')].find(({ganlab}) => ganlab).ganlab;
    const {pull, searchWire} = course.figures.pair.modes.reconstruct, {server} = searchWire;
    const hold = {called: []}, held = {};
    const released = Object.fromEntries(names.map(name => [name, new Promise(resolve => { held[name] = resolve; })]));
    hold.release = name => held[name]();
    for (const wire of [pull.wire, searchWire]) {
        wire.server = new Proxy({}, {get: (_, name) => async (data) => {
            hold.called.push(name);
            await released[name];
            return server[name](data);
        }});
    }
    return hold; }"""

BOTH = pytest.mark.parametrize("visit", [WIDE, NARROW], indirect=True, ids=["desktop", "phone"])


@pytest.fixture
def visit(browser, address, request):  # noqa: F811
    found = Visit(browser.new_context(**getattr(request, "param", NARROW)).new_page(), address)
    yield found
    assert found.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    found.close()
    assert found.wrong == []


def reads(name: str, seed: int, row: int, column: int) -> list[int]:
    return [layer["reads"] for layer in pairs.reach(models.get(name), seed, row, column)]


@BOTH
def test_a_pixel_and_its_layers(visit, address):
    figure = Figure(visit, NETWORKS, address, 9)
    assert figure["reads"]["dcgan"] == reads("dcgan", pairs.SEEDS[pairs.CHOSEN], pairs.ROW, pairs.COLUMN)
    picture = figure.root.get_by_role("application", name="dcgan: the chosen picture.")
    picture.focus()
    for key in ["ArrowUp"] * pairs.ROW + ["ArrowLeft"] * pairs.COLUMN + ["ArrowUp"]:
        picture.press(key)
    assert figure["pixel"] == "0,0"
    figure.until("JSON.parse(data.reads).dcgan.at(-1) === given[0]", 4 * 32)
    assert figure["reads"] == {name: reads(name, pairs.SEEDS[pairs.CHOSEN], 0, 0) for name in pairs.NETWORKS}
    figure.root.get_by_text("This pixel depends on 128 of the last layer’s 25,088 numbers.").wait_for()
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] - 2, "y": box["height"] * 0.52})
    assert figure["pixel"] == "14,27"


def test_other_seeds_and_another_of_their_pictures(visit, address):
    figure = Figure(visit, NETWORKS, address, 9)
    figure.until("data.seeds")
    first = figure["seeds"]
    figure.root.get_by_role("button", name="New seeds").click()
    figure.until("data.seeds !== given[0]", first)
    seeds = figure["seeds"].split(",")
    assert figure["seed"] == seeds[pairs.CHOSEN]
    grid = figure.root.get_by_role("application", name="mlp-gan: 16 pictures.")
    grid.press("ArrowRight")
    grid.press("ArrowDown")
    assert figure["seed"] == seeds[pairs.CHOSEN + 5]
    grid.click(position={"x": 5, "y": 5})
    assert figure["seed"] == seeds[0]
    assert figure.pixels(grid).max() > 200  # a picture is there


def test_the_time_is_measured(visit, address):
    figure = Figure(visit, NETWORKS, address, 9)
    figure.root.get_by_role("button", name="Measure").click()
    figure.until("data.times")
    assert set(figure["times"]) == set(pairs.NETWORKS)
    cells = figure.root.get_by_role("row", name="Time for 64 pictures").get_by_role("cell").all_inner_texts()
    assert all(cell.endswith(("ms", "s")) for cell in cells[:2])
    figure.root.get_by_text("runs on this server.").wait_for()


def test_the_tables_show_the_servers_numbers(visit, address):
    figure = Figure(visit, NETWORKS, address, 9)
    for words, cells in [*pairs.page()["networks"]["costs"], *pairs.page()["networks"]["quality"]]:
        row = figure.root.get_by_role("row", name=words.replace("\u00a0", " "))
        assert row.get_by_role("cell").all_inner_texts() == cells


@BOTH
def test_a_digit_is_reconstructed_by_a_search(visit, address):
    figure = Figure(visit, PAIR, address, 10)
    figure.until("JSON.parse(data.dcgan ?? '{}').done")
    assert figure["dcgan"]["psnr"] > 15
    assert figure["digit"] == {"start": pairs.DIGIT}
    figure.root.get_by_role("button", name="Another digit").click()
    figure.until("JSON.parse(data.digit).index !== undefined")
    figure.until("JSON.parse(data.dcgan ?? '{}').done")
    figure.root.get_by_role("button", name="Open in Draw").click()
    visit.page.locator("#draw [data-part=canvas]").wait_for()
    visit.page.wait_for_function("document.querySelector('#draw .draw').offsetParent !== null")


def test_a_drawing_is_reconstructed(visit, address):
    figure = Figure(visit, PAIR, address, 10)
    figure.until("data.dcgan")
    box = figure.root.locator(".how-pair-field").bounding_box()
    mouse = visit.page.mouse
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.2)
    mouse.down()
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.8, steps=5)
    figure.until("JSON.parse(data.digit).drawing")
    mouse.up()
    figure.until("JSON.parse(data.dcgan ?? '{}').done")
    figure.root.get_by_text("Your drawing, scaled and centred.").wait_for()
    assert figure["dcgan"]["psnr"] > 12


def test_samples_of_the_same_seeds(visit, address):
    figure = Figure(visit, PAIR, address, 10)
    figure.root.get_by_role("radio", name="Reconstruct").press("ArrowRight")
    assert figure["mode"] == "sample"
    first = ",".join(map(str, pairs.SEEDS))
    figure.until("data.seeds === given[0]", first)
    figure.root.get_by_role("button", name="New noise").click()
    figure.until("data.seeds !== given[0]", first)


def test_the_slider_moves_along_both_paths_without_the_server(visit, address):
    figure = Figure(visit, PAIR, address, 10)
    figure.root.get_by_role("radio", name="Interpolate").check()
    slider = figure.root.get_by_role("slider", name="From the first picture to the second")
    picture = figure.root.get_by_role("img", name="dcgan", exact=True)  # those of hidden panels are left out
    seen = set()
    for key in ("Home", "ArrowRight", "End"):
        slider.press(key)
        visit.page.evaluate("new Promise(requestAnimationFrame)")
        seen.add(figure.pixels(picture).tobytes())
    assert figure["t"] == "1"
    assert len(seen) == 3
    before = figure.root.get_attribute("data-ends")
    assert before
    figure.root.get_by_role("button", name="New ends").click()
    figure.until("data.ends !== given[0]", before)


@pytest.mark.parametrize(("mode", "button", "canvas"), [
    ("Reconstruct", "Another digit", "Original"), ("Sample", "New noise", "16 samples of dcgan, of the same seeds"),
    ("Interpolate", "New ends", "dcgan")])
def test_each_mode_shows_what_its_button_asks_for(visit, address, mode, button, canvas):
    figure = Figure(visit, PAIR, address, 10)
    figure.root.get_by_role("radio", name=mode).check()
    picture = figure.root.get_by_role("img", name=canvas, exact=True)
    figure.until_changed(picture, figure.root.get_by_role("button", name=button).click)


def test_the_slider_shows_another_picture(visit, address):
    figure = Figure(visit, PAIR, address, 10)
    figure.root.get_by_role("radio", name="Interpolate").check()
    slider = figure.root.get_by_role("slider", name="From the first picture")
    for name in pairs.PAIR:
        slider.press("Home")
        picture = figure.root.get_by_role("img", name=name, exact=True)
        figure.until_changed(picture, lambda: slider.press("End"))


def test_a_stroke_is_shown(visit, address):
    figure = Figure(visit, PAIR, address, 10)
    picture = figure.root.get_by_role("img", name="Original", exact=True)
    figure.until_changed(picture, lambda: picture.click(position={"x": 20, "y": 20}))


def test_the_gans_picture_of_another_digit_is_forgotten(visit, address):
    figure = Figure(visit, PAIR, address, 10)
    figure.until("JSON.parse(data.dcgan ?? '{}').done")
    hold = visit.page.evaluate_handle(HOLD, ["how_reconstruct", "how_search"])
    figure.root.get_by_role("button", name="Another digit").click()
    visit.page.get_by_role("button", name="Previous", exact=True).click()
    hold.evaluate("hold => hold.release('how_reconstruct')")
    figure.until("JSON.parse(data.digit).index !== undefined")
    assert figure["dcgan"] is None
    visit.page.get_by_role("button", name="Next", exact=True).click()
    assert figure.pixels(figure.root.get_by_role("img", name="dcgan", exact=True)).max() == 0
    hold.evaluate("hold => hold.release('how_search')")
    figure.until("JSON.parse(data.dcgan ?? '{}').done")


def test_nothing_is_searched_for_a_hidden_panel(visit, address):
    figure = Figure(visit, PAIR, address, 10)
    figure.until("JSON.parse(data.dcgan ?? '{}').done")
    hold = visit.page.evaluate_handle(HOLD, ["how_reconstruct"])
    figure.root.get_by_role("button", name="Another digit").click()
    figure.root.get_by_role("radio", name="Sample").check()
    hold.evaluate("hold => hold.release('how_reconstruct')")
    figure.until("JSON.parse(data.digit).index !== undefined")
    first = figure["seeds"]
    figure.root.get_by_role("button", name="New noise").click()
    figure.until("data.seeds !== given[0]", first)
    assert figure.root.get_by_role("status").inner_text() == ""
    assert hold.evaluate("hold => hold.called.filter(name => name === 'how_search').length") == 0


def test_the_server_drops_a_search_whose_step_is_left(visit, address):
    figure = Figure(visit, PAIR, address, 10)
    figure.until("JSON.parse(data.dcgan ?? '{}').done")
    hold = visit.page.evaluate_handle(HOLD, ["how_search"])
    figure.root.get_by_role("button", name="Another digit").click()
    visit.page.wait_for_function("hold => hold.called.at(-1) === 'how_search'", arg=hold)
    visit.page.get_by_role("button", name="Previous", exact=True).click()
    hold.evaluate("hold => hold.release('how_search')")
    visit.page.wait_for_function("hold => hold.called.at(-1) === 'how_stop'", arg=hold)


@pytest.fixture
def pages(monkeypatch, tmp_path):
    """Opens the page of another server, with `vae` or without it."""
    from ganlib import demo as page

    # a page that is closed deletes its files, which would otherwise be those of other pages too
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    own = {name: folder for name, folder in models.own().items() if name != "vae"}
    get, opened = models.get, []

    def open_page(vae) -> str:
        added = {} if vae is None else {"vae": vae}
        monkeypatch.setattr(models, "own", lambda: own | dict.fromkeys(added, own["dcgan"]))
        monkeypatch.setattr(models, "get", lambda name, *more: added.get(name) or get(name, *more))
        demo = page.build()
        opened.append(demo)
        _, address, _ = page.launch(demo, prevent_thread_lock=True, quiet=True)
        return address.rstrip("/")

    yield open_page
    for demo in opened:
        demo.close()


def test_without_the_vae_the_rest_works(browser, pages):  # noqa: F811
    address = pages(None)
    visit = Visit(browser.new_context(**NARROW).new_page(), address)
    figure = Figure(visit, PAIR, address, 10)
    figure.root.get_by_text("This server has no model 'vae'.").wait_for()
    figure.until("JSON.parse(data.dcgan ?? '{}').done")
    assert figure["vae"] is None
    figure.root.get_by_role("radio", name="Sample").check()
    assert figure.root.get_by_role("img", name="16 samples of").count() == 1
    figure.root.get_by_role("radio", name="Interpolate").check()
    figure.root.get_by_role("slider", name="From the first picture").press("End")
    assert figure["t"] == "1"
    visit.close()
    assert visit.wrong == []


def test_with_the_vae_both_are_shown(browser, pages):  # noqa: F811
    model = small_vae()
    model.name = "vae"
    address = pages(model)
    visit = Visit(browser.new_context(**WIDE).new_page(), address)
    figure = Figure(visit, PAIR, address, 10)
    x, _ = pairs.real_digit({"start": pairs.DIGIT})
    figure.until("data.vae")
    assert figure["vae"]["psnr"] == pytest.approx(pairs.encoded(model, x)["psnr"], abs=1e-6)
    figure.root.get_by_text("Shown is the decoder’s mean. No pixel noise is drawn.").wait_for()
    first = figure["vae"]
    figure.root.get_by_role("button", name="Another digit").click()
    figure.until("JSON.parse(data.vae).psnr !== given[0]", first["psnr"])
    figure.root.get_by_role("radio", name="Interpolate").check()
    assert figure.root.get_by_text("between two encoded digits").is_visible()
    figure.root.get_by_role("radio", name="Reconstruct").check()
    figure.root.get_by_role("button", name="Move it in Explore").click()
    visit.page.locator("#explore [data-part=large]").wait_for()
    visit.close()
    assert visit.wrong == []
