"""Each story of the lab shows what it says, for three seeds."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from ganlib.lab import Lab, Settings, unpack
from ganlib.losses import LOSSES
from ganlib.stories import STORIES
from tests.conftest import needs_mnist

EVERY = 100  # steps between the moments that are looked at
Film = list[dict[str, Any]]  # the measures of each moment


def fair(film: Film) -> bool:
    """All spots are reached, and the discriminator ends near a coin's toss."""
    end = film[-1]
    return end["modes"] == 8 and end["high_quality"] > 0.3 and end["distance"] < 0.2 and end["accuracy"] < 0.65


def collapsed(film: Film) -> bool:
    """At no moment are there points on more than half of the spots, and the points move from place to place.

    They move: the distance to the target rises again and again.
    """
    rises = sum(later["distance"] > 1.05 * moment["distance"] for moment, later in pairwise(film))
    return max(moment["modes"] for moment in film) <= 4 and min(m["distance"] for m in film) > 0.25 and rises > 0


def covered(film: Film) -> bool:
    """All spots keep their points."""
    return all(moment["modes"] == 8 for moment in film[3:]) and film[-1]["distance"] < 0.2


def won(film: Film) -> bool:
    """The discriminator stays right about most samples, its slopes are steep, and the distance stops falling."""
    end = film[-1]
    return (end["accuracy"] > 0.7 and end["pull"] > 4 and end["distance"] > 0.2
            and end["distance"] > 0.9 * min(moment["distance"] for moment in film))


def smooth(film: Film) -> bool:
    """Slopes stay small, and the distance falls to less than half."""
    end = film[-1]
    return (max(moment["pull"] for moment in film) < 1 and end["modes"] == 8 and end["distance"] < 0.15
            and end["distance"] < film[0]["distance"] / 2)


def stalled(film: Film) -> bool:
    """The discriminator is certain, the gradient is nearly zero, and the numbers are where they were."""
    end = film[-1]
    return end["accuracy"] > 0.98 and end["pull"] < 0.05 and end["distance"] > 4


def moved(film: Film) -> bool:
    """With the same discriminator the gradient is large, and the numbers arrive."""
    return film[0]["pull"] > 1 and film[-1]["distance"] < 0.5 and film[-1]["overlap"] > 0.6


def readable(film: Film) -> bool:
    """The classifier reads most digits as they were asked for, and few at the beginning."""
    return film[0]["readable"] < 45 and film[-1]["readable"] > 52


SHOWS: dict[str, Callable[[Film], bool]] = {
    "digits": readable, "fair-fight": fair, "mode-collapse": collapsed, "two-time-scales": covered,
    "discriminator-wins": won, "penalties": smooth, "saturating-stall": stalled, "relativistic": moved}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("story", [pytest.param(story, id=story.name, marks=[needs_mnist] * (story.name == "digits"))
                                   for story in STORIES])
def test_a_story_shows_what_it_says(story, seed):
    lab, film = Lab(Settings.of({**story.settings, "seed": seed})), []
    while lab.step < story.steps:
        lab.advance("both", EVERY)
        header, _ = unpack(lab.frame())
        film.append({**header["numbers"], "distance": header["distance"]})
    assert SHOWS[story.name](film), film


def test_stories_have_links_of_their_own_and_cures_differ_from_their_trouble_alone():
    names = {story.name: story for story in STORIES}
    assert len(names) == len(STORIES)
    assert set(names) == set(SHOWS)
    for story in STORIES:
        assert story.watch.count(". ") == 1, "two sentences"
        if story.cures:
            trouble = names[story.cures].settings
            assert story.settings["target"] == trouble["target"]
            different = {key for key in story.settings if story.settings[key] != trouble[key]}
            assert different <= {"loss", "penalty", "gamma", "generator_lr", "discriminator_lr"}
    assert {story.cures for story in STORIES} - {None} == {"mode-collapse", "discriminator-wins", "saturating-stall"}
    assert all(story.settings.get("loss", "relativistic") in LOSSES for story in STORIES)
