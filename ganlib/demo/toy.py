"""The tab where a GAN learned a distribution that is known, so that one can see how well."""

import html
from dataclasses import dataclass

import gradio as gr
import torch
from torch import Tensor

from ganlib import charts, metrics
from ganlib.data import GRID, RING, Gaussian, Mixture, Sine
from ganlib.demo import models
from ganlib.demo.controls import one_of, plainly, slider
from ganlib.demo.gpu import on_gpu
from ganlib.demo.picker import model_picker
from ganlib.model import Model

TITLE = "Toy distributions"
EXPLANATION = ("Here the truth is known, so what a GAN learned can be held against it. Blue is real, orange is "
               "generated; where they agree, no discriminator can say better than ½.")
MAX_COUNT, MAX_SEED = 10_000, 9_999
REAL_SEED = 1  # of the real sample the generated one is held against
TOYS = (Gaussian(), Sine(), RING, GRID)
BANDWIDTH = 0.25  # what densities on the line are smoothed by


@on_gpu
@plainly
def toy(model: str, count: int, seed: int) -> tuple[str, dict]:
    """`count` generated samples beside as many real ones: charts and numbers as HTML, and the numbers with the samples.

    The dictionary: model, count, seed, milliseconds, distance (Wasserstein-1; sliced in the plane), distance_of_real
    (between two real samples of that size), losses (discriminator and generator, at the end of training), samples; for
    mixtures also centres, modes, high_quality, width and reverse_kl.
    """
    gan, data = points(model)
    with models.clock() as milliseconds:
        fake = gan.draw(count, seed)
        made = milliseconds()
    real, other = (data.batch(count, torch.Generator().manual_seed(s))[0] for s in (REAL_SEED, REAL_SEED + 1))
    draw, distance = DRAWINGS[type(data)]
    numbers = {
        "model": gan.name,
        "count": count,
        "seed": seed,
        "milliseconds": round(made, 2),
        "distance": distance(fake, real),
        "distance_of_real": distance(other, real),
        "losses": {key: gan.metrics.get(f"final_{key}") for key in ("discriminator_loss", "generator_loss")},
        "samples": fake.tolist(),
    }
    if isinstance(data, Mixture):
        numbers |= {"centres": len(data.centres), **metrics.modes(fake, torch.tensor(data.centres), data.std)}
    figures = [*draw(gan, data, real, fake), (charts.losses(gan.history),
               "Both losses of the training run. At ln 2 neither network can gain anything more.")]
    return _tiles(numbers, gan) + charts.to_html(figures), numbers


def points(name: str) -> tuple[Model, Gaussian | Sine | Mixture]:
    """The model of that name, and the distribution that it has learned.

    Raises WeightsError as `models.get` does, and ValueError where it has learned none that is known here.
    """
    gan = models.get(name)
    data = next((data for data in TOYS if data.name == gan.config.get("recipe", {}).get("data")), None)
    if data is None or tuple(gan.shape) != data.shape:
        raise ValueError(f"{name} has learned no toy distribution: here are shown {one_of([toy.name for toy in TOYS])}")
    return gan, data


def _draw_line(gan: Model, data: Gaussian, real: Tensor, fake: Tensor):
    width = BANDWIDTH
    x = torch.linspace(data.mean - 4.5 * data.std, data.mean + 4.5 * data.std, 301)
    best = _best(data.density(x[:, None], width), metrics.kernel_density(fake, x[:, None], width))
    yield (charts.histogram(real, fake, data.density),
           f"{len(fake):,} numbers of each kind; the line is the true density of N({data.mean:g}, {data.std:g}²).")
    yield (charts.opinion_line(x, gan.discriminate(x[:, None]), best),
           f"p is the real density, q the generated one as seen in this sample, both smoothed by {width:g}; dashes end "
           f"where there is neither.")


@dataclass(frozen=True)
class Plane:
    """How a distribution in the plane is shown.

    bandwidth: what densities are smoothed by, to be seen and compared. truth: where the real points lie, in words.
    """

    bandwidth: float
    truth: str


PLANES = {
    "sine": Plane(0.12, "the line is sin x₁, where all real ones lie"),
    "ring": Plane(0.06, "real ones sit on eight spots of the unit circle, 0.01 wide"),
    "grid": Plane(0.2, "real ones sit on 25 spots, 0.05 wide"),
}


def _draw_plane(gan: Model, data: Sine | Mixture, real: Tensor, fake: Tensor):
    plane = PLANES[data.name]
    curve = data.curve(200) if isinstance(data, Sine) else None
    x1, x2 = torch.linspace(*data.extent[:2], 96), torch.linspace(*data.extent[2:], 64)
    points = torch.cartesian_prod(x2, x1).flip(1)
    best = _best(data.density(points, plane.bandwidth), metrics.kernel_density(fake, points, plane.bandwidth))
    yield (charts.scatter(real, fake, data.extent, curve), f"{len(fake):,} points of each kind; {plane.truth}.")
    yield (charts.opinion_map(gan.discriminate(points).view(64, 96), best.view(64, 96), data.extent, curve),
           f"What the discriminator says over the plane, and the best it could. Orange: surely generated; blue: surely "
           f"real; white: can’t say. p and q are smoothed by {plane.bandwidth:g}; far from both there is no best "
           f"answer, and it is left blank.")


def _best(p: Tensor, q: Tensor) -> Tensor:
    """The best discriminator there is, p/(p + q) (Goodfellow et al. 2014, prop. 1); NaN where both are next to 0."""
    total = p + q
    return torch.where(total > 1e-2 * total.max(), p / total, torch.nan)


DRAWINGS = {
    Gaussian: (_draw_line, metrics.wasserstein_1),
    Sine: (_draw_plane, metrics.sliced_wasserstein),
    Mixture: (_draw_plane, metrics.sliced_wasserstein),
}


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
