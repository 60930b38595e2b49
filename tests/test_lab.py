"""The live lab's engine: films repeat, frames pack and unpack, settings have bounds, labs do not touch each other."""

import gc
import math
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from types import SimpleNamespace

import numpy
import pytest
import torch
from torch.nn.functional import softplus

from ganlib import lab as engine
from ganlib.data import NotDownloaded
from ganlib.lab import (
    DIGIT_LIMITS,
    LIMITS,
    PENALTY_CHOICES,
    TARGETS,
    Lab,
    Settings,
    merged,
    pack,
    read_film,
    unpack,
    write_film,
)
from ganlib.losses import LOSSES
from ganlib.networks import count_parameters
from ganlib.training import NonFiniteLoss, State
from tests.conftest import needs_mnist

SMALL = {"width": 8, "batch_size": 16}
POINTS = [name for name, target in TARGETS.items() if target.kind != "digits"]


def small(target: str = "ring", **values) -> Lab:
    return Lab(Settings.of({"target": target, **SMALL, **values}))


@pytest.fixture
def few_digits(digits, monkeypatch):
    """Labs learn from the digits that are at hand."""
    monkeypatch.setitem(engine._opened, "mnist", digits)


def weights(state: State) -> dict[str, torch.Tensor]:
    return {f"{name}.{key}": value.clone() for name in ("generator", "discriminator", "average")
            for key, value in getattr(state, name).state_dict().items()}


def changed(before: dict[str, torch.Tensor], state: State) -> set[str]:
    """Which of the three networks are not as before."""
    return {name.split(".")[0] for name, value in weights(state).items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("target", POINTS)
def test_the_same_settings_and_actions_give_the_same_frame_whatever_was_shown_before(target):
    one, other = small(target), small(target)
    one.advance("both", 3), one.frame(), one.advance("discriminator"), one.frame(), one.advance("generator", 2)
    for _ in range(3):
        other.advance("both")
    other.advance("discriminator"), other.advance("generator"), other.advance("generator")
    assert one.actions == other.actions == (("both", 3), ("discriminator", 1), ("generator", 2))
    assert one.step == 5
    assert one.opening() == other.opening()
    assert one.frame() == other.frame()
    other.advance("both")
    assert one.frame() != other.frame()


@pytest.mark.parametrize("change", [{"seed": 1}, {"loss": "hinge"}, {"penalty": "none"}, {"gamma": 0.5},
                                    {"n_critic": 2}, {"generator_lr": 0.01}, {"discriminator_lr": 0.01},
                                    {"batch_size": 17}, {"latent_dim": 3}, {"width": 9}, {"depth": 3}], ids=str)
def test_every_setting_changes_the_film(change):
    frames = []
    for values in ({}, change):
        found = small(**values)
        found.advance("both", 4)
        frames.append(found.frame())
    assert frames[0] != frames[1]


@pytest.mark.parametrize(("who", "touched"), [("both", {"generator", "discriminator", "average"}),
                                              ("generator", {"generator", "average"}),
                                              ("discriminator", {"discriminator"})])
def test_a_step_trains_whom_it_says(who, touched):
    found = small()
    before, step = weights(found.state), found.step
    found.advance(who)
    assert changed(before, found.state) == touched
    assert found.step == step + (who != "discriminator")


@pytest.mark.parametrize("name", POINTS)
def test_frames_show_what_they_document(name):
    found = small(name)
    opening, fixed = unpack(found.opening())
    assert opening["kind"] == found.kind == TARGETS[name].kind
    assert Settings.of(opening["settings"]) == found.settings
    found.advance("both", 2)
    frame, arrays = unpack(found.frame())
    assert frame["step"] == 2
    assert frame["actions"] == [["both", 2]]
    assert "Step 2: " in frame["verdict"]
    assert 0 < frame["distance_of_real"] < frame["distance"]
    assert 0 <= frame["numbers"]["accuracy"] <= 1
    low, high = (numpy.array(opening["extent"])[i::2] for i in (0, 1))
    middle, half = (low + high) / 2, (high - low) / 2
    real = middle + fixed["real"] / 4096 * half
    expected = found.data.batch(len(real), torch.Generator().manual_seed(1))[0]
    numpy.testing.assert_allclose(real, expected, atol=(half / 4096).max())
    with torch.no_grad():
        x = found.state.average(torch.from_numpy(numpy.random.RandomState(0).standard_normal(
            (len(real), found.settings.latent_dim)).astype(numpy.float32)))
    numpy.testing.assert_allclose(middle + arrays["generated"] / 4096 * half, x, atol=half.max() / 4096)
    shapes = {key: (str(value.dtype), value.shape) for key, value in arrays.items()}
    if found.kind == "line":
        assert shapes == {"generated": ("int16", (1000, 1)), "probability": ("uint8", (129,)),
                          "best": ("uint8", (129,))}
        line = torch.linspace(low.item(), high.item(), 129)[:, None]
        numpy.testing.assert_allclose(fixed["density"], found.data.density(line), rtol=1e-4, atol=1e-6)
    else:
        assert shapes == {"generated": ("int16", (500, 2)), "probability": ("uint8", (40, 40)),
                          "best": ("uint8", (40, 40)), "arrows": ("int16", (100, 2)), "net": ("int16", (17, 17, 2))}
        assert ("curve" in fixed) == (name == "sine")


def test_the_map_has_the_lowest_row_first_and_the_best_discriminator_is_that_of_the_densities():
    found = small("checkerboard")
    _, arrays = unpack(found.frame())
    low, high = -2.6, 2.6
    cell = (high - low) / 40
    row, column = 16, 31  # in the dark square [1, 2] × [−1, 0]
    at = torch.tensor([[low + (column + 0.5) * cell, low + (row + 0.5) * cell]])
    probability, *_ = found._view.judge(*found.state.discriminator(torch.cat([found._view.real, found.state.average(
        found._view.z)])).detach().split(500))
    shown = probability.probability(found.state.discriminator(at).detach()).item()
    assert arrays["probability"][row, column] == pytest.approx(254 * shown, abs=1)
    fake = found.state.average(found._view.z).detach()
    p = found.data.density(at, 0.12).item()
    q = torch.exp(-(fake - at).square().sum(1) / (2 * 0.12**2)).mean().item() / (2 * math.pi * 0.12**2)
    assert p + q > 0.05
    assert arrays["best"][row, column] == pytest.approx(254 * p / (p + q), abs=2)
    assert arrays["best"].max() == 255  # the corners, where there is neither


def test_the_pull_is_downhill_for_the_generators_loss():
    """A step along the pull lowers the loss at each sample, and a flat loss pulls nobody."""
    found = small(loss="non-saturating")
    found.advance("both", 20)
    shown = found._view
    x = found.state.average(shown.z).detach()
    pull = shown._pull(found.state, x)
    assert pull.shape == (500, 2)
    with torch.no_grad():
        before, after = (softplus(-found.state.discriminator(x + step)) for step in (0, 1e-3 * pull))
    assert (after < before + 1e-6).float().mean() > 0.99
    for parameter in found.state.discriminator.parameters():
        parameter.data.zero_()
    assert shown._pull(found.state, x).abs().max() == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_the_discriminator_is_shown_as_a_probability_for_every_loss(loss):
    found = small("two-bumps", loss=loss, penalty="r1", seed=1, discriminator_lr=0.01)
    found.advance("discriminator", 60)
    header, arrays = unpack(found.frame())
    # calibrated where the logit is not the log-odds itself
    assert header["calibrated"] == (loss not in ("non-saturating", "saturating"))
    assert unpack(found.opening())[0]["ln2"] == (loss in ("non-saturating", "saturating", "relativistic") and
                                                 LOSSES[loss].logistic)
    assert header["numbers"]["accuracy"] > 0.6
    places = numpy.linspace(-4.5, 4.5, 129)
    near = abs(abs(places) - 2) < 0.5
    assert arrays["probability"][near].mean() > arrays["probability"][abs(places) < 0.5].mean()


def test_digits_are_eight_seeds_of_each(few_digits):
    found = Lab(Settings.of({"target": "digits", "width": 8, "batch_size": 16}))
    opening, fixed = unpack(found.opening())
    assert opening["kind"] == "digits"
    assert fixed["real"].shape == (80, 28, 28)
    found.advance("both", 2), found.advance("discriminator"), found.advance("generator")
    header, arrays = unpack(found.frame())
    assert {key: (str(value.dtype), value.shape) for key, value in arrays.items()} == {
        "sheet": ("uint8", (80, 28, 28)), "probability": ("uint8", (80,))}
    assert header["step"] == 3
    assert 0 <= header["numbers"]["readable"] <= header["numbers"]["confident"] <= header["numbers"]["digits"] == 80
    again = Lab(found.settings)
    again.advance("both", 2), again.advance("discriminator"), again.advance("generator")
    assert again.frame() == found.frame()


@needs_mnist
def test_real_digits_of_the_sheet_are_readable_and_in_order(few_digits):
    shown = Lab(Settings.of({"target": "digits", "width": 8}))._view
    reading = shown._reading(shown.real)
    assert reading["readable"] >= 78


def test_digits_that_are_missing_are_not_downloaded_unasked(monkeypatch, tmp_path):
    monkeypatch.setattr(engine, "_opened", {})
    monkeypatch.setenv("GANLIB_DATA", str(tmp_path))
    with pytest.raises(NotDownloaded):
        Lab(Settings.of({"target": "digits"}))
    assert list(tmp_path.iterdir()) == []


def test_a_film_ends(monkeypatch):
    monkeypatch.setattr(engine, "MAX_STEPS", 3)
    found = small()
    found.advance("both", 2)
    with pytest.raises(ValueError, match="a film has at most 3 steps, not 4"):
        found.advance("both", 2)
    assert found.actions == (("both", 2),)
    found.advance("discriminator")
    with pytest.raises(ValueError, match="a film has at most 3 steps, not 4"):
        found.advance("discriminator")
    with pytest.raises(ValueError, match="who must be one of both, discriminator, generator, not 'nobody'"):
        found.advance("nobody")


def test_networks_that_are_no_longer_finite_end_the_film_in_a_sentence():
    found = small()
    found.state.discriminator.layers[-1].bias.data.fill_(math.nan)
    with pytest.raises(NonFiniteLoss, match="lower the learning rates"):
        found.frame()
    with pytest.raises(NonFiniteLoss, match="lower the learning rates"):
        found.advance("both", 1_000)  # losses are checked now and then
    with pytest.raises(NonFiniteLoss, match="the training has ended"):
        found.advance("both")


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_has_settings_of_its_own(target):
    settings = Settings.of({"target": target})
    assert Settings.of(asdict(settings)) == settings
    limits = DIGIT_LIMITS if settings.kind == "digits" else LIMITS
    assert all(low <= getattr(settings, name) <= high for name, (low, high) in limits.items())
    assert settings.training().seed == 0


@pytest.mark.parametrize(("values", "sentence"), [
    ([], "settings must be a table"),
    ({"target": "cats"}, "target must be one of normal"),
    ({"target": ["ring"]}, "target must be one of normal"),
    ({"loss": "mine"}, "loss must be one of non-saturating"),
    ({"loss": None}, "loss must be one of"),
    ({"penalty": "r3"}, r"penalty must be one of none, r1\+r2, r1, r2"),
    ({"colour": 3}, "the lab has no field 'colour'"),
    ({"width": 0}, "width must be a whole number from 4 to 128, not 0"),
    ({"width": 64.5}, "width must be a whole number"),
    ({"width": "64"}, "width must be a whole number"),
    ({"target": "digits", "width": 64}, "width must be a whole number from 8 to 32"),
    ({"target": "digits", "depth": 4}, "depth must be a whole number from 2 to 3"),
    ({"generator_lr": math.nan}, "generator_lr must be a number from 1e-05 to 0.1"),
    ({"seed": -1}, "seed must be a whole number from 0 to 9999"),
    ({"batch_size": 10_000}, "batch_size must be a whole number from 16 to 256"),
    ({"target": "drawn-line", "drawn": [1] * 31}, "drawn must have 32 heights, not 31"),
    ({"target": "drawn-line", "drawn": [0] * 32}, "drawn must have a height of at least 0.001"),
    ({"target": "drawn-line", "drawn": [1e-300] + [0] * 31}, "drawn must have a height of at least 0.001"),
    ({"target": "drawn-line", "drawn": [2] + [0] * 31}, "a height in drawn must be a number from 0 to 1, not 2"),
    ({"target": "drawn-cloud", "drawn": []}, "drawn must have 1 to 400 points, not 0"),
    ({"target": "drawn-cloud", "drawn": [[0, 0, 0]]}, "each point in drawn must be two numbers"),
    ({"target": "drawn-cloud", "drawn": [[0, 1.5]]}, "a coordinate in drawn must be a number from -1 to 1"),
    ({"target": "drawn-cloud", "drawn": "cloud"}, "drawn must be a list"),
])
def test_wrong_settings_are_refused_in_a_sentence(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        Settings.of(values)


@pytest.mark.parametrize("penalty", PENALTY_CHOICES)
def test_every_penalty_trains(penalty):
    found = small(penalty=penalty, loss="wasserstein")
    found.advance("both", 2)
    assert set(found.settings.training().penalties) == set(penalty.split("+")) - {"none"}


@pytest.mark.parametrize(("target", "limits", "shape", "classes"), [("ring", LIMITS, (2,), None),
                                                                    ("digits", DIGIT_LIMITS, (1, 28, 28), 10)])
def test_the_bounds_keep_networks_small(target, limits, shape, classes):
    largest = {name: int(limits[name][1]) for name in ("width", "depth", "latent_dim")}
    networks = Settings.of({"target": target, **largest}).networks(SimpleNamespace(shape=shape, num_classes=classes))
    assert sum(map(count_parameters, (networks.generator(), networks.discriminator()))) < 1e6


def test_neighbouring_actions_are_merged():
    assert merged([["both", 2], ("both", 3), ["generator", 1], ["both", 1]]) == (
        ("both", 5), ("generator", 1), ("both", 1))
    assert merged([]) == ()


def test_two_labs_in_two_threads_do_not_touch_each_other():
    def film(seed: int) -> list[bytes]:
        found, frames = small(seed=seed), []
        for _ in range(5):
            found.advance("both", 5)
            frames.append(found.frame())
        return frames

    alone = [film(seed) for seed in (1, 2)]
    barrier = threading.Barrier(2)

    def together(seed: int) -> list[bytes]:
        barrier.wait()
        return film(seed)

    before = torch.get_rng_state(), torch.is_grad_enabled(), torch.get_default_dtype()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(together, (1, 2))) == alone
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.is_grad_enabled(), torch.get_default_dtype()) == before[1:]


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_a_lab_works_in_any_mode_of_its_thread(mode):
    with mode():
        found = small()
        found.advance("both", 2), found.advance("discriminator"), found.advance("generator")
        frame = found.frame()
    other = small()
    other.advance("both", 2), other.advance("discriminator"), other.advance("generator")
    assert frame == other.frame()


def test_a_lab_that_is_dropped_frees_its_memory():
    found = small()
    found.advance("both", 2)
    found.frame()
    gone = [weakref.ref(found), weakref.ref(found.state.generator), weakref.ref(next(found.state.average.parameters()))]
    gc.disable()
    try:
        del found
        assert [ref() for ref in gone] == [None] * 3
    finally:
        gc.enable()


def test_packs_are_unpacked_to_the_same_numbers_and_foreign_bytes_are_refused():
    arrays = {"a": torch.tensor([[1, 2, 3]], dtype=torch.uint8), "b": torch.tensor([-300], dtype=torch.int16),
              "c": torch.tensor([0.5, -1e-20])}
    packed = pack({"title": "π ≤ 4"}, arrays)
    assert len(packed) % 4 == 0
    header, found = unpack(packed)
    assert header["title"] == "π ≤ 4"
    assert header["arrays"] == [["a", "uint8", [1, 3]], ["b", "int16", [1]], ["c", "float32", [2]]]
    for name, array in arrays.items():
        numpy.testing.assert_array_equal(found[name], array.numpy())
    for foreign in (b"", b"abc", packed[:-4], packed + b"0000", packed[:20], b"\xff\xff\xff\xff" + packed[4:]):
        with pytest.raises(ValueError, match="not a frame of a lab"):
            unpack(foreign)
    with pytest.raises(ValueError, match="not JSON compliant"):
        pack({"distance": math.nan}, {})


def test_a_film_is_written_and_read(tmp_path):
    found = small()
    frames = [found.frame()]
    found.advance("both")
    frames.append(found.frame())
    path = tmp_path / "film.gz"
    write_film(path, found.opening(), frames)
    first = path.read_bytes()
    assert read_film(path) == (found.opening(), frames)
    write_film(path, found.opening(), frames)
    assert path.read_bytes() == first  # no date in it
    for content in (b"", b"film", first[:-20]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"film.gz is not a film"):
            read_film(path)


def test_settings_have_no_field_that_the_documentation_forgets():
    assert all(f"{field.name}" in Settings.__doc__ for field in fields(Settings))
