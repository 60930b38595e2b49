"""From the Hugging Face Hub: weights folders, named "user/repo", "user/repo@revision" or "user/repo/subfolder".

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
from typing import TYPE_CHECKING, Any

import torch

from ganlib import addresses, checkpoint
from ganlib.addresses import Source
from ganlib.checkpoint import WeightsError
from ganlib.checks import quoted, require
from ganlib.devices import check_device
from ganlib.model import Model
from ganlib.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

FETCHED = {  # the largest allowed size of each file, in bytes
    checkpoint.CONFIG: 64 * 2**10, checkpoint.GENERATOR: 256 * 2**20, checkpoint.DISCRIMINATOR: 256 * 2**20,
    checkpoint.ENCODER: 256 * 2**20, checkpoint.METRICS: 16 * 2**20, checkpoint.HISTORY: 16 * 2**20}
MAX_ANONYMOUS_BYTES = 64 * 2**20  # of all files together, for visitors of a page: its host pays for disk and memory
LOG_IN = "log in by `hf auth login`, or set HF_TOKEN"
LOG_IN_ANEW = LOG_IN.replace("in by", "in anew by")
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


def load(source: str | Path, device: torch.device | str | None = None, *, revision: str | None = None,
         cache_dir: str | Path | None = None, local_files_only: bool = False,
         token: str | bool | None = None) -> Model:
    """Load a trained model. One on the Hub is downloaded once, and afterwards loads without a network too.

    Every tensor must have the name and shape that the architecture requires. Nothing is unpickled.

    Args:
        source: the name of a shipped model, a weights folder, or, if there is no such folder, one on the Hub:
            "user/repo", "user/repo@revision", "user/repo/subfolder", or its address.
        device: None for the best one available.
        revision: a branch, tag or commit of a model on the Hub.
        cache_dir: the folder that downloads are kept in, None for the cache of the Hub's client.
        local_files_only: use cached files only, and no network.
        token: of the Hub; None for that of `hf auth login` or HF_TOKEN, False for none.

    Raises:
        ValueError: this machine does not have the device, or the source has no such revision or another one.
        WeightsError: which file is wrong, and what is wrong with it, or why it could not be downloaded.
    """
    require(isinstance(source, str | Path), f"a model is named by a text or a Path, not {quoted(source)}")
    require(cache_dir is None or isinstance(cache_dir, str | Path),
            f"cache_dir is a folder, as a text or a Path, not {quoted(cache_dir)}")
    on_hub = _on_hub(source) if isinstance(source, str) else None
    if revision is not None:
        on_hub = _at(source, on_hub, revision)
    if on_hub is None:
        return checkpoint.load(source, device)
    return load_source(on_hub, device, cache_dir=cache_dir, local_files_only=local_files_only, token=token)


def _at(source: str | Path, on_hub: Source | None, revision: str) -> Source:
    """A source at a revision. Raises ValueError if it is not on the Hub, or names another revision."""
    if on_hub is None:
        raise ValueError(f"only a model on the Hub has revisions, and {quoted(str(source))} is none: leave out "
                         f"revision {quoted(revision)}")
    require(on_hub.revision in (None, revision),
            f"{on_hub} names a revision already, and {quoted(revision)} is another one: give one of them")
    check_repo(on_hub.repo, revision)
    return Source(on_hub.repo, revision, on_hub.subfolder)


def load_source(source: Source, device: torch.device | str | None = None, anonymous: bool = False, *,
                cache_dir: str | Path | None = None, local_files_only: bool = False,
                token: str | bool | None = None) -> Model:
    """Load a model from the Hub; its name is the source. Nothing is downloaded if a file is larger than in FETCHED.

    Args:
        source: the weights folder on the Hub.
        device: None for the best one available.
        anonymous: use no token, use cached files only if the Hub says that the repo is public now, and download at
            most MAX_ANONYMOUS_BYTES.
        cache_dir, local_files_only, token: as in `load`.

    Raises:
        HubError: why it could not be downloaded.
        ValueError, WeightsError: as in `load`; files are named by the source, not by their path in the cache.
    """
    device = check_device(device)  # before the download
    folder = _fetch(source, anonymous, cache_dir, local_files_only, token)
    try:
        model = checkpoint.load(folder, device)
    except WeightsError as error:
        raise WeightsError(str(error).replace(str(folder), str(source))) from None
    model.name = str(source)
    return model


def _fetch(source: Source, anonymous: bool, cache_dir: str | Path | None, local_files_only: bool,
           token: str | bool | None) -> Path:
    """Download a weights folder's config, safetensors and JSON files, or find them in the cache. Returns the folder."""
    from huggingface_hub.errors import DryRunError, LocalEntryNotFoundError, RevisionResolutionError

    outcome = f"{'' if anonymous else f'there is no folder {str(source)!r}, and '}{source} could not be fetched"
    cache: dict[str, Any] = {"cache_dir": cache_dir, "local_files_only": local_files_only}
    with explaining(outcome, source.repo, anonymous, token):
        api = client(False if anonymous else token, cache_dir)
        # the cache may hold files that only the host's token may read
        if anonymous and api.repo_info(source.repo, revision=source.revision).gated:
            raise HubError(f"{outcome}: {NOT_PUBLIC}")
        prefix = f"{source.subfolder}/" if source.subfolder else ""
        download: Callable[..., Any] = partial(api.snapshot_download, source.repo, **cache,
                                               allow_patterns=[prefix + name for name in FETCHED])
        if local_files_only:
            with suppress(LocalEntryNotFoundError, RevisionResolutionError):
                folder = Path(download(revision=source.revision)) / source.subfolder
                if (folder / checkpoint.CONFIG).exists():
                    return folder
            raise HubError(f"{outcome}: it is not in the cache, and no network may be used")
        revision = api.resolve_revision(source.repo, revision=source.revision, cache_dir=cache_dir)
        download = partial(download, revision=revision)
        try:
            plan = download(dry_run=True)
        except DryRunError:  # the sizes are unknown: nothing is downloaded, but cached files may be used
            with suppress(LocalEntryNotFoundError):
                folder = Path(download(**{**cache, "local_files_only": True})) / source.subfolder
                if (folder / checkpoint.CONFIG).exists():
                    return folder
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
def explaining(outcome: str, repo: str, anonymous: bool = False,
                token: str | bool | None = None) -> Iterator[None]:
    """Turns errors of the Hub's client into a HubError of one sentence: the outcome, its cause, and what would help."""
    from huggingface_hub.errors import HTTPError, RevisionResolutionError  # type: ignore[attr-defined]

    try:
        yield
    except (HTTPError, OSError, ValueError, RuntimeError, RevisionResolutionError) as error:
        raise HubError(f"{outcome}: {cause_of(error, repo, anonymous, token)}") from None


def cause_of(error: BaseException, repo: str, anonymous: bool = False, token: str | bool | None = None) -> str:
    """Why the Hub's client failed, without tokens or advice on other software."""
    from huggingface_hub import constants, errors, get_token
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    while error.__cause__ is not None and not isinstance(error, HTTPError | ValueError):
        error = error.__cause__
    status = getattr(getattr(error, "response", None), "status_code", None)
    with suppress(OSError):  # its file cannot be read, which may be the very error
        token = get_token() if token is None else token
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
    if status == 412:  # of a commit whose parent is no longer the newest one
        return f"{repo} has changed in the meantime, run the command again"
    if status in (401, 403):
        return NO_RIGHT if status == 403 else f"the Hub refuses your token, {LOG_IN_ANEW}"
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


def limit_waits(seconds: float) -> None:
    """Keep requests of the Hub's client of this process from waiting longer for an answer, or for its next bytes.

    Without a limit of its own, the client asks about a repo and waits for ever.
    """
    from huggingface_hub import get_session

    def limit(request: Any) -> None:
        limits = request.extensions.get("timeout") or {}
        request.extensions["timeout"] = {kind: min(limits.get(kind) or seconds, seconds)
                                         for kind in ("connect", "read", "write", "pool")}

    hooks = get_session().event_hooks
    if not any(hook.__qualname__ == limit.__qualname__ for hook in hooks["request"]):
        get_session().event_hooks = {**hooks, "request": [*hooks["request"], limit]}


def check_repo(repo: str, revision: str | None = None, repo_type: str = "model") -> str:
    """The name of a repo, "user/name", which may be given as its address.

    Raises ValueError for another text, and for a revision that cannot be one.
    """
    kind = f"{repo_type}s"
    require(isinstance(repo, str), f"{addresses.WRITTEN[kind]}, not {quoted(repo)}")
    found = addresses.parse(repo, kind, addresses.WRITTEN)
    require(found is not None and found == Source(found.repo),
            f"{addresses.WRITTEN[kind]}, not {quoted(str(found or repo))}")
    name = found.repo if found else repo
    require(revision is None or addresses.parse(f"{name}@{revision}") == Source(name, revision),
            f"a branch is named by letters, digits, dots, dashes, slashes and underscores, not {quoted(revision)}")
    return name


def check_access(repo: str | list[str], repo_type: str = "model") -> str:
    """The name of a repo, or of the first of several, if the user's token may write to each, or create it.

    Raises HubError if it may not, and ValueError as `check_repo`.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    names = [check_repo(name, repo_type=repo_type) for name in ([repo] if isinstance(repo, str) else repo)]
    with explaining(f"{', '.join(names)} cannot be written to", names[0]):
        api = client()
        owners = _owners(api.whoami(token=True))  # once: the Hub limits the rate of this request
        for name in names:
            try:
                api.auth_check(name, repo_type=repo_type, write=True)
            except RepositoryNotFoundError:
                if name.split("/")[0] not in owners:
                    raise HubError(f"{name} cannot be written to: {NO_RIGHT}") from None
    return names[0]


def check_local(folder: str) -> None:
    """Raises HubError for a model on the Hub in place of a folder on this machine."""
    source = _on_hub(folder)
    if source is not None and folder.strip() != str(source):  # a name may as well be a path with a typing error
        revision = f" --revision {source.revision}" if source.revision else ""
        raise HubError(f"a folder of this machine is needed: download {source} first, by `hf download "
                       f"{source.repo}{revision} --local-dir FOLDER`")


def check_owner(owner: str) -> None:
    """Raises HubError if the user's token may not write in a user's or an organisation's name."""
    with explaining(f"nothing can be written for {owner}", owner):
        if owner not in _owners(client().whoami(token=True)):
            raise HubError(f"nothing can be written for {owner}: {NO_RIGHT}")


def _owners(user: dict[str, Any]) -> list[str]:
    """The user and the organisations for which a token may write, by the Hub's answer to whoami."""
    if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
        return []
    return [user["name"], *(group["name"] for group in user.get("orgs", []))]


def client(token: str | bool | None = None, cache_dir: str | Path | None = None) -> "HfApi":
    """The Hub's client. Raises ValueError without a home folder or for no token, HubError for one that cannot be sent.

    The client would make a folder named ~, and its own error would show the token.

    Args:
        token: None for the user's, False for none.
        cache_dir: where downloads are kept, None for the client's own folder.
    """
    from huggingface_hub import HfApi, constants, get_token

    require(token is None or isinstance(token, bool) or (isinstance(token, str) and token != ""),
            f"a token is a text, or None for that of `hf auth login` or HF_TOKEN, not {quoted(token)}")
    if cache_dir is None and constants.HF_HUB_CACHE.startswith("~"):
        raise ValueError("there is no home folder to keep models in: name one by HF_HOME")
    sent = token if isinstance(token, str) else "" if token is False else get_token() or ""
    if not re.fullmatch("[!-~]*", sent):
        raise HubError(f"your token has characters that no token has, {LOG_IN_ANEW}")
    return HfApi(library_name="ganlib", library_version=__version__, token=token)
