"""Generators, discriminators and encoders: modules only, which know nothing of data, losses or files.

A generator maps latents `z: (N, latent_dim)`, standard normal, to samples `x: (N, *shape)`; a discriminator maps
samples to logits `(N,)`, without a sigmoid. Both take labels `y: (N,)` int64 as a second argument, which networks
without classes ignore; a generator with classes also takes shares of classes, `y: (N, num_classes)` float32. An encoder
maps samples to latents.

The networks' arguments are fields of `ganlib.architectures.MLP`, `DCGAN` and `VAE`, which describe them.
"""

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganlib.shares import drawn

LOG_VARIANCE = (-12.0, 6.0)  # limits of an encoder's: its exponential stays finite, also in bfloat16
COUPLING_WIDTH = 128  # of the hidden layers of a coupling layer
SCALES = 1.5  # limit of the logarithm of a coupling layer's scales: several layers do not explode


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


class Coupling(nn.Module):
    """An affine coupling layer (Dinh et al. 2017, "Density estimation using Real NVP"), an invertible map of latents.

    The first half of the numbers scales and shifts the second half; then both halves are exchanged. It starts as an
    exchange alone.
    """

    def __init__(self, latent_dim: int, width: int):
        super().__init__()
        self.kept = latent_dim // 2
        self.layers = nn.Sequential(nn.Linear(self.kept, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
                                    nn.Linear(width, 2 * (latent_dim - self.kept)))
        self.start()

    def start(self) -> None:
        """Sets the initial weights."""
        self.apply(_init_he)
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]

    def forward(self, z: Tensor) -> Tensor:
        """The mapped latents (N, latent_dim)."""
        kept, changed = z[:, :self.kept], z[:, self.kept:]
        scale, shift = self._scale_and_shift(kept)
        return torch.cat([changed * scale.exp() + shift, kept], dim=1)

    def inverse(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The latents (N, latent_dim) of mapped ones, and the log of the inverse's Jacobian determinant (N,)."""
        split = w.shape[1] - self.kept
        changed, kept = w[:, :split], w[:, split:]
        scale, shift = self._scale_and_shift(kept)
        return torch.cat([kept, (changed - shift) * (-scale).exp()], dim=1), -scale.sum(1)

    def _scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.layers(kept).float().chunk(2, dim=1)
        return SCALES * torch.tanh(scale / SCALES), shift


class CouplingLayers(nn.ModuleList):
    """Coupling layers, one after another: they turn N(0, I) into the distribution of a VAE's encoded samples.

    Without them, N(0, I) has latents that no sample is encoded to, whose decoded samples are poor (Chen et al. 2017,
    "Variational lossy autoencoder", section 3.2).
    """

    def __init__(self, latent_dim: int, count: int):
        super().__init__(Coupling(latent_dim, COUPLING_WIDTH) for _ in range(count))

    def start(self) -> None:
        """Sets the initial weights."""
        for coupling in self:
            coupling.start()  # type: ignore[operator]

    def forward(self, z: Tensor) -> Tensor:
        """The mapped latents (N, latent_dim) of latents z."""
        for coupling in self:
            z = coupling(z)
        return z

    def inverse(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The latents of mapped ones w, and the log of the inverse's Jacobian determinant: (N, latent_dim), (N,)."""
        log_determinant = w.new_zeros(w.shape[0])
        for coupling in reversed(self):
            w, added = coupling.inverse(w)  # type: ignore[operator]
            log_determinant = log_determinant + added
        return w, log_determinant


def coupling_layers(generator: nn.Module) -> CouplingLayers:
    """A generator's coupling layers; for one that has none, some that change nothing."""
    found: CouplingLayers | None = getattr(generator, "coupling_layers", None)
    return CouplingLayers(0, 0) if found is None else found


class Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014) that draws from the random generator `rng` if it is set.

    Training sets it to the run's, so that runs are repeatable and do not touch the process's random state.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.rng: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mask(x) if self.training and self.p else x

    def mask(self, x: Tensor) -> Tensor:
        """Random factors of numbers x (N, …): 0 with probability p, else 1/(1 − p)."""
        kept = 1 - self.p

        def draw(n: int) -> Tensor:
            size = (n, *x.shape[1:])
            if x.is_cpu:  # the numbers of `bernoulli_` (of MKL's, others), in 0.6 of its time
                return (torch.rand(size, generator=self.rng, dtype=torch.float64, device="cpu") < kept).to(x.dtype)
            return x.new_empty(size).bernoulli_(kept, generator=self.rng)

        return drawn(self.rng, len(x), draw).div_(kept)


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

    Coupling layers and a mapping of linear layers (Karras et al. 2019, section 2) may come first. With classes, the
    label's embedding is appended to the latent.
    """

    def __init__(self, shape: Sequence[int], latent_dim: int, channels: Sequence[int], mapping: Sequence[int] = (),
                 negative_slope: float = 0.2, num_classes: int | None = None, embedding_dim: int = 32,
                 choices: int = 0, sharpness: float = 1.0, couplings: int = 0):
        super().__init__()
        image_channels, height, width = shape
        halvings = 2 ** (len(channels) - 1)
        self.base = (channels[0], height // halvings, width // halvings)
        self.choice = SoftChoice(choices, sharpness)
        self.coupling_layers = CouplingLayers(latent_dim, couplings)
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
        self.coupling_layers.start()
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight)  # the scale of the latent it is appended to

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        samples: Tensor = self.layers(self.first_map(z, y))
        return samples

    def first_map(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The small map (N, channels, height, width) that `layers` turn into samples."""
        z = self.coupling_layers(self.choice(z))
        if self.embedding is not None:
            assert y is not None
            z = torch.cat([z, y @ self.embedding.weight if y.is_floating_point() else self.embedding(y)], dim=1)
        first: Tensor = self.project(self.mapping(z)).view(-1, *self.base)
        return first


class DCGANDiscriminator(nn.Module):
    """Strided convolutions with LeakyReLU, a hidden linear layer, and one logit.

    There is no batch norm: it makes a sample's logit depend on its batch, and then a gradient penalty per sample is
    wrong. With classes, the features' product with the label's embedding is added to the logit (Miyato & Koyama 2018).
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int], features: int = 256, negative_slope: float = 0.2,
                 num_classes: int | None = None):
        super().__init__()
        self.layers = nn.Sequential(*_shrinking(shape, channels, features, negative_slope))
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


class Encoder(nn.Module, ABC):
    """The other network of a VAE: a distribution of mapped latents, those after `CouplingLayers`, for each sample.

    The generator's `coupling_layers`, if it has any, turn them into latents; without any they are latents.
    """

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The mapped latents (N, latent_dim) in the middle of the distribution: those of no noise."""

    @abstractmethod
    def sample(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Mapped latents and the logarithms of their densities: (N, latent_dim) and (N,), float32.

        noise: (N, latent_dim), standard normal. Gradients pass through (Kingma & Welling 2014, section 2.4).
        """


class DCGANEncoder(Encoder):
    """Strided convolutions with LeakyReLU and a hidden linear layer, as in `DCGANDiscriminator`; then a distribution.

    It is normal with a diagonal covariance (Kingma & Welling 2014, "Auto-encoding variational Bayes").
    """

    def __init__(self, shape: Sequence[int], latent_dim: int, channels: Sequence[int], features: int = 256,
                 negative_slope: float = 0.2):
        super().__init__()
        self.layers = nn.Sequential(*_shrinking(shape, channels, features, negative_slope))
        self.head = nn.Linear(features, 2 * latent_dim)
        self.apply(_init_he)
        nn.init.normal_(self.head.weight, 0.0, 0.01)  # it starts near N(0, I)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self._normal(x)[0]

    def sample(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self._normal(x)
        log_density = -(noise.square() + log_variance + math.log(2 * math.pi)).sum(1) / 2
        return mean + (log_variance / 2).exp() * noise, log_density

    def _normal(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the logarithm of the variance, both (N, latent_dim), float32."""
        mean, log_variance = self.head(self.layers(x)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCE)


def _shrinking(shape: Sequence[int], channels: Sequence[int], features: int, negative_slope: float) -> list[nn.Module]:
    """Convolutions that halve an image with LeakyReLU after each, a linear layer to the features, and LeakyReLU."""
    image_channels, *size = shape
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((image_channels, *channels)):
        height, width = (3 if pixels % 2 else 4 for pixels in size)  # each side is halved, and rounded up
        layers += [nn.Conv2d(inputs, outputs, (height, width), 2, 1), nn.LeakyReLU(negative_slope)]
        size = [(pixels + 1) // 2 for pixels in size]
    return [*layers, nn.Flatten(), nn.Linear(channels[-1] * math.prod(size), features), nn.LeakyReLU(negative_slope)]


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
