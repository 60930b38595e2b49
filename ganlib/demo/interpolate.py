"""The tab that walks from one picture to another."""

import math
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image
from torch import Tensor

from ganlib import images, sampling
from ganlib.checks import check_int
from ganlib.demo import models, stages
from ganlib.demo.controls import MAX_SEED, RANDOM_SEED, check_seed, listen
from ganlib.demo.links import Reading
from ganlib.demo.picker import model_picker
from ganlib.demo.theme import DICE

TITLE, LINK = "Interpolate", "interpolate"
EXPLANATION = ("Two seeds are two points in a space of random numbers. Each point on the path between them gives a "
               "picture. So one digit changes into the other. The Quality tab says how many pictures halfway are clear "
               "digits.")
MAX_STEPS, KEPT_GIFS = 64, 32
STRIP_COLUMNS = 16  # of square pictures
FRAME_SIDE = 360  # pixels of the longer side of a picture, about


def interpolate(model: str, first: int, second: int, steps: int, method: str) -> tuple[Image.Image, str, str]:
    """The path from one seed to another: a film strip (PNG), a GIF of the way there and back, and a line on them.

    Args:
        model: its name.
        first, second: seeds, 0 to 9,999.
        steps: how many pictures, 2 to 64.
        method: "slerp" or "lerp".
    """
    first, second = check_seed(first, "From seed"), check_seed(second, "To seed")
    steps = check_int(steps, 2, MAX_STEPS, "Steps")
    gan, start = models.images(model), models.now()
    x = gan.interpolate(first, second, steps, method)
    status = models.credit(gan, steps, start)
    height, width = gan.shape[1:]
    columns = max(1, round(STRIP_COLUMNS * math.sqrt(height / width)))
    strip = images.contact_sheet(x, images.fewest_columns(steps, columns))
    return strip, _write_gif(x, f"{gan.name.replace('/', '-')}-{first}-{second}.gif"), status


_folders: "deque[tempfile.TemporaryDirectory[str]]" = deque()


def _write_gif(x: Tensor, name: str) -> str:
    """The path of a new GIF, which gradio then copies. Older GIFs are removed."""
    _folders.append(folder := tempfile.TemporaryDirectory(prefix="ganlib-", ignore_cleanup_errors=True))
    if len(_folders) > KEPT_GIFS:
        _folders.popleft().cleanup()
    return str(images.write_gif(x, Path(folder.name, name), _scale(x)))


def _scale(x: Tensor) -> int:
    """By how much a picture that is shown alone is enlarged."""
    return images.tile_scale(max(x.shape[-2:]), 1, FRAME_SIDE)


def frame(model: str, first: int, second: int, method: str, position: float) -> Image.Image:
    """The picture at a position of the path.

    Args:
        model, first, second, method: as in `interpolate`.
        position: from 0, the first seed's picture, to 1, the second's.
    """
    first, second = check_seed(first, "From seed"), check_seed(second, "To seed")
    (x,) = models.images(model).between(first, second, [position], method)
    return images.enlarge(images.to_pil(x), _scale(x))


def restore(reading: Reading) -> list[Any]:
    return [stages.state({"model": reading.model(models.image_models())})]


def build(demo: gr.Blocks) -> list[Any]:
    stage = stages.stage("interpolate", {"models": models.image_models()}, [], "Interpolate")
    with gr.Group(visible=False):
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                with gr.Row():
                    gif = gr.Image(type="filepath", format="gif", interactive=False, label="There and back",
                                   elem_classes=["picture", "pixels"], buttons=["download"], min_width=140,
                                   alt_text="one picture turning into another", elem_id="gif")
                    still = gr.Image(format="png", interactive=False, label="At the slider",
                                     elem_classes=["picture", "pixels"], buttons=["download"], min_width=140,
                                     alt_text="the picture at the slider's position", elem_id="still")
                position = gr.Slider(0, 1, value=0.5, step=0.01, label="Position",
                                     info="0: the first seed. 1: the second.",
                                     elem_id="position")
                strip = gr.Image(format="png", interactive=False, label="Film strip", elem_classes="picture",
                                 buttons=["download", "fullscreen"], alt_text="every step of the path", elem_id="strip")
                status = gr.Markdown(label="made by", elem_classes="status")
            with gr.Column(scale=2, min_width=280):
                model = model_picker(models.image_models(), models.images)
                first = gr.Slider(0, MAX_SEED, value=3, step=1, label="From seed")
                second = gr.Slider(0, MAX_SEED, value=8, step=1, label="To seed")
                dice = gr.Button("Two new seeds", icon=DICE)
                steps = gr.Slider(2, MAX_STEPS, value=32, step=1, label="Steps")
                method = gr.Radio(list(sampling.INTERPOLATIONS), value="slerp", label="Path",
                                  info="lerp: a straight line. slerp: an arc that stays as far from zero as "
                                       "other random numbers.")
        dice.click(None, outputs=[first, second], js=f"() => [{RANDOM_SEED}, {RANDOM_SEED}]", api_visibility="private")
        ends = [model, first, second]
        listen([demo.load, *ends, steps, method], interpolate, [*ends, steps, method], [strip, gif, status],
               api_name="interpolate")
        listen([demo.load, *ends, method, position], frame, [*ends, method, position], still, api_name="frame")
    return [stage]
