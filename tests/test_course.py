"""The course: its texts, the numbers that they quote, the document that is made of them, and its links."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from torch import nn

import ganlib
from ganlib import checkpoint, layers, maps
from ganlib.checkpoint import shipped
from ganlib.demo import course, how, stages
from ganlib.demo.course import NOT_MEASURED, Step, document, is_sources, is_task, page_text, paragraphs
from ganlib.demo.links import Reading
from ganlib.measures import MEASURES

DOCS = Path(__file__).parents[1] / "docs"
STEPS = course.steps()
SLUGS = ["two-kinds", "noise-to-picture", "discriminator", "generator-loss", "two-steps", "ln-2", "squared-error",
         "what-goes-wrong", "mlp-or-convolutions", "gan-and-vae"]
MOST_WORDS = 19  # of a sentence
MOST_BYTES = 2_000_000  # of all stills

each_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.slug)


def sentences(text: str) -> list[str]:
    """The sentences of a text without its sources. A formula in a line is one word; one of its own ends a sentence."""
    prose = "\n\n".join(paragraph for paragraph in paragraphs(text) if not is_sources(paragraph))
    prose = re.sub(r"\$\$.*?\$\$", "\n\n", prose, flags=re.DOTALL)
    prose = re.sub(r"\$[^$]+\$", "x", prose)
    prose = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", prose)
    prose = re.sub(r"[*`|]", "", prose)
    return [sentence for paragraph in paragraphs(prose) for sentence in re.split(r"(?<=[.!?])[)\"”’]*\s+", paragraph)]


def words(sentence: str) -> list[str]:
    return [word for word in sentence.split() if re.search(r"\w", word)]


def test_there_are_ten_steps():
    assert [step.slug for step in STEPS] == SLUGS
    assert [step.number for step in STEPS] == list(range(1, how.STEPS + 1))


@each_step
def test_a_step_has_a_figure_of_its_own(step: Step):
    source = (stages.FOLDER / "how" / f"figure-{step.figure}.js").read_text(encoding="utf-8")
    assert f"FIGURES.{step.figure} = " in source
    assert [other.figure for other in STEPS].count(step.figure) == 1


@each_step
def test_a_step_has_a_formula_one_thing_to_try_and_sources(step: Step):
    assert 2 <= step.text.count("$$") <= 6
    assert step.text.count("$$") % 2 == 0
    assert sum(map(is_task, paragraphs(step.text))) == 1
    last = paragraphs(step.text)[-1]
    assert is_sources(last)
    assert re.search(r"\]\(https://", last)


@each_step
def test_its_sentences_are_short(step: Step):
    assert [found for found in sentences(step.text) if len(words(found)) > MOST_WORDS] == []


def test_a_sentence_is_found_where_it_ends():
    text = ("One $a = b. c$ [two](https://x.y/z) three. Four (five.) **Six:** seven!\n\n$$e = 1. 2$$\n\n"
            "Eight 28 × 28\n\nSources: none. None.")
    assert [len(words(sentence)) for sentence in sentences(text)] == [4, 2, 2, 3]


@each_step
def test_it_goes_on_in_a_tab_of_the_page(step: Step):
    assert step.more in {"", *(tab.LINK for tab in how.OTHERS)}


@each_step
def test_its_numbers_are_measured(step: Step):
    assert NOT_MEASURED not in step.text
    assert "[[" not in step.text


def test_a_number_is_written_as_the_tables_write_it():
    metrics, forms = checkpoint.read_metrics(shipped()["dcgan"]), {measure.key: measure for measure in MEASURES}
    for key in ("fid_digit_classifier", "recall", "share_confident"):
        assert course.filled(f"a [[dcgan.{key}]] b") == f"a {forms[key].written(metrics[key])} b"
    assert course.number("dcgan", "recall_of_real") == forms["recall"].written(metrics["recall_of_real"])


def test_a_number_that_is_not_there_says_so():
    assert course.number("no-such-model", "recall") == NOT_MEASURED
    assert course.number("no-such-model", "parameters") == NOT_MEASURED
    assert course.number("dcgan", "no_such_measure") == NOT_MEASURED
    assert course.number("dcgan", "encoder_parameters") == NOT_MEASURED


@pytest.mark.parametrize("damage", [
    lambda config: json.dumps(config | {"architecture": {"kind": "unknown"}}),
    lambda config: json.dumps({key: value for key, value in config.items() if key != "architecture"}),
    lambda config: "{", lambda config: "[]", None], ids=["kind", "no architecture", "no JSON", "a list", "no file"])
def test_a_damaged_model_leaves_the_rest_of_the_course(damage, tmp_path, monkeypatch):
    folder = tmp_path / "dcgan"
    folder.mkdir()
    shutil.copy(shipped()["dcgan"] / checkpoint.METRICS, folder)
    if damage:
        config = json.loads((shipped()["dcgan"] / checkpoint.CONFIG).read_text(encoding="utf-8"))
        (folder / checkpoint.CONFIG).write_text(damage(config), encoding="utf-8")
    models = shipped() | {"dcgan": folder}
    monkeypatch.setattr(checkpoint, "shipped", lambda: models)
    assert course.number("dcgan", "parameters") == NOT_MEASURED
    assert course.number("mlp-gan", "parameters") != NOT_MEASURED
    assert [step.slug for step in course.steps()] == SLUGS


@pytest.mark.parametrize("name", ["dcgan", "mlp-gan"])
def test_the_derived_numbers_are_those_of_the_models(name):
    model = ganlib.load(name, "cpu")
    for key, network in (("parameters", model.generator), ("discriminator_parameters", model.discriminator)):
        assert course.number(name, key) == f"{sum(p.numel() for p in network.parameters()):,}"
    floor = model.metrics["fid_digit_classifier"] / model.metrics["fid_digit_classifier_of_real"]
    assert float(course.number(name, "fid_over_floor")) == pytest.approx(floor, rel=0.01)


def test_the_weights_that_step_9_counts_are_those_of_a_layer():
    """Of a transposed convolution from 7×7 to 14×14, and of a linear layer between maps of these sizes."""
    modules = ganlib.load("dcgan", "cpu").generator.modules()
    first = next(layer for layer in modules if isinstance(layer, nn.ConvTranspose2d))
    assert f"{first.weight.numel():,} weights" in STEPS[8].text
    assert f"{first.in_channels * 7 * 7 * first.out_channels * 14 * 14:,}" in STEPS[8].text
    assert STEPS[8].text.count("131,072") == STEPS[8].text.count("78,675,968") == 1


def test_the_multiplications_that_step_9_compares_are_those_of_the_models():
    convolutions, dense = (layers.cost(ganlib.load(name, "cpu")) for name in ("dcgan", "mlp-gan"))
    assert "`dcgan` does about ten times as many multiplications" in STEPS[8].text
    assert convolutions.multiplications / dense.multiplications == pytest.approx(10, abs=1)
    assert "(`dcgan`, mostly in linear layers)" in STEPS[8].text
    linear = [layer for layer in ganlib.load("dcgan", "cpu").generator.modules() if isinstance(layer, nn.Linear)]
    assert sum(p.numel() for layer in linear for p in layer.parameters()) > convolutions.parameters / 2


def test_the_sizes_that_steps_2_and_9_name_are_those_of_dcgan():
    gan, text = ganlib.load("dcgan", "cpu"), STEPS[1].text
    assert f"here {gan.latent_dim}." in text
    first, second, third = (f"{layer.shape[2]} × {layer.shape[3]}" for layer in maps.way(gan, gan.latents([0])).maps)
    assert f"small pictures of {first} numbers" in text
    assert f"to {second}, the second one to {third}" in text
    assert f"{gan.shape[1]} × {gan.shape[2]} pixels" in text
    assert f"From {first} to {second}, `dcgan` has" in STEPS[8].text


def test_the_loss_and_the_penalties_that_step_8_names_are_those_of_the_recipes():
    assert "The **relativistic** loss" in STEPS[7].text
    assert "`dcgan` and `mlp-gan` were trained with it, and with R1 and R2." in STEPS[7].text
    for name in ("dcgan", "mlp-gan"):
        train = ganlib.RECIPES[name].train
        assert train.loss == "relativistic"
        assert {penalty for penalty, strength in train.penalties.items() if strength > 0} == {"r1", "r2"}


def test_front_matter_that_is_wrong_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "FOLDER", tmp_path)
    (tmp_path / "01-none.md").write_text("no front matter", encoding="utf-8")
    with pytest.raises(ValueError, match="01-none.md does not begin with front matter"):
        course.steps()
    (tmp_path / "01-none.md").write_text("---\ntitle: a\nfigur: b\n---\ntext", encoding="utf-8")
    with pytest.raises(ValueError, match="of 01-none.md must have title, figure, more, not title, figur"):
        course.steps()


def test_the_page_boxes_the_task_and_the_sources():
    text = page_text(Step(3, "a", "A title", "b", "", "First $x$.\n\n**Try:** it.\n\nSources: [a](https://b.c)."))
    assert text == ("## 3. A title\n\nFirst <span class=\"how-joined\">$x$.</span>\n\n"
                    "<div class=\"how-task\">\n\n**Try:** it.\n\n</div>\n\n"
                    "<div class=\"how-sources\">\n\nSources: [a](https://b.c).\n\n</div>")


def test_the_document_is_made_of_the_texts():
    """`make screenshots` makes it anew."""
    assert (DOCS / "course.md").read_text(encoding="utf-8") == document()


def test_each_step_has_a_still_figure():
    stills = [DOCS / "course" / f"{step.number:02}.png" for step in STEPS]
    assert sorted((DOCS / "course").iterdir()) == stills
    for still in stills:
        with Image.open(still) as image:
            assert image.width >= 600
    assert sum(still.stat().st_size for still in stills) < MOST_BYTES


@pytest.mark.parametrize(("asked", "step", "word"), [
    ({}, 1, ""), ({"step": "4"}, 4, ""), ({"step": 10}, 10, ""),
    ({"step": "0"}, 1, "Step must be"), ({"step": "11"}, 1, "Step must be"), ({"step": "x"}, 1, "Step must be")])
def test_the_step_of_a_link_is_checked(asked, step, word):
    reading = Reading(asked)
    (value,) = how.restore(reading)
    assert value["state"] == {"step": step}
    assert reading.message.startswith(word)
    assert bool(reading.message) == bool(word)


def test_the_api_gives_a_step():
    found = how.read(6)
    assert (found["number"], found["slug"], found["figure"]) == (6, "ln-2", "optimum")
    assert found["text"] == STEPS[5].text
    with pytest.raises(ValueError, match="Step must be"):
        how.read(11)
