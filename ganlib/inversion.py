"""The latent whose sample comes closest to a given one (Zhu et al. 2016, "Generative visual manipulation").

The loss is the mean square error plus PRIOR · |z|² / latent_dim. As latents are standard normal, its minimum is the
most probable latent of a sample with Gaussian noise. The search scores random latents and, where the model has an
encoder, that of the encoder. It refines the best of them together by Adam, and the best of these by Gauss-Newton
steps, whose Jacobian is a batch of finite differences. Each sample is searched on its own: its result does not depend
on the others.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganlib import sampling
from ganlib.networks import default_modes, exact_convolutions

if TYPE_CHECKING:
    from ganlib.model import Labels, Model

MIN_REFINED, MAX_REFINED = 6, 40  # starts that Adam refines; see `_refined`
REFINING = 2**25  # multiply-adds of a layer, for all the starts that are refined together
MIN_STARTS, MAX_STARTS = 160, 1_024  # random latents that are scored
STARTS_EACH = 10  # random latents for each start that is refined, within these limits
ADAM_STEPS = 30
HALVED = 10  # Adam steps after which only the better half is refined further
ADAM_PAUSE = 2  # Adam steps between two results
LEARNING_RATE = 0.1  # of Adam's first step
LAST_SHARE = 0.1  # of the learning rate is left at Adam's last step; it falls along a cosine
BETAS = 0.9, 0.99
NEWTON_STEPS = 4
DIFFERENCE = 1e-2  # of a latent's number, for the Jacobian
DAMPINGS = 1e-3, 1e-2, 1e-1, 1.0, 10.0  # multiples of the mean curvature; each step takes the best of them
MAX_JACOBIAN = 2**22  # numbers in a Jacobian; for larger ones there are no Gauss-Newton steps
PRIOR = 0.0025
PEAK = 2.0  # images are in [-1, 1]
MAX_SAMPLE = 1e6  # of the numbers of a sample; float32 cannot hold the squares of much larger ones


@dataclass(frozen=True, eq=False)
class Inversion:
    """Latents that were found for N samples, on the CPU.

    Args:
        latents: (N, latent_dim) float32, rounded to float16, so that a short text can restore them.
        labels: (N,) int64, the given ones or those found; None for a model without classes.
        images: (N, *shape) float32, the samples of these latents.
        psnr: (N,) peak signal-to-noise ratio of images in [-1, 1], in dB; higher is closer.
    """

    latents: Tensor
    labels: Tensor | None
    images: Tensor
    psnr: Tensor


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """Peak signal-to-noise ratio (N,) in dB between images (N, *shape) in [-1, 1]; at most 120."""
    error = (images - targets).flatten(1).double().square().mean(1)
    return (10 * torch.log10(PEAK**2 / error.clamp_min(PEAK**2 * 1e-12))).float()


def search(model: "Model", x: Tensor, labels: "Labels | None" = None, *,
           seed: int = 0) -> Iterator[tuple[float, Inversion]]:
    """Yields (share of the work that is done, from 0 to 1; the Inversion so far), after each short step.

    Arguments and errors as in `ganlib.Model.invert`. The last Inversion is the result. Before, it has zeros for samples
    for which no latent was scored yet.
    """
    x = model.samples_of(x)
    if x.abs().max() > MAX_SAMPLE:
        raise ValueError(f"samples to invert must be numbers from {-MAX_SAMPLE:,.0f} to {MAX_SAMPLE:,.0f}")
    y = None if labels is None else model.labels_of(range(len(x)), labels)
    refined = _refined(model)
    classes = (model.num_classes or 0) if y is None else 0
    count = min(max(MIN_STARTS, STARTS_EACH * refined, classes), MAX_STARTS)
    return _run(model.device, _Search(model, x, y, sampling.noise(seed, count, model.latent_dim), refined))


def _refined(model: "Model") -> int:
    """How many starts Adam refines: fewer for a network whose widest layer has more activations per pixel.

    A convolution takes about widest² / (numbers of a sample) multiply-adds.
    """
    allowed = REFINING * math.prod(model.shape) // model.architecture.widest**2
    return min(max(allowed, MIN_REFINED), MAX_REFINED)


def _run(device: torch.device, searching: "_Search") -> Iterator[tuple[float, Inversion]]:
    """What the steps of a search yield. Modes belong to a thread, so none is left on while the caller goes on."""
    steps = searching.steps()
    while True:
        with default_modes(device), exact_convolutions(device):
            found = next(steps, None)
        if found is None:
            return
        yield found


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Latents z (K, latent_dim) for one sample, their labels y (K,) or None, and their loss (K,)."""

    z: Tensor
    y: Tensor | None
    loss: Tensor

    def best(self, k: int) -> "_Candidates":
        """The k of the lowest loss, in order."""
        order = self.loss.argsort(stable=True)[:k]
        return _Candidates(self.z[order], None if self.y is None else self.y[order], self.loss[order])

    def with_others(self, others: "_Candidates") -> "_Candidates":
        """These candidates, then the others."""
        y = None if self.y is None or others.y is None else torch.cat([self.y, others.y])
        return _Candidates(torch.cat([self.z, others.z]), y, torch.cat([self.loss, others.loss]))


class _Search:
    """The search for the latents of samples x (N, *shape), with labels y (N,) or None.

    It begins at starts (S, latent_dim), the same for all samples, and refines `refined` of them for each.
    """

    def __init__(self, model: "Model", x: Tensor, y: Tensor | None, starts: Tensor, refined: int):
        self.model, self.device, self.refined, self.y = model, model.device, refined, y
        n = len(x)
        with torch.inference_mode(False):  # makes ordinary tensors, even of those of inference mode
            self.x = x.cpu().clone()
            self.targets, self.starts = self.x.flatten(1).to(self.device), starts.to(self.device)
            labels = self.x.new_zeros(n, dtype=torch.long) if model.num_classes else None
            self.found = Inversion(self.x.new_zeros(n, model.latent_dim), labels, torch.zeros_like(self.x),
                                   self.x.new_zeros(n))
        self.lowest = [math.inf] * n  # loss of what is found
        self.encoded = None if model.encoder is None else model.encode(x).to(self.device)
        fits = model.latent_dim * self.targets.shape[1] <= MAX_JACOBIAN
        self.newton_steps = NEWTON_STEPS if fits else 0

    def steps(self) -> Iterator[tuple[float, Inversion]]:
        """Does one step after another, and yields what `search` does."""
        adam, newton = self._work()
        scoring = len(self.starts) * len(self._known()) / (adam + newton)
        total = scoring + len(self.x)  # in units of the work on one sample
        best: dict[int, _Candidates] = {}
        for share in self._score(best):
            yield scoring * share / total, self._so_far()
        for i in range(len(self.x)):
            for share in self._refine(i, best[i]):
                yield (scoring + i + share) / total, self._so_far()

    def _work(self) -> tuple[int, int]:
        """What Adam and the Gauss-Newton steps cost for one sample, in samples that the generator makes."""
        refined = self.refined * (ADAM_STEPS + HALVED) // 2  # the half from HALVED on
        return 3 * refined, self.newton_steps * self.model.latent_dim  # a gradient costs about two samples more

    def _known(self) -> list[int | None]:
        """The given classes; [None] if none are given."""
        return [None] if self.y is None else sorted(set(self.y.tolist()))

    def _score(self, best: dict[int, _Candidates]) -> Iterator[float]:
        """Puts the best of the starts for each sample into `best`. Yields the share that is done after each batch.

        Raises ValueError if no loss is finite.
        """
        known, batch = self._known(), self.model.batch_size
        for turn, label in enumerate(known):
            y = self._labels_of_starts(label)
            samples = [i for i in range(len(self.x)) if self.y is None or self.y[i] == label]
            for start in range(0, len(self.starts), batch):
                part = slice(start, start + batch)
                z, labels = self.starts[part], None if y is None else y[part]
                decoded = self._decode(z, labels)
                for i in samples:
                    scored = _Candidates(z, labels, _loss(z, decoded, self.targets[i]))
                    if self.encoded is not None and start == 0:
                        one = self.encoded[i:i + 1]
                        scored = scored.with_others(self._candidates(one, None if labels is None else labels[:1],
                                                                     self.targets[i]))
                    best[i] = (best[i].with_others(scored) if start else scored).best(self.refined)
                    self._keep(i, best[i])
                if start + batch >= len(self.starts) and any(math.isinf(self.lowest[i]) for i in samples):
                    raise ValueError(f"{self.model.name} makes no finite samples, so that none comes close")
                yield (turn + min(1, (start + batch) / len(self.starts))) / len(known)

    def _labels_of_starts(self, label: int | None) -> Tensor | None:
        """The class, or each class in turn if it is not known."""
        if not self.model.num_classes:
            return None
        each = torch.arange(len(self.starts), device=self.device)
        return each % self.model.num_classes if label is None else torch.full_like(each, label)

    def _refine(self, i: int, candidates: _Candidates) -> Iterator[float]:
        """Brings the candidates of sample i closer to it. Yields the share that is done."""
        adam, newton = self._work()
        adam_share = adam / (adam + newton)
        refined = candidates
        for step, refined in self._adam(candidates, self.targets[i]):
            self._keep(i, refined)
            yield adam_share * step / ADAM_STEPS
        for step, one in self._newton(refined.best(1), self.targets[i]):
            self._keep(i, one)
            yield adam_share + (1 - adam_share) * step / self.newton_steps
        yield 1.0

    def _adam(self, candidates: _Candidates, target: Tensor) -> Iterator[tuple[int, _Candidates]]:
        """Adam (Kingma & Ba 2014) on all candidates together; yields (steps done, candidates) now and then."""
        z, y = candidates.z, candidates.y
        mean, square = torch.zeros_like(z), torch.zeros_like(z)
        for step in range(1, ADAM_STEPS + 1):
            now, gradient = self._gradient(z, y, target)
            if step % ADAM_PAUSE == 0:
                yield step - 1, now
            if step == HALVED + 1:
                kept = now.loss.argsort(stable=True)[:math.ceil(len(z) / 2)]
                z, y, gradient = z[kept], None if y is None else y[kept], gradient[kept]
                mean, square = mean[kept], square[kept]
            mean = torch.lerp(gradient, mean, BETAS[0])
            square = torch.lerp(gradient.square(), square, BETAS[1])
            share = LAST_SHARE + (1 - LAST_SHARE) * (1 + math.cos(math.pi * step / ADAM_STEPS)) / 2
            change = mean / (1 - BETAS[0]**step) / ((square / (1 - BETAS[1]**step)).sqrt() + 1e-8)
            z = z - LEARNING_RATE * share * change
        yield ADAM_STEPS, self._candidates(z, y, target)

    def _gradient(self, z: Tensor, y: Tensor | None, target: Tensor) -> tuple[_Candidates, Tensor]:
        """The candidates with their loss, and its gradient (K, latent_dim)."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            loss = _loss(z, self._decode(z, y), target)
            (gradient,) = torch.autograd.grad(loss.sum(), z)
        return _Candidates(z.detach(), y, loss.detach()), gradient

    def _newton(self, one: _Candidates, target: Tensor) -> Iterator[tuple[int, _Candidates]]:
        """Gauss-Newton steps with damping (Levenberg 1944) from one candidate, until none comes closer."""
        for step in range(1, self.newton_steps + 1):
            best = self._newton_step(one, target).best(1)
            if not best.loss < one.loss:
                return
            one = best
            yield step, one

    def _newton_step(self, one: _Candidates, target: Tensor) -> _Candidates:
        """Where the Gauss-Newton step from one candidate leads, with each of DAMPINGS."""
        prior = PRIOR / self.model.latent_dim
        eye = torch.eye(self.model.latent_dim, dtype=torch.float32, device="cpu")
        decoded = self._decode(torch.cat([one.z, one.z + DIFFERENCE * eye.to(self.device)]), one.y)
        jacobian = (decoded[1:] - decoded[0]) / DIFFERENCE  # (latent_dim, pixels)
        # the solution is computed on the CPU, as not every device has float64
        curvature = (jacobian @ jacobian.T / len(target)).cpu().double()
        slope = (jacobian @ (decoded[0] - target) / len(target) + prior * one.z[0]).cpu().double()
        dampings = torch.tensor(DAMPINGS, dtype=torch.double, device="cpu") * curvature.diagonal().mean() + prior
        # solve_ex raises no error for a matrix that is not finite; the step's loss is not finite then
        steps, _ = torch.linalg.solve_ex(curvature + dampings[:, None, None] * eye, slope.expand(len(DAMPINGS), -1))
        return self._candidates(one.z - steps.float().to(self.device), one.y, target)

    def _candidates(self, z: Tensor, y: Tensor | None, target: Tensor) -> _Candidates:
        y = None if y is None else y.expand(len(z))
        return _Candidates(z, y, _loss(z, self._decode(z, y), target))

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Flat samples (K, numbers) of latents z: (K, latent_dim). y: (K,), or (1,) for all, or None."""
        n, y = self.model.batch_size, None if y is None else y.expand(len(z))
        parts = [self.model.generator(z[i:i + n], None if y is None else y[i:i + n]) for i in range(0, len(z), n)]
        return torch.cat(parts).flatten(1).float()

    def _keep(self, i: int, candidates: _Candidates) -> None:
        """Keep the best candidate of sample i if it is closer than what is found so far."""
        best, found = candidates.best(1), self.found
        if best.loss.item() < self.lowest[i]:
            self.lowest[i] = best.loss.item()
            z = best.z.clamp(-sampling.MAX_LATENT, sampling.MAX_LATENT).half().float()  # as their text holds them
            found.latents[i] = z[0].cpu()
            found.images[i] = self._decode(z, best.y)[0].view(self.model.shape).cpu()
            found.psnr[i] = psnr(found.images[i:i + 1], self.x[i:i + 1])[0]
            if found.labels is not None and best.y is not None:
                found.labels[i] = best.y[0].cpu()

    def _so_far(self) -> Inversion:
        """A copy of what is found, which later steps do not change."""
        found = self.found
        return Inversion(found.latents.clone(), None if found.labels is None else found.labels.clone(),
                         found.images.clone(), found.psnr.clone())


def _loss(z: Tensor, decoded: Tensor, target: Tensor) -> Tensor:
    """What is minimised, for each of K latents: (K,)."""
    return (decoded - target).square().mean(1) + PRIOR * z.square().mean(1)
