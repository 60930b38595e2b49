"""The tab that says how good the pictures are, and shows how they came to be."""

import functools
import html

import gradio as gr
from PIL import Image

from ganlib import charts, checkpoint, images, metrics
from ganlib.card import Comparison
from ganlib.classifier import DigitClassifier
from ganlib.demo import models
from ganlib.demo.controls import plainly, slider
from ganlib.demo.gpu import on_gpu
from ganlib.demo.picker import model_picker
from ganlib.evaluation import CURVE_SAMPLES, NEIGHBOURS, verdict

TITLE = "Quality"
EXPLANATION = ("A GAN’s losses do not say how good its pictures are, so the pictures themselves are measured, beside "
               "real ones that were measured in the same way.")
CENSUS, MAX_SEED = 1_000, 9_999
COLUMNS = 8  # of the fixed seeds' sheet


@on_gpu
@plainly
def quality(model: str, seed: int) -> tuple[str, dict]:
    """A census of 1,000 fresh samples of the noise of `seed`: verdict and charts as HTML, and the numbers.

    The dictionary: model, seed, counts (of each digit, as the digit classifier reads them), real_shares, verdict, and
    measures (the model's metrics.json).
    """
    gan = models.images(model)
    reader, real_shares = _reader(), gan.metrics.get("class_shares_of_real")
    numbers = {"model": gan.name, "seed": seed, "measures": gan.metrics}
    parts = []
    if (reader is not None and real_shares and len(real_shares) == reader.num_classes
            and tuple(gan.shape) == reader.shape):
        _, probabilities = reader.examine(gan.draw(CENSUS, seed))
        counts = metrics.class_shares(probabilities.argmax(1), reader.num_classes).mul(CENSUS).round().int().tolist()
        caption = "As the digit classifier reads them: "
        if gan.num_classes:  # every class is asked for equally often
            real_shares = [1 / gan.num_classes] * gan.num_classes
            caption = "This model makes the digit it is asked for, and was asked for all equally often. " + caption
        words = verdict(counts, real_shares)
        numbers |= {"counts": counts, "real_shares": real_shares, "verdict": words}
        parts.append((charts.census([count / CENSUS for count in counts], real_shares, CENSUS), f"{caption}{words}."))
    if any("fid_digit_classifier" in row for row in gan.history):
        others = checkpoint.other_histories(gan.folder)
        beside = f" Dashed: the same networks, trained by {' and '.join(others)}." if others else ""
        parts.append((charts.curves(gan.history, others),
                      f"FID is a distance between generated and real pictures, as the digit classifier sees them: the "
                      f"lower, the better. Precision is how many generated ones lie among real ones, within reach of "
                      f"their {NEIGHBOURS} nearest, recall the other way round. Of {CURVE_SAMPLES:,} samples each, so "
                      f"that they do not quite meet the table’s.{beside}"))
    if not parts:
        return f"{html.escape(gan.name)} was not measured on digits one by one, so there is no census.", numbers
    return charts.to_html(parts), numbers


@plainly
def growth(model: str, moment: int) -> tuple[Image.Image | None, str]:
    """The fixed seeds at one of the moments that were kept of the training, from 0 (noise) on; and which that is."""
    if not (models.images(model).folder / checkpoint.GROWTH).exists():
        return None, f"The folder of {model} does not show how its training went."
    steps, sheet = _growth(model)
    row = min(moment, len(steps) - 1)
    size = sheet.height // len(steps)
    tiles = [sheet.crop((left, row * size, left + size, (row + 1) * size)) for left in range(0, sheet.width, size)]
    x = images.stack(tiles)
    return images.contact_sheet(x, columns=COLUMNS), f"After **{steps[row]:,}** of {steps[-1]:,} steps."


@plainly
def nearest(model: str) -> Image.Image | None:
    """The picture of samples above the training images nearest to them, where the model's folder has one."""
    path = models.images(model).folder / checkpoint.NEAREST
    return images.read(path) if path.exists() else None


@functools.cache
def _reader() -> DigitClassifier | None:
    return checkpoint.load_classifier(device=checkpoint.best_device()) if checkpoint.has_classifier() else None


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
        seed = slider(0, MAX_SEED, value=7, step=1, label="Seed of the census", elem_id="quality-seed")
    drawing = gr.HTML(label="charts", elem_id="quality")
    numbers = gr.JSON(label="numbers", visible=False)
    with gr.Row():
        with gr.Column(min_width=320):
            moment = slider(0, images.MOMENTS, value=images.MOMENTS, step=1, label="Time of the training",
                            elem_id="moment", info=f"the same {images.GROWTH_SEEDS} seeds, from noise to digits")
            sheet = gr.Image(format="png", interactive=False, label="Growing up", elem_classes="picture",
                             elem_id="growth", buttons=["download"], alt_text="fixed seeds at a moment of the training")
            when = gr.Markdown(label="which moment", elem_classes="status")
        with gr.Column(min_width=320):
            gr.Markdown("Each generated digit stands above the training image that is most like it: the two should differ.",
                        elem_classes="explain")
            pairs = gr.Image(format="png", interactive=False, label="Nearest real digits", elem_classes="picture",
                             elem_id="nearest", buttons=["download", "fullscreen"],
                             alt_text="samples above the training images nearest to them")
    measured = gr.HTML(tables({name: models.measures(name) for name in names}), label="measures", elem_id="measures")
    gr.on([demo.load, model.change, seed.change], quality, [model, seed], [drawing, numbers], api_name="quality",
          show_progress="minimal", trigger_mode="always_last")
    gr.on([demo.load, model.change, moment.change], growth, [model, moment], [sheet, when], api_name="growth",
          show_progress="hidden", trigger_mode="always_last")
    model.change(plainly(lambda name: tables({other: models.measures(other) for other in names}
                                             | {name: models.images(name).metrics})),
                 model, measured, api_visibility="private", show_progress="hidden")
    gr.on([demo.load, model.change], nearest, model, pairs, api_visibility="private", show_progress="hidden")
