import math

import pytest
import torch
from torch import nn

from ganlib import networks
from ganlib.networks import DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator, SoftChoice
from ganlib.sampling import noise, slerp


def linear_widths(network: nn.Module) -> list[int]:
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return [layers[0].in_features, *(layer.out_features for layer in layers)]


def chosen(z: torch.Tensor, choices: int, sharpness: float) -> torch.Tensor:
    """The soft choice's weights of latents z (N, D), summing to 1."""
    return SoftChoice(choices, sharpness)(z)[:, :choices] / math.sqrt(choices)


def test_a_soft_choice_weighs_its_numbers_and_lets_the_others_pass():
    z = noise(1, 100, 20)
    out = SoftChoice(8, 4.0)(z)
    assert torch.equal(out[:, 8:], z[:, 8:])
    scale = z[:, :8].square().mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(out[:, :8], (4 * z[:, :8] / scale).softmax(1) * 8**0.5)
    assert torch.equal(SoftChoice(0, 4.0)(z), z)


@pytest.mark.parametrize("psi", [0.5, 1e-4, 3.0])
def test_a_soft_choice_stays_as_sharp_where_latents_are_scaled(psi):
    z = noise(1, 100, 20)
    torch.testing.assert_close(chosen(psi * z, 8, 16.0), chosen(z, 8, 16.0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("choices", [8, 32, 48])
def test_a_soft_choice_is_sharp_fair_and_keeps_the_scale(choices):
    weights = chosen(noise(1, 20_000, 100), choices, 16.0)
    top = weights.max(1)
    assert top.values.mean() > 0.9
    shares = torch.bincount(top.indices, minlength=choices) / 20_000
    torch.testing.assert_close(shares, torch.full((choices,), 1 / choices), atol=0.01, rtol=0)
    assert (weights * math.sqrt(choices)).square().mean() == pytest.approx(1, abs=0.15)


def test_a_soft_choice_of_sharpness_1000_is_one_hot():
    weights = chosen(noise(1, 5_000, 100), 32, 1_000.0)
    assert (weights.max(1).values > 0.999).double().mean() > 0.98
    assert weights.sum(1).allclose(torch.ones(5_000))


def test_a_soft_choice_changes_smoothly_along_a_walk():
    """A thousandth of a walk moves it by less than a tenth of the way between categories; a one-hot choice jumps."""
    ends, most = noise(1, 6, 100), 0.0
    for a, b in zip(ends[::2], ends[1::2]):
        path = torch.stack([slerp(a, b, i / 1_000) for i in range(1_001)])
        soft, hard = (chosen(path, 32, sharpness).diff(dim=0).norm(dim=1).max() for sharpness in (16.0, 1e6))
        assert soft < 0.1 * math.sqrt(2)
        most = max(most, hard.item())
    assert most > 0.9 * math.sqrt(2)


def test_a_soft_choice_of_zeros_weighs_all_alike():
    assert chosen(torch.zeros(1, 4), 4, 16.0).tolist() == [[0.25] * 4]


def test_a_perceptron_has_the_layers_it_is_asked_for():
    generator = MLPGenerator((1, 28, 28), 100, (256, 512))
    discriminator = MLPDiscriminator((1, 28, 28), (64, 32), dropout=0.3)
    assert linear_widths(generator) == [100, 256, 512, 784]
    assert linear_widths(discriminator) == [784, 64, 32, 1]
    assert generator(100 * noise(1, 64, 100)).abs().max() <= 1
    assert sum(isinstance(module, networks.Dropout) for module in discriminator.modules()) == 2
    assert not any(isinstance(module, nn.LeakyReLU) for module in discriminator.modules())


def test_an_unbounded_perceptron_leaves_the_range():
    generator = MLPGenerator((2,), 2, (64,), bounded=False)
    assert generator(100 * noise(1, 64, 2)).abs().max() > 1


def test_a_dcgan_has_its_sources_layers():
    generator = DCGANGenerator((1, 28, 28), 100, (128, 64, 32))
    discriminator = DCGANDiscriminator((1, 28, 28), (64, 128))
    assert {nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU, nn.Tanh} <= {type(module) for module in generator.modules()}
    convolutions = [module for module in discriminator.modules() if isinstance(module, nn.Conv2d)]
    assert all(convolution.stride == (2, 2) for convolution in convolutions)
    assert {module.negative_slope for module in discriminator.modules() if isinstance(module, nn.LeakyReLU)} == {0.2}
    assert not any(isinstance(module, nn.BatchNorm2d) for module in discriminator.modules())
    weights = torch.cat([m.weight.flatten() for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("size", [(28, 28), (32, 32), (64, 64), (64, 48), (28, 36), (4, 100)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_dcgan_builds_at_other_sizes(size, channels):
    x = DCGANGenerator((channels, *size), 10, (32, 16, 8))(noise(1, 2, 10))
    assert x.shape == (2, channels, *size)
    assert DCGANDiscriminator((channels, *size), (8, 16))(x).shape == (2,)


@pytest.mark.parametrize("size", [(7, 8), (8, 7), (14, 5), (1, 6)])
def test_a_discriminator_halves_each_side_and_sees_every_pixel(size):
    discriminator = DCGANDiscriminator((1, *size), (8,)).double()
    (halved,) = {part.shape[2:] for part in [discriminator.layers[0](torch.zeros(1, 1, *size, dtype=torch.double))]}
    assert halved == tuple(-(-side // 2) for side in size)
    x = torch.zeros(1, 1, *size, dtype=torch.double, requires_grad=True)
    discriminator(x).sum().backward()
    assert (x.grad != 0).all()


def test_a_dcgan_takes_labels_and_shares_of_classes():
    generator = DCGANGenerator((1, 28, 28), 100, (32, 16, 8), num_classes=10).eval()
    discriminator = DCGANDiscriminator((1, 28, 28), (8, 16), num_classes=10)
    z, y = noise(1, 1, 100).expand(10, -1), torch.arange(10)
    x = generator(z, y)
    assert (x[0] - x[1]).abs().max() > 0
    torch.testing.assert_close(generator(z, torch.eye(10)), x)
    nn.init.normal_(discriminator.embedding.weight)
    assert (discriminator(x[:1], y[:1]) - discriminator(x[:1], y[1:2])).abs() > 0


def test_a_mapping_keeps_the_scale_of_latents():
    generator = DCGANGenerator((1, 28, 28), 100, (32, 16, 8), mapping=(64, 32))
    assert linear_widths(generator) == [100, 64, 32, 32 * 7 * 7]
    assert 0.5 < generator.mapping(noise(1, 4_000, 100)).square().mean().sqrt() < 2


def test_dropout_draws_from_the_generator_it_is_given():
    dropout, x = networks.Dropout(0.3), torch.ones(10_000)
    before = torch.get_rng_state()
    dropout.rng = torch.Generator().manual_seed(1)
    first = dropout(x)
    dropout.rng = torch.Generator().manual_seed(1)
    assert torch.equal(first, dropout(x))
    assert torch.equal(before, torch.get_rng_state())
    assert first.mean().item() == pytest.approx(1, abs=0.03)
    assert (first == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(dropout.eval()(x), x)


def test_dropout_draws_the_numbers_it_always_drew():
    """Those of torch's `bernoulli_` on a CPU without MKL, so that a run of an earlier version can be repeated."""
    dropout = networks.Dropout(0.3)
    dropout.rng = torch.Generator().manual_seed(1)
    kept = dropout(torch.ones(4, 10)) > 0
    assert "".join(str(int(flag)) for flag in kept.flatten()) == "1111111011110111111000000110011100010111"
