"""Training a GAN: its configuration, the two steps, the averaged generator, and the loop as a Python generator.

The loop is the same for all networks, losses and data, and prints and draws nothing. Trainings in several threads share
nothing, and change no setting of the process.
"""

import copy
import json
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ganlib.architectures import Architecture, build
from ganlib.augmentation import augment, check_names
from ganlib.checks import check_fields, check_float, check_int, quoted, require
from ganlib.data import Data
from ganlib.devices import check_device
from ganlib.files import replacing
from ganlib.losses import LOSSES, PENALTIES, PLACES, Loss
from ganlib.networks import Dropout
from ganlib.sampling import MAX_SEED

MAX_COUNT = 10**9  # steps, or samples a step
HISTORY_ROWS = 400  # about as many rows has the history of every run
STATISTICS, STATISTICS_BATCH = 8_192, 128  # samples that batch norm's statistics are computed from at the end
NETWORKS = ("generator", "discriminator", "average")
OPTIMIZERS = ("generator_optimizer", "discriminator_optimizer")


class NonFiniteLoss(ArithmeticError):
    """A loss became infinite or not a number; the run cannot continue."""


@dataclass(frozen=True)
class TrainConfig:
    """The hyperparameters of one run.

    Args:
        steps: of the generator.
        batch_size: real samples, and as many fakes, a step.
        loss: a name in `ganlib.LOSSES`.
        n_critic: steps of the discriminator for each step of the generator.
        generator_lr, discriminator_lr, betas: Adam's learning rates and decay rates.
        final_lr: the share of both learning rates that is left at the last step; they fall linearly.
        penalties: γ of penalties by their names in `ganlib.PENALTIES`, such as {"r1": 1.0, "r2": 1.0}.
        final_penalty: the share of every γ that is left at the last step; they fall geometrically.
        ema: the highest decay a step of the generator's average; it starts lower, at (1 + step)/(10 + step).
        bfloat16: run the networks under bfloat16 autocast.
        seed: of the initial weights and of all random numbers.
        augment: names in `ganlib.augmentation.AUGMENTATIONS`: how images change before the discriminator sees them.
    """

    steps: int
    batch_size: int
    loss: str = "non-saturating"
    n_critic: int = 1
    generator_lr: float = 2e-4
    discriminator_lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    final_lr: float = 1.0
    penalties: dict[str, float] = field(default_factory=dict)
    final_penalty: float = 1.0
    ema: float = 0.999
    bfloat16: bool = False
    seed: int = 0
    augment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(isinstance(self.loss, str) and self.loss in LOSSES,
                f"loss must be one of {', '.join(LOSSES)}, not {quoted(self.loss)}")
        require(isinstance(self.betas, tuple | list) and len(self.betas) == 2,
                f"betas must be two numbers, not {quoted(self.betas)}")
        require(isinstance(self.penalties, dict) and all(name in PENALTIES for name in self.penalties),
                f"penalties must be numbers by the names {', '.join(PENALTIES)}, not {quoted(self.penalties)}")
        checked: dict[str, Any] = {"seed": check_int(self.seed, 0, MAX_SEED, "seed"),
                                   "augment": check_names(self.augment)}
        for name in ("steps", "batch_size", "n_critic"):
            checked[name] = check_int(getattr(self, name), 1, MAX_COUNT, name)
        for name, high, above in (("generator_lr", math.inf, True), ("discriminator_lr", math.inf, True),
                                  ("final_penalty", 1, True), ("final_lr", 1, False), ("ema", 1, False)):
            checked[name] = check_float(getattr(self, name), 0, high, name, above)
        checked["betas"] = tuple(check_float(beta, 0, 1 - 1e-9, "each of betas") for beta in self.betas)
        checked["penalties"] = {name: check_float(gamma, 0, math.inf, f"the penalty {name}")
                                for name, gamma in self.penalties.items()}
        vars(self).update(checked)  # numbers of NumPy and torch became Python's

    @classmethod
    def rebuild(cls, values: dict[str, Any]) -> "TrainConfig":
        """The config that `dataclasses.asdict` made these values of. A field that was added later has its default.

        Raises ValueError if a field is unknown, missing or wrong.
        """
        require(isinstance(values, dict), f"a training must be a table of fields, not {quoted(values)}")
        check_fields(values, cls, "a training")
        return cls(**values)


def split_seed(seed: int) -> tuple[int, int]:
    """The seeds of a run's initial weights and of its noise: two independent streams."""
    weights, noise = numpy.random.SeedSequence(seed).generate_state(2, numpy.uint64)
    return int(weights) >> 1, int(noise) >> 1


@dataclass
class State:
    """All of a run at one moment: a run that is saved and loaded continues as if it had not stopped."""

    config: TrainConfig
    generator: nn.Module
    discriminator: nn.Module
    average: nn.Module  # the generator with averaged weights, in eval mode
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    rng: torch.Generator  # draws all random numbers of the run, on its device
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    window: list[Tensor] = field(default_factory=list)  # the losses since the last row of the history

    @classmethod
    def fresh(cls, architecture: Architecture, config: TrainConfig, device: torch.device | str = "cpu") -> "State":
        """A run at step 0: initial weights are drawn on the CPU from the config's seed, then moved to the device.

        Raises ValueError if the architecture has no discriminator, or cannot be trained with augmentation, or if this
        machine does not have the device.
        """
        device = check_device(device)
        weights_seed, noise_seed = split_seed(config.seed)
        with torch.inference_mode(False), torch.enable_grad():
            generator, discriminator = build(architecture, torch.Generator().manual_seed(weights_seed))
            if discriminator is None:
                raise ValueError(f"{architecture.kind} has no discriminator to train against")
            check_augment(architecture, config)
            rng = torch.Generator(device).manual_seed(noise_seed)
            for network in (generator, discriminator):
                network.to(device).to(memory_format=torch.channels_last)  # makes convolutions faster on a CPU
                for module in network.modules():
                    if isinstance(module, Dropout):
                        module.rng = rng
            average = copy.deepcopy(generator).eval().requires_grad_(False)
            generator_optimizer, discriminator_optimizer = (
                torch.optim.Adam(network.parameters(), lr=lr, betas=config.betas, fused=True)
                for network, lr in ((generator, config.generator_lr), (discriminator, config.discriminator_lr)))
            return cls(config, generator, discriminator, average, generator_optimizer, discriminator_optimizer, rng)

    def _networks(self) -> nn.ModuleDict:
        return nn.ModuleDict({name: getattr(self, name) for name in NETWORKS})

    def save(self, path: str | Path, run: dict[str, Any]) -> None:
        """Write all of it to one safetensors file, whole or not at all; `run`, JSON-ready, identifies the run.

        Raises:
            NonFiniteLoss: a network holds a number that is not finite; nothing is written.
            OSError: the file cannot be written.
        """
        tensors = {"rng": self.rng.get_state(), **self._networks().state_dict()}
        for name in OPTIMIZERS:
            for index, moments in getattr(self, name).state_dict()["state"].items():
                tensors |= {f"{name}.{index}.{key}": value for key, value in moments.items()}
        if not all(value.isfinite().all() for value in tensors.values() if value.is_floating_point()):
            raise NonFiniteLoss(f"the networks hold numbers that are not finite at step {self.step}")
        if self.window:
            tensors["window"] = torch.stack(self.window)
        write_tensors(path, tensors, {"step": str(self.step), "history": json.dumps(self.history),
                                      "run": json.dumps(run)})

    def load(self, path: str | Path) -> None:
        """Load what `save` wrote of a run with the same networks. Raises ValueError for any other file."""
        with open_tensors(path, "a checkpoint of this run") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}
            self._networks().load_state_dict({key: value for key, value in tensors.items()
                                              if key.partition(".")[0] in NETWORKS})
            for name in OPTIMIZERS:
                _load_optimizer(getattr(self, name), name, tensors)
            self.rng.set_state(tensors["rng"])
            self.window = list(tensors.get("window", torch.empty(0)).to(self.rng.device))
            self.step, self.history = int(file.metadata()["step"]), json.loads(file.metadata()["history"])


def saved_run(path: str | Path) -> dict[str, Any]:
    """The `run` that State.save was given. Raises ValueError where there is no file or it is not a checkpoint."""
    return _saved(path)[0]


def saved_step(path: str | Path) -> int:
    """The step of a checkpoint, whose tensors are not read. Raises ValueError as `saved_run` does."""
    return _saved(path)[1]


def _saved(path: str | Path) -> tuple[dict[str, Any], int]:
    require(Path(path).is_file(), f"there is no checkpoint {path}")
    with open_tensors(path, "a checkpoint") as file:
        return json.loads(file.metadata()["run"]), int(file.metadata()["step"])


def write_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all. Raises OSError if it cannot be written."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    try:
        with replacing(path) as partial:
            safetensors.torch.save_file(tensors, partial, metadata)
    except safetensors.SafetensorError as error:
        raise OSError(0, f"cannot write the checkpoint ({error})", str(path)) from None


@contextmanager
def open_tensors(path: str | Path, what: str) -> Iterator[Any]:
    """An open safetensors file. Errors in reading it become a ValueError that says it is not `what`."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            yield file
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason, *_ = [*str(error).splitlines(), type(error).__name__]
        raise ValueError(f"{path} is not {what} ({reason})") from None


def _load_optimizer(optimizer: torch.optim.Optimizer, name: str, tensors: dict[str, Tensor]) -> None:
    """Load an optimizer's moments, keyed "name.index.key", each in the memory layout of its parameter.

    The fused Adam reads a parameter and its moments in the order of memory, so another layout would mix them up.
    """
    (group,) = optimizer.param_groups
    state: dict[int, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        owner, *rest = path.split(".")
        if owner == name:
            index, key = int(rest[0]), rest[1]
            moment = torch.empty_like(group["params"][index]).copy_(value) if value.ndim else value
            state.setdefault(index, {})[key] = moment
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


@dataclass(frozen=True)
class Step:
    """What `train` yields after each step of the generator.

    Losses are scalars on the training device: reading one waits for the device.
    """

    number: int  # of steps done
    discriminator_loss: Tensor  # without penalties; where n_critic is above 1, of the last of its steps
    generator_loss: Tensor
    penalty: Tensor  # what the penalties added to the discriminator's loss, 0 where there are none
    generator: nn.Module  # the average, in eval mode; it changes with the next step, but a `Model` takes a copy
    state: State  # everything else


def train(architecture: Architecture, data: Data, config: TrainConfig, device: torch.device | str = "cpu",
          state: State | None = None) -> Iterator[Step]:
    """Train, yielding a Step after each step of the generator; stop by closing the Python generator.

    On the CPU a run that was saved and loaded continues bit for bit. A GPU is waited for only when the history gets a
    row, about 400 times a run. At the end batch norm's statistics are computed for the averaged weights.

    Args:
        architecture: of the networks.
        data: training data; they are moved to the device.
        config: the run's hyperparameters.
        device: where to train.
        state: a run of that config to continue, on its own device; None for a fresh one.

    Raises:
        NonFiniteLoss: a loss is no longer finite.
        ValueError: the data do not fit the networks, or the state is of another config.
    """
    check_fit(architecture, data)
    state = state or State.fresh(architecture, config, device)
    require(state.config == config, "the state is of a run with another configuration")
    rng, history_every = state.rng, history_interval(config)
    data = data.to(rng.device)
    state.generator.train(), state.discriminator.train()

    while state.step < config.steps:
        for _ in range(config.n_critic):
            real, y = draw(state, data)
            d_loss, penalty = train_discriminator(state, architecture, real, y)
        g_loss = train_generator(state, architecture, real, y)
        state.window.append(torch.stack([d_loss, g_loss, penalty]))
        if state.step % history_every == 0 or state.step == config.steps:
            _record(state)
        if state.step == config.steps:
            recompute_statistics(state.average, architecture, data, rng)
        yield Step(state.step, d_loss, g_loss, penalty, state.average, state)


def draw(state: State, data: Data) -> tuple[Tensor, Tensor | None]:
    """A batch of the run: real samples (N, *shape) and their labels (N,) or None, by the run's random numbers."""
    with _float32(state.rng.device):
        return data.batch(state.config.batch_size, state.rng)


def train_discriminator(state: State, architecture: Architecture, real: Tensor,
                        y: Tensor | None) -> tuple[Tensor, Tensor]:
    """One step of the discriminator on real samples (N, *shape) with labels (N,) or None, and as many fresh fakes.

    Returns:
        Two scalars: its loss without penalties, and what the penalties added.
    """
    config, loss = state.config, LOSSES[state.config.loss]
    with _float32(state.rng.device):
        with _autocast(state):
            d_loss, penalty = discriminator_loss(state, loss, real, _latents(state, architecture), y)
        _descend(state.discriminator_optimizer, loss.weight * d_loss + penalty, config.discriminator_lr * _decay(state))
    return d_loss.detach(), penalty.detach()


def train_generator(state: State, architecture: Architecture, real: Tensor, y: Tensor | None) -> Tensor:
    """One step of the generator, and of its average, against a frozen discriminator; counts as a step of the run.

    Args:
        real: samples (N, *shape), which a paired loss compares the fakes with.
        y: labels (N,) of the fakes, or None.

    Returns:
        Its loss, a scalar.
    """
    config, loss = state.config, LOSSES[state.config.loss]
    with _float32(state.rng.device):
        with _autocast(state):
            g_loss = generator_loss(state, loss, real, _latents(state, architecture), y)
        _descend(state.generator_optimizer, g_loss, config.generator_lr * _decay(state))
        update_average(state.average, state.generator, min(config.ema, (1 + state.step) / (10 + state.step)))
    state.step += 1
    return g_loss.detach()


def _float32(device: torch.device) -> AbstractContextManager[None]:
    """Gradients are recorded in float32, whatever modes the caller's thread has set.

    Nothing is entered where all is right: three contexts take about 25 µs, four times in a tiny network's step of 3 ms.
    """
    right = (torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
             and not torch.is_autocast_enabled(device.type))
    return nullcontext() if right else _recording(device)


@contextmanager
def _recording(device: torch.device) -> Iterator[None]:
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        yield


def _autocast(state: State) -> AbstractContextManager[Any]:
    if not state.config.bfloat16:
        return nullcontext()
    return torch.autocast(state.rng.device.type, torch.bfloat16)


def _decay(state: State) -> float:
    """The share of the learning rates that is left at this step."""
    return 1 - (1 - state.config.final_lr) * state.step / state.config.steps


def _latents(state: State, architecture: Architecture) -> Tensor:
    return _normal((state.config.batch_size, architecture.latent_dim), state.rng)


def _normal(size: tuple[int, int], rng: torch.Generator) -> Tensor:
    return torch.randn(size, generator=rng, device=rng.device, dtype=torch.float32)


def check_fit(architecture: Architecture, data: Data) -> None:
    """Raises ValueError where the data's shape or classes are not those of the networks."""
    require(tuple(data.shape) == tuple(architecture.shape), f"the networks take samples of shape "
            f"{tuple(architecture.shape)}, the data's are {tuple(data.shape)}")
    require(architecture.num_classes in (None, data.num_classes), f"the networks take {architecture.num_classes} "
            f"classes, the data have {data.num_classes or 'none'}")


def check_augment(architecture: Architecture, config: TrainConfig) -> None:
    """Raises ValueError where the config augments samples that are not images."""
    require(not config.augment or len(architecture.shape) == 3,
            f"augment is for images, and the networks make points of shape {tuple(architecture.shape)}: leave it out")


def history_interval(config: TrainConfig) -> int:
    """Steps between two rows of a run's history."""
    return max(1, config.steps // HISTORY_ROWS)


def discriminator_loss(state: State, loss: Loss, real: Tensor, z: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
    """The discriminator's loss on real samples and as many fakes of a frozen generator, and its penalties.

    Returns:
        Two scalars: the loss, and the sum of γ times each penalty.
    """
    with torch.no_grad():
        fake = state.generator(z, y).float()
    penalties = [(PENALTIES[name], gamma) for name, gamma in state.config.penalties.items() if gamma > 0]
    places = sorted({penalty.at for penalty, _ in penalties} - {"real", "fake"})
    samples = {"real": real, "fake": fake} | {place: PLACES[place](real, fake, state.rng) for place in places}
    # one pass over all of them: in a discriminator with a penalty, samples of a batch must not depend on each other
    batch = torch.cat(list(samples.values())).requires_grad_(bool(penalties))
    logits = state.discriminator(_augmented(state, batch), None if y is None else y.repeat(len(samples)))
    real_logits, fake_logits, *_ = torch.split(logits, len(real))
    total = loss.discriminator(real_logits, fake_logits)
    values = {value: dict(zip(samples, torch.split(value(batch, logits), len(real))))
              for value in dict.fromkeys(penalty.value for penalty, _ in penalties)}  # R1 and R2 are one function
    added = sum((gamma * values[penalty.value][penalty.at].mean() for penalty, gamma in penalties),
                torch.zeros((), device=total.device, dtype=total.dtype))
    return total, added * state.config.final_penalty ** (state.step / state.config.steps)


def generator_loss(state: State, loss: Loss, real: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
    """The generator's loss on fresh noise, against a frozen discriminator."""
    real_logits = None
    if loss.paired:
        with torch.no_grad():
            real_logits = state.discriminator(_augmented(state, real), y)
    return loss.generator(real_logits, state.discriminator(_augmented(state, state.generator(z, y)), y))


def _augmented(state: State, samples: Tensor) -> Tensor:
    """Samples (N, *shape) as the discriminator sees them. No random numbers are drawn without augmentation."""
    names = state.config.augment
    return augment(samples.float(), names, state.rng) if names else samples


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, lr: float) -> None:
    """One step of one network; gradients are computed for its parameters alone."""
    (group,) = optimizer.param_groups
    group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss, inputs=group["params"])
    optimizer.step()


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """One step of the exponential moving average of a network's parameters (Yazıcı et al. 2019); buffers are copied.

    `torch.optim.swa_utils.AveragedModel` does not replace it: its decay cannot start lower, and it takes longer than a
    step of a toy network.
    """
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in network.parameters()], 1 - decay)
    for averaged, current in zip(average.buffers(), network.buffers()):
        averaged.copy_(current)


def recompute_statistics(generator: nn.Module, architecture: Architecture, data: Data, rng: torch.Generator) -> None:
    """Compute batch norm's running statistics for a generator's present weights, in place, in float32.

    Args:
        generator: is in eval mode afterwards.
        architecture: of the generator.
        data: give the labels; on the device of `rng`.
        rng: draws latents and labels.
    """
    def inputs() -> Iterator[tuple[tuple[Tensor, Tensor | None]]]:
        for _ in range(STATISTICS // STATISTICS_BATCH):
            _, y = data.batch(STATISTICS_BATCH, rng)
            yield ((_normal((STATISTICS_BATCH, architecture.latent_dim), rng), y),)

    # update_bn passes latents and labels as one argument, which the hook splits
    with _float32(rng.device), generator.register_forward_pre_hook(lambda module, arguments: arguments[0]):
        torch.optim.swa_utils.update_bn(inputs(), generator)
    generator.eval()


def _record(state: State) -> None:
    """Add the mean of the losses in the window to the history, and empty the window."""
    d_loss, g_loss, penalty = torch.stack(state.window).mean(0).tolist()
    state.window.clear()
    if not (math.isfinite(d_loss) and math.isfinite(g_loss) and math.isfinite(penalty)):
        raise NonFiniteLoss(f"a loss is no longer finite at step {state.step} (discriminator {d_loss}, generator "
                            f"{g_loss}, penalty {penalty}); lower the learning rates or raise the penalties")
    state.history.append({"step": state.step, "discriminator_loss": d_loss, "generator_loss": g_loss,
                          **({"penalty": penalty} if state.config.penalties else {})})
