"""Stages: tabs that the browser draws. Each is one `gr.HTML`, of a folder in `stage/`, that calls the server.

A stage asks and the server answers, so that nothing is computed for a page that is closed or hidden. A state that a
link, a picture's passport or another tab names reaches a stage as its value.
"""

import base64
import functools
import io
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image
from torch import Tensor

from ganlib import images, passport
from ganlib.checkpoint import WeightsError
from ganlib.checks import quoted
from ganlib.data import NotDownloaded
from ganlib.demo import fetching
from ganlib.demo.controls import as_sentence
from ganlib.demo.labs import Busy
from ganlib.demo.mnist import DOWNLOAD
from ganlib.version import __version__

FOLDER = Path(__file__).with_name("stage")
SHARED = "shared"

log = logging.getLogger(__name__)

Answer = dict[str, Any]


def script(name: str, page: Mapping[str, Any], borrowed: Sequence[str] = ()) -> str:
    """A stage's JavaScript in one piece.

    PAGE comes first, then the shared files, those that are borrowed from other stages, such as "lab/pack.js", and its
    own in the order of their names, NAME.js last. A file figure-NAME.js is a block: its names are its own, and where
    it fails the rest works.
    """
    own = sorted((FOLDER / name).glob("*.js"), key=lambda path: (path.stem == name, path.name))
    parts = [*sorted((FOLDER / SHARED).glob("*.js")), *(FOLDER / file for file in borrowed), *own]
    known = {"tab": name, "space": space(), "version": __version__, **page}
    return "\n".join([f"const PAGE = {json.dumps(known, ensure_ascii=False)};", *map(_source, parts)])


def _source(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return f"try {{\n{text}\n}} catch (error) {{ console.error(error); }}" if path.name.startswith("figure-") else text


def space() -> str | None:
    """The Space of Hugging Face that this page is, "user/name": it is found there from elsewhere."""
    return os.environ.get("SPACE_ID") or None


def style() -> str:
    """The CSS of all stages, for the page's head."""
    paths = sorted(FOLDER.glob("*/*.css"), key=lambda path: (path.parent.name != SHARED, path.parent.name))
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def stage(name: str, page: Mapping[str, Any], functions: list[Callable[..., Any]], label: str,
          borrowed: Sequence[str] = ()) -> gr.HTML:
    """The component of a stage.

    Args:
        name: of its folder, and its id in the page.
        page: what its JavaScript knows of the server, as PAGE.
        functions: that it calls, each made by `answering`.
        label: for people who do not see it.
        borrowed: JavaScript files of other stages, as in `script`.
    """
    return gr.HTML(html_template=(FOLDER / name / f"{name}.html").read_text(encoding="utf-8"),
                   js_on_load=script(name, page, borrowed), elem_id=name, elem_classes="stage-frame",
                   apply_default_css=False, label=label, server_functions=functions)


def state(values: Mapping[str, Any]) -> dict[str, Any]:
    """The value of a stage that opens a state; a new one each time, because a stage only notices changes."""
    return {"state": dict(values), "at": time.time_ns()}


def answering(function: Callable[..., Awaitable[Answer]]) -> Callable[..., Awaitable[Answer]]:
    """A function for a stage that answers {"error": sentence, "again": bool} where the given one raises.

    Where MNIST has to be downloaded first, it answers {"download": sentence}. `again` says whether the same request may
    succeed later. An exception would reach the browser as a number without a reason. A model of the Hub is waited for
    without a thread, so that slow ones do not keep other stages from being answered.
    """
    @functools.wraps(function)
    async def wrapped(*arguments: Any) -> Answer:
        try:
            return await fetching.patiently(lambda: function(*arguments))
        except NotDownloaded:
            return {"download": DOWNLOAD}
        except (ValueError, WeightsError) as error:
            return {"error": as_sentence(str(error)), "again": isinstance(error, Busy)}
        except Exception as error:
            log.exception("%s failed", function.__name__)
            return {"error": f"Something went wrong on the server ({type(error).__name__}).", "again": True}

    return wrapped


def table(values: Any) -> dict[str, Any]:
    """What a stage sent. Raises ValueError unless it is a dictionary."""
    if not isinstance(values, dict):
        raise ValueError(f"the request must be a table of names and values, not {quoted(values)}")
    return values


def in_text(data: bytes) -> str:
    """Bytes as base64, because they travel in JSON."""
    return base64.b64encode(data).decode()


def file(image: Image.Image, found: passport.Passport, name: str) -> Answer:
    """A picture to be saved, for a stage: {"file": base64 of a PNG file with the passport, "name"}."""
    data = io.BytesIO()
    passport.save(image, data, found)
    return {"file": in_text(data.getvalue()), "name": name}


def pixels(x: Tensor) -> Answer:
    """Images (N, C, H, W) in [-1, 1] for a stage: {"pixels": base64 of uint8 (N, H, W, C), "count", "height", "width",
    "channels"}."""
    n, channels, height, width = x.shape
    data = images.to_uint8(x).permute(0, 2, 3, 1).contiguous().numpy().tobytes()
    return {"pixels": in_text(data), "count": n, "height": height, "width": width, "channels": channels}
