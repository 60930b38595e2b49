"""The models of the page: shipped ones, those the host names, and those that visitors open; loaded once, and kept.

The host names models of the Hub in GANLIB_MODELS, separated by commas, which are fetched as the host; visitors open
any that is public by its name, unless GANLIB_ALLOW_HUB is 0.
"""

import functools
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from ganlib import checkpoint, hub
from ganlib.checkpoint import WeightsError
from ganlib.checks import quoted
from ganlib.demo import gpu
from ganlib.model import Model

KEPT = 8  # models that visitors have opened, at most; the one opened first leaves first
# of one sample of these, inside of the networks, of its latent, and classes; more takes long, and a page's memory
MOST_NUMBERS, MOST_INSIDE, MOST_LATENTS, MOST_CLASSES = 3 * 256 * 256, 2**22, 1_024, 1_000

_guard = threading.Lock()
_models: dict[str, Future] = {}


def image_models() -> list[str]:
    """Names of the page's own models that make pictures; the convolutional ones, which make the best, first."""
    return _of_dimensions(3, lambda name: ("/" in name, "dcgan" not in name, name))


def toy_models() -> list[str]:
    """Names of the page's own models that make numbers or points."""
    return _of_dimensions(1, lambda name: ("/" in name, name))


def _of_dimensions(dimensions: int, order: Callable[[str], tuple]) -> list[str]:
    return sorted((name for name, folder in own().items() if len(_config(folder).get("shape") or []) == dimensions),
                  key=order)


def own() -> dict[str, Path]:
    """The folders of the page's own models, by name: the shipped ones, and those of GANLIB_MODELS that were fetched."""
    return {**checkpoint.shipped(), **_hosted(os.environ.get("GANLIB_MODELS", ""))[0]}


def missing() -> list[str]:
    """A sentence for each model of GANLIB_MODELS that could not be had, saying why."""
    return _hosted(os.environ.get("GANLIB_MODELS", ""))[1]


@functools.cache
def _hosted(names: str) -> tuple[dict[str, Path], list[str]]:
    """Folders of models on the Hub, by name; and why others could not be had. Each is fetched and opened once."""
    folders, reasons = {}, []
    for name in filter(None, map(str.strip, names.split(","))):
        source = hub.parse(name)
        try:
            if source is None:
                raise WeightsError("a model on the Hub is named user/repo")
            folders[name] = hub.load_source(source, "cpu").folder
        except WeightsError as error:
            reasons.append(f"{name}: {error}.")
    return folders, reasons


def hub_is_open() -> bool:
    """Whether visitors may open models from the Hub."""
    return os.environ.get("GANLIB_ALLOW_HUB", "1").strip().lower() not in ("0", "false", "no", "off")


def _config(folder: Path) -> dict:
    return checkpoint.read_json(folder / checkpoint.CONFIG, dict)


def class_names(name: str) -> tuple[str, ...]:
    """What the classes of one of the page's own models are called, without loading the model; empty without classes."""
    config = _config(own()[name])
    return tuple(config.get("class_names") or map(str, range(config.get("num_classes") or 0)))


def measures(name: str) -> dict:
    """The metrics.json of one of the page's own models, without loading the model."""
    return checkpoint.read_metrics(own()[name])


def images(name: str) -> Model:
    """The model of that name, which must make pictures. Raises WeightsError as `get` does, and ValueError."""
    model = get(name)
    if len(model.shape) != 3 or model.shape[0] not in (1, 3):
        raise ValueError(f"{name} makes samples of shape {tuple(model.shape)}, which are no pictures")
    return model


def get(name: str) -> Model:
    """The model of that name, loaded once, however many ask for it; nobody waits for another one's.

    Raises:
        WeightsError: why it cannot be opened.
    """
    if not isinstance(name, str) or (name not in own() and _source(name) is None):
        others = " and, from the Hugging Face Hub, those named user/repo" if hub_is_open() else ""
        raise WeightsError(f"there is no model {quoted(name)} on this page; it has {', '.join(own())}{others}")
    with _guard:
        future, first = _models.get(name), name not in _models
        if first:
            future = _models[name] = Future()
            opened = [other for other in _models if other not in own()]
            for other in opened[:-KEPT]:
                del _models[other]
    if first:
        try:
            future.set_result(_load(name))
        except BaseException as error:
            future.set_exception(error)
            with _guard:  # the next one may have more luck
                _models.pop(name, None)
    return future.result()


def _source(name: str) -> hub.Source | None:
    """Where on the Hub a model of that name is; None where it cannot be there, or visitors may not open it."""
    return hub.parse(name) if hub_is_open() else None


def _load(name: str) -> Model:
    if name in own():
        model = checkpoint.load(own()[name], gpu.DEVICE)
        model.name = name
        return model
    # as a stranger: what the host's own token may see is not for everybody
    model = hub.load_source(_source(name), gpu.DEVICE, anonymous=True)
    sizes = {"numbers in a sample": (math.prod(model.shape), MOST_NUMBERS),
             "numbers in a layer": (model.architecture.widest, MOST_INSIDE),
             "numbers in a latent": (model.latent_dim, MOST_LATENTS),
             "classes": (model.num_classes or 0, MOST_CLASSES)}
    for what, (size, most) in sizes.items():
        if size > most:
            raise WeightsError(f"{name} is too large for this page: {size:,} {what}, where {most:,} are the most")
    return model


def credit(model: Model, count: int, milliseconds: float) -> str:
    """Who made the pictures, where, and how fast; Markdown."""
    return (f"**{model.name}** on {model.device.type.upper()}: {count} picture{'s' if count > 1 else ''} in "
            f"{milliseconds:.0f} ms.")


def calibrated(model: Model) -> str:
    """What is to be said of the discriminator's probabilities."""
    return " Its probability was calibrated after training." if "calibration" in model.config else ""


@contextmanager
def clock() -> Iterator[Callable[[], float]]:
    """Milliseconds since it was entered."""
    start = time.perf_counter()
    yield lambda: (time.perf_counter() - start) * 1000
