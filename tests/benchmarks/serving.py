"""The page over HTTP against the smallest app of Gradio, which answers with one ready picture of the same size.

Each is a process of its own. Both are called as gradio_client and curl do: a POST, then the stream of events until the
answer, on one connection of each visitor. No answer of the page comes from its cache: each call has a new seed.
"""

import contextlib
import http.client
import itertools
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from ganlib import images, load
from tests.benchmarks.lab import resident
from tests.benchmarks.rows import Row, in_turn
from tests.conftest import serving
from tests.test_api import NEEDED

MODEL, COUNT = "dcgan", 16
STARTS, LATENCIES, CROWDS = 3, 7, 3  # pairs of each row
CALLS, VISITORS, CALLS_EACH = 20, 50, 4
MOST_MEMORY = 800.0  # MB
APP = str(Path(__file__).parents[2] / "app.py")
LAB_STEPS = 20

_seeds = itertools.count(1)


class Connection:
    """A visitor of an app at an address, who calls its /generate."""

    def __init__(self, address: str):
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)

    def generate(self) -> None:
        """Wait for an answer of a new seed. Raises AssertionError where there is none."""
        made = [MODEL, next(_seeds) * COUNT % 9_973, COUNT]
        event = json.loads(self._answer("POST", "generate", json.dumps({"data": made})))["event_id"]
        said = self._answer("GET", f"generate/{event}")
        assert b"event: complete" in said, said

    def _answer(self, method: str, call: str, body: str | None = None) -> bytes:
        self._connection.request(method, f"/gradio_api/call/{call}", body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        said = answer.read()
        assert answer.status == 200, (answer.status, said)
        return said


def latency(address: str) -> float:
    """Milliseconds of a call, the median of CALLS."""
    visitor, times = Connection(address), []
    for _ in range(CALLS):
        start = time.perf_counter()
        visitor.generate()
        times.append(1000 * (time.perf_counter() - start))
    return median(times)


def throughput(address: str) -> float:
    """Answers a second to VISITORS who all call at once, CALLS_EACH times each. Raises AssertionError if one fails."""
    failed: list[BaseException] = []

    def visit() -> None:
        try:
            visitor = Connection(address)
            for _ in range(CALLS_EACH):
                visitor.generate()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=visit) for _ in range(VISITORS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    return VISITORS * CALLS_EACH / (time.perf_counter() - start)


@contextlib.contextmanager
def app(command: list[str]) -> Iterator[tuple[str, int]]:
    """An app in a process of its own: its address and the process."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GRADIO_SERVER_NAME": "127.0.0.1", "TMPDIR": folder, "HF_HUB_OFFLINE": "1"}
        with serving([sys.executable, *command], environment, Path(folder) / "log") as found:
            yield found


def starting(command: list[str]) -> Callable[[], float]:
    """Measures the seconds from the start of an app's process to its first answer."""
    def measure() -> float:
        start = time.perf_counter()
        with app(command) as (address, _):
            Connection(address).generate()
            return time.perf_counter() - start

    return measure


def use_all(address: str, folder: Path) -> None:
    """Call every endpoint of the page, those that take a model with each of its models that they accept."""
    client = Client(address, verbose=False, download_files=folder)
    images.to_pil(load(MODEL, "cpu").sample([7])[0]).save(folder / "digit.png")
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    for name, found in named.items():
        parameters = {parameter["parameter_name"]: parameter for parameter in found["parameters"]}
        values: dict[str, Any] = {key: handle_file(folder / "digit.png") if value == "a file" else value
                                  for key, value in NEEDED.get(name, {}).items()}
        if name == "/passport":
            values = {"file": handle_file(client.predict(api_name="/generate")[0])}
        if name == "/lab":
            values["steps"] = LAB_STEPS
        known = parameters.get("model", {}).get("type", {}).get("description", "").partition("This page has ")[2]
        models = known.partition(";")[0].rstrip(".").split(", ") if known else []
        client.predict(api_name=name, **values)
        for model in models:
            with contextlib.suppress(AppError):  # the endpoint's defaults do not fit this model
                client.predict(api_name=name, **values, model=model)
    client.close()


def of_files(process: int) -> float:
    """MB of what a process has in memory that are mapped from files, such as libraries, or shared."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[2])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images.contact_sheet(load(MODEL, "cpu").sample(range(COUNT))).save(folder / "sheet.png")
        echo = ["-m", "tests.benchmarks.echo", str(folder / "sheet.png"), "--torch"]
        with app(echo) as (theirs, _), app([APP]) as (ours, page):
            yield Row(f"/generate, {COUNT} digits over HTTP, p50", "an app that echoes one picture", "ms", **in_turn(
                lambda: latency(theirs), lambda: latency(ours), LATENCIES), at_most=1.5,
                note="it computes no picture; both encode a PNG for each answer")
            yield Row(f"{VISITORS} visitors at once, none failed", "an app that echoes one picture", "answers/s",
                      **in_turn(lambda: throughput(theirs), lambda: throughput(ours), CROWDS, 0), at_least=0.8)
            use_all(ours, folder)
            yield Row("resident memory of the page, all models used", "the target", "MB", [MOST_MEMORY],
                      [resident(page)], at_most=1.0, note=f"after every endpoint was called with each of its models; "
                      f"{resident(page) - of_files(page):.0f} MB without what is mapped from files")
        yield Row("page: start to first answer", "the echo app, with torch imported", "s",
                  **in_turn(starting(echo), starting([APP]), STARTS), at_most=1.0,
                  note="of the page, a picture that is computed")
