"""Full disks, folders that cannot be written to and clocks that jump: one clear sentence, and nothing is lost.

Each case is a command in a forked process, on a disk or in a folder of its own. The model and the checkpoint that were
there before still load, and the command works where there is room again.
"""

import os
import random
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ganlib
from ganlib import checkpoint
from ganlib.training import saved_step
from tests.stress import kills, space
from tests.stress.page import open_page
from tests.stress.report import Report, no_sentence

AMOUNT = 40
FULL, LIMITED, READ_ONLY, FORBIDDEN = "a full disk", "a limit of files' sizes", "a read-only disk", "a foreign folder"
SIZES = (1, 4, 8, 20, 50, 100, 200, 400)  # kilobytes that a folder or, with LIMITED, a file may get
HOURS = (-10**5, -25, -3, -1, -1 / 60, 1 / 60, 1, 3, 25, 10**6)  # by which a clock jumps
JUMPING = """
import random, time
real, rng, offset, calls = time.time, random.Random({seed}), 0.0, 0
def jumping():
    global offset, calls
    calls += 1
    if calls % 50 == 0:
        offset = 3_600 * rng.choice({hours})
    return real() + offset
time.time = jumping
"""


@dataclass(frozen=True)
class Task:
    """A command. before: what is in its folder, "nothing", "checkpoint" or "model"; again: it works the next time."""

    name: str
    before: str
    work: Callable[[Path], int]
    again: bool = True


def _trained(*options: str) -> Callable[[Path], int]:
    def work(out: Path) -> int:
        from train.__main__ import main

        more = ("--resume",) if (out / checkpoint.STATE).exists() and not options else options
        return main([kills.NAMES["toy"], "--out", str(out), "--device", "cpu", "--checkpoint-every", "5", *more])

    return work


def _saved(out: Path) -> int:
    try:
        ganlib.save(kills.saved_model(2), out)
    except OSError as error:
        print(f"save: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    return 0


def _evaluated(out: Path) -> int:
    from train.evaluate import main

    return main([str(out), "--device", "cpu"])


def _published(out: Path) -> int:
    from huggingface_hub import constants

    from train.publish import main

    constants.HF_HUB_OFFLINE = True
    return main([str(out), "--repo", "alice/model"])


TASKS = [Task("train", "nothing", _trained()), Task("train --resume", "checkpoint", _trained("--resume")),
         Task("train --overwrite", "model", _trained("--overwrite")), Task("save", "model", _saved),
         Task("train.evaluate", "model", _evaluated), Task("train.publish", "model", _published, again=False)]


def spoken(work: Callable[[], int | None]) -> tuple[int, str]:
    """The exit code of a forked process that does the work, and what it printed on stderr."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.dup2(writing, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
        try:
            os._exit(work() or 0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}\nTraceback", flush=True, file=sys.stderr)
            os._exit(kills.FAILED)
    os.close(writing)
    code = kills.wait(process)
    with os.fdopen(reading, errors="replace") as said:
        return code, said.read()


def in_trouble(task: Task, kind: str, out: Path, size: int) -> int:
    """Does a task, in a forked process, with so many kilobytes of room."""
    if kind == LIMITED:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size * 1_024,) * 2)
    if kind == FORBIDDEN:
        space.obey()
    if kind in (LIMITED, FORBIDDEN):
        return task.work(out)
    kept = out.with_name("kept")
    shutil.copytree(out, kept, dirs_exist_ok=True)
    taken = sum(4 + -(-path.stat().st_size // 4_096) * 4 for path in out.rglob("*"))
    space.put_on_disk(out, taken + 4 + (size if kind == FULL else 1_000))
    shutil.copytree(kept, out, dirs_exist_ok=True)
    if kind == READ_ONLY:
        space.make_read_only(out)
    code = task.work(out)
    shutil.rmtree(kept)
    shutil.copytree(out, kept)  # the disk ends with this process
    return code


def lost(folder: Path, before: str, model: set[str]) -> list[str]:
    """What was lost of what was in a folder before."""
    if before == "checkpoint":
        try:
            return [] if saved_step(folder / checkpoint.STATE) >= 5 else ["an older checkpoint is there"]
        except ValueError as error:
            return [f"the checkpoint is lost: {error}"]
    if before == "model":
        found = kills.loads(folder, model)
        if not found and not (folder / checkpoint.CONFIG).exists():
            try:  # --overwrite removes the model when it has room for checkpoints
                saved_step(folder / checkpoint.STATE)
            except ValueError as error:
                return [f"the model is lost, and nothing has replaced it: {error}"]
        return found
    return []


def said_wrong(code: int, said: str) -> list[str]:
    """What is wrong with the end of a command: it works, or says in one sentence why not."""
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("warning: ")]
    if code == 0:
        return []
    if code != 1 or len(lines) != 1 or "Errno" in said:
        return [f"it ended with {code}, and said {said[-400:]!r}"]
    return [f"its error is no sentence: {wrong}" for wrong in [no_sentence(lines[0])] if wrong]


def attempt(task: Task, kind: str, size: int, starts: dict[str, Path], models: set[str], folder: Path) -> list[str]:
    """Faults of a task in trouble, and of the same task where there is room again."""
    out = folder / "run"
    shutil.copytree(starts[task.before], out) if task.before in starts else out.mkdir()
    places = [out, *(path for path in out.rglob("*") if path.is_dir())]
    if kind == FORBIDDEN:
        for place in places:
            place.chmod(0o555)
    code, said = spoken(lambda: in_trouble(task, kind, out, size))
    for place in places:
        if place.exists():
            place.chmod(0o755)
    if (kept := folder / "kept").exists():
        shutil.rmtree(out)
        kept.rename(out)
    faults = said_wrong(code, said) + kills.half_written(out)
    if code != 0 or not task.again:
        faults += lost(out, task.before, models)
    if task.again:
        code, said = spoken(lambda: task.work(out) if task.before != "nothing" else _trained()(out))
        if code != 0:
            faults.append(f"where there was room again it ended with {code}, and said {said[-300:]!r}")
        faults += [f"where there was room again, {fault}" for fault in kills.half_written(out)]
    return faults


def jumped(case: kills.Case, folder: Path, seed: int) -> list[str]:
    """Faults of a training while the clock jumps."""
    out = folder / "run"

    def work() -> None:
        exec(JUMPING.format(seed=seed, hours=HOURS), {})
        kills.train("toy", out)

    code = kills.wait(kills.child(work, out))
    if code != 0:
        return [f"it ended with {code}"]
    return kills.differences(kills.contents(out), case.contents)


def page_on_full_disk(folder: Path) -> list[str]:
    """Faults of a page whose folder for temporary files is full."""
    faults = []

    def wrapped(command: list, kept: Path) -> list:
        return space.program_on_disk(300, kept, command)

    with open_page(folder, wrapped=wrapped) as page:
        refused = 0
        for seed in range(20):
            answer = page.call("generate", ["dcgan", seed, 100])
            refused += answer.refused is not None
            if said := page.wrong(answer):
                faults.append(f"a page on a full disk: {said}")
                break
        if not refused:
            faults.append("a page on a full disk: 20 pictures found room on 300 kB")
        stages = {name: component for component, _, name in page.functions()}
        if said := page.wrong(page.ask(stages["game_round"], "game_round", {"model": "dcgan", "round": 1})):
            faults.append(f"a page on a full disk: {said}")
    return faults


def page_of_jumping_clock(folder: Path, seed: int) -> list[str]:
    """Faults of a page while its clock jumps: of pictures, which are kept, and of a lab, which goes on."""
    faults = []
    code = f"{JUMPING.format(seed=seed, hours=HOURS)}\nfrom ganlib.demo import main\nmain()"

    with open_page(folder, wrapped=lambda command, kept: [command[0], "-c", code]) as page:
        stages = {name: component for component, _, name in page.functions()}
        settings = {"target": "ring", "batch_size": 16, "width": 4, "depth": 1}
        for i in range(1, 31):
            asked = {"settings": settings, "goal": [["both", 10 * i]], "opening": i == 1, "download": False}
            for answer, expected in ((page.call("generate", ["dcgan", i % 3, 4]), '"path"'),
                                     (page.ask(stages["lab_frame"], "lab_frame", asked), '"')):
                said = page.wrong(answer)
                if said or answer.refused is not None or expected not in answer.text:
                    faults.append(f"a page whose clock jumps: {said or answer.text[:300]!r}")
                    return faults
    return faults


def run(seed: int, amount: int, folder: Path, first: int = 0) -> Report:
    """So many attempts, among them one in eight with a clock that jumps; then, if they are many, two pages."""
    faults, counts, disks = [], {}, space.has_disks()
    kills.preload()
    with kills.small():
        case = kills.Case("toy", folder)
        starts = {"model": folder / "toy" / "run", "checkpoint": folder / "begun"}
        begun = kills.child(lambda: _begun(starts["checkpoint"]), folder)
        assert kills.wait(begun) == 0
        models = case.models | {kills.fingerprint(kills.saved_model(2))}
        for i in range(first, first + amount):
            rng, place = random.Random(f"{seed}-{i}"), folder / f"attempt-{i}"
            place.mkdir()
            if i % 8 == 7:
                what, found = "a clock that jumps, train", jumped(case, place, i)
            else:
                kind = rng.choice([FULL, LIMITED, READ_ONLY, FORBIDDEN] if disks else [LIMITED, FORBIDDEN])
                task, size = TASKS[i % len(TASKS)], rng.choice(SIZES)
                what = f"{kind}, {f'{size} kB, ' * (kind in (FULL, LIMITED))}{task.name}"
                found = attempt(task, kind, size, starts, models, place)
            counts[what.split(",")[0]] = counts.get(what.split(",")[0], 0) + 1
            faults += [f"{what}: {fault}; --seed {seed} --first {i} --amount 1" for fault in found]
            for fault in found:
                print(f"  {what}: {fault}", file=sys.stderr, flush=True)
            shutil.rmtree(place, ignore_errors=True)
    if amount >= AMOUNT:
        faults += page_of_jumping_clock(folder / "jumping", seed)
        faults += page_on_full_disk(folder / "full") if disks else []
    told = ", ".join(f"{what} {n} times" for what, n in sorted(counts.items()))
    return Report(f"{told}{'' if disks else ' (this system lends no disk of its own)'}: {len(faults)} faults", faults)


def _begun(out: Path) -> None:
    """Begins the toy's run, and leaves it after half of its steps."""
    from ganlib.runs import Run

    run, data = Run(kills.NAMES["toy"], out=out, device="cpu", checkpoint_every=kills.EVERY).open()
    states = run.train(data)
    for state in states:
        if state.step == run.config.steps // 2:
            states.close()
            return
