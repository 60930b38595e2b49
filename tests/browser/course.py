"""python -m tests.browser.course: start the page; make docs/course.md, and a still of each figure in docs/course."""

import io
import os
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from ganlib.demo import course
from tests.browser.test_page import CHROMIUM, FLAGS
from tests.conftest import serve_page

DOCS = Path(__file__).parents[2] / "docs"
SCREEN = {"viewport": {"width": 1280, "height": 860}, "device_scale_factor": 2}
SETTLED = 3_000  # milliseconds until a figure rests
SEARCHED = "() => !/search: \\d+%/.test(document.querySelector('#how .how-place').innerText)"  # for the GAN's latent


def stills(browser, address: str) -> None:
    """The text and the figures, light."""
    page = browser.new_page(**SCREEN, color_scheme="light", reduced_motion="reduce")
    page.set_default_timeout(300_000)
    page.goto(f"{address}?tab=how")
    folder = DOCS / "course"
    folder.mkdir(exist_ok=True)
    for step in course.steps():
        page.locator("#how .how-steps a").nth(step.number - 1).click()
        page.locator(f"#how [data-figure={step.figure}]").wait_for()
        page.wait_for_timeout(SETTLED)
        page.wait_for_function(SEARCHED)
        with Image.open(io.BytesIO(page.locator("#how .how-place").screenshot())) as shown:
            shown.convert("RGB").save(folder / f"{step.number:02}.png", optimize=True)
    page.close()
    (DOCS / "course.md").write_text(course.document(), encoding="utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as kept, serve_page(Path(kept), os.environ) as address, \
            sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stills(browser, address)
        browser.close()


if __name__ == "__main__":
    main()
