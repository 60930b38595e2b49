"""python -m tests.browser.film FILE [ADDRESS] [QUERY]: a GIF of the lab as a running page saves it, in few colours."""

import sys
from pathlib import Path

from PIL import Image, ImageSequence
from playwright.sync_api import sync_playwright

from tests.browser.test_page import CHROMIUM, FLAGS

COLOURS, EVERY, END = 224, 2, 2_000  # of the GIF; which of its frames are kept; milliseconds that the last one stands


def main(file: str, address: str = "http://127.0.0.1:7860", query: str = "story=fair-fight") -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000}, color_scheme="dark")
        page.set_default_timeout(300_000)
        page.goto(f"{address}?{query}")
        page.wait_for_function("""() => {
            const stage = document.querySelector("#lab .lab")?.ganlab?.stage;
            return stage?.film?.frames.length > 20 && !stage.playing;
        }""")
        with page.expect_download() as download:
            page.get_by_role("button", name="Save film").click()
        with Image.open(download.value.path()) as film:
            frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(film)]
        browser.close()
    kept = [frame.resize((frame.width * 3 // 4, frame.height * 3 // 4), Image.Resampling.LANCZOS)
            for frame in [*frames[:-1:EVERY], frames[-1]]]
    # one palette for all, so that what stands still stays the same; this method keeps the colours of small dots
    palette = kept[len(kept) // 2].quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    kept = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in kept]
    durations = [120] * (len(kept) - 1) + [END]
    kept[0].save(file, save_all=True, append_images=kept[1:], duration=durations, loop=0, optimize=False)
    print(f"{file}: {len(kept)} frames, {Path(file).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
