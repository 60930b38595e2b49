import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import numpy
import pytest
import torch
from torch import nn

from ganlib import LOSSES, PENALTIES
from ganlib.architectures import ARCHITECTURES, Architecture, build
from ganlib.data import ImageData, StackedDigits
from ganlib.recipes import RECIPES
from ganlib.sampling import noise
from ganlib.toys import GRID, RING, Gaussian, Sine
from ganlib.training import (
    NonFiniteLoss,
    State,
    TrainConfig,
    discriminator_loss,
    saved_run,
    split_seed,
    train,
    update_average,
)

SMALL = TrainConfig(steps=4, batch_size=8)
TOY = ARCHITECTURES["toy-gaussian"]
NARROW = {"generator_channels": (16, 8, 4), "discriminator_channels": (8, 16, 32), "mapping": (16,)}


def narrow(name: str, **fields) -> Architecture:
    """An architecture of that name with small layers."""
    architecture = ARCHITECTURES[name]
    widths = NARROW if architecture.kind == "dcgan" else {"generator_widths": (16,), "discriminator_widths": (16,)}
    return replace(architecture, **widths, **fields)


@pytest.fixture(autouse=True)
def _few_statistics(monkeypatch):
    """Batch norm's statistics from a few samples, except where a test is about them."""
    monkeypatch.setattr("ganlib.training.STATISTICS", 256)


def take(architecture, data, config, steps=None, **options):
    """The last step of a run, or its step number `steps`."""
    run = train(architecture, data, config, **options)
    for step in run:
        if step.number == steps:
            break
    run.close()
    return step


def same(a: nn.Module, b: nn.Module) -> bool:
    """Whether two networks have the same weights and buffers."""
    theirs = b.state_dict()
    return all(torch.equal(value, theirs[key]) for key, value in a.state_dict().items())


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_steps(name, digits):
    recipe = RECIPES[name]
    toys = {"gaussian": Gaussian(), "sine": Sine(), "ring": RING, "grid": GRID, "stacked-mnist": StackedDigits(digits)}
    data = toys.get(recipe.data, digits)
    # many CPUs emulate bfloat16, which takes long
    run = train(recipe.build(), data, replace(recipe.train, batch_size=4, bfloat16=False))
    before = None
    for number in (1, 2):
        step = next(run)
        assert step.number == number
        assert len(step.losses) > 1
        assert all(loss.isfinite() for loss in step.losses.values())
        weights = torch.cat([p.flatten() for p in step.generator.parameters()])
        assert before is None or not torch.equal(before, weights)
        before = weights.clone()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalties", [{}, {"r1": 1.0, "r2": 0.5}, {"wgan-gp": 10.0}, {"0-gp": 1.0, "r1": 1.0}],
                         ids="+".join)
def test_every_loss_trains_with_and_without_penalties(loss, penalties):
    step = take(TOY, Gaussian(), replace(SMALL, loss=loss, penalties=penalties))
    assert step.number == 4
    assert (step.penalty > 0) == bool(penalties)
    assert all(row.keys() - {"penalty"} == {"step", "discriminator_loss", "generator_loss"}
               and ("penalty" in row) == bool(penalties) for row in step.state.history)


def one_step(config: TrainConfig, seed: int = 0) -> tuple[State, torch.Tensor, torch.Tensor]:
    """A fresh state, real samples and latents."""
    state = State.fresh(TOY, config)
    return state, 3 + 2 * noise(seed, 16, 1), noise(seed + 1, 16, TOY.latent_dim)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_is_gamma_times_that_of_autograd_by_hand(name):
    """And the discriminator's loss is what it is without penalties."""
    state, real, z = one_step(replace(SMALL, penalties={name: 3.0}))
    loss, penalty = discriminator_loss(state, LOSSES["non-saturating"], real, z, None)
    fake = state.generator(z).detach()
    state.rng.manual_seed(split_seed(SMALL.seed)[1])
    share = torch.rand(16, 1, generator=state.rng)
    x = {"r1": real, "r2": fake}.get(name, share * real + (1 - share) * fake).requires_grad_()
    norms = torch.stack([torch.autograd.grad(state.discriminator(one[None]).squeeze(), one, retain_graph=True)[0].norm()
                         for one in x.unbind()])
    value = {"wgan-gp": (norms - 1)**2, "0-gp": norms**2}.get(name, norms**2 / 2)
    torch.testing.assert_close(penalty, 3 * value.mean())
    with torch.no_grad():
        without = LOSSES["non-saturating"].discriminator(state.discriminator(real), state.discriminator(fake))
    torch.testing.assert_close(loss, without)


def test_penalties_add_up():
    def penalty(**penalties):
        state, real, z = one_step(replace(SMALL, penalties=penalties))
        return discriminator_loss(state, LOSSES["relativistic"], real, z, None)[1].item()

    assert penalty(r1=1.0, r2=2.0) == pytest.approx(penalty(r1=1.0) + 2 * penalty(r2=1.0))


def test_recorded_losses_of_the_discriminator_exclude_penalties():
    config = replace(SMALL, steps=1)
    without, with_one = (take(TOY, Gaussian(), replace(config, penalties=penalties)).state.history[0]
                         for penalties in ({}, {"r1": 100.0}))
    assert with_one["discriminator_loss"] == without["discriminator_loss"]
    assert "penalty" not in without
    assert with_one["penalty"] > 0


def test_the_penalties_fall_geometrically_to_their_share_at_the_end():
    def penalty(step, **changes):
        config = replace(TrainConfig(steps=100, batch_size=16, penalties={"r1": 2.0, "r2": 1.0}, final_penalty=0.01),
                         **changes)
        state, real, z = one_step(config)
        state.step = step
        return discriminator_loss(state, LOSSES[config.loss], real, z, None)[1].item()

    start = penalty(0)
    assert penalty(50) == pytest.approx(0.1 * start, rel=1e-3)
    assert penalty(100) == pytest.approx(0.01 * start, rel=1e-3)
    assert penalty(100, final_penalty=1.0) == pytest.approx(start)


def test_n_critic_is_how_many_steps_the_discriminator_takes_for_one_of_the_generator():
    config = replace(SMALL, n_critic=3)
    state, taken = State.fresh(TOY, config), []
    for name, optimizer in (("d", state.discriminator_optimizer), ("g", state.generator_optimizer)):
        optimizer.register_step_post_hook(lambda *_, name=name: taken.append(name))
    assert take(TOY, Gaussian(), config, state=state).number == 4
    assert "".join(taken) == "dddg" * 4


def test_a_discriminators_step_leaves_the_generator_alone_and_the_other_way_round():
    state = State.fresh(TOY, replace(SMALL, n_critic=2))
    seen = []
    for optimizer, other in ((state.discriminator_optimizer, state.generator),
                             (state.generator_optimizer, state.discriminator)):
        weight = next(other.parameters())
        optimizer.register_step_pre_hook(lambda *_, weight=weight: seen.append(weight.clone()))
        optimizer.register_step_post_hook(lambda *_, weight=weight: seen.append(weight.clone()))
    take(TOY, Gaussian(), state.config, steps=1, state=state)
    assert len(seen) == 6
    assert all(torch.equal(before, after) for before, after in zip(seen[::2], seen[1::2]))


def test_training_improves_a_toy():
    config = replace(RECIPES["toy-gaussian"].train, steps=300, batch_size=256)
    z = noise(1, 4_000, TOY.latent_dim)

    def distance(generator):
        with torch.no_grad():
            return (generator(z).flatten().sort().values - Gaussian().quantiles(4_000).flatten()).abs().mean().item()

    start = distance(State.fresh(TOY, config).average)
    assert distance(take(TOY, Gaussian(), config).generator) < start / 3


def test_decay_rates_without_momentum_train():
    config = replace(RECIPES["toy-ring"].train, steps=30, batch_size=64, betas=(0, 0.99))
    step = take(ARCHITECTURES["toy-ring"], RING, config)
    fresh = State.fresh(ARCHITECTURES["toy-ring"], config)
    assert step.generator_loss.isfinite()
    for a, b in zip(step.state.generator.parameters(), fresh.generator.parameters()):
        assert not torch.equal(a, b)


def initial(architecture: Architecture, seed: int) -> list[nn.Module]:
    """The networks that a run's seed names."""
    return list(build(architecture, torch.Generator().manual_seed(split_seed(seed)[0])))


def test_trainings_in_several_threads_have_the_weights_that_their_seeds_name():
    names = ["toy-gaussian", "mlp-gan-classic", "dcgan"] * 4
    expected = [initial(ARCHITECTURES[name], seed) for seed, name in enumerate(names)]
    before, together = torch.get_rng_state(), threading.Barrier(4)

    def begin(seed: int) -> State:
        together.wait(60)
        return State.fresh(ARCHITECTURES[names[seed]], replace(SMALL, seed=seed))

    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(begin, range(12)))
    assert torch.equal(before, torch.get_rng_state())
    for state, (generator, discriminator) in zip(states, expected):
        assert same(state.generator, generator)
        assert same(state.average, generator)
        assert same(state.discriminator, discriminator)


def test_trainings_in_several_threads_go_as_each_of_them_alone():
    architecture = replace(TOY, dropout=0.3)
    configs = [replace(SMALL, seed=seed, penalties={"wgan-gp": 1.0}) for seed in range(4)]
    alone = [take(architecture, Gaussian(), config) for config in configs]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda config: take(architecture, Gaussian(), config), configs))
    assert torch.equal(before, torch.get_rng_state())
    assert all(same(a.generator, b.generator) for a, b in zip(alone, together))
    assert not same(alone[0].generator, alone[1].generator)


def test_a_training_does_not_depend_on_what_the_process_has_set(digits):
    def run():
        return [take(narrow("mlp-gan-classic"), digits, SMALL), take(TOY, Gaussian(), SMALL)]

    expected, before = run(), torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            found = run()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(expected, found):
        assert same(a.generator, b.generator)
        assert a.state.history == b.state.history


def test_bfloat16_changes_what_the_networks_compute_and_not_the_type_of_their_weights(digits):
    config = replace(SMALL, bfloat16=True, penalties={"r1": 1.0})
    step = take(narrow("dcgan"), digits, config)
    assert step.discriminator_loss.isfinite()
    assert all(p.dtype == torch.float32 for p in step.state.discriminator.parameters())
    assert not same(step.generator, take(narrow("dcgan"), digits, replace(config, bfloat16=False)).generator)


@pytest.mark.parametrize(("name", "changes"), [
    ("dcgan", {"bfloat16": True}),
    ("cdcgan", {"n_critic": 2}),
    ("mlp-gan-classic", {}),  # dropout draws too
    ("toy-gaussian", {"n_critic": 2, "loss": "wasserstein", "penalties": {"wgan-gp": 10.0}, "betas": (0, 0.9)}),
], ids=["dcgan", "n_critic", "dropout", "wgan-gp"])
def test_a_saved_run_goes_on_bit_for_bit(name, changes, digits, tmp_path):
    """To its very end, and with whatever the process drew in between."""
    recipe = RECIPES[name]
    architecture = narrow(name)
    data = Gaussian() if recipe.data == "gaussian" else digits
    config = replace(recipe.train, steps=6, batch_size=16, **{"bfloat16": False, **changes})
    whole = take(architecture, data, config)
    path = tmp_path / "state.safetensors"
    take(architecture, data, config, steps=4).state.save(path, {"name": name})
    assert saved_run(path) == {"name": name}
    state = State.fresh(architecture, config)
    state.load(path)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(99)
        resumed = take(architecture, data, config, state=state)
    assert len(whole.state.history) == 6
    assert resumed.state.history == whole.state.history
    assert same(resumed.generator, whole.generator)
    assert same(resumed.state.generator, whole.state.generator)
    assert same(resumed.state.discriminator, whole.state.discriminator)


def test_a_run_that_stops_between_two_rows_of_its_history_keeps_its_losses(tmp_path):
    config = TrainConfig(steps=1_200, batch_size=2)  # a row every three steps
    whole = take(TOY, Gaussian(), config, steps=6)
    path = tmp_path / "state.safetensors"
    take(TOY, Gaussian(), config, steps=4).state.save(path, {})
    state = State.fresh(TOY, config)
    state.load(path)
    assert take(TOY, Gaussian(), config, steps=6, state=state).state.history == whole.state.history
    assert [row["step"] for row in whole.state.history] == [3, 6]


@pytest.mark.parametrize("name", ["toy-gaussian", "cdcgan"])
def test_a_checkpoint_grows_by_no_more_than_is_foreseen(name, digits, tmp_path):
    architecture, data = (TOY, Gaussian()) if name == "toy-gaussian" else (narrow(name), digits)
    config = replace(SMALL, steps=799 if name == "toy-gaussian" else 4)  # 799 have the longest history
    state = State.fresh(architecture, config)
    state.save(tmp_path / "first", {})
    first, to_come = (tmp_path / "first").stat().st_size, state.to_come
    for step in train(architecture, data, config, state=state):
        if step.number == config.steps - 1:
            state.save(tmp_path / "last", {})
    assert 2 * first < (tmp_path / "last").stat().st_size <= first + to_come


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
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
    config = TrainConfig(steps=50, batch_size=8, loss="least-squares", generator_lr=1e20, discriminator_lr=1e20)
    with pytest.raises(NonFiniteLoss, match=r"no longer finite at step \d+ .*lower the learning rates"):
        take(ARCHITECTURES["toy-sine"], Sine(), config)
    state = State.fresh(ARCHITECTURES["toy-sine"], SMALL)
    next(state.average.parameters())[0] = torch.nan
    with pytest.raises(NonFiniteLoss):
        state.save(tmp_path / "state.safetensors", {})
    assert list(tmp_path.iterdir()) == []


def test_the_history_covers_the_run_and_is_short(monkeypatch):
    monkeypatch.setattr("ganlib.training.HISTORY_ROWS", 4)
    history = take(TOY, Gaussian(), TrainConfig(steps=22, batch_size=2)).state.history
    assert [row["step"] for row in history] == [5, 10, 15, 20, 22]


def test_a_state_goes_on_under_its_own_configuration_only():
    state = State.fresh(TOY, SMALL)
    with pytest.raises(ValueError, match="another configuration"):
        next(train(TOY, Gaussian(), replace(SMALL, penalties={"r1": 50.0}), state=state))


def test_data_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"take samples of shape \(2,\), the data's are \(1,\)"):
        next(train(ARCHITECTURES["toy-sine"], Gaussian(), SMALL))


def test_a_network_with_classes_needs_data_with_as_many(digits):
    few = ImageData("few", digits.images, digits.labels % 7, 7)
    with pytest.raises(ValueError, match="take 10 classes, the data have 7"):
        next(train(ARCHITECTURES["cdcgan"], few, SMALL))
    assert take(narrow("cdcgan"), digits, replace(SMALL, steps=1)).number == 1


@pytest.mark.parametrize(("field", "value"), [
    ("steps", 0), ("steps", 1.5), ("batch_size", -1), ("n_critic", 0), ("n_critic", True), ("seed", -1),
    ("loss", "vanilla"), ("loss", ["hinge"]), ("generator_lr", 0), ("discriminator_lr", float("nan")), ("final_lr", 2),
    ("final_penalty", 0), ("final_penalty", 1.5), ("ema", 1.5), ("betas", (0.5,)), ("betas", 0.5),
    ("penalties", {"r3": 1.0}), ("penalties", ["r1"]),
])
def test_a_bad_configuration_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must be"):
        replace(SMALL, **{field: value})


@pytest.mark.parametrize("changes", [{"betas": (0, 1)}, {"betas": (0, "0.9")}, {"penalties": {"r1": -1}},
                                     {"penalties": {"r1": float("inf")}}])
def test_a_bad_number_within_a_field_is_refused(changes):
    with pytest.raises(ValueError, match=r"each of betas must be|the penalty r1 must be"):
        replace(SMALL, **changes)


def test_numbers_of_numpy_and_torch_configure_a_run():
    found = TrainConfig(steps=numpy.int64(4), batch_size=torch.tensor(8), generator_lr=numpy.float64(2e-4),
                        betas=[numpy.float64(0.5), torch.tensor(0.999, dtype=torch.double)], penalties={"r1": 1})
    assert found == replace(SMALL, penalties={"r1": 1.0})


def test_a_configuration_is_rebuilt_and_a_field_that_came_later_has_its_default():
    config = replace(SMALL, penalties={"wgan-gp": 10.0}, n_critic=5, betas=(0, 0.9))
    assert TrainConfig.rebuild(asdict(config)) == config
    assert TrainConfig.rebuild({"steps": 4, "batch_size": 8}) == SMALL


@pytest.mark.parametrize(("values", "sentence"), [
    ({"steps": 4, "batch_size": 8, "warmup": 3}, "a training has no field 'warmup'"),
    ({"steps": 4}, "a training lacks the field 'batch_size'"), ([], "table of fields"), (None, "table of fields"),
    ({"steps": "4", "batch_size": 8}, "steps must be a whole number"),
])
def test_a_foreign_configuration_is_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        TrainConfig.rebuild(values)


def test_the_average_follows_the_weights_and_copies_the_buffers():
    network, average = nn.BatchNorm1d(3), nn.BatchNorm1d(3).requires_grad_(False)
    nn.init.constant_(network.weight, 11.0)
    network.running_mean.fill_(5.0)
    network.num_batches_tracked.fill_(9)
    update_average(average, network, 0.9)
    torch.testing.assert_close(average.weight, torch.full((3,), 2.0))  # 0.9 · 1 + 0.1 · 11
    assert torch.equal(average.running_mean, network.running_mean)
    assert average.num_batches_tracked == 9


def test_batch_norms_statistics_at_the_end_are_those_of_the_averaged_weights(digits, monkeypatch):
    """Measured on a fresh batch as large as that they were computed from, at each batch norm's input."""
    monkeypatch.setattr("ganlib.training.STATISTICS", 8_192)
    architecture = narrow("dcgan")
    config = TrainConfig(steps=30, batch_size=32, generator_lr=3e-3, discriminator_lr=3e-3, ema=0.95)
    final = take(architecture, digits, config)
    norms = [module for module in final.generator.modules() if isinstance(module, nn.BatchNorm2d)]
    inputs = []
    for norm in norms:
        norm.register_forward_pre_hook(lambda module, args: inputs.append(args[0].detach()))
    assert not final.generator.training
    final.generator(noise(1, 8_192, 100))
    live = [module for module in final.state.generator.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm, of_live, x in zip(norms, live, inputs):
        mean, std = x.mean((0, 2, 3)), x.std((0, 2, 3))
        error = ((norm.running_mean - mean) / std).abs().max()
        assert error < 0.05
        assert (norm.running_var.sqrt() / std - 1).abs().max() < 0.05
        assert error < ((of_live.running_mean - mean) / std).abs().max()


def test_an_architecture_without_a_discriminator_is_not_trained():
    class Alone:
        kind = "alone"

        def generator(self):
            return nn.Linear(2, 2)

        def discriminator(self):
            return None

    with pytest.raises(ValueError, match="alone has no discriminator to train against"):
        State.fresh(Alone(), SMALL)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_on_the_gpu_moves_the_data_itself(digits):
    config = replace(RECIPES["dcgan"].train, steps=3, batch_size=8)
    step = take(ARCHITECTURES["dcgan"], digits, config, device="cuda")
    assert step.state.history[-1]["step"] == 3
    assert next(step.generator.parameters()).is_cuda
