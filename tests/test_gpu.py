"""The page on ZeroGPU, with a stand-in for its package `spaces`; the whole page runs in a process of its own."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ganlib.checkpoint import WeightsError
from ganlib.demo import gpu, models

ROOT = Path(__file__).parents[1]
SCRIPT = """
import json, os, sys, threading
import gradio, torch

import ganlib.checkpoint
load, page = ganlib.checkpoint.load, os.getpid()

def watched(source, device=None):
    main = threading.current_thread() is threading.main_thread()
    print("loading", os.path.basename(source), device,
          "in the page" if os.getpid() == page else "in a fork", "first" if main else "late")
    return load(source, device)

ganlib.checkpoint.load = watched
from gradio_client import Client
from ganlib.demo import build, generate, launch, models, quality

assert not torch.cuda.is_initialized()
_, address, _ = launch(build(), prevent_thread_lock=True, quiet=True)
client = Client(address, verbose=False, download_files=sys.argv[1])
answer = {
    "sheet": client.predict("mlp-gan", 5, 3, 1, [], api_name="/generate")[0],
    "gif": client.predict("dcgan", 3, 8, 4, "slerp", api_name="/interpolate")[1],
    "frame": client.predict("dcgan", 3, 8, "slerp", 0.5, api_name="/frame"),
    "samples": len(client.predict("toy-sine", 300, 3, api_name="/toy")[1]["samples"]),
    "counts": client.predict("dcgan", 5, api_name="/quality")[1]["counts"],
    "growth": client.predict("dcgan", 5, api_name="/growth")[1],
}

def refusal(ask, *arguments, **where):
    try:
        ask(*arguments, **where)
    except Exception as error:
        return str(error)

answer["refusals"] = [
    refusal(client.predict, "dcgan", 7, 4, 1, [], "3", api_name="/generate"),
    refusal(client.predict, "dcgan", 7, 101, 1, [], api_name="/generate"),
    refusal(generate.generate, "nowhere", 1, 1, 1.0, []),
]
answer["kept"] = models.get("dcgan") is models.get("dcgan")
client.close()
print("answer", json.dumps(answer))
"""


@pytest.fixture(scope="module")
def zero_gpu(tmp_path_factory):
    """What the page printed, what it answered, and the calls that were lent a GPU."""
    folder = tmp_path_factory.mktemp("zero-gpu")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "stand_in"), str(ROOT)]), "TMPDIR": str(folder),
        "SPACES_CALLS": str(folder / "calls"), "SPACES_ZERO_GPU": "true", "SYSTEM": "spaces", "SPACE_ID": "alice/page"}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(folder / "downloads")], env=environment, cwd=folder,
                          capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    calls = [json.loads(line) for line in (folder / "calls").read_text().splitlines()]
    assert not list(folder.glob("ganlib-*"))
    return lines, json.loads(last.removeprefix("answer ")), calls


def test_each_handler_that_computes_is_lent_a_gpu_and_no_other(zero_gpu):
    _, answer, calls = zero_gpu
    assert {call["function"] for call in calls} == {"generate", "interpolate", "frame", "toy", "quality"}
    assert {call["duration"] for call in calls} == {gpu.DURATION}
    assert len({call["process"] for call in calls}) == len(calls)
    assert Path(answer["sheet"]).read_bytes().startswith(b"\x89PNG")
    assert Path(answer["gif"]).read_bytes().startswith(b"GIF89a")
    assert Path(answer["frame"]).read_bytes().startswith(b"\x89PNG")
    assert answer["samples"] == 300
    assert sum(answer["counts"]) == 1_000
    assert answer["growth"].startswith("After **")


def test_models_are_loaded_once_by_the_page_before_any_fork(zero_gpu):
    lines, answer, _ = zero_gpu
    assert [line for line in lines if line.startswith("loading")] == [
        f"loading {name} None in the page first" for name in (*models.image_models(), *models.toy_models())]
    assert answer["kept"]


def test_a_refusal_reaches_the_visitor_from_the_fork_as_one_sentence(zero_gpu):
    classes, out_of_range, nowhere = zero_gpu[1]["refusals"]
    assert classes == "dcgan cannot be asked for a digit: it has no classes. Leave Digit at any."
    assert out_of_range == "How many must be a whole number from 1 to 100, not 101."
    assert "there is no model 'nowhere' on this page" in nowhere
    assert "Error" not in nowhere


def test_elsewhere_nothing_happens():
    def handler():
        """Of the page."""

    assert gpu.on_gpu(handler) is handler
    assert gpu.device() is None
    gpu.load_before(pytest.fail, ["dcgan"])


def test_what_a_thread_of_the_page_loads_on_zero_gpu_stays_on_the_cpu(monkeypatch):
    def device_in_a_thread() -> str | None:
        found = []
        thread = threading.Thread(target=lambda: found.append(gpu.device()))
        thread.start()
        thread.join()
        return found[0]

    assert device_in_a_thread() is None
    monkeypatch.setattr(gpu, "LENT", True)
    assert gpu.device() is None
    assert device_in_a_thread() == "cpu"
    monkeypatch.setattr(gpu, "_page", os.getpid() + 1)  # as it is in a fork
    assert device_in_a_thread() is None


def test_a_model_that_does_not_load_keeps_the_page_from_nothing(monkeypatch, capsys):
    def load(name: str) -> None:
        if name == "broken":
            raise WeightsError(f"{name} is broken")
        loaded.append(name)

    loaded: list[str] = []
    monkeypatch.setattr(gpu, "LENT", True)
    gpu.load_before(load, ["a", "broken", "b"])
    assert loaded == ["a", "b"]
    assert capsys.readouterr().out == "broken is broken\n"
