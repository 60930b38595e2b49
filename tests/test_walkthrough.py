"""The README's way from a folder of pictures to a Space that shows the model learned from them, word by word."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from gradio_client import Client
from PIL import Image

import ganlib
from tests.conftest import serving
from tests.fake_hub import FakeHub
from tests.test_hub import load_elsewhere
from tests.test_train import draw_folder

ROOT = Path(__file__).parents[1]
SHORT = ["--steps", "5", "--batch-size", "64", "--device", "cpu"]  # so that a test can wait for it


def commands() -> list[list[str]]:
    """Those of the README, for a user called alice."""
    block = re.search(r"\n## Your own pictures\n.*?\n```\n(.*?)\n```\n", (ROOT / "README.md").read_text(), re.DOTALL)
    return [shlex.split(line.replace("user/", "alice/"), comments=True) for line in block[1].splitlines()]


@pytest.mark.slow
def test_a_folder_of_pictures_becomes_a_model_on_a_space(tmp_path):
    work, home, page = tmp_path / "work", tmp_path / "home", tmp_path / "page"
    draw_folder(work / "my-pictures")
    with FakeHub() as server:
        environment = server.environment(home) | {"PYTHONPATH": str(ROOT)}
        for words in commands():
            done = words[:3]
            if words[0] == "python":
                words[0] = sys.executable
            elif words[0] == "hf":
                words = [Path(sys.executable).parent / "hf", *words[1:], "--token", "hf_alice"]
            if "train" in words:
                words += SHORT
            ran = subprocess.run(words, cwd=work, env=environment, text=True, capture_output=True, timeout=300)
            assert ran.returncode == 0, (done, ran.stderr)
            assert "Traceback" not in ran.stderr
        model = ganlib.load(work / "runs" / "my-gan", "cpu")
        assert (model.name, model.shape) == ("my-gan", (3, 32, 32))
        assert model.metrics["real_images"] == len(list((work / "my-pictures").iterdir()))
        another = server.environment(tmp_path / "another")  # with an empty cache
        both = str(work / "runs" / "my-gan"), "alice/my-gan"
        trained, fetched = load_elsewhere(another, *both).values()
        assert fetched["x"] == trained["x"]
        for name, content in server.files("alice/my-space", repo_type="space").items():
            (page / name).parent.mkdir(parents=True, exist_ok=True)
            (page / name).write_bytes(content)
        visitors = server.environment(tmp_path / "elsewhere") | server.variables["alice/my-space"]
        visitors |= {"GRADIO_SERVER_NAME": "127.0.0.1", "TMPDIR": str(tmp_path)}
        with serving([sys.executable, "app.py"], visitors, tmp_path / "log", cwd=page) as (address, _):
            client = Client(address, verbose=False, download_files=tmp_path)
            sheet, status = client.predict("alice/my-gan", 7, 4, 1, [], api_name="/generate")
            assert status.startswith("**alice/my-gan** on ")
            with Image.open(sheet) as image:
                assert image.format == "PNG"
            client.close()
    assert load_elsewhere(another, *both)["alice/my-gan"] == fetched  # the Hub is gone
