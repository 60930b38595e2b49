"""Links and passports: what they restore, what they refuse with a word, and that each tab's pictures carry theirs."""

import json
from pathlib import Path
from urllib.parse import parse_qsl

import gradio as gr
import pytest

from ganlib import passport
from ganlib.demo import controls, game, generate, lab, links, models, page, passports, quality
from ganlib.demo.links import Reading


def values(restored: list) -> list:
    """What components get, without pictures and updates that keep them."""
    return [value.get("value") if isinstance(value, dict) else value for value in restored]


def read(query: str) -> Reading:
    return Reading(dict(parse_qsl(query)))


@pytest.mark.parametrize(("query", "expected"), [
    ("", ["cdcgan", 7, 25, 1, [], "any"]),
    ("model=dcgan&seed=12&count=4&psi=0.8&captions=seed,opinion", ["dcgan", 12, 4, 0.8, ["seed", "opinion"], "any"]),
    ("count=4e0&seed=5.0&class=3", ["cdcgan", 5, 4, 1, [], "3"]),
    ("count=20&class=all", ["cdcgan", 7, 20, 1, [], "all"])])
def test_a_link_restores_generate_with_its_picture(query, expected):
    reading = read(query)
    model, _, *rest = generate.restore(reading)
    *settings, shown, sheet, status = rest
    assert (reading.words, reading.message) == ([], "")
    assert [model["value"], *settings] == shown == expected
    assert status.startswith(f"**{expected[0]}** on ")
    assert Path(sheet).name == f"{expected[0]}-generate-{expected[1]}.png"
    again = Reading(passport.read(sheet))  # it has the link's names
    assert generate.restore(again)[-3] == expected
    assert again.words == []


def test_a_link_restores_quality():
    reading = read("model=mlp-gan&seed=9&moment=3")
    assert values(quality.restore(reading)) == ["mlp-gan", None, 9, 3]
    assert values(quality.restore(read(""))) == ["cdcgan", None, 7, 40]
    for picture in (quality.growth("mlp-gan", 3)[0], quality.nearest("mlp-gan")):
        found = Reading(json.loads(picture.info["ganlib"]))
        assert (found.values["tab"], quality.restore(found)[0]["value"], found.words) == ("quality", "mlp-gan", [])


@pytest.mark.parametrize(("tab", "query", "word"), [
    (generate, "seed=10000", "Seed must be a whole number from 0 to 9999, not 10000."),
    (generate, "seed=<b>", "Seed must be a whole number from 0 to 9999, not '<b>'."),
    (generate, "seed=5.5", "Seed must be a whole number from 0 to 9999, not 5.5."),
    (generate, "model=flow", "There is no model 'flow' on this page; it has cdcgan, dcgan, mlp-gan, vae and, from "),
    (generate, "model=toy-sine", "The model toy-sine makes points, which are no pictures."),
    (generate, "model=dcgan&class=3", "The model dcgan has no classes: Digit must be any, not '3'."),
    (generate, "class=10", "Digit must be any, all or a class of cdcgan, from 0 to 9, not '10'."),
    (generate, "psi=3", "Truncation ψ must be a number from 0 to 2, not 3."),
    (generate, "psi=nan", "Truncation ψ must be a number from 0 to 2, not 'nan'."),
    (generate, "captions=name", "Write under each picture must be seed, opinion, both or neither, not 'name'."),
    (generate, "captions=seed,,opinion", "Write under each picture must be seed, opinion, both or neither, not 'seed,"),
    (generate, "seed=9&seeds=9,5,6", "The picture shows chosen seeds or classes. This tab shows the first seed and"),
    (generate, "seed=5&classes=1,2", "The picture shows chosen seeds or classes."),
    (quality, "moment=41", "Moment of the training must be a whole number from 0 to 40, not 41."),
    (game, "round=-1", "Round must be a whole number from 0 to 999999, not -1.")])
def test_a_bad_value_falls_back_to_the_default_with_a_word(tab, query, word):
    reading = read(query + "&count=1" if tab is generate else query)
    restored = tab.restore(reading)
    assert reading.message.startswith(word)
    assert reading.message.endswith(". The default is used.") == ("chosen" not in word)
    if "model=flow" in query:
        assert restored[0]["value"] == "cdcgan"


def test_a_message_has_each_fault_once_and_not_more_than_three():
    reading = read("seed=x&count=x&psi=x&captions=x&class=x")
    generate.restore(reading)
    assert reading.message.count(" must be ") == 3
    assert reading.message.endswith(". And 2 more. The defaults are used.")
    reading = read("a=x&b=x")
    assert [reading.take(name, links.whole(0, 1, "It"), 0) for name in ("a", "b")] == [0, 0]
    assert reading.message == "It must be a whole number from 0 to 1, not 'x'. The defaults are used."


@pytest.mark.parametrize(("text", "sentence"), [
    ("it is so", "It is so."), ("dcgan has none", "dcgan has none."), ("mlp-gan has none!", "mlp-gan has none!"),
    ("bob/x is not there", "bob/x is not there."), ("'x' is none", "'x' is none."), ("", ".")])
def test_a_sentence_begins_with_a_capital_unless_it_is_a_name(text, sentence):
    assert controls.as_sentence(text) == sentence


def test_a_model_of_the_hub_in_a_link_joins_the_choices(monkeypatch):
    monkeypatch.setattr(models, "get", lambda name, get=models.get: get("dcgan" if "/" in name else name))
    model, opened, *_ = generate.restore(read("model=bob/digits&count=1"))
    assert (model["value"], opened) == ("bob/digits", ["bob/digits"])
    assert model["choices"][-1] in ("bob/digits", ("bob/digits", "bob/digits"))


def test_a_class_stays_with_another_model_that_has_it():
    assert generate.settle("cdcgan", 7, 25, 1, [], "3")[-1] == "3"
    assert generate.settle("dcgan", 7, 25, 1, [], "3")[-1] == "any"


def test_the_picker_of_classes_follows_the_model_and_brings_no_class_back():
    assert "value" not in generate.classes("cdcgan", "3")
    without = generate.classes("dcgan", "3")
    assert (without["value"], without["visible"]) == ("any", False)
    assert "choices" not in generate.classes("nowhere", "3")


def test_the_same_values_are_computed_once():
    asked = []
    once = controls.once(lambda value: asked.append(value) or -value, lambda value: [min(value, 5)], waits=False)
    assert once(None, 3) == [[3], -3]
    assert once([3], 3) == gr.skip()
    assert once([3], 9) == [[5], -5]
    assert once([5], 9) == gr.skip()
    assert asked == [3, 5]
    assert controls.once(asked.append, lambda value: [value], waits=True)(None, 3) == gr.skip()


def test_a_page_that_arrives_at_another_tab_makes_no_picture_of_the_first(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("not seen")

    monkeypatch.setattr(generate, "generate", refuse)
    parts = {tab: [None] for tab in page.TABS} | {generate: [None] * 10, quality: [None] * 4}
    updates = page.opened({"tab": "game", "model": "dcgan", "round": "3"}, parts, arrived=True)
    assert updates[1:11] == generate.unseen()
    assert any(isinstance(one, dict) and one.get("state") == {"model": "dcgan", "round": 3} for one in updates)


@pytest.mark.parametrize(("query", "linked"), [
    ("target=ring", True), ("film=ring&step=3", True), ("tab=lab", True), ("tab=lab&target=ring", True), ("", False),
    ("tab=generate&film=ring", False)])
def test_links_to_labs_are_known_with_and_without_the_name_of_the_tab(query, linked):
    assert lab.is_linked(dict(parse_qsl(query))) == linked


def test_a_passport_of_the_lab_holds_its_link():
    found = passport.to_json({"ganlib": "1", "tab": "lab", "target": "ring", "step": "40"})
    (state,) = lab.restore(Reading(json.loads(found)))
    assert state["state"]["target"] == "ring"


def test_a_photo_without_a_passport_is_told_where_it_belongs():
    assert passports.photo({"path": "/tmp/photo.JPG"}) == "A photo of a digit belongs on the field of the tab Draw."
    assert passports.photo({"path": "/tmp/film.mp4"}) == passports.photo(None) == ""
