"""The tab that makes pictures from seeds."""

import gradio as gr
from PIL import Image

from ganlib import images, sampling
from ganlib.demo import models
from ganlib.demo.controls import checkboxes, plainly, radio, slider
from ganlib.demo.theme import DICE

TITLE = "Generate"
EXPLANATION = ("Nobody ever drew these. Each picture grows from random numbers that its **seed** stands for: the same "
               "seed always brings the same picture back.")
MAX_COUNT, MAX_SEED = 100, 9_999


@plainly
def generate(model: str, seed: int, count: int, truncation: float, captions: list[str]) -> tuple[Image.Image, str]:
    """A contact sheet (PNG) of `count` pictures, of seed, seed + 1, …; and a line on how it was made."""
    gan = models.get(model)
    seeds = range(seed, seed + count)
    with models.clock() as milliseconds:
        labels = gan.labels_of(seeds)
        x = gan.sample(seeds, labels, truncation)
        made = milliseconds()
    opinions = gan.discriminate(x, labels)
    lines = []
    if "seed" in captions:
        lines.append([str(s) for s in seeds])
    if "opinion" in captions:
        lines.append([f"{p:.0%} real" for p in opinions.tolist()])
    sheet = images.contact_sheet(x, captions=["\n".join(texts) for texts in zip(*lines)] if lines else None)
    status = (f"{models.credit(gan, count, made)} On average its discriminator gives them {opinions.mean():.0%} to be "
              f"real.")
    return sheet, status


def build(demo: gr.Blocks) -> None:
    names = models.image_models()
    gr.Markdown(EXPLANATION, elem_classes="explain")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            sheet = gr.Image(format="png", interactive=False, label="Contact sheet", elem_id="sheet",
                             elem_classes="picture", buttons=["download", "fullscreen"],
                             alt_text="pictures made by the generator")
            status = gr.Markdown(label="made by", elem_classes="status", elem_id="status")
        with gr.Column(scale=2, min_width=280):
            model = radio(names, value=names[0], label="Model")
            with gr.Row(equal_height=True):
                seed = slider(0, MAX_SEED, value=7, step=1, label="Seed", scale=5, elem_id="seed")
                dice = gr.Button("Roll", icon=DICE, scale=1, min_width=88, elem_id="dice")
            count = slider(1, MAX_COUNT, value=25, step=1, label="How many")
            truncation = slider(0, sampling.MAX_TRUNCATION, value=1, step=0.05, label="Truncation ψ",
                                   info="below 1: more typical; 0: the average picture; above 1: wilder")
            captions = checkboxes([("its seed", "seed"), ("the discriminator’s opinion", "opinion")], value=[],
                                     label="Write under each picture")
    dice.click(None, outputs=seed, js=f"() => Math.floor(Math.random() * {MAX_SEED + 1})", api_visibility="private")
    inputs = [model, seed, count, truncation, captions]
    gr.on([demo.load, *(component.change for component in inputs)], generate, inputs, [sheet, status],
          api_name="generate", show_progress="hidden", trigger_mode="always_last")
