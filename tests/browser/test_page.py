"""The page in a real browser, as a visitor sees it."""

import json
import os
import shutil

import pytest

import ganlib
from tests.conftest import serve_page, untrained
from tests.fake_hub import FakeHub

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

PICTURES = {"Generate": "#sheet img", "Interpolate": "#strip img", "Lab": "#toy svg", "Quality": "#quality svg"}

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
        page.on("console", lambda message: message.type == "error" and self.wrong.append(message.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("requestfailed", self._failed)
        page.on("request", lambda request: request.url.startswith((address, "data:", "blob:"))
                or self.wrong.append(f"from elsewhere: {request.url}"))
        page.goto(address)
        page.wait_for_selector("#sheet img")

    def _failed(self, request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page hangs up on streams that it is done with
            self.wrong.append(f"{request.failure}: {request.url}")

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
    context = browser.new_context(**options)
    found = Visit(context.new_page(), address)
    yield found
    context.close()
    assert found.wrong == []


def test_each_tab_opens(visit):
    assert visit.page.title() == "ganlib"
    visit.page.locator("#status", has_text="dcgan on").wait_for()
    visit.tab("Interpolate")
    for name in ("gif", "still", "strip"):
        visit.page.locator(f"#{name} img").wait_for()
    visit.tab("Lab")
    visit.page.locator("#toy svg").first.wait_for()
    assert visit.page.locator("#toy svg").count() == 3
    visit.page.get_by_label("toy-sine").check()
    visit.page.get_by_text("sliced Wasserstein distance").wait_for()
    visit.tab("Quality")
    for name in ("growth", "nearest"):
        visit.page.locator(f"#{name} img").wait_for()
    visit.page.locator("#quality svg").first.wait_for()
    assert visit.page.locator("#quality svg").count() == 2
    assert "FID, digit-classifier features" in visit.page.locator("#measures table").inner_text()


def test_moving_the_seed_changes_the_picture_and_the_same_seed_brings_it_back(visit):
    first = visit.picture("sheet")
    visit.until_changed("sheet", lambda: visit.set_slider("seed", 4321))
    assert visit.picture("sheet") != first
    visit.until_changed("sheet", lambda: visit.set_slider("seed", 7))
    assert visit.picture("sheet") == first


def test_the_dice_roll_another_seed(visit):
    visit.until_changed("sheet", lambda: visit.page.locator("#dice").click())
    assert 0 <= int(visit.page.locator("#seed input[type=number]").input_value()) <= 9999


def test_scrubbing_changes_the_frame(visit):
    visit.tab("Interpolate")
    visit.page.locator("#still img").wait_for()
    visit.until_changed("still", lambda: visit.set_slider("position", 0.05))


def test_the_time_slider_goes_back_to_noise(visit):
    visit.tab("Quality")
    visit.page.locator("#growth img").wait_for()
    visit.until_changed("growth", lambda: visit.set_slider("moment", 0))
    visit.page.get_by_text("After 0 of").wait_for()


def test_the_sheet_can_be_downloaded_as_png(visit):
    with visit.page.expect_download() as download:
        visit.page.locator("#sheet").get_by_label("Download").click()
    assert download.value.suggested_filename.endswith(".png")
    with open(download.value.path(), "rb") as file:
        assert file.read(4) == b"\x89PNG"


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
                                   {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}],
                         indirect=True, ids=["phone", "desktop"])
def test_nothing_is_wider_than_the_screen(visit):
    for tab, picture in PICTURES.items():
        visit.tab(tab)
        visit.page.locator(picture).first.wait_for()
        assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), tab
    dark = visit.page.evaluate("document.body.classList.contains('dark')")
    assert dark == (visit.page.viewport_size["width"] == 390)


@pytest.fixture
def visit_to_a_host(browser, tmp_path):
    """A visit to a page whose Hub has a model of bob’s, in colour and with classes of strange names, and a foreign one.
    """
    model = untrained("cdcgan", shape=(3, 32, 32), num_classes=2)
    model.config["class_names"] = ["apples", "<img src=x onerror=alert(1)>"]
    ganlib.save(model, tmp_path / "model")
    with FakeHub() as server:
        files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
        server.put("bob/colours", files)
        foreign = {"architecture": {"kind": "<img src=https://evil.example/x.png>"}}
        server.put("bob/markup", {**files, "config.json": json.dumps(foreign).encode()})
        environment = server.environment(tmp_path / "home") | {"GANLIB_MODELS": "alice/<b>gone</b>"}
        with serve_page(tmp_path, environment) as address:
            context = browser.new_context()
            found = Visit(context.new_page(), address)
            yield found
            context.close()
    assert found.wrong == []


def test_a_visitor_opens_a_model_of_the_hub(visit_to_a_host):
    visit = visit_to_a_host
    visit.page.get_by_text("alice/<b>gone</b>: a model on the Hub is named user/repo.").wait_for()
    panel = visit.page.locator(".open-hub").locator("visible=true")
    panel.get_by_text("Open another").click()
    name, button = panel.get_by_placeholder("user/repo"), panel.get_by_role("button", name="Open", exact=True)
    name.fill("bob/nothing")
    button.click()
    visit.page.get_by_text("the Hub has no public model").first.wait_for()
    name.fill("bob/markup")
    button.click()
    visit.page.get_by_text("unknown architecture '<img src=https://evil.example/x.png>'").wait_for()
    name.fill(" bob/colours ")
    visit.until_changed("sheet", button.click)
    assert visit.page.get_by_label("bob/colours").is_checked()
    visit.page.locator("#status", has_text="bob/colours on").wait_for()
    visit.until_changed("sheet", visit.page.get_by_label("<img src=x onerror=alert(1)>").check)
    visit.until_changed("sheet", visit.page.get_by_label("mlp-gan").first.check)
    visit.page.locator("#status", has_text="mlp-gan on").wait_for()
    assert not visit.page.locator("#digit").is_visible()
