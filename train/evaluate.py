"""python -m train.evaluate FOLDER ...: measure weights folders again, and rewrite their metrics, card and pictures."""

import argparse
import sys
from pathlib import Path

from ganlib import checkpoint, console, hub
from ganlib.data import ImageData, open_data, same_name
from ganlib.measures import Comparison
from ganlib.model import Model
from ganlib.pictures import Reading
from ganlib.report import write_report

from .command import DEVICE, command, pick_device
from .progress import measuring


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=console.spelled("evaluate"),
        description="Measure trained models: writes metrics.json, the model card and the pictures of each folder, and "
                    "prints one table of all models.")
    p.add_argument("folders", nargs="+", metavar="FOLDER", help="a weights folder, such as weights/dcgan")
    p.add_argument("--data", metavar="WHERE",
                   help=f"as for {console.spelled()} (default: what the model was trained on)")
    p.add_argument("--device", **DEVICE)
    p.add_argument("--compare", action="store_true",
                   help="print the table of earlier measures, measure nothing (default: measure)")
    return p


def measure(source: str, model: Model, where: str | None) -> None:
    """Measures the model of a folder on its own data or those of --data. Raises ValueError if they do not fit."""
    recipe = model.config.get("recipe", {})
    name = recipe.get("data", "mnist")
    if recipe.get("data_is_folder"):
        if where is None:
            raise ValueError(f"{source} was trained on the images of a folder, {name}: name it by --data")
        name = "mnist"
    reading = Reading.rebuild(recipe.get("reading", {}))
    with measuring(f"opening the data of {model.name}", delay=0.5) as progress:
        data = open_data(name, where, shape=model.shape, reading=reading, progress=progress)
    if isinstance(data, ImageData):
        data = data.with_classes(model.class_names)
    classes = data.class_names or tuple(map(str, range(data.num_classes or 0)))
    # older models of these data: their classes had no names
    unnamed = "class_names" not in model.config and data.name == name and not data.folder
    if model.num_classes == data.num_classes and classes != model.class_names and not unnamed:
        raise ValueError(f"the classes of {source} are {', '.join(model.class_names)}, and those of the data are "
                         f"{', '.join(classes)}")
    with measuring(f"measuring {model.name}") as progress:
        said = write_report(model, data, model.folder, progress)
    if said:
        print(said)


def work(arguments: argparse.Namespace) -> None:
    """Measures one folder after another, then prints the table, even if a later folder is broken."""
    measured: dict[str, dict] = {}
    if note := same_name(arguments.data):
        print(note, file=sys.stderr)
    try:
        for source in arguments.folders:
            hub.check_local(source)
            model = checkpoint.load(Path(source), pick_device(arguments.device))
            if not arguments.compare:
                measure(source, model, arguments.data)
            elif not model.metrics:
                raise ValueError(f"{source} has not been measured yet: leave --compare out")
            measured[source if model.name in measured else model.name] = model.metrics
    finally:
        if measured:
            print("\n\n".join("\n".join(compared.markdown()) for compared in Comparison.several(measured)))


main = command(parser, work, "stopped; finished measures are kept")

if __name__ == "__main__":
    sys.exit(main())
