"""The button "Copy link" of tabs that are made of gradio's components; stages have `LinkButton` in their JavaScript."""

import json
from collections.abc import Mapping
from typing import Any

import gradio as gr

from ganlib.demo import stages

BUTTON = """<div class="stage stage-share">
<div class="stage-bar"><button type="button" title="A link that opens this tab as it is now">Copy link</button></div>
<input type="text" class="stage-link" aria-label="Link" readonly hidden>
<p class="stage-told" role="status"></p>
</div>"""
PRESSED = """
element.querySelector("button").addEventListener("click", () => trigger("copy"));
element.querySelector("input").addEventListener("focus", (event) => event.target.select());
"""
# values that are the defaults are left out
COPY = """async (...values) => {
%s
  const {tab, space, defaults, id} = %s, place = document.getElementById(id), query = {tab};
  Object.entries(defaults).forEach(([name, value], i) => {
    if (JSON.stringify(values[i]) !== JSON.stringify(value)) query[name] = values[i];
  });
  const copied = await copyText(addressOf({space}, linkQuery(query)), place.querySelector("input"));
  place.querySelector("p").textContent = copied ? WORDS.copied : WORDS.selected;
  return [];
}"""


def link_button(tab: str, values: Mapping[str, tuple[Any, Any]]) -> gr.HTML:
    """The button, and a field with the link where the browser does not let the page copy it.

    Args:
        tab: its name in links.
        values: of the link, by name: each has a component and its default.
    """
    shared = "".join((stages.FOLDER / stages.SHARED / name).read_text(encoding="utf-8")
                     for name in ("elements.js", "address.js"))
    table = {"tab": tab, "space": stages.space(), "id": f"{tab}-link",
             "defaults": {name: default for name, (_, default) in values.items()}}
    button = gr.HTML(BUTTON, js_on_load=PRESSED, elem_id=f"{tab}-link", elem_classes="stage-frame",
                     apply_default_css=False, label="link to this tab")
    button.copy(None, [component for component, _ in values.values()], None, js=COPY % (shared, json.dumps(table)),
                api_visibility="private", queue=False)
    return button
