"""python -m train.sample MODEL: write samples of a model as PNG files, one for each seed, or all as one file.

A picture is the same whichever call made it, and what is finished is not made again, so an interrupted call goes on
where it stopped.
"""

import argparse
import hashlib
import itertools
import os
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy
import torch
from torch import Tensor
from tqdm import tqdm

from ganlib import hub, images
from ganlib.checkpoint import read_json, to_json
from ganlib.checks import check_float, check_int, listed, quoted, require
from ganlib.model import Model
from ganlib.report import to_png
from ganlib.sampling import MAX_SEED, MAX_TRUNCATION
from train.command import DEVICE, command, pick_device

NUMBER = 100
MOST = 10**7  # samples of one call
MOST_PIXELS = 80 * 10**6  # of a contact sheet: Pillow takes larger pictures for an attack
BATCH = 64  # samples made at a time, always as many: the last digits of a sample depend on the size of its batch
NOTE = "samples.json"  # in the folder: which model its pictures are of
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
    require(len(names) > 0, f"{model.name} has no classes: leave --labels out")
    labels: dict[int, None] = {}
    for part in [text] if text in names else text.split(","):
        part = part if part in names else part.strip()
        number = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part, re.ASCII)
        if part in names:
            require(names.count(part) == 1, f"--labels: {names.count(part)} classes are named {quoted(part)}: give "
                                            f"their numbers, {listed_numbers(part, names)}")
            labels[names.index(part)] = None
        elif number is not None and int(number[1]) <= int(number[2] or number[1]) < len(names):
            labels |= dict.fromkeys(range(int(number[1]), int(number[2] or number[1]) + 1))
        else:
            raise ValueError(f"--labels: {model.name} has no class {quoted(part)}; its classes are 0 to "
                             f"{len(names) - 1}: {listed(list(names))}")
    return list(labels)


def listed_numbers(name: str, names: Sequence[str]) -> str:
    """The numbers of the classes of that name."""
    return ", ".join(str(label) for label, other in enumerate(names) if other == name)


def folder_names(class_names: Sequence[str]) -> list[str]:
    """A folder's name for each class, valid on every system and different from all others, whatever the case."""
    cleaned = [_cleaned(name) for name in class_names]
    wanted = Counter([NOTE, *(name.casefold() for name in cleaned)])
    taken, found = set(), []
    for label, name in enumerate(cleaned):
        chosen, suffix = name, f"-{label}"
        while chosen.casefold() in taken or wanted[chosen.casefold()] > (chosen == name):
            chosen, suffix = name + suffix, f"{suffix}-{label}"
        taken.add(chosen.casefold())
        found.append(chosen)
    return found


def _cleaned(name: str) -> str:
    """A class's name without what a system does not allow in a folder's name, and without a dot at its start."""
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]', "_", unicodedata.normalize("NFC", name))
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


def draw(model: Model, samples: Iterable[Sample], truncation: float) -> Iterator[tuple[list[Sample], Tensor]]:
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
    folders = folder_names(model.class_names)
    claim(out, {"model": model.name, "weights": fingerprint(model), "truncation": truncation, "folders": folders})

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
    for batch, x in draw(model, missing(), truncation):
        for sample, image in zip(batch, x):
            path(sample).parent.mkdir(exist_ok=True)
            with replacing(path(sample)) as file:
                file.write(to_png(images.to_pil(image)))
            written += 1
            progress(1)
    return written


def fingerprint(model: Model) -> str:
    """A hash of what decides how a model's samples look: its networks and their weights."""
    found = hashlib.sha256(repr(model.architecture).encode())
    for value in model.generator.state_dict().values():
        found.update(value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def claim(out: Path, note: dict[str, Any]) -> None:
    """Makes the folder, with a note of the model in it. Raises ValueError if it holds anything else already."""
    require(out.is_dir() or not out.exists(), f"--out must be a folder, and {str(out)!r} is a file")
    if (out / NOTE).exists():
        found = read_json(out / NOTE, dict)
        for key, what in (("weights", f"of another model, {quoted(found.get('model'))}"),
                          ("truncation", f"made with --truncation {quoted(found.get('truncation'))}"),
                          ("folders", "in folders for other classes")):
            require(found.get(key) == note[key], f"{str(out)!r} holds samples {what}: give another --out")
        return
    require(not out.is_dir() or all(path.name.startswith(".") for path in out.iterdir()),
            f"{str(out)!r} holds other files, which samples must not be mixed with: give another --out")
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / NOTE) as file:
        file.write(to_json(note))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that replaces the one of that path at the end; an error leaves nothing behind, and names it."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):  # a full disk does not say where it is
            error.filename = error.filename or str(path)
        raise


def check_pictures(model: Model) -> None:
    """Raises ValueError unless the model's samples are pictures."""
    require(len(model.shape) == 3, f"{model.name} makes points, which are no pictures: write them by --npz FILE.npz")
    require(model.shape[0] in (1, 3), f"{model.name} makes images of {model.shape[0]} channels, and pictures have 1 or "
                                      f"3: write them by --npz FILE.npz")


def write_grid(model: Model, samples: Iterable[Sample], total: int, path: Path, truncation: float = 1.0,
               columns: int | None = None, progress: Progress = lambda done: None) -> None:
    """Writes one contact sheet of the samples. Raises ValueError if the model makes no pictures, or there are too many.

    columns: None for the squarest grid.
    """
    check_pictures(model)
    most = MOST_PIXELS // ((model.shape[1] + 2) * (model.shape[2] + 2))
    require(total <= most, f"a sheet of {total:,} samples would be too large: give at most {most:,}, or --out FOLDER")
    with replacing(path) as file:  # before the work, because the file may not be writable
        parts = []
        for batch, x in draw(model, samples, truncation):
            parts.append(x)
            progress(len(batch))
        file.write(to_png(images.contact_sheet(torch.cat(parts), columns)))


def write_npz(model: Model, samples: Iterable[Sample], total: int, path: Path, truncation: float = 1.0,
              progress: Progress = lambda done: None) -> None:
    """Writes one file of arrays that numpy.load opens without pickle.

    `arr_0` holds the samples: images (N, H, W, C) uint8, or points (N, *shape) float32; `seeds` (N,) int64; and, of a
    model with classes, `labels` (N,) int64. Raises ValueError if they do not fit the memory.
    """
    pictures = len(model.shape) == 3
    shape = (*model.shape[1:], model.shape[0]) if pictures else model.shape
    try:
        values = numpy.empty((total, *shape), numpy.uint8 if pictures else numpy.float32)
    except MemoryError:
        raise ValueError(f"{total:,} samples do not fit the memory: give fewer, or --out FOLDER") from None
    with replacing(path) as file:  # before the work, because the file may not be writable
        done: list[Sample] = []
        for batch, x in draw(model, samples, truncation):
            values[len(done):len(done) + len(batch)] = images.to_uint8(x).permute(0, 2, 3, 1) if pictures else x
            done += batch
            progress(len(batch))
        seeds, labels = zip(*done)
        arrays = {"seeds": numpy.array(seeds, numpy.int64)}
        if model.num_classes:
            arrays["labels"] = numpy.array(labels, numpy.int64)
        numpy.savez(file, values, **arrays)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.sample",
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
                   help="write one contact sheet in place of the files, which must end in .png; with several --labels, "
                        "a row for each seed (default: none)")
    p.add_argument("--npz", type=Path, metavar="FILE",
                   help="write one file of arrays in place of the files, which must end in .npz: arr_0 (N, H, W, C) "
                        "uint8, or points as float32; seeds; labels (default: none)")
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
            require(path.suffix.lower() == suffix, f"--{option} must end in {suffix}, not {str(path)!r}")
            require(not path.is_dir(), f"--{option} must be a file, and {str(path)!r} is a folder")
            require(path.parent.is_dir(), f"there is no folder {str(path.parent)!r}")


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
    with tqdm(desc=model.name, total=total, unit="sample", unit_scale=True, dynamic_ncols=True, leave=False,
              delay=0.3) as bar:  # what is wrong is said before it is shown
        if arguments.npz:
            write_npz(model, samples, total, arguments.npz, truncation, bar.update)
            done = f"{arguments.npz}: {total:,} samples."
        elif arguments.grid:
            columns = len(labels) if labels and len(labels) > 1 else None
            write_grid(model, samples, total, arguments.grid, truncation, columns, bar.update)
            done = f"{arguments.grid}: {total:,} samples."
        else:
            out = arguments.out or Path(f"{model.name.split('@')[0].split('/')[-1]}-samples")
            written = write_pictures(model, samples, out, truncation, bar.update)
            done = f"{out}: {total:,} samples{f', {total - written:,} of which were there' if written < total else ''}."
    print(done)


main = command(parser, work, "stopped; what is finished is kept, and the same command goes on")

if __name__ == "__main__":
    sys.exit(main())
