"""What the command lines share: exit codes, output, error messages, devices, sizes, options of pictures, precision."""

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch

from ganlib import console
from ganlib.checkpoint import WeightsError
from ganlib.checks import quoted, require
from ganlib.devices import best_device, check_device, has_bfloat16
from ganlib.pictures import Reading
from ganlib.training import NonFiniteLoss

DEVICE = {"default": "auto", "help": "cpu, cuda, mps, or auto for the best one (default: auto)"}
MOST_PIXELS = 2**16  # of a side, in --size
Config = TypeVar("Config")


def command(parser: Callable[[], argparse.ArgumentParser], work: Callable[[argparse.Namespace], int | None],
            stopped: str | Callable[[argparse.Namespace], str]) -> Callable[[list[str] | None], int]:
    """The main() of a command: parses the arguments, does the work and returns the exit code.

    Errors that a user can correct are printed as one sentence. Output is as `ganlib.console.command` says.

    Args:
        parser: makes the parser.
        work: takes the arguments, with the command line as `argv`; returns the exit code, None for 0.
        stopped: the message after Ctrl-C, or makes it from the arguments.
    """
    @console.command
    def main(argv: list[str] | None = None) -> int:
        argv = sys.argv[1:] if argv is None else argv
        parses = parser()
        arguments = parses.parse_args(argv, argparse.Namespace(argv=argv))
        code = 1
        try:
            return work(arguments) or 0
        except KeyboardInterrupt:
            sentence, code = stopped if isinstance(stopped, str) else stopped(arguments), 130
        except (ValueError, NonFiniteLoss, WeightsError) as error:
            sentence = str(error)
        except console.OutputError:
            raise
        except OSError as error:
            sentence = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        except (MemoryError, RuntimeError) as error:
            messages = ("not enough memory", "can't allocate memory")  # for a CPU, on Windows and elsewhere
            if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(
                    words in str(error) for words in messages):
                raise
            helps = {"batch_size": "a smaller --batch-size", "device": "another --device"}
            advice = [text for option, text in helps.items() if hasattr(arguments, option)]
            sentence = f"there is not enough memory for this{'; give ' * bool(advice)}{' or '.join(advice)}"
        print(f"{parses.prog.removeprefix('python -m ')}: {sentence}", file=sys.stderr)
        return code
    return main


def pick_device(name: str) -> str:
    """The device of that name, the best one for "auto". Raises ValueError if this machine does not have it."""
    return best_device() if name == "auto" else str(check_device(name, "--device must be auto or"))


def without(argv: list[str], option: str, values: int = 0) -> list[str]:
    """The command line without an option and its values; it may be abbreviated, as argparse allows."""
    kept, skipped = [], 0
    for word in argv:
        name, equals, _ = word.partition("=")
        if skipped:
            skipped -= 1
        elif len(name) > 2 and option.startswith(name):
            skipped = 0 if equals else values
        else:
            kept.append(word)
    return kept


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of "32" or "48x64", which is 48 wide and 64 high."""
    found = re.fullmatch(r"(\d{1,5})(?:[x×](\d{1,5}))?", text.strip(), re.ASCII | re.IGNORECASE)
    width, height = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    require(min(width, height) > 0 and max(width, height) <= MOST_PIXELS,
            f"--size must be PIXELS or WIDTHxHEIGHT, such as 32 or 48x64, each from 1 to {MOST_PIXELS}, not "
            f"{quoted(text)}")
    return height, width


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say how the pictures of a folder are read."""
    parser.add_argument("--background", metavar="COLOUR",
                        help=f"the colour that transparent pictures of a folder are composited onto, such as black or "
                             f"#8090a0 (default: {Reading.background})")
    parser.add_argument("--skip-broken", action="store_true", default=None,
                        help="leave out the files of a folder that cannot be read (default: stop and name them)")


def reading_of(arguments: argparse.Namespace) -> Reading:
    """How pictures are read, by the options of `add_reading`."""
    given = {"background": arguments.background, "skip_broken": arguments.skip_broken}
    return Reading(**{key: value for key, value in given.items() if value is not None})


def configured(config: Config, arguments: argparse.Namespace, device: str) -> Config:
    """A recipe's training with the steps, batch size, seed and precision of the command line."""
    given = {key: getattr(arguments, key) for key in ("steps", "batch_size", "seed")}
    bfloat16 = {"float32": False, "bfloat16": True}.get(arguments.precision, config.bfloat16 and has_bfloat16(device))
    return replace(config, bfloat16=bfloat16, **{key: value for key, value in given.items() if value is not None})
