"""Trained weights as the start of another run: whether they fit, and which layers start anew."""

from collections.abc import Container
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import nn

from ganlib.architectures import Architecture, build, build_encoder, describe
from ganlib.checks import quoted, require
from ganlib.model import Model
from ganlib.training import State


@dataclass(frozen=True)
class Start:
    """A model whose weights a run begins with.

    Args:
        model: its generator is the average over its training.
        new_layers: tensors that start anew, as "generator.NAME"; a whole network by its name if the model has none.
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
        has = _by_name(model.generator, model.discriminator, model.encoder)
        wanted, twin = _built(architecture), _with_dimensions_of(model.architecture, architecture)
        trained = _shapes(has)
        require(twin is not None and _shapes(_those(_built(twin), has)) == trained,
                f"the networks of {model.name} do not fit this run: "
                f"{_difference(model.architecture, twin or architecture)}")
        new = [name for name, shape in _shapes(_those(wanted, has)).items() if trained.get(name) != shape]
        return cls(model, (*new, *(which for which in wanted if which not in has)))

    def load_into(self, state: State) -> None:
        """Copy the weights into a state at step 0. What starts anew keeps its initial values."""
        self._copy(self.model.generator, state.generator)
        self._copy(self.model.generator, state.average)
        for trained, network in ((self.model.discriminator, state.discriminator), (self.model.encoder, state.encoder),
                                 (self.model.encoder, state.average_encoder)):
            if trained is not None and network is not None:
                self._copy(trained, network)

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


def _built(architecture: Architecture) -> dict[str, nn.Module]:
    return _by_name(*build(architecture, None), build_encoder(architecture, None))


def _by_name(*networks: nn.Module | None) -> dict[str, nn.Module]:
    """Generator, discriminator and encoder by their names; those that are None are left out."""
    names = ("generator", "discriminator", "encoder")
    return {which: network for which, network in zip(names, networks) if network is not None}


def _those(networks: dict[str, nn.Module], names: Container[str]) -> dict[str, nn.Module]:
    return {which: network for which, network in networks.items() if which in names}


def _shapes(networks: dict[str, nn.Module]) -> dict[str, torch.Size]:
    """The shape of each tensor by its name."""
    return {f"{which}.{name}": tensor.shape for which, network in networks.items()
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
