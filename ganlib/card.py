"""The model card, a weights folder's README.md, written from the content of its JSON files. Knows nothing of models.

A card that nobody has edited is replaced as a whole. In an edited one, only the measures change: those between two
marks, and ganlib's results in the front matter.
"""

import hashlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from ganlib.checks import escaped
from ganlib.losses import ELBO
from ganlib.measures import MEASURES, Comparison

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard

LICENSE = "mit"
BEGIN = "<!-- ganlib: measures, replaced when the model is measured again -->"
END = "<!-- ganlib: end of measures -->"
SIGNED = "\n<!-- written by ganlib"
PICTURES = ("samples.png", "nearest.png")
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
               source: str = "path/to/this/folder", space: str | None = None,
               pictures: Collection[str] = PICTURES) -> "ModelCard":
    """A model's card, Markdown with the Hub's front matter.

    Args:
        config, metrics, history: the content of the weights folder's JSON files.
        source: what `ganlib.load` opens the model by.
        space: a Space "user/space" that shows the model, or None.
        pictures: those of PICTURES that the folder has.
    """
    recipe: dict[str, Any] = {"data": "unknown data", "train": {}, **config["recipe"]}
    name, architecture, shape = config["name"], config["architecture"], config["shape"]
    images, own_data, measured_own_data = len(shape) == 3, *(
        facts.get("data_is_folder", False) for facts in (recipe, metrics))
    kind = "images" if images else f"{shape[0]}-dimensional points"
    classes = f" and one of {config['num_classes']} classes" if config.get("num_classes") else ""
    class_names = f" ({', '.join(map(escaped, config['class_names']))})" if config.get("class_names") else ""
    on_its_own = (metrics.get("data"), measured_own_data) == (recipe["data"], own_data)
    neighbours = "nearest_training_image_distances" in metrics and "nearest.png" in pictures
    few = neighbours and on_its_own and isinstance(recipe.get("images"), int) and recipe["images"] <= FEW
    task = "unconditional-image-generation" if images else "other"  # the Hub has no task for classes or points
    of = _kind(recipe, metrics)
    results = _results(task, metrics)
    front = {"tags": list(filter(None, (of.tag, "ganlib", architecture["kind"]))),
             "pipeline_tag": task if images else None,
             "datasets": None if own_data else DATASET_IDS.get(recipe["data"]),
             **({"model_name": name, "eval_results": results} if results else {})}
    return _card(front, [
        f"# {escaped(name)}",
        f"A small {of.name} ({architecture['kind']}) that generates {kind} of shape {tuple(shape)} from "
        f"{config['latent_dim']} random numbers{classes}{class_names}. It "
        f"was trained with ganlib on {'images of a folder called ' * own_data}{escaped(recipe['data'])}.",
        "samples.png" in pictures and "![samples](samples.png)",
        space and f"Try it: [{space}](https://huggingface.co/spaces/{space})",
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
        BEGIN,
        few and _few(recipe["images"], metrics),
        "data" in metrics and not on_its_own and
        f"Measured on {'a folder called ' * measured_own_data}{escaped(metrics['data'])}, on which it was not trained.",
        "\n".join(Comparison.of({name: metrics}).markdown()) if metrics else "Not measured yet.",
        history and f"The losses of all {history[-1]['step']:,} steps are in `history.json`. {of.losses}",
        neighbours and not few and f"Samples, each above the nearest training image:\n\n{NEAREST}",
        END,
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


def classifier_card(recipe: dict[str, Any], metrics: dict[str, Any]) -> "ModelCard":
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
        BEGIN,
        _table(metrics),
        END,
        "## Limits",
        "It knows only the ten digits, and assigns one of them to any image.",
    ])


def _results(task: str, metrics: dict[str, Any]) -> "list[EvalResult]":
    """The measures that are single numbers, for the Hub's table, with the data that they were measured on."""
    from huggingface_hub import EvalResult

    if "data" not in metrics:
        return []
    data = metrics["data"]
    dataset = data if metrics.get("data_is_folder") else DATASET_IDS.get(data, [data])[0]
    return [EvalResult(task_type=task, dataset_type=dataset, dataset_name=data, metric_type=measure.key,
                       metric_name=measure.named(metrics), metric_value=metrics[measure.key])
            for measure in MEASURES if measure.better and measure.key in metrics]


def _card(front: dict[str, Any], paragraphs: list[Any]) -> "ModelCard":
    """A card of front matter and paragraphs, without empty ones. `is_our_card` checks the hash in its last line."""
    from huggingface_hub import ModelCard, ModelCardData

    data = ModelCardData(license=LICENSE, library_name="ganlib", **front)
    text = f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(filter(None, paragraphs)) + "\n"
    return ModelCard(f"{text}{SIGNED}, which replaces it unless it has been edited, and then its measures only: "
                     f"{_fingerprint(text)} -->\n")


def is_our_card(text: str) -> bool:
    """Whether a card is still as ganlib wrote it, so that it may be replaced."""
    text, found, signature = text.replace("\r\n", "\n").rstrip().rpartition(SIGNED)
    return bool(found) and signature.endswith(f": {_fingerprint(text)} -->")


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def renewed(card: bytes | None, generated: "ModelCard") -> tuple[bytes, str]:
    """A weights folder's new card, and the end of a sentence on what was done if somebody has edited it, else "".

    Args:
        card: the content of the present one, None if there is none.
        generated: from `model_card` or `classifier_card`. It replaces a card that nobody has edited.
    """
    if card is None or is_our_card(card.decode(errors="replace")):
        return str(generated).encode(), ""
    try:
        text = card.decode("utf-8-sig")
    except UnicodeDecodeError:
        return card, "has been edited: it was kept as it is, because it is not UTF-8"
    line_break, lacks = "\r\n" if "\r\n" in text else "\n", ""
    before, _, rest = text.partition(BEGIN)
    _, marked, after = rest.partition(END)
    if marked:
        measures = generated.text.partition(BEGIN)[2].partition(END)[0].replace("\n", line_break)
        text = f"{before}{BEGIN}{measures}{END}{after}"
    try:
        index = generated.data.to_dict().get("model-index", [])  # type: ignore[no-untyped-call]
        text = _with_results(text, index, line_break)
    except ValueError as error:
        lacks = str(error)
    if marked:
        said = "only its measures were brought up to date"
        if lacks:
            said += f", and none in its front matter, which {lacks}"
    elif lacks:
        said = f"it was kept as it is, because its measures have no marks, and its front matter {lacks}"
    else:
        said = "only the measures in its front matter were brought up to date, because those in its text have no marks"
    return text.encode() if marked or not lacks else card, f"has been edited: {said}"


def _with_results(text: str, index: list[dict[str, Any]], line_break: str) -> str:
    """A card whose front matter has the results of a model-index in place of ganlib's earlier ones.

    Only the lines of the model-index change, so that comments, order and quotes in the others stay.

    Raises ValueError, with the end of a sentence, if there is no front matter that can be changed.
    """
    import yaml  # type: ignore[import-untyped]  # huggingface_hub requires it
    from huggingface_hub.repocard import REGEX_YAML_BLOCK
    from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]

    found = REGEX_YAML_BLOCK.search(text)
    if found is None:
        raise ValueError("is missing")
    front = found[2]
    try:
        data = yaml.safe_load(front) or {}
    except (yaml.YAMLError, ValueError):  # for example, a 13th month
        raise ValueError("is not valid YAML") from None
    try:
        known = data.get("model-index") or []
        merged = _merged(known, index)
        if merged == known:
            return text
        dumped = yaml_dump({"model-index": merged}, sort_keys=False).strip() if merged else ""
        spans = [(key.start_mark.index, _end(value)) for key, value in getattr(yaml.compose(front), "value", ())
                 if key.value == "model-index"]
        start, end = spans[0] if spans else (len(front), len(front))
        gap = line_break if front.strip() and not spans else ""
        changed = front[:start] + gap + dumped.replace("\n", line_break) + front[end:]
        same = {"model-index": [], **(yaml.safe_load(changed) or {})} == {**data, "model-index": merged}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        same = False
    if not same:
        raise ValueError("cannot be changed without losing something in it")
    return text[:found.start(2)] + changed + text[found.end(2):]


def _end(node: Any) -> int:
    """Where a YAML node ends, without comments and empty lines after it."""
    if node.id == "scalar" or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _merged(known: list[dict[str, Any]], index: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A model-index with the results of another in place of ganlib's earlier ones; those of others are kept."""
    merged: list[dict[str, Any]] = []
    results = index[0]["results"] if index else []
    for model in known:
        others = [{**result, "metrics": metrics} for result in model["results"]
                  if (metrics := [metric for metric in result["metrics"] if not _is_ours(metric, result)])]
        merged.append({**model, "results": [*([] if merged else results), *others]})
    return [model for model in merged or index if model["results"]]


def _is_ours(metric: dict[str, Any], result: dict[str, Any]) -> bool:
    """Whether ganlib wrote a metric of a result; another's may have the same type, but has another name or a source."""
    words = {measure.key: measure.words.partition("{")[0] for measure in MEASURES if measure.better}
    kind, name = metric["type"], str(metric.get("name"))
    return (kind in words and name.startswith((words[kind], kind.replace("_", " ")))
            and not result.get("source") and not metric.get("verified"))


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
