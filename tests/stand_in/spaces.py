"""A stand-in for the package of ZeroGPU Spaces: a GPU is said to be there, but whoever uses it fails."""

from collections.abc import Callable

import torch

DECORATED: list[Callable] = []  # without any, a Space does not start

torch.cuda.is_available = lambda: True


def GPU(task: Callable) -> Callable:
    DECORATED.append(task)
    return task


def gradio_auto_wrap(task: Callable) -> Callable:
    """Gradio passes its functions through this."""
    return task
