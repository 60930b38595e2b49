"""What happens to a run on disk: it goes on, starts from other weights, keeps its best checkpoint, is not replaced."""

import copy
import errno
import functools
import json
import shlex
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

import ganlib
from ganlib import best, checkpoint, images, publishing, report, runs
from ganlib.architectures import ARCHITECTURES, DCGAN, MLP, Architecture, build
from ganlib.checkpoint import WeightsError
from ganlib.data import DATASETS, ImageData
from ganlib.evaluation import calibrate
from ganlib.model import Model
from ganlib.recipes import RECIPES, Recipe
from ganlib.runs import Run
from ganlib.toys import Points
from ganlib.training import State, TrainConfig, recompute_statistics, saved_run, saved_step
from ganlib.transfer import Start
from tests.conftest import mark_as_measured
from train import evaluate, export, publish, sample
from train.__main__ import main, resume_command
from train.__main__ import parser as parser_of_train

TINY = DCGAN(shape=(1, 8, 8), latent_dim=4, generator_channels=(4, 4), discriminator_channels=(4,), features=4)
SHORT = TrainConfig(steps=6, batch_size=4, final_lr=0.1, penalties={"r1": 1.0}, final_penalty=0.1)


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch):
    """Two tiny recipes, of points and of digits; few pictures on the way, a calibration and measures of few samples."""
    monkeypatch.setattr(images, "MOMENTS", 3)
    monkeypatch.setattr(Points, "samples", 100)
    monkeypatch.setattr("ganlib.training.STATISTICS", 16)
    monkeypatch.setattr("ganlib.training.STATISTICS_BATCH", 8)
    monkeypatch.setattr(report, "calibrate", functools.partial(calibrate, samples=32))
    monkeypatch.setattr(report, "picture", lambda *_: b"a chart takes a third of a second")
    monkeypatch.setitem(ARCHITECTURES, "tiny", TINY)
    monkeypatch.setitem(RECIPES, "tiny", Recipe("tiny", "few", SHORT))
    monkeypatch.setitem(RECIPES, "toy", replace(RECIPES["toy-sine"], train=SHORT))
    noise = torch.randint(256, (2, 20, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    test = ImageData("few", noise[1], torch.arange(20) % 10, 10, digits=True)
    monkeypatch.setitem(DATASETS, "few", lambda *_: replace(test, images=noise[0], held_out=lambda: test))


@pytest.fixture
def unreported(monkeypatch):
    """A finished model is saved as if it had been measured, and neither measured nor drawn."""
    monkeypatch.setattr(report, "finish",
                        lambda model, data, loss, out, *rest: mark_as_measured(ganlib.save(model, out)))


@pytest.fixture
def measured(monkeypatch):
    """Runs of six steps are measured after the steps 1, 3 and 6; these FIDs are found, one after another."""
    fids = [9.0, 2.0, 5.0]
    monkeypatch.setattr(runs, "MEASURED_FROM", 6)
    reader = SimpleNamespace(shape=TINY.shape, examine=lambda x: x)
    monkeypatch.setattr(checkpoint, "classifier_for", lambda data, device: reader if data.digits else None)
    monkeypatch.setattr(runs, "measure_briefly",
                        lambda *_: {"fid_digit_classifier": fids.pop(0), "precision": 0.5, "recall": 0.5})
    return fids


def go(run: Run) -> Model:
    """The model of a finished run."""
    run, data = run.open()
    run.go(data)
    return ganlib.load(run.out, "cpu")


def stop(run: Run, at: int) -> State:
    """The state of a run that was stopped after a step."""
    run, data = run.open()
    with closing(run.train(data)) as states:
        return next(state for state in states if state.step == at)


def command(*words: str | Path) -> int:
    return main([str(word) for word in words])


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    return all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())


def recipe_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())["recipe"]


def test_a_finished_run_goes_on_to_a_later_end_with_the_schedule_of_that_end(tmp_path, unreported):
    go(Run("toy", device="cpu", out=tmp_path))
    state = stop(Run.resumed("toy", tmp_path, "cpu", steps=12), at=9)
    (group,) = state.generator_optimizer.param_groups
    assert group["lr"] == pytest.approx(SHORT.generator_lr * (1 - 0.9 * 8 / 12))
    model = go(Run.resumed("toy", tmp_path, "cpu"))
    assert [row["step"] for row in model.history] == list(range(1, 13))
    assert saved_run(tmp_path / checkpoint.STATE)["train"]["steps"] == recipe_of(tmp_path)["train"]["steps"] == 12
    assert recipe_of(tmp_path)["extended"] == [{"at": 6, "from": 6, "to": 12}]


def test_every_change_of_the_end_is_kept_in_order(tmp_path, unreported):
    stop(Run("toy", device="cpu", out=tmp_path), at=2)
    stop(Run.resumed("toy", tmp_path, "cpu", steps=9), at=4)
    assert command("toy", "--out", tmp_path, "--resume", "--steps", 5, "--device", "cpu") == 0
    assert recipe_of(tmp_path)["extended"] == [{"at": 2, "from": 6, "to": 9}, {"at": 4, "from": 9, "to": 5}]
    assert [row["step"] for row in ganlib.load(tmp_path, "cpu").history] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("steps", "sentence"), [
    (5, "has done 6 steps: --steps must be above that, not 5"), (0, "steps must be a whole number from 1")])
def test_an_end_that_is_behind_is_refused(steps, sentence, tmp_path, unreported, capsys):
    go(Run("toy", device="cpu", out=tmp_path))
    before = (tmp_path / checkpoint.STATE).read_bytes()
    assert command("toy", "--out", tmp_path, "--resume", "--steps", steps, "--device", "cpu") == 1
    assert sentence in capsys.readouterr().err
    assert (tmp_path / checkpoint.STATE).read_bytes() == before


def test_the_picture_of_an_extended_run_has_as_many_rows_as_that_of_another(tmp_path, monkeypatch):
    rows = []
    monkeypatch.setattr(report, "finish", lambda *given: rows.append([path.stem for path in given[4]]))
    run, data = Run("tiny", device="cpu", out=tmp_path).open()
    run.go(data)
    run, data = Run.resumed("tiny", tmp_path, "cpu", steps=24).open()
    run.go(data)
    assert rows == [["step-0000000", "step-0000001", "step-0000003", "step-0000006"],
                    ["step-0000000", "step-0000003", "step-0000011", "step-0000024"]]
    assert len(list((tmp_path / "training" / "growth").iterdir())) == 6


def test_a_run_starts_from_a_shipped_models_weights_and_otherwise_as_without(tmp_path, unreported):
    given, plain = (next(Run("toy-grid", device="cpu", out=tmp_path, init=init).open()[0].train(DATASETS["grid"]()))
                    for init in ("toy-grid", None))
    trained = ganlib.load("toy-grid", "cpu")
    assert same(given.generator, trained.generator)
    assert same(given.average, trained.generator)
    assert same(given.discriminator, trained.discriminator)
    assert torch.equal(given.rng.get_state(), plain.rng.get_state())
    assert given.generator_optimizer.state_dict()["state"] == {}


def test_a_run_that_started_from_another_model_says_so_also_after_a_stop(tmp_path, unreported, capsys):
    go(Run("toy", device="cpu", out=tmp_path / "first", name="teacher"))
    run = Run("toy", device="cpu", out=tmp_path / "second", init=str(tmp_path / "first"))
    stop(run, at=2)
    assert saved_run(run.state_path)["started_from"] == {"model": "teacher", "new_layers": []}
    assert command("toy", "--out", run.out, "--resume", "--device", "cpu") == 0
    assert recipe_of(run.out)["started_from"] == {"model": "teacher", "new_layers": []}
    for option, sentence in ((["--init", "toy-ring"], "--init starts a new run, and --resume continues one"),
                             (["--overwrite"], "--overwrite replaces the earlier run, and --resume continues one")):
        assert command("toy", "--out", run.out, "--resume", *option) == 1
        assert sentence in capsys.readouterr().err


def test_what_starts_anew_is_said(tmp_path, unreported, capsys, monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "tiny", replace(TINY, num_classes=10))
    go(Run("tiny", device="cpu", out=tmp_path / "digits"))
    pictures = tmp_path / "pictures"
    for n, name in enumerate(("apples", "pears")):
        (pictures / name).mkdir(parents=True)
        Image.new("L", (8, 8), 90 * n).save(pictures / name / "0.png")
    assert command("tiny", "--data", pictures, "--init", tmp_path / "digits", "--out", tmp_path / "fruit", "--device",
                   "cpu") == 0
    new = ["generator.embedding.weight", "discriminator.embedding.weight"]
    assert f"It starts from the weights of tiny. These start anew: {', '.join(new)}." in capsys.readouterr().out
    assert recipe_of(tmp_path / "fruit")["started_from"] == {"model": "tiny", "new_layers": new}


def model_of(architecture: Architecture, discriminator: bool = True) -> Model:
    generator, other = build(architecture, torch.Generator().manual_seed(0))
    return Model("other", architecture, generator, other if discriminator else None)


MLP_TOY = MLP(shape=(2,), latent_dim=2, generator_widths=(8,), discriminator_widths=(8,))


@pytest.mark.parametrize(("trained", "wanted", "new"), [
    (TINY, replace(TINY, shape=(3, 8, 8)), ["generator.layers.5.weight", "generator.layers.5.bias",
                                            "discriminator.layers.0.weight"]),
    (TINY, replace(TINY, num_classes=3), ["generator.embedding.weight", "generator.project.weight",
                                          "discriminator.embedding.weight"]),
    (replace(TINY, num_classes=3), TINY, ["generator.project.weight"]),
    (MLP_TOY, replace(MLP_TOY, shape=(1,)), ["generator.layers.2.weight", "generator.layers.2.bias",
                                             "discriminator.layers.0.weight"]),
    (TINY, replace(TINY, negative_slope=0.1), []),
])
def test_layers_that_depend_on_classes_or_channels_start_anew(trained, wanted, new):
    model, state = model_of(trained), State.fresh(wanted, SHORT)
    before = {f"{which}.{key}": value.clone() for which in ("generator", "discriminator")
              for key, value in getattr(state, which).state_dict().items()}
    start = Start.of(model, wanted)
    assert sorted(start.new_layers) == sorted(new)
    start.load_into(state)
    for name, value in before.items():
        which, _, key = name.partition(".")
        expected = value if name in new else getattr(model, which).state_dict()[key]
        assert torch.equal(getattr(state, which).state_dict()[key], expected)


def test_of_a_model_without_a_discriminator_the_generator_is_taken():
    model, state = model_of(TINY, discriminator=False), State.fresh(TINY, replace(SHORT, seed=1))
    start, before = Start.of(model, TINY), [value.clone() for value in state.discriminator.parameters()]
    assert start.new_layers == ("discriminator",)
    start.load_into(state)
    assert same(state.average, model.generator)
    assert all(map(torch.equal, before, state.discriminator.parameters()))


@pytest.mark.parametrize(("trained", "sentence"), [
    (replace(TINY, latent_dim=8), "the networks of other do not fit this run: latent dim is 8 there, and 4 here"),
    (replace(TINY, features=9), "features is 9 there, and 4 here"),
    (replace(TINY, shape=(1, 8, 16)), "images are of 16x8 pixels, and those of this run of 8x8; give --size 16x8"),
    (MLP(shape=(1, 8, 8), latent_dim=4, generator_widths=(4,), discriminator_widths=(4,)),
     "kind is 'mlp' there, and 'dcgan' here"),
    (MLP_TOY, "kind is 'mlp' there, and 'dcgan' here"),
])
def test_networks_that_do_not_fit_are_refused_with_the_difference(trained, sentence):
    with pytest.raises(ValueError, match=sentence):
        Start.of(model_of(trained), TINY)


def test_weights_that_do_not_fit_or_are_nowhere_end_a_command_before_anything_is_written(tmp_path, capsys):
    for init, sentence in (("toy-ring", "do not fit this run: generator widths is"), ("nowhere", "no weights folder")):
        assert command("toy", "--init", init, "--out", tmp_path / "out", "--device", "cpu") == 1
        assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("keep", "step"), [("best", 3), ("last", 6)])
def test_the_checkpoint_that_is_kept_is_in_the_folder_and_said(keep, step, tmp_path, unreported, measured):
    run, data = Run("tiny", device="cpu", out=tmp_path, keep=keep).open()
    at = {}
    for state in run.train(data):
        at[state.step] = [value.clone() for value in state.average.parameters()]
    run.finish(data, state)
    model = ganlib.load(tmp_path, "cpu")
    assert all(map(torch.equal, model.generator.parameters(), at[step]))
    assert best.read(run.best_path) == best.Best(3, 2.0)
    assert {"step": step, "shipped": 1} in model.history
    assert [row["step"] for row in model.history] == sorted(row["step"] for row in model.history)
    assert (recipe_of(tmp_path)["kept"], recipe_of(tmp_path)["kept_step"]) == (keep, step)


def test_batch_norms_statistics_of_the_best_checkpoint_are_of_its_weights(tmp_path, unreported, measured):
    run, data = Run("tiny", device="cpu", out=tmp_path).open()
    state = stop(run, at=4)
    generator, *_ = best.load(run.best_path, state)
    kept = copy.deepcopy(generator)
    recompute_statistics(generator, run.architecture, data, torch.Generator().manual_seed(3))
    means = {key: value for key, value in kept.state_dict().items() if key.endswith("running_mean")}
    assert means
    assert all(value.allclose(generator.state_dict()[key]) for key, value in means.items())
    assert not all(value.allclose(state.generator.state_dict()[key]) for key, value in means.items())


def test_keeping_the_best_checkpoint_changes_nothing_else(tmp_path, unreported, measured, monkeypatch):
    first = go(Run("tiny", device="cpu", out=tmp_path / "first"))
    measured += [9.0, 2.0, 5.0]
    monkeypatch.setattr(best.Keeper, "offer", lambda *_: None)
    second = go(Run("tiny", device="cpu", out=tmp_path / "second"))
    assert same(first.generator, second.generator)
    assert same(first.discriminator, second.discriminator)


def test_the_best_checkpoint_outlives_a_stop_and_may_be_chosen_afterwards(tmp_path, unreported, measured, capsys):
    stop(Run("tiny", device="cpu", out=tmp_path, keep="best"), at=4)
    assert command("tiny", "--out", tmp_path, "--resume", "--device", "cpu") == 0
    assert recipe_of(tmp_path)["kept_step"] == 3
    assert measured == []
    for keep, step in (("last", 6), ("best", 3)):  # without training
        assert command("tiny", "--out", tmp_path, "--resume", "--keep", keep, "--device", "cpu") == 0
        assert recipe_of(tmp_path)["kept_step"] == step
    (tmp_path / "training" / "best.safetensors").unlink()
    capsys.readouterr()
    assert command("tiny", "--out", tmp_path, "--resume", "--keep", "best", "--device", "cpu") == 1
    assert "has ended and did not keep its best checkpoint: give --keep last" in capsys.readouterr().err


def test_a_new_run_forgets_the_best_checkpoint_of_the_one_before(tmp_path, unreported, measured):
    go(Run("tiny", device="cpu", out=tmp_path))
    measured += [90.0, 80.0, 70.0]
    go(Run("tiny", device="cpu", out=tmp_path, overwrite=True))
    assert best.read(tmp_path / "training" / "best.safetensors") == best.Best(6, 70.0)


@pytest.mark.parametrize("words", [["toy", "--steps", "6"], ["tiny", "--steps", "5"]])
def test_a_run_that_is_not_measured_has_no_best_checkpoint(words, tmp_path, measured, capsys):
    assert command(*words, "--keep", "best", "--out", tmp_path / "out", "--device", "cpu") == 1
    assert "the best checkpoint is known only where a run is measured while it trains" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_whoever_opens_a_run_that_has_not_ended_hears_how_to_go_on(tmp_path, capsys):
    out = tmp_path / "my run"
    stop(Run("toy", device="cpu", out=out), at=2)
    sentence = (f"the run in {out} has not ended (step 2 of 6); go on by `python -m train toy --out '{out}' --resume`")
    for load in (checkpoint.load, ganlib.load):
        with pytest.raises(WeightsError) as raised:
            load(out)
        assert str(raised.value) == sentence
    for tool, words in ((evaluate, []), (export, ["--onnx"]), (publish, ["--repo", "alice/toy"]),
                        (sample, ["-n", "1", "--out", str(tmp_path / "samples")])):
        assert tool.main([str(out), *words]) == 1
        assert capsys.readouterr().err.endswith(f"{sentence}\n")
    words = shlex.split(sentence.split("`")[1])
    assert words[:3] == ["python", "-m", "train"]
    assert command(*words[3:], "--device", "cpu") == 0
    ganlib.load(out, "cpu")  # no warning: the run is at its end


def test_a_run_whose_last_step_is_done_but_whose_model_is_not_written_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "finish", lambda *_: None)
    run, data = Run("toy", device="cpu", out=tmp_path).open()
    run.go(data)
    with pytest.raises(WeightsError, match="has done its 6 steps, but its model is not written yet; go on by"):
        ganlib.load(tmp_path)


def test_a_model_whose_run_goes_on_is_loaded_with_a_warning_and_not_published(tmp_path, unreported):
    go(Run("toy", device="cpu", out=tmp_path))
    stop(Run.resumed("toy", tmp_path, "cpu", steps=12), at=8)
    with pytest.warns(UserWarning, match=r"not ended \(step 8 of 12\), and the weights there are of an earlier end"):
        assert ganlib.load(tmp_path, "cpu").history[-1]["step"] == 6
    with pytest.raises(WeightsError, match=r"nothing was published: .* has not ended \(step 8 of 12\), .*; go on by"):
        publishing.prepare(tmp_path, "alice/toy")


def test_a_broken_checkpoint_does_not_keep_a_finished_model_from_loading(tmp_path, unreported):
    go(Run("toy", device="cpu", out=tmp_path))
    (tmp_path / checkpoint.STATE).write_bytes(b"junk")
    ganlib.load(tmp_path, "cpu")
    (tmp_path / "config.json").unlink()
    with pytest.raises(WeightsError, match="is no weights folder: it has no config.json"):
        ganlib.load(tmp_path, "cpu")


def test_a_second_run_of_the_same_name_is_refused(tmp_path, unreported, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("toy", "--device", "cpu") == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    ways = ("go on by --resume, also beyond its end by --steps, choose another --name or --out, or replace it by "
            "--overwrite")
    monkeypatch.setattr(Run, "open", lambda *_: pytest.fail("data were opened"))
    capsys.readouterr()
    assert command("toy", "--device", "cpu") == 1
    assert capsys.readouterr().err == f"train: runs/toy holds a model and a run at step 6 of 6: {ways}\n"
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in before} == before


def test_in_python_too_and_before_anything_is_written(tmp_path, unreported):
    run = Run("toy", device="cpu", out=tmp_path)
    stop(run, at=2)
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="holds a run at step 2 of 6: go on by --resume"):
        go(run)
    assert sorted(path for path in tmp_path.rglob("*")) == before
    (tmp_path / checkpoint.STATE).unlink()
    assert go(run).history[-1]["step"] == 6  # nothing was there but pictures


def test_an_old_model_is_removed_only_where_there_is_room_for_a_checkpoint(tmp_path, unreported, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    before = go(Run("toy", device="cpu", out=tmp_path))
    run, data = Run("toy", device="cpu", out=tmp_path, overwrite=True).open()
    with monkeypatch.context() as disk:
        disk.setattr(State, "save", full)
        with pytest.raises(OSError, match="full"):
            next(run.train(data))
    assert ganlib.load(tmp_path).weights_sha256 == before.weights_sha256
    run.go(data)
    assert not [path for path in tmp_path.rglob(".*")]


def test_a_run_removes_what_a_killed_process_left(tmp_path, unreported):
    left = [tmp_path / name for name in ("training/samples/.0.partial", "training/.1.partial", ".2.partial")]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    go(Run("toy", device="cpu", out=tmp_path))
    assert not [path for path in left if path.exists()]


def test_a_run_that_may_overwrite_keeps_the_old_checkpoint_and_removes_the_old_model(tmp_path, unreported):
    go(Run("toy", device="cpu", out=tmp_path))
    run, data = Run("toy", device="cpu", out=tmp_path, overwrite=True).open()
    assert (tmp_path / "config.json").exists()
    states = run.train(data)
    next(states)
    assert not (tmp_path / "config.json").exists()
    assert saved_step(run.state_path.with_suffix(".old")) == 6
    assert not run.state_path.exists()


def test_a_dry_run_shows_all_and_notes_what_would_be_refused(tmp_path, unreported, capsys):
    go(Run("toy", device="cpu", out=tmp_path))
    assert command("toy", "--out", tmp_path, "--dry-run", "--device", "cpu") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["train"]["steps"] == 6
    assert shown.err.startswith(f"train: without --dry-run this will be refused: {tmp_path} holds a model and a run")


def test_the_classifiers_folder_is_not_replaced_either(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    assert command("digit-classifier", "--out", tmp_path) == 1
    assert "holds a model: choose another --name or --out, or replace it by --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["--init toy-ring --overwrite", "--init=toy-ring --over", "--ini toy-ring --resume"])
def test_the_command_that_continues_neither_starts_nor_replaces(words):
    argv = ["toy-grid", *words.split(), "--out", "my runs", "--steps", "9"]
    parser_of_train().parse_args(argv)
    assert resume_command(argv) == "python -m train toy-grid --out 'my runs' --steps 9 --resume"


def test_how_many_images_there_were_is_recorded(tmp_path, unreported):
    assert go(Run("tiny", device="cpu", out=tmp_path)).config["recipe"]["images"] == 20
    assert "images" not in go(Run("toy", device="cpu", out=tmp_path / "toy")).config["recipe"]


def drawn(folder: Path, *names: str) -> Path:
    """Four grey pictures of 8×8 pixels in each of the subfolders."""
    for name in names:
        (folder / name).mkdir(parents=True)
        for n in range(4):
            Image.new("L", (8, 8), 20 * n + len(name)).save(folder / name / f"{n}.png")
    return folder


@pytest.fixture
def stopped(tmp_path, unreported, monkeypatch) -> tuple[Path, Path]:
    """A run of pictures of two kinds that was stopped, and the folder of the pictures."""
    monkeypatch.setitem(ARCHITECTURES, "tiny", replace(TINY, num_classes=2))
    pictures = drawn(tmp_path / "pictures", "apples", "pears")
    stop(Run("tiny", device="cpu", out=tmp_path / "out", where=str(pictures)), at=2)
    return tmp_path / "out", pictures


@pytest.mark.parametrize(("change", "what"), [
    (lambda f: Image.new("L", (8, 8), 250).save(f / "pears" / "0.png"), "images of pictures"),
    (lambda f: ((f / "apples").rename(f / "quinces"), (f / "pears").rename(f / "apples"),
                (f / "quinces").rename(f / "pears")), "images of pictures"),
    (lambda f: (f / "pears" / "0.png").rename(f / "apples" / "9.png"), "labels of pictures"),
    (lambda f: (f / "pears").rename(f / "plums"), "class names of pictures"),
])
def test_pictures_that_changed_since_a_run_began_are_refused(change, what, stopped, capsys):
    out, pictures = stopped
    change(pictures)
    assert command("tiny", "--out", out, "--resume", "--device", "cpu") == 1
    assert (f"the {what} are not those that the run in {out} was begun on: give the same data by --data, or begin a "
            f"new run in another --out") in capsys.readouterr().err
    assert saved_step(out / checkpoint.STATE) == 2


def test_the_same_pictures_may_be_in_another_folder(stopped, tmp_path):
    out, pictures = stopped
    pictures.rename(tmp_path / "moved")
    assert command("tiny", "--out", out, "--resume", "--data", tmp_path / "moved", "--device", "cpu") == 0
    assert ganlib.load(out, "cpu").config["recipe"]["data"] == "moved"


def test_a_checkpoint_that_does_not_know_its_pictures_goes_on(stopped):
    out, pictures = stopped
    run = Run.resumed("tiny", out, "cpu")
    del run.begun["content"]  # as those of earlier versions
    Image.new("L", (8, 8), 250).save(pictures / "pears" / "0.png")
    assert run.open()[1].images.max() == 250


def test_other_data_are_compared_by_their_fingerprint(tmp_path, unreported, monkeypatch):
    stop(Run("toy", device="cpu", out=tmp_path), at=2)
    monkeypatch.setattr(Points, "fingerprint", lambda self: {"data": self.description(), "points": 7})
    with pytest.raises(ValueError, match="the points of sine are not those that the run in"):
        Run.resumed("toy", tmp_path, "cpu").open()


def test_a_second_process_in_a_folder_is_refused_before_it_writes(tmp_path, unreported, capsys):
    first, data = Run("toy", device="cpu", out=tmp_path).open()
    sentence = f"train: another process trains in {tmp_path}: wait for its end or give another --out\n"
    with closing(first.train(data)) as states:
        next(states)
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        assert command("toy", "--out", tmp_path, "--device", "cpu") == 1
        assert capsys.readouterr().err == sentence
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        next(states)
    resumed, data = Run.resumed("toy", tmp_path, "cpu").open()
    with closing(resumed.train(data)) as states:
        next(states)
        assert command("toy", "--out", tmp_path, "--resume", "--device", "cpu") == 1
        assert capsys.readouterr().err == sentence
        with pytest.raises(ValueError, match="another process trains in"):
            Run.resumed("toy", tmp_path, "cpu").finish(data, State.fresh(resumed.architecture, SHORT))
    assert command("toy", "--out", tmp_path, "--resume", "--device", "cpu") == 0


def test_the_lock_is_no_run_and_is_not_published(tmp_path, unreported):
    run, data = Run("toy", device="cpu", out=tmp_path).open()
    with run.alone(), run.alone():
        assert runs.occupied(tmp_path) is None
        assert checkpoint.unfinished(tmp_path) is None
        run.go(data)
        ganlib.load(tmp_path, "cpu")
        assert "lock" not in publishing.prepare(tmp_path, "alice/toy").files


def test_a_folder_that_cannot_be_written_gets_the_systems_sentence(tmp_path, capsys):
    (tmp_path / "training").write_text("no folder")
    assert command("toy", "--out", tmp_path, "--device", "cpu") == 1
    assert capsys.readouterr().err == f"train: File exists: {tmp_path / 'training'}\n"


def killed(run: Run, at: int) -> None:
    """A run whose process ended after a step."""
    run, data = run.open()
    with suppress(KeyboardInterrupt), closing(run.train(data)) as states:
        for state in states:
            if state.step == at:
                states.throw(KeyboardInterrupt)


def test_the_best_checkpoint_of_a_branch_that_was_abandoned_is_not_kept(tmp_path, unreported, measured):
    run = Run("tiny", device="cpu", out=tmp_path, checkpoint_every=2)
    killed(run, at=3)
    assert saved_step(run.state_path) == 2
    assert best.read(run.best_path) == best.Best(1, 9.0)
    measured[:] = [4.0, 5.0]
    resumed, data = Run.resumed("tiny", tmp_path, "cpu").open()
    resumed.go(data)
    assert best.read(run.best_path) == best.Best(3, 4.0)


@pytest.mark.parametrize(("step", "left"), [(3, 3), (2, 1)])
def test_a_best_checkpoint_whose_run_was_not_saved_is_removed(step, left, tmp_path):
    path, state = tmp_path / "best.safetensors", State.fresh(TINY, SHORT)
    for at, fid in ((1, 9.0), (3, 2.0)):
        state.step, keeper = at, best.Keeper(path, at)
        keeper.offer(state, TINY, DATASETS["few"](), fid)
        with suppress(KeyboardInterrupt), keeper.saved():
            if at == 3:
                raise KeyboardInterrupt  # before or after the run's checkpoint is written
    assert best.settle(path, step).step == best.read(path).step == left
    assert [file.name for file in tmp_path.iterdir()] == ["best.safetensors"]
    assert best.settle(path, 0) is None
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_best_checkpoint_may_be_removed(tmp_path, unreported, measured, capsys):
    run = Run("tiny", device="cpu", out=tmp_path)
    stop(run, at=4)
    run.best_path.write_bytes(b"junk")
    assert command("tiny", "--out", tmp_path, "--resume", "--device", "cpu") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"train: {run.best_path} is not the best checkpoint of this run (")
    assert error.endswith("; remove it to go on without\n")
    run.best_path.unlink()
    assert command("tiny", "--out", tmp_path, "--resume", "--device", "cpu") == 0


def test_a_measurement_that_was_interrupted_leaves_a_model_that_says_so(tmp_path, monkeypatch, capsys):
    """A real toy run from its first step to its card, extended, and interrupted while it is measured."""
    out, measure = tmp_path / "out", report.evaluate
    assert command("toy", "--out", out, "--device", "cpu") == 0
    assert "| steps | 6 |" in (out / "README.md").read_text()
    monkeypatch.setattr(report, "evaluate", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    assert command("toy", "--out", out, "--resume", "--steps", 8, "--device", "cpu") == 130
    assert {path.name for path in out.iterdir() if path.is_file()} == {
        "config.json", "model.safetensors", "discriminator.safetensors", "metrics.json", "history.json"}
    sentence = f"^the run in {out} has done its 8 steps, but its model is not measured yet; go on by `"
    with pytest.warns(UserWarning, match=sentence):
        assert ganlib.load(out, "cpu").metrics == {}
    with pytest.raises(WeightsError, match="nothing was published: .* is not measured yet; go on by"):
        publishing.prepare(out, "alice/toy")
    monkeypatch.setattr(report, "evaluate", measure)
    words = shlex.split(checkpoint.unfinished(out).split("`")[1])
    assert command(*words[3:], "--device", "cpu") == 0
    assert checkpoint.is_measured(out, ganlib.load(out, "cpu").metrics)
    assert "| steps | 8 |" in (out / "README.md").read_text()
    assert "model-index" in (out / "README.md").read_text()


def test_a_card_that_somebody_has_edited_stays_with_its_pictures(tmp_path, unreported):
    tmp_path.joinpath("README.md").write_text("mine")
    tmp_path.joinpath("samples.png").write_bytes(b"mine")
    go(Run("toy", device="cpu", out=tmp_path))
    assert tmp_path.joinpath("README.md").read_text() == "mine"
    assert tmp_path.joinpath("samples.png").exists()


@pytest.mark.parametrize("failing", ["ganlib.transfer.Start.load_into", "ganlib.toys.Points.to"])
def test_a_new_run_that_cannot_begin_leaves_the_old_model(failing, tmp_path, unreported, monkeypatch):
    go(Run("toy", device="cpu", out=tmp_path))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    run, data = Run("toy", device="cpu", out=tmp_path, overwrite=True, init=tmp_path).open()
    monkeypatch.setattr(failing, lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError))
    with pytest.raises(torch.OutOfMemoryError):
        run.go(data)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(("words", "sentence"), [
    (["--skip-broken"], "was begun without --skip-broken: leave the option out"),
    (["--background", "black"], "was begun with --background white: leave the option out"),
    (["--background", "nonsense"], "background must be a colour"),
    (["--seed", "3"], "was begun with --seed 0: leave the option out"),
    (["--background", "#ffffff"], None), (["--augment", "flip, colour"], None),
])
def test_options_of_a_resumed_run_are_compared_by_their_meaning(words, sentence, tmp_path, unreported, capsys):
    config = replace(SHORT, augment=("flip", "colour"), seed=0)
    run = Run("tiny", device="cpu", out=tmp_path / "out", config=config, where=str(drawn(tmp_path / "in", "a", "b")))
    stop(run, at=2)
    assert command("tiny", "--out", tmp_path / "out", "--resume", "--device", "cpu", *words) == (sentence is not None)
    assert sentence is None or sentence in capsys.readouterr().err


@pytest.mark.parametrize(("words", "sentence"), [
    (["toy", "--data", "icons"], "toy makes points, and the folder icons holds pictures: give a dataset of points"),
    (["tiny", "--background", "black"], "background and skip-broken are only for a folder of pictures, and not for f"),
    (["tiny", "--data", "kmnist", "--skip-broken"], "only for a folder of pictures, and not for kmnist: leave them"),
    (["tiny", "--init", "icons"], "icons is no weights folder: it has no config.json"),
    (["tiny", "--init", ""], ". is no weights folder: it has no config.json"),
    (["dcgan", "--steps", "1", "--skip-broken"], "are only for a folder of pictures, and not for mnist"),
])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_what_cannot_be_is_said_before_anything_is_read(words, sentence, dry, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    drawn(tmp_path / "icons", "a")
    monkeypatch.setattr("ganlib.pictures.read", lambda *_: pytest.fail("pictures were read"))
    assert command(*words, "--device", "cpu", *dry) == 1
    assert sentence in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["icons"]


def test_names_of_augmentations_may_have_spaces(capsys):
    assert command("tiny", "--augment", "flip, colour", "--dry-run", "--device", "cpu") == 0
    assert json.loads(capsys.readouterr().out)["train"]["augment"] == ["flip", "colour"]


def test_a_dry_run_does_not_replace_the_sheet_of_another_run(stopped, capsys):
    out, pictures = stopped
    (out / "data.png").write_bytes(b"the sheet of the run")
    assert command("tiny", "--data", pictures, "--out", out, "--dry-run", "--device", "cpu") == 0
    assert capsys.readouterr().err.endswith(
        f" No sheet of what the networks see was written: it would replace that of {out}.\n")
    assert (out / "data.png").read_bytes() == b"the sheet of the run"


def test_a_command_that_is_stopped_at_once_claims_no_checkpoint_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(State, "fresh", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert command("toy", "--out", tmp_path, "--device", "cpu") == 130
    assert capsys.readouterr().err == "train: stopped; there is no checkpoint yet\n"
    monkeypatch.undo()
    stop(Run("toy-sine", device="cpu", out=tmp_path), at=2)
    monkeypatch.setattr(State, "fresh", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert command("toy-sine", "--out", tmp_path, "--resume", "--device", "cpu") == 130
    assert capsys.readouterr().err == "train: stopped; the last checkpoint is kept\n"
