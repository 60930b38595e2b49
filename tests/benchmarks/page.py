"""python -m tests.benchmarks.page: milliseconds of what the page does when a control moves, model by model; and, where
there is a Chromium, of its first paint and first picture, with how far its parts jump on the way, and of the course."""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ganlib import console, images
from ganlib.demo import generate, interpolate, models, quality, toy
from tests.browser.test_page import CHROMIUM, FLAGS, NARROW, PICTURES, WATCH_SHIFTS, WIDE
from tests.conftest import serve_page

REPEATS, VISITS = 15, 5
# milliseconds from a click on each step of the course until its text and its figure are painted
STEPS_OF_COURSE = """async () => {
    const found = [];
    for (const link of [...document.querySelectorAll("#how .how-steps a")].slice(1)) {
        const start = performance.now();
        link.click();
        await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
        found.push(performance.now() - start);
        await new Promise((resolve) => setTimeout(resolve, 500));
    }
    return found;
}"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def milliseconds(action: Callable[[], object]) -> str:
    """Median, and the span, over REPEATS runs after two that are not counted."""
    times = []
    for i in range(REPEATS + 2):
        start = time.perf_counter()
        action()
        if i >= 2:
            times.append((time.perf_counter() - start) * 1000)
    return f"{statistics.median(times):7.1f} ms ({min(times):.1f} to {max(times):.1f})"


def paints() -> None:
    """Print the first paints of fresh windows: medians, and cumulative layout shifts while all tabs are opened."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, serve_page(Path(folder), os.environ) as address, \
            sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for screen in (WIDE, NARROW):
            paint, picture, shifts = zip(*(_visit(browser, address, screen) for _ in range(VISITS)))
            print(f"{screen['viewport']['width']} pixels wide: first paint {statistics.median(paint):.0f} ms, first "
                  f"picture {statistics.median(picture):.0f} ms, layout shift of all tabs {max(shifts):.4f} at most")
            steps = _steps(browser, address, screen)
            print(f"  a step of the course: {statistics.median(steps):.0f} ms, {max(steps):.0f} ms at most")
        browser.close()


def _steps(browser, address: str, screen: dict) -> list[float]:
    """Milliseconds of each change of step in a fresh window, in which each figure begins."""
    context = browser.new_context(**screen)
    page = context.new_page()
    page.goto(f"{address}/?tab=how")
    page.locator("#how .katex-display >> visible=true").first.wait_for()
    found = page.evaluate(STEPS_OF_COURSE)
    context.close()
    return found


def _visit(browser, address: str, screen: dict) -> tuple[float, float, float]:
    context = browser.new_context(**screen)
    page = context.new_page()
    page.add_init_script(WATCH_SHIFTS)
    page.goto(address)
    page.wait_for_function("document.querySelector('#sheet img')?.naturalWidth")
    picture = page.evaluate("performance.now()")
    for tab, shown in PICTURES.items():
        page.get_by_role("tab", name=tab).click()
        page.locator(shown).first.wait_for()
        page.wait_for_timeout(1_000)
    found = page.evaluate(PAINTED), picture, page.evaluate("shifts.reduce((sum, [value]) => sum + value, 0)")
    context.close()
    return found


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
    if CHROMIUM:
        paints()


if __name__ == "__main__":
    sys.exit(main())
