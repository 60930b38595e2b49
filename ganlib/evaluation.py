"""Measures of a model, as metrics.json holds them.

`EVALUATIONS` is a table of functions. Data name the function that measures their models by the attribute `evaluation`;
add a function for data of your own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ganlib import directions, images, metrics, sampling
from ganlib.calibration import Calibration, fit
from ganlib.checks import require
from ganlib.classifier import NAME, ClassifierConfig, DigitClassifier, train_classifier
from ganlib.data import Data, ImageData, scale
from ganlib.inversion import psnr
from ganlib.losses import LOSSES
from ganlib.model import Model
from ganlib.pictures import Progress
from ganlib.training import check_fit

SEED = 10_000_000  # of the latents of an evaluation, far from the seeds that people choose
NEIGHBOURS = 5  # the k of precision, recall, density and coverage
CONFIDENT = 0.9  # the classifier is confident of an image where a class has at least this probability
KID_SUBSET = 1_000
CURVE_SAMPLES = 5_000  # for the curves of a run
DIRECTIONS_FROM = 500  # samples: with fewer, noise has correlations that would name a direction
WALKS = 1_000  # random paths whose midpoints are measured
PATH_STEP = 1e-3  # the step along a path by which its length is measured
CAS_EPOCHS = 10  # of the classification accuracy score's classifier
CALIBRATED_ON = 10_000  # real samples, and as many generated ones
BLOCK = 10_000  # images of a dataset that are compared at a time
MAX_PIXELS = 1_024  # numbers of an image in the Fréchet distance of pixels

Examined = tuple[Tensor, Tensor]  # features (N, D) and class probabilities (N, classes), by the classifier
_T = TypeVar("_T")


@dataclass(frozen=True)
class Evaluation:
    """The arguments of an evaluation."""

    model: Model  # to be measured
    data: Any  # its training data, with all that their evaluation needs
    held_out: Any  # other real samples of the same kind, or None
    samples: int | None  # how many to draw, None for the usual number
    classifier: DigitClassifier | None  # the digit classifier, in whose features samples are compared; or None
    progress: Progress


def evaluate(model: Model, data: Data, samples: int | None = None, classifier: DigitClassifier | None = None,
             progress: Progress = lambda what, share: None) -> dict[str, Any]:
    """The measures of a model, JSON-ready, also against the data's held-out part. Arguments as in `Evaluation`.

    Raises:
        ValueError: the data's shape or classes are not the model's, or their evaluation is unknown.
    """
    held_out = data.held_out()
    for part in filter(None, (data, held_out)):
        check_fit(model.architecture, part)
    require(data.evaluation in EVALUATIONS,
            f"{data.name} is evaluated by {data.evaluation!r}, which is none of {', '.join(EVALUATIONS)}")
    measures = EVALUATIONS[data.evaluation](Evaluation(model, data, held_out, samples, classifier, progress))
    return {"data": data.name, **({"data_is_folder": True} if data.folder else {}), **measures,
            **final_losses(model.history)}


def calibrate(model: Model, data: Data, loss: str, samples: int = CALIBRATED_ON) -> Calibration:
    """Fit a model's calibration on its samples and on as many real ones, held-out ones where there are any.

    loss: the name of the loss that the discriminator was trained with.
    """
    data = data.for_calibration().to("cpu")
    real, y = data.batch(samples, torch.Generator().manual_seed(SEED))
    y = y if model.num_classes else None
    fake = model.draw(samples, SEED + 2, y)
    model.calibration = fit(model.logits(real, y), model.logits(fake, y), y, model.num_classes,
                            fit_scale=not LOSSES[loss].log_odds)
    return model.calibration


def final_losses(history: list[dict[str, Any]]) -> dict[str, float]:
    """Mean losses over the last tenth of a run's history."""
    found: dict[str, float] = {}
    for key in ("discriminator_loss", "generator_loss", "reconstruction_loss", "kl_divergence"):
        values = [row[key] for row in history if key in row]
        last = values[-max(1, len(values) // 10):]
        found |= {f"final_{key}": sum(last) / len(last)} if last else {}
    return found


def _with_real(measure: Callable[[_T], dict[str, Any]], samples: _T, real: _T | None) -> dict[str, Any]:
    """Measures of samples and, by names that end in "_of_real", the same measures of real ones where there are any."""
    of_real = {} if real is None else measure(real)
    return measure(samples) | {f"{name}_of_real": value for name, value in of_real.items()}


def evaluate_points(e: Evaluation) -> dict[str, Any]:
    """The distance of samples from real points, that of other real points, and all else that the data measure."""
    n = e.samples or e.data.samples
    # other seeds than the samples': points made of the same random numbers would be alike
    real, other = (e.data.batch(n, torch.Generator().manual_seed(SEED + i))[0] for i in (1, 2))
    x, name = e.model.draw(n, SEED), "wasserstein_1" if tuple(e.data.shape) == (1,) else "sliced_wasserstein"
    return {"samples": n, **_with_real(lambda points: {name: e.data.distance(points, real)}, x, other),
            **_with_real(e.data.measure, x, real)}


def evaluate_images(e: Evaluation) -> dict[str, Any]:
    """Compares samples with held-out images, in raw pixels and, with a classifier, in its features.

    As many training images are compared with the same held-out images: their measures end in "_of_real". Where nothing
    is held out, samples are compared with the training images, and there is nothing "_of_real".
    """
    model, data, held_out, classifier = e.model, e.data, e.held_out, e.classifier
    reference = data if held_out is None else held_out
    n = e.samples or min(10_000, max(100, len(reference)))
    scores = model.num_classes is not None and held_out is not None and classifier is not None

    def progress(what: str, share: float) -> None:
        e.progress(what, share / 4 if scores else share)  # training a classifier on samples takes most of the time

    progress("drawing samples", 0)
    y = _classes(model, data, n)
    x, real = model.draw(n, SEED, y), _some_images(reference, n)
    training = None if held_out is None else _some_images(data, n)
    result: dict[str, Any] = {"samples": n, "real_images": len(real),
                              "against": "training images" if held_out is None else "test images"}
    if model.discriminator is not None:
        other = held_out and held_out[1::2]  # those that `calibrate` did not use
        result |= _with_real(lambda pair: {"mean_probability_real": model.discriminate(*pair).mean().item()}, (x, y),
                             other and (_some_images(other, n), _classes(model, other, min(n, len(other)))))
    if model.encoder is not None:
        result["reconstruction_psnr"] = psnr(model.decode(model.encode(real)), real).double().mean().item()
    progress("pixels", 0.1)
    small, name = _shrunk(real), "pixel_frechet_distance"
    if small.shape != real.shape:
        result["shrunk_to"] = "×".join(map(str, small.shape[1:]))
        name = "shrunk_" + name
    result |= _with_real(lambda part: {name: metrics.frechet_distance(small.flatten(1), _shrunk(part).flatten(1))},
                         x, training)
    progress("nearest training images", 0.15)
    result |= _with_real(lambda part: {"nearest_training_image_distances": _quantiles(nearest_image(part, data)[0])},
                         x, None if held_out is None else real)
    if classifier is not None:
        result |= _by_classifier(model, classifier, (x, real, training), y, progress)
    if scores:
        result |= classification_accuracy_score(model, held_out, 6 * n,
                                                lambda what, share: e.progress(what, 0.25 + 0.75 * share))
    return result


def _by_classifier(model: Model, classifier: DigitClassifier, images: tuple[Tensor, Tensor, Tensor | None],
                   y: Tensor | None, progress: Progress) -> dict[str, Any]:
    """What the digit classifier tells of samples of the classes y, real images and, where there are any, training ones.

    Directions are left out for fewer than `DIRECTIONS_FROM` samples.
    """
    progress("the classifier's features", 0.45)
    samples, real, training = (part if part is None else classifier.examine(part) for part in images)
    assert samples is not None
    assert real is not None
    progress("FID, KID, precision and recall", 0.6)
    result = {"features": f"{NAME} {classifier.fingerprint()}", **measure_digits(samples, real, training)}
    if y is not None:
        result["class_as_asked"] = (samples[1].argmax(1) == y).double().mean().item()
    n = len(images[0])
    progress("interpolations", 0.9)
    result |= measure_interpolation(model, classifier, min(WALKS, n))
    if tuple(model.shape) == directions.SHAPE and n >= DIRECTIONS_FROM:
        progress("directions", 0.95)
        result[directions.MEASURE] = directions.correlations(
            model, directions.of_attributes(model), min(directions.MEASURED_ON, n), SEED)
    return result


def evaluate_stacked(e: Evaluation) -> dict[str, Any]:
    """How many of the 1,000 classes of stacked digits 26,000 samples have, and how evenly; the same of real ones.

    The digit classifier reads each channel; without it nothing is counted.
    """
    n, classifier = e.samples or 26_000, e.classifier
    if classifier is None:
        return {"samples": n}
    even = torch.full((1_000,), 1e-3, dtype=torch.double, device="cpu")

    def count(x: Tensor) -> dict[str, Any]:
        e.progress("reading digits", 0.5)
        hundreds, tens, units = (classifier.examine(channel)[1].argmax(1) for channel in torch.split(x, 1, dim=1))
        shares = metrics.class_shares(100 * hundreds + 10 * tens + units, len(even))
        return {"modes": int((shares > 0).sum()), "kl_from_equal_shares": metrics.kl_divergence(shares, even)}

    real, _ = (e.held_out or e.data).to("cpu").batch(n, torch.Generator().manual_seed(SEED))
    return {"samples": n, "features": f"{NAME} {classifier.fingerprint()}", "centres": len(even),
            **_with_real(count, e.model.draw(n, SEED), real)}


EVALUATIONS: dict[str, Callable[[Evaluation], dict[str, Any]]] = {
    "images": evaluate_images,
    "points": evaluate_points,
    "stacked-digits": evaluate_stacked,
}


def measure_digits(samples: Examined, real: Examined, training: Examined | None = None) -> dict[str, Any]:
    """Measures by the digit classifier: distances and overlap in its features, class shares, confidence.

    Samples, and as many training images where there are any, are compared with real held-out images.
    """
    def count(examined: Examined) -> Tensor:
        return metrics.class_shares(examined[1].argmax(1), examined[1].shape[1])

    def compare(examined: Examined) -> dict[str, Any]:
        result = {"fid_digit_classifier": metrics.frechet_distance(real[0], examined[0])}
        if min(len(examined[0]), len(real[0])) >= KID_SUBSET:
            result["kid_digit_classifier"] = metrics.kernel_distance(real[0], examined[0])
        return {**result, **metrics.precision_recall_density_coverage(real[0], examined[0], NEIGHBOURS),
                "class_shares_kl_divergence": metrics.kl_divergence(count(examined), count(real))}

    def describe(examined: Examined) -> dict[str, Any]:
        return {"class_shares": [round(share, 4) for share in count(examined).tolist()],
                "share_confident": share_confident(examined)}

    return {"neighbours": NEIGHBOURS, "confident_from": CONFIDENT, **_with_real(compare, samples, training),
            **_with_real(describe, samples, real)}


def share_confident(examined: Examined) -> float:
    """The share of images that the classifier is confident of."""
    return (examined[1].max(1).values >= CONFIDENT).double().mean().item()


def measure_interpolation(model: Model, classifier: DigitClassifier, walks: int) -> dict[str, Any]:
    """Measures of interpolations, on slerp paths between random latents; both ends have the same class.

    Returns the share of midpoints and of ends that the classifier is confident of, and the perceptual path length
    (Karras et al. 2019, section 4.1) in the classifier's features: the mean of |f(t + ε) − f(t)|² / ε² at random points
    of the paths.
    """
    first, second = (sampling.noise(SEED + i, walks, model.latent_dim) for i in (3, 4))
    y = None if model.num_classes is None else torch.arange(walks, device="cpu") % model.num_classes
    position = torch.rand(walks, generator=torch.Generator().manual_seed(SEED), dtype=torch.float32, device="cpu")

    def examine(t: Tensor) -> Examined:
        z = torch.stack([sampling.slerp(a, b, share) for a, b, share in zip(first, second, t.tolist())])
        return classifier.examine(model.decode(z, y))

    here, there = examine(position * (1 - PATH_STEP)), examine(position * (1 - PATH_STEP) + PATH_STEP)
    lengths = (there[0] - here[0]).double().square().sum(1) / PATH_STEP**2
    ends = classifier.examine(model.decode(torch.cat([first, second]), None if y is None else torch.cat([y, y])))
    return {"walks": walks, "share_confident_midpoints": share_confident(examine(torch.full_like(position, 0.5))),
            "share_confident_ends": share_confident(ends), "perceptual_path_length": lengths.mean().item()}


def classification_accuracy_score(model: Model, held_out: ImageData, samples: int,
                                  progress: Progress) -> dict[str, Any]:
    """The accuracy on real held-out images of a classifier trained on generated images alone.

    Ravuri & Vinyals 2019, "Classification accuracy score for conditional generative models".
    """
    progress("drawing samples to train a classifier on", 0)
    num_classes = model.num_classes or 1
    y = torch.arange(samples, device="cpu") % num_classes
    pixels = images.to_uint8(model.draw(samples, SEED + 1, y))
    generated = ImageData("samples", pixels, y, num_classes).to(model.device)
    config = ClassifierConfig(steps=max(1, samples * CAS_EPOCHS // ClassifierConfig.batch_size))
    for step, _, classifier in train_classifier(generated, config):
        if step % 50 == 0:
            progress("training a classifier on samples", step / config.steps)
    return {"samples_learnt_from": samples, "classification_accuracy_score": classifier.accuracy(held_out)}


def measure_briefly(model: Model, data: ImageData, reference: Examined, classifier: DigitClassifier,
                    samples: int = CURVE_SAMPLES) -> dict[str, float]:
    """FID, precision and recall during a run, for its curves: of fewer samples, and as many real images."""
    real = subsample(reference[0], samples)
    features, _ = classifier.examine(model.draw(len(real), SEED, _classes(model, data, len(real))))
    overlap = metrics.precision_recall_density_coverage(real, features, NEIGHBOURS)
    return {"fid_digit_classifier": metrics.frechet_distance(real, features),
            "precision": overlap["precision"], "recall": overlap["recall"]}


def _classes(model: Model, data: ImageData, n: int) -> Tensor | None:
    """The classes (n,) of the samples to draw, as frequent as in the data; None for a model without classes."""
    if model.num_classes is None or data.labels is None:
        return None
    labels = subsample(data.labels, n).cpu()
    return labels.repeat(-(-n // len(labels)))[:n]


def nearest_image(x: Tensor, data: ImageData) -> tuple[Tensor, Tensor]:
    """Euclidean distance (N,) from each image (N, C, H, W) in [-1, 1] to the data's nearest, and that one's index (N,).

    Only a block of the data is converted to float32 at a time, as all of them may take gigabytes.
    """
    distance = torch.full((len(x),), math.inf, dtype=torch.float32, device="cpu")
    index = torch.zeros(len(x), dtype=torch.long, device="cpu")
    for start in range(0, len(data), BLOCK):
        found, where = metrics.nearest(x.flatten(1), scale(data.images[start:start + BLOCK]).flatten(1).cpu())
        closer = found < distance
        distance[closer], index[closer] = found[closer], where[closer] + start
    return distance, index


def subsample(items: Tensor, n: int) -> Tensor:
    """At most n items, evenly spaced: datasets are often sorted, and the first half of MNIST's test part is easier."""
    places = torch.linspace(0, len(items) - 1, min(n, len(items)), dtype=torch.float64, device="cpu")
    return items[places.round().long().to(items.device)]


def _some_images(data: ImageData, n: int) -> Tensor:
    return scale(subsample(data.images, n)).cpu()


def _shrunk(x: Tensor) -> Tensor:
    """Images (N, C, H, W), halved until each has at most MAX_PIXELS numbers: the cost grows with their cube."""
    while x[0].numel() > MAX_PIXELS:
        x = nn.functional.avg_pool2d(x, [min(2, side) for side in x.shape[2:]])
    return x


def _quantiles(values: Tensor) -> dict[str, float]:
    return {f"{share:.0%}": values.quantile(share).item() for share in (0.05, 0.25, 0.5, 0.75, 0.95)}


def verdict(counts: Sequence[int], real_shares: Sequence[float]) -> str:
    """Which classes are missing, very rare, rare or too frequent among samples, in words.

    A class is named where its count among the samples is off by over a fifth and by over three standard deviations of
    chance from its share in real data.
    """
    found: dict[str, list[str]] = {"missing": [], "very rare": [], "rare": [], "too frequent": []}
    for label, (count, share) in enumerate(zip(counts, real_shares)):
        expected = share * sum(counts)
        if abs(count - expected) > max(expected / 5, 3 * math.sqrt(expected * (1 - share))):
            few = "missing" if count == 0 else "very rare" if count < expected / 2 else "rare"
            found[few if count < expected else "too frequent"].append(str(label))
    named = [f"{', '.join(labels)} {kind}" for kind, labels in found.items() if labels]
    return "; ".join(named) or "all classes are as frequent as in real data"
