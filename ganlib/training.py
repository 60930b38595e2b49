"""Training a GAN: its configuration, the two steps, the averaged generator, and the loop as a Python generator.

The loop does not know which networks, loss or data it runs, and prints and draws nothing. Trainings in several threads
share nothing, and change nothing of the process.
"""

import copy
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ganlib.architectures import Architecture, build
from ganlib.checks import check_float, check_int, listed, quoted, require
from ganlib.data import Data
from ganlib.losses import LOSSES, PENALTIES, PLACES, Loss
from ganlib.networks import Dropout
from ganlib.sampling import MAX_SEED

MOST = 10**9  # steps, or samples a step
HISTORY_ROWS = 400  # a run's history has about so many rows, whatever its length
STATISTICS, STATISTICS_BATCH = 8_192, 128  # samples by which batch norm's statistics are computed at the end


class NonFiniteLoss(ArithmeticError):
    """A loss became infinite or not a number; the run cannot go on from there."""


@dataclass(frozen=True)
class TrainConfig:
    """One run's numbers.

    Args:
        steps: of the generator.
        batch_size: real samples, and as many fakes, a step.
        loss: a name in `ganlib.LOSSES`.
        n_critic: steps of the discriminator for each of the generator.
        generator_lr, discriminator_lr, betas: Adam's learning rates and decay rates.
        final_lr: the share of both learning rates that is left at the last step; they fall linearly.
        penalties: γ of penalties by their names in `ganlib.PENALTIES`, such as {"r1": 1.0, "r2": 1.0}.
        final_penalty: the share of every γ that is left at the last step; they fall geometrically.
        ema: decay a step of the generator's average, at most; it starts lower, at (1 + step)/(10 + step).
        bfloat16: run the networks under bfloat16 autocast.
        seed: of the initial weights and of all that is drawn.
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

    def __post_init__(self):
        def set_to(name: str, value) -> None:
            object.__setattr__(self, name, value)

        for name in ("steps", "batch_size", "n_critic"):
            set_to(name, check_int(getattr(self, name), 1, MOST, name))
        set_to("seed", check_int(self.seed, 0, MAX_SEED, "seed"))
        require(isinstance(self.loss, str) and self.loss in LOSSES,
                f"loss must be one of {', '.join(LOSSES)}, not {quoted(self.loss)}")
        for name in ("generator_lr", "discriminator_lr"):
            set_to(name, check_float(getattr(self, name), 0, math.inf, name, above=True))
        set_to("final_penalty", check_float(self.final_penalty, 0, 1, "final_penalty", above=True))
        for name in ("final_lr", "ema"):
            set_to(name, check_float(getattr(self, name), 0, 1, name))
        require(isinstance(self.betas, tuple | list) and len(self.betas) == 2,
                f"betas must be two numbers, not {quoted(self.betas)}")
        set_to("betas", tuple(check_float(beta, 0, 1 - 1e-9, "each of betas") for beta in self.betas))
        require(isinstance(self.penalties, dict) and all(name in PENALTIES for name in self.penalties),
                f"penalties must be numbers by the names {', '.join(PENALTIES)}, not {quoted(self.penalties)}")
        set_to("penalties", {name: check_float(gamma, 0, math.inf, f"the penalty {name}")
                             for name, gamma in self.penalties.items()})

    @classmethod
    def rebuild(cls, values: dict) -> "TrainConfig":
        """The config whose `dataclasses.asdict` these values are. A field that came later has its default.

        Raises:
            ValueError: a field is unknown, missing or wrong.
        """
        require(isinstance(values, dict), f"a training must be a table of fields, not {quoted(values)}")
        foreign = sorted(set(values) - {field.name for field in fields(cls)})
        require(not foreign, f"a training has no field {listed(foreign)}")
        require({"steps", "batch_size"} <= set(values), "a training must have steps and batch_size")
        return cls(**values)


def split_seed(seed: int) -> tuple[int, int]:
    """The seeds of a run's initial weights and of its noise: streams that have nothing in common."""
    weights, noise = numpy.random.SeedSequence(seed).generate_state(2, numpy.uint64)
    return int(weights) >> 1, int(noise) >> 1


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
        """Networks with their initial weights, drawn on the CPU from the config's seed, moved to the device.

        Raises:
            ValueError: the architecture has no discriminator.
        """
        weights_seed, noise_seed = split_seed(config.seed)
        with torch.inference_mode(False), torch.enable_grad():
            generator, discriminator = build(architecture, torch.Generator().manual_seed(weights_seed))
            require(discriminator is not None, f"{architecture.kind} has no discriminator to train against")
            rng = torch.Generator(device).manual_seed(noise_seed)
            for module in (*generator.modules(), *discriminator.modules()):
                if isinstance(module, Dropout):
                    module.rng = rng
            for network in (generator, discriminator):
                network.to(device, memory_format=torch.channels_last)  # convolutions are faster so on a CPU
            average = copy.deepcopy(generator).eval().requires_grad_(False)

            def adam(network: nn.Module, lr: float) -> torch.optim.Optimizer:
                return torch.optim.Adam(network.parameters(), lr=lr, betas=config.betas, fused=True)

            return cls(config, generator, discriminator, average, adam(generator, config.generator_lr),
                       adam(discriminator, config.discriminator_lr), rng)

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
    """What `train` yields after each step of the generator.

    Losses are scalars on the training device: reading one waits for it.

    Args:
        number: of steps done.
        discriminator_loss: without penalties; where n_critic is above 1, of the last of its steps.
        generator_loss: the generator's.
        penalty: what the penalties added to the discriminator's loss, 0 where there are none.
        generator: the average, in eval mode; live: it changes with the next step, but a `Model` takes a copy.
        state: everything else.
    """

    number: int
    discriminator_loss: Tensor
    generator_loss: Tensor
    penalty: Tensor
    generator: nn.Module
    state: State


def train(architecture: Architecture, data: Data, config: TrainConfig, device: torch.device | str = "cpu",
          state: State | None = None) -> Iterator[Step]:
    """Train, yielding a Step after each step of the generator; stop by closing the Python generator.

    On the CPU a run that was saved and loaded goes on bit for bit. Nothing is synchronised with a GPU but when the
    history gets a row, about 400 times a run. At the end batch norm's statistics are computed for the averaged weights.

    Args:
        architecture: of the networks.
        data: to learn from; they are moved to the device.
        config: the run's numbers.
        device: where to train.
        state: a run of that config to go on with, on its own device; None for a fresh one.

    Raises:
        NonFiniteLoss: a loss stopped being finite.
        ValueError: the data do not fit the networks, or the state is of another config.
    """
    check_fit(architecture, data)
    if state is None:
        state = State.fresh(architecture, config, device)
    elif state.config != config:
        raise ValueError("the state is of a run with another configuration")
    rng, loss, history_every = state.rng, LOSSES[config.loss], history_interval(config)
    data = data.to(rng.device)
    state.generator.train(), state.discriminator.train()

    def latents() -> Tensor:
        return _latents(config.batch_size, architecture.latent_dim, rng)

    while state.step < config.steps:
        lr = 1 - (1 - config.final_lr) * state.step / config.steps
        with _training(rng.device):
            for _ in range(config.n_critic):
                real, y = data.batch(config.batch_size, rng)
                with torch.autocast(rng.device.type, torch.bfloat16, enabled=config.bfloat16):
                    d_loss, penalty = discriminator_loss(state, loss, real, latents(), y)
                _descend(state.discriminator_optimizer, loss.weight * d_loss + penalty, config.discriminator_lr * lr)

            with torch.autocast(rng.device.type, torch.bfloat16, enabled=config.bfloat16):
                g_loss = generator_loss(state, loss, real, latents(), y)
            _descend(state.generator_optimizer, g_loss, config.generator_lr * lr)

            update_average(state.average, state.generator, min(config.ema, (1 + state.step) / (10 + state.step)))
            state.step += 1
            d_loss, g_loss, penalty = d_loss.detach(), g_loss.detach(), penalty.detach()
            state.window.append(torch.stack([d_loss, g_loss, penalty]))
            if state.step % history_every == 0 or state.step == config.steps:
                _record(state)
            if state.step == config.steps:
                recompute_statistics(state.average, architecture, data, rng)
        yield Step(state.step, d_loss, g_loss, penalty, state.average, state)


@contextmanager
def _training(device: torch.device) -> Iterator[None]:
    """Meanwhile gradients are recorded in float32, whatever this thread has set."""
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        yield


def _latents(n: int, latent_dim: int, rng: torch.Generator) -> Tensor:
    return torch.randn(n, latent_dim, generator=rng, device=rng.device, dtype=torch.float32)


def check_fit(architecture: Architecture, data: Data) -> None:
    """Raises ValueError where the data's shape or classes are not those that the networks take."""
    if tuple(data.shape) != tuple(architecture.shape):
        raise ValueError(f"the networks take samples of shape {tuple(architecture.shape)}, the data's are "
                         f"{tuple(data.shape)}")
    if architecture.num_classes and data.num_classes != architecture.num_classes:
        raise ValueError(f"the networks take {architecture.num_classes} classes, the data have "
                         f"{data.num_classes or 'none'}")


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
    gammas = {name: gamma for name, gamma in state.config.penalties.items() if gamma > 0}
    penalised = {PENALTIES[name].at for name in gammas}
    samples = {"real": real, "fake": fake} | {place: PLACES[place](real, fake, state.rng)
                                              for place in sorted(penalised - {"real", "fake"})}
    # one pass over all of them: no discriminator with a penalty may look from one sample of a batch at another
    batch = torch.cat(list(samples.values())).requires_grad_(bool(penalised))
    logits = state.discriminator(batch, None if y is None else y.repeat(len(samples)))
    real_logits, fake_logits, *_ = logits.split(len(real))
    total = loss.discriminator(real_logits, fake_logits)
    penalty = torch.zeros((), device=total.device, dtype=total.dtype)
    for value in {PENALTIES[name].value: None for name in gammas}:  # R1 and R2 are one function at two places
        at = dict(zip(samples, value(batch, logits).split(len(real))))
        for name, gamma in gammas.items():
            if PENALTIES[name].value is value:
                penalty = penalty + gamma * at[PENALTIES[name].at].mean()
    return total, penalty * state.config.final_penalty ** (state.step / state.config.steps)


def generator_loss(state: State, loss: Loss, real: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
    """The generator's loss on fresh noise, against a frozen discriminator."""
    real_logits = None
    if loss.paired:
        with torch.no_grad():
            real_logits = state.discriminator(real, y)
    return loss.generator(real_logits, state.discriminator(state.generator(z, y), y))


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, lr: float) -> None:
    """One step of one network: gradients are computed for its parameters alone."""
    (group,) = optimizer.param_groups
    group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss, inputs=group["params"])
    optimizer.step()


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """One step of the exponential moving average of a network's parameters (Yazıcı et al. 2019); buffers are copied.

    `torch.optim.swa_utils.AveragedModel` does not replace it: its decay cannot start lower, and it costs more a step
    than a toy network's own.
    """
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in network.parameters()], 1 - decay)
    for averaged, current in zip(average.buffers(), network.buffers()):
        averaged.copy_(current)


class _OfPairs(nn.Module):
    """A generator that takes latents and labels as one argument."""

    def __init__(self, generator: nn.Module):
        super().__init__()
        self.generator = generator

    def forward(self, pair: tuple[Tensor, Tensor | None]) -> Tensor:
        return self.generator(*pair)


def recompute_statistics(generator: nn.Module, architecture: Architecture, data: Data, rng: torch.Generator) -> None:
    """Compute batch norm's running statistics for a generator's present weights, in place."""
    def inputs() -> Iterator[tuple]:
        for _ in range(STATISTICS // STATISTICS_BATCH):
            _, y = data.batch(STATISTICS_BATCH, rng)
            yield ((_latents(STATISTICS_BATCH, architecture.latent_dim, rng), y),)

    torch.optim.swa_utils.update_bn(inputs(), _OfPairs(generator))
    generator.eval()


def _record(state: State) -> None:
    """Close the window of losses: their means become a row of the history."""
    d_loss, g_loss, penalty = torch.stack(state.window).mean(0).tolist()
    state.window.clear()
    if not (math.isfinite(d_loss) and math.isfinite(g_loss) and math.isfinite(penalty)):
        raise NonFiniteLoss(f"a loss is no longer finite at step {state.step} (discriminator {d_loss}, generator "
                            f"{g_loss}, penalty {penalty}); lower the learning rates or raise the penalties")
    state.history.append({"step": state.step, "discriminator_loss": d_loss, "generator_loss": g_loss,
                          **({"penalty": penalty} if state.config.penalties else {})})
