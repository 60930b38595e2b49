"""Hostile requests to a running page, by Hypothesis: every one is answered in words, and the next good one works."""

import base64
import copy
import io
import json
import math
import random
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.errors import FlakyFailure, HypothesisWarning
from PIL import Image

from tests.browser.test_page import CHROMIUM, FLAGS
from tests.stress.page import Answer, Page, open_page
from tests.stress.report import Report, no_sentence

AMOUNT = 5_000
MEGABYTES, MOST, THREADS = 250, 2_000, 80  # by which the page may grow after half of the requests, and in all
PICTURE_SECONDS, PICTURE_MEGABYTES = 20.0, 700  # that one huge picture may take
DRAWING = "A" * 523  # of -(-28 * 28 * 4 // 6) letters
INK = base64.b64encode(bytes(84 * 84)).decode()
LAB = {"target": "ring", "batch_size": 16, "width": 4, "depth": 1}
FILE = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
MODELS = ("dcgan", "cdcgan", "mlp-gan", "vae", "toy-ring")

NEEDED: dict[str, Any] = {  # good values of parameters without a default
    "settings": LAB, "steps": 5, "number": 1, "first": [-1, 0], "second": [1, 0], "logits": [0], "real": 0.5,
    "generated": 0.5, "guesses": ["real"] * 10, "picture": FILE, "file": FILE, "new": 40}
GOOD: dict[str, Any] = {  # good requests of the server functions
    "draw_read": {"model": "dcgan", "class": None, "drawing": DRAWING, "ink": INK},
    "draw_photo": {"photo": "iVBORw0KGgo="}, "draw_stop": {},
    "draw_find": {"model": "dcgan", "class": None, "drawing": DRAWING, "seed": 1},
    "draw_found": {"model": "dcgan", "drawing": DRAWING, "latent": "7"},
    "draw_save": {"model": "cdcgan", "class": 3, "drawing": DRAWING, "latent": "7:3"},
    "interpolate_walk": {"model": "dcgan", "waypoints": ["3", "8"], "steps": 4, "method": "slerp", "closed": False,
                         "psi": 1},
    "interpolate_file": {"model": "dcgan", "waypoints": ["3", "8"], "steps": 4, "method": "slerp", "closed": False,
                         "psi": 1, "kind": "gif"},
    "explore_model": {"model": "dcgan"}, "explore_directions": {"model": "dcgan"},
    "explore_sliders": {"model": "dcgan", "point": "3", "amounts": [0.5], "psi": 1, "strip": [0.1], "slider": 0},
    "explore_plane": {"model": "dcgan", "corners": ["1", "2", "3", "4"], "at": [0.5, 0.5], "class": "own", "psi": 1},
    "explore_grid": {"model": "cdcgan", "corners": ["1", "2", "3", "4"], "side": 3, "class": "own", "psi": 1},
    "explore_arithmetic": {"model": "dcgan", "a": "1", "b": "2", "c": "3", "psi": 1},
    "explore_save": {"part": "plane", "model": "dcgan", "corners": ["1", "2", "3", "4"], "at": [0, 1], "psi": 1},
    "game_round": {"model": "dcgan", "round": 1},
    "game_answers": {"model": "dcgan", "round": 1, "guesses": ["real"] * 10},
    "game_picture": {"model": "dcgan", "round": 1, "guesses": ["generated"] * 10},
    "lab_frame": {"settings": LAB, "goal": [["both", 3]], "opening": True, "download": False},
    "lab_digits": {}, "lab_film": {"name": "ring"},
    "lab_gif": {"frames": ["iVBORw0KGgo="], "milliseconds": 100, "state": {"target": "ring", "seed": 3}},
    "how_noise": {"latent": "33", "changes": {"3": 0.5}}, "how_pair": {"pair": 4},
    "how_mean": {"class": 4, "count": 10, "set": 7}, "how_steps": {"goal": [["discriminator", 1], ["generator", 1]]},
    "how_film": {"name": "mode-collapse"}, "how_compare": {"models": ["dcgan", "vae"], "seeds": [1, 2]},
    "how_reach": {"seed": 1, "row": 13, "column": 13}, "how_measure": {}, "how_reconstruct": {"drawing": DRAWING},
    "how_search": {"drawing": DRAWING}, "how_stop": {},
    "how_between": {"digits": [{"start": 1}, {"drawing": DRAWING}], "seeds": [1, 2]}}
LINKS: dict[str, list[str]] = {  # the values in links to each tab
    "generate": ["model", "seed", "count", "truncation", "captions", "digit"],
    "draw": ["model", "class", "drawing", "latent"],
    "interpolate": ["model", "waypoints", "steps", "method", "closed", "psi", "points"],
    "explore": ["model", "part", "point", "amounts", "corners", "x", "y", "at", "class", "a", "b", "c", "psi", "digit"],
    "game": ["model", "round"], "lab": ["target", "story", "film", "seed", "step", "loss", "actions"],
    "quality": ["model", "seed", "moment"], "how": ["step"], "nowhere": ["x"]}

TRICKS = ["../../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/x.png", "outside.txt",
          "..%2f..%2fetc%2fpasswd", "\\\\server\\share", "C:\\Windows", "~/.bashrc", "/proc/self/environ", "/dev/zero",
          "user/repo", "../x/y", "user/repo@../../x", "https://huggingface.co/user/repo/tree/main", "a" * 300 + "/b",
          "<script>alert(1)</script>", "![](http://127.0.0.1:1/x.png)", "{{7*7}}", "'; DROP TABLE x", "\0", "\u202e",
          "\ud83d", "NaN", "Infinity", "1e999", "٣", "7:7:7", "3,8,", ",", "0x10", "1_0", " 7 ", "-0", "own", "any",
          "all", "read", "seed", "opinion", "slerp", "lerp", *MODELS]
NUMBERS = [0, 1, -1, 2, 7, 9, 10, 28, 100, 9_999, 10_000, 2**31, 2**63, 2**64, 10**30, -2**63, 0.5, 1e-300, 1e308, -0.0,
           math.nan, math.inf, -math.inf, 10**400]
FILES: list[Any] = [
    FILE, [FILE], {"video": FILE}, {"path": "/etc/passwd"}, {"path": "", "url": "file:///etc/passwd"},
    {"url": "http://127.0.0.1:1/"}, {"path": None, "meta": None},
    {"path": "x.png", "url": "http://127.0.0.1:1/x.png", "meta": {"_type": "gradio.FileData"}},
    {"path": ["/etc/passwd"], "meta": {"_type": "gradio.FileData"}},
    {"path": "../outside.txt", "orig_name": "../../x", "size": -1, "is_stream": True,
     "meta": {"_type": "gradio.FileData"}}]
ROUTES = ("file=", "file/", "proxy=", "custom_component/1/client/component/", "stream/x/1/1/", "run-history/records/x/",
          "upload_progress?upload_id=", "heartbeat/../file=", "call/", "call/generate/")
PATHS = [f"/gradio_api/{route}{path}" for route in ROUTES
         for path in ("/etc/passwd", "../../etc/passwd", "..%2f..%2f..%2fetc/passwd", "%2fetc%2fpasswd", "//etc/passwd",
                      "C:%5Cx", "http://127.0.0.1:1/x", "file:///etc/passwd", "/proc/self/environ", "/dev/zero",
                      "%00", "OUTSIDE", "APP")]
PATHS += [f"/{route}{path}" for route in ("static/", "assets/", "svelte/", "", "pwa_icon/", "monitoring/", "theme.css/")
          for path in ("../app.py", "..%2f..%2fapp.py", "/etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "x" * 5_000, "%ff")]
OTHERS = ["/login", *(f"/gradio_api/{route}" for route in (
    "reset", "cancel", "queue/join", "component_server", "call/generate", "call/v2/generate", "run/generate",
    "api/read", "stream/x", "stream/x/close", "upload", "process_recording", "vibe-edit", "vibe-code",
    "run-history/connect", "launch", "mcp", "nothing"))]

scalars = (st.sampled_from(NUMBERS) | st.sampled_from(TRICKS) | st.none() | st.booleans() | st.integers()
           | st.floats(width=32) | st.text(max_size=30) | st.sampled_from(FILES)
           | st.sampled_from(["x" * 100_000, "7," * 30_000, "9" * 5_000, "[" * 2_000]))
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner,
                                                                                         max_size=4), max_leaves=10)
deep = st.sampled_from([[[]], [[[]] * 50] * 50]).map(lambda value: _nested(value, 90)) | st.just([1] * 20_000)


class Fault(Exception):
    """What is wrong with an answer."""


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@st.composite
def changed(draw: Any, good: Any) -> Any:
    """A good request with one or several values replaced, left out or added; sometimes something else altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(values | deep)
    tree = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(0, 3))):
        place = tree
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            how = draw(st.integers(0, 9))
            if how == 0:
                del place[key]
            elif how == 1 and isinstance(place, dict):
                place[draw(st.text(max_size=8))] = copy.deepcopy(draw(values))
            elif how == 2 and isinstance(place, list):
                place.append(copy.deepcopy(draw(values)))
            else:
                place[key] = copy.deepcopy(draw(values))
            break
    return tree


Target = tuple[str, st.SearchStrategy[Any], Callable[[Any], Answer]]


def targets(page: Page) -> list[Target]:
    """What is asked: a name, what is sent, and how."""
    found: list[Target] = []
    for path, about in page.info["named_endpoints"].items():
        name = path.strip("/")
        good = {p["parameter_name"]: NEEDED[p["parameter_name"]] if p["parameter_name"] in NEEDED
                and not (p["parameter_has_default"] and p["parameter_name"] not in ("steps", "new"))
                else p["parameter_default"] for p in about["parameters"]}
        ways = st.sampled_from(["call", "call", "call", "run"])
        found.append((path, st.tuples(ways, changed(list(good.values()))),
                      lambda sent, name=name: page.call(name, sent[1], sent[0])))
        found.append((f"{path} by names", changed(good), lambda sent, name=name: page.call(name, sent, "call/v2")))
    for component, _, name in page.functions():
        found.append((name, changed(GOOD[name]), lambda sent, i=component, name=name: page.ask(i, name, sent)))
    for handler in page.config["dependencies"]:
        if handler["api_visibility"] == "private" and handler["backend_fn"]:
            good = [None] * len(handler["inputs"])
            found.append((f"handler {handler['id']} ({handler['api_name']})", changed(good),
                          lambda sent, i=handler["id"]: page.join(i, sent if isinstance(sent, list) else [sent])))
    arrive, = (handler["id"] for handler in page.config["dependencies"] if handler["api_name"] == "arrive")
    for tab, names in LINKS.items():
        texts = (scalars | st.lists(scalars, max_size=3)).map(_in_link)
        query = st.dictionaries(st.sampled_from(names), texts, min_size=1)
        found.append((f"links to {tab}", query, lambda sent, tab=tab: page.join(arrive, [], {"tab": tab, **sent})))
    component = st.sampled_from([1, 36, 120, 178, 99_999]) | values
    found.append(("any server function", st.tuples(component, st.sampled_from(
        ["draw_read", "__init__", "__class__", "preprocess", "postprocess", "save", "", "get_config"]) | values, values,
        st.text(max_size=10) | values), lambda sent: page.ask(*sent)))
    found.append(("any body", st.tuples(st.sampled_from(OTHERS), st.binary(max_size=200) | values.map(json.dumps).map(
        str.encode) | st.just(b"[" * 100_000) | st.just(b'{"data":' * 20_000), st.sampled_from(
            ["application/json", "multipart/form-data; boundary=x", "multipart/form-data", "text/plain", ""])),
        lambda sent: page.raw("POST", sent[0], sent[1], headers={"Content-Type": sent[2]})))
    outside = quote(str(page.log.with_name("outside.txt")))
    found.append(("any path", st.sampled_from(PATHS), lambda path: page.get(
        path.replace("OUTSIDE", outside).replace("APP", "app.py"))))
    return found


def _in_link(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text.encode(errors="replace").decode()[:5_000]


def search(target: Target, number: int, examples: int, page: Page) -> str:
    """Sends so many requests to one target. Returns the smallest one that is answered wrongly, in words, or ""."""
    name, strategy, send = target

    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, derandomize=False, print_blob=False,
              suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
              report_multiple_bugs=False)
    @given(strategy)
    def attempt(sent: Any) -> None:
        start = time.monotonic()
        if said := page.wrong(send(sent)):
            raise Fault(f"{name}, asked {str(sent)[:500]!r}: {said}; after {time.monotonic() - start:.1f} s")

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HypothesisWarning)  # of long texts
            attempt()
    except Fault as fault:
        return str(fault)
    except FlakyFailure as flaky:  # the same request was answered well the next time
        return f"not always: {flaky.exceptions[0]}"
    return ""


def huge(rng: random.Random, few: bool) -> list[tuple[str, bytes]]:
    """Pictures of 50 million pixels that are small files, and other pictures that pretend."""
    found = []
    kinds = [("L", "PNG")] if few else [("L", "PNG"), ("1", "PNG"), ("RGB", "PNG"), ("RGBA", "WEBP"), ("L", "JPEG"),
                                        ("P", "GIF"), ("L", "BMP")]
    for mode, kind in kinds:
        file = io.BytesIO()
        side = 7_072 if kind != "BMP" else 3_000
        Image.new(mode, (side, side), 0).save(file, kind)
        found.append((f"{side}×{side} {mode} {kind}", file.getvalue()))
    small = io.BytesIO()
    Image.new("L", (28, 28)).save(small, "PNG")
    lie = bytearray(small.getvalue())
    lie[16:24] = (60_000).to_bytes(4, "big") * 2
    found.append(("a PNG whose header says 60,000×60,000", bytes(lie)))
    found.append(("a cut PNG", small.getvalue()[:rng.randrange(9, 60)]))
    return found


def everywhere(page: Page, data: bytes) -> list[tuple[str, Callable[[], Answer]]]:
    """A picture's file sent to each place that takes one."""
    in_text, file = base64.b64encode(data).decode(), {**FILE, "path": page.upload("x.png", data)}
    show, = (handler["id"] for handler in page.config["dependencies"] if handler["api_name"] == "show")
    stages = {name: component for component, _, name in page.functions()}

    def ask(name: str, asked: Any) -> Callable[[], Answer]:
        return lambda: page.ask(stages[name], name, asked)

    return [("draw_photo", ask("draw_photo", {"photo": in_text})),
            ("draw_read", ask("draw_read", {"model": "dcgan", "ink": in_text})),
            ("lab_gif", ask("lab_gif", {"frames": [in_text] * 3, "milliseconds": 100, "state": {}})),
            ("/read", lambda: page.call("read", ["dcgan", file])),
            ("/reconstruct", lambda: page.call("reconstruct", ["vae", file])),
            ("/passport", lambda: page.call("passport", [file])),
            ("the button", lambda: page.join(show, [file]))]


def pictures(page: Page, rng: random.Random, few: bool) -> tuple[int, list[str]]:
    """Sends huge pictures wherever pictures are taken."""
    faults, n = [], 0
    for what, data in huge(rng, few):
        for place, send in everywhere(page, data):
            n += 1
            before, start = page.status().get("VmRSS", 0), time.monotonic()
            said = page.wrong(send())
            took, grown = time.monotonic() - start, page.status().get("VmRSS", 0) - before
            if took > PICTURE_SECONDS:
                said += f" it took {took:.1f} s"
            if grown > PICTURE_MEGABYTES:
                said += f" it took {grown} MB"
            if said:
                faults.append(f"{what} to {place}: {said}")
    return n, faults


def cuts(page: Page, rng: random.Random, n: int) -> list[str]:
    """Sends requests that break off, and leaves answers unread."""
    stages = {name: component for component, _, name in page.functions()}
    for i in range(n):
        name = rng.choice(["lab_frame", "draw_find", "interpolate_file", "how_search", "explore_grid"])
        body = json.dumps({"data": GOOD[name], "component_id": stages[name], "fn_name": name,
                           "session_hash": f"cut{i}"}).encode()
        kind, path, more = rng.choice([
            ("POST", "/gradio_api/component_server", "Content-Type: application/json"),
            ("POST", "/gradio_api/upload", "Content-Type: multipart/form-data; boundary=x"),
            ("GET", "/gradio_api/heartbeat/cut", "X: y"), ("GET", "/", "X: y"),
            ("GET", f"/gradio_api/queue/data?session_hash=cut{i}", "X: y"),
            ("POST", "/gradio_api/queue/join", "Content-Type: application/json")])
        if "queue" in path:
            body = json.dumps({"data": ["dcgan"], "fn_index": 3, "session_hash": f"cut{i}"}).encode()
        if "upload" in path:
            body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + bytes(10_000)
        head = f"{kind} {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n"
        if kind == "POST":
            head += f"Content-Length: {len(body)}\r\n"
        text = head.encode() + b"\r\n" + (body if kind == "POST" else b"")
        page.cut(text[:rng.choice([len(text), rng.randrange(len(text))])])
    news = page.news()
    return [f"requests that break off: it logged {news!r}"] if news else []


def in_browser(page: Page, rng: random.Random, n: int) -> list[str]:
    """Faults of links with hostile values that a browser opens; none where there is no browser."""
    if not CHROMIUM:
        return []
    from playwright.sync_api import sync_playwright

    faults = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for tab in rng.sample(sorted(LINKS), n):
            query = {"tab": tab, **{name: _in_link(rng.choice([*TRICKS, *NUMBERS]))[:500] for name in LINKS[tab]}}
            address = f"{page.address}/?{urlencode(query)}"
            found: list[str] = []
            seen = browser.new_page()
            seen.on("pageerror", lambda error, found=found: found.append(f"an error in the page: {error}"))
            seen.on("dialog", lambda dialog, found=found: found.append("it ran a script") or dialog.dismiss())
            seen.on("request", lambda request, found=found: request.url.startswith((page.address, "data:", "blob:"))
                    or found.append(f"it asked elsewhere: {request.url}"))
            seen.goto(address, timeout=120_000)
            seen.locator("#tabs [role=tab] >> visible=true").first.wait_for(timeout=120_000)
            with suppress(Exception):  # there may be no message
                seen.locator(".toast-body").first.wait_for(timeout=5_000)
            said = " ".join(seen.locator(".toast-body").all_inner_texts())
            if wrong := no_sentence(" ".join(said.split()) or "none"):
                found.append(f"its message is no sentence: {wrong}")
            seen.close()
            faults += [f"the link {address[:500]}: {fault}" for fault in found]
        browser.close()
    if news := page.news():
        faults.append(f"links in a browser: it logged {news!r}")
    return faults


def run(seed: int, amount: int, folder: Path) -> Report:
    """Sends so many requests, about, to a page; the same seed sends the same ones."""
    set_hypothesis_home_dir(folder / "hypothesis")
    rng, faults = random.Random(seed), []
    few = amount < AMOUNT // 5
    with open_page(folder / "page") as page:
        known = targets(page)
        rng.shuffle(known)
        known = known[:max(amount // 2, 1)] if few else known
        for model in MODELS[:1] if few else MODELS[:4]:
            page.call("generate", [model, 1, 100])
            page.call("interpolate", [model])
        before = page.status()
        for i, target in enumerate(known):
            if i == len(known) // 2:
                half = page.status()
            if said := search(target, seed, max(1, amount // len(known)), page):
                faults.append(said)
                print(f"  {said}", file=sys.stderr, flush=True)
            if said := page.works():
                faults.append(f"after {target[0]}: {said}")
        sent, found = pictures(page, rng, few)
        faults += found
        faults += cuts(page, rng, max(10, amount // 50))
        faults += in_browser(page, rng, 1 if few else len(LINKS))
        if said := page.works():
            faults.append(f"at the end: {said}")
        after = page.status()
        grown = {name: after[name] - before[name] for name in before}
        if (not few and after.get("VmRSS", 0) - half.get("VmRSS", 0) > MEGABYTES) or after.get("VmRSS", 0) > MOST:
            faults.append(f"the page grew from {half['VmRSS']} MB, after half of the requests, to {after['VmRSS']} MB")
        if grown.get("Threads", 0) > THREADS:
            faults.append(f"the page has {grown['Threads']} threads more")
    faults = [f"{fault}; --seed {seed} --amount {amount}" for fault in faults]
    return Report(f"{page.sent:,} hostile requests to {len(known)} targets, {sent} of them huge pictures: "
                  f"{len(faults)} faults; memory {before.get('VmRSS')}, {half.get('VmRSS')}, "
                  f"{after.get('VmRSS')} MB at the begin, the middle and the end, threads "
                  f"{before.get('Threads')} to {after.get('Threads')}", faults)
