"""python -m train.ablation: the effect of each ingredient of the dcgan recipe, on the same budget."""

import argparse
import math
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganlib import console, metrics
from ganlib.architectures import DCGAN, register
from ganlib.checkpoint import classifier_for
from ganlib.classifier import NAME
from ganlib.data import open_data, scale
from ganlib.devices import has_bfloat16
from ganlib.evaluation import NEIGHBOURS, measure_briefly, subsample
from ganlib.recipes import RECIPES
from ganlib.training import TrainConfig

from .command import DEVICE, command, pick_device
from .results import Results, train_in_memory

SAMPLES = 10_000


class HalvesNorm(nn.BatchNorm2d):
    """Batch norm of each half of a batch separately, for batches of real samples followed by fakes."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([super(HalvesNorm, self).forward(half) for half in x.chunk(2)])


def _with_batch_norm(discriminator: nn.Module) -> nn.Module:
    """Adds batch norm after every convolution but the first, as in Radford et al. 2016."""
    _, *convolutions = [i for i, layer in enumerate(discriminator.layers) if isinstance(layer, nn.Conv2d)]
    for i in reversed(convolutions):
        discriminator.layers.insert(i + 1, HalvesNorm(discriminator.layers[i].out_channels))
    return discriminator


def _with_spectral_norm(discriminator: nn.Module) -> nn.Module:
    """Sets every layer's largest singular value to 1, as in Miyato et al. 2018."""
    for layer in [module for module in discriminator.modules() if isinstance(module, nn.Conv2d | nn.Linear)]:
        spectral_norm(layer)
    return discriminator


def _without_batch_norm(generator: nn.Module) -> nn.Module:
    """Replaces batch norm by He initialisation, a quarter of it in the last layer, as in R3GAN."""
    layers = [layer for layer in generator.layers if not isinstance(layer, nn.BatchNorm2d)]
    convolutions = [layer for layer in layers if isinstance(layer, nn.ConvTranspose2d)]
    nn.init.kaiming_normal_(generator.project.weight)
    for layer in convolutions:
        inputs = layer.in_channels * layer.kernel_size[0] ** 2 / layer.stride[0] ** 2
        nn.init.normal_(layer.weight, 0, (2 / inputs) ** 0.5 * (0.25 if layer is convolutions[-1] else 1))
    generator.layers = nn.Sequential(*layers)
    return generator


def _unchanged(network: nn.Module) -> nn.Module:
    return network


@register("altered-dcgan")
@dataclass(frozen=True)
class Altered(DCGAN):
    """A DCGAN whose networks are changed after they are built, for a comparison."""

    generator_change: Callable[[nn.Module], nn.Module] = _unchanged
    discriminator_change: Callable[[nn.Module], nn.Module] = _unchanged

    def generator(self) -> nn.Module:
        return self.generator_change(super().generator())

    def discriminator(self) -> nn.Module:
        return self.discriminator_change(super().discriminator())


CLASSIC = {"loss": "non-saturating", "betas": (0.5, 0.999), "penalties": {}, "generator_lr": 2e-4,
           "discriminator_lr": 2e-4}
HINGE = {"loss": "hinge", "penalties": {}, "generator_lr": 2e-4, "discriminator_lr": 4e-4}
PLAIN = {"choices": 0, "mapping": ()}
VARIANTS: dict[str, tuple[dict, dict]] = {  # what differs from the recipe: in the networks, in the training
    "the recipe": ({}, {}),
    "a discriminator of 64, 128, 256 channels": ({"discriminator_channels": (64, 128, 256)}, {}),
    "with classes": ({"num_classes": 10}, {}),
    "no choice in the generator": ({"choices": 0}, {}),
    "a harder choice": ({"sharpness": 50.0}, {}),
    "a softer choice": ({"sharpness": 6.0}, {}),
    "no mapping network": ({"mapping": ()}, {}),
    "penalties that stay": ({}, {"final_penalty": 1.0}),
    "R1 alone": ({}, {"penalties": {"r1": 1.0}}),
    "non-saturating loss": ({}, {"loss": "non-saturating"}),
    "no average of the generator": ({}, {"ema": 0.0}),
    "learning rates of 2e-4": ({}, {"generator_lr": 2e-4, "discriminator_lr": 2e-4}),
    "no batch norm in G": ({"generator_change": _without_batch_norm}, {}),
    # the recipe's generator collapses without a penalty, so these have no categorical latent
    "plain latents": (PLAIN, {}),
    "plain latents, non-saturating, batch norm in D, β₁ 0.5, no penalty": (
        {**PLAIN, "discriminator_change": _with_batch_norm}, CLASSIC),
    "plain latents, hinge, spectral norm in D, no penalty": (
        {**PLAIN, "discriminator_change": _with_spectral_norm}, HINGE),
}


def build(variant: str, steps: int, seed: int, bfloat16: bool) -> tuple[Altered, TrainConfig]:
    """The networks and the training of a variant of the dcgan recipe."""
    recipe, (networks, training) = RECIPES["dcgan"], VARIANTS[variant]
    base = vars(recipe.build()) | {"discriminator_channels": (48, 96, 192)}  # narrower, which saves hours
    return (Altered(**base | networks),
            replace(recipe.train, steps=steps, seed=seed, bfloat16=bfloat16, **training))


def table(results: dict[str, list[dict]], floor: float, steps: int) -> list[str]:
    """A Markdown table of the variants, the best first: means over the seeds, and the range of the FID."""
    rows = []
    for name, runs in results.items():
        finite = [run for run in runs if run]
        failed = f"{len(runs) - len(finite)} of {len(runs)} did not stay finite" if len(finite) < len(runs) else ""
        if not finite:
            rows.append((True, math.inf, f"| {name} | {failed} | | |"))
            continue
        ratios = [run["fid_digit_classifier"] / floor for run in finite]
        fid, precision, recall = map(statistics.mean, (ratios, *([run[key] for run in finite]
                                                                 for key in ("precision", "recall"))))
        rows.append((bool(failed), fid, f"| {name} | {fid:.3g} ({min(ratios):.3g} to {max(ratios):.3g})"
                                        f"{failed and '; ' + failed} | {precision:.3f} | {recall:.3f} |"))
    seeds, batch_size = max(map(len, results.values())), RECIPES["dcgan"].train.batch_size
    return ["| | FID / floor | precision | recall |", "|---|---|---|---|", *(line for *_, line in sorted(rows)), "",
            f"{steps:,} steps of {batch_size} each, {seeds} seeds; {SAMPLES:,} samples against as many test images; "
            f"FID, precision and recall (k = {NEIGHBOURS}) in digit-classifier features; floor {floor:.3g}."]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=console.spelled("ablation"),
        description="Train the dcgan recipe with one ingredient changed at a time, and print a table of the measures. "
                    "These are the ingredients of a GAN: the recipe vae has none of them.")
    p.add_argument("--steps", type=int, default=2_000, help="of each run (default: 2000)")
    p.add_argument("--seeds", type=int, default=2, help="runs of each variant (default: 2)")
    p.add_argument("--only", nargs="+", metavar="VARIANT", choices=VARIANTS,
                   help=f"some of: {'; '.join(VARIANTS)} (default: all)")
    p.add_argument("--device", **DEVICE)
    p.add_argument("--data", metavar="WHERE", help=f"a dataset of digits, as for {console.spelled()} (default: mnist)")
    p.add_argument("--out", type=Path, metavar="FILE", default=Path("runs/ablation.json"),
                   help="a JSON file to keep all measures in; runs that are in it are not repeated "
                        "(default: runs/ablation.json)")
    return p


def work(arguments: argparse.Namespace) -> None:
    """Does the runs that --out does not hold yet, and prints the table."""
    if arguments.steps < 1 or arguments.seeds < 1:
        raise ValueError("--steps and --seeds must be at least 1")
    device = pick_device(arguments.device)
    data = open_data("mnist", arguments.data)
    test, network = data.held_out(), classifier_for(data, device)
    if network is None or test is None or data.shape != network.shape:
        raise ValueError(f"an ablation needs {NAME} in weights/ and digits that it reads; it does not read {data.name}")
    real, other = (network.examine(scale(subsample(images, SAMPLES))) for images in (test.images, data.images))
    floor = metrics.frechet_distance(real[0], other[0])
    kept = Results(arguments.out, data, network, device, samples=SAMPLES)
    bfloat16, data = has_bfloat16(device), data.to(device)
    results: dict[str, list[dict]] = {name: [] for name in arguments.only or VARIANTS}
    for seed in range(arguments.seeds):
        for name in results:
            architecture, config = build(name, arguments.steps, seed, bfloat16)
            measures = kept.find(architecture, config)
            if measures is None:
                model = train_in_memory(name, architecture, config, data, device)
                measures = {} if model is None else measure_briefly(model, data, real, network, SAMPLES)
                kept.add(name, architecture, config, measures)
            results[name].append(measures)
    print("\n".join(table(results, floor, arguments.steps)))


main = command(parser, work, "stopped; the same command continues")

if __name__ == "__main__":
    sys.exit(main())
