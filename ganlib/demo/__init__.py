"""The page: one file per tab. The only part of ganlib that imports gradio; nothing else in ganlib imports it."""

import os
from contextlib import suppress
from pathlib import Path

from ganlib.checks import needs

with suppress(RuntimeError):  # there is no home folder
    # set before matplotlib is imported, because it would also create a folder in ~/.config
    os.environ.setdefault("MPLCONFIGDIR", str(Path.home() / ".cache" / "matplotlib"))

needs("the page", "app", "gradio", "matplotlib")

from ganlib.demo import memory  # noqa: E402

with memory.without_collecting():
    from ganlib.demo.page import build, launch, main

__all__ = ["build", "launch", "main"]
