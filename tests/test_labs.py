"""The labs of the page's visitors: fair turns, who stays and who leaves, films that repeat, and the tab's functions."""

import asyncio
import base64
import gc
import io
import json
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

import ganlib
from ganlib import sampling
from ganlib.data import NotDownloaded
from ganlib.demo import gif, lab, stages, worker
from ganlib.demo import mnist as demo_mnist
from ganlib.demo.labs import Closed, Labs, Progress, Reached, Replaced, Seat, Turns, check_goal, count, remaining
from ganlib.lab import MAX_STEPS, STEPS_OF_COORDINATE, Lab, Settings, merged, read_film, unpack, write_film
from ganlib.recipes import RECIPES
from ganlib.training import NonFiniteLoss
from tests.lab_page import lab_page

RING = Settings.of({"target": "ring", "batch_size": 16, "width": 4, "depth": 1})
LINE = Settings.of({"target": "normal", "batch_size": 16, "width": 4, "depth": 1})


class FakeLab:
    """A lab whose step only takes time."""

    def __init__(self, settings: Settings, seconds: float = 0.0, log: list | None = None):
        self.settings, self.seconds, self.log = settings, seconds, log
        self.actions = ()

    def advance(self, who: str, steps: int = 1) -> None:
        time.sleep(self.seconds)
        self.actions = merged([*self.actions, (who, steps)])
        if self.log is not None:
            self.log.append(self.settings.target)

    def frame(self) -> bytes:
        return f"{self.settings.target} {self.actions}".encode()

    def opening(self) -> bytes:
        return b"opening"


class Gate:
    """Holds every step of a lab until it is opened."""

    def __init__(self):
        self.entered, self.open = threading.Semaphore(0), threading.Event()

    def lab(self, settings: Settings) -> FakeLab:
        made = FakeLab(settings)
        advance = made.advance

        def held(who: str, steps: int = 1) -> None:
            self.entered.release()
            assert self.open.wait(10)
            advance(who, steps)

        made.advance = held
        return made


def reach(labs: Labs, visitor: str, settings: Settings, goal) -> bytes:
    """The frame at a goal, however many requests it takes."""
    async def ask():
        while isinstance(answer := await labs.frame(visitor, settings, check_goal(goal)), Progress):
            pass
        return answer.frame

    return asyncio.run(ask())


def both(n: int):
    return (("both", n),)


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# the goal of a request


@pytest.mark.parametrize(("goal", "sentence"), [
    (None, "goal must be a list of at most 1,000 actions, not None"),
    ([["both", 1]] * 1_001, "goal must be a list of at most 1,000 actions, not "),
    (["both"], 'an action must be a pair such as ["both", 10], not '),
    ([["both", 1, 2]], 'an action must be a pair such as ["both", 10], not '),
    ([["nobody", 1]], "an action must name one of both, discriminator, generator, not 'nobody'"),
    ([[["both"], 1]], "an action must name one of both, discriminator, generator, not "),
    ([["both", 0]], f"the steps of an action must be a whole number from 1 to {MAX_STEPS}, not 0"),
    ([["both", 1.5]], f"the steps of an action must be a whole number from 1 to {MAX_STEPS}, not 1.5"),
    ([["both", MAX_STEPS], ["generator", 1]], f"a film has at most {MAX_STEPS:,} steps, not {MAX_STEPS + 1:,}"),
])
def test_a_goal_is_bounded_and_refused_in_one_sentence(goal, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        check_goal(goal)


def test_a_goal_is_merged():
    goal = check_goal([["both", 2], ["both", 3], ["discriminator", 1]])
    assert goal == (("both", 5), ("discriminator", 1))
    assert count(goal) == 6
    assert check_goal([]) == ()


@pytest.mark.parametrize(("done", "goal", "rest"), [
    ([], [], ()),
    ([], [["both", 3]], (("both", 3),)),
    ([["both", 3]], [["both", 3]], ()),
    ([["both", 3]], [["both", 5]], (("both", 2),)),
    ([["both", 3]], [["both", 5], ["generator", 1]], (("both", 2), ("generator", 1))),
    ([["both", 3], ["generator", 1]], [["both", 3], ["generator", 1], ["both", 1]], (("both", 1),)),
    ([["both", 3]], [["both", 2]], None),
    ([["both", 3]], [["generator", 3]], None),
    ([["both", 3]], [], None),
    ([["both", 3], ["generator", 1]], [["both", 4], ["generator", 1]], None),
    ([["both", 3], ["generator", 1]], [["both", 3]], None),
])
def test_what_is_left_of_a_goal(done, goal, rest):
    assert remaining(check_goal(done), check_goal(goal)) == rest


# whose turn it is


def test_a_cheap_lab_is_not_starved_by_an_expensive_one():
    log = []
    labs = Labs(lambda settings: FakeLab(settings, 0.02 if settings == RING else 0.001, log), workers=1, budget=9)

    async def two():
        expensive = asyncio.create_task(labs.frame("expensive", RING, both(10)))
        await asyncio.sleep(0.05)
        await labs.frame("cheap", LINE, both(40))
        left = 10 - log.count("ring")
        await expensive
        return left

    # 40 cheap steps take as long as two or three expensive ones
    assert asyncio.run(two()) >= 3


def test_time_not_steps_is_shared_equally():
    log = []
    labs = Labs(lambda settings: FakeLab(settings, 0.012 if settings == RING else 0.003, log), workers=1, budget=9)

    async def two():
        slow = asyncio.create_task(labs.frame("a", RING, both(30)))
        await labs.frame("b", LINE, both(60))
        done = log.count("ring")
        labs.close("a")
        await asyncio.gather(slow, return_exceptions=True)
        return done

    assert 10 <= asyncio.run(two()) <= 20  # 15 take as long as the other's 60


def test_a_newcomer_waits_for_the_step_in_progress_and_for_no_other():
    log, entered, opened = [], threading.Event(), threading.Event()

    def slices(name: str, n: int):
        for _ in range(n):
            log.append(name)
            entered.set()
            assert opened.wait(10)
            yield
        return Progress(n, n)

    turns = Turns(workers=1)
    works = [turns.run(Seat(), slices("old", 3)) for _ in range(5)]
    assert entered.wait(10)
    works.append(turns.run(Seat(), slices("new", 1)))
    opened.set()
    for work in works:
        work.future.result(10)
    assert log[:2] == ["old", "new"]


def test_a_request_trains_for_its_budget_and_then_tells_how_far_it_came():
    labs = Labs(lambda settings: FakeLab(settings, 0.01), workers=1, budget=0.05)

    async def ask():
        return await labs.frame("a", RING, both(50)), await labs.frame("a", RING, both(50))

    first, second = asyncio.run(ask())
    assert 1 <= first.done <= 6
    assert first.of == 50
    assert first.done < second.done <= 12


def test_of_two_requests_of_one_visitor_the_newer_one_counts():
    gate = Gate()
    labs = Labs(gate.lab, workers=2)

    async def two():
        older = asyncio.create_task(labs.frame("a", RING, both(3)))
        await asyncio.to_thread(gate.entered.acquire)
        newer = asyncio.create_task(labs.frame("a", RING, both(2)))
        with pytest.raises(Replaced, match="a newer request of the same page took the place of this one"):
            await older
        assert not await asyncio.to_thread(gate.entered.acquire, timeout=0.1)  # no second thread is in the lab
        gate.open.set()
        return await newer

    assert asyncio.run(two()) == Reached(b"ring (('both', 2),)")


def test_a_cancelled_request_trains_no_further():
    gate = Gate()
    labs = Labs(gate.lab, workers=1)

    async def leave_early():
        asked = asyncio.create_task(labs.frame("a", RING, both(1_000)))
        await asyncio.to_thread(gate.entered.acquire)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        gate.open.set()

    asyncio.run(leave_early())
    time.sleep(0.05)
    assert not gate.entered.acquire(blocking=False)


def test_workers_have_one_thread_of_torch_each_and_others_keep_theirs():
    before = torch.get_num_threads()
    found = []

    class Asks(FakeLab):
        def advance(self, who, steps=1):
            found.append(torch.get_num_threads())
            super().advance(who, steps)

    torch.set_num_threads(3)
    try:
        reach(Labs(Asks, workers=2), "a", RING, [["both", 3]])
        elsewhere = []
        thread = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert (set(found), torch.get_num_threads(), elsewhere) == ({1}, 3, [3])
    finally:
        torch.set_num_threads(before)


def test_no_thread_starts_before_the_first_request():
    running = set(threading.enumerate())
    labs = Labs(FakeLab)
    assert set(threading.enumerate()) == running
    reach(labs, "a", RING, [])
    new = set(threading.enumerate()) - running
    assert new
    assert all(thread.daemon for thread in new)
    labs.close("a")


# who stays


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_lab_that_is_idle_longest_makes_room():
    clock = Clock()
    labs = Labs(FakeLab, workers=1, limit=2, clock=clock)
    for visitor in "ab":
        reach(labs, visitor, RING, [["both", 1]])
        clock.now += 1
    reach(labs, "a", RING, [["both", 2]])
    clock.now += 1
    reach(labs, "c", RING, [["both", 1]])
    assert [visitor for visitor in "abc" if visitor in labs] == ["a", "c"]


def test_a_lab_that_computes_does_not_make_room():
    gate, clock = Gate(), Clock()
    labs = Labs(gate.lab, workers=2, limit=2, clock=clock)

    async def visit():
        tasks = [asyncio.create_task(labs.frame(visitor, RING, both(1))) for visitor in "ab"]
        for _ in tasks:
            await asyncio.to_thread(gate.entered.acquire)
        with pytest.raises(ValueError, match="2 visitors train here at this moment"):
            await labs.frame("c", RING, both(1))
        gate.open.set()
        await asyncio.gather(*tasks)
        await labs.frame("c", RING, both(1))

    asyncio.run(visit())
    assert len(labs) == 2
    assert "c" in labs


def test_an_idle_lab_is_swept():
    clock = Clock()
    labs = Labs(FakeLab, workers=1, idle=60, clock=clock)
    reach(labs, "a", RING, [["both", 1]])
    clock.now += 30
    reach(labs, "b", RING, [["both", 1]])
    clock.now += 31
    labs.sweep()
    assert "a" not in labs
    assert "b" in labs


def test_idle_labs_are_swept_although_nobody_asks():
    labs = Labs(FakeLab, workers=1, idle=0.06)
    reach(labs, "a", RING, [["both", 1]])
    assert len(labs) == 1
    until(lambda: len(labs) == 0)
    until(lambda: labs._timer is None)  # nothing is left that would wake up


def test_a_lab_that_computes_is_not_idle():
    gate, clock = Gate(), Clock()
    labs = Labs(gate.lab, workers=1, idle=60, clock=clock)

    async def long():
        asked = asyncio.create_task(labs.frame("a", RING, both(1)))
        await asyncio.to_thread(gate.entered.acquire)
        clock.now += 100
        labs.sweep()
        gate.open.set()
        return await asked

    assert isinstance(asyncio.run(long()), Reached)
    assert "a" in labs


def test_a_closed_lab_frees_its_memory_and_gives_up_its_work():
    gate, made = Gate(), []

    def make(settings):
        lab = gate.lab(settings)
        made.append(weakref.ref(lab))
        return lab

    labs = Labs(make, workers=1)

    async def leave():
        asked = asyncio.create_task(labs.frame("a", RING, both(1_000)))
        await asyncio.to_thread(gate.entered.acquire)
        labs.close("a")
        with pytest.raises(Closed, match="the page that asked was closed"):
            await asked
        gate.open.set()

    asyncio.run(leave())
    assert len(labs) == 0

    def freed():
        gc.collect()
        return made[0]() is None

    until(freed)


def test_a_real_lab_is_freed_when_its_page_closes():
    made = []

    def make(settings):
        lab = Lab(settings)
        made.append(weakref.ref(lab))
        return lab

    labs = Labs(make, workers=1)
    reach(labs, "a", RING, [["both", 2]])
    labs.close("a")
    until(lambda: gc.collect() >= 0 and made[0]() is None)


def test_closing_a_page_that_has_no_lab_does_nothing():
    Labs(FakeLab).close("nobody")


# films


def test_a_lab_goes_on_where_its_actions_begin_the_goal_and_else_starts_anew():
    made = []
    labs = Labs(lambda settings: made.append(settings) or FakeLab(settings), workers=1)
    reach(labs, "a", RING, [["both", 3]])
    reach(labs, "a", RING, [["both", 5], ["discriminator", 1]])
    assert len(made) == 1
    reach(labs, "a", RING, [["both", 4]])  # back in time
    assert len(made) == 2
    reach(labs, "a", LINE, [["both", 4]])  # another target
    assert made == [RING, RING, LINE]


def test_a_film_repeats_after_its_lab_was_dropped():
    labs = Labs(workers=1)
    goals = [[["both", 4]], [["both", 4], ["discriminator", 2], ["generator", 1]]]
    frames = [reach(labs, "a", RING, goal) for goal in goals]
    labs.close("a")
    assert reach(labs, "b", RING, goals[1]) != b""
    assert [reach(labs, "a", RING, goal) for goal in goals] == frames


def test_two_visitors_at_once_do_not_touch_each_other():
    alone = {settings: reach(Labs(workers=1), "a", settings, [["both", 12]]) for settings in (RING, LINE)}
    labs = Labs(workers=2, budget=60)

    async def together():
        return await asyncio.gather(labs.frame("a", RING, both(12)), labs.frame("b", LINE, both(12)))

    assert [answer.frame for answer in asyncio.run(together())] == list(alone.values())


def test_a_training_that_breaks_down_says_what_to_change():
    class Breaks(FakeLab):
        def advance(self, who, steps=1):
            if count(self.actions) == 3:
                raise NonFiniteLoss("inf")
            super().advance(who, steps)

    labs = Labs(Breaks, workers=1)
    with pytest.raises(ValueError, match="broke down after 3 steps.*Choose lower learning rates"):
        reach(labs, "a", RING, [["both", 9]])
    assert reach(labs, "a", RING, [["both", 2]]) == b"ring (('both', 2),)"


# GIFs


def picture(size=(20, 10), kind="PNG", colour="red") -> bytes:
    output = io.BytesIO()
    Image.new("RGB", size, colour).save(output, kind)
    return output.getvalue()


def in_base64(files: list[bytes]) -> list[str]:
    return [base64.b64encode(file).decode() for file in files]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_pictures_become_a_gif(kind):
    frames = in_base64([picture(kind=kind, colour=colour) for colour in ("red", "blue")])
    with Image.open(io.BytesIO(gif.make(frames, 100))) as movie:
        assert (movie.format, movie.n_frames, movie.size) == ("GIF", 2, (20, 10))
        assert movie.info["loop"] == 0
        assert movie.info["duration"] == 100


def bomb() -> bytes:
    """A PNG that says to have 30,000 by 30,000 pixels."""
    data = bytearray(picture())
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    return bytes(data)


@pytest.mark.parametrize(("frames", "milliseconds", "sentence"), [
    ([b"nothing"], 100, "picture 1 is not a PNG or JPEG picture"),
    ([picture(kind="GIF")], 100, "picture 1 is not a PNG or JPEG picture"),
    ([picture(), picture()[:40]], 100, "picture 2 is not a PNG or JPEG picture"),
    ([picture((801, 2))], 100, "picture 1 has 801 by 2 pixels, more than 800 by 800 pixels"),
    ([bomb()], 100, "picture 1 is not a PNG or JPEG picture"),
    ([picture(kind="WEBP")], 100, "picture 1 is not a PNG or JPEG picture"),
    ([picture(), picture((20, 11))], 100, "all pictures of a GIF must have one size; picture 2 has another"),
    ([picture()], 5, "milliseconds must be a whole number from 20 to 2000, not 5"),
    ([picture()], "100", "milliseconds must be a whole number from 20 to 2000, not '100'"),
])
def test_what_is_no_gif_is_refused_in_one_sentence(frames, milliseconds, sentence):
    with pytest.raises(ValueError, match=sentence):
        gif.make(in_base64(frames), milliseconds)


@pytest.mark.parametrize(("frames", "sentence"), [
    (None, "frames must be a list of 1 to 80 pictures"),
    ([], "frames must be a list of 1 to 80 pictures"),
    (["AAAA"] * 81, "frames must be a list of 1 to 80 pictures"),
    ([7], "frames must be a list of 1 to 80 pictures"),
    (["A" * 16_100_000], "the pictures of a GIF must have at most 12 MB together"),
    (["?"], "frames must be pictures in base64"),
])
def test_frames_are_bounded_before_they_are_decoded(frames, sentence):
    with pytest.raises(ValueError, match=sentence):
        gif.decode(frames)


# what the stage calls


class Asks:
    """A request of the page of a visitor."""

    def __init__(self, visitor: str):
        self.visitor = visitor

    async def json(self):
        return {"session_hash": self.visitor}


def ask(function, *arguments) -> dict:
    answer = asyncio.run(function(*arguments))
    assert json.loads(json.dumps(answer)) == answer
    return answer


@pytest.fixture
def labs(monkeypatch):
    found = Labs(workers=1, budget=60)
    monkeypatch.setattr(lab, "LABS", found)
    return found


def test_the_stage_gets_frames_and_the_opening_it_asks_for(labs):
    request = {"settings": asdict(RING), "goal": [["both", 2], ["discriminator", 1]], "opening": True}
    answer = ask(lab.lab_frame, request, Asks("a"))
    header, arrays = unpack(base64.b64decode(answer["frame"]))
    assert (header["step"], header["actions"]) == (2, request["goal"])
    assert arrays["generated"].shape == (500, 2)
    assert Settings.of(unpack(base64.b64decode(answer["opening"]))[0]["settings"]) == RING
    assert set(ask(lab.lab_frame, request | {"opening": False}, Asks("a"))) == {"frame"}
    assert "a" in labs
    lab.leave(SimpleNamespace(session_hash="a"))
    assert "a" not in labs


def test_the_stage_asks_again_while_a_lab_catches_up(monkeypatch):
    monkeypatch.setattr(lab, "LABS", Labs(lambda settings: FakeLab(settings, 0.01), workers=1, budget=0.02))
    request = {"settings": asdict(RING), "goal": [["both", 9]]}
    answers = [ask(lab.lab_frame, request, Asks("a"))]
    while "progress" in answers[-1]:
        answers.append(ask(lab.lab_frame, request, Asks("a")))
    assert [answer["of"] for answer in answers[:-1]] == [9] * (len(answers) - 1)
    assert set(answers[-1]) == {"frame"}


def test_a_page_that_lost_its_lab_while_it_waited_asks_again(monkeypatch):
    gate = Gate()
    monkeypatch.setattr(lab, "LABS", Labs(gate.lab, workers=1))

    async def lose():
        asked = asyncio.create_task(lab.lab_frame({"settings": asdict(RING), "goal": [["both", 9]]}, Asks("a")))
        await asyncio.to_thread(gate.entered.acquire)
        lab.leave(SimpleNamespace(session_hash="a"))
        gate.open.set()
        return await asked

    assert asyncio.run(lose()) == {"progress": 0, "of": 9}


@pytest.mark.parametrize(("request_", "sentence"), [
    (None, "The request must be a table of names and values, not None."),
    ({}, "Settings must be a table of names and values, not None."),
    ({"settings": {"target": "moon"}, "goal": []}, "Target must be one of normal, "),
    ({"settings": {"target": "ring", "width": 10_000}, "goal": []}, "Width must be a whole number from "),
    ({"settings": {"target": "ring", "colour": 1}, "goal": []}, "The lab has no field 'colour'."),
    ({"settings": {"target": "ring"}}, "Goal must be a list of at most 1,000 actions, not None."),
])
def test_a_wrong_request_of_the_stage_is_answered_with_a_sentence(labs, request_, sentence):
    answer = ask(lab.lab_frame, request_, Asks("a"))
    assert answer["error"].startswith(sentence)
    assert answer["error"].endswith(".")
    assert not answer["again"]
    assert len(labs) == 0


def test_where_all_labs_are_in_use_the_stage_may_ask_again(monkeypatch):
    gate = Gate()
    monkeypatch.setattr(lab, "LABS", Labs(gate.lab, workers=1, limit=1))

    async def crowd():
        first = asyncio.create_task(lab.lab_frame({"settings": asdict(RING), "goal": [["both", 1]]}, Asks("a")))
        await asyncio.to_thread(gate.entered.acquire)
        answer = await lab.lab_frame({"settings": asdict(RING), "goal": [["both", 1]]}, Asks("b"))
        gate.open.set()
        await first
        return answer

    assert asyncio.run(crowd()) == {"error": "1 visitors train here at this moment.", "again": True}


def test_a_fault_of_ours_is_answered_with_a_sentence_and_logged(labs, monkeypatch, caplog):
    def fault(settings):
        raise RuntimeError("secret")

    monkeypatch.setattr(lab, "LABS", Labs(fault, workers=1))
    answer = ask(lab.lab_frame, {"settings": {"target": "ring"}, "goal": []}, Asks("a"))
    assert answer == {"error": "Something went wrong on the server (RuntimeError).", "again": True}
    assert "secret" in caplog.text


def test_a_recorded_film_is_sent_as_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "FILM_FOLDER", tmp_path)
    name = next(iter(lab.FILMS))
    found = Lab(RING)
    write_film(tmp_path / f"{name}.gz", found.opening(), [found.frame()])
    content = (tmp_path / f"{name}.gz").read_bytes()
    assert ask(lab.lab_film, {"name": name}) == {"film": base64.b64encode(content).decode()}
    assert [film["name"] for film in lab.page()["films"]] == [name]
    for wrong in ("nothing", "../lab", None, ["ring"]):
        assert ask(lab.lab_film, {"name": wrong})["error"].startswith("There is no film ")


def test_every_film_is_in_the_package_and_has_a_title():
    assert {path.stem for path in lab.FILM_FOLDER.glob("*.gz")} == set(lab.FILMS)


@pytest.mark.parametrize("name", lab.FILMS)
def test_a_film_ends_as_its_sentence_says(name):
    film, (opening, frames) = lab.film_of(name), read_film(lab.film_path(name))
    header, (last, arrays) = unpack(opening)[0], unpack(frames[-1])
    assert unpack(frames[0])[0]["step"] == 0
    assert f"{last['step']:,} steps" in film["sentence"]
    if header["recipe"] is None:
        assert Settings.of(header["settings"]) == Settings.of({"target": film["target"]})
        return
    assert last["step"] == RECIPES[header["recipe"]].train.steps
    model = ganlib.load(header["recipe"], "cpu")  # the shipped one
    low, high = (torch.tensor(header["extent"])[i::2] for i in (0, 1))
    shown = (low + high) / 2 + (high - low) / 2 * torch.from_numpy(arrays["generated"].copy()) / STEPS_OF_COORDINATE
    z = sampling.noise(0, len(shown), model.architecture.latent_dim)
    torch.testing.assert_close(shown, model.decode(z), atol=((high - low) / STEPS_OF_COORDINATE).max().item(), rtol=0)


def test_pictures_are_returned_as_a_gif():
    frame = base64.b64encode(picture()).decode()
    answer = ask(lab.lab_gif, {"frames": [frame, frame], "milliseconds": 50})
    assert base64.b64decode(answer["gif"]).startswith(b"GIF89a")
    assert ask(lab.lab_gif, {"frames": [], "milliseconds": 50})["error"].startswith("Frames must be a list")


def test_few_gifs_wait_at_once(monkeypatch):
    monkeypatch.setattr(worker, "_places", threading.Semaphore(0))
    frame = base64.b64encode(picture()).decode()
    assert ask(lab.lab_gif, {"frames": [frame], "milliseconds": 50}) == {
        "error": "The server makes files for others at this moment.", "again": True}


# what the stage knows


def test_the_controls_are_the_labs_settings_with_its_bounds():
    page = lab.page()
    assert json.loads(json.dumps(page))
    assert {control["name"] for control in page["controls"]} == set(asdict(RING)) - {"target", "drawn"}
    for target in page["targets"]:
        settings = page["defaults"][target["name"]]
        for control in page["controls"]:
            if target["kind"] not in control["kinds"] or target["name"] not in (control["targets"] or [target["name"]]):
                continue
            value = settings[control["name"]]
            ends = ([choice for choice, _ in control["choices"]] if control["type"] == "choice"
                    else [control["low"], control["high"]])
            assert value in ends if control["type"] == "choice" else ends[0] <= value <= ends[1]
            for end in ends:  # all that a control offers is allowed
                Settings.of(settings | {control["name"]: end})


def test_no_target_has_a_control_twice():
    page = lab.page()
    for target in page["targets"]:
        names = [control["name"] for control in page["controls"] if target["kind"] in control["kinds"]
                 and target["name"] in (control["targets"] or [target["name"]])]
        assert len(names) == len(set(names))


def test_every_sentence_of_the_tab_has_less_than_twenty_words():
    page = lab.page()
    texts = [lab.EXPLANATION, lab.FINISHED, *(control["info"] for control in page["controls"]),
             *(film["sentence"] for film in page["films"]), demo_mnist.DOWNLOAD, demo_mnist.NO_DOWNLOAD,
             demo_mnist.NO_READING, demo_mnist.NO_TORCHVISION,
             *(text for story in page["stories"] for text in story["watch"])]
    for sentence in re.split(r"(?<=[.!?])\s", " ".join(texts)):
        assert len(sentence.split()) < 20, sentence


def test_in_a_space_links_name_the_space(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "alice/page")
    assert '"space": "alice/page"' in stages.script("lab", {}).partition("\n")[0]
    monkeypatch.delenv("SPACE_ID")
    assert '"space": null' in stages.script("lab", {}).partition("\n")[0]


# MNIST


@pytest.fixture
def mnist(monkeypatch, tmp_path):
    """A server without MNIST, and how often it was opened; `ready` lets the opening end."""
    monkeypatch.setenv("GANLIB_DATA", str(tmp_path))
    found = SimpleNamespace(opened=[], ready=threading.Event(), error=None)

    def open_target(settings, download):
        found.opened.append(download)
        if not download:
            raise NotDownloaded("mnist is not here yet")
        assert found.ready.wait(10)
        if found.error:
            raise found.error

    monkeypatch.setattr(demo_mnist, "open_target", open_target)
    monkeypatch.setattr(lab, "MNIST", demo_mnist.Mnist(patience=0.05))
    monkeypatch.setattr(lab, "LABS", Labs(FakeLab, workers=1))
    return found


DIGITS = {"settings": {"target": "digits"}, "goal": []}


def test_mnist_is_downloaded_once_and_only_for_a_visitor_who_agreed(mnist):
    assert ask(lab.lab_digits, {}) == {"digits": {"download": demo_mnist.DOWNLOAD}}
    assert ask(lab.lab_frame, DIGITS, Asks("a")) == {"download": demo_mnist.DOWNLOAD}
    agreed = DIGITS | {"download": True}
    for visitor in "abb":
        assert ask(lab.lab_frame, agreed, Asks(visitor)) == {"progress": 0, "of": 0}
    assert mnist.opened == [False, True]
    mnist.ready.set()
    until(lambda: "frame" in ask(lab.lab_frame, agreed, Asks("a")))
    assert mnist.opened == [False, True]
    assert ask(lab.lab_digits, {}) == {"digits": None}


def test_a_download_that_failed_is_told_in_a_sentence_and_may_be_tried_again(mnist):
    mnist.error = ValueError("mnist is not in /secret and could not be downloaded there")
    mnist.ready.set()
    agreed = DIGITS | {"download": True}
    assert ask(lab.lab_frame, agreed, Asks("a")) == {"error": demo_mnist.NO_DOWNLOAD, "again": False}
    assert ask(lab.lab_digits, {}) == {"digits": {"off": demo_mnist.NO_DOWNLOAD}}
    mnist.error = None
    assert "frame" in ask(lab.lab_frame, agreed, Asks("a"))


def test_without_torchvision_nothing_can_be_downloaded(mnist, monkeypatch):
    monkeypatch.setattr(demo_mnist.importlib.util, "find_spec", lambda name: None)
    assert ask(lab.lab_digits, {}) == {"digits": {"off": demo_mnist.NO_TORCHVISION}}


# the page


@pytest.mark.parametrize(("query", "selected"), [
    ({}, False), ({"target": "ring", "step": "9"}, True), ({"story": "collapse"}, True), ({"film": "ring"}, True),
    ({"__theme": "dark"}, False), ({"tab": "lab"}, True), ({"tab": "draw"}, False)])
def test_links_to_a_lab_are_known(query, selected):
    assert lab.is_linked(query) == selected


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with lab_page(tmp_path_factory.mktemp("page")) as found:
        yield found


@pytest.fixture(scope="module")
def client(page):
    found = Client(page.address, verbose=False)
    yield found
    found.close()


def test_the_api_streams_a_training(client):
    rows = list(client.submit({"target": "sine", "seed": 3}, 25, 10, api_name="/lab"))
    assert [row["step"] for row in rows] == [10, 20, 25]
    last = rows[-1]
    assert len(last["samples"]) == 500
    assert all(-5 < x1 < 11 and -5 < x2 < 5 for x1, x2 in last["samples"])  # the target's are in [0, 6.3] and [-1, 1]
    assert last["distance"] > last["distance_of_real"] > 0
    assert last["verdict"].startswith("Step 25: ")
    assert rows == list(client.submit({"target": "sine", "seed": 3}, 25, 10, api_name="/lab"))


def test_the_api_trains_one_network_alone_too(client):
    actions = [["both", 12], ["discriminator", 6], ["generator", 2]]
    rows = list(client.submit({"target": "ring"}, every=8, actions=actions, api_name="/lab"))
    assert [row["step"] for row in rows] == [8, 12, 14]
    lab = Lab(Settings.of({"target": "ring"}))
    for who, n in actions:
        lab.advance(who, n)
    assert rows[-1]["distance"] == unpack(lab.frame())[0]["distance"]


def test_the_api_refuses_in_one_sentence(client):
    for arguments, sentence in [(({"target": "<b>"}, 10), "target must be one of "),
                                (({"target": "ring"}, 2_001), "steps must be a whole number from 1 to 2000, not 2001"),
                                (({"target": "ring"}, 10, 0), "every must be a whole number from 1 to 2000, not 0"),
                                (({"target": "ring"}, 9, 1, [["both", 2_000], ["generator", 1]]),
                                 "actions must have at most 2,000 steps, not 2,001"),
                                ((7,), "settings must be a table of names and values, not 7")]:
        with pytest.raises(AppError, match=f"(?i){sentence}"):
            client.predict(*arguments, api_name="/lab")
    with pytest.raises(AppError, match="not '&lt;b&gt;'"):  # which gradio shows as HTML
        client.predict({"target": "<b>"}, api_name="/lab")


def test_a_caller_of_the_api_who_leaves_ends_the_training(page, client):
    until(lambda: page.labs() == 0)
    job = client.submit({"target": "ring"}, 2_000, 1, api_name="/lab")
    until(lambda: page.labs() == 1)
    job.cancel()
    until(lambda: page.labs() == 0)


LONG = """
import sys
from gradio_client import Client
job = Client(sys.argv[1], verbose=False).submit({"target": "ring"}, 2_000, 1, api_name="/lab")
next(iter(job))
print("training", flush=True)
job.result()
"""


def test_a_caller_of_the_api_who_disappears_ends_the_training(page):
    until(lambda: page.labs() == 0)
    with subprocess.Popen([sys.executable, "-c", LONG, page.address], stdout=subprocess.PIPE) as caller:
        assert caller.stdout.readline() == b"training\n"
        assert page.labs() == 1
        caller.kill()
    until(lambda: page.labs() == 0)
