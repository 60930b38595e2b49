import math

import numpy
import pytest
import torch

from ganlib import sampling


def test_a_seed_names_a_latent_whatever_its_company():
    alone, among = sampling.latents([7], 20), sampling.latents(range(100), 20)
    assert torch.equal(alone[0], among[7])
    assert not torch.equal(among[7], among[8])


def test_latents_are_the_same_next_year():
    # the CPU generator's numbers for seed 7, as they were when the shipped weights' pictures were first shown
    torch.testing.assert_close(sampling.latents([7], 3), torch.tensor([[-0.1468, 0.7861, 0.9468]]), atol=1e-4, rtol=0)


def test_latents_are_standard_normal():
    z = sampling.latents(range(2000), 10)
    assert z.mean().item() == pytest.approx(0, abs=0.03)
    assert z.std().item() == pytest.approx(1, abs=0.03)


def test_a_one_hot_part_is_a_fair_choice_that_keeps_the_scale():
    z, plain = sampling.noise(1, 8_000, 12, codes=4), sampling.noise(1, 8_000, 12)
    choice, rest = z[:, :4], z[:, 4:]
    assert choice.sort(dim=1).values.unique(dim=0).tolist() == [[0, 0, 0, 2]]
    assert (choice > 0).float().mean(0).tolist() == pytest.approx([0.25] * 4, abs=0.02)
    assert torch.equal(rest, plain[:, 4:])
    assert z.square().mean().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(sampling.latents([5], 12, 4)[0], sampling.latents([4, 5], 12, 4)[1])


def test_drawing_leaves_the_processs_random_state_alone():
    before = torch.get_rng_state()
    sampling.latents([1], 4), sampling.noise(1, 4, 4), sampling.labels([1], 10)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("seeds", [[-1], [2**32], [1.5], ["7"], [True], [None], [], 7, torch.tensor([1.5, 2.7]),
                                   numpy.zeros((2, 2), int)])
def test_a_bad_seed_is_refused(seeds):
    with pytest.raises(ValueError, match="seed"):
        sampling.latents(seeds, 4)


def test_seeds_may_come_as_any_integers():
    expected = sampling.latents([1, 2], 4)
    for seeds in (numpy.array([1, 2]), torch.tensor([1, 2]), (numpy.int64(1), 2), iter([1, 2])):
        assert torch.equal(sampling.latents(seeds, 4), expected)


def test_the_labels_of_seeds_are_spread_over_the_classes():
    labels = sampling.labels(range(1000), 10)
    assert torch.bincount(labels, minlength=10).min() > 60
    assert labels[7] == sampling.labels([7], 10)[0]


def test_truncation_scales_towards_the_mean():
    z = sampling.latents([1], 5)
    assert torch.equal(sampling.truncate(z, 1.0), z)
    assert torch.equal(sampling.truncate(z, 0), torch.zeros_like(z))
    torch.testing.assert_close(sampling.truncate(z, 0.5), z / 2)


def test_truncation_leaves_a_choice_as_it_is():
    z = sampling.latents(range(5), 6, codes=3)
    pulled = sampling.truncate(z, 0.5, codes=3)
    assert torch.equal(pulled[:, :3], z[:, :3])
    torch.testing.assert_close(pulled[:, 3:], z[:, 3:] / 2)


@pytest.mark.parametrize("psi", [-0.1, 2.1, math.nan, "1", None])
def test_a_bad_truncation_is_refused(psi):
    with pytest.raises(ValueError, match="truncation must be a number from 0 to 2"):
        sampling.truncate(torch.zeros(1, 2), psi)


def test_slerp_keeps_to_the_arc():
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    torch.testing.assert_close(sampling.slerp(a, b, 0.5), torch.tensor([math.sqrt(0.5), math.sqrt(0.5)]))
    torch.testing.assert_close(sampling.slerp(a, b, 1 / 3), torch.tensor([math.cos(math.pi / 6), 0.5]))
    torch.testing.assert_close(sampling.slerp(a, 3 * b, 0.5).norm(), torch.tensor(2.0))
    assert sampling.lerp(a, b, 0.5).norm() < sampling.slerp(a, b, 0.5).norm()


@pytest.mark.parametrize("b", [[2.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_slerp_without_an_arc_is_lerp(b):
    a, b = torch.tensor([1.0, 0.0]), torch.tensor(b)
    torch.testing.assert_close(sampling.slerp(a, b, 0.25), sampling.lerp(a, b, 0.25))


@pytest.mark.parametrize("between", [sampling.lerp, sampling.slerp])
def test_a_walk_passes_exactly_through_its_points(between):
    points = sampling.latents([1, 2, 3], 6)
    path = sampling.walk(points, 5, between)
    assert path.shape == (9, 6)
    assert torch.equal(path[[0, 4, 8]], points)
    legs = (path[1:5] - path[:4]).norm(dim=1)
    assert legs.max() < 2 * legs.min()


def test_a_grid_has_its_corners():
    corners = sampling.latents(range(4), 6)
    grid = sampling.grid(corners, 3, 4).view(3, 4, 6)
    assert torch.equal(torch.stack([grid[0, 0], grid[0, -1], grid[-1, 0], grid[-1, -1]]), corners)


@pytest.mark.parametrize("steps", [1, 0, -3, 2.5, True])
def test_a_walk_of_fewer_than_two_steps_is_refused(steps):
    with pytest.raises(ValueError, match="steps must be a whole number of at least 2"):
        sampling.walk(torch.zeros(2, 3), steps)


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(ValueError, match="lerp or slerp"):
        sampling.interpolation("cubic")
