"""Adversarial losses on logits, and penalties on the discriminator. Knows nothing of networks.

`LOSSES` and `PENALTIES` are tables: `ganlib.LOSSES["mine"] = Loss(...)` makes a loss of your own available everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus


@dataclass(frozen=True)
class Loss:
    """The two sides of a game, each a function of (real_logits (N,), fake_logits (N,)) to a scalar to minimise.

    Args:
        discriminator: the discriminator's loss.
        generator: the generator's loss; it is given None for real_logits unless `paired`.
        paired: the generator's loss looks at real logits too.
        log_odds: logits are log-odds of "real", up to an offset; otherwise a scale has to be fitted to them as well
            (`ganlib.calibration`).
        weight: what the discriminator's loss is multiplied by beside penalties: 2 for a loss that averages its real and
            its fake term where its paper adds them, so that γ is the γ of Mescheder et al. 2018 for all of them.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor | None, Tensor], Tensor]
    paired: bool = False
    log_odds: bool = False
    weight: float = 1.0


def logistic_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Binary cross-entropy: mean of −log D(x) and −log(1 − D(G(z))) (Goodfellow et al. 2014, eq. 1)."""
    return (softplus(-real_logits).mean() + softplus(fake_logits).mean()) / 2


def non_saturating_generator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    """−log D(G(z)) (Goodfellow et al. 2014, section 3): a strong gradient while D still wins."""
    return softplus(-fake_logits).mean()


def saturating_generator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    """log(1 − D(G(z))), the minimax form (Goodfellow et al. 2014, eq. 1): its gradient vanishes while D still wins."""
    return -softplus(fake_logits).mean()


def least_squares_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Squared distance of the outputs from 1 (real) and 0 (fake) (Mao et al. 2017, eq. 9)."""
    return ((real_logits - 1).square().mean() + fake_logits.square().mean()) / 2


def least_squares_generator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    """Squared distance of the fakes' outputs from 1 (Mao et al. 2017, eq. 9)."""
    return (fake_logits - 1).square().mean() / 2


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean of max(0, 1 − real) and max(0, 1 + fake) (Lim & Ye 2017; Miyato et al. 2018)."""
    return (relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()) / 2


def wasserstein_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean output on fakes minus that on real samples (Arjovsky et al. 2017); it needs a penalty such as "wgan-gp"."""
    return fake_logits.mean() - real_logits.mean()


def minus_mean_generator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    """Minus the mean output on fakes (Lim & Ye 2017; Arjovsky et al. 2017)."""
    return -fake_logits.mean()


def relativistic_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """−log of the probability that a real sample beats the fake it is paired with (Jolicoeur-Martineau 2019)."""
    return softplus(fake_logits - real_logits).mean()


def relativistic_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The discriminator's loss with the roles exchanged (Huang et al. 2024, "R3GAN")."""
    return softplus(real_logits - fake_logits).mean()


LOSSES: dict[str, Loss] = {
    "non-saturating": Loss(logistic_discriminator, non_saturating_generator, log_odds=True, weight=2),
    "saturating": Loss(logistic_discriminator, saturating_generator, log_odds=True, weight=2),
    "least-squares": Loss(least_squares_discriminator, least_squares_generator),
    "hinge": Loss(hinge_discriminator, minus_mean_generator, weight=2),
    "wasserstein": Loss(wasserstein_discriminator, minus_mean_generator),
    "relativistic": Loss(relativistic_discriminator, relativistic_generator, paired=True, log_odds=True),
}


@dataclass(frozen=True)
class Penalty:
    """A penalty on the discriminator, weighted by γ and averaged over the samples.

    Args:
        at: which samples it looks at, a name in PLACES.
        value: a function of samples (N, *shape) that require gradients and their logits (N,), to (N,).
    """

    at: str
    value: Callable[[Tensor, Tensor], Tensor]


def gradients(samples: Tensor, logits: Tensor) -> Tensor:
    """Gradient (N, D) of each logit by its own sample. Each logit must come from its own sample alone."""
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gradient.flatten(1)


def half_squared_gradient(samples: Tensor, logits: Tensor) -> Tensor:
    """½|∇D|² (Mescheder et al. 2018, eq. 9 and 10, without γ): R1 on real samples, R2 on fakes."""
    return gradients(samples, logits).square().sum(1) / 2


def unit_gradient(samples: Tensor, logits: Tensor) -> Tensor:
    """(|∇D| − 1)² (Gulrajani et al. 2017, eq. 3, without λ)."""
    return (gradients(samples, logits).square().sum(1).add(1e-12).sqrt() - 1).square()


def squared_gradient(samples: Tensor, logits: Tensor) -> Tensor:
    """|∇D|² (Thanh-Tung et al. 2019, "Improving generalization and stability of GANs", eq. 5, without λ)."""
    return gradients(samples, logits).square().sum(1)


def between(real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """A random point on the line from each real sample to its fake (Gulrajani et al. 2017, algorithm 1)."""
    share = torch.rand(len(real), *[1] * (real.ndim - 1), generator=rng, device=rng.device, dtype=real.dtype)
    return torch.lerp(fake, real, share)


PLACES: dict[str, Callable[[Tensor, Tensor, torch.Generator], Tensor]] = {
    "real": lambda real, fake, rng: real,
    "fake": lambda real, fake, rng: fake,
    "between": between,
}

PENALTIES: dict[str, Penalty] = {
    "r1": Penalty("real", half_squared_gradient),
    "r2": Penalty("fake", half_squared_gradient),
    "wgan-gp": Penalty("between", unit_gradient),
    "0-gp": Penalty("between", squared_gradient),
}
