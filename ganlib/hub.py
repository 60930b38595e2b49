"""Weights folders on the Hugging Face Hub, named "user/repo", "user/repo@revision" or "user/repo/subfolder".

An address of the Hub means the same as the name: see `ganlib.addresses`. Files are downloaded into the Hub's own cache,
and are loaded from there if there is no network.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ganlib import addresses, checkpoint
from ganlib.addresses import Source
from ganlib.card import is_our_card, model_card
from ganlib.checkpoint import WeightsError
from ganlib.checks import quoted, require
from ganlib.devices import check_device
from ganlib.model import Model
from ganlib.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi, RepoCard

FETCHED = {  # the largest allowed size of each file, in bytes
    checkpoint.CONFIG: 64 * 2**10, checkpoint.GENERATOR: 256 * 2**20, checkpoint.DISCRIMINATOR: 256 * 2**20,
    checkpoint.ENCODER: 256 * 2**20, checkpoint.METRICS: 16 * 2**20, checkpoint.HISTORY: 16 * 2**20}
MAX_ANONYMOUS_BYTES = 64 * 2**20  # of all files together, for visitors of a page: its host pays for disk and memory
LOG_IN = "log in by `hf auth login`, or set HF_TOKEN"
NO_RIGHT = "your token has no right to write there, use a token with write access, or a repo of your own"
NOT_PUBLIC = "the Hub has no public model of that name: it does not exist, or is private or gated"


class HubError(WeightsError):
    """The Hub refused or could not be reached, or a repo is not a weights folder; the message says why."""


def parse(source: str) -> Source | None:
    """The Source of a string "user/repo[/subfolder][@revision]" or of an address; None if the string is neither.

    Raises HubError for the address of something other than a model.
    """
    try:
        return addresses.parse(source)
    except ValueError as error:
        raise HubError(str(error)) from None


def _on_hub(text: str) -> Source | None:
    """The Source that a text names, None for a path on this machine. Raises HubError as `parse` does."""
    if os.path.exists(text):
        return None
    try:
        return parse(text)
    except HubError as error:
        if text.startswith(("datasets/", "spaces/")):  # a path may begin so, too
            raise HubError(f"there is no folder {quoted(text)}, and on the Hub {error}") from None
        raise


def load(source: str | Path, device: torch.device | str | None = None) -> Model:
    """Load a trained model. One on the Hub is downloaded once, and afterwards loads without a network too.

    Every tensor must have the name and shape that the architecture requires. Nothing is unpickled.

    Args:
        source: the name of a shipped model, a weights folder, or, if there is no such folder, one on the Hub:
            "user/repo", "user/repo@revision", "user/repo/subfolder", or its address.
        device: None for the best one available.

    Raises:
        ValueError: this machine does not have the device.
        WeightsError: which file is wrong, and what is wrong with it, or why it could not be downloaded.
    """
    on_hub = _on_hub(source) if isinstance(source, str) else None
    return checkpoint.load(source, device) if on_hub is None else load_source(on_hub, device)


def load_source(source: Source, device: torch.device | str | None = None, anonymous: bool = False) -> Model:
    """Load a model from the Hub; its name is the source. Nothing is downloaded if a file is larger than in FETCHED.

    Args:
        source: the weights folder on the Hub.
        device: None for the best one available.
        anonymous: use no token, use cached files only if the Hub says that the repo is public now, and download at
            most MAX_ANONYMOUS_BYTES.

    Raises:
        HubError: why it could not be downloaded.
        ValueError, WeightsError: as in `load`; files are named by the source, not by their path in the cache.
    """
    device = check_device(device)  # before the download
    folder = _fetch(source, anonymous)
    try:
        model = checkpoint.load(folder, device)
    except WeightsError as error:
        raise WeightsError(str(error).replace(str(folder), str(source))) from None
    model.name = str(source)
    return model


def _fetch(source: Source, anonymous: bool) -> Path:
    """Download a weights folder's config, safetensors and JSON files, or find them in the cache. Returns the folder."""
    from huggingface_hub.errors import DryRunError, LocalEntryNotFoundError

    outcome = f"{'' if anonymous else f'there is no folder {str(source)!r}, and '}{source} could not be fetched"
    with _hub_errors(outcome, source.repo, anonymous):
        api = _api(anonymous)
        # the cache may hold files that only the host's token may read
        if anonymous and api.repo_info(source.repo, revision=source.revision).gated:
            raise HubError(f"{outcome}: {NOT_PUBLIC}")
        prefix = f"{source.subfolder}/" if source.subfolder else ""
        download: Callable[..., Any] = partial(
            api.snapshot_download, source.repo, revision=api.resolve_revision(source.repo, revision=source.revision),
            allow_patterns=[prefix + name for name in FETCHED])
        try:
            plan = download(dry_run=True)
        except DryRunError:  # the sizes are unknown: nothing is downloaded, but cached files may be used
            with suppress(LocalEntryNotFoundError):
                return Path(download(local_files_only=True)) / source.subfolder
            raise
        _check_sizes(source, {file.filename.removeprefix(prefix): file.file_size for file in plan}, anonymous)
        return Path(download()) / source.subfolder


def _check_sizes(source: Source, sizes: dict[str, int | None], anonymous: bool) -> None:
    """Raises HubError if a required file is missing, or files are too large; None is an unknown size."""
    for name in (checkpoint.CONFIG, checkpoint.GENERATOR):
        if name not in sizes:
            raise HubError(f"{source} on the Hub is not a ganlib model: it has no {name}")
    checks = [(name, size, FETCHED[name]) for name, size in sizes.items()]
    if anonymous:
        checks.append(("all files together", sum(size or 0 for size in sizes.values()), MAX_ANONYMOUS_BYTES))
    for name, size, limit in checks:
        if size is None or size > limit:
            found = "an unknown size" if size is None else f"{size // 2**10:,} KB"
            raise HubError(f"{source} on the Hub is too large: {name}: {found}, at most {limit // 2**10:,} KB")


@contextmanager
def _hub_errors(outcome: str, repo: str, anonymous: bool = False) -> Iterator[None]:
    """Turns errors of the Hub's client into a HubError of one sentence: the outcome, its cause, and what would help."""
    from huggingface_hub.errors import HTTPError, RevisionResolutionError  # type: ignore[attr-defined]

    try:
        yield
    except (HTTPError, OSError, ValueError, RuntimeError, RevisionResolutionError) as error:
        raise HubError(f"{outcome}: {_cause(error, repo, anonymous)}") from None


def _cause(error: BaseException, repo: str, anonymous: bool) -> str:
    """Why the Hub's client failed, without tokens or advice on other software."""
    from huggingface_hub import constants, errors, get_token
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    while error.__cause__ is not None and not isinstance(error, HTTPError | ValueError):
        error = error.__cause__
    token, status = None, getattr(getattr(error, "response", None), "status_code", None)
    with suppress(OSError):  # its file cannot be read, which may be the very error
        token = get_token()
    no_token = f"there is no token, {LOG_IN}"
    causes = {
        errors.LocalTokenNotFoundError: no_token,
        errors.GatedRepoError: f"{repo} is gated, ask for access on its page{'' if token else f', and {LOG_IN}'}",
        errors.RepositoryNotFoundError: f"{repo} does not exist on the Hub, or is private and "
                                        f"{'your token has no right to it' if token else no_token}",
        errors.RevisionNotFoundError: f"{repo} has no such revision",
        json.JSONDecodeError: "the answer is not from the Hub",
    }
    if anonymous and isinstance(error, errors.RepositoryNotFoundError):
        return NOT_PUBLIC
    for kind, cause in causes.items():
        if isinstance(error, kind):
            return cause
    if status in (401, 403):
        return NO_RIGHT if status == 403 else f"the Hub refuses your token, {LOG_IN} anew"
    if isinstance(error, OSError) and error.filename:
        file, own = Path(str(error.filename)), (constants.HF_HUB_CACHE, constants.HF_TOKEN_PATH, constants.HF_HOME)
        cached = any(file.is_relative_to(path) or Path(path).is_relative_to(file) for path in own)
        return f"{error.strerror}: {error.filename}{'; name another folder for the cache by HF_HOME' * cached}"
    text = getattr(error, "server_message", None) or getattr(error, "strerror", None) or str(error)
    # a ValueError about a name has several lines, and all of them are needed
    text = " ".join(text.split() if isinstance(error, ValueError) else text.strip().splitlines()[:1])
    text = text[:200].rstrip(".") or type(error).__name__
    if status is not None:
        return f"the Hub answered {status}, {text}"
    return f"the Hub could not be reached ({text})" if isinstance(error, HTTPError | ConnectionError) else text


@contextmanager
def offline() -> Iterator[None]:
    """Keeps the Hub's client of this whole process from using the network inside a `with` block."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


class Publication(NamedTuple):
    """The files to be sent to a repo on the Hub, by their names there, each as a path or as bytes."""

    repo: str
    files: dict[str, Path | bytes]


def check_repo(repo: str, revision: str | None = None, repo_type: str = "model") -> str:
    """The name of a repo, "user/name", which may be given as its address.

    Raises ValueError for another text, and for a revision that cannot be one.
    """
    kind = f"{repo_type}s"
    found = addresses.parse(repo, kind, addresses.WRITTEN)
    require(found is not None and found == Source(found.repo),
            f"{addresses.WRITTEN[kind]}, not {quoted(str(found or repo))}")
    name = found.repo if found else repo
    require(revision is None or addresses.parse(f"{name}@{revision}") == Source(name, revision),
            f"a branch is named by letters, digits, dots, dashes, slashes and underscores, not {revision!r}")
    return name


def check_access(repo: str, repo_type: str = "model") -> str:
    """The name of a repo that the user's token may write to, or create.

    Raises HubError for another, and ValueError as `check_repo`.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    repo = check_repo(repo, repo_type=repo_type)
    with _hub_errors(f"{repo} cannot be written to", repo):
        api = _api()
        user = api.whoami(token=True)
        try:
            api.auth_check(repo, repo_type=repo_type, write=True)
        except RepositoryNotFoundError:
            read_only = user.get("auth", {}).get("accessToken", {}).get("role") == "read"
            owners = [user["name"], *(group["name"] for group in user.get("orgs", []))]
            if read_only or repo.split("/")[0] not in owners:
                raise HubError(f"{repo} cannot be written to: {NO_RIGHT}") from None
    return repo


def check_local(folder: str) -> None:
    """Raises HubError for a model on the Hub in place of a folder on this machine."""
    source = _on_hub(folder)
    if source is not None and folder.strip() != str(source):  # a name may as well be a path with a typing error
        revision = f" --revision {source.revision}" if source.revision else ""
        raise HubError(f"a folder of this machine is needed: download {source} first, by `hf download "
                       f"{source.repo}{revision} --local-dir FOLDER`")


def prepare(folder: str | Path, repo: str) -> Publication:
    """Check a weights folder and collect the files to be published. Uses no network.

    The card is written anew with the repo's name, unless it has been edited.

    Raises:
        ValueError: the repo is not "user/name".
        WeightsError: the folder does not load, its run has not ended, or its metrics are missing or were measured on
            other weights.
    """
    repo = check_repo(repo)
    check_local(str(folder))
    if unfinished := checkpoint.unfinished(Path(folder)):
        raise WeightsError(f"nothing was published: {unfinished}")
    model = checkpoint.load(Path(folder), "cpu")
    folder = model.folder or Path(folder)
    if not checkpoint.is_measured(folder, model.metrics):
        raise HubError(f"{folder / checkpoint.METRICS} is missing, or was measured on other weights: measure the model "
                       f"first by python -m train.evaluate {folder}")
    files: dict[str, Path | bytes] = {path.name: path for path in checkpoint.files(folder)}
    if checkpoint.CARD not in files or _is_ours(folder / checkpoint.CARD):
        card = model_card(checkpoint.config_of(model), model.metrics, model.history, source=repo)
        files[checkpoint.CARD] = card.encode()
    return Publication(repo, files)


def _is_ours(card: str | Path) -> bool:
    return is_our_card(Path(card).read_text(encoding="utf-8", errors="replace"))


def publish(publication: Publication, *, private: bool | None = None, revision: str | None = None,
            message: str | None = None) -> tuple[str, bool]:
    """Send a weights folder to a model repo in one commit. The repo and the branch are created if they are missing.

    Files of a weights folder that only the repo has are removed. Other files there are kept. A card that has been
    edited there is kept, unless the card of the folder has been edited too. The commit succeeds or fails as a whole.

    Args:
        publication: from `prepare`.
        private: whether a new repo is private, None for the account's default.
        revision: the branch, None for main.
        message: of the commit, None for a default.

    Returns:
        The commit's address, and whether the card in the repo was kept because it had been edited there.

    Raises:
        HubError: why it could not be sent.
    """
    return _send(publication, "model", checkpoint.is_weights_file, private, revision,
                 message or f"Weights, metrics and card by ganlib {__version__}")


def deploy(publication: Publication, *, private: bool | None = None, hardware: str | None = None,
           variables: dict[str, str] | None = None) -> str:
    """Send files to a Gradio Space in one commit. The Space is created if it is missing. Returns the commit's address.

    Files of an earlier version of the package are removed. Other files there are kept. Variables and hardware are set
    after the commit.

    Args:
        publication: the Space's repo and files.
        private: whether a new Space is private, None for the account's default.
        hardware: the Hub's name of it, such as "cpu-basic" or "zero-a10g"; None does not change it.
        variables: environment variables, added to those of the Space.

    Raises:
        HubError: why it could not be done, and which part was done.
    """
    address, _ = _send(publication, "space", lambda name: name.startswith("ganlib/"), private, None,
                       f"The page of ganlib {__version__}")
    repo = publication.repo
    with _hub_errors(f"the files are in {repo}, but not all of its variables and hardware are set", repo):
        api = _api()
        for name, value in (variables or {}).items():
            api.add_space_variable(repo, name, value)
        if hardware is not None:
            api.request_space_hardware(repo, hardware)  # type: ignore[arg-type]  # also one that the client does not know
    return address


def _send(publication: Publication, repo_type: str, replaced: Callable[[str], bool], private: bool | None,
          revision: str | None, message: str) -> tuple[str, bool]:
    """Send files in one commit, which removes those that only the repo has and whose names are `replaced`."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    repo, files = publication
    with _hub_errors(f"nothing was sent to {repo}", repo):
        api = _api()
        api.whoami(token=True)
        api.create_repo(repo, repo_type=repo_type, space_sdk="gradio" if repo_type == "space" else None,
                        private=private, exist_ok=True)
        if private and not api.repo_info(repo, repo_type=repo_type).private:
            raise HubError(f"{repo} exists already, and is public: make it private in its settings first")
        if revision is not None:
            api.create_branch(repo, branch=revision, exist_ok=True)
        existing = set(api.list_repo_files(repo, repo_type=repo_type, revision=revision))
        # a card in bytes is generated; one in a file has been edited by the user
        card_kept = (repo_type == "model" and checkpoint.CARD in existing and isinstance(files[checkpoint.CARD], bytes)
                     and not _is_ours(api.hf_hub_download(repo, checkpoint.CARD, revision=revision)))
        added = [CommitOperationAdd(name, files[name]) for name in sorted(files)
                 if not (card_kept and name == checkpoint.CARD)]
        removed = [CommitOperationDelete(name) for name in sorted(existing - set(files)) if replaced(name)]
        commit = api.create_commit(repo, [*added, *removed], commit_message=message, repo_type=repo_type,
                                   revision=revision)
    return commit.commit_url, card_kept


def space_readme(repo: str) -> str:
    """The README of a Space, "" if there is none. Raises HubError if the Hub does not answer."""
    from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

    with (_hub_errors(f"nothing was sent to {repo}", repo),
          suppress(RemoteEntryNotFoundError, RepositoryNotFoundError)):
        path = _api().hf_hub_download(repo, checkpoint.CARD, repo_type="space")
        return Path(path).read_text(encoding="utf-8", errors="replace")
    return ""


def _api(anonymous: bool = False) -> "HfApi":
    """The Hub's client. Raises ValueError without a home folder, HubError for a token that cannot be sent.

    The client would make a folder named ~, and its own error would show the token.
    """
    from huggingface_hub import HfApi, constants, get_token

    if constants.HF_HUB_CACHE.startswith("~"):
        raise ValueError("there is no home folder to keep models in: name one by HF_HOME")
    if not anonymous and not re.fullmatch("[!-~]*", get_token() or ""):
        raise HubError(f"your token has characters that no token has, {LOG_IN} anew")
    return HfApi(library_name="ganlib", library_version=__version__, token=False if anonymous else None)


def card(readme: str) -> "RepoCard":
    """A README as huggingface_hub's RepoCard. Its `data` are the front matter, empty if that cannot be read."""
    from huggingface_hub import RepoCard
    from yaml import YAMLError  # type: ignore[import-untyped]

    empty = "---\n{}\n---\n"
    with suppress(ValueError, YAMLError):
        return RepoCard(readme if readme.startswith("---") else empty + readme)
    return RepoCard(empty + readme)
