"""The page's MCP tools, as a client of the protocol sees them."""

import asyncio
import base64
import json
import os
import sys
import urllib.request
from collections.abc import Callable, Coroutine
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult
from PIL import Image

import ganlib
from ganlib import images
from tests.conftest import serving

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """The address of a page that serves MCP."""
    folder = tmp_path_factory.mktemp("page")
    environment = os.environ | {"GRADIO_SERVER_NAME": "127.0.0.1", "TMPDIR": str(folder)}
    with serving([sys.executable, ROOT / "app.py", "--mcp"], environment, folder / "log") as (address, _):
        yield address


def ask(page: str, question: Callable[[ClientSession], Coroutine[Any, Any, Any]]) -> Any:
    """What a session of the protocol gives."""
    async def answer() -> Any:
        async with (streamable_http_client(f"{page}/gradio_api/mcp/") as (reads, writes, _),
                    ClientSession(reads, writes) as session):
            await session.initialize()
            return await question(session)

    return asyncio.run(answer())


def call(page: str, tool: str, options: dict[str, Any] | None = None, **arguments: Any) -> CallToolResult:
    return ask(page, lambda session: session.call_tool(tool, arguments, **options or {}))


async def ignore(*progress: Any) -> None:
    pass


def picture(result: CallToolResult) -> Image.Image:
    content = result.content[0]
    assert (content.type, content.mimeType) == ("image", "image/png")
    return Image.open(BytesIO(base64.b64decode(content.data)))


def test_the_tools_are_the_endpoints_and_say_what_they_take(page):
    client = Client(page, verbose=False)
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    client.close()
    tools = ask(page, lambda session: session.list_tools()).tools
    assert [f"/{tool.name}" for tool in tools] == list(named)
    for tool in tools:
        assert "Returns: " in tool.description
        expected = {parameter["parameter_name"]: parameter["type"]["description"]
                    for parameter in named[f"/{tool.name}"]["parameters"]}
        assert {name: schema["description"] for name, schema in tool.inputSchema["properties"].items()} == expected
    (generate,) = (tool for tool in tools if tool.name == "generate")
    assert generate.inputSchema["properties"]["count"] == {
        "type": "integer", "default": 25, "description": "how many pictures, 1 to 100."}
    assert "required" not in generate.inputSchema


@pytest.mark.parametrize("options", [{}, {"progress_callback": ignore}], ids=["at once", "with progress"])
def test_a_tool_gives_a_picture_and_what_is_said_of_it(page, options):
    result = call(page, "generate", options, model="mlp-gan", seed=3, count=4)
    assert not result.isError
    expected = images.contact_sheet(ganlib.load("mlp-gan", "cpu").sample(range(3, 7)))
    assert picture(result).size == expected.size
    address, said = (content.text for content in result.content[1:])
    with urllib.request.urlopen(address.removeprefix("Image URL: "), timeout=60) as file:
        assert file.read(4) == b"\x89PNG"
    assert said.startswith("**mlp-gan** on ")


def test_numbers_are_json_and_charts_are_left_out(page):
    (numbers,) = call(page, "toy", model="toy-ring", count=100).content
    assert json.loads(numbers.text)["centres"] == 8
    (last,) = call(page, "lab", settings={"target": "ring"}, steps=20).content
    assert json.loads(last.text)["step"] == 20


def test_a_tool_takes_a_picture_as_base64(page):
    sheet = call(page, "generate", model="dcgan", seed=7, count=1).content[0]
    (found,) = call(page, "read", model="dcgan", picture=f"data:image/png;base64,{sheet.data}").content
    assert len(json.loads(found.text)["probabilities"]) == 10


@pytest.mark.parametrize(("tool", "arguments", "sentence"), [
    ("generate", {"count": 101}, "How many must be a whole number from 1 to 100, not 101."),
    ("generate", {"model": "flow"}, "There is no model 'flow' on this page"),
    ("generate", {"count": "many"}, "'many' is not of type 'integer'"),
    ("read", {}, "'picture' is a required property"),
    ("read", {"picture": "http://127.0.0.1/three.png"}, "The file could not be opened: upload it, or give an address"),
    ("read", {"picture": "three.png"}, "Invalid file data format, provide a url"),
])
def test_a_wrong_argument_is_refused_in_a_sentence(page, tool, arguments, sentence):
    result = call(page, tool, **arguments)
    assert result.isError
    (content,) = result.content
    assert sentence in content.text
    assert "\n" not in content.text
