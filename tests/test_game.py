"""The game "Real or generated?": its rounds, its scores, and which real pictures it plays with."""

import asyncio
import base64
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import ganlib
from ganlib import images, passport, report
from ganlib.data import DATASETS, scale
from ganlib.demo import game, models, rounds
from ganlib.demo.links import Reading
from tests.conftest import needs_mnist, untrained

WEIGHTS = Path(__file__).parent.parent / "weights"


@pytest.fixture(autouse=True)
def _few_usual_pictures(monkeypatch):
    monkeypatch.setattr(rounds, "USUAL", 60)


@pytest.fixture(params=["test images", "sheet"])
def reals(request, monkeypatch, tmp_path):
    """The game with MNIST at hand, and without it."""
    if request.param == "sheet":
        monkeypatch.setenv("GANLIB_DATA", str(tmp_path))
    elif rounds._test_images("mnist") is None:
        pytest.skip("MNIST is not at hand")
    return request.param


@needs_mnist
@pytest.mark.parametrize("name", ["cdcgan", "dcgan", "mlp-gan"])
def test_the_shipped_sheets_give_back_training_images_to_the_pixel(name, digits):
    found = images.to_uint8(report.nearest_of(WEIGHTS / name / "nearest.png", (1, 28, 28)))
    known = {image.tobytes() for image in digits.images.numpy()}
    assert 50 < len(found) <= 64
    assert {image.tobytes() for image in found.numpy()} <= known


@pytest.mark.parametrize(("shape", "scale_", "n", "columns"), [((1, 56, 28), 2, 7, 4), ((3, 5, 9), 1, 6, 6),
                                                               ((1, 4, 3), 5, 6, 2)])
def test_tiles_undo_a_contact_sheet(shape, scale_, n, columns):
    x = scale(torch.randint(256, (n, *shape), dtype=torch.uint8))
    sheet = images.contact_sheet(x, columns, scale_)
    assert torch.equal(images.tiles(sheet, shape, scale_)[:n], x)
    with pytest.raises(ValueError, match=f"does not show images of {shape[2] + 9} by {shape[1]} pixels"):
        images.tiles(sheet, (shape[0], shape[1], shape[2] + 9), scale_)
    with pytest.raises(ValueError, match="the sheet of [25] by [25] pixels does not show images"):
        images.tiles(Image.new("RGB", (max(2, scale_),) * 2), shape, scale_)
    with pytest.raises(ValueError, match="scale must be a whole number from 1"):
        images.tiles(sheet, shape, 0)


def test_a_foreign_sheet_is_not_decoded_unless_it_has_the_expected_size(tmp_path):
    Image.new("1", (930, 459)).save(tmp_path / "nearest.png")
    with pytest.raises(ValueError, match="has too many pixels: it may have 425,940"):
        report.nearest_of(tmp_path / "nearest.png", (1, 28, 28))
    with pytest.raises(ValueError, match=r"samples of shape \(2,\) are no images"):
        report.nearest_of(tmp_path / "nearest.png", (2,))


def test_a_number_names_a_round_of_real_and_generated_pictures(reals):
    gan = models.get("cdcgan")
    first, again, other = rounds.draw(gan, 5), rounds.draw(gan, 5), rounds.draw(gan, 6)
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)
    pool = {image.tobytes() for image in rounds.reals_of(gan).images.numpy()}
    for drawn in (first, other):
        assert [image.tobytes() in pool for image in images.to_uint8(drawn.x).numpy()] == drawn.real
        for x, label, seed in zip(drawn.x, drawn.labels, drawn.seeds):
            if seed is not None:
                assert (gan.sample([seed], int(label))[0] - x).abs().max() <= 1 / 127.5
                assert label == gan.labels_of([seed])[0]  # so that "any" in Generate shows the same picture


def test_about_half_of_many_pictures_are_real():
    gan = models.get("mlp-gan")
    counts = [sum(rounds.draw(gan, number).real) for number in range(25)]
    assert 95 < sum(counts) < 155
    assert min(counts) < 5 < max(counts)


def test_the_answers_are_the_discriminators_own(reals):
    gan = models.get("cdcgan")
    truth = [rounds.REAL if real else rounds.GENERATED for real in rounds.draw(gan, 5).real]
    found = game.answers("cdcgan", 5, truth)
    assert json.loads(json.dumps(found)) == found
    assert (found["you"], found["of"], found["by_chance"]) == (10, 10, 1 / 1024)
    drawn = rounds.draw(gan, 5)
    probabilities = gan.discriminate(drawn.x, drawn.labels).tolist()
    assert [row["probability"] for row in found["pictures"]] == pytest.approx(probabilities, abs=1e-4)
    said = [rounds.REAL if probability > 0.5 else rounds.GENERATED for probability in probabilities]
    assert found["discriminator"] == sum(one == other for one, other in zip(said, truth))
    assert ("test images of MNIST" if reals == "test images" else "64 training images of MNIST") in found["about"]
    for row, label in zip(found["pictures"], drawn.labels.tolist()):
        assert row["sentence"].endswith(f", {row['class']}.")
        assert row["class"].endswith(str(label))
        assert (row["seed"] is None) == (row["truth"] == rounds.REAL)
    wrong = [rounds.GENERATED if word == rounds.REAL else rounds.REAL for word in truth]
    assert game.answers("cdcgan", 5, wrong)["you"] == 0


@needs_mnist
def test_the_class_of_a_real_picture_is_its_label():
    gan, mnist = models.get("cdcgan"), DATASETS["mnist"](None, False, False)
    labels = {image.tobytes(): int(label) for image, label in zip(mnist.images.numpy(), mnist.labels)}
    drawn = rounds.draw(gan, 5)
    for x, label, real in zip(images.to_uint8(drawn.x).numpy(), drawn.labels, drawn.real):
        assert not real or labels[x.tobytes()] == label


def test_chance_and_the_usual_share():
    assert rounds.by_chance(7) == pytest.approx(176 / 1024)  # 17% of games, as the page says
    assert rounds.by_chance(0) == 1
    assert 0.4 < rounds.usual(models.get("dcgan")) < 0.8
    assert rounds.usual(untrained("mlp-gan", shape=(3, 33, 33))) is None


def test_the_sheet_hides_the_truth_and_both_have_passports():
    found = json.loads(game.game("dcgan", 5).info["ganlib"])
    assert (found["tab"], found["model"], found["round"]) == ("game", "dcgan", 5)
    answer = asyncio.run(game.game_picture({"model": "dcgan", "round": 5, "guesses": ["real"] * 10}))
    assert answer["name"] == "gan-game-5.png"
    reading = Reading(passport.read(base64.b64decode(answer["file"])))
    (state,) = game.restore(reading)
    assert (state["state"], reading.words) == ({"model": "dcgan", "round": 5}, [])
    asked = asyncio.run(game.game_round({"model": "dcgan", "round": 5}))
    assert set(asked) == {"pixels", "count", "height", "width", "channels", "model", "classes", "about"}


def test_the_solved_sheet_is_for_those_who_guessed():
    assert "Guesses must be a list" in asyncio.run(game.game_picture({"model": "dcgan", "round": 5}))["error"]


@pytest.mark.parametrize(("share", "words"), [
    (0, "under 1%"), (0.0049, "under 1%"), (0.12, "12%"), (0.494, "49%"), (0.4996, "49.9%"), (0.5, "50.0%"),
    (0.50001, "50.1%"), (0.503, "50.3%"), (0.506, "51%"), (0.994, "99%"), (0.996, "over 99%"), (1, "over 99%")])
def test_a_share_in_percent_shows_on_which_side_of_one_half_it_is(share, words):
    assert game.percent(share) == words


def test_what_cannot_be_played_is_said_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("GANLIB_DATA", str(tmp_path))
    foreign = untrained("dcgan")
    with pytest.raises(ValueError, match="needs real pictures of its dataset, and this server has none. The host can"):
        rounds.draw(foreign, 1)
    foreign.discriminator = None
    with pytest.raises(ValueError, match="dcgan has no discriminator to play against"):
        rounds.draw(foreign, 1)
    classes = untrained("cdcgan")
    classes.folder = ganlib.save(classes, tmp_path / "classes")
    (tmp_path / "classes" / "nearest.png").write_bytes((WEIGHTS / "cdcgan" / "nearest.png").read_bytes())
    with pytest.raises(ValueError, match="the classes of its real pictures are not known here"):
        rounds.draw(classes, 1)
    Image.new("L", (20, 20)).save(tmp_path / "classes" / "nearest.png")
    with pytest.raises(ValueError, match="does not show images of 28 by 56 pixels"):
        rounds.draw(classes, 1)


@pytest.mark.parametrize(("asked", "sentence"), [
    (None, "The request must be a table"), ({"model": "flow", "round": 1}, "There is no model 'flow'"),
    ({"model": ["dcgan"], "round": 1}, "There is no model"),
    ({"model": "dcgan"}, "Round must be a whole number from 0 to 999999, not None."),
    ({"model": "dcgan", "round": 1, "guesses": ["real"] * 9}, "Guesses must be a list of 10 words"),
    ({"model": "dcgan", "round": 1, "guesses": [True] * 10}, "Guesses must be a list of 10 words")])
def test_a_bad_request_is_answered_in_a_sentence(asked, sentence):
    assert sentence in asyncio.run(game.game_answers(asked))["error"]
