"""A trained generator as ONNX: one file, weights inside, that onnxruntime and others run without ganlib or torch.

The packages that this takes are an extra, and are imported when a model is exported, not before. Seeds, the labels they
pick and truncation stay outside: what the file takes is the latent.
"""

import copy
import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from ganlib.card import LICENSE
from ganlib.checkpoint import write_whole
from ganlib.model import Model
from ganlib.version import __version__

OPSET = 18  # what torch's exporter is written in, and old enough for most that runs ONNX
TOLERANCE = 1e-4  # by how much a number of a sample may differ from the model's
CHECKED = range(7)  # seeds, whose samples are compared


class PackagesMissing(ValueError):
    """The packages that exporting takes are not installed; the message says how to install them."""


def save(model: Model, path: str | Path) -> float | None:
    """Write a model's generator as an ONNX file, whole or not at all, after comparing its samples with the model's.

    Returns the largest difference, or None where onnxruntime is not installed and nothing was compared. Raises
    PackagesMissing, and ValueError where the samples differ by more than TOLERANCE; then nothing is written.
    """
    content = to_onnx(model)
    difference = largest_difference(content, model)
    if difference is not None and not difference <= TOLERANCE:
        raise ValueError(f"{model.name} was not exported: the ONNX file's samples would differ by up to "
                         f"{difference:.2g} from the model's, where {TOLERANCE:g} is allowed")
    write_whole(Path(path), content)
    return difference


def to_onnx(model: Model) -> bytes:
    """A model's generator as an ONNX file's bytes, for any number N of samples at once.

    Inputs: `z` (N, latent_dim) float32 and, where the model has classes, `y` (N,) int64. Output: `x` (N, *shape)
    float32. The metadata says what the model is and how latents are made. Raises PackagesMissing.
    """
    missing = [package for package in ("onnx", "onnxscript") if find_spec(package) is None]
    if missing:
        raise PackagesMissing(f'exporting to ONNX needs {" and ".join(missing)}: pip install -e ".[onnx]"')
    import onnx

    inputs, dim = _inputs(model, range(2)), torch.export.Dim
    batches = [{0: dim("N")}, {0: dim.AUTO}]  # y's turns out to be z's; the exporter warns of one name for two
    program = torch.onnx.export(
        _on_the_cpu(model), tuple(inputs.values()), input_names=list(inputs), output_names=["x"], opset_version=OPSET,
        dynamic_shapes=tuple(batches[:len(inputs)]), external_data=False, verbose=False)
    proto = program.model_proto
    _forget_sources(proto.graph)
    onnx.helper.set_model_props(proto, describe(model))
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def describe(model: Model) -> dict[str, str]:
    """What an exported file's metadata says: values other than names and sentences as JSON."""
    architecture = model.architecture
    samples = f"x: (N, {', '.join(map(str, model.shape))}) float32"
    return {
        "name": model.name,
        "shape": json.dumps(model.shape),
        "latent_dim": json.dumps(model.latent_dim),
        "num_classes": json.dumps(model.num_classes),
        "license": LICENSE,
        "library": "ganlib",
        "library_version": __version__,
        "latents": _how_latents_are_made(model),
        "samples": samples + (" in [-1, 1]" if getattr(architecture, "bounded", True) else ", in the data's own units"),
    }


def _how_latents_are_made(model: Model) -> str:
    labels = f"; y: (N,) int64, each sample's class from 0 to {model.num_classes - 1}" if model.num_classes else ""
    return f"z: (N, {model.latent_dim}) float32, standard normal numbers{labels}"


def largest_difference(content: bytes, model: Model) -> float | None:
    """By how much samples of an exported file differ at most from the model's own, on the CPU.

    None where onnxruntime, which runs the file, is not installed.
    """
    if find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    inputs = _inputs(model, CHECKED)
    with torch.inference_mode():
        expected = _on_the_cpu(model)(*inputs.values())
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return (torch.from_numpy(found) - expected).abs().max().item()


def _on_the_cpu(model: Model) -> nn.Module:
    return copy.deepcopy(model.generator).cpu()


def _inputs(model: Model, seeds: Iterable[int]) -> dict[str, Tensor]:
    """The generator's inputs for some seeds, by the names they have in the file."""
    inputs = {"z": model.latents(seeds), "y": model.labels_of(seeds)}
    return {name: value for name, value in inputs.items() if value is not None}


def _forget_sources(graph) -> None:
    """Drop what the exporter notes of the source code: above all the paths of files on the exporting machine."""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
