"""The digit classifier: a small convolutional network whose features measure generated digits, and its training.

It is no GAN and no Inception network: a distance in its features says so by name, and is comparable only with itself.
"""

import copy
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganlib.architectures import build
from ganlib.checks import check_float, check_int
from ganlib.data import ImageData, scale
from ganlib.networks import exact_convolutions
from ganlib.sampling import MAX_SEED
from ganlib.training import split_seed, update_average

NAME = "digit-classifier"
SHAPE = (1, 28, 28)
BATCH = 128  # images computed at once: a layer's activations then fit a CPU's cache


@dataclass(frozen=True)
class ClassifierConfig:
    """One training of the classifier.

    Args:
        steps: of AdamW.
        batch_size: images a step, drawn at random.
        lr: the highest learning rate; it rises over the first tenth of the run, and falls to 0 along a cosine.
        weight_decay: AdamW's.
        rotation: images are rotated by up to so many degrees.
        shift: moved by up to so many pixels.
        zoom: enlarged or shrunk by up to this share.
        ema: decay a step of the average of the weights, which is what is kept, as in `ganlib.training.TrainConfig`.
        bfloat16: run the network under bfloat16 autocast.
        seed: of the weights and of all that is drawn.
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

    def __post_init__(self):
        check_int(self.steps, 1, 10**9, "steps")
        check_int(self.batch_size, 1, 10**9, "batch_size")
        check_int(self.seed, 0, MAX_SEED, "seed")
        check_float(self.lr, 0, math.inf, "lr", above=True)


class DigitClassifier(nn.Module):
    """Two blocks of two 3×3 convolutions with batch norm, ReLU and pooling, a third to `features`, and a linear layer.

    x: (N, 1, 28, 28) in [-1, 1] to logits (N, num_classes); `features(x)`: (N, 128), the averages of the last map,
    which the logits are a linear function of.
    """

    def __init__(self, shape: tuple[int, ...] = SHAPE, num_classes: int = 10,
                 channels: tuple[int, int, int] = (32, 64, 128)):
        super().__init__()
        self.shape, self.num_classes = tuple(shape), num_classes
        first, second, third = channels

        def block(inputs: int, outputs: int) -> list[nn.Module]:
            return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs),
                    nn.ReLU(inplace=True)]

        self.layers = nn.Sequential(
            *block(shape[0], first), *block(first, first), nn.MaxPool2d(2),
            *block(first, second), *block(second, second), nn.MaxPool2d(2),
            *block(second, third), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(third, num_classes)

    def features(self, x: Tensor) -> Tensor:
        return self.layers(x).float()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x)).float()

    def examine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, 128) and class probabilities (N, num_classes) of images (N, *shape), in batches, on the CPU.

        Raises:
            ValueError: the images have another shape.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"the classifier looks at images of shape {self.shape}, not {tuple(x.shape[1:])}")
        device = self.head.weight.device
        with (torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False),
              exact_convolutions(device)):
            features = torch.cat([self.features(part.to(device)) for part in x.split(BATCH)])
            return features.cpu(), self.head(features).softmax(1).cpu()

    def fingerprint(self) -> str:
        """Eight hexadecimal digits that tell this classifier's weights from another's: its distances are its own."""
        digest = hashlib.sha256()
        for value in self.state_dict().values():
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:8]

    def accuracy(self, data: ImageData) -> float:
        """Share of the images whose most probable class is theirs."""
        found = [self.examine(scale(part))[1].argmax(1) for part in data.images.split(BATCH)]
        return (torch.cat(found) == data.labels.cpu()).double().mean().item()


def distort(x: Tensor, config: ClassifierConfig, rng: torch.Generator) -> Tensor:
    """Every image rotated, scaled and moved a little, at random; what comes in from outside is black."""
    angle, zoom, right, down = (torch.rand(4, len(x), generator=rng, device=x.device, dtype=torch.float32) * 2 - 1)
    angle, zoom = angle * math.radians(config.rotation), 1 + zoom * config.zoom
    cos, sin, move = angle.cos() / zoom, angle.sin() / zoom, 2 * config.shift / x.shape[-1]
    matrix = torch.stack([torch.stack([cos, -sin, right * move], 1), torch.stack([sin, cos, down * move], 1)], 1)
    grid = nn.functional.affine_grid(matrix, list(x.shape), align_corners=False)
    return nn.functional.grid_sample(x + 1, grid, align_corners=False) - 1


class _Builder:
    """A classifier as `ganlib.architectures.build` takes it."""

    def __init__(self, *args):
        self.generator = lambda: DigitClassifier(*args)
        self.discriminator = lambda: None


def without_weights() -> DigitClassifier:
    """The digit classifier, whose weights are about to be loaded."""
    return build(_Builder(), None)[0]


def train_classifier(data: ImageData, config: ClassifierConfig) -> Iterator[tuple[int, Tensor, DigitClassifier]]:
    """Train on labelled images, on the device that holds them; yields (steps done, loss, classifier) after each step.

    The classifier is the average of the weights over the steps, in eval mode; live: it changes with the next step.
    Raises ValueError for images without labels.
    """
    if data.labels is None:
        raise ValueError(f"{data.name} has no labels to learn")
    device = data.images.device
    weights_seed, noise_seed = split_seed(config.seed)
    network, _ = build(_Builder(data.shape, data.num_classes), torch.Generator().manual_seed(weights_seed))
    network.to(device, memory_format=torch.channels_last)
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
            loss = nn.functional.cross_entropy(logits, y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            update_average(average, network, min(config.ema, (1 + step) / (10 + step)))
        yield step + 1, loss.detach(), average
