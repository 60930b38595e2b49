"""python -m tests.benchmarks.page: milliseconds of what the page does when a control moves, model by model."""

import statistics
import sys
import time
from collections.abc import Callable

from ganlib import console, images
from ganlib.demo import generate, interpolate, models, quality, toy

REPEATS = 15


def milliseconds(action: Callable[[], object]) -> str:
    """Median, and the span, over REPEATS runs after two that are not counted."""
    times = []
    for i in range(REPEATS + 2):
        start = time.perf_counter()
        action()
        if i >= 2:
            times.append((time.perf_counter() - start) * 1000)
    return f"{statistics.median(times):7.1f} ms ({min(times):.1f} to {max(times):.1f})"


@console.command
def main() -> None:
    for name in models.image_models():
        model = models.get(name)
        print(f"{name} on {model.device.type}")
        print("  64 pictures, the model alone  ", milliseconds(lambda m=model: m.sample(range(64))))
        print("  /generate, 25 pictures        ", milliseconds(lambda n=name: generate.generate(n, 7, 25, 1.0, [])))
        print("  /generate, 100, with captions ",
              milliseconds(lambda n=name: generate.generate(n, 7, 100, 1.0, ["seed", "opinion"])))
        print("  /interpolate, 32 steps        ",
              milliseconds(lambda n=name: interpolate.interpolate(n, 3, 8, 32, "slerp")))
        print("  /frame                        ", milliseconds(lambda n=name: interpolate.frame(n, 3, 8, "slerp", 0.5)))
        print("  /quality, 1,000 samples       ", milliseconds(lambda n=name: quality.quality(n, 7)))
        print("  /growth                       ", milliseconds(lambda n=name: quality.growth(n, 20)))
    for name in models.toy_models():
        print(f"{name}\n  /toy, 2,000 samples           ", milliseconds(lambda n=name: toy.toy(n, 2_000, 7)))
    sheet = images.contact_sheet(models.get(models.image_models()[0]).sample(range(25)))
    print("a contact sheet of 25 is", sheet.size)


if __name__ == "__main__":
    sys.exit(main())
