"""What two figures of the course ask of the server: the training in two steps, and the films of troubles and cures.

The training is a lab (`ganlib.demo.labs`) in a seat of its own: who uses the tab Lab too keeps what is trained there.
The API trains the same, one network or both, by `/lab` with these settings.
"""

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr

from ganlib.checks import quoted, require
from ganlib.demo import lab
from ganlib.demo.labs import MAX_ACTIONS, check_goal, count
from ganlib.demo.stages import answering, in_text, table
from ganlib.lab import Lab, Settings, film_of, read_film, unpack
from ganlib.stories import TROUBLES, Story

# of the training in two steps: its losses are those of the course, and one step is large enough to be seen
TWO_STEPS = {"target": "ring", "loss": "non-saturating", "penalty": "r1+r2", "discriminator_lr": 1e-2,
             "generator_lr": 2.5e-3}
MAX_STEPS = 4_000  # of either network, in one training
FOLDER = lab.FILM_FOLDER / "course"  # `python -m train.film course` makes them


def film_path(name: str) -> Path:
    """The film of a story of `TROUBLES`."""
    return FOLDER / f"{name}.gz"


@answering
async def how_steps(asked: Any, request: gr.Request) -> dict[str, Any]:
    """The frame at a goal of the visitor's training in two steps.

    Args:
        asked: {"goal": all actions from the start, such as [["discriminator", 1], ["generator", 1]]}.

    Returns:
        {"frame": base64}; {"progress": steps done, "of": steps} if the same request has to be repeated; or {"error":
        sentence, "again": whether the same request may succeed later}.
    """
    goal = check_goal(table(asked).get("goal"))
    require(count(goal) <= MAX_STEPS, f"the figure trains at most {MAX_STEPS:,} steps; press Reset to begin again")
    return await lab.frame_at(seat((await request.json())["session_hash"]), Settings.of(TWO_STEPS), goal)


@answering
async def how_film(asked: Any) -> dict[str, Any]:
    """The film of a trouble or a cure: {"film": base64 of its file}. asked: {"name": of a story in `TROUBLES`}."""
    name: Any = table(asked).get("name")
    require(any(name == story.name for pair in TROUBLES for story in pair), f"there is no film {quoted(name)}")
    path = film_path(name)
    require(path.is_file(), f"the film {name} is not on this server")
    return {"film": in_text(await asyncio.to_thread(path.read_bytes))}


FUNCTIONS = [how_steps, how_film]


def seat(visitor: str) -> str:
    """The place of a visitor's training in two steps among all labs."""
    return f"{visitor}:how"


def leave(request: gr.Request) -> None:
    """Drop the training in two steps of a page that was closed."""
    if request.session_hash:
        lab.LABS.close(seat(request.session_hash))


def page() -> dict[str, Any]:
    """What the stage knows of both figures before it asks: a still of each film, so that there is something to see."""
    untrained = Lab(Settings.of(TWO_STEPS))
    return {
        "units": lab.UNITS,
        "twoSteps": {"still": in_text(film_of(untrained.opening(), [untrained.frame()])), "steps": MAX_STEPS,
                     "actions": MAX_ACTIONS},
        "troubles": [[scene(story) for story in pair] for pair in TROUBLES
                     if all(film_path(story.name).is_file() for story in pair)],
    }


def scene(story: Story) -> dict[str, Any]:
    """What the stage knows of a film: its story, how many frames it has, and its last frame as a still."""
    opening, frames = read_film(film_path(story.name))
    return {"name": story.name, "title": story.title, "frames": len(frames), "steps": unpack(frames[-1])[0]["step"],
            "still": in_text(film_of(opening, frames[-1:]))}
