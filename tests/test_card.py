import ganlib
from ganlib.card import model_card

CONFIG = {
    "name": "dcgan", "shape": [1, 28, 28], "latent_dim": 100,
    "architecture": {"name": "dcgan", "generator_channels": [128, 64, 32]},
    "recipe": {"data": "mnist", "device": "cpu", "train": {"steps": 1000, "generator_rate": 0.001}},
}


def test_the_card_says_what_it_is_how_it_was_made_and_how_good_it_is():
    history = [{"step": 1000, "discriminator_loss": 0.6, "generator_loss": 0.8}]
    card = model_card(CONFIG, {"pixel_frechet_distance": 1.23456}, history)
    front, body = card.split("---\n")[1:3]
    assert "license: mit" in front
    assert "library_name: ganlib" in front
    assert "datasets: [ylecun/mnist]" in front
    assert "pipeline_tag: unconditional-image-generation" in front
    assert "ganlib.load(" in body
    assert "| pixel frechet distance | 1.235 |" in body
    assert "| generator rate | 0.001 |" in body
    assert "| generator channels | 128, 64, 32 |" in body
    assert "1,000 steps" in body


def test_a_card_without_measures_says_so():
    assert "Not measured yet." in model_card(CONFIG, {}, [])


def test_every_shipped_card_holds_its_own_measures():
    for name, folder in ganlib.shipped().items():
        model = ganlib.load(name, "cpu")
        assert (folder / "README.md").read_text(encoding="utf-8") == model_card(model.config, model.metrics,
                                                                                  model.history)


def test_points_are_not_images():
    card = model_card({**CONFIG, "shape": [2], "recipe": {**CONFIG["recipe"], "data": "sine"}}, {}, [])
    assert "pipeline_tag" not in card
    assert "2-dimensional points" in card
