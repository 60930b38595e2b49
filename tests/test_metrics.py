import math

import pytest
import scipy.linalg
import scipy.stats
import torch

from ganlib import metrics


def normal(n: int, d: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def test_wasserstein_1_of_a_shifted_sample_is_the_shift():
    x = normal(1000)
    assert metrics.wasserstein_1(x, x + 2.5) == pytest.approx(2.5)


def test_wasserstein_1_agrees_with_scipy():
    a, b = normal(500, seed=1), 2 * normal(500, seed=2) + 1
    expected = scipy.stats.wasserstein_distance(a.flatten().numpy(), b.flatten().numpy())
    assert metrics.wasserstein_1(a, b) == pytest.approx(expected)


def test_wasserstein_1_needs_equal_sizes():
    with pytest.raises(ValueError, match="same size"):
        metrics.wasserstein_1(torch.zeros(3), torch.zeros(4))


def test_sliced_wasserstein_of_a_shift_is_its_mean_projection():
    x = normal(200, 2)
    shift = torch.tensor([3.0, 4.0], dtype=torch.double)
    # |cos| averages 2/π over the directions of the plane
    assert metrics.sliced_wasserstein(x, x + shift, directions=4096) == pytest.approx(5 * 2 / math.pi, rel=0.02)
    assert metrics.sliced_wasserstein(x, x.flip(0)) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="same shape"):
        metrics.sliced_wasserstein(x, x[:-1])


@pytest.mark.parametrize("d", [1, 2])
def test_kernel_density_agrees_with_scipy(d):
    samples, points = normal(300, d), normal(50, d, seed=3)
    bandwidth, density = 0.4, scipy.stats.multivariate_normal.pdf
    expected = [density((samples - point).numpy(), mean=[0] * d, cov=bandwidth**2).mean() for point in points]
    torch.testing.assert_close(metrics.kernel_density(samples, points, bandwidth), torch.tensor(expected).double())


def test_the_largest_gap_counts_the_ends():
    assert metrics.largest_gap(torch.tensor([2.0, 3.0, 11.0]), 0, 6) == pytest.approx(3)
    assert metrics.largest_gap(torch.tensor([0.5, 1.0]), 0, 1.2) == pytest.approx(0.5)
    assert metrics.largest_gap(torch.tensor([]), 0, 6) == pytest.approx(6)


def test_frechet_distance_of_known_gaussians():
    a = normal(20_000, 3)
    a = (a - a.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(a.T))).T  # exactly N(0, I)
    b = 2 * a + torch.tensor([1.0, 0.0, 2.0], dtype=torch.double)
    # |mean|² + tr(I + 4 I − 2 · 2 I)
    assert metrics.frechet_distance(a, b) == pytest.approx(5 + 3)
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_agrees_with_the_matrix_square_root():
    a, b = normal(400, 4, 1), normal(400, 4, 2) @ normal(4, 4, 3)
    cov_a, cov_b = torch.cov(a.T).numpy(), torch.cov(b.T).numpy()
    expected = ((a.mean(0) - b.mean(0)).square().sum().item()
                + (cov_a + cov_b - 2 * scipy.linalg.sqrtm(cov_a @ cov_b).real).trace())
    assert metrics.frechet_distance(a, b) == pytest.approx(expected)


def test_nearest_agrees_with_all_distances():
    queries, references = normal(700, 5, 1).float(), normal(90, 5, 2).float()
    distance, index = metrics.nearest(queries, references)
    expected = torch.cdist(queries, references).min(1)
    torch.testing.assert_close(distance, expected.values, atol=1e-3, rtol=1e-3)
    assert torch.equal(index, expected.indices)


def test_class_shares_and_their_divergence():
    shares = metrics.class_shares(torch.tensor([0, 0, 1, 3]), 4)
    assert shares.tolist() == [0.5, 0.25, 0, 0.25]
    even = torch.full((4,), 0.25, dtype=torch.double)
    assert metrics.kl_divergence(shares, even) == pytest.approx(0.5 * math.log(2))
    assert metrics.kl_divergence(even, shares) == math.inf
