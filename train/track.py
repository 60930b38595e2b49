"""--track: a run's losses, measures and pictures in trackio while it trains, on this machine or on a Space.

Hours of training are worth more than their curves: where trackio fails, that is said once and the run goes on.
"""

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

from ganlib import hub

LOCAL = "local"  # what --track says where it names no Space


def check(where: str | None) -> None:
    """Check whether --track can be done, before anything is begun.

    Raises:
        ValueError: trackio is not installed, or that is no Space's name.
        HubError: the user may not write to the Space.
    """
    if where is not None and find_spec("trackio") is None:
        raise ValueError('--track needs trackio: pip install -e ".[track]"')
    if where not in (None, LOCAL):
        hub.check_access(where, "space")


class Tracker:
    """A run of a trackio project, from now to the end of a `with` block, or until trackio fails.

    A resumed run goes on under its name; what was logged after the checkpoint it goes on from is there twice then.

    Args:
        where: LOCAL, a Space "user/name", or None to track nothing.
        project: what runs are gathered under.
        name: the run's own, the same one when it is resumed.
        config: JSON-ready.
        resumed: whether the run goes on.

    Raises:
        ValueError: trackio cannot start.
    """

    def __init__(self, where: str | None, project: str, name: str, config: dict, resumed: bool):
        self.name, self._run = name, None
        if where is None:
            return
        import trackio

        away = where != LOCAL or any(os.environ.get(f"TRACKIO_{what}") for what in ("SPACE_ID", "SERVER_URL"))
        try:
            # offline, because trackio asks the Hub for the name of the token's owner even where everything stays here
            with nullcontext() if away else hub.offline():
                self._run = trackio.init(project=project, name=name, config=config, embed=False, auto_log_cpu=False,
                                         auto_log_gpu=False, space_id=None if where == LOCAL else where,
                                         resume="allow" if resumed else "never")
        except Exception as error:  # whatever a foreign package may raise
            raise ValueError(f"trackio could not start, leave --track out to train without it "
                             f"({_first_line(error)})") from None

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *error) -> None:
        self._do(lambda trackio: trackio.finish())

    def log(self, row: dict, step: int) -> None:
        """Log numbers by their names, as a row of the history has them."""
        self._do(lambda trackio: self._run.log({name: row[name] for name in row if name != "step"}, step=step))

    def picture(self, path: Path, step: int) -> None:
        """Log a PNG of what is being made, which trackio copies."""
        self._do(lambda trackio: self._run.log({"samples": trackio.Image(path)}, step=step))

    def _do(self, act: Callable) -> None:
        if self._run is None:
            return
        import trackio

        try:
            act(trackio)
        except Exception as error:  # whatever a foreign package may raise
            self._run = None
            tqdm.write(f"train: the run is tracked no longer ({_first_line(error)})", file=sys.stderr)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
