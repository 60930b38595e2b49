"""Measures of two samples, or of two feature tensors, all on the CPU.

Knows nothing of models, data sets or feature extractors.
"""

import warnings

import torch
from torch import Tensor, nn


def wasserstein_1(a: Tensor, b: Tensor) -> float:
    """Wasserstein-1 distance of two samples on the line, (N,) or (N, 1) each, of equal size, in the samples' unit.

    For equal counts it is the mean distance between the sorted samples. Raises ValueError for unequal counts.
    """
    a, b = a.flatten().double(), b.flatten().double()
    if len(a) != len(b) or not len(a):
        raise ValueError(f"the samples must have the same size, above 0, not {len(a)} and {len(b)}")
    return (a.sort().values - b.sort().values).abs().mean().item()


def sliced_wasserstein(a: Tensor, b: Tensor, directions: int = 128) -> float:
    """Mean Wasserstein-1 distance of the projections of two samples (N, D) on random directions (Bonneel et al. 2015).

    The directions are always the same ones. Raises ValueError for unequal counts.
    """
    if a.shape != b.shape or not len(a):
        raise ValueError(f"the samples must have the same shape, not {tuple(a.shape)} and {tuple(b.shape)}")
    rng = torch.Generator().manual_seed(0)
    lines = torch.nn.functional.normalize(torch.randn(a.shape[1], directions, generator=rng, dtype=torch.double), dim=0)
    projected = [(lines.T @ x.double().T).sort(dim=1).values for x in (a, b)]
    return (projected[0] - projected[1]).abs().mean().item()


def kernel_density(samples: Tensor, points: Tensor, bandwidth: float) -> Tensor:
    """Density of samples (N, D) at points (M, D), as (M,): the mean of Gaussians N(sample, bandwidth² I)."""
    dimensions = samples.shape[1]
    norm = (2 * torch.pi * bandwidth**2) ** (dimensions / 2)
    return torch.cat([(torch.cdist(part, samples).square() / (-2 * bandwidth**2)).exp().mean(1) / norm
                      for part in points.split(1024)])


def largest_gap(values: Tensor, low: float, high: float) -> float:
    """The widest stretch of [low, high] without one of the values (N,)."""
    inside = values[(values >= low) & (values <= high)].double()
    ends = torch.tensor([low, high], dtype=torch.double)
    return torch.cat([inside, ends]).sort().values.diff().max().item()


class _Given(nn.Module):
    """Stands where a library wants a feature extractor, for features that are extracted already."""

    def __init__(self, features: int):
        super().__init__()
        self.num_features = features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Fréchet distance of the Gaussians fitted to features (N, D) and (M, D) (Heusel et al. 2017, eq. 6)."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(_Given(a.shape[1]))
    metric.update(a.double(), real=True)
    metric.update(b.double(), real=False)
    return metric.compute().item()


def kernel_distance(a: Tensor, b: Tensor, subsets: int = 100, subset_size: int = 1_000) -> float:
    """Squared maximum mean discrepancy of features (N, D) and (M, D) (Bińkowski et al. 2018, the KID's).

    The kernel is the cubic polynomial; the mean is over random subsets, always the same ones. Raises ValueError where
    there are fewer features than `subset_size`.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save")
        torch.default_generator.manual_seed(0)
        metric = KernelInceptionDistance(_Given(a.shape[1]), subsets=subsets, subset_size=subset_size)
        metric.update(a.double(), real=True)  # a small difference of large sums
        metric.update(b.double(), real=False)
        return metric.compute()[0].item()


def precision_recall_density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> dict[str, float]:
    """How the manifolds of features real (N, D) and fake (M, D) overlap, by balls up to the k-th nearest neighbour.

    precision: share of fakes inside a real one's ball; recall: share of reals inside a fake one's ball (Kynkäänniemi
    et al. 2019). density: how many real balls a fake lies in, over k; coverage: share of real balls that hold a fake
    (Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models", eq. 3 to 5).
    """
    real_radius, fake_radius = _radii(real, k), _radii(fake, k)
    held_by_real, covered, recalled = [], torch.zeros(len(real), dtype=torch.bool), torch.zeros(len(real),
                                                                                                dtype=torch.bool)
    for part, radius in zip(fake.split(_BLOCK), fake_radius.split(_BLOCK)):
        distance = torch.cdist(part, real)
        inside = distance < real_radius
        held_by_real.append(inside.sum(1))
        covered |= inside.any(0)
        recalled |= (distance < radius[:, None]).any(0)
    balls = torch.cat(held_by_real).double()
    return {
        "precision": (balls > 0).double().mean().item(),
        "recall": recalled.double().mean().item(),
        "density": balls.mean().item() / k,
        "coverage": covered.double().mean().item(),
    }


_BLOCK = 1_000  # rows of a distance matrix held at once


def _radii(points: Tensor, k: int) -> Tensor:
    """Distance (N,) of each point (N, D) to its k-th nearest other one."""
    if len(points) <= k:
        raise ValueError(f"{len(points)} samples have no {k}-th nearest neighbour; give more")
    return torch.cat([torch.cdist(part, points).kthvalue(k + 1).values for part in points.split(_BLOCK)])


def modes(samples: Tensor, centres: Tensor, std: float) -> dict[str, float]:
    """How samples (N, D) spread over the modes of a mixture of Gaussians N(centre, std² I), centres: (M, D).

    high_quality: share of samples within 3 std of their nearest centre. modes: how many centres have such a sample.
    width: the standard deviation of these samples about their centre, in std: 0.97 for the mixture itself in the plane,
    0 where each mode is but a point, and 0 where there is no such sample. reverse_kl: KL in nats of the samples' shares
    by their nearest centre from equal shares (Srivastava et al. 2017, "VEEGAN"; Lin et al. 2018, "PacGAN").
    """
    distance, index = nearest(samples, centres)
    good = distance <= 3 * std
    shares = class_shares(index, len(centres))
    return {
        "modes": int(index[good].unique().numel()),
        "high_quality": good.double().mean().item(),
        "width": distance[good].square().sum().div(max(1, good.sum()) * samples.shape[1]).sqrt().item() / std,
        "reverse_kl": kl_divergence(shares, torch.full_like(shares, 1 / len(centres))),
    }


def nearest(queries: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Euclidean distance (N,) from each query (N, D) to the nearest reference (M, D), and that one's index (N,)."""
    norms = references.square().sum(1)
    distances, indices = [], []
    for part in queries.split(512):
        squared = part.square().sum(1, keepdim=True) - 2 * part @ references.T + norms
        smallest = squared.min(1)
        distances.append(smallest.values.clamp_min(0).sqrt())
        indices.append(smallest.indices)
    return torch.cat(distances), torch.cat(indices)


def class_shares(labels: Tensor, num_classes: int) -> Tensor:
    """Share (num_classes,) of each class among labels (N,); they add up to 1."""
    return torch.bincount(labels, minlength=num_classes).double() / len(labels)


def kl_divergence(p: Tensor, q: Tensor) -> float:
    """KL(p ‖ q) in nats of two distributions over the same classes; infinite where p has what q lacks."""
    return torch.where(p > 0, p * (p / q).log(), torch.zeros_like(p)).sum().item()
