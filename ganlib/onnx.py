"""A trained generator or encoder as one ONNX file, weights included, which others run without ganlib or torch.

The packages needed are an extra, and are imported only during an export. The input of a generator's file is the latent:
seeds, the labels that seeds choose, and truncation are not part of it.
"""

import copy
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.card import LICENSE
from ganlib.checkpoint import write_atomically
from ganlib.checks import needs, quoted, require
from ganlib.model import Model
from ganlib.networks import coupling_layers
from ganlib.version import __version__

OPSET = 18  # the one that torch's exporter is written for; most ONNX software supports it
TOLERANCE = 1e-4  # largest allowed difference from the model, in any number of a sample or a latent
CHECKED_SEEDS = range(7)
OUTPUTS = {"generator": ("x", "samples"), "encoder": ("z", "latents")}  # in the file and in words, by network


def save(model: Model, path: str | Path, network: str = "generator") -> float | None:
    """Write one of a model's networks as an ONNX file, completely or not at all, after comparing its results.

    Args:
        model: to be exported.
        path: of the file.
        network: "generator" or "encoder".

    Returns:
        The largest difference, None if onnxruntime, which compares them, is not installed.

    Raises:
        ValueError: the model has no such network, another package is missing, or results differ by more than
            TOLERANCE.
    """
    content = to_onnx(model, network)
    difference = largest_difference(content, model, network)
    require(difference is None or difference <= TOLERANCE, f"{model.name} was not exported: {OUTPUTS[network][1]} of "
            f"the ONNX file would differ from the model's by up to {difference}, and {TOLERANCE:g} is allowed")
    write_atomically(Path(path), content)
    return difference


def to_onnx(model: Model, network: str = "generator") -> bytes:
    """The content of an ONNX file with one of a model's networks. Its metadata are those of `describe`.

    A generator's inputs: `z` (N, latent_dim) float32 and, if the model has classes, `y` (N,) int64, for any N. Its
    output: `x` (N, *shape) float32. An encoder's input is `x`, and its output `z`. Raises ValueError if the model has
    no such network, or a package is missing.
    """
    check_network(model, network)
    needs("exporting to ONNX", "onnx", "onnx", "onnxscript")
    import onnx

    inputs, dim = _inputs(model, network, range(2)), torch.export.Dim
    batches = [{0: dim("N")}, {0: dim.AUTO}]  # the exporter warns if both have a name, and finds that they are equal
    program = torch.onnx.export(
        _module(model, network).cpu(), tuple(inputs.values()), input_names=list(inputs),
        output_names=[OUTPUTS[network][0]], opset_version=OPSET,
        dynamic_shapes=tuple(batches[:len(inputs)]), external_data=False, verbose=False, dynamo=True)
    assert program is not None
    proto = program.model_proto
    graph = proto.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")  # they hold paths of source files on this machine
    onnx.helper.set_model_props(proto, describe(model, network))
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


class _Encoding(nn.Module):
    """What `Model.encode` computes before it limits latents: the encoder, and the inverse of the coupling layers."""

    def __init__(self, model: Model):
        super().__init__()
        self.encoder: Any = copy.deepcopy(model.encoder)
        self.couplings: Any = copy.deepcopy(coupling_layers(model.generator))

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor
        z, _ = self.couplings.inverse(self.encoder(x))
        return z


def _module(model: Model, network: str) -> nn.Module:
    return _Encoding(model).eval() if network == "encoder" else copy.deepcopy(model.generator)


def check_network(model: Model, network: str) -> None:
    """Raises ValueError unless the model has a network of that name, which can be exported."""
    require(network in OUTPUTS, f"a network to export must be one of {', '.join(OUTPUTS)}, not {quoted(network)}")
    require(getattr(model, network, None) is not None, f"{model.name} has no {network} to export")


def describe(model: Model, network: str = "generator") -> dict[str, str]:
    """The metadata of an ONNX file of a model's network. Values other than names and sentences are JSON."""
    labels = f"; y: (N,) int64, the class of each sample, from 0 to {(model.num_classes or 0) - 1}"
    units = "in [-1, 1]" if getattr(model.architecture, "bounded", True) else "in the units of the data"
    return {
        "name": model.name, "network": network,
        **{key: json.dumps(getattr(model, key)) for key in ("shape", "latent_dim", "num_classes")},
        "license": LICENSE, "library": "ganlib", "library_version": __version__,
        "latents": f"z: (N, {model.latent_dim}) float32, standard normal{labels if model.num_classes else ''}",
        "samples": f"x: (N, {', '.join(map(str, model.shape))}) float32, {units}",
    }


def largest_difference(content: bytes, model: Model, network: str = "generator") -> float | None:
    """The largest difference between results of an ONNX file and of its model; None without onnxruntime."""
    if find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    inputs = _inputs(model, network, CHECKED_SEEDS)
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    wanted = (model.encode if network == "encoder" else model.decode)(*inputs.values())
    return (torch.from_numpy(found) - wanted).abs().max().item()


def _inputs(model: Model, network: str, seeds: Sequence[int]) -> dict[str, Tensor]:
    """A network's inputs for some seeds, by their names in the file: for an encoder the seeds' samples."""
    if network == "encoder":
        return {"x": model.sample(seeds)}
    inputs = {"z": model.latents(seeds), "y": model.labels_of(seeds)}
    return {name: value for name, value in inputs.items() if value is not None}
