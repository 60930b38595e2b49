"""Which measures belong to which data: from a Model to the numbers of its metrics.json."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ganlib import images, metrics
from ganlib.classifier import NAME, ClassifierConfig, DigitClassifier, train_classifier
from ganlib.data import Data, Gaussian, ImageData, Mixture, Sine, StackedDigits, scale
from ganlib.model import Model

SEED = 10_000_000  # of the latents of an evaluation, far from the seeds that people look at
NEIGHBOURS = 5  # the k of precision, recall, density and coverage
SURE = 0.9  # from which probability on the classifier is called sure
KID_SUBSET = 1_000
MOMENT_SAMPLES = 5_000  # for the curves of a run
LESSON_EPOCHS = 10
PART = 10_000  # images of a set that are compared at a time
MOST_PIXELS = 1_024  # numbers of an image in the distance of raw pixels
DIGITS = ("mnist", "emnist-digits", "qmnist", "stacked-mnist")  # the sets that the digit classifier knows to read


Tell = Callable[[str, float], None]  # told what begins, in a few words, and which share of the work is done


def _silent(what: str, share: float) -> None:
    pass


def evaluate(model: Model, data: Data, test: Data | None = None, samples: int | None = None,
             classifier: DigitClassifier | None = None, tell: Tell = _silent) -> dict:
    """The measures of a model trained on `data`, JSON-ready. `test`: other real samples of the same kind, for images.

    samples: how many to draw, None for the usual number of the data's kind. classifier: for digits, whose features are
    then measured too. tell: hears how far it is. Raises ValueError where the data's shape is not the model's or nothing
    is known to measure.
    """
    if tuple(data.shape) != tuple(model.shape):
        raise ValueError(f"{model.name} makes samples of shape {model.shape}, the data's are {tuple(data.shape)}")
    for kind, measure in MEASURES.items():
        if isinstance(data, kind):
            return {"data": data.name, **measure(model, data, test, samples, classifier, tell)}
    raise ValueError(f"nothing is known to measure on {type(data).__name__}")


def final_losses(history: list[dict]) -> dict[str, float]:
    """Mean losses over the last tenth of a run's history."""
    rows = [row for row in history if "generator_loss" in row]
    last = rows[-max(1, len(rows) // 10):]
    return {f"final_{key}": sum(row[key] for row in last) / len(last)
            for key in ("discriminator_loss", "generator_loss") if last}


def measure_gaussian(model: Model, data: Gaussian, test: None, samples: int | None, *_) -> dict:
    """Wasserstein-1 distance of 100,000 samples to the exact quantiles, beside that of as many real samples."""
    n = samples or 100_000
    x = model.draw(n, SEED)
    real, _ = data.batch(n, torch.Generator().manual_seed(SEED))
    exact = data.quantiles(n)
    return {
        "samples": n,
        "wasserstein_1": metrics.wasserstein_1(x, exact),
        "wasserstein_1_of_real": metrics.wasserstein_1(real, exact),
        "mean": x.mean().item(),
        "std": x.std().item(),
        **final_losses(model.history),
    }


def measure_sine(model: Model, data: Sine, test: None, samples: int | None, *_) -> dict:
    """Distance from the curve, the widest gap along it, and the sliced Wasserstein distance to real samples."""
    n = samples or 100_000
    x = model.draw(n, SEED)  # from other numbers than the real ones, which would be like them for that reason alone
    real, _ = data.batch(n, torch.Generator().manual_seed(SEED + 1))
    others, _ = data.batch(n, torch.Generator().manual_seed(SEED + 2))
    return {
        "samples": n,
        "mean_distance_from_sine": (x[:, 1] - x[:, 0].sin()).abs().mean().item(),
        "largest_gap_in_x1": metrics.largest_gap(x[:, 0], 0, 2 * math.pi),
        "sliced_wasserstein": metrics.sliced_wasserstein(x, real),
        "sliced_wasserstein_of_real": metrics.sliced_wasserstein(others, real),
        **final_losses(model.history),
    }


def measure_mixture(model: Model, data: Mixture, test: None, samples: int | None, *_) -> dict:
    """Modes that 2,500 samples cover, the share of good ones, their balance; and the sliced Wasserstein distance.

    The counts and what is good are those of Lin et al. 2018 ("PacGAN", section 4.1), so that results can be compared.
    """
    n = samples or 2_500
    centres = torch.tensor(data.centres)
    x, real, others = model.draw(n, SEED), *(data.draw(n, torch.Generator().manual_seed(SEED + i)) for i in range(2))
    found, ideal = (metrics.modes(points, centres, data.std) for points in (x, real))
    return {
        "samples": n,
        "centres": len(centres),
        **found,
        **{key + "_of_real": value for key, value in ideal.items()},
        "sliced_wasserstein": metrics.sliced_wasserstein(x, real),
        "sliced_wasserstein_of_real": metrics.sliced_wasserstein(others, real),
        **final_losses(model.history),
    }


def measure_images(model: Model, data: ImageData, test: ImageData | None, samples: int | None,
                   classifier: DigitClassifier | None = None, tell: Tell = _silent) -> dict:
    """Samples against test images, beside as many training images against the same: the floor, "of_real".

    By raw pixels, and for digits by the classifier's features too. Where there are no test images, the training images
    stand in for them, and there is no floor.
    """
    n = samples or min(10_000, max(100, len(data if test is None else test)))  # as many as there are real ones
    teaches = model.num_classes is not None and test is not None and classifier is not None
    now = (lambda what, share: tell(what, share / 4)) if teaches else tell  # learning from samples takes the longest
    now("drawing samples", 0)
    asked = _classes(model, data, n)
    x = model.draw(n, SEED, asked)
    real = scale(some((data if test is None else test).images, n)).cpu()
    floor = None if test is None else scale(some(data.images, n)).cpu()
    result = {
        "samples": n,
        "real_images": len(real),
        "against": "training images" if test is None else "test images",
        "mean_probability_real": model.discriminate(x, asked).mean().item(),
        **final_losses(model.history),
    }
    now("pixels", 0.1)
    small = [None if part is None else _shrunk(part) for part in (x, real, floor)]
    name = "pixel_frechet_distance"
    if small[0].shape != x.shape:
        result["shrunk_to"] = "×".join(map(str, small[0].shape[1:]))
        name = "shrunk_" + name
    result |= _beside(name, metrics.frechet_distance, *(None if part is None else part.flatten(1) for part in small))
    now("nearest training images", 0.15)
    result["nearest_training_image_distances"] = _quantiles(nearest_image(x, data)[0])
    if test is not None:
        result["nearest_training_image_distances_of_real"] = _quantiles(nearest_image(real, data)[0])
    if classifier is not None:
        now("the classifier's features", 0.45)
        looks = [None if part is None else classifier.examine(part) for part in (x, real, floor)]
        result["features"] = f"{NAME} {classifier.fingerprint()}"
        result |= measure_digits(*looks, lambda what, share: now(what, 0.6 + 0.4 * share))
        if asked is not None:
            result["class_as_asked"] = (looks[0][1].argmax(1) == asked).double().mean().item()
    if teaches:
        result |= measure_lessons(model, test, 6 * n, lambda what, share: tell(what, 0.25 + 0.75 * share))
    return result


def measure_stacked(model: Model, data: StackedDigits, test: StackedDigits | None, samples: int | None,
                    classifier: DigitClassifier | None = None, tell: Tell = _silent) -> dict:
    """How many of the 1,000 kinds of stacked digits 26,000 samples show, and how evenly; and as many real ones.

    Each channel is read by the digit classifier, so without it there is nothing to count.
    """
    n = samples or 26_000
    result = {"samples": n, **final_losses(model.history)}
    if classifier is None:
        return result
    even = torch.full((1_000,), 1e-3, dtype=torch.double)
    real, _ = (test or data).batch(n, torch.Generator((test or data).images.device).manual_seed(SEED))
    result |= {"features": f"{NAME} {classifier.fingerprint()}", "centres": len(even)}
    for i, (name, x) in enumerate((("", model.draw(n, SEED)), ("_of_real", real))):
        tell("reading digits", i / 2)
        read = torch.stack([classifier.examine(channel)[1].argmax(1) for channel in x.split(1, dim=1)], dim=1)
        shares = metrics.class_shares(read @ torch.tensor([100, 10, 1]), len(even))
        result |= {"modes" + name: int((shares > 0).sum()),
                   "kl_from_equal_shares" + name: metrics.kl_divergence(shares, even)}
    return result


Look = tuple[Tensor, Tensor]  # features (N, D) and class probabilities (N, classes)


def measure_digits(fake: Look, real: Look, floor: Look | None, tell: Tell = _silent) -> dict:
    """What the digit classifier says of samples: distances and overlap in its features, class shares, certainty."""
    features = [None if look is None else look[0] for look in (fake, real, floor)]
    tell("FID and KID", 0)
    result = _beside("fid_digit_classifier", metrics.frechet_distance, *features)
    if min(len(fake[0]), len(real[0])) >= KID_SUBSET:
        result |= _beside("kid_digit_classifier", metrics.kernel_distance, *features)
    tell("precision and recall", 0.5)
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
    result["sure"] = SURE
    for name, look in (("", fake), ("_of_real", real)):
        result["share_sure" + name] = (look[1].max(1).values >= SURE).double().mean().item()
    return result


def measure_lessons(model: Model, test: ImageData, samples: int, tell: Tell = _silent) -> dict:
    """How well samples teach: accuracy on real test images of a classifier that has seen generated ones alone.

    Ravuri & Vinyals 2019, "Classification accuracy score for conditional generative models".
    """
    tell("drawing samples to learn from", 0)
    turns = torch.arange(samples) % model.num_classes
    pixels = images.to_uint8(model.draw(samples, SEED + 1))
    lessons = ImageData("samples", pixels, turns, model.num_classes).to(model.device)
    config = ClassifierConfig(steps=1)
    config = replace(config, steps=max(1, samples * LESSON_EPOCHS // config.batch_size))
    for step, _, student in train_classifier(lessons, config):
        if step % 50 == 0:
            tell("a classifier learns from samples", step / config.steps)
    return {"samples_learnt_from": samples, "accuracy_on_real_after_learning_from_samples": student.accuracy(test)}


def measure_moment(model: Model, data: ImageData, reference: Look, classifier: DigitClassifier,
                   samples: int = MOMENT_SAMPLES) -> dict:
    """The few measures of a run under way, for its curves: of fewer samples, against as many real ones."""
    real = some(reference[0], samples)
    features, _ = classifier.examine(model.draw(len(real), SEED, _classes(model, data, len(real))))
    overlap = metrics.precision_recall_density_coverage(real, features, NEIGHBOURS)
    return {"fid_digit_classifier": metrics.frechet_distance(real, features),
            "precision": overlap["precision"], "recall": overlap["recall"]}


def _classes(model: Model, data: ImageData, n: int) -> Tensor | None:
    """Which classes to ask for, (n,): those of the real images that make the floor; None of a model without classes."""
    if model.num_classes is None:
        return None
    labels = some(data.labels, n).cpu()
    return labels.repeat(-(-n // len(labels)))[:n]


def nearest_image(x: Tensor, data: ImageData) -> tuple[Tensor, Tensor]:
    """Euclidean distance (N,) from each image (N, C, H, W) in [-1, 1] to the data's nearest, and that one's index (N,).

    As float32 a whole set may take gigabytes, so only a part of it is that at a time.
    """
    distance, index = torch.full((len(x),), math.inf), torch.zeros(len(x), dtype=torch.long)
    for start in range(0, len(data), PART):
        found, where = metrics.nearest(x.flatten(1), scale(data.images[start:start + PART]).flatten(1).cpu())
        closer = found < distance
        distance[closer], index[closer] = found[closer], where[closer] + start
    return distance, index


def some(items: Tensor, n: int) -> Tensor:
    """At most n items from all over a set: sets are often sorted, and the first half of MNIST's test is the easier."""
    return items[torch.linspace(0, len(items) - 1, min(n, len(items))).round().long().to(items.device)]


def _beside(name: str, measure: Callable[[Tensor, Tensor], float], fake: Tensor, real: Tensor,
            floor: Tensor | None) -> dict:
    """A measure of samples against real ones, and of other real ones against the same."""
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
    """A census of classes in words: which of them are missing, rare or frequent beside their shares in real data.

    A class is called so only where its count is off by over a fifth and by over three standard deviations of chance.
    """
    total = sum(counts)
    missing, rare, very_rare, frequent = [], [], [], []
    for label, (count, share) in enumerate(zip(counts, real_shares)):
        expected = total * share
        chance = 3 * math.sqrt(expected * (1 - share))
        if count == 0 and expected > 9:
            missing.append(str(label))
        elif count < expected - chance and count < 0.8 * expected:
            (very_rare if count < expected / 2 else rare).append(str(label))
        elif count > expected + chance and count > 1.2 * expected:
            frequent.append(str(label))
    there = len(counts) - len(missing)
    start = f"all {_number(there)} digits"
    if missing:
        start = f"only {_number(there)} digit{'s' if there > 1 else ''}, no {_or(missing)}"
    notes = [f"{_and(labels)} {words}" for labels, words in
             ((very_rare, "very rare"), (rare, "a little rare"), (frequent, "too frequent")) if labels]
    if not notes:
        notes = ["in real proportions"] if not missing else []
    return ", ".join([start, *notes])


def _number(n: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[n] if n < len(words) else str(n)


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


MEASURES: dict[type, Callable[..., dict]] = {
    Gaussian: measure_gaussian,
    Sine: measure_sine,
    Mixture: measure_mixture,
    StackedDigits: measure_stacked,  # before the class it is a kind of
    ImageData: measure_images,
}
