"""The models of the page: shipped ones, those that the host names, and those that visitors open. Each is loaded once.

The host names models of the Hub in GANLIB_MODELS, separated by commas; they are fetched with the host's token. Visitors
open any public model by its name, unless GANLIB_ALLOW_HUB is 0.
"""

import asyncio
import functools
import math
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ganlib import checkpoint, hub
from ganlib.checkpoint import WeightsError
from ganlib.checks import quoted
from ganlib.demo import gpu, worker
from ganlib.model import Model

KEPT = 8  # models opened by visitors, at most; the oldest is dropped first
# of models opened by visitors, because larger ones take the page's time and memory
MAX_SAMPLE, MAX_LAYER, MAX_LATENT, MAX_CLASSES = 3 * 256 * 256, 2**22, 1_024, 1_000

LOADED_AT_ONCE, MAX_LOADING = 4, 16  # models of the Hub for stages; the second with those that wait

_loaders = ThreadPoolExecutor(LOADED_AT_ONCE, thread_name_prefix="models")
_places = threading.Semaphore(MAX_LOADING)
_lock = threading.Lock()
_models: dict[str, Future[Model]] = {}


def image_models() -> list[str]:
    """Names of the page's own models that make pictures; the convolutional ones, which make the best, first."""
    return _names(3)


def toy_models() -> list[str]:
    """Names of the page's own models that make numbers or points."""
    return _names(1)


def _names(dimensions: int) -> list[str]:
    names = [name for name, folder in own().items() if len(_config(folder).get("shape") or []) == dimensions]
    return sorted(names, key=lambda name: ("/" in name, "dcgan" not in name, name))


def own() -> dict[str, Path]:
    """The folders of the page's own models, by name: the shipped ones, and those of GANLIB_MODELS."""
    return {**checkpoint.shipped(), **_hosted(os.environ.get("GANLIB_MODELS", ""))[0]}


def missing() -> list[str]:
    """A sentence for each model of GANLIB_MODELS that could not be opened, with the reason."""
    return _hosted(os.environ.get("GANLIB_MODELS", ""))[1]


@functools.cache
def _hosted(names: str) -> tuple[dict[str, Path], list[str]]:
    """The folders of models on the Hub, by name, and the reasons why others could not be opened."""
    folders, reasons = {}, []
    for name in filter(None, map(str.strip, names.split(","))):
        try:
            source = hub.parse(name)
            if source is None:
                raise WeightsError("a model on the Hub is named user/repo")
            folders[str(source)] = hub.load_source(source, "cpu").folder
        except WeightsError as error:
            reasons.append(f"{name}: {error}.")
    return folders, reasons


def hub_is_open() -> bool:
    """Whether visitors may open models from the Hub."""
    return os.environ.get("GANLIB_ALLOW_HUB", "1").strip().lower() not in ("0", "false", "no", "off")


def _config(folder: Path) -> dict[str, Any]:
    return checkpoint.read_json(folder / checkpoint.CONFIG, dict)


def class_names(name: str) -> tuple[str, ...]:
    """The class names of one of the page's own models, without loading it; empty if it has no classes."""
    config = _config(own()[name])
    return tuple(config.get("class_names") or map(str, range(config.get("num_classes") or 0)))


def images(name: object) -> Model:
    """The model of that name. Raises WeightsError as `get` does, and ValueError if it does not make pictures."""
    model = get(name)
    if len(model.shape) != 3 or model.shape[0] not in (1, 3):
        kind = "arrays" if len(model.shape) > 1 else "numbers" if model.shape[0] == 1 else "points"
        raise ValueError(f"the model {model.name} makes {kind}, which are no pictures")
    return model


def full_name(text: str) -> str:
    """The name of the model that a visitor means, who may give its address. Raises WeightsError for another address."""
    source = hub.parse(text) if hub_is_open() and text not in own() else None
    return text if source is None else str(source)


async def ready(name: Any) -> None:
    """Wait until a model of the Hub is loaded, without one of the threads that all stages share.

    Nothing is done for the page's own models. Raises what `get` raises, and Busy where too many are being loaded.
    """
    if not isinstance(name, str) or name in own():
        return
    if (future := _models.get(full_name(name))) is not None:
        await asyncio.shield(asyncio.wrap_future(future))  # others wait for it, too
        return
    await worker.within(_loaders, _places, functools.partial(get, name),
                        "the server opens other models at this moment. Try again")


def get(name: object, listed: Callable[[], list[str]] = image_models) -> Model:
    """The model of that name or address. It is loaded once, and no call waits for the loading of another model.

    Args:
        name: of one of the page's own models, or of one on the Hub.
        listed: the page's own models that an error names.

    Raises:
        WeightsError: why it cannot be opened.
    """
    name = full_name(name) if isinstance(name, str) else name
    if not isinstance(name, str) or (name not in own() and not (hub_is_open() and hub.parse(name))):
        others = " and, from the Hugging Face Hub, those named user/repo" if hub_is_open() else ""
        raise WeightsError(f"there is no model {quoted(name)} on this page; it has {', '.join(listed())}{others}")
    with _lock:
        first = name not in _models
        future = _models.setdefault(name, Future())
        opened = [other for other in _models if other not in own()]
        for other in opened[:-KEPT]:
            del _models[other]
    if first:
        try:
            future.set_result(_load(name))
        except BaseException as error:
            future.set_exception(error)
            with _lock:  # the next call tries again
                _models.pop(name, None)
    return future.result()


def _load(name: str) -> Model:
    source = hub.parse(name)
    if name in own() or source is None:
        model = checkpoint.load(own()[name], gpu.DEVICE)
        model.name = name
        return model
    # anonymous, because not every visitor may see what the host's token may see
    try:
        model = hub.load_source(source, gpu.DEVICE, anonymous=True)
    except WeightsError as error:  # without the system's own words, which visitors do not know
        raise WeightsError(re.sub(r"(the Hub could not be reached) \(.*\)", r"\1", str(error))) from None
    for what, size, limit in (("numbers in a sample", math.prod(model.shape), MAX_SAMPLE),
                              ("numbers in a layer", model.architecture.widest, MAX_LAYER),
                              ("numbers in a latent", model.latent_dim, MAX_LATENT),
                              ("classes", model.num_classes or 0, MAX_CLASSES)):
        if size > limit:
            raise WeightsError(f"{name} is too large for this page: {size:,} {what}, at most {limit:,}")
    return model


now = time.perf_counter


def credit(model: Model, count: int, start: float) -> str:
    """Which model made the pictures, where, and how fast, as Markdown. start: of the work, by `now`."""
    return (f"**{model.name}** on {model.device.type.upper()}: {count} picture{'s' if count > 1 else ''} in "
            f"{1000 * (now() - start):.0f} ms.")


def calibrated(model: Model) -> str:
    """A sentence on the discriminator's probabilities."""
    return " Its probability was calibrated after training." if "calibration" in model.config else ""
