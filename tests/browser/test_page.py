"""The page in a real browser, as a visitor sees it."""

import os
import shutil

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

# the tabs, and what each of them shows first
PICTURES = {"Generate": "#sheet img", "Draw": "#draw [data-part=canvas]", "Interpolate": "#interpolate [data-frames]",
            "Explore": "#explore [data-part=large]", "Game": "#game [data-part=canvas]", "Lab": "#toy svg",
            "Quality": "#quality svg", "How it works": "#how .how-figure canvas"}
WIDE = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
NARROW = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
MOST_SHIFT = 0.05  # cumulative layout shift, which Google calls good below 0.1
# what moves by itself, not within half a second after a visitor's input: how far, and which elements
WATCH_SHIFTS = """window.shifts = [];
new PerformanceObserver((list) => shifts.push(...list.getEntries().filter(({hadRecentInput}) => !hadRecentInput)
    .map(({value, sources}) => [value, sources.map(({node}) => node?.outerHTML?.slice(0, 80) ?? "")])))
    .observe({type: "layout-shift", buffered: true});"""

# they keep the browser itself from calling home
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


class Visit:
    """A page that is open, with all that went wrong in it."""

    def __init__(self, page, address: str):
        self.page, self.wrong = page, []
        page.set_default_timeout(60_000)
        page.on("console", lambda message: message.type == "error" and self.wrong.append(
            f"{message.text} {message.location['url']}"))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("requestfailed", self._failed)
        page.on("request", lambda request: request.url.startswith((address, "data:", "blob:"))
                or self.wrong.append(f"from elsewhere: {request.url}"))
        page.add_init_script(WATCH_SHIFTS)
        page.goto(address)
        page.wait_for_selector("#sheet img")

    def _failed(self, request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page hangs up on streams that it is done with
            self.wrong.append(f"{request.failure}: {request.url}")

    def leave(self) -> None:
        """Leave the page. It hangs up on what it still waits for, which its own log calls errors: they do not count."""
        wrong = list(self.wrong)
        self.page.goto("about:blank")
        self.wrong[:] = wrong

    def go(self, address: str) -> None:
        """Leave the page and open another."""
        self.leave()
        self.page.goto(address)

    def close(self) -> None:
        """Leave the page and close its context, with all its pages."""
        self.leave()
        self.page.context.close()

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()

    def picture(self, name: str) -> bytes:
        """The bytes of the image that is shown in the component of that id."""
        return self.page.evaluate("""async name => {
            const response = await fetch(document.querySelector(`#${name} img`).src);
            return Array.from(new Uint8Array(await response.arrayBuffer()));
        }""", name)

    def set_slider(self, name: str, value: float) -> None:
        """Drag a slider, as its range input sees it."""
        self.page.locator(f"#{name} input[type=range]").evaluate("""(slider, value) => {
            slider.value = value;
            slider.dispatchEvent(new Event("input", {bubbles: true}));
            slider.dispatchEvent(new Event("change", {bubbles: true}));
        }""", value)

    def until_changed(self, name: str, change) -> None:
        """Do something, and wait until another picture is shown."""
        before = self.page.locator(f"#{name} img").get_attribute("src")
        change()
        self.page.wait_for_function("([name, before]) => document.querySelector(`#${name} img`).src !== before",
                                    arg=[name, before])


@pytest.fixture
def visit(browser, address, request):
    options = getattr(request, "param", {})
    found = Visit(browser.new_context(**options).new_page(), address)
    yield found
    found.close()
    assert found.wrong == []


@pytest.mark.parametrize("visit", [pytest.param(NARROW, id="phone", marks=pytest.mark.slow),
                                   pytest.param(WIDE, id="desktop")], indirect=True)
def test_each_tab_opens_and_fits_the_screen(visit):
    page, width = visit.page, visit.page.viewport_size["width"]
    assert page.title() == "ganlib"
    assert page.evaluate("document.body.classList.contains('dark')") == (width == 390)
    assert page.get_by_role("tab").all_inner_texts() == list(PICTURES)
    for name, picture in PICTURES.items():
        tab = page.get_by_role("tab", name=name)
        tab.click()
        page.locator(picture).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        box = tab.bounding_box()
        assert box["height"] >= 32, name
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width, name
    visit.tab("Quality")
    for name in ("growth", "nearest"):
        page.locator(f"#{name} img").wait_for()
    assert page.locator("#quality svg").count() == 2
    assert "FID, digit-classifier features" in page.locator("#measures table").inner_text()
    shifts = page.evaluate("shifts")
    assert sum(value for value, _ in shifts) < MOST_SHIFT, "\n".join(map(str, shifts))
    visit.until_changed("growth", lambda: visit.set_slider("moment", 0))
    page.get_by_text("After 0 of").wait_for()
    visit.tab("Lab")
    assert page.locator("#toy svg").count() == 3
    page.get_by_label("toy-sine").check()
    page.get_by_text("sliced Wasserstein distance").wait_for()


def test_the_controls_change_the_picture(visit):
    first = visit.picture("sheet")
    visit.until_changed("sheet", lambda: visit.set_slider("seed", 4321))
    assert visit.picture("sheet") != first
    visit.until_changed("sheet", lambda: visit.set_slider("seed", 7))
    assert visit.picture("sheet") == first  # the same seed brings it back
    visit.until_changed("sheet", lambda: visit.page.locator("#dice").click())
    assert 0 <= int(visit.page.locator("#seed input[type=number]").input_value()) <= 9999
    visit.page.get_by_label("cdcgan").first.focus()
    visit.until_changed("sheet", lambda: visit.page.keyboard.press("ArrowRight"))  # as in any group of radio buttons
    visit.page.locator("#status", has_text="dcgan on").wait_for()
