"""The public names of ganlib, which `ganlib/__init__.py` imports when one is first used."""

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
