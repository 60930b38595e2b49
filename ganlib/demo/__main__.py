"""The page, as a Hugging Face Space or on this machine: python app.py, with --open to open it in the browser too."""

import sys

from ganlib.checks import MissingPackage

try:
    from ganlib.demo import build, main
except MissingPackage as error:
    sys.exit(f"app.py: {error}")

demo = build()

if __name__ == "__main__":
    sys.exit(main(demo=demo))
