"""A cache of folders of pictures that were read: pixels by the content of all files, and hashes of files.

It lies beside the data sets, in the subfolder `pictures`, takes at most KEPT_BYTES, and may be deleted at any time.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from ganlib.files import replacing

SMALL = 2**22  # bytes of a file that is read at once
AT_A_TIME = 16  # files that a thread takes: one at a time takes twice as long
THREADS = min(8, os.cpu_count() or 1)  # each may need the memory of one large picture
KEPT_FROM = 1.0  # seconds: what took longer is kept
KEPT_BYTES = 4 * 2**30  # of the cache: the oldest files are removed
SETTLED = 2 * 10**9  # nanoseconds: a file that changed later than that may be changing still

Progress = Callable[[str, float], None]  # is called with what begins, in a few words, and the share that is done
Read = tuple[Tensor, dict[str, Any]]  # pixels (N, C, H, W) uint8, and facts about the files, JSON-ready


def recall(folder: Path, files: Sequence[Path], settings: Any, cache: Path | None, read: Callable[[], Read],
           progress: Progress) -> Read:
    """What `read` returns, from the cache if the same was read before.

    Args:
        folder: that the files are in.
        files: by whose content the result is kept.
        settings: what else the result depends on, JSON-ready.
        cache: the folder of the cache, None for none.
        read: reads the files; where its facts say "passing", the result is not kept.
        progress: is called while files are hashed.
    """
    if cache is None:
        return read()
    signatures = list(map(_signature, files))
    key = json.dumps([settings, _hashes(folder, files, signatures, cache, progress)])
    path = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
    with suppress(OSError, safetensors.SafetensorError, KeyError, ValueError):
        with safetensors.safe_open(path, "pt") as file:
            known = file.get_tensor("images"), json.loads(file.metadata()["facts"])
        os.utime(path)  # it is removed last
        return known
    start = time.monotonic()
    pixels, facts = read()
    long_enough = time.monotonic() - start >= KEPT_FROM and 0 < pixels.nbytes <= KEPT_BYTES
    if long_enough and not facts["passing"] and signatures == list(map(_signature, files)):  # no file changed meanwhile
        metadata = {"facts": json.dumps(facts)}
        _keep(path, lambda partial: safetensors.torch.save_file({"images": pixels}, partial, metadata))
    return pixels, facts


def _signature(path: Path) -> list[int] | None:
    """What changes with a file's content, without reading it; None where there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _hashes(folder: Path, files: Sequence[Path], signatures: list[list[int] | None], cache: Path,
            progress: Progress) -> list[str]:
    """The SHA-256 of each file. Files that did not change since an earlier call are not read again."""
    index = cache / f"{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]}.json"
    names = [os.fsencode(os.path.relpath(path, folder)).hex() for path in files]
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError, AttributeError):
        known = {name: entry for name, entry in json.loads(index.read_text(encoding="ascii")).items()
                 if isinstance(entry, list) and len(entry) == 2}
    start, now = time.monotonic(), time.time_ns()
    new = [path for path, name, signature in zip(files, names, signatures)
           if signature is None or known.get(name, [None])[0] != signature]
    with ThreadPoolExecutor(THREADS) as pool:
        results = list(in_order(pool, _hash, new, lambda share: progress("looking at the pictures", share)))
    hashed = dict(zip(new, results))
    contents = [hashed[path] if path in hashed else str(known[name][1]) for path, name in zip(files, names)]
    if time.monotonic() - start >= KEPT_FROM:
        # a file that is being written may change once more without another time
        settled = {name: [signature, content] for name, signature, content in zip(names, signatures, contents)
                   if signature is not None and now - max(signature[1:3]) > SETTLED}
        _keep(index, lambda partial: partial.write_text(json.dumps(settled), encoding="ascii"))
    return contents


def _hash(path: Path) -> str:
    try:
        with open(path, "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size < SMALL:
                return hashlib.sha256(file.read()).hexdigest()
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"


def _keep(path: Path, write: Callable[[Path], Any]) -> None:
    """Puts a file into the cache, whole or not at all, and removes the oldest ones beyond KEPT_BYTES.

    If the disk is full or must not be written to, there is no file: it is read again the next time.
    """
    with suppress(OSError, safetensors.SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            write(partial)
        kept = [(file.stat().st_mtime, file.stat().st_size, file) for file in path.parent.iterdir()]
        total, a_day_ago = 0, time.time() - 86_400
        for modified, size, file in sorted(kept, reverse=True):
            total += size
            if total > KEPT_BYTES or (file.suffix == ".partial" and modified < a_day_ago):  # of a killed process
                file.unlink(missing_ok=True)


def in_order(pool: ThreadPoolExecutor, work: Callable[[Path], Any], files: Sequence[Path],
             progress: Callable[[float], None]) -> Iterator[Any]:
    """The results of `work` on the files, in their order. Ends at once where it is interrupted."""
    parts = [files[start:start + AT_A_TIME] for start in range(0, len(files), AT_A_TIME)]
    try:
        for done, results in enumerate(pool.map(lambda part: list(map(work, part)), parts), 1):
            yield from results
            progress(done / len(parts))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
