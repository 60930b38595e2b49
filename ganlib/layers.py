"""The layers of a generator: their sizes, what they cost, and which of their numbers a pixel depends on."""

import copy
import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganlib.checks import check_int, require
from ganlib.networks import SoftChoice, count_parameters, default_modes

if TYPE_CHECKING:
    from ganlib.model import Model

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
LAYERS = (SoftChoice, nn.ReLU, nn.LeakyReLU)  # whose outputs are the numbers of a layer
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Cost:
    """What a generator costs.

    Args:
        parameters: of the generator.
        convolutional: those of its convolutions, which each place of a map uses.
        multiplications: by weights, for one sample. Those of batch norm are not counted, and the borders of a map as if
            nothing were cut off.
    """

    parameters: int
    convolutional: int
    multiplications: int


@dataclass(frozen=True, eq=False)
class Reach:
    """Which numbers of a layer a pixel depends on.

    Args:
        shape: of the layer, (numbers,) or (channels, height, width).
        numbers: how many of them the pixel depends on, by the network's connections.
        connected: (rows, columns) bool, whether the pixel depends on a number at that place; the numbers of a layer
            without maps stand in rows.
        strength: (rows, columns) the length of the gradient of the pixel, before tanh, with respect to the numbers at
            that place. It is 0 where all of them are cut off by ReLU.
    """

    shape: tuple[int, ...]
    numbers: int
    connected: Tensor
    strength: Tensor


def cost(model: "Model") -> Cost:
    """What a model's generator costs for one sample."""
    network, products = copy.deepcopy(model.generator).to(CPU), []

    def multiply(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        (x,), weights = inputs, sum(p.numel() for name, p in module.named_parameters() if name == "weight")
        # a weight of a transposed convolution is used at each place of its input, else at each place of the output
        places = x[0, 0] if isinstance(module, nn.ConvTranspose2d) else output[0, 0]
        products.append(weights * places.numel())

    weighted = [module for module in network.modules() if isinstance(module, (nn.Linear, *CONVOLUTIONS))]
    for module in weighted:
        module.register_forward_hook(multiply)
    with default_modes(CPU):
        network(torch.zeros(1, model.latent_dim, dtype=torch.float, device=CPU), model.labels_of([0]))
    shared = sum(count_parameters(module) for module in weighted if isinstance(module, CONVOLUTIONS))
    return Cost(count_parameters(network), shared, sum(products))


class Layers:
    """The layers of a model's generator, from its latent to the last one before the sample. Threads may share it.

    Args:
        model: one of images.
    """

    def __init__(self, model: "Model"):
        require(len(model.shape) == 3, f"{model.name} makes no images")
        self.sides = model.shape[1:]
        self._network = _Traced(model.generator)
        self._connections = _Traced(_positive(model.generator))
        self._ones = torch.ones(1, model.latent_dim, dtype=torch.double, device=CPU)

    @property
    def shares_weights(self) -> bool:
        """Whether all pixels are made by the same weights, those of a convolution."""
        weighted = [module for module in self._network.network.modules()
                    if isinstance(module, (nn.Linear, *CONVOLUTIONS))]
        return isinstance(weighted[-1], CONVOLUTIONS)

    def reach(self, z: Tensor, y: Tensor | None, row: int, column: int) -> list[Reach]:
        """Which numbers of each layer a pixel depends on.

        Args:
            z: (1, latent_dim), the sample's latent.
            y: (1,) its class, or None.
            row, column: of the pixel, from 0.
        """
        row, column = (check_int(value, 0, side - 1, what)
                       for value, side, what in zip((row, column), self.sides, ("Row", "Column")))
        gradients = self._network.gradients(z.double(), y, row, column)
        connections = self._connections.gradients(self._ones, y, row, column)
        return [Reach(tuple(gradient.shape), int((connection > 0).sum()), _places(connection) > 0, _places(gradient))
                for gradient, connection in zip(gradients, connections)]


class _Traced:
    """A copy of a network, and the gradients of its samples' pixels with respect to its layers."""

    def __init__(self, network: nn.Module):
        self.network = copy.deepcopy(network).to(CPU).double()
        self._outputs: list[Tensor] = []
        self._sums: list[Tensor] = []  # that enter tanh, whose own gradient vanishes in white and black
        self._lock = threading.Lock()
        for module in self.network.modules():  # whose hooks do not know this object: it would be freed much later
            if isinstance(module, LAYERS):
                module.register_forward_hook(lambda _, inputs, output, outputs=self._outputs: outputs.append(output))
            elif isinstance(module, nn.Tanh):
                module.register_forward_pre_hook(lambda _, inputs, sums=self._sums: sums.append(inputs[0]))

    def gradients(self, z: Tensor, y: Tensor | None, row: int, column: int) -> list[Tensor]:
        """For each layer, as its shape is for one sample."""
        with self._lock, default_modes(CPU), torch.enable_grad():
            self._outputs.clear()
            self._sums.clear()
            sample = self.network(z.detach().requires_grad_(), y)
            pixel = (self._sums or [sample])[-1].view(sample.shape)[0, :, row, column].sum()
            return [gradient[0] for gradient in torch.autograd.grad(pixel, self._outputs)]


def _positive(network: nn.Module) -> nn.Module:
    """A copy with positive weights. For a positive latent no ReLU cuts off, and no two gradients cancel out: they are
    above 0 exactly for what is connected."""
    found = copy.deepcopy(network)
    with default_modes(CPU):
        for parameter in found.parameters():
            parameter.abs_()
        for module in found.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean.zero_()
    return found


def _places(numbers: Tensor) -> Tensor:
    """The length of the numbers at each place (rows, columns) of a layer; those without maps stand in rows."""
    if numbers.ndim == 3:
        return numbers.square().sum(0).sqrt()
    rows = next(n for n in range(math.isqrt(len(numbers)), 0, -1) if len(numbers) % n == 0)
    return numbers.abs().view(rows, -1)
