"""Links to a state of a tab, and the pictures' passports, which hold the same values: both are read here.

A link's query is `tab=generate&model=dcgan&seed=7`. Each tab names its values, checks them in `restore`, and falls back
to its default where one is not valid, with a word for the visitor.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from ganlib.checkpoint import WeightsError
from ganlib.checks import check_float, check_int, quoted, require
from ganlib.demo import models
from ganlib.demo.controls import as_sentence, check_seed
from ganlib.model import Model
from ganlib.waypoints import Waypoint

MAX_WORDS = 3  # sentences in one message

_T = TypeVar("_T")


class Reading:
    """The values of a link or a passport, to be taken one by one.

    `words` say what was not valid; `message` is what a visitor is told.
    """

    def __init__(self, values: Mapping[str, Any]):
        self.values = dict(values)
        self.words: list[str] = []
        self.defaults = 0  # that are used because a value was not valid

    @property
    def message(self) -> str:
        """The first words as sentences, each once; and that defaults are used, where one is. Empty if all was valid."""
        words = list(dict.fromkeys(map(as_sentence, self.words)))
        more = [f"And {len(words) - MAX_WORDS} more."] if len(words) > MAX_WORDS else []
        fallback = ["", "The default is used."][self.defaults] if self.defaults < 2 else "The defaults are used."
        return " ".join(filter(None, [*words[:MAX_WORDS], *more, fallback]))

    def take(self, name: str, check: Callable[[Any], _T], default: _T) -> _T:
        """The checked value of that name; the default where there is none or, with a word, where it is not valid."""
        if name not in self.values:
            return default
        try:
            return check(self.values[name])
        except (ValueError, WeightsError) as error:
            self.words.append(str(error))
            self.defaults += 1
            return default

    def model(self, names: list[str], find: Callable[[str], Any] = models.images) -> str:
        """The name of the model, one of a tab's own or of the Hub; by default the tab's first."""
        return self.take("model", lambda name: name if name in names else _found(name, find), names[0])


def _found(name: Any, find: Callable[[str], Any]) -> str:
    name = models.full_name(name) if isinstance(name, str) else name
    find(name)
    return str(name)


def seed(value: Any) -> int:
    """A seed of the page, 0 to 9,999, also as text."""
    return check_seed(_number(value))


def waypoint(value: Any, model: Model) -> Waypoint:
    """A waypoint of a model, also a seed as a number. Raises ValueError for a seed that is not one of the page's."""
    found = Waypoint.parse(str(value) if type(value) is int else value, model)
    if found.seed is not None:
        check_seed(found.seed)
    return found


def whole(low: int, high: int, what: str) -> Callable[[Any], int]:
    """A check of whole numbers in a range, also as text."""
    return lambda value: check_int(_number(value), low, high, what)


def number(low: float, high: float, what: str) -> Callable[[Any], float]:
    """A check of numbers in a range, also as text."""
    return lambda value: check_float(_number(value), low, high, what)


def among(allowed: Callable[[], list[str]] | list[str], what: str) -> Callable[[Any], str]:
    """A check of one of the allowed texts."""
    def check(value: Any) -> str:
        known = allowed() if callable(allowed) else allowed
        require(str(value) in known, f"{what} must be one of {', '.join(known)}, not {quoted(value)}")
        return str(value)

    return check


def flag(value: Any) -> bool:
    """A check of a yes or no: true, false, 1 or 0."""
    known = {"1": True, "true": True, "0": False, "false": False}
    require(str(value).lower() in known, f"yes or no is written 1 or 0, not {quoted(value)}")
    return known[str(value).lower()]


def several(value: Any) -> list[str]:
    """The texts of a list; in links they are separated by commas."""
    if isinstance(value, list):
        return [str(part) for part in value]
    return str(value).split(",") if value not in (None, "") else []


def _number(value: Any) -> Any:
    """The finite number that a text stands for, as an int where it is whole; anything else as it is."""
    number = value
    if isinstance(value, str):
        with suppress(ValueError):
            number = float(value)
    if type(number) is not float or not math.isfinite(number):
        return value
    return int(number) if number.is_integer() else number
