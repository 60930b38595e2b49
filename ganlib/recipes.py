"""Every published run as one literal: architecture, dataset and training configuration."""

from dataclasses import dataclass, replace

from ganlib.architectures import ARCHITECTURES, Architecture
from ganlib.classifier import ClassifierConfig
from ganlib.losses import ELBO
from ganlib.training import TrainConfig

DIGIT_CLASSIFIER = ClassifierConfig(steps=6_000, batch_size=128, bfloat16=True)


@dataclass(frozen=True)
class Recipe:
    """A run that can be repeated.

    Args:
        architecture: a name in ARCHITECTURES.
        data: a name in `ganlib.DATASETS`.
        train: the training configuration.
        threads: number of CPU threads, None for all; tiny networks are fastest on one.
    """

    architecture: str
    data: str
    train: TrainConfig
    threads: int | None = None

    def build(self, shape: tuple[int, ...] | None = None, num_classes: int | None = None) -> Architecture:
        """Its architecture, fitted to samples of that shape and number of classes if a shape is given.

        Raises ValueError if it cannot be fitted.
        """
        networks = ARCHITECTURES[self.architecture]
        if shape is None:
            return networks
        if len(shape) != len(networks.shape):
            raise ValueError(f"{self.architecture} makes samples like {tuple(networks.shape)}, and the data's are of "
                             f"shape {tuple(shape)}")
        return networks.fitted(shape, num_classes)


_RELATIVISTIC = TrainConfig(steps=30_000, batch_size=128, loss="relativistic", generator_lr=1e-3, discriminator_lr=1e-3,
                            betas=(0.0, 0.99), final_lr=0.05, penalties={"r1": 1.0, "r2": 1.0}, ema=0.999)
_DCGAN = replace(_RELATIVISTIC, final_penalty=0.1, bfloat16=True)
_PLANE = replace(_RELATIVISTIC, steps=10_000, batch_size=256, final_lr=0.01, penalties={"r1": 0.2, "r2": 0.2},
                 final_penalty=0.01)

RECIPES: dict[str, Recipe] = {
    "mlp-gan": Recipe("mlp-gan", "mnist", replace(
        _RELATIVISTIC, steps=45_000, generator_lr=5e-4, discriminator_lr=5e-4, penalties={"r1": 3.0, "r2": 3.0},
        bfloat16=True)),
    # the non-saturating loss without penalties, for comparison
    "mlp-gan-classic": Recipe("mlp-gan-classic", "mnist", TrainConfig(
        steps=15_000, batch_size=128, ema=0.0, bfloat16=True)),
    "dcgan": Recipe("dcgan", "mnist", _DCGAN),
    "vae": Recipe("vae", "mnist", TrainConfig(
        steps=8_000, batch_size=128, loss=ELBO, generator_lr=1e-3, betas=(0.9, 0.99), final_lr=0.02,
        kl_weight=0.5)),
    "cdcgan": Recipe("cdcgan", "mnist", replace(_DCGAN, steps=26_000, final_lr=0.01)),
    # good digits in minutes on a CPU; docs/speedrun.md
    "cdcgan-fast": Recipe("cdcgan-fast", "mnist", replace(
        _RELATIVISTIC, steps=4_400, batch_size=64, generator_lr=2e-3, discriminator_lr=2e-3, final_lr=0.15,
        final_penalty=0.1, ema=0.998)),
    "stacked-mnist": Recipe("stacked-mnist", "stacked-mnist", replace(_DCGAN, steps=14_000)),
    "toy-gaussian": Recipe("toy-gaussian", "gaussian", TrainConfig(
        steps=3_000, batch_size=4_096,  # with fewer points the mean is off by more than 0.01
        generator_lr=5e-4, discriminator_lr=1e-3, betas=(0.5, 0.99), final_lr=0.001, ema=0.998), threads=1),
    "toy-sine": Recipe("toy-sine", "sine", replace(
        _PLANE, steps=12_000, penalties={"r1": 0.1, "r2": 0.1}, final_penalty=1.0, ema=0.995), threads=1),
    "toy-ring": Recipe("toy-ring", "ring", replace(
        _PLANE, steps=6_000, generator_lr=2e-3, discriminator_lr=2e-3), threads=1),
    "toy-grid": Recipe("toy-grid", "grid", replace(
        _PLANE, steps=24_000, penalties={"r1": 1.0, "r2": 1.0}, final_penalty=0.02), threads=1),
}
