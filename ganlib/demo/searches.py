"""Searches for latents that the page's visitors wait for: each is advanced a little by each request. Knows no gradio.

A visitor has one search, that of the last request. So nothing is searched for a page that is closed or hidden.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

from ganlib.demo.labs import Busy
from ganlib.inversion import Inversion

MAX_SEARCHES = 16
IDLE = 60.0  # seconds after which a search that nobody asks for may be dropped
BUDGET = 0.25  # seconds of one request, about

Steps = Iterator[tuple[float, Inversion]]


@dataclass(eq=False)
class Search:
    """A search and how far it is. `key`: what is searched; `used`: when it was last asked for."""

    key: Hashable
    steps: Steps
    used: float
    share: float = 0.0
    found: Inversion | None = None
    ended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def advance(self, seconds: float) -> None:
        """Search until the time is over, one step at least, or until the end."""
        with self.lock:
            end = time.perf_counter() + seconds
            while not self.ended:
                try:
                    self.share, self.found = next(self.steps)
                except StopIteration:
                    self.ended = True
                if time.perf_counter() >= end:
                    return


class Searches:
    """The searches of all visitors.

    Args:
        clock: the present time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._searches: dict[str, Search] = {}

    def __len__(self) -> int:
        return len(self._searches)

    def advance(self, visitor: str, key: Hashable, begin: Callable[[], Steps]) -> Search:
        """The visitor's search for what `key` names, after it went on for a moment.

        Args:
            visitor: who asks; another search of theirs is dropped.
            key: names what is searched.
            begin: starts it.

        Raises Busy if others have as many searches as there may be.
        """
        with self._lock:
            search = self._searches.get(visitor)
            if search is None or search.key != key:
                self._searches.pop(visitor, None)
                self._make_room()
                search = self._searches[visitor] = Search(key, begin(), self._clock())
            search.used = self._clock()
        try:
            search.advance(BUDGET)
        except BaseException:
            self.drop(visitor)
            raise
        return search

    def _make_room(self) -> None:
        for visitor, search in list(self._searches.items()):
            if search.ended or self._clock() - search.used > IDLE:
                del self._searches[visitor]
        if len(self._searches) >= MAX_SEARCHES:
            raise Busy("others search at this moment, as many as there may be; try again in a minute")

    def drop(self, visitor: str) -> None:
        """Drop the search of a visitor who left or stopped it."""
        with self._lock:
            self._searches.pop(visitor, None)
