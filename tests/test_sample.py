"""Many files at once: they are the model's samples, none is made twice, and nothing else is mixed with them."""

import dataclasses
import errno
import json
import os
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

import ganlib
from ganlib import images, passport
from ganlib.checkpoint import hashes
from ganlib.model import Model
from tests.conftest import untrained
from train import sample

CLASSES = ("cat", "a/b", "2")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> Path:
    """A weights folder of a small model with three classes."""
    model = untrained("cdcgan", num_classes=3, generator_channels=(8, 4, 4), discriminator_channels=(4, 4, 4))
    model.name, model.config["class_names"] = "mine", list(CLASSES)
    return ganlib.save(model, tmp_path_factory.mktemp("weights") / "mine")


@pytest.fixture(scope="module")
def model(mine) -> Model:
    return ganlib.load(mine, "cpu")


def run(*arguments: object) -> int:
    return sample.main([*map(str, arguments), "--device", "cpu"])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels(path: Path) -> list[int]:
    with Image.open(path) as image:
        return list(image.tobytes())


def test_files_are_the_models_samples_named_by_seed(here, capsys):
    assert run("dcgan", "-n", 9) == 0
    assert capsys.readouterr().out == "dcgan-samples: 9 samples.\n"
    expected = ganlib.load("dcgan", "cpu").sample(range(9))
    for seed, x in enumerate(expected):
        assert pixels(here / "dcgan-samples" / f"seed{seed:010d}.png") == list(images.to_pil(x).tobytes())
    assert len(list((here / "dcgan-samples").iterdir())) == 10  # and samples.json


def test_each_seed_picks_its_class_and_goes_into_its_folder(mine, model, here):
    assert run(mine, "--seeds", "3,7-9,4294967295", "--out", "all", "--truncation", 0.5) == 0
    seeds = [3, 7, 8, 9, 2**32 - 1]
    assert contents(here / "all").keys() == {"samples.json"} | {
        f"{('cat', 'a_b', '2')[label]}/seed{seed:010d}.png" for seed, label in zip(seeds, model.labels_of(seeds))}
    x = model.sample([*seeds, *range(59)], truncation=0.5)[0]
    assert pixels(next((here / "all").glob("*/seed0000000003.png"))) == list(images.to_pil(x).tobytes())


def test_labels_give_each_seed_each_class(mine, model, here):
    assert run(mine, "-n", 2, "--labels", "2,cat", "--out", "some") == 0
    assert contents(here / "some").keys() == {"samples.json", *(
        f"{name}/seed000000000{seed}.png" for name in ("cat", "2") for seed in range(2))}
    x = model.sample(range(64), 2)[1]
    assert pixels(here / "some" / "2" / "seed0000000001.png") == list(images.to_pil(x).tobytes())


def test_a_second_call_makes_what_is_missing_and_nothing_else(mine, here, capsys):
    assert run(mine, "-n", 70, "--out", "once") == 0
    assert run(mine, "-n", 3, "--out", "twice") == 0
    kept = next((here / "twice").glob("*/seed0000000001.png"))
    kept.write_bytes(b"mine")
    capsys.readouterr()
    assert run(mine, "-n", 70, "--out", "twice") == 0
    assert capsys.readouterr().out == "twice: 70 samples, 3 of which were there.\n"
    assert kept.read_bytes() == b"mine"
    kept.unlink()
    assert run(mine, "--seeds", 1, "--out", "twice") == 0
    assert contents(here / "twice") == contents(here / "once")


def test_ctrl_c_keeps_what_is_finished(mine, here, monkeypatch, capsys):
    assert run(mine, "-n", 9, "--out", "whole") == 0
    save = passport.save
    calls = []

    def stops(image, *others):
        calls.append(image)
        if len(calls) == 5:
            raise KeyboardInterrupt
        save(image, *others)

    monkeypatch.setattr(passport, "save", stops)
    assert run(mine, "-n", 9, "--out", "begun") == 130
    assert "finished files are kept" in capsys.readouterr().err
    whole, begun = contents(here / "whole"), contents(here / "begun")
    assert len(begun) == 5  # four pictures, and samples.json
    assert begun.items() <= whole.items()
    assert run(mine, "-n", 9, "--out", "begun") == 0
    assert contents(here / "begun") == whole


@pytest.mark.parametrize("option", ["--grid", "--npz"])
def test_ctrl_c_leaves_no_part_of_a_single_file(mine, here, option, monkeypatch, capsys):
    def stops(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Model, "sample", stops)
    assert run(mine, "-n", 9, option, {"--grid": "x.png", "--npz": "x.npz"}[option]) == 130
    assert capsys.readouterr().err == "train.sample: stopped; no file was written\n"
    assert list(here.iterdir()) == []


def test_what_a_killed_call_left_does_not_stop_the_next(mine, here, monkeypatch):
    def stops(*paths):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", lambda path, missing_ok: None)
        killed.setattr(os, "replace", stops)
        assert run(mine, "-n", 1, "--out", "killed") == 130
    assert len(list((here / "killed").iterdir())) == 1
    assert run(mine, "-n", 1, "--out", "killed") == 0


def test_a_foreign_name_reaches_neither_the_terminal_nor_the_path(mine, here, capsys):
    (here / "theirs").mkdir()
    for path in mine.iterdir():
        if path.is_file():
            (here / "theirs" / path.name).write_bytes(path.read_bytes())
    config = json.loads((mine / "config.json").read_text())
    (here / "theirs" / "config.json").write_text(json.dumps(config | {"name": "x/..\x1b[31m\\y:"}))
    assert run("./theirs", "-n", 1) == 0
    assert capsys.readouterr().out == ".._[31m_y_-samples: 1 samples.\n".replace("..", "_.", 1)
    assert run("./theirs", "--labels", "9") == 1
    assert "\x1b" not in capsys.readouterr().err


def test_a_full_disk_is_one_sentence_and_leaves_no_part_of_a_file(mine, here, monkeypatch, capsys):
    assert run(mine, "-n", 2, "--out", "full") == 0
    before = contents(here / "full")

    def full(*paths):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    capsys.readouterr()
    assert run(mine, "-n", 3, "--out", "full") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"train.sample: {os.strerror(errno.ENOSPC)}: full")
    assert error.count("\n") == 1
    assert contents(here / "full") == before


def test_samples_are_not_mixed_with_anything_else(mine, here, capsys):
    assert run(mine, "-n", 2, "--out", "mine") == 0
    (here / "photos").mkdir()
    (here / "photos" / "mine.png").write_bytes(b"")
    (here / "file").write_bytes(b"")
    (here / "link").symlink_to("nothing")
    before = contents(here)
    for arguments, sentence in [
        (["toy-sine", "--out", "mine"], "makes points"),
        (["dcgan", "--out", "mine"], "'mine' holds samples of another model, 'mine': give another --out"),
        ([mine, "--truncation", 0.7, "--out", "mine"], "holds samples made with --truncation 1.0: give another --out"),
        ([mine, "--out", "photos"], "'photos' holds other files"),
        ([mine, "--out", "file"], "--out must be a folder, and 'file' is a file"),
        ([mine, "--out", "file/below"], "--out 'file/below' cannot be used: Not a directory"),
        ([mine, "--out", "link"], "--out must be a folder, and 'link' is a link to a missing one"),
        ([mine, "--out", "x" * 300], "cannot be used: File name too long"),
    ]:
        assert run(*arguments) == 1
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("\n") == 1
    note = json.loads((here / "mine" / "samples.json").read_text())
    (here / "mine" / "samples.json").write_text(json.dumps(note | {"weights": "others"}))
    assert run(mine, "--out", "mine") == 1
    assert "'mine' holds samples of other weights of 'mine': give another --out" in capsys.readouterr().err
    (here / "mine" / "samples.json").write_text(json.dumps(note | {"folders": ["0", "1", "2"]}))
    assert run(mine, "--out", "mine") == 1
    assert "in folders for other classes" in capsys.readouterr().err
    (here / "mine" / "samples.json").write_bytes(before["mine/samples.json"])
    assert contents(here) == before


def test_a_model_is_known_by_its_weights_and_networks(model):
    other = untrained("cdcgan", num_classes=3, generator_channels=(8, 4, 4), discriminator_channels=(4, 4, 4))
    assert sample.fingerprint(other) == sample.fingerprint(model)
    other.generator.project.weight.data[0] += 1
    assert sample.fingerprint(other) != sample.fingerprint(model)
    without_new_field = untrained("cdcgan", num_classes=3, generator_channels=(8, 4, 4),
                                  discriminator_channels=(4, 4, 4))
    later = dataclasses.make_dataclass("Later", [("new", int, 0)], bases=(type(model.architecture),), frozen=True)
    without_new_field.architecture = later(**vars(model.architecture))
    assert sample.fingerprint(without_new_field) == sample.fingerprint(model)
    steeper = untrained("cdcgan", num_classes=3, generator_channels=(8, 4, 4), discriminator_channels=(4, 4, 4),
                        negative_slope=0.3)
    assert sample.fingerprint(steeper) != sample.fingerprint(model)


def test_a_grid_is_one_contact_sheet(mine, model, here):
    assert run(mine, "--seeds", "5,1", "--labels", "0-1,2", "--grid", "sheet.PNG") == 0
    assert [path.name for path in here.iterdir()] == ["sheet.PNG"]
    x = model.sample([5, 5, 5, 1, 1, 1, *range(58)], [0, 1, 2, 0, 1, 2, *[0] * 58])[:6]
    assert pixels(here / "sheet.PNG") == list(images.contact_sheet(x, 3).tobytes())


def test_pictures_have_a_passport_with_their_seed_and_class_and_the_hash_of_the_weights(mine, model, here):
    assert run(mine, "-n", 2, "--labels", "2,cat", "--out", "some", "--truncation", 0.5) == 0
    for name, label in (("cat", "0"), ("2", "2")):
        for seed in range(2):
            found = passport.read(here / "some" / name / f"seed000000000{seed}.png")
            assert found == passport.of(model, "generate", seed=seed, count=1, psi=0.5, **{"class": label})
            assert found["weights_sha256"] == hashes(mine)["weights_sha256"]
    assert run("dcgan", "-n", 1, "--out", "plain") == 0
    assert passport.read(here / "plain" / "seed0000000000.png") == passport.of(
        ganlib.load("dcgan", "cpu"), "generate", seed=0, count=1, psi=1.0)


@pytest.mark.parametrize(("arguments", "state"), [
    (["-n", 6], {"seed": 0, "count": 6, "class": "any"}),
    (["--seeds", "5-6", "--labels", "0-2"], {"seed": 5, "count": 6, "class": "all"}),
    (["--seeds", "5-6", "--labels", "1,2"], {"seed": 5, "count": 4, "classes": "1,2"}),
    (["--seeds", "9,5-6", "--labels", 1], {"seed": 9, "count": 3, "class": "1", "seeds": "9,5,6"}),
])
def test_a_sheet_has_a_passport_that_shows_it_again_or_lists_its_seeds_and_classes(arguments, state, mine, model, here):
    assert run(mine, *arguments, "--grid", "sheet.png") == 0
    assert passport.read(here / "sheet.png") == passport.of(model, "generate", psi=1.0, **state)


def test_seeds_that_a_passport_cannot_hold_are_not_cut(model):
    listed = [sample.state(model, [(seed, 0) for seed in range(first, first + 2 * count, 2)], 1.0)["seeds"]
              for first, count in ((1_000_000_000, 372), (2_000_000_000, 373))]
    assert listed[0].split(",")[-1] == "1000000742"
    assert listed[1] == "373 numbers, too many to list"


def test_classes_do_not_make_a_sheet_narrow_and_high(mine, here):
    assert run(mine, "-n", 50, "--labels", "0,2", "--grid", "sheet.png") == 0
    with Image.open(here / "sheet.png") as sheet:
        assert 0.7 < sheet.width / sheet.height < 1.4


def test_the_limit_of_a_sheet_counts_its_pixels(model, here, monkeypatch):
    width, height = images.sheet_size(6, *model.shape[1:], 3)
    monkeypatch.setattr(sample, "MOST_PIXELS", width * height - 1)
    with pytest.raises(ValueError, match=f"6 samples would have {width:,}×{height:,} pixels, and at most"):
        sample.write_grid(model, [(0, 0)] * 6, 6, here / "x.png", group=3)
    monkeypatch.setattr(sample, "MOST_PIXELS", width * height)
    sample.write_grid(model, [(0, 0)] * 6, 6, here / "x.png", group=3)
    with Image.open(here / "x.png") as sheet:
        assert sheet.size == (width, height)


def test_arrays_hold_pixels_labels_and_seeds(mine, model, here):
    assert run(mine, "--seeds", "9-12", "--npz", "x.npz") == 0
    assert [path.name for path in here.iterdir()] == ["x.npz"]
    with numpy.load(here / "x.npz", allow_pickle=False) as arrays:
        assert arrays.keys() == {"arr_0", "seeds", "labels"}
        assert arrays["arr_0"].dtype == numpy.uint8
        x = model.sample([*range(9, 13), *range(60)])[:4]
        assert numpy.array_equal(arrays["arr_0"], images.to_uint8(x).permute(0, 2, 3, 1).numpy())
        assert arrays["seeds"].tolist() == [9, 10, 11, 12]
        assert arrays["labels"].tolist() == model.labels_of(range(9, 13)).tolist()


def test_arrays_hold_nothing_but_samples(model, here):
    sample.write_npz(model, [(4, 1), (5, 0)], 9, here / "x.npz")
    with numpy.load(here / "x.npz") as arrays:
        assert {name: len(values) for name, values in arrays.items()} == {"arr_0": 2, "seeds": 2, "labels": 2}


def test_points_are_written_as_arrays(here):
    assert run("toy-sine", "-n", 70, "--npz", "points.npz") == 0
    with numpy.load(here / "points.npz", allow_pickle=False) as arrays:
        assert arrays.keys() == {"arr_0", "seeds"}
        assert arrays["arr_0"].dtype == numpy.float32
        expected = ganlib.load("toy-sine", "cpu").sample(range(70))
        assert (torch.from_numpy(arrays["arr_0"]) - expected).abs().max() < 1e-4


@pytest.mark.parametrize(("names", "folders"), [
    (["0", "1"], ["0", "1"]),
    (["a/b", "a\\b", "a:b"], ["a_b-0", "a_b-1", "a_b-2"]),
    (["Cat", "cat", "cat-1"], ["Cat-0", "cat-1-1", "cat-1"]),
    (["con", "aux.png", "COM1", "common"], ["_con", "_aux.png", "_COM1", "common"]),
    (["..", ".git", "end. ", " ", ""], ["_-0", "_git", "end", "_-3", "_-4"]),
    (["samples.json", "a\nb", "\ud800", "\x9b1m\u202e"], ["samples.json-0", "a_b", "_", "_1m_"]),
    (["é", "e\u0301"], ["é-0", "é-1"]),
])
def test_folders_of_classes_have_names_that_every_system_allows(names, folders, here):
    found = sample.folder_names(names)
    assert found == folders
    for name in found:
        (here / name).mkdir()


def test_a_long_name_is_shortened_and_stays_unique(here):
    first, second = sample.folder_names(["漢" * 255, "漢" * 254])
    assert first != second
    (here / first).mkdir()


def test_seeds_are_numbers_and_ranges():
    assert sample.parse_seeds("0-3,200,2,7 - 8") == [0, 1, 2, 3, 200, 7, 8]
    assert sample.parse_seeds("4294967295") == [2**32 - 1]


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "must be seeds and ranges"), ("1,", "must be seeds and ranges"), ("-1", "must be seeds and ranges"),
    ("a", "must be seeds and ranges"), ("1-2-3", "must be seeds and ranges"), ("٣", "must be seeds and ranges"),
    ("5-3", "a range goes up"), ("4294967296", "seeds are 0 to 4294967295"),
    ("0-4294967295", "at most 10,000,000 in one call"), ("0-9999999,20000000", "at most 10,000,000 in one call"),
])
def test_other_seeds_are_refused(text, sentence, monkeypatch):
    if text.startswith("0-9999999"):
        monkeypatch.setattr(sample, "MOST", 100)
        text, sentence = "0-99,200", "at most 100 in one call"
    with pytest.raises(ValueError, match=sentence):
        sample.parse_seeds(text)


def test_labels_are_names_before_they_are_numbers():
    model = untrained("cdcgan", num_classes=4, generator_channels=(8, 4, 4), discriminator_channels=(4, 4, 4))
    assert sample.parse_labels("3,0-1", model) == [3, 0, 1]
    model.config["class_names"] = ["1", "cat", "a,b", "cat"]
    assert sample.parse_labels("1", model) == [0]
    assert sample.parse_labels("a,b", model) == [2]
    assert sample.parse_labels("2 - 3, 1", model) == [2, 3, 0]
    for text, sentence in (("cat", "2 classes are named 'cat': give their numbers, 1, 3"),
                           ("dog", "has no class 'dog'"),
                           ("4", "has no class '4'; its classes are 0 to 3: '1', 'cat', 'a,b', …"),
                           ("3-2", "has no class '3-2'")):
        with pytest.raises(ValueError, match=sentence):
            sample.parse_labels(text, model)


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["nowhere"], "there is no weights folder 'nowhere'"),
    (["dcgan", "-n", "0"], "-n must be a whole number from 1 to 10000000, not 0"),
    (["dcgan", "-n", "4294967297"], "-n must be a whole number from 1 to 10000000"),
    (["dcgan", "-n", "5", "--seeds", "1"], "-n and --seeds exclude each other"),
    (["dcgan", "--out", "a", "--npz", "a.npz"], "--out and --npz exclude each other"),
    (["dcgan", "--truncation", "3"], "--truncation must be a number from 0 to 2, not 3.0"),
    (["dcgan", "--truncation", "nan"], "--truncation must be a number from 0 to 2"),
    (["dcgan", "--labels", "3"], "dcgan has no classes: leave --labels out"),
    (["dcgan", "--grid", "a.jpg"], "--grid must end in .png, not 'a.jpg'"),
    (["dcgan", "--npz", "folder.npz"], "--npz must be a file, and 'folder.npz' is a folder"),
    (["dcgan", "--grid", "no/a.png"], "there is no folder 'no'"),
    (["dcgan", "-n", "100000", "--grid", "a.png"], "a sheet of 100,000 samples would have 9,"),
    (["toy-sine"], "toy-sine makes points, which are no pictures: write them by --npz FILE.npz"),
    (["toy-sine", "--grid", "a.png"], "toy-sine makes points"),
])
def test_what_is_wrong_is_one_sentence_and_writes_nothing(arguments, sentence, here, capsys):
    (here / "folder.npz").mkdir()
    assert run(*arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("train.sample: ")
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["folder.npz"]


def test_samples_of_too_many_classes_or_in_too_large_arrays_are_refused(mine, model, here, monkeypatch, capsys):
    monkeypatch.setattr(sample, "MOST", 5)
    assert run(mine, "-n", 2, "--labels", "0-2") == 1
    assert "6 samples are too many for one call: at most 5" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"10,000,000 samples need 7\.3 GiB, and a file of arrays may have 4: give"):
        sample.write_npz(model, iter([]), 10**7, here / "x.npz")
    assert list(here.iterdir()) == []


def test_images_of_other_channels_are_no_pictures():
    other = untrained("cdcgan", shape=(2, 28, 28), num_classes=3, generator_channels=(8, 4, 4))
    with pytest.raises(ValueError, match="makes images of 2 channels, and pictures have 1 or 3"):
        sample.check_pictures(other)


def test_the_help_shows_every_default():
    for action in sample.parser()._actions:
        assert not action.option_strings or "-h" in action.option_strings or "(default: " in action.help, action.dest
