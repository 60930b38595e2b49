"""What handlers gave is kept: by arguments and weights, bounded, computed once, and honest about time."""

import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import gradio as gr
import pytest
import torch
from gradio.caching import TrackManualCacheUsage, used_manual_cache

from ganlib.demo import cache, generate, models
from ganlib.demo.cache import cached
from tests.conftest import untrained


@pytest.fixture(autouse=True)
def store(monkeypatch):
    """A cache of its own."""
    found = gr.Cache(max_size=8, max_memory=10_000)
    monkeypatch.setattr(cache, "STORE", found)
    return found


@pytest.fixture
def opened(monkeypatch):
    """Makes a model one that the page has opened."""
    monkeypatch.setattr(models, "_models", {})

    def put(name, model):
        future: Future = Future()
        future.set_result(model)
        models._models[name] = models.Opened(future, float("inf"))

    return put


def test_a_call_is_computed_once_for_its_arguments():
    calls = []

    @cached()
    def add(a: int, b: int = 1, more: dict | None = None) -> dict[str, list[int]]:
        """Adds."""
        calls.append((a, b, more))
        return {"sum": [a + b]}

    first = add(1)
    first["sum"].append("changed by the caller")
    assert add(1, 1) == add(a=1, b=1, more=None) == {"sum": [2]}
    assert len(calls) == 1
    for other in (lambda: add(1.0), lambda: add(1, 2), lambda: add(1, more={"x": 1}), lambda: add(True)):
        other()
    assert len(calls) == 5
    assert add.__doc__ == "Adds."
    assert add.__annotations__["a"] is int
    cache.clear()
    add(1)
    assert len(calls) == 6


def test_what_json_cannot_write_is_not_kept():
    calls = []
    total = cached()(lambda x: calls.append(x) or len(calls))
    assert [total(torch.ones(1)), total(torch.ones(1)), total(float("nan")), total(float("nan"))] == [1, 2, 3, 4]
    with pytest.raises(TypeError, match="missing 1 required"):
        total()


def test_a_changed_model_is_computed_anew(opened):
    calls = []
    ask = cached()(lambda model, seed: calls.append(seed) or len(calls))
    ask_table = cached()(lambda asked: calls.append(asked) or len(calls))
    opened("bob/one", untrained())
    assert ask("bob/one", 7) == ask("bob/one", 7) == 1
    assert ask_table({"model": "bob/one"}) == ask_table({"model": "bob/one"}) == 2
    opened("bob/one", untrained())  # opened again, and the same
    assert ask("bob/one", 7) == 1
    changed = untrained()
    with torch.no_grad():
        next(changed.discriminator.parameters()).add_(1)
    opened("bob/one", changed)
    assert ask("bob/one", 7) == 3
    assert ask_table({"model": "bob/one"}) == 4
    renamed = untrained()
    renamed.config = {"class_names": ["apple"]}
    opened("bob/one", renamed)
    assert ask("bob/one", 7) == 5


def test_a_result_of_weights_that_changed_meanwhile_is_not_kept(opened):
    numbers = iter(range(9))

    @cached()
    def ask(model: str) -> int:
        opened(model, untrained("mlp-gan") if (number := next(numbers)) == 0 else untrained())
        return number

    opened("bob/one", untrained())
    assert ask("bob/one") == 0
    opened("bob/one", untrained())
    assert ask("bob/one") == 1
    assert ask("bob/one") == 1


def test_gradio_writes_nothing_on_the_controls_of_a_cached_answer():
    @cached()
    def ask(number: int) -> int:
        return number

    ask(1)
    with TrackManualCacheUsage():
        assert ask(1) == 1
        assert not used_manual_cache()


def test_errors_are_not_kept():
    answers = iter([ValueError("out of luck"), 3])

    @cached()
    def ask(number: int) -> int:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    with pytest.raises(ValueError, match="out of luck"):
        ask(1)
    assert ask(1) == ask(1) == 3


def test_a_model_that_the_page_does_not_have_is_left_to_the_function():
    asked = []
    ask = cached()(lambda model: asked.append(model) or len(asked))
    assert [ask("../no model"), ask("../no model"), ask(None)] == [1, 2, 3]


def test_two_equal_calls_at_once_compute_once_and_an_error_is_of_the_call_that_made_it():
    begun, go, calls = threading.Event(), threading.Event(), []

    @cached()
    def slow(number: int) -> int:
        calls.append(number)
        begun.set()
        assert go.wait(30)
        if len(calls) == 1 and number < 0:
            raise ValueError("the first one fails")
        return number

    with ThreadPoolExecutor(3) as threads:
        both = [threads.submit(slow, 5)]
        assert begun.wait(30)
        both.append(threads.submit(slow, 5))
        go.set()
        assert [call.result(30) for call in both] == [5, 5]
        assert calls == [5]
        go.clear()
        begun.clear()
        calls.clear()
        first = threads.submit(slow, -1)
        assert begun.wait(30)
        second = threads.submit(slow, -1)
        go.set()
        with pytest.raises(ValueError, match="the first one fails"):
            first.result(30)
        assert second.result(30) == -1


def test_the_least_recently_used_result_goes_first(store):
    calls = []
    ask = cached()(lambda number: calls.append(number) or b"x" * 4_000)
    for number in (1, 2, 1, 3, 1, 2):  # two of them fit
        ask(number)
    assert calls == [1, 2, 3, 2]
    small = cached()(lambda number: number)
    for number in range(100):
        small(number)
    assert len(store) <= 8


def test_a_kept_picture_tells_no_time_that_was_not_measured_now():
    first, status = generate.generate("dcgan", 7, 4, 1, [])
    again, kept = generate.generate("dcgan", 7, 4, 1, [])
    assert re.match(r"\*\*dcgan\*\* on [A-Z]+: 4 pictures in \d+ ms\. ", status)
    assert re.match(r"\*\*dcgan\*\* on [A-Z]+: 4 pictures from the cache\. ", kept)
    assert " ms" not in kept
    assert again.tobytes() == first.tobytes()
    assert again.info == first.info
    assert "1 picture in " in generate.generate("dcgan", 7, 1, 1, [])[1]
