"""Fetches that take long: few at once, given up after a time, and waited for without a thread."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ganlib.checkpoint import WeightsError
from ganlib.demo import fetching
from ganlib.demo.labs import Busy


@pytest.fixture
def go():
    """Fetches wait for it; it is set at the end."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def alone(monkeypatch):
    """One fetch and two waiting calls at once."""
    monkeypatch.setattr(fetching, "_fetches", threading.Semaphore(1))
    monkeypatch.setattr(fetching, "_waiters", threading.Semaphore(2))


def run(main):
    """What a coroutine function returns, in a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(main())).result()


def test_too_many_fetches_are_refused_until_one_ends(alone, go):
    first = fetching.start("bob/one", lambda: go.wait(30))
    with pytest.raises(Busy, match="^the server opens other models at this moment. Try again$"):
        fetching.start("bob/two", int)
    go.set()
    assert first.result(30) is True
    assert fetching.start("bob/two", int).result(30) == 0


def test_a_fetch_that_takes_too_long_is_given_up_and_leaves_its_place(alone, go, monkeypatch):
    monkeypatch.setattr(fetching, "GIVE_UP", 0.05)
    slow = fetching.start("bob/slow", lambda: go.wait(30))
    with pytest.raises(WeightsError, match="^bob/slow could not be fetched in 0 seconds, so the server gave it up$"):
        slow.result(30)
    monkeypatch.setattr(fetching, "GIVE_UP", 30)
    assert fetching.start("bob/two", int).result(30) == 0


def test_threads_that_have_not_ended_are_bounded(go, monkeypatch):
    monkeypatch.setattr(fetching, "_threads", threading.Semaphore(2))
    monkeypatch.setattr(fetching, "GIVE_UP", 0.05)
    slow = [fetching.start(f"bob/{i}", lambda: go.wait(30)) for i in range(2)]
    assert all(isinstance(future.exception(30), WeightsError) for future in slow)
    with pytest.raises(Busy, match="^the server opens other models"):
        fetching.start("bob/two", int)
    go.set()
    with fetching._threads, fetching._threads:  # both have ended
        pass
    assert fetching.start("bob/two", int).result(30) == 0


def test_threads_that_share_a_fetch_get_errors_of_their_own():
    def fail():
        raise WeightsError("out of reach")

    future, errors = fetching.start("bob/one", fail), []
    for _ in range(2):
        with pytest.raises(WeightsError, match="^out of reach$") as caught:
            fetching.result("bob/one", future)
        errors.append(caught.value)
    assert errors[0] is not errors[1]


def test_a_call_that_may_block_waits_but_not_for_ever(go, monkeypatch):
    future = fetching.start("bob/one", lambda: go.wait(30))
    monkeypatch.setattr(fetching, "WAIT", 0.02)
    with pytest.raises(Busy, match="^bob/one is still being fetched: try again in a moment$"):
        fetching.result("bob/one", future)
    monkeypatch.setattr(fetching, "WAIT", 30)
    go.set()
    assert fetching.result("bob/one", future) is True


def asking(futures, made):
    """A call that needs all of the fetches, one after the other, in a thread."""
    def ask():
        made.append(len(made))
        return [fetching.result(name, fetching.awaited(name) or future) for name, future in futures.items()]

    return lambda: asyncio.to_thread(ask)


def test_a_patient_call_is_made_again_when_what_it_lacks_is_there(go):
    made = []

    async def main():
        futures = {name: fetching.start(name, lambda: go.wait(30)) for name in ("bob/one", "bob/two")}
        call = asyncio.ensure_future(fetching.patiently(asking(futures, made)))
        while not made:
            await asyncio.sleep(0)
        go.set()
        return await call

    assert run(main) == [True, True]
    assert len(made) in (2, 3)


def test_a_patient_call_gets_the_error_of_what_it_waited_for(go):
    def fail():
        go.wait(30)
        raise WeightsError("out of reach")

    made = []

    async def main():
        call = asyncio.ensure_future(fetching.patiently(asking({"bob/one": fetching.start("bob/one", fail)}, made)))
        while not made:
            await asyncio.sleep(0)
        go.set()
        await call

    with pytest.raises(WeightsError, match="^out of reach$"):
        run(main)


def test_a_patient_call_waits_no_longer_than_it_may(go, monkeypatch):
    monkeypatch.setattr(fetching, "WAIT", 0.02)

    async def main():
        await fetching.patiently(asking({"bob/one": fetching.start("bob/one", lambda: go.wait(30))}, []))

    with pytest.raises(Busy, match="^bob/one is still being fetched: try again in a moment$"):
        run(main)


def test_more_calls_than_may_wait_are_answered_at_once(alone, go):
    async def main():
        futures, made = {"bob/one": fetching.start("bob/one", lambda: go.wait(30))}, []
        waiting = [asyncio.ensure_future(fetching.patiently(asking(futures, made))) for _ in range(2)]
        while fetching._waiters._value:
            await asyncio.sleep(0)
        with pytest.raises(Busy, match="still being fetched"):
            await fetching.patiently(asking(futures, []))
        waiting.pop().cancel()  # a visitor who leaves gives the place back
        while not fetching._waiters._value:
            await asyncio.sleep(0)
        waiting.append(asyncio.ensure_future(fetching.patiently(asking(futures, made))))
        while fetching._waiters._value:
            await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*waiting)

    assert run(main) == [[True], [True]]
