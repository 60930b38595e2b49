"""Threads for work that takes seconds: few at a time, and few requests that wait for them."""

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from ganlib.demo.labs import Busy

MAX_WAITING = 4  # for a file, such as a GIF or an MP4, with the one that is being made

_P = ParamSpec("_P")
_T = TypeVar("_T")
_thread = ThreadPoolExecutor(1, thread_name_prefix="files")  # starts with the first file
_places = threading.Semaphore(MAX_WAITING)


async def aside(make: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What `make` returns, in the thread for files, where one is made at a time. Raises Busy where too many wait."""
    call = functools.partial(make, *args, **kwargs)
    return await within(_thread, _places, call, "the server makes files for others at this moment")


async def within(threads: Executor, places: threading.Semaphore, call: Callable[[], _T], busy: str) -> _T:
    """What the call returns, in one of the threads. Raises Busy, with that sentence, where all places are taken.

    A call has its place until its thread has done it, also where nobody waits for it any more.
    """
    if not places.acquire(blocking=False):
        raise Busy(busy)
    try:
        future = threads.submit(contextvars.copy_context().run, call)  # see `fetching.patiently`
    except BaseException:
        places.release()
        raise
    future.add_done_callback(lambda _: places.release())
    return await asyncio.wrap_future(future)
