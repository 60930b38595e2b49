"""The tab that makes pictures from seeds."""

from collections.abc import Sequence
from typing import Any

import gradio as gr
from PIL import Image

from ganlib import images, passport, sampling
from ganlib.checkpoint import WeightsError
from ganlib.checks import check_int, quoted, require
from ganlib.demo import links, models
from ganlib.demo.cache import cached
from ganlib.demo.controls import MAX_SEED, RANDOM_SEED, check_seed, endpoint, listen, made, show
from ganlib.demo.links import Reading
from ganlib.demo.picker import model_picker, restored
from ganlib.demo.share import link_button, with_file
from ganlib.demo.theme import DICE
from ganlib.model import Model

TITLE, LINK = "Generate", "generate"
EXPLANATION = ("Nobody drew these pictures. A model makes each of them from random numbers. A **seed** names these "
               "numbers. The same seed always gives the same picture.")
MAX_COUNT = 100
CAPTIONS = {"its seed": "seed", "the discriminator’s probability": "opinion"}
ANY, ALL = "any", "all"  # classes: each seed's own, or all of them side by side
SEED, COUNT, PSI = 7, 25, 1.0  # at first
NO_CAPTIONS: list[str] = []


@cached(recalled=lambda found: (found[0], models.recalled(found[1])))
def generate(model: str, seed: int = SEED, count: int = COUNT, truncation: float = PSI,
             captions: list[str] = NO_CAPTIONS, digit: str = ANY) -> tuple[Image.Image, str]:
    """Make new pictures from seeds, on one contact sheet.

    Args:
        model: the name of the model.
        seed: of the first picture, 0 to 9,999; the next ones have seed + 1, seed + 2, …
        count: how many pictures, 1 to 100.
        truncation: ψ, 0 to 2; below 1 the pictures are more typical, above 1 more unusual.
        captions: what to write under each picture: "seed", "opinion" (the discriminator’s probability that it is real),
            both or neither.
        digit: "any" lets each seed choose. Models with classes also take the number of a class, such as "3", or "all"
            for all classes side by side, for each of count // classes seeds, at least one.

    Returns:
        The contact sheet, a PNG file with its passport, and a line that says how the pictures were made.
    """
    seed, count = check_seed(seed), check_int(count, 1, MAX_COUNT, "How many")
    check_captions(captions)
    gan = models.images(model)
    check_class(digit, gan)
    seeds: Sequence[int] = range(seed, seed + count)
    label: int | list[int] | None = None
    columns, classes = None, gan.num_classes or 0
    if digit == ALL:
        seeds = [s for s in range(seed, seed + max(1, count // classes)) for _ in range(classes)]
        label = [i % classes for i in range(len(seeds))]
        columns = images.columns_of_groups(len(seeds), classes, *gan.shape[1:])
    elif digit != ANY:
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
    elif "opinion" in captions:
        status += " It has no discriminator, so no probability is written."
    sheet = images.contact_sheet(x, columns, captions=["\n".join(texts) for texts in zip(*lines)])
    state = {"seed": seed, "count": count, "psi": float(truncation), "captions": captions, "class": digit}
    return passport.stamp(sheet, passport.of(gan, LINK, **state)), status


def check_captions(captions: Any) -> list[str]:
    known = list(CAPTIONS.values())
    listed = isinstance(captions, list) and all(isinstance(caption, str) for caption in captions)
    require(listed and all(caption in known for caption in captions),
            f"Write under each picture must be {', '.join(known)}, both or neither, "
            f"not {quoted(','.join(captions) if listed else captions)}")
    return list(captions)


def check_class(digit: Any, gan: Model) -> str:
    """A choice of class for this model. Raises ValueError for another."""
    classes = gan.num_classes or 0
    require(digit == ANY or classes > 0, f"the model {gan.name} has no classes: Digit must be any, not {quoted(digit)}")
    require(digit in [ANY, ALL, *map(str, range(classes))],
            f"Digit must be any, all or a class of {gan.name}, from 0 to {classes - 1}, not {quoted(digit)}")
    require(digit != ALL or classes <= MAX_COUNT, f"the model {gan.name} has {classes:,} classes, more than the "
                                                  f"{MAX_COUNT} pictures of a sheet. Choose one class")
    return str(digit)


def class_choices(names: tuple[str, ...]) -> dict[str, Any]:
    """The options of the picker of classes for a model; it is hidden if there are none."""
    digits = names == tuple("0123456789")
    every = "all ten" if digits else "all"
    return {"choices": [("any", ANY), *((name, str(i)) for i, name in enumerate(names)), (every, ALL)],
            "label": "Digit" if digits else "Class", "visible": bool(names),
            "info": f"any: the seed chooses. {every}: each seed in {every} classes."}


def settle(model: str, *others: Any) -> tuple[Any, ...]:
    """The values with a class that the model has: the chosen one, or any."""
    try:
        return model, *others[:-1], check_class(others[-1], models.images(model))
    except ValueError:
        return model, *others[:-1], ANY


def classes(model: str, chosen: Any) -> Any:
    """The picker of classes for a model. The chosen one stays, unless the model does not have it."""
    try:
        names = models.images(model).class_names
    except (ValueError, WeightsError):  # which the pictures say
        return gr.skip()
    _, kept = settle(model, chosen)
    return gr.update(**class_choices(names), **({} if kept == chosen else {"value": kept}))


def restore(reading: Reading) -> list[Any]:
    names = models.image_models()
    model = reading.model(names)
    gan = models.images(model)
    seed = reading.take("seed", links.seed, SEED)
    count = reading.take("count", links.whole(1, MAX_COUNT, "How many"), COUNT)
    psi = reading.take("psi", links.number(0, sampling.MAX_TRUNCATION, "Truncation ψ"), PSI)
    captions: list[str] = reading.take("captions", lambda value: check_captions(links.several(value)), [])
    digit = reading.take("class", lambda value: check_class(str(value), gan), ANY)
    if {"seeds", "classes"} & reading.values.keys():  # of a sheet by `train.sample`
        reading.words.append("The picture shows chosen seeds or classes. "
                             "This tab shows the first seed and those after it.")
    return [*restored(model, names), seed, count, psi, captions,
            digit, *made(with_file(generate), [model, seed, count, psi, captions, digit])]


def unseen() -> list[Any]:
    """The values of a page that arrives at another tab: the pictures are made when this one is opened."""
    return [*[gr.skip()] * 7, [], *[gr.skip()] * 2]


def build(demo: gr.Blocks, frame: gr.Tab) -> list[Any]:
    names = models.image_models()
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            sheet = gr.Image(format="png", interactive=False, label="Contact sheet", elem_id="sheet",
                             elem_classes="picture", buttons=["download", "fullscreen"],
                             alt_text="pictures made by the generator")
            status = gr.Markdown(label="made by", elem_classes="status", elem_id="status")
        with gr.Column(scale=2, min_width=280):
            opened = gr.State([])
            model = model_picker(names, models.images, opened=opened)
            with gr.Row(equal_height=True):
                seed = gr.Slider(0, MAX_SEED, value=SEED, step=1, label="Seed", scale=5, elem_id="seed")
                dice = gr.Button("Roll", icon=DICE, scale=1, min_width=88, elem_id="dice")
            digit = gr.Radio(elem_id="digit", value=ANY, **class_choices(models.class_names(names[0])))
            count = gr.Slider(1, MAX_COUNT, value=COUNT, step=1, label="How many")
            truncation = gr.Slider(0, sampling.MAX_TRUNCATION, value=PSI, step=0.05, label="Truncation ψ",
                                   info="Below 1: more typical pictures. Above 1: more unusual ones.")
            captions = gr.CheckboxGroup(list(CAPTIONS.items()), value=[], label="Write under each picture")
            link_button(LINK, {"model": (model, names[0]), "seed": (seed, SEED), "count": (count, COUNT),
                               "psi": (truncation, PSI), "captions": (captions, []), "class": (digit, ANY)})
    dice.click(None, outputs=seed, js=f"() => {RANDOM_SEED}", api_visibility="private")
    inputs, outputs = [model, seed, count, truncation, captions, digit], [sheet, status]
    endpoint(generate, "generate", outputs, names)
    # apart from the pictures, so that no late answer of theirs brings an earlier class back
    listen([model], classes, [model, digit], digit)
    shown = show([frame.select], with_file(generate), inputs, outputs, settle, waits=True)
    return [model, opened, *inputs[1:], *shown]
