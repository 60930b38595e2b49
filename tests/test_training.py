from dataclasses import replace

import pytest
import torch
from torch import nn

from ganlib.data import GRID, RING, Gaussian, ImageData, Sine, StackedDigits
from ganlib.losses import LOSSES
from ganlib.networks import ARCHITECTURES
from ganlib.recipes import RECIPES
from ganlib.training import EMA, NonFiniteLoss, State, TrainConfig, balance, discriminator_loss, saved_run, train

SMALL = TrainConfig(steps=4, batch_size=8)


def take(architecture, data, config, steps=None, **options):
    """The last step of a run, or its step number `steps`."""
    run = train(architecture, data, config, **options)
    for step in run:
        if step.number == steps:
            break
    run.close()
    return step


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_steps(name, digits):
    recipe = RECIPES[name]
    toys = {"gaussian": Gaussian(), "sine": Sine(), "ring": RING, "grid": GRID, "stacked-mnist": StackedDigits(digits)}
    data = toys.get(recipe.data, digits)
    run = train(recipe.build(), data, replace(recipe.train, batch_size=8))
    before = None
    for number in (1, 2):
        step = next(run)
        assert step.number == number
        assert step.discriminator_loss.isfinite()
        assert step.generator_loss.isfinite()
        weights = torch.cat([p.flatten() for p in step.generator.parameters()])
        assert before is None or not torch.equal(before, weights)
        before = weights.clone()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_every_loss_trains_with_and_without_penalties(loss, penalty):
    config = replace(SMALL, loss=loss, r1=penalty, r2=penalty / 2)
    assert take(ARCHITECTURES["toy-gaussian"], Gaussian(), config).number == 4


def test_a_generator_is_trained_on_the_latents_it_is_sampled_with():
    """The noise that reaches G in each step has the architecture's one-hot part."""
    architecture = replace(ARCHITECTURES["toy-gaussian"], codes=3)
    state, seen = State.fresh(architecture, SMALL), []
    state.generator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    next(train(architecture, Gaussian(), SMALL, state=state))
    assert len(seen) == 2
    for z in seen:
        assert z.shape == (8, 20)
        torch.testing.assert_close(z[:, :3].sum(1), torch.full((8,), 3**0.5))
        assert (z[:, :3] > 0).sum(1).tolist() == [1] * 8


def test_the_penalties_fall_geometrically_to_their_share_at_the_end():
    """D's loss at a step, less the loss without penalties: what the penalties weigh there."""
    config = TrainConfig(steps=100, batch_size=16, r1=2.0, r2=1.0, final_penalty=0.01)
    real, z = torch.randn(16, 1), torch.randn(16, 20)

    def weight(config, step):
        state = State.fresh(ARCHITECTURES["toy-gaussian"], config)
        state.step = step
        with_them = discriminator_loss(state, LOSSES[config.loss].discriminator, real.clone(), z, None)
        state.config = replace(config, r1=0.0, r2=0.0)
        return (with_them - discriminator_loss(state, LOSSES[config.loss].discriminator, real.clone(), z, None)).item()

    start = weight(config, 0)
    assert start > 0
    assert weight(config, 50) == pytest.approx(0.1 * start, rel=1e-3)
    assert weight(config, 100) == pytest.approx(0.01 * start, rel=1e-3)
    assert weight(replace(config, final_penalty=1.0), 100) == pytest.approx(start)
    for wrong in (0.0, 1.5, -1.0):
        with pytest.raises(ValueError, match="final_penalty must be above 0 and at most 1"):
            replace(config, final_penalty=wrong)


def test_training_improves_a_toy():
    config = replace(RECIPES["toy-gaussian"].train, steps=300, batch_size=256)
    z = torch.randn(4000, 20, generator=torch.Generator().manual_seed(1))

    def distance(generator):
        with torch.no_grad():
            return (generator(z).flatten().sort().values - Gaussian().quantiles(4000).flatten()).abs().mean().item()

    architecture = RECIPES["toy-gaussian"].build()
    start = distance(State.fresh(architecture, config).average)
    assert distance(take(architecture, Gaussian(), config).generator) < start / 3


def test_the_same_seed_trains_the_same_network_and_borrows_no_randomness(digits):
    before = torch.get_rng_state()
    first, second = (take(ARCHITECTURES["mlp-gan"], digits, SMALL) for _ in range(2))
    other = take(ARCHITECTURES["mlp-gan"], digits, replace(SMALL, seed=1))
    assert torch.equal(before, torch.get_rng_state())
    for a, b, c in zip(first.generator.parameters(), second.generator.parameters(), other.generator.parameters()):
        assert torch.equal(a, b)
        assert a.ndim == 1 or not torch.equal(a, c)


@pytest.mark.parametrize("name", ["dcgan", "mlp-gan"])
def test_a_saved_run_goes_on_bit_for_bit(name, digits, tmp_path):
    config = replace(RECIPES[name].train, steps=1_200, batch_size=8)  # a row of the history every three steps
    architecture = ARCHITECTURES[name]  # mlp-gan's with dropout, which draws too
    whole = take(architecture, digits, config, steps=6)
    path = tmp_path / "state.safetensors"
    take(architecture, digits, config, steps=4).state.save(path, {"name": name})
    assert saved_run(path) == {"name": name}
    state = State.fresh(architecture, config)
    state.load(path)
    resumed = take(architecture, digits, config, steps=6, state=state)
    assert len(whole.state.history) == 2
    assert resumed.state.history == whole.state.history
    for network in ("generator", "discriminator", "average"):
        a, b = getattr(whole.state, network).state_dict(), getattr(resumed.state, network).state_dict()
        assert all(torch.equal(a[key], b[key]) for key in a), network


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, digits):
    path = tmp_path / "state.safetensors"
    state = State.fresh(ARCHITECTURES["dcgan"], SMALL)
    with pytest.raises(ValueError, match="there is no checkpoint"):
        saved_run(path)
    path.write_bytes(b"\x80\x04junk")
    for read in (saved_run, state.load):
        with pytest.raises(ValueError, match="is not a checkpoint"):
            read(path)
    take(ARCHITECTURES["toy-sine"], Sine(), SMALL).state.save(path, {})
    with pytest.raises(ValueError, match="is not a checkpoint of this run"):
        state.load(path)


def test_a_loss_that_is_not_finite_stops_the_run_and_is_not_saved(tmp_path):
    config = TrainConfig(steps=50, batch_size=8, loss="least-squares", generator_rate=1e20, discriminator_rate=1e20)
    with pytest.raises(NonFiniteLoss, match=r"no longer finite at step \d+ .*lower the learning rates"):
        take(ARCHITECTURES["toy-sine"], Sine(), config)
    state = State.fresh(ARCHITECTURES["toy-sine"], SMALL)
    next(state.average.parameters())[0] = torch.nan
    with pytest.raises(NonFiniteLoss):
        state.save(tmp_path / "state.safetensors", {})
    assert list(tmp_path.iterdir()) == []


def test_the_history_covers_the_run_and_is_short():
    config = TrainConfig(steps=2_000, batch_size=2)
    history = take(ARCHITECTURES["toy-gaussian"], Gaussian(), config).state.history
    assert history[-1]["step"] == 2_000
    assert 300 < len(history) <= 500
    assert set(history[0]) == {"step", "discriminator_loss", "generator_loss"}


def test_a_state_goes_on_under_its_own_configuration_only():
    state = State.fresh(ARCHITECTURES["toy-gaussian"], SMALL)
    with pytest.raises(ValueError, match="another configuration"):
        next(train(ARCHITECTURES["toy-gaussian"], Gaussian(), replace(SMALL, r1=50.0), state=state))


def test_data_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"take samples of shape \(2,\), the data's are \(1,\)"):
        next(train(ARCHITECTURES["toy-sine"], Gaussian(), SMALL))


def test_a_network_with_classes_needs_data_with_as_many(digits):
    few = ImageData("few", digits.images, digits.labels, 7)
    with pytest.raises(ValueError, match="take 10 classes, the data has 7"):
        next(train(replace(ARCHITECTURES["dcgan"], num_classes=10), few, SMALL))
    assert take(replace(ARCHITECTURES["dcgan"], num_classes=10), digits, replace(SMALL, steps=1)).number == 1


@pytest.mark.parametrize(("field", "value"), [
    ("steps", 0), ("steps", 1.5), ("batch_size", -1), ("seed", -1), ("loss", "wasserstein"), ("generator_rate", 0),
    ("discriminator_rate", float("nan")), ("final_rate", 2), ("r1", -1), ("r2", float("nan")), ("ema", 1.5),
])
def test_a_bad_configuration_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must be"):
        replace(SMALL, **{field: value})


def test_the_average_follows_the_weights_and_copies_the_buffers():
    network, average = nn.BatchNorm1d(3), nn.BatchNorm1d(3).requires_grad_(False)
    nn.init.constant_(network.weight, 11.0)
    network.running_mean.fill_(5.0)
    network.num_batches_tracked.fill_(9)
    ema = EMA(average, network, 0.9)
    ema.update(10_000)
    torch.testing.assert_close(average.weight, torch.full((3,), 2.0))  # 0.9 · 1 + 0.1 · 11
    assert torch.equal(average.running_mean, network.running_mean)
    assert average.num_batches_tracked == 9
    ema.update(0)
    torch.testing.assert_close(average.weight, torch.full((3,), 0.2 + 0.9 * 11))  # a tenth is kept at first


def test_balancing_finds_the_offset_of_least_loss():
    discriminator = ARCHITECTURES["toy-gaussian"].discriminator()
    real, fake = torch.linspace(2, 4, 64)[:, None], torch.linspace(0, 3, 64)[:, None]
    discriminator.layers[-1].bias.data += 40

    def loss(offset=0.0):
        with torch.no_grad():
            return LOSSES["non-saturating"].discriminator(discriminator(real) + offset, discriminator(fake) + offset)

    before = loss()
    balance(discriminator, real, fake)
    assert loss() < before
    assert loss() <= min(loss(-0.05), loss(0.05))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_runs_on_the_gpu(digits):
    config = replace(RECIPES["dcgan"].train, steps=3, batch_size=8)
    step = take(ARCHITECTURES["dcgan"], digits.to("cuda"), config, device="cuda")
    assert step.state.history[-1]["step"] == 3
    assert next(step.generator.parameters()).is_cuda
