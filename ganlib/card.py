"""The model card, a weights folder's README.md, written from the folder's own facts. Knows nothing of models."""

from dataclasses import dataclass

LICENSE = "mit"
DATASET_IDS = {"mnist": "ylecun/mnist", "fashion-mnist": "zalando-datasets/fashion_mnist"}  # by their Hub names


def model_card(config: dict, metrics: dict, history: list[dict]) -> str:
    """Markdown with the Hub's front matter: what it is, how to load it, how it was trained, how good it is, limits."""
    recipe, architecture = {"data": "unknown data", "train": {}, **config["recipe"]}, config["architecture"]
    images = len(config["shape"]) == 3
    front = ["---", f"license: {LICENSE}", "library_name: ganlib", "tags: [gan, ganlib, "
             f"{architecture['name']}]"]
    if images:
        front.append("pipeline_tag: unconditional-image-generation")
    if recipe["data"] in DATASET_IDS:
        front.append(f"datasets: [{DATASET_IDS[recipe['data']]}]")
    title = f"# {config['name']}"
    kind = "images" if images else f"{config['shape'][0]}-dimensional points"
    about = (f"A small GAN ({architecture['name']}) that makes {kind} of shape {tuple(config['shape'])} from "
             f"{config['latent_dim']} random numbers, trained on {recipe['data']} with ganlib.")
    return "\n".join([
        *front, "---", "", title, "", about, "", "![samples](samples.png)", "",
        "## Use", "", "```python", "import ganlib", "",
        'model = ganlib.load("path/to/this/folder")',
        "x = model.sample(seeds=range(16))", "```", "",
        "A seed names a sample: it is the same alone or among others, on CPU or GPU.", "",
        "## Training", "", *_table({**recipe["train"], "data": recipe["data"], "device": recipe.get("device", "")}), "",
        "Generator and discriminator:", "", *_table({k: v for k, v in architecture.items() if k != "name"}), "",
        "## How good it is", "",
        *(comparison({config["name"]: metrics}) if metrics else ["Not measured yet."]), "",
        f"Over {history[-1]['step']:,} steps the losses are in `history.json`; a GAN's losses do not say how good its "
        "samples are." if history else "", "",
        *(_digits_note() if "fid_digit_classifier" in metrics else []),
        "## Limits", "",
        "It was made to be looked at and learnt from. It knows nothing but its training data, repeats that data's "
        "biases, and some of its samples are wrong.", "",
    ])


@dataclass(frozen=True)
class Measure:
    """How one number of metrics.json is shown: in words, which may name others of its numbers, and how it is written.

    better: "low" or "high", or "" for what is neither.
    """

    key: str
    words: str
    form: str = ".4g"
    better: str = ""

    @property
    def key_of_real(self) -> str:
        return self.key + "_of_real"


MEASURES = (
    Measure("fid_digit_classifier", "FID, digit-classifier features", ".3g", "low"),
    Measure("kid_digit_classifier", "KID, digit-classifier features", ".2g", "low"),
    Measure("precision", "precision (k = {neighbours})", ".3f", "high"),
    Measure("recall", "recall (k = {neighbours})", ".3f", "high"),
    Measure("density", "density (k = {neighbours})", ".3f", "high"),
    Measure("coverage", "coverage (k = {neighbours})", ".3f", "high"),
    Measure("class_shares_kl_divergence", "KL divergence of the class shares from real ones, nats", ".2g", "low"),
    Measure("share_sure", "share the classifier is at least {sure:.0%} sure of", ".1%", "high"),
    Measure("class_as_asked", "share whose class is the one asked for", ".2%", "high"),
    Measure("accuracy_on_real_after_learning_from_samples",
            "accuracy on real test images of a classifier taught by {samples_learnt_from:,} samples alone", ".2%",
            "high"),
    Measure("pixel_frechet_distance", "Fréchet distance in raw pixels", ".3g", "low"),
    Measure("nearest_training_image_distances", "distance to the nearest training image, 5% / 50% / 95%"),
    Measure("mean_probability_real", "its discriminator’s mean probability that samples are real", ".2f"),
    Measure("wasserstein_1", "Wasserstein-1 distance", ".3f", "low"),
    Measure("sliced_wasserstein", "sliced Wasserstein-1 distance", ".3f", "low"),
    Measure("mean_distance_from_sine", "mean of abs(x₂ − sin x₁)", ".3f", "low"),
    Measure("largest_gap_in_x1", "widest gap in x₁", ".3f", "low"),
    Measure("modes", "modes with a sample, of {centres}", "d", "high"),
    Measure("high_quality", "share within 3σ of a mode", ".1%", "high"),
    Measure("reverse_kl", "reverse KL from equal shares of the modes, nats", ".2g", "low"),
    Measure("mean", "mean"),
    Measure("std", "standard deviation"),
    Measure("final_discriminator_loss", "discriminator’s loss at the end (ln 2 is 0.693)", ".3f"),
    Measure("final_generator_loss", "generator’s loss at the end", ".3f"),
)


def comparison(models: dict[str, dict]) -> list[str]:
    """A Markdown table of the measures of one model or several, beside real samples'; every count is stated."""
    measured = next((metrics for metrics in models.values() if "against" in metrics), next(iter(models.values())))
    known = [measure for measure in MEASURES if any(measure.key in metrics for metrics in models.values())]
    real = any(measure.key_of_real in metrics for measure in known for metrics in models.values())
    lines = ["| | " + " | ".join([*models, *(["real"] if real else [])]) + " |",
             "|---|" + "---|" * (len(models) + real)]
    for measure in known:
        holders = [metrics for metrics in models.values() if measure.key in metrics]
        cells = [written(measure, metrics.get(measure.key)) for metrics in models.values()]
        if real:
            cells.append(written(measure, next((m[measure.key_of_real] for m in holders if measure.key_of_real in m),
                                                None)))
        lines.append(f"| {measure.words.format(**holders[0])} | " + " | ".join(cells) + " |")
    counts = ", ".join(f"{name}: {metrics['samples']:,}" for name, metrics in models.items()) if len(models) > 1 \
        else f"{measured['samples']:,}"
    lines += ["", f"Samples: {counts}, without truncation."]
    if "against" in measured:
        lines[-1] += (f" Measured against {measured['real_images']:,} {measured['against']}" +
                      ("; “real” is as many training images, measured in the same way." if real else "."))
    elif real:
        lines[-1] += " “Real” is as many fresh samples of the data, measured in the same way."
    return lines


def written(measure: Measure, value) -> str:
    """A value of metrics.json as a table shows it; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, dict):  # quantiles
        return " / ".join(f"{value[share]:.3g}" for share in ("5%", "50%", "95%"))
    return format(value, measure.form)


def _digits_note() -> list[str]:
    return ["The FID and KID here are distances in the features of ganlib’s own digit classifier: they are no "
            "Inception FID, and comparable only with others measured by it. Below are samples, each above the training "
            "image nearest to it: invented, or remembered?", "",
            "![samples above their nearest training images](nearest.png)",
            ""]


def classifier_card(recipe: dict, metrics: dict) -> str:
    """The card of the digit classifier, which is no GAN: what it is for, how it was trained, what it gets wrong."""
    return "\n".join([
        "---", f"license: {LICENSE}", "library_name: ganlib", "tags: [image-classification, ganlib, digits]",
        "pipeline_tag: image-classification", f"datasets: [{DATASET_IDS['mnist']}]", "---", "",
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
    rows = [f"| {key.replace('_', ' ')} | {_text(value)} |" for key, value in values.items()]
    return ["| | |", "|---|---|", *rows]


def _text(value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
