"""The maps that a convolutional generator computes on its way from latents to pictures."""

from dataclasses import dataclass

from torch import Tensor, nn

from ganlib.checks import require
from ganlib.model import Model
from ganlib.networks import DCGANGenerator, default_modes, exact_convolutions


@dataclass(frozen=True, eq=False)
class Way:
    """What a generator computes for N latents, float32 on the CPU.

    Args:
        choice: (N, K) weights of its soft choice, whose sum is 1; K is 0 for a generator without one.
        maps: (N, channels, height, width) after each ReLU, at least 0, from the smallest map to the largest.
        x: (N, *shape) the samples, the same as `Model.decode` gives.
    """

    choice: Tensor
    maps: list[Tensor]
    x: Tensor


def way(model: Model, z: Tensor, y: Tensor | None = None) -> Way:
    """The way of latents z (N, latent_dim) through a model's generator, in one batch.

    Args:
        y: (N,) int64 labels, None for a model without classes.

    Raises ValueError for a generator without maps, and for latents of another shape.
    """
    generator = model.generator
    if not isinstance(generator, DCGANGenerator):
        raise ValueError(f"the generator of {model.name} has no maps: it is not made of convolutions")
    require(z.ndim == 2 and z.shape[1] == model.latent_dim,
            f"latents must be of shape (N, {model.latent_dim}), not {tuple(z.shape)}")
    choices, found = generator.choice.choices, []
    with default_modes(model.device), exact_convolutions(model.device):
        z = z.to(model.device)
        weights = generator.choice(z)[:, :choices] / max(1, choices) ** 0.5
        x = generator.first_map(z, None if y is None else y.to(model.device))
        for layer in generator.layers:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                found.append(x.float().cpu())
        return Way(weights.float().cpu(), found, x.float().cpu())
