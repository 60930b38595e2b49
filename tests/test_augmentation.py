"""Random changes of images, and trainings whose discriminator sees images only after them."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor, nn

from ganlib.architectures import ARCHITECTURES
from ganlib.augmentation import AUGMENTATIONS, DEFAULT, augment
from ganlib.card import model_card
from ganlib.data import ImageData
from ganlib.losses import LOSSES
from ganlib.runs import Run
from ganlib.sampling import noise
from ganlib.toys import Gaussian
from ganlib.training import State, TrainConfig, discriminator_loss, train
from train.__main__ import configure, main, parser
from train.classifier import NAME as CLASSIFIER

ALL = ("translation", "cutout", "colour", "flip")
SHAPES = [(1, 28, 28), (3, 24, 40)]  # grey; colour, with sides that differ
CONFIG = TrainConfig(steps=4, batch_size=8, loss="relativistic", penalties={"r1": 1.0, "r2": 1.0}, augment=DEFAULT)
SMALL = replace(ARCHITECTURES["dcgan"], generator_channels=(16, 8, 4), discriminator_channels=(8, 16, 32), mapping=())
NO_LIST = r"augment must be a list of some of colour, translation, cutout, flip, each at most once, not "


@pytest.fixture(autouse=True)
def _few_statistics(monkeypatch):
    monkeypatch.setattr("ganlib.training.STATISTICS", 64)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some(shape: tuple[int, ...], n: int = 64, seed: int = 1) -> Tensor:
    """Random images in [-1, 1]."""
    return torch.rand(n, *shape, generator=rng(seed)) * 2 - 1


@pytest.fixture
def noisy() -> ImageData:
    """As many pixels as digits have, of noise."""
    return ImageData("noise", torch.randint(256, (40, 1, 28, 28), dtype=torch.uint8, generator=rng()))


@pytest.mark.parametrize("shape", SHAPES, ids=["grey", "colour"])
@pytest.mark.parametrize("names", [*((name,) for name in ALL), DEFAULT], ids="+".join)
def test_each_image_changes_by_itself_as_the_random_numbers_say(names, shape):
    x = some(shape, 1).expand(64, *shape)
    found, before = augment(x, names, rng()), torch.get_rng_state()
    assert found.shape == x.shape
    assert found.dtype == x.dtype
    assert found.unique(dim=0).shape[0] == 2 if names == ("flip",) else found.unique(dim=0).shape[0] > 20
    assert torch.equal(augment(x, names, rng()), found)
    assert not torch.equal(augment(x, names, rng(5)), found)
    assert torch.equal(torch.get_rng_state(), before)
    others = torch.cat([x[:1], some(shape, 63)])
    assert torch.equal(augment(others, names, rng())[0], found[0])


@pytest.mark.parametrize("name", ALL)
def test_precision_and_memory_format_make_no_difference(name):
    x = some((3, 24, 40))
    expected = augment(x, (name,), rng())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(x, (name,), rng()), expected)
    channels_last = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(augment(channels_last, (name,), rng()), expected)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(1, 9, 8), (3, 8, 17)], ids=["grey", "colour"])
def test_gradients_are_those_of_finite_differences_twice(name, shape):
    x = some(shape, 3).double().requires_grad_()

    def change(x: Tensor) -> Tensor:
        return augment(x, (name,), rng())

    assert torch.autograd.gradcheck(change, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(change, x, fast_mode=True)


@pytest.mark.parametrize("shape", SHAPES, ids=["grey", "colour"])
def test_translation_shifts_by_whole_pixels_up_to_an_eighth_of_each_side(shape):
    channels, height, width = shape
    middle = height // 2, width // 2
    x = torch.zeros(500, *shape)
    x[:, :, *middle] = 1
    found = augment(x, ("translation",), rng())
    assert torch.equal(found.flatten(1).sum(1), torch.full((500,), float(channels)))
    down, right = ((found[:, 0] == 1).nonzero()[:, 1:] - torch.tensor(middle)).T
    for shifts, side in ((down, height), (right, width)):
        assert set(shifts.tolist()) == set(range(-(side // 8), side // 8 + 1))
    assert torch.corrcoef(torch.stack([down, right]).double())[0, 1].abs() < 0.2

    images = some(shape, 500)  # the same shifts; new pixels repeat the edge
    for image, one, dy, dx in zip(images, augment(images, ("translation",), rng()), down.tolist(), right.tolist()):
        edged = nn.functional.pad(image, (abs(dx), abs(dx), abs(dy), abs(dy)), mode="replicate")
        assert torch.equal(one, edged[:, abs(dy) - dy:, abs(dx) - dx:][:, :height, :width])


@pytest.mark.parametrize("shape", SHAPES, ids=["grey", "colour"])
def test_cutout_covers_a_rectangle_of_half_of_each_side_that_may_lie_partly_outside(shape):
    x = some(shape, 500)
    found = augment(x, ("cutout",), rng())
    covered = found != x
    edge = torch.cat([x[:, :, 0], x[:, :, -1], x[:, :, :, 0], x[:, :, :, -1]], 2).mean(2)[:, :, None, None]
    torch.testing.assert_close(found, torch.where(covered, edge, x))
    assert torch.equal(covered, covered[:, :1].expand_as(covered))
    rows, columns = covered[:, 0].any(2), covered[:, 0].any(1)
    assert torch.equal(covered[:, 0], rows[:, :, None] & columns[:, None])
    for cut in (rows, columns):
        side = cut.shape[1]
        assert cut.sum(1).max() == side // 2
        assert cut.sum(1).min() >= side // 4
        assert (cut.diff(dim=1).sum(1) <= 2).all()  # in one piece
        assert cut.float().mean(0).min() > 0.2
        assert cut.float().mean(0).max() < 0.6  # each pixel is sometimes seen


def test_flip_mirrors_half_of_the_images_left_to_right():
    x = some((3, 6, 8), 1_000)
    found = augment(x, ("flip",), rng())
    mirrored = (found == x.flip(3)).flatten(1).all(1)
    assert ((found == x).flatten(1).all(1) ^ mirrored).all()
    assert 0.45 < mirrored.float().mean() < 0.55


def test_colour_changes_the_brightness_and_contrast_of_a_grey_image():
    x = some((1, 12, 10), 1_000)
    found = augment(x, ("colour",), rng())
    means, found_means = x.mean((1, 2, 3)), found.mean((1, 2, 3))
    brightness, contrast = found_means - means, found.std((1, 2, 3)) / x.std((1, 2, 3))
    for value, low, high in ((brightness, -0.5, 0.5), (contrast, 0.5, 1.5)):
        assert low - 1e-4 <= value.min() < low + 0.02
        assert high - 0.02 < value.max() <= high + 1e-4
    expected = (x - means.view(-1, 1, 1, 1)) * contrast.view(-1, 1, 1, 1) + found_means.view(-1, 1, 1, 1)
    torch.testing.assert_close(found, expected)


def test_saturation_has_no_effect_on_grey_and_stretches_the_distance_from_it():
    grey = some((1, 12, 10))
    found = augment(grey.expand(-1, 3, -1, -1), ("colour",), rng())
    torch.testing.assert_close(found, augment(grey, ("colour",), rng()).expand_as(found))

    x = some((3, 12, 10), 1_000)
    grey = x.mean(1, keepdim=True)
    found, contrast = (augment(images, ("colour",), rng()) for images in (x, grey))
    torch.testing.assert_close(found.mean(1, keepdim=True), contrast)
    factors = (found - contrast).std((1, 2, 3)) / (x - grey).std((1, 2, 3))
    factors /= contrast.std((1, 2, 3)) / grey.std((1, 2, 3))
    assert factors.min() < 0.05
    assert 1.95 < factors.max() <= 2.001


def seen(monkeypatch, noisy: ImageData, **changes) -> tuple[list[Tensor], list[Tensor], nn.Module]:
    """What the discriminator was given in a step with a change that adds 10, what the generator made, the average."""
    monkeypatch.setitem(AUGMENTATIONS, "mark", lambda x, rng: x + 10)
    config = replace(CONFIG, steps=1, augment=("mark",), **changes)
    state, shown, made = State.fresh(SMALL, config), [], []
    state.discriminator.register_forward_pre_hook(lambda module, given: shown.append(given[0].detach()))
    state.generator.register_forward_hook(lambda module, given, fake: made.append(fake.detach()))
    *_, step = train(SMALL, noisy, config, state=state)
    return shown, made, step.generator


@pytest.mark.parametrize("loss", ["relativistic", "hinge"])
def test_the_discriminator_alone_sees_the_changes(loss, noisy, monkeypatch):
    """Of real images and fakes, in the steps of both networks; only a paired loss shows real ones to the second."""
    shown, made, average = seen(monkeypatch, noisy, loss=loss)
    assert [len(batch) for batch in shown] == [16, 8, 8] if LOSSES[loss].paired else [16, 8]
    assert all(batch.min() >= 9 and batch.max() <= 11 for batch in shown)
    torch.testing.assert_close(shown[0][8:], made[0] + 10)
    torch.testing.assert_close(shown[-1], made[1] + 10)
    assert average(noise(0, 4, SMALL.latent_dim)).abs().max() <= 1


def test_a_penalty_is_that_of_the_view_at_the_images_themselves(monkeypatch):
    monkeypatch.setitem(AUGMENTATIONS, "triple", lambda x, rng: 3 * x)
    real, z = some(SMALL.shape, 8), noise(2, 8, SMALL.latent_dim)
    state = State.fresh(SMALL, replace(CONFIG, penalties={"r1": 2.0}, augment=("triple",)))
    _, penalty = discriminator_loss(state, LOSSES["relativistic"], real, z, None)
    x = (3 * real).requires_grad_()
    (gradient,) = torch.autograd.grad(state.discriminator(x).sum(), x)
    torch.testing.assert_close(penalty, (3 * gradient).square().flatten(1).sum(1).mean())


def test_penalties_through_all_changes_reach_the_weights():
    state = State.fresh(SMALL, replace(CONFIG, augment=ALL))
    _, penalty = discriminator_loss(state, LOSSES["relativistic"], some(SMALL.shape, 8),
                                    noise(2, 8, SMALL.latent_dim), None)
    gradients = torch.autograd.grad(penalty, [p for p in state.discriminator.parameters() if p.ndim > 1])
    assert all(gradient.isfinite().all() and gradient.abs().max() > 0 for gradient in gradients)


def test_without_names_nothing_changes_and_nothing_is_drawn(noisy, monkeypatch):
    x, generator = some((1, 28, 28)), rng()
    before = generator.get_state()
    assert augment(x, (), generator) is x
    assert torch.equal(generator.get_state(), before)

    def refuse(*arguments):
        raise AssertionError("no augmentation was asked for")

    monkeypatch.setattr("ganlib.training.augment", refuse)
    *_, step = train(SMALL, noisy, replace(CONFIG, steps=1, augment=()))
    assert step.number == 1


def test_a_run_with_augmentation_goes_on_bit_for_bit(noisy, tmp_path):
    config = replace(CONFIG, augment=ALL, bfloat16=True)
    *_, whole = train(SMALL, noisy, config)
    first = train(SMALL, noisy, config)
    next(first)
    next(first).state.save(tmp_path / "state.safetensors", {})
    state = State.fresh(SMALL, config)
    state.load(tmp_path / "state.safetensors")
    *_, resumed = train(SMALL, noisy, config, state=state)
    assert resumed.state.history == whole.state.history
    for name in ("generator", "discriminator", "average"):
        found, expected = (getattr(run.state, name).state_dict() for run in (resumed, whole))
        assert all(torch.equal(value, found[key]) for key, value in expected.items())
    *_, other = train(SMALL, noisy, replace(config, augment=()))
    assert other.state.history != whole.state.history


@pytest.mark.parametrize("names", ["colour", ["blur"], ("flip", "flip"), [3], [["flip"]], None])
def test_names_that_are_none_are_refused(names):
    with pytest.raises(ValueError, match=NO_LIST):
        replace(CONFIG, augment=names)
    with pytest.raises(ValueError, match=NO_LIST):
        augment(some((1, 8, 8)), names, rng())


def test_a_configuration_is_rebuilt_from_json():
    assert TrainConfig.rebuild(json.loads(json.dumps(asdict(CONFIG)))) == CONFIG
    assert TrainConfig.rebuild({"steps": 4, "batch_size": 8}).augment == ()


def test_points_are_not_augmented():
    with pytest.raises(ValueError, match=r"augment is for images, and the networks make points of shape \(1,\)"):
        next(train(ARCHITECTURES["toy-gaussian"], Gaussian(), replace(CONFIG, loss="hinge", penalties={})))
    with pytest.raises(ValueError, match=r"only images \(N, C, H, W\) can be augmented, not samples of shape \(2,\)"):
        augment(torch.zeros(4, 2), DEFAULT, rng())


@pytest.mark.parametrize(("arguments", "names"), [([], []), (["--augment"], list(DEFAULT)),
                                                  (["--augment", "flip,colour"], ["flip", "colour"])])
def test_the_command_takes_names(arguments, names, tmp_path, capsys):
    assert main(["dcgan", *arguments, "--dry-run", "--out", str(tmp_path / "out")]) == 0
    assert json.loads(capsys.readouterr().out)["train"]["augment"] == names


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["dcgan", "--augment", "blur"], "augment must be a list of some of colour, translation, cutout, flip"),
    (["toy-ring", "--augment"], "augment is for images, and the networks make points of shape (2,)"),
    ([CLASSIFIER, "--augment"], "leave --augment out"),
])
def test_the_command_says_what_cannot_be_augmented(arguments, sentence, tmp_path, capsys):
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("begun", "given", "how"), [
    ((), ["--augment"], "without --augment"), (("flip",), ["--augment"], "with --augment flip"), (("flip",), [], None),
    (DEFAULT, ["--augment"], None),
])
def test_a_resumed_run_keeps_its_augmentation(begun, given, how, monkeypatch, capsys):
    run = Run("dcgan", config=replace(CONFIG, augment=begun), device="cpu", shape=(1, 28, 28))
    monkeypatch.setattr(Run, "resumed", lambda *arguments: run)
    arguments = parser().parse_args(["dcgan", "--resume", "--device", "cpu", *given])
    if how is None:
        assert configure(arguments) is run
    else:
        with pytest.raises(ValueError, match=f"was begun {how}: leave the option out"):
            configure(arguments)


@pytest.mark.parametrize(("names", "row"), [((), "| augment | none |"), (ALL[1:3], "| augment | cutout, colour |")])
def test_the_card_shows_the_augmentation(names, row):
    recipe = {"data": "mnist", "train": asdict(replace(CONFIG, augment=names))}
    config = {"name": "a", "architecture": {"kind": "dcgan"}, "shape": [1, 28, 28], "latent_dim": 100,
              "recipe": recipe}
    assert row in str(model_card(config, {}, []))
