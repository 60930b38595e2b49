import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ganlib
from ganlib import hub, publishing
from tests.conftest import untrained
from tests.fake_hub import FakeHub

LOADING = """
import json, sys
import ganlib
for source in sys.argv[1:]:
    try:
        model = ganlib.load(source, "cpu")
        print(json.dumps({"name": model.name, "x": model.sample(range(3)).tolist()}))
    except ganlib.WeightsError as error:
        print(json.dumps({"error": str(error)}))
"""


def load_elsewhere(environment: dict, *sources: str) -> dict[str, dict]:
    """What another process loads from each source: a name and samples, or an error."""
    ran = subprocess.run([sys.executable, "-c", LOADING, *sources], env=environment, text=True, capture_output=True,
                         timeout=300, cwd=Path(__file__).parents[1])
    assert ran.returncode == 0, ran.stderr
    return dict(zip(sources, map(json.loads, ran.stdout.splitlines()), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small weights folder, with a file that does not belong there."""
    path = ganlib.save(untrained("toy-gaussian"), tmp_path_factory.mktemp("weights") / "toy")
    (path / "README.md").write_text("# card")
    (path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    return path


@pytest.fixture(scope="module")
def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A Hub that this process uses without a token."""
    with FakeHub() as found:
        found.use(monkeypatch, tmp_path)
        yield found


def refusal(source: str) -> str:
    """The sentence that `ganlib.load` refuses a source with."""
    with pytest.raises(ganlib.WeightsError) as caught:
        ganlib.load(source, "cpu")
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "hf_" not in sentence  # no token is shown
    return sentence


def downloads(server: FakeHub) -> list[str]:
    """The paths of the files that were downloaded, after the revision."""
    paths = [seen.path for seen in server.requests if seen.method == "GET" and "/resolve/" in seen.path]
    return [path.partition("/resolve/")[2].partition("/")[2] for path in paths]


@pytest.mark.parametrize(("source", "expected"), [
    ("user/repo", hub.Source("user/repo")),
    ("user/repo@v1", hub.Source("user/repo", "v1")),
    ("user/repo@refs/pr/1", hub.Source("user/repo", "refs/pr/1")),
    ("user/repo/cdcgan", hub.Source("user/repo", None, "cdcgan")),
    ("user/repo/a/b@main", hub.Source("user/repo", "main", "a/b")),
    *((source, None) for source in ("dcgan", "../x", "/x/y", "a/../b", "a/b/..", "a/b@x..y", "a/b/", "a/b@", "a b/c",
                                    "a--b/c", "a/b\nc", "")),
])
def test_names_of_folders_on_the_hub(source, expected):
    assert hub.parse(source) == expected
    if expected:
        assert str(expected) == source


def test_a_published_folder_loads_by_its_name_and_then_without_a_network(folder, files, tmp_path, monkeypatch):
    expected = ganlib.load(folder, "cpu").sample(range(3))
    with FakeHub() as server:
        server.use(monkeypatch, tmp_path)
        first = server.put("alice/toy", files)
        server.put("alice/toy", {"model.safetensors": b"of a later commit"})
        good = server.put("alice/toy", files, revision="good")
        many = server.put("alice/many", {f"toys/one/{name}": content for name, content in files.items()})
        sources = {"alice/toy@good": good, f"alice/toy@{first}": first, "alice/many/toys/one": many}
        for source, commit in sources.items():
            model = ganlib.load(source, "cpu")
            assert (model.name, model.sample(range(3)).tolist()) == (source, expected.tolist())
            assert model.revision == commit
        broken = refusal("alice/toy")
        assert "model.safetensors is not a complete safetensors file" in broken
        assert {Path(path).name for path in downloads(server)} == set(hub.FETCHED) - {"encoder.safetensors"}
    for source in sources:  # there is no server any more
        assert ganlib.load(source, "cpu").sample(range(3)).equal(expected)
    assert refusal("alice/toy") == broken
    assert "alice/other could not be fetched: the Hub could not be reached (" in refusal("alice/other")


def test_a_pasted_address_loads_by_its_name(server, files, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    server.put("alice/toy", files, revision="v1")
    address = f"{server.endpoint}/alice/toy/blob/v1/model.safetensors?x"
    assert ganlib.load(address, "cpu").name == "alice/toy@v1"
    assert refusal("https://huggingface.co/spaces/alice/toy").startswith(
        "'https://huggingface.co/spaces/alice/toy' is a Space; a model on the Hub is named user/repo")


def test_a_path_with_a_typing_error_is_first_a_missing_folder():
    assert refusal("datasets/cats/black").startswith(
        "there is no folder 'datasets/cats/black', and on the Hub 'datasets/cats/black' is a dataset; a model on")


def test_a_repo_to_write_to_may_be_an_address(folder):
    assert hub.check_repo("https://huggingface.co/alice/toy/") == hub.check_repo("alice/toy", "v1") == "alice/toy"
    assert hub.check_repo("https://huggingface.co/spaces/alice/page", repo_type="space") == "alice/page"
    shipped = ganlib.shipped()["toy-sine"]
    assert publishing.prepare(shipped, "huggingface.co/alice/toy").repo == "alice/toy"
    for repo in ("toy", "alice/toy@v1", "alice/toy/sub", "https://huggingface.co/alice/toy/tree/v1",
                 "https://huggingface.co/spaces/alice/toy", "https://huggingface.co/alice"):
        with pytest.raises(ValueError, match="a repo on the Hub is named user/name(, not|$)"):
            hub.check_repo(repo)
    with pytest.raises(ValueError, match="^a repo on the Hub is named user/name, not 'alice/toy@v1'$"):
        hub.check_repo("https://alice:hf_secret@huggingface.co/alice/toy/tree/v1")
    with pytest.raises(ValueError, match="^a Space on the Hub is named user/space, not 'page'$"):
        hub.check_repo("page", repo_type="space")
    with pytest.raises(hub.HubError, match="a folder of this machine is needed: download alice/toy@v1 first, by `hf "
                                           "download alice/toy --revision v1 --local-dir FOLDER`"):
        publishing.prepare("https://huggingface.co/alice/toy/tree/v1", "alice/toy")


def test_without_a_home_or_the_right_to_write_a_sentence_asks_for_a_folder(server, files, monkeypatch, tmp_path):
    from huggingface_hub import constants

    server.put("alice/toy", files)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "~/.cache/huggingface/hub")  # as the client has it without a home
    assert refusal("alice/toy").endswith("alice/toy could not be fetched: there is no home folder to keep models in: "
                                         "name one by HF_HOME")
    assert not (tmp_path / "~").exists()
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    assert refusal("alice/toy").endswith("; name another folder for the cache by HF_HOME")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "file" / "token"))
    assert refusal("alice/toy").endswith(f": Not a directory: {tmp_path}/file/token; name another folder for the cache "
                                         f"by HF_HOME")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "other"))
    assert hub.cause_of(PermissionError(13, "Permission denied", "/mine/model.safetensors"), "alice/toy", False) == (
        "Permission denied: /mine/model.safetensors")


def test_a_cached_folder_loads_offline(server, files, monkeypatch):
    from huggingface_hub import constants

    server.put("alice/toy", files)
    x = ganlib.load("alice/toy", "cpu").sample([1])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.requests.clear()
    assert ganlib.load("alice/toy", "cpu").sample([1]).equal(x)
    assert server.requests == []


def test_a_model_that_cannot_be_downloaded_is_refused_with_the_reason(server, files, monkeypatch):
    refusals = {
        "alice/nothing": "there is no folder 'alice/nothing', and alice/nothing could not be fetched: alice/nothing "
                         "does not exist on the Hub, or is private and there is no token, log in by `hf auth login`",
        "alice/private": "or is private and there is no token",
        "alice/gated": "alice/gated is gated, ask for access on its page, and log in by",
        "alice/wordy": "alice/wordy on the Hub is too large: config.json: 65 KB, at most 64 KB",
        "alice/toy@v9": "alice/toy@v9 could not be fetched: alice/toy has no such revision",
        "alice/notes": "alice/notes on the Hub is not a ganlib model: it has no config.json",
        "alice/toy/inside": "alice/toy/inside on the Hub is not a ganlib model: it has no config.json",
        "alice/huge": "model.safetensors: 10,485,760 KB, at most 262,144 KB",
        "alice/chatty": "history.json: 17,408 KB, at most 16,384 KB",
        "alice/foreign": "alice/foreign/config.json: unknown architecture 'os.system'",
        "alice/" + "a" * 300: "could not be fetched: ",
        "a" * 300: "there is no weights folder 'aaa",
        "alice/pickle": "model.safetensors is not a complete safetensors file",
        "alice/header": "model.safetensors is not a complete safetensors file",
    }
    for name in ("toy", "huge", "chatty", "wordy"):
        server.put(f"alice/{name}", files)
    server.put("alice/private", files, private=True)
    server.put("alice/gated", files, gated=True)
    server.put("alice/notes", {"README.md": b"notes"})
    server.put("alice/foreign", {**files, "config.json": json.dumps({"architecture": {"kind": "os.system"}}).encode()})
    server.put("alice/pickle", {**files, "model.safetensors": b"\x80\x04\x95junk"})
    server.put("alice/header", {**files, "model.safetensors": (10 * 2**30).to_bytes(8, "little") + b"{}"})
    server.claim("alice/huge", "model.safetensors", 10 * 2**30)
    server.claim("alice/chatty", "history.json", 17 * 2**20)
    server.claim("alice/wordy", "config.json", 65 * 2**10)
    for source, sentence in refusals.items():
        assert sentence in refusal(source), source
    assert not [seen for seen in server.requests if seen.method == "GET" and re.search("(huge|chatty)/res", seen.path)]
    for source, token, sentence in (
            ("alice/private", "hf_bob", "or is private and your token has no right to it"),
            ("alice/gated", "hf_bob", "is gated, ask for access on its page"),
            ("alice/toy", "hf_wrong", "the Hub refuses your token, log in anew by"),
            ("alice/toy", "hf_\u2026", "your token has characters that no token has, log in anew by"),
            ("alice/toy", "hf_\fx", "your token has characters that no token has, log in anew by")):
        monkeypatch.setenv("HF_TOKEN", token)
        assert sentence in refusal(source), token
    monkeypatch.setenv("HF_TOKEN", "hf_alice")
    for source in ("alice/private", "alice/gated"):
        assert ganlib.load(source, "cpu").name == source


def test_a_failed_download_can_be_repeated(server, files):
    server.put("alice/toy", files)
    server.answer("GET .*/resolve/.*/model.safetensors", 500)
    assert refusal("alice/toy").endswith("could not be fetched: the Hub answered 500, Refused by the test")
    assert ganlib.load("alice/toy", "cpu").name == "alice/toy"


def test_a_wrong_answer_is_one_sentence(server):
    server.answer("GET /api/models/alice/busy", 429, "Too many requests.\nWait")
    server.answer("GET /api/models/alice/portal", 200, "<html>Log in to this network")
    assert refusal("alice/busy").endswith("could not be fetched: the Hub answered 429, Too many requests")
    assert refusal("alice/portal").endswith("could not be fetched: the answer is not from the Hub")


def test_nothing_is_downloaded_if_the_sizes_are_unknown(server, files):
    server.put("alice/toy", files)
    server.claim("alice/toy", "model.safetensors", 10 * 2**30)
    server.answer("GET /api/models/alice/toy/tree/", 418)  # which the client does not retry
    assert "the Hub answered 418, " in refusal("alice/toy")
    assert "model.safetensors: 10,485,760 KB" in refusal("alice/toy")
    assert downloads(server) == []


def test_only_a_models_own_files_are_downloaded(server, files, tmp_path):
    hostile = {"../config.json": b"{}", "toys/../../../../x": b"x", "/etc/x": b"x", "model.bin": b"\x80\x04.",
               "README.md": b"<script>alert(1)</script>"}
    server.put("alice/hostile", {**files, **hostile})
    ganlib.load("alice/hostile", "cpu")
    assert set(downloads(server)) == set(hub.FETCHED) - {"encoder.safetensors"}  # this model has none
    assert not {path.name for path in tmp_path.rglob("*")} & {"x", "README.md", "model.bin"}
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]


def test_a_folder_comes_before_a_repo_of_its_name(folder, monkeypatch):
    monkeypatch.chdir(folder.parent.parent)
    source = f"{folder.parent.name}/{folder.name}"
    assert ganlib.load(source, "cpu").folder == Path(source)


def test_a_visitor_gets_public_models_and_nothing_of_the_hosts_cache(server, files, monkeypatch):
    server.put("alice/open", files)
    server.put("alice/private", files, private=True)
    server.put("alice/gated", files, gated=True)
    server.put("alice/large", files)
    server.claim("alice/large", "model.safetensors", 65 * 2**20)
    monkeypatch.setenv("HF_TOKEN", "hf_alice")
    for name in ("private", "gated"):
        ganlib.load(f"alice/{name}", "cpu")  # is in the host's cache now

    def visit(name: str) -> str:
        with pytest.raises(hub.HubError) as caught:
            hub.load_source(hub.Source(f"alice/{name}"), "cpu", anonymous=True)
        return str(caught.value)

    assert hub.load_source(hub.Source("alice/open"), "cpu", anonymous=True).name == "alice/open"
    for name in ("private", "gated"):
        assert visit(name).startswith(f"alice/{name} could not be fetched: the Hub has no public model of that name")
    assert "all files together: 66,5" in visit("large")
    server.answer("GET .*", 503)
    assert "could not be fetched" in visit("open")
