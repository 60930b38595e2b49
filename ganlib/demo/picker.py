"""The choice among a tab's models, to which a visitor may add others from the Hub."""

from collections.abc import Callable

import gradio as gr

from ganlib.demo import models
from ganlib.demo.controls import one_of, plainly, refuse
from ganlib.model import Model

LONGEST = 200  # characters of a name


def model_picker(names: list[str], find: Callable[[str], Model], label: str = "Model", **options) -> gr.Radio:
    """A radio of the page's own models, and under it, where the host allows it, a field that opens others.

    find: gives the model of a name, or says why this tab cannot show it.
    """
    picker = gr.Radio(names, value=names[0], label=label, **options)

    def preprocess(payload):
        if not models.may_be(payload) or (payload in models.own() and payload not in names):
            more = ["one on the Hugging Face Hub, named user/repo"] if models.hub_is_open() else []
            raise refuse(f"{label} must be {one_of([*names, *more])}, not {payload!r}.")
        return payload

    picker.preprocess = preprocess
    if models.hub_is_open():
        _build_field(picker, names, find)
    return picker


def _build_field(picker: gr.Radio, names: list[str], find: Callable[[str], Model]) -> None:
    opened = gr.State([])  # by this visitor
    with gr.Accordion("Open another, from the Hugging Face Hub", open=False, elem_classes="open-hub"):
        address = gr.Textbox(label="Its name there", placeholder="user/repo", max_lines=1, max_length=LONGEST,
                             info="any ganlib model that is public: user/repo, user/repo@revision or user/repo/folder")
        button = gr.Button("Open")

    @plainly
    def open_another(name: str, before: list[str]) -> tuple[list[str], dict]:
        name = name.strip()
        if not name:
            raise ValueError("Write the name of a model on the Hugging Face Hub, user/repo.")
        find(name)
        after = [other for other in before if other != name] + ([name] if name not in names else [])
        return after, gr.update(choices=[*names, *after], value=name)

    gr.on([button.click, address.submit], open_another, [address, opened], [opened, picker], api_visibility="private",
          show_progress="minimal", show_progress_on=button)
