"""Seeds to latents, and points between latents. Knows nothing of networks.

A latent is standard normal for every model. A seed names a latent: it is drawn from NumPy's `RandomState(seed)`, whose
stream NumPy promises never to change (NEP 19), so it depends on neither the batch, the device nor the version of torch.
"""

from collections.abc import Callable, Iterable

import numpy
import torch
from torch import Tensor

from ganlib.checks import check_float, check_int, quoted

MAX_SEED = 2**32 - 1
MAX_TRUNCATION = 2.0
SMALLEST_TRUNCATION = 1e-4  # stands for 0, where a soft choice (`ganlib.networks.SoftChoice`) has no direction

Interpolation = Callable[[Tensor, Tensor, float], Tensor]


def check_seeds(seeds: Iterable[int]) -> list[int]:
    """The seeds as a list of ints. Raises ValueError unless they are whole numbers in [0, 2**32 - 1], one or more."""
    try:
        seeds = list(seeds)
    except TypeError:
        raise ValueError(f"seeds must be a sequence of whole numbers, not {seeds!r}") from None
    if not seeds:
        raise ValueError("give at least one seed")
    return [check_int(seed, 0, MAX_SEED, "a seed") for seed in seeds]


def latents(seeds: Iterable[int], latent_dim: int) -> Tensor:
    """Latents (N, latent_dim) float32 on the CPU, one per seed, standard normal.

    Raises:
        ValueError: a seed is no whole number in [0, 2**32 - 1].
    """
    drawn = [numpy.random.RandomState(seed).standard_normal(latent_dim) for seed in check_seeds(seeds)]
    return _tensor(numpy.stack(drawn).astype(numpy.float32))


def noise(seed: int, n: int, latent_dim: int) -> Tensor:
    """n standard normal latents (n, latent_dim) float32 on the CPU from one seed: for statistics, not for pictures.

    Raises:
        ValueError: the seed is no whole number in [0, 2**32 - 1].
    """
    (seed,) = check_seeds([seed])
    return _tensor(numpy.random.RandomState(seed).standard_normal((n, latent_dim)).astype(numpy.float32))


def labels(seeds: Iterable[int], num_classes: int) -> Tensor:
    """The class (N,) int64 that each seed picks where the caller asks for none, uniform over the classes."""
    # another stream than the latent's, so that a seed's class says nothing of its latent
    picked = [numpy.random.RandomState(seed ^ 0x5EED).randint(num_classes) for seed in check_seeds(seeds)]
    return _tensor(numpy.array(picked, dtype=numpy.int64))


def _tensor(array: numpy.ndarray) -> Tensor:
    """An ordinary tensor of an array's numbers, even in inference mode."""
    with torch.inference_mode(False):
        return torch.from_numpy(array)


def truncate(z: Tensor, truncation: float) -> Tensor:
    """Latents scaled towards their mean, 0, by ψ: 1 leaves them, 0 gives average pictures, above 1 exaggerates.

    The truncation trick of Karras et al. 2019 (StyleGAN, appendix B), in z, where these networks' noise enters. 0 means
    the limit: a generator with a soft choice then has one average picture for each of its kinds.

    Raises:
        ValueError: ψ is no number in [0, 2].
    """
    return z * max(check_float(truncation, 0, MAX_TRUNCATION, "truncation"), SMALLEST_TRUNCATION)


def lerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t in [0, 1] on the straight line from a to b. Halfway it is nearer to 0 than Gaussian noise is."""
    return a + (b - a) * t


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t in [0, 1] on the arc from a to b; its length goes linearly from |a| to |b|.

    White 2016, "Sampling generative networks". Between vectors in line, and from zero, there is no arc: those get lerp.
    """
    length_a, length_b = a.norm(), b.norm()
    # no matrix product, which autocast would round
    cosine = ((a * b).sum() / (length_a * length_b).clamp_min(1e-12)).clamp(-1, 1)
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
    if not isinstance(method, str) or method not in INTERPOLATIONS:
        raise ValueError(f"method must be {' or '.join(INTERPOLATIONS)}, not {quoted(method)}")
    return INTERPOLATIONS[method]
