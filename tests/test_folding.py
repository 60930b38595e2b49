"""Folded generators: the samples of the networks as trained, by fewer operations."""

import copy
import threading
from dataclasses import replace

import pytest
import torch
from torch import nn

import ganlib
from ganlib import Model, folding
from ganlib.architectures import DCGAN, MLP, VAE, build
from ganlib.images import to_uint8
from tests.conftest import untrained

IMAGES = [name for name in ganlib.shipped() if not name.startswith("toy")]
SMALL = DCGAN((1, 28, 28), 8, (16, 8, 4), (4, 8), features=8)
CASES = {
    "dcgan": SMALL, "classes": replace(SMALL, num_classes=10, mapping=(12, 20)), "choices": replace(SMALL, choices=4),
    "classes without a mapping": replace(SMALL, num_classes=3), "colours": replace(SMALL, shape=(3, 32, 48)),
    "one map": replace(SMALL, shape=(1, 5, 7), generator_channels=(8,)),
    "vae": VAE((1, 28, 28), 8, (16, 8, 4), (4, 8), mapping=(12,), features=8, couplings=2),
    "halves of 4 and 5": VAE((1, 28, 28), 9, (16, 8, 4), (4, 8), mapping=(12,), features=8, couplings=2),
    "mlp": MLP((1, 28, 28), 8, (16,), (16,), choices=3), "points": MLP((2,), 2, (16, 16), (16,), bounded=False),
    "many weights": MLP((1, 28, 28), 8, (400,), (16,)),
}


def changed(generator: nn.Module) -> nn.Module:
    """With random weights and running statistics."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in generator.state_dict().items():
            if name.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=rng) + 0.5)
            elif value.is_floating_point():
                value.add_(0.1 * torch.randn(value.shape, generator=rng))
    return generator


def both(model: Model, n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples by the folded generator and by the generator as trained."""
    z, y = model.latents(range(n)), model.labels_of(range(n))
    with torch.no_grad():
        return model.decode(z, y), model.generator(z, y)


def assert_equal(model: Model) -> None:
    found, expected = both(model)
    assert model._folding.of(model.generator) is not model.generator
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert found.is_contiguous()


@pytest.mark.parametrize("name", CASES)
def test_a_folded_generator_computes_the_samples_of_the_network(name):
    generator = changed(build(CASES[name], torch.Generator().manual_seed(0))[0])
    model = Model(name, CASES[name], generator)
    assert_equal(model)
    if model.num_classes:
        z, shares = model.latents(range(4)), torch.linspace(0, 1, 4 * model.num_classes).view(4, -1)
        torch.testing.assert_close(model.decode(z, shares), model.generator(z, shares), atol=1e-5, rtol=1e-5)


def test_maps_that_are_computed_in_several_parts_make_the_same_samples(monkeypatch):
    model = Model("parts", SMALL, changed(build(SMALL, torch.Generator().manual_seed(0))[0]))
    whole = both(model, 7)[0]
    monkeypatch.setattr(folding, "MAX_MAP", 2 * 28 * 28 * 4)  # two samples
    parts = copy.deepcopy(model)
    assert_equal(parts)
    torch.testing.assert_close(both(parts, 7)[0], whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", IMAGES)
def test_pictures_are_those_of_the_networks_as_trained(name):
    """Numbers halfway between two shades may be rounded either way, about one in 100,000 pixels."""
    found, expected = both(ganlib.load(name, "cpu"), 64)
    torch.testing.assert_close(found, expected, atol=1.2e-5, rtol=0)
    difference = to_uint8(found).int() - to_uint8(expected).int()
    assert difference.abs().max() <= 1
    assert difference.count_nonzero() <= 1


def test_few_active_units_are_multiplied_alone_with_the_same_result():
    model = Model("many", CASES["many weights"], build(CASES["many weights"], torch.Generator().manual_seed(0))[0])
    for bias in (0.0, -3.0, -1e3):  # half of the units are active, few, none
        with torch.no_grad():
            model.generator.layers[0].bias.fill_(bias)
        assert_equal(model)


def test_changed_weights_are_noticed():
    model = untrained("dcgan", generator_channels=(8, 4, 4), mapping=())
    before = both(model)[0]
    with torch.no_grad():
        model.generator.layers[0].bias.add_(1.0)  # in place
    assert_equal(model)
    assert not both(model)[0].equal(before)
    model.generator.load_state_dict(changed(copy.deepcopy(model.generator)).state_dict(), assign=True)
    assert_equal(model)
    model.generator.project = nn.Linear(100, 8 * 49, bias=False).requires_grad_(False)
    assert_equal(model)
    assert_equal(copy.deepcopy(model))


def test_generators_of_another_kind_with_hooks_or_of_other_numbers_are_used_as_they_are():
    class Other(type(untrained().generator)):
        def forward(self, z, y=None):
            return super().forward(z, y) * 0

    model = untrained("dcgan", generator_channels=(8, 4, 4), mapping=())
    other = copy.deepcopy(model)
    other.generator.__class__ = Other
    assert not other.sample([7]).any()
    calls = []
    handle = model.generator.layers[0].register_forward_hook(lambda *_: calls.append(1))
    model.sample([7])
    handle.remove()
    model.sample([7])
    assert calls == [1]
    model.generator.double()
    assert model._folding.of(model.generator) is model.generator


def test_threads_share_one_folded_generator():
    model, found = untrained("dcgan", generator_channels=(8, 4, 4), mapping=()), []
    threads = [threading.Thread(target=lambda: found.append(model._folding.of(model.generator))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
