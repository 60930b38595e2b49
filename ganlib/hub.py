"""Weights folders on the Hugging Face Hub, named "user/repo", "user/repo@revision" or "user/repo/subfolder".

What is fetched is kept in the Hub's own cache, and opens from there where there is no network.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from ganlib import checkpoint
from ganlib.card import is_our_card, model_card
from ganlib.checkpoint import WeightsError
from ganlib.model import Model
from ganlib.version import __version__

NEEDED = (checkpoint.CONFIG, checkpoint.GENERATOR, checkpoint.DISCRIMINATOR)
FETCHED = (*NEEDED, checkpoint.METRICS, checkpoint.HISTORY)
LOG_IN = "log in by `hf auth login`, or set HF_TOKEN"
MOST_BYTES = {".safetensors": 256 * 2**20, ".json": 16 * 2**20}  # of one file; a larger one is not fetched


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
    on_the_hub = parse(str(source)) if isinstance(source, str) and not Path(source).exists() else None
    if on_the_hub is None:
        return checkpoint.load(source, device)
    model = checkpoint.load(fetch(on_the_hub), device)
    model.name = str(source)
    return model


def fetch(source: Source, anonymous: bool = False) -> Path:
    """Fetch a weights folder, or find it in the cache; only its config, safetensors and JSON. Returns the folder.

    Nothing is fetched where a file is missing or larger than MOST_BYTES says. anonymous: as somebody without a token,
    who sees what is public, and of the cache only what the Hub says is public now. Raises HubError.
    """
    from huggingface_hub.errors import DryRunError, HFValidationError, HTTPError, RevisionResolutionError

    api = _api(anonymous)
    prefix = f"{source.subfolder}/" if source.subfolder else ""
    wanted = [prefix + name for name in FETCHED]
    try:
        if anonymous:
            api.repo_info(source.repo, revision=source.revision)  # of the Hub itself: the cache may hold private ones
        revision = api.resolve_revision(source.repo, revision=source.revision)
        with suppress(DryRunError):  # out of reach: then nothing can be fetched either
            plan = api.snapshot_download(source.repo, revision=revision, allow_patterns=wanted, dry_run=True)
            _check(source, prefix, {file.filename: file.file_size for file in plan})
        folder = api.snapshot_download(source.repo, revision=revision, allow_patterns=wanted)
    except (HTTPError, OSError, HFValidationError, RevisionResolutionError) as error:
        raise HubError(_sentence(error, source, anonymous)) from None
    return Path(folder) / source.subfolder


def _check(source: Source, prefix: str, sizes: dict[str, int | None]) -> None:
    for name in NEEDED:
        if prefix + name not in sizes:
            raise HubError(f"{source} on the Hub is no ganlib model: it has no {name}")
    for name, size in sizes.items():
        most = MOST_BYTES[Path(name).suffix]
        if size is None or size > most:
            raise HubError(f"{source} on the Hub: {name} is {_megabytes(size)}, and no more than {_megabytes(most)} "
                           f"is fetched")


def _megabytes(size: int | None) -> str:
    return "of unknown size" if size is None else f"{size / 2**20:,.0f} MB"


def _sentence(error: Exception, source: Source, anonymous: bool) -> str:
    """Why the Hub did not give a repo, and what would help, in one sentence."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import get_token

    repo = source.repo
    if anonymous and isinstance(error, RepositoryNotFoundError):  # a gated one too
        return f"the Hub shows no model {repo} to everybody: it does not exist, or it is private or gated"
    if isinstance(error, GatedRepoError):
        return (f"{repo} on the Hub is gated: ask for access on its page{'' if get_token() else f', and {LOG_IN}'}")
    if isinstance(error, RepositoryNotFoundError):
        return (f"there is no folder {str(source)!r}, and the Hub shows no model {repo}: it does not exist, or it is "
                f"private and {'your token has no right to it' if get_token() else f'you have no token: {LOG_IN}'}")
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} on the Hub has no revision {source.revision or 'main'}"
    if isinstance(error, HfHubHTTPError) and error.response is not None and error.response.status_code == 401:
        return f"the Hub refuses your token: {LOG_IN} anew"
    return (f"there is no folder {str(source)!r}, and {repo} is not in the cache and could not be fetched from the Hub "
            f"({_reason(error)})")


def _reason(error: Exception) -> str:
    """The root of a chain of errors in a few words, without addresses or advice on other software."""
    while error.__cause__ is not None:
        error = error.__cause__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"it answered {status}"
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


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


def check_repo(repo: str) -> None:
    """Raises ValueError unless it is a repo's name, "user/name"."""
    if parse(repo) != Source(repo):
        raise ValueError(f"a repo on the Hub is named user/name, not {repo!r}")


def check_access(repo: str) -> None:
    """Ask the Hub whether there is a token that it knows. Raises HubError, and ValueError as `check_repo` does."""
    check_repo(repo)
    with _in_a_sentence(repo):
        _api().whoami(token=True)


@contextmanager
def _in_a_sentence(repo: str) -> Iterator[None]:
    """Why the Hub did not take what was sent to a repo, as a HubError of one sentence."""
    from huggingface_hub.errors import HFValidationError, HTTPError, LocalTokenNotFoundError

    try:
        yield
    except LocalTokenNotFoundError:
        raise HubError(f"there is no token to publish with: {LOG_IN}") from None
    except (HTTPError, OSError, HFValidationError, RuntimeError, ValueError) as error:
        raise HubError(_refusal(error, repo)) from None


def prepare(folder: str | Path, repo: str) -> Publication:
    """Check a weights folder and list what of it belongs on the Hub: the files of a weights folder, and no others.

    The card is written anew with the repo's name, unless somebody has edited it. Reaches no network. Raises ValueError
    for a repo that is not "user/name", WeightsError for a folder that does not load, and HubError for one whose
    metrics are of other weights, or missing.
    """
    check_repo(repo)
    folder = Path(folder)
    model = checkpoint.load(folder, "cpu")
    measure = f"measure it first by python -m train.evaluate {folder}"
    if not model.metrics:
        raise HubError(f"{folder} has not been measured: {measure}")
    if model.metrics.get(checkpoint.MEASURED) != checkpoint.digest(folder / checkpoint.GENERATOR):
        raise HubError(f"{folder / checkpoint.METRICS} is of other weights than those beside it: {measure}")
    files: dict[str, Path | bytes] = {path.name: path for path in checkpoint.files(folder)}
    card = files.get(checkpoint.CARD)
    if card is None or is_our_card(card.read_text(encoding="utf-8")):
        files[checkpoint.CARD] = model_card(model.config, model.metrics, model.history, source=repo).encode()
    return Publication(repo, files)


def publish(publication: Publication, *, private: bool | None = None, revision: str | None = None,
            message: str | None = None) -> str:
    """Send it in one commit, making the repo (private or not; None for the account's usual) and the branch where they
    are missing. Returns the commit's address.

    Files of a weights folder that the repo has and the folder has no more are removed; others there are left alone, and
    so is a card that somebody has edited there. Nothing is changed in the repo unless everything has arrived. Raises
    HubError saying why it could not be sent.
    """
    api, repo, files = _api(), publication.repo, dict(publication.files)
    with _in_a_sentence(repo):
        api.whoami(token=True)
        api.create_repo(repo, private=private, exist_ok=True)
        _check_privacy(api, repo, "model", private)
        if revision is not None:
            api.create_branch(repo, branch=revision, exist_ok=True)
        there = set(api.list_repo_files(repo, revision=revision))
        gone = {name for name in there if checkpoint.belongs(name)} - set(files)
        if checkpoint.CARD in there:
            card = Path(api.hf_hub_download(repo, checkpoint.CARD, revision=revision)).read_text(encoding="utf-8")
            if not is_our_card(card):
                del files[checkpoint.CARD]
        return _commit(api, repo, files, gone, message or f"Weights, measured and described by ganlib {__version__}",
                       revision=revision)


def deploy(publication: Publication, *, private: bool | None = None, hardware: str | None = None,
           variables: dict[str, str] | None = None, message: str | None = None) -> str:
    """Make the repo a Gradio Space that holds the publication's files, in one commit. Returns the commit's address.

    Other files of the package, left from an earlier version, are removed; what else the host keeps there, weights of
    their own too, is left alone. hardware: as the Hub names it, such as "cpu-basic" or "zero-a10g"; None leaves it as
    it is. variables: of the page's environment there, beside those the Space has. Raises HubError saying why it could
    not be done.
    """
    api, repo, files = _api(), publication.repo, publication.files
    with _in_a_sentence(repo):
        api.whoami(token=True)
        api.create_repo(repo, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
        _check_privacy(api, repo, "space", private)
        if hardware is not None:  # before the files: where it is refused, nothing was sent
            api.request_space_hardware(repo, hardware)
        for name, value in (variables or {}).items():
            api.add_space_variable(repo, name, value)
        there = {name for name in api.list_repo_files(repo, repo_type="space") if name.startswith("ganlib/")}
        return _commit(api, repo, files, there - set(files), message or f"The page of ganlib {__version__}",
                       repo_type="space")


def _api(anonymous: bool = False):
    from huggingface_hub import HfApi

    return HfApi(library_name="ganlib", library_version=__version__, token=False if anonymous else None)


def _check_privacy(api, repo: str, repo_type: str, private: bool | None) -> None:
    if private and not api.repo_info(repo, repo_type=repo_type).private:
        raise HubError(f"{repo} is there already, and public: make it private in its settings first")


def _commit(api, repo: str, files: dict[str, Path | bytes], gone: set[str], message: str, **where) -> str:
    """Add the files and remove those that are gone; all of it or nothing. Returns the commit's address."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    operations = [*(CommitOperationAdd(*file) for file in sorted(files.items(), key=lambda file: file[0])),
                  *map(CommitOperationDelete, sorted(gone))]
    return api.create_commit(repo, operations, commit_message=message, **where).commit_url


def _refusal(error: Exception, repo: str) -> str:
    """Why the Hub did not take a publication, in one sentence."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:  # as the client wraps a failed upload
        error = error.__cause__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return f"the Hub refuses your token: {LOG_IN} anew"
    if status == 403:
        return f"your token has no right to write to {repo}: use one that may write, or a repo of your own"
    return f"nothing was published in {repo}: the Hub could not be reached or did not take it ({_reason(error)})"
