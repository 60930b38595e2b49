"""The tab Interpolate: what its stage asks the server, its files, and the states it opens."""

import asyncio
import base64
import io
import threading
from pathlib import Path

import pytest
import torch
from PIL import Image

import ganlib
from ganlib import images, passport
from ganlib.demo import interpolate, models, worker
from ganlib.demo.links import Reading
from ganlib.waypoints import Waypoint

WALK = {"model": "mlp-gan", "waypoints": ["3", "8", "5"], "steps": 4, "method": "lerp", "closed": True, "psi": 0.7}
DIMENSION = 100  # of the latents of the shipped models


@pytest.fixture(scope="module")
def found() -> str:
    return str(Waypoint.at(torch.linspace(-1, 1, DIMENSION)))


def ask(function, asked) -> dict:
    return asyncio.run(function(asked))


def restored(**values) -> tuple[dict, list[str]]:
    """The state that a link opens, and the words on it."""
    reading = Reading(values)
    (state,) = interpolate.restore(reading)
    return state["state"], reading.words


def test_the_stage_gets_all_pictures_of_a_walk_at_once():
    answer = ask(interpolate.interpolate_walk, WALK)
    model = ganlib.load("mlp-gan", "cpu")
    expected = images.to_uint8(model.walk(model.latents([3, 8, 5]), None, 4, "lerp", True, 0.7))
    assert (answer["count"], answer["height"], answer["width"], answer["channels"]) == (9, 28, 28, 1)
    sent = torch.frombuffer(bytearray(base64.b64decode(answer["pixels"])), dtype=torch.uint8)
    assert (sent.int() - expected.flatten().int()).abs().max() <= 1
    assert (answer["labels"], answer["classes"]) == ([None] * 3, [])


def test_the_stage_learns_the_class_of_each_waypoint(found):
    answer = ask(interpolate.interpolate_walk, {"model": "cdcgan", "waypoints": ["3", "3:7", f"{found}:2"], "steps": 2})
    assert answer["labels"] == [int(ganlib.load("cdcgan", "cpu").labels_of([3])[0]), 7, 2]
    assert answer["classes"] == list("0123456789")
    assert answer["count"] == 3


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"model": "flow"}, "There is no model 'flow' on this page; it has "),
    ({"model": None}, "There is no model None on this page; it has "),
    ({"waypoints": ["3"]}, "A walk has 2 to 6 waypoints, separated by commas, not 1."),
    ({"waypoints": "1,2,3,4,5,6,7"}, "A walk has 2 to 6 waypoints, separated by commas, not 7."),
    ({"waypoints": "3,,8"}, "A waypoint is a seed such as 3, or 3:7 for seed 3 as class 7, not ''."),
    ({"waypoints": ["3", "10000"]}, "Seed must be a whole number from 0 to 9999, not 10000."),
    ({"waypoints": ["3", "<b>"]}, "A waypoint is a seed such as 3, or 3:7 for seed 3 as class 7, not '<b>'."),
    ({"waypoints": 3}, "A walk has 2 to 6 waypoints, separated by commas, not 1."),
    ({"waypoints": ["3", "3:7"]}, "mlp-gan has no classes: a waypoint must be without one, not 3:7."),
    ({"waypoints": ["3", "zAAAA"]}, "The text of a latent of 100 numbers has 267 characters, not 4."),
    ({"steps": 65}, "Steps must be a whole number from 2 to 64, not 65."),
    ({"method": ["slerp"]}, "Method must be lerp or slerp, not ['slerp']."),
    ({"closed": "maybe"}, "Yes or no is written 1 or 0, not 'maybe'."),
    ({"psi": "high"}, "Truncation ψ must be a number from 0 to 2, not 'high'."),
])
def test_a_bad_value_is_answered_by_one_sentence(changes, sentence):
    answer = ask(interpolate.interpolate_walk, WALK | changes)
    assert answer["error"].startswith(sentence)


def test_what_is_no_table_and_no_kind_of_file_is_answered_by_one_sentence():
    assert ask(interpolate.interpolate_walk, [1])["error"].startswith("The request must be a table")
    assert ask(interpolate.interpolate_file, WALK | {"kind": "exe"})["error"] == (
        "A walk is saved as gif, mp4, png, not 'exe'.")


def test_a_walk_of_large_pictures_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(interpolate, "MAX_PIXELS", 364 * 364 * 10)
    assert ask(interpolate.interpolate_walk, WALK)["count"] == 9
    assert ask(interpolate.interpolate_walk, WALK | {"steps": 5})["error"] == (
        "Steps must be at most 4, not 5: this is a walk of large pictures.")


@pytest.mark.parametrize("kind", ["gif", "png", pytest.param("mp4", marks=pytest.mark.skipif(
    not images.can_write_mp4(), reason="PyAV is not installed"))])
def test_a_walk_is_saved_with_a_passport_that_opens_it_again(kind):
    answer = ask(interpolate.interpolate_file, WALK | {"kind": kind})
    assert answer["name"] == f"mlp-gan-3-8-5.{kind}"
    values = passport.read(base64.b64decode(answer["file"]))
    assert values == passport.of(models.get("mlp-gan"), "interpolate", **{
        key: value for key, value in WALK.items() if key != "model"})
    assert restored(**values) == (WALK, [])


def test_a_closed_walk_loops_forward_and_an_open_one_goes_there_and_back():
    for closed, frames in ((True, 9), (False, 12)):
        answer = ask(interpolate.interpolate_file, WALK | {"kind": "gif", "closed": closed})
        with Image.open(io.BytesIO(base64.b64decode(answer["file"]))) as movie:
            assert movie.n_frames == frames
            assert movie.info["duration"] == pytest.approx(2_000 / 3, abs=10)  # a leg of 4 steps takes 2 seconds
            assert movie.info["loop"] == 0


def test_few_files_are_made_at_once(monkeypatch):
    monkeypatch.setattr(worker, "_places", threading.Semaphore(0))
    assert ask(interpolate.interpolate_file, WALK | {"kind": "gif"}) == {
        "error": "The server makes files for others at this moment.", "again": True}


def test_a_link_opens_a_walk_and_bad_values_fall_back_with_a_word():
    state, words = restored(model="dcgan", waypoints="7,3", steps="9", method="lerp", closed="1", psi="0.5")
    assert state == {"model": "dcgan", "waypoints": ["7", "3"], "steps": 9, "method": "lerp", "closed": True,
                     "psi": 0.5}
    assert words == []
    state, words = restored(model="nobody", waypoints="7", steps="0", method="spline", closed="x", psi="nan")
    assert state == {"model": "cdcgan", **interpolate.DEFAULTS}
    assert len(words) == 6


def test_a_found_latent_is_added_and_nothing_else_is_changed(found):
    assert restored(model="dcgan", add=found) == ({"model": "dcgan", "add": found}, [])
    state, (word,) = restored(model="cdcgan", add=found)  # without a class
    assert state == {"model": "cdcgan"}
    assert "a found latent needs one" in word


def test_a_walk_of_the_api_has_all_its_files(found):
    strip, gif, mp4, status = interpolate.walk("dcgan", f"3,{found},8", 3, "slerp", False, 1.0)
    assert status.startswith("**dcgan** on ")
    assert ": 5 pictures in " in status
    assert passport.read(Path(gif))["waypoints"] == ["3", found, "8"]
    assert (mp4 is not None) == images.can_write_mp4()
    assert Path(gif).name == "dcgan-3-found-8.gif"
    assert strip.info["ganlib"] == passport.to_json(passport.read(Path(gif)))


def test_the_api_makes_its_files_where_visitors_wait_for_theirs(monkeypatch):
    monkeypatch.setattr(worker, "_places", threading.Semaphore(0))
    with pytest.raises(worker.Busy, match="makes files for others"):
        interpolate.walk("mlp-gan", "3,8", 2, "slerp", False, 1.0)


def test_without_an_encoder_there_is_no_mp4(monkeypatch):
    monkeypatch.setattr(images, "can_write_mp4", lambda: False)
    assert interpolate.walk("mlp-gan", "3,8", 2, "slerp", False, 1.0)[2] is None
    assert not interpolate.page()["mp4"]
    assert "MP4 needs an encoder of H.264" in ask(interpolate.interpolate_file, WALK | {"kind": "mp4"})["error"]


def test_a_frame_has_a_passport_with_its_position():
    still = interpolate.frame("mlp-gan", 3, 8, "lerp", 0.25)
    assert '"position":0.25' in still.info["ganlib"]
