import json
import re
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from ganlib.architectures import (
    ARCHITECTURES,
    DCGAN,
    KINDS,
    MLP,
    Architecture,
    build,
    build_encoder,
    describe,
    rebuild,
    register,
)
from ganlib.sampling import noise


def of_seed(architecture, seed: int = 0) -> list[nn.Module]:
    return list(build(architecture, torch.Generator().manual_seed(seed)))


def encoder_of(architecture) -> nn.Module:
    return build_encoder(architecture, torch.Generator().manual_seed(0))


def labels_for(architecture, n: int) -> torch.Tensor | None:
    return None if architecture.num_classes is None else torch.arange(n) % architecture.num_classes


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_generator_makes_samples_and_a_discriminator_logits_or_an_encoder_latents(name):
    architecture = ARCHITECTURES[name]
    generator, discriminator = of_seed(architecture)
    y = labels_for(architecture, 5)
    x = generator(noise(1, 5, architecture.latent_dim), y)
    output = (discriminator or encoder_of(architecture))(x, y)
    assert x.shape == (5, *architecture.shape)
    assert output.shape == ((5,) if discriminator else (5, architecture.latent_dim))
    assert output.dtype == torch.float32


@pytest.mark.parametrize("name", [*ARCHITECTURES, "not square"])
def test_the_widest_layer_is_the_widest_that_a_sample_goes_through(name):
    architecture, seen = ARCHITECTURES.get(name) or SMALL["dcgan"].fitted((1, 64, 40), None), []
    generator, discriminator = of_seed(architecture)
    generator, other = generator.eval(), (discriminator or encoder_of(architecture)).eval()
    y = labels_for(architecture, 1)
    for module in (*generator.modules(), *other.modules()):
        module.register_forward_hook(lambda module, inputs, output: seen.append(
            sum(part.numel() for part in output) if isinstance(output, tuple) else output.numel()))
    other(generator(noise(1, 1, architecture.latent_dim), y), y)
    assert architecture.widest == max(seen)


SMALL = {
    "mlp": MLP((1, 28, 28), 8, (16,), (16,)),
    "dcgan": DCGAN((1, 28, 28), 8, (16, 8, 4), (4, 8), features=8),
    "cdcgan": DCGAN((1, 28, 28), 8, (16, 8, 4), (4, 8), features=8, num_classes=10),
}


def last_map(discriminator: nn.Module, x: torch.Tensor) -> torch.Size:
    """The size of the last map of convolutions."""
    flat = next(i for i, layer in enumerate(discriminator.layers) if isinstance(layer, nn.Flatten))
    return discriminator.layers[:flat](x).shape[2:]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 28, 28), (1, 48, 48), (3, 128, 128), (3, 64, 48), (1, 32, 96),
                                   (3, 16, 64), (1, 112, 28)])
def test_networks_are_fitted_to_other_images(name, shape):
    architecture = SMALL[name].fitted(shape, 3)
    assert architecture.num_classes == (3 if name == "cdcgan" else None)
    generator, discriminator = of_seed(architecture)
    y = labels_for(architecture, 3)
    x = generator(noise(1, 3, architecture.latent_dim), y)
    assert x.shape == (3, *shape)
    assert discriminator(x, y).shape == (3,)
    if isinstance(architecture, DCGAN):
        assert 4 <= min(generator.base[1:]) <= 8
        assert max(generator.base[1:]) <= 4 * min(generator.base[1:])
        assert max(last_map(discriminator, x)) <= 4
    assert rebuild(describe(architecture)) == architecture


def test_networks_that_fit_stay_as_they_are():
    for architecture in ARCHITECTURES.values():
        assert architecture.fitted(architecture.shape, architecture.num_classes) == architecture


def test_networks_say_what_they_cannot_be_fitted_to():
    with pytest.raises(ValueError, match="images .channels, height, width., not samples of shape"):
        ARCHITECTURES["dcgan"].fitted((28, 28), None)
    with pytest.raises(ValueError, match="learn classes, and the data have none: put the images of each class into"):
        ARCHITECTURES["cdcgan"].fitted((1, 28, 28), None)


@pytest.mark.parametrize(("size", "nearest"), [
    ("50x64", ["48x64", "56x64"]), ("64x50", ["64x48", "64x56"]), ("30x30", ["28x28", "32x32"]),
    ("1x1", ["8x8", "10x10"]), ("28x30", ["28x28", "28x32"]), ("400x64", ["384x96", "400x112"]),
    ("5000x5000", ["1024x1024", "896x896"]), ("100x9000", None), ("1x65536", None), ("333x217", None)])
def test_an_impossible_size_is_refused_with_the_nearest_possible_ones(size, nearest):
    width, height = map(int, size.split("x"))
    with pytest.raises(ValueError, match=f"^{size} pixels are not a doubling .* that are possible: ") as refusal:
        SMALL["dcgan"].fitted((1, height, width), None)
    proposed = str(refusal.value).split(": ")[-1].split(", ")
    assert len(proposed) == 2
    assert nearest in (None, proposed)
    for width, height in (map(int, size.split("x")) for size in proposed):
        assert SMALL["dcgan"].fitted((1, height, width), None).shape == (1, height, width)


def test_square_images_have_the_networks_that_they_had():
    """So weights from before sides could differ still load."""
    for size, maps, kernels in ((28, [7, 14, 28], [4, 4, 3]), (32, [8, 16, 32], [4, 4, 4]),
                                (40, [5, 10, 20, 40], [4, 4, 4, 3])):
        architecture = SMALL["dcgan"].fitted((1, size, size), None)
        generator, discriminator = of_seed(architecture)
        assert [generator.base[1] << i for i in range(len(architecture.generator_channels))] == maps
        assert [layer.kernel_size for layer in discriminator.layers if isinstance(layer, nn.Conv2d)] == [
            (kernel, kernel) for kernel in kernels]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_description_in_json_rebuilds_the_architecture(name):
    assert rebuild(json.loads(json.dumps(describe(ARCHITECTURES[name])))) == ARCHITECTURES[name]


def test_a_description_from_before_a_field_came_builds_what_it_built_then():
    old = describe(ARCHITECTURES["cdcgan"])
    del old["choices"], old["sharpness"]
    assert rebuild(old) == ARCHITECTURES["cdcgan"]


def test_a_description_of_ganlib_0_is_understood():
    before = describe(replace(ARCHITECTURES["dcgan"], sharpness=1_000.0))
    del before["kind"], before["sharpness"]
    before = {"name": "dcgan", **before, "leak": before.pop("negative_slope"), "codes": before.pop("choices")}
    assert rebuild(before) == replace(ARCHITECTURES["dcgan"], sharpness=1_000.0)


def description(**changes) -> dict:
    return describe(ARCHITECTURES["dcgan"]) | changes


@pytest.mark.parametrize(("wrong", "sentence"), [
    (None, "table of fields"),
    (description(kind="flow"), "unknown architecture 'flow'; known: mlp, dcgan, vae.* GANLIB_IMPORT"),
    (description(kind=["dcgan"]), "unknown architecture"),
    (description(depth=3), "dcgan has no field 'depth'"),
    ({"kind": "dcgan"}, "dcgan lacks the field"),
    (description(latent_dim="100"), "latent_dim must be a whole number"),
    (description(latent_dim=2**40), "latent_dim must be a whole number from 1 to 65536"),
    (description(generator_channels=[0, 1]), "each of generator_channels must be a whole number"),
    (description(mapping=[256, "128"]), "each of mapping must be a whole number"),
    (description(mapping=[[256]]), "each of mapping must be a whole number"),
    (description(mapping=[1] * 33), "mapping must be a list of 0 to 32 whole numbers"),
    (description(negative_slope="0.2"), "wrong type"),
    (description(num_classes=-1), "num_classes"),
    (description(choices=100), "choices, fewer than latent_dim, must be a whole number from 0 to 99"),
    (description(choices="8"), "choices, fewer than latent_dim, must be a whole number"),
    (description(sharpness=0), "sharpness must be a number above 0"),
    (description(shape=[1, 30, 30]), "not divisible by 4"),
    (description(shape=[1, 28, 30]), "side of 30 pixels is not divisible by 4"),
    (description(shape=[1, 28]), r"\(channels, height, width\)"),
])
def test_a_foreign_description_is_refused_in_one_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        rebuild(wrong)


@dataclass(frozen=True)
class Modules:
    """An architecture of somebody else's: whatever modules of torch, and fields of their own."""

    shape: tuple[int, ...] = (1,)
    latent_dim: int = 8
    blocks: tuple[tuple[int, int], ...] = ((8, 2), (4, 1))

    num_classes: ClassVar[None] = None
    widest: ClassVar[int] = 8

    def generator(self) -> nn.Module:
        parts = nn.ModuleList([
            nn.Linear(8, 8), nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 3, 3), nn.Embedding(5, 8), nn.GRU(8, 8, 2),
            nn.MultiheadAttention(8, 2), nn.TransformerEncoderLayer(8, 2, 16), nn.Bilinear(2, 3, 4),
            nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))])
        parts.register_parameter("start", nn.Parameter(torch.randn(4)))
        parts.register_parameter("like", nn.Parameter(torch.rand_like(parts.start)))
        nn.init.orthogonal_(parts[0].weight)
        nn.init.trunc_normal_(parts[3].weight)
        return parts

    def discriminator(self) -> None:
        return None

    def fitted(self, shape: tuple[int, ...], num_classes: int | None) -> "Modules":
        return replace(self, shape=shape)


def numbers(network: nn.Module) -> dict[str, torch.Tensor]:
    return dict(network.state_dict())


@pytest.mark.parametrize("architecture", [*SMALL.values(), Modules()], ids=[*SMALL, "modules"])
def test_initial_weights_depend_on_the_generator_alone(architecture):
    """Not on the process's random state, default dtype or default device, nor do they change its random state."""
    expected = [numbers(network) for network in of_seed(architecture, 1) if network]
    before = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.default_generator.manual_seed(99)
            found = of_seed(architecture, 1)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert torch.equal(before, torch.get_rng_state())
    for network, values in zip(filter(None, found), expected):
        for key, value in numbers(network).items():
            assert value.device.type == "cpu"
            assert not value.is_inference()
            assert not value.is_floating_point() or value.dtype == torch.float32
            assert torch.equal(value, values[key]), key


def test_every_random_weight_is_drawn_from_the_seed():
    one, other = (numbers(of_seed(Modules(), seed)[0]) for seed in (1, 2))
    same = {key for key in one if torch.equal(one[key], other[key])}
    # what torch sets to a constant
    assert all(re.search(r"bias$|norm\d\.weight$", key) for key in same), same


def test_networks_are_built_without_values_for_weights_to_be_loaded():
    before = torch.get_rng_state()
    empty, _ = build(Modules(), None)
    assert torch.equal(before, torch.get_rng_state())
    filled = of_seed(Modules())[0]
    assert {key: value.shape for key, value in numbers(empty).items()} == {
        key: value.shape for key, value in numbers(filled).items()}
    empty.load_state_dict(filled.state_dict())


@pytest.fixture
def kinds():
    """The registered kinds, left as they were."""
    before = dict(KINDS)
    yield KINDS
    KINDS.clear()
    KINDS.update(before)


def test_a_registered_architecture_is_rebuilt_with_nested_fields(kinds):
    register("modules")(Modules)
    architecture = Modules(blocks=((1, 2), (3, 4)))
    assert describe(architecture)["kind"] == "modules"
    assert rebuild(json.loads(json.dumps(describe(architecture)))) == architecture


def test_a_kind_belongs_to_one_class(kinds):
    def defined(name: str) -> type:
        return dataclass(frozen=True)(type(name, (Modules,), {}))

    register("mine")(defined("Mine"))
    again = register("mine")(defined("Mine"))  # as when its module is reloaded
    with pytest.raises(ValueError, match="'mine' is registered already, by .*Mine"):
        register("mine")(defined("Other"))
    with pytest.raises(ValueError, match="'dcgan' is registered already, by .*DCGAN"):
        register("dcgan")(Modules)
    assert kinds["mine"] is again
    assert kinds["dcgan"] is DCGAN


def test_a_subclass_of_architecture_must_say_what_has_no_default(kinds):
    @dataclass(frozen=True)
    class Half(Architecture):
        shape: tuple[int, ...] = (1,)
        latent_dim: int = 1

    with pytest.raises(ValueError, match="Half lacks widest, generator"):
        register("half")(Half)


def test_a_class_that_is_no_architecture_is_not_registered(kinds):
    class Plain:
        pass

    @dataclass
    class Thawed:
        shape: tuple[int, ...] = (1,)

    @dataclass(frozen=True)
    class Lacking:
        shape: tuple[int, ...] = (1,)

        def generator(self):
            pass

    for wrong, sentence in ((Plain, "Plain must be a frozen dataclass"), (Thawed, "Thawed must be a frozen dataclass"),
                            (Lacking, "Lacking lacks latent_dim, num_classes, widest, discriminator, fitted")):
        with pytest.raises(ValueError, match=sentence):
            register("wrong")(wrong)
    assert "wrong" not in kinds
