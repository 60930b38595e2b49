"""Data to learn from: image sets held in memory, and toy distributions that know their density.

All data keep one contract: `shape` of a sample, `num_classes` (or None), and `batch(n, rng) -> (x, y)` with
x: (n, *shape) float32 and y: (n,) int64 (or None where there are no classes), drawn by the `torch.Generator` given, on
its device. Images are in [-1, 1], toys in their own units. Data know nothing of models.

Of all modules this one alone reaches the network and imports torchvision, when an image set is opened.
"""

import functools
import math
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

IMAGE_SETS = {  # by torchvision's names for them
    "mnist": "MNIST",
    "fashion-mnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "emnist-digits": "EMNIST",
    "qmnist": "QMNIST",
}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


class Data(Protocol):
    """What a training run needs to know of its data."""

    name: str
    shape: tuple[int, ...]
    num_classes: int | None

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor | None]: ...


class ImageData:
    """Images in memory: `images` (N, C, H, W) uint8 and `labels` (N,) int64 or None, on one device.

    class_names: what the classes are called, in order, where they are not just numbers.
    Batches are drawn with replacement, so a run needs no epoch bookkeeping to be resumed.
    """

    def __init__(self, name: str, images: Tensor, labels: Tensor | None, num_classes: int | None,
                 class_names: tuple[str, ...] | None = None):
        if images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
            raise ValueError(f"images must be (N, C, H, W) uint8 with N > 0, not {tuple(images.shape)} {images.dtype}")
        if labels is not None and len(labels) != len(images):
            raise ValueError(f"there are {len(labels)} labels for {len(images)} images")
        self.name = name
        self.images = images
        self.labels = labels
        self.num_classes = num_classes
        self.class_names = class_names
        self.shape = tuple(images.shape[1:])

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> "ImageData":
        """The same data, held on `device`."""
        labels = None if self.labels is None else self.labels.to(device)
        return ImageData(self.name, self.images.to(device), labels, self.num_classes, self.class_names)

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        index = torch.randint(len(self.images), (n,), generator=rng, device=self.images.device)
        return scale(self.images[index]), None if self.labels is None else self.labels[index]


class StackedDigits(ImageData):
    """Three digits drawn at random, as the red, green and blue of one image: a set with 1,000 kinds to miss.

    Metz et al. 2017, "Unrolled generative adversarial networks", section 3.3.1. `images` are the single digits.
    """

    def __init__(self, digits: ImageData):
        super().__init__(f"stacked-{digits.name}", digits.images, None, None)
        self.digits = digits
        self.shape = (3, *digits.shape[1:])

    def to(self, device: torch.device | str) -> "StackedDigits":
        return StackedDigits(self.digits.to(device))

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        index = torch.randint(len(self.images), (n, 3), generator=rng, device=self.images.device)
        return scale(self.images[index].squeeze(2)), None


def scale(images: Tensor) -> Tensor:
    """uint8 pixels to float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1)


@dataclass(frozen=True)
class Gaussian:
    """x ~ N(mean, std²) in one dimension."""

    mean: float = 3.0
    std: float = 2.0

    name = "gaussian"
    shape = (1,)
    num_classes = None

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        return torch.randn(n, 1, generator=rng, device=rng.device).mul_(self.std).add_(self.mean), None

    def density(self, x: Tensor, bandwidth: float = 0.0) -> Tensor:
        """Density at points x: (N, 1), as (N,); where bandwidth > 0, after smoothing by N(0, bandwidth²)."""
        std = math.hypot(self.std, bandwidth)
        return ((x[:, 0] - self.mean) / std).square().mul(-0.5).exp() / (std * math.sqrt(2 * math.pi))

    def quantiles(self, n: int) -> Tensor:
        """The n values (n, 1) that cut the distribution into equal shares, at their middles; ascending."""
        shares = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        return (torch.special.ndtri(shares) * self.std + self.mean).float()[:, None]


@dataclass(frozen=True)
class Sine:
    """Points (x1, sin x1) with x1 ~ U[0, 2π]: a curve in the plane, with no density of its own."""

    name = "sine"
    shape = (2,)
    num_classes = None
    extent = (-0.8, 2 * math.pi + 0.8, -1.8, 1.8)  # where to look at it: x1 from, to; x2 from, to

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        x = torch.rand(n, generator=rng, device=rng.device).mul_(2 * math.pi)
        return torch.stack([x, x.sin()], dim=1), None

    def curve(self, n: int) -> Tensor:
        """n points (n, 2) along the curve, evenly spaced in x1."""
        x = torch.linspace(0, 2 * math.pi, n)
        return torch.stack([x, x.sin()], dim=1)

    def density(self, x: Tensor, bandwidth: float = 0.0) -> Tensor:
        """Density at points x: (N, 2), as (N,), after smoothing by N(0, bandwidth² I).

        The smoothed density is the mean of that Gaussian over the curve, here by the midpoint rule.
        Raises ValueError for a bandwidth of 0: points on a curve have no density.
        """
        if bandwidth <= 0:
            raise ValueError("the sine's points lie on a curve and have no density; give a bandwidth above 0")
        middles = (torch.arange(1024, device=x.device) + 0.5) * (2 * math.pi / 1024)
        curve = torch.stack([middles, middles.sin()], dim=1)
        distance = torch.cdist(x, curve).square()
        return (distance / (-2 * bandwidth**2)).exp().mean(1) / (2 * math.pi * bandwidth**2)


@dataclass(frozen=True)
class Mixture:
    """Equal Gaussians N(centre, std² I) in the plane, known through a fixed set of 100,000 of their points.

    centres: (M, 2). Ring and grid are those of Srivastava et al. 2017 ("VEEGAN") and Lin et al. 2018 ("PacGAN").
    """

    name: str
    centres: tuple[tuple[float, float], ...]
    std: float

    shape = (2,)
    num_classes = None
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

    @functools.cached_property
    def _held(self) -> dict[torch.device, Tensor]:
        """The training points on each device that has asked for them."""
        return {}

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """n fresh points (n, 2)."""
        centres = torch.tensor(self.centres, device=rng.device)
        index = torch.randint(len(centres), (n,), generator=rng, device=rng.device)
        return centres[index] + self.std * torch.randn(n, 2, generator=rng, device=rng.device)

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        if rng.device not in self._held:
            self._held[rng.device] = self.points.to(rng.device)
        points = self._held[rng.device]
        return points[torch.randint(len(points), (n,), generator=rng, device=rng.device)], None

    def density(self, x: Tensor, bandwidth: float = 0.0) -> Tensor:
        """Density at points x: (N, 2), as (N,); where bandwidth > 0, after smoothing by N(0, bandwidth² I)."""
        variance = self.std**2 + bandwidth**2
        distance = torch.cdist(x, torch.tensor(self.centres, device=x.device)).square()
        return (distance / (-2 * variance)).exp().mean(1) / (2 * math.pi * variance)


RING = Mixture("ring", tuple((math.cos(i * math.pi / 4), math.sin(i * math.pi / 4)) for i in range(8)), 0.01)
GRID = Mixture("grid", tuple((float(x), float(y)) for x in range(-4, 5, 2) for y in range(-4, 5, 2)), 0.05)


def _torchvision_images(set_name: str, train: bool, root: Path) -> tuple[Tensor, Tensor]:
    """Images (N, 28, 28) uint8, upright, and labels (N,) of one of torchvision's MNIST-shaped sets."""
    from torchvision import datasets

    if set_name == "EMNIST":
        found = datasets.EMNIST(root, split="digits", train=train)
        return found.data.transpose(1, 2), found.targets  # EMNIST's files hold each image on its side
    found = getattr(datasets, set_name)(root, train=train)
    labels = found.targets
    return found.data, labels[:, 0] if labels.ndim == 2 else labels  # QMNIST: the first column is the digit


def _download(set_name: str, root: Path) -> None:
    """Fetch one set into `root` whole or not at all: into a folder beside it, whose files are then moved over."""
    from torchvision import datasets

    options = {"split": "digits"} if set_name == "EMNIST" else {}
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as folder:
        for train in (True, False):
            getattr(datasets, set_name)(folder, train=train, download=True, **options)
        (root / set_name).mkdir(exist_ok=True)
        os.replace(Path(folder) / set_name / "raw", root / set_name / "raw")


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class NotDownloaded(ValueError):
    """An image set that would have to be downloaded first."""


def _image_set(name: str, set_name: str) -> Callable[[Path, bool], ImageData]:
    def open_set(root: Path, train: bool, download: bool = True) -> ImageData:
        folder = root / set_name
        if not (folder / "raw").is_dir():
            if not download:
                raise NotDownloaded(f"{name} is not in {folder} yet")
            try:
                _download(set_name, root)
            except (OSError, RuntimeError) as error:
                raise ValueError(f"{name} is not in {folder} and could not be downloaded there "
                                 f"({_in_a_line(error)}); name another folder by --data or GANLIB_DATA") from None
        try:
            images, labels = _torchvision_images(set_name, train, root)
            if not len(images) == len(labels) > 0:
                raise ValueError(f"{len(images)} images, {len(labels)} labels")
        except (OSError, RuntimeError, ValueError, AssertionError, EOFError, IndexError) as error:
            raise ValueError(f"{folder} does not hold a readable {name} ({_in_a_line(error)}); remove it to "
                             f"download it again") from None
        return ImageData(name, images[:, None].contiguous(), labels.long(), 10)

    return open_set


DATASETS: dict[str, Callable[..., Data]] = {  # of (root folder, training part?, download if it is missing?)
    **{name: _image_set(name, set_name) for name, set_name in IMAGE_SETS.items()},
    "stacked-mnist": lambda *how: StackedDigits(DATASETS["mnist"](*how)),
    "gaussian": lambda root, train, download=True: Gaussian(),
    "sine": lambda root, train, download=True: Sine(),
    "ring": lambda root, train, download=True: RING,
    "grid": lambda root, train, download=True: GRID,
}


def default_root() -> Path:
    """Where image sets are kept: GANLIB_DATA if it is set, else `~/.cache/ganlib`."""
    return Path(os.environ.get("GANLIB_DATA") or Path.home() / ".cache" / "ganlib")


def open_data(name: str, where: str | Path | None = None, *, train: bool = True,
              shape: tuple[int, ...] = (1, 28, 28), download: bool = True) -> Data:
    """The data set `name` of DATASETS, or the images that `where` holds.

    where: None for the usual root; the name of another set; a folder of images, which are made `shape`, with a class
    per subfolder where there are subfolders; or a root folder that holds the set or, if it holds other sets or nothing
    yet, is to receive its download. train: the training part of a set that has two.
    Raises ValueError with what was expected, and its subclass NotDownloaded where download is False and needed.
    """
    if where is None or str(where) in DATASETS:
        name, root = str(where or name), default_root()
    else:
        root = Path(where)
        if not root.is_dir():
            raise ValueError(f"no folder {str(where)!r}, and no data set of that name; known: {', '.join(DATASETS)}")
        if not _holds_sets(root) and _holds_images(root):
            return image_folder(root, shape)
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(DATASETS)}, or a folder of images")
    if root != default_root() and not _holds_sets(root) and any(root.iterdir()):
        raise ValueError(f"{root} holds neither {name} nor images ({', '.join(sorted(IMAGE_SUFFIXES))}, in it or in "
                         f"its subfolders); to download into it all the same, name it by GANLIB_DATA")
    return DATASETS[name](root, train, download)


def _holds_sets(root: Path) -> bool:
    """Whether a folder is laid out as torchvision keeps its sets."""
    return any((root / set_name / "raw").is_dir() for set_name in IMAGE_SETS.values())


def _image_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())


def _holds_images(folder: Path) -> bool:
    return bool(_image_files(folder)) or any(_image_files(sub) for sub in folder.iterdir() if sub.is_dir())


def image_folder(folder: Path, shape: tuple[int, ...] = (1, 28, 28)) -> ImageData:
    """The images of a folder, cropped to the middle and resized to `shape` (1 channel: grey, 3: colour).

    Images in subfolders get a class each, by the subfolders' sorted names; images directly in the folder have none.
    Raises ValueError for a folder without images, with both kinds, or with an unreadable image.
    """
    from PIL import Image, ImageOps

    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ValueError(f"images can be made (1 or 3, height, width), but samples of shape {tuple(shape)} are wanted")
    channels, height, width = shape
    mode = "L" if channels == 1 else "RGB"
    folder = Path(folder)
    flat = _image_files(folder)
    classes = [sub for sub in sorted(folder.iterdir()) if sub.is_dir() and _image_files(sub)]
    if flat and classes:
        raise ValueError(f"{folder} holds images both directly and in subfolders; use one or the other")
    files = flat or [path for sub in classes for path in _image_files(sub)]
    if len(files) < 2:
        raise ValueError(f"{folder} holds {len(files) or 'no'} images ({', '.join(sorted(IMAGE_SUFFIXES))}); give 2 or "
                         f"more")

    def read(path: Path) -> Tensor:
        try:
            with Image.open(path) as image:
                image = ImageOps.fit(ImageOps.exif_transpose(image).convert(mode), (width, height),
                                     Image.Resampling.LANCZOS)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path} is not a readable image ({error})") from None
        return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(height, width, channels)

    with ThreadPoolExecutor() as pool:
        images = torch.stack(list(pool.map(read, files))).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor([classes.index(path.parent) for path in files]) if classes else None
    # with a slash, so that no folder's name is taken for a data set's
    names = tuple(sub.name for sub in classes) or None
    return ImageData(f"{folder.resolve().name}/", images, labels, len(classes) or None, names)
