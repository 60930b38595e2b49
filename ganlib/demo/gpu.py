"""The device of the page: the best one; on a ZeroGPU Space the CPU.

There a GPU is lent for one call at a time, and a picture takes about 20 ms on the CPU.
"""

import os

import torch

ON_ZERO_GPU = bool(os.environ.get("SPACES_ZERO_GPU"))
DEVICE = "cpu" if ON_ZERO_GPU else None  # None: the best one

if ON_ZERO_GPU:
    import spaces

    @spaces.GPU  # type: ignore[untyped-decorator]
    def unused() -> None:
        """Never called. A ZeroGPU Space does not start without a function that asks for its GPU."""

    # `spaces` says that a GPU is there always; each step of an optimizer would then ask that GPU, and fail
    torch.cuda.is_available = lambda: False
