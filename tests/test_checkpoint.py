import json
import math
import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

import ganlib
from ganlib import WeightsError, checkpoint, publishing
from ganlib.architectures import KINDS, build, register
from ganlib.calibration import Calibration
from ganlib.card import model_card
from ganlib.files import PARTIAL
from ganlib.measures import Comparison
from ganlib.model import Model
from tests.conftest import untrained

GOOD = {"data": "gaussian", "samples": 3, "wasserstein_1": 0.25, "class_shares": [0.25, 0.75], "new_measure": 1.5,
        "new_table": {"a": 1}, "new_text": "yes", "new_list": [7]}
ROW = {"step": 1, "discriminator_loss": 0.5, "generator_loss": 0.7}


TINY = {"generator_channels": (8, 8, 4), "discriminator_channels": (8, 8), "mapping": (), "features": 8}


@pytest.fixture
def model() -> Model:
    """A model of images, with networks that are quickly built and written."""
    return untrained(**TINY)


@pytest.fixture
def folder(tmp_path, model) -> Path:
    return ganlib.save(model, tmp_path / "weights")


@pytest.fixture
def small() -> Model:
    """A model of numbers, with measures and a history."""
    model = untrained("toy-gaussian")
    model.history, model.metrics = [ROW], dict(GOOD)
    return model


@pytest.fixture
def lone(small, monkeypatch) -> Model:
    """A model without a discriminator, as somebody else's package may register it."""
    monkeypatch.setitem(KINDS, "lone", None)  # taken out again at the end

    @register("lone")
    @dataclass(frozen=True)
    class Lone:
        shape: tuple[int, ...] = (1,)
        latent_dim: int = 20
        num_classes = None
        widest = 20

        def generator(self) -> nn.Module:
            return Line()

        def discriminator(self) -> None:
            return None

        def fitted(self, shape, num_classes):
            return self

    class Line(nn.Module):
        def __init__(self):
            super().__init__()
            self.line = nn.Linear(20, 1)

        def forward(self, z, y=None):
            return self.line(z)

    architecture = Lone()
    return Model("lone", architecture, *build(architecture, torch.Generator().manual_seed(0)))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_saved_model_is_the_same_model_again(tmp_path, small):
    small.calibration = Calibration(2.0, (0.5,))
    again = ganlib.load(ganlib.save(small, tmp_path), "cpu")
    x = small.sample(range(4))
    assert again.sample(range(4)).equal(x)
    assert again.discriminate(x).equal(small.discriminate(x))
    assert (again.name, again.architecture) == ("toy-gaussian", small.architecture)
    assert (again.calibration, again.history, again.metrics) == (small.calibration, [ROW], GOOD)


@pytest.mark.parametrize("fields", [{"num_classes": 10}, {"shape": (3, 32, 32)}])
def test_models_of_other_shapes_and_with_classes_travel_too(fields, tmp_path):
    model = untrained(**TINY, **fields)
    assert ganlib.load(ganlib.save(model, tmp_path), "cpu").sample([1]).equal(model.sample([1]))


def test_a_weight_beyond_float16_survives(tmp_path, small):
    weights = small.generator.state_dict()
    next(iter(weights.values()))[0, 0] = 1e5
    checkpoint.round_to_float16(small.generator)
    again = ganlib.load(ganlib.save(small, tmp_path), "cpu")
    assert all(value.equal(weights[name]) for name, value in again.generator.state_dict().items())


def test_weights_that_float16_holds_take_half_the_space(folder, model, tmp_path):
    checkpoint.round_to_float16(model.generator)
    half = ganlib.save(model, tmp_path / "half")
    assert (half / "model.safetensors").stat().st_size < 0.6 * (folder / "model.safetensors").stat().st_size
    assert ganlib.load(half, "cpu").sample(range(4)).equal(model.sample(range(4)))


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_network_that_would_not_load_is_refused_before_the_old_folder_is_touched(network, number, tmp_path, small):
    before = contents(ganlib.save(small, tmp_path))
    next(getattr(small, network).parameters()).view(-1)[0] = number
    with pytest.raises(ValueError, match="holds numbers that are not finite"):
        ganlib.save(small, tmp_path)
    assert contents(tmp_path) == before
    assert ganlib.load(tmp_path, "cpu").shape == (1,)
    with pytest.raises(ValueError, match="not finite"):
        ganlib.save(small, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_number_beyond_float32_is_not_finite_either(tmp_path, small):
    small.generator.double()
    next(small.generator.parameters()).view(-1)[0] = 1e300
    with pytest.raises(ValueError, match="not finite"):
        ganlib.save(small, tmp_path)


def test_layers_that_share_their_weights_are_saved(tmp_path, small):
    layers = small.discriminator.layers
    layers[4].weight = nn.Parameter(layers[2].weight.T)
    x = small.sample(range(3))
    assert ganlib.load(ganlib.save(small, tmp_path), "cpu").discriminate(x).equal(small.discriminate(x))


def test_a_model_without_a_discriminator_replaces_one_that_has_one(tmp_path, small, lone):
    ganlib.save(small, tmp_path)
    again = ganlib.load(ganlib.save(lone, tmp_path), "cpu")
    assert again.discriminator is None
    assert again.sample(range(3)).equal(lone.sample(range(3)))
    assert not (tmp_path / checkpoint.DISCRIMINATOR).exists()
    assert checkpoint.hashes(tmp_path).keys() == {"weights_sha256"}


def test_the_hash_of_the_weights_is_that_of_the_file_also_before_it_is_written(tmp_path, small):
    before = checkpoint.weights_sha256(small)
    loaded = ganlib.load(ganlib.save(small, tmp_path), "cpu")
    assert before == checkpoint.weights_sha256(loaded) == checkpoint.hashes(tmp_path)["weights_sha256"]
    (tmp_path / checkpoint.GENERATOR).write_bytes(b"of a later run")
    assert checkpoint.weights_sha256(loaded) == before
    next(small.generator.parameters()).data.add_(1)
    assert checkpoint.weights_sha256(small) != before
    assert loaded.revision is None


def test_the_hash_is_of_the_bytes_that_were_loaded(tmp_path, small, monkeypatch):
    expected = checkpoint.hashes(ganlib.save(small, tmp_path))["weights_sha256"]

    def changed_meanwhile(folder):
        (folder / checkpoint.GENERATOR).write_bytes(b"of a later run")
        return {}

    monkeypatch.setattr(checkpoint, "read_metrics", changed_meanwhile)
    loaded = ganlib.load(tmp_path, "cpu")
    assert checkpoint.weights_sha256(loaded) == expected
    next(loaded.generator.parameters()).data.add_(1)
    loaded.weights_sha256 = None  # as the docstring says
    assert checkpoint.weights_sha256(loaded) != expected


@pytest.mark.parametrize("network", [checkpoint.GENERATOR, checkpoint.DISCRIMINATOR])
def test_measures_belong_to_both_networks(network, tmp_path, small):
    ganlib.save(small, tmp_path)
    measures = checkpoint.hashes(tmp_path)
    assert checkpoint.is_measured(tmp_path, measures)
    (tmp_path / network).write_bytes((tmp_path / network).read_bytes() + b" ")
    assert not checkpoint.is_measured(tmp_path, measures)


def test_a_folder_says_what_its_model_is(folder):
    assert {path.name for path in folder.iterdir()} == {"config.json", "discriminator.safetensors", "history.json",
                                                        "metrics.json", "model.safetensors"}
    config = json.loads((folder / "config.json").read_text())
    assert config["architecture"]["kind"] == "dcgan"
    assert config["library_version"] == ganlib.__version__
    assert (config["shape"], config["num_classes"], config["latent_dim"]) == ([1, 28, 28], None, 100)


def test_saving_leaves_other_files_alone(tmp_path, small):
    (tmp_path / "notes.txt").write_text("mine")
    ganlib.save(small, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_loading_leaves_the_processs_random_state_alone(folder):
    before = torch.get_rng_state()
    ganlib.load(folder)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", checkpoint.shipped())
def test_shipped_models_load_wherever_the_process_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ganlib.load(name, device="cpu")
    assert model.name == name
    assert model.sample([0]).shape == (1, *model.shape)


def rewrite(folder: Path, change=None, **changes) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    if change:
        change(config)
    path.write_text(json.dumps(config))


def test_a_config_of_version_0_still_loads_and_has_a_one_hot_choice(tmp_path):
    model = untrained(**TINY, choices=8, sharpness=1_000.0)
    folder = ganlib.save(model, tmp_path)

    def age(config):
        described = config["architecture"]
        config["architecture"] = {"name": "dcgan", "leak": described.pop("negative_slope"),
                                  "codes": described.pop("choices"),
                                  **{key: described[key] for key in described if key not in ("kind", "sharpness")}}
        del config["library_version"]

    rewrite(folder, age)
    old = ganlib.load(folder, "cpu")
    assert old.sample(range(3)).equal(model.sample(range(3)))
    choice = old.generator.choice(old.latents(range(20)))[:, :8] / math.sqrt(8)
    assert choice.max(1).values.min() > 0.99
    torch.testing.assert_close(choice.sum(1), torch.ones(20))
    old.metrics = {"samples": 3, **checkpoint.hashes(folder)}
    checkpoint.write_atomically(folder / checkpoint.METRICS, checkpoint.to_json(old.metrics))
    assert b"(dcgan)" in publishing.prepare(folder, "alice/old").files[checkpoint.CARD]


HUGE = "1" + 400 * "0"


@pytest.mark.parametrize("value", [
    f'"recall": {HUGE}', '"recall": NaN', '"recall": null', '"recall": true', '"recall": "high"',
    '"newer": {"deep": {"er": 1}}', '"newer": ["a"]', '"newer": null', '"data": []', '"samples": "3"',
    '"real_images": "3"', '"against": 3', '"neighbours": {"5": 5}', '"final_generator_loss": [0.5]',
    '"class_shares": [2, 3]', '"class_shares_of_real": 0.5', '"nearest_training_image_distances": 1',
])
def test_a_foreign_measure_is_left_out_with_a_warning(value, tmp_path, small):
    folder, key = ganlib.save(small, tmp_path), value.split('"')[1]
    (folder / "metrics.json").write_text(json.dumps(GOOD)[:-1] + f", {value}}}")
    with pytest.warns(UserWarning, match=f"^{folder}/metrics.json: '{key[:10]}.*left out"):
        model = ganlib.load(folder, "cpu")
    assert model.sample([1]).equal(small.sample([1]))
    assert model.metrics == {name: GOOD[name] for name in GOOD if name != key}
    assert "# toy-gaussian" in str(model_card(checkpoint.config_of(model), model.metrics, model.history))
    assert all(table.markdown() for table in Comparison.several({"a": model.metrics, "b": GOOD}))


def test_a_foreign_row_of_a_history_is_left_out_with_a_warning(tmp_path, small):
    folder = ganlib.save(small, tmp_path)
    foreign = f'1, [], {{"generator_loss": 0.7}}, {{"step": "2"}}, {{"step": Infinity}}, {{"step": {HUGE}}}'
    (folder / "history.json").write_text(f"[{foreign}, {json.dumps(ROW)}]")
    with pytest.warns(UserWarning, match="history.json: 6 of 7 rows .* left out"):
        assert ganlib.load(folder, "cpu").history == [ROW]


@pytest.mark.parametrize("name", ["metrics.json", "history.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"3", b'"\xe9"', b"[" * 100_000])
def test_a_file_beside_the_weights_that_cannot_be_read_is_left_out_with_a_warning(name, content, tmp_path, small):
    folder = ganlib.save(small, tmp_path)
    (folder / name).write_bytes(content)
    with pytest.warns(UserWarning, match=f"{name} .*; left out"):
        model = ganlib.load(folder, "cpu")
    assert model.sample([1]).equal(small.sample([1]))
    assert not (model.metrics if name == "metrics.json" else model.history)


def test_a_folder_may_keep_other_runs_histories(folder):
    assert checkpoint.other_histories(folder) == {}
    (folder / "history-slow.json").write_text(json.dumps([ROW, 1]))
    with pytest.warns(UserWarning, match="history-slow.json: 1 of 2 rows .* left out"):
        assert checkpoint.other_histories(folder) == {"slow": [ROW]}


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 3\n"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "discriminator.safetensors"])
def test_a_git_lfs_pointer_in_place_of_a_model_is_called_one(name, folder):
    (folder / name).write_text(POINTER)
    with pytest.raises(WeightsError, match=f"{name} is a Git LFS pointer in place of the file: .* `git lfs pull`$"):
        ganlib.load(folder)


@pytest.mark.parametrize("name", ["metrics.json", "history.json"])
def test_a_git_lfs_pointer_beside_the_weights_is_left_out(name, folder, model):
    (folder / name).write_text(POINTER)
    with pytest.warns(UserWarning, match=f"{name} is a Git LFS pointer .* `git lfs pull`; left out"):
        assert ganlib.load(folder, "cpu").sample([1]).equal(model.sample([1]))


@pytest.mark.parametrize("name", ["README.md", "samples.png"])
def test_a_git_lfs_pointer_is_none_of_a_folders_files(name, folder):
    (folder / name).write_text(POINTER)
    with pytest.raises(WeightsError, match=f"{name} is a Git LFS pointer"):
        checkpoint.files(folder)


def edit_tensors(folder: Path, change) -> None:
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    change(tensors)
    safetensors.torch.save_file(tensors, path)


def describe_otherwise(folder: Path, **fields) -> None:
    rewrite(folder, lambda config: config["architecture"].update(fields))


def resize(folder: Path, latent_dim: int) -> None:
    rewrite(folder, lambda config: config["architecture"].update(latent_dim=latent_dim), latent_dim=latent_dim)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


BREAKAGES = {
    "missing config": (lambda f: (f / "config.json").unlink(), "is no weights folder: it has no config.json"),
    "config of nonsense": (lambda f: (f / "config.json").write_text("{"), "config.json is not JSON"),
    "config in latin-1": (lambda f: (f / "config.json").write_bytes(b'{"a": "\xe9"}'), "config.json is not JSON"),
    "config that is a list": (lambda f: (f / "config.json").write_text("[]"), "config.json must hold a JSON dict"),
    "config without an end": (lambda f: (f / "config.json").write_text("[" * 100_000), "config.json is not JSON"),
    "recipe of another kind": (lambda f: rewrite(f, recipe=None), "config.json: recipe must be a table"),
    "recipe of other data": (lambda f: rewrite(f, recipe={"data": 3}), "config.json: recipe must be"),
    "recipe of other training": (lambda f: rewrite(f, recipe={"train": []}), "config.json: recipe must be"),
    "class names too many": (lambda f: rewrite(f, class_names=["a"]), "class_names must be a list of 0 names"),
    "calibration of nonsense": (lambda f: rewrite(f, calibration={"scale": -1, "offsets": [0]}), "config.json: the"),
    "offsets of other classes": (lambda f: rewrite(f, calibration={"scale": 1, "offsets": [0, 1]}), "has 2 offsets"),
    "layers without end": (lambda f: describe_otherwise(f, generator_channels=[1] * 1_000_000), r"^.{,500}$"),
    "a name without end": (lambda f: describe_otherwise(f, kind="x" * 10_000), r"^.{,500}$"),
    "fields without end": (lambda f: describe_otherwise(f, **{f"x{i}": 1 for i in range(10_000)}), r"^.{,500}$"),
    "no architecture": (lambda f: (f / "config.json").write_text("{}"), "config.json: unknown architecture"),
    "foreign architecture": (lambda f: rewrite(f, architecture={"kind": "os.system"}), "unknown architecture"),
    "another shape": (lambda f: rewrite(f, shape=[3, 28, 28]), "config.json: shape is"),
    "another latent": (lambda f: rewrite(f, latent_dim=64), "config.json: latent_dim is 64"),
    "networks beyond memory": (lambda f: resize(f, 10**17), "config.json"),
    "networks beyond numbers": (lambda f: resize(f, 10**30), "config.json"),
    "missing weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
    "missing discriminator": (lambda f: (f / "discriminator.safetensors").unlink(), "tor.safetensors is missing"),
    "truncated": (lambda f: os.truncate(f / "model.safetensors", 1000), "tensors is not a complete"),
    "truncated at the end": (lambda f: os.truncate(f / "model.safetensors", 100_000), "is not a complete"),
    "empty": (lambda f: os.truncate(f / "model.safetensors", 0), "is not a complete"),
    "pickle": (lambda f: (f / "model.safetensors").write_bytes(pickle.dumps(Bomb())), "is not a complete"),
    "tensor too few": (lambda f: edit_tensors(f, lambda t: t.pop("project.weight")), "lacks tensor 'project.weight'"),
    "tensor too many": (lambda f: edit_tensors(f, lambda t: t.update(extra=torch.zeros(1))), "foreign tensor 'extra'"),
    "wrong shape": (lambda f: edit_tensors(f, lambda t: t.update({"project.weight": torch.zeros(2, 2)})),
                    r"project.weight is \(2, 2\) torch.float32, but the architecture's is "),
    "wrong type": (lambda f: edit_tensors(f, lambda t: t.update({"layers.0.bias": torch.zeros(8).long()})),
                   r"layers.0.bias is \(8,\) torch.int64, but"),
    "not finite": (lambda f: edit_tensors(f, lambda t: t["layers.0.bias"].fill_(torch.nan)), "not finite"),
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
    with pytest.raises(WeightsError, match="there is no|is no weights folder"):
        ganlib.load(source)


def test_the_digit_classifier_is_not_among_the_shipped_models():
    assert list(checkpoint.shipped()) == ["cdcgan", "dcgan", "mlp-gan", "toy-gaussian", "toy-grid", "toy-ring",
                                          "toy-sine", "vae"]
    assert checkpoint.has_classifier()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "history.json"])
@pytest.mark.parametrize("what", ["pipe", "device", "huge"])
def test_what_is_no_file_is_refused_at_once(name, what, model, tmp_path):
    path = ganlib.save(model, tmp_path) / name
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)  # to open it would wait for a writer
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 2**36)  # takes no room on the disk
    if name == "history.json":
        with pytest.warns(UserWarning, match=r"history.json cannot be read \(.*\); left out"):
            assert ganlib.load(tmp_path).history == []
    else:
        with pytest.raises(WeightsError, match=f"{name} (cannot be read|is not a complete safetensors file) \\(it "):
            ganlib.load(tmp_path)


def test_a_save_removes_what_a_killed_one_left(model, tmp_path):
    (tmp_path / f"{PARTIAL}x").mkdir()
    ganlib.save(model, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
