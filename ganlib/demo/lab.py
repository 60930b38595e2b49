"""The tab where a GAN is trained live: the words of its controls, the functions that its stage calls, and its API.

The stage (`stage/`) draws, and asks for the next frame when it has drawn the last one. So nothing trains for a page
that is closed or hidden.
"""

import asyncio
import logging
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from ganlib import passport
from ganlib.checks import check_int, quoted, require
from ganlib.data import NotDownloaded
from ganlib.demo import gif, stages, toy, worker
from ganlib.demo.controls import endpoint, refusal
from ganlib.demo.labs import MAX_ACTIONS, Closed, Goal, Labs, Progress, Reached, beginning, check_goal, count
from ganlib.demo.links import Reading
from ganlib.demo.mnist import Mnist
from ganlib.demo.stages import answering, in_text, table
from ganlib.lab import (
    CERTAIN,
    DIGIT_LIMITS,
    HEIGHTS,
    LIMITS,
    MAX_POINTS,
    MAX_STEPS,
    NO_ANSWER,
    PENALTY_CHOICES,
    STEPS_OF_COORDINATE,
    TARGETS,
    Lab,
    Settings,
    read_film,
    unpack,
)
from ganlib.losses import LOSSES
from ganlib.stories import STORIES
from ganlib.version import __version__

TITLE, LINK = "Lab", "lab"
EXPLANATION = ("Here a GAN learns while you watch. **Blue** is real. **Orange** is generated. Stop it, go back, and "
               "change what you like.")
FINISHED = ("## Trained to the end\n\nThese models are finished. The true distribution is known. Compare it with what "
            "each model learned.")

FILM_FOLDER = Path(__file__).with_name("films")
WARM_UP = 3.0  # seconds after the start
SPEEDS = (1, 2, 5, 10, 20, 50)  # steps a frame
MAX_API_STEPS, API_CALLS = 2_000, 4  # steps in one call of the API, and calls at once
UNITS = {"half": STEPS_OF_COORDINATE, "real": CERTAIN, "none": NO_ANSWER}  # of frames

LABS, MNIST = Labs(), Mnist()
log = logging.getLogger(__name__)

GROUPS = {"line": "Numbers", "plane": "Points", "digits": "Digits"}
KINDS = list(GROUPS)

# titles of the recorded films, which `python -m train.film` makes; the first one plays at first
FILMS = {"digits": "Digits from noise", "ring": "The ring, in full", "grid": "The grid, in full",
         "sine": "The sine, in full", "normal": "A normal, in full"}

LOSS_LABELS = {
    "non-saturating": "Non-saturating", "saturating": "Minimax (saturating)", "least-squares": "Least squares",
    "hinge": "Hinge", "wasserstein": "Wasserstein", "relativistic": "Relativistic"}
PENALTY_LABELS = {
    "none": "None", "r1": "R1, on real samples", "r2": "R2, on generated samples", "r1+r2": "R1 and R2",
    "wgan-gp": "WGAN-GP, slope 1 between both", "0-gp": "0-GP, slope 0 between both"}


def control(name: str, label: str, info: str, kinds: list[str] = KINDS, targets: list[str] | None = None,
            step: float | None = 1, log: bool = False, choices: list[list[str]] | None = None) -> dict[str, Any]:
    """A control of the stage, for PAGE; its bounds are those of the lab.

    Args:
        name: of the setting.
        label, info: in words.
        kinds, targets: where it applies; None: everywhere.
        step: 1 for whole numbers; of a logarithmic scale that begins at 0, the least number above it.
        log: whether the scale is logarithmic.
        choices: [value, label], for a setting that is not a number.
    """
    shared = {"name": name, "label": label, "info": info, "kinds": kinds, "targets": targets}
    if choices is not None:
        return {**shared, "type": "choice", "choices": choices}
    low, high = (DIGIT_LIMITS if kinds == ["digits"] else LIMITS)[name]
    return {**shared, "type": "whole" if step == 1 else "number", "low": low, "high": high, "step": step,
            "log": log}


def controls() -> list[dict[str, Any]]:
    """All controls of the stage. Those that have other bounds for digits occur twice."""
    toys, digits = KINDS[:2], KINDS[2:]
    return [
        control("mean", "Mean", "The middle of the target.", ["line"], ["normal"], 0.1),
        control("std", "Standard deviation σ", "The width of the target.", ["line"], ["normal"], 0.1),
        control("loss", "Loss", "What both networks minimise.",
                choices=[[name, LOSS_LABELS.get(name, name)] for name in LOSSES]),
        control("penalty", "Penalty", "Keeps the slope of the discriminator small.",
                choices=[[name, PENALTY_LABELS.get(name, name)] for name in PENALTY_CHOICES]),
        control("gamma", "Strength γ", "The weight of the penalty. At 0 there is none.", step=0.01, log=True),
        control("generator_lr", "Learning rate of G", "How far one step moves the generator.", step=None, log=True),
        control("discriminator_lr", "Learning rate of D", "How far one step moves the discriminator.", step=None,
                log=True),
        *(control("n_critic", "D steps per G step", "How often the discriminator learns before the generator does.",
                  kinds) for kinds in (toys, digits)),
        *(control("batch_size", "Batch size", "Real samples in one step, and as many generated ones.", kinds)
          for kinds in (toys, digits)),
        control("latent_dim", "Latent size", "How many random numbers the generator gets for a sample."),
        control("width", "Width", "Units in each hidden layer of both networks.", toys),
        control("width", "Channels", "Channels at the full size. Each further layer has twice as many.", digits),
        *(control("depth", "Depth", "Hidden layers of both networks.", kinds) for kinds in (toys, digits)),
        control("seed", "Seed", "Names all random numbers. The same seed repeats the film."),
    ]


def page() -> dict[str, Any]:
    """What the stage knows of the lab: PAGE in its JavaScript."""
    films = [film_of(name) for name in FILMS if film_path(name).is_file()]
    return {
        "controls": controls(),
        "targets": [{"name": name, "label": target.label, "kind": target.kind, "group": GROUPS[target.kind]}
                    for name, target in TARGETS.items()],
        "defaults": {name: asdict(Settings.of({"target": name})) for name in TARGETS},
        "stories": [{"name": story.name, "title": story.title, "watch": sentences(story.watch),
                     "settings": asdict(Settings.of(story.settings)), "steps": story.steps, "cures": story.cures}
                    for story in STORIES],
        "films": films,
        "first": films[0]["name"] if films else None,
        "speeds": SPEEDS,
        "limits": {"points": MAX_POINTS, "heights": HEIGHTS, "steps": MAX_STEPS, "actions": MAX_ACTIONS},
        "units": UNITS,
        "gif": {"frames": gif.MAX_FRAMES, "side": gif.MAX_SIDE, "bytes": gif.MAX_BYTES},
    }


def film_path(name: str) -> Path:
    return FILM_FOLDER / f"{name}.gz"


def film_of(name: str) -> dict[str, str]:
    """What the stage knows of a recorded film before it is loaded."""
    opening, frames = read_film(film_path(name))
    header, (last, _) = unpack(opening)[0], unpack(frames[-1])
    sentence = f"Ten digits of eight seeds grow from noise in {last['step']:,} steps."
    if header["recipe"]:
        sentence = f"All {last['step']:,} steps of {header['recipe']}. The last frame is the finished model below."
    return {"name": name, "title": FILMS[name], "target": header["settings"]["target"], "sentence": sentence}


def sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return re.split(r"(?<=[.!?])\s", text)


@answering
async def lab_frame(asked: Any, request: gr.Request) -> dict[str, Any]:
    """The frame at a goal of the visitor's lab.

    Args:
        asked: {"settings": of the lab, "goal": all actions from the start, "opening": whether to send the film's
            opening too, "download": whether the visitor agreed to download MNIST}.

    Returns:
        {"frame": base64, "opening": base64 if asked for}; {"progress": steps done, "of": steps} if the same request has
        to be repeated; {"download": sentence} if MNIST has to be downloaded first; or {"error": sentence, "again":
        whether the same request may succeed later}.
    """
    asked = table(asked)
    settings, goal = Settings.of(asked.get("settings")), check_goal(asked.get("goal"))
    if settings.kind == "digits" and not await MNIST.open(settings, asked.get("download") is True):
        return {"progress": 0, "of": count(goal)}
    return await frame_at((await request.json())["session_hash"], settings, goal, asked.get("opening") is True)


async def frame_at(visitor: str, settings: Settings, goal: Goal, opening: bool = False) -> dict[str, Any]:
    """The frame at a goal of a visitor's lab, as `lab_frame` answers it."""
    try:
        answer = await LABS.frame(visitor, settings, goal, opening)
    except Closed:  # a page whose connection broke for a moment is still there, and asks again
        answer = Progress(0, count(goal))
    if isinstance(answer, Progress):
        return {"progress": answer.done, "of": answer.of}
    first = {} if answer.opening is None else {"opening": in_text(answer.opening)}
    return {"frame": in_text(answer.frame), **first}


@answering
async def lab_digits(asked: Any) -> dict[str, Any]:
    """Whether digits can be trained at this moment: {"digits": None, {"download": sentence} or {"off": sentence}}."""
    return {"digits": MNIST.state()}


@answering
async def lab_film(asked: Any) -> dict[str, Any]:
    """A recorded film: {"film": base64 of its file}, or {"error": sentence}. asked: {"name": one of FILMS}."""
    name: Any = table(asked).get("name")
    require(isinstance(name, str) and name in FILMS, f"there is no film {quoted(name)}")
    path = film_path(name)
    require(path.is_file(), f"the film {name} is not on this server")
    return {"film": in_text(await asyncio.to_thread(path.read_bytes))}


@answering
async def lab_gif(asked: Any) -> dict[str, Any]:
    """Pictures as one GIF: {"gif": base64}, or {"error": sentence}.

    Args:
        asked: {"frames": pictures in base64, "milliseconds": that each is shown}, as `ganlib.demo.gif.make` takes them,
            and "state": the values of a link to the lab, for the GIF's passport.
    """
    asked = table(asked)
    own = {passport.KEYWORD: __version__, "tab": LINK}  # first, as `passport.read` expects it
    about = own | table(asked.get("state", {})) | own
    made = worker.aside(gif.make, asked.get("frames"), asked.get("milliseconds"), passport.to_json(about))
    return {"gif": in_text(await made)}


async def stream(settings: dict[str, Any], steps: int = 1_000, every: int = 10,  # type: ignore[misc]
                 actions: list[Any] | None = None) -> dict[str, Any]:  # gradio reads what each item is
    """Train a GAN on a toy distribution or on digits, and stream what is measured.

    Args:
        settings: of the lab, such as {"target": "ring", "seed": 3}; the others are the target's own. A target is
            normal, two-bumps, uniform, exponential, drawn-line, sine, ring, grid, moons, spiral, checkerboard,
            drawn-cloud or digits.
        steps: how many steps both networks are trained, 1 to 2,000.
        every: a dictionary follows after each so many steps, 1 to 2,000, and after the last one.
        actions: in place of `steps`, what to train one after the other, 2,000 steps at most: a list of pairs such as
            [["both", 100], ["discriminator", 20], ["generator", 1]].

    Returns:
        Dictionaries, one after the other (the last one as an MCP tool): step, discriminator_loss and generator_loss
        (means of the last ten steps), distance, distance_of_real, verdict, numbers, calibrated; and, unless the target
        is digits, samples.
    """
    caller = f"api {uuid.uuid4()}"
    try:
        checked = Settings.of(settings)
        goal = check_goal(actions or [["both", check_int(steps, 1, MAX_API_STEPS, "steps")]])
        total, every = count(goal), check_int(every, 1, MAX_API_STEPS, "every")
        require(total <= MAX_API_STEPS, f"actions must have at most {MAX_API_STEPS:,} steps, not {total:,}")
        if checked.kind == "digits":
            require(await MNIST.open(checked, False), "MNIST is being downloaded; try again in a minute")
        extent = None
        for done in [*range(every, total, every), total]:
            answer = await reached(caller, checked, beginning(goal, done))
            if answer.opening is not None:
                extent = unpack(answer.opening)[0].get("extent")
            yield row(answer.frame, extent)
    except NotDownloaded:
        raise refusal("the digits are from MNIST, which is not on this server") from None
    except ValueError as error:
        raise refusal(str(error)) from None
    finally:
        LABS.close(caller)


async def reached(caller: str, settings: Settings, goal: Goal) -> Reached:
    """The frame at a goal, however many requests that takes; the first time with the opening."""
    first = caller not in LABS
    while isinstance(answer := await LABS.frame(caller, settings, goal, first), Progress):
        pass
    return answer


def row(frame: bytes, extent: list[float] | None) -> dict[str, Any]:
    """A frame's numbers, and its samples in their own units where there is an extent."""
    header, arrays = unpack(frame)
    numbers = {key: value for key, value in header.items() if key not in ("arrays", "actions")}
    if extent is None:
        return numbers
    low, high = extent[::2], extent[1::2]
    samples = [[(a + b) / 2 + (b - a) / 2 * int(x) / STEPS_OF_COORDINATE for x, a, b in zip(sample, low, high)]
               for sample in arrays["generated"]]
    return {**numbers, "samples": samples}


def warm_up() -> None:
    """Train once, aside, so that no visitor waits for what PyTorch does before its first step: it takes a second.

    The first answers of the page come before.
    """
    def train() -> None:
        lab = Lab(Settings.of({}))
        lab.advance("both")
        lab.frame()

    # no daemon: a thread in PyTorch at the interpreter's end aborts the process
    threading.Timer(WARM_UP, train).start()


def leave(request: gr.Request) -> None:
    """Drop the lab of a page that was closed."""
    if request.session_hash:
        LABS.close(request.session_hash)


def is_linked(query: Mapping[str, Any]) -> bool:
    """Whether a link's query restores a lab; links to labs are older than the key `tab`."""
    return query["tab"] == LINK if "tab" in query else not {"target", "story", "film"}.isdisjoint(query)


def restore(reading: Reading) -> list[Any]:
    """The stage reads the values itself: it knows the settings of each target."""
    return [stages.state(reading.values)]


def build(demo: gr.Blocks, frame: gr.Tab) -> list[gr.HTML]:
    stage = stages.stage("lab", page(), [lab_frame, lab_digits, lab_film, lab_gif], "the lab")
    gr.Markdown(FINISHED, elem_classes="explain")
    toy.build(frame)
    endpoint(stream, "lab", concurrency_limit=API_CALLS)
    demo.unload(leave)
    return [stage]
