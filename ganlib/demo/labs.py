"""The labs of the page's visitors: who has which, and whose turn it is to train. Knows no gradio.

The work of a request is a Python generator, which yields after each step of training. A few threads run these steps.
The visitor whose lab used the least time goes next: all have an equal share of the machine, and a lab whose turn it is
waits for the steps in progress alone.
"""

import asyncio
import atexit
import itertools
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, get_args

import torch

from ganlib.checks import check_int, quoted, require
from ganlib.lab import MAX_STEPS, Action, Lab, Settings, Who, merged
from ganlib.training import NonFiniteLoss

MAX_LABS = 64
MAX_WORKERS = 4
IDLE = 60.0  # seconds after which a lab that nobody asks for is dropped
BUDGET = 0.3  # seconds of training in one request
MAX_ACTIONS = 1_000

Goal = tuple[Action, ...]  # all actions from a film's start
_starting = threading.Lock()  # torch's number of threads is the process's


class Trained(Protocol):
    """What is needed of a `ganlib.lab.Lab`."""

    @property
    def actions(self) -> Goal: ...

    def advance(self, who: Who, steps: int = 1) -> None: ...

    def frame(self) -> bytes: ...

    def opening(self) -> bytes: ...


@dataclass(frozen=True)
class Reached:
    """The frame at the goal of a request, packed, and the film's opening if it was asked for."""

    frame: bytes
    opening: bytes | None = None


@dataclass(frozen=True)
class Progress:
    """How many of the goal's steps are done; the request has to be repeated."""

    done: int
    of: int


Answer = Reached | Progress
Slices = Generator[None, None, Answer]  # the work of a request; each `yield` lets others go first


class Busy(ValueError):
    """Others use all there is at this moment; the same request may succeed later."""


class Replaced(ValueError):
    """The visitor asked for something else before the work of this request was done."""


class Closed(ValueError):
    """The visitor left before the work of this request was done."""


@dataclass(eq=False)
class Work:
    """What a seat is to do, and who waits for it."""

    slices: Slices
    future: "Future[Answer]" = field(default_factory=Future)

    def step(self) -> bool:
        """Do one slice. Returns whether the work has ended."""
        try:
            next(self.slices)
            return False
        except StopIteration as end:
            settle(self.future, result=end.value)
        except BaseException as error:
            settle(self.future, error)
        return True

    def drop(self, reason: Exception) -> None:
        """Tell who waits for it that it will not be done."""
        settle(self.future, reason)


def settle(future: "Future[Answer]", error: BaseException | None = None, result: Any = None) -> None:
    """Set a future's result or error, unless it has one or was cancelled."""
    if not future.done() and future.set_running_or_notify_cancel():
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)


@dataclass(eq=False)
class Seat:
    """A visitor's place among the others.

    Args:
        used: when its last request came or ended, by the clock of its `Labs`.
        spent: seconds of computing, counted from the start of whoever had the least when this visitor came.
        arrived: grows with each request.
        work: what it is to do, None if nothing.
        running: whether a worker does a slice of its work at the moment.
        lab, settings: the present lab, None before the first.
    """

    used: float = 0.0
    spent: float = 0.0
    arrived: int = 0
    work: Work | None = None
    running: bool = False
    lab: Trained | None = None
    settings: Settings | None = None


def default_workers() -> int:
    """As many as the CPU cores of this process, at most four."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_WORKERS, cores)


class Turns:
    """A few threads that do the work of many seats, a slice at a time; the seat that spent the least goes next.

    The threads start with the first work, and end before the interpreter does.

    Args:
        workers: how many threads.
        clock: seconds, for the time that a slice takes.
    """

    def __init__(self, workers: int, clock: Callable[[], float] = time.perf_counter):
        self._workers, self._clock = workers, clock
        self._changed = threading.Condition()
        self._ready: list[Seat] = []
        self._arrivals = itertools.count(1)
        self._floor = 0.0  # what the seat had spent whose turn was last; newcomers begin there
        self._threads: list[threading.Thread] = []
        self._ended = False

    def run(self, seat: Seat, slices: Slices) -> Work:
        """Do these slices for a seat, in place of what it was doing."""
        work = Work(slices)
        with self._changed:
            if not self._threads:
                self._start()
            self._drop(seat, Replaced("a newer request of the same page took the place of this one"))
            seat.work, seat.spent, seat.arrived = work, max(seat.spent, self._floor), next(self._arrivals)
            if not seat.running:
                self._ready.append(seat)
                self._changed.notify()
        return work

    def stop(self, seat: Seat, work: Work | None = None) -> None:
        """Give up what the seat is doing, or, where `work` is given, only that work."""
        with self._changed:
            if work is None or seat.work is work:
                self._drop(seat, Closed("the page that asked was closed"))

    def _drop(self, seat: Seat, reason: Exception) -> None:
        if seat.work is None:
            return
        seat.work.drop(reason)
        if not seat.running:  # otherwise its worker closes it after the slice
            self._ready.remove(seat)
            seat.work.slices.close()
        seat.work = None

    def _start(self) -> None:
        """Start the workers, each with one thread of torch.

        `torch.set_num_threads` sets the number of the calling thread and of all threads that have not computed yet.
        Therefore it is set back afterwards.
        """
        with _starting, ThreadPoolExecutor(2) as others:
            before = others.submit(torch.get_num_threads).result()
            started = threading.Barrier(self._workers + 1)
            self._threads = [threading.Thread(target=self._serve, args=(started,), name=f"lab-{i}", daemon=True)
                             for i in range(self._workers)]
            for thread in self._threads:
                thread.start()
            started.wait()
            others.submit(torch.set_num_threads, before).result()
        atexit.register(self._end)

    def _end(self) -> None:
        """End the threads: one that is in PyTorch when the interpreter ends would abort the process."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self, started: threading.Barrier) -> None:
        torch.get_num_threads()  # a thread's first computation, which this counts as, takes over the default
        torch.set_num_threads(1)
        started.wait()
        del started
        while not self._ended:
            self._turn()

    def _turn(self) -> None:
        """Wait for work, and do one slice of the seat that comes first; among equals, the newest request."""
        with self._changed:
            while not self._ready and not self._ended:
                self._changed.wait()
            if self._ended:
                return
            seat = min(self._ready, key=lambda waiting: (waiting.spent, -waiting.arrived))
            self._ready.remove(seat)
            self._floor = max(self._floor, seat.spent)
            seat.running, work = True, seat.work
        assert work is not None  # of seats without work none is ready
        start = self._clock()
        ended = work.step()
        with self._changed:
            seat.running = False
            seat.spent += self._clock() - start
            if seat.work is not work:
                work.slices.close()
            elif ended:
                seat.work = None
            if seat.work is not None:
                self._ready.append(seat)


def check_goal(goal: Any) -> Goal:
    """The actions of a film from its start, such as [["both", 120], ["discriminator", 1]], neighbours merged.

    Raises ValueError in one sentence if they are no actions, or too many.
    """
    require(isinstance(goal, list | tuple) and len(goal) <= MAX_ACTIONS,
            f"goal must be a list of at most {MAX_ACTIONS:,} actions, not {quoted(goal)}")
    for action in goal:
        require(isinstance(action, list | tuple) and len(action) == 2,
                f'an action must be a pair such as ["both", 10], not {quoted(action)}')
        who, n = action
        require(who in get_args(Who), f"an action must name one of {', '.join(get_args(Who))}, not {quoted(who)}")
        check_int(n, 1, MAX_STEPS, "the steps of an action")
    total = count(goal)
    require(total <= MAX_STEPS, f"a film has at most {MAX_STEPS:,} steps, not {total:,}")
    return merged(goal)


def count(actions: Sequence[Action]) -> int:
    """How many steps the actions have together."""
    return sum(n for _, n in actions)


def beginning(actions: Sequence[Action], n: int) -> Goal:
    """The first n steps of the actions."""
    found: list[Action] = []
    for who, steps in actions:
        found.append((who, min(steps, n)))
        n -= found[-1][1]
        if n <= 0:
            break
    return tuple(found)


def remaining(done: Sequence[Action], goal: Goal) -> Goal | None:
    """What is left to do of a goal, None if the actions done are not its beginning."""
    if not done:
        return goal
    *before, (who, n) = done
    k = len(before)
    if len(goal) <= k or tuple(before) != goal[:k] or goal[k][0] != who or goal[k][1] < n:
        return None
    return (((who, goal[k][1] - n),) if goal[k][1] > n else ()) + goal[k + 1:]


class Labs:
    """The labs of all visitors.

    A lab is dropped when its visitor leaves, when nobody asked for it for a while, or when there are too many. A lab
    that was dropped is made again, and repeats its steps, when its visitor asks for the next frame.

    Args:
        make: makes a lab of its settings.
        workers: threads that train.
        limit: how many labs there are at most.
        idle: seconds after which a lab that nobody asks for is dropped.
        budget: seconds of training in one request.
        clock: seconds, for the time that a lab is idle.
    """

    def __init__(self, make: Callable[[Settings], Trained] = Lab, workers: int | None = None, limit: int = MAX_LABS,
                 idle: float = IDLE, budget: float = BUDGET, clock: Callable[[], float] = time.monotonic):
        self._make, self._limit, self._idle, self._budget, self._clock = make, limit, idle, budget, clock
        self._turns = Turns(workers or default_workers())
        self._lock = threading.Lock()
        self._seats: dict[str, Seat] = {}
        self._timer: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._seats)

    def __contains__(self, visitor: object) -> bool:
        return visitor in self._seats

    async def frame(self, visitor: str, settings: Settings, goal: Goal, opening: bool = False) -> Answer:
        """The frame at a goal, or how far the training came in the time that one request has.

        The visitor's lab goes on if its actions are the goal's beginning, else another is made. A second request of
        the same visitor takes the place of the first, which then raises Replaced.

        Args:
            visitor: who asks.
            settings: of the lab.
            goal: all actions from the film's start, as `check_goal` returns them.
            opening: whether to return the film's opening too.

        Raises:
            Replaced: by a newer request of the visitor.
            Closed: `close` was called for the visitor.
            ValueError: the training broke down, or all labs are in use; in one sentence.
        """
        with self._lock:
            seat = self._seat(visitor)
            work = self._turns.run(seat, self._slices(seat, settings, goal, opening))
            self._watch()
        try:
            return await asyncio.wrap_future(work.future)
        except asyncio.CancelledError:
            self._turns.stop(seat, work)
            raise
        finally:
            seat.used = self._clock()

    def close(self, visitor: str) -> None:
        """Drop a visitor's lab, and what is being done for it."""
        with self._lock:
            self._close(visitor)

    def sweep(self) -> None:
        """Drop all labs that nobody asked for in the last while."""
        with self._lock:
            for visitor in [visitor for visitor, seat in self._seats.items() if self._left(seat) <= 0]:
                self._close(visitor)

    def _close(self, visitor: str) -> None:
        if seat := self._seats.pop(visitor, None):
            self._turns.stop(seat)

    def _seat(self, visitor: str) -> Seat:
        """The visitor's seat. A new one may take the place of the one that is idle longest."""
        if visitor not in self._seats:
            if len(self._seats) >= self._limit:
                idle = {name: seat.used for name, seat in self._seats.items() if seat.work is None}
                # a lab that computes stays: its visitor would make it again at once, and drop another one's
                if not idle:
                    raise Busy(f"{self._limit} visitors train here at this moment")
                self._close(min(idle, key=idle.__getitem__))
            self._seats[visitor] = Seat()
        self._seats[visitor].used = self._clock()
        return self._seats[visitor]

    def _left(self, seat: Seat) -> float:
        """Seconds until a seat has been idle for too long."""
        return self._idle if seat.work is not None else seat.used + self._idle - self._clock()

    def _watch(self) -> None:
        """Sweep when the next lab is due, as long as there are labs."""
        if self._timer is None and self._seats:
            # not at once again, because a clock that was given may differ from the timer's
            due = max(0.05, min(self._left(seat) for seat in self._seats.values()))
            self._timer = threading.Timer(due, self._sweep_and_watch)
            self._timer.daemon = True
            self._timer.start()

    def _sweep_and_watch(self) -> None:
        self.sweep()
        with self._lock:
            self._timer = None
            self._watch()

    def _slices(self, seat: Seat, settings: Settings, goal: Goal, opening: bool) -> Slices:
        """The work of one request: make a lab if it is needed, train it, and pack the frame."""
        begin = seat.spent
        rest = remaining(seat.lab.actions, goal) if seat.lab is not None and seat.settings == settings else None
        if seat.lab is None or rest is None:
            seat.lab = None  # the old lab's memory is freed first
            seat.lab, seat.settings, rest = self._make(settings), settings, goal
            yield
        try:
            for who, n in rest:
                for _ in range(n):
                    if seat.spent - begin >= self._budget:
                        return Progress(count(seat.lab.actions), count(goal))
                    seat.lab.advance(who, 1)
                    yield
            return Reached(seat.lab.frame(), seat.lab.opening() if opening else None)
        except NonFiniteLoss:
            done, seat.lab = count(seat.lab.actions), None
            raise ValueError(f"The training broke down after {done:,} steps: its numbers are no longer finite. Choose "
                             f"lower learning rates, or a stronger penalty.") from None
