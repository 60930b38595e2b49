import math

import pytest
import torch
from torch import nn

from ganlib.losses import LOSSES, PENALTIES, PLACES

LOGITS = torch.randn(64, generator=torch.Generator().manual_seed(0)) * 3, torch.linspace(-5, 5, 64)


def test_the_logistic_losses_are_minus_log_sigmoid():
    real, fake = LOGITS
    loss = LOSSES["non-saturating"]
    d_expected = -(torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(fake)).log().mean()) / 2
    torch.testing.assert_close(loss.discriminator(real, fake), d_expected)
    torch.testing.assert_close(loss.generator(None, fake), -torch.sigmoid(fake).log().mean())


def test_they_agree_with_the_frameworks_bce():
    real, fake = LOGITS
    bce = nn.functional.binary_cross_entropy_with_logits
    expected = (bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))) / 2
    torch.testing.assert_close(LOSSES["non-saturating"].discriminator(real, fake), expected)


@pytest.mark.parametrize("name", ["non-saturating", "relativistic"])
def test_both_losses_are_ln_2_where_the_discriminator_cannot_tell(name):
    zeros = torch.zeros(8)
    assert LOSSES[name].discriminator(zeros, zeros).item() == pytest.approx(math.log(2))
    assert LOSSES[name].generator(zeros, zeros).item() == pytest.approx(math.log(2))


def test_the_minimax_form_is_the_discriminators_loss_turned_round():
    _, fake = LOGITS
    torch.testing.assert_close(LOSSES["saturating"].generator(None, fake), (1 - torch.sigmoid(fake)).log().mean())


def test_the_minimax_gradient_vanishes_while_the_discriminator_wins():
    def gradient(name):
        logits = torch.tensor([-10.0], requires_grad=True)
        LOSSES[name].generator(None, logits).backward()
        return logits.grad.abs().item()

    assert gradient("saturating") < 1e-4
    assert gradient("non-saturating") > 0.99


@pytest.mark.parametrize("name", LOSSES)
def test_each_side_gains_by_its_own_success(name):
    low, high = torch.full((8,), -0.5), torch.full((8,), 0.5)
    loss = LOSSES[name]
    assert loss.discriminator(high, low) < loss.discriminator(low, high)
    assert loss.generator(low, high) < loss.generator(low, low)


def slopes(name: str, at: float) -> tuple[float, float]:
    """How fast the discriminator's loss, weighted as beside penalties, changes with the real and the fake logits."""
    real, fake = (torch.full((8,), at, requires_grad=True) for _ in range(2))
    (LOSSES[name].weight * LOSSES[name].discriminator(real, fake)).backward()
    return real.grad.sum().item(), fake.grad.sum().item()


@pytest.mark.parametrize(("name", "slope"), [
    ("non-saturating", 0.5), ("saturating", 0.5), ("relativistic", 0.5), ("hinge", 1.0), ("wasserstein", 1.0)])
def test_a_penaltys_weight_means_the_same_beside_losses_of_one_kind(name, slope):
    """Mescheder et al. 2018 define γ beside f with f'(0) = 1/2; without a sigmoid the slope is 1."""
    assert slopes(name, at=0.0) == pytest.approx((-slope, slope))


def test_least_squares_pulls_at_the_middle_as_a_critic_does():
    assert slopes("least-squares", at=0.5) == pytest.approx((-0.5, 0.5))


def test_least_squares_hinge_and_wasserstein_by_hand():
    real, fake = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    assert LOSSES["least-squares"].discriminator(real, fake).item() == pytest.approx((0.5 + 2) / 2)
    assert LOSSES["least-squares"].generator(None, fake).item() == pytest.approx((1 + 1) / 2 / 2)
    assert LOSSES["hinge"].discriminator(real, fake).item() == pytest.approx((0.5 + 2) / 2)
    assert LOSSES["hinge"].generator(None, fake).item() == pytest.approx(-1)
    assert LOSSES["wasserstein"].discriminator(real, fake).item() == pytest.approx(1 - 0.5)
    assert LOSSES["wasserstein"].generator(None, fake).item() == pytest.approx(-1)


def test_losses_of_differences_ignore_a_common_offset():
    real, fake = LOGITS
    for name, loss in LOSSES.items():
        shifted = torch.isclose(loss.discriminator(real + 3, fake + 3), loss.discriminator(real, fake), atol=1e-5)
        assert bool(shifted) == (name in {"relativistic", "wasserstein"}), name


def squared_norms(x: torch.Tensor) -> torch.Tensor:
    """A discriminator with a known gradient: ∇|x|² = 2x."""
    return x.flatten(1).square().sum(1)


@pytest.mark.parametrize("shape", [(6, 3), (6, 1, 4, 4)])
@pytest.mark.parametrize(("name", "by_hand"), [
    ("r1", lambda norm: norm**2 / 2), ("r2", lambda norm: norm**2 / 2),
    ("wgan-gp", lambda norm: (norm - 1)**2), ("0-gp", lambda norm: norm**2)])
def test_a_penalty_is_its_formula_for_each_sample(shape, name, by_hand):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gradient_norms = 2 * x.detach().flatten(1).norm(dim=1)
    torch.testing.assert_close(PENALTIES[name].value(x, squared_norms(x)), by_hand(gradient_norms))


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.discriminator_slopes])
def test_the_slopes_of_a_loss_are_those_of_autograd(name):
    loss = LOSSES[name]
    real, fake = (torch.linspace(-3, low, 7).requires_grad_() for low in (4, 2))
    expected = torch.autograd.grad(loss.discriminator(real, fake), [real, fake])
    torch.testing.assert_close(loss.discriminator_slopes(real.detach(), fake.detach()), expected)
    (expected,) = torch.autograd.grad(loss.generator(real.detach(), fake), fake)
    torch.testing.assert_close(loss.generator_slopes(real.detach(), fake.detach()), expected)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_has_gradients_for_the_discriminator_and_is_finite_at_zero_slope(name):
    weight = torch.zeros(3, requires_grad=True)
    x = torch.ones(4, 3, requires_grad=True)
    PENALTIES[name].value(x, (x.square() * weight).sum(1)).mean().backward()
    assert weight.grad.isfinite().all()
    doubled = torch.ones(3, requires_grad=True)
    value = PENALTIES[name].value(x, (x.square() * doubled).sum(1)).mean()
    value.backward()
    assert (doubled.grad > 0).all()


def test_penalties_look_where_their_papers_do():
    real, fake = torch.ones(1_000, 2), torch.full((1_000, 2), 3.0)
    found = {name: PLACES[PENALTIES[name].at](real, fake, torch.Generator().manual_seed(0)) for name in PENALTIES}
    assert torch.equal(found["r1"], real)
    assert torch.equal(found["r2"], fake)
    for name in ("wgan-gp", "0-gp"):
        assert torch.equal(found[name][:, 0], found[name][:, 1])  # one share a sample
        assert found[name].min() < 1.05
        assert found[name].max() > 2.95
        assert found[name].mean() == pytest.approx(2, abs=0.06)
