"""Frozen dataclasses that describe networks and build them, and the table of those that ganlib ships.

An architecture of your own is a frozen dataclass with the fields `shape` and `latent_dim`, and the members of
`Architecture`; the decorator `@register("its-kind")` makes it available to training, saving and loading.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass, replace
from typing import ClassVar, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ganlib.checks import check_float, check_int, listed, quoted, require
from ganlib.networks import DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator

MOST_LAYERS = 32  # of one kind
MOST_WIDTH = 2**16  # of one layer: a config from elsewhere must not ask for all of the memory


class Architecture(Protocol):
    """What training, models and files need to know of an architecture."""

    kind: ClassVar[str]  # the name it is registered by
    shape: tuple[int, ...]  # of one sample
    num_classes: int | None  # classes both networks take, None for none
    latent_dim: int  # numbers in a latent

    @property
    def widest(self) -> int:
        """Numbers of one sample in the widest layer of both networks: it limits how many are computed at once."""
        ...

    def generator(self) -> nn.Module: ...

    def discriminator(self) -> nn.Module | None:
        """None for a model that has none."""
        ...

    def fitted(self, shape: tuple[int, ...], num_classes: int | None) -> "Architecture":
        """The same for data of another shape and number of classes. Raises ValueError where that cannot be."""
        ...


KINDS: dict[str, type] = {}  # registered classes by their kind
_Class = TypeVar("_Class", bound=type)


def register(kind: str) -> Callable[[_Class], _Class]:
    """A class decorator that registers an architecture by its kind, which config.json names it by.

    Raises:
        ValueError: the class is no frozen dataclass, or lacks a member of `Architecture`.
    """
    def add(cls: _Class) -> _Class:
        require(is_dataclass(cls) and cls.__dataclass_params__.frozen, f"{cls.__name__} must be a frozen dataclass")
        needed = ("shape", "latent_dim", "num_classes", "widest", "generator", "discriminator", "fitted")
        lacking = [name for name in needed if name not in {*dir(cls), *(field.name for field in fields(cls))}]
        require(not lacking, f"{cls.__name__} lacks {', '.join(lacking)}")
        cls.kind = kind
        KINDS[kind] = cls
        return cls
    return add


def _check_sizes(values, what: str) -> None:
    require(isinstance(values, tuple) and 0 < len(values) <= MOST_LAYERS,
            f"{what} must be a list of 1 to {MOST_LAYERS} whole numbers, not {quoted(values)}")
    for value in values:
        check_int(value, 1, MOST_WIDTH, f"each of {what}")


def _check_choice(choices, sharpness, latent_dim: int) -> None:
    check_int(choices, 0, latent_dim - 1, "choices, fewer than latent_dim,")
    check_float(sharpness, 0, math.inf, "sharpness", above=True)


@register("mlp")
@dataclass(frozen=True)
class MLP:
    """A GAN of fully connected layers (Goodfellow et al. 2014, "Generative adversarial networks").

    Args:
        shape: of one sample.
        latent_dim: numbers in a latent.
        generator_widths, discriminator_widths: of the hidden layers.
        dropout: share of hidden units dropped in the discriminator while training, in [0, 1).
        negative_slope: of the discriminator's LeakyReLU, in [0, 1); 0 for ReLU.
        bounded: whether samples end in tanh, in [-1, 1].
        choices, sharpness: the soft choice at the start of the generator, see `ganlib.networks.SoftChoice`.
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

    num_classes = None

    def __post_init__(self):
        _check_sizes(self.shape, "shape")
        _check_sizes(self.generator_widths, "generator_widths")
        _check_sizes(self.discriminator_widths, "discriminator_widths")
        check_int(self.latent_dim, 1, MOST_WIDTH, "latent_dim")
        require(0 <= self.dropout < 1, f"dropout must be in [0, 1), not {quoted(self.dropout)}")
        require(0 <= self.negative_slope < 1, f"negative_slope must be in [0, 1), not {quoted(self.negative_slope)}")
        _check_choice(self.choices, self.sharpness, self.latent_dim)

    @property
    def widest(self) -> int:
        return max(self.latent_dim, math.prod(self.shape), *self.generator_widths, *self.discriminator_widths)

    def fitted(self, shape: tuple[int, ...], num_classes: int | None) -> "MLP":
        """These networks for samples of another shape; classes that the data may have are not learnt."""
        return replace(self, shape=tuple(shape))

    def generator(self) -> nn.Module:
        return MLPGenerator(self.shape, self.latent_dim, self.generator_widths, self.bounded, self.choices,
                            self.sharpness)

    def discriminator(self) -> nn.Module:
        return MLPDiscriminator(self.shape, self.discriminator_widths, self.dropout, self.negative_slope)


@register("dcgan")
@dataclass(frozen=True)
class DCGAN:
    """A GAN of convolutions (Radford et al. 2016, "Unsupervised representation learning with DCGANs").

    Args:
        shape: (channels, size, size); size must be divisible by 2 for each doubling, of which there is one less than
            there are generator_channels.
        latent_dim: numbers in a latent.
        generator_channels: of the generator's maps, from the smallest on.
        discriminator_channels: of the discriminator's maps, from the largest on.
        mapping: widths of linear layers that latents go through first.
        features: width of the discriminator's hidden linear layer.
        negative_slope: of LeakyReLU, in [0, 1).
        num_classes: None, or the number of classes both networks take.
        embedding_dim: numbers that the generator appends to its latent for the class.
        choices, sharpness: the soft choice at the start of the generator, see `ganlib.networks.SoftChoice`.
    """

    shape: tuple[int, int, int]
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

    def __post_init__(self):
        _check_sizes(self.shape, "shape")
        require(len(self.shape) == 3 and self.shape[1] == self.shape[2],
                f"shape must be (channels, size, size), not {quoted(self.shape)}")
        _check_sizes(self.generator_channels, "generator_channels")
        _check_sizes(self.discriminator_channels, "discriminator_channels")
        if self.mapping != ():
            _check_sizes(self.mapping, "mapping")
        for name in ("latent_dim", "features", "embedding_dim"):
            check_int(getattr(self, name), 1, MOST_WIDTH, name)
        if self.num_classes is not None:
            check_int(self.num_classes, 1, MOST_WIDTH, "num_classes")
        require(0 <= self.negative_slope < 1, f"negative_slope must be in [0, 1), not {quoted(self.negative_slope)}")
        _check_choice(self.choices, self.sharpness, self.latent_dim)
        factor = 2 ** (len(self.generator_channels) - 1)
        require(self.shape[1] % factor == 0,
                f"an image size of {self.shape[1]} is not divisible by {factor}, as {len(self.generator_channels)} "
                f"generator channels need")

    @property
    def widest(self) -> int:
        base = self.shape[1] // 2 ** (len(self.generator_channels) - 1)
        growing = [channels * (base * 2**i) ** 2 for i, channels in enumerate(self.generator_channels)]
        shrinking = [channels * math.ceil(self.shape[1] / 2**i) ** 2
                     for i, channels in enumerate((self.shape[0], *self.discriminator_channels))]
        return max(self.latent_dim, self.embedding_dim, self.features, *self.mapping, *growing, *shrinking)

    def fitted(self, shape: tuple[int, int, int], num_classes: int | None) -> "DCGAN":
        """These networks for images of another shape and, where they take classes, for so many of them.

        The generator's first map is of 4 to 8 pixels, the discriminator's last of at most 4; doublings and halvings
        that this adds have the channels of the widest map.

        Raises:
            ValueError: no doubling reaches the size, or the networks take classes and there are none.
        """
        require(len(shape) == 3 and shape[1] == shape[2],
                f"these networks make square images (channels, size, size), not samples of shape {tuple(shape)}")
        size = shape[1]
        doublings = next((n for n in range(1, 8) if size % 2**n == 0 and 4 <= size // 2**n <= 8), 0)
        require(doublings > 0, f"images of {size} pixels cannot be had by doubling a map of 4 to 8 pixels; sizes that "
                               f"can are 28, 32, 48, 64, 96 and 128, among others")
        require(not self.num_classes or bool(num_classes), "these networks learn classes, and the data have none: put "
                "the images of each class into a subfolder of its own, or train networks without classes")
        halvings = math.ceil(math.log2(size / 4))
        return replace(self, shape=tuple(shape), num_classes=num_classes if self.num_classes else None,
                       generator_channels=_lengthened(self.generator_channels[::-1], doublings + 1)[::-1],
                       discriminator_channels=_lengthened(self.discriminator_channels, halvings))

    def generator(self) -> nn.Module:
        return DCGANGenerator(self.shape, self.latent_dim, self.generator_channels, self.mapping, self.negative_slope,
                              self.num_classes, self.embedding_dim, self.choices, self.sharpness)

    def discriminator(self) -> nn.Module:
        return DCGANDiscriminator(self.shape, self.discriminator_channels, self.features, self.negative_slope,
                                  self.num_classes)


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
    "stacked-mnist": replace(_WIDE_DCGAN, shape=(3, 28, 28)),
    "toy-gaussian": MLP(shape=(1,), latent_dim=20, generator_widths=(32, 32), discriminator_widths=(32, 64, 32),
                        bounded=False),
    "toy-sine": MLP(shape=(2,), latent_dim=2, generator_widths=(16, 32), discriminator_widths=(256, 128, 64),
                    bounded=False),
    "toy-ring": _PLANE,
    "toy-grid": _PLANE,
}


def describe(architecture: Architecture) -> dict:
    """A JSON-ready dict from which `rebuild` makes the same architecture again."""
    return {"kind": architecture.kind, **asdict(architecture)}


def rebuild(description: dict) -> Architecture:
    """The architecture that `describe` wrote down. A field that came later than the description has its default.

    Raises:
        ValueError: which kind is not registered, or which field is foreign, missing or wrong.
    """
    require(isinstance(description, dict), f"an architecture must be a table of fields, not {quoted(description)}")
    values = dict(description)
    if "kind" not in values and isinstance(values.get("name"), str) and values["name"] in ARCHITECTURES:
        values = _of_version_0(values)
    kind = values.pop("kind", None)
    require(isinstance(kind, str) and kind in KINDS,
            f"unknown architecture {quoted(kind)}; known: {', '.join(KINDS)}, and what GANLIB_IMPORT registers")
    cls = KINDS[kind]
    foreign = sorted(set(values) - {field.name for field in fields(cls)})
    require(not foreign, f"architecture {kind} has no field {listed(foreign)}")
    missing = sorted({field.name for field in fields(cls)
                      if field.default is MISSING and field.default_factory is MISSING} - set(values))
    require(not missing, f"architecture {kind} lacks the field {listed(missing)}")
    try:
        return cls(**{key: _tuples(value) for key, value in values.items()})
    except TypeError as error:
        raise ValueError(f"architecture {kind} has a field of the wrong type: {error}") from None


def _tuples(value):
    """A JSON value with tuples in place of its lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _of_version_0(values: dict) -> dict:
    """A description by ganlib before 1.0, whose latents were partly one-hot: a choice that is as sharp."""
    values = {"kind": ARCHITECTURES[values.pop("name")].kind, **values}
    for before, now in (("leak", "negative_slope"), ("codes", "choices")):
        if before in values:
            values[now] = values.pop(before)
    return {**values, "sharpness": 1_000.0} if values.get("choices") else values


_RANDOM_IN_PLACE = {Tensor.normal_, Tensor.uniform_, Tensor.bernoulli_, Tensor.random_, Tensor.exponential_,
                    Tensor.geometric_, Tensor.cauchy_, Tensor.log_normal_,
                    nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_}
_RANDOM_NEW = {torch.randn, torch.rand, torch.randint, torch.randperm, torch.normal, torch.bernoulli,
               torch.multinomial}
_RANDOM_LIKE = {torch.randn_like: Tensor.normal_, torch.rand_like: Tensor.uniform_}
_FLOATS = {torch.empty, torch.zeros, torch.ones, torch.eye, torch.linspace, torch.randn, torch.rand}


class _InitialValues(TorchFunctionMode):
    """In this thread, meanwhile: new tensors are float32 on the CPU, random ones are drawn from `rng`, or not at all.

    The modules of torch draw their initial weights from the process's own generator, which threads share; a mode
    belongs to one thread. Without `rng` random values are left out, for networks whose weights are about to be loaded.
    """

    def __init__(self, rng: torch.Generator | None):
        super().__init__()
        self.rng = rng

    def __torch_function__(self, func, types, args=(), kwargs=None):
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
            kwargs["device"] = kwargs.get("device") or "cpu"
        return func(*args, **kwargs)


@contextmanager
def _cpu() -> Iterator[None]:
    with torch.inference_mode(False), torch.device("cpu"):
        yield


def build(architecture: Architecture, rng: torch.Generator | None) -> tuple[nn.Module, nn.Module | None]:
    """Generator and discriminator (None where there is none), float32 on the CPU.

    Their weights are drawn from `rng`, whatever module of torch they consist of, and nothing else in the process is
    touched; None leaves them without values.
    """
    with _cpu(), _InitialValues(rng):
        generator, discriminator = architecture.generator(), architecture.discriminator()
    return generator.float(), None if discriminator is None else discriminator.float()
