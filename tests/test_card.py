import yaml

import ganlib
from ganlib.card import MEASURES, Comparison, classifier_card, is_our_card, model_card, written
from ganlib.checkpoint import MEASURED, digest, read_json, save_report

CONFIG = {
    "name": "dcgan", "shape": [1, 28, 28], "latent_dim": 100,
    "architecture": {"name": "dcgan", "generator_channels": [128, 64, 32]},
    "recipe": {"data": "mnist", "device": "cpu", "train": {"steps": 1000, "generator_rate": 0.001}},
}
METRICS = {
    "samples": 1_000, "real_images": 900, "against": "test images", "neighbours": 5, "precision": 0.9123,
    "pixel_frechet_distance": 1.23456, "pixel_frechet_distance_of_real": 0.5,
    "class_shares": [0.25, 0.75], "class_shares_of_real": [0.5, 0.5],
}


def test_the_card_says_what_it_is_how_it_was_made_and_how_good_it_is():
    history = [{"step": 1000, "discriminator_loss": 0.6, "generator_loss": 0.8}]
    card = model_card(CONFIG, METRICS, history)
    front, body = card.split("---\n")[1:3]
    assert "license: mit" in front
    assert "library_name: ganlib" in front
    assert "datasets: [ylecun/mnist]" in front
    assert "pipeline_tag: unconditional-image-generation" in front
    assert "ganlib.load(" in body
    assert "| | dcgan | real |" in body
    assert "| Fréchet distance in raw pixels | 1.23 | 0.5 |" in body
    assert "| precision (k = 5) | 0.912 |  |" in body
    assert "| class shares in %, from 0 on (real: test images) | 25.0 75.0 | 50.0 50.0 |" in body
    assert "1,000 samples, without truncation, measured against 900 test images." in body
    assert "FID and KID" not in body
    assert "![samples above" not in body
    assert "| generator rate | 0.001 |" in body
    assert "| generator channels | 128, 64, 32 |" in body
    assert "1,000 steps" in body


def test_the_front_matter_holds_the_measures_for_the_hub():
    front = yaml.safe_load(model_card(CONFIG, METRICS, []).split("---\n")[1])
    (model,) = front["model-index"]
    (result,) = model["results"]
    assert model["name"] == "dcgan"
    assert result["dataset"] == {"type": "ylecun/mnist", "name": "mnist"}
    assert result["metrics"] == [{"type": "precision", "name": "precision (k = 5)", "value": 0.9123},
                                 {"type": "pixel_frechet_distance", "name": "Fréchet distance in raw pixels",
                                  "value": 1.23456}]
    assert "model-index" not in model_card(CONFIG, {}, [])


def test_a_card_that_somebody_has_edited_is_known_and_kept(tmp_path):
    card = model_card(CONFIG, METRICS, [])
    assert is_our_card(card)
    assert is_our_card(card.replace("\n", "\r\n"))  # as a checkout on Windows has it
    for edited in (card.replace("Limits", "My limits"), "# Mine", "", card + "More.\n"):
        assert not is_our_card(edited)
        (tmp_path / "README.md").write_text(edited, encoding="utf-8")
        save_report(tmp_path, METRICS, card, b"png")
        assert (tmp_path / "README.md").read_text(encoding="utf-8") == edited
    (tmp_path / "README.md").write_text(model_card(CONFIG, {}, []), encoding="utf-8")
    save_report(tmp_path, METRICS, card, b"png")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == card


def test_a_card_without_measures_says_so():
    assert "Not measured yet." in model_card(CONFIG, {}, [])


def test_models_that_were_measured_alike_make_one_table_and_others_another():
    ring = {"data": "ring", "samples": 2_500, "centres": 8, "modes": 8, "reverse_kl": 0.012, "reverse_kl_of_real": 0.01}
    first, second, last = Comparison.several({"a": METRICS, "ring": ring, "b": {**METRICS, "precision": 0.5}, "c": {}})
    assert first.columns == ["a", "b", "real"]
    assert "| precision (k = 5) | 0.912 | 0.500 |  |" in first.markdown()
    assert second.columns == ["ring", "real"]
    assert "| modes with a sample, of 8 | 8 |  |" in second.markdown()
    assert second.note == ("2,500 samples, without truncation. “Real” is as many real samples, measured in the same "
                           "way.")
    assert last.rows == []
    digits = {**METRICS, "fid_digit_classifier": 1.0, "features": "digit-classifier 1a2b3c4d"}
    assert "ganlib’s own digit-classifier 1a2b3c4d" in Comparison.of({"a": digits}).note
    lucky, modest = ({**digits, "fid_digit_classifier_of_real": floor} for floor in (1.1, 0.9))
    assert "does not mean better than real" in Comparison.of({"a": lucky, "b": modest}).note
    assert "does not mean better than real" not in Comparison.of({"b": modest}).note
    assert len(Comparison.several({"a": digits, "b": {**digits, "features": "digit-classifier 5e6f"}})) == 2


def test_no_measure_is_listed_twice_and_quantiles_are_written_short():
    assert len({measure.key for measure in MEASURES}) == len(MEASURES)
    (distances,) = [measure for measure in MEASURES if measure.key == "nearest_training_image_distances"]
    assert written(distances, {"5%": 1.23456, "25%": 2, "50%": 3.0, "75%": 4, "95%": 10.04}) == "1.23 / 3 / 10"
    assert written(distances, None) == ""


def test_every_shipped_card_holds_its_own_measures():
    for name, folder in ganlib.shipped().items():
        model = ganlib.load(name, "cpu")
        assert (folder / "README.md").read_text(encoding="utf-8") == model_card(model.config, model.metrics,
                                                                                  model.history)
        assert model.metrics[MEASURED] == digest(folder / "model.safetensors")


def test_points_are_not_images():
    card = model_card({**CONFIG, "shape": [2], "recipe": {**CONFIG["recipe"], "data": "sine"}}, {}, [])
    assert "pipeline_tag" not in card
    assert "2-dimensional points" in card


def test_the_classifiers_card_is_its_own():
    folder = ganlib.shipped()["dcgan"].parent / "digit-classifier"
    config, metrics = (read_json(folder / name, dict) for name in ("config.json", "metrics.json"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card == classifier_card(config["recipe"], metrics)
    assert f"reads {metrics['accuracy']:.2%} of 10,000 test images" in card
