"""A folder for the models that visitors open, with a quota: the least recently used go. Any number of pages share it.

Each repo has a folder there, of the Hub's cache. The cache's own scan leaves out what a failed download left, and goes
by the times of access, which many disks do not keep.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from ganlib.checks import quoted, require

QUOTA = 1_000  # MB
LOCKS, HUB_LOCKS = "locks", ".locks"  # the second are those of the Hub's client


class Shelf:
    """Keeps models of the Hub.

    Args:
        folder: where; it is made when the first one is opened.
        quota: bytes that may stay there. While models are fetched, there may be more.
    """

    def __init__(self, folder: Path, quota: int):
        self.folder, self.quota = folder, quota

    @contextmanager
    def holding(self, repo: str, patience: float) -> Iterator[Path]:
        """Holds a repo, "user/name", so that no page removes it inside the block. Gives the folder of the shelf.

        At the end nothing is left of a failed download, and the least recently used repos are removed.

        Raises:
            TimeoutError: another page or thread held it longer than `patience`, in seconds.
            OSError: the folder cannot be written to.
        """
        place = self.folder / f"models--{repo.replace('/', '--')}"
        try:
            with self._lock(place.name, patience):
                try:
                    yield self.folder
                finally:
                    self._tidy(place)
        finally:
            self.trim()

    def _lock(self, name: str, patience: float) -> FileLock:
        (self.folder / LOCKS).mkdir(parents=True, exist_ok=True)
        return FileLock(self._lock_file(name), timeout=patience)

    def _lock_file(self, name: str) -> Path:
        return self.folder / LOCKS / f"{name}.lock"

    def trim(self, quota: int | None = None) -> None:
        """Remove the least recently used repos until the rest fits the quota, by default the shelf's. Those that are
        held stay."""
        quota = self.quota if quota is None else quota
        places = sorted(self.folder.glob("models--*"), key=_used)
        sizes = [_size(place) for place in places]
        total = sum(sizes)
        for place, size in zip(places, sizes):
            if total <= quota:
                return
            with suppress(OSError), self._lock(place.name, 0):  # others hold it, which is a TimeoutError
                self._remove(place)
                total -= size

    def _tidy(self, place: Path) -> None:
        """Remove the parts of files of a failed download, and all if no file is whole. Mark the rest as used now."""
        for part in place.glob("blobs/*.incomplete"):
            part.unlink(missing_ok=True)
        if any(path.is_file() for path in place.glob("snapshots/*/**/*")):
            os.utime(place)
        else:
            self._remove(place)

    def _remove(self, place: Path) -> None:
        """Remove a repo that is held, and its locks: visitors may ask for any number of names."""
        for folder in (place, self.folder / HUB_LOCKS / place.name):
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # a system that does not remove open files
            self._lock_file(place.name).unlink()


def _used(place: Path) -> float:
    """When a repo was opened last: the time of its folder, which `Shelf` sets."""
    with suppress(OSError):
        return place.stat().st_mtime
    return 0


def _size(place: Path) -> int:
    """Bytes of all files, parts of them too; a link counts as itself."""
    size = 0
    for folder, _, files in os.walk(place):
        for file in files:
            with suppress(OSError):  # another page removed it
                size += os.lstat(os.path.join(folder, file)).st_size
    return size


def open_shelf() -> Shelf:
    """The shelf that GANLIB_HUB_CACHE and GANLIB_HUB_QUOTA name. Raises ValueError for another quota than a number."""
    text = os.environ.get("GANLIB_HUB_QUOTA", "").strip() or str(QUOTA)
    require(text.isdecimal() and text.isascii(), f"GANLIB_HUB_QUOTA must be a whole number of MB, not {quoted(text)}")
    return Shelf(Path(os.environ.get("GANLIB_HUB_CACHE") or _default_folder()), int(text) * 10**6)


def _default_folder() -> Path:
    try:
        return Path.home() / ".cache" / "ganlib" / "visitors"
    except RuntimeError:  # there is no home folder
        return Path(tempfile.gettempdir(), "ganlib-visitors")
