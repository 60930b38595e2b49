"""The tab that makes pictures from seeds."""

import gradio as gr
from PIL import Image

from ganlib import images, sampling
from ganlib.demo import models
from ganlib.demo.controls import checkboxes, plainly, refuse, slider
from ganlib.demo.gpu import on_gpu
from ganlib.demo.picker import model_picker
from ganlib.demo.theme import DICE

TITLE = "Generate"
EXPLANATION = ("Nobody ever drew these. Each picture grows from random numbers that its **seed** stands for: the same "
               "seed always brings the same picture back.")
MAX_COUNT, MAX_SEED = 100, 9_999


@on_gpu
@plainly
def generate(model: str, seed: int, count: int, truncation: float, captions: list[str],
             digit: str = "any") -> tuple[Image.Image, str]:
    """A contact sheet (PNG) of `count` pictures, of seed, seed + 1, …; and a line on how it was made.

    digit: "0" to "9" asks for that digit, or a class of that number; "all" for a row of all ten for each seed, of
    count // 10 seeds and at least one, where there are no more classes than MAX_COUNT; "any" lets each seed pick. Only
    models with classes take another than "any".
    """
    gan = models.images(model)
    if digit != "any" and gan.num_classes is None:
        raise ValueError(f"{model} cannot be asked for a digit: it has no classes. Leave Digit at any.")
    if digit not in ("any", "all", *map(str, range(gan.num_classes or 0))):
        raise ValueError(f"Digit must be any, all or a class of {model}, from 0 to {gan.num_classes - 1}, not "
                         f"{digit!r}.")
    columns, label, seeds = None, None if digit in ("any", "all") else int(digit), range(seed, seed + count)
    if digit == "all":
        if gan.num_classes > MAX_COUNT:
            raise ValueError(f"{model} has {gan.num_classes:,} classes, more than the {MAX_COUNT} pictures that there "
                             f"can be: ask for one of them.")
        columns = gan.num_classes
        seeds = [s for s in range(seed, seed + max(1, count // columns)) for _ in range(columns)]
        label = [i % columns for i in range(len(seeds))]
    with models.clock() as milliseconds:
        labels = gan.labels_of(seeds, label)
        x = gan.sample(seeds, labels, truncation)
        made = milliseconds()
    opinions = None if gan.discriminator is None else gan.discriminate(x, labels)
    lines = []
    if "seed" in captions:
        lines.append([str(s) for s in seeds])
    if "opinion" in captions and opinions is not None:
        lines.append([f"{p:.0%} real" for p in opinions.tolist()])
    sheet = images.contact_sheet(x, columns, captions=["\n".join(texts) for texts in zip(*lines)] if lines else None)
    status = models.credit(gan, len(x), made)
    if opinions is not None:
        status += (f" On average its discriminator gives them a probability of {opinions.mean():.0%} to be real; the "
                   f"probability was calibrated after training.")
    return sheet, status


def class_choices(names: tuple[str, ...]) -> dict:
    """What the picker of classes shows for a model: nothing where it has none."""
    digits = names == tuple("0123456789")
    every = "all ten" if digits else "all"
    return gr.update(choices=[("any", "any"), *((name, str(i)) for i, name in enumerate(names)), (every, "all")],
                     value="any", label="Digit" if digits else "Class", visible=bool(names),
                     info=f"any: the seed picks; {every}: rows of them, a seed each")


def class_picker(names: tuple[str, ...]) -> gr.Radio:
    """The picker of classes; which there are depends on the model, so `generate` checks them."""
    made = gr.Radio(elem_id="digit", **{key: value for key, value in class_choices(names).items() if key[0] != "_"})

    def preprocess(payload):
        if not isinstance(payload, str):
            raise refuse(f"Digit must be any, all, or a class such as \"3\", not {payload!r}.")
        return payload

    made.preprocess = preprocess
    return made


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
                seed = slider(0, MAX_SEED, value=7, step=1, label="Seed", scale=5, elem_id="seed")
                dice = gr.Button("Roll", icon=DICE, scale=1, min_width=88, elem_id="dice")
            digit = class_picker(models.class_names(names[0]))
            count = slider(1, MAX_COUNT, value=25, step=1, label="How many")
            truncation = slider(0, sampling.MAX_TRUNCATION, value=1, step=0.05, label="Truncation ψ",
                                   info="below 1: more typical, at 0 most of all; above 1: wilder")
            captions = checkboxes([("its seed", "seed"), ("the discriminator’s opinion", "opinion")], value=[],
                                     label="Write under each picture")
    dice.click(None, outputs=seed, js=f"() => Math.floor(Math.random() * {MAX_SEED + 1})", api_visibility="private")
    inputs, outputs = [model, seed, count, truncation, captions, digit], [sheet, status]
    gr.on([demo.load, *(component.change for component in inputs[1:])], generate, inputs, outputs,
          api_name="generate", show_progress="hidden", trigger_mode="always_last")
    # first the digit: what was picked for one model may be nothing to the next
    model.change(plainly(lambda name: class_choices(models.images(name).class_names)), model, digit,
                 api_visibility="private", show_progress="hidden").then(
        generate, inputs, outputs, api_visibility="private", show_progress="hidden", trigger_mode="always_last")
