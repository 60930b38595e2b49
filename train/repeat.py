"""python -m train.repeat NAME: train a recipe with several seeds, and print the spread of its measures."""

import argparse
import signal
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path

import torch
from tqdm import tqdm

from ganlib import console, heap
from ganlib.checkpoint import classifier_for, round_to_float16
from ganlib.devices import threads
from ganlib.evaluation import calibrate, evaluate
from ganlib.measures import MEASURES
from ganlib.recipes import RECIPES
from ganlib.runs import Run
from ganlib.training import TrainConfig

from .command import DEVICE, command, pick_device
from .results import Results, train_in_memory


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=console.spelled("repeat"),
        description="Train a recipe with the seeds 0, 1, … and measure each result: is a good run luck?")
    p.add_argument("name", choices=RECIPES, metavar="NAME", help=f"the recipe: {', '.join(RECIPES)}")
    p.add_argument("--runs", type=int, default=10, help="how many seeds (default: 10)")
    p.add_argument("--steps", type=int, help="steps of each run (default: the recipe's)")
    p.add_argument("--device", **DEVICE)
    p.add_argument("--data", metavar="WHERE", help=f"as for {console.spelled()} (default: the recipe's data)")
    p.add_argument("--jobs", type=int, help="how many runs at a time (default: on a CPU as many as it has cores, for a "
                                            "recipe that trains on one; else 1)")
    p.add_argument("--out", type=Path, metavar="FILE",
                   help="a JSON file to keep all measures in; runs that are in it are not repeated (default: none)")
    return p


def run_once(run: Run, config: TrainConfig, cores: int | None = None, shown: bool = True) -> dict:
    """Trains in memory and measures the model; the measures are empty if a loss did not stay finite.

    cores: CPU threads if the recipe does not limit them, None for all. shown: with a progress bar.
    """
    run, data = run.open()
    if run.device == "cpu":
        heap.keep()
    with threads(run.recipe.threads or cores, run.device):
        model = train_in_memory(run.name, run.architecture, config, data, run.device, shown)
        if model is None:
            return {}
        if len(model.shape) == 3:
            round_to_float16(model.generator)
        if model.encoder is not None:
            round_to_float16(model.encoder)
        if model.discriminator is not None:
            calibrate(model, data, config.loss)
        return evaluate(model, data, classifier=classifier_for(data, run.device))


def jobs_of(run: Run) -> int:
    """How many runs at a time use all cores: more than one where the recipe limits the threads of a run."""
    limit = run.recipe.threads if run.device == "cpu" else None
    return max(1, torch.get_num_threads() // limit) if limit else 1


def run_all(run: Run, configs: list[TrainConfig], jobs: int) -> Iterator[tuple[TrainConfig, dict]]:
    """Each training with its measures, in the order in which they end, `jobs` at a time."""
    if jobs == 1:
        yield from ((config, run_once(run, config)) for config in configs)
        return
    cores = max(1, torch.get_num_threads() // jobs)
    pool = ProcessPoolExecutor(jobs, get_context("spawn"))  # CUDA and torch's threads do not survive a fork
    ends = {}
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ends = {pool.submit(run_once, run, config, cores, False): config for config in configs}
        for number in before:  # the started processes ignore signals: this process ends them
            signal.signal(number, signal.default_int_handler)
        for end in tqdm(as_completed(ends), run.name, len(ends), unit="run", dynamic_ncols=True, leave=False):
            yield ends[end], end.result()
    except BrokenProcessPool:
        raise ValueError("a run was killed, possibly because memory ran out; give fewer --jobs") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if not all(end.done() for end in ends):
            for process in active_children():
                process.kill()
        pool.shutdown(cancel_futures=True)


def spread(runs: list[dict]) -> list[str]:
    """A Markdown table: the worst, the median, the mean and the best of each measure, over runs that stayed finite."""
    measured = [run for run in runs if run]
    lines = ["| | worst | median | mean | best |", "|---|---|---|---|---|"]
    for measure in MEASURES:
        values = sorted(run[measure.key] for run in measured if isinstance(run.get(measure.key), int | float))
        if not values or not measure.better:
            continue
        best, worst = (values[0], values[-1]) if measure.better == "low" else (values[-1], values[0])
        cells = map(measure.written, (worst, statistics.median(values), statistics.mean(values), best))
        lines.append(f"| {measure.named(measured[0])} | {' | '.join(cells)} |")
    samples = f", {measured[0]['samples']:,} samples each" if measured else ""
    failed = f"; {len(runs) - len(measured)} did not stay finite" if len(measured) < len(runs) else ""
    return [*lines, "", f"{len(runs)} run{'s' if len(runs) > 1 else ''}{samples}{failed}."]


def work(arguments: argparse.Namespace) -> None:
    """Does the runs that --out does not hold yet; measures are kept and printed even if a later run fails."""
    if arguments.runs < 1 or (arguments.jobs is not None and arguments.jobs < 1):
        raise ValueError("--runs and --jobs must be at least 1")
    run = Run(arguments.name, device=pick_device(arguments.device), where=arguments.data)
    config = run.config if arguments.steps is None else replace(run.config, steps=arguments.steps)
    opened, data = run.open()
    kept = Results(arguments.out, data, classifier_for(data, "cpu"), run.device)
    configs = [replace(config, seed=seed) for seed in range(arguments.runs)]
    runs = {config.seed: kept.find(opened.architecture, config) for config in configs}
    todo = [config for config in configs if runs[config.seed] is None]
    jobs = arguments.jobs or jobs_of(run)
    try:
        for config, measures in run_all(run, todo, min(jobs, max(1, len(todo)))):
            kept.add(f"{run.name}, seed {config.seed}", opened.architecture, config, measures)
            runs[config.seed] = measures
    finally:
        done = [measures for measures in runs.values() if measures is not None]
        if done:
            print("\n".join(spread(done)))


main = command(parser, work, "stopped; with the same --out it continues")

if __name__ == "__main__":
    sys.exit(main())
