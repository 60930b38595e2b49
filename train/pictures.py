"""What a model makes, as the bytes of one PNG: a contact sheet of images, a chart of a toy distribution."""

import io
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ganlib import charts, images
from ganlib.data import Data, Gaussian, ImageData, Mixture, Sine, scale
from ganlib.evaluation import nearest_image
from ganlib.model import Model

SEEDS = range(64)
POINTS = 2_000
SEED = 7  # of the points of a toy's picture


def picture(model: Model, data: Data) -> bytes:
    """The PNG of fixed seeds, for data of any kind."""
    return next(draw for kind, draw in PICTURES.items() if isinstance(data, kind))(model, data)


def _sheet(model: Model, data: ImageData) -> bytes:
    return _png(images.contact_sheet(model.sample(SEEDS), scale=3))


def _histogram(model: Model, data: Gaussian) -> bytes:
    return charts.to_png(charts.histogram(data.quantiles(POINTS), model.draw(POINTS, SEED), data.density), dpi=120)


def _scatter(model: Model, data: Sine | Mixture) -> bytes:
    real, _ = data.batch(POINTS, torch.Generator().manual_seed(SEED))
    curve = data.curve(200) if isinstance(data, Sine) else None
    return charts.to_png(charts.scatter(real, model.draw(POINTS, SEED), data.extent, curve), dpi=120)


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
    """Samples, each above the training image that is nearest to it in pixels: invented, or remembered?"""
    x = model.sample(SEEDS)
    _, index = nearest_image(x, data)
    real = scale(data.images[index.to(data.images.device)]).cpu()
    pairs = torch.cat([x, real], dim=2)
    return _png(images.contact_sheet(pairs, columns=16, scale=2))


def _png(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True, **options)
    return buffer.getvalue()


PICTURES: dict[type, Callable[..., bytes]] = {ImageData: _sheet, Gaussian: _histogram, Sine: _scatter,
                                              Mixture: _scatter}
