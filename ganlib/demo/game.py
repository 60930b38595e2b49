"""The tab with the game: ten pictures, the visitor against the discriminator. See `ganlib.demo.rounds`.

No answer is shown before the last guess. So the ten guesses are as independent as the discriminator's ten answers, and
both scores can be compared with chance. Afterwards all pictures are seen side by side, where the differences show. The
truth leaves the server only in replies to ten guesses.
"""

import asyncio
import math
from typing import Any

import gradio as gr
from PIL import Image

from ganlib import images, passport
from ganlib.demo import models, rounds, stages
from ganlib.demo.controls import as_sentence, endpoint
from ganlib.demo.links import Reading, whole
from ganlib.demo.picker import hub_opener
from ganlib.demo.rounds import PICTURES, check_guesses, check_round
from ganlib.demo.stages import answering, table
from ganlib.model import Model

TITLE, LINK = "Game", "game"
EXPLANATION = "Ten pictures. Which ones are real, and which ones are generated? The discriminator plays against you."
COLUMNS = 5  # of the sheet


def game(model: str, round: int = 0) -> Image.Image:
    """Show a round of the game "Real or generated?": ten pictures, of which some are real and some generated.

    Args:
        model: the name of the model.
        round: its number, 0 to 999,999; the same number gives the same pictures.

    Returns:
        The ten pictures, numbered 1 to 10, on one contact sheet, a PNG file.
    """
    gan = models.images(model)
    return passport.stamp(_sheet(gan, round, [str(i + 1) for i in range(PICTURES)]), passport_of(gan, round))


def answers(model: str, round: int, guesses: list[str]) -> dict[str, Any]:
    """Say which pictures of a round of the game are real, and how well the caller and the discriminator did.

    Args:
        model: the name of the model, as in `/game`.
        round: the number of the round, as in `/game`.
        guesses: a list of ten words, each "real" or "generated", one for each picture.

    Returns:
        A dictionary: you and discriminator (how many they got right), of (10), by_chance (the share of games in which a
        coin does as well as you, or better), usual (the share of many pictures on which this discriminator is right),
        about (where the real pictures are from), and pictures: for each truth, guess, discriminator, probability (that
        it is real, by the discriminator), seed, class and a sentence.
    """
    gan = models.images(model)
    return rounds.answers(gan, round, check_guesses(guesses))


def solved(gan: Model, number: int, guesses: list[str]) -> Image.Image:
    """The sheet of a round with the truth and the discriminator's probability under each picture."""
    rows = rounds.answers(gan, number, guesses)["pictures"]
    return _sheet(gan, number, [f"{row['truth'] if row['seed'] is None else 'seed ' + str(row['seed'])}\n"
                                f"{percent(row['probability'])} real" for row in rows])


def percent(share: float) -> str:
    """A share in percent, as `percent` of the page's JavaScript has it: what is not certain is not called 0% or 100%,
    and near 50% a digit more shows which side it is on."""
    if not 0.005 <= share < 0.995:
        return "under 1%" if share < 0.5 else "over 99%"
    if abs(share - 0.5) >= 0.005:
        return f"{share:.0%}"
    return f"{(math.ceil if share > 0.5 else math.floor)(1000 * share) / 10:.1f}%"


def passport_of(gan: Model, number: int) -> passport.Passport:
    """The passport of a round's sheet: the values of the tab's link."""
    return passport.of(gan, LINK, round=number)


def _sheet(gan: Model, number: int, captions: list[str]) -> Image.Image:
    return images.contact_sheet(rounds.draw(gan, number).x, COLUMNS, captions=captions)


@answering
async def game_round(asked: Any) -> dict[str, Any]:
    """The pictures of a round: `stages.pixels`, "classes" in words or None, and "about": where real ones are from.

    For a model without a discriminator: {"refused": why, "instead": a model of the page that has one, or None}.

    asked: {"model": name, "round": number}.
    """
    gan, number = await asyncio.to_thread(_asked, asked)
    if gan.discriminator is None:
        return {"refused": as_sentence(rounds.no_opponent(gan)), "instead": await asyncio.to_thread(_opponent)}
    drawn = await asyncio.to_thread(rounds.draw, gan, number)
    return {**stages.pixels(drawn.x), "model": gan.name, "classes": rounds.words_of(gan, drawn.labels),
            "about": drawn.about}


@answering
async def game_answers(asked: Any) -> dict[str, Any]:
    """What `answers` gives. asked: {"model": name, "round": number, "guesses": ten words}."""
    gan, number = await asyncio.to_thread(_asked, asked)
    return await asyncio.to_thread(rounds.answers, gan, number, check_guesses(asked.get("guesses")))


@answering
async def game_picture(asked: Any) -> dict[str, Any]:
    """The solved sheet, with its passport, as `stages.file` gives it. asked: as for `game_answers`."""
    gan, number = await asyncio.to_thread(_asked, asked)
    guesses = check_guesses(asked.get("guesses"))
    return await asyncio.to_thread(lambda: stages.file(solved(gan, number, guesses), passport_of(gan, number),
                                                       f"gan-game-{number}.png"))


def _opponent() -> str | None:
    """The first of the page's own models that has a discriminator."""
    return next((name for name in models.image_models() if models.images(name).discriminator is not None), None)


def _asked(asked: Any) -> tuple[Model, int]:
    """The model and the number of the round that a stage asked for."""
    asked = table(asked)
    return models.images(asked.get("model", "")), check_round(asked.get("round"))


def restore(reading: Reading) -> list[Any]:
    return [stages.state({"model": reading.model(models.image_models()),
                          "round": reading.take("round", whole(0, rounds.MAX_ROUND, "Round"), None)})]


def build(demo: gr.Blocks) -> list[gr.HTML]:
    page: dict[str, Any] = {"models": models.image_models(), "count": PICTURES, "rounds": rounds.MAX_ROUND + 1}
    stage = stages.stage("game", page, [game_round, game_answers, game_picture], "the game")
    hub_opener(models.images, stage)
    endpoint(game, "game", gr.Image(format="png", label="sheet", visible=False), page["models"])
    endpoint(answers, "answers", None, page["models"], {"round": 0})
    return [stage]
