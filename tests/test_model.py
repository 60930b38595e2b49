import pytest
import torch

import ganlib
from tests.conftest import untrained


def test_samples_have_the_promised_shape_and_range(model):
    x = model.sample(seeds=range(16))
    assert x.shape == (16, 1, 28, 28)
    assert x.dtype == torch.float32
    assert x.device.type == "cpu"
    assert x.min() >= -1
    assert x.max() <= 1


@pytest.mark.parametrize("name", ganlib.shipped())
def test_a_seeds_picture_does_not_depend_on_its_batch(name):
    model = ganlib.load(name, "cpu")
    among, alone = model.sample(range(100)), model.sample([42])
    torch.testing.assert_close(alone[0], among[42], atol=1e-5, rtol=0)
    assert (among[42] - among[43]).abs().max() > 0.01


def test_wide_networks_compute_fewer_samples_at_once(model, monkeypatch):
    sizes = []
    model.generator.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    expected = model.sample(range(10))
    monkeypatch.setattr("ganlib.model.MOST_AT_ONCE", 4 * model.architecture.widest)
    torch.testing.assert_close(model.sample(range(10)), expected, atol=1e-5, rtol=0)
    monkeypatch.setattr("ganlib.model.MOST_AT_ONCE", 1)
    model.sample(range(2))
    assert sizes == [10, 4, 4, 2, 1, 1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ganlib.shipped())
def test_a_seeds_picture_is_the_same_on_the_gpu(name):
    model = ganlib.load(name, "cpu")
    on_cpu = model.sample(range(16))
    on_gpu = model.to("cuda").sample(range(16))
    assert on_gpu.device.type == "cpu"
    assert (on_gpu - on_cpu).abs().max() < 2e-3  # 1e-3 of the range [-1, 1]


def test_truncation_to_zero_gives_one_picture(model):
    x = model.sample([1, 2], truncation=0)
    torch.testing.assert_close(x[0], x[1])


def test_truncation_to_zero_gives_one_picture_for_each_choice():
    model = untrained(codes=2)
    choices = model.latents(range(20))[:, 0] > 0
    assert 0 < choices.sum() < 20
    x = model.sample(range(20), truncation=0)
    for same in (choices, ~choices):
        torch.testing.assert_close(x[same], x[same][:1].expand(int(same.sum()), *x.shape[1:]), atol=1e-5, rtol=0)
    assert (x[choices][0] - x[~choices][0]).abs().max() > 1e-3


def test_a_way_from_one_choice_to_another_does_not_jump():
    model = untrained(codes=2)
    first, second = next((0, seed) for seed in range(1, 20)
                         if (model.latents([0])[0, 0] > 0) != (model.latents([seed])[0, 0] > 0))
    path = model.interpolate(first, second, steps=101)
    steps = (path[1:] - path[:-1]).flatten(1).norm(dim=1)
    assert steps.max() < 0.1 * (path[-1] - path[0]).norm()


def test_a_way_starts_and_ends_at_its_seeds(model):
    for method in ("slerp", "lerp"):
        path = model.interpolate(3, 8, steps=5, method=method)
        assert path.shape == (5, 1, 28, 28)
        torch.testing.assert_close(path[[0, 4]], model.sample([3, 8]), atol=1e-5, rtol=0)


def test_probabilities_are_probabilities(model):
    p = model.discriminate(model.sample(range(5)))
    assert p.shape == (5,)
    assert ((p >= 0) & (p <= 1)).all()


def test_a_model_with_classes_lets_the_seed_or_the_caller_pick():
    model = untrained(num_classes=10)
    x = model.sample(range(20))
    labels = model.labels_of(range(20)).tolist()
    torch.testing.assert_close(model.sample(range(20), labels=labels), x, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.sample([5], labels=labels[5])[0], x[5], atol=1e-5, rtol=0)
    assert (model.sample([5], labels=1) - model.sample([5], labels=2)).abs().max() > 0
    assert model.discriminate(x, labels).shape == (20,)
    with pytest.raises(ValueError, match="needs labels, from 0 to 9"):
        model.discriminate(x)


def test_a_way_between_classes_starts_and_ends_at_its_seeds_and_does_not_jump():
    model = untrained(num_classes=10)
    first, second = 0, next(seed for seed in range(1, 20) if model.labels_of([0]) != model.labels_of([seed]))
    path = model.interpolate(first, second, steps=101)
    torch.testing.assert_close(path[[0, 100]], model.sample([first, second]), atol=1e-5, rtol=0)
    assert (path[1:] - path[:-1]).flatten(1).norm(dim=1).max() < 0.1 * (path[-1] - path[0]).norm()

    ends = model.interpolate(first, second, steps=2, labels=[3, 4])
    torch.testing.assert_close(ends, model.sample([first, second], labels=[3, 4]), atol=1e-5, rtol=0)
    same = model.interpolate(first, first, steps=3, labels=3)
    torch.testing.assert_close(same, model.sample([first] * 3, labels=3), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="3 labels for 2 samples"):
        model.interpolate(first, second, labels=[1, 2, 3])


@pytest.mark.parametrize(("labels", "sentence"), [
    (10, "from 0 to 9, not 10"), (-1, "from 0 to 9"), ([1, 2], "2 labels for 3 samples"), (["1"] * 3, "whole number"),
    (True, "whole number"), (1.5, "whole number"), (torch.tensor([1.9] * 3), "whole number"),
])
def test_bad_labels_are_refused(labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        untrained(num_classes=10).sample(range(3), labels=labels)


def test_a_model_without_classes_refuses_labels(model):
    with pytest.raises(ValueError, match="dcgan has no classes"):
        model.sample([1], labels=3)


@pytest.mark.parametrize("x", [torch.zeros(3, 28, 28), torch.zeros(0, 1, 28, 28), torch.zeros(()), [[0.0]]])
def test_samples_of_another_shape_are_refused(model, x):
    with pytest.raises(ValueError, match=r"shape \(N, 1, 28, 28\)"):
        model.discriminate(x)


def test_bad_arguments_are_refused(model):
    with pytest.raises(ValueError, match="seed"):
        model.sample([-1])
    with pytest.raises(ValueError, match="truncation"):
        model.sample([1], truncation=3)
    with pytest.raises(ValueError, match="steps"):
        model.interpolate(1, 2, steps=1)
    with pytest.raises(ValueError, match="lerp or slerp"):
        model.interpolate(1, 2, method="bezier")
    with pytest.raises(ValueError, match=r"latents must be \(N, 100\)"):
        model.decode(torch.zeros(2, 99))


def test_sampling_leaves_the_processs_random_state_alone(model):
    before = torch.get_rng_state()
    model.sample(range(3))
    assert torch.equal(before, torch.get_rng_state())
