"""Charts of toy distributions and of training runs, as matplotlib figures, SVG or PNG. Imports nothing of models.

One chart serves light and dark pages: as SVG its text and axes have the CSS variable `--chart-ink` as colour, its
background is transparent, and real is blue and generated orange on both.
"""

import html
import io
import logging
import math
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ganlib.checks import needs


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keeps a library's logger from warnings inside a `with` block."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


needs("a chart", "app", "matplotlib")
with _quiet("matplotlib"):  # without a home folder it says that its cache is a temporary folder
    from matplotlib import rc_context
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

REAL, FAKE, SECOND = "#3b82f6", "#f97316", "#a855f7"
INK = "#5b6478"  # readable on white and on near-black; as SVG a page may give it another colour
LN2 = math.log(2)
PROBABILITY = LinearSegmentedColormap.from_list("probability", [FAKE, "#fdfdfd", REAL])
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none",
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "font.size": 9, "legend.frameon": False, "legend.fontsize": 8,
    "legend.loc": "upper right", "svg.fonttype": "path",
}

_settings = threading.Lock()  # matplotlib's settings belong to the process, and pages draw in threads


@contextmanager
def style() -> Iterator[None]:
    """Draw in this module's style, then restore matplotlib's settings; also a decorator, `@style()`."""
    with _settings, rc_context(STYLE):
        yield


def _figure(title: str, columns: int = 1) -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.2, 3.2), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    axes[0].set_title(title)
    return figure, axes


def to_svg(figure: Figure, label: str) -> str:
    """The figure as an <svg> element as wide as its container, in the colour `--chart-ink`."""
    buffer = io.StringIO()
    with style():
        if layout := figure.get_layout_engine():
            layout.execute(figure)  # savefig would draw everything once more for that
            figure.set_layout_engine("none")
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = re.sub(r'^.*?<svg [^>]*?viewBox="([^"]*)"[^>]*>',
                 rf'<svg viewBox="\1" role="img" aria-label="{label}" width="100%" '
                 r'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">',
                 buffer.getvalue(), count=1, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return svg.replace(INK, f"var(--chart-ink, {INK})")


def to_html(figures: Iterable[str]) -> str:
    """Figures, each from `captioned`, in the class "charts" of the page's style sheet."""
    return f'<div class="charts">{"".join(figures)}</div>'


def captioned(figure: Figure, caption: str) -> str:
    """A figure with its caption, a <figure> element."""
    return (f"<figure>{to_svg(figure, html.escape(figure.axes[0].get_title('left')))}"
            f"<figcaption>{html.escape(caption)}</figcaption></figure>")


def to_png(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as a PNG on white."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def points(real: Tensor, fake: Tensor, data: Any) -> Figure:
    """Real and generated samples of a toy distribution: histograms of numbers, a scatter plot of points."""
    if data.shape[0] == 1:
        return histogram(real, fake, data.extent, data.density)
    return scatter(real, fake, data.extent, data.curve(200))


@style()
def histogram(real: Tensor, fake: Tensor, extent: tuple[float, float], density: Callable[[Tensor], Tensor]) -> Figure:
    """Real and generated numbers (N, 1) on `extent` as histograms, with the true density drawn over them.

    Bars show shares of all numbers, also of those outside the extent; the legend has the share outside.
    """
    figure, (axes,) = _figure("Real and generated numbers")
    low, high = extent
    bins = torch.linspace(low, high, 61).numpy()
    for values, color, label in ((real, REAL, "real"), (fake, FAKE, "generated")):
        outside = ((values < low) | (values > high)).double().mean().item()
        note = f" ({outside:.1%} outside)" if outside >= 0.005 else ""
        weights = [1 / (len(values) * (bins[1] - bins[0]))] * len(values)
        axes.hist(values.flatten().numpy(), bins, weights=weights, color=color, alpha=0.45, label=label + note)
    x = torch.linspace(low, high, 241)
    axes.plot(x.numpy(), density(x[:, None]).numpy(), color=INK, linewidth=1.6, label="true density")
    axes.set(xlabel="x", ylabel="density", xlim=extent)
    axes.legend()
    return figure


@style()
def scatter(real: Tensor, fake: Tensor, extent: tuple[float, ...], curve: Tensor | None = None) -> Figure:
    """Real and generated points (N, 2) on `extent` (x1 from, to; x2 from, to), and the curve (M, 2) of real ones."""
    figure, (axes,) = _figure("Real and generated points")
    for values, color, label, size in ((real, REAL, "real", 9), (fake, FAKE, "generated", 5)):
        axes.scatter(*values.T.numpy(), s=size, color=color, alpha=0.5, linewidths=0, label=label, rasterized=True)
    if curve is not None:
        axes.plot(*curve.T.numpy(), color=INK, linewidth=0.8, label="curve of real points")
    axes.set(xlabel="x₁", ylabel="x₂", xlim=extent[:2], ylim=extent[2:])
    figure.legend(loc="outside lower center", ncols=3, markerscale=2)  # within, it would hide a corner
    return figure


@style()
def probability_line(x: Tensor, discriminator: Tensor, best: Tensor) -> Figure:
    """The discriminator's probability D(x) (N,) along x (N,), and the best possible one, p/(p + q) (N,)."""
    figure, (axes,) = _figure("The discriminator’s probability")
    axes.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
    axes.plot(x.numpy(), best.numpy(), color=INK, linewidth=1.4, linestyle="--", label="best possible, p/(p+q)")
    axes.plot(x.numpy(), discriminator.numpy(), color=SECOND, linewidth=1.8, label="D(x)")
    axes.set(xlabel="x", ylabel="probability real", xlim=(x[0].item(), x[-1].item()), ylim=(0, 1))
    axes.legend()
    return figure


@style()
def probability_map(discriminator: Tensor, best: Tensor, extent: tuple[float, ...], curve: Tensor | None) -> Figure:
    """The same over the plane: two maps (H, W), rows from the lowest x2 up, on `extent` (x1, x1, x2, x2)."""
    figure, axes = _figure("D(x)", columns=2)
    axes[1].set_title("Best, p/(p+q)")
    for ax, values in zip(axes, (discriminator, best)):
        image = ax.imshow(values.numpy(), PROBABILITY, vmin=0, vmax=1, origin="lower", extent=extent, aspect="auto")
        if curve is not None:
            ax.plot(*curve.T.numpy(), color="#1f2937", linewidth=0.8)
        ax.set(xlabel="x₁", xlim=extent[:2], ylim=extent[2:])
    axes[0].set_ylabel("x₂")
    axes[1].set_yticklabels([])
    figure.colorbar(image, ax=list(axes), location="bottom", shrink=0.6, aspect=40, label="probability real")
    return figure


@style()
def losses(history: list[dict[str, Any]], ln2: bool = True) -> Figure:
    """Both losses of a run by step, and the penalties where there are any; rows without losses are left out.

    Args:
        history: rows with "step", "discriminator_loss" and "generator_loss".
        ln2: whether to draw a line at ln 2, the value of logistic losses where D(x) = 1/2.
    """
    figure, (axes,) = _figure("Losses of the training run")
    if ln2:
        axes.axhline(LN2, color=INK, linewidth=0.8, linestyle=":", label="ln 2 ≈ 0.693")
    history = [row for row in history if {"discriminator_loss", "generator_loss"} <= row.keys()]
    values = []
    for key, color, label in (("discriminator_loss", SECOND, "discriminator"), ("generator_loss", FAKE, "generator"),
                              ("penalty", REAL, "penalties")):
        curve = [(row["step"], row[key]) for row in history if key in row]
        if curve:
            axes.plot(*zip(*curve), color=color, linewidth=1.2, label=label)
        values += [loss for _, loss in curve]
    if values:  # without the last hundredth at either end
        values.sort()
        shown = [*values[len(values) // 100:len(values) - len(values) // 100], *([LN2] if ln2 else [])]
        margin = 0.1 + 0.1 * (max(shown) - min(shown))
        axes.set_ylim(min(shown) - margin, max(shown) + margin)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend(ncols=2)
    return figure


@style()
def class_shares(shares: list[float], real_shares: list[float], count: int) -> Figure:
    """The share of each class among `count` samples, and in real data."""
    figure, (axes,) = _figure(f"A census of {count:,} samples")
    for offset, values, color, label in ((-0.2, real_shares, REAL, "real"), (0.2, shares, FAKE, "generated")):
        axes.bar([place + offset for place in range(len(values))], [100 * value for value in values], 0.4, color=color,
                 alpha=0.8, label=label)
    axes.set(xlabel="digit", ylabel="share in %", ylim=(0, 100 * 1.3 * max(*shares, *real_shares)),
             xticks=range(len(shares)))
    axes.legend(ncols=2)
    return figure


@style()
def curves(history: list[dict[str, Any]], others: dict[str, list[dict[str, Any]]] | None = None) -> Figure:
    """FID, precision and recall during a run, from the rows of its history that have them.

    others: histories of other runs by their names; their FID is drawn too.
    """
    figure, (axes,) = _figure("Measures during the training")
    rows = [row for row in history if {"fid_digit_classifier", "precision", "recall"} <= row.keys()]
    steps = [row["step"] for row in rows]
    axes.plot(steps, [row["fid_digit_classifier"] for row in rows], color=FAKE, linewidth=1.6, label="FID (left)")
    for name, other in (others or {}).items():
        curve = [(row["step"], row["fid_digit_classifier"]) for row in other if "fid_digit_classifier" in row]
        axes.plot(*zip(*curve), color=FAKE, linewidth=1.2, linestyle="--", label=f"FID of {name}")
    axes.set(xlabel="step", ylabel="FID, digit-classifier features", yscale="log")
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    for key, color in (("precision", SECOND), ("recall", REAL)):
        right.plot(steps, [row[key] for row in rows], color=color, linewidth=1.2, label=f"{key} (right)")
    right.set(ylim=(0, 1))
    axes.legend(handles=[*axes.get_lines(), *right.get_lines()], loc="center right")
    return figure
