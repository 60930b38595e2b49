"""The command lines of `train`, as a trainer calls them."""

import argparse
import functools
import json
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

import ganlib
from ganlib import images, report
from ganlib.data import DATASETS, ImageData
from ganlib.evaluation import calibrate
from ganlib.recipes import RECIPES
from ganlib.runs import Run
from ganlib.toys import Points, Sine
from ganlib.training import TrainConfig, saved_run
from tests.conftest import mark_as_measured
from train import command, evaluate
from train.__main__ import main, parser

ROOT = Path(__file__).parent.parent


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def elsewhere(code: str, folder: Path, **environment: str) -> str:
    """What a Python program prints in a process of its own, with that current folder."""
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, text=True, capture_output=True, timeout=300,
                         env=os.environ | {"PYTHONPATH": str(ROOT)} | environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch):
    """Three pictures on the way; statistics, a calibration and measures of few samples."""
    monkeypatch.setattr(images, "MOMENTS", 3)
    monkeypatch.setattr(Points, "samples", 200)
    monkeypatch.setattr("ganlib.training.STATISTICS", 32)
    monkeypatch.setattr(report, "calibrate", functools.partial(calibrate, samples=64))


def a_few(data: ImageData, start: int, n: int, **options) -> ImageData:
    part = slice(start, start + n)
    return ImageData("mnist", data.images[part], data.labels[part], 10, digits=True, **options)


@pytest.fixture
def small_sets(digits, monkeypatch):
    """In place of MNIST a few digits, and of CIFAR-10 a few pictures of noise."""
    few = a_few(digits, 0, 600, held_out=lambda: a_few(digits, 600, 300))
    noise = torch.randint(256, (40, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setitem(DATASETS, "mnist", lambda root, train=True, download=True: few)
    monkeypatch.setitem(DATASETS, "cifar10", lambda *_: ImageData("cifar10", noise, torch.arange(40) % 10, 10))


def draw_folder(folder: Path, size: int = 40, names: tuple[str, ...] = ("",)) -> Path:
    """A folder of three colourful pictures, in each of the subfolders of these names."""
    for n, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(3):
            Image.new("RGB", (size, size + 8), (80 * n, 90 * i, 200)).save(folder / name / f"{i}.png")
    return folder


def said(capsys, program: str = "train") -> str:
    """The one sentence that a command has said of what is wrong."""
    error = capsys.readouterr().err
    assert "Traceback" not in error
    (sentence,) = [line for line in error.splitlines() if line.startswith(f"{program}: ")]
    return sentence.removeprefix(f"{program}: ")


def test_the_help_shows_every_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "10000")  # in lines, names are broken at their dashes
    with pytest.raises(SystemExit) as stopped:
        run("--help")
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    options = {action.option_strings[0]: action.help for action in parser()._actions if action.option_strings}
    for option, described in options.items():
        assert option == "-h" or "(default: " in described, option
    for name, recipe in RECIPES.items():
        assert f"{name} {recipe.train.steps}" in text


def test_a_dry_run_prints_the_whole_configuration_and_writes_nothing(tmp_path, capsys):
    assert run("toy-sine", "--dry-run", "--steps", 70, "--out", tmp_path / "out") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["train"]["steps"] == 70
    assert set(shown["train"]) == set(TrainConfig.__dataclass_fields__)
    assert shown["architecture"]["kind"] == "mlp"
    assert shown["sizes"]["generator_parameters"] > 0
    assert shown["sizes"]["samples_seen"] == 70 * shown["train"]["batch_size"]
    assert not (tmp_path / "out").exists()


def test_a_dry_run_reads_no_image_and_imports_little(tmp_path):
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    printed = elsewhere("""
import json, sys
from train.__main__ import main
assert main(["dcgan", "--dry-run"]) == 0
print({"torchvision", "torch._dynamo", "matplotlib", "huggingface_hub", "trackio"} & set(sys.modules))
""", tmp_path, GANLIB_DATA=str(tmp_path))
    assert f'"data": "mnist in {tmp_path}"' in printed
    assert printed.endswith("\nset()\n")


def test_a_dry_run_downloads_nothing_and_says_only_what_it_knows(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GANLIB_DATA", str(tmp_path / "nothing"))
    for name in ("mnist", "kmnist", "cifar10"):
        assert run("dcgan", "--dry-run", "--data", name) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["data"] == f"{name}, to be downloaded"
        assert "architecture" not in shown
    assert not (tmp_path / "nothing").exists()


def test_a_run_ends_with_a_weights_folder_and_pictures_on_the_way(tmp_path, capsys):
    out = tmp_path / "toy"
    assert run("toy-gaussian", "--steps", 60, "--batch-size", 32, "--device", "cpu", "--out", out) == 0
    assert f"ganlib.load({str(out)!r}) opens them" in capsys.readouterr().out
    model = ganlib.load(out)
    assert model.history[-1]["step"] == 60
    assert math.isfinite(model.metrics["wasserstein_1"])
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: ganlib\nlicense: mit\n")
    assert "| Wasserstein-1 distance | " in card
    pictures = sorted((out / "training" / "samples").iterdir())
    assert [picture.name for picture in pictures] == [f"step-{step:07d}.png" for step in (0, 7, 27, 60)]
    for picture in (*pictures, out / "samples.png"):
        with Image.open(picture) as image:
            assert image.format == "PNG"


def test_a_run_of_digits_is_measured_on_the_way_and_at_the_end(small_sets, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ganlib.runs.MEASURED_FROM", 2)  # as a long run
    monkeypatch.setattr(images, "MOMENTS", 2)
    out = tmp_path / "dcgan"
    assert run("dcgan", "--steps", 3, "--batch-size", 16, "--out", out, "--device", "cpu", "--keep", "best") == 0
    model = ganlib.load(out)
    assert model.config["recipe"]["data"] == "mnist"
    assert model.metrics["fid_digit_classifier"] > 10 * model.metrics["fid_digit_classifier_of_real"]
    measured = [row["step"] for row in model.history if set(row) == {"step", "fid_digit_classifier", "precision",
                                                                      "recall"}]
    assert measured == [1, 3]
    lowest = min((row["fid_digit_classifier"], row["step"]) for row in model.history if "precision" in row)
    assert [row for row in model.history if "shipped" in row] == [{"step": lowest[1], "shipped": 1}]
    assert model.config["recipe"]["kept_step"] == lowest[1]
    assert [row["step"] for row in model.history if "generator_loss" in row] == [1, 2, 3]
    steps, sheet = images.read_growth(out / "growth.png")
    assert steps == [0, 1, 3]
    assert sheet.size == (32 * 28, 3 * 28)
    assert images.read(out / "nearest.png").width > 16 * 28
    card = (out / "README.md").read_text()
    assert "300 samples, without truncation, measured against 300 test images." in card
    assert card.index("It was trained on 600 images only.") < card.index("300 samples, without truncation")
    capsys.readouterr()
    assert evaluate.main(["--compare", "mlp-gan", str(out)]) == 0
    assert "| | mlp-gan |" in capsys.readouterr().out


@pytest.mark.parametrize(("recipe", "data", "shape"), [
    ("dcgan", "stacked-mnist", (3, 28, 28)), ("dcgan", "cifar10", (3, 32, 32)),
    ("toy-ring", "grid", (2,))])
def test_the_datas_shape_decides_the_networks(recipe, data, shape, small_sets, tmp_path, monkeypatch):
    monkeypatch.setattr("ganlib.report.finish", lambda model, *rest: mark_as_measured(ganlib.save(model, tmp_path)))
    assert run(recipe, "--data", data, "--steps", 2, "--batch-size", 4, "--device", "cpu", "--out", tmp_path) == 0
    model = ganlib.load(tmp_path)
    assert model.shape == shape
    assert model.config["recipe"]["data"] == data


def header(path: Path) -> dict:
    """The tensors of a safetensors file, as its own header has them."""
    content = path.read_bytes()
    return json.loads(content[8:8 + int.from_bytes(content[:8], "little")])


@pytest.mark.parametrize(("recipe", "size", "channels"), [pytest.param("dcgan", 32, 3, marks=pytest.mark.slow),
                                                          ("cdcgan", 16, 1)])
def test_own_pictures_of_any_size_become_a_model_of_their_own_name(recipe, size, channels, tmp_path, capsys,
                                                                   monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("",) if recipe == "dcgan" else ("apples", "pears")
    pictures = draw_folder(tmp_path / "my-pictures", names=names)
    options = ("--data", pictures, "--size", size, "--channels", channels, "--name", "my-gan")
    assert run(recipe, *options, "--steps", 3, "--batch-size", 2, "--device", "cpu") == 0
    model = ganlib.load("runs/my-gan")
    assert (model.name, model.shape) == ("my-gan", (channels, size, size))
    assert model.class_names == (names if recipe == "cdcgan" else ())
    assert model.config["recipe"]["name"] == recipe
    assert {tensor["dtype"] for name, tensor in header(Path("runs/my-gan/model.safetensors")).items()
            if name != "__metadata__" and tensor["shape"]} == {"F16"}
    card = Path("runs/my-gan/README.md").read_text()
    assert "# my-gan\n" in card
    assert "my-pictures" in card
    for picture in ("samples.png", "growth.png", "nearest.png"):
        assert images.read(Path("runs/my-gan") / picture).width > 0
    capsys.readouterr()
    assert evaluate.main(["runs/my-gan", "--device", "cpu"]) == 1
    assert "was trained on the images of a folder, my-pictures: name it by" in said(capsys, "train.evaluate")
    assert run(recipe, "--name", "my-gan", "--size", 64, "--resume") == 1
    assert f"was begun with --size {size}x{size}: leave the option out" in said(capsys)
    assert run(recipe, "--out", "runs/my-gan", "--resume", "--device", "cpu") == 0
    assert ganlib.load("runs/my-gan").name == "my-gan"


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return ganlib.load(folder, "cpu").generator.state_dict()


@pytest.mark.slow
def test_interrupting_saves_and_resuming_ends_at_the_same_weights(tmp_path):
    """A real process, a real Ctrl-C, and the command that it prints."""
    options = ["toy-sine", "--steps", "1000", "--batch-size", "16", "--device", "cpu"]
    assert run(*options, "--out", tmp_path / "whole") == 0
    out = tmp_path / "stopped"
    process = subprocess.Popen([sys.executable, "-m", "train", *options, "--out", str(out)], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (out / "training" / "samples" / "step-0000010.png").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "python -m train toy-sine" in printed
    assert printed.strip().endswith("--resume")
    assert "Traceback" not in errors
    assert saved_run(out / "training" / "state.safetensors")["train"]["steps"] == 1000
    assert not (out / "config.json").exists()
    assert run("toy-sine", "--out", out, "--device", "cpu", "--resume") == 0
    whole, resumed = tensors_of(tmp_path / "whole"), tensors_of(out)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_a_run_in_python_writes_the_weights_folder_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MOMENTS", 2)
    config = replace(RECIPES["toy-sine"].train, steps=20, batch_size=16)
    run_, data = Run("toy-sine", config=config, device="cpu", out=tmp_path / "python").open()
    run_.go(data)
    assert run("toy-sine", "--steps", 20, "--batch-size", 16, "--device", "cpu", "--out", tmp_path / "command") == 0

    def contents(name: str) -> dict[str, bytes]:
        files = [path for path in (tmp_path / name).rglob("*") if path.is_file() and path.suffix != ".safetensors"]
        return {path.relative_to(tmp_path / name).as_posix(): path.read_bytes() for path in files}

    assert contents("python") == contents("command")
    first, second = tensors_of(tmp_path / "python"), tensors_of(tmp_path / "command")
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_that_is_stopped_and_resumed_ends_at_the_same_weights(tmp_path):
    config = replace(RECIPES["toy-sine"].train, steps=20, batch_size=16)
    run_, data = Run("toy-sine", config=config, device="cpu", out=tmp_path / "whole").open()
    run_.go(data)
    stopped, data = replace(run_, out=tmp_path / "stopped").open()
    with closing(stopped.train(data)) as states:
        assert next(state.step for state in states if state.step == 7)
    assert not (tmp_path / "stopped" / "config.json").exists()
    resumed, data = Run.resumed("toy-sine", tmp_path / "stopped", "cpu").open()
    with closing(resumed.train(data)) as states:
        assert next(states).step == 7
    resumed.go(data)
    whole, again = tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "stopped")
    assert all(torch.equal(whole[key], again[key]) for key in whole)


def test_a_loss_that_is_not_finite_ends_with_one_sentence_and_keeps_the_checkpoint(tmp_path, capsys, monkeypatch):
    batches = count(1)

    def poisoned(self, n, rng):
        poison = n == 8 and next(batches) > 25  # the training's own batches; pictures draw larger ones
        return torch.full((n, 2), torch.nan if poison else 0.5, device=rng.device), None

    monkeypatch.setattr(Sine, "batch", poisoned)
    assert run("toy-sine", "--steps", 40, "--batch-size", 8, "--checkpoint-every", 10, "--out", tmp_path) == 1
    sentence = said(capsys)
    assert sentence.startswith("a loss is no longer finite at step 26 ")
    assert sentence.endswith("the checkpoint of step 20 is kept")
    assert not (tmp_path / "config.json").exists()
    monkeypatch.undo()
    monkeypatch.setattr("ganlib.report.finish", lambda model, *rest: ganlib.save(model, tmp_path))  # no measures
    assert run("toy-sine", "--out", tmp_path, "--resume") == 0


def test_a_fresh_run_forgets_the_one_before(tmp_path, capsys, monkeypatch):
    assert run("toy-sine", "--steps", 5, "--out", tmp_path) == 0
    monkeypatch.setattr(Sine, "batch", lambda self, n, rng: (torch.full((n, 2), torch.nan, device=rng.device), None))
    capsys.readouterr()
    assert run("toy-sine", "--steps", 5, "--out", tmp_path, "--overwrite") == 1
    assert "there is no checkpoint yet" in said(capsys)
    assert run("toy-sine", "--out", tmp_path, "--resume") == 1
    assert "there is no checkpoint" in said(capsys)


def test_resuming_with_another_option_or_other_data_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ganlib.report.finish", lambda model, *rest: ganlib.save(model, tmp_path / "out"))
    for n, name in enumerate(("mine", "other")):
        draw_folder(tmp_path / name, names=("",) * (n + 1))
    (tmp_path / "other" / "one-more.png").write_bytes((tmp_path / "other" / "0.png").read_bytes())
    out, mine = tmp_path / "out", tmp_path / "mine"
    assert run("mlp-gan", "--steps", 2, "--batch-size", 2, "--precision", "float32", "--data", mine, "--out", out) == 0
    for recipe, options, sentence in (
            ("mlp-gan", ["--batch-size", 9], "was begun with --batch-size 2: leave the option out"),
            ("mlp-gan", ["--precision", "bfloat16"], "was begun with --precision float32: leave the option out"),
            ("mlp-gan", ["--data", tmp_path / "other"], "was begun on 3 images of the folder mine, not on 4 images of"),
            ("toy-sine", [], "is a checkpoint of mlp-gan, not of toy-sine")):
        capsys.readouterr()
        assert run(recipe, *options, "--out", out, "--resume") == 1
        assert sentence in said(capsys)


def test_a_checkpoint_of_before_a_field_is_resumed_and_one_with_an_unknown_field_is_refused(tmp_path, capsys):
    def rewrite(change) -> None:
        path = tmp_path / "training" / "state.safetensors"
        with safe_open(path, "pt") as file:
            tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()
        saved = json.loads(metadata["run"])
        change(saved["train"])
        save_file(tensors, path, {**metadata, "run": json.dumps(saved)})

    assert run("toy-sine", "--steps", 5, "--out", tmp_path, "--device", "cpu") == 0
    rewrite(lambda train: [train.pop(field) for field in ("n_critic", "final_penalty")])
    assert run("toy-sine", "--out", tmp_path, "--resume", "--device", "cpu") == 0
    rewrite(lambda train: train.update(warm_up=100))
    capsys.readouterr()
    assert run("toy-sine", "--out", tmp_path, "--resume", "--device", "cpu") == 1
    assert "is a checkpoint of another version of ganlib (a training has no field 'warm_up')" in said(capsys)


REFUSALS = {
    "no steps": (["toy-sine", "--steps", "0"], "steps must be a whole number from 1 to 1000000000, not 0"),
    "bad seed": (["toy-sine", "--seed", "-1"], "seed must be a whole number from 0 to 4294967295"),
    "no such device": (["toy-sine", "--device", "tpu"], "--device must be auto or what this machine has"),
    "device half named": (["toy-sine", "--device", "cpu:"], "--device must be auto or what this machine has"),
    "device too many": (["toy-sine", "--device", "cuda:99"], "--device must be auto or what this machine has"),
    "batch too large": (["toy-sine", "--batch-size", "100000000000000"], "batch_size must be a whole number"),
    "no such data": (["dcgan", "--data", "nowhere"], "no folder 'nowhere'"),
    "points for images": (["mlp-gan", "--data", "ring"], "mlp-gan makes samples like"),
    "images for points": (["toy-ring", "--data", "mnist"], "the data's are of shape (1, 28, 28)"),
    "nothing to resume": (["toy-sine", "--resume"], "there is no checkpoint"),
    "points of a size": (["toy-sine", "--size", "32"], "--size and --channels are for images, and toy-sine makes"),
    "a set of another size": (["dcgan", "--size", "32"], "the samples of mnist are of shape (1, 28, 28): size and"),
    "no size": (["dcgan", "--size", "0"], "--size must be PIXELS or WIDTHxHEIGHT, such"),
    "impossible size": (["dcgan", "--size", "30"], "30 pixels are not a doubling"),
    "no name": (["toy-sine", "--name", "../up"], "a name must be of 1 to 96 letters, digits, dots, dashes and under"),
    "no interval": (["toy-sine", "--checkpoint-every", "0"], "checkpoint_every must be a whole number from 1"),
    "a classifier that is published": (["digit-classifier", "--push", "alice/x"], "leave --push out"),
    "a classifier that is resumed": (["digit-classifier", "--resume"], "leave --resume out"),
    "a classifier of colours": (["digit-classifier", "--data", "cifar10"], "digit-classifier learns digits of shape"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_bad_options_get_one_sentence(what, small_sets, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, sentence = REFUSALS[what]
    assert run(*arguments) == 1
    assert sentence in said(capsys)
    assert list(tmp_path.iterdir()) == []


def test_precision_is_what_the_device_computes_or_what_was_asked_for(capsys, monkeypatch):
    def precision(*options: str) -> bool:
        assert run("mlp-gan", "--dry-run", "--device", "cpu", "--data", "cifar10", *options) == 0
        return json.loads(capsys.readouterr().out)["train"]["bfloat16"]

    for units, there in (({"avx512_bf16": True, "avx2": True}, True), ({"avx2": True, "amx_bf16": False}, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda units=units: units, raising=False)
        assert precision() is there
        assert precision("--precision", "bfloat16") is True
        assert precision("--precision", "float32") is False
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"bf16": True}, raising=False)
    auto = argparse.Namespace(steps=None, batch_size=None, seed=None, precision="auto")
    assert command.configured(RECIPES["toy-ring"].train, auto, "cpu").bfloat16 is False  # by the recipe
    for emulated in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, e=emulated: not e)
        assert command.configured(RECIPES["mlp-gan"].train, auto, "cuda:0").bfloat16 is not emulated


@pytest.mark.filterwarnings("ignore:the run in .* is not measured yet")
def test_evaluating_rewrites_the_measures_and_nothing_else(tmp_path, capsys):
    assert run("toy-sine", "--steps", 5, "--out", tmp_path) == 0
    (tmp_path / "metrics.json").write_text("{}")
    config = json.loads((tmp_path / "config.json").read_text())
    del config["architecture"]["choices"]  # as where that was not thought of yet
    (tmp_path / "config.json").write_text(json.dumps(config))
    with (tmp_path / "README.md").open("a") as card:
        card.write("Mine\n")
    assert evaluate.main([str(tmp_path), "--device", "cpu"]) == 0
    assert "README.md has been edited: only its measures were brought up to date.\n" in capsys.readouterr().out
    assert (tmp_path / "README.md").read_text().endswith("Mine\n")
    assert "mean_distance_from_sine" in json.loads((tmp_path / "metrics.json").read_text())
    assert json.loads((tmp_path / "config.json").read_text()) == config
    capsys.readouterr()
    assert evaluate.main([str(tmp_path / "nowhere")]) == 1
    assert said(capsys, "train.evaluate").startswith("there is no weights folder")


def test_what_a_model_cannot_be_measured_on_is_one_sentence(small_sets, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ganlib.report.finish",
                        lambda model, *rest: mark_as_measured(ganlib.save(model, tmp_path / "model")))
    pictures = draw_folder(tmp_path / "pictures", names=("apples", "pears"))
    assert run("cdcgan", "--data", pictures, "--size", 16, "--steps", 1, "--batch-size", 2, "--device", "cpu",
               "--out", tmp_path / "model") == 0
    for data, sentence in ((draw_folder(tmp_path / "flat"), "the networks take 2 classes, the data have none"),
                           (draw_folder(tmp_path / "three", names=("a", "b", "c")), "2 classes, the data have 3"),
                           (draw_folder(tmp_path / "others", names=("apples", "plums")),
                            "are apples, pears, and those of the data are apples, plums"),
                           ("mnist", "samples of shape (1, 16, 16), the data's are (1, 28, 28)"),
                           ("ring", "samples of shape (1, 16, 16), the data's are (2,)")):
        capsys.readouterr()
        assert evaluate.main([str(tmp_path / "model"), "--data", str(data), "--device", "cpu"]) == 1
        assert sentence in said(capsys, "train.evaluate")


@pytest.mark.slow
def test_a_recipe_that_is_registered_elsewhere_is_trained_by_its_name(tmp_path):
    extension = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "extension")])
    ran = subprocess.run([sys.executable, "-m", "train", "residual", "--dry-run"], cwd=tmp_path, text=True,
                         capture_output=True, env=os.environ | {"PYTHONPATH": extension, "GANLIB_IMPORT": "stripes"})
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["architecture"]["kind"] == "residual"
