"""python -m train NAME: train a recipe and write a weights folder that ganlib.load opens."""

import argparse
import json
import shlex
import sys
from pathlib import Path

from ganlib import hub
from ganlib.checks import check_int, require
from ganlib.data import DATASETS
from ganlib.recipes import DIGIT_CLASSIFIER, RECIPES
from ganlib.runs import Run
from train import classifier, publish, track
from train.command import DEVICE, command, configured, pick_device
from train.progress import train


def parser() -> argparse.ArgumentParser:
    configs = {**{name: recipe.train for name, recipe in RECIPES.items()}, classifier.NAME: DIGIT_CLASSIFIER}
    data = ", ".join([*(f"{name} {recipe.data}" for name, recipe in RECIPES.items()), f"{classifier.NAME} mnist"])

    def recipes(option: str) -> str:
        return ", ".join(f"{name} {getattr(config, option)}" for name, config in configs.items())

    p = argparse.ArgumentParser(
        prog="python -m train", description="Train a small GAN by one of ganlib's recipes.",
        epilog=f"Ctrl-C saves a checkpoint, and the same command with --resume continues from it. {classifier.NAME} "
               f"trains in minutes and has no checkpoints.")
    p.add_argument("recipe", choices=configs, metavar="NAME",
                   help=f"the recipe: {', '.join(RECIPES)}; or {classifier.NAME}, which measures digits")
    p.add_argument("--steps", type=int, help=f"steps of each network (default: {recipes('steps')})")
    p.add_argument("--batch-size", type=int, help=f"real samples a step (default: {recipes('batch_size')})")
    p.add_argument("--seed", type=int, help=f"of weights and noise (default: {recipes('seed')})")
    p.add_argument("--device", **DEVICE)
    p.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto",
                   help="auto is bfloat16 if the recipe uses it and the device computes it (default: auto)")
    p.add_argument("--data", metavar="WHERE",
                   help=f"a dataset ({', '.join(DATASETS)}), a folder of images, or the folder that datasets are kept "
                        f"in (default: {data}, from GANLIB_DATA or ~/.cache/ganlib)")
    p.add_argument("--size", type=int, metavar="PIXELS",
                   help="width and height that the images of a folder are resized to (default: the recipe's, 28)")
    p.add_argument("--channels", type=int, choices=(1, 3),
                   help="1 converts the images of a folder to grey, 3 to colour (default: the recipe's, 1, or 3 for "
                        "stacked-mnist)")
    p.add_argument("--name", metavar="NAME", help="the model's name (default: the recipe's)")
    p.add_argument("--out", type=Path, metavar="FOLDER", help="the weights folder to write (default: runs/NAME)")
    p.add_argument("--checkpoint-every", type=int, metavar="STEPS",
                   help="steps between checkpoints, rounded down to whole rows of the history (default: a twentieth of "
                        "--steps)")
    p.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out (default: start anew)")
    p.add_argument("--push", metavar="USER/NAME",
                   help="publish the weights to this repo on the Hugging Face Hub at the end, as train.publish does "
                        "(default: do not)")
    p.add_argument("--track", nargs="?", const=track.LOCAL, metavar="USER/SPACE",
                   help="show losses, measures and pictures in trackio during training, on this machine or on a Space; "
                        "trackio creates a missing Space, public and with your token as its secret (default: do not)")
    p.add_argument("--dry-run", action="store_true",
                   help="print the whole configuration and the sizes, train nothing (default: train)")
    return p


def configure(arguments: argparse.Namespace) -> Run:
    """The run that the arguments describe.

    Raises:
        ValueError: an option is wrong, or differs from the one that a resumed run began with.
    """
    recipe, shape = RECIPES[arguments.recipe], None
    name, device = arguments.name or arguments.recipe, pick_device(arguments.device)
    out = arguments.out or Path("runs") / name
    if arguments.resume:
        run = Run.resumed(arguments.recipe, out, device, arguments.checkpoint_every, arguments.data)
        begun = {"steps": run.config.steps, "batch-size": run.config.batch_size, "seed": run.config.seed,
                 "name": run.name, "size": run.shape[-1], "channels": run.shape[0],
                 "precision": "bfloat16" if run.config.bfloat16 else "float32"}
        for option, value in begun.items():
            require(getattr(arguments, option.replace("-", "_")) in (None, "auto", value),
                    f"the run in {out} was begun with --{option} {value}: leave the option out")
        return run
    if arguments.size is not None or arguments.channels is not None:
        own = recipe.build().shape
        require(len(own) == 3, f"--size and --channels are for images, and {arguments.recipe} makes points")
        size = own[1] if arguments.size is None else check_int(arguments.size, 1, 2**16, "--size")
        shape = (arguments.channels or own[0], size, size)
        recipe.build(shape, 1)  # raises if the networks cannot make this size
    return Run(arguments.recipe, name, configured(recipe.train, arguments, device), device, out, shape, None,
               arguments.data, arguments.checkpoint_every)


def work(arguments: argparse.Namespace) -> int | None:
    """Trains as the arguments say, or shows what would be trained."""
    if arguments.recipe == classifier.NAME:
        return classifier.run(arguments)
    run = configure(arguments)
    if arguments.push:
        hub.check_access(arguments.push)  # now, before hours of training
    track.check(arguments.track)
    if arguments.dry_run:
        run, data = run.preview()
        print(json.dumps(run.description(data), indent=2))
        return None
    run, data = run.open()
    print(f"Training {run.name} on {data.description()}, on {run.device}.")
    if not train(run, data, arguments.track):
        again = shlex.join(["python", "-m", "train", *(a for a in arguments.argv if a != "--resume"), "--resume"])
        print(f"Stopped and saved. To continue: {again}")
        return 130
    bare = len(run.out.parts) == 1  # ganlib.load would take it for the name of a shipped model
    print(f"The weights are in {run.out}: ganlib.load({('./' if bare else '') + str(run.out)!r}) opens them.")
    if arguments.push:
        publication = hub.prepare(run.out, arguments.push)
        publish.show(publication)
        publish.send(publication)
    return None


main = command(parser, work, "stopped; the last checkpoint is kept")

if __name__ == "__main__":
    sys.exit(main())
