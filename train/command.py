"""What the command lines share: exit codes, output, error messages, devices, sizes and precision."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch

from ganlib import console
from ganlib.checkpoint import WeightsError
from ganlib.checks import check_int, quoted, require
from ganlib.devices import best_device, check_device
from ganlib.runs import has_bfloat16
from ganlib.training import NonFiniteLoss

DEVICE = {"default": "auto", "help": "cpu, cuda, mps, or auto for the best one (default: auto)"}
Config = TypeVar("Config")


def command(parser: Callable[[], argparse.ArgumentParser], work: Callable[[argparse.Namespace], int | None],
            stopped: str) -> Callable[[list[str] | None], int]:
    """The main() of a command: parses the arguments, does the work and returns the exit code.

    Errors that a user can correct are printed as one sentence. Output is as `ganlib.console.command` says.

    Args:
        parser: makes the parser.
        work: takes the arguments, with the command line as `argv`; returns the exit code, None for 0.
        stopped: the message after Ctrl-C.
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
            sentence, code = stopped, 130
        except (ValueError, NonFiniteLoss, WeightsError) as error:
            sentence = str(error)
        except BrokenPipeError:  # the reader of the output has left
            raise
        except OSError as error:
            sentence = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        except RuntimeError as error:
            messages = ("not enough memory", "can't allocate memory")  # for a CPU, on Windows and elsewhere
            if not isinstance(error, torch.OutOfMemoryError) and not any(words in str(error) for words in messages):
                raise
            sentence = "the device has not enough memory for this; give a smaller --batch-size or another --device"
        print(f"{parses.prog.removeprefix('python -m ')}: {sentence}", file=sys.stderr)
        return code
    return main


def pick_device(name: str) -> str:
    """The device of that name, the best one for "auto". Raises ValueError if this machine does not have it."""
    return best_device() if name == "auto" else str(check_device(name, "--device must be auto or"))


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of "32" or "48x64", which is 48 wide and 64 high."""
    width, *height = (int(side) if side.isdecimal() else side for side in text.lower().replace("×", "x").split("x"))
    require(len(height) < 2, f"--size must be PIXELS or WIDTHxHEIGHT, such as 32 or 48x64, not {quoted(text)}")
    width, *height = (check_int(side, 1, 2**16, "--size") for side in (width, *height))
    return (height[0] if height else width), width


def configured(config: Config, arguments: argparse.Namespace, device: str) -> Config:
    """A recipe's training with the steps, batch size, seed and precision of the command line."""
    given = {key: getattr(arguments, key) for key in ("steps", "batch_size", "seed")}
    bfloat16 = {"float32": False, "bfloat16": True}.get(arguments.precision, config.bfloat16 and has_bfloat16(device))
    return replace(config, bfloat16=bfloat16, **{key: value for key, value in given.items() if value is not None})
