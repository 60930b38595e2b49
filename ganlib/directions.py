"""Directions in latent space, along which pictures change in ways that have a name.

`principal` finds the directions along which any model's pictures vary most. `named` finds a direction for each of the
`ATTRIBUTES` of a grey drawing, such as its slant. A name is given only where a measured correlation backs it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import normalize, one_hot, pad

from ganlib import sampling
from ganlib.checks import check_int, quoted, require
from ganlib.model import Labels, Model
from ganlib.networks import default_modes, exact_convolutions

ATTRIBUTES = ("slant", "weight", "width", "height", "loop")
SHAPE = (1, 28, 28)  # of the pictures whose attributes have names
MEASURE = "direction_correlations"  # the key of `correlations` in metrics.json
BACKED_FROM = 0.5  # the correlation from which on a direction has its attribute's name
LARGEST = 3.0  # the amounts that sliders offer reach from its negative to it
STEP = 1.2  # the distance in latent space of an amount of 1; the norm of 100 random numbers is about 10
LEGS = 3  # a movement follows the attributes' slopes in so many straight parts
OVERLAP = 0.1  # above 0, so that slopes that are nearly parallel are separated only in part
FITTED_ON = 64  # latents over which slopes are averaged
MEASURED_ON = 1_000  # latents of a measurement, shared by the directions
MIN_EACH = 30  # latents for each direction, at least: of 30 random pairs 1 in 400 has a correlation of BACKED_FROM
MAX_AMOUNT = 100.0
MAX_COMPARED = 2_000  # latents of `principal`, whose memory grows with their square
MIN_VARIANCE = 1e-10  # of samples, as a share of their mean square: less is rounding
BATCH = 64  # latents whose slopes are computed at once
CPU = torch.device("cpu")


def attributes(x: Tensor) -> dict[str, Tensor]:
    """What is measured of drawings x (N, 1, H, W) in [-1, 1], bright ink on a dark ground: (N,) float32 each.

    A pixel's ink is from 0 to 1, and all the attributes can be differentiated.

    Returns:
        slant: by how many pixels the ink moves to the right for each pixel upwards (from its second moments).
        weight: thickness of the strokes in pixels: twice the ink, divided by the length of its edges (its total
            variation). The edges of a long stroke are twice as long as it is.
        width: of a rectangle whose ink has the same spread, in pixels, after the slant is removed.
        height: of a rectangle whose ink has the same spread, in pixels.
        loop: share that the enclosed background has of it and the ink together. Background is enclosed at a threshold
            if no path over darker pixels leads to the border; this is the average over all thresholds.

    Raises:
        ValueError: x are no such drawings.
    """
    require(isinstance(x, Tensor) and x.ndim == 4 and x.shape[1] == 1 and x.is_floating_point(),
            "attributes are measured of grey pictures (N, 1, H, W) of floating-point numbers")
    require(bool(x.isfinite().all()), "pictures must be finite numbers")
    ink = (x.float()[:, 0].clamp(-1, 1) + 1) / 2
    total = ink.sum((1, 2)).clamp_min(1e-6)
    down, across = (torch.arange(side, device=x.device, dtype=torch.float32) for side in ink.shape[1:])
    columns, rows = ink.sum(1) / total[:, None], ink.sum(2) / total[:, None]
    right = across - (columns * across).sum(1, keepdim=True)
    below = down - (rows * down).sum(1, keepdim=True)
    tall = (rows * below.square()).sum(1).clamp_min(1e-6)
    tilt = ((ink * right[:, None]).sum(2) * below).sum(1) / total
    wide = ((columns * right.square()).sum(1) - tilt.square() / tall).clamp_min(1e-6)
    enclosed = _enclosed(ink)
    return {"slant": -tilt / tall, "weight": 2 * total / _total_variation(ink), "width": (12 * wide).sqrt(),
            "height": (12 * tall).sqrt(), "loop": enclosed / (enclosed + total)}


def _total_variation(ink: Tensor) -> Tensor:
    """The sum (N,) of the lengths of the gradient of ink (N, H, W): where it is 0 or 1, the length of its edges."""
    framed = pad(ink, (1, 1, 1, 1))
    differences = torch.stack([framed[:, 1:, :-1], framed[:, :-1, 1:]]) - framed[:, :-1, :-1]
    return (differences.square().sum(0) + 1e-8).sqrt().sum((1, 2))  # a root has no slope at 0


def _enclosed(ink: Tensor) -> Tensor:
    """The area (N,) of background that ink (N, H, W) encloses, averaged over all thresholds.

    It is the sum of what `_filled` adds to the ink. A filled value is the ink of some pixel, so that gradients reach
    that pixel.
    """
    with torch.no_grad():
        filled = _filled(ink.detach()).flatten(1)
        values, order = ink.detach().flatten(1).sort(1)
        sources = order.gather(1, torch.searchsorted(values, filled).clamp_max(values.shape[1] - 1))
    flat = ink.flatten(1)
    return (flat.gather(1, sources) - flat).clamp_min(0).sum(1)


def _filled(ink: Tensor) -> Tensor:
    """The ink (N, H, W) with its holes filled, by greyscale reconstruction (Vincent 1993).

    A pixel's value is the lowest, over all paths from it to the border, of a path's highest ink. Pixels have four
    neighbours.
    """
    ground = ink.permute(1, 2, 0).contiguous()  # pictures last, so that all of a step's memory is contiguous
    level = pad(torch.ones_like(ground), (0, 0, 1, 1, 1, 1))
    inner = level[1:-1, 1:-1]
    while True:
        before = inner.clone()
        for _ in range(8):
            lowest = torch.minimum(torch.minimum(level[:-2, 1:-1], level[2:, 1:-1]),
                                   torch.minimum(level[1:-1, :-2], level[1:-1, 2:]))
            torch.maximum(ground, lowest, out=inner)
        if torch.equal(before, inner):
            return inner.permute(2, 0, 1).contiguous()


@dataclass(frozen=True, eq=False)
class Directions:
    """Directions in a model's latent space, each with a name.

    A direction named as one of the `ATTRIBUTES` is different at each latent: the attribute's slope at the latent is
    added to its mean slope over many latents, and `separated` from the other attributes' slopes. All other directions
    are the same at all latents.

    Args:
        model: whose latents they are for.
        names: one for each direction.
        vectors: (K, latent_dim): the mean slopes of attributes, in the attribute's unit for a distance of 1; of others
            the direction, of length 1.
    """

    model: Model
    names: tuple[str, ...]
    vectors: Tensor

    @default_modes(CPU)
    def part(self, rows: Sequence[int]) -> "Directions":
        """Some of the directions, by their places."""
        return Directions(self.model, tuple(self.names[i] for i in rows), self.vectors[list(rows)])

    @default_modes(CPU)
    def move(self, z: Tensor, amounts: Tensor | Sequence[float], labels: Labels | None = None) -> Tensor:
        """Latents z (N, D) moved along the directions: (N, D) float32 on the CPU.

        An amount of 1 is a step of length 1.2 in latent space; sliders offer -3 to 3. A latent keeps its norm, and the
        numbers by which a `SoftChoice` chooses a category. Truncate after moving.

        Args:
            z: latents, of numbers from -100 to 100.
            amounts: (K,) for all latents, or (N, K), from -100 to 100: how far along each direction; a negative amount
                goes back.
            labels: as in `Model.sample`, but a model with classes needs them.

        Raises:
            ValueError: a shape or a number is wrong, or labels are missing.
        """
        count, size = len(self.names), self.model.latent_dim
        z, amounts = _real(z, sampling.MAX_LATENT, "latents"), _real(amounts, MAX_AMOUNT, "amounts")
        require(z.ndim == 2 and len(z) > 0 and z.shape[1] == size,
                f"latents must have the shape (N, {size}), N at least 1, not {tuple(z.shape)}")
        require(tuple(amounts.shape) in ((count,), (len(z), count)),
                f"amounts must be {count} numbers, or as many for each latent, not {tuple(amounts.shape)}")
        require(labels is not None or not self.model.num_classes, f"{self.model.name} needs labels")
        y = self.model.labels_of(range(len(z)), labels)
        amounts = amounts.expand(len(z), count)
        moving = amounts.abs().sum(1) > 0
        if moving.any():
            z[moving] = self._follow(z[moving], amounts[moving], None if y is None else y[moving])
        return z

    def _follow(self, z: Tensor, amounts: Tensor, y: Tensor | None) -> Tensor:
        first = _choices(self.model)
        norm = vector_norm(z[:, first:], dim=1, keepdim=True)
        for _ in range(LEGS):
            step = (amounts[:, :, None] * self.at(z, y)).sum(1) * (STEP / LEGS)
            z = torch.cat([z[:, :first], normalize(z[:, first:] + step[:, first:], dim=1) * norm], 1)
        return z

    def at(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The directions at latents z (N, D), of length 1: (N, K, D). y: (N,) labels."""
        found = self.vectors.expand(len(z), *self.vectors.shape).clone()
        rows = [i for i, name in enumerate(self.names) if name in ATTRIBUTES]
        if rows:
            wanted = [ATTRIBUTES.index(self.names[i]) for i in rows]
            found[:, rows] = separated(slopes(self.model, z, y)[:, wanted] + self.vectors[rows])
        return found


def _real(values: Any, largest: float, what: str) -> Tensor:
    """A float32 copy on the CPU of real numbers from -largest to largest. Raises ValueError for anything else."""
    try:
        found = values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(numpy.array(values))
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{what} must be numbers, not {quoted(values)}") from None
    require(not found.is_complex(), f"{what} must be real numbers, not complex ones")
    found = found.to(torch.float32, copy=True)
    require(bool((found.abs() <= largest).all()), f"{what} must be numbers from {-largest:g} to {largest:g}")
    return found


def separated(slopes: Tensor) -> Tensor:
    """Directions of length 1 along the slopes (N, K, D), each without most of what changes the other attributes."""
    slopes = normalize(slopes, dim=2)
    common = slopes @ slopes.mT + OVERLAP * torch.eye(slopes.shape[1], dtype=slopes.dtype, device=slopes.device)
    return normalize(torch.linalg.solve(common, slopes), dim=2)


def slopes(model: Model, z: Tensor, y: Tensor | None = None) -> Tensor:
    """The slopes of a model's attributes at latents z (N, D), labels y (N,): (N, 5, D), in each one's unit.

    The numbers by which a `SoftChoice` chooses have a slope of 0, as a step along them would change the category.
    """
    parts = []
    with default_modes(model.device), exact_convolutions(model.device), torch.enable_grad():
        for start in range(0, len(z), BATCH):
            here = z[start:start + BATCH].detach().to(model.device).clone().requires_grad_()
            label = None if y is None else y[start:start + BATCH].to(model.device)
            x = model.generator(here, label)
            x = x if x.requires_grad else x + 0 * here.sum()  # of a formula without a slope
            parts.append(torch.stack([torch.autograd.grad(value.sum(), here, retain_graph=True)[0]
                                      for value in attributes(x).values()], 1).cpu())
        found = torch.cat(parts).detach()
    found[:, :, :_choices(model)] = 0
    return found


def _choices(model: Model) -> int:
    """How many of a latent's first numbers choose a category."""
    return getattr(model.architecture, "choices", 0)


def _sample(model: Model, n: int, seed: int) -> tuple[Tensor, Tensor | None]:
    """n latents, and their labels, the classes in turn."""
    y = torch.arange(n, device="cpu") % model.num_classes if model.num_classes else None
    return sampling.noise(seed, n, model.latent_dim), y


@default_modes(CPU)
def principal(model: Model, count: int, n: int = 500, seed: int = 0) -> Directions:
    """The directions along which a model's samples vary most, the first most of all; "direction 1" and so on.

    Härkönen et al. 2020, "GANSpace: discovering interpretable GAN controls": a principal component analysis of what n
    random latents generate, here of the samples, whose coordinates are traced back to the latents by regression. What
    depends on the category and the class is subtracted first, as no direction changes them.

    Args:
        count: of directions, at most the numbers of a latent that do not choose a category.
        n: latents that are sampled, more than count, at most 2,000.
        seed: of these latents.

    Raises:
        ValueError: a number is out of range, a latent has fewer than 2 numbers that do not choose a category (none
            could move, as a movement keeps their norm), or all samples of a category and class are the same.
    """
    first, free = _choices(model), _free(model)
    require(free > 0, f"{model.name} has no directions: fewer than 2 numbers of a latent can move")
    count = check_int(count, 1, free, "the number of directions")
    n = check_int(n, count + 1, MAX_COMPARED, "the number of latents")
    z, y = _sample(model, n, seed)
    samples = model.decode(z, y).flatten(1).double()
    kinds = [z[:, :first].argmax(1)] if first else []
    kinds += [] if y is None else [y]
    x, rest = (_within(values, kinds) for values in (samples, z[:, first:].double()))
    require(bool(x.square().sum() > MIN_VARIANCE * samples.square().sum()),
            f"{model.name} has no directions: its samples do not depend on the latent")
    _, vectors = torch.linalg.eigh(x @ x.T)  # ascending; of each sample, its coordinates along the components
    found = normalize(vectors[:, -count:].flip(1).T @ rest, dim=1)
    largest = found.gather(1, found.abs().argmax(1, keepdim=True))
    return Directions(model, tuple(f"direction {i + 1}" for i in range(count)),
                      pad(found * largest.sign(), (first, 0)).float())


def _free(model: Model) -> int:
    """How many directions a model's latents can move along at most: 0 if keeping their norm leaves none."""
    free = model.latent_dim - _choices(model)
    return free if free > 1 else 0


def _within(values: Tensor, kinds: Sequence[Tensor]) -> Tensor:
    """Values (N, D) less what a linear regression on their kinds (N,) explains: for one kind, its members' mean."""
    design = torch.cat([values.new_ones(len(values), 1), *(one_hot(kind).to(values) for kind in kinds)], 1)
    explained: Tensor = design @ (torch.linalg.pinv(design) @ values)
    return values - explained


@default_modes(CPU)
def of_attributes(model: Model, seed: int = 0) -> Directions:
    """A direction for each of the `ATTRIBUTES` of a model of grey drawings, whether or not it earns its name."""
    require(tuple(model.shape) == SHAPE,
            f"directions have names for pictures of shape {SHAPE}, not {tuple(model.shape)}")
    return Directions(model, ATTRIBUTES, slopes(model, *_sample(model, FITTED_ON, seed)).mean(0))


@default_modes(CPU)
def named(model: Model, seed: int = 0) -> Directions:
    """As many directions as there are `ATTRIBUTES`, of which those have its name that earn it.

    A direction earns its name by a correlation of at least `BACKED_FROM` in the model's metrics.json, if that is of
    these weights. In the place of others are principal directions, called "direction 1" and so on; so they are for
    pictures of other shapes. There are fewer if a latent has fewer numbers that can move.
    """
    measured = _measured(model)
    kept = [i for i, name in enumerate(ATTRIBUTES) if measured.get(name, 0) >= BACKED_FROM]
    missing = min(len(ATTRIBUTES) - len(kept), _free(model))
    found = [of_attributes(model, seed).part(kept)] if kept else []
    found += [principal(model, missing, seed=seed)] if missing else []
    none = torch.zeros(0, model.latent_dim, dtype=torch.float32, device="cpu")
    return Directions(model, sum((part.names for part in found), ()), torch.cat([none, *(p.vectors for p in found)]))


def _measured(model: Model) -> dict[str, float]:
    """The correlations of the model's metrics, {} if they are those of other weights."""
    theirs = model.metrics.get("weights_sha256", model.weights_sha256)  # there is no hash before they are saved
    if tuple(model.shape) != SHAPE or theirs != model.weights_sha256:
        return {}
    values: dict[str, Any] = model.metrics.get(MEASURE, {})
    return {name: value for name, value in values.items() if isinstance(value, int | float) and -1 <= value <= 1}


def correlations(model: Model, directions: Directions, n: int = MEASURED_ON, seed: int = 1) -> dict[str, float]:
    """The correlation of each attribute's change with the amount of movement along the direction of its name.

    Arguments as in `cross_correlations`, whose diagonal this is.
    """
    return {name: row[name] for name, row in cross_correlations(model, directions, n, seed).items()}


def cross_correlations(model: Model, directions: Directions, n: int = MEASURED_ON,
                       seed: int = 1) -> dict[str, dict[str, float]]:
    """The correlation of every attribute's change with the amount of movement along each direction.

    Pearson's, of amounts at random from -3 to 3 and the change from the picture that is not moved; 0 where an attribute
    does not change at all.

    Args:
        directions: those of them are measured that are named as one of the `ATTRIBUTES`.
        n: random latents, shared out among the directions, at least 30 for each.
        seed: of the latents and the amounts; another than that of the directions.

    Returns:
        a row for each direction, with a column for each attribute.
    """
    n = check_int(n, MIN_EACH * len(directions.names), 10**6, "the number of latents")
    # a stream other than the latents', so that the amounts are independent of them
    stream = numpy.random.RandomState(seed ^ 0x5EED)
    amounts = torch.from_numpy(stream.uniform(-1, 1, n).astype(numpy.float32))
    table = {}
    for name, amount, before, after in moved(model, directions, LARGEST * amounts, seed):
        if name in ATTRIBUTES:
            here, there = attributes(before), attributes(after)
            table[name] = {of: _correlation(amount, there[of] - here[of]) for of in ATTRIBUTES}
    return table


def moved(model: Model, directions: Directions, amounts: Tensor,
          seed: int) -> Iterator[tuple[str, Tensor, Tensor, Tensor]]:
    """What movements change: for each direction its name, the amounts, and the samples before and after.

    amounts: (N,), shared out among the directions; seed: of the latents.
    """
    z, y = _sample(model, len(amounts), seed)
    count = len(directions.names)
    for i, (name, part) in enumerate(zip(directions.names, torch.arange(len(z), device="cpu").tensor_split(count))):
        here, label = z[part], None if y is None else y[part]
        wanted = torch.zeros(len(part), count, device="cpu", dtype=torch.float32)
        wanted[:, i] = amounts[part]
        after = directions.move(here, wanted, label)
        yield name, amounts[part], model.decode(here, label), model.decode(after, label)


def _correlation(a: Tensor, b: Tensor) -> float:
    a, b = (values.double() - values.double().mean() for values in (a, b))
    return float((a * b).sum() / (vector_norm(a) * vector_norm(b)).clamp_min(1e-12))
