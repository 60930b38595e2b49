"""--track: losses, measures and pictures of a run in trackio while it trains, on this machine or on a Space.

If trackio fails during a run, one message says so and the training goes on.
"""

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ganlib import hub
from ganlib.checks import needs

LOCAL = "local"  # the value of --track without a Space


def check(where: str | None) -> str | None:
    """Checks, before the run begins, whether it can be tracked; returns where, by the name of a Space.

    Raises:
        ValueError: trackio is not installed or has no folder for the run, or `where` is not a Space's name.
        HubError: the user may not write to the Space.
    """
    if where is not None:
        needs("--track", "track", "trackio")
    if where is not None and not any(map(os.environ.get, ("TRACKIO_DIR", "HF_HOME", "XDG_CACHE_HOME"))):
        try:
            Path.home()
        except RuntimeError:  # trackio would make a folder named ~
            raise ValueError("there is no home folder to keep tracked runs in: name one by TRACKIO_DIR") from None
    if where not in (None, LOCAL):
        return hub.check_access(where, "space")
    return where


class Tracker:
    """A run of a trackio project, as a context. It stops logging at the first failure of trackio.

    A resumed run keeps its name; the rows between its checkpoint and its stop are then logged twice.

    Args:
        where: LOCAL, a Space "user/name", or None to track nothing.
        project, name, config: of the run; the config is JSON-ready.
        resumed: whether the run was begun before.

    Raises:
        ValueError: trackio cannot start.
    """

    def __init__(self, where: str | None, project: str, name: str, config: dict[str, Any], resumed: bool):
        self._trackio = self._run = None
        if where is None:
            return
        import trackio

        online = where != LOCAL or any(os.environ.get(f"TRACKIO_{what}") for what in ("SPACE_ID", "SERVER_URL"))
        try:
            # offline because trackio asks the Hub for the name of the token's owner even when it stores locally
            with nullcontext() if online else hub.offline():
                self._run = trackio.init(project=project, name=name, config=config, embed=False, auto_log_cpu=False,
                                         auto_log_gpu=False, space_id=None if where == LOCAL else where,
                                         resume="allow" if resumed else "never")
        except Exception as error:  # trackio may raise anything
            raise ValueError(f"trackio could not start, leave --track out to train without it "
                             f"({_first_line(error)})") from None
        self._trackio = trackio

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *error: object) -> None:
        self._do(lambda trackio, run: trackio.finish())

    def log(self, row: dict[str, Any], step: int) -> None:
        """Logs a row of the history."""
        self._do(lambda trackio, run: run.log({name: row[name] for name in row if name != "step"}, step=step))

    def picture(self, path: Path, step: int) -> None:
        """Logs a PNG of samples; trackio copies the file."""
        self._do(lambda trackio, run: run.log({"samples": trackio.Image(path)}, step=step))

    def _do(self, act: Callable[..., object]) -> None:
        if self._run is None:
            return
        try:
            act(self._trackio, self._run)
        except Exception as error:  # trackio may raise anything
            self._run = None
            tqdm.write(f"train: the run is no longer tracked ({_first_line(error)})", file=sys.stderr)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
