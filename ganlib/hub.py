"""Weights folders on the Hugging Face Hub, named "user/repo", "user/repo@revision" or "user/repo/subfolder".

An address of the Hub means the same as the name: see `ganlib.addresses`. Files are downloaded into the Hub's own cache,
and are loaded from there if there is no network.
"""

import copy
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ganlib import addresses, checkpoint, console
from ganlib.addresses import Source
from ganlib.card import model_card, renewed
from ganlib.checkpoint import WeightsError
from ganlib.checks import quoted, require
from ganlib.devices import check_device
from ganlib.model import Model
from ganlib.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi, SpaceCard
    from huggingface_hub.hf_api import RepoFile

FETCHED = {  # the largest allowed size of each file, in bytes
    checkpoint.CONFIG: 64 * 2**10, checkpoint.GENERATOR: 256 * 2**20, checkpoint.DISCRIMINATOR: 256 * 2**20,
    checkpoint.ENCODER: 256 * 2**20, checkpoint.METRICS: 16 * 2**20, checkpoint.HISTORY: 16 * 2**20}
MAX_ANONYMOUS_BYTES = 64 * 2**20  # of all files together, for visitors of a page: its host pays for disk and memory
ZERO_GPU = "zero-a10g"  # the Hub's name of ZeroGPU, which lends a GPU for one call at a time
LOG_IN = "log in by `hf auth login`, or set HF_TOKEN"
LOG_IN_ANEW = LOG_IN.replace("in by", "in anew by")
NO_RIGHT = "your token has no right to write there, use a token with write access, or a repo of your own"
COLLECTION = "Small generative networks by ganlib, to explore, run and retrain"  # a new collection's description
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
    with _hub_errors(outcome, source.repo, anonymous, token):
        api = _api(False if anonymous else token, cache_dir)
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
def _hub_errors(outcome: str, repo: str, anonymous: bool = False,
                token: str | bool | None = None) -> Iterator[None]:
    """Turns errors of the Hub's client into a HubError of one sentence: the outcome, its cause, and what would help."""
    from huggingface_hub.errors import HTTPError, RevisionResolutionError  # type: ignore[attr-defined]

    try:
        yield
    except (HTTPError, OSError, ValueError, RuntimeError, RevisionResolutionError) as error:
        raise HubError(f"{outcome}: {_cause(error, repo, anonymous, token)}") from None


def _cause(error: BaseException, repo: str, anonymous: bool = False, token: str | bool | None = None) -> str:
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


class Space(NamedTuple):
    """A Space as it is now.

    Args:
        readme: its README.md, "" if there is none.
        hardware: the Hub's name of what it runs on, or of what was asked for; None if that is unknown.
        head: its newest commit, None if it does not exist.
    """

    readme: str = ""
    hardware: str | None = None
    head: str | None = None


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


class Publication(NamedTuple):
    """What is to be sent to a repo on the Hub.

    Args:
        repo: its name.
        files: by their names there, each as a path or as bytes.
        card: makes a model's card from the names of the pictures that it can show; None for a Space.
        edited: the sentence of `ganlib.card.renewed` if the card among the files has been edited, else "".
        head: the repo's commit that the files were made for: nothing is sent after another one. None for the newest.
    """

    repo: str
    files: dict[str, Path | bytes]
    card: Callable[..., Any] | None = None
    edited: str = ""
    head: str | None = None


class Published(NamedTuple):
    """What was sent to the Hub.

    Args:
        address: of the commit or the pull request; of the newest commit if nothing was changed.
        card: a sentence on a card of the repo that somebody has edited, or "".
        changed: whether anything was sent.
    """

    address: str
    card: str
    changed: bool


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
    with _hub_errors(f"{', '.join(names)} cannot be written to", names[0]):
        api = _api()
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


def prepare(folder: str | Path, repo: str, space: str | None = None) -> Publication:
    """Check a weights folder and collect the files to be published. Uses no network.

    The card is written anew with the repo's name; of one that somebody has edited, only the measures.

    Args:
        folder: the weights folder.
        repo: "user/name".
        space: a Space "user/space" that the card names, or None.

    Raises:
        ValueError: the repo is not "user/name", or the Space is not "user/space".
        WeightsError: the folder does not load, its run has not ended, or its metrics are missing or were measured on
            other weights.
    """
    repo = check_repo(repo)
    space = check_repo(space, repo_type="space") if space else None
    check_local(str(folder))
    if unfinished := checkpoint.unfinished(Path(folder)):
        raise WeightsError(f"nothing was published: {unfinished}")
    model = checkpoint.load(Path(folder), "cpu")
    folder = model.folder or Path(folder)
    if not checkpoint.is_measured(folder, model.metrics):
        raise HubError(f"{folder / checkpoint.METRICS} is missing, or was measured on other weights: measure the model "
                       f"first by {console.spelled('evaluate')} {folder}")
    return _publication(folder, model, repo, space)


def _publication(folder: Path, model: Model, repo: str, space: str | None = None) -> Publication:
    """The files of a model's folder, and its card with the repo's name."""
    files: dict[str, Path | bytes] = {path.name: path for path in checkpoint.files(folder)}
    card = partial(model_card, checkpoint.config_of(model), model.metrics, model.history, repo, space)
    known = (folder / checkpoint.CARD).read_bytes() if checkpoint.CARD in files else None
    files[checkpoint.CARD], edited = renewed(known, card(pictures=files))
    return Publication(repo, files, card, edited and f"{folder / checkpoint.CARD} {edited}.")


def publish(publication: Publication, *, private: bool | None = None, revision: str | None = None,
            message: str | None = None, create_pr: bool = False, token: str | None = None) -> Published:
    """Send a weights folder to a model repo in one commit. The repo and the branch are created if they are missing.

    Files of a weights folder that only the repo has are removed, but not the pictures of the same weights. Other files
    there are kept. Of a card that has been edited there, only the measures change, even if the card of the folder has
    been edited too. The commit succeeds or fails as a whole, and fails if the branch changes in the meantime. If
    nothing has changed, there is none.

    Args:
        publication: from `prepare`.
        private: whether a new repo is private, None for the account's default.
        revision: the branch, None for main.
        message: of the commit, None for a default.
        create_pr: open a pull request with the commit, which needs no right to write to the repo.
        token: None for that of `hf auth login` or HF_TOKEN.

    Raises:
        HubError: why it could not be sent.
    """
    return _send(publication, "model", checkpoint.is_weights_file, private, revision,
                 message or f"Weights, metrics and card by ganlib {__version__}", create_pr=create_pr, token=token)


def push(model: Model, repo: str, *, private: bool | None = None, revision: str | None = None,
         message: str | None = None, create_pr: bool = False, token: str | None = None) -> str:
    """Publish a model in memory as `Model.push_to_hub` says, and return the address."""
    from ganlib import report

    repo = check_repo(repo, revision)
    model, known = copy.copy(model), model.folder
    with tempfile.TemporaryDirectory() as temporary:
        folder = checkpoint.save(model, temporary)
        hashes = checkpoint.hashes(folder)
        if any(model.metrics.get(key, value) != value for key, value in hashes.items()):
            model.metrics = {}
            checkpoint.write_atomically(folder / checkpoint.METRICS, checkpoint.to_json({}))
        if known is not None and known.is_dir() and checkpoint.hashes(known) == hashes:
            for path in checkpoint.files(known):  # the card and the pictures
                if not (folder / path.name).exists():
                    shutil.copyfile(path, folder / path.name)
        if len(model.shape) == 3 and not (folder / checkpoint.SAMPLES).exists():
            (folder / checkpoint.SAMPLES).write_bytes(report.picture(model, None))
        return publish(_publication(folder, model, repo), private=private, revision=revision, message=message,
                       create_pr=create_pr, token=token).address


def check_collection(name: str) -> str:
    """The name of a collection, "user/title" or "user/slug", which may be given as its address. Raises ValueError."""
    _, is_address, found = name.strip().rpartition("/collections/")
    if is_address:
        found = re.split("[?#]", found)[0].rstrip("/")
    owner, _, title = found.partition("/")
    require(bool(title.strip()) and "/" not in title and addresses.parse(f"{owner}/x") == Source(f"{owner}/x"),
            f"a collection on the Hub is named user/title, such as user/ganlib, not {quoted(name)}")
    return found


def check_owner(owner: str) -> None:
    """Raises HubError if the user's token may not write in a user's or an organisation's name."""
    with _hub_errors(f"nothing can be written for {owner}", owner):
        if owner not in _owners(_api().whoami(token=True)):
            raise HubError(f"nothing can be written for {owner}: {NO_RIGHT}")


def _owners(user: dict[str, Any]) -> list[str]:
    """The user and the organisations for which a token may write, by the Hub's answer to whoami."""
    if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
        return []
    return [user["name"], *(group["name"] for group in user.get("orgs", []))]


def collect(collection: str, notes: dict[str, str], private: bool | None = None) -> tuple[str, int]:
    """Add models to a collection on the Hub, at its end. It is created if it is missing; its other items stay.

    Args:
        collection: "user/title" or "user/slug", from `check_collection`.
        notes: on each model, by its repo, in order.
        private: whether a new collection is private.

    Returns:
        The collection's address, and how many models were new in it.

    Raises:
        HubError: why it could not be done.
    """
    owner, _, title = collection.partition("/")
    with _hub_errors(f"not all models are in the collection {collection}", collection):
        api = _api()
        slug = _slug(api, collection)
        if slug is None and re.search("-[0-9a-f]{24}$", collection):
            raise HubError(f"there is no collection {collection} on the Hub")
        slug = slug or api.create_collection(title, namespace=owner, private=bool(private), exists_ok=True,
                                             description=COLLECTION).slug
        there = api.get_collection(slug)
        if private and not there.private:
            raise HubError(f"the collection {collection} exists already, and is public: make it private in its "
                           f"settings first")
        missing = notes.keys() - {item.item_id for item in there.items if item.item_type == "model"}
        for repo, note in notes.items():
            if repo in missing:
                api.add_collection_item(slug, repo, "model", note=note, exists_ok=True)
    return there.url, len(missing)


def collected(collection: str) -> list[str]:
    """The repos of the models in a collection on the Hub, named as in `collect`. Raises HubError if there is none."""
    with _hub_errors(f"the collection {collection} could not be read", collection):
        api = _api()
        slug = _slug(api, collection)
        if slug is None:
            raise HubError(f"there is no collection {collection} on the Hub")
        return [item.item_id for item in api.get_collection(slug).items if item.item_type == "model"]


def _slug(api: "HfApi", collection: str) -> str | None:
    """The slug of a collection that is named by its slug or by its title, None if it is not on the Hub."""
    owner = collection.partition("/")[0]
    return next((known.slug for known in api.list_collections(owner=owner)
                 if collection.casefold() in (known.slug.casefold(), f"{owner}/{known.title}".casefold())), None)


def deploy(publication: Publication, *, private: bool | None = None, hardware: str | None = None,
           variables: dict[str, str] | None = None, defaults: dict[str, str] | None = None) -> Published:
    """Send files to a Gradio Space in one commit. The Space is created if it is missing.

    Files of an earlier version of the package are removed. Other files there are kept. Variables and hardware are set
    after the commit. If no file has changed, there is none.

    Args:
        publication: the Space's repo and files.
        private: whether a new Space is private, None for the account's default.
        hardware: the Hub's name of it, such as "cpu-basic" or "zero-a10g"; None does not change it.
        variables: environment variables, added to those of the Space.
        defaults: environment variables that are added if the Space has none of that name.

    Raises:
        HubError: why it could not be done, and which part was done.
    """
    sent = _send(publication, "space", lambda name: name.startswith("ganlib/"), private, None,
                 f"The page of ganlib {__version__}", hardware)
    repo = publication.repo
    with _hub_errors(f"the files are in {repo}, but not all of its variables and hardware are set", repo):
        api = _api()
        known = api.get_space_variables(repo) if defaults else {}
        missing = {name: value for name, value in (defaults or {}).items() if name not in known}
        for name, value in {**missing, **(variables or {})}.items():
            api.add_space_variable(repo, name, value)
        if hardware not in (None, _hardware(api, repo)):
            api.request_space_hardware(repo, hardware)  # type: ignore[arg-type]  # also one that the client does not know
    return sent


def _send(publication: Publication, repo_type: str, replaced: Callable[[str], bool], private: bool | None,
          revision: str | None, message: str, hardware: str | None = None, create_pr: bool = False,
          token: str | None = None) -> Published:
    """Send what has changed in one commit, which removes files that only the repo has, if their name is `replaced`."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, get_token
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    repo, files, card, edited, head = publication
    said = ""
    with _hub_errors(f"nothing was sent to {repo}", repo, token=token):
        api = _api(token)
        if not (get_token() if token is None else token):
            raise LocalTokenNotFoundError
        of_space: Any = {"space_sdk": "gradio", "space_hardware": hardware} if repo_type == "space" else {}
        try:
            api.create_repo(repo, repo_type=repo_type, private=private, exist_ok=True, **of_space)
        except HfHubHTTPError as error:
            if repo_type != "space" or error.response.status_code != 402:
                raise
            if not api.repo_exists(repo, repo_type=repo_type):
                raise HubError(f"nothing was sent to {repo}: {_cause(error, repo)}; hardware {ZERO_GPU} needs "
                               f"no subscription") from None
        if private and not create_pr and not api.repo_info(repo, repo_type=repo_type).private:
            raise HubError(f"{repo} exists already, and is public: make it private in its settings first")
        head = head or _head(api, repo, repo_type, revision)  # nobody's later change is overwritten
        there = _contents(api, repo, repo_type, head)
        networks = {name for name in checkpoint.HASHES if name in there or name in files}
        same = {name for name in networks if name in files and _is_same(files[name], there.get(name))}
        # pictures are of the networks
        kept = {name for name in there.keys() - files.keys()
                if not replaced(name) or (networks and same == networks and name.endswith(".png"))}
        if card is not None:
            known = None
            if checkpoint.CARD in there:
                known = Path(api.hf_hub_download(repo, checkpoint.CARD, revision=head)).read_bytes()
            content, theirs = renewed(known, card(pictures=kept | files.keys()))
            if theirs and not (edited and content == files[checkpoint.CARD]):
                said = f"The {checkpoint.CARD} in {repo} {theirs}."
                said += " That of the folder was not sent: to send it, delete the one there first." if edited else ""
            if theirs or not edited:
                files = {**files, checkpoint.CARD: content}
        changes: list[Any] = [CommitOperationAdd(name, files[name]) for name in sorted(files)
                              if not _is_same(files[name], there.get(name))]
        changes += [CommitOperationDelete(name) for name in sorted(there.keys() - files.keys() - kept)]
        if not changes:
            prefix = "spaces/" if repo_type == "space" else ""
            return Published(f"{api.endpoint}/{prefix}{repo}/commit/{head}", said, False)
        commit = api.create_commit(repo, changes, commit_message=message, repo_type=repo_type, revision=revision,
                                   create_pr=create_pr, parent_commit=head)
    return Published(commit.pr_url or commit.commit_url, said, True)


def _head(api: "HfApi", repo: str, repo_type: str, branch: str | None) -> str | None:
    """The newest commit of a branch, which is created if it is missing; None is main."""
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        return api.repo_info(repo, repo_type=repo_type, revision=branch).sha
    except RevisionNotFoundError:
        if branch is None:
            raise
    api.create_branch(repo, repo_type=repo_type, branch=branch, exist_ok=True)
    return api.repo_info(repo, repo_type=repo_type, revision=branch).sha


def _contents(api: "HfApi", repo: str, repo_type: str, revision: str | None) -> dict[str, "RepoFile"]:
    """The files of a repo, by their names."""
    from huggingface_hub.hf_api import RepoFile

    tree = api.list_repo_tree(repo, recursive=True, repo_type=repo_type, revision=revision)
    return {file.path: file for file in tree if isinstance(file, RepoFile)}


def _is_same(content: Path | bytes, file: "RepoFile | None") -> bool:
    """Whether a file of a repo has a content already."""
    from huggingface_hub.utils.sha import git_hash

    if file is None:
        return False
    data = content if isinstance(content, bytes) else content.read_bytes()
    if file.lfs is not None:
        return hashlib.sha256(data).hexdigest() == file.lfs.sha256
    return git_hash(data) == file.blob_id


def space(repo: str) -> Space:
    """A Space of the Hub, `Space()` if it does not exist. Raises HubError if the Hub does not answer."""
    from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

    readme, hardware, head = "", None, None
    with _hub_errors(f"nothing was sent to {repo}", repo), suppress(RepositoryNotFoundError):
        api = _api()
        head = api.repo_info(repo, repo_type="space").sha
        with suppress(RemoteEntryNotFoundError):
            path = api.hf_hub_download(repo, checkpoint.CARD, repo_type="space", revision=head)
            readme = Path(path).read_text(encoding="utf-8", errors="replace")
        hardware = _hardware(api, repo)
    return Space(readme, hardware, head)


def _hardware(api: "HfApi", repo: str) -> str | None:
    """What a Space runs on, or is to run on; None if the Hub does not say."""
    from huggingface_hub.errors import HfHubHTTPError

    with suppress(HfHubHTTPError):
        runtime = api.get_space_runtime(repo)
        return runtime.requested_hardware or runtime.hardware
    return None


def _api(token: str | bool | None = None, cache_dir: str | Path | None = None) -> "HfApi":
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


def card(readme: str) -> "SpaceCard":
    """A Space's README as huggingface_hub's SpaceCard, an empty one if the front matter cannot be read."""
    from huggingface_hub import SpaceCard
    from yaml import YAMLError  # type: ignore[import-untyped]

    empty = "---\n{}\n---\n"
    with suppress(ValueError, TypeError, YAMLError):
        return SpaceCard(readme or empty)
    return SpaceCard(empty)
