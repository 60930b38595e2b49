"""Figures 1, 4 and 6 of the course in a real browser: their numbers are those of `ganlib.lessons`."""

import json
import math

import pytest
import torch

from ganlib import lessons
from ganlib.demo import course
from ganlib.demo.curves import EXTENT, GRID
from ganlib.lessons import GaussianClasses, Linear
from tests.browser.test_page import CHROMIUM, NARROW, WIDE, Visit, browser  # noqa: F401, a fixture

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")]

NAMES = ["classifiers", "gradients", "optimum"]
# in the calm one, what moves goes to its end at once
SCREENS = {"calm": {**WIDE, "reduced_motion": "reduce"}, "wide": WIDE, "phone": NARROW}
COURSE = "[...document.querySelectorAll('#how, #how *')].find(({ganlab}) => ganlab).ganlab.course"
LN2 = math.log(2)
INKED = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
    .filter((value, i) => i % 4 === 3 && value > 0).length / (canvas.width * canvas.height)"""


class Figure:
    """A step of the course with its figure as it is when it is first shown, in a page that tests share."""

    def __init__(self, visit: Visit, name: str):
        self.visit, self.page = visit, visit.page
        step = next(step.number for step in course.steps() if step.figure == name)
        self.page.evaluate(f"""([name, step]) => {{
            const course = {COURSE};
            course.open(step);
            course.tell("hide");
            course.places[name].remove();
            course.begin(name);
            course.tell("show");
        }}""", [name, step])
        self.place = self.page.locator(f"[data-figure={name}]")
        self.canvas = self.place.locator("canvas")
        self.canvas.scroll_into_view_if_needed()

    def told(self, name: str):
        """What a figure has in its dataset: JSON, numbers with commas between them, or a word."""
        text = self.place.evaluate("(place, name) => place.dataset[name]", name)
        try:
            return json.loads(text)
        except ValueError:
            return [float(part) for part in text.split(",")] if "," in text else text

    def until(self, condition: str) -> None:
        """Wait for a condition on the figure's dataset, called data."""
        self.page.wait_for_function(f"place => {{ const data = place.dataset; return {condition}; }}",
                                    arg=self.place.element_handle())

    def set(self, label: str, value: float) -> None:
        self.place.get_by_label(label, exact=True).evaluate("""(slider, value) => {
            slider.value = value;
            slider.dispatchEvent(new Event("input", {bubbles: true}));
        }""", value)

    def press(self, name: str) -> None:
        self.place.get_by_role("button", name=name).click()

    def choose(self, name: str) -> None:
        self.place.locator("label.stage-chip", has_text=name).click()

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag the mouse from a place on the canvas, in shares of its width and height, to another."""
        box = self.canvas.bounding_box()
        (x, y), (to_x, to_y) = (
            (box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in (start, end))
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(to_x, to_y, steps=4)
        self.page.mouse.up()

    def note(self) -> str:
        return self.place.get_by_role("status").inner_text()


@pytest.fixture(scope="module")
def visits(browser, address):  # noqa: F811
    """A page for each screen, with the course open."""
    found = {}
    for name, screen in SCREENS.items():
        found[name] = Visit(browser.new_context(**screen).new_page(), address)
        found[name].tab("How it works")
        found[name].page.locator("#how .how-figure canvas").first.wait_for()
    yield found
    for visit in found.values():
        visit.page.context.close()


@pytest.fixture
def opened(visits):
    def open(name: str, screen: str = "calm") -> Figure:
        return Figure(visits[screen], name)

    yield open
    for visit in visits.values():
        assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert visit.wrong == []


def points_of(figure: Figure) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.tensor(figure.told("points"), dtype=torch.float64)
    return rows[:, :2], rows[:, 2].long()


def linear(numbers: list[float]) -> Linear:
    return Linear(torch.tensor(numbers[:2], dtype=torch.float64), torch.tensor(numbers[2], dtype=torch.float64))


def check_classifiers(figure: Figure, naive: bool = False) -> None:
    """Whether all numbers of the figure are what ganlib computes of its points."""
    x, y = points_of(figure)
    logistic, gaussian = linear(figure.told("logistic")), GaussianClasses.fit(x, y, naive).linear()
    assert figure.told("gaussian") == pytest.approx([*gaussian.weight.tolist(), gaussian.bias.item()])
    models = (logistic, gaussian)
    assert figure.told("losses") == pytest.approx([lessons.logistic_loss(model, x, y) for model in models])
    assert figure.told("accuracies") == pytest.approx([model.accuracy(x, y) for model in models])
    assert figure.told("agreement") == pytest.approx(lessons.agreement(logistic, gaussian, EXTENT), abs=2e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_shows_a_picture_at_once_and_fits_a_phone(opened, name):
    figure = opened(name, "phone")
    assert figure.canvas.evaluate(INKED) > 0.02
    assert figure.canvas.bounding_box()["width"] > 300
    assert figure.place.locator("button, input[type=range]").count() >= 2


def test_logistic_regression_takes_the_steps_of_gradient_descent(opened):
    figure = opened("classifiers")
    x, y = points_of(figure)
    trained = lessons.logistic_fit(x, y, figure.told("step"))
    assert figure.told("step") > 500
    assert figure.told("logistic") == pytest.approx([*trained.weight.tolist(), trained.bias.item()], rel=1e-6)
    check_classifiers(figure)


def test_logistic_regression_trains_before_ones_eyes(opened):
    figure = opened("classifiers", "wide")
    figure.press("Train again")
    first = figure.told("step")
    assert first < 60
    loss = figure.told("losses")[0]
    figure.until(f"Number(data.step) > {first} + 100")
    assert figure.told("losses")[0] < loss


def test_each_control_of_the_clouds_changes_the_points_and_both_boundaries(opened):
    figure = opened("classifiers")
    seen = [figure.told("points")]
    for change in (lambda: figure.set("Spread", 1.1), lambda: figure.set("Correlation", -0.6),
                   lambda: figure.set("Points", 100), lambda: figure.choose("Outliers"),
                   lambda: figure.press("New data")):
        change()
        assert figure.told("points") not in seen
        seen.append(figure.told("points"))
        check_classifiers(figure)
    assert points_of(figure)[1].bincount().tolist() == [100, 120]
    figure.choose("Naive Bayes")
    check_classifiers(figure, naive=True)


def test_a_cloud_is_dragged_and_moved_by_keys(opened):
    figure = opened("classifiers")
    before, points = figure.told("centres"), figure.told("points")
    share = (before[0][0] + 4) / 8, (3 - before[0][1]) / 6
    figure.drag(share, (share[0] - 0.125, share[1] + 0.25))
    (x, y), other = figure.told("centres")
    assert (x, y) == pytest.approx((before[0][0] - 1, before[0][1] - 1.5), abs=0.03)
    assert other == before[1]
    assert figure.told("points")[0][0] == pytest.approx(points[0][0] - 1, abs=0.03)
    handle = figure.place.get_by_role("button", name="Centre of class 1")
    handle.focus()
    figure.page.keyboard.press("ArrowUp")
    figure.page.keyboard.press("Shift+ArrowLeft")
    assert figure.told("centres")[1] == pytest.approx([before[1][0] - 0.5, before[1][1] + 0.1])
    check_classifiers(figure)


def test_the_generative_model_alone_draws_new_points(opened):
    figure = opened("classifiers")
    assert figure.told("drawn") == []
    for _ in range(3):
        figure.press("Draw new points")
    drawn = torch.tensor(figure.told("drawn"), dtype=torch.float64)
    assert len(drawn) == 40
    assert figure.note() == "These 40 points are new. Logistic regression draws none: it knows only p(y\xa0|\xa0x)."
    x, y = points_of(figure)
    model = GaussianClasses.fit(x, y)
    centred = torch.linalg.solve_triangular(torch.linalg.cholesky(model.covariance),
                                            (drawn[:, :2] - model.means[drawn[:, 2].long()]).T, upper=False)
    assert centred.abs().max() < 5
    assert 0.6 < centred.std() < 1.4
    figure.set("Spread", 0.5)
    assert figure.told("drawn") == []  # the model is another one


def check_gradients(figure: Figure) -> None:
    logit = figure.told("logit")
    found = lessons.generator_losses(torch.tensor([logit], dtype=torch.float64))
    assert figure.told("losses") == pytest.approx([value.item() for value, _ in found.values()])
    assert figure.told("gradients") == pytest.approx([slope.item() for _, slope in found.values()])
    assert figure.told("probability") == pytest.approx(1 / (1 + math.exp(-logit)))


def test_both_losses_and_gradients_follow_the_logit(opened):
    figure = opened("gradients")
    assert figure.told("logit") < -2  # the discriminator wins, so that the difference is seen at once
    check_gradients(figure)
    assert figure.note() == "The gradient of −log\xa0D is 55 times that of log(1\xa0−\xa0D)."
    for logit in (0, 2.5, 6):
        figure.set("Logit a", logit)
        assert figure.told("logit") == logit
        check_gradients(figure)
    figure.place.get_by_label("Logit a", exact=True).focus()
    figure.page.keyboard.press("ArrowLeft")
    assert figure.told("logit") == pytest.approx(5.9)


def test_the_logit_is_dragged_over_either_axis(opened):
    figure = opened("gradients")
    figure.drag((0.3, 0.3), (0.52, 0.3))
    assert abs(figure.told("logit")) < 0.3
    figure.choose("Over D(G(z))")
    assert figure.told("view") == "probability"
    figure.drag((0.3, 0.3), (0.77, 0.3))
    assert figure.told("probability") == pytest.approx(0.75, abs=0.03)
    check_gradients(figure)


def test_the_saturating_loss_stalls_where_the_other_one_gets_on(opened):
    figure = opened("gradients")
    figure.set("Logit a", -5)
    figure.press("Take 120 steps")
    expected = [lessons.descend(name, -5, 120, 0.1)[-1] for name in lessons.GENERATOR_LOSSES]
    assert figure.told("ends") == pytest.approx(expected)
    assert expected[0] < -4.8 < 1 < expected[1]
    assert f"{expected[1] + 5:.2f}" in figure.note()
    moving = opened("gradients", "wide")
    moving.press("Take 120 steps")
    moving.until("Number(data.steps) === 120")


def check_optimum(figure: Figure) -> None:
    p, q = (lessons.normal_density(GRID, *given) for given in ((0, 1), (figure.told("mean"), figure.told("width"))))
    best = lessons.best_discriminator(p, q)
    d = best if figure.told("mode") == "best" else torch.full_like(best, 0.5)
    assert figure.told("loss") == pytest.approx(lessons.discriminator_loss(d, p, q, GRID), abs=1e-8)
    assert figure.told("divergence") == pytest.approx(lessons.jensen_shannon(p, q, GRID).item(), abs=1e-8)
    places = [(GRID - x).abs().argmin().item() for x in (-2, 0, 2)]
    assert figure.told("best") == pytest.approx(best[places].tolist())


def test_the_best_loss_and_the_divergence_add_up_to_ln_2_for_each_q(opened):
    figure = opened("optimum")
    for mean, width in ((2, 1), (-3.5, 0.5), (0.4, 2), (0, 1)):
        figure.set("Mean of q", mean)
        figure.set("Width of q", width)
        assert figure.told("mean") == mean
        check_optimum(figure)
        assert figure.told("loss") + figure.told("divergence") == pytest.approx(LN2, abs=1e-5)
    assert "½ everywhere" in figure.note()


def test_a_constant_discriminator_has_ln_2_for_each_q(opened):
    figure = opened("optimum")
    figure.choose("A constant D")
    for mean, width in ((2, 1), (-4, 0.5), (0, 1)):
        figure.set("Mean of q", mean)
        figure.set("Width of q", width)
        check_optimum(figure)
        assert figure.told("loss") == pytest.approx(LN2, abs=1e-5)
        assert figure.place.locator(".how-optimum-row b").first.inner_text() == "0.693"
    figure.set("Mean of q", 2)
    figure.press("Let q learn")
    figure.until("Number(data.steps) > 0")
    assert figure.note() == "The gradient of a constant D is 0: q learns nothing."
    assert figure.told("mean") == 2


def test_q_is_dragged_and_learns_to_be_p(opened):
    figure = opened("optimum", "wide")
    figure.drag((0.7, 0.5), (0.85, 0.5))
    assert 3.6 < figure.told("mean") <= 4
    figure.set("Mean of q", 2)
    figure.set("Width of q", 0.6)
    first = figure.told("divergence")
    figure.press("Let q learn")
    figure.until("Number(data.divergence) <= 1e-4")
    assert first > 0.3
    assert abs(figure.told("mean")) < 0.1
    assert figure.told("width") == pytest.approx(1, abs=0.05)
    check_optimum(figure)


def test_with_reduced_motion_q_is_drawn_at_its_end_alone_and_the_page_is_not_blocked(opened):
    figure = opened("optimum")
    figure.page.evaluate(f"""() => {{
        const figure = {COURSE}.figures.optimum, own = figure.tell.bind(figure);
        window.shown = [];
        window.frames_between = 0;
        figure.tell = () => {{ own(); shown.push(figure.steps); }};
        const count = () => {{ frames_between++; if (shown.length < 2) requestAnimationFrame(count); }};
        figure.begin();
        requestAnimationFrame(count);
    }}""")
    figure.until("Number(data.steps) > 0")
    assert figure.told("divergence") <= 1e-4
    assert figure.page.evaluate("shown") == [0, figure.told("steps")]
    assert figure.page.evaluate("frames_between") > 2
    check_optimum(figure)


def test_q_takes_the_steps_of_gradient_descent(opened):
    figure = opened("optimum")
    mean, log_width = 2.0, 0.0
    figure.press("Let q learn")
    figure.until("Number(data.steps) > 0")
    for _ in range(figure.told("steps")):
        width = math.exp(log_width)
        q = lessons.normal_density(GRID, mean, width)
        best = lessons.best_discriminator(lessons.normal_density(GRID, 0, 1), q)
        slopes = lessons.slope_of_generator(best, mean, width, GRID)
        mean, log_width = mean - 0.06 * slopes[0], log_width - 0.06 * slopes[1]
    assert (figure.told("mean"), figure.told("width")) == pytest.approx((mean, math.exp(log_width)), abs=1e-6)
