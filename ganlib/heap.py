"""What the C library does with freed memory. This is a setting of the process: programs make it, the library does not.

Where the C library is not glibc, nothing is set.
"""

import ctypes
from contextlib import suppress

# options of glibc's mallopt: M_TRIM_THRESHOLD -1, M_MMAP_THRESHOLD -3, M_MMAP_MAX -4, M_ARENA_MAX -8
# a step of training frees its maps, and the next one needs as many: from the system each page of them costs 2.4 µs
KEEP = {-4: 0, -1: 2**31 - 1}
# a server gives back what it frees, and its threads share two heaps. By default each thread has its own, which keeps
# the largest pictures and maps that it ever had
GIVE_BACK = {-8: 2, -3: 2**18, -1: 2**18}


def keep() -> None:
    """Keep freed memory for what is allocated next. `dcgan` trains in 0.9 of the CPU time (docs/log.md, 2026-11-28)."""
    _set(KEEP)


def give_back() -> None:
    """Give freed memory back to the system."""
    _set(GIVE_BACK)


def _set(options: dict[int, int]) -> None:
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        for option, value in options.items():
            library.mallopt(option, value)
