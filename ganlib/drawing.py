"""Ink to a digit as MNIST has it: drawings and photos become 28×28 pictures. Knows nothing of models.

MNIST's digits were scaled into a box of 20×20 pixels, with their aspect kept and grey levels at their edges, and placed
so that the centre of mass is in the middle of 28×28 pixels: LeCun et al. 1998, "Gradient-based learning applied to
document recognition".
"""

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor
from torch.nn.functional import max_pool2d

from ganlib import images
from ganlib.checks import quoted, require
from ganlib.files import read_beginning

SIDE, BOX = 28, 20
FAINT = 0.1  # ink below it does not count for the bounding box
PEN = 2.4  # pixels of 20: a line of MNIST is about so wide
LEVELS = 15  # above black, in the text of a drawing

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MAX_BYTES = 16 * 2**20  # of a photo's file
MAX_PIXELS, MAX_DECODED = 25_000_000, 16_000_000  # of a photo; a JPEG is reduced while it is decoded
MAX_SCANS = 50  # of a JPEG: each takes as long as its pixels, however few bytes it has; cameras and browsers make 10
SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")  # its marker, length and components
WORKING_SIDE, SMALL_SIDE = 512, 256  # a photo is reduced to the first, or enlarged to about the second
COARSE_SIDE = 64  # on which the paper's brightness is estimated
PARTS_SIDE = 128  # on which connected parts are found
MIN_CONTRAST = 24  # grey levels of 255 between ink and paper
MIN_RANGE = 64  # grey levels: in a darker paper's place, noise would become ink
MIN_PART, MIN_SHARE = 1e-3, 0.05  # of the picture, and of the largest part: smaller parts are specks
MAX_INK = 0.6  # of the picture
MAX_THICKNESS = 0.4  # of a line, as a share of the digit's longer side; that of a filled square is 0.5
NO_DIGIT = "no digit was found in the picture"


@torch.inference_mode(False)
def normalise(ink: Tensor) -> Tensor:
    """The ink as a digit of MNIST: scaled into 20×20 pixels, centred by its centre of mass.

    Args:
        ink: (H, W) in [0, 1], 1 is ink.

    Returns:
        (1, 28, 28) float32 in [-1, 1].

    Raises:
        ValueError: if ink has another shape or range, or there is none.
    """
    require(isinstance(ink, Tensor) and ink.ndim == 2 and ink.numel() > 0,
            f"ink must be a tensor (H, W), not {quoted(getattr(ink, 'shape', ink))}")
    values = ink.detach().float().cpu()
    require(bool(((values >= 0) & (values <= 1)).all()), "ink must be numbers from 0 to 1")
    dark = values >= FAINT
    require(bool(dark.any()), "the drawing is empty: there is no ink in it")
    (top, bottom), (left, right) = (_span(dark.any(axis)) for axis in (1, 0))
    scale = BOX / max(bottom - top, right - left)
    width, height = (max(1, round(scale * side)) for side in (right - left, bottom - top))
    picture = Image.fromarray(values[top:bottom, left:right].contiguous().numpy())
    # a box filter averages areas, as a scanner does
    method = Image.Resampling.BOX if scale <= 1 else Image.Resampling.BILINEAR
    return _centred(torch.from_numpy(numpy.array(picture.resize((width, height), method)))) * 2 - 1


def _span(marked: Tensor) -> tuple[int, int]:
    places = marked.nonzero()
    return int(places[0]), int(places[-1]) + 1


def _centred(digit: Tensor) -> Tensor:
    """The digit (h, w) in [0, 1] in the middle of (1, 28, 28) by its centre of mass, wholly inside."""
    field = torch.zeros(1, SIDE, SIDE, dtype=torch.float32, device="cpu")
    starts = []
    for axis, size in enumerate(digit.shape):
        mass = digit.sum(1 - axis)
        centre = float((mass * torch.arange(size, device="cpu")).sum() / mass.sum())
        starts.append(min(max(round(SIDE / 2 - centre), 0), SIDE - size))
    (top, left), (height, width) = starts, digit.shape
    field[0, top:top + height, left:left + width] = digit.clamp(0, 1)
    return field


def to_text(x: Tensor) -> str:
    """A drawing (1, 28, 28) in [-1, 1] as short text for links: base64url of its pixels, rounded to 16 levels.

    Numbers beyond -1 and 1 are clipped. Raises ValueError if x has another shape, or a number that is not finite.
    """
    require(isinstance(x, Tensor) and tuple(x.shape) == (1, SIDE, SIDE) and x.is_floating_point(),
            f"a drawing is a tensor (1, {SIDE}, {SIDE}) of floating-point numbers, not "
            f"{quoted(tuple(x.shape) if isinstance(x, Tensor) else x)}")
    values = x.detach().float().cpu()
    require(bool(values.isfinite().all()), "a drawing has finite numbers")
    levels = ((values + 1) / 2 * LEVELS).round().clamp(0, LEVELS).to(torch.uint8).flatten().numpy()
    return base64.urlsafe_b64encode((levels[::2] << 4 | levels[1::2]).tobytes()).decode().rstrip("=")


def rounded(x: Tensor) -> Tensor:
    """The drawing (1, 28, 28) in the 16 levels of its text."""
    return from_text(to_text(x))


@torch.inference_mode(False)
def from_text(text: Any) -> Tensor:
    """The drawing (1, 28, 28) in [-1, 1] of a text by `to_text`. Raises ValueError for any other text."""
    length = -(-SIDE**2 * 4 // 6)
    require(isinstance(text, str) and re.fullmatch(f"[A-Za-z0-9_-]{{{length}}}", text) is not None,
            f"the text of a drawing has {length:,} letters, digits, - and _, not {quoted(text)}")
    packed = numpy.frombuffer(base64.urlsafe_b64decode(text + "=" * (-length % 4)), numpy.uint8)
    levels = numpy.stack([packed >> 4, packed & 15], 1).reshape(1, SIDE, SIDE)
    return torch.from_numpy(levels.astype(numpy.float32)) / LEVELS * 2 - 1


@dataclass(frozen=True)
class Photo:
    """A photo of a digit, and how the digit was found in it.

    Args:
        grey: the photo, grey.
        ink: what is darker, or lighter, than the paper around it: white on black.
        digit: cut out, without specks, its lines thick enough.
        drawing: (1, 28, 28) in [-1, 1], as MNIST has it.
        dark_ink: whether the ink is darker than the paper.
    """

    grey: Image.Image
    ink: Image.Image
    digit: Image.Image
    drawing: Tensor
    dark_ink: bool

    @property
    def steps(self) -> list[tuple[str, Image.Image]]:
        """The pictures of all steps, with words."""
        paper = "dark ink on light paper" if self.dark_ink else "light ink on dark paper"
        return [("Grey", self.grey), (f"Ink: {paper}", self.ink), ("Cut out", self.digit),
                ("Scaled and centred", images.to_pil(self.drawing))]


def read(file: bytes | str | Path) -> Tensor:
    """The digit (1, 28, 28) in [-1, 1] of a picture file: as it is where it has 28×28 pixels, else that of a photo.

    Raises ValueError as `read_photo` does.
    """
    with open_photo(file) as image:
        if image.size != (SIDE, SIDE):
            return from_photo(image).drawing
        return images.from_pil(_decoded(image))


def read_photo(file: bytes | str | Path) -> Photo:
    """The digit in a picture file, given as its content or its path.

    Raises ValueError in one sentence if it is not a PNG, JPEG, WebP, GIF or BMP of at most 16 MB, or as `from_photo`.
    """
    with open_photo(file) as image:
        return from_photo(image)


def open_photo(file: bytes | str | Path) -> Image.Image:
    """The picture of a file, not yet decoded. Raises ValueError as `read_photo` does."""
    data = file if isinstance(file, bytes) else read_beginning(file, MAX_BYTES + 1)
    require(len(data) <= MAX_BYTES, f"the picture's file is too large: it may have {MAX_BYTES // 2**20} MB")
    require(sum(1 for _ in SCAN.finditer(data)) <= MAX_SCANS,
            f"the JPEG has too many scans: it may have {MAX_SCANS}; save it again")
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise ValueError(_too_many_pixels()) from None
    except Exception:  # Pillow's readers raise errors of many kinds for foreign files
        raise ValueError(f"the file is no picture that can be read: {', '.join(FORMATS)} can") from None


def _too_many_pixels() -> str:
    return (f"the picture is too large: it may have {MAX_DECODED // 1_000_000} million pixels, a JPEG "
            f"{MAX_PIXELS // 1_000_000} million")


def from_photo(image: Image.Image) -> Photo:
    """The digit in a photo of a digit on paper, of dark ink on light paper or the other way round.

    The border is taken for paper; where no digit is found so, for ink. Transparent pixels are white. Parts that touch
    the border and specks are left out. Thin lines are thickened to those of MNIST. Raises ValueError if the picture is
    too large, damaged, or without a digit.
    """
    grey = _grey(image)
    dark_ink = _is_ink_dark(numpy.asarray(grey))
    try:
        return _found(grey, dark_ink)
    except ValueError as error:
        try:
            return _found(grey, not dark_ink)
        except ValueError:
            raise error from None


def _found(grey: Image.Image, dark_ink: bool) -> Photo:
    light = numpy.asarray(grey.filter(ImageFilter.MedianFilter(3)), numpy.float32)
    light = 255 - light if dark_ink else light
    paper = _paper(light)
    # as a share of what was possible, because ink in a shadow differs less from the paper
    contrast = numpy.clip(255 * (light - paper) / numpy.maximum(255 - paper, MIN_RANGE), 0, 255)
    threshold, difference = _otsu(contrast)
    require(difference >= MIN_CONTRAST, f"{NO_DIGIT}: the ink differs too little from the paper")
    ink = contrast > threshold
    require(ink.mean() <= MAX_INK, f"{NO_DIGIT}: most of it would be ink")
    digit = _without_specks(ink)
    require(bool(digit.any()), f"{NO_DIGIT}: there are only specks, or lines that touch its border")
    left, top, right, bottom = _picture(digit).getbbox() or (0, 0, 1, 1)
    room = max(right - left, bottom - top) // 8 + 1  # for lines that become thicker
    thick = _thickened(ImageOps.expand(_picture(digit).crop((left, top, right, bottom)), border=room))
    drawing = normalise(torch.from_numpy(numpy.asarray(thick, numpy.float32) / 255))
    return Photo(grey, _picture(ink), thick, drawing, dark_ink)


def _grey(image: Image.Image) -> Image.Image:
    """The picture, grey, with at most 512 pixels a side. Its size is checked before a pixel is decoded."""
    require(image.width * image.height <= MAX_PIXELS, _too_many_pixels())
    image.draft("RGB", (2 * WORKING_SIDE, 2 * WORKING_SIDE))  # a JPEG is decoded at about this size
    require(image.width * image.height <= MAX_DECODED, _too_many_pixels())
    grey = _decoded(image)
    # small ones are enlarged, because their lines are as thin as noise
    factor = WORKING_SIDE / max(grey.size) if max(grey.size) > WORKING_SIDE else SMALL_SIDE // max(grey.size) or 1
    width, height = (max(1, round(factor * side)) for side in grey.size)
    return grey.resize((width, height), Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR)


def _decoded(image: Image.Image) -> Image.Image:
    """The picture upright, on white, grey. Raises ValueError if it is damaged, or of a mode that has no grey."""
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # as in open_photo
        raise ValueError("the picture is damaged") from None
    try:
        if image.mode.startswith("I"):  # more than 8 bits, of which "I;16" and its kin use 16
            values = numpy.asarray(image) >> (8 if image.mode.startswith("I;16") else 0)
            image = Image.fromarray(values.clip(0, 255).astype(numpy.uint8))
        if not image.has_transparency_data:
            return image.convert("L")
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        paper = Image.new("L", image.size, "white")
        paper.paste(image.convert("L"), mask=image.getchannel("A"))
        return paper
    except ValueError:
        raise ValueError(f"a picture of mode {image.mode} has to be converted to RGB first") from None


def _picture(mask: Any) -> Image.Image:
    return Image.fromarray(mask.astype(numpy.uint8) * 255)


def _is_ink_dark(grey: Any) -> bool:
    """Whether the darkest pixels of (H, W) differ more from the border than the lightest ones."""
    width = max(1, round(0.03 * min(grey.shape)))
    inside = numpy.zeros(grey.shape, bool)
    inside[width:-width, width:-width] = True
    border = numpy.median(grey[~inside])
    low, high = numpy.percentile(grey, [0.5, 99.5])
    return bool(border - low >= high - border)


def _paper(light: Any) -> Any:
    """The brightness of the paper at each pixel (H, W), where ink is lighter than paper.

    A morphological opening: light lines that are narrower than a third of the picture are removed.
    """
    height, width = light.shape
    whole = Image.fromarray(light)
    small = whole.resize((COARSE_SIDE, COARSE_SIDE), Image.Resampling.BOX)
    size = COARSE_SIDE // 3 | 1
    pixels = -_pooled(-torch.from_numpy(numpy.array(small)), size)
    opened = _pooled(pixels, size + 2)  # a bit more, so that the edge of a shadow is no ink
    return numpy.asarray(Image.fromarray(opened.numpy()).resize((width, height), Image.Resampling.BILINEAR))


def _pooled(x: Tensor, size: int) -> Tensor:
    """The largest value of (H, W) in a square around each pixel, size × size, odd."""
    return max_pool2d(x[None], size, 1, size // 2)[0]


def _otsu(values: Any) -> tuple[float, float]:
    """The threshold that separates grey levels best (Otsu 1979), and the difference of the two means."""
    counts = numpy.bincount(values.astype(numpy.int64).ravel(), minlength=256)[:256].astype(float)
    below, mass = counts.cumsum(), (counts * numpy.arange(256)).cumsum()
    above = below[-1] - below
    valid = (below > 0) & (above > 0)
    if not valid.any():
        return 255.0, 0.0
    mean_below = mass / numpy.maximum(below, 1)
    mean_above = (mass[-1] - mass) / numpy.maximum(above, 1)
    best = int(numpy.argmax(numpy.where(valid, below * above * (mean_above - mean_below)**2, -1)))
    return best + 1 - 1e-6, float(mean_above[best] - mean_below[best])


def _without_specks(ink: Any) -> Any:
    """The ink (H, W) without its small parts, and without parts that touch the border, such as a table's edge."""
    height, width = ink.shape
    step = max(1, -(-max(ink.shape) // PARTS_SIDE))
    tall, wide = -(-height // step), -(-width // step)
    padded = numpy.pad(ink, ((0, tall * step - height), (0, wide * step - width)))
    coarse = padded.reshape(tall, step, wide, step).any((1, 3))
    labels = _parts(coarse)
    areas = numpy.bincount(numpy.repeat(numpy.repeat(labels, step, 0), step, 1)[padded], minlength=labels.max() + 1)
    areas[0] = 0
    edge = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
    areas[numpy.unique(numpy.concatenate(edge))] = 0
    kept = areas >= max(MIN_PART * ink.size, MIN_SHARE * areas.max(), 1)
    return padded[:height, :width] & numpy.repeat(numpy.repeat(kept[labels], step, 0), step, 1)[:height, :width]


def _parts(mask: Any) -> Any:
    """A number above 0 for each connected part of a mask (H, W), 0 outside. Corners connect."""
    width = mask.shape[1] + 2  # with a frame, so that every pixel has eight neighbours
    labels = (-numpy.pad(mask, 1).astype(numpy.int64)).ravel().tolist()  # -1 where a part was not reached yet
    neighbours = [row * width + column for row in (-1, 0, 1) for column in (-1, 0, 1)]
    count = 0
    for first in range(len(labels)):
        reached = [first] if labels[first] < 0 else []
        count += len(reached)
        while reached:
            pixel = reached.pop()
            if labels[pixel] < 0:
                labels[pixel] = count
                reached += [pixel + step for step in neighbours if labels[pixel + step] < 0]
    return numpy.array(labels).reshape(-1, width)[1:-1, 1:-1]


def _thickened(digit: Image.Image) -> Image.Image:
    """The digit, white on black, with lines that are at least as thick as MNIST's for its size."""
    left, top, right, bottom = digit.getbbox() or (0, 0, 1, 1)
    size = max(right - left, bottom - top)
    area = numpy.asarray(digit).astype(bool)
    outline = area & ~numpy.asarray(digit.filter(ImageFilter.MinFilter(3))).astype(bool)
    thickness = 2 * area.sum() / outline.sum()  # of a line: its outline is twice its length
    require(thickness <= MAX_THICKNESS * size, f"{NO_DIGIT}: it shows a filled shape, not lines")
    for turn in range(round((PEN / BOX * size - thickness) / 2)):
        # by turns a square and a cross: together about round
        digit = _cross(digit) if turn % 2 else digit.filter(ImageFilter.MaxFilter(3))
    return digit


def _cross(digit: Image.Image) -> Image.Image:
    """The digit grown by a pixel to the left, right, top and bottom, not to the corners."""
    mask = numpy.pad(numpy.asarray(digit), 1)
    grown = numpy.maximum.reduce([mask[1:-1, 1:-1], mask[:-2, 1:-1], mask[2:, 1:-1], mask[1:-1, :-2], mask[1:-1, 2:]])
    return Image.fromarray(grown)
