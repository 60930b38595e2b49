import json
import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch

import ganlib
from ganlib import WeightsError, checkpoint
from tests.conftest import untrained
from train.run import round_off


@pytest.fixture
def folder(tmp_path, model):
    return ganlib.save(model, tmp_path / "weights")


def test_a_saved_model_makes_the_same_samples_again(folder, model):
    again = ganlib.load(folder, "cpu")
    torch.testing.assert_close(again.sample(range(4)), model.sample(range(4)), atol=1e-6, rtol=0)
    x = model.sample(range(4))
    torch.testing.assert_close(again.discriminate(x), model.discriminate(x), atol=1e-2, rtol=0)  # stored in float16
    assert again.architecture == model.architecture
    assert again.name == "dcgan"


def test_weights_that_float16_holds_take_half_the_space_and_lose_nothing(folder, model, tmp_path):
    round_off(model)
    half = ganlib.save(model, tmp_path / "half")
    sizes = [(path / "model.safetensors").stat().st_size for path in (folder, half)]
    assert sizes[1] < 0.51 * sizes[0]
    again, x = ganlib.load(half, "cpu"), model.sample(range(4))
    assert again.sample(range(4)).equal(x)
    assert again.discriminate(x).equal(model.discriminate(x))


@pytest.mark.parametrize("fields", [{"num_classes": 10}, {"shape": (3, 32, 32)}])
def test_models_of_other_shapes_and_with_classes_travel_too(fields, tmp_path):
    model = untrained(**fields)
    again = ganlib.load(ganlib.save(model, tmp_path), "cpu")
    torch.testing.assert_close(again.sample([1]), model.sample([1]), atol=1e-6, rtol=0)


def test_a_folder_holds_what_the_design_says(tmp_path, model):
    model.history = [{"step": 1, "discriminator_loss": 0.5, "generator_loss": 0.7}]
    model.metrics = {"samples": 3}
    ganlib.save(model, tmp_path)
    checkpoint.save_report(tmp_path, model.metrics, "# card", b"png")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md", "config.json", "discriminator.safetensors", "history.json", "metrics.json", "model.safetensors",
        "samples.png"]
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architecture"]["name"] == "dcgan"
    assert config["library_version"] == ganlib.__version__
    assert (config["shape"], config["num_classes"], config["latent_dim"]) == ([1, 28, 28], None, 100)
    again = ganlib.load(tmp_path)
    assert again.history == model.history
    assert again.metrics == model.metrics


def test_a_model_that_does_not_name_its_architecture_is_refused(tmp_path, model):
    model.config = {}
    with pytest.raises(ValueError, match="must name its architecture"):
        ganlib.save(model, tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_saving_leaves_other_files_alone(tmp_path, model):
    (tmp_path / "notes.txt").write_text("mine")
    ganlib.save(model, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_loading_leaves_the_processs_random_state_alone(folder):
    before = torch.get_rng_state()
    ganlib.load(folder)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["mlp-gan", "dcgan", "toy-gaussian", "toy-sine"])
def test_shipped_models_load_wherever_the_process_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ganlib.load(name, device="cpu")
    assert model.name == name
    assert model.sample([0]).shape == (1, *model.shape)


def rewrite(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def resize(folder, latent_dim):
    config = json.loads((folder / "config.json").read_text())
    rewrite(folder, latent_dim=latent_dim, architecture=config["architecture"] | {"latent_dim": latent_dim})


def edit_tensors(folder, change):
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    change(tensors)
    safetensors.torch.save_file(tensors, path)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_a_folder_may_keep_other_runs_histories(folder):
    assert checkpoint.other_histories(folder) == {}
    rows = [{"step": 5, "fid_digit_classifier": 2.0, "precision": 0.9, "recall": 0.8}]
    (folder / "history-slow.json").write_text(json.dumps(rows))
    assert checkpoint.other_histories(folder) == {"slow": rows}
    (folder / "history-slow.json").write_text("[1]")
    with pytest.raises(checkpoint.WeightsError, match="history-slow.json: every row must have a step"):
        checkpoint.other_histories(folder)


def write(name, content):
    return lambda f: (f / name).write_text(content if isinstance(content, str) else json.dumps(content))


def describe_otherwise(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    rewrite(folder, architecture=config["architecture"] | fields)


NO_MEASURES = "metrics.json does not hold measures as ganlib writes them"
NO_ROWS = "history.json: every row must have"
BREAKAGES = {
    "missing config": (lambda f: (f / "config.json").unlink(), "config.json cannot be read"),
    "config of nonsense": (lambda f: (f / "config.json").write_text("{"), "config.json is not JSON"),
    "config in latin-1": (lambda f: (f / "config.json").write_bytes(b'{"a": "\xe9"}'), "config.json is not JSON"),
    "config that is a list": (lambda f: (f / "config.json").write_text("[]"), "config.json holds a JSON list"),
    "config without an end": (write("config.json", "[" * 100_000), "config.json is not JSON"),
    "recipe of other data": (lambda f: rewrite(f, recipe={"data": 3}), "config.json: recipe must have its data as a"),
    "recipe of other training": (lambda f: rewrite(f, recipe={"train": []}), "config.json: recipe must have"),
    "layers without end": (lambda f: describe_otherwise(f, generator_channels=[1] * 1_000_000),
                           r"generator_channels must be .*, 32 at most, not \(1, 1, 1, 1, 1, 1, \.\.\.\)$"),
    "a name without end": (lambda f: describe_otherwise(f, name="x" * 10_000), r"^.{,500}$"),
    "fields without end": (lambda f: describe_otherwise(f, **{f"x{i}": 1 for i in range(10_000)}), r"^.{,500}$"),
    "measured on a list": (write("metrics.json", {"data": []}), NO_MEASURES),
    "a measure beyond numbers": (write("metrics.json", '{"recall": 1%s, "neighbours": 5}' % ("0" * 400)), NO_MEASURES),
    "a measure that is no number": (write("metrics.json", '{"recall": NaN, "neighbours": 5}'), NO_MEASURES),
    "a loss that is a list": (write("metrics.json", {"final_generator_loss": [0.5]}), NO_MEASURES),
    "shares that are texts": (write("metrics.json", {"class_shares_of_real": ["0.1"] * 10}), NO_MEASURES),
    "shares above all": (write("metrics.json", {"class_shares_of_real": [2] * 10}), NO_MEASURES),
    "a share alone": (write("metrics.json", {"class_shares_of_real": 0.5}), NO_MEASURES),
    "history of FID alone": (write("history.json", [{"step": 1, "fid_digit_classifier": 2}]), NO_ROWS),
    "history beyond numbers": (write("history.json", '[{"step": 1%s}]' % ("0" * 400)), NO_ROWS),
    "history without an end": (write("history.json", '[{"step": Infinity}]'), NO_ROWS),
    "no architecture": (lambda f: (f / "config.json").write_text("{}"), "config.json: an architecture must be"),
    "foreign architecture": (lambda f: rewrite(f, architecture={"name": "os.system"}), "unknown architecture"),
    "another shape": (lambda f: rewrite(f, shape=[3, 28, 28]), "config.json: shape is"),
    "another latent": (lambda f: rewrite(f, latent_dim=64), "config.json: latent_dim is 64"),
    "missing weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
    "missing discriminator": (lambda f: (f / "discriminator.safetensors").unlink(), "tor.safetensors is missing"),
    "truncated": (lambda f: os.truncate(f / "model.safetensors", 1000), "model.safetensors is not a whole safetensors"),
    "truncated at the end": (lambda f: os.truncate(f / "model.safetensors", 3_000_000), "is not a whole safetensors"),
    "empty": (lambda f: os.truncate(f / "model.safetensors", 0), "is not a whole safetensors"),
    "pickle": (lambda f: (f / "model.safetensors").write_bytes(pickle.dumps(Bomb())), "is not a whole safetensors"),
    "tensor too few": (lambda f: edit_tensors(f, lambda t: t.pop("project.weight")), "lacks tensor 'project.weight'"),
    "tensor too many": (lambda f: edit_tensors(f, lambda t: t.update(extra=torch.zeros(1))), "foreign tensor 'extra'"),
    "wrong shape": (lambda f: edit_tensors(f, lambda t: t.update({"project.weight": torch.zeros(2, 2)})),
                    r"project.weight is \(2, 2\), but the architecture's is \(6272, 100\)"),
    "wrong type": (lambda f: edit_tensors(f, lambda t: t.update({"layers.0.bias": torch.zeros(128).long()})),
                   "layers.0.bias holds torch.int64"),
    "not finite": (lambda f: edit_tensors(f, lambda t: t["layers.0.bias"].fill_(torch.nan)), "not finite"),
    "recipe of another kind": (lambda f: rewrite(f, recipe=None), "config.json: recipe is not a table"),
    "history of other rows": (lambda f: (f / "history.json").write_text("[1, 2]"), "history.json: every row must have"),
    "networks beyond memory": (lambda f: resize(f, 10**17), "config.json"),
    "networks beyond numbers": (lambda f: resize(f, 10**30), "config.json"),
    "history of another kind": (lambda f: (f / "history.json").write_text("{}"), "history.json holds a JSON dict"),
}


@pytest.mark.parametrize("what", BREAKAGES)
def test_a_broken_folder_is_named_in_one_sentence(what, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    breakage, sentence = BREAKAGES[what]
    breakage(folder)
    with pytest.raises(WeightsError, match=sentence) as caught:
        ganlib.load(folder)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "unpickled").exists()


def test_a_path_is_a_folder_even_by_a_shipped_models_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ganlib.save(untrained("toy-sine"), "dcgan")
    assert checkpoint.load(Path("dcgan"), "cpu").shape == (2,)
    assert checkpoint.load("./dcgan", "cpu").shape == (2,)
    assert checkpoint.load("dcgan", "cpu").shape == (1, 28, 28)
    assert checkpoint.load(Path("mlp-gan"), "cpu").shape == (1, 28, 28)


def test_links_that_lead_out_of_a_folder_are_none_of_its_files(folder, tmp_path):
    (tmp_path / "id_rsa").write_text("secret")
    (folder / "samples.png").symlink_to(folder / "history.json")
    assert folder / "samples.png" in checkpoint.files(folder)
    (folder / "nearest.png").symlink_to("../id_rsa")
    with pytest.raises(WeightsError, match="nearest.png is a link that leads out of the folder"):
        checkpoint.files(folder)


def test_the_hubs_cache_consists_of_links(tmp_path):
    cached, blobs = tmp_path / "snapshots" / "0123" / "sub", tmp_path / "blobs"
    cached.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "4567").write_text("{}")
    (cached / "config.json").symlink_to("../../../blobs/4567")
    assert checkpoint.files(cached) == [cached / "config.json"]


@pytest.mark.parametrize("source", ["nowhere", "user/repo", "weights/nowhere", "", "a" * 300])
def test_a_missing_folder_is_named(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError):
        ganlib.load(source)


def test_shipped_names_come_from_the_weights_folder():
    assert all((folder / checkpoint.CONFIG).is_file() for folder in checkpoint.shipped().values())
    assert list(checkpoint.shipped()) == ["cdcgan", "dcgan", "mlp-gan", "toy-gaussian", "toy-grid", "toy-ring",
                                          "toy-sine"]
