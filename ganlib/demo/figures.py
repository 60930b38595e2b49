"""What three figures of the course ask the server: a generator's maps, two pictures to judge, the mean of real digits.

What they show first is in the page: stage/how/first.json, by `write_first`, so that they live before a model is loaded.
"""

import asyncio
import functools
import json
from collections.abc import Mapping
from typing import Any, cast

import gradio as gr
import numpy
import torch
from PIL import Image
from torch import Tensor

from ganlib import images, losses, maps, passport
from ganlib.checkpoint import write_atomically
from ganlib.checks import check_float, check_int, require
from ganlib.data import scale
from ganlib.demo import links, models, rounds, stages
from ganlib.demo.controls import MAX_SEED, endpoint
from ganlib.demo.quality import digit_classifier
from ganlib.demo.stages import answering, table
from ganlib.model import Model
from ganlib.networks import SoftChoice

LINK, NOISE_STEP, ENTROPY_STEP, MEAN_STEP = "how", 2, 3, 7  # in links
MODEL, CLASS_MODEL = "dcgan", "cdcgan"
FIRST = stages.FOLDER / "how" / "first.json"
FIRST_LATENT, FIRST_PAIR, FIRST_CLASS, FIRST_COUNT, FIRST_SET = "33", 4, 4, 10, 7  # chosen by looking
NO_CHANGES: dict[str, float] = {}

MAX_NUMBER = 4.0  # of a latent that is changed by hand
MAPS, REFERENCE = 9, 128  # maps of each size that are shown; latents on which they are chosen
MAX_PAIR = MAX_SET = 9_999
MOST_DIGITS, SHOWN_DIGITS = 100, 21
LEAST_D, MOST_D = 0.02, 0.98  # that can be set; the discriminator may say less or more
LEAST_EXACT = 1e-6  # of a D and of 1 - D, in a logarithm


# 2: noise to picture

def noise(asked: Mapping[str, Any]) -> tuple[maps.Way, Tensor]:
    """What `dcgan` computes for a latent, and the latent (1, 100).

    Args:
        asked: {"latent": a seed or a found latent as text, "changes": {a place in it, from 0: its new number}}.
    """
    gan = models.images(MODEL)
    point, changes = links.waypoint(asked.get("latent", ""), gan), table(asked.get("changes", {}))
    z = point.latent(gan)[None].clone()
    for place, number in changes.items():
        z[0, links.whole(0, gan.latent_dim - 1, "a place in the latent")(place)] = check_float(
            number, -MAX_NUMBER, MAX_NUMBER, "a number of the latent")
    return maps.way(gan, z), z


@functools.lru_cache(maxsize=models.KEPT)
def shown_maps(gan: Model) -> list[tuple[Tensor, Tensor]]:
    """For each size of a generator's maps, the places (9,) of those that vary most from latent to latent, and the
    values (9, 1, 1) that are shown as the brightest colour."""
    found = []
    for layer in maps.way(gan, gan.latents(range(REFERENCE))).maps:
        brightest = layer.transpose(0, 1).flatten(1).quantile(0.995, dim=1)
        varies = layer.std(0).mean((1, 2)) / brightest.clamp_min(1e-6)
        places = varies.argsort(descending=True)[:MAPS]
        found.append((places, brightest[places, None, None].clamp_min(1e-6)))
    return found


def map_pictures(found: maps.Way) -> list[Tensor]:
    """The maps that are shown as images (9, 1, height, width) in [-1, 1], for each size."""
    return [(layer[0, places] / brightest).clamp(0, 1)[:, None] * 2 - 1
            for layer, (places, brightest) in zip(found.maps, shown_maps(models.images(MODEL)))]


def noise_numbers(found: maps.Way, z: Tensor) -> dict[str, Any]:
    """The latent's numbers, which kind the first of them choose (None without a choice), with which weight."""
    kind = int(found.choice[0].argmax()) if found.choice.shape[1] else None
    return {"latent": [round(number, 4) for number in z[0].tolist()], "kind": kind,
            "weight": None if kind is None else float(found.choice[0, kind])}


def noise_answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What `how_noise` gives."""
    found, z = noise(asked)
    return {**noise_numbers(found, z), **stages.pixels(found.x), "maps": [
        {**stages.pixels(shown), "of": layer.shape[1]} for layer, shown in zip(found.maps, map_pictures(found))]}


@answering
async def how_noise(asked: Any) -> dict[str, Any]:
    """The picture of a latent, "maps" on the way to it, and `noise_numbers`. asked: as for `noise`."""
    return await asyncio.to_thread(noise_answer, table(asked))


def api_layers(latent: str = FIRST_LATENT,
               changes: dict[str, float] = NO_CHANGES) -> tuple[Image.Image, dict[str, Any]]:
    """Show what the generator of dcgan computes for a latent, from layer to layer.

    Args:
        latent: a seed such as 33, or a found latent as text.
        changes: new numbers, from -4 to 4, by their places in the latent, from 0; {} for none.

    Returns:
        A sheet of nine maps of each size and the picture, a PNG file, and {"latent": its numbers, "kind": that the
        first 48 numbers choose, "weight": of that kind, from 0 to 1, "maps": [channels, height, width] of each layer}.
    """
    found, z = noise({"latent": latent, "changes": changes})
    side = found.x.shape[-1]
    tiles = [torch.nn.functional.interpolate(shown, (side, side)) for shown in map_pictures(found)]
    sheet = images.contact_sheet(torch.cat([*tiles, found.x]), MAPS)
    sizes = [list(layer.shape[1:]) for layer in found.maps]
    return _stamped(sheet, MODEL, NOISE_STEP), {**noise_numbers(found, z), "maps": sizes}


# 3: the discriminator's loss

def pair(number: Any) -> tuple[Tensor, dict[str, Any]]:
    """A real and a generated picture (2, *shape), and what the discriminator says of them.

    Returns:
        the pictures, and {"pair": the number, "probabilities": that each is real, "origin": of the real one, "seed": of
        the generated one, "about": sentences on the real ones}
    """
    number, gan = check_int(number, 0, MAX_PAIR, "Pair"), models.images(MODEL)
    reals, rng = rounds.reals_of(gan), numpy.random.RandomState(number)
    place, seed = int(rng.randint(len(reals.images))), int(rng.randint(MAX_SEED + 1))
    x = scale(torch.cat([reals.images[place, None], images.to_uint8(gan.sample([seed]))]))
    return x, {"pair": number, "probabilities": gan.discriminate(x).tolist(), "origin": reals.origin(place),
               "seed": seed, "about": reals.about}


def pair_answer(number: Any) -> dict[str, Any]:
    """What `how_pair` gives."""
    x, told = pair(number)
    return {**stages.pixels(x), **told}


@answering
async def how_pair(asked: Any) -> dict[str, Any]:
    """What `pair` gives. asked: {"pair": number}."""
    return await asyncio.to_thread(pair_answer, table(asked).get("pair"))


def api_pair(number: int = FIRST_PAIR) -> tuple[Image.Image, dict[str, Any]]:
    """Show a real and a generated picture, and what the discriminator of dcgan says of them.

    Args:
        number: 0 to 9,999; the same number gives the same pictures on one server.

    Returns:
        Both side by side, a PNG file, and {"pair": the number, "probabilities": that each is real, "origin": of the
        real one, "seed": of the generated one, "about": sentences on the real ones, "loss": as that of
        `/cross_entropy`, for them}.
    """
    x, told = pair(number)
    sheet = images.contact_sheet(x, 2, captions=["real", "generated"])
    return _stamped(sheet, MODEL, ENTROPY_STEP), {**told, "loss": _entropy(*told["probabilities"])}


def cross_entropy(real: float, generated: float) -> dict[str, float]:
    """Calculate the discriminator's loss on one real and one generated picture: binary cross-entropy.

    Args:
        real: D of the real picture, the discriminator's probability that it is real, from 0.02 to 0.98.
        generated: D of the generated picture, from 0.02 to 0.98.

    Returns:
        {"real": -log D of the real picture, "generated": -log(1 - D) of the generated one, "loss": their mean}
    """
    return _entropy(*(check_float(d, LEAST_D, MOST_D, f"D of the {kind} picture")
                      for d, kind in ((real, "real"), (generated, "generated"))))


def _entropy(real: float, generated: float) -> dict[str, float]:
    on_real, on_fake = (torch.tensor([d], dtype=torch.float64).logit(LEAST_EXACT) for d in (real, generated))
    return {"real": float(torch.nn.functional.softplus(-on_real)),
            "generated": float(torch.nn.functional.softplus(on_fake)),
            "loss": float(losses.logistic_discriminator(on_real, on_fake))}


# 7: squared error

def squared_errors(answers: Tensor, x: Tensor) -> list[float]:
    """Of each answer (K, *shape), the squared error to pictures x (N, *shape), averaged over pictures and pixels."""
    return [float((x - answer).square().mean()) for answer in answers]


def mean_digit(asked: Mapping[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    """Real digits of a class, their mean, and a digit that `cdcgan` makes.

    Args:
        asked: {"class", "count": of digits, 1 to 100, "set": which digits, and the seed of cdcgan's; 0 to 9,999}.

    Returns:
        pictures (count + 2, *shape) in [-1, 1], the mean and the generated one last, and {"class", "set", "count": of
        the digits, "available": real pictures of the class that there are, "errors": `squared_errors` of all pictures
        to the digits, with pixels from 0 to 1, "readings": for the first 21 digits and the last two pictures [the class
        that the digit classifier reads, its probability], None without a classifier, "about": sentences on the real
        ones}
    """
    gan = models.images(CLASS_MODEL)
    digit = check_int(asked.get("class"), 0, len(gan.class_names) - 1, "the class")
    count = check_int(asked.get("count"), 1, MOST_DIGITS, "the number of digits")
    chosen = check_int(asked.get("set"), 0, MAX_SET, "the set of digits")
    reals = rounds.reals_of(gan)
    assert reals.labels is not None  # the model has classes
    places = (reals.labels == digit).nonzero().flatten()
    require(len(places) > 0, f"this server has no real picture of the class {gan.class_names[digit]}")
    order = torch.from_numpy(numpy.random.RandomState(chosen).permutation(len(places)))[:count]
    digits = reals.images[places[order]].double() / 255
    x = torch.cat([digits, digits.mean(0, keepdim=True), (gan.sample([chosen], digit).double() + 1) / 2])
    pictures, classifier = (2 * x - 1).float(), digit_classifier(gan)
    readings = None if classifier is None else [
        [int(row.argmax()), float(row.max())] for row in classifier.examine(_shown(pictures))[1]]
    return pictures, {"class": digit, "set": chosen, "count": len(digits), "available": len(places),
                      "errors": squared_errors(x, digits), "readings": readings, "about": reals.about}


def _shown(pictures: Tensor) -> Tensor:
    """The first 21 digits, the mean and the generated digit."""
    return torch.cat([pictures[:-2][:SHOWN_DIGITS], pictures[-2:]])


def mean_answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What `how_mean` gives."""
    pictures, told = mean_digit(asked)
    return {"pictures": stages.pixels(_shown(pictures)), **told}


@answering
async def how_mean(asked: Any) -> dict[str, Any]:
    """What `mean_digit` tells, and "pictures" of the first 21 digits, of the mean and of cdcgan's. asked: as there."""
    return await asyncio.to_thread(mean_answer, table(asked))


def api_mean_digit(digit: int = FIRST_CLASS, count: int = FIRST_COUNT,
                   set: int = FIRST_SET) -> tuple[Image.Image, dict[str, Any]]:
    """Average several real digits of a class: the mean is the best answer under squared error, and no digit.

    Args:
        digit: the class, 0 to 9.
        count: of real digits, 1 to 100.
        set: which digits, 0 to 9,999.

    Returns:
        The mean, a digit that cdcgan makes, and the real digits on one sheet, a PNG file; and a dictionary: class, set,
        count, available (real pictures of the class), errors (the mean squared error of each real digit to all of them,
        then that of the mean, then that of the generated digit; pixels from 0 to 1), readings (by the digit classifier,
        of the first 21 digits, the mean and the generated digit: the class and its probability) and about.
    """
    pictures, told = mean_digit({"class": digit, "count": count, "set": set})
    sheet = images.contact_sheet(torch.cat([pictures[-2:], pictures[:-2]]),
                                 captions=["mean", "generated", *["real"] * told["count"]])
    return _stamped(sheet, CLASS_MODEL, MEAN_STEP), told


# the page

FUNCTIONS = [how_noise, how_pair, how_mean]


def page() -> dict[str, Any]:
    """What the three figures know of the server, and what they show first."""
    return {"maxSeed": MAX_SEED, "figures": {
        **json.loads(FIRST.read_text(encoding="utf-8")), "maxNumber": MAX_NUMBER, "maxPair": MAX_PAIR,
        "maxSet": MAX_SET, "mostDigits": MOST_DIGITS, "shownDigits": SHOWN_DIGITS, "d": [LEAST_D, MOST_D]}}


def first() -> dict[str, Any]:
    """What the three figures show first, on a server with MNIST."""
    choice = cast(SoftChoice, models.images(MODEL).generator.choice)
    return {"noise": {"seed": FIRST_LATENT, "choices": choice.choices, "sharpness": choice.sharpness,
                      **noise_answer({"latent": FIRST_LATENT})},
            "entropy": pair_answer(FIRST_PAIR),
            "mean": mean_answer({"class": FIRST_CLASS, "count": FIRST_COUNT, "set": FIRST_SET})}


def write_first() -> None:
    """Write first.json again, after a change of the models."""
    write_atomically(FIRST, (json.dumps(first()) + "\n").encode())


def build_api() -> None:
    """Components that nobody sees: pictures travel through the API by them."""
    endpoint(cross_entropy, "cross_entropy")
    outputs = [gr.Image(format="png", label="Picture", visible=False), gr.JSON(label="Numbers", visible=False)]
    endpoint(api_layers, "layers", outputs)
    endpoint(api_pair, "discriminate", outputs)
    endpoint(api_mean_digit, "mean_digit", outputs)


def _stamped(image: Image.Image, model: str, step: int) -> Image.Image:
    """The picture with a passport, which opens the step. It names nothing that the step would not restore."""
    return passport.stamp(image, passport.of(models.images(model), LINK, step=step))
