"""--on-hf: a training on Hugging Face Jobs, which goes on from the checkpoint in the repo that it pushes to."""

import argparse
import hashlib
import importlib
import io
import math
import os
import re
import shlex
import sys
import tempfile
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from packaging.requirements import Requirement

from ganlib import checkpoint, hub, jobs, pictures
from ganlib.checks import require
from ganlib.classifier import NAME as CLASSIFIER
from ganlib.console import CHECKOUT
from ganlib.data import DATASETS, holds_sets
from ganlib.hub import HubError
from ganlib.runs import Run

from . import track
from .command import without

IN_JOB = "GANLIB_JOB"  # in the environment of a job: the key of the branch
TIMEOUT = "2h"
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds
CODE, PICTURES = "ganlib.zip", "pictures.zip"
LEFT_OUT = {"demo", "weights", "__pycache__"}  # folders of the package that a training does not need
MAX_PICTURES = 2**31  # bytes
AGAIN = "Stopped and saved. The same command goes on from there."
LOST = "Stopped. The last checkpoint was not sent: the same command goes on from the one before it, if there is one."
REFUSED = {  # options, and why they do not go with --on-hf
    "resume": "the same command goes on from the checkpoint in the repo by itself",
    "out": "the weights go to the repo of --push",
    "device": "the flavour decides it",
}
# options that do not change what is learned: a run goes on with others
FREE = {"argv", "on_hf", "timeout", "push", "track", "checkpoint_every", "keep", "overwrite", "dry_run", "data", "init"}


def here() -> bool:
    """Whether this process runs in a job."""
    return IN_JOB in os.environ


def check(arguments: argparse.Namespace) -> None:
    """Raises ValueError if options do not go together, or the timeout is none."""
    if not arguments.on_hf:
        require(arguments.timeout is None, "--timeout ends a job on Hugging Face: give --on-hf FLAVOUR too")
        return
    require(bool(arguments.push), "--on-hf needs --push USER/NAME: the repo where checkpoints and weights are kept")
    for option, why in REFUSED.items():
        require(getattr(arguments, option) in (None, False, "auto"), f"--on-hf does not go with --{option}: {why}")
    require(arguments.track != track.LOCAL, "--track on this machine would end with the job: give --track USER/SPACE")
    seconds(arguments.timeout or TIMEOUT)
    where = arguments.data
    if where is not None and where not in DATASETS and Path(where).is_dir():
        require(not holds_sets(Path(where)), f"{where} is where this machine keeps datasets, and a job downloads them "
                                             f"anew: name the dataset by --data")


def seconds(timeout: str) -> int:
    """The seconds of a text such as 90s, 30m, 2h or 1d. Raises ValueError for another text."""
    found = re.fullmatch(r"(\d{1,7}(?:\.\d{1,3})?)([smhd]?)", timeout.strip(), re.ASCII)
    length = int(float(found[1]) * UNITS[found[2]]) if found else 0
    require(length > 0, f"--timeout must be a time such as 30m, 2h or 1d, not {timeout!r}")
    return length


def submit(arguments: argparse.Namespace, run: Run, words: str) -> int | None:
    """Shows the price, starts the job and prints its log. Returns the exit code.

    Args:
        arguments: of the training, after `check`.
        run: that they describe, of which nothing is trained here.
        words: its data.

    Raises:
        ValueError: the flavour is none, the pictures may not be sent, or the repo holds another run.
        HubError: the Hub refuses.
    """
    repo, timeout = hub.check_repo(arguments.push), arguments.timeout or TIMEOUT
    hardware, length = jobs.flavour(arguments.on_hf), seconds(timeout)
    if there := jobs.running(repo):
        raise ValueError(f"the job {there} trains into {repo} now: follow it by `hf jobs logs {there} --follow`, stop "
                         f"it by `hf jobs cancel {there}`, or push to another repo")
    with tempfile.TemporaryDirectory() as folder:
        archives, typed, parts = packed(arguments, run, Path(folder), repo)
        described = {**description(arguments, hardware.has_gpu), **hashes(archives, arguments)}
        anew = is_new(repo, described, arguments.overwrite)
        sizes = ", ".join(f"{name} {path.stat().st_size / 1e6:.1f} MB" for name, path in archives.items())
        first = "It begins anew" if anew else "It goes on from the checkpoint in the repo"
        print(f"{run.name} on {words}, on Hugging Face Jobs: {hardware.name}, {hardware.description}.\n"
              f"It costs ${hardware.dollars_per_hour:.2f} an hour, ${hardware.dollars_per_hour / 60:.4f} a minute; at "
              f"most ${cents(hardware.dollars_per_hour * length / 3600):.2f} for --timeout {timeout}"
              f"{' (the default)' * (arguments.timeout is None)}.\n"
              f"{first}. The repo {repo} gets {', '.join(parts)} in its branch {jobs.BRANCH} ({sizes}), checkpoints "
              f"there, and at the end the weights in main.\n"
              f"Installed there: {', '.join(needed(arguments))}.\n"
              f"Run there: ganlib train {shlex.join(typed)}")
        if arguments.dry_run:
            print("Nothing was started.")
            return None
        key = jobs.send(repo, described, archives, anew)
    job = jobs.start(repo, typed, list(archives), needed(arguments), hardware, length, environment(key))
    return follow(job, repo)


def cents(dollars: float) -> float:
    """The dollars, rounded up to a cent, but for the hundredths of a cent that prices per minute are rounded by."""
    return math.ceil(round(100 * dollars, 2)) / 100


def follow(job: jobs.Job, repo: str) -> int | None:
    """Prints the log of a job until it ends, or Ctrl-C. Returns the exit code."""
    last: deque[str] = deque(maxlen=jobs.LAST_LINES)
    try:
        print(f"Job {job.id} is started: {job.url}\nCtrl-C leaves it running.", flush=True)
        for line in jobs.log(job):
            print(line, flush=True)
            last.append(line)
        why = jobs.failure(job)
    except KeyboardInterrupt:
        print(f"The job goes on. Follow it by `hf jobs logs {job.id} --follow`, stop it by `hf jobs cancel {job.id}`.")
        return 130
    if why is None:
        print(f"The job is done: ganlib.load({repo!r}) opens the weights.")
        return None
    raise HubError(f"the job {job.id} did not complete ({why}); the same command goes on from its last checkpoint, if "
                   f"there is one. Its last lines:\n" + "\n".join(f"  {line}" for line in last))


def description(arguments: argparse.Namespace, has_gpu: bool) -> dict[str, Any]:
    """What distinguishes a run from others by its options, JSON-ready. It goes on only on the same kind of device."""
    given = {name: value for name, value in vars(arguments).items() if name not in FREE and value not in (None, False)}
    return {**given, "device": "cuda" if has_gpu else "cpu"}


def hashes(archives: dict[str, Path], arguments: argparse.Namespace) -> dict[str, Any]:
    """What distinguishes a run from others by its data, and by the weights that it starts from."""
    sent = archives.get(PICTURES)
    data = arguments.data
    if sent is not None:
        with sent.open("rb") as file:
            data = hashlib.file_digest(file, "sha256").hexdigest()
    return {name: value for name, value in {"data": data, "init": arguments.init}.items() if value is not None}


def is_new(repo: str, described: dict[str, Any], overwrite: bool) -> bool:
    """Whether the run begins anew. Raises ValueError if the repo holds the checkpoint of another, which may not go."""
    kept = None if overwrite else jobs.kept_run(repo)
    if kept is None:
        return True
    differ = sorted(name for name in {*kept, *described} if kept.get(name) != described.get(name))
    require(not differ, f"{repo} holds the checkpoint of another run, which differs in {', '.join(differ)}: give the "
                        f"same options to go on with it, replace it by --overwrite, or push to another repo")
    return False


def packed(arguments: argparse.Namespace, run: Run, folder: Path,
           repo: str) -> tuple[dict[str, Path], list[str], list[str]]:
    """Writes the archives that a job of the run needs into `folder`.

    Returns:
        The archives by their names, the command line there, and what the archives hold, in words.

    Raises:
        ValueError: something may not be sent.
    """
    typed, archives, parts = arguments.argv, {CODE: folder / CODE}, ["the code of ganlib"]
    for option, values in (("--on-hf", 1), ("--timeout", 1), ("--overwrite", 0), ("--dry-run", 0)):
        typed = without(typed, option, values)
    code = dict(package())
    if own := extensions():
        names = sorted({name.partition("/")[0] for name in own})
        parts.append(f"the modules of GANLIB_IMPORT ({', '.join(names)})")
        check_private(repo, parts[-1])
        code |= own
    if arguments.init is not None and (local := weights(arguments.init)):
        if arguments.init not in checkpoint.shipped():
            parts.append(f"the weights in {arguments.init}")
            check_private(repo, parts[-1])
        typed = [*without(typed, "--init", 1), "--init", f"init/{local.name}"]
        code |= {f"init/{local.name}/{path.name}": path for path in checkpoint.files(local)}
    write_archive(archives[CODE], code)
    if arguments.data is not None and arguments.data not in DATASETS:
        source = Path(arguments.data)
        name = f"pictures/{source.resolve().name}"
        typed = [*without(typed, "--data", 1), "--data", name]
        archives[PICTURES] = folder / PICTURES
        has_classes = bool(run.recipe.build().num_classes)
        found = found_pictures(source, name, has_classes)
        parts.append(f"the pictures in {source}")
        check_private(repo, parts[-1])
        write_archive(archives[PICTURES], found)
    return archives, typed, parts


def weights(init: str) -> Path | None:
    """The weights folder on this machine that --init names, None for one on the Hub."""
    model = checkpoint.load(init, "cpu") if init in checkpoint.shipped() or os.path.exists(init) else None
    return model.folder if model else None


def found_pictures(source: Path, name: str, has_classes: bool) -> dict[str, Path]:
    """The pictures of a folder, by their names in an archive. Raises ValueError if they may not be sent.

    Args:
        source: the folder.
        name: in place of the folder's, in the archive.
        has_classes: whether the recipe learns classes.
    """
    files = {f"{name}/{path.relative_to(source).as_posix()}": path for path in pictures.look(source, has_classes).files}
    size = sum(path.stat().st_size for path in files.values())
    require(size <= MAX_PICTURES, f"{source} has {size / 1e9:.1f} GB, and at most {MAX_PICTURES / 1e9:.1f} GB are sent "
                                  f"to a job: make its pictures smaller first")
    return files


def check_private(repo: str, what: str) -> None:
    """Raises ValueError if everybody could see what is sent to the repo; `what` names it, in the plural."""
    require(jobs.is_private(repo), f"{what} would be sent to {repo}, where everybody could see them: make it a private "
                                   f"repo first, by `hf repos create {repo} --private` or in its settings")


def package() -> Iterator[tuple[str, Path]]:
    """The files of this very package, laid out as installed."""
    root = Path(checkpoint.__file__).parent
    commands = Path(__file__).parent
    shipped = checkpoint._shipped_folders().get(CLASSIFIER)
    for place, folder in ((Path("ganlib"), root), (Path("ganlib/commands"), commands)):
        for path in folder.rglob("*"):
            within = path.relative_to(folder)
            if path.suffix in (".py", ".typed") and not {*within.parts[:-1]} & (LEFT_OUT | {"commands"}):
                yield (place / within).as_posix(), path
    for path in checkpoint.files(shipped) if shipped else ():
        yield f"ganlib/weights/{CLASSIFIER}/{path.name}", path


def extensions() -> dict[str, Path]:
    """The files of the modules that GANLIB_IMPORT names, and of the packages that they are in."""
    files: dict[str, Path] = {}
    for name in filter(None, map(str.strip, os.environ.get("GANLIB_IMPORT", "").split(","))):
        top = importlib.import_module(name.partition(".")[0])
        origin = Path(str(top.__file__ or next(iter(top.__path__))))
        folder = origin.parent if origin.name == "__init__.py" else origin
        if folder.is_dir():
            files |= {path.relative_to(folder.parent).as_posix(): path for path in sorted(folder.rglob("*.py"))}
        else:
            files[origin.name] = origin
    return files


def write_archive(path: Path, files: dict[str, Path]) -> None:
    """Writes a ZIP file, whose bytes depend on names and contents alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, source in sorted(files.items()):
            packed.writestr(zipfile.ZipInfo(name), source.read_bytes(), zipfile.ZIP_DEFLATED)


def needed(arguments: argparse.Namespace) -> list[str]:
    """What a job installs: what the package needs for a training, and trackio with --track."""
    extras = {"train", "track"} if arguments.track else {"train"}
    return sorted(line for extra, line in requirements() if extra in {"", *extras})


def requirements() -> Iterable[tuple[str, str]]:
    """The package's own requirements, each with the extra that it belongs to, or ""."""
    if CHECKOUT:
        import tomllib

        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        yield from (("", line) for line in project["dependencies"])
        for extra, lines in project["optional-dependencies"].items():
            yield from ((extra, line) for line in lines)
        return
    extras = metadata.metadata("ganlib").get_all("Provides-Extra") or []
    for requirement in map(Requirement, metadata.requires("ganlib") or []):
        marker, requirement.marker = requirement.marker, None
        wanting = [extra for extra in ("", *extras) if marker is None or marker.evaluate({"extra": extra})]
        if wanting:
            yield wanting[0], str(requirement)


def environment(key: str) -> dict[str, str]:
    """The environment of a job, with the key of its branch; without the token, which is a secret."""
    own = {"GANLIB_IMPORT": os.environ["GANLIB_IMPORT"]} if os.environ.get("GANLIB_IMPORT") else {}
    return {IN_JOB: key, "PYTHONUNBUFFERED": "1", "TQDM_MININTERVAL": "30", "HF_HUB_DISABLE_PROGRESS_BARS": "1", **own}


def go_on(arguments: argparse.Namespace, out: Path) -> None:
    """In a job: fetches the checkpoint of the run if there is one, and makes the arguments those of a resumed run."""
    arguments.push = hub.check_repo(arguments.push)  # which may be given as an address
    if jobs.fetch_checkpoint(arguments.push, os.environ[IN_JOB], out):
        arguments.resume, arguments.init = True, None


@contextmanager
def checkpoints(run: Run, repo: str | None) -> Iterator[jobs.Sender | None]:
    """Yields, in a job, what sends its checkpoints; elsewhere None."""
    if not (here() and repo):
        yield None
        return
    with redirect_stderr(Lines(sys.stderr)):
        sender = jobs.Sender(repo, os.environ[IN_JOB], run.out, print)
        try:
            yield sender
        finally:
            sender.close()


class Lines(io.TextIOBase):
    """A text stream whose progress bars are lines, for a log."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        if lines := [line.rstrip() for line in re.split("[\r\n]", text) if line.strip()]:
            self._stream.write("\n".join(lines) + "\n")
        return len(text)

    def flush(self) -> None:
        if not self._stream.closed:  # Python flushes once more when this object is collected
            self._stream.flush()


def check_own(repo: str) -> None:
    """Raises HubError in a job in whose place another one was started, so that it publishes nothing."""
    if here():
        jobs.check_own(repo, os.environ[IN_JOB])


def ended(repo: str) -> None:
    """In a job, after the weights were published: what is needed only during a run is removed."""
    try:
        jobs.forget(repo, os.environ[IN_JOB])
    except HubError as error:
        print(f"warning: {error}", file=sys.stderr)
