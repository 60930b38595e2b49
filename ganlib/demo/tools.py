"""The MCP server: the page's endpoints as tools of language models. Imported only where it is wanted."""

import json
from typing import Any

import gradio.mcp
from gradio_client.utils import is_file_obj_with_meta  # type: ignore[import-untyped]


class Tools(gradio.mcp.GradioMCPServer):
    """gradio's MCP server, whose tools give several results as several contents, numbers as JSON, and no HTML."""

    def postprocess_output_data(self, data: Any, root_url: str) -> list[Any]:
        # gradio 6.31 passes several results on as one, unless the client asks for progress
        if len(data) == 1 and isinstance(data[0], tuple):
            data = data[0]
        return super().postprocess_output_data(
            [value if isinstance(value, str) or is_file_obj_with_meta(value) else json.dumps(value, ensure_ascii=False)
             for value in data if value is not None and not _is_html(value)], root_url)


def _is_html(value: Any) -> bool:
    """Whether a result is charts: long, and of no use to a language model, which gets their numbers too."""
    return isinstance(value, str) and value.startswith("<")


def serve() -> None:
    """Make the next launch that serves MCP use `Tools`."""
    gradio.mcp.GradioMCPServer = Tools  # type: ignore[misc]
