"""Generators folded for inference on a CPU: the same samples by fewer operations, without gradients.

Batch norm is part of the layer before it, what a class adds to the first layer is computed once, and maps are kept in
the order (N, height, width, channels). A folded generator has weights of its own: see `Folding` for when they are made.
"""

import threading
from collections.abc import Callable
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlib.networks import SCALES, DCGANGenerator, MLPGenerator, default_modes

SPARSE = 0.15  # share of hidden numbers other than 0 up to which a sparse product is faster than a dense one
MANY_WEIGHTS = 2**18  # of one layer: with fewer the dense product is faster
MAX_MAP = 2**21  # numbers of the last maps that are computed at once, 8 MB: more are no faster, and take more memory

Folded = Callable[[Tensor, Tensor | None], Tensor]  # as a generator: z (N, latent_dim) and y to samples (N, *shape)


class Folding:
    """Folds a generator when it is first used, and anew after its weights have changed.

    Changes are noticed by the version counters of its tensors, which `tensor.data` bypasses.
    """

    def __init__(self) -> None:
        self._folded: tuple[Any, Folded] | None = None
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: Any) -> "Folding":
        return Folding()

    def __reduce__(self) -> Any:
        return Folding, ()

    def of(self, generator: nn.Module) -> Folded:
        """The folded generator; the generator itself on another device than a CPU, or if it is of another kind
        or has hooks."""
        fold = FOLDS.get(type(generator))
        tensors: list[Tensor | None] = []
        modules: list[nn.Module | None] = [generator]
        for module in modules:  # which grows; this is faster than generator.modules()
            if module is None:
                continue
            if module._forward_hooks or module._forward_pre_hooks:  # which somebody wants to be called
                fold = None
            modules += module._modules.values()
            tensors += module._parameters.values()
            tensors += module._buffers.values()
        present = [tensor for tensor in tensors if tensor is not None]
        if fold is None or generator.training or not all(map(_foldable, present)):
            self._folded = None
            return generator
        state = [(id(tensor), tensor.data_ptr(), tensor._version) for tensor in present]
        with self._lock:
            if self._folded is None or self._folded[0] != state:
                with default_modes(torch.device("cpu")):
                    self._folded = state, fold(generator)
            return self._folded[1]


def _foldable(tensor: Tensor) -> bool:
    return (tensor.is_cpu and tensor.dtype in (torch.float32, torch.int64)
            and not tensor.is_inference())  # which has no version


def _fold_mlp(generator: Any) -> Folded:
    linears = [layer for layer in generator.layers if isinstance(layer, nn.Linear)]
    *hidden, last = [(linear.weight.detach().t(), linear.bias.detach()) for linear in linears]
    rows = last[0].contiguous() if last[0].numel() >= MANY_WEIGHTS else None  # for a sparse product
    bounded = isinstance(generator.layers[-1], nn.Tanh)

    def forward(z: Tensor, y: Tensor | None) -> Tensor:
        x = generator.choice(z)
        for weight, bias in hidden:
            x = torch.addmm(bias, x, weight).relu_()
        sparse = None if rows is None else _sparse_product(x, rows)
        x = torch.addmm(last[1], x, last[0]) if sparse is None else sparse.add_(last[1])
        return (x.tanh_() if bounded else x).view(-1, *generator.shape)

    return forward


def _sparse_product(x: Tensor, rows: Tensor) -> Tensor | None:
    """x (N, D) @ rows (D, M), by the rows of the numbers of x that are not 0; None if these are many."""
    nonzero = x.numpy() != 0  # NumPy finds them faster than torch
    if numpy.count_nonzero(nonzero) > SPARSE * x.numel():
        return None
    places = numpy.flatnonzero(nonzero)
    first = torch.from_numpy(numpy.searchsorted(places, numpy.arange(0, x.numel(), x.shape[1])))
    where = torch.from_numpy(places)
    return F.embedding_bag(where % x.shape[1], rows, first, mode="sum", per_sample_weights=x.take(where))


def _fold_dcgan(generator: Any) -> Folded:
    channels, height, width = generator.base
    norm, *layers = [layer for layer in generator.layers if not isinstance(layer, nn.ReLU | nn.Tanh)]
    scale, shift = _scale_and_shift(norm)
    # its output is a map (height, width, channels)
    project = generator.project.weight.detach().view(channels, height * width, -1) * scale[:, None, None]
    project = project.transpose(0, 1).reshape(generator.project.weight.shape)
    mapping = [layer for layer in generator.mapping if isinstance(layer, nn.Linear)]
    slope = generator.mapping[1].negative_slope if mapping else 0.0
    linears = [(layer.weight.detach(), layer.bias.detach()) for layer in mapping]
    linears.append((project, shift.repeat(height * width)))
    of_class = None
    if generator.embedding is not None:
        weight, first_bias = linears[0]
        embedded = generator.embedding.weight.detach()
        split = weight.shape[1] - embedded.shape[1]
        of_class = embedded @ weight[:, split:].t()  # (classes, outputs)
        linears[0] = weight[:, :split], first_bias
    linears = [(weight.t().contiguous(), bias) for weight, bias in linears]
    coupling_layers = _fold_couplings(generator.coupling_layers)
    doublings = []
    for convolution, norm in zip(layers[:-1:2], layers[1:-1:2], strict=True):
        scale, shift = _scale_and_shift(norm)
        weight = convolution.weight.detach() * scale[:, None, None]
        doublings.append((weight.contiguous(memory_format=torch.channels_last), shift[:, None, None]))
    last = layers[-1]
    taps = last.weight.detach().permute(2, 3, 1, 0).reshape(-1, last.in_channels).contiguous()
    bias = last.bias.detach()
    at_once = max(1, MAX_MAP // (last.in_channels * height * width * 4 ** len(doublings)))

    def forward(z: Tensor, y: Tensor | None) -> Tensor:
        x = coupling_layers(generator.choice(z))
        for i, (weight, added) in enumerate(linears):
            if i == 0 and of_class is not None:
                assert y is not None
                added = torch.addmm(added, y, of_class) if y.is_floating_point() else of_class[y].add_(added)
            x = torch.addmm(added, x, weight)
            x = x.relu_() if i == len(linears) - 1 else F.leaky_relu_(x, slope)
        first = x.view(-1, height, width, channels).permute(0, 3, 1, 2)
        samples = []
        for x in first.chunk(-(-len(first) // at_once)):
            for weight, added in doublings:
                # with its bias the convolution itself would be slower, for some sizes by a quarter
                x = F.conv_transpose2d(x, weight, None, 2, 1).add_(added).relu_()
            samples.append(_last_convolution(x, taps, bias).tanh_())
        return samples[0] if len(samples) == 1 else torch.cat(samples)

    return forward


def _fold_couplings(layers: Any) -> Callable[[Tensor], Tensor]:
    """Coupling layers that keep the two halves of the latents apart."""
    if not layers or 4 * layers[0].kept != layers[0].layers[-1].out_features:  # halves of different lengths
        unfolded: Callable[[Tensor], Tensor] = layers
        return unfolded
    linears = [[(layer.layers[i].weight.detach().t(), layer.layers[i].bias.detach()) for i in (0, 2, 4)]
               for layer in layers]

    def forward(z: Tensor) -> Tensor:
        kept, changed = z.chunk(2, dim=1)
        for first, second, third in linears:
            x = F.silu(torch.addmm(first[1], kept, first[0]), inplace=True)
            x = F.silu(torch.addmm(second[1], x, second[0]), inplace=True)
            scale, shift = torch.addmm(third[1], x, third[0]).chunk(2, dim=1)
            scale = scale.div_(SCALES).tanh_().mul_(SCALES).exp_()
            kept, changed = shift.addcmul_(changed, scale), kept
        return torch.cat([kept, changed], dim=1)

    return forward


def _last_convolution(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    """A transposed convolution of 3 by 3 to few channels, faster than the general one on a CPU.

    It is one matrix product for all nine taps, whose results are added where they belong.

    Args:
        x: (N, inputs, height, width), channels last.
        taps: the weights (3 * 3 * outputs, inputs).
        bias: (outputs,).
    """
    n, inputs, height, width = x.shape
    products = (taps @ x.permute(0, 2, 3, 1).reshape(-1, inputs).t()).view(3, 3, -1, n, height, width)
    padded = bias[:, None, None, None].repeat(1, n, height + 2, width + 2)
    for i in range(3):
        for j in range(3):
            padded[:, :, i:i + height, j:j + width] += products[i, j]
    return padded[:, :, 1:-1, 1:-1].transpose(0, 1).contiguous()


def _scale_and_shift(norm: Any) -> tuple[Tensor, Tensor]:
    """What batch norm multiplies by and adds in eval mode: (channels,) each."""
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale.float(), (norm.bias.detach().double() - norm.running_mean.double() * scale).float()


# by the exact class: a subclass may compute something else
FOLDS: dict[type[nn.Module], Callable[[Any], Folded]] = {MLPGenerator: _fold_mlp, DCGANGenerator: _fold_dcgan}
