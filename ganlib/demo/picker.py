"""The choice among a tab's models. A visitor may add others from the Hub."""

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from ganlib.demo import models, shelf, stages
from ganlib.demo.controls import listen
from ganlib.model import Model

MAX_LENGTH = 500  # characters of a name or an address

Find = Callable[[str], Model]


def model_picker(names: list[str], find: Find, label: str = "Model", opened: gr.State | None = None,
                 **options: Any) -> gr.Radio:
    """A radio of the page's own models and, if the host allows it, a field that opens others.

    Args:
        names: the page's own models.
        find: returns the model of a name, or raises an error that says why this tab cannot show it.
        label: of the radio.
        opened: models that this visitor opened, [] at first; for tabs that links open, see `restored`.
        options: of `gradio.Radio`.
    """
    picker = gr.Radio(names, value=names[0], label=label, **options)
    opened = opened or gr.State([])

    def add(name: str, before: list[str]) -> tuple[list[str], dict[str, Any]]:
        after = [other for other in before if other != name] + ([name] if name not in names else [])
        return after, gr.update(choices=[*names, *after], value=name)

    _opener(find, add, [opened], [opened, picker])
    return picker


def restored(name: str, names: list[str]) -> list[Any]:
    """The values of a picker and of its `opened` that show a model: one of `names`, or one of the Hub."""
    if name in names:
        return [gr.update(value=name), gr.skip()]
    return [gr.update(choices=[*names, name], value=name), [name]]


def hub_opener(find: Find, stage: gr.HTML) -> None:
    """If the host allows it, a field that opens a model of the Hub in a stage, as its state {"model": name}.

    Args:
        find: as for `model_picker`.
        stage: shows the model, and keeps its other values.
    """
    _opener(find, lambda name: stages.state({"model": name}), [], stage)


def _opener(find: Find, show: Callable[..., Any], inputs: list[Any], outputs: Any) -> None:
    """The field and its button. `show` gets the full name of a model that was found, and the inputs."""
    if not models.hub_is_open():
        return
    shelf.open_shelf()  # raises an error now, while the host looks
    with gr.Accordion("Open another model from the Hugging Face Hub", open=False, elem_classes="open-hub"):
        address = gr.Textbox(label="Name on the Hub", placeholder="user/repo", max_lines=1, max_length=MAX_LENGTH,
                             info="Any public ganlib model: user/repo, user/repo@revision, user/repo/folder, or an "
                                  "address.")
        button = gr.Button("Open")

    def open_another(name: str, *others: Any) -> Any:
        name = str(name or "").strip()
        if not name:
            raise ValueError("Write the name of a model on the Hugging Face Hub, user/repo.")
        name = models.full_name(name)
        find(name)
        if name in models.own():
            gr.Info(html.escape(f"{name} is one of this page’s own models."))
        return show(name, *others)

    listen([button.click, address.submit], open_another, [address, *inputs], outputs, trigger_mode="once",
           show_progress="minimal", show_progress_on=button)
