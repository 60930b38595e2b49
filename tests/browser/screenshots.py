"""python -m tests.browser.screenshots [FOLDER]: start the page; make the pictures of README, and those of all tabs.

docs/page.png, docs/lab.gif, docs/draw.gif, docs/course.md and its figures are made anew. FOLDER gets each tab, wide,
narrow, light and dark.
"""

import io
import math
import os
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.course import stills
from tests.browser.film import film, write
from tests.browser.test_page import CHROMIUM, FLAGS, PICTURES
from tests.conftest import serve_page

FOLDER = "build/screenshots"
DOCS = Path(__file__).parents[2] / "docs"
SCREENS = {"wide": {"width": 1280, "height": 860}, "narrow": {"width": 390, "height": 844}}
COLOURS = 128  # of docs/page.png; docs/draw.gif has fewer, and stays below 400 kB


def arc(x: float, y: float, radius: float, start: int, end: int) -> list[tuple[float, float]]:
    """Points of a circle, in shares of the drawing field, from an angle to another, clockwise from the right."""
    return [(x + radius * math.cos(math.radians(angle)), y + radius * math.sin(math.radians(angle)))
            for angle in range(start, end + 1, 15)]


THREE = arc(0.49, 0.35, 0.15, -150, 80) + arc(0.49, 0.66, 0.17, -80, 150)
EIGHT = [(0.5 - 0.16 * math.sin(2 * t), 0.5 - 0.3 * math.cos(t)) for t in (i * math.tau / 30 for i in range(31))]


def tabs(browser, address: str, folder: Path) -> None:
    """All tabs on all screens, and docs/page.png, which is one of them in few colours."""
    folder.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        for screen, viewport in SCREENS.items():
            context = browser.new_context(viewport=viewport, color_scheme=scheme)
            page = context.new_page()
            page.goto(address)
            for tab, picture in PICTURES.items():
                page.get_by_role("tab", name=tab).click()
                page.locator(picture).first.wait_for()
                page.wait_for_timeout(1_000)  # for the pictures that follow the first
                page.screenshot(path=folder / f"{tab.lower().replace(' ', '-')}-{screen}-{scheme}.png", full_page=True)
            context.close()
    with Image.open(folder / "generate-wide-light.png") as shown:
        few = shown.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(DOCS / "page.png", optimize=True)


class Draw:
    """The frames of docs/draw.gif: a drawn 3 and a drawn 8, what the generator finds, and the walk between both."""

    def __init__(self, browser, address: str):
        self.page = browser.new_page(viewport={"width": 960, "height": 900}, color_scheme="dark",
                                     reduced_motion="reduce")
        self.page.set_default_timeout(120_000)
        self.address, self.frames, self.durations = address, [], []

    def shoot(self, stage: str, milliseconds: int) -> None:
        box = self.page.locator(stage).bounding_box()
        clip = {**box, "width": 896, "height": 620}
        with Image.open(io.BytesIO(self.page.screenshot(clip=clip, full_page=True))) as shown:
            self.frames.append(shown.convert("RGB"))
        self.durations.append(milliseconds)

    def draw(self, stroke: list[tuple[float, float]]) -> None:
        mouse, box = self.page.mouse, self.page.locator("#draw [data-part=canvas]").bounding_box()
        for i, (x, y) in enumerate(stroke):
            mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=2)
            if i == 0:
                mouse.down()
            elif i % 6 == 0:
                self.page.wait_for_timeout(300)  # for the answers
                self.shoot("#draw .draw", 200)
        mouse.up()

    def find(self, stroke: list[tuple[float, float]]) -> str:
        """Draw, find, and return the waypoint that was found."""
        self.page.goto(f"{self.address}?tab=draw")
        self.page.locator("#draw [data-part=examples] button").first.wait_for()
        self.draw(stroke)
        self.page.get_by_role("button", name="Find it").click()
        self.page.locator("#draw [data-part=next]").wait_for()
        self.page.wait_for_timeout(300)
        self.shoot("#draw .draw", 1_500)
        self.page.locator("#draw").get_by_role("button", name="Copy link").click()
        link = self.page.locator("#draw").get_by_label("Link", exact=True).input_value()
        return link.partition("latent=")[2].partition("&")[0]

    def walk(self, points: list[str]) -> None:
        self.page.goto(f"{self.address}?tab=interpolate&steps=24&waypoints={','.join(points)}")
        self.page.locator(PICTURES["Interpolate"]).first.wait_for()
        self.page.wait_for_timeout(1_000)
        for position in range(24):
            self.page.locator("#interpolate").get_by_label("Position", exact=True).fill(str(position))
            self.shoot("#interpolate .interpolate", 1_500 if position == 23 else 500 if position == 0 else 90)


def draw(browser, address: str, file: Path) -> None:
    shown = Draw(browser, address)
    shown.walk([shown.find(THREE), shown.find(EIGHT)])
    shown.page.close()
    write(shown.frames, file, shown.durations, COLOURS // 2, share=0.65)


def main(folder: str = FOLDER) -> None:
    with tempfile.TemporaryDirectory() as kept, serve_page(Path(kept), os.environ) as address, \
            sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tabs(browser, address, Path(folder))
        stills(browser, address)
        draw(browser, address, DOCS / "draw.gif")
        film(browser, address, DOCS / "lab.gif")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
