"""`uv sync && uv run app.py`: what uv would install, and where the extras `cpu` and `gpu` take PyTorch from."""

import re
import shutil
import subprocess
import threading
import tomllib
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INDEX = "https://download.pytorch.org/whl"


def uv(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    binary = pytest.importorskip("uv").find_uv_bin()
    return subprocess.run([binary, *arguments], cwd=folder, capture_output=True, text=True, timeout=300)


def make_wheel(folder: Path, name: str, number: str) -> None:
    """An index's page of a package with one wheel, which is empty."""
    folder.mkdir(parents=True)
    wheel, info = f"{name}-{number}-py3-none-any.whl", f"{name}-{number}.dist-info"
    with zipfile.ZipFile(folder / wheel, "w") as packed:
        packed.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{info}/RECORD", "")
    (folder / "index.html").write_text(f'<a href="{wheel}">{wheel}</a>', encoding="utf-8")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A checkout, locked by uv, whose indexes of PyTorch are folders of this machine with builds "+cpu" and "+gpu"."""
    folder = tmp_path_factory.mktemp("uv")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for index in project["tool"]["uv"]["index"]:
        for name in ("torch", "torchvision"):
            place = folder / index["url"].removeprefix(f"{INDEX}/") / name
            make_wheel(place, name, f"{version(name).split('+')[0]}+{index['name'].removeprefix('pytorch-')}")
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in ("ganlib", "train", "weights"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        (checkout / "pyproject.toml").write_text(text.replace(INDEX, f"http://127.0.0.1:{server.server_port}"),
                                                 encoding="utf-8")
        done = uv("lock", folder=checkout)
        assert done.returncode == 0, done.stderr
        yield checkout
        server.shutdown()


def installs(checkout: Path, *options: str) -> dict[str, str]:
    """Packages that `uv sync` would install, with their versions."""
    done = uv("export", "--frozen", "--no-hashes", "--no-emit-project", "--no-annotate", "--no-header", *options,
              folder=checkout)
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", done.stdout, re.MULTILINE))


@pytest.mark.slow
def test_uv_sync_installs_the_page_and_torch_from_the_default_index(locked):
    found = installs(locked)
    assert {"gradio", "mcp", "matplotlib", "av", "torch", "torchvision", "safetensors"} <= found.keys()
    assert "+" not in found["torch"] + found["torchvision"]
    assert not {"pytest", "onnx", "trackio"} & found.keys()


@pytest.mark.slow
@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_an_extra_takes_torch_from_its_own_index_and_all_else_from_the_default_one(locked, extra):
    found = installs(locked, "--extra", extra)
    assert {name for name, number in found.items() if number.endswith(f"+{extra}")} == {"torch", "torchvision"}
    assert {"gradio", "matplotlib", "av"} <= found.keys()


@pytest.mark.slow
def test_both_extras_together_are_refused(locked):
    done = uv("export", "--frozen", "--extra", "cpu", "--extra", "gpu", folder=locked)
    assert done.returncode != 0
    assert "incompatible" in done.stderr
