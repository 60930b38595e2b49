"""What a part of the stress tests reports, and what several of them share."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NO_SENTENCE = re.compile(r"Traceback|object at 0x|[\r\n]|<class |site-packages")


@dataclass
class Report:
    """line: what was done, in words. faults: a sentence each, with what repeats it; empty if all is well."""

    line: str
    faults: list[str] = field(default_factory=list)


def no_sentence(text: object, most: int = 1_000) -> str:
    """What is wrong with an error message, which must be one sentence for people; empty if nothing is."""
    if not isinstance(text, str) or not text.strip():
        return f"no text: {text!r}"
    if len(text) > most:
        return f"{len(text):,} characters: {text[:200]!r}"
    found = NO_SENTENCE.search(text)
    return f"{found[0]!r} in {text[:400]!r}" if found else ""


def status(process: int | str = "self") -> dict[str, int]:
    """Numbers of /proc/PID/status: VmRSS and VmHWM in MB, Threads; empty where there is no such file."""
    path = Path("/proc", str(process), "status")
    if not path.exists():
        return {}
    found = re.findall(r"^(VmRSS|VmHWM|Threads):\s+(\d+)( kB)?", path.read_text(), re.MULTILINE)
    return {name: int(number) // 1_024 if unit else int(number) for name, number, unit in found}


def forget_peak() -> None:
    """Start to measure VmHWM of this process anew, where the system can."""
    if os.access("/proc/self/clear_refs", os.W_OK):
        Path("/proc/self/clear_refs").write_text("5")
