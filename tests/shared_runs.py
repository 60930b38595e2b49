"""python -m tests.shared_runs FOLDER: short runs by the processes that the environment names; tests compare them.

Each process writes the states in the middle and at the end of the runs in CASES to FOLDER/RANK. The run RESUMED goes on
from FOLDER/RESUMED.
"""

import faulthandler
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from ganlib import training
from ganlib.architectures import ARCHITECTURES, Architecture
from ganlib.augmentation import AUGMENTATIONS
from ganlib.data import Data, ImageData
from ganlib.devices import threads
from ganlib.distributed import ALONE, Group, joined
from ganlib.networks import DCGANGenerator
from ganlib.toys import RING
from ganlib.training import NonFiniteLoss, State, TrainConfig, train

EPSILON = 1e-4  # Adam divides by the size of a gradient, and where that is rounding alone, its steps are random
ROOT = Path(__file__).parent.parent
SMALL = {"generator_channels": (8, 6, 4), "discriminator_channels": (4, 6), "mapping": (8,)}
CONFIG = TrainConfig(steps=6, batch_size=8, loss="relativistic", penalties={"r1": 1.0, "r2": 0.5}, final_lr=0.1,
                     generator_lr=1e-3, discriminator_lr=1e-3, ema=0.5)


@dataclass(frozen=True)
class Mixing(Architecture):
    """Networks whose samples depend on their batch, in the discriminator too."""

    shape: tuple[int, ...] = (1, 8, 8)
    latent_dim: int = 4
    widest = 1_000
    kind = "mixing"

    def generator(self) -> nn.Module:
        return DCGANGenerator(self.shape, self.latent_dim, (6, 4), ())

    def discriminator(self) -> nn.Module:
        class Layers(nn.Sequential):
            def forward(self, x, y=None):
                return super().forward(x).squeeze(1)

        return Layers(nn.Conv2d(1, 6, 4, 2, 1), nn.BatchNorm2d(6), nn.LeakyReLU(0.2), nn.Flatten(),
                      nn.Linear(96, 12, bias=False), nn.BatchNorm1d(12, momentum=None), nn.Softplus(), nn.Linear(12, 1))


def pictures(side: int) -> ImageData:
    """Noise in ten classes."""
    rng = torch.Generator().manual_seed(5)
    images = torch.randint(256, (40, 1, side, side), dtype=torch.uint8, generator=rng)
    return ImageData("noise", images, torch.arange(40) % 10, 10)


CASES: dict[str, tuple[Architecture, Data, TrainConfig]] = {
    "a relativistic loss with R1 and R2": (replace(ARCHITECTURES["dcgan"], **SMALL), pictures(28), CONFIG),
    "classes": (replace(ARCHITECTURES["cdcgan"], **SMALL), pictures(28),
                replace(CONFIG, loss="wasserstein", penalties={"wgan-gp": 1.0}, n_critic=2)),
    "dropout": (replace(ARCHITECTURES["mlp-gan"], generator_widths=(16,), discriminator_widths=(16, 16), dropout=0.3),
                pictures(28), replace(CONFIG, loss="non-saturating", penalties={"0-gp": 1.0, "r1": 1.0})),
    "augmentation": (replace(ARCHITECTURES["dcgan"], **SMALL), pictures(28),
                     replace(CONFIG, augment=tuple(AUGMENTATIONS))),
    "batch norm in both networks": (Mixing(), pictures(8), replace(CONFIG, loss="hinge")),
    "a batch that cannot be halved": (Mixing(), pictures(8), replace(CONFIG, batch_size=7, loss="hinge")),
    "a VAE": (replace(ARCHITECTURES["vae"], generator_channels=(8, 4, 4), encoder_channels=(4, 6), features=8),
              pictures(28), TrainConfig(steps=6, batch_size=8, loss="elbo", generator_lr=1e-3, ema=0.5)),
    "points": (ARCHITECTURES["toy-ring"], RING, replace(CONFIG, loss="least-squares")),
}
RESUMED = "classes"


def run(name: str, group: Group = ALONE, resumed: Path | None = None, middle: Path | None = None) -> State:
    """The state at the end of a case.

    Args:
        name: in CASES.
        group: the processes that train it.
        resumed: a checkpoint to go on from.
        middle: where to write the state after half of the steps.
    """
    architecture, data, config = CASES[name]
    state = State.fresh(architecture, config, group=group)
    if resumed:
        state.load(resumed)
    for optimizer in filter(None, (state.generator_optimizer, state.discriminator_optimizer)):
        optimizer.param_groups[0]["eps"] = EPSILON
    for step in train(architecture, data, config, state=state):
        if middle and step.number == config.steps // 2:
            state.save(middle, {})
    return state


def failure(group: Group) -> str:
    """What a run says whose losses do not stay finite."""
    config = TrainConfig(steps=50, batch_size=8, loss="least-squares", generator_lr=1e20, discriminator_lr=1e20)
    architecture = ARCHITECTURES["toy-ring"]
    try:
        for _ in train(architecture, RING, config, state=State.fresh(architecture, config, group=group)):
            pass
    except NonFiniteLoss as error:
        return str(error)
    return ""


@contextmanager
def processes(count: int, arguments: list[str], folder: Path) -> Iterator[list[subprocess.Popen]]:
    """Python processes that know of each other as those of a launcher do; each has a log in the folder."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    common = os.environ | {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1",
                           "MASTER_PORT": str(port)}
    started = []
    try:
        for rank in range(count):
            with (folder / f"log-{rank}").open("w") as log:
                started.append(subprocess.Popen(
                    [sys.executable, *arguments], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
                    env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}))
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait(30)


@contextmanager
def quickly() -> Iterator[None]:
    """With one thread, and batch norm's statistics at the end from few samples."""
    before = training.STATISTICS, training.STATISTICS_BATCH
    training.STATISTICS, training.STATISTICS_BATCH = 32, 16
    try:
        with threads(1, "cpu"):
            yield
    finally:
        training.STATISTICS, training.STATISTICS_BATCH = before


def main(folder: Path) -> None:
    with joined() as group, quickly():
        own = folder / str(group.rank)
        own.mkdir()
        for name in CASES:
            run(name, group, middle=own / f"{name}, middle").save(own / name, {})
        run(RESUMED, group, resumed=folder / RESUMED).save(own / "resumed", {})
        (own / "failure").write_text(failure(group))


if __name__ == "__main__":
    faulthandler.enable()  # a process that aborts says where
    main(Path(sys.argv[1]))
