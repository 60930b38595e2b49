"""Gradients in closed form are those of autograd."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from ganlib import LOSSES, PENALTIES, Penalty
from ganlib.architectures import ARCHITECTURES
from ganlib.gradients import Chain
from ganlib.losses import half_squared_gradient
from ganlib.recipes import RECIPES
from ganlib.toys import GRID, Gaussian
from ganlib.training import (
    State,
    TrainConfig,
    _latents,
    discriminator_loss,
    draw,
    generator_loss,
    train,
    train_discriminator,
    train_generator,
)

SMALL = TrainConfig(steps=4, batch_size=8)
NARROW = {"generator_channels": (16, 8, 4), "discriminator_channels": (8, 16, 32), "mapping": (16,)}
MLPS = {"generator_widths": (16, 12), "discriminator_widths": (16, 12)}
NETWORKS = {
    "dcgan": replace(ARCHITECTURES["dcgan"], **NARROW),
    "classes": replace(ARCHITECTURES["cdcgan"], **NARROW),
    "dropout": replace(ARCHITECTURES["mlp-gan-classic"], **MLPS),
    "choices": replace(ARCHITECTURES["mlp-gan"], **MLPS, negative_slope=0.2),
    "points": replace(ARCHITECTURES["toy-grid"], **MLPS),
}


def by_autograd(state: State, optimizer: str, loss: torch.Tensor) -> list[torch.Tensor]:
    """The gradients of a loss for the parameters of an optimizer."""
    (group,) = getattr(state, optimizer).param_groups
    return list(torch.autograd.grad(loss, group["params"]))


def check(state: State, optimizer: str, expected: list[torch.Tensor]) -> None:
    """The gradients that the last step took are the expected ones."""
    (group,) = getattr(state, optimizer).param_groups
    largest = max(gradient.abs().max() for gradient in expected)
    for parameter, gradient in zip(group["params"], expected, strict=True):
        assert (parameter.grad - gradient).abs().max() < 1e-4 * largest


@pytest.mark.parametrize("penalties", [{}, {"r1": 1.0, "r2": 0.5}, {"r2": 2.0}, {"wgan-gp": 10.0, "r1": 1.0}],
                         ids=lambda penalties: "+".join(penalties) or "none")
@pytest.mark.parametrize("loss", ["non-saturating", "relativistic", "hinge"])
@pytest.mark.parametrize("name", NETWORKS)
def test_losses_and_gradients_are_those_of_autograd(name, loss, penalties, digits):
    architecture = NETWORKS[name]
    config = replace(SMALL, loss=loss, penalties=penalties, final_penalty=0.5)
    data = GRID if name == "points" else digits
    closed, reference = (State.fresh(architecture, config) for _ in range(2))
    for state in (closed, reference):
        state.step = 2  # the penalties have fallen a little
        for network in (state.generator, state.discriminator):
            network.train()
    assert closed.chains is not None
    real, y = draw(closed, data)
    draw(reference, data)

    d_loss, penalty = discriminator_loss(reference, LOSSES[loss], real.clone(), _latents(reference, architecture), y)
    expected = by_autograd(reference, "discriminator_optimizer", LOSSES[loss].weight * d_loss + penalty)
    torch.testing.assert_close(train_discriminator(closed, architecture, real, y), (d_loss.detach(), penalty.detach()))
    check(closed, "discriminator_optimizer", expected)

    reference.discriminator.load_state_dict(closed.discriminator.state_dict())
    g_loss = generator_loss(reference, LOSSES[loss], real.clone(), _latents(reference, architecture), y)
    expected = by_autograd(reference, "generator_optimizer", g_loss)
    torch.testing.assert_close(train_generator(closed, architecture, real, y), g_loss.detach())
    check(closed, "generator_optimizer", expected)
    assert torch.equal(closed.rng.get_state(), reference.rng.get_state())


def test_a_run_goes_as_by_autograd(monkeypatch):
    """Over some hundred steps, in which rounding grows."""
    def end():
        config = replace(RECIPES["toy-gaussian"].train, steps=200, batch_size=256)
        *_, step = train(ARCHITECTURES["toy-gaussian"], Gaussian(), config)
        return step

    closed = end()
    assert closed.state.chains is not None
    monkeypatch.setattr(State, "chains", None)
    reference = end()
    for a, b in zip(closed.generator.parameters(), reference.generator.parameters()):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-2)
    assert [row["step"] for row in closed.state.history] == [row["step"] for row in reference.state.history]


class Louder(nn.Linear):
    """A layer that computes another thing than the one it is derived from."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_other_networks_are_left_to_autograd():
    state = State.fresh(NETWORKS["points"], SMALL)
    assert Chain.of(nn.Sequential(nn.Linear(2, 1))) is None
    assert Chain.of(State.fresh(NETWORKS["dcgan"], SMALL).generator) is None
    state.discriminator.layers[0] = Louder(2, 16)
    assert Chain.of(state.discriminator) is None
    assert Chain.of(nn.utils.parametrizations.spectral_norm(state.generator.layers[0])) is None
    for change in ({"bfloat16": True}, {"augment": ("flip",)}):
        assert State.fresh(NETWORKS["dcgan"], replace(SMALL, **change)).chains is None
    assert State.fresh(NETWORKS["dcgan"], SMALL).chains is not None


def test_a_penalty_whose_gradient_is_not_known_is_left_to_autograd(monkeypatch):
    monkeypatch.setitem(PENALTIES, "mine", Penalty("real", half_squared_gradient))
    ends = [list(train(NETWORKS["points"], GRID, replace(SMALL, penalties={name: 1.0})))[-1] for name in ("mine", "r1")]
    for a, b in zip(*(end.generator.parameters() for end in ends)):
        torch.testing.assert_close(a, b)
    assert all(end.penalty > 0 for end in ends)


def test_adam_is_that_of_torch():
    """In the same bits, for tiny and wide layers."""
    networks = [nn.Sequential(nn.Linear(3, 70), nn.Linear(70, 2)) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    ours = State.fresh(NETWORKS["points"], SMALL).generator_optimizer.__class__(
        networks[0].parameters(), lr=0.01, betas=(0.5, 0.9), fused=True)
    theirs = torch.optim.Adam(networks[1].parameters(), lr=0.01, betas=(0.5, 0.9), fused=True)
    for number in range(5):
        for network, optimizer in zip(networks, (ours, theirs)):
            optimizer.param_groups[0]["lr"] = 0.01 / (number + 1)
            optimizer.zero_grad()
            network(torch.ones(4, 3) * number).square().sum().backward()
            optimizer.step()
            if number == 2:
                optimizer.load_state_dict(optimizer.state_dict())  # as a run that continues does
    for a, b in zip(*(network.parameters() for network in networks)):
        assert torch.equal(a, b)
    states = (optimizer.state_dict()["state"] for optimizer in (ours, theirs))
    for a, b in zip(*(state.values() for state in states)):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
