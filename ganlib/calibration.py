"""Logits to probabilities: a scale and an offset, fitted after training and kept beside the weights.

A discriminator's logit is not always the log-odds of "real". A relativistic loss compares samples of one class, which
leaves one offset per class free; least squares and hinge give logits another scale. Platt 1999, "Probabilistic outputs
for support vector machines", fits both; networks stay as they were trained.
"""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from ganlib.checks import check_float, quoted, require


@dataclass(frozen=True)
class Calibration:
    """The map from logits to the probability that a sample is real: sigmoid(scale · logit + offset).

    Args:
        scale: above 0.
        offsets: one for all samples, or one per class.
    """

    scale: float = 1.0
    offsets: tuple[float, ...] = (0.0,)

    def __post_init__(self):
        check_float(self.scale, 0, math.inf, "the scale of a calibration", above=True)
        require(isinstance(self.offsets, tuple) and len(self.offsets) > 0,
                f"the offsets of a calibration must be a list of numbers, not {quoted(self.offsets)}")
        for offset in self.offsets:
            check_float(offset, -math.inf, math.inf, "each offset of a calibration")

    def probability(self, logits: Tensor, y: Tensor | None = None) -> Tensor:
        """Probabilities (N,) float32 of logits (N,), on their device; y: (N,) classes where offsets differ."""
        # in float64: a Wasserstein critic's outputs may be far from 0, and the offset as far
        offsets = torch.tensor(self.offsets, dtype=torch.double, device=logits.device)
        return (logits.double() * self.scale + (offsets if len(offsets) == 1 else offsets[y])).sigmoid().float()

    def describe(self) -> dict:
        """JSON-ready, for `rebuild`."""
        return {**asdict(self), "offsets": list(self.offsets)}


def rebuild(description: dict | None, num_classes: int | None) -> Calibration:
    """The calibration that `describe` wrote down; the identity for None.

    Raises:
        ValueError: it is none, or of another number of classes.
    """
    if description is None:
        return Calibration()
    require(isinstance(description, dict) and description.keys() == {"scale", "offsets"}
            and isinstance(description["offsets"], list),
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
        fit_scale: also fit the scale, which is 1 otherwise.
    """
    logits = torch.cat([real_logits, fake_logits]).cpu().double()
    truth = torch.cat([torch.ones_like(real_logits), torch.zeros_like(fake_logits)]).cpu().double()
    groups = 1 if y is None else num_classes
    index = torch.zeros(len(logits), dtype=torch.long, device="cpu") if y is None else torch.cat([y, y]).cpu()
    if not fit_scale:
        return Calibration(1.0, _offsets(logits, truth, index, groups))
    if _mean(logits[truth == 1]) <= _mean(logits[truth == 0]):  # it cannot tell them apart
        scale = 1e-3 / max(logits.std(correction=0).item(), 1e-6)
        return Calibration(scale, _offsets(logits * scale, truth, index, groups))
    low, high = (math.log(bound / max(logits.std(correction=0).item(), 1e-6)) for bound in (1e-3, 1e3))
    for _ in range(40):  # the likelihood is concave: its slope along the scale changes sign once
        scale = math.exp((low + high) / 2)
        offsets = torch.tensor(_offsets(logits * scale, truth, index, groups), dtype=torch.double, device="cpu")
        residuals = truth - (logits * scale + offsets[index]).sigmoid()
        low, high = (math.log(scale), high) if (residuals * logits).sum() > 0 else (low, math.log(scale))
    return Calibration(scale, tuple(offsets.tolist()))


def _mean(values: Tensor) -> float:
    return values.mean().item()


def _offsets(logits: Tensor, truth: Tensor, index: Tensor, groups: int) -> tuple[float, ...]:
    """The offset of each group by which its mean probability is its share of real samples, by bisection."""
    counts = torch.bincount(index, minlength=groups).clamp_min(1)
    target = torch.bincount(index, truth, minlength=groups) / counts
    reach = logits.abs().max().item() + 40
    low = torch.full((groups,), -reach, dtype=torch.double, device="cpu")
    high = -low
    for _ in range(60):
        middle = (low + high) / 2
        found = torch.bincount(index, (logits + middle[index]).sigmoid(), minlength=groups) / counts
        low, high = torch.where(found < target, middle, low), torch.where(found < target, high, middle)
    middle = torch.where(torch.bincount(index, minlength=groups) > 0, (low + high) / 2, 0.0)
    return tuple(middle.tolist())
