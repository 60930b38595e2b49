"""python -m tests.benchmarks.few: the dcgan recipe on 500 images of MNIST, with and without augmentation.

The images are 50 of each class, evenly spaced among those of MNIST's training part. Seeds 0 and 1 train with and
without `--augment`. 10,000 samples are compared with the test part, in the digit classifier's features. FID is a
multiple of that of 10,000 images of the training part. Finished runs are kept in a JSON file and not repeated.
The discriminator is half as wide as the recipe's, and batches are smaller, which saves hours.
"""

import argparse
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import torch

from ganlib import metrics
from ganlib.augmentation import DEFAULT
from ganlib.checkpoint import load_classifier
from ganlib.checks import check_int
from ganlib.data import ImageData, open_data, scale
from ganlib.devices import has_bfloat16
from ganlib.evaluation import NEIGHBOURS, SEED, Examined, measure_briefly, nearest_image, subsample
from ganlib.recipes import RECIPES
from train.command import command
from train.results import Results, train_in_memory

EACH, SEEDS, SAMPLES = 50, (0, 1), 10_000
CHANNELS = (32, 64, 128)  # of the discriminator
WAYS = {"without": (), "with `--augment`": DEFAULT}


def few(data: ImageData) -> ImageData:
    """EACH images of each class, evenly spaced; the held-out part is the data's."""
    every = [(data.labels == label).nonzero().flatten() for label in range(data.num_classes)]
    index = torch.cat([subsample(of_class, EACH) for of_class in every])
    return replace(data, name=f"few-{data.name}", images=data.images[index], labels=data.labels[index])


def measure(model, data: ImageData, real: Examined, network) -> dict[str, float]:
    """FID, precision, recall, and the median distance to the nearest of the images that the model was trained on."""
    distances = nearest_image(model.draw(SAMPLES, SEED), data)[0]
    return {**measure_briefly(model, data, real, network, SAMPLES), "nearest": distances.median().item()}


def table(results: dict[str, list[dict]], floor: float, nearest: float, note: str) -> list[str]:
    """A Markdown table: means over the seeds, and each seed's measure in brackets.

    floor: FID of real images. nearest: median distance of test images from the nearest training image.
    """
    lines = [f"| | FID / floor | precision | recall | nearest training image (test images: {nearest:.3g}) |",
             "|---|---|---|---|---|"]
    for way, runs in results.items():
        if all(runs):
            columns = ([run[key] / unit for run in runs] for key, unit in (
                ("fid_digit_classifier", floor), ("precision", 1), ("recall", 1), ("nearest", 1)))
            cells = [f"{statistics.mean(column):.3g} ({', '.join(f'{value:.3g}' for value in column)})"
                     for column in columns]
        else:
            cells = [f"{sum(not run for run in runs)} of {len(runs)} did not stay finite", "", "", ""]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return [*lines, "", note]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m tests.benchmarks.few", description=__doc__.partition(": ")[2])
    p.add_argument("--steps", type=int, default=3_000, help="of each run (default: 3000)")
    p.add_argument("--batch-size", type=int, default=32, help="real samples a step (default: 32)")
    p.add_argument("--out", type=Path, metavar="FILE", default=Path("runs/few.json"),
                   help="a JSON file to keep all measures in (default: runs/few.json)")
    return p


def work(arguments: argparse.Namespace) -> None:
    """Does the runs that --out does not hold yet, and prints the table."""
    for option in ("steps", "batch_size"):
        check_int(getattr(arguments, option), 1, 10**9, f"--{option.replace('_', '-')}")
    mnist, network = open_data("mnist"), load_classifier(device="cpu")
    data, recipe = few(mnist), RECIPES["dcgan"]
    test, seen = (scale(subsample(images, SAMPLES)) for images in (mnist.held_out().images, mnist.images))
    real, architecture = network.examine(test), replace(recipe.build(), discriminator_channels=CHANNELS)
    kept = Results(arguments.out, data, network, "cpu", samples=SAMPLES)
    results: dict[str, list[dict]] = {way: [] for way in WAYS}
    for seed in SEEDS:
        for way, names in WAYS.items():
            config = replace(recipe.train, steps=arguments.steps, batch_size=arguments.batch_size, seed=seed,
                             bfloat16=has_bfloat16("cpu"), augment=names)
            measures = kept.find(architecture, config)
            if measures is None:
                model = train_in_memory(way, architecture, config, data, "cpu")
                measures = {} if model is None else measure(model, data, real, network)
                kept.add(f"{way}, seed {seed}", architecture, config, measures)
            results[way].append(measures)
    floor = metrics.frechet_distance(real[0], network.examine(seen)[0])
    note = (f"{len(data)} images of MNIST; {arguments.steps:,} steps of {arguments.batch_size}; mean of seeds "
            f"{' and '.join(map(str, SEEDS))}, each in brackets; {SAMPLES:,} samples against as many test images; FID, "
            f"precision and recall (k = {NEIGHBOURS}) in digit-classifier features; floor {floor:.3g}; distances in "
            f"pixels from -1 to 1, medians.")
    print("\n".join(table(results, floor, nearest_image(test, data)[0].median().item(), note)))


main = command(parser, work, "stopped; the same command continues")

if __name__ == "__main__":
    sys.exit(main())
