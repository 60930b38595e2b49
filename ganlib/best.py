"""The best checkpoint of a run, that of the step with the lowest FID: in memory, then in a file beside the last one."""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ganlib.architectures import Architecture
from ganlib.data import Data
from ganlib.training import State, open_tensors, recompute_statistics, write_tensors

NEW = ".new"  # the suffix of a file whose run's checkpoint may not be written yet


class Best(NamedTuple):
    """The step with the lowest FID so far, and this FID."""

    step: int
    fid: float


class Keeper:
    """Keeps the best checkpoint of a run while it trains.

    The weights stay in memory until the run's own checkpoint is written. Whenever the process ends, the file is of a
    step that the run's checkpoint has behind it.

    Args:
        path: of the safetensors file. One that is of a later step than the run's is removed.
        step: of the run's checkpoint.

    Raises:
        ValueError: the file is damaged.
    """

    def __init__(self, path: Path, step: int):
        self.best = settle(path, step)
        self._path = path
        self._weights: dict[str, Tensor] | None = None  # of the best checkpoint, if they are not in the file yet

    def offer(self, state: State, architecture: Architecture, data: Data, fid: float) -> None:
        """Keep the present networks if their FID is the lowest so far.

        Batch norm's statistics are computed for the averaged weights, as at the end of a run, with random numbers of
        their own: the run goes on as if nothing had been kept.

        Args:
            state, architecture: of the run; they do not change.
            data: training data on the run's device.
            fid: of the present step.
        """
        if self.best is None or fid < self.best.fid:
            self.best, self._weights = Best(state.step, fid), weights(state, architecture, data)

    @contextmanager
    def saved(self) -> Iterator[None]:
        """Writes the file together with the run's checkpoint, which is written inside of the `with` block."""
        if self._weights is None or self.best is None:
            yield
            return
        new = _new(self._path)
        write_tensors(new, self._weights, {"step": str(self.best.step), "fid": repr(self.best.fid)})
        yield
        os.replace(new, self._path)
        self._weights = None


def weights(state: State, architecture: Architecture, data: Data) -> dict[str, Tensor]:
    """Copies on the CPU of the networks of a state's model; the generator's average has statistics of its own."""
    generator = copy.deepcopy(state.average)
    recompute_statistics(generator, architecture, data, torch.Generator(state.rng.device).manual_seed(state.step))
    networks = _of_model(state, generator)
    return {key: value.detach().cpu().clone() for key, value in networks.state_dict().items()}


def _of_model(state: State, generator: nn.Module) -> nn.ModuleDict:
    networks = {"generator": generator, "discriminator": state.discriminator, "encoder": state.average_encoder}
    return nn.ModuleDict({name: network for name, network in networks.items() if network is not None})


def settle(path: Path, step: int) -> Best | None:
    """What is left of the files after a process ended: the best checkpoint up to that step of the run, None if none.

    Files of later steps, which the run's checkpoint does not have behind it, are removed. Raises ValueError.
    """
    for file in (_new(path), path):
        best = read(file)
        if best is not None and best.step > step:
            file.unlink()
        elif best is not None:
            os.replace(file, path)
            return best
    return None


def read(path: Path) -> Best | None:
    """The step and the FID of a file, without reading its weights; None if there is no file. Raises ValueError."""
    if not path.exists():
        return None
    with _opened(path) as file:
        return Best(int(file.metadata()["step"]), float(file.metadata()["fid"]))


def load(path: Path, state: State) -> tuple[nn.Module, nn.Module | None, nn.Module | None]:
    """Generator, discriminator and encoder (None where there is none) in a file of a state's run.

    The state does not change.

    Raises ValueError if the file is of another run.
    """
    networks = copy.deepcopy(_of_model(state, state.average))
    with _opened(path) as file:
        networks.load_state_dict({key: file.get_tensor(key) for key in file.keys()})
    found = dict(networks.items())
    return found["generator"], found.get("discriminator"), found.get("encoder")


def _new(path: Path) -> Path:
    return path.with_suffix(NEW)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with open_tensors(path, "the best checkpoint of this run") as file:
            yield file
    except ValueError as error:
        raise ValueError(f"{error}; remove it to go on without") from None
