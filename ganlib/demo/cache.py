"""Caches results of handlers: the same question about the same weights is answered again without work.

The results are in one `gradio.Cache` for all handlers, about 64 MB of them; the least recently used go first. Gradio's
own decorator, `gradio.cache`, would give each handler a store of its own, and let two equal calls at once both work.
"""

import contextvars
import functools
import hashlib
import inspect
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar, cast

import gradio as gr
import torch
from PIL import Image

from ganlib.checkpoint import WeightsError
from ganlib.demo import models
from ganlib.images import from_png, png_of
from ganlib.model import Model

MAX_BYTES, MAX_RESULTS = 64 * 2**20, 8_192  # of all results; one that is larger is kept alone
KEY = "_fingerprint"  # of a model, kept as long as the model

STORE = gr.Cache(max_size=MAX_RESULTS, max_memory=MAX_BYTES)
_lock = threading.Lock()
_running: dict[str, Future[Any]] = {}

_F = TypeVar("_F", bound=Callable[..., Any])


class File(bytes):
    """The PNG file of a picture that is kept."""


def cached(recalled: Callable[[Any], Any] = lambda result: result) -> Callable[[_F], _F]:
    """A decorator for functions whose result depends on their arguments and on models only: it is computed once.

    The key has the function's name, its arguments, which must be what JSON can write, and the weights, the config and
    the measures of the models. An argument named `model`, or the item "model" of a dictionary, names one. Two equal
    calls at once compute once. Errors are not kept. Results are handed out as copies. Of a picture its file is kept, a
    hundredth of its pixels.

    Args:
        recalled: changes a result that was kept, such as a sentence on the time that it took.
    """
    def decorator(function: _F) -> _F:
        signature, name = inspect.signature(function), f"{function.__module__}.{function.__qualname__}"

        @functools.wraps(function)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            try:
                values = signature.bind(*arguments, **named)
                values.apply_defaults()
                text = json.dumps([name, values.arguments], sort_keys=True, allow_nan=False)
            except (TypeError, ValueError):  # a wrong call, or values that JSON cannot write
                return function(*arguments, **named)
            try:
                key = _key(text, values.arguments)
            except WeightsError:  # the function says what is wrong, or does without
                return function(*arguments, **named)
            found, fresh = _once(key, lambda: function(*arguments, **named), lambda: _key(text, values.arguments))
            return _copy(found) if fresh else recalled(found)

        return cast(_F, wrapped)

    return decorator


def clear() -> None:
    """Forget all results."""
    STORE.clear()


def _key(text: str, values: dict[str, Any]) -> str:
    """Of a call, and of the weights that it uses. Raises WeightsError if a model cannot be opened."""
    prints = [fingerprint(models.get(model)) for model in _named(values)]
    return hashlib.sha256("\n".join([text, *prints]).encode()).hexdigest()


def _named(values: dict[str, Any]) -> list[Any]:
    """The models that arguments name."""
    return [table["model"] for table in (values, *values.values()) if isinstance(table, dict) and "model" in table]


def fingerprint(gan: Model) -> str:
    """The hash of a model's networks, config, measures and name: of all that its answers depend on."""
    if KEY not in vars(gan):
        about = json.dumps([gan.name, gan.revision, gan.config, gan.metrics, gan.history], default=str)
        digest = hashlib.sha256(about.encode())
        for network in filter(None, (gan.generator, gan.discriminator, gan.encoder)):
            for tensor in network.state_dict().values():
                digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        vars(gan)[KEY] = digest.hexdigest()
    return cast(str, vars(gan)[KEY])


def _once(key: str, compute: Callable[[], Any], key_now: Callable[[], str]) -> tuple[Any, bool]:
    """The kept result of that key, else a computed one; and whether it was computed now, by this call or another.

    A result is not kept where the key has changed meanwhile: a model of the Hub was loaded anew.
    """
    with _lock:
        # in a context of its own: gradio would write "used cache" on each control that the handler sets
        kept = contextvars.Context().run(STORE.get, key)
        if kept is not None:
            return _copy(kept["result"]), False
        first = key not in _running
        future = _running.setdefault(key, Future())
    if not first:
        if future.exception() is None:
            return future.result(), True
        return compute(), True  # with an error of its own
    try:
        result, same = compute(), False
        with suppress(Exception):  # a model is being loaded anew, or cannot be opened any more
            same = key_now() == key
        with _lock:
            if same:
                STORE.set(key, result=_copy(result, File))
            del _running[key]
        future.set_result(result)
    except BaseException as error:
        with _lock:
            _running.pop(key, None)
        future.set_exception(error)
        raise
    return result, True


def _copy(result: Any, picture: Callable[[bytes], Any] = from_png) -> Any:
    """The result with its own dictionaries, lists and tuples, and with `picture` of the file of each picture."""
    if isinstance(result, dict):
        return {key: _copy(value, picture) for key, value in result.items()}
    if isinstance(result, list):
        return [_copy(value, picture) for value in result]
    if isinstance(result, tuple):
        return tuple(_copy(value, picture) for value in result)
    data = png_of(result) if isinstance(result, Image.Image) else result if isinstance(result, File) else None
    return result if data is None else picture(data)
