"""Rows of the benchmarks: ganlib's training against the common loops, and a repeated recipe.

The classic loop is that of most tutorials on MLPs: a DataLoader of PIL transforms at batch 32, BCE on targets of ones
and zeros, Adam 1e-4, losses read every step. The tutorial is PyTorch's on DCGAN (`tests.benchmarks.contestants`).

Like for like, ganlib trains the same networks by the same loss, with the same batch and in float32. All in, it trains
as its recipe does. Each is measured in a process of its own. A toy is trained by a plain script on one thread, with
the same batch.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice, pairwise
from multiprocessing import get_context
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from ganlib import heap
from ganlib.architectures import ARCHITECTURES, Architecture, build
from ganlib.data import Data, default_root, open_data
from ganlib.devices import has_bfloat16, threads
from ganlib.recipes import RECIPES
from ganlib.runs import Run
from ganlib.toys import Gaussian
from ganlib.training import State, TrainConfig, train
from tests.benchmarks.contestants import ORIGINAL, SCRIPTS, Script, tutorial_networks
from tests.benchmarks.rows import Row, in_turn
from train.repeat import jobs_of, run_all

PAIRS, WARM_UP = 3, 3
MLP = ARCHITECTURES["mlp-gan-classic"]
SEEDS = 10


def classic_loop(steps: int) -> float:
    """Images a second of the classic loop."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    loader = DataLoader(datasets.MNIST(default_root(), transform=transform), batch_size=32, shuffle=True)
    generator, discriminator = build(MLP, torch.Generator().manual_seed(0))
    g_optimizer, d_optimizer = (torch.optim.Adam(network.parameters(), lr=1e-4)
                                for network in (generator, discriminator))
    criterion = nn.BCEWithLogitsLoss()
    for number, (real, _) in enumerate(loader):
        if number == WARM_UP:
            start = time.perf_counter()
        if number == steps + WARM_UP:
            return steps * 32 / (time.perf_counter() - start)
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        d_optimizer.zero_grad()
        fake = generator(torch.randn(len(real), MLP.latent_dim))
        d_loss = criterion(discriminator(real), ones) + criterion(discriminator(fake.detach()), zeros)
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        g_loss = criterion(discriminator(generator(torch.randn(len(real), MLP.latent_dim))), ones)
        g_loss.backward()
        g_optimizer.step()
        d_loss.item(), g_loss.item()
    raise AssertionError("the data have ended")


def tutorial_loop(script: Script, steps: int) -> float:
    """Images a second of a script's loop."""
    for number, _ in enumerate(script.train(0), 1):
        if number == WARM_UP:
            start = time.perf_counter()
        if number == steps + WARM_UP:
            return steps * script.batch_size / (time.perf_counter() - start)
    raise AssertionError("the data have ended")


class Tutorial:
    """An architecture with the tutorial's networks, whose discriminator gives logits."""

    kind, shape, latent_dim, num_classes = "tutorial", (1, 28, 28), 100, None

    def generator(self) -> nn.Module:
        return Unlabelled(tutorial_networks()[0])

    def discriminator(self) -> nn.Module:
        *layers, _, _ = tutorial_networks()[1]  # without the sigmoid
        return Unlabelled(nn.Sequential(*layers, nn.Flatten(0)))


class Unlabelled(nn.Module):
    """A network that ignores labels."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return self.network(x)


def by_ganlib(architecture: Architecture | Tutorial, config: TrainConfig, steps: int) -> float:
    """Images a second of ganlib's training, in a process that trains, as the command line does."""
    heap.keep()
    # a step more than is timed: the last one computes batch norm's statistics
    for step in train(architecture, open_data("mnist"), replace(config, steps=steps + WARM_UP + 1)):
        if step.number == WARM_UP:
            start = time.perf_counter()
        if step.number == steps + WARM_UP:
            return steps * config.batch_size / (time.perf_counter() - start)
    raise AssertionError("the training has ended")


def apart(loop: Callable[..., float], *arguments: Any) -> Callable[[], float]:
    """Runs a loop in a process of its own, which finds no memory that another one has freed."""
    def measure() -> float:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(loop, *arguments).result()

    return measure


def mlp_rows() -> Iterator[Row]:
    bfloat16 = has_bfloat16("cpu")
    config = TrainConfig(steps=1, batch_size=32, generator_lr=1e-4, discriminator_lr=1e-4, betas=(0.9, 0.999))
    yield Row("mlp-gan training, like for like", "the classic loop", "img/s",
              **in_turn(apart(classic_loop, 40), apart(by_ganlib, MLP, config, 40), PAIRS, 0), at_least=2.5,
              note="the same networks with dropout, loss, batch 32, float32; ganlib also averages the weights")
    all_in = replace(config, batch_size=128, bfloat16=bfloat16)
    yield Row("mlp-gan training, all in", "the classic loop", "img/s",
              **in_turn(apart(classic_loop, 40), apart(by_ganlib, MLP, all_in, 20), PAIRS, 0), at_least=8,
              note=f"ganlib's batch is 128, in {'bfloat16' if bfloat16 else 'float32'}")


def dcgan_rows(steps: int = 8) -> Iterator[Row]:
    bfloat16, script = has_bfloat16("cpu"), SCRIPTS["tutorial"]
    config = TrainConfig(steps=1, batch_size=script.batch_size, betas=script.betas)
    yield Row("dcgan training, like for like", "the DCGAN tutorial, cut to 28×28 pixels", "img/s",
              **in_turn(apart(tutorial_loop, script, steps), apart(by_ganlib, Tutorial(), config, steps), PAIRS, 0),
              at_least=1.5, note="the tutorial's networks for 28 pixels, loss, batch 128, float32; ganlib draws new "
                                 "fakes for the generator, and averages the weights")
    cut, original = "the DCGAN tutorial, cut to 28×28 pixels", "the DCGAN tutorial as it is, 64×64 pixels"
    for name, against, loop, count in (("dcgan", original, ORIGINAL, 1), ("dcgan", cut, script, steps),
                                       ("cdcgan-fast", cut, script, steps)):
        recipe = RECIPES[name]
        trained = replace(recipe.train, bfloat16=recipe.train.bfloat16 and bfloat16)
        yield Row(f"{name} training, all in", against, "img/s",
                  **in_turn(apart(tutorial_loop, loop, count), apart(by_ganlib, recipe.build(), trained, steps), PAIRS,
                            0), at_least=3,
                  note="the recipe's own networks for 28×28 pixels, with two penalties that the tutorial lacks")


def plain_toy(steps: int) -> float:
    """Seconds of the plain script for toy-gaussian."""
    def mlp(*widths: int) -> nn.Module:
        layers: list[nn.Module] = []
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


def seconds(architecture: Architecture, data: Data, config: TrainConfig) -> float:
    """Of a whole run, its history and average included."""
    start = time.perf_counter()
    for _ in train(architecture, data, config):
        pass
    return time.perf_counter() - start


def toy_row(steps: int = 3_000) -> Row:
    recipe = RECIPES["toy-gaussian"]
    config = replace(recipe.train, steps=steps, batch_size=512)
    with threads(1, "cpu"):
        return Row(f"toy-gaussian, {steps:,} steps", "a plain script", "s",
                   **in_turn(lambda: plain_toy(steps), lambda: seconds(recipe.build(), Gaussian(), config), 3, 0),
                   at_most=0.5, note="one thread, batch 512; ganlib's with its history and average")


def one_by_one(data: Data, steps: int = 200) -> float:
    """Minutes that ten seeds of the earlier recipe would take one after the other on one core, by autograd."""
    recipe, earlier = RECIPES["toy-ring"], ARCHITECTURES["toy-grid"]
    config = replace(recipe.train, steps=10_000, generator_lr=1e-3, discriminator_lr=1e-3)
    with threads(1, "cpu"), mock.patch.object(State, "chains", None):
        training = train(earlier, data, config)
        next(training)
        start = time.perf_counter()
        for _ in islice(training, steps):
            pass
        return SEEDS * config.steps * (time.perf_counter() - start) / steps / 60


def repeated(run: Run, steps: int = 300) -> float:
    """Minutes that ten seeds take by `train.repeat`: from short runs of two lengths, and how many it runs at a time."""
    jobs, found = jobs_of(run), []
    for length in (steps, 3 * steps):
        start = time.perf_counter()
        for _ in run_all(run, [replace(run.config, steps=length, seed=seed) for seed in range(jobs)], jobs):
            pass
        found.append(time.perf_counter() - start)
    step = (found[1] - found[0]) / (2 * steps)
    return (found[0] - steps * step + SEEDS / jobs * run.config.steps * step) / 60


def ring_row() -> Row:
    run, data = Run("toy-ring", device="cpu").open()
    return Row(f"train.repeat toy-ring, {SEEDS} seeds", "the earlier recipe by autograd on one core", "min",
               **in_turn(lambda: one_by_one(data), lambda: repeated(run), 2, 0), at_most=0.24,
               note=f"{jobs_of(run)} runs at a time; from short runs. The earlier recipe had five layers of 256 and "
                    "10,000 steps. 0.24 are 6 of 25 minutes")


def rows() -> Iterator[Row]:
    """All rows of training."""
    open_data("mnist")  # downloads it where it is missing
    yield from mlp_rows()
    yield from dcgan_rows()
    yield toy_row()
    yield ring_row()
