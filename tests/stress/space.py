"""Small disks and folders that cannot be written to, for a process that was forked, or for a program.

A disk is a tmpfs in a mount namespace of the process alone, which needs no rights on most Linux systems.
"""

import ctypes
import os
import subprocess
from pathlib import Path

NEW_NAMESPACE, NEW_USERS = 0x20000, 0x10000000  # CLONE_NEWNS, CLONE_NEWUSER
READ_ONLY, REMOUNT, PRIVATE = 1, 32, 0x4000 | 0x40000  # MS_RDONLY, MS_REMOUNT, MS_REC | MS_PRIVATE
CAPABILITIES, OVERRIDES = 0x20080522, 0b1110  # the version; CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER


def has_disks() -> bool:
    """Whether this system lets a process have a disk of its own."""
    try:
        command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/"]
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def program_on_disk(size: int, folder: Path, command: list) -> list[str]:
    """The command of a program that sees a disk of so many kilobytes in place of a folder."""
    return ["unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o size={size}k none "$0" && exec "$@"', str(folder),
            *map(str, command)]


def put_on_disk(folder: Path, size: int) -> None:
    """From now on this process, which was forked, sees a disk of so many kilobytes in place of a folder.

    Raises OSError where the system does not let it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    _check(libc.unshare(NEW_NAMESPACE | NEW_USERS))
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path("/proc/self", name).write_text(text)
    _check(libc.mount(b"none", b"/", None, PRIVATE, None))
    _check(libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, f"size={size}k".encode()))


def make_read_only(folder: Path) -> None:
    """From now on this process cannot write to that disk."""
    _check(ctypes.CDLL(None, use_errno=True).mount(b"none", os.fsencode(folder), None, READ_ONLY | REMOUNT, None))


def obey() -> None:
    """From now on this process obeys the rights of files and folders, also if root started it."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    _check(libc.capget(header, sets))
    for i in range(3):  # what is effective, permitted and inherited
        sets[i] &= ~OVERRIDES
    _check(libc.capset(header, sets))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
