"""python -m train.repeat NAME: train a recipe with several seeds, and say how its measures spread."""

import argparse
import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from ganlib.card import MEASURES
from ganlib.checkpoint import write_whole
from ganlib.data import Data, ImageData, open_data
from ganlib.evaluation import evaluate
from ganlib.model import Model
from ganlib.recipes import RECIPES, Recipe
from ganlib.training import train
from train.run import digit_classifier, open_test_part, pick_device


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.repeat",
        description="Train a recipe with the seeds 0, 1, … and measure each result: is a good run luck?")
    p.add_argument("name", choices=RECIPES, metavar="NAME", help=f"the recipe: {', '.join(RECIPES)}")
    p.add_argument("--runs", type=int, default=10, help="how many seeds (default: 10)")
    p.add_argument("--steps", type=int, help="steps of each run (default: the recipe's)")
    p.add_argument("--device", default="auto", help="cpu, cuda, mps or auto for the best there is (default: auto)")
    p.add_argument("--data", metavar="WHERE", help="as for python -m train (default: the recipe's data)")
    p.add_argument("--out", type=Path, metavar="FILE", help="where to write all measures as JSON (default: nowhere)")
    return p


def run_once(name: str, recipe: Recipe, data: Data, test: Data | None, device: str, seed: int,
             steps: int | None = None) -> Model:
    """One run of a recipe in memory, measured."""
    config = replace(recipe.train, seed=seed, **({"steps": steps} if steps else {}))
    with tqdm(total=config.steps, desc=f"{name}, seed {seed}", unit="step", dynamic_ncols=True, leave=False) as bar:
        for step in train(recipe.build(), data, config, device):
            bar.update()
    model = Model(name, recipe.build(), step.generator, step.state.discriminator, history=step.state.history)
    model.metrics = evaluate(model, data, test, classifier=digit_classifier(data, device))
    return model


def spread(runs: list[dict]) -> list[str]:
    """A Markdown table: the worst, the median and the best of each measure over the runs."""
    lines = ["| | worst | median | best |", "|---|---|---|---|"]
    for measure in MEASURES:
        values = [run[measure.key] for run in runs if isinstance(run.get(measure.key), int | float)]
        if not values or not measure.better:
            continue
        ends = (max(values), min(values)) if measure.better == "low" else (min(values), max(values))
        middle = statistics.median_low(values)
        cells = " | ".join(format(value, measure.form) for value in (ends[0], middle, ends[1]))
        lines.append(f"| {measure.words.format(**runs[0])} | {cells} |")
    return [*lines, "", f"{len(runs)} runs, {runs[0]['samples']:,} samples each."]


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    threads = torch.get_num_threads()
    try:
        if arguments.runs < 1 or (arguments.steps is not None and arguments.steps < 1):
            raise ValueError("--runs and --steps must be at least 1")
        device, recipe = pick_device(arguments.device), RECIPES[arguments.name]
        data = open_data(recipe.data, arguments.data, shape=recipe.build().shape)
        test = open_test_part(recipe.data, arguments.data, data.shape)
        if isinstance(data, ImageData):
            data = data.to(device)
        if recipe.threads and device == "cpu":
            torch.set_num_threads(recipe.threads)
        runs = []
        for seed in range(arguments.runs):
            runs.append(run_once(arguments.name, recipe, data, test, device, seed, arguments.steps).metrics)
            if arguments.out:
                write_whole(arguments.out, json.dumps(runs, indent=2).encode())
        print("\n".join(spread(runs)))
    except ValueError as error:
        print(f"train.repeat: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"train.repeat: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train.repeat: stopped", file=sys.stderr)
        return 130
    finally:
        torch.set_num_threads(threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
