"""Seeds to latents, and points between latents. Knows nothing of networks.

Latents are standard normal for every model. A seed's latent comes from NumPy's `RandomState(seed)`, whose stream NumPy
promises never to change (NEP 19). It does not depend on the batch, the device or the version of torch.
"""

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.linalg import vector_norm

from ganlib.checks import check_float, check_int, quoted, require

MAX_SEED = 2**32 - 1
MAX_TRUNCATION = 2.0
MAX_LATENT = 100.0  # of the numbers in the text of a latent; those of noise are smaller than 10
OUT_OF_RANGE = f"the numbers of a latent must be from {-MAX_LATENT:g} to {MAX_LATENT:g}"
SMALLEST_TRUNCATION = 1e-4  # used for 0, where `ganlib.networks.SoftChoice` has no direction

Interpolation = Callable[[Tensor, Tensor, float], Tensor]


def check_seeds(seeds: Iterable[int]) -> list[int]:
    """The seeds as a list of ints. Raises ValueError unless they are whole numbers in [0, 2**32 - 1], one or more."""
    try:
        seeds = list(seeds)
    except TypeError:
        raise ValueError(f"seeds must be a sequence of whole numbers, not {seeds!r}") from None
    require(len(seeds) > 0, "give at least one seed")
    return [check_int(seed, 0, MAX_SEED, "a seed") for seed in seeds]


def latents(seeds: Iterable[int], latent_dim: int) -> Tensor:
    """Standard normal latents (N, latent_dim) float32 on the CPU, one for each seed."""
    return _tensor([random.standard_normal(latent_dim) for random in _streams(check_seeds(seeds))], numpy.float32)


def _streams(seeds: Iterable[int]) -> Iterator[numpy.random.RandomState]:
    """RandomState(seed) for each seed: one object, because seeding it is faster than making another."""
    random = numpy.random.RandomState(0)
    for seed in seeds:
        random.seed(seed)
        yield random


def noise(seed: int, n: int, latent_dim: int) -> Tensor:
    """n standard normal latents (n, latent_dim) float32 on the CPU from one seed, for statistics."""
    (seed,) = check_seeds([seed])
    return _tensor(numpy.random.RandomState(seed).standard_normal((n, latent_dim)), numpy.float32)


def labels(seeds: Iterable[int], num_classes: int) -> Tensor:
    """Labels (N,) int64, one for each seed, uniform over the classes: the default where no label is given."""
    # a stream other than the latent's, so that the label is independent of it
    streams = _streams(seed ^ 0x5EED for seed in check_seeds(seeds))
    return _tensor([random.randint(num_classes) for random in streams], numpy.int64)


def _tensor(values: Any, dtype: type[numpy.generic]) -> Tensor:
    """An ordinary tensor, even in inference mode."""
    with torch.inference_mode(False):
        return torch.from_numpy(numpy.asarray(values, dtype))


def truncate(z: Tensor, truncation: float) -> Tensor:
    """Latents multiplied by ψ: 1 changes nothing, 0 gives average images, above 1 samples are more extreme.

    The truncation trick of Karras et al. 2019 (StyleGAN, appendix B), applied to z. 0 means the limit: a generator with
    a `SoftChoice` then has one average image per category. Raises ValueError unless ψ is a number in [0, 2].
    """
    return z * max(check_float(truncation, 0, MAX_TRUNCATION, "truncation"), SMALLEST_TRUNCATION)


def lerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t in [0, 1] on the line from a to b. Halfway, its norm is smaller than that of Gaussian noise."""
    return a + (b - a) * t


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t in [0, 1] on the arc from a to b; its norm goes linearly from |a| to |b|.

    White 2016, "Sampling generative networks". Collinear or zero vectors have no arc and are interpolated by lerp.
    """
    length_a, length_b = vector_norm(a), vector_norm(b)
    # not a matrix product, which autocast would round
    cosine = ((a * b).sum() / (length_a * length_b).clamp_min(1e-12)).clamp(-1, 1)
    angle = torch.acos(cosine.double())
    if torch.sin(angle) < 1e-4 or length_a == 0 or length_b == 0:
        return lerp(a, b, t)
    weight_a, weight_b = ((torch.sin(share * angle) / torch.sin(angle)).to(a.dtype) for share in (1 - t, t))
    direction: Tensor = weight_a * a / length_a + weight_b * b / length_b
    return direction * lerp(length_a, length_b, t)


INTERPOLATIONS: dict[str, Interpolation] = {"lerp": lerp, "slerp": slerp}


def interpolation(method: str) -> Interpolation:
    """The interpolation of that name. Raises ValueError with the known names."""
    require(isinstance(method, str) and method in INTERPOLATIONS,
            f"method must be {' or '.join(INTERPOLATIONS)}, not {quoted(method)}")
    return INTERPOLATIONS[method]


def along(points: Tensor, positions: Iterable[float], interpolation: Interpolation) -> Tensor:
    """Points (N, D) at positions on the path through points (K, D): 0 is the first, 1 the second, K - 1 the last."""
    legs = ((min(int(position), len(points) - 2), position) for position in positions)
    return torch.stack([interpolation(points[leg], points[leg + 1], position - leg) for leg, position in legs])


def arithmetic(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a − b + c for latents (…, D), with the norm √D that is typical of noise.

    Radford et al. 2016, section 6.3.2: what tells a from b is given to c. Where all cancels, the result is 0.
    """
    z = a - b + c
    scaled: Tensor = z * (z.shape[-1] ** 0.5 / vector_norm(z, dim=-1, keepdim=True).clamp_min(1e-12))
    return scaled


def latent_to_text(z: Any) -> str:
    """A latent (D,) as short text for links: base64url of its numbers, rounded to float16, in little-endian order.

    Args:
        z: a tensor, an array or a list.

    Raises ValueError unless it has numbers, all from -100 to 100.
    """
    what = f"a latent must be numbers (D,), not {quoted(z)}"
    try:
        numbers = numpy.asarray(z.detach().double().cpu() if isinstance(z, Tensor) else z, numpy.float64)
    except (TypeError, ValueError):
        raise ValueError(what) from None
    require(numbers.ndim == 1 and numbers.size > 0, what)
    require(_in_range(numbers), OUT_OF_RANGE)
    return _to_text(numbers)


def _to_text(numbers: Any) -> str:
    return base64.urlsafe_b64encode(numbers.astype("<f2").tobytes()).decode().rstrip("=")


def latent_from_text(text: str, latent_dim: int) -> Tensor:
    """The latent (latent_dim,) float32 of a text by `latent_to_text`. Raises ValueError for any other text."""
    length = -(-latent_dim * 16 // 6)  # of six bits each
    require(isinstance(text, str) and re.fullmatch("[A-Za-z0-9_-]*", text) is not None,
            f"the text of a latent has letters, digits, - and _ alone, not {quoted(text)}")
    require(len(text) == length, f"the text of a latent of {latent_dim} numbers has {length} characters, "
                                 f"not {len(text)}")
    numbers = numpy.frombuffer(base64.urlsafe_b64decode(text + "=" * (-length % 4)), "<f2")
    require(_in_range(numbers), OUT_OF_RANGE)
    require(_to_text(numbers) == text,  # its last bits are not used
            f"the text of a latent of {latent_dim} numbers cannot end in {text[-1]}")
    return _tensor(numbers, numpy.float32)


def _in_range(numbers: Any) -> bool:
    return bool((numpy.abs(numbers) <= MAX_LATENT).all())  # False for NaN
