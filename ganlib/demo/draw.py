"""The tab where visitors draw a digit: how real it looks, how it is read, and the generator's closest picture."""

import asyncio
import base64
import contextvars
import functools
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr
import numpy
import torch
from gradio.data_classes import FileDataDict
from PIL import Image
from torch import Tensor

from ganlib import checkpoint, classifier, drawing, images, inversion, passport
from ganlib.checks import quoted, require
from ganlib.classifier import DigitClassifier
from ganlib.demo import gpu, links, models, stages
from ganlib.demo.controls import MAX_SEED, check_seed, endpoint
from ganlib.demo.links import Reading
from ganlib.demo.picker import hub_opener
from ganlib.demo.searches import Searches
from ganlib.demo.stages import answering, in_text, table
from ganlib.inversion import Inversion
from ganlib.model import Model
from ganlib.waypoints import Waypoint

TITLE, LINK = "Draw", "draw"
EXPLANATION = ("Draw a digit. The networks read it while you draw. Then let the generator find its closest picture.")

INK_SIDE = 84  # of the drawing that the browser sends
MAX_PHOTO = 1_024  # pixels of a photo's longer side, to which the browser shrinks it
MAX_BASE64 = 4 * 2**20  # characters of a photo that the browser sends
AS_READ = "read"  # the class that the classifier reads
SAVED_SCALE = 16  # by how much a saved picture is enlarged
API_CALLS = 2

SEARCHES = Searches()
_searching = ThreadPoolExecutor(2, thread_name_prefix="search")


def digit_model(name: str) -> Model:
    """The model of that name. Raises WeightsError as `models.get` does, and ValueError unless it makes such pictures
    as are drawn here."""
    model = models.get(name)
    require(model.shape == classifier.SHAPE,
            f"{name} makes samples of shape {model.shape}; this tab needs a model of shape {classifier.SHAPE}")
    return model


@functools.cache
def _classifier() -> DigitClassifier:
    return checkpoint.load_classifier(device=gpu.DEVICE)


def read_digit(x: Tensor) -> tuple[int, list[float]]:
    """What the classifier reads in a drawing (1, 28, 28): the digit, and the probability of each digit."""
    (probabilities,) = _classifier().examine(x[None])[1]
    return int(probabilities.argmax()), probabilities.tolist()


def class_of(model: Model, chosen: Any, read: int) -> int | None:
    """The class as which a drawing is judged: the chosen one, else the digit that was read; None without classes.

    Raises ValueError if the model has no such class.
    """
    if chosen is None and model.num_classes:
        require(_has_digits(model), f"the classes of {model.name} are no digits: choose one")
        chosen = read
    labels = model.labels_of([0], chosen)
    return None if labels is None else int(labels[0])


def _has_digits(model: Model) -> bool:
    return model.class_names == tuple("0123456789")


def judge(model: Model, x: Tensor, chosen: Any = None) -> dict[str, Any]:
    """What the classifier and, where there is one, the discriminator say of a drawing (1, 28, 28).

    Returns:
        "read" and "sure", the digit that the classifier reads and its probability; "digits", all ten probabilities;
        "class", as which it is judged, or None; "probability", how real it looks to the discriminator, or None.
    """
    read, digits = read_digit(x)
    label = class_of(model, chosen, read)
    probability = None
    if model.discriminator is not None:
        probability = model.discriminate(x[None], None if label is None else [label]).item()
    return {"read": read, "sure": digits[read], "digits": digits, "class": label, "probability": probability}


def compared(model: Model, x: Tensor, found: Inversion) -> dict[str, Any]:
    """A found picture beside the drawing x (1, 28, 28): its pixels and waypoint, its distance in numbers, and how the
    classifier reads it."""
    read, digits = read_digit(found.images[0])
    label = None if found.labels is None else int(found.labels[0])
    psnr = float(found.psnr[0])
    return {**stages.pixels(found.images), "latent": str(Waypoint.at(found.latents[0], label)), "class": label,
            "psnr": psnr, "off": 10 ** (-psnr / 20), "read": read, "sure": digits[read]}


def at_waypoint(model: Model, x: Tensor, point: Waypoint) -> Inversion:
    """The picture of a waypoint, as if it had been found for the drawing x (1, 28, 28)."""
    z, label = point.latent(model)[None], point.label(model)
    labels = None if label is None else torch.tensor([label])
    decoded = model.decode(z, labels)
    return Inversion(z, labels, decoded, inversion.psnr(decoded, x[None]))


def reconstructed(model: Model, x: Tensor, label: int | None) -> dict[str, Any] | None:
    """What `compared` says of the reconstruction of the drawing x (1, 28, 28) by one pass of the model's encoder.

    None for a model without an encoder. A search begins there.
    """
    if model.encoder is None:
        return None
    return compared(model, x, at_waypoint(model, x, Waypoint.at(model.encode(x[None])[0], label)))


def passport_of(model: Model, x: Tensor, chosen: int | None, latent: str | None) -> passport.Passport:
    """The passport of a drawing and, where there is one, the picture found for it: the values of the tab's link."""
    return passport.of(model, LINK, drawing=drawing.to_text(x), **{"class": chosen}, latent=latent)


def drawing_of(asked: Mapping[str, Any]) -> Tensor:
    """The drawing (1, 28, 28) that the stage sent: its text, or its ink, which is normalised."""
    if "ink" not in asked:
        return drawing.from_text(asked.get("drawing"))
    data = _from_base64(asked["ink"], INK_SIDE**2 * 4 // 3)
    require(len(data) == INK_SIDE**2, f"the ink must have {INK_SIDE}×{INK_SIDE} pixels, not {len(data):,}")
    ink = numpy.frombuffer(data, numpy.uint8).reshape(INK_SIDE, INK_SIDE)
    return drawing.rounded(drawing.normalise(torch.from_numpy(ink / numpy.float32(255))))


def _from_base64(text: Any, most: int) -> bytes:
    """Bytes that the stage sent. Raises ValueError unless they are base64 of at most so many characters."""
    require(isinstance(text, str) and len(text) <= most, f"a picture is sent as at most {most:,} characters of base64")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("a picture is sent in base64") from None


@answering
async def draw_read(asked: Any) -> dict[str, Any]:
    """What both networks say of the drawing, which is normalised: {"names": of the model's classes, "drawing": as text,
    its pixels, what `judge` says, and "encoded": what `reconstructed` says}; the names alone where nothing is drawn.

    Args:
        asked: {"model", "class": or None, "ink": 84×84 bytes in base64, or "drawing": as text; or neither}.
    """
    def answer() -> dict[str, Any]:
        values = table(asked)
        model = digit_model(values.get("model", ""))
        names: dict[str, Any] = {"names": list(model.class_names), "asRead": _has_digits(model)}
        if not values.keys() & {"ink", "drawing"}:
            return names
        x, chosen = drawing_of(values), values.get("class")
        if chosen is None and model.num_classes and not names["asRead"]:
            chosen = 0  # the first one of the stage's choice, which learns the names by this answer
        said = judge(model, x, chosen)
        return {**names, "drawing": drawing.to_text(x), **stages.pixels(x[None]), **said,
                "encoded": reconstructed(model, x, said["class"])}

    return await asyncio.to_thread(answer)


@answering
async def draw_photo(asked: Any) -> dict[str, Any]:
    """The digit in a photo: {"drawing": as text, "steps": [{"words", "png": base64}]}.

    Args:
        asked: {"photo": a picture's file in base64}.
    """
    def answer() -> dict[str, Any]:
        photo = drawing.read_photo(_from_base64(table(asked).get("photo"), MAX_BASE64))
        return {"drawing": drawing.to_text(photo.drawing),
                "steps": [{"words": words, "png": in_text(_png(picture))} for words, picture in photo.steps]}

    return await asyncio.to_thread(answer)


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@answering
async def draw_find(asked: Any, request: gr.Request) -> dict[str, Any]:
    """The picture found so far: {"share": of the search that is done, "done": whether it ended, and what `compared`
    says}. The same request goes on with the search.

    Args:
        asked: {"model", "class": or None, "drawing": as text, "seed"}.
    """
    visitor = (await request.json())["session_hash"]

    def answer() -> dict[str, Any]:
        values = table(asked)
        model, x, seed = digit_model(values.get("model", "")), drawing_of(values), check_seed(values.get("seed"))
        label = class_of(model, values.get("class"), read_digit(x)[0])
        key = (model.name, drawing.to_text(x), label, seed)
        search = SEARCHES.advance(visitor, key, lambda: inversion.search(model, x[None], _labels(label), seed=seed))
        assert search.found is not None  # it made one step at least
        return {"share": search.share, "done": search.ended, **compared(model, x, search.found)}

    return await asyncio.wrap_future(_searching.submit(contextvars.copy_context().run, answer))


@answering
async def draw_stop(asked: Any, request: gr.Request) -> dict[str, Any]:
    """Drop the visitor's search, so that others have its place. asked: {}."""
    SEARCHES.drop((await request.json())["session_hash"])
    return {}


def _labels(label: int | None) -> list[int] | None:
    return None if label is None else [label]


@answering
async def draw_found(asked: Any) -> dict[str, Any]:
    """What `compared` says of a picture that was found before. asked: {"model", "drawing", "latent": its waypoint}."""
    def answer() -> dict[str, Any]:
        values = table(asked)
        model, x = digit_model(values.get("model", "")), drawing_of(values)
        return compared(model, x, at_waypoint(model, x, links.waypoint(values.get("latent", ""), model)))

    return await asyncio.to_thread(answer)


@answering
async def draw_save(asked: Any) -> dict[str, Any]:
    """A PNG file of the drawing and, beside it, the picture found for it, with a passport, as
    `stages.file` gives it.

    Args:
        asked: {"model", "class": or None, "drawing": as text, "latent": a waypoint, or None}.
    """
    def answer() -> dict[str, Any]:
        values = table(asked)
        model, x, latent = digit_model(values.get("model", "")), drawing_of(values), values.get("latent")
        chosen = check_class(model, values.get("class"))
        picture = images.enlarge(images.to_pil(x), SAVED_SCALE)
        if latent is not None:
            found = at_waypoint(model, x, links.waypoint(latent, model))
            picture = images.contact_sheet(torch.stack([x, found.images[0]]), 2, SAVED_SCALE,
                                           ["drawing", "closest"])
        name = f"drawing-{model.name.replace('/', '-')}.png"
        return stages.file(picture, passport_of(model, x, chosen, latent), name)

    return await asyncio.to_thread(answer)


def leave(request: gr.Request) -> None:
    """Drop the search of a page that was closed."""
    if request.session_hash:
        SEARCHES.drop(request.session_hash)


def read(model: str, picture: FileDataDict) -> dict[str, Any]:
    """Read a digit in a picture, and say how real it looks to a model's discriminator.

    Args:
        model: the name of a model that makes grey pictures of 28×28 pixels.
        picture: the file of a photo or drawing; it is scaled and centred as MNIST's digits unless it is 28×28 already.

    Returns:
        A dictionary: reading, the digit that the classifier reads; probabilities, of all ten digits; class, as which
        the discriminator judged it, or None; probability, how real it looks to the discriminator, or None.
    """
    said = judge(digit_model(model), picture_of(picture))
    return {"reading": said["read"], "probabilities": said["digits"], "class": said["class"],
            "probability": said["probability"]}


def invert(model: str, picture: FileDataDict, digit: str = AS_READ,
           seed: int = 0) -> tuple[Image.Image, dict[str, Any]]:
    """Search for the generator's picture that is closest to a given picture of a digit.

    Args:
        model: the name of a model that makes grey pictures of 28×28 pixels.
        picture: the file of a photo or drawing; it is scaled and centred as MNIST's digits unless it is 28×28 already.
        digit: "read" for the class that the classifier reads, or the number of a class, such as "3".
        seed: of the search, 0 to 9,999.

    Returns:
        The picture, a PNG file of 28×28 pixels, and a dictionary: latent, a waypoint that links and `/walk` take;
        class, or None; psnr, in dB; reading, the digit that the classifier reads in the picture.
    """
    gan, seed, x = digit_model(model), check_seed(seed), picture_of(picture)
    chosen = check_class(gan, digit)
    found = gan.invert(x[None], _labels(class_of(gan, chosen, read_digit(x)[0])), seed=seed)
    said = compared(gan, x, found)
    image = passport.stamp(images.to_pil(found.images[0]), passport_of(gan, x, chosen, said["latent"]))
    return image, {"latent": said["latent"], "class": said["class"], "psnr": said["psnr"], "reading": said["read"]}


def picture_of(file: Any) -> Tensor:
    """The drawing (1, 28, 28) in a picture file that the API received, in 16 levels as the page has it."""
    require(isinstance(file, dict) and isinstance(file.get("path"), str),
            "give a picture's file, such as handle_file('three.png') of gradio_client")
    return drawing.rounded(drawing.read(file["path"]))


def check_class(model: Model, value: Any) -> int | None:
    """The number of a class of the model, also as text; None for the class that the classifier reads."""
    if value in (None, "", AS_READ):
        return None
    require(bool(model.num_classes), f"{model.name} has no classes: the class must be {AS_READ}, not {quoted(value)}")
    return links.whole(0, (model.num_classes or 1) - 1, "the class")(value)


def restore(reading: Reading) -> list[Any]:
    name = reading.model(models.image_models(), digit_model)
    text = reading.take("drawing", lambda text: drawing.to_text(drawing.from_text(text)), None)
    chosen = reading.take("class", lambda value: check_class(digit_model(name), value), None)
    latent = reading.take("latent", lambda text: _waypoint(name, text), None)
    return [stages.state({"model": name, "class": chosen, "drawing": text, "latent": latent})]


def _waypoint(name: str, text: Any) -> str | None:
    return None if text is None else str(links.waypoint(text, digit_model(name)))


def build(demo: gr.Blocks) -> list[gr.HTML]:
    names = models.image_models()
    stage = stages.stage("draw", {"models": names, "inkSide": INK_SIDE, "maxPhoto": MAX_PHOTO, "maxSeed": MAX_SEED},
                         [draw_read, draw_photo, draw_find, draw_stop, draw_found, draw_save], "Draw")
    hub_opener(digit_model, stage)
    demo.unload(leave)
    endpoint(read, "read", None, names)
    endpoint(invert, "invert", [gr.Image(format="png", label="closest", visible=False),
                                gr.JSON(label="found", visible=False)], names, concurrency_limit=API_CALLS)
    return [stage]
