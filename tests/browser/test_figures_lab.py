"""Two figures of the course in a real browser: the training in two steps, and the films of troubles and cures."""

import re
from typing import Any

import pytest

from ganlib.stories import TROUBLES
from tests.browser.test_page import CHROMIUM, NARROW, WIDE, Visit, browser  # noqa: F401, a fixture
from tests.lab_page import lab_page
from tests.test_labs import until

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")]

STEPS, TROUBLES_STEP = 5, 8  # of the course
LONGEST = 60.0  # seconds until a page has told how many labs it has
SERVER = re.compile("/component_server")  # calls of a stage's functions
COURSE = "[...document.querySelectorAll('#how, #how *')].find(({ganlab}) => ganlab).ganlab.course"
# what is asked for by the course's wire is listed, and films come only after `release` was called
HOLD_FILMS = f"""() => {{
    const {{wire}} = {COURSE}, send = wire.send.bind(wire);
    const released = new Promise(resolve => {{ window.release = resolve; }});
    window.films = [];
    wire.send = async (name, data) => {{
        if (name === "how_film") {{
            films.push(data.name);
            await released;
        }}
        return send(name, data);
    }};
}}"""


class Figure(Visit):
    """A visit to a step of the course whose figure is there. Look at `wrong` at the end."""

    def __init__(self, page, address: str, step: int):
        super().__init__(page, address)
        self.go(f"{address}/?tab=how&step={step}")
        self.place = page.locator(".how-figure:not([hidden])")
        self.place.locator("canvas").first.wait_for()

    def data(self) -> dict[str, str]:
        return self.place.evaluate("place => ({...place.dataset})")

    def until(self, **values: Any) -> dict[str, str]:
        """Wait until the figure's dataset has these values."""
        wanted = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
        self.page.wait_for_function("""values => {
            const {dataset} = document.querySelector(".how-figure:not([hidden])");
            return Object.entries(values).every(([name, value]) => dataset[name] === value);
        }""", arg=wanted)
        return self.data()

    def press(self, name: str) -> None:
        self.place.get_by_role("button", name=re.compile(name)).click()

    def pixels(self) -> list[str]:
        """The pictures of the training: one, or two films."""
        return self.place.locator(".how-film canvas").evaluate_all("all => all.map(canvas => canvas.toDataURL())")

    def fits(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.fixture
def open_figure(browser, address):  # noqa: F811
    """A function that opens a step of the course in a fresh window."""
    figures = []

    def visit(step: int, **options: Any) -> Figure:
        figures.append(Figure(browser.new_context(**{**WIDE, **options}).new_page(), address, step))
        return figures[-1]

    yield visit
    for figure in figures:
        figure.close()
    assert [figure.wrong for figure in figures] == [[] for _ in figures]


# the training in two steps


@pytest.mark.parametrize("options", [WIDE, NARROW], ids=["desktop", "phone"])
def test_a_step_changes_the_map_or_the_points_and_says_what_was_frozen(open_figure, options):
    figure = open_figure(STEPS, **options)
    untrained = figure.until(discriminator=0, generator=0, busy=False)
    assert untrained["next"] == "discriminator"
    figure.press("Train the discriminator")
    after_d = figure.until(discriminator=1, generator=0, busy=False, next="generator")
    assert after_d["frozen"] == "generator"
    assert after_d["map"] != untrained["map"]
    assert after_d["points"] == untrained["points"]
    figure.place.get_by_text("The generator was frozen").wait_for()
    figure.press("Train the generator")
    after_g = figure.until(discriminator=1, generator=1, busy=False, next="discriminator")
    assert after_g["frozen"] == "discriminator"
    assert after_g["map"] == after_d["map"]
    assert after_g["points"] != after_d["points"]
    figure.place.get_by_text("The discriminator was frozen").wait_for()
    for who in ("discriminator", "generator"):
        figure.place.locator(f".how-steps-{who}", has_text=re.compile(r"1 step.*loss \d\.\d{3}")).wait_for()
    assert figure.fits()


def test_reset_goes_back_and_the_same_steps_give_the_same_picture_again(open_figure):
    figure = open_figure(STEPS)
    untrained = figure.until(generator=0, busy=False)
    figure.press("10 of each")
    trained = figure.until(discriminator=10, generator=10, busy=False)
    assert trained["map"] != untrained["map"]
    figure.press("Reset")
    assert figure.until(discriminator=0, generator=0) == untrained
    figure.press("10 of each")
    assert figure.until(discriminator=10, generator=10, busy=False) == trained


def test_quick_presses_are_all_counted_and_the_keyboard_presses_too(open_figure):
    figure = open_figure(STEPS)
    button = figure.place.get_by_role("button", name=re.compile("Train the discriminator"))
    button.focus()
    for _ in range(5):
        figure.page.keyboard.press("Enter")
    figure.until(discriminator=5, generator=0, busy=False)


def test_each_press_is_shown(open_figure):
    figure = open_figure(STEPS)
    maps = {figure.until(discriminator=0, busy=False)["map"]}
    for i in range(1, 6):
        figure.press("Train the discriminator")
        maps.add(figure.until(discriminator=i, busy=False)["map"])
    assert len(maps) == 6


def test_a_hidden_training_stops_and_goes_on_where_it_is_shown_again(open_figure):
    figure = open_figure(STEPS)
    figure.until(discriminator=0, busy=False)
    # many requests' worth, which is hidden while the first one is under way
    figure.page.evaluate(f"() => {{ {COURSE}.figures.steps.train([['both', 500]]); {COURSE}.open({STEPS + 1}); }}")
    figure.page.wait_for_function(f"!{COURSE}.figures.steps.pull.busy")
    answers, steps = figure.page.evaluate(f"(({{pull, place}}) => [pull.answers, place.dataset.discriminator])"
                                          f"({COURSE}.figures.steps)")
    assert (answers, steps) == (1, "0")
    figure.page.get_by_role("link", name=f"Step {STEPS}").click()
    figure.until(discriminator=500, generator=500, busy=False)


def test_the_untrained_networks_are_drawn_without_the_server_and_a_lost_step_can_be_tried_again(open_figure):
    figure = open_figure(STEPS)
    figure.page.route(SERVER, lambda route: route.abort())
    figure.press("Reset")
    assert figure.until(discriminator=0)["map"]
    figure.press("Train the discriminator")
    figure.place.get_by_text("The server does not answer.").wait_for()
    figure.page.unroute(SERVER)
    figure.wrong.clear()  # of the requests that were stopped
    figure.press("Try again")
    figure.until(discriminator=1, busy=False)


def test_the_labs_own_training_is_kept_beside_it_and_both_end_with_the_page(browser, tmp_path):  # noqa: F811
    with lab_page(tmp_path) as shown:
        context = browser.new_context(**WIDE)
        figure = Figure(context.new_page(), shown.address, STEPS)
        lab = "document.querySelector('#lab .lab')?.ganlab?.stage"
        figure.tab("Lab")
        figure.page.wait_for_function(f"() => {lab}?.film && !{lab}.next")
        figure.page.evaluate(f"{lab}.startPoints() && {lab}.step('both')")
        figure.page.wait_for_function(f"() => !{lab}.next && !{lab}.film.asking && {lab}.film.last.header.step === 1")
        until(lambda: shown.labs() == 1, LONGEST)
        figure.tab("How it works")
        figure.press("Train the discriminator")
        figure.until(discriminator=1, busy=False)
        until(lambda: shown.labs() == 2, LONGEST)
        figure.tab("Lab")
        figure.page.evaluate(f"{lab}.step('both')")
        figure.page.wait_for_function(f"() => !{lab}.film.asking && {lab}.film.last.header.step === 2")
        until(lambda: shown.labs() == 2, LONGEST)
        assert figure.wrong == []
        context.close()
        until(lambda: shown.labs() == 0, LONGEST)


# the films of troubles and cures


@pytest.mark.parametrize("options", [WIDE, NARROW], ids=["desktop", "phone"])
def test_both_films_play_by_themselves_in_step_to_their_end(open_figure, options):
    figure = open_figure(TROUBLES_STEP, **options)
    figure.until(loaded=True, playing=True)
    early = figure.pixels()
    assert len(early) == 2
    end = figure.until(playing=False, position=39)
    assert (end["frames"], end["step"]) == ("40", "800")
    assert all(one != other for one, other in zip(early, figure.pixels()))
    shown = figure.page.evaluate(f"""{COURSE}.figures.troubles.sides
        .map(({{film, view}}) => [view.film === film, film.frames.map(({{header}}) => header.step).join()])""")
    assert shown[0] == shown[1] == [True, shown[0][1]]
    numbers = r"After 800 steps: distance .*, 2 of 8 modes\. With the cure: .*, 8 of 8 modes\."
    figure.place.get_by_text(re.compile(numbers)).wait_for()
    assert figure.fits()


def test_the_keyboard_scrubs_and_the_numbers_follow(open_figure):
    figure = open_figure(TROUBLES_STEP, reduced_motion="reduce")
    figure.until(loaded=True)
    slider = figure.place.get_by_role("slider", name="Time")
    slider.focus()
    figure.page.keyboard.press("Home")
    figure.until(position=0, step=0, playing=False)
    first = figure.place.locator("dd").all_inner_texts()
    figure.page.keyboard.press("ArrowRight")
    figure.until(position=1)
    assert slider.get_attribute("aria-valuetext") == figure.place.locator("output").inner_text() == "step 21"
    figure.page.keyboard.press("End")
    figure.until(position=39)
    last = figure.place.locator("dd").all_inner_texts()
    assert last[1] == "2 of 8"
    assert last[4] == "8 of 8"
    assert first != last


def test_a_film_pauses_by_its_button_and_where_it_is_not_seen(open_figure):
    figure = open_figure(TROUBLES_STEP)
    figure.until(loaded=True, playing=True)
    figure.press("Pause")
    at = figure.until(playing=False)["position"]
    for leave in (lambda: figure.tab("Lab"), lambda: figure.page.get_by_role("link", name="Step 7").click()):
        figure.press("Play")
        figure.until(playing=True)
        leave()
        figure.page.wait_for_function("""() =>
            document.querySelector("[data-figure=troubles]").dataset.playing === "false" """)
        place = figure.page.locator("[data-figure=troubles]")
        assert int(place.get_attribute("data-position")) >= int(at)
        before = place.get_attribute("data-position")
        # many frames of the browser later it is still there
        figure.page.evaluate("""() => new Promise(resolve => {
            let frames = 30;
            const next = () => frames-- ? requestAnimationFrame(next) : resolve();
            next();
        })""")
        assert place.get_attribute("data-position") == before
        figure.tab("How it works")
        figure.page.get_by_role("link", name="Step 8").click()
        at = figure.until(playing=False, loaded=True)["position"]


def test_nothing_plays_by_itself_where_motion_is_reduced(open_figure):
    figure = open_figure(TROUBLES_STEP, reduced_motion="reduce")
    assert figure.until(loaded=True)["playing"] == "false"
    assert figure.data()["position"] == "39"
    figure.press("Play")
    figure.until(playing=True)


def test_each_trouble_has_its_films(open_figure):
    figure = open_figure(TROUBLES_STEP, reduced_motion="reduce")
    for trouble, cure in TROUBLES:
        figure.place.get_by_label(trouble.title, exact=True).check()
        figure.until(name=trouble.name, loaded=True, position=39)
        assert figure.place.get_by_role("heading").all_inner_texts() == [trouble.title, cure.title]
        assert len(set(figure.pixels())) == 2


def test_each_film_is_fetched_once_whatever_is_chosen_meanwhile_and_pause_holds(open_figure):
    figure = open_figure(STEPS)
    figure.page.evaluate(HOLD_FILMS)
    figure.page.get_by_role("link", name=f"Step {TROUBLES_STEP}").click()
    first, second = TROUBLES[:2]
    for trouble, _ in (second, first, second):
        figure.place.get_by_label(trouble.title, exact=True).check()
        figure.until(name=trouble.name, loaded=False)
    figure.page.evaluate("release()")
    figure.until(loaded=True, playing=True)
    figure.press("Pause")
    figure.page.wait_for_function(f"{COURSE}.figures.troubles.films.size === 2")
    figure.page.evaluate(f"{COURSE}.wire.last")  # what was asked for after these, if anything was
    assert sorted(figure.page.evaluate("films")) == sorted(story.name for pair in (first, second) for story in pair)
    assert figure.data()["playing"] == "false"


def test_stills_are_drawn_without_the_server_and_the_films_can_be_tried_again(browser, address):  # noqa: F811
    context = browser.new_context(**WIDE)
    page = context.new_page()
    page.route(SERVER, lambda route: route.abort())
    figure = Figure(page, address, TROUBLES_STEP)
    figure.until(loaded=False, position=0, step=800)
    assert len(set(figure.pixels())) == 2
    figure.place.get_by_text("The server does not answer.").wait_for()
    page.unroute(SERVER)
    figure.wrong.clear()  # of the requests that were stopped
    figure.press("Try again")
    figure.until(loaded=True)
    figure.close()
    assert figure.wrong == []


def test_a_story_goes_on_in_the_lab(open_figure):
    figure = open_figure(TROUBLES_STEP, reduced_motion="reduce")
    figure.until(loaded=True)
    figure.place.get_by_role("button", name="Train it live in the Lab").last.click()
    figure.page.wait_for_function("""() => document.querySelector('#lab .lab')?.ganlab?.stage.live?.about.story?.name
        === 'two-time-scales'""")
