"""The tab Interpolate in a real browser: the walk plays, its waypoints change, and it is taken away."""

import pytest
import torch

from ganlib import passport
from ganlib.waypoints import Waypoint
from tests.browser.test_page import CHROMIUM, browser, visit  # noqa: F401, fixtures

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")

PIXELS = """canvas => Array.from(
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).filter((_, i) => i % 4 === 0)"""


class Walk:
    """The stage of a page whose tab Interpolate is open."""

    def __init__(self, page):
        self.page, self.root = page, page.locator("#interpolate .interpolate")
        self.picture = self.root.locator("[data-part=picture]")
        self.scrub = self.root.get_by_label("Position", exact=True)

    def until(self, **values) -> None:
        """Wait until pictures of a walk with these values of its link are shown."""
        for name, value in values.items():
            text = f"{name}={value}"
            self.page.wait_for_function("""text => document.querySelector("#interpolate .interpolate")?.dataset.shown
                ?.split("&").includes(text)""", arg=text)

    def at(self, position: int) -> list[int]:
        """The pixels of the large picture at a position."""
        self.scrub.fill(str(position))
        return self.picture.evaluate(PIXELS)

    def card(self, number: int) -> list[int]:
        return self.root.get_by_label(f"The picture of waypoint {number}", exact=True).evaluate(PIXELS)

    def open(self, **values) -> None:
        """Open a state, as another tab does."""
        self.root.evaluate("(root, values) => root.ganlab.open(values)", values)


@pytest.mark.slow
def test_a_walk_plays_changes_and_is_taken_away(visit):  # noqa: F811
    visit.tab("Interpolate")
    walk, page = Walk(visit.page), visit.page
    walk.until(waypoints="3,8", steps=32)
    first = walk.scrub.input_value()
    page.wait_for_function("first => document.querySelector('#interpolate input').value !== first", arg=first)

    # scrubbing stops it; its ends are the waypoints
    assert walk.at(0) == walk.card(1) != walk.at(31) == walk.card(2)
    walk.root.get_by_role("button", name="Play", exact=True).wait_for()
    assert walk.scrub.get_attribute("aria-valuetext") == "waypoint 2"

    # other waypoints
    walk.root.get_by_label("Seed of waypoint 2").fill("5")
    walk.until(waypoints="3,5")
    walk.root.get_by_label("Class of waypoint 1").select_option("7")
    walk.until(waypoints="3:7,5")
    walk.root.get_by_role("button", name="Add a seed").click()
    walk.root.get_by_label("Seed of waypoint 3").fill("9")
    walk.until(waypoints="3:7,5,9")
    walk.root.get_by_role("button", name="Move waypoint 3 left").press("Enter")
    walk.until(waypoints="3:7,9,5")
    assert page.evaluate("document.activeElement.title") == "Move waypoint 2 left"
    walk.root.get_by_label("Steps", exact=True).fill("6")
    walk.root.get_by_text("line (lerp)", exact=True).click()
    walk.root.get_by_label("Close the loop").check()
    walk.until(closed=1, method="lerp", steps=6, waypoints="3:7,9,5")
    assert walk.at(15) == walk.at(0) == walk.card(1)
    walk.root.get_by_label("Seed of waypoint 1").fill("10000")  # is not taken
    walk.root.get_by_text("A seed is a whole number from 0 to 9,999.").wait_for()
    walk.root.get_by_label("Seed of waypoint 1").blur()
    assert walk.root.get_by_label("Seed of waypoint 1").input_value() == "3"

    # a file, and a link in a fresh window, which is still where motion is not wanted
    with page.expect_download() as download:
        walk.root.get_by_role("button", name="Save GIF").click()
    assert download.value.suggested_filename == "cdcgan-3-9-5.gif"
    values = passport.read(download.value.path())
    assert (values["waypoints"], values["closed"], values["method"]) == (["3:7", "9", "5"], True, "lerp")
    walk.root.get_by_role("button", name="Copy link").click()
    fresh = page.context.new_page()
    fresh.emulate_media(reduced_motion="reduce")
    fresh.goto(walk.root.get_by_label("Link", exact=True).input_value())
    other = Walk(fresh)
    other.until(waypoints="3:7,9,5", steps=6, method="lerp", closed=1)
    other.root.get_by_role("button", name="Play", exact=True).wait_for()
    assert other.at(7) == walk.at(7)

    # found latents: the first two take the place of the defaults, and a seventh is not added without a word
    mine, yours = (f"{Waypoint.at(torch.full((100,), x))}:{digit}" for x, digit in ((0.5, 3), (-0.5, 8)))
    walk.open(model="cdcgan", waypoints=["3", "8"], add=mine)
    walk.until(waypoints=f"{mine},8")
    walk.root.get_by_text("A found picture replaces the default waypoints.").wait_for()
    walk.open(model="cdcgan", add=yours)
    walk.until(waypoints=f"{mine},{yours}")
    walk.open(waypoints=["1", "2", "3", "4", "5", "6"])
    walk.open(model="cdcgan", add=mine)
    walk.root.get_by_text("A walk has at most 6 waypoints.").wait_for()
    walk.root.get_by_role("button", name="2: seed 2").click()
    walk.until(waypoints=f"1,{mine},3,4,5,6")
    walk.root.get_by_text("mlp-gan", exact=True).click()
    walk.until(model="mlp-gan", waypoints="1,3,4,5,6")
    walk.root.get_by_text("Found pictures belong to cdcgan.").wait_for()
    assert any(walk.card(1))  # the old picture stays until the new one comes
    walk.root.get_by_text("cdcgan", exact=True).click()
    walk.until(model="cdcgan", waypoints=f"1,{mine},3,4,5,6")
