"""A fresh virtual environment with what a file of requirements asks for and nothing else, in a second.

It is linked together from what is installed where the tests run.
"""

import os
import stat
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))


@dataclass(frozen=True)
class Fresh:
    """python: the environment's own. variables: of the process environment, without which it does not run."""

    python: Path
    variables: dict[str, str] = field(default_factory=dict)

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
    """Whether every user of the machine can read what lies there, and run this Python."""
    return all(place.stat().st_mode & stat.S_IROTH and all(folder.stat().st_mode & stat.S_IXOTH
                                                           for folder in place.parents)
               for place in (path.resolve(), Path(sys._base_executable).resolve()))


def create(folder: Path, requirements: Path) -> Fresh:
    """Make the environment in `folder`."""
    environment = folder / "environment"
    subprocess.run([sys._base_executable, "-m", "venv", "--without-pip", environment], check=True)
    link(closure(lines(requirements)), environment / SITE_PACKAGES.relative_to(sys.prefix))
    return Fresh(environment / "bin" / "python")


def link(wanted: Iterable[str], target: Path) -> None:
    """Link these distributions' files and folders into another site-packages.

    A folder that several distributions share is linked whole.
    """
    for name in wanted:
        recorded = (distribution(name).read_text("RECORD") or "").splitlines()
        for top in {line.split(",")[0].split("/")[0].strip('"') for line in recorded} - {"..", "__pycache__"}:
            if not (target / top).exists() and (SITE_PACKAGES / top).exists():
                (target / top).symlink_to(SITE_PACKAGES / top)


def wheel(folder: Path) -> Path:
    """The checkout's wheel, built inside the given folder."""
    source = folder / "source"
    source.mkdir()
    for name in ("ganlib", "train", "weights", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True, timeout=300)
    built, = folder.glob("*.whl")
    return built


def unpacked_wheel(folder: Path) -> Path:
    """A folder, inside the given one, with what a site-packages has of an installed ganlib."""
    with zipfile.ZipFile(wheel(folder)) as packed:
        packed.extractall(folder / "installed")
    return folder / "installed"
