"""python -m tests.benchmarks start: whole processes, from their start to their end."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.rows import Row, in_turn

PAIRS = 15
FIRST_PICTURE = """
import sys
import ganlib
from ganlib import images
picture = ganlib.load("cdcgan").sample([7], 3)
with open(sys.argv[1], "wb") as file:
    file.write(images.to_png(images.to_pil(picture[0])))
"""


def seconds(code: str, *arguments: str) -> Callable[[], float]:
    """How long a Python program takes."""
    def run() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, *arguments], check=True)
        return time.perf_counter() - start
    return run


def rows() -> Iterator[Row]:
    """The page's start is in `tests.benchmarks.serving`."""
    with tempfile.TemporaryDirectory() as folder:
        ours = seconds(FIRST_PICTURE, str(Path(folder, "seven.png")))
        yield Row("load cdcgan and write its first picture, whole process", "import torch", "s",
                  **in_turn(seconds("import torch"), ours, PAIRS, 2), at_most=1.15,
                  note="ours imports torch, too")
