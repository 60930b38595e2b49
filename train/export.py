"""python -m train.export MODEL --onnx: write a trained generator for programs that have neither ganlib nor torch."""

import argparse
import sys
from pathlib import Path

from ganlib import checkpoint, hub, onnx
from ganlib.model import Model
from train.command import command


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.export",
        description="Write a model's generator, from latents to samples, as one ONNX file, and compare it with the "
                    "model by onnxruntime. How latents are made is in the file's metadata.")
    p.add_argument("model", metavar="MODEL",
                   help="a weights folder, a shipped model's name, or user/repo on the Hugging Face Hub")
    p.add_argument("--onnx", action="store_true", required=True, help="the format, of which there is one so far")
    p.add_argument("--out", type=Path, metavar="FILE",
                   help="the file to write, which must end in .onnx (default: generator.onnx in a folder of yours, "
                        "NAME.onnx in the current folder for a shipped model or one from the Hub)")
    return p


def target(source: str, model: Model) -> Path:
    """Where a model is exported to by default: into its folder if that is the user's own, else here by its name."""
    shipped = {folder.resolve() for folder in checkpoint.shipped().values()}
    if Path(source).is_dir() and model.folder.resolve() not in shipped:
        return model.folder / "generator.onnx"
    return Path(f"{model.name.split('@')[0].split('/')[-1]}.onnx")


def check(out: Path) -> None:
    """Raises ValueError where no file can be written under that name, or it would not look like one of ONNX."""
    if out.suffix != ".onnx":
        raise ValueError(f"--out must end in .onnx, not {str(out)!r}")
    if out.is_dir():
        raise ValueError(f"--out must be a file, and {str(out)!r} is a folder")
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {str(out.parent)!r} to write into")


def work(arguments: argparse.Namespace) -> None:
    if arguments.out is not None:
        check(arguments.out)
    model = hub.load(arguments.model, "cpu")
    out = arguments.out or target(arguments.model, model)
    difference = onnx.save(model, out)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB.")
    print("It was not checked: onnxruntime is not installed." if difference is None else
          f"Checked with onnxruntime: its samples differ from the model's by {difference:.1g} at most.")


main = command(parser, work, "stopped; nothing was written")

if __name__ == "__main__":
    sys.exit(main())
