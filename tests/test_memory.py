"""The page's process gives memory back, and its answers stay the same."""

import gc
import mmap
import re
import sys
import threading
from pathlib import Path

import pytest

import ganlib
from ganlib.demo import memory


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says of a process")
def test_what_is_given_back_changes_no_sample():
    model = ganlib.load("dcgan", "cpu")
    expected, working, wrong = model.sample(range(4)), threading.Event(), []

    def work() -> None:
        for _ in range(5):
            wrong.append(not model.sample(range(4)).allclose(expected, atol=1e-5))
            working.set()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    working.wait()
    while any(thread.is_alive() for thread in threads):
        memory.trim()
        memory.forget_code()
    assert wrong == [False] * 10


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says of a process")
def test_code_that_nobody_uses_is_unmapped(tmp_path):
    path = tmp_path / "library.so"
    path.write_bytes(bytes(2**20))

    def resident() -> int:
        smaps = Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace")
        return int(re.search(r"^Rss: +(\d+) kB$", smaps[smaps.index(str(path)):], re.MULTILINE)[1])

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as mapped:
        assert mapped[:] == bytes(2**20)
        assert resident() == 1_024
        memory.forget_code()
        assert resident() == 0
        assert mapped[:] == bytes(2**20)


def test_garbage_is_searched_for_again_after_the_start():
    with memory.without_collecting():
        assert not gc.isenabled()
    assert gc.isenabled()
