"""The command lines of `train`, as a trainer calls them."""

import json
import math
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
import torch
from PIL import Image

import ganlib
from ganlib import images
from ganlib.data import ImageData, Sine
from ganlib.recipes import RECIPES
from ganlib.training import TrainConfig, saved_run
from tests.conftest import MNIST_ROOT, needs_mnist
from train import evaluate
from train.__main__ import main, parser
from train.run import open_test_part

ROOT = Path(__file__).parent.parent


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def test_the_help_shows_every_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "10000")  # in lines, names are broken at their dashes
    with pytest.raises(SystemExit) as stopped:
        run("--help")
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    options = {action.option_strings[0]: action.help for action in parser()._actions if action.option_strings}
    assert {"--steps", "--batch-size", "--seed", "--device", "--data", "--out", "--resume", "--dry-run"} <= set(options)
    for option, described in options.items():
        assert option == "-h" or "(default: " in described, option
    for name, recipe in RECIPES.items():
        assert f"{name} {recipe.train.steps}" in text


@pytest.mark.parametrize("name", ["toy-gaussian", "toy-sine"])
def test_a_dry_run_prints_the_whole_configuration_and_writes_nothing(name, tmp_path, capsys):
    assert run(name, "--dry-run", "--steps", 70, "--out", tmp_path / "out") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["train"]["steps"] == 70
    assert set(shown["train"]) == set(TrainConfig.__dataclass_fields__)
    assert shown["sizes"]["generator_parameters"] > 0
    assert shown["sizes"]["samples_seen"] == 70 * shown["train"]["batch_size"]
    assert not (tmp_path / "out").exists()


def test_a_run_ends_with_a_weights_folder_and_pictures_on_the_way(tmp_path, capsys):
    out = tmp_path / "toy"
    assert run("toy-gaussian", "--steps", 60, "--batch-size", 32, "--device", "cpu", "--out", out) == 0
    assert "ganlib.load" in capsys.readouterr().out
    model = ganlib.load(out)
    assert model.history[-1]["step"] == 60
    assert math.isfinite(model.metrics["wasserstein_1"])
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n")
    assert "| Wasserstein-1 distance | " in card
    assert "ganlib.load(" in card
    pictures = sorted((out / "training" / "samples").iterdir())
    assert pictures[0].name == "step-0000000.png"
    assert pictures[-1].name == "step-0000060.png"
    assert len(pictures) > 10
    for picture in (*pictures, out / "samples.png"):
        with Image.open(picture) as image:
            assert image.format == "PNG"


@needs_mnist
def test_a_few_steps_on_real_mnist(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("train.run.LONG", 2)  # as a long run, which is measured on the way
    monkeypatch.setattr(images, "MOMENTS", 2)

    def a_fifth(*where) -> ImageData:  # of the test images: to measure against all of them takes minutes
        test = open_test_part(*where)
        return ImageData(test.name, test.images[::5], test.labels[::5], test.num_classes)

    monkeypatch.setattr("train.run.open_test_part", a_fifth)
    out = tmp_path / "dcgan"
    assert run("dcgan", "--steps", 3, "--batch-size", 16, "--data", MNIST_ROOT, "--out", out, "--device", "cpu") == 0
    model = ganlib.load(out)
    assert model.config["recipe"]["data"] == "mnist"
    measured = model.metrics
    assert sum(measured["class_shares"]) == pytest.approx(1, abs=0.01)
    assert measured["fid_digit_classifier"] > 100 * measured["fid_digit_classifier_of_real"] > 0  # three steps of noise
    assert measured["kid_digit_classifier"] > measured["kid_digit_classifier_of_real"]
    assert measured["precision"] < 0.5 < measured["precision_of_real"]
    assert measured["share_sure_of_real"] > 0.95
    measured_at = [row["step"] for row in model.history if set(row) == {"step", "fid_digit_classifier", "precision",
                                                                         "recall"}]
    assert measured_at == [1, 3]
    assert [row["step"] for row in model.history if "generator_loss" in row] == [1, 2, 3]
    steps, sheet = images.read_growth(out / "growth.png")
    assert steps == [0, 1, 3]
    assert sheet.size == (32 * 28, 3 * 28)
    with Image.open(out / "nearest.png") as pairs:
        assert pairs.width > 16 * 28
    card = (out / "README.md").read_text()
    assert "| FID, digit-classifier features |" in card
    assert "| precision (k = 5) |" in card
    assert "2,000 samples, without truncation, measured against 2,000 test images." in card
    capsys.readouterr()
    assert evaluate.main(["--compare", "mlp-gan", "dcgan", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "| | mlp-gan | dcgan | real |" in shown
    assert f"| | {out} | real |" in shown  # not beside what was measured of others
    assert "no Inception FID" in shown


def test_a_folder_of_ones_own_images_trains(tmp_path):
    for label in ("a", "b"):
        (tmp_path / "mine" / label).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (50, 40), (i * 40, 0, 0)).save(tmp_path / "mine" / label / f"{i}.png")
    assert run("mlp-gan", "--steps", 2, "--batch-size", 4, "--data", tmp_path / "mine", "--out", tmp_path / "out") == 0
    assert ganlib.load(tmp_path / "out").config["recipe"]["data"] == "mine/"
    assert evaluate.main([str(tmp_path / "out"), "--data", str(tmp_path / "mine")]) == 0


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return ganlib.load(folder, "cpu").generator.state_dict()


def test_interrupting_saves_and_resuming_ends_at_the_same_weights(tmp_path):
    """A real process, a real Ctrl-C, and the command it prints."""
    options = ["toy-sine", "--steps", "1000", "--batch-size", "16", "--device", "cpu"]
    assert run(*options, "--out", tmp_path / "whole") == 0
    out = tmp_path / "stopped"
    process = subprocess.Popen([sys.executable, "-m", "train", *options, "--out", str(out)], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (out / "training" / "samples" / "step-0000010.png").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Stopped and saved. To go on: python -m train toy-sine" in said
    assert said.strip().endswith("--resume")
    assert "Traceback" not in errors
    assert saved_run(out / "training" / "state.safetensors")["train"]["steps"] == 1000
    assert not (out / "config.json").exists()
    assert run("toy-sine", "--out", out, "--device", "cpu", "--resume") == 0
    whole, resumed = tensors_of(tmp_path / "whole"), tensors_of(out)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_a_loss_that_is_not_finite_ends_with_one_sentence_and_keeps_the_checkpoint(tmp_path, capsys, monkeypatch):
    batches = count(1)

    def poisoned(self, n, rng):
        poison = n == 8 and next(batches) > 25  # the training's own batches; pictures draw larger ones
        return torch.full((n, 2), torch.nan if poison else 0.5, device=rng.device), None

    monkeypatch.setattr(Sine, "batch", poisoned)
    assert run("toy-sine", "--steps", 40, "--batch-size", 8, "--checkpoint-every", 10, "--out", tmp_path) == 1
    error = capsys.readouterr().err
    assert "train: a loss is no longer finite at step 26 " in error
    assert "the checkpoint of step 20 is kept" in error
    assert not (tmp_path / "config.json").exists()
    monkeypatch.undo()
    assert run("toy-sine", "--out", tmp_path, "--resume") == 0


def test_a_fresh_run_forgets_the_one_before(tmp_path, capsys, monkeypatch):
    assert run("toy-sine", "--steps", 5, "--out", tmp_path) == 0
    monkeypatch.setattr(Sine, "batch", lambda self, n, rng: (torch.full((n, 2), torch.nan, device=rng.device), None))
    assert run("toy-sine", "--steps", 5, "--out", tmp_path) == 1
    assert "there is no checkpoint yet" in capsys.readouterr().err
    assert run("toy-sine", "--out", tmp_path, "--resume") == 1
    assert "there is no checkpoint" in capsys.readouterr().err


def test_a_run_is_resumed_on_its_own_data_only(tmp_path, capsys):
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.new("L", (28, 28), i).save(tmp_path / name / f"{i}.png")
    out = tmp_path / "out"
    assert run("mlp-gan", "--steps", 2, "--batch-size", 2, "--data", tmp_path / "mine", "--out", out) == 0
    assert run("mlp-gan", "--data", tmp_path / "other", "--out", out, "--resume") == 1
    assert "was begun on 2 images of mine/, not on 2 images of other/" in capsys.readouterr().err
    other = "float32" if saved_run(out / "training" / "state.safetensors")["train"]["bfloat16"] else "bfloat16"
    assert run("mlp-gan", "--precision", other, "--out", out, "--resume") == 1
    assert "another --precision" in capsys.readouterr().err


def draw_folder(folder: Path, size: int = 40, names: tuple[str, ...] = ("",)) -> Path:
    """A folder of three colourful pictures, in each of the subfolders of these names."""
    for n, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(3):
            Image.new("RGB", (size, size + 8), (80 * n, 90 * i, 200)).save(folder / name / f"{i}.png")
    return folder


@pytest.mark.parametrize(("recipe", "size", "channels"), [("dcgan", 32, 3), ("cdcgan", 28, 3), ("cdcgan", 64, 1)])
def test_own_pictures_of_any_size_become_a_model_of_their_own_name(recipe, size, channels, tmp_path, capsys,
                                                                   monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("train.run.SETTLED", 64)
    names = ("", ) if recipe == "dcgan" else ("apples", "pears")
    pictures = draw_folder(tmp_path / "my-pictures", names=names)
    options = ("--data", pictures, "--size", size, "--channels", channels, "--name", "my-gan")
    assert run(recipe, *options, "--steps", 3, "--batch-size", 2, "--device", "cpu") == 0
    model = ganlib.load("runs/my-gan")
    assert (model.name, model.shape) == ("my-gan", (channels, size, size))
    assert model.class_names == (names if recipe == "cdcgan" else ())
    assert model.config["recipe"]["name"] == recipe
    assert model.sample(range(2)).shape == (2, channels, size, size)
    header = json.loads(Path("runs/my-gan/model.safetensors").read_bytes()[8:].split(b"}}")[0] + b"}}")
    assert {tensor["dtype"] for tensor in header.values() if tensor["shape"]} == {"F16"}
    card = Path("runs/my-gan/README.md").read_text()
    assert "# my-gan\n" in card
    assert "trained on images of a folder called my-pictures/" in card
    for picture in ("samples.png", "growth.png", "nearest.png"):
        assert images.read(Path("runs/my-gan") / picture).width > 0

    assert evaluate.main(["runs/my-gan", "--data", str(pictures), "--device", "cpu"]) == 0
    assert evaluate.main(["runs/my-gan", "--device", "cpu"]) == 1
    assert "was trained on the images of a folder, my-pictures/: name it by --data" in capsys.readouterr().err
    assert run(recipe, "--name", "my-gan", "--size", 48, "--resume") == 1
    assert f"was begun with --size {size}: leave the option out" in capsys.readouterr().err
    assert run(recipe, "--out", "runs/my-gan", "--resume", "--device", "cpu") == 0
    assert ganlib.load("runs/my-gan").name == "my-gan"


def test_a_dry_run_downloads_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GANLIB_DATA", str(tmp_path / "nothing"))
    assert run("dcgan", "--dry-run") == 0
    assert json.loads(capsys.readouterr().out)["data"] == "mnist, to be downloaded"
    assert run("dcgan", "--dry-run", "--data", "kmnist") == 0
    assert json.loads(capsys.readouterr().out)["data"] == "kmnist, to be downloaded"
    assert not (tmp_path / "nothing").exists()


REFUSALS = {
    "no steps": (["toy-sine", "--steps", "0"], "steps must be a whole number from 1 to 1000000000, not 0"),
    "no batch": (["toy-sine", "--batch-size", "-4"], "batch_size must be a whole number"),
    "bad seed": (["toy-sine", "--seed", "-1"], "seed must be a whole number from 0 to 4294967295"),
    "large seed": (["toy-sine", "--seed", "18446744073709551616"], "seed must be a whole number from 0"),
    "device of no number": (["toy-sine", "--device", "cpu:x"], "--device must be auto or what this machine has"),
    "device half named": (["toy-sine", "--device", "cpu:"], "--device must be auto or what this machine has"),
    "device too many": (["toy-sine", "--device", "cuda:99"], "--device must be auto or what this machine has"),
    "batch too large": (["toy-sine", "--batch-size", "100000000000000"], "batch_size must be a whole number"),
    "no such device": (["toy-sine", "--device", "tpu"], "--device must be auto or what this machine has"),
    "no such data": (["dcgan", "--data", "nowhere"], "no folder 'nowhere', and no data set of that name"),
    "toy data for images": (["dcgan", "--data", "sine"], "take samples of shape (1, 28, 28), the data's are (2,)"),
    "nothing to resume": (["toy-sine", "--resume"], "there is no checkpoint"),
    "points of a size": (["toy-sine", "--size", "32"], "--size and --channels are for images, and toy-sine makes"),
    "no size": (["dcgan", "--size", "0"], "--size must be at least 1, not 0"),
    "impossible size": (["dcgan", "--size", "30"], "images of 30 pixels cannot be had by doubling a map"),
    "no name": (["toy-sine", "--name", "../up"], "a name must be of 1 to 96 letters, digits, dots, dashes and under"),
    "no interval": (["toy-sine", "--checkpoint-every", "0"], "--checkpoint-every must be at least 1"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_bad_options_get_one_sentence(what, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, sentence = REFUSALS[what]
    assert run(*arguments) == 1
    error = capsys.readouterr().err
    (said,) = [line for line in error.splitlines() if line.startswith("train: ")]
    assert sentence in said
    assert "Traceback" not in error


def test_resuming_with_another_option_is_refused(tmp_path, capsys):
    assert run("toy-sine", "--steps", 5, "--out", tmp_path) == 0
    assert run("toy-sine", "--steps", 9, "--out", tmp_path, "--resume") == 1
    assert "was begun with --steps 5: leave the option out" in capsys.readouterr().err
    assert run("toy-gaussian", "--out", tmp_path, "--resume") == 1
    assert "is a checkpoint of toy-sine, not of toy-gaussian" in capsys.readouterr().err


def test_evaluating_rewrites_the_measures(tmp_path, capsys):
    assert run("toy-sine", "--steps", 5, "--out", tmp_path) == 0
    (tmp_path / "metrics.json").write_text("{}")
    config = json.loads((tmp_path / "config.json").read_text())
    del config["architecture"]["codes"]  # as where that was not thought of yet
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert evaluate.main([str(tmp_path), "--device", "cpu"]) == 0
    assert "mean_distance_from_sine" in json.loads((tmp_path / "metrics.json").read_text())
    assert json.loads((tmp_path / "config.json").read_text()) == config
    assert "| codes |" not in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert evaluate.main([str(tmp_path / "nowhere")]) == 1
    assert "train.evaluate: there is no weights folder" in capsys.readouterr().err


@needs_mnist
def test_the_size_of_a_set_is_not_changed(capsys, monkeypatch):
    monkeypatch.setenv("GANLIB_DATA", MNIST_ROOT)
    assert run("dcgan", "--size", 32, "--dry-run") == 1
    assert "the pictures of mnist are 28×28 and grey: --size and --channels are for a folder" in capsys.readouterr().err
