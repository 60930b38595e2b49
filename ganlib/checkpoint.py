"""A weights folder, config.json and safetensors, to a Model and back. Nothing is unpickled.

| file                        | holds                                                                       |
|-----------------------------|-----------------------------------------------------------------------------|
| config.json                 | architecture, shape, classes, latent_dim, recipe, library version           |
| model.safetensors           | the generator (its average over training), float16 where that changes no    |
|                             | weight, else float32; or the classifier                                     |
| discriminator.safetensors   | the discriminator, float16 to halve the folder                              |
| metrics.json, history.json  | how good it is; losses by step                                              |
| README.md, samples.png      | the model card and its picture                                              |
| growth.png                  | of images: fixed seeds, a row for each of some moments of the training      |
| nearest.png                 | of images: samples, each above the training image most like it              |
| history-NAME.json           | where there is one: of another run, to be shown beside                      |
"""

import hashlib
import json
import os
import tempfile
from fnmatch import fnmatch
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ganlib import classifier
from ganlib.card import MEASURES, Comparison, is_our_card
from ganlib.classifier import DigitClassifier
from ganlib.model import Model
from ganlib.networks import describe, listed, quoted, rebuild
from ganlib.version import __version__

CONFIG, GENERATOR, DISCRIMINATOR = "config.json", "model.safetensors", "discriminator.safetensors"
METRICS, HISTORY, CARD, SAMPLES = "metrics.json", "history.json", "README.md", "samples.png"
GROWTH, NEAREST = "growth.png", "nearest.png"
MEASURED = "weights_sha256"  # in metrics.json: which weights were measured
LARGEST = 1e15  # what a measure or a loss may be
NUMBERS = {measure.key for measure in MEASURES}


class WeightsError(Exception):
    """A weights folder that is missing, broken or not ours; the message names the file and what is wrong with it."""


def _shipped_folders() -> dict[str, Path]:
    package = Path(__file__).resolve().parent
    # inside an installed package, or beside the package in a checkout and on a Space
    root = next((root for root in (package / "weights", package.parent / "weights") if root.is_dir()), None)
    return {} if root is None else {path.parent.name: path.parent for path in sorted(root.glob(f"*/{CONFIG}"))}


def shipped() -> dict[str, Path]:
    """The models that come with ganlib: name to weights folder. The digit classifier is no GAN, and not among them."""
    return {name: folder for name, folder in _shipped_folders().items() if name != classifier.NAME}


def load(source: str | Path, device: torch.device | str | None = None) -> Model:
    """The trained model `source`: the name of a shipped one, wherever the process runs, or a weights folder.

    A Path is a folder where there is one, even if a shipped model has its name. device: None for the best there is.
    Loading is strict: every tensor must have the name and shape the architecture says. Raises WeightsError naming the
    file and what is wrong with it.
    """
    ours = _shipped_folders()
    a_folder = isinstance(source, Path) and source.is_dir()
    folder = source if a_folder else ours.get(str(source), Path(source))
    if not os.path.isdir(folder):  # unlike Path.is_dir, False for a name that is too long
        raise WeightsError(f"there is no weights folder {str(source)!r}, and no shipped model of that name (shipped: "
                           f"{', '.join(shipped()) or 'none'})")
    config = read_json(folder / CONFIG, dict)
    if _is_classifier(config):
        raise WeightsError(f"{folder} holds the {classifier.NAME}, which measures samples and makes none")
    try:
        architecture = rebuild(config.get("architecture"))
        for key in ("shape", "num_classes", "latent_dim"):
            theirs, built = config.get(key), getattr(architecture, key)
            built = list(built) if isinstance(built, tuple) else built
            if theirs != built:
                raise ValueError(f"{key} is {quoted(theirs)}, but the architecture's is {built!r}")
        _check_recipe(config.get("recipe", {}))
        _check_class_names(config.get("class_names"), architecture.num_classes)
        with torch.device("meta"):  # shapes only: nothing is allocated or drawn until the tensors are known to fit
            generator, discriminator = architecture.generator(), architecture.discriminator()
    except ValueError as error:
        raise WeightsError(f"{folder / CONFIG}: {error}") from None
    except (RuntimeError, TypeError, OverflowError):
        raise WeightsError(f"{folder / CONFIG}: networks of that size cannot be built") from None
    _read_network(generator, folder / GENERATOR)
    _read_network(discriminator, folder / DISCRIMINATOR)
    model = Model(str(config.get("name") or folder.resolve().name), architecture, generator, discriminator,
                  config=config, history=_read_history(folder / HISTORY),
                  metrics=read_metrics(folder), folder=folder)
    return model.to(device or best_device())


def _check_recipe(recipe) -> None:
    if not isinstance(recipe, dict):
        raise ValueError("recipe is not a table")
    if not isinstance(recipe.get("data", ""), str) or not isinstance(recipe.get("train", {}), dict):
        raise ValueError("recipe must have its data as a text, and train as a table")


def _check_class_names(names, num_classes: int | None) -> None:
    if names is not None and not (isinstance(names, list) and len(names) == (num_classes or 0)
                                  and all(isinstance(name, str) and 0 < len(name) <= 255 for name in names)):
        raise ValueError(f"class_names must be a list of {num_classes or 0} names")


def _is_classifier(config: dict) -> bool:
    architecture = config.get("architecture")
    return isinstance(architecture, dict) and architecture.get("name") == classifier.NAME


def has_classifier() -> bool:
    """Whether the digit classifier is there to measure with."""
    return classifier.NAME in _shipped_folders()


def load_classifier(source: str | Path = classifier.NAME, device: torch.device | str | None = None) -> DigitClassifier:
    """The trained digit classifier: the shipped one, or that of a folder; as strict as `load`, with the same errors."""
    folder = _shipped_folders().get(str(source), Path(source))
    if not folder.is_dir():
        raise WeightsError(f"there is no weights folder {str(source)!r}; python -m train {classifier.NAME} makes one")
    config = read_json(folder / CONFIG, dict)
    if not _is_classifier(config):
        raise WeightsError(f"{folder / CONFIG} is not of a {classifier.NAME}")
    with torch.device("meta"):
        network = DigitClassifier()
    for key, value in describe_classifier(network).items():
        if config.get(key) != value:
            raise WeightsError(f"{folder / CONFIG}: {key} is {quoted(config.get(key))}, but the {classifier.NAME}'s is "
                               f"{value!r}")
    _read_network(network, folder / GENERATOR)
    network.to(memory_format=torch.channels_last)  # as it is trained: quicker on a CPU
    return network.eval().requires_grad_(False).to(device or best_device())


def describe_classifier(network: DigitClassifier) -> dict:
    """What config.json says of the digit classifier, beside its recipe."""
    return {"architecture": {"name": classifier.NAME}, "shape": list(network.shape), "num_classes": network.num_classes}


def save_classifier(network: DigitClassifier, folder: str | Path, recipe: dict, history: list[dict]) -> Path:
    """Write the digit classifier's weights, config and history; `save_report` writes what is said of it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"name": classifier.NAME, "library_version": __version__, **describe_classifier(network), "recipe": recipe}
    (folder / CONFIG).unlink(missing_ok=True)  # without its config no folder loads
    write_whole(folder / GENERATOR, _to_safetensors(network, torch.float32))
    write_whole(folder / HISTORY, to_json(history))
    write_whole(folder / CONFIG, to_json(config))
    return folder


def _is_number(value) -> bool:
    return isinstance(value, int | float) and abs(value) < LARGEST


def _read_history(path: Path) -> list[dict]:
    rows = read_json(path, list, missing=[])
    together = {"discriminator_loss", "generator_loss"}, {"fid_digit_classifier", "precision", "recall"}
    ok = all(isinstance(row, dict) and "step" in row and all(map(_is_number, row.values()))
             and all(keys <= row.keys() or not keys & row.keys() for keys in together) for row in rows)
    if not ok:
        raise WeightsError(f"{path}: every row must have a step, both losses or none, and FID, precision and recall or "
                           f"none of these, all numbers")
    return rows


def read_metrics(folder: Path) -> dict:
    """The metrics.json of a weights folder, {} where there is none. Raises WeightsError for one that cannot be ours."""
    metrics = read_json(folder / METRICS, dict, missing={})
    try:
        ok = all(_may_be(key.removesuffix("_of_real"), value) for key, value in metrics.items())
        ok = ok and bool(Comparison.several({"": metrics}))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        ok = False
    if not ok:
        raise WeightsError(f"{folder / METRICS} does not hold measures as ganlib writes them")
    return metrics


def _may_be(key: str, value) -> bool:
    """Whether metrics.json may hold such a value under that key; keys of other versions may have any plain one."""
    if key == "class_shares":
        return isinstance(value, list) and all(_is_number(share) and 0 <= share <= 1 for share in value)
    if key == "nearest_training_image_distances":
        return isinstance(value, dict) and all(map(_is_number, value.values()))
    return _is_number(value) or (isinstance(value, str) and key not in NUMBERS)


def other_histories(folder: Path) -> dict[str, list[dict]]:
    """The histories of other runs that a weights folder keeps beside its own, as `history-NAME.json`, by their names.

    Raises WeightsError for a file that is none.
    """
    return {path.stem.removeprefix("history-"): _read_history(path) for path in sorted(folder.glob("history-*.json"))}


def belongs(name: str) -> bool:
    """Whether a file of that name is part of a weights folder."""
    ours = (CONFIG, GENERATOR, DISCRIMINATOR, METRICS, HISTORY, CARD, SAMPLES, GROWTH, NEAREST)
    return name in ours or fnmatch(name, "history-*.json")


def files(folder: str | Path) -> list[Path]:
    """The files of a weights folder, sorted; not what else lies there.

    Raises WeightsError for a link that leads out of the folder, unless it is the Hub's cache, which consists of them.
    """
    found = [path for path in sorted(Path(folder).iterdir()) if path.is_file() and belongs(path.name)]
    home = Path(folder).resolve()
    for path in found:
        target = path.resolve()
        cached = target.parent.name == "blobs" and home.is_relative_to(target.parents[1] / "snapshots")
        if not target.is_relative_to(home) and not cached:
            raise WeightsError(f"{path} is a link that leads out of the folder")
    return found


def digest(path: str | Path) -> str:
    """The SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def best_device() -> str:
    """"cuda", "mps" or "cpu", whichever of them is there first."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def read_json(path: Path, kind: type, missing=None):
    """The JSON value of a file, of the kind (dict or list) it must be; `missing`, where given, stands for no file."""
    if missing is not None and not path.exists():
        return missing
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not JSON ({error})") from None
    if not isinstance(value, kind):
        raise WeightsError(f"{path} holds a JSON {type(value).__name__}, where a {kind.__name__} belongs")
    return value


def _read_network(network: nn.Module, path: Path) -> None:
    expected = network.state_dict()
    try:
        found = safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise WeightsError(f"{path} is missing") from None
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({' '.join(str(error).split())[:80]})") from None
    lacking, foreign = expected.keys() - found.keys(), found.keys() - expected.keys()
    for problem, keys in (("lacks", lacking), ("has the foreign", foreign)):
        if keys:
            raise WeightsError(f"{path} {problem} tensor {listed(sorted(keys))}")
    for key, tensor in found.items():
        if tensor.shape != expected[key].shape:
            raise WeightsError(f"{path}: {key} is {tuple(tensor.shape)}, but the architecture's is "
                               f"{tuple(expected[key].shape)}")
        if tensor.is_floating_point() != expected[key].is_floating_point():
            raise WeightsError(f"{path}: {key} holds {tensor.dtype}, which is not {expected[key].dtype}")
        if not tensor.isfinite().all():
            raise WeightsError(f"{path}: {key} holds numbers that are not finite")
    network.load_state_dict({key: found[key].to(expected[key].dtype) for key in expected}, assign=True)


def save(model: Model, folder: str | Path) -> Path:
    """Write a model's weights, config, history and metrics; what else is in the folder is left alone.

    Raises ValueError for a model whose config does not name its architecture.
    """
    config = config_of(model)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as temporary:
        partial = Path(temporary)
        (partial / GENERATOR).write_bytes(_to_safetensors(model.generator))
        (partial / DISCRIMINATOR).write_bytes(_to_safetensors(model.discriminator, torch.float16))
        (partial / METRICS).write_bytes(to_json(model.metrics))
        (partial / HISTORY).write_bytes(to_json(model.history))
        (partial / CONFIG).write_bytes(to_json(config))
        # without its config no folder loads: one that was left half-way says so
        (folder / CONFIG).unlink(missing_ok=True)
        for path in sorted(partial.iterdir(), key=lambda path: path.name == CONFIG):
            os.replace(path, folder / path.name)
    return folder


def save_report(folder: Path, metrics: dict, card: str, samples: bytes) -> None:
    """Write what is said of a model into its folder: its measures, its card and its picture (PNG).

    A card that somebody has edited is left as it is.
    """
    write_whole(folder / METRICS, to_json(metrics))
    if not (folder / CARD).exists() or is_our_card((folder / CARD).read_text(encoding="utf-8", errors="replace")):
        write_whole(folder / CARD, card.encode())
    write_whole(folder / SAMPLES, samples)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def config_of(model: Model) -> dict:
    """What config.json says of a model: all that is needed to build it again, and the recipe that trained it."""
    if "architecture" not in model.config:
        raise ValueError("the model's config must name its architecture: {'architecture': {'name': ...}}")
    return {
        "name": model.name,
        "library_version": __version__,
        "architecture": describe(model.config["architecture"]["name"], model.architecture),
        "shape": list(model.shape),
        "num_classes": model.num_classes,
        "latent_dim": model.latent_dim,
        **{key: model.config[key] for key in ("class_names",) if key in model.config},
        "recipe": model.config.get("recipe", {}),
    }


def to_json(value) -> bytes:
    """JSON a person can read: lists of records get a line a record."""
    if isinstance(value, list):
        text = "[\n" + ",\n".join(json.dumps(record) for record in value) + "\n]\n"
    else:
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text.encode()


def _to_safetensors(network: nn.Module, dtype: torch.dtype | None = None) -> bytes:
    """Its weights in this dtype; for None, in the smallest of float16 and float32 that holds them as they are."""
    if dtype is None:
        numbers = [value for value in network.state_dict().values() if value.is_floating_point()]
        dtype = torch.float16 if all(value.half().to(value.dtype).equal(value) for value in numbers) else torch.float32

    def stored(tensor: Tensor) -> Tensor:
        return (tensor.to(dtype) if tensor.is_floating_point() else tensor).detach().cpu().contiguous()

    # as bytes: save_file would let nobody else read the file
    return safetensors.torch.save({key: stored(value) for key, value in network.state_dict().items()})
