"""Toy distributions of numbers and of points in the plane, whose density is known exactly, also smoothed.

They are data like any others: `DATASETS` has those that models are trained on by name.
"""

import functools
import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor
from torch.special import ndtr

from ganlib import metrics
from ganlib.checks import require
from ganlib.data import DATASETS, Data


class Points(Data):
    """A toy distribution: every batch is drawn afresh, and no part is held out.

    Training needs `name`, `shape` and `batch`; the page needs `bandwidth`, `extent`, `truth` and `density` too.
    """

    evaluation = "points"
    samples = 100_000  # how many a model is measured by
    bandwidth: float  # of the densities on the page
    extent: tuple[float, ...]  # the region in charts: x from, to; in the plane x1 from, to, x2 from, to
    truth: str  # where real samples are, in words
    density: Callable[..., Tensor]  # (N,) at points (N, D), smoothed by N(0, bandwidth² I) where a bandwidth is given

    def curve(self, n: int) -> Tensor | None:
        """n points (n, D) along the curve that all samples are on, None where there is none."""
        return None

    def distance(self, x: Tensor, real: Tensor) -> float:
        """Sliced Wasserstein distance of samples x (N, D) to real ones (N, D)."""
        return metrics.sliced_wasserstein(x, real)

    def measure(self, x: Tensor) -> dict[str, float]:
        """Other measures of samples x (N, D), by their names in metrics.json."""
        return {}


@dataclass(frozen=True)
class Gaussian(Points):
    """x ~ N(mean, std²) in one dimension."""

    mean: float = 3.0
    std: float = 2.0

    name = "gaussian"
    shape = (1,)

    @property
    def extent(self) -> tuple[float, float]:  # type: ignore[override]
        # with the origin, where an untrained generator's samples are
        return min(-3.0, self.mean - 4.5 * self.std), max(3.0, self.mean + 4.5 * self.std)

    @property
    def bandwidth(self) -> float:  # type: ignore[override]
        return self.std / 8

    @property
    def truth(self) -> str:  # type: ignore[override]
        return f"the line is the true density of N({self.mean:g}, {self.std:g}²)"

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        x = torch.randn(n, 1, generator=rng, device=rng.device, dtype=torch.float32)
        return x.mul_(self.std).add_(self.mean), None

    def density(self, x: Tensor, bandwidth: float = 0.0) -> Tensor:
        """Density (N,) at points x (N, 1), smoothed by N(0, bandwidth²)."""
        return metrics.kernel_density(x.new_tensor([[self.mean]]), x, math.hypot(self.std, bandwidth))

    def quantiles(self, n: int) -> Tensor:
        """The quantiles (n, 1) at (i + ½)/n, ascending."""
        standard: Tensor = torch.special.ndtri((torch.arange(n, dtype=torch.float64, device="cpu") + 0.5) / n)
        return (standard * self.std + self.mean).float()[:, None]

    def distance(self, x: Tensor, real: Tensor) -> float:
        """Wasserstein-1 distance of samples x (N, 1) to the exact quantiles."""
        return metrics.wasserstein_1(x, self.quantiles(len(x)))

    def measure(self, x: Tensor) -> dict[str, float]:
        return {"mean": x.mean().item(), "std": x.std().item()}


class Exponential(Points):
    """x ~ Exp(1): most numbers are near 0, a few are large."""

    name = "exponential"
    shape = (1,)
    extent = (-1.0, 6.0)
    bandwidth = 0.1
    truth = "the line is the true density, exp(−x) for x > 0"

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        return torch.empty(n, 1, device=rng.device, dtype=torch.float32).exponential_(generator=rng), None

    def density(self, x: Tensor, bandwidth: float = 0.0) -> Tensor:
        """Density (N,) at points x (N, 1), smoothed by N(0, bandwidth²): then it is an exponentially modified Gaussian.
        """
        x = x[:, 0]
        if bandwidth == 0:
            return torch.where(x >= 0, (-x).exp(), torch.zeros_like(x))
        smoothed: Tensor = (bandwidth**2 / 2 - x).exp() * ndtr(x / bandwidth - bandwidth)
        return smoothed


@dataclass(frozen=True)
class Boxes(Points):
    """Boxes with sides along the axes, each of constant density: uniform distributions, histograms, a checkerboard.

    Args:
        boxes: (low, high) on each axis, for each box; they do not overlap.
        weights: the share of each box; they need not add up to 1.
        name, bandwidth, extent, truth: as in `Points`.
    """

    name: str
    boxes: tuple[tuple[tuple[float, float], ...], ...]
    weights: tuple[float, ...]
    bandwidth: float
    extent: tuple[float, ...]
    truth: str
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        require(len(self.boxes) == len(self.weights) and sum(self.weights) > 0 and min(self.weights) >= 0,
                "boxes need a weight each, none below 0, and one above 0")
        object.__setattr__(self, "shape", (len(self.boxes[0]),))

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        low, high, weights = self._tensors(rng.device)
        index = torch.multinomial(weights, n, replacement=True, generator=rng)
        share = torch.rand(n, *self.shape, generator=rng, device=rng.device, dtype=torch.float32)
        return torch.lerp(low[index], high[index], share), None

    def _tensors(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Lower and upper corners (M, D) of the boxes, and their shares (M,)."""
        edges = torch.tensor(self.boxes, dtype=torch.float32, device=device)
        weights = torch.tensor(self.weights, dtype=torch.float32, device=device)
        return edges[..., 0], edges[..., 1], weights / weights.sum()

    def density(self, x: Tensor, bandwidth: float = 0.0) -> Tensor:
        """Density (N,) at points x (N, D), smoothed by N(0, bandwidth² I)."""
        low, high, weights = self._tensors(x.device)
        from_low, to_high = x[:, None] - low, high - x[:, None]
        if bandwidth == 0:
            share = ((from_low >= 0) & (to_high > 0)).to(x.dtype)
        else:
            share = ndtr(from_low / bandwidth) + ndtr(to_high / bandwidth) - 1
        return (share / (high - low)).prod(2) @ weights


class Curve(Points):
    """Points evenly spread over the parameter of a curve, plus N(0, noise² I)."""

    shape = (2,)
    noise = 0.0

    @abstractmethod
    def at(self, share: Tensor) -> Tensor:
        """The curve's points (N, 2) at shares (N,) in [0, 1] of its parameter."""

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        x = self.at(torch.rand(n, generator=rng, device=rng.device, dtype=torch.float32))
        if self.noise:
            x = x + self.noise * torch.randn(n, 2, generator=rng, device=rng.device, dtype=torch.float32)
        return x, None

    def curve(self, n: int) -> Tensor | None:
        return None if self.noise else self.at(torch.linspace(0, 1, n, dtype=torch.float32, device="cpu"))

    def density(self, x: Tensor, bandwidth: float = 0.0) -> Tensor:
        """Density (N,) at points x (N, 2), smoothed by N(0, bandwidth² I); by the midpoint rule.

        Raises ValueError where points on a curve have no density: there without noise and without a bandwidth.
        """
        width = math.hypot(self.noise, bandwidth)
        require(width > 0, "points on a curve have no density; give a bandwidth above 0")
        middles = (torch.arange(1024, dtype=torch.float32, device=x.device) + 0.5) / 1024
        return metrics.kernel_density(self.at(middles), x, width)


class Sine(Curve):
    """Points (x1, sin x1) with x1 ~ U[0, 2π]: a curve in the plane, with no density of its own."""

    name = "sine"
    extent = (-0.8, 2 * math.pi + 0.8, -1.8, 1.8)
    bandwidth = 0.12
    truth = "the line is sin x₁, where all real ones lie"

    def at(self, share: Tensor) -> Tensor:
        x = share * (2 * math.pi)
        return torch.stack([x, x.sin()], dim=1)

    def measure(self, x: Tensor) -> dict[str, float]:
        return {"mean_distance_from_sine": (x[:, 1] - x[:, 0].sin()).abs().mean().item(),
                "largest_gap_in_x1": metrics.largest_gap(x[:, 0], 0, 2 * math.pi)}


class Moons(Curve):
    """Two half circles that reach into each other: the "two moons" of scikit-learn, about the origin."""

    name = "moons"
    extent = (-2.0, 2.0, -1.6, 1.6)
    bandwidth = 0.12
    noise = 0.06
    truth = "real ones lie on two half moons, 0.06 wide"

    def at(self, share: Tensor) -> Tensor:
        angle, upper = (2 * share % 1) * math.pi, share < 0.5
        x = torch.where(upper, angle.cos() - 0.5, 0.5 - angle.cos())
        return torch.stack([x, torch.where(upper, angle.sin() - 0.25, 0.25 - angle.sin())], dim=1)


class Spiral(Curve):
    """Points along a spiral of Archimedes with two turns, evenly spread over its length (but for its very centre)."""

    name = "spiral"
    extent = (-2.4, 2.4, -2.4, 2.4)
    bandwidth = 0.12
    noise = 0.05
    truth = "real ones lie on a spiral of two turns, 0.05 wide"

    def at(self, share: Tensor) -> Tensor:
        angle = 4 * math.pi * (0.02 + 0.98 * share).sqrt()  # far from the centre its length grows as angle²
        return (angle * 2 / (4 * math.pi))[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)


@dataclass(frozen=True)
class Mixture(Points):
    """Equal Gaussians N(centre, std² I), of which 100,000 fixed points are the training data.

    Ring and grid are those of Srivastava et al. 2017 ("VEEGAN") and Lin et al. 2018 ("PacGAN").

    Args:
        centres: (M, D).
        std: of each Gaussian.
        name, bandwidth, truth, extent: as in `Points`.
    """

    name: str
    centres: tuple[tuple[float, ...], ...]
    std: float
    bandwidth: float = 0.1
    truth: str = ""
    extent: tuple[float, ...] = ()  # by default about the centres
    shape: tuple[int, ...] = field(init=False)

    samples = 2_500  # as Lin et al. measure
    POINTS = 100_000

    def __post_init__(self) -> None:
        reach = 1.3 * max(abs(number) for centre in self.centres for number in centre)
        object.__setattr__(self, "shape", (len(self.centres[0]),))
        object.__setattr__(self, "extent", self.extent or (-reach, reach) * len(self.centres[0]))

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """n fresh points (n, D)."""
        index = torch.randint(len(self.centres), (n,), generator=rng, device=rng.device)
        noise = torch.randn(n, *self.shape, generator=rng, device=rng.device, dtype=torch.float32)
        return self._centres(rng.device)[index] + self.std * noise

    def _centres(self, device: torch.device) -> Tensor:
        return torch.tensor(self.centres, dtype=torch.float32, device=device)

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        points = _training_points(self, rng.device)
        return points[torch.randint(len(points), (n,), generator=rng, device=rng.device)], None

    def description(self) -> str:
        return f"{self.POINTS:,} points of {self.name}"

    def density(self, x: Tensor, bandwidth: float = 0.0) -> Tensor:
        """Density (N,) at points x (N, D), smoothed by N(0, bandwidth² I)."""
        return metrics.kernel_density(self._centres(x.device), x, math.hypot(self.std, bandwidth))

    def measure(self, x: Tensor) -> dict[str, float]:
        return {"centres": len(self.centres), **metrics.modes(x, self._centres(x.device), self.std)}


@functools.cache
def _training_points(mixture: Mixture, device: torch.device) -> Tensor:
    """The points (100,000, D) that a mixture is known by, always the same."""
    return mixture.draw(mixture.POINTS, torch.Generator().manual_seed(0)).to(device)


@dataclass(frozen=True)
class Cloud(Mixture):
    """Points that somebody drew, each blurred by N(0, std² I). Their places are no modes that could be counted."""

    def batch(self, n: int, rng: torch.Generator) -> tuple[Tensor, None]:
        return self.draw(n, rng), None

    def measure(self, x: Tensor) -> dict[str, float]:
        return {}


def drawn_line(heights: Sequence[float]) -> Boxes:
    """The distribution whose density has these heights (N,), each at least 0, in equal steps from −3 to 3."""
    edges = [6 * i / len(heights) - 3 for i in range(len(heights) + 1)]
    return Boxes("drawn-line", tuple(((low, high),) for low, high in pairwise(edges)), tuple(heights), 0.15,
                 (-3.6, 3.6), "the line is the density that was drawn")


def drawn_cloud(points: Sequence[Sequence[float]]) -> Cloud:
    """The distribution of these points (N, 2) in [-1, 1]², each blurred by 0.04."""
    return Cloud("drawn-cloud", tuple((x, y) for x, y in points), 0.04, 0.08, "real ones lie where points were drawn",
                 extent=(-1.3, 1.3, -1.3, 1.3))


def on_ring(n: int) -> tuple[tuple[float, float], ...]:
    """n centres on the unit circle."""
    return tuple((math.cos(2 * math.pi * i / n), math.sin(2 * math.pi * i / n)) for i in range(n))


def on_grid(n: int) -> tuple[tuple[float, float], ...]:
    """n² centres, 2 apart."""
    line = [float(1 - n + 2 * i) for i in range(n)]
    return tuple((x, y) for x in line for y in line)


RING = Mixture("ring", on_ring(8), 0.01, 0.06, "real ones sit on eight spots of the unit circle, 0.01 wide")
GRID = Mixture("grid", on_grid(5), 0.05, 0.2, "real ones sit on 25 spots, 0.05 wide")
TWO_BUMPS = Mixture("two-bumps", ((-2.0,), (2.0,)), 0.5, 0.15, "the line is the true density, two bumps 0.5 wide",
                    (-4.5, 4.5))
UNIFORM = Boxes("uniform", (((-1.0, 1.0),),), (1.0,), 0.06, (-2.0, 2.0), "the line is the true density, ½ from −1 to 1")
CHECKERBOARD = Boxes(
    "checkerboard", tuple(((float(x), x + 1.0), (float(y), y + 1.0)) for x in range(-2, 2) for y in range(-2, 2)
                          if (x + y) % 2 == 0), (1.0,) * 8, 0.12, (-2.6, 2.6, -2.6, 2.6),
    "real ones fill the eight dark squares of a board of 4 × 4")

DATASETS.update({
    "gaussian": lambda *arguments: Gaussian(),
    "two-bumps": lambda *arguments: TWO_BUMPS,
    "uniform": lambda *arguments: UNIFORM,
    "exponential": lambda *arguments: Exponential(),
    "sine": lambda *arguments: Sine(),
    "ring": lambda *arguments: RING,
    "grid": lambda *arguments: GRID,
    "moons": lambda *arguments: Moons(),
    "spiral": lambda *arguments: Spiral(),
    "checkerboard": lambda *arguments: CHECKERBOARD,
})
