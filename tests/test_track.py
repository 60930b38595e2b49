"""Tracked runs: what trackio's store holds afterwards, and what happens when trackio fails."""

import functools
import json
import os
import re
import subprocess
import sys
import types
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

import ganlib
from ganlib import hub, images, report
from ganlib.evaluation import calibrate
from ganlib.toys import Points
from train import track
from train.__main__ import main

ROOT = Path(__file__).parents[1]
TOY = ["toy-sine", "--device", "cpu", "--batch-size", "16"]


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch):
    monkeypatch.setattr(images, "MOMENTS", 2)
    monkeypatch.setattr("ganlib.training.STATISTICS", 32)
    monkeypatch.setattr(Points, "samples", 200)
    monkeypatch.setattr(report, "calibrate", functools.partial(calibrate, samples=64))


class Recorded:
    """A module of trackio's name that notes what it is told, and fails where it is told to."""

    def __init__(self, monkeypatch, failing: str = ""):
        self.told, self.failing = [], failing
        module = types.ModuleType("trackio")
        module.__spec__ = ModuleSpec("trackio", None)
        module.init, module.finish, module.Image = self.init, lambda: self.note("finish"), self.image
        monkeypatch.setitem(sys.modules, "trackio", module)

    def note(self, what: str, *details) -> None:
        if what == self.failing:
            raise OSError("the disk is full\nand more of that")
        self.told.append((what, *details))

    def init(self, **options):
        from huggingface_hub import constants

        self.note("init")
        self.options, self.offline = options, constants.HF_HUB_OFFLINE
        return self

    def image(self, path: Path) -> str:
        self.note("image", path)
        return "a picture"

    def log(self, row: dict, step: int) -> None:
        self.note("log", row, step)


@pytest.mark.slow
def test_trackio_holds_rows_pictures_and_configuration_of_a_run_that_was_stopped_and_resumed(tmp_path):
    """A real trackio, in a process that may use no network: stopped at step 12, it goes on from that of step 10."""
    out, store = tmp_path / "mine", tmp_path / "store"
    script = f"""
import json, socket
def refuse(*arguments, **options):
    raise AssertionError("there is no network")
socket.socket.connect = socket.getaddrinfo = refuse
from itertools import count
from ganlib import images
from ganlib.toys import Sine
from train.__main__ import main
images.MOMENTS = 2
batch, batches = Sine.batch, count(1)
def dying(self, n, rng):
    if n == 16 and next(batches) > 12:
        raise KeyboardInterrupt
    return batch(self, n, rng)
Sine.batch = dying
options = ["toy-sine", "--device", "cpu", "--out", {str(out)!r}, "--track"]
assert main([*options, "--batch-size", "16", "--steps", "20", "--checkpoint-every", "5"]) == 130
Sine.batch = batch
assert main([*options, "--resume"]) == 0
import trackio
from trackio.sqlite_storage import SQLiteStorage
print("FOUND", json.dumps([{{"name": run.name, "config": run.config,
                            "rows": SQLiteStorage.get_logs(run.project, run.name, run_id=run.id)}}
                           for run in trackio.Api().runs("toy-sine")]))
"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRACKIO_"))}
    ran = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, cwd=ROOT, timeout=300, env={
        **clean, "TRACKIO_DIR": str(store), "HF_HOME": str(store / "hf"), "HF_TOKEN": "hf_secret"})
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "hf_secret" not in ran.stdout + ran.stderr
    (one,) = json.loads(re.search(r"^FOUND (.*)$", ran.stdout, re.MULTILINE)[1])
    assert re.fullmatch(r"mine-\d{8}-\d{6}", one["name"])
    assert (one["config"]["train"]["steps"], one["config"]["device"]) == (20, "cpu")
    assert one["config"]["library_version"] == ganlib.__version__
    assert str(tmp_path) not in json.dumps(one["config"])
    rows = [row for row in one["rows"] if "samples" not in row]
    assert sorted(row["step"] for row in rows) == sorted([*range(1, 21), 11, 12])
    history = {row["step"]: row for row in json.loads((out / "history.json").read_text())}
    assert all(row["generator_loss"] == history[row["step"]]["generator_loss"] for row in rows)
    assert all(row["points_per_second"] >= 0 for row in rows)
    pictures = {row["step"]: store / "media" / row["samples"]["file_path"] for row in one["rows"] if "samples" in row}
    kept = {int(path.stem.removeprefix("step-")): path for path in (out / "training" / "samples").iterdir()}
    assert {step: path.read_bytes() for step, path in pictures.items()} == {
        step: path.read_bytes() for step, path in kept.items()}


def test_an_untracked_run_needs_no_trackio_and_leaves_no_trace_of_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    assert run(*TOY, "--steps", 2, "--out", tmp_path / "mine") == 0
    assert {path.name for path in (tmp_path / "mine" / "training").iterdir()} == {"samples", "growth", "lock",
                                                                                  "state.safetensors"}


@pytest.mark.parametrize("failing", ["log", "image", "finish"])
def test_a_tracker_that_fails_is_said_once_and_the_training_ends_well(failing, tmp_path, monkeypatch, capsys):
    Recorded(monkeypatch, failing)
    assert run(*TOY, "--steps", 3, "--out", tmp_path / "mine", "--track") == 0
    assert capsys.readouterr().err.count("(the disk is full)\n") == 1
    assert len(ganlib.load(tmp_path / "mine").history) == 3


def test_a_tracker_that_cannot_start_stops_the_run_before_it_clears_anything(tmp_path, monkeypatch, capsys):
    out = tmp_path / "mine"
    assert run(*TOY, "--steps", 2, "--out", out) == 0
    before = sorted((out / "training").rglob("*"))
    Recorded(monkeypatch, "init")
    capsys.readouterr()
    assert run(*TOY, "--steps", 2, "--out", out, "--overwrite", "--track") == 1
    assert "--track" in (error := capsys.readouterr().err)
    assert error.endswith("(the disk is full)\n")
    assert sorted((out / "training").rglob("*")) == before


@pytest.mark.parametrize(("where", "space", "offline"), [("local", None, True), ("alice/x", "alice/x", False)])
def test_only_a_run_on_a_space_reaches_the_hub_and_the_process_stays_as_it_was(where, space, offline, monkeypatch):
    from huggingface_hub import constants

    asked = []
    monkeypatch.setattr(hub, "check_access", lambda *what: asked.append(what))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    trackio, shown, output = Recorded(monkeypatch), warnings.showwarning, sys.stdout
    track.check(where)
    assert asked == ([] if space is None else [(space, "space")])
    with track.Tracker(where, "dcgan", "mine", {"train": {"steps": 3}}, resumed=False) as tracker:
        assert (warnings.showwarning, sys.stdout, constants.HF_HUB_OFFLINE) == (shown, output, False)
        tracker.log({"step": 1, "generator_loss": 0.5}, 1)
    assert trackio.told == [("init",), ("log", {"generator_loss": 0.5}, 1), ("finish",)]
    assert trackio.offline is offline
    assert {key: trackio.options[key] for key in ("project", "name", "space_id", "resume", "config")} == {
        "project": "dcgan", "name": "mine", "space_id": space, "resume": "never", "config": {"train": {"steps": 3}}}


@pytest.mark.parametrize(("hidden", "where", "sentence"), [
    (True, [], '--track needs trackio: pip install -e ".[track]"'),
    (False, ["curves"], "a Space on the Hub is named user/space, not 'curves'"),
])
def test_what_is_missing_is_said_before_anything_begins(hidden, where, sentence, tmp_path, monkeypatch, capsys):
    if hidden:
        monkeypatch.setitem(sys.modules, "trackio", None)
    assert run(*TOY, "--steps", 5, "--out", tmp_path / "mine", "--track", *where) == 1
    assert capsys.readouterr().err == f"train: {sentence}\n"
    assert not (tmp_path / "mine").exists()
