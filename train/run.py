"""One training run on disk: progress, pictures of fixed seeds, checkpoints, and the weights folder at the end."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from ganlib import checkpoint, images, report
from ganlib.architectures import Architecture, build, describe
from ganlib.checks import check_int
from ganlib.data import DATASETS, Data, NotDownloaded, default_root, open_data, scale
from ganlib.evaluation import Progress, measure_briefly
from ganlib.model import Model
from ganlib.networks import count_parameters
from ganlib.recipes import RECIPES, Recipe
from ganlib.training import (
    NonFiniteLoss,
    State,
    Step,
    TrainConfig,
    check_fit,
    history_interval,
    saved_run,
    train,
)
from ganlib.version import __version__
from train.track import Tracker

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
IDENTITY = {"recipe", "name", "shape", "num_classes", "where", "device", "data"}  # beside "train", of a checkpoint
MEASURED_FROM = 1_000  # steps: a run of digits that is as long is measured as it goes


@dataclass(frozen=True)
class Run:
    """What to train, how, on what, into where.

    Args:
        recipe_name: in RECIPES.
        name: what the model is to be called.
        config: the run's numbers.
        device: where to train.
        out: the weights folder to write.
        picture_shape: (channels, height, width) that a folder's pictures are to be made; None for the recipe's.
        shape, num_classes: of the data, which the recipe's networks are fitted to; None before they are opened.
        where: as in `open_data`, None for the recipe's own data.
        checkpoint_every: steps, None for a twentieth of the run; it is rounded to whole rows of the history.
        begun: what the checkpoint in `out` says of its run, where this goes on with that.
        track: where the run can be looked at meanwhile, as --track says; None for nowhere.
    """

    recipe_name: str
    name: str
    config: TrainConfig
    device: str
    out: Path
    picture_shape: tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None
    num_classes: int | None = None
    where: str | None = None
    checkpoint_every: int | None = None
    begun: dict | None = None
    track: str | None = None

    def __post_init__(self):
        if not NAME.fullmatch(self.name):
            raise ValueError(f"a name must be of 1 to 96 letters, digits, dots, dashes and underscores, and begin with "
                             f"a letter or digit, not {self.name!r}")
        if self.checkpoint_every is not None:
            check_int(self.checkpoint_every, 1, 10**9, "--checkpoint-every")

    @classmethod
    def resumed(cls, recipe_name: str, device: str, out: Path, checkpoint_every: int | None = None) -> "Run":
        """The run whose checkpoint is in `out`. Raises ValueError where there is none, or it is another recipe's."""
        path = out / "training" / "state.safetensors"
        saved = saved_run(path)
        if IDENTITY - set(saved):
            raise ValueError(f"{path} is a checkpoint of another version of ganlib")
        if saved["recipe"] != recipe_name:
            raise ValueError(f"{path} is a checkpoint of {saved['recipe']}, not of {recipe_name}")
        try:
            config = TrainConfig.rebuild(saved.get("train"))
        except ValueError as error:
            raise ValueError(f"{path} is a checkpoint of another version of ganlib ({error})") from None
        if saved["device"] != torch.device(device).type:
            raise ValueError(f"the run in {out} was begun on --device {saved['device']}, and can only go on there")
        shape = tuple(saved["shape"])
        return cls(recipe_name, saved["name"], config, device, out, None, shape, saved["num_classes"],
                   saved["where"], checkpoint_every, begun=saved)

    @property
    def recipe(self) -> Recipe:
        return RECIPES[self.recipe_name]

    @property
    def architecture(self) -> Architecture:
        """The recipe's networks, fitted to the data. Raises ValueError where they cannot be."""
        return self.recipe.build(self.shape, self.num_classes)

    @property
    def identity(self) -> dict:
        """What a checkpoint says of its run, JSON-ready, but for the data."""
        where = self.where if self.where is None or self.where in DATASETS else str(Path(self.where).resolve())
        return {"recipe": self.recipe_name, "name": self.name, "shape": list(self.shape), "where": where,
                "num_classes": self.num_classes, "train": asdict(self.config),
                "device": torch.device(self.device).type}

    @property
    def state_path(self) -> Path:
        return self.out / "training" / "state.safetensors"

    @property
    def pictures(self) -> Path:
        return self.out / "training" / "samples"

    @property
    def growth(self) -> Path:
        return self.out / "training" / "growth"

    def open(self, download: bool = True) -> tuple["Run", Data]:
        """The run with the shape and classes of its data, and the data.

        Raises:
            ValueError: there are none, or the networks or the run do not fit them.
        """
        asked = self.picture_shape or self.shape or self.recipe.build().shape
        data = open_data(self.recipe.data, self.where, shape=asked, download=download)
        if self.begun and self.begun["data"] != data.description():
            raise ValueError(f"the run in {self.out} was begun on {self.begun['data']}, not on {data.description()}")
        if self.picture_shape and tuple(data.shape) != self.picture_shape:
            raise ValueError(f"the samples of {data.name} are of shape {tuple(data.shape)}: --size and --channels are "
                             f"for a folder of pictures of your own")
        run = replace(self, shape=tuple(data.shape), num_classes=data.num_classes)
        check_fit(run.architecture, data)
        return run, data

    def preview(self) -> tuple["Run", str]:
        """The run, and its data in words, without a download.

        The recipe's own image set is not read: its shape and classes are the networks'.

        Raises:
            ValueError: as `open` does.
        """
        name = self.where or self.recipe.data
        folder = getattr(DATASETS.get(name), "folder", None)
        own = folder and name == self.recipe.data and not self.picture_shape and not self.begun
        if own and (default_root() / folder).is_dir():
            networks = self.recipe.build()
            return replace(self, shape=networks.shape, num_classes=networks.num_classes), f"{name} in {default_root()}"
        try:
            run, data = self.open(download=False)
            return run, data.description()
        except NotDownloaded:
            return self, f"{name}, to be downloaded"

    def description(self, data: str) -> dict:
        """The whole configuration and the sizes, JSON-ready; of data that are not at hand, what is known without them.

        Args:
            data: the data in words.
        """
        networks, sizes = {}, {"samples_seen": self.config.steps * self.config.batch_size,
                               "checkpoint_every_steps": self.checkpoint_interval}
        if self.shape is not None:
            networks["architecture"] = describe(self.architecture)
            for which, network in zip(("generator", "discriminator"), build(self.architecture, None)):
                sizes[f"{which}_parameters"] = 0 if network is None else count_parameters(network)
        return {"name": self.name, "recipe": self.recipe_name, "out": str(self.out), "data": data,
                "device": self.device, **networks, "train": asdict(self.config), "sizes": sizes}

    @property
    def checkpoint_interval(self) -> int:
        """In steps; a multiple of the history's, after whose rows the losses are known to be finite."""
        asked, every = self.checkpoint_every or self.config.steps // 20, history_interval(self.config)
        return max(every, asked // every * every)

    def go(self, data: Data) -> bool:
        """Train to the end, or until Ctrl-C. Returns whether the end was reached.

        Raises NonFiniteLoss, saying which checkpoint is kept, and ValueError for a checkpoint that does not fit.
        """
        state = State.fresh(self.architecture, self.config, self.device)
        if self.begun:
            state.load(self.state_path)
        with self._tracker(data) as tracker:
            ended = self._train(data, state, tracker)
        if ended:
            self._finish(data, state)
        return ended

    def _train(self, data: Data, state: State, tracker: Tracker) -> bool:
        """Train a state to its end, with checkpoints. Returns and raises as `go` does."""
        if not self.begun:
            if self.state_path.exists():  # of a run before this one: out of the way, but not lost
                self.state_path.replace(self.state_path.with_suffix(".old"))
            for old in (*self.pictures.glob("step-*.png"), *self.growth.glob("step-*.png")):
                old.unlink()
        for folder in (self.pictures, self.growth):
            folder.mkdir(parents=True, exist_ok=True)
        identity = {**self.identity, "data": data.description(), "tracked_as": tracker.name}
        saved = state.step
        with stop_on_signal() as stopped:
            try:
                for step in self._steps(data, state, tracker):
                    stop = stopped() and step.number < self.config.steps
                    if stop or step.number == self.config.steps or step.number % self.checkpoint_interval == 0:
                        state.save(self.state_path, identity)
                        saved = step.number
                    if stop:
                        return False
            except NonFiniteLoss as error:
                kept = f"the checkpoint of step {saved:,} is kept" if saved else "there is no checkpoint yet"
                raise NonFiniteLoss(f"{error}; {kept}") from None
        return True

    def _tracker(self, data: Data) -> Tracker:
        """What the run is tracked by; a run that is resumed keeps the name that it began with."""
        name = (self.begun or {}).get("tracked_as") or f"{self.out.resolve().name}-{time.strftime('%Y%m%d-%H%M%S')}"
        config = {"library_version": __version__, **self.description(data.description())} if self.track else {}
        config.pop("out", None)  # a path of this machine, which a Space would show to all
        return Tracker(self.track, self.name, name, config, resumed=self.begun is not None)

    def _steps(self, data: Data, state: State, tracker: Tracker) -> Iterator[Step]:
        """Train under a progress bar, keeping pictures as it goes."""
        size, moments = self.config.batch_size, _moments(self.config.steps)
        measure = self._measurer(data) if self.config.steps >= MEASURED_FROM else None
        if state.step == 0:
            self._keep_picture(state, data, tracker)
        unit, units = ("img", "images") if self._makes_images else ("pt", "points")
        with tqdm(total=self.config.steps * size, initial=state.step * size, desc=self.name, unit=unit, unit_scale=True,
                  smoothing=0.05, dynamic_ncols=True) as bar:
            for step in train(self.architecture, data, self.config, self.device, state):
                if state.history and state.history[-1]["step"] == step.number:
                    row = state.history[-1]
                    bar.set_postfix_str(f"D {row['discriminator_loss']:.3f} G {row['generator_loss']:.3f}", False)
                    tracker.log({**row, f"{units}_per_second": bar.format_dict["rate"] or 0}, step.number)
                if step.number in moments:
                    self._keep_picture(state, data, tracker)
                    if measure and all(value.isfinite().all() for value in state.average.parameters()):
                        state.history.append({"step": step.number, **measure(self._model(state, data))})
                        tracker.log(state.history[-1], step.number)
                bar.update(size)
                yield step

    @property
    def _makes_images(self) -> bool:
        return len(self.shape) == 3

    def _measurer(self, data: Data) -> Callable[[Model], dict] | None:
        """What measures a model of digits in between; None for other data."""
        network, held_out = checkpoint.classifier_for(data, self.device), data.held_out()
        if network is None or held_out is None or data.shape != network.shape:
            return None
        reference = network.examine(scale(held_out.images))
        return lambda model: measure_briefly(model, data, reference, network)

    def _keep_picture(self, state: State, data: Data, tracker: Tracker) -> None:
        model, name = self._model(state, data), f"step-{state.step:07d}.png"
        checkpoint.write_whole(self.pictures / name, report.picture(model, data))
        tracker.picture(self.pictures / name, state.step)
        if self._makes_images:
            checkpoint.write_whole(self.growth / name, report.growth_row(model))

    def _model(self, state: State, data: Data) -> Model:
        config = {"recipe": {"name": self.recipe_name, "data": data.name,
                             **({"data_is_folder": True} if data.folder else {}),
                             "device": self.device, "train": asdict(self.config)}}
        if self.architecture.num_classes and data.class_names:
            config["class_names"] = list(data.class_names)
        return Model(self.name, self.architecture, state.average, state.discriminator, config=config,
                     history=state.history)

    def _finish(self, data: Data, state: State) -> None:
        """Calibrate, measure, and write the weights folder."""
        with measuring(self.name) as progress:
            report.finish(self._model(state, data), data, self.config.loss, self.out,
                          sorted(self.growth.glob("step-*.png")), progress)


@contextmanager
def measuring(name: str) -> Iterator[Progress]:
    """A progress bar of a model's evaluation, which is told what begins and which share is done."""
    with tqdm(desc=f"measuring {name}", total=100, dynamic_ncols=True, leave=False,
              bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}") as bar:
        def progress(what: str, share: float) -> None:
            bar.n = 100 * share
            bar.set_postfix_str(what)

        yield progress


def _moments(steps: int) -> set[int]:
    """Steps of which the fixed seeds are kept: close together at first, when most happens."""
    return {max(1, round(steps * (i / images.MOMENTS) ** 2)) for i in range(1, images.MOMENTS + 1)}


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Let the step under way finish when Ctrl-C or SIGTERM comes; a second one stops at once."""
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
