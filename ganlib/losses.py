"""Adversarial losses on logits, and gradient penalties.

Every loss is a pair of functions of `(real_logits, fake_logits)`, each of shape (N,), that return a scalar to minimise.
Losses know nothing of networks. At the equilibrium, D = 1/2 everywhere, both logistic losses are ln 2.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus


@dataclass(frozen=True)
class Loss:
    """The discriminator's and the generator's side of one game.

    paired: the generator's loss looks at real logits too; otherwise it is given None for them. A paired loss sees only
    differences of logits, so it leaves their common offset free.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor | None, Tensor], Tensor]
    paired: bool = False


def logistic_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean of −log D(x) and −log(1 − D(G(z))) (Goodfellow et al. 2014, eq. 1), computed stably from logits."""
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


def hinge_generator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    """Minus the fakes' mean output (Lim & Ye 2017)."""
    return -fake_logits.mean()


def relativistic_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """−log of the chance that a real sample beats the fake one it is paired with (Jolicoeur-Martineau 2019)."""
    return softplus(fake_logits - real_logits).mean()


def relativistic_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The mirror image of the discriminator's: the fake one is to beat the real one (Huang et al. 2024, R3GAN)."""
    return softplus(real_logits - fake_logits).mean()


LOSSES: dict[str, Loss] = {
    "non-saturating": Loss(logistic_discriminator, non_saturating_generator),
    "saturating": Loss(logistic_discriminator, saturating_generator),
    "least-squares": Loss(least_squares_discriminator, least_squares_generator),
    "hinge": Loss(hinge_discriminator, hinge_generator),
    "relativistic": Loss(relativistic_discriminator, relativistic_generator, paired=True),
}


def zero_centred_penalty(samples: Tensor, logits: Tensor) -> Tensor:
    """Squared gradient norm of each logit by its own sample, (N,): R1 on real samples, R2 on fakes.

    Mescheder et al. 2018, "Which training methods for GANs do actually converge?", eq. 9 and 10, without the γ/2.
    `samples` (N, ...) must require gradients and `logits` (N,) come from them, each from its own sample alone.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gradient.flatten(1).square().sum(1)
