import pytest
import yaml
from huggingface_hub import ModelCard

import ganlib
from ganlib import card as cards
from ganlib import checkpoint
from ganlib.card import BEGIN, END, is_our_card
from ganlib.measures import MEASURES, Comparison

CONFIG = {
    "name": "dcgan", "shape": [1, 28, 28], "latent_dim": 100,
    "architecture": {"kind": "dcgan", "generator_channels": [128, 64, 32]},
    "recipe": {"data": "mnist", "device": "cpu", "train": {"steps": 1000, "penalties": {"r1": 0.5}}},
}
METRICS = {
    "data": "mnist", "samples": 1_000, "real_images": 900, "against": "test images", "neighbours": 5,
    "precision": 0.9123, "pixel_frechet_distance": 1.23456, "pixel_frechet_distance_of_real": 0.5,
    "class_shares": [0.25, 0.75], "class_shares_of_real": [0.5, 0.5],
}


def model_card(*content, **options) -> str:
    return str(cards.model_card(*content, **options))


def front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def dataset(card: str) -> dict:
    """The data that the front matter files the measures under."""
    (result,) = front_matter(card)["model-index"][0]["results"]
    return result["dataset"]


def test_the_card_says_what_it_is_how_it_was_made_and_how_good_it_is():
    card = model_card(CONFIG, METRICS, [{"step": 1000, "discriminator_loss": 0.6, "generator_loss": 0.8}])
    assert "| | dcgan | real |" in card
    assert "| Fréchet distance in raw pixels | 1.23 | 0.5 |" in card
    assert "| precision (k = 5) | 0.912 |  |" in card
    assert "| class shares in %, from 0 on (real: test images) | 25.0 75.0 | 50.0 50.0 |" in card
    assert "1,000 samples, without truncation, measured against 900 test images." in card
    assert "| penalties | r1 0.5 |" in card
    assert "| generator channels | 128, 64, 32 |" in card
    assert "1,000 steps" in card
    assert "was not trained" not in card
    assert "was calibrated" not in card
    assert "was calibrated" in model_card({**CONFIG, "calibration": {}}, METRICS, [])
    assert "Not measured yet." in model_card(CONFIG, {}, [])


def test_the_front_matter_holds_the_measures_for_the_hub():
    front = front_matter(model_card(CONFIG, METRICS, []))
    assert (front["license"], front["library_name"], front["datasets"]) == ("mit", "ganlib", ["ylecun/mnist"])
    assert front["pipeline_tag"] == "unconditional-image-generation"
    (model,) = front["model-index"]
    (result,) = model["results"]
    assert model["name"] == "dcgan"
    assert result["dataset"] == {"type": "ylecun/mnist", "name": "mnist"}
    assert result["metrics"] == [{"type": "precision", "name": "precision (k = 5)", "value": 0.9123},
                                 {"type": "pixel_frechet_distance", "name": "Fréchet distance in raw pixels",
                                  "value": 1.23456}]
    assert "model-index" not in front_matter(model_card(CONFIG, {}, []))


def test_measures_are_filed_under_the_data_that_they_were_measured_on():
    card = model_card(CONFIG, {**METRICS, "data": "fashion-mnist"}, [])
    assert dataset(card) == {"type": "zalando-datasets/fashion_mnist", "name": "fashion-mnist"}
    assert front_matter(card)["datasets"] == ["ylecun/mnist"]  # which it was trained on
    assert "Measured on fashion-mnist, on which it was not trained." in card


def test_a_folder_that_is_called_like_a_set_is_not_the_set():
    own = {**CONFIG, "recipe": {**CONFIG["recipe"], "data_is_folder": True}}
    card = model_card(own, {**METRICS, "data_is_folder": True}, [])
    assert dataset(card) == {"type": "mnist", "name": "mnist"}
    assert "datasets" not in front_matter(card)
    assert "was not trained" not in card
    assert "Measured on a folder called mnist, on which it was not trained." in model_card(
        CONFIG, {**METRICS, "data_is_folder": True}, [])
    assert "Measured on mnist, on which it was not trained." in model_card(own, METRICS, [])


FOREIGN = 'a_b* [x](y) | `c` ~d~ <img src=x> "&amp;'
SHOWN = r'a\_b\* \[x\](y) \| \`c\` \~d\~ &lt;img src=x&gt; "&amp;amp;'


@pytest.mark.parametrize("where", ["name", "data", "class", "train", "measured on", "features", "started from",
                                   "new layer"])
def test_foreign_names_are_shown_as_they_are(where):
    recipe = {**CONFIG["recipe"], **{"data": {"data": FOREIGN}, "train": {"train": {FOREIGN: [FOREIGN]}},
                                     "started from": {"started_from": {"model": FOREIGN}},
                                     "new layer": {"started_from": {"model": "a", "new_layers": [FOREIGN]}},
                                     }.get(where, {})}
    config = {**CONFIG, "recipe": recipe, **({"name": FOREIGN} if where == "name" else {}),
              **({"num_classes": 1, "class_names": [FOREIGN]} if where == "class" else {})}
    metrics = {**METRICS, **{"measured on": {"data": FOREIGN},
                             "features": {"features": FOREIGN, "fid_digit_classifier": 1.0}}.get(where, {})}
    card = model_card(config, metrics, [])
    text = card.split("---\n", 2)[2]
    assert SHOWN in text
    assert "<img" not in text
    assert FOREIGN not in text
    front_matter(card)
    if where == "name":
        assert front_matter(card)["model-index"][0]["name"] == FOREIGN
    if where == "measured on":
        assert dataset(card)["name"] == FOREIGN


def with_recipe(**facts) -> dict:
    return {**CONFIG, "recipe": {**CONFIG["recipe"], **facts}}


def test_a_changed_end_is_told_in_order():
    changes = [{"at": 30_000, "from": 30_000, "to": 60_000}, {"at": 40_000, "from": 60_000, "to": 50_000}]
    card = model_card(with_recipe(extended=changes), METRICS, [])
    assert ("It was planned for 30,000 steps. At step 30,000 it was extended to 60,000: learning rates and penalties "
            "follow the longer schedule from there. At step 40,000 it was shortened to 50,000: learning rates and "
            "penalties follow the shorter schedule from there.") in card
    for foreign in (7, [], [7], [{"at": "now", "from": 1, "to": 2}]):
        assert "planned" not in model_card(with_recipe(extended=foreign), METRICS, [])


def test_other_weights_at_the_start_and_the_layers_that_started_anew_are_named():
    started = {"model": "alice/faces", "new_layers": ["generator.embedding.weight", "discriminator"]}
    card = model_card(with_recipe(started_from=started), METRICS, [])
    assert ("This table is of the last run only. It started from the weights of alice/faces. These of its layers "
            "started anew: generator.embedding.weight, discriminator.") in card
    started["new_layers"] = []
    assert "started anew" not in model_card(with_recipe(started_from=started), METRICS, [])


def test_the_best_checkpoint_is_named_where_it_is_not_the_last():
    assert "The weights are those of step 28,000, not of the last step" in model_card(
        with_recipe(kept="best", kept_step=28_000), METRICS, [])
    assert "The weights are those" not in model_card(with_recipe(kept="last", kept_step=30_000), METRICS, [])


@pytest.mark.parametrize(("number", "measured_on", "first"), [
    (50, "mnist", True), (2_000, "mnist", True), (2_001, "mnist", False), (50, "kmnist", False)])
def test_of_few_images_the_nearest_neighbours_come_first(number, measured_on, first):
    distances = {f"nearest_training_image_distances{of}": {"50%": 4.125 + len(of) / 8} for of in ("", "_of_real")}
    card = model_card(with_recipe(images=number), {**METRICS, **distances, "data": measured_on}, [])
    assert card.count("(nearest.png)") == 1
    assert (card.index("(nearest.png)") < card.index("| | dcgan | real |")) == first
    assert (f"It was trained on {number:,} images only." in card) == first
    assert ("nearest training image is 4.12. That of images that were held out is 5.12. Copies" in card) == first
    del distances["nearest_training_image_distances_of_real"]
    alone = model_card(with_recipe(images=50), {**METRICS, **distances}, [])
    assert "is 4.12. Copies have distances near 0." in alone


def test_a_card_that_somebody_has_edited_is_known():
    card = model_card(CONFIG, METRICS, [])
    assert is_our_card(card)
    assert is_our_card(card.replace("\n", "\r\n"))  # as a checkout on Windows has it
    assert is_our_card("# Old\n\n<!-- written by ganlib, which will not touch it again once it is edited: "
                       "ccd2955cfc4a825d -->\n")  # as version 0.1 signed it
    for edited in (card.replace("Limits", "My limits"), "# Mine", "", card + "More.\n"):
        assert not is_our_card(edited)


BETTER = {**METRICS, "precision": 0.95}


def renew(card: str, metrics: dict = BETTER) -> tuple[str, str]:
    """An edited card after new measures, and what is said of it."""
    assert not is_our_card(card)
    content, said = cards.renewed(card.encode(), cards.model_card(CONFIG, metrics, []))
    return content.decode(), said


def values(card: str) -> dict[str, float]:
    """The values in a card's front matter, by the names that the Hub shows."""
    return {metric["name"]: metric["value"] for model in front_matter(card).get("model-index", [])
            for result in model["results"] for metric in result["metrics"]}


def test_a_card_is_the_hubs_and_survives_its_functions():
    card = cards.model_card(CONFIG, METRICS, [])
    assert isinstance(card, ModelCard)
    assert {result.metric_type: result.metric_value for result in card.data.eval_results} == {
        "precision": 0.9123, "pixel_frechet_distance": 1.23456}
    assert str(ModelCard(str(card))) == str(card)


def test_a_card_that_nobody_has_edited_is_replaced_as_a_whole():
    new = cards.model_card({**CONFIG, "name": "other"}, BETTER, [])
    for old in (None, model_card(CONFIG, METRICS, []), model_card(CONFIG, METRICS, []).replace("\n", "\r\n")):
        assert cards.renewed(old and old.encode(), new) == (str(new).encode(), "")


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_of_an_edited_card_only_the_measures_change(line_break):
    edited = (model_card(CONFIG, METRICS, []).replace("## Use", "My words.\n\n## Use")
              .replace("license: mit", "license: 'no'  # mine\nlanguage: [en]")).replace("\n", line_break)
    card, said = renew(edited)
    assert said == "has been edited: only its measures were brought up to date"
    wanted = edited.replace("| 0.912 |", "| 0.950 |").replace("value: 0.9123", "value: 0.95")
    assert card == wanted
    assert renew(card)[0] == card  # again


def test_measures_come_and_go():
    """An edited card that was written before the model was measured; and one of a model whose weights were changed."""
    unmeasured = model_card(CONFIG, {}, []).replace("# dcgan", "# Mine")
    card, _ = renew(unmeasured)
    assert values(card) == {"precision (k = 5)": 0.95, "Fréchet distance in raw pixels": 1.23456}
    assert "| precision (k = 5) | 0.950 |" in card
    assert "Not measured yet." not in card
    assert "# Mine" in card
    without, _ = renew(card, {})
    assert values(without) == {}
    assert front_matter(without) == front_matter(unmeasured)
    assert "Not measured yet." in without


def test_results_of_others_in_the_front_matter_are_kept():
    other = {"task": {"type": "unconditional-image-generation"}, "dataset": {"type": "ylecun/mnist", "name": "Mine"},
             "source": {"name": "A leaderboard", "url": "https://example.org"},
             "metrics": [{"type": "precision", "value": 0.1, "name": "precision (k = 5)"}]}
    index = front_matter(model_card(CONFIG, METRICS, []))["model-index"]
    index[0]["name"] = "My model"
    index[0]["results"][0]["metrics"] += [{"type": "precision", "value": 0.2, "name": "Precision by hand"},
                                          {"type": "recall", "value": 0.3, "name": "recall (k = 5)", "verified": True}]
    index[0]["results"].append(other)
    index.append({"name": "Second", "results": [{**other, "metrics": [{"type": "fid", "value": 9}]}]})
    edited = "---\n" + yaml.safe_dump({"model-index": index, "license": "mit"}, sort_keys=False) + "---\n# Mine\n"
    card, said = renew(edited)
    assert said == ("has been edited: only the measures in its front matter were brought up to date, because those in "
                    "its text have no marks")
    front = front_matter(card)
    first, second = front["model-index"]
    assert (first["name"], front["license"], second) == ("My model", "mit", index[1])
    ours, by_hand, board = first["results"]
    assert [metric["value"] for metric in ours["metrics"]] == [0.95, 1.23456]
    assert [metric["value"] for metric in by_hand["metrics"]] == [0.2, 0.3]
    assert board == other
    assert card.endswith("---\n# Mine\n")


MARKED = f"{BEGIN}\n\nold\n\n{END}\n"


@pytest.mark.parametrize("front", ["---\na: [\n---\n", "---\nx: [2026-13-01]\n---\n", "---\n- a\n---\n",
                                   "---\nmodel-index: 7\n---\n", "---\nmodel-index:\n- name: a\n---\n",
                                   "---\n{a: 1}\n---\n",
                                   "---\na: &a 1\nmodel-index: &b\n- {name: x, results: []}\nc: *b\n---\n", ""])
def test_a_front_matter_that_cannot_be_changed_is_kept(front):
    why = ("is missing" if not front else "is not valid YAML" if "[" in front[:9] else
           "cannot be changed without losing something in it")
    kept, said = renew(f"{front}# Mine\n")
    assert kept == f"{front}# Mine\n"
    assert said == (f"has been edited: it was kept as it is, because its measures have no marks, and its front matter "
                    f"{why}")
    kept, said = renew(f"{front}# Mine\n{MARKED}")
    assert kept.startswith(f"{front}# Mine\n{BEGIN}\n\n| | dcgan | real |")
    assert kept.endswith(f"{END}\n")
    assert said == ("has been edited: only its measures were brought up to date, and none in its front matter, which "
                    f"{why}")


@pytest.mark.parametrize("front", ["---\n\n---\n", "---\na: 1\n---\n", "---\n# a comment\n---\n",
                                   "---\nmodel-index:\n---\n", "---\nmodel-index: []\na: 1\n---\n"])
def test_a_short_front_matter_gets_the_measures(front):
    card, _ = renew(f"{front}# Mine\n")
    assert len(values(card)) == 2
    assert card.endswith("---\n# Mine\n")
    before = yaml.safe_load(front.replace("---", "")) or {}
    assert {**before, "model-index": 1} == {**front_matter(card), "model-index": 1}


def test_a_card_that_is_no_text_is_kept():
    assert cards.renewed(b"# \xe9", cards.model_card(CONFIG, METRICS, [])) == (
        b"# \xe9", "has been edited: it was kept as it is, because it is not UTF-8")
    content, _ = cards.renewed(b"\xef\xbb\xbf---\na: 1\n---\n", cards.model_card(CONFIG, METRICS, []))
    assert content.startswith(b"---\na: 1\nmodel-index:")


def test_a_card_names_a_space_that_shows_the_model_and_only_pictures_that_are_there():
    card = model_card(CONFIG, METRICS, [], "alice/dcgan", "alice/page")
    assert "\n\nTry it: [alice/page](https://huggingface.co/spaces/alice/page)\n\n" in card
    assert "![samples](samples.png)" in card
    distances = {"nearest_training_image_distances": {"50%": 4.125}}
    bare = model_card(CONFIG, METRICS | distances, [], pictures=())
    assert "Try it" not in bare
    assert ".png" not in bare


def test_models_that_were_measured_alike_make_one_table_and_others_another():
    ring = {"data": "ring", "samples": 2_500, "centres": 8, "modes": 8, "reverse_kl": 0.012, "reverse_kl_of_real": 0.01}
    first, second, last = Comparison.several({"a": METRICS, "ring": ring, "b": {**METRICS, "precision": 0.5}, "c": {}})
    assert first.columns == ["a", "b", "real"]
    assert "| precision (k = 5) | 0.912 | 0.500 |  |" in first.markdown()
    assert second.columns == ["ring", "real"]
    assert "| modes with a sample, of 8 | 8 |  |" in second.markdown()
    assert last.rows == []
    digits = {**METRICS, "fid_digit_classifier": 1.0, "features": "digit-classifier 1a2b3c4d"}
    for other in ({"features": "digit-classifier 5e6f"}, {"data_is_folder": True}, {"samples": 999}):
        assert len(Comparison.several({"a": digits, "b": {**digits, **other}})) == 2


def test_a_note_warns_of_an_fid_below_that_of_real_images():
    digits = {**METRICS, "fid_digit_classifier": 1.0, "features": "digit-classifier 1a2b3c4d"}
    lucky, modest = ({**digits, "fid_digit_classifier_of_real": floor} for floor in (1.1, 0.9))
    assert "does not mean better than real" in Comparison.of({"a": lucky, "b": modest}).note
    assert "does not mean better than real" not in Comparison.of({"b": modest}).note


def test_a_measure_whose_words_want_a_number_that_is_missing_has_its_name():
    assert "| classification accuracy score | 90.00% |" in Comparison.of(
        {"a": {"classification_accuracy_score": 0.9}}).markdown()


def test_no_measure_is_listed_twice_and_quantiles_are_written_short():
    assert len({measure.key for measure in MEASURES}) == len(MEASURES)
    (distances,) = [measure for measure in MEASURES if measure.key == "nearest_training_image_distances"]
    assert distances.written({"5%": 1.23456, "25%": 2, "50%": 3.0, "75%": 4, "95%": 10.04}) == "1.23 / 3 / 10"
    assert distances.written({"50%": 3.0}) == "3"
    assert distances.written(None) == ""


@pytest.mark.parametrize("name", checkpoint.shipped())
def test_a_shipped_card_holds_the_measures_of_the_networks_beside_it(name):
    folder, model = ganlib.shipped()[name], ganlib.load(name, "cpu")
    assert (folder / "README.md").read_text(encoding="utf-8") == model_card(checkpoint.config_of(model), model.metrics,
                                                                              model.history)
    assert checkpoint.is_measured(folder, model.metrics)


def test_points_are_not_images():
    card = model_card({**CONFIG, "shape": [2], "recipe": {**CONFIG["recipe"], "data": "sine"}}, {}, [])
    assert "pipeline_tag" not in card
    assert "2-dimensional points" in card


def test_the_classifiers_card_is_its_own():
    folder = ganlib.shipped()["dcgan"].parent / "digit-classifier"
    config, metrics = (checkpoint.read_json(folder / name, dict) for name in ("config.json", "metrics.json"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card == str(cards.classifier_card(config["recipe"], metrics))
    assert f"Its accuracy on 10,000 test images is {metrics['accuracy']:.2%}." in card
