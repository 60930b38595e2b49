"""Trainings and saves that are killed at random moments: each goes on, and ends in the same bits as one that was not.

A child is killed either from outside after a while, or when it has touched so many files, at once or microseconds
later, so that the moments of writing are hit too.
"""

import functools
import hashlib
import json
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import safetensors
import torch
from PIL import Image

import ganlib
from ganlib import checkpoint, images, report, runs, training
from ganlib.architectures import ARCHITECTURES
from ganlib.data import DATASETS, ImageData
from ganlib.recipes import RECIPES, Recipe
from ganlib.runs import Run
from ganlib.toys import Points
from ganlib.training import TrainConfig
from tests.conftest import untrained
from tests.stress.report import Report

AMOUNT = 30
NAMES = {"toy": "stress-toy", "digits": "stress-digits"}
TOUCHES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.utime", "tempfile.mkdtemp"}
EVERY = 5  # steps between two checkpoints
FAILED = 70  # the exit code of a child that raised an error
PATIENCE = 600.0  # seconds that a child may take


def digits(root: Path | None = None, train: bool = True, download: bool = True) -> ImageData:
    """Noise that counts as digits, so that a run on it is measured and keeps its best checkpoint."""
    rng = torch.Generator().manual_seed(int(train))
    pictures = torch.randint(0, 256, (200, 1, 28, 28), generator=rng, dtype=torch.uint8)
    return ImageData(NAMES["digits"], pictures, torch.arange(200) % 10, 10, tuple("0123456789"), digits=True,
                     held_out=(lambda: digits(root, False)) if train else lambda: None)


def preload() -> None:
    """Imports once what each child would."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401


@contextmanager
def small() -> Iterator[None]:
    """Two recipes that take seconds, with few pictures and measures."""
    before = images.MOMENTS, runs.MEASURED_FROM, training.STATISTICS, Points.samples, report.calibrate
    images.MOMENTS, runs.MEASURED_FROM, training.STATISTICS, Points.samples = 3, 10, 256, 1_000
    report.calibrate = functools.partial(report.calibrate, samples=100)
    name = NAMES["digits"]
    tables: tuple[tuple[dict, str, object], ...] = (
        (DATASETS, name, digits),
        (ARCHITECTURES, name, replace(ARCHITECTURES["dcgan"], generator_channels=(8, 4, 4),
                                      discriminator_channels=(4, 4), features=4)),
        (RECIPES, name, Recipe(name, name, TrainConfig(steps=40, batch_size=16, ema=0.9), threads=1)),
        (RECIPES, NAMES["toy"], Recipe("toy-gaussian", "gaussian", TrainConfig(steps=60, batch_size=64, ema=0.9),
                                       threads=1)))
    for table, key, value in tables:
        table[key] = value
    try:
        yield
    finally:
        images.MOMENTS, runs.MEASURED_FROM, training.STATISTICS, Points.samples, report.calibrate = before
        for table, key, _ in tables:
            del table[key]


def train(kind: str, out: Path) -> None:
    """Begins the run in a folder, or goes on with it, to its end."""
    if (out / checkpoint.STATE).exists() and "new" not in out.name:
        run = Run.resumed(NAMES[kind], out, "cpu", EVERY)
    else:
        run = Run(NAMES[kind], out=out, device="cpu", checkpoint_every=EVERY)
    run, data = run.open()
    run.go(data)


def save(kind: str, out: Path) -> None:
    """Saves a model again and again over another one; the last one is the first."""
    for seed in (1, 2, 1, 2, 1):
        ganlib.save(saved_model(seed), out)


def saved_model(seed: int) -> ganlib.Model:
    model = untrained("dcgan", generator_channels=(8, 4, 4), discriminator_channels=(4, 4), features=4)
    for network in filter(None, (model.generator, model.discriminator)):
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.fill_(seed / 8)
    model.config["class_names"] = None
    del model.config["class_names"]
    return model


WORK: dict[str, Callable[[str, Path], None]] = {"toy": train, "save": save, "digits": train}


def child(work: Callable[[], None], folder: Path, touch: int = 0, delay: float = 0.0, count: Path | None = None) -> int:
    """Does the work in a forked process, which this one does not wait for. Returns its id.

    Args:
        work: what it does.
        folder: whose files count.
        touch: the number of the touch of a file after which it is killed, `delay` seconds later; 0 for none.
        count: a file that gets the number of all touches.
    """
    process = os.fork()
    if process:
        return process
    touched = 0

    def note(event: str, arguments: tuple) -> None:
        nonlocal touched
        if event in TOUCHES and str(arguments[0]).startswith(str(folder)):
            touched += 1
            if touched == touch:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process as SIGKILL does: nothing is tidied up
                signal.setitimer(signal.ITIMER_REAL, delay) if delay else os.kill(os.getpid(), signal.SIGKILL)

    try:
        torch.set_num_threads(1)
        sys.addaudithook(note)
        work()
        if count is not None:
            count.write_text(str(touched))
        os._exit(0)
    except BaseException as error:
        print(f"  ({type(error).__name__}: {error})", flush=True)
        os._exit(FAILED)


def wait(process: int, seconds: float = PATIENCE) -> int:
    """The exit code of a child, negative for the signal that ended it. Kills it after the time."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            os.kill(process, signal.SIGKILL)
            deadline += 60
        time.sleep(0.002)


def half_written(folder: Path) -> list[str]:
    """What is wrong with the files that are there after a kill: each visible one must be whole."""
    faults = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        try:
            if path.suffix == ".png":
                with Image.open(path) as picture:
                    picture.load()
            elif path.suffix == ".json":
                json.loads(path.read_bytes())
            elif path.suffix in (".safetensors", ".new", ".old"):
                with safetensors.safe_open(path, "pt") as file:
                    for key in file.keys():
                        file.get_tensor(key)
        except Exception as error:
            faults.append(f"{path.relative_to(folder)} is half written ({error})")
    return faults


def loads(folder: Path, allowed: set[str]) -> list[str]:
    """What is wrong with the model that loads from a folder: it must be one of those that were written whole."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = ganlib.load(folder, "cpu")
    except ganlib.WeightsError:
        return []
    except Exception as error:
        return [f"ganlib.load raised {type(error).__name__}: {error}"]
    found = fingerprint(model)
    return [] if found in allowed else ["a model loads that nobody wrote"]


def fingerprint(model: ganlib.Model) -> str:
    digest = hashlib.sha256(json.dumps(model.config.get("recipe", {}), sort_keys=True).encode())
    for network in filter(None, (model.generator, model.discriminator)):
        for value in network.state_dict().values():
            digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def contents(folder: Path) -> dict[str, str]:
    """The hash of each file of a folder, by its name; of checkpoints, of what they hold but the run's label."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.suffix == ".safetensors":
            with safetensors.safe_open(path, "pt") as file:  # whose metadata are in any order
                about = dict(file.metadata() or {})
                about["run"] = {**json.loads(about.get("run", "{}")), "tracked_as": ""}
                tensors = [file.get_tensor(key).numpy().tobytes() for key in sorted(file.keys())]
                data = b"".join([*tensors, json.dumps([list(file.keys()), about], sort_keys=True).encode()])
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(data).hexdigest()
    return found


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    faults = [f"{name} is left over" for name in sorted(found.keys() - expected.keys())]
    faults += [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    return faults + [f"{name} differs" for name in sorted(found.keys() & expected.keys())
                     if found[name] != expected[name]]


class Case:
    """What is killed: a kind of work, how it ends if it is not, and how long it takes."""

    def __init__(self, kind: str, folder: Path):
        self.kind = kind
        out, count = folder / kind / "run", folder / f"{kind}-touches"
        out.parent.mkdir()
        start = time.monotonic()
        assert wait(child(lambda: WORK[kind](kind, out), out, count=count)) == 0, f"{kind} does not work at all"
        self.seconds = time.monotonic() - start
        self.touches, self.contents = int(count.read_text()), contents(out)
        self.models = {fingerprint(ganlib.load(out, "cpu"))}
        if kind == "save":
            self.models |= {fingerprint(saved_model(seed)) for seed in (1, 2)}

    def attempt(self, rng: random.Random, folder: Path) -> tuple[int, list[str]]:
        """Kills the work once or several times, and then lets it end. Returns the number of kills, and faults."""
        out, kills, faults = folder / "run", 0, []
        for _ in range(rng.choice([1, 1, 2, 3])):
            if rng.random() < 0.3:
                how, process = "from outside", child(lambda: WORK[self.kind](self.kind, out), out)
                with suppress(ProcessLookupError):
                    time.sleep(rng.random() * self.seconds)
                    os.kill(process, signal.SIGKILL)
            else:
                touch, delay = rng.randint(1, self.touches), rng.choice([0.0, rng.random() / 1_000, rng.random() / 50])
                how = f"{delay * 1000:.2f} ms after touch {touch}"
                process = child(lambda: WORK[self.kind](self.kind, out), out, touch, delay)
            code = wait(process)
            kills += code < 0
            if code > 0:
                faults.append(f"it could not go on before the kill {how}")
            faults += [f"{fault}, after a kill {how}" for fault in half_written(out) + loads(out, self.models)]
            if code == 0 and self.kind != "save":
                break
        if wait(child(lambda: WORK[self.kind](self.kind, out), out)) != 0:
            faults.append(f"it cannot go on after a kill {how}")
        return kills, faults + [f"{fault}, after a kill {how}" for fault in differences(contents(out), self.contents)]


def run(seed: int, amount: int, folder: Path, first: int = 0) -> Report:
    """So many attempts; number i of a seed has always the same moments, as far as moments repeat."""
    faults, kills = [], 0
    preload()
    with small():
        cases: dict[str, Case] = {}
        for i in range(first, first + amount):
            rng, place = random.Random(f"{seed}-{i}"), folder / f"attempt-{i}"
            kind = list(WORK)[i % len(WORK)]
            cases[kind] = cases.get(kind) or Case(kind, folder)
            place.mkdir()
            killed, found = cases[kind].attempt(rng, place)
            kills += killed
            faults += [f"{kind}, attempt {i}: {fault}; --seed {seed} --first {i} --amount 1" for fault in found]
    return Report(f"{kills} kills in {amount} trainings and saves: {len(faults)} faults", faults)
