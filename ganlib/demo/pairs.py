"""Two models side by side, for two figures of the course: `mlp-gan` and `dcgan`, then `dcgan` and `vae`.

What the figures show at first is made when the page is built (`page`). A server that lacks one of the models says so.
Pictures travel as one PNG file each time: a column of all of them.
"""

import asyncio
import contextvars
import functools
import io
import statistics
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr
import torch
from gradio.data_classes import FileDataDict
from PIL import Image
from torch import Tensor

from ganlib import classifier, drawing, images, inversion, passport
from ganlib.checkpoint import WeightsError
from ganlib.checks import check_bool, check_int, quoted, require
from ganlib.data import scale
from ganlib.demo import draw, models, rounds, worker
from ganlib.demo.controls import check_seed, endpoint
from ganlib.demo.searches import Searches
from ganlib.demo.stages import FOLDER, answering, in_text, table
from ganlib.inversion import Inversion
from ganlib.layers import Layers, cost
from ganlib.measures import MEASURES
from ganlib.model import Model
from ganlib.waypoints import Waypoint

NETWORKS = ("mlp-gan", "dcgan")  # fully connected, and of convolutions
PAIR = GAN, VAE = ("dcgan", "vae")
KINDS = {"mlp-gan": "fully connected", "dcgan": "convolutions"}

SIDE = drawing.SIDE
PICTURES = 16  # in a grid
FRAMES = 25  # on the path between two pictures
SEEDS, CHOSEN, ROW, COLUMN = list(range(1, PICTURES + 1)), 5, 13, 13  # at first
DIGIT, ENDS = 2, ((7, 2), (9, 5))  # at first: a digit; two digits, and two seeds
START = {"seeds": SEEDS, "chosen": CHOSEN, "row": ROW, "column": COLUMN, "digit": DIGIT, "ends": ENDS}
# test images of MNIST, a digit of each class, for pages that have no MNIST at hand yet; `write_digits` wrote their file
DIGITS, DIGITS_FILE = (3, 2, 1, 18, 4, 15, 11, 0, 61, 9), FOLDER / "how" / "digits.png"
MAX_INDEX = 9_999
TIMED, MAX_RUNS, MAX_SECONDS = 64, 15, 0.5  # pictures, and how often and long they are made for a time
MAX_WAITING = 4  # measurements
FAINTEST = 40  # of 255: how bright a place is that a pixel depends on by almost nothing

QUALITY = {"fid_digit_classifier": "FID\u00a0↓", "precision": "Precision\u00a0↑", "recall": "Recall\u00a0↑"}
RECONSTRUCTION = "reconstruction_psnr"

SEARCHES = Searches()
_searching = ThreadPoolExecutor(1, thread_name_prefix="pair")
_timing = ThreadPoolExecutor(1, thread_name_prefix="timing")
_places = threading.Semaphore(MAX_WAITING)


def digits(name: Any) -> Model:
    """The page's own model of that name, which makes digits. Raises WeightsError or ValueError, in a sentence."""
    require(isinstance(name, str) and name in models.own(), f"this server has no model {quoted(name)}")
    model = models.images(name)
    require(model.shape == classifier.SHAPE and model.num_classes is None,
            f"the model {name} makes other samples than this figure shows")
    return model


def found(names: Sequence[str]) -> tuple[list[Model], str]:
    """Those of the models that this server has, and a sentence on the first one that it lacks, or ""."""
    known, wrong = [], ""
    for name in names:
        try:
            known.append(digits(name))
        except (ValueError, WeightsError) as error:
            wrong = wrong or f"{str(error)[0].upper()}{str(error)[1:]}."
    return known, wrong


def sheet(x: Tensor) -> str:
    """Pictures (N, 1, H, W) as one column, a PNG file in base64."""
    file = io.BytesIO()
    images.to_pil(x.reshape(1, -1, x.shape[-1])).save(file, "PNG", optimize=True)
    return in_text(file.getvalue())


def check_seeds(seeds: Any) -> list[int]:
    """A list of 1 to 16 seeds of the page. Raises ValueError for anything else."""
    require(isinstance(seeds, list) and 1 <= len(seeds) <= PICTURES,
            f"seeds must be a list of 1 to {PICTURES} whole numbers, not {quoted(seeds)}")
    return [check_seed(seed) for seed in seeds]


# networks

def reach(model: Model, seed: Any, row: Any, column: Any, layers: Layers | None = None) -> list[dict[str, Any]]:
    """Which numbers of each layer a pixel depends on.

    Args:
        model: one that makes digits.
        seed: of its picture.
        row, column: of the pixel, 0 to 27.
        layers: of the model, if they are made already: they are copies of its network.

    Returns:
        For each layer a dictionary: shape; reads, how many of its numbers the pixel depends on; rows; columns; cells,
        how strongly for each place, as rows * columns bytes in base64, 0 where the pixel does not depend on it.
    """
    seeds = [check_seed(seed)]
    rows = []
    for layer in (layers or Layers(model)).reach(model.latents(seeds), model.labels_of(seeds), row, column):
        # roots, because strengths differ by orders of magnitude
        share = (layer.strength / layer.strength.max().clamp_min(1e-12)).sqrt()
        cells = (FAINTEST + (255 - FAINTEST) * share) * layer.connected
        rows.append({"shape": list(layer.shape), "reads": layer.numbers, "rows": cells.shape[0],
                     "columns": cells.shape[1], "cells": in_text(cells.round().byte().numpy().tobytes())})
    return rows


def milliseconds(known: Sequence[Model]) -> dict[str, dict[str, Any]]:
    """The time that each model takes for 64 pictures: {name: {"milliseconds": median, "runs"}}. They take turns."""
    asked = {model.name: (model.latents(range(TIMED)), model.labels_of(range(TIMED))) for model in known}
    times: dict[str, list[float]] = {model.name: [] for model in known}
    for model in known:
        model.decode(*asked[model.name])  # the first time is slower
    for model in list(known) * MAX_RUNS:
        if sum(times[model.name]) < MAX_SECONDS:
            start = models.now()
            model.decode(*asked[model.name])
            times[model.name].append(models.now() - start)
    return {name: {"milliseconds": 1000 * statistics.median(runs), "runs": len(runs)} for name, runs in times.items()}


def numbers(model: Model) -> dict[str, Any]:
    """What a generator costs, and what was measured of its pictures: the values of its metrics.json."""
    costs = cost(model)
    keys = [*QUALITY, RECONSTRUCTION]
    return {"parameters": costs.parameters, "convolutional": costs.convolutional,
            "multiplications": costs.multiplications,
            **{key: model.metrics[key] for key in keys if model.metrics.get(key) is not None}}


Rows = list[tuple[str, list[str]]]


def costs_of(known: Sequence[Model]) -> Rows:
    """Rows of a table: words, and a cell for each model and, last, for real pictures."""
    named = {"parameters": "Parameters", "convolutional": "… in convolutions",
             "multiplications": "Multiplications per picture"}
    measured = [numbers(model) for model in known]
    return [(words, [*(f"{row[key]:,}" for row in measured), ""]) for key, words in named.items()]


def quality_of(known: Sequence[Model], keys: Mapping[str, str] = QUALITY) -> Rows:
    """Rows of a table as `costs_of` gives them, from metrics.json."""
    forms = {measure.key: measure for measure in MEASURES}
    real: dict[str, Any] = dict(known[0].metrics) if known else {}
    return [(words, [*(forms[key].written(model.metrics.get(key)) for model in known),
                     forms[key].written(real.get(f"{key}_of_real"))]) for key, words in keys.items()]


# the pair

def encoded(model: Model, x: Tensor) -> dict[str, Any]:
    """What the encoder and the decoder make of a picture (1, 28, 28), in one pass: "picture", "psnr",
    "milliseconds", "latent" (a waypoint)."""
    start = models.now()
    z = model.encode(x[None])
    y = model.decode(z)
    spent = models.now() - start
    return {"picture": sheet(y), "psnr": float(inversion.psnr(y, x[None])[0]), "milliseconds": 1000 * spent,
            "latent": str(Waypoint.at(z[0]))}


class Timed(Iterator[tuple[float, Inversion]]):
    """The steps of a search, and the seconds that it took so far."""

    def __init__(self, steps: Iterator[tuple[float, Inversion]]):
        self.steps, self.seconds = steps, 0.0

    def __next__(self) -> tuple[float, Inversion]:
        start = models.now()
        try:
            return next(self.steps)
        finally:
            self.seconds += models.now() - start


def reals() -> rounds.Reals:
    """Real digits, as the game has them. Raises ValueError, in a sentence, if there are none."""
    known, wrong = found(PAIR)
    require(bool(known), wrong)
    return rounds.reals_of(known[0])


def real_digit(asked: Mapping[str, Any]) -> tuple[Tensor, str]:
    """A real digit (1, 28, 28) and where it is from: {"start": 0 to 9} for one of `DIGITS`, or {"index": 0 to 9,999}
    for another one, which starts again at the end of what this server has."""
    if "start" in asked:
        start = check_int(asked["start"], 0, len(DIGITS) - 1, "The number of a first digit")
        x = images.from_pil(_first_digits())[:, SIDE * start:SIDE * (start + 1)]
        return x, f"Test image {DIGITS[start]} of MNIST."
    index, real = check_int(asked.get("index"), 0, MAX_INDEX, "The number of a digit"), reals()
    place = index % len(real.images)
    return scale(real.images[place][None])[0], f"{real.origin(place)}."


@functools.cache
def _first_digits() -> Image.Image:
    return images.read(DIGITS_FILE)


def write_digits() -> None:
    """Write the file of the first digits from MNIST's test images."""
    images.to_pil(scale(reals().images[list(DIGITS)]).reshape(1, -1, SIDE)).save(DIGITS_FILE, optimize=True)


def original(asked: Mapping[str, Any]) -> tuple[Tensor, str]:
    """The picture (1, 28, 28) that is asked for, and where it is from: a real digit, as `real_digit` takes it, or a
    drawing: {"ink": bytes in base64} or {"drawing": its text}."""
    if not asked.keys() & {"ink", "drawing"}:
        return real_digit(asked)
    return draw.drawing_of(asked), "Your drawing, scaled and centred."


def reconstructed(asked: Mapping[str, Any]) -> dict[str, Any]:
    """A picture, and what the VAE makes of it: {"picture", "drawing": as text, "about": where it is from, "vae": what
    `encoded` gives, or None}. asked: as for `original`."""
    x, about = original(asked)
    known, _ = found([VAE])
    return {"picture": sheet(x[None]), "drawing": drawing.to_text(x), "about": about,
            "vae": encoded(known[0], x) if known and known[0].encoder is not None else None}


def between(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The paths of both models: {"real": sheet of both digits, "vae": sheet, "dcgan": sheet}, without a model that is
    missing. asked: {"digits": two, as for `original`, "seeds": two seeds}."""
    chosen, seeds = asked.get("digits"), check_seeds(asked.get("seeds"))
    require(isinstance(chosen, list) and len(chosen) == 2 and len(seeds) == 2, "a path has two digits and two seeds")
    x = torch.stack([original(table(digit))[0] for digit in chosen or []])
    answer = {"real": sheet(x)}
    for model in found(PAIR)[0]:
        latents = model.encode(x) if model.encoder is not None else model.latents(seeds)
        answer[model.name] = sheet(model.walk(latents, None, FRAMES))
    return answer


# what the figures ask for

@answering
async def how_compare(asked: Any) -> dict[str, Any]:
    """Pictures of the same seeds: {name: sheet}. asked: {"models": names, "seeds"}."""
    def answer() -> dict[str, Any]:
        values = table(asked)
        names, seeds = values.get("models"), check_seeds(values.get("seeds"))
        require(isinstance(names, list) and 1 <= len(names) <= 2, "models must be a list of one or two names")
        return {model.name: sheet(model.sample(seeds)) for model in map(digits, names or [])}

    return await asyncio.to_thread(answer)


@answering
async def how_reach(asked: Any) -> dict[str, Any]:
    """What `reach` gives for both networks: {name: layers}. asked: {"seed", "row", "column"}."""
    def answer() -> dict[str, Any]:
        values = table(asked)
        seed, row, column = (values.get(name) for name in ("seed", "row", "column"))
        return {model.name: reach(model, seed, row, column) for model in found(NETWORKS)[0]}

    return await asyncio.to_thread(answer)


@answering
async def how_measure(asked: Any) -> dict[str, Any]:
    """What `milliseconds` gives for both networks. asked: {}."""
    table(asked)
    return await worker.within(_timing, _places, lambda: milliseconds(found(NETWORKS)[0]),
                               "the server measures for others at this moment; try again")


@answering
async def how_reconstruct(asked: Any) -> dict[str, Any]:
    """What `reconstructed` gives. asked: {"index"}, {"ink"} or {"drawing"}."""
    return await asyncio.to_thread(lambda: reconstructed(table(asked)))


@answering
async def how_search(asked: Any, request: gr.Request) -> dict[str, Any]:
    """The GAN's closest picture so far: {"share" of the search that is done, "done", "picture", "psnr", "milliseconds",
    "latent"}. The same request goes on with the search. asked: {"index"} or {"drawing"}."""
    visitor = (await request.json())["session_hash"]

    def answer() -> dict[str, Any]:
        (x, _), model = original(table(asked)), digits(GAN)
        search = SEARCHES.advance(visitor, drawing.to_text(x), lambda: Timed(inversion.search(model, x[None])))
        assert search.found is not None  # it made one step at least
        assert isinstance(search.steps, Timed)
        return {"share": search.share, "done": search.ended, "picture": sheet(search.found.images),
                "psnr": float(search.found.psnr[0]), "milliseconds": 1000 * search.steps.seconds,
                "latent": str(Waypoint.at(search.found.latents[0]))}

    return await asyncio.wrap_future(_searching.submit(contextvars.copy_context().run, answer))


@answering
async def how_stop(asked: Any, request: gr.Request) -> dict[str, Any]:
    """Drop the visitor's search, so that others have its place. asked: {}."""
    SEARCHES.drop((await request.json())["session_hash"])
    return {}


def leave(request: gr.Request) -> None:
    """Drop the search of a page that was closed."""
    if request.session_hash:
        SEARCHES.drop(request.session_hash)


@answering
async def how_between(asked: Any) -> dict[str, Any]:
    """What `between` gives. asked: {"digits": two numbers, "seeds": two seeds}."""
    return await asyncio.to_thread(lambda: between(table(asked)))


FUNCTIONS: list[Callable[..., Any]] = [how_compare, how_reach, how_measure, how_reconstruct, how_search, how_stop,
                                       how_between]


# what the figures show at first

def page() -> dict[str, Any]:
    """What the two figures know of the server: PAGE.networks and PAGE.pair in the stage's JavaScript."""
    return {"networks": _networks(), "pair": _pair()}


def _networks() -> dict[str, Any]:
    known, wrong = found(NETWORKS)
    layers = {model.name: Layers(model) for model in known}
    return {"models": [model.name for model in known], "kinds": KINDS, "wrong": wrong, "start": START,
            "shared": {name: found.shares_weights for name, found in layers.items()},
            "sheets": {model.name: sheet(model.sample(SEEDS)) for model in known},
            "reach": {model.name: reach(model, SEEDS[CHOSEN], ROW, COLUMN, layers[model.name]) for model in known},
            "timed": TIMED, "costs": costs_of(known), "quality": quality_of(known)}


def _pair() -> dict[str, Any]:
    known, wrong = found(PAIR)
    digits_at_first, seeds = ([{"start": digit} for digit in ENDS[0]], list(ENDS[1]))
    return {"models": [model.name for model in known], "gan": GAN, "vae": VAE, "wrong": wrong, "start": START,
            "frames": FRAMES, "inkSide": draw.INK_SIDE, "count": MAX_INDEX + 1,
            "sheets": {model.name: sheet(model.sample(SEEDS)) for model in known},
            "digit": reconstructed({"start": DIGIT}),
            "paths": between({"digits": digits_at_first, "seeds": seeds}),
            "quality": [*quality_of(known), ("PSNR, in one pass\u00a0↑", [*map(_reconstruction, known), ""])]}


def _reconstruction(model: Model) -> str:
    if model.encoder is None:
        return "no encoder"
    return f"{model.metrics[RECONSTRUCTION]:.1f} dB" if RECONSTRUCTION in model.metrics else ""


# the API

def reconstruct(model: str, picture: FileDataDict) -> tuple[Image.Image, dict[str, Any]]:
    """Rebuild a given picture of a digit: the model's encoder finds its closest picture, or a search if it has none.

    Args:
        model: the name of a model that makes grey pictures of 28×28 pixels.
        picture: the file of a photo or drawing; it is scaled and centred as MNIST's digits unless it is 28×28 already.

    Returns:
        The picture, a PNG file of 28×28 pixels, and a dictionary: method, "encoder" or "search"; psnr, in dB;
        milliseconds; latent, a waypoint that links and `/walk` take.
    """
    gan, x = draw.digit_model(model), draw.picture_of(picture)
    start = models.now()
    if gan.encoder is not None:
        z, label = gan.encode(x[None]), None
        y = gan.decode(z)
    else:
        result = gan.invert(x[None])
        z, y, label = result.latents, result.images, None if result.labels is None else int(result.labels[0])
    spent = models.now() - start
    latent = str(Waypoint.at(z[0], label))
    image = passport.stamp(images.to_pil(y[0]), draw.passport_of(gan, x, None, latent))
    return image, {"method": "encoder" if gan.encoder is not None else "search", "latent": latent,
                   "psnr": float(inversion.psnr(y, x[None])[0]), "milliseconds": 1000 * spent}


def compare(first: str = GAN, second: str = VAE, seeds: list[int] = SEEDS,
            measure: bool = False) -> tuple[Image.Image, dict[str, Any]]:
    """Compare two models on the same seeds: a row of pictures for each, and numbers. The picture has no passport.

    Args:
        first: the name of a model.
        second: the name of another model, whose pictures have the same shape.
        seeds: 1 to 16 of them, 0 to 9,999.
        measure: whether to measure the time for 64 pictures now.

    Returns:
        The pictures, a PNG file, and a dictionary with one for each model: parameters; convolutional, those in
        convolutions; multiplications, by weights for one picture; of metrics.json fid_digit_classifier, precision,
        recall and reconstruction_psnr, where it has them; if measured, milliseconds and runs.
    """
    both, seeds = [models.images(first), models.images(second)], check_seeds(seeds)
    require(both[0].shape == both[1].shape, f"{first} and {second} make pictures of different shapes")
    check_bool(measure, "measure")
    rows = torch.cat([model.sample(seeds) for model in both])
    times = _timing.submit(milliseconds, both).result() if measure else {}
    said = {model.name: numbers(model) | times.get(model.name, {}) for model in both}
    return images.contact_sheet(rows, len(seeds)), said


def influence(model: str = GAN, seed: int = SEEDS[0], row: int = ROW,
              column: int = COLUMN) -> list[dict[str, Any]]:
    """Find which numbers of each layer of a generator a pixel of a picture depends on.

    It takes the page's own models only, because it makes two copies of a network, in double precision.

    Args:
        model: the name of one of the page's own models.
        seed: of the picture, 0 to 9,999.
        row: of the pixel, from 0, at the top.
        column: of the pixel, from 0, at the left.

    Returns:
        A dictionary for each layer: shape; reads, how many of its numbers the pixel depends on; rows; columns; cells,
        how strongly for each place, as rows * columns bytes in base64, 0 where the pixel does not depend on it.
    """
    require(isinstance(model, str) and model in models.own(),
            f"the layers of {quoted(model)} are not shown here, only those of {', '.join(models.image_models())}")
    return reach(models.images(model), seed, row, column)


def build_api() -> None:
    """The endpoints /reconstruct, /compare and /influence."""
    outputs = [gr.Image(format="png", label="pictures", visible=False), gr.JSON(label="numbers", visible=False)]
    limits: dict[str, Any] = {"concurrency_limit": draw.API_CALLS}
    endpoint(reconstruct, "reconstruct", outputs, models.image_models(), {"model": GAN}, **limits)
    endpoint(compare, "compare", outputs, **limits)
    endpoint(influence, "influence", None, **limits)
