"""A small Hugging Face Hub on loopback, its repositories kept in memory; it knows nothing about ganlib.

    with FakeHub() as hub:
        hub.put("alice/model", {"config.json": b"{}"})
        subprocess.run([...], env=hub.environment(tmp_path, token="hf_alice"))

It speaks what huggingface_hub 2.4 asks of the Hub about models and Spaces: files go up by the LFS protocol, so Xet must
be off, as it is in `environment`. Buckets are made, but hold nothing. Datasets, tags, pull requests and pages of long
listings it does not speak.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler
from pathlib import Path, PurePosixPath
from socketserver import TCPServer, ThreadingMixIn
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

LARGE = 10_000  # bytes: longer files go by LFS
ALWAYS_LARGE = (".safetensors", ".png")
GIT_ATTRIBUTES = "".join(f"*{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in ALWAYS_LARGE).encode()


class Seen(NamedTuple):
    """One request, as `FakeHub.requests` tells it."""

    method: str
    path: str  # as sent: quoted, without the query
    status: int  # 0 where the connection was cut before any answer


class Refusal(Exception):
    """An answer other than 2xx; its code is the X-Error-Code from which the client makes its own exceptions."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str):
        super().__init__(message)
        self.status, self.message = status, message
        first_line = message.partition("\n")[0]
        self.headers = {"X-Error-Message": first_line} | ({"X-Error-Code": code} if code else {}) | headers


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]  # names in lower case
    body: bytes
    token: str | None
    user: str | None

    @property
    def json(self):
        return json.loads(self.body)

    def says(self, name: str) -> bool:
        """Whether the query has name=true, in whatever case."""
        return self.query.get(name, [""])[0].lower() == "true"


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content, status: int = 200, **headers: str) -> "Answer":
        return cls(status, json.dumps(content).encode(), {"Content-Type": "application/json"} | headers)


@dataclass
class Fault:
    """What shall go wrong with the next request whose "METHOD path" the pattern finds."""

    pattern: str
    refusal: Refusal | None = None
    instead: Answer | None = None
    after: int | None = None  # bytes until the cut


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_large(path: str, size: int) -> bool:
    return size > LARGE or (size > 0 and path.endswith(ALWAYS_LARGE))


@dataclass(frozen=True)
class Blob:
    data: bytes
    large: bool  # kept by LFS: git has only a pointer to it

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @cached_property
    def oid(self) -> str:
        return git_hash(self.pointer if self.large else self.data)

    @property
    def etag(self) -> str:
        """What tells its content from another's: sha256 of a large file, git's own hash of any other."""
        return self.sha256 if self.large else self.oid


@dataclass(frozen=True)
class Commit:
    sha: str
    message: str
    parents: tuple[str, ...]
    files: dict[str, Blob]


@dataclass
class Repo:
    kind: str  # "model" or "space"
    name: str  # "alice/model"
    private: bool = False
    gated: bool | str = False
    sdk: str | None = None
    history: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  # what LFS has, by sha256
    claims: dict[str, int] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.name.split("/")[0]

    @property
    def address(self) -> str:
        """Its path on the Hub's own pages."""
        return ("spaces/" if self.kind == "space" else "") + self.name

    def at(self, revision: str) -> Commit:
        """The commit that a branch or a full sha names."""
        sha = self.branches.get(revision, revision)
        if sha not in self.history:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.history[sha]

    def head(self, branch: str) -> Commit | None:
        """The last commit of a branch, which starts at main where it is new."""
        return self.history.get(self.branches.get(branch, self.branches.get("main")))

    def add(self, branch: str, files: dict[str, Blob], message: str) -> Commit:
        """A new commit with exactly these files, on top of the branch."""
        head = self.head(branch)
        parents = (head.sha,) if head else ()
        sha = hashlib.sha1(f"{self.address} {len(self.history)} {parents} {message}".encode()).hexdigest()
        self.history[sha] = Commit(sha, message, parents, files)
        self.branches[branch] = sha
        return self.history[sha]

    def size(self, path: str, blob: Blob) -> int:
        return self.claims.get(path, len(blob.data))

    def listing(self, commit: Commit) -> dict[str, dict]:
        """What the tree says of each file and folder, by path."""
        entries = {}
        for path, blob in commit.files.items():
            size = self.size(path, blob)
            entries[path] = {"type": "file", "oid": blob.oid, "size": size, "path": path}
            if blob.large:
                entries[path]["lfs"] = {"oid": blob.sha256, "size": size, "pointerSize": len(blob.pointer)}
        for folder in {str(folder) for path in commit.files for folder in PurePosixPath(path).parents} - {".", "/"}:
            inside = sorted(blob.oid + path for path, blob in commit.files.items() if path.startswith(f"{folder}/"))
            oid = git_hash("".join(inside).encode())
            entries[folder] = {"type": "directory", "oid": oid, "size": 0, "path": folder}
        return dict(sorted(entries.items()))


ROUTES: list[tuple[str, re.Pattern, bool, Callable]] = []
REPO = r"/api/(?P<kind>model|space)s/(?P<name>[^/]+/[^/]+)"
SPACE = r"/api/(?P<kind>space)s/(?P<name>[^/]+/[^/]+)"
PAGE = r"/((?P<kind>space)s/)?(?P<name>[^/]+/[^/]+)"
REVISION = r"/(?P<revision>[^/]+)"


def route(method: str, pattern: str, writes: bool = False):
    """Registers what answers requests whose whole path matches, with the pattern's groups as arguments.

    A repository is looked up first, and given as `repo`; `writes` keeps it to its owner.
    """
    def register(answer: Callable) -> Callable:
        ROUTES.append((method, re.compile(pattern), writes, answer))
        return answer
    return register


class FakeHub:
    """Serves from entering to leaving a with block.

    users: names by token; who has a token may write under that name, and nowhere else
    roles: what whoami says of a token, "write" where nothing else is said
    requests: each request so far, as a `Seen`
    hardware: what was asked for each Space, by its name
    variables, secrets, volumes: those of each Space, by its name
    buckets: whether each is private, by its name
    """

    def __init__(self, users: dict[str, str] | None = None):
        self.users = {"hf_alice": "alice", "hf_bob": "bob"} if users is None else users
        self.roles: dict[str, str] = {}
        self.requests: list[Seen] = []
        self.hardware: dict[str, str] = {}
        self.variables: dict[str, dict[str, str]] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.volumes: dict[str, list[dict]] = {}
        self.buckets: dict[str, bool] = {}
        self._repos: dict[tuple[str, str], Repo] = {}
        self._tickets: dict[str, tuple[Repo, str, int]] = {}
        self._faults: list[Fault] = []
        self._holds: list[tuple[str, threading.Event, threading.Event]] = []
        self._errors: list[Exception] = []
        self._lock = threading.RLock()

    def __enter__(self) -> "FakeHub":
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.close_all()
        if self._errors and error is None:
            raise ExceptionGroup("the fake hub itself failed", self._errors)

    # what tests do with it

    def environment(self, home: str | os.PathLike, token: str | None = None) -> dict[str, str]:
        """The environment of a process whose huggingface_hub shall use this hub, and `home` for its cache."""
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
        return kept | {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(Path(home)), "HF_HUB_DISABLE_XET": "1",
                       "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                       "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"} | ({"HF_TOKEN": token} if token else {})

    def put(self, repo: str, files: dict[str, bytes], revision: str = "main", repo_type: str = "model",
            private: bool | None = None, gated: bool | str | None = None) -> str:
        """Commits these files on top of what the branch has; its sha. A repository that is not there is made.

        `private` and `gated` stay as they are, where none is said; a new repository is neither.
        """
        with self._lock:
            found = self._repos.setdefault((repo_type, repo), Repo(repo_type, repo))
            found.private = found.private if private is None else private
            found.gated = found.gated if gated is None else gated
            blobs = {path: Blob(data, is_large(path, len(data))) for path, data in files.items()}
            found.objects |= {blob.sha256: blob.data for blob in blobs.values() if blob.large}
            head = found.head(revision)
            return found.add(revision, (head.files if head else {}) | blobs, f"Put {', '.join(files)}").sha

    def files(self, repo: str, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
        with self._lock:
            return {path: blob.data for path, blob in self._repos[repo_type, repo].at(revision).files.items()}

    def commits(self, repo: str, revision: str = "main", repo_type: str = "model") -> list[Commit]:
        """The newest first."""
        with self._lock:
            found = self._repos[repo_type, repo]
            commits = [found.at(revision)]
            while commits[-1].parents:
                commits.append(found.history[commits[-1].parents[0]])
            return commits

    def claim(self, repo: str, file: str, size: int) -> None:
        """Says another size of a model's file than it has, in listings and in answers to HEAD."""
        with self._lock:
            self._repos["model", repo].claims[file] = size

    def fail(self, pattern: str, status: int = 500, message: str = "Refused, as the test wants it") -> None:
        """Refuses the next request whose "METHOD path" the pattern finds."""
        self._add(Fault(pattern, refusal=Refusal(status, message)))

    def answer_instead(self, pattern: str, page: str) -> None:
        """Answers the next request whose "METHOD path" the pattern finds with a web page, as if all were well."""
        self._add(Fault(pattern, instead=Answer(200, page.encode(), {"Content-Type": "text/html"})))

    def cut(self, pattern: str, after: int) -> None:
        """Closes the connection of the next request, but no HEAD, whose "METHOD path" the pattern finds.

        Where it has a body, after so many bytes of it (or all of it), and nothing is done about it. Where it has none,
        after so many bytes of the answer's body, of which at least the last is never sent.
        """
        self._add(Fault(pattern, after=after))

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    @contextmanager
    def hold(self, pattern: str) -> Iterator[threading.Event]:
        """Meanwhile no request whose "METHOD path" the pattern finds is answered; the event is that of the first."""
        held = pattern, threading.Event(), threading.Event()
        self._holds.append(held)
        try:
            yield held[1]
        finally:
            self._holds.remove(held)
            held[2].set()

    # what the server asks of it

    def _wait(self, method: str, path: str) -> None:
        for pattern, reached, over in list(self._holds):
            if re.search(pattern, f"{method} {path}"):
                reached.set()
                over.wait(300)

    def _fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                spared = method == "HEAD" and fault.after is not None
                if not spared and re.search(fault.pattern, f"{method} {path}"):
                    self._faults.remove(fault)
                    return fault
            return None

    def _saw(self, method: str, path: str, status: int) -> None:
        with self._lock:
            self.requests.append(Seen(method, path, status))

    def _answer(self, request: Request, fault: Fault | None) -> Answer:
        with self._lock:
            try:
                if fault and fault.refusal:
                    raise fault.refusal
                if fault and fault.instead:
                    return fault.instead
                return self._route(request)
            except Refusal as refusal:
                return Answer.of({"error": refusal.message}, refusal.status, **refusal.headers)
            except Exception as error:
                self._errors.append(error)
                return Answer.of({"error": repr(error)}, 500)

    def _route(self, request: Request) -> Answer:
        if request.token is not None and request.user is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        for method, pattern, writes, answer in ROUTES:
            match = pattern.fullmatch(request.path)
            if match and method == ("GET" if request.method == "HEAD" else request.method):
                found = {name: value and unquote(value) for name, value in match.groupdict().items()}
                if "name" in found:
                    found["repo"] = self._find(request, found.pop("kind") or "model", found.pop("name"), writes)
                return answer(self, request, **found)
        raise Refusal(404, f"The fake hub does not speak {request.method} {request.path}")

    def _find(self, request: Request, kind: str, name: str, writes: bool) -> Repo:
        """Who may not see a repository learns no more than that of one which does not exist."""
        repo = self._repos.get((kind, name))
        if repo is None or (repo.private and request.user != repo.owner) or (writes and request.user is None):
            if request.user is None:
                raise Refusal(401, "Invalid username or password.", "RepoNotFound")
            raise Refusal(404, "Repository not found", "RepoNotFound")
        if writes and request.user != repo.owner:
            raise Refusal(403, f"You don't have the rights to write to {name}")
        return repo

    # what it speaks

    @route("GET", "/api/whoami-v2")
    def _whoami(self, request: Request) -> Answer:
        if request.user is None:
            raise Refusal(401, "Invalid username or password.")
        token = {"displayName": "tests", "role": self.roles.get(request.token, "write")}
        return Answer.of({"type": "user", "name": request.user, "fullname": request.user, "isPro": False, "orgs": [],
                          "auth": {"type": "access_token", "accessToken": token}})

    @route("POST", "/api/validate-yaml")
    def _validate_yaml(self, request: Request) -> Answer:
        """The client asks it of each README.md before a commit."""
        empty = not request.json["content"].startswith("---\n")
        warnings = [{"message": "empty or missing yaml metadata in repo card"}] if empty else []
        return Answer.of({"errors": [], "warnings": warnings})

    @route("POST", "/api/repos/create")
    def _create(self, request: Request) -> Answer:
        """As on the real Hub, there is a first commit: .gitattributes, and of a Space also README.md."""
        wanted = request.json
        kind, owner = wanted.get("type", "model"), wanted.get("organization") or request.user
        if request.user is None:
            raise Refusal(401, "Invalid username or password.")
        if kind not in ("model", "space") or (kind == "space" and not wanted.get("sdk")):
            raise Refusal(400, "A repository is a model, or a space with an sdk")
        if owner != request.user:
            raise Refusal(403, f"You don't have the rights to create a {kind} under the namespace \"{owner}\"")
        name = f"{owner}/{wanted['name']}"
        repo = Repo(kind, name, wanted.get("visibility") == "private", sdk=wanted.get("sdk"))
        made = {"url": f"{self.endpoint}/{repo.address}", "name": name}
        if (kind, name) in self._repos:
            return Answer.of(made | {"error": f"You already created this {kind} repo"}, 409)
        files = {".gitattributes": Blob(GIT_ATTRIBUTES, False)}
        if kind == "space":
            files["README.md"] = Blob(f"---\ntitle: {wanted['name']}\nsdk: {repo.sdk}\n---\n".encode(), False)
        repo.add("main", files, "initial commit")
        self._repos[kind, name] = repo
        if "hardware" in wanted:
            self.hardware[name] = wanted["hardware"]
        return Answer.of(made)

    @route("GET", f"{REPO}(/revision{REVISION})?")
    def _info(self, request: Request, repo: Repo, revision: str | None) -> Answer:
        commit = repo.at(revision or "main")
        siblings = [{"rfilename": path} for path in commit.files]
        if request.says("blobs"):
            entries = repo.listing(commit)
            for sibling in siblings:
                entry = entries[sibling["rfilename"]]
                sibling |= {"size": entry["size"], "blobId": entry["oid"]}
                if "lfs" in entry:
                    sibling["lfs"] = entry["lfs"] | {"sha256": entry["lfs"]["oid"]}
        return Answer.of({"id": repo.name, "author": repo.owner, "sha": commit.sha, "private": repo.private,
                          "gated": "manual" if repo.gated is True else repo.gated, "disabled": False, "tags": [],
                          "siblings": siblings} | ({"sdk": repo.sdk, "runtime": self._runtime_of(repo)}
                                                   if repo.kind == "space" else {}))

    def _runtime_of(self, repo: Repo) -> dict:
        hardware = {"current": "cpu-basic", "requested": self.hardware.get(repo.name)}
        return {"stage": "RUNNING", "hardware": hardware, "volumes": self.volumes.get(repo.name, [])}

    @route("GET", f"{REPO}/auth-check/write", writes=True)
    def _auth_check(self, request: Request, repo: Repo) -> Answer:
        return Answer.of({})

    @route("GET", f"{REPO}/tree{REVISION}(/(?P<path>.+))?")
    def _tree(self, request: Request, repo: Repo, revision: str, path: str | None) -> Answer:
        start = f"{path}/" if path else ""
        inside = [entry for found, entry in repo.listing(repo.at(revision)).items() if found.startswith(start)]
        if path and not inside:
            raise Refusal(404, f"{path} does not exist on \"{revision}\"", "EntryNotFound")
        if not request.says("recursive"):
            inside = [entry for entry in inside if "/" not in entry["path"][len(start):]]
        return Answer.of(inside)

    @route("POST", f"{REPO}/paths-info{REVISION}")
    def _paths_info(self, request: Request, repo: Repo, revision: str) -> Answer:
        entries = repo.listing(repo.at(revision))
        wanted = parse_qs(request.body.decode()).get("paths", [])
        return Answer.of([entries[path] for path in wanted if path in entries])

    @route("POST", f"{REPO}/branch{REVISION}", writes=True)
    def _branch(self, request: Request, repo: Repo, revision: str) -> Answer:
        if revision in repo.branches:
            raise Refusal(409, f"Reference already exists: {revision}")
        repo.branches[revision] = repo.at(request.json.get("startingPoint", "main")).sha
        return Answer.of({"success": True})

    @route("POST", f"{REPO}/preupload{REVISION}", writes=True)
    def _preupload(self, request: Request, repo: Repo, revision: str) -> Answer:
        """How each file shall come, and the content that is there already, which the client then does not send."""
        there, answers = repo.at(revision).files, []
        for file in request.json["files"]:
            mode = "lfs" if is_large(file["path"], file["size"]) else "regular"
            known = {"oid": there[file["path"]].etag} if file["path"] in there else {}
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False} | known)
        return Answer.of({"files": answers})

    @route("POST", rf"{PAGE}\.git/info/lfs/objects/batch", writes=True)
    def _lfs_batch(self, request: Request, repo: Repo) -> Answer:
        """Objects that are not there get a ticket to upload them with, which needs no token."""
        answers = []
        for wanted in request.json["objects"]:
            oid, size = wanted["oid"], wanted["size"]
            answers.append({"oid": oid, "size": size})
            if oid not in repo.objects:
                ticket = secrets.token_hex(8)
                self._tickets[ticket] = repo, oid, size
                verify = f"{self.endpoint}/{repo.address}.git/info/lfs/objects/verify"
                answers[-1]["actions"] = {"upload": {"href": f"{self.endpoint}/lfs/{oid}?ticket={ticket}"},
                                          "verify": {"href": verify}}
        return Answer.of({"transfer": "basic", "objects": answers})

    @route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})")
    def _lfs_upload(self, request: Request, oid: str) -> Answer:
        repo, promised, size = self._tickets.get(request.query.get("ticket", [""])[0], (None, None, None))
        if promised != oid:
            raise Refusal(403, "Access denied")
        if (hashlib.sha256(request.body).hexdigest(), len(request.body)) != (oid, size):
            raise Refusal(400, "The content is not what was promised")
        repo.objects[oid] = request.body
        return Answer()

    @route("POST", rf"{PAGE}\.git/info/lfs/objects/verify", writes=True)
    def _lfs_verify(self, request: Request, repo: Repo) -> Answer:
        if len(repo.objects.get(request.json["oid"], b"")) != request.json["size"]:
            raise Refusal(404, "Object not found")
        return Answer.of({})

    @route("POST", f"{REPO}/commit{REVISION}", writes=True)
    def _commit(self, request: Request, repo: Repo, revision: str) -> Answer:
        if revision not in repo.branches:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        header, *changes = [json.loads(line) for line in request.body.split(b"\n") if line]
        files = dict(repo.at(revision).files)
        for change in changes:
            apply_change(repo, files, change["key"], change["value"])
        made = repo.add(revision, files, header["value"]["summary"])
        return Answer.of({"success": True, "commitOid": made.sha,
                          "commitUrl": f"{self.endpoint}/{repo.address}/commit/{made.sha}", "hookOutput": ""})

    @route("POST", f"{SPACE}/hardware", writes=True)
    def _hardware(self, request: Request, repo: Repo) -> Answer:
        self.hardware[repo.name] = request.json["flavor"]
        return Answer.of(self._runtime_of(repo))

    @route("GET", f"{SPACE}/runtime")
    def _runtime(self, request: Request, repo: Repo) -> Answer:
        return Answer.of(self._runtime_of(repo))

    @route("GET", f"{SPACE}/variables", writes=True)
    def _variables(self, request: Request, repo: Repo) -> Answer:
        return Answer.of({key: {"value": value, "description": None, "updatedAt": "2026-01-01T00:00:00.000Z"}
                          for key, value in self.variables.get(repo.name, {}).items()})

    @route("POST", f"{SPACE}/variables", writes=True)
    def _add_variable(self, request: Request, repo: Repo) -> Answer:
        """Adds one, and tells all."""
        self.variables.setdefault(repo.name, {})[request.json["key"]] = request.json["value"]
        return self._variables(request, repo)

    @route("POST", f"{SPACE}/secrets", writes=True)
    def _add_secret(self, request: Request, repo: Repo) -> Answer:
        self.secrets.setdefault(repo.name, {})[request.json["key"]] = request.json["value"]
        return Answer.of({})

    @route("PUT", f"{SPACE}/volumes", writes=True)
    def _set_volumes(self, request: Request, repo: Repo) -> Answer:
        self.volumes[repo.name] = request.json["volumes"]
        return Answer.of({})

    @route("GET", "/api/buckets/(?P<bucket>[^/]+/[^/]+)")
    def _bucket(self, request: Request, bucket: str) -> Answer:
        if bucket not in self.buckets:
            raise Refusal(404, "Repository not found", "RepoNotFound")
        return Answer.of({"id": bucket, "private": self.buckets[bucket], "createdAt": "2026-01-01T00:00:00.000Z",
                          "size": 0, "totalFiles": 0})

    @route("POST", "/api/buckets/(?P<bucket>[^/]+/[^/]+)")
    def _create_bucket(self, request: Request, bucket: str) -> Answer:
        if request.user != bucket.split("/")[0]:
            raise Refusal(403, f"You don't have the rights to create {bucket}")
        self.buckets[bucket] = request.json.get("visibility") == "private"
        return Answer.of({"url": f"{self.endpoint}/buckets/{bucket}", "name": bucket})

    @route("GET", f"{PAGE}/resolve{REVISION}/(?P<path>.+)")
    def _resolve(self, request: Request, repo: Repo, revision: str, path: str) -> Answer:
        if repo.gated and request.user != repo.owner:
            status = 403 if request.user else 401
            raise Refusal(status, f"Access to {repo.kind} {repo.name} is restricted.", "GatedRepo")
        commit = repo.at(revision)
        headers = {"X-Repo-Commit": commit.sha}
        if path not in commit.files:
            raise Refusal(404, "Entry not found", "EntryNotFound", **headers)
        blob = commit.files[path]
        size = str(repo.size(path, blob))
        headers |= {"ETag": f'"{blob.etag}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if blob.large:
            headers |= {"X-Linked-ETag": f'"{blob.etag}"', "X-Linked-Size": size}
        if request.method == "HEAD":
            return Answer(200, b"", headers | {"Content-Length": size})
        return ranged(request.headers.get("range"), blob.data, headers)


def apply_change(repo: Repo, files: dict[str, Blob], key: str, value: dict) -> None:
    """One line of a commit, done to the files that it will have."""
    path = value["path"]
    match key:
        case "file":
            content = value["content"]
            files[path] = Blob(base64.b64decode(content) if value["encoding"] == "base64" else content.encode(), False)
        case "lfsFile":
            if value["oid"] not in repo.objects:
                raise Refusal(400, "The push was rejected: an LFS pointer pointed to a file that does not exist.")
            files[path] = Blob(repo.objects[value["oid"]], True)
        case "deletedFile":
            if path not in files:
                raise Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
            del files[path]
        case _:
            raise Refusal(400, f"Unknown change: {key}")


def ranged(wanted: str | None, data: bytes, headers: dict[str, str]) -> Answer:
    """The data, or what follows the first byte that a Range header wants."""
    match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
    if match is None:
        return Answer(200, data, headers)
    begin = int(match[1])
    if begin >= len(data):
        raise Refusal(416, "Range not satisfiable", **{"Content-Range": f"bytes */{len(data)}"})
    return Answer(206, data[begin:], headers | {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"})


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 between a socket and a FakeHub."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each small answer waits for an acknowledgement

    def setup(self) -> None:
        super().setup()
        self.server.connections[self.connection] = threading.current_thread()

    def finish(self) -> None:
        super().finish()
        self.server.connections.pop(self.connection, None)

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True  # the client went away

    def log_message(self, *args) -> None:
        """Nothing: what was asked is in `FakeHub.requests`."""

    def _serve(self) -> None:
        hub = self.server.hub
        path, _, query = self.path.partition("?")
        token = self.headers["Authorization"] and self.headers["Authorization"].removeprefix("Bearer ")
        length = int(self.headers.get("Content-Length", 0))
        hub._wait(self.command, path)
        fault = hub._fault(self.command, path)
        cut = fault.after if fault else None
        body = self.rfile.read(length if cut is None else min(length, cut))
        if len(body) < length or (length and cut is not None):
            self.close_connection = True
            return hub._saw(self.command, path, 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, parse_qs(query), headers, body, token, hub.users.get(token))
        answer = hub._answer(request, fault)
        hub._saw(self.command, path, answer.status)
        self._send(answer, cut)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _send(self, answer: Answer, cut: int | None = None) -> None:
        self.send_response(answer.status)
        for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        body = b"" if self.command == "HEAD" else answer.body
        if cut is not None:
            self.close_connection = True
            body = body[:max(0, min(cut, len(body) - 1))]
        self.wfile.write(body)


class _Server(ThreadingMixIn, TCPServer):
    """One thread for each connection; at the end no connection and no thread is left."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address, handler):
        super().__init__(address, handler)
        self.connections: dict[socket.socket, threading.Thread] = {}

    def close_all(self) -> None:
        self.server_close()
        for connection, thread in list(self.connections.items()):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed in the meantime
            thread.join(10)
