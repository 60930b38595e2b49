"""python -m tests.browser.screenshots FOLDER [ADDRESS]: the tabs of a running page, wide, narrow, light, dark."""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.test_page import CHROMIUM, FLAGS, PICTURES

SCREENS = {"wide": {"width": 1280, "height": 860}, "narrow": {"width": 390, "height": 844}}


def main(folder: str, address: str = "http://127.0.0.1:7860") -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for scheme in ("light", "dark"):
            for screen, viewport in SCREENS.items():
                context = browser.new_context(viewport=viewport, color_scheme=scheme)
                page = context.new_page()
                page.goto(address)
                for tab, picture in PICTURES.items():
                    page.get_by_role("tab", name=tab).click()
                    page.locator(picture).first.wait_for()
                    page.wait_for_timeout(1_000)  # for the pictures that follow the first
                    name = tab.split()[0].lower()
                    page.screenshot(path=Path(folder) / f"{name}-{screen}-{scheme}.png", full_page=True)
                context.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
