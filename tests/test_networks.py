import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from ganlib import networks
from ganlib.networks import ARCHITECTURES, DCGAN, count_parameters, describe, rebuild


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_generator_makes_samples_and_a_discriminator_logits(name):
    architecture = ARCHITECTURES[name]
    y = None if architecture.num_classes is None else torch.arange(5)
    x = architecture.generator()(torch.randn(5, architecture.latent_dim), y)
    logits = architecture.discriminator()(x, y)
    assert x.shape == (5, *architecture.shape)
    assert logits.shape == (5,)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameter_counts_are_those_of_the_docstring(name):
    row = re.search(rf"^\| {name} +\| +([\d,]+) \| +([\d,]+) +\|$", networks.__doc__, re.MULTILINE)
    documented = [int(count.replace(",", "")) for count in row.groups()]
    architecture = ARCHITECTURES[name]
    assert [count_parameters(architecture.generator()), count_parameters(architecture.discriminator())] == documented


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_widest_layer_is_the_widest_that_a_sample_goes_through(name):
    architecture, seen = ARCHITECTURES[name], []
    y = None if architecture.num_classes is None else torch.tensor([0])
    networks = architecture.generator().eval(), architecture.discriminator().eval()
    for module in (module for network in networks for module in network.modules()):
        module.register_forward_hook(lambda module, inputs, output: seen.append(output.numel()))
    networks[1](networks[0](torch.randn(1, architecture.latent_dim), y), y)
    assert architecture.widest == max(seen)


def linear_widths(network: nn.Module) -> list[int]:
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return [layers[0].in_features, *(layer.out_features for layer in layers)]


@pytest.mark.parametrize(("name", "generator", "discriminator", "dropout"), [
    ("mlp-gan", [100, 256, 512, 1024, 784], [784, 2048, 1024, 512, 256, 1], 0.3),
    ("toy-gaussian", [20, 32, 32, 1], [1, 32, 64, 32, 1], 0.0),
    ("toy-sine", [2, 16, 32, 2], [2, 256, 128, 64, 1], 0.3),
])
def test_perceptrons_have_their_sources_layers(name, generator, discriminator, dropout):
    architecture = ARCHITECTURES[name]
    g, d = architecture.generator(), architecture.discriminator()
    assert linear_widths(g) == generator
    assert linear_widths(d) == discriminator
    assert architecture.dropout == dropout
    assert not any(isinstance(module, nn.LeakyReLU) for module in (*g.modules(), *d.modules()))
    assert any(isinstance(module, nn.Tanh) for module in g.modules()) == (name == "mlp-gan")


@pytest.mark.parametrize("name", ["dcgan", "cdcgan", "mlp-gan"])
@pytest.mark.parametrize(("channels", "size"), [(1, 16), (3, 28), (3, 32), (1, 48), (3, 64), (1, 128)])
def test_networks_are_made_to_fit_other_images(name, channels, size):
    architecture = ARCHITECTURES[name].fitted((channels, size, size), 3)
    assert architecture.num_classes == (3 if name == "cdcgan" else None)
    y = torch.arange(3) if architecture.num_classes else None
    x = architecture.generator()(torch.randn(3, architecture.latent_dim), y)
    assert x.shape == (3, channels, size, size)
    assert architecture.discriminator()(x, y).shape == (3,)
    if isinstance(architecture, DCGAN):
        assert 4 <= architecture.base_size <= 8
    assert rebuild(describe(name, architecture)) == architecture


def test_networks_that_fit_stay_as_they_are():
    for architecture in ARCHITECTURES.values():
        assert architecture.fitted(architecture.shape, architecture.num_classes) == architecture


def test_networks_say_what_they_cannot_be_made_to_fit():
    for size in (1, 7, 30, 100):
        with pytest.raises(ValueError, match=f"images of {size} pixels cannot be had by doubling"):
            ARCHITECTURES["dcgan"].fitted((1, size, size), None)
    with pytest.raises(ValueError, match="learn classes, and the data have none: put the images of each class into"):
        ARCHITECTURES["cdcgan"].fitted((1, 28, 28), None)


def test_dcgan_has_its_sources_layers():
    generator, discriminator = ARCHITECTURES["dcgan"].generator(), ARCHITECTURES["dcgan"].discriminator()
    kinds = {type(module) for module in generator.modules()}
    assert {nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU, nn.Tanh} <= kinds
    convolutions = [module for module in discriminator.modules() if isinstance(module, nn.Conv2d)]
    assert all(convolution.stride == (2, 2) for convolution in convolutions)
    assert {module.negative_slope for module in discriminator.modules() if isinstance(module, nn.LeakyReLU)} == {0.2}
    weights = torch.cat([m.weight.flatten() for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)


def test_bounded_samples_are_in_range():
    x = ARCHITECTURES["mlp-gan"].generator()(100 * torch.randn(64, 100))
    assert x.abs().max() <= 1


@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_dcgan_builds_at_other_sizes(size, channels):
    architecture = replace(ARCHITECTURES["dcgan"], shape=(channels, size, size))
    x = architecture.generator()(torch.randn(2, 100))
    assert x.shape == (2, channels, size, size)
    assert architecture.discriminator()(x).shape == (2,)


def test_dcgan_takes_classes():
    architecture = replace(ARCHITECTURES["dcgan"], num_classes=10)
    generator, discriminator = architecture.generator().eval(), architecture.discriminator()
    z = torch.randn(1, 100).expand(10, -1)
    x = generator(z, torch.arange(10))
    assert (x[0] - x[1]).abs().max() > 0
    assert discriminator(x, torch.arange(10)).shape == (10,)
    nn.init.normal_(discriminator.embedding.weight)
    assert (discriminator(x[:1], torch.tensor([0])) - discriminator(x[:1], torch.tensor([1]))).abs() > 0


def test_a_mapping_network_bends_the_latents_before_the_convolutions():
    generator = replace(ARCHITECTURES["dcgan"], mapping=(64, 32)).generator()
    assert linear_widths(generator) == [100, 64, 32, 128 * 7 * 7]
    w = generator.mapping(torch.randn(4_000, 100))
    assert 0.5 < w.square().mean().sqrt() < 2  # the scale that goes in comes out
    assert (generator(torch.randn(1, 100)) - generator(torch.randn(1, 100))).abs().max() > 0


def test_a_description_from_before_a_field_came_builds_what_it_built_then():
    old = describe("dcgan", ARCHITECTURES["dcgan"])
    del old["mapping"]
    assert rebuild(old) == ARCHITECTURES["dcgan"]


def test_dropout_draws_from_the_generator_it_is_given():
    dropout = networks.Dropout(0.3)
    x = torch.ones(10_000)
    before = torch.get_rng_state()
    dropout.rng = torch.Generator().manual_seed(1)
    first = dropout(x)
    dropout.rng = torch.Generator().manual_seed(1)
    assert torch.equal(first, dropout(x))
    assert torch.equal(before, torch.get_rng_state())
    assert first.mean().item() == pytest.approx(1, abs=0.03)
    assert (first == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(dropout.eval()(x), x)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_describe_and_rebuild_are_inverse(name):
    assert rebuild(describe(name, ARCHITECTURES[name])) == ARCHITECTURES[name]


def description(**changes) -> dict:
    return describe("dcgan", ARCHITECTURES["dcgan"]) | changes


@pytest.mark.parametrize(("wrong", "sentence"), [
    (None, "table of fields"),
    (description(name="vae"), "unknown architecture 'vae'; known: mlp-gan"),
    (description(name=["dcgan"]), "unknown architecture"),
    (description(depth=3), "no field 'depth'"),
    ({"name": "dcgan"}, "lacks the field"),
    (description(latent_dim="100"), "positive whole numbers"),
    (description(generator_channels=[0, 1]), "positive whole numbers"),
    (description(mapping=[256, "128"]), "mapping must be a list of positive whole numbers"),
    (description(leak="0.2"), "wrong type"),
    (description(num_classes=-1), "num_classes"),
    (description(mapping=[1] * 33), "mapping must be a list of positive whole numbers, 32 at most"),
    (description(codes=100), "codes must be a whole number from 0 to 99, less than latent_dim"),
    (description(codes="8"), "codes must be a whole number from 0 to 99"),
    (description(shape=[1, 30, 30]), "not divisible by 4"),
    (description(shape=[1, 28]), r"\(channels, size, size\)"),
])
def test_a_foreign_description_is_refused_in_one_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        rebuild(wrong)


def test_size_must_fit_the_doublings():
    with pytest.raises(ValueError, match="not divisible"):
        DCGAN((1, 30, 30), 100, (128, 64, 32), (32, 64))
