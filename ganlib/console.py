"""Output of command lines that works in any encoding, and for a reader that leaves early, such as `head`."""

import codecs
import errno
import functools
import os
import re
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TextIO

READER_LEFT = 141  # the exit code of a program that SIGPIPE ends, in a shell
SIMILAR = {
    "×": "x", "·": "*", "•": "*", "÷": "/", "⁄": "/", "−": "-", "±": "+-", "≈": "~", "≠": "!=", "≤": "<=", "≥": ">=",
    "∞": "inf", "√": "sqrt", "∇": "grad", "‖": "||", "→": "->", "←": "<-", "↔": "<->", "⇒": "=>", "↑": "^", "↓": "v",
    "‐": "-", "‑": "-", "–": "-", "—": "-", "‘": "'", "’": "'", "‚": ",", "“": '"', "”": '"', "„": '"', "«": '"',
    "»": '"', "…": "...", "ß": "ss", "λ": "lambda", "°": "deg", "€": "EUR", "✓": "yes", "✗": "no"}
LETTER = re.compile(r"(?:GREEK|LATIN) (SMALL|CAPITAL) LETTER (?:FINAL |DOTLESS )?([A-Z]+)(?: WITH .*)?")

Parameters = ParamSpec("Parameters")


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
    """A program's main function, whose output cannot fail, as a function that returns the exit code, 0 for None.

    Characters that the encoding of stdout or stderr lacks are replaced by `to_ascii`. If the reader of the output has
    left, the program ends silently with the code READER_LEFT. If the output cannot be written for another reason, for
    example because a disk is full, a sentence says so, and the code is 1.
    """
    @functools.wraps(main)
    def run(*arguments: Parameters.args, **options: Parameters.kwargs) -> int:
        try:
            for name in ("stdout", "stderr"):
                if getattr(sys, name) is None:  # closed by `>&-`; progress bars need one
                    setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
            for stream in _streams():
                stream.reconfigure(errors="to-ascii")  # type: ignore[attr-defined]
            try:
                return main(*arguments, **options) or 0
            finally:
                _flush()
        except BrokenPipeError:
            _silence()
            return READER_LEFT
        except _OutputError as error:
            _silence()
            print(f"the output could not be written: {error}", file=sys.stderr)
            return 1
    return run


class _OutputError(Exception):
    """The output could not be written; the message is the system's reason."""


def _streams() -> list[TextIO]:
    """stdout and stderr, without those that are closed or are no text files."""
    return [stream for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure") and not stream.closed]


def _flush() -> None:
    """Write what the streams still hold: at the end of the process it would be too late to handle an error."""
    for stream in _streams():
        try:
            stream.flush()
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.EINVAL):  # the latter on Windows
                raise BrokenPipeError from None
            raise _OutputError(error.strerror) from None


def _silence() -> None:
    """Lead the streams that cannot be written to nowhere, or the interpreter would complain about them at its end."""
    for stream in _streams():
        try:
            stream.flush()
        except OSError:
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
