import subprocess
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from fractions import Fraction

import numpy
import pytest
import torch
from torch import nn

import ganlib
from ganlib import Model, directions, drawing
from ganlib.architectures import ARCHITECTURES
from ganlib.calibration import Calibration
from ganlib.toys import Gaussian
from ganlib.training import TrainConfig, train
from tests.conftest import untrained

Z = numpy.random.RandomState(0).standard_normal((2, 100))


@pytest.fixture(scope="module")
def with_classes() -> Model:
    return untrained("cdcgan")


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
    monkeypatch.setattr("ganlib.model.MAX_ACTIVATIONS", 4 * model.architecture.widest)
    torch.testing.assert_close(model.sample(range(10)), expected, atol=1e-5, rtol=0)
    monkeypatch.setattr("ganlib.model.MAX_ACTIVATIONS", 1)
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


@contextmanager
def default_dtype(dtype: torch.dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device: str):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


SETTINGS = {
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default dtype float64": lambda: default_dtype(torch.float64),
    "default dtype float16": lambda: default_dtype(torch.float16),
    "default device meta": lambda: default_device("meta"),
}


def everything(model: Model, real: torch.Tensor) -> list[torch.Tensor]:
    """All that a model computes."""
    y = None if model.num_classes is None else [3, 4]
    return [model.sample([1, 2], y, truncation=0.7), model.draw(2, 1, y), model.interpolate(1, 2, steps=4, labels=y),
            model.decode(Z, y), model.discriminate(real, y), model.logits(real, y), model.latents([1, 2])]


@pytest.mark.parametrize("setting", SETTINGS)
def test_results_are_ordinary_tensors_with_the_same_bytes_whatever_the_process_has_set(setting, model, with_classes):
    real = torch.linspace(-1, 1, 2 * 784).view(2, 1, 28, 28)
    for each in (model, with_classes):
        each = Model(each.name, each.architecture, each.generator, each.discriminator,
                     calibration=Calibration(0.5, (0.1,) * (each.num_classes or 1)))
        expected = everything(each, real)
        with SETTINGS[setting]():
            found = everything(each, real)
            again = everything(untrained(each.name), real)  # networks that were built there
        for a, b, c in zip(found, expected, again):
            assert a.dtype == torch.float32
            assert a.device.type == "cpu"
            assert not a.is_inference()
            assert torch.equal(a, b)
            assert a.shape == c.shape
        assert torch.equal(again[0], expected[0])


@pytest.mark.parametrize("setting", SETTINGS)
def test_paths_inversions_and_directions_are_the_same_whatever_the_process_has_set(setting):
    fields = {"shape": (1, 28, 28), "latent_dim": 5, "generator_widths": (16,), "choices": 2}
    model = untrained("mlp-gan", **fields)
    model.metrics = {directions.MEASURE: {"slant": 0.9}}
    real, ink = model.sample([1]), torch.eye(28)

    def computed() -> list[torch.Tensor]:
        found, along = model.invert(real), directions.named(model)
        drawn = drawing.normalise(ink)
        return [model.walk(Z[:, :5], None, 3), found.latents, found.images, found.psnr, along.vectors,
                along.move(Z[:, :5], [1.0, 0.5, *[0.0] * (len(along.names) - 2)]), drawn,
                drawing.from_text(drawing.to_text(drawn))]

    expected = computed()
    with SETTINGS[setting]():
        found = computed()
    for a, b in zip(found, expected):
        assert (a.dtype, a.device.type, a.is_inference()) == (torch.float32, "cpu", False)
        assert torch.equal(a, b)


@pytest.mark.parametrize("setting", [nullcontext, torch.inference_mode])
def test_samples_can_be_changed_and_gradients_flow_through_what_follows(setting, model):
    with setting():
        x = model.sample([1, 2])
        z = model.latents([1, 2])
    x.add_(1)
    z.mul_(2)
    following = nn.Conv2d(1, 2, 3)
    following(x.requires_grad_()).sum().backward()
    assert x.grad.abs().max() > 0
    assert following.weight.grad.abs().max() > 0


def test_results_do_not_record_gradients_of_what_they_are_given(model):
    z = torch.from_numpy(Z).float().requires_grad_()
    x = model.decode(z)
    assert not x.requires_grad
    assert not model.discriminate(x.requires_grad_()).requires_grad


def test_a_model_of_a_live_step_stays_as_it_was_and_leaves_the_run_alone():
    architecture = replace(ARCHITECTURES["toy-gaussian"], dropout=0.3)  # dropout holds the run's random state
    config = TrainConfig(steps=6, batch_size=8)
    (*_, undisturbed) = train(architecture, Gaussian(), config)
    expected = undisturbed.generator.state_dict()
    for step in train(architecture, Gaussian(), config):
        if step.number == 3:
            model = Model("live", architecture, step.generator, step.state.discriminator)
            live = Model("live", architecture, step.state.generator)
            before = everything_of_a_toy(model), live.sample([1])
    assert all(torch.equal(a, b) for a, b in zip(everything_of_a_toy(model), before[0]))
    assert torch.equal(live.sample([1]), before[1])
    for key, value in step.generator.state_dict().items():
        assert torch.equal(value, expected[key])
    assert next(step.state.discriminator.parameters()).requires_grad
    assert step.state.discriminator.training


def everything_of_a_toy(model: Model) -> list[torch.Tensor]:
    return [model.sample(range(5)), model.discriminate(torch.linspace(-5, 5, 9)[:, None])]


def test_truncation_to_zero_gives_one_picture():
    model = untrained(choices=0)
    x = model.sample([1, 2], truncation=0)
    torch.testing.assert_close(x[0], x[1], atol=1e-4, rtol=0)


def test_truncation_to_zero_gives_one_picture_for_each_choice():
    model = untrained(choices=2, sharpness=1_000.0)
    z = model.latents(range(20))
    choices = z[:, 0] > z[:, 1]
    assert 0 < choices.sum() < 20
    x = model.sample(range(20), truncation=0)
    for same in (choices, ~choices):
        torch.testing.assert_close(x[same], x[same][:1].expand(int(same.sum()), *x.shape[1:]), atol=1e-4, rtol=0)
    assert (x[choices][0] - x[~choices][0]).abs().max() > 1e-3


@pytest.mark.parametrize("method", ["slerp", "lerp"])
def test_a_path_starts_and_ends_at_its_seeds_and_does_not_jump(model, method):
    path = model.interpolate(3, 8, steps=201, method=method)
    assert path.shape == (201, 1, 28, 28)
    torch.testing.assert_close(path[[0, 200]], model.sample([3, 8]), atol=1e-5, rtol=0)
    assert path.diff(dim=0).flatten(1).norm(dim=1).max() < 0.1 * (path[-1] - path[0]).norm()
    torch.testing.assert_close(model.between(3, 8, [0.25, 0.5], method), path[[50, 100]], atol=1e-5, rtol=0)


def test_a_path_between_classes_starts_and_ends_at_its_seeds_and_does_not_jump(with_classes):
    model, first = with_classes, 0
    second = next(seed for seed in range(1, 20) if model.labels_of([0]) != model.labels_of([seed]))
    path = model.interpolate(first, second, steps=101)
    torch.testing.assert_close(path[[0, 100]], model.sample([first, second]), atol=1e-5, rtol=0)
    assert path.diff(dim=0).flatten(1).norm(dim=1).max() < 0.1 * (path[-1] - path[0]).norm()
    ends = model.interpolate(first, second, steps=2, labels=[3, 4])
    torch.testing.assert_close(ends, model.sample([first, second], labels=[3, 4]), atol=1e-5, rtol=0)
    same = model.interpolate(first, first, steps=3, labels=3)
    torch.testing.assert_close(same, model.sample([first] * 3, labels=3), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="3 labels for 2 samples"):
        model.interpolate(first, second, labels=[1, 2, 3])


def test_a_walk_of_one_leg_is_an_interpolation(model, with_classes):
    assert torch.equal(model.walk(model.latents([3, 8]), None, 9, "lerp", truncation=0.7),
                       model.interpolate(3, 8, 9, "lerp", truncation=0.7))
    assert torch.equal(with_classes.walk(with_classes.latents([3, 8]), [1, 2], 9),
                       with_classes.interpolate(3, 8, 9, labels=[1, 2]))


def test_a_walk_passes_its_latents_does_not_jump_and_may_be_closed():
    model = untrained("cdcgan", generator_channels=(8, 4, 4))
    z, labels = model.latents([1, 2, 3, 4]), [0, 0, 5, 7]
    for closed, count in ((False, 3 * 60 + 1), (True, 4 * 60)):
        x = model.walk(z, labels, 61, closed=closed)
        assert x.shape == (count, 1, 28, 28)
        torch.testing.assert_close(x[::60], model.decode(z, labels), atol=1e-5, rtol=0)
        round_trip = torch.cat([x, x[:1]]) if closed else x
        assert round_trip.diff(dim=0).flatten(1).norm(dim=1).max() < 0.1 * (x[0] - x[60]).norm()


def test_a_walk_stays_between_equal_latents_and_crosses_between_opposite_ones(model):
    z = model.latents([1])[0]
    x = model.walk(torch.stack([z, z, -z]), None, 5)
    torch.testing.assert_close(x[:5], x[:1].expand(5, 1, 28, 28), atol=1e-5, rtol=0)
    assert x.isfinite().all()
    torch.testing.assert_close(x[-1:], model.decode(-z[None]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("arguments", "sentence"), [
    ((Z[:1], None, 5), "a path needs at least 2 latents"), ((Z[:, :9], None, 5), "latents must be a tensor of shape"),
    ((Z, None, 1), "steps must be a whole number from 2"), ((Z, None, 5, "bezier"), "lerp or slerp"),
    ((Z, [1, 2], 5), "dcgan has no classes"),
    ((Z, None, 2_502, "lerp", True), "the number of samples must be a whole number from 1 to 5000, not 5002"),
    ((Z * 1e30, None, 5), "the numbers of a latent must be from -100 to 100"),
    ((Z, None, 5, "lerp", False, 3), "truncation must be a number from 0 to 2")])
def test_wrong_walks_are_refused_in_one_sentence(model, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        model.walk(*arguments)


def test_a_walk_of_a_model_with_classes_needs_them(with_classes):
    with pytest.raises(ValueError, match="cdcgan needs y: labels from 0 to 9"):
        with_classes.walk(Z, None, 3)
    with pytest.raises(ValueError, match="there are 3 labels for 2 samples"):
        with_classes.walk(Z, [1, 2, 3], 3)


def test_a_model_with_classes_lets_the_seed_or_the_caller_pick(with_classes):
    x = with_classes.sample(range(20))
    labels = with_classes.labels_of(range(20)).tolist()
    torch.testing.assert_close(with_classes.sample(range(20), labels=labels), x, atol=1e-5, rtol=0)
    torch.testing.assert_close(with_classes.sample([5], labels=labels[5])[0], x[5], atol=1e-5, rtol=0)
    assert (with_classes.sample([5], labels=1) - with_classes.sample([5], labels=2)).abs().max() > 0


def test_a_draw_has_all_classes_in_turn_or_those_asked_for(with_classes):
    z = ganlib.sampling.noise(5, 12, 100)
    torch.testing.assert_close(with_classes.draw(12, 5), with_classes.decode(z, [i % 10 for i in range(12)]))
    torch.testing.assert_close(with_classes.draw(12, 5, 3), with_classes.decode(z, [3] * 12))


def test_a_probability_is_calibrated_and_the_logit_is_not(with_classes):
    x, y = with_classes.sample([1, 2], [3, 4]), [3, 4]
    logits = with_classes.logits(x, y)
    offsets = tuple(float(i) for i in range(10))
    calibrated = Model("calibrated", with_classes.architecture, with_classes.generator, with_classes.discriminator,
                       calibration=Calibration(0.5, offsets))
    assert torch.equal(calibrated.logits(x, y), logits)
    torch.testing.assert_close(calibrated.discriminate(x, y), (logits / 2 + torch.tensor([3.0, 4.0])).sigmoid())


def test_a_model_may_have_no_discriminator(model):
    alone = Model("alone", model.architecture, model.generator)
    assert torch.equal(alone.sample([1]), model.sample([1]))
    assert alone.to("cpu") is alone
    for judge in (alone.discriminate, alone.logits):
        with pytest.raises(ValueError, match="alone has no discriminator"):
            judge(model.sample([1]))


@pytest.mark.parametrize("seeds", [numpy.arange(3), torch.arange(3), range(3), (numpy.uint8(0), torch.tensor(1), 2)])
def test_seeds_may_be_integers_of_any_kind(model, seeds):
    assert torch.equal(model.sample(seeds), model.sample([0, 1, 2]))


@pytest.mark.parametrize("labels", [3, numpy.int64(3), torch.tensor(3), [3, 3], numpy.array([3, 3]),
                                    torch.tensor([3, 3]), (numpy.uint8(3), torch.tensor(3))])
def test_labels_may_be_integers_of_any_kind(with_classes, labels):
    x = with_classes.sample([1, 2], labels=[3, 3])
    assert torch.equal(with_classes.sample([1, 2], labels), x)
    assert torch.equal(with_classes.decode(with_classes.latents([1, 2]), labels), x)
    assert torch.equal(with_classes.draw(2, 1, labels), with_classes.draw(2, 1, [3, 3]))
    assert torch.equal(with_classes.discriminate(x, labels), with_classes.discriminate(x, [3, 3]))


@pytest.mark.parametrize("half", [numpy.float32(0.5), numpy.float64(0.5), numpy.array(0.5), torch.tensor(0.5),
                                  torch.tensor(0.5, dtype=torch.bfloat16), Fraction(1, 2)])
def test_numbers_may_be_of_any_kind(model, half):
    assert torch.equal(model.sample([1], truncation=half), model.sample([1], truncation=0.5))
    assert torch.equal(model.between(1, 2, [half]), model.between(1, 2, [0.5]))
    steps = numpy.int32(3)
    assert torch.equal(model.interpolate(numpy.int64(1), torch.tensor(2), steps), model.interpolate(1, 2, 3))
    assert torch.equal(model.draw(torch.tensor(2), numpy.int64(1)), model.draw(2, 1))


@pytest.mark.parametrize("convert", [
    lambda x: x, lambda x: x.tolist(), torch.from_numpy, lambda x: torch.from_numpy(x).requires_grad_(),
    lambda x: numpy.ascontiguousarray(x[..., ::-1])[..., ::-1],
    lambda x: numpy.lib.stride_tricks.as_strided(x, writeable=False),
], ids=["array", "list", "float64", "with gradient", "reversed view", "read-only"])
def test_latents_and_samples_may_be_arrays_and_of_any_floating_type(model, convert):
    expected = model.decode(torch.from_numpy(Z).float())
    assert torch.equal(model.decode(convert(Z)), expected)
    x = expected.double().numpy()
    assert torch.equal(model.discriminate(convert(x)), model.discriminate(expected))


SHARES = numpy.eye(10)[:2]


def test_shares_of_classes_may_be_an_array(with_classes):
    expected = with_classes.decode(Z, [0, 1])
    for shares in (SHARES, torch.from_numpy(SHARES), torch.from_numpy(SHARES).half()):
        torch.testing.assert_close(with_classes.decode(Z, shares), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("z", "sentence"), [
    (Z[:, :99], r"latents must be a tensor of shape \(N, 100\), N at least 1, not \(2, 99\)"),
    (Z[0], r"not \(100,\)"), (Z[:0], r"not \(0, 100\)"), (None, r"shape \(N, 100\), not None"), ("z", "not 'z'"),
    ([[0.0], [0.0, 1.0]], r"shape \(N, 100\)"), (Z.astype(int), "latents must be floating-point numbers, not int64"),
    (Z + 1j, "floating-point numbers, not complex128"), (Z * numpy.nan, "latents must be finite numbers"),
    (Z * 1e300, "finite numbers that float32 can hold")])
def test_wrong_latents_are_refused_in_one_sentence(model, z, sentence):
    with pytest.raises(ValueError, match=sentence):
        model.decode(z)


@pytest.mark.parametrize(("x", "sentence"), [
    (torch.zeros(3, 28, 28), r"shape \(N, 1, 28, 28\)"), (torch.zeros(0, 1, 28, 28), "N at least 1"),
    (torch.zeros(()), r"shape \(N, 1, 28, 28\)"), ([[0.0]], r"shape \(N, 1, 28, 28\)"),
    (torch.zeros(1, 1, 28, 28, dtype=torch.uint8), r"numbers, not uint8; images are in \[-1, 1\]"),
    (numpy.zeros((1, 1, 28, 28), numpy.uint8), r"numbers, not uint8; images are in \[-1, 1\]"),
    (numpy.zeros((1, 1, 28, 28), bool), "numbers, not bool")])
def test_wrong_samples_are_refused_in_one_sentence(model, x, sentence):
    with pytest.raises(ValueError, match=sentence):
        model.discriminate(x)


@pytest.mark.parametrize(("labels", "sentence"), [
    (10, "a label must be a whole number from 0 to 9, not 10"), (-1, "from 0 to 9, not -1"),
    ([1, 2, 3], "there are 3 labels for 2 samples"), (["1"] * 2, "whole number"), ("12", "whole number"),
    (True, "whole number"), (1.5, "whole number"), (torch.tensor([1.9] * 2), "whole number")])
def test_foreign_labels_are_refused_in_one_sentence(with_classes, labels, sentence):
    x = torch.zeros(2, 1, 28, 28)
    for ask in (lambda: with_classes.sample([1, 2], labels), lambda: with_classes.draw(2, 1, labels),
                lambda: with_classes.decode(Z, labels), lambda: with_classes.discriminate(x, labels),
                lambda: with_classes.interpolate(1, 2, labels=labels)):
        with pytest.raises(ValueError, match=sentence):
            ask()


def test_missing_labels_are_asked_for(with_classes):
    with pytest.raises(ValueError, match="needs labels, from 0 to 9"):
        with_classes.discriminate(torch.zeros(2, 1, 28, 28))
    with pytest.raises(ValueError, match="needs y: labels from 0 to 9, or shares of them"):
        with_classes.decode(Z)


@pytest.mark.parametrize(("shares", "sentence"), [
    (SHARES[:, :9], r"shares of the classes must be a tensor of shape \(N, 10\)"),
    (numpy.eye(10)[:3], "there are 3 rows of shares for 2 samples"),
    (SHARES.astype(int), "shares of the classes must be floating-point numbers, not int64")])
def test_wrong_shares_are_refused_in_one_sentence(with_classes, shares, sentence):
    with pytest.raises(ValueError, match=sentence):
        with_classes.decode(Z, shares)


def test_a_model_without_classes_refuses_labels(model):
    for ask in (lambda: model.sample([1], labels=3), lambda: model.draw(2, 1, 3), lambda: model.decode(Z, [3, 3]),
                lambda: model.discriminate(torch.zeros(1, 1, 28, 28), 3)):
        with pytest.raises(ValueError, match="dcgan has no classes"):
            ask()


@pytest.mark.parametrize(("ask", "sentence"), [
    (lambda model: model.sample([-1]), "a seed must be a whole number"),
    (lambda model: model.sample(7), "seeds must be a sequence of whole numbers"),
    (lambda model: model.sample([1], truncation=3), "truncation must be a number from 0 to 2"),
    (lambda model: model.draw(0, 1), "the number of samples must be a whole number from 1"),
    (lambda model: model.draw(2.5, 1), "the number of samples must be a whole number"),
    (lambda model: model.draw(2, -1), "a seed must be a whole number"),
    (lambda model: model.interpolate(1, 2, steps=1), "steps must be a whole number from 2"),
    (lambda model: model.interpolate(1, 2, method="bezier"), "lerp or slerp"),
    (lambda model: model.between(1, 2, [1.1]), "a position must be a number from 0 to 1"),
])
def test_other_wrong_arguments_are_refused_in_one_sentence(model, ask, sentence):
    with pytest.raises(ValueError, match=sentence):
        ask(model)


def test_sampling_leaves_the_processs_random_state_alone(model):
    before = torch.get_rng_state()
    model.sample(range(3))
    untrained()
    assert torch.equal(before, torch.get_rng_state())


def test_loading_and_sampling_import_no_compiler():
    """torch._dynamo alone takes nearly as long to import as the rest of torch."""
    subprocess.run([sys.executable, "-c", """
import sys, ganlib
model = ganlib.load("dcgan", "cpu")
model.discriminate(model.interpolate(1, 2, steps=3))
assert "torch._dynamo" not in sys.modules
"""], check=True, timeout=300)


@pytest.mark.parametrize("truth", [True, numpy.bool_(True), torch.tensor(True)])
def test_a_truth_value_is_no_number(truth):
    with pytest.raises(ValueError, match="truncation must be a number from 0 to 2"):
        untrained("toy-gaussian").sample([1], truncation=truth)


def test_a_path_without_positions_is_refused():
    with pytest.raises(ValueError, match="at least one position"):
        untrained("toy-gaussian").between(1, 2, [])
