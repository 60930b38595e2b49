"""Several processes that train one run, on one machine or many, by torch.distributed.

    torchrun --nproc-per-node 2 -m train dcgan
    accelerate launch --multi_gpu --num_processes 2 -m train dcgan

Both launchers name the processes in the environment, which `joined` reads. Each process draws the whole batch by the
same random numbers, and computes with its own samples (`ganlib.shares`). After each backward pass gradients and losses
are added up, so that all processes have the weights that one process with the whole batch would have.

It is not `DistributedDataParallel`, which averages in hooks of the backward pass and does not work with
`torch.autograd.grad`, by which penalties take their gradients.
"""

import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from ganlib.checks import check_int, quoted, require
from ganlib.shares import Shares

TIMEOUT = timedelta(minutes=30)  # longer than the first process measures; a process that ends is noticed at once
NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what launchers set
Value = TypeVar("Value")


class LostProcess(ConnectionError):
    """Another process of the run has ended, or does not answer."""


@dataclass(frozen=True)
class Group:
    """This process among those that train one run. One alone waits for nothing and sends nothing.

    Args:
        rank: its number, from 0. Process 0 alone writes files and prints.
        size: how many processes there are, on all machines.
        local_rank: its number on its machine.
        local_size: how many there are on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def parts(self, batch_size: int) -> list[range]:
        """The samples of a batch that each process computes with. Raises ValueError for fewer samples than processes.

        Where the batch cannot be divided evenly, some processes have one more; losses are weighted accordingly.
        """
        require(batch_size >= self.size, f"a batch of {batch_size} has not enough samples for {self.size} processes: "
                                         f"take a larger batch, or start {batch_size} processes at most")
        ends = [batch_size * i // self.size for i in range(self.size + 1)]
        return [range(start, end) for start, end in pairwise(ends)]

    def generator(self, device: torch.device, batch_size: int) -> torch.Generator:
        """A random generator for a run with such batches."""
        if self.size == 1:
            return torch.Generator(device)
        shares = Shares(device)
        shares.whole, shares.own = batch_size, self.parts(batch_size)[self.rank]
        return shares

    def align(self, network: nn.Module) -> None:
        """Gives all processes the tensors of the first: processors of other kinds draw slightly different ones."""
        if self.size > 1:
            with _talking():
                for tensor in network.state_dict().values():
                    first = tensor.contiguous()
                    torch.distributed.broadcast(first, 0)
                    tensor.copy_(first)

    def synchronise(self, network: nn.Module, batch_size: int) -> None:
        """Lets a network's batch norm use the mean and the variance of the whole batch, in place."""
        if self.size == 1:
            return
        weights = tuple(len(part) / batch_size for part in self.parts(batch_size))
        for parent in list(network.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, _BatchNorm) and not isinstance(child, SyncedBatchNorm):
                    setattr(parent, name, SyncedBatchNorm(child, weights, self.rank))

    def add_up(self, gradients: Sequence[Tensor], losses: Sequence[Tensor], share: float) -> None:
        """Replaces gradients by their sum over all processes, and losses by their mean, in one message.

        share: the part of the batch that is this process's. The gradients are of a loss that was multiplied by it.
        """
        if self.size == 1:
            return
        tensors = [*gradients, *(loss.mul_(share) for loss in losses)]
        message = torch.cat([tensor.flatten() for tensor in tensors])
        with _talking():
            torch.distributed.all_reduce(message)
        sums = torch.split(message, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(tensors, [part.view(tensor.shape) for part, tensor in zip(sums, tensors)])

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; all have the same answer. It does not wait for a GPU."""
        if self.size == 1:
            return flag
        found = torch.tensor(int(flag), device="cpu")
        with _talking():
            torch.distributed.all_reduce(found)
        return bool(found)

    def from_first(self, value: Value | None) -> Value:
        """The first process's value, in all of them."""
        box: list[Any] = [value]
        if self.size > 1:
            with _talking():
                torch.distributed.broadcast_object_list(box, 0, device=torch.device("cpu"))
        found: Value = box[0]
        return found

    def check_same(self, content: bytes, message: str) -> None:
        """Raises ValueError with the message, in all processes, unless all have the same content."""
        if self.any(self.from_first(zlib.crc32(content)) != zlib.crc32(content)):
            raise ValueError(message)

    def in_turn(self, work: Callable[[], Value]) -> Value:
        """What a function returns: it runs in the first process, then in one of each other machine, then in the rest.

        So what one process downloads, the others of its machine find.
        """
        own = 0 if self.is_first else 1 if self.local_rank == 0 else 2
        for turn in range(3):
            if turn == own:
                result = work()
            self.any(False)
        return result

    @contextmanager
    def copied(self, path: Path) -> Iterator[Path]:
        """The first process's file; in others a temporary copy, because their machines may not have it."""
        if self.size == 1:
            yield path
            return
        content = self.from_first(path.read_bytes() if self.is_first else None)
        if self.is_first:
            yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            copy.write_bytes(content)
            yield copy

    def leave(self) -> None:
        """Ends the connections, when all have come here. The first process goes on alone, with all cores."""
        if self.size > 1:
            self.any(False)
            torch.distributed.destroy_process_group()
            if self.is_first:
                torch.set_num_threads(_cores())

    def device(self, name: str) -> str:
        """Where this process trains: "cpu" or "cuda", which is a GPU of its own, for "auto", "cpu" or "cuda".

        Raises ValueError for other names, and where there are fewer GPUs than processes on this machine.
        """
        require(name in ("auto", "cpu", "cuda"), f"several processes train on cpu, or on cuda with a GPU each: give "
                                                 f"--device cpu or cuda, not {quoted(name)}")
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if name == "cpu" or (name == "auto" and not gpus):
            return "cpu"
        require(gpus >= self.local_size, f"{self.local_size} processes of this machine need a GPU each, and it has "
                                         f"{gpus}: start fewer processes, or give --device cpu")
        return "cuda"


ALONE = Group()


def launched() -> Group:
    """This process, as its launcher describes it in the environment. Raises ValueError if something is missing."""
    if not os.environ.get("RANK") or os.environ.get("WORLD_SIZE", "1") == "1":
        return ALONE
    missing = [name for name in NEEDED if not os.environ.get(name)]
    require(not missing, f"the environment names several processes, but lacks {', '.join(missing)}: start them by "
                         f"torchrun or accelerate launch")

    def number(name: str, low: int, high: int, default: int) -> int:
        text = os.environ.get(name, str(default))
        return check_int(int(text) if text.isdecimal() else text, low, high, f"{name} in the environment")

    size = number("WORLD_SIZE", 1, 2**20, 1)
    local_size = number("LOCAL_WORLD_SIZE", 1, size, 1)
    rank = number("RANK", 0, size - 1, 0)
    return Group(rank, size, number("LOCAL_RANK", 0, local_size - 1, 0), local_size)


@contextmanager
def joined() -> Iterator[Group]:
    """Joins the processes of the run, if a launcher started this one among several; else yields `ALONE`.

    While it lasts, a process has its share of its machine's cores, and a GPU of its own. Raises ValueError if the
    others cannot be reached.
    """
    group = launched()
    if group.size == 1:
        yield group
        return
    gpus = torch.cuda.is_available() and torch.distributed.is_nccl_available()
    try:
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"the processes of this run cannot reach each other at {os.environ['MASTER_ADDR']}, port "
                         f"{os.environ['MASTER_PORT']} ({_in_a_line(error)})") from None
    if gpus and group.local_rank < torch.cuda.device_count():
        torch.cuda.set_device(group.local_rank)
    before = torch.get_num_threads()
    if os.environ.get("OMP_NUM_THREADS", "1") == "1":  # torchrun sets it to 1 where nobody has
        torch.set_num_threads(max(1, _cores() // group.local_size))
    try:
        yield group
        if torch.distributed.is_initialized():  # not after an error: it may wait for a process that has ended
            torch.distributed.destroy_process_group()
    finally:
        torch.set_num_threads(before)


def _cores() -> int:
    """How many of the machine's cores this process may use."""
    with suppress(AttributeError):  # macOS and Windows do not tell
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _talking() -> Iterator[None]:
    """An error in talking to the other processes becomes LostProcess."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        raise LostProcess("another process of the run has ended or does not answer") from None


def _in_a_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


class _Sum(torch.autograd.Function):
    """A tensor's sum over all processes. Its gradient is the sum of theirs, and can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone(memory_format=torch.contiguous_format)
        with _talking():
            torch.distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        found: Tensor = _Sum.apply(gradient)
        return found


class SyncedBatchNorm(_BatchNorm):
    """Batch norm with the statistics of the whole batch (Ioffe & Szegedy 2015), for batches that processes share.

    PyTorch's SyncBatchNorm refuses the CPU and cannot be differentiated twice.

    Args:
        module: the batch norm whose parameters and buffers it takes over.
        shares: the part of the batch that each process has.
        rank: of this process.
    """

    def __init__(self, module: _BatchNorm, shares: tuple[float, ...], rank: int):
        super().__init__(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
        self.weight, self.bias = module.weight, module.bias
        self.running_mean, self.running_var = module.running_mean, module.running_var
        self.num_batches_tracked = module.num_batches_tracked
        self.train(module.training)
        self.shares, self.rank = shares, rank

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias,
                                         self.running_mean is None, 0.0, self.eps)
        with torch.autocast(x.device.type, enabled=False):
            return self._normalised(x.float()).to(x.dtype)

    def _normalised(self, x: Tensor) -> Tensor:
        features = [1, -1, *[1] * (x.ndim - 2)]
        variance, mean = torch.var_mean(x, [0, *range(2, x.ndim)], correction=0)
        rows = torch.stack([mean, variance])
        rows = torch.stack([rows if i == self.rank else torch.zeros_like(rows) for i in range(len(self.shares))])
        means, variances = _Sum.apply(rows).unbind(1)  # those of each process
        weights = x.new_tensor(self.shares)[:, None]
        mean = (weights * means).sum(0)
        variance = (weights * (variances + (means - mean).square())).sum(0)
        self._track(mean.detach(), variance.detach(), x.numel() / x.shape[1] / self.shares[self.rank])
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        shift = -mean * scale + (self.bias if self.affine else 0)
        found: Tensor = x * scale.view(features) + shift.view(features)
        return found

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: float) -> None:
        """One step of the running statistics, as torch's: the variance is that of a sample."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), momentum)
