"""python -m tests.browser.film FILE [ADDRESS] [QUERY]: a GIF of the lab as a running page saves it, in few colours."""

import sys
from pathlib import Path

from PIL import Image, ImageSequence
from playwright.sync_api import sync_playwright

from tests.browser.test_page import CHROMIUM, FLAGS

QUERY = "story=fair-fight"
COLOURS, EVERY, END = 224, 2, 2_000  # of the GIF; which of its frames are kept; milliseconds that the last one stands


def write(frames: list[Image.Image], file: str | Path, durations: list[int], colours: int = COLOURS,
          share: float = 0.75) -> None:
    """A GIF of the frames, made smaller by `share`, each shown for so many milliseconds."""
    kept = [frame.resize((round(frame.width * share), round(frame.height * share)), Image.Resampling.LANCZOS)
            for frame in frames]
    # one palette for all, so that what stands still stays the same; this method keeps the colours of small dots
    seen = Image.new("RGB", (kept[0].width, 2 * kept[0].height))
    for i, frame in enumerate((kept[len(kept) // 4], kept[len(kept) // 2])):
        seen.paste(frame, (0, i * frame.height))
    palette = seen.quantize(colours, Image.Quantize.MAXCOVERAGE)
    kept = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in kept]
    kept[0].save(file, save_all=True, append_images=kept[1:], duration=durations, loop=0, optimize=False)
    print(f"{file}: {len(kept)} frames, {Path(file).stat().st_size / 1e3:.0f} kB")


def film(browser, address: str, file: str | Path, query: str = QUERY) -> None:
    """The GIF of a story or a film of the lab."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000}, color_scheme="dark")
    page.set_default_timeout(300_000)
    page.goto(f"{address}?{query}")
    page.wait_for_function("""() => {
        const stage = document.querySelector("#lab .lab")?.ganlab?.stage;
        return stage?.film?.frames.length > 20 && !stage.playing;
    }""")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save film").click()
    with Image.open(download.value.path()) as saved:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(saved)]
    page.close()
    kept = [*frames[:-1:EVERY], frames[-1]]
    write(kept, file, [120] * (len(kept) - 1) + [END])


def main(file: str, address: str = "http://127.0.0.1:7860", query: str = QUERY) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        film(browser, address, file, query)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
