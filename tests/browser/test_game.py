"""The game in a real browser: a round is played by its keys, and its answers lead on."""

import io

import pytest
from PIL import Image

from ganlib import passport
from ganlib.demo import game, rounds
from tests.browser.test_page import CHROMIUM, NARROW, Visit, browser  # noqa: F401, a fixture

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")

GAME = "document.querySelector('#game .game')?.ganlab?.game"


def test_a_visitor_plays_a_round(browser, address):  # noqa: F811
    visit = Visit(browser.new_context(**NARROW).new_page(), address)
    page = visit.page
    page.evaluate("""sessionStorage.setItem("ganlib-game", JSON.stringify(
        {model: "cdcgan", round: 5, guesses: ["real", "generated"]}))""")  # as a page that was left
    visit.go(f"{address}/?tab=game&model=cdcgan&round=5")
    page.wait_for_function(f"{GAME}?.playing")
    root = page.locator("#game .game")
    assert page.evaluate(f"Object.keys({GAME}).includes('truth')") is False
    root.get_by_text("Your round goes on.").wait_for()
    assert root.locator("[data-part=place]").inner_text() == "3 of 10"
    for key in "Rgr":
        page.keyboard.press(key)
    page.keyboard.press("Backspace")
    page.get_by_role("tab", name="Game").press("g")  # not for the game
    assert root.locator("[data-part=place]").inner_text() == "5 of 10"
    root.get_by_role("button", name="Real").click()
    root.get_by_role("button", name="Back").click()
    root.get_by_role("button", name="Generated").click()
    kept = page.evaluate("JSON.parse(sessionStorage.getItem('ganlib-game'))")
    assert (kept["model"], kept["round"], len(kept["guesses"])) == ("cdcgan", 5, 5)
    page.keyboard.press("ArrowLeft")
    for _ in range(4):
        page.keyboard.press("r")
    guesses = page.evaluate(f"{GAME}.guesses")
    assert guesses == ["real", "generated", "real", "generated", "generated"] + ["real"] * 5
    expected = rounds.answers(rounds.models.get("cdcgan"), 5, guesses)
    score = f"You: {expected['you']} of 10. Discriminator: {expected['discriminator']} of 10."
    root.get_by_role("heading", name=score).wait_for()
    sentences = root.locator(".game-answers .stage-info").all_inner_texts()
    assert sentences == [row["sentence"] for row in expected["pictures"]]
    shares = [0.004, 0.4996, 0.5, 0.50001, 0.503, 0.994, 1]
    percents = page.evaluate("shares => shares.map(document.querySelector('#game .game').ganlab.percent)", shares)
    assert percents == [game.percent(share) for share in shares]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    with page.expect_download() as download:
        root.get_by_role("button", name="Save picture").click()
    with open(download.value.path(), "rb") as file:
        saved = file.read()
    assert Image.open(io.BytesIO(saved)).format == "PNG"
    assert passport.read(saved)["round"] == 5
    root.get_by_role("button", name="Copy link").click()
    assert root.get_by_role("textbox", name="Link").input_value() == f"{address}/?tab=game&model=cdcgan&round=5"
    seed = next(row["seed"] for row in expected["pictures"] if row["seed"] is not None)
    root.get_by_role("button", name=f"Open seed {seed}").click()
    page.locator("#status", has_text="cdcgan on CPU: 1 picture").wait_for()
    assert page.locator("#seed input[type=number]").input_value() == str(seed)
    visit.close()
    assert visit.wrong == []


@pytest.mark.slow
def test_a_model_without_a_discriminator_is_not_played_and_another_is_offered(browser, address):  # noqa: F811
    visit = Visit(browser.new_page(), address)
    visit.go(f"{address}/?tab=game&model=vae")
    page, root = visit.page, visit.page.locator("#game .game")
    note = root.locator("[data-part=note]")
    note.get_by_text("vae has no discriminator to play against: choose a model that has one.").wait_for()
    assert not root.locator("[data-part=board]").is_visible()
    note.get_by_role("button", name="Play against cdcgan").click()
    page.wait_for_function(f"{GAME}.playing")
    assert page.evaluate(f"[{GAME}.choice.value, document.activeElement.dataset.part]") == ["cdcgan", "real"]
    assert note.inner_text() == ""
    root.get_by_text("vae", exact=True).click()
    note.get_by_text("vae has no discriminator").wait_for()
    root.get_by_text("dcgan", exact=True).click()
    page.wait_for_function(f"{GAME}.playing")
    visit.close()
    assert visit.wrong == []
