"""Rows of docs/benchmarks.md: two ways to do one thing, measured in turn within one run.

The machines are noisy, so the ratio of each pair counts and not the figures. A benchmark module has `rows()`, which
yields a `Row` as soon as it is measured; `python -m tests.benchmarks` runs all of them.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One row: what ganlib did against what it is compared with.

    Args:
        what: was done, in a few words; the row's name.
        against: what it is compared with.
        unit: of the figures.
        theirs, ours: the figures of the pairs, in turn.
        at_most, at_least: the target of the median ratio, ours to theirs; one of them, or none.
        note: what differs between the two, or another fact.
    """

    what: str
    against: str
    unit: str
    theirs: Sequence[float]
    ours: Sequence[float]
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours to theirs, sorted."""
        return sorted(our / their for their, our in zip(self.theirs, self.ours, strict=True))

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def target(self) -> str:
        if self.at_most is None and self.at_least is None:
            return ""
        return f"at most {self.at_most:g}" if self.at_least is None else f"at least {self.at_least:g}"

    @property
    def is_reached(self) -> bool | None:
        """None without a target."""
        if self.at_most is None and self.at_least is None:
            return None
        return self.ratio <= self.at_most if self.at_least is None else self.ratio >= self.at_least

    def cells(self) -> list[str]:
        """The row as cells of the table with `HEADER`."""
        judged = {None: "", True: "reached", False: "missed"}[self.is_reached]
        return [self.what, self.against, f"{statistics.median(self.theirs):.4g} {self.unit}",
                f"{statistics.median(self.ours):.4g} {self.unit}", f"{self.ratio:.2f}",
                f"{self.ratios[0]:.2f} to {self.ratios[-1]:.2f}", str(len(self.ratios)), self.target, judged, self.note]

    def __str__(self) -> str:
        what, against, theirs, ours, ratio, span, n, target, judged, note = self.cells()
        return (f"{what}, against {against}: {theirs}, {ours}, ratio {ratio} ({span}, {n} pairs)"
                + (f", target {target}: {judged}" if target else "") + (f"; {note}" if note else ""))


HEADER = ["what", "against", "theirs, median", "ours, median", "ratio", "spread", "pairs", "target", "", "note"]


def in_turn(theirs: Callable[[], float], ours: Callable[[], float], pairs: int = 5,
            warm_up: int = 1) -> dict[str, list[float]]:
    """The figures of both, measured A B A B …, as `theirs` and `ours` of a Row. The first pairs are not counted."""
    found = [(theirs(), ours()) for _ in range(warm_up + pairs)][warm_up:]
    return {"theirs": [pair[0] for pair in found], "ours": [pair[1] for pair in found]}
