"""python -m train.export MODEL --onnx: write a trained generator, or the encoder of a VAE, as a file that runs without
ganlib and torch."""

import argparse
import sys
from pathlib import Path

from ganlib import checkpoint, console, hub, onnx
from ganlib.checks import require
from ganlib.model import Model

from .command import command


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=console.spelled("export"),
        description="Write a model's generator, from latents to samples, as one ONNX file, and compare its samples "
                    "with the model's in onnxruntime. The file's metadata say how to make latents. A discriminator is "
                    "not exported.")
    p.add_argument("model", metavar="MODEL",
                   help="a weights folder, a shipped model's name, or user/repo on the Hugging Face Hub")
    p.add_argument("--onnx", action="store_true", required=True, help="the format; it is the only one so far")
    p.add_argument("--encoder", action="store_const", dest="network", const="encoder", default="generator",
                   help="write the encoder of a VAE, from samples to latents (default: the generator)")
    p.add_argument("--out", type=Path, metavar="FILE",
                   help="the file to write, which must end in .onnx (default: generator.onnx or encoder.onnx in a "
                        "weights folder of yours; NAME.onnx or NAME-encoder.onnx in the current folder for a shipped "
                        "model or one from the Hub)")
    return p


def target(source: str, model: Model, network: str = "generator") -> Path:
    """The default path of the exported file: in the user's own weights folder, else in the current folder."""
    shipped = {folder.resolve() for folder in checkpoint.shipped().values()}
    if model.folder is not None and Path(source).is_dir() and model.folder.resolve() not in shipped:
        return model.folder / f"{network}.onnx"
    suffix = "" if network == "generator" else f"-{network}"
    return Path(f"{model.name.split('@')[0].split('/')[-1]}{suffix}.onnx")


def work(arguments: argparse.Namespace) -> None:
    out = arguments.out
    if out is not None:
        require(out.suffix == ".onnx", f"--out must end in .onnx, not {str(out)!r}")
        require(not out.is_dir(), f"--out must be a file, and {str(out)!r} is a folder")
        require(out.parent.is_dir(), f"there is no folder {str(out.parent)!r}")
    model = hub.load(arguments.model, "cpu")
    network = arguments.network
    onnx.check_network(model, network)
    out = out or target(arguments.model, model, network)
    difference = onnx.save(model, out, network)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, the {network}.")
    print("It was not checked: onnxruntime is not installed." if difference is None else
          f"Checked with onnxruntime: its {onnx.OUTPUTS[network][1]} differ from the model's by at most "
          f"{difference:.1g}.")


main = command(parser, work, "stopped; nothing was written")

if __name__ == "__main__":
    sys.exit(main())
