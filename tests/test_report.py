"""What a weights folder says of its model: measures, card and pictures, from training to publishing."""

import io
import json
import warnings
from dataclasses import dataclass

import pytest
import torch
import yaml
from PIL import Image

import ganlib
from ganlib import checkpoint, publishing, report
from ganlib.architectures import DCGAN, register
from ganlib.calibration import Calibration
from ganlib.card import is_our_card
from ganlib.data import ImageData, StackedDigits
from ganlib.images import from_pil, to_uint8
from ganlib.model import Model
from ganlib.toys import RING, Gaussian
from tests.conftest import untrained
from train import evaluate

SMALL = {"shape": (1, 8, 8), "generator_channels": (8, 4), "discriminator_channels": (8,), "mapping": (), "features": 8}


def silent(what: str, share: float) -> None:
    pass


@pytest.fixture
def pictures() -> ImageData:
    """A few grey images of noise, with as many held out."""
    images = torch.randint(256, (2, 40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageData("noise", images[0], held_out=lambda: ImageData("noise", images[1]))


@pytest.fixture
def images_model() -> Model:
    model = untrained("dcgan", **SMALL)
    model.config["recipe"] = {"data": "noise", "train": {"steps": 3}}
    model.history = [{"step": 3, "discriminator_loss": 0.6, "generator_loss": 0.8}]
    return model


def test_a_trained_model_becomes_a_calibrated_measured_folder(tmp_path, pictures, images_model):
    rows = []
    for step in (0, 3):
        rows.append(tmp_path / f"step-{step:03}.png")
        rows[-1].write_bytes(report.growth_row(images_model))
    told, folder = [], tmp_path / "weights"
    report.finish(images_model, pictures, "relativistic", folder, rows, lambda *what: told.append(what))
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "config.json", "discriminator.safetensors", "growth.png", "history.json", "metrics.json",
        "model.safetensors", "nearest.png", "samples.png"}
    model = ganlib.load(folder, "cpu")
    assert model.calibration == images_model.calibration != Calibration()
    assert model.sample(range(3)).equal(images_model.sample(range(3)))  # what was measured is what is there
    assert checkpoint.is_measured(folder, model.metrics)
    assert (model.metrics["data"], model.metrics["against"]) == ("noise", "test images")
    assert abs(model.metrics["mean_probability_real"] + model.metrics["mean_probability_real_of_real"] - 1) < 0.1
    with Image.open(folder / "growth.png") as sheet:
        assert sheet.text["steps"] == "0 3"
    assert "calibrated after training" in (folder / "README.md").read_text()
    assert [what for what, _ in told][:1] == ["calibration"]


@pytest.mark.parametrize("shape", [(1, 8, 24), (3, 16, 8)])
def test_images_that_are_not_square_are_measured_and_shown(shape, tmp_path):
    images = torch.randint(256, (40, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    model = untrained("dcgan", **SMALL | {"shape": shape, "discriminator_channels": (8, 8, 8)})
    folder, (channels, height, width) = ganlib.save(model, tmp_path / "weights"), shape
    report.write_report(ganlib.load(folder, "cpu"), ImageData("noise", images), folder, silent)
    found = {name: Image.open(io.BytesIO((folder / f"{name}.png").read_bytes())) for name in ("samples", "nearest")}
    gap = 3
    assert 0.6 < found["samples"].width / found["samples"].height < 1.6
    assert (found["samples"].width - gap) % (3 * width + gap) == 0
    assert (found["samples"].height - gap) % (3 * height + gap) == 0
    top = torch.stack([from_pil(found["nearest"].crop((2, y, 2 + 2 * width, y + 2 * height)), channels)[:, ::2, ::2]
                       for y in (2, 2 + 2 * height)])
    real = to_uint8(top[1])
    assert to_uint8(model.sample([0])[0]).equal(to_uint8(top[0]))
    assert (images == real).flatten(1).all(1).any()


def test_the_picture_of_a_training_has_fewer_seeds_where_images_are_large(images_model, monkeypatch, tmp_path):
    for pixels, seeds in ((2**20, 32), (10 * 64, 10), (1, 1)):
        monkeypatch.setattr(report.images, "GROWTH_PIXELS", pixels)
        (tmp_path / "step-0.png").write_bytes(report.growth_row(images_model))
        with Image.open(tmp_path / "step-0.png") as row:
            assert row.size == (8 * seeds, 8)


@pytest.mark.parametrize(("name", "data"), [("toy-gaussian", Gaussian()), ("toy-ring", RING)])
def test_models_of_points_have_a_chart_for_a_picture(name, data, tmp_path):
    model = untrained(name)
    report.finish(model, data, "non-saturating", tmp_path, [], silent)
    with Image.open(tmp_path / "samples.png") as chart:
        assert chart.width > 100
    assert not (tmp_path / "nearest.png").exists()
    assert ganlib.load(tmp_path, "cpu").metrics["data"] == data.name


def test_stacked_digits_are_reported_without_nearest_images(tmp_path, pictures):
    model = untrained("stacked-mnist", **SMALL | {"shape": (3, 8, 8)})
    ganlib.save(model, tmp_path)
    report.write_report(model, StackedDigits(pictures), tmp_path, silent)
    with Image.open(tmp_path / "samples.png") as sheet:
        assert sheet.mode == "RGB"
    assert not (tmp_path / "nearest.png").exists()
    assert checkpoint.read_metrics(tmp_path)["data"] == "stacked-noise"


@register("generator-only")
@dataclass(frozen=True)
class GeneratorOnly(DCGAN):
    def discriminator(self) -> None:
        return None


def test_a_model_without_a_discriminator_is_saved_measured_and_published(tmp_path, pictures, images_model):
    model = Model("alone", GeneratorOnly(**vars(images_model.architecture)), images_model.generator)
    with pytest.raises(ValueError, match="has no discriminator"):
        model.discriminate(model.sample([1]))
    report.finish(model, pictures, "hinge", tmp_path, [], silent)
    assert "discriminator.safetensors" not in checkpoint.files(tmp_path)
    assert "calibrat" not in (tmp_path / "README.md").read_text()
    assert checkpoint.read_metrics(tmp_path)["pixel_frechet_distance"] > 0


def test_a_card_that_somebody_has_edited_is_kept(tmp_path, monkeypatch):
    measured = iter((0.1, 0.2, 0.3))
    monkeypatch.setattr(report, "evaluate", lambda *_, **__: {"data": "gaussian", "samples": 9,
                                                              "wasserstein_1": next(measured)})
    model = untrained("toy-gaussian")
    ganlib.save(model, tmp_path)
    (tmp_path / "README.md").write_text("# Mine")
    report.write_report(model, Gaussian(), tmp_path, silent)
    assert (tmp_path / "README.md").read_text() == "# Mine"
    (tmp_path / "README.md").unlink()
    report.write_report(model, Gaussian(), tmp_path, silent)
    card = (tmp_path / "README.md").read_text()
    assert is_our_card(card)
    edited = card.replace("# toy-gaussian", "# Mine")
    (tmp_path / "README.md").write_text(edited)
    said = report.write_report(model, Gaussian(), tmp_path, silent)
    assert said == f"{tmp_path / 'README.md'} has been edited: only its measures were brought up to date."
    assert (tmp_path / "README.md").read_text() == edited.replace("| 0.200 |", "| 0.300 |").replace("value: 0.2",
                                                                                                      "value: 0.3")


def test_measures_of_other_data_are_filed_under_those(tmp_path, pictures, images_model):
    folder = ganlib.save(images_model, tmp_path)
    images = ImageData("cats_&_dogs", pictures.images, folder=True)
    report.write_report(ganlib.load(folder, "cpu"), images, folder, silent)
    card = publishing.prepare(folder, "alice/noise").files["README.md"].decode()
    (result,) = yaml.safe_load(card.split("---")[1])["model-index"][0]["results"]
    assert result["dataset"]["name"] == "cats_&_dogs"
    assert r"Measured on a folder called cats\_&amp;\_dogs, on which it was not trained." in card
    assert "trained with ganlib on noise" in card


def test_foreign_measures_still_make_tables_and_cards(tmp_path, capsys):
    folder = ganlib.save(untrained("toy-gaussian"), tmp_path)
    metrics = {"samples": "many", "wasserstein_1": 0.25, "mean": [["a"]], **checkpoint.hashes(folder)}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "history.json").write_text("NaN")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert evaluate.main([str(folder), "--compare"]) == 0
    shown = capsys.readouterr()
    assert shown.err.count("; left out\n") == 2
    assert "| Wasserstein-1 distance | 0.250 |" in shown.out
    with pytest.warns(UserWarning, match="left out"):
        assert b"0.250" in publishing.prepare(folder, "alice/toy").files["README.md"]


@pytest.mark.parametrize(("name", "data", "sentence"), [
    ("toy-sine", "gaussian", r"take samples of shape (2,), the data's are (1,)"),
    ("dcgan", "ring", r"take samples of shape (1, 28, 28), the data's are (2,)"),
])
def test_measuring_on_data_that_do_not_fit_takes_one_sentence(name, data, sentence, tmp_path, capsys):
    folder = ganlib.save(untrained(name), tmp_path)
    assert evaluate.main([str(folder), "--data", data]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("train.evaluate: ")
    assert sentence in said
    assert checkpoint.read_metrics(folder) == {}
