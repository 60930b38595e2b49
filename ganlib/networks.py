"""Generators and discriminators, and the frozen dataclasses that describe and build them.

Networks know nothing of data, losses or files. A generator maps latents `z: (N, latent_dim)` to samples
`x: (N, *shape)`; a discriminator maps samples to logits `(N,)`, with no sigmoid inside. Both take the labels
`y: (N,)` int64 as a second argument, which networks without classes ignore; a generator with classes also takes shares
of them, `y: (N, num_classes)` float32.

Parameters of the networks in `ARCHITECTURES`:

| name         | generator | discriminator |
|--------------|-----------|---------------|
| mlp-gan      | 1,486,352 | 4,362,241     |
| dcgan        |   791,777 |   632,033     |
| cdcgan       |   992,801 |   634,593     |
| toy-gaussian |     1,761 |     4,289     |
| toy-sine     |       658 |    41,985     |
| toy-ring     |   264,450 |    33,537     |
| toy-grid     |   264,450 |    33,537     |
"""

import math
import reprlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

MOST_LAYERS = 32  # of one kind
_brief = reprlib.Repr()
_brief.maxstring = 80
quoted = _brief.repr  # for sentences on what is foreign, and may be endless


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


def _positive_ints(values, what: str) -> None:
    ok = isinstance(values, tuple) and 0 < len(values) <= MOST_LAYERS and all(type(v) is int and v > 0 for v in values)
    _require(ok, f"{what} must be a list of positive whole numbers, {MOST_LAYERS} at most, not {quoted(values)}")


def listed(names: list[str]) -> str:
    """The first few of some foreign names."""
    return ", ".join([*map(quoted, names[:3]), *(["…"] if len(names) > 3 else [])])


def _check_codes(architecture: "Architecture") -> None:
    codes, latent_dim = architecture.codes, architecture.latent_dim
    _require(type(codes) is int and 0 <= codes < latent_dim,
             f"codes must be a whole number from 0 to {latent_dim - 1}, less than latent_dim, not {quoted(codes)}")


class Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014) that may draw from a generator of its own, `rng`.

    Training hands it the run's generator, so that a run is repeatable and the process's own random state is left alone.
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

    def extra_repr(self) -> str:
        return f"p={self.p}"


class MLPGenerator(nn.Module):
    """Fully connected layers with ReLU between them; tanh at the end where samples are bounded by [-1, 1]."""

    def __init__(self, architecture: "MLP"):
        super().__init__()
        widths = (architecture.latent_dim, *architecture.generator_widths, math.prod(architecture.shape))
        self.shape = architecture.shape
        self.layers = nn.Sequential(*_perceptron(widths, lambda: [nn.ReLU()]))
        if architecture.bounded:
            self.layers.append(nn.Tanh())

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.layers(z).unflatten(1, self.shape)


class MLPDiscriminator(nn.Module):
    """Fully connected layers with ReLU (leaky where `leak` > 0) and dropout between them; one logit at the end."""

    def __init__(self, architecture: "MLP"):
        super().__init__()
        widths = (math.prod(architecture.shape), *architecture.discriminator_widths, 1)

        def between():
            activation = nn.LeakyReLU(architecture.leak) if architecture.leak else nn.ReLU()
            return [activation, Dropout(architecture.dropout)] if architecture.dropout else [activation]

        self.layers = nn.Sequential(*_perceptron(widths, between))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.layers(x.flatten(1)).squeeze(1).float()


def _perceptron(widths, between) -> list[nn.Module]:
    """Linear layers of the given widths, He initialised (He et al. 2015), the last one at a quarter of that.

    The source's N(0, 0.02) makes signals shrink several times over at every layer, and the framework's default makes
    the MLP generator collapse to a few digits.
    """
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        last = i == len(widths) - 2
        linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        if last:
            linear.weight.data.mul_(0.25)
        layers += [linear] if last else [linear, *between()]
    return layers


class DCGANGenerator(nn.Module):
    """A linear layer to a small map, then transposed convolutions that double it, batch norm and ReLU; tanh at the end.

    With classes, an embedding of the label is appended to the latent. A mapping network, where there is one, bends the
    latents first (Karras et al. 2019, section 2): one round cloud of them must become ten kinds of digits, and what
    lies between two kinds is no digit.
    """

    def __init__(self, architecture: "DCGAN"):
        super().__init__()
        channels, image_channels = architecture.generator_channels, architecture.shape[0]
        self.base = (channels[0], architecture.base_size, architecture.base_size)
        self.embedding = None
        inputs = architecture.latent_dim
        if architecture.num_classes:
            self.embedding = nn.Embedding(architecture.num_classes, architecture.embedding_dim)
            inputs += architecture.embedding_dim
        widths = (inputs, *architecture.mapping)
        self.mapping = nn.Sequential(*(layer for pair in pairwise(widths)
                                       for layer in (nn.Linear(*pair), nn.LeakyReLU(architecture.leak))))
        self.project = nn.Linear(widths[-1], math.prod(self.base), bias=False)
        # ReLU in place: most of the time that is not spent in convolutions goes to fresh memory
        layers = [nn.BatchNorm2d(channels[0]), nn.ReLU(inplace=True)]
        for narrow, wide in zip(channels[1:], channels):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False), nn.BatchNorm2d(narrow),
                       nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(channels[-1], image_channels, 3, 1, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(_init_dcgan)
        self.mapping.apply(_init_he)  # no batch norm follows to make up for a small scale
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight)  # the scale of the latent it stands beside

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            classes = y @ self.embedding.weight if y.is_floating_point() else self.embedding(y)
            z = torch.cat([z, classes], dim=1)
        return self.layers(self.project(self.mapping(z)).unflatten(1, self.base))


class DCGANDiscriminator(nn.Module):
    """Strided convolutions with LeakyReLU, a hidden linear layer, and one logit.

    No batch norm: it would couple the samples of a batch, which a gradient penalty per sample forbids. With classes,
    the features' product with the label's embedding is added to the logit (Miyato & Koyama 2018).
    """

    def __init__(self, architecture: "DCGAN"):
        super().__init__()
        channels = (architecture.shape[0], *architecture.discriminator_channels)
        size = architecture.shape[1]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            kernel = 3 if size % 2 else 4
            layers += [nn.Conv2d(inputs, outputs, kernel, 2, 1), nn.LeakyReLU(architecture.leak)]
            size = (size + 1) // 2
        layers += [nn.Flatten(), nn.Linear(channels[-1] * size * size, architecture.features)]
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(architecture.leak))
        self.head = nn.Linear(architecture.features, 1)
        self.embedding = None
        if architecture.num_classes:
            self.embedding = nn.Embedding(architecture.num_classes, architecture.features)
        self.apply(_init_he)
        self.head.weight.data.mul_(0.25)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        features = self.layers(x)
        logits = self.head(features).squeeze(1)
        if self.embedding is not None:
            logits = logits + (features * self.embedding(y)).sum(1)
        return logits.float()


def _init_dcgan(module: nn.Module) -> None:
    """N(0, 0.02) weights, zero biases (Radford et al. 2016, section 4); batch norm's scale N(1, 0.02), as in code."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    if getattr(module, "bias", None) is not None:
        nn.init.zeros_(module.bias)


def _init_he(module: nn.Module) -> None:
    """He et al. 2015, zero biases; measured to learn faster than N(0, 0.02) where no batch norm makes up for the scale.

    An embedding starts at zero, so that no class is favoured.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, a=0.2)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.zeros_(module.weight)


@dataclass(frozen=True)
class MLP:
    """A GAN of fully connected layers (Goodfellow et al. 2014, "Generative adversarial networks").

    shape: of one sample. latent_dim: numbers in a latent. Widths: of the hidden layers. dropout: share of hidden units
    dropped in the discriminator while training, in [0, 1). leak: the discriminator's LeakyReLU slope, 0 for ReLU.
    bounded: samples end in tanh, in [-1, 1]. codes: how many of a latent's numbers are one-hot, 0 for none, see
    `ganlib.sampling.one_hot`.
    """

    shape: tuple[int, ...]
    latent_dim: int
    generator_widths: tuple[int, ...]
    discriminator_widths: tuple[int, ...]
    dropout: float = 0.0
    leak: float = 0.0
    bounded: bool = True
    codes: int = 0

    num_classes = None

    def __post_init__(self):
        _positive_ints(self.shape, "shape")
        _positive_ints((self.latent_dim,), "latent_dim")
        _positive_ints(self.generator_widths, "generator_widths")
        _positive_ints(self.discriminator_widths, "discriminator_widths")
        _require(0 <= self.dropout < 1, f"dropout must be in [0, 1), not {quoted(self.dropout)}")
        _require(0 <= self.leak < 1, f"leak must be in [0, 1), not {quoted(self.leak)}")
        _check_codes(self)

    @property
    def widest(self) -> int:
        """Numbers of one sample in the widest layer of both networks."""
        return max(self.latent_dim, math.prod(self.shape), *self.generator_widths, *self.discriminator_widths)

    def fitted(self, shape: tuple[int, ...], num_classes: int | None) -> "MLP":
        """These networks for samples of another shape; classes that the data may have are not learnt."""
        return replace(self, shape=tuple(shape))

    def generator(self) -> nn.Module:
        return MLPGenerator(self)

    def discriminator(self) -> nn.Module:
        return MLPDiscriminator(self)


@dataclass(frozen=True)
class DCGAN:
    """A GAN of convolutions (Radford et al. 2016, "Unsupervised representation learning with DCGANs").

    shape: (channels, size, size); size must be divisible by 2 for each doubling, of which there is one less than there
    are generator_channels. mapping: widths of linear layers that latents go through first. features: width of the
    discriminator's hidden linear layer. num_classes: None, or the number of classes both networks take; embedding_dim:
    what the generator appends to its latent for them. codes: as in MLP.
    """

    shape: tuple[int, int, int]
    latent_dim: int
    generator_channels: tuple[int, ...]
    discriminator_channels: tuple[int, ...]
    mapping: tuple[int, ...] = ()
    features: int = 256
    leak: float = 0.2
    num_classes: int | None = None
    embedding_dim: int = 32
    codes: int = 0

    def __post_init__(self):
        _positive_ints(self.shape, "shape")
        _require(len(self.shape) == 3 and self.shape[1] == self.shape[2],
                 f"shape must be (channels, size, size), not {quoted(self.shape)}")
        _positive_ints(self.generator_channels, "generator_channels")
        _positive_ints(self.discriminator_channels, "discriminator_channels")
        if self.mapping != ():
            _positive_ints(self.mapping, "mapping")
        _positive_ints((self.latent_dim, self.features, self.embedding_dim), "latent_dim, features, embedding_dim")
        _require(self.num_classes is None or (type(self.num_classes) is int and self.num_classes > 0),
                 f"num_classes must be null or a positive whole number, not {quoted(self.num_classes)}")
        _require(0 <= self.leak < 1, f"leak must be in [0, 1), not {quoted(self.leak)}")
        _check_codes(self)
        factor = 2 ** (len(self.generator_channels) - 1)
        _require(self.shape[1] % factor == 0,
                 f"an image size of {self.shape[1]} is not divisible by {factor}, as {len(self.generator_channels)} "
                 f"generator channels need")

    @property
    def base_size(self) -> int:
        return self.shape[1] // 2 ** (len(self.generator_channels) - 1)

    @property
    def widest(self) -> int:
        """Numbers of one sample in the widest layer of both networks."""
        growing = [channels * (self.base_size * 2**i) ** 2 for i, channels in enumerate(self.generator_channels)]
        shrinking = [channels * math.ceil(self.shape[1] / 2**i) ** 2
                     for i, channels in enumerate((self.shape[0], *self.discriminator_channels))]
        return max(self.latent_dim, self.embedding_dim, self.features, *self.mapping, *growing, *shrinking)

    def fitted(self, shape: tuple[int, int, int], num_classes: int | None) -> "DCGAN":
        """These networks for images of another shape and, where they take classes, for so many of them.

        The generator's first map is of 4 to 8 pixels, the discriminator's last of at most 4; doublings and halvings
        that this adds have the channels of the widest map. Raises ValueError for a size that no doubling reaches, and
        where classes are wanted and there are none.
        """
        size = shape[1]
        doublings = next((n for n in range(1, 8) if size % 2**n == 0 and 4 <= size // 2**n <= 8), 0)
        _require(doublings > 0, f"images of {size} pixels cannot be had by doubling a map of 4 to 8 pixels; sizes that "
                                f"can are 28, 32, 48, 64, 96 and 128, among others")
        _require(not self.num_classes or bool(num_classes), "these networks learn classes, and the data have none: put "
                 "the images of each class into a subfolder of its own, or train networks without classes")
        halvings = math.ceil(math.log2(size / 4))
        return replace(self, shape=tuple(shape), num_classes=num_classes if self.num_classes else None,
                       generator_channels=_widest_again(self.generator_channels[::-1], doublings + 1)[::-1],
                       discriminator_channels=_widest_again(self.discriminator_channels, halvings))

    def generator(self) -> nn.Module:
        return DCGANGenerator(self)

    def discriminator(self) -> nn.Module:
        return DCGANDiscriminator(self)


def _widest_again(channels: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The first `count` of some channels, the last of them repeated where there are fewer."""
    return (channels + channels[-1:] * count)[:count]


Architecture = MLP | DCGAN

ARCHITECTURES: dict[str, Architecture] = {
    "mlp-gan": MLP(
        shape=(1, 28, 28),
        latent_dim=100,
        generator_widths=(256, 512, 1024),
        discriminator_widths=(2048, 1024, 512, 256),
        dropout=0.3,
    ),
    "dcgan": DCGAN(
        shape=(1, 28, 28),
        latent_dim=100,
        generator_channels=(128, 64, 32),
        discriminator_channels=(32, 64, 128),
    ),
    "cdcgan": DCGAN(
        shape=(1, 28, 28),
        latent_dim=100,
        generator_channels=(128, 64, 32),
        discriminator_channels=(32, 64, 128),
        num_classes=10,
    ),
    "toy-gaussian": MLP(
        shape=(1,),
        latent_dim=20,
        generator_widths=(32, 32),
        discriminator_widths=(32, 64, 32),
        bounded=False,
    ),
    "toy-sine": MLP(
        shape=(2,),
        latent_dim=2,
        generator_widths=(16, 32),
        discriminator_widths=(256, 128, 64),
        dropout=0.3,
        bounded=False,
    ),
    "toy-ring": MLP(
        shape=(2,),
        latent_dim=2,
        generator_widths=(256, 256, 256, 256, 256),
        discriminator_widths=(128, 128, 128),
        leak=0.2,
        bounded=False,
    ),
    "toy-grid": MLP(
        shape=(2,),
        latent_dim=2,
        generator_widths=(256, 256, 256, 256, 256),
        discriminator_widths=(128, 128, 128),
        leak=0.2,
        bounded=False,
    ),
}


def describe(name: str, architecture: Architecture) -> dict:
    """A JSON-ready dict from which `rebuild` makes the same architecture again."""
    return {"name": name, **asdict(architecture)}


def rebuild(description: dict) -> Architecture:
    """The architecture that `describe` wrote down. Raises ValueError saying which name or field is not one of ours.

    A field that came later than the description has its default, which leaves the networks as they were.
    """
    _require(isinstance(description, dict), f"an architecture must be a table of fields, not {quoted(description)}")
    values = dict(description)
    name = values.pop("name", None)
    _require(isinstance(name, str) and name in ARCHITECTURES,
             f"unknown architecture {quoted(name)}; known: {', '.join(ARCHITECTURES)}")
    kind = type(ARCHITECTURES[name])
    foreign = sorted(set(values) - {field.name for field in fields(kind)})
    _require(not foreign, f"architecture {name} has no field {listed(foreign)}")
    missing = sorted({field.name for field in fields(kind) if field.default is MISSING} - set(values))
    _require(not missing, f"architecture {name} lacks the field {listed(missing)}")
    try:
        return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
    except TypeError as error:
        raise ValueError(f"architecture {name} has a field of the wrong type: {error}") from None


def count_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


_cudnn = threading.Lock()  # cuDNN's settings are the whole process's, and pages compute in threads


@contextmanager
def exact_convolutions(device: torch.device) -> Iterator[None]:
    """On CUDA one fixed algorithm in float32: cuDNN's default, TensorFloat-32, is off by about 1e-3."""
    if device.type != "cuda":
        yield
        return
    with _cudnn, torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield
