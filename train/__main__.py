"""python -m train NAME: run a recipe, and end with a weights folder that ganlib.load opens."""

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from ganlib import hub
from ganlib.checks import check_int
from ganlib.data import DATASETS
from ganlib.recipes import DIGIT_CLASSIFIER, RECIPES
from train import classifier, publish, track
from train.command import DEVICE, command, pick_device, pick_precision, threads
from train.run import Run


def parser() -> argparse.ArgumentParser:
    configs = {**{name: recipe.train for name, recipe in RECIPES.items()}, classifier.NAME: DIGIT_CLASSIFIER}
    sets = ", ".join([*(f"{name} {recipe.data}" for name, recipe in RECIPES.items()), f"{classifier.NAME} mnist"])

    def recipes(option: str) -> str:
        return ", ".join(f"{name} {getattr(config, option)}" for name, config in configs.items())

    p = argparse.ArgumentParser(
        prog="python -m train", description="Train a small GAN by one of ganlib's recipes.",
        epilog=f"Ctrl-C saves a checkpoint, and the same command with --resume goes on from it; {classifier.NAME}, "
               f"which takes minutes, has neither.")
    p.add_argument("name", choices=[*RECIPES, classifier.NAME], metavar="NAME",
                   help=f"the recipe: {', '.join(RECIPES)}; or {classifier.NAME}, which measures digits")
    p.add_argument("--steps", type=int, help=f"steps of each network (default: {recipes('steps')})")
    p.add_argument("--batch-size", type=int, help=f"real samples a step (default: {recipes('batch_size')})")
    p.add_argument("--seed", type=int, help=f"of weights and noise (default: {recipes('seed')})")
    p.add_argument("--device", **DEVICE)
    p.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto",
                   help="auto takes bfloat16 where the recipe does and the device has a unit for it (default: auto)")
    p.add_argument("--data", metavar="WHERE",
                   help=f"a data set ({', '.join(DATASETS)}), a folder of images, or the folder data sets are kept in "
                        f"(default: {sets}, from GANLIB_DATA or ~/.cache/ganlib)")
    p.add_argument("--size", type=int, metavar="PIXELS",
                   help="width and height that a folder's images are made (default: the recipe's, 28)")
    p.add_argument("--channels", type=int, choices=(1, 3),
                   help="1 makes a folder's images grey, 3 colour (default: the recipe's, 1, or 3 for stacked-mnist)")
    p.add_argument("--name", dest="called", metavar="NAME", help="what to call the model (default: as the recipe)")
    p.add_argument("--out", type=Path, metavar="FOLDER", help="the weights folder to write (default: runs/NAME)")
    p.add_argument("--checkpoint-every", type=int, metavar="STEPS",
                   help="steps between checkpoints, in whole rows of the history (default: a twentieth of --steps)")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out (default: start anew)")
    p.add_argument("--push", metavar="USER/NAME",
                   help="publish the weights to this repo on the Hugging Face Hub at the end, as train.publish does "
                        "(default: do not)")
    p.add_argument("--track", nargs="?", const=track.LOCAL, metavar="USER/SPACE",
                   help="show losses, measures and pictures in trackio while it trains, on this machine or on a Space; "
                        "where that is missing trackio makes it, public and with your token as its secret (default: do "
                        "not)")
    p.add_argument("--dry-run", action="store_true",
                   help="print the whole configuration and the sizes, train nothing (default: train)")
    return p


def configure(arguments: argparse.Namespace) -> Run:
    """The run that the arguments ask for.

    Raises:
        ValueError: what is wrong with them.
    """
    recipe, called = RECIPES[arguments.name], arguments.called or arguments.name
    device, out, shape = pick_device(arguments.device), arguments.out or Path("runs") / called, None
    if arguments.resume:
        return resumed(arguments, device, out)
    if arguments.size is not None or arguments.channels is not None:
        own = recipe.build().shape
        if len(own) != 3:
            raise ValueError(f"--size and --channels are for images, and {arguments.name} makes points")
        size = own[1] if arguments.size is None else check_int(arguments.size, 1, 2**16, "--size")
        shape = (arguments.channels or own[0], size, size)
        recipe.build(shape, 1)  # says at once which sizes it can
    given = {option: getattr(arguments, option) for option in ("steps", "batch_size", "seed")}
    config = replace(recipe.train, **{option: value for option, value in given.items() if value is not None})
    config = replace(config, bfloat16=pick_precision(arguments.precision, config.bfloat16, device))
    return Run(arguments.name, called, config, device, out, shape, where=arguments.data,
               checkpoint_every=arguments.checkpoint_every, track=arguments.track)


def resumed(arguments: argparse.Namespace, device: str, out: Path) -> Run:
    """The run whose checkpoint is in `out`.

    Raises:
        ValueError: there is none, or an option was another one when it began.
    """
    run = Run.resumed(arguments.name, device, out, arguments.checkpoint_every)
    begun = {"steps": run.config.steps, "batch-size": run.config.batch_size, "seed": run.config.seed, "name": run.name,
             "size": run.shape[-1], "channels": run.shape[0],
             "precision": "bfloat16" if run.config.bfloat16 else "float32"}
    for option, value in begun.items():
        given = arguments.called if option == "name" else getattr(arguments, option.replace("-", "_"))
        if given not in (None, "auto", value):
            raise ValueError(f"the run in {out} was begun with --{option} {value}: leave the option out to resume it")
    return replace(run, where=arguments.data or run.where, track=arguments.track)


def work(arguments: argparse.Namespace) -> int | None:
    """Train as the arguments say, or show what would be trained."""
    if arguments.name == classifier.NAME:
        return classifier.run(arguments)
    run = configure(arguments)
    if arguments.push:
        hub.check_access(arguments.push)  # now, and not after hours of training
    track.check(arguments.track)
    if arguments.dry_run:
        run, data = run.preview()
        print(json.dumps(run.description(data), indent=2))
        return None
    run, data = run.open()
    print(f"Training {run.name} on {data.description()}, on {run.device}.")
    with threads(run.recipe.threads, run.device):
        ended = run.go(data)
    if not ended:
        again = shlex.join(["python", "-m", "train", *(a for a in arguments.argv if a != "--resume"), "--resume"])
        print(f"Stopped and saved. To go on: {again}")
        return 130
    bare = len(run.out.parts) == 1  # ganlib.load takes it for a shipped model's name where there is one
    print(f"The weights are in {run.out}: ganlib.load({('./' if bare else '') + str(run.out)!r}) opens them.")
    if arguments.push:
        publication = hub.prepare(run.out, arguments.push)
        publish.show(publication)
        publish.send(publication)
    return None


main = command(parser, work, "stopped at once; what was last saved is kept")

if __name__ == "__main__":
    sys.exit(main())
