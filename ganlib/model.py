"""A trained GAN in use: sample, interpolate, discriminate."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ganlib import sampling
from ganlib.networks import Architecture, exact_convolutions

MOST_AT_ONCE = 2**22  # numbers in one layer: about what a CPU's cache likes, whatever is asked for


class Model:
    """A generator and its discriminator, in eval mode on one device, with what is known of their training.

    architecture: the dataclass that built them. config, history, metrics: the weights folder's JSON files.
    folder: where the weights come from, or None.
    """

    def __init__(self, name: str, architecture: Architecture, generator: nn.Module, discriminator: nn.Module, *,
                 config: dict | None = None, history: list[dict] | None = None, metrics: dict | None = None,
                 folder: Path | None = None):
        self.name = name
        self.architecture = architecture
        self.generator = generator.eval().requires_grad_(False)
        self.discriminator = discriminator.eval().requires_grad_(False)
        for network in (self.generator, self.discriminator):
            network.to(memory_format=torch.channels_last)  # as they are trained: quicker convolutions on a CPU
        self.config = config or {}
        self.history = history or []
        self.metrics = metrics or {}
        self.folder = folder

    def __repr__(self) -> str:
        return f"<ganlib.Model {self.name}: {self.latent_dim} -> {self.shape} on {self.device}>"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self.architecture.shape

    @property
    def latent_dim(self) -> int:
        return self.architecture.latent_dim

    @property
    def num_classes(self) -> int | None:
        return self.architecture.num_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called, in order: numbers where they have no other names; empty without classes."""
        return tuple(self.config.get("class_names") or map(str, range(self.num_classes or 0)))

    @property
    def device(self) -> torch.device:
        return next(self.generator.parameters()).device

    def to(self, device: torch.device | str) -> "Model":
        """Move both networks to a device; returns the model itself."""
        self.generator.to(device)
        self.discriminator.to(device)
        return self

    def sample(self, seeds: Iterable[int], labels: int | Sequence[int] | None = None,
               truncation: float = 1.0) -> Tensor:
        """One sample per seed: (N, *shape) float32 on the CPU, images in [-1, 1].

        A seed names a sample: it is the same alone or among others, on CPU or GPU (to 1e-3 of the range).
        seeds: whole numbers in [0, 2**32 - 1]. labels: a class for all, one for each, or None; None where the model has
        no classes, and where it has, None lets each seed pick. truncation: ψ in [0, 2], see `ganlib.sampling.truncate`.
        Raises ValueError saying what is allowed.
        """
        seeds = sampling.check_seeds(seeds)
        return self.decode(self.truncate(self.latents(seeds), truncation), self.labels_of(seeds, labels))

    def latents(self, seeds: Iterable[int]) -> Tensor:
        """Each seed's latent: (N, latent_dim) float32 on the CPU. Raises ValueError as `sample` does."""
        return sampling.latents(seeds, self.latent_dim, self.architecture.codes)

    def truncate(self, z: Tensor, truncation: float) -> Tensor:
        """Latents as `ganlib.sampling.truncate` makes them for this model."""
        return sampling.truncate(z, truncation, self.architecture.codes)

    def draw(self, n: int, seed: int, labels: Tensor | None = None) -> Tensor:
        """n samples (n, *shape) of one seed's stream of noise: for statistics, and quicker than a seed each.

        labels: (n,) for a model with classes; None lets the classes take turns.
        """
        y = None
        if self.num_classes:
            y = torch.arange(n) % self.num_classes if labels is None else labels
        return self.decode(sampling.noise(seed, n, self.latent_dim, self.architecture.codes), y)

    def interpolate(self, first: int, second: int, steps: int = 32, method: str = "slerp",
                    labels: int | Sequence[int] | None = None, truncation: float = 1.0) -> Tensor:
        """The way from one seed's sample to another's: (steps, *shape) float32, both ends included.

        method: "slerp" along the arc or "lerp" along the straight line between their latents. labels: a class for the
        whole way, one for each end, or None, as in `sample`; on a way between two, their shares change evenly. Raises
        ValueError saying what is allowed.
        """
        path = sampling.walk(self.latents([first, second]), steps, sampling.interpolation(method))
        shares = self.shares_of([first, second], labels)
        return self.decode(self.truncate(path, truncation),
                           None if shares is None else sampling.walk(shares, steps, sampling.lerp))

    @torch.inference_mode()
    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The generator on latents z: (N, latent_dim), batch by batch; on the CPU.

        y: (N,) labels, or (N, num_classes) shares of the classes; None for a model without.
        """
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"latents must be (N, {self.latent_dim}), not {tuple(z.shape)}")
        return self._in_batches(self.generator, z, y)

    @torch.inference_mode()
    def discriminate(self, x: Tensor, labels: int | Sequence[int] | None = None) -> Tensor:
        """The discriminator's probability that each sample is real: (N,) float32 in [0, 1], on the CPU.

        x: (N, *shape). labels: as in `sample`, but a model with classes needs them. Raises ValueError for other shapes.
        """
        if not isinstance(x, Tensor) or not x.ndim or not len(x) or tuple(x.shape[1:]) != tuple(self.shape):
            shape = tuple(x.shape) if isinstance(x, Tensor) else x
            raise ValueError(f"samples must be a tensor of shape (N, {', '.join(map(str, self.shape))}), not {shape!r}")
        if self.num_classes and labels is None:
            raise ValueError(f"this model's discriminator needs labels, from 0 to {self.num_classes - 1}")
        return self._in_batches(self.discriminator, x.float(), self.labels_of(range(len(x)), labels)).sigmoid()

    def _in_batches(self, network: nn.Module, inputs: Tensor, y: Tensor | None) -> Tensor:
        n = max(1, MOST_AT_ONCE // self.architecture.widest)
        with exact_convolutions(self.device):
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
        return torch.tensor([sampling.whole(label, 0, self.num_classes - 1, "a label") for label in chosen])

    def shares_of(self, seeds: Sequence[int], labels: int | Sequence[int] | None = None) -> Tensor | None:
        """The labels of `labels_of` as shares of all classes, (N, num_classes) float32, 1 for the label's."""
        y = self.labels_of(seeds, labels)
        return None if y is None else one_hot(y, self.num_classes).float()
