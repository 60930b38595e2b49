"""The tab where a GAN learned a distribution that is known, so that one can see how well."""

import html
import math
from contextlib import suppress

import gradio as gr
import torch
from torch import Tensor

from ganlib import charts, metrics
from ganlib.checks import check_int, require
from ganlib.data import Points, open_data
from ganlib.demo import models
from ganlib.demo.controls import MAX_SEED, listen
from ganlib.demo.picker import model_picker
from ganlib.losses import LOSSES
from ganlib.model import Model

TITLE = "Toy distributions"
EXPLANATION = ("Here the true distribution is known, so what a GAN learned can be compared with it. Blue is real, "
               "orange is generated. Where both are equally dense, the best discriminator says ½.")
IN_TRAINING = "Both losses during the training."
AT_LN2 = (" Against a perfect generator the best discriminator says D(x) = ½, and both losses are ln 2. The reverse is "
          "false: a discriminator that always says ½ has the loss ln 2 against any generator.")
MAX_COUNT = 10_000
REAL_SEED = 1  # of the real sample that the generated one is compared with


def toy(model: str, count: int, seed: int) -> tuple[str, dict]:
    """Generated samples beside as many real ones.

    Args:
        model: its name.
        count: how many samples, 100 to 10,000.
        seed: of the noise that they are made from, 0 to 9,999.

    Returns:
        Charts and numbers as HTML, and a dictionary: model, count, seed, milliseconds, distance (Wasserstein-1; sliced
        in the plane), distance_of_real (the same for as many real samples), losses (discriminator and generator, at
        the end of training), samples; and what the distribution measures of them, such as modes, high_quality, width
        and reverse_kl.
    """
    count, seed = check_int(count, 100, MAX_COUNT, "Samples"), check_int(seed, 0, MAX_SEED, "Seed")
    gan, data = points(model)
    with models.clock() as milliseconds:
        fake = gan.draw(count, seed)
        made = milliseconds()
    real, other = (data.batch(count, torch.Generator().manual_seed(s))[0] for s in (REAL_SEED, REAL_SEED + 1))
    numbers = {
        "model": gan.name,
        "count": count,
        "seed": seed,
        "milliseconds": round(made, 2),
        "distance": data.distance(fake, real),
        "distance_of_real": data.distance(other, real),
        "losses": {key: gan.metrics.get(f"final_{key}") for key in ("discriminator_loss", "generator_loss")},
        "samples": fake.tolist(),
        **data.measure(fake),
    }
    draw = _draw_line if data.shape[0] == 1 else _draw_plane
    figures = list(draw(gan, data, real, fake))
    if any("discriminator_loss" in row for row in gan.history):
        logistic = _is_logistic(gan)
        figures.append((charts.losses(gan.history, logistic), IN_TRAINING + AT_LN2 * logistic))
    return _tiles(numbers, gan) + charts.to_html(figures), numbers


def points(name: str) -> tuple[Model, Points]:
    """The model of that name, and the distribution that it has learned.

    Raises:
        WeightsError: why the model cannot be opened.
        ValueError: it has learned no distribution on the line or in the plane that is known here.
    """
    gan = models.get(name)
    data = None
    if gan.shape in ((1,), (2,)):
        with suppress(ValueError):  # an unknown one, or images that are not here
            data = open_data(gan.config.get("recipe", {}).get("data"), download=False)
    require(gan.shape == getattr(data, "shape", None) and hasattr(data, "density"),
            f"{name} has learned no toy distribution that this page knows")
    return gan, data


def _is_logistic(gan: Model) -> bool:
    """Whether the model was trained with losses that are ln 2 where D(x) = 1/2 everywhere."""
    loss, zero = LOSSES.get(gan.config.get("recipe", {}).get("train", {}).get("loss")), torch.zeros(1)
    return loss is not None and all(math.isclose(side(zero, zero), charts.LN2, rel_tol=1e-6)
                                    for side in (loss.discriminator, loss.generator))


def _draw_line(gan: Model, data: Points, real: Tensor, fake: Tensor):
    width = data.bandwidth
    x = torch.linspace(*data.extent, 301)
    best = _best(data.density(x[:, None], width), metrics.kernel_density(fake, x[:, None], width))
    yield (charts.points(real, fake, data), f"{len(fake):,} numbers of each kind; {data.truth}.")
    if gan.discriminator is not None:
        yield (charts.opinion_line(x, gan.discriminate(x[:, None]), best),
               f"p is the real density, q the density of this generated sample, both smoothed by {width:g}. The dashed "
               f"line ends where both are near zero.{models.calibrated(gan)}")


def _draw_plane(gan: Model, data: Points, real: Tensor, fake: Tensor):
    x1, x2 = torch.linspace(*data.extent[:2], 96), torch.linspace(*data.extent[2:], 64)
    places = torch.cartesian_prod(x2, x1).flip(1)
    best = _best(data.density(places, data.bandwidth), metrics.kernel_density(fake, places, data.bandwidth))
    yield (charts.points(real, fake, data), f"{len(fake):,} points of each kind; {data.truth}.")
    if gan.discriminator is not None:
        yield (charts.opinion_map(gan.discriminate(places).view(64, 96), best.view(64, 96), data.extent,
                                  data.curve(200)),
               f"The discriminator’s probability over the plane, and the best possible one. Orange: generated. Blue: "
               f"real. White: either. The densities p and q are smoothed by {data.bandwidth:g}. Where both are near "
               f"zero, no answer is best.{models.calibrated(gan)}")


def _best(p: Tensor, q: Tensor) -> Tensor:
    """The best discriminator there is, p/(p + q) (Goodfellow et al. 2014, prop. 1); NaN where both are near zero."""
    total = p + q
    return torch.where(total > 1e-2 * total.max(), p / total, torch.nan)


def _tiles(numbers: dict, gan: Model) -> str:
    name = "Wasserstein-1 distance" if gan.shape[0] == 1 else "sliced Wasserstein distance"
    losses = numbers["losses"]
    tiles = [
        (f"{numbers['distance']:.3f}", f"{name}, generated to real"),
        (f"{numbers['distance_of_real']:.3f}", "the same for as many real samples"),
        *([(f"{numbers['modes']} of {numbers['centres']}", "spots that generated points reach"),
           (f"{numbers['high_quality']:.1%}", "of generated points lie within 3σ of a spot"),
           (f"{numbers['width']:.2f} σ", "is the standard deviation of these points (real ones: 0.97 σ)")]
          if "modes" in numbers else []),
        *((f"{losses[key]:.3f}", f"{who} loss at the end" + " (ln 2 is 0.693)" * _is_logistic(gan))
          for key, who in (("discriminator_loss", "discriminator"), ("generator_loss", "generator"))
          if losses[key] is not None),
        (f"{numbers['milliseconds']:.1f} ms", f"for {numbers['count']:,} samples on {gan.device.type.upper()}"),
    ]
    return '<div class="numbers">' + "".join(
        f"<div><b>{value}</b><span>{html.escape(text)}</span></div>" for value, text in tiles) + "</div>"


def build(demo: gr.Blocks) -> None:
    names = models.toy_models()
    gr.Markdown(EXPLANATION, elem_classes="explain")
    with gr.Row():
        with gr.Column(min_width=280):
            model = model_picker(names, lambda name: points(name)[0], label="Distribution",
                                 info="Numbers from N(3, 2²), points on a sine curve, or points in a few small spots.")
        count = gr.Slider(100, MAX_COUNT, value=2_000, step=100, label="Samples")
        seed = gr.Slider(0, MAX_SEED, value=7, step=1, label="Seed", elem_id="toy-seed")
    drawing = gr.HTML(label="charts", elem_id="toy")
    numbers = gr.JSON(label="numbers", visible=False)
    inputs = [model, count, seed]
    listen([demo.load, *(component.change for component in inputs)], toy, inputs, [drawing, numbers], api_name="toy",
           show_progress="minimal")
