"""python -m tests.benchmarks pictures: 64 digits of each model, from latents, on all cores."""

import copy
import time
from collections.abc import Callable, Iterator

import onnxruntime
import torch

import ganlib
from ganlib import onnx
from tests.benchmarks.rows import Row, in_turn

DIGITS, PAIRS, WARM_UP = 64, 25, 5
SECONDS = 0.1  # of each measurement, at least


def milliseconds(action: Callable[[], object]) -> Callable[[], float]:
    """How long an action takes, the mean of as many in a row as take SECONDS."""
    def once(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            action()
        return (time.perf_counter() - start) / count

    once(2)
    count = max(1, round(SECONDS / once(3)))
    return lambda: once(count) * 1_000


def rows() -> Iterator[Row]:
    """Against the same network in plain eager mode, and in onnxruntime with as many threads."""
    for name in ganlib.shipped():
        model = ganlib.load(name, "cpu")
        if len(model.shape) != 3:
            continue
        z, y = model.latents(range(DIGITS)), model.labels_of(range(DIGITS))
        ours = milliseconds(lambda model=model, z=z, y=y: model.decode(z, y))
        network = copy.deepcopy(model.generator).to(memory_format=torch.contiguous_format)
        with torch.no_grad():
            eager = milliseconds(lambda network=network, z=z, y=y: network(z, y))
            yield Row(f"{DIGITS} digits of {name}", "its networks as trained, eager, without gradients", "ms",
                      **in_turn(eager, ours, PAIRS, WARM_UP), at_most=0.7,
                      note=f"{torch.get_num_threads()} threads; ours checks latents and labels")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # threads that wait busily would slow down the other way
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(onnx.to_onnx(model), options, providers=["CPUExecutionProvider"])
        inputs = {"z": z.numpy()} if y is None else {"z": z.numpy(), "y": y.numpy()}
        exported = milliseconds(lambda session=session, inputs=inputs: session.run(None, inputs))
        yield Row(f"{DIGITS} digits of {name}", "onnxruntime, the exported model", "ms",
                  **in_turn(exported, ours, PAIRS, WARM_UP), at_most=1.0,
                  note=f"{torch.get_num_threads()} threads each; ours checks latents and labels")
