"""A small Hugging Face Hub on loopback that keeps its repositories in memory. It knows nothing of ganlib.

    with FakeHub() as hub:
        hub.put("alice/model", {"config.json": b"{}"})
        subprocess.run([...], env=hub.environment(tmp_path, token="hf_alice"))

It answers what huggingface_hub 2.4 asks about models and Spaces. Files are sent inside the commit, not by LFS or Xet.
"""

import base64
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from tests.fake_jobs import Jobs


class Seen(NamedTuple):
    method: str
    path: str  # as sent: quoted, without the query


class Commit(NamedTuple):
    sha: str
    message: str
    files: dict[str, bytes]


@dataclass
class Repo:
    kind: str  # "models" or "spaces"
    name: str  # "alice/model"
    private: bool = False
    gated: bool = False
    branches: dict[str, list[Commit]] = field(default_factory=dict)  # the newest commit is the last
    claimed_sizes: dict[str, int] = field(default_factory=dict)
    made: int = 0  # commits so far

    def at(self, revision: str) -> Commit:
        """The commit that a branch or a sha names."""
        if revision in self.branches:
            return self.branches[revision][-1]
        for commit in (commit for commits in self.branches.values() for commit in commits):
            if commit.sha == revision:
                return commit
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def add(self, branch: str, files: dict[str, bytes], message: str) -> Commit:
        commits = self.branches.setdefault(branch, list(self.branches.get("main", [])))
        self.made += 1
        sha = hashlib.sha1(f"{self.kind} {self.name} {branch} {self.made}".encode()).hexdigest()
        commits.append(Commit(sha, message, files))
        return commits[-1]


class Refusal(Exception):
    """An answer other than 2xx. The client chooses its exception by the code."""

    def __init__(self, status: int, message: str, code: str = "", **fields: str):
        super().__init__(message)
        first_line = message.partition("\n")[0]
        self.answer = status, {"error": message, **fields}, {"X-Error-Message": first_line, "X-Error-Code": code}


class FakeHub:
    """Serves inside a `with` block.

    users: names by token; a token may write to repositories of its user
    roles: of tokens, "write" if not listed
    requests: all requests so far
    hardware, variables: of Spaces, by their names
    jobs: of Hugging Face Jobs, None if there are none
    collections: by their slugs
    """

    def __init__(self, users: dict[str, str] | None = None):
        self.users = users or {"hf_alice": "alice", "hf_bob": "bob"}
        self.roles: dict[str, str] = {}
        self.requests: list[Seen] = []
        self.hardware: dict[str, str] = {}
        self.variables: dict[str, dict[str, str]] = {}
        self.jobs: Jobs | None = None
        self.collections: dict[str, dict[str, Any]] = {}
        self._repos: dict[tuple[str, str], Repo] = {}
        self._answers: list[tuple[str, int, str]] = []
        self._events: list[tuple[str, Callable[[], object]]] = []
        self._held: tuple[str, threading.Event, threading.Event] | None = None
        self._errors: list[Exception] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "FakeHub":
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def serve(self) -> None:
                hub._serve(self)

            do_GET = do_HEAD = do_POST = do_DELETE = serve

            def log_message(self, *arguments) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()
        assert not self._errors, self._errors

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """The environment of a process whose huggingface_hub uses this hub, and `home` for its cache."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        return kept | {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1",
                       "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                       "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"} | ({"HF_TOKEN": token} if token else {})

    def use(self, monkeypatch, home: Path, token: str | None = None) -> None:
        """Points the huggingface_hub of this process to this hub, with `home` for its cache."""
        from huggingface_hub import constants

        template = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", self.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", self.endpoint + template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HF_TOKEN", token or "")

    def put(self, repo: str, files: dict[str, bytes], revision: str = "main", repo_type: str = "model",
            private: bool = False, gated: bool = False) -> str:
        """Adds files to a branch in a commit. Returns its sha. A missing repository is created."""
        found = self._repos.setdefault((f"{repo_type}s", repo), Repo(f"{repo_type}s", repo, private, gated))
        known = found.at(revision).files if revision in found.branches else {}
        return found.add(revision, known | files, "put").sha

    def files(self, repo: str, repo_type: str = "model", revision: str = "main") -> dict[str, bytes]:
        return self._repos[f"{repo_type}s", repo].at(revision).files

    def commits(self, repo: str, branch: str = "main") -> list[Commit]:
        """The newest first."""
        return self._repos["models", repo].branches[branch][::-1]

    def branches(self, repo: str) -> set[str]:
        return set(self._repos["models", repo].branches)

    def claim(self, repo: str, file: str, size: int) -> None:
        """Tells another size of a model's file than it has."""
        self._repos["models", repo].claimed_sizes[file] = size

    def answer(self, pattern: str, status: int, text: str = "Refused by the test") -> None:
        """Answers the next request whose "METHOD path" has the pattern: with an error, or, at 200, with a web page."""
        self._answers.append((pattern, status, text))

    def before(self, pattern: str, event: Callable[[], object]) -> None:
        """Lets something happen before the next request whose "METHOD path" has the pattern is answered."""
        self._events.append((pattern, event))

    @contextmanager
    def hold(self, pattern: str) -> Iterator[threading.Event]:
        """Answers no request whose "METHOD path" has the pattern inside the block; the event is set by the first."""
        self._held = pattern, threading.Event(), threading.Event()
        _, reached, over = self._held
        try:
            yield reached
        finally:
            self._held = None
            over.set()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        method, path = handler.command, handler.path.partition("?")[0]
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        if self._held and re.search(self._held[0], f"{method} {path}"):
            _, reached, over = self._held
            reached.set()
            over.wait(300)
        with self._lock:
            self.requests.append(Seen(method, path))
            try:
                token = (handler.headers["Authorization"] or "").removeprefix("Bearer ")
                status, content, headers = self._answer(method, handler.path, body, token)
            except Refusal as refusal:
                status, content, headers = refusal.answer
            except Exception as error:
                self._errors.append(error)
                status, content, headers = 500, repr(error), {}
        if isinstance(content, Iterator):
            return self._stream(handler, content)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(data)), "Content-Type": "application/json"} | headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        if method != "HEAD":
            handler.wfile.write(data)

    def _stream(self, handler: BaseHTTPRequestHandler, parts: Iterator[bytes]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        with suppress(ConnectionError):  # the reader may leave
            for part in parts:
                handler.wfile.write(part)

    def _answer(self, method: str, path: str, body: bytes, token: str) -> tuple[int, Any, dict[str, str]]:
        path, _, query = path.partition("?")
        for planned_event in self._events:
            if re.search(planned_event[0], f"{method} {path}"):
                self._events.remove(planned_event)
                planned_event[1]()
                break
        for planned in self._answers:
            pattern, status, text = planned
            if re.search(pattern, f"{method} {path}"):
                self._answers.remove(planned)
                if status == 200:
                    return status, text.encode(), {"Content-Type": "text/html"}
                raise Refusal(status, text)
        user = self.users.get(token)
        if token and user is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        match method, *map(unquote, path.strip("/").split("/")):
            case "GET", "api", "whoami-v2":
                if user is None:
                    raise Refusal(401, "Invalid username or password.")
                access = {"displayName": "tests", "role": self.roles.get(token, "write")}
                return 200, {"type": "user", "name": user, "orgs": [], "auth": {"accessToken": access}}, {}
            case "POST", "api", "validate-yaml":
                return 200, {"errors": [], "warnings": []}, {}
            case "POST", "api", "repos", "create":
                return self._create(user, json.loads(body))
            case method, "api", "jobs", *rest if self.jobs:
                if user is None or (rest[0] != user and rest != ["hardware"]):
                    raise Refusal(403 if user else 401, "You don't have the rights to run jobs there")
                answer = self.jobs.answer(method, rest, parse_qs(query), body, user)
                if answer is None:
                    raise Refusal(404, f"There is no job {rest}")
                return 200, answer, {}
            case method, "api", "collections", *rest:
                return 200, self._collection(method, rest, body and json.loads(body), parse_qs(query), user), {}
            case "POST", "api", "models", owner, name, "commit", revision if parse_qs(query).get("create_pr"):
                return 200, self._pull_request(self._find("models", f"{owner}/{name}", user), revision, body), {}
            case method, "api", ("models" | "spaces") as kind, owner, name, *rest:
                writes = method in ("POST", "DELETE") or rest[:1] in (["auth-check"], ["variables"])
                writes = writes and not parse_qs(query).get("create_pr")
                repo = self._find(kind, f"{owner}/{name}", user, writes)
                return 200, self._api(repo, rest, body, method), {}
            case _, *kind, owner, name, "resolve", revision, file if kind in ([], ["spaces"]):
                return self._resolve(self._find(*kind or ["models"], f"{owner}/{name}", user), user, revision, file)
            case _, owner, name, "resolve", revision, *folders, file:
                return self._resolve(self._find("models", f"{owner}/{name}", user), user, revision,
                                     "/".join([*folders, file]))
        raise Refusal(404, f"The fake hub does not know {method} {path}")

    def _find(self, kind: str, name: str, user: str | None, writes: bool = False) -> Repo:
        """A private repository is refused to others like one that does not exist."""
        repo = self._repos.get((kind, name))
        is_owner = user == name.split("/")[0]
        if repo is None or (repo.private and not is_owner) or (writes and user is None):
            raise Refusal(404 if user else 401, "Repository not found", "RepoNotFound")
        if writes and not is_owner:
            raise Refusal(403, f"You don't have the rights to write to {name}")
        return repo

    def _create(self, user: str | None, wanted: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        """A new repository has a first commit, as on the Hub."""
        kind, owner = f"{wanted.get('type', 'model')}s", wanted.get("organization") or user
        if user is None or owner != user:
            raise Refusal(403 if user else 401, f"You don't have the rights to create a repository of {owner}")
        name = f"{owner}/{wanted['name']}"
        if (kind, name) in self._repos:
            return 409, {"url": f"{self.endpoint}/{name}", "error": "You already created this repo"}, {}
        repo = self._repos[kind, name] = Repo(kind, name, wanted.get("visibility") == "private")
        first = {".gitattributes": b""} | ({"README.md": b"---\nsdk: gradio\n---\n"} if kind == "spaces" else {})
        repo.add("main", first, "initial commit")
        if "hardware" in wanted:
            self.hardware[name] = wanted["hardware"]
        return 200, {"url": f"{self.endpoint}/{name}", "name": name}, {}

    def _api(self, repo: Repo, rest: list[str], body: bytes, method: str) -> Any:
        """What follows /api/models/owner/name, or that of a Space."""
        match rest:
            case [] | ["revision", _]:
                commit = repo.at(rest[1] if rest else "main")
                return {"id": repo.name, "sha": commit.sha, "private": repo.private, "siblings": [], "tags": [],
                        "gated": "manual" if repo.gated else False}
            case ["auth-check", "write"]:
                return {}
            case ["tree", revision]:
                return [{"type": "file", "path": path, "oid": oid(data),
                         "size": repo.claimed_sizes.get(path, len(data))}
                        for path, data in repo.at(revision).files.items()]
            case ["branch", branch] if method == "DELETE":
                del repo.branches[branch]
                return {}
            case ["branch", branch]:
                if branch in repo.branches:
                    raise Refusal(409, f"Reference already exists: {branch}")
                repo.branches[branch] = list(repo.branches["main"])
                return {}
            case ["super-squash", branch]:
                files = repo.branches[branch][-1].files
                repo.branches[branch].clear()
                repo.add(branch, files, json.loads(body)["message"])
                return {}
            case ["preupload", revision]:  # the client does not send a file that is there already
                known = {path: {"oid": oid(data)} for path, data in repo.at(revision).files.items()}
                return {"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                                  | known.get(file["path"], {}) for file in json.loads(body)["files"]]}
            case ["commit", revision]:
                header, *changes = [json.loads(line)["value"] for line in body.splitlines() if line]
                if header.get("parentCommit") not in (None, repo.at(revision).sha):
                    raise Refusal(412, "A commit has happened since. Please refresh and try again.")
                files = dict(repo.at(revision).files)
                for change in changes:
                    if "content" in change:
                        files[change["path"]] = base64.b64decode(change["content"])
                    else:
                        del files[change["path"]]
                sha = repo.add(revision, files, header["summary"]).sha
                prefix = "spaces/" if repo.kind == "spaces" else ""
                return {"success": True, "commitOid": sha, "hookOutput": "",
                        "commitUrl": f"{self.endpoint}/{prefix}{repo.name}/commit/{sha}"}
            case ["hardware"]:
                self.hardware[repo.name] = json.loads(body)["flavor"]
                return self._runtime(repo)
            case ["runtime"]:
                return self._runtime(repo)
            case ["variables"] if method == "GET":
                return {key: {"value": value} for key, value in self.variables.get(repo.name, {}).items()}
            case ["variables"]:
                variable = json.loads(body)
                self.variables.setdefault(repo.name, {})[variable["key"]] = variable["value"]
                return {}
        raise Refusal(404, f"The fake hub does not know {rest}")

    def _pull_request(self, repo: Repo, revision: str, body: bytes) -> dict[str, Any]:
        """A commit in a branch refs/pr/NUMBER of its own, which whoever may read the repository may send."""
        number = 1 + sum(branch.startswith("refs/pr/") for branch in repo.branches)
        parent = json.loads(body.splitlines()[0])["value"].get("parentCommit", repo.at(revision).sha)
        shas = [commit.sha for commit in repo.branches[revision]]
        repo.branches[f"refs/pr/{number}"] = repo.branches[revision][:shas.index(parent) + 1]
        answer = self._api(repo, ["commit", f"refs/pr/{number}"], body, "POST")
        return {**answer, "pullRequestUrl": f"{self.endpoint}/{repo.name}/discussions/{number}"}

    def _collection(self, method: str, rest: list[str], sent: Any, query: dict[str, list[str]],
                    user: str | None) -> Any:
        """What follows /api/collections. A private one is seen by its owner alone."""
        if not rest and method == "GET":
            seen = [found for found in self.collections.values() if found["owner"]["name"] in query["owner"]
                    and (not found["private"] or user in query["owner"])]
            return [{key: value[:4] if key == "items" else value for key, value in found.items() if key != "position"}
                    for found in seen]
        owner = sent["namespace"] if not rest else rest[0]
        if user != owner and (method == "POST" or self.collections["/".join(rest[:2])]["private"]):
            raise Refusal(403 if user else 401, f"You don't have the rights to change collections of {owner}")
        if not rest:
            for slug, found in self.collections.items():
                if (found["owner"]["name"], found["title"]) == (owner, sent["title"]):
                    raise Refusal(409, "Collection already exists", slug=slug)
            slug = f"{owner}/{sent['title'].lower().replace(' ', '-')}-{len(self.collections):024x}"
            self.collections[slug] = {
                "slug": slug, "title": sent["title"], "owner": {"name": owner}, "private": sent["private"], "items": [],
                "description": sent.get("description"), "lastUpdated": "2026-01-01T00:00:00.000Z", "position": 0,
                "theme": "green", "upvotes": 0}
            return self.collections[slug]
        found = self.collections["/".join(rest[:2])]
        if rest[2:] == ["items"]:
            item = sent["item"]
            if item["id"] in [known["id"] for known in found["items"]]:
                raise Refusal(409, "Item already exists")
            found["items"].append(item | {"_id": f"{len(found['items']):024x}", "position": len(found["items"])}
                                  | ({"note": {"text": sent["note"]}} if "note" in sent else {}))
        return found

    def _runtime(self, repo: Repo) -> dict[str, Any]:
        hardware = {"current": self.hardware.get(repo.name, "cpu-basic"), "requested": None}
        return {"stage": "RUNNING", "hardware": hardware}

    def _resolve(self, repo: Repo, user: str | None, revision: str, file: str) -> tuple[int, Any, dict[str, str]]:
        if repo.gated and user != repo.name.split("/")[0]:
            raise Refusal(403 if user else 401, f"Access to {repo.name} is restricted.", "GatedRepo")
        commit = repo.at(revision)
        if file not in commit.files:
            raise Refusal(404, "Entry not found", "EntryNotFound")
        data = commit.files[file]
        return 200, data, {"X-Repo-Commit": commit.sha, "ETag": f'"{oid(data)}"',
                           "Content-Length": str(repo.claimed_sizes.get(file, len(data)))}


def oid(data: bytes) -> str:
    """Git's hash of a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
