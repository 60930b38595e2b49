import math
from contextlib import closing
from dataclasses import replace

import pytest
import torch
from torch import nn

import ganlib
from ganlib import best, checkpoint, inversion, losses
from ganlib.architectures import ARCHITECTURES, DCGAN, VAE, build, build_encoder, describe, rebuild
from ganlib.data import DATASETS, ImageData, scale
from ganlib.model import Model
from ganlib.recipes import RECIPES, Recipe
from ganlib.runs import Run
from ganlib.training import State, TrainConfig, negative_elbo, train
from ganlib.transfer import Start

SMALL = VAE((1, 28, 28), 8, (8, 8, 4), (4, 8), mapping=(16,), features=16, couplings=2)
CONFIG = TrainConfig(steps=20, batch_size=16, loss="elbo", generator_lr=1e-3, betas=(0.9, 0.99), kl_weight=0.5)


@pytest.fixture
def images():
    """100 images of bars, which a small network learns at once."""
    pixels = torch.zeros(100, 1, 28, 28, dtype=torch.uint8)
    for i in range(100):
        pixels[i, 0, :, i % 24:i % 24 + 4] = 255
    return ImageData("bars", pixels)


def generator_of(architecture, seed: int = 0):
    """A generator whose coupling layers do something."""
    rng = torch.Generator().manual_seed(seed)
    generator, _ = build(architecture, rng)
    for coupling in generator.coupling_layers:
        nn.init.normal_(coupling.layers[-1].weight, 0, 0.3, generator=rng)
    return generator.eval()


def encoder_of(architecture, seed: int = 0):
    return build_encoder(architecture, torch.Generator().manual_seed(seed)).eval()


def model_of(architecture=SMALL) -> Model:
    return Model("small", architecture, generator_of(architecture), encoder=encoder_of(architecture))


def test_the_decoder_is_the_generator_of_the_dcgan_behind_its_coupling_layers():
    vae = ARCHITECTURES["vae"]
    twin = replace(ARCHITECTURES["dcgan"], latent_dim=vae.latent_dim, choices=0)
    mine, its = generator_of(vae), build(twin, torch.Generator().manual_seed(1))[0].eval()
    its.load_state_dict({key: value for key, value in mine.state_dict().items() if "coupling" not in key})
    z = torch.randn(3, vae.latent_dim, generator=torch.Generator().manual_seed(2))
    assert not torch.equal(mine.coupling_layers(z), z)
    assert torch.equal(mine(z), its(mine.coupling_layers(z)))


def test_coupling_layers_are_inverted_and_their_determinant_is_that_of_the_jacobian():
    layers = generator_of(SMALL).coupling_layers.double()
    for coupling in layers:
        coupling._scale_and_shift = lambda kept, net=coupling.layers: net(kept).tanh().chunk(2, dim=1)  # in double
    z = torch.randn(1, SMALL.latent_dim, generator=torch.Generator().manual_seed(3), dtype=torch.double)
    mapped = layers(z)
    found, log_determinant = layers.inverse(mapped)
    jacobian = torch.autograd.functional.jacobian(lambda w: layers.inverse(w[None])[0][0], mapped[0])
    assert torch.allclose(found, z)
    assert log_determinant.abs() > 0.1
    assert log_determinant.item() == pytest.approx(torch.linalg.slogdet(jacobian)[1].item())


def test_the_kl_divergence_is_the_mean_of_the_log_densities_ratio():
    """In mapped latents: log q(w | x) less the log density of w, that of its latent by the change of variables."""
    generator, encoder = generator_of(SMALL), encoder_of(SMALL)
    x = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(4))
    noise = torch.randn(3, SMALL.latent_dim, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        mean, log_variance = encoder._normal(x)
        w = mean + (log_variance / 2).exp() * noise
        log_q = torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(w).sum(1)
        z, _ = generator.coupling_layers.inverse(w)
        log_determinants = []
        for one in z:
            jacobian = torch.autograd.functional.jacobian(lambda z: generator.coupling_layers(z[None])[0], one)
            log_determinants.append(torch.linalg.slogdet(jacobian)[1])
        log_p = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1) - torch.stack(log_determinants)
        _, divergence = negative_elbo(generator, encoder, x, noise)
    assert divergence.item() == pytest.approx((log_q - log_p).mean().item(), rel=1e-4)


@pytest.mark.slow
def test_the_kl_divergence_without_couplings_is_that_of_two_normal_distributions():
    plain = replace(SMALL, couplings=0)
    encoder = encoder_of(plain)
    nn.init.normal_(encoder.head.weight, 0, 0.1, generator=torch.Generator().manual_seed(5))
    x = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(6)).expand(20_000, -1, -1, -1)
    with torch.no_grad():
        mean, log_variance = encoder._normal(x[:1])
        exact = (mean.square() + log_variance.exp() - 1 - log_variance).sum().item() / 2
        noise = torch.randn(len(x), plain.latent_dim, generator=torch.Generator().manual_seed(7))
        estimated = torch.stack([negative_elbo(generator_of(plain), encoder, x[:2_000], part)[1]
                                 for part in noise.split(2_000)]).mean()
    assert exact > 0.05
    assert estimated.item() == pytest.approx(exact, abs=4 * (2 * exact / len(x)) ** 0.5)  # its standard error


def test_the_reconstruction_loss_is_the_cross_entropy_of_the_pixels_in_nats():
    x, decoded = torch.tensor([[[[1.0, -1.0, 0.0]]]]), torch.tensor([[[[0.8, -0.6, 0.0]]]])
    expected = -math.log(0.9) - math.log(0.8) - math.log(0.5)
    assert losses.pixel_cross_entropy(decoded, x).item() == pytest.approx(expected, rel=1e-5)


def test_the_best_pixel_of_several_images_is_their_mean():
    x = torch.tensor([-1.0, -1.0, -1.0, 1.0]).view(4, 1, 1, 1)
    shades = torch.linspace(-0.9, 0.9, 37)
    values = [losses.pixel_cross_entropy(shade.expand(4, 1, 1, 1), x).item() for shade in shades]
    assert shades[values.index(min(values))].item() == pytest.approx(x.mean().item(), abs=1e-6)


def test_twenty_steps_lower_the_loss(images):
    steps = list(train(SMALL, images, CONFIG))
    first, last = (sum(value.item() for value in step.losses.values()) for step in (steps[0], steps[-1]))
    assert [step.number for step in steps] == list(range(1, 21))
    assert last < 0.9 * first
    assert set(steps[-1].state.history[-1]) == {"step", "reconstruction_loss", "kl_divergence"}


def test_a_run_that_was_saved_continues_bit_for_bit(images, tmp_path):
    whole = list(train(SMALL, images, CONFIG))[-1].state
    half = next(step.state for step in train(SMALL, images, CONFIG) if step.number == 10)
    half.save(tmp_path / "state.safetensors", {})
    again = State.fresh(SMALL, CONFIG)
    again.load(tmp_path / "state.safetensors")
    last = list(train(SMALL, images, CONFIG, state=again))[-1].state
    assert last.history == whole.history
    for name in ("generator", "average", "encoder", "average_encoder"):
        ours, theirs = (getattr(state, name).state_dict() for state in (last, whole))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_a_model_encodes_and_decodes_as_it_did_after_it_was_saved_and_loaded(tmp_path):
    model = model_of()
    x = model.sample(range(5))
    again = ganlib.load(checkpoint.save(model, tmp_path / "vae"))
    assert sorted(path.name for path in (tmp_path / "vae").glob("*.safetensors")) == ["encoder.safetensors",
                                                                                      "model.safetensors"]
    assert again.discriminator is None
    assert again.encode(x).shape == (5, SMALL.latent_dim)
    assert torch.equal(again.encode(x), model.encode(x))
    assert torch.equal(again.decode(again.encode(x)), model.decode(model.encode(x)))


def test_a_reconstruction_does_not_depend_on_its_batch():
    model = model_of()
    x = model.sample(range(30))
    assert torch.allclose(model.encode(x)[7:8], model.encode(x[7:8]), atol=1e-5)


def test_a_gan_has_no_encoder():
    gan = Model("gan", DCGAN((1, 28, 28), 8, (8, 8, 4), (4, 8), features=8), *build(
        DCGAN((1, 28, 28), 8, (8, 8, 4), (4, 8), features=8), torch.Generator().manual_seed(0)))
    with pytest.raises(ValueError, match="gan has no encoder: its invert searches for latents"):
        gan.encode(torch.zeros(1, 1, 28, 28))


def test_a_vae_has_no_discriminator():
    with pytest.raises(ValueError, match="small has no discriminator"):
        model_of().discriminate(torch.zeros(1, 1, 28, 28))


def test_a_missing_encoder_is_named(tmp_path):
    folder = checkpoint.save(model_of(), tmp_path / "vae")
    (folder / "encoder.safetensors").unlink()
    with pytest.raises(ganlib.WeightsError, match=r"encoder\.safetensors is missing"):
        ganlib.load(folder)


def test_a_gan_that_is_saved_over_a_vae_leaves_no_encoder_behind(tmp_path):
    folder = checkpoint.save(model_of(), tmp_path / "model")
    small = DCGAN((1, 28, 28), 8, (8, 8, 4), (4, 8), features=8)
    checkpoint.save(Model("gan", small, *build(small, torch.Generator().manual_seed(0))), folder)
    assert sorted(path.name for path in folder.glob("*.safetensors")) == ["discriminator.safetensors",
                                                                         "model.safetensors"]
    assert ganlib.load(folder).encoder is None


def test_a_search_begins_at_the_latent_of_the_encoder(monkeypatch):
    model = model_of()
    model.generator.layers[-2].weight.data.mul_(1e6)  # untrained, it makes grey images
    far = torch.full((1, SMALL.latent_dim), 1.5)
    x = model.decode(far)
    _, without = next(inversion.search(model, x))
    monkeypatch.setattr(model, "encode", lambda x: far)
    _, begun = next(inversion.search(model, x))
    assert begun.psnr > 100
    assert without.psnr < 60


def test_an_encoder_is_trained_by_the_elbo_alone():
    with pytest.raises(ValueError, match="vae has an encoder: its loss must be elbo, not relativistic"):
        State.fresh(SMALL, replace(CONFIG, loss="relativistic", kl_weight=1.0))


def test_the_elbo_needs_an_encoder():
    with pytest.raises(ValueError, match="elbo trains an encoder, and dcgan has none: the loss must be one of non-sat"):
        State.fresh(ARCHITECTURES["dcgan"], CONFIG)


@pytest.mark.parametrize("changes", [{"penalties": {"r1": 1.0}}, {"augment": ("flip",)}, {"n_critic": 2}])
def test_what_belongs_to_a_discriminator_is_refused(changes):
    with pytest.raises(ValueError, match="are of a discriminator, and elbo trains none: leave them out"):
        replace(CONFIG, **changes)


@pytest.mark.parametrize("changes", [{"couplings": -1}, {"encoder_channels": ()}, {"features": 0},
                                     {"shape": (1, 30, 30)}, {"latent_dim": 1}])
def test_wrong_numbers_of_an_architecture_are_refused(changes):
    with pytest.raises(ValueError, match=r"must be|divisible|couplings need"):
        replace(SMALL, **changes)


def test_an_architecture_survives_its_description():
    assert rebuild(describe(SMALL)) == SMALL


@pytest.mark.parametrize("shape", [(3, 64, 48), (1, 32, 32)])
def test_it_is_fitted_to_images_of_another_shape(shape):
    fitted = SMALL.fitted(shape, 4)
    x = build(fitted, torch.Generator().manual_seed(0))[0].eval()(torch.zeros(2, fitted.latent_dim))
    assert x.shape == (2, *shape)
    assert encoder_of(fitted)(x).shape == (2, fitted.latent_dim)


@pytest.fixture
def run(monkeypatch, images, tmp_path) -> Run:
    """A short run of a small VAE on 100 images of bars, 20 of them held out."""
    monkeypatch.setitem(ARCHITECTURES, "vae", SMALL)
    monkeypatch.setitem(RECIPES, "vae", Recipe("vae", "bars", CONFIG))
    monkeypatch.setitem(DATASETS, "bars", lambda *_: replace(images, held_out=lambda: images[::5]))
    monkeypatch.setattr("ganlib.images.MOMENTS", 2)
    return Run("vae", out=tmp_path / "vae")


def test_a_run_writes_a_folder_that_loads_and_tells_what_it_is(run):
    run, data = run.open()
    run.go(data)
    model = ganlib.load(run.out)
    card = (run.out / "README.md").read_text()
    expected = inversion.psnr(model.decode(model.encode(scale(data.held_out().images))), scale(data.held_out().images))
    assert model.metrics["reconstruction_psnr"] == pytest.approx(expected.mean().item(), rel=1e-4)
    last = model.history[-1]["reconstruction_loss"]
    assert model.metrics["final_reconstruction_loss"] == pytest.approx(last, rel=0.1)
    assert checkpoint.is_measured(run.out, model.metrics)
    assert "encoder_sha256" in model.metrics
    assert "A small VAE (vae)" in card
    assert "Encoder and decoder:" in card
    assert "iscriminator" not in card
    assert "| kl weight | 0.5 |" in card


def test_a_run_that_stopped_is_resumed(run):
    opened, data = run.open()
    with closing(opened.train(data)) as states:
        for state in states:
            if state.step == 10:
                break
    again, data = Run.resumed("vae", run.out).open()
    *_, last = again.train(data)
    assert (again.begun["step"], last.step) == (10, 20)


def test_a_run_may_start_from_the_weights_of_another(run, tmp_path):
    trained = checkpoint.save(model_of(), tmp_path / "trained")
    start = Start.of(ganlib.load(trained), SMALL)
    state = State.fresh(SMALL, CONFIG)
    start.load_into(state)
    expected = ganlib.load(trained).encoder.state_dict()
    assert start.new_layers == ()
    for encoder in (state.encoder, state.average_encoder):
        assert all(torch.equal(value, expected[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_latents_are_ordinary_tensors_whatever_the_caller_has_set(mode):
    model = model_of()
    with mode():
        z = model.encode(torch.zeros(2, 1, 28, 28))
    assert not z.is_inference()
    assert (z.dtype, z.device.type) == (torch.float32, "cpu")


class Plain(nn.Module):
    """A generator without coupling layers."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 28 * 28)

    def forward(self, z, y=None):
        return self.layer(z).tanh().view(-1, 1, 28, 28)


def test_a_generator_without_coupling_layers_trains_and_encodes(images, monkeypatch):
    monkeypatch.setattr(VAE, "generator", lambda self: Plain())
    last = list(train(SMALL, images, CONFIG))[-1]
    model = Model("plain", SMALL, last.generator, encoder=last.state.average_encoder)
    assert last.losses["reconstruction_loss"] < next(train(SMALL, images, CONFIG)).losses["reconstruction_loss"]
    assert torch.equal(model.encode(torch.zeros(1, 1, 28, 28)), model.encoder(torch.zeros(1, 1, 28, 28)))


def test_a_run_may_keep_the_best_networks(images, tmp_path):
    state = list(train(SMALL, images, CONFIG))[-1].state
    keeper = best.Keeper(tmp_path / "best.safetensors", 0)
    keeper.offer(state, SMALL, images, 1.0)
    with keeper.saved():
        pass
    _, discriminator, encoder = best.load(tmp_path / "best.safetensors", State.fresh(SMALL, CONFIG))
    assert discriminator is None
    assert all(torch.equal(value, encoder.state_dict()[key])
               for key, value in state.average_encoder.state_dict().items())


def test_bfloat16_is_refused_where_pixels_would_have_no_gradient():
    shade = torch.tensor([[-0.9999]], requires_grad=True)
    losses.pixel_cross_entropy(shade.bfloat16(), torch.ones(1, 1)).backward()
    assert shade.grad.item() == 0
    with pytest.raises(ValueError, match="elbo needs float32: bfloat16 rounds pixels to black and white"):
        replace(CONFIG, bfloat16=True)


def test_a_gan_has_no_weight_of_a_kl_divergence():
    with pytest.raises(ValueError, match="kl_weight is of the loss elbo, not of relativistic: leave it out"):
        TrainConfig(steps=1, batch_size=1, loss="relativistic", kl_weight=0.5)
