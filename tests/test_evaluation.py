import math

import pytest
import torch
from torch import nn

from ganlib.data import Gaussian, ImageData, Sine
from ganlib.evaluation import evaluate
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
    assert measured["wasserstein_1_of_real_samples"] < 0.03
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
    assert whole["sliced_wasserstein"] < 5 * whole["sliced_wasserstein_of_real_samples"]
    half = evaluate(model_of("toy-sine", lambda z: sine(z, 0.5)), Sine(), samples=10_000)
    assert half["largest_gap_in_x1"] == pytest.approx(math.pi, abs=0.01)
    assert half["sliced_wasserstein"] > 0.3


def test_images_that_are_the_training_images_are_found_out(digits):
    few = ImageData("few", digits.images[:300], digits.labels[:300], 10)
    pixels = few.images.float() / 127.5 - 1
    copier = model_of("mlp-gan", lambda z: pixels[(z[:, 0].abs() * 1e6).long() % 300])
    measured = evaluate(copier, few, test=ImageData("more", digits.images[300:600], digits.labels[300:600], 10),
                        samples=3_000)
    assert measured["nearest_training_image_median_distance"] < 0.1
    assert measured["nearest_training_image_median_distance_of_test_images"] > 1
    assert measured["pixel_frechet_distance"] < measured["pixel_frechet_distance_of_test_images"]
    assert measured["class_shares_kl_divergence"] < 0.02
    assert 0.5 < measured["nearest_training_image_accuracy_on_test_images"] <= 1


def test_a_collapsed_generator_has_a_lopsided_census(digits):
    few = ImageData("few", digits.images[:300], digits.labels[:300], 10)
    one = few.images[:1].float() / 127.5 - 1
    measured = evaluate(model_of("mlp-gan", lambda z: one.expand(len(z), -1, -1, -1)), few, samples=500)
    assert max(measured["class_shares_by_nearest_training_image"]) == 1
    assert measured["class_shares_kl_divergence"] > 1


def test_images_without_classes_are_measured_too(digits):
    unlabelled = ImageData("few", digits.images[:100], None, None)
    measured = evaluate(untrained("dcgan"), unlabelled, samples=300)
    assert measured["pixel_frechet_distance"] > 0
    assert "class_shares_kl_divergence" not in measured


def test_a_model_with_classes_is_measured_on_all_of_them(digits):
    few = ImageData("few", digits.images[:100], digits.labels[:100], 10)
    assert 0 <= evaluate(untrained("dcgan", num_classes=10), few, samples=300)["mean_probability_real"] <= 1


def test_data_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"makes samples of shape \(2,\), the data's are \(1,\)"):
        evaluate(untrained("toy-sine"), Gaussian())
