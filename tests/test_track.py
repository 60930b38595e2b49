"""Tracked runs: what trackio's store and TensorBoard's event files hold afterwards, and what happens when they fail."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ganlib
from ganlib import hub, images
from ganlib.data import Gaussian
from tests.fake_hub import FakeHub
from train import track
from train.__main__ import main
from train.run import Run

ROOT = Path(__file__).parents[1]
TOY = ["toy-gaussian", "--device", "cpu", "--batch-size", "16"]


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def no_trackio(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)


def elsewhere(script: str, store: Path, **environment: str) -> str:
    """What another process prints that runs the script with trackio's store in that folder, and may use no network."""
    refusing = """
import socket
def refuse(*arguments, **options):
    print("NETWORK", arguments)
    raise OSError("there is no network")
socket.socket.connect = socket.getaddrinfo = refuse
"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRACKIO_"))}
    ran = subprocess.run([sys.executable, "-c", refusing + script], text=True, stdout=subprocess.PIPE, cwd=ROOT,
                         stderr=subprocess.STDOUT, timeout=300, env=clean | {
                             "TRACKIO_DIR": str(store), "HF_HOME": str(store / "hf")} | environment)
    assert ran.returncode == 0, ran.stdout
    assert "Traceback" not in ran.stdout
    assert "NETWORK" not in ran.stdout
    assert "hf_secret" not in ran.stdout
    return ran.stdout


READ = """
import json
import trackio
from trackio.sqlite_storage import SQLiteStorage
print("FOUND", json.dumps([{"name": run.name, "config": run.config,
                            "rows": SQLiteStorage.get_logs(run.project, run.name, run_id=run.id)}
                           for run in trackio.Api().runs("toy-gaussian")]))
"""


def found(printed: str) -> list[dict]:
    """What READ found in the store: a dict for each run."""
    return json.loads(re.search(r"^FOUND (.*)$", printed, re.MULTILINE)[1])


def events(folder: Path) -> EventAccumulator:
    """What TensorBoard reads of the one run in a folder."""
    (only,) = folder.iterdir()
    return EventAccumulator(str(only), size_guidance={"scalars": 0, "images": 0}).Reload()


def test_trackio_holds_the_rows_the_pictures_and_the_configuration(tmp_path):
    out, store = tmp_path / "mine", tmp_path / "store"
    printed = elsewhere(f"""
from train.__main__ import main
assert main([*{TOY}, "--steps", "20", "--out", {str(out)!r}, "--track"]) == 0
""" + READ, store, HF_TOKEN="hf_secret")
    (one,) = found(printed)
    assert re.fullmatch(r"mine-\d{8}-\d{6}", one["name"])
    assert f"Tracked as {one['name']}: trackio show --project toy-gaussian\n" in printed
    assert "* " not in printed  # what trackio itself would say
    config = one["config"]
    assert (config["train"]["steps"], config["train"]["batch_size"], config["device"]) == (20, 16, "cpu")
    assert config["architecture"]["generator_widths"] == [32, 32]
    assert config["library_version"] == ganlib.__version__
    assert str(tmp_path) not in json.dumps(config)
    rows = [row for row in one["rows"] if "samples" not in row]
    assert [{key: row[key] for key in ("step", "discriminator_loss", "generator_loss")} for row in rows] == json.loads(
        (out / "history.json").read_text())
    assert all(row["points_per_second"] > 0 for row in rows)
    pictures = {row["step"]: store / "media" / row["samples"]["file_path"] for row in one["rows"] if "samples" in row}
    kept = {int(path.stem.removeprefix("step-")): path for path in (out / "training" / "samples").iterdir()}
    assert {step: path.read_bytes() for step, path in pictures.items()} == {
        step: path.read_bytes() for step, path in kept.items()}


def test_a_resumed_run_goes_on_in_trackio_under_its_name(tmp_path):
    """Killed at step 12, it goes on from the checkpoint of step 10."""
    printed = elsewhere(f"""
from itertools import count
from ganlib.data import Gaussian
from train.__main__ import main
batch, batches = Gaussian.batch, count(1)
def dying(self, n, rng):
    if next(batches) > 12:
        raise KeyboardInterrupt
    return batch(self, n, rng)
Gaussian.batch = dying
options = ["toy-gaussian", "--device", "cpu", "--out", {str(tmp_path / "mine")!r}, "--track"]
assert main([*options, "--batch-size", "16", "--steps", "20", "--checkpoint-every", "5"]) == 130
Gaussian.batch = batch
assert main([*options, "--resume"]) == 0
""" + READ, tmp_path / "store")
    (one,) = found(printed)
    assert printed.count(f"Tracked as {one['name']}") == 2
    steps = [row["step"] for row in one["rows"] if "samples" not in row]
    assert sorted(steps) == sorted([*range(1, 21), 11, 12])


def test_tensorboard_holds_the_same_where_trackio_is_not_installed(no_trackio, tmp_path, capsys, monkeypatch):
    (tmp_path / "faces").mkdir()
    for i in range(3):
        Image.new("L", (28, 28), 40 * i).save(tmp_path / "faces" / f"{i}.png")
    measured = {"fid_digit_classifier": 0.5, "precision": 0.25, "recall": 0.75}
    monkeypatch.setattr("train.run.LONG", 2)  # as a long run, which is measured on the way
    monkeypatch.setattr(images, "MOMENTS", 4)
    monkeypatch.setattr(Run, "_measurer", lambda self, data: lambda model: measured)
    out = tmp_path / "mine"
    assert run("mlp-gan", "--steps", 20, "--batch-size", 2, "--device", "cpu", "--data", tmp_path / "faces",
               "--out", out, "--track") == 0
    folder = out / "training" / "tensorboard"
    assert re.search(rf"^Tracked as mine-\d{{8}}-\d{{6}}: tensorboard --logdir {folder}$", capsys.readouterr().out,
                     re.MULTILINE)
    read = events(folder)
    history = ganlib.load(out).history
    names = {"discriminator_loss", "generator_loss", *measured}
    assert set(read.Tags()["scalars"]) == names | {"images_per_second"}
    for name in names:
        seen = [(event.step, event.value) for event in read.Scalars(name)]
        assert seen == [(row["step"], pytest.approx(row[name], rel=1e-6)) for row in history if name in row]
    assert [event.step for event in read.Scalars("images_per_second")] == [*range(1, 21)]
    assert [event.step for event in read.Images("samples")] == [0, 1, 5, 11, 20]
    assert '"generator_widths"' in read.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()


def test_a_resumed_run_goes_on_in_tensorboard_where_its_checkpoint_was(no_trackio, tmp_path, monkeypatch):
    batch, left = Gaussian.batch, iter(range(12))

    def dying(self, n, rng):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return batch(self, n, rng)

    monkeypatch.setattr(Gaussian, "batch", dying)
    options = ["--out", tmp_path / "mine", "--track"]
    assert run(*TOY, "--steps", 20, "--checkpoint-every", 5, *options) == 130
    folder = tmp_path / "mine" / "training" / "tensorboard"
    assert [event.step for event in events(folder).Scalars("generator_loss")] == [*range(1, 13)]
    monkeypatch.setattr(Gaussian, "batch", batch)
    assert run("toy-gaussian", "--device", "cpu", *options, "--resume") == 0
    losses = events(folder).Scalars("generator_loss")
    assert [event.step for event in losses] == [*range(1, 21)]
    assert [event.value for event in losses] == pytest.approx(
        [row["generator_loss"] for row in ganlib.load(tmp_path / "mine").history], rel=1e-6)


def test_an_untracked_run_leaves_no_trace_of_tracking(tmp_path, capsys):
    assert run(*TOY, "--steps", 2, "--out", tmp_path / "mine") == 0
    assert "Tracked" not in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "mine" / "training").iterdir()} == {"samples", "growth",
                                                                                  "state.safetensors"}


def test_a_training_needs_none_of_the_extras_and_no_network(tmp_path):
    elsewhere(f"""
import sys
sys.modules.update(dict.fromkeys(["trackio", "tensorboard", "onnx", "onnxscript", "onnxruntime", "gradio"]))
from train.__main__ import main
assert main([*{TOY}, "--steps", "3", "--out", {str(tmp_path / "mine")!r}]) == 0
""", tmp_path / "store")
    assert len(ganlib.load(tmp_path / "mine").history) == 3


@pytest.mark.parametrize("tell", ["log", "picture", "finish"])
def test_a_tracker_that_fails_is_said_once_and_the_training_ends_well(no_trackio, tell, tmp_path, monkeypatch, capsys):
    def broken(*arguments):
        raise OSError("the disk is full\nand more of that")

    monkeypatch.setattr(track.TensorBoard, tell, broken)
    assert run(*TOY, "--steps", 5, "--out", tmp_path / "mine", "--track") == 0
    assert capsys.readouterr().err.count("train: the run is tracked no longer (the disk is full)\n") == 1
    assert len(ganlib.load(tmp_path / "mine").history) == 5


def test_a_store_that_cannot_be_written_does_not_stop_a_training(tmp_path):
    """trackio swallows that and warns from a thread."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "toy-gaussian.db").mkdir()
    printed = elsewhere(f"""
from train.__main__ import main
assert main([*{TOY}, "--steps", "5", "--out", {str(tmp_path / "mine")!r}, "--track"]) == 0
""", tmp_path / "store")
    assert len(re.findall(r"^train: trackio.* unable to open database file", printed, re.MULTILINE)) in (2, 3)
    assert "UserWarning" not in printed
    assert len(ganlib.load(tmp_path / "mine").history) == 5


def test_one_warning_of_trackio_is_said_and_others_warnings_are_left_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(track, "BACKENDS", (track.TensorBoard,))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        shown = warnings.showwarning
        with track.Tracker(track.LOCAL, track.Tracked("toy", "mine", {}, tmp_path)):
            for message in ("* the Space does not answer.\nAt all", "the Space still does not answer"):
                warnings.warn_explicit(message, UserWarning, "/somewhere/trackio/utils.py", 1)
            warnings.warn_explicit("deprecated", FutureWarning, "/somewhere/else.py", 1)
        assert warnings.showwarning is shown
    assert capsys.readouterr().err == "train: the Space does not answer\n"
    assert [str(warning.message) for warning in caught] == ["deprecated"]


class Recorded:
    """A module of trackio's name that notes what it is told."""

    def __init__(self, monkeypatch, url: str | None):
        self.told, self.offline = [], None
        module = types.ModuleType("trackio")
        module.__spec__ = ModuleSpec("trackio", None)
        module.init, module.finish = self.init, lambda: self.told.append("finish")
        self.url = url
        monkeypatch.setitem(sys.modules, "trackio", module)

    def init(self, **options):
        from huggingface_hub import constants

        print("* trackio's chatter")
        self.options, self.offline = options, constants.HF_HUB_OFFLINE
        return self

    def log(self, row: dict, step: int) -> None:
        self.told.append((row, step))


def test_a_space_is_tracked_to_by_trackio(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(hub, "check_access", lambda *what: asked.append(what))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    trackio = Recorded(monkeypatch, "alice/curves")
    track.check("alice/curves")
    assert asked == [("alice/curves", "space")]
    about = track.Tracked("dcgan", "mine", {"train": {"steps": 3}}, tmp_path, space="alice/curves")
    with track.Tracker("alice/curves", about) as tracker:
        tracker.log({"step": 1, "generator_loss": 0.5}, 1)
    assert trackio.told == [({"generator_loss": 0.5}, 1), "finish"]
    assert {key: trackio.options[key] for key in ("project", "name", "space_id", "resume", "config")} == {
        "project": "dcgan", "name": "mine", "space_id": "alice/curves", "resume": "never",
        "config": {"train": {"steps": 3}}}
    assert trackio.offline is False
    assert capsys.readouterr().out == "Tracked as mine: https://huggingface.co/spaces/alice/curves\n"


def test_on_this_machine_trackio_is_kept_from_the_hub(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    trackio = Recorded(monkeypatch, None)
    track.check(track.LOCAL)
    with track.Tracker(track.LOCAL, track.Tracked("dcgan", "mine", {}, tmp_path, step=7)):
        assert not constants.HF_HUB_OFFLINE
    assert trackio.offline is True
    assert trackio.options["resume"] == "allow"
    with pytest.raises(KeyError), hub.offline():
        raise KeyError
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.parametrize(("hidden", "where", "sentence"), [
    (["trackio", "tensorboard"], [], "--track needs trackio or tensorboard, and there is none: "
                                     'pip install -e ".[track]"'),
    (["trackio"], ["alice/curves"], '--track to a Space needs trackio, and there is none: pip install -e ".[track]"'),
    ([], ["curves"], "a repo on the Hub is named user/name, not 'curves'"),
])
def test_what_is_missing_is_said_before_anything_begins(hidden, where, sentence, tmp_path, monkeypatch, capsys):
    for name in hidden:
        monkeypatch.setitem(sys.modules, name, None)
    assert run(*TOY, "--steps", 5, "--out", tmp_path / "mine", "--track", *where) == 1
    said = capsys.readouterr()
    assert said.err == f"train: {sentence}\n"
    assert said.out == ""
    assert not (tmp_path / "mine").exists()


def test_without_a_token_no_run_is_tracked_to_a_space(tmp_path):
    printed = elsewhere(f"""
from train.__main__ import main
assert main([*{TOY}, "--out", {str(tmp_path / "mine")!r}, "--track", "alice/curves"]) == 1
""", tmp_path / "store")
    assert printed.startswith("train: alice/curves cannot be written to: there is no token, log in by ")
    assert printed.count("\n") == 1


def test_trackio_makes_a_space_and_the_run_is_shown_there(tmp_path):
    """The Hub is ours; once trackio has put a Space there, its files run on this machine, as a Space runs them."""
    with FakeHub() as hub, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        script = f"""
import time, urllib.request
import trackio.remote_client
trackio.remote_client._space_id_to_url = lambda space: "http://127.0.0.1:{port}/"
from ganlib.data import Gaussian
from train.__main__ import main
batch = Gaussian.batch
def patient(self, n, rng):
    Gaussian.batch = batch
    for _ in range(1000):
        try:
            urllib.request.urlopen("http://127.0.0.1:{port}/version", timeout=10)
            break
        except OSError:
            time.sleep(0.1)
    return batch(self, n, rng)
Gaussian.batch = patient
raise SystemExit(main([*{TOY}, "--steps", "20", "--out", {str(tmp_path / "mine")!r}, "--track", "alice/curves"]))
"""
        said = tmp_path / "said"
        with said.open("w") as output:
            trainer = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=output, stderr=output, env={
                **hub.environment(tmp_path / "hf", token="hf_alice"), "TRACKIO_DIR": str(tmp_path / "store")})
        try:
            variables = hub.variables.setdefault("alice/curves", {})
            deadline = time.monotonic() + 120
            while "GRADIO_MCP_SERVER" not in variables:  # which trackio sets last
                assert trainer.poll() is None, said.read_text()
                assert time.monotonic() < deadline, said.read_text()
                time.sleep(0.1)
            listener.close()
            with a_space(hub, "alice/curves", tmp_path / "space", port):
                assert trainer.wait(300) == 0, said.read_text()
        finally:
            trainer.kill()
            trainer.wait()
        assert hub.secrets == {"alice/curves": {"HF_TOKEN": "hf_alice"}}
        assert hub.volumes["alice/curves"][0]["source"] in hub.buckets
    printed = said.read_text()
    assert "https://huggingface.co/spaces/alice/curves\n" in printed
    assert "hf_alice" not in printed
    (one,) = found(elsewhere(READ, tmp_path / "space" / "data"))
    assert f"Tracked as {one['name']}: " in printed
    rows = [row for row in one["rows"] if "samples" not in row]
    assert [row["step"] for row in rows] == list(range(1, 21))
    pictures = [tmp_path / "space" / "data" / "media" / row["samples"]["file_path"]
                for row in one["rows"] if "samples" in row]
    assert pictures
    assert all(images.read(path).size > (1, 1) for path in pictures)


@contextmanager
def a_space(hub: FakeHub, name: str, folder: Path, port: int) -> Iterator[None]:
    """A Space of the hub's at that port: its files, variables and secrets; its volume is a folder."""
    folder.mkdir()
    for path, content in hub.files(name, repo_type="space").items():
        (folder / path).write_bytes(content)
    environment = hub.environment(folder / "hf") | hub.variables[name] | hub.secrets[name] | {
        "SYSTEM": "spaces", "SPACE_ID": name, "GRADIO_SERVER_PORT": str(port), "TRACKIO_DIR": str(folder / "data")}
    with (folder / "log").open("w") as log:
        page = subprocess.Popen([sys.executable, "app.py"], cwd=folder, env=environment, stdout=log,
                                stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        page.terminate()
        page.wait(30)


def test_a_tracker_that_cannot_start_stops_the_run_before_it_clears_anything(no_trackio, tmp_path, monkeypatch, capsys):
    out = tmp_path / "mine"
    assert run(*TOY, "--steps", 2, "--out", out) == 0
    before = sorted((out / "training").rglob("*"))

    def broken(self, about):
        raise RuntimeError("the Space is frozen\nand more of that")

    monkeypatch.setattr(track.TensorBoard, "__init__", broken)
    capsys.readouterr()
    assert run(*TOY, "--steps", 2, "--out", out, "--track") == 1
    assert capsys.readouterr().err == ("train: tensorboard could not start, leave --track out to train without it "
                                       "(the Space is frozen)\n")
    assert sorted((out / "training").rglob("*")) == before


def test_the_digit_classifier_is_not_tracked(capsys):
    assert run("digit-classifier", "--track") == 1
    assert "digit-classifier is trained in minutes and is not tracked: leave --track out" in capsys.readouterr().err


def test_the_pace_leaves_out_pauses(monkeypatch):
    clock = iter([0.0, 1.0, 4.0, 6.0, 7.0, 8.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    pace = track.Pace(100, 10)
    with pace.paused():  # from 1 to 4
        pass
    assert pace.at(106) == 60 / 3  # at 6
    assert pace.at(107) == 10
    assert pace.at(109) == 20
