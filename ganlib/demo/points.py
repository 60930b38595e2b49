"""Points of latent space on the page: what Interpolate and Explore share. `ganlib.waypoints` defines their text."""

from typing import Any

from PIL import Image
from torch import Tensor

from ganlib import images
from ganlib.checks import require
from ganlib.demo import links
from ganlib.model import Model
from ganlib.waypoints import Waypoint

PICTURE_SIDE = 360  # pixels of the longer side of a picture that is shown alone, about


def scale(model: Model) -> int:
    """By how much a picture that is shown alone is enlarged."""
    return images.tile_scale(max(model.shape[-2:]), 1, PICTURE_SIDE)


def alone(x: Tensor, model: Model) -> Image.Image:
    """A picture (C, H, W) that is shown alone."""
    return images.enlarge(images.to_pil(x), scale(model))


def waypoints(value: Any, model: Model, low: int, high: int, what: str) -> list[Waypoint]:
    """The waypoints of texts, or of one text with commas. Raises ValueError unless there are low to high of them.

    Args:
        what: they are of, for the sentence: "a walk has 2 to 6 waypoints".
    """
    parts = links.several(value)
    count = str(low) if low == high else f"{low} to {high}"
    require(low <= len(parts) <= high, f"{what} has {count} waypoints, separated by commas, not {len(parts)}")
    return [links.waypoint(part, model) for part in parts]
