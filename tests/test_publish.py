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
from train import publish

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


@pytest.fixture
def folder(tmp_path) -> Path:
    """A small weights folder whose measures are of its weights, with a picture, and with files that do not belong."""
    model = untrained("toy-gaussian")
    model.config["recipe"] = {"data": "gaussian", "train": {"steps": 3}}
    path = ganlib.save(model, tmp_path / "toy")
    metrics = {"samples": 3, "wasserstein_1": 0.0123, "wasserstein_1_of_real": 0.006,
               checkpoint.MEASURED: checkpoint.digest(path / "model.safetensors")}
    checkpoint.save_report(path, metrics, "", b"png")
    (path / "README.md").unlink()
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
    assert result["metrics"] == [{"type": "wasserstein_1", "name": "Wasserstein-1 distance", "value": 0.0123}]
    assert publication.sizes()["samples.png"] == 3


@pytest.mark.parametrize(("spoil", "sentence"), [
    (lambda f: (f / "config.json").unlink(), "config.json cannot be read"),
    (lambda f: (f / "metrics.json").write_text("{}"), "has not been measured: measure it first by"),
    (lambda f: (f / "metrics.json").write_text('{"samples": 3}'), "metrics.json is of other weights"),
    (lambda f: ganlib.save(untrained("toy-sine"), f), "has not been measured"),
])
def test_a_folder_that_is_not_whole_is_not_published(folder, spoil, sentence, capsys):
    spoil(folder)
    assert publish.main([str(folder), "--repo", "alice/toy"]) == 1
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("repo", ["toy", "alice/toy@main", "alice/toy/sub", "https://hf.co/alice/toy", "../toy"])
def test_a_repo_is_named_by_user_and_name(folder, repo, capsys):
    assert publish.main([str(folder), "--repo", repo, "--dry-run"]) == 1
    assert "a repo on the Hub is named user/name, not" in capsys.readouterr().err


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
        server.put("alice/old", {"growth.png": b"an older model's", "data.csv": b"somebody's", "README.md": b"Mine!"})
        server.put("alice/open", {"notes.txt": b""})
        shown = publish_elsewhere(server.environment(tmp_path / "home", "hf_alice"),
                                  f"{folder} --repo alice/toy --private", f"{folder} --repo alice/old --message Better",
                                  f"{folder} --repo alice/toy --revision trial", f"{edited} --repo alice/edited",
                                  f"{folder} --repo alice/open --private")
        assert shown.count("exit 0") == 4
        assert f"Published: {server.endpoint}/alice/toy/commit/" in shown
        assert "ganlib.load('alice/toy@trial') opens it." in shown
        assert "alice/open is there already, and public" in shown
        assert set(server.files("alice/open")) == {"notes.txt"}
        there = server.files("alice/toy")
        assert set(there) - {".gitattributes"} == set(hub.prepare(folder, "alice/toy").files)
        assert there["model.safetensors"] == (folder / "model.safetensors").read_bytes()
        old = server.files("alice/old")
        assert old["README.md"] == b"Mine!"  # a person wrote it
        assert old["data.csv"] == b"somebody's"
        assert "growth.png" not in old
        assert server.commits("alice/old")[0].message == "Better"
        assert len(server.commits("alice/old")) == 2
        assert server.files("alice/edited")["README.md"] == b"# My own words"
        seen = load_elsewhere(server.environment(tmp_path / "elsewhere"), ("alice/toy", "hf_alice"), "alice/toy",
                              "alice/edited")
        assert seen["alice/toy", "hf_alice"]["x"] == seen["alice/edited"]["x"] == expected
        assert "private" in seen["alice/toy"]["error"]


def test_what_goes_wrong_is_one_sentence_and_publishes_nothing(folder, tmp_path):
    with FakeHub() as server:
        line = f"{folder} --repo alice/toy"
        assert "there is no token to publish with: log in by" in publish_elsewhere(
            server.environment(tmp_path / "a"), line)
        assert "the Hub refuses your token: log in by" in publish_elsewhere(
            server.environment(tmp_path / "b", "hf_wrong"), line)
        environment = server.environment(tmp_path / "c", "hf_alice")
        server.cut("POST .*/commit/", after=100)
        shown = publish_elsewhere(environment, f"{folder} --repo bob/toy", line, line)
        assert "your token has no right to write to bob/toy" in shown
        assert "nothing was published in alice/toy" in shown
        assert [word for word in shown.split("\n") if word.startswith("exit")] == ["exit 1", "exit 1", "exit 0"]
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
        metrics = json.loads(server.files("alice/fresh")["metrics.json"])
        assert metrics[checkpoint.MEASURED] == checkpoint.digest(tmp_path / "run" / "model.safetensors")
        command[-1] = "alice"
        refused = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=300, cwd=ROOT)
        assert refused.returncode == 1
        assert "a repo on the Hub is named user/name, not 'alice'" in refused.stderr
