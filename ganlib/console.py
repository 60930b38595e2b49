"""Output of command lines in any encoding, and for a reader that leaves early, such as `head`; how they are typed."""

import codecs
import errno
import functools
import io
import os
import re
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ParamSpec

from ganlib.checks import CHECKOUT

READER_LEFT = 141  # the exit code of a program that SIGPIPE ends, in a shell
SIMILAR = {  # of the package's own texts, and of what NFKD makes of the letters and signs in names
    "×": "x", "·": "*", "⁄": "/", "−": "-", "≈": "~", "≤": "<=", "≥": ">=", "√": "sqrt", "∂": "d", "∇": "grad",
    "‖": "||", "↑": "^", "↓": "v", "‐": "-", "’": "'", "“": '"', "”": '"', "…": "...", "ß": "ss", "λ": "lambda"}
LETTER = re.compile(r"(?:GREEK|LATIN) (SMALL|CAPITAL) LETTER (?:FINAL |DOTLESS )?([A-Z]+)(?: WITH .*)?")

Parameters = ParamSpec("Parameters")
_installed = False  # whether this process runs the installed command `ganlib`


def spelled(command: str = "train") -> str:
    """The start of a command line, as the user types it here.

    Args:
        command: "train", "app" or a module of `train`, such as "evaluate".

    Returns:
        "ganlib evaluate" where the command `ganlib` runs and outside a checkout, else "python -m train.evaluate".
    """
    if _installed or not CHECKOUT:
        return f"ganlib {command}"
    return {"app": "python app.py", "train": "python -m train"}.get(command, f"python -m train.{command}")


@contextmanager
def as_ganlib() -> Iterator[None]:
    """While it lasts, commands are spelled as those of the installed command `ganlib`."""
    global _installed
    before, _installed = _installed, True
    try:
        yield
    finally:
        _installed = before


def to_ascii(character: str) -> str:
    """ASCII in place of a character: a similar sign, the name of a Greek letter, a letter without accents, or "?"."""
    if character.isascii():
        return character
    if character in SIMILAR:
        return SIMILAR[character]
    parts = unicodedata.normalize("NFKD", character)
    if parts != character:
        return "".join(map(to_ascii, parts))
    if unicodedata.category(character) in ("Mn", "Cf"):  # accents, and characters of no width
        return ""
    letter = LETTER.fullmatch(unicodedata.name(character, ""))
    if letter is None:
        return "?"
    return letter[2].lower() if letter[1] == "SMALL" else letter[2].capitalize()


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    """The replacement of the first character that an encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    code = ord(error.object[error.start])
    if 0xDC80 <= code <= 0xDCFF and not error.encoding.startswith(("utf-16", "utf-32")):
        # a byte of a file's name that could not be decoded
        return bytes([code - 0xDC00]), error.start + 1
    return to_ascii(error.object[error.start]), error.start + 1


codecs.register_error("to-ascii", _replace)


def command(main: Callable[Parameters, int | None]) -> Callable[Parameters, int]:
    """A program's main function as a function that returns its exit code, 0 for None, and handles errors of the output.

    Characters that the encoding of stdout or stderr lacks are replaced by `to_ascii`. If the reader of the output has
    left, the program ends silently with the code READER_LEFT. If the output cannot be written for another reason, for
    example because a disk is full, a sentence says so, and the code is 1. Warnings are printed as one sentence each.
    """
    @functools.wraps(main)
    def run(*arguments: Parameters.args, **options: Parameters.kwargs) -> int:
        with _checked_streams():
            try:
                with _warnings_in_words():
                    code = main(*arguments, **options) or 0
                _flush()
                return code
            except OutputError as error:
                return _ended_by(error)
            except SystemExit:  # of --help
                try:
                    _flush()
                except OutputError as error:
                    return _ended_by(error)
                raise
            except BaseException:  # is more important than an error of the output
                _silence()
                raise
    return run


@contextmanager
def _warnings_in_words() -> Iterator[None]:
    """Prints a UserWarning without the line of code that it came from."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def say(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
            if issubclass(category, UserWarning):
                print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                show(message, category, *place, **options)

        warnings.showwarning = say
        yield


class OutputError(OSError):
    """stdout or stderr cannot be written to."""


class _Checked(io.TextIOWrapper):
    """A text stream on the buffer of another one, with the error handler "to-ascii", that raises OutputError."""

    def __init__(self, stream: io.TextIOWrapper):
        super().__init__(stream.buffer, stream.encoding, "to-ascii", line_buffering=stream.line_buffering,
                         write_through=stream.write_through)
        self.error: OutputError | None = None  # the first one: argparse ignores it, and without a buffer flush has none

    def write(self, text: str) -> int:
        with self._noticed():
            return super().write(text)

    def flush(self) -> None:
        if self.error is not None:
            raise self.error
        with self._noticed():
            super().flush()

    @contextmanager
    def _noticed(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = OutputError(error.errno, error.strerror)
            raise self.error from None

    def close(self) -> None:
        """Flush; the buffer belongs to the other stream."""
        with suppress(OSError, ValueError):
            self.flush()


@contextmanager
def _checked_streams() -> Iterator[None]:
    """Replaces stdout and stderr by streams that raise OutputError; one that is closed by `>&-`, by one to nowhere."""
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        for name, stream in zip(("stdout", "stderr"), before):
            if stream is None:
                setattr(sys, name, nowhere)  # progress bars need one
            elif isinstance(stream, io.TextIOWrapper) and not stream.closed:
                with suppress(OSError):  # will be raised again
                    stream.flush()
                setattr(sys, name, _Checked(stream))
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def _streams() -> list[_Checked]:
    """stdout and stderr, where they are checked."""
    return [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, _Checked)]


def _flush() -> None:
    """Write what the streams still hold: at the end of the process it would be too late to handle an error."""
    for stream in _streams():
        stream.flush()


def _ended_by(error: OutputError) -> int:
    """The exit code after an error of the output, which is printed unless the reader has left."""
    _silence()
    if error.errno in (errno.EPIPE, errno.EINVAL):  # the latter on Windows
        return READER_LEFT
    with suppress(OutputError):  # stderr may be the same file
        print(f"the output could not be written: {error.strerror}", file=sys.stderr, flush=True)
    return 1


def _silence() -> None:
    """Write what the streams still hold; the file of a stream that cannot be written to becomes the null device.

    Otherwise the interpreter would complain about it at its end.
    """
    for stream in _streams():
        try:
            stream.flush()
        except OutputError:
            stream.error = None
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
