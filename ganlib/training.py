"""Training: its configuration, the steps, the averaged networks, and the loop as a Python generator.

A GAN has two steps, one for each network. A VAE has one step for its encoder and its generator. The loop is the same
for all networks, losses and data, and prints and draws nothing. Trainings in several threads share nothing, and change
no setting of the process.
"""

import copy
import functools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ganlib.adam import Adam, load_moments, step_by
from ganlib.architectures import Architecture, build, build_encoder
from ganlib.augmentation import augment, check_names
from ganlib.checks import check_fields, check_float, check_int, quoted, require
from ganlib.data import Data
from ganlib.devices import check_device
from ganlib.distributed import ALONE, Group
from ganlib.files import replacing
from ganlib.gradients import Chain, knows, make, write_discriminator_gradients, write_generator_gradients
from ganlib.losses import ELBO, LOSSES, PENALTIES, PLACES, Loss, Penalty, log_normal, pixel_cross_entropy
from ganlib.networks import Dropout, Encoder, coupling_layers
from ganlib.sampling import MAX_SEED
from ganlib.shares import own, share

MAX_COUNT = 10**9  # steps, or samples a step
HISTORY_ROWS = 400  # about as many rows has the history of every run
STATISTICS, STATISTICS_BATCH = 8_192, 128  # samples that batch norm's statistics are computed from at the end
NETWORKS = ("generator", "discriminator", "average", "encoder", "average_encoder")  # of a state; it has some of them
OPTIMIZERS = ("generator_optimizer", "discriminator_optimizer")

_Network = TypeVar("_Network", bound=nn.Module)


class NonFiniteLoss(ArithmeticError):
    """A loss became infinite or not a number; the run cannot continue."""


@dataclass(frozen=True)
class TrainConfig:
    """The hyperparameters of one run.

    Args:
        steps: of the generator.
        batch_size: real samples, and as many fakes, a step.
        loss: a name in `ganlib.LOSSES`; "elbo" for networks with an encoder.
        n_critic: steps of the discriminator for each step of the generator.
        generator_lr, discriminator_lr, betas: Adam's learning rates and decay rates. An encoder has the generator's.
        final_lr: the share of both learning rates that is left at the last step; they fall linearly.
        penalties: γ of penalties by their names in `ganlib.PENALTIES`, such as {"r1": 1.0, "r2": 1.0}.
        final_penalty: the share of every γ that is left at the last step; they fall geometrically.
        ema: the highest decay a step of the generator's average; it starts lower, at (1 + step)/(10 + step).
        bfloat16: run the networks under bfloat16 autocast.
        seed: of the initial weights and of all random numbers.
        augment: names in `ganlib.augmentation.AUGMENTATIONS`: how images change before the discriminator sees them.
        kl_weight: for "elbo" alone: β, the weight of the KL divergence (Higgins et al. 2017, "β-VAE").
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
    kl_weight: float = 1.0

    def __post_init__(self) -> None:
        known = (*LOSSES, ELBO)
        require(isinstance(self.loss, str) and self.loss in known,
                f"loss must be one of {', '.join(known)}, not {quoted(self.loss)}")
        require(isinstance(self.betas, tuple | list) and len(self.betas) == 2,
                f"betas must be two numbers, not {quoted(self.betas)}")
        require(isinstance(self.penalties, dict) and all(name in PENALTIES for name in self.penalties),
                f"penalties must be numbers by the names {', '.join(PENALTIES)}, not {quoted(self.penalties)}")
        checked: dict[str, Any] = {"seed": check_int(self.seed, 0, MAX_SEED, "seed"),
                                   "augment": check_names(self.augment)}
        for name in ("steps", "batch_size", "n_critic"):
            checked[name] = check_int(getattr(self, name), 1, MAX_COUNT, name)
        for name, high, above in (("generator_lr", math.inf, True), ("discriminator_lr", math.inf, True),
                                  ("final_penalty", 1, True), ("final_lr", 1, False), ("ema", 1, False),
                                  ("kl_weight", math.inf, False)):
            checked[name] = check_float(getattr(self, name), 0, high, name, above)
        checked["betas"] = tuple(check_float(beta, 0, 1 - 1e-9, "each of betas") for beta in self.betas)
        checked["penalties"] = {name: check_float(gamma, 0, math.inf, f"the penalty {name}")
                                for name, gamma in self.penalties.items()}
        require(self.loss == ELBO or self.kl_weight == 1,
                f"kl_weight is of the loss {ELBO}, not of {self.loss}: leave it out")
        require(self.loss != ELBO or not self.bfloat16, f"{ELBO} needs float32: bfloat16 rounds pixels to black and "
                                                        f"white, whose gradients are 0")
        require(self.loss != ELBO or not (any(self.penalties.values()) or self.augment or self.n_critic > 1),
                f"penalties, augment and n_critic are of a discriminator, and {ELBO} trains none: leave them out")
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
    discriminator: nn.Module | None  # of a GAN
    average: nn.Module  # the generator with averaged weights, in eval mode
    generator_optimizer: torch.optim.Optimizer  # also of the encoder
    discriminator_optimizer: torch.optim.Optimizer | None
    rng: torch.Generator  # draws all random numbers of the run, on its device
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    window: list[Tensor] = field(default_factory=list)  # the losses since the last row of the history
    encoder: Encoder | None = None  # of a VAE
    average_encoder: Encoder | None = None  # with averaged weights, in eval mode
    group: Group = ALONE  # the processes that train it

    @classmethod
    def fresh(cls, architecture: Architecture, config: TrainConfig, device: torch.device | str = "cpu",
              group: Group = ALONE) -> "State":
        """A run at step 0: initial weights are drawn on the CPU from the config's seed, then moved to the device.

        group: the processes that train it, each of which calls this; all start from the weights of the first.

        Raises ValueError if the architecture does not fit the loss, or cannot be trained with augmentation, or if this
        machine does not have the device.
        """
        device = check_device(device)
        weights_seed, noise_seed = split_seed(config.seed)
        with torch.inference_mode(False), torch.enable_grad():
            weights = torch.Generator().manual_seed(weights_seed)
            generator, discriminator = build(architecture, weights)
            encoder = build_encoder(architecture, weights)
            check_loss(architecture, config, discriminator is not None, encoder is not None)
            check_augment(architecture, config)
            rng = group.generator(device, config.batch_size).manual_seed(noise_seed)
            networks = [network for network in (generator, discriminator, encoder) if network is not None]
            for network in networks:
                group.align(network)
                network.to(device).to(memory_format=torch.channels_last)  # makes convolutions faster on a CPU
                for module in network.modules():
                    if isinstance(module, Dropout):
                        module.rng = rng

            def optimizer(lr: float, *networks: nn.Module | None) -> torch.optim.Optimizer:
                parameters = [p for network in filter(None, networks) for p in network.parameters()]
                return Adam(parameters, lr=lr, betas=config.betas, fused=True)

            state = cls(config, generator, discriminator, _averaged(generator),
                        optimizer(config.generator_lr, generator, encoder),
                        optimizer(config.discriminator_lr, discriminator) if discriminator is not None else None, rng,
                        encoder=encoder, average_encoder=None if encoder is None else _averaged(encoder), group=group)
            for network in networks:
                group.synchronise(network, config.batch_size)  # not the averages, which one process uses alone
            return state

    @functools.cached_property
    def chains(self) -> tuple[Chain | None, Chain] | None:
        """The networks of a GAN as chains of layers, the generator's None if it is no chain, or None for autograd.

        Gradients in closed form are for one process on a CPU, in float32, and without augmentation.
        """
        if self.group.size > 1 or self.rng.device.type != "cpu" or self.config.bfloat16 or self.config.augment:
            return None
        chain = Chain.of(self.discriminator)
        return None if chain is None else (Chain.of(self.generator), chain)

    @functools.cached_property
    def update_average(self) -> Callable[[float], None]:
        """One step of the generator's average, a function of the decay."""
        return _averaging(self.average, self.generator)

    def _networks(self) -> nn.ModuleDict:
        return nn.ModuleDict({name: network for name in NETWORKS if (network := getattr(self, name)) is not None})

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {name: found for name in OPTIMIZERS if (found := getattr(self, name)) is not None}

    def save(self, path: str | Path, run: dict[str, Any]) -> None:
        """Write all of it to one safetensors file, whole or not at all; `run`, JSON-ready, identifies the run.

        Raises:
            NonFiniteLoss: a network holds a number that is not finite; nothing is written.
            OSError: the file cannot be written.
        """
        tensors = {"rng": self.rng.get_state(), **self._networks().state_dict()}
        for name, optimizer in self._optimizers().items():
            for index, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}.{index}.{key}": value for key, value in moments.items()}
        if not all(value.isfinite().all() for value in tensors.values() if value.is_floating_point()):
            raise NonFiniteLoss(f"the networks hold numbers that are not finite at step {self.step}")
        if self.window:
            tensors["window"] = torch.stack(self.window)
        write_tensors(path, tensors, {"step": str(self.step), "history": json.dumps(self.history),
                                      "run": json.dumps(run)})

    @property
    def to_come(self) -> int:
        """By how many bytes the file of a run at step 0 grows later: moments of its optimizers, and the history."""
        parameters = [p for optimizer in self._optimizers().values() for p in optimizer.param_groups[0]["params"]]
        moments = sum(2 * p.numel() * p.element_size() + 500 for p in parameters)
        return int(moments) + 2 * HISTORY_ROWS * 200

    def load(self, path: str | Path) -> None:
        """Load what `save` wrote of a run with the same networks. Raises ValueError for any other file."""
        with open_tensors(path, "a checkpoint of this run") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}
            self._networks().load_state_dict({key: value for key, value in tensors.items()
                                              if key.partition(".")[0] in NETWORKS})
            for name, optimizer in self._optimizers().items():
                load_moments(optimizer, name, tensors)
            self.rng.set_state(tensors["rng"])
            self.window = list(tensors.get("window", torch.empty(0)).to(self.rng.device))
            self.step, self.history = int(file.metadata()["step"]), json.loads(file.metadata()["history"])


def _averaged(network: _Network) -> _Network:
    """A copy of a network for the average of its weights, in eval mode."""
    return copy.deepcopy(network).eval().requires_grad_(False)


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


@dataclass(frozen=True)
class Step:
    """What `train` yields after each step of the generator.

    Losses are scalars on the training device: reading one waits for the device.
    """

    number: int  # of steps done
    losses: dict[str, Tensor]  # by their names in the history
    generator: nn.Module  # the average, in eval mode; it changes with the next step, but a `Model` takes a copy
    state: State  # everything else

    @property
    def discriminator_loss(self) -> Tensor:
        """Of a GAN: without penalties; where n_critic is above 1, of the last of its steps."""
        return self.losses["discriminator_loss"]

    @property
    def generator_loss(self) -> Tensor:
        """Of a GAN."""
        return self.losses["generator_loss"]

    @property
    def penalty(self) -> Tensor:
        """Of a GAN: what the penalties added to the discriminator's loss, 0 where there are none."""
        return self.losses["penalty"]


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
    for network in filter(None, (state.generator, state.discriminator, state.encoder)):
        network.train()
    advance = _train_gan if state.encoder is None else _train_vae

    while state.step < config.steps:
        losses = advance(state, architecture, data)
        state.window.append(torch.stack(list(losses.values())))
        if state.step % history_every == 0 or state.step == config.steps:
            _record(state, list(losses))
        if state.step == config.steps:
            recompute_statistics(state.average, architecture, data, rng)
        yield Step(state.step, losses, state.average, state)


def _train_gan(state: State, architecture: Architecture, data: Data) -> dict[str, Tensor]:
    """The steps of both networks of a GAN, and their losses."""
    for _ in range(state.config.n_critic):
        real, y = draw(state, data)
        d_loss, penalty = train_discriminator(state, architecture, real, y)
    return {"discriminator_loss": d_loss, "generator_loss": train_generator(state, architecture, real, y),
            "penalty": penalty}


def _train_vae(state: State, architecture: Architecture, data: Data) -> dict[str, Tensor]:
    """One step of encoder and generator, and of their averages; both terms of the ELBO, with their signs changed."""
    assert state.encoder is not None
    assert state.average_encoder is not None
    config = state.config
    real, _ = draw(state, data)
    with _float32(state.rng.device):
        noise = _latents(state, architecture)
        reconstruction, divergence = negative_elbo(state.generator, state.encoder, real, noise)
        _descend(state, state.generator_optimizer, reconstruction + config.kl_weight * divergence,
                 config.generator_lr * _decay(state), reconstruction, divergence)
        for average, network in ((state.average, state.generator), (state.average_encoder, state.encoder)):
            update_average(average, network, _ema(state))
    state.step += 1
    return {"reconstruction_loss": reconstruction.detach(), "kl_divergence": divergence.detach()}


def negative_elbo(generator: nn.Module, encoder: Encoder, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The two terms whose sum is the negative evidence lower bound (Kingma & Welling 2014, eq. 3), in nats a sample.

    Args:
        generator, encoder: of a VAE.
        x: samples (N, *shape) in [-1, 1].
        noise: (N, latent_dim), standard normal, which becomes latents of q(z | x).

    Returns:
        Two scalars: the reconstruction loss −E[log p(x | z)], and the KL divergence of q(z | x) from N(0, I), both
        estimated with one latent for each sample.
    """
    mapped, log_density = encoder.sample(x, noise)
    z, log_determinant = coupling_layers(generator).inverse(mapped)
    divergence = log_density - log_determinant - log_normal(z)
    return pixel_cross_entropy(generator(z), x), divergence.mean()


def draw(state: State, data: Data) -> tuple[Tensor, Tensor | None]:
    """A batch of the run: real samples (N, *shape) and their labels (N,) or None, by the run's random numbers.

    Where several processes train, each draws the whole batch, and gets its own samples.
    """
    with _float32(state.rng.device):
        real, y = data.batch(state.config.batch_size, state.rng)
        return own(state.rng, real), None if y is None else own(state.rng, y)


def train_discriminator(state: State, architecture: Architecture, real: Tensor,
                        y: Tensor | None) -> tuple[Tensor, Tensor]:
    """One step of the discriminator on real samples (N, *shape) with labels (N,) or None, and as many fresh fakes.

    Returns:
        Two scalars: its loss without penalties, and what the penalties added.
    """
    config, loss = state.config, LOSSES[state.config.loss]
    assert state.discriminator_optimizer is not None
    with _float32(state.rng.device):
        penalties = _penalties(state)
        if state.chains and knows(penalties):
            samples = _samples(state, real, _latents(state, architecture), y, penalties)
            d_loss, penalty = write_discriminator_gradients(state.chains[1], samples, y, loss, penalties)
            step_by(state.discriminator_optimizer, config.discriminator_lr * _decay(state))
            return d_loss, penalty
        with _autocast(state):
            d_loss, penalty = discriminator_loss(state, loss, real, _latents(state, architecture), y)
        _descend(state, state.discriminator_optimizer, loss.weight * d_loss + penalty,
                 config.discriminator_lr * _decay(state), d_loss, penalty)
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
        if state.chains:
            g_loss = write_generator_gradients(state.generator, *state.chains, real, _latents(state, architecture), y,
                                               loss)
            step_by(state.generator_optimizer, config.generator_lr * _decay(state))
        else:
            with _autocast(state):
                g_loss = generator_loss(state, loss, real, _latents(state, architecture), y)
            _descend(state, state.generator_optimizer, g_loss, config.generator_lr * _decay(state), g_loss)
        state.update_average(_ema(state))
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


def _ema(state: State) -> float:
    """The decay of the averages at this step."""
    return min(state.config.ema, (1 + state.step) / (10 + state.step))


def _latents(state: State, architecture: Architecture) -> Tensor:
    return own(state.rng, _normal((state.config.batch_size, architecture.latent_dim), state.rng))


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


def check_loss(architecture: Architecture, config: TrainConfig, has_discriminator: bool, has_encoder: bool) -> None:
    """Raises ValueError where the networks cannot be trained by the config's loss."""
    if has_encoder:
        require(config.loss == ELBO, f"{architecture.kind} has an encoder: its loss must be {ELBO}, not {config.loss}")
    else:
        require(has_discriminator, f"{architecture.kind} has no discriminator to train against")
        require(config.loss != ELBO, f"{ELBO} trains an encoder, and {architecture.kind} has none: the loss must be "
                                     f"one of {', '.join(LOSSES)}")


def history_interval(config: TrainConfig) -> int:
    """Steps between two rows of a run's history."""
    return max(1, config.steps // HISTORY_ROWS)


def discriminator_loss(state: State, loss: Loss, real: Tensor, z: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
    """The discriminator's loss on real samples and as many fakes of a frozen generator, and its penalties.

    Returns:
        Two scalars: the loss, and the sum of γ times each penalty.
    """
    assert state.discriminator is not None
    penalties = _penalties(state)
    samples = _samples(state, real, z, y, penalties)
    # one pass over all of them: in a discriminator with a penalty, samples of a batch must not depend on each other
    batch = torch.cat(list(samples.values())).requires_grad_(bool(penalties))
    logits = state.discriminator(_augmented(state, batch), None if y is None else y.repeat(len(samples)))
    real_logits, fake_logits, *_ = torch.split(logits, len(real))
    total = loss.discriminator(real_logits, fake_logits)
    values = {value: dict(zip(samples, torch.split(value(batch, logits), len(real))))
              for value in dict.fromkeys(penalty.value for penalty, _ in penalties)}  # R1 and R2 are one function
    added = sum((gamma * values[penalty.value][penalty.at].mean() for penalty, gamma in penalties),
                torch.zeros((), device=total.device, dtype=total.dtype))
    return total, added


def _penalties(state: State) -> list[tuple[Penalty, float]]:
    """The penalties with their γ at this step."""
    share = state.config.final_penalty ** (state.step / state.config.steps)
    return [(PENALTIES[name], gamma * share) for name, gamma in state.config.penalties.items() if gamma > 0]


def _samples(state: State, real: Tensor, z: Tensor, y: Tensor | None,
             penalties: Sequence[tuple[Penalty, float]]) -> dict[str, Tensor]:
    """What the discriminator learns from, by places: real samples, fakes of a frozen generator, those of penalties."""
    fake = make(state.generator, state.chains and state.chains[0], z, y)
    places = sorted({penalty.at for penalty, _ in penalties} - {"real", "fake"})
    return {"real": real, "fake": fake} | {place: PLACES[place](real, fake, state.rng) for place in places}


def generator_loss(state: State, loss: Loss, real: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
    """The generator's loss on fresh noise, against a frozen discriminator."""
    assert state.discriminator is not None
    real_logits = None
    if loss.paired:
        with torch.no_grad():
            real_logits = state.discriminator(_augmented(state, real), y)
    return loss.generator(real_logits, state.discriminator(_augmented(state, state.generator(z, y)), y))


def _augmented(state: State, samples: Tensor) -> Tensor:
    """Samples (N, *shape) as the discriminator sees them. No random numbers are drawn without augmentation."""
    names = state.config.augment
    return augment(samples.float(), names, state.rng) if names else samples


def _descend(state: State, optimizer: torch.optim.Optimizer, loss: Tensor, lr: float, *parts: Tensor) -> None:
    """One step of one network; gradients are computed for its parameters alone.

    parts: of the loss; where several processes train, they become the means over all of them.
    """
    (group,) = optimizer.param_groups
    optimizer.zero_grad(set_to_none=True)
    if state.group.size == 1:
        torch.autograd.backward(loss, inputs=group["params"])
    else:
        torch.autograd.backward(share(state.rng) * loss, inputs=group["params"])
        gradients = [p.grad for p in group["params"] if p.grad is not None]
        state.group.add_up(gradients, [part.detach() for part in parts], share(state.rng))
    step_by(optimizer, lr)


def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """One step of the exponential moving average of a network's parameters (Yazıcı et al. 2019); buffers are copied.

    `torch.optim.swa_utils.AveragedModel` does not replace it: its decay cannot start lower, and it takes longer than a
    step of a toy network.
    """
    _averaging(average, network)(decay)


def _averaging(average: nn.Module, network: nn.Module) -> Callable[[float], None]:
    """`update_average` of two networks, as a function of the decay. Listing the tensors takes long for a toy."""
    averages, parameters = ([p.detach() for p in networks.parameters()] for networks in (average, network))
    buffers = list(zip(average.buffers(), network.buffers()))

    def update(decay: float) -> None:
        torch._foreach_lerp_(averages, parameters, 1 - decay)
        for averaged, current in buffers:
            averaged.copy_(current)
    return update


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


def _record(state: State, names: Sequence[str]) -> None:
    """Add the mean of the losses in the window, by their names, to the history, and empty the window."""
    row = dict(zip(names, torch.stack(state.window).mean(0).tolist()))
    state.window.clear()
    if not all(map(math.isfinite, row.values())):
        found = ", ".join(f"{name.removesuffix('_loss').replace('_', ' ')} {value}" for name, value in row.items())
        cure = "lower the learning rates" + (" or raise the penalties" if state.config.loss != ELBO else "")
        raise NonFiniteLoss(f"a loss is no longer finite at step {state.step} ({found}); {cure}")
    if not state.config.penalties:
        row.pop("penalty", None)
    state.history.append({"step": state.step, **row})
