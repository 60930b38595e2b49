"""Data to learn from: image sets held in memory. `ganlib.toys` adds toy distributions with a known density.

Data know nothing of models. `DATASETS` is a table: `ganlib.DATASETS["mine"] = opener` makes your own data available
everywhere; the opener takes (root folder or None for `default_root()`, training part?, download if missing?) and
returns `Data`.
"""

import functools
import hashlib
import math
import os
import struct
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import torch
from torch import Tensor

from ganlib import pictures
from ganlib.checks import needs, quoted, require
from ganlib.devices import check_device
from ganlib.pictures import Reading


class Data(ABC):
    """What training, evaluation and the page need of data.

    A subclass adds `name`, `shape` and `batch`; the rest has defaults. Any class with the same members works as well.
    """

    name: str
    shape: tuple[int, ...]  # of one sample
    num_classes: int | None = None  # None where there are no classes
    class_names: tuple[str, ...] | None = None  # None where classes are named by their numbers
    digits: bool = False  # whether samples are handwritten digits, which the digit classifier can read
    folder: bool = False  # whether they are a user's own images, so that the name means nothing to others
    found: tuple[str, ...] = ()  # sentences that say what was found when they were opened
    evaluation: str = "images"  # how a model of them is measured: a name in `ganlib.evaluation.EVALUATIONS`

    @abstractmethod
    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """n random samples (n, *shape) float32 and their labels (n,) int64, or None, on the device of `rng`.

        Images are in [-1, 1], points in their own units.
        """

    def to(self, device: torch.device | str) -> Self:
        """The same data, for batches on `device`."""
        return self

    def held_out(self) -> "Data | None":
        """Samples of the same kind that are not for training, None where there are none."""
        return None

    def for_calibration(self) -> "Data":
        """Samples to calibrate a discriminator on: half of the held-out ones, if any, as it was not trained on them."""
        return self

    def description(self) -> str:
        """What the data are and how many, in a few words."""
        return f"fresh samples of {self.name}"

    def fingerprint(self) -> dict[str, Any]:
        """JSON-ready: what distinguishes these data from others of the same name."""
        return {"data": self.description()}


@dataclass(frozen=True, eq=False)
class ImageData(Data):
    """Images in memory, on one device. Batches are drawn with replacement, so resuming needs no epochs.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64, or None.
        held_out: opens the part that is not for training; None where there is none.
        name, num_classes, class_names, digits, folder, found: as in `Data`.
    """

    name: str
    images: Tensor
    labels: Tensor | None = None
    num_classes: int | None = None
    class_names: tuple[str, ...] | None = None
    digits: bool = False
    folder: bool = False
    found: tuple[str, ...] = ()
    held_out: Callable[[], "ImageData | None"] = lambda: None
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        images, labels, classes = self.images, self.labels, self.num_classes
        require(images.dtype == torch.uint8 and images.ndim == 4 and len(images) > 0,
                f"images must be (N, C, H, W) uint8 with N > 0, not {tuple(images.shape)} {images.dtype}")
        if labels is not None:
            require(len(labels) == len(images), f"there are {len(labels)} labels for {len(images)} images")
        if classes is not None:
            require(labels is not None and bool(labels.min() >= 0) and bool(labels.max() < classes),
                    f"{classes} classes need labels from 0 to {classes - 1}")
        object.__setattr__(self, "shape", tuple(images.shape[1:]))
        if not callable(self.held_out):
            object.__setattr__(self, "held_out", lambda: None)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice) -> "ImageData":
        """A part of the images, with nothing held out."""
        return self._with(lambda tensor: tensor[part], held_out=None)

    def with_classes(self, names: tuple[str, ...]) -> "ImageData":
        """The same images with the same classes in the order of `names`; unchanged where the classes are others."""
        own = self.class_names
        if own is None or own == names or sorted(own) != sorted(names):
            return self
        order = torch.tensor([names.index(name) for name in own], device=self.images.device)
        return replace(self, labels=order[self.labels], class_names=names)

    def to(self, device: torch.device | str) -> Self:
        device = check_device(device)
        return self._with(lambda tensor: tensor.to(device))

    def _with(self, change: Callable[[Tensor], Tensor], **fields: Any) -> Self:
        labels = None if self.labels is None else change(self.labels)
        return replace(self, images=change(self.images), labels=labels, **fields)

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        index = torch.randint(len(self.images), (n,), generator=rng, device=rng.device)
        return scale(self.images[index]), None if self.labels is None else self.labels[index]

    def for_calibration(self) -> "ImageData":
        held_out = self.held_out()
        return self if held_out is None else held_out[::2]

    def description(self) -> str:
        return f"{len(self):,} images of {'the folder ' if self.folder else ''}{self.name}"

    def fingerprint(self) -> dict[str, Any]:
        return super().fingerprint() | {"images": hashlib.sha256(self.images.cpu().numpy().tobytes()).hexdigest()[:16]}


class StackedDigits(Data):
    """Three random digits as the red, green and blue channels of one image: a set with 1,000 modes.

    Metz et al. 2017, "Unrolled generative adversarial networks", section 3.3.1.

    Args:
        singles: grey images of one digit each.
    """

    digits = True
    evaluation = "stacked-digits"

    def __init__(self, singles: ImageData):
        require(singles.shape[0] == 1,
                f"only grey images can be stacked, and those of {singles.name} have {singles.shape[0]} channels")
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
        return None if singles is None else StackedDigits(singles)

    def for_calibration(self) -> "StackedDigits":
        return StackedDigits(self.singles.for_calibration())

    def description(self) -> str:
        return f"stacks of three of {self.singles.description()}"

    def fingerprint(self) -> dict[str, Any]:
        return self.singles.fingerprint() | super().fingerprint()


def scale(images: Tensor) -> Tensor:
    """uint8 pixels as float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1)


class NotDownloaded(ValueError):
    """An image set would have to be downloaded first."""


@dataclass(frozen=True)
class ImageSet:
    """Opens an image set of torchvision, with 10 classes."""

    name: str  # in `DATASETS`
    set_name: str  # torchvision's class
    folder: str  # of its files, below the root
    options: dict[str, str] = field(default_factory=dict)  # of torchvision's class
    digits: bool = False  # as in `Data`

    def __call__(self, root: Path | None = None, train: bool = True, download: bool = True) -> ImageData:
        """One of its parts.

        Args:
            root: the folder of image sets, None for the default one.
            train: whether to open the training part.
            download: whether to download it if it is missing.

        Raises:
            NotDownloaded: it is missing, and download is False.
            ValueError: it cannot be downloaded or read.
            MissingPackage: torchvision is not installed.
        """
        root = default_root() if root is None else root
        folder = root / self.folder
        if not folder.is_dir() and not download:
            raise NotDownloaded(f"{self.name} is not in {root} yet")
        if not folder.is_dir():
            needs(self.name, "train", "torchvision")
            try:
                self._download(root)
            except (OSError, RuntimeError) as error:
                raise ValueError(f"{self.name} is not in {root} and could not be downloaded there "
                                 f"({_in_a_line(error)}); name another folder by --data or GANLIB_DATA") from None
        try:
            part = self._idx(folder, train) or self._torchvision(root, train)
            images, labels = torch.as_tensor(part.data, device="cpu"), torch.as_tensor(part.targets, device="cpu")
            if self.set_name == "EMNIST":  # its files hold each image transposed
                images = images.transpose(1, 2)
            images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
            labels = labels[:, 0] if labels.ndim == 2 else labels  # QMNIST: the first column is the digit
            names = None if self.digits else tuple(part.classes)
            return ImageData(self.name, images.contiguous(), labels.long(), 10, names, self.digits,
                             held_out=functools.partial(self, root, False, download))
        except (OSError, RuntimeError, ValueError, AssertionError, EOFError, IndexError) as error:
            raise ValueError(f"{folder} does not hold a readable {self.name} ({_in_a_line(error)}); remove it to "
                             f"download it again") from None

    def _download(self, root: Path) -> None:
        """Download both parts into a temporary folder, then move them, so that nothing incomplete is left behind."""
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as temporary:
            for train in (True, False):
                self._torchvision(temporary, train, download=True)
            (root / self.folder).parent.mkdir(exist_ok=True)
            os.replace(Path(temporary) / self.folder, root / self.folder)

    def _idx(self, folder: Path, train: bool) -> Any:
        """A part of MNIST: its images as `data` and its classes as `targets`; None of other sets.

        It is read here, because torchvision takes 160 MB and two seconds for it.
        """
        if self.set_name != "MNIST":
            return None
        begins = folder / ("train" if train else "t10k")
        return SimpleNamespace(data=_read_idx(Path(f"{begins}-images-idx3-ubyte"), 3),
                               targets=_read_idx(Path(f"{begins}-labels-idx1-ubyte"), 1))

    def _torchvision(self, root: Path | str, train: bool, download: bool = False) -> Any:
        needs(self.name, "train", "torchvision")
        from torchvision import datasets  # type: ignore[import-untyped]

        return getattr(datasets, self.set_name)(root, train=train, download=download, **self.options)


def _read_idx(path: Path, dimensions: int) -> Tensor:
    """The bytes of an IDX file. Raises ValueError for another file, and OSError if it cannot be read."""
    data = bytearray(path.read_bytes())
    head = 4 + 4 * dimensions
    require(data[:4] == bytes([0, 0, 8, dimensions]) and len(data) > head, f"{path.name} is no file of MNIST")
    sizes = struct.unpack_from(f">{dimensions}I", data, 4)
    require(math.prod(sizes) == len(data) - head, f"{path.name} is cut off")
    return torch.frombuffer(data, dtype=torch.uint8, offset=head).view(sizes)


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


DATASETS: dict[str, Callable[..., Data]] = {
    "mnist": ImageSet("mnist", "MNIST", "MNIST/raw", digits=True),
    "fashion-mnist": ImageSet("fashion-mnist", "FashionMNIST", "FashionMNIST/raw"),
    "kmnist": ImageSet("kmnist", "KMNIST", "KMNIST/raw"),
    "emnist-digits": ImageSet("emnist-digits", "EMNIST", "EMNIST/raw", {"split": "digits"}, digits=True),
    "qmnist": ImageSet("qmnist", "QMNIST", "QMNIST/raw", digits=True),
    "cifar10": ImageSet("cifar10", "CIFAR10", "cifar-10-batches-py"),
    "stacked-mnist": lambda *arguments: StackedDigits(DATASETS["mnist"](*arguments)),  # type: ignore[arg-type]
}


def default_root() -> Path:
    """The folder of image sets: GANLIB_DATA if it is set, else `~/.cache/ganlib`. Raises ValueError without a home."""
    try:
        return Path(os.environ.get("GANLIB_DATA") or Path.home() / ".cache" / "ganlib")
    except RuntimeError:
        raise ValueError("there is no home folder to keep datasets in: name one by GANLIB_DATA or --data") from None


def open_data(name: str, where: str | Path | None = None, *, train: bool = True,
              shape: tuple[int, ...] = (1, 28, 28), download: bool = True, reading: Reading | None = None,
              progress: pictures.Progress = lambda what, share: None) -> Data:
    """The dataset `name` of DATASETS, or the pictures in the folder `where`.

    Args:
        name: in DATASETS.
        where: None for the default root; the name of another dataset; a folder of pictures, with a class per subfolder
            where there are subfolders; or a root folder that holds image sets, and receives the download of others.
        train: whether to open the training part, of a dataset that has two.
        shape: (channels, height, width) that a folder's pictures are converted to; datasets have their own.
        download: whether to download a dataset that is missing.
        reading: how a folder's pictures are read, None for the defaults.
        progress: is called while a folder's pictures are read, with what begins and the share that is done.

    Raises:
        ValueError: `where` or `name` names no data, or pictures cannot be read.
        NotDownloaded: a dataset is missing, and download is False.
    """
    root = None
    if where is None or where in DATASETS:  # a Path is always a folder, even if a dataset has the same name
        name = str(where or name)
    else:
        root = Path(where)
        require(str(where) != "", "give the name of a dataset or of a folder of pictures")
        require(not root.is_file(), f"{where} is a file: name the folder that it is in")
        require(root.is_dir(), f"no folder {str(where)!r}, and no dataset of that name; known: {', '.join(DATASETS)}")
        if not holds_sets(root):
            return _open_folder(root, shape, reading, progress)
    require(name in DATASETS, f"unknown dataset {quoted(name)}; known: {', '.join(DATASETS)}, or a folder of pictures")
    return DATASETS[name](root or _root_if_any(), train, download)


def same_name(where: str | Path | None) -> str | None:
    """A sentence where `where` names a dataset, and a folder of that name is there too; else None."""
    if not (isinstance(where, str) and where in DATASETS and Path(where).is_dir()):
        return None
    return f"{where} is the dataset. To take the folder of that name, write .{os.sep}{where}."


def _open_folder(folder: Path, shape: tuple[int, ...], reading: Reading | None,
                 progress: pictures.Progress) -> ImageData:
    name = folder.resolve().name
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the name of the folder {os.fsencode(folder).decode('utf-8', 'backslashreplace')} is not "
                         f"UTF-8, and it is saved with the model: rename it") from None
    require(any(folder.iterdir()), f"{folder} is empty: name a folder of pictures. To download datasets into it, set "
                                   f"GANLIB_DATA to it")
    root = _root_if_any()
    found = pictures.look(folder, reading is None or reading.classes)
    read = pictures.read(found, shape, reading, root and root / "pictures", progress)
    names = read.class_names
    return ImageData(name, read.images, read.labels, len(names) if names else None, names, folder=True,
                     found=read.report)


def _root_if_any() -> Path | None:
    """The default root; None where there is no home folder, which only a dataset that has files needs."""
    try:
        return default_root()
    except ValueError:
        return None


def holds_sets(root: Path) -> bool:
    """Whether a folder holds an image set in torchvision's layout."""
    return any((root / opener.folder).is_dir() for opener in DATASETS.values() if isinstance(opener, ImageSet))


import ganlib.toys  # noqa: E402, F401  adds its distributions to DATASETS
