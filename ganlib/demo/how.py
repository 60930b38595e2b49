"""The tab with the course: ten steps, each with a text, a formula and a live figure. See `ganlib.demo.course`.

All texts are in the page, and the browser shows one of them: a change of step asks the server for nothing. The figures
are in stage/how/; what they ask of the server is in `MODULES`.
"""

from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

import gradio as gr

from ganlib.checks import check_int
from ganlib.demo import (
    course,
    curves,
    draw,
    explore,
    figures,
    game,
    generate,
    interpolate,
    lab,
    pairs,
    quality,
    scenes,
    stages,
)
from ganlib.demo.controls import endpoint
from ganlib.demo.links import Reading, whole

TITLE, LINK = "How it works", "how"
EXPLANATION = "A course in ten short steps. Each has a figure to play with, a formula, and one thing to try."
STEPS = 10
OTHERS: tuple[Any, ...] = (generate, draw, interpolate, explore, game, lab, quality)  # where one can go on
DELIMITERS: list[dict[str, str | bool]] = [{"left": "$$", "right": "$$", "display": True},
                                           {"left": "$", "right": "$", "display": False}]
# they draw the lab's frames
BORROWED = tuple(f"lab/{name}.js" for name in ("sentences", "pack", "film", "draw", "tween", "line", "plane", "chart"))
MODULES: tuple[Any, ...] = (figures, scenes, pairs)  # each has page(), a part of PAGE, and FUNCTIONS for the figures


def read(number: int) -> dict[str, Any]:
    """Read a step of the course "How it works", which explains generative models and GANs.

    Args:
        number: of the step, 1 to 10.

    Returns:
        A dictionary: number, slug, title, figure (its name), more (the tab where one can go on, or ""), and text
        (Markdown, with formulas in LaTeX between $ or $$, and the measured numbers).
    """
    return asdict(course.steps()[check_int(number, 1, STEPS, "Step") - 1])


def restore(reading: Reading) -> list[Any]:
    return [stages.state({"step": reading.take("step", whole(1, STEPS, "Step"), 1)})]


def ahead() -> dict[str, Any]:
    """What the figures know of the server, which models compute: half a second."""
    found: dict[str, Any] = {}
    for module in MODULES:
        found |= module.page()
    return found


def build(demo: gr.Blocks, computed: Future[dict[str, Any]]) -> list[gr.HTML]:
    """The tab. computed: what `ahead` returns."""
    steps = course.steps()
    functions = [function for module in MODULES for function in module.FUNCTIONS]
    page: dict[str, Any] = {  # PAGE in the stage's JavaScript
        "steps": [{"title": step.title, "figure": step.figure, "more": step.more} for step in steps],
        "tabs": {tab.LINK: tab.TITLE for tab in OTHERS}}
    with stages.stage("how", page | computed.result(), functions, "the course", BORROWED) as stage:
        for step in steps:
            gr.Markdown(course.page_text(step), latex_delimiters=DELIMITERS, elem_id=f"how-text-{step.number}",
                        elem_classes="how-text")
    endpoint(read, "course")
    curves.build_api()
    figures.build_api()
    pairs.build_api()
    demo.unload(scenes.leave)
    demo.unload(pairs.leave)
    return [stage]
