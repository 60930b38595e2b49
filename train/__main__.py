"""python -m train NAME: train a recipe and write a weights folder that ganlib.load opens."""

import argparse
import json
import os
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

from ganlib import checkpoint, console, distributed, hub, publishing
from ganlib.augmentation import AUGMENTATIONS, DEFAULT
from ganlib.checks import require
from ganlib.data import DATASETS, Data, same_name
from ganlib.distributed import Group, LostProcess
from ganlib.pictures import Reading
from ganlib.recipes import DIGIT_CLASSIFIER, RECIPES
from ganlib.runs import KEPT, Run, occupied
from ganlib.training import NonFiniteLoss, check_augment

from . import classifier, jobs, publish, track
from .command import DEVICE, add_reading, command, configured, parse_size, pick_device, reading_of, without
from .progress import measuring, train


def parser() -> argparse.ArgumentParser:
    configs = {**{name: recipe.train for name, recipe in RECIPES.items()}, classifier.NAME: DIGIT_CLASSIFIER}
    data = ", ".join([*(f"{name} {recipe.data}" for name, recipe in RECIPES.items()), f"{classifier.NAME} mnist"])

    def recipes(option: str) -> str:
        return ", ".join(f"{name} {getattr(config, option)}" for name, config in configs.items())

    p = argparse.ArgumentParser(
        prog=console.spelled(), description="Train a small GAN or VAE by one of ganlib's recipes.",
        epilog=f"Ctrl-C saves a checkpoint, and the command that is printed then continues from it. {classifier.NAME} "
               f"trains in minutes and has no checkpoints. Several processes train one run, on one machine or many: "
               f"torchrun --nproc-per-node 2 -m train NAME, or, on GPUs, accelerate launch --multi_gpu -m train NAME; "
               f"--resume takes any number of them.")
    p.add_argument("recipe", choices=configs, metavar="NAME",
                   help=f"the recipe: {', '.join(RECIPES)}; or {classifier.NAME}, which measures digits")
    p.add_argument("--steps", type=int, help=f"steps of each network; with --resume a new end, to which the schedule "
                                             f"is stretched (default: {recipes('steps')})")
    p.add_argument("--batch-size", type=int, help=f"real samples a step (default: {recipes('batch_size')})")
    p.add_argument("--seed", type=int, help=f"of weights and noise (default: {recipes('seed')})")
    p.add_argument("--augment", nargs="?", const=",".join(DEFAULT), metavar="NAMES",
                   help=f"for small data sets: change images at random before the discriminator sees them, by some of "
                        f"{','.join(AUGMENTATIONS)}; without NAMES by {','.join(DEFAULT)}; not for a vae, which has no "
                        f"discriminator (default: none)")
    p.add_argument("--device", **DEVICE | {"help": f"{DEVICE['help']}; several processes have a GPU each on cuda"})
    p.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto",
                   help="auto is bfloat16 if the recipe uses it and the device computes it (default: auto)")
    p.add_argument("--data", metavar="WHERE",
                   help=f"a dataset ({', '.join(DATASETS)}), a folder of pictures, or the folder that datasets are "
                        f"kept in (default: {data}, from GANLIB_DATA or ~/.cache/ganlib)")
    p.add_argument("--size", metavar="PIXELS",
                   help="width and height that the pictures of a folder are resized to, such as 32, or 48x64 where "
                        "they differ (default: the recipe's, 28)")
    p.add_argument("--channels", type=int, choices=(1, 3),
                   help="1 converts the pictures of a folder to grey, 3 to colour (default: the recipe's, 1, or 3 for "
                        "stacked-mnist)")
    add_reading(p)
    p.add_argument("--name", metavar="NAME", help="the model's name (default: the recipe's)")
    p.add_argument("--out", type=Path, metavar="FOLDER", help="the weights folder to write (default: runs/NAME)")
    p.add_argument("--checkpoint-every", type=int, metavar="STEPS",
                   help="steps between checkpoints, rounded down to whole rows of the history (default: a twentieth of "
                        "--steps)")
    p.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out (default: start anew)")
    p.add_argument("--overwrite", action="store_true",
                   help="replace the model and the checkpoint of an earlier run in --out (default: refuse to)")
    p.add_argument("--init", metavar="MODEL",
                   help="start from the weights of a shipped model, a weights folder, or user/repo on the Hugging Face "
                        "Hub, of the same kind; layers for another number of classes or channels start anew (default: "
                        "random weights)")
    p.add_argument("--keep", choices=KEPT,
                   help="the weights that become the model: of the last step, or of the lowest FID in a run that is "
                        "measured while it trains (default: last, or as a resumed run was begun)")
    p.add_argument("--push", metavar="USER/NAME",
                   help=f"publish the weights to this repo on the Hugging Face Hub at the end, as "
                        f"{console.spelled('publish')} does (default: do not)")
    p.add_argument("--on-hf", metavar="FLAVOUR",
                   help="train on Hugging Face Jobs, on hardware such as a10g-small; needs --push, whose repo gets the "
                        "package and checkpoints in a branch; the price is shown first, and --dry-run ends there; "
                        "Ctrl-C leaves the job running, and the same command goes on after a timeout (default: here)")
    p.add_argument("--timeout", metavar="TIME",
                   help=f"of the job on Hugging Face, such as 30m or 4h (default: {jobs.TIMEOUT})")
    p.add_argument("--track", nargs="?", const=track.LOCAL, metavar="USER/SPACE",
                   help="show losses, measures and pictures in trackio during training, on this machine or on a Space; "
                        "trackio creates a missing Space, public and with your token as its secret (default: do not)")
    p.add_argument("--dry-run", action="store_true",
                   help="print the whole configuration and the sizes, train nothing; of a folder of pictures say what "
                        "was found, and write data.png, a sheet of what the networks see (default: train)")
    return p


def configure(arguments: argparse.Namespace) -> Run:
    """The run that the arguments describe.

    Raises:
        ValueError: an option is wrong, or differs from the one that a resumed run began with.
    """
    recipe, shape = RECIPES[arguments.recipe], None
    name, device = arguments.name or arguments.recipe, pick_device(arguments.device)
    out, own = folder_of(arguments), recipe.build().shape
    size = None if arguments.size is None else parse_size(arguments.size)
    if size is not None or arguments.channels is not None:
        require(len(own) == 3, f"--size and --channels are for images, and {arguments.recipe} makes points")
    if arguments.resume:
        for option, what in (("init", "starts a new run"), ("overwrite", "replaces the earlier run")):
            require(not getattr(arguments, option), f"--{option} {what}, and --resume continues one: give one of them")
        run = Run.resumed(arguments.recipe, out, device, arguments.checkpoint_every, arguments.data, arguments.steps,
                          arguments.keep)
        check_as_begun(arguments, run, size)
        return run
    if size is not None or arguments.channels is not None:
        shape = (arguments.channels or own[0], *(size or own[1:]))
        recipe.build(shape, 1)  # raises if the networks cannot make this size
    reading = reading_of(arguments)
    config = configured(recipe.train, arguments, device)
    if arguments.augment is not None:
        config = replace(config, augment=names_in(arguments.augment))
        check_augment(recipe.build(), config)
    return Run(arguments.recipe, name, config, device, out, shape, None,
               arguments.data, arguments.checkpoint_every, init=arguments.init, keep=arguments.keep or "last",
               overwrite=arguments.overwrite, reading=reading)


def folder_of(arguments: argparse.Namespace) -> Path:
    """The weights folder that is written."""
    return arguments.out or Path("runs") / (arguments.name or arguments.recipe)


def check_as_begun(arguments: argparse.Namespace, run: Run, size: tuple[int, int] | None) -> None:
    """Raises ValueError if an option differs from the one that a resumed run began with."""
    given = {**vars(arguments), "size": size, "augment": arguments.augment and names_in(arguments.augment)}
    if arguments.background is not None:  # two names of one colour are the same
        same = Reading(arguments.background).ground == run.reading.ground
        given["background"] = run.reading.background if same else arguments.background
    begun = {"batch_size": run.config.batch_size, "seed": run.config.seed, "name": run.name, "channels": run.shape[0],
             "size": run.shape[1:], "background": run.reading.background, "skip_broken": run.reading.skip_broken,
             "precision": "bfloat16" if run.config.bfloat16 else "float32", "augment": run.config.augment}
    words = {"size": "x".join(map(str, run.shape[:0:-1])), "augment": ",".join(run.config.augment)}
    for key, value in begun.items():
        option = f"--{key.replace('_', '-')}"
        how = f"without {option}" if value is False or value == () else f"with {option} {words.get(key, value)}"
        require(given[key] in (None, "auto", value), f"the run in {run.out} was begun {how}: leave the option out")


def names_in(text: str) -> tuple[str, ...]:
    """The names in a text that commas separate."""
    return tuple(name.strip() for name in text.split(","))


def resume_command(argv: list[str]) -> str:
    """The command that continues the run which a command line began."""
    for option, values in (("--resume", 0), ("--overwrite", 0), ("--init", 1)):
        argv = without(argv, option, values)
    return f"{console.spelled()} {shlex.join([*argv, '--resume'])}"


def opening(run: Run) -> str:
    """What a trainer should know when a run begins, apart from its data: weights it starts from, a changed end."""
    sentences = []
    if run.start is not None:
        new = ", ".join(run.start.new_layers)
        sentences.append(f"It starts from the weights of {run.start.model.name}."
                         + f" These start anew: {new}." * bool(new))
    if run.begun:
        planned, steps = run.begun["train"]["steps"], run.config.steps
        sentences.append(f"It goes on from step {run.begun['step']:,} of {steps:,}."
                         + f" {planned:,} steps were planned before." * (steps != planned))
    return " ".join(sentences)


def sheet_sentence(run: Run, data: Data) -> str:
    """A sentence that says where the contact sheet of a folder is, which is written; empty for other data."""
    sheet = run.write_sheet(data)
    return f"A sheet of what the networks see is in {sheet}." if sheet else ""


def preview(run: Run, sheet: bool) -> None:
    """Shows what would be trained: the configuration as JSON, and on stderr what was found in a folder.

    sheet: whether the contact sheet of a folder is written.
    """
    with measuring(f"opening {run.name}", delay=0.5) as progress:
        run, words, data = run.preview(progress)
    if data is not None and data.folder:
        shown = (sheet_sentence(run, data) if sheet else
                 f"No sheet of what the networks see was written: it would replace that of {run.out}.")
        print(" ".join((f"{words[0].upper()}{words[1:]}.", *data.found, shown)), file=sys.stderr)
    print(json.dumps(run.description(words), indent=2))


def work(arguments: argparse.Namespace) -> int | None:
    """Trains as the arguments say, or shows what would be trained, with the other processes of its launcher if any."""
    with distributed.joined() as group:
        if group.is_first:
            return lead(arguments, group)
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            return follow(group)


def follow(group: Group) -> int:
    """Trains in another process than the first, which decides, writes and says everything."""
    try:
        run = group.from_first(None)
        if run is None:  # there is nothing to train
            return 0
        run = replace(run, device=group.device(run.device), group=group)
        run, data = group.in_turn(run.open)
        return 0 if train(run, data, None) else 130
    except (NonFiniteLoss, LostProcess, KeyboardInterrupt):
        return 1


def lead(arguments: argparse.Namespace, group: Group) -> int | None:
    """`work` in the first process of a group, or in one alone."""
    if arguments.recipe == classifier.NAME:
        require(group.size == 1, f"{classifier.NAME} trains in one process: start it by {console.spelled()}")
        return classifier.run(arguments)
    jobs.check(arguments)
    if jobs.here():
        jobs.go_on(arguments, folder_of(arguments))
    if group.size > 1:
        arguments.device = group.device(arguments.device)
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0" and (folder_of(arguments) / checkpoint.STATE).exists():
        arguments.resume, arguments.init, arguments.overwrite = True, None, False  # torchrun starts a failed run again
    run = configure(arguments)
    replaces = not arguments.on_hf and not (arguments.resume or arguments.overwrite) and occupied(run.out)
    if replaces and arguments.dry_run:
        print(f"train: without --dry-run this will be refused: {replaces}", file=sys.stderr)
    elif replaces:
        raise ValueError(replaces)
    if arguments.push:
        hub.check_access(arguments.push)  # now, before hours of training
    tracked = track.check(arguments.track)
    if note := same_name(arguments.data):
        print(note, file=sys.stderr)
    if arguments.on_hf:
        with measuring(f"opening {run.name}", delay=0.5) as progress:
            run, words, _ = run.preview(progress)
        group.from_first(None)
        return jobs.submit(arguments, run, words)
    if arguments.dry_run:
        group.from_first(None)
        return preview(run, sheet=not replaces)
    run = replace(group.from_first(run), group=group)
    with measuring(f"opening {run.name}", delay=0.5) as progress:
        run, data = group.in_turn(lambda: run.open(progress=progress))
    by = f", by {group.size} processes" if group.size > 1 else ""
    first = f"Training {run.name} on {data.description()}, on {run.device}{by}."
    with run.alone(), jobs.checkpoints(run, arguments.push) as sender:
        print(" ".join(filter(None, (first, *data.found, opening(run), sheet_sentence(run, data)))))
        ended = train(run, data, tracked, sender.offer if sender else lambda: None)
    if not ended:
        print((jobs.AGAIN if sender.sent else jobs.LOST) if sender else
              f"Stopped and saved. To continue{', by any number of processes' * (group.size > 1)}: "
              f"{resume_command(arguments.argv)}")
        return 130
    bare = len(run.out.parts) == 1  # ganlib.load would take it for the name of a shipped model
    if not jobs.here():
        print(f"The weights are in {run.out}: ganlib.load({('./' if bare else '') + str(run.out)!r}) opens them.")
    if arguments.push:
        jobs.check_own(arguments.push)
        publication = publishing.prepare(run.out, arguments.push)
        publish.show(publication)
        publish.send(publication)
        if jobs.here():
            jobs.ended(arguments.push)
    return None


def stopped(arguments: argparse.Namespace) -> str:
    """What is left where a run was stopped at once."""
    if arguments.on_hf:
        return "stopped; `hf jobs ps` shows whether a job was started"
    there = (folder_of(arguments) / checkpoint.STATE).exists()
    return f"stopped; {'the last checkpoint is kept' if there else 'there is no checkpoint yet'}"


main = command(parser, work, stopped)

if __name__ == "__main__":
    sys.exit(main())
