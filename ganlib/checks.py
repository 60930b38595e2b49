"""Checks of values that come from outside, and short forms of foreign text for error messages."""

import math
import operator
import re
import reprlib
from dataclasses import MISSING, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CHECKOUT = (Path(__file__).parents[1] / "pyproject.toml").exists()  # or an installed package

_brief = reprlib.Repr()
_brief.maxstring = 80
quoted = _brief.repr  # a foreign value, shortened


def listed(names: list[str]) -> str:
    """The first three of some foreign names, quoted."""
    return ", ".join([*map(quoted, names[:3]), *(["…"] if len(names) > 3 else [])])


def escaped(text: str) -> str:
    """Markdown that shows a foreign text literally, in one line."""
    import html  # its table of characters is large

    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def require(condition: bool, message: str) -> None:
    """Raises ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


class MissingPackage(ImportError, ValueError):
    """A package of one of ganlib's extras is not installed."""


def needs(what: str, extra: str, *packages: str) -> None:
    """Raises MissingPackage, with the command that installs an extra, if one of its packages is missing.

    Args:
        what: what the packages are needed for, such as "the page".
        extra: of ganlib.
        packages: names of modules.
    """
    if missing := [package for package in packages if find_spec(package) is None]:
        source = f'-e ".[{extra}]"' if CHECKOUT else f'"ganlib[{extra}]"'
        raise MissingPackage(f"{what} needs {' and '.join(missing)}: pip install {source}")


def check_fields(values: dict[str, Any], cls: Any, what: str) -> None:
    """Raises ValueError if the values lack a field of a dataclass that has no default, or have an unknown field."""
    needed = {field.name: field.default is field.default_factory is MISSING for field in fields(cls)}
    foreign, missing = sorted(values.keys() - needed), sorted(name for name in needed.keys() - values if needed[name])
    require(not foreign, f"{what} has no field {listed(foreign)}")
    require(not missing, f"{what} lacks the field {listed(missing)}")


def check_bool(value: Any, what: str) -> bool:
    """The value. Raises ValueError unless it is True or False: "no" counts as true in Python."""
    require(isinstance(value, bool), f"{what} must be true or false, not {quoted(value)}")
    return bool(value)


def check_int(value: Any, low: int, high: int, what: str) -> int:
    """The value, of any integer type of Python, NumPy or torch, as an int. Raises ValueError unless low ≤ it ≤ high."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except (TypeError, ValueError):
        number = None
    if number is None or not low <= number <= high:
        raise ValueError(f"{what} must be a whole number from {low} to {high}, not {quoted(value)}")
    return number


def check_float(value: Any, low: float, high: float, what: str, above: bool = False) -> float:
    """The value, of any number type of Python, NumPy or torch, as a float.

    Raises ValueError unless it is a finite number from low, itself excluded if `above`, to high.
    """
    try:
        boolean = isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")
        number = math.nan if boolean or isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = math.nan
    if not (math.isfinite(number) and low <= number <= high and not (above and number == low)):
        span = f"from {low:g} to {high:g}"
        if high == math.inf:
            span = "that is finite" if low == -math.inf else f"{'above' if above else 'of at least'} {low:g}"
        elif above:
            span = f"above {low:g} and at most {high:g}"
        raise ValueError(f"{what} must be a number {span}, not {quoted(value)}")
    return number
