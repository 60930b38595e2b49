"""The tab Explore: its server functions, its links and its API."""

import asyncio
import base64
import gc
import io
import weakref
from types import SimpleNamespace

import numpy
import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

import ganlib
from ganlib import directions, images, passport, sampling
from ganlib.demo import explore, fits, models, points
from ganlib.demo.links import Reading
from ganlib.waypoints import Waypoint
from tests.conftest import untrained

BACKED = {directions.MEASURE: dict.fromkeys(directions.ATTRIBUTES, 0.9)}
CORNERS = ["1", "2", "3", "4"]


@pytest.fixture(scope="module")
def loaded():
    found = ganlib.load("mlp-gan", "cpu")
    found.metrics = {**found.metrics, **BACKED}
    return found


@pytest.fixture
def gan(loaded, monkeypatch):
    """The model of the page that is fastest; its directions have earned their names."""
    monkeypatch.setattr(models, "images", lambda name: loaded)
    return loaded


@pytest.fixture
def show(monkeypatch):
    """Makes a model the only one that the tab finds."""
    def set_model(model):
        monkeypatch.setattr(models, "images", lambda name: model)
        return model

    return set_model


def pictures(answer: dict) -> torch.Tensor:
    """The pixels of an answer as (N, H, W, C)."""
    shape = [answer[name] for name in ("count", "height", "width", "channels")]
    return torch.frombuffer(bytearray(base64.b64decode(answer["pixels"])), dtype=torch.uint8).reshape(shape)


def shown(x: torch.Tensor) -> torch.Tensor:
    return images.to_uint8(x).permute(0, 2, 3, 1)


def asking(function, **asked):
    return asyncio.run(function({"model": "mlp-gan", **asked}))


def test_sliders_at_zero_show_the_seed_and_fit_nothing(gan, monkeypatch):
    monkeypatch.setattr(explore, "fitted", None)
    answer = asking(explore.explore_sliders, point="7", amounts=[0, 0])
    assert pictures(answer).equal(shown(gan.sample([7])))
    assert answer["waypoint"] == "7"


def test_a_slider_moves_the_point_along_its_direction(gan):
    answer = asking(explore.explore_sliders, point="7", amounts=[0, 1.5, 0, 0, 0], psi=0.9)
    z = fits.fitted(gan).move(gan.latents([7]), [0, 1.5, 0, 0, 0])
    assert pictures(answer).equal(shown(gan.decode(sampling.truncate(z, 0.9))))
    there = Waypoint.parse(answer["waypoint"], gan).latent(gan)
    torch.testing.assert_close(there, sampling.truncate(z, 0.9)[0], atol=2e-3, rtol=0)
    assert directions.attributes(gan.decode(z))["weight"] > directions.attributes(gan.sample([7]))["weight"]


def test_the_strips_show_other_seeds_and_the_slider_from_end_to_end(gan):
    at = {"point": "3", "amounts": [0.0, 2.0, 0.0, 0.0, 0.0]}
    found = fits.fitted(gan)
    others = pictures(asking(explore.explore_sliders, **at, strip="seeds"))
    z = found.move(gan.latents([4, 5, 6, 8, 9, 10, 3]), at["amounts"])
    assert (others.int() - shown(gan.decode(z)).int()).abs().max() <= 1
    sweep = pictures(asking(explore.explore_sliders, **at, strip="slider", slider=1))
    assert len(sweep) == 14
    assert (sweep[10].int() - sweep[13].int()).abs().max() <= 1  # +2, where the slider is
    ends = directions.attributes(sweep[[0, 12]].permute(0, 3, 1, 2) / 127.5 - 1)["weight"]
    assert ends[0] < ends[1]


def test_directions_are_fitted_once_and_kept_no_longer_than_their_model(monkeypatch):
    count = []
    monkeypatch.setattr(directions, "named", lambda model: count.append(1) or SimpleNamespace(model=model))
    gan = untrained("mlp-gan")
    gan.metrics = BACKED
    assert fits.fitted(gan) is fits.fitted(gan)
    assert count == [1]
    there = weakref.ref(gan)
    del gan
    gc.collect()
    assert there() is None


@pytest.mark.parametrize("metrics", [{}, {directions.MEASURE: {"slant": 0.9}, fits.HASH: "of other weights"}],
                         ids=["none", "of other weights"])
def test_correlations_are_measured_where_the_metrics_lack_them(gan, monkeypatch, metrics):
    monkeypatch.setattr(gan, "metrics", metrics)
    monkeypatch.delitem(vars(gan), fits.KEY, raising=False)
    monkeypatch.setattr(directions, "of_attributes", lambda model: "all five")
    monkeypatch.setattr(directions, "correlations", lambda _, found, n: {"slant": 0.8} if found == "all five" else {})
    monkeypatch.setattr(directions, "named", lambda model: SimpleNamespace(
        model=model, names=(*model.metrics[directions.MEASURE], "direction 1")))
    assert explore.named_sliders("mlp-gan") == [{"name": "slant", "correlation": 0.8},
                                                {"name": "direction 1", "correlation": None}]
    assert gan.metrics == metrics
    vars(gan).pop(fits.KEY)


def test_colour_models_have_directions_without_names_and_planes_of_their_size(show):
    gan = show(untrained("cdcgan", shape=(3, 64, 64), generator_channels=(4, 4, 4), discriminator_channels=(8, 8),
                         features=8))
    assert explore.named_sliders("x")[4] == {"name": "direction 5", "correlation": None}
    answer = asking(explore.explore_sliders, point="7:3", amounts=[0, 0, 2, 0, 0])
    assert pictures(answer).shape == (1, 64, 64, 3)
    assert answer["waypoint"].endswith(":3")
    assert answer["labels"] == [3]
    answer = asking(explore.explore_grid, corners=CORNERS, side=17)
    assert answer["side"] == 9
    assert answer["count"] == 81
    assert asking(explore.explore_model)["classes"] == list(gan.class_names)


def test_the_grid_has_the_seeds_at_its_corners(gan):
    grid = pictures(asking(explore.explore_grid, corners=CORNERS, side=5))
    assert (grid[[0, 4, 20, 24]].int() - shown(gan.sample([1, 2, 3, 4])).int()).abs().max() <= 1
    there = asking(explore.explore_plane, corners=CORNERS, at=[0.25, 0.75])
    assert (pictures(there).int() - grid[16].int()).abs().max() <= 1


def test_latents_on_the_plane_are_as_long_as_the_corners(gan):
    corners = [Waypoint.parse(text, gan) for text in CORNERS]
    z, shares = explore.on_plane(gan, corners, "own", torch.tensor([[0.5, 0.5], [1, 0]]))
    lengths = gan.latents([1, 2, 3, 4]).norm(dim=1)
    torch.testing.assert_close(z.norm(dim=1), torch.stack([lengths.mean(), lengths[1]]))
    assert shares is None


def test_classes_of_a_plane_are_one_or_the_corners(show):
    gan = show(untrained("cdcgan", generator_channels=(8, 8, 8), discriminator_channels=(8, 8), features=8))
    corners = [Waypoint.parse(text, gan) for text in ("1:2", "1:2", "1:3", "1:4")]
    at = torch.tensor([[0.0, 0.0], [0.5, 0.5]])
    _, shares = explore.on_plane(gan, corners, "own", at)
    assert shares.nonzero().tolist() == [[0, 2], [1, 2], [1, 3], [1, 4]]
    assert shares[1, 2:5].tolist() == [0.5, 0.25, 0.25]
    _, shares = explore.on_plane(gan, corners, "7", at)
    assert shares.argmax(1).tolist() == [7, 7]
    assert asking(explore.explore_plane, corners=["1", "2", "3", "4"], at=[0, 0])["labels"] == (
        sampling.labels([1, 2, 3, 4], 10).tolist())


def test_arithmetic_gives_the_result_a_class(show):
    gan = show(untrained("cdcgan", generator_channels=(8, 8, 8), discriminator_channels=(8, 8), features=8))
    answer = asking(explore.explore_arithmetic, a="1:7", b="2:7", c="3:4")
    z = sampling.arithmetic(*gan.latents([1, 2, 3]))
    assert pictures(answer)[3:].equal(shown(gan.decode(z[None], [4])))
    assert pictures(answer)[:3].equal(shown(gan.sample([1, 2, 3], [7, 7, 4])))
    assert answer["waypoint"].endswith(":4")
    assert asking(explore.explore_arithmetic, a="1:7", b="2:4", c="3:4")["waypoint"].endswith(":7")


@pytest.mark.parametrize(("part", "values"), [
    ("sliders", {"point": "7", "amounts": [1.0, 0.0, 0.0, 0.0, 0.0]}),
    ("plane", {"corners": CORNERS, "at": [0.3, 0.4], "class": "own"}),
    ("arithmetic", {"a": "1", "b": "2", "c": "3"})])
def test_a_saved_picture_restores_the_part(gan, part, values):
    answer = asking(explore.explore_save, part=part, psi=0.8, **values)
    assert answer["name"] == "mlp-gan-explore.png"
    found = passport.read(base64.b64decode(answer["file"]))
    assert found["tab"] == "explore"
    reading = Reading({name: value for name, value in found.items() if name != "tab"})
    state = explore.restore(reading)[0]["state"]
    assert not reading.words
    assert {name: state[name] for name in ("part", "psi", *values)} == {"part": part, "psi": 0.8, **values}
    with Image.open(io.BytesIO(base64.b64decode(answer["file"]))) as image:
        assert image.width > (1000 if part == "arithmetic" else 300)


def test_a_link_is_read_and_what_is_not_valid_falls_back(gan):
    good = Reading({"part": "plane", "point": "z" + sampling.latent_to_text(gan.latents([5])[0]), "amounts": "1,-2.5",
                    "corners": "5,6,7,8", "at": "0.1,1", "psi": "1.5", "a": "4", "class": "own"})
    state = explore.restore(good)[0]["state"]
    assert not good.words
    assert (state["amounts"], state["corners"], state["at"], state["psi"], state["a"]) == (
        [1, -2.5, 0, 0, 0], ["5", "6", "7", "8"], [0.1, 1], 1.5, "4")
    assert state["point"].startswith("z")
    bad = Reading({"part": "sphere", "point": "10000", "amounts": "1,9", "corners": "1,2,3", "at": "0.5", "psi": "3",
                   "class": "3", "c": "7:1"})
    state = explore.restore(bad)[0]["state"]
    assert len(bad.words) == len(bad.values)
    first = explore.first("cdcgan")
    assert state == {"model": "cdcgan", "part": "sliders", **{name: first[name] for name in first if name not in "ab"}}


def test_a_state_sets_only_what_it_names(gan):
    assert explore.restore(Reading({"model": "mlp-gan", "point": "40"}))[0]["state"] == {"model": "mlp-gan",
                                                                                          "point": "40"}


@pytest.mark.parametrize(("values", "told"), [
    ({"amounts": "1,,2"}, "an amount must be a number from -3 to 3, not ''"),
    ({"corners": "1,,3,4"}, "a waypoint is a seed such as 3"),
    ({"corners": "1,2,3"}, "a plane has 4 waypoints, separated by commas, not 3"),
    ({"at": "0.5,,0.5"}, "a place on the plane is two numbers")])
def test_a_missing_number_is_refused_and_no_other_one_takes_its_place(gan, values, told):
    reading = Reading(values)
    explore.restore(reading)
    assert told in reading.words[0]


def test_the_page_knows_where_each_model_begins(gan):
    known = explore.about("mlp-gan", ())
    assert known == asking(explore.explore_model)
    reading = Reading({**known["first"], "model": "mlp-gan"})
    assert explore.restore(reading)[0]["state"] == {"model": "mlp-gan", **known["first"]}
    assert not reading.words


@pytest.mark.parametrize(("function", "asked", "told"), [
    (explore.explore_sliders, {"point": "x"}, "A waypoint is a seed such as 3"),
    (explore.explore_sliders, {"point": "7", "amounts": [1] * 6}, "There are at most 5 amounts, not 6."),
    (explore.explore_sliders, {"point": "7", "amounts": [3.5]}, "An amount must be a number from -3 to 3, not 3.5."),
    (explore.explore_sliders, {"point": "7", "strip": "slider", "slider": 5}, "Slider must be a whole number from 0"),
    (explore.explore_plane, {"corners": [1, 2, 3, 4], "at": [0.5, 2]}, "A place on the plane must be a number from 0"),
    (explore.explore_plane, {"corners": [1, 2, 3, 4], "at": [0.5, 0.5], "class": "3"}, "mlp-gan has no classes"),
    (explore.explore_grid, {"corners": [1, 2, 3, 4], "side": 99}, "Side must be a whole number from 2 to 17"),
    (explore.explore_arithmetic, {"a": "1", "b": "2", "c": "3", "psi": 5}, "Truncation ψ must be a number from 0"),
    (explore.explore_save, {"part": "all"}, "The part must be one of sliders, plane, arithmetic")])
def test_what_is_not_valid_is_refused_in_a_sentence(gan, function, asked, told):
    assert told in asking(function, **asked)["error"]


def test_toys_are_refused():
    assert "which are no pictures" in asyncio.run(explore.explore_model({"model": "toy-ring"}))["error"]


@pytest.fixture(scope="module")
def client(address):
    found = Client(address, verbose=False)
    yield found
    found.close()


def test_the_api_moves_points(client):
    gan = ganlib.load("mlp-gan", "cpu")
    picture, told = client.predict("mlp-gan", "7", [0, 0, 0, 0, 0], "any", 0.9, api_name="/explore")
    assert far(picture, gan.sample([7], truncation=0.9)) <= 1
    assert len(told["sliders"]) == 5
    assert passport.read(picture)["point"] == "7"
    picture, told = client.predict("mlp-gan", "1,2,3,4", 1, 0, "own", 1, api_name="/plane")
    assert far(picture, gan.sample([2])) <= 1
    picture, told = client.predict("mlp-gan", "1", "2", "3", 1, api_name="/arithmetic")
    z = Waypoint.parse(told["waypoint"], gan).latent(gan)
    assert far(picture, gan.decode(z[None])) <= 3  # the text of a latent has float16 numbers
    with pytest.raises(AppError, match="plane has 4 waypoints"):
        client.predict("mlp-gan", "1,2", 1, 0, "own", 1, api_name="/plane")


def far(path: str, x: torch.Tensor) -> int:
    """By how many of 255 shades a file differs at most from the enlarged picture x (1, C, H, W)."""
    with Image.open(path) as image:
        found = numpy.asarray(image.convert("RGB")).astype(int)
    wanted = points.alone(x[0], ganlib.load("mlp-gan", "cpu")).convert("RGB")
    return int(numpy.abs(found - numpy.asarray(wanted).astype(int)).max())
