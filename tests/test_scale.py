"""docs/scale.md: its arithmetic, and its configuration of nginx before stand-ins for the page."""

import http.cookies
import http.server
import math
import re
import threading
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.nginx import DOCUMENT, NGINX, before


def test_the_arithmetic():
    text = DOCUMENT.read_text(encoding="utf-8")
    capacity = float(re.search(r"16 new digits of `dcgan` each \| ([\d.]+) \|", text)[1])
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()
             if re.match(r"\| [\d,]+ \|", line)]
    assert [row[0] for row in table] == ["10", "1,000", "100,000"]
    for visitors, at_once, answers, _, replicas, cost in table:
        together = int(visitors.replace(",", "")) / 8 * 5 / 60
        assert float(at_once.replace(",", "")) == pytest.approx(together, rel=0.05)
        assert float(answers) == pytest.approx(together / 5, rel=0.05)
        needed = math.ceil(together / 5 / (capacity * 0.7))
        assert int(replicas.split()[0]) == needed
        price = re.search(r"\$(\d+)", cost)
        assert (price is None) == (needed == 1)
        assert price is None or int(price[1]) == round(math.ceil(needed / 4) * 0.03 * 730)


@contextmanager
def replica(number):
    """The address of a server that answers each request with its number."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(number.encode())

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.skipif(not NGINX, reason="no nginx on this machine (Debian: apt-get install nginx-light)")
def test_nginx_keeps_visitors_with_their_replica_and_takes_another_one_when_it_ends(tmp_path):
    with ExitStack() as stack:
        ends = [ExitStack() for _ in range(2)]
        addresses = [stack.enter_context(end).enter_context(replica(str(i))) for i, end in enumerate(ends)]
        page = stack.enter_context(before(addresses, tmp_path))

        client = stack.enter_context(httpx.Client(base_url=page))

        def visit(path="/gradio_api/x", cookies=()):
            return client.get(path, headers={"cookie": "; ".join(f"{name}={value}" for name, value in cookies)})

        visitors, at = [], []
        for _ in range(20):
            first = visit("/")
            client.cookies.clear()
            at.append(first.text)
            parsed = http.cookies.SimpleCookie(first.headers["set-cookie"])
            visitors.append([(name, found.value) for name, found in parsed.items()])
        assert "set-cookie" not in visit("/", visitors[0]).headers  # a visitor keeps its cookie
        for _ in range(3):
            assert [visit(cookies=cookies).text for cookies in visitors] == at
        assert set(at) == {"0", "1"}  # both are used
        assert len({visit().text for _ in range(5)}) == 1  # by a program
        ends[0].close()
        assert {visit(cookies=cookies).text for cookies in visitors} == {"1"}
