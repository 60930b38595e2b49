"""Confines a Python process whose PYTHONPATH names this folder: to loopback, and for what it writes to one folder.

CONFINED_TO names the folder, CONFINED_LOG a file that is there already. What goes further is refused by a
PermissionError, and is a line in that file. The system's devices may be written to.
"""

import os
import sys

HOME = os.path.realpath(os.environ["CONFINED_TO"])
LOG = os.open(os.environ["CONFINED_LOG"], os.O_WRONLY | os.O_APPEND)
LOOPBACK = ("127.", "::1", "::ffff:127.")
OURSELVES = ("", "localhost", "0.0.0.0", "::")  # all of them this machine
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# which of its arguments each changes; the last is an open folder that it is relative to, or -1
CHANGES = {"os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1}


def outside(path) -> bool:
    if isinstance(path, int):  # already open
        return False
    place = os.path.realpath(os.fsdecode(path))
    return place != HOME and not place.startswith((HOME + os.sep, "/dev/"))


def far(host) -> bool:
    host = os.fsdecode(host or "")
    return not host.startswith(LOOPBACK) and host not in OURSELVES


def confine(event: str, arguments: tuple) -> None:
    refused = None
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and far(address[0]):  # others are paths of sockets
            refused = address
    elif event == "socket.getaddrinfo":
        if far(arguments[0]):
            refused = arguments[0]
    elif event == "open":
        path, _, flags = arguments
        if flags & WRITING and outside(path):
            refused = path
    elif event in CHANGES:
        path = arguments[CHANGES[event]]
        if arguments[-1] == -1 and outside(path):
            refused = path
    if refused is not None:
        os.write(LOG, f"{event} {refused!r}\n".encode())
        raise PermissionError(f"confined: {event} {refused!r}")


sys.addaudithook(confine)
