"""python -m tests.benchmarks.training: ganlib's loop against the classic ones, side by side in one run.

`mlp-gan`: the classic loop is the one of most tutorials: a DataLoader of PIL transforms at batch 32, BCE on targets of
ones and zeros, Adam 1e-4, losses read every step. Networks and loss are the same on both sides. Like for like, ganlib
has the same batch size and float32 too; all in, it has a batch of 128, and bfloat16 where the processor computes it.
`toy-gaussian`: a plain script on one thread, with the same batch size, against the recipe with its history and average.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from ganlib import console
from ganlib.architectures import ARCHITECTURES, build
from ganlib.data import default_root, open_data
from ganlib.recipes import RECIPES
from ganlib.toys import Gaussian
from ganlib.training import TrainConfig, train
from train.command import has_bfloat16

ROUNDS, STEPS, WARM_UP = 5, 150, 5
CLASSIC = ARCHITECTURES["mlp-gan-classic"]


def classic_images() -> float:
    """Images a second of the classic loop."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    loader = DataLoader(datasets.MNIST(default_root(), transform=transform), batch_size=32, shuffle=True)
    generator, discriminator = build(CLASSIC, torch.Generator().manual_seed(0))
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-4)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-4)
    criterion = nn.BCEWithLogitsLoss()
    for i, (real, _) in enumerate(loader):
        if i == WARM_UP:
            start = time.perf_counter()
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        d_optimizer.zero_grad()
        fake = generator(torch.randn(len(real), CLASSIC.latent_dim))
        d_loss = criterion(discriminator(real), ones) + criterion(discriminator(fake.detach()), zeros)
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        g_loss = criterion(discriminator(generator(torch.randn(len(real), CLASSIC.latent_dim))), ones)
        g_loss.backward()
        g_optimizer.step()
        d_loss.item(), g_loss.item()
        if i == STEPS + WARM_UP - 1:
            return STEPS * 32 / (time.perf_counter() - start)


def our_images(batch_size: int, bfloat16: bool) -> float:
    """Images a second of ganlib's loop on the same networks, with the same loss."""
    # a step more than is timed: the last one computes batch norm's statistics
    config = TrainConfig(steps=STEPS + WARM_UP + 1, batch_size=batch_size, generator_lr=1e-4, discriminator_lr=1e-4,
                         bfloat16=bfloat16)
    for step in train(CLASSIC, open_data("mnist"), config):
        if step.number == WARM_UP:
            start = time.perf_counter()
        if step.number == STEPS + WARM_UP:
            return STEPS * batch_size / (time.perf_counter() - start)


def plain_toy(steps: int) -> float:
    """Seconds of the plain script for toy-gaussian."""
    def mlp(*widths):
        layers = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
            nn.init.normal_(layers[-2].weight, 0, 0.02)
        return nn.Sequential(*layers[:-1])

    generator, discriminator = mlp(20, 32, 32, 1), mlp(1, 32, 64, 32, 1)
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=5e-4)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    schedules = [torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.001, steps)
                 for optimizer in (g_optimizer, d_optimizer)]
    criterion = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(512, 1), torch.zeros(512, 1)
    start = time.perf_counter()
    for _ in range(steps):
        real = torch.randn(512, 1) * 2 + 3
        d_optimizer.zero_grad()
        fake = generator(torch.randn(512, 20))
        d_loss = criterion(discriminator(real), ones) + criterion(discriminator(fake.detach()), zeros)
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        g_loss = criterion(discriminator(generator(torch.randn(512, 20))), ones)
        g_loss.backward()
        g_optimizer.step()
        for schedule in schedules:
            schedule.step()
    return time.perf_counter() - start


def our_toy(steps: int) -> float:
    """Seconds of the recipe for toy-gaussian with the plain script's batches, its history and average included."""
    recipe = RECIPES["toy-gaussian"]
    start = time.perf_counter()
    for _ in train(recipe.build(), Gaussian(), replace(recipe.train, steps=steps, batch_size=512)):
        pass
    return time.perf_counter() - start


def compare(title: str, unit: str, theirs: Callable[[], float], ours: Callable[[], float]) -> None:
    """Run the two in turn, and print both medians and the median of their ratio, the second to the first."""
    pairs = [(theirs(), ours()) for _ in range(ROUNDS)]
    ratios = [b / a for a, b in pairs]
    a, b = (statistics.median(values) for values in zip(*pairs))
    print(f"{title}: {a:.4g} and {b:.4g} {unit}, ratio {statistics.median(ratios):.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f}, {ROUNDS} pairs)", flush=True)


@console.command
def main() -> None:
    open_data("mnist")  # downloads it where it is missing
    bfloat16 = has_bfloat16("cpu")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {'' if bfloat16 else 'no '}bfloat16")
    compare("mlp-gan, like for like", "img/s", classic_images, lambda: our_images(32, False))
    compare("mlp-gan, all in (at least 5 times)", "img/s", classic_images, lambda: our_images(128, bfloat16))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        compare("toy-gaussian, 3,000 steps (at most 1.0 times)", "s", lambda: plain_toy(3_000), lambda: our_toy(3_000))
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    sys.exit(main())
