"""python -m tests.benchmarks.time_to_quality: how good the digits are after how long, from the start of the process.

Claim: the FID of `cdcgan-fast` is at most 4, 2 and 1.25 times that of real images after 3, 7 and 30 minutes on two
cores without bfloat16, and it passes the best FID of well-known scripts in a fifth of their time. The rules, and the
records, are in docs/speedrun.md. Each run is kept as a JSON file, and a stopped command goes on where it was stopped.
Let nothing else run meanwhile.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ganlib import metrics
from ganlib.architectures import build
from ganlib.checkpoint import load_classifier, to_json, write_atomically
from ganlib.classifier import DigitClassifier
from ganlib.data import ImageData, open_data, scale
from ganlib.evaluation import SEED, subsample
from ganlib.model import Model
from ganlib.training import recompute_statistics
from tests.benchmarks.__main__ import machine
from tests.benchmarks.contestants import RECIPE, SCRIPTS, TIERS, Tier, ours
from train.command import command, pick_device

SAMPLES = 10_000
SHARE = 5  # ganlib passes the best FID of a script in this part of its time


@dataclass(frozen=True)
class Judge:
    """Measures samples by the digit classifier, as docs/results.md does."""

    data: ImageData
    classifier: DigitClassifier
    real: Tensor  # features of the test images
    floor: float  # FID of as many training images

    @classmethod
    def of_mnist(cls) -> "Judge":
        data, classifier = open_data("mnist"), load_classifier(device="cpu")
        test, seen = (classifier.examine(scale(subsample(images, SAMPLES)))[0]
                      for images in (data.held_out().images, data.images))
        return cls(data, classifier, test, metrics.frechet_distance(test, seen))

    def ratio(self, samples: Tensor) -> float:
        """The FID of samples as a multiple of that of real images."""
        return metrics.frechet_distance(self.real, self.classifier.examine(samples)[0]) / self.floor


@dataclass(frozen=True)
class Entry:
    """A run that is measured.

    Args:
        name: the recipe's, or a script's.
        seed: of the run.
        seconds: that it trains for; the recipe ends after its steps.
        steps: of the recipe, None for a script.
    """

    name: str
    seed: int
    seconds: float
    steps: int | None = None

    @property
    def file(self) -> str:
        return f"{self.name}-{self.steps or round(self.seconds)}-seed-{self.seed}.json"

    def options(self, device: str) -> list[str]:
        """Of `tests.benchmarks.contestants`."""
        steps = [] if self.steps is None else ["--steps", str(self.steps), "--device", device]
        return [self.name, "--seed", str(self.seed), "--seconds", str(self.seconds), *steps]

    def samples(self, weights: dict[str, Tensor], judge: Judge, last: bool) -> tuple[Tensor, float]:
        """Samples of kept weights, and the seconds that batch norm's statistics took, which a run computes at its end.
        """
        if self.steps is None:
            return SCRIPTS[self.name].samples(weights, SAMPLES, SEED), 0.0
        architecture, _ = ours(self.steps, self.seed)
        generator, _ = build(architecture, None)
        generator.load_state_dict(weights)
        start = time.monotonic()
        if not last:
            recompute_statistics(generator, architecture, judge.data, torch.Generator().manual_seed(SEED))
        took = time.monotonic() - start
        labels = subsample(judge.data.labels, SAMPLES)
        return Model(RECIPE, architecture, generator).draw(SAMPLES, SEED, labels), took


def commit() -> str:
    """The commit that is measured, and whether files differ from it."""
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], check=True, capture_output=True, text=True, encoding="utf-8",
                              cwd=Path(__file__).parent).stdout.strip()

    return git("rev-parse", "--short=10", "HEAD") + " with changes" * bool(git("status", "--porcelain", "-uno"))


def race(entry: Entry, device: str, folder: Path) -> dict[str, float]:
    """Runs an entry in a process of its own. Returns its kept weights' files, and the seconds after which each was
    written, from the start of the process."""
    subprocess.run([sys.executable, "-m", "tests.benchmarks.contestants", *entry.options(device), "--out", str(folder),
                    "--started", str(time.monotonic())], check=True)
    clock: dict[str, float] = json.loads((folder / "clock.json").read_text(encoding="utf-8"))
    return clock


def judged(entry: Entry, device: str, judge: Judge, whole: bool) -> dict[str, Any]:
    """A run, JSON-ready: its curve of [seconds, FID as a multiple of that of real images], the last pair at its end.

    whole: whether weights that were kept on the way are measured too, which takes minutes.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clock, curve = race(entry, device, folder), []
        for name, seconds in list(clock.items())[0 if whole else -1:]:
            samples, more = entry.samples(load_file(folder / name), judge, name == max(clock))
            curve.append([round(seconds + more, 2), judge.ratio(samples)])
    return {"entry": entry.name, "steps": entry.steps, "seed": entry.seed, "commit": commit(), "machine": machine(),
            "device": device, "curve": curve}


def kept(entry: Entry, device: str, judge: Judge, folder: Path, whole: bool = True) -> dict[str, Any]:
    """A run of this commit, from its file or run now. whole: as of `judged`."""
    path = folder / entry.file
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if (found["commit"], found["device"]) == (commit(), device) and (len(found["curve"]) > 1 or not whole):
            return found
    found = judged(entry, device, judge, whole)
    write_atomically(path, to_json(found))
    return found


def best(run: dict[str, Any]) -> tuple[float, float]:
    """The seconds and the ratio of the lowest FID of a run."""
    seconds, ratio = min(run["curve"], key=lambda point: point[1])
    return seconds, ratio


def passed(run: dict[str, Any], ratio: float) -> float | None:
    """The seconds after which a run's FID is at most that ratio, None if it never is."""
    return next((seconds for seconds, reached in run["curve"] if reached <= ratio), None)


def record(tier: Tier, runs: list[dict[str, Any]]) -> str:
    """A row of the record table: means over the runs, and each run's FID."""
    ends = [run["curve"][-1] for run in runs]
    seconds, ratio = (statistics.mean(values) for values in zip(*ends))
    (of,) = {run["commit"] for run in runs}
    reached = "reached" if ratio <= tier.ratio and seconds <= 60 * tier.minutes else "missed"
    each = ", ".join(f"{end[1]:.3g}" for end in ends)
    return (f"| {tier.minutes} min, {tier.ratio:g} | `train {RECIPE}{tier.option}` | {seconds:.0f} s | {ratio:.3g} "
            f"({each}) | {reached} | {of} |")


def against(script: str, run: dict[str, Any], ours: list[dict[str, Any]]) -> str:
    """A row of the table of scripts: its best FID, and when ganlib passes it, the first of each of some runs."""
    seconds, ratio = best(run)
    first = [passed(own, ratio) for own in ours]
    times = [value for value in first if value is not None]
    if len(times) < len(ours):
        cells = ["never", "", "missed"]
    else:
        mean = statistics.mean(times)
        cells = [f"{mean:.0f} s", f"{mean / seconds:.2f}", "reached" if mean * SHARE <= seconds else "missed"]
    return f"| {SCRIPTS[script].title} | {ratio:.3g} | {seconds:.0f} s | {' | '.join(cells)} | {run['commit']} |"


RECORDS = ["| target | command | wall clock | FID / floor (each run) | | commit |", "|---|---|---|---|---|---|"]
RIVALS = ["| | best FID / floor | after | ganlib passes it after | share of the time | | commit |",
          "|---|---|---|---|---|---|---|"]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m tests.benchmarks.time_to_quality", description="Time to quality.")
    p.add_argument("--tier", type=int, choices=TIERS, action="append", help="minutes (default: all)")
    p.add_argument("--runs", type=int, default=3, help="of each tier, with the seeds from 0 on (default: 3)")
    p.add_argument("--against", choices=SCRIPTS, action="append", metavar="SCRIPT",
                   help=f"also run these: {', '.join(SCRIPTS)} (default: none)")
    p.add_argument("--seconds", type=float, default=1_800, help="that each of them trains for (default: 1800)")
    p.add_argument("--device", default="cpu", help="of ganlib's runs (default: cpu)")
    p.add_argument("--out", type=Path, default=Path("runs/speedrun"), metavar="FOLDER",
                   help="the folder of the JSON files (default: runs/speedrun)")
    return p


def work(arguments: argparse.Namespace) -> None:
    """Does the runs that --out does not hold yet, and prints both tables."""
    if arguments.runs < 1 or arguments.seconds <= 0:
        raise ValueError("--runs must be at least 1, and --seconds above 0")
    device, folder, judge = pick_device(arguments.device), arguments.out, Judge.of_mnist()
    folder.mkdir(parents=True, exist_ok=True)
    print("\n".join(machine()), "", *RECORDS, sep="\n", flush=True)
    runs, wanted = {}, arguments.tier or [*TIERS]
    for minutes in wanted:
        tier = TIERS[minutes]
        entries = [Entry(RECIPE, seed, 60 * tier.minutes, tier.steps) for seed in range(arguments.runs)]
        whole = bool(arguments.against) and minutes == min(wanted)  # which the scripts are compared with
        runs[minutes] = [kept(entry, device, judge, folder, whole) for entry in entries]
        print(record(tier, runs[minutes]), flush=True)
    if arguments.against:
        print("", *RIVALS, sep="\n", flush=True)
    for script in arguments.against or ():
        run = kept(Entry(script, 0, arguments.seconds), "cpu", judge, folder)
        print(against(script, run, runs[min(runs)]), flush=True)


main = command(parser, work, "stopped; the same command continues")

if __name__ == "__main__":
    sys.exit(main())
