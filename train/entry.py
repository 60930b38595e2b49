"""ganlib COMMAND: the installed command, which opens the page or runs the command line of that name."""

import argparse
import sys
from difflib import get_close_matches
from importlib import import_module

from ganlib import console
from ganlib.checks import MissingPackage, quoted
from ganlib.version import __version__

COMMANDS = {
    "app": "open the page on this machine",
    "train": "train a GAN or VAE by a recipe",
    "sample": "write samples of a model as PNG files, a contact sheet or arrays",
    "evaluate": "measure weights folders, and rewrite their metrics, cards and pictures",
    "export": "write a model as an ONNX file",
    "publish": "send a weights folder to the Hugging Face Hub",
    "deploy": "send the page to a Hugging Face Space",
    "repeat": "train a recipe with several seeds, and print the spread of its measures",
    "ablation": "measure the effect of each ingredient of the dcgan recipe",
    "augment": "compare classifiers of few images with and without generated ones",
    "film": "record a film for the page's lab",
}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="ganlib", usage="ganlib COMMAND ...", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Small GANs to meet, run, retrain and publish.",
        epilog="commands:\n" + "\n".join(f"  {name:9} {what}" for name, what in COMMANDS.items())
               + "\n\nganlib COMMAND --help shows the options of a command.")
    p.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    p.add_argument("--version", action="version", version=f"ganlib {__version__}")
    return p


@console.command
def main(argv: list[str] | None = None) -> int:
    """Runs a command with the options that follow its name; only its own modules are imported.

    Returns:
        The exit code: 2 for an unknown command.
    """
    argv = sys.argv[1:] if argv is None else argv
    name = parser().parse_args(argv[:1]).command
    if name is None:
        parser().print_help()
        return 0
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, 1)
        hint = f"; did you mean {near[0]}?" if near else ": ganlib --help lists them"
        print(f"ganlib: there is no command {quoted(name)}{hint}", file=sys.stderr)
        return 2
    with console.as_ganlib():
        try:
            module = "ganlib.demo" if name == "app" else f"{__package__}.{'__main__' if name == 'train' else name}"
            command = import_module(module).main
        except MissingPackage as error:
            print(f"ganlib {name}: {error}", file=sys.stderr)
            return 1
        return command(argv[1:])


if __name__ == "__main__":
    sys.exit(main())
