"""Mutated weights folders: each loads, or raises WeightsError with one sentence, in seconds and without gigabytes."""

import json
import math
import os
import random
import resource
import shutil
import signal
import struct
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

import ganlib
from ganlib import checkpoint
from tests.conftest import untrained, vae
from tests.stress.report import Report, forget_peak, no_sentence, status

AMOUNT = 1_000
SECONDS = 5.0  # that one folder may take
MEGABYTES = 500  # by which it may raise the memory of the process
ADDRESSES = 4 * 2**30  # of memory that the process may ask for, beside what it has
JSON = (checkpoint.CONFIG, checkpoint.METRICS, checkpoint.HISTORY)
NETWORKS = (checkpoint.GENERATOR, checkpoint.DISCRIMINATOR, checkpoint.ENCODER)
STATE = str(checkpoint.STATE)
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 28, 1_000, 10**6, 10**9, 2**31, 2**63, 10**30, 0.5, -0.0, 1e-300, 1e308,
    math.nan, math.inf, -math.inf, "", "x", "dcgan", "1", "\0", "é" * 300, "x" * 100_000, [], [1], [[]], [1, 28, 28],
    [1] * 1_000, [10**6] * 3, [None], {}, {"kind": "dcgan"}, {"": {}}]


class TooLong(BaseException):
    """A folder took more than SECONDS; no handler of exceptions may catch it."""


def bases(folder: Path) -> list[Path]:
    """Weights folders to be mutated: toys, small image models of each kind, and the digit classifier."""
    folder.mkdir(parents=True, exist_ok=True)
    small = {"generator_channels": (4, 4, 4), "discriminator_channels": (4, 4), "features": 4}
    named = untrained("cdcgan", **small)
    named.config["class_names"] = list("0123456789")
    made = {"dcgan": untrained(**small), "cdcgan": named, "vae": vae(), "toy": untrained("toy-sine")}
    for name, model in made.items():
        model.history = [{"step": 10, "generator_loss": 0.5}, {"step": 20, "generator_loss": 0.25}]
        ganlib.save(model, folder / name)
    shutil.copytree(checkpoint.shipped()["toy-ring"], folder / "toy-ring")
    shutil.copytree(checkpoint._shipped_folders()["digit-classifier"], folder / "digit-classifier")
    return sorted(folder.iterdir())


# Each of these changes a copy of a weights folder, and returns what it did in words.


def flip(folder: Path, rng: random.Random) -> str:
    path = _any(folder, rng)
    data = bytearray(path.read_bytes())
    places = [rng.randrange(min(len(data), rng.choice([16, 2_000, len(data)]))) for _ in range(rng.choice([1, 3, 50]))]
    for place in places:
        data[place] = rng.randrange(256)
    path.write_bytes(data)
    return f"{path.name}: bytes {sorted(places)[:3]} changed"


def cut(folder: Path, rng: random.Random) -> str:
    path = _any(folder, rng)
    length = rng.choice([0, 1, 7, 8, 9, rng.randrange(path.stat().st_size)])
    os.truncate(path, min(length, path.stat().st_size))
    return f"{path.name}: cut off after {length} bytes"


def append(folder: Path, rng: random.Random) -> str:
    path, more = _any(folder, rng), rng.randbytes(rng.choice([1, 8, 5_000]))
    path.write_bytes(path.read_bytes() + more)
    return f"{path.name}: {len(more)} bytes more"


def replace(folder: Path, rng: random.Random) -> str:
    path = _any(folder, rng)
    data = rng.choice([rng.randbytes(100), b"\x80\x04N.", b"version https://git-lfs", b"[" * 200_000, b"\xff\xfe{}",
                       b'{"a":' * 50_000, "\ufeff{}".encode(), b"1" * 10_000, b"NaN", b'"', b"null"])
    path.write_bytes(data)
    return f"{path.name}: replaced by {data[:20]!r}"


def swap(folder: Path, rng: random.Random) -> str:
    first, second = _any(folder, rng), _any(folder, rng)
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    return f"{first.name} and {second.name}: swapped"


def remove(folder: Path, rng: random.Random) -> str:
    paths = _files(folder)
    chosen = rng.sample(paths, rng.choice([1, 1, len(paths)]))
    for path in chosen:
        path.unlink()
    return f"{', '.join(path.name for path in chosen)}: removed"


def borrow(folder: Path, rng: random.Random) -> str:
    """Takes a file of another model."""
    other = rng.choice([path for path in checkpoint.shipped().values()])
    name = rng.choice([checkpoint.CONFIG, checkpoint.GENERATOR, checkpoint.METRICS])
    with suppress(FileNotFoundError):
        shutil.copyfile(other / name, folder / name)
    return f"{name}: that of {other.name}"


def json_value(folder: Path, rng: random.Random) -> str:
    path = folder / rng.choice([checkpoint.CONFIG, checkpoint.CONFIG, *JSON])
    with suppress(FileNotFoundError):
        tree, said = json.loads(path.read_bytes()), ""
        for _ in range(rng.choice([1, 1, 2, 5])):
            said += f" {_change(tree, rng)}"
        path.write_text(json.dumps(tree))
        return f"{path.name}:{said}"
    return "nothing"


def json_whole(folder: Path, rng: random.Random) -> str:
    path, value = folder / rng.choice(JSON), rng.choice(VALUES)
    path.write_text(json.dumps(value))
    return f"{path.name}: {str(value)[:40]}"


def header(folder: Path, rng: random.Random) -> str:
    """Changes the header of a safetensors file: shapes, types, places, names, and its length."""
    path = _network(folder, rng)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    table, body = json.loads(data[8:8 + length]), data[8 + length:]
    key = rng.choice([key for key in table if key != "__metadata__"])
    said = rng.choice(["shape", "dtype", "data_offsets", "name", "foreign", "missing", "length", "metadata", "values"])
    entry = table[key]
    if said == "shape":
        entry["shape"] = rng.choice([[], [0], [2**40], [2**62, 4], [-1], "x", None, [1.5], [1] * 100,
                                     entry["shape"][::-1]])
    elif said == "dtype":
        entry["dtype"] = rng.choice(["F64", "F16", "BF16", "I64", "I8", "BOOL", "F8_E4M3", "Q7", None, 3])
    elif said == "data_offsets":
        entry["data_offsets"] = rng.choice([[0, 0], [0, 2**63], [5, 1], [], None, [-1, 4], [0, len(body)]])
    elif said == "name":
        table[rng.choice(["", "x" * 10_000, "../../x", "\n", key + " "])] = table.pop(key)
    elif said == "foreign":
        table["foreign"] = {"dtype": "F32", "shape": [0], "data_offsets": [len(body), len(body)]}
    elif said == "missing":
        del table[key]
    elif said == "metadata":
        table["__metadata__"] = rng.choice([{"format": "pt"}, {"x": 1}, [], "x", {str(i): "y" for i in range(10_000)}])
    text = json.dumps(table).encode()
    size = rng.choice([0, 1, len(text) - 1, 2**63, 2**31, 10**8]) if said == "length" else len(text)
    path.write_bytes(struct.pack("<Q", size) + text + body)
    return f"{path.name}: {said} of {key} in the header: {str(entry)[:80]}"


def values(folder: Path, rng: random.Random) -> str:
    """Changes numbers of one tensor, or its type."""
    path = _network(folder, rng)
    tensors = safetensors.torch.load(path.read_bytes())
    key = rng.choice(sorted(tensors))
    said = rng.choice(["nan", "inf", "huge", "zero", "type", "flat", "negative"])
    value = tensors[key]
    if said == "type":
        value = value.to(rng.choice([torch.float64, torch.int64, torch.bool, torch.bfloat16, torch.uint8]))
    elif said == "flat":
        value = value.flatten()
    else:
        value = value.clone()
        number = {"nan": math.nan, "inf": math.inf, "huge": 6e4, "zero": 0, "negative": -1}[said]
        if value.is_floating_point() and value.numel():
            value.flatten()[rng.randrange(value.numel()):] = number
    path.write_bytes(safetensors.torch.save(tensors | {key: value.contiguous()}))
    return f"{path.name}: {key} is {said}"


def link(folder: Path, rng: random.Random) -> str:
    """Puts a link, a pipe, a folder or a huge empty file in place of a file."""
    names = [*JSON, *NETWORKS, STATE, checkpoint.SAMPLES]
    path = folder / rng.choice(names)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    what = rng.choice(["/dev/zero", "/dev/null", "/etc/hostname", "itself", "nowhere", "folder", "pipe", "huge"])
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "huge":
        path.touch()
        os.truncate(path, 2**31)  # without using the disk
    else:
        path.symlink_to({"itself": path.name, "nowhere": folder / "nothing" / "at all"}.get(what, what))
    return f"{path.relative_to(folder)}: {what}"


def state(folder: Path, rng: random.Random) -> str:
    """Leaves something in place of a run's checkpoint."""
    path = folder / checkpoint.STATE
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(rng.choice([b"", rng.randbytes(50), struct.pack("<Q", 2**40) + b"{}", struct.pack("<Q", 2) + b"{}",
                                 (folder / checkpoint.GENERATOR).read_bytes()]))
    return "training/state.safetensors: foreign"


def nothing(folder: Path, rng: random.Random) -> str:
    what = rng.choice(["empty folder", "a file in its place", "no folder"])
    shutil.rmtree(folder)
    if what == "empty folder":
        folder.mkdir()
    elif what == "a file in its place":
        folder.write_text("{}")
    return what


MUTATIONS: list[Callable[[Path, random.Random], str]] = [
    flip, flip, cut, append, replace, swap, remove, borrow, json_value, json_value, json_value, json_whole, header,
    header, values, link, link, state, nothing]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.stat().st_size)


def _any(folder: Path, rng: random.Random) -> Path:
    """One of the files that decide whether it loads, or, less often, another one."""
    paths = _files(folder)
    return rng.choice([path for path in paths if path.name in JSON + NETWORKS] if rng.random() < 0.9 else paths)


def _network(folder: Path, rng: random.Random) -> Path:
    return rng.choice([path for path in _files(folder) if path.name in NETWORKS])


def _change(tree: Any, rng: random.Random) -> str:
    """Replaces, removes or adds a value somewhere in a JSON value."""
    place, way = tree, []
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return "nothing"
        key = rng.choice(keys)
        way.append(str(key))
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.2:
            break
        place = place[key]
    kind = rng.choice(["value", "value", "value", "less", "more"])
    if kind == "less":
        del place[key]
    elif kind == "more" and isinstance(place, dict):
        place["foreign"] = rng.choice(VALUES)
    else:
        place[key] = rng.choice(VALUES)
        kind = str(place[key])[:40]
    return f"{'.'.join(way)}: {kind}"


@contextmanager
def limited(seconds: float = SECONDS) -> Iterator[None]:
    """Raises TooLong after so many seconds, and MemoryError where somebody asks for gigabytes."""
    def end(number: int, frame: object) -> None:
        raise TooLong

    before, asked = signal.signal(signal.SIGALRM, end), resource.getrlimit(resource.RLIMIT_AS)
    pages = Path("/proc/self/statm")
    if pages.exists():
        now = int(pages.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + ADDRESSES, asked[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, asked)


def opened(folder: Path) -> str:
    """Opens a folder as everybody does. Returns "loaded", "refused", or what is wrong."""
    forget_peak()
    before, start = status().get("VmRSS", 0), time.monotonic()
    found = "loaded"
    try:
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if folder.name == "digit-classifier":
                ganlib.checkpoint.load_classifier(folder, "cpu")
            else:
                ganlib.load(folder, "cpu").sample([0])
    except ganlib.WeightsError as error:
        said = no_sentence(str(error))
        found = f"its error is no sentence ({said})" if said else "refused"
    except TooLong:
        found = f"it took more than {SECONDS:.0f} seconds"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        found = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    grown = status().get("VmHWM", 0) - before
    if grown > MEGABYTES:
        found = f"it took {grown:,} MB of memory ({found})"
    if (took := time.monotonic() - start) > SECONDS and "seconds" not in found:
        found = f"it took {took:.1f} seconds ({found})"
    return found


def mutated(base: Path, target: Path, rng: random.Random) -> str:
    """A copy of a folder with one or several changes. Returns what was done."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    shutil.copytree(base, target)
    said = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        with suppress(Exception):
            said.append(rng.choice(MUTATIONS)(target, rng))  # fails where an earlier change left nothing for it
    return f"{base.name}: {'; '.join(said)}"


def run(seed: int, amount: int, folder: Path, first: int = 0) -> Report:
    """Opens so many mutated folders; number i of a seed is always the same one."""
    counts, faults, slowest = {"loaded": 0, "refused": 0}, [], 0.0
    models = bases(folder / "bases")
    for i in range(first, first + amount):
        rng = random.Random(f"{seed}-{i}")
        base = rng.choice(models)
        target = folder / "mutated" / base.name
        target.parent.mkdir(exist_ok=True)
        done = mutated(base, target, rng)
        start = time.monotonic()
        found = opened(target)
        slowest = max(slowest, time.monotonic() - start)
        if found in counts:
            counts[found] += 1
        else:
            faults.append(f"folder {i} ({done}): {found}; --seed {seed} --first {i} --amount 1")
    return Report(f"{amount:,} mutated weights folders: {counts['loaded']:,} loaded, {counts['refused']:,} refused in "
                  f"a sentence, {len(faults)} faults; the slowest took {slowest:.1f} s", faults)
