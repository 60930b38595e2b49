"""Sample tensors to pictures and back: PNG, GIF and MP4 films, contact sheets. Pixels are enlarged without blur.

Images are (N, C, H, W) or (C, H, W) float in [-1, 1], with 1 channel (grey) or 3 (RGB). Imports nothing of models.
"""

import io
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from ganlib.checks import check_float, check_int, needs, quoted, require
from ganlib.files import replacing

BACKGROUND = (13, 15, 22)
INK = (196, 202, 216)
# of growth.png: moments of the training after its start; fixed seeds, at most; pixels of one moment, at most
MOMENTS, GROWTH_SEEDS, GROWTH_PIXELS = 40, 32, 2**20
MAX_PIXELS = (MOMENTS + 1) * GROWTH_PIXELS  # of a picture that is read
# of a film, one way. Pillow adds up the times of equal frames, and a GIF's frame lasts at most 655 seconds: frames that
# are all equal last there and back 600, and at most 50 more, because each time is rounded to hundredths of a second
MAX_FRAMES, MAX_SECONDS = 5_000, 300
MAX_SIDE = 2**14  # pixels of a film's side, at most: the encoder's limit
ENCODER: Final = "libx264"
# without the deblocking filter, which blurs the hard edges of enlarged pixels: 9 dB better at 13 times, and smaller;
# on one thread, because the bytes depend on the number of threads
ENCODING = {"crf": "14", "preset": "slow", "x264-params": "no-deblock=1", "threads": "1"}
CONTAINER = {"movflags": "+faststart", "fflags": "+bitexact"}  # playable before its end is there; no version inside
PNG = b"\x89PNG\r\n\x1a\n"  # the beginning of a file
FILE = "ganlib_file"  # attribute of an image: the file that it was made of
UP = 2  # PNG's filter of a row: its difference from the row above
SHEET_WIDTH = 1200  # pixels: wider than the page shows a sheet, so that the page only shrinks it


def to_uint8(x: Tensor) -> Tensor:
    """Float samples in [-1, 1] to uint8 pixels of the same shape, on the CPU."""
    return x.detach().float().cpu().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_pil(x: Tensor) -> Image.Image:
    """One image (C, H, W) to a PIL image, grey for one channel. Raises ValueError for another number of channels."""
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        raise ValueError(f"an image is (1 or 3, H, W), not {tuple(x.shape)}")
    return _pil(to_uint8(x))


def _pil(pixels: Tensor) -> Image.Image:
    """One image of uint8 pixels (C, H, W) on the CPU to a PIL image."""
    return Image.fromarray(pixels.permute(1, 2, 0).squeeze(2).contiguous().numpy())


def from_pil(image: Image.Image, channels: int = 1) -> Tensor:
    """A PIL image to (channels, H, W) float32 in [-1, 1]; the inverse of `to_pil`."""
    pixels = numpy.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=numpy.float32)
    return torch.from_numpy(pixels.reshape(image.height, image.width, channels)).permute(2, 0, 1) / 127.5 - 1


def from_png(data: bytes) -> Image.Image:
    """An image that is a PNG file in memory; its pixels are decoded when they are first used."""
    image = Image.open(io.BytesIO(data), formats=["PNG"])
    vars(image)[FILE] = data
    return image


def png_of(image: Image.Image) -> bytes | None:
    """The PNG file that an image was made of by `from_png`, None for any other."""
    return vars(image).get(FILE)


def to_png(image: Image.Image, texts: Mapping[str, str] | None = None) -> bytes:
    """An image, grey or RGB, as a PNG file with texts.

    Each row is stored as its difference from the row above: zeros where pixels are enlarged. Pillow tries all filters
    on each row, which takes four times as long.
    """
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    pixels = numpy.asarray(image).reshape(image.height, -1)
    rows = numpy.full((image.height, 1 + pixels.shape[1]), UP, numpy.uint8)
    rows[0, 1:] = pixels[0]
    numpy.subtract(pixels[1:], pixels[:-1], out=rows[1:, 1:])
    deflate = zlib.compressobj(strategy=zlib.Z_RLE)  # finds runs of one byte only, as enlarged pixels are
    info, file = PngImagePlugin.PngInfo(), io.BytesIO()
    for key, text in (texts or {}).items():
        info.add_text(key, text)
    file.write(PNG)
    header = struct.pack(">IIBBBBB", *image.size, 8, 0 if image.mode == "L" else 2, 0, 0, 0)
    PngImagePlugin.putchunk(file, b"IHDR", header)
    for chunk in info.chunks:
        PngImagePlugin.putchunk(file, chunk[0], chunk[1])
    PngImagePlugin.putchunk(file, b"IDAT", deflate.compress(rows.data) + deflate.flush())
    PngImagePlugin.putchunk(file, b"IEND")
    return file.getvalue()


def read(path: str | Path, most: int = MAX_PIXELS) -> Image.Image:
    """The picture of a PNG file, grey or RGB, wholly in memory.

    Raises ValueError if it cannot be read, or has more than `most` pixels; then they are not decoded.
    """
    with _opened(path, most, "is not a readable image") as image:
        return image.convert("L" if image.mode == "L" else "RGB")


@contextmanager
def _opened(path: str | Path, most: int, otherwise: str) -> Iterator[Image.Image]:
    """A PNG file, its pixels not decoded yet. What fails while it is used is a ValueError, which says `otherwise`."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.width * image.height > most:
                raise Image.DecompressionBombError
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"{path} has too many pixels: it may have {most:,}") from None
    except (OSError, KeyError, ValueError, AttributeError, SyntaxError) as error:
        raise ValueError(f"{path} {otherwise} ({type(error).__name__})") from None


def read_growth(path: str | Path) -> tuple[list[int], Image.Image]:
    """The steps that growth.png shows, and its picture in RGB, a row for each. Raises ValueError for other files."""
    with _opened(path, MAX_PIXELS, "does not show how a training went") as image:
        steps = [int(step) for step in image.info["steps"].split()]
        sheet = image.convert("RGB")
    if not steps or sheet.height % len(steps):
        raise ValueError(f"{path} does not show how a training went ({len(steps)} moments in {sheet.height} rows)")
    return steps, sheet


def enlarge(image: Image.Image, factor: int) -> Image.Image:
    """The image with every pixel enlarged to factor × factor."""
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def tile_scale(size: int, columns: int, width: int = SHEET_WIDTH) -> int:
    """The factor by which to enlarge tiles of `size` pixels so that `columns` of them fill a width; 1 to 16."""
    return max(1, min(16, math.ceil(width / (columns * (size + 2)))))


def columns_of(n: int, height: int, width: int, aspect: float = 1.0) -> int:
    """Columns of a grid of n tiles (height, width) that is about `aspect` times as wide as high."""
    return fewest_columns(n, math.ceil(math.sqrt(n * aspect * height / width)))


def fewest_columns(n: int, columns: int) -> int:
    """The fewest columns in which n tiles take no more rows than in `columns`, at most: so the last row is fullest."""
    return math.ceil(n / math.ceil(n / columns))


def columns_of_groups(n: int, group: int, height: int, width: int) -> int:
    """Columns of a grid of n tiles (height, width), about as wide as high, whose rows hold whole groups of tiles."""
    return group * max(1, round(columns_of(n, height, width) / group))


def sheet_size(n: int, height: int, width: int, columns: int | None = None, scale: int | None = None,
               caption: int = 0) -> tuple[int, int]:
    """Width and height of the contact sheet of n images (height, width). caption: the height of a caption."""
    columns = columns or columns_of(n, height, width)
    scale = scale or tile_scale(width, columns)
    gap = max(2, scale)
    return columns * (width * scale + gap) + gap, math.ceil(n / columns) * (height * scale + gap + caption) + gap


def contact_sheet(x: Tensor, columns: int | None = None, scale: int | None = None,
                  captions: Sequence[str] | None = None) -> Image.Image:
    """Images (N, C, H, W) as one RGB sheet, row by row, on a dark ground with narrow gaps.

    Args:
        columns: by default for the squarest grid.
        scale: by how much each pixel is enlarged, by default to fill about 1200 pixels.
        captions: one short text under each image; lines are split at newlines.
    """
    n, _, height, width = x.shape
    columns = columns or columns_of(n, height, width)
    scale = scale or tile_scale(width, columns)
    gap = max(2, scale)
    caption = 0
    if captions:
        from PIL import ImageDraw, ImageFont

        font: Any = ImageFont.load_default(max(10, round(min(width, height) * scale * 0.12)))
        caption = max(caption.count("\n") + 1 for caption in captions) * sum(font.getmetrics())
    cell_w, cell_h = width * scale + gap, height * scale + gap + caption
    sheet = Image.new("RGB", sheet_size(n, height, width, columns, scale, caption), BACKGROUND)
    draw: Any = ImageDraw.Draw(sheet) if captions else None
    for i, image in enumerate(to_uint8(x)):
        left, top = gap + i % columns * cell_w, gap + i // columns * cell_h
        sheet.paste(enlarge(_pil(image), scale), (left, top))
        if captions:
            draw.multiline_text((left + width * scale / 2, top + height * scale), captions[i], INK, font, anchor="ma",
                                align="center", spacing=0)
    return sheet


def tiles(sheet: Image.Image, shape: tuple[int, ...], scale: int) -> Tensor:
    """The images (N, *shape) in [-1, 1] of a contact sheet without captions: the inverse of `contact_sheet`.

    Raises ValueError if such a sheet of images of that shape (C, H, W), enlarged `scale` times, has another size.
    """
    channels, height, width = shape
    gap = max(2, check_int(scale, 1, MAX_SIDE, "scale"))
    down, right = height * scale + gap, width * scale + gap
    require(sheet.width % right == gap and sheet.height % down == gap and min(sheet.size) > gap,
            f"the sheet of {sheet.width} by {sheet.height} pixels does not show images of {width} by {height} pixels")
    x = from_pil(sheet, channels)[:, gap::, gap::]
    x = x.unfold(1, height * scale, down).unfold(2, width * scale, right)  # (C, rows, columns, H × scale, W × scale)
    return x[..., ::scale, ::scale].permute(1, 2, 0, 3, 4).flatten(0, 1)


def write_gif(x: Tensor, path: str | Path, scale: int = 8, seconds: float = 2.0, closed: bool = False,
              comment: str | None = None) -> Path:
    """Write frames (N, C, H, W), 1 to 5,000, as a GIF that loops forever. Raises ValueError for wrong arguments.

    GIF times are in hundredths of a second, and browsers slow down frames shorter than two hundredths.

    Args:
        x: the frames.
        path: of the file, which is written completely or not at all.
        scale: by how much each pixel is enlarged.
        seconds: of the way from the first frame to the last; of a whole round if the path is closed. At most 300.
        closed: whether the first frame follows the last; otherwise the film goes there and back.
        comment: a text in ASCII.
    """
    frames, rate = _film(x, scale, seconds, closed, comment)
    duration = max(20, round(100 / rate) * 10)
    with replacing(path) as partial:
        frames[0].save(partial, format="GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0,
                       **({} if comment is None else {"comment": comment.encode("ascii")}))
    return Path(path)


def can_write_mp4() -> bool:
    """Whether PyAV and its H.264 encoder are available."""
    try:
        import av
    except ImportError:
        return False
    return ENCODER in av.codecs_available


def write_mp4(x: Tensor, path: str | Path, scale: int = 8, seconds: float = 2.0, closed: bool = False,
              comment: str | None = None) -> Path:
    """Write frames (N, C, H, W) as an MP4 that browsers play: one round, H.264. Arguments as in `write_gif`.

    Sides of an odd number of pixels get one pixel more, because H.264 needs even ones. At most 60 frames a second. The
    same frames give the same bytes. Raises ValueError without PyAV.
    """
    needs("MP4", "app", "av")
    require(can_write_mp4(), "MP4 needs an encoder of H.264, which this PyAV lacks: write a GIF, which needs none")
    import av

    frames, rate = _film(x, scale, seconds, closed, comment)
    with replacing(path) as partial, av.open(partial, "w", format="mp4", options=CONTAINER) as file:
        if comment is not None:
            file.metadata["comment"] = comment
        stream = file.add_stream(ENCODER, min(rate, Fraction(60)), options=ENCODING)
        stream.width, stream.height = (side + side % 2 for side in frames[0].size)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = 6, 1  # BT.601, 16 to 235: PyAV converts so
        for frame in frames:
            pixels = numpy.asarray(frame.convert("RGB"))
            pixels = numpy.pad(pixels, [(0, side % 2) for side in pixels.shape[:2]] + [(0, 0)], "edge")
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        file.mux(stream.encode(None))
    return Path(path)


def _film(x: Tensor, scale: int, seconds: float, closed: bool,
          comment: str | None) -> tuple[list[Image.Image], Fraction]:
    """The frames of one round of a loop, enlarged, and how many of them are shown in a second."""
    require(x.ndim == 4 and 0 < len(x) <= MAX_FRAMES,
            f"a film has 1 to {MAX_FRAMES:,} frames (N, C, H, W), not {tuple(x.shape)}")
    scale = check_int(scale, 1, max(1, MAX_SIDE // max(1, *x.shape[2:])), "scale")
    seconds = check_float(seconds, 0, MAX_SECONDS, "seconds", above=True)
    require(comment is None or (isinstance(comment, str) and comment.isascii()),
            f"a film's comment must be a text in ASCII, not {quoted(comment)}")
    frames = [enlarge(to_pil(image), scale) for image in x]
    rate = (max(1, len(x) - (not closed)) / Fraction(seconds)).limit_denominator(1000)
    return frames if closed else frames + frames[-2:0:-1], rate
