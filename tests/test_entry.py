"""The installed command `ganlib`: what it finds, how it names itself, and what it says of a missing package."""

import subprocess
import sys
from pathlib import Path

import pytest

import ganlib
from ganlib import console
from train import entry
from train.__main__ import resume_command

ROOT = Path(__file__).parent.parent


def ended(*argv: str) -> int:
    """The exit code of `ganlib` with these arguments, also where argparse ends it."""
    try:
        return entry.main(list(argv))
    except SystemExit as error:
        return error.code


def test_every_command_line_of_the_package_is_a_command():
    own = {path.stem for path in (ROOT / "train").glob("*.py")
           if "\ndef parser()" in path.read_text(encoding="utf-8")} - {"entry", "__main__"}
    assert set(entry.COMMANDS) == {*own, "train", "app"}


def test_without_a_command_the_help_lists_all_with_a_line_each(capsys):
    assert ended() == 0
    listed = capsys.readouterr().out
    assert ended("--help") == 0
    assert capsys.readouterr().out == listed
    for name, what in entry.COMMANDS.items():
        assert f"\n  {name:9} {what}\n" in listed


def test_the_version(capsys):
    assert ended("--version") == 0
    assert capsys.readouterr().out == f"ganlib {ganlib.__version__}\n"


@pytest.mark.parametrize(("word", "sentence"), [
    ("evalute", "ganlib: there is no command 'evalute'; did you mean evaluate?\n"),
    ("quux", "ganlib: there is no command 'quux': ganlib --help lists them\n"),
])
def test_an_unknown_command_is_one_sentence_with_the_nearest_name(word, sentence, capsys):
    assert ended(word, "--help") == 2
    assert capsys.readouterr() == ("", sentence)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "app"))
                                  for name in entry.COMMANDS])
def test_the_help_of_a_command_names_what_was_typed(name, capsys):
    assert ended(name, "--help") == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: ganlib {name} ")
    assert "python " not in said


def test_an_error_names_the_command_that_was_typed(capsys):
    assert ended("evaluate", "nowhere") == 1
    assert capsys.readouterr().err.startswith("ganlib evaluate: there is no weights folder")
    assert ended("export", "toy-sine") == 2
    assert "ganlib export: error: " in capsys.readouterr().err


def test_a_command_is_spelled_as_it_was_typed():
    spellings = {"train": "python -m train", "app": "python app.py", "evaluate": "python -m train.evaluate"}
    for name, module in spellings.items():
        assert console.spelled(name) == module
        with console.as_ganlib():
            assert console.spelled(name) == f"ganlib {name}"
    assert resume_command(["toy-sine"]) == "python -m train toy-sine --resume"
    with console.as_ganlib():
        assert resume_command(["toy-sine"]) == "ganlib train toy-sine --resume"


def test_outside_a_checkout_a_library_names_the_installed_command(monkeypatch):
    monkeypatch.setattr(console, "CHECKOUT", False)
    assert console.spelled("evaluate") == "ganlib evaluate"


def test_help_and_version_import_neither_torch_nor_gradio():
    code = ("import sys; from ganlib.commands.entry import main; main([]); main(['quux']); heavy = {'torch', 'numpy', "
            "'PIL', 'gradio', 'huggingface_hub', 'tqdm'}; print(*heavy & set(sys.modules), file=sys.stderr)")
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stderr.splitlines()[1:] == [""]


@pytest.mark.slow
def test_names_of_the_package_are_imported_when_they_are_used():
    code = ("import sys, ganlib; assert 'torch' not in sys.modules; assert 'load' in dir(ganlib); "
            "print(ganlib.toys.RING.name, len(ganlib.DATASETS), hasattr(ganlib, 'nothing'))")
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == f"ring {len(ganlib.DATASETS)} False\n"


def test_the_page_without_gradio_is_one_sentence(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "ganlib.demo", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert ended("app") == 1
    assert capsys.readouterr().err == 'ganlib app: the page needs gradio: pip install -e ".[app]"\n'


def test_an_image_set_without_torchvision_is_one_sentence_before_any_download(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("GANLIB_DATA", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert ended("train", "mlp-gan", "--out", str(tmp_path / "run")) == 1
    assert capsys.readouterr().err == 'ganlib train: mnist needs torchvision: pip install -e ".[train]"\n'
    assert list(tmp_path.iterdir()) == []


def test_points_without_matplotlib_are_one_sentence_and_an_earlier_model_stays(monkeypatch, capsys, tmp_path):
    model = ganlib.load("toy-sine")
    ganlib.save(model, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for arguments in (["train", "toy-sine", "--overwrite", "--out"], ["evaluate"]):
        assert ended(*arguments, str(tmp_path / "run")) == 1
        assert capsys.readouterr().err.endswith(
            f'ganlib {arguments[0]}: a chart of points needs matplotlib: pip install -e ".[train]"\n')
    assert {name: (tmp_path / "run" / name).read_bytes() for name in before} == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell with head")
def test_a_reader_that_leaves_ends_it_silently():
    ran = subprocess.run(f"'{sys.executable}' -u -m train.entry --help | head -n 1", shell=True, cwd=ROOT,
                         capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("usage: ganlib COMMAND ...\n", "")
