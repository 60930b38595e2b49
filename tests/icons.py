"""python -m tests.icons FOLDER: draw the transparent icons that the README trains on, the same ones each time."""

import argparse
import colorsys
import math
import random
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

CANVAS, SIZE = 256, 64  # pixels: drawn large, then shrunk, so that edges are smooth
Point = tuple[float, float]


def disc() -> list[Point]:
    return [(math.cos(turn), math.sin(turn)) for turn in _turns(60)]


def star() -> list[Point]:
    tilt = random.uniform(0, math.tau)
    return [((1, 0.45)[i % 2] * math.sin(turn + tilt), (1, 0.45)[i % 2] * math.cos(turn + tilt))
            for i, turn in enumerate(_turns(10))]


def heart() -> list[Point]:
    def height(t: float) -> float:
        return -13 * math.cos(t) + 5 * math.cos(2 * t) + 2 * math.cos(3 * t) + math.cos(4 * t)

    return [(0.94 * math.sin(t) ** 3, height(t) / 17) for t in _turns(100)]


def drop() -> list[Point]:
    return [(0.8 * math.sin(t) * math.sin(t / 2) ** 1.5, -math.cos(t)) for t in _turns(100)]


KINDS: dict[str, Callable[[], list[Point]]] = {"disc": disc, "drop": drop, "heart": heart, "star": star}


def _turns(n: int) -> list[float]:
    return [math.tau * i / n for i in range(n)]


def icon(outline: list[Point]) -> Image.Image:
    """A shape of a random colour, size and place on a transparent ground."""
    colour = tuple(round(255 * share) for share in colorsys.hsv_to_rgb(random.random(), 0.8, 0.9))
    radius = random.uniform(0.25, 0.42) * CANVAS
    x, y = (CANVAS / 2 + random.uniform(-0.06, 0.06) * CANVAS for _ in range(2))
    image = Image.new("RGBA", (CANVAS, CANVAS), (0, 0, 0, 0))
    ImageDraw.Draw(image).polygon([(x + radius * a, y + radius * b) for a, b in outline], (*colour, 255))
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def draw(folder: Path, count: int) -> None:
    """Draws `count` icons of each kind, in a subfolder of its name."""
    random.seed(0)
    for kind, outline in KINDS.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            icon(outline()).save(folder / kind / f"{i}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.icons", description=__doc__.partition(": ")[2])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="is made if it is missing")
    parser.add_argument("-n", type=int, default=200, help="icons of each kind (default: 200)")
    arguments = parser.parse_args()
    draw(arguments.folder, arguments.n)
