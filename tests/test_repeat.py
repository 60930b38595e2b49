"""A recipe with several seeds: the spread of its measures, what is kept, and how it stops."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ganlib.evaluation import calibrate
from ganlib.runs import Run
from ganlib.toys import Points
from train import repeat

ROOT = Path(__file__).parents[1]


@pytest.fixture
def _few_samples(monkeypatch):
    """Statistics, calibrations and measures of few samples; processes that repeat starts do not have them."""
    monkeypatch.setattr("ganlib.training.STATISTICS", 32)
    monkeypatch.setattr(Points, "samples", 500)
    monkeypatch.setattr(repeat, "calibrate", functools.partial(calibrate, samples=64))


@pytest.mark.usefixtures("_few_samples")
def test_a_recipe_is_run_with_several_seeds_and_its_spread_shown(tmp_path, capsys):
    out = tmp_path / "runs.json"
    assert repeat.main(["toy-gaussian", "--runs", "3", "--jobs", "1", "--steps", "20", "--device", "cpu", "--out",
                        str(out)]) == 0
    runs = json.loads(out.read_text())
    assert [run["title"] for run in runs] == [f"toy-gaussian, seed {seed}" for seed in range(3)]
    distances = sorted(run["measures"]["wasserstein_1"] for run in runs)
    assert len(set(distances)) == 3
    shown = capsys.readouterr().out
    figures = distances[2], distances[1], sum(distances) / 3, distances[0]
    assert f"| Wasserstein-1 distance | {' | '.join(f'{figure:.3f}' for figure in figures)} |" in shown
    assert "3 runs, 500 samples each." in shown


@pytest.mark.usefixtures("_few_samples")
def test_what_is_kept_is_not_run_again(tmp_path, capsys):
    out = tmp_path / "runs.json"
    command = ["toy-gaussian", "--steps", "5", "--jobs", "1", "--device", "cpu", "--out", str(out), "--runs"]
    assert repeat.main([*command, "1"]) == 0
    (first,) = json.loads(out.read_text())
    first["measures"]["mean"] = 0.123456  # which no run gives
    out.write_text(json.dumps([first, "what is no run", {"run": first["run"] | {"data": "another"}}]))
    assert repeat.main([*command, "2"]) == 0
    kept = {run["title"]: run["measures"] for run in json.loads(out.read_text()) if "title" in run}
    assert list(kept) == ["toy-gaussian, seed 0", "toy-gaussian, seed 1"]
    assert kept["toy-gaussian, seed 0"]["mean"] == 0.123456
    assert "2 runs" in capsys.readouterr().out


@pytest.mark.slow
def test_runs_side_by_side_are_the_same_runs(tmp_path):
    measures = []
    for jobs in ("1", "2"):
        out = tmp_path / f"{jobs}.json"
        assert repeat.main(["toy-gaussian", "--steps", "20", "--device", "cpu", "--runs", "2", "--jobs", jobs, "--out",
                            str(out)]) == 0
        measures.append({run["title"]: run["measures"] for run in json.loads(out.read_text())})
    assert measures[0] == measures[1]


def test_as_many_runs_at_a_time_as_use_all_cores(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    assert repeat.jobs_of(Run("toy-ring", device="cpu")) == 8  # on one thread each
    assert repeat.jobs_of(Run("dcgan", device="cpu")) == 1  # on all threads


def wait_for(processes: list[int], seconds: float = 60) -> list[int]:
    """Those that still run then."""
    deadline = time.monotonic() + seconds
    while (left := [n for n in processes if is_running(n)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_all_runs_that_are_side_by_side(number, tmp_path):
    if not Path("/proc/self/task").exists():
        pytest.skip("this system does not tell the children of a process in /proc")
    command = [sys.executable, "-m", "train.repeat", "toy-gaussian", "--runs", "3", "--jobs", "2", "--device", "cpu",
               "--steps", "1000000", "--out", str(tmp_path / "runs.json")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as parent:
        try:
            children, deadline = [], time.monotonic() + 120
            while len(children) < 3 and time.monotonic() < deadline:  # two, and what looks after shared memory
                children = [int(n) for task in Path(f"/proc/{parent.pid}/task").iterdir()
                            for n in (task / "children").read_text().split()]
                time.sleep(0.1)
            parent.send_signal(number)
            _, said = parent.communicate(timeout=120)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)
    assert parent.returncode == 130, said
    assert "train.repeat: stopped" in said
    assert "Traceback" not in said
    assert wait_for(children) == []


def test_a_file_that_is_no_list_of_runs_is_left_alone(tmp_path, capsys):
    out = tmp_path / "runs.json"
    out.write_text("{}")
    assert repeat.main(["toy-gaussian", "--runs", "1", "--steps", "2", "--device", "cpu", "--out", str(out)]) == 1
    assert capsys.readouterr().err.startswith(f"train.repeat: {out} ")
    assert out.read_text() == "{}"


def test_worst_and_best_know_which_way_is_up():
    runs = [{"samples": 10, "centres": 8, "modes": modes, "reverse_kl": kl} for modes, kl in ((8, 0.3), (6, 0.1))]
    table = repeat.spread(runs)
    assert "| modes with a sample, of 8 | 6 | 7 | 7 | 8 |" in table
    assert "| reverse KL from equal shares of the modes, nats | 0.3 | 0.2 | 0.2 | 0.1 |" in table
    assert table[-1] == "2 runs, 10 samples each."
    assert repeat.spread([{}, *runs])[-1] == "3 runs, 10 samples each; 1 did not stay finite."
    assert repeat.spread([{}])[-1] == "1 run; 1 did not stay finite."


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["toy-sine", "--runs", "0"], "--runs and --jobs must be at least 1"),
    (["toy-sine", "--jobs", "0"], "--runs and --jobs must be at least 1"),
    (["toy-sine", "--steps", "0"], "steps must be a whole number from 1"),
    (["dcgan", "--data", "sine"], "and the data's are of shape (2,)"),
    (["toy-sine", "--device", "tpu"], "--device must be auto"),
    (["dcgan", "--data", "nowhere"], "no folder 'nowhere'"),
])
def test_bad_options_get_one_sentence(arguments, sentence, capsys):
    assert repeat.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("train.repeat: ")
    assert sentence in error
    assert error.count("\n") == 1
