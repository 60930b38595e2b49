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
from ganlib.demo import models
from ganlib.demo.controls import plainly, radio, slider
from ganlib.demo.gpu import on_gpu
from ganlib.demo.picker import model_picker
from ganlib.demo.theme import DICE

TITLE = "Interpolate"
EXPLANATION = ("Two seeds are two points in a space of random numbers, and the points between them are pictures too: "
               "one digit *becomes* the other. The Quality tab says how many of the pictures halfway are clear digits.")
MAX_SEED, MAX_STEPS, STRIP_COLUMNS, FRAME_WIDTH, KEPT_GIFS = 9_999, 64, 16, 360, 32


@on_gpu
@plainly
def interpolate(model: str, first: int, second: int, steps: int, method: str) -> tuple[Image.Image, str, str]:
    """The way from one seed to another: a film strip (PNG), a GIF that goes there and back, and a line on it."""
    gan = models.images(model)
    with models.clock() as milliseconds:
        x = gan.interpolate(first, second, steps, method)
        made = milliseconds()
    strip = images.contact_sheet(x, columns=min(steps, STRIP_COLUMNS))
    gif = _keep_gif(x, f"{gan.name.replace('/', '-')}-{first}-{second}")
    return strip, gif, models.credit(gan, steps, made)


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory:
    """A folder that goes with the process."""
    return tempfile.TemporaryDirectory(prefix="ganlib-")


def _keep_gif(x: Tensor, name: str) -> str:
    """Write a GIF where gradio can take its own copy from, and remove those it has taken long since."""
    scratch = Path(_scratch().name)
    with suppress(FileNotFoundError):  # another call has removed one first
        for old in sorted(scratch.iterdir(), key=os.path.getmtime)[:1 - KEPT_GIFS]:  # listed, since forks forget
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=scratch))
    scale = images.tile_scale(x.shape[-1], 1, FRAME_WIDTH)
    return str(images.write_gif(x, folder / f"{name}.gif", scale))


@on_gpu
@plainly
def frame(model: str, first: int, second: int, method: str, position: float) -> Image.Image:
    """The picture at `position` of the way, from 0 (the first seed's) to 1 (the second's)."""
    gan = models.images(model)
    (x,) = gan.between(first, second, [position], method)
    return images.enlarge(images.to_pil(x), images.tile_scale(x.shape[-1], 1, FRAME_WIDTH))


def build(demo: gr.Blocks) -> None:
    _scratch()  # by the page itself: with a fork it would not go
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
            position = slider(0, 1, value=0.5, step=0.01, label="Scrub", info="0 is the first seed, 1 the second",
                                 elem_id="position")
            strip = gr.Image(format="png", interactive=False, label="Film strip", elem_classes="picture",
                             buttons=["download", "fullscreen"], alt_text="every step of the way", elem_id="strip")
            status = gr.Markdown(label="made by", elem_classes="status")
        with gr.Column(scale=2, min_width=280):
            model = model_picker(names, models.images)
            first = slider(0, MAX_SEED, value=3, step=1, label="From seed")
            second = slider(0, MAX_SEED, value=8, step=1, label="To seed")
            dice = gr.Button("Two new seeds", icon=DICE)
            steps = slider(2, MAX_STEPS, value=32, step=1, label="Steps")
            method = radio(list(sampling.INTERPOLATIONS), value="slerp", label="Path",
                              info="lerp is the straight line; slerp is the arc, whose points are as far from "
                                   "zero as random numbers are")
    dice.click(None, outputs=[first, second], api_visibility="private",
               js=f"() => [0, 0].map(() => Math.floor(Math.random() * {MAX_SEED + 1}))")
    way = [model, first, second]
    gr.on([demo.load, *(component.change for component in (*way, steps, method))], interpolate, [*way, steps, method],
          [strip, gif, status], api_name="interpolate", show_progress="hidden", trigger_mode="always_last")
    gr.on([demo.load, *(component.change for component in (*way, method, position))], frame, [*way, method, position],
          still, api_name="frame", show_progress="hidden", trigger_mode="always_last")
