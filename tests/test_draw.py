"""The tab Draw on the server: what its stage asks for, and its API."""

import asyncio
import base64
import io
from types import SimpleNamespace

import numpy
import pytest
import torch
from gradio.processing_utils import encode_pil_to_bytes
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from ganlib import drawing, images, passport
from ganlib.demo import draw, models, searches
from ganlib.demo.labs import Busy
from ganlib.demo.links import Reading
from ganlib.demo.searches import Searches
from ganlib.waypoints import Waypoint
from tests.conftest import untrained
from tests.test_drawing import scene


@pytest.fixture(scope="module")
def cdcgan():
    return models.get("cdcgan")


@pytest.fixture(scope="module")
def seven(cdcgan) -> torch.Tensor:
    """A generated 7, in the 16 levels of a drawing."""
    return drawing.rounded(cdcgan.sample([3], 7)[0])


def asked(function, values, visitor: str = "one"):
    """The answer of a server function."""
    async def table():
        return {"session_hash": visitor}

    request = [SimpleNamespace(json=table)] if function in (draw.draw_find, draw.draw_stop) else []
    return asyncio.run(function(values, *request))


def ink_of(x: torch.Tensor) -> str:
    """The drawing as ink, as the browser sends it: white on black, 84×84."""
    return base64.b64encode(images.enlarge(images.to_pil(x), 3).tobytes()).decode()


def test_the_networks_say_what_they_see(cdcgan, seven):
    said = asked(draw.draw_read, {"model": "cdcgan", "ink": ink_of(seven)})
    assert (said["read"], said["class"], said["asRead"]) == (7, 7, True)
    assert said["sure"] == max(said["digits"]) > 0.9
    assert sum(said["digits"]) == pytest.approx(1)
    x = drawing.from_text(said["drawing"])
    assert said["probability"] == pytest.approx(cdcgan.discriminate(x[None], [7]).item())
    assert base64.b64decode(said["pixels"]) == images.to_pil(x).tobytes()
    again = asked(draw.draw_read, {"model": "cdcgan", "drawing": said["drawing"]})
    assert again == said


def test_the_discriminator_is_asked_about_the_class_that_the_visitor_chose(cdcgan, seven):
    said = asked(draw.draw_read, {"model": "cdcgan", "class": 2, "drawing": drawing.to_text(seven)})
    assert (said["read"], said["class"]) == (7, 2)
    assert said["probability"] == pytest.approx(cdcgan.discriminate(seven[None], [2]).item())


def test_a_model_without_classes_is_asked_about_none(seven):
    said = asked(draw.draw_read, {"model": "dcgan", "drawing": drawing.to_text(seven)})
    assert (said["names"], said["class"], said["read"]) == ([], None, 7)
    assert asked(draw.draw_read, {"model": "dcgan"}) == {"names": [], "asRead": False}


def test_classes_that_are_no_digits_have_to_be_chosen(monkeypatch, seven):
    shoes = untrained("cdcgan", num_classes=2)
    shoes.config["class_names"] = ["boots", "sandals"]
    with pytest.raises(ValueError, match="the classes of cdcgan are no digits: choose one"):
        draw.judge(shoes, seven)
    assert draw.judge(shoes, seven, 1)["class"] == 1
    monkeypatch.setattr(models, "get", lambda name: shoes)
    said = asked(draw.draw_read, {"model": "shoes", "drawing": drawing.to_text(seven)})
    assert (said["names"], said["asRead"], said["class"]) == (["boots", "sandals"], False, 0)


TEXT = drawing.to_text(torch.full((1, 28, 28), -1.0))


@pytest.mark.parametrize(("function", "values", "sentence"), [
    (draw.draw_read, [], "The request must be a table of names and values, not []."),
    (draw.draw_read, {"model": "toy-sine", "drawing": TEXT}, "toy-sine makes samples of shape (2,); this tab needs"),
    (draw.draw_read, {"drawing": TEXT}, "There is no model ''"),
    (draw.draw_read, {"model": "dcgan", "drawing": "x"}, "The text of a drawing has 523 letters"),
    (draw.draw_read, {"model": "dcgan", "ink": "A" * 9_409}, "A picture is sent as at most 9,408 characters"),
    (draw.draw_read, {"model": "dcgan", "ink": "é"}, "A picture is sent in base64."),
    (draw.draw_read, {"model": "dcgan", "ink": "AAAA"}, "The ink must have 84×84 pixels, not 3."),
    (draw.draw_read, {"model": "dcgan", "ink": "A" * 9_408}, "The drawing is empty: there is no ink in it."),
    (draw.draw_read, {"model": "dcgan", "drawing": TEXT, "class": 3}, "dcgan has no classes"),
    (draw.draw_read, {"model": "cdcgan", "drawing": TEXT, "class": 10}, "A label must be a whole number from 0 to 9"),
    (draw.draw_photo, {"photo": "AAAA"}, "The file is no picture that can be read"),
    (draw.draw_find, {"model": "dcgan", "drawing": TEXT, "seed": -1}, "Seed must be a whole number from 0 to 9999"),
    (draw.draw_found, {"model": "dcgan", "drawing": TEXT, "latent": "zA"}, "The text of a latent of 100 numbers"),
    (draw.draw_found, {"model": "dcgan", "drawing": TEXT, "latent": []}, "A waypoint is a seed"),
    (draw.draw_found, {"model": "dcgan", "drawing": TEXT, "latent": "10000"}, "Seed must be a whole number from 0 to"),
    (draw.draw_save, {"model": "cdcgan", "drawing": TEXT, "class": "x"}, "The class must be a whole number"),
    (draw.draw_save, {"model": "dcgan", "drawing": TEXT, "latent": "10000"}, "Seed must be a whole number from 0 to"),
])
def test_what_does_not_fit_is_refused_in_a_sentence(function, values, sentence):
    answer = asked(function, values)
    assert answer["error"].startswith(sentence)
    assert "\n" not in answer["error"]


def test_a_photo_comes_with_its_steps():
    file = io.BytesIO()
    scene(pen=10).save(file, "JPEG")
    answer = asked(draw.draw_photo, {"photo": base64.b64encode(file.getvalue()).decode()})
    assert [step["words"] for step in answer["steps"]] == ["Grey", "Ink: dark ink on light paper", "Cut out",
                                                          "Scaled and centred"]
    with Image.open(io.BytesIO(base64.b64decode(answer["steps"][-1]["png"]))) as last:
        # in 16 levels of 255
        apart = numpy.asarray(last).astype(int) - images.to_uint8(drawing.from_text(answer["drawing"]))[0].numpy()
        assert numpy.abs(apart).max() <= 9


def test_a_search_comes_closer_until_it_ends_and_the_same_request_repeats_it(monkeypatch, seven):
    small = untrained("cdcgan", generator_channels=(8, 8, 8), discriminator_channels=(8, 8), features=8)
    monkeypatch.setattr(models, "get", lambda name: small)
    monkeypatch.setattr(searches, "BUDGET", 0)  # one step a request
    values = {"model": "cdcgan", "class": None, "drawing": drawing.to_text(seven), "seed": 4}
    answers = [asked(draw.draw_find, values)]
    while not answers[-1]["done"]:
        answers.append(asked(draw.draw_find, values))
    last = answers[-1]
    assert len(answers) > 3
    assert [answer["share"] for answer in answers] == sorted(answer["share"] for answer in answers)
    assert last["psnr"] >= answers[0]["psnr"]
    assert last["class"] == 7  # which the classifier reads
    assert last["off"] == pytest.approx(10 ** (-last["psnr"] / 20))
    found = small.invert(seven[None], [7], seed=4)
    assert str(Waypoint.at(found.latents[0], 7)) == last["latent"]
    kept = asked(draw.draw_found, {**values, "latent": last["latent"]})
    assert kept["pixels"] == last["pixels"]
    assert kept["psnr"] == pytest.approx(last["psnr"], abs=1e-3)


def test_searches_are_few_and_dropped(monkeypatch):
    monkeypatch.setattr(searches, "BUDGET", 0)
    now = [0.0]
    everyones = Searches(clock=lambda: now[0])

    def begin():
        yield from [(0.5, "so far"), (1.0, "closest")]  # searches do not look into what is found

    for i in range(searches.MAX_SEARCHES):
        assert everyones.advance(f"visitor {i}", "a", begin).share == 0.5
    with pytest.raises(Busy, match="try again in a minute"):
        everyones.advance("late", "a", begin)
    assert everyones.advance("visitor 0", "a", begin).share == 1
    assert everyones.advance("visitor 0", "b", begin).share == 0.5  # of another drawing
    everyones.drop("visitor 1")
    everyones.advance("late", "a", begin)
    assert len(everyones) == searches.MAX_SEARCHES
    now[0] = searches.IDLE + 1
    everyones.advance("later", "a", begin)
    assert len(everyones) == 1


def test_a_search_that_its_visitor_stops_makes_room_for_others():
    draw.SEARCHES.advance("one", "a", lambda: iter([(0.5, "so far"), (1.0, "closest")]))
    before = len(draw.SEARCHES)
    assert asked(draw.draw_stop, {}, "other") == {}
    assert len(draw.SEARCHES) == before
    assert asked(draw.draw_stop, {}) == {}
    assert len(draw.SEARCHES) == before - 1


def test_a_search_that_fails_is_dropped():
    everyones = Searches()

    def begin():
        raise RuntimeError("out of memory")
        yield

    with pytest.raises(RuntimeError, match="out of memory"):
        everyones.advance("visitor", "a", begin)
    assert len(everyones) == 0


def test_a_saved_picture_brings_the_drawing_and_what_was_found_back(cdcgan, seven):
    latent = str(Waypoint.at(cdcgan.latents([5])[0], 7))
    values = {"model": "cdcgan", "class": 7, "drawing": drawing.to_text(seven), "latent": latent}
    answer = asked(draw.draw_save, values)
    assert answer["name"] == "drawing-cdcgan.png"
    saved = passport.read(base64.b64decode(answer["file"]))
    (state,) = draw.restore(Reading({name: value for name, value in saved.items() if name != "tab"}))
    assert (saved["tab"], state["state"]) == ("draw", values)
    alone = asked(draw.draw_save, {**values, "latent": None})
    reading = Reading({**passport.read(base64.b64decode(alone["file"]))})
    assert (draw.restore(reading)[0]["state"], reading.words) == ({**values, "latent": None}, [])
    with Image.open(io.BytesIO(base64.b64decode(alone["file"]))) as picture:
        assert picture.size == (448, 448)
        assert (images.from_pil(picture.resize((28, 28), Image.Resampling.NEAREST)) - seven).abs().max() < 0.01


def test_bad_values_of_a_link_fall_back_with_a_word():
    reading = Reading({"model": "toy-sine", "class": "12", "drawing": "no", "latent": "z"})
    (state,) = draw.restore(reading)
    assert state["state"] == {"model": models.image_models()[0], "class": None, "drawing": None, "latent": None}
    assert len(reading.words) == 4
    reading = Reading({"model": "dcgan", "latent": "10000"})  # no seed of the page
    assert (draw.restore(reading)[0]["state"]["latent"], len(reading.words)) == (None, 1)


@pytest.fixture(scope="module")
def client(address):
    found = Client(address, verbose=False)
    yield found
    found.close()


def test_the_api_reads_a_picture(client, seven, tmp_path):
    images.to_pil(seven).save(tmp_path / "seven.png")
    said = client.predict("cdcgan", handle_file(tmp_path / "seven.png"), api_name="/read")
    assert (said["reading"], said["class"]) == (7, 7)
    assert said["probability"] == pytest.approx(draw.judge(models.get("cdcgan"), seven)["probability"], abs=1e-4)
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    for file, sentence in ((handle_file(tmp_path / "text.png"), "no picture that can be read"),
                           (None, "/read needs a value for picture")):
        with pytest.raises(AppError, match=sentence):
            client.predict("dcgan", file, api_name="/read")


def test_a_picture_is_inverted(monkeypatch, seven, tmp_path):
    small = untrained("cdcgan", generator_channels=(8, 8, 8), discriminator_channels=(8, 8), features=8)
    monkeypatch.setattr(models, "get", lambda name: small)
    images.to_pil(seven).save(tmp_path / "seven.png")
    picture, said = draw.invert("cdcgan", {"path": str(tmp_path / "seven.png")}, "2", 5)
    point = Waypoint.parse(said["latent"], small)
    assert (point.label(small), said["class"]) == (2, 2)
    assert (images.from_pil(picture) - small.decode(point.latent(small)[None], [2])[0]).abs().max() < 0.02
    written = passport.read(encode_pil_to_bytes(picture, "png"))  # as gradio makes its file
    assert (written["tab"], written["latent"], written["class"]) == ("draw", said["latent"], 2)
    assert drawing.from_text(written["drawing"]).equal(seven)
    scene().save(tmp_path / "three.png")
    assert draw.read("cdcgan", {"path": str(tmp_path / "three.png")})["class"] == 3


@pytest.mark.slow
def test_the_api_inverts_a_picture(client, cdcgan, seven, tmp_path):
    images.to_pil(seven).save(tmp_path / "seven.png")
    path, said = client.predict("cdcgan", handle_file(tmp_path / "seven.png"), api_name="/invert")
    assert (said["class"], said["reading"]) == (7, 7)
    assert said["psnr"] > 20
    assert passport.read(path)["latent"] == said["latent"]
