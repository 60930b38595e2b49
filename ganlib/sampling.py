"""Seeds to latents, and paths and grids through latent space. Knows nothing of networks.

A seed names a latent: each seed has a CPU random generator of its own, so its latent depends on neither the batch it is
drawn in nor the device it is used on.
"""

import math
import operator
from collections.abc import Callable, Iterable
from itertools import pairwise

import torch
from torch import Tensor

MAX_SEED = 2**32 - 1
MAX_TRUNCATION = 2.0

Interpolation = Callable[[Tensor, Tensor, float], Tensor]


def check_seeds(seeds: Iterable[int]) -> list[int]:
    """The seeds as a list of ints. Raises ValueError unless they are whole numbers in [0, 2**32 - 1], one or more."""
    try:
        seeds = list(seeds)
    except TypeError:
        raise ValueError(f"seeds must be a sequence of whole numbers, not {seeds!r}") from None
    if not seeds:
        raise ValueError("give at least one seed")
    return [whole(seed, 0, MAX_SEED, "a seed") for seed in seeds]


def whole(value, low: int, high: int, what: str) -> int:
    """The value as an int. Raises ValueError unless it is a whole number from low to high, of any integer type."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        raise ValueError(f"{what} must be a whole number from {low} to {high}, not {value!r}")
    return number


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def latents(seeds: Iterable[int], latent_dim: int, codes: int = 0) -> Tensor:
    """Latents (N, latent_dim) float32 on the CPU, one per seed: standard normal, `codes` of their numbers one-hot.

    Raises ValueError for a seed that is no whole number in [0, 2**32 - 1].
    """
    return one_hot(torch.stack([torch.randn(latent_dim, generator=_rng(seed)) for seed in check_seeds(seeds)]), codes)


def noise(seed: int, n: int, latent_dim: int, codes: int = 0) -> Tensor:
    """n latents (n, latent_dim) float32 on the CPU from one seed: for statistics, not for pictures.

    Raises ValueError for a seed that is no whole number in [0, 2**32 - 1].
    """
    return one_hot(torch.randn(n, latent_dim, generator=_rng(*check_seeds([seed]))), codes)


def one_hot(z: Tensor, codes: int) -> Tensor:
    """Standard normal latents (N, D) with their first `codes` numbers turned into a choice: √codes for the largest, 0
    for the others, which keeps their mean square at 1.

    One round cloud of latents can become ten kinds of digits only by tearing, and what lies in the tears is no digit;
    a cloud for each choice needs no tears (Chen et al. 2016, InfoGAN; Mukherjee et al. 2019, ClusterGAN).
    """
    if not codes:
        return z
    first = z[:, :codes]
    choice = torch.zeros_like(first).scatter_(1, first.argmax(1, keepdim=True), math.sqrt(codes))
    return torch.cat([choice, z[:, codes:]], dim=1)


def labels(seeds: Iterable[int], num_classes: int) -> Tensor:
    """The class (N,) int64 that each seed picks where the caller asks for none, uniform over the classes."""
    # a generator of its own, so that the label of a seed says nothing of its latent
    return torch.stack([torch.randint(num_classes, (), generator=_rng(seed ^ 0x5EED)) for seed in check_seeds(seeds)])


def truncate(z: Tensor, truncation: float, codes: int = 0) -> Tensor:
    """Latents pulled towards their mean, 0, by psi: 1 leaves them, 0 gives one average picture, above 1 exaggerates.

    The truncation trick of Karras et al. 2019 (StyleGAN, appendix B), in z, which is where these networks' noise lives.
    The first `codes` numbers, a choice, stay: so 0 gives one average picture for each.
    Raises ValueError for a psi outside [0, 2].
    """
    if not (isinstance(truncation, int | float) and 0 <= truncation <= MAX_TRUNCATION):
        raise ValueError(f"truncation must be a number from 0 to {MAX_TRUNCATION:g}, not {truncation!r}")
    return torch.cat([z[:, :codes], z[:, codes:] * truncation], dim=1)


def lerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t in [0, 1] on the straight line from a to b. Halfway it is nearer to 0 than Gaussian noise is."""
    return a + (b - a) * t


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t in [0, 1] on the arc from a to b; its length goes linearly from |a| to |b|.

    White 2016, "Sampling generative networks". Between vectors in line, and from zero, there is no arc: those get lerp.
    """
    length_a, length_b = a.norm(), b.norm()
    cosine = (a @ b / (length_a * length_b).clamp_min(1e-12)).clamp(-1, 1)
    angle = torch.acos(cosine.double())
    if torch.sin(angle) < 1e-4 or length_a == 0 or length_b == 0:
        return lerp(a, b, t)
    weight_a = (torch.sin((1 - t) * angle) / torch.sin(angle)).to(a.dtype)
    weight_b = (torch.sin(t * angle) / torch.sin(angle)).to(a.dtype)
    direction = weight_a * a / length_a + weight_b * b / length_b
    return direction * lerp(length_a, length_b, t)


INTERPOLATIONS: dict[str, Interpolation] = {"lerp": lerp, "slerp": slerp}


def interpolation(method: str) -> Interpolation:
    """The interpolation of that name. Raises ValueError naming those there are."""
    if method not in INTERPOLATIONS:
        raise ValueError(f"method must be {' or '.join(INTERPOLATIONS)}, not {method!r}")
    return INTERPOLATIONS[method]


def walk(points: Tensor, steps: int, between: Interpolation = slerp) -> Tensor:
    """A path through latents `points` (N, D) in order: `steps` from each to the next, both ends counted.

    Returns ((N - 1) * (steps - 1) + 1, D), the points given exactly among them. Raises ValueError for steps below 2.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ValueError(f"steps must be a whole number of at least 2, not {steps!r}")
    path = [points[0]]
    for a, b in pairwise(points):
        path += [between(a, b, i / (steps - 1)) for i in range(1, steps - 1)] + [b]
    return torch.stack(path)


def grid(corners: Tensor, rows: int, columns: int, between: Interpolation = slerp) -> Tensor:
    """Latents (rows * columns, D), row by row, between four corners (4, D): top left, top right, bottom left, right."""
    left, right = walk(corners[[0, 2]], rows, between), walk(corners[[1, 3]], rows, between)
    return torch.cat([walk(torch.stack([a, b]), columns, between) for a, b in zip(left, right)])
