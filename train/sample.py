"""python -m train.sample MODEL: write samples of a model as PNG files, one for each seed, or all as one file.

A sample is the same whichever call made it. In a folder, finished files are not made again, so that a second call goes
on where an interrupted one stopped. A single file (--grid, --npz) is written at the end or not at all. PNG files have
a passport (`ganlib.passport`) with the settings of the page's tab Generate.
"""

import argparse
import hashlib
import itertools
import json
import math
import os
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor
from tqdm import tqdm

from ganlib import console, hub, images, passport
from ganlib.architectures import Architecture, describe
from ganlib.checkpoint import read_json, to_json
from ganlib.checks import check_float, check_int, listed, quoted, require
from ganlib.files import replacing
from ganlib.model import Model
from ganlib.sampling import MAX_SEED, MAX_TRUNCATION

from .command import DEVICE, command, pick_device

NUMBER = 100
MOST = 10**7  # samples of one call
MOST_PIXELS = 80 * 10**6  # of a contact sheet: Pillow warns of larger pictures when it opens them
MOST_GIB = 4  # of an array: it is made in memory
BATCH = 64  # samples made at a time, always as many: the last digits of a sample depend on the size of its batch
NOTE = "samples.json"  # in the folder: which model the pictures are of
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]')  # or for terminals
LONGEST = 200  # bytes of a folder's name
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE)  # on Windows

Sample = tuple[int, int | None]  # a seed, and its class where there are classes
Progress = Callable[[int], Any]  # is called with how many samples are done since the last call


def parse_seeds(text: str) -> list[int]:
    """The seeds of a text such as "0-99,200,7", in this order, each once. Raises ValueError for any other text."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?", part, re.ASCII)
        require(found is not None, f"--seeds must be seeds and ranges such as 0-99,200,7, not {quoted(text)}")
        first, last = int(found[1]), int(found[2] or found[1])
        require(first <= last <= MAX_SEED, f"--seeds has {quoted(part.strip())}: seeds are 0 to {MAX_SEED}, and "
                                           f"a range goes up")
        require(len(seeds) + last - first < MOST, f"--seeds are at most {MOST:,} in one call")
        seeds |= dict.fromkeys(range(first, last + 1))
    return list(seeds)


def parse_labels(text: str, model: Model) -> list[int]:
    """The classes of a text such as "cat,dog" or "3,5-7": names or, where no class has that name, numbers."""
    names = model.class_names
    require(len(names) > 0, f"{shown(model)} has no classes: leave --labels out")
    labels: dict[int, None] = {}
    for part in [text] if text in names else text.split(","):
        part = part if part in names else part.strip()
        number = re.fullmatch(r"(\d{1,9})\s*(?:-\s*(\d{1,9}))?", part, re.ASCII)
        if part in names:
            same = ", ".join(str(label) for label, name in enumerate(names) if name == part)
            require("," not in same, f"--labels: {names.count(part)} classes are named {quoted(part)}: give their "
                                     f"numbers, {same}")
            labels[names.index(part)] = None
        elif number is not None and int(number[1]) <= int(number[2] or number[1]) < len(names):
            labels |= dict.fromkeys(range(int(number[1]), int(number[2] or number[1]) + 1))
        else:
            raise ValueError(f"--labels: {shown(model)} has no class {quoted(part)}; its classes are 0 to "
                             f"{len(names) - 1}: {listed(list(names))}")
    return list(labels)


def shown(model: Model) -> str:
    """The model's name for messages: quoted where it has control characters, which could come from a foreign file."""
    return model.name if model.name.isprintable() else quoted(model.name)


def folder_names(class_names: Sequence[str]) -> list[str]:
    """A folder's name for each class, valid on every system and different from all others, whatever the case."""
    cleaned = [_cleaned(name) for name in class_names]
    uses = Counter([NOTE, *(name.casefold() for name in cleaned)])
    taken, found = set(), []
    for label, name in enumerate(cleaned):
        chosen, suffix = name, f"-{label}"
        while chosen.casefold() in taken or uses[chosen.casefold()] > (chosen == name):
            chosen, suffix = name + suffix, f"{suffix}-{label}"
        taken.add(chosen.casefold())
        found.append(chosen)
    return found


def _cleaned(name: str) -> str:
    """A name without characters that a system does not allow in a folder's name, and without a dot at its start."""
    name = FORBIDDEN.sub("_", unicodedata.normalize("NFC", name))
    name = re.sub(r"^\.", "_", name.strip())
    name = name.encode()[:LONGEST].decode(errors="ignore").rstrip(" .")
    return f"_{name}" if not name or RESERVED.fullmatch(name) else name


def named(model: Model, seeds: Iterable[int], labels: Sequence[int] | None) -> Iterator[Sample]:
    """Each seed with its class: each of `labels` or, by default, the class that it picks; None without classes."""
    for seed in seeds:
        if labels is not None:
            yield from ((seed, label) for label in labels)
        else:
            picked = model.labels_of([seed])
            yield seed, None if picked is None else int(picked)


def in_batches(model: Model, samples: Iterable[Sample], truncation: float) -> Iterator[tuple[list[Sample], Tensor]]:
    """The samples in batches: up to BATCH of them, and their tensor (N, *shape)."""
    samples = iter(samples)
    while batch := list(itertools.islice(samples, BATCH)):
        seeds, labels = zip(*(batch + batch[-1:] * (BATCH - len(batch))))
        x = model.sample(seeds, None if labels[0] is None else labels, truncation)
        yield batch, x[:len(batch)]


def write_pictures(model: Model, samples: Iterable[Sample], out: Path, truncation: float = 1.0,
                   progress: Progress = lambda done: None) -> int:
    """Writes seedNNNNNNNNNN.png of each sample that is not in the folder yet, with classes in a folder for each class.

    Returns:
        How many it wrote.

    Raises:
        ValueError: the model makes no pictures, or the folder holds anything but samples of the same model.
        OSError: the folder or a file cannot be written; all files that are there are complete.
    """
    check_pictures(model)
    folders, described = folder_names(model.class_names), passport.of(model, "generate")
    prepare_folder(out, {"model": model.name, "weights": fingerprint(model), "truncation": truncation,
                         "folders": folders})

    def path(sample: Sample) -> Path:
        seed, label = sample
        return (out if label is None else out / folders[label]) / f"seed{seed:010d}.png"

    def missing() -> Iterator[Sample]:
        for sample in samples:
            if path(sample).exists():
                progress(1)
            else:
                yield sample

    written = 0
    for batch, x in in_batches(model, missing(), truncation):
        for sample, image in zip(batch, x):
            path(sample).parent.mkdir(exist_ok=True)
            passport.save(images.to_pil(image), path(sample), described | state(model, [sample], truncation))
            written += 1
            progress(1)
    return written


def state(model: Model, samples: Sequence[Sample], truncation: float) -> dict[str, Any]:
    """The settings of the page's tab Generate that show the samples.

    The tab shows successive seeds, with one class, all classes or those that the seeds pick. Other seeds and classes
    are listed as "seeds" and "classes": the tab then says that it does not show them.
    """
    seeds, classes = (list(dict.fromkeys(column)) for column in zip(*samples))
    found: dict[str, Any] = {"seed": seeds[0], "count": len(samples), "psi": float(truncation)}
    if seeds != list(range(seeds[0], seeds[0] + len(seeds))):
        found["seeds"] = _joined(seeds)
    if None in classes:
        return found
    for choice, labels in ((str(classes[0]), classes[:1]), ("any", None), ("all", range(len(model.class_names)))):
        if list(named(model, seeds, labels)) == list(samples):
            return found | {"class": choice}
    return found | {"classes": _joined(classes)}


def _joined(numbers: Sequence[int | None]) -> str:
    """The numbers with commas between them; how many they are, where a passport cannot hold them."""
    text = ",".join(map(str, numbers))
    return text if len(text) <= passport.MAX_TEXT else f"{len(numbers):,} numbers, too many to list"


def fingerprint(model: Model) -> str:
    """A hash of what a model's samples depend on: its architecture and the generator's weights.

    Fields of the architecture that have their defaults are left out: a later version of the package may have more.
    """
    found = hashlib.sha256(json.dumps(_without_defaults(model.architecture), sort_keys=True).encode())
    for value in model.generator.state_dict().values():
        found.update(value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _without_defaults(architecture: Architecture) -> dict[str, Any]:
    """The architecture's kind and the fields that differ from their defaults."""
    defaults = {field.name: field.default for field in fields(architecture)}
    given = {name for name, default in defaults.items() if getattr(architecture, name) != default}
    return {name: value for name, value in describe(architecture).items() if name == "kind" or name in given}


def prepare_folder(out: Path, note: dict[str, Any]) -> None:
    """Makes the folder, with a note of the model in it. Raises ValueError if that fails, or it holds anything else."""
    name = quoted(str(out))
    try:
        require(out.is_dir() or not out.exists(), f"--out must be a folder, and {name} is a file")
        require(out.is_dir() or not out.is_symlink(), f"--out must be a folder, and {name} is a link to a missing one")
        if (out / NOTE).exists():
            check_note(out, read_json(out / NOTE, dict), note)
            return
        require(not out.is_dir() or all(path.name.startswith(".") for path in out.iterdir()),
                f"{name} holds other files, which samples must not be mixed with: give another --out")
        out.mkdir(parents=True, exist_ok=True)
        with replacing(out / NOTE) as partial:
            partial.write_bytes(to_json(note))
    except OSError as error:
        raise ValueError(f"--out {name} cannot be used: {error.strerror}") from None


def check_note(out: Path, found: dict[str, Any], note: dict[str, Any]) -> None:
    """Raises ValueError if the note that was found in the folder is of other samples."""
    name = quoted(found.get("model"))
    whose = f"of other weights of {name}" if found.get("model") == note["model"] else f"of another model, {name}"
    for key, what in (("weights", whose), ("truncation", f"made with --truncation {quoted(found.get('truncation'))}"),
                      ("folders", "in folders for other classes")):
        require(found.get(key) == note[key], f"{quoted(str(out))} holds samples {what}: give another --out")


def check_pictures(model: Model) -> None:
    """Raises ValueError unless the model's samples are pictures."""
    name = shown(model)
    require(len(model.shape) == 3, f"{name} makes points, which are no pictures: write them by --npz FILE.npz")
    require(model.shape[0] in (1, 3), f"{name} makes images of {model.shape[0]} channels, and pictures have 1 or 3: "
                                      f"write them by --npz FILE.npz")


def write_grid(model: Model, samples: Iterable[Sample], total: int, path: Path, truncation: float = 1.0,
               group: int = 1, progress: Progress = lambda done: None) -> None:
    """Writes one contact sheet of the samples.

    Args:
        model: makes the samples.
        samples: seeds and classes.
        total: how many samples there are.
        path: of the PNG file.
        truncation: as in `Model.sample`.
        group: how many successive samples stay in one row, such as the classes of a seed.
        progress: is called with how many samples are done since the last call.

    Raises:
        ValueError: the model makes no pictures, or the sheet would have more than MOST_PIXELS.
    """
    check_pictures(model)
    columns = images.columns_of_groups(total, group, *model.shape[1:])
    width, height = images.sheet_size(total, *model.shape[1:], columns)
    require(width * height <= MOST_PIXELS,
            f"a sheet of {total:,} samples would have {width:,}×{height:,} pixels, and at most {MOST_PIXELS:,} are "
            f"allowed: give fewer samples, or --out FOLDER in place of --grid")
    with replacing(path) as partial:  # before the work, because the file may not be writable
        parts, done = [], []
        for batch, x in in_batches(model, samples, truncation):
            parts.append(x)
            done += batch
            progress(len(batch))
        described = passport.of(model, "generate", **state(model, done, truncation))
        passport.save(images.contact_sheet(torch.cat(parts), columns), partial, described)


def write_npz(model: Model, samples: Iterable[Sample], total: int, path: Path, truncation: float = 1.0,
              progress: Progress = lambda done: None) -> None:
    """Writes one file of arrays that numpy.load opens without pickle.

    `arr_0` holds the samples: images (N, H, W, C) uint8, or points (N, *shape) float32; `seeds` (N,) int64; and, of a
    model with classes, `labels` (N,) int64. `total` is the number of samples, at most. Raises ValueError if they need
    more than MOST_GIB.
    """
    pictures = len(model.shape) == 3
    shape, kind = ((*model.shape[1:], model.shape[0]), numpy.uint8) if pictures else (model.shape, numpy.float32)
    size = total * math.prod(shape) * numpy.dtype(kind).itemsize / 2**30
    require(size <= MOST_GIB, f"{total:,} samples need {size:,.1f} GiB, and a file of arrays may have {MOST_GIB}: give "
                              f"fewer samples, or --out FOLDER in place of --npz")
    with replacing(path) as partial:  # before the work, because the file may not be writable
        values, done = numpy.empty((total, *shape), kind), []
        for batch, x in in_batches(model, samples, truncation):
            found = images.to_uint8(x).permute(0, 2, 3, 1) if pictures else x
            values[len(done):len(done) + len(batch)] = found.numpy()
            done += batch
            progress(len(batch))
        arrays = {"seeds": numpy.array([seed for seed, _ in done], numpy.int64)}
        if model.num_classes:
            arrays["labels"] = numpy.array([label for _, label in done], numpy.int64)
        with partial.open("wb") as file:
            numpy.savez(file, values[:len(done)], **arrays)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=console.spelled("sample"),
        description="Write samples of a model as PNG files named by seed, with classes in a folder for each class. A "
                    "second call with the same folder makes what is missing.")
    p.add_argument("model", metavar="MODEL",
                   help="a weights folder, a shipped model's name, or user/repo on the Hugging Face Hub")
    p.add_argument("-n", "--number", type=int, metavar="N",
                   help=f"samples, of the seeds 0 to N - 1 (default: {NUMBER}, or as many as --seeds)")
    p.add_argument("--seeds", metavar="SEEDS", help="seeds and ranges, such as 0-99,200,7 (default: 0 to N - 1)")
    p.add_argument("--labels", metavar="CLASSES",
                   help="classes, such as cat,dog or 3,5-7: names or, where no class has that name, numbers; each seed "
                        "makes a sample of each of them (default: each seed picks its class)")
    p.add_argument("--truncation", type=float, default=1.0, metavar="PSI",
                   help=f"0 for average samples to {MAX_TRUNCATION:g} for extreme ones (default: 1)")
    p.add_argument("--out", type=Path, metavar="FOLDER",
                   help="the folder for PNG files, of this model and truncation alone (default: NAME-samples in the "
                        "current folder, or none with --grid or --npz)")
    p.add_argument("--grid", type=Path, metavar="FILE",
                   help="write one contact sheet, a .png file, in place of the folder; with several --labels, the "
                        "samples of a seed are in one row (default: none)")
    p.add_argument("--npz", type=Path, metavar="FILE",
                   help="write one file of arrays, a .npz file, in place of the folder: arr_0 (N, H, W, C) uint8, or "
                        "points as float32; seeds; labels (default: none)")
    p.add_argument("--device", **DEVICE)
    return p


def check(arguments: argparse.Namespace) -> None:
    """Raises ValueError for options that are wrong or exclude each other, before a model is loaded."""
    require(arguments.number is None or arguments.seeds is None, "-n and --seeds exclude each other: give one of them")
    given = [f"--{option}" for option in ("out", "grid", "npz") if getattr(arguments, option) is not None]
    require(len(given) < 2, f"{' and '.join(given)} exclude each other: give one of them")
    check_float(arguments.truncation, 0, MAX_TRUNCATION, "--truncation")
    for option, suffix in (("grid", ".png"), ("npz", ".npz")):
        path = getattr(arguments, option)
        if path is not None:
            require(path.suffix.lower() == suffix, f"--{option} must end in {suffix}, not {quoted(str(path))}")
            require(not os.path.isdir(path), f"--{option} must be a file, and {quoted(str(path))} is a folder")
            require(os.path.isdir(path.parent), f"--{option}: there is no folder {quoted(str(path.parent))}")


def work(arguments: argparse.Namespace) -> None:
    """Writes the samples that the arguments name."""
    check(arguments)
    number = NUMBER if arguments.number is None else check_int(arguments.number, 1, MOST, "-n")
    seeds = range(number) if arguments.seeds is None else parse_seeds(arguments.seeds)
    model = hub.load(arguments.model, pick_device(arguments.device))
    labels = None if arguments.labels is None else parse_labels(arguments.labels, model)
    total = len(seeds) * (len(labels) if labels else 1)
    require(total <= MOST, f"{total:,} samples are too many for one call: at most {MOST:,}")
    samples, truncation = named(model, seeds, labels), arguments.truncation
    with tqdm(desc=shown(model), total=total, unit="sample", unit_scale=True, dynamic_ncols=True, leave=False,
              delay=0.3) as bar:  # an error that is found at once is printed without a bar
        if arguments.npz:
            write_npz(model, samples, total, arguments.npz, truncation, bar.update)
            done = f"{arguments.npz}: {total:,} samples."
        elif arguments.grid:
            write_grid(model, samples, total, arguments.grid, truncation, len(labels) if labels else 1, bar.update)
            done = f"{arguments.grid}: {total:,} samples."
        else:
            out = arguments.out or Path(f"{_cleaned(model.name.split('@')[0].split('/')[-1])}-samples")
            written = write_pictures(model, samples, out, truncation, bar.update)
            done = f"{out}: {total:,} samples{f', {total - written:,} of which were there' if written < total else ''}."
    print(done)


def stopped(arguments: argparse.Namespace) -> str:
    """The message after Ctrl-C."""
    if arguments.grid or arguments.npz:
        return "stopped; no file was written"
    return "stopped; finished files are kept, and the same command makes the others"


main = command(parser, work, stopped)

if __name__ == "__main__":
    sys.exit(main())
