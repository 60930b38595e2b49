import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from ganlib import evaluation
from ganlib.classifier import ClassifierConfig, DigitClassifier, train_classifier
from ganlib.data import RING, Gaussian, ImageData, Sine, StackedDigits, scale
from ganlib.evaluation import evaluate, measure_digits, measure_moment, verdict
from ganlib.model import Model
from ganlib.networks import ARCHITECTURES
from tests.conftest import untrained


class Ideal(nn.Module):
    """A generator that turns latents into samples by a formula."""

    def __init__(self, formula):
        super().__init__()
        self.formula = formula
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, z, y=None):
        return self.formula(z)


def model_of(name: str, formula) -> Model:
    history = [{"step": i, "discriminator_loss": 0.69, "generator_loss": 0.7} for i in range(20)]
    return Model(name, ARCHITECTURES[name], Ideal(formula), ARCHITECTURES[name].discriminator(), history=history)


def test_a_perfect_gaussian_measures_as_well_as_real_samples():
    measured = evaluate(model_of("toy-gaussian", lambda z: z[:, :1] * 2 + 3), Gaussian())
    assert measured["samples"] == 100_000
    assert measured["wasserstein_1"] < 0.03
    assert measured["wasserstein_1_of_real"] < 0.03
    assert measured["final_discriminator_loss"] == pytest.approx(0.69)


def test_a_shifted_gaussian_is_off_by_its_shift():
    measured = evaluate(model_of("toy-gaussian", lambda z: z[:, :1] * 2 + 4), Gaussian(), samples=20_000)
    assert measured["wasserstein_1"] == pytest.approx(1, abs=0.05)


def test_a_perfect_sine_has_no_gap_and_a_half_one_has():
    def sine(z, share=1.0):
        x = torch.special.ndtr(z[:, 0]) * 2 * math.pi * share
        return torch.stack([x, x.sin()], dim=1)

    whole = evaluate(model_of("toy-sine", sine), Sine(), samples=10_000)
    assert whole["mean_distance_from_sine"] < 1e-6
    assert whole["largest_gap_in_x1"] < 0.02
    assert whole["sliced_wasserstein"] < 5 * whole["sliced_wasserstein_of_real"]
    half = evaluate(model_of("toy-sine", lambda z: sine(z, 0.5)), Sine(), samples=10_000)
    assert half["largest_gap_in_x1"] == pytest.approx(math.pi, abs=0.01)
    assert half["sliced_wasserstein"] > 0.3


def test_images_that_are_the_training_images_are_found_out(digits):
    few = ImageData("few", digits.images[:300], digits.labels[:300], 10)
    pixels = few.images.float() / 127.5 - 1
    copier = model_of("mlp-gan", lambda z: pixels[(z[:, 0].abs() * 1e6).long() % 300])
    measured = evaluate(copier, few, test=ImageData("more", digits.images[300:600], digits.labels[300:600], 10),
                        samples=300)
    assert measured["nearest_training_image_distances"]["95%"] < 0.1
    assert measured["nearest_training_image_distances_of_real"]["5%"] > 0.5
    assert measured["samples"] == measured["real_images"] == 300
    assert measured["against"] == "test images"


def test_without_test_images_the_training_images_stand_in_and_there_is_no_floor(digits):
    unlabelled = ImageData("few", digits.images[:100], None, None)
    measured = evaluate(untrained("dcgan"), unlabelled, samples=300)
    assert measured["pixel_frechet_distance"] > 0
    assert measured["against"] == "training images"
    assert not any(key.endswith("_of_real") for key in measured)
    assert "fid_digit_classifier" not in measured


def looks(classifier, images):
    return classifier.examine(scale(images))


@pytest.fixture(scope="module")
def reader(digits) -> DigitClassifier:
    """A classifier that has learnt for a moment: enough to tell most digits apart."""
    torch.manual_seed(0)
    for _, _, network in train_classifier(digits, ClassifierConfig(steps=60, batch_size=64, rate=1e-2, ema=0.9)):
        pass
    return network


def test_real_digits_against_real_digits_measure_as_real_and_noise_does_not(digits, reader):
    a, b, c = (looks(reader, digits.images[i * 400:(i + 1) * 400]) for i in range(3))
    noise = looks(reader, torch.randint(0, 256, (400, 1, 28, 28), dtype=torch.uint8))
    real, bad = measure_digits(a, b, c), measure_digits(noise, b, c)
    for key in ("fid_digit_classifier", "precision", "recall", "coverage", "class_shares_kl_divergence"):
        assert real[key + "_of_real"] == bad[key + "_of_real"]  # what is real does not depend on the samples
    assert real["fid_digit_classifier"] < 3 * real["fid_digit_classifier_of_real"]
    assert bad["fid_digit_classifier"] > 10 * real["fid_digit_classifier"]
    assert real["precision"] > 0.8 > 0.2 > bad["precision"]
    assert real["coverage"] > 0.7 > 0.2 > bad["coverage"]
    assert sum(real["class_shares"]) == pytest.approx(1, abs=1e-3)
    assert real["neighbours"] == 5
    assert real["sure"] == 0.9
    assert "kid_digit_classifier" not in real  # for want of 1,000 images


def test_a_collapsed_generator_has_no_recall_and_a_lopsided_census(digits, reader):
    one, real = digits.images[:1].expand(300, -1, -1, -1), looks(reader, digits.images[:300])
    measured = measure_digits(looks(reader, one), real, None)
    assert measured["recall"] < 0.05
    assert max(measured["class_shares"]) == 1
    assert measured["class_shares_kl_divergence"] > 1
    assert "precision_of_real" not in measured


def test_a_model_with_classes_is_measured_on_them_and_teaches(digits, reader):
    """A perfect one: it remembers real digits of each class."""
    few = ImageData("few", digits.images[:600], digits.labels[:600], 10)
    test = ImageData("more", digits.images[600:1200], digits.labels[600:1200], 10)
    by_class = [scale(few.images[few.labels == c]) for c in range(10)]

    class Remembering(Ideal):
        def forward(self, z, y):
            picks = (z[:, 0].abs() * 1e6).long()
            return torch.stack([by_class[c][p % len(by_class[c])] for p, c in zip(picks.tolist(), y.tolist())])

    architecture = replace(ARCHITECTURES["dcgan"], num_classes=10)
    model = Model("cdcgan", architecture, Remembering(None), architecture.discriminator())
    said = []
    measured = evaluate(model, few, test, samples=200, classifier=reader, tell=lambda *told: said.append(told))
    assert measured["class_as_asked"] == pytest.approx(reader.accuracy(few), abs=0.06)
    assert measured["samples_learnt_from"] == 1_200
    assert measured["accuracy_on_real_after_learning_from_samples"] > 0.5
    assert measured["fid_digit_classifier"] > 0
    assert "FID and KID" in [what for what, _ in said]
    shares = [share for _, share in said]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1


def test_a_moment_of_a_run_is_measured_by_fewer_samples(digits, reader):
    reference = looks(reader, digits.images[:200])
    measured = measure_moment(untrained("dcgan"), digits, reference, reader, samples=150)
    assert set(measured) == {"fid_digit_classifier", "precision", "recall"}
    assert measured["precision"] < 0.5


def test_a_moments_classes_are_those_of_the_data(digits, reader):
    asked = []

    class Noting(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, z, y):
            asked.append(y)
            return torch.zeros(len(z), 1, 28, 28)

    fours = ImageData("fours", digits.images[:40], torch.tensor([4, 4, 4, 1] * 10), 10)
    architecture = replace(ARCHITECTURES["dcgan"], num_classes=10)
    model = Model("cdcgan", architecture, Noting(), architecture.discriminator())
    measure_moment(model, fours, looks(reader, digits.images[:100]), reader, samples=100)
    assert torch.cat(asked).tolist() == [4, 4, 4, 1] * 25


def test_the_nearest_image_is_found_in_whatever_part_of_a_set(digits, monkeypatch):
    monkeypatch.setattr(evaluation, "PART", 30)
    some = ImageData("some", digits.images[:100], digits.labels[:100], 10)
    x = scale(some.images[[3, 95, 30]]) * 0.9
    distance, index = evaluation.nearest_image(x, some)
    assert index.tolist() == [3, 95, 30]
    torch.testing.assert_close(distance, (x - scale(some.images[index])).flatten(1).norm(dim=1), atol=1e-2, rtol=0)


def test_data_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"makes samples of shape \(2,\), the data's are \(1,\)"):
        evaluate(untrained("toy-sine"), Gaussian())


@pytest.mark.parametrize(("counts", "words"), [
    ([100] * 10, "all ten digits, in real proportions"),
    ([104, 96, 110, 90, 100, 101, 99, 95, 105, 100], "all ten digits, in real proportions"),  # chance
    ([100] * 8 + [65, 135], "all ten digits, 8 a little rare, 9 too frequent"),
    ([100] * 7 + [20, 30, 250], "all ten digits, 7 and 8 very rare, 9 too frequent"),
    ([0, 1000] + [0] * 8, "only one digit, no 0, 2, 3, 4, 5, 6, 7, 8 or 9, 1 too frequent"),
    ([1] * 10, "all ten digits, in real proportions"),
])
def test_the_verdict_of_a_census(counts, words):
    assert verdict(counts, [0.1] * 10) == words


def test_a_perfect_mixture_covers_all_modes():
    centres = torch.tensor(RING.centres)

    class Perfect(Ideal):
        def forward(self, z, y=None):
            return centres[(torch.special.ndtr(z[:, 0]) * 8).long().clamp_max(7)] + 0.01 * z[:, :1].roll(1, 0)

    measured = evaluate(Model("ring", ARCHITECTURES["toy-sine"], Perfect(None), nn.Identity()), RING)
    assert measured["samples"] == 2_500
    assert measured["modes"] == measured["modes_of_real"] == measured["centres"] == 8
    assert measured["high_quality_of_real"] == pytest.approx(0.989, abs=0.008)
    assert measured["reverse_kl"] < 0.01
    assert measured["sliced_wasserstein"] < 0.05


def test_the_kinds_of_stacked_digits_are_counted(digits, reader):
    """One that always makes the same three digits, and one that draws all at random."""
    stacked = StackedDigits(ImageData("few", digits.images[:1000], digits.labels[:1000], 10))
    architecture = replace(ARCHITECTURES["dcgan"], shape=(3, 28, 28))
    one = stacked.batch(1, torch.Generator().manual_seed(0))[0]
    collapsed = Model("stacked", architecture, Ideal(lambda z: one.expand(len(z), -1, -1, -1)), nn.Identity())
    measured = evaluate(collapsed, stacked, samples=100, classifier=reader)
    assert measured["modes"] == 1
    assert measured["kl_from_equal_shares"] == pytest.approx(math.log(1_000))
    drawing = Model("stacked", architecture, Ideal(
        lambda z: stacked.batch(len(z), torch.Generator().manual_seed(int(z[0, 0].abs() * 1e6)))[0]), nn.Identity())
    measured = evaluate(drawing, stacked, samples=3_000, classifier=reader)
    assert measured["modes"] > 700
    assert measured["kl_from_equal_shares"] < 1
    assert measured["kl_from_equal_shares_of_real"] == pytest.approx(0.17, abs=0.05)
    assert "modes" not in evaluate(drawing, stacked, samples=10)  # nobody to read them
