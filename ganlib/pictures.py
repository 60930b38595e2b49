"""A folder of anybody's pictures to one tensor: formats, transparency, depth, classes.

`look` finds the pictures and says what they mean, without decoding one. `read` crops and resizes them; the result of a
long reading is kept in a cache (`ganlib.picture_cache`).
"""

import os
import re
import stat
import threading
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy
import PIL
import torch
from PIL import Image, ImageCms, ImageColor, ImageOps, UnidentifiedImageError
from torch import Tensor

from ganlib.checks import check_fields, quoted, require
from ganlib.picture_cache import THREADS, in_order, recall
from ganlib.picture_cache import Progress as Progress

# of several systems, beside names that begin with a dot
HIDDEN = {"__macosx", "$recycle.bin", "system volume information", "@eadir", "lost+found"}
# Pillow opens these only by another program, which a stranger's file must not start, or not at all
NOT_READ = {"EPS", "WMF", "MPEG", "HDF5", "GRIB", "BUFR"}
# formats that begin with a mark of their own, which are looked for in files of any other suffix
MARKED = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "AVIF", "QOI", "PSD")
MAX_PIXELS = 2**29  # of one picture when it is decoded, which takes 2 GB in colour
LARGE = 2**24  # pixels: above that one picture is decoded at a time, and in bands
BAND = 2**22  # pixels of a band
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # tags of TIFF
HIDDEN_FILE, HIDDEN_FOLDER = ("hidden file", "hidden files"), ("hidden folder", "hidden folders")  # one, more
LOOP = "link to a folder around it", "links to folders around them"
NO_RIGHT = "folder that must not be read", "folders that must not be read"
NO_FILE = "link that leads nowhere", "links that lead nowhere"
NAMED = 10  # broken files that a message names
CLASSES_NAMED = 20  # in the report
RAW = {".arw", ".cr2", ".dng", ".nef", ".orf", ".pef", ".rw2"}  # of cameras: their first picture is a thumbnail
VERSION = 1  # of the reading: a reading of another version is not taken from the cache

_one_at_a_time = threading.Lock()
_limit_is_lifted = threading.RLock()


@dataclass(frozen=True)
class Reading:
    """How pictures are read.

    Args:
        background: the colour that transparent pictures are composited onto, by its name or as "#rrggbb".
        skip_broken: whether files that cannot be read are left out. Otherwise they are an error.
        classes: whether subfolders have to be classes. Otherwise pictures are read from all depths, without classes,
            where it is not clear which folders would be classes.

    Raises:
        ValueError: the background is no colour.
    """

    background: str = "white"
    skip_broken: bool = False
    classes: bool = True

    def __post_init__(self) -> None:
        for name in ("skip_broken", "classes"):
            value = getattr(self, name)
            require(isinstance(value, bool), f"{name} must be True or False, not {quoted(value)}")
        try:
            ImageColor.getrgb(self.background)
        except (ValueError, AttributeError, TypeError):
            raise ValueError(f"background must be a colour such as white, black or #8090a0, not "
                             f"{quoted(self.background)}") from None

    @classmethod
    def rebuild(cls, values: Any) -> "Reading":
        """The reading that `dataclasses.asdict` made these values of. Raises ValueError if one is wrong."""
        require(isinstance(values, dict), f"a reading must be a table of fields, not {quoted(values)}")
        check_fields(values, cls, "a reading")
        return cls(**values)

    @property
    def ground(self) -> tuple[int, ...]:
        """The background's red, green and blue, from 0 to 255."""
        return ImageColor.getrgb(self.background)[:3]


@dataclass(frozen=True)
class Found:
    """The pictures of a folder, none of them decoded yet.

    Args:
        folder: that was searched.
        files: in natural order, class by class.
        labels: the class of each file; empty without classes.
        class_names: of at least 2 classes; empty without classes.
        left_out: what was not taken, in words, and how many of it.
    """

    folder: Path
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]
    left_out: dict[str, int]


@dataclass(frozen=True)
class Pictures:
    """Pictures in memory.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64; None without classes.
        class_names: None without classes.
        report: sentences that say what was found, and what was left out.
    """

    images: Tensor
    labels: Tensor | None
    class_names: tuple[str, ...] | None
    report: tuple[str, ...]


def look(folder: Path, classes: bool = True) -> Found:
    """Finds the pictures in a folder: all that Pillow reads, without hidden files and folders.

    Pictures that are directly in the folder have no classes. Otherwise every subfolder is a class, with all pictures
    below it. An only subfolder is looked into in place of the folder.

    Args:
        folder: to be searched.
        classes: as in `Reading`.

    Raises:
        ValueError: there is no picture, or it is not clear which folders are classes, or a name cannot be saved.
        OSError: a folder cannot be read.
    """
    left_out: Counter[Any] = Counter()
    try:
        with warnings.catch_warnings(), _any_size():
            warnings.simplefilter("ignore")  # of files that only seem to be pictures
            tree = _lone(_search(Path(folder), left_out, ()))
    except RecursionError:
        raise ValueError(f"the folders in {_shown(folder)} lie too deep in one another") from None
    counts = _in_words(left_out)
    require(bool(tree.pictures or tree.below), f"{_shown(folder)} holds no pictures"
            + (f" (left out: {_listing(counts)})" if counts else ""))
    groups = [_lone(below) for below in tree.below]
    clear = not tree.pictures and all(group.pictures for group in groups)
    if not tree.below or not (clear or classes):
        return Found(Path(folder), tuple(tree.all()), (), (), counts)
    require(not tree.pictures, f"{_shown(tree.folder)} holds pictures both directly and in subfolders, such as "
            f"{_shown(tree.below[0].folder)}, so it has no clear classes: use one or the other")
    for top, group in zip(tree.below, groups):
        require(bool(group.pictures), f"{_shown(tree.folder)} holds folders of folders of pictures, such as "
                f"{_shown(group.folder)}, so it has no clear classes: name the folder whose subfolders are the classes")
        try:
            top.folder.name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"the name of the folder {_shown(top.folder)} is not UTF-8, and the names of classes are "
                             f"saved with the model: rename it") from None
    names = tuple(unicodedata.normalize("NFC", top.folder.name) for top in tree.below)
    twice = [name for name, n in Counter(names).items() if n > 1]
    require(not twice, f"{_shown(tree.folder)} holds two folders whose names look alike, "
                       f"{', '.join(map(_shown, twice))}: rename one of them")
    files = [(label, path) for label, group in enumerate(groups) for path in group.all()]
    return Found(Path(folder), tuple(path for _, path in files), tuple(label for label, _ in files), names, counts)


@dataclass(frozen=True)
class _Tree:
    """A folder, the pictures directly in it, and its subfolders with pictures at any depth."""

    folder: Path
    pictures: list[Path]
    below: list["_Tree"]

    def all(self) -> list[Path]:
        """Its pictures at any depth."""
        return [*self.pictures, *(path for tree in self.below for path in tree.all())]


def _search(folder: Path, left_out: Counter[Any], above: tuple[tuple[int, int], ...]) -> _Tree:
    """The tree of a folder. `left_out` counts what is not taken; `above` are the folders that it lies in."""
    found = os.stat(folder)
    above = (*above, (found.st_dev, found.st_ino))
    pictures, below = [], []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: _natural(entry.name)):
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link to itself
                is_folder = False
            if _is_hidden(entry):
                left_out[HIDDEN_FOLDER if is_folder else HIDDEN_FILE] += 1
            elif is_folder:
                inside = entry.stat()  # of the target, where it is a link
                if (inside.st_dev, inside.st_ino) in above:
                    left_out[LOOP] += 1
                    continue
                try:
                    tree = _search(Path(entry.path), left_out, above)
                except PermissionError:
                    left_out[NO_RIGHT] += 1
                    continue
                below += [tree] if tree.pictures or tree.below else []
            elif not os.path.isfile(entry.path):
                left_out[NO_FILE] += 1
            elif _is_picture(entry.path):
                pictures.append(Path(entry.path))
            else:
                left_out[Path(entry.name).suffix.lower()] += 1
    return _Tree(folder, pictures, below)


def _lone(tree: _Tree) -> _Tree:
    """The tree, or its only subfolder where that holds all of its pictures."""
    while len(tree.below) == 1 and not tree.pictures:
        (tree,) = tree.below
    return tree


def _natural(name: str) -> tuple[list[Any], str]:
    """A key that sorts numbers in names by their value."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)], name


def _is_hidden(entry: "os.DirEntry[str]") -> bool:
    if entry.name.startswith(".") or entry.name.casefold() in HIDDEN:
        return True
    if os.name != "nt":
        return False
    attributes = getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0)
    return bool(attributes & stat.FILE_ATTRIBUTE_HIDDEN)


def _formats() -> list[str]:
    """The formats that are read; whatever a file's suffix says, it is opened as one of these."""
    Image.init()
    return [kind for kind in Image.OPEN if kind not in NOT_READ]


def _is_picture(path: str) -> bool:
    """Whether a file has the suffix of a picture or, with another suffix, begins like one."""
    suffix = os.path.splitext(path)[1].lower()
    kind = Image.registered_extensions().get(suffix)
    if kind in Image.OPEN or suffix in RAW:
        return kind not in (*NOT_READ, None)
    try:
        with Image.open(path, formats=MARKED):
            return True
    except Exception:  # a foreign file may make a decoder raise anything
        return False


def _in_words(left_out: Counter[Any]) -> dict[str, int]:
    """What was left out, in words that fit the number. Files of other kinds are counted by their suffixes."""
    suffixes = {key: n for key, n in left_out.items() if isinstance(key, str)}
    words = {key[n > 1]: n for key, n in left_out.items() if isinstance(key, tuple)}
    if suffixes:
        named = sorted(filter(None, suffixes))
        among = f" ({', '.join(named[:5])}{', …' if len(named) > 5 else ''})" if named else ""
        n = sum(suffixes.values())
        words[("file of another kind", "files of other kinds")[n > 1] + among] = n
    return words


def _listing(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {words}" for words, n in counts.items())


def _shown(path: Path | str) -> str:
    """A path that can be printed: bytes that are not UTF-8 are escaped, and so are line breaks."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def read(found: Found, shape: tuple[int, ...], reading: Reading | None = None, cache: Path | None = None,
         progress: Progress = lambda what, share: None) -> Pictures:
    """Reads pictures, each cropped to its middle and resized.

    Args:
        found: by `look`.
        shape: (channels, height, width); 1 channel is grey, 3 are colour.
        reading: how; None for the defaults.
        cache: the folder in which the result of a long reading is kept; None for no cache.
        progress: is called with what begins, and the share that is done.

    Raises:
        ValueError: a file cannot be read, or fewer than 2 pictures are left, or the shape is no image's.
    """
    reading = reading or Reading()
    require(len(shape) == 3 and shape[0] in (1, 3),
            f"images have a shape (1 or 3, height, width), but samples of shape {tuple(shape)} are wanted")
    settings = [VERSION, PIL.__version__, shape, reading.ground]
    pixels, facts = recall(found.folder, found.files, settings, cache,
                           lambda: _read_all(found.files, shape, reading, progress), progress)
    broken: dict[int, str] = {int(index): reason for index, reason in facts["broken"].items()}
    if broken and not reading.skip_broken:
        raise ValueError(_complaint(found, broken))
    good = [index for index in range(len(found.files)) if index not in broken]
    if len(good) < 2:
        raise ValueError(f"{_shown(found.folder)} holds {'only 1 picture' if good else 'no picture'} that can be read; "
                         f"give 2 or more")
    labels, names = None, None
    if found.labels:
        used = sorted({found.labels[index] for index in good})  # a class of broken files alone is none
        new = {label: i for i, label in enumerate(used)}
        if len(used) > 1:
            labels = torch.tensor([new[found.labels[index]] for index in good], device="cpu")
            names = tuple(found.class_names[label] for label in used)
    return Pictures(pixels, labels, names, _report(found, facts, labels, names, shape, reading))


def _complaint(found: Found, broken: dict[int, str]) -> str:
    """The sentence that names the files that cannot be read."""
    named = [f"{_shown(os.path.relpath(found.files[index], found.folder))} ({reason})"
             for index, reason in list(broken.items())[:NAMED]]
    more = f" and {len(broken) - NAMED:,} more" if len(broken) > NAMED else ""
    return (f"{len(broken):,} of {len(found.files):,} pictures in {_shown(found.folder)} cannot be read: "
            f"{', '.join(named)}{more}. Repair or remove them, or leave them out by --skip-broken")


def _report(found: Found, facts: dict[str, Any], labels: Tensor | None, names: tuple[str, ...] | None,
            shape: tuple[int, ...], reading: Reading) -> tuple[str, ...]:
    channels, height, width = shape
    smallest, largest = ("×".join(map(str, facts[which])) for which in ("smallest", "largest"))
    sizes = f"All have {smallest} pixels" if smallest == largest else f"They have {smallest} to {largest} pixels"
    colour = "grey" if channels == 1 else "in colour"
    middle = ", from the middle of each picture" if facts["cropped"] else ""
    lines = [f"{sizes}. The networks see {width}×{height} pixels, {colour}{middle}."]
    if facts["enlarged"]:
        lines.append(f"Smaller than that, and enlarged: {facts['enlarged']:,}.")
    if names is not None and labels is not None:
        counts = torch.bincount(labels, minlength=len(names)).tolist()
        listed = [f"{_shown(name)} {count:,}" for name, count in zip(names, counts)][:CLASSES_NAMED]
        more = f" and {len(names) - CLASSES_NAMED:,} more" if len(names) > CLASSES_NAMED else ""
        lines.append(f"{len(names):,} classes: {', '.join(listed)}{more}.")
    if facts["transparent"]:
        lines.append(f"Transparent, and composited onto {reading.background}: {facts['transparent']:,}.")
    left_out = found.left_out | ({"that cannot be read": len(facts["broken"])} if facts["broken"] else {})
    if left_out:
        lines.append(f"Left out: {_listing(left_out)}.")
    return tuple(lines)


@dataclass(frozen=True)
class _One:
    """One picture that was read."""

    pixels: Any  # (height, width, channels) uint8
    size: tuple[int, int]  # width and height of the file's picture
    transparent: bool


def _read_all(files: tuple[Path, ...], shape: tuple[int, ...], reading: Reading,
              progress: Progress) -> tuple[Tensor, dict[str, Any]]:
    channels, height, width = shape
    pixels, broken, passing = numpy.empty((len(files), channels, height, width), numpy.uint8), {}, False
    good: list[_One] = []
    # warnings concern damaged metadata, and files that cannot be read are reported
    with warnings.catch_warnings(), _any_size(), ThreadPoolExecutor(THREADS) as pool:
        warnings.simplefilter("ignore")
        for index, result in enumerate(in_order(pool, lambda path: _one(path, shape, reading.ground), files,
                                                 lambda share: progress("reading the pictures", share))):
            if isinstance(result, _One):
                pixels[len(good)] = result.pixels.transpose(2, 0, 1)
                good.append(replace(result, pixels=None))
            else:
                broken[index], passing = str(result), passing or isinstance(result, _Passing)
    sizes = sorted((one.size for one in good), key=lambda size: (size[0] * size[1], size)) or [(0, 0)]
    facts = {
        "broken": broken, "passing": passing, "smallest": sizes[0], "largest": sizes[-1],
        "transparent": sum(one.transparent for one in good),
        "enlarged": sum(one.size[0] < width or one.size[1] < height for one in good),
        "cropped": any(one.size[0] * height != one.size[1] * width for one in good)}
    return torch.from_numpy(pixels[:len(good)]), facts


class _Passing(str):
    """A reason why a file cannot be read that may be gone the next time, such as too little memory."""


def _one(path: Path, shape: tuple[int, ...], ground: tuple[int, ...]) -> _One | str:
    """One picture, or why it cannot be read."""
    channels, height, width = shape
    try:
        with Image.open(path, formats=_formats()) as file:
            across, down = file.size
            side = 2 * max(width, height)
            file.draft(None, (side, side))  # decodes a large JPEG at a fraction of its size
            pixels = file.width * file.height
            require(pixels <= MAX_PIXELS, f"it has {pixels:,} pixels, at most {MAX_PIXELS:,} can be read")
            with _one_at_a_time if pixels > LARGE else nullcontext():
                image, transparent = _decoded(file, (width, height), ground)
        if (across > down) != (image.width > image.height):
            across, down = down, across  # it was stored on its side
        image = ImageOps.fit(image.convert("L" if channels == 1 else "RGB"), (width, height), Image.Resampling.LANCZOS)
    except Exception as error:  # a foreign file may make a decoder raise anything
        return _reason(error, path)
    return _One(numpy.asarray(image).reshape(height, width, channels), (across, down), transparent)


def _decoded(file: Any, size: tuple[int, int], ground: tuple[int, ...]) -> tuple[Image.Image, bool]:
    """The first picture of an open file, upright, of 8 bits a channel, and whether any of it was transparent.

    A large one is decoded to a smaller picture, which is still larger than `size`, in bands that take little memory.
    """
    depth = _depth(file)
    file.load()
    factor = min(file.width // (2 * size[0]), file.height // (2 * size[1]))
    if file.width * file.height <= LARGE or factor < 2:
        image, transparent = _flattened(file, depth, ground)
    else:
        image, transparent = Image.new("RGB", (file.width // factor, file.height // factor)), False
        rows = factor * max(1, BAND // (file.width * factor))
        for top in range(0, image.height * factor, rows):
            box = (0, top, image.width * factor, min(top + rows, image.height * factor))
            band, some = _flattened(file.crop(box), depth, ground)
            image.paste(band.reduce(factor).convert("RGB"), (0, top // factor))
            transparent |= some
    image.info = {key: value for key, value in file.info.items() if key != "transparency"}
    with suppress(Exception):  # the orientation is lost with damaged metadata, the picture is not
        return ImageOps.exif_transpose(image), transparent
    return image, transparent


def _depth(file: Any) -> Any:
    """For a picture of more than 8 bits a channel, the 8-bit value (uint8) of each of its 2**16 values; else None.

    The transparent value of a PNG file is scaled as its pixels are.
    """
    tags = getattr(file, "tag_v2", {})
    if file.mode.startswith("I;16") or (file.mode == "I" and file.format in ("PNG", "PPM")):  # "I": an older Pillow
        highest = 2 ** tags.get(BITS_PER_SAMPLE, (16,))[0] - 1
        values = numpy.arange(2**16) * (255 / highest)
        return (255 - values if tags.get(PHOTOMETRIC) == 0 else values).round().clip(0, 255).astype(numpy.uint8)
    value, layout = file.info.get("transparency"), str(file.tile[0].args if file.tile else "")
    if file.format == "PNG" and file.mode == "L" and layout in ("L;2", "L;4"):
        file.info |= {} if value is None else {"transparency": value * 255 // (3 if layout == "L;2" else 15)}
    elif file.format == "PNG" and layout.startswith("RGB;16") and isinstance(value, tuple):
        file.info["transparency"] = tuple(channel >> 8 for channel in value)
    return None


def _flattened(image: Image.Image, depth: Any, ground: tuple[int, ...]) -> tuple[Image.Image, bool]:
    """A picture, grey or RGB, without transparency, and whether any of it was transparent. `depth` is by `_depth`."""
    if depth is not None:
        values = numpy.asarray(image)
        if "transparency" not in image.info:
            return Image.fromarray(depth[values]), False
        shown = numpy.where(values == image.info["transparency"], 0, 255).astype(numpy.uint8)
        image = Image.merge("LA", (Image.fromarray(depth[values]), Image.fromarray(shown)))
    if image.mode in ("I", "F"):
        kind = "whole" if image.mode == "I" else "floating-point"
        raise ValueError(f"its values are {kind} numbers of unknown range: save it with unsigned 8 or 16 bits")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    if not image.has_transparency_data:
        return image if image.mode == "L" else image.convert("RGB"), False
    if image.mode == "La":
        image = image.convert("LA")
    rgba = image.convert("RGBA")
    transparent = bool((numpy.asarray(rgba.getchannel("A")) < 255).any())
    laid = Image.new("RGBA", rgba.size, ground)
    laid.alpha_composite(rgba)
    return laid.convert("RGB"), transparent


def _reason(error: Exception, path: Path) -> str:
    """An error in a few words, without the path, which the message names."""
    if isinstance(error, UnidentifiedImageError):
        return "it is no picture"
    if isinstance(error, MemoryError):
        return _Passing("there is not enough memory for it")
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    for form in (repr(str(path)), str(path)):
        text = text.replace(form, "it")
    text = text[:120] or type(error).__name__
    return _Passing(text) if getattr(error, "errno", None) else text


@contextmanager
def _any_size() -> Iterator[None]:
    """Lifts Pillow's limit of pixels, which belongs to the process: `MAX_PIXELS` holds instead."""
    with _limit_is_lifted:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
