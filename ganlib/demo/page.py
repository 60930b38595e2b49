"""The page's frame: title, tabs, theme; how it is launched; and what a link or a picture's passport opens."""

import argparse
import html
import logging
import os
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import gradio as gr
from fastapi import Request
from fastapi.responses import JSONResponse
from gradio.route_utils import FnIndexInferError
from gradio.routes import httpx  # type: ignore[attr-defined]  # gradio asks other servers by it
from starlette.requests import ClientDisconnect

from ganlib import console, passport
from ganlib.checks import check_int, needs
from ganlib.demo import (
    draw,
    explore,
    game,
    generate,
    headers,
    how,
    interpolate,
    lab,
    memory,
    models,
    passports,
    quality,
    sessions,
    stages,
)
from ganlib.demo.controls import Page
from ganlib.demo.links import Reading
from ganlib.demo.theme import THEME

log = logging.getLogger(__name__)

MAX_THREADS = 16  # of answers at once: each may hold the maps of a network
CSS, SCRIPT = (Path(__file__).with_name(name) for name in ("page.css", "page.js"))
INTRODUCTION = """<header>
<svg viewBox="0 0 46 32" aria-hidden="true"><circle cx="16" cy="16" r="15" fill="#3b82f6"/>
<circle cx="30" cy="16" r="15" fill="#f97316" fill-opacity="0.88"/></svg>
<h1>ganlib</h1>
<p>A GAN is two networks, trained against each other.
<span class="wide-only">The <b class="generated">generator</b> makes pictures. The <b>discriminator</b>
tries to tell them from <b class="real">real ones</b>.</span></p>
<p class="wide-only">Make new digits, draw your own, turn one into another, guess what is real, and watch a GAN
learn.</p>
</header>"""

# Each has TITLE, EXPLANATION and LINK, its name in links; build(demo) returns the components that a link sets, and
# restore(reading) their values.
TABS: tuple[Any, ...] = (generate, draw, interpolate, explore, game, lab, quality, how)
STAGES = (draw, interpolate, explore, game, lab, how)  # mounted when first opened: then they ask for pictures
LATER = (generate, lab, quality)  # their build(demo, frame) makes pictures when the tab is opened


@memory.without_collecting()
def build() -> gr.Blocks:
    """The page, not yet launched: its tabs, whose handlers are the API."""
    memory.save()
    memory.share_cores()
    # gradio would summarise its last 10,000 answers after each answer, for a dashboard that nobody opens
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
    with ThreadPoolExecutor(1, "build") as aside:  # which computes while gradio's Python runs
        return _built(aside.submit(how.ahead))


def _built(ahead: Future[Any]) -> gr.Blocks:
    demo = Page(title="ganlib", analytics_enabled=False, delete_cache=(3600, 7200))
    with demo:
        gr.HTML(INTRODUCTION, elem_id="introduction", padding=False)
        if reasons := models.missing():
            # not Markdown, in which a quoted text could show pictures from elsewhere
            items = "".join(f"<li>{html.escape(reason)}</li>" for reason in reasons)
            gr.HTML(f"These models could not be opened:<ul>{items}</ul>", elem_id="missing")
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            parts: dict[ModuleType, list[Any]] = {}
            for tab in TABS:
                with gr.Tab(tab.TITLE, id=tab.LINK, render_children=tab not in STAGES) as frame:
                    gr.Markdown(tab.EXPLANATION, elem_classes="explain")
                    more = [frame] if tab in LATER else [ahead] if tab is how else []
                    parts[tab] = tab.build(demo, *more)
        outputs = [tabs, *(part for tab in TABS for part in parts[tab])]

        def arrive(request: gr.Request) -> list[Any]:
            return opened(dict(request.query_params), parts, arrived=True)

        def go(event: gr.EventData) -> list[Any]:
            return opened(event._data if isinstance(event._data, dict) else {}, parts)

        passports.build(lambda values: opened(values, parts), outputs)
        demo.load(arrive, None, outputs, show_progress="hidden", api_visibility="private")
        for tab in STAGES:
            if tab is not lab:
                parts[tab][0].go(go, None, outputs, show_progress="hidden", api_visibility="private")
    return demo


def opened(values: Mapping[str, Any], parts: Mapping[Any, list[Any]], arrived: bool = False) -> list[Any]:
    """The tabs, and the components of all of them: what a link, a passport or another tab names is set, with a word on
    what in it was not valid.

    Args:
        values: of the link or the passport.
        parts: the components of each tab.
        arrived: whether they are of the page's address, which the lab reads itself.
    """
    chosen = lab if lab.is_linked(values) else next((tab for tab in TABS if values.get("tab") == tab.LINK), None)
    reading = Reading({name: value for name, value in values.items() if name != "tab"})
    if chosen is None and "tab" in values:
        reading.words.append(f"This page has no tab {values['tab']!s:.40}.")
    seen = chosen or (generate if arrived else None)
    updates: list[Any] = []
    for tab in TABS:
        if tab == seen and not (arrived and tab is lab):
            updates += tab.restore(reading)
        else:
            updates += tab.unseen() if arrived and tab is generate else [gr.skip()] * len(parts[tab])
    if reading.message:
        gr.Warning(html.escape(reading.message, quote=False))
    return [gr.Tabs(selected=chosen.LINK) if chosen else gr.skip(), *updates]


def launch(demo: gr.Blocks, **options: Any) -> Any:
    """Launch with the page's theme and without requests elsewhere.

    Args:
        demo: the page.
        options: gradio's, such as `server_port`.

    Raises:
        MissingPackage: MCP tools are wanted, but the package that serves them is missing.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    options.setdefault("share", os.environ.get("GRADIO_SHARE", "").lower() == "true")  # gradio's default varies
    if options.get("mcp_server") or os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true":
        needs("the MCP server", "app", "mcp")
        from ganlib.demo import tools

        tools.serve()
    memory.settle()
    lab.warm_up()
    # in the head, because gradio limits its `css` to the inside of the page's frame
    head = (f"<style>{CSS.read_text(encoding='utf-8')}{stages.style()}</style>"
            f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>")
    # of Exception itself, the traceback is logged too
    kinds = (ValueError, TypeError, LookupError, AttributeError, RuntimeError, OSError, FnIndexInferError,
             httpx.InvalidURL, ClientDisconnect, Exception)
    answers = {"exception_handlers": dict.fromkeys(kinds, wrong_call), "middleware": headers.middleware()}
    return demo.launch(theme=THEME, head=head, footer_links=["api"], max_file_size=passport.MAX_BYTES,
                       state_session_capacity=sessions.KEPT, max_threads=MAX_THREADS, app_kwargs=answers, **options)


async def wrong_call(request: Request, error: Exception) -> JSONResponse:
    """The answer to a request that gradio does not understand, such as a call of an endpoint that there is not.

    Without it gradio answers 500, and logs a traceback.
    """
    _, called, name = request.url.path.partition("/gradio_api/call/")
    said, _, _ = str(error).partition(". Please")
    if called and not isinstance(error, TypeError):
        return JSONResponse({"error": f"There is no endpoint /{name.strip('/').removeprefix('v2/')}."}, 404)
    if called and said.startswith(("No value provided for", "Parameter `")):  # by gradio_client.utils.construct_args
        return JSONResponse({"error": f"{said}."}, 400)
    log.warning("%s was not understood: %s", request.url.path, type(error).__name__)
    return JSONResponse({"error": "The server did not understand this request."}, 400)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog=console.spelled("app"),
                                description="Open the page on this machine: make digits, draw, train a GAN live.")
    p.add_argument("--open", action="store_true", help="open the page in the browser too")
    p.add_argument("--mcp", action="store_true",
                   help="serve the page's functions to language models as MCP tools too (default: where "
                        "GRADIO_MCP_SERVER is True)")
    p.add_argument("--host", help="the address to listen on; 0.0.0.0 lets other machines in (default: "
                                  "GRADIO_SERVER_NAME, else 127.0.0.1)")
    p.add_argument("--port", type=int,
                   help="the port to listen on (default: GRADIO_SERVER_PORT, else the first free one from 7860)")
    return p


@console.command
def main(argv: list[str] | None = None, demo: gr.Blocks | None = None) -> int:
    """The command `python app.py`, in an installed package `ganlib app`: serve the page until Ctrl-C.

    Args:
        argv: the options; None for those of the command line.
        demo: the page, if it is built already.

    Returns:
        The exit code: 1 after an error that a sentence on stderr explains.
    """
    parses = parser()
    arguments = parses.parse_args(argv)
    try:
        if arguments.port is not None:
            check_int(arguments.port, 1, 65_535, "--port")
        launch(demo or build(), inbrowser=arguments.open, server_name=arguments.host, server_port=arguments.port,
               mcp_server=True if arguments.mcp else None)
    except console.OutputError:
        raise
    except (ValueError, OSError) as error:
        # gradio's own words on a port name no option of this command
        sentence = "the port is taken: give another --port" if "empty port" in str(error) else str(error)
        print(f"{parses.prog.removeprefix('python ')}: {sentence}", file=sys.stderr)
        return 1
    return 0
