import pytest
import torch

from ganlib import sampling, waypoints
from ganlib.model import Model
from ganlib.waypoints import Waypoint
from tests.conftest import untrained

SMALL = {"generator_channels": (8, 4, 4), "discriminator_channels": (4, 4, 4)}


@pytest.fixture(scope="module")
def plain() -> Model:
    return untrained(**SMALL)


@pytest.fixture(scope="module")
def with_classes() -> Model:
    return untrained("cdcgan", num_classes=10, **SMALL)


def text_of(seed: int) -> str:
    return "z" + sampling.latent_to_text(sampling.latents([seed], 100)[0])


def test_a_seed_is_its_latent_and_the_class_that_it_picks(plain, with_classes):
    assert torch.equal(Waypoint.parse("3", plain).latent(plain), plain.latents([3])[0])
    assert Waypoint.parse("3", plain).label(plain) is None
    picked = int(with_classes.labels_of([3])[0])
    assert Waypoint.parse("3", with_classes).label(with_classes) == picked
    assert Waypoint.parse(f"3:{(picked + 1) % 10}", with_classes).label(with_classes) == (picked + 1) % 10


def test_a_found_latent_is_itself(plain, with_classes):
    z = plain.latents([5])[0].half().float()
    assert torch.equal(Waypoint.parse(text_of(5), plain).latent(plain), z)
    point = Waypoint.parse(f"{text_of(5)}:7", with_classes)
    assert torch.equal(point.latent(with_classes), z)
    assert point.label(with_classes) == 7
    assert point == Waypoint.at(z, 7)


@pytest.mark.parametrize("text", ["0", "9999", "4294967295", "3:0", f"{text_of(1)}:9"])
def test_a_waypoint_is_its_text(text, with_classes):
    assert str(Waypoint.parse(text, with_classes)) == text


def test_one_waypoint_has_one_text(with_classes):
    assert str(Waypoint.parse("007:03", with_classes)) == "7:3"


@pytest.mark.parametrize("text", ["", "x", "-1", "3:", ":3", "3:-1", " 3", "3\n", "1.5", "1e3", "٣", "3:7:1", "z", "Z",
                                  3, None, ["3"], b"3", "9" * 11, "z!", "z" + "é" * 267, "3" * 10**5])
def test_other_texts_are_refused_in_one_sentence(text, with_classes):
    with pytest.raises(ValueError, match="a waypoint is a seed such as 3, or 3:7 for seed 3 as class 7") as caught:
        Waypoint.parse(text, with_classes)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("text", "sentence"), [
    ("4294967296", "a seed must be a whole number from 0 to 4294967295"),
    ("3:10", "a waypoint's class must be a whole number from 0 to 9, not 10"),
    (text_of(1), "cdcgan has classes: a found latent needs one, such as :0 at its end"),
    (text_of(1)[:-1] + ":3", "of 100 numbers has 267 characters, not 266"),
    ("z" + "_" * 267 + ":3", "the numbers of a latent must be from -100 to 100"),
])
def test_waypoints_of_no_model_or_another_one_are_refused(text, sentence, with_classes):
    with pytest.raises(ValueError, match=sentence):
        Waypoint.parse(text, with_classes)


def test_a_model_without_classes_has_waypoints_without_them(plain):
    for text in ("3:7", f"{text_of(1)}:7"):
        with pytest.raises(ValueError, match="dcgan has no classes: a waypoint must be without one") as caught:
            Waypoint.parse(text, plain)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("arguments", "sentence"), [
    ({}, "a waypoint is a seed or a found latent, one of them"), ({"seed": 3, "found": "ADw"}, "one of them"),
    ({"chosen": 3}, "one of them"), ({"seed": -1}, "a seed must be a whole number from 0"),
    ({"seed": "3"}, "a seed must be a whole number"),
    ({"found": "<b>"}, "has letters, digits, - and _ alone, not '<b>'"), ({"found": ""}, "has letters"),
    ({"found": "AD:7"}, "has letters"), ({"found": 5}, "has letters"),
    ({"seed": 3, "chosen": "abc"}, "a waypoint's class must be a whole number from 0 to 999999, not 'abc'"),
    ({"seed": 3, "chosen": True}, "a waypoint's class must be")])
def test_a_waypoint_without_meaning_cannot_be_made(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Waypoint(**arguments)


def test_a_class_may_be_of_any_integer_type_but_no_text():
    assert str(Waypoint.at(torch.ones(1), torch.tensor(7))) == "zADw:7"
    with pytest.raises(ValueError, match="a waypoint's class must be a whole number"):
        Waypoint.at(torch.ones(1), "<b>")


def test_waypoints_without_number_or_in_inference_mode(plain):
    with pytest.raises(ValueError, match="give at least one waypoint"):
        waypoints.ends([], plain)
    with torch.inference_mode():
        z, _ = waypoints.ends([Waypoint(3), Waypoint(8)], plain)
    assert not z.is_inference()


def test_waypoints_are_the_ends_of_a_walks_legs(plain, with_classes):
    points = [Waypoint.parse(text, with_classes) for text in ("3", "5:2", f"{text_of(8)}:1")]
    z, labels = waypoints.ends(points, with_classes)
    assert labels == [int(with_classes.labels_of([3])[0]), 2, 1]
    x = with_classes.walk(z, labels, 4)
    torch.testing.assert_close(x[::3], with_classes.decode(z, labels), atol=1e-5, rtol=0)
    _, labels = waypoints.ends([Waypoint.parse("3", plain)], plain)
    assert labels is None
