from dataclasses import replace

import pytest
import safetensors.torch
import torch

import ganlib
from ganlib import WeightsError, checkpoint
from ganlib.classifier import NAME, SHAPE, ClassifierConfig, DigitClassifier, distort, train_classifier
from ganlib.data import DATASETS, ImageData, StackedDigits, open_data, scale
from ganlib.recipes import DIGIT_CLASSIFIER
from ganlib.toys import Gaussian
from tests.conftest import MNIST_ROOT, needs_mnist
from train import classifier as command
from train.__main__ import main

CONFIG = ClassifierConfig(steps=50, batch_size=32, lr=1e-2, ema=0.9)


@pytest.fixture(scope="module")
def network(digits) -> DigitClassifier:
    for _, _, network in train_classifier(ImageData("some", digits.images[:1500], digits.labels[:1500], 10), CONFIG):
        pass
    return network


def test_it_learns_in_a_moment(digits, network):
    unseen = ImageData("others", digits.images[1500:1790], digits.labels[1500:1790], 10)
    assert network.accuracy(unseen) > 0.6


def test_features_are_what_the_logits_are_linear_in(network, digits):
    x = scale(digits.images[:7])
    features, probabilities = network.examine(x)
    assert features.shape == (7, 128)
    torch.testing.assert_close(probabilities, network.head(features).softmax(1))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(7))
    torch.testing.assert_close(features, torch.cat([network.examine(part)[0] for part in x.split(1)]),
                               atol=1e-5, rtol=1e-4)


def test_the_same_config_trains_the_same_classifier(digits):
    config = replace(CONFIG, steps=3)
    before = torch.get_rng_state()
    *_, (steps, loss, first) = train_classifier(digits, config)
    *_, (_, again_loss, again) = train_classifier(digits, config)
    assert torch.equal(before, torch.get_rng_state())
    assert steps == 3
    assert loss == again_loss
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values()))


def test_distortion_moves_digits_a_little_and_leaves_none_out(digits):
    x = scale(digits.images[:64])
    still = replace(CONFIG, rotation=0, shift=0, zoom=0)
    torch.testing.assert_close(distort(x, still, torch.Generator().manual_seed(0)), x, atol=1e-5, rtol=0)
    moved = distort(x, CONFIG, torch.Generator().manual_seed(0))
    assert (moved - x).abs().mean() > 0.02
    assert moved.min() >= -1.001
    assert moved.max() <= 1.001
    ink = (moved + 1).sum((1, 2, 3)) / (x + 1).sum((1, 2, 3))
    assert ink.min() > 0.6
    assert ink.max() < 1.6


@pytest.mark.parametrize(("height", "width"), [(28, 12), (12, 28)])
def test_distortion_rotates_and_shifts_images_that_are_not_square_as_it_does_square_ones(height, width):
    top, left = (28 - height) // 2, (28 - width) // 2
    x = -torch.ones(4, 1, 28, 28)
    inside = (..., slice(top, top + height), slice(left, left + width))
    x[inside] = torch.rand(4, 1, height, width, generator=torch.Generator().manual_seed(1))
    far = replace(CONFIG, rotation=60)
    expected, found = (distort(part, far, torch.Generator().manual_seed(0)) for part in (x, x[inside]))
    torch.testing.assert_close(found, expected[inside], atol=1e-4, rtol=0)


def test_it_looks_at_nothing_but_digits():
    with pytest.raises(ValueError, match=r"images of shape \(1, 28, 28\), not \(3, 32, 32\)"):
        DigitClassifier().eval().examine(torch.zeros(2, 3, 32, 32))
    with pytest.raises(ValueError, match="few has no labels"):
        next(train_classifier(ImageData("few", torch.zeros(4, 1, 28, 28, dtype=torch.uint8)), CONFIG))


@pytest.mark.parametrize(("field", "value"), [("steps", 0), ("batch_size", 1.5), ("seed", -1), ("lr", 0)])
def test_a_bad_configuration_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must be a"):
        replace(CONFIG, **{field: value})


def test_it_is_opened_for_digits_that_it_can_read(digits):
    few = digits.images[:3], digits.labels[:3], 10
    assert checkpoint.classifier_for(ImageData("digits", *few, digits=True), "cpu").shape == SHAPE
    assert checkpoint.classifier_for(StackedDigits(ImageData("digits", *few, digits=True)), "cpu") is not None
    small = ImageData("small", few[0][..., :8, :8], *few[1:], digits=True)
    for other in (ImageData("others", *few), small, Gaussian()):
        assert checkpoint.classifier_for(other) is None


def test_a_saved_classifier_opens_and_is_no_gan(tmp_path, network, digits):
    folder = checkpoint.save_classifier(network, tmp_path / "reader", {"data": "digits"}, [{"step": 80, "loss": 0.5}])
    again = checkpoint.load_classifier(folder, "cpu")
    x = scale(digits.images[:5])
    torch.testing.assert_close(again.examine(x)[1], network.examine(x)[1], atol=1e-5, rtol=1e-4)
    with pytest.raises(WeightsError, match="which measures samples and generates none"):
        ganlib.load(folder)


def test_a_folder_that_is_no_classifier_is_refused(tmp_path, network, model):
    with pytest.raises(WeightsError, match="there is no weights folder"):
        checkpoint.load_classifier(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match=f"does not describe the {NAME}"):
        checkpoint.load_classifier(ganlib.save(model, tmp_path / "gan"))
    folder = checkpoint.save_classifier(network, tmp_path / "reader", {}, [])
    state = {key: value.contiguous() for key, value in network.state_dict().items() if key != "head.bias"}
    safetensors.torch.save_file(state, folder / "model.safetensors")
    with pytest.raises(WeightsError, match="lacks tensor 'head.bias'"):
        checkpoint.load_classifier(folder)


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--resume"], "leave --resume out"),
    (["--size", "32"], "leave --size out"),
    (["--steps", "0"], "steps must be a whole number from 1"),
    (["--seed", "18446744073709551616"], "seed must be a whole number from 0 to 4294967295"),
    (["--seed", "-1"], "seed must be"),
    (["--data", "sine"], "digit-classifier learns digits of shape (1, 28, 28)"),
    (["--data", "nowhere"], "no folder 'nowhere'"),
])
def test_the_command_refuses_what_it_cannot_do(arguments, sentence, tmp_path, capsys):
    assert main([NAME, *arguments, "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_the_command_trains_measures_and_says_how_good_it_is(digits, tmp_path, capsys, monkeypatch):
    def few(start: int, end: int, **fields) -> ImageData:
        return ImageData("few", digits.images[start:end], digits.labels[start:end], 10, digits=True, **fields)

    monkeypatch.setitem(DATASETS, "few", lambda *_: few(0, 300, held_out=lambda: few(300, 400)))
    out = tmp_path / "reader"
    assert main([NAME, "--steps", "3", "--batch-size", "32", "--data", "few", "--out", str(out)]) == 0
    assert "of 100 " in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {"README.md", "config.json", "history.json", "metrics.json",
                                                     "model.safetensors", "samples.png"}
    assert checkpoint.read_json(out / "metrics.json", dict)["images"] == 100


@needs_mnist
@pytest.mark.parametrize(("every", "error"), [(10, 4e-3), pytest.param(1, 2e-4, marks=pytest.mark.slow)])
def test_the_shipped_classifier_reads_what_its_card_says(every, error):
    network, test = checkpoint.load_classifier(device="cpu"), open_data("mnist", MNIST_ROOT, train=False)
    metrics, _ = command.report(network, test[::every])
    folder = ganlib.shipped()["dcgan"].parent / NAME
    stored = checkpoint.read_json(folder / "metrics.json", dict)["accuracy"]
    assert stored >= 0.995
    assert metrics["accuracy"] == pytest.approx(stored, abs=error)


def test_the_shipped_classifier_is_what_its_recipe_makes():
    config = checkpoint.read_json(ganlib.shipped()["dcgan"].parent / NAME / "config.json", dict)
    trained = ClassifierConfig(**config["recipe"]["train"])
    assert trained == replace(DIGIT_CLASSIFIER, bfloat16=trained.bfloat16)
