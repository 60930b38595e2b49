"""Two models side by side: what the figures of the course and the API compute, and that it is true."""

import asyncio
import base64
import io
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy
import pytest
import torch
from gradio.processing_utils import encode_pil_to_bytes
from PIL import Image

from ganlib import drawing, images, inversion, passport
from ganlib.data import DATASETS, scale
from ganlib.demo import models, pairs, rounds
from ganlib.layers import Layers, cost
from ganlib.waypoints import Waypoint
from tests import conftest
from tests.conftest import needs_mnist, untrained

WEIGHTS = Path(__file__).parent.parent / "weights"


def answer(function, asked):
    """What a figure gets, as it travels."""
    return json.loads(json.dumps(asyncio.run(function(asked))))


def pictures(sheet: str) -> torch.Tensor:
    """(N, 28, 28) uint8 of a sheet."""
    with Image.open(io.BytesIO(base64.b64decode(sheet))) as image:
        assert image.format == "PNG"
        return torch.from_numpy(numpy.array(image)).view(-1, 28, 28)


def metrics_of(name: str) -> dict:
    return json.loads((WEIGHTS / name / "metrics.json").read_text())


class Request:
    """As gradio gives it: of a visitor."""

    def __init__(self, visitor: str):
        self.visitor = visitor

    async def json(self):
        return {"session_hash": self.visitor}


@pytest.fixture
def vae(monkeypatch):
    """A small VAE, not trained, that the page has as `vae`."""
    model = conftest.vae()
    model.name, model.metrics = "vae", {"reconstruction_psnr": 23.456, "fid_digit_classifier": 1.25}
    _with(monkeypatch, vae=model)
    return model


@pytest.fixture
def without_vae(monkeypatch):
    _with(monkeypatch)


def _with(monkeypatch, **added):
    """The page has `mlp-gan` and `dcgan`, and these models."""
    own, get = {name: models.own()[name] for name in pairs.NETWORKS}, models.get
    monkeypatch.setattr(models, "own", lambda: own | dict.fromkeys(added, WEIGHTS))
    monkeypatch.setattr(models, "get", lambda name: added.get(name) or get(name))


def _quick_searches(monkeypatch):
    quick = {"MIN_STARTS": 8, "STARTS_EACH": 1, "MIN_REFINED": 2, "MAX_REFINED": 2, "NEWTON_STEPS": 0}
    for name, value in quick.items():
        monkeypatch.setattr(inversion, name, value)


# what a generator costs, and what a pixel reads

@pytest.mark.slow
@pytest.mark.parametrize("name", pairs.NETWORKS)
def test_parameters_and_multiplications_agree_with_torchs_own_count(name):
    from torch.utils.flop_counter import FlopCounterMode  # which takes seconds to import

    model = models.get(name)
    found = cost(model)
    assert found.parameters == sum(tensor.numel() for tensor in model.generator.parameters())
    with FlopCounterMode(display=False) as counter:
        model.generator(torch.zeros(1, model.latent_dim))
    assert found.multiplications == counter.get_total_flops() / 2  # it counts additions, too


def test_the_cost_of_the_fully_connected_network_by_hand():
    widths = (100, 256, 512, 1024, 784)
    weights = sum(a * b for a, b in pairwise(widths))
    found = cost(models.get("mlp-gan"))
    assert (found.multiplications, found.parameters, found.convolutional) == (weights, weights + sum(widths[1:]), 0)


def test_the_weights_of_convolutions_by_hand():
    assert cost(models.get("dcgan")).convolutional == 128 * 64 * 16 + 64 * 32 * 16 + 32 * 9 + 1


def test_a_model_with_classes_has_its_cost_too():
    small = {"generator_channels": (6, 5, 4), "discriminator_channels": (8, 8), "mapping": (9,), "embedding_dim": 3}
    found = cost(untrained("cdcgan", **small))
    assert found.multiplications == 103 * 9 + 9 * 6 * 49 + 49 * 6 * 5 * 16 + 196 * 5 * 4 * 16 + 784 * 4 * 9


def _inputs(places: range, kernel: int, stride: int, padding: int, side: int) -> range:
    """The places of a map from which a transposed convolution makes others."""
    found = [i for i in range(side) if any(0 <= o + padding - stride * i < kernel for o in places)]
    return range(found[0], found[-1] + 1)


@pytest.mark.parametrize(("row", "column"), [(13, 13), (0, 0), (27, 14), (6, 1)])
def test_a_pixel_of_convolutions_reads_the_patch_that_the_kernels_reach(row, column):
    dcgan = models.get("dcgan")
    found = Layers(dcgan).reach(dcgan.latents([7]), None, row, column)
    assert [layer.shape for layer in found] == [(100,), (256,), (256,), (128, 7, 7), (64, 14, 14), (32, 28, 28)]
    rows, columns = range(row, row + 1), range(column, column + 1)
    for layer, (kernel, stride) in zip(found[:2:-1], [(3, 1), (4, 2), (4, 2)]):
        channels, side, _ = layer.shape
        rows, columns = (_inputs(places, kernel, stride, 1, side) for places in (rows, columns))
        expected = torch.zeros(side, side, dtype=torch.bool)
        expected[rows.start:rows.stop, columns.start:columns.stop] = True
        assert torch.equal(layer.connected, expected)
        assert layer.numbers == channels * len(rows) * len(columns)
        assert not layer.strength[~expected].any()
    assert [layer.numbers for layer in found[:3]] == [100, 256, 256]


def test_a_pixel_of_fully_connected_layers_reads_all_of_them():
    mlp = models.get("mlp-gan")
    found = Layers(mlp).reach(mlp.latents([7]), None, 3, 20)
    assert [(layer.shape, layer.numbers) for layer in found] == [((n,), n) for n in (100, 256, 512, 1024)]
    assert all(layer.connected.all() for layer in found)


def test_the_strength_is_the_gradient():
    mlp = models.get("mlp-gan")
    last = Layers(mlp).reach(mlp.latents([7]), None, 3, 20)[-1]
    weights = mlp.generator.layers[-2].weight[3 * 28 + 20]
    assert torch.allclose(last.strength.flatten().float(), weights.abs(), atol=1e-6)
    dcgan = models.get("dcgan")
    patch = Layers(dcgan).reach(dcgan.latents([7]), None, 13, 13)[-1].strength[12:15, 12:15]
    kernel = dcgan.generator.layers[-2].weight[:, 0].square().sum(0).sqrt()
    assert torch.allclose(patch.float(), kernel.flip(0, 1), atol=1e-6)


def test_whose_weights_are_shared():
    assert Layers(models.get("dcgan")).shares_weights is True
    assert Layers(models.get("mlp-gan")).shares_weights is False


def test_the_models_network_is_left_as_it_was():
    dcgan = models.get("dcgan")
    before = dcgan.sample([7])
    Layers(dcgan).reach(dcgan.latents([7]), None, 1, 1)
    assert torch.equal(dcgan.sample([7]), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in dcgan.generator.modules())


@pytest.fixture(params=["meta device", "double precision"])
def torchs_default(request):
    """Another default of torch, which a program may have set."""
    if request.param == "meta device":
        torch.set_default_device("meta")
    else:
        torch.set_default_dtype(torch.double)
    yield
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float)


def test_the_cost_does_not_depend_on_torchs_defaults(torchs_default):
    assert cost(models.get("dcgan")).multiplications == 14_767_616


def test_what_a_pixel_reads_does_not_depend_on_torchs_defaults(torchs_default):
    dcgan = models.get("dcgan")
    found = Layers(dcgan).reach(dcgan.latents([7]), None, 0, 0)
    assert found[-1].numbers == 4 * 32
    assert found[-1].strength.sum() > 0


# the server's functions

def test_the_same_seeds_of_both_networks():
    sheets = answer(pairs.how_compare, {"models": ["mlp-gan", "dcgan"], "seeds": [5, 9]})
    for name, sheet in sheets.items():
        assert torch.equal(pictures(sheet), images.to_uint8(models.get(name).sample([5, 9]))[:, 0])
    assert list(sheets) == ["mlp-gan", "dcgan"]


def test_what_a_pixel_reads_reaches_the_figure():
    found = answer(pairs.how_reach, {"seed": 7, "row": 27, "column": 0})
    assert [layer["reads"] for layer in found["mlp-gan"]] == [100, 256, 512, 1024]
    last = found["dcgan"][-1]
    assert (last["shape"], last["reads"]) == ([32, 28, 28], 4 * 32)
    cells = numpy.frombuffer(base64.b64decode(last["cells"]), numpy.uint8).reshape(last["rows"], last["columns"])
    assert set(zip(*map(list, cells.nonzero()))) == {(26, 0), (26, 1), (27, 0), (27, 1)}
    assert cells.max() == 255
    assert cells[cells > 0].min() >= pairs.FAINTEST
    sizes = [(layer["rows"], layer["columns"]) for layer in found["mlp-gan"]]
    assert sizes == [(10, 10), (16, 16), (16, 32), (32, 32)]


def test_the_time_of_each_network_is_measured(monkeypatch):
    monkeypatch.setattr(pairs, "MAX_SECONDS", 0.02)
    found = answer(pairs.how_measure, {})
    assert list(found) == ["mlp-gan", "dcgan"]
    for times in found.values():
        assert times["milliseconds"] > 0
        assert 1 <= times["runs"] <= pairs.MAX_RUNS


@needs_mnist
def test_the_first_digits_are_test_images_of_mnist_one_of_each_class():
    mnist = DATASETS["mnist"](None, False, False)
    assert mnist.labels[list(pairs.DIGITS)].tolist() == list(range(10))
    for start, index in enumerate(pairs.DIGITS):
        x, about = pairs.real_digit({"start": start})
        assert torch.equal(images.to_uint8(x), mnist.images[index])
        assert about == f"Test image {index} of MNIST."


@pytest.mark.parametrize("place", ["test images", "sheet"])
def test_another_digit_is_as_the_game_has_them(place, monkeypatch, tmp_path):
    if place == "sheet":
        monkeypatch.setenv("GANLIB_DATA", str(tmp_path))
    elif rounds._test_images("mnist") is None:
        pytest.skip("MNIST is not at hand")
    x, about = pairs.real_digit({"index": 9_999})
    real = rounds.reals_of(models.get("dcgan"))
    assert torch.equal(x, scale(real.images[9_999 % len(real.images)][None])[0])
    assert about == ("Test image 9,999 of MNIST." if place == "test images" else "A training image of MNIST.")


def test_the_vae_reconstructs_in_one_pass(vae):
    found = answer(pairs.how_reconstruct, {"start": 4})
    x, _ = pairs.real_digit({"start": 4})
    assert torch.equal(pictures(found["picture"])[0], images.to_uint8(x)[0])
    assert found["drawing"] == drawing.to_text(x)
    y = vae.decode(vae.encode(x[None]))
    assert torch.equal(pictures(found["vae"]["picture"])[0], images.to_uint8(y)[0, 0])
    error = (y - x).double().square().mean().item()
    assert found["vae"]["psnr"] == pytest.approx(10 * math.log10(4 / error), abs=1e-3)
    assert found["vae"]["milliseconds"] > 0
    z = Waypoint.parse(found["vae"]["latent"], vae).latent(vae)
    assert torch.allclose(z, vae.encode(x[None])[0], atol=2e-2)


def test_a_drawing_is_reconstructed_too(vae):
    ink = numpy.zeros((84, 84), numpy.uint8)
    ink[20:60, 40:46] = 255
    found = answer(pairs.how_reconstruct, {"ink": base64.b64encode(ink.tobytes()).decode()})
    assert found["about"] == "Your drawing, scaled and centred."
    again = answer(pairs.how_reconstruct, {"drawing": found["drawing"]})
    assert again["picture"] == found["picture"]


def test_without_the_vae_the_original_is_shown(without_vae):
    assert answer(pairs.how_reconstruct, {"start": 4})["vae"] is None
    page = pairs.page()["pair"]
    assert (page["models"], page["wrong"]) == (["dcgan"], "This server has no model 'vae'.")
    assert list(page["paths"]) == ["real", "dcgan"]


def test_without_a_network_the_other_one_is_shown(monkeypatch):
    own = models.own()
    monkeypatch.setattr(models, "own", lambda: {"dcgan": own["dcgan"]})
    page = pairs.page()["networks"]
    assert (page["models"], page["wrong"]) == (["dcgan"], "This server has no model 'mlp-gan'.")
    monkeypatch.setattr(models, "own", dict)
    assert pairs.page()["networks"]["models"] == []
    assert "This server has no model" in answer(pairs.how_reconstruct, {"index": 3})["error"]


def test_the_gans_closest_picture_is_searched(monkeypatch):
    _quick_searches(monkeypatch)
    found, shares = {"done": False}, []
    while not found["done"]:
        found = asyncio.run(pairs.how_search({"start": 2}, Request("a")))
        shares.append(found["share"])
    pairs.SEARCHES.drop("a")
    x, _ = pairs.real_digit({"start": 2})
    expected = models.get("dcgan").invert(x[None])
    assert torch.equal(pictures(found["picture"])[0], images.to_uint8(expected.images)[0, 0])
    assert found["psnr"] == pytest.approx(expected.psnr.item())
    assert found["milliseconds"] > 0
    assert shares == sorted(shares)


def test_a_search_is_dropped_when_it_is_stopped():
    asyncio.run(pairs.how_search({"start": 2}, Request("a")))
    asyncio.run(pairs.how_search({"start": 2}, Request("b")))
    assert asyncio.run(pairs.how_stop({}, Request("a"))) == {}
    assert list(pairs.SEARCHES._searches) == ["b"]
    pairs.SEARCHES.drop("b")


def test_paths_begin_and_end_at_their_ends(vae):
    found = answer(pairs.how_between, {"digits": [{"start": 1}, {"start": 7}], "seeds": [4, 5]})
    x = torch.stack([pairs.real_digit({"start": digit})[0] for digit in (1, 7)])
    assert torch.equal(pictures(found["real"]), images.to_uint8(x)[:, 0])
    for name, ends in (("vae", vae.decode(vae.encode(x))), ("dcgan", models.get("dcgan").sample([4, 5]))):
        path = pictures(found[name])
        assert len(path) == pairs.FRAMES
        difference = path[[0, -1]].int() - images.to_uint8(ends)[:, 0].int()
        assert difference.abs().max() <= 1  # of 255, because slerp rounds


BAD_SEEDS = "Seeds must be a list of 1 to 16 whole numbers, not "


@pytest.mark.parametrize(("function", "asked", "sentence"), [
    (pairs.how_compare, None, "The request must be a table"),
    (pairs.how_compare, {"models": ["dcgan"], "seeds": []}, BAD_SEEDS),
    (pairs.how_compare, {"models": ["dcgan"], "seeds": [1] * 17}, BAD_SEEDS),
    (pairs.how_compare, {"models": ["dcgan"], "seeds": [1.5]}, "Seed must be a whole number"),
    (pairs.how_compare, {"models": "dcgan", "seeds": [1]}, "Models must be a list of one or two names"),
    (pairs.how_compare, {"models": [["dcgan"]], "seeds": [1]}, "This server has no model"),
    (pairs.how_compare, {"models": ["someone/else"], "seeds": [1]}, "This server has no model 'someone/else'."),
    (pairs.how_compare, {"models": ["toy-sine"], "seeds": [1]}, "The model toy-sine makes points"),
    (pairs.how_compare, {"models": ["cdcgan"], "seeds": [1]}, "The model cdcgan makes other samples"),
    (pairs.how_reach, {"seed": 1, "row": 28, "column": 0}, "Row must be a whole number from 0 to 27, not 28."),
    (pairs.how_reach, {"seed": 1, "row": 0, "column": "0"}, "Column must be a whole number from 0 to 27, not '0'."),
    (pairs.how_reach, {"row": 0, "column": 0}, "Seed must be a whole number"),
    (pairs.how_measure, [], "The request must be a table"),
    (pairs.how_reconstruct, {}, "The number of a digit must be a whole number from 0 to 9999, not None."),
    (pairs.how_reconstruct, {"start": 10}, "The number of a first digit must be a whole number from 0 to 9, not 10."),
    (pairs.how_reconstruct, {"index": -1}, "The number of a digit must be a whole number"),
    (pairs.how_reconstruct, {"ink": "AAAA"}, "The ink must have 84×84 pixels, not 3."),
    (pairs.how_reconstruct, {"drawing": "?"}, "rawing"),
    (pairs.how_between, {"digits": [], "seeds": [1, 2]}, "A path has two digits and two seeds."),
    (pairs.how_between, {"digits": [1, 2], "seeds": [1, 2]}, "The request must be a table"),
    (pairs.how_between, {"digits": [{"start": 1}] * 2, "seeds": [1]}, "A path has two digits and two seeds.")])
def test_a_bad_request_is_answered_in_a_sentence(function, asked, sentence):
    found = answer(function, asked)
    assert sentence in found["error"]
    assert found["again"] is False


# what the figures show at first

def test_the_tables_numbers_are_the_measured_ones(vae):
    page = pairs.page()
    gan, mlp = metrics_of("dcgan"), metrics_of("mlp-gan")
    networks = {words.replace("\u00a0", " "): cells for words, cells in
                [*page["networks"]["costs"], *page["networks"]["quality"]]}
    keys = {"FID ↓": ("fid_digit_classifier", ".3g"), "Precision ↑": ("precision", ".3f"),
            "Recall ↑": ("recall", ".3f")}
    for words, (key, form) in keys.items():
        expected = [format(value, form) for value in (mlp[key], gan[key], mlp[f"{key}_of_real"])]
        assert networks[words] == expected
    assert networks["Parameters"] == ["1,486,352", "1,861,857", ""]
    assert networks["Multiplications per picture"] == ["1,483,776", "14,767,616", ""]
    pair = {words.replace("\u00a0", " "): cells for words, cells in page["pair"]["quality"]}
    assert pair["FID ↓"] == [format(gan["fid_digit_classifier"], ".3g"), "1.25",
                             format(gan["fid_digit_classifier_of_real"], ".3g")]
    assert pair["Precision ↑"][1] == ""  # not measured
    assert pair["PSNR, in one pass ↑"] == ["no encoder", "23.5 dB", ""]


def test_what_is_shown_at_first_is_small_and_true(vae):
    page = pairs.page()
    assert len(json.dumps(page)) < 60_000
    assert page["networks"]["sheets"]["dcgan"] == pairs.sheet(models.get("dcgan").sample(pairs.SEEDS))
    assert page["networks"]["reach"]["dcgan"] == pairs.reach(models.get("dcgan"), pairs.SEEDS[pairs.CHOSEN],
                                                            pairs.ROW, pairs.COLUMN)
    assert page["pair"]["digit"]["picture"] == pairs.sheet(pairs.real_digit({"start": pairs.DIGIT})[0][None])
    assert page["networks"]["shared"] == {"mlp-gan": False, "dcgan": True}
    assert all(len(page["pair"]["start"]["ends"][i]) == 2 for i in (0, 1))


# the API

def _file(tmp_path, x) -> dict:
    path = tmp_path / "digit.png"
    images.to_pil(x).save(path)
    return {"path": str(path)}


def test_reconstruct_by_the_encoder(vae, tmp_path):
    x = drawing.rounded(pairs.real_digit({"start": 4})[0])
    image, said = pairs.reconstruct("vae", _file(tmp_path, x))
    assert said["method"] == "encoder"
    assert torch.equal(images.to_uint8(images.from_pil(image)), images.to_uint8(vae.decode(vae.encode(x[None])))[0])
    assert said["psnr"] == pytest.approx(inversion.psnr(vae.decode(vae.encode(x[None])), x[None]).item())
    assert json.loads(image.info["ganlib"])["latent"] == said["latent"]


def test_reconstruct_by_a_search(tmp_path, monkeypatch):
    _quick_searches(monkeypatch)
    x = drawing.rounded(pairs.real_digit({"start": 4})[0])
    _, said = pairs.reconstruct("dcgan", _file(tmp_path, x))
    assert said["method"] == "search"
    assert said["psnr"] == pytest.approx(models.get("dcgan").invert(x[None]).psnr.item())


def test_compare_gives_pictures_and_numbers():
    image, numbers = pairs.compare("mlp-gan", "dcgan", [3, 8, 1])
    assert numbers["mlp-gan"]["multiplications"] == 1_483_776
    assert numbers["dcgan"]["convolutional"] == 164_129
    for name in ("mlp-gan", "dcgan"):
        assert all(numbers[name][key] == metrics_of(name)[key] for key in pairs.QUALITY)
        assert "milliseconds" not in numbers[name]
    expected = images.contact_sheet(torch.cat([models.get(name).sample([3, 8, 1]) for name in numbers]), 3)
    assert numpy.array_equal(numpy.asarray(image), numpy.asarray(expected))


def test_compare_measures_where_it_is_asked_to(monkeypatch):
    monkeypatch.setattr(pairs, "MAX_SECONDS", 0.02)
    _, numbers = pairs.compare("mlp-gan", "dcgan", [3], True)
    assert all(row["milliseconds"] > 0 for row in numbers.values())


def test_compare_measures_models_with_classes(monkeypatch):
    monkeypatch.setattr(pairs, "MAX_SECONDS", 0.02)
    _, numbers = pairs.compare("cdcgan", "dcgan", [1], True)
    assert numbers["cdcgan"]["milliseconds"] > 0


def test_a_compared_picture_promises_no_settings():
    image, _ = pairs.compare("mlp-gan", "dcgan", [3])
    with pytest.raises(ValueError, match="no passport"):
        passport.read(encode_pil_to_bytes(image))


def test_influence_opens_no_model_of_the_hub(monkeypatch):
    monkeypatch.setattr(models, "get", lambda *_: pytest.fail("a model was opened"))
    with pytest.raises(ValueError, match="the layers of 'someone/else' are not shown here, only those of cdcgan"):
        pairs.influence("someone/else", 1, 3, 3)


def test_influence_takes_models_with_classes():
    assert [layer["reads"] for layer in pairs.influence("cdcgan", 3, 13, 13)][-1] == 9 * 64


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: pairs.compare("dcgan", "nobody", [1]), "there is no model 'nobody'"),
    (lambda: pairs.compare("dcgan", "mlp-gan", 7), "seeds must be a list"),
    (lambda: pairs.compare("dcgan", "mlp-gan", [7], 1), "measure must be true or false, not 1"),
    (lambda: pairs.reconstruct("dcgan", None), "give a picture's file"),
    (lambda: pairs.reconstruct("toy-sine", {"path": "x"}), "this tab needs a model of shape"),
    (lambda: pairs.influence("dcgan", 1, 0, 28), "Column must be a whole number from 0 to 27, not 28")])
def test_the_api_refuses_in_a_sentence(call, sentence):
    with pytest.raises((ValueError, models.WeightsError), match=sentence):
        call()
