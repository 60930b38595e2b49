from dataclasses import replace

import pytest

import ganlib
from ganlib.data import DATASETS
from ganlib.networks import ARCHITECTURES, count_parameters
from ganlib.recipes import RECIPES
from ganlib.training import TrainConfig

MODES = {"high_quality": (0.97, 1), "reverse_kl": (0, 0.02), "width": (0.3, 1.1)}
# from where to where the measures of the shipped weights must be; "floors" is the FID in those of real images
REACHED = {
    "cdcgan": {"floors": (0, 1.0), "precision": (0.93, 1), "recall": (0.92, 1), "coverage": (0.92, 1),
               "class_shares_kl_divergence": (0, 0.002), "share_sure": (0.96, 1), "class_as_asked": (0.985, 1),
               "accuracy_on_real_after_learning_from_samples": (0.99, 1)},
    "dcgan": {"floors": (0, 1.25), "precision": (0.93, 1), "recall": (0.91, 1), "coverage": (0.92, 1),
              "class_shares_kl_divergence": (0, 0.002), "share_sure": (0.96, 1)},
    "mlp-gan": {"floors": (0, 8), "precision": (0.92, 1), "recall": (0.87, 1), "coverage": (0.92, 1),
                "class_shares_kl_divergence": (0, 0.003), "share_sure": (0.95, 1)},
    "toy-gaussian": {"wasserstein_1": (0, 0.01)},
    "toy-sine": {"mean_distance_from_sine": (0, 0.035), "largest_gap_in_x1": (0, 0.05),
                 "sliced_wasserstein": (0, 0.02)},
    "toy-ring": {"modes": (8, 8), **MODES},
    "toy-grid": {"modes": (25, 25), **MODES},
}
NOT_SHIPPED = {"stacked-mnist", "mlp-gan-classic"}


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
def test_shipped_weights_are_as_good_as_they_were(name):
    metrics = ganlib.load(name, "cpu").metrics
    if "fid_digit_classifier" in metrics:
        metrics["floors"] = metrics["fid_digit_classifier"] / metrics["fid_digit_classifier_of_real"]
    for key, (low, high) in REACHED[name].items():
        assert low <= metrics[key] <= high, key


@pytest.mark.parametrize("name", RECIPES)
def test_generators_are_small(name):
    assert count_parameters(RECIPES[name].build().generator()) <= 2_000_000


@pytest.mark.parametrize("name", ganlib.shipped())
def test_shipped_weights_are_what_their_recipe_makes(name):
    model, recipe = ganlib.load(name, "cpu"), RECIPES[name]
    assert model.config["architecture"]["name"] == recipe.architecture
    assert model.architecture == recipe.build()
    trained = {key: tuple(v) if isinstance(v, list) else v for key, v in model.config["recipe"]["train"].items()}
    # a machine without bfloat16 may leave it out
    assert TrainConfig(**trained) == replace(recipe.train, bfloat16=trained["bfloat16"])
    assert model.history[-1]["step"] == recipe.train.steps
