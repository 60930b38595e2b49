"""Toy distributions: samples follow the density, and densities are exact, also when smoothed."""

import math

import pytest
import torch

import ganlib
from ganlib import metrics, toys
from ganlib.data import DATASETS
from ganlib.lab import TARGETS, Settings, open_target

POINTS = [name for name, target in TARGETS.items() if target.kind != "digits"]


def target(name: str) -> toys.Points:
    return open_target(Settings.of({"target": name}))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def places(data: toys.Points, n: int) -> tuple[torch.Tensor, float]:
    """The middles of n cells a side over the extent, and a cell's size."""
    axes = [low + (high - low) * (torch.arange(n) + 0.5) / n for low, high in zip(data.extent[::2], data.extent[1::2])]
    size = math.prod((high - low) / n for low, high in zip(data.extent[::2], data.extent[1::2]))
    return torch.cartesian_prod(*axes).view(-1, len(axes)), size


@pytest.mark.parametrize("name", POINTS)
def test_samples_follow_the_smoothed_density(name):
    data = target(name)
    x, y = data.batch(20_000, rng())
    assert (x.shape, x.dtype, y) == ((20_000, *data.shape), torch.float32, None)
    x = x + data.bandwidth * torch.randn(x.shape, generator=rng(1))
    grid, size = places(data, 1_000 if data.shape == (1,) else 100)
    density = data.density(grid, data.bandwidth)
    assert (density.sum() * size).item() == pytest.approx(1, abs=0.01)
    # in 20 strips along each axis as many samples as the density says
    for axis, (low, high) in enumerate(zip(data.extent[::2], data.extent[1::2])):
        edges = torch.linspace(low, high, 21)
        inside = (x[:, axis] > low) & (x[:, axis] < high)
        found = torch.histogram(x[inside, axis], edges).hist / len(x)
        strips = ((grid[:, axis] - low) / (high - low) * 20).long()
        expected = torch.zeros(20).index_add_(0, strips, density * size)
        torch.testing.assert_close(found, expected, atol=0.012, rtol=0)


@pytest.mark.parametrize("name", POINTS)
def test_smoothing_is_a_convolution_with_a_gaussian(name):
    data = target(name)
    at, _ = data.batch(6, rng(2))
    noise = torch.randn(6_000, *data.shape, generator=rng(3)) * 0.3
    narrow = 0.1  # a curve has no density without any
    average = torch.stack([data.density(x - noise, narrow).mean() for x in at])
    torch.testing.assert_close(data.density(at, math.hypot(narrow, 0.3)), average, rtol=0.15, atol=0.01)


def test_unsmoothed_densities_have_their_values():
    assert toys.UNIFORM.density(torch.tensor([[0.0], [0.99], [1.01]])).tolist() == [0.5, 0.5, 0]
    found = toys.Exponential().density(torch.tensor([[-0.1], [0.0], [1.0]]))
    assert found.tolist() == pytest.approx([0, 1, math.exp(-1)])
    board = toys.CHECKERBOARD.density(torch.tensor([[0.5, 0.5], [0.5, -0.5], [3.0, 0.0]]))
    assert board.tolist() == [1 / 8, 0, 0]
    with pytest.raises(ValueError, match="bandwidth above 0"):
        toys.Sine().density(torch.zeros(1, 2))


@pytest.mark.parametrize(("data", "noise"), [(toys.Moons(), 0.06), (toys.Spiral(), 0.05)])
def test_points_of_a_curve_are_as_far_from_it_as_their_noise(data, noise):
    x, _ = data.batch(2_000, rng())
    distance, _ = metrics.nearest(x, data.at(torch.linspace(0, 1, 4_000)))
    # along the curve the noise cannot be seen
    assert distance.square().mean().sqrt().item() == pytest.approx(noise, rel=0.1)
    assert data.curve(10) is None


def test_the_spiral_is_evenly_spread_over_its_length():
    steps = toys.Spiral().at(torch.linspace(0.2, 1, 2_000)).diff(dim=0).norm(dim=1)
    assert steps.max() < 1.15 * steps.min()


def test_a_drawn_line_has_the_drawn_heights():
    data = toys.drawn_line([0, 1, 3, 0])
    x, _ = data.batch(40_000, rng())
    counts = torch.histogram(x.flatten(), torch.tensor([-3.0, -1.5, 0.0, 1.5, 3.0])).hist / len(x)
    assert counts.tolist() == pytest.approx([0, 0.25, 0.75, 0], abs=0.01)


def test_a_drawn_cloud_is_blurred_points_and_has_no_modes():
    data = toys.drawn_cloud([(0.5, -0.5), (-0.25, 0.75)])
    x, _ = data.batch(4_000, rng())
    distance, index = metrics.nearest(x, torch.tensor([[0.5, -0.5], [-0.25, 0.75]]))
    assert distance.square().mean().sqrt().item() == pytest.approx(0.04 * math.sqrt(2), rel=0.05)
    assert index.float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert data.measure(x) == {}


def test_boxes_without_weight_are_refused():
    for weights in ((0.0, 0.0), (1.0, -1.0), (1.0,)):
        with pytest.raises(ValueError, match="boxes need a weight each"):
            toys.Boxes("odd", (((0.0, 1.0),), ((1.0, 2.0),)), weights, 0.1, (0.0, 2.0), "")


@pytest.mark.parametrize("name", ["two-bumps", "uniform", "exponential", "moons", "spiral", "checkerboard"])
def test_a_recipe_can_be_trained_on_each_by_name(name):
    data = DATASETS[name]()
    assert data.name == name
    recipe = ganlib.RECIPES["toy-gaussian" if data.shape == (1,) else "toy-sine"]
    ganlib.training.check_fit(recipe.build(data.shape, None), data)
    assert data.truth
    assert data.fingerprint()["data"]
