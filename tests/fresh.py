"""A fresh virtual environment with what a file of requirements asks for and nothing else, in a second or two.

It is linked together from what is installed where the tests run. With GANLIB_FRESH=1 pip installs it instead, which
takes minutes and gigabytes.
"""

import csv
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
NOT_COPIED = shutil.ignore_patterns("site-packages", "test", "idlelib", "tkinter", "config-*")


@dataclass(frozen=True)
class Fresh:
    """python: the environment's own. variables: of the process environment, without which it does not run."""

    python: Path
    variables: dict[str, str]

    def run(self, code: str) -> str:
        """What a program prints there."""
        done = subprocess.run([self.python, "-c", code], env=os.environ | self.variables, cwd=self.python.parent,
                              text=True, capture_output=True, timeout=900)
        assert done.returncode == 0, done.stderr
        return done.stdout


def lines(requirements: Path) -> list[str]:
    """A file of requirements without its comments."""
    return [line for line in requirements.read_text().splitlines() if line and not line.startswith("#")]


def closure(requirements: Iterable[str]) -> set[str]:
    """Names of the installed distributions that these ask for, and of those that they ask for in turn."""
    seen: set[tuple[str, str]] = set()  # each with an extra, or ""
    asked = [(line, "") for line in requirements]
    while asked:
        line, extra_of_asker = asked.pop()
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra_of_asker}):
            for extra in {"", *requirement.extras} - {extra for found, extra in seen if found == name}:
                seen.add((name, extra))
                asked += [(line, extra) for line in distribution(name).requires or ()]
    return {name for name, _ in seen}


def open_to_all(path: Path) -> bool:
    """Whether every user of the machine can read what lies there."""
    path = path.resolve()
    return bool(path.stat().st_mode & stat.S_IROTH) and all(folder.stat().st_mode & stat.S_IXOTH
                                                            for folder in path.parents)


def create(folder: Path, requirements: Path) -> Fresh:
    """Make the environment in `folder`, with a copy of the interpreter where another user could not run this one."""
    base, variables = Path(sys._base_executable).resolve(), {}
    if not open_to_all(base):
        base, variables = copied(base, folder / "python")
    environment = folder / "environment"
    with_pip = os.environ.get("GANLIB_FRESH") == "1"
    subprocess.run([base, "-m", "venv", *([] if with_pip else ["--without-pip"]), environment], check=True,
                   env=os.environ | variables)
    python = environment / "bin" / "python"
    if with_pip:
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements],
                       check=True, env=os.environ | variables)
    else:
        link(closure(lines(requirements)), environment / SITE_PACKAGES.relative_to(sys.prefix))
    return Fresh(python, variables)


def copied(python: Path, folder: Path) -> tuple[Path, dict[str, str]]:
    """A copy of an installed Python, without what no program needs; and what finds its shared library."""
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, folder / library.relative_to(sys.base_prefix), ignore=NOT_COPIED)
    for shared in library.parent.glob("libpython*.so*"):
        shutil.copy2(shared, folder / shared.relative_to(sys.base_prefix))
    (folder / "bin").mkdir()
    shutil.copy2(python, folder / "bin")
    return folder / "bin" / python.name, {"LD_LIBRARY_PATH": str(folder / "lib")}


def link(wanted: Iterable[str], target: Path) -> None:
    """Link files of these distributions into another site-packages.

    Folders are linked whole where nothing else lies in them; of those that several distributions share, such as a
    namespace package, what is theirs.
    """
    files = []
    for found in distributions():
        owner = canonicalize_name(found.name)  # which takes long to find out
        for path, *_ in csv.reader((found.read_text("RECORD") or "").splitlines()):
            files.append((owner, tuple(path.split("/"))))
    _link(files, set(wanted), (), target)


def _link(files: list[tuple[str, tuple[str, ...]]], wanted: set[str], folder: tuple[str, ...], target: Path) -> None:
    """Of these files, by owner and path, all in `folder`."""
    inside = defaultdict(list)
    for owner, path in files:
        inside[path[len(folder)]].append((owner, path))
    for name, those in inside.items():
        owners, path = {owner for owner, _ in those}, (*folder, name)
        if not owners & wanted or path[-1] in ("bin", "Scripts"):  # commands name the other environment's interpreter
            continue
        if owners <= wanted and name != "..":
            there = Path(os.path.normpath(target.joinpath(*path)))
            there.parent.mkdir(parents=True, exist_ok=True)
            there.symlink_to(os.path.normpath(SITE_PACKAGES.joinpath(*path)))
        else:
            _link(those, wanted, path, target)
