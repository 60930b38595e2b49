"""What somebody registers from outside the package works everywhere (tests/extension/stripes.py)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXTENSION = Path(__file__).parent / "extension"


def run(*command: str, folder: Path) -> str:
    """The output of a Python process that imports the extension with ganlib."""
    environment = {**os.environ, "GANLIB_IMPORT": "stripes", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1",
                   "PYTHONPATH": os.pathsep.join([str(EXTENSION), str(Path(__file__).parents[1])])}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where 20 steps of the residual network were trained by the command line, with a stop and a resume in between."""
    folder = tmp_path_factory.mktemp("outside")
    run("-c", """
import itertools, os, signal, sys
from train import __main__ as command, run
real = run.train
def interrupted(*args):
    for step in real(*args):
        if step.number == 10:
            os.kill(os.getpid(), signal.SIGINT)
        yield step
run.train = interrupted
assert command.main(["residual", "--checkpoint-every", "5"]) == 130
run.train = real
assert command.main(["residual", "--resume"]) == 0
""", folder=folder)
    return folder / "runs" / "residual"


def test_it_trains_resumes_saves_and_loads_in_another_process(folder):
    said = run("-c", """
import ganlib, torch
model = ganlib.load("./runs/residual")
x = model.sample(range(5), labels=[0, 1, 0, 1, 0])
assert x.shape == (5, 3, 10, 14) and x.abs().max() <= 1
assert model.class_names == ("horizontal", "vertical")
assert model.interpolate(1, 2, steps=3).shape == (3, 3, 10, 14)
p = model.discriminate(x, [0, 1, 0, 1, 0])
assert ((p >= 0) & (p <= 1)).all()
assert [row["step"] for row in model.history] == list(range(1, 21)) and "penalty" in model.history[0]
print(type(model.architecture).__name__)
""", folder=folder.parents[1])
    assert said.strip() == "Residual"


def test_it_resumed_to_the_very_weights_of_an_uninterrupted_run(folder):
    run("-c", """
import ganlib, torch
recipe, model = ganlib.RECIPES["residual"], ganlib.load("./runs/residual")
for step in ganlib.train(recipe.build((3, 10, 14), 2), ganlib.open_data("stripes"), recipe.train): pass
straight = step.generator.half().float().state_dict()
for name, value in model.generator.state_dict().items():
    assert value.equal(straight[name].to(value.dtype)), name
""", folder=folder.parents[1])


def test_it_is_measured_and_its_card_says_what_it_is(folder):
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["data"] == "stripes"
    assert metrics["pixel_frechet_distance"] > metrics["pixel_frechet_distance_of_real"]
    assert "residual" in (folder / "README.md").read_text()
    run("-m", "train.evaluate", "./runs/residual", folder=folder.parents[1])
    again = json.loads((folder / "metrics.json").read_text())
    assert again["pixel_frechet_distance"] == pytest.approx(metrics["pixel_frechet_distance"], rel=1e-3)


def test_it_exports_to_onnx(folder):
    pytest.importorskip("onnxruntime")
    assert "Checked with onnxruntime" in run(
        "-m", "train.export", "./runs/residual", "--onnx", folder=folder.parents[1])


def test_the_page_shows_it(folder):
    run("-c", """
from ganlib import checkpoint
from ganlib.demo import generate, models, quality
checkpoint.shipped = lambda: {"residual": __import__("pathlib").Path("runs/residual").resolve()}
sheet, status = generate.generate("residual", 7, 4, 1.0, ["opinion"], "1")
assert sheet.width > 100 and "residual" in status
assert quality.quality("residual", 7)[1]["measures"]["data"] == "stripes"
""", folder=folder.parents[1])
