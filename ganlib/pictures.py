"""Reads a folder of images into one tensor: cropped, resized, with a class for each subfolder."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
SUFFIXES_IN_WORDS = ", ".join(sorted(SUFFIXES))


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def holds_images(folder: Path) -> bool:
    """Whether there are images in a folder or in its subfolders."""
    return bool(_files(folder)) or any(_files(sub) for sub in folder.iterdir() if sub.is_dir())


def read_folder(folder: Path, shape: tuple[int, ...]) -> tuple[Tensor, Tensor | None, tuple[str, ...] | None]:
    """The images of a folder, cropped to the centre and resized, with a class for each subfolder, sorted by name.

    Args:
        folder: holds images, or subfolders with images.
        shape: (channels, height, width); 1 channel is grey, 3 are colour.

    Returns:
        Images (N, *shape) uint8, labels (N,) int64 and the subfolders' names; the last two are None without subfolders.

    Raises:
        ValueError: the folder has fewer than 2 images, or images in both places, or an unreadable one.
    """
    from PIL import Image, ImageOps

    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ValueError(f"images have a shape (1 or 3, height, width), but samples of shape {tuple(shape)} are wanted")
    channels, height, width = shape
    flat = _files(folder)
    classes = [sub for sub in sorted(folder.iterdir()) if sub.is_dir() and _files(sub)]
    if flat and classes:
        raise ValueError(f"{folder} holds images both directly and in subfolders; use one or the other")
    files = flat or [path for sub in classes for path in _files(sub)]
    if len(files) < 2:
        raise ValueError(f"{folder} holds {len(files) or 'no'} images ({SUFFIXES_IN_WORDS}); give 2 or more")

    def read(path: Path) -> Tensor:
        try:
            with Image.open(path) as file:
                image = ImageOps.fit(ImageOps.exif_transpose(file).convert("L" if channels == 1 else "RGB"),
                                     (width, height), Image.Resampling.LANCZOS)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path} is not a readable image ({error})") from None
        return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(height, width, channels)

    with ThreadPoolExecutor() as pool:
        images = torch.stack(list(pool.map(read, files))).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor([classes.index(path.parent) for path in files], device="cpu") if classes else None
    return images, labels, tuple(sub.name for sub in classes) or None
