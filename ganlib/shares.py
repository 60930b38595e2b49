"""The samples of a batch that belong to this process, where several processes train one run.

Every process draws the random numbers of the whole batch and keeps those of its own samples. So all have the same
random state, and the run learns from the same numbers as one process alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ganlib.checks import require


class Shares(torch.Generator):
    """A random generator that knows which samples of a batch belong to this process."""

    whole: int  # samples of the whole batch
    own: range  # which of them are this process's


def share(rng: torch.Generator) -> float:
    """The part of a batch that belongs to this process: 1 for one alone."""
    return len(rng.own) / rng.whole if isinstance(rng, Shares) else 1.0


def own(rng: torch.Generator | None, values: Tensor, dim: int = 0) -> Tensor:
    """This process's part of the values of one whole batch or of several, one after the other along a dimension."""
    if not isinstance(rng, Shares):
        return values
    batches = torch.unflatten(values, dim, (-1, rng.whole))
    return batches.narrow(dim + 1, rng.own.start, len(rng.own)).flatten(dim, dim + 1)


def drawn(rng: torch.Generator | None, n: int, draw: Callable[[int], Tensor], dim: int = 0) -> Tensor:
    """Random numbers of n samples of this process.

    Args:
        rng: the generator that `draw` uses.
        n: samples, of one batch or of several.
        draw: a function of a number of samples that draws for so many along a dimension.
        dim: that dimension.
    """
    if not isinstance(rng, Shares):
        return draw(n)
    require(n % len(rng.own) == 0, f"random numbers are drawn for whole batches of {len(rng.own)} samples, not for {n}")
    return own(rng, draw(n // len(rng.own) * rng.whole), dim)
