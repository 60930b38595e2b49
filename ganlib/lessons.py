"""What the figures of the course compute, as small functions: two classifiers, the best discriminator, two losses.

They are the reference for the page's JavaScript, which computes the same in the browser. They know no page and no
networks. Numbers are float64. Logarithms are natural, so that divergences are in nats.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ganlib.checks import check_float, check_int, require
from ganlib.losses import LOSSES

OUTLIERS = (3.4, -2.5)  # where the outliers of the two clouds lie, far from both classes, and how widely
OUTLIER_SPREAD = 0.2
GENERATOR_LOSSES = ("saturating", "non-saturating")


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear classifier of two classes: the log-odds of class 1 against class 0 are weight · x + bias.

    Args:
        weight: (D,).
        bias: a scalar tensor.
    """

    weight: Tensor
    bias: Tensor

    def logits(self, x: Tensor) -> Tensor:
        """The log-odds (N,) at points x (N, D). They are 0 on the boundary."""
        return x @ self.weight + self.bias

    def accuracy(self, x: Tensor, y: Tensor) -> float:
        """The share of points x (N, D) whose class y (N,), 0 or 1, is recognised."""
        return ((self.logits(x) > 0) == (y == 1)).double().mean().item()


@dataclass(frozen=True, eq=False)
class GaussianClasses:
    """A generative classifier of two classes: p(y) p(x | y), where p(x | y) is N(mean of y, covariance).

    Both classes have one covariance, so that the posterior p(y | x) is the logistic function (for more classes: the
    softmax) of a linear function of x (Bishop 2006, "Pattern Recognition and Machine Learning", section 4.2).

    Args:
        means: (2, D).
        covariance: (D, D), of either class.
        priors: (2,), p(y).

    Raises:
        ValueError: if the covariance has no inverse, as that of points that coincide or lie on one line.
    """

    means: Tensor
    covariance: Tensor
    priors: Tensor

    def __post_init__(self) -> None:
        whole = bool(self.covariance.isfinite().all())
        require(whole and int(torch.linalg.matrix_rank(self.covariance, hermitian=True)) == len(self.covariance),
                "the covariance has no inverse: the points of each class must differ in each direction")

    @classmethod
    def fit(cls, x: Tensor, y: Tensor, naive: bool = False) -> "GaussianClasses":
        """The model of the highest likelihood, in closed form (Bishop 2006, section 4.2.2).

        Args:
            x: points (N, D).
            y: their classes (N,), 0 or 1.
            naive: whether features are independent within a class, "naive Bayes". The covariance is then diagonal. It
                is still shared by the classes, as in Ng & Jordan 2002 ("On discriminative vs. generative classifiers"):
                with variances of its own for each class, the boundary would be a curve.

        Raises:
            ValueError: if a class has no points, or if the points of the classes do not differ in each direction, as
                those that coincide: their covariance has no inverse.
        """
        parts = [x[y == label].double() for label in (0, 1)]
        require(all(len(part) > 0 for part in parts), "each class needs at least one point")
        means = torch.stack([part.mean(0) for part in parts])
        centred = torch.cat([part - mean for part, mean in zip(parts, means)])
        covariance = centred.T @ centred / len(centred)
        if naive:
            covariance = covariance.diagonal().diag()
        return cls(means, covariance, torch.tensor([len(part) / len(centred) for part in parts], dtype=torch.float64))

    def linear(self) -> Linear:
        """The log-odds of the posterior, in closed form (Bishop 2006, eq. 4.65 to 4.67).

        The quadratic terms of both classes are equal, because the covariance is. They cancel out.
        """
        weight = torch.linalg.solve(self.covariance, self.means[1] - self.means[0])
        bias = (self.priors[1] / self.priors[0]).log() - self.means.mean(0) @ weight
        return Linear(weight, bias)

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, y) (N, 2) at points x (N, D)."""
        density = torch.distributions.MultivariateNormal(self.means, self.covariance)
        joint: Tensor = density.log_prob(x.double()[:, None]) + self.priors.log()  # type: ignore[no-untyped-call]
        return joint

    def posterior(self, x: Tensor) -> Tensor:
        """p(y = 1 | x) (N,) at points x (N, D), by Bayes' rule."""
        return self.log_joint(x).softmax(1)[:, 1]

    def sample(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """n new points (n, D) and their classes (n,). No discriminative classifier can do this."""
        y = torch.multinomial(self.priors, n, replacement=True, generator=rng)
        noise = torch.randn(n, self.means.shape[1], generator=rng, dtype=torch.float64)
        return self.means[y] + noise @ torch.linalg.cholesky(self.covariance).T, y


def two_clouds(means: Sequence[Sequence[float]], n: int, rng: torch.Generator, spread: float = 0.6,
               correlation: float = 0.0, outliers: int = 0) -> tuple[Tensor, Tensor]:
    """Points of two classes in the plane, each class a Gaussian.

    Args:
        means: the centres of both clouds, two numbers each.
        n: points of each class.
        rng: a random generator on the CPU.
        spread: the standard deviation of each coordinate, 0 or more.
        correlation: of the two coordinates, from -1 to 1.
        outliers: further points of class 1 around OUTLIERS.

    Returns:
        x (2 n + outliers, 2), and the classes y (2 n + outliers,), 0 or 1.

    Raises:
        ValueError: if the spread or the correlation is not in its range.
    """
    spread, correlation = check_float(spread, 0, math.inf, "spread"), check_float(correlation, -1, 1, "correlation")
    shape = torch.tensor([[1.0, 0.0], [correlation, math.sqrt(1 - correlation**2)]], dtype=torch.float64)
    noise = torch.randn(2, n, 2, generator=rng, dtype=torch.float64)
    clouds = torch.tensor(means, dtype=torch.float64)[:, None] + spread * noise @ shape.T
    far = torch.randn(outliers, 2, generator=rng, dtype=torch.float64) * OUTLIER_SPREAD
    far = far + torch.tensor(OUTLIERS, dtype=torch.float64)
    return torch.cat([clouds.flatten(0, 1), far]), torch.tensor([0] * n + [1] * (n + outliers))


def logistic_loss(model: Linear, x: Tensor, y: Tensor) -> float:
    """Logistic regression's loss: mean binary cross-entropy of points x (N, D) and classes y (N,).

    A discriminator minimises the same. Its classes are "real" and "generated", and its log-odds are a network.
    """
    return binary_cross_entropy_with_logits(model.logits(x.double()), y.double()).item()


def logistic_step(model: Linear, x: Tensor, y: Tensor, learning_rate: float) -> Linear:
    """The classifier after one step of gradient descent on `logistic_loss` (Bishop 2006, eq. 4.91).

    Args:
        model: the classifier before it.
        x: points (N, D).
        y: their classes (N,), 0 or 1.
        learning_rate: the factor of the gradient.
    """
    error = model.logits(x.double()).sigmoid() - y.double()
    return Linear(model.weight - learning_rate * (error @ x.double()) / len(x),
                  model.bias - learning_rate * error.mean())


def logistic_fit(x: Tensor, y: Tensor, steps: int = 2_000, learning_rate: float = 0.3) -> Linear:
    """Logistic regression after some steps of gradient descent, which begins with zeros.

    Where a line separates the classes, no weights are the best: the longer the training, the larger they are.

    Args:
        x, y: as in `logistic_step`.
        steps: how many, 0 or more.
        learning_rate: of each step.
    """
    model = Linear(torch.zeros(x.shape[1], dtype=torch.float64), torch.zeros((), dtype=torch.float64))
    for _ in range(check_int(steps, 0, 1_000_000, "steps")):
        model = logistic_step(model, x, y, learning_rate)
    return model


def agreement(first: Linear, second: Linear, extent: Sequence[float], side: int = 100) -> float:
    """The share of a rectangle in which both classifiers choose the same class.

    Args:
        first, second: classifiers of points in the plane.
        extent: the rectangle: x1 from, to, x2 from, to.
        side: it is cut into side × side cells, whose middles are compared.
    """
    places = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    axes = [low + (high - low) * places for low, high in zip(extent[::2], extent[1::2])]
    points = torch.cartesian_prod(*axes)
    return ((first.logits(points) > 0) == (second.logits(points) > 0)).double().mean().item()


def normal_density(x: Tensor, mean: float | Tensor, std: float | Tensor) -> Tensor:
    """The density of N(mean, std²) at numbers x (N,)."""
    density: Tensor = torch.exp(-((x - mean) / std) ** 2 / 2) / (std * math.sqrt(2 * math.pi))
    return density


def best_discriminator(p: Tensor, q: Tensor) -> Tensor:
    """The discriminator D*(x) = p / (p + q) of the lowest loss (Goodfellow et al. 2014, proposition 1).

    Args:
        p: the density of real samples at some points (N,).
        q: that of generated ones at the same points. Where both are 0, D* is 1/2.
    """
    total = p + q
    return torch.where(total > 0, p / total, torch.full_like(total, 0.5))


def discriminator_loss(d: Tensor, p: Tensor, q: Tensor, x: Tensor) -> float:
    """The loss of a discriminator whose values are known: half of minus the integral of p log D + q log(1 − D).

    It is what `LOSSES["non-saturating"].discriminator` estimates from samples. It is ln 2 for D = 1/2, whatever q is,
    and ln 2 − `jensen_shannon` for the best discriminator (Goodfellow et al. 2014, theorem 1).

    Args:
        d: D(x) (N,), from 0 to 1.
        p, q: densities (N,) of real and generated samples.
        x: the points (N,) of all three, ascending; integrals are by the trapezoid rule.
    """
    return (-torch.trapezoid(p * _log(d) + q * _log(1 - d), x) / 2).item()


def _log(share: Tensor) -> Tensor:
    """The logarithm, at least -100, as in torch's binary_cross_entropy: the best D rounds to 1 where q is tiny."""
    return share.log().clamp(min=-100)


def jensen_shannon(p: Tensor, q: Tensor, x: Tensor) -> Tensor:
    """The Jensen-Shannon divergence of two densities, a scalar from 0 (equal) to ln 2 (no overlap) (Lin 1991).

    Args:
        p, q: densities (N,).
        x: the points (N,) of both, ascending.
    """
    middle = (p + q) / 2
    terms = torch.xlogy(p, p) + torch.xlogy(q, q) - 2 * torch.xlogy(middle, middle)
    divergence: Tensor = torch.trapezoid(terms, x) / 2
    return divergence


def slope_of_generator(d: Tensor, mean: float, std: float, x: Tensor) -> tuple[float, float]:
    """How the generator's minimax loss, the integral of q log(1 − D), changes with the mean and the log std of q.

    q is N(mean, std²). D stays as it is, as in a generator's step. For the best discriminator this is the gradient of
    twice the Jensen-Shannon divergence. For a constant D it is (0, 0): the generator learns nothing.

    Args:
        d: D(x) (N,), from 0 to 1.
        mean, std: of q.
        x: the points (N,) of d, ascending; they reach beyond all of q.
    """
    q, z = normal_density(x, mean, std), (x - mean) / std
    value = q * _log(1 - d)
    return torch.trapezoid(value * z / std, x).item(), torch.trapezoid(value * (z**2 - 1), x).item()


def generator_losses(logits: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Both losses of a generator, and their derivatives, at logits a (N,) of its samples, where D(G(z)) = sigmoid(a).

    Returns:
        for "saturating", log(1 − D), whose derivative is −D, and for "non-saturating", −log D, whose derivative is
        −(1 − D): (loss (N,), derivative with respect to the logit (N,)). They are those of `ganlib.LOSSES`
        (Goodfellow et al. 2014, section 3).
    """
    found = {}
    for name in GENERATOR_LOSSES:
        loss = LOSSES[name].generator
        with torch.enable_grad():  # not by torch.func, which imports PyTorch's compiler: 110 MB
            a = logits.detach().double().requires_grad_()
            value = torch.stack([loss(None, one[None]) for one in a.unbind()])
            (slope,) = torch.autograd.grad(value.sum(), a)
        found[name] = (value.detach(), slope)
    return found


def descend(name: str, logit: float, steps: int, learning_rate: float) -> list[float]:
    """The logits of gradient descent on a generator's loss, the first one included: steps + 1 numbers.

    Args:
        name: "saturating" or "non-saturating".
        logit: the first one.
        steps: how many, 0 to 10,000.
        learning_rate: the factor of the gradient, above 0.
    """
    require(name in GENERATOR_LOSSES, f"the loss must be {' or '.join(GENERATOR_LOSSES)}, not {name!r}")
    learning_rate = check_float(learning_rate, 0, math.inf, "learning rate", above=True)
    path = [check_float(logit, -100, 100, "logit")]
    for _ in range(check_int(steps, 0, 10_000, "steps")):
        _, slope = generator_losses(torch.tensor(path[-1:], dtype=torch.float64))[name]
        path.append(path[-1] - learning_rate * slope.item())
    return path
