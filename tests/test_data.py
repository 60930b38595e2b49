import gc
import gzip
import hashlib
import http.server
import math
import struct
import threading

import numpy
import pytest
import torch
from PIL import Image

from ganlib.data import DATASETS, GRID, RING, Gaussian, ImageData, Sine, StackedDigits, image_folder, open_data, scale
from tests.conftest import MNIST_ROOT, needs_mnist


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("data", [Gaussian(), Sine(), RING, GRID])
def test_toys_keep_the_data_contract(data):
    x, y = data.batch(7, rng())
    assert x.shape == (7, *data.shape)
    assert x.dtype == torch.float32
    assert y is None
    assert torch.equal(x, data.batch(7, rng())[0])


def test_images_keep_the_data_contract(digits):
    x, y = digits.batch(64, rng())
    assert x.shape == (64, *digits.shape)
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    assert -1 <= x.min() < x.max() <= 1
    assert torch.equal(x, digits.batch(64, rng())[0])
    assert not torch.equal(x, digits.batch(64, rng(1))[0])


def test_pixels_are_scaled_to_the_whole_range():
    assert scale(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]


@needs_mnist
def test_mnist_is_all_there():
    train, test = open_data("mnist", MNIST_ROOT), open_data("mnist", MNIST_ROOT, train=False)
    assert train.images.shape == (60_000, 1, 28, 28)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert torch.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


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
    assert x[:, 0].min() >= 0
    assert x[:, 0].max() <= 2 * math.pi
    points = torch.cartesian_prod(torch.arange(-2, 8.3, 0.05), torch.arange(-3, 3, 0.05))
    assert (data.density(points, 0.3).sum() * 0.05**2).item() == pytest.approx(1, abs=1e-3)
    with pytest.raises(ValueError, match="bandwidth above 0"):
        data.density(points)


def write_images(folder, n: int, mode: str = "L", size=(40, 30)):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        Image.new(mode, size, i if mode == "L" else (i, 0, 0)).save(folder / f"{i}.png")


def test_a_folder_of_images_without_classes(tmp_path):
    write_images(tmp_path / "pictures", 3)
    data = open_data("mnist", tmp_path / "pictures")
    assert data.images.shape == (3, 1, 28, 28)
    assert data.labels is None
    assert data.num_classes is None
    assert data.name == "pictures/"
    assert data.images.flatten(1).float().mean(1).tolist() == [0, 1, 2]


def test_a_folder_of_images_with_a_class_per_subfolder(tmp_path):
    write_images(tmp_path / "cat", 2, "RGB")
    write_images(tmp_path / "ant", 1, "RGB")
    data = image_folder(tmp_path, (3, 32, 32))
    assert data.images.shape == (3, 3, 32, 32)
    assert data.labels.tolist() == [0, 1, 1]
    assert data.num_classes == 2


def test_bad_folders_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="no folder .*nowhere"):
        open_data("mnist", tmp_path / "nowhere")
    with pytest.raises(ValueError, match="unknown data set 'cifar'"):
        open_data("cifar")
    with pytest.raises(ValueError, match=r"samples of shape \(2,\) are wanted"):
        image_folder(tmp_path, (2,))
    with pytest.raises(ValueError, match="holds no images"):
        image_folder(tmp_path)
    write_images(tmp_path / "a", 1)
    (tmp_path / "b.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="both directly and in subfolders"):
        image_folder(tmp_path)
    (tmp_path / "a" / "0.png").unlink()
    with pytest.raises(ValueError, match="holds 1 images .* give 2 or more"):
        image_folder(tmp_path)
    (tmp_path / "c.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"\.png is not a readable image"):
        image_folder(tmp_path)


def test_images_must_fit_their_labels():
    with pytest.raises(ValueError, match="2 labels for 3 images"):
        ImageData("x", torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.zeros(2), 10)
    with pytest.raises(ValueError, match="uint8"):
        ImageData("x", torch.zeros(3, 1, 2, 2), None, None)


def idx(values: numpy.ndarray) -> bytes:
    """The format of MNIST's files: magic number, sizes, bytes."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.astype("u1").tobytes()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server on loopback with tiny files in MNIST's place, and torchvision pointed at it; yields its folder."""
    from torchvision import datasets

    folder = tmp_path / "server"
    folder.mkdir()
    resources = []
    for part, n in (("train", 6), ("t10k", 4)):
        images = numpy.arange(n * 784).reshape(n, 28, 28) % 251
        labels = numpy.arange(n) % 10
        for name, values in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            packed = gzip.compress(idx(values))
            (folder / f"{name}.gz").write_bytes(packed)
            resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        for name in ("MNIST", "FashionMNIST"):
            monkeypatch.setattr(getattr(datasets, name), "mirrors", [address])
            monkeypatch.setattr(getattr(datasets, name), "resources", resources)
        yield folder
        server.shutdown()


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_a_set_that_is_not_there_is_downloaded(name, mirror, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    data = open_data(name, tmp_path / "root") if name == "mnist" else DATASETS[name](root, True)
    assert data.images.shape == (6, 1, 28, 28)
    assert data.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.images.flatten()[:3].tolist() == [0, 1, 2]
    for file in mirror.iterdir():
        file.unlink()
    assert len(DATASETS[name](root, False)) == 4  # from the disk


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # urllib's, of the 404 it was answered
def test_a_download_that_fails_leaves_nothing_behind(mirror, tmp_path):
    (mirror / "t10k-labels-idx1-ubyte.gz").unlink()
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(ValueError, match="mnist is not in .* and could not be downloaded"):
        open_data("mnist", root)
    gc.collect()
    assert list(root.iterdir()) == []


def test_a_download_leaves_what_is_there_alone(mirror, tmp_path):
    root = tmp_path / "root"
    (root / "MNIST").mkdir(parents=True)
    (root / "MNIST" / "thesis.txt").write_text("mine")
    DATASETS["mnist"](root, True)
    assert (root / "MNIST" / "thesis.txt").read_text() == "mine"


def test_a_folder_with_something_else_is_not_downloaded_into(tmp_path, mirror):
    (tmp_path / "root" / "deep" / "deeper").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds neither mnist nor images"):
        open_data("mnist", tmp_path / "root")


def test_a_picture_beside_a_set_is_not_taken_for_the_data(mirror, tmp_path, monkeypatch):
    root = tmp_path / "root"
    root.mkdir()
    open_data("mnist", root)
    write_images(root / "photos", 3)
    monkeypatch.setenv("GANLIB_DATA", str(root))
    assert open_data("mnist").name == open_data("mnist", root).name == "mnist"


def test_a_class_that_holds_a_raw_folder_is_a_class(tmp_path):
    write_images(tmp_path / "cat", 3)
    (tmp_path / "cat" / "raw").mkdir()
    assert len(open_data("mnist", tmp_path, download=False)) == 3


def test_a_folder_that_is_called_like_a_set_is_a_folder(tmp_path):
    write_images(tmp_path / "mnist", 2)
    assert open_data("mnist", tmp_path / "mnist").name == "mnist/"
    assert open_data("mnist/", tmp_path / "mnist").name == "mnist/"


def test_a_broken_set_is_named(mirror, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    open_data("mnist", root)
    (root / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08")
    with pytest.raises(ValueError, match="does not hold a readable mnist"):
        open_data("mnist", root)


def test_emnist_is_stood_upright_and_qmnist_labelled(tmp_path):
    images = numpy.zeros((2, 28, 28))
    images[:, 3, 20] = 255  # a dot at row 3, column 20 of the file
    raw = tmp_path / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "test"):
        (raw / f"emnist-digits-{part}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"emnist-digits-{part}-labels-idx1-ubyte").write_bytes(idx(numpy.array([4, 9])))
    data = DATASETS["emnist-digits"](tmp_path, True)
    assert data.images[0, 0, 20, 3] == 255
    assert data.labels.tolist() == [4, 9]

    raw = tmp_path / "QMNIST" / "raw"
    raw.mkdir(parents=True)
    labels = numpy.array([[5, 0, 0, 0, 0, 0, 0, 0], [7, 1, 0, 0, 0, 0, 0, 0]], dtype=">i4")
    header = struct.pack(">BBBB2I", 0, 0, 12, 2, *labels.shape)
    (raw / "qmnist-train-images-idx3-ubyte").write_bytes(idx(images))
    (raw / "qmnist-train-labels-idx2-int").write_bytes(header + labels.tobytes())
    assert DATASETS["qmnist"](tmp_path, True).labels.tolist() == [5, 7]


@pytest.mark.parametrize(("data", "modes", "spacing"), [(RING, 8, 2 * math.sin(math.pi / 8)), (GRID, 25, 2)])
def test_mixtures_are_as_published(data, modes, spacing):
    centres = torch.tensor(data.centres)
    assert len(centres) == modes
    assert len(data.points) == 100_000
    apart = torch.cdist(centres, centres) + 100 * torch.eye(modes)
    assert apart.min().item() == pytest.approx(spacing, abs=1e-5)
    x, y = data.batch(5_000, torch.Generator().manual_seed(1))
    assert x.shape == (5_000, 2)
    assert y is None
    distance, index = torch.cdist(x, centres).min(1)
    assert (distance < 5.5 * data.std).all()
    assert (distance < 3 * data.std).float().mean().item() == pytest.approx(1 - math.exp(-4.5), abs=0.006)
    assert torch.bincount(index, minlength=modes).min() > 0.7 * 5_000 / modes
    assert (x[:50, None] == data.points).all(-1).any(1).all()  # it learns from a fixed set of points
    assert data.extent[0] < centres.min() < centres.max() < data.extent[1]


def test_the_density_of_a_mixture_adds_up_to_one():
    line = torch.linspace(-6, 6, 600)
    density = GRID.density(torch.cartesian_prod(line, line), bandwidth=0.1)
    assert (density.sum() * (line[1] - line[0]) ** 2).item() == pytest.approx(1, abs=1e-3)


def test_stacked_digits_are_three_digits_in_three_colours(digits):
    few = ImageData("few", digits.images[:50], digits.labels[:50], 10)
    stacked = StackedDigits(few)
    assert stacked.shape == (3, 28, 28)
    assert stacked.num_classes is None
    x, y = stacked.batch(200, rng())
    assert x.shape == (200, 3, 28, 28)
    assert y is None
    single = scale(few.images).flatten(1)
    for channel in x.unbind(1):
        distance, index = torch.cdist(channel.flatten(1), single, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        assert distance.max() == 0
        assert len(index.unique()) > 40  # each channel draws for itself
    assert not torch.equal(x[:, 0], x[:, 1])
    assert isinstance(stacked.to("cpu"), StackedDigits)


@needs_mnist
def test_stacked_mnist_opens_by_name():
    assert open_data("stacked-mnist", MNIST_ROOT).shape == (3, 28, 28)
    assert len(open_data("stacked-mnist", MNIST_ROOT, train=False)) == 10_000
