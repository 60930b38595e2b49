"""python -m train.film NAME: record a film for the live lab, of a story or of a toy recipe's whole training.

The name `course` stands for the films of the course: each trouble of the stories, and its cure.
"""

import argparse
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ganlib import console
from ganlib.checks import check_int, require
from ganlib.data import Data
from ganlib.devices import threads
from ganlib.lab import LOSSES_SHOWN, MAX_STEPS, Lab, Settings, View, pack, unpack, view, write_film
from ganlib.losses import LOSSES
from ganlib.recipes import RECIPES
from ganlib.runs import Run, check_free
from ganlib.stories import STORIES, TROUBLES
from ganlib.training import State

from .command import command
from .progress import measuring

STORY = {story.name: story for story in STORIES}
COURSE = "course"
COURSE_ARRAYS = ("generated", "probability")  # all that the course draws of a frame
# steps of a trouble and its cure, so that both show what their stories say: the saturating loss leaves its plateau
# after 1,300 steps, where D becomes unsure
COURSE_STEPS = {"mode-collapse": 800, "discriminator-wins": 700, "saturating-stall": 1_300}
TARGET = {"gaussian": "normal", "sine": "sine", "ring": "ring", "grid": "grid"}  # of the lab, by the recipe's data
TOYS = [name for name, recipe in RECIPES.items() if recipe.data in TARGET]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=console.spelled("film"),
        description="Record a film for the live lab. A toy recipe is trained in full, and the weights folder that is "
                    "written beside its film holds the model of the last frame.")
    p.add_argument("name", choices=[*STORY, *TOYS, COURSE], metavar="NAME",
                   help=f"a story ({', '.join(STORY)}), a recipe ({', '.join(TOYS)}), or {COURSE}: the stories of "
                        f"troubles and cures, each a file of its own")
    p.add_argument("--frames", type=int, default=60,
                   help="how many, denser at the beginning, but evenly in the course (default: 60)")
    p.add_argument("--steps", type=int, help="steps of a story (default: the story's)")
    p.add_argument("--out", type=Path, metavar="FOLDER",
                   help="where to write film.gz, or the course's films (default: runs/NAME)")
    p.add_argument("--overwrite", action="store_true",
                   help="of a recipe: replace the model and checkpoint of an earlier run there (default: refuse to)")
    return p


def moments(steps: int, frames: int) -> list[int]:
    """The steps to show, from 0 to the last: close together at first, when most happens."""
    return sorted({round(steps * (i / (frames - 1)) ** 2) for i in range(frames)})


def of_story(name: str, shown: Sequence[int]) -> Iterator[bytes]:
    """The opening of a story, and its frames at these steps."""
    lab = Lab(Settings.of(STORY[name].settings), download=True)
    yield lab.opening()
    for moment in tqdm(shown, name, unit="frame", dynamic_ncols=True, leave=False):
        if moment > lab.step:
            lab.advance("both", moment - lab.step)
        yield lab.frame()


def trimmed(frame: bytes, names: Collection[str]) -> bytes:
    """A frame with these arrays alone."""
    header, arrays = unpack(frame)
    return pack({key: value for key, value in header.items() if key != "arrays"},
                {name: torch.from_numpy(array.copy()) for name, array in arrays.items() if name in names})


def of_course(frames: int) -> Iterator[tuple[str, list[bytes]]]:
    """The films of the course: the name of a story, with its opening and frames. A cure has its trouble's moments."""
    for trouble, cure in TROUBLES:
        steps = COURSE_STEPS[trouble.name]
        evenly = [round(steps * i / (frames - 1)) for i in range(frames)]
        for story in (trouble, cure):
            opening, *shown = of_story(story.name, evenly)
            yield story.name, [opening, *(trimmed(frame, COURSE_ARRAYS) for frame in shown)]


def losses(state: State) -> list[Tensor]:
    """The losses of the discriminator and the generator in the last steps, or in the history's last row."""
    rows = [torch.tensor([row["discriminator_loss"], row["generator_loss"]]) for row in state.history[-1:]]
    return [row[:2] for row in state.window[-LOSSES_SHOWN:]] or rows


def of_recipe(run: Run, data: Data, frames: int) -> Iterator[bytes]:
    """The opening and the frames of a recipe's training, whose weights folder is written at the end."""
    shown: View = view(LOSSES[run.config.loss], run.architecture.latent_dim, data)
    yield shown.opening(asdict(Settings.of({"target": TARGET[data.name]})), run.recipe_name)
    wanted = set(moments(run.config.steps, frames))
    with closing(run.train(data)) as states:
        for state in tqdm(states, run.name, run.config.steps + 1, unit="step", dynamic_ncols=True, leave=False):
            if state.step in wanted:
                yield shown.frame(state, [("both", state.step)], losses(state))
    with measuring(f"measuring {run.name}") as progress:
        run.finish(data, state, progress)


def write(path: Path, film: Sequence[bytes]) -> None:
    """Write the opening and the frames of a film, and say so."""
    opening, *shown = film
    path.parent.mkdir(parents=True, exist_ok=True)
    write_film(path, opening, shown)
    print(f"{path}: {len(shown)} frames, {path.stat().st_size / 1e6:.2f} MB.")


def work(arguments: argparse.Namespace) -> None:
    frames = check_int(arguments.frames, 2, 600, "--frames")
    out = arguments.out or Path("runs") / arguments.name
    story = arguments.name in STORY
    require(story or arguments.steps is None, "--steps is for stories alone: the other films have their own length")
    if arguments.name == COURSE:
        for name, film in of_course(frames):
            write(out / f"{name}.gz", film)
        return
    if story:
        steps = STORY[arguments.name].steps if arguments.steps is None else arguments.steps
        check_int(steps, 1, MAX_STEPS, "--steps")
        shown = list(of_story(arguments.name, moments(steps, frames)))
    else:
        check_free(out, arguments.overwrite)
        run, data = Run(arguments.name, device="cpu", out=out, overwrite=arguments.overwrite).open()
        with threads(run.recipe.threads, "cpu"):
            shown = list(of_recipe(run, data, frames))
    write(out / "film.gz", shown)


main = command(parser, work, "stopped; no film was written")

if __name__ == "__main__":
    sys.exit(main())
