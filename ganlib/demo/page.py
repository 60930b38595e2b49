"""The page's frame: title, tabs, theme; and how it is launched."""

import html
import os
from pathlib import Path
from typing import Any

import gradio as gr

from ganlib.demo import generate, interpolate, lab, models, quality
from ganlib.demo.theme import THEME

CSS = Path(__file__).with_name("page.css")
INTRODUCTION = """# ganlib

Two small networks were trained against each other. The **generator** makes pictures. The **discriminator** tries to
tell them from real ones. Move a slider and watch."""


def build() -> gr.Blocks:
    """The page, not yet launched: four tabs, whose handlers are the API.

    `/generate`; `/interpolate` and `/frame`; `/lab` and `/toy`; `/quality` and `/growth`.
    """
    demo = gr.Blocks(title="ganlib", analytics_enabled=False, delete_cache=(3600, 7200))
    with demo:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        if reasons := models.missing():
            # not Markdown, in which a quoted text could show pictures from elsewhere
            items = "".join(f"<li>{html.escape(reason)}</li>" for reason in reasons)
            gr.HTML(f"These models could not be opened:<ul>{items}</ul>", elem_id="missing")
        with gr.Tabs() as tabs:
            for tab in (generate, interpolate, lab, quality):
                # the lab is mounted when it is first opened, because then it begins to play
                with gr.Tab(tab.TITLE, id=tab.TITLE, render_children=tab is not lab):
                    gr.Markdown(tab.EXPLANATION, elem_classes="explain")
                    tab.build(demo)
        demo.load(open_linked, None, tabs, show_progress="hidden", api_visibility="private")
    # several calls of each handler at once, because one may wait for a download
    demo.queue(max_size=64, default_concurrency_limit=4)
    return demo


def open_linked(request: gr.Request) -> Any:
    """Select the lab's tab if the page's address restores a lab."""
    return gr.Tabs(selected=lab.TITLE) if lab.is_linked(request) else gr.skip()


def launch(demo: gr.Blocks, **options: Any) -> Any:
    """Launch with the page's theme and without requests elsewhere; `options` are gradio's, such as `server_port`."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    options.setdefault("share", os.environ.get("GRADIO_SHARE", "").lower() == "true")  # gradio's default varies
    lab.warm_up()
    # in the head, because gradio limits its `css` to the inside of the page's frame
    style = f"<style>{CSS.read_text(encoding='utf-8')}{lab.style()}</style>"
    return demo.launch(theme=THEME, head=style, footer_links=["api"], **options)
