"""The public names, who may import whom, and what holds the project's files together."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ganlib

ROOT = Path(__file__).parent.parent

# who may import which rooms of ganlib
ROOMS = {
    "networks": set(),
    "losses": set(),
    "metrics": set(),
    "sampling": set(),
    "images": set(),
    "data": set(),
    "charts": set(),
    "card": set(),
    "version": set(),
    "classifier": {"data", "networks", "sampling", "training"},
    "training": {"networks", "losses", "sampling", "data"},
    "recipes": {"networks", "losses", "data", "training", "classifier"},
    "model": {"networks", "sampling"},
    "checkpoint": {"card", "networks", "model", "classifier", "version"},
    "hub": {"card", "checkpoint", "model", "version"},
    "onnx": {"card", "checkpoint", "model", "version"},
    "evaluation": {"metrics", "data", "model", "classifier", "images"},
}
OUTSIDERS = {"gradio": "ganlib/demo", "huggingface_hub": "ganlib/hub.py", "torchvision": "ganlib/data.py",
             "torchmetrics": "ganlib/metrics.py", "onnx": "ganlib/onnx.py", "onnxscript": "ganlib/onnx.py",
             "onnxruntime": "ganlib/onnx.py", "trackio": "train/track.py"}


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms(path: Path) -> set[str]:
    """The modules of ganlib that a file imports."""
    found = {name.split(".")[1] for name in imports(path) if name.startswith("ganlib.")}
    return {name for name in found if (ROOT / "ganlib" / f"{name}.py").exists() or name == "demo"}


SOURCES = [path for folder in ("ganlib", "train") for path in sorted((ROOT / folder).rglob("*.py"))]
SOURCES.append(ROOT / "app.py")


def test_the_public_names_are_exact():
    assert sorted(ganlib.__all__) == ["ARCHITECTURES", "Model", "RECIPES", "TrainConfig", "WeightsError",
                                      "__version__", "load", "open_data", "save", "shipped", "train"]
    assert all(hasattr(ganlib, name) for name in ganlib.__all__)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_those_it_may(room):
    assert rooms(ROOT / "ganlib" / f"{room}.py") <= ROOMS[room]


def test_every_room_has_a_rule():
    assert {path.stem for path in (ROOT / "ganlib").glob("*.py")} == {*ROOMS, "__init__"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_outsiders_have_one_door(path):
    place = path.relative_to(ROOT).as_posix()
    for name in imports(path):
        top = name.split(".")[0]
        if top in OUTSIDERS:
            assert place.startswith(OUTSIDERS[top]), f"{place} imports {top}"
        assert top not in ("tests", "app"), place
        if not place.startswith("train"):
            assert top != "train", place
        if not place.startswith(("ganlib/demo", "app.py")):
            assert not name.startswith("ganlib.demo"), place


NETWORK = {"urllib", "http", "socket", "requests", "httpx", "aiohttp"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_data_and_hub_may_reach_the_network_and_only_train_parses_arguments(path):
    place, tops = path.relative_to(ROOT).as_posix(), {name.split(".")[0] for name in imports(path)}
    assert not tops & NETWORK or place in ("ganlib/data.py", "ganlib/hub.py"), place
    assert "argparse" not in tops or place.startswith("train/"), place


def test_importing_looks_at_no_device_and_downloads_nothing():
    code = """
import socket, sys, torch
def refuse(*arguments):
    raise AssertionError("at import")
socket.socket.connect = torch.cuda.is_available = torch.backends.mps.is_available = refuse
sys.argv = ["python", "--unknown-option"]
import ganlib, ganlib.demo, train.ablation, train.evaluate, train.export, train.repeat, train.__main__
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_the_page_works_without_torchvision():
    code = """
import sys
sys.modules["torchvision"] = None
from ganlib.demo import build
from ganlib.demo.generate import generate
from ganlib.demo.toy import toy
build(), generate("dcgan", 7, 4, 1.0, []), toy("toy-sine", 100, 7)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_importing_ganlib_is_light():
    code = ("import sys, ganlib; heavy = {'torchvision', 'gradio', 'huggingface_hub', 'matplotlib', 'pandas', 'onnx'}; "
            "print(*heavy & set(sys.modules))")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          check=True).stdout.strip() == ""


def front_matter() -> dict[str, str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\w+): (.+)$", text.split("---")[1], re.MULTILINE))


def test_the_spaces_gradio_is_the_one_that_is_tested():
    requirements = (ROOT / "requirements.txt").read_text()
    assert f"gradio=={front_matter()['sdk_version']}\n" in requirements


def test_the_front_matter_is_a_spaces():
    front = front_matter()
    assert front["sdk"] == "gradio"
    assert (ROOT / front["app_file"]).is_file()
    assert front["license"] == "mit"
    assert {"python_version", "models", "tags", "title"} <= set(front)


def test_every_requirement_has_an_upper_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    for extra in project["optional-dependencies"].values():
        wanted += [requirement for requirement in extra if not requirement.startswith("ganlib")]
    assert all("<" in requirement or "==" in requirement for requirement in wanted)


def test_the_readmes_tree_names_every_file_of_the_package():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in [*(ROOT / "ganlib").glob("*.py"), *(ROOT / "train").glob("*.py")]:
        assert f"{path.name} " in readme, path.name


def test_the_code_is_clean():
    lint = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True)
    assert lint.returncode == 0, lint.stdout


def test_the_weights_are_small():
    assert sum(path.stat().st_size for path in (ROOT / "weights").glob("*/*")) <= 35e6
