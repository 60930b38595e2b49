"""What the page does with gradio's events: slow handlers take turns, and what a handler skips is left alone."""

import asyncio
import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from ganlib.demo import controls
from ganlib.demo.controls import Page, endpoint, listen
from ganlib.demo.page import MAX_THREADS


def in_a_loop(test):
    """The test, a coroutine function, in a thread of its own: else gradio would open a loop here, and not close it."""
    @functools.wraps(test)
    def run(*arguments, **named):
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(asyncio.wait_for(test(*arguments, **named), 30))).result()

    return run


@in_a_loop
async def test_slow_handlers_take_turns_and_others_do_not_wait_for_them():
    lock, end, active, most = threading.Lock(), threading.Event(), [], []

    def slow() -> str:
        """Waits.

        Returns:
            A word.
        """
        with lock:
            active.append(1)
            most.append(len(active))
        end.wait(20)
        with lock:
            active.pop()
        return "slow"

    def quick() -> str:
        """Does not wait.

        Returns:
            A word.
        """
        return "quick"

    with Page() as demo:
        endpoint(slow, "first", gr.Textbox(), slow=True)
        listen([gr.Textbox()], slow, [], gr.Textbox(), slow=True)
        endpoint(quick, "quick", gr.Textbox())
    first, second, other = demo.fns.values()
    assert first.concurrency_id == second.concurrency_id != other.concurrency_id
    assert first.concurrency_limit == second.concurrency_limit < MAX_THREADS / 2  # gradio has places for others
    calls = [asyncio.create_task(demo.call_function(handler, [])) for handler in 3 * (first, second)]
    try:
        while len(active) < controls.SLOW_AT_ONCE:
            await asyncio.sleep(0.01)
        assert (await demo.call_function(other, []))["prediction"] == "quick"
    finally:
        end.set()
    assert [call["prediction"] for call in await asyncio.gather(*calls)] == 6 * ["slow"]
    assert max(most) == controls.SLOW_AT_ONCE


@pytest.mark.parametrize(("predictions", "expected", "built"), [
    ([gr.skip(), "words", gr.skip()], [gr.skip(), "words", None], set()),
    (["<b>", gr.skip(), 3], ["<b>", gr.skip(), None], set()),
    (gr.skip(), [gr.skip(), gr.skip(), None], set()),
    ([gr.skip(), gr.update(placeholder="here"), gr.skip()],
     [gr.skip(), {"placeholder": "here", "__type__": "update"}, None], {1}),
])
@in_a_loop
async def test_what_a_handler_skips_is_left_alone(predictions, expected, built):
    with Page() as demo:
        outputs = [gr.HTML("<p>"), gr.Textbox(), gr.State(1)]
        gr.Button().click(lambda: None, None, outputs)
    state, handler = SessionState(demo), next(iter(demo.fns.values()))
    assert await demo.postprocess_data(handler, predictions, state) == expected
    assert {i for i, output in enumerate(outputs[:2]) if state[output._id] is not output} == built
    assert handler.outputs == outputs


@in_a_loop
async def test_a_handler_with_one_output_may_skip_it():
    with Page() as demo:
        gr.Button().click(lambda: None, None, gr.Number())
    state, handler = SessionState(demo), next(iter(demo.fns.values()))
    assert await demo.postprocess_data(handler, gr.skip(), state) == [gr.skip()]
    assert await demo.postprocess_data(handler, 3, state) == [3]


@in_a_loop
async def test_a_wrong_number_of_answers_is_left_to_gradio():
    with Page() as demo:
        gr.Button().click(lambda: None, None, [gr.Textbox(), gr.Textbox()])
    with pytest.raises(ValueError, match="enough"):
        await demo.postprocess_data(next(iter(demo.fns.values())), ["one"], SessionState(demo))
