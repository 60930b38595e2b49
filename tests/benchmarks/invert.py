"""python -m tests.benchmarks.invert: how close `Model.invert` comes to test digits of MNIST, and how long it takes.

The digits are evenly spaced in MNIST's test part. Models with classes are given the digit's class. The shipped digit
classifier reads the digits that were found. Times of one digit are the medians of SINGLE calls, in seconds that pass
and in seconds of the process on all cores, which differ where other programs run.
"""

import argparse
import statistics
import sys
import time

import torch
from torch import Tensor

from ganlib import checkpoint
from ganlib.checks import check_int
from ganlib.classifier import DigitClassifier
from ganlib.data import open_data, scale
from ganlib.evaluation import subsample
from ganlib.model import Model
from train.command import command

MODELS = ("cdcgan", "dcgan", "mlp-gan")
SINGLE = 5
GOOD = 20.0  # dB


def timed(model: Model, x: Tensor, labels: Tensor | None) -> tuple:
    """The inversion, the seconds that passed, and those of the process."""
    passed, used = time.perf_counter(), time.process_time()
    found = model.invert(x, labels)
    return found, time.perf_counter() - passed, time.process_time() - used


def measure(model: Model, x: Tensor, labels: Tensor, network: DigitClassifier) -> str:
    """A row of the table for one model, on digits x with their labels."""
    given = labels if model.num_classes else None
    single = [timed(model, x[i:i + 1], None if given is None else given[i:i + 1])[1:]
              for i in range(min(SINGLE, len(x)))]
    passed, used = (statistics.median(times) for times in zip(*single))
    found, of_batch, _ = timed(model, x, given)
    alike = (network.examine(found.images)[1].argmax(1) == labels).double().mean()
    good = (found.psnr >= GOOD).double().mean()
    return (f"| {model.name} | {found.psnr.median():.1f} dB | {good:.1%} | {alike:.1%} "
            f"| {found.latents.square().mean():.2f} | {passed:.2f} s ({used:.2f} s) | {of_batch:.0f} s |")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m tests.benchmarks.invert", description=__doc__.partition(": ")[2])
    p.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help=f"(default: {' '.join(MODELS)})")
    p.add_argument("--count", type=int, default=200, help="number of digits (default: 200)")
    return p


def work(arguments: argparse.Namespace) -> None:
    """Prints a row for each model as soon as it is measured."""
    count = check_int(arguments.count, 1, 10_000, "--count")
    test, network = open_data("mnist").held_out(), checkpoint.load_classifier(device="cpu")
    x, labels = scale(subsample(test.images, count)), subsample(test.labels, count)
    print(f"{count} digits; {torch.get_num_threads()} threads of torch\n\n"
          f"| model | median PSNR | at least {GOOD:.0f} dB | read alike | mean square of the latents "
          f"| one digit (of the process) | all |\n|---|---|---|---|---|---|---|", flush=True)
    for name in arguments.models:
        print(measure(checkpoint.load(name, device="cpu"), x, labels, network), flush=True)


main = command(parser, work, "stopped")

if __name__ == "__main__":
    sys.exit(main())
