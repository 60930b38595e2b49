"""How the numbers of metrics.json are called, written and tabulated. Knows nothing of models and files."""

import math
from dataclasses import dataclass

from ganlib.checks import escaped


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
    Measure("share_confident_ends", "share confident at the ends of {walks:,} random interpolations", ".1%", "high"),
    Measure("share_confident_midpoints", "share confident halfway between these ends", ".1%", "high"),
    Measure("perceptual_path_length", "perceptual path length, digit-classifier features", ",.0f", "low"),
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
    Measure("final_discriminator_loss", "discriminator’s loss at the end, without penalties", ".3f"),
    Measure("final_generator_loss", "generator’s loss at the end", ".3f"),
)


# the types of metrics.json's values, float for any number; other names may have any
TYPES: dict[str, type] = {
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
