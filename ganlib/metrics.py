"""Measures of two samples, or of two feature tensors. Knows nothing of models, data sets or feature extractors."""

import torch
from torch import Tensor


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


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Fréchet distance of the Gaussians fitted to features (N, D) and (M, D) (Heusel et al. 2017, eq. 6)."""
    a, b = a.double(), b.double()
    mean = (a.mean(0) - b.mean(0)).square().sum()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    # tr sqrt(A B) = tr sqrt(sqrt(A) B sqrt(A)), which is symmetric and so can be taken stably
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    return (mean + cov_a.trace() + cov_b.trace() - 2 * cross).item()


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
