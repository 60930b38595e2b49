"""Where networks compute: the best device of this machine, checks of one that a user names, precision and threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ganlib.checks import quoted

KINDS = ("cpu", "cuda", "mps")
BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16", "sve_bf16")  # of processors, by torch's names


def best_device() -> str:
    """"cuda", "mps" or "cpu": the first one that is available."""
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def check_device(device: torch.device | str | None, must: str = "the device must be") -> torch.device:
    """The device of that name, the best one for None.

    Args:
        device: such as "cpu", "cuda" or "cuda:1".
        must: the beginning of the error message.

    Raises:
        ValueError: this machine does not have it; the message says what it has.
    """
    if device is None:
        return torch.device(best_device())
    try:
        found = torch.device(device) if isinstance(device, str | torch.device) else None
    except RuntimeError:  # it is no name of a device
        found = None
    if found is None or (found.index or 0) >= _count(found.type):
        raise ValueError(f"{must} what this machine has ({', '.join(filter(_count, KINDS))}), not {quoted(device)}")
    return found if found.type == "cuda" else torch.device(found.type)  # of other kinds there is one


def _count(kind: str) -> int:
    """How many devices of a kind this machine has; none of a kind that KINDS does not name."""
    if kind not in KINDS:
        return 0
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return 1


def has_bfloat16(device: str) -> bool:
    """Whether a device computes bfloat16 itself; others emulate it, which is slower than float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return True
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return any(map(torch.cpu.get_capabilities().get, BFLOAT16_UNITS))


@contextmanager
def threads(count: int | None, device: str) -> Iterator[None]:
    """Limits the number of CPU threads if the device is the CPU; None for no limit."""
    before = torch.get_num_threads()
    if count and device == "cpu":
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
