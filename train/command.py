"""What the command lines share: their ending in one sentence, devices and precision."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from ganlib import checkpoint
from ganlib.training import NonFiniteLoss

BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16", "sve_bf16")  # of processors, by torch's names
DEVICE = {"default": "auto", "help": "cpu, cuda, mps or auto for the best there is (default: auto)"}


def command(parser: Callable[[], argparse.ArgumentParser], work: Callable[[argparse.Namespace], int | None],
            stopped: str) -> Callable[[list[str] | None], int]:
    """The main() of a command: parses the arguments, does the work and returns the exit code.

    What a user can mend is said in one sentence.

    Args:
        parser: makes the parser.
        work: is given the arguments, with the command line as `argv`; returns the exit code, None for 0.
        stopped: what is said after Ctrl-C.
    """
    def main(argv: list[str] | None = None) -> int:
        argv = sys.argv[1:] if argv is None else argv
        parses = parser()
        arguments = parses.parse_args(argv, argparse.Namespace(argv=argv))
        try:
            return work(arguments) or 0
        except KeyboardInterrupt:
            sentence, code = stopped, 130
        except (ValueError, NonFiniteLoss, checkpoint.WeightsError) as error:
            sentence, code = str(error), 1
        except OSError as error:
            sentence, code = f"{error.strerror}{f': {error.filename}' if error.filename else ''}", 1
        except RuntimeError as error:
            said = ("not enough memory", "can't allocate memory")  # a CPU's, on Windows and elsewhere
            if not isinstance(error, torch.OutOfMemoryError) and not any(words in str(error) for words in said):
                raise
            sentence, code = ("the device has not enough memory for this; give a smaller --batch-size or another "
                              "--device"), 1
        print(f"{parses.prog.removeprefix('python -m ')}: {sentence}", file=sys.stderr)
        return code
    return main


def pick_device(name: str) -> str:
    """The device of that name, "auto" for the best there is. Raises ValueError where this machine has none such."""
    if name == "auto":
        return checkpoint.best_device()
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    devices = [kind for kind in there if there[kind]] + [f"cuda:{i}" for i in range(there["cuda"])]
    if name not in devices:
        here = ", ".join(kind for kind, count in there.items() if count)
        raise ValueError(f"--device must be auto or what this machine has ({here}), not {name}")
    return name


def pick_precision(asked: str, wanted: bool, device: str) -> bool:
    """Whether to train in bfloat16: as --precision says, by "auto" where the recipe does and the device computes it."""
    return {"float32": False, "bfloat16": True}.get(asked, wanted and has_bfloat16(device))


def has_bfloat16(device: str) -> bool:
    """Whether a device computes bfloat16 by itself; others emulate it, which is slower than float32."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return True
    if not hasattr(torch.cpu, "get_capabilities"):  # before torch had it
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(unit) for unit in BFLOAT16_UNITS)


@contextmanager
def threads(count: int | None, device: str) -> Iterator[None]:
    """Run with so many of the CPU's threads, where it is the CPU that runs; None for all."""
    before = torch.get_num_threads()
    if count and device == "cpu":
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
