"""ganlib: small GANs to meet, run, retrain and publish.

    import ganlib
    model = ganlib.load("dcgan")
    x = model.sample(seeds=range(16))     # (16, 1, 28, 28) float32 in [-1, 1]
"""

from ganlib.checkpoint import WeightsError, save, shipped
from ganlib.data import open_data
from ganlib.hub import load
from ganlib.model import Model
from ganlib.networks import ARCHITECTURES
from ganlib.recipes import RECIPES
from ganlib.training import TrainConfig, train
from ganlib.version import __version__

__all__ = [
    "ARCHITECTURES",
    "RECIPES",
    "Model",
    "TrainConfig",
    "WeightsError",
    "__version__",
    "load",
    "open_data",
    "save",
    "shipped",
    "train",
]
