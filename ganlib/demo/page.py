"""The page's frame: title, tabs, theme; how it is launched; and what a link or a picture's passport opens."""

import html
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import gradio as gr

from ganlib.demo import draw, explore, game, generate, interpolate, lab, models, quality, stages
from ganlib.demo.links import Reading
from ganlib.demo.theme import THEME

CSS = Path(__file__).with_name("page.css")
INTRODUCTION = """# ganlib

Two small networks were trained against each other. The **generator** makes pictures. The **discriminator** tries to
tell them from real ones. Move a slider and watch."""

# Each has TITLE, EXPLANATION and LINK, its name in links; build(demo) returns the components that a link sets, and
# restore(reading) their values.
TABS: tuple[Any, ...] = (generate, draw, interpolate, explore, game, lab, quality)
STAGES = (draw, interpolate, explore, game, lab)  # mounted when first opened: then they ask for their first picture


def build() -> gr.Blocks:
    """The page, not yet launched: its tabs, whose handlers are the API."""
    demo = gr.Blocks(title="ganlib", analytics_enabled=False, delete_cache=(3600, 7200))
    with demo:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        if reasons := models.missing():
            # not Markdown, in which a quoted text could show pictures from elsewhere
            items = "".join(f"<li>{html.escape(reason)}</li>" for reason in reasons)
            gr.HTML(f"These models could not be opened:<ul>{items}</ul>", elem_id="missing")
        with gr.Tabs() as tabs:
            parts: dict[ModuleType, list[Any]] = {}
            for tab in TABS:
                with gr.Tab(tab.TITLE, id=tab.LINK, render_children=tab not in STAGES):
                    gr.Markdown(tab.EXPLANATION, elem_classes="explain")
                    parts[tab] = tab.build(demo)
        outputs = [tabs, *(part for tab in TABS for part in parts[tab])]

        def arrive(request: gr.Request) -> list[Any]:
            return opened(dict(request.query_params), parts, arrived=True)

        def go(event: gr.EventData) -> list[Any]:
            return opened(event._data if isinstance(event._data, dict) else {}, parts)

        demo.load(arrive, None, outputs, show_progress="hidden", api_visibility="private")
        for tab in STAGES:
            if tab is not lab:
                parts[tab][0].go(go, None, outputs, show_progress="hidden", api_visibility="private")
    # several calls of each handler at once, because one may wait for a download
    demo.queue(max_size=64, default_concurrency_limit=4)
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
    updates: list[Any] = []
    for tab in TABS:
        wanted = tab is chosen and not (arrived and tab is lab)
        updates += tab.restore(reading) if wanted else [gr.skip()] * len(parts[tab])
    if reading.words:
        gr.Warning(html.escape(" ".join(map(stages.as_sentence, reading.words)), quote=False))
    return [gr.Tabs(selected=chosen.LINK) if chosen else gr.skip(), *updates]


def launch(demo: gr.Blocks, **options: Any) -> Any:
    """Launch with the page's theme and without requests elsewhere; `options` are gradio's, such as `server_port`."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    options.setdefault("share", os.environ.get("GRADIO_SHARE", "").lower() == "true")  # gradio's default varies
    lab.warm_up()
    # in the head, because gradio limits its `css` to the inside of the page's frame
    style = f"<style>{CSS.read_text(encoding='utf-8')}{stages.style()}</style>"
    return demo.launch(theme=THEME, head=style, footer_links=["api"], **options)
