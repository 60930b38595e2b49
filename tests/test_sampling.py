import math
from fractions import Fraction

import numpy
import pytest
import scipy.stats
import torch

from ganlib import sampling
from ganlib.networks import SoftChoice

# NumPy promises that RandomState's stream never changes (NEP 19)
PINNED = {
    0: [
        1.7641, 0.4002, 0.9787, 2.2409, 1.8676, -0.9773, 0.9501, -0.1514, -0.1032, 0.4106,
        0.1440, 1.4543, 0.7610, 0.1217, 0.4439, 0.3337, 1.4941, -0.2052, 0.3131, -0.8541,
        -2.5530, 0.6536, 0.8644, -0.7422, 2.2698, -1.4544, 0.0458, -0.1872, 1.5328, 1.4694,
        0.1549, 0.3782, -0.8878, -1.9808, -0.3479, 0.1563, 1.2303, 1.2024, -0.3873, -0.3023,
        -1.0486, -1.4200, -1.7063, 1.9508, -0.5097, -0.4381, -1.2528, 0.7775, -1.6139, -0.2127,
        -0.8955, 0.3869, -0.5108, -1.1806, -0.0282, 0.4283, 0.0665, 0.3025, -0.6343, -0.3627,
        -0.6725, -0.3596, -0.8131, -1.7263, 0.1774, -0.4018, -1.6302, 0.4628, -0.9073, 0.0519,
        0.7291, 0.1290, 1.1394, -1.2348, 0.4023, -0.6848, -0.8708, -0.5788, -0.3116, 0.0562,
        -1.1651, 0.9008, 0.4657, -1.5362, 1.4883, 1.8959, 1.1788, -0.1799, -1.0708, 1.0545,
        -0.4032, 1.2224, 0.2083, 0.9766, 0.3564, 0.7066, 0.0105, 1.7859, 0.1269, 0.4020,
    ],
    2**32 - 1: [
        0.6484, 0.6693, -1.0805, 0.2845, 0.1139, 0.8676, -0.0440, 0.2488, -0.9882, -0.5459,
        -0.0262, 1.0044, 0.6444, -1.3854, 0.4201, 1.4332, 0.0861, -0.4013, 1.0523, 0.0323,
        -0.1464, -0.9462, -0.0936, 1.3370, 0.4313, 1.3552, 1.4096, -1.3386, -1.0799, -0.5209,
        -0.0275, -0.9222, 0.1024, 0.2492, -0.5792, -1.2786, 0.7977, 0.6666, 0.9282, -1.1290,
        0.5078, 0.0552, -0.4739, 0.4130, 1.2273, 0.4848, -1.3511, -2.0139, -1.1597, 0.0304,
        -0.7416, -0.1130, 2.0363, -0.8131, 0.1987, -1.6176, -2.1264, -0.6950, 1.9290, -0.2135,
        0.8961, 0.1629, -0.7345, -0.0705, 0.8185, -0.2841, 0.4751, -0.7840, 0.6579, 1.5740,
        0.8219, 0.2938, 0.0118, 0.5708, 0.9272, -2.5659, 0.5449, -1.0501, 1.7316, -2.0010,
        -0.8546, 0.6205, -1.7167, -0.0207, -0.4715, -1.6364, 1.9047, 0.9370, -1.2752, 0.6353,
        -0.8883, -0.9357, 0.5952, 1.5433, -1.2209, -1.3176, -0.5662, -0.6917, -1.1167, -0.0991,
    ],
}


@pytest.mark.parametrize("seed", PINNED)
def test_a_seed_names_these_numbers_for_ever(seed):
    pinned = torch.tensor(PINNED[seed])
    torch.testing.assert_close(sampling.latents([seed], 100)[0], pinned, atol=1e-4, rtol=0)
    torch.testing.assert_close(sampling.latents([seed], 3)[0], pinned[:3], atol=1e-4, rtol=0)
    torch.testing.assert_close(sampling.noise(seed, 5, 20).flatten(), pinned, atol=1e-4, rtol=0)


def test_a_seed_picks_this_label_for_ever():
    assert sampling.labels(range(10), 10).tolist() == [7, 1, 8, 5, 9, 6, 8, 9, 1, 0]


def test_a_seed_names_a_latent_whatever_its_company():
    alone, among = sampling.latents([7], 20), sampling.latents(range(100), 20)
    assert torch.equal(alone[0], among[7])
    assert not torch.equal(among[7], among[8])


def test_latents_are_standard_normal():
    for z in (sampling.latents(range(1_000), 10), sampling.noise(1, 1_000, 10)):
        assert scipy.stats.kstest(z.flatten().numpy(), "norm").pvalue > 0.01
        assert torch.corrcoef(z.T).fill_diagonal_(0).abs().max() < 0.1


def test_points_halfway_between_latents_are_distributed_as_latents_are():
    """In each number, in length, and in how sharp a soft choice they make."""
    a, b = sampling.noise(1, 1_000, 100), sampling.noise(2, 1_000, 100)
    halfway = torch.stack([sampling.slerp(*ends, 0.5) for ends in zip(a, b)])
    assert scipy.stats.kstest(halfway[:, :10].flatten().numpy(), "norm").pvalue > 0.01
    assert halfway.norm(dim=1).mean().item() == pytest.approx(a.norm(dim=1).mean().item(), rel=0.01)
    choice = SoftChoice(32, 16.0)
    sharpness = [choice(z)[:, :32].max(1).values.numpy() for z in (halfway, a)]
    assert scipy.stats.ks_2samp(*sharpness).pvalue > 0.01
    straight = torch.stack([sampling.lerp(*ends, 0.5) for ends in zip(a, b)])
    assert straight.norm(dim=1).mean() < 0.75 * a.norm(dim=1).mean()


def test_a_seeds_latent_says_nothing_of_its_label():
    z, y = sampling.latents(range(1_000), 1)[:, 0], sampling.labels(range(1_000), 10)
    groups = [z[y == label].numpy() for label in range(10)]
    assert scipy.stats.f_oneway(*groups).pvalue > 0.01


def test_drawing_leaves_every_random_state_alone():
    before, numpys = torch.get_rng_state(), numpy.random.get_state()[1].copy()
    sampling.latents([1], 4), sampling.noise(1, 4, 4), sampling.labels([1], 10)
    assert torch.equal(before, torch.get_rng_state())
    assert (numpys == numpy.random.get_state()[1]).all()


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
    labels = sampling.labels(range(500), 10)
    assert torch.bincount(labels, minlength=10).min() > 25
    assert labels[7] == sampling.labels([7], 10)[0]


def test_truncation_scales_towards_the_mean():
    z = sampling.latents([1], 5)
    assert torch.equal(sampling.truncate(z, 1.0), z)
    torch.testing.assert_close(sampling.truncate(z, 0.5), z / 2)
    torch.testing.assert_close(sampling.truncate(z, 0), torch.zeros_like(z), atol=1e-3, rtol=0)


@pytest.mark.parametrize("psi", [numpy.float32(0.5), numpy.array(0.5), torch.tensor(0.5), Fraction(1, 2)])
def test_a_truncation_may_come_as_any_number(psi):
    z = sampling.latents([1], 5)
    assert torch.equal(sampling.truncate(z, psi), z / 2)


@pytest.mark.parametrize("psi", [-0.1, 2.1, math.nan, "1", None, True, 1j, [1.0]])
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


@pytest.mark.parametrize("method", ["cubic", None, ["slerp"]])
def test_an_unknown_interpolation_is_refused(method):
    with pytest.raises(ValueError, match="lerp or slerp"):
        sampling.interpolation(method)


@pytest.mark.parametrize("method", sampling.INTERPOLATIONS)
def test_a_path_passes_its_points_and_has_no_hole_even_between_equal_and_opposite_ones(method):
    a, b = sampling.latents([1, 2], 50)
    points = torch.stack([a, a, -a, b, torch.zeros(50), b])
    positions = [i / 20 for i in range(101)]
    path = sampling.along(points, positions, sampling.interpolation(method))
    assert path.isfinite().all()
    torch.testing.assert_close(path[::20], points, atol=1e-5, rtol=0)
    torch.testing.assert_close(path[30], torch.zeros(50), atol=1e-5, rtol=0)  # opposite ones have no arc
    assert path.diff(dim=0).norm(dim=1).max() < 2.5 * a.norm() / 20 * math.pi / 2


def test_a_latent_goes_through_its_text_rounded_to_float16():
    for seed, size in ((1, 1), (2, 2), (3, 3), (4, 64), (5, 100)):
        (z,) = sampling.latents([seed], size)
        text = sampling.latent_to_text(z)
        found = sampling.latent_from_text(text, size)
        assert torch.equal(found, z.half().float())
        assert found.dtype == torch.float32
        assert sampling.latent_to_text(found) == text
    assert len(text) == 267
    assert sampling.latent_to_text(torch.tensor([1.0, -2.0, 100.0, 0.1])) == "ADwAwEBWZi4"  # for ever


@pytest.mark.parametrize(("text", "sentence"), [
    ("ADwAwEBWZi4=", "has letters, digits, - and _ alone"), ("ADwAwEBWZi+", "has letters, digits, - and _ alone"),
    ("ADwAwEBWZi4\n", "has letters"), ("ADwAwEBWZié", "has letters"), (None, "not None"), ([], "not"),
    ("", "of 4 numbers has 11 characters, not 0"), ("ADwAwEBWZi", "not 10"), ("A" * 10**5, "not 100000"),
    ("AHwAwEBWZi4", "the numbers of a latent must be from -100 to 100"),  # infinity
    ("AH4AwEBWZi4", "the numbers of a latent must be"), ("AH0AwEBWZi4", "the numbers of a latent must be"),  # NaN
    ("QVYAwEBWZi4", "the numbers of a latent must be"),  # 100.06
    *((f"ADwAwEBWZi{last}", f"the text of a latent of 4 numbers cannot end in {last}") for last in "567")])  # two bits
def test_another_text_is_no_latent(text, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        sampling.latent_from_text(text, 4)
    assert len(str(caught.value)) < 200


def test_a_latent_may_be_an_array_or_a_list():
    for z in (numpy.array([1.0, -2.0]), [1, -2], (1.0, -2.0), torch.tensor([1, -2]),
              torch.tensor([1.0, -2.0], requires_grad=True)):
        assert sampling.latent_to_text(z) == "ADwAwA"


@pytest.mark.parametrize("z", [None, "abc", ["a"], [[1.0], [1.0, 2.0]], {}, 5, [], torch.zeros(2, 2),
                               torch.tensor(1.0)])
def test_what_is_no_latent_is_refused(z):
    with pytest.raises(ValueError, match=r"a latent must be numbers \(D,\), not "):
        sampling.latent_to_text(z)


@pytest.mark.parametrize("z", [torch.full((3,), 101.0), torch.tensor([math.nan]), torch.tensor([-math.inf])])
def test_a_latent_without_a_text_is_refused(z):
    with pytest.raises(ValueError, match="the numbers of a latent must be from -100 to 100"):
        sampling.latent_to_text(z)


def test_slerp_does_not_depend_on_autocast():
    a, b = sampling.latents([1, 2], 100)
    expected = sampling.slerp(a, b, 0.3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sampling.slerp(a, b, 0.3), expected)


def test_arithmetic_gives_the_difference_to_another_latent_at_the_norm_of_noise():
    a, b, c = (sampling.latents(seeds, 100) for seeds in ([1, 2], [3, 4], [5, 6]))
    found = sampling.arithmetic(a, b, c)
    torch.testing.assert_close(found.norm(dim=1), torch.full((2,), 10.0))
    torch.testing.assert_close(torch.cosine_similarity(found, a - b + c), torch.ones(2))
    assert torch.equal(sampling.arithmetic(a[0], b[0], c[0]), found[0])
    torch.testing.assert_close(sampling.arithmetic(a, a, c), c * 10 / c.norm(dim=1, keepdim=True))
    assert torch.equal(sampling.arithmetic(a[0], a[0], c[0] * 0), torch.zeros(100))
