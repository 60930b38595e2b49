"""The choice among a tab's models. A visitor may add others from the Hub."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from ganlib.demo import models
from ganlib.demo.controls import listen
from ganlib.model import Model

MAX_LENGTH = 500  # characters of a name or an address


def model_picker(names: list[str], find: Callable[[str], Model], label: str = "Model", **options: Any) -> gr.Radio:
    """A radio of the page's own models and, if the host allows it, a field that opens others.

    Args:
        names: the page's own models.
        find: returns the model of a name, or raises an error that says why this tab cannot show it.
        label: of the radio.
        options: of `gradio.Radio`.
    """
    picker = gr.Radio(names, value=names[0], label=label, **options)
    if not models.hub_is_open():
        return picker
    opened = gr.State([])  # by this visitor
    with gr.Accordion("Open another model from the Hugging Face Hub", open=False, elem_classes="open-hub"):
        address = gr.Textbox(label="Its name there", placeholder="user/repo", max_lines=1, max_length=MAX_LENGTH,
                             info="Any public ganlib model: user/repo, user/repo@revision, user/repo/folder, or an "
                                  "address.")
        button = gr.Button("Open")

    def open_another(name: str, before: list[str]) -> tuple[list[str], dict[str, Any]]:
        name = str(name or "").strip()
        if not name:
            raise ValueError("Write the name of a model on the Hugging Face Hub, user/repo.")
        name = models.full_name(name)
        find(name)
        after = [other for other in before if other != name] + ([name] if name not in names else [])
        return after, gr.update(choices=[*names, *after], value=name)

    listen([button.click, address.submit], open_another, [address, opened], [opened, picker], trigger_mode="once",
           show_progress="minimal", show_progress_on=button)
    return picker
