"""The tab Explore."""

from typing import Any

import gradio as gr

from ganlib.demo import models, stages
from ganlib.demo.links import Reading

TITLE, LINK = "Explore", "explore"
EXPLANATION = "Every picture is a point. Here you move the point."


def restore(reading: Reading) -> list[Any]:
    return [stages.state({"model": reading.model(models.image_models())})]


def build(demo: gr.Blocks) -> list[gr.HTML]:
    return [stages.stage("explore", {"models": models.image_models()}, [], "Explore")]
