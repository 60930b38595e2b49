"""The tab that makes pictures from seeds."""

import gradio as gr
from PIL import Image

from ganlib import images, sampling
from ganlib.checks import check_int, quoted, require
from ganlib.demo import models
from ganlib.demo.controls import MAX_SEED, RANDOM_SEED, listen
from ganlib.demo.picker import model_picker
from ganlib.demo.theme import DICE

TITLE = "Generate"
EXPLANATION = ("Nobody drew these pictures. Each is made from random numbers, and a **seed** names these numbers: the "
               "same seed always gives the same picture.")
MAX_COUNT = 100
CAPTIONS = {"its seed": "seed", "the discriminator’s opinion": "opinion"}


def generate(model: str, seed: int, count: int, truncation: float, captions: list[str],
             digit: str = "any") -> tuple[Image.Image, str]:
    """A contact sheet (PNG) of pictures, and a line on how they were made.

    Args:
        model: its name.
        seed: of the first picture, 0 to 9,999; the next ones have seed + 1, seed + 2, …
        count: how many pictures, 1 to 100.
        truncation: ψ, 0 to 2.
        captions: what to write under each picture: "seed", "opinion", both or neither.
        digit: "any" lets each seed choose. Models with classes take the number of a class, such as "3", too, or "all"
            for a row of all classes for each of count // classes seeds, at least one.
    """
    seed, count = check_int(seed, 0, MAX_SEED, "Seed"), check_int(count, 1, MAX_COUNT, "How many")
    known = list(CAPTIONS.values())
    require(isinstance(captions, list) and all(caption in known for caption in captions),
            f"Write under each picture must be a list of {' and '.join(known)}, not {quoted(captions)}")
    gan = models.images(model)
    seeds, label, columns = range(seed, seed + count), None, None
    if digit == "all" and gan.num_classes:
        require(gan.num_classes <= MAX_COUNT, f"{model} has {gan.num_classes:,} classes, more than the {MAX_COUNT} "
                                              f"pictures of a sheet: choose one of them")
        columns = gan.num_classes
        seeds = [s for s in range(seed, seed + max(1, count // columns)) for _ in range(columns)]
        label = [i % columns for i in range(len(seeds))]
    elif digit != "any":
        require(gan.num_classes is not None, f"{model} has no classes: Digit must be any, not {quoted(digit)}")
        numbers = [str(i) for i in range(gan.num_classes)]
        require(digit in numbers, f"Digit must be any, all or a class of {model}, from 0 to {numbers[-1]}, not "
                                  f"{quoted(digit)}")
        label = int(digit)
    with models.clock() as milliseconds:
        labels = gan.labels_of(seeds, label)
        x = gan.sample(seeds, labels, truncation)
        status = models.credit(gan, len(x), milliseconds())
    lines = [[str(s) for s in seeds]] if "seed" in captions else []
    if gan.discriminator is not None:
        opinions = gan.discriminate(x, labels)
        status += f" On average its discriminator says {opinions.mean():.0%} real.{models.calibrated(gan)}"
        if "opinion" in captions:
            lines.append([f"{p:.0%} real" for p in opinions.tolist()])
    sheet = images.contact_sheet(x, columns, captions=["\n".join(texts) for texts in zip(*lines)])
    return sheet, status


def class_choices(names: tuple[str, ...]) -> dict:
    """What the picker of classes shows for a model: nothing where it has none."""
    digits = names == tuple("0123456789")
    every = "all ten" if digits else "all"
    return {"choices": [("any", "any"), *((name, str(i)) for i, name in enumerate(names)), (every, "all")],
            "value": "any", "label": "Digit" if digits else "Class", "visible": bool(names),
            "info": f"any: the seed chooses. {every}: one row of {every} for each seed."}


def switch(model: str, *others) -> tuple[dict, Image.Image, str]:
    """What changes with the model: the classes to choose from, of which none is chosen, and the pictures."""
    return gr.update(**class_choices(models.images(model).class_names)), *generate(model, *others)


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
    listen([demo.load, *(component.change for component in inputs[1:])], generate, inputs, outputs,
           api_name="generate")
    listen([model.change], switch, inputs[:-1], [digit, *outputs], api_visibility="private")
