"""python -m train.film NAME: record a film for the live lab, of a story or of a toy recipe's whole training."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ganlib.checks import check_int, require
from ganlib.data import Data
from ganlib.devices import threads
from ganlib.lab import LOSSES_SHOWN, MAX_STEPS, Lab, Settings, View, view, write_film
from ganlib.losses import LOSSES
from ganlib.recipes import RECIPES
from ganlib.runs import Run, check_free
from ganlib.stories import STORIES
from ganlib.training import State
from train.command import command
from train.progress import measuring

STORY = {story.name: story for story in STORIES}
TARGET = {"gaussian": "normal", "sine": "sine", "ring": "ring", "grid": "grid"}  # of the lab, by the recipe's data
TOYS = [name for name, recipe in RECIPES.items() if recipe.data in TARGET]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.film",
        description="Record a film for the live lab. A toy recipe is trained in full, and the weights folder that is "
                    "written beside its film holds the model of the last frame.")
    p.add_argument("name", choices=[*STORY, *TOYS], metavar="NAME",
                   help=f"a story ({', '.join(STORY)}) or a recipe ({', '.join(TOYS)})")
    p.add_argument("--frames", type=int, default=60, help="how many, denser at the beginning (default: 60)")
    p.add_argument("--steps", type=int, help="steps of a story (default: the story's)")
    p.add_argument("--out", type=Path, metavar="FOLDER", help="where to write film.gz (default: runs/NAME)")
    p.add_argument("--overwrite", action="store_true",
                   help="of a recipe: replace the model and checkpoint of an earlier run there (default: refuse to)")
    return p


def moments(steps: int, frames: int) -> list[int]:
    """The steps to show, from 0 to the last: close together at first, when most happens."""
    return sorted({round(steps * (i / (frames - 1)) ** 2) for i in range(frames)})


def of_story(name: str, steps: int, frames: int) -> Iterator[bytes]:
    """The opening and the frames of a story."""
    lab = Lab(Settings.of(STORY[name].settings), download=True)
    yield lab.opening()
    for moment in tqdm(moments(steps, frames), name, unit="frame", dynamic_ncols=True, leave=False):
        if moment > lab.step:
            lab.advance("both", moment - lab.step)
        yield lab.frame()


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


def work(arguments: argparse.Namespace) -> None:
    frames = check_int(arguments.frames, 2, 600, "--frames")
    out = arguments.out or Path("runs") / arguments.name
    story = arguments.name in STORY
    require(story or arguments.steps is None, "--steps is for stories alone: the film of a recipe shows all of it")
    if story:
        steps = STORY[arguments.name].steps if arguments.steps is None else arguments.steps
        check_int(steps, 1, MAX_STEPS, "--steps")
        opening, *shown = of_story(arguments.name, steps, frames)
    else:
        check_free(out, arguments.overwrite)
        run, data = Run(arguments.name, device="cpu", out=out, overwrite=arguments.overwrite).open()
        with threads(run.recipe.threads, "cpu"):
            opening, *shown = of_recipe(run, data, frames)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "film.gz"
    write_film(path, opening, shown)
    print(f"{path}: {len(shown)} frames, {path.stat().st_size / 1e6:.2f} MB.")


main = command(parser, work, "stopped; no film was written")

if __name__ == "__main__":
    sys.exit(main())
