"""The page's process keeps little memory and few threads, because it answers many visitors at once."""

import ctypes
import gc
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ganlib import heap

PRIMITIVES = "64"  # that oneDNN keeps; by default 1,024, each of them code for one shape of layer
PERIOD = 5.0  # seconds
BUSY = 0.05  # CPU seconds, within a period, of a process that has answered something
THREAD = "memory"
MADV_DONTNEED = 4
COLLECT = 20_000, 20, 20  # gc's thresholds: a search through all objects halts every answer for a third of a second


@contextmanager
def without_collecting() -> Iterator[None]:
    """Import and build without the search for garbage, which takes a tenth of the start and finds next to nothing."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def save() -> None:
    """Let this process keep little memory from now on, where its C library can."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", PRIMITIVES)
    heap.give_back()


def settle() -> None:
    """From now on give back what is no longer needed, in a thread. (`gc.freeze` would crash the process at its end.)"""
    gc.set_threshold(*COLLECT)
    trim()
    if not any(thread.name == THREAD for thread in threading.enumerate()):
        threading.Thread(target=_keep_small, name=THREAD, daemon=True).start()


def _keep_small() -> None:
    time.sleep(PERIOD)
    forget_code()
    worked, idle = 0.0, True
    while True:
        if time.process_time() - worked > BUSY:
            trim()
            worked, idle = time.process_time(), False
        elif not idle:  # nobody waits now
            gc.collect()
            trim()
            worked, idle = time.process_time(), True
        time.sleep(PERIOD)


def trim() -> None:
    """Give free memory back to the system: that of the C library, and what MKL keeps for each thread."""
    import torch  # here, so that it is imported without a search for garbage

    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(str(Path(torch.__file__).with_name("lib") / "libtorch_cpu.so")).mkl_serv_free_buffers()
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def forget_code() -> None:
    """Unmap the pages of libraries that nobody has changed; those that are needed again are mapped from their files.

    The start reads 150 MB of libraries of CUDA, which a server without a GPU never needs again.
    """
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        smaps = Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace")
        for start, end, changed in re.findall(r"^(\w+)-(\w+) r-[-x]p \w+ \S+ [1-9]\d* +\S+\.so\S*\n(?:.*\n)*?"
                                              r"Anonymous: +(\d+) kB$", smaps, re.MULTILINE):
            if changed == "0":
                address, size = int(start, 16), int(end, 16) - int(start, 16)
                library.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), MADV_DONTNEED)


def share_cores() -> None:
    """Compute each answer on half of the cores: the others answer other visitors, or this one's next step."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores // 2)))
