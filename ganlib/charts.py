"""Charts of toy distributions and of training runs, as matplotlib figures, SVG or PNG. Knows nothing of models.

A chart is drawn once for light and dark pages alike: as SVG its ink is the CSS variable `--chart-ink`, its ground is
transparent, and real is blue and generated orange on either.
"""

import html
import io
import math
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from ganlib.data import Points

REAL, FAKE, SECOND = "#3b82f6", "#f97316", "#a855f7"
INK = "#5b6478"  # readable on white and on near-black; as SVG a page may give it another colour
LN2 = math.log(2)

OPINION = LinearSegmentedColormap.from_list("opinion", [FAKE, "#fdfdfd", REAL])
STYLE = {
    "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none",
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "font.size": 9, "legend.frameon": False, "svg.fonttype": "path",
}


_settings = threading.Lock()  # matplotlib's are the whole process's, and pages draw in threads


@contextmanager
def _style() -> Iterator[None]:
    with _settings, rc_context(STYLE):
        yield


def _figure(title: str, columns: int = 1, width: float = 4.2, height: float = 3.2):
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    axes[0].set_title(title)
    return figure, axes


def chart(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw under this module's style and give matplotlib's settings back."""
    def styled(*args, **kwargs) -> Figure:
        with _style():
            return draw(*args, **kwargs)
    styled.__doc__, styled.__name__ = draw.__doc__, draw.__name__
    return styled


def to_svg(figure: Figure, label: str) -> str:
    """The figure as an <svg> element that fills its container's width and takes its ink from `--chart-ink`."""
    buffer = io.StringIO()
    with _style():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r'^<svg [^>]*?viewBox="([^"]*)"[^>]*>',
                 rf'<svg viewBox="\1" role="img" aria-label="{label}" width="100%" '
                 r'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">', svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return svg.replace(INK, f"var(--chart-ink, {INK})")


def to_html(figures: Iterable[tuple[Figure, str]]) -> str:
    """Figures with their captions, side by side where there is room; the page's style sheet knows the class."""
    return '<div class="charts">' + "".join(
        f"<figure>{to_svg(figure, html.escape(figure.axes[0].get_title('left')))}"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>" for figure, caption in figures) + "</div>"


def to_png(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as a PNG on white."""
    buffer = io.BytesIO()
    with _style():
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def points(real: Tensor, fake: Tensor, data: Points) -> Figure:
    """Real and generated samples of a toy distribution: histograms of numbers, a scatter plot of points."""
    if data.shape[0] == 1:
        return histogram(real, fake, data.density)
    return scatter(real, fake, data.extent, data.curve(200))


def outside(values: Tensor, low: float, high: float) -> float:
    """The share of numbers that lie outside of [low, high], which a histogram over it does not show."""
    return 1 - ((values >= low) & (values <= high)).double().mean().item()


@chart
def histogram(real: Tensor, fake: Tensor, density: Callable[[Tensor], Tensor]) -> Figure:
    """Real and generated numbers (N, 1) as histograms, with the true density drawn over them.

    Bars show shares of all numbers, those outside of the axis included, of which the legend says how many there are.
    """
    figure, (axes,) = _figure("Real and generated numbers")
    x = _line(real)
    low, high = x[0].item(), x[-1].item()
    bins = torch.linspace(low, high, 61).numpy()
    for values, color, label in ((real, REAL, "real"), (fake, FAKE, "generated")):
        weights = [1 / (len(values) * (bins[1] - bins[0]))] * len(values)
        missing = outside(values, low, high)
        note = f" ({missing:.1%} outside)" if missing >= 0.005 else ""
        axes.hist(values.flatten().numpy(), bins, weights=weights, color=color, alpha=0.45, label=label + note)
    axes.plot(x.numpy(), density(x[:, None]).numpy(), color=INK, linewidth=1.6, label="true density")
    axes.set_xlim(x[0].item(), x[-1].item())
    axes.set(xlabel="x", ylabel="density")
    axes.legend(fontsize=8)
    return figure


@chart
def scatter(real: Tensor, fake: Tensor, extent: tuple[float, ...], curve: Tensor | None = None) -> Figure:
    """Real and generated points (N, 2) on `extent` (x1, x1, x2, x2), and the curve (M, 2) that real ones may lie on."""
    figure, (axes,) = _figure("Real and generated points")
    for values, color, label, size in ((real, REAL, "real", 9), (fake, FAKE, "generated", 5)):
        axes.scatter(*values.T.numpy(), s=size, color=color, alpha=0.5, linewidths=0, label=label, rasterized=True)
    if curve is not None:
        axes.plot(*curve.T.numpy(), color=INK, linewidth=0.8, label="x₂ = sin x₁")
    axes.set(xlabel="x₁", ylabel="x₂", xlim=extent[:2], ylim=extent[2:])
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, markerscale=2)  # within, it would hide a corner
    return figure


@chart
def opinion_line(x: Tensor, discriminator: Tensor, best: Tensor) -> Figure:
    """What the discriminator says along x (N,), D(x) (N,), beside the best possible p/(p + q) (N,)."""
    figure, (axes,) = _figure("The discriminator’s opinion")
    axes.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
    axes.plot(x.numpy(), best.numpy(), color=INK, linewidth=1.4, linestyle="--", label="best possible, p/(p+q)")
    axes.plot(x.numpy(), discriminator.numpy(), color=SECOND, linewidth=1.8, label="D(x)")
    axes.set_xlim(x[0].item(), x[-1].item())
    axes.set(xlabel="x", ylabel="probability real", ylim=(0, 1))
    axes.legend(fontsize=8)
    return figure


@chart
def opinion_map(discriminator: Tensor, best: Tensor, extent: tuple[float, ...],
                curve: Tensor | None = None) -> Figure:
    """The same over the plane: two maps (H, W), rows from the lowest x2 up, on `extent` (x1, x1, x2, x2)."""
    figure, axes = _figure("D(x)", columns=2)
    axes[1].set_title("Best, p/(p+q)")
    for ax, values in zip(axes, (discriminator, best)):
        image = ax.imshow(values.numpy(), OPINION, vmin=0, vmax=1, origin="lower", extent=extent, aspect="auto")
        if curve is not None:
            ax.plot(*curve.T.numpy(), color="#1f2937", linewidth=0.8)
        ax.set(xlabel="x₁", xlim=extent[:2], ylim=extent[2:])
    axes[0].set_ylabel("x₂")
    axes[1].set_yticklabels([])
    figure.colorbar(image, ax=list(axes), location="bottom", shrink=0.6, aspect=40, label="probability real")
    return figure


@chart
def losses(history: list[dict]) -> Figure:
    """Both losses of a run by step, the penalties where there are any, and a line at ln 2.

    Where generated and real samples are alike and D(x) = 1/2, binary cross-entropy and the relativistic loss are ln 2.
    """
    figure, (axes,) = _figure("Losses of the training run")
    history = [row for row in history if {"discriminator_loss", "generator_loss"} <= row.keys()]  # others hold measures
    steps = [row["step"] for row in history]
    axes.axhline(LN2, color=INK, linewidth=0.8, linestyle=":", label="ln 2 ≈ 0.693")
    for key, color, label in (("discriminator_loss", SECOND, "discriminator"), ("generator_loss", FAKE, "generator")):
        axes.plot(steps, [row[key] for row in history], color=color, linewidth=1.2, label=label)
    penalised = [row for row in history if "penalty" in row]
    if penalised:
        axes.plot([row["step"] for row in penalised], [row["penalty"] for row in penalised], color=REAL, linewidth=1.0,
                  label="penalties")
    everything = sorted(row[key] for row in history for key in ("discriminator_loss", "generator_loss"))
    if everything:
        low, high = everything[len(everything) // 100], everything[-1 - len(everything) // 100]
        margin = 0.1 + 0.1 * (high - low)
        axes.set_ylim(min(low, LN2, 0 if penalised else LN2) - margin, max(high, LN2) + margin)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend(fontsize=8, ncols=2, loc="upper right")
    return figure


@chart
def census(shares: list[float], real_shares: list[float], count: int) -> Figure:
    """Share of each class among `count` samples, beside its share in real data."""
    figure, (axes,) = _figure(f"A census of {count:,} samples")
    places = range(len(shares))
    for offset, values, color, label in ((-0.2, real_shares, REAL, "real"), (0.2, shares, FAKE, "generated")):
        axes.bar([place + offset for place in places], [100 * value for value in values], 0.4, color=color, alpha=0.8,
                 label=label)
    axes.set_xticks(list(places))
    axes.set(xlabel="digit", ylabel="share in %", ylim=(0, 100 * 1.3 * max(*shares, *real_shares)))
    axes.legend(fontsize=8, ncols=2, loc="upper right")
    return figure


@chart
def curves(history: list[dict], others: dict[str, list[dict]] | None = None) -> Figure:
    """FID, and precision and recall, over a run: of those rows of its history where they were measured.

    others: histories of other runs by their names, of which the FID is shown too.
    """
    figure, (axes,) = _figure("Measured while it learned")
    rows = [row for row in history if {"fid_digit_classifier", "precision", "recall"} <= row.keys()]
    steps = [row["step"] for row in rows]
    axes.plot(steps, [row["fid_digit_classifier"] for row in rows], color=FAKE, linewidth=1.6, label="FID (left)")
    for name, other in (others or {}).items():
        points = [(row["step"], row["fid_digit_classifier"]) for row in other if "fid_digit_classifier" in row]
        axes.plot(*zip(*points), color=FAKE, linewidth=1.2, linestyle="--", label=f"FID of {name}")
    axes.set(xlabel="step", ylabel="FID, digit-classifier features", yscale="log")
    other = axes.twinx()
    other.spines["right"].set_visible(True)
    for key, color in (("precision", SECOND), ("recall", REAL)):
        other.plot(steps, [row[key] for row in rows], color=color, linewidth=1.2, label=f"{key} (right)")
    other.set(ylim=(0, 1))
    lines = [*axes.get_lines(), *other.get_lines()]
    axes.legend(lines, [line.get_label() for line in lines], fontsize=8, loc="center right")
    return figure


def _line(real: Tensor) -> Tensor:
    """Where to draw a distribution on the line: its sample's span and a little more, as 241 points."""
    low, high = real.quantile(0.001).item(), real.quantile(0.999).item()
    return torch.linspace(low - 0.1 * (high - low), high + 0.1 * (high - low), 241)
