"""The parts of the speedrun: its clock, its files and tables, and the loops that ganlib is compared with."""

import json
from itertools import islice

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ganlib.networks import count_parameters
from ganlib.recipes import RECIPES
from tests.benchmarks import contestants, time_to_quality
from tests.benchmarks.contestants import RECIPE, SCRIPTS, TIERS, moments, ours, run
from tests.benchmarks.time_to_quality import Entry, against, best, kept, passed, record
from tests.conftest import needs_mnist

TIER = TIERS[3]


def of(*curve: tuple[float, float]) -> dict:
    return {"curve": [list(point) for point in curve], "commit": "abc", "device": "cpu"}


def test_moments_grow_by_a_factor_and_stay_within_the_run():
    assert moments(20) == [10, 12.5, 15.625, 19.53125]
    assert moments(5) == [10]


def test_a_run_keeps_its_generator_at_moments_and_at_its_end(tmp_path, monkeypatch):
    seconds = iter(range(100, 200))
    monkeypatch.setattr(contestants.time, "monotonic", lambda: next(seconds))
    layer = nn.Linear(1, 1, bias=False)

    def generators():
        for number in range(30):
            nn.init.constant_(layer.weight, number)
            yield layer, number == 29

    run(generators(), 100, 20, tmp_path)
    clock = json.loads((tmp_path / "clock.json").read_text(encoding="utf-8"))
    times, weights = list(clock.values()), [load_file(tmp_path / name)["weight"].item() for name in clock]
    assert times == sorted(times)
    assert times[0] >= 10
    assert weights == sorted(set(weights))
    assert weights[-1] == 29


def test_best_and_passed_are_read_from_the_curve():
    curve = of((10, 300), (20, 5), (30, 8))
    assert best(curve) == (20, 5)
    assert passed(curve, 8) == 20
    assert passed(curve, 4) is None


def test_a_record_is_the_mean_of_the_ends_and_names_its_commit():
    good = record(TIER, [of((10, 100), (170, 3)), of((10, 100), (180, 4))])
    assert "| 175 s | 3.5 (3, 4) | reached | abc |" in good
    assert "missed" in record(TIER, [of((170, 4.2))])  # not good enough
    assert "missed" in record(TIER, [of((190, 3))])  # too late


def test_a_script_is_passed_where_ganlib_is_at_least_as_good_as_its_best():
    row = against("gan", of((100, 50), (1000, 20), (1800, 25)), [of((100, 30), (150, 10)), of((250, 19))])
    assert "| 20 | 1000 s | 200 s | 0.20 | reached |" in row
    assert "missed" in against("gan", of((900, 20)), [of((200, 19))])
    assert "never" in against("gan", of((900, 1)), [of((200, 19))])


def test_a_run_is_kept_for_its_commit(tmp_path, monkeypatch):
    done = []
    whole, short = of((1, 2), (2, 1)), of((2, 1))
    monkeypatch.setattr(time_to_quality, "judged",
                        lambda entry, device, judge, all: done.append(entry) or (whole if all else short))
    monkeypatch.setattr(time_to_quality, "commit", lambda: "abc")
    entry = Entry(RECIPE, 0, 180, 5)
    assert kept(entry, "cpu", None, tmp_path, False) == kept(entry, "cpu", None, tmp_path, False) == short
    assert len(done) == 1
    # its curve is wanted too
    assert kept(entry, "cpu", None, tmp_path) == kept(entry, "cpu", None, tmp_path, False) == whole
    assert len(done) == 2
    kept(Entry(RECIPE, 1, 180, 5), "cpu", None, tmp_path)
    assert len(done) == 3
    monkeypatch.setattr(time_to_quality, "commit", lambda: "def")
    kept(entry, "cpu", None, tmp_path)
    assert len(done) == 4


def test_tiers_are_runs_of_the_recipe():
    assert any(not tier.option for tier in TIERS.values()), "one tier is the recipe as it is"
    for tier in TIERS.values():
        architecture, config = ours(tier.steps, 4)
        assert architecture == RECIPES[RECIPE].build()
        assert (config.steps, config.seed, config.bfloat16) == (tier.steps, 4, False)


@pytest.mark.parametrize(("name", "generator", "discriminator"), [
    # as the scripts' own networks have, by their layers
    ("tutorial", 100 * 128 * 49 + 2 * 128 + 128 * 64 * 16 + 2 * 64 + 64 * 16,
     64 * 16 + 64 * 128 * 16 + 2 * 128 + 128 * 49),
    ("gan", 1_510_032, 533_505),
    ("dcgan", 101 * 8192 + 256 + 9 * 128 * 128 + 128 + 256 + 9 * 128 * 64 + 64 + 128 + 9 * 64 + 1,
     160 + 9 * 16 * 32 + 32 + 64 + 9 * 32 * 64 + 64 + 128 + 9 * 64 * 128 + 128 + 256 + 513)])
def test_the_networks_of_scripts(name, generator, discriminator):
    script = SCRIPTS[name]
    networks = script.networks()
    assert tuple(map(count_parameters, networks)) == (generator, discriminator)
    x = networks[0](torch.randn(2, script.latent_dim))
    assert x.shape == (2, 1, script.side, script.side)
    assert networks[1](x).shape == (2, 1)
    assert script.samples(networks[0].state_dict(), 3, 0).shape == (3, 1, 28, 28)


@needs_mnist
@pytest.mark.slow
def test_a_script_trains():
    weights = [generator.state_dict()["0.weight"].clone()
               for generator in islice(SCRIPTS["gan"].train(0), 3)]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
