import json

import pytest

from train import repeat


def test_a_recipe_is_run_with_several_seeds_and_its_spread_shown(tmp_path, capsys):
    out = tmp_path / "runs.json"
    assert repeat.main(["toy-gaussian", "--runs", "3", "--steps", "20", "--device", "cpu", "--out", str(out)]) == 0
    runs = json.loads(out.read_text())
    distances = sorted(run["wasserstein_1"] for run in runs)
    assert len(set(distances)) == 3
    shown = capsys.readouterr().out
    assert f"| Wasserstein-1 distance | {distances[2]:.3f} | {distances[1]:.3f} | {distances[0]:.3f} |" in shown
    assert "3 runs, 100,000 samples each." in shown


def test_worst_and_best_know_which_way_is_up():
    runs = [{"samples": 10, "centres": 8, "modes": modes, "reverse_kl": kl} for modes, kl in ((8, 0.3), (6, 0.1))]
    table = repeat.spread(runs)
    assert "| modes with a sample, of 8 | 6 | 7 | 8 |" in table
    assert "| reverse KL from equal shares of the modes, nats | 0.3 | 0.2 | 0.1 |" in table


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["toy-sine", "--runs", "0"], "--runs must be at least 1"),
    (["toy-sine", "--steps", "0"], "steps must be a whole number from 1"),
    (["dcgan", "--data", "sine"], "the networks take samples of shape"),
    (["toy-sine", "--device", "tpu"], "--device must be auto"),
    (["dcgan", "--data", "nowhere"], "no folder 'nowhere'"),
])
def test_bad_options_get_one_sentence(arguments, sentence, capsys):
    assert repeat.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("train.repeat: ")
    assert sentence in error
    assert error.count("\n") == 1
