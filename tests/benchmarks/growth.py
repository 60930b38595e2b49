"""python -m tests.benchmarks.growth [--short]: what a training costs as it grows, as a table and a chart.

Measured are 1, 2 and 4 processes, images of 28 to 128 pixels, and sets of 10 to 100,000 pictures: their loading, the
time of a step, memory. Each figure comes from processes of its own, with one thread each. Let nothing else run
meanwhile. docs/growth.md and docs/growth.svg are written by this command.
"""

import argparse
import json
import math
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest.mock import patch

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, ScalarFormatter

from ganlib import charts, console, picture_cache
from ganlib.architectures import ARCHITECTURES
from ganlib.data import ImageData
from ganlib.distributed import joined
from ganlib.pictures import look, read
from ganlib.recipes import RECIPES
from ganlib.training import State, train
from tests.benchmarks.__main__ import machine
from tests.benchmarks.folder import draw
from tests.shared_runs import processes

COMMAND = "python -m tests.benchmarks.growth"
PROCESSES, SIDES, SAMPLES = (1, 2, 4), (28, 32, 48, 64, 96, 128), (10, 100, 1_000, 10_000, 100_000)
SHORT = ((1, 2), (28, 64), (10, 1_000))
BATCH, OF_SIDES = 64, 16  # samples a step; fewer for images of many sizes, whose largest take seconds
WARM_UP, STEPS = 2, 9  # a step's time is the median
DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Point:
    """What is measured: a dcgan of that size, on a folder of so many pictures, or on noise if it is None."""

    processes: int = 1
    side: int = 28
    batch_size: int = BATCH
    folder: str | None = None


@dataclass(frozen=True)
class Figures:
    """Of the first process. Loading is NaN for noise; memory is the highest of the process, in MiB."""

    step: float  # seconds
    memory: float
    load: float  # seconds, of pictures that have not been opened before
    again: float  # seconds, of pictures that have


def work(point: Point) -> None:
    """Measures a point in this process, and prints the figures if it is the first one."""
    with joined() as group, tempfile.TemporaryDirectory() as cache:
        torch.set_num_threads(1)
        loads, shape = [float("nan")] * 2, (1, point.side, point.side)
        if point.folder is None:
            images = torch.randint(256, (1_000, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        else:
            picture_cache.KEPT_FROM = 0.0  # however short the reading was
            for i in range(2):
                start = time.perf_counter()
                images = read(look(Path(point.folder)), shape, None, Path(cache)).images
                loads[i] = time.perf_counter() - start
        architecture = ARCHITECTURES["dcgan"].fitted(shape, None)
        # a step more than is timed: the last one computes batch norm's statistics
        config = replace(RECIPES["dcgan"].train, steps=WARM_UP + STEPS + 1, batch_size=point.batch_size, bfloat16=False)
        times = []
        for step in train(architecture, ImageData("pictures", images), config,
                          state=State.fresh(architecture, config, group=group)):
            times.append(time.perf_counter())
            if step.number == WARM_UP + STEPS:
                break
        step = statistics.median(b - a for a, b in zip(times[WARM_UP - 1:], times[WARM_UP:]))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        if group.is_first:
            print(json.dumps(asdict(Figures(step, memory, *loads))))


def measure(point: Point) -> Figures:
    """The figures of a point, measured in processes of its own."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["-m", "tests.benchmarks.growth", "--point", json.dumps(asdict(point))]
        with processes(point.processes, arguments, Path(folder)) as started:
            codes = [process.wait(1_800) for process in started]
        said = Path(folder, "log-0").read_text(encoding="utf-8")
    if any(codes):
        raise ValueError(f"a process ended with the code {max(codes)}: {said.strip()}")
    return Figures(**json.loads(said.splitlines()[-1]))


Series = dict[int, Figures]  # by what grows
Whole = tuple[int, ...]


def measured(counts: Whole, sides: Whole, samples: Whole) -> tuple[Series, Series, Series]:
    """The figures by processes, by pixels of a side, and by pictures."""
    def shown(what: str, found: Figures) -> Figures:
        print(f"{what}: {1000 * found.step:.0f} ms a step, {found.memory:.0f} MiB", flush=True)
        return found

    by_processes = {n: shown(f"{n} processes", measure(Point(processes=n))) for n in counts}
    by_side = {side: shown(f"{side} pixels", measure(Point(side=side, batch_size=OF_SIDES))) for side in sides}
    by_samples = {}
    for n in samples:
        with tempfile.TemporaryDirectory() as folder:
            draw(Path(folder), n)
            by_samples[n] = shown(f"{n:,} pictures", measure(Point(folder=folder)))
    return by_processes, by_side, by_samples


def table(by_processes: Series, by_side: Series, by_samples: Series) -> list[str]:
    """A Markdown table of all figures."""
    lines = ["| what grows | ms a step | images a second | MiB a process | seconds to load, and again |",
             "|---|---|---|---|---|"]
    for form, series, size in (("{0} processes", by_processes, BATCH), ("{0} × {0} pixels", by_side, OF_SIDES),
                               ("{0:,} pictures", by_samples, BATCH)):
        for n, found in series.items():
            loads = "" if math.isnan(found.load) else f"{found.load:.2g}, {found.again:.2g}"
            lines.append(f"| {form.format(n)} | {1000 * found.step:.4g} | {size / found.step:.3g} | "
                         f"{found.memory:.0f} | {loads} |")
    return lines


def sentence(by_processes: Series, by_side: Series, by_samples: Series) -> str:
    """What the figures say, in a line."""
    def of(series: Series) -> tuple[int, int]:
        return min(series), max(series)

    one, many = of(by_processes)
    small, large = of(by_side)
    few, most = of(by_samples)
    faster = by_processes[one].step / by_processes[many].step
    return (f"{many} processes with a thread each make {faster:.1f} times as many steps as {one}; "
            f"images of {large} pixels take {by_side[large].step / by_side[small].step:.0f} times as long as those of "
            f"{small}, which have {(large / small) ** 2:.0f} times fewer pixels; {most:,} pictures take "
            f"{by_samples[most].step / by_samples[few].step:.2f} times as long a step as {few}, "
            f"{by_samples[most].load:.0f} s to load, {by_samples[most].again:.1f} s again, and "
            f"{by_samples[most].memory - by_samples[few].memory:.0f} MiB more.")


@charts.style()
def chart(by_processes: Series, by_side: Series, by_samples: Series) -> Figure:
    """Images a second by processes and by pixels; seconds to load, and of a step, by pictures."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    parts = figure.subplots(1, 3)
    for axes, series, size, title, label in (
            (parts[0], by_processes, BATCH, "Processes", "processes, with a thread each"),
            (parts[1], by_side, OF_SIDES, "Image size", "pixels of a side")):
        axes.plot([*series], [size / found.step for found in series.values()], "o-", color=charts.FAKE)
        axes.set(title=title, xlabel=label, ylabel="images a second")
    first = min(by_processes)
    parts[0].plot([*by_processes], [BATCH / by_processes[first].step * n / first for n in by_processes], ":",
                  color=charts.INK, label="a core for each")
    parts[0].legend(loc="upper left")
    for key, label, colour in (("load", "to load", charts.FAKE), ("again", "to load again", charts.REAL),
                               ("step", "a step", charts.SECOND)):
        parts[2].plot([*by_samples], [getattr(found, key) for found in by_samples.values()], "o-", color=colour,
                      label=label, markersize=4)
    parts[2].set(title="Pictures", xlabel="pictures", ylabel="seconds", xscale="log", yscale="log")
    parts[2].legend(loc="upper left")
    parts[0].set(ylim=(0, None), xticks=[*by_processes])
    parts[1].set(xscale="log", yscale="log")
    for axis, locator in ((parts[1].xaxis, FixedLocator([*by_side])), (parts[1].yaxis, LogLocator(subs=(1, 2, 5)))):
        axis.set_major_locator(locator)
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(ScalarFormatter())
    return figure


def document(found: tuple[Series, Series, Series]) -> str:
    """docs/growth.md."""
    where, versions = machine()
    return "\n".join([
        "# What a training costs as it grows", "", f"Written by `{COMMAND}` on {time.strftime('%Y-%m-%d')}.", "",
        f"- {where}", f"- {versions}", "",
        f"The recipe `dcgan` in float32, its networks fitted to the size; {BATCH} samples a step, {OF_SIDES} where the "
        "size grows; one thread a process.", "", "![Steps by processes, image size and pictures](growth.svg)", "",
        sentence(*found), "", *table(*found), ""])


@console.command
def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.partition(": ")[2].partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="measure a few points, and write no docs")
    parser.add_argument("--out", type=Path, metavar="FOLDER",
                        help="where to write (default: docs; with --short nowhere)")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        work(Point(**json.loads(arguments.point)))
        return
    found = measured(*(SHORT if arguments.short else (PROCESSES, SIDES, SAMPLES)))
    print("\n".join([*table(*found), "", sentence(*found)]))
    out = arguments.out or (None if arguments.short else DOCS)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "growth.md").write_text(document(found), encoding="utf-8")
        with patch.dict(charts.STYLE, {"svg.fonttype": "none"}):  # letters as paths would make a large file
            svg = charts.to_svg(chart(*found), "the cost of a training as it grows")
        (out / "growth.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
