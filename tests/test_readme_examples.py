"""The README's examples for programs, word by word, against a page on a port of its own."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from tests.conftest import serve_page

ROOT = Path(__file__).parents[1]
PAGE = "http://127.0.0.1:7860"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """The address of a page that serves MCP too."""
    with serve_page(tmp_path_factory.mktemp("page"), os.environ | {"GRADIO_MCP_SERVER": "True"}) as address:
        yield address


def example(language: str, page: str) -> str:
    """The one in that language."""
    _, _, text = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## For programs\n")
    (code,) = re.findall(rf"```{language}\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)
    assert PAGE in code
    return code.replace(PAGE, page)


def run(command: list[str], folder: Path) -> str:
    """What a command prints."""
    ran = subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def check_sheet(path: Path) -> None:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 500


def test_python(page, tmp_path):
    code = example("python", page) + "\nprint(status)\nprint(sheet)"
    *live, status, sheet = run([sys.executable, "-c", code], tmp_path).splitlines()[1:]  # after that it is connected
    assert [line.split(":")[0] for line in live] == [f"Step {step}" for step in (20, 40, 60, 80, 100)]
    assert status.startswith("**dcgan** on ")
    check_sheet(Path(sheet))


@pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="there is no node or no npm")
def test_javascript(page, tmp_path):
    run([shutil.which("npm"), "install", "--no-audit", "--no-fund", "@gradio/client@2"], tmp_path)
    (tmp_path / "example.mjs").write_text(example("javascript", page), encoding="utf-8")
    urllib.request.urlretrieve(run([shutil.which("node"), "example.mjs"], tmp_path).strip(), tmp_path / "sheet.png")
    check_sheet(tmp_path / "sheet.png")


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_curl(page, tmp_path):
    run(["sh", "-c", example("sh", page)], tmp_path)
    check_sheet(tmp_path / "sheet.png")


def test_mcp(page):
    async def named() -> list[str]:
        address = json.loads(example("json", page))["mcpServers"]["ganlib"]["url"]
        async with (streamable_http_client(address) as (reads, writes, _), ClientSession(reads, writes) as session):
            await session.initialize()
            return [tool.name for tool in (await session.list_tools()).tools]

    assert "generate" in asyncio.run(named())
