"""A generator as ONNX: the file alone makes the model's samples."""

import json
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch

import ganlib
from ganlib import checkpoint, onnx, sampling
from ganlib.model import Model
from tests.conftest import untrained
from train import export

ROOT = Path(__file__).parents[1]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture(scope="module")
def with_classes() -> Model:
    return untrained("cdcgan", num_classes=3, generator_channels=(8, 4, 4), discriminator_channels=(4, 4, 4), choices=5,
                     sharpness=16.0)


def run(path: Path, z: torch.Tensor, y: torch.Tensor | None) -> torch.Tensor:
    """What onnxruntime makes of an exported file."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = {"z": z.numpy()} | ({} if y is None else {"y": y.numpy()})
    assert {argument.name: argument.shape for argument in session.get_inputs()} == {
        name: ["N", *value.shape[1:]] for name, value in inputs.items()}
    return torch.from_numpy(session.run(["x"], inputs)[0])


def metadata(path: Path) -> dict[str, str]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.get_modelmeta().custom_metadata_map


def check_samples(path: Path, model: Model) -> None:
    """One file makes the model's samples of one latent and of seven."""
    for n in (1, 7):
        seeds = range(40, 40 + n)
        z, y = sampling.truncate(model.latents(seeds), 0.8), model.labels_of(seeds)
        found = run(path, z, y)
        assert found.shape == (n, *model.shape)
        assert found.dtype == torch.float32
        assert (found - model.sample(seeds, truncation=0.8)).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["dcgan", "mlp-gan", "toy-gaussian"])
def test_the_file_makes_the_samples_of_a_shipped_model(name, here, capsys):
    assert export.main([name, "--onnx"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    first, second = said.out.splitlines()
    assert first.startswith(f"{name}.onnx: ")
    assert second.startswith("Checked with onnxruntime: its samples differ from the model's by ")
    assert [path.name for path in here.iterdir()] == [f"{name}.onnx"]  # the weights are inside
    check_samples(here / f"{name}.onnx", ganlib.load(name, "cpu"))


def test_classes_are_a_second_input(with_classes, tmp_path):
    ganlib.save(with_classes, tmp_path / "mine")
    before = {path.name for path in (tmp_path / "mine").iterdir()}
    assert export.main([str(tmp_path / "mine"), "--onnx"]) == 0
    assert {path.name for path in (tmp_path / "mine").iterdir()} == before | {"generator.onnx"}
    assert not checkpoint.belongs("generator.onnx")  # and is not published
    path = tmp_path / "mine" / "generator.onnx"
    check_samples(path, ganlib.load(tmp_path / "mine", "cpu"))
    z = with_classes.latents([5]).expand(3, -1)
    assert not torch.equal(*run(path, z, torch.arange(3))[:2])


def test_the_metadata_says_what_it_is_and_how_latents_are_made(with_classes, tmp_path):
    onnx.save(with_classes, tmp_path / "x.onnx")
    said = metadata(tmp_path / "x.onnx")
    assert (said["name"], said["license"], said["library"]) == ("cdcgan", "mit", "ganlib")
    assert said["library_version"] == ganlib.__version__
    numbers = [json.loads(said[key]) for key in ("shape", "latent_dim", "num_classes")]
    assert numbers == [[1, 28, 28], 100, 3]
    assert said["latents"] == ("z: (N, 100) float32, standard normal numbers; y: (N,) int64, each sample's class from "
                               "0 to 2")
    assert said["samples"] == "x: (N, 1, 28, 28) float32 in [-1, 1]"
    plain = onnx.describe(untrained("toy-sine"))
    assert plain["num_classes"] == "null"
    assert plain["latents"] == "z: (N, 2) float32, standard normal numbers"
    assert plain["samples"] == "x: (N, 2) float32, in the data's own units"


def test_nothing_of_the_exporting_machine_is_in_the_file(with_classes):
    content = onnx.to_onnx(with_classes)
    for trace in (str(ROOT), str(Path(torch.__file__).parent), "stack_trace", "networks.py"):
        assert trace.encode() not in content


def test_exporting_leaves_the_model_as_it_was(with_classes):
    before = with_classes.sample([1])
    assert onnx.to_onnx(with_classes) == onnx.to_onnx(with_classes)
    assert torch.equal(with_classes.sample([1]), before)
    assert not with_classes.generator.training


def test_a_file_that_makes_other_samples_is_not_written(with_classes, tmp_path, monkeypatch):
    other = Model("cdcgan", with_classes.architecture, with_classes.generator)
    for parameter in other.generator.parameters():
        parameter.mul_(1.1)
    wrong = onnx.to_onnx(other)
    assert onnx.largest_difference(wrong, with_classes) > onnx.TOLERANCE
    monkeypatch.setattr(onnx, "to_onnx", lambda model: wrong)
    with pytest.raises(ValueError, match="cdcgan was not exported: the ONNX file's samples would differ by up to "):
        onnx.save(with_classes, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["nowhere", "--onnx"], "there is no weights folder 'nowhere'"),
    (["digit-classifier", "--onnx"], "holds the digit-classifier, which measures samples and makes none"),
    (["dcgan", "--onnx", "--out", "model.safetensors"], "--out must end in .onnx, not 'model.safetensors'"),
    (["dcgan", "--onnx", "--out", "a.onnx"], "--out must be a file, and 'a.onnx' is a folder"),
    (["dcgan", "--onnx", "--out", "no/b.onnx"], "there is no folder 'no' to write into"),
])
def test_what_is_wrong_is_one_sentence(arguments, sentence, here, capsys):
    (here / "a.onnx").mkdir()
    assert export.main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("train.export: ")
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_a_broken_folder_is_one_sentence(with_classes, tmp_path, capsys):
    ganlib.save(with_classes, tmp_path / "mine")
    weights = tmp_path / "mine" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert export.main([str(tmp_path / "mine"), "--onnx"]) == 1
    said = capsys.readouterr().err
    assert "model.safetensors is not a whole safetensors file" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "mine" / "generator.onnx").exists()


def test_a_shipped_model_and_one_from_the_hub_go_into_the_current_folder(with_classes, tmp_path):
    mine = ganlib.save(with_classes, tmp_path / "mine")
    assert export.target(str(mine), ganlib.load(mine)) == mine / "generator.onnx"
    for source in ("toy-sine", str(checkpoint.shipped()["toy-sine"])):
        assert export.target(source, ganlib.load(source)) == Path("toy-sine.onnx")
    fetched = ganlib.load(mine)
    for source in ("alice/faces", "alice/faces@a/branch", "alice/models/faces@main"):
        fetched.name = source
        assert export.target(source, fetched) == Path("faces.onnx")


@pytest.mark.parametrize(("hidden", "code", "sentence"), [
    (["onnxscript"], 1, 'train.export: exporting to ONNX needs onnxscript: pip install -e ".[onnx]"\n'),
    (["onnxscript", "onnx"], 1, 'train.export: exporting to ONNX needs onnx and onnxscript: '
                                'pip install -e ".[onnx]"\n'),
    (["onnxruntime"], 0, "It was not checked: onnxruntime is not installed.\n"),
])
def test_without_its_packages_it_says_so(hidden, code, sentence, tmp_path):
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
sys.modules.update(dict.fromkeys({hidden}))
from train import export
sys.exit(export.main(["toy-sine", "--onnx"]))
"""
    ran = subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=tmp_path, text=True, capture_output=True)
    assert ran.returncode == code, ran.stderr
    assert (ran.stdout if code == 0 else ran.stderr).endswith(sentence)
    assert ran.stderr == ("" if code == 0 else sentence)
    assert [path.name for path in tmp_path.iterdir()] == ([] if code else ["toy-sine.onnx"])
