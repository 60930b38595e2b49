"""A training run on disk: checkpoints, pictures of fixed seeds, and the finished weights folder.

    run, data = Run("toy-ring").open()
    run.go(data)                        # writes the weights folder runs/toy-ring

It prints nothing. To show the progress or to stop, iterate over `Run.train` instead, and call `Run.finish` at the end.
"""

import functools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ganlib import checkpoint, images, report
from ganlib.architectures import Architecture, build, describe
from ganlib.checks import check_int, quoted, require
from ganlib.data import DATASETS, Data, NotDownloaded, default_root, open_data, scale
from ganlib.evaluation import Progress, measure_briefly
from ganlib.model import Model
from ganlib.networks import count_parameters
from ganlib.recipes import RECIPES, Recipe
from ganlib.training import NonFiniteLoss, State, TrainConfig, check_fit, history_interval, saved_run, train

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
IDENTITY = {"recipe", "name", "shape", "num_classes", "where", "device", "data", "train"}  # of a run in a checkpoint
MEASURED_FROM = 1_000  # steps: runs on digits that are at least this long are measured while they train
BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16", "sve_bf16")  # of processors, by torch's names


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
        begun: what the checkpoint in `out` says about its run, None for a new run.

    Raises:
        ValueError: an argument is wrong.
    """

    recipe_name: str
    name: str = None  # type: ignore[assignment]
    config: TrainConfig = None  # type: ignore[assignment]
    device: str = None  # type: ignore[assignment]
    out: Path = None  # type: ignore[assignment]
    shape: tuple[int, ...] | None = None
    num_classes: int | None = None
    where: str | None = None
    checkpoint_every: int | None = None
    begun: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        require(self.recipe_name in RECIPES,
                f"a recipe must be one of {', '.join(RECIPES)}, not {quoted(self.recipe_name)}")
        name, device = self.name or self.recipe_name, self.device or checkpoint.best_device()
        train = self.recipe.train
        config = self.config or replace(train, bfloat16=train.bfloat16 and has_bfloat16(device))
        out = Path("runs") / name if self.out is None else Path(self.out)
        for field, value in {"name": name, "config": config, "device": device, "out": out}.items():
            object.__setattr__(self, field, value)
        require(NAME.fullmatch(name) is not None, f"a name must be of 1 to 96 letters, digits, dots, dashes and "
                                                  f"underscores, and begin with a letter or digit, not {name!r}")
        if self.checkpoint_every is not None:
            check_int(self.checkpoint_every, 1, 10**9, "checkpoint_every")

    @classmethod
    def resumed(cls, recipe_name: str, out: Path, device: str | None = None, checkpoint_every: int | None = None,
                where: str | None = None) -> "Run":
        """The run of the checkpoint in `out`.

        Raises:
            ValueError: there is no checkpoint, or it is of another recipe, version or device.
        """
        path, device = out / "training" / "state.safetensors", device or checkpoint.best_device()
        saved = saved_run(path)
        require(set(saved) >= IDENTITY, f"{path} is a checkpoint of another version of ganlib")
        require(saved["recipe"] == recipe_name, f"{path} is a checkpoint of {saved['recipe']}, not of {recipe_name}")
        try:
            config = TrainConfig.rebuild(saved["train"])
        except ValueError as error:
            raise ValueError(f"{path} is a checkpoint of another version of ganlib ({error})") from None
        require(saved["device"] == torch.device(device).type,
                f"the run in {out} was begun with --device {saved['device']}, and can only be resumed there")
        return cls(recipe_name, saved["name"], config, device, out, tuple(saved["shape"]), saved["num_classes"],
                   where or saved["where"], checkpoint_every, saved)

    @property
    def recipe(self) -> Recipe:
        return RECIPES[self.recipe_name]

    @property
    def architecture(self) -> Architecture:
        """The recipe's networks, fitted to the data. Raises ValueError if they cannot be fitted."""
        return self.recipe.build(self.shape, self.num_classes)

    @property
    def state_path(self) -> Path:
        return self.out / "training" / "state.safetensors"

    @functools.cached_property
    def label(self) -> str:
        """The name by which trackers know the run; a resumed run keeps it."""
        return (self.begun or {}).get("tracked_as") or f"{self.out.resolve().name}-{time.strftime('%Y%m%d-%H%M%S')}"

    @property
    def checkpoint_interval(self) -> int:
        """In steps; a multiple of the history's interval, because a row of the history checks the losses."""
        every = history_interval(self.config)
        return max(every, (self.checkpoint_every or self.config.steps // 20) // every * every)

    def open(self, download: bool = True) -> tuple["Run", Data]:
        """The run with the shape and classes of its data, and the data.

        Raises:
            ValueError: the data are missing, or do not fit the networks or the run.
        """
        shape = self.shape or self.recipe.build().shape
        data = open_data(self.recipe.data, self.where, shape=shape, download=download)
        if self.begun and self.begun["data"] != data.description():
            raise ValueError(f"the run in {self.out} was begun on {self.begun['data']}, not on {data.description()}")
        require(self.shape in (None, tuple(data.shape)), f"the samples of {data.name} are of shape "
                f"{tuple(data.shape)}: size and channels can be chosen only for a folder of images")
        run = replace(self, shape=tuple(data.shape), num_classes=data.num_classes)
        check_fit(run.architecture, data)
        return run, data

    def preview(self) -> tuple["Run", str]:
        """The run and its data in words, without a download. Raises ValueError as `open` does.

        The recipe's own image set is not read, because its shape and classes are those of the recipe's networks.
        """
        name = self.where or self.recipe.data
        folder = getattr(DATASETS.get(name), "folder", None)
        if name == self.recipe.data and self.shape is None and folder and (default_root() / folder).is_dir():
            networks = self.recipe.build()
            return replace(self, shape=networks.shape, num_classes=networks.num_classes), f"{name} in {default_root()}"
        try:
            run, data = self.open(download=False)
            return run, data.description()
        except NotDownloaded:
            return self, f"{name}, to be downloaded"

    def description(self, data: str) -> dict[str, Any]:
        """The whole configuration and the sizes, JSON-ready; `data` in words. Networks need a known shape."""
        networks: dict[str, Any] = {}
        sizes = {"samples_seen": self.config.steps * self.config.batch_size,
                 "checkpoint_every_steps": self.checkpoint_interval}
        if self.shape is not None:
            networks["architecture"] = describe(self.architecture)
            for which, network in zip(("generator", "discriminator"), build(self.architecture, None)):
                sizes[f"{which}_parameters"] = 0 if network is None else count_parameters(network)
        return {"name": self.name, "recipe": self.recipe_name, "out": str(self.out), "data": data,
                "device": self.device, **networks, "train": asdict(self.config), "sizes": sizes}

    def go(self, data: Data) -> None:
        """Trains on the data that `open` returns, and writes the weights folder. Raises as `train` does."""
        with threads(self.recipe.threads, self.device):
            for state in self.train(data):
                pass
            self.finish(data, state)

    def train(self, data: Data) -> Iterator[State]:
        """Yields the state before the first step and after each step. Closing the generator saves a checkpoint.

        Raises:
            NonFiniteLoss: a loss is not finite; the message names the last checkpoint.
            ValueError: the checkpoint does not fit.
        """
        state = State.fresh(self.architecture, self.config, self.device)
        if self.begun:
            state.load(self.state_path)
        else:
            if self.state_path.exists():  # of an earlier run: kept under another name
                self.state_path.replace(self.state_path.with_suffix(".old"))
            for old in self.out.glob("training/*/step-*.png"):
                old.unlink()
        for folder in ("samples", "growth"):
            self.state_path.with_name(folder).mkdir(parents=True, exist_ok=True)
        where = self.where if self.where is None or self.where in DATASETS else str(Path(self.where).resolve())
        identity = {"recipe": self.recipe_name, "name": self.name, "shape": list(data.shape), "where": where,
                    "num_classes": self.num_classes, "train": asdict(self.config), "data": data.description(),
                    "device": torch.device(self.device).type, "tracked_as": self.label}
        # of the fixed seeds: close together at first, when most happens
        moments = {max(1, round(self.config.steps * (i / images.MOMENTS) ** 2)) for i in range(1, images.MOMENTS + 1)}
        measure = self._measurer(data) if self.config.steps >= MEASURED_FROM else None
        if state.step == 0:
            self._keep_picture(state, data)
        saved = state.step
        try:
            yield state
            for step in train(self.architecture, data, self.config, self.device, state):
                if step.number in moments:
                    self._keep_picture(state, data)
                    if measure and all(value.isfinite().all() for value in state.average.parameters()):
                        state.history.append({"step": step.number, **measure(self._model(state, data))})
                if step.number == self.config.steps or step.number % self.checkpoint_interval == 0:
                    state.save(self.state_path, identity)
                    saved = step.number
                yield state
        except GeneratorExit:
            if state.step > saved:
                state.save(self.state_path, identity)
            raise
        except NonFiniteLoss as error:
            kept = f"the checkpoint of step {saved:,} is kept" if saved else "there is no checkpoint yet"
            raise NonFiniteLoss(f"{error}; {kept}") from None

    def finish(self, data: Data, state: State, progress: Progress = lambda what, share: None) -> None:
        """Calibrates and measures the model of the last state, and writes the weights folder."""
        report.finish(self._model(state, data), data, self.config.loss, self.out,
                      sorted(self.out.glob("training/growth/step-*.png")), progress)

    def picture(self, step: int) -> Path:
        """The path of the picture of fixed seeds at a step; there are pictures of about 40 steps."""
        return self.out / "training" / "samples" / f"step-{step:07d}.png"

    def _measurer(self, data: Any) -> Callable[[Model], dict[str, Any]] | None:
        """A function that measures a model of digits during the training, None for other data."""
        network, held_out = checkpoint.classifier_for(data, self.device), data.held_out()
        if network is None or held_out is None or data.shape != network.shape:
            return None
        reference = network.examine(scale(held_out.images))
        return lambda model: measure_briefly(model, data, reference, network)

    def _keep_picture(self, state: State, data: Data) -> None:
        model, path = self._model(state, data), self.picture(state.step)
        checkpoint.write_atomically(path, report.picture(model, data))
        if len(model.shape) == 3:
            checkpoint.write_atomically(path.parents[1] / "growth" / path.name, report.growth_row(model))

    def _model(self, state: State, data: Data) -> Model:
        config: dict[str, Any] = {"recipe": {"name": self.recipe_name, "data": data.name,
                                             **({"data_is_folder": True} if data.folder else {}),
                                             "device": self.device, "train": asdict(self.config)}}
        if self.architecture.num_classes and data.class_names:
            config["class_names"] = list(data.class_names)
        return Model(self.name, self.architecture, state.average, state.discriminator, config=config,
                     history=state.history)


def has_bfloat16(device: str) -> bool:
    """Whether a device computes bfloat16 itself; others emulate it, which is slower than float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return True
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return any(map(torch.cpu.get_capabilities().get, BFLOAT16_UNITS))


@contextmanager
def threads(count: int | None, device: str) -> Iterator[None]:
    """Limits the number of CPU threads if the device is the CPU; None for no limit."""
    before = torch.get_num_threads()
    if count and device == "cpu":
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
