"""Short forms of the stress tests, and what they would notice."""

import json
import os
import subprocess
import sys

import pytest

import ganlib
from tests.conftest import untrained
from tests.stress import __main__ as stress
from tests.stress import folders, kills, space
from tests.stress.report import ROOT, no_sentence

SHORT = {"kills": ["--amount", "2"], "disk": ["--amount", "2"], "folders": ["--amount", "40"],
         "requests": ["--amount", "60"], "visitors": ["--amount", "10", "--seconds", "5"]}


@pytest.mark.slow
@pytest.mark.parametrize("part", stress.PARTS)
def test_a_short_form_finds_nothing(part, tmp_path):
    command = [sys.executable, "-m", "tests.stress", part, "--seed", "28", "--folder", tmp_path, *SHORT[part]]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"TQDM_DISABLE": "1"}, text=True, capture_output=True,
                          timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{part} (seed 28, ")
    assert not list(tmp_path.iterdir())


def test_ten_mutated_folders_load_or_are_refused(tmp_path):
    report = folders.run(28, 10, tmp_path)
    assert report.faults == []


def test_a_folder_that_does_something_else_is_a_fault(tmp_path, monkeypatch):
    ganlib.save(untrained("toy-sine"), tmp_path / "toy")

    def load(*arguments):
        raise KeyError("a bare exception")

    assert folders.opened(tmp_path / "toy") == "loaded"
    assert folders.opened(tmp_path / "none") == "refused"
    monkeypatch.setattr(ganlib, "load", load)
    assert folders.opened(tmp_path / "toy") == "KeyError: 'a bare exception'"


def test_the_same_number_is_the_same_folder(tmp_path):
    models = folders.bases(tmp_path / "bases")
    first, second = (folders.mutated(models[0], tmp_path / "x", folders.random.Random("7-3")) for _ in range(2))
    assert first == second


def test_half_written_and_foreign_files_are_faults(tmp_path):
    ganlib.save(untrained("toy-sine"), tmp_path)
    (tmp_path / ".0.partial").write_text("{")
    assert kills.half_written(tmp_path) == []
    (tmp_path / "metrics.json").write_text("{")
    (tmp_path / "model.safetensors").write_bytes(b"half")
    assert [fault.split()[0] for fault in kills.half_written(tmp_path)] == ["metrics.json", "model.safetensors"]
    assert kills.differences({"a": "1", "b": "2"}, {"b": "3", "c": "4"}) == [
        "a is left over", "c is missing", "b differs"]


def test_a_model_that_nobody_wrote_is_a_fault(tmp_path):
    model = untrained("toy-sine")
    ganlib.save(model, tmp_path)
    assert kills.loads(tmp_path, {kills.fingerprint(model)}) == []
    assert kills.loads(tmp_path, set()) == ["a model loads that nobody wrote"]


@pytest.mark.parametrize(("text", "wrong"), [
    ("There is no model 'x' on this page.", ""), (None, "no text: None"), ("", "no text: ''"),
    ("Traceback (most recent call last):", "'Traceback' in "), ("<object at 0x7f>", "'object at 0x' in "),
    ("x" * 2_000, "2,000 characters: ")])
def test_what_is_no_sentence_is_noticed(text, wrong):
    assert no_sentence(text).startswith(wrong)
    assert bool(no_sentence(text)) == bool(wrong)


def test_unknown_parts_are_named(capsys):
    with pytest.raises(SystemExit):
        stress.main(["kills", "thunder"])
    assert "there is no part thunder: there are kills, disk" in capsys.readouterr().err


def test_the_tables_of_the_recipes_are_as_before(tmp_path):
    before = json.dumps(sorted(kills.RECIPES))
    with kills.small():
        assert kills.NAMES["toy"] in kills.RECIPES
    assert json.dumps(sorted(kills.RECIPES)) == before


@pytest.mark.skipif(not space.has_disks(), reason="this system lends no disk of its own")
def test_a_small_disk_is_full(tmp_path):
    code = f"import pathlib; pathlib.Path({str(tmp_path / 'x')!r}).write_bytes(bytes(9_000))"
    command = space.program_on_disk(8, tmp_path, [sys.executable, "-c", code])
    assert b"No space left on device" in subprocess.run(command, capture_output=True).stderr
    assert not list(tmp_path.iterdir())
