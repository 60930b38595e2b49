"""Files that are written completely or not at all, and files of strangers, of which only so much is read."""

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ganlib.checks import quoted, require

PARTIAL = ".partial-"  # begins the name of a folder whose files are moved to where they belong when all are written

@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A new empty file in the same folder, to be written; at the end it replaces the file `path`.

    After an error the new file is removed, and `path` is unchanged. A process that is killed leaves a hidden file whose
    name ends in .partial. An OSError that concerns the new file, or no file, names `path` instead.
    """
    path = Path(path)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        partial.touch(exist_ok=False)  # now, because the folder may not be writable
        yield partial
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(partial), partial):  # a full disk names no file
            error.filename, error.filename2 = str(path), None
        raise


def tidy(*folders: Path) -> None:
    """Remove what processes that were killed left in folders, where no other process writes at this moment."""
    for folder in folders:
        tidy_saves(folder)
        for path in folder.glob(".*.partial"):
            path.unlink(missing_ok=True)


def tidy_saves(folder: Path) -> None:
    """Remove what saves that were killed left in a folder. A save that goes on there fails: it would mix two models."""
    for path in folder.glob(f"{PARTIAL}*"):
        shutil.rmtree(path, ignore_errors=True)


def read_file(path: str | Path, most: int) -> bytes:
    """All bytes of a file. Raises OSError also for what is none, such as a pipe, and for more than `most` bytes."""
    # without O_NONBLOCK a pipe would wait for its writer
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(0, "it is no file", str(path))
        if about.st_size > most:
            raise OSError(0, f"it has {about.st_size:,} bytes, and may have {most:,}", str(path))
        return file.read(most)


def read_beginning(path: str | Path, size: int) -> bytes:
    """The file's first bytes, `size` at most. Raises ValueError if there is none, or it cannot be read."""
    path = Path(path)
    try:
        require(path.is_file(), f"there is no file {quoted(str(path))}")
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise ValueError(f"{quoted(str(path))} cannot be read ({error.strerror})") from None
