"""python -m tests.benchmarks.lab [PART ...] [--minutes N]: the targets of the live lab, in a browser and by requests.

Each part starts a page of its own and prints rows: what was measured, the target, the figure. It needs chromium, and a
quiet machine.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from gradio_client import Client

from ganlib import console
from ganlib.lab import TARGETS
from tests.browser.test_page import CHROMIUM, FLAGS
from tests.lab_page import LabPage, lab_page

VISITORS, CROWD_SECONDS, SPEED = 20, 20, 5
DRAWING = 0.016  # seconds between a frame and the next request, as in a browser

# functions of the page's JavaScript, for the handle that the stage offers
STAGE = "document.querySelector('#lab .lab').ganlab.stage"
PLAY = f"""async () => {{
    const stage = {STAGE}, before = stage.drawn, start = performance.now();
    stage.parts.play.click();
    while (stage.drawn === before) await new Promise(requestAnimationFrame);
    return performance.now() - start;
}}"""
PAUSED = f"""() => document.querySelector('#lab .lab')?.ganlab && !{STAGE}.playing
    && {STAGE}.film?.last?.header.step === 1"""
SCRUB = f"""positions => positions.map(position => {{
    const start = performance.now();
    {STAGE}.scrub(position);
    {STAGE}.parts.canvas.getContext("2d").getImageData(0, 0, 1, 1);
    return performance.now() - start;
}})"""
STATE = f"""() => ({{drawn: {STAGE}.drawn, step: {STAGE}.film.last.header.step, frames: {STAGE}.film.frames.length,
                    numbers: {STAGE}.film.last.header.numbers, verdict: {STAGE}.film.last.header.verdict}})"""


def row(what: str, target: str, figure: str) -> None:
    print(f"{what:<62} {target:>10}  {figure}", flush=True)


@contextmanager
def page() -> Iterator[LabPage]:
    with tempfile.TemporaryDirectory() as folder, lab_page(Path(folder), os.environ) as found:
        time.sleep(5)  # for the page's warm-up
        yield found


@contextmanager
def visit(address: str, query: str) -> Iterator:
    """A browser's page with a lab of that query, paused after its first step."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, "--enable-precise-memory-info"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(f"{address}/?{query}&step=1")
        tab.wait_for_function(PAUSED)
        yield tab
        browser.close()


def first_frame(repeats: int = 5) -> None:
    times = []
    with page() as served:
        for seed in range(repeats):
            with visit(served.address, f"target=ring&seed={seed}") as tab:
                times.append(tab.evaluate(PLAY))
    row("play to first new frame", "≤ 300 ms",
        f"{statistics.median(times):.0f} ms ({min(times):.0f} to {max(times):.0f})")


def ring(seconds: float = 20) -> None:
    with page() as served, visit(served.address, "target=ring") as tab:
        tab.evaluate(PLAY)
        time.sleep(2)
        before, start = tab.evaluate(STATE), time.perf_counter()
        time.sleep(seconds)
        after, passed = tab.evaluate(STATE), time.perf_counter() - start
    row("one visitor, ring: frames drawn a second", "≥ 20", f"{(after['drawn'] - before['drawn']) / passed:.1f}")
    row("one visitor, ring: training steps a second", "≥ 100", f"{(after['step'] - before['step']) / passed:.0f}")


def digits(seconds: float = 30) -> None:
    with page() as served, visit(served.address, "target=digits") as tab:
        before, start = tab.evaluate(STATE), time.perf_counter()
        tab.evaluate(PLAY)
        time.sleep(seconds - (time.perf_counter() - start))
        after, passed = tab.evaluate(STATE), time.perf_counter() - start
    shares = ", ".join(f"{name} {after['numbers'][name] / after['numbers']['digits']:.0%}"
                       for name in ("confident", "readable") if name in after["numbers"])
    row(f"digits: after {passed:.0f} s of play, by the classifier (≥ 0.9)", "≥ 85%", f"{shares}, step {after['step']}")
    row("digits: sheets drawn a second", "≥ 2", f"{(after['drawn'] - before['drawn']) / passed:.1f}")


def scrub(seconds: float = 10, count: int = 100) -> None:
    with page() as served, visit(served.address, "target=ring") as tab:
        tab.evaluate(PLAY)
        time.sleep(seconds)
        tab.evaluate(f"() => {STAGE}.pause()")
        time.sleep(1)
        frames, requests = tab.evaluate(STATE)["frames"], []
        tab.on("request", lambda request: requests.append(request.url))
        times = tab.evaluate(SCRUB, [random.randrange(frames) for _ in range(count)])
    row(f"scrubbing to any of {frames} frames, the slowest of {count}", "≤ 50 ms",
        f"{max(times):.1f} ms (median {statistics.median(times):.1f}), {len(requests)} requests")


def memory(minutes: float) -> None:
    with page() as served, visit(served.address, "target=ring") as tab:
        session = tab.context.new_cdp_session(tab)

        def heap() -> float:
            session.send("HeapProfiler.collectGarbage")
            return session.send("Runtime.getHeapUsage")["usedSize"] / 1e6

        tab.evaluate(PLAY)
        time.sleep(15)
        before = heap(), resident(served.process)
        time.sleep(60 * minutes)
        after = heap(), resident(served.process)
    row(f"{minutes:g} minutes of play: growth of the browser's heap", "≤ 20 MB",
        f"{after[0] - before[0]:.1f} MB ({before[0]:.1f} to {after[0]:.1f})")
    row(f"{minutes:g} minutes of play: growth of the server's memory", "≤ 30 MB",
        f"{after[1] - before[1]:.1f} MB ({before[1]:.0f} to {after[1]:.0f})")


def resident(process: int) -> float:
    """MB that a process has in memory."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def crowd() -> None:
    with page() as served:
        done, generated = threading.Event(), []

        def generate() -> None:
            client = Client(served.address, verbose=False)
            for seed in range(10_000):
                if done.is_set():
                    break
                start = time.perf_counter()
                client.predict("dcgan", seed, 25, 1, [], api_name="/generate")
                generated.append(time.perf_counter() - start)
                time.sleep(0.2)
            client.close()

        Client(served.address, verbose=False).predict("dcgan", 7, 25, 1, [], api_name="/generate")  # loads the model
        thread = threading.Thread(target=generate)
        thread.start()
        rates, failures = asyncio.run(play_at_once(served.address))
        done.set()
        thread.join()
    p95 = statistics.quantiles(generated, n=20)[-1]
    row(f"{VISITORS} visitors at once: frames a second of the slowest", "≥ 1",
        f"{min(rates):.2f} (median {statistics.median(rates):.2f}), {SPEED} steps each")
    row(f"{VISITORS} visitors at once: failures", "0", str(failures))
    row(f"{VISITORS} visitors at once: /generate, 95th percentile", "≤ 1 s",
        f"{p95:.2f} s (median {statistics.median(generated):.2f} s, {len(generated)} calls)")


async def play_at_once(address: str) -> tuple[list[float], int]:
    """Frames a second of each visitor, and how many requests failed. Visitors learn all toy targets in turn."""
    with urllib.request.urlopen(f"{address}/config") as answer:
        component = next(component["id"] for component in json.load(answer)["components"]
                         if component["props"].get("elem_id") == "lab")
    toys = [name for name, target in TARGETS.items() if target.kind != "digits"]
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=httpx.Limits(max_connections=None)) as client:
        found = await asyncio.gather(*(play(client, component, toys[i % len(toys)], i) for i in range(VISITORS)))
    return [frames / CROWD_SECONDS for frames, _ in found], sum(failures for _, failures in found)


async def play(client: httpx.AsyncClient, component: int, target: str, seed: int) -> tuple[int, int]:
    """Ask for frame after frame, as the stage does. Returns how many came, and how many requests failed."""
    frames = failures = 0
    visitor, end = uuid.uuid4().hex[:11], time.perf_counter() + CROWD_SECONDS
    while time.perf_counter() < end:
        data = {"settings": {"target": target, "seed": seed}, "goal": [["both", SPEED * (frames + 1)]]}
        answer = await client.post("/gradio_api/component_server", json={
            "data": data, "fn_name": "lab_frame", "component_id": component, "session_hash": visitor})
        found = answer.json() if answer.status_code == 200 else {}
        if "frame" in found:
            frames += 1
            await asyncio.sleep(DRAWING)
        elif "progress" not in found:
            failures += 1
    return frames, failures


def closed() -> None:
    with page() as served:
        times = []
        for seed in range(3):
            with visit(served.address, f"target=ring&seed={seed}") as tab:
                tab.evaluate(PLAY)
                assert served.labs() == 1
                start = time.perf_counter()
                tab.close()
                while served.labs():
                    time.sleep(0.01)
                times.append(time.perf_counter() - start)
    row("closed tab: until its lab is gone, the slowest of 3", "≤ 2 s", f"{max(times):.2f} s")


def parts(minutes: float) -> dict[str, Callable[[], None]]:
    return {"first": first_frame, "ring": ring, "digits": digits, "scrub": scrub, "close": closed, "crowd": crowd,
            "memory": lambda: memory(minutes)}


@console.command
def main() -> None:
    names = list(parts(0))
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.lab", description="Measure the live lab.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(names)} (default: all)")
    parser.add_argument("--minutes", type=float, default=10, help="of play, for the part memory (default: 10)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(names):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    row("what", "target", f"measured on {os.cpu_count()} cores")
    for name in arguments.parts or names:
        parts(arguments.minutes)[name]()


if __name__ == "__main__":
    sys.exit(main())
