"""A training run on disk: checkpoints, pictures of fixed seeds, and the finished weights folder.

    run, data = Run("toy-ring").open()
    run.go(data)                        # writes the weights folder runs/toy-ring

It prints nothing. To show the progress or to stop, iterate over `Run.train` instead, and call `Run.finish` at the end.
"""

import functools
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ganlib import best, checkpoint, hub, images, report
from ganlib.architectures import Architecture, build, build_encoder, describe
from ganlib.checks import check_int, quoted, require
from ganlib.classifier import DigitClassifier
from ganlib.data import DATASETS, Data, ImageData, NotDownloaded, default_root, holds_sets, open_data, scale
from ganlib.devices import check_device, has_bfloat16, threads
from ganlib.distributed import ALONE, Group, LostProcess
from ganlib.evaluation import measure_briefly
from ganlib.files import tidy
from ganlib.model import Model
from ganlib.networks import count_parameters
from ganlib.pictures import Progress, Reading
from ganlib.recipes import RECIPES, Recipe
from ganlib.training import (
    NonFiniteLoss,
    State,
    TrainConfig,
    check_fit,
    history_interval,
    saved_run,
    saved_step,
    train,
)
from ganlib.transfer import Start

if TYPE_CHECKING:
    from filelock import FileLock

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
IDENTITY = {"recipe", "name", "shape", "num_classes", "where", "device", "data", "train"}  # of a run in a checkpoint
MEASURED_FROM = 1_000  # steps: runs on digits that are at least this long are measured while they train
NOT_MEASURED = ("the best checkpoint is known only where a run is measured while it trains, on single digits and for "
                "at least {:,} steps: give --keep last")
KEPT = ("last", "best")  # checkpoints whose weights may become the model
DECIDED: Any = None  # a default that `Run` replaces by what the recipe or the machine decides


@dataclass(frozen=True)
class Run:
    """What to train, how, on which data, and where to write it.

    Args:
        recipe_name: in RECIPES.
        name: of the model, None for the recipe's.
        config: the training, None for the recipe's, in bfloat16 only if the device computes it.
        device: where to train, None for the best one.
        out: the weights folder to write, None for "runs/NAME".
        shape: of the samples, which the images of a folder are converted to; None for the recipe's. `open` sets it.
        num_classes: of the data; `open` sets it.
        where: as in `open_data`, None for the recipe's own data.
        checkpoint_every: steps, None for a twentieth of the run; rounded down to a multiple of the history's interval.
        begun: what the checkpoint in `out` says about its run, and its step; None for a new run.
        init: a trained model whose weights the run starts from, or its name as in `ganlib.load`; `open` loads it.
        keep: "last" or "best": the weights that the model gets, those of the last step or, where the run is measured
            while it trains, those of the lowest FID.
        overwrite: whether a new run may replace what is in `out`.
        reading: how the pictures of a folder are read.
        group: the processes that train it. All of them train; only the first one writes files.

    Raises:
        ValueError: an argument is wrong.
    """

    recipe_name: str
    name: str = DECIDED
    config: TrainConfig = DECIDED
    device: str = DECIDED
    out: Path = DECIDED
    shape: tuple[int, ...] | None = None
    num_classes: int | None = None
    where: str | None = None
    checkpoint_every: int | None = None
    begun: dict[str, Any] | None = None
    init: str | Path | Model | None = None
    keep: str = "last"
    overwrite: bool = False
    reading: Reading = field(default_factory=Reading)
    group: Group = ALONE

    def __post_init__(self) -> None:
        require(self.recipe_name in RECIPES,
                f"a recipe must be one of {', '.join(RECIPES)}, not {quoted(self.recipe_name)}")
        name, device = self.name or self.recipe_name, str(check_device(self.device))
        train = self.recipe.train
        config = self.config or replace(train, bfloat16=train.bfloat16 and has_bfloat16(device))
        out = Path("runs") / name if self.out is None else Path(self.out)
        for given, value in {"name": name, "config": config, "device": device, "out": out}.items():
            object.__setattr__(self, given, value)
        require(NAME.fullmatch(name) is not None, f"a name must be of 1 to 96 letters, digits, dots, dashes and "
                                                  f"underscores, and begin with a letter or digit, not {name!r}")
        if self.checkpoint_every is not None:
            check_int(self.checkpoint_every, 1, 10**9, "checkpoint_every")
        require(self.keep in KEPT, f"keep must be one of {', '.join(KEPT)}, not {quoted(self.keep)}")
        require(self.keep == "last" or config.steps >= MEASURED_FROM, NOT_MEASURED.format(MEASURED_FROM))
        require(self.init is None or self.begun is None,
                "a run that is resumed has its weights already: leave the model out that it would start from")

    @classmethod
    def resumed(cls, recipe_name: str, out: Path, device: str | None = None, checkpoint_every: int | None = None,
                where: str | None = None, steps: int | None = None, keep: str | None = None) -> "Run":
        """The run of the checkpoint in `out`.

        Args:
            recipe_name, out, device, checkpoint_every, where: as in `Run`.
            steps: a new end, at which the schedule of learning rates and penalties ends too; None for the planned one.
            keep: as in `Run`, None for what the run began with.

        Raises:
            ValueError: there is no checkpoint, it is of another recipe, version or device, or it is at the new end or
                beyond.
        """
        path, device = Path(out) / checkpoint.STATE, str(check_device(device))
        saved = {**saved_run(path), "step": saved_step(path)}
        require(set(saved) >= IDENTITY, f"{path} is a checkpoint of another version of ganlib")
        require(saved["recipe"] == recipe_name, f"{path} is a checkpoint of {saved['recipe']}, not of {recipe_name}")
        try:
            config = TrainConfig.rebuild(saved["train"])
        except ValueError as error:
            raise ValueError(f"{path} is a checkpoint of another version of ganlib ({error})") from None
        require(saved["device"] == torch.device(device).type,
                f"the run in {out} was begun with --device {saved['device']}, and can only be resumed there")
        if steps not in (None, config.steps):
            config = replace(config, steps=steps)
            require(config.steps > saved["step"], f"the run in {out} has done {saved['step']:,} steps: --steps must be "
                                                  f"above that, not {config.steps:,}")
        return cls(recipe_name, saved["name"], config, device, out, tuple(saved["shape"]), saved["num_classes"],
                   where or saved["where"], checkpoint_every, saved, keep=keep or saved.get("keep", "last"),
                   reading=Reading.rebuild(saved.get("reading", {})))

    @property
    def recipe(self) -> Recipe:
        return RECIPES[self.recipe_name]

    @property
    def architecture(self) -> Architecture:
        """The recipe's networks, fitted to the data. Raises ValueError if they cannot be fitted."""
        return self.recipe.build(self.shape, self.num_classes)

    @property
    def state_path(self) -> Path:
        return self.out / checkpoint.STATE

    @property
    def best_path(self) -> Path:
        """The file of the run's best checkpoint, where it is measured while it trains."""
        return self.state_path.with_name("best.safetensors")

    @functools.cached_property
    def start(self) -> Start | None:
        """The trained weights that a new run starts from. Raises ValueError if they do not fit its networks."""
        if self.init is None:
            return None
        return Start.of(self.init if isinstance(self.init, Model) else hub.load(self.init, "cpu"), self.architecture)

    @property
    def origin(self) -> dict[str, Any]:
        """JSON-ready, only what applies: what the run `started_from`, and how its planned end was `extended`."""
        begun = self.begun or {}
        started, extended = begun.get("started_from"), [*begun.get("extended", [])]
        if self.start is not None:
            started = self.start.describe()
        if begun and begun["train"]["steps"] != self.config.steps:
            extended.append({"at": begun["step"], "from": begun["train"]["steps"], "to": self.config.steps})
        return {key: value for key, value in (("started_from", started), ("extended", extended)) if value}

    @property
    def picture_steps(self) -> list[int]:
        """The steps, in order, after which there is a picture: close together at first, when most happens."""
        return sorted({max(1, round(self.config.steps * (i / images.MOMENTS) ** 2))
                       for i in range(1, images.MOMENTS + 1)})

    @functools.cached_property
    def label(self) -> str:
        """The name by which trackers know the run; a resumed run keeps it."""
        return (self.begun or {}).get("tracked_as") or f"{self.out.resolve().name}-{time.strftime('%Y%m%d-%H%M%S')}"

    @property
    def checkpoint_interval(self) -> int:
        """In steps; a multiple of the history's interval, because a row of the history checks the losses."""
        every = history_interval(self.config)
        return max(every, (self.checkpoint_every or self.config.steps // 20) // every * every)

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is written after a step of the training."""
        return step == self.config.steps or step % self.checkpoint_interval == 0

    def open(self, download: bool = True,
             progress: Progress = lambda what, share: None) -> tuple["Run", Data]:
        """The run with the shape and classes of its data, and the data.

        Args:
            download: whether to download a dataset that is missing.
            progress: is called while a folder's pictures are read, with what begins and the share that is done.

        Raises:
            ValueError: the data are missing, or do not fit the networks or the run.
        """
        shape = self.shape or self.recipe.build().shape
        self._check_where()
        init = hub.load(self.init, "cpu") if isinstance(self.init, str | Path) else self.init
        reading = replace(self.reading, classes=bool(self.recipe.build().num_classes))
        data = open_data(self.recipe.data, self.where, shape=shape, download=download, reading=reading,
                         progress=progress)
        self._check_same(data)
        require(self.shape in (None, tuple(data.shape)), f"the samples of {data.name} are of shape "
                f"{tuple(data.shape)}: size and channels can be chosen only for a folder of images")
        run = replace(self, shape=tuple(data.shape), num_classes=data.num_classes, init=init, reading=reading)
        check_fit(run.architecture, data)
        run._check_keep(data)
        _ = run.start  # raises if it does not fit
        return run, data

    def _check_where(self) -> None:
        """Raises ValueError if the data are pictures for a recipe of points, or a dataset that is read in a way."""
        folder = self.where is not None and self.where not in DATASETS and not holds_sets(Path(self.where))
        pictures = folder and Path(str(self.where)).is_dir()
        require(not pictures or len(self.recipe.build().shape) == 3,
                f"{self.recipe_name} makes points, and the folder {self.where} holds pictures: give a dataset of "
                f"points, or take a recipe of images")
        given = replace(self.reading, classes=Reading.classes) != Reading()  # the recipe decides whether it has classes
        require(folder or not given, f"background and skip-broken are only for a folder of pictures, and not for "
                                     f"{self.where or self.recipe.data}: leave them out")

    def _check_same(self, data: Data) -> None:
        """Raises ValueError if the data are not those that the run was begun on; their folder may have moved."""
        if self.begun is None:
            return
        begun, now = self.begun["data"], _content(data)
        before = self.begun.get("content")  # older checkpoints have none
        if before == now:
            return
        require(begun == data.description(), f"the run in {self.out} was begun on {begun}, not on {data.description()}")
        changed = " and ".join(name.replace("_", " ") for name in now if before and before.get(name) != now[name])
        require(not changed, f"the {changed} of {data.name} are not those that the run in {self.out} was begun on: "
                             f"give the same data by --data, or begin a new run in another --out")

    def _check_keep(self, data: Data) -> None:
        """Raises ValueError if there will be no best checkpoint to keep."""
        if self.keep == "best":
            require(self._measured_by(data) is not None, NOT_MEASURED.format(MEASURED_FROM))
            ended = self.begun is not None and self.begun["step"] >= self.config.steps
            require(not ended or best.read(self.best_path) is not None,
                    f"the run in {self.out} has ended and did not keep its best checkpoint: give --keep last")

    def preview(self, progress: Progress = lambda what, share: None) -> tuple["Run", str, Data | None]:
        """The run, its data in words, and the data if they were opened. Raises as `open` does.

        Nothing is downloaded but the model that `init` names, if it is on the Hub. The recipe's own image set is not
        opened, because its shape and classes are those of the recipe's networks.
        """
        self._check_where()
        name = self.where or self.recipe.data
        folder = getattr(DATASETS.get(name), "folder", None)
        if name == self.recipe.data and self.shape is None and folder and (default_root() / folder).is_dir():
            networks = self.recipe.build()
            run = replace(self, shape=networks.shape, num_classes=networks.num_classes)
            _ = run.start  # raises if it does not fit
            return run, f"{name} in {default_root()}", None
        try:
            run, data = self.open(download=False, progress=progress)
            return run, data.description(), data
        except NotDownloaded:
            return self, f"{name}, to be downloaded", None

    def description(self, data: str) -> dict[str, Any]:
        """The whole configuration and the sizes, JSON-ready; `data` in words. Networks need a known shape."""
        networks: dict[str, Any] = {}
        sizes = {"samples_seen": self.config.steps * self.config.batch_size,
                 "checkpoint_every_steps": self.checkpoint_interval}
        if self.shape is not None:
            networks["architecture"] = describe(self.architecture)
            built = (*build(self.architecture, None), build_encoder(self.architecture, None))
            for which, network in zip(("generator", "discriminator", "encoder"), built):
                if network is not None:
                    sizes[f"{which}_parameters"] = count_parameters(network)
        return {"name": self.name, "recipe": self.recipe_name, "out": str(self.out), "data": data,
                "device": self.device, **networks, "train": asdict(self.config), "sizes": sizes, "keep": self.keep,
                **(self.origin if self.shape is not None else {})}

    def go(self, data: Data) -> None:
        """Trains on the data that `open` returns, and writes the weights folder. Raises as `train` does."""
        with threads(self.recipe.threads, self.device):
            for state in self.train(data):
                pass
            if self.group.is_first:
                self.finish(data, state)

    def train(self, data: Data) -> Iterator[State]:
        """Yields the state before the first step and after each step. Closing the generator saves a checkpoint.

        Raises:
            NonFiniteLoss: a loss is not finite; the message names the last checkpoint.
            LostProcess: another process of the group has ended; the message names the last checkpoint.
            ValueError: the checkpoint does not fit, another process trains in `out`, or a new run would replace what
                is there.
        """
        if self.group.is_first:
            self._check_free()
        with self.alone():
            yield from self._train(data)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other runs from training in `out`. May be nested. Raises ValueError if one trains there."""
        if not self.group.is_first:  # those of a group write nothing
            yield
            return
        from filelock import Timeout

        self.state_path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise ValueError(f"another process trains in {self.out}: wait for its end or give another --out") from None
        try:
            yield
        finally:
            self._lock.release()

    @functools.cached_property
    def _lock(self) -> "FileLock":
        """The system lifts it when the process ends, however it ends."""
        from filelock import FileLock  # takes 50 ms

        # a generator may be closed in another thread
        return FileLock(self.state_path.with_name("lock"), timeout=0, thread_local=False)

    def _train(self, data: Data) -> Iterator[State]:
        """`train` without the lock. What may fail is done before anything of an earlier run is removed."""
        report.check_picture(data.shape)
        state, identity = self._first_state(), self._identity(data)
        self.group.check_same(json.dumps(identity["content"]).encode(), f"the {data.name} that a process has is not "
                              f"that of the others: give all machines the same data")
        if not self.group.is_first:
            yield from self._follow(state, data.to(self.device))
            return
        measure = self._measurer(data)
        data, steps = data.to(self.device), self.picture_steps
        self._check_room(state, identity)
        self._make_room()
        keeper, saved = best.Keeper(self.best_path, state.step), state.step
        if state.step == 0:
            self._keep_picture(state, data)
        try:
            yield state
            for step in train(self.architecture, data, self.config, self.device, state):
                if step.number in steps:
                    self._keep_picture(state, data)
                    if measure and _is_finite(state):
                        self._measure(state, data, measure, keeper)
                if self.saves(step.number):
                    self._check_random_state(state)
                    self._save(state, identity, keeper)
                    saved = step.number
                yield state
        except GeneratorExit:
            if state.step > saved:
                self._save(state, identity, keeper)
            raise
        except (NonFiniteLoss, LostProcess) as error:
            kept = f"the checkpoint of step {saved:,} is kept" if saved else "there is no checkpoint yet"
            raise type(error)(f"{error}; {kept}") from None

    def _follow(self, state: State, data: Data) -> Iterator[State]:
        """`_train` in another process than the first of a group: it writes and measures nothing."""
        yield state
        for step in train(self.architecture, data, self.config, self.device, state):
            if self.saves(step.number):
                self._check_random_state(state)
            yield state

    def _check_random_state(self, state: State) -> None:
        """Raises ValueError if the processes of a group no longer draw the same random numbers."""
        self.group.check_same(state.rng.get_state().numpy().tobytes(), "the processes no longer draw the same random "
                              "numbers: networks, data and augmentations must draw by ganlib.shares.drawn")

    def _first_state(self) -> State:
        """The state of the checkpoint, or that of a new run."""
        state = State.fresh(self.architecture, self.config, self.device, self.group)
        if self.group.is_first:
            self._check_free()  # again: another process may have ended before this one was alone
        if self.begun:
            with self.group.copied(self.state_path) as path:
                state.load(path)
        elif self.start is not None:
            self.start.load_into(state)
        return state

    def _check_free(self) -> None:
        if not self.begun:
            check_free(self.out, self.overwrite)

    def _check_room(self, state: State, identity: dict[str, Any]) -> None:
        """Raises OSError if there is no room for two checkpoints, and an earlier model would be removed for them.

        Two, because the first one stays until the second is written.
        """
        if self.begun or not (self.out / checkpoint.CONFIG).exists():
            return
        trials = [self.state_path.with_name(f".trial-{number}.partial") for number in (1, 2)]
        try:
            for trial in trials:
                state.save(trial, identity)
                with trial.open("ab") as file:
                    file.write(bytes(state.to_come))
        except OSError as error:
            error.filename, error.filename2 = str(self.state_path), None
            raise
        finally:
            for trial in trials:
                trial.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Makes the run's folders. A new run removes an earlier model, and keeps the checkpoint under another name."""
        pictures = [self.state_path.with_name(folder) for folder in ("samples", "growth")]
        for folder in pictures:
            folder.mkdir(parents=True, exist_ok=True)
        tidy(self.out, self.state_path.parent, *pictures)
        if self.begun:
            return
        (self.out / checkpoint.CONFIG).unlink(missing_ok=True)  # of an earlier model, which loads no longer
        report.remove(self.out)
        for path in (self.state_path, self.best_path):
            if path.exists():
                path.replace(path.with_suffix(".old"))
        for old in self.out.glob("training/*/step-*.png"):
            old.unlink()

    def _save(self, state: State, identity: dict[str, Any], keeper: best.Keeper) -> None:
        with keeper.saved():
            state.save(self.state_path, identity)

    def _identity(self, data: Data) -> dict[str, Any]:
        """What the checkpoint says about the run."""
        where = self.where if self.where is None or self.where in DATASETS else str(Path(self.where).resolve())
        return {"recipe": self.recipe_name, "name": self.name, "shape": list(data.shape), "where": where,
                "num_classes": self.num_classes, "train": asdict(self.config), "data": data.description(),
                "content": _content(data),
                "device": torch.device(self.device).type, "tracked_as": self.label, "keep": self.keep,
                "reading": asdict(self.reading), **self.origin}

    def finish(self, data: Data, state: State, progress: Progress = lambda what, share: None) -> str:
        """Calibrates and measures the model of the last state or the best checkpoint, and writes the weights folder.

        Returns a sentence on a card that somebody has edited, or "".

        Raises ValueError if another process trains in `out`, or the best checkpoint is damaged.
        """
        with self.alone():
            model = self._finished(data, state)
            return report.finish(model, data, self.config.loss, self.out, self._growth_rows(), progress)

    def _finished(self, data: Data, state: State) -> Model:
        """The model of the last state or the best checkpoint, as `keep` says."""
        model, lowest = self._model(state, data), best.read(self.best_path)
        if lowest is not None:  # the run was measured
            shipped = lowest.step if self.keep == "best" else state.step
            if self.keep == "best":
                generator, discriminator, encoder = best.load(self.best_path, state)
                model = Model(self.name, self.architecture, generator, discriminator, encoder=encoder,
                              config=model.config)
            model.config["recipe"] |= {"kept": self.keep, "kept_step": shipped}
            model.history = sorted([*state.history, {"step": shipped, "shipped": 1}], key=lambda row: row["step"])
        return model

    def _growth_rows(self) -> list[Path]:
        """Of the pictures of fixed seeds, the nearest to each of `picture_steps`: an extended run has more of them."""
        rows = {int(path.stem.removeprefix("step-")): path for path in self.out.glob("training/growth/step-*.png")}
        nearest = {min(rows, key=lambda step: abs(step - wanted)) for wanted in (0, *self.picture_steps) if rows}
        return [rows[step] for step in sorted(nearest)]

    def write_sheet(self, data: Data) -> Path | None:
        """Writes a contact sheet of what the networks see of a folder, data.png; None for other data."""
        if not (data.folder and isinstance(data, ImageData)):
            return None
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / "data.png"
        checkpoint.write_atomically(path, report.data_sheet(data, self.config.augment))
        return path

    def picture(self, step: int) -> Path:
        """The path of the picture of fixed seeds at a step; there are pictures of about 40 steps."""
        return self.out / "training" / "samples" / f"step-{step:07d}.png"

    def _measured_by(self, data: Data) -> tuple[DigitClassifier, ImageData] | None:
        """The classifier and the held-out images that measure the run while it trains, None if it is not measured."""
        if self.config.steps < MEASURED_FROM:
            return None
        network, held_out = checkpoint.classifier_for(data, self.device), data.held_out()
        if network is None or not isinstance(held_out, ImageData) or data.shape != network.shape:
            return None
        return network, held_out

    def _measurer(self, data: Any) -> Callable[[Model], dict[str, Any]] | None:
        """A function that measures a model of digits during the training, None for other data."""
        measured_by = self._measured_by(data)
        if measured_by is None:
            return None
        network, held_out = measured_by
        reference = network.examine(scale(held_out.images))
        return lambda model: measure_briefly(model, data, reference, network)

    def _measure(self, state: State, data: Data, measure: Callable[[Model], dict[str, Any]],
                 keeper: best.Keeper) -> None:
        """Adds a row of measures to the history, and keeps the weights if their FID is the lowest so far."""
        measures = measure(self._model(state, data))
        state.history.append({"step": state.step, **measures})
        keeper.offer(state, self.architecture, data, measures["fid_digit_classifier"])

    def _keep_picture(self, state: State, data: Data) -> None:
        model, path = self._model(state, data), self.picture(state.step)
        checkpoint.write_atomically(path, report.picture(model, data))
        if len(model.shape) == 3:
            checkpoint.write_atomically(path.parents[1] / "growth" / path.name, report.growth_row(model))

    def _model(self, state: State, data: Data) -> Model:
        config: dict[str, Any] = {"recipe": {"name": self.recipe_name, "data": data.name,
                                             **({"data_is_folder": True, "reading": asdict(self.reading)}
                                                if data.folder else {}),
                                             **({"images": len(data)} if isinstance(data, ImageData) else {}),
                                             "device": self.device, "train": asdict(self.config), **self.origin}}
        if self.architecture.num_classes and data.class_names:
            config["class_names"] = list(data.class_names)
        return Model(self.name, self.architecture, state.average, state.discriminator, encoder=state.average_encoder,
                     config=config, history=state.history)


def occupied(out: Path) -> str | None:
    """A sentence if a folder holds a model or the checkpoint of a run, which a new run would replace; else None."""
    model, state = (out / checkpoint.CONFIG).exists(), out / checkpoint.STATE
    if not model and not state.exists():
        return None
    what = [*["a model"] * model]
    with suppress(ValueError, KeyError, TypeError):
        what.append(f"a run at step {saved_step(state):,} of {saved_run(state)['train']['steps']:,}")
    ways = ["go on by --resume, also beyond its end by --steps"] * state.exists() + [
        "choose another --name or --out", "replace it by --overwrite"]
    return f"{out} holds {' and '.join(what) or 'the checkpoint of a run'}: {', '.join(ways[:-1])}, or {ways[-1]}"


def check_free(out: Path, overwrite: bool) -> None:
    """Raises ValueError if a new run would replace what is in a folder, and may not."""
    if not overwrite and (there := occupied(out)):
        raise ValueError(there)


def _content(data: Data) -> dict[str, Any]:
    """What distinguishes data from others of the same name and number, JSON-ready; of images without their name."""
    if not isinstance(data, ImageData):
        content = data.fingerprint()
    else:
        labels = None if data.labels is None else hashlib.sha256(data.labels.cpu().numpy().tobytes()).hexdigest()[:16]
        content = {"images": data.fingerprint()["images"], "labels": labels, "class_names": data.class_names}
    return dict(json.loads(json.dumps(content)))  # as it comes back from a checkpoint


def _is_finite(state: State) -> bool:
    """Whether the weights can be measured."""
    networks = filter(None, (state.average, state.discriminator, state.average_encoder))
    return all(bool(value.isfinite().all()) for network in networks for value in network.parameters())
