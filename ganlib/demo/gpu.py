"""ZeroGPU: Spaces that are lent a GPU for one call at a time, which `spaces`, a package they have, runs in a fork.

So whatever a handler keeps is lost with the fork, its arguments and results are pickled, and models must be loaded
before: by the main thread, since only there can `spaces` show the page a GPU that is not yet lent. Elsewhere than on
ZeroGPU nothing here does anything.
"""

import os
import threading
from collections.abc import Callable, Iterable

from ganlib.checkpoint import WeightsError

try:
    from spaces import GPU
except ImportError:
    GPU = None

DURATION = 15  # seconds to ask for, of a visitor's daily minutes: the first call of a fork takes some to set up
LENT = GPU is not None and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
_page = os.getpid()


def on_gpu(handler: Callable) -> Callable:
    """A handler that is lent a GPU for each call. What it raises must be gradio's own errors: of others only the
    class reaches the caller."""
    return handler if GPU is None else GPU(handler, duration=DURATION)


def device() -> str | None:
    """Where a model is to be loaded: None for the best there is, which a thread of the page cannot reach on ZeroGPU."""
    beside = os.getpid() == _page and threading.current_thread() is not threading.main_thread()
    return "cpu" if LENT and beside else None


def load_before(load: Callable[[str], object], names: Iterable[str]) -> None:
    """On ZeroGPU, load what forks shall find; models that do not load are left to say so when they are asked for."""
    for name in names if LENT else ():
        try:
            load(name)
        except WeightsError as error:
            print(error)


def free_in_forks(lock: threading.Lock, clean: Callable[[], None]) -> None:
    """Have no fork begin while a thread holds the lock, which in the fork nobody would ever release.

    clean: called in each fork, to forget what other threads of the page have begun and will not end there.
    """
    def in_a_fork() -> None:
        lock.release()
        clean()

    if LENT:
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=in_a_fork)
