"""A generator as ONNX: the file alone makes the model's samples."""

import json
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch

import ganlib
from ganlib import checkpoint, onnx, sampling
from ganlib.model import Model
from tests.conftest import untrained, vae
from train import export

ROOT = Path(__file__).parents[1]
# torch 2.11 warns of what its own exporter does
pytestmark = pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture(scope="module")
def with_classes() -> Model:
    return untrained("cdcgan", num_classes=3, generator_channels=(8, 4, 4), discriminator_channels=(4, 4, 4), choices=5,
                     sharpness=16.0, shape=(1, 28, 20))


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


@pytest.fixture(scope="module")
def exported(with_classes, tmp_path_factory) -> Path:
    """The file that the command writes into a weights folder."""
    folder = ganlib.save(with_classes, tmp_path_factory.mktemp("weights") / "mine")
    before = {path.name for path in folder.iterdir()}
    assert export.main([str(folder), "--onnx"]) == 0
    assert {path.name for path in folder.iterdir()} == before | {"generator.onnx"}  # the weights are inside
    return folder / "generator.onnx"


@pytest.mark.parametrize("name", ["toy-gaussian", pytest.param("dcgan", marks=pytest.mark.slow)])
def test_the_file_makes_the_samples_of_a_shipped_model(name, here, capsys):
    assert export.main([name, "--onnx"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    first, second = said.out.splitlines()
    assert first.startswith(f"{name}.onnx: ")
    assert second.startswith("Checked with onnxruntime: its samples differ from the model's by at most ")
    assert [path.name for path in here.iterdir()] == [f"{name}.onnx"]
    check_samples(here / f"{name}.onnx", ganlib.load(name, "cpu"))


def test_an_export_can_be_repeated_and_does_not_change_the_model():
    model = ganlib.load("toy-gaussian", "cpu")
    before = model.sample([1])
    assert onnx.to_onnx(model) == onnx.to_onnx(model)
    assert torch.equal(model.sample([1]), before)
    assert not model.generator.training


def test_classes_are_a_second_input(with_classes, exported):
    check_samples(exported, with_classes)
    z = with_classes.latents([5]).expand(3, -1)
    assert not torch.equal(*run(exported, z, torch.arange(3))[:2])
    assert not checkpoint.is_weights_file("generator.onnx")  # and is not published


def test_the_metadata_describe_the_model_and_its_latents(exported):
    said = metadata(exported)
    assert (said["name"], said["license"], said["library"]) == ("cdcgan", "mit", "ganlib")
    assert said["library_version"] == ganlib.__version__
    numbers = [json.loads(said[key]) for key in ("shape", "latent_dim", "num_classes")]
    assert numbers == [[1, 28, 20], 100, 3]
    assert said["latents"] == ("z: (N, 100) float32, standard normal; y: (N,) int64, the class of each sample, from 0 "
                               "to 2")
    assert said["samples"] == "x: (N, 1, 28, 20) float32, in [-1, 1]"
    plain = onnx.describe(untrained("toy-sine"))
    assert plain["num_classes"] == "null"
    assert plain["latents"] == "z: (N, 2) float32, standard normal"
    assert plain["samples"] == "x: (N, 2) float32, in the units of the data"


@pytest.mark.slow
def test_an_encoder_is_exported_too(tmp_path, capsys):
    model = vae()
    folder = ganlib.save(model, tmp_path / "mine")
    assert export.main([str(folder), "--onnx", "--encoder"]) == 0
    assert "the encoder" in (said := capsys.readouterr().out)
    assert "its latents differ from the model's by at most" in said
    x = model.sample(range(9))
    session = onnxruntime.InferenceSession(folder / "encoder.onnx", providers=["CPUExecutionProvider"])
    (z,) = session.run(["z"], {"x": x.numpy()})
    assert torch.allclose(torch.from_numpy(z), model.encode(x), atol=1e-4)
    assert export.target("small", model, "encoder") == Path("small-encoder.onnx")


def test_a_model_without_an_encoder_has_none_to_export(here, capsys):
    assert export.main(["dcgan", "--onnx", "--encoder"]) == 1
    assert capsys.readouterr().err == "train.export: dcgan has no encoder to export\n"


def test_nothing_of_the_exporting_machine_is_in_the_file(exported):
    content = exported.read_bytes()
    for trace in (str(ROOT), str(Path(torch.__file__).parent), "stack_trace", "networks.py"):
        assert trace.encode() not in content


def test_a_file_that_makes_other_samples_is_not_written(with_classes, exported, tmp_path, monkeypatch):
    other = Model("cdcgan", with_classes.architecture, with_classes.generator)
    for parameter in other.generator.parameters():
        parameter.mul_(1.1)
    assert onnx.largest_difference(exported.read_bytes(), other) > onnx.TOLERANCE
    monkeypatch.setattr(onnx, "to_onnx", lambda *_: exported.read_bytes())
    with pytest.raises(ValueError, match="cdcgan was not exported: .* 0.0001 is allowed"):
        onnx.save(other, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["nowhere", "--onnx"], "there is no weights folder 'nowhere'"),
    (["digit-classifier", "--onnx"], "holds the digit-classifier, which measures samples and generates none"),
    (["dcgan", "--onnx", "--out", "model.safetensors"], "--out must end in .onnx, not 'model.safetensors'"),
    (["dcgan", "--onnx", "--out", "a.onnx"], "--out must be a file, and 'a.onnx' is a folder"),
    (["dcgan", "--onnx", "--out", "no/b.onnx"], "there is no folder 'no'"),
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
    assert "model.safetensors is not a complete safetensors file" in said
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


@pytest.mark.parametrize(("hidden", "sentence"), [
    (["onnxscript"], 'train.export: exporting to ONNX needs onnxscript: pip install -e ".[onnx]"\n'),
    (["onnxscript", "onnx"], 'train.export: exporting to ONNX needs onnx and onnxscript: pip install -e ".[onnx]"\n'),
])
def test_missing_packages_are_named(hidden, sentence, here, monkeypatch, capsys):
    for name in hidden:
        monkeypatch.setitem(sys.modules, name, None)
    assert export.main(["toy-sine", "--onnx"]) == 1
    assert capsys.readouterr().err == sentence
    assert list(here.iterdir()) == []


def test_without_onnxruntime_the_file_is_not_checked(here, exported, monkeypatch, capsys):
    monkeypatch.setattr(onnx, "to_onnx", lambda *_: exported.read_bytes())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert export.main(["toy-sine", "--onnx"]) == 0
    assert capsys.readouterr().out.endswith("It was not checked: onnxruntime is not installed.\n")
    assert [path.name for path in here.iterdir()] == ["toy-sine.onnx"]
