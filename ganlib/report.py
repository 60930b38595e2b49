"""What a weights folder says of its model beside the weights: calibration, measures, card and pictures."""

import io
from pathlib import Path

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ganlib import checkpoint, images
from ganlib.card import is_our_card, model_card
from ganlib.data import Data, ImageData, scale
from ganlib.evaluation import Progress, calibrate, evaluate, nearest_image
from ganlib.model import Model

SEEDS = range(64)
POINTS = 2_000
SEED = 7  # of the points of a toy's picture


def finish(model: Model, data: Data, loss: str, folder: Path, growth_rows: list[Path], progress: Progress) -> None:
    """Turn a model that has just been trained into a weights folder: calibrate, round, save, measure, describe.

    Args:
        model: with its config and history.
        data: what it was trained on.
        loss: the name of the loss it was trained by.
        folder: to be written.
        growth_rows: pictures of fixed seeds, by `growth_row`.
        progress: is told how far it is.
    """
    if len(model.shape) == 3:  # images look the same in float16
        checkpoint.round_to_float16(model.generator)
    if model.discriminator is not None:
        checkpoint.round_to_float16(model.discriminator)
        progress("calibration", 0)
        calibrate(model, data, loss)
    checkpoint.save(model, folder)
    if growth_rows:
        checkpoint.write_whole(folder / checkpoint.GROWTH, growth(growth_rows))
    write_report(model, data, folder, progress)


def write_report(model: Model, data: Data, folder: Path, progress: Progress) -> None:
    """Measure a model, and write its measures, its card and its pictures into its folder.

    A card that somebody has edited is left as it is.
    """
    model.metrics = evaluate(model, data, data.held_out(), classifier=checkpoint.classifier_for(data, model.device),
                             progress=progress)
    model.metrics |= checkpoint.hashes(folder)
    checkpoint.write_whole(folder / checkpoint.METRICS, checkpoint.to_json(model.metrics))
    card = folder / checkpoint.CARD
    if not card.exists() or is_our_card(card.read_text(encoding="utf-8", errors="replace")):
        checkpoint.write_whole(card, model_card(checkpoint.config_of(model), model.metrics, model.history).encode())
    checkpoint.write_whole(folder / checkpoint.SAMPLES, picture(model, data))
    if data.evaluation == "images":
        checkpoint.write_whole(folder / checkpoint.NEAREST, nearest_real(model, data))


def picture(model: Model, data: Data) -> bytes:
    """The PNG of fixed seeds: a contact sheet of images, a chart of numbers or points."""
    if len(model.shape) == 3:
        return _png(images.contact_sheet(model.sample(SEEDS), scale=3))
    from ganlib import charts

    real, _ = data.to("cpu").batch(POINTS, torch.Generator().manual_seed(SEED))
    return charts.to_png(charts.points(real, model.draw(POINTS, SEED), data), dpi=120)


def growth_row(model: Model) -> bytes:
    """Fixed seeds side by side, pixel by pixel, as they are at one moment of a training."""
    x = model.sample(range(images.GROWTH_SEEDS))
    return _png(images.to_pil(torch.cat(list(x), dim=2)))


def growth(rows: list[Path]) -> bytes:
    """The rows of `growth_row`, "step-NUMBER.png", one under the other; the PNG's text "steps" says which they are.

    In 16 shades, so that it stays small.
    """
    strips = [Image.open(path) for path in rows]
    sheet = Image.new(strips[0].mode, (strips[0].width, sum(strip.height for strip in strips)))
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    text = PngInfo()
    text.add_text("steps", " ".join(str(int(path.stem.removeprefix("step-"))) for path in rows))
    return _png(sheet.quantize(16, dither=Image.Dither.NONE) if sheet.mode == "L" else sheet, pnginfo=text)


def nearest_real(model: Model, data: ImageData) -> bytes:
    """Samples, each above the training image that is nearest to it in pixels."""
    x = model.sample(SEEDS)
    _, index = nearest_image(x, data)
    real = scale(data.images[index.to(data.images.device)]).cpu()
    pairs = torch.cat([x, real], dim=2)
    return _png(images.contact_sheet(pairs, columns=16, scale=2))


def _png(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True, **options)
    return buffer.getvalue()
