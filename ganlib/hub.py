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
# of one file, by its name or ending; a larger one is not fetched
MOST_BYTES = {checkpoint.CONFIG: 64 * 2**10, ".safetensors": 256 * 2**20, ".json": 16 * 2**20}
MOST_FOR_STRANGERS = 64 * 2**20  # bytes of all files: the disk and the memory are their host's


class HubError(WeightsError):
    """A repo of the Hub that cannot be reached, or is no weights folder; the message says why, and what would help."""


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
    """The trained model `source`: the name of a shipped one, a weights folder, or one on the Hub.

    On the Hub: "user/repo", "user/repo@revision" or "user/repo/subfolder"; a folder of that name comes first. It is
    fetched once and then opens without a network too. device: None for the best there is. Loading is strict: every
    tensor must have the name and shape the architecture says, and nothing is unpickled. Raises WeightsError naming the
    file and what is wrong with it, or why it could not be fetched.
    """
    on_the_hub = parse(source) if isinstance(source, str) and not os.path.exists(source) else None
    return checkpoint.load(source, device) if on_the_hub is None else load_source(on_the_hub, device)


def load_source(source: Source, device: torch.device | str | None = None, anonymous: bool = False) -> Model:
    """The model of a weights folder on the Hub, called as the source is. anonymous: as in `fetch`.

    Raises HubError as `fetch` does, and WeightsError as `load` does, which names files by the source and not by their
    place in the cache.
    """
    folder = fetch(source, anonymous)
    try:
        model = checkpoint.load(folder, device)
    except WeightsError as error:
        raise WeightsError(str(error).replace(str(folder), str(source))) from None
    model.name = str(source)
    return model


def fetch(source: Source, anonymous: bool = False) -> Path:
    """Fetch a weights folder, or find it in the cache; only its config, safetensors and JSON. Returns the folder.

    Nothing is fetched where a file is missing or larger than MOST_BYTES says. anonymous: as somebody without a token,
    who sees what is public, of the cache only what the Hub says is public now, and no more than MOST_FOR_STRANGERS.
    Raises HubError.
    """
    from huggingface_hub.errors import DryRunError, LocalEntryNotFoundError

    prefix = f"{source.subfolder}/" if source.subfolder else ""
    wanted = [prefix + name for name in FETCHED]
    try:
        api = _api(anonymous)
        # of the Hub itself: the cache may hold what only the host's token may see
        if anonymous and api.repo_info(source.repo, revision=source.revision).gated:
            raise HubError(_hidden(source.repo))
        revision = api.resolve_revision(source.repo, revision=source.revision)
        try:
            plan = api.snapshot_download(source.repo, revision=revision, allow_patterns=wanted, dry_run=True)
        except DryRunError:  # sizes are not to be had: then nothing is fetched either
            with suppress(LocalEntryNotFoundError):
                return Path(api.snapshot_download(source.repo, revision=revision, allow_patterns=wanted,
                                                  local_files_only=True)) / source.subfolder
            raise
        _check(source, prefix, {file.filename: file.file_size for file in plan}, anonymous)
        folder = api.snapshot_download(source.repo, revision=revision, allow_patterns=wanted)
    except _faults() as error:
        raise HubError(_sentence(error, source, anonymous)) from None
    return Path(folder) / source.subfolder


def _faults() -> tuple[type[Exception], ...]:
    """What the Hub's client raises where the Hub, the network, the disk or a name is at fault."""
    from huggingface_hub.errors import HTTPError, RevisionResolutionError

    return HTTPError, OSError, ValueError, RuntimeError, RevisionResolutionError


def _check(source: Source, prefix: str, sizes: dict[str, int | None], anonymous: bool) -> None:
    for name in NEEDED:
        if prefix + name not in sizes:
            raise HubError(f"{source} on the Hub is no ganlib model: it has no {name}")
    for name, size in sizes.items():
        path = Path(name)
        most = MOST_BYTES.get(path.name, MOST_BYTES[path.suffix])
        if size is None or size > most:
            raise HubError(f"{source} on the Hub: {name} is {_in_words(size)}, and no more than {_in_words(most)} is "
                           f"fetched")
    total = sum(sizes.values())
    if anonymous and total > MOST_FOR_STRANGERS:
        raise HubError(f"{source} on the Hub is {_in_words(total)}, and no more than {_in_words(MOST_FOR_STRANGERS)} "
                       f"is fetched for visitors")


def _in_words(size: int | None) -> str:
    if size is None:
        return "of unknown size"
    return f"{size / 2**20:,.0f} MB" if size >= 2**20 else f"{size / 2**10:,.0f} KB"


def _hidden(repo: str) -> str:
    return f"the Hub shows no model {repo} to everybody: it does not exist, or it is private or gated"


def _sentence(error: Exception, source: Source, anonymous: bool) -> str:
    """Why the Hub did not give a repo, and what would help, in one sentence."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import get_token

    error, repo = _root(error), source.repo
    if anonymous and isinstance(error, RepositoryNotFoundError):  # a gated one too
        return _hidden(repo)
    if isinstance(error, GatedRepoError):
        return (f"{repo} on the Hub is gated: ask for access on its page{'' if get_token() else f', and {LOG_IN}'}")
    if isinstance(error, RepositoryNotFoundError):
        return (f"there is no folder {str(source)!r}, and the Hub shows no model {repo}: it does not exist, or it is "
                f"private and {'your token has no right to it' if get_token() else f'you have no token: {LOG_IN}'}")
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} on the Hub has no revision {source.revision or 'main'}"
    if _status(error) == 401:
        return f"the Hub refuses your token: {LOG_IN} anew"
    return (f"there is no folder {str(source)!r}, and {repo} is not in the cache and could not be fetched from the Hub "
            f"({_reason(error)})")


def _root(error: Exception) -> Exception:
    """What a chain of errors began with; of the Hub's answers and the client's refusals the one that says why."""
    from huggingface_hub.errors import HfHubHTTPError

    while error.__cause__ is not None and not isinstance(error, HfHubHTTPError | ValueError):
        error = error.__cause__
    return error


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _reason(error: Exception) -> str:
    """An error in a few words of one line, without addresses, paths or advice on other software."""
    if _status(error) is not None:
        said = " ".join((getattr(error, "server_message", None) or "").splitlines()[:1])
        return f"it answered {_status(error)}" + (f": {said[:200].rstrip('.')}" if said else "")
    if isinstance(error, json.JSONDecodeError):
        return "what answers there is not the Hub"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    text = " ".join(lines if isinstance(error, ValueError) else lines[:1])
    return text[:200].rstrip(".") or type(error).__name__


@contextmanager
def offline() -> Iterator[None]:
    """Meanwhile nothing in this process reaches the Hub: whoever asks it is refused at once."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@dataclass(frozen=True)
class Publication:
    """What is to be sent to a repo of the Hub: files by their names there, each a path or the bytes themselves."""

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

    repo_type: "model" or "space". Raises HubError, and ValueError as `check_repo` does.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    check_repo(repo)
    with _in_a_sentence(f"{repo} cannot be written to"):
        api = _api()
        user = api.whoami(token=True)
        try:
            api.auth_check(repo, repo_type=repo_type, write=True)
        except RepositoryNotFoundError:
            reads = user.get("auth", {}).get("accessToken", {}).get("role") == "read"
            if reads or repo.split("/")[0] not in (user["name"], *(group["name"] for group in user.get("orgs", []))):
                raise HubError(f"{repo} cannot be written to: {NO_RIGHT}") from None


@contextmanager
def _in_a_sentence(outcome: str) -> Iterator[None]:
    """Why the Hub did not do what it was asked to, as a HubError of one sentence that begins with the outcome."""
    from huggingface_hub.errors import LocalTokenNotFoundError

    try:
        yield
    except LocalTokenNotFoundError:
        raise HubError(f"{outcome}: there is no token, {LOG_IN}") from None
    except _faults() as error:
        raise HubError(f"{outcome}: {_refusal(_root(error))}") from None


def prepare(folder: str | Path, repo: str) -> Publication:
    """Check a weights folder and list what of it belongs on the Hub: the files of a weights folder, and no others.

    The card is written anew with the repo's name, unless somebody has edited it. Reaches no network. Raises ValueError
    for a repo that is not "user/name", WeightsError for a folder that does not load, and HubError for one whose
    metrics are of other weights, or missing.
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
        config = checkpoint.config_of(model) | model.config
        files[checkpoint.CARD] = model_card(config, model.metrics, model.history, source=repo).encode()
    return Publication(repo, files)


class Sent(NamedTuple):
    """The address of a commit, and whether the repo has kept its card, which somebody has edited, in place of ours."""

    address: str
    card_kept: bool


def publish(publication: Publication, *, private: bool | None = None, revision: str | None = None,
            message: str | None = None) -> Sent:
    """Send it in one commit, making the repo (private or not; None for the account's usual) and the branch where they
    are missing.

    Files of a weights folder that the repo has and the folder has no more are removed; others there are left alone, and
    so is a card that somebody has edited there, unless the folder's own was edited too. Nothing is changed in the repo
    unless everything has arrived. Raises HubError saying why it could not be sent.
    """
    repo, files, card_kept = publication.repo, dict(publication.files), False
    with _in_a_sentence(f"nothing was published in {repo}"):
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

    Other files of the package, left from an earlier version, are removed; what else the host keeps there, weights of
    their own too, is left alone. hardware: as the Hub names it, such as "cpu-basic" or "zero-a10g"; None leaves it as
    it is. variables: of the page's environment there, beside those the Space has. Both are set once the files are
    there. Raises HubError saying why it could not be done, and what has been.
    """
    repo, files = publication.repo, publication.files
    with _in_a_sentence(f"nothing was sent to {repo}"):
        api = _api()
        api.whoami(token=True)
        api.create_repo(repo, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
        _check_privacy(api, repo, "space", private)
        there = {name for name in api.list_repo_files(repo, repo_type="space") if name.startswith("ganlib/")}
        address = _commit(api, repo, files, there - set(files), message or f"The page of ganlib {__version__}",
                          repo_type="space")
    with _in_a_sentence(f"the files are in {repo}, but not all of its variables and hardware are set"):
        for name, value in (variables or {}).items():
            api.add_space_variable(repo, name, value)
        if hardware is not None:
            api.request_space_hardware(repo, hardware)
    return address


def space_readme(repo: str) -> str:
    """The README of a Space; "" where it has none, or is not there. Raises HubError where the Hub does not say."""
    from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

    with (_in_a_sentence(f"nothing was sent to {repo}"),
          suppress(RemoteEntryNotFoundError, RepositoryNotFoundError)):
        return _readme(_api(), repo, repo_type="space")
    return ""


def _api(anonymous: bool = False):
    """The Hub's client. Raises HubError for a token that the client would choke on, and show in doing so."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import get_token

    if not anonymous and not re.fullmatch("[!-~]*", get_token() or ""):
        raise HubError(f"your token has characters that no token has: {LOG_IN} anew")
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


def _refusal(error: Exception) -> str:
    """Why the Hub did not take what was sent, and what would help, in a few words."""
    if _status(error) == 401:
        return f"the Hub refuses your token: {LOG_IN} anew"
    if _status(error) == 403:
        return NO_RIGHT
    return f"the Hub could not be reached or did not take it ({_reason(error)})"
