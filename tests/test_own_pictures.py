"""A folder of one's own pictures on the command lines: what is said, shown and kept of it."""

import json
from pathlib import Path

import pytest
from PIL import Image

import ganlib
from ganlib import images
from tests.conftest import mark_as_measured
from train import evaluate
from train.__main__ import main
from train.command import parse_size

SHORT = ("--steps", "2", "--batch-size", "2", "--device", "cpu")


def icons(folder: Path, names: tuple[str, ...] = ("",)) -> Path:
    """Three black squares on a transparent ground, in each of the subfolders of these names."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(3):
            image = Image.new("RGBA", (40, 60), (0, 0, 0, 0))
            image.paste((0, 0, 0, 255), (15, 25, 25 + i, 35))
            image.save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(images, "MOMENTS", 1)
    monkeypatch.setattr("ganlib.training.STATISTICS", 32)
    monkeypatch.setattr("ganlib.report.write_report", lambda model, data, folder, *_: mark_as_measured(folder))
    monkeypatch.setattr("ganlib.report.calibrate", lambda *_: None)


def test_a_dry_run_says_what_was_found_and_shows_what_the_networks_see(capsys, tmp_path):
    icons(tmp_path / "icons", ("10", "9", ".thumbnails"))
    (tmp_path / "icons" / "licence.txt").write_text("mine", encoding="ascii")
    options = ("--data", "icons", "--size", "48x64", "--channels", "3", "--name", "my", "--background", "#ffff00")
    assert main(["cdcgan", *options, "--dry-run"]) == 0
    printed = capsys.readouterr()
    shown = json.loads(printed.out)
    assert (shown["data"], shown["architecture"]["shape"]) == ("6 images of the folder icons", [3, 64, 48])
    assert printed.err.strip() == (
        "6 images of the folder icons. All have 40×60 pixels. The networks see 48×64 pixels, in colour, from the "
        "middle of each picture. Smaller than that, and enlarged: 6. 2 classes: 9 3, 10 3. Transparent, and "
        "composited onto #ffff00: 6. Left out: 1 hidden folder, 1 file of another kind (.txt). A sheet of what the "
        f"networks see is in {Path('runs/my/data.png')}.")
    assert [path.name for path in (tmp_path / "runs" / "my").iterdir()] == ["data.png"]
    sheet = images.read(tmp_path / "runs" / "my" / "data.png")
    colours = {colour for _, colour in sheet.getcolors(2**24)}
    assert {(255, 255, 0), (0, 0, 0)} <= colours
    assert main(["cdcgan", *options, "--dry-run", "--augment"]) == 0
    assert images.read(tmp_path / "runs" / "my" / "data.png").size != sheet.size


def test_a_run_says_it_too_and_its_model_remembers_how_the_pictures_were_read(capsys, tmp_path):
    icons(tmp_path / "icons")
    (tmp_path / "icons" / "3.png").write_bytes(b"")
    options = ("--data", "icons", "--size", "16", "--out", "my", *SHORT)
    assert main(["mlp-gan", *options]) == 1
    error = capsys.readouterr().err
    assert "1 of 4 pictures in icons cannot be read: 3.png (it is no picture)" in error
    assert not (tmp_path / "my").exists()
    assert main(["mlp-gan", *options, "--skip-broken", "--background", "black"]) == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("Training mlp-gan on 3 images of the folder icons, on cpu. All have 40×60 pixels.")
    assert "Left out: 1 that cannot be read." in first
    assert first.endswith(f"A sheet of what the networks see is in {Path('my/data.png')}.")
    recipe = ganlib.load("my", "cpu").config["recipe"]
    assert (recipe["images"], recipe["reading"]) == (
        3, {"background": "black", "skip_broken": True, "classes": False})
    assert main(["mlp-gan", "--out", "my", "--resume", "--steps", "3", "--device", "cpu"]) == 0
    assert ganlib.load("my", "cpu").config["recipe"]["reading"] == recipe["reading"]
    capsys.readouterr()
    for option, sentence in ((("--background", "white"), "was begun with --background black: leave the option out"),
                             (("--size", "32"), "was begun with --size 16x16: leave the option out")):
        assert main(["mlp-gan", "--out", "my", "--resume", "--device", "cpu", *option]) == 1
        assert sentence in capsys.readouterr().err


def test_a_model_is_measured_on_pictures_that_are_read_as_they_were_learnt(capsys, tmp_path, monkeypatch):
    icons(tmp_path / "icons", ("1", "2", "10"))
    assert main(["cdcgan", "--data", "icons", "--size", "16", "--background", "black", "--out", "my", *SHORT]) == 0
    folder, measured = tmp_path / "my", []
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["class_names"] == ["1", "2", "10"]
    config["class_names"] = ["1", "10", "2"]  # as an earlier version sorted them
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setattr(evaluate, "write_report", lambda model, data, *_: measured.append(data))
    assert evaluate.main(["my", "--data", "icons", "--device", "cpu"]) == 0
    (data,) = measured
    assert (data.class_names, data.labels.tolist()) == (("1", "10", "2"), [0, 0, 0, 2, 2, 2, 1, 1, 1])
    assert data.images.max() == 0


def test_a_folder_that_is_called_like_a_dataset_is_pointed_out(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GANLIB_DATA", str(tmp_path / "nothing"))
    icons(tmp_path / "kmnist")
    assert main(["dcgan", "--data", "kmnist", "--dry-run"]) == 0
    printed = capsys.readouterr()
    assert "kmnist is the dataset. To take the folder of that name, write ./kmnist." in printed.err.replace("\\", "/")
    assert json.loads(printed.out)["data"] == "kmnist, to be downloaded"
    assert main(["dcgan", "--data", "./kmnist", "--size", "16", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == "3 images of the folder kmnist"
    assert evaluate.main(["nowhere", "--data", "kmnist"]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("kmnist is the dataset.")
    assert printed.out == ""


def test_a_size_is_width_by_height():
    assert parse_size("32") == (32, 32)
    for text in ("48x64", "48X64", "48×64"):
        assert parse_size(text) == (64, 48)


@pytest.mark.parametrize("text", ["", "x", "0", "-3", "48x", "x64", "1x2x3", "48*64", "9999999"])
def test_a_wrong_size_gets_one_sentence(text, capsys):
    assert main(["dcgan", f"--size={text}", "--dry-run"]) == 1
    assert capsys.readouterr().err.startswith("train: --size must be ")
