"""Several weights folders, published by one command and grouped in a collection, with the real client."""

import json
from pathlib import Path

import pytest

import ganlib
from ganlib import checkpoint, hub, publishing
from tests.conftest import untrained
from tests.fake_hub import FakeHub
from train import publish

SLUG = "alice/my-models-000000000000000000000000"


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A Hub that this process uses as alice."""
    with FakeHub() as found:
        found.use(monkeypatch, tmp_path / "home", "hf_alice")
        yield found


def folder(path: Path, name: str = "toy-gaussian") -> str:
    """A small measured weights folder, whose model has the folder's name."""
    model = untrained(name)
    model.name = path.name
    model.config["recipe"] = {"data": model.architecture.kind, "train": {}}
    ganlib.save(model, path)
    (path / "metrics.json").write_text(json.dumps({"data": "gaussian"} | checkpoint.hashes(path)))
    return str(path)


@pytest.fixture
def folders(tmp_path) -> list[str]:
    """Those of two models, and between them the digit classifier's."""
    return [folder(tmp_path / "bell"), str(checkpoint._shipped_folders()["digit-classifier"]),
            folder(tmp_path / "wave", "toy-sine")]


def run(*arguments: str) -> int:
    return publish.main([*arguments, "--collection", "alice/My models"])


def test_models_are_published_and_grouped_by_one_command(server, folders, capsys):
    assert run(*folders) == 0
    said = capsys.readouterr().out
    assert "digit-classifier is left out: it holds the digit-classifier, which generates no samples.\n" in said
    for name, shape in (("bell", (1,)), ("wave", (2,))):
        assert ganlib.load(f"alice/ganlib-{name}", "cpu").shape == shape
        assert len(server.commits(f"alice/ganlib-{name}")) == 2  # one of them made the repo
    assert f"Collection: {server.endpoint}/collections/{SLUG}, 2 models were added.\n" in said
    found = server.collections[SLUG]
    assert (found["title"], found["private"]) == ("My models", False)
    assert [(item["id"], item["type"], item["note"]["text"]) for item in found["items"]] == [
        ("alice/ganlib-bell", "model", "mlp, points of shape (1,), trained on mlp"),
        ("alice/ganlib-wave", "model", "mlp, points of shape (2,), trained on mlp")]


def test_the_second_time_only_what_is_new_is_sent(server, folders, tmp_path, capsys):
    run(*folders)
    server.collections[SLUG]["items"].insert(0, {"id": "bob/other", "type": "model", "_id": "7", "position": 0})
    before = json.dumps(server.collections)
    server.requests.clear()
    capsys.readouterr()
    assert run(*folders) == 0
    said = capsys.readouterr().out
    assert said.count("Nothing has changed since ") == 2
    assert f"/collections/{SLUG}, which has these models already.\n" in said
    assert json.dumps(server.collections) == before
    sent = [seen.path for seen in server.requests if seen.method == "POST"]
    assert sent == ["/api/repos/create"] * 2
    assert run(*folders, folder(tmp_path / "ganlib-new")) == 0
    assert [item["id"] for item in server.collections[SLUG]["items"]] == [
        "bob/other", "alice/ganlib-bell", "alice/ganlib-wave", "alice/ganlib-new"]


def test_a_collection_is_known_by_its_slug_and_its_address_too(server, folders, capsys):
    run(folders[0])
    address = f"https://huggingface.co/collections/{SLUG}"
    for name in (SLUG, f"{address}?sort=new#top"):
        assert publish.main([folders[2], "--collection", name, "--repo", "alice/wave"]) == 0
    assert list(server.collections) == [SLUG]
    for name in (address, f"{address}/", f"{address}#top", "alice/my Models", " alice/My models "):
        assert publishing.collected(publishing.check_collection(name)) == ["alice/ganlib-bell", "alice/wave"]
    assert [item["id"] for item in server.collections[SLUG]["items"]] == ["alice/ganlib-bell", "alice/wave"]
    assert publish.main([folders[2], "--collection", f"alice/none-{'a' * 24}"]) == 1
    assert capsys.readouterr().err == f"train.publish: there is no collection alice/none-{'a' * 24} on the Hub\n"


def test_a_private_collection_is_of_private_models(server, folders):
    assert run(*folders, "--private") == 0
    assert server.collections[SLUG]["private"]
    assert all(server._repos["models", f"alice/ganlib-{name}"].private for name in ("bell", "wave"))
    assert run(*folders, "--private") == 0
    assert len(server.collections) == 1  # it was found


def test_a_public_collection_is_not_private(server, folders, capsys):
    run(folders[0])
    before = json.dumps(server.collections)
    assert run(folders[2], "--private") == 1
    assert capsys.readouterr().err == ("train.publish: the collection alice/My models exists already, and is public: "
                                       "make it private in its settings first\n")
    assert json.dumps(server.collections) == before


def test_a_collection_that_is_made_meanwhile_is_used(server, folders):
    run(folders[0])
    (found,) = server.collections.values()
    server.collections.clear()
    server.before("POST /api/collections", lambda: server.collections.update({SLUG: found}))
    assert run(folders[2]) == 0
    assert list(server.collections) == [SLUG]
    assert len(found["items"]) == 2


def test_a_dry_run_names_the_repos_and_the_collection(folders, capsys):
    assert run(*folders, "--dry-run") == 0  # with no Hub anywhere
    said = capsys.readouterr().out
    assert "MB, for alice/ganlib-wave\n" in said
    assert "For the collection alice/My models: alice/ganlib-bell, alice/ganlib-wave\n" in said


def test_if_one_fails_the_others_are_published(server, folders, capsys):
    server.answer("POST /api/models/alice/ganlib-bell/commit", 418)
    assert run(*folders) == 1
    said = capsys.readouterr()
    assert said.err == ("train.publish: nothing was sent to alice/ganlib-bell: the Hub answered 418, Refused by the "
                        "test\n")
    assert "Published: " in said.out
    assert [item["id"] for item in server.collections[SLUG]["items"]] == ["alice/ganlib-wave"]
    assert run(*folders) == 0
    assert len(server.collections[SLUG]["items"]) == 2


def test_if_the_collection_fails_the_models_are_published(server, folders, capsys):
    server.answer("POST /api/collections", 403)
    assert run(*folders) == 1
    said = capsys.readouterr()
    assert said.err == ("train.publish: not all models are in the collection alice/My models: your token has no right "
                        "to write there, use a token with write access, or a repo of your own\n")
    assert said.out.count("Published: ") == 2


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--collection", "ganlib"], "a collection on the Hub is named user/title, such as user/ganlib, not 'ganlib'"),
    (["--collection", "a b/ganlib"], "a collection on the Hub is named user/title, such as user/ganlib, not 'a b/gan"),
    (["--collection", "alice/a/b"], "a collection on the Hub is named user/title, such as user/ganlib, not 'alice/a"),
    (["--collection", "bob/ganlib"], "nothing can be written for bob: your token has no right to write there"),
    (["--namespace", "bob"], "bob/ganlib-bell, bob/ganlib-wave cannot be written to: your token has no right"),
    (["--namespace", "a b"], "a repo on the Hub is named user/name, not 'a b/ganlib-bell'"),
    (["--repo", "alice/x"], "--repo is for one folder: leave it out, and give --namespace or --collection"),
    ([], "name the repo by --repo USER/NAME, or its owner by --namespace USER"),
    (["nothing", "--namespace", "alice"], "there is no weights folder 'nothing'"),
])
def test_all_is_checked_before_the_first_is_sent(arguments, sentence, server, folders, capsys):
    server.put("bob/ganlib-bell", {"README.md": b""})
    assert publish.main([*folders, *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"train.publish: {sentence}")
    assert said.count("\n") == 1
    assert {seen.method for seen in server.requests} <= {"GET"}


def test_two_models_of_one_name_are_not_sent_to_one_repo(server, folders, tmp_path, capsys):
    second = folder(tmp_path / "second" / "bell")
    assert run(*folders, second) == 1
    assert capsys.readouterr().err == (f"train.publish: {folders[0]} and {second} would both be sent to "
                                       f"alice/ganlib-bell: publish one of them by --repo\n")
    assert publish.main([folders[1], folders[1], "--namespace", "alice"]) == 1
    assert capsys.readouterr().err == "train.publish: none of the folders holds a model\n"


def test_a_models_name_becomes_a_repos(server, tmp_path):
    for name, wanted in (("dcgan", "ganlib-dcgan"), ("ganlib-x", "ganlib-x"), ("My cats (2)", "ganlib-My-cats-2"),
                         ("alice/toy@v1", "ganlib-alice-toy-v1")):
        assert publish.repo_name(name) == wanted
        assert hub.check_repo(f"alice/{wanted}") == f"alice/{wanted}"
