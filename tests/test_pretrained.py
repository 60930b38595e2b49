"""The methods that Hugging Face users type: from_pretrained, save_pretrained and push_to_hub, with the real client."""

import json
from pathlib import Path

import pytest

import ganlib
from ganlib import Model, checkpoint, hub
from ganlib.card import is_our_card
from tests.conftest import untrained
from tests.fake_hub import FakeHub

SMALL = {"latent_dim": 4, "choices": 0, "generator_channels": (4, 4, 4), "discriminator_channels": (4, 4)}


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A Hub that this process uses as alice."""
    with FakeHub() as found:
        found.use(monkeypatch, tmp_path / "home", "hf_alice")
        yield found


@pytest.fixture
def folder(tmp_path) -> Path:
    """A measured weights folder with its card and pictures."""
    model = untrained("toy-gaussian")
    model.config["recipe"] = {"data": "gaussian", "train": {"steps": 3}}
    path = model.save_pretrained(tmp_path / "toy")
    metrics = {"data": "gaussian", "samples": 3, "wasserstein_1": 0.0123} | checkpoint.hashes(path)
    (path / "metrics.json").write_text(json.dumps(metrics))
    for name in ("samples.png", "growth.png"):
        (path / name).write_bytes(name.encode())
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_is_saved_and_loaded_by_the_names_of_other_libraries(tmp_path):
    model = untrained("toy-gaussian")
    written = model.save_pretrained(tmp_path / "a")
    assert written == tmp_path / "a"
    assert files(written) == files(ganlib.save(model, tmp_path / "b"))
    for source in (written, str(written)):
        loaded = Model.from_pretrained(source, device="cpu")
        assert loaded.sample([1]).equal(model.sample([1]))
    assert Model.from_pretrained("toy-sine", device="cpu").name == "toy-sine"


def test_a_revision_is_chosen_and_a_second_one_is_refused(server, folder):
    server.put("alice/toy", files(folder))
    commit = server.put("alice/toy", files(ganlib.save(untrained("toy-sine"), folder.parent / "other")), revision="v2")
    assert Model.from_pretrained("alice/toy", device="cpu").shape == (1,)
    for source, revision in (("alice/toy", "v2"), ("alice/toy@v2", "v2"), ("alice/toy", commit)):
        model = Model.from_pretrained(source, revision=revision, device="cpu")
        assert (model.shape, model.revision, model.name) == ((2,), commit, f"alice/toy@{revision}")
    with pytest.raises(ValueError, match="^alice/toy@v2 names a revision already, and 'main' is another one: give one"):
        Model.from_pretrained("alice/toy@v2", revision="main")
    for source in (folder, "toy-sine"):
        with pytest.raises(ValueError, match="^only a model on the Hub has revisions, and .* is none: leave out rev"):
            Model.from_pretrained(source, revision="v2")
    with pytest.raises(ValueError, match="^a branch is named by letters"):
        Model.from_pretrained("alice/toy", revision="a..b")
    with pytest.raises(ValueError, match="^a model is named by a text or a Path, not 7"):
        Model.from_pretrained(7)


def test_the_cache_may_be_elsewhere_and_files_in_it_need_no_network(server, folder, tmp_path):
    server.put("alice/toy", files(folder))
    with pytest.raises(hub.HubError, match="alice/toy could not be fetched: it is not in the cache, and no network"):
        Model.from_pretrained("alice/toy", cache_dir=tmp_path / "cache", local_files_only=True)
    model = Model.from_pretrained("alice/toy", cache_dir=tmp_path / "cache", device="cpu")
    assert model.folder.is_relative_to(tmp_path / "cache")
    assert not (tmp_path / "home" / "hub").exists()
    server.requests.clear()
    again = Model.from_pretrained("alice/toy", cache_dir=tmp_path / "cache", local_files_only=True, device="cpu")
    assert server.requests == []
    assert (again.revision, again.sample([1]).tolist()) == (model.revision, model.sample([1]).tolist())
    with pytest.raises(hub.HubError, match="alice/toy/sub could not be fetched: it is not in the cache, and no"):
        Model.from_pretrained("alice/toy/sub", cache_dir=tmp_path / "cache", local_files_only=True)


def test_a_token_may_be_given(server, folder, monkeypatch):
    server.put("alice/private", files(folder), private=True)
    with pytest.raises(hub.HubError, match="does not exist on the Hub, or is private and there is no token"):
        Model.from_pretrained("alice/private", token=False)
    monkeypatch.setenv("HF_TOKEN", "")
    assert Model.from_pretrained("alice/private", token="hf_alice", device="cpu").name == "alice/private"
    with pytest.raises(hub.HubError, match="or is private and your token has no right to it"):
        Model.from_pretrained("alice/private", token="hf_bob")
    with pytest.raises(hub.HubError, match="your token has characters that no token has"):
        Model.from_pretrained("alice/private", token="hf_…")
    address = Model.from_pretrained(folder, device="cpu").push_to_hub("bob/toy", token="hf_bob")
    assert address.startswith(f"{server.endpoint}/bob/toy/commit/")
    with pytest.raises(hub.HubError, match="nothing was sent to bob/toy: there is no token, log in by"):
        Model.from_pretrained(folder, device="cpu").push_to_hub("bob/toy")


@pytest.mark.parametrize("token", ["", 5])
def test_what_is_no_token_is_one_sentence(token, server):
    sentence = f": a token is a text, or None for that of `hf auth login` or HF_TOKEN, not {token!r}$"
    with pytest.raises(hub.HubError, match=f"alice/toy could not be fetched{sentence}"):
        Model.from_pretrained("alice/toy", token=token)
    with pytest.raises(hub.HubError, match=f"^nothing was sent to alice/toy{sentence}"):
        untrained("toy-gaussian").push_to_hub("alice/toy", token=token)
    assert server.requests == []


def test_nothing_is_sent_without_a_token(server):
    with pytest.raises(hub.HubError, match="^nothing was sent to alice/toy: there is no token, log in by"):
        untrained("toy-gaussian").push_to_hub("alice/toy", token=False)
    assert server.requests == []


@pytest.mark.parametrize("folder", [5, None])
def test_a_folder_is_a_text_or_a_path(folder):
    with pytest.raises(ValueError, match=f"^a folder is named by a text or a Path, not {folder}$"):
        untrained("toy-gaussian").save_pretrained(folder)
    with pytest.raises(ValueError, match="^cache_dir is a folder, as a text or a Path, not 5$"):
        Model.from_pretrained("toy-gaussian", cache_dir=5)


def test_a_model_that_was_not_measured_is_pushed_and_its_card_says_so(server):
    address = untrained(**SMALL).push_to_hub("alice/new", private=True, commit_message="First")
    assert address.startswith(f"{server.endpoint}/alice/new/commit/")
    there = server.files("alice/new")
    card = there["README.md"].decode()
    assert "Not measured yet." in card
    assert "model-index" not in card
    assert 'ganlib.load("alice/new")' in card
    assert is_our_card(card)
    assert there["samples.png"].startswith(b"\x89PNG")
    assert server.commits("alice/new")[0].message == "First"
    assert Model.from_pretrained("alice/new", device="cpu").shape == (1, 28, 28)


def test_a_card_shows_no_picture_that_is_not_there(server):
    untrained("toy-gaussian").push_to_hub("alice/points")
    there = server.files("alice/points")
    assert "samples.png" not in there
    assert "samples.png" not in there["README.md"].decode()


def test_what_belongs_to_the_weights_is_pushed_with_them(server, folder):
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# My words\n")
    Model.from_pretrained(folder, device="cpu").push_to_hub("alice/toy")
    there = server.files("alice/toy")
    assert there.keys() - {".gitattributes"} == set(files(folder))
    assert there["samples.png"] == b"samples.png"
    assert there["metrics.json"] == checkpoint.to_json(json.loads((folder / "metrics.json").read_text()))
    assert there["README.md"].startswith(b"---\nlicense: apache-2.0\nmodel-index:\n")
    assert there["README.md"].endswith(b"---\n# My words\n")


def test_a_model_that_is_pushed_again_makes_no_commit_and_keeps_its_pictures(server, folder):
    first = Model.from_pretrained(folder, device="cpu").push_to_hub("alice/toy")
    card = server.files("alice/toy")["README.md"]
    model = Model.from_pretrained("alice/toy", device="cpu")  # without the pictures, which are not downloaded
    assert model.push_to_hub("alice/toy") == first
    assert len(server.commits("alice/toy")) == 2  # one of them made the repo
    model.push_to_hub("alice/toy", revision="trial")
    assert server.files("alice/toy", revision="trial")["README.md"] == card
    assert b"# toy-gaussian\n" in card  # not the name of the repo that it was loaded from


def test_changed_weights_are_pushed_without_the_measures_and_pictures_of_the_others(server, folder):
    Model.from_pretrained(folder, device="cpu").push_to_hub("alice/toy")
    model = Model.from_pretrained("alice/toy", device="cpu")
    next(model.generator.parameters()).add_(0.5)
    model.push_to_hub("alice/toy")
    there = server.files("alice/toy")
    assert json.loads(there["metrics.json"]) == {}
    assert "Not measured yet." in there["README.md"].decode()
    assert not there.keys() & {"samples.png", "growth.png"}
    assert model.metrics["wasserstein_1"] == 0.0123  # the model itself is as it was
    again = Model.from_pretrained("alice/toy", device="cpu")
    assert again.sample([1]).equal(model.sample([1]))
    again.metrics = {"data": "gaussian", "samples": 10, "wasserstein_1": 0.5}  # measured in memory
    again.push_to_hub("alice/toy")
    assert "| Wasserstein-1 distance | 0.500 |" in server.files("alice/toy")["README.md"].decode()


def test_pictures_of_a_folder_whose_weights_are_others_are_not_pushed(server, folder):
    (folder / "README.md").write_text("# My words on the first weights\n")
    model = Model.from_pretrained(folder, device="cpu")
    next(model.generator.parameters()).add_(0.5)
    model.push_to_hub("alice/changed")
    assert not server.files("alice/changed").keys() & {"samples.png", "growth.png"}
    assert b"My words" not in server.files("alice/changed")["README.md"]
    model = Model.from_pretrained(folder, device="cpu")
    ganlib.save(untrained("toy-sine"), folder)  # trained anew there
    model.push_to_hub("alice/earlier")
    assert not server.files("alice/earlier").keys() & {"samples.png", "growth.png"}


@pytest.mark.parametrize("config", ["named", "nameless"])
def test_a_saved_model_has_its_own_name_and_not_that_of_its_repo(config, server, folder, tmp_path):
    if config == "nameless":
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({key: values[key] for key in values if key != "name"}))
    server.put("alice/repo", {f"toy/{name}": content for name, content in files(folder).items()}, revision="v1")
    model = Model.from_pretrained("alice/repo/toy@v1", device="cpu")
    wanted = "toy-gaussian" if config == "named" else "toy"
    for written in (model.save_pretrained(tmp_path / "a"), ganlib.save(model, tmp_path / "b")):
        assert json.loads((written / "config.json").read_text())["name"] == wanted
    model.push_to_hub("alice/new")
    assert json.loads(server.files("alice/new")["config.json"])["name"] == wanted
    model.name = "mine"
    assert ganlib.load(model.save_pretrained(tmp_path / "c"), "cpu").name == "mine"


def test_a_pull_request_needs_no_right_to_write(server, folder, monkeypatch):
    Model.from_pretrained(folder, device="cpu").push_to_hub("alice/toy")
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    model = Model.from_pretrained("alice/toy", device="cpu")
    next(model.generator.parameters()).add_(0.5)
    with pytest.raises(hub.HubError, match="nothing was sent to alice/toy: your token has no right to write there"):
        model.push_to_hub("alice/toy")
    assert model.push_to_hub("alice/toy", create_pr=True) == f"{server.endpoint}/alice/toy/discussions/1"
    assert json.loads(server.files("alice/toy")["metrics.json"])["wasserstein_1"] == 0.0123
    proposed = Model.from_pretrained("alice/toy", revision="refs/pr/1", device="cpu")
    assert proposed.sample([1]).equal(model.sample([1]))


def test_a_pull_request_begins_at_the_commit_that_it_was_made_for(server, folder):
    model = Model.from_pretrained(folder, device="cpu")
    model.push_to_hub("alice/toy")
    model.config["recipe"]["data"] = "other"
    server.before("POST .*/commit/main", lambda: server.put("alice/toy", {"README.md": b"My words"}))
    assert model.push_to_hub("alice/toy", create_pr=True) == f"{server.endpoint}/alice/toy/discussions/1"
    assert server.files("alice/toy")["README.md"] == b"My words"
    assert len(server.commits("alice/toy", "refs/pr/1")) == len(server.commits("alice/toy")) == 3


def test_a_pull_request_to_a_branch_that_is_missing_makes_it_or_says_why_not(server, folder, monkeypatch):
    model = Model.from_pretrained(folder, device="cpu")
    model.push_to_hub("alice/toy")
    next(model.generator.parameters()).add_(0.5)
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    with pytest.raises(hub.HubError, match="nothing was sent to alice/toy: your token has no right to write there"):
        model.push_to_hub("alice/toy", revision="trial", create_pr=True)
    monkeypatch.setenv("HF_TOKEN", "hf_alice")
    for number in (1, 2):  # now it is there, and no right to write is needed
        assert model.push_to_hub("alice/toy", revision="trial", create_pr=True).endswith(f"/discussions/{number}")
        monkeypatch.setenv("HF_TOKEN", "hf_bob")
    assert server.files("alice/toy", revision="trial") == server.files("alice/toy")


@pytest.mark.parametrize("name", ["toy-gaussian", "toy-ring", "vae"])
def test_a_shipped_model_is_saved_as_it_is(name, tmp_path):
    """Else a push would take its measures for those of other weights."""
    model = checkpoint.load(name, "cpu")
    assert checkpoint.is_measured(model.save_pretrained(tmp_path), model.metrics)


def test_a_repo_and_a_branch_need_valid_names():
    model = untrained("toy-gaussian")
    for options in ({"repo": "toy"}, {"repo": "alice/toy@v1"}, {"repo": "alice/toy", "revision": "a..b"},
                    {"repo": 5}, {"repo": None}, {"repo": Path("alice/toy")}, {"repo": "alice/toy", "revision": 5}):
        with pytest.raises(ValueError, match="is named"):
            model.push_to_hub(**options)
