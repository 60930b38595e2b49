"""Measures of two samples, or of two feature tensors, all on the CPU.

Imports nothing of models, datasets and feature extractors.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

BLOCK = 1_000  # rows of a distance matrix computed at once


def wasserstein_1(a: Tensor, b: Tensor) -> float:
    """Wasserstein-1 distance of two samples on the line, (N,) or (N, 1) each, in the samples' unit.

    For equal counts it is the mean distance between the sorted samples. Raises ValueError for unequal counts.
    """
    return sliced_wasserstein(a.reshape(-1, 1), b.reshape(-1, 1), directions=1)


def sliced_wasserstein(a: Tensor, b: Tensor, directions: int = 128) -> float:
    """Mean Wasserstein-1 distance of the projections of two samples (N, D) on random directions (Bonneel et al. 2015).

    The directions are always the same. Raises ValueError for unequal counts.
    """
    if a.shape != b.shape or not len(a):
        raise ValueError(f"the samples must have the same shape, not {tuple(a.shape)} and {tuple(b.shape)}")
    rng = torch.Generator("cpu").manual_seed(0)
    lines = normalize(torch.randn(a.shape[1], directions, generator=rng, dtype=torch.double, device="cpu"), dim=0)
    projected = [(lines.T @ x.double().T).sort(dim=1).values for x in (a, b)]
    return (projected[0] - projected[1]).abs().mean().item()


def kernel_density(samples: Tensor, points: Tensor, bandwidth: float) -> Tensor:
    """Density of samples (N, D) at points (M, D), as (M,): the mean of Gaussians N(sample, bandwidth² I)."""
    dimensions = samples.shape[1]
    norm = (2 * torch.pi * bandwidth**2) ** (dimensions / 2)
    return torch.cat([(torch.cdist(part, samples).square() / (-2 * bandwidth**2)).exp().mean(1) / norm
                      for part in torch.split(points, 1024)])


def kernel_density_map(samples: Tensor, x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """Density (H, W) of samples (N, 2) at all points of a grid, by the Gaussian kernel N(sample, bandwidth² I).

    It is `kernel_density` at these points, and much quicker, because the kernel is a product.

    Args:
        x, y: the grid's coordinates, (W,) and (H,), in the samples' unit.
    """
    across, up = (torch.exp((line[:, None] - samples[:, axis]).square() / (-2 * bandwidth**2))
                  for axis, line in enumerate((x, y)))
    return up @ across.T / (len(samples) * 2 * torch.pi * bandwidth**2)


def largest_gap(values: Tensor, low: float, high: float) -> float:
    """The length of the largest interval in [low, high] without any of the values (N,)."""
    inside = values[(values >= low) & (values <= high)].double()
    ends = torch.tensor([low, high], dtype=torch.double, device="cpu")
    return torch.cat([inside, ends]).sort().values.diff().max().item()


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Fréchet distance of the Gaussians fitted to features (N, D) and (M, D) (Heusel et al. 2017, eq. 6)."""
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    # the trace of a matrix's square root is the sum of the roots of its eigenvalues
    root = torch.linalg.eigvals(cov_a @ cov_b).sqrt().real.sum()
    distance: Tensor = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * root
    return distance.item()


def kernel_distance(a: Tensor, b: Tensor, subsets: int = 100, subset_size: int = 1_000) -> float:
    """Squared maximum mean discrepancy of features (N, D) and (M, D) (KID; Bińkowski et al. 2018).

    The kernel is the cubic polynomial (x·y/D + 1)³, the estimate is unbiased, and the mean is over random subsets,
    always the same. Raises ValueError where there are fewer features than `subset_size`.
    """
    if min(len(a), len(b)) < subset_size:
        raise ValueError(f"subsets of {subset_size} cannot be drawn from {len(a)} and {len(b)} features; give more")
    rng, total = torch.Generator("cpu").manual_seed(0), 0.0
    for _ in range(subsets):
        # in float64: a small difference of large sums
        x, y = (part[torch.randperm(len(part), generator=rng, device="cpu")[:subset_size]].double() for part in (a, b))
        within = sum((kernel.sum() - kernel.trace()).item() for kernel in (_cubic(x, x), _cubic(y, y)))
        total += within / (subset_size * (subset_size - 1)) - 2 * _cubic(x, y).mean().item()
    return total / subsets


def _cubic(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def precision_recall_density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> dict[str, float]:
    """The overlap of features real (N, D) and fake (M, D), each as balls of its points up to their k-th neighbour.

    A point on the border of a ball is inside. precision: share of fakes inside a real one's ball; recall: share of
    reals inside a fake one's ball (Kynkäänniemi et al. 2019, eq. 1 to 3). density: the mean number of real balls that a
    fake is in, over k; coverage: share of real balls with a fake inside (Naeem et al. 2020, "Reliable fidelity and
    diversity metrics for generative models", eq. 3 to 5). Raises ValueError where there are not more than k points.
    """
    real_radius, fake_radius = _radii(real, k), _radii(fake, k)
    balls = torch.zeros(len(fake), dtype=torch.double, device="cpu")  # real ones that each fake is in
    covered, recalled = (torch.zeros(len(real), dtype=torch.bool, device="cpu") for _ in range(2))
    for start in range(0, len(fake), BLOCK):
        block = slice(start, start + BLOCK)
        distance = torch.cdist(fake[block], real)
        inside = distance <= real_radius
        balls[block] = inside.sum(1).double()
        covered |= inside.any(0)
        recalled |= (distance <= fake_radius[block, None]).any(0)
    return {"precision": (balls > 0).double().mean().item(), "recall": recalled.double().mean().item(),
            "density": balls.mean().item() / k, "coverage": covered.double().mean().item()}


def _radii(points: Tensor, k: int) -> Tensor:
    """Distance (N,) of each point (N, D) to its k-th nearest other point."""
    if len(points) <= k:
        raise ValueError(f"{len(points)} samples have no {k}-th nearest neighbour; give more")
    return torch.cat([torch.cdist(part, points).kthvalue(k + 1).values for part in torch.split(points, BLOCK)])


def modes(samples: Tensor, centres: Tensor, std: float) -> dict[str, float]:
    """The spread of samples (N, D) over the modes of a mixture of Gaussians N(centre, std² I), centres: (M, D).

    high_quality: share of samples within 3 std of their nearest centre. modes: how many centres have such a sample.
    width: the standard deviation of these samples about their centre, in std: 0.97 for the mixture itself in the plane,
    0 where each mode is one point or there is no such sample. reverse_kl: KL in nats of the samples' shares by their
    nearest centre from equal shares (Srivastava et al. 2017, "VEEGAN"; Lin et al. 2018, "PacGAN").
    """
    distance, index = nearest(samples, centres)
    good = distance <= 3 * std
    count, shares = int(good.sum()), class_shares(index, len(centres))
    return {
        "modes": int((torch.bincount(index[good]) > 0).sum()),
        "high_quality": good.double().mean().item(),
        "width": distance[good].square().sum().div(max(1, count) * samples.shape[1]).sqrt().item() / std,
        "reverse_kl": kl_divergence(shares, torch.full_like(shares, 1 / len(centres))),
    }


def nearest(queries: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Euclidean distance (N,) from each query (N, D) to the nearest reference (M, D), and that one's index (N,)."""
    distances, indices = zip(*(torch.cdist(part, references).min(1) for part in torch.split(queries, 512)))
    return torch.cat(distances), torch.cat(indices)


def class_shares(labels: Tensor, num_classes: int) -> Tensor:
    """Share (num_classes,) of each class among labels (N,); they add up to 1."""
    return torch.bincount(labels, minlength=num_classes).double() / len(labels)


def kl_divergence(p: Tensor, q: Tensor) -> float:
    """KL(p ‖ q) in nats of two distributions over the same classes; infinite where p > 0 and q = 0."""
    return torch.where(p > 0, p * (p / q).log(), torch.zeros_like(p)).sum().item()
