"""python -m train.repeat NAME: train a recipe with several seeds, and say how its measures spread."""

import argparse
import signal
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path

import torch
from tqdm import tqdm

from ganlib.architectures import Architecture
from ganlib.checkpoint import classifier_for, round_to_float16
from ganlib.data import Data, open_data
from ganlib.evaluation import calibrate, evaluate
from ganlib.measures import MEASURES
from ganlib.recipes import RECIPES
from ganlib.training import TrainConfig
from train.command import DEVICE, command, pick_device, pick_precision, threads
from train.results import Results, train_in_memory


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.repeat",
        description="Train a recipe with the seeds 0, 1, … and measure each result: is a good run luck?")
    p.add_argument("name", choices=RECIPES, metavar="NAME", help=f"the recipe: {', '.join(RECIPES)}")
    p.add_argument("--runs", type=int, default=10, help="how many seeds (default: 10)")
    p.add_argument("--steps", type=int, help="steps of each run (default: the recipe's)")
    p.add_argument("--device", **DEVICE)
    p.add_argument("--data", metavar="WHERE", help="as for python -m train (default: the recipe's data)")
    p.add_argument("--jobs", type=int, default=1, help="how many runs at a time (default: 1)")
    p.add_argument("--out", type=Path, metavar="FILE",
                   help="where to keep all measures as JSON; a run that is in it already is not done again "
                        "(default: nowhere)")
    return p


def prepare(name: str, where: str | None) -> tuple[Architecture, Data]:
    """The networks of a recipe, fitted to its data, and the data. Raises ValueError where they cannot be."""
    recipe = RECIPES[name]
    data = open_data(recipe.data, where, shape=recipe.build().shape)
    return recipe.build(data.shape, data.num_classes), data


def run_once(name: str, config: TrainConfig, where: str | None, device: str, cores: int | None, shown: bool) -> dict:
    """Train a recipe in memory, and measure what came out; a run whose loss does not stay finite has no measures.

    cores: None for the recipe's. shown: with a bar.
    """
    recipe = RECIPES[name]
    networks, data = prepare(name, where)
    with threads(recipe.threads or cores, device):
        model = train_in_memory(name, networks, config, data, device, shown)
        if model is None:
            return {}
        if len(model.shape) == 3:
            round_to_float16(model.generator)
        calibrate(model, data, config.loss)
        return evaluate(model, data, data.held_out(), classifier=classifier_for(data, device))


def run_all(name: str, configs: list[TrainConfig], where: str | None, device: str,
            jobs: int) -> Iterator[tuple[TrainConfig, dict]]:
    """Each configuration with the measures of its run, so many at a time, as they end."""
    if jobs == 1:
        for config in configs:
            yield config, run_once(name, config, where, device, None, True)
        return
    cores = max(1, torch.get_num_threads() // jobs)
    pool = ProcessPoolExecutor(jobs, get_context("spawn"))  # forked, neither CUDA nor torch's threads would live on
    ends: dict[Future, TrainConfig] = {}
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ends = {pool.submit(run_once, name, config, where, device, cores, False): config for config in configs}
        for number in before:  # the processes just started ignore it: this one ends them
            signal.signal(number, signal.default_int_handler)
        for end in tqdm(as_completed(ends), name, len(ends), unit="run", dynamic_ncols=True, leave=False):
            yield ends[end], end.result()
    except BrokenProcessPool:
        raise ValueError("a run was killed, as where memory runs out; give fewer --jobs") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if not all(end.done() for end in ends):
            for process in active_children():  # none goes on without this process
                process.kill()
        pool.shutdown(cancel_futures=True)


def spread(runs: list[dict]) -> list[str]:
    """A Markdown table: the worst, the median, the mean and the best of each measure over the runs that have any."""
    measured = [run for run in runs if run]
    lines = ["| | worst | median | mean | best |", "|---|---|---|---|---|"]
    for measure in MEASURES:
        values = [run[measure.key] for run in measured if isinstance(run.get(measure.key), int | float)]
        if not values or not measure.better:
            continue
        ends = (max(values), min(values)) if measure.better == "low" else (min(values), max(values))
        form = measure.form.replace("d", "g")  # the median of counts may be a half
        figures = (ends[0], statistics.median(values), statistics.mean(values), ends[1])
        cells = " | ".join(format(value, form) for value in figures)
        lines.append(f"| {measure.named(measured[0])} | {cells} |")
    samples = f", {measured[0]['samples']:,} samples each" if measured else ""
    failed = f"; {len(runs) - len(measured)} did not stay finite" if len(measured) < len(runs) else ""
    return [*lines, "", f"{len(runs)} run{'s' if len(runs) > 1 else ''}{samples}{failed}."]


def work(arguments: argparse.Namespace) -> None:
    """Run what --out does not hold yet; what was measured is shown, and kept, also where a later run fails."""
    if arguments.runs < 1 or arguments.jobs < 1:
        raise ValueError("--runs and --jobs must be at least 1")
    name, device = arguments.name, pick_device(arguments.device)
    recipe = RECIPES[name]
    config = replace(recipe.train, bfloat16=pick_precision("auto", recipe.train.bfloat16, device))
    if arguments.steps is not None:
        config = replace(config, steps=arguments.steps)
    networks, data = prepare(name, arguments.data)
    kept = Results(arguments.out, data, classifier_for(data, "cpu"), device)
    configs = [replace(config, seed=seed) for seed in range(arguments.runs)]
    runs = {config.seed: kept.find(networks, config) for config in configs}
    todo = [config for config in configs if runs[config.seed] is None]
    try:
        for config, measures in run_all(name, todo, arguments.data, device, min(arguments.jobs, max(1, len(todo)))):
            kept.add(f"{name}, seed {config.seed}", networks, config, measures)
            runs[config.seed] = measures
    finally:
        done = [measures for measures in runs.values() if measures is not None]
        if done:
            print("\n".join(spread(done)))


main = command(parser, work, "stopped; with the same --out it goes on")

if __name__ == "__main__":
    sys.exit(main())
