"""A file is written completely or not at all."""

import errno
import os

import pytest

from ganlib.files import PARTIAL, read_file, replacing, tidy


def test_the_file_is_replaced_at_the_end(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"before")
    with replacing(path) as first, replacing(str(path)) as second:  # of two processes
        first.write_bytes(b"first")
        second.write_bytes(b"second")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full"), ValueError("wrong")], ids=repr)
def test_an_error_leaves_the_file_as_it_was(tmp_path, error):
    path = tmp_path / "x.txt"
    path.write_bytes(b"before")

    def write():
        with replacing(path) as partial:
            partial.write_bytes(b"part")
            raise error

    with pytest.raises(type(error)) as caught:
        write()
    assert getattr(caught.value, "filename", str(path)) == str(path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_names_the_file(tmp_path):
    for path, code in ((tmp_path / "none" / "x.txt", errno.ENOENT), (tmp_path / ("x" * 300), errno.ENAMETOOLONG)):
        with pytest.raises(OSError, match=os.strerror(code)) as caught, replacing(path) as partial:
            partial.write_bytes(b"")
        assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "x.txt"):
        (tmp_path / "other.txt").read_bytes()
    assert caught.value.filename == str(tmp_path / "other.txt")
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name_can_be_written(tmp_path):
    with replacing(tmp_path / ("x" * 255)) as partial:
        partial.write_bytes(b"all")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"all"


@pytest.mark.parametrize("what", ["pipe", "folder", "device", "large"])
def test_what_is_no_file_or_too_large_is_not_read(what, tmp_path):
    path = tmp_path / "x"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(bytes(11))
    with pytest.raises(OSError, match=r"it is no file|it has 11 bytes|Is a directory"):
        read_file(path, 10)


def test_a_file_is_read_whole(tmp_path):
    (tmp_path / "x").write_bytes(b"all")
    assert read_file(tmp_path / "x", 3) == b"all"


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / f"{PARTIAL}x").mkdir()
    (tmp_path / f"{PARTIAL}x" / "config.json").write_text("{")
    (tmp_path / ".0123.partial").touch()
    (tmp_path / "config.json").write_text("{}")
    tidy(tmp_path, tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
