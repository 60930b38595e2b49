"""What two figures of the course ask of the server: a training in two steps, and the films of troubles and cures."""

import asyncio
import base64
import json
from types import SimpleNamespace

import numpy
import pytest

from ganlib.demo import lab, scenes
from ganlib.demo.labs import MAX_ACTIONS, Labs
from ganlib.lab import Lab, Settings, read_film, unpack
from ganlib.stories import TROUBLES
from tests.test_stories import SHOWS
from train import film

PAIRS = [pytest.param(*pair, id=pair[0].name) for pair in TROUBLES]
MOST_BYTES = 1_200_000  # of all films of the course
EVERY = 5  # frames between the moments at which a story's promise is held against its film: about 100 steps


class Asks(SimpleNamespace):
    """A request of a page."""

    session_hash = "a"

    async def json(self):
        return {"session_hash": self.session_hash}


def ask(goal, visitor: str = "a"):
    return asyncio.run(scenes.how_steps({"goal": goal}, Asks(session_hash=visitor)))


@pytest.fixture
def labs(monkeypatch):
    found = Labs(workers=1, budget=60)
    monkeypatch.setattr(lab, "LABS", found)
    return found


# the training in two steps


def test_a_step_of_one_network_leaves_the_other_one_as_it_was(labs):
    goals = [], [["discriminator", 1]], [["discriminator", 1], ["generator", 1]]
    untrained, after_d, after_g = (unpack(base64.b64decode(ask(goal)["frame"]))[1] for goal in goals)
    assert (untrained["generated"] == after_d["generated"]).all()
    assert numpy.abs(untrained["probability"].astype(int) - after_d["probability"]).mean() > 2, "a change to be seen"
    assert (after_d["probability"] == after_g["probability"]).all()
    assert numpy.abs(after_d["generated"].astype(int) - after_g["generated"]).mean() > 100


def test_the_frame_is_that_of_a_lab(labs):
    found = Lab(Settings.of(scenes.TWO_STEPS))
    found.advance("both", 3)
    found.advance("generator")
    assert base64.b64decode(ask([["both", 3], ["generator", 1]])["frame"]) == found.frame()


@pytest.mark.slow
def test_the_ring_is_reached_within_thirty_presses():
    found = Lab(Settings.of(scenes.TWO_STEPS))
    found.advance("both", 300)
    header, _ = unpack(found.frame())
    assert header["numbers"]["modes"] == 8
    assert header["distance"] < 0.15


def test_who_uses_the_lab_too_keeps_what_is_trained_there(labs):
    settings = {"target": "ring", "width": 4, "depth": 1, "batch_size": 16}
    asyncio.run(lab.lab_frame({"settings": settings, "goal": [["both", 2]]}, Asks()))
    ask([["discriminator", 1]])
    assert len(labs) == 2
    lab.leave(Asks())
    assert [name in labs for name in ("a", scenes.seat("a"))] == [False, True]
    scenes.leave(Asks())
    assert len(labs) == 0


@pytest.mark.parametrize(("goal", "sentence"), [
    ([["both", scenes.MAX_STEPS + 1]], "The figure trains at most 4,000 steps; press Reset to begin again."),
    ("ring", "Goal must be a list of at most 1,000 actions, not 'ring'."),
    ([["nobody", 1]], "An action must name one of both, discriminator, generator, not 'nobody'."),
])
def test_a_wrong_goal_is_answered_with_a_sentence(labs, goal, sentence):
    assert ask(goal) == {"error": sentence, "again": False}
    assert len(labs) == 0


# the films


def measures(name: str) -> list[dict]:
    """The step and the measures of a film's frames after its first."""
    headers = [unpack(frame)[0] for frame in read_film(scenes.film_path(name))[1][1:]]
    return [{**header["numbers"], "distance": header["distance"], "step": header["step"]} for header in headers]


@pytest.mark.parametrize(("trouble", "cure"), PAIRS)
def test_a_trouble_and_its_cure_have_the_same_moments_and_their_storys_settings(trouble, cure):
    steps = []
    for story in (trouble, cure):
        opening, frames = read_film(scenes.film_path(story.name))
        assert Settings.of(unpack(opening)[0]["settings"]) == Settings.of(story.settings)
        assert all(set(unpack(frame)[1]) == set(film.COURSE_ARRAYS) for frame in frames)
        steps.append([unpack(frame)[0]["step"] for frame in frames])
    assert steps[0] == steps[1]
    assert len(steps[0]) == 40
    assert (steps[0][0], steps[0][-1]) == (0, film.COURSE_STEPS[trouble.name])


@pytest.mark.parametrize(("trouble", "cure"), PAIRS)
def test_a_film_shows_the_trouble_and_the_other_one_the_cure(trouble, cure):
    assert SHOWS[trouble.name](measures(trouble.name)[EVERY - 1::EVERY])
    ill, well = measures(trouble.name)[-1], measures(cure.name)[-1]
    assert well["distance"] < 0.5 * ill["distance"]
    assert well["overlap"] > ill["overlap"]
    if trouble.name == "mode-collapse":
        assert ill["modes"] <= 4
        assert well["modes"] == 8


def test_the_films_are_small_and_each_belongs_to_a_story():
    paths = list(scenes.FOLDER.glob("*"))
    assert {path.name for path in paths} == {f"{story.name}.gz" for pair in TROUBLES for story in pair}
    assert sum(path.stat().st_size for path in paths) < MOST_BYTES


@pytest.mark.slow
def test_a_film_is_recorded_again_as_it_was():
    """Only its first 100 steps, because another machine's sums differ in their last digits, which grows."""
    name = "two-time-scales"
    opening, frames = read_film(scenes.film_path(name))
    steps = [unpack(frame)[0]["step"] for frame in frames if unpack(frame)[0]["step"] <= 100]
    again, *shown = film.of_story(name, steps)
    assert unpack(again)[0] == unpack(opening)[0]
    assert len(shown) == 5
    for new, old in zip(shown, frames):
        for key in film.COURSE_ARRAYS:
            difference = numpy.abs(unpack(new)[1][key].astype(int) - unpack(old)[1][key])
            assert numpy.median(difference) <= 4, key


def test_a_film_is_sent_as_its_file():
    content = scenes.film_path("mode-collapse").read_bytes()
    assert asyncio.run(scenes.how_film({"name": "mode-collapse"})) == {"film": base64.b64encode(content).decode()}
    for wrong in ("fair-fight", "../ring", None, ["mode-collapse"]):
        assert asyncio.run(scenes.how_film({"name": wrong}))["error"].startswith("There is no film ")


def test_the_page_has_a_still_of_each_film_before_it_asks(tmp_path):
    page = scenes.page()
    assert len(json.dumps(page)) < 60_000
    assert page["twoSteps"]["actions"] == MAX_ACTIONS

    def read(text: str):
        (tmp_path / "still.gz").write_bytes(base64.b64decode(text))
        opening, frames = read_film(tmp_path / "still.gz")
        assert len(frames) == 1
        return opening, frames[0]

    assert unpack(read(page["twoSteps"]["still"])[1])[0]["step"] == 0
    assert [[row["name"] for row in pair] for pair in page["troubles"]] == [[s.name for s in pair] for pair in TROUBLES]
    for row in (row for pair in page["troubles"] for row in pair):
        opening, frames = read_film(scenes.film_path(row["name"]))
        assert read(row["still"]) == (opening, frames[-1])
        assert row["frames"] == len(frames)


def test_a_page_without_films_has_none_to_show(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "FOLDER", tmp_path)
    assert scenes.page()["troubles"] == []
    assert asyncio.run(scenes.how_film({"name": "penalties"}))["error"] == "The film penalties is not on this server."
