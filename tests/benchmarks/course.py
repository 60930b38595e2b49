"""python -m tests.benchmarks.course: milliseconds from a key or click on each figure of the course until it changed.

In a window of Chromium that is 1,280 pixels wide; the page's server is on the same processors. Medians of PRESSES, and
the slowest. What the server has to compute is included.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from ganlib import console
from ganlib.demo import course
from tests.browser.test_page import CHROMIUM, FLAGS, WIDE
from tests.conftest import serve_page

PRESSES = 9  # the first one is not counted
SETTLED = 4_000  # milliseconds until a figure is loaded
# for each figure: the name of a slider that is moved by keys, or of a button that is pressed; and what tells that the
# figure has changed, of its dataset
KEYS = {"noise": ("PageUp", "PageDown")}  # of sliders whose arrow keys do something else
CONTROLS = {
    "classifiers": ("Spread", "points"), "noise": ("Numbers that choose a category", "answers"),
    "entropy": ("D(x)", "real"), "gradients": ("Logit a", "logit"), "steps": ("Train the discriminator", "map"),
    "optimum": ("Mean of q", "mean"), "mean": ("Real digits", "count"), "troubles": ("Time", "position"),
    "networks": ("New seeds", "seeds"), "pair": ("Another digit", "vae"),
}
# milliseconds from the next key or click until the value has changed and is painted
WATCH = """([figure, key]) => {
    const {dataset} = document.querySelector(`#how [data-figure=${figure}]`), before = dataset[key];
    window.reaction = new Promise((resolve) => {
        const begin = () => {
            const start = performance.now();
            const look = () => dataset[key] !== undefined && dataset[key] !== before
                ? requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)))
                : setTimeout(look);
            look();
        };
        for (const name of ["keydown", "click"]) {
            document.addEventListener(name, begin, {capture: true, once: true});
        }
    });
}"""


def reactions(page: Page, figure: str) -> list[float]:
    """The milliseconds of each press."""
    name, key = CONTROLS[figure]
    place = page.locator(f"#how [data-figure={figure}]")
    slider = place.get_by_role("slider", name=name, exact=True)
    found = []
    for turn in range(PRESSES):
        page.evaluate(WATCH, [figure, key])
        if slider.count():
            slider.first.press(KEYS.get(figure, ("ArrowLeft", "ArrowRight"))[turn % 2])
        else:
            place.get_by_role("button", name=name).first.click()
        found.append(page.evaluate("window.reaction"))
        page.wait_for_timeout(300)
    return found[1:]


@console.command
def main() -> None:
    with tempfile.TemporaryDirectory() as folder, serve_page(Path(folder), os.environ) as address, \
            sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(**WIDE, reduced_motion="reduce").new_page()
        for step in course.steps():
            page.goto(f"{address}/?tab=how&step={step.number}")
            page.locator(f"#how [data-figure={step.figure}]").wait_for()
            page.wait_for_timeout(SETTLED)
            times = reactions(page, step.figure)
            print(f"{step.number:2} {step.figure:12} {CONTROLS[step.figure][0]:32} {statistics.median(times):6.0f} ms, "
                  f"{max(times):.0f} at most", flush=True)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
