"""The model card, a weights folder's README.md, written from the content of its JSON files. Knows nothing of models."""

import hashlib
import re
from typing import Any, NamedTuple

from ganlib.checks import escaped
from ganlib.losses import ELBO
from ganlib.measures import MEASURES, Comparison

LICENSE = "mit"
FEW = 2_000  # training images: with at most so many, the card shows nearest neighbours first
NEAREST = "![samples above training images](nearest.png)"
DATASET_IDS = {"mnist": ["ylecun/mnist"], "fashion-mnist": ["zalando-datasets/fashion_mnist"]}  # names on the Hub


class _Kind(NamedTuple):
    """The words for a kind of model.

    Args:
        tag: on the Hub, "" for none.
        name: what a model of this kind is called.
        networks: which it has.
        unused: settings of a training that it does not use.
        losses: what they say.
    """

    tag: str
    name: str
    networks: str
    unused: set[str]
    losses: str


GAN = _Kind("gan", "GAN", "Generator and discriminator", {"kl_weight"},
            "A GAN's losses do not say how good its samples are.")
VAE = _Kind("vae", "VAE", "Encoder and decoder",
            {"n_critic", "discriminator_lr", "penalties", "final_penalty", "augment"},
            "Their weighted sum is what it minimised. It does not say how good its samples are.")
OTHER = _Kind("", "generative model", "Networks", set(), "They do not say how good its samples are.")


def _kind(recipe: dict[str, Any], metrics: dict[str, Any]) -> _Kind:
    """The kind of a model, by the loss of its recipe, and by the networks that its measures are of."""
    if recipe["train"].get("loss") == ELBO:
        return VAE
    return OTHER if "weights_sha256" in metrics and "discriminator_sha256" not in metrics else GAN


def model_card(config: dict[str, Any], metrics: dict[str, Any], history: list[dict[str, Any]],
               source: str = "path/to/this/folder") -> str:
    """A model's card, Markdown with the Hub's front matter.

    Args:
        config, metrics, history: the content of the weights folder's JSON files.
        source: what `ganlib.load` opens the model by.
    """
    recipe: dict[str, Any] = {"data": "unknown data", "train": {}, **config["recipe"]}
    name, architecture, shape = config["name"], config["architecture"], config["shape"]
    images, own_data, measured_own_data = len(shape) == 3, *(
        facts.get("data_is_folder", False) for facts in (recipe, metrics))
    kind = "images" if images else f"{shape[0]}-dimensional points"
    classes = f" and one of {config['num_classes']} classes" if config.get("num_classes") else ""
    class_names = f" ({', '.join(map(escaped, config['class_names']))})" if config.get("class_names") else ""
    on_its_own = (metrics.get("data"), measured_own_data) == (recipe["data"], own_data)
    neighbours = "nearest_training_image_distances" in metrics
    few = neighbours and on_its_own and isinstance(recipe.get("images"), int) and recipe["images"] <= FEW
    task = "unconditional-image-generation" if images else "other"  # the Hub has no task for classes or points
    of = _kind(recipe, metrics)
    front = {"tags": list(dict.fromkeys(filter(None, (of.tag, "ganlib", architecture["kind"])))),
             "pipeline_tag": task if images else None,
             "datasets": None if own_data else DATASET_IDS.get(recipe["data"]),
             "model-index": _model_index(name, task, metrics)}
    return _card(front, [
        f"# {escaped(name)}",
        f"A small {of.name} ({architecture['kind']}) that generates {kind} of shape {tuple(shape)} from "
        f"{config['latent_dim']} random numbers{classes}{class_names}. It "
        f"was trained with ganlib on {'images of a folder called ' * own_data}{escaped(recipe['data'])}.",
        "![samples](samples.png)",
        "## Use",
        f'```python\nimport ganlib\n\nmodel = ganlib.load("{source}")\nx = model.sample(seeds=range(16))\n```',
        "A seed always gives the same sample: alone or in a batch, on CPU or GPU.",
        of is VAE and
        "`model.decode(model.encode(x))` reconstructs images `x`. Samples and reconstructions are the decoder’s "
        "means: no pixel noise is drawn.",
        "## Training",
        _table({**{key: value for key, value in recipe["train"].items() if key not in of.unused},
                "data": recipe["data"], "device": recipe.get("device", "")}),
        _started(recipe.get("started_from")),
        _extended(recipe.get("extended")),
        recipe.get("kept") == "best" and isinstance(recipe.get("kept_step"), int) and
        f"The weights are those of step {recipe['kept_step']:,}, not of the last step: there the FID that was measured "
        f"during the training was lowest.",
        f"{of.networks}:",
        _table({key: value for key, value in architecture.items() if key != "kind"}),
        "calibration" in config and
        "The discriminator’s probability was calibrated after training. A scale and offsets in `config.json` were "
        "fitted to its outputs on new samples and, if there were any, real ones that it was not trained on. On both, "
        "the mean probability is 50% if it cannot distinguish them.",
        "## Measures",
        few and _few(recipe["images"], metrics),
        "data" in metrics and not on_its_own and
        f"Measured on {'a folder called ' * measured_own_data}{escaped(metrics['data'])}, on which it was not trained.",
        "\n".join(Comparison.of({name: metrics}).markdown()) if metrics else "Not measured yet.",
        history and f"The losses of all {history[-1]['step']:,} steps are in `history.json`. {of.losses}",
        neighbours and not few and f"Samples, each above the nearest training image:\n\n{NEAREST}",
        "## Limits",
        "It was made for learning. It repeats the biases of its training data, and some of its samples are wrong.",
    ])


def _started(started: Any) -> str | None:
    """From which weights the run started, if from any."""
    if not (isinstance(started, dict) and isinstance(started.get("model"), str)):
        return None
    text = f"This table is of the last run only. It started from the weights of {escaped(started['model'])}."
    new = started.get("new_layers")
    if isinstance(new, list) and new:
        text += f" These of its layers started anew: {', '.join(escaped(str(name)) for name in new)}."
    return text


def _extended(changes: Any) -> str | None:
    """How the planned end of the run was changed, if it was."""
    def said(change: dict[str, Any]) -> str:
        done, kind = ("extended", "longer") if change["to"] > change["from"] else ("shortened", "shorter")
        return (f"At step {change['at']:,} it was {done} to {change['to']:,}: learning rates and penalties follow the "
                f"{kind} schedule from there.")

    try:
        return " ".join([f"It was planned for {changes[0]['from']:,} steps.", *map(said, changes)])
    except (TypeError, KeyError, IndexError, ValueError):  # there are none, or the config is not by ganlib
        return None


def _few(images: int, metrics: dict[str, Any]) -> str:
    """Why a model of few images has to be compared with them, and the comparison."""
    own, held_out = (metrics.get(f"nearest_training_image_distances{of}") for of in ("", "_of_real"))
    text = (f"It was trained on {images:,} images only. A network can learn so few by heart, and generate copies. Look "
            f"at the nearest neighbours first: samples, each above the nearest training image.\n\n{NEAREST}")
    if isinstance(own, dict) and "50%" in own:
        text += f"\n\nThe median distance of a sample to the nearest training image is {own['50%']:.3g}."
        if isinstance(held_out, dict) and "50%" in held_out:
            text += f" That of images that were held out is {held_out['50%']:.3g}."
        text += " Copies have distances near 0."
    return text


def classifier_card(recipe: dict[str, Any], metrics: dict[str, Any]) -> str:
    """The card of the digit classifier, from the recipe in its config.json and its metrics.json."""
    front = {"tags": ["image-classification", "ganlib", "digits"], "pipeline_tag": "image-classification",
             "datasets": DATASET_IDS.get(recipe["data"])}
    return _card(front, [
        "# digit-classifier",
        "A small convolutional network that classifies handwritten digits of 28×28 pixels. ganlib uses the 128 numbers "
        "before its last layer as features to measure generated digits. A distance in these features is not an "
        "Inception FID: compare it only with distances measured by this network.",
        f"Its accuracy on {metrics['images']:,} test images is {metrics['accuracy']:.2%}. Some of its mistakes:",
        "![mistakes](samples.png)",
        "## Training",
        _table({**recipe["train"], "data": recipe["data"], "device": recipe["device"]}),
        "## Measures",
        _table(metrics),
        "## Limits",
        "It knows only the ten digits, and assigns one of them to any image.",
    ])


def _model_index(name: str, task: str, metrics: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The measures that are single numbers, for the Hub's table, with the data that they were measured on."""
    numbers = [{"type": measure.key, "name": measure.named(metrics), "value": metrics[measure.key]}
               for measure in MEASURES if measure.better and measure.key in metrics]
    if not numbers or "data" not in metrics:
        return None
    data = metrics["data"]
    dataset = {"type": data if metrics.get("data_is_folder") else DATASET_IDS.get(data, [data])[0], "name": data}
    return [{"name": name, "results": [{"task": {"type": task}, "dataset": dataset, "metrics": numbers}]}]


def _card(front: dict[str, Any], paragraphs: list[Any]) -> str:
    """A card of front matter and paragraphs, without empty ones. `is_our_card` checks the hash in its last line."""
    import yaml  # type: ignore[import-untyped]  # huggingface_hub requires it

    front = {"license": LICENSE, "library_name": "ganlib", **{key: value for key, value in front.items() if value}}
    matter = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1_000)
    text = f"---\n{matter}---\n\n" + "\n\n".join(filter(None, paragraphs)) + "\n"
    return f"{text}\n<!-- written by ganlib, which replaces it unless it has been edited: {_fingerprint(text)} -->\n"


def is_our_card(text: str) -> bool:
    """Whether a card is still as ganlib wrote it, so that it may be replaced."""
    text = text.replace("\r\n", "\n").rstrip()
    found = re.fullmatch(r"(.*)\n<!-- written by ganlib[^\n]*: ([0-9a-f]{16}) -->", text, re.DOTALL)
    return found is not None and found[2] == _fingerprint(found[1])


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _table(values: dict[str, Any]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {escaped(key.replace('_', ' '))} | {_text(value)} |"
                                              for key, value in values.items())])


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{escaped(key)} {_text(number)}" for key, number in value.items())
    return escaped(str(value))
