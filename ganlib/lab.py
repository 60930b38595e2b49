"""A small GAN that is trained live: settings in, frames out. It knows no page.

    lab = Lab(Settings.of({"target": "ring", "seed": 3}))
    lab.advance("both", 100)
    header, arrays = unpack(lab.frame())  # arrays["generated"]: (500, 2) int16, arrays["probability"]: (40, 40) uint8

A frame depends on the settings and the actions alone: on one machine the same film repeats bit for bit. Frames are
packed as bytes, which `pack` describes, so that a browser can draw them without a copy.
"""

import gzip
import json
import math
import struct
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy
import torch
from torch import Tensor

from ganlib import calibration, checkpoint, metrics, sampling, toys
from ganlib.architectures import DCGAN, MLP, Architecture
from ganlib.checks import check_fields, check_float, check_int, quoted, require
from ganlib.data import Data, ImageData, open_data, scale
from ganlib.losses import LOSSES, PENALTIES, Loss
from ganlib.toys import Points
from ganlib.training import NonFiniteLoss, State, TrainConfig, draw, train, train_discriminator, train_generator

MAX_STEPS = 100_000  # of one film: those of both networks and those of one of them alone
MAX_POINTS, HEIGHTS = 400, 32  # of a target that somebody draws
LEAST_HEIGHT = 1e-3  # of the highest one that is drawn
PENALTY_CHOICES = ("none", "r1+r2", *PENALTIES)
# a step of a lab must be short, so that many visitors can share a machine
LIMITS: dict[str, tuple[float, float]] = {
    "mean": (-5, 5), "std": (0.2, 4), "gamma": (0, 20), "generator_lr": (1e-5, 0.1), "discriminator_lr": (1e-5, 0.1),
    "n_critic": (1, 5), "batch_size": (16, 256), "latent_dim": (1, 64), "width": (4, 128), "depth": (1, 4),
    "seed": (0, 9_999)}
DIGIT_LIMITS = LIMITS | {"batch_size": (16, 64), "width": (8, 32), "depth": (2, 3), "n_critic": (1, 2)}

NUMBERS, POINTS, SEEDS = 1_000, 500, 8  # how many samples a frame shows, by the kind of its lab
LINE, MAP, ARROWS, NET = 129, 40, 100, 17  # places of D on the line and, a side, in the plane; arrows; latents a side
STEPS_OF_COORDINATE = 4096  # in half an extent
CERTAIN, NO_ANSWER = 254, 255  # shades of a probability of 1, and of none
LOSSES_SHOWN = 10  # steps whose mean losses a frame shows
DIRECTIONS = 32  # of the sliced Wasserstein distance
CONFIDENT = 0.9  # from this probability on the classifier is confident of a digit

Kind = Literal["line", "plane", "digits"]
Who = Literal["both", "discriminator", "generator"]
Action = tuple[Who, int]


@dataclass(frozen=True)
class Target:
    """What a lab can learn.

    Args:
        label: its name in words.
        kind: how its frames are drawn.
        defaults: the settings of a lab that learns it.
    """

    label: str
    kind: Kind
    defaults: dict[str, Any]


_LINE = {"latent_dim": 2, "width": 32, "depth": 2, "batch_size": 256}
_PLANE = {"latent_dim": 2, "width": 64, "depth": 2, "batch_size": 128}
_DIGITS = {"latent_dim": 16, "width": 16, "depth": 3, "batch_size": 32, "gamma": 0.3, "generator_lr": 4e-3,
           "discriminator_lr": 2.5e-3}

TARGETS: dict[str, Target] = {
    "normal": Target("Normal", "line", _LINE),
    "two-bumps": Target("Two bumps", "line", _LINE),
    "uniform": Target("Uniform", "line", _LINE),
    "exponential": Target("Exponential", "line", _LINE),
    "drawn-line": Target("Draw a curve", "line", _LINE | {
        "drawn": tuple(round(math.exp(-((i - 9) / 4) ** 2) + 0.6 * math.exp(-((i - 23) / 3) ** 2), 2)
                       for i in range(HEIGHTS))}),
    "sine": Target("Sine curve", "plane", _PLANE),
    "ring": Target("Ring of 8", "plane", _PLANE),
    "grid": Target("Grid of 25", "plane", _PLANE | {"width": 128}),
    "moons": Target("Two moons", "plane", _PLANE),
    "spiral": Target("Spiral", "plane", _PLANE | {"width": 128}),
    "checkerboard": Target("Checkerboard", "plane", _PLANE | {"width": 128}),
    "drawn-cloud": Target("Draw a cloud", "plane", _PLANE | {
        "drawn": tuple((round(0.7 * math.cos(i / 3.2), 2), round(0.7 * math.sin(i / 1.6), 2)) for i in range(20))}),
    "digits": Target("Digits", "digits", _DIGITS),
}


@dataclass(frozen=True)
class Settings:
    """All that a film depends on, besides the actions.

    `Settings.of` takes some of these by name; the others are then those of the target.

    Args:
        target: a name in TARGETS.
        latent_dim: numbers in a latent.
        width, depth: units and number of the hidden layers of both networks; for digits the fewest channels, which
            double from layer to layer, and the number of layers.
        batch_size: real samples, and as many fakes, a step.
        mean, std: of the target "normal".
        drawn: of the target "drawn-line" 32 heights in [0, 1]; of "drawn-cloud" 1 to 400 points in [-1, 1]².
        loss: a name in `ganlib.LOSSES`.
        penalty: in PENALTY_CHOICES.
        gamma: the weight of the penalty.
        generator_lr, discriminator_lr: Adam's learning rates.
        n_critic: steps of the discriminator for each step of the generator.
        seed: of the initial weights and of all random numbers.

    Raises:
        ValueError: a setting is not allowed.
    """

    target: str
    latent_dim: int
    width: int
    depth: int
    batch_size: int
    mean: float = 3.0
    std: float = 2.0
    drawn: tuple[Any, ...] = ()
    loss: str = "relativistic"
    penalty: str = "r1+r2"
    gamma: float = 0.1
    generator_lr: float = 2e-3
    discriminator_lr: float = 2e-3
    n_critic: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        _check_target(self.target)
        require(isinstance(self.loss, str) and self.loss in LOSSES,
                f"loss must be one of {', '.join(LOSSES)}, not {quoted(self.loss)}")
        require(isinstance(self.penalty, str) and self.penalty in PENALTY_CHOICES,
                f"penalty must be one of {', '.join(PENALTY_CHOICES)}, not {quoted(self.penalty)}")
        types = {field.name: field.type for field in fields(self)}
        checked: dict[str, Any] = {"drawn": _check_drawn(self.target, self.drawn)}
        for name, (low, high) in (DIGIT_LIMITS if self.kind == "digits" else LIMITS).items():
            value = getattr(self, name)
            checked[name] = (check_int(value, int(low), int(high), name) if types[name] is int
                             else check_float(value, low, high, name))
        vars(self).update(checked)

    @classmethod
    def of(cls, values: Any) -> "Settings":
        """The settings of a target, with these values by name in place of its own. Raises ValueError for wrong ones."""
        require(isinstance(values, dict), f"settings must be a table of names and values, not {quoted(values)}")
        target = values.get("target", "ring")
        _check_target(target)
        merged = {"target": target, **TARGETS[target].defaults, **values}
        check_fields(merged, cls, "the lab")
        return cls(**merged)

    @property
    def kind(self) -> Kind:
        return TARGETS[self.target].kind

    def networks(self, data: Data) -> Architecture:
        """The architecture of both networks."""
        widths = (self.width,) * self.depth
        if self.kind != "digits":
            return MLP(tuple(data.shape), self.latent_dim, widths, widths, negative_slope=0.2, bounded=False)
        channels = tuple(self.width * 2**i for i in range(self.depth))
        return DCGAN(tuple(data.shape), self.latent_dim, channels[::-1], channels, features=64, embedding_dim=16,
                     num_classes=data.num_classes)

    def training(self) -> TrainConfig:
        """The training of both networks. Only digits are generated by averaged weights, which hide their flicker."""
        penalties = {} if self.penalty == "none" else dict.fromkeys(self.penalty.split("+"), self.gamma)
        return TrainConfig(MAX_STEPS, self.batch_size, self.loss, self.n_critic, self.generator_lr,
                           self.discriminator_lr, (0.0, 0.99), penalties=penalties,
                           ema=0.99 if self.kind == "digits" else 0.0, seed=self.seed)


def _check_target(target: Any) -> None:
    require(isinstance(target, str) and target in TARGETS,
            f"target must be one of {', '.join(TARGETS)}, not {quoted(target)}")


def _check_drawn(target: str, drawn: Any) -> tuple[Any, ...]:
    """What somebody drew, as tuples of floats. Raises ValueError where it is not a target."""
    if target not in ("drawn-line", "drawn-cloud"):
        return ()
    require(isinstance(drawn, list | tuple), f"drawn must be a list, not {quoted(drawn)}")
    if target == "drawn-line":
        require(len(drawn) == HEIGHTS, f"drawn must have {HEIGHTS} heights, not {len(drawn)}")
        heights = tuple(check_float(height, 0, 1, "a height in drawn") for height in drawn)
        require(max(heights) >= LEAST_HEIGHT, f"drawn must have a height of at least {LEAST_HEIGHT:g}")
        return heights
    require(1 <= len(drawn) <= MAX_POINTS, f"drawn must have 1 to {MAX_POINTS} points, not {len(drawn)}")
    require(all(isinstance(point, list | tuple) and len(point) == 2 for point in drawn),
            "each point in drawn must be two numbers")
    return tuple(tuple(check_float(number, -1, 1, "a coordinate in drawn") for number in point) for point in drawn)


_SHOWN: dict[str, Points] = {  # wider modes than those of the shipped models, so that a minute of training reaches them
    "ring": toys.Mixture("ring", toys.on_ring(8), 0.05, 0.08, "real ones sit on eight spots of a circle, 0.05 wide"),
    "grid": toys.Mixture("grid", toys.on_grid(5), 0.1, 0.2, "real ones sit on 25 spots, 0.1 wide")}


def open_target(settings: Settings, download: bool = False) -> Data:
    """The data of a lab.

    Raises:
        NotDownloaded: MNIST is missing, and download is False.
        ValueError: MNIST cannot be downloaded or read.
    """
    match settings.target:
        case "normal":
            return toys.Gaussian(settings.mean, settings.std)
        case "drawn-line":
            return toys.drawn_line(settings.drawn)
        case "drawn-cloud":
            return toys.drawn_cloud(settings.drawn)
        case "digits":
            return _digits(download)
        case name:
            return _SHOWN.get(name) or open_data(name)


_opened: dict[str, ImageData] = {}


def _digits(download: bool) -> ImageData:
    """MNIST, read once."""
    if "mnist" not in _opened:
        data = open_data("mnist", download=download)
        assert isinstance(data, ImageData)
        _opened["mnist"] = data
    return _opened["mnist"]


class Lab:
    """One training, and its frames.

    Args:
        settings: of the film.
        download: whether to download MNIST if it is needed and missing.

    Raises:
        NotDownloaded: MNIST is missing, and download is False.
        ValueError: MNIST cannot be downloaded or read.
    """

    def __init__(self, settings: Settings, download: bool = False):
        self.settings = settings
        self.data = open_target(settings, download)
        self.architecture = settings.networks(self.data)
        self.state = State.fresh(self.architecture, settings.training())
        self.actions: tuple[Action, ...] = ()
        self._steps = train(self.architecture, self.data, self.state.config, state=self.state)
        self._losses: deque[Tensor] = deque(maxlen=LOSSES_SHOWN)  # (discriminator, generator) of the last steps
        with torch.inference_mode(False):
            self._view = view(LOSSES[settings.loss], settings.latent_dim, self.data)

    @property
    def kind(self) -> Kind:
        return self.settings.kind

    @property
    def step(self) -> int:
        """Steps of the generator done."""
        return self.state.step

    def advance(self, who: Who, steps: int = 1) -> None:
        """Train both networks, or one of them against the other as it is.

        Raises:
            NonFiniteLoss: a loss is no longer finite.
            ValueError: the film is at its end.
        """
        require(who in get_args(Who), f"who must be one of {', '.join(get_args(Who))}, not {quoted(who)}")
        done = sum(n for _, n in self.actions)
        require(done + steps <= MAX_STEPS, f"a film has at most {MAX_STEPS:,} steps, not {done + steps:,}")
        for _ in range(steps):
            self._advance(who)
        self.actions = merged([*self.actions, (who, steps)])

    def _advance(self, who: Who) -> None:
        unknown = torch.tensor(math.nan)
        if who == "both":
            step = next(self._steps, None)
            if step is None:
                raise NonFiniteLoss("the training has ended, because a loss was no longer finite; begin another lab")
            losses = step.discriminator_loss, step.generator_loss
        else:
            assert self.state.discriminator is not None
            self.state.generator.train(), self.state.discriminator.train()
            batch = draw(self.state, self.data)
            if who == "discriminator":
                losses = train_discriminator(self.state, self.architecture, *batch)[0], unknown
            else:
                losses = unknown, train_generator(self.state, self.architecture, *batch)
        self._losses.append(torch.stack(losses))

    def opening(self) -> bytes:
        """What does not change in the film, packed: real samples, the true density, the extent."""
        return self._view.opening(asdict(self.settings))

    def frame(self) -> bytes:
        """The present moment, packed. The training's random numbers are not touched.

        Raises NonFiniteLoss where a network's outputs are no longer finite.
        """
        return self._view.frame(self.state, self.actions, list(self._losses))


def merged(actions: Iterable[Sequence[Any]]) -> tuple[Action, ...]:
    """Actions in which neighbours of one kind are one."""
    result: list[Action] = []
    for who, steps in actions:
        if result and result[-1][0] == who:
            steps += result.pop()[1]
        result.append((who, steps))
    return tuple(result)


def _or_none(number: float) -> float | None:
    return number if math.isfinite(number) else None


class View(ABC):
    """What a film shows of a training: its networks at fixed latents, beside fixed real samples.

    Args:
        loss: of the training.
        latent_dim: numbers in a latent.
        data: what it learns.
    """

    kind: Kind

    def __init__(self, loss: Loss, latent_dim: int, data: Any):
        self.loss, self.latent_dim, self.data = loss, latent_dim, data

    def opening(self, settings: dict[str, Any], recipe: str | None = None) -> bytes:
        """What does not change in a film, packed.

        Args:
            settings: of the lab.
            recipe: the name of the recipe whose training it shows in place of a lab's; the settings then only name the
                target.
        """
        header, arrays = self.fixed()
        return pack({"kind": self.kind, "settings": settings, "recipe": recipe, "ln2": self.loss.logistic, **header},
                    arrays)

    def frame(self, state: State, actions: Sequence[Action], losses: Sequence[Tensor] = ()) -> bytes:
        """A moment of a training after these actions, packed; losses are (discriminator, generator) of the last steps.

        Raises NonFiniteLoss where a network's outputs are not finite.
        """
        d_loss, g_loss = torch.stack(list(losses)).nanmean(0).tolist() if losses else (math.nan, math.nan)
        with torch.inference_mode(False):
            header, arrays = self.moment(state)
        return pack({"step": state.step, "actions": actions, "discriminator_loss": _or_none(d_loss),
                     "generator_loss": _or_none(g_loss), "verdict": _verdict(state.step, header["numbers"]), **header},
                    arrays)

    @abstractmethod
    def fixed(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The header and the arrays of the opening."""

    @abstractmethod
    def moment(self, state: State) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The header and the arrays of a frame."""

    def judge(self, real_logits: Tensor, fake_logits: Tensor) -> tuple[calibration.Calibration, dict[str, Any]]:
        """How to show logits as probabilities, and how many of these samples the discriminator then tells right.

        Raises NonFiniteLoss where a logit is not finite.
        """
        if not bool(torch.cat([real_logits, fake_logits]).isfinite().all()):
            raise NonFiniteLoss("the networks no longer give finite numbers; lower the learning rates or raise the "
                                "penalties")
        shown, raw = calibration.Calibration(), self.loss.log_odds and not self.loss.paired
        if not raw:  # its logits have an offset, or a scale, of their own
            shown = calibration.fit(real_logits, fake_logits, fit_scale=not self.loss.log_odds)
        right = torch.cat([shown.probability(real_logits) >= 0.5, shown.probability(fake_logits) < 0.5])
        return shown, {"calibrated": not raw, "accuracy": right.double().mean().item()}


class PointsView(View):
    """Numbers or points: samples, D(x) over the extent beside the best possible D, and the pull on the samples."""

    def __init__(self, loss: Loss, latent_dim: int, data: Points):
        super().__init__(loss, latent_dim, data)
        line = data.shape == (1,)
        self.kind: Kind = "line" if line else "plane"
        self.count = NUMBERS if line else POINTS
        self.real, self.other = (data.batch(self.count, torch.Generator().manual_seed(seed))[0] for seed in (1, 2))
        self.z = sampling.noise(0, self.count, latent_dim)
        low, high = (torch.tensor(data.extent[i::2]) for i in (0, 1))
        self.middle, self.half = (low + high) / 2, (high - low) / 2
        # the line has places at both ends, the plane at the middles of its cells
        share = torch.linspace(-1, 1, LINE) if line else (torch.arange(MAP) + 0.5) * (2 / MAP) - 1
        self.axes = [middle + half * share for middle, half in zip(self.middle, self.half)]
        # the plane row by row, from the lowest x2 up
        self.places = torch.stack(torch.meshgrid(*self.axes, indexing="xy"), -1).view(-1, data.shape[0])
        self.p = data.density(self.places, data.bandwidth)
        self.distance_of_real = self.distance(self.other)
        self.overlap_of_real = self._overlap(self._density(self.other))
        self.net = _latent_net(latent_dim)

    def distance(self, x: Tensor) -> float:
        """Sliced Wasserstein distance of samples to the fixed real ones."""
        return metrics.sliced_wasserstein(x, self.real, DIRECTIONS if x.shape[1] > 1 else 1)

    def _density(self, x: Tensor) -> Tensor:
        """The density of samples at the places, smoothed as the target's."""
        if self.data.shape[0] == 1:
            return metrics.kernel_density(x, self.places, self.data.bandwidth)
        return metrics.kernel_density_map(x, self.axes[0], self.axes[1], self.data.bandwidth).flatten()

    def _overlap(self, q: Tensor) -> float:
        """The share of the target's mass that a density at the places, smoothed as the target's, covers."""
        return (torch.minimum(self.p, q).sum() / self.p.sum()).item()

    def fixed(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        arrays = {"real": self._coordinates(self.real)}
        if self.data.shape[0] == 1:
            arrays["density"] = self.data.density(self.places).float()
        elif (curve := self.data.curve(200)) is not None:
            arrays["curve"] = self._coordinates(curve)
        unit = "Wasserstein-1 distance" if self.data.shape[0] == 1 else "sliced Wasserstein distance"
        return {"extent": list(self.data.extent), "truth": self.data.truth, "unit": unit}, arrays

    def moment(self, state: State) -> tuple[dict[str, Any], dict[str, Tensor]]:
        assert state.discriminator is not None
        with torch.no_grad():
            x = state.average(self.z).float()
            logits = state.discriminator(torch.cat([self.real, x, self.places]))
            real_logits, fake_logits, logits = torch.split(logits, [self.count, self.count, len(self.places)])
            shown, judged = self.judge(real_logits, fake_logits)
        distance = self.distance(x)
        q = self._density(x)
        pull = self._pull(state, x)
        numbers = {**self.data.measure(x), "overlap": self._overlap(q), "overlap_of_real": self.overlap_of_real,
                   "accuracy": judged["accuracy"], "pull": pull.norm(dim=1).mean().item()}
        arrays = {"generated": self._coordinates(x), "probability": self._shades(shown.probability(logits)),
                  "best": self._shades(self.p / (self.p + q)).masked_fill(
                      self._square((self.p + q) <= 1e-2 * (self.p + q).max()), NO_ANSWER)}
        if self.data.shape[0] == 2:
            # no arrow is longer than a quarter of the extent; short ones keep their proportions
            length = pull.norm(dim=1, keepdim=True)
            arrows = self.half * pull / (1 + length) / 4
            arrays["arrows"] = self._coordinates(self.middle + arrows[:ARROWS])
            with torch.no_grad():
                arrays["net"] = self._coordinates(state.average(self.net).float()).view(NET, NET, 2)
        header = {"distance": distance, "distance_of_real": self.distance_of_real, "numbers": numbers,
                  "calibrated": judged["calibrated"]}
        return header, arrays

    def _pull(self, state: State, x: Tensor) -> Tensor:
        """Minus the gradient of the generator's loss at each sample, (N, D): which way it is pulled, and how much.

        In half extents: 1 is a change of the loss by 1 on the way from the middle to the edge.
        """
        assert state.discriminator is not None
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            real_logits = state.discriminator(self.real).detach() if self.loss.paired else None
            loss = self.loss.generator(real_logits, state.discriminator(x)) * len(x)
            (gradient,) = torch.autograd.grad(loss, x)
        return -gradient * self.half

    def _coordinates(self, x: Tensor) -> Tensor:
        """Samples as int16: 4096 for half an extent, from its middle."""
        return ((x - self.middle) / self.half * STEPS_OF_COORDINATE).round().clamp(-32767, 32767).to(torch.int16)

    def _shades(self, probability: Tensor) -> Tensor:
        """Probabilities at the places as uint8."""
        return self._square((probability.nan_to_num(0.5) * CERTAIN).round().to(torch.uint8))

    def _square(self, values: Tensor) -> Tensor:
        return values if self.data.shape[0] == 1 else values.view(MAP, MAP)


def _latent_net(latent_dim: int) -> Tensor:
    """Latents (NET², latent_dim) on a regular grid of the first two numbers; the others are 0."""
    line = torch.linspace(-2, 2, NET)
    net = torch.zeros(NET * NET, latent_dim)
    net[:, :2] = torch.cartesian_prod(line, line).flip(1)[:, :latent_dim]
    return net


class DigitsView(View):
    """Ten digits of eight seeds, and the discriminator's probability of each."""

    kind = "digits"

    def __init__(self, loss: Loss, latent_dim: int, data: ImageData):
        super().__init__(loss, latent_dim, data)
        assert data.labels is not None
        assert data.num_classes is not None
        self.y = torch.arange(data.num_classes).repeat(SEEDS)
        self.z = sampling.latents(range(SEEDS), latent_dim).repeat_interleave(data.num_classes, 0)
        # the first images of each digit, in the order of the sheet
        places = torch.stack([(data.labels == digit).nonzero()[:2 * SEEDS, 0] for digit in range(data.num_classes)], 1)
        self.real, self.other = (scale(data.images[part.flatten()]) for part in torch.split(places, SEEDS))
        self.distance_of_real = self.distance(self.other)
        self.classifier = checkpoint.classifier_for(data, "cpu")

    def distance(self, x: Tensor) -> float:
        """Sliced Wasserstein distance of the pixels of two sheets."""
        return metrics.sliced_wasserstein(x.flatten(1), self.real.flatten(1), DIRECTIONS)

    def fixed(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return ({"truth": "real ones are from MNIST", "unit": "sliced Wasserstein distance of pixels"},
                {"real": self._pixels(self.real)})

    def moment(self, state: State) -> tuple[dict[str, Any], dict[str, Tensor]]:
        assert state.discriminator is not None
        with torch.no_grad():
            x = state.average(self.z, self.y).float()
            real_logits, fake_logits = state.discriminator(torch.cat([self.real, x]), self.y.repeat(2)).chunk(2)
        shown, judged = self.judge(real_logits, fake_logits)
        numbers = {"accuracy": judged["accuracy"], **self._reading(x)}
        header = {"distance": self.distance(x), "distance_of_real": self.distance_of_real, "numbers": numbers,
                  "calibrated": judged["calibrated"]}
        shades = (shown.probability(fake_logits) * CERTAIN).round().to(torch.uint8)
        return header, {"sheet": self._pixels(x), "probability": shades}

    def _reading(self, x: Tensor) -> dict[str, float]:
        """How many digits the classifier is confident of, and how many of these it reads as they were asked for."""
        if self.classifier is None:
            return {}
        _, probability = self.classifier.examine(x)
        confidence, read = probability.max(1)
        confident = confidence >= CONFIDENT
        return {"digits": len(x), "confident": int(confident.sum()),
                "readable": int((confident & (read == self.y)).sum())}

    def _pixels(self, x: Tensor) -> Tensor:
        return x.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)[:, 0]


def view(loss: Loss, latent_dim: int, data: Any) -> View:
    """The view of trainings on these data: toy distributions, or images of digits."""
    return (PointsView if data.evaluation == "points" else DigitsView)(loss, latent_dim, data)


def _verdict(step: int, numbers: dict[str, Any]) -> str:
    """The measures of a frame as a sentence."""
    if "modes" in numbers:
        found = f"{numbers['modes']} of {numbers['centres']} modes, {numbers['high_quality']:.0%} good samples"
    elif "overlap" in numbers:
        found = f"{numbers['overlap']:.0%} of the target covered (real samples: {numbers['overlap_of_real']:.0%})"
    elif "readable" in numbers:
        found = f"{numbers['readable']} of {numbers['digits']} digits are clearly readable"
    else:
        found = "no classifier is here to read the digits"
    return f"Step {step:,}: {found}. The discriminator is right about {numbers['accuracy']:.0%} of all samples."


DTYPES = {torch.uint8: "uint8", torch.int16: "int16", torch.float32: "float32"}


def pack(header: dict[str, Any], arrays: dict[str, Tensor]) -> bytes:
    """A header and arrays as bytes.

    All numbers are little-endian. First the length of the header as uint32. Then the header as JSON, padded with spaces
    so that what follows begins at a multiple of 4. Then the arrays, each padded with zeros to a multiple of 4 bytes.
    The header's `arrays` names them: [name, "uint8", "int16" or "float32", shape] in their order.
    """
    table = [[name, DTYPES[array.dtype], list(array.shape)] for name, array in arrays.items()]
    text = json.dumps({**header, "arrays": table}, ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    parts = [array.contiguous().numpy() for array in arrays.values()]
    blobs = [part.astype(part.dtype.newbyteorder("<"), copy=False).tobytes() for part in parts]
    return b"".join([struct.pack("<I", len(text)), text, *(blob + bytes(-len(blob) % 4) for blob in blobs)])


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, numpy.ndarray[Any, Any]]]:
    """The header and the arrays of what `pack` made. Raises ValueError for anything else."""
    try:
        start = 4 + struct.unpack_from("<I", data)[0]
        header = json.loads(data[4:start])
        arrays = {}
        for name, dtype, shape in header["arrays"]:
            require(dtype in DTYPES.values(), "unknown type")
            kind, count = numpy.dtype(dtype).newbyteorder("<"), math.prod(shape)
            arrays[name] = numpy.frombuffer(data, kind, count, start).reshape(shape)
            start += -(-count * kind.itemsize // 4) * 4
        require(start == len(data), "wrong length")
    except (struct.error, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"these bytes are not a frame of a lab ({error})") from None
    return header, arrays


def write_film(path: Path, opening: bytes, frames: Sequence[bytes]) -> None:
    """Write a film, as `film_of` makes it."""
    checkpoint.write_atomically(path, film_of(opening, frames))


def film_of(opening: bytes, frames: Sequence[bytes]) -> bytes:
    """A film: the opening and the frames, each after its length as uint32, compressed by gzip."""
    parts = b"".join(struct.pack("<I", len(part)) + part for part in (opening, *frames))
    return gzip.compress(parts, 9, mtime=0)


def read_film(path: Path) -> tuple[bytes, list[bytes]]:
    """The opening and the frames of a film. Raises ValueError where the file is none."""
    try:
        opening, *frames = _parts(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, struct.error, ValueError) as error:
        raise ValueError(f"{path} is not a film ({error})") from None
    return opening, frames


def _parts(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = start + 4 + struct.unpack_from("<I", data, start)[0]
        require(end <= len(data), "it ends within a frame")
        yield data[start + 4:end]
        start = end


__all__ = ["LIMITS", "MAX_STEPS", "PENALTY_CHOICES", "TARGETS", "Lab", "Settings", "pack", "unpack"]
