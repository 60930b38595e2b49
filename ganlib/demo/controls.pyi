"""Gradio's controls, which refuse what is out of range in one sentence, on the page and through the API alike."""

import functools
from collections.abc import Callable

import gradio as gr

from ganlib.checkpoint import WeightsError

def refuse(sentence: str) -> gr.Error:
    """The refusal that a visitor sees, and an API's caller gets; it is not logged as a failure of the page."""
    return gr.Error(sentence, print_exception=False)


def plainly(handler: Callable) -> Callable:
    """A handler whose own refusals reach the visitor, and the API's caller, as the one sentence that they are."""
    @functools.wraps(handler)
    def wrapped(*args):
        try:
            return handler(*args)
        except (ValueError, WeightsError) as error:
            raise refuse(str(error)) from None
    return wrapped


def _choices(values: list[str]) -> str:
    return ", ".join(values[:-1]) + " or " + values[-1] if len(values) > 1 else values[0]


class Slider(gr.Slider):
    """A slider from minimum to maximum; whole numbers where its step is whole."""

    is_template = True

    def preprocess(self, payload: float) -> float:
        whole = isinstance(self.step, int)
        number = isinstance(payload, int | float) and not isinstance(payload, bool)
        if not number or not self.minimum <= payload <= self.maximum or (whole and payload != int(payload)):
            raise refuse(f"{self.label} must be a {'whole ' if whole else ''}number from {self.minimum} to "
                         f"{self.maximum}, not {payload!r}.")
        return int(payload) if whole else float(payload)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class Radio(gr.Radio):
    """One of several choices."""

    is_template = True

    def preprocess(self, payload: str) -> str:
        values = [value for _, value in self.choices]
        if payload not in values:
            raise refuse(f"{self.label} must be {_choices(values)}, not {payload!r}.")
        return payload
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class CheckboxGroup(gr.CheckboxGroup):
    """Any of several choices."""

    is_template = True

    def preprocess(self, payload: list[str]) -> list[str]:
        values = [value for _, value in self.choices]
        if not isinstance(payload, list) or any(value not in values for value in payload):
            raise refuse(f"{self.label} must be a list of {_choices(values)}, not {payload!r}.")
        return payload
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component
