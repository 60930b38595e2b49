"""What the tabs share: the range of seeds, and handlers that refuse wrong values in one sentence.

Handlers check their arguments themselves, because Gradio's own checks accept fractions as whole numbers, do not name
the control, and log every refusal with a traceback.
"""

import functools
import html
import re
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from ganlib.checkpoint import WeightsError
from ganlib.checks import check_int
from ganlib.demo import models

MAX_SEED = 9_999
RANDOM_SEED = f"Math.floor(Math.random() * {MAX_SEED + 1})"  # JavaScript


def check_seed(seed: object, what: str = "Seed") -> int:
    """The seed as an int. Raises ValueError unless it is a whole number from 0 to 9,999."""
    return check_int(seed, 0, MAX_SEED, what)


def as_sentence(text: str) -> str:
    """The text with a full stop, and a capital letter unless it begins with a name: mlp-gan, user/repo."""
    first = re.match(r"[^\W\d_]+(?=[\s’.,:;]|$)", text)
    if first and first[0] not in models.own():
        text = text[0].upper() + text[1:]
    return text + ("" if text.endswith((".", "!", "?")) else ".")


def refusal(text: str) -> gr.Error:
    """An error for the visitor, or the API's caller, as a sentence, which is not logged.

    It is escaped because gradio shows it as HTML, and it may quote text of strangers.
    """
    return gr.Error(html.escape(as_sentence(text), quote=False), print_exception=False)


def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose ValueError and WeightsError reach the visitor, or the API's caller, as one sentence."""
    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except (ValueError, WeightsError) as error:
            raise refusal(str(error)) from None

    return wrapped


def endpoint(function: Callable[..., Any], name: str) -> None:
    """Add a function without components to the API, by its annotations. Its errors reach the caller as one sentence."""
    gr.api(refusing(function), api_name=name)  # type: ignore[attr-defined]


def show(triggers: Sequence[Any], handler: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any],
         settle: Callable[..., Sequence[Any]] = lambda *values: values, waits: bool = False,
         **options: Any) -> list[Any]:
    """Show in the outputs what the handler gives for the inputs, after each trigger and each change of an input.

    Args:
        triggers, handler, inputs, outputs, options: as in `listen`.
        settle, waits: as in `once`.

    Returns:
        The state that holds the shown values, and the outputs: `made` gives their values.
    """
    shown = [gr.State(), *outputs]
    listen([*triggers, *inputs], once(handler, settle, waits), [shown[0], *inputs], shown, **options)
    return shown


def once(handler: Callable[..., Any], settle: Callable[..., Sequence[Any]], waits: bool) -> Callable[..., Any]:
    """The handler as a function of the shown values and the wanted ones: it is called only where they differ.

    So several changes at once, as a link makes them, and a tab that is opened again cause no second call.

    Args:
        handler: a function of the settled values.
        settle: gives the values that the handler gets for the wanted ones.
        waits: whether nothing is done before there are shown values.
    """
    def answer(before: Any, *wanted: Any) -> Any:
        settled = list(settle(*wanted))
        return gr.skip() if settled == before or (waits and before is None) else made(handler, settled)

    return answer


def made(handler: Callable[..., Any], values: list[Any]) -> list[Any]:
    """The values, and what the handler gives for them, one or several."""
    found = handler(*values)
    return [values, *(found if isinstance(found, tuple) else (found,))]


def listen(triggers: Sequence[Any], handler: Callable[..., Any], inputs: Any, outputs: Any, **options: Any) -> None:
    """Call the handler on each trigger, with the values of the inputs.

    Its ValueError and WeightsError reach the visitor, or the API's caller, as one sentence, and are not logged.
    Arguments are those of `gradio.on`; a component as a trigger means its change.
    """
    events = [getattr(trigger, "change", trigger) for trigger in triggers]
    options = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"} | options
    if "api_name" in options:
        options["api_visibility"] = "public"
    gr.on(events, refusing(handler), inputs, outputs, preprocess=False, **options)
