"""Trained weights as the start of another run: whether they fit, and which layers start anew."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import nn

from ganlib.architectures import Architecture, build, describe
from ganlib.checks import quoted, require
from ganlib.model import Model
from ganlib.training import State


@dataclass(frozen=True)
class Start:
    """A model whose weights a run begins with.

    Args:
        model: its generator is the average over its training.
        new_layers: tensors that start anew, as "generator.NAME"; "discriminator" if the model has none.
    """

    model: Model
    new_layers: tuple[str, ...]

    @classmethod
    def of(cls, model: Model, architecture: Architecture) -> "Start":
        """The start of a run with that architecture.

        The numbers of classes and of channels may differ. Tensors whose shapes depend on them start anew.

        Raises:
            ValueError: the networks differ in something else; the sentence says in what.
        """
        trained = _shapes(model.generator, model.discriminator)
        twin = _with_dimensions_of(model.architecture, architecture)
        alone = model.discriminator is None
        require(twin is not None and _shapes(*_networks(twin, alone)) == trained,
                f"the networks of {model.name} do not fit this run: "
                f"{_difference(model.architecture, twin or architecture)}")
        new = [name for name, shape in _shapes(*_networks(architecture, alone)).items() if trained.get(name) != shape]
        return cls(model, (*new, *(["discriminator"] if alone else [])))

    def load_into(self, state: State) -> None:
        """Copy the weights into a state at step 0. What starts anew keeps its initial values."""
        self._copy(self.model.generator, state.generator)
        self._copy(self.model.generator, state.average)
        if self.model.discriminator is not None:
            self._copy(self.model.discriminator, state.discriminator)

    def _copy(self, trained: nn.Module, network: nn.Module) -> None:
        source = trained.state_dict()
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                if name in source and source[name].shape == tensor.shape:
                    tensor.copy_(source[name])

    def describe(self) -> dict[str, Any]:
        """JSON-ready, for config.json."""
        return {"model": self.model.name, "new_layers": list(self.new_layers)}


def _with_dimensions_of(other: Architecture, architecture: Architecture) -> Architecture | None:
    """An architecture with another's numbers of classes and channels, None where it cannot have them."""
    if len(architecture.shape) != len(other.shape):
        return None
    own = {field.name for field in fields(architecture)}
    changes = {"shape": (other.shape[0], *architecture.shape[1:]), "num_classes": other.num_classes}
    try:
        return replace(architecture, **{name: value for name, value in changes.items() if name in own})
    except ValueError:
        return None


def _networks(architecture: Architecture, generator_alone: bool) -> tuple[nn.Module, nn.Module | None]:
    generator, discriminator = build(architecture, None)
    return generator, None if generator_alone else discriminator


def _shapes(generator: nn.Module, discriminator: nn.Module | None) -> dict[str, torch.Size]:
    """The shape of each tensor by its name."""
    networks = {"generator": generator, "discriminator": discriminator}
    return {f"{which}.{name}": tensor.shape for which, network in networks.items() if network is not None
            for name, tensor in network.state_dict().items()}


def _difference(trained: Architecture, wanted: Architecture) -> str:
    """What two architectures differ in first, in words."""
    if len(trained.shape) == len(wanted.shape) == 3 and trained.shape[1:] != wanted.shape[1:]:
        size, own = ("x".join(map(str, shape[:0:-1])) for shape in (trained.shape, wanted.shape))
        return f"its images are of {size} pixels, and those of this run of {own}; give --size {size} for a folder"
    there, here = describe(trained), describe(wanted)
    for name in dict.fromkeys([*there, *here]):
        if there.get(name) != here.get(name):
            return f"{name.replace('_', ' ')} is {quoted(there.get(name))} there, and {quoted(here.get(name))} here"
    return "their tensors have other names or shapes"
