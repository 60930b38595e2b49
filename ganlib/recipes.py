"""Every published run as one literal: which architecture, on which data, with which numbers."""

from dataclasses import dataclass, replace

from ganlib.architectures import ARCHITECTURES, Architecture
from ganlib.classifier import ClassifierConfig
from ganlib.training import TrainConfig

DIGIT_CLASSIFIER = ClassifierConfig(steps=6_000, batch_size=128, bfloat16=True)


@dataclass(frozen=True)
class Recipe:
    """A run to repeat.

    Args:
        architecture: a name in ARCHITECTURES.
        data: a name in `ganlib.DATASETS`.
        train: the run's numbers.
        threads: how many it is given on a CPU, None for all; tiny networks run fastest on one.
    """

    architecture: str
    data: str
    train: TrainConfig
    threads: int | None = None

    def build(self, shape: tuple[int, ...] | None = None, num_classes: int | None = None) -> Architecture:
        """Its networks; fitted to samples of that shape and number of classes where a shape is given.

        Raises:
            ValueError: they cannot be fitted.
        """
        networks = ARCHITECTURES[self.architecture]
        if shape is None:
            return networks
        if len(shape) != len(networks.shape):
            raise ValueError(f"{self.architecture} makes samples of {len(networks.shape)} dimensions, such as "
                             f"{tuple(networks.shape)}, and the data's are of shape {tuple(shape)}")
        return networks.fitted(shape, num_classes)


DCGAN_TRAIN = TrainConfig(
    steps=30_000,
    batch_size=128,
    loss="relativistic",
    generator_lr=1e-3,
    discriminator_lr=1e-3,
    betas=(0.0, 0.99),
    final_lr=0.05,
    penalties={"r1": 1.0, "r2": 1.0},
    final_penalty=0.1,
    ema=0.999,
    bfloat16=True,
)

PLANE_TRAIN = TrainConfig(
    steps=10_000,
    batch_size=256,
    loss="relativistic",
    generator_lr=1e-3,
    discriminator_lr=1e-3,
    betas=(0.0, 0.99),
    final_lr=0.01,
    penalties={"r1": 0.2, "r2": 0.2},
    final_penalty=0.01,
    ema=0.999,
)

RECIPES: dict[str, Recipe] = {
    "mlp-gan": Recipe(
        architecture="mlp-gan",
        data="mnist",
        train=TrainConfig(
            steps=45_000,
            batch_size=128,
            loss="relativistic",
            generator_lr=5e-4,
            discriminator_lr=5e-4,
            betas=(0.0, 0.99),
            final_lr=0.05,
            penalties={"r1": 3.0, "r2": 3.0},
            ema=0.999,
            bfloat16=True,
        ),
    ),
    "mlp-gan-classic": Recipe(  # the common loss without penalties, for comparison
        architecture="mlp-gan-classic",
        data="mnist",
        train=TrainConfig(steps=15_000, batch_size=128, ema=0.0, bfloat16=True),
    ),
    "dcgan": Recipe(
        architecture="dcgan",
        data="mnist",
        train=DCGAN_TRAIN,
    ),
    "cdcgan": Recipe(
        architecture="cdcgan",
        data="mnist",
        train=replace(DCGAN_TRAIN, steps=26_000, final_lr=0.01),
    ),
    "stacked-mnist": Recipe(
        architecture="stacked-mnist",
        data="stacked-mnist",
        train=replace(DCGAN_TRAIN, steps=14_000),
    ),
    "toy-gaussian": Recipe(
        architecture="toy-gaussian",
        data="gaussian",
        threads=1,
        train=TrainConfig(
            steps=3_000,
            batch_size=4_096,  # fewer points do not tell the mean to a hundredth
            generator_lr=5e-4,
            discriminator_lr=1e-3,
            betas=(0.5, 0.99),
            final_lr=0.001,
            ema=0.998,
        ),
    ),
    "toy-sine": Recipe(
        architecture="toy-sine",
        data="sine",
        threads=1,
        train=replace(PLANE_TRAIN, steps=12_000, penalties={"r1": 0.1, "r2": 0.1}, final_penalty=1.0, ema=0.995),
    ),
    "toy-ring": Recipe(
        architecture="toy-ring",
        data="ring",
        threads=1,
        train=PLANE_TRAIN,
    ),
    "toy-grid": Recipe(
        architecture="toy-grid",
        data="grid",
        threads=1,
        train=replace(PLANE_TRAIN, steps=24_000, penalties={"r1": 1.0, "r2": 1.0}, final_penalty=0.02),
    ),
}
