"""The tab that makes pictures from seeds."""

import gradio as gr
from PIL import Image

from ganlib import images, sampling
from ganlib.demo import models

TITLE = "Generate"
EXPLANATION = ("Each **seed** is the start of a stream of random numbers, and the generator turns those numbers into one "
               "picture: the same seed always brings the same picture back. None of these was ever drawn by a person.")
MAX_COUNT, MAX_SEED = 100, 9_999
SEED_CAPTION, OPINION_CAPTION = "seed", "D’s opinion"


@models.plainly
def generate(model: str, seed: int, count: int, truncation: float, captions: list[str]) -> tuple[Image.Image, str]:
    """A contact sheet (PNG) of `count` pictures, of seed, seed + 1, …; and a line on how it was made."""
    gan = models.get(model)
    if not 1 <= count <= MAX_COUNT:
        raise ValueError(f"how many must be from 1 to {MAX_COUNT}, not {count}")
    seeds = range(sampling.check_seeds([seed])[0], seed + count)
    with models.clock() as milliseconds:
        x = gan.sample(seeds, truncation=truncation)
        made = milliseconds()
    opinions = gan.discriminate(x)
    lines = []
    if SEED_CAPTION in captions:
        lines.append([str(s) for s in seeds])
    if OPINION_CAPTION in captions:
        lines.append([f"{p:.0%} real" for p in opinions.tolist()])
    sheet = images.contact_sheet(x, captions=["\n".join(texts) for texts in zip(*lines)] if lines else None)
    status = (f"**{gan.name}** on {gan.device.type.upper()}: {count} picture{'s' if count > 1 else ''} in {made:.0f} ms. "
              f"The discriminator takes them for real with {opinions.mean():.0%} on average.")
    return sheet, status


def build(demo: gr.Blocks) -> None:
    names = models.image_models()
    gr.Markdown(EXPLANATION, elem_classes="explain")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            sheet = gr.Image(format="png", interactive=False, show_label=False, elem_id="sheet",
                             elem_classes="picture", buttons=["download", "fullscreen"],
                             alt_text="pictures made by the generator")
            status = gr.Markdown(elem_classes="status", elem_id="status")
        with gr.Column(scale=2, min_width=280):
            model = gr.Radio(names, value=names[0], label="Model")
            with gr.Row(equal_height=True):
                seed = gr.Slider(0, MAX_SEED, value=7, step=1, label="Seed of the first picture", scale=5,
                                 elem_id="seed")
                dice = gr.Button("🎲", scale=1, min_width=56, elem_id="dice")
            count = gr.Slider(1, MAX_COUNT, value=25, step=1, label="How many")
            truncation = gr.Slider(0, sampling.MAX_TRUNCATION, value=1, step=0.05, label="Truncation ψ",
                                   info="below 1: more typical; 0: the average picture; above 1: wilder")
            captions = gr.CheckboxGroup([SEED_CAPTION, OPINION_CAPTION], value=[], label="Write under each picture")
    dice.click(None, outputs=seed, js=f"() => Math.floor(Math.random() * {MAX_SEED + 1})", api_visibility="private")
    inputs = [model, seed, count, truncation, captions]
    gr.on([demo.load, *(component.change for component in inputs)], generate, inputs, [sheet, status],
          api_name="generate", show_progress="hidden", trigger_mode="always_last")
