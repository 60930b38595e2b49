"""Loads a weights folder, config.json and safetensors, as a Model, and saves a Model as one. Nothing is unpickled.

| file                        | holds                                                                         |
|-----------------------------|-------------------------------------------------------------------------------|
| config.json                 | architecture, shape, classes, latent_dim, calibration, recipe, version        |
| model.safetensors           | the generator (its average over training), or the digit classifier            |
| discriminator.safetensors   | the discriminator, if the architecture has one                                |
| encoder.safetensors         | the encoder (its average over training), if the architecture has one          |
| metrics.json, history.json  | the measures; the losses by step                                              |
| README.md, samples.png      | the model card and its picture                                                |
| growth.png                  | images only: samples of fixed seeds, one row for each of some training steps  |
| nearest.png                 | images only: samples, each above the nearest training image                   |
| history-NAME.json           | optional: the history of another run, for comparison                          |

Only the first four decide whether a folder loads. A run keeps its checkpoint and pictures in the subfolder `training`.
"""

import hashlib
import json
import os
import re
import shlex
import tempfile
import warnings
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import nn

from ganlib import architectures, calibration, console
from ganlib.architectures import DIGIT_CLASSIFIER, Architecture
from ganlib.calibration import Calibration
from ganlib.checks import listed, quoted, require
from ganlib.devices import check_device
from ganlib.files import PARTIAL, read_beginning, read_file, replacing, tidy_saves
from ganlib.measures import TYPES
from ganlib.model import Model
from ganlib.version import __version__

if TYPE_CHECKING:  # a model loads in half the time without them
    from ganlib.classifier import DigitClassifier
    from ganlib.data import Data

CONFIG, GENERATOR, DISCRIMINATOR = "config.json", "model.safetensors", "discriminator.safetensors"
ENCODER = "encoder.safetensors"
METRICS, HISTORY, CARD, SAMPLES = "metrics.json", "history.json", "README.md", "samples.png"
GROWTH, NEAREST = "growth.png", "nearest.png"
STATE = Path("training", "state.safetensors")  # the checkpoint of a run, in the folder that it writes
# keys in metrics.json
HASHES = {GENERATOR: "weights_sha256", DISCRIMINATOR: "discriminator_sha256", ENCODER: "encoder_sha256"}
CLASSIFIER = {"name": DIGIT_CLASSIFIER}  # the digit classifier's architecture in config.json
MAX_NUMBER = 1e15  # of a measure or a loss
MAX_JSON = 16 * 2**20  # bytes of a JSON file
WOULD_NOT_LOAD = "nothing was written, because it would not load again"
PACKAGE = Path(__file__).resolve().parent
LFS_POINTER = b"version https://git-lfs"

_JSON = TypeVar("_JSON", dict[str, Any], list[Any])


class WeightsError(Exception):
    """A weights folder is missing, broken or not ganlib's; the message names the file and says what is wrong."""


def _shipped_folders() -> dict[str, Path]:
    # inside an installed package; next to the package in a checkout and on a Space
    root = next((root for root in (PACKAGE / "weights", PACKAGE.parent / "weights") if root.is_dir()), None)
    if root is None:
        return {}
    with os.scandir(root) as entries:  # a page asks for each picture: this is ten times faster than Path.glob
        names = sorted(entry.name for entry in entries if os.path.exists(os.path.join(entry.path, CONFIG)))
    return {name: root / name for name in names}


def shipped() -> dict[str, Path]:
    """The weights folders of the models that come with ganlib, by name; without the digit classifier."""
    return {name: folder for name, folder in _shipped_folders().items() if name != DIGIT_CLASSIFIER}


def load(source: str | Path, device: torch.device | str | None = None) -> Model:
    """Load a shipped model or a weights folder, as `ganlib.load` does, but none from the Hub.

    A Path to a folder is that folder, even if a shipped model has the same name. Warns if its run is `unfinished`.
    """
    device = check_device(device)
    folder, config = _open(source)
    if going_on := unfinished(folder):
        warnings.warn(going_on, stacklevel=2)
    if config.get("architecture") == CLASSIFIER:
        raise WeightsError(f"{folder} holds the {DIGIT_CLASSIFIER}, which measures samples and generates none")
    try:
        architecture = architectures.rebuild(config.get("architecture", {}))
        _check_config(config, architecture)
        calibrated = calibration.rebuild(config.get("calibration"), architecture.num_classes)
        generator, discriminator = architectures.build(architecture, None)
        encoder = architectures.build_encoder(architecture, None)
    except ValueError as error:
        raise WeightsError(f"{folder / CONFIG}: {error}") from None
    except (RuntimeError, TypeError, OverflowError, MemoryError):
        raise WeightsError(f"{folder / CONFIG}: networks of that size cannot be built") from None
    sha256 = hashlib.sha256(_read_network(generator, folder / GENERATOR)).hexdigest()
    if discriminator is not None:
        _read_network(discriminator, folder / DISCRIMINATOR)
    if encoder is not None:
        _read_network(encoder, folder / ENCODER)
    model = Model(str(config.get("name") or folder.resolve().name), architecture, generator, discriminator,
                  encoder=encoder, calibration=calibrated, config=config, history=read_history(folder / HISTORY),
                  metrics=read_metrics(folder), folder=folder, weights_sha256=sha256,
                  revision=_revision(folder), own=True)
    return model.to(device)


def _revision(folder: Path) -> str | None:
    """The commit of a folder in the Hub's cache, which is models--USER--REPO/snapshots/COMMIT; None for others."""
    found = re.search(r"models--[^/]+/snapshots/([0-9a-f]{40})(?:/|$)", folder.absolute().as_posix())
    return found[1] if found else None


def load_classifier(source: str | Path = DIGIT_CLASSIFIER,
                    device: torch.device | str | None = None) -> "DigitClassifier":
    """Load the trained digit classifier: the shipped one, or that of a folder. Checks and errors as in `load`."""
    from ganlib.classifier import build_classifier

    device = check_device(device)
    folder, config = _open(source)
    network = build_classifier()
    if not _describe_classifier(network).items() <= config.items():
        raise WeightsError(f"{folder / CONFIG} does not describe the {DIGIT_CLASSIFIER}")
    _read_network(network, folder / GENERATOR)
    network.to(memory_format=torch.channels_last)  # convolutions are faster so on a CPU
    return network.eval().requires_grad_(False).to(device)


def _open(source: str | Path) -> tuple[Path, dict[str, Any]]:
    """The weights folder of a source, and its config."""
    folder = Path(source)
    if not (isinstance(source, Path) and source.is_dir()):
        folder = _shipped_folders().get(str(source), folder)
    if not os.path.isdir(folder):  # unlike Path.is_dir, False for a name that is too long
        raise WeightsError(f"there is no weights folder {str(source)!r}, and no shipped model of that name (shipped: "
                           f"{', '.join(_shipped_folders()) or 'none'})")
    if not os.path.lexists(folder / CONFIG):
        raise WeightsError(unfinished(folder) or f"{folder} is no weights folder: it has no {CONFIG}")
    return folder, read_json(folder / CONFIG, dict)


def unfinished(folder: Path) -> str | None:
    """A sentence on the run in a folder if its end is not reached, written or measured yet; None for all other folders.

    Of the checkpoint only the header is read.
    """
    if not (folder / STATE).exists():
        return None
    from ganlib.training import saved_run, saved_step

    try:
        run, step = saved_run(folder / STATE), saved_step(folder / STATE)
        recipe, steps = str(run["recipe"]), int(run["train"]["steps"])
    except (ValueError, KeyError, TypeError):
        return None  # there is no checkpoint, or none that could be resumed
    written = _written_at(folder)
    if step >= steps and written == steps and _has_measures(folder):
        return None
    what = (f"has not ended (step {step:,} of {steps:,})" if step < steps else
            f"has done its {steps:,} steps, but its model is not {'written' if written != steps else 'measured'} yet")
    if written is not None and (step < steps or written != steps):
        what += ", and the weights there are of an earlier end"
    return f"the run in {folder} {what}; go on by `{resuming(recipe, folder)}`"


def _has_measures(folder: Path) -> bool:
    """Whether a folder's metrics.json is of the networks there."""
    try:
        return is_measured(folder, read_json(folder / METRICS, dict, missing={}))
    except WeightsError:
        return False


def _written_at(folder: Path) -> int | None:
    """The steps of the training that the folder's config.json tells of; None if it has none."""
    try:
        return int(read_json(folder / CONFIG, dict)["recipe"]["train"]["steps"])
    except (WeightsError, KeyError, TypeError, ValueError):
        return None


def resuming(recipe: str, folder: Path) -> str:
    """The command that goes on with a run, for a shell."""
    return f"{console.spelled()} {shlex.join([recipe, '--out', str(folder), '--resume'])}"


def _check_config(config: dict[str, Any], architecture: Architecture) -> None:
    """Raises ValueError unless a config fits its architecture, and its recipe and class names are valid."""
    for key, value in _dimensions(architecture).items():
        require(config.get(key) == value, f"{key} is {quoted(config.get(key))}, but the architecture's is {value!r}")
    recipe, names, classes = config.get("recipe", {}), config.get("class_names"), architecture.num_classes or 0
    require(isinstance(recipe, dict) and isinstance(recipe.get("data", ""), str)
            and isinstance(recipe.get("train", {}), dict), "recipe must be a table, its data a text, its train a table")
    require(names is None or (isinstance(names, list) and len(names) == classes
                              and all(isinstance(name, str) and 0 < len(name) <= 255 for name in names)),
            f"class_names must be a list of {classes} names")


def _dimensions(architecture: Architecture) -> dict[str, Any]:
    return {"shape": list(architecture.shape), "num_classes": architecture.num_classes,
            "latent_dim": architecture.latent_dim}


def _describe_classifier(network: "DigitClassifier") -> dict[str, Any]:
    return {"architecture": CLASSIFIER, "shape": list(network.shape), "num_classes": network.num_classes}


def has_classifier() -> bool:
    """Whether the shipped digit classifier is available."""
    return DIGIT_CLASSIFIER in _shipped_folders()


def classifier_for(data: "Data", device: torch.device | str | None = None) -> "DigitClassifier | None":
    """The shipped digit classifier if it is available and can read the data, else None."""
    from ganlib.classifier import SHAPE

    if not (data.digits and tuple(data.shape[1:]) == SHAPE[1:] and has_classifier()):
        return None
    return load_classifier(device=device)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER


def _is_measure(key: str, value: object) -> bool:
    """Whether metrics.json may hold the value: a number, a text, or a list or table of numbers, as the key requires."""
    kind = TYPES.get(key.removesuffix("_of_real"))
    if kind not in (None, float if _is_number(value) else type(value)):
        return False
    if isinstance(value, list | dict):
        numbers = value if isinstance(value, list) else value.values()
        return all(_is_number(number) and (kind is not list or 0 <= number <= 1) for number in numbers)
    return _is_number(value) or isinstance(value, str | bool)


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of a history.json, [] if there is no such file. Invalid rows are left out, with a warning."""
    rows = _read_optional(path, list)
    valid = [row for row in rows if isinstance(row, dict) and "step" in row and all(map(_is_number, row.values()))]
    if len(valid) < len(rows):
        warnings.warn(f"{path}: {len(rows) - len(valid)} of {len(rows)} rows are not valid; left out", stacklevel=3)
    return valid


def read_metrics(folder: Path) -> dict[str, Any]:
    """The metrics.json of a weights folder, {} if it has none. Invalid values are left out, with a warning."""
    metrics = _read_optional(folder / METRICS, dict)
    foreign = sorted(key for key, value in metrics.items() if not _is_measure(key, value))
    if foreign:
        warnings.warn(f"{folder / METRICS}: {listed(foreign)} is not valid; left out", stacklevel=3)
    return {key: value for key, value in metrics.items() if key not in foreign}


def _read_optional(path: Path, kind: type[_JSON]) -> _JSON:
    """The content of a file that a model loads without; empty, with a warning, if it cannot be read."""
    try:
        return read_json(path, kind, missing=kind())
    except WeightsError as error:
        warnings.warn(f"{error}; left out", stacklevel=4)
        return kind()


def other_histories(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The histories of other runs, which a weights folder keeps as `history-NAME.json`, by NAME."""
    return {path.stem.removeprefix("history-"): read_history(path) for path in sorted(folder.glob("history-*.json"))}


def is_weights_file(name: str) -> bool:
    """Whether a file of that name is part of a weights folder."""
    names = (CONFIG, GENERATOR, DISCRIMINATOR, ENCODER, METRICS, HISTORY, CARD, SAMPLES, GROWTH, NEAREST)
    return name in names or fnmatch(name, "history-*.json")


def files(folder: str | Path) -> list[Path]:
    """The files of a weights folder, sorted, without any others that are in the folder.

    Raises WeightsError for a Git LFS pointer, and for a link out of the folder that is not one of the Hub's cache.
    """
    found = [path for path in sorted(Path(folder).iterdir()) if path.is_file() and is_weights_file(path.name)]
    home = Path(folder).resolve()
    for path in found:
        target = path.resolve()
        cached = target.parent.name == "blobs" and home.is_relative_to(target.parents[1] / "snapshots")
        if not target.is_relative_to(home) and not cached:
            raise WeightsError(f"{path} is a link that leads out of the folder")
        _refuse_pointer(path, read_beginning(path, len(LFS_POINTER)))
    return found


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each network file in a weights folder, in hex, by its key in metrics.json."""
    return {key: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name, key in HASHES.items() if (folder / name).exists()}


def weights_sha256(model: Model) -> str:
    """The SHA-256 of a model's generator, in hex: of the file that was loaded, else of the one that `save` would write.

    Weights of a loaded model that are changed in memory are not noticed: set its `weights_sha256` to None then.
    Raises ValueError if the model could not be saved.
    """
    return model.weights_sha256 or hashlib.sha256(_to_safetensors(model.generator)).hexdigest()


def is_measured(folder: Path, metrics: dict[str, Any]) -> bool:
    """Whether the metrics were measured on the networks that are in the folder."""
    return all(metrics.get(key) == value for key, value in hashes(folder).items())


def read_json(path: Path, kind: type[_JSON], missing: _JSON | None = None) -> _JSON:
    """The JSON value of a file, a dict or list as `kind` says; `missing` if there is no file. Raises WeightsError."""
    if missing is not None and not path.exists():
        return missing
    try:
        content = read_file(path, MAX_JSON)
        _refuse_pointer(path, content)
        value = json.loads(content.decode("utf-8"))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not JSON ({error})") from None
    if not isinstance(value, kind):
        raise WeightsError(f"{path} must hold a JSON {kind.__name__}, not a {type(value).__name__}")
    return value


def _refuse_pointer(path: Path, content: bytes) -> None:
    if content.startswith(LFS_POINTER):
        raise WeightsError(f"{path} is a Git LFS pointer in place of the file: fetch it by `git lfs pull`")


def _read_network(network: nn.Module, path: Path) -> bytes:
    """Load a network's weights from a file. Returns the bytes that were loaded."""
    expected = network.state_dict()
    try:
        content = read_file(path, 8 * sum(map(torch.numel, expected.values())) + MAX_JSON)  # float64, and a header
        _refuse_pointer(path, content)
        found = safetensors.torch.load(content)
    except FileNotFoundError:
        raise WeightsError(f"{path} is missing") from None
    except OSError as error:
        raise WeightsError(f"{path} is not a complete safetensors file ({error.strerror})") from None
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} is not a complete safetensors file ({' '.join(str(error).split())[:80]})") from None
    missing, foreign = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or foreign:
        raise WeightsError(f"{path} {'lacks' if missing else 'has the foreign'} tensor {listed(missing or foreign)}")
    for key, tensor in found.items():
        wanted = expected[key]
        if (tensor.shape, tensor.is_floating_point()) != (wanted.shape, wanted.is_floating_point()):
            raise WeightsError(f"{path}: {key} is {tuple(tensor.shape)} {tensor.dtype}, but the architecture's is "
                               f"{tuple(wanted.shape)} {wanted.dtype}")
        found[key] = value = tensor.to(wanted.dtype)
        # the least and the greatest number are found faster than each one is judged
        if value.numel() and not torch.stack(value.aminmax()).isfinite().all():
            raise WeightsError(f"{path}: {key} holds numbers that are not finite")
    network.load_state_dict({key: found[key] for key in expected}, assign=True)
    return content


def save(model: Model, folder: str | Path) -> Path:
    """Write a model's weights, config, history and metrics. Other files in the folder are kept. Returns the folder.

    Raises:
        ValueError: the model would not load again, for example because a number is not finite. Nothing is written then.
    """
    _, discriminator = architectures.build(model.architecture, None)
    contents = {GENERATOR: _to_safetensors(model.generator)}
    for what, file, network, expected in (
            ("a discriminator", DISCRIMINATOR, model.discriminator, discriminator),
            ("an encoder", ENCODER, model.encoder, architectures.build_encoder(model.architecture, None))):
        require((network is None) == (expected is None),
                f"only one of {model.name} and its architecture has {what}: {WOULD_NOT_LOAD}")
        if network is not None:
            contents[file] = _to_safetensors(network)
    return _write(folder, {**contents, METRICS: to_json(model.metrics), HISTORY: to_json(model.history),
                           CONFIG: to_json(config_of(model))})


def save_classifier(network: "DigitClassifier", folder: str | Path, recipe: dict[str, Any],
                    history: list[dict[str, Any]]) -> Path:
    """Write the digit classifier's weights, config and history. Returns the folder."""
    config = {"name": DIGIT_CLASSIFIER, "library_version": __version__, **_describe_classifier(network),
              "recipe": recipe}
    return _write(folder, {GENERATOR: _to_safetensors(network), HISTORY: to_json(history), CONFIG: to_json(config)})


def _write(folder: str | Path, contents: dict[str, bytes]) -> Path:
    """Write the files of a weights folder, the config last. Other networks of an earlier model are removed."""
    require(isinstance(folder, str | os.PathLike), f"a folder is named by a text or a Path, not {quoted(folder)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tidy_saves(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=PARTIAL) as temporary:
        for name, content in contents.items():
            (Path(temporary) / name).write_bytes(content)
        (folder / CONFIG).unlink(missing_ok=True)  # no folder loads without it, so an interrupted save is noticed
        for name in contents:
            os.replace(Path(temporary) / name, folder / name)
    for name in HASHES.keys() - contents.keys():
        (folder / name).unlink(missing_ok=True)
    return folder


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def config_of(model: Model) -> dict[str, Any]:
    """The content of a model's config.json: what is needed to build it again, and the recipe that trained it."""
    name = model.name
    if model.revision is not None and "/" in name:  # where it was loaded from
        name = str(model.config.get("name") or name.partition("@")[0].rpartition("/")[2])
    return {
        "name": name,
        "library_version": __version__,
        "architecture": architectures.describe(model.architecture),
        **_dimensions(model.architecture),
        **{key: model.config[key] for key in ("class_names",) if key in model.config},
        **({} if model.calibration == Calibration() else {"calibration": asdict(model.calibration)}),
        "recipe": model.config.get("recipe", {}),
    }


def to_json(value: dict[str, Any] | list[Any]) -> bytes:
    """Readable JSON: a list has one line for each record."""
    rows = ",\n".join(map(json.dumps, value)) if isinstance(value, list) else ""
    text = f"[\n{rows}\n]" if isinstance(value, list) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"{text}\n".encode()


@torch.no_grad()
def round_to_float16(network: nn.Module) -> None:
    """Round a network to float16, in place, which halves its file. One with numbers beyond float16 is not changed."""
    numbers = [value for value in network.state_dict().values() if value.is_floating_point()]
    if all(value.half().isfinite().all() for value in numbers):
        for value in numbers:
            value.copy_(value.half())


def _to_safetensors(network: nn.Module) -> bytes:
    """The weights as float16 if that changes none of them, else as float32."""
    # clones, because layers may share their weights
    values = {key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
              for key, value in network.state_dict().items()}
    numbers = {key: value for key, value in values.items() if value.is_floating_point()}
    for key, value in numbers.items():
        require(bool(value.float().isfinite().all()), f"{key} holds numbers that are not finite: {WOULD_NOT_LOAD}")
    exact = all(value.half().to(value.dtype).equal(value) for value in numbers.values())
    dtype = torch.float16 if exact else torch.float32
    # not save_file, whose files only their owner may read
    return safetensors.torch.save(values | {key: value.to(dtype) for key, value in numbers.items()})
