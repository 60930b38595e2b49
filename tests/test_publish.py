import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import ganlib
from ganlib import checkpoint, hub
from ganlib.card import is_our_card
from tests.conftest import untrained
from tests.fake_hub import FakeHub
from tests.test_hub import load_elsewhere
from train import evaluate, publish

ROOT = Path(__file__).parents[1]
SCRIPT = """
import sys
from train import publish
for line in sys.stdin:
    print("exit", publish.main(line.split()), flush=True)
"""


def publish_elsewhere(environment: dict, *lines: str) -> str:
    """What another process with that environment prints on both streams for several calls of train.publish."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, input="\n".join(lines), text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout
    assert "Traceback" not in ran.stdout
    assert not re.search("hf_(alice|wrong)", ran.stdout)  # no token is ever shown
    return ran.stdout


def measure(folder: Path) -> None:
    """Write measures of the networks in a folder."""
    metrics = {"data": "gaussian", "samples": 3, "wasserstein_1": 0.0123, "wasserstein_1_of_real": 0.006}
    (folder / "metrics.json").write_text(json.dumps(metrics | checkpoint.hashes(folder)))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A small weights folder whose measures are of its weights, with a picture, and with files that do not belong."""
    model = untrained("toy-gaussian")
    model.config["recipe"] = {"data": "gaussian", "train": {"steps": 3}}
    path = ganlib.save(model, tmp_path / "toy")
    measure(path)
    (path / "samples.png").write_bytes(b"png")
    (path / ".env").write_text("secret")
    (path / "notes.txt").write_text("mine")
    (path / "training").mkdir()
    (path / "training" / "state.safetensors").write_bytes(b"0" * 100)
    return path


def test_only_what_belongs_is_sent_and_a_card_of_ours_names_the_repo(folder):
    publication = hub.prepare(folder, "alice/toy")
    assert set(publication.files) == {"config.json", "model.safetensors", "discriminator.safetensors", "metrics.json",
                                      "history.json", "samples.png", "README.md"}
    card = publication.files["README.md"].decode()
    assert 'ganlib.load("alice/toy")' in card
    assert is_our_card(card)
    front = yaml.safe_load(card.split("---\n")[1])
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"] == {"type": "gaussian", "name": "gaussian"}
    assert result["metrics"] == [{"type": "wasserstein_1", "name": "Wasserstein-1 distance", "value": 0.0123}]
    assert publication.sizes()["samples.png"] == 3


def other_networks(folder: Path, network: str) -> None:
    """Replace one of a folder's networks, and leave its measures."""
    model, metrics = ganlib.load(folder, "cpu"), (folder / "metrics.json").read_bytes()
    next(getattr(model, network).parameters()).add_(0.5)
    ganlib.save(model, folder)
    (folder / "metrics.json").write_bytes(metrics)


@pytest.mark.parametrize(("spoil", "sentence"), [
    (lambda f: (f / "config.json").unlink(), "config.json cannot be read"),
    (lambda f: (f / "metrics.json").write_text("{}"), "has not been measured: measure it first by"),
    (lambda f: (f / "metrics.json").write_text('{"samples": 3}'), "metrics.json is of other weights"),
    (lambda f: ganlib.save(untrained("toy-sine"), f), "has not been measured"),
    (lambda f: other_networks(f, "generator"), "metrics.json is of other weights"),
    (lambda f: other_networks(f, "discriminator"), "metrics.json is of other weights"),
    (lambda f: (f / "samples.png").write_text("version https://git-lfs.github.com/spec/v1\n"), "is a Git LFS pointer"),
    (lambda f: (f / "nearest.png").symlink_to(Path(__file__)), "nearest.png is a link that leads out of the folder"),
])
def test_a_folder_that_is_not_whole_is_not_published(folder, spoil, sentence, capsys):
    spoil(folder)
    assert publish.main([str(folder), "--repo", "alice/toy"]) == 1
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_a_model_without_a_discriminator_is_published(folder, monkeypatch):
    model = ganlib.load(folder, "cpu")
    monkeypatch.setattr(type(model.architecture), "discriminator", lambda self: None)
    model.discriminator = None
    measure(ganlib.save(model, folder))
    assert set(hub.prepare(folder, "alice/toy").files) == {"config.json", "model.safetensors", "metrics.json",
                                                           "history.json", "samples.png", "README.md"}


def test_a_config_without_a_name_or_a_recipe_has_a_card_too(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({key: config[key] for key in config if key not in ("name",
                                                                                                      "recipe")}))
    assert "# toy\n" in hub.prepare(folder, "alice/toy").files["README.md"].decode()


def test_a_folder_is_published_even_by_a_shipped_models_name(folder, monkeypatch, capsys):
    folder.rename(folder.with_name("dcgan"))
    monkeypatch.chdir(folder.parent)
    for path in (Path("dcgan"), "dcgan"):
        files = hub.prepare(path, "alice/toy").files
        assert files["model.safetensors"].resolve().parent == folder.with_name("dcgan")
    assert "growth.png" in hub.prepare("mlp-gan", "alice/toy").files  # the shipped one
    assert evaluate.main(["--compare", "dcgan"]) == 0
    assert "Wasserstein-1" in capsys.readouterr().out


@pytest.mark.parametrize("repo", ["toy", "alice/toy@main", "alice/toy/sub", "https://hf.co/alice/toy", "../toy"])
def test_a_repo_is_named_by_user_and_name(folder, repo, capsys):
    assert publish.main([str(folder), "--repo", repo, "--dry-run"]) == 1
    assert "a repo on the Hub is named user/name, not" in capsys.readouterr().err


@pytest.mark.parametrize("revision", ["v1+a", "a..b", ""])
def test_a_branch_is_named_as_it_can_be_loaded(folder, revision, capsys):
    assert publish.main([str(folder), "--repo", "alice/toy", "--revision", revision, "--dry-run"]) == 1
    assert "a branch is named by letters, digits, dots, dashes, slashes and under" in capsys.readouterr().err


def test_a_dry_run_lists_and_sends_nothing(folder, capsys):
    assert publish.main([str(folder), "--repo", "alice/toy", "--dry-run"]) == 0  # with no Hub anywhere
    shown = capsys.readouterr().out
    assert "model.safetensors" in shown
    assert "7 files, " in shown
    assert "MB, for alice/toy" in shown


def test_published_weights_open_by_name_elsewhere(folder, tmp_path):
    expected = ganlib.load(folder, "cpu").sample(range(3)).tolist()
    edited = tmp_path / "edited"
    edited.mkdir()
    for path in checkpoint.files(folder):
        (edited / path.name).write_bytes(path.read_bytes())
    (edited / "README.md").write_text("# My own words")
    with FakeHub() as server:
        server.put("alice/old", {"growth.png": b"an older model's", "data.csv": b"somebody's",
                                 "README.md": b"Mine, in Latin-1: \xe9"})
        server.put("alice/edited", {"README.md": b"An earlier edition of my own words"})
        server.put("alice/open", {"notes.txt": b""})
        shown = publish_elsewhere(server.environment(tmp_path / "home", "hf_alice"),
                                  f"{folder} --repo alice/toy --private", f"{folder} --repo alice/old --message Better",
                                  f"{folder} --repo alice/toy --revision trial", f"{edited} --repo alice/edited",
                                  f"{folder} --repo alice/open --private")
        assert shown.count("exit 0") == 4
        assert f"Published: {server.endpoint}/alice/toy/commit/" in shown
        assert "ganlib.load('alice/toy@trial') opens it." in shown
        assert "alice/open is there already, and public" in shown
        assert shown.count("The README.md there has been edited by somebody and is kept") == 1
        assert set(server.files("alice/open")) == {"notes.txt"}
        there = server.files("alice/toy")
        assert set(there) - {".gitattributes"} == set(hub.prepare(folder, "alice/toy").files)
        assert there["model.safetensors"] == (folder / "model.safetensors").read_bytes()
        old = server.files("alice/old")
        assert old["README.md"] == b"Mine, in Latin-1: \xe9"  # a person wrote it
        assert old["data.csv"] == b"somebody's"
        assert "growth.png" not in old
        assert server.commits("alice/old")[0].message == "Better"
        assert len(server.commits("alice/old")) == 2
        assert server.files("alice/edited")["README.md"] == b"# My own words"  # and edited the one there before
        seen = load_elsewhere(server.environment(tmp_path / "elsewhere"), ("alice/toy", "hf_alice"), "alice/toy",
                              "alice/edited")
        assert seen["alice/toy", "hf_alice"]["x"] == seen["alice/edited"]["x"] == expected
        assert "private" in seen["alice/toy"]["error"]


def test_what_goes_wrong_is_one_sentence_and_publishes_nothing(folder, tmp_path):
    with FakeHub() as server:
        line = f"{folder} --repo alice/toy"
        assert "nothing was published in alice/toy: there is no token, log in by" in publish_elsewhere(
            server.environment(tmp_path / "a"), line)
        assert "the Hub refuses your token, log in by" in publish_elsewhere(
            server.environment(tmp_path / "b", "hf_wrong"), line)
        environment = server.environment(tmp_path / "c", "hf_alice")
        server.cut("POST .*/commit/", after=100)
        server.fail("POST /api/models/alice/toy/preupload", status=400, message="The card says nothing.\nTry again")
        server.answer_instead("POST /api/repos/create", "<html>Log in to this network")
        shown = publish_elsewhere(environment, line, f"{folder} --repo bob/toy", line, line, line)
        assert "nothing was published in alice/toy: what answers is not the Hub" in shown
        assert "nothing was published in bob/toy: your token has no right to write there" in shown
        assert "nothing was published in alice/toy: the Hub answered 400, The card says nothing" in shown
        assert [word[-1] for word in shown.split("\n") if word.startswith("exit")] == ["1", "1", "1", "1", "0"]
        assert len([commit for commit in server.commits("alice/toy") if "model.safetensors" in commit.files]) == 1
        requests = len(server.requests)
    assert "could not be reached" in publish_elsewhere(environment, line)
    assert requests == len(server.requests)


def test_a_training_may_end_on_the_hub(tmp_path):
    with FakeHub() as server:
        environment = server.environment(tmp_path / "home", "hf_alice")
        command = [sys.executable, "-m", "train", "toy-gaussian", "--steps", "20", "--device", "cpu",
                   "--out", str(tmp_path / "run"), "--push", "alice/fresh"]
        ran = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=300, cwd=ROOT)
        assert ran.returncode == 0, ran.stderr
        assert f"Published: {server.endpoint}/alice/fresh/commit/" in ran.stdout
        there = load_elsewhere(server.environment(tmp_path / "elsewhere"), "alice/fresh")
        assert there["alice/fresh"]["x"] == ganlib.load(tmp_path / "run", "cpu").sample(range(3)).tolist()
        assert checkpoint.is_measured(tmp_path / "run", json.loads(server.files("alice/fresh")["metrics.json"]))
        assert "model.safetensors " in ran.stdout
        assert "MB, for alice/fresh" in ran.stdout


def test_a_training_that_may_not_end_on_the_hub_does_not_begin(tmp_path):
    script = """
import os, sys
from train.__main__ import main
for line in sys.stdin:
    os.environ["HF_TOKEN"], repo = line.strip().split(" ")
    print("exit", main(["toy-gaussian", "--steps", "20", "--out", sys.argv[1], "--push", repo]), flush=True)
"""
    refusals = {
        "hf_alice alice": "train: a repo on the Hub is named user/name, not 'alice'",
        "hf_alice bob/there": "train: bob/there cannot be written to: your token has no right to write there",
        "hf_alice bob/new": "train: bob/new cannot be written to: your token has no right to write there",
        "hf_reads alice/new": "train: alice/new cannot be written to: your token has no right to write there",
        "hf_wrong alice/new": "train: alice/new cannot be written to: the Hub refuses your token, log in by",
        "hf_\u200balice alice/new": "train: your token has characters that no token has, log in by",
        "hf_\valice alice/new": "train: your token has characters that no token has, log in by",
    }
    with FakeHub({"hf_alice": "alice", "hf_reads": "alice"}) as server:
        server.roles["hf_reads"] = "read"
        server.put("bob/there", {"README.md": b""})
        ran = subprocess.run([sys.executable, "-c", script, str(tmp_path / "run")], text=True, timeout=300, cwd=ROOT,
                             env=server.environment(tmp_path / "home", "hf_alice"), input="\n".join(refusals),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = ran.stdout.split("exit 1\n")
        for sentence, shown in zip(refusals.values(), said, strict=False):
            assert shown.startswith(sentence)
            assert shown.count("\n") == 1
        assert said[len(refusals):] == [""]
        assert "hf_" not in ran.stdout
        assert {seen.method for seen in server.requests} == {"GET"}  # nothing was made
    assert not (tmp_path / "run").exists()


def test_a_run_in_a_folder_with_a_shipped_models_name_is_loaded_and_published_from_there(tmp_path, monkeypatch):
    with FakeHub() as server:
        ran = subprocess.run([sys.executable, "-m", "train", "toy-gaussian", "--steps", "2", "--device", "cpu", "--out",
                              "toy-sine", "--push", "alice/toy"], text=True, capture_output=True, timeout=300,
                             cwd=tmp_path, env=server.environment(tmp_path / "home", "hf_alice") | {
                                 "PYTHONPATH": str(ROOT)})
        assert ran.returncode == 0, ran.stderr
        assert "The weights are in toy-sine: ganlib.load('./toy-sine') opens them." in ran.stdout
        assert server.files("alice/toy")["model.safetensors"] == (tmp_path / "toy-sine" /
                                                                  "model.safetensors").read_bytes()
    monkeypatch.chdir(tmp_path)
    assert ganlib.load("./toy-sine", "cpu").shape == (1,)
