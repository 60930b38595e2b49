"""Random changes of images, through which a discriminator sees real and generated ones alike, for small data sets.

Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training" ("DiffAugment"), section 4. The changes
can be differentiated twice, so gradients reach the generator, and gradient penalties work.

`AUGMENTATIONS` is a table: `AUGMENTATIONS["mine"] = function` makes your own available to `TrainConfig`. Yours should
draw by `ganlib.shares.drawn`, so that several processes that train one run each have numbers of their own.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ganlib.checks import quoted, require
from ganlib.shares import drawn

BRIGHTNESS, SATURATION, CONTRAST = (-0.5, 0.5), (0.0, 2.0), (0.5, 1.5)  # ranges: what is added, and two factors
LARGEST_SHIFT = 8  # one part in 8 of each side
CUT = 2  # one part in 2 of each side


def colour(x: Tensor, rng: torch.Generator) -> Tensor:
    """Changes brightness, saturation and contrast; saturation has no effect on grey images."""
    brightness, saturation, contrast = drawn(
        rng, len(x), lambda n: torch.rand(3, n, 1, 1, 1, generator=rng, device=x.device, dtype=x.dtype), dim=1)
    saturated = torch.lerp(x.mean(1, keepdim=True), x, _between(*SATURATION, saturation))
    contrasted = torch.lerp(x.mean((1, 2, 3), keepdim=True), saturated, _between(*CONTRAST, contrast))
    return contrasted + _between(*BRIGHTNESS, brightness)


def translation(x: Tensor, rng: torch.Generator) -> Tensor:
    """Shifts by up to an eighth of each side, by whole pixels; new pixels repeat the edge.

    The paper's are mid-grey, which suits photographs. On the dark ground of digits their frame is brighter than most of
    the image, and the generator learns more slowly (docs/log.md, 2026-11-27).
    """
    rows, columns = (_shifted(len(x), side, rng) for side in x.shape[2:])
    index = (rows[:, :, None] * x.shape[3] + columns[:, None]).view(len(x), 1, -1)
    return x.flatten(2).gather(2, index.expand(-1, x.shape[1], -1)).view(x.shape)


def cutout(x: Tensor, rng: torch.Generator) -> Tensor:
    """Covers a rectangle of half of each side around a random pixel; a part of it may lie outside the image.

    It has the mean colour of the image's edge, for the same reason as in `translation`.
    """
    rows, columns = (_cut(len(x), side, rng) for side in x.shape[2:])
    edge = torch.cat([x[:, :, 0], x[:, :, -1], x[..., 0], x[..., -1]], 2).mean(2)
    return torch.where(rows[:, None, :, None] & columns[:, None, None], edge[:, :, None, None], x)


def flip(x: Tensor, rng: torch.Generator) -> Tensor:
    """Mirrors half of the images left to right. Not for digits and letters, which are not symmetric."""
    share = drawn(rng, len(x), lambda n: torch.rand(n, 1, 1, 1, generator=rng, device=x.device, dtype=x.dtype))
    return torch.where(share < 0.5, x.flip(3), x)


AUGMENTATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "colour": colour,
    "translation": translation,
    "cutout": cutout,
    "flip": flip,
}
DEFAULT = ("translation", "cutout", "colour")  # the paper's three; they fit images of any kind


def augment(x: Tensor, names: Sequence[str], rng: torch.Generator) -> Tensor:
    """Images after random changes, one after the other, each image by itself.

    Args:
        x: (N, C, H, W) floating point, in [-1, 1]; the result may exceed this range.
        names: of the changes, in AUGMENTATIONS.
        rng: draws the changes, on the device of x.

    Raises:
        ValueError: x are no images, or a name is unknown.
    """
    require(x.ndim == 4, f"only images (N, C, H, W) can be augmented, not samples of shape {tuple(x.shape[1:])}")
    for name in check_names(names):
        x = AUGMENTATIONS[name](x, rng)
    return x


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple. Raises ValueError unless each is in AUGMENTATIONS, and none is there twice."""
    require(isinstance(names, tuple | list) and all(isinstance(name, str) and name in AUGMENTATIONS for name in names)
            and len(set(names)) == len(names),
            f"augment must be a list of some of {', '.join(AUGMENTATIONS)}, each at most once, not {quoted(names)}")
    return tuple(names)


def _between(low: float, high: float, share: Tensor) -> Tensor:
    return low + (high - low) * share


def _starts(n: int, low: int, high: int, rng: torch.Generator) -> Tensor:
    """n random whole numbers (n, 1) from low to high, both included."""
    return drawn(rng, n, lambda n: torch.randint(low, high + 1, (n, 1), generator=rng, device=rng.device))


def _shifted(n: int, side: int, rng: torch.Generator) -> Tensor:
    """Where the pixels (n, side) along a side come from."""
    largest = side // LARGEST_SHIFT
    return (torch.arange(side, device=rng.device) + _starts(n, -largest, largest, rng)).clamp(0, side - 1)


def _cut(n: int, side: int, rng: torch.Generator) -> Tensor:
    """Which pixels (n, side) along a side are covered."""
    cut = side // CUT
    place = torch.arange(side, device=rng.device) - _starts(n, -(cut // 2), side - 1 - cut // 2, rng)
    return (place >= 0) & (place < cut)
