"""python -m tests.benchmarks.folder: a folder of many pictures, opened for the first and for the second time."""

import argparse
import tempfile
import time
from pathlib import Path

import numpy
from PIL import Image

from ganlib import picture_cache
from ganlib.pictures import look, read

SHAPE = (3, 64, 64)


def draw(folder: Path, count: int) -> None:
    """Noise with an alpha channel, 64×64 pixels and about 11 KB each, in ten classes."""
    random = numpy.random.RandomState(0)
    soft = [Image.fromarray(random.randint(256, size=(12, 12, 4), dtype=numpy.uint8)).resize((64, 64), 3)
            for _ in range(200)]
    for i in range(count):
        path = folder / str(i % 10) / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        soft[i % 200].rotate(i // 200 * 1.4).save(path, compress_level=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=50_000, help="pictures (default: 50000)")
    parser.add_argument("--folder", type=Path, help="of one's own pictures (default: draw some)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary, "pictures")
        if arguments.folder is None:
            folder.mkdir()
            draw(folder, arguments.n)
        picture_cache.KEPT_FROM = 0.0
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            found = read(look(folder), SHAPE, None, Path(temporary, "cache"))
            seconds.append(time.perf_counter() - start)
    first, *again = seconds
    print(f"{len(found.images):,} pictures to {SHAPE}: {first:.1f} s the first time, {min(again):.1f} s from the cache "
          f"({first / min(again):.0f} times faster)")


if __name__ == "__main__":
    main()
