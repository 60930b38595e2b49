"""The course of the tab "How it works": ten texts in steps/, in which measured numbers are filled in; docs/course.md.

A text begins with front matter, `title:`, `figure:` (its name in the stage) and `more:` (the LINK of the tab where one
goes on, or nothing). Markdown follows, with $ and $$ around formulas. `[[dcgan.recall]]` is a number of that model's
metrics.json, or one of `DERIVED`. Knows nothing of gradio.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ganlib import architectures, checkpoint
from ganlib.checkpoint import WeightsError
from ganlib.measures import MEASURES

FOLDER = Path(__file__).with_name("steps")
NOT_MEASURED = "not measured here"
KEYS = ("title", "figure", "more")
TITLE = "How a GAN works"
OPENING = """A course in ten short steps: what generative models are, how a GAN learns, what goes wrong, and how a VAE
differs.

On the page, in the tab *How it works*, each figure is live. To print the course, print this file: GitHub renders its
formulas. The tab prints too: all ten texts, without figures."""

NUMBER = re.compile(r"\[\[([a-z0-9-]+)\.([a-z0-9_]+)\]\]")
INLINE = re.compile(r"((?<!\$)\$[^$\n]+\$[.,;:?!)]+)")  # a formula in a line, and the punctuation after it
FRONT = re.compile(r"---\n(.*?)\n---\n(.*)", re.DOTALL)


@dataclass(frozen=True)
class Step:
    """One step of the course.

    Args:
        number: from 1.
        slug: the name of its text, without its number.
        title: in words.
        figure: the name of its figure in the stage.
        more: the LINK of a tab where one can go on; "" for none.
        text: Markdown, with the measured numbers.
    """

    number: int
    slug: str
    title: str
    figure: str
    more: str
    text: str


def steps() -> list[Step]:
    """The steps in their order. Raises ValueError for a text whose front matter is wrong."""
    return [_read(path) for path in sorted(FOLDER.glob("[0-9][0-9]-*.md"))]


def _read(path: Path) -> Step:
    number, _, slug = path.stem.partition("-")
    found = FRONT.fullmatch(path.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{path.name} does not begin with front matter between two lines ---")
    head = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in found[1].splitlines())}
    if set(head) != set(KEYS):
        raise ValueError(f"the front matter of {path.name} must have {', '.join(KEYS)}, not {', '.join(head)}")
    return Step(int(number), slug, head["title"], head["figure"], head["more"], filled(found[2].strip()))


def filled(text: str) -> str:
    """A text with its measured numbers."""
    return NUMBER.sub(lambda match: number(*match.groups()), text)


def number(model: str, key: str) -> str:
    """A number of a shipped model, as tables show it; `NOT_MEASURED` where the model or its number is missing.

    A damaged model has no numbers either: the page opens without it.
    """
    folder = checkpoint.shipped().get(model)
    if folder is None:
        return NOT_MEASURED
    if key in DERIVED:
        form, derive = DERIVED[key]
        try:
            value = derive(folder)
        except (ValueError, WeightsError):
            return NOT_MEASURED
        return NOT_MEASURED if value is None else format(value, form)
    measure = next((measure for measure in MEASURES if measure.key == key.removesuffix("_of_real")), None)
    value = checkpoint.read_metrics(folder).get(key)
    if value is None:
        return NOT_MEASURED
    return measure.written(value) if measure else format(value, ".4g")


def _parameters(network: str) -> Callable[[Path], int | None]:
    """Counts the parameters of one of a folder's networks: "generator", "discriminator" or "encoder"."""
    def count(folder: Path) -> int | None:
        architecture = architectures.rebuild(checkpoint.read_json(folder / checkpoint.CONFIG, dict).get("architecture"))
        # not on the device "meta", for which PyTorch imports its compiler: 150 MB
        with torch.random.fork_rng(devices=[]):
            built = getattr(architecture, network, lambda: None)()
        return None if built is None else sum(parameter.numel() for parameter in built.parameters())

    return count


def _over_floor(folder: Path) -> float | None:
    """The FID, in multiples of that of as many real images."""
    metrics: Mapping[str, Any] = checkpoint.read_metrics(folder)
    fid, floor = metrics.get("fid_digit_classifier"), metrics.get("fid_digit_classifier_of_real")
    return fid / floor if fid is not None and floor else None


# numbers that are computed of a weights folder: their format, and a function that gives None where there is none
DERIVED: dict[str, tuple[str, Callable[[Path], float | None]]] = {
    "parameters": (",d", _parameters("generator")),
    "discriminator_parameters": (",d", _parameters("discriminator")),
    "encoder_parameters": (",d", _parameters("encoder")),
    "fid_over_floor": (".3g", _over_floor),
}


def paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def is_task(paragraph: str) -> bool:
    """Whether a paragraph is the one thing to try."""
    return paragraph.startswith("**Try:**")


def is_sources(paragraph: str) -> bool:
    """Whether a paragraph names the sources."""
    return re.match(r"\**Sources?\b", paragraph) is not None


def page_text(step: Step) -> str:
    """The Markdown of a step for the page: a title for print, and boxes around the task and the sources.

    No line begins with the punctuation after a formula.
    """
    parts = [f"## {step.number}. {step.title}"]
    for paragraph in paragraphs(step.text):
        box = "how-task" if is_task(paragraph) else "how-sources" if is_sources(paragraph) else ""
        parts.append(f'<div class="{box}">\n\n{paragraph}\n\n</div>' if box else paragraph)
    return INLINE.sub(r'<span class="how-joined">\1</span>', "\n\n".join(parts))


def document() -> str:
    """The course as one Markdown file, docs/course.md; its figures are docs/course/NN.png."""
    parts = [f"# {TITLE}", OPENING]
    for step in steps():
        parts += [f"## {step.number}. {step.title}",
                  f"![The figure of step {step.number}: {step.title}](course/{step.number:02}.png)", step.text]
    return "\n\n".join(parts) + "\n"
