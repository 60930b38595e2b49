"""The names, number formats and tables of the measures in metrics.json. Knows nothing of models and files."""

import math
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganlib.checks import escaped


@dataclass(frozen=True)
class Measure:
    """How one measure of metrics.json is shown.

    Args:
        key: its key in metrics.json.
        words: its name in tables; {braces} stand for other values of metrics.json.
        form: its format specification.
        better: "low" or "high", "" if neither is better.
    """

    key: str
    words: str
    form: str = ".4g"
    better: str = ""

    def named(self, metrics: Mapping[str, Any]) -> str:
        """Its words, filled in from metrics.json; its key if a value is missing there."""
        try:
            return self.words.format_map(metrics)
        except (KeyError, ValueError):
            return self.key.replace("_", " ")

    def written(self, value: Any) -> str:
        """A value as tables show it; "" for None."""
        if isinstance(value, dict) and "50%" in value:  # quantiles
            return " / ".join(f"{value[share]:.3g}" for share in ("5%", "50%", "95%") if share in value)
        if isinstance(value, dict):
            return ", ".join(f"{escaped(name)} {number:.2f}" for name, number in value.items())
        if isinstance(value, list):  # shares
            return " ".join(f"{100 * share:.1f}" for share in value)
        return "" if value is None else format(value, self.form)


MEASURES = (
    Measure("fid_digit_classifier", "FID, digit-classifier features", "#.3g", "low"),
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
    Measure("direction_correlations", "correlation of a movement along each direction with the change of what it is "
            "named after"),
    Measure("class_as_asked", "share whose class is the one asked for", ".2%", "high"),
    Measure("classification_accuracy_score",
            "classification accuracy score: of a classifier trained on {samples_learnt_from:,} samples alone, on real "
            "test images", ".2%", "high"),
    Measure("reconstruction_psnr", "PSNR of the reconstructions of {against}, mean in dB", ".1f", "high"),
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
    Measure("width", "standard deviation of samples within 3σ about their mode, in σ", ".2f"),
    Measure("reverse_kl", "reverse KL from equal shares of the modes, nats", ".2g", "low"),
    Measure("kl_from_equal_shares", "KL from equal shares of the modes, nats", ".3f", "low"),
    Measure("mean", "mean"),
    Measure("std", "standard deviation"),
    Measure("final_discriminator_loss", "discriminator’s loss at the end, without penalties", ".3f"),
    Measure("final_generator_loss", "generator’s loss at the end", ".3f"),
    Measure("final_reconstruction_loss", "reconstruction loss at the end, nats an image", ".1f"),
    Measure("final_kl_divergence", "KL divergence of q(z | x) from the prior at the end, nats an image", ".1f"),
)

# the types of metrics.json's values, float for any number; a key that is not listed may have any type
TYPES: dict[str, type] = {
    **{measure.key: float for measure in MEASURES},
    **dict.fromkeys(("samples", "real_images", "neighbours", "confident_from", "walks", "samples_learnt_from",
                     "centres"), float),
    **dict.fromkeys(("data", "against", "features", "shrunk_to"), str),
    "data_is_folder": bool, "class_shares": list,
    **dict.fromkeys(("nearest_training_image_distances", "direction_correlations"), dict),
}


@dataclass(frozen=True)
class Comparison:
    """A table of the measures of one or more models.

    Args:
        columns: the models' names, and "real" if real samples were measured too.
        rows: each measure, its name, and its cells.
        note: how many samples were measured, and against what.
    """

    columns: list[str]
    rows: list[tuple[Measure, str, list[str]]]
    note: str

    @classmethod
    def several(cls, models: dict[str, dict[str, Any]]) -> list["Comparison"]:
        """A table for each group of models, by their names, whose metrics.json are of the same data and method."""
        groups: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
        for name, metrics in models.items():
            conditions = ("data", "data_is_folder", "against", "features", "samples", "real_images")
            groups.setdefault(tuple(map(metrics.get, conditions)), {})[name] = metrics
        return [cls.of(group) for group in groups.values()]

    @classmethod
    def of(cls, models: dict[str, dict[str, Any]]) -> "Comparison":
        """The table of models, by their names, whose metrics.json are of the same data and method."""
        known = ChainMap(*models.values())
        measures = [measure for measure in MEASURES if measure.key in known]
        real = ["real"] if any(f"{measure.key}_of_real" in known for measure in measures) else []
        rows = []
        for measure in measures:
            values = [metrics.get(measure.key) for metrics in models.values()]
            values += [known.get(f"{measure.key}_of_real") for _ in real]
            rows.append((measure, measure.named(known), list(map(measure.written, values))))
        return cls([*models, *real], rows, _note(models, bool(real)))

    def markdown(self) -> list[str]:
        """The lines of a Markdown table, and of the note below it."""
        return ["| | " + " | ".join(map(escaped, self.columns)) + " |", "|---|" + "---|" * len(self.columns),
                *(f"| {escaped(words)} | " + " | ".join(cells) + " |" for _, words, cells in self.rows), "",
                escaped(self.note)]


def _note(models: dict[str, dict[str, Any]], has_real: bool) -> str:
    known = ChainMap(*models.values())
    if "samples" not in known:
        return ""
    note, images = f"{known['samples']:,} samples, without truncation", "against" in known
    note += f", measured against {known.get('real_images', 0):,} {known['against']}." if images else "."
    if has_real:
        note += f" “Real” is as many {'training images' if images else 'real samples'}, measured in the same way"
        note += ", unless the row says otherwise." if images else "."
    if "class_as_asked" in known:
        note += " A model with classes generates the classes of these training images."
    if "fid_digit_classifier" in known:
        note += (f" FID and KID are distances in the features of ganlib’s own {known.get('features')}, which was "
                 f"trained on the training images. They are not Inception FIDs: compare them only with other numbers "
                 f"of this classifier. KID is estimated without bias, so it may be below 0.")
        if any(metrics.get("fid_digit_classifier", math.inf) < metrics.get("fid_digit_classifier_of_real", 0)
               for metrics in models.values()):
            note += " An FID below that of real images does not mean better than real: both vary with the images drawn."
    return note
