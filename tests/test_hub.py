import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ganlib
from ganlib import hub
from tests.conftest import untrained
from tests.fake_hub import FakeHub

LOADING = """
import json, os, sys
import ganlib
for argument in sys.argv[1:]:
    token, source = argument.split(" ")
    os.environ["HF_TOKEN"] = token
    try:
        model = ganlib.load(source, "cpu")
        print(json.dumps({"name": model.name, "x": model.sample(range(3)).tolist()}))
    except ganlib.WeightsError as error:
        print(json.dumps({"error": str(error)}))
"""


def load_elsewhere(environment: dict, *sources: str | tuple[str, str]) -> dict[str | tuple[str, str], dict]:
    """What another process gets for each source, or (source, token), in turn: a name and samples, or an error."""
    arguments = [f"{source[1]} {source[0]}" if isinstance(source, tuple) else f" {source}" for source in sources]
    ran = subprocess.run([sys.executable, "-c", LOADING, *arguments], env=environment, text=True, capture_output=True,
                         timeout=300, cwd=Path(__file__).parents[1])
    assert ran.returncode == 0, ran.stderr
    return dict(zip(sources, map(json.loads, ran.stdout.splitlines()), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small weights folder with all that belongs there, and something that does not."""
    path = ganlib.save(untrained("toy-gaussian"), tmp_path_factory.mktemp("weights") / "toy")
    (path / "README.md").write_text("# card")
    (path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    return path


@pytest.fixture(scope="module")
def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("source", "expected"), [
    ("user/repo", hub.Source("user/repo")),
    ("user/repo@v1", hub.Source("user/repo", "v1")),
    ("user/repo@refs/pr/1", hub.Source("user/repo", "refs/pr/1")),
    ("user/repo/cdcgan", hub.Source("user/repo", None, "cdcgan")),
    ("user/repo/a/b@main", hub.Source("user/repo", "main", "a/b")),
    *((source, None) for source in ("dcgan", "../x", "/x/y", "a/../b", "a/b/..", "a/b@x..y", "a/b/", "a/b@", "a b/c",
                                    "a--b/c", "a/b\n", "", "https://huggingface.co/a/b")),
])
def test_what_names_a_folder_on_the_hub(source, expected):
    assert hub.parse(source) == expected
    if expected:
        assert str(expected) == source


def test_a_published_folder_opens_by_its_name_and_then_without_a_network(folder, files, tmp_path):
    expected = ganlib.load(folder, "cpu").sample(range(3))
    with FakeHub() as server:
        first = server.put("alice/toy", files)
        server.put("alice/toy", {"model.safetensors": b"of a later commit"})
        server.put("alice/toy", files, revision="good")
        server.put("alice/many", {f"toys/one/{name}": content for name, content in files.items()})
        environment = server.environment(tmp_path)
        sources = ("alice/toy@good", f"alice/toy@{first}", "alice/many/toys/one", "alice/toy")
        there = load_elsewhere(environment, *sources)
        for source in sources[:3]:
            assert there[source]["name"] == source
            assert torch.equal(torch.tensor(there[source]["x"]), expected)
        assert "model.safetensors is not a whole safetensors file" in there["alice/toy"]["error"]
        fetched = {Path(seen.path).name for seen in server.requests if "/resolve/" in seen.path}
        assert fetched == set(hub.FETCHED)
    gone = load_elsewhere(environment, *sources, "alice/other")  # with nobody at the address any more
    assert "alice/other could not be fetched: the Hub could not be reached (" in gone.pop("alice/other")["error"]
    assert gone == there
    assert load_elsewhere({**environment, "HF_HUB_OFFLINE": "1"}, *sources[:2]) == {
        source: there[source] for source in sources[:2]}


def test_what_cannot_be_fetched_says_why_and_what_would_help(files, tmp_path):
    refusals = {
        "alice/nothing": "there is no folder 'alice/nothing', and alice/nothing could not be fetched: alice/nothing "
                         "does not exist on the Hub, or is private and there is no token, log in by `hf auth login`",
        "alice/private": "or is private and there is no token",
        "alice/gated": "alice/gated is gated, ask for access on its page, and log in by",
        "alice/wordy": "alice/wordy on the Hub: config.json is 65 KB, and no more than 64 KB is fetched",
        "alice/toy@v9": "alice/toy@v9 could not be fetched: alice/toy has no such revision",
        "alice/notes": "alice/notes on the Hub is no ganlib model: it has no config.json",
        "alice/toy/inside": "alice/toy/inside on the Hub is no ganlib model: it has no config.json",
        "alice/huge": "alice/huge on the Hub: model.safetensors is 10,240 MB, and no more than 256 MB is fetched",
        "alice/chatty": "alice/chatty on the Hub: history.json is 17 MB, and no more than 16 MB is fetched",
        "alice/foreign": "alice/foreign/config.json: unknown architecture 'os.system'",
        "alice/" + "a" * 300: "could not be fetched: ",
        "a" * 300: "there is no weights folder 'aaa",
        "alice/pickle": "model.safetensors is not a whole safetensors file",
        "alice/header": "model.safetensors is not a whole safetensors file",
    }
    foreign = json.dumps({"architecture": {"kind": "os.system"}}).encode()
    with FakeHub() as server:
        for name in ("toy", "huge", "chatty", "wordy"):
            server.put(f"alice/{name}", files)
        server.put("alice/private", files, private=True)
        server.put("alice/gated", files, gated=True)
        server.put("alice/notes", {"README.md": b"notes"})
        server.put("alice/foreign", {**files, "config.json": foreign})
        server.put("alice/pickle", {**files, "model.safetensors": b"\x80\x04\x95junk"})
        server.put("alice/header", {**files, "model.safetensors": (10 * 2**30).to_bytes(8, "little") + b"{}"})
        server.claim("alice/huge", "model.safetensors", 10 * 2**30)
        server.claim("alice/chatty", "history.json", 17 * 2**20)
        server.claim("alice/wordy", "config.json", 65 * 2**10)
        others = {
            ("alice/private", "hf_bob"): "or is private and your token has no right to it",
            ("alice/gated", "hf_bob"): "is gated, ask for access on its page",
            ("alice/toy", "hf_wrong"): "the Hub refuses your token, log in by",
            ("alice/toy", "hf_\u2026"): "your token has characters that no token has, log in by",
            ("alice/toy", "hf_\fx"): "your token has characters that no token has, log in by",
        }
        owned = [(f"alice/{name}", "hf_alice") for name in ("private", "gated")]
        there = load_elsewhere(server.environment(tmp_path), *refusals, *others, *owned)
        for source, sentence in (refusals | others).items():
            assert sentence in there[source]["error"], source
            assert "\n" not in there[source]["error"]
            assert "hf_" not in there[source]["error"]
        assert all("x" in there[source] for source in owned)
        got = [seen.path for seen in server.requests if seen.method == "GET" and "/resolve/" in seen.path]
        assert not [path for path in got if "/huge/" in path or "/chatty/" in path]


def test_a_broken_download_leaves_nothing_broken_and_can_be_repeated(files, tmp_path):
    with FakeHub() as server:
        server.put("alice/toy", files)
        server.put("alice/cut", files)
        server.fail("GET .*/resolve/.*/model.safetensors", status=500)
        server.cut("GET .*alice/cut/resolve/.*/discriminator.safetensors", after=100)
        broken, again, cut = load_elsewhere(server.environment(tmp_path), ("alice/toy", ""), "alice/toy",
                                            "alice/cut").values()
    assert broken["error"].endswith("could not be fetched: the Hub answered 500, Refused, as the test wants it")
    assert again["x"] == cut["x"]


def test_what_answers_wrongly_is_said_in_one_sentence(files, tmp_path):
    with FakeHub() as server:
        server.put("alice/toy", files)
        server.fail("GET /api/models/alice/busy", status=429, message="Too many requests.\nWait")
        server.answer_instead("GET /api/models/alice/portal", "<html>Log in to this network")
        busy, portal = load_elsewhere(server.environment(tmp_path), "alice/busy", "alice/portal").values()
    assert busy["error"].endswith("could not be fetched: the Hub answered 429, Too many requests")
    assert portal["error"].endswith("could not be fetched: what answers is not the Hub")


def test_without_sizes_nothing_is_fetched(files, tmp_path):
    with FakeHub() as server:
        server.put("alice/toy", files)
        server.claim("alice/toy", "model.safetensors", 10 * 2**30)
        server.fail("GET /api/models/alice/toy/tree/", status=418)  # which the client does not try again
        first, second = load_elsewhere(server.environment(tmp_path), ("alice/toy", ""), "alice/toy").values()
        assert not [seen for seen in server.requests if seen.method == "GET" and "/resolve/" in seen.path]
    assert "the Hub answered 418, " in first["error"]
    assert "model.safetensors is 10,240 MB" in second["error"]


def test_of_a_hostile_repo_nothing_but_the_models_own_files_is_asked_for(files, tmp_path):
    hostile = {"../config.json": b"{}", "toys/../../../../x": b"x", "/etc/x": b"x", "model.bin": b"\x80\x04.",
               "README.md": b"<script>alert(1)</script>"}
    with FakeHub() as server:
        server.put("alice/hostile", {**files, **hostile})
        assert "x" in load_elsewhere(server.environment(tmp_path / "home"), "alice/hostile")["alice/hostile"]
        fetched = {seen.path.partition("/resolve/")[2].partition("/")[2] for seen in server.requests} - {""}
    assert fetched == set(hub.FETCHED)
    assert not {path.name for path in tmp_path.rglob("*")} & {"x", "README.md", "model.bin"}
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_folder_comes_before_a_repo_of_its_name(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent.parent)
    source = f"{folder.parent.name}/{folder.name}"
    assert ganlib.load(source, "cpu").folder == Path(source)


ANONYMOUSLY = """
import sys
from ganlib import hub
for name in sys.argv[1:]:
    try:
        hub.fetch(hub.parse(name), anonymous=True)
        print("fetched")
    except hub.HubError as error:
        print(error)
"""


def test_a_stranger_gets_what_is_public_and_nothing_of_the_owners_cache(files, tmp_path):
    def as_a_stranger(environment: dict) -> list[str]:
        sources = ["alice/open", "alice/private", "alice/gated", "alice/large"]
        return subprocess.run([sys.executable, "-c", ANONYMOUSLY, *sources], env=environment, text=True,
                              capture_output=True, timeout=300, check=True,
                              cwd=Path(__file__).parents[1]).stdout.splitlines()

    with FakeHub() as server:
        server.put("alice/open", files)
        server.put("alice/private", files, private=True)
        server.put("alice/gated", files, gated=True)
        server.put("alice/large", files)
        server.claim("alice/large", "model.safetensors", 65 * 2**20)
        environment = server.environment(tmp_path, "hf_alice")
        owned = [(f"alice/{name}", "hf_alice") for name in ("private", "gated")]
        assert all("x" in found for found in load_elsewhere(environment, *owned).values())
        fetched, private, gated, large = as_a_stranger(environment)
        assert fetched == "fetched"
        assert private.startswith("alice/private could not be fetched: the Hub shows no model alice/private to everyb")
        assert gated.startswith("alice/gated could not be fetched: the Hub shows no model alice/gated to everybody")
        assert large == "alice/large on the Hub, as a whole, is 65 MB, and no more than 64 MB is fetched"
    assert all("could not be fetched" in line for line in as_a_stranger(environment))
