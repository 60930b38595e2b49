"""Adversarial losses on logits, penalties on the discriminator, and the terms of the ELBO. They know no networks.

`LOSSES` and `PENALTIES` are tables: `ganlib.LOSSES["mine"] = Loss(...)` makes your own loss available everywhere.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, sigmoid
from torch.nn.functional import relu, softplus

from ganlib.shares import drawn

ELBO = "elbo"  # the loss of networks with an encoder; see `ganlib.training.negative_elbo`


@dataclass(frozen=True)
class Loss:
    """The losses of both networks, each a function of (real_logits (N,), fake_logits (N,)) to a scalar to minimise.

    Args:
        discriminator: the discriminator's loss.
        generator: the generator's loss; its real_logits are None unless the loss is `paired`.
        paired: whether the generator's loss depends on real logits.
        log_odds: whether logits are log-odds of "real" up to an offset; if not, `ganlib.calibration` also fits a scale.
        weight: factor of the discriminator's loss when penalties are added: 2 for a loss that averages its real and its
            fake term where its paper adds them, so that γ is that of Mescheder et al. 2018 for every loss.
        discriminator_slopes, generator_slopes: the derivatives of both losses, which make the training of tiny networks
            faster; None to leave them to autograd. Of the same arguments: the discriminator's by both logits, the
            generator's by the fake ones.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Any, Tensor], Tensor]
    paired: bool = False
    log_odds: bool = False
    weight: float = 1.0
    discriminator_slopes: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    generator_slopes: Callable[[Any, Tensor], Tensor] | None = None

    @property
    def logistic(self) -> bool:
        """Whether both losses are ln 2 where all logits are 0, as they are where D(x) = 1/2 everywhere."""
        zero = torch.zeros(1)
        return all(math.isclose(side(zero, zero), math.log(2), rel_tol=1e-6)
                   for side in (self.discriminator, self.generator))


def logistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Binary cross-entropy: mean of −log D(x) and −log(1 − D(G(z))) (Goodfellow et al. 2014, eq. 1)."""
    return softplus(torch.cat([-real, fake])).mean()


def logistic_discriminator_slopes(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives of `logistic_discriminator`."""
    return sigmoid(-real).div_(-2 * len(real)), sigmoid(fake).div_(2 * len(fake))


def relativistic_discriminator_slopes(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives of the discriminator's relativistic loss."""
    slopes = sigmoid(fake - real).div_(len(fake))
    return -slopes, slopes


LOSSES: dict[str, Loss] = {
    # the generator minimises −log D(G(z)), whose gradient is strong while D wins (Goodfellow et al. 2014, section 3)
    "non-saturating": Loss(logistic_discriminator, lambda real, fake: softplus(-fake).mean(), log_odds=True, weight=2,
                           discriminator_slopes=logistic_discriminator_slopes,
                           generator_slopes=lambda real, fake: sigmoid(-fake).div_(-len(fake))),
    # the generator minimises log(1 − D(G(z))), whose gradient vanishes while D wins (Goodfellow et al. 2014, eq. 1)
    "saturating": Loss(logistic_discriminator, lambda real, fake: -softplus(fake).mean(), log_odds=True, weight=2),
    # squared distance of the outputs from 1 (real) and 0 (fake) (Mao et al. 2017, eq. 9)
    "least-squares": Loss(lambda real, fake: ((real - 1).square().mean() + fake.square().mean()) / 2,
                          lambda real, fake: (fake - 1).square().mean() / 2),
    # Lim & Ye 2017; Miyato et al. 2018
    "hinge": Loss(lambda real, fake: (relu(1 - real).mean() + relu(1 + fake).mean()) / 2,
                  lambda real, fake: -fake.mean(), weight=2),
    # Arjovsky et al. 2017; it needs a penalty such as "wgan-gp"
    "wasserstein": Loss(lambda real, fake: fake.mean() - real.mean(), lambda real, fake: -fake.mean()),
    # pairs of a real sample and a fake (Jolicoeur-Martineau 2019; Huang et al. 2024, "R3GAN")
    "relativistic": Loss(lambda real, fake: softplus(fake - real).mean(),
                         lambda real, fake: softplus(real - fake).mean(), paired=True, log_odds=True,
                         discriminator_slopes=relativistic_discriminator_slopes,
                         generator_slopes=lambda real, fake: sigmoid(real - fake).div_(-len(fake))),
}


@dataclass(frozen=True)
class Penalty:
    """A penalty on the discriminator, averaged over samples and multiplied by its weight γ.

    Args:
        at: the samples it is computed at, a name in PLACES.
        value: a function of samples (N, *shape) that require gradients and their logits (N,), to (N,). Each logit must
            depend on its own sample alone.
        of_gradient: the same value as a function of ∇D (N, *shape), to (N,), where it depends on ∇D alone. Training on
            a CPU is faster with it (`ganlib.gradients`).
    """

    at: str
    value: Callable[[Tensor, Tensor], Tensor]
    of_gradient: Callable[[Tensor], Tensor] | None = None


def squared_norm(gradient: Tensor) -> Tensor:
    """|∇D|² (N,) of gradients ∇D (N, *shape)."""
    return gradient.flatten(1).square().sum(1)


def half_squared_norm(gradient: Tensor) -> Tensor:
    """½|∇D|² (N,) of gradients ∇D (N, *shape)."""
    return squared_norm(gradient) / 2


def distance_from_unit_norm(gradient: Tensor) -> Tensor:
    """(|∇D| − 1)² (N,) of gradients ∇D (N, *shape)."""
    return (squared_norm(gradient).add(1e-12).sqrt() - 1).square()


def _gradient(samples: Tensor, logits: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gradient


def squared_gradient(samples: Tensor, logits: Tensor) -> Tensor:
    """|∇D|² (Thanh-Tung et al. 2019, "Improving generalization and stability of GANs", eq. 5, without λ)."""
    return squared_norm(_gradient(samples, logits))


def half_squared_gradient(samples: Tensor, logits: Tensor) -> Tensor:
    """½|∇D|² (Mescheder et al. 2018, eq. 9 and 10, without γ): R1 on real samples, R2 on fakes."""
    return half_squared_norm(_gradient(samples, logits))


def unit_gradient(samples: Tensor, logits: Tensor) -> Tensor:
    """(|∇D| − 1)² (Gulrajani et al. 2017, eq. 3, without λ)."""
    return distance_from_unit_norm(_gradient(samples, logits))


def between(real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """A random point on the line from each real sample to its fake (Gulrajani et al. 2017, algorithm 1)."""
    ones = [1] * (real.ndim - 1)
    share = drawn(rng, len(real), lambda n: torch.rand(n, *ones, generator=rng, device=rng.device, dtype=real.dtype))
    return torch.lerp(fake, real, share)


PLACES: dict[str, Callable[[Tensor, Tensor, torch.Generator], Tensor]] = {
    "real": lambda real, fake, rng: real,
    "fake": lambda real, fake, rng: fake,
    "between": between,
}

PENALTIES: dict[str, Penalty] = {
    "r1": Penalty("real", half_squared_gradient, half_squared_norm),
    "r2": Penalty("fake", half_squared_gradient, half_squared_norm),
    "wgan-gp": Penalty("between", unit_gradient, distance_from_unit_norm),
    "0-gp": Penalty("between", squared_gradient, squared_norm),
}


def pixel_cross_entropy(decoded: Tensor, x: Tensor) -> Tensor:
    """Binary cross-entropy between pixels, in nats an image: −log p(x | z) of Bernoulli pixels (Kingma & Welling 2014).

    Pixels between black and white count as shares of both. Its minimum is where the decoded pixels are the mean. They
    should be float32: bfloat16 rounds many to black and white, whose gradients are 0.

    Args:
        decoded, x: (N, *shape) in [-1, 1].
    """
    # not torch's, which autocast refuses
    shares, wanted = ((decoded.float() + 1) / 2).clamp(1e-5, 1 - 1e-5), (x.float() + 1) / 2
    return -(wanted * shares.log() + (1 - wanted) * (1 - shares).log()).sum() / len(x)


def log_normal(z: Tensor) -> Tensor:
    """The logarithm of the density N(z; 0, I) of latents (N, latent_dim): (N,)."""
    return -(z.square().sum(1) + z.shape[1] * math.log(2 * math.pi)) / 2
