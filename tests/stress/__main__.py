"""python -m tests.stress [PART ...]: what happens to ganlib where all goes wrong.

Prints a line for each part, and what failed, with the options that repeat it; ends with 1 where something did.
"""

import argparse
import importlib
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch

from ganlib import console

PARTS = {
    "kills": "trainings and saves that are killed, and go on",
    "disk": "full disks, folders that cannot be written to, clocks that jump",
    "folders": "mutated weights folders",
    "requests": "hostile requests to the page",
    "visitors": "a hundred visitors at once",
}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m tests.stress", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("parts", nargs="*", metavar="PART",
                   help="; ".join(f"{name}: {what}" for name, what in PARTS.items()) + " (default: all)")
    p.add_argument("--seed", type=int, help="of all that is random (default: a new one, which is printed)")
    p.add_argument("--amount", type=int, help="of kills, folders, requests or visitors (default: the part's own)")
    p.add_argument("--first", type=int, default=0, help="the number of the first kill or folder (default: 0)")
    p.add_argument("--seconds", type=float, help="how long visitors stay (default: 300)")
    p.add_argument("--folder", type=Path, help="where everything is written (default: a temporary one)")
    return p


@console.command
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    if unknown := set(arguments.parts) - PARTS.keys():
        parser().error(f"there is no part {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    torch.set_num_threads(1)
    failed = False
    for name in arguments.parts or PARTS:
        part = importlib.import_module(f"tests.stress.{name}")
        options = {key: value for key, value in (("first", arguments.first), ("seconds", arguments.seconds)) if value}
        folder, start = Path(tempfile.mkdtemp(prefix=f"stress-{name}-", dir=arguments.folder)), time.monotonic()
        report = part.run(seed, arguments.amount or part.AMOUNT, folder, **options)
        shutil.rmtree(folder, ignore_errors=True)
        print(f"{name} (seed {seed}, {time.monotonic() - start:.0f} s): {report.line}", flush=True)
        for fault in report.faults:
            print(f"  - {fault}", flush=True)
        failed |= bool(report.faults)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
