"""What tests share: real digits, and a small image model that needs no training."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from ganlib import checkpoint
from ganlib.architectures import ARCHITECTURES, build, build_encoder
from ganlib.data import ImageData, open_data
from ganlib.model import Model

MNIST_ROOT = os.environ.get("GANLIB_DATA")
HAS_MNIST = bool(MNIST_ROOT) and (Path(MNIST_ROOT) / "MNIST" / "raw").is_dir()

needs_mnist = pytest.mark.skipif(not HAS_MNIST, reason="MNIST is not at hand: GANLIB_DATA names no folder with it")


@pytest.fixture(scope="session", autouse=True)
def _few_threads():
    """Small machines and large ones run the suite alike; two processes side by side have a thread each."""
    torch.set_num_threads(min(1 if "PYTEST_XDIST_WORKER" in os.environ else 2, torch.get_num_threads()))


@pytest.fixture(autouse=True)
def _nothing_kept():
    """The page's answers are made anew in each test."""
    if cache := sys.modules.get("ganlib.demo.cache"):
        cache.clear()


@pytest.fixture(scope="session")
def digits() -> ImageData:
    """Real digits, 28×28: MNIST where it is at hand, else scikit-learn's 1,797 of 8×8, enlarged."""
    if HAS_MNIST:
        return open_data("mnist", MNIST_ROOT)
    from sklearn.datasets import load_digits

    found = load_digits()
    small = torch.from_numpy(found.images).float()[:, None] * (255 / 16)
    large = torch.nn.functional.interpolate(small, (20, 20), mode="bilinear").round().to(torch.uint8)
    images = torch.nn.functional.pad(large, (4, 4, 4, 4))  # as MNIST has them: the classifier reads no others
    return ImageData("digits", images, torch.from_numpy(found.target).long(), 10, digits=True)


def untrained(name: str = "dcgan", **fields) -> Model:
    """A model with its initial weights, always the same."""
    architecture = replace(ARCHITECTURES[name], **fields)
    return Model(name, architecture, *build(architecture, torch.Generator().manual_seed(0)))


def vae(**fields) -> Model:
    """A small VAE with its initial weights, always the same."""
    rng = torch.Generator().manual_seed(0)
    small = {"latent_dim": 8, "generator_channels": (8, 8, 4), "encoder_channels": (4, 8), "mapping": (16,),
             "features": 16, "couplings": 2}
    architecture = replace(ARCHITECTURES["vae"], **small | fields)
    return Model("small", architecture, build(architecture, rng)[0], encoder=build_encoder(architecture, rng))


def mark_as_measured(folder: Path) -> Path:
    """Write the metrics.json of a weights folder as if it had been measured, without any measure."""
    checkpoint.write_atomically(folder / checkpoint.METRICS, checkpoint.to_json(checkpoint.hashes(folder)))
    return folder


class Formula(nn.Module):
    """A generator that turns latents into samples by a formula."""

    def __init__(self, formula=None):
        super().__init__()
        self.formula = formula
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, z, y=None):
        return self.formula(z)


@pytest.fixture
def model() -> Model:
    return untrained()


@contextmanager
def serving(command: list, environment: dict[str, str], log: Path, known: str = "$^",
            **options) -> Iterator[tuple[str, int]]:
    """A page in a session of processes of its own: its address on loopback, and the session's id.

    command: what runs it, with `environment` and a free port of this machine. options: subprocess.Popen's own. At the
    end none of its processes is left, and nothing that was done to it may have left a traceback in its log, other than
    one of the pattern `known`.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with log.open("w") as output:
        page = subprocess.Popen(command, env=environment | {"GRADIO_SERVER_PORT": str(port)}, stdout=output,
                                stderr=subprocess.STDOUT, start_new_session=True, **options)
        try:
            deadline = time.monotonic() + 300
            while "Running on local URL" not in log.read_text():
                assert page.poll() is None, log.read_text()
                assert time.monotonic() < deadline, f"the page did not start: {log.read_text()}"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}", page.pid
        finally:
            os.killpg(page.pid, signal.SIGKILL)
            page.wait(30)
    said = re.sub(known, "", log.read_text(), flags=re.DOTALL)
    assert "Traceback" not in said, said
    assert "Warning" not in said, said


@contextmanager
def serve_page(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The page as a host runs it, `python app.py`; its address. `folder` is for its log and what it keeps."""
    environment = {**environment, "GRADIO_SERVER_NAME": "127.0.0.1", "TMPDIR": str(folder)}
    app = Path(__file__).parent.parent / "app.py"
    with serving([sys.executable, app], environment, folder / "log") as (found, _):
        yield found


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """The address of a page as it is shipped."""
    with serve_page(tmp_path_factory.mktemp("page"), os.environ) as found:
        yield found
