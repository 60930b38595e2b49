import json
import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from ganlib import checkpoint, evaluation, sampling
from ganlib.architectures import ARCHITECTURES, build
from ganlib.classifier import ClassifierConfig, DigitClassifier
from ganlib.data import ImageData, StackedDigits, scale
from ganlib.evaluation import (
    EVALUATIONS,
    calibrate,
    evaluate,
    measure_briefly,
    measure_digits,
    measure_interpolation,
    verdict,
)
from ganlib.model import Model
from ganlib.toys import RING, Gaussian, Sine
from tests.conftest import Formula, untrained


def model_of(name: str, generator, discriminator: bool = True, **fields) -> Model:
    """A model whose generator is that formula or network."""
    architecture = replace(ARCHITECTURES[name], **fields)
    history = [{"step": i, "discriminator_loss": 0.69, "generator_loss": 0.7} for i in range(20)]
    _, judge = build(architecture, torch.Generator().manual_seed(0))
    return Model(name, architecture, generator if isinstance(generator, nn.Module) else Formula(generator),
                 judge if discriminator else None, history=history)


def part(digits: ImageData, start: int, end: int, **fields) -> ImageData:
    """Some of the digits."""
    return ImageData("some", digits.images[start:end], digits.labels[start:end], 10, **fields)


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
    few = part(digits, 0, 300, held_out=lambda: part(digits, 300, 600))
    pixels = scale(few.images)
    copier = model_of("mlp-gan", lambda z: pixels[(z[:, 0].abs() * 1e6).long() % 300])
    measured = evaluate(copier, few, samples=300)
    assert measured["nearest_training_image_distances"]["95%"] < 0.1
    assert measured["nearest_training_image_distances_of_real"]["5%"] > 0.5
    assert measured["samples"] == measured["real_images"] == 300
    assert measured["against"] == "test images"


def test_without_test_images_the_training_images_stand_in_and_there_is_no_floor(digits):
    unlabelled = ImageData("few", digits.images[:100], folder=True)
    measured = evaluate(untrained("dcgan"), unlabelled, samples=300)
    assert measured["pixel_frechet_distance"] > 0
    assert measured["against"] == "training images"
    assert (measured["data"], measured["data_is_folder"]) == ("few", True)
    assert not any(key.endswith("_of_real") for key in measured)
    assert "fid_digit_classifier" not in measured


def test_a_model_without_a_discriminator_is_measured_but_for_what_only_that_can_say(digits):
    lone = model_of("mlp-gan", lambda z: z[:, :1].tanh().expand(-1, 784).unflatten(1, (1, 28, 28)), False)
    measured = evaluate(lone, part(digits, 0, 100, held_out=lambda: part(digits, 100, 200)), samples=100)
    assert measured["pixel_frechet_distance"] > measured["pixel_frechet_distance_of_real"]
    assert "mean_probability_real" not in measured
    points = evaluate(model_of("toy-gaussian", lambda z: z[:, :1], False), Gaussian(), samples=1_000)
    assert points["wasserstein_1"] > 1


def looks(classifier, images):
    return classifier.examine(scale(images))


@pytest.fixture(scope="module")
def reader() -> DigitClassifier:
    return checkpoint.load_classifier(device="cpu")


def test_real_digits_against_real_digits_measure_as_real_and_noise_does_not(digits, reader):
    a, b, c = (looks(reader, digits.images[i * 400:(i + 1) * 400]) for i in range(3))
    noise = looks(reader, torch.randint(256, (400, 1, 28, 28), dtype=torch.uint8,
                                        generator=torch.Generator().manual_seed(0)))
    real, bad = measure_digits(a, b, c), measure_digits(noise, b, c)
    for key in ("fid_digit_classifier", "precision", "recall", "coverage", "class_shares_kl_divergence"):
        assert real[key + "_of_real"] == bad[key + "_of_real"]  # what is real does not depend on the samples
    assert real["fid_digit_classifier"] < 3 * real["fid_digit_classifier_of_real"]
    assert bad["fid_digit_classifier"] > 10 * real["fid_digit_classifier"]
    assert real["precision"] > 0.8 > 0.2 > bad["precision"]
    assert real["coverage"] > 0.6 > 0.2 > bad["coverage"]
    assert sum(real["class_shares"]) == pytest.approx(1, abs=1e-3)
    assert real["neighbours"] == 5
    assert real["confident_from"] == 0.9
    assert real["share_confident"] == pytest.approx(real["share_confident_of_real"], abs=0.1)
    assert "kid_digit_classifier" not in real  # for want of 1,000 images


def test_a_collapsed_generator_has_no_recall_and_a_lopsided_census(digits, reader):
    one, real = digits.images[:1].expand(300, -1, -1, -1), looks(reader, digits.images[:300])
    measured = measure_digits(looks(reader, one), real, None)
    assert measured["recall"] < 0.05
    assert max(measured["class_shares"]) == 1
    assert measured["class_shares_kl_divergence"] > 1
    assert "precision_of_real" not in measured


@dataclass(frozen=True)
class SmallBatches(ClassifierConfig):
    batch_size: int = 25


def test_a_model_with_classes_is_measured_on_them_and_teaches(digits, reader, monkeypatch):
    """A perfect one: it remembers real digits of each class."""
    monkeypatch.setattr(evaluation, "ClassifierConfig", SmallBatches)
    monkeypatch.setattr(evaluation, "CAS_EPOCHS", 2)
    few = part(digits, 0, 600, held_out=lambda: part(digits, 600, 800))
    by_class = [scale(few.images[few.labels == c]) for c in range(10)]

    class Remembering(Formula):
        def forward(self, z, y):
            y = y if y.ndim == 1 else y.argmax(1)
            picks = (z[:, 0].abs() * 1e6).long()
            return torch.stack([by_class[c][p % len(by_class[c])] for p, c in zip(picks.tolist(), y.tolist())])

    model, told = model_of("cdcgan", Remembering()), []
    measured = evaluate(model, few, samples=100, classifier=reader, progress=lambda *what: told.append(what))
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    assert measured["class_as_asked"] == pytest.approx(reader.accuracy(few), abs=0.12)
    assert measured["samples_learnt_from"] == 600
    assert measured["classification_accuracy_score"] > 0.3
    assert measured["share_confident_midpoints"] > 0
    assert "direction_correlations" not in measured  # for want of samples
    assert measured["fid_digit_classifier"] > 0
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.25 <= shares[-1] <= 1  # the last three quarters are the classification accuracy score's


def test_a_brief_measure_asks_for_the_classes_of_the_data(digits, reader):
    asked = []

    class Noting(Formula):
        def forward(self, z, y):
            asked.append(y)
            return torch.zeros(len(z), 1, 28, 28)

    fours = ImageData("fours", digits.images[:40], torch.tensor([4, 4, 4, 1] * 10), 10)
    measured = measure_briefly(model_of("cdcgan", Noting()), fours, looks(reader, digits.images[:200]), reader, 100)
    assert torch.cat(asked).tolist() == [4, 4, 4, 1] * 25
    assert set(measured) == {"fid_digit_classifier", "precision", "recall"}
    assert measured["recall"] < 0.05  # of samples that are all alike


def test_interpolations_are_measured_halfway_and_at_the_ends():
    """On latents themselves, whose arcs are known; the classifier is confident of points outside the unit circle."""
    class Outside:
        def examine(self, x):
            sure = torch.where(x.norm(dim=1) > 1, 1.0, 0.5)
            return x, torch.stack([sure, 1 - sure], dim=1)

    measured = measure_interpolation(model_of("toy-ring", lambda z: z), Outside(), walks=500)
    first, second = (sampling.noise(evaluation.SEED + i, 500, 2) for i in (3, 4))
    a, b = first.norm(dim=1), second.norm(dim=1)
    angle = ((first * second).sum(1) / (a * b)).clamp(-1, 1).acos()
    assert measured["walks"] == 500
    assert measured["share_confident_ends"] == (torch.cat([a, b]) > 1).double().mean().item()
    assert measured["share_confident_midpoints"] == ((a + b) / 2 > 1).double().mean().item()
    speed = angle.square() * (a * a + a * b + b * b) / 3 + (b - a).square()  # averaged over the arc
    assert measured["perceptual_path_length"] == pytest.approx(speed.mean().item(), rel=0.1)


def test_calibration_centres_the_probability_of_a_discriminator_that_is_blind(digits):
    """Its logits are off by another number in each class, as a relativistic loss leaves them."""
    class Blind(nn.Module):
        def forward(self, x, y):
            return x.flatten(1).mean(1) + y.float() - 3

    data = part(digits, 0, 1_000)
    model = model_of("cdcgan", lambda z: scale(data.images)[(z[:, 0].abs() * 1e6).long() % 1_000])
    model.discriminator = Blind()
    assert calibrate(model, data, "relativistic", samples=2_000) is model.calibration
    assert len(model.calibration.offsets) == 10
    for label in range(10):
        x = scale(data.images[data.labels == label])
        both = model.discriminate(x, label).mean() + model.discriminate(model.draw(500, 3, label), label).mean()
        assert both.item() == pytest.approx(1, abs=0.05)


def test_the_nearest_image_is_found_in_whatever_part_of_a_set(digits, monkeypatch):
    monkeypatch.setattr(evaluation, "BLOCK", 30)
    some = part(digits, 0, 100)
    x = scale(some.images[[3, 95, 30]]) * 0.9
    distance, index = evaluation.nearest_image(x, some)
    assert index.tolist() == [3, 95, 30]
    torch.testing.assert_close(distance, (x - scale(some.images[index])).flatten(1).norm(dim=1), atol=1e-2, rtol=0)


def test_images_are_shrunk_on_both_sides_until_one_is_a_pixel(monkeypatch):
    monkeypatch.setattr(evaluation, "MAX_PIXELS", 40)
    for shape, shrunk in (((1, 3, 70), "1×1×35"), ((1, 16, 8), "1×8×4"), ((1, 1, 90), "1×1×22"), ((1, 9, 14), "1×4×7")):
        images = torch.randint(256, (50, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        generator = Formula(lambda z, images=images: scale(images)[:len(z)])
        model = model_of("mlp-gan", generator, discriminator=False, shape=shape)
        measured = evaluate(model, ImageData("noise", images), 50)
        assert measured["shrunk_to"] == shrunk
        assert measured["shrunk_pixel_frechet_distance"] == pytest.approx(0, abs=1e-6)


SEVEN = ImageData("seven", torch.zeros(9, 1, 28, 28, dtype=torch.uint8), torch.arange(9) % 7, 7)
BARE = ImageData("bare", SEVEN.images)
TEN = ImageData("ten", SEVEN.images, SEVEN.labels, 10)


def ten_with(held_out) -> ImageData:
    """TEN with these data as its held-out part."""
    return ImageData("ten", SEVEN.images, SEVEN.labels, 10, held_out=lambda: held_out)


@pytest.mark.parametrize(("name", "data", "sentence"), [
    ("toy-sine", Gaussian(), r"take samples of shape \(2,\), the data's are \(1,\)"),
    ("dcgan", RING, r"take samples of shape \(1, 28, 28\), the data's are \(2,\)"),
    ("cdcgan", BARE, "take 10 classes, the data have none"),
    ("cdcgan", SEVEN, "take 10 classes, the data have 7"),
    ("cdcgan", ten_with(BARE), "take 10 classes, the data have none"),
    ("dcgan", ten_with(StackedDigits(TEN)), r"take samples of shape \(1, 28, 28\), the data's are \(3, 28, 28\)"),
])
def test_data_that_do_not_fit_the_model_are_refused_in_one_sentence(name, data, sentence):
    with pytest.raises(ValueError, match=sentence):
        evaluate(untrained(name), data)


def test_data_may_name_an_evaluation_of_somebody_elses(monkeypatch):
    class Odd(Gaussian):
        evaluation = "odd"

    with pytest.raises(ValueError, match="gaussian is evaluated by 'odd', which is none of images, points, stacked"):
        evaluate(untrained("toy-gaussian"), Odd())
    monkeypatch.setitem(EVALUATIONS, "odd", lambda e: {"spread": e.model.draw(e.samples, 0).std().item()})
    assert evaluate(untrained("toy-gaussian"), Odd(), samples=5)["spread"] > 0


@pytest.mark.parametrize(("counts", "words"), [
    ([100] * 10, "all classes are as frequent as in real data"),
    ([104, 96, 110, 90, 100, 101, 99, 95, 105, 100], "all classes are as frequent as in real data"),  # chance
    ([1] * 10, "all classes are as frequent as in real data"),  # too few to tell
    ([100] * 8 + [65, 135], "8 rare; 9 too frequent"),
    ([100] * 7 + [20, 30, 250], "7, 8 very rare; 9 too frequent"),
    ([0, 1000] + [0] * 8, "0, 2, 3, 4, 5, 6, 7, 8, 9 missing; 1 too frequent"),
])
def test_the_verdict_of_a_census(counts, words):
    assert verdict(counts, [0.1] * 10) == words


def test_a_perfect_mixture_covers_all_modes():
    centres = torch.tensor(RING.centres)

    class Perfect(Formula):
        def forward(self, z, y=None):
            return centres[(torch.special.ndtr(z[:, 0]) * 8).long().clamp_max(7)] + 0.01 * z[:, :1].roll(1, 0)

    measured = evaluate(model_of("toy-ring", Perfect()), RING)
    assert measured["samples"] == 2_500
    assert measured["modes"] == measured["modes_of_real"] == measured["centres"] == 8
    assert measured["high_quality_of_real"] == pytest.approx(0.989, abs=0.008)
    assert measured["reverse_kl"] < 0.01
    assert measured["sliced_wasserstein"] < 0.05


def test_the_kinds_of_stacked_digits_are_counted(digits, reader):
    """One that always makes the same three digits, and one that draws all at random."""
    stacked = StackedDigits(part(digits, 0, 1_000))
    one = stacked.batch(1, torch.Generator().manual_seed(0))[0]
    collapsed = model_of("stacked-mnist", lambda z: one.expand(len(z), -1, -1, -1))
    measured = evaluate(collapsed, stacked, samples=20, classifier=reader)
    assert measured["modes"] == 1
    assert measured["kl_from_equal_shares"] == pytest.approx(math.log(1_000))
    drawing = model_of("stacked-mnist", lambda z: stacked.batch(
        len(z), torch.Generator().manual_seed(int(z[0, 0].abs() * 1e6)))[0])
    measured = evaluate(drawing, stacked, samples=300, classifier=reader)
    for name in ("", "_of_real"):  # 300 draws from 1,000 kinds: 1 − 0.999³⁰⁰ of them, and a divergence of 1.40 nats
        assert measured["modes" + name] == pytest.approx(259, abs=25)
        assert measured["kl_from_equal_shares" + name] == pytest.approx(1.40, abs=0.1)
    assert "modes" not in evaluate(drawing, stacked, samples=10)  # without a classifier nothing is counted
