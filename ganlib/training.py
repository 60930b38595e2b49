"""Training a GAN: its configuration, the two steps, the averaged generator, and the loop as a Python generator.

The loop knows neither which networks nor which loss nor which data it runs, and prints and draws nothing.
"""

import copy
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ganlib.data import Data
from ganlib.losses import LOSSES, zero_centred_penalty
from ganlib.networks import Architecture, Dropout
from ganlib.sampling import MAX_SEED, one_hot

MOST = 10**9  # steps, or samples a step
BALANCED = 256  # samples at once, when a discriminator is given its offset


class NonFiniteLoss(ArithmeticError):
    """A loss became infinite or not a number; the run cannot go on from there."""


@dataclass(frozen=True)
class TrainConfig:
    """One run's numbers.

    steps: of each of the two networks. batch_size: real samples, and as many fakes, a step. loss: a name in LOSSES.
    generator_rate, discriminator_rate, betas: Adam's. final_rate: the share of both rates left at the last step, to
    which they fall linearly. r1, r2: γ of the gradient penalties on real and on fake samples, (γ/2)·|∇D|².
    final_penalty: the share of both γ left at the last step, to which they fall geometrically.
    ema: decay a step of the generator's average, at most; it starts lower, at (1 + step)/(10 + step).
    bfloat16: run the networks under bfloat16 autocast. seed: of the initial weights and of all that is drawn.
    """

    steps: int
    batch_size: int
    loss: str = "non-saturating"
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    final_rate: float = 1.0
    r1: float = 0.0
    r2: float = 0.0
    final_penalty: float = 1.0
    ema: float = 0.999
    bfloat16: bool = False
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "batch_size"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= MOST:
                raise ValueError(f"{name} must be a whole number from 1 to {MOST}, not {value!r}")
        if type(self.seed) is not int or not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed must be a whole number from 0 to {MAX_SEED}, not {self.seed!r}")
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {self.loss!r}")
        for name in ("generator_rate", "discriminator_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)!r}")
        if not 0 < self.final_penalty <= 1:
            raise ValueError(f"final_penalty must be above 0 and at most 1, not {self.final_penalty!r}")
        for name, top in (("final_rate", 1), ("r1", math.inf), ("r2", math.inf), ("ema", 1)):
            if not 0 <= getattr(self, name) <= top:
                raise ValueError(f"{name} must be from 0 to {top:g}, not {getattr(self, name)!r}")


HISTORY_ROWS = 400  # a run's history has about so many rows, whatever its length


@dataclass
class State:
    """All that a run consists of at one moment; saved and loaded, it goes on as if it had never stopped."""

    config: TrainConfig
    generator: nn.Module
    discriminator: nn.Module
    average: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    rng: torch.Generator
    step: int = 0
    history: list[dict] = field(default_factory=list)
    window: list[Tensor] = field(default_factory=list)

    @classmethod
    def fresh(cls, architecture: Architecture, config: TrainConfig, device: torch.device | str = "cpu") -> "State":
        """Networks with their initial weights, drawn on the CPU from the config's seed, moved to the device."""
        before = torch.get_rng_state()
        try:
            torch.default_generator.manual_seed(config.seed)
            generator, discriminator = architecture.generator(), architecture.discriminator()
        finally:
            torch.set_rng_state(before)
        rng = torch.Generator(device).manual_seed(config.seed)
        for module in (*generator.modules(), *discriminator.modules()):
            if isinstance(module, Dropout):
                module.rng = rng
        for network in (generator, discriminator):
            network.to(device, memory_format=torch.channels_last)  # doubles the convolutions' speed on a CPU
        average = copy.deepcopy(generator).eval().requires_grad_(False)

        def adam(network: nn.Module, rate: float) -> torch.optim.Optimizer:
            return torch.optim.Adam(network.parameters(), lr=rate, betas=config.betas, fused=True)

        return cls(config, generator, discriminator, average, adam(generator, config.generator_rate),
                   adam(discriminator, config.discriminator_rate), rng)

    def _networks(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator": self.generator_optimizer, "discriminator": self.discriminator_optimizer}

    def save(self, path: str | Path, run: dict) -> None:
        """Write everything to one safetensors file, whole or not at all; `run` (JSON-ready) says which run it is.

        Raises NonFiniteLoss, and writes nothing, where a network holds a number that is not finite.
        """
        tensors = {"rng": self.rng.get_state()}
        for name, network in self._networks().items():
            tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
        for name, optimizer in self._optimizers().items():
            for index, values in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}_optimizer.{index}.{key}": value for key, value in values.items()}
        if not all(value.isfinite().all() for value in tensors.values() if value.is_floating_point()):
            raise NonFiniteLoss(f"the networks hold numbers that are not finite at step {self.step}")
        if self.window:
            tensors["window"] = torch.stack(self.window)
        metadata = {"step": str(self.step), "history": json.dumps(self.history), "run": json.dumps(run)}
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        try:
            safetensors.torch.save_file(tensors, partial, metadata)
        except safetensors.SafetensorError as error:
            raise OSError(0, f"cannot write the checkpoint ({_first_line(error)})", str(path)) from None
        os.replace(partial, path)

    def load(self, path: str | Path) -> None:
        """Take over what `save` wrote of a run with the same networks. Raises ValueError for a file that is no such."""
        try:
            with safetensors.safe_open(path, "pt") as file:
                metadata = file.metadata()
                tensors = {key: file.get_tensor(key) for key in file.keys()}
            for name, network in self._networks().items():
                network.load_state_dict(_under(name, tensors))
            for name, optimizer in self._optimizers().items():
                _load_optimizer(optimizer, _under(f"{name}_optimizer", tensors))
            self.rng.set_state(tensors["rng"])
            self.window = list(tensors.get("window", torch.empty(0)).to(self.rng.device))
            self.step, self.history = int(metadata["step"]), json.loads(metadata["history"])
        except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"{path} is not a checkpoint of this run ({_first_line(error)})") from None


def saved_run(path: str | Path) -> dict:
    """The `run` that State.save was given. Raises ValueError where there is no such file or it is no checkpoint."""
    if not Path(path).is_file():
        raise ValueError(f"there is no checkpoint {path}")
    try:
        with safetensors.safe_open(path, "pt") as file:
            return json.loads(file.metadata()["run"])
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a checkpoint ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimizer its moments back, keyed "index.name", each laid out in memory as its parameter is.

    The fused Adam walks a parameter and its moments side by side, so another layout would mix them up.
    """
    (group,) = optimizer.param_groups
    values: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, what = key.partition(".")
        parameter = group["params"][int(index)]
        if value.ndim:
            value = torch.empty_like(parameter).copy_(value)
        values.setdefault(int(index), {})[what] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": values})


def _under(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(name + "."): value for key, value in tensors.items() if key.startswith(name + ".")}


@dataclass(frozen=True)
class Step:
    """What `train` yields after each step. Losses are scalars on the training device: reading one waits for it."""

    number: int
    discriminator_loss: Tensor
    generator_loss: Tensor
    generator: nn.Module  # the average, in eval mode; live: it changes with the next step
    state: State


def train(architecture: Architecture, data: Data, config: TrainConfig, device: torch.device | str = "cpu",
          state: State | None = None) -> Iterator[Step]:
    """Train, yielding a Step after each step of both networks; stop by closing the generator.

    `state` is a run of that config to go on with, on its own device, else a fresh one is made; on the CPU a run that
    was saved and loaded goes on bit for bit. With the data on the device too, nothing is synchronised but when the
    history gets a row, which is about 400 times a run.
    Raises NonFiniteLoss when a loss stops being finite, and ValueError for data that do not fit the networks.
    """
    check_fit(architecture, data)
    if state is None:
        state = State.fresh(architecture, config, device)
    elif state.config != config:
        raise ValueError("the state is of a run with another configuration")
    device_type = state.rng.device.type
    loss, history_every = LOSSES[config.loss], history_interval(config)
    average = EMA(state.average, state.generator, config.ema)
    state.generator.train(), state.discriminator.train()

    def noise() -> Tensor:
        return latents(config.batch_size, architecture, state.rng)

    while state.step < config.steps:
        factor = 1 - (1 - config.final_rate) * state.step / config.steps
        real, y = data.batch(config.batch_size, state.rng)

        with torch.autocast(device_type, torch.bfloat16, enabled=config.bfloat16):
            d_loss = discriminator_loss(state, loss.discriminator, real, noise(), y)
        _descend(state.discriminator_optimizer, d_loss, config.discriminator_rate * factor)

        with torch.autocast(device_type, torch.bfloat16, enabled=config.bfloat16):
            g_loss = generator_loss(state, loss, real, noise(), y)
        _descend(state.generator_optimizer, g_loss, config.generator_rate * factor)

        average.update(state.step)
        state.step += 1
        state.window.append(torch.stack([d_loss.detach(), g_loss.detach()]))
        if state.step % history_every == 0 or state.step == config.steps:
            _record(state)
        yield Step(state.step, d_loss.detach(), g_loss.detach(), state.average, state)


def latents(n: int, architecture: Architecture, rng: torch.Generator) -> Tensor:
    """n latents (n, latent_dim) of an architecture's prior, on the device of `rng`, which they are drawn from."""
    return one_hot(torch.randn(n, architecture.latent_dim, generator=rng, device=rng.device), architecture.codes)


def check_fit(architecture: Architecture, data: Data) -> None:
    """Raises ValueError where the data's shape or classes are not those that the networks take."""
    if tuple(data.shape) != tuple(architecture.shape):
        raise ValueError(f"the networks take samples of shape {tuple(architecture.shape)}, the data's are "
                         f"{tuple(data.shape)}")
    if architecture.num_classes and data.num_classes != architecture.num_classes:
        raise ValueError(f"the networks take {architecture.num_classes} classes, the data has {data.num_classes}")


def history_interval(config: TrainConfig) -> int:
    """Steps between two rows of a run's history."""
    return max(1, config.steps // HISTORY_ROWS)


def discriminator_loss(state: State, loss, real: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
    """The discriminator's loss on real samples and as many fakes of frozen G, with its gradient penalties.

    One pass over both: no discriminator here looks from one sample at another.
    """
    config = state.config
    with torch.no_grad():
        fake = state.generator(z, y)
    samples = torch.cat([real, fake.float()])
    penalised = config.r1 > 0 or config.r2 > 0
    logits = state.discriminator(samples.requires_grad_(penalised), None if y is None else torch.cat([y, y]))
    total = loss(*logits.chunk(2))
    if penalised:
        r1, r2 = zero_centred_penalty(samples, logits).chunk(2)
        left = config.final_penalty ** (state.step / config.steps)
        total = total + left * (config.r1 / 2 * r1.mean() + config.r2 / 2 * r2.mean())
    return total


def generator_loss(state: State, loss, real: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
    """The generator's loss on fresh noise, against a discriminator that is held still."""
    real_logits = None
    if loss.paired:
        with torch.no_grad():
            real_logits = state.discriminator(real, y)
    return loss.generator(real_logits, state.discriminator(state.generator(z, y), y))


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    """One step of one network: gradients are computed for its parameters alone."""
    (group,) = optimizer.param_groups
    group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss, inputs=group["params"])
    optimizer.step()


class EMA:
    """Exponential moving average of a network's parameters (Yazıcı et al. 2019); its buffers are copied.

    Batch norm's running statistics are averages already, and belong to the weights of the moment.
    """

    def __init__(self, average: nn.Module, network: nn.Module, decay: float):
        self.decay = decay
        self.parameters = list(average.parameters()), [p.detach() for p in network.parameters()]
        self.buffers = list(zip(average.buffers(), network.buffers()))

    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(*self.parameters, 1 - decay)
        for average, current in self.buffers:
            average.copy_(current)


def _record(state: State) -> None:
    """Close the window of losses: its means become a row of the history."""
    d_loss, g_loss = torch.stack(state.window).mean(0).tolist()
    state.window.clear()
    if not (math.isfinite(d_loss) and math.isfinite(g_loss)):
        raise NonFiniteLoss(f"a loss is no longer finite at step {state.step} (discriminator {d_loss}, generator "
                            f"{g_loss}); lower the learning rates or raise r1 and r2")
    state.history.append({"step": state.step, "discriminator_loss": d_loss, "generator_loss": g_loss})


@torch.no_grad()
def balance(discriminator: nn.Module, real: Tensor, fake: Tensor, y: Tensor | None = None) -> None:
    """Shift the discriminator's last bias so that sigmoid of its logits is the best probability an offset can give.

    For a discriminator trained by a paired loss, which leaves the offset free: the one that minimises the logistic loss
    on `real` and as many `fake` samples, found by bisection of its derivative.
    """
    labels = [None] * len(real) if y is None else y.split(BALANCED)
    # part by part, since all at once take gigabytes; on the CPU, since Apple's GPUs have no float64
    logits = [torch.cat([discriminator(*part).cpu().double() for part in zip(x.split(BALANCED), labels)])
              for x in (real, fake)]
    low, high = -100.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        slope = (torch.sigmoid(logits[1] + middle).mean() - torch.sigmoid(-logits[0] - middle).mean()).item()
        low, high = (middle, high) if slope < 0 else (low, middle)
    last = [module for module in discriminator.modules() if isinstance(module, nn.Linear)][-1]
    last.bias += (low + high) / 2
