"""Sample tensors to pictures and back: PNG, animated GIF, contact sheets. Pixels are enlarged without blur.

Images are (N, C, H, W) or (C, H, W) float in [-1, 1], with 1 channel (grey) or 3 (RGB). Knows nothing of models.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

BACKGROUND = (13, 15, 22)
INK = (196, 202, 216)
MOMENTS, GROWTH_SEEDS = 40, 32  # of a training's fixed seeds: moments that are kept after the start, and how many seeds
SHEET_WIDTH = 1200  # pixels a sheet aims at: more than a page shows, so that a page only ever shrinks it


def to_uint8(x: Tensor) -> Tensor:
    """Float samples in [-1, 1] to uint8 pixels of the same shape, on the CPU."""
    return x.detach().float().cpu().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_pil(x: Tensor) -> Image.Image:
    """One image (C, H, W) to a PIL image, grey for one channel. Raises ValueError for another number of channels."""
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        raise ValueError(f"an image is (1 or 3, H, W), not {tuple(x.shape)}")
    pixels = to_uint8(x).permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[:, :, 0] if x.shape[0] == 1 else numpy.ascontiguousarray(pixels))


def from_pil(image: Image.Image, channels: int = 1) -> Tensor:
    """A PIL image to (channels, H, W) float32 in [-1, 1]; the inverse of `to_pil`."""
    pixels = numpy.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=numpy.float32)
    return torch.from_numpy(pixels.reshape(image.height, image.width, channels)).permute(2, 0, 1) / 127.5 - 1


def read(path: str | Path) -> Image.Image:
    """A picture that is wholly in memory. Raises ValueError for a file that is none."""
    try:
        with Image.open(path) as image:
            return image.convert("L" if image.mode == "L" else "RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"{path} is not a readable image ({type(error).__name__})") from None


def read_growth(path: str | Path) -> tuple[list[int], Image.Image]:
    """The picture of a training's fixed seeds, a row for each moment, and the steps of these moments.

    Raises ValueError for a file that is no such picture.
    """
    try:
        with Image.open(path) as image:
            steps = [int(step) for step in image.text["steps"].split()]
            sheet = image.convert("RGB")
    except (OSError, KeyError, ValueError, AttributeError, SyntaxError) as error:
        raise ValueError(f"{path} does not show how a training went ({type(error).__name__})") from None
    if not steps or sheet.height % len(steps):
        raise ValueError(f"{path} does not show how a training went ({len(steps)} moments in {sheet.height} rows)")
    return steps, sheet


def enlarge(image: Image.Image, factor: int) -> Image.Image:
    """The image with every pixel a square of factor × factor."""
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def tile_scale(size: int, columns: int, width: int = SHEET_WIDTH) -> int:
    """How many times to enlarge tiles of `size` pixels so that `columns` of them fill a width; 1 to 16."""
    return max(1, min(16, math.ceil(width / (columns * (size + 2)))))


def contact_sheet(x: Tensor, columns: int | None = None, scale: int | None = None,
                  captions: Sequence[str] | None = None) -> Image.Image:
    """Images (N, C, H, W) as one RGB sheet, row by row, on a dark ground with narrow gaps.

    columns: None for the squarest grid. scale: how many times each pixel is enlarged, None to fill about 1200 pixels.
    captions: one short text under each image; lines are split at newlines.
    """
    n, _, height, width = x.shape
    columns = columns or math.ceil(math.sqrt(n))
    scale = scale or tile_scale(width, columns)
    rows = math.ceil(n / columns)
    gap = max(2, scale)
    font = ImageFont.load_default(max(10, round(width * scale * 0.12)))
    lines = max((caption.count("\n") + 1 for caption in captions), default=0) if captions else 0
    line_height = sum(font.getmetrics()) if lines else 0
    cell_w, cell_h = width * scale + gap, height * scale + gap + lines * line_height
    sheet = Image.new("RGB", (columns * cell_w + gap, rows * cell_h + gap), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for i, image in enumerate(x):
        left, top = gap + i % columns * cell_w, gap + i // columns * cell_h
        sheet.paste(enlarge(to_pil(image), scale), (left, top))
        if captions:
            draw.multiline_text((left + width * scale / 2, top + height * scale), captions[i], INK, font, anchor="ma",
                                align="center", spacing=0)
    return sheet


def write_gif(x: Tensor, path: str | Path, scale: int = 8, seconds: float = 2.0) -> Path:
    """Frames (N, C, H, W) as a GIF that loops forever, there and back, in `seconds` each way.

    GIF times are in hundredths of a second, and browsers slow down frames shorter than two of them.
    """
    frames = [enlarge(to_pil(image), scale) for image in x]
    frames += frames[-2:0:-1]
    duration = max(20, round(seconds * 100 / max(1, len(x) - 1)) * 10)
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    frames[0].save(partial, format="GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0)
    os.replace(partial, path)
    return path
