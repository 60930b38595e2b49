"""The tab that measures how good the pictures are, and shows the training."""

import functools
import html
from typing import Any

import gradio as gr
from PIL import Image

from ganlib import checkpoint, images, metrics, passport
from ganlib.checks import check_int, require
from ganlib.classifier import DigitClassifier
from ganlib.demo import gpu, links, models
from ganlib.demo.cache import cached
from ganlib.demo.controls import MAX_SEED, check_seed, endpoint, listen, show
from ganlib.demo.links import Reading
from ganlib.demo.picker import model_picker, restored
from ganlib.demo.share import link_button, with_file
from ganlib.evaluation import CURVE_SAMPLES, verdict
from ganlib.measures import Comparison
from ganlib.model import Model

TITLE, LINK = "Quality", "quality"
EXPLANATION = ("A model’s losses do not say how good its pictures are. So the pictures themselves are measured here. "
               "Real pictures are measured in the same way.")
CENSUS, SEED = 1_000, 7  # samples, and their seed at first
ASPECT = 2  # width by height of the sheet of fixed seeds
SHOWN_ELSEWHERE = ("class_shares", "direction_correlations")  # by the census, and beside the sliders of Explore


@cached()
def quality(model: str, seed: int = SEED) -> tuple[str, dict[str, Any]]:
    """Measure how good a model's pictures are: a census of 1,000 new samples, and its training.

    Args:
        model: the name of the model.
        seed: of the samples' latents, 0 to 9,999.

    Returns:
        The charts as HTML, and a dictionary: model, seed, counts (of each digit, as the digit classifier reads them),
        real_shares, verdict, and measures (the model's metrics.json).
    """
    from ganlib import charts  # now, because matplotlib takes a third of a second of the page's start

    seed = check_seed(seed, "Seed of the census")
    gan = models.images(model)
    classifier, real_shares = digit_classifier(gan), gan.metrics.get("class_shares_of_real")
    numbers = {"model": gan.name, "seed": seed, "measures": gan.metrics}
    parts = []
    if classifier is not None and real_shares:
        _, probabilities = classifier.examine(gan.draw(CENSUS, seed))
        shares = metrics.class_shares(probabilities.argmax(1), classifier.num_classes)
        counts = shares.mul(CENSUS).round().int().tolist()
        caption = "The digit classifier reads the samples: "
        if gan.num_classes:  # each class is asked for equally often
            real_shares = [1 / gan.num_classes] * gan.num_classes
            caption = "The model was asked for each digit equally often. " + caption
        words = verdict(counts, real_shares)
        numbers |= {"counts": counts, "real_shares": real_shares, "verdict": words}
        parts.append(charts.captioned(charts.class_shares(shares.tolist(), real_shares, CENSUS), f"{caption}{words}."))
    parts += _curves(model)
    if not parts:
        return f"There is no census of {html.escape(gan.name)}: it was not measured on single digits.", numbers
    return charts.to_html(parts), numbers


@cached()
def _curves(model: str) -> list[str]:
    """The chart of the measures during the training with its caption, if there are any: the same for all samples."""
    from ganlib import charts

    gan = models.images(model)
    if not any("fid_digit_classifier" in row for row in gan.history):
        return []
    others = checkpoint.other_histories(gan.folder)
    dashed = f" Dashed: the same networks, trained as {' and '.join(others)}." if others else ""
    return [charts.captioned(
        charts.curves(gan.history, others),
        f"FID is the distance between generated and real pictures, in the digit classifier’s features. Lower is "
        f"better. Precision is the share of generated pictures that are close to real ones. Recall is the share of "
        f"real pictures that are close to generated ones. Each value is of {CURVE_SAMPLES:,} samples, so the table’s "
        f"values differ a little.{dashed}")]


@cached()
def growth(model: str, moment: int = images.MOMENTS) -> tuple[Image.Image | None, str]:
    """Show what a model made of fixed seeds at one moment of its training.

    Args:
        model: the name of the model.
        moment: from 0, before the training, to 40, its end.

    Returns:
        The pictures, a PNG file, or null where the training was not kept; and a line that says which step it was.
    """
    moment = check_int(moment, 0, images.MOMENTS, "Moment of the training")
    gan = models.images(model)
    if not (gan.folder / checkpoint.GROWTH).exists():
        return None, f"The folder of {model} has no pictures of the training."
    steps, sheet = _growth(model)
    channels, height, width = gan.shape
    require(sheet.height == len(steps) * height and sheet.width % width == 0,
            f"the picture of {model}’s training does not show pictures of {width} by {height} pixels")
    row = min(moment, len(steps) - 1)
    strip = images.from_pil(sheet.crop((0, row * height, sheet.width, (row + 1) * height)), channels)
    x = strip.view(channels, height, -1, width).permute(2, 0, 1, 3)
    columns = images.columns_of(len(x), height, width, ASPECT)
    sheet = passport.stamp(images.contact_sheet(x, columns), passport.of(gan, LINK, moment=moment))
    return sheet, f"After **{steps[row]:,}** of {steps[-1]:,} steps."


@cached()
def nearest(model: str) -> Image.Image | None:
    """The picture, if there is one, of samples above the training images nearest to them."""
    gan = models.images(model)
    path = gan.folder / checkpoint.NEAREST
    return passport.stamp(images.read(path), passport.of(gan, LINK)) if path.exists() else None


def digit_classifier(gan: Model) -> DigitClassifier | None:
    """The digit classifier, if the model was measured on single digits; else None."""
    classifier, shares = _classifier(), gan.metrics.get("class_shares_of_real")
    if classifier is None or not shares or len(shares) != classifier.num_classes:
        return None
    return classifier if tuple(gan.shape) == classifier.shape else None


@functools.cache
def _classifier() -> DigitClassifier | None:
    return checkpoint.load_classifier(device=gpu.DEVICE) if checkpoint.has_classifier() else None


@functools.lru_cache(maxsize=1)  # its pixels take megabytes, and are read in milliseconds
def _growth(model: str) -> tuple[list[int], Image.Image]:
    return images.read_growth(models.images(model).folder / checkpoint.GROWTH)


def tables(measured: dict[str, dict[str, Any]]) -> str:
    """The measures of several models side by side, as an HTML table for each dataset."""
    return "".join(map(_table, Comparison.several(measured)))


def _table(compared: Comparison) -> str:
    arrows = {"low": " ↓", "high": " ↑"}
    rows = "".join(
        f"<tr><th>{html.escape(words)}{arrows.get(measure.better, '')}</th>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
        for measure, words, cells in compared.rows if measure.key not in SHOWN_ELSEWHERE)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in compared.columns)
    return rows and (f'<div class="measures" tabindex="0"><table><thead><tr><td></td>{head}</tr></thead>'
                     f"<tbody>{rows}</tbody>"
                     f"</table><p>{html.escape(compared.note)} ↑: higher is better; ↓: lower is better.</p></div>")


def restore(reading: Reading) -> list[Any]:
    names = models.image_models()
    return [*restored(reading.model(names), names), reading.take("seed", links.seed, SEED),
            reading.take("moment", links.whole(0, images.MOMENTS, "Moment of the training"), images.MOMENTS)]


def build(demo: gr.Blocks, frame: gr.Tab) -> list[Any]:
    own = {name: checkpoint.read_metrics(models.own()[name]) for name in models.image_models()}
    opened = gr.State([])
    model = model_picker(list(own), models.images, opened=opened)
    with gr.Row():
        with gr.Column(min_width=320):
            moment = gr.Slider(0, images.MOMENTS, value=images.MOMENTS, step=1, label="Moment of the training",
                               elem_id="moment", info="The same latents at each moment.")
            sheet = gr.Image(format="png", interactive=False, label="Fixed latents at that moment", elem_id="growth",
                             elem_classes="picture", buttons=["download"],
                             alt_text="fixed seeds at a moment of the training")
            when = gr.Markdown(label="which moment", elem_classes="status")
        with gr.Column(min_width=320):
            gr.Markdown("Below each generated picture is the training image with the most similar pixels. If the model "
                        "only copied, both would be equal.", elem_classes="explain")
            pairs = gr.Image(format="png", interactive=False, label="Nearest training images", elem_classes="picture",
                             elem_id="nearest", buttons=["download", "fullscreen"],
                             alt_text="samples above the training images nearest to them")
    seed = gr.Slider(0, MAX_SEED, value=SEED, step=1, label="Seed of the census", elem_id="quality-seed")
    drawing = gr.HTML(label="charts", elem_id="quality")
    numbers = gr.JSON(label="numbers", visible=False)
    measured = gr.HTML(tables(own), label="measures", elem_id="measures")
    link_button(LINK, {"model": (model, next(iter(own))), "seed": (seed, SEED), "moment": (moment, images.MOMENTS)})
    # one after the other when the tab is opened: the quickest first
    show([frame.select], with_file(nearest), [model], [pairs])
    show([frame.select], with_file(growth), [model, moment], [sheet, when])
    show([frame.select], quality, [model, seed], [drawing, numbers], show_progress="minimal", slow=True)
    endpoint(growth, "growth", [sheet, when], list(own))
    endpoint(quality, "quality", [drawing, numbers], list(own), slow=True)
    listen([model], lambda name: tables(own | {name: models.images(name).metrics}), model, measured)
    return [model, opened, seed, moment]
