"""The tab that moves a point through latent space: along named directions, on a plane of four seeds, by arithmetic.

A point is a waypoint's text (`ganlib.waypoints`). The stage (`stage/explore/`) draws, and asks for pictures.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import torch
from PIL import Image
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import one_hot

from ganlib import directions, images, passport, sampling
from ganlib.checks import check_int, quoted, require
from ganlib.demo import links, models, stages
from ganlib.demo.cache import cached
from ganlib.demo.controls import MAX_SEED, endpoint
from ganlib.demo.fits import fitted
from ganlib.demo.links import Reading, waypoint
from ganlib.demo.picker import hub_opener
from ganlib.demo.points import alone, waypoints
from ganlib.demo.stages import answering, table
from ganlib.model import Model
from ganlib.waypoints import Waypoint

TITLE, LINK = "Explore", "explore"
EXPLANATION = "Every picture is a point in a space of random numbers. Here you move the point."

MAX_AMOUNT = directions.LARGEST
SLIDERS = len(directions.ATTRIBUTES)
PSI = 1.0
NO_AMOUNTS: list[float] = []
OWN = "own"  # the class of a plane whose corners keep theirs
SIDE = 17  # pictures along a side of the plane
MAX_GRID = 2**20  # numbers in all pictures of the plane, about: large pictures get a coarser grid
OTHERS = (3, 4, 5, 6, 8, 9, 10)  # seeds that show that a slider means the same everywhere; six of them
SWEEP = [amount / 2 for amount in range(-6, 7)]  # of a slider from end to end

# what the parts show at first: chosen by looking, because the result of other seeds is often less clear
EXAMPLES = {
    "cdcgan": (("36:7", "6:7", "25:3"), "A bold 7 minus a thin 7, plus a thin 3, is a bold 3."),
    "dcgan": (("114", "64", "37"), "A bold, slanted 7 minus an upright 7, plus a thin 0, is a bold, slanted 0."),
    "mlp-gan": (("62", "10", "16"), "A bold, slanted 0 minus a thin 0, plus a thin 5, is a bold, slanted 5."),
    "vae": (("37", "26", "61"), "A bold 9 minus a thin 9, plus a thin 0, is a bold 0."),
}
EXAMPLE = (("1", "2", "3"), "")  # of other models
POINTS = {"cdcgan": "48", "dcgan": "45", "mlp-gan": "57", "vae": "28"}
CORNERS = {"cdcgan": ("36:3", "9:8", "6:5", "14:9"), "dcgan": ("5", "9", "25", "103"),
           "mlp-gan": ("5", "13", "8", "40"), "vae": ("40", "10", "44", "42")}
FOUR, POINT = ("1", "2", "3", "4"), "7"


@dataclass(frozen=True)
class Shown:
    """What a part of the tab shows.

    Args:
        gan: the model.
        x: its pictures (N, C, H, W); the last one is the point's.
        point: the waypoint of the point.
        points: those that the visitor chose, whose classes are told.
        state: the part's values, as links have them.
    """

    gan: Model
    x: Tensor
    point: Waypoint
    points: Sequence[Waypoint]
    state: dict[str, Any]

    def passport(self) -> passport.Passport:
        return passport.of(self.gan, LINK, **self.state)

    def picture(self) -> Image.Image:
        """The point's picture, enlarged, with its passport."""
        return passport.stamp(alone(self.x[-1], self.gan), self.passport())


def numbers(value: Any) -> list[float]:
    """The positions of the sliders, also as text with commas; those that are left out are 0."""
    parts = links.several(value)
    require(len(parts) <= SLIDERS, f"there are at most {SLIDERS} amounts, not {len(parts)}")
    found = [links.number(-MAX_AMOUNT, MAX_AMOUNT, "an amount")(part) for part in parts]
    return found + [0.0] * (SLIDERS - len(found))


def place(value: Any) -> list[float]:
    """A place on the plane, x and y from 0 to 1, also as text with a comma."""
    parts = links.several(value)
    require(len(parts) == 2, f"a place on the plane is two numbers such as 0.5,0.5, not {quoted(value)}")
    return [links.number(0, 1, "a place on the plane")(part) for part in parts]


def four(value: Any, gan: Model) -> list[Waypoint]:
    """The corners of the plane, also as text with commas."""
    return waypoints(value, gan, 4, 4, "a plane")


def one_class(value: Any, gan: Model) -> str:
    """The class of a plane: "own" or the number of a class, as text."""
    known = [OWN, *map(str, range(gan.num_classes or 0))]
    require(str(value) in known, f"the class must be {OWN}" + (f" or a number from 0 to {len(known) - 2}, "
            if gan.num_classes else f", because {gan.name} has no classes, ") + f"not {quoted(value)}")
    return str(value)


def truncation_of(value: Any) -> float:
    return links.number(0, sampling.MAX_TRUNCATION, "Truncation ψ")(value)


# the three parts

def sliders(asked: Mapping[str, Any]) -> Shown:
    """The point after its sliders were moved.

    Args:
        asked: {"model", "point", "amounts", "psi"}, and for pictures of other places before the point's: "strip":
            "seeds" for six other seeds, or "slider" for the slider number "slider" from -3 to 3.
    """
    gan = models.images(asked.get("model", ""))
    point, amounts = waypoint(asked.get("point", ""), gan), numbers(asked.get("amounts", []))
    truncation = truncation_of(asked.get("psi", 1))
    z, label = point.latent(gan)[None], point.label(gan)
    rows, strip = [amounts], asked.get("strip")
    if strip == "seeds":
        others = gan.latents([seed for seed in OTHERS if seed != point.seed][:6])
        z, rows = torch.cat([others, z]), [amounts] * (len(others) + 1)
    elif strip == "slider":
        i = check_int(asked.get("slider"), 0, SLIDERS - 1, "slider")
        rows = [[*amounts[:i], float(amount), *amounts[i + 1:]] for amount in SWEEP] + rows
        z = z.expand(len(rows), -1)
    labels = None if label is None else [label] * len(z)
    z = sampling.truncate(moved(gan, z, rows, labels), truncation)
    x = gan.decode(z, labels)
    unchanged = truncation == 1 and not any(amounts)
    return Shown(gan, x, point if unchanged else Waypoint.at(z[-1], label), [point],
                 {"part": "sliders", "point": str(point), "amounts": amounts, "psi": truncation})


def moved(gan: Model, z: Tensor, amounts: list[list[float]], labels: list[int] | None) -> Tensor:
    """Latents (N, D) after the sliders of each were moved; nothing is fitted while all stand at 0."""
    if not any(map(any, amounts)):
        return z
    found = fitted(gan)
    return found.move(z, torch.tensor(amounts)[:, :len(found.names)], labels)


def plane(asked: Mapping[str, Any]) -> Shown:
    """The picture at a place of a plane. asked: {"model", "corners", "at": [x, y], "class", "psi"}."""
    gan = models.images(asked.get("model", ""))
    corners, at = four(asked.get("corners", []), gan), place(asked.get("at", []))
    digit, truncation = one_class(asked.get("class", OWN), gan), truncation_of(asked.get("psi", 1))
    z, y = on_plane(gan, corners, digit, torch.tensor([at]))
    z = sampling.truncate(z, truncation)
    label = None if y is None else int(y[0].argmax())
    return Shown(gan, gan.decode(z, y), Waypoint.at(z[0], label), corners,
                 {"part": "plane", "corners": list(map(str, corners)), "at": at, "class": digit, "psi": truncation})


def on_plane(gan: Model, corners: Sequence[Waypoint], digit: str, at: Tensor) -> tuple[Tensor, Tensor | None]:
    """Latents (N, D) and shares of the classes (N, num_classes), None without classes, at places of a plane.

    Args:
        corners: top left, top right, bottom left, bottom right.
        digit: the class of all places, or "own": then the shares of the corners' classes change with the place.
        at: (N, 2), x and y from 0 to 1.
    """
    x, y = at.T
    weights = torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], 1)
    latents = torch.stack([corner.latent(gan) for corner in corners])
    z = weights @ latents
    # halfway, a mean is shorter than Gaussian noise: it gets the mean length of the corners
    z = z * (weights @ vector_norm(latents, dim=1) / vector_norm(z, dim=1).clamp_min(1e-6))[:, None]
    if gan.num_classes is None:
        return z, None
    labels = [corner.label(gan) or 0 for corner in corners] if digit == OWN else [int(digit)] * 4
    return z, weights @ one_hot(torch.tensor(labels), gan.num_classes).float()


def arithmetic(asked: Mapping[str, Any]) -> Shown:
    """A, B, C and A - B + C. asked: {"model", "a", "b", "c", "psi"}.

    The result has the class of C; that of A where B and C have the same.
    """
    gan = models.images(asked.get("model", ""))
    points = [waypoint(asked.get(name, ""), gan) for name in "abc"]
    truncation = truncation_of(asked.get("psi", 1))
    z = torch.stack([point.latent(gan) for point in points])
    z = sampling.truncate(torch.cat([z, sampling.arithmetic(*z)[None]]), truncation)
    labels = [point.label(gan) for point in points]
    labels.append(labels[0] if labels[1] == labels[2] else labels[2])
    x = gan.decode(z, None if gan.num_classes is None else [label or 0 for label in labels])
    return Shown(gan, x, Waypoint.at(z[-1], labels[-1]), points,
                 {"part": "arithmetic", **dict(zip("abc", map(str, points))), "psi": truncation})


PARTS: dict[str, Callable[[Mapping[str, Any]], Shown]] = {"sliders": sliders, "plane": plane, "arithmetic": arithmetic}


# what the stage calls

@answering
async def explore_model(asked: Any) -> dict[str, Any]:
    """What `about` tells of a model of the Hub. asked: {"model": name}."""
    gan = await asyncio.to_thread(models.images, table(asked).get("model", ""))
    return about(gan.name, gan.class_names)


def about(name: str, classes: Sequence[str]) -> dict[str, Any]:
    """What the stage knows of a model before its first picture: its classes, and what it shows at first.

    Returns:
        {"classes": their names, "first": the values of a link at first, "words": on the first arithmetic}
    """
    words = EXAMPLES.get(name, EXAMPLE)[1]
    return {"classes": list(classes), "first": first(name), "words": words}


def first(name: str) -> dict[str, Any]:
    """The values of a link to a model's parts where the link does not name them."""
    return {"point": POINTS.get(name, POINT), "amounts": [0.0] * SLIDERS, "corners": list(CORNERS.get(name, FOUR)),
            "at": [0.5, 0.5], "class": OWN, **dict(zip("abc", EXAMPLES.get(name, EXAMPLE)[0])), "psi": 1.0}


@answering
async def explore_directions(asked: Any) -> dict[str, Any]:
    """The sliders of a model: {"sliders": [{"name", "correlation"}]}. asked: {"model": name}."""
    return {"sliders": await asyncio.to_thread(named_sliders, table(asked).get("model", ""))}


def named_sliders(model: str) -> list[dict[str, Any]]:
    found = fitted(models.images(model))
    backing = found.model.metrics.get(directions.MEASURE, {})
    return [{"name": name, "correlation": backing.get(name)} for name in found.names]


async def _pictures(part: str, asked: Any) -> dict[str, Any]:
    return await asyncio.to_thread(_answer, part, table(asked))


@cached()
def _answer(part: str, asked: dict[str, Any]) -> dict[str, Any]:
    shown = PARTS[part](asked)
    labels = [point.label(shown.gan) for point in shown.points]
    return {"waypoint": str(shown.point), "labels": labels, **stages.pixels(shown.x)}


@answering
async def explore_sliders(asked: Any) -> dict[str, Any]:
    """The pictures of `sliders`, the last one's waypoint, and the class of the point that the visitor chose."""
    return await _pictures("sliders", asked)


@answering
async def explore_plane(asked: Any) -> dict[str, Any]:
    """The picture of `plane`, its waypoint, and the classes of the corners."""
    return await _pictures("plane", asked)


@answering
async def explore_arithmetic(asked: Any) -> dict[str, Any]:
    """The pictures of `arithmetic`, the last one's waypoint, and the classes of A, B and C."""
    return await _pictures("arithmetic", asked)


@answering
async def explore_grid(asked: Any) -> dict[str, Any]:
    """The pictures of a plane's grid, row by row, and how many it has along a side.

    Args:
        asked: as for `plane`, without "at"; "side": how many are wanted, 2 to 17. Large pictures get fewer.
    """
    return await asyncio.to_thread(grid, table(asked))


@cached()
def grid(asked: Mapping[str, Any]) -> dict[str, Any]:
    gan = models.images(asked.get("model", ""))
    corners, digit = four(asked.get("corners", []), gan), one_class(asked.get("class", OWN), gan)
    side = min(check_int(asked.get("side"), 2, SIDE, "side"), max(3, math.isqrt(MAX_GRID // math.prod(gan.shape))))
    line = torch.linspace(0, 1, side)
    z, y = on_plane(gan, corners, digit, torch.cartesian_prod(line, line).flip(1))
    x = gan.decode(sampling.truncate(z, truncation_of(asked.get("psi", 1))), y)
    return {"side": side, **stages.pixels(x)}


@answering
async def explore_save(asked: Any) -> dict[str, Any]:
    """The file of what is shown: {"file": base64, "name"}. asked: the values of a part, and "part": its name."""
    return await asyncio.to_thread(saved, table(asked))


def saved(asked: Mapping[str, Any]) -> dict[str, Any]:
    shown = PARTS[links.among(list(PARTS), "the part")(asked.get("part"))](asked)
    image = alone(shown.x[-1], shown.gan)
    if shown.state["part"] == "arithmetic":
        image = images.contact_sheet(shown.x, 4, captions=["A", "\u2212 B", "+ C", "="])
    return stages.file(image, shown.passport(), f"{shown.gan.name.replace('/', '-')}-explore.png")


# the API

def api_sliders(model: str, point: str, amounts: list[float] = NO_AMOUNTS, digit: str = "any",
                psi: float = PSI) -> tuple[Image.Image, dict[str, Any]]:
    """Change a picture along named directions, such as its slant or its thickness.

    Args:
        model: the name of the model.
        point: a seed such as 7, a seed and a class such as 7:3, or a found latent.
        amounts: up to five numbers from -3 to 3, one for each direction; [] for no change.
        digit: "any", or the number of a class for a point without one.
        psi: truncation, 0 to 2; below 1 the picture is more typical.

    Returns:
        The picture, a PNG file, and {"waypoint": of the new point, "sliders": [{"name": of a direction, "correlation":
        of the amount and the change that it names}]}.
    """
    point = str(point) if digit == "any" else f"{point}:{digit}"
    shown = sliders({"model": model, "point": point, "amounts": amounts, "psi": psi})
    return shown.picture(), {"waypoint": str(shown.point), "sliders": named_sliders(model)}


def api_plane(model: str, corners: str, x: float = 0.5, y: float = 0.5, digit: str = OWN,
              psi: float = PSI) -> tuple[Image.Image, dict[str, Any]]:
    """Mix four pictures: make the picture at a place of the plane between four points.

    Args:
        model: the name of the model.
        corners: four points as in `/explore`, separated by commas: top left, top right, bottom left, bottom right.
        x: from 0, left, to 1, right.
        y: from 0, top, to 1, bottom.
        digit: the number of a class for the whole plane, or "own": each corner has its own.
        psi: truncation, 0 to 2; below 1 the picture is more typical.

    Returns:
        The picture, a PNG file, and {"waypoint": of the place}.
    """
    shown = plane({"model": model, "corners": corners, "at": [x, y], "class": digit, "psi": psi})
    return shown.picture(), {"waypoint": str(shown.point)}


def api_arithmetic(model: str, a: str, b: str, c: str, psi: float = PSI) -> tuple[Image.Image, dict[str, Any]]:
    """Calculate with pictures: make the picture of A - B + C.

    Args:
        model: the name of the model.
        a, b, c: a point as in `/explore`.
        psi: truncation, 0 to 2; below 1 the picture is more typical.

    Returns:
        The picture, a PNG file, and {"waypoint": of the result}.
    """
    shown = arithmetic({"model": model, "a": a, "b": b, "c": c, "psi": psi})
    return shown.picture(), {"waypoint": str(shown.point)}


def restore(reading: Reading) -> list[Any]:
    """The state that the stage opens: it sets what the link names, and nothing else."""
    model = reading.model(models.image_models())
    gan = models.images(model)
    checks: dict[str, Callable[[Any], Any]] = {
        "part": links.among(list(PARTS), "the part"), "amounts": numbers, "at": place, "psi": truncation_of,
        "corners": lambda value: list(map(str, four(value, gan))), "class": lambda value: one_class(value, gan),
        **dict.fromkeys(("point", *"abc"), lambda value: str(waypoint(value, gan))),
    }
    defaults = {"part": "sliders", **first(model)}
    return [stages.state({"model": model, **{name: reading.take(name, check, defaults[name])
                                             for name, check in checks.items() if name in reading.values}})]


def build(demo: gr.Blocks) -> list[gr.HTML]:
    names = models.image_models()
    page = {"models": names, "about": {name: about(name, models.class_names(name)) for name in names},
            "parts": list(PARTS), "maxSeed": MAX_SEED, "maxAmount": MAX_AMOUNT, "maxPsi": sampling.MAX_TRUNCATION,
            "sweep": SWEEP, "others": OTHERS, "side": SIDE, "sliders": SLIDERS}
    stage = stages.stage("explore", page, [explore_model, explore_directions, explore_sliders, explore_plane,
                                           explore_grid, explore_arithmetic, explore_save], "Explore")
    hub_opener(models.images, stage)
    _build_api(first(names[0]), names)
    return [stage]


def _build_api(values: Mapping[str, Any], names: list[str]) -> None:
    """Components that nobody sees: pictures travel through the API by them. values: of the first of the models."""
    outputs = [gr.Image(format="png", label="Picture", visible=False), gr.JSON(label="Its waypoint", visible=False)]
    endpoint(api_sliders, "explore", outputs, names, {"point": values["point"]})
    endpoint(api_plane, "plane", outputs, names, {"corners": ",".join(values["corners"])})
    endpoint(api_arithmetic, "arithmetic", outputs, names, {term: values[term] for term in "abc"})
