"""python -m train.evaluate FOLDER ...: measure weights folders anew, and rewrite their metrics, card and pictures."""

import argparse
import sys
from pathlib import Path

from ganlib import checkpoint
from ganlib.data import open_data
from ganlib.measures import Comparison
from ganlib.report import write_report
from train.command import DEVICE, command, pick_device
from train.run import measuring


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.evaluate",
        description="Measure trained models: writes metrics.json, the model card and the pictures of each folder, and "
                    "prints one table of all.")
    p.add_argument("folders", nargs="+", metavar="FOLDER", help="a weights folder, such as weights/dcgan")
    p.add_argument("--data", metavar="WHERE", help="as for python -m train (default: what the model was trained on)")
    p.add_argument("--device", **DEVICE)
    p.add_argument("--compare", action="store_true",
                   help="print the table of what was measured before, measure nothing (default: measure)")
    return p


def work(arguments: argparse.Namespace) -> None:
    """Measure folder after folder, then show all of them side by side, also those before one that is broken."""
    measured: dict[str, dict] = {}
    try:
        for source in arguments.folders:
            model = checkpoint.load(Path(source), pick_device(arguments.device))
            if not arguments.compare:
                recipe = model.config.get("recipe", {})
                name = recipe.get("data", "mnist")
                if recipe.get("data_is_folder") and arguments.data is None:
                    raise ValueError(f"{source} was trained on the pictures of a folder, {name}: name it by --data")
                data = open_data("mnist" if recipe.get("data_is_folder") else name, arguments.data, shape=model.shape)
                theirs = data.class_names or tuple(map(str, range(data.num_classes or 0)))
                if model.num_classes == data.num_classes and theirs != model.class_names:
                    raise ValueError(f"the classes of {source} are {', '.join(model.class_names)}, and those of the "
                                     f"data are {', '.join(theirs)}")
                with measuring(model.name) as progress:
                    write_report(model, data, model.folder, progress)
            elif not model.metrics:
                raise ValueError(f"{source} has not been measured yet: leave --compare out")
            measured[model.name if model.name not in measured else source] = model.metrics
    finally:
        if measured:
            print("\n\n".join("\n".join(compared.markdown()) for compared in Comparison.several(measured)))


main = command(parser, work, "stopped; what was measured is kept")

if __name__ == "__main__":
    sys.exit(main())
