"""Pictures that a browser sends, as one GIF. Their number, size and format are checked before they are decoded."""

import base64
import io
from collections.abc import Iterator
from typing import Any

from PIL import Image

from ganlib.checks import check_int, require

MAX_FRAMES, MAX_SIDE, MAX_BYTES = 80, 800, 12_000_000
FORMATS = ("PNG", "JPEG")  # Pillow opens these without decoding a pixel
LIMIT = f"{MAX_SIDE} by {MAX_SIDE} pixels"


def decode(frames: Any) -> list[bytes]:
    """Pictures from base64. Raises ValueError in one sentence if they are too many, too large or something else."""
    require(isinstance(frames, list) and 1 <= len(frames) <= MAX_FRAMES and all(isinstance(f, str) for f in frames),
            f"frames must be a list of 1 to {MAX_FRAMES} pictures")
    require(sum(map(len, frames)) <= MAX_BYTES * 4 / 3 + 4 * len(frames),
            f"the pictures of a GIF must have at most {MAX_BYTES // 1_000_000} MB together")
    try:
        return [base64.b64decode(frame, validate=True) for frame in frames]
    except ValueError:
        raise ValueError("frames must be pictures in base64") from None


def make(frames: Any, milliseconds: Any, comment: str = "") -> bytes:
    """A GIF that loops forever.

    Args:
        frames: a list of PNG or JPEG pictures of one size, in base64.
        milliseconds: that each is shown, 20 to 2,000.
        comment: in ASCII.

    Raises ValueError in one sentence if a picture cannot be read, is too large, or differs in size.
    """
    milliseconds = check_int(milliseconds, 20, 2_000, "milliseconds")
    pictures = _read(decode(frames))
    first, output = next(pictures), io.BytesIO()
    first.save(output, "GIF", save_all=True, append_images=pictures, duration=milliseconds, loop=0,
               comment=comment.encode("ascii"))
    return output.getvalue()


def _read(frames: list[bytes]) -> Iterator[Image.Image]:
    """The pictures in 256 colours, one at a time, because 80 of them in full colour take 150 MB."""
    size: tuple[int, int] | None = None
    for number, frame in enumerate(frames, 1):
        picture = _read_one(frame, f"picture {number}")
        require(size in (None, picture.size), f"all pictures of a GIF must have one size; picture {number} has another")
        size = picture.size
        yield picture.quantize(256, dither=Image.Dither.NONE)


def _read_one(data: bytes, what: str) -> Image.Image:
    """A picture in RGB. Its size is checked before any pixel is decoded."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if max(width, height) <= MAX_SIDE:
                return image.convert("RGB")
    except Exception:  # Pillow's readers raise errors of many kinds for broken files
        raise ValueError(f"{what} is not a PNG or JPEG picture of at most {LIMIT}") from None
    raise ValueError(f"{what} has {width} by {height} pixels, more than {LIMIT}")
