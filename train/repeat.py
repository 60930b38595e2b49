"""python -m train.repeat NAME: train a recipe with several seeds, and say how its measures spread."""

import argparse
import statistics
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from ganlib.card import MEASURES
from ganlib.checkpoint import to_json, write_whole
from ganlib.data import Data, ImageData, open_data
from ganlib.evaluation import evaluate
from ganlib.model import Model
from ganlib.recipes import RECIPES, Recipe
from ganlib.training import TrainConfig, check_fit, train
from train.run import digit_classifier, in_a_sentence, open_test_part, pick_device, pick_precision, settle, threads


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


def run_once(name: str, recipe: Recipe, config: TrainConfig, data: Data, test: Data | None, device: str) -> Model:
    """One run of a recipe in memory, measured."""
    with tqdm(total=config.steps, desc=f"{name}, seed {config.seed}", unit="step", dynamic_ncols=True,
              leave=False) as bar:
        for step in train(recipe.build(), data, config, device):
            bar.update()
    model = Model(name, recipe.build(), step.generator, step.state.discriminator, history=step.state.history)
    settle(model, config, data)
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
        form = measure.form.replace("d", "g")  # the median of counts may be a half
        cells = " | ".join(format(value, form) for value in (ends[0], statistics.median(values), ends[1]))
        lines.append(f"| {measure.words.format(**runs[0])} | {cells} |")
    return [*lines, "", f"{len(runs)} runs, {runs[0]['samples']:,} samples each."]


def work(arguments: argparse.Namespace) -> int:
    """Run after run; what was measured is shown, and kept in --out, also where a later run fails."""
    if arguments.runs < 1:
        raise ValueError("--runs must be at least 1")
    device, recipe = pick_device(arguments.device), RECIPES[arguments.name]
    config = replace(recipe.train, bfloat16=pick_precision("auto", recipe.train.bfloat16, device))
    if arguments.steps is not None:
        config = replace(config, steps=arguments.steps)
    data = open_data(recipe.data, arguments.data, shape=recipe.build().shape)
    check_fit(recipe.build(), data)
    test = open_test_part(recipe.data, arguments.data, data.shape)
    if isinstance(data, ImageData):
        data = data.to(device)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
    runs = []
    try:
        with threads(recipe.threads, device):
            for seed in range(arguments.runs):
                runs.append(run_once(arguments.name, recipe, replace(config, seed=seed), data, test, device).metrics)
                if arguments.out:
                    write_whole(arguments.out, to_json(runs))
    finally:
        if runs:
            print("\n".join(spread(runs)))
    return 0


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return in_a_sentence("train.repeat", lambda: work(arguments))


if __name__ == "__main__":
    sys.exit(main())
