"""The digit classifier: a small convolutional network whose features measure generated digits, and its training.

It is not the Inception network: distances in its features have names of their own, and compare only with each other.
"""

import copy
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn

from ganlib.architectures import DIGIT_CLASSIFIER, build
from ganlib.checks import check_float, check_int
from ganlib.data import ImageData, scale
from ganlib.networks import default_modes, exact_convolutions
from ganlib.sampling import MAX_SEED
from ganlib.training import MAX_COUNT, split_seed, update_average

NAME = DIGIT_CLASSIFIER
SHAPE = (1, 28, 28)
BATCH = 128  # images computed at once, so that a layer's activations fit a CPU's cache


@dataclass(frozen=True)
class ClassifierConfig:
    """The hyperparameters of one training of the classifier.

    Args:
        steps: of AdamW.
        batch_size: images a step, drawn at random.
        lr: the highest learning rate; it rises over the first tenth of the run, and falls to 0 along a cosine.
        weight_decay: AdamW's.
        rotation: the largest rotation of an image, in degrees.
        shift: the largest shift, in pixels.
        zoom: the largest change of size, as a share of it.
        ema: the highest decay a step of the average of the weights, as in `ganlib.training.TrainConfig`.
        bfloat16: run the network under bfloat16 autocast.
        seed: of the initial weights and of all random numbers.
    """

    steps: int
    batch_size: int = 128
    lr: float = 3e-3
    weight_decay: float = 0.05
    rotation: float = 12.0
    shift: float = 2.0
    zoom: float = 0.12
    ema: float = 0.998
    bfloat16: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_int(self.steps, 1, MAX_COUNT, "steps")
        check_int(self.batch_size, 1, MAX_COUNT, "batch_size")
        check_int(self.seed, 0, MAX_SEED, "seed")
        check_float(self.lr, 0, math.inf, "lr", above=True)


class DigitClassifier(nn.Module):
    """Two blocks of two 3×3 convolutions with batch norm, ReLU and pooling, a third to `features`, and a linear layer.

    x: (N, 1, 28, 28) in [-1, 1] to logits (N, num_classes); `features(x)`: (N, 128), the averages of the last map, from
    which the linear layer computes the logits.
    """

    def __init__(self, shape: tuple[int, ...] = SHAPE, num_classes: int = 10):
        super().__init__()
        self.shape, self.num_classes = tuple(shape), num_classes

        def block(inputs: int, outputs: int) -> list[nn.Module]:
            return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs),
                    nn.ReLU(inplace=True)]

        self.layers = nn.Sequential(
            *block(shape[0], 32), *block(32, 32), nn.MaxPool2d(2),
            *block(32, 64), *block(64, 64), nn.MaxPool2d(2),
            *block(64, 128), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(128, num_classes)

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features.float()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layers(x))
        return logits.float()

    def examine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, 128) and class probabilities (N, num_classes) of images (N, *shape), in batches, on the CPU.

        Raises ValueError for images of another shape.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"the classifier takes images of shape {self.shape}, not {tuple(x.shape[1:])}")
        device = self.head.weight.device
        with default_modes(device), exact_convolutions(device):
            features = torch.cat([self.features(part.to(device)) for part in torch.split(x, BATCH)])
            return features.cpu(), self.head(features).softmax(1).cpu()

    def fingerprint(self) -> str:
        """Eight hexadecimal digits of a hash of the weights: only distances by the same weights are comparable."""
        values = [value.detach().cpu().contiguous().numpy().tobytes() for value in self.state_dict().values()]
        return hashlib.sha256(b"".join(values)).hexdigest()[:8]

    def accuracy(self, data: ImageData) -> float:
        """The share of labelled images whose most probable class is their own."""
        read = [self.examine(scale(part))[1].argmax(1) for part in torch.split(data.images, BATCH)]
        return (torch.cat(read) == data.labels.cpu()).double().mean().item()  # type: ignore[union-attr]


def distort(x: Tensor, config: ClassifierConfig, rng: torch.Generator) -> Tensor:
    """Every image rotated, scaled and shifted a little, at random; new pixels at the border are black."""
    angle, zoom, right, down = (torch.rand(4, len(x), generator=rng, device=x.device, dtype=torch.float32) * 2 - 1)
    angle, zoom = angle * math.radians(config.rotation), 1 + zoom * config.zoom
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    # affine_grid's units are half a width and half a height, which differ unless the image is square
    height, width = x.shape[-2:]
    right, down = (way * (2 * config.shift / side) for way, side in ((right, width), (down, height)))
    matrix = torch.stack([torch.stack([cos, -sin * (height / width), right], 1),
                          torch.stack([sin * (width / height), cos, down], 1)], 1)
    grid = nn.functional.affine_grid(matrix, list(x.shape), align_corners=False)
    return nn.functional.grid_sample(x + 1, grid, align_corners=False) - 1


def build_classifier(rng: torch.Generator | None = None, shape: tuple[int, ...] = SHAPE,
                     num_classes: int = 10) -> DigitClassifier:
    """A classifier with initial weights drawn from `rng`, by default without values, to load weights into."""
    makers: Any = SimpleNamespace(generator=lambda: DigitClassifier(shape, num_classes), discriminator=lambda: None)
    return cast(DigitClassifier, build(makers, rng)[0])


def train_classifier(data: ImageData, config: ClassifierConfig) -> Iterator[tuple[int, Tensor, DigitClassifier]]:
    """Train on labelled images, on the device that holds them; yields (steps done, loss, classifier) after each step.

    The classifier has the average of the weights over the steps, in eval mode; it changes with the next step. Raises
    ValueError for images without labels.
    """
    if data.labels is None:
        raise ValueError(f"{data.name} has no labels to learn")
    device = data.labels.device
    weights_seed, noise_seed = split_seed(config.seed)
    network = build_classifier(torch.Generator().manual_seed(weights_seed), data.shape, data.num_classes or 0)
    network.to(device).to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    rng = torch.Generator(device).manual_seed(noise_seed)
    optimizer = torch.optim.AdamW(network.parameters(), config.lr, weight_decay=config.weight_decay, fused=True)
    (group,) = optimizer.param_groups
    for step in range(config.steps):
        share = (step + 1) / config.steps
        group["lr"] = config.lr * min(10 * share, (1 + math.cos(math.pi * share)) / 2)
        with torch.inference_mode(False), torch.enable_grad():
            x, y = data.batch(config.batch_size, rng)
            with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
                logits = network(distort(x, config, rng))
            loss = nn.functional.cross_entropy(logits, y)  # type: ignore[arg-type]
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            update_average(average, network, min(config.ema, (1 + step) / (10 + step)))
        yield step + 1, loss.detach(), average
