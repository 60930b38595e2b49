"""The ablation of the dcgan recipe: its variants, its table, and what it keeps."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from ganlib.architectures import build
from ganlib.data import ImageData
from ganlib.training import train
from train import ablation


@pytest.fixture(autouse=True)
def _few_statistics(monkeypatch):
    monkeypatch.setattr("ganlib.training.STATISTICS", 16)


@pytest.mark.parametrize("name", ablation.VARIANTS)
def test_every_variant_trains(name, digits):
    architecture, config = ablation.build(name, 2, 0, False)
    few = ImageData("few", digits.images[:100], digits.labels[:100], 10)
    *_, step = train(architecture, few, replace(config, batch_size=16))
    assert step.number == 2
    assert step.discriminator_loss.isfinite()


def kinds(name: str) -> tuple[set[type], set[type]]:
    architecture, _ = ablation.build(name, 2, 0, False)
    return tuple({type(module) for module in network.modules()} for network in build(architecture, None))


def test_variants_are_what_they_are_called():
    generator, discriminator = kinds("the recipe")
    assert nn.BatchNorm2d in generator
    assert ablation.HalvesNorm not in discriminator
    assert nn.BatchNorm2d not in kinds("no batch norm in G")[0]
    assert ablation.HalvesNorm in kinds("plain latents, non-saturating, batch norm in D, β₁ 0.5, no penalty")[1]
    architecture, _ = ablation.build("plain latents, hinge, spectral norm in D, no penalty", 2, 0, False)
    _, discriminator = build(architecture, torch.Generator().manual_seed(0))
    for _ in range(30):  # each pass takes a step of its power iteration
        discriminator(torch.zeros(2, 1, 28, 28))
    assert torch.linalg.matrix_norm(discriminator.head.weight, 2).item() == pytest.approx(1, abs=0.05)


def test_real_samples_and_fakes_are_normed_apart():
    x = torch.randn(32, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    x[16:] += 5
    for half in ablation.HalvesNorm(3)(x).chunk(2):
        torch.testing.assert_close(half.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)


def test_the_table_ranks_by_fid_and_states_its_budget():
    def row(fid):
        return {"fid_digit_classifier": fid, "precision": 0.9, "recall": 0.8}

    results = {"a": [row(4.0), row(6.0)], "d": [row(0.2), {}], "b": [row(1.0), row(1.2)], "c": [{}, {}]}
    lines = ablation.table(results, 2.0, 500)
    assert lines[2] == "| b | 0.55 (0.5 to 0.6) | 0.900 | 0.800 |"
    assert lines[3].startswith("| a | 2.5 (2 to 3) |")
    assert lines[4] == "| d | 0.1 (0.1 to 0.1); 1 of 2 did not stay finite | 0.900 | 0.800 |"
    assert lines[5].startswith("| c | 2 of 2 did not stay finite")
    assert lines[-1].startswith("500 steps of 128 each, 2 seeds")


@pytest.mark.slow
def test_the_command_keeps_what_it_has_run(digits, tmp_path, capsys, monkeypatch):
    few = replace(digits[:400], held_out=lambda: digits[400:600])
    monkeypatch.setattr(ablation, "open_data", lambda name, where: few)
    monkeypatch.setattr(ablation, "SAMPLES", 100)
    out = tmp_path / "runs" / "ablation.json"
    options = ["--steps", "2", "--seeds", "1", "--out", str(out), "--device", "cpu", "--only"]
    assert ablation.main([*options, "the recipe"]) == 0
    (first,) = json.loads(out.read_text())
    first["measures"]["precision"] = 0.123456  # which no run gives
    out.write_text(json.dumps([first]))
    capsys.readouterr()
    assert ablation.main([*options, "the recipe", "R1 alone"]) == 0
    assert [entry["title"] for entry in json.loads(out.read_text())] == ["the recipe", "R1 alone"]
    shown = capsys.readouterr().out
    assert "| 0.123 |" in shown
    assert "| R1 alone | " in shown
    monkeypatch.setattr(ablation, "SAMPLES", 90)  # another measure: what was saved is not it
    assert ablation.main([*options, "the recipe"]) == 0
    assert "| 0.123 |" not in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--steps", "0"], "must be at least 1"),
    (["--data", "sine"], "sine"),
    (["--device", "tpu"], "--device must be auto"),
])
def test_bad_options_get_one_sentence(arguments, sentence, capsys, tmp_path):
    assert ablation.main([*arguments, "--out", str(tmp_path / "out.json")]) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
