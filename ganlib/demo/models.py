"""The models of the page: found in the weights folder, loaded on first use, and kept."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ganlib import checkpoint
from ganlib.demo import gpu
from ganlib.model import Model

_loading = threading.Lock()
gpu.free_in_forks(_loading)


def image_models() -> list[str]:
    """Names of the shipped models that make pictures; the convolutional ones, which make the best, first."""
    return sorted((name for name, shape in _shapes().items() if len(shape) == 3), key=lambda name: ("dcgan" not in name,
                                                                                                    name))


def toy_models() -> list[str]:
    """Names of the shipped models that make numbers or points."""
    return sorted(name for name, shape in _shapes().items() if len(shape) == 1)


def _shapes() -> dict[str, list[int]]:
    return {name: checkpoint.read_json(folder / checkpoint.CONFIG, dict).get("shape", [])
            for name, folder in checkpoint.shipped().items()}


def has_classes(name: str) -> bool:
    """Whether a shipped model can be asked for a class, without loading the model."""
    return checkpoint.read_json(checkpoint.shipped()[name] / checkpoint.CONFIG, dict).get("num_classes") is not None


def measures(name: str) -> dict:
    """The metrics.json of a shipped model, without loading the model."""
    return checkpoint.read_json(checkpoint.shipped()[name] / checkpoint.METRICS, dict, missing={})


def get(name: str) -> Model:
    """The model of that name, loaded once."""
    with _loading:
        return _load(name)


@functools.cache
def _load(name: str) -> Model:
    return checkpoint.load(name, gpu.device())


def credit(model: Model, count: int, milliseconds: float) -> str:
    """Who made the pictures, where, and how fast; Markdown."""
    return (f"**{model.name}** on {model.device.type.upper()}: {count} picture{'s' if count > 1 else ''} in "
            f"{milliseconds:.0f} ms.")


@contextmanager
def clock() -> Iterator[Callable[[], float]]:
    """Milliseconds since it was entered."""
    start = time.perf_counter()
    yield lambda: (time.perf_counter() - start) * 1000
