"""The page: one file per tab. The only part of ganlib that imports gradio; nothing in ganlib imports it."""

import os
from pathlib import Path

# before it is imported: left to itself matplotlib makes a folder in ~/.config, too
os.environ.setdefault("MPLCONFIGDIR", str(Path("~/.cache/matplotlib").expanduser()))

from ganlib.demo.page import build, launch

__all__ = ["build", "launch"]
