"""What visitors take from the tabs that are made of gradio's components: links, and files with names.

Stages have `LinkButton` and `download` in their JavaScript.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from PIL import Image

from ganlib import passport
from ganlib.demo import pictures, stages

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


def with_file(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler, whose first or only value, a picture with a passport or None, becomes a file in gradio's cache.

    It is named MODEL-TAB-NUMBER.png; those of the API are named image.png.
    """
    @functools.wraps(handler)
    def wrapped(*values: Any) -> Any:
        found = handler(*values)
        return (_file(found[0]), *found[1:]) if isinstance(found, tuple) else _file(found)

    return wrapped


def _file(picture: Image.Image | None) -> str | None:
    if picture is None:
        return None
    made = json.loads(picture.info[passport.KEYWORD])
    parts = [made["model"], made["tab"], *(made[name] for name in ("seed", "moment") if name in made)]
    name = re.sub(r"[^\w.-]+", "-", "-".join(map(str, parts)))
    return pictures.file(picture, name)


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
