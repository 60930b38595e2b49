"""Measures of a model, as its metrics.json holds them.

`EVALUATIONS` is a table of functions. Data name the one that measures their models by the attribute `evaluation`; add
one for data of your own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ganlib import images, metrics, sampling
from ganlib.calibration import Calibration, fit
from ganlib.classifier import NAME, ClassifierConfig, DigitClassifier, train_classifier
from ganlib.data import Data, ImageData, scale
from ganlib.losses import LOSSES
from ganlib.model import Model
from ganlib.training import check_fit

SEED = 10_000_000  # of the latents of an evaluation, far from the seeds that people look at
NEIGHBOURS = 5  # the k of precision, recall, density and coverage
CONFIDENT = 0.9  # from which probability on the classifier is called confident
KID_SUBSET = 1_000
CURVE_SAMPLES = 5_000  # for the curves of a run
WALKS = 1_000  # random paths whose midpoints are looked at
PATH_STEP = 1e-3  # the step along a path by which its length is measured
CAS_EPOCHS = 10  # of the classification accuracy score's classifier
CALIBRATED_ON = 10_000  # real samples, and as many generated ones
PART = 10_000  # images of a set that are compared at a time
MOST_PIXELS = 1_024  # numbers of an image in the distance of raw pixels

Progress = Callable[[str, float], None]  # is called with what begins, in a few words, and the share that is done
Look = tuple[Tensor, Tensor]  # a classifier's features (N, D) and class probabilities (N, classes)


def _silent(what: str, share: float) -> None:
    pass


@dataclass(frozen=True)
class Evaluation:
    """The arguments of an evaluation.

    Args:
        model: to be measured.
        data: what it was trained on.
        held_out: other real samples of the same kind, or None.
        samples: how many to draw, None for the usual number.
        classifier: the digit classifier, whose features are measured; or None.
        progress: is called as the evaluation goes on.
    """

    model: Model
    data: Data
    held_out: Data | None = None
    samples: int | None = None
    classifier: DigitClassifier | None = None
    progress: Progress = _silent


def evaluate(model: Model, data: Data, held_out: Data | None = None, samples: int | None = None,
             classifier: DigitClassifier | None = None, progress: Progress = _silent) -> dict:
    """The measures of a model, JSON-ready. Arguments as in `Evaluation`.

    Raises:
        ValueError: the data's shape or classes are not the model's, or their evaluation is unknown.
    """
    for part in (data, held_out):
        if part is not None:
            check_fit(model.architecture, part)
    if data.evaluation not in EVALUATIONS:
        raise ValueError(f"{data.name} is evaluated by {data.evaluation!r}, which is none of "
                         f"{', '.join(EVALUATIONS)}")
    measure = EVALUATIONS[data.evaluation]
    return {"data": data.name, **({"data_is_folder": True} if data.folder else {}),
            **measure(Evaluation(model, data, held_out, samples, classifier, progress)), **final_losses(model.history)}


def calibrate(model: Model, data: Data, loss: str, samples: int = CALIBRATED_ON) -> Calibration:
    """Fit a model's calibration on fresh samples of it and real ones that it was not trained on, where there are any.

    Args:
        loss: the name of the loss that the discriminator was trained by.
        samples: how many real ones, and as many generated ones of the same classes.
    """
    data = data.for_calibration().to("cpu")
    real, y = data.batch(samples, torch.Generator().manual_seed(SEED))
    y = y if model.num_classes else None
    fake = model.draw(samples, SEED + 2, y)
    model.calibration = fit(model.logits(real, y), model.logits(fake, y), y, model.num_classes,
                            fit_scale=not LOSSES[loss].log_odds)
    return model.calibration


def final_losses(history: list[dict]) -> dict[str, float]:
    """Mean losses over the last tenth of a run's history."""
    rows = [row for row in history if {"discriminator_loss", "generator_loss"} <= row.keys()]
    last = rows[-max(1, len(rows) // 10):]
    return {f"final_{key}": sum(row[key] for row in last) / len(last)
            for key in ("discriminator_loss", "generator_loss") if last}


def evaluate_points(e: Evaluation) -> dict:
    """The distance of samples to real points, the same for other real points, and what else the data can measure."""
    n = e.samples or e.data.samples
    # other seeds than the samples': points made of the same random numbers would be alike
    x = e.model.draw(n, SEED)
    real, other = (e.data.batch(n, torch.Generator().manual_seed(SEED + i))[0] for i in (1, 2))
    distance = "wasserstein_1" if len(e.data.shape) == 1 and e.data.shape[0] == 1 else "sliced_wasserstein"
    result = {"samples": n, distance: e.data.distance(x, real), distance + "_of_real": e.data.distance(other, real)}
    ideal = {key + "_of_real": value for key, value in e.data.measure(real).items()}
    return {**result, **e.data.measure(x), **ideal}


def evaluate_images(e: Evaluation) -> dict:
    """Compares samples with held-out images, in raw pixels and, with a classifier, in its features.

    As many training images are compared with the same held-out images: their measures end in "_of_real". Where nothing
    is held out, samples are compared with the training images, and there is nothing "_of_real".
    """
    model, data, held_out, classifier = e.model, e.data, e.held_out, e.classifier
    n = e.samples or min(10_000, max(100, len(data if held_out is None else held_out)))
    scores = model.num_classes is not None and held_out is not None and classifier is not None
    # training a classifier on samples takes most of the time
    progress = (lambda what, share: e.progress(what, share / 4)) if scores else e.progress
    progress("drawing samples", 0)
    asked = _classes(model, data, n)
    x = model.draw(n, SEED, asked)
    real = scale(subsample((data if held_out is None else held_out).images, n)).cpu()
    floor = None if held_out is None else scale(subsample(data.images, n)).cpu()
    result = {"samples": n, "real_images": len(real),
              "against": "training images" if held_out is None else "test images"}
    if model.discriminator is not None:
        result["mean_probability_real"] = model.discriminate(x, asked).mean().item()
        if held_out is not None:
            other = held_out[1::2]  # those that `calibrate` has not seen
            labels = None if asked is None else subsample(other.labels, n).cpu()
            judged = model.discriminate(scale(subsample(other.images, n)).cpu(), labels)
            result["mean_probability_real_of_real"] = judged.mean().item()
    progress("pixels", 0.1)
    small = [None if part is None else _shrunk(part) for part in (x, real, floor)]
    name = "pixel_frechet_distance"
    if small[0].shape != x.shape:
        result["shrunk_to"] = "×".join(map(str, small[0].shape[1:]))
        name = "shrunk_" + name
    result |= _beside(name, metrics.frechet_distance, *(None if part is None else part.flatten(1) for part in small))
    progress("nearest training images", 0.15)
    result["nearest_training_image_distances"] = _quantiles(nearest_image(x, data)[0])
    if held_out is not None:
        result["nearest_training_image_distances_of_real"] = _quantiles(nearest_image(real, data)[0])
    if classifier is not None:
        progress("the classifier's features", 0.45)
        looks = [None if part is None else classifier.examine(part) for part in (x, real, floor)]
        result["features"] = f"{NAME} {classifier.fingerprint()}"
        result |= measure_digits(*looks, lambda what, share: progress(what, 0.6 + 0.3 * share))
        if asked is not None:
            result["class_as_asked"] = (looks[0][1].argmax(1) == asked).double().mean().item()
        progress("interpolations", 0.9)
        result |= measure_interpolation(model, classifier, min(WALKS, n))
    if scores:
        result |= classification_accuracy_score(model, held_out, 6 * n,
                                                lambda what, share: e.progress(what, 0.25 + 0.75 * share))
    return result


def evaluate_stacked(e: Evaluation) -> dict:
    """How many of the 1,000 kinds of stacked digits there are in 26,000 samples, and how evenly; the same of real ones.

    The digit classifier reads each channel; without it nothing is counted.
    """
    n, data = e.samples or 26_000, e.held_out or e.data
    result = {"samples": n}
    if e.classifier is None:
        return result
    even = torch.full((1_000,), 1e-3, dtype=torch.double, device="cpu")
    real, _ = data.to("cpu").batch(n, torch.Generator().manual_seed(SEED))
    result |= {"features": f"{NAME} {e.classifier.fingerprint()}", "centres": len(even)}
    for i, (name, x) in enumerate((("", e.model.draw(n, SEED)), ("_of_real", real))):
        e.progress("reading digits", i / 2)
        read = [e.classifier.examine(channel)[1].argmax(1) for channel in x.split(1, dim=1)]
        shares = metrics.class_shares(100 * read[0] + 10 * read[1] + read[2], len(even))
        result |= {"modes" + name: int((shares > 0).sum()),
                   "kl_from_equal_shares" + name: metrics.kl_divergence(shares, even)}
    return result


EVALUATIONS: dict[str, Callable[[Evaluation], dict]] = {
    "images": evaluate_images,
    "points": evaluate_points,
    "stacked-digits": evaluate_stacked,
}


def measure_digits(fake: Look, real: Look, floor: Look | None, progress: Progress = _silent) -> dict:
    """Measures by the digit classifier: distances and overlap in its features, class shares, confidence."""
    features = [None if look is None else look[0] for look in (fake, real, floor)]
    progress("FID and KID", 0)
    result = _beside("fid_digit_classifier", metrics.frechet_distance, *features)
    if min(len(fake[0]), len(real[0])) >= KID_SUBSET:
        result |= _beside("kid_digit_classifier", metrics.kernel_distance, *features)
    progress("precision and recall", 0.5)
    result["neighbours"] = NEIGHBOURS
    for name, other in (("", features[0]), ("_of_real", features[2])):
        if other is not None:
            overlap = metrics.precision_recall_density_coverage(features[1], other, NEIGHBOURS)
            result |= {key + name: value for key, value in overlap.items()}
    shares = [metrics.class_shares(look[1].argmax(1), look[1].shape[1]) if look else None
              for look in (fake, real, floor)]
    result["class_shares"] = [round(share, 4) for share in shares[0].tolist()]
    result["class_shares_of_real"] = [round(share, 4) for share in shares[1].tolist()]
    result["class_shares_kl_divergence"] = metrics.kl_divergence(shares[0], shares[1])
    if floor is not None:
        result["class_shares_kl_divergence_of_real"] = metrics.kl_divergence(shares[2], shares[1])
    result["confident_from"] = CONFIDENT
    result |= {"share_confident" + name: share_confident(look) for name, look in (("", fake), ("_of_real", real))}
    return result


def share_confident(look: Look) -> float:
    """The share of images of which the classifier is confident."""
    return (look[1].max(1).values >= CONFIDENT).double().mean().item()


def measure_interpolation(model: Model, classifier: DigitClassifier, walks: int) -> dict:
    """How good interpolations are, on slerp paths between random latents; both ends have the same class.

    Returns the share of midpoints and of ends that the classifier is confident of, and the perceptual path length
    (Karras et al. 2019, section 4.1) in the classifier's features: the mean of |f(t + ε) − f(t)|² / ε² at random points
    of the paths.
    """
    first, second = (sampling.noise(SEED + i, walks, model.latent_dim) for i in (3, 4))
    y = None if model.num_classes is None else torch.arange(walks, device="cpu") % model.num_classes
    position = torch.rand(walks, generator=torch.Generator().manual_seed(SEED), dtype=torch.float32, device="cpu")

    def look(t: Sequence[float]) -> Look:
        z = torch.stack([sampling.slerp(a, b, float(share)) for a, b, share in zip(first, second, t)])
        return classifier.examine(model.decode(z, y))

    here, there = look(position * (1 - PATH_STEP)), look(position * (1 - PATH_STEP) + PATH_STEP)
    lengths = (there[0] - here[0]).double().square().sum(1) / PATH_STEP**2
    ends = classifier.examine(model.decode(torch.cat([first, second]), None if y is None else torch.cat([y, y])))
    return {"walks": walks, "share_confident_midpoints": share_confident(look([0.5] * walks)),
            "share_confident_ends": share_confident(ends), "perceptual_path_length": lengths.mean().item()}


def classification_accuracy_score(model: Model, held_out: ImageData, samples: int,
                                  progress: Progress = _silent) -> dict:
    """The accuracy on real held-out images of a classifier trained on generated images alone.

    Ravuri & Vinyals 2019, "Classification accuracy score for conditional generative models".
    """
    progress("drawing samples to learn from", 0)
    y = torch.arange(samples, device="cpu") % model.num_classes
    pixels = images.to_uint8(model.draw(samples, SEED + 1, y))
    generated = ImageData("samples", pixels, y, model.num_classes).to(model.device)
    config = ClassifierConfig(steps=1)
    config = replace(config, steps=max(1, samples * CAS_EPOCHS // config.batch_size))
    for step, _, student in train_classifier(generated, config):
        if step % 50 == 0:
            progress("training a classifier on samples", step / config.steps)
    return {"samples_learnt_from": samples, "classification_accuracy_score": student.accuracy(held_out)}


def measure_briefly(model: Model, data: ImageData, reference: Look, classifier: DigitClassifier,
                    samples: int = CURVE_SAMPLES) -> dict:
    """FID, precision and recall of a run under way, for its curves: of fewer samples, and as many real images."""
    real = subsample(reference[0], samples)
    features, _ = classifier.examine(model.draw(len(real), SEED, _classes(model, data, len(real))))
    overlap = metrics.precision_recall_density_coverage(real, features, NEIGHBOURS)
    return {"fid_digit_classifier": metrics.frechet_distance(real, features),
            "precision": overlap["precision"], "recall": overlap["recall"]}


def _classes(model: Model, data: ImageData, n: int) -> Tensor | None:
    """The classes (n,) of the samples to draw, which are those of real images; None for a model without classes."""
    if model.num_classes is None:
        return None
    labels = subsample(data.labels, n).cpu()
    return labels.repeat(-(-n // len(labels)))[:n]


def nearest_image(x: Tensor, data: ImageData) -> tuple[Tensor, Tensor]:
    """Euclidean distance (N,) from each image (N, C, H, W) in [-1, 1] to the data's nearest, and that one's index (N,).

    As float32 a whole set may take gigabytes, so only a part of it is converted at a time.
    """
    distance = torch.full((len(x),), math.inf, dtype=torch.float32, device="cpu")
    index = torch.zeros(len(x), dtype=torch.long, device="cpu")
    for start in range(0, len(data), PART):
        found, where = metrics.nearest(x.flatten(1), scale(data.images[start:start + PART]).flatten(1).cpu())
        closer = found < distance
        distance[closer], index[closer] = found[closer], where[closer] + start
    return distance, index


def subsample(items: Tensor, n: int) -> Tensor:
    """At most n items, evenly spaced: sets are often sorted, and the first half of MNIST's test part is easier."""
    places = torch.linspace(0, len(items) - 1, min(n, len(items)), dtype=torch.float64, device="cpu")
    return items[places.round().long().to(items.device)]


def _beside(name: str, measure: Callable[[Tensor, Tensor], float], fake: Tensor, real: Tensor,
            floor: Tensor | None) -> dict:
    """A measure between samples and real ones, and the same between other real ones and these."""
    result = {name: measure(real, fake)}
    return result if floor is None else {**result, name + "_of_real": measure(real, floor)}


def _shrunk(x: Tensor) -> Tensor:
    """Images (N, C, H, W), halved until they have at most MOST_PIXELS numbers each: the cost grows with their cube."""
    while x[0].numel() > MOST_PIXELS:
        x = nn.functional.avg_pool2d(x, 2)
    return x


def _quantiles(values: Tensor) -> dict[str, float]:
    return {f"{share:.0%}": values.quantile(share).item() for share in (0.05, 0.25, 0.5, 0.75, 0.95)}


def verdict(counts: Sequence[int], real_shares: Sequence[float]) -> str:
    """Which classes are missing, very rare, rare or too frequent among samples, in words.

    A class is named where its count is off by over a fifth and by over three standard deviations of chance.

    Args:
        counts: samples of each class.
        real_shares: the share of each class in real data.
    """
    found: dict[str, list[str]] = {"missing": [], "very rare": [], "rare": [], "too frequent": []}
    for label, (count, share) in enumerate(zip(counts, real_shares)):
        expected = share * sum(counts)
        if abs(count - expected) > max(expected / 5, 3 * math.sqrt(expected * (1 - share))):
            few = "missing" if count == 0 else "very rare" if count < expected / 2 else "rare"
            found[few if count < expected else "too frequent"].append(str(label))
    named = [f"{', '.join(labels)} {kind}" for kind, labels in found.items() if labels]
    return "; ".join(named) or "all classes are as frequent as in real data"
