"""Waiting for what is slow: few fetches at once, each in a thread of its own, given up after a time.

A call that waits holds none of the page's threads: `patiently` makes it again when what it lacks is there. Knows
nothing of the Hub.
"""

import asyncio
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from ganlib.checkpoint import WeightsError
from ganlib.demo.labs import Busy

AT_ONCE = 8  # fetches
MAX_THREADS = 32  # of fetches, with those that were given up and have not ended yet
MAX_WAITING = 16  # calls that wait for a fetch; more are answered at once
WAIT, GIVE_UP = 30.0, 120.0  # seconds: of a call that waits, and of a fetch
FULL = "the server opens other models at this moment. Try again"
SILENCE = 30.0  # seconds without a byte, after which the request of a fetch ends

_T = TypeVar("_T")
_fetches, _waiters = threading.Semaphore(AT_ONCE), threading.Semaphore(MAX_WAITING)
_threads = threading.Semaphore(MAX_THREADS)
# what the present call has waited for, by name; None in a call that may block its thread
_awaited: contextvars.ContextVar[dict[str, Future[Any]] | None] = contextvars.ContextVar("awaited", default=None)


class Missing(Exception):
    """Not an error: `patiently` waits for the future, and makes the call again."""

    def __init__(self, name: str, future: Future[Any]):
        super().__init__(name)
        self.name, self.future = name, future


def start(name: str, fetch: Callable[[], _T]) -> Future[_T]:
    """Start a fetch in a thread of its own. Raises Busy where there are `AT_ONCE`, or `MAX_THREADS` not ended.

    After `GIVE_UP` its future has an error, and its place is free for another. A thread cannot be stopped: it ends with
    its last request.
    """
    threads, places = _threads, _fetches
    if not threads.acquire(blocking=False):
        raise Busy(FULL)
    if not places.acquire(blocking=False):
        threads.release()
        raise Busy(FULL)
    future: Future[_T] = Future()
    future.add_done_callback(lambda _: places.release())
    late = WeightsError(f"{name} could not be fetched in {GIVE_UP:.0f} seconds, so the server gave it up")
    timer = threading.Timer(GIVE_UP, _settle, [future.set_exception, late])
    timer.daemon = True

    def run() -> None:
        try:
            found = fetch()
        except BaseException as error:
            _settle(future.set_exception, error)
        else:
            _settle(future.set_result, found)
        finally:
            timer.cancel()
            threads.release()

    timer.start()
    threading.Thread(target=run, name=f"fetch {name}", daemon=True).start()
    return future


def _settle(set_outcome: Callable[[Any], None], outcome: Any) -> None:
    with suppress(InvalidStateError):  # it was given up before
        set_outcome(outcome)


def awaited(name: str) -> Future[Any] | None:
    """What the present call has waited for under that name: it is done. None if it has not waited."""
    return (_awaited.get() or {}).get(name)


def result(name: str, future: Future[_T]) -> _T:
    """What was fetched. An error is raised as a copy: threads that share one would change its traceback.

    Raises:
        Missing: it is not there yet, in a call of `patiently`.
        Busy: it is not there after `WAIT`, in another call.
    """
    if not future.done():
        if _awaited.get() is not None:
            raise Missing(name, future)
        with suppress(TimeoutError):
            future.exception(WAIT)
        future = future if future.done() else _unfinished(name)
    error = future.exception()
    if isinstance(error, WeightsError | ValueError):
        raise type(error)(*error.args) from None
    return future.result()


def _unfinished(name: str) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(Busy(f"{name} is still being fetched: try again in a moment"))
    return future


async def patiently(call: Callable[[], Awaitable[_T]]) -> _T:
    """What the call returns. Where it raises Missing, it is made again when that is there, or after `WAIT`."""
    known: dict[str, Future[Any]] = {}
    token, end = _awaited.set(known), time.monotonic() + WAIT
    try:
        while True:
            try:
                return await call()
            except Missing as missing:
                name, future = missing.name, missing.future
            known[name] = future if await _is_done(future, end - time.monotonic()) else _unfinished(name)
    finally:
        _awaited.reset(token)


async def _is_done(future: Future[Any], seconds: float) -> bool:
    """Whether the future is done within the time; at once False where too many calls wait."""
    if not _waiters.acquire(blocking=False):
        return future.done()
    try:
        done, loop = asyncio.Event(), asyncio.get_running_loop()

        def tell(_: Future[Any]) -> None:
            with suppress(RuntimeError):  # the page was closed
                loop.call_soon_threadsafe(done.set)

        future.add_done_callback(tell)
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), max(0, seconds))
        return future.done()
    finally:
        _waiters.release()
