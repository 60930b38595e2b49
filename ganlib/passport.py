"""Picture passports: how a picture was made, as metadata of its PNG, GIF or MP4 file, readable by exiftool.

A passport is a flat dict of JSON values: the version of ganlib, the page's tab, the model's name, its revision on the
Hub, the hash of its weights, and the settings of the tab. It is JSON in ASCII: a PNG's text of the keyword "ganlib", a
GIF's comment, an MP4's comment. Reading one decodes no pixel, and accepts no value of another kind.
"""

import json
import math
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ganlib import images
from ganlib.checkpoint import weights_sha256
from ganlib.checks import listed, quoted, require
from ganlib.files import read_beginning, replacing
from ganlib.model import Model
from ganlib.version import __version__

KEYWORD = "ganlib"
START = f'{{"{KEYWORD}":'.encode()  # of a passport among other comments
MAX_BYTES = 32 * 2**20  # of a file
MAX_PARTS = 200_000  # chunks, blocks or boxes of a file
MAX_JSON, MAX_KEYS, MAX_KEY, MAX_TEXT, MAX_LIST = 32 * 2**10, 64, 40, 4_096, 64
MAX_WHOLE = 2**53  # beyond it, JavaScript rounds whole numbers
RESERVED = {KEYWORD, "tab", "model", "revision", "weights_sha256"}  # keys that no setting may have
DAMAGED = "the file is cut off or damaged"

Passport = dict[str, Any]


def of(model: Model, tab: str, /, **state: Any) -> Passport:
    """The passport of a picture.

    Args:
        model: that made it.
        tab: of the page, such as "generate".
        state: the tab's settings, such as seed=7; a number, a text, a truth value, None, or a list of these.

    Raises ValueError for a setting of another kind, one that is too long, and one of a name that stands for a fact.
    """
    require(not RESERVED & state.keys(), f"a setting cannot be named {listed(sorted(RESERVED & state.keys()))}")
    name = model.name.encode(errors="replace").decode()[:MAX_TEXT]
    return _checked({KEYWORD: __version__, "tab": tab, "model": name, "revision": model.revision,
                     "weights_sha256": weights_sha256(model), **state})


def to_json(passport: Passport) -> str:
    """The passport as a line of ASCII: the comment of a GIF or an MP4. Raises ValueError as `of` does."""
    text = json.dumps(_checked(passport), separators=(",", ":"), allow_nan=False)
    require(len(text) <= MAX_JSON, f"a passport may have {MAX_JSON:,} characters, and this one has {len(text):,}")
    return text


def stamp(image: Image.Image, passport: Passport) -> Image.Image:
    """An image as a PNG file in memory with the passport, which is also in its `info`."""
    return images.from_png(images.to_png(image, _texts(passport)))


def save(image: Image.Image, file: str | Path | IO[bytes], passport: Passport) -> None:
    """Write an image as a PNG file with the passport. A file that is named by its path is written whole or not."""
    text = PngInfo()
    for key, value in _texts(passport).items():
        text.add_text(key, value)
    if not isinstance(file, str | Path):
        image.save(file, format="PNG", optimize=True, pnginfo=text)
        return
    with replacing(file) as partial:
        image.save(partial, format="PNG", optimize=True, pnginfo=text)


def _texts(passport: Passport) -> dict[str, str]:
    return {KEYWORD: to_json(passport), "Software": f"ganlib {__version__}"}


def compare(passport: Passport, model: Model) -> str:
    """A sentence that says whether a passport names the weights of a model."""
    theirs, ours = passport.get("weights_sha256"), weights_sha256(model)
    if not (isinstance(theirs, str) and re.fullmatch("[0-9a-f]{64}", theirs)):
        return "The passport names no weights to compare with the present ones."
    if theirs == ours:
        return f"The present weights ({ours[:8]}) are those that made the picture."
    return f"The present weights ({ours[:8]}) are not those that made the picture ({theirs[:8]})."


def read(file: bytes | str | Path) -> Passport:
    """The passport of a PNG, GIF or MP4 file, given as its content or its path.

    Its values are of the right kinds and lengths, but may be foreign: check them as any input. Raises ValueError in one
    sentence if the file is no picture of these formats, has no passport, is damaged or is larger than 32 MB.
    """
    require(isinstance(file, bytes | str | Path), f"a file is given as its path or its bytes, not {quoted(file)}")
    data = file if isinstance(file, bytes) else read_beginning(file, MAX_BYTES + 1)
    require(len(data) <= MAX_BYTES, f"the file is too large: it may have {MAX_BYTES // 2**20} MB")
    for start, magic, find in FORMATS:
        if data[start:start + len(magic)] == magic:
            try:
                text = find(data)
            except (IndexError, struct.error):
                raise ValueError(DAMAGED) from None
            require(text is not None, "the picture has no passport of ganlib")
            return _parsed(text or b"")
    raise ValueError("the file is no PNG, GIF or MP4")


def _text_of_png(data: bytes) -> bytes | None:
    """The first text chunk (tEXt) of the keyword. Compressed texts are not ours, and are skipped."""
    start = 8
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, start)
        content = data[start + 8:start + 8 + length] if kind == b"tEXt" else b""
        if content.startswith(KEYWORD.encode() + b"\0"):
            (checksum,) = struct.unpack_from(">I", data, start + 8 + length)
            require(zlib.crc32(kind + content) == checksum, DAMAGED)
            return content[len(KEYWORD) + 1:]
        if kind == b"IEND":
            return None
        start += length + 12
    raise ValueError(DAMAGED)


def _comment_of_gif(data: bytes) -> bytes | None:
    """The first comment that is a passport."""
    def after_colors(start: int, flags: int) -> int:
        return start + (3 << (flags & 7) + 1 if flags & 0x80 else 0)

    start, parts = after_colors(13, data[10]), 0
    while data[start] != 0x3B:
        kind, label, parts = data[start], data[start + 1], parts + 1
        require(kind in (0x21, 0x2C) and parts <= MAX_PARTS, DAMAGED)
        # an extension has its label; an image has its place and size, its colours and a number on its code
        start = start + 2 if kind == 0x21 else after_colors(start + 10, data[start + 9]) + 1
        comment = bytearray()
        while size := data[start]:
            if (kind, label) == (0x21, 0xFE) and len(comment) <= MAX_JSON:
                comment += data[start + 1:start + 1 + size]
            start, parts = start + 1 + size, parts + 1
            require(parts <= MAX_PARTS, DAMAGED)
        start += 1
        if comment.startswith(START):
            return bytes(comment)
    return None


def _comment_of_mp4(data: bytes) -> bytes | None:
    """The comment in moov/udta/meta/ilst/\\xa9cmt/data if it is a passport."""
    start, end = 0, len(data)
    # what stands in a box before the boxes in it: meta has its version, data has a type and a language
    for wanted, skipped in ((b"moov", 0), (b"udta", 0), (b"meta", 4), (b"ilst", 0), (b"\xa9cmt", 0), (b"data", 8)):
        found = next((box for box in islice(_boxes(data, start, end), MAX_PARTS) if box[0] == wanted), None)
        if found is None:
            return None
        start, end = found[1] + skipped, found[2]
    comment = data[start:min(end, start + MAX_JSON + 1)]
    return comment if comment.startswith(START) else None


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each box in a part of an MP4 file, and where its content starts and ends."""
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:  # too large for four bytes
            (size,), head = struct.unpack_from(">Q", data, start + 8), 16
        size = size or end - start
        require(head <= size <= end - start, DAMAGED)
        yield kind, start + head, start + size
        start += size


FORMATS: tuple[tuple[int, bytes, Callable[[bytes], bytes | None]], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", _text_of_png), (0, b"GIF87a", _comment_of_gif), (0, b"GIF89a", _comment_of_gif),
    (4, b"ftyp", _comment_of_mp4))


def _parsed(text: bytes) -> Passport:
    """The passport of a foreign JSON text. Raises ValueError."""
    require(len(text) <= MAX_JSON, f"the passport is too long: it may have {MAX_JSON:,} characters")
    try:
        values = json.loads(text.decode("ascii"), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError):  # the decoder's sentences are no visitor's
        raise ValueError("the passport is damaged: it is not JSON as ganlib writes it") from None
    return _checked(values)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    require(len(found) == len(pairs), "a key stands there twice")
    return found


def _checked(values: Any) -> Passport:
    """The values, if they are a passport's, numbers of NumPy and torch as Python's. Raises ValueError."""
    require(isinstance(values, dict) and isinstance(values.get(KEYWORD), str),
            f'a passport is a table of values, which has the key "{KEYWORD}"')
    require(len(values) <= MAX_KEYS, f"a passport has {len(values)} values, more than {MAX_KEYS}")
    found: Passport = {key: [*map(_plain, value)] if isinstance(value, list) else _plain(value)
                       for key, value in values.items()}
    for key, value in found.items():
        require(isinstance(key, str) and len(key) <= MAX_KEY and _is_text(key),
                f"a passport's key must be a text of at most {MAX_KEY} characters, not {quoted(key)}")
        require(_is_scalar(value) or (isinstance(value, list) and len(value) <= MAX_LIST
                                      and all(map(_is_scalar, value))),
                f"a passport's {quoted(key)} must be a number, a short text or a short list of these, "
                f"not {quoted(value)}")
    return found


def _plain(value: Any) -> Any:
    return value.item() if getattr(value, "shape", None) == () else value


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT and _is_text(value)
    if type(value) is float:
        return math.isfinite(value)
    return value is None or isinstance(value, bool) or (type(value) is int and abs(value) <= MAX_WHOLE)


def _is_text(value: str) -> bool:
    """Whether a text can be written as UTF-8: JSON may hold halves of characters."""
    return not re.search("[\ud800-\udfff]", value)
