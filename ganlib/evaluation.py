"""Which measures belong to which data: from a Model to the numbers of its metrics.json."""

import math
from collections.abc import Callable

import torch

from ganlib import metrics
from ganlib.data import Data, Gaussian, ImageData, Sine, scale
from ganlib.model import Model

SEED = 10_000_000  # of the latents of an evaluation, far from the seeds that people look at


def evaluate(model: Model, data: Data, test: Data | None = None, samples: int | None = None) -> dict:
    """The measures of a model trained on `data`, JSON-ready. `test`: other real samples of the same kind, for images.

    samples: how many to draw, None for the usual number of the data's kind. Raises ValueError where the data's shape is
    not the model's or nothing is known to measure.
    """
    if tuple(data.shape) != tuple(model.shape):
        raise ValueError(f"{model.name} makes samples of shape {model.shape}, the data's are {tuple(data.shape)}")
    for kind, measure in MEASURES.items():
        if isinstance(data, kind):
            return {"data": data.name, **measure(model, data, test, samples)}
    raise ValueError(f"nothing is known to measure on {type(data).__name__}")


def final_losses(history: list[dict]) -> dict[str, float]:
    """Mean losses over the last tenth of a run's history."""
    last = history[-max(1, len(history) // 10):]
    return {f"final_{key}": sum(row[key] for row in last) / len(last)
            for key in ("discriminator_loss", "generator_loss") if last}


def measure_gaussian(model: Model, data: Gaussian, test: None, samples: int | None) -> dict:
    """Wasserstein-1 distance of 100,000 samples to the exact quantiles, beside that of as many real samples."""
    n = samples or 100_000
    x = model.draw(n, SEED)
    real, _ = data.batch(n, torch.Generator().manual_seed(SEED))
    exact = data.quantiles(n)
    return {
        "samples": n,
        "wasserstein_1": metrics.wasserstein_1(x, exact),
        "wasserstein_1_of_real_samples": metrics.wasserstein_1(real, exact),
        "mean": x.mean().item(),
        "std": x.std().item(),
        **final_losses(model.history),
    }


def measure_sine(model: Model, data: Sine, test: None, samples: int | None) -> dict:
    """Distance from the curve, the widest gap along it, and the sliced Wasserstein distance to real samples."""
    n = samples or 100_000
    x = model.draw(n, SEED)
    real, _ = data.batch(n, torch.Generator().manual_seed(SEED))
    others, _ = data.batch(n, torch.Generator().manual_seed(SEED + 1))
    return {
        "samples": n,
        "mean_distance_from_sine": (x[:, 1] - x[:, 0].sin()).abs().mean().item(),
        "largest_gap_in_x1": metrics.largest_gap(x[:, 0], 0, 2 * math.pi),
        "sliced_wasserstein": metrics.sliced_wasserstein(x, real),
        "sliced_wasserstein_of_real_samples": metrics.sliced_wasserstein(others, real),
        **final_losses(model.history),
    }


def measure_images(model: Model, data: ImageData, test: ImageData | None, samples: int | None) -> dict:
    """By raw pixels alone: Fréchet distance, distances to the nearest training image, class shares by that image.

    Beside each stands the same of as many real images that were not trained on, where there are any.
    """
    n = samples or 10_000
    train_pixels = scale(data.images).flatten(1).cpu()
    x = model.draw(n, SEED).flatten(1)
    distance, index = metrics.nearest(x, train_pixels)
    turns = [i % model.num_classes for i in range(n)] if model.num_classes else None
    result = {
        "samples": n,
        "pixel_frechet_distance": metrics.frechet_distance(x, train_pixels),
        "nearest_training_image_median_distance": distance.median().item(),
        "mean_probability_real": model.discriminate(x.unflatten(1, model.shape), turns).mean().item(),
        **final_losses(model.history),
    }
    labels = None if data.labels is None else data.labels.cpu()
    if labels is not None:
        shares = metrics.class_shares(labels[index], data.num_classes)
        real_shares = metrics.class_shares(labels, data.num_classes)
        result["class_shares_by_nearest_training_image"] = [round(share, 4) for share in shares.tolist()]
        result["class_shares_kl_divergence"] = metrics.kl_divergence(shares, real_shares)
    if test is not None:
        test_pixels = scale(test.images[:n]).flatten(1).cpu()
        test_distance, test_index = metrics.nearest(test_pixels, train_pixels)
        result["pixel_frechet_distance_of_test_images"] = metrics.frechet_distance(test_pixels, train_pixels)
        result["nearest_training_image_median_distance_of_test_images"] = test_distance.median().item()
        if labels is not None:
            right = (labels[test_index] == test.labels[:n].cpu()).double().mean().item()
            result["nearest_training_image_accuracy_on_test_images"] = right
            test_shares = metrics.class_shares(labels[test_index], data.num_classes)
            result["class_shares_kl_divergence_of_test_images"] = metrics.kl_divergence(test_shares, real_shares)
    return result


MEASURES: dict[type, Callable[..., dict]] = {
    Gaussian: measure_gaussian,
    Sine: measure_sine,
    ImageData: measure_images,
}
