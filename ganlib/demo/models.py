"""The models of the page: shipped ones, those that the host names, and those that visitors open. Each is loaded once.

The host names models of the Hub in GANLIB_MODELS, separated by commas; they are fetched with the host's token. Visitors
open any public model by its name, unless GANLIB_ALLOW_HUB is 0. After a time the Hub is asked for it again: it may have
changed, or be public no more.
"""

import errno
import functools
import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

from ganlib import checkpoint, hub
from ganlib.addresses import Source
from ganlib.checkpoint import WeightsError
from ganlib.checks import quoted
from ganlib.demo import fetching, gpu, shelf
from ganlib.demo.labs import Busy
from ganlib.model import Model

KEPT = 8  # models opened by visitors, at most; the least recently used is dropped first
UNREACHABLE = "the Hub could not be reached"
FRESH = 600.0  # seconds after which the Hub is asked again for an opened model
# of models opened by visitors, because larger ones take the page's time and memory
MAX_SAMPLE, MAX_LAYER, MAX_LATENT, MAX_CLASSES = 3 * 256 * 256, 2**22, 1_024, 1_000

FULL = (errno.ENOSPC, errno.EDQUOT)  # what a disk says that is full

log = logging.getLogger(__name__)


class Opened(NamedTuple):
    """A model that is loaded or being loaded, and when that began."""

    model: Future[Model]
    since: float


_lock = threading.Lock()
_models: dict[str, Opened] = {}


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
    hub.limit_waits(fetching.SILENCE)
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


def get(name: object, listed: Callable[[], list[str]] = image_models) -> Model:
    """The model of that name or address. It is loaded once, and no call waits for the loading of another model.

    Args:
        name: of one of the page's own models, or of one on the Hub.
        listed: the page's own models that an error names.

    Raises:
        WeightsError: why it cannot be opened.
        Busy: it is still being fetched, or too many others are.
    """
    name = full_name(name) if isinstance(name, str) else name
    if isinstance(name, str) and name in own():
        return _own(name)
    if not isinstance(name, str) or not (hub_is_open() and hub.parse(name)):
        others = " and, from the Hugging Face Hub, those named user/repo" if hub_is_open() else ""
        raise WeightsError(f"there is no model {quoted(name)} on this page; it has {', '.join(listed())}{others}")
    found: Future[Model] = fetching.awaited(name) or _of_the_hub(name)
    return fetching.result(name, found)


def _own(name: str) -> Model:
    with _lock:
        first = name not in _models
        future = _models.setdefault(name, Opened(Future(), 0)).model
    if first:
        try:
            future.set_result(_load(name))
        except BaseException as error:
            _forget(name, future)
            future.set_exception(error)
    future.exception()  # waits, but not long
    return fetching.result(name, future)


def _of_the_hub(name: str) -> Future[Model]:
    """The future of a model of the Hub, whose fetch begins now if it has none, or an old one."""
    mine = own()
    with _lock:
        found = _models.pop(name, None)
        if new := found is None or (found.model.done() and time.monotonic() - found.since > FRESH):
            before = found.model.result() if found and not found.model.exception() else None
            try:
                found = Opened(fetching.start(name, functools.partial(_load, name, before)), time.monotonic())
            except Busy:
                if found is None or before is None:
                    raise
                new = False  # the one that was opened before does for now
        assert found is not None
        _models[name] = found  # the last one is the most recently used
        opened = [other for other, (model, _) in _models.items() if model.done() and other not in mine]
        for other in opened[:-KEPT]:
            del _models[other]
    if new:
        found.model.add_done_callback(lambda model: _forget(name, model) if model.exception() else None)
    return found.model


def _forget(name: str, future: Future[Model]) -> None:
    """Let the next call for the model try again. A newer future of that name stays."""
    with _lock:
        if name in _models and _models[name].model is future:
            del _models[name]


def _load(name: str, before: Model | None = None) -> Model:
    """Load a model; one of the Hub that was opened before is the same one again, unless it has changed."""
    source = hub.parse(name)
    if name in own() or source is None:
        model = checkpoint.load(own()[name], gpu.DEVICE)
        model.name = name
        return model
    try:
        model = _fetch(source)
    except WeightsError as error:
        if before is None or UNREACHABLE not in str(error):
            raise
        return before  # until the next time
    for what, size, limit in (("numbers in a sample", math.prod(model.shape), MAX_SAMPLE),
                              ("numbers in a layer", model.architecture.widest, MAX_LAYER),
                              ("numbers in a latent", model.latent_dim, MAX_LATENT),
                              ("classes", model.num_classes or 0, MAX_CLASSES)):
        if size > limit:
            raise WeightsError(f"{name} is too large for this page: {size:,} {what}, at most {limit:,}")
    return model if before is None or before.revision != model.revision else before


def _fetch(source: Source) -> Model:
    """A model of the Hub, whose files are kept on the visitors' shelf."""
    kept = shelf.open_shelf()
    os.environ.setdefault("HF_XET_CHUNK_CACHE_SIZE_BYTES", "0")  # it would keep files again, without the quota
    hub.limit_waits(fetching.SILENCE)
    try:
        with kept.holding(source.repo, fetching.GIVE_UP) as folder:
            # anonymous, because not every visitor may see what the host's token may see
            return hub.load_source(source, gpu.DEVICE, anonymous=True, cache_dir=folder)
    except TimeoutError:  # whose words name a file of the server
        raise Busy(f"another page of this server fetches {source} at this moment. Try again") from None
    except (OSError, WeightsError) as error:
        cause = _cause_on_disk(error)
        if cause is None:
            # without the system's own words, which visitors do not know
            raise WeightsError(re.sub(rf"({UNREACHABLE}) \(.*\)", r"\1", str(error))) from None
        log.warning("%s: %s", kept.folder, cause)  # not for visitors: it names folders of the server
        if full := cause.errno in FULL:
            kept.trim(0)
        raise WeightsError(f"{source} could not be fetched: the server "
                           f"{'has no space left on its disk' if full else 'cannot write its files'}") from None


def _cause_on_disk(error: BaseException | None) -> OSError | None:
    """The error of the disk that another one came from, if there is one; not one of the network."""
    while error is not None:
        if isinstance(error, OSError) and (error.errno in FULL or error.filename is not None):
            return error
        error = error.__cause__ or error.__context__
    return None


now = time.perf_counter


def credit(model: Model, count: int, start: float) -> str:
    """Which model made the pictures, where, and how fast, as Markdown. start: of the work, by `now`."""
    return (f"**{model.name}** on {model.device.type.upper()}: {count} picture{'s' if count > 1 else ''} in "
            f"{1000 * (now() - start):.0f} ms.")


def recalled(status: str) -> str:
    """The credit of pictures that were kept: without the time, which was not measured now."""
    return re.sub(r"( pictures?) in \d+ ms\.", r"\1 from the cache.", status, count=1)


def calibrated(model: Model) -> str:
    """A sentence on the discriminator's probabilities."""
    return " Its probability was calibrated after training." if "calibration" in model.config else ""
