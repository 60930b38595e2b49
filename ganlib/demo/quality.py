"""The tab that says how good the pictures are, and shows how they came to be."""

import functools
import html

import gradio as gr
from PIL import Image

from ganlib import charts, checkpoint, images, metrics
from ganlib.checks import check_int, require
from ganlib.classifier import DigitClassifier
from ganlib.demo import gpu, models
from ganlib.demo.controls import MAX_SEED, listen
from ganlib.demo.picker import model_picker
from ganlib.evaluation import CURVE_SAMPLES, verdict
from ganlib.measures import Comparison

TITLE = "Quality"
EXPLANATION = ("A GAN’s losses do not say how good its pictures are. Here the pictures themselves are measured, and "
               "real ones in the same way.")
CENSUS = 1_000
COLUMNS = 8  # of the fixed seeds' sheet


def quality(model: str, seed: int) -> tuple[str, dict]:
    """A census of 1,000 fresh samples: verdict and charts as HTML, and the numbers.

    Args:
        model: its name.
        seed: of the noise that the samples are made from, 0 to 9,999.

    Returns:
        The charts, and a dictionary: model, seed, counts (of each digit, as the digit classifier reads them),
        real_shares, verdict, and measures (the model's metrics.json).
    """
    seed = check_int(seed, 0, MAX_SEED, "Seed of the census")
    gan = models.images(model)
    reader, real_shares = _reader(), gan.metrics.get("class_shares_of_real")
    numbers = {"model": gan.name, "seed": seed, "measures": gan.metrics}
    parts = []
    if (reader is not None and real_shares and len(real_shares) == reader.num_classes
            and tuple(gan.shape) == reader.shape):
        _, probabilities = reader.examine(gan.draw(CENSUS, seed))
        counts = metrics.class_shares(probabilities.argmax(1), reader.num_classes).mul(CENSUS).round().int().tolist()
        caption = "The digit classifier reads them: "
        if gan.num_classes:  # every class is asked for equally often
            real_shares = [1 / gan.num_classes] * gan.num_classes
            caption = "The model was asked for each digit equally often. " + caption
        words = verdict(counts, real_shares)
        numbers |= {"counts": counts, "real_shares": real_shares, "verdict": words}
        parts.append((charts.census([count / CENSUS for count in counts], real_shares, CENSUS), f"{caption}{words}."))
    if any("fid_digit_classifier" in row for row in gan.history):
        others = checkpoint.other_histories(gan.folder)
        beside = f" Dashed: the same networks, trained as {' and '.join(others)}." if others else ""
        parts.append((charts.curves(gan.history, others),
                      f"FID: the distance between generated and real pictures, in the digit classifier’s features; "
                      f"lower is better. Precision: the share of generated pictures that lie close to real ones. "
                      f"Recall: the share of real ones that lie close to generated ones. Of {CURVE_SAMPLES:,} samples "
                      f"each, so the table’s values differ a little.{beside}"))
    if not parts:
        return f"There is no census of {html.escape(gan.name)}: it was not measured on single digits.", numbers
    return charts.to_html(parts), numbers


def growth(model: str, moment: int) -> tuple[Image.Image | None, str]:
    """Fixed seeds at one of the moments that were kept of the training, and a line on which moment it is.

    Args:
        model: its name.
        moment: from 0, before the training, to 40, its end.
    """
    moment = check_int(moment, 0, images.MOMENTS, "Moment of the training")
    gan = models.images(model)
    if not (gan.folder / checkpoint.GROWTH).exists():
        return None, f"The folder of {model} does not show how its training went."
    steps, sheet = _growth(model)
    channels, height, width = gan.shape
    require(sheet.height == len(steps) * height and sheet.width % width == 0,
            f"the picture of {model}’s training does not show pictures of {width} by {height} pixels")
    row = min(moment, len(steps) - 1)
    strip = images.from_pil(sheet.crop((0, row * height, sheet.width, (row + 1) * height)), channels)
    x = strip.unflatten(2, (-1, width)).permute(2, 0, 1, 3)
    return images.contact_sheet(x, columns=COLUMNS), f"After **{steps[row]:,}** of {steps[-1]:,} steps."


def nearest(model: str) -> Image.Image | None:
    """The model folder's picture of samples above the training images nearest to them, None without one."""
    path = models.images(model).folder / checkpoint.NEAREST
    return images.read(path) if path.exists() else None


@functools.cache
def _reader() -> DigitClassifier | None:
    return checkpoint.load_classifier(device=gpu.DEVICE) if checkpoint.has_classifier() else None


@functools.lru_cache(maxsize=16)
def _growth(model: str) -> tuple[list[int], Image.Image]:
    return images.read_growth(models.images(model).folder / checkpoint.GROWTH)


def tables(measured: dict[str, dict]) -> str:
    """The measures of several models side by side, as an HTML table for each data set."""
    return "".join(_table(compared) for compared in Comparison.several(measured) if compared.rows)


def _table(compared: Comparison) -> str:
    arrows = {"low": " ↓", "high": " ↑"}
    rows = "".join(
        f"<tr><th>{html.escape(words)}{arrows.get(measure.better, '')}</th>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
        for measure, words, cells in compared.rows if measure.key != "class_shares")  # which the census shows
    head = "".join(f"<th>{html.escape(name)}</th>" for name in compared.columns)
    return (f'<div class="measures"><table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>'
            f"<p>{html.escape(compared.note)} ↑: higher is better; ↓: lower is better.</p></div>")


def build(demo: gr.Blocks) -> None:
    names = models.image_models()
    gr.Markdown(EXPLANATION, elem_classes="explain")
    with gr.Row():
        with gr.Column(min_width=280):
            model = model_picker(names, models.images)
        seed = gr.Slider(0, MAX_SEED, value=7, step=1, label="Seed of the census", elem_id="quality-seed")
    drawing = gr.HTML(label="charts", elem_id="quality")
    numbers = gr.JSON(label="numbers", visible=False)
    with gr.Row():
        with gr.Column(min_width=320):
            moment = gr.Slider(0, images.MOMENTS, value=images.MOMENTS, step=1, label="Moment of the training",
                               elem_id="moment", info=f"The same {images.GROWTH_SEEDS} latents, noise to pictures.")
            sheet = gr.Image(format="png", interactive=False, label="Fixed latents at that moment", elem_id="growth",
                             elem_classes="picture", buttons=["download"],
                             alt_text="fixed seeds at a moment of the training")
            when = gr.Markdown(label="which moment", elem_classes="status")
        with gr.Column(min_width=320):
            gr.Markdown("Each generated picture stands above the training image that is nearest to it in pixels. If "
                        "the model only copied, both would be equal.", elem_classes="explain")
            pairs = gr.Image(format="png", interactive=False, label="Nearest training images", elem_classes="picture",
                             elem_id="nearest", buttons=["download", "fullscreen"],
                             alt_text="samples above the training images nearest to them")
    own = {name: models.measures(name) for name in names}
    measured = gr.HTML(tables(own), label="measures", elem_id="measures")
    listen([demo.load, model.change, seed.change], quality, [model, seed], [drawing, numbers], api_name="quality",
           show_progress="minimal")
    listen([demo.load, model.change, moment.change], growth, [model, moment], [sheet, when], api_name="growth")
    listen([demo.load, model.change], nearest, model, pairs, api_visibility="private")
    listen([model.change], lambda name: tables(own | {name: models.images(name).metrics}), model, measured,
           api_visibility="private")
