"""ganlib: small generative networks to explore, run, retrain and publish.

    import ganlib
    model = ganlib.load("dcgan")
    x = model.sample(seeds=range(16))     # (16, 1, 28, 28) float32 in [-1, 1]

Modules that the environment variable GANLIB_IMPORT names, separated by commas, are imported with ganlib, so that what
they register is available to command lines and the page too.
"""

import importlib as _importlib
import os as _os

from ganlib import toys as _toys  # noqa: F401  adds its distributions to DATASETS
from ganlib.architectures import ARCHITECTURES, register
from ganlib.checkpoint import WeightsError, save, shipped
from ganlib.data import DATASETS, ImageData, open_data
from ganlib.evaluation import EVALUATIONS, calibrate, evaluate
from ganlib.hub import load
from ganlib.losses import LOSSES, PENALTIES, Loss, Penalty
from ganlib.model import Model
from ganlib.recipes import RECIPES, Recipe
from ganlib.training import State, Step, TrainConfig, train
from ganlib.version import __version__

__all__ = [
    "ARCHITECTURES", "DATASETS", "EVALUATIONS", "LOSSES", "PENALTIES", "RECIPES", "ImageData", "Loss", "Model",
    "Penalty", "Recipe", "State", "Step", "TrainConfig", "WeightsError", "__version__", "calibrate", "evaluate", "load",
    "open_data", "register", "save", "shipped", "train",
]

for _name in filter(None, map(str.strip, _os.environ.get("GANLIB_IMPORT", "").split(","))):
    _importlib.import_module(_name)
