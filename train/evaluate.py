"""python -m train.evaluate FOLDER ...: measure weights folders anew, and rewrite their metrics, card and pictures."""

import argparse
import sys

from ganlib import checkpoint
from ganlib.card import Comparison
from ganlib.data import open_data
from train.run import open_test_part, pick_device, write_report


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.evaluate",
        description="Measure trained models: writes metrics.json, the model card and the pictures of each folder, and "
                    "prints one table of all.")
    p.add_argument("folders", nargs="+", metavar="FOLDER", help="a weights folder, such as weights/dcgan")
    p.add_argument("--data", metavar="WHERE", help="as for python -m train (default: what the model was trained on)")
    p.add_argument("--device", default="auto", help="cpu, cuda, mps or auto for the best there is (default: auto)")
    p.add_argument("--compare", action="store_true",
                   help="print the table of what was measured before, measure nothing (default: measure)")
    return p


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    measured: dict[str, dict] = {}
    try:
        for source in arguments.folders:
            model = checkpoint.load(source, pick_device(arguments.device))
            if not arguments.compare:
                name = model.config.get("recipe", {}).get("data", "mnist")
                data = open_data(name, arguments.data, shape=model.shape)
                write_report(model, data, open_test_part(name, arguments.data, model.shape), model.folder)
            elif not model.metrics:
                raise ValueError(f"{source} has not been measured yet: leave --compare out")
            measured[model.name if model.name not in measured else source] = model.metrics
        print("\n".join(Comparison.of(measured).markdown()))
    except (ValueError, checkpoint.WeightsError) as error:
        print(f"train.evaluate: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"train.evaluate: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
