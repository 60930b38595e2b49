"""The page through its own API, as gradio_client calls it."""

import json

import gradio
import numpy
import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

import ganlib
from ganlib import images
from tests.conftest import untrained


@pytest.fixture(scope="module")
def client(address):
    found = Client(address, verbose=False)
    yield found
    found.close()


def pixels(path: str) -> numpy.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return numpy.asarray(image.convert("RGB"))


def test_the_api_has_the_promised_names(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/generate", "/interpolate", "/frame", "/toy", "/quality", "/growth"}
    assert [p["parameter_name"] for p in named["/generate"]["parameters"]] == [
        "model", "seed", "count", "truncation", "captions", "digit"]
    assert [p["parameter_name"] for p in named["/interpolate"]["parameters"]] == [
        "model", "first", "second", "steps", "method"]
    assert [p["parameter_name"] for p in named["/toy"]["parameters"]] == ["model", "count", "seed"]
    assert [p["parameter_name"] for p in named["/quality"]["parameters"]] == ["model", "seed"]
    assert [p["parameter_name"] for p in named["/growth"]["parameters"]] == ["model", "moment"]


@pytest.mark.parametrize("name", ["dcgan", "mlp-gan"])
def test_generate_gives_the_contact_sheet_of_the_librarys_own_samples(client, name):
    sheet, status = client.predict(name, 40, 9, 0.8, [], api_name="/generate")
    expected = images.contact_sheet(ganlib.load(name, "cpu").sample(range(40, 49), truncation=0.8))
    difference = numpy.abs(pixels(sheet).astype(int) - numpy.asarray(expected).astype(int))
    assert difference.max() <= 1
    assert name in status
    assert "9 pictures in" in status
    assert " ms" in status


def test_generate_has_defaults(client):
    sheet, _ = client.predict(api_name="/generate")
    assert pixels(sheet).shape[0] > 500


def test_captions_are_written_on_demand(client):
    bare, _ = client.predict("dcgan", 1, 4, 1, [], api_name="/generate")
    seeds, _ = client.predict("dcgan", 1, 4, 1, ["seed"], api_name="/generate")
    both, _ = client.predict("dcgan", 1, 4, 1, ["seed", "opinion"], api_name="/generate")
    assert len(pixels(bare)) < len(pixels(seeds)) < len(pixels(both))


def test_interpolate_gives_a_strip_and_a_gif_that_loops(client):
    strip, gif, status = client.predict("dcgan", 3, 8, 6, "slerp", api_name="/interpolate")
    expected = images.contact_sheet(ganlib.load("dcgan", "cpu").interpolate(3, 8, steps=6), columns=6)
    assert numpy.abs(pixels(strip).astype(int) - numpy.asarray(expected).astype(int)).max() <= 1
    with Image.open(gif) as movie:
        assert movie.n_frames == 10
        assert movie.info["loop"] == 0
    assert "6 pictures in" in status


def test_the_scrubbed_frame_is_on_the_way(client):
    ends = [client.predict("dcgan", 3, 8, "lerp", at, api_name="/frame") for at in (0, 1)]
    model = ganlib.load("dcgan", "cpu")
    for path, seed in zip(ends, (3, 8)):
        small = numpy.asarray(images.to_pil(model.sample([seed])[0]).convert("RGB")).astype(int)
        scale = len(pixels(path)) // 28
        assert numpy.abs(pixels(path)[::scale, ::scale].astype(int) - small).max() <= 1


@pytest.mark.parametrize(("name", "title"), [
    ("toy-gaussian", "Wasserstein-1"), ("toy-sine", "sliced Wasserstein"), ("toy-ring", "8 of 8</b>"),
    ("toy-grid", "25 of 25</b>")])
def test_toy_gives_charts_and_numbers(client, name, title):
    charts, numbers = client.predict(name, 500, 3, api_name="/toy")
    assert charts.count("<svg") == 3
    assert 'aria-label="Losses of the training run"' in charts
    assert title in charts
    assert numbers["model"] == name
    model = ganlib.load(name, "cpu")
    assert torch.tensor(numbers["samples"]).shape == (500, *model.shape)
    assert 0 < numbers["distance"] < 1
    assert set(numbers["losses"]) == {"discriminator_loss", "generator_loss"}
    again = client.predict(name, 500, 3, api_name="/toy")[1]
    assert again["samples"] == numbers["samples"]
    assert client.predict(name, 500, 4, api_name="/toy")[1]["samples"] != numbers["samples"]
    json.dumps(numbers)


@pytest.mark.parametrize("name", ["dcgan", "mlp-gan"])
def test_quality_takes_a_census_of_fresh_samples(client, name):
    charts, numbers = client.predict(name, 5, api_name="/quality")
    assert 'aria-label="A census of 1,000 samples"' in charts
    assert 'aria-label="Measured while it learned"' in charts
    assert numbers["verdict"] in charts
    assert sum(numbers["counts"]) == 1_000
    assert min(numbers["counts"]) > 30
    assert numbers["measures"] == ganlib.load(name, "cpu").metrics
    again, other = (client.predict(name, seed, api_name="/quality")[1]["counts"] for seed in (5, 6))
    assert again == numbers["counts"]
    assert other != again


def test_growth_shows_the_fixed_seeds_from_noise_to_digits(client):
    model = ganlib.load("dcgan", "cpu")
    first, started = client.predict("dcgan", 0, api_name="/growth")
    last, ended = client.predict("dcgan", 40, api_name="/growth")
    assert started == f"After **0** of {model.history[-1]['step']:,} steps."
    assert ended == f"After **{model.history[-1]['step']:,}** of {model.history[-1]['step']:,} steps."
    expected = numpy.asarray(images.contact_sheet(model.sample(range(32)), columns=8)).astype(int)
    assert numpy.abs(pixels(last).astype(int) - expected).mean() < 6  # kept in 16 shades
    assert numpy.abs(pixels(first).astype(int) - expected).mean() > 20


@pytest.mark.parametrize(("name", "spots"), [("ring", 8), ("grid", 25)])
def test_mixtures_have_their_spots_counted_on_the_toy_tab(name, spots, tmp_path, monkeypatch):
    from ganlib.demo import models, toy

    gan = untrained("toy-sine")
    gan.config["recipe"] = {"data": name}
    monkeypatch.setattr(models, "get", lambda name: gan)
    charts, numbers = toy.toy(name, 500, 3)
    assert charts.count("<svg") == 3
    assert f"of {spots}</b>" in charts
    assert numbers["centres"] == spots
    assert 0 <= numbers["modes"] <= spots
    assert 0 <= numbers["high_quality"] < 0.5


def test_a_model_that_was_not_measured_says_so(tmp_path, monkeypatch):
    from ganlib.demo import models, quality

    strange = ganlib.load(ganlib.save(untrained("dcgan"), tmp_path / "strange"), "cpu")
    monkeypatch.setattr(models, "get", lambda name: strange)
    assert "there is no census" in quality.quality("strange", 7)[0]
    assert quality.growth("strange", 3)[0] is None
    assert quality.nearest("strange") is None


@pytest.mark.parametrize("name", ["cdcgan", "dcgan"])
def test_the_scrubbed_frames_are_those_of_the_strip(name):
    from ganlib.demo import interpolate

    path = ganlib.load(name, "cpu").interpolate(3, 8, steps=5)
    for i, x in enumerate(path):
        frame = interpolate.frame(name, 3, 8, "slerp", i / 4)
        expected = images.enlarge(images.to_pil(x), images.tile_scale(x.shape[-1], 1, interpolate.FRAME_WIDTH))
        difference = numpy.abs(numpy.asarray(frame, dtype=int) - numpy.asarray(expected, dtype=int))
        assert difference.max() <= 1


def test_a_model_with_classes_makes_the_digit_that_is_asked_for(tmp_path, monkeypatch):
    from ganlib.demo import generate, models

    gan = ganlib.load(ganlib.save(untrained("cdcgan"), tmp_path / "cdcgan"), "cpu")
    monkeypatch.setattr(models, "get", lambda name: gan)

    def sheet(*arguments) -> numpy.ndarray:
        return numpy.asarray(generate.generate("cdcgan", *arguments)[0])

    expected = images.contact_sheet(gan.sample(range(3, 7), labels=8))
    assert numpy.array_equal(sheet(3, 4, 1.0, [], "8"), expected)
    assert not numpy.array_equal(sheet(3, 4, 1.0, [], "7"), expected)
    table, status = generate.generate("cdcgan", 3, 25, 1.0, ["seed"], "all")
    rows = gan.sample([3] * 10 + [4] * 10, labels=list(range(10)) * 2)
    captions = ["3"] * 10 + ["4"] * 10
    assert numpy.array_equal(numpy.asarray(table), images.contact_sheet(rows, 10, captions=captions))
    assert "20 pictures" in status
    picked = gan.labels_of(range(4))
    assert numpy.array_equal(sheet(0, 4, 1.0, [], "any"), images.contact_sheet(gan.sample(range(4), labels=picked)))


def test_rows_of_all_classes_are_refused_where_they_are_more_than_pictures(monkeypatch):
    from ganlib.demo import generate, models

    gan = untrained("cdcgan", num_classes=101)
    monkeypatch.setattr(models, "get", lambda name: gan)
    assert "4 pictures" in generate.generate("mine", 3, 4, 1.0, [], "100")[1]
    with pytest.raises(gradio.Error, match="mine has 101 classes, more than the 100 pictures that there can be"):
        generate.generate("mine", 3, 4, 1.0, [], "all")


REFUSALS = [
    ("/generate", ("dcgan", 7, 101, 1, []), "How many must be a whole number from 1 to 100, not 101."),
    ("/generate", ("dcgan", 7, 0, 1, []), "How many must be a whole number from 1 to 100, not 0."),
    ("/generate", ("dcgan", 7, 2.5, 1, []), "How many must be a whole number"),
    ("/generate", ("dcgan", -1, 4, 1, []), "Seed must be a whole number from 0 to 9999, not -1."),
    ("/generate", ("dcgan", "seven", 4, 1, []), "Seed must be a whole number from 0 to 9999, not 'seven'."),
    ("/generate", ("dcgan", [7], 4, 1, []), "Seed must be"),
    ("/generate", ("dcgan", 7, 4, 2.5, []), "Truncation ψ must be a number from 0 to 2"),
    ("/generate", ("vae", 7, 4, 1, []),
     "Model must be cdcgan, dcgan, mlp-gan or one on the Hugging Face Hub, named user/repo, not 'vae'."),
    ("/generate", ("toy-sine", 7, 4, 1, []), "Model must be"),
    ("/generate", ("<img src=x>", 7, 4, 1, []), "not '&lt;img src=x&gt;'."),  # which gradio shows as HTML
    ("/generate", ("../weights/dcgan", 7, 4, 1, []), "Model must be"),
    ("/generate", ("dcgan", 7, 4, 1, ["name"]), "Write under each picture must be a list of seed or opinion"),
    ("/generate", ("dcgan", 7, 4, 1, [], "3"), "dcgan cannot be asked for a digit: it has no classes."),
    ("/generate", ("dcgan", 7, 4, 1, [], "ten"), "dcgan cannot be asked for a digit: it has no classes."),
    ("/interpolate", ("dcgan", 1, 2, 1, "slerp"), "Steps must be a whole number from 2 to 64, not 1."),
    ("/interpolate", ("dcgan", 1, 2, 8, "cubic"), "Path must be lerp or slerp, not 'cubic'."),
    ("/frame", ("dcgan", 1, 2, "slerp", 1.5), "Scrub must be a number from 0 to 1, not 1.5."),
    ("/toy", ("toy-sine", 10_100, 1), "Samples must be a whole number from 100 to 10000, not 10100."),
    ("/quality", ("toy-sine", 1), "Model must be cdcgan, dcgan, mlp-gan or one on the Hugging Face Hub, named"),
    ("/growth", ("dcgan", 41), "Time of the training must be a whole number from 0 to 40, not 41."),
    ("/toy", ("dcgan", 500, 1),
     "Distribution must be toy-gaussian, toy-grid, toy-ring, toy-sine or one on the Hugging Face Hub"),
]


@pytest.mark.parametrize(("endpoint", "arguments", "sentence"), REFUSALS)
def test_what_is_out_of_range_is_refused_in_one_sentence(client, endpoint, arguments, sentence):
    with pytest.raises(AppError) as caught:
        client.predict(*arguments, api_name=endpoint)
    assert sentence in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_models_own_refusal_is_the_one_sentence_that_a_visitor_sees():
    from ganlib.demo.generate import generate

    with pytest.raises(gradio.Error, match="there is no model 'nowhere' on this page") as caught:
        generate("nowhere", 1, 1, 1.0, [])
    assert not caught.value.print_exception
    assert generate("dcgan", 1, 1, 1.0, [])[1].startswith("**dcgan**")


def test_models_are_loaded_once():
    from ganlib.demo import models

    assert models.get("dcgan") is models.get("dcgan")
