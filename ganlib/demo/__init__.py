"""The page: one file per tab. The only part of ganlib that imports gradio; nothing in ganlib imports it."""

from ganlib.demo.page import build, launch

__all__ = ["build", "launch"]
