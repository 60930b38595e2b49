"""Trainings on Hugging Face Jobs: flavours and their prices, a job and its log, checkpoints in a branch of the repo.

The branch BRANCH holds what a job needs (the package as an archive) and what the next one goes on from (the last
checkpoint). It is a single commit, and is deleted when the weights are published.
"""

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ganlib import checkpoint, hub
from ganlib.checks import quoted, require
from ganlib.hub import HubError

if TYPE_CHECKING:
    from huggingface_hub import JobInfo

BRANCH = "ganlib-job"  # of the repo that the weights are pushed to
STATE, RUN = checkpoint.STATE.as_posix(), "run.json"  # in the branch: the checkpoint, and which run it is of
IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"  # the Hub's own for scripts that uv runs
PER_HOUR = {"second": 3600, "minute": 60, "hour": 1}  # by the unit of a price
EVERY = 300.0  # seconds between two checkpoints that are sent
PATIENCE = 120.0  # seconds that a training waits at its end for the last checkpoint to be sent
LAST_LINES = 5  # of a failed job's log, in its message
KEY = "job"  # in RUN: which job the branch is for

# The first arguments are the repo, the branch and the archives in it; the others are the training's command line.
LOADER = """\
import os, sys, zipfile
from huggingface_hub import hf_hub_download
repo, branch, archives, *words = sys.argv[1:]
for archive in archives.split(","):
    with zipfile.ZipFile(hf_hub_download(repo, archive, revision=branch)) as packed:
        packed.extractall("ganlib-job")
os.chdir("ganlib-job")
sys.path.insert(0, os.getcwd())
from ganlib.commands.__main__ import main
sys.exit(main(words))
"""


class Flavour(NamedTuple):
    """Hardware of Hugging Face Jobs.

    Args:
        name: such as "a10g-small".
        description: in words.
        dollars_per_hour: its price.
        has_gpu: whether it has an accelerator.
    """

    name: str
    description: str
    dollars_per_hour: float
    has_gpu: bool


class Job(NamedTuple):
    """A job on the Hub: its id, the account that pays for it, and the address of its page."""

    id: str
    owner: str
    url: str


def flavour(name: str) -> Flavour:
    """The flavour of that name, with its price, by the Hub's own list.

    Raises ValueError if there is none, HubError if the Hub does not answer.
    """
    with hub.explaining("no job was started", "the list of hardware"):
        known = {hardware.name: hardware for hardware in hub.client().list_jobs_hardware()}
    require(name in known, f"--on-hf must be one of {', '.join(known)}, not {quoted(name)}")
    found = known[name]
    if found.unit_label not in PER_HOUR:
        raise HubError(f"no job was started: the price of {name} is per {found.unit_label}, which this version of "
                       f"ganlib does not know")
    gpu = found.accelerator
    parts = (found.pretty_name, found.cpu, found.ram, f"{gpu.vram} on the GPU" if gpu else "no GPU")
    return Flavour(name, ", ".join(parts), found.unit_cost_usd * PER_HOUR[found.unit_label], gpu is not None)


def is_private(repo: str) -> bool:
    """Whether a repo exists and is private. Raises HubError if the Hub does not answer."""
    from huggingface_hub.errors import RepositoryNotFoundError

    with hub.explaining("no job was started", repo), suppress(RepositoryNotFoundError):
        return bool(hub.client().repo_info(repo).private)
    return False


def running(repo: str) -> str | None:
    """The id of a job of this account that trains into the repo now, None if there is none. Raises HubError."""
    with hub.explaining("no job was started", repo):
        api = hub.client()
        user = api.whoami(token=True)["name"]
        jobs = api.list_jobs(status=["SCHEDULING", "RUNNING"], labels=_labels(repo), namespace=user)
        return next((job.id for job in jobs), None)


def kept_run(repo: str) -> dict[str, Any] | None:
    """The run whose checkpoint the branch holds, as `send` described it; None without a checkpoint. Raises HubError."""
    with hub.explaining("no job was started", repo):
        if not hub.client().file_exists(repo, STATE, revision=BRANCH):
            return None
        return {name: value for name, value in _described(repo, _head(repo)).items() if name != KEY}


def send(repo: str, run: Mapping[str, Any], archives: Mapping[str, Path], anew: bool) -> str:
    """Send a job's archives to the branch, and what the run is. Repo and branch are created if they are missing.

    All other files of the branch are removed, but not the checkpoint of a run that goes on.

    Args:
        repo: "user/name".
        run: JSON-ready, what distinguishes this run from others.
        archives: files by their names in the branch.
        anew: whether a checkpoint that is there is removed.

    Returns:
        A new key of the branch: only the job that gets it reads and writes checkpoints there.

    Raises:
        HubError: why they could not be sent.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    key = secrets.token_hex(8)
    with hub.explaining(f"no job was started: nothing was sent to {repo}", repo):
        api = hub.client()
        api.create_repo(repo, exist_ok=True)
        api.create_branch(repo, branch=BRANCH, exist_ok=True)
        head = _head(repo)
        there = set(api.list_repo_files(repo, revision=head))
        added = [CommitOperationAdd(RUN, json.dumps({**run, KEY: key}, indent=2).encode()),
                 *(CommitOperationAdd(name, path) for name, path in archives.items())]
        old = sorted(name for name in there - {RUN, *archives} if anew or not name.startswith("training/"))
        _commit(repo, [*added, *map(CommitOperationDelete, old)], "A training on Hugging Face Jobs", head)
    return key


def start(repo: str, words: list[str], archives: list[str], requirements: list[str], hardware: Flavour, seconds: int,
          environment: Mapping[str, str]) -> Job:
    """Start a job that runs a training's command line with the package in the branch.

    The token is sent as the job's secret HF_TOKEN, and nowhere else.

    Args:
        repo: that `send` was called for.
        words: the command line, which names no file of this machine.
        archives: their names in the branch.
        requirements: what is installed there.
        hardware: where it runs.
        seconds: after which the Hub stops it.
        environment: of the job.

    Raises:
        HubError: why it could not be started.
    """
    from huggingface_hub import get_token

    wanted = [word for requirement in requirements for word in ("--with", requirement)]
    command = ["uv", "run", *wanted, "python", "-c", LOADER, repo, BRANCH, ",".join(archives), *words]
    with hub.explaining("no job was started", repo):
        api = hub.client()
        job = api.run_job(image=IMAGE, command=command, env=dict(environment), secrets={"HF_TOKEN": get_token()},
                          flavor=hardware.name, timeout=seconds, labels=_labels(repo), namespace=api.whoami()["name"])
    return Job(job.id, job.owner.name, job.url)


def log(job: Job) -> Iterator[str]:
    """Yields the lines of a job's log until it ends. Raises HubError if the log cannot be followed."""
    with hub.explaining(f"the job goes on, but its log cannot be followed; `hf jobs logs {job.id}` may", job.id):
        yield from hub.client().fetch_job_logs(job_id=job.id, namespace=job.owner, follow=True)


def failure(job: Job) -> str | None:
    """Why a job did not complete, None if it did. Waits for its end. Raises HubError if the Hub does not answer."""
    with hub.explaining(f"it is not known how the job ended; `hf jobs inspect {job.id}` tells it", job.id):
        ended: JobInfo = hub.client().wait_for_job(job.id, namespace=job.owner)
    stage = str(getattr(ended.status.stage, "value", ended.status.stage))
    return None if stage == "COMPLETED" else f"{stage}{f', {ended.status.message}' if ended.status.message else ''}"


def fetch_checkpoint(repo: str, key: str, out: Path) -> bool:
    """Download the last checkpoint of the branch into a weights folder. Returns whether there is one.

    Its files are safetensors and pictures. Nothing is unpickled.

    Args:
        repo: "user/name".
        key: of the branch, from `send`.
        out: the weights folder.

    Raises:
        HubError: the Hub does not answer, or the branch belongs to another job.
    """
    with hub.explaining(f"the checkpoint in {repo} could not be fetched", repo):
        head = _head(repo)
        _check_key(repo, key, head)
        if not hub.client().file_exists(repo, STATE, revision=head):
            return False
        hub.client().snapshot_download(repo, revision=head, local_dir=out,
                                     allow_patterns=["training/*.safetensors", "training/growth/*.png"])
        return True


def check_own(repo: str, key: str) -> None:
    """Raises HubError if the branch belongs to another job, so that nothing may be published; not if it is gone."""
    from huggingface_hub.errors import RevisionNotFoundError

    with hub.explaining(f"nothing was published to {repo}", repo), suppress(RevisionNotFoundError):
        _check_key(repo, key, _head(repo))


def forget(repo: str, key: str) -> None:
    """Delete the branch. Raises HubError, also if it belongs to another job."""
    with hub.explaining(f"the branch {BRANCH} of {repo} is no longer needed, but was not deleted", repo):
        _check_key(repo, key, _head(repo))
        hub.client().delete_branch(repo, branch=BRANCH)


class Replaced(HubError):
    """Another job was started into the same repo."""


class Sender:
    """Sends checkpoints to the branch in a thread of its own, so that the training does not wait.

    Only the newest is sent, at most one in `every` seconds. What failed is tried again with the next, and at the end
    at once, twice at most. Nothing is sent any more if the branch belongs to another job.

    Args:
        repo: "user/name".
        key: of the branch, from `send`.
        folder: the weights folder, whose checkpoint is sent.
        tell: is called, in the thread, with a sentence on what was sent or why not.
        every: seconds.
    """

    def __init__(self, repo: str, key: str, folder: Path, tell: Callable[[str], object], every: float = EVERY):
        self.sent = False  # whether the newest checkpoint is in the branch
        self._repo, self._key, self._folder, self._tell, self._every = repo, key, folder, tell, every
        self._changed = threading.Condition()
        self._newest: dict[str, bytes] | None = None
        self._due, self._closed = 0.0, False
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def offer(self) -> None:
        """Takes the checkpoint that is in the folder now; the files may change afterwards."""
        training = self._folder / "training"
        paths = [*training.glob("*.safetensors"), *training.glob("growth/*.png")]
        files = {path.relative_to(self._folder).as_posix(): path.read_bytes() for path in sorted(paths)}
        with self._changed:
            self._newest, self.sent = files, False
            self._changed.notify()

    def close(self) -> None:
        """Sends the newest checkpoint if it was not sent yet, and ends the thread, or leaves it after `PATIENCE`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(PATIENCE)

    def _work(self) -> None:
        last = False  # whether the thread ends if there is nothing new
        while True:
            with self._changed:
                while not self._closed and (self._newest is None or time.monotonic() < self._due):
                    self._changed.wait(None if self._newest is None else self._due - time.monotonic())
                files, self._newest = self._newest, None
                closed = self._closed
            if files is None:
                return
            try:
                self._send(files)
            except Replaced as error:
                self._tell(f"warning: {error}")
                return
            except (HubError, ValueError) as error:
                self._tell(f"warning: {error}")
                with self._changed:
                    if not last:
                        self._newest = self._newest or files
                last = closed
            else:
                with self._changed:
                    self.sent = self._newest is None
                self._tell(f"The checkpoint is in the branch {BRANCH} of {self._repo}.")
            self._due = time.monotonic() + self._every

    def _send(self, files: dict[str, bytes]) -> None:
        from huggingface_hub import CommitOperationAdd

        with hub.explaining("the checkpoint was not sent", self._repo):
            head = _head(self._repo)
            _check_key(self._repo, self._key, head)
            _commit(self._repo, [CommitOperationAdd(name, content) for name, content in files.items()], "Checkpoint",
                    head)


def _head(repo: str) -> str:
    """The newest commit of the branch."""
    return str(hub.client().repo_info(repo, revision=BRANCH).sha)


def _described(repo: str, head: str) -> dict[str, Any]:
    """What the branch says of its run."""
    path = hub.client().hf_hub_download(repo, RUN, revision=head)
    return dict(json.loads(Path(path).read_text(encoding="utf-8")))


def _check_key(repo: str, key: str, head: str) -> None:
    """Raises Replaced if the branch has another key."""
    if _described(repo, head).get(KEY) != key:
        raise Replaced(f"another job was started into {repo}: this one reads and writes nothing there any more")


def _commit(repo: str, operations: list[Any], message: str, head: str) -> None:
    """Commits to the branch on top of `head`, and leaves one commit: the repo does not grow with each checkpoint."""
    api = hub.client()
    api.create_commit(repo, operations, commit_message=message, revision=BRANCH, parent_commit=head)
    api.super_squash_history(repo, branch=BRANCH, commit_message=message)


def _labels(repo: str) -> dict[str, str]:
    """What a job that trains into a repo is found by; labels have neither slashes nor dots."""
    owner, name = (re.sub("[^A-Za-z0-9_-]", "-", part) for part in repo.split("/"))
    return {"name": f"ganlib-{name}", "ganlib-repo": f"{owner}--{name}"}
