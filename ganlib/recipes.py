"""Every published run as one literal: which architecture, on which data, with which numbers."""

from dataclasses import dataclass, field, replace

from ganlib.classifier import ClassifierConfig
from ganlib.networks import ARCHITECTURES, Architecture
from ganlib.training import TrainConfig

DIGIT_CLASSIFIER = ClassifierConfig(steps=6_000, batch_size=128, bfloat16=True)


@dataclass(frozen=True)
class Recipe:
    """A run to repeat.

    architecture: a name in ARCHITECTURES; fields: those of its fields that this run changes. data: a name in DATASETS.
    threads: what the run is given on a CPU, or None for all; tiny networks run fastest on one.
    """

    architecture: str
    data: str
    train: TrainConfig
    fields: dict = field(default_factory=dict)
    threads: int | None = None

    def build(self, shape: tuple[int, ...] | None = None, num_classes: int | None = None) -> Architecture:
        """Its networks; for samples of another shape, and so many classes, where a shape is given."""
        networks = replace(ARCHITECTURES[self.architecture], **self.fields)
        return networks if shape is None else networks.fitted(shape, num_classes)


# what the convolutional ones have in common
DCGAN_FIELDS = {"mapping": (256, 256), "discriminator_channels": (64, 128, 256)}
# a generator of wider maps, for which the mapping pays: fewer parameters, more than twice the work
WIDER_FIELDS = {**DCGAN_FIELDS, "mapping": (128, 128), "generator_channels": (160, 128, 64)}
DCGAN_TRAIN = TrainConfig(
    steps=30_000,
    batch_size=128,
    loss="relativistic",
    generator_rate=1e-3,
    discriminator_rate=1e-3,
    betas=(0.0, 0.99),
    final_rate=0.05,
    r1=1.0,
    r2=1.0,
    final_penalty=0.1,
    ema=0.999,
    bfloat16=True,
)

# and those in the plane
PLANE_TRAIN = TrainConfig(
    steps=10_000,
    batch_size=256,
    loss="relativistic",
    generator_rate=1e-3,
    discriminator_rate=1e-3,
    betas=(0.0, 0.99),
    final_rate=0.01,
    r1=0.2,
    r2=0.2,
    final_penalty=0.01,
    ema=0.999,
)

RECIPES: dict[str, Recipe] = {
    "mlp-gan": Recipe(
        architecture="mlp-gan",
        # a gradient penalty does dropout's work, and the two together learn slower
        fields={"dropout": 0.0, "codes": 32},
        data="mnist",
        train=TrainConfig(
            steps=45_000,
            batch_size=128,
            loss="relativistic",
            generator_rate=5e-4,
            discriminator_rate=5e-4,
            betas=(0.0, 0.99),
            final_rate=0.05,
            r1=3.0,
            r2=3.0,
            ema=0.999,
            bfloat16=True,
        ),
    ),
    "mlp-gan-classic": Recipe(  # as it was done before, to be seen beside
        architecture="mlp-gan",
        data="mnist",
        train=TrainConfig(steps=15_000, batch_size=128, ema=0.0, bfloat16=True),
    ),
    "dcgan": Recipe(
        architecture="dcgan",
        fields={**DCGAN_FIELDS, "codes": 48},
        data="mnist",
        train=DCGAN_TRAIN,
    ),
    "cdcgan": Recipe(
        architecture="cdcgan",
        fields=WIDER_FIELDS,
        data="mnist",
        train=replace(DCGAN_TRAIN, steps=26_000, final_rate=0.01),
    ),
    "stacked-mnist": Recipe(
        architecture="dcgan",
        fields={**WIDER_FIELDS, "shape": (3, 28, 28)},
        data="stacked-mnist",
        train=replace(DCGAN_TRAIN, steps=14_000),
    ),
    "toy-gaussian": Recipe(
        architecture="toy-gaussian",
        data="gaussian",
        threads=1,
        train=TrainConfig(
            steps=3_000,
            batch_size=4_096,  # of fewer points the mean itself is not known to a hundredth
            generator_rate=5e-4,
            discriminator_rate=1e-3,
            betas=(0.5, 0.99),
            final_rate=0.001,
            ema=0.998,
        ),
    ),
    "toy-sine": Recipe(
        architecture="toy-sine",
        fields={"dropout": 0.0},
        data="sine",
        threads=1,
        train=replace(PLANE_TRAIN, steps=12_000, r1=0.1, r2=0.1, final_penalty=1.0, ema=0.995),
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
        train=replace(PLANE_TRAIN, steps=24_000, r1=1.0, r2=1.0, final_penalty=0.02),
    ),
}
