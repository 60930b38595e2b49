"""Generated images beside few real ones: what the classifiers learn from, what is compared, and what is kept."""

import json
from dataclasses import replace

import pytest
import torch

from ganlib.data import ImageData
from ganlib.images import to_uint8
from tests.conftest import untrained
from train import augment

SMALL = replace(augment.NETWORKS, generator_channels=(8, 4, 4), discriminator_channels=(4, 4, 4), mapping=(8,),
                features=8)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr("ganlib.training.STATISTICS", 16)
    monkeypatch.setattr(augment, "NETWORKS", SMALL)


def numbered(name: str, count: int, **fields) -> ImageData:
    """`count` images of 28×28 of each of three classes, in which the first pixels hold the image's number."""
    pixels = torch.zeros(3 * count, 1, 28, 28, dtype=torch.uint8)
    pixels[:, 0, 0, 0] = torch.arange(3 * count)
    return ImageData(name, pixels, torch.arange(3 * count) // count, 3, ("x", "y", "z"), **fields)


def numbers(data: ImageData) -> list[int]:
    return data.images[:, 0, 0, 0].tolist()


@pytest.fixture
def folder() -> ImageData:
    return numbered("photos", 20, folder=True)


@pytest.fixture
def dataset() -> ImageData:
    return numbered("drawn", 20, held_out=lambda: numbered("drawn", 5))


def plan(**fields) -> augment.Plan:
    values = {"steps": 2, "batch_size": 4, "classifier_steps": 2, "generated": 2, "seed": 0, "device": "cpu"}
    return augment.Plan.of(**values | fields)


def test_the_same_number_of_each_class_is_chosen_by_the_seed(dataset):
    few, _ = augment.choose(dataset, 4, 8, seed=0)
    assert few.labels.tolist() == [0, 1, 2] * 4
    assert [number // 20 for number in numbers(few)] == few.labels.tolist()
    assert len(set(numbers(few))) == 12
    assert numbers(augment.choose(dataset, 4, 8, seed=0)[0]) == numbers(few)
    assert numbers(augment.choose(dataset, 4, 8, seed=1)[0]) != numbers(few)
    more, _ = augment.choose(dataset, 8, 8, seed=0)
    assert set(numbers(few)) < set(numbers(more))


def test_what_a_classifier_is_tested_on_was_not_chosen(folder, dataset):
    assert len(augment.choose(dataset, 4, 8, seed=0)[1]) == 15
    largest, test = augment.choose(folder, 8, 8, seed=0)
    assert sorted(numbers(largest) + numbers(test)) == list(range(60))
    assert numbers(augment.choose(folder, 2, 8, seed=0)[1]) == numbers(test)  # the same for every number


def test_half_of_a_mixture_is_real_and_its_classes_are_equally_frequent(dataset):
    few, _ = augment.choose(dataset, 4, 8, seed=0)
    generated = replace(few, images=torch.full((30, 1, 28, 28), 255, dtype=torch.uint8),
                        labels=torch.arange(30) % 3)
    mixed = augment.mix(few, generated)
    assert sum(number == 255 for number in numbers(mixed)) == 30
    assert torch.bincount(mixed.labels).tolist() == [20, 20, 20]
    real = torch.bincount(mixed.images[:30, 0, 0, 0].long(), minlength=60)[numbers(few)]
    assert sorted(real.tolist()) == [2] * 6 + [3] * 6
    assert all(number == 255 or number // 20 == label for number, label in zip(numbers(mixed), mixed.labels.tolist()))


def test_generated_images_are_the_models_as_a_file_holds_them(dataset, monkeypatch):
    monkeypatch.setattr(augment, "BLOCK", 8)
    model = untrained("cdcgan", num_classes=3, generator_channels=(8, 4, 4), discriminator_channels=(4, 4, 4))
    generated = augment.generate(model, 5, dataset)
    assert generated.labels.tolist() == [0, 1, 2] * 5
    assert generated.shape == dataset.shape
    expected = to_uint8(model.draw(8, augment.SEED, generated.labels[:8]))
    assert torch.equal(generated.images[:8], expected)
    assert len(torch.unique(generated.images, dim=0)) == 15


def test_the_gan_sees_the_few_images_alone_with_augmentation():
    config = plan().gan
    assert config.augment == ("translation", "cutout", "colour")
    assert config.loss == "relativistic"


def test_classifiers_differ_in_their_images_alone(dataset, monkeypatch):
    few, test = augment.choose(dataset, 4, 8, seed=0)
    seen, trained = [], []
    train_in_memory = augment.train_in_memory

    def accuracy(learnt, *arguments):
        seen.append((learnt, *arguments[:2]))
        return 0.5

    def spied(name, architecture, config, data, device):
        trained.append((config, data))
        return train_in_memory(name, architecture, config, data, device)

    monkeypatch.setattr(augment, "accuracy", accuracy)
    monkeypatch.setattr(augment, "train_in_memory", spied)
    planned = plan()
    assert augment.compare(few, test, planned, "cpu", "few").keys() == augment.ARMS.keys()
    ((config, data),) = trained
    assert config is planned.gan
    assert data is few
    assert [len(learnt) for learnt, *_ in seen] == [12, 12, 6]
    assert seen[0][0] is few
    assert all(rest == [test, planned.classifier] for _, *rest in seen)


def test_without_a_gan_the_real_images_alone_are_learnt(dataset, monkeypatch):
    monkeypatch.setattr(augment, "train_in_memory", lambda *arguments: None)
    monkeypatch.setattr(augment, "accuracy", lambda *arguments: 0.5)
    few, test = augment.choose(dataset, 4, 8, seed=0)
    assert augment.compare(few, test, plan(), "cpu", "few") == {"real": 0.5}


def test_the_command_keeps_what_it_has_run(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(augment, "open_data", lambda name, where, shape: dataset)
    out = tmp_path / "runs" / "augment.json"
    options = ["--steps", "2", "--classifier-steps", "2", "--batch-size", "4", "--generated", "2", "--device", "cpu",
               "--out", str(out), "--seeds"]
    assert augment.main([*options, "1", "-n", "6", "2"]) == 0
    kept = json.loads(out.read_text())
    assert [entry["title"] for entry in kept] == ["2 images a class, seed 0", "6 images a class, seed 0"]
    kept[0]["measures"] = {"real": 0.5, "real_and_generated": 0.625, "generated": 0.25}  # which no run gives
    out.write_text(json.dumps(kept))
    capsys.readouterr()
    assert augment.main([*options, "2", "-n", "2"]) == 0  # the test is a part held out, so another -n changes nothing
    kept = json.loads(out.read_text())
    assert [entry["title"] for entry in kept[2:]] == ["2 images a class, seed 1"]
    other = kept[2]["measures"]
    low, high = sorted((0.5, other["real"]))
    shown = capsys.readouterr().out
    assert f"| 2 | {100 * (low + high) / 2:.1f} ({100 * low:.1f} to {100 * high:.1f}) |" in shown
    assert shown.splitlines()[2].endswith("| 2 |")


def test_the_table_says_what_was_done(folder, dataset):
    found = {10: [{"real": 0.5, "real_and_generated": 0.6, "generated": 0.4},
                  {"real": 0.7, "real_and_generated": 0.7, "generated": 0.5}],
             50: [{"real": 0.8}]}
    lines = augment.table(found, plan(steps=2_000), dataset)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:4]]
    assert cells[0] == ["real images a class", "real alone, %", "real + generated, %", "generated alone, %",
                        "gain by the generated, points", "seeds"]
    assert cells[2] == ["10", "60.0 (50.0 to 70.0)", "65.0 (60.0 to 70.0)", "45.0 (40.0 to 50.0)", "5.0 (0.0 to 10.0)",
                        "2"]
    assert cells[3] == ["50", "80.0", "", "", "", "1; 1 without a GAN, whose losses were not finite"]
    assert lines[-1].startswith("Accuracy on its test images, of classifiers that learn from drawn: means")
    assert "2,000 steps of 4, with differentiable augmentation (translation, cutout, colour)" in lines[-1]
    assert "half of each batch is real" in lines[-1]
    assert "the images that were not chosen for the largest number" in augment.table(found, plan(), folder)[-1]


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["-n", "0"], "-n must be a whole number from 1"),
    (["-n", "20"], "-n 20 needs 21 images of each class, and a class of photos has only 20"),
    (["-n", "2", "--seeds", "0"], "--seeds must be a whole number from 1"),
    (["-n", "2", "--generated", "0"], "--generated must be a whole number from 1"),
    (["-n", "2", "--steps", "0"], "steps must be a whole number from 1"),
    (["-n", "2", "--batch-size", "0"], "batch_size must be a whole number from 1"),
    (["-n", "2", "--device", "tpu"], "--device must be auto"),
    (["-n", "2", "--data", "sine"], "learns from images of two or more classes, and sine has none"),
])
def test_bad_options_get_one_sentence(arguments, sentence, folder, monkeypatch, capsys):
    opened = augment.open_data
    monkeypatch.setattr(augment, "open_data", lambda name, where, shape: opened(name, where) if where else folder)
    assert augment.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("train.augment: ")
    assert sentence in error
    assert error.count("\n") == 1


def test_the_help_shows_every_default():
    for action in augment.parser()._actions:
        assert "-h" in action.option_strings or "(default: " in action.help, action.dest


@pytest.mark.slow
def test_a_classifier_learns_digits_from_real_images_beside_others(digits):
    few, test = augment.choose(replace(digits[:3000], held_out=lambda: digits[3000:3500]), 20, 20, seed=0)
    found = augment.compare(few, test, plan(batch_size=16, classifier_steps=60, generated=20), "cpu", "few digits")
    assert found["real"] > 0.5
    assert found["real_and_generated"] > 0.4  # the others are noise
    assert found["generated"] < 0.3
