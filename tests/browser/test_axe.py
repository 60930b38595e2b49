"""axe-core finds no serious fault in the page: contrast, names, roles, keyboards."""

import pytest

from tests.browser.test_page import CHROMIUM, NARROW, PICTURES, WIDE, browser, visit  # noqa: F401, fixtures

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")

# in each of them: what it is, what it says, where
FAULTS = """() => axe.run().then(({violations}) => violations
    .filter(({impact}) => ["serious", "critical"].includes(impact)).flatMap(({id, nodes}) => nodes.map(
        ({html, failureSummary}) => `${id}: ${failureSummary}: ${html.slice(0, 200)}`)))"""


def faults(page) -> list[str]:
    """What axe-core calls serious or critical, once nothing waits for the server."""
    from axe_playwright_python.sync_playwright import Axe

    page.wait_for_function("!document.querySelector('.generating, .pending, .tabitem .wrap.translucent:not(.hide)')")
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(Axe().axe_script)
    return page.evaluate(FAULTS)


@pytest.mark.parametrize("visit", [WIDE], indirect=True, ids=["desktop"])
def test_the_first_tab_has_no_serious_fault(visit):  # noqa: F811
    assert faults(visit.page) == []


@pytest.mark.slow
@pytest.mark.parametrize("visit", [{**screen, "color_scheme": scheme} for screen in (WIDE, NARROW)
                                   for scheme in ("light", "dark")], indirect=True,
                         ids=["desktop-light", "desktop-dark", "phone-light", "phone-dark"])
def test_no_tab_has_a_serious_fault(visit):  # noqa: F811
    found = {}
    for tab, picture in PICTURES.items():
        visit.tab(tab)
        visit.page.locator(picture).first.wait_for()
        visit.page.wait_for_timeout(1_000)  # for what follows the first picture
        found[tab] = faults(visit.page)
    assert found == {tab: [] for tab in PICTURES}
