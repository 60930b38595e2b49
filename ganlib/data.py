"""Data to learn from: image sets held in memory, and toy distributions that know their density.

Data know nothing of models. `DATASETS` is a table: `ganlib.DATASETS["mine"] = opener` makes a set of your own available
everywhere; the opener takes (root folder, training part?, download if it is missing?) and returns `Data`.
"""

import functools
import hashlib
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ganlib import metrics, pictures
from ganlib.checks import quoted


class Data(Protocol):
    """What training, evaluation and the page need to know of data."""

    name: str
    shape: tuple[int, ...]  # of one sample
    num_classes: int | None  # None where there are no classes
    class_names: tuple[str, ...] | None  # None where they are called by their numbers
    digits: bool  # whether samples are handwritten digits, which the digit classifier reads
    folder: bool  # whether they are somebody's own pictures, whose name says nothing to others
    evaluation: str  # how a model of them is measured: a name in `ganlib.evaluation.EVALUATIONS`

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """n samples x (n, *shape) float32 and their labels (n,) int64, or None, drawn by `rng`, on its device.

        Images are in [-1, 1], points in their own units.
        """
        ...

    def to(self, device: torch.device | str) -> "Data":
        """The same data, ready to be drawn on `device`."""
        ...

    def held_out(self) -> "Data | None":
        """Samples of the same kind that are not for training, None where there are none."""
        ...

    def for_calibration(self) -> "Data":
        """Samples to calibrate a discriminator on: every other held-out one where there are any, as it remembers those
        it was trained on."""
        ...

    def description(self) -> str:
        """What they are and how many, in a few words."""
        ...

    def fingerprint(self) -> dict:
        """JSON-ready: what tells these data from others of the same name."""
        ...


class ImageData:
    """Images in memory, on one device. Batches are drawn with replacement, so resuming needs no epochs.

    Args:
        name: what the set is called.
        images: (N, C, H, W) uint8.
        labels: (N,) int64, or None.
        num_classes: how many classes there are, or None.
        class_names: what they are called, in order, where they are not just numbers.
        digits: whether the classes are the handwritten digits 0 to 9.
        folder: whether they are a folder of somebody's own pictures.
        held_out: opens the part that is not for training.
    """

    evaluation = "images"

    def __init__(self, name: str, images: Tensor, labels: Tensor | None = None, num_classes: int | None = None,
                 class_names: tuple[str, ...] | None = None, digits: bool = False, folder: bool = False,
                 held_out: "Callable[[], ImageData] | None" = None):
        if images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
            raise ValueError(f"images must be (N, C, H, W) uint8 with N > 0, not {tuple(images.shape)} {images.dtype}")
        if labels is not None and len(labels) != len(images):
            raise ValueError(f"there are {len(labels)} labels for {len(images)} images")
        if num_classes is not None and (labels is None or not 0 <= labels.min() <= labels.max() < num_classes):
            raise ValueError(f"{num_classes} classes need labels from 0 to {num_classes - 1}")
        self.name = name
        self.images = images
        self.labels = labels
        self.num_classes = num_classes
        self.class_names = class_names
        self.digits = digits
        self.folder = folder
        self.shape = tuple(images.shape[1:])
        self._held_out = held_out

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> "ImageData":
        labels = None if self.labels is None else self.labels.to(device)
        return ImageData(self.name, self.images.to(device), labels, self.num_classes, self.class_names, self.digits,
                         self.folder, self._held_out)

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        index = torch.randint(len(self.images), (n,), generator=rng, device=rng.device)
        return scale(self.images[index]), None if self.labels is None else self.labels[index]

    def held_out(self) -> "ImageData | None":
        return self._held_out and self._held_out()

    def for_calibration(self) -> "ImageData":
        held_out = self.held_out()
        return self if held_out is None else held_out[::2]

    def __getitem__(self, places: slice) -> "ImageData":
        """A part of the images."""
        labels = None if self.labels is None else self.labels[places]
        return ImageData(self.name, self.images[places], labels, self.num_classes, self.class_names, self.digits,
                         self.folder)

    def description(self) -> str:
        return f"{len(self):,} images of {'the folder ' if self.folder else ''}{self.name}"

    def fingerprint(self) -> dict:
        digest = hashlib.sha256(self.images.cpu().numpy()).hexdigest()[:16]
        return {"data": self.description(), "images": digest}


class StackedDigits:
    """Three digits drawn at random, as the red, green and blue of one image: a set with 1,000 kinds to miss.

    Metz et al. 2017, "Unrolled generative adversarial networks", section 3.3.1.

    Args:
        singles: images of one digit each, grey.

    Raises:
        ValueError: they are not grey.
    """

    evaluation = "stacked-digits"
    num_classes = None
    class_names = None
    digits = True
    folder = False

    def __init__(self, singles: ImageData):
        if singles.shape[0] != 1:
            raise ValueError(f"only grey images can be stacked, and those of {singles.name} have {singles.shape[0]} "
                             f"channels")
        self.singles = singles
        self.name = f"stacked-{singles.name}"
        self.shape = (3, *singles.shape[1:])

    def to(self, device: torch.device | str) -> "StackedDigits":
        return StackedDigits(self.singles.to(device))

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        images = self.singles.images
        index = torch.randint(len(images), (n, 3), generator=rng, device=rng.device)
        return scale(images[index].squeeze(2)), None

    def held_out(self) -> "StackedDigits | None":
        singles = self.singles.held_out()
        return singles and StackedDigits(singles)

    def for_calibration(self) -> "StackedDigits":
        return StackedDigits(self.singles.for_calibration())

    def description(self) -> str:
        return f"stacks of three of {self.singles.description()}"

    def fingerprint(self) -> dict:
        return {**self.singles.fingerprint(), "data": self.description()}


def scale(images: Tensor) -> Tensor:
    """uint8 pixels to float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1)


class Points:
    """What toy distributions have in common: samples are fresh points, and there is no part to hold out.

    A distribution adds `name`, `shape` and `batch`. The page shows those that have `extent`, `bandwidth`, `truth` and
    `density` too.
    """

    evaluation = "points"
    num_classes = None
    class_names = None
    digits = False
    folder = False
    samples = 100_000  # by which a model is measured

    def to(self, device: torch.device | str) -> "Points":
        return self

    def held_out(self) -> None:
        return None

    def for_calibration(self) -> "Points":
        return self

    def description(self) -> str:
        return f"fresh samples of {self.name}"

    def fingerprint(self) -> dict:
        return {"data": self.description()}

    def curve(self, n: int) -> Tensor | None:
        """n points (n, D) along the curve that all samples lie on, None where there is none."""
        return None

    def distance(self, x: Tensor, real: Tensor) -> float:
        """How far samples x (N, D) are from real ones (N, D): the sliced Wasserstein distance."""
        return metrics.sliced_wasserstein(x, real)

    def measure(self, x: Tensor) -> dict[str, float]:
        """What else is known of samples x (N, D), by the names of metrics.json."""
        return {}


@dataclass(frozen=True)
class Gaussian(Points):
    """x ~ N(mean, std²) in one dimension."""

    mean: float = 3.0
    std: float = 2.0

    name = "gaussian"
    shape = (1,)
    bandwidth = 0.25  # what densities on the page are smoothed by

    @property
    def truth(self) -> str:
        """Where real samples lie, in words."""
        return f"the line is the true density of N({self.mean:g}, {self.std:g}²)"

    @property
    def extent(self) -> tuple[float, float]:
        """Where to look at it: x from, to."""
        return self.mean - 4.5 * self.std, self.mean + 4.5 * self.std

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        return _normal((n, 1), rng).mul_(self.std).add_(self.mean), None

    def density(self, x: Tensor, bandwidth: float = 0.0) -> Tensor:
        """Density at points x: (N, 1), as (N,); where bandwidth > 0, after smoothing by N(0, bandwidth²)."""
        std = math.hypot(self.std, bandwidth)
        return ((x[:, 0] - self.mean) / std).square().mul(-0.5).exp() / (std * math.sqrt(2 * math.pi))

    def quantiles(self, n: int) -> Tensor:
        """The n values (n, 1) that cut the distribution into equal shares, at their middles; ascending."""
        shares = (torch.arange(n, dtype=torch.float64, device="cpu") + 0.5) / n
        return (torch.special.ndtri(shares) * self.std + self.mean).float()[:, None]

    def distance(self, x: Tensor, real: Tensor) -> float:
        """Wasserstein-1 distance of samples x (N, 1) to the exact quantiles."""
        return metrics.wasserstein_1(x, self.quantiles(len(x)))

    def measure(self, x: Tensor) -> dict[str, float]:
        return {"mean": x.mean().item(), "std": x.std().item()}


@dataclass(frozen=True)
class Sine(Points):
    """Points (x1, sin x1) with x1 ~ U[0, 2π]: a curve in the plane, with no density of its own."""

    name = "sine"
    shape = (2,)
    extent = (-0.8, 2 * math.pi + 0.8, -1.8, 1.8)  # where to look at it: x1 from, to; x2 from, to
    bandwidth = 0.12
    truth = "the line is sin x₁, where all real ones lie"

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        x = torch.rand(n, generator=rng, device=rng.device, dtype=torch.float32).mul_(2 * math.pi)
        return torch.stack([x, x.sin()], dim=1), None

    def curve(self, n: int) -> Tensor:
        x = torch.linspace(0, 2 * math.pi, n, dtype=torch.float32, device="cpu")
        return torch.stack([x, x.sin()], dim=1)

    def density(self, x: Tensor, bandwidth: float = 0.0) -> Tensor:
        """Density at points x: (N, 2), as (N,), after smoothing by N(0, bandwidth² I).

        The smoothed density is the mean of that Gaussian over the curve, here by the midpoint rule.

        Raises:
            ValueError: bandwidth is 0; points on a curve have no density.
        """
        if bandwidth <= 0:
            raise ValueError("the sine's points lie on a curve and have no density; give a bandwidth above 0")
        middles = (torch.arange(1024, dtype=torch.float32, device=x.device) + 0.5) * (2 * math.pi / 1024)
        curve = torch.stack([middles, middles.sin()], dim=1)
        distance = torch.cdist(x, curve).square()
        return (distance / (-2 * bandwidth**2)).exp().mean(1) / (2 * math.pi * bandwidth**2)

    def measure(self, x: Tensor) -> dict[str, float]:
        return {"mean_distance_from_sine": (x[:, 1] - x[:, 0].sin()).abs().mean().item(),
                "largest_gap_in_x1": metrics.largest_gap(x[:, 0], 0, 2 * math.pi)}


@dataclass(frozen=True)
class Mixture(Points):
    """Equal Gaussians N(centre, std² I) in the plane, known through a fixed set of 100,000 of their points.

    Ring and grid are those of Srivastava et al. 2017 ("VEEGAN") and Lin et al. 2018 ("PacGAN").

    Args:
        name: what it is called.
        centres: (M, 2).
        std: of each Gaussian.
        bandwidth: what densities on the page are smoothed by.
        truth: where real samples lie, in words.
    """

    name: str
    centres: tuple[tuple[float, float], ...]
    std: float
    bandwidth: float = 0.1
    truth: str = ""
    _held: dict = field(default_factory=dict, compare=False, repr=False)  # the points on each device

    shape = (2,)
    samples = 2_500  # as Lin et al. measure
    POINTS = 100_000

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Where to look at it: x1 from, to; x2 from, to."""
        reach = 1.3 * max(abs(number) for centre in self.centres for number in centre)
        return (-reach, reach, -reach, reach)

    @functools.cached_property
    def points(self) -> Tensor:
        """The training points (100,000, 2), always the same ones."""
        return self.draw(self.POINTS, torch.Generator().manual_seed(0))

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """n fresh points (n, 2)."""
        centres = self._centres(rng.device)
        index = torch.randint(len(centres), (n,), generator=rng, device=rng.device)
        return centres[index] + self.std * _normal((n, 2), rng)

    def _centres(self, device: torch.device) -> Tensor:
        return torch.tensor(self.centres, dtype=torch.float32, device=device)

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        if rng.device not in self._held:
            self._held[rng.device] = self.points.to(rng.device)
        points = self._held[rng.device]
        return points[torch.randint(len(points), (n,), generator=rng, device=rng.device)], None

    def description(self) -> str:
        return f"{self.POINTS:,} points of {self.name}"

    def density(self, x: Tensor, bandwidth: float = 0.0) -> Tensor:
        """Density at points x: (N, 2), as (N,); where bandwidth > 0, after smoothing by N(0, bandwidth² I)."""
        variance = self.std**2 + bandwidth**2
        distance = torch.cdist(x, self._centres(x.device)).square()
        return (distance / (-2 * variance)).exp().mean(1) / (2 * math.pi * variance)

    def measure(self, x: Tensor) -> dict[str, float]:
        return {"centres": len(self.centres), **metrics.modes(x, self._centres(x.device), self.std)}


def _normal(size: tuple[int, ...], rng: torch.Generator) -> Tensor:
    return torch.randn(size, generator=rng, device=rng.device, dtype=torch.float32)


RING = Mixture("ring", tuple((math.cos(i * math.pi / 4), math.sin(i * math.pi / 4)) for i in range(8)), 0.01, 0.06,
               "real ones sit on eight spots of the unit circle, 0.01 wide")
GRID = Mixture("grid", tuple((float(x), float(y)) for x in range(-4, 5, 2) for y in range(-4, 5, 2)), 0.05, 0.2,
               "real ones sit on 25 spots, 0.05 wide")


class NotDownloaded(ValueError):
    """An image set that would have to be downloaded first."""


@dataclass(frozen=True)
class ImageSet:
    """An image set of torchvision.

    Args:
        name: ours.
        set_name: torchvision's class.
        folder: what its files are in, below the root.
        options: of torchvision's class.
        digits: as in `ImageData`.
    """

    name: str
    set_name: str
    folder: str
    options: dict = field(default_factory=dict)
    digits: bool = False

    def __call__(self, root: Path, train: bool = True, download: bool = True) -> ImageData:
        """Open one of its parts.

        Raises:
            NotDownloaded: it is not there, and download is False.
            ValueError: it cannot be downloaded or read.
        """
        folder = root / self.folder
        if not folder.is_dir():
            if not download:
                raise NotDownloaded(f"{self.name} is not in {root} yet")
            try:
                self._download(root)
            except (OSError, RuntimeError) as error:
                raise ValueError(f"{self.name} is not in {root} and could not be downloaded there "
                                 f"({_in_a_line(error)}); name another folder by --data or GANLIB_DATA") from None
        try:
            images, labels = self._read(root, train)
            if not len(images) == len(labels) > 0:
                raise ValueError(f"{len(images)} images, {len(labels)} labels")
        except (OSError, RuntimeError, ValueError, AssertionError, EOFError, IndexError) as error:
            raise ValueError(f"{folder} does not hold a readable {self.name} ({_in_a_line(error)}); remove it to "
                             f"download it again") from None
        return ImageData(self.name, images.contiguous(), labels.long(), 10, digits=self.digits,
                         held_out=functools.partial(self, root, False, download))

    def _download(self, root: Path) -> None:
        """Fetch the set whole or not at all: into a folder beside, whose files are then moved."""
        from torchvision import datasets

        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as temporary:
            for train in (True, False):
                getattr(datasets, self.set_name)(temporary, train=train, download=True, **self.options)
            (root / self.folder).parent.mkdir(exist_ok=True)
            os.replace(Path(temporary) / self.folder, root / self.folder)

    def _read(self, root: Path, train: bool) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) uint8, upright, and labels (N,) of one part."""
        from torchvision import datasets

        found = getattr(datasets, self.set_name)(root, train=train, **self.options)
        images, labels = torch.as_tensor(found.data, device="cpu"), torch.as_tensor(found.targets, device="cpu")
        if self.set_name == "EMNIST":  # its files hold each image on its side
            images = images.transpose(1, 2)
        images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
        return images, labels[:, 0] if labels.ndim == 2 else labels  # QMNIST: the first column is the digit


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


DATASETS: dict[str, Callable[..., Data]] = {
    "mnist": ImageSet("mnist", "MNIST", "MNIST/raw", digits=True),
    "fashion-mnist": ImageSet("fashion-mnist", "FashionMNIST", "FashionMNIST/raw"),
    "kmnist": ImageSet("kmnist", "KMNIST", "KMNIST/raw"),
    "emnist-digits": ImageSet("emnist-digits", "EMNIST", "EMNIST/raw", {"split": "digits"}, digits=True),
    "qmnist": ImageSet("qmnist", "QMNIST", "QMNIST/raw", digits=True),
    "cifar10": ImageSet("cifar10", "CIFAR10", "cifar-10-batches-py"),
    "stacked-mnist": lambda root, train=True, download=True: StackedDigits(DATASETS["mnist"](root, train, download)),
    "gaussian": lambda root, train=True, download=True: Gaussian(),
    "sine": lambda root, train=True, download=True: Sine(),
    "ring": lambda root, train=True, download=True: RING,
    "grid": lambda root, train=True, download=True: GRID,
}


def default_root() -> Path:
    """Where image sets are kept: GANLIB_DATA if it is set, else `~/.cache/ganlib`."""
    return Path(os.environ.get("GANLIB_DATA") or Path.home() / ".cache" / "ganlib")


def open_data(name: str, where: str | Path | None = None, *, train: bool = True,
              shape: tuple[int, ...] = (1, 28, 28), download: bool = True) -> Data:
    """The data set `name` of DATASETS, or the images that `where` holds.

    Args:
        name: in DATASETS.
        where: None for the usual root; the name of another set; a folder of images, with a class per subfolder where
            there are subfolders; or a root folder that holds the set or, if it holds other sets or nothing yet, is to
            receive its download.
        train: the training part of a set that has two.
        shape: (channels, height, width) that a folder's images are made; sets have their own.
        download: whether to download a set that is missing.

    Raises:
        ValueError: what was expected.
        NotDownloaded: a set is missing, and download is False.
    """
    if where is None or where in DATASETS:  # a Path is a folder, whatever it is called
        name, root = where or name, default_root()
    else:
        root = Path(where)
        if not root.is_dir():
            raise ValueError(f"no folder {str(where)!r}, and no data set of that name; known: {', '.join(DATASETS)}")
        if not _holds_sets(root) and pictures.holds_images(root):
            images, labels, names = pictures.read_folder(root, shape)
            return ImageData(root.resolve().name, images, labels, names and len(names), names, folder=True)
    if name not in DATASETS:
        raise ValueError(f"unknown data set {quoted(name)}; known: {', '.join(DATASETS)}, or a folder of images")
    if root != default_root() and not _holds_sets(root) and any(root.iterdir()):
        raise ValueError(f"{root} holds neither {name} nor images ({pictures.SUFFIXES_IN_WORDS}, in it or in its "
                         f"subfolders); to download into it all the same, name it by GANLIB_DATA")
    return DATASETS[name](root, train, download)


def _holds_sets(root: Path) -> bool:
    """Whether a folder is laid out as torchvision keeps its sets."""
    return any((root / opener.folder).is_dir() for opener in DATASETS.values() if isinstance(opener, ImageSet))
