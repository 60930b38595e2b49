"""An extension: a residual WGAN-GP, a dataset of another size, a loss, a penalty and a recipe."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

import ganlib
from ganlib.architectures import Architecture
from ganlib.losses import half_squared_gradient

SHAPE = (3, 10, 14)


class Block(nn.Module):
    """Two convolutions with a skip connection (He et al. 2016)."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(),
                                    nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Generator(nn.Module):
    def __init__(self, shape: tuple[int, ...], latent_dim: int, channels: int, num_classes: int | None):
        super().__init__()
        self.base = (channels, *shape[1:])
        self.embedding = nn.Embedding(num_classes, latent_dim) if num_classes else None
        self.project = nn.Linear(latent_dim, channels * shape[1] * shape[2])
        self.layers = nn.Sequential(Block(channels), nn.BatchNorm2d(channels), nn.ReLU(),
                                    nn.Conv2d(channels, shape[0], 3, padding=1), nn.Tanh())

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            z = z + (y @ self.embedding.weight if y.is_floating_point() else self.embedding(y))
        return self.layers(self.project(z).unflatten(1, self.base))


class Critic(nn.Module):
    def __init__(self, shape: tuple[int, ...], channels: int, num_classes: int | None):
        super().__init__()
        self.embedding = nn.Embedding(num_classes, channels) if num_classes else None
        self.layers = nn.Sequential(nn.Conv2d(shape[0], channels, 3, padding=1), Block(channels), nn.ReLU())
        self.head = nn.Linear(channels, 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        features = self.layers(x).mean((2, 3))
        logits = self.head(features).squeeze(1)
        return logits if self.embedding is None else logits + (features * self.embedding(y)).sum(1)


@ganlib.register("residual")
@dataclass(frozen=True)
class Residual(Architecture):
    shape: tuple[int, int, int]
    latent_dim: int
    channels: int = 8
    num_classes: int | None = None

    @property
    def widest(self) -> int:
        return self.channels * self.shape[1] * self.shape[2]

    def generator(self) -> nn.Module:
        return Generator(self.shape, self.latent_dim, self.channels, self.num_classes)

    def discriminator(self) -> nn.Module:
        return Critic(self.shape, self.channels, self.num_classes)

    def fitted(self, shape: tuple[int, ...], num_classes: int | None) -> "Residual":
        return replace(self, shape=tuple(shape), num_classes=num_classes)


def stripes(root, train: bool = True, download: bool = True) -> ganlib.ImageData:
    """Horizontal and vertical stripes, 10 by 14 pixels, in colour."""
    rng = torch.Generator().manual_seed(int(train))
    labels = torch.randint(2, (200,), generator=rng)
    images = torch.randint(256, (200, 3, 1, 1), generator=rng).expand(200, *SHAPE).clone()
    images[labels == 0, :, ::2] = 0
    images[labels == 1, :, :, ::2] = 0
    return ganlib.ImageData("stripes", images.to(torch.uint8), labels, 2, ("horizontal", "vertical"),
                            held_out=(lambda: stripes(root, False)) if train else None)


ganlib.ARCHITECTURES["residual"] = Residual(SHAPE, 16)
ganlib.DATASETS["stripes"] = stripes
ganlib.LOSSES["critic"] = ganlib.LOSSES["wasserstein"]
ganlib.PENALTIES["r1-between"] = ganlib.Penalty("between", half_squared_gradient)
ganlib.RECIPES["residual"] = ganlib.Recipe(
    "residual", "stripes", ganlib.TrainConfig(steps=20, batch_size=16, loss="critic", n_critic=2, generator_lr=1e-3,
                                              discriminator_lr=1e-3, betas=(0.0, 0.9), ema=0.9,
                                              penalties={"wgan-gp": 10.0, "r1-between": 0.1}))
