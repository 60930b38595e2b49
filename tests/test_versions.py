"""The wheel as users install it, into empty environments, at both ends of the versions that pyproject.toml allows.

The lowest versions are those of a package registry, by uv, with the lowest Python. The highest are linked from what is
installed beside the tests.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from gradio_client import Client
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests import fresh
from tests.conftest import serving

PROJECT = tomllib.loads((fresh.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOWEST_PYTHON = next(part.version for part in SpecifierSet(PROJECT["requires-python"]) if part.operator == ">=")
EXTRAS = ("app", "train")


def uv(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """uv's process, ended; a first download of the lowest versions, of gigabytes, may take half an hour."""
    return subprocess.run([sys.executable, "-m", "uv", *arguments], text=True, capture_output=True, timeout=1800)


def wanted(extras: tuple[str, ...]) -> list[str]:
    """What the wheel requires with these extras."""
    return PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]


def lowest(folder: Path, wheel: Path, extras: tuple[str, ...]) -> Path:
    """The Python of an environment with the lowest versions of what the wheel requires."""
    here = "{}.{}".format(*sys.version_info)
    found = sys._base_executable if here == LOWEST_PYTHON else LOWEST_PYTHON
    if uv("venv", "--no-python-downloads", "--python", found, folder).returncode:
        pytest.skip(f"there is no Python {LOWEST_PYTHON} here")
    python = folder / "bin" / "python"
    asked = [f"ganlib[{','.join(extras)}] @ {wheel.as_uri()}", *wanted(extras)]  # uv: only what is named is direct
    done = uv("pip", "install", "--resolution", "lowest-direct", "--python", python, *asked)
    if done.returncode and uv("pip", "install", "--refresh", "--dry-run", "--python", python, "iniconfig").returncode:
        pytest.skip("the package registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return python


def highest(folder: Path, wheel: Path, extras: tuple[str, ...]) -> Path:
    """The Python of an environment with the versions beside the tests."""
    folder.mkdir()
    (folder / "requirements.txt").write_text("\n".join(wanted(extras)))
    python = fresh.create(folder, folder / "requirements.txt").python
    done = uv("pip", "install", "--offline", "--no-deps", "--python", python, wheel)
    assert done.returncode == 0, done.stderr
    return python


ENDS = {"lowest": lowest, "highest": highest}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return fresh.wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module", params=ENDS)
def bare(request, tmp_path_factory, wheel) -> Path:
    """The Python of an environment with the wheel and no extra."""
    return ENDS[request.param](tmp_path_factory.mktemp("bare") / "environment", wheel, ())


@pytest.fixture(scope="module", params=ENDS)
def complete(request, tmp_path_factory, wheel) -> Path:
    """The Python of an environment with the wheel and its extras for the page and for training."""
    return ENDS[request.param](tmp_path_factory.mktemp("complete") / "environment", wheel, EXTRAS)


def run(folder: Path, *command: str | Path) -> str:
    """What a command prints in a folder away from the checkout. Warnings of Python are errors."""
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=900,
                          env=os.environ | {"PYTHONWARNINGS": "error"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def versions(folder: Path, python: Path, requirements: list[str]) -> dict[str, Version]:
    names = [Requirement(line).name for line in requirements]
    printed = run(folder, python, "-c", f"from importlib.metadata import version; print(*map(version, {names}))")
    return dict(zip(names, map(Version, printed.split())))


@pytest.mark.slow
@pytest.mark.parametrize("extras", [(), EXTRAS], ids=["bare", "complete"])
def test_lower_bounds_are_releases_that_exist(extras, tmp_path, wheel):
    """Each of them is what the lowest end is tested with."""
    python = lowest(tmp_path / "environment", wheel, extras)
    bounds = {}
    for line in map(Requirement, wanted(extras)):
        bounds[line.name], = (Version(part.version) for part in line.specifier if part.operator in (">=", "=="))
    assert versions(tmp_path, python, wanted(extras)) == bounds


@pytest.mark.slow
def test_without_extras_the_library_samples_saves_loads_and_trains(bare, tmp_path):
    said = run(tmp_path, bare, "-c", """
from dataclasses import replace
from importlib.util import find_spec
import torch, ganlib

assert not [name for name in ("gradio", "matplotlib", "torchvision", "av") if find_spec(name)]
model = ganlib.load("dcgan", "cpu")
ganlib.save(model, "copy")
assert torch.equal(ganlib.load("copy", "cpu").sample([7, 8]), model.sample([7, 8]))
recipe = ganlib.RECIPES["toy-gaussian"]
data = ganlib.open_data(recipe.data)
*_, last = ganlib.train(recipe.build(), data, replace(recipe.train, steps=40))
print(tuple(model.sample(range(3)).shape), last.number)
""")
    assert said == "(3, 1, 28, 28) 40\n"


@pytest.mark.slow
def test_the_page_answers(complete, tmp_path):
    environment = os.environ | {"GRADIO_SERVER_NAME": "127.0.0.1", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    with serving([complete.parent / "ganlib", "app"], environment, tmp_path / "log", cwd=tmp_path) as (address, _):
        client = Client(address, verbose=False, download_files=tmp_path)
        assert client.predict("dcgan", 7, 4, 1, [], api_name="/generate")[1].startswith("**dcgan** on ")


@pytest.mark.slow
def test_a_toy_training_ends(complete, tmp_path):
    command = complete.parent / "ganlib"
    run(tmp_path, command, "train", "toy-gaussian", "--steps", "40", "--device", "cpu", "--out", "gaussian")
    assert "toy-gaussian" in run(tmp_path, command, "evaluate", "gaussian", "--device", "cpu")
