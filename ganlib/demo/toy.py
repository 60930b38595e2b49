"""The tab where a GAN learned a distribution that is known, so that one can see how well."""

import html

import gradio as gr
import torch
from torch import Tensor

from ganlib import charts, metrics
from ganlib.data import DATASETS, Points, open_data
from ganlib.demo import models
from ganlib.demo.controls import plainly, slider
from ganlib.demo.gpu import on_gpu
from ganlib.demo.picker import model_picker
from ganlib.model import Model

TITLE = "Toy distributions"
EXPLANATION = ("Here the truth is known, so what a GAN learned can be held against it. Blue is real, orange is "
               "generated; where they agree, no discriminator can say better than ½.")
LOSSES = ("Both losses of the training run. If the generator were perfect, no discriminator could do better than D(x) = ½, "
          "where both losses are ln 2. The reverse does not hold: a discriminator that always says ½ has a loss of ln 2, "
          "whatever the generator makes.")
CALIBRATED = "Its probability was calibrated after training."
MAX_COUNT, MAX_SEED = 10_000, 9_999
REAL_SEED = 1  # of the real sample the generated one is held against


@on_gpu
@plainly
def toy(model: str, count: int, seed: int) -> tuple[str, dict]:
    """`count` generated samples beside as many real ones: charts and numbers as HTML, and the numbers with the samples.

    The dictionary: model, count, seed, milliseconds, distance (Wasserstein-1; sliced in the plane), distance_of_real
    (between two real samples of that size), losses (discriminator and generator, at the end of training), samples; and
    what the distribution measures of them, such as modes, high_quality, width and reverse_kl.
    """
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
    figures = [*draw(gan, data, real, fake), (charts.losses(gan.history), LOSSES)]
    return _tiles(numbers, gan) + charts.to_html(figures), numbers


def points(name: str) -> tuple[Model, Points]:
    """The model of that name, and the distribution that it has learnt.

    Raises WeightsError as `models.get` does, and ValueError where it has learnt none that is known here.
    """
    gan = models.get(name)
    learnt = gan.config.get("recipe", {}).get("data")
    data = open_data(learnt, download=False) if len(gan.shape) == 1 and learnt in DATASETS else None
    if data is None or tuple(gan.shape) != tuple(data.shape) or gan.shape[0] > 2:
        raise ValueError(f"{name} has learnt no toy distribution that this page knows")
    return gan, data


def _draw_line(gan: Model, data: Points, real: Tensor, fake: Tensor):
    width = data.bandwidth
    x = torch.linspace(*data.extent, 301)
    best = _best(data.density(x[:, None], width), metrics.kernel_density(fake, x[:, None], width))
    yield (charts.points(real, fake, data), f"{len(fake):,} numbers of each kind; {data.truth}.")
    if gan.discriminator is not None:
        yield (charts.opinion_line(x, gan.discriminate(x[:, None]), best),
               f"p is the real density, q the generated one as seen in this sample, both smoothed by {width:g}; dashes "
               f"end where there is neither. {CALIBRATED}")


def _draw_plane(gan: Model, data: Points, real: Tensor, fake: Tensor):
    x1, x2 = torch.linspace(*data.extent[:2], 96), torch.linspace(*data.extent[2:], 64)
    places = torch.cartesian_prod(x2, x1).flip(1)
    best = _best(data.density(places, data.bandwidth), metrics.kernel_density(fake, places, data.bandwidth))
    yield (charts.points(real, fake, data), f"{len(fake):,} points of each kind; {data.truth}.")
    if gan.discriminator is not None:
        yield (charts.opinion_map(gan.discriminate(places).view(64, 96), best.view(64, 96), data.extent,
                                  data.curve(200)),
               f"What the discriminator says over the plane, and the best possible answer. Orange: generated; blue: "
               f"real; white: either. p and q are smoothed by {data.bandwidth:g}; far from both there is no best "
               f"answer, and it is left blank. {CALIBRATED}")


def _best(p: Tensor, q: Tensor) -> Tensor:
    """The best discriminator there is, p/(p + q) (Goodfellow et al. 2014, prop. 1); NaN where both are next to 0."""
    total = p + q
    return torch.where(total > 1e-2 * total.max(), p / total, torch.nan)


def _tiles(numbers: dict, gan: Model) -> str:
    name = "Wasserstein-1 distance" if len(gan.shape) == 1 and gan.shape[0] == 1 else "sliced Wasserstein distance"
    losses = numbers["losses"]
    tiles = [
        (f"{numbers['distance']:.3f}", f"{name}, generated to real"),
        (f"{numbers['distance_of_real']:.3f}", "the same between two real samples of this size"),
        *([(f"{numbers['modes']} of {numbers['centres']}", "spots that generated points reach"),
           (f"{numbers['high_quality']:.1%}", "of generated points lie within 3σ of a spot"),
           (f"{numbers['width']:.2f} σ", "is how wide they are scattered there (real ones 0.97)")]
          if "modes" in numbers else []),
        *((f"{losses[key]:.3f}", f"{who} loss at the end (ln 2 is 0.693)")
          for key, who in (("discriminator_loss", "discriminator"), ("generator_loss", "generator")) if losses[key]),
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
                                 info="numbers from N(3, 2²), points on a sine curve, or on a few small spots")
        count = slider(100, MAX_COUNT, value=2_000, step=100, label="Samples")
        seed = slider(0, MAX_SEED, value=7, step=1, label="Seed", elem_id="toy-seed")
    drawing = gr.HTML(label="charts", elem_id="toy")
    numbers = gr.JSON(label="numbers", visible=False)
    inputs = [model, count, seed]
    gr.on([demo.load, *(component.change for component in inputs)], toy, inputs, [drawing, numbers], api_name="toy",
          show_progress="minimal", trigger_mode="always_last")
