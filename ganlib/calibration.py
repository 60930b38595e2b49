"""Logits to probabilities: a scale and an offset, fitted after training and saved beside the weights.

A discriminator's logit is not always the log-odds of "real". A relativistic loss compares samples of one class, which
leaves one offset per class free; least squares and hinge give logits another scale. Platt 1999, "Probabilistic outputs
for support vector machines", fits both; networks stay as they were trained.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from ganlib.checks import check_float, quoted, require


@dataclass(frozen=True)
class Calibration:
    """The map from logits to the probability that a sample is real: sigmoid(scale · logit + offset)."""

    scale: float = 1.0  # above 0
    offsets: tuple[float, ...] = (0.0,)  # one for all samples, or one per class

    def __post_init__(self) -> None:
        check_float(self.scale, 0, math.inf, "the scale of a calibration", above=True)
        require(isinstance(self.offsets, tuple) and len(self.offsets) > 0,
                f"the offsets of a calibration must be a list of numbers, not {quoted(self.offsets)}")
        for offset in self.offsets:
            check_float(offset, -math.inf, math.inf, "each offset of a calibration")

    def probability(self, logits: Tensor, y: Tensor | None = None) -> Tensor:
        """Probabilities (N,) float32 of logits (N,), on their device; y: (N,) classes where there is an offset each."""
        # in float64: a Wasserstein critic's outputs may be far from 0, and the offset as far
        offsets = torch.tensor(self.offsets, dtype=torch.double, device=logits.device)
        return (logits.double() * self.scale + (offsets if len(offsets) == 1 else offsets[y])).sigmoid().float()


def rebuild(description: dict[str, Any] | None, num_classes: int | None) -> Calibration:
    """The calibration that `dataclasses.asdict` described, also after JSON; the identity for None.

    Raises ValueError if the description is not of a calibration, or is of another number of classes.
    """
    if description is None:
        return Calibration()
    require(isinstance(description, dict) and description.keys() == {"scale", "offsets"}
            and isinstance(description["offsets"], tuple | list),
            f"calibration must have a scale and a list of offsets, not {quoted(description)}")
    calibration = Calibration(description["scale"], tuple(description["offsets"]))
    require(len(calibration.offsets) in (1, num_classes),
            f"calibration has {len(calibration.offsets)} offsets for {num_classes or 'no'} classes")
    return calibration


def fit(real_logits: Tensor, fake_logits: Tensor, y: Tensor | None = None, num_classes: int | None = None,
        fit_scale: bool = False) -> Calibration:
    """The calibration with the highest likelihood on logits of real and of as many generated samples.

    Args:
        real_logits, fake_logits: (N,) each.
        y: (N,) the classes of both, for one offset per class.
        num_classes: how many classes there are; a class without samples gets an offset of 0.
        fit_scale: also fit the scale, from 1e-3 to 1e3 over the logits' standard deviation; it is 1 otherwise.
    """
    logits = torch.cat([real_logits, fake_logits]).cpu().double()
    real = torch.cat([torch.ones_like(real_logits), torch.zeros_like(fake_logits)]).cpu().double()
    index = torch.zeros(len(logits), dtype=torch.long, device="cpu") if y is None else torch.cat([y, y]).cpu()
    classes = one_hot(index, 1 if y is None else num_classes or -1).double()
    scale = 1.0
    if fit_scale:
        std = max(logits.std(correction=0).item(), 1e-6)
        inputs = torch.cat([((logits - logits.mean()) / std)[:, None], classes], dim=1)
        slope, *_ = _logistic_regression(inputs, real, torch.zeros_like(logits), torch.zeros_like(inputs[0])).tolist()
        scale = min(max(slope, 1e-3), 1e3) / std
    # from the medians Newton's method converges on large logits too, whose sigmoids are 0 or 1
    medians = torch.where(classes > 0, scale * logits[:, None], math.nan).nanmedian(0).values.nan_to_num()
    return Calibration(scale, tuple(_logistic_regression(classes, real, scale * logits, -medians).tolist()))


def _logistic_regression(inputs: Tensor, real: Tensor, base: Tensor, weights: Tensor) -> Tensor:
    """The weights (D,) by which sigmoid(inputs (N, D) · weights + base (N,)) has the highest likelihood.

    Newton's method, from the weights given; real (N,) is 1 for a real sample, 0 for a generated one.
    """
    def loss(weights: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(inputs @ weights + base, real)

    for _ in range(100):
        p = (inputs @ weights + base).sigmoid()
        curvature = (inputs.T * (p * (1 - p))) @ inputs + 1e-12 * torch.eye(len(weights), dtype=p.dtype, device="cpu")
        step = torch.linalg.solve(curvature, inputs.T @ (real - p))
        while loss(weights + step) > loss(weights):
            step = step / 2
        weights = weights + step
        if step.abs().max() < 1e-10:
            break
    return weights
