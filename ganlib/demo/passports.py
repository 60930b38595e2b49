"""Pictures that come back: a file that is dropped on the page, or chosen, opens the tab that made it.

Its passport (`ganlib.passport`) holds the tab's settings, which are checked as those of a link.
"""

import html
import mimetypes
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from gradio.data_classes import FileDataDict

from ganlib import passport
from ganlib.checkpoint import WeightsError
from ganlib.checks import require
from ganlib.demo import models
from ganlib.demo.controls import as_sentence, endpoint, listen

ABOUT = {passport.KEYWORD, "revision", "weights_sha256"}  # of the picture, not of the tab
HINT = ("Each picture saved here says how it was made. "
        '<span class="wide-only">Drop one anywhere on this page, or open it.</span>')


def read(file: FileDataDict) -> passport.Passport:
    """Read how a picture was made, from its passport: ganlib writes one into each picture that it saves.

    Args:
        file: a PNG, GIF or MP4 file of at most 32 MB.

    Returns:
        A dictionary: the tab that made it, the model, its weights’ hash, and the settings.
    """
    require(isinstance(file, dict) and isinstance(file.get("path"), str), "the request has no file")
    return passport.read(file["path"])


def photo(file: Any) -> str:
    """What a visitor can do with a picture that has no passport; empty for other files."""
    kind = mimetypes.guess_type(file["path"])[0] if isinstance(file, dict) else None
    return "A photo of a digit belongs on the field of the tab Draw." if (kind or "").startswith("image/") else ""


def settings(found: passport.Passport) -> dict[str, Any]:
    """What a passport says of its tab, as a link would."""
    return {name: value for name, value in found.items() if name not in ABOUT}


def word(found: passport.Passport) -> str:
    """A sentence on the weights that made a picture, compared with the page's; empty if the page has no such model."""
    try:
        return passport.compare(found, models.get(found.get("model")))
    except WeightsError:
        return ""


def build(opened: Callable[[Mapping[str, Any]], list[Any]], outputs: list[Any]) -> None:
    """The button at the foot of the page, on which `page.js` puts what is dropped, and the API.

    Args:
        opened: the updates of `outputs` for the settings of a tab.
        outputs: components that the settings may change.
    """
    with gr.Row(elem_id="foot"):
        # any type, because gradio's own refusal does not say what would be right; page.js has those of the file chooser
        button = gr.UploadButton("Open a picture made here", size="sm", elem_id="open-picture", scale=0, min_width=220)
        gr.HTML(HINT, padding=False, min_height=0)

    def show(dropped: Any) -> list[Any]:
        try:
            found = read(dropped)
        except ValueError as error:
            raise ValueError(f"{as_sentence(str(error))} {photo(dropped)}".strip()) from None
        require("tab" in found, "The passport does not say which tab of the page made the picture.")
        updates = opened(settings(found))
        if sentence := word(found):
            gr.Info(html.escape(sentence))
        return updates

    listen([button.upload], show, button, outputs)
    endpoint(read, "passport")
