import json

import pytest
import torch
from torch import nn

from ganlib.data import ImageData
from ganlib.training import train
from tests.conftest import MNIST_ROOT, needs_mnist
from train import ablation


@pytest.mark.parametrize("name", ablation.VARIANTS)
def test_every_variant_trains(name, digits):
    architecture, config = ablation.build(ablation.VARIANTS[name], 2, 0, False)
    *_, step = train(architecture, ImageData("few", digits.images[:100], digits.labels[:100], 10), config)
    assert step.number == 2
    assert step.discriminator_loss.isfinite()


def kinds(name: str) -> tuple[set[type], set[type]]:
    architecture, _ = ablation.build(ablation.VARIANTS[name], 2, 0, False)
    return tuple({type(module) for module in network.modules()}
                 for network in (architecture.generator(), architecture.discriminator()))


def test_variants_are_what_they_are_called():
    generator, discriminator = kinds("the recipe")
    assert nn.BatchNorm2d in generator
    assert ablation.HalvesNorm not in discriminator
    assert nn.BatchNorm2d not in kinds("no batch norm in G")[0]
    assert ablation.HalvesNorm in kinds("non-saturating, batch norm in D, β₁ 0.5, no penalty")[1]
    architecture, _ = ablation.build(ablation.VARIANTS["hinge, spectral norm in D, no penalty"], 2, 0, False)
    discriminator = architecture.discriminator()
    for _ in range(30):  # each pass takes a step of its power iteration
        discriminator(torch.randn(4, 1, 28, 28))
    assert torch.linalg.matrix_norm(discriminator.head.weight, 2).item() == pytest.approx(1, abs=0.05)


def test_real_samples_and_fakes_are_normed_apart():
    norm = ablation.HalvesNorm(3)
    x = torch.randn(2 * ablation.BATCH, 3, 4, 4)
    x[ablation.BATCH:] += 5
    y = norm(x)
    for half in y.chunk(2):
        torch.testing.assert_close(half.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)


def test_the_table_ranks_by_fid_and_states_its_budget():
    def row(fid):
        return {"fid_digit_classifier": fid, "precision": 0.9, "recall": 0.8}

    lines = ablation.table({"a": [row(4.0), row(6.0)], "b": [row(1.0), row(1.2)], "c": [{}, {}]}, 2.0, 500)
    assert lines[2] == "| b | 0.55 (0.5 to 0.6) | 0.900 | 0.800 |"
    assert lines[3].startswith("| a | 2.5 (2 to 3) |")
    assert lines[4].startswith("| c | did not stay finite")
    assert lines[-1].startswith("500 steps of 64 each, 2 seeds")


@needs_mnist
def test_the_command_keeps_what_it_has_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ablation, "SAMPLES", 300)
    out = tmp_path / "runs" / "ablation.json"
    options = ["--steps", "2", "--seeds", "1", "--data", MNIST_ROOT, "--out", str(out), "--device", "cpu", "--only"]
    assert ablation.main([*options, "the recipe"]) == 0
    first = json.loads(out.read_text())
    assert ablation.main([*options, "the recipe", "R1 alone"]) == 0
    assert json.loads(out.read_text())["2 steps"]["the recipe"] == first["2 steps"]["the recipe"]
    assert "| R1 alone | " in capsys.readouterr().out
    assert ablation.main(["--steps", "0"]) == 1
    assert "must be at least 1" in capsys.readouterr().err
