"""Several processes train one run as one process would: the same weights, one writer, and all end together."""

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

import ganlib
from ganlib.augmentation import AUGMENTATIONS, augment
from ganlib.distributed import ALONE, Group, SyncedBatchNorm, joined, launched
from ganlib.losses import between
from ganlib.networks import Dropout
from ganlib.training import State, TrainConfig, saved_step
from tests import shared_runs
from tests.conftest import mark_as_measured
from tests.shared_runs import CASES, RESUMED, processes
from train.__main__ import lead, main, parser

ROOT = Path(__file__).parent.parent
TRAIN = ["-m", "train", "toy-ring", "--device", "cpu", "--batch-size", "66", "--checkpoint-every", "5"]


def generators(processes: int, batch_size: int) -> list[torch.Generator]:
    """The random generators of the processes that share a batch, each with the same seed."""
    return [Group(rank, processes).generator(torch.device("cpu"), batch_size).manual_seed(3)
            for rank in range(processes)]


@pytest.mark.parametrize(("batch_size", "processes"), [(8, 1), (8, 2), (7, 2), (10, 4), (4, 4)])
def test_each_sample_of_a_batch_belongs_to_one_process(batch_size, processes):
    parts = Group(0, processes).parts(batch_size)
    assert [sample for part in parts for sample in part] == list(range(batch_size))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_batch_smaller_than_the_number_of_processes_is_refused():
    with pytest.raises(ValueError, match="a batch of 3 has not enough samples for 4 processes"):
        State.fresh(CASES["points"][0], TrainConfig(steps=1, batch_size=3), group=Group(0, 4))


@pytest.mark.parametrize("name", [*AUGMENTATIONS, "between", "dropout"])
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_draw_together_what_one_draws_alone(name, processes):
    """In two batches, one after the other, as a discriminator sees them."""
    x = torch.rand(14, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def changed(part: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        if name == "between":
            return between(part, -part, rng)
        if name == "dropout":
            layer = Dropout(0.5)
            layer.rng = rng
            return layer(part)
        return augment(part, [name], rng)

    whole = changed(x, torch.Generator().manual_seed(3)).unflatten(0, (2, 7))
    for rng in generators(processes, 7):
        found = changed(x.unflatten(0, (2, 7))[:, rng.own.start:rng.own.stop].flatten(0, 1), rng)
        assert torch.equal(found, whole[:, rng.own.start:rng.own.stop].flatten(0, 1))


def test_random_states_stay_the_same_in_all_processes():
    states = []
    for rng in generators(3, 7):
        augment(torch.zeros(2 * len(rng.own), 1, 8, 8), [*AUGMENTATIONS], rng)
        states.append(rng.get_state())
    assert all(torch.equal(a, b) for a, b in pairwise(states))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_synchronised_batch_norm_of_one_process_is_torchs(momentum, monkeypatch):
    """Outputs, running statistics, gradients, and gradients of a gradient's norm."""
    monkeypatch.setattr("torch.distributed.all_reduce", lambda tensor: None)
    own, synced = nn.BatchNorm2d(3, momentum=momentum).double(), nn.BatchNorm2d(3, momentum=momentum).double()
    nn.init.normal_(own.weight, generator=torch.Generator().manual_seed(0))
    synced.load_state_dict(own.state_dict())
    monkeypatch.setattr(torch.Tensor, "float", lambda x: x)  # compared in double precision
    synced = SyncedBatchNorm(synced, (1.0,), 0)
    x = torch.randn(5, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 3 + 2
    found = []
    for norm in (own, synced):
        inputs = x.clone().requires_grad_()
        for _ in range(2):
            y = norm(inputs)
        (gradient,) = torch.autograd.grad(y.pow(3).sum(), inputs, create_graph=True)
        gradient.square().sum().backward()
        norm.eval()
        found.append([y, gradient, inputs.grad, norm.weight.grad, *norm.buffers(), norm(inputs)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.fixture
def environment(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


def test_a_process_that_no_launcher_started_is_alone(environment):
    assert launched() is ALONE
    environment("WORLD_SIZE", "4")  # some schedulers set it for programs that start the others themselves
    with joined() as group:
        assert group is ALONE
        assert group.any(True)
        assert not group.any(False)
        assert group.from_first(5) == 5


def test_an_environment_that_is_not_complete_is_refused(environment):
    environment("RANK", "1")
    environment("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="lacks MASTER_ADDR, MASTER_PORT: start them by torchrun"):
        launched()
    environment("MASTER_ADDR", "127.0.0.1")
    environment("MASTER_PORT", "1")
    assert launched() == Group(1, 2, 0, 1)
    environment("RANK", "2")
    with pytest.raises(ValueError, match="RANK in the environment must be a whole number from 0 to 1, not 2"):
        launched()


def test_several_processes_have_a_gpu_each_or_share_the_cpu(monkeypatch):
    group = Group(0, 4, 0, 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [group.device(name) for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    for name in ("cuda:1", "mps"):
        with pytest.raises(ValueError, match=f"give --device cpu or cuda, not '{name}'"):
            group.device(name)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(ValueError, match="2 processes of this machine need a GPU each, and it has 1"):
        group.device("auto")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert group.device("auto") == "cpu"


def test_the_digit_classifier_trains_in_one_process():
    with pytest.raises(ValueError, match="digit-classifier trains in one process"):
        lead(parser().parse_args(["digit-classifier"], argparse.Namespace(argv=[])), Group(0, 2))


def content(path: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    """The tensors and the history of a checkpoint."""
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["history"])


def logs(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("log-*"))]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder where one process and two have trained all cases."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "alone").mkdir()
    with shared_runs.quickly():
        for name in CASES:
            shared_runs.run(name, middle=folder / "alone" / f"{name}, middle").save(folder / "alone" / name, {})
    (folder / "alone" / f"{RESUMED}, middle").rename(folder / RESUMED)
    with processes(2, ["-m", "tests.shared_runs", str(folder)], folder) as started:
        assert [process.wait(300) for process in started] == [0, 0], logs(folder)
    return folder


def assert_alike(path: Path, other: Path) -> None:
    """Two checkpoints are of the same run: 1e-5 apart, relatively where numbers are above 1."""
    (tensors, history), (others, other_history) = content(path), content(other)
    assert tensors.keys() == others.keys()
    for key, tensor in tensors.items():
        torch.testing.assert_close(tensor, others[key], rtol=1e-5, atol=1e-5)
    assert len(history) == len(other_history) > 1
    for row, other_row in zip(history, other_history):
        assert row == pytest.approx(other_row, rel=1e-5, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_learn_what_one_with_the_whole_batch_learns(trained, name):
    assert_alike(trained / "alone" / name, trained / "0" / name)
    (first, history), (second, other_history) = (content(trained / rank / name) for rank in "01")
    assert all(torch.equal(first[key], second[key]) for key in first)  # also moments, averages and random state
    assert history == other_history


@pytest.mark.slow
def test_a_checkpoint_goes_on_with_another_number_of_processes(trained, tmp_path):
    assert_alike(trained / "alone" / RESUMED, trained / "0" / "resumed")
    with shared_runs.quickly():
        shared_runs.run(RESUMED, resumed=trained / "0" / f"{RESUMED}, middle").save(tmp_path / "state", {})
    assert_alike(trained / "alone" / RESUMED, tmp_path / "state")


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_all_processes(trained):
    first, second = ((trained / rank / "failure").read_text() for rank in "01")
    assert first == second
    assert "a loss is no longer finite at step" in first


def wait_for(path: Path, process: subprocess.Popen) -> None:
    """Waits until a file is there."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_run_is_stopped_resumed_by_more_processes_left_by_one_and_ended_by_one(tmp_path, monkeypatch, capsys):
    """Each time the checkpoint is kept, all processes end, and one sentence says why."""
    out = tmp_path / "ring"
    state = out / "training" / "state.safetensors"
    command = [*TRAIN, "--steps", "100000", "--out", str(out)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    with subprocess.Popen([*torchrun, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as launcher:
        wait_for(state, launcher)
        launcher.send_signal(signal.SIGTERM)
        said, _ = launcher.communicate(timeout=60)
    opening, stopped = said.splitlines()
    assert opening == "Training toy-ring on 100,000 points of ring, on cpu, by 2 processes."
    assert stopped.startswith("Stopped and saved. To continue, by any number of processes: python -m train toy-ring ")
    reached, before = saved_step(state), state.stat().st_mtime_ns

    with processes(3, [*command, "--resume"], tmp_path) as started:
        deadline = time.monotonic() + 120
        while state.stat().st_mtime_ns == before:
            assert started[0].poll() is None, logs(tmp_path)
            assert time.monotonic() < deadline
            time.sleep(0.05)
        started[2].kill()
        assert [process.wait(60) for process in started] == [1, 1, -signal.SIGKILL]
    first, *others = logs(tmp_path)
    assert "Traceback" not in first
    kept = re.search(r"^train: another process of the run has ended or does not answer; the checkpoint of step "
                     r"([\d,]+) is kept$", first, re.MULTILINE)
    assert kept, first
    assert others == ["", ""]
    assert saved_step(state) == int(kept[1].replace(",", "")) > reached

    monkeypatch.setattr("ganlib.report.finish", lambda model, *rest: mark_as_measured(ganlib.save(model, out)))
    steps = str(saved_step(state) + 3)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")  # torchrun --max-restarts: the same command goes on
    assert main([*TRAIN[2:], "--out", str(out), "--steps", steps]) == 0
    assert f"It goes on from step {kept[1]} of" in capsys.readouterr().out


@pytest.mark.slow
def test_an_error_is_said_once_and_all_processes_end(tmp_path):
    with processes(2, [*TRAIN, "--resume", "--out", str(tmp_path / "none")], tmp_path) as started:
        assert [process.wait(60) for process in started] == [1, 1]
    first, second = logs(tmp_path)
    assert first == f"train: there is no checkpoint {tmp_path}/none/training/state.safetensors\n"
    assert second == ""
