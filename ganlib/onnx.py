"""A trained generator as one ONNX file, weights included, which onnxruntime and others run without ganlib or torch.

The packages needed are an extra, and are imported only during an export. The file's input is the latent: seeds, the
labels that seeds choose, and truncation are not part of it.
"""

import copy
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from ganlib.card import LICENSE
from ganlib.checkpoint import write_atomically
from ganlib.checks import require
from ganlib.model import Model
from ganlib.version import __version__

OPSET = 18  # the one that torch's exporter is written for; most ONNX software supports it
TOLERANCE = 1e-4  # largest allowed difference from the model, in any number of a sample
CHECKED_SEEDS = range(7)


def save(model: Model, path: str | Path) -> float | None:
    """Write a model's generator as an ONNX file, completely or not at all, after comparing its samples.

    Returns the largest difference, None if onnxruntime, which compares them, is not installed. Raises ValueError if
    another package is missing, or if the samples differ by more than TOLERANCE.
    """
    content = to_onnx(model)
    difference = largest_difference(content, model)
    require(difference is None or difference <= TOLERANCE, f"{model.name} was not exported: samples of the ONNX file "
            f"would differ from the model's by up to {difference}, and {TOLERANCE:g} is allowed")
    write_atomically(Path(path), content)
    return difference


def to_onnx(model: Model) -> bytes:
    """The content of an ONNX file with a model's generator. Its metadata are those of `describe`.

    Inputs: `z` (N, latent_dim) float32 and, if the model has classes, `y` (N,) int64, for any N. Output: `x`
    (N, *shape) float32. Raises ValueError if a package is missing.
    """
    missing = [package for package in ("onnx", "onnxscript") if find_spec(package) is None]
    require(not missing, f'exporting to ONNX needs {" and ".join(missing)}: pip install -e ".[onnx]"')
    import onnx

    inputs, dim = _inputs(model, range(2)), torch.export.Dim
    batches = [{0: dim("N")}, {0: dim.AUTO}]  # the exporter warns if both have a name, and finds that they are equal
    program = torch.onnx.export(
        copy.deepcopy(model.generator).cpu(), tuple(inputs.values()), input_names=list(inputs), output_names=["x"],
        opset_version=OPSET, dynamic_shapes=tuple(batches[:len(inputs)]), external_data=False, verbose=False)
    assert program is not None
    proto = program.model_proto
    graph = proto.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")  # they hold paths of source files on this machine
    onnx.helper.set_model_props(proto, describe(model))
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def describe(model: Model) -> dict[str, str]:
    """The metadata of a model's ONNX file. Values other than names and sentences are JSON."""
    labels = f"; y: (N,) int64, the class of each sample, from 0 to {(model.num_classes or 0) - 1}"
    units = "in [-1, 1]" if getattr(model.architecture, "bounded", True) else "in the units of the data"
    return {
        "name": model.name,
        **{key: json.dumps(getattr(model, key)) for key in ("shape", "latent_dim", "num_classes")},
        "license": LICENSE, "library": "ganlib", "library_version": __version__,
        "latents": f"z: (N, {model.latent_dim}) float32, standard normal{labels if model.num_classes else ''}",
        "samples": f"x: (N, {', '.join(map(str, model.shape))}) float32, {units}",
    }


def largest_difference(content: bytes, model: Model) -> float | None:
    """The largest difference between samples of an ONNX file and of its model; None without onnxruntime."""
    if find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    inputs = _inputs(model, CHECKED_SEEDS)
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return (torch.from_numpy(found) - model.decode(*inputs.values())).abs().max().item()


def _inputs(model: Model, seeds: Sequence[int]) -> dict[str, Tensor]:
    """The generator's inputs for some seeds, by their names in the file."""
    inputs = {"z": model.latents(seeds), "y": model.labels_of(seeds)}
    return {name: value for name, value in inputs.items() if value is not None}
