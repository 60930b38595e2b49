import hashlib
import json
from pathlib import Path

import pytest
import yaml

import ganlib
from ganlib import checkpoint, publishing
from ganlib.card import is_our_card
from tests.conftest import untrained
from tests.fake_hub import FakeHub, oid
from train import evaluate, publish
from train.__main__ import main as train


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
    publication = publishing.prepare(folder, "alice/toy")
    assert set(publication.files) == {"config.json", "model.safetensors", "discriminator.safetensors", "metrics.json",
                                      "history.json", "samples.png", "README.md"}
    card = publication.files["README.md"].decode()
    assert 'ganlib.load("alice/toy")' in card
    assert is_our_card(card)
    front = yaml.safe_load(card.split("---\n")[1])
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"] == {"type": "gaussian", "name": "gaussian"}
    assert result["metrics"] == [{"type": "wasserstein_1", "name": "Wasserstein-1 distance", "value": 0.0123}]


def other_networks(folder: Path, network: str) -> None:
    """Replace one of a folder's networks, and leave its measures."""
    model, metrics = ganlib.load(folder, "cpu"), (folder / "metrics.json").read_bytes()
    next(getattr(model, network).parameters()).add_(0.5)
    ganlib.save(model, folder)
    (folder / "metrics.json").write_bytes(metrics)


@pytest.mark.parametrize(("spoil", "sentence"), [
    (lambda f: (f / "config.json").unlink(), "is no weights folder: it has no config.json"),
    (lambda f: (f / "metrics.json").unlink(), "metrics.json is missing, or was measured on other weights"),
    (lambda f: (f / "metrics.json").write_text('{"samples": 3}'), "or was measured on other weights"),
    (lambda f: ganlib.save(untrained("toy-sine"), f), "or was measured on other weights"),
    (lambda f: other_networks(f, "generator"), "or was measured on other weights"),
    (lambda f: other_networks(f, "discriminator"), "or was measured on other weights"),
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
    assert set(publishing.prepare(folder, "alice/toy").files) == {"config.json", "model.safetensors", "metrics.json",
                                                           "history.json", "samples.png", "README.md"}


def test_a_config_without_a_name_or_a_recipe_has_a_card_too(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({key: config[key] for key in config if key not in ("name",
                                                                                                      "recipe")}))
    assert "# toy\n" in publishing.prepare(folder, "alice/toy").files["README.md"].decode()


def test_a_folder_is_published_even_by_a_shipped_models_name(folder, monkeypatch, capsys):
    folder.rename(folder.with_name("dcgan"))
    monkeypatch.chdir(folder.parent)
    for path in (Path("dcgan"), "dcgan"):
        files = publishing.prepare(path, "alice/toy").files
        assert files["model.safetensors"].resolve().parent == folder.with_name("dcgan")
    assert "growth.png" in publishing.prepare("mlp-gan", "alice/toy").files  # the shipped one
    assert evaluate.main(["--compare", "dcgan"]) == 0
    assert "Wasserstein-1" in capsys.readouterr().out


@pytest.mark.parametrize("repo", ["toy", "alice/toy@main", "alice/toy/sub", "hf.co/alice/toy/tree/v1", "../toy"])
def test_a_repo_is_named_by_user_and_name(folder, repo, capsys):
    assert publish.main([str(folder), "--repo", repo, "--dry-run"]) == 1
    assert "a repo on the Hub is named user/name, not" in capsys.readouterr().err


@pytest.mark.parametrize("revision", ["v1+a", "a..b", ""])
def test_a_branch_is_named_as_it_can_be_loaded(folder, revision, capsys):
    assert publish.main([str(folder), "--repo", "alice/toy", "--revision", revision, "--dry-run"]) == 1
    assert "a branch is named by letters, digits, dots, dashes, slashes and under" in capsys.readouterr().err


def test_a_pattern_that_the_shell_has_left_names_folders(folder, tmp_path, capsys):
    """As on Windows."""
    (tmp_path / "notes.txt").write_text("mine")
    measure(ganlib.save(untrained("toy-sine"), tmp_path / "two"))
    assert publish.main([str(tmp_path / "t*"), "--namespace", "alice", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("MB, for alice/") == 2
    assert publish.main([str(tmp_path / "n*"), "--namespace", "alice", "--dry-run"]) == 1
    assert "there is no weights folder" in capsys.readouterr().err
    folder.rename(tmp_path / "[a]")  # a name, not a pattern
    assert publish.main([str(tmp_path / "[a]"), "--namespace", "alice", "--dry-run"]) == 0


def test_a_dry_run_lists_and_sends_nothing(folder, capsys):
    assert publish.main([str(folder), "--repo", "alice/toy", "--dry-run"]) == 0  # with no Hub anywhere
    shown = capsys.readouterr().out
    assert "model.safetensors" in shown
    assert "7 files, " in shown
    assert "MB, for alice/toy" in shown


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A Hub that this process uses as alice."""
    with FakeHub({"hf_alice": "alice", "hf_bob": "bob", "hf_reads": "alice"}) as found:
        found.use(monkeypatch, tmp_path / "home", "hf_alice")
        found.roles["hf_reads"] = "read"
        yield found


def test_published_weights_load_by_name(folder, server, monkeypatch, capsys):
    assert publish.main([str(folder), "--repo", "alice/toy", "--private"]) == 0
    shown = capsys.readouterr().out
    assert f"Published: {server.endpoint}/alice/toy/commit/" in shown
    assert "ganlib.load('alice/toy') opens it." in shown
    there = server.files("alice/toy")
    assert set(there) - {".gitattributes"} == set(publishing.prepare(folder, "alice/toy").files)
    assert there["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    x = ganlib.load(folder, "cpu").sample(range(3))
    assert ganlib.load("alice/toy", "cpu").sample(range(3)).equal(x)
    assert publish.main([str(folder), "--repo", "alice/toy", "--revision", "trial"]) == 0
    assert "ganlib.load('alice/toy@trial') opens it." in capsys.readouterr().out
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    with pytest.raises(ganlib.WeightsError, match="private"):
        ganlib.load("alice/toy", "cpu")


def test_files_of_others_in_the_repo_are_kept_and_those_of_an_older_model_are_removed(folder, server, capsys):
    server.put("alice/old", {"growth.png": b"an older model's", "data.csv": b"somebody's",
                             "README.md": b"Mine, in Latin-1: \xe9"})
    assert publish.main([str(folder), "--repo", "alice/old", "--message", "Better"]) == 0
    assert ("The README.md in alice/old has been edited: it was kept as it is, because it is not UTF-8.\n"
            in capsys.readouterr().out)
    old = server.files("alice/old")
    assert (old["README.md"], old["data.csv"]) == (b"Mine, in Latin-1: \xe9", b"somebody's")
    assert "growth.png" not in old
    assert [commit.message for commit in server.commits("alice/old")] == ["Better", "put"]


def test_a_card_that_the_user_has_edited_replaces_one_of_ours_but_no_edited_one(folder, server, capsys):
    arguments = [str(folder), "--repo", "alice/toy"]
    assert publish.main(arguments) == 0
    kept = " That of the folder was not sent: to send it, delete the one there first.\n"
    (folder / "README.md").write_text("# My own words")
    for _ in range(2):
        assert publish.main(arguments) == 0
        there = server.files("alice/toy")["README.md"]
        assert there == b"# My own words"
        assert kept not in capsys.readouterr().out
    server.put("alice/toy", {"README.md": there + b", of the page on the Hub"})
    assert publish.main(arguments) == 0
    assert server.files("alice/toy")["README.md"] == there + b", of the page on the Hub"
    assert ("The README.md in alice/toy has been edited: it was kept as it is, because its measures have no marks, and "
            f"its front matter is missing.{kept}" in capsys.readouterr().out)


def test_what_is_changed_in_the_repo_meanwhile_is_not_overwritten(folder, server, capsys):
    arguments = [str(folder), "--repo", "alice/toy"]
    assert publish.main(arguments) == 0
    for number, request in enumerate(("HEAD .*/README.md", "POST .*/commit/main")):
        remeasure(folder, number)
        words = f"My words {number}".encode()
        server.before(request, lambda words=words: server.put("alice/toy", {"README.md": words}))
        capsys.readouterr()
        assert publish.main(arguments) == 1
        assert capsys.readouterr().err == ("train.publish: nothing was sent to alice/toy: alice/toy has changed in the "
                                           "meantime, run the command again\n")
        assert server.files("alice/toy")["README.md"] == words
        assert publish.main(arguments) == 0
        assert server.files("alice/toy")["README.md"].endswith(words)


def test_a_card_of_the_cache_is_not_taken_for_the_one_in_the_repo(folder, server, capsys):
    arguments = [str(folder), "--repo", "alice/toy"]
    for number in range(2):  # the second time, the card is downloaded
        remeasure(folder, number)
        assert publish.main(arguments) == 0
    server.put("alice/toy", {"README.md": b"My words"})
    remeasure(folder, 2)
    server.answer("HEAD .*/README.md", 418)
    assert publish.main(arguments) == 1
    assert "nothing was sent to alice/toy: the Hub answered 418" in capsys.readouterr().err
    assert server.files("alice/toy")["README.md"] == b"My words"


def test_of_a_branch_the_card_there_counts(folder, server):
    arguments = [str(folder), "--repo", "alice/toy"]
    assert publish.main(arguments) == 0
    assert publish.main([*arguments, "--revision", "trial"]) == 0
    server.put("alice/toy", {"README.md": b"# Of the trial"}, revision="trial")
    remeasure(folder)
    for options in (["--revision", "trial"], []):
        assert publish.main([*arguments, *options]) == 0
    assert server.files("alice/toy", revision="trial")["README.md"].endswith(b"# Of the trial")
    assert b"| 0.500 |" in server.files("alice/toy")["README.md"]


def remeasure(folder: Path, number: float = 0.5) -> None:
    """Another number in a folder's measures."""
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | {"wasserstein_1": number}))


def test_a_card_that_was_edited_in_the_repo_keeps_its_words_and_gets_the_new_measures(folder, server, capsys):
    assert publish.main([str(folder), "--repo", "alice/toy"]) == 0
    card = server.files("alice/toy")["README.md"].decode()
    edited = card.replace("## Limits", "## My words\n\n## Limits").replace("license: mit", "license: cc0-1.0")
    server.put("alice/toy", {"README.md": edited.encode()})
    remeasure(folder)
    capsys.readouterr()
    assert publish.main([str(folder), "--repo", "alice/toy"]) == 0
    assert ("The README.md in alice/toy has been edited: only its measures were brought up to date.\n"
            in capsys.readouterr().out)
    assert server.files("alice/toy")["README.md"].decode() == edited.replace("| 0.012 |", "| 0.500 |").replace(
        "value: 0.0123", "value: 0.5")


def test_a_card_that_was_edited_in_the_folder_keeps_its_words_and_gets_the_new_measures(folder, server, capsys):
    card = publishing.prepare(folder, "alice/toy").files["README.md"].decode()
    edited = card.replace("# toy-gaussian", "# Mine")
    (folder / "README.md").write_text(edited)
    assert publish.main([str(folder), "--repo", "alice/toy"]) == 0
    remeasure(folder)
    capsys.readouterr()
    assert publish.main([str(folder), "--repo", "alice/toy"]) == 0
    said = capsys.readouterr().out
    assert said.count(f"{folder / 'README.md'} has been edited: only its measures were brought up to date.\n") == 1
    assert "The README.md in alice/toy" not in said
    wanted = edited.replace("| 0.012 |", "| 0.500 |").replace("value: 0.0123", "value: 0.5")
    assert server.files("alice/toy")["README.md"].decode() == wanted


def test_a_folder_that_is_published_again_makes_no_commit(folder, server, capsys):
    arguments = [str(folder), "--repo", "alice/toy"]
    assert publish.main(arguments) == 0
    commits = server.commits("alice/toy")
    capsys.readouterr()
    assert publish.main(arguments) == 0
    assert (f"Nothing has changed since {server.endpoint}/alice/toy/commit/{commits[0].sha}: no commit was made.\n"
            in capsys.readouterr().out)
    assert server.commits("alice/toy") == commits


def test_pictures_of_the_same_weights_that_only_the_repo_has_are_kept(folder, server):
    publish.main([str(folder), "--repo", "alice/toy"])
    (folder / "samples.png").unlink()
    publish.main([str(folder), "--repo", "alice/toy"])
    there = server.files("alice/toy")
    assert there["samples.png"] == b"png"
    assert b"![samples](samples.png)" in there["README.md"]
    other_networks(folder, "generator")
    measure(folder)
    publish.main([str(folder), "--repo", "alice/toy"])
    there = server.files("alice/toy")
    assert "samples.png" not in there
    assert b"samples.png" not in there["README.md"]


@pytest.mark.parametrize("content", [b"abc", b""])
def test_a_file_is_known_in_the_repo_by_its_hash(content, tmp_path):
    from huggingface_hub.hf_api import RepoFile

    git = {"path": "a", "size": len(content), "oid": oid(content)}
    large = {**git, "oid": "0", "lfs": {"size": 3, "oid": hashlib.sha256(content).hexdigest(), "pointerSize": 1}}
    (tmp_path / "a").write_bytes(content)
    for file in (RepoFile(**git), RepoFile(**large)):
        assert publishing._is_same(content, file)
        assert publishing._is_same(tmp_path / "a", file)
        assert not publishing._is_same(b"other", file)
    assert not publishing._is_same(content, None)


def test_a_card_may_name_a_space(folder, server, capsys):
    assert publish.main([str(folder), "--repo", "alice/toy", "--space", "page"]) == 1
    assert "a Space on the Hub is named user/space, not 'page'" in capsys.readouterr().err
    assert publish.main([str(folder), "--repo", "alice/toy", "--space", "alice/page"]) == 0
    assert (b"Try it: [alice/page](https://huggingface.co/spaces/alice/page)"
            in server.files("alice/toy")["README.md"])


def test_a_public_repo_is_not_private(folder, server, capsys):
    server.put("alice/open", {"notes.txt": b""})
    assert publish.main([str(folder), "--repo", "alice/open", "--private"]) == 1
    assert "alice/open exists already, and is public" in capsys.readouterr().err
    assert set(server.files("alice/open")) == {"notes.txt"}


def test_an_error_is_one_sentence_and_nothing_is_published(folder, server, monkeypatch, capsys):
    def said(repo: str = "alice/toy") -> str:
        assert publish.main([str(folder), "--repo", repo]) == 1
        sentence = capsys.readouterr().err
        assert sentence.count("\n") == 1
        assert "hf_" not in sentence  # no token is shown
        return sentence

    assert "nothing was sent to bob/toy: your token has no right to write there" in said("bob/toy")
    server.answer("POST /api/repos/create", 200, "<html>Log in to this network")
    assert "nothing was sent to alice/toy: the answer is not from the Hub" in said()
    server.answer("POST /api/models/alice/toy/preupload", 400, "The card says nothing.\nTry again")
    assert "nothing was sent to alice/toy: the Hub answered 400, The card says nothing" in said()
    server.answer("POST /api/models/alice/toy/commit", 418)
    assert "nothing was sent to alice/toy: the Hub answered 418" in said()
    anew = "log in anew by `hf auth login`, or set HF_TOKEN"
    for token, sentence in (("", "there is no token, log in by"), ("hf_wrong", f"refuses your token, {anew}\n")):
        monkeypatch.setenv("HF_TOKEN", token)
        assert sentence in said()
    assert set(server.files("alice/toy")) == {".gitattributes"}
    monkeypatch.setenv("HF_TOKEN", "hf_alice")
    server.__exit__()
    assert "could not be reached" in said()


@pytest.mark.slow
def test_a_training_may_end_on_the_hub(tmp_path, server, monkeypatch, capsys):
    """In a folder with a shipped model's name, which does not matter."""
    monkeypatch.chdir(tmp_path)
    assert train(["toy-gaussian", "--steps", "2", "--device", "cpu", "--out", "toy-sine", "--push", "alice/toy"]) == 0
    shown = capsys.readouterr().out
    assert "ganlib.load('./toy-sine')" in shown
    assert f"Published: {server.endpoint}/alice/toy/commit/" in shown
    there = server.files("alice/toy")
    assert there["model.safetensors"] == (tmp_path / "toy-sine" / "model.safetensors").read_bytes()
    assert checkpoint.is_measured(tmp_path / "toy-sine", json.loads(there["metrics.json"]))
    assert ganlib.load("./toy-sine", "cpu").shape == (1,)


@pytest.mark.parametrize(("token", "repo", "sentence"), [
    ("hf_alice", "alice", "a repo on the Hub is named user/name, not 'alice'"),
    ("hf_alice", "bob/there", "bob/there cannot be written to: your token has no right to write there"),
    ("hf_alice", "bob/new", "bob/new cannot be written to: your token has no right to write there"),
    ("hf_reads", "alice/new", "alice/new cannot be written to: your token has no right to write there"),
    ("hf_wrong", "alice/new", "alice/new cannot be written to: the Hub refuses your token, log in anew by"),
    ("hf_\u200balice", "alice/new", "your token has characters that no token has, log in anew by"),
    ("hf_\valice", "alice/new", "your token has characters that no token has, log in anew by"),
])
def test_a_training_that_may_not_end_on_the_hub_does_not_begin(token, repo, sentence, tmp_path, server, monkeypatch,
                                                              capsys):
    monkeypatch.setenv("HF_TOKEN", token)
    server.put("bob/there", {"README.md": b""})
    assert train(["toy-gaussian", "--steps", "20", "--out", str(tmp_path / "run"), "--push", repo]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"train: {sentence}")
    assert said.count("\n") == 1
    assert "hf_" not in said
    assert {seen.method for seen in server.requests} <= {"GET"}  # nothing was created
    assert not (tmp_path / "run").exists()
