"""The fake Hub, asked by the real client: each script runs in a process of its own, whose environment names the hub."""

import hashlib
import http.client
import json
import re
import subprocess
import sys
import threading
from textwrap import dedent

import pytest

from tests.fake_hub import FakeHub

PRELUDE = """
import json
from pathlib import Path
from huggingface_hub import CommitOperationAdd as Add, CommitOperationDelete as Delete, HfApi

api = HfApi()

def error(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except Exception as error:
        return type(error).__name__

def commit(files, message="Upload", **kwargs):
    return api.create_commit("alice/model", [Add(path, data) for path, data in files.items()], commit_message=message,
                             **kwargs)
"""
WEIGHTS = bytes(range(256)) * 1200  # 307 kB
SEVERAL_CHUNKS = bytes(range(256)) * (44 << 10)  # 11 MiB, of which the client writes 10 at once


@pytest.fixture
def hub():
    with FakeHub() as hub:
        yield hub


@pytest.fixture
def client(hub, tmp_path):
    """Runs a script with the real client; what it left in `answer`."""
    def run(script: str, token: str | None = "hf_alice"):
        (tmp_path / "weights").write_bytes(WEIGHTS)
        code = f"{PRELUDE}{dedent(script)}\nprint(json.dumps(answer))"
        done = subprocess.run([sys.executable, "-c", code], env=hub.environment(tmp_path / "home", token),
                              cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return run


def asked(hub: FakeHub, pattern: str) -> list[int]:
    """Statuses of the requests whose method and path have this pattern, in order."""
    return [seen.status for seen in hub.requests if re.search(pattern, f"{seen.method} {seen.path}")]


def test_what_goes_up_comes_down_again(hub, client):
    answer = client("""
        made = api.create_repo("alice/model")
        uploaded = commit({"config.json": b"{}", "a folder/weights.bin": "weights", "README.md": b"---\\nx: y\\n---"})
        folder = Path(api.snapshot_download("alice/model"))
        files = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
        same = (folder / "a folder/weights.bin").read_bytes() == Path("weights").read_bytes()
        answer = [made, uploaded.oid, folder.name, sorted(files), same, (folder / "config.json").read_text()]
    """)
    sha = hub.commits("alice/model")[0].sha
    assert answer == [f"{hub.endpoint}/alice/model", sha, sha,
                      [".gitattributes", "README.md", "a folder/weights.bin", "config.json"], True, "{}"]
    assert hub.files("alice/model")["a folder/weights.bin"] == WEIGHTS
    assert [commit.message for commit in hub.commits("alice/model")] == ["Upload", "initial commit"]
    assert asked(hub, "PUT /lfs/") == [200]
    assert not [seen for seen in hub.requests if seen.path.startswith("/lfs/") and seen.has_token]


def test_a_repository_that_is_there_is_not_made_again(hub, client):
    hub.put("alice/model", {"config.json": b"{}"})
    answer = client("""
        answer = [error(api.create_repo, "alice/model"), api.create_repo("alice/model", exist_ok=True)]
    """)
    assert answer == ["HfHubHTTPError", f"{hub.endpoint}/alice/model"]


def test_unchanged_files_make_no_commit(hub, client):
    sha = hub.put("alice/model", {"config.json": b"{}", "weights.bin": WEIGHTS})
    assert client("""answer = commit({"config.json": b"{}", "weights.bin": "weights"}).oid""") == sha
    assert asked(hub, "POST /api/models/alice/model/commit") == asked(hub, "PUT") == []


def test_branches_deletions_and_stale_parents(hub, client):
    first = hub.put("alice/model", {"config.json": b"{}", "old/a.txt": b"a", "old/b.txt": b"b", "c.txt": b"c"})
    answer = client(f"""
        api.create_branch("alice/model", branch="try/one")
        api.create_commit("alice/model", [Delete("old/"), Delete("c.txt")], commit_message="Less", revision="try/one",
                          parent_commit="{first}")
        answer = [
            api.list_repo_files("alice/model", revision="try/one"),
            [entry.path for entry in api.list_repo_tree("alice/model")],
            [entry.path for entry in api.get_paths_info("alice/model", ["old", "c.txt", "missing"])],
            [path.name for path in Path(api.snapshot_download("alice/model", revision="try/one")).iterdir()],
            error(commit, {{"config.json": b"[]"}}, revision="try/one", parent_commit="{first}"),
            error(commit, {{"config.json": b"[]"}}, revision="missing"),
        ]
    """)
    assert answer == [["config.json"], ["c.txt", "config.json", "old"], ["old", "c.txt"], ["config.json"],
                      "HfHubHTTPError", "RevisionNotFoundError"]
    assert hub.files("alice/model", revision="try/one") == {"config.json": b"{}"}
    assert hub.commits("alice/model", revision="try/one")[0].parents == (first,)
    assert 412 in asked(hub, "commit/try%2Fone")


READ = """answer = [error(api.repo_info, "alice/model"), error(api.hf_hub_download, "alice/model", "config.json"),
                    error(api.snapshot_download, "alice/model")]"""


@pytest.mark.parametrize(("token", "expected"), [("hf_alice", [None] * 3), ("hf_bob", ["RepositoryNotFoundError"] * 3),
                                                 (None, ["RepositoryNotFoundError"] * 3)])
def test_a_private_repository_is_its_owners(hub, client, token, expected):
    hub.put("alice/model", {"config.json": b"{}"}, private=True)
    assert client(READ, token) == expected


def test_a_gated_repository_shows_its_files_names_alone(hub, client):
    hub.put("alice/model", {"config.json": b"{}"}, gated=True)
    for token in (None, "hf_bob"):
        assert client(READ, token) == [None, "GatedRepoError", "GatedRepoError"]
    assert asked(hub, "HEAD") == [401, 401, 403, 403]


def test_what_is_missing_is_the_clients_own_error(hub, client):
    hub.put("alice/model", {"config.json": b"{}"})
    answer = client("""
        answer = [
            error(api.snapshot_download, "alice/missing"),
            error(api.snapshot_download, "alice/model", revision="missing"),
            error(api.hf_hub_download, "alice/model", "missing.json"),
            error(api.snapshot_download, "alice/model", repo_type="space"),
        ]
    """)
    assert answer == ["RepositoryNotFoundError", "RevisionNotFoundError", "RemoteEntryNotFoundError",
                      "RepositoryNotFoundError"]


def test_who_may_not_write_is_told_so(hub, client):
    hub.put("alice/model", {"config.json": b"{}"})
    write = """answer = [error(api.whoami), error(api.create_repo, "alice/other"), error(commit, {"a.txt": b"a"})]"""
    assert client(write, "hf_bob") == [None, "HfHubHTTPError", "HfHubHTTPError"]
    assert client(write, "hf_unknown") == ["HfHubHTTPError"] * 3
    assert client(write, None) == ["LocalTokenNotFoundError", "HfHubHTTPError", "RepositoryNotFoundError"]
    assert asked(hub, "POST") == [403, 403, 401, 401, 401, 401]
    assert len(hub.commits("alice/model")) == 1


def test_a_cut_download_goes_on_or_is_repeated(hub, client):
    hub.put("alice/model", {"weights.bin": WEIGHTS, "large.bin": SEVERAL_CHUNKS})
    hub.cut("GET .*/weights.bin")
    hub.cut("GET .*/large.bin", after=(10 << 20) + 1000)
    answer = client("""
        import hashlib
        folder = Path(api.snapshot_download("alice/model"))
        answer = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("weights.bin", "large.bin")]
    """)
    assert answer == [hashlib.sha256(data).hexdigest() for data in (WEIGHTS, SEVERAL_CHUNKS)]
    assert asked(hub, "GET .*/weights.bin") == [200, 200]
    assert asked(hub, "GET .*/large.bin") == [200, 206]


def test_a_cut_upload_leaves_no_commit(hub, client):
    first = hub.put("alice/model", {"config.json": b"{}"})
    hub.cut("PUT /lfs/")
    hub.cut("POST .*/commit/", after=10)
    upload = """answer = error(commit, {"weights.bin": "weights", "b.txt": b"b"})"""
    assert client(upload) in ("ReadError", "RemoteProtocolError")
    assert asked(hub, "PUT /lfs/") == [0, 200]
    assert [commit.sha for commit in hub.commits("alice/model")] == [first]
    assert client(upload) is None
    assert asked(hub, "PUT /lfs/") == [0, 200]
    assert hub.files("alice/model") == {"config.json": b"{}", "weights.bin": WEIGHTS, "b.txt": b"b"}


def test_what_the_client_repeats_and_what_not(hub, client):
    hub.put("alice/model", {"config.json": b"{}"})
    hub.fail("GET .*/tree/")
    hub.fail("HEAD .*/config.json")
    hub.fail("GET .*/config.json", status=429)
    assert client("""answer = error(api.snapshot_download, "alice/model")""") is None
    assert asked(hub, "GET /api/models/alice/model/tree/") == [500, 200]
    assert asked(hub, "HEAD") == [500, 200]
    assert asked(hub, "GET /alice/model/resolve") == [429, 200]
    hub.fail("POST .*/commit/")
    hub.fail("GET /api/models/", status=404, code="RepoNotFound")
    answer = client("""answer = [error(commit, {"a.txt": b"a"}), error(api.model_info, "alice/model")]""")
    assert answer == ["HfHubHTTPError", "RepositoryNotFoundError"]
    assert len(hub.commits("alice/model")) == 1


def test_a_claimed_size_is_what_a_dry_run_tells(hub, client):
    hub.put("alice/model", {"config.json": b"{}", "weights.bin": WEIGHTS})
    hub.claim("alice/model", "weights.bin", 10**12)
    hub.claim("alice/model", "config.json", 10**9)
    answer = client("""
        planned = api.snapshot_download("alice/model", dry_run=True)
        answer = [{file.filename: file.file_size for file in planned},
                  {file.path: file.size for file in api.list_repo_tree("alice/model")},
                  {file.rfilename: file.size for file in api.model_info("alice/model", files_metadata=True).siblings}]
    """)
    assert answer == [{"weights.bin": 10**12, "config.json": 10**9}] * 3
    assert asked(hub, "GET /alice/model/resolve") == []


def test_a_space_has_an_sdk_and_hardware(hub, client):
    answer = client("""
        space = dict(repo_id="alice/app", repo_type="space")
        made = api.create_repo(**space, space_sdk="gradio", private=True)
        api.create_commit("alice/app", [Add("app.py", b"1"), Add("weights/a.bin", "weights")], commit_message="Upload",
                          repo_type="space")
        api.request_space_hardware("alice/app", "zero-a10g")
        folder = Path(api.snapshot_download(**space, allow_patterns="weights/*"))
        answer = [made, api.space_info("alice/app").sdk, (folder / "weights/a.bin").stat().st_size]
    """)
    assert answer == [f"{hub.endpoint}/spaces/alice/app", "gradio", len(WEIGHTS)]
    assert hub.hardware == {"alice/app": "zero-a10g"}
    assert set(hub.files("alice/app", repo_type="space")) == {".gitattributes", "README.md", "app.py", "weights/a.bin"}


def test_a_space_has_variables(hub, client):
    answer = client("""
        api.create_repo("alice/app", repo_type="space", space_sdk="gradio")
        api.add_space_variable("alice/app", "A", "1")
        api.add_space_variable("alice/app", "B", "2")
        answer = {key: variable.value for key, variable in api.add_space_variable("alice/app", "A", "3").items()}
    """)
    assert answer == {"A": "3", "B": "2"}
    assert hub.variables == {"alice/app": {"A": "3", "B": "2"}}


def test_one_connection_serves_many_requests_and_ranges(hub):
    hub.put("alice/model", {"a.txt": b"0123456789"})
    connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"))

    def get(method="GET", path="/alice/model/resolve/main/a.txt", body=None, **headers):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Length"], answer.read()

    get()
    socket = connection.sock
    assert get("HEAD") == (200, "10", b"")
    assert get("HEAD", "/alice/model/resolve/main/b.txt")[0] == 404
    assert get() == (200, "10", b"0123456789")
    assert get(Range="bytes=2-4") == (206, "3", b"234")
    assert get(Range="bytes=7-") == (206, "3", b"789")
    assert get(Range="bytes=-2") == (206, "2", b"89")
    assert get(Range="bytes=10-")[0] == 416
    assert get("POST", "/not/spoken", b"body")[0] == 404
    assert connection.sock is socket
    connection.close()


def test_a_commit_is_done_wholly_or_not_at_all(hub):
    hub.put("alice/model", {"a.txt": b"a"})
    lines = [{"key": "header", "value": {"summary": "Half"}}, {"key": "deletedFile", "value": {"path": "a.txt"}},
             {"key": "lfsFile", "value": {"path": "b.bin", "oid": "0" * 64, "algo": "sha256", "size": 5}}]
    connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"))
    connection.request("POST", "/api/models/alice/model/commit/main", "\n".join(map(json.dumps, lines)),
                       {"Authorization": "Bearer hf_alice"})
    assert connection.getresponse().status == 400
    connection.close()
    assert hub.files("alice/model") == {"a.txt": b"a"}


def test_nothing_is_left_when_it_ends():
    before = set(threading.enumerate())
    with FakeHub() as hub:
        connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"))
        connection.request("GET", "/api/whoami-v2")
        assert connection.getresponse().read()
    connection.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(ConnectionError):
        connection.request("GET", "/api/whoami-v2")


def test_a_fault_of_its_own_does_not_pass_for_the_hubs():
    def ask(hub):
        connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"))
        connection.request("POST", "/api/validate-yaml", b"no JSON")
        assert connection.getresponse().status == 500
        connection.close()

    with pytest.raises(ExceptionGroup, match="the fake hub itself failed"), FakeHub() as hub:
        ask(hub)
