"""Samples to latents: what the search finds, that it is repeatable, and that it leaves its surroundings alone."""

import threading
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from ganlib import checkpoint, inversion, sampling
from ganlib.architectures import Architecture
from ganlib.data import scale
from ganlib.evaluation import subsample
from ganlib.model import Model
from tests.conftest import needs_mnist, untrained

SMALL = {"shape": (1, 8, 8), "latent_dim": 8, "generator_widths": (32, 32), "discriminator_widths": (8,), "choices": 4}


@dataclass(frozen=True)
class Shifted(Architecture):
    """Three numbers, each class far from the others."""

    shape: tuple[int, ...] = (3,)
    latent_dim: int = 3
    num_classes: int | None = 40
    widest: int = 3

    def generator(self) -> nn.Module:
        return ShiftedGenerator()


class ShiftedGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.5, 1.0, 2.0]))

    def forward(self, z, y=None):
        assert not self.training
        return self.scale * z.sinh() + 100.0 * y[:, None]


@pytest.fixture(scope="module")
def small() -> Model:
    return untrained("mlp-gan", **SMALL)


@pytest.fixture(scope="module")
def x(small) -> Tensor:
    """A picture that the model does not make."""
    return small.sample([1]) + 0.1


@pytest.fixture(scope="module")
def found(small, x) -> inversion.Inversion:
    return small.invert(x)


def same(first: inversion.Inversion, second: inversion.Inversion) -> bool:
    return first.latents.equal(second.latents) and first.images.equal(second.images) and first.psnr.equal(second.psnr)


def test_a_sample_of_the_model_is_found_again(small):
    x = small.sample([1, 2])
    found = small.invert(x)
    assert found.labels is None
    assert found.latents.shape == (2, 8)
    error, variance = (found.images - x).square().mean(), x.var(0).mean()
    assert error < variance / 100


def test_what_is_found_is_text_sized_latents_and_what_they_make(small, x, found):
    assert found.latents.equal(found.latents.half().float())
    assert torch.allclose(found.images, small.decode(found.latents), atol=1e-6)
    expected = 10 * torch.log10(4 / (found.images - x).flatten(1).square().mean(1))
    assert torch.allclose(found.psnr, expected, atol=1e-3)
    assert found.latents.square().mean() < 2


def test_points_and_networks_of_others_are_inverted_and_the_class_is_found_among_many():
    model = Model("shifted", Shifted(), ShiftedGenerator())
    x = model.sample([5, 6, 7], [0, 23, 39])
    found = model.invert(x)
    assert found.labels.tolist() == [0, 23, 39]
    assert torch.allclose(found.images, x, atol=0.05)
    assert model.invert(x[:1], 1).labels.tolist() == [1]  # a given class is kept
    assert checkpoint.load("toy-ring", device="cpu").invert(torch.tensor([[0.0, 2.0]])).images.shape == (1, 2)


def test_convolutional_generators_with_classes_are_inverted():
    model = untrained("cdcgan", generator_channels=(8, 8, 4), mapping=(16,), latent_dim=6, num_classes=3,
                      discriminator_channels=(4, 4))
    for layer in model.generator.modules():
        if isinstance(layer, nn.ConvTranspose2d | nn.Linear):
            layer.weight.mul_(15)  # for samples that differ as much as those of a trained one
    x = model.sample([1], 2)
    start = next(inversion.search(model, x))[1]
    assert model.invert(x).psnr > start.psnr + 3


def test_a_seed_gives_one_result_whatever_else_is_searched(small, x, found):
    assert same(found, small.invert(x))
    assert torch.equal(small.invert(torch.cat([small.sample([2]), x])).latents[1:], found.latents)
    assert not same(found, small.invert(x, seed=1))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_the_callers_modes_change_nothing_and_nothing_of_the_caller_is_changed(small, x, found, mode):
    state = torch.random.get_rng_state()
    with mode():
        modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")
        steps = inversion.search(small, x.clone())
        for _, result in steps:
            assert modes == (torch.is_inference_mode_enabled(), torch.is_grad_enabled(),
                             torch.is_autocast_enabled("cpu"))
    assert same(result, found)
    assert torch.random.get_rng_state().equal(state)
    assert all(p.grad is None and not p.requires_grad for p in small.generator.parameters())


def test_a_search_shows_how_far_it_is_and_comes_closer(small, x):
    told: list[float] = []
    small.invert(x, progress=told.append)
    shares, results = zip(*inversion.search(small, x))
    assert list(shares) == told == sorted(told)
    assert told[0] > 0
    assert told[-1] == 1
    assert len(told) > 5
    assert results[0].psnr < results[-1].psnr


def test_a_search_may_go_on_in_another_thread(small, x, found):
    steps, results = inversion.search(small, x), []
    next(steps)
    thread = threading.Thread(target=lambda: results.extend(steps))
    thread.start()
    thread.join()
    assert same(results[-1][1], found)


def test_two_searches_in_two_threads_find_what_one_alone_does(small, x, found):
    results = []
    threads = [threading.Thread(target=lambda: results.append(small.invert(x))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [same(result, found) for result in results] == [True, True]


def test_starts_are_scored_in_batches_with_a_result_after_each(small, monkeypatch):
    """Those of 160 starts and 2 classes, of 50 at once: none takes longer because there are more samples or classes."""
    model, sizes = Model("shifted", Shifted(), ShiftedGenerator()), []
    x = model.sample([5, 6], [3, 8])
    expected = model.invert(x, [3, 8])
    model.generator.register_forward_hook(lambda network, inputs, output: sizes.append(len(output)))
    monkeypatch.setattr("ganlib.model.MAX_ACTIVATIONS", 50 * model.architecture.widest)
    steps, largest = inversion.search(model, x, [3, 8]), []
    count = -(-400 // 50) * 2
    for _ in range(count):
        next(steps)
        largest.append(sum(size > 1 for size in sizes))
    assert largest == [*range(1, count + 1)]
    assert max(sizes) == 50
    *_, (_, result) = steps
    torch.testing.assert_close(result.images, expected.images, atol=0.05, rtol=0)


def test_a_generator_of_no_finite_samples_has_nothing_to_find():
    model = Model("shifted", Shifted(), ShiftedGenerator())
    model.generator.scale.fill_(torch.nan)
    with pytest.raises(ValueError, match="shifted makes no finite samples"):
        model.invert(torch.zeros(1, 3))


def test_latents_of_samples_far_away_are_those_that_a_text_holds():
    model = checkpoint.load("toy-gaussian", device="cpu")
    found = model.invert(torch.tensor([[9e5]]))
    assert found.latents.abs().max() <= sampling.MAX_LATENT
    assert torch.equal(found.images, model.decode(found.latents))


@pytest.mark.parametrize(("values", "options", "message"), [
    (torch.full((1, 1, 8, 8), 1e20), {}, "samples to invert must be numbers from -1,000,000 to 1,000,000"),
    (torch.zeros(1, 8, 8), {}, r"samples must be a tensor of shape \(N, 1, 8, 8\)"),
    (torch.full((1, 1, 8, 8), torch.nan), {}, "finite"),
    (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), {}, r"floating-point numbers.*\[-1, 1\]"),
    (torch.zeros(1, 1, 8, 8), {"labels": 3}, "has no classes"),
    (torch.zeros(1, 1, 8, 8), {"seed": -1}, "a seed must be a whole number"),
])
def test_wrong_arguments_are_refused_before_the_search(small, values, options, message):
    with pytest.raises(ValueError, match=message):
        small.invert(values, **options)
    with pytest.raises(ValueError, match=message):
        inversion.search(small, values, **options)


@pytest.mark.slow
@needs_mnist
@pytest.mark.parametrize("name", ["cdcgan", "dcgan"])
def test_real_digits_are_found_and_read_alike(name, digits):
    test, model = digits.held_out(), checkpoint.load(name, device="cpu")
    labels = subsample(test.labels, 40)
    found = model.invert(scale(subsample(test.images, 40)), labels if model.num_classes else None)
    read = checkpoint.load_classifier(device="cpu").examine(found.images)[1].argmax(1)
    assert found.psnr.median() >= 20
    assert (read == labels).double().mean() >= 0.95
