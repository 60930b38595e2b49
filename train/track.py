"""Where a run's losses, measures and pictures can be looked at while it trains: trackio, or TensorBoard without that.

Hours of training are worth more than their curves: a tracker that fails in the middle says so, and the run goes on.
"""

import io
import json
import os
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy
from tqdm import tqdm

from ganlib import hub, images

LOCAL = "local"  # what --track says where it names no Space
INSTALL = 'pip install -e ".[track]"'


@dataclass(frozen=True)
class Tracked:
    """What a tracker is told of a run.

    project: what runs are gathered under. name: the run's own, and the same when it is resumed. config: JSON-ready.
    folder: where a tracker may keep files. step: the one the run goes on from, 0 for a new run. space: a Space of the
    Hugging Face Hub, "user/name", or None to stay on this machine.
    """

    project: str
    name: str
    config: dict
    folder: Path
    step: int = 0
    space: str | None = None


class Nowhere:
    """Tracks nothing."""

    def log(self, row: dict, step: int) -> None:
        pass

    def picture(self, path: Path, step: int) -> None:
        pass

    def finish(self) -> None:
        pass


class Trackio:
    """A run of a trackio project, in its store on this machine or on a Space.

    A resumed run goes on under its name; what was logged after the checkpoint it goes on from is there twice then.
    """

    package, spaces = "trackio", True

    def __init__(self, run: Tracked):
        import trackio

        self._trackio = trackio
        elsewhere = run.space or any(os.environ.get(f"TRACKIO_{what}") for what in ("SPACE_ID", "SERVER_URL"))
        # offline, because it asks the Hub for the name of the token's owner even where everything stays here
        with _in_silence(), nullcontext() if elsewhere else hub.offline():
            self._run = trackio.init(project=run.project, name=run.name, config=run.config, space_id=run.space,
                                     resume="allow" if run.step else "never", embed=False, auto_log_cpu=False,
                                     auto_log_gpu=False)
        address = self._run.url
        self.where = f"trackio show --project {shlex.quote(run.project)}"
        if address is not None:
            self.where = address if "://" in address else f"https://huggingface.co/spaces/{address}"

    def log(self, row: dict, step: int) -> None:
        self._run.log(row, step=step)

    def picture(self, path: Path, step: int) -> None:
        self._run.log({"samples": self._trackio.Image(path)}, step=step)

    def finish(self) -> None:
        with _in_silence():
            self._trackio.finish()


class TensorBoard:
    """Event files in a folder of the run's. Of a resumed run, what came after its checkpoint is not shown any more."""

    package, spaces = "tensorboard", False

    def __init__(self, run: Tracked):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(run.folder / run.name, purge_step=run.step + 1 if run.step else None,
                                     flush_secs=10)
        self._writer.add_text("config", f"```\n{json.dumps(run.config, indent=2)}\n```", run.step)
        self.where = f"tensorboard --logdir {shlex.quote(str(run.folder))}"

    def log(self, row: dict, step: int) -> None:
        for name, value in row.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, path: Path, step: int) -> None:
        self._writer.add_image("samples", numpy.asarray(images.read(path).convert("RGB")), step, dataformats="HWC")

    def finish(self) -> None:
        self._writer.close()


BACKENDS = (Trackio, TensorBoard)  # the first that is installed and reaches where it must


def choose(where: str) -> type[Trackio] | type[TensorBoard]:
    """What tracks a run there: LOCAL, or a Space. Raises ValueError saying what to install."""
    possible = [backend for backend in BACKENDS if backend.spaces or where == LOCAL]
    for backend in possible:
        if find_spec(backend.package) is not None:
            return backend
    names = " or ".join(backend.package for backend in possible)
    raise ValueError(f"--track {'' if where == LOCAL else 'to a Space '}needs {names}, and there is none: {INSTALL}")


def check(where: str | None) -> None:
    """Whether --track can be done, to be asked before anything is begun.

    Raises ValueError saying what to install or how a Space is named, and HubError where the user may not write to it.
    """
    if where is not None:
        choose(where)
    if where not in (None, LOCAL):
        hub.check_access(where, "space")


class Tracker:
    """Tracks a run from now to the end of its `with` block, or until that fails, which is said once."""

    def __init__(self, where: str | None, run: Tracked):
        """Raises ValueError where tracking cannot start; where None, nothing is tracked."""
        self.name = run.name
        self._backend, self._show, self._warned = Nowhere(), warnings.showwarning, False
        if where is None:
            return
        kind = choose(where)
        warnings.showwarning = self._warning
        try:
            self._backend = kind(run)
        except Exception as error:  # whatever a foreign package may raise
            warnings.showwarning = self._show
            raise ValueError(f"{kind.package} could not start, leave --track out to train without it "
                             f"({_first_line(error)})") from None
        self._warned = False
        print(f"Tracked as {run.name}: {self._backend.where}")

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *error) -> None:
        self._warned = False
        self._try(self._backend.finish)
        warnings.showwarning = self._show

    def log(self, row: dict, step: int) -> None:
        """Numbers by their names, as a row of the history has them."""
        self._try(self._backend.log, {name: value for name, value in row.items() if name != "step"}, step)

    def picture(self, path: Path, step: int) -> None:
        """A PNG of what is being made, which the tracker copies."""
        self._try(self._backend.picture, path, step)

    def _try(self, tell: Callable, *what) -> None:
        try:
            tell(*what)
        except Exception as error:  # whatever a foreign package may raise
            self._backend = Nowhere()
            _say(f"the run is tracked no longer ({_first_line(error)})")

    def _warning(self, message, category, filename, *rest) -> None:
        """trackio swallows its errors and warns, from threads too, of the same thing again and again.

        The first of the start, of the training and of the end is said, in a line.
        """
        if Path(filename).parent.name != Trackio.package:
            self._show(message, category, filename, *rest)
        elif not self._warned:
            self._warned = True
            _say(_first_line(message))


class Pace:
    """Samples a second between two looks at the clock, leaving out pauses."""

    def __init__(self, step: int, batch_size: int):
        self._step, self._batch_size, self._since = step, batch_size, time.perf_counter()

    def at(self, step: int) -> float:
        """Since the last time it was asked, or the start."""
        now = time.perf_counter()
        pace = (step - self._step) * self._batch_size / (now - self._since)
        self._step, self._since = step, now
        return pace

    @contextmanager
    def paused(self) -> Iterator[None]:
        before = time.perf_counter()
        yield
        self._since += time.perf_counter() - before


def _in_silence():
    return redirect_stdout(io.StringIO())


def _say(sentence: str) -> None:
    tqdm.write(f"train: {sentence}", file=sys.stderr)  # above the progress bar


def _first_line(error) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].removeprefix("* ").rstrip(".") if lines else type(error).__name__
