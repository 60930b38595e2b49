"""Frozen dataclasses that describe networks and build them, and the table of those that ganlib ships.

An architecture of your own is a frozen dataclass with the members of `Architecture`, of which it may be a subclass; the
decorator `@register("its-kind")` makes it available to training, saving and loading.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import Field, asdict, dataclass, replace
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ganlib.checks import check_fields, check_float, check_int, quoted, require
from ganlib.networks import (
    COUPLING_WIDTH,
    DCGANDiscriminator,
    DCGANEncoder,
    DCGANGenerator,
    Encoder,
    MLPDiscriminator,
    MLPGenerator,
)

MOST_LAYERS = 32  # of one kind
MOST_WIDTH = 2**16  # of one layer: a foreign config must not be able to use up the memory
MOST_DOUBLINGS = 7  # of the first map of a fitted DCGAN
FIRST_SIDE = range(4, 9)  # pixels of the shorter side of that map
LONGEST = 4  # times the shorter side: the longer side of an image, at most; a longer first map has too many weights
DIGIT_CLASSIFIER = "digit-classifier"  # the name of the classifier that measures digits


class Architecture(ABC):
    """What training, models and files need of an architecture. Any class with the same members works as well."""

    kind: ClassVar[str]  # the name it is registered by
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # subclasses are frozen dataclasses
    shape: tuple[int, ...]  # of one sample
    latent_dim: int  # numbers in a latent
    num_classes: int | None = None  # classes that both networks take, None for none

    @property
    @abstractmethod
    def widest(self) -> int:
        """Numbers of one sample in the widest layer of all networks, which limits the batch size of sampling."""

    @abstractmethod
    def generator(self) -> nn.Module: ...

    def discriminator(self) -> nn.Module | None:
        """None for a model that has none."""
        return None

    def encoder(self) -> Encoder | None:
        """None for a model that has none."""
        return None

    def fitted(self, shape: tuple[int, ...], num_classes: int | None) -> Self:
        """The same for data of another shape and, if it learns classes, another number of them; or a ValueError."""
        return replace(self, shape=tuple(shape))


KINDS: dict[str, type[Any]] = {}  # registered classes by their kind
_Class = TypeVar("_Class", bound=type[Any])


def register(kind: str) -> Callable[[_Class], _Class]:
    """A class decorator that registers an architecture by its kind, which is its name in config.json.

    Raises:
        ValueError: the class is not a frozen dataclass or lacks a member of `Architecture`, or another has this kind.
    """
    def add(cls: _Class) -> _Class:
        settings = getattr(cls, "__dataclass_params__", None)
        require(settings is not None and settings.frozen, f"{cls.__name__} must be a frozen dataclass")
        needed = ("shape", "latent_dim", "num_classes", "widest", "generator", "discriminator", "fitted")
        members = {*dir(cls), *cls.__dataclass_fields__} - getattr(cls, "__abstractmethods__", set())
        lacking = [name for name in needed if name not in members]
        require(not lacking, f"{cls.__name__} lacks {', '.join(lacking)}")
        known = KINDS.get(kind) or cls  # after a reload, or as a program, another object of the same name
        same = len({known.__module__, cls.__module__} - {"__main__"}) < 2 and known.__qualname__ == cls.__qualname__
        require(same, f"architecture {quoted(kind)} is registered already, by {known.__module__}.{known.__qualname__}")
        cls.kind = kind
        KINDS[kind] = cls
        return cls
    return add


def _check_layers(architecture: Architecture, *names: str, least: int = 1) -> None:
    """Raises ValueError unless these fields are lists of widths."""
    for name in names:
        values = getattr(architecture, name)
        require(isinstance(values, tuple) and least <= len(values) <= MOST_LAYERS,
                f"{name} must be a list of {least} to {MOST_LAYERS} whole numbers, not {quoted(values)}")
        for value in values:
            check_int(value, 1, MOST_WIDTH, f"each of {name}")


def _check_numbers(architecture: "MLP | DCGAN | VAE", *shares: str) -> None:
    """Raises ValueError unless the numbers that all kinds have, and these shares, are in their ranges."""
    check_int(architecture.latent_dim, 1, MOST_WIDTH, "latent_dim")
    for name in ("negative_slope", *shares):
        value = getattr(architecture, name)
        require(0 <= value < 1, f"{name} must be in [0, 1), not {quoted(value)}")


def _check_choices(architecture: "MLP | DCGAN") -> None:
    check_int(architecture.choices, 0, architecture.latent_dim - 1, "choices, fewer than latent_dim,")
    check_float(architecture.sharpness, 0, math.inf, "sharpness", above=True)


def _check_sides(architecture: "DCGAN | VAE") -> None:
    """Raises ValueError unless the shape is of images whose sides the generator's doublings reach."""
    require(len(architecture.shape) == 3, f"shape must be (channels, height, width), not {quoted(architecture.shape)}")
    factor = 2 ** (len(architecture.generator_channels) - 1)
    for side in architecture.shape[1:]:
        require(side % factor == 0, f"an image side of {side} pixels is not divisible by {factor}, as "
                                    f"{len(architecture.generator_channels)} generator channels need")


def _widest_map(shape: tuple[int, ...], growing: tuple[int, ...], shrinking: tuple[int, ...]) -> int:
    """Numbers in the largest map of networks of convolutions.

    Args:
        shape: of an image.
        growing: channels of the generator, from the smallest map to the largest.
        shrinking: channels of the discriminator or encoder, from the largest map to the smallest.
    """
    image_channels, *sides = shape
    return max(*(channels * math.prod(side >> i for side in sides) for i, channels in enumerate(reversed(growing))),
               *(channels * math.prod(math.ceil(side / (1 << i)) for side in sides)
                 for i, channels in enumerate((image_channels, *shrinking))))


def _fitted_channels(shape: tuple[int, ...], growing: tuple[int, ...],
                     shrinking: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Both lists of channels, as in `_widest_map`, for images of another shape.

    The generator's first map has 4 to 8 pixels on its shorter side and at most 4 times as many on its longer side, the
    other network's last map has at most 4 on both. Maps that this adds have the channels of the smallest map.

    Raises:
        ValueError: no doubling reaches the size.
    """
    require(len(shape) == 3, f"these networks make images (channels, height, width), not samples of shape "
                             f"{tuple(shape)}")
    height, width = shape[1:]
    doublings = _doublings(height, width)
    if not doublings:
        raise ValueError(f"{width}x{height} pixels are not a doubling of a map with {FIRST_SIDE[0]} to "
                         f"{FIRST_SIDE[-1]} pixels on its shorter side, and at most {LONGEST} times as many on its "
                         f"longer side; the nearest sizes that are possible: "
                         f"{', '.join(_nearest_sizes(height, width))}")
    return (_lengthened(growing[::-1], doublings + 1)[::-1],
            _lengthened(shrinking, math.ceil(math.log2(max(height, width) / 4))))


@register("mlp")
@dataclass(frozen=True)
class MLP(Architecture):
    """A GAN of fully connected layers (Goodfellow et al. 2014, "Generative adversarial networks").

    Args:
        shape: of one sample.
        latent_dim: numbers in a latent.
        generator_widths, discriminator_widths: of the hidden layers.
        dropout: share of hidden units dropped in the discriminator while training, in [0, 1).
        negative_slope: of the discriminator's LeakyReLU, in [0, 1); 0 for ReLU.
        bounded: whether the generator ends in tanh, so that samples are in [-1, 1].
        choices, sharpness: of the generator's `ganlib.networks.SoftChoice`.
    """

    shape: tuple[int, ...]
    latent_dim: int
    generator_widths: tuple[int, ...]
    discriminator_widths: tuple[int, ...]
    dropout: float = 0.0
    negative_slope: float = 0.0
    bounded: bool = True
    choices: int = 0
    sharpness: float = 1.0

    def __post_init__(self) -> None:
        _check_layers(self, "shape", "generator_widths", "discriminator_widths")
        _check_numbers(self, "dropout")
        _check_choices(self)

    @property
    def widest(self) -> int:
        return max(self.latent_dim, math.prod(self.shape), *self.generator_widths, *self.discriminator_widths)

    def generator(self) -> nn.Module:
        return MLPGenerator(self.shape, self.latent_dim, self.generator_widths, self.bounded, self.choices,
                            self.sharpness)

    def discriminator(self) -> nn.Module:
        return MLPDiscriminator(self.shape, self.discriminator_widths, self.dropout, self.negative_slope)


@register("dcgan")
@dataclass(frozen=True)
class DCGAN(Architecture):
    """A GAN of convolutions (Radford et al. 2016, "Unsupervised representation learning with DCGANs").

    Args:
        shape: (channels, height, width); both sides must be divisible by 2 ** (len(generator_channels) - 1).
        latent_dim: numbers in a latent.
        generator_channels: of the generator's maps, from the smallest map to the largest; each doubles the one before.
        discriminator_channels: of the discriminator's maps, from the largest map to the smallest.
        mapping: widths of the generator's linear layers before the first map.
        features: width of the discriminator's hidden linear layer.
        negative_slope: of LeakyReLU, in [0, 1).
        num_classes: number of classes that both networks take, or None.
        embedding_dim: numbers in the generator's embedding of a class.
        choices, sharpness: of the generator's `ganlib.networks.SoftChoice`.
    """

    shape: tuple[int, ...]
    latent_dim: int
    generator_channels: tuple[int, ...]
    discriminator_channels: tuple[int, ...]
    mapping: tuple[int, ...] = ()
    features: int = 256
    negative_slope: float = 0.2
    num_classes: int | None = None
    embedding_dim: int = 32
    choices: int = 0
    sharpness: float = 1.0

    def __post_init__(self) -> None:
        _check_layers(self, "shape", "generator_channels", "discriminator_channels")
        _check_layers(self, "mapping", least=0)
        _check_numbers(self)
        _check_choices(self)
        for name in ("features", "embedding_dim", *(["num_classes"] if self.num_classes is not None else [])):
            check_int(getattr(self, name), 1, MOST_WIDTH, name)
        _check_sides(self)

    @property
    def widest(self) -> int:
        return max(self.latent_dim, self.embedding_dim, self.features, *self.mapping,
                   _widest_map(self.shape, self.generator_channels, self.discriminator_channels))

    def fitted(self, shape: tuple[int, ...], num_classes: int | None) -> Self:
        """The same for images of another shape and, if the networks take classes, another number of them.

        Maps are added or left out, so that the generator's first one has 4 to 8 pixels on its shorter side, and the
        discriminator's last one at most 4 on both.

        Raises:
            ValueError: no doubling reaches the size, or the networks take classes and there are none.
        """
        growing, shrinking = _fitted_channels(shape, self.generator_channels, self.discriminator_channels)
        require(not self.num_classes or bool(num_classes), "these networks learn classes, and the data have none: put "
                "the images of each class into a subfolder of its own, or train networks without classes")
        return replace(self, shape=tuple(shape), num_classes=self.num_classes and num_classes,
                       generator_channels=growing, discriminator_channels=shrinking)

    def generator(self) -> nn.Module:
        return DCGANGenerator(self.shape, self.latent_dim, self.generator_channels, self.mapping, self.negative_slope,
                              self.num_classes, self.embedding_dim, self.choices, self.sharpness)

    def discriminator(self) -> nn.Module:
        return DCGANDiscriminator(self.shape, self.discriminator_channels, self.features, self.negative_slope,
                                  self.num_classes)


@register("vae")
@dataclass(frozen=True)
class VAE(Architecture):
    """A variational autoencoder (Kingma & Welling 2014): an encoder, and a DCGAN's generator as its decoder.

    It has no discriminator. Its samples are the decoder's means.

    Args:
        shape, latent_dim, generator_channels, mapping: as in `DCGAN`.
        encoder_channels: of the encoder's maps, from the largest map to the smallest.
        features: width of the encoder's hidden linear layer.
        negative_slope: of LeakyReLU, in [0, 1).
        couplings: the decoder's `ganlib.networks.CouplingLayers`, 0 for none.
    """

    shape: tuple[int, ...]
    latent_dim: int
    generator_channels: tuple[int, ...]
    encoder_channels: tuple[int, ...]
    mapping: tuple[int, ...] = ()
    features: int = 256
    negative_slope: float = 0.2
    couplings: int = 0

    def __post_init__(self) -> None:
        _check_layers(self, "shape", "generator_channels", "encoder_channels")
        _check_layers(self, "mapping", least=0)
        _check_numbers(self)
        check_int(self.features, 1, MOST_WIDTH, "features")
        check_int(self.couplings, 0, MOST_LAYERS, "couplings")
        require(self.latent_dim > 1 or not self.couplings, "couplings need a latent_dim of at least 2")
        _check_sides(self)

    @property
    def widest(self) -> int:
        return max(2 * self.latent_dim, self.features, *self.mapping, *([COUPLING_WIDTH] if self.couplings else []),
                   _widest_map(self.shape, self.generator_channels, self.encoder_channels))

    def fitted(self, shape: tuple[int, ...], num_classes: int | None) -> Self:
        """The same for images of another shape; see `DCGAN.fitted`. Classes are not learned."""
        growing, shrinking = _fitted_channels(shape, self.generator_channels, self.encoder_channels)
        return replace(self, shape=tuple(shape), generator_channels=growing, encoder_channels=shrinking)

    def generator(self) -> nn.Module:
        return DCGANGenerator(self.shape, self.latent_dim, self.generator_channels, self.mapping, self.negative_slope,
                              couplings=self.couplings)

    def encoder(self) -> Encoder:
        return DCGANEncoder(self.shape, self.latent_dim, self.encoder_channels, self.features, self.negative_slope)


def _doublings(height: int, width: int) -> int:
    """How often the first map of a DCGAN is doubled to make images of that size; 0 where it cannot make them."""
    short, long = sorted((height, width))
    return next((n for n in range(1, MOST_DOUBLINGS + 1)
                 if short % 2**n == 0 and long % 2**n == 0 and short >> n in FIRST_SIDE and long <= LONGEST * short), 0)


def _nearest_sizes(height: int, width: int, count: int = 2) -> list[str]:
    """The sizes "WIDTHxHEIGHT" that a DCGAN can make and that differ least from this one; square ones for a square."""
    sides = [(short << n, long << n) for n in range(1, MOST_DOUBLINGS + 1) for short in FIRST_SIDE
             for long in range(short, LONGEST * short + 1)]
    possible = {size for side in sides for size in (side, side[::-1]) if height != width or size[0] == size[1]}
    nearest = sorted(possible, key=lambda size: (abs(size[0] - width) + abs(size[1] - height), size))
    return [f"{w}x{h}" for w, h in nearest[:count]]


def _lengthened(channels: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The first `count` of some channels, the last of them repeated where there are fewer."""
    return (channels + channels[-1:] * count)[:count]


_MLP_GAN = MLP(shape=(1, 28, 28), latent_dim=100, generator_widths=(256, 512, 1024),
               discriminator_widths=(2048, 1024, 512, 256))
_DCGAN = DCGAN(shape=(1, 28, 28), latent_dim=100, generator_channels=(128, 64, 32),
               discriminator_channels=(64, 128, 256), mapping=(256, 256))
# wider maps, for which the mapping pays: fewer parameters, more than twice the work
_WIDE_DCGAN = replace(_DCGAN, generator_channels=(160, 128, 64), mapping=(128, 128))
_PLANE = MLP(shape=(2,), latent_dim=2, generator_widths=(256, 256, 256, 256, 256),
             discriminator_widths=(128, 128, 128), negative_slope=0.2, bounded=False)

ARCHITECTURES: dict[str, Architecture] = {
    "mlp-gan": replace(_MLP_GAN, choices=32, sharpness=25.0),
    "mlp-gan-classic": replace(_MLP_GAN, dropout=0.3),
    "dcgan": replace(_DCGAN, choices=48, sharpness=20.0),
    "cdcgan": replace(_WIDE_DCGAN, num_classes=10),
    "cdcgan-fast": replace(_DCGAN, generator_channels=(96, 48, 24), discriminator_channels=(24, 48, 96), mapping=(64,),
                           num_classes=10),
    "vae": VAE(shape=(1, 28, 28), latent_dim=32, generator_channels=_DCGAN.generator_channels,
               encoder_channels=_DCGAN.discriminator_channels, mapping=_DCGAN.mapping, couplings=6),
    "stacked-mnist": replace(_WIDE_DCGAN, shape=(3, 28, 28)),
    "toy-gaussian": MLP(shape=(1,), latent_dim=20, generator_widths=(32, 32), discriminator_widths=(32, 64, 32),
                        bounded=False),
    "toy-sine": MLP(shape=(2,), latent_dim=2, generator_widths=(16, 32), discriminator_widths=(256, 128, 64),
                    bounded=False),
    "toy-ring": replace(_PLANE, generator_widths=(96,) * 7),  # narrow and deep: few samples fall between modes
    "toy-grid": _PLANE,
}


def describe(architecture: Architecture) -> dict[str, Any]:
    """A JSON-ready dict from which `rebuild` makes the same architecture."""
    return {"kind": architecture.kind, **asdict(architecture)}


def rebuild(description: Any) -> Architecture:
    """The architecture that `describe` described. Fields that the description lacks have their defaults.

    Raises ValueError if the kind is not registered, or a field is unknown, missing or wrong.
    """
    require(isinstance(description, dict), f"an architecture must be a table of fields, not {quoted(description)}")
    values = dict(description)
    if "kind" not in values and isinstance(values.get("name"), str) and values["name"] in ARCHITECTURES:
        values = _of_version_0(values)
    kind = values.pop("kind", None)
    require(isinstance(kind, str) and kind in KINDS,
            f"unknown architecture {quoted(kind)}; known: {', '.join(KINDS)}, and what GANLIB_IMPORT registers")
    check_fields(values, KINDS[kind], f"architecture {kind}")
    try:
        architecture: Architecture = KINDS[kind](**{key: _tuples(value) for key, value in values.items()})
    except TypeError as error:
        raise ValueError(f"architecture {kind} has a field of the wrong type: {error}") from None
    return architecture


def _tuples(value: Any) -> Any:
    """A JSON value with tuples in place of its lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _of_version_0(values: dict[str, Any]) -> dict[str, Any]:
    """The present form of a description by ganlib before 1.0, whose latents had a one-hot part."""
    now = {"leak": "negative_slope", "codes": "choices"}
    values = {"kind": ARCHITECTURES[values.pop("name")].kind, **{now.get(key, key): values[key] for key in values}}
    return {**values, "sharpness": 1_000.0} if values.get("choices") else values


_RANDOM_IN_PLACE = {Tensor.normal_, Tensor.uniform_, Tensor.bernoulli_, Tensor.random_, Tensor.exponential_,
                    Tensor.geometric_, Tensor.cauchy_, Tensor.log_normal_,
                    nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_}
_RANDOM_NEW = {torch.randn, torch.rand, torch.randint, torch.randperm, torch.normal, torch.bernoulli,
               torch.multinomial}
_RANDOM_LIKE = {torch.randn_like: Tensor.normal_, torch.rand_like: Tensor.uniform_}
_FLOATS = {torch.empty, torch.zeros, torch.ones, torch.eye, torch.linspace, torch.randn, torch.rand}


class _InitialValues(TorchFunctionMode):
    """While active, in this thread: new tensors are float32, and random values are drawn from `rng`.

    Modules of torch draw their initial weights from the process's generator, which threads share; a mode belongs to one
    thread. Without `rng`, random values are skipped, for networks whose weights are about to be loaded.
    """

    def __init__(self, rng: torch.Generator | None):
        super().__init__()
        self.rng = rng

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _RANDOM_LIKE:
            return self.__torch_function__(_RANDOM_LIKE[func], types, (torch.empty_like(*args, **kwargs),))
        if func in _RANDOM_IN_PLACE:
            if self.rng is None:
                return args[0] if args else kwargs["tensor"]
            if kwargs.get("generator") is None:
                kwargs["generator"] = self.rng
        elif func in _RANDOM_NEW and kwargs.get("generator") is None:
            kwargs["generator"] = self.rng or torch.Generator()
        if func in _FLOATS:
            kwargs["dtype"] = kwargs.get("dtype") or torch.float32
        return func(*args, **kwargs)


def build(architecture: Architecture, rng: torch.Generator | None) -> tuple[nn.Module, nn.Module | None]:
    """Generator and discriminator (None where there is none), float32 on the CPU.

    Args:
        rng: draws the initial weights, of any module of torch; the process's random state is not touched. None leaves
            weights uninitialised.
    """
    with _initial_values(rng):
        generator, discriminator = architecture.generator(), architecture.discriminator()
        return generator.float(), None if discriminator is None else discriminator.float()


def build_encoder(architecture: Architecture, rng: torch.Generator | None) -> Encoder | None:
    """The encoder, float32 on the CPU; None where there is none. `rng` as in `build`."""
    with _initial_values(rng):
        # classes registered from outside may be older than encoders
        encoder: Encoder | None = getattr(architecture, "encoder", lambda: None)()
        return None if encoder is None else encoder.float()


@contextmanager
def _initial_values(rng: torch.Generator | None) -> Iterator[None]:
    with torch.inference_mode(False), torch.device("cpu"), _InitialValues(rng):
        yield
