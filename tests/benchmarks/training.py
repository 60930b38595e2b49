"""python -m tests.benchmarks.training: ganlib's loop against the classic ones, side by side in one run.

`mlp-gan`: the classic loop is the one of most tutorials: a DataLoader of PIL transforms at batch 32, BCE on targets of
ones and zeros, Adam 1e-4, losses read every step. Networks and loss are the same on both sides.
`toy-gaussian`: the plain script of the design's facts on one thread, against the recipe with its history and average.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from ganlib.data import Gaussian, default_root, open_data
from ganlib.networks import ARCHITECTURES, Architecture
from ganlib.recipes import RECIPES
from ganlib.training import TrainConfig, train
from train.run import bfloat16_helps

ROUNDS = 5
CLASSIC_STEPS, OUR_STEPS = 150, 150


def classic_images(steps: int) -> float:
    """Images a second of the classic loop on mlp-gan."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    loader = DataLoader(datasets.MNIST(default_root(), transform=transform), batch_size=32, shuffle=True)
    architecture = ARCHITECTURES["mlp-gan"]
    generator, discriminator = architecture.generator(), architecture.discriminator()
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-4)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-4)
    criterion = nn.BCEWithLogitsLoss()
    start = None
    for i, (real, _) in enumerate(loader):
        if i == 5:
            start = time.perf_counter()
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        d_optimizer.zero_grad()
        fake = generator(torch.randn(len(real), 100))
        d_loss = criterion(discriminator(real), ones) + criterion(discriminator(fake.detach()), zeros)
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        g_loss = criterion(discriminator(generator(torch.randn(len(real), 100))), ones)
        g_loss.backward()
        g_optimizer.step()
        d_loss.item(), g_loss.item()
        if i == steps + 4:
            break
    return steps * 32 / (time.perf_counter() - start)


def our_images(steps: int) -> float:
    """Images a second of ganlib's loop on the same networks, with the same loss."""
    config = TrainConfig(steps=1, batch_size=128, generator_rate=1e-4, discriminator_rate=1e-4,
                         bfloat16=bfloat16_helps("cpu"))
    return images_a_second(ARCHITECTURES["mlp-gan"], config, steps)


def recipe_images(name: str, steps: int, bfloat16: bool) -> float:
    """Images a second of a published recipe, with its gradient penalties."""
    recipe = RECIPES[name]
    return images_a_second(recipe.build(), replace(recipe.train, bfloat16=bfloat16), steps)


def images_a_second(architecture: Architecture, config: TrainConfig, steps: int) -> float:
    start = None
    for step in train(architecture, open_data("mnist"), replace(config, steps=steps + 5)):
        if step.number == 5:
            start = time.perf_counter()
    return steps * config.batch_size / (time.perf_counter() - start)


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


def compare(title: str, unit: str, theirs: Callable[[], float], ours: Callable[[], float]) -> float:
    """Run the two in turn, print both medians and the median of their ratio, the second to the first, and return it."""
    pairs = [(theirs(), ours()) for _ in range(ROUNDS)]
    ratios = [b / a for a, b in pairs]
    ratio = statistics.median(ratios)
    a, b = (statistics.median(values) for values in zip(*pairs))
    print(f"{title}: {a:.4g} and {b:.4g} {unit}, ratio {ratio:.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f}, {ROUNDS} pairs)", flush=True)
    return ratio


def main() -> None:
    open_data("mnist")  # fetches it where it is not at hand
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, bfloat16 helps: {bfloat16_helps('cpu')}")
    compare("mlp-gan, images a second (at least 5 times)", "img/s", lambda: classic_images(CLASSIC_STEPS),
            lambda: our_images(OUR_STEPS))
    for name in ("mlp-gan", "dcgan"):
        compare(f"the recipe of {name}, bfloat16 against float32", "img/s", partial(recipe_images, name, 40, False),
                partial(recipe_images, name, 40, True))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        compare("toy-gaussian, 3,000 steps (at most 1.0 times)", "s", lambda: plain_toy(3_000), lambda: our_toy(3_000))
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
