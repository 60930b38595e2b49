"""The tab that walks from one picture to another."""

import functools
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import gradio as gr
from PIL import Image
from torch import Tensor

from ganlib import images, sampling
from ganlib.checks import check_int
from ganlib.demo import models
from ganlib.demo.controls import MAX_SEED, RANDOM_SEED, listen
from ganlib.demo.picker import model_picker
from ganlib.demo.theme import DICE

TITLE = "Interpolate"
EXPLANATION = ("Two seeds name two points in a space of random numbers. Each point on the path between them gives a "
               "picture, so one digit turns into the other. The Quality tab says how many pictures halfway are clear "
               "digits.")
MAX_STEPS, STRIP_COLUMNS, FRAME_WIDTH, KEPT_GIFS = 64, 16, 360, 32


def interpolate(model: str, first: int, second: int, steps: int, method: str) -> tuple[Image.Image, str, str]:
    """The path from one seed to another: a film strip (PNG), a GIF that goes there and back, and a line on them.

    Args:
        model: its name.
        first, second: seeds, 0 to 9,999.
        steps: how many pictures, 2 to 64.
        method: "slerp" or "lerp".
    """
    first, second = check_int(first, 0, MAX_SEED, "From seed"), check_int(second, 0, MAX_SEED, "To seed")
    steps = check_int(steps, 2, MAX_STEPS, "Steps")
    gan = models.images(model)
    with models.clock() as milliseconds:
        x = gan.interpolate(first, second, steps, method)
        status = models.credit(gan, steps, milliseconds())
    strip = images.contact_sheet(x, columns=min(steps, STRIP_COLUMNS))
    gif = _keep_gif(x, f"{gan.name.replace('/', '-')}-{first}-{second}")
    return strip, gif, status


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory:
    """A folder that goes with the process."""
    return tempfile.TemporaryDirectory(prefix="ganlib-")


def _keep_gif(x: Tensor, name: str) -> str:
    """Write a GIF of which gradio makes its own copy, and remove the oldest of those that were written before."""
    scratch = Path(_scratch().name)
    with suppress(FileNotFoundError):  # another call has removed one first
        for old in sorted(scratch.iterdir(), key=os.path.getmtime)[:1 - KEPT_GIFS]:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=scratch))
    scale = images.tile_scale(x.shape[-1], 1, FRAME_WIDTH)
    return str(images.write_gif(x, folder / f"{name}.gif", scale))


def frame(model: str, first: int, second: int, method: str, position: float) -> Image.Image:
    """The picture at a position of the path.

    Args:
        model, first, second, method: as in `interpolate`.
        position: from 0, the first seed's picture, to 1, the second's.
    """
    first, second = check_int(first, 0, MAX_SEED, "From seed"), check_int(second, 0, MAX_SEED, "To seed")
    gan = models.images(model)
    (x,) = gan.between(first, second, [position], method)
    return images.enlarge(images.to_pil(x), images.tile_scale(x.shape[-1], 1, FRAME_WIDTH))


def build(demo: gr.Blocks) -> None:
    names = models.image_models()
    gr.Markdown(EXPLANATION, elem_classes="explain")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            with gr.Row():
                gif = gr.Image(type="filepath", format="gif", interactive=False, label="There and back",
                               elem_classes=["picture", "pixels"], buttons=["download"], min_width=140,
                               alt_text="one picture turning into another", elem_id="gif")
                still = gr.Image(format="png", interactive=False, label="At the slider",
                                 elem_classes=["picture", "pixels"], buttons=["download"], min_width=140,
                                 alt_text="the picture at the slider's position", elem_id="still")
            position = gr.Slider(0, 1, value=0.5, step=0.01, label="Position", info="0: the first seed. 1: the second.",
                                 elem_id="position")
            strip = gr.Image(format="png", interactive=False, label="Film strip", elem_classes="picture",
                             buttons=["download", "fullscreen"], alt_text="every step of the path", elem_id="strip")
            status = gr.Markdown(label="made by", elem_classes="status")
        with gr.Column(scale=2, min_width=280):
            model = model_picker(names, models.images)
            first = gr.Slider(0, MAX_SEED, value=3, step=1, label="From seed")
            second = gr.Slider(0, MAX_SEED, value=8, step=1, label="To seed")
            dice = gr.Button("Two new seeds", icon=DICE)
            steps = gr.Slider(2, MAX_STEPS, value=32, step=1, label="Steps")
            method = gr.Radio(list(sampling.INTERPOLATIONS), value="slerp", label="Path",
                              info="lerp: the straight line. slerp: the arc, whose points are as far from zero as "
                                   "other random numbers.")
    dice.click(None, outputs=[first, second], js=f"() => [{RANDOM_SEED}, {RANDOM_SEED}]", api_visibility="private")
    path = [model, first, second]
    listen([demo.load, *(component.change for component in (*path, steps, method))], interpolate,
           [*path, steps, method], [strip, gif, status], api_name="interpolate")
    listen([demo.load, *(component.change for component in (*path, method, position))], frame,
           [*path, method, position], still, api_name="frame")
