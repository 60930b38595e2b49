"""What three figures of the course ask the server: the generator's maps, two pictures to judge, the mean of digits."""

import asyncio
import base64
import json
import math

import numpy
import pytest
import torch

from ganlib import images, losses, maps, passport
from ganlib.demo import figures, models, rounds
from tests.conftest import needs_mnist, untrained


@pytest.fixture
def no_mnist(monkeypatch, tmp_path):
    monkeypatch.setenv("GANLIB_DATA", str(tmp_path))


def bytes_of(answer: dict) -> numpy.ndarray:
    """The pictures that an answer carries: (N, height, width) uint8."""
    flat = numpy.frombuffer(base64.b64decode(answer["pixels"]), numpy.uint8)
    return flat.reshape(answer["count"], answer["height"], answer["width"])


# maps

@pytest.mark.parametrize("name", ["dcgan", "cdcgan"])
def test_the_way_of_a_latent_ends_at_the_same_sample(name):
    gan = models.images(name)
    z, y = gan.latents([3, 4]), gan.labels_of([3, 4])
    found = maps.way(gan, z, y)
    torch.testing.assert_close(found.x, gan.decode(z, y), atol=1e-5, rtol=0)
    assert torch.equal(found.x, gan.generator(z, y))  # no map was changed in place of a sample
    assert torch.equal(images.to_uint8(found.x), images.to_uint8(gan.sample([3, 4])))


def test_the_maps_double_and_are_not_negative():
    gan = models.images("dcgan")
    found = maps.way(gan, gan.latents([33]))
    assert [tuple(layer.shape) for layer in found.maps] == [(1, 128, 7, 7), (1, 64, 14, 14), (1, 32, 28, 28)]
    assert all(layer.min() == 0 and layer.max() > 0 for layer in found.maps)


def test_the_last_map_makes_the_sample():
    gan = models.images("dcgan")
    found = maps.way(gan, gan.latents([33]))
    with torch.no_grad():
        made = torch.tanh(gan.generator.layers[-2](found.maps[-1]))
    assert torch.allclose(made, found.x, atol=1e-6)


def test_the_weights_of_the_choice_are_a_softmax_of_its_numbers():
    gan = models.images("dcgan")
    z = gan.latents([33])
    first = z[0, :48].double()
    expected = (20 * first / first.square().mean().sqrt()).softmax(0)
    assert maps.way(gan, z).choice[0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    assert maps.way(models.images("cdcgan"), z, torch.tensor([1])).choice.shape == (1, 0)


def test_a_generator_without_maps_and_other_latents_are_refused():
    with pytest.raises(ValueError, match="the generator of mlp-gan has no maps"):
        maps.way(untrained("mlp-gan"), torch.zeros(1, 100))
    with pytest.raises(ValueError, match=r"of shape \(N, 100\), not \(1, 99\)"):
        maps.way(untrained("dcgan"), torch.zeros(1, 99))


# 2: noise to picture

def test_a_seed_gives_the_picture_of_generate():
    answer = asyncio.run(figures.how_noise({"latent": "7"}))
    gan = models.images("dcgan")
    assert (bytes_of(answer)[0] == images.to_uint8(gan.sample([7]))[0, 0].numpy()).all()
    assert answer["latent"] == pytest.approx(gan.latents([7])[0].tolist(), abs=1e-4)
    assert [(m["count"], m["height"], m["width"], m["of"]) for m in answer["maps"]] == [
        (9, 7, 7, 128), (9, 14, 14, 64), (9, 28, 28, 32)]


def test_a_changed_number_changes_its_place_alone():
    answer = asyncio.run(figures.how_noise({"latent": "7", "changes": {"60": 2.5}}))
    gan = models.images("dcgan")
    z = gan.latents([7])
    z[0, 60] = 2.5
    assert (bytes_of(answer)[0] == images.to_uint8(gan.decode(z))[0, 0].numpy()).all()
    assert answer["latent"] == pytest.approx(z[0].tolist(), abs=1e-4)


def test_the_largest_of_the_first_numbers_is_the_kind():
    answer = asyncio.run(figures.how_noise({"latent": "7", "changes": {"20": 3.9, "70": 4}}))
    assert answer["kind"] == 20
    assert 0.9 < answer["weight"] <= 1


def test_the_maps_of_two_latents_are_of_the_same_channels():
    """Else a bar that is dragged would exchange the maps."""
    gan = models.images("dcgan")
    places, brightest = figures.shown_maps(gan)[0]
    for seed in ("1", "2"):
        shown = bytes_of(asyncio.run(figures.how_noise({"latent": seed}))["maps"][0])
        own = maps.way(gan, gan.latents([int(seed)])).maps[0][0, places] / brightest
        assert numpy.abs(shown / 255 - own.clamp(0, 1).numpy()).max() < 0.01


def test_the_api_gives_a_sheet_with_a_passport_and_numbers():
    sheet, told = figures.api_layers("7", {"60": 2.5})
    found = json.loads(sheet.info[passport.KEYWORD])
    assert (found["tab"], found["step"], found["model"]) == ("how", 2, "dcgan")
    assert told["latent"][60] == 2.5
    assert sheet.size == figures.api_layers("8", {})[0].size
    assert told["maps"] == [[128, 7, 7], [64, 14, 14], [32, 28, 28]]


@pytest.mark.parametrize(("asked", "sentence"), [
    (None, "The request must be a table"),
    ({"latent": "no"}, "A waypoint is a seed such as 3"),
    ({"latent": "10000"}, "Seed must be a whole number from 0 to 9999"),
    ({"latent": "7:3"}, "dcgan has no classes"),
    ({"latent": "7", "changes": [1]}, "The request must be a table"),
    ({"latent": "7", "changes": {"100": 1}}, "A place in the latent must be a whole number from 0 to 99, not 100."),
    ({"latent": "7", "changes": {"x": 1}}, "A place in the latent must be a whole number"),
    ({"latent": "7", "changes": {"3": 5}}, "A number of the latent must be a number from -4 to 4, not 5."),
    ({"latent": "7", "changes": {"3": math.nan}}, "A number of the latent must be a number from -4 to 4, not nan.")])
def test_a_bad_latent_is_answered_in_a_sentence(asked, sentence):
    assert sentence in asyncio.run(figures.how_noise(asked))["error"]


# 3: the discriminator's loss

@pytest.mark.parametrize(("real", "generated"), [(0.8, 0.3), (0.5, 0.5), (0.02, 0.98), (0.98, 0.02)])
def test_cross_entropy_is_that_of_the_formula(real, generated):
    found = figures.cross_entropy(real, generated)
    assert found["real"] == pytest.approx(-math.log(real))
    assert found["generated"] == pytest.approx(-math.log(1 - generated))
    assert found["loss"] == pytest.approx((found["real"] + found["generated"]) / 2)


def test_the_loss_is_the_one_that_trainings_use():
    real, fake = (torch.tensor([d], dtype=torch.float64).logit() for d in (0.8, 0.3))
    expected = losses.LOSSES["non-saturating"].discriminator(real, fake)
    assert figures.cross_entropy(0.8, 0.3)["loss"] == pytest.approx(float(expected))


@pytest.mark.parametrize("d", [0.019, 0.981, math.nan, "0.5", None])
def test_a_bad_probability_is_refused(d):
    with pytest.raises(ValueError, match="D of the real picture must be a number from 0.02 to 0.98"):
        figures.cross_entropy(d, 0.5)


@pytest.mark.parametrize("at_hand", [pytest.param(True, marks=needs_mnist), False], ids=["mnist", "no-mnist"])
def test_a_pair_is_a_real_picture_and_a_generated_one(at_hand, request):
    if not at_hand:
        request.getfixturevalue("no_mnist")
    answer, gan = asyncio.run(figures.how_pair({"pair": 4})), models.images("dcgan")
    real, fake = bytes_of(answer)
    assert any((real == other).all() for other in rounds.reals_of(gan).images[:, 0].numpy())
    assert (fake == images.to_uint8(gan.sample([answer["seed"]]))[0, 0].numpy()).all()
    seen = torch.from_numpy(numpy.stack([real, fake]))[:, None].float() / 127.5 - 1
    assert answer["probabilities"] == pytest.approx(gan.discriminate(seen).tolist(), abs=1e-4)
    assert answer["origin"].startswith("Test image" if at_hand else "A training image")
    assert ("test images of MNIST" if at_hand else "64 training images of MNIST") in answer["about"]


def test_the_api_gives_the_pair_and_the_loss_of_its_probabilities():
    sheet, told = figures.api_pair(4)
    assert json.loads(sheet.info[passport.KEYWORD])["step"] == 3
    assert told["loss"] == figures.cross_entropy(*told["probabilities"])


def test_the_loss_of_a_discriminator_that_is_certain_is_a_number(monkeypatch):
    told = {"probabilities": [1.0, 1.0]}
    monkeypatch.setattr(figures, "pair", lambda number: (torch.zeros(2, 1, 28, 28), told))
    loss = figures.api_pair(4)[1]["loss"]
    assert loss["real"] == pytest.approx(0, abs=1e-5)
    assert loss["generated"] == pytest.approx(-math.log(1e-6))


@pytest.mark.parametrize(("make", "step"), [
    (lambda: figures.api_layers("7", {"60": 2.5}), 2), (lambda: figures.api_pair(5), 3),
    (lambda: figures.api_mean_digit(3, 4, 5), 7)], ids=["noise", "entropy", "mean"])
def test_a_picture_names_nothing_that_its_link_does_not_restore(make, step):
    found = json.loads(make()[0].info[passport.KEYWORD])
    assert found["step"] == step
    assert not found.keys() & {"latent", "pair", "class", "count", "set"}


@pytest.mark.parametrize("number", [None, -1, 10_000, "4", 1.5])
def test_a_bad_pair_is_answered_in_a_sentence(number):
    answer = asyncio.run(figures.how_pair({"pair": number}))
    assert answer["error"].startswith("Pair must be a whole number from 0 to 9999, not ")


# 7: squared error

@pytest.fixture(params=[pytest.param(True, marks=needs_mnist), False], ids=["mnist", "no-mnist"])
def reals(request) -> str:
    """With MNIST, and without it."""
    if not request.param:
        request.getfixturevalue("no_mnist")
    return "test images of MNIST" if request.param else "64 training images of MNIST"


def test_the_mean_and_the_errors_are_those_of_numpy(reals):
    pictures, told = figures.mean_digit({"class": 7, "count": 4, "set": 1})
    pixels = (pictures[:, 0].double().numpy() + 1) / 2
    digits, mean, made = pixels[:-2], pixels[-2], pixels[-1]
    assert len(digits) == told["count"] == min(4, told["available"])
    assert numpy.abs(mean - digits.mean(0)).max() < 1e-6
    expected = [((digits - answer) ** 2).mean() for answer in [*digits, mean, made]]
    assert told["errors"] == pytest.approx(expected, abs=1e-6)
    assert reals in told["about"]


def test_the_digits_are_different_real_ones_of_the_class(reals):
    pictures, _ = figures.mean_digit({"class": 7, "count": 4, "set": 1})
    found = rounds.reals_of(models.images("cdcgan"))
    known = [image.tobytes() for image, label in zip(found.images.numpy(), found.labels) if label == 7]
    drawn = [picture.tobytes() for picture in images.to_uint8(pictures[:-2]).numpy()]
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(known)


@needs_mnist
@pytest.mark.parametrize("digit", range(10))
def test_no_answer_has_a_lower_squared_error_than_the_mean(digit):
    pictures, told = figures.mean_digit({"class": digit, "count": 20, "set": 3})
    *single, mean, made = told["errors"]
    assert mean < min(*single, made)
    assert sum(single) / len(single) == pytest.approx(2 * mean)  # as the text says
    x = (pictures[:-2].double() + 1) / 2
    nearby = x.mean(0) + 0.02 * torch.randn(30, *x.shape[1:], generator=torch.Generator().manual_seed(0)).double()
    assert mean < min(figures.squared_errors(nearby, x))


@needs_mnist
def test_more_digits_begin_with_the_same_ones():
    few, many = (figures.mean_digit({"class": 4, "count": count, "set": 7})[0] for count in (3, 30))
    assert torch.equal(few[:3], many[:3])
    assert torch.equal(few[-1], many[-1])


@needs_mnist
def test_the_stage_gets_the_first_digits_the_mean_and_the_generated_one():
    answer = asyncio.run(figures.how_mean({"class": 4, "count": 30, "set": 7}))
    pictures, _ = figures.mean_digit({"class": 4, "count": 30, "set": 7})
    shown = bytes_of(answer["pictures"])
    assert (shown[:21] == images.to_uint8(pictures)[:21, 0].numpy()).all()
    assert (shown[21:] == images.to_uint8(pictures)[-2:, 0].numpy()).all()
    assert (len(answer["errors"]), len(answer["readings"]), answer["count"]) == (32, 23, 30)
    read = figures.digit_classifier(models.images("cdcgan")).examine(pictures)[1]
    assert answer["readings"][-2] == [int(read[-2].argmax()), pytest.approx(float(read[-2].max()), abs=1e-4)]


def test_without_mnist_there_are_fewer_digits_and_it_is_said(no_mnist):
    answer = asyncio.run(figures.how_mean({"class": 4, "count": 100, "set": 7}))
    found = rounds.reals_of(models.images("cdcgan"))
    assert answer["count"] == answer["available"] == int((found.labels == 4).sum())
    assert answer["pictures"]["count"] == answer["count"] + 2


def test_without_a_classifier_there_are_no_readings(monkeypatch):
    monkeypatch.setattr(figures, "digit_classifier", lambda gan: None)
    reals = rounds.Reals(torch.zeros(3, 1, 28, 28, dtype=torch.uint8), torch.tensor([4, 4, 5]), "", str)
    monkeypatch.setattr(rounds, "reals_of", lambda gan: reals)
    answer = asyncio.run(figures.how_mean({"class": 4, "count": 2, "set": 0}))
    assert (answer["readings"], answer["count"]) == (None, 2)
    answer = asyncio.run(figures.how_mean({"class": 6, "count": 2, "set": 0}))
    assert answer["error"] == "This server has no real picture of the class 6."


@pytest.mark.parametrize(("asked", "sentence"), [
    (None, "The request must be a table"), ({}, "The class must be a whole number from 0 to 9, not None."),
    ({"class": 10, "count": 1, "set": 0}, "The class must be a whole number from 0 to 9, not 10."),
    ({"class": 1, "count": 0, "set": 0}, "The number of digits must be a whole number from 1 to 100, not 0."),
    ({"class": 1, "count": 101, "set": 0}, "The number of digits must be a whole number from 1 to 100, not 101."),
    ({"class": 1, "count": 5, "set": "a"}, "The set of digits must be a whole number from 0 to 9999, not 'a'.")])
def test_a_bad_request_for_a_mean_is_answered_in_a_sentence(asked, sentence):
    assert sentence in asyncio.run(figures.how_mean(asked))["error"]


# what the page has at first

@needs_mnist
def test_the_page_shows_at_first_what_the_server_would_give():
    """After a change of the models: python -c "from ganlib.demo import figures; figures.write_first()"
    """
    def check(kept, now, where=""):
        if isinstance(now, dict) and "pixels" in now:
            ours, theirs = bytes_of(kept).astype(int), bytes_of(now).astype(int)
            assert numpy.abs(ours - theirs).max() <= 2, where  # other machines round otherwise
            kept, now = ({key: value for key, value in part.items() if key != "pixels"} for part in (kept, now))
        if isinstance(now, dict):
            assert kept.keys() == now.keys(), where
            for key in now:
                check(kept[key], now[key], f"{where}.{key}")
        elif isinstance(now, list):
            assert len(kept) == len(now), where
            for i, (one, other) in enumerate(zip(kept, now)):
                check(one, other, f"{where}[{i}]")
        else:
            assert kept == (pytest.approx(now, abs=1e-3) if isinstance(now, float) else now), where

    check(json.loads(figures.FIRST.read_text(encoding="utf-8")), figures.first())


def test_what_the_page_has_at_first_is_small():
    assert figures.FIRST.stat().st_size < 32_000
