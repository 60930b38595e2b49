"""What the tabs share: the range of seeds, and handlers that refuse wrong values in one sentence.

Handlers check their arguments themselves, because Gradio's own checks accept fractions as whole numbers, do not name
the control, and log every refusal with a traceback.
"""

import functools
import html
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from ganlib.checkpoint import WeightsError
from ganlib.checks import check_int

MAX_SEED = 9_999
RANDOM_SEED = f"Math.floor(Math.random() * {MAX_SEED + 1})"  # JavaScript


def check_seed(seed: object, what: str = "Seed") -> int:
    """The seed as an int. Raises ValueError unless it is a whole number from 0 to 9,999."""
    return check_int(seed, 0, MAX_SEED, what)


def refusal(sentence: str) -> gr.Error:
    """An error for the visitor, or the API's caller, which is not logged.

    Its text is escaped because gradio shows it as HTML, and it may quote text of strangers.
    """
    return gr.Error(html.escape(sentence, quote=False), print_exception=False)


def listen(triggers: Sequence[Any], handler: Callable[..., Any], inputs: Any, outputs: Any, **options: Any) -> None:
    """Call the handler on each trigger, with the values of the inputs.

    Its ValueError and WeightsError reach the visitor, or the API's caller, as one sentence, and are not logged.
    Arguments are those of `gradio.on`; a component as a trigger means its change.
    """
    @functools.wraps(handler)
    def wrapped(*args: Any) -> Any:
        try:
            return handler(*args)
        except (ValueError, WeightsError) as error:
            raise refusal(str(error)) from None

    events = [getattr(trigger, "change", trigger) for trigger in triggers]
    options = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"} | options
    if "api_name" in options:
        options["api_visibility"] = "public"
    gr.on(events, wrapped, inputs, outputs, preprocess=False, **options)
