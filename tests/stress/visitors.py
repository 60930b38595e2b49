"""A hundred visitors at once, for minutes: on all tabs, ten of them train labs, three wait for slow models of the Hub.

One asyncio process speaks gradio's protocol as a browser does: a page, a heartbeat as long as the visit lasts, events
by the queue, and the stages' functions. A visitor thinks for some seconds after each answer.
"""

import asyncio
import json
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

import ganlib
from tests.conftest import serving, untrained
from tests.fake_hub import FakeHub
from tests.stress.report import ROOT, Report, no_sentence, status
from tests.stress.requests import DRAWING, LAB

AMOUNT, SECONDS = 100, 300.0
LABS, SLOW = 10, 3  # of a hundred visitors
THINK = 2.0, 8.0  # seconds between an answer and the next question
PATIENCE = 60.0  # seconds for an answer; a model of the Hub is asked for again
P95, GROWTH = 3.0, 1.1  # of /generate, in seconds, and of the memory
SHOWN = 1.0  # seconds until the server says that an event waits, for 95 of 100; the browser shows it at once
FIRST_WORD = "the queue's first word"
WARM_UP = 0.3  # of the time, after which the memory must not grow
LEAVING = 30.0  # seconds until nothing is left of those who left
POOLS = {"uvloop", "asyncio", "search", "files", "lab"}  # whose threads are few, and stay
TELLING = """
import json, os, sys, threading, time
from pathlib import Path
from ganlib.demo import build, draw, lab, launch
def tell(path):
    while True:
        found = {{"labs": len(lab.LABS), "searches": len(draw.SEARCHES),
                  "threads": sorted(thread.name for thread in threading.enumerate())}}
        path.with_suffix(".new").write_text(json.dumps(found))
        os.replace(path.with_suffix(".new"), path)
        time.sleep(0.2)
threading.Thread(target=tell, args=(Path({told!r}),), daemon=True).start()
launch(build())
"""

Asked = tuple[str, Any]  # an endpoint and its values, or a server function and what it is asked


def _stage(model: str, rng: random.Random) -> list[Asked]:
    """A good request to each server function that visitors use often."""
    seeds = [str(rng.randrange(10_000)) for _ in range(4)]
    return [
        ("draw_read", {"model": model, "class": None, "drawing": DRAWING}),
        ("interpolate_walk", {"model": model, "waypoints": seeds[:2], "steps": 16, "method": "slerp", "closed": False,
                              "psi": 1}),
        ("explore_sliders", {"model": model, "point": seeds[0], "amounts": [rng.random()], "psi": 1}),
        ("explore_plane", {"model": model, "corners": seeds, "at": [rng.random(), rng.random()], "psi": 1}),
        ("explore_grid", {"model": model, "corners": seeds, "side": 5, "psi": 1}),
        ("game_round", {"model": "dcgan", "round": rng.randrange(1_000)}),
        ("game_answers", {"model": "dcgan", "round": rng.randrange(1_000), "guesses": ["real"] * 10}),
        ("lab_film", {"name": "ring"}), ("how_noise", {"latent": seeds[0], "changes": {}}),
        ("how_mean", {"class": 4, "count": 10, "set": rng.randrange(100)}),
        ("how_reach", {"seed": 1, "row": 3, "column": 4}), ("how_pair", {"pair": rng.randrange(10)})]


def _endpoint(model: str, rng: random.Random) -> list[Asked]:
    seed, other = rng.randrange(10_000), rng.randrange(10_000)
    return [("frame", [model, seed, other, "slerp", rng.random()]), ("growth", [model, rng.randrange(41)]),
            ("quality", [model, rng.randrange(5)]), ("toy", ["toy-ring", 1_000, rng.randrange(100)]),
            ("walk", [model, f"{seed},{other}", 8]), ("course", [rng.randint(1, 10)]),
            ("classifiers", [[-1, 0], [1, 0]]), ("best_discriminator", [2.0, 1.0])]


class Crowd:
    """The visitors, and what happened to them.

    Args:
        address: of the page.
        end: when they leave, by time.monotonic.
    """

    def __init__(self, address: str, end: float, client: httpx.AsyncClient, config: dict[str, Any]):
        self.address, self.end, self.client = address, end, client
        self.times: dict[str, list[float]] = {}
        self.faults: Counter[str] = Counter()
        self.fetched = self.frames = 0
        self.events = {found["api_name"]: found["id"] for found in config["dependencies"]}
        self.stages = {name: component["id"] for component in config["components"]
                       for name in component["props"].get("server_fns") or ()}

    async def event(self, session: str, name: str, values: list[Any]) -> Any:
        """What a handler gives, by the queue. Raises ValueError with its sentence."""
        start, first = time.monotonic(), None
        body = {"data": values, "fn_index": self.events[name], "session_hash": session, "event_data": None}
        joined = await self.client.post(f"{self.address}/gradio_api/queue/join", json=body)
        if joined.status_code != 200:
            raise ValueError(f"{joined.status_code}: {joined.text[:200]}")
        path = f"{self.address}/gradio_api/queue/data?session_hash={session}"
        async with self.client.stream("GET", path, timeout=PATIENCE) as stream:
            async for line in stream.aiter_lines():
                if not line.startswith("data: "):
                    continue
                message = json.loads(line[6:])
                first = first or time.monotonic() - start
                if message["msg"] == "process_completed":
                    self.times.setdefault(FIRST_WORD, []).append(first)
                    if not message["success"]:
                        raise ValueError(str((message.get("output") or {}).get("error")))
                    return message["output"]["data"]
        raise ValueError("the stream ended without an answer")

    async def ask(self, session: str, name: str, asked: Any) -> Any:
        """What a stage's function answers. Raises ValueError with its sentence."""
        body = {"data": asked, "component_id": self.stages[name], "fn_name": name, "session_hash": session}
        found = await self.client.post(f"{self.address}/gradio_api/component_server", json=body)
        if found.status_code != 200:
            raise ValueError(f"{found.status_code}: {found.text[:200]}")
        answer = found.json()
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    async def timed(self, name: str, work: Callable[[], Any]) -> Any:
        """The answer, whose time counts; None where it failed, which counts too."""
        start = time.monotonic()
        try:
            found = await work()
        except (ValueError, httpx.HTTPError) as error:
            self.faults[f"{name}: {type(error).__name__ if not str(error) else str(error)[:200]}"] += 1
            return None
        self.times.setdefault(name, []).append(time.monotonic() - start)
        return found

    async def stay(self, session: str, visit: Callable[[str], Any]) -> None:
        """Opens the page, and keeps its heartbeat while the visit lasts."""
        with suppress(asyncio.CancelledError):
            await self.timed("the page", lambda: self.opened(session))
            heart = asyncio.create_task(self.beat(session))
            try:
                await visit(session)
            finally:
                heart.cancel()
                await asyncio.gather(heart, return_exceptions=True)

    async def opened(self, session: str) -> None:
        found = await self.client.get(f"{self.address}/")
        found.raise_for_status()
        await self.event(session, "arrive", [])

    async def beat(self, session: str) -> None:
        async with self.client.stream("GET", f"{self.address}/gradio_api/heartbeat/{session}", timeout=None) as stream:
            async for _ in stream.aiter_lines():
                pass

    async def wander(self, session: str, rng: random.Random) -> None:
        """Visits one tab after the other; every second question is for new digits."""
        while time.monotonic() < self.end:
            model = rng.choice(["dcgan", "cdcgan", "mlp-gan", "vae"])
            kind = rng.random()
            if kind < 0.5:
                name, asked = "generate", [model, rng.randrange(10_000), 16]
            elif kind < 0.8:
                name, asked = rng.choice(_stage(model, rng))
            else:
                name, asked = rng.choice(_endpoint(model, rng))
            call = self.ask if name in self.stages else self.event
            await self.timed(f"/{name}" if call == self.event else name,
                             lambda call=call, name=name, asked=asked: call(session, name, asked))
            await asyncio.sleep(min(rng.uniform(*THINK), max(0.0, self.end - time.monotonic())))

    async def train(self, session: str, rng: random.Random) -> None:
        """Trains a lab without a break, as a page does that shows it."""
        settings, steps = {**LAB, "seed": rng.randrange(1_000), "batch_size": 128, "width": 32, "depth": 2}, 0
        while time.monotonic() < self.end:
            steps += 5
            asked = {"settings": settings, "goal": [["both", steps]], "opening": steps == 5, "download": False}
            while time.monotonic() < self.end:
                found = await self.timed("lab_frame", lambda asked=asked: self.ask(session, "lab_frame", asked))
                if found is None or "frame" in found:
                    self.frames += found is not None
                    break

    async def fetch(self, session: str, model: str) -> None:
        """Asks for a model of the Hub until it is there."""
        while time.monotonic() < self.end:
            try:
                await self.event(session, "generate", [model, 7, 16])
                self.fetched += 1
                return
            except (ValueError, httpx.HTTPError) as error:
                if "still being fetched" not in str(error):
                    self.faults[f"a model of the Hub: {str(error)[:200]}"] += 1
                    return

    def slowest(self, name: str, share: float = 0.95) -> float:
        times = sorted(self.times.get(name, [0.0]))
        return times[min(len(times) - 1, int(share * len(times)))]


async def crowd(address: str, visitors: int, seconds: float, seed: int, hub: FakeHub,
                process: int) -> tuple[Crowd, list]:
    """All visits. Returns what happened, and the page's memory in MB by the second."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=visitors)
    async with httpx.AsyncClient(timeout=PATIENCE, limits=limits) as client:
        config = (await client.get(f"{address}/config")).json()
        found = Crowd(address, time.monotonic() + seconds, client, config)
        labs, slow = max(1, visitors * LABS // 100), max(1, visitors * SLOW // 100)
        tasks = []
        for i in range(visitors):
            rng, session = random.Random(f"{seed}-{i}"), f"visitor{seed}x{i}"
            if i < labs:
                visit = lambda session, rng=rng: found.train(session, rng)  # noqa: E731
            elif i < labs + slow:
                visit = lambda session, i=i: found.fetch(session, f"bob/slow{i - labs}")  # noqa: E731
            else:
                visit = lambda session, rng=rng: found.wander(session, rng)  # noqa: E731
            tasks.append(asyncio.create_task(found.stay(session, visit)))
            await asyncio.sleep(min(0.3, seconds / 4 / visitors))
        memory = []
        with hub.hold("slow") as _:
            deadline = time.monotonic() + seconds / 3
            while time.monotonic() < min(deadline, found.end):
                memory.append((time.monotonic(), status(process).get("VmRSS", 0)))
                await asyncio.sleep(1)
        while time.monotonic() < found.end:
            memory.append((time.monotonic(), status(process).get("VmRSS", 0)))
            await asyncio.sleep(1)
        await asyncio.wait(tasks, timeout=PATIENCE)
        for task in tasks:
            if not task.done():
                found.faults["a visit did not end"] += 1
                task.cancel()
    return found, memory


def kinds(threads: list[str]) -> Counter[str]:
    """How many threads of each kind, whose names differ in numbers."""
    return Counter(re.sub(r"[\d_-]+$|fetch .*", lambda found: "fetch" * found[0].startswith("fetch"), name)
                   for name in threads)


def run(seed: int, amount: int, folder: Path, seconds: float = SECONDS) -> Report:
    """So many visitors for so many seconds."""
    told, log = folder / "told", folder / "log"
    (folder / "kept").mkdir()
    with FakeHub() as hub:
        for i in range(max(1, amount * SLOW // 100)):
            small = untrained(generator_channels=(4, 4, 4), discriminator_channels=(4, 4), features=4)
            ganlib.save(small, folder / f"slow{i}")
            hub.put(f"bob/slow{i}", {path.name: path.read_bytes() for path in (folder / f"slow{i}").iterdir()})
        environment = hub.environment(folder / "home") | {
            "GANLIB_HUB_CACHE": str(folder / "shelf"), "GRADIO_SERVER_NAME": "127.0.0.1",
            "TMPDIR": str(folder / "kept"), "GRADIO_ANALYTICS_ENABLED": "False", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", TELLING.format(told=str(told))]
        with serving(command, environment, log, known=".*", cwd=ROOT) as (address, process):
            asyncio.run(crowd(address, max(2, amount // 10), min(10.0, seconds / 2), seed + 1, hub, process))
            before = kinds(json.loads(told.read_text())["threads"])
            found, memory = asyncio.run(crowd(address, amount, seconds, seed, hub, process))
            after, deadline = {"labs": -1, "searches": 0, "threads": []}, time.monotonic() + LEAVING
            more: list[str] = []
            while time.monotonic() < deadline:
                after = json.loads(told.read_text())
                more = sorted(kind for kind in (kinds(after["threads"]) - before).elements() if kind not in POOLS)
                if not after["labs"] and not more:
                    break
                with suppress(httpx.HTTPError):  # lets a pool of threads notice that some of them are idle
                    httpx.get(f"{address}/theme.css", timeout=5)
                time.sleep(1)
            threads = status(process).get("Threads", 0)
        said = log.read_text()
    return report(found, memory, amount, seconds, seed, after, more, threads, said)


def report(found: Crowd, memory: list, amount: int, seconds: float, seed: int, after: dict[str, Any], more: list[str],
           threads: int, said: str) -> Report:
    """The figures in a line, and what is not as it should be."""
    faults = [f"{n} times {what}" for what, n in found.faults.most_common()]
    begin = memory[0][0] + WARM_UP * seconds if memory else 0
    warm = [size for at, size in memory if at >= begin] or [0]
    few = max(1, len(warm) // 5)
    first, last = statistics.median(warm[:few]), statistics.median(warm[-few:])
    wanted = max(1, amount * SLOW // 100)
    times = {name: (statistics.median(values), found.slowest(name)) for name, values in sorted(found.times.items())}
    calls = sum(len(values) for name, values in found.times.items() if name != FIRST_WORD)
    p95 = found.slowest("/generate")
    if found.fetched < wanted:
        faults.append(f"{wanted - found.fetched} of {wanted} slow models did not arrive")
    if (shown := found.slowest(FIRST_WORD)) > SHOWN:
        faults.append(f"events wait for {shown:.1f} s without a word (p95), more than {SHOWN:.0f}")
    if p95 > P95:
        faults.append(f"the p95 of /generate is {p95:.1f} s, more than {P95:.0f}")
    if seconds >= 60 and last > GROWTH * first:
        faults.append(f"the memory grew from {first:.0f} to {last:.0f} MB")
    if after["labs"] or after["searches"]:
        faults.append(f"{after['labs']} labs and {after['searches']} searches are left over")
    if more:
        faults.append(f"threads are left over: {', '.join(more)}")
    faults += [f"no sentence: {wrong}" for what in found.faults if (wrong := no_sentence(what))]
    if "Traceback" in said:
        faults.append(f"the page logged a traceback: {said[said.index('Traceback'):][-600:]!r}")
    table = "\n".join(f"    {name:<22} {len(found.times[name]):>6} times, p50 {p50:6.2f} s, p95 {p95:6.2f} s"
                      for name, (p50, p95) in times.items())
    p50, _ = times.get("/generate", (0.0, 0.0))
    line = (f"{amount} visitors for {seconds:.0f} s, who think {THINK[0]:.0f} to {THINK[1]:.0f} s: {calls:,} answers, "
            f"{sum(found.faults.values())} failures; /generate p50 {p50:.2f} s, p95 {p95:.2f} s; "
            f"{found.frames / seconds:.1f} frames a second of all labs; memory {first:.0f} MB after warm-up, "
            f"{last:.0f} MB at the end; {threads} threads after they left")
    again = f"--seed {seed} --amount {amount} --seconds {seconds:g}"
    return Report(f"{line}\n{table}", [f"{fault}; {again}" for fault in faults])
