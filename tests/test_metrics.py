import math

import pytest
import scipy.linalg
import scipy.spatial
import scipy.stats
import torch
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors

from ganlib import metrics


def normal(n: int, d: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def test_wasserstein_1_of_a_shift_is_the_shift_and_others_agree_with_scipy():
    a, b = normal(500, seed=1), 2 * normal(500, seed=2) + 1
    assert metrics.wasserstein_1(a, a + 2.5) == pytest.approx(2.5)
    expected = scipy.stats.wasserstein_distance(a.flatten().numpy(), b.flatten().numpy())
    assert metrics.wasserstein_1(a, b) == pytest.approx(expected)
    assert metrics.wasserstein_1(a.flatten(), b) == pytest.approx(expected)


def test_wasserstein_1_needs_equal_sizes():
    with pytest.raises(ValueError, match="same shape"):
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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_frechet_distance_agrees_with_the_matrix_square_root(dtype):
    a, b = normal(400, 4, 1), normal(400, 4, 2) @ normal(4, 4, 3)
    cov_a, cov_b = torch.cov(a.T).numpy(), torch.cov(b.T).numpy()
    expected = ((a.mean(0) - b.mean(0)).square().sum().item()
                + (cov_a + cov_b - 2 * scipy.linalg.sqrtm(cov_a @ cov_b).real).trace())
    assert metrics.frechet_distance(a.to(dtype), b.to(dtype)) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_features_that_do_not_vary_is_finite():
    a, b = (normal(100, 6, seed) * torch.tensor([1, 1, 0, 0, 0, 0]) for seed in (1, 2))
    assert metrics.frechet_distance(a, b) == pytest.approx(metrics.frechet_distance(a[:, :2], b[:, :2]), abs=1e-6)
    assert metrics.frechet_distance(torch.zeros(9, 3), torch.ones(9, 3)) == pytest.approx(3)


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


def test_kernel_distance_agrees_with_the_plain_formula():
    """With subsets of all features no draw matters: Bińkowski et al. 2018, eq. 4, by scikit-learn's kernel."""
    a, b = normal(60, 5, 1), normal(60, 5, 2) + 0.3

    def kernel(x, y):
        return polynomial_kernel(x.numpy(), y.numpy(), degree=3, gamma=1 / 5, coef0=1)

    def of_pairs(k):
        return sum(k[i, j] for i in range(60) for j in range(60) if i != j) / (60 * 59)

    expected = of_pairs(kernel(a, a)) + of_pairs(kernel(b, b)) - 2 * kernel(a, b).mean()
    assert metrics.kernel_distance(a, b, subsets=2, subset_size=60) == pytest.approx(expected)


def test_kernel_distance_is_unbiased():
    a, b = normal(1_500, 3), normal(1_500, 3, seed=5)
    assert metrics.kernel_distance(a, b, subsets=50, subset_size=100) == pytest.approx(0, abs=0.05)
    # one dimension, all at 1 against all at 2: E k(1,1) + E k(2,2) − 2 E k(1,2) with k(x, y) = (xy + 1)³
    ones = torch.ones(1_000, 1)
    assert metrics.kernel_distance(ones, 2 * ones, subsets=2) == pytest.approx(8 + 125 - 2 * 27)


def test_kernel_distance_leaves_the_random_state_alone_and_repeats_itself():
    a, b = normal(1_200, 3), normal(1_200, 3, seed=5)
    before = torch.get_rng_state()
    assert metrics.kernel_distance(a, b, subsets=3) == metrics.kernel_distance(a, b, subsets=3)
    assert torch.equal(before, torch.get_rng_state())


def test_kernel_distance_needs_as_many_features_as_a_subset_has():
    with pytest.raises(ValueError, match="subsets of 1000 cannot be drawn from 60 and 1000 features"):
        metrics.kernel_distance(torch.zeros(60, 2), torch.zeros(1_000, 2))


def test_overlap_of_manifolds_agrees_with_nearest_neighbours():
    real, fake, k = normal(300, 3, 1).numpy(), normal(250, 3, 2).numpy() * 0.7 + 0.5, 5
    real_radius = NearestNeighbors(n_neighbors=k + 1).fit(real).kneighbors(real)[0][:, -1]
    fake_radius = NearestNeighbors(n_neighbors=k + 1).fit(fake).kneighbors(fake)[0][:, -1]
    distance = scipy.spatial.distance.cdist(fake, real)
    inside = distance < real_radius
    expected = {"precision": inside.any(1).mean(), "recall": (distance < fake_radius[:, None]).any(0).mean(),
                "density": inside.sum() / (k * len(fake)), "coverage": inside.any(0).mean()}
    measured = metrics.precision_recall_density_coverage(torch.from_numpy(real), torch.from_numpy(fake), k)
    assert measured == pytest.approx(expected)


def test_a_point_on_the_border_of_a_ball_is_inside():
    """Kynkäänniemi et al. 2019, eq. 1: at most as far as the k-th neighbour."""
    real, fake = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[3.0], [4.0], [-1.0]])
    found = metrics.precision_recall_density_coverage(real, fake, k=1)
    assert found["precision"] == pytest.approx(2 / 3)  # 3 and -1 are one step from a real point, 4 is two
    assert found["recall"] == 1  # 3 reaches to 2, and -1 to 3


def test_copies_of_one_point_are_in_each_others_balls():
    found = metrics.precision_recall_density_coverage(torch.zeros(9, 2), torch.zeros(9, 2), k=3)
    assert found["precision"] == found["recall"] == found["coverage"] == 1


def test_overlap_of_the_same_and_of_strangers():
    a = normal(200, 2)
    assert metrics.precision_recall_density_coverage(a, a)["coverage"] == 1
    assert metrics.precision_recall_density_coverage(a, a + 100) == {"precision": 0, "recall": 0, "density": 0,
                                                                     "coverage": 0}
    with pytest.raises(ValueError, match="5-th nearest neighbour; give more"):
        metrics.precision_recall_density_coverage(a[:5], a)


def test_modes_of_a_mixture():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    ideal = centres.repeat(5_000, 1) + 0.1 * torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    found = metrics.modes(ideal, centres, 0.1)
    assert found["modes"] == 4
    assert found["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.003)  # a 2-D Gaussian within 3σ: 98.9%
    assert found["width"] == pytest.approx(0.97, abs=0.01)  # cut off at 3σ
    assert found["reverse_kl"] == pytest.approx(0, abs=1e-9)
    half = torch.cat([centres[:1].repeat(300, 1), centres[1:2].repeat(100, 1), torch.full((100, 2), 5.1)])
    found = metrics.modes(half, centres, 0.1)
    assert found["modes"] == 2
    assert found["high_quality"] == pytest.approx(0.8)
    assert found["width"] == 0
    assert metrics.modes(half[-100:], centres, 0.1)["width"] == 0
    shares = [0.6, 0.2, 0.2]
    assert found["reverse_kl"] == pytest.approx(sum(p * math.log(4 * p) for p in shares))


def test_no_measure_depends_on_the_default_dtype_or_device():
    a, b = torch.linspace(-1, 1, 120).view(60, 2).sin(), torch.linspace(-1, 2, 120).view(60, 2).cos()
    centres, labels = b[:3], torch.arange(5)

    def all_of_them() -> list:
        return [
            metrics.wasserstein_1(a, b), metrics.sliced_wasserstein(a, b), metrics.kernel_density(a, b, 0.3).tolist(),
            metrics.largest_gap(a[:, 0], -1, 1), metrics.frechet_distance(a, b), metrics.kernel_distance(a, b, 2, 50),
            metrics.precision_recall_density_coverage(a, b), metrics.modes(a, centres, 0.2),
            metrics.nearest(a, b)[0].tolist(), metrics.class_shares(labels, 5).tolist()]

    expected = all_of_them()
    torch.set_default_dtype(torch.float16)
    torch.set_default_device("meta")
    try:
        found = all_of_them()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert found == expected


def test_the_density_map_is_the_density_at_its_places():
    samples = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    x, y = torch.linspace(-2, 2, 7), torch.linspace(-1, 3, 5)
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).view(-1, 2)
    found = metrics.kernel_density_map(samples, x, y, 0.3)
    assert found.shape == (5, 7)
    torch.testing.assert_close(found.flatten(), metrics.kernel_density(samples, places, 0.3))
