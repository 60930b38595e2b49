"""What another package registers works everywhere (tests/extension/stripes.py)."""

import contextlib
import functools
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ganlib
from ganlib import architectures, report
from ganlib.demo import generate, models, quality
from ganlib.runs import Run
from train import evaluate, export

EXTENSION = Path(__file__).parent / "extension"
TABLES = (ganlib.ARCHITECTURES, ganlib.DATASETS, ganlib.LOSSES, ganlib.PENALTIES, ganlib.RECIPES, architectures.KINDS)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    """The extension is registered in this file only; statistics and calibration take few samples."""
    before = [dict(table) for table in TABLES]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXTENSION)
        patch.setattr(report, "calibrate", functools.partial(report.calibrate, samples=64))
        patch.setattr("ganlib.training.STATISTICS", 32)
        patch.setattr("ganlib.images.MOMENTS", 3)
        importlib.import_module("stripes")
        yield
        del sys.modules["stripes"]
    for table, content in zip(TABLES, before):
        table.clear()
        table.update(content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The weights of 20 steps, with a stop and a resume in between."""
    folder = tmp_path_factory.mktemp("outside") / "residual"
    run, data = Run("residual", device="cpu", out=folder, checkpoint_every=5).open()
    with contextlib.closing(run.train(data)) as states:
        assert any(state.step == 10 for state in states)
    run, data = Run.resumed("residual", folder, "cpu").open()
    run.go(data)
    return folder


@pytest.fixture(scope="module")
def model(folder) -> ganlib.Model:
    return ganlib.load(folder, "cpu")


def test_it_is_saved_and_loaded(model):
    x = model.sample(range(5), labels=[0, 1, 0, 1, 0])
    assert x.shape == (5, 3, 10, 14)
    assert x.abs().max() <= 1
    assert type(model.architecture).__name__ == "Residual"
    assert model.class_names == ("horizontal", "vertical")
    assert model.interpolate(1, 2, steps=3).shape == (3, 3, 10, 14)
    p = model.discriminate(x, [0, 1, 0, 1, 0])
    assert ((p >= 0) & (p <= 1)).all()
    assert [row["step"] for row in model.history] == list(range(1, 21))
    assert "penalty" in model.history[0]


def test_another_process_loads_it_by_ganlib_import(folder, model):
    path = os.pathsep.join([str(EXTENSION), str(EXTENSION.parents[1])])
    code = "import ganlib; print(ganlib.load('./residual', 'cpu').sample([7]).sum())"
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder.parent, capture_output=True, text=True,
                         env={**os.environ, "GANLIB_IMPORT": "stripes", "PYTHONPATH": path})
    assert ran.stdout.strip() == str(model.sample([7]).sum()), ran.stderr


def test_it_resumed_to_the_weights_of_an_uninterrupted_run(model):
    recipe = ganlib.RECIPES["residual"]
    *_, step = ganlib.train(recipe.build((3, 10, 14), 2), ganlib.open_data("stripes"), recipe.train)
    expected = step.generator.half().float().state_dict()
    for name, value in model.generator.state_dict().items():
        assert value.equal(expected[name].to(value.dtype)), name


def test_it_is_measured_and_its_card_says_what_it_is(folder):
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["data"] == "stripes"
    assert metrics["pixel_frechet_distance"] > metrics["pixel_frechet_distance_of_real"]
    assert "residual" in (folder / "README.md").read_text()
    assert evaluate.main([str(folder), "--device", "cpu"]) == 0
    again = json.loads((folder / "metrics.json").read_text())
    assert again["pixel_frechet_distance"] == pytest.approx(metrics["pixel_frechet_distance"], rel=1e-3)


@pytest.mark.slow
def test_it_exports_to_onnx(folder, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    assert export.main([str(folder), "--onnx", "--out", str(tmp_path / "residual.onnx")]) == 0
    assert "onnxruntime" in capsys.readouterr().out


def test_the_page_shows_it(folder, monkeypatch):
    monkeypatch.setattr(models, "own", lambda: {"residual": folder})
    monkeypatch.setattr(models, "_models", {})
    sheet, status = generate.generate("residual", 7, 4, 1.0, ["opinion"], "1")
    assert sheet.width > 100
    assert "residual" in status
    assert quality.quality("residual", 7)[1]["measures"]["data"] == "stripes"
