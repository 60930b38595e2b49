"""Generated images beside few real ones: what the classifiers learn from, what is compared, and what is kept."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from ganlib.data import ImageData
from ganlib.images import to_uint8
from ganlib.pictures import Reading
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


def test_a_copy_of_an_image_that_is_learnt_is_not_tested_on(folder):
    largest, _ = augment.choose(folder, 8, 8, seed=0)
    images = folder.images.clone()
    copied = next(number for number in range(60) if number not in numbers(largest))
    images[copied] = images[numbers(largest)[0]]
    _, test = augment.choose(replace(folder, images=images), 2, 8, seed=0)
    assert len(test) == 35
    assert not set(numbers(test)) & {copied, *numbers(largest)}
    same = replace(folder, images=torch.zeros_like(images))
    with pytest.raises(ValueError, match="all images of photos that are left for the test are copies of those"):
        augment.choose(same, 2, 8, seed=0)


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


def test_every_image_is_in_a_mixture_whichever_are_more(dataset):
    few, _ = augment.choose(dataset, 4, 8, seed=0)
    for count in (1, 3, 4, 9):
        made, in_turn = numbered("made", count), torch.arange(3 * count).view(3, count).T.flatten()
        generated = replace(made, images=255 - made.images)[in_turn]
        mixed = augment.mix(few, generated)
        assert set(numbers(mixed)) == {*numbers(few), *numbers(generated)}
        assert len(mixed) == 2 * max(len(few), len(generated))
        assert len(set(torch.bincount(mixed.labels).tolist())) == 1


def test_generated_images_are_the_models_as_a_file_holds_them(dataset, monkeypatch):
    monkeypatch.setattr(augment, "BLOCK", 8)
    model = untrained("cdcgan", num_classes=3, generator_channels=(8, 4, 4), discriminator_channels=(4, 4, 4))
    generated = augment.generate(model, 5, dataset)
    assert generated.labels.tolist() == [0, 1, 2] * 5
    assert generated.shape == dataset.shape
    expected = to_uint8(model.draw(8, augment.SEED, generated.labels[:8]))
    assert torch.equal(generated.images[:8], expected)
    assert len(torch.unique(generated.images, dim=0)) == 15


def test_the_gan_sees_the_few_images_alone_with_augmentation(dataset, monkeypatch):
    few, test = augment.choose(dataset, 4, 8, seed=0)
    trained = []

    def spied(name, architecture, config, data, device):
        trained.append((architecture, config, data))

    monkeypatch.setattr(augment, "train_in_memory", spied)
    monkeypatch.setattr(augment, "accuracy", lambda *arguments: 0.5)
    augment.compare(few, test, plan(), "cpu", "few")
    ((architecture, config, data),) = trained
    assert data is few
    assert config.augment == ("translation", "cutout", "colour")
    assert (architecture.shape, architecture.num_classes) == (few.shape, 3)


def test_classifiers_differ_in_their_images_alone(dataset, monkeypatch):
    few, test = augment.choose(dataset, 4, 8, seed=0)
    trained, tested = [], []

    def spied(learnt, config):
        trained.append((learnt, config))
        yield 1, 0.0, SimpleNamespace(accuracy=lambda data: tested.append(data) or 0.5)

    monkeypatch.setattr(augment, "train_classifier", spied)
    assert augment.compare(few, test, plan(), "cpu", "few").keys() == augment.ARMS.keys()
    images = [{image.numpy().tobytes() for image in learnt.images} for learnt, _ in trained]
    real, generated = images[0], images[2]
    assert real == {image.numpy().tobytes() for image in few.images}
    assert not real & generated
    assert images[1] == real | generated
    assert len({config for _, config in trained}) == 1  # with the seed of weights and distortions
    assert len(tested) == 3
    assert all(data is test for data in tested)


def test_without_a_gan_the_real_images_alone_are_learnt(dataset, monkeypatch):
    monkeypatch.setattr(augment, "train_in_memory", lambda *arguments: None)
    monkeypatch.setattr(augment, "accuracy", lambda *arguments: 0.5)
    few, test = augment.choose(dataset, 4, 8, seed=0)
    assert augment.compare(few, test, plan(), "cpu", "few") == {"real": 0.5}


def test_the_command_keeps_what_it_has_run(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(augment, "open_data", lambda name, where, **options: dataset)
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
             50: [{"real": 0.8}, {"real": 0.75, "real_and_generated": 0.85, "generated": 0.7}]}
    lines = augment.table(found, plan(steps=2_000), dataset)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:4]]
    assert cells[0] == ["real images a class", "real alone, %", "real + generated, %", "generated alone, %",
                        "gain by the generated, points", "seeds"]
    assert cells[2] == ["10", "60.0 (50.0 to 70.0)", "65.0 (60.0 to 70.0)", "45.0 (40.0 to 50.0)", "5.0 (0.0 to 10.0)",
                        "2"]
    assert cells[3] == ["50", "75.0", "85.0", "70.0", "10.0", "1; 1 left out, as the losses of the GAN were not finite"]
    assert "With two seeds, the brackets hold both values" in lines[-1]
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
    monkeypatch.setattr(augment, "open_data", lambda name, where, **options: opened(name, where) if where else folder)
    assert augment.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("train.augment: ")
    assert sentence in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("options", "sentence"), [
    (["--size", "32"], "the samples of drawn are of shape (1, 28, 28): size and channels can be chosen only for a"),
    (["--channels", "3"], "the samples of drawn are of shape (1, 28, 28): size and channels can be chosen only for a"),
    (["--background", "black"], "background and skip-broken are only for a folder of pictures, and not for drawn"),
    (["--skip-broken"], "background and skip-broken are only for a folder of pictures, and not for drawn"),
])
def test_options_of_folders_are_refused_for_a_dataset(options, sentence, dataset, monkeypatch, capsys):
    monkeypatch.setattr(augment, "open_data", lambda name, where, **options: dataset)
    assert augment.main(["-n", "2", *options]) == 1
    assert sentence in capsys.readouterr().err


def test_a_folder_is_read_as_the_options_say_and_its_sentences_are_shown(folder, monkeypatch, capsys):
    asked = {}

    def opening(name, where, **options):
        asked.update(options)
        return replace(folder, found=("3 pictures are broken.",))

    monkeypatch.setattr(augment, "open_data", opening)
    monkeypatch.setattr(augment, "results", lambda *arguments: iter(()))
    options = ["--size", "48x64", "--channels", "3", "--background", "black", "--skip-broken"]
    assert augment.main(["-n", "2", "--data", "photos", *options]) == 0
    assert (asked["shape"], asked["reading"]) == ((3, 64, 48), Reading("black", skip_broken=True))
    assert capsys.readouterr().err == "3 pictures are broken.\n"


@pytest.mark.parametrize(("options", "sentence"), [
    ([], "stopped; no accuracy is kept, because there is no --out"),
    (["--out", "runs.json"], "stopped; the same command goes on after the last run that is in --out")])
def test_ctrl_c_says_what_is_kept(options, sentence, monkeypatch, capsys):
    def stops(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(augment, "open_data", stops)
    assert augment.main(["-n", "2", *options]) == 130
    assert capsys.readouterr().err == f"train.augment: {sentence}\n"


def test_a_file_that_cannot_be_written_is_said_before_the_first_run(dataset, tmp_path, monkeypatch, capsys):
    def full(**options):
        raise PermissionError(13, "Permission denied", str(options["dir"]))

    monkeypatch.setattr(augment, "open_data", lambda name, where, **options: dataset)
    monkeypatch.setattr("train.results.tempfile.TemporaryFile", full)
    monkeypatch.setattr(augment, "compare", None)
    assert augment.main(["-n", "2", "--out", str(tmp_path / "runs.json")]) == 1
    assert capsys.readouterr().err == f"train.augment: Permission denied: {tmp_path}\n"


def test_the_help_shows_every_default():
    for action in augment.parser()._actions:
        assert "-h" in action.option_strings or "(default: " in action.help, action.dest


@pytest.mark.slow
def test_a_classifier_learns_digits_from_real_images_beside_others(digits):
    few, test = augment.choose(replace(digits[:3000], held_out=lambda: digits[3000:3500]), 20, 20, seed=0)
    found = augment.compare(few, test, plan(batch_size=16, classifier_steps=120, generated=20), "cpu", "few digits")
    assert found["real"] > 0.5
    assert found["real_and_generated"] > 0.4  # the others are noise
    assert found["generated"] < 0.3
