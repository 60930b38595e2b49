from dataclasses import replace

import pytest

import ganlib
from ganlib.data import DATASETS
from ganlib.networks import ARCHITECTURES
from ganlib.recipes import RECIPES
from ganlib.training import TrainConfig

NOT_SHIPPED = {"stacked-mnist", "mlp-gan-classic", "cdcgan"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_what_there_is(name):
    recipe = RECIPES[name]
    assert recipe.architecture in ARCHITECTURES
    assert recipe.data in DATASETS
    networks = recipe.build()
    assert recipe.build(networks.shape, networks.num_classes) == networks


def test_every_other_recipe_is_shipped():
    assert set(ganlib.shipped()) == set(RECIPES) - NOT_SHIPPED


@pytest.mark.parametrize("name", ganlib.shipped())
def test_shipped_weights_are_what_their_recipe_makes(name):
    model, recipe = ganlib.load(name, "cpu"), RECIPES[name]
    assert model.config["architecture"]["name"] == recipe.architecture
    assert model.architecture == recipe.build()
    trained = {key: tuple(v) if isinstance(v, list) else v for key, v in model.config["recipe"]["train"].items()}
    # a machine without bfloat16 may leave it out
    assert TrainConfig(**trained) == replace(recipe.train, bfloat16=trained["bfloat16"])
    assert model.history[-1]["step"] == recipe.train.steps
