"""A weights folder, config.json and safetensors, to a Model and back. Nothing is unpickled.

| file                        | holds                                                                       |
|-----------------------------|-----------------------------------------------------------------------------|
| config.json                 | architecture, shape, classes, latent_dim, calibration, recipe, version      |
| model.safetensors           | the generator (its average over training), or the classifier                |
| discriminator.safetensors   | the discriminator, where the architecture has one                           |
| metrics.json, history.json  | how good it is; losses by step                                              |
| README.md, samples.png      | the model card and its picture                                              |
| growth.png                  | of images: fixed seeds, a row for each of some moments of the training      |
| nearest.png                 | of images: samples, each above the training image most like it              |
| history-NAME.json           | where there is one: of another run, for comparison                          |

Only the first three decide whether a folder loads. Weights are stored as float16 where that changes none of a network's
numbers, else as float32.
"""

import hashlib
import json
import os
import tempfile
import warnings
from fnmatch import fnmatch
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ganlib import architectures, calibration, classifier
from ganlib.calibration import Calibration
from ganlib.checks import listed, quoted
from ganlib.classifier import DigitClassifier
from ganlib.data import Data
from ganlib.measures import TYPES
from ganlib.model import Model
from ganlib.version import __version__

CONFIG, GENERATOR, DISCRIMINATOR = "config.json", "model.safetensors", "discriminator.safetensors"
METRICS, HISTORY, CARD, SAMPLES = "metrics.json", "history.json", "README.md", "samples.png"
GROWTH, NEAREST = "growth.png", "nearest.png"
HASHES = {GENERATOR: "weights_sha256", DISCRIMINATOR: "discriminator_sha256"}  # in metrics.json: what was measured
LARGEST = 1e15  # what a measure or a loss may be
LFS_POINTER = b"version https://git-lfs"


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
        architecture = architectures.rebuild(config.get("architecture"))
        for key in ("shape", "num_classes", "latent_dim"):
            theirs, built = config.get(key), getattr(architecture, key)
            built = list(built) if isinstance(built, tuple) else built
            if theirs != built:
                raise ValueError(f"{key} is {quoted(theirs)}, but the architecture's is {built!r}")
        calibrated = calibration.rebuild(config.get("calibration"), architecture.num_classes)
        _check_recipe(config.get("recipe", {}))
        _check_class_names(config.get("class_names"), architecture.num_classes)
        generator, discriminator = architectures.build(architecture, None)
    except ValueError as error:
        raise WeightsError(f"{folder / CONFIG}: {error}") from None
    except (RuntimeError, TypeError, OverflowError, MemoryError):
        raise WeightsError(f"{folder / CONFIG}: networks of that size cannot be built") from None
    _read_network(generator, folder / GENERATOR)
    if discriminator is not None:
        _read_network(discriminator, folder / DISCRIMINATOR)
    model = Model(str(config.get("name") or folder.resolve().name), architecture, generator, discriminator,
                  calibration=calibrated, config=config, history=read_history(folder / HISTORY),
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


def classifier_for(data: Data, device: torch.device | str | None = None) -> DigitClassifier | None:
    """The shipped digit classifier where it is there and the data are digits that it can read, else None."""
    if not (data.digits and tuple(data.shape[1:]) == classifier.SHAPE[1:] and has_classifier()):
        return None
    return load_classifier(device=device)


def load_classifier(source: str | Path = classifier.NAME, device: torch.device | str | None = None) -> DigitClassifier:
    """The trained digit classifier: the shipped one, or that of a folder; as strict as `load`, with the same errors."""
    folder = _shipped_folders().get(str(source), Path(source))
    if not folder.is_dir():
        raise WeightsError(f"there is no weights folder {str(source)!r}; python -m train {classifier.NAME} makes one")
    config = read_json(folder / CONFIG, dict)
    if not _is_classifier(config):
        raise WeightsError(f"{folder / CONFIG} is not of a {classifier.NAME}")
    network = classifier.without_weights()
    for key, value in describe_classifier(network).items():
        if config.get(key) != value:
            raise WeightsError(f"{folder / CONFIG}: {key} is {quoted(config.get(key))}, but the {classifier.NAME}'s is "
                               f"{value!r}")
    _read_network(network, folder / GENERATOR)
    network.to(memory_format=torch.channels_last)  # convolutions are faster so on a CPU
    return network.eval().requires_grad_(False).to(device or best_device())


def describe_classifier(network: DigitClassifier) -> dict:
    """What config.json says of the digit classifier, beside its recipe."""
    return {"architecture": {"name": classifier.NAME}, "shape": list(network.shape), "num_classes": network.num_classes}


def save_classifier(network: DigitClassifier, folder: str | Path, recipe: dict, history: list[dict]) -> Path:
    """Write the digit classifier's weights, config and history."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"name": classifier.NAME, "library_version": __version__, **describe_classifier(network), "recipe": recipe}
    (folder / CONFIG).unlink(missing_ok=True)  # without its config no folder loads
    write_whole(folder / GENERATOR, _to_safetensors(network))
    write_whole(folder / HISTORY, to_json(history))
    write_whole(folder / CONFIG, to_json(config))
    return folder


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def _is_measure(key: str, value) -> bool:
    """Whether metrics.json may hold a value: a number, a text, or numbers in a list or table, as its key wants."""
    kind = TYPES.get(key.removesuffix("_of_real"))
    if kind not in (None, float if _is_number(value) else type(value)):
        return False
    if isinstance(value, list | dict):
        numbers = value if isinstance(value, list) else value.values()
        return all(_is_number(number) and (kind is not list or 0 <= number <= 1) for number in numbers)
    return _is_number(value) or isinstance(value, str | bool)


def _left_out(path: Path, what: str) -> None:
    warnings.warn(f"{path}: {what} left out, not understood by this version of ganlib", stacklevel=3)


def read_history(path: Path) -> list[dict]:
    """The rows of a history.json, [] where there is none. Rows that are none are left out, with a warning."""
    rows = _read_report(path, list)
    good = [row for row in rows if isinstance(row, dict) and "step" in row and all(map(_is_number, row.values()))]
    if len(good) < len(rows):
        _left_out(path, f"{len(rows) - len(good)} of {len(rows)} rows")
    return good


def read_metrics(folder: Path) -> dict:
    """The metrics.json of a weights folder, {} where there is none. Values that are no measures are left out, with a
    warning."""
    metrics = _read_report(folder / METRICS, dict)
    foreign = sorted(key for key, value in metrics.items() if not _is_measure(key, value))
    if foreign:
        _left_out(folder / METRICS, listed(foreign))
    return {key: value for key, value in metrics.items() if key not in foreign}


def _read_report(path: Path, kind: type):
    """What a file beside the weights says; nothing, with a warning, where it cannot be read: weights do not depend on
    it."""
    try:
        return read_json(path, kind, missing=kind())
    except WeightsError as error:
        warnings.warn(f"{error}; it is left out", stacklevel=3)
        return kind()


def other_histories(folder: Path) -> dict[str, list[dict]]:
    """The histories of other runs that a weights folder keeps as `history-NAME.json`, by their names."""
    return {path.stem.removeprefix("history-"): read_history(path) for path in sorted(folder.glob("history-*.json"))}


def belongs(name: str) -> bool:
    """Whether a file of that name is part of a weights folder."""
    ours = (CONFIG, GENERATOR, DISCRIMINATOR, METRICS, HISTORY, CARD, SAMPLES, GROWTH, NEAREST)
    return name in ours or fnmatch(name, "history-*.json")


def files(folder: str | Path) -> list[Path]:
    """The files of a weights folder, sorted; not what else lies there.

    Raises WeightsError for a Git LFS pointer in place of a file, and for a link that leads out of the folder, unless it
    is the Hub's cache, which consists of them.
    """
    found = [path for path in sorted(Path(folder).iterdir()) if path.is_file() and belongs(path.name)]
    home = Path(folder).resolve()
    for path in found:
        target = path.resolve()
        cached = target.parent.name == "blobs" and home.is_relative_to(target.parents[1] / "snapshots")
        if not target.is_relative_to(home) and not cached:
            raise WeightsError(f"{path} is a link that leads out of the folder")
        _refuse_pointer(path)
    return found


def digest(path: str | Path) -> str:
    """The SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each network of a weights folder, by its name in metrics.json."""
    return {key: digest(folder / name) for name, key in HASHES.items() if (folder / name).exists()}


def is_measured(folder: Path, metrics: dict) -> bool:
    """Whether measures are of the networks in the folder, of both of them."""
    return all(metrics.get(key) == value for key, value in hashes(folder).items())


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
        _refuse_pointer(path)
        value = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not JSON ({error})") from None
    if not isinstance(value, kind):
        raise WeightsError(f"{path} holds a JSON {type(value).__name__}, where a {kind.__name__} belongs")
    return value


def _refuse_pointer(path: Path) -> None:
    with open(path, "rb") as file:
        pointer = file.read(len(LFS_POINTER)) == LFS_POINTER
    if pointer:
        raise WeightsError(f"{path} is a Git LFS pointer in place of the file: fetch it by `git lfs pull`")


def _read_network(network: nn.Module, path: Path) -> None:
    expected = network.state_dict()
    try:
        _refuse_pointer(path)
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

    Raises:
        ValueError: the model would not load again: it holds numbers that are not finite, or has a discriminator where
            its architecture has none, or the other way round. Nothing is written then.
    """
    folder = Path(folder)
    if (model.discriminator is None) != (architectures.build(model.architecture, None)[1] is None):
        lacks = model.discriminator is None
        raise ValueError(f"{model.name} has {'no' if lacks else 'a'} discriminator, and its architecture has "
                         f"{'one' if lacks else 'none'}: it would not load again, and nothing was written")
    contents = {GENERATOR: _to_safetensors(model.generator), METRICS: to_json(model.metrics),
                HISTORY: to_json(model.history), CONFIG: to_json(config_of(model))}
    if model.discriminator is not None:
        contents[DISCRIMINATOR] = _to_safetensors(model.discriminator)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as temporary:
        for name, content in contents.items():
            (Path(temporary) / name).write_bytes(content)
        # without its config no folder loads: an interrupted save is noticed
        (folder / CONFIG).unlink(missing_ok=True)
        for name in sorted(contents, key=lambda name: name == CONFIG):
            os.replace(Path(temporary) / name, folder / name)
    if model.discriminator is None:  # of a model that was here before
        (folder / DISCRIMINATOR).unlink(missing_ok=True)
    return folder


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def config_of(model: Model) -> dict:
    """What config.json says of a model: all that is needed to build it again, and the recipe that trained it."""
    return {
        "name": model.name,
        "library_version": __version__,
        "architecture": architectures.describe(model.architecture),
        "shape": list(model.shape),
        "num_classes": model.num_classes,
        "latent_dim": model.latent_dim,
        **{key: model.config[key] for key in ("class_names",) if key in model.config},
        **({} if model.calibration == Calibration() else {"calibration": model.calibration.describe()}),
        "recipe": model.config.get("recipe", {}),
    }


def to_json(value) -> bytes:
    """JSON a person can read: lists of records get a line a record."""
    if isinstance(value, list):
        text = "[\n" + ",\n".join(json.dumps(record) for record in value) + "\n]\n"
    else:
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text.encode()


@torch.no_grad()
def round_to_float16(network: nn.Module) -> None:
    """Round a network to float16, in place, which halves its file; one with numbers beyond float16 is left as it is."""
    numbers = [value for value in network.state_dict().values() if value.is_floating_point()]
    if all(value.half().isfinite().all() for value in numbers):
        for value in numbers:
            value.copy_(value.half())


def _to_safetensors(network: nn.Module) -> bytes:
    """Its weights in the smaller of float16 and float32 that holds all of them as they are."""
    values = network.state_dict()
    numbers = [value for value in values.values() if value.is_floating_point()]
    for key, value in values.items():
        if value.is_floating_point() and not value.float().isfinite().all():
            raise ValueError(f"{key} holds numbers that are not finite, and would not load again: nothing was written")
    dtype = torch.float16 if all(value.half().to(value.dtype).equal(value) for value in numbers) else torch.float32

    def stored(tensor: Tensor) -> Tensor:
        tensor = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)  # layers may share their weights
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    # as bytes: save_file would let nobody else read the file
    return safetensors.torch.save({key: stored(value) for key, value in values.items()})
