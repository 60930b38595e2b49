"""One training run on disk: progress, pictures of fixed seeds, checkpoints, and the weights folder at the end."""

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from ganlib import checkpoint, images, report
from ganlib.architectures import Architecture, build, describe
from ganlib.checks import whole
from ganlib.data import DATASETS, Data, open_data, scale
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
from train.track import LOCAL, Pace, Tracked, Tracker

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
IDENTITY = {"recipe", "name", "shape", "num_classes", "where", "device", "data"}  # beside "train", of a checkpoint
MEASURED_FROM = 1_000  # steps: a run of digits that is as long is measured as it goes
BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16", "sve_bf16")  # of processors, by torch's names


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
            whole(self.checkpoint_every, 1, 10**9, "--checkpoint-every")

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
            raise ValueError(f"the samples of {data.name} are of shape {tuple(data.shape)}: --size and --channels are for "
                             f"a folder of pictures of your own")
        run = replace(self, shape=tuple(data.shape), num_classes=data.num_classes)
        check_fit(run.architecture, data)
        return run, data

    def description(self, data: Data | None) -> str:
        """The whole configuration and the sizes, as JSON; data that is not at hand is None."""
        generator, discriminator = build(self.architecture, None)
        wanted = self.where if self.where in DATASETS else self.recipe.data
        return json.dumps({
            "name": self.name,
            "recipe": self.recipe_name,
            "out": str(self.out),
            "data": data.description() if data else f"{wanted}, to be downloaded",
            "device": self.device,
            "architecture": describe(self.architecture),
            "train": asdict(self.config),
            "sizes": {
                "generator_parameters": count_parameters(generator),
                "discriminator_parameters": 0 if discriminator is None else count_parameters(discriminator),
                "samples_seen": self.config.steps * self.config.batch_size,
                "checkpoint_every_steps": self.checkpoint_interval,
            },
        }, indent=2)

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
        with Tracker(self.track, self._tracked(data, state)) as tracker:
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

    def _tracked(self, data: Data, state: State) -> Tracked:
        """What a tracker is told; a run that is resumed keeps the name that it began with."""
        name = (self.begun or {}).get("tracked_as") or f"{self.out.resolve().name}-{time.strftime('%Y%m%d-%H%M%S')}"
        config = {"library_version": __version__, **json.loads(self.description(data))} if self.track else {}
        config.pop("out", None)  # a path of this machine, which a Space would show to all
        return Tracked(self.name, name, config, self.out / "training" / "tensorboard", state.step,
                       None if self.track == LOCAL else self.track)

    def _steps(self, data: Data, state: State, tracker: Tracker) -> Iterator[Step]:
        """Train under a progress bar, keeping pictures as it goes."""
        size, moments = self.config.batch_size, _moments(self.config.steps)
        measure = self._measurer(data) if self.config.steps >= MEASURED_FROM else None
        if state.step == 0:
            self._keep_picture(state, data, tracker)
        unit, pace = "img" if self._makes_images else "pt", Pace(state.step, size)
        pace_name = "images_per_second" if self._makes_images else "points_per_second"
        with tqdm(total=self.config.steps * size, initial=state.step * size, desc=self.name, unit=unit, unit_scale=True,
                  smoothing=0.05, dynamic_ncols=True) as bar:
            for step in train(self.architecture, data, self.config, self.device, state):
                if state.history and state.history[-1]["step"] == step.number:
                    row = state.history[-1]
                    bar.set_postfix_str(f"D {row['discriminator_loss']:.3f} G {row['generator_loss']:.3f}", False)
                    tracker.log({**row, pace_name: pace.at(step.number)}, step.number)
                if step.number in moments:
                    with pace.paused():
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


def pick_device(name: str) -> str:
    """The device of that name, "auto" for the best there is. Raises ValueError where this machine has none such."""
    if name == "auto":
        return checkpoint.best_device()
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    devices = [kind for kind in there if there[kind]] + [f"cuda:{i}" for i in range(there["cuda"])]
    if name not in devices:
        here = ", ".join(kind for kind, count in there.items() if count)
        raise ValueError(f"--device must be auto or what this machine has ({here}), not {name}")
    return name


def pick_precision(asked: str, wanted: bool, device: str) -> bool:
    """Whether to train in bfloat16: as --precision says, else where the recipe wants it and the device has a unit for it.
    """
    return {"float32": False, "bfloat16": True}.get(asked, wanted and has_bfloat16(device))


def has_bfloat16(device: str) -> bool:
    """Whether a device computes bfloat16 by itself; others emulate it, which is slower than float32."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return True
    if hasattr(torch.cpu, "get_capabilities"):  # torch 2.12 and later
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(unit) for unit in BFLOAT16_UNITS)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def in_a_sentence(program: str, work: Callable[[], int], when_stopped: str = "stopped") -> int:
    """Do a command's work and return its exit code; what a user can mend is said in one sentence."""
    try:
        return work()
    except (ValueError, NonFiniteLoss, checkpoint.WeightsError) as error:
        print(f"{program}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"{program}: {when_stopped}", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"{program}: {error.strerror}{f': {error.filename}' if error.filename else ''}", file=sys.stderr)
    except RuntimeError as error:
        said = ("not enough memory", "can't allocate memory")  # a CPU's, on Windows and elsewhere
        if not isinstance(error, torch.OutOfMemoryError) and not any(words in str(error) for words in said):
            raise
        print(f"{program}: the device has not enough memory for this; give a smaller --batch-size or another --device",
              file=sys.stderr)
    return 1


@contextmanager
def threads(count: int | None, device: str) -> Iterator[None]:
    """Run with so many of the CPU's threads, where it is the CPU that runs; None for all."""
    before = torch.get_num_threads()
    if count and device == "cpu":
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
