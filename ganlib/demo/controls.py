"""What the tabs share: the range of seeds, and handlers that refuse wrong values in one sentence.

Handlers check their arguments themselves, because Gradio's own checks accept fractions as whole numbers, do not name
the control, and log every refusal with a traceback.
"""

import asyncio
import copy
import functools
import html
import inspect
import logging
import re
import textwrap
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Any, cast

import gradio as gr
from gradio.components.api_component import Api
from gradio.data_classes import FileData, FileDataDict
from gradio.utils import get_function_params, get_return_types
from gradio_client.utils import python_type_to_json_schema  # type: ignore[import-untyped]

from ganlib.checkpoint import WeightsError
from ganlib.checks import check_int
from ganlib.demo import fetching, models, pictures
from ganlib.demo.sessions import Sessions

log = logging.getLogger(__name__)

REQUIRED = object()  # in place of a default
AT_ONCE = 4  # calls of a handler that work
SLOW_AT_ONCE = 2  # of all handlers together that compute for half a second or more
# of gradio; the limit with those that wait for a model of the Hub
SLOW: dict[str, Any] = {"concurrency_id": "slow", "concurrency_limit": SLOW_AT_ONCE + 3}
MAX_QUEUE = 64  # calls that wait
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
    """The function, whose errors reach the visitor, or the API's caller, as one sentence.

    Those that the visitor cannot correct are logged, apart from a full disk.
    """
    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except (ValueError, WeightsError) as error:
            raise refusal(str(error)) from None
        except (fetching.Missing, gr.Error):
            raise
        except OSError as error:
            what = error.strerror or type(error).__name__
            raise refusal(f"the server cannot read or write a file at this moment: {what}") from None
        except Exception as error:
            log.exception("%s failed", function.__name__)
            raise refusal(f"something went wrong on the server ({type(error).__name__})") from None

    return wrapped


def endpoint(function: Callable[..., Any], name: str, outputs: Any = None, choices: Sequence[str] = (),
             defaults: Mapping[str, Any] = MappingProxyType({}), **options: Any) -> None:
    """Add a function to the API, and to the MCP tools. Its errors reach the caller as one sentence.

    Args:
        function: annotations give the types of its parameters and its docstring their meaning; one that is a
            `FileDataDict` is a file.
        name: of the endpoint and the tool.
        outputs: the components of what it returns, whose pictures become files; None: it is sent as JSON.
        choices: the page's own models that the parameter `model` may name; the first one is its default.
        defaults: of parameters, beside those of the signature.
        options: of `gradio.on`; `slow`: whether it is among those of which SLOW_AT_ONCE work at once.
    """
    summary, described, returned = documentation(function)
    if choices:
        defaults = {"model": choices[0], **defaults}
        others = "; public models of the Hugging Face Hub are named user/repo" if models.hub_is_open() else ""
        described["model"] += f" This page has {', '.join(choices)}{others}."
    parameters = {parameter: defaults.get(parameter, default if optional else REQUIRED)
                  for parameter, optional, default, _ in get_function_params(function)}
    inputs = []
    for parameter, _, _, kind in get_function_params(function):
        schema = FileData.model_json_schema() if kind is FileDataDict else python_type_to_json_schema(kind)
        value = None if parameters[parameter] is REQUIRED else parameters[parameter]
        told = {"description": described[parameter], **({} if value is None else {"default": value})}
        inputs.append(Api(value, {**schema, **told}, parameter))
        if kind is FileDataDict:  # so that gradio accepts only files that were uploaded, or that it downloaded itself
            inputs[-1].data_model = FileData
    if outputs is None:
        outputs = [Api(None, python_type_to_json_schema(kind), name) for kind in get_return_types(function)]
    call: Any = _streaming(function) if inspect.isasyncgenfunction(function) else refusing(_with_files(function))
    # gradio names the tool by the function, and reads its docstring line by line
    call.__name__, call.parameters = name, parameters
    if not inspect.isasyncgenfunction(call):
        call.at_once, call.slow = options.pop("concurrency_limit", AT_ONCE), options.pop("slow", False)
        options |= SLOW if call.slow else {}
    lines = [summary, "Args:", *(f"{parameter}: {described[parameter]}" for parameter in parameters)]
    call.__doc__ = "\n".join([*lines, "Returns:", returned])
    gr.on([], call, inputs, outputs, preprocess=False, show_progress="hidden", api_name=name, **options)


def documentation(function: Callable[..., Any]) -> tuple[str, dict[str, str], str]:
    """What a docstring says of a function, of each of its parameters, and of what it returns, in a line each."""
    summary, *sections = re.split(r"\n\n(Args|Returns|Raises):\n", inspect.getdoc(function) or "")
    found = {title: textwrap.dedent(text) for title, text in zip(sections[::2], sections[1::2])}
    described: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", found.get("Args", "")):
        names, _, text = entry.partition(": ")
        described |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return " ".join(summary.split()), described, " ".join(found.get("Returns", "").split())


def _with_files(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with PNG files in place of the pictures that it returns."""
    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return pictures.as_files(function(*arguments))

    return call


def _streaming(function: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., AsyncGenerator[Any, None]]:
    """The function, as one of its own, which may be named otherwise."""
    @functools.wraps(function)
    async def stream(*arguments: Any) -> AsyncGenerator[Any, None]:
        async with aclosing(function(*arguments)) as items:
            async for item in items:
                yield item

    return stream


class Page(gr.Blocks):
    """Blocks whose endpoints take the defaults for what a caller leaves out, or gives as null, and whose handlers hold
    neither a thread nor a place among those `at_once` while they wait for a model of the Hub."""

    async def call_function(self, block_fn: Any, inputs: list[Any], *more: Any,  # type: ignore[override]
                            **named: Any) -> Any:
        call, function = super().call_function, block_fn.fn
        if inspect.isasyncgenfunction(function):
            return await call(block_fn, inputs, *more, **named)
        slow = getattr(function, "slow", False)
        places = vars(self if slow else block_fn).setdefault(
            "places", asyncio.Semaphore(SLOW_AT_ONCE if slow else getattr(function, "at_once", AT_ONCE)))

        async def work() -> Any:
            async with places:
                return await call(block_fn, list(inputs), *more, **named)

        return await fetching.patiently(work)

    def queue(self, *arguments: Any, **options: Any) -> "Page":
        """gradio calls this when the page is made; to call it again, with other limits, would take half a second."""
        # with those that wait for a model of the Hub; `call_function` lets fewer work at once
        return cast(Page, super().queue(*arguments, **{
            "max_size": MAX_QUEUE, "default_concurrency_limit": AT_ONCE + fetching.MAX_WAITING} | options))

    def run_startup_events(self) -> None:
        super().run_startup_events()  # type: ignore[no-untyped-call]
        self.server_app.state_holder = Sessions(self)

    async def process_api(self, *arguments: Any, session_hash: str | None = None, event_id: str | None = None,
                          **named: Any) -> dict[str, Any]:
        call: Any = super().process_api
        found: dict[str, Any] = {"is_generating": False}
        try:
            found = await call(*arguments, session_hash=session_hash, event_id=event_id, **named)
            return found
        finally:
            # a call of the API without a session is one of its own
            if session_hash is not None and session_hash == event_id and not found["is_generating"]:
                cast(Sessions, self.state_holder).forget(session_hash)

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """Leaves alone what a handler skips. gradio would build it anew, and keep it as long as the session."""
        outputs, answers = list(block_fn.outputs), predictions
        if isinstance(predictions, dict) and predictions == gr.skip():
            answers = [predictions] * len(outputs)
        elif len(outputs) == 1:
            answers = [predictions]
        if not isinstance(answers, list | tuple) or len(answers) != len(outputs):  # gradio says what is wrong
            return await super().postprocess_data(block_fn, predictions, state)
        changed = [not (isinstance(answer, dict) and answer == gr.skip()) for answer in answers]
        fewer = copy.copy(block_fn)
        fewer.outputs = [output for output, new in zip(outputs, changed) if new]
        values = [answer for answer, new in zip(answers, changed) if new]
        found: Iterator[Any] = iter(())
        if values:
            found = iter(await super().postprocess_data(fewer, values if len(values) > 1 else values[0], state))
        return [next(found) if new else None if output.stateful else gr.skip() for output, new in zip(outputs, changed)]

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *more: Any, **named: Any) -> Any:
        if (parameters := getattr(block_fn.fn, "parameters", None)) is not None:
            if len(inputs) > len(parameters):
                raise refusal(f"/{block_fn.api_name} takes at most {len(parameters)} values: {', '.join(parameters)}")
            given = dict(zip(parameters, inputs))
            inputs = [value if given.get(name) is None else given[name] for name, value in parameters.items()]
            missing = [name for name, value in zip(parameters, inputs) if value is REQUIRED]
            if missing:
                raise refusal(f"/{block_fn.api_name} needs a value for {' and '.join(missing)}")
        try:
            return await super().preprocess_data(block_fn, inputs, *more, **named)
        except Exception:  # of any kind, by gradio: a file on the server, an address that is no public one, and so on
            if any(getattr(block, "data_model", None) for block in block_fn.inputs):
                raise refusal("the file could not be opened: upload it, or give an address that anybody can open"
                              ) from None
            raise refusal("these values are not those that are asked for: reload the page") from None

    def get_api_info(self, *arguments: Any, **named: Any) -> Any:
        """What `/info` says: also in words what each parameter means."""
        info = super().get_api_info(*arguments, **named)
        for found in info["named_endpoints"].values():
            for parameter in found["parameters"]:
                parameter["python_type"]["description"] = parameter["type"].get("description", "")
        return info


def show(triggers: Sequence[Any], handler: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any],
         settle: Callable[..., Sequence[Any]] = lambda *values: values, waits: bool = False,
         **options: Any) -> list[Any]:
    """Show in the outputs what the handler gives for the inputs, after each trigger and each change of an input.

    Args:
        triggers, handler, inputs, outputs, options: as in `listen`.
        settle: as in `once`.
        waits: whether the triggers do nothing before there are shown values. A change of an input always does: a server
            that was started anew, or another replica, knows of no shown values of a page that is open.

    Returns:
        The state that holds the shown values, and the outputs: `made` gives their values.
    """
    shown = [gr.State(), *outputs]
    if waits:
        listen(triggers, once(handler, settle, waits), [shown[0], *inputs], shown, **options)
        triggers = []
    listen([*triggers, *inputs], once(handler, settle), [shown[0], *inputs], shown, **options)
    return shown


def once(handler: Callable[..., Any], settle: Callable[..., Sequence[Any]],
         waits: bool = False) -> Callable[..., Any]:
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

    Its ValueError and WeightsError reach the visitor as one sentence, and are not logged. `endpoint` is for the API.
    Arguments are those of `gradio.on` and `slow`, as in `endpoint`; a component as a trigger means its change.
    """
    events = [getattr(trigger, "change", trigger) for trigger in triggers]
    options = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"} | options
    call: Any = refusing(handler)
    call.at_once, call.slow = options.pop("concurrency_limit", AT_ONCE), options.pop("slow", False)
    gr.on(events, call, inputs, outputs, preprocess=False, **options | (SLOW if call.slow else {}))
