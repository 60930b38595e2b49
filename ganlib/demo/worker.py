"""A thread for files that take seconds, such as GIFs and MP4s: one is made at a time, and few requests wait."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from ganlib.demo.labs import Busy

MAX_WAITING = 4  # with the one that is being made

_P = ParamSpec("_P")
_T = TypeVar("_T")
_thread = ThreadPoolExecutor(1, thread_name_prefix="files")  # starts with the first file
_places = threading.Semaphore(MAX_WAITING)


async def aside(make: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What `make` returns, in the thread for files. Raises Busy where too many wait for it."""
    if not _places.acquire(blocking=False):
        raise Busy("the server makes files for others at this moment")
    try:
        return await asyncio.wrap_future(_thread.submit(make, *args, **kwargs))
    finally:
        _places.release()
