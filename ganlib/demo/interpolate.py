"""The tab that walks from one picture to another, past up to six waypoints.

The stage (`stage/interpolate`) gets all frames of a walk at once, and plays them in the browser.
"""

import asyncio
import math
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image
from torch import Tensor

from ganlib import images, passport, sampling
from ganlib.checks import check_float, check_int, quoted, require
from ganlib.demo import links, models, stages, worker
from ganlib.demo.cache import cached
from ganlib.demo.controls import MAX_SEED, check_seed, endpoint
from ganlib.demo.links import Reading
from ganlib.demo.picker import hub_opener
from ganlib.demo.points import alone, scale, waypoints
from ganlib.model import Model
from ganlib.waypoints import MAX_WAYPOINTS, Waypoint, ends

TITLE, LINK = "Interpolate", "interpolate"
EXPLANATION = ("Each picture is a point in a space of random numbers. Between two points every step is a picture too, "
               "so one digit becomes another.")
MAX_STEPS, KEPT_FILMS = 64, 32
MAX_PIXELS = 2**26  # numbers in the enlarged frames of a walk: they are in memory while its files are made
STRIP_COLUMNS = 16  # of square pictures
SECONDS = 2.0  # of a leg
ENDS, STEPS, METHOD, CLOSED, PSI = (3, 8), 32, "slerp", False, 1.0  # at first
DEFAULTS: dict[str, Any] = {"waypoints": list(map(str, ENDS)), "steps": STEPS, "method": METHOD, "closed": CLOSED,
                            "psi": PSI}
PATHS = {  # the words for a choice, and a sentence on it
    "slerp": ("arc (slerp)", "A curved path: every step is as typical as the waypoints."),
    "lerp": ("line (lerp)", "A straight path: halfway, the pictures are more average."),
}


@dataclass(frozen=True)
class Walk:
    """A walk whose values were checked.

    Args:
        model: that makes its pictures.
        points: its waypoints, 2 to 6.
        steps: pictures of a leg with both its ends.
        method: "slerp" or "lerp".
        closed: whether it leads back to its start.
        psi: truncation.
    """

    model: Model
    points: list[Waypoint]
    steps: int
    method: str
    closed: bool
    psi: float

    @property
    def legs(self) -> int:
        return len(self.points) - (not self.closed)

    @property
    def seconds(self) -> float:
        """Of the way from its first frame to its last."""
        return SECONDS * self.legs

    def frames(self) -> Tensor:
        """Its pictures (N, C, H, W); waypoint k is picture k (steps - 1)."""
        return self.model.walk(*ends(self.points, self.model), self.steps, self.method, self.closed, self.psi)

    def passport(self, **more: Any) -> passport.Passport:
        """The passport of its files."""
        return passport.of(self.model, LINK, waypoints=list(map(str, self.points)), steps=self.steps,
                           method=self.method, closed=self.closed, psi=self.psi, **more)

    def file_name(self) -> str:
        """Of its files, without an ending."""
        places = [str(point.seed) if point.found is None else "found" for point in self.points]
        return "-".join([self.model.name.replace("/", "-"), *places])


def check(values: Mapping[str, Any]) -> Walk:
    """The walk of these values: model, waypoints (texts, or one text with commas), steps, method, closed, psi.

    Raises ValueError or WeightsError if one is not valid, or if the walk would have too many pictures for the page.
    """
    values = {**DEFAULTS, **values}
    gan = models.images(values.get("model"))
    sampling.interpolation(values["method"])
    walk = Walk(gan, check_points(values["waypoints"], gan), check_int(values["steps"], 2, MAX_STEPS, "Steps"),
                values["method"], links.flag(values["closed"]),
                check_float(values["psi"], 0, sampling.MAX_TRUNCATION, "Truncation ψ"))
    frames = MAX_PIXELS // (math.prod(gan.shape) * scale(gan) ** 2)
    most = (frames - (not walk.closed)) // walk.legs + 1
    require(walk.steps <= most, f"Steps must be at most {most}, not {walk.steps}: this is a walk of large pictures")
    return walk


def check_points(values: Any, model: Model) -> list[Waypoint]:
    """The waypoints of these texts, or of one text with commas. Raises ValueError."""
    return waypoints(values, model, 2, MAX_WAYPOINTS, "a walk")


# files


def strip(walk: Walk, x: Tensor) -> Image.Image:
    """All pictures of a walk on one sheet, row by row."""
    height, width = x.shape[-2:]
    columns = max(1, round(STRIP_COLUMNS * math.sqrt(height / width)))
    return passport.stamp(images.contact_sheet(x, images.fewest_columns(len(x), columns)), walk.passport())


def write_film(write: Callable[..., Path], walk: Walk, x: Tensor, path: Path) -> Path:
    """A walk as a GIF or an MP4, by `images.write_gif` or `images.write_mp4`."""
    return write(x, path, scale(walk.model), walk.seconds, walk.closed, passport.to_json(walk.passport()))


def _save_strip(walk: Walk, x: Tensor, path: Path) -> None:
    passport.save(strip(walk, x), path, walk.passport())


SAVE: dict[str, Callable[[Walk, Tensor, Path], object]] = {  # by the file's ending
    "gif": lambda *of: write_film(images.write_gif, *of),
    "mp4": lambda *of: write_film(images.write_mp4, *of),
    "png": _save_strip,
}


def to_file(walk: Walk, kind: str, x: Tensor | None = None) -> bytes:
    """A walk as a file of one of the kinds of SAVE. x: its pictures, if they are made already."""
    with tempfile.TemporaryDirectory(prefix="ganlib-") as folder:
        path = Path(folder, f"walk.{kind}")
        SAVE[kind](walk, walk.frames() if x is None else x, path)
        return path.read_bytes()


# what the stage asks


@stages.answering
async def interpolate_walk(asked: Any) -> stages.Answer:
    """The pictures of a walk.

    Args:
        asked: the values of `check`.

    Returns:
        What `stages.pixels` sends; "labels", the class of each waypoint or None; "classes", their names.
    """
    return await asyncio.to_thread(_shown, stages.table(asked))


@cached()
def _shown(values: dict[str, Any]) -> stages.Answer:
    walk = check(values)
    gan = walk.model
    return {**stages.pixels(walk.frames()), "classes": list(gan.class_names),
            "labels": [point.label(gan) for point in walk.points]}


@stages.answering
async def interpolate_file(asked: Any) -> stages.Answer:
    """A walk as a file: {"file": base64, "name": with its ending}.

    Args:
        asked: the values of `check`, and "kind": gif, mp4 or png, a sheet of all pictures.
    """
    asked = stages.table(asked)
    kind: Any = asked.get("kind")
    require(isinstance(kind, str) and kind in SAVE, f"a walk is saved as {', '.join(SAVE)}, not {quoted(kind)}")

    return await worker.aside(_file, asked, kind)


@cached()
def _file(asked: dict[str, Any], kind: str) -> stages.Answer:
    walk = check(asked)
    return {"file": stages.in_text(to_file(walk, kind)), "name": f"{walk.file_name()}.{kind}"}


# the API


def interpolate(model: str, first: int = ENDS[0], second: int = ENDS[1], steps: int = STEPS,
                method: str = METHOD) -> tuple[Image.Image, str, str]:
    """Turn the picture of one seed into that of another, step by step.

    Args:
        model: the name of the model.
        first: seed of the first picture, 0 to 9,999.
        second: seed of the last picture, 0 to 9,999.
        steps: how many pictures, both ends included, 2 to 64.
        method: "slerp", a curved path on which every step is as typical as the ends, or "lerp", a straight one.

    Returns:
        All pictures on one sheet, a PNG file; a GIF of the way there and back; and a line that says how they were made.
    """
    sheet, gif, _, status = _files({**_between(model, first, second, method), "steps": steps}, mp4=False)
    return sheet, gif, status


def walk(model: str, waypoints: str = ",".join(map(str, ENDS)), steps: int = STEPS, method: str = METHOD,
         closed: bool = CLOSED, psi: float = PSI) -> tuple[Image.Image, str, str | None, str]:
    """Turn one picture into another and on into further ones: a walk past several waypoints.

    Args:
        model: the name of the model.
        waypoints: 2 to 6, separated by commas: seeds such as 3, or 3:7 for seed 3 as class 7, and found latents.
        steps: pictures from one waypoint to the next, both included, 2 to 64.
        method: "slerp", a curved path on which every step is as typical as the ends, or "lerp", a straight one.
        closed: whether the walk leads back to its first waypoint; if not, the films go there and back.
        psi: truncation, 0 to 2; below 1 the pictures are more typical.

    Returns:
        All pictures on one sheet, a PNG file; a GIF; an MP4, or null where the server cannot make one; and a line that
        says how they were made.
    """
    return _files({"model": model, "waypoints": waypoints, "steps": steps, "method": method, "closed": closed,
                   "psi": psi}, mp4=images.can_write_mp4())


@cached()
def frame(model: str, first: int = ENDS[0], second: int = ENDS[1], method: str = METHOD,
          position: float = 0.5) -> Image.Image:
    """Make one picture on the path from one seed to another.

    Args:
        model: the name of the model.
        first: seed of the first picture, 0 to 9,999.
        second: seed of the last picture, 0 to 9,999.
        method: "slerp", a curved path on which every step is as typical as the ends, or "lerp", a straight one.
        position: from 0, the first seed's picture, to 1, the second's.

    Returns:
        The picture, a PNG file.
    """
    walk = check(_between(model, first, second, method))
    (x,) = walk.model.between(first, second, [position], method)
    return passport.stamp(alone(x, walk.model), walk.passport(position=position))


def _between(model: str, first: int, second: int, method: str) -> dict[str, Any]:
    seeds = check_seed(first, "From seed"), check_seed(second, "To seed")
    return {"model": model, "waypoints": list(map(str, seeds)), "method": method}


_folders: "deque[tempfile.TemporaryDirectory[str]]" = deque()


def _files(values: dict[str, Any], mp4: bool) -> tuple[Image.Image, str, str | None, str]:
    """What `_made` gives, made in the one thread for files: an API call waits for its turn as a visitor does."""
    return asyncio.run(worker.aside(_made, values, mp4))


def _made(values: dict[str, Any], mp4: bool) -> tuple[Image.Image, str, str | None, str]:
    """The strip, the GIF, the MP4 or None, and the status of a walk. gradio copies the files; old ones are removed."""
    sheet, films, name, status = _rendered(values, ["gif", "mp4"] if mp4 else ["gif"])
    _folders.append(folder := tempfile.TemporaryDirectory(prefix="ganlib-", ignore_cleanup_errors=True))
    if len(_folders) > KEPT_FILMS:
        _folders.popleft().cleanup()
    paths = {}
    for kind, film in films.items():
        paths[kind] = Path(folder.name, f"{name}.{kind}")
        paths[kind].write_bytes(film)
    return sheet, str(paths["gif"]), str(paths["mp4"]) if mp4 else None, status


@cached(recalled=lambda found: (*found[:-1], models.recalled(found[-1])))
def _rendered(values: dict[str, Any], kinds: list[str]) -> tuple[Image.Image, dict[str, bytes], str, str]:
    """The strip of a walk, its films by their kinds, their name without an ending, and its status."""
    start = models.now()
    walk = check(values)
    x = walk.frames()
    status = models.credit(walk.model, len(x), start)
    return strip(walk, x), {kind: to_file(walk, kind, x) for kind in kinds}, walk.file_name(), status


# the page


def restore(reading: Reading) -> list[Any]:
    """The state of a link or a passport. One with `add`, a waypoint, keeps the other values of the stage."""
    model = reading.model(models.image_models())
    gan = models.images(model)
    checks: dict[str, Callable[[Any], Any]] = {
        "waypoints": lambda value: list(map(str, check_points(value, gan))),
        "steps": links.whole(2, MAX_STEPS, "Steps"),
        "method": links.among(list(sampling.INTERPOLATIONS), "Path"),
        "closed": links.flag,
        "psi": links.number(0, sampling.MAX_TRUNCATION, "Truncation ψ"),
    }
    values = {name: reading.take(name, checks[name], DEFAULTS[name]) for name in checks
              if name in reading.values or "add" not in reading.values}
    added = reading.take("add", lambda text: str(links.waypoint(text, gan)), None)
    return [stages.state({"model": model, **values, **({"add": added} if added else {})})]


def page() -> dict[str, Any]:
    """What the stage knows of the server: PAGE in its JavaScript."""
    names = models.image_models()
    return {"models": names, "classes": {name: list(models.class_names(name)) for name in names},
            "defaults": DEFAULTS, "paths": PATHS, "seconds": SECONDS, "mp4": images.can_write_mp4(),
            "maxSeed": MAX_SEED, "limits": {"steps": MAX_STEPS, "waypoints": MAX_WAYPOINTS,
                       "psi": sampling.MAX_TRUNCATION}}


def build(demo: gr.Blocks) -> list[gr.HTML]:
    stage = stages.stage("interpolate", page(), [interpolate_walk, interpolate_file], "the walk")
    hub_opener(models.images, stage)
    _build_api()
    return [stage]


def _build_api() -> None:
    """Components that nobody sees: pictures and files travel through the API by them."""
    with gr.Group(visible=False):
        sheet, still = gr.Image(format="png", label="Film strip"), gr.Image(format="png", label="At the position")
        gif, mp4 = gr.Image(type="filepath", format="gif", label="GIF"), gr.File(label="MP4")
        status = gr.Markdown(label="made by")
    names = models.image_models()
    endpoint(interpolate, "interpolate", [sheet, gif, status], names, slow=True)
    endpoint(frame, "frame", still, names)
    endpoint(walk, "walk", [sheet, gif, mp4, status], names, slow=True)
