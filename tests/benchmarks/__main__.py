"""python -m tests.benchmarks [MODULE ...]: print all rows of the benchmarks, and write docs/benchmarks.md.

With names of modules only their rows are printed, and nothing is written. Let nothing else run meanwhile.
"""

import argparse
import importlib
import os
import platform
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from ganlib import console
from ganlib.devices import has_bfloat16
from tests.benchmarks.rows import HEADER, Row

MODULES = ("start", "pictures", "serving", "training")
PACKAGES = ("torch", "gradio", "huggingface_hub", "onnxruntime", "numpy")
FILE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
COMMAND = "python -m tests.benchmarks"


def processor() -> str:
    """The name of this machine's processor, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def machine() -> list[str]:
    """What was measured on, in lines."""
    import torch

    bits = "with" if has_bfloat16("cpu") else "without"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [f"{len(os.sched_getaffinity(0))} cores of {processor()} ({torch.backends.cpu.get_cpu_capability()}, {bits} "
            f"bfloat16), {memory:.0f} GiB, {platform.system()}",
            f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES)]


def table(rows: Iterable[Row]) -> str:
    lines = [HEADER, ["---"] * len(HEADER), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def document(rows: Iterable[Row]) -> str:
    """docs/benchmarks.md."""
    where, versions = machine()
    return f"""# Benchmarks

Written by `{COMMAND}` (`make bench`) on {time.strftime("%Y-%m-%d")}.

- {where}
- {versions}

Each row measures two ways in turn, within one run. The ratio is ours to theirs, the median of the pairs; the spread is
the lowest and the highest ratio. The figures themselves vary with the machine.

{table(rows)}
"""


@console.command
def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.partition(":")[2].strip())
    parser.add_argument("modules", nargs="*", metavar="MODULE", choices=[[], *MODULES], help=", ".join(MODULES))
    chosen = parser.parse_args().modules
    print("\n".join(machine()), flush=True)
    rows = []
    for name in chosen or MODULES:
        for row in importlib.import_module(f"tests.benchmarks.{name}").rows():
            print(row, flush=True)
            rows.append(row)
    if not chosen:
        FILE.write_text(document(rows), encoding="utf-8")
        print(f"Written to {FILE}")


if __name__ == "__main__":
    sys.exit(main())
