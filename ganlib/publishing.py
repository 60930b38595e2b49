"""To the Hugging Face Hub: weights folders to model repos, models to collections, the page to a Space.

What is sent to a repo is one commit, on top of the one that was looked at: nobody's edit in between is lost.
"""

import copy
import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ganlib import addresses, checkpoint, console, hub
from ganlib.addresses import Source
from ganlib.card import model_card, renewed
from ganlib.checkpoint import WeightsError
from ganlib.checks import quoted, require
from ganlib.hub import HubError
from ganlib.model import Model
from ganlib.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi, SpaceCard
    from huggingface_hub.hf_api import RepoFile

ZERO_GPU = "zero-a10g"  # the Hub's name of ZeroGPU, which lends a GPU for one call at a time
COLLECTION = "Small generative networks by ganlib, to explore, run and retrain"  # a new collection's description


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
    repo = hub.check_repo(repo)
    space = hub.check_repo(space, repo_type="space") if space else None
    hub.check_local(str(folder))
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

    repo = hub.check_repo(repo, revision)
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
    with hub.explaining(f"not all models are in the collection {collection}", collection):
        api = hub.client()
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
    with hub.explaining(f"the collection {collection} could not be read", collection):
        api = hub.client()
        slug = _slug(api, collection)
        if slug is None:
            raise HubError(f"there is no collection {collection} on the Hub")
        return [item.item_id for item in api.get_collection(slug).items if item.item_type == "model"]


def _slug(api: "HfApi", collection: str) -> str | None:
    """The slug of a collection that is named by its slug or by its title, None if it is not on the Hub."""
    owner = collection.partition("/")[0]
    return next((known.slug for known in api.list_collections(owner=owner)
                 if collection.casefold() in (known.slug.casefold(), f"{owner}/{known.title}".casefold())), None)


def space(repo: str) -> Space:
    """A Space of the Hub, `Space()` if it does not exist. Raises HubError if the Hub does not answer."""
    from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

    readme, hardware, head = "", None, None
    with hub.explaining(f"nothing was sent to {repo}", repo), suppress(RepositoryNotFoundError):
        api = hub.client()
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


def card(readme: str) -> "SpaceCard":
    """A Space's README as huggingface_hub's SpaceCard, an empty one if the front matter cannot be read."""
    from huggingface_hub import SpaceCard
    from yaml import YAMLError  # type: ignore[import-untyped]

    empty = "---\n{}\n---\n"
    with suppress(ValueError, TypeError, YAMLError):
        return SpaceCard(readme or empty)
    return SpaceCard(empty)


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
    with hub.explaining(f"the files are in {repo}, but not all of its variables and hardware are set", repo):
        api = hub.client()
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
    with hub.explaining(f"nothing was sent to {repo}", repo, token=token):
        api = hub.client(token)
        if not (get_token() if token is None else token):
            raise LocalTokenNotFoundError
        of_space: Any = {"space_sdk": "gradio", "space_hardware": hardware} if repo_type == "space" else {}
        try:
            api.create_repo(repo, repo_type=repo_type, private=private, exist_ok=True, **of_space)
        except HfHubHTTPError as error:
            if repo_type != "space" or error.response.status_code != 402:
                raise
            if not api.repo_exists(repo, repo_type=repo_type):
                raise HubError(f"nothing was sent to {repo}: {hub.cause_of(error, repo)}; hardware {ZERO_GPU} needs "
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
