import threading
import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest
import torch

from ganlib import charts
from ganlib.toys import RING, Gaussian, Sine

HISTORY = [{"step": i, "discriminator_loss": 0.69, "generator_loss": 0.7} for i in range(1, 50)]
LINE, CURVE = torch.linspace(-5, 10, 50), Sine().curve(50)


def points(data) -> torch.Tensor:
    return data.batch(200, torch.Generator().manual_seed(0))[0]


CHARTS = {
    "histogram": lambda: charts.points(points(Gaussian()), points(Gaussian()), Gaussian()),
    "scatter": lambda: charts.scatter(points(Sine()), points(Sine()), Sine().extent, CURVE),
    "scatter without a curve": lambda: charts.scatter(points(RING), points(RING), RING.extent),
    "probability_line": lambda: charts.probability_line(LINE, LINE.sigmoid(), torch.full_like(LINE, 0.5)),
    "probability_map": lambda: charts.probability_map(torch.full((4, 6), 0.3), torch.full((4, 6), torch.nan),
                                                      (0, 6, -1, 1), CURVE),
    "class_shares": lambda: charts.class_shares([0.1] * 10, [0.2, 0.0] * 5, 1000),
    "curves of a run that was not measured": lambda: charts.curves(HISTORY),
    "curves of two runs": lambda: charts.curves([{"step": 1, "fid_digit_classifier": 2.0, "precision": 0, "recall": 0}],
                                                {"another": [{"step": 1, "fid_digit_classifier": 3.0}], "none": []}),
    "losses": lambda: charts.losses(HISTORY),
    "losses of an unfinished run": lambda: charts.losses([]),
}


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_is_a_picture_for_light_and_dark_pages(name):
    before = dict(matplotlib.rcParams)
    svg = charts.to_svg(CHARTS[name](), "what it shows")
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert root.attrib["aria-label"] == "what it shows"
    assert root.attrib["width"] == "100%"
    assert "height" not in root.attrib
    assert "var(--chart-ink" in svg
    assert dict(matplotlib.rcParams) == before


def test_a_chart_is_a_png_for_the_weights_folder():
    assert charts.to_png(CHARTS["scatter"](), dpi=50).startswith(b"\x89PNG")


def test_another_runs_fid_stands_beside_a_runs_own():
    measured = [{"step": n, "fid_digit_classifier": 9.0 / n, "precision": 0.5, "recall": 0.6} for n in (1, 2, 3)]
    slower = [{"step": n, "fid_digit_classifier": 99.0 / n, "precision": 0.1, "recall": 0.2} for n in (2, 3)]
    axes, _ = charts.curves([*measured, *HISTORY], {"the slower": [*slower, *HISTORY]}).axes
    own, other = axes.get_lines()
    assert list(other.get_ydata()) == [99.0 / 2, 99.0 / 3]
    assert list(own.get_ydata()) == [9.0, 9.0 / 2, 3.0]
    assert other.get_label() == "FID of the slower"
    assert "FID of the slower" in [text.get_text() for text in axes.get_legend().get_texts()]


def area(bars) -> float:
    return sum(bar.get_height() * bar.get_width() for bar in bars)


def test_the_histogram_is_of_the_samples_and_the_density_of_the_truth():
    (axes,) = charts.points(points(Gaussian()), points(Gaussian()), Gaussian()).axes
    assert [area(bars) for bars in axes.containers] == pytest.approx([1, 1], abs=0.01)
    assert axes.lines[0].get_ydata().max() == pytest.approx(0.1995, abs=1e-3)


def test_the_histogram_does_not_hide_numbers_that_lie_outside():
    real, fake = points(Gaussian()), points(Gaussian())
    fake[:100] = 1_000
    (axes,) = charts.points(real, fake, Gaussian()).axes
    assert area(axes.containers[1]) == pytest.approx(0.5, abs=0.01)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "real", "generated (50.0% outside)", "true density"]


def lines(history: list[dict], **options) -> dict[str, list[float]]:
    """The lines of the chart of losses, by their labels."""
    (axes,) = charts.losses(history, **options).axes
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines}


def test_penalties_have_a_curve_of_their_own_beside_the_losses():
    drawn = lines([row | {"penalty": 0.1 * row["step"]} for row in HISTORY])
    assert drawn["discriminator"] == [0.69] * 49
    assert drawn["generator"] == [0.7] * 49
    assert drawn["penalties"] == pytest.approx([0.1 * step for step in range(1, 50)])
    assert "penalties" not in lines(HISTORY)


def test_losses_that_can_be_ln_2_have_a_line_there():
    assert lines(HISTORY)["ln 2 ≈ 0.693"][0] == pytest.approx(0.6931, abs=1e-4)
    assert set(lines(HISTORY, ln2=False)) == {"discriminator", "generator"}


def test_charts_drawn_in_two_threads_both_have_the_style():
    drawing, enough = threading.Event(), threading.Event()

    @charts.style()
    def slow() -> None:
        drawing.set()
        enough.wait(60)

    @charts.style()
    def colour_after_the_slow_one() -> str:
        thread.join(60)
        return matplotlib.rcParams["text.color"]

    thread = threading.Thread(target=slow)
    thread.start()
    drawing.wait(60)
    threading.Timer(0.1, enough.set).start()
    assert colour_after_the_slow_one() == charts.INK
