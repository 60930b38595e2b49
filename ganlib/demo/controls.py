"""Gradio's controls, which refuse what is out of range in one sentence, on the page and through the API alike."""

import functools
import html
from collections.abc import Callable

import gradio as gr

from ganlib.checkpoint import WeightsError


def refuse(sentence: str) -> gr.Error:
    """The refusal that a visitor sees, and an API's caller gets; it is not logged as a failure of the page.

    gradio takes it for HTML, and what it quotes may be anybody's.
    """
    return gr.Error(html.escape(sentence, quote=False), print_exception=False)


def plainly(handler: Callable) -> Callable:
    """A handler whose own refusals reach the visitor, and the API's caller, as the one sentence that they are."""
    @functools.wraps(handler)
    def wrapped(*args):
        try:
            return handler(*args)
        except (ValueError, WeightsError) as error:
            raise refuse(str(error)) from None
    return wrapped


def one_of(values: list[str]) -> str:
    """Choices in words: "a, b or c"."""
    return ", ".join(values[:-1]) + " or " + values[-1] if len(values) > 1 else values[0]


def slider(minimum: float, maximum: float, **options) -> gr.Slider:
    """A slider from minimum to maximum; whole numbers where its `step` is whole."""
    made = gr.Slider(minimum, maximum, **options)
    whole = isinstance(made.step, int)

    def preprocess(payload):
        number = isinstance(payload, int | float) and not isinstance(payload, bool)
        if not number or not minimum <= payload <= maximum or (whole and payload != int(payload)):
            raise refuse(f"{made.label} must be a {'whole ' if whole else ''}number from {minimum:g} to {maximum:g}, "
                         f"not {payload!r}.")
        return int(payload) if whole else float(payload)

    return _checked(made, preprocess)


def radio(choices: list, **options) -> gr.Radio:
    """One of several choices."""
    made = gr.Radio(choices, **options)
    values = [value for _, value in made.choices]

    def preprocess(payload):
        if payload not in values:
            raise refuse(f"{made.label} must be {one_of(values)}, not {payload!r}.")
        return payload

    return _checked(made, preprocess)


def checkboxes(choices: list, **options) -> gr.CheckboxGroup:
    """Any of several choices."""
    made = gr.CheckboxGroup(choices, **options)
    values = [value for _, value in made.choices]

    def preprocess(payload):
        if not isinstance(payload, list) or any(value not in values for value in payload):
            raise refuse(f"{made.label} must be a list of {one_of(values)}, not {payload!r}.")
        return payload

    return _checked(made, preprocess)


def _checked(made, preprocess: Callable):
    """The control with its own check. No subclass: for those gradio writes a stub file beside the source."""
    made.preprocess = preprocess
    return made
