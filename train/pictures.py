"""What a model makes, as the bytes of one PNG: a contact sheet of images, a chart of a toy distribution."""

import io
from collections.abc import Callable

from ganlib import charts, images
from ganlib.data import Data, Gaussian, ImageData, Sine
from ganlib.model import Model

SEEDS = range(64)
POINTS = 2_000
SEED = 7  # of the points of a toy's picture


def picture(model: Model, data: Data) -> bytes:
    """The PNG of fixed seeds, for data of any kind."""
    return next(draw for kind, draw in PICTURES.items() if isinstance(data, kind))(model, data)


def _sheet(model: Model, data: ImageData) -> bytes:
    buffer = io.BytesIO()
    images.contact_sheet(model.sample(SEEDS), scale=3).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _histogram(model: Model, data: Gaussian) -> bytes:
    return charts.to_png(charts.histogram(data.quantiles(POINTS), model.draw(POINTS, SEED), data.density), dpi=120)


def _scatter(model: Model, data: Sine) -> bytes:
    return charts.to_png(charts.scatter(data.curve(POINTS), model.draw(POINTS, SEED), data.curve(200)), dpi=120)


PICTURES: dict[type, Callable[..., bytes]] = {ImageData: _sheet, Gaussian: _histogram, Sine: _scatter}
