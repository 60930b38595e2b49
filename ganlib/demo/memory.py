"""The page's process keeps little memory and few threads, because it answers many visitors at once."""

import ctypes
import os
from contextlib import suppress

import torch

# of glibc's mallopt: what is freed goes back to the system, and threads share two heaps. By default each thread has its
# own, which keeps the largest pictures and maps that it ever had
MALLOPT = {-8: 2, -3: 2**18, -1: 2**18}  # M_ARENA_MAX; bytes of M_MMAP_THRESHOLD and M_TRIM_THRESHOLD


def save() -> None:
    """Let this process keep little memory from now on, where its C library can."""
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        for option, value in MALLOPT.items():
            library.mallopt(option, value)


def settle() -> None:
    """Give back what the start needed and no longer needs. (`gc.freeze` would crash the process at its end.)"""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def share_cores() -> None:
    """Compute each answer on half of the cores: the others answer other visitors, or this one's next step."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores // 2)))
