"""Weights folders on the Hugging Face Hub, named "user/repo", "user/repo@revision" or "user/repo/subfolder".

What is fetched is kept in the Hub's own cache, and opens from there where there is no network.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from ganlib import checkpoint
from ganlib.checkpoint import WeightsError
from ganlib.model import Model
from ganlib.version import __version__

NEEDED = (checkpoint.CONFIG, checkpoint.GENERATOR, checkpoint.DISCRIMINATOR)
FETCHED = (*NEEDED, checkpoint.METRICS, checkpoint.HISTORY)
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


def fetch(source: Source) -> Path:
    """Fetch a weights folder, or find it in the cache; only its config, safetensors and JSON. Returns the folder.

    Nothing is fetched where a file is missing or larger than MOST_BYTES says. Raises HubError.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import DryRunError, HFValidationError, HTTPError, RevisionResolutionError

    api = HfApi(library_name="ganlib", library_version=__version__)
    prefix = f"{source.subfolder}/" if source.subfolder else ""
    wanted = [prefix + name for name in FETCHED]
    try:
        revision = api.resolve_revision(source.repo, revision=source.revision)
        with suppress(DryRunError):  # out of reach: then nothing can be fetched either
            plan = api.snapshot_download(source.repo, revision=revision, allow_patterns=wanted, dry_run=True)
            _check(source, prefix, {file.filename: file.file_size for file in plan})
        folder = api.snapshot_download(source.repo, revision=revision, allow_patterns=wanted)
    except (HTTPError, OSError, HFValidationError, RevisionResolutionError) as error:
        raise HubError(_sentence(error, source)) from None
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


def _sentence(error: Exception, source: Source) -> str:
    """Why the Hub did not give a repo, and what would help, in one sentence."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import get_token

    log_in = "log in by `hf auth login`, or set HF_TOKEN"
    repo = source.repo
    if isinstance(error, GatedRepoError):
        return (f"{repo} on the Hub is gated: ask for access on its page{'' if get_token() else f', and {log_in}'}")
    if isinstance(error, RepositoryNotFoundError):
        return (f"there is no folder {str(source)!r}, and the Hub shows no model {repo}: it does not exist, or it is "
                f"private and {'your token has no right to it' if get_token() else f'you have no token: {log_in}'}")
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} on the Hub has no revision {source.revision or 'main'}"
    if isinstance(error, HfHubHTTPError) and error.response is not None and error.response.status_code == 401:
        return f"the Hub refuses your token: {log_in} anew"
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
