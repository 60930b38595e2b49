"""The weights of a run's best moment, the one with the lowest FID, kept in a file beside its checkpoint."""

import copy
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from ganlib.architectures import Architecture
from ganlib.data import Data
from ganlib.training import State, open_tensors, recompute_statistics, write_tensors

WHAT = "the best moment of this run"


class Moment(NamedTuple):
    """A step of a run, and the FID that was measured there."""

    step: int
    fid: float


def save(path: Path, state: State, architecture: Architecture, data: Data, fid: float) -> None:
    """Write the present generator's average and discriminator, whole or not at all.

    Batch norm's statistics are computed for the averaged weights, as at the end of a run, with random numbers of their
    own: the run goes on as if nothing had been written.

    Args:
        path: of the safetensors file.
        state, architecture: of the run; they do not change.
        data: training data on the run's device.
        fid: of the present moment.
    """
    generator = copy.deepcopy(state.average)
    recompute_statistics(generator, architecture, data, torch.Generator(state.rng.device).manual_seed(state.step))
    networks = nn.ModuleDict({"generator": generator, "discriminator": state.discriminator})
    write_tensors(path, networks.state_dict(), {"step": str(state.step), "fid": repr(fid)})


def read(path: Path) -> Moment | None:
    """The moment that a file holds, without reading its weights; None if there is no file. Raises ValueError."""
    if not path.exists():
        return None
    with open_tensors(path, WHAT) as file:
        return Moment(int(file.metadata()["step"]), float(file.metadata()["fid"]))


def load(path: Path, state: State) -> tuple[nn.Module, nn.Module]:
    """The generator's average and the discriminator of a file, of the run of a state, which does not change.

    Raises ValueError if the file is of another run.
    """
    networks = nn.ModuleDict({"generator": copy.deepcopy(state.average),
                              "discriminator": copy.deepcopy(state.discriminator)})
    with open_tensors(path, WHAT) as file:
        networks.load_state_dict({key: file.get_tensor(key) for key in file.keys()})
    return networks["generator"], networks["discriminator"]
