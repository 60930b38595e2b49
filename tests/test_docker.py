"""The Dockerfile, read: no test needs docker."""

import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from train import deploy

ROOT = Path(__file__).parents[1]
INSTRUCTIONS = [line.partition(" ")[::2] for line in
                (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
                if line and not line.startswith("#")]


def of(name: str) -> list[str]:
    """The arguments of each instruction of that name, in order."""
    return [arguments for found, arguments in INSTRUCTIONS if found == name]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps it out: the last of its patterns that the path, or a folder above it, matches."""
    verdict = False
    places = [path, *(folder.as_posix() for folder in Path(path).parents if folder != Path())]
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        deep = pattern.startswith("**/")
        if line and not line.startswith("#") and any(
                fnmatch(Path(place).name, pattern[3:]) if deep else
                place.count("/") == pattern.count("/") and fnmatch(place, pattern) for place in places):
            verdict = not line.startswith("!")
    return verdict


def copied() -> set[str]:
    """The files of the checkout that the image gets."""
    sources = [ROOT / name for arguments in of("COPY") for name in arguments.split()[:-1]]
    assert all(source.exists() for source in sources)
    files = [path for source in sources for path in (source.rglob("*") if source.is_dir() else [source])
             if path.is_file()]
    return {name for path in files if not ignored(name := path.relative_to(ROOT).as_posix())}


def test_the_image_holds_what_a_space_holds_but_its_readme_and_the_pictures_in_it():
    files = set(deploy.space_files(ROOT, "alice/page"))
    documents = {name for name in files if name.startswith(("docs/", "tests/"))}
    documents |= {name for name in files if name.endswith(".md") and "/" not in name}
    assert copied() == files - documents


@pytest.mark.parametrize("path", [".git/config", ".venv/bin/python", "runs/dcgan/config.json", "data/MNIST/raw/x",
                                  "ganlib/__pycache__/hub.pyc", "ganlib/demo/__pycache__/toy.pyc", ".env",
                                  "weights/dcgan/training/state.pt", "tests/test_docker.py"])
def test_what_else_lies_in_a_checkout_stays_out(path):
    assert ignored(path)


def test_the_page_runs_as_an_ordinary_user_open_to_other_machines():
    user, = of("USER")
    assert user not in ("root", "0")
    assert re.search(rf"useradd .*\b{user}$", of("RUN")[-1])
    names = [name for name, _ in INSTRUCTIONS]
    assert max(i for i, name in enumerate(names) if name in ("COPY", "RUN")) < names.index("USER") < names.index("CMD")
    variables = dict(pair.split("=") for pair in of("ENV")[0].split())
    assert variables["GRADIO_SERVER_NAME"] == "0.0.0.0"
    assert of("EXPOSE") == [variables["GRADIO_SERVER_PORT"]] == ["7860"]
    assert variables["HOME"] == f"/home/{user}"
    assert json.loads(of("CMD")[0]) == ["python", "app.py"]


def test_the_image_has_the_python_of_the_space():
    version = re.search(r'^python_version: "(.+)"$', (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert of("FROM") == [f"python:{version[1]}-slim"]


def test_what_the_page_needs_is_installed_without_cuda(tmp_path):
    for command in ("pip", "uv", "useradd"):  # which tell what they are asked for
        (tmp_path / command).write_text('#!/bin/sh\necho "$(basename $0) $*"\n')
        (tmp_path / command).chmod(0o755)
    run, = of("RUN")
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    pip, uv, useradd = subprocess.run(["sh", "-c", run], env=environment, cwd=tmp_path, check=True, text=True,
                                      capture_output=True, timeout=300).stdout.splitlines()
    assert re.fullmatch(r"pip install --no-cache-dir uv>=[\d.]+,<[\d.]+", pip)
    assert uv.startswith("uv pip install --system ")
    assert uv.endswith(" -r requirements.txt")
    assert " --torch-backend cpu " in uv
    assert useradd == "useradd --create-home page"


def test_the_health_check_tells_a_page_that_answers_from_one_that_does_not(address):
    python, *arguments = json.loads(of("HEALTHCHECK")[0].partition("CMD ")[2])
    assert python == "python"

    def healthy(port: int) -> bool:
        return subprocess.run([sys.executable, *arguments], capture_output=True, timeout=300,
                              env=os.environ | {"GRADIO_SERVER_PORT": str(port)}).returncode == 0

    assert healthy(urlsplit(address).port)
    assert not healthy(9)
