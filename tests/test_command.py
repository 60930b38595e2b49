"""What all command lines promise: output in any encoding, for readers that leave early, without a home folder."""

import argparse
import errno
import io
import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from gradio_client import Client

from ganlib.console import READER_LEFT, to_ascii
from ganlib.data import NotDownloaded, open_data
from ganlib.runs import Run
from tests.conftest import serving
from train import evaluate, track
from train.command import command, parse_size

ROOT = Path(__file__).parent.parent
COMPARE = ["train.evaluate", "weights/toy-gaussian", "--compare"]
WITHOUT_HOME = """
import pwd, runpy, sys
def unknown(user):
    raise KeyError(user)
pwd.getpwuid = unknown
sys.argv = sys.argv[1:]
"""
LINUX = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc and /dev/full")


def says(work=lambda arguments: None, text: str = "") -> int:
    """The exit code of a command that does the work; `text` is in its help."""
    def parser() -> argparse.ArgumentParser:
        return argparse.ArgumentParser("python -m train.test", description=f"It {text}.")
    return command(parser, work, "stopped")([])


@pytest.fixture
def output(monkeypatch):
    """Makes stdout and stderr of an encoding; returns a function that reads what was written to them."""
    def make(encoding: str):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        return lambda: tuple(stream.buffer.getvalue().decode(encoding) for stream in streams)
    return make


@pytest.mark.parametrize(("encoding", "expected"), [
    ("ascii", "10 x s/sigma, gamma, psi_1: caj, “real” - it's 1/2... ^ >= ?".replace("“real”", '"real"')),
    ("cp1252", "10 × s/sigma, gamma, psi_1: caj, “real” - it’s ½… ^ >= ?"),
    ("cp437", "10 x s/σ, gamma, psi_1: caj, \"real\" - it's ½... ^ ≥ ?"),
    ("utf-8", "10 × s/σ, γ, ψ_1: čaj, “real” - it’s ½… ↑ ≥ 茶"),
])
def test_output_works_in_any_encoding(output, encoding, expected):
    written = output(encoding)

    def work(arguments):
        print("10 × s/σ, γ, ψ_1: čaj, “real” - it’s ½… ↑ ≥ 茶")
        raise ValueError("“čaj” is no class")

    assert says(work) == 1
    out, errors = written()
    assert out.rstrip() == expected
    assert re.fullmatch("train.test: [“\"][čc]aj[”\"] is no class", errors.rstrip())


def test_help_and_wrong_arguments_work_in_any_encoding(output):
    written = output("ascii")
    parser = argparse.ArgumentParser("python -m train.test", description="It is σ.")
    main = command(lambda: parser, lambda arguments: None, "stopped")
    for argument, code in (("--help", 0), ("--čaj", 2)):
        with pytest.raises(SystemExit) as ended:
            main([argument])
        assert ended.value.code == code
    assert "It is sigma." in written()[0]
    assert "unrecognized arguments: --caj" in written()[1]


def test_the_table_of_measures_works_in_ascii(output):
    written = output("ascii")
    assert evaluate.main([str(ROOT / "weights" / "toy-ring"), "--compare"]) == 0
    assert "sigma" in written()[0]


def test_a_command_that_writes_into_a_folder_asks_for_one_of_this_machine(capsys):
    assert evaluate.main(["https://huggingface.co/user/repo/tree/v1"]) == 1
    assert capsys.readouterr().err == (
        "train.evaluate: a folder of this machine is needed: download user/repo@v1 first, by `hf download user/repo "
        "--revision v1 --local-dir FOLDER`\n")


def test_a_name_that_could_not_be_decoded_is_written_as_it_was(output):
    written = output("latin-1")
    assert says(lambda arguments: print(os.fsdecode(b"caf\xe9"))) == 0
    assert written()[0].rstrip().encode("latin-1") == b"caf\xe9"


def test_every_character_of_the_sources_has_a_readable_form():
    paths = [path for folder in ("ganlib", "train", "tests/benchmarks") for path in (ROOT / folder).glob("*.py")]
    characters = set("".join(path.read_text(encoding="utf-8") for path in paths))
    assert {character: to_ascii(character) for character in characters if "?" in to_ascii(character)} == {"?": "?"}
    assert "".join(map(to_ascii, "Łódź, Ærø, Straße, İı, naïve\u200b, ΔΩς, r²")) == (
        "Lodz, Aero, Strasse, Ii, naive, DeltaOmegasigma, r2")


@pytest.mark.parametrize("buffering", [1, -1], ids=["by lines", "at the end"])
def test_a_reader_that_leaves_ends_a_command_silently(monkeypatch, capsys, buffering):
    reading, writing = os.pipe()
    os.close(reading)
    finished = []
    with open(writing, "w", buffering, encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)

        def work(arguments):
            print("a line")
            finished.append(True)

        assert says(work) == READER_LEFT
        pipe.write("the interpreter's end does not fail")
    assert capsys.readouterr().err == ""
    assert bool(finished) == (buffering == -1)


class Broken(io.RawIOBase):
    """A file that cannot be written to."""

    def __init__(self, code: int):
        self.code = code

    def writable(self) -> bool:
        return True

    def write(self, content) -> int:
        raise OSError(self.code, os.strerror(self.code))


FULL = "the output could not be written: No space left on device\n"
BUFFERS = {
    "at the end": lambda raw: io.TextIOWrapper(io.BufferedWriter(raw), "utf-8"),
    "by lines": lambda raw: io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", line_buffering=True),
    "never": lambda raw: io.TextIOWrapper(raw, "utf-8", write_through=True),  # PYTHONUNBUFFERED
}


@pytest.mark.parametrize("buffered", BUFFERS)
@pytest.mark.parametrize(("error", "code", "sentence"), [
    (errno.ENOSPC, 1, FULL), (errno.EPIPE, READER_LEFT, ""), (errno.EINVAL, READER_LEFT, "")], ids=str)
def test_output_that_cannot_be_written_ends_a_command(monkeypatch, capsys, error, code, sentence, buffered):
    raw = Broken(error)
    monkeypatch.setattr(sys, "stdout", BUFFERS[buffered](raw))
    finished = []

    def work(arguments):
        print("a line")
        finished.append(True)

    assert says(work) == code
    assert capsys.readouterr().err == sentence
    assert bool(finished) == (buffered == "at the end")
    raw.write = len  # for the end of the streams


def test_an_error_of_the_work_is_not_hidden_by_one_of_the_output(monkeypatch):
    raw = Broken(errno.ENOSPC)
    monkeypatch.setattr(sys, "stdout", BUFFERS["at the end"](raw))

    def work(arguments):
        print("a line")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        says(work)
    raw.write = len


def test_a_connection_that_breaks_is_an_error(capsys):
    def work(arguments):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    assert says(work) == 1
    assert capsys.readouterr().err == "train.test: Broken pipe\n"


def test_the_streams_are_given_back(output):
    output("ascii")
    before = sys.stdout, sys.stderr
    assert says(lambda arguments: print("é")) == 0
    assert (sys.stdout, sys.stderr) == before
    assert sys.stdout.errors == "strict"
    sys.stdout.write("still open")


def test_closed_streams_are_nothing_to_a_command(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert says(lambda arguments: sys.stderr.write("a progress bar\n") and None) == 0
    assert sys.stdout is sys.stderr is None


@pytest.mark.parametrize(("options", "advice"), [
    ([], ""), (["--device"], "; give another --device"),
    (["--batch-size", "--device"], "; give a smaller --batch-size or another --device")])
def test_advice_on_memory_names_options_that_the_command_has(options, advice, capsys):
    def parser() -> argparse.ArgumentParser:
        p = argparse.ArgumentParser("python -m train.test")
        for option in options:
            p.add_argument(option)
        return p

    def work(arguments):
        raise MemoryError

    assert command(parser, work, "stopped")([]) == 1
    assert capsys.readouterr().err == f"train.test: there is not enough memory for this{advice}\n"


def test_a_warning_is_a_sentence_without_its_line_of_code(capsys):
    def work(arguments):
        warnings.simplefilter("always")
        warnings.warn("a file\nis left out", stacklevel=1)
        warnings.warn("it is old", DeprecationWarning, stacklevel=1)

    with pytest.warns(DeprecationWarning, match="it is old"):
        assert says(work) == 0
    assert capsys.readouterr().err == "warning: a file is left out\n"


def test_an_error_of_the_system_is_a_sentence(capsys):
    def work(arguments):
        raise OSError("the file is truncated")

    assert says(work) == 1
    assert capsys.readouterr().err == "train.test: the file is truncated\n"


def test_a_size_is_a_side_or_width_and_height():
    assert [parse_size(text) for text in ("32", " 48x64 ", "48X64", "48×64")] == [(32, 32), *[(64, 48)] * 3]


@pytest.mark.parametrize("text", ["", "x", "32px", "32x", "x32", "1x2x3", "0", "65537", "32x0", "-1", "3.5", "٣"])
def test_another_size_is_one_sentence(text):
    with pytest.raises(ValueError, match=f"^--size must be PIXELS or WIDTHxHEIGHT, such as .* 65536, not '{text}'$"):
        parse_size(text)


@pytest.fixture
def no_home(monkeypatch, tmp_path):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    for name in ("GANLIB_DATA", "TRACKIO_DIR", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_only_what_needs_a_cache_asks_for_one(no_home, monkeypatch):
    assert open_data("ring").name == "ring"
    assert Run("toy-ring").preview()[1].endswith("of ring")
    with pytest.raises(ValueError, match="^there is no home folder to keep datasets in: name one by GANLIB_DATA or "):
        open_data("mnist")
    with pytest.raises(ValueError, match="^there is no home folder to keep tracked runs in: name one by TRACKIO_DIR$"):
        track.check(track.LOCAL)
    monkeypatch.setenv("GANLIB_DATA", "data")
    with pytest.raises(NotDownloaded, match="^mnist is not in data yet$"):
        open_data("mnist", download=False)


def python(*arguments: str, shell: str = "", **options) -> subprocess.CompletedProcess:
    """Runs a command of this repository; `shell` is what follows it in a pipeline."""
    line = f"set -o pipefail; {shlex.join([sys.executable, *arguments])} {shell}"
    return subprocess.run(["bash", "-c", line], **{"cwd": ROOT, "capture_output": True, "timeout": 300, **options})


@pytest.mark.slow
@pytest.mark.parametrize("changes", [
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "cp1252"}], ids=" ".join)
def test_a_redirected_table_and_bars(changes, tmp_path):
    environment = {**os.environ, **changes}
    environment.pop("TQDM_DISABLE", None)
    table = python("-m", *COMPARE, env=environment)
    assert (table.returncode, table.stderr) == (0, b"")
    assert table.stdout
    run = python("-m", "train", "toy-sine", "--steps", "3", "--out", str(tmp_path / "run"), env=environment)
    assert run.returncode == 0
    assert b"toy-sine: 100%" in run.stderr.replace(b"\0", b"")


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("arguments", [
    ["train", "--help"], ["train", "toy-sine", "--dry-run"], COMPARE, ["train.publish", "--help"],
    ["train.publish", "weights/toy-gaussian", "--repo", "a/b", "--dry-run"]], ids=" ".join)
def test_a_pipeline_ends_silently(arguments, unbuffered):
    ran = python("-m", *arguments, shell="| head -n 1", env=os.environ | {"PYTHONUNBUFFERED": unbuffered})
    assert ran.returncode in (0, READER_LEFT)
    assert ran.stderr == b""
    assert ran.stdout.count(b"\n") == 1


@pytest.mark.slow
def test_the_page_ends_silently_if_nobody_reads_its_output():
    ran = python("app.py", shell="| true", env=os.environ | {"PYTHONUNBUFFERED": "1"})
    assert (ran.returncode, ran.stderr) == (READER_LEFT, b"")


@pytest.mark.slow
@LINUX
def test_a_toy_trains_and_a_model_is_measured_without_a_home_in_a_folder_that_cannot_be_written_to(tmp_path):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    run = str(tmp_path / "run")
    code = WITHOUT_HOME + "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    for arguments in (["train", "toy-sine", "--steps", "3", "--out", run], ["train.evaluate", run]):
        ran = python("-c", code, *arguments, env=environment, cwd="/proc")
        assert ran.returncode == 0, ran.stderr
        assert b"atplotlib" not in ran.stderr
    ran = python("-c", code, "train", "toy-sine", "--steps", "3", env=environment, cwd="/proc")
    assert ran.returncode == 1
    assert ran.stderr.decode().splitlines()[-1].startswith("train: ")


@pytest.mark.slow
@LINUX
def test_the_page_works_without_a_home_in_a_folder_that_cannot_be_written_to(tmp_path):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "LC_ALL": "C",
                   "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONUNBUFFERED": "1"}
    code = WITHOUT_HOME + "runpy.run_path(sys.argv[0], run_name='__main__')"
    with serving([sys.executable, "-c", code, str(ROOT / "app.py")], environment, tmp_path / "log",
                 cwd="/proc") as (address, _):
        client = Client(address, verbose=False)
        assert client.predict("dcgan", 7, 4, 1, [], api_name="/generate")[1].startswith("**dcgan** on ")
        assert client.predict("toy-ring", 500, 3, api_name="/toy")[1]["centres"] == 8
        client.close()
