"""Several replicas of the page: a visitor whose replica ends goes on with another one, and loses nothing."""

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import nginx
from tests.browser.test_lab import LAB, Lab
from tests.browser.test_page import CHROMIUM, WIDE, browser  # noqa: F401, a fixture
from tests.conftest import serving
from tests.proxy import before

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")]
APP = Path(__file__).parents[2] / "app.py"


NAMES = ("first", "second")  # of replicas, and of the folders where they keep pictures


def replica_of(lab):
    """Which replica made the sheet that the page shows."""
    address = lab.page.evaluate("document.querySelector('#sheet img').src")
    (name,) = [name for name in NAMES if f"/{name}/" in address]
    return name


def by_nginx(replicas, folder):
    if not nginx.NGINX:
        pytest.skip("no nginx on this machine (Debian: apt-get install nginx-light)")
    return nginx.before(replicas, folder)


@pytest.mark.parametrize("proxy", [lambda replicas, folder: before(replicas), by_nginx], ids=["any proxy", "nginx"])
def test_a_visitor_goes_on_when_the_replica_ends(browser, tmp_path, proxy):  # noqa: F811
    with ExitStack() as stack:
        replicas = []
        for name in NAMES:
            (tmp_path / name).mkdir()
            environment = {**os.environ, "GRADIO_SERVER_NAME": "127.0.0.1", "TMPDIR": str(tmp_path / name)}
            replicas.append(stack.enter_context(
                serving([sys.executable, APP], environment, tmp_path / name / "log")))
        lab = Lab(browser.new_context(**WIDE).new_page(),
                  stack.enter_context(proxy([address for address, _ in replicas], tmp_path)))
        sheet = lab.picture("sheet")
        lab.train("ring", 20)
        assert lab.wrong == []
        first = replica_of(lab)
        os.killpg(replicas[NAMES.index(first)][1], signal.SIGKILL)
        # the other one trains the same lab up to where it was, and on
        step = lab.state()["step"]
        lab.press("Play")
        lab.until(f"stage.film.last.header.step > {step + 20}")
        lab.press("Pause")
        assert lab.page.evaluate(f"{LAB}.root.querySelectorAll('.stage-wrong').length") == 0
        lab.tab("Generate")
        lab.until_changed("sheet", lambda: lab.set_slider("seed", 77))
        assert lab.picture("sheet") != sheet
        lab.until_changed("sheet", lambda: lab.set_slider("seed", 7))
        assert lab.picture("sheet") == sheet
        assert replica_of(lab) != first
        # the browser's own words about what the replica that ended answered, and nothing else
        assert [line for line in lab.wrong if "/heartbeat/" not in line and "502 (Bad Gateway)" not in line] == []
        lab.close()
