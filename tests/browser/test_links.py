"""Links and passports in a real browser: what one visitor copies or saves, another one opens."""

import pytest

from ganlib import passport
from tests.browser.test_page import CHROMIUM, WIDE, Visit, browser  # noqa: F401, a fixture

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")


# the addresses of all pictures that the contact sheet has shown
SHEETS = """window.sheets = new Set();
new MutationObserver(() => {
    const {src} = document.querySelector("#sheet img") ?? {};
    if (src) sheets.add(src);
}).observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ["src"]});"""


def test_a_link_and_a_passport_name_the_picture(browser, address):  # noqa: F811
    context = browser.new_context(**WIDE)
    visit = Visit(context.new_page(), address)
    page = visit.page
    visit.until_changed("sheet", lambda: visit.set_slider("seed", 4321))
    visit.until_changed("sheet", page.locator("#digit label", has_text="3").click)
    page.get_by_role("button", name="Copy link").locator("visible=true").click()
    link = page.locator("#generate-link input").input_value()
    assert link == f"{address}/?tab=generate&seed=4321&class=3"
    first = visit.picture("sheet")
    with page.expect_download() as download:
        page.locator("#sheet").get_by_label("Download").click()
    found = passport.read(download.value.path())
    assert {name: found[name] for name in ("tab", "model", "seed", "class")} == {
        "tab": "generate", "model": "cdcgan", "seed": 4321, "class": "3"}
    context.close()

    context = browser.new_context(**WIDE)
    fresh = context.new_page()
    fresh.add_init_script(SHEETS)
    fresh.goto(link)
    fresh.wait_for_selector("#sheet img")
    visit.page = fresh
    assert visit.picture("sheet") == first
    assert fresh.get_by_role("radio", name="3", exact=True).is_checked()
    visit.until_changed("sheet", lambda: visit.set_slider("seed", 12))
    assert fresh.evaluate("sheets.size") == 2  # no other picture was made on the way
    context.close()
    assert visit.wrong == []
