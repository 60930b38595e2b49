"""The folder of models that visitors open: its quota, what goes first, and what a failed download leaves."""

import os
from pathlib import Path

import pytest

from ganlib.demo import shelf
from ganlib.demo.shelf import Shelf


def put(kept: Shelf, repo: str, size: int, used: float) -> Path:
    """A repo as the Hub's client keeps it: a snapshot of links to its blobs."""
    with kept.holding(repo, 1) as folder:
        place = folder / f"models--{repo.replace('/', '--')}"
        (place / "blobs").mkdir(parents=True, exist_ok=True)
        (place / "blobs" / "hash").write_bytes(bytes(size))
        snapshot = place / "snapshots" / "commit"
        snapshot.mkdir(parents=True, exist_ok=True)
        if not (snapshot / "config.json").exists():
            (snapshot / "config.json").symlink_to("../../blobs/hash")
        locks = folder / ".locks" / place.name
        locks.mkdir(parents=True, exist_ok=True)
    if place.exists():
        os.utime(place, (used, used))
    return place


def test_the_least_recently_used_repos_go_until_the_rest_fits(tmp_path):
    kept = Shelf(tmp_path, 10_000)
    one, two = put(kept, "bob/one", 4_000, 1), put(kept, "bob/two", 4_000, 2)
    with kept.holding("bob/one", 1):  # used again
        pass
    three = put(kept, "bob/three", 4_000, 3)
    assert [place.exists() for place in (one, two, three)] == [True, False, True]
    assert not (tmp_path / ".locks" / two.name).exists()
    four = put(Shelf(tmp_path, 4_500), "bob/four", 4_000, 4)  # the page starts again, and counts what is there
    assert [place.exists() for place in (one, three, four)] == [False, False, True]
    assert not put(kept, "bob/large", 11_000, 5).exists()


def test_a_repo_that_a_page_loads_stays(tmp_path):
    ours, theirs = Shelf(tmp_path, 10_000), Shelf(tmp_path, 0)  # of two pages
    one = put(ours, "bob/one", 1_000, 1)
    two = put(ours, "bob/two", 1_000, 2)
    with ours.holding("bob/one", 1):
        theirs.trim()
        assert [one.exists(), two.exists()] == [True, False]
        with pytest.raises(TimeoutError), theirs.holding("bob/one", 0):
            pass
    theirs.trim()
    assert not one.exists()


def test_nothing_is_left_of_a_failed_download(tmp_path):
    kept = Shelf(tmp_path, 10_000)

    def fail(repo: str) -> Path:
        with kept.holding(repo, 1) as folder:
            place = folder / f"models--{repo.replace('/', '--')}"
            (place / "blobs").mkdir(parents=True, exist_ok=True)
            (place / "blobs" / "other.incomplete").write_bytes(bytes(10))
            raise OSError("the connection is gone")

    with pytest.raises(OSError, match="gone"):
        fail("bob/new")
    assert not list(tmp_path.glob("models--*"))
    assert not list((tmp_path / "locks").iterdir())
    known = put(kept, "bob/known", 1_000, 1)
    with pytest.raises(OSError, match="gone"):
        fail("bob/known")
    assert [path.name for path in (known / "blobs").iterdir()] == ["hash"]


def test_parts_of_files_count_while_they_are_downloaded(tmp_path):
    kept = Shelf(tmp_path, 5_000)
    old = put(kept, "bob/old", 1_000, 1)
    with kept.holding("bob/new", 1) as folder:
        (folder / "models--bob--new" / "blobs").mkdir(parents=True)
        (folder / "models--bob--new" / "blobs" / "hash.incomplete").write_bytes(bytes(4_500))
        kept.trim()
        assert not old.exists()


def test_the_host_names_the_folder_and_the_quota(monkeypatch, tmp_path):
    monkeypatch.setenv("GANLIB_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("GANLIB_HUB_QUOTA", "5")
    found = shelf.open_shelf()
    assert (found.folder, found.quota) == (tmp_path, 5_000_000)
    monkeypatch.delenv("GANLIB_HUB_CACHE")
    monkeypatch.setenv("GANLIB_HUB_QUOTA", "")
    monkeypatch.setenv("HOME", "/home/alice")
    found = shelf.open_shelf()
    assert (found.folder, found.quota) == (Path("/home/alice/.cache/ganlib/visitors"), 10**9)
    for wrong in ("1.5", "-1", "many"):
        monkeypatch.setenv("GANLIB_HUB_QUOTA", wrong)
        with pytest.raises(ValueError, match=f"GANLIB_HUB_QUOTA must be a whole number of MB, not '{wrong}'"):
            shelf.open_shelf()
