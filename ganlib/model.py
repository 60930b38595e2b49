"""A trained generative network in use: sample, interpolate, discriminate."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ganlib import sampling
from ganlib.architectures import Architecture
from ganlib.calibration import Calibration
from ganlib.checks import check_float, check_int, quoted
from ganlib.networks import exact_convolutions

MOST_AT_ONCE = 2**22  # numbers in the widest layer of one batch: 16 MB, which fits a CPU's cache


class Model:
    """A generator and, where there is one, its discriminator, in eval mode on one device.

    The networks given are copied, so that a model may be made of a training's live step, and stays as it was then.

    Args:
        name: what it is called.
        architecture: the dataclass that built the networks.
        generator, discriminator: the networks; discriminator may be None.
        calibration: maps the discriminator's logits to probabilities.
        config, history, metrics: the weights folder's JSON files.
        folder: where the weights come from, or None.
    """

    def __init__(self, name: str, architecture: Architecture, generator: nn.Module,
                 discriminator: nn.Module | None = None, *, calibration: Calibration | None = None,
                 config: dict | None = None, history: list[dict] | None = None, metrics: dict | None = None,
                 folder: Path | None = None):
        self.name = name
        self.architecture = architecture
        self.generator = _frozen_copy(generator)
        self.discriminator = None if discriminator is None else _frozen_copy(discriminator)
        self.calibration = calibration or Calibration()
        self.config = config or {}
        self.history = history or []
        self.metrics = metrics or {}
        self.folder = folder

    def __repr__(self) -> str:
        return f"<ganlib.Model {self.name}: {self.latent_dim} -> {self.shape} on {self.device}>"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return tuple(self.architecture.shape)

    @property
    def latent_dim(self) -> int:
        """Numbers in a latent."""
        return self.architecture.latent_dim

    @property
    def num_classes(self) -> int | None:
        """How many classes it takes, None for none."""
        return self.architecture.num_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called, in order: numbers where they have no other names; empty without classes."""
        return tuple(self.config.get("class_names") or map(str, range(self.num_classes or 0)))

    @property
    def device(self) -> torch.device:
        """Where its networks are."""
        return next(self.generator.parameters()).device

    def to(self, device: torch.device | str) -> "Model":
        """Move the networks to a device; returns the model itself."""
        for network in filter(None, (self.generator, self.discriminator)):
            network.to(device)
        return self

    def sample(self, seeds: Iterable[int], labels: int | Sequence[int] | None = None,
               truncation: float = 1.0) -> Tensor:
        """One sample per seed: (N, *shape) float32 on the CPU, images in [-1, 1].

        A seed names a sample: it is the same alone or among others, on CPU or GPU (to 1e-3 of the range).

        Args:
            seeds: whole numbers in [0, 2**32 - 1].
            labels: a class for all, or one for each; None lets each seed pick. None for a model without classes.
            truncation: ψ in [0, 2], see `ganlib.sampling.truncate`.

        Raises:
            ValueError: what is allowed.
        """
        seeds = sampling.check_seeds(seeds)
        return self.decode(sampling.truncate(self.latents(seeds), truncation), self.labels_of(seeds, labels))

    def latents(self, seeds: Iterable[int]) -> Tensor:
        """Each seed's latent: (N, latent_dim) float32 on the CPU. Raises ValueError as `sample` does."""
        return sampling.latents(seeds, self.latent_dim)

    def draw(self, n: int, seed: int, labels: int | Sequence[int] | None = None) -> Tensor:
        """n samples (n, *shape) of one seed's stream of noise: for statistics, and faster than a seed each.

        Args:
            labels: as in `sample`, but None gives a model with classes each of them in turn.

        Raises:
            ValueError: what is allowed.
        """
        n = check_int(n, 1, 10**9, "the number of samples")
        if labels is None and self.num_classes:
            labels = [i % self.num_classes for i in range(n)]
        return self.decode(sampling.noise(seed, n, self.latent_dim), self.labels_of(range(n), labels))

    def interpolate(self, first: int, second: int, steps: int = 32, method: str = "slerp",
                    labels: int | Sequence[int] | None = None, truncation: float = 1.0) -> Tensor:
        """The path from one seed's sample to another's: (steps, *shape) float32, both ends included.

        Args:
            first, second: seeds, as in `sample`.
            steps: at least 2.
            method: "slerp" along the arc or "lerp" along the straight line between their latents.
            labels: a class for the whole path, one for each end, or None, as in `sample`; between two classes their
                shares change evenly.
            truncation: as in `sample`.

        Raises:
            ValueError: what is allowed.
        """
        steps = check_int(steps, 2, 10**6, "steps")
        return self.between(first, second, [i / (steps - 1) for i in range(steps)], method, labels, truncation)

    def between(self, first: int, second: int, positions: Sequence[float], method: str = "slerp",
                labels: int | Sequence[int] | None = None, truncation: float = 1.0) -> Tensor:
        """Samples at some positions of the path of `interpolate`, from 0, the first seed's, to 1, the second's."""
        interpolation, ends = sampling.interpolation(method), self.latents([first, second])
        shares = self._shares([first, second], labels)
        positions = [check_float(t, 0, 1, "a position") for t in positions]
        if not positions:
            raise ValueError("give at least one position")
        z = torch.stack([interpolation(*ends, t) for t in positions])
        y = None if shares is None else torch.stack([sampling.lerp(*shares, t) for t in positions])
        return self.decode(sampling.truncate(z, truncation), y)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The generator on latents z: (N, latent_dim), in batches; float32 on the CPU.

        Args:
            z: latents, a tensor or array of numbers.
            y: (N,) labels, or (N, num_classes) shares of the classes; None for a model without classes.

        Raises:
            ValueError: what is allowed.
        """
        z = _numbers(z, (self.latent_dim,), "latents")
        return self._in_batches(self.generator, z, self._conditions(y, len(z)))

    def discriminate(self, x: Tensor, labels: int | Sequence[int] | None = None) -> Tensor:
        """The calibrated probability that each sample is real: (N,) float32 in [0, 1], on the CPU.

        Args:
            x: (N, *shape), a tensor or array of numbers; images in [-1, 1].
            labels: as in `sample`, but a model with classes needs them.

        Raises:
            ValueError: what is allowed, or that the model has no discriminator.
        """
        y, logits = self._judged(x, labels)
        with _ordinary(logits.device):
            return self.calibration.probability(logits, y)

    def logits(self, x: Tensor, labels: int | Sequence[int] | None = None) -> Tensor:
        """The discriminator's outputs (N,) as it was trained, on the CPU. Arguments and errors as in `discriminate`."""
        return self._judged(x, labels)[1]

    def _judged(self, x: Tensor, labels: int | Sequence[int] | None) -> tuple[Tensor | None, Tensor]:
        if self.discriminator is None:
            raise ValueError(f"{self.name} has no discriminator")
        x = _numbers(x, self.shape, "samples")
        if self.num_classes and labels is None:
            raise ValueError(f"this model's discriminator needs labels, from 0 to {self.num_classes - 1}")
        y = self.labels_of(range(len(x)), labels)
        return y, self._in_batches(self.discriminator, x, y)

    def _in_batches(self, network: nn.Module, inputs: Tensor, y: Tensor | None) -> Tensor:
        n = max(1, MOST_AT_ONCE // self.architecture.widest)
        with _ordinary(self.device), exact_convolutions(self.device):
            parts = [network(inputs[i:i + n].to(self.device), None if y is None else y[i:i + n].to(self.device))
                     for i in range(0, len(inputs), n)]
            return torch.cat([part.float().cpu() for part in parts])

    def labels_of(self, seeds: Sequence[int], labels: int | Sequence[int] | None = None) -> Tensor | None:
        """The class (N,) of each seed's sample: those asked for, or what the seeds pick; None for a model without.

        Raises ValueError as `sample` does.
        """
        if self.num_classes is None:
            if labels is not None:
                raise ValueError(f"{self.name} has no classes: leave labels out")
            return None
        if labels is None:
            return sampling.labels(seeds, self.num_classes)
        try:
            chosen = list(labels)
        except TypeError:  # one for all
            chosen = [labels] * len(seeds)
        if len(chosen) != len(seeds):
            raise ValueError(f"there are {len(chosen)} labels for {len(seeds)} samples; give one, or one for each")
        checked = [check_int(label, 0, self.num_classes - 1, "a label") for label in chosen]
        return torch.tensor(checked, dtype=torch.long, device="cpu")

    def _shares(self, seeds: Sequence[int], labels: int | Sequence[int] | None) -> Tensor | None:
        """The labels of `labels_of` as shares of all classes, (N, num_classes) float32, 1 for the label's."""
        y = self.labels_of(seeds, labels)
        return None if y is None else one_hot(y, self.num_classes).float()

    def _conditions(self, y: Tensor | None, n: int) -> Tensor | None:
        """Checked labels (N,) int64, or shares (N, num_classes) float32."""
        if self.num_classes is None or y is None:
            if y is not None:
                raise ValueError(f"{self.name} has no classes: leave y out")
            if self.num_classes is not None:
                raise ValueError(f"{self.name} needs y: labels from 0 to {self.num_classes - 1}, or shares of them")
            return None
        if getattr(y, "ndim", 1) == 2:
            shares = _numbers(y, (self.num_classes,), "shares of the classes")
            if len(shares) != n:
                raise ValueError(f"there are {len(shares)} rows of shares for {n} samples")
            return shares
        return self.labels_of(range(n), y)


def _frozen_copy(network: nn.Module) -> nn.Module:
    with torch.inference_mode(False):
        copied = copy.deepcopy(network).eval().requires_grad_(False)
        return copied.to(memory_format=torch.channels_last)  # convolutions are faster so on a CPU


@contextmanager
def _ordinary(device: torch.device) -> Iterator[None]:
    """Meanwhile tensors are ordinary ones, in their own precision, whatever this thread has set."""
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield


def _numbers(values, shape: tuple[int, ...], what: str) -> Tensor:
    """Numbers of any floating type as a float32 tensor (N, *shape) that shares nothing with a training.

    Raises:
        ValueError: they are no floating numbers, or of another shape.
    """
    wanted = f"(N, {', '.join(map(str, shape))})"
    try:
        # a copy in plain order: torch takes no array that is read-only or reversed
        x = values if isinstance(values, Tensor) else torch.from_numpy(numpy.array(values, order="C"))
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{what} must be a tensor of shape {wanted}, not {quoted(values)}") from None
    if not x.is_floating_point():
        raise ValueError(f"{what} must be floating-point numbers, not {str(x.dtype).removeprefix('torch.')}"
                         + ("; images are in [-1, 1]" if x.dtype == torch.uint8 else ""))
    if x.ndim != len(shape) + 1 or not len(x) or tuple(x.shape[1:]) != shape:
        raise ValueError(f"{what} must be a tensor of shape {wanted}, N at least 1, not {tuple(x.shape)}")
    x = x.detach().float()
    if not x.isfinite().all():
        raise ValueError(f"{what} must be finite numbers that float32 can hold")
    return x
