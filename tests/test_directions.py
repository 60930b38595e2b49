import time
from dataclasses import replace

import numpy
import pytest
import torch
from scipy import ndimage

import ganlib
from ganlib import checkpoint, directions, evaluation, sampling
from ganlib.architectures import ARCHITECTURES
from ganlib.directions import ATTRIBUTES, attributes, correlations, cross_correlations, moved, named, principal
from ganlib.measures import MEASURES
from ganlib.model import Model
from tests.conftest import Formula, untrained

DIGITS = ("cdcgan", "dcgan", "mlp-gan")


def model_of(formula, metrics=None, **fields) -> Model:
    return Model("formula", replace(ARCHITECTURES["mlp-gan"], **fields), Formula(formula), metrics=metrics)


def pictures(ink) -> torch.Tensor:
    """Ink (H, W) or (N, H, W) from 0 to 1 as pictures (N, 1, H, W)."""
    ink = torch.as_tensor(numpy.asarray(ink), dtype=torch.float32)
    return ink.reshape(-1, 1, *ink.shape[-2:]) * 2 - 1


def box(top: int, bottom: int, left: int, right: int) -> torch.Tensor:
    ink = torch.zeros(28, 28)
    ink[top:bottom, left:right] = 1
    return ink


def disc(radius: float) -> torch.Tensor:
    place = torch.arange(28) - 13.5
    return (place[:, None].square() + place.square() <= radius**2).float()


def strokes(slant, half, loop=None) -> torch.Tensor:
    """Smooth upright strokes (N, 1, 28, 28), 18 pixels high, with that slant and that half thickness."""
    down, across = torch.meshgrid(torch.arange(28) - 13.5, torch.arange(28) - 13.5, indexing="ij")
    off = (across + slant[:, None, None] * down).abs()
    ink = torch.sigmoid(3 * (half[:, None, None] - off)) * torch.sigmoid(3 * (9 - down.abs()))
    return (ink * 2 - 1)[:, None]


def measured(ink) -> dict[str, float]:
    return {name: value.item() for name, value in attributes(pictures(ink)).items()}


def test_a_bar_is_as_wide_and_high_as_it_is():
    bar = measured(box(4, 24, 11, 15))
    assert bar["width"] == pytest.approx(4, abs=0.15)
    assert bar["height"] == pytest.approx(20, abs=0.1)
    assert (bar["slant"], bar["loop"]) == (pytest.approx(0, abs=1e-5), pytest.approx(0, abs=1e-5))


@pytest.mark.parametrize("thickness", [1, 2, 3, 4])
def test_the_weight_is_the_thickness_of_a_stroke_whatever_its_length(thickness):
    long, short = (measured(box(2, end, 12, 12 + thickness))["weight"] for end in (26, 14))
    assert long == pytest.approx(thickness, rel=0.2)
    assert short == pytest.approx(long, rel=0.2)


@pytest.mark.parametrize("slant", [-0.6, 0.3, 0.9])
def test_a_bar_that_leans_to_the_right_has_a_positive_slant_and_keeps_its_width(slant):
    upright, leaning = (attributes(strokes(torch.tensor([value]), torch.tensor([2.0]))) for value in (0.0, slant))
    assert leaning["slant"].item() == pytest.approx(slant, abs=0.03)
    assert leaning["width"].item() == pytest.approx(upright["width"].item(), rel=0.05)
    assert leaning["height"].item() == pytest.approx(upright["height"].item(), rel=0.05)


def test_a_ring_has_a_loop_and_a_gap_in_it_leaves_none():
    ring = disc(9) - disc(6)
    hole, ink = disc(6).sum().item(), ring.sum().item()
    assert measured(ring)["loop"] == pytest.approx(hole / (hole + ink), abs=1e-4)
    assert measured(disc(9))["loop"] == pytest.approx(0, abs=1e-5)
    ring[5:8, 13:15] = 0
    assert measured(ring)["loop"] == pytest.approx(0, abs=1e-5)
    ring[5:8, 13:15] = 0.5  # a grey gap closes the ring at half of the thresholds
    assert measured(ring)["loop"] == pytest.approx(0.5 * hole / (0.5 * hole + ring.sum().item()), abs=1e-4)


def test_loops_are_what_binary_fills_find_over_all_thresholds():
    """The reference fills the holes of thresholded pictures, as SciPy does."""
    shades = 8
    rng = numpy.random.RandomState(0)
    ink = numpy.round(ndimage.gaussian_filter(rng.rand(20, 15, 17), (0, 1.2, 1.2)) * 3 % 1 * shades) / shades
    for picture, loop in zip(ink, attributes(pictures(ink))["loop"].tolist()):
        enclosed = numpy.mean([(ndimage.binary_fill_holes(above) ^ above).sum()
                               for above in (picture >= (level + 0.5) / shades for level in range(shades))])
        assert loop == pytest.approx(enclosed / (enclosed + picture.sum()), abs=1e-4)


def test_attributes_have_the_slopes_of_their_differences():
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(2, 1, 12, 12, generator=rng) * 1.8 - 0.9
    step = torch.randn(x.shape, generator=rng) * 1e-3
    x.requires_grad_()
    forward, back, here = attributes(x + step), attributes(x - step), attributes(x)
    for name in ATTRIBUTES:
        (slope,) = torch.autograd.grad(here[name].sum(), x, retain_graph=True)
        assert (slope * step).sum().item() == pytest.approx((forward[name] - back[name]).sum().item() / 2, rel=0.05,
                                                            abs=1e-5)


def test_an_empty_picture_has_finite_attributes():
    for x in (torch.full((1, 1, 28, 28), -1.0), torch.ones(1, 1, 28, 28)):
        assert all(value.isfinite().all() for value in attributes(x).values())


@pytest.mark.parametrize("x", [torch.zeros(1, 3, 8, 8), torch.zeros(28, 28), torch.zeros(1, 1, 8, 8, dtype=torch.uint8),
                               torch.full((1, 1, 8, 8), torch.nan), None])
def test_attributes_are_of_grey_pictures(x):
    with pytest.raises(ValueError, match="pictures"):
        attributes(x)


def test_principal_directions_are_those_of_the_largest_changes():
    scales = torch.tensor([0.1, 3.0, 0.5, 1.0, 0.01])
    model = model_of(lambda z: (z * scales) @ torch.eye(5, 12), latent_dim=5, shape=(12,), choices=0)
    found = principal(model, 3, n=200)
    assert found.names == ("direction 1", "direction 2", "direction 3")
    torch.testing.assert_close(found.vectors, torch.eye(5)[[1, 3, 2]], atol=0.15, rtol=0)
    torch.testing.assert_close(found.vectors.norm(dim=1), torch.ones(3))
    assert torch.equal(found.vectors, principal(model, 3, n=200).vectors)


def test_a_category_and_a_class_that_a_model_has_together_are_no_directions():
    """Neither the choice of the first two numbers nor the class is what varies most within them."""
    scales = torch.tensor([0.0, 0.0, 0.1, 1.0, 0.5])

    class Both(Formula):
        def forward(self, z, y):
            kind = 50.0 * y + 20.0 * z[:, :2].argmax(1)
            return (z * scales) @ torch.eye(5, 12) + kind[:, None]

    model = Model("both", replace(ARCHITECTURES["mlp-gan"], latent_dim=5, shape=(12,), choices=2), Both())
    model.num_classes = 3
    assert principal(model, 2, n=300).vectors.abs().argmax(1).tolist() == [3, 4]


@pytest.mark.parametrize(("formula", "fields", "said"), [
    (lambda z: z[:, :1] * 0 + 0.3, {"latent_dim": 4, "choices": 0}, "its samples do not depend on the latent"),
    (lambda z: z[:, 3:], {"latent_dim": 4, "choices": 3}, "fewer than 2 numbers of a latent can move"),
])
def test_a_model_in_which_nothing_can_move_has_no_principal_directions(formula, fields, said):
    with pytest.raises(ValueError, match=said):
        principal(model_of(formula, shape=(1,), **fields), 1)


def test_a_model_with_one_free_number_has_no_named_directions():
    model = model_of(lambda z: z[:, 3:], shape=(1,), latent_dim=4, choices=3)
    found = named(model)
    assert (found.names, tuple(found.vectors.shape)) == ((), (0, 4))
    assert torch.equal(found.move(model.latents([1]), []), model.latents([1]))


def test_principal_directions_compare_two_thousand_latents_at_most():
    with pytest.raises(ValueError, match="number of latents must be a whole number from 3 to 2000"):
        principal(model_of(lambda z: z, shape=(5,), latent_dim=5, choices=0), 2, n=2_001)


def test_models_of_other_pictures_have_principal_directions_that_leave_the_choice_alone():
    model = untrained("dcgan", shape=(3, 16, 16), generator_channels=(8, 8, 8), choices=6, latent_dim=8)
    found = named(model)
    assert found.names == ("direction 1", "direction 2")  # all there are, of 8 numbers but the 6
    z = model.latents(range(4))
    after = found.move(z, [1.0, -2.0])
    assert torch.equal(z[:, :6], after[:, :6])
    assert not torch.equal(z, after)
    with pytest.raises(ValueError, match="number of directions must be a whole number from 1 to 2"):
        principal(model, 3)
    with pytest.raises(ValueError, match="pictures of shape"):
        directions.of_attributes(model)


@pytest.fixture(scope="module")
def drawing() -> Model:
    """Its strokes have a slant and a thickness that depend on the latent; they have no loop."""
    return model_of(lambda z: strokes(z[:, 1] * 0.2 + z[:, 2] * 0.1, 2 + 0.4 * z[:, 3].tanh()), choices=0)


def test_a_direction_changes_what_it_is_named_after_and_little_else(drawing):
    table = cross_correlations(drawing, directions.of_attributes(drawing), n=200, seed=8)
    assert list(table) == list(table["slant"]) == list(ATTRIBUTES)
    assert table["slant"]["slant"] > 0.95
    assert table["weight"]["weight"] > 0.8
    assert max(abs(table["slant"][of]) for of in ATTRIBUTES if of != "slant") < 0.5
    assert abs(table["loop"]["loop"]) < 0.3  # there is none to change


def test_a_name_needs_a_correlation_that_was_measured(drawing):
    assert named(drawing).names == tuple(f"direction {i}" for i in range(1, 6))
    backed = model_of(drawing.generator.formula, {directions.MEASURE: {"slant": 0.97, "height": 0.5, "loop": 0.49}},
                      choices=0)
    assert named(backed).names == ("slant", "height", "direction 1", "direction 2", "direction 3")
    assert correlations(backed, named(backed), n=150).keys() == {"slant", "height"}
    backed.weights_sha256, backed.metrics["weights_sha256"] = "ab", "cd"  # measured on other weights
    assert not {*named(backed).names} & {*ATTRIBUTES}
    backed.metrics = {"weights_sha256": "ab", directions.MEASURE: {"slant": 1.5, "width": 0.6, "loop": "0.9"}}
    assert named(backed).names[:2] == ("width", "direction 1")


def test_a_correlation_is_not_measured_on_a_few_latents(drawing):
    with pytest.raises(ValueError, match="number of latents must be a whole number from 150 to"):
        correlations(drawing, directions.of_attributes(drawing), n=149)


def test_a_model_whose_samples_have_no_slope_has_no_correlations():
    model = model_of(lambda z: strokes((z[:, 0] > 0).float(), torch.full((len(z),), 2.0)), latent_dim=4, choices=0)
    assert set(correlations(model, directions.of_attributes(model), n=150).values()) == {0.0}


@pytest.fixture(scope="module")
def shipped() -> Model:
    return ganlib.load("mlp-gan", "cpu")


def test_a_movement_keeps_the_norm_and_the_choice_and_nothing_moves_at_0(shipped):
    found, z = named(shipped), shipped.latents(range(6))
    before = z.clone()
    assert torch.equal(found.move(z, [0.0] * 5), z)
    after = found.move(z, torch.linspace(-3, 3, 30).reshape(6, 5))
    torch.testing.assert_close(after.norm(dim=1), z.norm(dim=1))
    assert torch.equal(after[:, :32], z[:, :32])
    assert ((after - z).norm(dim=1) > 0.5).all()
    assert torch.equal(z, before)


def test_a_movement_is_a_function_of_its_latent_alone(shipped):
    z, amounts = shipped.latents(range(3)), torch.tensor([[1.0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 2, 0, 0, -3]])
    together = named(shipped).move(z, amounts)
    with torch.inference_mode():  # of another fit, in another mode
        found = named(shipped)
        alone = [found.move(shipped.latents([seed]), amounts[seed]) for seed in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-3, rtol=0)
    assert torch.equal(together[1], z[1])


def test_a_small_step_has_its_length(shipped):
    z = shipped.latents(range(4))
    step = named(shipped).move(z, [0.1, 0, 0, 0, 0]) - z
    assert (step.norm(dim=1) <= 0.1 * directions.STEP + 1e-4).all()
    assert (step.norm(dim=1) > 0.06 * directions.STEP).all()  # less what keeping the norm takes


def test_directions_leave_every_random_state_alone(shipped):
    before, numpys = torch.get_rng_state(), numpy.random.get_state()[1].copy()
    found = named(shipped)
    correlations(shipped, found.part([0]), n=30)
    principal(shipped, 2, n=50)
    assert torch.equal(before, torch.get_rng_state())
    assert (numpys == numpy.random.get_state()[1]).all()


@pytest.mark.parametrize(("z", "amounts", "labels", "said"), [
    (torch.zeros(2, 99), [0.0] * 5, None, "latents must have the shape .N, 100., N at least 1, not .2, 99."),
    (torch.full((2, 100), torch.nan), [0.0] * 5, None, "latents must be numbers from -100 to 100"),
    (torch.full((2, 100), 1e30), [1.0] * 5, None, "latents must be numbers from -100 to 100"),
    (torch.zeros(2, 100) + 1j, [0.0] * 5, None, "latents must be real numbers, not complex"),
    (None, [0.0] * 5, None, "latents must be numbers, not None"),
    ("abc", [0.0] * 5, None, "latents must be numbers, not 'abc'"),
    ([[0.0] * 100, [0.0] * 99], [0.0] * 5, None, "latents must be numbers, not "),
    (torch.zeros(2, 100), None, None, "amounts must be numbers, not None"),
    (torch.zeros(2, 100), [0.0] * 4, None, "amounts must be 5 numbers"),
    (torch.zeros(2, 100), [torch.inf] * 5, None, "amounts must be numbers from -100 to 100"),
    (torch.zeros(2, 100), torch.zeros(3, 5), None, "amounts must be 5 numbers"),
    (torch.zeros(2, 100), [0.0] * 5, 3, "mlp-gan has no classes"),
])
def test_a_bad_movement_is_refused(shipped, z, amounts, labels, said):
    with pytest.raises(ValueError, match=said):
        named(shipped).move(z, amounts, labels)


def test_a_model_with_classes_moves_within_its_class():
    model = untrained("cdcgan", generator_channels=(8, 8, 8), latent_dim=6)
    found, z = directions.of_attributes(model), model.latents([1])
    three, four = (found.move(z, [2.0, 0, 0, 0, 0], label) for label in (3, 4))
    assert not torch.allclose(three, four)
    with pytest.raises(ValueError, match="cdcgan needs labels"):
        found.move(z, [2.0, 0, 0, 0, 0])


def test_the_names_of_the_shipped_models_are_backed_by_their_metrics():
    for name in DIGITS:
        measured = checkpoint.read_metrics(ganlib.shipped()[name])[directions.MEASURE]
        assert list(measured) == list(ATTRIBUTES)
        assert min(measured.values()) >= directions.BACKED_FROM
    (measure,) = [measure for measure in MEASURES if measure.key == directions.MEASURE]
    assert measure.written({"slant": 0.934, "loop": 0.5}) == "slant 0.93, loop 0.50"


def test_the_correlations_of_a_shipped_model_are_found_again(shipped):
    """On latents other than those of the fit and of metrics.json."""
    for name, correlation in correlations(shipped, named(shipped), n=150, seed=123).items():
        assert correlation == pytest.approx(shipped.metrics[directions.MEASURE][name], abs=0.25), name


@pytest.mark.slow
@pytest.mark.parametrize("name", DIGITS)
def test_the_shipped_directions_hold_what_is_said_of_them(name):
    """The measures are those of metrics.json, no other attribute changes more, and a digit stays the same."""
    model, reader = ganlib.load(name, "cpu"), checkpoint.load_classifier(device="cpu")
    model.draw(64, 0)
    start = time.process_time()
    found = named(model)
    assert time.process_time() - start < 2
    table = cross_correlations(model, found, seed=evaluation.SEED)
    for row in table:
        assert table[row][row] == pytest.approx(model.metrics[directions.MEASURE][row], abs=0.01)
        assert max(table[row], key=lambda column: abs(table[row][column])) == row
    amounts = torch.tensor([2.0]).repeat(250) * (torch.arange(250) // 10 % 2 * 2 - 1)
    for direction, _, before, after in moved(model, found, amounts, seed=5):
        same = reader.examine(before)[1].argmax(1) == reader.examine(after)[1].argmax(1)
        assert same.double().mean() > 0.8, direction


@pytest.mark.slow
def test_two_thousand_pictures_are_measured_in_seconds(shipped):
    x = shipped.decode(sampling.noise(1, 2_000, 100))
    start = time.process_time()
    attributes(x)
    assert time.process_time() - start < 4  # a busy machine takes twice as long
