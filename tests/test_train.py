"""The command lines of `train`, as a trainer calls them."""

import json
import math
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

import ganlib
from ganlib.recipes import RECIPES
from ganlib.training import TrainConfig, saved_run
from tests.conftest import MNIST_ROOT, needs_mnist
from train import evaluate
from train.__main__ import main

ROOT = Path(__file__).parent.parent


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def test_the_help_shows_every_default(capsys):
    with pytest.raises(SystemExit) as stopped:
        run("--help")
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for option in ("steps", "batch-size", "seed", "device", "data", "out", "resume", "dry-run"):
        (described,) = re.findall(rf" --{option} [^(]*(?:\([^d][^(]*)?\(default: ", text)[-1:]
        assert described
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
    assert "wasserstein 1" in card
    assert 'ganlib.load("toy-gaussian")' in card
    pictures = sorted((out / "training" / "samples").iterdir())
    assert pictures[0].name == "step-0000000.png"
    assert pictures[-1].name == "step-0000060.png"
    assert len(pictures) > 10
    for picture in (*pictures, out / "samples.png"):
        with Image.open(picture) as image:
            assert image.format == "PNG"


@needs_mnist
def test_a_few_steps_on_real_mnist(tmp_path):
    out = tmp_path / "dcgan"
    assert run("dcgan", "--steps", 3, "--batch-size", 16, "--data", MNIST_ROOT, "--out", out, "--device", "cpu") == 0
    model = ganlib.load(out)
    assert model.config["recipe"]["data"] == "mnist"
    assert sum(model.metrics["class_shares_by_nearest_training_image"]) == pytest.approx(1, abs=0.01)
    assert model.metrics["nearest_training_image_accuracy_on_test_images"] > 0.95


def test_a_folder_of_ones_own_images_trains(tmp_path):
    for label in ("a", "b"):
        (tmp_path / "mine" / label).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (50, 40), (i * 40, 0, 0)).save(tmp_path / "mine" / label / f"{i}.png")
    assert run("mlp-gan", "--steps", 2, "--batch-size", 4, "--data", tmp_path / "mine", "--out", tmp_path / "out") == 0
    assert ganlib.load(tmp_path / "out").config["recipe"]["data"] == "mine"


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return ganlib.load(folder, "cpu").generator.state_dict()


def test_interrupting_saves_and_resuming_ends_at_the_same_weights(tmp_path):
    """A real process, a real Ctrl-C, and the command it prints."""
    options = ["toy-sine", "--steps", "3000", "--batch-size", "16", "--device", "cpu"]
    assert run(*options, "--out", tmp_path / "whole") == 0
    out = tmp_path / "stopped"
    process = subprocess.Popen([sys.executable, "-m", "train", *options, "--out", str(out)], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (out / "training" / "samples" / "step-0000030.png").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Stopped and saved. To go on: python -m train toy-sine" in said
    assert said.strip().endswith("--resume")
    assert "Traceback" not in errors
    assert saved_run(out / "training" / "state.safetensors")["train"]["steps"] == 3000
    assert not (out / "config.json").exists()
    assert run("toy-sine", "--out", out, "--resume") == 0
    whole, resumed = tensors_of(tmp_path / "whole"), tensors_of(out)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_a_loss_that_is_not_finite_ends_with_one_sentence_and_keeps_the_checkpoint(tmp_path, capsys, monkeypatch):
    from dataclasses import replace

    wild = replace(RECIPES["toy-sine"], train=TrainConfig(steps=40, batch_size=8, loss="least-squares",
                                                          generator_rate=1e20, discriminator_rate=1e20))
    monkeypatch.setitem(RECIPES, "toy-sine", wild)
    assert run("toy-sine", "--out", tmp_path) == 1
    error = capsys.readouterr().err
    assert "train: a loss is no longer finite at step" in error
    assert "there is no checkpoint yet" in error
    assert not (tmp_path / "config.json").exists()


REFUSALS = {
    "no steps": (["toy-sine", "--steps", "0"], "steps must be a whole number of at least 1, not 0"),
    "no batch": (["toy-sine", "--batch-size", "-4"], "batch_size must be a whole number"),
    "bad seed": (["toy-sine", "--seed", "-1"], "seed must be a whole number of at least 0"),
    "no such device": (["toy-sine", "--device", "tpu"], "--device must be auto or what this machine has"),
    "no such data": (["dcgan", "--data", "nowhere"], "no folder 'nowhere', and no data set of that name"),
    "toy data for images": (["dcgan", "--data", "sine"], "take samples of shape (1, 28, 28), the data's are (2,)"),
    "nothing to resume": (["toy-sine", "--resume"], "there is no checkpoint"),
    "no interval": (["toy-sine", "--checkpoint-every", "0"], "--checkpoint-every must be at least 1"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_bad_options_get_one_sentence(what, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, sentence = REFUSALS[what]
    assert run(*arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("train: ")
    assert sentence in error
    assert error.count("\n") == 1


def test_resuming_with_another_option_is_refused(tmp_path, capsys):
    assert run("toy-sine", "--steps", 5, "--out", tmp_path) == 0
    assert run("toy-sine", "--steps", 9, "--out", tmp_path, "--resume") == 1
    assert "was begun with --steps 5: leave the option out" in capsys.readouterr().err
    assert run("toy-gaussian", "--out", tmp_path, "--resume") == 1
    assert "is a checkpoint of toy-sine, not of toy-gaussian" in capsys.readouterr().err


def test_evaluating_rewrites_the_measures(tmp_path, capsys):
    assert run("toy-sine", "--steps", 5, "--out", tmp_path) == 0
    (tmp_path / "metrics.json").write_text("{}")
    assert evaluate.main([str(tmp_path), "--device", "cpu"]) == 0
    assert "mean_distance_from_sine" in json.loads((tmp_path / "metrics.json").read_text())
    assert evaluate.main([str(tmp_path / "nowhere")]) == 1
    assert "train.evaluate: there is no weights folder" in capsys.readouterr().err
