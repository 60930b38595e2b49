"""What the tabs have in common: the seeds they offer, and handlers that refuse bad values in one sentence.

Handlers check their arguments themselves. Gradio's own checks take fractions for whole numbers, fail on a value of
another type, do not name the control, and log every refusal with a traceback.
"""

import functools
import html
from collections.abc import Callable

import gradio as gr

from ganlib.checkpoint import WeightsError

MAX_SEED = 9_999
RANDOM_SEED = f"Math.floor(Math.random() * {MAX_SEED + 1})"  # JavaScript


def listen(triggers: list[Callable], handler: Callable, inputs, outputs, **options):
    """Call the handler on each trigger, with the controls' values as they were sent.

    Its ValueError and WeightsError reach the visitor, or the API's caller, as one sentence, and are not logged.
    Arguments and result are those of `gradio.on`.
    """
    @functools.wraps(handler)
    def wrapped(*args):
        try:
            return handler(*args)
        except (ValueError, WeightsError) as error:
            # gradio shows it as HTML, and it may quote anybody's text
            raise gr.Error(html.escape(str(error), quote=False), print_exception=False) from None

    options = {"show_progress": "hidden", "trigger_mode": "always_last"} | options
    return gr.on(triggers, wrapped, inputs, outputs, preprocess=False, **options)
