import json
import math
from dataclasses import asdict

import numpy
import pytest
import scipy.optimize
import torch

from ganlib import calibration
from ganlib.calibration import Calibration, fit
from ganlib.losses import LOSSES


def normal(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed))


def sums(found: Calibration, real: torch.Tensor, fake: torch.Tensor, y: torch.Tensor, classes: int) -> list[float]:
    """The mean probability of real plus that of generated samples, for each class."""
    p, q = found.probability(real, y), found.probability(fake, y)
    return [(p[y == label].double().mean() + q[y == label].double().mean()).item() for label in range(classes)]


@pytest.mark.parametrize("fit_scale", [False, True])
def test_within_each_class_the_means_of_real_and_fake_sum_to_1(fit_scale):
    y = torch.arange(600) % 3
    offset = torch.tensor([-4.0, 0.0, 7.0])[y]
    real, fake = normal(600, 0) + 0.5 + offset, normal(600, 1) - 0.5 + offset
    found = fit(real, fake, y, 3, fit_scale)
    assert len(found.offsets) == 3
    assert sums(found, real, fake, y, 3) == pytest.approx([1] * 3, abs=1e-4)
    for_all = fit(real, fake, fit_scale=fit_scale)  # one offset cannot do it
    assert len(for_all.offsets) == 1
    assert max(abs(total - 1) for total in sums(for_all, real, fake, y, 3)) > 0.1


def test_log_odds_get_an_offset_and_keep_their_scale():
    real, fake = 2 * normal(20_000, 0) + 2, 2 * normal(20_000, 1) - 2  # the log-odds of these are x
    found = fit(real + 5, fake + 5)
    assert found.scale == 1
    assert found.offsets == pytest.approx([-5], abs=0.05)


def test_a_fit_has_the_highest_likelihood():
    real, fake = 3 * normal(1_000, 0) + 1, 3 * normal(1_000, 1)
    found = fit(real, fake, fit_scale=True)

    def loss(scale: float, offset: float) -> float:
        return (torch.nn.functional.softplus(-(scale * real + offset)).mean()
                + torch.nn.functional.softplus(scale * fake + offset).mean()).item()

    best = loss(found.scale, found.offsets[0])
    for scale, offset in ((1.02, 0), (0.98, 0), (1, 0.02), (1, -0.02)):
        assert best < loss(found.scale * scale, found.offsets[0] + offset)


@pytest.mark.parametrize("size", [1e-3, 1, 30, 1e3])
@pytest.mark.parametrize("classes", [1, 4])
def test_a_fit_agrees_with_scipys_minimum(classes, size):
    """Also for a Wasserstein critic, whose logits may be large or small."""
    y = torch.arange(200) % classes
    logits = size * torch.cat([normal(200, 0) + 0.5 + 3 * y, normal(200, 1) + 3 * y]).double()
    sign = torch.cat([torch.ones(200), -torch.ones(200)])

    def loss(weights):
        z = torch.from_numpy(weights)
        z = z[0] * logits / size + z[1:][torch.cat([y, y])]
        return torch.nn.functional.softplus(-sign * z).sum().item()

    expected = scipy.optimize.minimize(loss, numpy.zeros(1 + classes), method="Nelder-Mead",
                                       options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 10_000, "maxfev": 10_000}).x
    found = fit(logits[:200], logits[200:], y, classes, fit_scale=True)
    assert found.scale * size == pytest.approx(expected[0], rel=1e-3)
    assert found.offsets == pytest.approx(expected[1:], abs=1e-3)


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if not loss.log_odds])
def test_a_critics_outputs_become_nearly_the_true_probability(name):
    """A linear critic trained by its loss between N(1/2, 1) and N(-1/2, 1), where the log-odds of "real" at x are x."""
    real, fake = normal(4_000, 0) + 0.5, normal(4_000, 1) - 0.5
    slope, offset = torch.tensor(0.1, requires_grad=True), torch.tensor(0.3, requires_grad=True)
    optimizer = torch.optim.Adam([slope, offset], lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        LOSSES[name].discriminator(slope * real + offset, slope * fake + offset).backward()
        optimizer.step()
    x = torch.linspace(-3, 3, 61)
    with torch.no_grad():
        found = fit(slope * real + offset, slope * fake + offset, fit_scale=True)
        calibrated = found.probability(slope * x + offset)
    assert (calibrated - x.sigmoid()).abs().max() < 0.03


DEGENERATE = {
    "all equal": (torch.ones(50), torch.ones(50)),
    "all zero": (torch.zeros(50), torch.zeros(50)),
    "separable": (torch.linspace(1, 2, 50), torch.linspace(-2, -1, 50)),
    "separable and large": (1e6 * torch.linspace(1, 2, 50), 1e6 * torch.linspace(-2, -1, 50)),
    "the wrong way round": (normal(50, 0) - 1, normal(50, 1) + 1),
    "large": (1e6 * (normal(50, 0) + 0.5), 1e6 * normal(50, 1)),
    "small": (1e-6 * (normal(50, 0) + 0.5), 1e-6 * normal(50, 1)),
    "far from zero": (normal(50, 0) + 1e6, normal(50, 1) + 1e6),
    "one of each": (torch.ones(1), torch.zeros(1)),
    "bfloat16": (normal(50, 0).bfloat16(), normal(50, 1).bfloat16()),
}


@pytest.mark.parametrize("fit_scale", [False, True])
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_logits_get_finite_probabilities_that_sum_to_1(name, fit_scale):
    real, fake = DEGENERATE[name]
    found = fit(real, fake, fit_scale=fit_scale)
    assert math.isfinite(found.scale)
    assert all(map(math.isfinite, found.offsets))
    p, q = found.probability(real), found.probability(fake)
    assert p.dtype == torch.float32
    assert (p.mean() + q.mean()).item() == pytest.approx(1, abs=1e-3)


def test_a_scale_keeps_the_order_of_logits():
    real, fake = DEGENERATE["the wrong way round"]
    found = fit(real, fake, fit_scale=True)
    p = found.probability(torch.linspace(-3, 3, 100))
    assert (p.diff() >= 0).all()
    assert (p - 0.5).abs().max() < 0.01  # it knows nothing


def test_a_class_without_samples_gets_an_offset_of_0():
    y = torch.zeros(100, dtype=torch.long)
    assert fit(normal(100, 0) + 3, normal(100, 1) + 3, y, 3).offsets[1:] == (0, 0)


def test_a_description_is_rebuilt():
    for found, classes in ((Calibration(0.5, (1.0,)), None), (Calibration(2.0, (1.0, -1.0)), 2),
                           (Calibration(2.0, (1.0,)), 2)):
        assert calibration.rebuild(json.loads(json.dumps(asdict(found))), classes) == found
    assert calibration.rebuild(None, 10) == Calibration()


@pytest.mark.parametrize(("wrong", "sentence"), [
    ([], "must have a scale and a list of offsets"), ("1", "must have a scale and a list of offsets"),
    ({"scale": 1.0}, "must have a scale and a list of offsets"),
    ({"scale": 1.0, "offsets": [0.0], "kind": "platt"}, "must have a scale and a list of offsets"),
    ({"scale": 1.0, "offsets": 0.0}, "must have a scale and a list of offsets"),
    ({"scale": 0, "offsets": [0.0]}, "the scale of a calibration must be a number above 0, not 0"),
    ({"scale": "1", "offsets": [0.0]}, "the scale of a calibration must be a number"),
    ({"scale": math.inf, "offsets": [0.0]}, "the scale of a calibration must be a number"),
    ({"scale": 1.0, "offsets": []}, "the offsets of a calibration must be a list of numbers"),
    ({"scale": 1.0, "offsets": [math.nan]}, "each offset of a calibration must be a number that is finite"),
    ({"scale": 1.0, "offsets": [None]}, "each offset of a calibration must be a number that is finite"),
    ({"scale": 1.0, "offsets": [0.0, 0.0]}, "calibration has 2 offsets for 3 classes"),
])
def test_a_foreign_calibration_is_refused_in_one_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        calibration.rebuild(wrong, 3)
