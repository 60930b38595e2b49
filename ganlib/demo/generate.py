"""The tab that makes pictures from seeds."""

from collections.abc import Sequence
from typing import Any

import gradio as gr
from PIL import Image

from ganlib import images, sampling
from ganlib.checks import check_int, quoted, require
from ganlib.demo import models
from ganlib.demo.controls import MAX_SEED, RANDOM_SEED, check_seed, listen
from ganlib.demo.links import Reading
from ganlib.demo.picker import model_picker
from ganlib.demo.theme import DICE

TITLE, LINK = "Generate", "generate"
EXPLANATION = ("Nobody drew these pictures. A model makes each of them from random numbers. A **seed** names these "
               "numbers. The same seed always gives the same picture.")
MAX_COUNT = 100
CAPTIONS = {"its seed": "seed", "the discriminator’s probability": "opinion"}


def generate(model: str, seed: int, count: int, truncation: float, captions: list[str],
             digit: str = "any") -> tuple[Image.Image, str]:
    """A contact sheet (PNG) of pictures, and a line that says how they were made.

    Args:
        model: its name.
        seed: of the first picture, 0 to 9,999; the next ones have seed + 1, seed + 2, …
        count: how many pictures, 1 to 100.
        truncation: ψ, 0 to 2.
        captions: what to write under each picture: "seed", "opinion" (the probability), both or neither.
        digit: "any" lets each seed choose. Models with classes also take the number of a class, such as "3", or "all"
            for all classes side by side, for each of count // classes seeds, at least one.
    """
    seed, count = check_seed(seed), check_int(count, 1, MAX_COUNT, "How many")
    known = list(CAPTIONS.values())
    require(isinstance(captions, list) and all(caption in known for caption in captions),
            f"Write under each picture must be a list of {' and '.join(known)}, not {quoted(captions)}")
    gan = models.images(model)
    seeds: Sequence[int] = range(seed, seed + count)
    label: int | list[int] | None = None
    columns, classes = None, gan.num_classes or 0
    if digit == "all" and classes:
        require(classes <= MAX_COUNT, f"{model} has {classes:,} classes, more than the {MAX_COUNT} pictures of a sheet."
                                      f" Choose one class")
        seeds = [s for s in range(seed, seed + max(1, count // classes)) for _ in range(classes)]
        label = [i % classes for i in range(len(seeds))]
        columns = images.columns_of_groups(len(seeds), classes, *gan.shape[1:])
    elif digit != "any":
        require(classes > 0, f"{model} has no classes: Digit must be any, not {quoted(digit)}")
        require(digit in map(str, range(classes)), f"Digit must be any, all or a class of {model}, from 0 to "
                                                   f"{classes - 1}, not {quoted(digit)}")
        label = int(digit)
    start = models.now()
    labels = gan.labels_of(seeds, label)
    x = gan.sample(seeds, labels, truncation)
    status = models.credit(gan, len(x), start)
    lines = [[str(s) for s in seeds]] if "seed" in captions else []
    if gan.discriminator is not None:
        probabilities = gan.discriminate(x, labels)
        status += f" On average its discriminator says {probabilities.mean():.0%} real.{models.calibrated(gan)}"
        if "opinion" in captions:
            lines.append([f"{p:.0%} real" for p in probabilities.tolist()])
    return images.contact_sheet(x, columns, captions=["\n".join(texts) for texts in zip(*lines)]), status


def class_choices(names: tuple[str, ...]) -> dict[str, Any]:
    """The options of the picker of classes for a model; it is hidden if there are none."""
    digits = names == tuple("0123456789")
    every = "all ten" if digits else "all"
    return {"choices": [("any", "any"), *((name, str(i)) for i, name in enumerate(names)), (every, "all")],
            "value": "any", "label": "Digit" if digits else "Class", "visible": bool(names),
            "info": f"any: the seed chooses. {every}: each seed in {every} classes."}


def switch(model: str, *others: Any) -> tuple[Any, ...]:
    """The picker of classes of another model, set to any, and its pictures."""
    return gr.update(**class_choices(models.images(model).class_names)), *generate(model, *others)


def restore(reading: Reading) -> list[Any]:
    return [reading.model(models.image_models())]


def build(demo: gr.Blocks) -> list[Any]:
    names = models.image_models()
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            sheet = gr.Image(format="png", interactive=False, label="Contact sheet", elem_id="sheet",
                             elem_classes="picture", buttons=["download", "fullscreen"],
                             alt_text="pictures made by the generator")
            status = gr.Markdown(label="made by", elem_classes="status", elem_id="status")
        with gr.Column(scale=2, min_width=280):
            model = model_picker(names, models.images)
            with gr.Row(equal_height=True):
                seed = gr.Slider(0, MAX_SEED, value=7, step=1, label="Seed", scale=5, elem_id="seed")
                dice = gr.Button("Roll", icon=DICE, scale=1, min_width=88, elem_id="dice")
            digit = gr.Radio(elem_id="digit", **class_choices(models.class_names(names[0])))
            count = gr.Slider(1, MAX_COUNT, value=25, step=1, label="How many")
            truncation = gr.Slider(0, sampling.MAX_TRUNCATION, value=1, step=0.05, label="Truncation ψ",
                                   info="Below 1: more typical pictures. Above 1: more unusual ones.")
            captions = gr.CheckboxGroup(list(CAPTIONS.items()), value=[], label="Write under each picture")
    dice.click(None, outputs=seed, js=f"() => {RANDOM_SEED}", api_visibility="private")
    inputs, outputs = [model, seed, count, truncation, captions, digit], [sheet, status]
    listen([demo.load, *inputs[1:]], generate, inputs, outputs, api_name="generate")
    listen([model], switch, inputs[:-1], [digit, *outputs])
    return [model]
