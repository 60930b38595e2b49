"""Gradients of ganlib's own networks in closed form: fewer passes than autograd needs, and no graph.

A discriminator is a chain of linear layers and piecewise linear activations. With the slopes of the activations fixed,
its gradient ∇D(x) does not depend on x. So one backward pass from the logits, which gives the gradient g of each
layer's output, serves the loss and a penalty on ∇D alike. With c = ∂loss/∂logit of each sample, and u the direction
∂penalty/∂∇D carried forward through the same slopes, the gradient of a layer's weight is Σ g (c h + u)ᵀ, where h is the
layer's input. These are four passes over the network. Autograd takes six, because it does not know that the second
derivative of the activations is 0.

It knows nothing of runs and optimizers: gradients are written to the parameters' `grad`.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganlib.losses import Loss, Penalty
from ganlib.networks import DCGANDiscriminator, Dropout, MLPDiscriminator, MLPGenerator

_aten: Any = torch.ops.aten
_leaky_relu_backward, _relu_backward = _aten.leaky_relu_backward.grad_input, _aten.threshold_backward.grad_input


class _Layer:
    """A layer of a chain. Of N samples, `x` is its input, `out` its output, `g` the gradient of its output."""

    has_parameters = False

    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The output, and what `backward` needs besides it. The input may be overwritten by activations."""
        raise NotImplementedError

    def backward(self, g: Tensor, x: Tensor, out: Tensor, kept: Tensor | None, y: Tensor | None) -> Tensor:
        """The gradient of the input."""
        raise NotImplementedError

    def tangent(self, u: Tensor, x: Tensor, out: Tensor, kept: Tensor | None) -> Tensor:
        """A direction of the input carried forward, without bias."""
        return self.backward(u, x, out, kept, None)  # of an activation, which scales each number

    def write(self, g: Tensor, h: Tensor, c: Tensor | None, y: Tensor | None) -> None:
        """Write the gradients of the parameters.

        Args:
            g: of the output.
            h: the input, or c h + u.
            c: the factors (N,) of the bias's gradient, None for 1.
            y: labels (N,), or None.
        """


class _Linear(_Layer):
    has_parameters = True

    def __init__(self, module: nn.Linear):
        self.module, self.weight, self.bias = module, *_values(module)

    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return functional.linear(x, self.weight, self.bias), None

    def backward(self, g: Tensor, x: Tensor, out: Tensor, kept: Tensor | None, y: Tensor | None) -> Tensor:
        return g @ self.weight

    def tangent(self, u: Tensor, x: Tensor, out: Tensor, kept: Tensor | None) -> Tensor:
        return functional.linear(u, self.weight)

    def write(self, g: Tensor, h: Tensor, c: Tensor | None, y: Tensor | None) -> None:
        torch.mm(g.t(), h, out=_gradient(self.module.weight))
        _write_bias(self.module.bias, g, c)


class _Projection(_Linear):
    """The head of a discriminator with classes: a linear layer plus the product with the label's embedding."""

    def __init__(self, module: nn.Linear, embedding: nn.Embedding):
        super().__init__(module)
        self.embedding = embedding.weight
        self.embedded = self.embedding.detach()

    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
        assert y is not None
        weight = self.embedded[y]
        return super().forward(x, y)[0] + (x * weight).sum(1, keepdim=True), weight

    def backward(self, g: Tensor, x: Tensor, out: Tensor, kept: Tensor | None, y: Tensor | None) -> Tensor:
        assert kept is not None
        return g * (self.weight + kept)

    def write(self, g: Tensor, h: Tensor, c: Tensor | None, y: Tensor | None) -> None:
        assert y is not None
        super().write(g, h, c, y)
        _gradient(self.embedding).zero_().index_add_(0, y, g * h)


class _Conv(_Layer):
    has_parameters = True

    def __init__(self, module: nn.Conv2d):
        self.module, self.weight, self.bias = module, *_values(module)
        self.geometry = (module.stride, module.padding, module.dilation, False, (0, 0), module.groups)

    def _convolved(self, x: Tensor, bias: Tensor | None) -> Tensor:
        stride, padding, dilation, *_, groups = self.geometry
        return functional.conv2d(x, self.weight, bias, stride, padding, dilation, groups)

    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self._convolved(x, self.bias), None

    def backward(self, g: Tensor, x: Tensor, out: Tensor, kept: Tensor | None, y: Tensor | None) -> Tensor:
        found: Tensor = _aten.convolution_backward(g, x, self.weight, None, *self.geometry,
                                                   (True, False, False))[0]
        return found

    def tangent(self, u: Tensor, x: Tensor, out: Tensor, kept: Tensor | None) -> Tensor:
        return self._convolved(u, None)

    def write(self, g: Tensor, h: Tensor, c: Tensor | None, y: Tensor | None) -> None:
        found = _aten.convolution_backward(g, h, self.weight, None, *self.geometry, (False, True, False))[1]
        _gradient(self.module.weight).copy_(found)
        _write_bias(self.module.bias, g.sum((2, 3)), c)


class _Activation(_Layer):
    """LeakyReLU, or ReLU for a negative slope of 0."""

    def __init__(self, negative_slope: float):
        self.negative_slope = negative_slope

    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return (functional.leaky_relu_(x, self.negative_slope) if self.negative_slope else x.relu_()), None

    def backward(self, g: Tensor, x: Tensor, out: Tensor, kept: Tensor | None, y: Tensor | None) -> Tensor:
        # in place: no other layer needs g
        found: Tensor = (_leaky_relu_backward(g, out, self.negative_slope, True, grad_input=g)
                         if self.negative_slope else _relu_backward(g, out, 0, grad_input=g))
        return found


class _Dropout(_Layer):
    def __init__(self, module: Dropout):
        self.module = module

    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
        mask = self.module.mask(x)
        return x.mul_(mask), mask

    def backward(self, g: Tensor, x: Tensor, out: Tensor, kept: Tensor | None, y: Tensor | None) -> Tensor:
        assert kept is not None
        return g.mul_(kept)  # no other layer needs g


class _Flatten(_Layer):
    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return x.flatten(1), None

    def backward(self, g: Tensor, x: Tensor, out: Tensor, kept: Tensor | None, y: Tensor | None) -> Tensor:
        return torch.empty_like(x).copy_(g.view(x.shape)) if x.ndim == 4 else g.view(x.shape)  # in x's memory layout

    def tangent(self, u: Tensor, x: Tensor, out: Tensor, kept: Tensor | None) -> Tensor:
        return u.flatten(1)


class _Tanh(_Layer):
    """Of a generator alone: it is not piecewise linear."""

    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return x.tanh_(), None

    def backward(self, g: Tensor, x: Tensor, out: Tensor, kept: Tensor | None, y: Tensor | None) -> Tensor:
        found: Tensor = _aten.tanh_backward(g, out)
        return found


@dataclass(frozen=True)
class _Passed:
    """A forward pass: the input and the outputs of all layers, and what layers kept for the way back."""

    values: list[Tensor]
    kept: list[Tensor | None]

    @property
    def output(self) -> Tensor:
        return self.values[-1]

    def of(self, rows: slice) -> "_Passed":
        """That of some samples."""
        return _Passed([value[rows] for value in self.values],
                       [None if value is None else value[rows] for value in self.kept])


class Chain:
    """Layers one after another, whose gradients are known in closed form."""

    def __init__(self, layers: Sequence[_Layer]):
        self.layers = layers
        self.draws = any(isinstance(layer, _Dropout) for layer in layers)

    @classmethod
    def of(cls, network: nn.Module | None) -> "Chain | None":
        """The layers of one of ganlib's networks; None for any other, and for those that are no chain.

        A generator's begin after its `choice`, and end before its output gets the shape of samples.
        """
        if type(network) is MLPGenerator:
            return cls._of(network.layers)
        if type(network) is MLPDiscriminator:
            return cls._of([nn.Flatten(), *network.layers])
        if type(network) is DCGANDiscriminator:
            chain = cls._of([*network.layers, network.head])
            if chain is not None and network.embedding is not None:
                chain.layers = [*chain.layers[:-1], _Projection(network.head, network.embedding)]
            return chain
        return None

    @classmethod
    def _of(cls, modules: Any) -> "Chain | None":
        """None where a layer is of another kind: a subclass, or one with a parametrization, may compute another thing.
        """
        makers: dict[type[nn.Module], Any] = {
            nn.Linear: _Linear, nn.Conv2d: _Conv, nn.Flatten: lambda _: _Flatten(), nn.ReLU: lambda _: _Activation(0),
            nn.LeakyReLU: lambda module: _Activation(module.negative_slope), nn.Tanh: lambda _: _Tanh(),
            Dropout: _Dropout}
        modules = list(modules)
        return cls([makers[type(m)](m) for m in modules]) if all(type(m) in makers for m in modules) else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> _Passed:
        values, kept = [x], []
        for layer in self.layers:
            x, more = layer.forward(x, y)
            values.append(x)
            kept.append(more)
        return _Passed(values, kept)

    def backward(self, passed: _Passed, g: Tensor, y: Tensor | None = None, down_to: int = 0) -> list[Tensor]:
        """The gradients of the inputs of all layers, and of the last output, from the last one's.

        Those before layer `down_to` are not computed.
        """
        found = [g]
        for i in reversed(range(down_to, len(self.layers))):
            g = self.layers[i].backward(g, passed.values[i], passed.values[i + 1], passed.kept[i], y)
            found.append(g)
        return [torch.empty(0)] * down_to + found[::-1]

    def tangents(self, passed: _Passed, u: Tensor) -> list[Tensor]:
        """A direction of the input carried forward to the input of each layer."""
        found = [u]
        for i, layer in enumerate(self.layers[:-1]):
            u = layer.tangent(u, passed.values[i], passed.values[i + 1], passed.kept[i])
            found.append(u)
        return found

    def write(self, passed: _Passed, gradients: list[Tensor], y: Tensor | None = None) -> None:
        """Write the gradients of all parameters, from those of the outputs."""
        for layer, g, x in zip(self.layers, gradients[1:], passed.values):
            layer.write(g, x, None, y)

    @functools.cached_property
    def first(self) -> int:
        """The first layer with parameters."""
        return next(i for i, layer in enumerate(self.layers) if layer.has_parameters)


def write_discriminator_gradients(chain: Chain, samples: dict[str, Tensor], y: Tensor | None, loss: Loss,
                                  penalties: Sequence[tuple[Penalty, float]]) -> tuple[Tensor, Tensor]:
    """Write the gradients of a discriminator's loss, times its weight, plus penalties.

    Args:
        chain: of the discriminator.
        samples: (N, *shape) by their places: "real", "fake", and those of the penalties.
        y: labels (N,) or None.
        loss: of both networks.
        penalties: with their factors; each has `of_gradient`.

    Returns:
        Two scalars: the loss without its weight, and what the penalties add.
    """
    n, places = len(samples["real"]), list(samples)
    y = None if y is None else y.repeat(len(samples))
    passed = chain.forward(torch.cat(list(samples.values())), y)
    logits = passed.output.squeeze(1)
    if loss.discriminator_slopes is None:
        total, c = _loss_and_slopes(lambda logits: loss.discriminator(logits[:n], logits[n:2 * n]), logits)
    else:
        pair = logits[:n], logits[n:2 * n]
        unused = [logits.new_zeros(n)] * (len(samples) - 2)  # the loss does not see places between them
        total, c = loss.discriminator(*pair), torch.cat([*loss.discriminator_slopes(*pair), *unused])
    c.mul_(loss.weight)
    if not penalties:
        chain.write(passed, chain.backward(passed, c[:, None], y, chain.first + 1), y)
        return total, torch.zeros_like(total)
    gradients = chain.backward(passed, torch.ones_like(passed.output), y)
    at = [places.index(penalty.at) for penalty, _ in penalties]
    rows = slice(min(at) * n, (max(at) + 1) * n)  # the samples with a penalty, and those between them
    added, u = _loss_and_slopes(lambda directions: _penalty_sum(torch.split(directions, n), min(at), at, penalties),
                                gradients[0][rows])
    directions = chain.tangents(passed.of(rows), u)
    for layer, x, g, direction in zip(chain.layers, passed.values, gradients[1:], directions):
        if layer.has_parameters:
            h = x.mul_(c.view(-1, *[1] * (x.ndim - 1)))  # in place: no later layer reads it
            h[rows].add_(direction)
            layer.write(g, h, c, y)
    return total, added


def _penalty_sum(directions: Sequence[Tensor], first: int, at: list[int],
                 penalties: Sequence[tuple[Penalty, float]]) -> Tensor:
    terms = [gamma * penalty.of_gradient(directions[place - first]).mean()  # type: ignore[misc]
             for (penalty, gamma), place in zip(penalties, at)]
    return torch.stack(terms).sum()


def _loss_and_slopes(function: Any, values: Tensor) -> tuple[Tensor, Tensor]:
    """A function of few numbers there, and its gradient, by autograd."""
    with torch.enable_grad():
        leaf = values.detach().requires_grad_()
        total = function(leaf)
        (slopes,) = torch.autograd.grad(total, leaf)
    return total.detach(), slopes


def write_generator_gradients(generator: nn.Module, generator_chain: Chain | None, chain: Chain, real: Tensor,
                              z: Tensor, y: Tensor | None, loss: Loss) -> Tensor:
    """Write the gradients of the generator's loss against a frozen discriminator, and return the loss.

    Args:
        generator: the network.
        generator_chain: its chain, None to take autograd.
        chain: of the discriminator.
        real: samples (N, *shape) that a paired loss compares the fakes with.
        z, y: latents (N, latent_dim) and labels (N,) or None of the fakes.
        loss: of both networks.
    """
    real_logits = chain.forward(real, y).output.squeeze(1) if loss.paired and chain.draws else None  # drawn first
    if generator_chain is None:
        with torch.enable_grad():
            generated = generator(z, y)
        fake = generated.detach()
    else:
        made = _made(generator, generator_chain, z)
        fake = made.output.view(real.shape)
    n = len(fake)
    if loss.paired and not chain.draws:  # one pass for both
        both = chain.forward(torch.cat([real, fake]), None if y is None else y.repeat(2))
        real_logits, passed = both.output[:n].squeeze(1), both.of(slice(n, None))
    else:
        passed = chain.forward(fake, y)
    logits = passed.output.squeeze(1)
    if loss.generator_slopes is None:
        total, c = _loss_and_slopes(lambda logits: loss.generator(real_logits, logits), logits)
    else:
        total, c = loss.generator(real_logits, logits), loss.generator_slopes(real_logits, logits)
    g = chain.backward(passed, c[:, None], y)[0]
    if generator_chain is None:
        parameters = [p for p in generator.parameters() if p.requires_grad]
        for parameter in parameters:
            parameter.grad = None
        torch.autograd.backward(generated, g, inputs=parameters)
    else:
        gradients = generator_chain.backward(made, g.view(made.output.shape), down_to=generator_chain.first + 1)
        generator_chain.write(made, gradients)
    return total


def _made(generator: nn.Module, chain: Chain, z: Tensor) -> _Passed:
    """The generator's forward pass from latents (N, latent_dim) to its output before it gets the shape of samples."""
    return chain.forward(generator.choice(z))  # type: ignore[operator]


def make(generator: nn.Module, chain: Chain | None, z: Tensor, y: Tensor | None) -> Tensor:
    """Samples (N, *shape) of a frozen generator, by its chain if it is one."""
    if chain is None:
        with torch.no_grad():
            return generator(z, y).float()  # type: ignore[no-any-return]
    return _made(generator, chain, z).output.view(-1, *generator.shape)  # type: ignore[misc]


def _values(module: Any) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a layer, in the same memory, from which autograd records nothing."""
    return module.weight.detach(), None if module.bias is None else module.bias.detach()


def _gradient(parameter: Tensor) -> Tensor:
    """The gradient's memory, in the parameter's layout, to be written to."""
    if parameter.grad is None:
        parameter.grad = torch.empty_like(parameter)
    return parameter.grad


def _write_bias(bias: Tensor | None, g: Tensor, c: Tensor | None) -> None:
    """g: (N, out). c: factors (N,), None for 1."""
    if bias is None:
        return
    if c is None:
        torch.sum(g, 0, out=_gradient(bias))
    else:
        torch.mv(g.t(), c, out=_gradient(bias))


def knows(penalties: Sequence[tuple[Penalty, float]]) -> bool:
    """Whether the gradients of these penalties are known."""
    return all(penalty.of_gradient is not None for penalty, _ in penalties)
