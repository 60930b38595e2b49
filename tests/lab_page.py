"""python -m tests.lab_page FILE: the page, which keeps a file that says how many labs it has."""

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import serving


@dataclass(frozen=True)
class LabPage:
    """A running page.

    Args:
        address: of the page.
        process: its id.
        told: the file that says how many labs it has.
    """

    address: str
    process: int
    told: Path

    def labs(self) -> int:
        """How many labs it has."""
        while not (text := self.told.read_text()).endswith("."):
            time.sleep(0.001)  # it is being written
        return int(text[:-1])


@contextmanager
def lab_page(folder: Path, environment: Mapping[str, str] = os.environ) -> Iterator[LabPage]:
    """A page in a process of its own, with its log in that folder."""
    told = folder / "labs"
    environment = {**environment, "GRADIO_SERVER_NAME": "127.0.0.1", "TMPDIR": str(folder)}
    with serving([sys.executable, "-m", "tests.lab_page", told], environment, folder / "log",
                 cwd=Path(__file__).parents[1]) as (address, process):
        yield LabPage(address, process, told)


def tell(path: Path) -> None:
    from ganlib.demo import lab

    while True:
        path.write_text(f"{len(lab.LABS)}.")
        time.sleep(0.02)


if __name__ == "__main__":
    from ganlib.demo import build, launch

    threading.Thread(target=tell, args=(Path(sys.argv[1]),), daemon=True).start()
    launch(build())
