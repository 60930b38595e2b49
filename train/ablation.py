"""python -m train.ablation: what each ingredient of the dcgan recipe is worth, on the same budget."""

import argparse
import math
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from tqdm import tqdm

from ganlib import metrics
from ganlib.architectures import DCGAN, register
from ganlib.classifier import NAME
from ganlib.checkpoint import classifier_for
from ganlib.data import ImageData, open_data, scale
from ganlib.evaluation import NEIGHBOURS, measure_briefly, subsample
from ganlib.model import Model
from ganlib.recipes import RECIPES
from ganlib.training import NonFiniteLoss, TrainConfig, train
from train.results import Results, conditions
from train.run import has_bfloat16, in_a_sentence, pick_device

SAMPLES = 10_000
BATCH = RECIPES["dcgan"].train.batch_size


class HalvesNorm(nn.BatchNorm2d):
    """Batch norm that keeps real samples and fakes apart where a batch holds both, one after the other."""

    def forward(self, x):
        if len(x) <= BATCH:
            return super().forward(x)
        return torch.cat([super(HalvesNorm, self).forward(part) for part in x.split(BATCH)])


def _with_batch_norm(discriminator: nn.Module) -> nn.Module:
    """Batch norm after every convolution but the first, as in Radford et al. 2016."""
    layers, first = [], True
    for layer in discriminator.layers:
        layers.append(layer)
        if isinstance(layer, nn.Conv2d):
            layers += [] if first else [HalvesNorm(layer.out_channels)]
            first = False
    discriminator.layers = nn.Sequential(*layers)
    return discriminator


def _with_spectral_norm(discriminator: nn.Module) -> nn.Module:
    """Miyato et al. 2018: every layer's largest singular value is held at 1."""
    for layer in [module for module in discriminator.modules() if isinstance(module, nn.Conv2d | nn.Linear)]:
        spectral_norm(layer)
    return discriminator


def _without_batch_norm(generator: nn.Module) -> nn.Module:
    """He initialised in place of it, the last layer at a quarter of that (as R3GAN, which has none)."""
    layers = [layer for layer in generator.layers if not isinstance(layer, nn.BatchNorm2d)]
    convolutions = [layer for layer in layers if isinstance(layer, nn.ConvTranspose2d)]
    nn.init.kaiming_normal_(generator.project.weight)
    for layer in convolutions:
        inputs = layer.in_channels * layer.kernel_size[0] ** 2 / layer.stride[0] ** 2
        nn.init.normal_(layer.weight, 0, (2 / inputs) ** 0.5)
    with torch.no_grad():
        convolutions[-1].weight.mul_(0.25)
    generator.layers = nn.Sequential(*layers)
    return generator


@register("altered-dcgan")
@dataclass(frozen=True)
class Altered(DCGAN):
    """A DCGAN whose networks are changed after they are built, for a comparison."""

    generator_change: Callable[[nn.Module], nn.Module] | None = None
    discriminator_change: Callable[[nn.Module], nn.Module] | None = None

    def generator(self) -> nn.Module:
        network = super().generator()
        return self.generator_change(network) if self.generator_change else network

    def discriminator(self) -> nn.Module:
        network = super().discriminator()
        return self.discriminator_change(network) if self.discriminator_change else network


@dataclass(frozen=True)
class Variant:
    """The dcgan recipe with some of its fields changed: of the networks, and of the training."""

    fields: dict = field(default_factory=dict)
    train: dict = field(default_factory=dict)


CLASSIC = {"loss": "non-saturating", "betas": (0.5, 0.999), "penalties": {}, "generator_lr": 2e-4,
           "discriminator_lr": 2e-4}
PLAIN = {"choices": 0, "mapping": ()}
VARIANTS = {
    "the recipe": Variant(),
    "a discriminator of 64, 128, 256 channels": Variant({"discriminator_channels": (64, 128, 256)}),
    "with classes": Variant(fields={"num_classes": 10}),
    "no choice in the generator": Variant(fields={"choices": 0}),
    "a harder choice": Variant(fields={"sharpness": 50.0}),
    "a softer choice": Variant(fields={"sharpness": 6.0}),
    "no mapping network": Variant(fields={"mapping": ()}),
    "penalties that stay": Variant(train={"final_penalty": 1.0}),
    "R1 alone": Variant(train={"penalties": {"r1": 1.0}}),
    "non-saturating loss": Variant(train={"loss": "non-saturating"}),
    "no average of the generator": Variant(train={"ema": 0.0}),
    "learning rates of 2e-4": Variant(train={"generator_lr": 2e-4, "discriminator_lr": 2e-4}),
    "no batch norm in G": Variant(fields={"generator_change": _without_batch_norm}),
    # with the recipe's generator what has no penalty collapses, so these are set beside a recipe without its choice
    "plain latents": Variant(PLAIN),
    "plain latents, non-saturating, batch norm in D, β₁ 0.5, no penalty": Variant(
        {**PLAIN, "discriminator_change": _with_batch_norm}, CLASSIC),
    "plain latents, hinge, spectral norm in D, no penalty": Variant(
        {**PLAIN, "discriminator_change": _with_spectral_norm},
        {"loss": "hinge", "penalties": {}, "generator_lr": 2e-4, "discriminator_lr": 4e-4}),
}


def build(variant: Variant, steps: int, seed: int, bfloat16: bool) -> tuple[Altered, TrainConfig]:
    """The networks and the training of a variant of the dcgan recipe."""
    recipe = RECIPES["dcgan"]
    base = vars(recipe.build()) | {"discriminator_channels": (48, 96, 192)}  # narrower, to save hours
    return (Altered(**base | variant.fields),
            replace(recipe.train, steps=steps, seed=seed, bfloat16=bfloat16, **variant.train))


def identity(architecture: Altered, config: TrainConfig, given: dict) -> dict:
    """All that a run's result depends on, JSON-ready: what was saved of another is not taken for it."""
    changes = {key: getattr(value, "__name__", value) for key, value in vars(architecture).items()}
    return {**given, "networks": changes, "train": asdict(config), "samples": SAMPLES}


def run(name: str, architecture: Altered, config: TrainConfig, data: ImageData, judge: Callable[[Model], dict],
        device: str) -> dict:
    """Train a variant and measure it; a run whose loss does not stay finite has no measures."""
    try:
        with tqdm(total=config.steps, desc=f"{name}, seed {config.seed}", unit="step", dynamic_ncols=True,
                  leave=False) as bar:
            for step in train(architecture, data, config, device):
                bar.update()
    except NonFiniteLoss:
        return {}
    return judge(Model(name, architecture, step.generator, step.state.discriminator))


def table(results: dict[str, list[dict]], floor: float, steps: int) -> list[str]:
    """A Markdown table: means over the seeds and, for the FID, their span; the best first, what diverged last."""
    def fids(runs: list[dict]) -> list[float]:
        return sorted(run["fid_digit_classifier"] / floor for run in runs if run)

    def rank(name: str) -> tuple:
        ratios = fids(results[name])
        return len(ratios) < len(results[name]), statistics.mean(ratios) if ratios else math.inf

    lines = ["| | FID / floor | precision | recall |", "|---|---|---|---|"]
    for name in sorted(results, key=rank):
        runs, ratios = results[name], fids(results[name])
        failed = f"{len(runs) - len(ratios)} of {len(runs)} did not stay finite" if len(ratios) < len(runs) else ""
        if not ratios:
            lines.append(f"| {name} | {failed} | | |")
            continue
        precision, recall = (statistics.mean(run[key] for run in runs if run) for key in ("precision", "recall"))
        lines.append(f"| {name} | {statistics.mean(ratios):.3g} ({ratios[0]:.3g} to {ratios[-1]:.3g})"
                     f"{'; ' + failed if failed else ''} | {precision:.3f} | {recall:.3f} |")
    seeds = max(len(runs) for runs in results.values())
    return [*lines, "", f"{steps:,} steps of {BATCH} each, {seeds} seeds; {SAMPLES:,} samples against as many test "
            f"images; FID, precision and recall (k = {NEIGHBOURS}) in digit-classifier features; floor {floor:.3g}."]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.ablation",
        description="Train the dcgan recipe with one ingredient changed at a time, and print what came out as a table.")
    p.add_argument("--steps", type=int, default=2_000, help="of each run (default: 2000)")
    p.add_argument("--seeds", type=int, default=2, help="runs of each variant (default: 2)")
    p.add_argument("--only", nargs="+", metavar="VARIANT", choices=VARIANTS,
                   help=f"some of: {'; '.join(VARIANTS)} (default: all)")
    p.add_argument("--device", default="auto", help="cpu, cuda, mps or auto for the best there is (default: auto)")
    p.add_argument("--data", metavar="WHERE", help="a set of digits, as for python -m train (default: mnist)")
    p.add_argument("--out", type=Path, metavar="FILE", default=Path("runs/ablation.json"),
                   help="the results as JSON; a run that is in it already is not done again "
                        "(default: runs/ablation.json)")
    return p


def work(arguments: argparse.Namespace) -> int:
    """Run what --out does not hold yet, and show the table."""
    if arguments.steps < 1 or arguments.seeds < 1:
        raise ValueError("--steps and --seeds must be at least 1")
    device = pick_device(arguments.device)
    data = open_data("mnist", arguments.data)
    test, network = data.held_out(), classifier_for(data, device)
    if network is None or test is None or data.shape != network.shape:
        raise ValueError(f"an ablation is measured by {NAME}, which must be in weights/ and does not read {data.name}")
    real, other = (network.examine(scale(subsample(images, SAMPLES))) for images in (test.images, data.images))
    floor, given = metrics.frechet_distance(real[0], other[0]), conditions(data, network, device)
    kept = Results(arguments.out)
    bfloat16, data = has_bfloat16(device), data.to(device)
    results: dict[str, list[dict]] = {name: [] for name in arguments.only or VARIANTS}
    for seed in range(arguments.seeds):
        for name in results:
            architecture, config = build(VARIANTS[name], arguments.steps, seed, bfloat16)
            wanted = identity(architecture, config, given)
            measures = kept.find(wanted)
            if measures is None:
                measures = run(name, architecture, config, data,
                               lambda model: measure_briefly(model, data, real, network, SAMPLES), device)
                kept.add(name, wanted, measures)
            results[name].append(measures)
    print("\n".join(table(results, floor, arguments.steps)))
    return 0


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return in_a_sentence("train.ablation", lambda: work(arguments), "stopped; the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
