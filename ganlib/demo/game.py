"""The tab Game."""

from typing import Any

import gradio as gr

from ganlib.demo import models, stages
from ganlib.demo.links import Reading

TITLE, LINK = "Game", "game"
EXPLANATION = "Ten pictures. Which are real digits, which are generated?"


def restore(reading: Reading) -> list[Any]:
    return [stages.state({"model": reading.model(models.image_models())})]


def build(demo: gr.Blocks) -> list[gr.HTML]:
    return [stages.stage("game", {"models": models.image_models()}, [], "Game")]
