"""Where networks compute: the best device of this machine, and checks of a device that a user names."""

import torch

from ganlib.checks import quoted

KINDS = ("cpu", "cuda", "mps")


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
