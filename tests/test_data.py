import gc
import gzip
import hashlib
import http.server
import json
import math
import os
import pickle
import struct
import threading
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

import ganlib
from ganlib.architectures import MLP
from ganlib.data import DATASETS, Data, ImageData, StackedDigits, open_data, same_name, scale
from ganlib.toys import GRID, RING, Gaussian, Sine
from tests.conftest import MNIST_ROOT, needs_mnist


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def idx(values: numpy.ndarray, kind: int = 8, dtype: str = "u1") -> bytes:
    """The format of MNIST's files: magic number, sizes, numbers."""
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, kind, values.ndim, *values.shape)
    return head + values.astype(dtype).tobytes()


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def tiny(n: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """n images of 28×28 and their labels."""
    return numpy.arange(n * 784).reshape(n, 28, 28) % 251, numpy.arange(n) % 10


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A folder with all sets of torchvision that DATASETS names, of 6 images each and 4 held out."""
    from torchvision.datasets import CIFAR10

    folder, sums = tmp_path / "root", {}
    for part, n in (("train", 6), ("t10k", 4)):
        images, labels = tiny(n)
        for name in ("MNIST", "FashionMNIST", "KMNIST"):
            written(folder / name / "raw" / f"{part}-images-idx3-ubyte", idx(images))
            written(folder / name / "raw" / f"{part}-labels-idx1-ubyte", idx(labels))
        part = "train" if part == "train" else "test"
        written(folder / "EMNIST" / "raw" / f"emnist-digits-{part}-images-idx3-ubyte", idx(images))
        written(folder / "EMNIST" / "raw" / f"emnist-digits-{part}-labels-idx1-ubyte", idx(labels))
        written(folder / "QMNIST" / "raw" / f"qmnist-{part}-images-idx3-ubyte", idx(images))
        written(folder / "QMNIST" / "raw" / f"qmnist-{part}-labels-idx2-int",
                idx(numpy.stack([labels, *[labels * 0] * 7], axis=1), 12, ">i4"))
    sizes = {**{f"data_batch_{i}": 1 + (i == 1) for i in range(1, 6)}, "test_batch": 4}
    for number, (name, n) in enumerate(sizes.items()):
        pixels = numpy.full((n, 3072), number, dtype=numpy.uint8)
        pixels[:, 1024:2048] = 100  # green
        content = pickle.dumps({"data": pixels, "labels": [number] * n})
        sums[name] = hashlib.md5(written(folder / "cifar-10-batches-py" / name, content).read_bytes()).hexdigest()
    meta = pickle.dumps({"label_names": list("abcdefghij")})
    written(folder / "cifar-10-batches-py" / "batches.meta", meta)
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in sizes if name != "test_batch"])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": hashlib.md5(meta).hexdigest()})
    return folder


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_keeps_the_data_contract(name, root):
    data = open_data(name, root, download=False)
    x, y = data.batch(7, rng())
    assert data.name == name
    assert x.shape == (7, *data.shape)
    assert x.dtype == torch.float32
    assert (y is None) == (data.num_classes is None)
    assert y is None or (y.dtype == torch.int64 and len(y) == 7 and 0 <= y.min() <= y.max() < data.num_classes)
    assert torch.equal(x, data.to("cpu").batch(7, rng())[0])
    assert not torch.equal(x, data.batch(7, rng(1))[0])
    assert len(data.shape) < 3 or -1 <= x.min() < x.max() <= 1
    assert data.name.removeprefix("stacked-") in data.description()
    assert not data.folder
    assert json.loads(json.dumps(data.fingerprint()))["data"] == data.description()
    assert data.fingerprint() == data.to("cpu").fingerprint()


@pytest.mark.parametrize("name", DATASETS)
def test_what_is_held_out_is_another_part_of_the_same_kind(name, root):
    data = open_data(name, root, download=False)
    held_out = data.held_out()
    if len(data.shape) < 3:
        assert held_out is None  # points are always fresh
        return
    assert type(held_out) is type(data)
    assert (held_out.name, held_out.shape, held_out.num_classes) == (data.name, data.shape, data.num_classes)
    assert held_out.fingerprint() != data.fingerprint()
    assert held_out.fingerprint() == open_data(name, root, train=False, download=False).fingerprint()
    assert data.to("cpu").held_out().fingerprint() == held_out.fingerprint()


def test_cifar10_comes_in_colour_from_torchvisions_files(root):
    data = open_data("cifar10", root, download=False)
    assert data.class_names == data.held_out().class_names == tuple("abcdefghij")  # as its files name them
    assert (len(data), data.shape, data.num_classes, data.digits) == (6, (3, 32, 32), 10, False)
    assert data.labels.tolist() == [0, 0, 1, 2, 3, 4]
    assert data.images[2].unique(dim=1)[:, 0].flatten().unique().tolist() == [1, 100]
    assert data.images[:, 1].eq(100).all()
    assert data.held_out().labels.tolist() == [5] * 4


def test_emnist_is_stood_upright_and_qmnist_has_the_first_column_for_labels(root):
    upright, lying = (open_data(name, root, download=False) for name in ("qmnist", "emnist-digits"))
    assert torch.equal(lying.images, upright.images.transpose(2, 3))
    assert upright.labels.tolist() == lying.labels.tolist() == [0, 1, 2, 3, 4, 5]


def test_classes_have_torchvisions_names_unless_they_are_digits(root):
    assert open_data("fashion-mnist", root, download=False).class_names == (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
    for name in ("mnist", "emnist-digits", "qmnist"):
        assert open_data(name, root, download=False).class_names is None


@pytest.mark.parametrize("base", [Data, object])
def test_data_from_outside_the_package_are_trained_on(base):
    """A subclass of Data needs three members; any other class needs those that training uses."""
    class Noise(base):
        name, shape = "noise", (2,)

        def batch(self, n, rng):
            return torch.rand(n, 2, generator=rng), None

    if base is object:
        Noise.num_classes, Noise.to = None, lambda self, device: self
    config = ganlib.TrainConfig(steps=2, batch_size=4)
    last = list(ganlib.train(MLP((2,), 2, (4,), (4,), bounded=False), Noise(), config))[-1]
    assert last.number == 2
    assert base is object or (Noise().held_out(), Noise().fingerprint()) == (None, {"data": "fresh samples of noise"})


@needs_mnist
def test_mnist_is_all_there():
    train = open_data("mnist", MNIST_ROOT)
    assert train.images.shape == (60_000, 1, 28, 28)
    assert train.held_out().images.shape == (10_000, 1, 28, 28)
    assert torch.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_pixels_are_scaled_to_the_whole_range():
    assert scale(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]


def test_the_gaussians_samples_and_quantiles_follow_its_density():
    data = Gaussian()
    x, _ = data.batch(100_000, rng())
    assert x.mean().item() == pytest.approx(3, abs=0.03)
    assert x.std().item() == pytest.approx(2, abs=0.03)
    grid = torch.linspace(-17, 23, 4001)[:, None]
    assert (data.density(grid).sum() * 0.01).item() == pytest.approx(1, abs=1e-4)
    assert (data.density(grid, 1.5).sum() * 0.01).item() == pytest.approx(1, abs=1e-4)
    assert data.density(torch.tensor([[3.0]])).item() == pytest.approx(1 / (2 * math.sqrt(2 * math.pi)))
    assert data.quantiles(3)[1].item() == pytest.approx(3, abs=1e-6)
    assert data.quantiles(1000).std().item() == pytest.approx(2, abs=0.02)


def test_the_sine_lies_on_its_curve_and_its_smoothed_density_adds_up_to_one():
    data = Sine()
    x, _ = data.batch(1000, rng())
    torch.testing.assert_close(x[:, 1], x[:, 0].sin())
    assert 0 <= x[:, 0].min() <= x[:, 0].max() <= 2 * math.pi
    points = torch.cartesian_prod(torch.arange(-2, 8.3, 0.1), torch.arange(-3, 3, 0.1))
    assert (data.density(points, 0.3).sum() * 0.1**2).item() == pytest.approx(1, abs=1e-3)
    with pytest.raises(ValueError, match="bandwidth above 0"):
        data.density(points)


@pytest.mark.parametrize(("data", "modes", "spacing"), [(RING, 8, 2 * math.sin(math.pi / 8)), (GRID, 25, 2)])
def test_mixtures_are_as_published(data, modes, spacing):
    centres = torch.tensor(data.centres)
    assert len(centres) == modes
    apart = torch.cdist(centres, centres) + 100 * torch.eye(modes)
    assert apart.min().item() == pytest.approx(spacing, abs=1e-5)
    x, _ = data.batch(5_000, rng(1))
    distance, index = torch.cdist(x, centres).min(1)
    assert (distance < 5.5 * data.std).all()
    assert (distance < 3 * data.std).float().mean().item() == pytest.approx(1 - math.exp(-4.5), abs=0.006)
    assert torch.bincount(index, minlength=modes).min() > 0.7 * 5_000 / modes
    again, _ = data.batch(5_000, rng(2))
    assert set(map(tuple, x.tolist())) & set(map(tuple, again.tolist()))  # of a fixed set of points
    assert data.extent[0] < centres.min() < centres.max() < data.extent[1]


def test_the_density_of_a_mixture_adds_up_to_one():
    line = torch.linspace(-6, 6, 300)
    density = GRID.density(torch.cartesian_prod(line, line), bandwidth=0.1)
    assert (density.sum() * (line[1] - line[0]) ** 2).item() == pytest.approx(1, abs=1e-3)


def test_stacked_digits_are_three_digits_in_three_colours(digits):
    few = ImageData("few", digits.images[:50], digits.labels[:50], 10)
    stacked = StackedDigits(few)
    assert not isinstance(stacked, ImageData)
    x, y = stacked.batch(200, rng())
    assert x.shape == (200, *stacked.shape) == (200, 3, 28, 28)
    assert y is None
    single = scale(few.images).flatten(1)
    for channel in x.unbind(1):
        distance, index = torch.cdist(channel.flatten(1), single, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        assert distance.max() == 0
        assert len(index.unique()) > 40  # each channel draws for itself
    assert not torch.equal(x[:, 0], x[:, 1])
    with pytest.raises(ValueError, match="only grey images can be stacked, and those of red have 3 channels"):
        StackedDigits(ImageData("red", torch.zeros(2, 3, 28, 28, dtype=torch.uint8)))


@pytest.mark.parametrize(("images", "labels", "num_classes", "sentence"), [
    (torch.zeros(3, 1, 2, 2), None, None, r"must be \(N, C, H, W\) uint8 .* not \(3, 1, 2, 2\) torch.float32"),
    (torch.zeros(3, 1, 2, 2).byte(), torch.zeros(2).long(), 10, "2 labels for 3 images"),
    (torch.zeros(2, 1, 2, 2).byte(), torch.tensor([1, 2]), 2, "2 classes need labels from 0 to 1"),
    (torch.zeros(2, 1, 2, 2).byte(), None, 2, "2 classes need labels from 0 to 1"),
])
def test_images_must_fit_their_labels(images, labels, num_classes, sentence):
    with pytest.raises(ValueError, match=sentence):
        ImageData("x", images, labels, num_classes)


def write_images(folder: Path, n: int, mode: str = "L") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        Image.new(mode, (40, 30), i if mode == "L" else (i, 0, 0)).save(folder / f"{i}.png")


def test_a_folder_of_pictures_is_data(tmp_path):
    write_images(tmp_path / "pictures", 3)
    data = open_data("mnist", tmp_path / "pictures")
    assert data.images.shape == (3, 1, 28, 28)
    assert data.images.flatten(1).float().mean(1).tolist() == [0, 1, 2]
    assert (data.name, data.folder, data.labels, data.num_classes) == ("pictures", True, None, None)
    assert data.held_out() is None
    assert data.to("cpu").folder
    assert data.description() == "3 images of the folder pictures"
    assert data.found[0].startswith("All have 40×30 pixels. ")


def test_subfolders_are_classes(tmp_path):
    write_images(tmp_path / "cat", 2, "RGB")
    write_images(tmp_path / "ant", 1, "RGB")
    data = open_data("mnist", tmp_path, shape=(3, 32, 32), download=False)
    assert data.images.shape == (3, 3, 32, 32)
    assert data.labels.tolist() == [0, 1, 1]
    assert (data.num_classes, data.class_names) == (2, ("ant", "cat"))


def test_classes_can_be_put_in_the_order_of_a_model(tmp_path):
    for name in ("1", "2", "10"):
        write_images(tmp_path / name, 1)
    data = open_data("mnist", tmp_path)
    assert (data.class_names, data.labels.tolist()) == (("1", "2", "10"), [0, 1, 2])
    older = data.with_classes(("1", "10", "2"))  # as an earlier version sorted them
    assert (older.class_names, older.labels.tolist()) == (("1", "10", "2"), [0, 2, 1])
    assert data.with_classes(("1", "2", "3")) is data


def test_a_name_is_a_dataset_and_a_path_is_a_folder(tmp_path, monkeypatch, root):
    monkeypatch.setenv("GANLIB_DATA", str(root))
    monkeypatch.chdir(tmp_path)
    assert same_name("mnist") is None
    write_images(tmp_path / "mnist", 2)
    for where in (tmp_path / "mnist", "./mnist", "mnist/", Path("mnist")):
        data = open_data("mnist", where)
        assert (data.name, data.folder, len(data)) == ("mnist", True, 2)
        assert same_name(where) is None
    assert not open_data("fashion-mnist", "mnist").folder
    assert same_name("mnist") == f"mnist is the dataset. To take the folder of that name, write .{os.sep}mnist."


@pytest.mark.parametrize("name", ["mnist", "ring"])
def test_a_folder_without_pictures_is_refused_and_stays_as_it_is(name, tmp_path):
    (tmp_path / "root").mkdir()
    with pytest.raises(ValueError, match="root is empty: name a folder of pictures. To download datasets into it, set"):
        open_data(name, tmp_path / "root")
    (tmp_path / "root" / "deep" / "deeper").mkdir(parents=True)
    with pytest.raises(ValueError, match="root holds no pictures$"):
        open_data(name, tmp_path / "root")
    with pytest.raises(ValueError, match="is a file: name the folder that it is in"):
        open_data(name, __file__)
    with pytest.raises(ValueError, match="give the name of a dataset or of a folder of pictures"):
        open_data(name, "")
    with pytest.raises(ValueError, match="no folder .*nowhere"):
        open_data(name, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="'cifar'"):
        open_data("cifar")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "root", tmp_path / "root/deep", tmp_path / "root/deep/deeper"]


def test_without_a_home_only_a_set_that_has_files_asks_for_one(tmp_path, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("GANLIB_DATA", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert open_data("ring").name == "ring"
    write_images(tmp_path / "mine", 2)
    assert len(open_data("mnist", tmp_path / "mine")) == 2
    for name in ("mnist", "stacked-mnist"):
        with pytest.raises(ValueError, match="no home folder to keep datasets in: name one by GANLIB_DATA or --data"):
            open_data(name)


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server on loopback with tiny files in MNIST's place, and torchvision pointed at it; yields its folder."""
    from torchvision import datasets

    folder, resources = tmp_path / "server", []
    for part, n in (("train", 6), ("t10k", 4)):
        for name, values in zip((f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"), tiny(n)):
            packed = gzip.compress(idx(values))
            written(folder / f"{name}.gz", packed)
            resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(datasets.MNIST, "resources", resources)
        yield folder
        server.shutdown()


def test_a_set_that_is_not_there_is_downloaded_once(mirror, tmp_path):
    root = tmp_path / "root"
    written(root / "MNIST" / "thesis.txt", b"mine")
    data = DATASETS["mnist"](root)
    assert data.images.flatten()[:3].tolist() == [0, 1, 2]
    assert data.labels.tolist() == [0, 1, 2, 3, 4, 5]
    for file in mirror.iterdir():
        file.unlink()
    assert len(open_data("mnist", root, train=False)) == 4  # from the disk
    assert (root / "MNIST" / "thesis.txt").read_bytes() == b"mine"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # urllib's, of the 404 it was answered
def test_a_download_that_fails_leaves_nothing_behind(mirror, tmp_path):
    (mirror / "t10k-labels-idx1-ubyte.gz").unlink()
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(ValueError, match="mnist is not in .* and could not be downloaded"):
        DATASETS["mnist"](root)
    gc.collect()
    assert list(root.iterdir()) == []


def test_a_picture_beside_a_set_is_not_taken_for_the_data(root, monkeypatch):
    write_images(root / "photos", 3)
    monkeypatch.setenv("GANLIB_DATA", str(root))
    assert not open_data("mnist", download=False).folder
    assert not open_data("mnist", root, download=False).folder


@pytest.mark.parametrize(("name", "file"), [("mnist", "MNIST/raw/train-images-idx3-ubyte"),
                                            ("cifar10", "cifar-10-batches-py/data_batch_3")])
def test_a_broken_set_is_named(name, file, root):
    (root / file).write_bytes(b"\0\0\x08")
    with pytest.raises(ValueError, match=f"does not hold a readable {name}"):
        open_data(name, root)
