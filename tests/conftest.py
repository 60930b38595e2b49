"""What tests share: real digits, and a small image model that needs no training."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

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

from ganlib.data import ImageData, open_data
from ganlib.model import Model
from ganlib.networks import ARCHITECTURES

MNIST_ROOT = os.environ.get("GANLIB_DATA")
HAS_MNIST = bool(MNIST_ROOT) and (Path(MNIST_ROOT) / "MNIST" / "raw").is_dir()

needs_mnist = pytest.mark.skipif(not HAS_MNIST, reason="MNIST is not at hand: GANLIB_DATA names no folder with it")


@pytest.fixture(scope="session", autouse=True)
def _two_threads():
    """Small machines and large ones run the suite alike."""
    torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(scope="session")
def digits() -> ImageData:
    """Real digits, 28×28: MNIST where it is at hand, else scikit-learn's 1,797 of 8×8, enlarged."""
    if HAS_MNIST:
        return open_data("mnist", MNIST_ROOT)
    from sklearn.datasets import load_digits

    found = load_digits()
    small = torch.from_numpy(found.images).float()[:, None] * (255 / 16)
    images = torch.nn.functional.interpolate(small, (28, 28), mode="bilinear").round().to(torch.uint8)
    return ImageData("digits", images, torch.from_numpy(found.target).long(), 10)


def untrained(name: str = "dcgan", **fields) -> Model:
    """A model with the weights it is born with; always the same."""
    torch.manual_seed(0)
    architecture = replace(ARCHITECTURES[name], **fields)
    return Model(name, architecture, architecture.generator(), architecture.discriminator(),
                 config={"architecture": {"name": name}})


@pytest.fixture
def model() -> Model:
    return untrained()


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """The address of a page as it is shipped."""
    with serve_page(tmp_path_factory.mktemp("page") / "log", os.environ) as found:
        yield found


@contextmanager
def serve_page(log: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The page as a host runs it, `python app.py` in a process of its own on a free port of loopback; its address.

    At the end, nothing that the tests did to it may have left a traceback in its log.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    environment = {**environment, "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    with log.open("w") as output:
        page = subprocess.Popen([sys.executable, Path(__file__).parent.parent / "app.py"], env=environment,
                                stdout=output, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + 120
            while "Running on local URL" not in log.read_text():
                assert page.poll() is None, log.read_text()
                assert time.monotonic() < deadline, f"the page did not start: {log.read_text()}"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            page.terminate()
            page.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()
    assert "Warning" not in log.read_text(), log.read_text()
