"""python -m train NAME: run a recipe, and end with a weights folder that ganlib.load opens."""

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import torch

from ganlib.data import DATASETS, NotDownloaded
from ganlib.recipes import DIGIT_CLASSIFIER, RECIPES
from ganlib.training import NonFiniteLoss
from train import classifier
from train.run import Run, bfloat16_helps, describe_data, pick_device


def parser() -> argparse.ArgumentParser:
    configs = {**{name: recipe.train for name, recipe in RECIPES.items()}, classifier.NAME: DIGIT_CLASSIFIER}
    sets = ", ".join([*(f"{name} {recipe.data}" for name, recipe in RECIPES.items()), f"{classifier.NAME} mnist"])

    def recipes(option: str) -> str:
        return ", ".join(f"{name} {getattr(config, option)}" for name, config in configs.items())

    p = argparse.ArgumentParser(
        prog="python -m train", description="Train a small GAN by one of ganlib's recipes.",
        epilog="Ctrl-C saves a checkpoint; the same command with --resume goes on from it.")
    p.add_argument("name", choices=[*RECIPES, classifier.NAME], metavar="NAME",
                   help=f"the recipe: {', '.join(RECIPES)}; or {classifier.NAME}, which measures digits")
    p.add_argument("--steps", type=int, help=f"steps of each network (default: {recipes('steps')})")
    p.add_argument("--batch-size", type=int, help=f"real samples a step (default: {recipes('batch_size')})")
    p.add_argument("--seed", type=int, help=f"of weights and noise (default: {recipes('seed')})")
    p.add_argument("--device", default="auto", help="cpu, cuda, mps or auto for the best there is (default: auto)")
    p.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto",
                   help="auto takes bfloat16 where the recipe does and it is faster here (default: auto)")
    p.add_argument("--data", metavar="WHERE",
                   help=f"a data set ({', '.join(DATASETS)}), a folder of images, or the folder data sets are kept in "
                        f"(default: {sets}, from GANLIB_DATA or ~/.cache/ganlib)")
    p.add_argument("--out", type=Path, metavar="FOLDER", help="the weights folder to write (default: runs/NAME)")
    p.add_argument("--checkpoint-every", type=int, metavar="STEPS",
                   help="steps between checkpoints, in whole rows of the history (default: a twentieth of --steps)")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out (default: start anew)")
    p.add_argument("--dry-run", action="store_true",
                   help="print the whole configuration and the sizes, train nothing (default: train)")
    return p


def configure(arguments: argparse.Namespace) -> Run:
    """The run that the arguments ask for. Raises ValueError saying what is wrong with them."""
    device, out = pick_device(arguments.device), arguments.out or Path("runs") / arguments.name
    given = {option: getattr(arguments, option) for option in ("steps", "batch_size", "seed")}
    given = {option: value for option, value in given.items() if value is not None}
    if arguments.resume:
        run = Run.resumed(arguments.name, device, out, arguments.checkpoint_every)
        for option, value in given.items():
            if value != getattr(run.config, option):
                raise ValueError(f"the run in {out} was begun with --{option.replace('_', '-')} "
                                 f"{getattr(run.config, option)}: leave the option out to resume it")
        if arguments.precision not in ("auto", "bfloat16" if run.config.bfloat16 else "float32"):
            raise ValueError(f"the run in {out} was begun with another --precision: leave the option out to resume it")
        return replace(run, where=arguments.data) if arguments.data else run
    config = replace(RECIPES[arguments.name].train, **given)
    bfloat16 = {"float32": False, "bfloat16": True}.get(arguments.precision,
                                                        config.bfloat16 and bfloat16_helps(device))
    return Run(arguments.name, replace(config, bfloat16=bfloat16), device, out, arguments.data,
               arguments.checkpoint_every)


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    arguments = parser().parse_args(argv)
    threads = torch.get_num_threads()
    try:
        if arguments.name == classifier.NAME:
            return classifier.run(arguments)
        run = configure(arguments)
        if run.recipe.threads and run.device == "cpu":
            torch.set_num_threads(run.recipe.threads)
        if arguments.dry_run:
            try:
                print(run.description(run.open_data(download=False)))
            except NotDownloaded:
                print(run.description(None))
            return 0
        data = run.open_data()
        print(f"Training {run.name} on {describe_data(data)}, on {run.device}.")
        if run.go(data):
            print(f"The weights are in {run.out}: ganlib.load({str(run.out)!r}) opens them.")
            return 0
        command = shlex.join(["python", "-m", "train", *(a for a in argv if a != "--resume"), "--resume"])
        print(f"Stopped and saved. To go on: {command}")
        return 130
    except (ValueError, NonFiniteLoss) as error:
        print(f"train: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("train: stopped at once; what was last saved is kept", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"train: {error.strerror}: {error.filename or arguments.out}", file=sys.stderr)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "not enough memory" not in str(error):
            raise
        print("train: the device has not enough memory for this --batch-size; give a smaller one", file=sys.stderr)
    finally:
        torch.set_num_threads(threads)
    return 1


if __name__ == "__main__":
    sys.exit(main())
