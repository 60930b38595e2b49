"""What a visitor takes home: links, and pictures that open their settings again."""

import base64
import io

import pytest
from PIL import Image

from ganlib import passport
from tests.browser.test_page import CHROMIUM, Visit, browser, visit  # noqa: F401, fixtures

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")

DROP = """([data, name]) => {
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    const dataTransfer = new DataTransfer(), on = document.querySelector("h1");
    dataTransfer.items.add(new File([bytes], name));
    for (const kind of ["dragover", "drop"]) {
        on.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer}));
        if (kind === "dragover") window.hinted = !document.querySelector("#drop-hint").hidden;
    }
}"""
DRAWN = """selector => {
    const found = document.querySelector(selector);
    if (!found) return null;
    if (found instanceof HTMLImageElement) return found.complete && found.naturalWidth ? found.src : null;
    const {data} = found.getContext("2d").getImageData(0, 0, found.width, found.height);
    return data.some((value, i) => i % 4 < 3 && value !== data[i % 4]) ? found.toDataURL() : null;
}"""


def drop(page, data: bytes, name: str) -> None:
    page.evaluate(DROP, [base64.b64encode(data).decode(), name])


def saved(page, press) -> bytes:
    """The bytes of the file that a button makes."""
    with page.expect_download() as download:
        press()
    with open(download.value.path(), "rb") as file:
        return file.read()


def stamped(values: dict) -> bytes:
    """A picture with a foreign passport."""
    file = io.BytesIO()
    passport.save(Image.new("L", (8, 8)), file, values)
    return file.getvalue()


def test_a_picture_that_is_dropped_on_the_page_opens_its_settings(visit, address):  # noqa: F811
    page = visit.page
    visit.until_changed("sheet", lambda: visit.set_slider("seed", 4321))
    visit.until_changed("sheet", page.get_by_role("radio", name="5", exact=True).first.check)
    page.get_by_role("button", name="Copy link").locator("visible=true").click()
    assert page.locator("#generate-link input").input_value() == f"{address}/?tab=generate&seed=4321&class=5"
    sheet = visit.picture("sheet")
    data = saved(page, page.locator("#sheet").get_by_label("Download").click)
    found = passport.read(data)
    assert (found["tab"], found["model"], found["seed"], found["class"]) == ("generate", "cdcgan", 4321, "5")

    fresh = Visit(page.context.new_page(), address)
    page = fresh.page
    fresh.tab("Game")
    drop(page, data, "sheet.png")
    assert page.evaluate("hinted")
    page.get_by_text("are those that made the picture.").wait_for()
    page.locator("#sheet img").wait_for()
    assert page.locator("#seed input[type=number]").input_value() == "4321"
    assert page.get_by_role("radio", name="5", exact=True).first.is_checked()
    assert fresh.picture("sheet") == sheet
    assert page.locator("#drop-hint").is_hidden()

    foreign = {**found, "weights_sha256": "0" * 64, "seed": -1, "model": "<img src=x>", "count": 4, "class": "any"}
    drop(page, stamped(foreign | {"model": "cdcgan", "seed": 12}), "foreign.png")
    page.get_by_text("are not those that made the picture (00000000).").wait_for()
    page.wait_for_function("document.querySelector('#seed input[type=number]').value === '12'")
    drop(page, stamped(foreign), "hostile.png")  # the present settings are not valid either
    page.get_by_text("There is no model '<img src=x>' on this page").wait_for()
    page.get_by_text("Seed must be a whole number from 0 to 9999, not -1.").wait_for()
    page.wait_for_function("document.querySelector('#seed input[type=number]').value === '7'")

    chooser = page.locator("input[type=file][data-testid^='Open a picture']")
    chooser.set_input_files({"name": "other.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n" * 9})
    page.get_by_text("The file is cut off or damaged.").wait_for()
    drop(page, b"\xff\xd8\xff", "photo.jpg")
    page.get_by_text("is no PNG, GIF or MP4. A photo of a digit belongs on the field of the tab Draw.").wait_for()
    fresh.leave()
    fresh.page.close()
    assert fresh.wrong == []


# the addresses of all pictures that the contact sheet has shown
SHEETS = """window.sheets = new Set();
new MutationObserver(() => {
    const {src} = document.querySelector("#sheet img") ?? {};
    if (src) sheets.add(src);
}).observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ["src"]});"""


@pytest.mark.slow
def test_values_of_a_link_or_a_passport_are_restored_together(visit, address):  # noqa: F811
    page = visit.page
    page.add_init_script(SHEETS)
    page.goto(f"{address}/?tab=generate&captions=seed&class=3&count=4")

    def settles(*classes: str, model: str, count: int) -> None:
        page.locator("#status", has_text=f"{model} on").filter(has_text=f": {count} pictures").wait_for()
        page.wait_for_timeout(400)  # for answers that would come late
        chosen = page.locator("#digit input:checked").evaluate_all("inputs => inputs.map(({value}) => value)")
        assert chosen == list(classes)

    settles("3", model="cdcgan", count=4)
    assert page.evaluate("sheets.size") == 1  # no other picture on the way
    for model, count, captions, digit in (("cdcgan", 20, ["seed", "opinion"], "all"), ("dcgan", 5, ["opinion"], "any"),
                                          ("cdcgan", 6, ["seed"], "9")):
        picture = {"ganlib": "1", "tab": "generate", "model": model, "count": count, "captions": captions,
                   "class": digit}
        drop(page, stamped(picture), "picture.png")
        settles(*([digit] if model == "cdcgan" else []), model=model, count=count)
    assert page.evaluate("sheets.size") == 4
    page.get_by_role("radio", name="5", exact=True).first.check()  # a class that is chosen stays, too
    page.locator("#dice").click()
    settles("5", model="cdcgan", count=6)


# how a tab is changed, and the picture that shows it; each stage's own test opens its links too
CHANGES = {
    "Generate": (lambda page: page.locator("#dice").click(), "#sheet img"),
    "Draw": (lambda page: page.locator("#draw [data-part=examples] button").nth(1).click(), "#draw [data-part=seen]"),
    "Interpolate": (lambda page: page.get_by_role("button", name="New seeds").click(),
                    "#interpolate [data-part=strip]"),
    "Explore": (lambda page: page.locator("#explore").get_by_role("button", name="Random").click(),
                "#explore [data-part=large]"),
    "Game": (lambda page: page.locator("#game").get_by_label("mlp-gan").check(), "#game [data-part=canvas]"),
    "Quality": (lambda page: page.locator("[role=tabpanel]:visible, .tabitem:visible").get_by_label("mlp-gan").check(),
                "#growth img"),
}


@pytest.mark.slow
@pytest.mark.parametrize("tab", CHANGES)
@pytest.mark.parametrize("visit", [{"reduced_motion": "reduce"}], indirect=True, ids=["still"])
def test_a_link_shows_the_same_picture_in_a_fresh_window(visit, browser, tab):  # noqa: F811
    change, picture = CHANGES[tab]
    page = visit.page
    visit.tab(tab)
    page.wait_for_function(DRAWN, arg=picture) if tab != "Draw" else page.locator(picture).wait_for()
    before = page.evaluate(DRAWN, picture)
    change(page)
    page.wait_for_function(f"([selector, before]) => ![null, before].includes(({DRAWN})(selector))",
                           arg=[picture, before])
    page.wait_for_timeout(1_500)  # until it stays as it is
    shown = page.evaluate(DRAWN, picture)
    here = page.locator(".tabitem:visible")
    here.get_by_role("button", name="Copy link").click()
    link = here.get_by_label("Link", exact=True).input_value()
    context = browser.new_context(reduced_motion="reduce")
    fresh = context.new_page()
    fresh.goto(link)
    fresh.wait_for_function(f"([selector, shown]) => ({DRAWN})(selector) === shown", arg=[picture, shown])
    assert fresh.get_by_role("tab", selected=True).inner_text() == tab
    context.close()
