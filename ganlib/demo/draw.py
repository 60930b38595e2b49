"""The tab Draw."""

from typing import Any

import gradio as gr

from ganlib.demo import models, stages
from ganlib.demo.links import Reading

TITLE, LINK = "Draw", "draw"
EXPLANATION = "Draw a digit. The networks read it while you draw."


def restore(reading: Reading) -> list[Any]:
    return [stages.state({"model": reading.model(models.image_models())})]


def build(demo: gr.Blocks) -> list[gr.HTML]:
    return [stages.stage("draw", {"models": models.image_models()}, [], "Draw")]
