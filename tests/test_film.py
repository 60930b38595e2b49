"""python -m train.film: films of stories and of recipes, whose last frame is the model that is saved."""

import functools
from dataclasses import replace

import numpy
import pytest
import torch

import ganlib
from ganlib import report
from ganlib.lab import Lab, Settings, read_film, unpack
from ganlib.recipes import RECIPES
from ganlib.stories import STORIES
from ganlib.toys import Points
from train import film


def run(*arguments) -> int:
    return film.main([str(argument) for argument in arguments])


@pytest.mark.parametrize(("steps", "frames", "expected"), [(9, 4, [0, 1, 4, 9]), (2, 5, [0, 1, 2]), (500, 2, [0, 500])])
def test_moments_are_denser_at_the_beginning(steps, frames, expected):
    assert film.moments(steps, frames) == expected


def test_a_story_becomes_a_film(tmp_path, capsys):
    assert run("fair-fight", "--steps", 9, "--frames", 4, "--out", tmp_path) == 0
    opening, frames = read_film(tmp_path / "film.gz")
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'film.gz'}: 4 frames, ")
    assert [unpack(frame)[0]["step"] for frame in frames] == [0, 1, 4, 9]
    lab = Lab(Settings.of(next(story for story in STORIES if story.name == "fair-fight").settings))
    assert opening == lab.opening()
    lab.advance("both", 9)
    assert frames[-1] == lab.frame()


def test_the_films_of_the_course_have_the_same_even_moments_and_what_is_drawn_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(film, "TROUBLES", film.TROUBLES[:1])
    monkeypatch.setitem(film.COURSE_STEPS, "mode-collapse", 4)
    assert run("course", "--frames", 3, "--out", tmp_path) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    for name in ("mode-collapse", "two-time-scales"):
        opening, frames = read_film(tmp_path / f"{name}.gz")
        lab = Lab(Settings.of(film.STORY[name].settings))
        assert opening == lab.opening()
        assert [unpack(frame)[0]["step"] for frame in frames] == [0, 2, 4]
        assert {name for frame in frames for name in unpack(frame)[1]} == {"generated", "probability"}
        lab.advance("both", 4)
        header, arrays = unpack(lab.frame())
        last, shown = unpack(frames[-1])
        assert last["distance"] == header["distance"]
        assert all((shown[key] == arrays[key]).all() for key in shown)


def test_the_film_of_a_recipe_ends_in_the_model_that_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(Points, "samples", 200)
    monkeypatch.setattr(report, "calibrate", functools.partial(ganlib.calibrate, samples=64))
    monkeypatch.setitem(RECIPES, "toy-ring", replace(RECIPES["toy-ring"], train=replace(
        RECIPES["toy-ring"].train, steps=6, batch_size=16)))
    assert run("toy-ring", "--frames", 3, "--out", tmp_path) == 0
    opening, frames = read_film(tmp_path / "film.gz")
    header, _ = unpack(opening)
    assert (header["kind"], header["settings"]["target"], header["recipe"]) == ("plane", "ring", "toy-ring")
    assert header["truth"] == "real ones sit on eight spots of the unit circle, 0.01 wide"
    assert [unpack(frame)[0]["step"] for frame in frames] == [0, 2, 6]
    last, arrays = unpack(frames[-1])
    assert last["generator_loss"] is not None
    model = ganlib.load(tmp_path, "cpu")
    z = torch.from_numpy(numpy.random.RandomState(0).standard_normal((500, 2)).astype(numpy.float32))
    numpy.testing.assert_allclose(arrays["generated"] / 4096 * 1.3, model.decode(z), atol=1.3 / 4096)


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["toy-ring", "--steps", 5], "--steps is for stories alone"),
    (["course", "--steps", 5], "--steps is for stories alone"),
    (["fair-fight", "--frames", 1], "--frames must be a whole number from 2 to 600, not 1"),
    (["fair-fight", "--steps", 10**6], "--steps must be a whole number from 1 to 100000, not 1000000"),
])
def test_wrong_arguments_get_a_sentence_and_write_nothing(tmp_path, capsys, arguments, sentence):
    assert run(*arguments, "--out", tmp_path / "new") == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
