"""The files of a weights folder beside the weights: calibration, measures, card and pictures."""

import io
import math
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ganlib import checkpoint, images
from ganlib.augmentation import augment
from ganlib.card import is_our_card, model_card, renewed
from ganlib.checks import needs, require
from ganlib.data import Data, ImageData, scale
from ganlib.evaluation import calibrate, evaluate, nearest_image, subsample
from ganlib.model import Model
from ganlib.pictures import Progress

SEEDS = range(64)
POINTS = 2_000
SEED = 7  # of the points of a toy's picture


def finish(model: Model, data: Data, loss: str, folder: Path, growth_rows: list[Path], progress: Progress) -> str:
    """Save a model that has just been trained as a weights folder: calibrate, round, save, measure, describe.

    Returns a sentence as `write_card`.

    Args:
        model: with its config and history.
        data: its training data.
        loss: the name of the loss it was trained with.
        folder: to be written.
        growth_rows: pictures of fixed seeds, by `growth_row`.
        progress: is called with what begins, and the share that is done.
    """
    if len(model.shape) == 3:  # images look the same in float16
        checkpoint.round_to_float16(model.generator)
    if model.encoder is not None:
        checkpoint.round_to_float16(model.encoder)
    if model.discriminator is not None:
        checkpoint.round_to_float16(model.discriminator)
        progress("calibration", 0)
        calibrate(model, data, loss)
    remove(folder)
    checkpoint.save(model, folder)
    if growth_rows:
        checkpoint.write_atomically(folder / checkpoint.GROWTH, growth(growth_rows))
    return write_report(model, data, folder, progress)


def remove(folder: Path) -> None:
    """Remove the card and the pictures of an earlier model from a folder, unless somebody has edited the card."""
    card = folder / checkpoint.CARD
    if card.exists() and is_our_card(card.read_text(encoding="utf-8", errors="replace")):
        for name in (checkpoint.CARD, checkpoint.SAMPLES, checkpoint.NEAREST, checkpoint.GROWTH):
            (folder / name).unlink(missing_ok=True)


def write_report(model: Model, data: Data, folder: Path, progress: Progress) -> str:
    """Measure a model, and write its measures, its card and its pictures into its folder.

    Returns a sentence as `write_card`. Raises MissingPackage as `check_picture`.
    """
    check_picture(model.shape)
    model.metrics = evaluate(model, data, classifier=checkpoint.classifier_for(data, model.device), progress=progress)
    model.metrics |= checkpoint.hashes(folder)
    checkpoint.write_atomically(folder / checkpoint.METRICS, checkpoint.to_json(model.metrics))
    said = write_card(folder, model_card(checkpoint.config_of(model), model.metrics, model.history))
    checkpoint.write_atomically(folder / checkpoint.SAMPLES, picture(model, data))
    if data.evaluation == "images":
        checkpoint.write_atomically(folder / checkpoint.NEAREST, nearest_real(model, data))  # type: ignore[arg-type]
    return said


def write_card(folder: Path, generated: Any) -> str:
    """Write a folder's card; of one that somebody has edited, only the measures. Returns a sentence on that, or ""."""
    path = folder / checkpoint.CARD
    content, said = renewed(path.read_bytes() if path.exists() else None, generated)
    checkpoint.write_atomically(path, content)
    return f"{path} {said}." if said else ""


def check_picture(shape: tuple[int, ...]) -> None:
    """Raises MissingPackage if the picture of samples of a shape cannot be made."""
    if len(shape) != 3:
        needs("a chart of points", "train", "matplotlib")


def picture(model: Model, data: Any) -> bytes:
    """The PNG of fixed seeds: a contact sheet of images, a chart of numbers or points."""
    if len(model.shape) == 3:
        return to_png(_sheet(model.sample(SEEDS), 3))
    from ganlib import charts

    real, _ = data.to("cpu").batch(POINTS, torch.Generator().manual_seed(SEED))
    return charts.to_png(charts.points(real, model.draw(POINTS, SEED), data), dpi=120)


def growth_row(model: Model) -> bytes:
    """The PNG of fixed seeds side by side, at their own size, at one moment of a training; fewer of large images."""
    most = max(1, images.GROWTH_PIXELS // math.prod(model.shape[1:]))
    x = model.sample(range(min(images.GROWTH_SEEDS, most)))
    return to_png(images.to_pil(torch.cat(list(x), dim=2)))


def growth(rows: list[Path]) -> bytes:
    """The pictures "step-NUMBER.png" of `growth_row` in one PNG, from top to bottom; its text "steps" has the numbers.

    In 16 shades of grey, so that the file is small.
    """
    sheet = Image.fromarray(numpy.concatenate([numpy.asarray(images.read(path)) for path in rows]))
    text = PngInfo()
    text.add_text("steps", " ".join(str(int(path.stem.removeprefix("step-"))) for path in rows))
    return to_png(sheet.quantize(16, dither=Image.Dither.NONE) if sheet.mode == "L" else sheet, pnginfo=text)


def nearest_real(model: Model, data: ImageData) -> bytes:
    """The PNG of samples, each above the training image that is nearest to it in pixels."""
    x = model.sample(SEEDS)
    _, index = nearest_image(x, data)
    pairs = torch.cat([x, scale(data.images[index.to(data.images.device)]).cpu()], dim=2)
    return to_png(_sheet(pairs, 2, aspect=2))


def nearest_of(path: Path, shape: tuple[int, ...]) -> Tensor:
    """The different training images (N, *shape) in [-1, 1] in the picture of `nearest_real`. Raises ValueError."""
    require(len(shape) == 3, f"samples of shape {shape} are no images, which have a nearest one")
    channels, height, width = shape
    columns, scale = _columns_and_scale(len(SEEDS), 2 * height, width, 2, aspect=2)
    most = math.prod(images.sheet_size(len(SEEDS), 2 * height, width, columns, scale))
    pairs = images.tiles(images.read(path, most), (channels, 2 * height, width), scale)[:len(SEEDS)]
    different: Tensor = torch.unique(pairs[:, :, height:], dim=0)
    return different


def data_sheet(data: ImageData, augmentation: tuple[str, ...] = ()) -> bytes:
    """The PNG of some of the images as the networks see them, evenly spaced over the data, so over the classes too.

    augmentation: names in AUGMENTATIONS; each image is then above an augmented form, which the discriminator sees.
    """
    x = scale(subsample(data.images, len(SEEDS))).cpu()
    if not augmentation:
        return to_png(_sheet(x, 3))
    augmented = augment(x, augmentation, torch.Generator().manual_seed(SEED))
    return to_png(_sheet(torch.cat([x, augmented.clamp(-1, 1)], dim=2), 2, aspect=2))


def _sheet(x: Tensor, scale: int, aspect: float = 1.0) -> Image.Image:
    """A contact sheet `aspect` times as wide as high, with pixels enlarged `scale` times, or less for large images."""
    n, _, height, width = x.shape
    return images.contact_sheet(x, *_columns_and_scale(n, height, width, scale, aspect))


def _columns_and_scale(n: int, height: int, width: int, scale: int, aspect: float) -> tuple[int, int]:
    columns = images.columns_of(n, height, width, aspect)
    return columns, min(scale, images.tile_scale(width, columns))


def to_png(image: Image.Image, **options: Any) -> bytes:
    """The content of an image's PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True, **options)
    return buffer.getvalue()
