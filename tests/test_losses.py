import math

import pytest
import torch

from ganlib.losses import LOSSES, zero_centred_penalty

LOGITS = torch.randn(64, generator=torch.Generator().manual_seed(0)) * 3, torch.linspace(-5, 5, 64)


def test_the_logistic_losses_are_minus_log_sigmoid():
    real, fake = LOGITS
    loss = LOSSES["non-saturating"]
    d_expected = -(torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(fake)).log().mean()) / 2
    torch.testing.assert_close(loss.discriminator(real, fake), d_expected)
    torch.testing.assert_close(loss.generator(None, fake), -torch.sigmoid(fake).log().mean())


def test_they_agree_with_the_frameworks_bce():
    real, fake = LOGITS
    bce = torch.nn.functional.binary_cross_entropy_with_logits
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


def test_least_squares_and_hinge_by_hand():
    real, fake = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    assert LOSSES["least-squares"].discriminator(real, fake).item() == pytest.approx((0.5 + 2) / 2)
    assert LOSSES["least-squares"].generator(None, fake).item() == pytest.approx((1 + 1) / 2 / 2)
    assert LOSSES["hinge"].discriminator(real, fake).item() == pytest.approx((0.5 + 2) / 2)
    assert LOSSES["hinge"].generator(None, fake).item() == pytest.approx(-1)


def test_a_paired_loss_ignores_a_common_offset():
    real, fake = LOGITS
    for name, loss in LOSSES.items():
        shifted = torch.isclose(loss.discriminator(real + 3, fake + 3), loss.discriminator(real, fake), atol=1e-5)
        assert bool(shifted) == loss.paired, name


@pytest.mark.parametrize("shape", [(6, 3), (6, 1, 4, 4)])
def test_the_penalty_is_the_squared_gradient_of_each_sample(shape):
    x = torch.randn(shape, requires_grad=True)
    weight = torch.randn(shape[1:])
    logits = (x * weight).flatten(1).sum(1)
    expected = weight.square().sum().expand(6)
    torch.testing.assert_close(zero_centred_penalty(x, logits), expected)
