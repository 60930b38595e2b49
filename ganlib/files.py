"""Files that are written completely or not at all, and files of strangers, of which only so much is read."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ganlib.checks import quoted, require


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


def read_beginning(path: str | Path, size: int) -> bytes:
    """The file's first bytes, `size` at most. Raises ValueError if there is none, or it cannot be read."""
    path = Path(path)
    try:
        require(path.is_file(), f"there is no file {quoted(str(path))}")
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise ValueError(f"{quoted(str(path))} cannot be read ({error.strerror})") from None
