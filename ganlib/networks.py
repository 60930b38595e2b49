"""Generators and discriminators: modules only, which know nothing of data, losses or files.

A generator maps latents `z: (N, latent_dim)`, standard normal, to samples `x: (N, *shape)`; a discriminator maps
samples to logits `(N,)`, without a sigmoid. Both take labels `y: (N,)` int64 as a second argument, which networks
without classes ignore; a generator with classes also takes shares of classes, `y: (N, num_classes)` float32.

The networks' arguments are fields of `ganlib.architectures.MLP` and `DCGAN`, which describe them.
"""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn


class SoftChoice(nn.Module):
    """Turns the first `choices` numbers of a latent into a soft categorical latent; the others are unchanged.

    z_k becomes √K · softmax(sharpness · z_k / rms(z_k)): nearly all of the weight falls on the largest number, and the
    mean square stays about 1. A continuous prior has to map connected regions between modes; a categorical part avoids
    it (Chen et al. 2016, "InfoGAN"; Mukherjee et al. 2019, "ClusterGAN"). Dividing by the root mean square keeps the
    choice when a latent is scaled, as truncation does.

    Args:
        choices: K, number of categories; 0 for none.
        sharpness: above 0; from about 1,000 on the choice is one-hot.
    """

    def __init__(self, choices: int, sharpness: float):
        super().__init__()
        self.choices, self.sharpness = choices, sharpness

    def forward(self, z: Tensor) -> Tensor:
        if not self.choices:
            return z
        first = z[:, :self.choices]
        scale = first.square().mean(1, keepdim=True).sqrt().clamp_min(1e-12)
        weights = (self.sharpness * first / scale).softmax(1) * math.sqrt(self.choices)
        return torch.cat([weights.to(z.dtype), z[:, self.choices:]], dim=1)


class Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014) that draws from the random generator `rng` if it is set.

    Training sets it to the run's, so that runs are repeatable and do not touch the process's random state.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.rng: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        mask = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.rng)
        return x * mask.div_(1 - self.p)


class MLPGenerator(nn.Module):
    """Fully connected layers with ReLU between them, and tanh at the end if samples are bounded."""

    def __init__(self, shape: Sequence[int], latent_dim: int, widths: Sequence[int], bounded: bool = True,
                 choices: int = 0, sharpness: float = 1.0):
        super().__init__()
        self.shape = tuple(shape)
        self.choice = SoftChoice(choices, sharpness)
        self.layers = nn.Sequential(*_perceptron((latent_dim, *widths, math.prod(shape)), lambda: [nn.ReLU()]))
        if bounded:
            self.layers.append(nn.Tanh())

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        samples: Tensor = self.layers(self.choice(z))
        return samples.view(-1, *self.shape)


class MLPDiscriminator(nn.Module):
    """Fully connected layers with LeakyReLU (ReLU for a negative slope of 0) and dropout between them; one logit."""

    def __init__(self, shape: Sequence[int], widths: Sequence[int], dropout: float = 0.0, negative_slope: float = 0.0):
        super().__init__()

        def between() -> list[nn.Module]:
            activation = nn.LeakyReLU(negative_slope) if negative_slope else nn.ReLU()
            return [activation, Dropout(dropout)] if dropout else [activation]

        self.layers = nn.Sequential(*_perceptron((math.prod(shape), *widths, 1), between))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        logits: Tensor = self.layers(x.flatten(1))
        return logits.squeeze(1).float()


def _perceptron(widths: Sequence[int], between: Callable[[], list[nn.Module]]) -> list[nn.Module]:
    """Linear layers of the given widths with initial weights as in He et al. 2015, the last at a quarter of that."""
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        last = i == len(widths) - 2
        linear = nn.Linear(inputs, outputs)
        nn.init.normal_(linear.weight, 0.0, (0.25 if last else 1.0) * math.sqrt(2 / inputs))
        nn.init.zeros_(linear.bias)
        layers += [linear] if last else [linear, *between()]
    return layers


class DCGANGenerator(nn.Module):
    """A linear layer to a small map, then transposed convolutions that double it, batch norm and ReLU; tanh at the end.

    A mapping of linear layers may come first (Karras et al. 2019, section 2). With classes, the label's embedding is
    appended to the latent.
    """

    def __init__(self, shape: Sequence[int], latent_dim: int, channels: Sequence[int], mapping: Sequence[int] = (),
                 negative_slope: float = 0.2, num_classes: int | None = None, embedding_dim: int = 32,
                 choices: int = 0, sharpness: float = 1.0):
        super().__init__()
        image_channels, height, width = shape
        halvings = 2 ** (len(channels) - 1)
        self.base = (channels[0], height // halvings, width // halvings)
        self.choice = SoftChoice(choices, sharpness)
        self.embedding = nn.Embedding(num_classes, embedding_dim) if num_classes else None
        widths = (latent_dim + (embedding_dim if num_classes else 0), *mapping)
        self.mapping = nn.Sequential(*(layer for pair in pairwise(widths)
                                       for layer in (nn.Linear(*pair), nn.LeakyReLU(negative_slope))))
        self.project = nn.Linear(widths[-1], math.prod(self.base), bias=False)
        # ReLU in place saves memory traffic
        layers = [nn.BatchNorm2d(channels[0]), nn.ReLU(inplace=True)]
        for narrow, wide in zip(channels[1:], channels):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False), nn.BatchNorm2d(narrow),
                       nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(channels[-1], image_channels, 3, 1, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(_init_dcgan)
        self.mapping.apply(_init_he)  # no batch norm follows that would correct a small scale
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight)  # the scale of the latent it is appended to

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        z = self.choice(z)
        if self.embedding is not None:
            assert y is not None
            z = torch.cat([z, y @ self.embedding.weight if y.is_floating_point() else self.embedding(y)], dim=1)
        samples: Tensor = self.layers(self.project(self.mapping(z)).view(-1, *self.base))
        return samples


class DCGANDiscriminator(nn.Module):
    """Strided convolutions with LeakyReLU, a hidden linear layer, and one logit.

    There is no batch norm: it makes a sample's logit depend on its batch, and then a gradient penalty per sample is
    wrong. With classes, the features' product with the label's embedding is added to the logit (Miyato & Koyama 2018).
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int], features: int = 256, negative_slope: float = 0.2,
                 num_classes: int | None = None):
        super().__init__()
        image_channels, *size = shape
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((image_channels, *channels)):
            height, width = (3 if pixels % 2 else 4 for pixels in size)  # each side is halved, and rounded up
            layers += [nn.Conv2d(inputs, outputs, (height, width), 2, 1), nn.LeakyReLU(negative_slope)]
            size = [(pixels + 1) // 2 for pixels in size]
        layers += [nn.Flatten(), nn.Linear(channels[-1] * math.prod(size), features)]
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(negative_slope))
        self.head = nn.Linear(features, 1)
        self.embedding = nn.Embedding(num_classes, features) if num_classes else None
        self.apply(_init_he)
        nn.init.normal_(self.head.weight, 0.0, 0.25 * math.sqrt(2 / (1.04 * features)))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        features = self.layers(x)
        logits: Tensor = self.head(features).squeeze(1)
        if self.embedding is not None:
            logits = logits + (features * self.embedding(y)).sum(1)
        return logits.float()


def _init_dcgan(module: nn.Module) -> None:
    """N(0, 0.02) weights, zero biases (Radford et al. 2016, section 4); batch norm's scale N(1, 0.02), as in code."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    _zero_bias(module)


def _init_he(module: nn.Module) -> None:
    """Weights as in He et al. 2015, zero biases. An embedding starts at zero, so that no class is favoured."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, a=0.2)
    elif isinstance(module, nn.Embedding):
        nn.init.zeros_(module.weight)
    _zero_bias(module)


def _zero_bias(module: nn.Module) -> None:
    if isinstance(bias := getattr(module, "bias", None), Tensor):
        nn.init.zeros_(bias)


def count_parameters(module: nn.Module) -> int:
    """The number of parameters of a module."""
    return sum(p.numel() for p in module.parameters())


_cudnn = threading.Lock()  # cuDNN's settings are the process's, and the page computes in threads


@contextmanager
def exact_convolutions(device: torch.device) -> Iterator[None]:
    """On CUDA, cuDNN computes in float32, by one fixed algorithm; its default, TensorFloat-32, is off by about 1e-3."""
    if device.type != "cuda":
        yield
        return
    with _cudnn, torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield


@contextmanager
def default_modes(device: torch.device) -> Iterator[None]:
    """Without inference mode, gradients and autocast, whatever the caller's thread has set."""
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield
