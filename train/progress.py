"""Progress bars of the command lines, and signals that stop a run after its step."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from tqdm import tqdm

from ganlib import heap
from ganlib.data import Data
from ganlib.devices import threads
from ganlib.distributed import LostProcess
from ganlib.evaluation import Progress
from ganlib.runs import Run
from ganlib.version import __version__

from .track import Tracker

# how the bar shows the losses of a history's rows
LOSSES = {"discriminator_loss": "D {discriminator_loss:.3f}", "generator_loss": "G {generator_loss:.3f}",
          "reconstruction_loss": "reconstruction {reconstruction_loss:.1f}", "kl_divergence": "KL {kl_divergence:.1f}"}


def train(run: Run, data: Data, track: str | None, saved: Callable[[], object] = lambda: None) -> bool:
    """Trains a run with a progress bar and, if `track` says so, in trackio. Returns False if a signal stopped it.

    Of several processes all stop after the same step; the first one then measures and writes the model alone.

    saved: is called after each checkpoint.
    """
    config = {"library_version": __version__, **run.description(data.description())}
    del config["out"]  # a path of this machine, which a Space would publish
    unit, rate = ("img", "images_per_second") if len(data.shape) == 3 else ("pt", "points_per_second")
    steps, size = run.config.steps, run.config.batch_size
    if run.device == "cpu":
        heap.keep()
    with threads(run.recipe.threads, run.device):
        with (Tracker(track, run.name, run.label, config, resumed=run.begun is not None) as tracker,
              stop_on_signal() as stopped, closing(run.train(data)) as states):
            state = next(states)
            logged = len(state.history)
            if state.step == 0:
                tracker.picture(run.picture(0), 0)
            with tqdm(total=steps * size, initial=state.step * size, desc=run.name, unit=unit, unit_scale=True,
                      smoothing=0.05, dynamic_ncols=True) as bar:
                for state in states:
                    bar.update(size)
                    for row in state.history[logged:]:
                        if losses := [form.format_map(row) for name, form in LOSSES.items() if name in row]:
                            bar.set_postfix_str(" ".join(losses), False)
                            row = {**row, rate: bar.format_dict["rate"] or 0}
                        tracker.log(row, state.step)
                    logged = len(state.history)
                    if run.picture(state.step).exists():
                        tracker.picture(run.picture(state.step), state.step)
                    if run.saves(state.step):
                        saved()
                    try:
                        ends = run.group.any(stopped())
                    except LostProcess as error:
                        states.throw(error)  # the run says which checkpoint is kept
                    if ends and state.step < steps:
                        states.close()  # saves a checkpoint
                        saved()
                        return False
        run.group.leave()
        if not run.group.is_first:
            return True
        with measuring(f"measuring {run.name}") as progress:
            said = run.finish(data, state, progress)
        if said:
            print(said)
    return True


@contextmanager
def measuring(title: str, delay: float = 0.0) -> Iterator[Progress]:
    """A progress bar, shown after `delay` seconds; yields the function to call with what begins and the share done."""
    start = time.monotonic()
    with tqdm(desc=title, delay=delay, total=100, dynamic_ncols=True, leave=False,
              bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}") as bar:
        def progress(what: str, share: float) -> None:
            bar.n = 100 * share
            bar.set_postfix_str(what, refresh=time.monotonic() - start >= delay)

        yield progress


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether Ctrl-C or SIGTERM has come; a second signal raises KeyboardInterrupt."""
    received: list[int] = []

    def note(number, frame):
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
