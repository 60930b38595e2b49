"""What `time_to_quality` compares: ganlib's recipe, and loops by the settings of well-known scripts on MNIST.

Each contestant is a Python generator: it trains, and yields after each step. What a script sets is taken over:
networks, initial weights, optimizer, batch, loss, order of the steps, data loader. Images are as large as in the
script, except that the tutorial's networks for 64×64 pixels are cut to 28×28, which makes them faster. Samples are
resized to 28×28.

`python -m tests.benchmarks.contestants` is one run, in a process of its own; `time_to_quality` starts it.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ganlib import console, heap
from ganlib.architectures import Architecture
from ganlib.data import default_root, open_data
from ganlib.files import replacing
from ganlib.recipes import RECIPES
from ganlib.training import TrainConfig, train, write_tensors

RECIPE = "cdcgan-fast"
SIDE = 28  # pixels of an image of MNIST


@dataclass(frozen=True)
class Tier:
    """A target, and the settings of ganlib that reach it.

    Args:
        minutes: of the whole run.
        ratio: the FID to be reached, as a multiple of that of real images.
        steps: of the recipe.
    """

    minutes: float
    ratio: float
    steps: int

    @property
    def option(self) -> str:
        """How the recipe's command line is told."""
        return "" if self.steps == RECIPES[RECIPE].train.steps else f" --steps {self.steps}"


TIERS = {tier.minutes: tier for tier in (Tier(3, 4.0, 1_800), Tier(7, 2.0, 4_400), Tier(30, 1.25, 22_500))}


def ours(steps: int, seed: int) -> tuple[Architecture, TrainConfig]:
    """The networks and the training of ganlib's recipe."""
    recipe = RECIPES[RECIPE]
    return recipe.build(), replace(recipe.train, steps=steps, seed=seed, bfloat16=False)


@dataclass(frozen=True)
class Script:
    """A script by whose settings a GAN is trained.

    Args:
        title: for the table.
        side: pixels of its images.
        networks: makes generator and discriminator, with the initial weights that the script gives them.
        batch_size: real images a step, and as many fakes.
        generator_first: whether the generator steps before the discriminator, which then gets the same fakes.
        halved: whether the discriminator's loss is the mean of its two terms, and not their sum.
        workers: processes of the data loader.
        latent_dim: numbers in a latent.
        lr, betas: of Adam, for both networks.
    """

    title: str
    side: int
    networks: Callable[[], tuple[nn.Module, nn.Module]]
    batch_size: int
    generator_first: bool
    halved: bool
    workers: int = 0
    latent_dim: int = 100
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)

    def train(self, seed: int) -> Iterator[nn.Module]:
        """Trains without end; yields the generator after each step."""
        from torch.utils.data import DataLoader
        from torchvision import datasets, transforms

        torch.manual_seed(seed)
        resize = [transforms.Resize(self.side)] if self.side != SIDE else []
        transform = transforms.Compose([*resize, transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
        loader = DataLoader(datasets.MNIST(default_root(), transform=transform), self.batch_size, shuffle=True,
                            num_workers=self.workers)
        generator, discriminator = self.networks()
        g_optimizer, d_optimizer = (torch.optim.Adam(network.parameters(), lr=self.lr, betas=self.betas)
                                    for network in (generator, discriminator))
        criterion = nn.BCELoss()

        def step_discriminator(real: Tensor, fake: Tensor, ones: Tensor) -> None:
            d_optimizer.zero_grad()
            of_real = criterion(discriminator(real), ones)
            of_fake = criterion(discriminator(fake.detach()), torch.zeros_like(ones))
            ((of_real + of_fake) / (2 if self.halved else 1)).backward()
            d_optimizer.step()

        def step_generator(fake: Tensor, ones: Tensor) -> None:
            g_optimizer.zero_grad()
            criterion(discriminator(fake), ones).backward()
            g_optimizer.step()

        while True:
            for real, _ in loader:
                ones = torch.ones(len(real), 1)
                fake = generator(torch.randn(len(real), self.latent_dim))
                if self.generator_first:
                    step_generator(fake, ones)
                    step_discriminator(real, fake, ones)
                else:
                    step_discriminator(real, fake, ones)
                    step_generator(fake, ones)
                yield generator

    def samples(self, weights: dict[str, Tensor], n: int, seed: int) -> Tensor:
        """n samples (n, 1, 28, 28) in [-1, 1] of a generator with those weights."""
        generator, _ = self.networks()
        generator.load_state_dict(weights)
        z = torch.randn(n, self.latent_dim, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            x = torch.cat([generator(part) for part in z.split(self.batch_size)])  # in train mode, as the scripts do
            if self.side == SIDE:
                return x
            return nn.functional.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)


def _init_002(module: nn.Module) -> None:
    """N(0, 0.02) for convolutions, N(1, 0.02) for batch norm's scales; linear layers keep PyTorch's."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def tutorial_networks(width: int = 64) -> tuple[nn.Module, nn.Module]:
    """Those of PyTorch's DCGAN tutorial, with the layers that 28×28 pixels need."""
    generator = nn.Sequential(
        nn.Unflatten(1, (-1, 1, 1)),
        nn.ConvTranspose2d(100, 2 * width, 7, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(True),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True),
        nn.ConvTranspose2d(width, 1, 4, 2, 1, bias=False), nn.Tanh())
    discriminator = nn.Sequential(
        nn.Conv2d(1, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True),
        nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2, True),
        nn.Conv2d(2 * width, 1, 7, bias=False), nn.Sigmoid(), nn.Flatten())
    return generator.apply(_init_002), discriminator.apply(_init_002)


def original_networks(width: int = 64) -> tuple[nn.Module, nn.Module]:
    """Those of the tutorial as they are, for 64×64 pixels of one channel."""
    def normed(channels: int, activation: nn.Module) -> list[nn.Module]:
        return [nn.BatchNorm2d(channels), activation]

    layers: list[nn.Module] = [nn.Unflatten(1, (-1, 1, 1)), nn.ConvTranspose2d(100, 8 * width, 4, bias=False)]
    for channels in (8 * width, 4 * width, 2 * width):
        layers += [*normed(channels, nn.ReLU(True)), nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False)]
    generator = nn.Sequential(*layers, *normed(width, nn.ReLU(True)), nn.ConvTranspose2d(width, 1, 4, 2, 1, bias=False),
                              nn.Tanh())
    layers = [nn.Conv2d(1, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for channels in (width, 2 * width, 4 * width):
        layers += [nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False)]
        layers += normed(2 * channels, nn.LeakyReLU(0.2, True))
    discriminator = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, bias=False), nn.Sigmoid(), nn.Flatten())
    return generator.apply(_init_002), discriminator.apply(_init_002)


def linear_networks() -> tuple[nn.Module, nn.Module]:
    """Those of PyTorch-GAN's gan.py. Its batch norm's ε is 0.8."""
    hidden: list[nn.Module] = [nn.Linear(100, 128), nn.LeakyReLU(0.2, True)]
    for inputs, outputs in ((128, 256), (256, 512), (512, 1024)):
        hidden += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs, 0.8), nn.LeakyReLU(0.2, True)]
    generator = nn.Sequential(*hidden, nn.Linear(1024, SIDE * SIDE), nn.Tanh(), nn.Unflatten(1, (1, SIDE, SIDE)))
    discriminator = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 512), nn.LeakyReLU(0.2, True),
                                  nn.Linear(512, 256), nn.LeakyReLU(0.2, True), nn.Linear(256, 1), nn.Sigmoid())
    return generator, discriminator


def upsampling_networks(side: int = 32) -> tuple[nn.Module, nn.Module]:
    """Those of PyTorch-GAN's dcgan.py. Batch norm's ε is 0.8, but for the first one's."""
    generator = nn.Sequential(
        nn.Linear(100, 128 * (side // 4)**2), nn.Unflatten(1, (128, side // 4, side // 4)), nn.BatchNorm2d(128),
        nn.Upsample(scale_factor=2), nn.Conv2d(128, 128, 3, 1, 1), nn.BatchNorm2d(128, 0.8), nn.LeakyReLU(0.2, True),
        nn.Upsample(scale_factor=2), nn.Conv2d(128, 64, 3, 1, 1), nn.BatchNorm2d(64, 0.8), nn.LeakyReLU(0.2, True),
        nn.Conv2d(64, 1, 3, 1, 1), nn.Tanh())
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 16), (16, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(0.2, True), nn.Dropout2d(0.25)]
        layers += [nn.BatchNorm2d(outputs, 0.8)] if inputs > 1 else []
    discriminator = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * (side // 16)**2, 1), nn.Sigmoid())
    return generator.apply(_init_002), discriminator.apply(_init_002)


SCRIPTS = {
    "tutorial": Script("settings of PyTorch's DCGAN tutorial", SIDE, tutorial_networks, 128, generator_first=False,
                       halved=False, workers=2),
    "gan": Script("settings of PyTorch-GAN's gan.py", SIDE, linear_networks, 64, generator_first=True, halved=True),
    "dcgan": Script("settings of PyTorch-GAN's dcgan.py", 32, upsampling_networks, 64, generator_first=True,
                    halved=True),
}
# the tutorial as it is, whose images are resized to 64×64 pixels: for a comparison of speed
ORIGINAL = replace(SCRIPTS["tutorial"], title="PyTorch's DCGAN tutorial", side=64, networks=original_networks)


def moments(seconds: float, first: float = 10.0, factor: float = 1.25) -> list[float]:
    """The seconds at which a run keeps its generator: each is longer than the one before by a factor."""
    found = [first]
    while found[-1] * factor < seconds:
        found.append(found[-1] * factor)
    return found


def our_generators(steps: int, seed: int, device: str) -> Iterator[tuple[nn.Module, bool]]:
    """The averaged generator after each step, and whether it is the last."""
    data, (architecture, config) = open_data("mnist"), ours(steps, seed)
    if device == "cpu":
        heap.keep()  # as the command line does
    for step in train(architecture, data, config, device):
        yield step.generator, step.number == steps


def their_generators(script: Script, seed: int, seconds: float, started: float) -> Iterator[tuple[nn.Module, bool]]:
    """The generator after each step until the seconds are over, and whether it is the last."""
    for generator in script.train(seed):
        over = time.monotonic() - started >= seconds
        yield generator, over
        if over:
            return


def run(generators: Iterator[tuple[nn.Module, bool]], started: float, seconds: float, folder: Path) -> None:
    """Trains, and keeps the generator at some moments and at the end, each with the seconds until it was written.

    started: the clock, `time.monotonic`, when the process was started.
    """
    wanted, clock = moments(seconds), {}
    for generator, last in generators:
        now = time.monotonic() - started
        if last or (wanted and now >= wanted[0]):
            wanted = [moment for moment in wanted if moment > now]
            name = f"{len(clock):02}.safetensors"
            write_tensors(folder / name, generator.state_dict(), {})
            clock[name] = time.monotonic() - started
    with replacing(folder / "clock.json") as partial:
        Path(partial).write_text(json.dumps(clock), encoding="utf-8")


@console.command
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.contestants", description="One run.")
    parser.add_argument("name", choices=[RECIPE, *SCRIPTS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="of the recipe")
    parser.add_argument("--seconds", type=float, required=True, help="that a script trains for")
    parser.add_argument("--started", type=float, required=True, help="the monotonic clock at the start of the process")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    a = parser.parse_args()
    generators = (our_generators(a.steps, a.seed, a.device) if a.name == RECIPE
                  else their_generators(SCRIPTS[a.name], a.seed, a.seconds, a.started))
    run(generators, a.started, a.seconds, a.out)


if __name__ == "__main__":
    sys.exit(main())
