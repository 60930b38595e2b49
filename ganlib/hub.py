"""Weights folders on the Hugging Face Hub, named "user/repo", "user/repo@revision" or "user/repo/subfolder".

What is fetched is kept in the Hub's own cache, and opens from there where there is no network.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from ganlib import checkpoint
from ganlib.card import is_our_card, model_card
from ganlib.checkpoint import WeightsError
from ganlib.model import Model
from ganlib.version import __version__

NEEDED = (checkpoint.CONFIG, checkpoint.GENERATOR)
FETCHED = (*NEEDED, checkpoint.DISCRIMINATOR, checkpoint.METRICS, checkpoint.HISTORY)
LOG_IN = "log in by `hf auth login`, or set HF_TOKEN"
NO_RIGHT = "your token has no right to write there, use one that may write, or a repo of your own"
# largest size of one file, by its name or ending
MOST_BYTES = {checkpoint.CONFIG: 64 * 2**10, ".safetensors": 256 * 2**20, ".json": 16 * 2**20}
MOST_FOR_STRANGERS = 64 * 2**20  # bytes of all files: the disk and the memory are their host's


class HubError(WeightsError):
    """The Hub did not do what it was asked for, or a repo is no weights folder; the message says why."""


@dataclass(frozen=True)
class Source:
    """A weights folder on the Hub: repo "user/name", revision (a branch, tag or commit) or None, subfolder or ""."""

    repo: str
    revision: str | None = None
    subfolder: str = ""

    def __str__(self) -> str:
        return (f"{self.repo}{'/' if self.subfolder else ''}{self.subfolder}"
                f"{'@' if self.revision else ''}{self.revision or ''}")


_NAME = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9_])?"
_SOURCE = re.compile(rf"(?P<repo>{_NAME}/{_NAME})"
                     rf"(?:@(?P<first>[\w./-]+)|(?P<subfolder>(?:/{_NAME})+)(?:@(?P<last>[\w./-]+))?)?", re.ASCII)


def parse(source: str) -> Source | None:
    """The Source that a string names, as "user/repo[/subfolder][@revision]"; None where it cannot be one."""
    found = _SOURCE.fullmatch(source)
    if found is None or ".." in source or "--" in found["repo"]:
        return None
    return Source(found["repo"], found["first"] or found["last"], (found["subfolder"] or "").removeprefix("/"))


def load(source: str | Path, device: torch.device | str | None = None) -> Model:
    """The trained model `source`. What is on the Hub is fetched once, and then opens without a network too.

    Loading is strict: every tensor must have the name and shape the architecture says. Nothing is unpickled.

    Args:
        source: the name of a shipped model, a weights folder, or one on the Hub: "user/repo", "user/repo@revision" or
            "user/repo/subfolder", where there is no folder of that name.
        device: None for the best there is.

    Raises:
        WeightsError: which file is wrong, and what is wrong with it, or why it could not be fetched.
    """
    on_the_hub = parse(source) if isinstance(source, str) and not os.path.exists(source) else None
    return checkpoint.load(source, device) if on_the_hub is None else load_source(on_the_hub, device)


def load_source(source: Source, device: torch.device | str | None = None, anonymous: bool = False) -> Model:
    """The model of a weights folder on the Hub; its name is the source. Arguments as in `fetch` and `load`.

    Raises:
        HubError: as in `fetch`.
        WeightsError: as in `load`; it names files by the source, and not by their place in the cache.
    """
    folder = fetch(source, anonymous)
    try:
        model = checkpoint.load(folder, device)
    except WeightsError as error:
        raise WeightsError(str(error).replace(str(folder), str(source))) from None
    model.name = str(source)
    return model


def fetch(source: Source, anonymous: bool = False) -> Path:
    """Fetch a weights folder's config, safetensors and JSON files, or find them in the cache. Returns the folder.

    Nothing is fetched where a file is missing or larger than MOST_BYTES.

    Args:
        source: which folder.
        anonymous: use no token, open what is cached only if the Hub says that it is public now, and fetch at most
            MOST_FOR_STRANGERS.

    Raises:
        HubError: why it could not be fetched.
    """
    from huggingface_hub.errors import DryRunError, LocalEntryNotFoundError

    prefix = f"{source.subfolder}/" if source.subfolder else ""
    wanted = [prefix + name for name in FETCHED]
    outcome = f"{'' if anonymous else f'there is no folder {str(source)!r}, and '}{source} could not be fetched"
    with _explained(outcome, source.repo, anonymous):
        api = _api(anonymous)
        # asked of the Hub itself: the cache may hold what only the host's token may see
        if anonymous and api.repo_info(source.repo, revision=source.revision).gated:
            raise HubError(f"{outcome}: {_hidden(source.repo)}")
        revision = api.resolve_revision(source.repo, revision=source.revision)
        try:
            plan = api.snapshot_download(source.repo, revision=revision, allow_patterns=wanted, dry_run=True)
        except DryRunError:  # sizes are unknown: then nothing is fetched either
            with suppress(LocalEntryNotFoundError):
                return Path(api.snapshot_download(source.repo, revision=revision, allow_patterns=wanted,
                                                  local_files_only=True)) / source.subfolder
            raise
        _check(source, prefix, {file.filename: file.file_size for file in plan}, anonymous)
        return Path(api.snapshot_download(source.repo, revision=revision, allow_patterns=wanted)) / source.subfolder


def _check(source: Source, prefix: str, sizes: dict[str, int | None], anonymous: bool) -> None:
    for name in NEEDED:
        if prefix + name not in sizes:
            raise HubError(f"{source} on the Hub is no ganlib model: it has no {name}")
    limits = {name: MOST_BYTES.get(Path(name).name, MOST_BYTES[Path(name).suffix]) for name in sizes}
    checked = [(f": {name}", size, limits[name]) for name, size in sizes.items()]
    if anonymous:
        checked.append((", as a whole,", sum(size or 0 for size in sizes.values()), MOST_FOR_STRANGERS))
    for what, size, most in checked:
        if size is None or size > most:
            raise HubError(f"{source} on the Hub{what} is {_in_words(size)}, and no more than {_in_words(most)} is "
                           f"fetched")


def _in_words(size: int | None) -> str:
    if size is None:
        return "of unknown size"
    return f"{size / 2**20:,.0f} MB" if size >= 2**20 else f"{size / 2**10:,.0f} KB"


def _hidden(repo: str) -> str:
    return f"the Hub shows no model {repo} to everybody, because it does not exist, or is private or gated"


@contextmanager
def _explained(outcome: str, repo: str, anonymous: bool = False) -> Iterator[None]:
    """Turns what the Hub's client raises into a HubError of one sentence: the outcome, why, and what would help."""
    from huggingface_hub.errors import HTTPError, RevisionResolutionError

    try:
        yield
    except (HTTPError, OSError, ValueError, RuntimeError, RevisionResolutionError) as error:
        raise HubError(f"{outcome}: {_cause(error, repo, anonymous)}") from None


def _cause(error: Exception, repo: str, anonymous: bool) -> str:
    """Why the Hub's client failed, without tokens or advice on other software."""
    from huggingface_hub import errors
    from huggingface_hub.utils import get_token

    while error.__cause__ is not None and not isinstance(error, errors.HTTPError | ValueError):
        error = error.__cause__
    token, status = get_token(), getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.LocalTokenNotFoundError):
        return f"there is no token, {LOG_IN}"
    if isinstance(error, errors.RepositoryNotFoundError) and anonymous:
        return _hidden(repo)
    if isinstance(error, errors.GatedRepoError):
        return f"{repo} is gated, ask for access on its page{'' if token else f', and {LOG_IN}'}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (f"{repo} does not exist on the Hub, or is private and "
                f"{'your token has no right to it' if token else f'there is no token, {LOG_IN}'}")
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo} has no such revision"
    if status in (401, 403):
        return NO_RIGHT if status == 403 else f"the Hub refuses your token, {LOG_IN} anew"
    if isinstance(error, json.JSONDecodeError):
        return "what answers is not the Hub"
    text = getattr(error, "server_message", None) or getattr(error, "strerror", None) or str(error)
    # the first line, but of a refused name all of them
    text = " ".join(text.split() if isinstance(error, ValueError) else text.strip().splitlines()[:1])
    text = text[:200].rstrip(".") or type(error).__name__
    if status is not None:
        return f"the Hub answered {status}, {text}"
    return f"the Hub could not be reached ({text})" if isinstance(error, errors.HTTPError | ConnectionError) else text


@contextmanager
def offline() -> Iterator[None]:
    """Meanwhile the Hub's client uses no network, in this whole process."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@dataclass(frozen=True)
class Publication:
    """What is to be sent to a repo of the Hub: files by their names there, each as a path or as bytes."""

    repo: str
    files: dict[str, Path | bytes]

    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {name: len(content) if isinstance(content, bytes) else content.stat().st_size
                for name, content in self.files.items()}


def check_repo(repo: str, revision: str | None = None) -> None:
    """Raises ValueError unless it is a repo's name, "user/name", and the revision one that `parse` knows."""
    if parse(repo) != Source(repo):
        raise ValueError(f"a repo on the Hub is named user/name, not {repo!r}")
    if revision is not None and parse(f"{repo}@{revision}") != Source(repo, revision):
        raise ValueError(f"a branch is named by letters, digits, dots, dashes, slashes and underscores, not "
                         f"{revision!r}")


def check_access(repo: str, repo_type: str = "model") -> None:
    """Ask the Hub whether the user's token may write to a repo, or make it where it is missing; nothing is changed.

    Args:
        repo: "user/name".
        repo_type: "model" or "space".

    Raises:
        HubError: it may not, or the Hub does not say.
        ValueError: as in `check_repo`.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    check_repo(repo)
    with _explained(f"{repo} cannot be written to", repo):
        api = _api()
        user = api.whoami(token=True)
        try:
            api.auth_check(repo, repo_type=repo_type, write=True)
        except RepositoryNotFoundError:
            reads = user.get("auth", {}).get("accessToken", {}).get("role") == "read"
            if reads or repo.split("/")[0] not in (user["name"], *(group["name"] for group in user.get("orgs", []))):
                raise HubError(f"{repo} cannot be written to: {NO_RIGHT}") from None


def prepare(folder: str | Path, repo: str) -> Publication:
    """Check a weights folder and list those of its files that belong on the Hub. Uses no network.

    The card is written anew with the repo's name, unless somebody has edited it.

    Raises:
        ValueError: the repo is not "user/name".
        WeightsError: the folder does not load.
        HubError: its measures are missing, or of other weights.
    """
    check_repo(repo)
    model = checkpoint.load(Path(folder), "cpu")
    folder, measure = model.folder, f"measure it first by python -m train.evaluate {folder}"
    if not model.metrics:
        raise HubError(f"{folder} has not been measured: {measure}")
    if not checkpoint.is_measured(folder, model.metrics):
        raise HubError(f"{folder / checkpoint.METRICS} is of other weights than those beside it: {measure}")
    files: dict[str, Path | bytes] = {path.name: path for path in checkpoint.files(folder)}
    card = files.get(checkpoint.CARD)
    if card is None or is_our_card(card.read_text(encoding="utf-8", errors="replace")):
        card = model_card(checkpoint.config_of(model), model.metrics, model.history, source=repo)
        files[checkpoint.CARD] = card.encode()
    return Publication(repo, files)


class Sent(NamedTuple):
    """The address of a commit, and whether the repo's own card, which somebody has edited, was kept."""

    address: str
    card_kept: bool


def publish(publication: Publication, *, private: bool | None = None, revision: str | None = None,
            message: str | None = None) -> Sent:
    """Send it in one commit; the repo and the branch are made where they are missing.

    Files of a weights folder that only the repo has are removed; others there are left alone, and so is a card that
    somebody has edited there, unless the folder's own was edited too. Nothing is changed in the repo unless everything
    has arrived.

    Args:
        publication: by `prepare`.
        private: whether a new repo is private, None for the account's default.
        revision: the branch, None for main.
        message: of the commit.

    Raises:
        HubError: why it could not be sent.
    """
    repo, files, card_kept = publication.repo, dict(publication.files), False
    with _explained(f"nothing was published in {repo}", repo):
        api = _api()
        api.whoami(token=True)
        api.create_repo(repo, private=private, exist_ok=True)
        _check_privacy(api, repo, "model", private)
        if revision is not None:
            api.create_branch(repo, branch=revision, exist_ok=True)
        there = set(api.list_repo_files(repo, revision=revision))
        gone = {name for name in there if checkpoint.belongs(name)} - set(files)
        ours = isinstance(files[checkpoint.CARD], bytes)  # and no file that the user has edited
        if ours and checkpoint.CARD in there and not is_our_card(_readme(api, repo, revision=revision)):
            del files[checkpoint.CARD]
            card_kept = True
        address = _commit(api, repo, files, gone, message or f"Weights, measured and described by ganlib {__version__}",
                          revision=revision)
    return Sent(address, card_kept)


def deploy(publication: Publication, *, private: bool | None = None, hardware: str | None = None,
           variables: dict[str, str] | None = None, message: str | None = None) -> str:
    """Make the repo a Gradio Space that holds the publication's files, in one commit. Returns the commit's address.

    Files of an earlier version of the package are removed; what else the host keeps there, such as weights, is left
    alone. Hardware and variables are set once the files are there.

    Args:
        publication: the Space's repo and files.
        private: whether a new Space is private, None for the account's default.
        hardware: as the Hub names it, such as "cpu-basic" or "zero-a10g"; None leaves it as it is.
        variables: of the page's environment, set beside those that the Space has.
        message: of the commit.

    Raises:
        HubError: why it could not be done, and what was done.
    """
    repo, files = publication.repo, publication.files
    with _explained(f"nothing was sent to {repo}", repo):
        api = _api()
        api.whoami(token=True)
        api.create_repo(repo, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
        _check_privacy(api, repo, "space", private)
        there = {name for name in api.list_repo_files(repo, repo_type="space") if name.startswith("ganlib/")}
        address = _commit(api, repo, files, there - set(files), message or f"The page of ganlib {__version__}",
                          repo_type="space")
    with _explained(f"the files are in {repo}, but not all of its variables and hardware are set", repo):
        for name, value in (variables or {}).items():
            api.add_space_variable(repo, name, value)
        if hardware is not None:
            api.request_space_hardware(repo, hardware)
    return address


def space_readme(repo: str) -> str:
    """The README of a Space; "" where there is none. Raises HubError where the Hub does not say."""
    from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

    with (_explained(f"nothing was sent to {repo}", repo),
          suppress(RemoteEntryNotFoundError, RepositoryNotFoundError)):
        return _readme(_api(), repo, repo_type="space")
    return ""


def _api(anonymous: bool = False):
    """The Hub's client. Raises HubError for a token that the client could not send, but would show in its error."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import get_token

    if not anonymous and not re.fullmatch("[!-~]*", get_token() or ""):
        raise HubError(f"your token has characters that no token has, {LOG_IN} anew")
    return HfApi(library_name="ganlib", library_version=__version__, token=False if anonymous else None)


def _readme(api, repo: str, **where) -> str:
    return Path(api.hf_hub_download(repo, checkpoint.CARD, **where)).read_text(encoding="utf-8", errors="replace")


def _check_privacy(api, repo: str, repo_type: str, private: bool | None) -> None:
    if private and not api.repo_info(repo, repo_type=repo_type).private:
        raise HubError(f"{repo} is there already, and public: make it private in its settings first")


def _commit(api, repo: str, files: dict[str, Path | bytes], gone: set[str], message: str, **where) -> str:
    """Add the files and remove those that are gone; all of it or nothing. Returns the commit's address."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    operations = [*(CommitOperationAdd(*file) for file in sorted(files.items(), key=lambda file: file[0])),
                  *map(CommitOperationDelete, sorted(gone))]
    return api.create_commit(repo, operations, commit_message=message, **where).commit_url


def card(readme: str):
    """A README as huggingface_hub's RepoCard, whose `data` are its front matter: none where it cannot be read."""
    from huggingface_hub import RepoCard
    from yaml import YAMLError

    try:
        return RepoCard(readme if readme.startswith("---") else "---\n{}\n---\n" + readme)
    except (ValueError, YAMLError):
        return RepoCard("---\n{}\n---\n" + readme)
