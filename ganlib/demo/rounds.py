"""Rounds of the game "Real or generated?": which pictures, and what the visitor and the discriminator got right.

A model and a number name a round: on one server it is always the same. Nothing is kept between its two requests. Real
pictures are test images of the model's dataset where the server has it; it is never downloaded for the game. Elsewhere
they are the training images that the model's folder shows beside its samples.
"""

import functools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy
import torch
from torch import Tensor

from ganlib import checkpoint, images
from ganlib.checks import check_int, quoted, require
from ganlib.data import DATASETS, ImageData, ImageSet, default_root, scale
from ganlib.demo import models
from ganlib.demo.controls import MAX_SEED
from ganlib.demo.quality import digit_classifier
from ganlib.model import Model
from ganlib.report import nearest_of

PICTURES, MAX_ROUND = 10, 999_999
REAL, GENERATED = "real", "generated"
USUAL, MAX_USUAL_SAMPLE = 200, 3 * 32 * 32  # pictures of each kind, and the largest ones, for `usual`

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reals:
    """Real pictures of a model.

    Args:
        images: (N, *shape) uint8.
        labels: (N,) classes, or None for a model without classes.
        about: sentences on where they are from.
        origin: where the picture at an index is from, as the start of a sentence.
    """

    images: Tensor
    labels: Tensor | None
    about: str
    origin: Callable[[int], str]


@dataclass(frozen=True)
class Round:
    """The pictures of one round.

    Args:
        x: (10, *shape), as the visitor sees them: with 256 shades.
        labels: (10,) classes, or None.
        real: which are real.
        origins: where each is from, as the start of a sentence.
        seeds: of the generated ones, None for real ones.
        about: sentences on the real ones.
    """

    x: Tensor
    labels: Tensor | None
    real: list[bool]
    origins: list[str]
    seeds: list[int | None]
    about: str


def check_round(number: Any) -> int:
    """The number of a round. Raises ValueError unless it is a whole number from 0 to 999,999."""
    return check_int(number, 0, MAX_ROUND, "Round")


def check_guesses(guesses: Any) -> list[str]:
    """A guess for each picture. Raises ValueError for anything else."""
    require(isinstance(guesses, list) and len(guesses) == PICTURES and all(g in (REAL, GENERATED) for g in guesses),
            f"guesses must be a list of {PICTURES} words, each {REAL} or {GENERATED}, not {quoted(guesses)}")
    return list(guesses)


def no_opponent(gan: Model) -> str:
    """Why a model without a discriminator is not played against."""
    return f"{gan.name} has no discriminator to play against: choose a model that has one"


def draw(gan: Model, number: int) -> Round:
    """The pictures of a round: each is real with probability 1/2, else generated without truncation.

    Raises ValueError if the model has no discriminator, or the server no real pictures for it.
    """
    require(gan.discriminator is not None, no_opponent(gan))
    reals = reals_of(gan)
    rng = numpy.random.RandomState(check_round(number))
    real = rng.random_sample(PICTURES) < 0.5
    places = torch.from_numpy(rng.choice(len(reals.images), PICTURES, replace=len(reals.images) < PICTURES))
    seeds = rng.choice(MAX_SEED + 1, PICTURES, replace=False).tolist()
    labels = gan.labels_of(seeds)
    pictures = images.to_uint8(gan.sample(seeds, labels))
    chosen = torch.from_numpy(real)
    pictures[chosen] = reals.images[places[chosen]]
    if labels is not None and reals.labels is not None:
        labels[chosen] = reals.labels[places[chosen]]
    origins = [reals.origin(place) if is_real else f"Made from seed {seed}"
               for is_real, place, seed in zip(real, places.tolist(), seeds)]
    return Round(scale(pictures), labels, real.tolist(), origins,
                 [None if is_real else seed for is_real, seed in zip(real, seeds)], reals.about)


def words_of(gan: Model, labels: Tensor | None) -> list[str] | None:
    """The class of each picture in words, such as "a 7"; None for a model without classes."""
    if labels is None:
        return None
    names = [gan.class_names[label] for label in labels.tolist()]
    return [f"{'an' if name == '8' else 'a'} {name}" if name.isdigit() else f"of the class {name}" for name in names]


def answers(gan: Model, number: int, guesses: list[str]) -> dict[str, Any]:
    """What is true of a round, and both scores. See `ganlib.demo.game.answers`."""
    pictures = draw(gan, number)
    probabilities = gan.discriminate(pictures.x, pictures.labels).tolist()
    words = words_of(gan, pictures.labels)
    rows = [{"truth": REAL if real else GENERATED, "guess": guess, "probability": probability,
             "discriminator": REAL if probability > 0.5 else GENERATED, "seed": seed, "class": words and words[i],
             "sentence": f"{origin}{(words and ', ' + words[i]) or ''}."}
            for i, (real, guess, probability, seed, origin)
            in enumerate(zip(pictures.real, guesses, probabilities, pictures.seeds, pictures.origins))]
    you, discriminator = (sum(row[who] == row["truth"] for row in rows) for who in ("guess", "discriminator"))
    return {"you": you, "discriminator": discriminator, "of": PICTURES, "pictures": rows,
            "by_chance": by_chance(you), "usual": usual(gan), "about": pictures.about}


def by_chance(right: int) -> float:
    """The share of games in which a coin gets so many pictures right, or more."""
    return sum(math.comb(PICTURES, n) for n in range(right, PICTURES + 1)) / (1 << PICTURES)


def usual(gan: Model) -> float | None:
    """The share of many pictures, half of them real, on which the discriminator is right; None for large pictures."""
    return _usual(gan) if math.prod(gan.shape) <= MAX_USUAL_SAMPLE else None


@functools.lru_cache(maxsize=models.KEPT)
def _usual(gan: Model) -> float:
    reals = reals_of(gan)
    n = min(USUAL, len(reals.images))
    y = gan.labels_of(range(n))
    right = gan.discriminate(gan.sample(range(n), y), y) <= 0.5
    seen = gan.discriminate(scale(reals.images[:n]), None if reals.labels is None else reals.labels[:n]) > 0.5
    return float(torch.cat([right, seen]).double().mean())


def reals_of(gan: Model) -> Reals:
    """The real pictures to play with. Raises ValueError, with what the host can do, if there are none."""
    recipe = gan.config.get("recipe")
    name = recipe.get("data") if isinstance(recipe, dict) else None
    data = None if gan.metrics.get("data_is_folder") else _test_images(name)
    if data is not None and data.shape == gan.shape and (not gan.num_classes or gan.num_classes == data.num_classes):
        labels = data.with_classes(gan.class_names).labels if gan.num_classes else None
        return Reals(data.images, labels, f"Real pictures are the test images of {title(name)}. The networks did not "
                     f"learn from them.", lambda place: f"Test image {place:,} of {title(name)}")
    if (path := gan.folder and gan.folder / checkpoint.NEAREST) and path.exists():
        return _of_sheet(gan, images.to_uint8(nearest_of(path, gan.shape)), title(name))
    raise ValueError(f"the game needs real pictures of {title(name)}, and this server has none. The host can put the "
                     f"dataset into the folder that GANLIB_DATA names")


def _of_sheet(gan: Model, found: Tensor, name: str) -> Reals:
    labels = None
    if gan.num_classes:
        classifier = digit_classifier(gan)
        if classifier is None or classifier.num_classes != gan.num_classes:
            raise ValueError(f"the discriminator of {gan.name} needs the class of each picture, and the classes of its "
                             f"real pictures are not known here")
        labels = classifier.examine(scale(found))[1].argmax(1)
    return Reals(found, labels, f"Real pictures are {len(found)} training images of {name}, which are the most similar "
                 f"to samples of this model. The discriminator learned from them. A host who puts {name} into the "
                 f"folder of GANLIB_DATA gets test images instead.", lambda place: f"A training image of {name}")


def title(data: Any) -> str:
    """A dataset's name as it is written in sentences."""
    return "its dataset" if not isinstance(data, str) else "MNIST" if data == "mnist" else data


def _test_images(data: Any) -> ImageData | None:
    """The test images of an image set that is on this server; None for other data, or if they cannot be read."""
    opener = DATASETS.get(data) if isinstance(data, str) else None
    try:
        if isinstance(opener, ImageSet) and ((root := default_root()) / opener.folder).is_dir():
            return _opened(data, root)
    except (ValueError, ImportError) as error:
        log.warning("%s", error)  # not for visitors: it names folders of the server
    return None


@functools.lru_cache(maxsize=2)
def _opened(data: str, root: Path) -> ImageData:
    return cast(ImageData, DATASETS[data](root, False, False))
