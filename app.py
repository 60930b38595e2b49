"""The page, as a Hugging Face Space or on this machine: python app.py, with --open to open it in the browser too."""

import sys

from ganlib import console
from ganlib.demo import build, launch

demo = build()


@console.command
def main() -> None:
    launch(demo, inbrowser="--open" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
