"""A trained generative network in use: sample, interpolate, discriminate, encode."""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ganlib import inversion, sampling
from ganlib.architectures import Architecture
from ganlib.calibration import Calibration
from ganlib.checks import check_float, check_int, quoted, require
from ganlib.devices import check_device
from ganlib.folding import Folded, Folding
from ganlib.networks import coupling_layers, default_modes, exact_convolutions

MAX_ACTIVATIONS = 2**22  # in the widest layer of one batch: 16 MB, which fits a CPU's cache
MAX_WALK = 5_000  # samples: as many as a film may have frames

Labels = int | Sequence[int] | Tensor  # one class for all samples, or one for each


class Model:
    """A generator and, where there are any, its discriminator and its encoder, in eval mode on one device.

    The networks given are copied: a model that is made of a training's step does not change with the next step. Its
    attributes `shape` (of one sample), `latent_dim` and `num_classes` (or None) are the architecture's. For a wrong
    argument, every method raises a ValueError that says what is allowed.

    Args:
        name: of the model.
        architecture: the dataclass that built the networks.
        generator, discriminator, encoder: the networks; a GAN has a discriminator, a VAE has an encoder.
        calibration: maps the discriminator's logits to probabilities.
        config, history, metrics: the weights folder's JSON files.
        folder: where the weights come from, or None.
        weights_sha256: the hash of the generator's file, or None; see `ganlib.checkpoint.weights_sha256`.
        revision: the commit on the Hub, or None.
        own: whether the networks are given away: they are changed, and not copied.
    """

    def __init__(self, name: str, architecture: Architecture, generator: nn.Module,
                 discriminator: nn.Module | None = None, *, encoder: nn.Module | None = None,
                 calibration: Calibration | None = None,
                 config: dict[str, Any] | None = None, history: list[dict[str, Any]] | None = None,
                 metrics: dict[str, Any] | None = None, folder: Path | None = None,
                 weights_sha256: str | None = None, revision: str | None = None, own: bool = False):
        self.name = name
        self.architecture = architecture
        self.shape: tuple[int, ...] = tuple(architecture.shape)
        self.latent_dim: int = architecture.latent_dim
        self.num_classes: int | None = architecture.num_classes
        self._folding = Folding()
        self.generator = _frozen(generator, own)
        self.discriminator = None if discriminator is None else _frozen(discriminator, own)
        self.encoder = None if encoder is None else _frozen(encoder, own)
        self.calibration = calibration or Calibration()
        self.config = config or {}
        self.history = history or []
        self.metrics = metrics or {}
        self.folder: Any = folder  # not None for a model that was loaded
        self.weights_sha256 = weights_sha256
        self.revision = revision

    def __repr__(self) -> str:
        return f"<ganlib.Model {self.name}: {self.latent_dim} -> {self.shape} on {self.device}>"

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, revision: str | None = None,
                        token: str | bool | None = None, cache_dir: str | Path | None = None,
                        local_files_only: bool = False, device: torch.device | str | None = None) -> "Model":
        """A trained model, as `ganlib.load` loads it: a shipped one, a weights folder, or "user/repo" on the Hub.

        Args:
            name_or_path: as in `ganlib.load`.
            revision: a branch, tag or commit of a model on the Hub.
            token: of the Hub; None for that of `hf auth login` or HF_TOKEN, False for none.
            cache_dir: the folder that downloads are kept in, None for the cache of the Hub's client.
            local_files_only: use cached files only, and no network.
            device: None for the best one available.

        Raises:
            ValueError: the device or the revision is wrong.
            WeightsError: which file is wrong, and what is wrong with it, or why it could not be downloaded.
        """
        from ganlib import hub

        return hub.load(name_or_path, device, revision=revision, cache_dir=cache_dir,
                        local_files_only=local_files_only, token=token)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model as a weights folder, as `ganlib.save` does. Returns the folder.

        Raises ValueError if it would not load again.
        """
        from ganlib import checkpoint

        return checkpoint.save(self, folder)

    def push_to_hub(self, repo: str, *, private: bool | None = None, revision: str | None = None,
                    commit_message: str | None = None, create_pr: bool = False, token: str | None = None) -> str:
        """Send the model, as it is in memory, to a model repo on the Hub, in one commit.

        It need not be measured: then its card says so. Measures of other weights are left out. The pictures and an
        edited card of its folder are sent if the weights are those of the folder. Of an edited card in the repo, only
        the measures change.

        Args:
            repo: "user/name". It is created if it is missing.
            private: whether a new repo is private, None for the account's default.
            revision: the branch, None for main. It is created if it is missing.
            commit_message: None for a default.
            create_pr: open a pull request, which needs no right to write to the repo if the branch is there.
            token: None for that of `hf auth login` or HF_TOKEN.

        Returns:
            The address of the commit, or of the pull request; of the newest commit if nothing has changed.

        Raises:
            ValueError: the repo or the branch has no valid name, or the model could not be saved.
            WeightsError: why it could not be sent.
        """
        from ganlib import publishing

        return publishing.push(self, repo, private=private, revision=revision, message=commit_message,
                               create_pr=create_pr, token=token)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes in order, by default their numbers; empty without classes."""
        return tuple(self.config.get("class_names") or map(str, range(self.num_classes or 0)))

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        return next(self.generator.parameters()).device

    def to(self, device: torch.device | str | None) -> "Model":
        """The model itself, after moving its networks to a device, the best one for None."""
        device = check_device(device)
        for network in filter(None, (self.generator, self.discriminator, self.encoder)):
            network.to(device)
        return self

    def sample(self, seeds: Iterable[int], labels: Labels | None = None, truncation: float = 1.0) -> Tensor:
        """One sample per seed: (N, *shape) float32 on the CPU, images in [-1, 1].

        A seed names a sample: it is the same alone or among others, on CPU or GPU (to 1e-3 of the range).

        Args:
            seeds: whole numbers in [0, 2**32 - 1].
            labels: a class for all, or one for each; by default each seed picks one. None for a model without classes.
            truncation: ψ in [0, 2], see `ganlib.sampling.truncate`.
        """
        seeds = sampling.check_seeds(seeds)
        return self.decode(sampling.truncate(self.latents(seeds), truncation), self.labels_of(seeds, labels))

    def latents(self, seeds: Iterable[int]) -> Tensor:
        """Each seed's latent: (N, latent_dim) float32 on the CPU."""
        return sampling.latents(seeds, self.latent_dim)

    def draw(self, n: int, seed: int, labels: Labels | None = None) -> Tensor:
        """n samples (n, *shape) from one seed's noise: for statistics, and faster than a seed for each.

        Args:
            labels: as in `sample`, but by default the classes in turn.
        """
        n = check_int(n, 1, 10**9, "the number of samples")
        if labels is None and self.num_classes:
            labels = [i % self.num_classes for i in range(n)]
        return self.decode(sampling.noise(seed, n, self.latent_dim), self.labels_of(range(n), labels))

    def interpolate(self, first: int, second: int, steps: int = 32, method: str = "slerp",
                    labels: Labels | None = None, truncation: float = 1.0) -> Tensor:
        """The path from one seed's sample to another's: (steps, *shape) float32, both ends included.

        Args:
            first, second: seeds, as in `sample`.
            steps: at least 2.
            method: "slerp" along the arc or "lerp" along the straight line between their latents.
            labels: a class for the whole path, one for each end, or None, as in `sample`; between two classes their
                shares change linearly.
            truncation: as in `sample`.
        """
        steps = check_int(steps, 2, 10**6, "steps")
        return self.between(first, second, [i / (steps - 1) for i in range(steps)], method, labels, truncation)

    def between(self, first: int, second: int, positions: Sequence[float], method: str = "slerp",
                labels: Labels | None = None, truncation: float = 1.0) -> Tensor:
        """Samples at positions on the path of `interpolate`, from 0, the first seed's sample, to 1, the second's."""
        ends = [first, second]
        positions = [check_float(t, 0, 1, "a position") for t in positions]
        require(len(positions) > 0, "give at least one position")
        return self._along(self.latents(ends), self.labels_of(ends, labels), positions, method, truncation)

    def walk(self, latents: Tensor, labels: Labels | None, steps: int, method: str = "slerp", closed: bool = False,
             truncation: float = 1.0) -> Tensor:
        """The path through several latents, one leg after another: (N, *shape) float32.

        Args:
            latents: (K, latent_dim), K at least 2.
            labels: a class for the whole path, or one for each latent; None for a model without classes.
            steps: samples of a leg with both its ends, at least 2. An open path has (K - 1) (steps - 1) + 1 samples,
                at most 5,000.
            method: as in `interpolate`, for each leg.
            closed: whether another leg leads back to the first latent, whose sample is not repeated at the end; then
                there are K (steps - 1) samples.
            truncation: as in `sample`.
        """
        steps = check_int(steps, 2, 10**6, "steps")
        z = self._latents_of(latents).cpu()
        require(len(z) > 1, "a path needs at least 2 latents")
        y = None if labels is None else self.labels_of(range(len(z)), labels)
        if closed:
            z, y = torch.cat([z, z[:1]]), None if y is None else torch.cat([y, y[:1]])
        n = check_int((len(z) - 1) * (steps - 1) + (not closed), 1, MAX_WALK, "the number of samples")
        return self._along(z, y, [i / (steps - 1) for i in range(n)], method, truncation)

    def _along(self, z: Tensor, y: Tensor | None, positions: Sequence[float], method: str, truncation: float) -> Tensor:
        """Samples at positions of the path through latents z (K, latent_dim) and labels y (K,)."""
        z = sampling.along(z, positions, sampling.interpolation(method))
        if y is not None:
            y = sampling.along(one_hot(y, self.num_classes or -1).float(), positions, sampling.lerp)
        return self._decode(sampling.truncate(z, truncation), y)

    def decode(self, z: Tensor, y: Labels | None = None) -> Tensor:
        """The generator on latents z: (N, latent_dim), in batches; float32 on the CPU.

        Args:
            z: latents, a tensor or array of floating-point numbers from -100 to 100.
            y: (N,) labels, or (N, num_classes) shares of the classes; None for a model without classes.
        """
        return self._decode(self._latents_of(z), y)

    def _decode(self, z: Tensor, y: Labels | None) -> Tensor:
        if self.num_classes and y is None:
            raise ValueError(f"{self.name} needs y: labels from 0 to {self.num_classes - 1}, or shares of them")
        if not (self.num_classes and getattr(y, "ndim", 1) == 2):
            return self._generated(z, self.labels_of(range(len(z)), y))
        shares = _to_float32(y, (self.num_classes,), "shares of the classes")
        require(len(shares) == len(z), f"there are {len(shares)} rows of shares for {len(z)} samples")
        return self._generated(z, shares)

    def _generated(self, z: Tensor, y: Tensor | None) -> Tensor:
        return self._in_batches(self._folding.of(self.generator), z, y)

    def discriminate(self, x: Tensor, labels: Labels | None = None) -> Tensor:
        """The calibrated probability that each sample is real: (N,) float32 in [0, 1], on the CPU.

        Raises ValueError if the model has no discriminator.

        Args:
            x: (N, *shape), a tensor or array of floating-point numbers; images in [-1, 1].
            labels: as in `sample`, but a model with classes needs them.
        """
        logits = self.logits(x, labels)
        with default_modes(logits.device):
            return self.calibration.probability(logits, self.labels_of(range(len(logits)), labels))

    def logits(self, x: Tensor, labels: Labels | None = None) -> Tensor:
        """The discriminator's outputs (N,) as it was trained, on the CPU. Arguments and errors as in `discriminate`."""
        if self.discriminator is None:
            raise ValueError(f"{self.name} has no discriminator")
        x = self.samples_of(x)
        if self.num_classes and labels is None:
            raise ValueError(f"this model's discriminator needs labels, from 0 to {self.num_classes - 1}")
        return self._in_batches(self.discriminator, x, self.labels_of(range(len(x)), labels))

    def encode(self, x: Tensor) -> Tensor:
        """The latents (N, latent_dim) of given samples, float32 on the CPU, by one pass of the encoder.

        They are in the middle of q(z | x): `decode` makes reconstructions of them. Alone or among others, a sample's
        latent is the same to about 1e-5. For a model without an encoder, `invert` searches for latents.

        Raises ValueError if the model has no encoder.

        Args:
            x: as in `discriminate`.
        """
        if self.encoder is None:
            raise ValueError(f"{self.name} has no encoder: its invert searches for latents")
        mapped = self._in_batches(self.encoder, self.samples_of(x), None).to(self.device)
        with default_modes(self.device):
            z, _ = coupling_layers(self.generator).inverse(mapped)
            # samples unlike all that it was trained on may be far away
            return z.cpu().clamp(-sampling.MAX_LATENT, sampling.MAX_LATENT)

    def invert(self, x: Tensor, labels: Labels | None = None, *, seed: int = 0,
               progress: Callable[[float], object] | None = None) -> inversion.Inversion:
        """The latents whose samples come closest to given ones, as far as a search finds them: see `ganlib.inversion`.

        Args:
            x: as in `discriminate`.
            labels: as in `sample`, but by default all classes are tried, of more than 1,024 the first ones.
            seed: of the search's random starts, as in `sample`; the same seed gives the same result.
            progress: called now and then with the share of the work that is done, from 0 to 1.
        """
        for share, found in inversion.search(self, x, labels, seed=seed):
            if progress is not None:
                progress(share)
        return found

    @property
    def batch_size(self) -> int:
        """The number of samples that are computed at once."""
        return max(1, MAX_ACTIVATIONS // self.architecture.widest)

    def _in_batches(self, network: nn.Module | Folded, inputs: Tensor, y: Tensor | None) -> Tensor:
        n = self.batch_size
        with default_modes(self.device), exact_convolutions(self.device):
            parts = [network(inputs[i:i + n].to(self.device), None if y is None else y[i:i + n].to(self.device))
                     for i in range(0, len(inputs), n)]
            return torch.cat([part.float().cpu() for part in parts])

    def _latents_of(self, z: Any) -> Tensor:
        latents = _to_float32(z, (self.latent_dim,), "latents")
        require(_largest(latents) <= sampling.MAX_LATENT, sampling.OUT_OF_RANGE)
        return latents

    def samples_of(self, x: Any) -> Tensor:
        """Samples, a tensor or array (N, *shape) of finite floating-point numbers, as a float32 tensor."""
        return _to_float32(x, self.shape, "samples")

    def labels_of(self, seeds: Sequence[int], labels: Labels | None = None) -> Tensor | None:
        """The class (N,) of each seed's sample: `labels`, or the class that the seed picks; None without classes."""
        if self.num_classes is None:
            require(labels is None, f"{self.name} has no classes: leave labels out")
            return None
        if labels is None:
            return sampling.labels(seeds, self.num_classes)
        try:
            chosen = list(labels)  # type: ignore[arg-type]
        except TypeError:  # one for all
            chosen = [labels] * len(seeds)
        require(len(chosen) == len(seeds),
                f"there are {len(chosen)} labels for {len(seeds)} samples; give one, or one for each")
        checked = [check_int(label, 0, self.num_classes - 1, "a label") for label in chosen]
        return torch.tensor(checked, dtype=torch.long, device="cpu")


def _frozen(network: nn.Module, own: bool) -> nn.Module:
    with torch.inference_mode(False):
        frozen = (network if own else copy.deepcopy(network)).eval().requires_grad_(False)
        return frozen.to(memory_format=torch.channels_last)  # makes convolutions faster on a CPU


def _to_float32(values: Any, shape: tuple[int, ...], what: str) -> Tensor:
    """Finite floating-point numbers of any type as a float32 tensor (N, *shape) without gradients, or a ValueError."""
    wanted = f"(N, {', '.join(map(str, shape))})"
    try:
        # a copy in C order: torch does not accept arrays that are read-only or reversed
        x = values if isinstance(values, Tensor) else torch.from_numpy(numpy.array(values, order="C"))
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{what} must be a tensor of shape {wanted}, not {quoted(values)}") from None
    if not x.is_floating_point():
        raise ValueError(f"{what} must be floating-point numbers, not {str(x.dtype).removeprefix('torch.')}"
                         + ("; images are in [-1, 1]" if x.dtype == torch.uint8 else ""))
    if x.ndim != len(shape) + 1 or not len(x) or tuple(x.shape[1:]) != shape:
        raise ValueError(f"{what} must be a tensor of shape {wanted}, N at least 1, not {tuple(x.shape)}")
    x = x.detach().float()
    require(math.isfinite(_largest(x)), f"{what} must be finite numbers that float32 can hold")
    return x


def _largest(x: Tensor) -> float:
    """The largest absolute number, NaN if one is NaN. Faster than abs() and isfinite(), which write tensors."""
    return max(-x.min().item(), x.max().item())
