"""The tab that compares a GAN with a distribution that is known."""

import html
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from ganlib import metrics
from ganlib.checks import check_int, require
from ganlib.data import open_data
from ganlib.demo import models
from ganlib.demo.cache import cached
from ganlib.demo.controls import MAX_SEED, check_seed, endpoint, show
from ganlib.demo.picker import model_picker
from ganlib.losses import LOSSES
from ganlib.model import Model
from ganlib.toys import Points

AT_LN2 = (" Against a perfect generator the best discriminator says D(x) = ½. Both losses are then ln 2. The reverse "
          "is false: with a discriminator that always says ½, every generator has the loss ln 2.")
MAX_COUNT = 10_000
COUNT, SEED = 2_000, 7  # at first
REAL_SEED = 1  # of the real sample that the generated one is compared with


def toy(model: str, count: int = COUNT, seed: int = SEED) -> tuple[str, dict[str, Any]]:
    """Compare samples of a toy model, numbers or points, with as many real ones.

    Args:
        model: the name of the model.
        count: how many samples, 100 to 10,000.
        seed: of their latents, 0 to 9,999.

    Returns:
        Charts and numbers as HTML, and a dictionary: model, count, seed, milliseconds, distance (Wasserstein-1; sliced
        in the plane), distance_of_real (the same for as many real samples), losses (discriminator and generator, at
        the end of training), samples; and the distribution's own measures of them, such as modes, high_quality, width
        and reverse_kl.
    """
    count, seed = check_int(count, 100, MAX_COUNT, "Samples"), check_seed(seed)
    gan, _ = points(model)
    start = models.now()
    gan.draw(count, seed)
    milliseconds = 1000 * (models.now() - start)
    drawings, numbers = _compared(model, count, seed)
    numbers["milliseconds"] = round(milliseconds, 2)
    return _tiles(numbers, gan) + drawings, numbers


@cached()
def _compared(model: str, count: int, seed: int) -> tuple[str, dict[str, Any]]:
    """What `toy` gives, apart from the time, which is measured for each call."""
    from ganlib import charts  # now, because matplotlib takes a third of a second of the page's start

    gan, data = points(model)
    fake = gan.draw(count, seed)
    real, other = (data.batch(count, torch.Generator().manual_seed(s))[0] for s in (REAL_SEED, REAL_SEED + 1))
    numbers = {
        "model": gan.name,
        "count": count,
        "seed": seed,
        "milliseconds": None,
        "distance": data.distance(fake, real),
        "distance_of_real": data.distance(other, real),
        "losses": {key: gan.metrics.get(f"final_{key}") for key in ("discriminator_loss", "generator_loss")},
        "samples": fake.tolist(),
        **data.measure(fake),
    }
    return charts.to_html([*_figures(gan, data, real, fake), *_losses(model)]), numbers


def points(name: str) -> tuple[Model, Points]:
    """The model of that name, and its distribution.

    Raises:
        WeightsError: why the model cannot be opened.
        ValueError: its data are not a known distribution of numbers or points.
    """
    gan = models.get(name, models.toy_models)
    data: Any = None
    if gan.shape in ((1,), (2,)):
        with suppress(ValueError):  # an unknown dataset, or images that are not here
            data = open_data(gan.config.get("recipe", {}).get("data"), download=False)
    require(gan.shape == getattr(data, "shape", None) and hasattr(data, "density"),
            f"the model {gan.name} has learned no toy distribution that this page knows")
    return gan, data


def _is_logistic(gan: Model) -> bool:
    """Whether the losses of the model's training are ln 2 where D(x) = 1/2 everywhere."""
    loss = LOSSES.get(gan.config.get("recipe", {}).get("train", {}).get("loss"))
    return loss is not None and loss.logistic


def _figures(gan: Model, data: Points, real: Tensor, fake: Tensor) -> Iterator[str]:
    """Charts with captions: the samples and, if the model has a discriminator, its probability."""
    from ganlib import charts

    line, width = data.shape[0] == 1, data.bandwidth
    kind = "numbers" if line else "points"
    yield charts.captioned(charts.points(real, fake, data), f"{len(fake):,} {kind} of each kind; {data.truth}.")
    if gan.discriminator is not None:
        sizes = (301,) if line else (96, 64)
        axes = [torch.linspace(low, high, n) for low, high, n in zip(data.extent[::2], data.extent[1::2], sizes)]
        grid = torch.stack(torch.meshgrid(*axes, indexing="xy"), -1)
        places = grid.flatten(0, -2)
        p, q = data.density(places, width), metrics.kernel_density(fake, places, width)
        near_zero = p + q <= 1e-2 * (p + q).max()
        # the best discriminator is p/(p + q) (Goodfellow et al. 2014, prop. 1)
        best = (p / (p + q)).masked_fill(near_zero, math.nan).view(grid.shape[:-1])
        probability = gan.discriminate(places).view(grid.shape[:-1])
        note = (f"p is the density of real {kind}, q that of these generated {kind}. Both are smoothed by {width:g}. "
                f"Where both are near zero, no answer is best.{models.calibrated(gan)}")
        if line:
            yield charts.captioned(charts.probability_line(axes[0], probability, best), note)
        else:
            yield charts.captioned(
                charts.probability_map(probability, best, data.extent, data.curve(200)),
                f"The discriminator’s probability, and the best possible one. Orange: generated. Blue: real. White: "
                f"either. {note}")


@cached()
def _losses(model: str) -> list[str]:
    """The chart of the losses with its caption, if the model has them: the same for all samples."""
    from ganlib import charts

    gan, _ = points(model)
    if not any("discriminator_loss" in row for row in gan.history):
        return []
    logistic = _is_logistic(gan)
    return [charts.captioned(charts.losses(gan.history, logistic),
                             "Both losses during the training." + AT_LN2 * logistic)]


def _tiles(numbers: dict[str, Any], gan: Model) -> str:
    name = "Wasserstein-1 distance" if gan.shape[0] == 1 else "sliced Wasserstein distance"
    tiles = [(f"{numbers['distance']:.3f}", f"{name}, generated to real"),
             (f"{numbers['distance_of_real']:.3f}", "the same for as many real samples")]
    if "modes" in numbers:
        tiles += [(f"{numbers['modes']} of {numbers['centres']}", "spots that generated points reach"),
                  (f"{numbers['high_quality']:.1%}", "of generated points lie within 3σ of a spot"),
                  (f"{numbers['width']:.2f} σ", "is the standard deviation of these points (real ones: 0.97 σ)")]
    ln2 = " (ln 2 is 0.693)" if _is_logistic(gan) else ""
    tiles += [(f"{loss:.3f}", f"{key.replace('_', ' ')} at the end{ln2}")
              for key, loss in numbers["losses"].items() if loss is not None]
    tiles.append((f"{numbers['milliseconds']:.1f} ms",
                  f"for {numbers['count']:,} samples on {gan.device.type.upper()}"))
    return '<div class="numbers">' + "".join(
        f"<div><b>{value}</b><span>{html.escape(text)}</span></div>" for value, text in tiles) + "</div>"


def build(frame: gr.Tab) -> None:
    names = models.toy_models()
    with gr.Row():
        with gr.Column(min_width=280):
            model = model_picker(names, lambda name: points(name)[0], label="Distribution",
                                 info="Numbers from N(3, 2²), points on a sine curve, or points in a few small spots.")
        count = gr.Slider(100, MAX_COUNT, value=COUNT, step=100, label="Samples")
        seed = gr.Slider(0, MAX_SEED, value=SEED, step=1, label="Seed", elem_id="toy-seed")
    drawing = gr.HTML(label="charts", elem_id="toy")
    numbers = gr.JSON(label="numbers", visible=False)
    inputs, outputs = [model, count, seed], [drawing, numbers]
    show([frame.select], toy, inputs, outputs, show_progress="minimal", slow=True)
    endpoint(toy, "toy", outputs, names, slow=True)
