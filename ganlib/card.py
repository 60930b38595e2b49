"""The model card, a weights folder's README.md, written from the folder's own facts. Knows nothing of models."""

import hashlib
import html
import json
import math
import re
from dataclasses import dataclass
from functools import partial

LICENSE = "mit"
CALIBRATION = ("The discriminator’s probability was calibrated after training: a scale and offsets, in `config.json`, "
               "are fitted to its outputs on training data and fresh samples, so that both are 50% on average where it "
               "cannot tell them apart.")
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
    started = recipe.get("started_from")
    return _signed([
        *front, "---", "", f"# {escaped(config['name'])}", "", about, "", "![samples](samples.png)", "",
        "## Use", "", "```python", "import ganlib", "",
        f'model = ganlib.load("{source}")',
        "x = model.sample(seeds=range(16))", "```", "",
        "A seed names a sample: it is the same alone or among others, on CPU or GPU.", "",
        "## Training", "", *_table({**recipe["train"], "data": recipe["data"], "device": recipe.get("device", "")}), "",
        *([f"This training went on from {escaped(str(started))}.", ""] if started else []),
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


def escaped(text: str) -> str:
    """Markdown, for the middle of a line, that shows a foreign text as it is."""
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


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


class _Named(dict):
    def __missing__(self, key: str) -> str:
        return key


@dataclass(frozen=True)
class Measure:
    """How one number of metrics.json is shown.

    Args:
        key: its name in metrics.json.
        words: what it is called, with the names of other numbers in braces.
        form: how it is written.
        better: "low" or "high", or "" for what is neither.
    """

    key: str
    words: str
    form: str = ".4g"
    better: str = ""

    def named(self, metrics: dict) -> str:
        """Its words, filled in from the other numbers of metrics.json; those that are missing stay as their names."""
        try:
            return self.words.format_map(_Named(metrics))
        except ValueError:  # a number that the words want is missing
            return self.key.replace("_", " ")

    @property
    def key_of_real(self) -> str:
        return self.key + "_of_real"


MEASURES = (
    Measure("fid_digit_classifier", "FID, digit-classifier features", ".3g", "low"),
    Measure("kid_digit_classifier", "KID, digit-classifier features", ".2g", "low"),
    Measure("precision", "precision (k = {neighbours})", ".3f", "high"),
    Measure("recall", "recall (k = {neighbours})", ".3f", "high"),
    Measure("density", "density (k = {neighbours})", ".3f"),
    Measure("coverage", "coverage (k = {neighbours})", ".3f", "high"),
    Measure("class_shares_kl_divergence", "KL divergence of the class shares from real ones, nats", ".2g", "low"),
    Measure("class_shares", "class shares in %, from 0 on (real: test images)"),
    Measure("share_confident", "share the classifier is at least {confident_from:.0%} confident of (real: test images)",
            ".1%", "high"),
    Measure("share_confident_ends", "the same at the ends of {walks:,} random interpolations", ".1%", "high"),
    Measure("share_confident_midpoints", "the same halfway between these ends", ".1%", "high"),
    Measure("perceptual_path_length", "perceptual path length, digit-classifier features", ".3g", "low"),
    Measure("class_as_asked", "share whose class is the one asked for", ".2%", "high"),
    Measure("classification_accuracy_score",
            "classification accuracy score: of a classifier trained on {samples_learnt_from:,} samples alone, on real "
            "test images", ".2%", "high"),
    Measure("pixel_frechet_distance", "Fréchet distance in raw pixels", ".3g", "low"),
    Measure("shrunk_pixel_frechet_distance", "Fréchet distance in pixels, of images shrunk to {shrunk_to}", ".3g",
            "low"),
    Measure("nearest_training_image_distances",
            "distance to the nearest training image, 5% / 50% / 95% (real: test images)"),
    Measure("mean_probability_real", "its discriminator’s mean probability that samples are real, calibrated after "
            "training (real: test images)", ".3f"),
    Measure("wasserstein_1", "Wasserstein-1 distance", ".3f", "low"),
    Measure("sliced_wasserstein", "sliced Wasserstein-1 distance", ".3f", "low"),
    Measure("mean_distance_from_sine", "mean of abs(x₂ − sin x₁)", ".3f", "low"),
    Measure("largest_gap_in_x1", "widest gap in x₁", ".3f", "low"),
    Measure("modes", "modes with a sample, of {centres}", ".4g", "high"),
    Measure("high_quality", "share within 3σ of a mode", ".1%", "high"),
    Measure("width", "standard deviation of these about their mode, in σ", ".2f"),
    Measure("reverse_kl", "reverse KL from equal shares of the modes, nats", ".2g", "low"),
    Measure("kl_from_equal_shares", "KL from equal shares of the modes, nats", ".3f", "low"),
    Measure("mean", "mean"),
    Measure("std", "standard deviation"),
    Measure("final_discriminator_loss", "discriminator’s loss at the end (ln 2 is 0.693)", ".3f"),
    Measure("final_generator_loss", "generator’s loss at the end", ".3f"),
)


# the types of metrics.json's values, float for any number; other names may have any
KINDS: dict[str, type] = {
    **{measure.key: float for measure in MEASURES},
    **dict.fromkeys(("samples", "real_images", "neighbours", "confident_from", "walks", "samples_learnt_from",
                     "centres"), float),
    **dict.fromkeys(("data", "against", "features", "shrunk_to"), str),
    "data_is_folder": bool, "class_shares": list, "nearest_training_image_distances": dict,
}


@dataclass(frozen=True)
class Comparison:
    """The measures of one model or several, side by side.

    Args:
        columns: the models' names, and "real" where real samples were measured too.
        rows: the measure, what it is called, and its columns.
        note: how many samples there are, and what they were measured against.
    """

    columns: list[str]
    rows: list[tuple[Measure, str, list[str]]]
    note: str

    @classmethod
    def several(cls, models: dict[str, dict]) -> list["Comparison"]:
        """A comparison for each group of models that can be compared: measured on the same data, in the same way."""
        groups: dict[tuple, dict[str, dict]] = {}
        for name, metrics in models.items():
            alike = tuple(metrics.get(key) for key in ("data", "data_is_folder", "against", "features", "samples",
                                                       "real_images"))
            groups.setdefault(alike, {})[name] = metrics
        return [cls.of(group) for group in groups.values()]

    @classmethod
    def of(cls, models: dict[str, dict]) -> "Comparison":
        """From the metrics.json of models that were measured in the same way."""
        known = [(measure, [metrics for metrics in models.values() if measure.key in metrics]) for measure in MEASURES]
        known = [(measure, holders) for measure, holders in known if holders]
        beside = any(measure.key_of_real in metrics for measure, holders in known for metrics in holders)
        rows = []
        for measure, holders in known:
            cells = [written(measure, metrics.get(measure.key)) for metrics in models.values()]
            real = next((metrics[measure.key_of_real] for metrics in holders if measure.key_of_real in metrics), None)
            rows.append((measure, measure.named(holders[0]), [*cells, *([written(measure, real)] * beside)]))
        return cls([*models, *(["real"] * beside)], rows, _note(models, beside))

    def markdown(self) -> list[str]:
        return ["| | " + " | ".join(map(escaped, self.columns)) + " |", "|---|" + "---|" * len(self.columns),
                *(f"| {escaped(words)} | " + " | ".join(cells) + " |" for _, words, cells in self.rows), "",
                escaped(self.note)]


def _note(models: dict[str, dict], beside: bool) -> str:
    first = next(iter(models.values()))
    if "samples" not in first:
        return ""
    note, images = f"{first['samples']:,} samples, without truncation", "against" in first
    note += f", measured against {first.get('real_images', 0):,} {first['against']}." if images else "."
    if beside:
        note += (" “Real” is as many training images, measured in the same way, where nothing else is said." if images
                 else " “Real” is as many real samples, measured in the same way.")
    if any("class_as_asked" in metrics for metrics in models.values()):
        note += " A model with classes is asked for those of these training images."
    if "fid_digit_classifier" in first:
        note += (f" FID and KID are distances in the features of ganlib’s own {first.get('features')}, which knows the "
                 f"training images: no Inception FID, and comparable only with what this classifier has measured. KID "
                 f"is estimated without bias, so where there is no distance it may come out below 0.")
        if any(metrics.get("fid_digit_classifier", math.inf) < metrics.get("fid_digit_classifier_of_real", 0)
               for metrics in models.values()):
            note += (" An FID below that of real images does not mean better than real: which of them are drawn makes "
                     "as much of a difference.")
    return note


def written(measure: Measure, value) -> str:
    """A value of metrics.json as a table shows it; nothing for None."""
    if isinstance(value, dict):  # quantiles
        return " / ".join(f"{value[share]:.3g}" for share in ("5%", "50%", "95%") if share in value)
    if isinstance(value, list):  # shares
        return " ".join(f"{100 * share:.1f}" for share in value)
    return "" if value is None else format(value, measure.form)


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
