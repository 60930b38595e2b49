"""What the page uses of `spaces`, the package of ZeroGPU Spaces, as it works there; but the fork is lent no GPU.

A stand-in for tests, which name its folder in PYTHONPATH; and in SPACES_CALLS a file, to which each call adds a line of
JSON: function, duration, and the process that ran it. A decorated function runs in a fork of the process that calls it,
in a thread; its arguments and its result are pickled. Of its errors only gradio's own come back, of others the class.
"""

import functools
import json
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import gradio

CALLS = Path(os.environ["SPACES_CALLS"])
FORK = multiprocessing.get_context("fork")
_page = os.getpid()


def GPU(task: Callable | None = None, *, duration: float | None = None, size: str | None = None) -> Callable:
    if task is None:
        return functools.partial(GPU, duration=duration, size=size)

    @functools.wraps(task)
    def handler(*args, **kwargs):
        if os.getpid() != _page:
            return task(*args, **kwargs)
        receiver, sender = FORK.Pipe(duplex=False)
        worker = FORK.Process(target=_work, args=(sender, task, pickle.dumps((args, kwargs))), daemon=True)
        worker.start()
        sender.close()
        failed, value = pickle.loads(receiver.recv_bytes())
        worker.join()
        with CALLS.open("a") as calls:
            calls.write(json.dumps({"function": task.__name__, "duration": duration, "process": worker.pid}) + "\n")
        if failed:
            raise value
        return value

    return handler


def gradio_auto_wrap(task):
    """Gradio passes its functions through this on a Space; unless asked to, `spaces` leaves them as they are."""
    return task


def _work(sender, task: Callable, arguments: bytes) -> None:
    def run() -> None:
        args, kwargs = pickle.loads(arguments)
        try:
            answer = False, task(*args, **kwargs)
        except gradio.Error as error:
            answer = True, error
        except Exception as error:
            answer = True, gradio.Error(type(error).__name__, title="ZeroGPU worker error")
        sender.send_bytes(pickle.dumps(answer))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
