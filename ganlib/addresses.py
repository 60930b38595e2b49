"""Names and pasted addresses of models and Spaces on the Hugging Face Hub. Uses no network."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from ganlib.checks import quoted, require

HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co")
KINDS = {"models": "a model", "spaces": "a Space", "datasets": "a dataset"}  # by the first part of an address's path
NAMED = {"models": "a model on the Hub is named user/repo, user/repo@revision or user/repo/subfolder",
         "spaces": "a Space on the Hub is named user/space"}
WRITTEN = NAMED | {"models": "a repo on the Hub is named user/name"}  # where no revision and no folder can be given
HUB_PAGES = {"api", "blog", "chat", "collections", "docs", "join", "learn", "login", "organizations", "papers", "posts",
             "pricing", "search", "settings", "tasks"}  # the Hub has no users of these names
REPO_PAGES = {"blame", "commits", "community", "delete", "discussions", "edit", "new", "settings",
              "upload"}  # which hold no files
FOLDER_VIEWS, FILE_VIEWS = {"tree", "revision", "commit"}, {"blob", "resolve", "raw"}

_NAME = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9_])?"
_SOURCE = re.compile(rf"(?P<repo>{_NAME}/{_NAME})(?P<subfolder>(?:/{_NAME})*)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
_FILE = re.compile(r".+\.(?:safetensors|json|md|png)")  # of a weights folder


@dataclass(frozen=True)
class Source:
    """A weights folder on the Hub: repo "user/name", revision (a branch, tag or commit) or None, subfolder or ""."""

    repo: str
    revision: str | None = None
    subfolder: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.repo, self.subfolder))) + (f"@{self.revision}" if self.revision else "")


def parse(text: str, kind: str = "models", named: Mapping[str, str] = NAMED) -> Source | None:
    """What a name or an address on the Hub means; None for other texts, such as a path on this machine.

    A name is "user/repo[/subfolder][@revision]". An address is the browser's of a repo, a folder or a file, such as
    "https://huggingface.co/user/repo/tree/revision/subfolder", with or without "https://"; or
    "hf://user/repo@revision". The hosts are HOSTS and that of HF_ENDPOINT. Spaces around the text, and what follows "?"
    or "#" in an address, are ignored. In an address, the branch main is the default revision.

    Args:
        text: the name or address.
        kind: "models", or "spaces" for a Space.
        named: by kind, the sentence that ends an error message.

    Raises:
        ValueError: it is the address of something else; the message says of what, and has no password of the address.
    """
    text, right = text.strip(), named[kind]
    path, shown = _split(text, right)
    if path is None:
        first, _, others = text.partition("/")
        if first not in ("spaces", "datasets") or "/" not in others:
            return _named(text)
        path, shown = text, text
    shown = quoted(shown)
    parts = [part for part in path.split("/") if part]
    found, parts = (parts[0], parts[1:]) if parts and parts[0] in KINDS else ("models", parts)
    if len(parts) == 1 and found == "models" and parts[0] not in HUB_PAGES:
        raise ValueError(f"{shown} is the page of a user or an organisation; {right}")
    require(len(parts) >= 2 and parts[0] not in HUB_PAGES, f"{shown} is a page of the Hub, not {KINDS[kind]}; {right}")
    require(found == kind, f"{shown} is {KINDS[found]}; {right}")
    source = _read(parts, shown)
    require(_named(str(source)) == source, f"{shown} is not the address of {KINDS[kind]}; {right}")
    return source


def _named(text: str) -> Source | None:
    found = _SOURCE.fullmatch(text)
    if found is None or ".." in text or "--" in found["repo"]:
        return None
    return Source(found["repo"], found["revision"], found["subfolder"].removeprefix("/"))


def _split(text: str, right: str) -> tuple[str | None, str]:
    """The path of an address on the Hub, None for other texts; and the text to be shown, without a password.

    Raises ValueError, with `right` at its end, for an address elsewhere.
    """
    found = re.match("(hf|https?)://", text, re.IGNORECASE)
    try:
        address = urlsplit(f"//{text[found.end():] if found else text}")
    except ValueError:  # for example, "[" in a host
        require(found is None, f"this address has a host that cannot be read; {right}")
        return None, text
    scheme, host = found[0].lower() if found else "", _host(address)
    shown = scheme + address.netloc.rpartition("@")[2] + address.path
    if scheme == "hf://":
        return shown.removeprefix(scheme), shown
    endpoint = urlsplit(os.environ.get("HF_ENDPOINT", ""))
    for known, base in ((_host(endpoint), endpoint.path.rstrip("/")), *((name, "") for name in HOSTS)):
        if host and host == known and f"{address.path}/".startswith(f"{base}/") and (scheme or re.search("[.:]", host)):
            return address.path.removeprefix(base), shown
    # a password with a slash looks like a part of the path
    require(not scheme, f"{quoted(scheme + shown.removeprefix(scheme).rpartition('@')[2])} is not an address of the "
                        f"Hugging Face Hub; {right}")
    return None, text


def _host(address: SplitResult) -> str:
    """The host of an address and, unless it is a default one, the port."""
    return re.sub(":(443|80)?$", "", address.netloc.rpartition("@")[2].lower())


def _read(parts: list[str], shown: str) -> Source:
    """The source of an address's path, whose first two parts are the repo; its names are not checked."""
    before, _, after = "/".join(parts).partition("@")
    if after:  # of the Hub's clients
        revision, folders = _revision(after.split("/"))
        repo, folders = before.split("/")[:2], [*before.split("/")[2:], *folders]
    else:
        repo, folders, revision = parts[:2], parts[2:], ""
        require(not folders or folders[0] not in REPO_PAGES,
                f"{shown} is a page of {'/'.join(repo)}; give {'/'.join(repo)} alone")
        if folders and folders[0] in FOLDER_VIEWS | FILE_VIEWS:
            view = folders[0]
            revision, folders = _revision(folders[1:])
            folders = folders[:-1] if view in FILE_VIEWS else folders
    if folders and _FILE.fullmatch(folders[-1]):
        folders = folders[:-1]
    revision = _unquoted(revision)
    return Source("/".join(repo).removesuffix(".git"), None if revision in ("", "main") else revision,
                  "/".join(map(_unquoted, folders)))


def _revision(parts: list[str]) -> tuple[str, list[str]]:
    """The revision that a path begins with, and what follows it."""
    size = 3 if parts[:1] == ["refs"] else 1  # refs/pr/1
    return "/".join(parts[:size]), parts[size:]


def _unquoted(text: str) -> str:
    return re.sub("%([0-7][0-9A-Fa-f])", lambda found: chr(int(found[1], 16)), text)
