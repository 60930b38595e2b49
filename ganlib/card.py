"""The model card, a weights folder's README.md, written from the folder's own facts. Knows nothing of models."""

import hashlib
import json
from functools import partial

from ganlib.checks import escaped
from ganlib.measures import MEASURES, Comparison

LICENSE = "mit"
CALIBRATION = ("The discriminator’s probability was calibrated after training: a scale and offsets in `config.json` "
               "are fitted to its outputs on fresh samples and, where there are any, real ones it was not trained on. "
               "Both are 50% on average where it cannot tell them apart.")
DATASET_IDS = {"mnist": "ylecun/mnist", "fashion-mnist": "zalando-datasets/fashion_mnist"}  # by their Hub names


def model_card(config: dict, metrics: dict, history: list[dict], source: str = "path/to/this/folder") -> str:
    """A model's card, Markdown with the Hub's front matter.

    Args:
        config, metrics, history: as in the weights folder's JSON files.
        source: what `ganlib.load` opens it by.
    """
    recipe, architecture = {"data": "unknown data", "train": {}, **config["recipe"]}, config["architecture"]
    images, classes = len(config["shape"]) == 3, config.get("num_classes")
    own = recipe.get("data_is_folder", False)
    data = f"images of a folder called {escaped(recipe['data'])}" if own else escaped(recipe["data"])
    front = ["---", f"license: {LICENSE}", "library_name: ganlib", f"tags: [gan, ganlib, {architecture['kind']}]"]
    task = "unconditional-image-generation" if images else "other"  # the Hub has none for classes, nor for points
    if images:
        front.append(f"pipeline_tag: {task}")
    if recipe["data"] in DATASET_IDS and not own:
        front.append(f"datasets: [{DATASET_IDS[recipe['data']]}]")
    front += _model_index(config["name"], task, metrics)
    kind = "images" if images else f"{config['shape'][0]}-dimensional points"
    names = f" ({', '.join(map(escaped, config['class_names']))})" if config.get("class_names") else ""
    about = (f"A small GAN ({architecture['kind']}) that makes {kind} of shape {tuple(config['shape'])} from "
             f"{config['latent_dim']} random numbers{' and one of ' + str(classes) + ' classes' if classes else ''}"
             f"{names}, trained on {data} with ganlib.")
    started = recipe.get("started_from") or {}
    return _signed([
        *front, "---", "", f"# {escaped(config['name'])}", "", about, "", "![samples](samples.png)", "",
        "## Use", "", "```python", "import ganlib", "",
        f'model = ganlib.load("{source}")',
        "x = model.sample(seeds=range(16))", "```", "",
        "A seed names a sample: it is the same alone or among others, on CPU or GPU.", "",
        "## Training", "", *_table({**recipe["train"], "data": recipe["data"], "device": recipe.get("device", "")}), "",
        *([f"These are the numbers of the last stage, which went on from {escaped(started['model'])}.", ""]
          if isinstance(started, dict) and isinstance(started.get("model"), str) else []),
        "Generator and discriminator:", "", *_table({k: v for k, v in architecture.items() if k != "kind"}), "",
        *([CALIBRATION, ""] if "calibration" in config else []),
        "## How good it is", "", *_measured_on(recipe, metrics),
        *(Comparison.of({config["name"]: metrics}).markdown() if metrics else ["Not measured yet."]), "",
        f"Over {history[-1]['step']:,} steps the losses are in `history.json`; a GAN's losses do not say how good its "
        "samples are." if history else "", "",
        *(["Samples, each above the training image nearest to it:", "",
           "![samples above their nearest training images](nearest.png)", ""]
          if "nearest_training_image_distances" in metrics else []),
        "## Limits", "",
        "It was made to be looked at and learnt from. It knows nothing but its training data, repeats that data's "
        "biases, and some of its samples are wrong.", "",
    ])


def _measured_on(recipe: dict, metrics: dict) -> list[str]:
    """Which data the measures are of, where these are not the training data."""
    measured, trained = ((facts.get("data"), facts.get("data_is_folder", False)) for facts in (metrics, recipe))
    if "data" not in metrics or measured == trained:
        return []
    return [f"Measured on {'a folder called ' * measured[1]}{escaped(measured[0])}, on which it was not trained.", ""]


def _model_index(name: str, task: str, metrics: dict) -> list[str]:
    """The measures that are single numbers, as the Hub shows them beside a model; lines of YAML.

    They are filed under the data that they were measured on.
    """
    numbers = [measure for measure in MEASURES if measure.better and measure.key in metrics]
    if not numbers or "data" not in metrics:
        return []
    data, quoted = metrics["data"], partial(json.dumps, ensure_ascii=False)
    dataset = data if metrics.get("data_is_folder") else DATASET_IDS.get(data, data)
    return ["model-index:", f"- name: {quoted(name)}", "  results:", "  - task:", f"      type: {task}", "    dataset:",
            f"      type: {quoted(dataset)}", f"      name: {quoted(data)}", "    metrics:",
            *(line for measure in numbers
              for line in (f"    - type: {measure.key}", f"      name: {quoted(measure.named(metrics))}",
                           f"      value: {metrics[measure.key]:.6g}"))]


_SIGNATURE = "<!-- written by ganlib, which will not touch it again once it is edited: "


def _signed(lines: list[str]) -> str:
    """A card's text, with a last line by which `is_our_card` knows whether somebody has changed it."""
    text = "\n".join(lines)
    return f"{text}\n{_SIGNATURE}{_fingerprint(text)} -->\n"


def is_our_card(text: str) -> bool:
    """Whether a card is still as ganlib wrote it: then it may be written anew."""
    text = text.replace("\r\n", "\n").rstrip()
    body, found, rest = text.rpartition("\n" + _SIGNATURE)
    return bool(found) and rest == f"{_fingerprint(body)} -->"


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def classifier_card(recipe: dict, metrics: dict) -> str:
    """The card of the digit classifier, which is no GAN: what it is for, how it was trained, what it gets wrong."""
    ids = [f"datasets: [{DATASET_IDS[recipe['data']]}]"] if recipe["data"] in DATASET_IDS else []
    return _signed([
        "---", f"license: {LICENSE}", "library_name: ganlib", "tags: [image-classification, ganlib, digits]",
        "pipeline_tag: image-classification", *ids, "---", "",
        "# digit-classifier", "",
        "A small convolutional network that reads handwritten digits of 28×28 pixels. ganlib uses the 128 numbers "
        "before its last layer as features to measure generated digits: a distance in them is no Inception FID, and "
        "comparable only with others that this very network has measured.", "",
        f"It reads {metrics['accuracy']:.2%} of {metrics['images']:,} test images. Some that it reads wrongly:",
        "", "![mistakes](samples.png)", "", "## Training", "",
        *_table({**recipe["train"], "data": recipe["data"], "device": recipe["device"]}), "",
        "## Measures", "", *_table(metrics), "",
        "## Limits", "",
        "It knows ten digits and nothing else, and says one of them of any picture.", "",
    ])


def _table(values: dict) -> list[str]:
    rows = [f"| {escaped(key.replace('_', ' '))} | {_text(value)} |" for key, value in values.items()]
    return ["| | |", "|---|---|", *rows]


def _text(value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{escaped(key)} {_text(number)}" for key, number in value.items())
    return escaped(str(value))
