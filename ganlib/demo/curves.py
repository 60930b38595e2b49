"""The API of three figures of the course: two classifiers, the generator's losses, the best discriminator.

In the browser the figures compute by themselves. Here `ganlib.lessons` does.
"""

from typing import Any

import torch

from ganlib import lessons
from ganlib.checks import check_bool, check_float, check_int, require
from ganlib.demo.controls import check_seed, endpoint

EXTENT = (-4.0, 4.0, -3.0, 3.0)  # the plane that figure 1 shows
MOST_POINTS, MOST_STEPS, MOST_LOGITS = 200, 3_000, 1_000
GRID = torch.linspace(-14, 14, 1401, dtype=torch.float64)  # of the integrals
SHOWN = slice(400, 1001, 10)  # what is answered of it: -6 to 6


def classifiers(first: list[float], second: list[float], spread: float = 0.6, correlation: float = 0.5,
                points: int = 60, outliers: bool = False, naive: bool = False, seed: int = 1, steps: int = 1_000,
                new: int = 40) -> dict[str, Any]:
    """Train logistic regression and Gaussian classes on two clouds of points in the plane, and compare them.

    Args:
        first, second: the centre of a cloud, two numbers from -4 to 4.
        spread: the standard deviation of each coordinate, 0.05 to 3.
        correlation: of the two coordinates, -0.95 to 0.95.
        points: of each cloud, 2 to 200.
        outliers: whether a fifth as many points are added to class 1, far from both clouds.
        naive: whether the Gaussian classes have a diagonal covariance (naive Bayes).
        seed: of the points, 0 to 9,999.
        steps: of logistic regression's gradient descent, 0 to 3,000.
        new: how many points are drawn from the Gaussian classes, 0 to 200.

    Returns:
        A dictionary: points (lists of x1, x2 and class), logistic and gaussian (each with weight and bias of the
        log-odds of class 1, loss and accuracy), agreement (the share of the plane from -4 to 4 and -3 to 3 in which
        both choose the same class), and new (points of the Gaussian classes, as in points).
    """
    count, new = check_int(points, 2, MOST_POINTS, "points"), check_int(new, 0, MOST_POINTS, "new")
    outliers, naive = check_bool(outliers, "outliers"), check_bool(naive, "naive")
    rng = torch.Generator().manual_seed(check_seed(seed))
    x, y = lessons.two_clouds(
        [_centre(first, "first"), _centre(second, "second")], count, rng, check_float(spread, 0.05, 3, "spread"),
        check_float(correlation, -0.95, 0.95, "correlation"), -(-count // 5) if outliers else 0)
    gaussian = lessons.GaussianClasses.fit(x, y, naive)
    logistic, linear = lessons.logistic_fit(x, y, check_int(steps, 0, MOST_STEPS, "steps")), gaussian.linear()
    drawn = gaussian.sample(new, rng) if new else (x[:0], y[:0])
    return {"points": _rows(x, y), "new": _rows(*drawn), "agreement": lessons.agreement(logistic, linear, EXTENT),
            **{name: {"weight": model.weight.tolist(), "bias": model.bias.item(), "accuracy": model.accuracy(x, y),
                      "loss": lessons.logistic_loss(model, x, y)}
               for name, model in (("logistic", logistic), ("gaussian", linear))}}


def best_discriminator(mean: float = 2.0, width: float = 1.0) -> dict[str, Any]:
    """Calculate the best discriminator of real samples N(0, 1) and generated ones N(mean, width²), and its loss.

    Args:
        mean: of the generated samples, -4 to 4.
        width: their standard deviation, 0.5 to 2.

    Returns:
        A dictionary: x (from -6 to 6), and at each of them p, q (the two densities) and best (p / (p + q)); loss (of
        the best discriminator), divergence (the Jensen-Shannon divergence of p and q; both add up to ln 2), and
        constant_loss (of a discriminator that says 1/2 everywhere).
    """
    p = lessons.normal_density(GRID, 0, 1)
    q = lessons.normal_density(GRID, check_float(mean, -4, 4, "mean"), check_float(width, 0.5, 2, "width"))
    best = lessons.best_discriminator(p, q)
    half = torch.full_like(best, 0.5)
    return {**{name: values[SHOWN].tolist() for name, values in (("x", GRID), ("p", p), ("q", q), ("best", best))},
            "loss": lessons.discriminator_loss(best, p, q, GRID),
            "divergence": lessons.jensen_shannon(p, q, GRID).item(),
            "constant_loss": lessons.discriminator_loss(half, p, q, GRID)}


def generator_losses(logits: list[float]) -> dict[str, dict[str, list[float]]]:
    """Calculate both losses of a generator at some logits of its pictures, and their derivatives by the logit.

    Args:
        logits: 1 to 1,000 numbers from -100 to 100.

    Returns:
        For "saturating" and "non-saturating": loss and gradient, lists as long as logits.
    """
    require(isinstance(logits, list) and 1 <= len(logits) <= MOST_LOGITS,
            f"logits must be a list of 1 to {MOST_LOGITS:,} numbers")
    checked = torch.tensor([check_float(logit, -100, 100, "a logit") for logit in logits], dtype=torch.float64)
    return {name: {"loss": value.tolist(), "gradient": slope.tolist()}
            for name, (value, slope) in lessons.generator_losses(checked).items()}


def _centre(place: Any, what: str) -> list[float]:
    require(isinstance(place, list | tuple) and len(place) == 2, f"{what} must be two numbers")
    return [check_float(number, -4, 4, f"a coordinate of {what}") for number in place]


def _rows(x: torch.Tensor, y: torch.Tensor) -> list[list[float]]:
    return [[*point, label] for point, label in zip(x.tolist(), y.tolist())]


def build_api() -> None:
    for function in (classifiers, best_discriminator, generator_losses):
        endpoint(function, function.__name__)
