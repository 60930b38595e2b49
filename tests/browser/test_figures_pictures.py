"""Figures 2, 3 and 7 of the course in a real browser: they show something at once, and react to their controls."""

import json
import math
import re

import pytest
import torch

from ganlib import losses
from ganlib.demo import figures
from tests.browser.test_page import CHROMIUM, NARROW, WIDE, Visit, browser  # noqa: F401, a fixture

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")]

SERVER = re.compile("/component_server")  # calls of a stage's functions
STEPS = {"noise": 2, "entropy": 3, "mean": 7}


class Figure:
    """A step of the course, open in a browser."""

    def __init__(self, browser, address: str, name: str, screen: dict):  # noqa: F811
        self.visit = Visit(browser.new_context(**screen).new_page(), address)
        self.page = self.visit.page
        self.visit.tab("How it works")
        self.page.locator(".how-steps a").nth(STEPS[name] - 1).click()
        self.place = self.page.locator(f"[data-figure={name}]")
        self.place.locator("canvas").first.wait_for()

    def told(self) -> dict[str, str]:
        return self.place.evaluate("place => ({...place.dataset})")

    def until(self, condition: str) -> None:
        """Wait for a condition on the figure's dataset, called data."""
        self.page.wait_for_function(f"place => {{ const data = place.dataset; return {condition}; }}",
                                    arg=self.place.element_handle())

    def picture(self, place: str) -> str:
        return self.place.locator(place).first.evaluate("canvas => canvas.toDataURL()")

    def move(self, slider, value: float) -> None:
        slider.evaluate("""(slider, value) => { slider.value = value;
                           slider.dispatchEvent(new Event("input", {bubbles: true})); }""", value)

    def close(self) -> None:
        assert self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        self.visit.close()
        assert self.visit.wrong == []


@pytest.fixture
def opened(browser, address):  # noqa: F811
    found = []

    def open(name: str, screen: dict = WIDE) -> Figure:
        found.append(Figure(browser, address, name, screen))
        return found[-1]

    yield open
    for figure in found:
        figure.close()


@pytest.mark.parametrize("name", STEPS)
def test_a_figure_shows_pictures_without_the_server(opened, name):
    figure = opened(name, NARROW)
    blank = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.every(n => n === 0)"
    shown = [canvas for canvas in figure.place.locator("canvas").all() if canvas.is_visible()]
    assert len(shown) >= 3
    assert not any(canvas.evaluate(blank) for canvas in shown)
    assert figure.told().get("answers", "0") == "0"


@pytest.mark.parametrize("screen", [WIDE, NARROW], ids=["desktop", "phone"])
def test_a_bar_that_is_dragged_changes_the_maps_and_the_picture(opened, screen):
    figure = opened("noise", screen)
    picture, tile = figure.picture("figure:last-child > canvas"), figure.picture(".how-noise-tiles canvas")
    bars = figure.place.locator(".how-noise-bars").nth(1)
    bars.scroll_into_view_if_needed()
    box, mouse = bars.bounding_box(), figure.page.mouse
    mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 20)
    mouse.down()
    mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 4)  # aside: it stays with the bar that it took
    mouse.up()
    figure.until("data.changes === '1' && Number(data.answers) > 0")
    figure.page.wait_for_function("([canvas, before]) => canvas.toDataURL() !== before", arg=[
        figure.place.locator("figure:last-child > canvas").element_handle(), picture])
    assert figure.picture(".how-noise-tiles canvas") != tile
    assert 48 <= int(figure.told()["chosen"]) < 100
    figure.place.get_by_role("button", name="Undo").click()
    figure.page.wait_for_function("([canvas, before]) => canvas.toDataURL() === before", arg=[
        figure.place.locator("figure:last-child > canvas").element_handle(), picture])


def test_the_keys_of_the_bars_choose_and_change_a_number(opened):
    figure = opened("noise")
    figure.place.get_by_role("slider", name="Numbers that choose a category").focus()
    for key in ("Home", "ArrowRight", *["PageUp"] * 7):
        figure.page.keyboard.press(key)
    assert (figure.told()["chosen"], figure.told()["kind"], figure.told()["changes"]) == ("1", "1", "1")
    assert figure.place.locator("output").inner_text() == "3.50"
    figure.move(figure.place.get_by_label("Number 2", exact=True), -3)
    assert figure.told()["kind"] != "1"


def test_a_seed_names_its_kind_as_the_server_says(opened):
    figure = opened("noise")
    field = figure.place.get_by_role("spinbutton", name="Seed")
    field.fill("12")
    figure.until("data.seed === '12' && Number(data.answers) > 0")
    assert int(figure.told()["kind"]) == figures.noise_answer({"latent": "12"})["kind"]
    field.fill("12345")
    figure.place.get_by_text("A seed is a whole number from 0 to 9,999.").wait_for()
    figure.place.get_by_role("button", name="New noise").click()
    figure.until("data.seed !== '12' && Number(data.answers) > 1")


def test_the_loss_of_the_handles_is_that_of_ganlib(opened):
    figure = opened("entropy")
    for real, generated in ((0.9, 0.02), (0.5, 0.5), (0.1, 0.7)):
        for name, value in (("D(x)", real), ("D(G(z))", generated)):
            figure.move(figure.place.get_by_label(name, exact=True), value)
        logits = (torch.tensor([d], dtype=torch.float64).logit() for d in (real, generated))
        assert float(figure.told()["loss"]) == pytest.approx(float(losses.logistic_discriminator(*logits)), abs=1e-6)
    figure.place.get_by_label("D(x)", exact=True).focus()
    before = figure.told()["real"]
    figure.page.keyboard.press("ArrowRight")
    assert float(figure.told()["real"]) > float(before)


def test_a_dot_is_dragged_along_its_curve(opened):
    figure = opened("entropy", NARROW)
    canvas = figure.place.locator(".how-entropy-curves")
    canvas.scroll_into_view_if_needed()
    before, box, mouse = figure.picture(".how-entropy-curves"), canvas.bounding_box(), figure.page.mouse
    mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.85 * box["height"])
    mouse.down()
    mouse.move(box["x"] + 40, box["y"] + 0.4 * box["height"])
    mouse.up()
    assert float(figure.told()["real"]) < 0.1
    assert float(figure.told()["generated"]) == 0.3
    assert figure.picture(".how-entropy-curves") != before


def test_the_discriminator_answers_and_another_pair_comes(opened):
    figure = opened("entropy")
    first = figure.picture(".how-entropy-card canvas")
    figure.place.get_by_role("button", name="Ask the discriminator").click()
    kept = json.loads(figures.FIRST.read_text(encoding="utf-8"))["entropy"]["probabilities"]
    figure.until(f"Math.abs(Number(data.real) - {kept[0]}) + Math.abs(Number(data.generated) - {kept[1]}) < 1e-9")
    figure.place.get_by_role("button", name="Another pair").click()
    figure.until("data.asked === undefined")
    assert figure.picture(".how-entropy-card canvas") != first
    figure.place.get_by_role("button", name="Ask the discriminator").click()
    expected = figures.pair(int(figure.told()["pair"]))[1]["probabilities"]
    figure.until(f"Math.abs(Number(data.real) - {expected[0]}) < 1e-3")
    assert math.isclose(float(figure.told()["asked"].split(",")[1]), expected[1], abs_tol=1e-3)


def test_the_class_and_the_count_change_the_mean(opened):
    figure = opened("mean")
    first = figure.picture("[data-card=mean] canvas")
    figure.place.get_by_label("3", exact=True).check()
    figure.until("data.class === '3'")
    assert figure.picture("[data-card=mean] canvas") != first
    figure.move(figure.place.get_by_label("Real digits", exact=True).and_(figure.page.locator("input")), 100)
    figure.until("Number(data.count) > 1 && data.answers !== '1'")
    told = figure.told()
    expected = figures.mean_digit({"class": 3, "count": 100, "set": int(told["set"])})[1]
    assert int(told["count"]) == expected["count"]
    assert float(told["error"]) == pytest.approx(expected["errors"][-2], abs=1e-6)
    figure.place.get_by_role("button", name="Other digits").click()
    figure.until(f"data.set !== '{told['set']}'")


def test_a_digit_is_chosen_by_mouse_and_keys(opened):
    figure = opened("mean", NARROW)
    one, errors = figure.picture("[data-card=one] canvas"), figure.picture(".how-mean-errors")
    figure.place.get_by_role("button", name="Real digit 2", exact=True).click()
    assert figure.told()["chosen"] == "1"
    assert figure.picture("[data-card=one] canvas") != one
    assert figure.picture(".how-mean-errors") != errors
    figure.page.keyboard.press("Tab")
    figure.page.keyboard.press("Enter")
    assert figure.told()["chosen"] == "2"
    assert figure.place.get_by_role("button", name="Real digit 3", exact=True).get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("name", STEPS)
def test_a_server_that_does_not_answer_leaves_the_figure_alive(opened, name):
    figure = opened(name)
    figure.page.route(SERVER, lambda route: route.abort())
    button = {"noise": "New noise", "entropy": "Another pair", "mean": "Other digits"}[name]
    figure.place.get_by_role("button", name=button).click()
    figure.place.get_by_role("button", name="Try again").wait_for()
    if name == "noise":
        figure.place.get_by_role("slider", name="Numbers that choose a category").press("PageUp")
        assert figure.told()["changes"] == "1"
    elif name == "entropy":
        figure.move(figure.place.get_by_label("D(x)", exact=True), 0.2)
        assert figure.told()["real"] == "0.2"
    else:
        figure.place.get_by_role("button", name="Real digit 2", exact=True).click()
        assert figure.told()["chosen"] == "1"
    figure.page.unroute(SERVER)
    figure.visit.wrong.clear()  # of the requests that were stopped
    figure.place.get_by_role("button", name="Try again").click()
    figure.until({"noise": "Number(data.answers) > 0", "entropy": "data.pair !== '4'",
                  "mean": "Number(data.answers) > 0"}[name])
