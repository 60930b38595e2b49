"""The page with models of the Hub: those that its host names, and those that visitors open."""

import asyncio
import errno
import json
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import huggingface_hub
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

import ganlib
from ganlib import checkpoint
from ganlib.demo import controls, draw, fetching, models, stages, worker
from ganlib.demo.labs import Busy
from tests.browser.test_page import CHROMIUM, PICTURES, Visit, browser  # noqa: F401, a fixture
from tests.conftest import serve_page, serving, untrained
from tests.fake_hub import FakeHub


def weights(folder: Path, name: str, **changes) -> dict[str, bytes]:
    """The files of an untrained model's folder."""
    model = untrained(name, **{key: value for key, value in changes.items() if key != "config"})
    model.config |= changes.get("config", {})
    ganlib.save(model, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


COLOURS = {"shape": (3, 32, 32), "num_classes": 3}
TINY = {"generator_channels": (2, 2, 2), "discriminator_channels": (2,), "features": 2}
MARKUP = "![](https://evil.example/x.png)<img src=https://evil.example/y.png>"


@pytest.fixture(scope="module")
def server():
    with FakeHub() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def hosted(server, folder):
    """The address of a page whose host, alice, has a token and names a private model of hers, and some others."""
    server.put("alice/mine", weights(folder / "mine", "mlp-gan"), private=True)
    server.put("alice/secret", weights(folder / "secret", "mlp-gan"), private=True)
    named = {"class_names": ["apples", "<img src=x onerror=alert(1)>", "plums"]}
    server.put("bob/colours", weights(folder / "colours", "cdcgan", **COLOURS, config=named))
    server.put("bob/ring", weights(folder / "ring", "toy-sine", config={"recipe": {"data": "ring"}}))
    server.put("bob/odd", weights(folder / "odd", "toy-sine", config={"recipe": {"data": "mnist"}}))
    server.put("bob/huge", weights(folder / "huge", "dcgan", shape=(3, 512, 512), **TINY))
    server.put("bob/wide", weights(folder / "wide", "dcgan", **TINY | {"generator_channels": (2, 2, 5_350)}))
    server.put("bob/deep", weights(folder / "deep", "dcgan", **TINY, latent_dim=1_025))
    server.put("bob/many", weights(folder / "many", "cdcgan", **TINY, num_classes=1_001, embedding_dim=1))
    server.put("bob/slow", weights(folder / "slow", "dcgan", **TINY))
    server.put("bob/markup", {**weights(folder / "markup", "dcgan", **TINY), "config.json": json.dumps(
        {"architecture": {"kind": MARKUP}}).encode()})
    server.put("bob/boast", {**weights(folder / "boast", "mlp-gan"), "metrics.json": b'{"precision": "<b>1</b>"}'})
    environment = server.environment(folder / "home", "hf_alice")
    environment |= {"PYTHONWARNINGS": "ignore::UserWarning",  # which tell the host of foreign measures
                    "GANLIB_HUB_CACHE": str(folder / "visitors")}
    environment |= {"GANLIB_MODELS": f"{server.endpoint}/alice/mine/tree/main, alice/gone,alice/../x,bob/markup"}
    with serve_page(folder, environment) as address:
        yield address


@pytest.fixture(scope="module")
def client(hosted):
    found = Client(hosted, verbose=False)
    yield found
    found.close()


def refusal(client: Client, *arguments, api_name: str = "/generate") -> str:
    with pytest.raises(AppError) as caught:
        client.predict(*arguments, api_name=api_name)
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


def test_the_hosts_own_models_are_listed_and_what_is_missing_is_said(client):
    components = client.config["components"]
    (picker,) = {tuple(c["props"]["choices"][i][1] for i in range(len(c["props"]["choices"])))
                 for c in components if c["type"] == "radio" and c["props"]["label"] == "Model"}
    assert "alice/mine" in picker
    assert "alice/secret" not in picker
    (missing,) = [c for c in components if c["props"].get("elem_id") == "missing"]
    assert missing["type"] == "html"  # Markdown would show pictures from elsewhere
    note = missing["props"]["value"]
    assert "alice/gone: there is no folder" in note
    assert "alice/../x: a model on the Hub is named user/repo." in note
    assert "(https://evil.example/x.png)&lt;img src=" in note
    _, status = client.predict("alice/mine", 7, 4, 1, [], api_name="/generate")
    assert status.startswith("**alice/mine** on ")
    assert client.predict("dcgan", 7, 4, 1, [], api_name="/generate")[1].startswith("**dcgan**")


def test_a_visitor_opens_a_model_of_another_shape_with_classes_of_its_own(client):
    sheet, status = client.predict("bob/colours", 7, 4, 1, [], "2", api_name="/generate")
    assert status.startswith("**bob/colours**")
    with Image.open(sheet) as image:
        assert image.width > 400
    table, _ = client.predict("bob/colours", 7, 6, 1, [], "all", api_name="/generate")
    with Image.open(table) as image:
        assert image.width > image.height  # three columns, two rows
    assert "a class of bob/colours, from 0 to 2, not '7'" in refusal(client, "bob/colours", 7, 4, 1, [], "7")
    assert len(client.predict("bob/colours", 3, 8, 4, "slerp", api_name="/interpolate")) == 3
    assert "There is no census" in client.predict("bob/colours", 3, api_name="/quality")[0]


def test_a_visitor_opens_a_toy(client):
    assert client.predict("bob/ring", 500, 3, api_name="/toy")[1]["centres"] == 8
    assert "has learned no toy distribution" in refusal(client, "bob/odd", 500, 3, api_name="/toy")
    assert "The model bob/ring makes points, which are no pictures." in refusal(client, "bob/ring", 7, 4, 1, [])


def test_a_visitor_pastes_an_address(server, client):
    for name, shown in {f" {server.endpoint}/bob/colours/tree/main ": "bob/colours",
                        f"{server.endpoint}/alice/mine": "alice/mine"}.items():
        assert client.predict(name, 7, 4, 1, [], api_name="/generate")[1].startswith(f"**{shown}** on ")
    assert "spaces/bob/x' is a Space; a model on the Hub is named user/repo" in refusal(
        client, f"{server.endpoint}/spaces/bob/x", 7, 4, 1, [])
    assert models.full_name(" https://huggingface.co/bob/x/ ") == "bob/x"
    assert models.full_name("dcgan") == "dcgan"


def test_foreign_measures_are_left_out(client):
    assert client.predict("bob/boast", 7, api_name="/quality")[1]["measures"] == {}


def test_what_a_visitor_cannot_open_is_said_and_leaves_the_others_working(client):
    for name in ("alice/secret", "bob/none"):
        assert f"{name} could not be fetched: the Hub has no public model" in refusal(client, name, 7, 4, 1, [])
    for name, sentence in {
        "bob/huge": "786,432 numbers in a sample, at most 196,608",
        "bob/wide": "4,194,400 numbers in a layer, at most 4,194,304",
        "bob/deep": "1,025 numbers in a latent, at most 1,024",
        "bob/many": "1,001 classes, at most 1,000",
    }.items():
        assert f"{name} is too large for this page: {sentence}" in refusal(client, name, 7, 4, 1, [])
    assert "&lt;img src=" in refusal(client, "bob/markup", 7, 4, 1, [])
    assert "There is no model '../x' on this page; it has " in refusal(client, "../x", 7, 4, 1, [])
    assert client.predict("mlp-gan", 7, 4, 1, [], api_name="/generate")[1].startswith("**mlp-gan**")


def test_nobody_waits_for_a_model_that_other_visitors_open(server, client):
    """More of them than the calls of one handler that work at once, also where few do."""
    asked = [("/generate", (7, 4, 1, [])), ("/frame", (3, 8, "slerp", 0.5)), ("/plane", ("1,2,3,4",))]
    with server.hold("GET /api/models/bob/slow") as reached:
        slow = [client.submit("bob/slow", *values, api_name=name) for name, values in asked * 4]
        slow += [client.submit("dcgan", "bob/slow", [1], False, api_name="/compare") for _ in range(draw.API_CALLS)]
        assert reached.wait(60)
        for name, values in asked:
            assert client.predict("dcgan", *values, api_name=name)
        assert client.predict("dcgan", "mlp-gan", [1], False, api_name="/compare")
        assert client.predict("bob/colours", 7, 4, 1, [], api_name="/generate")[1].startswith("**bob/colours**")
        assert not any(call.done() for call in slow)
    for call in slow[:-draw.API_CALLS]:
        assert call.result(60)
    assert slow[0].result(60)[1].startswith("**bob/slow**")
    assert sum(seen.path == "/api/models/bob/slow" for seen in server.requests) < 4  # they share one fetch


def test_what_visitors_open_is_kept_apart_from_the_hosts_own(client, folder):
    client.predict("bob/colours", 7, 4, 1, [], api_name="/generate")
    assert [path.name for path in (folder / "home" / "hub").glob("models--bob--colours")] == []
    assert [path.name for path in (folder / "visitors").glob("models--*colours")] == ["models--bob--colours"]
    with pytest.raises(AppError):
        client.predict("alice/secret", api_name="/generate")
    assert not list((folder / "visitors").glob("models--alice--secret"))


@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine (Debian: apt-get install chromium)")
@pytest.mark.slow
def test_a_visitor_opens_models_in_a_browser(browser, hosted):  # noqa: F811
    visit = Visit(browser.new_context().new_page(), hosted)
    visit.page.get_by_text("alice/../x: a model on the Hub is named user/repo.").wait_for()
    panel = visit.page.locator(".open-hub").locator("visible=true")
    panel.get_by_text("Open another").click()
    name, button = panel.get_by_placeholder("user/repo"), panel.get_by_role("button", name="Open", exact=True)
    name.fill("bob/nothing")
    button.click()
    visit.page.get_by_text("the Hub has no public model").first.wait_for()
    name.fill("bob/markup")
    button.click()
    visit.page.locator("[data-testid=toast-text]", has_text="<img src=https://evil.example/y.png>").wait_for()
    name.fill("dcgan")
    visit.until_changed("sheet", button.click)
    visit.page.get_by_text("dcgan is one of this page’s own models.").wait_for()
    name.fill(" bob/colours ")
    visit.until_changed("sheet", button.click)
    assert visit.page.get_by_label("bob/colours").is_checked()
    visit.page.locator("#status", has_text="bob/colours on").wait_for()
    visit.until_changed("sheet", visit.page.get_by_label("<img src=x onerror=alert(1)>").check)
    visit.until_changed("sheet", visit.page.get_by_label("mlp-gan").first.check)
    visit.page.locator("#status", has_text="mlp-gan on").wait_for()
    assert not visit.page.locator("#digit").is_visible()
    visit.tab("Interpolate")  # a stage has the same field
    visit.page.locator(PICTURES["Interpolate"]).wait_for()
    panel.get_by_text("Open another").click()
    name.fill("bob/colours")
    button.click()
    visit.page.get_by_text("pictures of bob/colours").wait_for()
    assert visit.page.get_by_label("Class of waypoint 1").locator("option").all_inner_texts()[1:] == [
        "apples", "<img src=x onerror=alert(1)>", "plums"]
    visit.close()
    assert visit.wrong == []


def test_a_host_may_close_the_hub(monkeypatch):
    monkeypatch.setenv("GANLIB_ALLOW_HUB", "0")
    with pytest.raises(checkpoint.WeightsError, match="no model 'bob/colours' on this page; it has [a-z0-9, -]+$"):
        models.get("bob/colours")


def run(main):
    """What a coroutine function returns, in a thread of its own: the browser's driver has a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(main())).result()


def test_slow_models_of_the_hub_do_not_keep_stages_from_being_answered(monkeypatch):
    """More of them than the threads that stages share; each is answered when it is there, the last one by a refusal."""
    go, shared = threading.Event(), 2

    @stages.answering
    async def ask(asked):
        return await asyncio.to_thread(lambda: {"found": models.get(asked["model"])})

    async def main():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(shared))
        names = [f"bob/{i}" for i in range(fetching.AT_ONCE)]
        waiting = [asyncio.ensure_future(ask({"model": name})) for name in (*names, names[0])]
        while len(models._models) < len(names):
            await asyncio.sleep(0)
        refused = await ask({"model": "bob/more"})
        assert await ask({"model": "dcgan"}) == {"found": "dcgan"}
        waiting.pop().cancel()  # that one visitor leaves does not end the loading for others
        go.set()
        return refused, await asyncio.gather(*waiting), names

    monkeypatch.setattr(models, "_models", {})
    monkeypatch.setattr(models, "_load", lambda name, before=None: ("/" in name and go.wait(30), name)[1])
    refused, answers, names = run(main)
    assert refused == {"error": "The server opens other models at this moment. Try again.", "again": True}
    assert answers == [{"found": name} for name in names]


HASTY_PAGE = """
from ganlib.demo import controls, fetching, models

fetching.WAIT = 0.5

def model_name(model: str) -> str:
    '''Find a model.

    Args:
        model: its name.

    Returns:
        Its name.
    '''
    return models.get(model).name

with controls.Page(analytics_enabled=False) as page:
    controls.endpoint(model_name, "name")
page.queue(default_concurrency_limit=controls.AT_ONCE + fetching.MAX_WAITING).launch()
"""


@pytest.mark.slow
def test_a_slow_model_is_waited_for_a_time_and_found_by_a_later_call(server, folder):
    """Through the API of a page that waits half a second; the fetch goes on meanwhile."""
    server.put("bob/late", weights(folder / "late", "dcgan", **TINY))
    environment = server.environment(folder / "late-home") | {"GANLIB_HUB_CACHE": str(folder / "late-home")}
    with serving([sys.executable, "-c", HASTY_PAGE], environment, folder / "late-log") as (address, _):
        client = Client(address, verbose=False)
        with server.hold("GET /api/models/bob/late") as reached:
            calls = [client.submit("bob/late", api_name="/name") for _ in range(3 * controls.AT_ONCE)]
            assert reached.wait(60)
            for call in calls:
                with pytest.raises(AppError, match="^bob/late is still being fetched: try again in a moment.$"):
                    call.result(60)
        answers, end = ["still being fetched"], time.monotonic() + 60
        while "still being fetched" in answers[-1] and time.monotonic() < end:
            try:
                answers.append(client.predict("bob/late", api_name="/name"))
            except AppError as error:
                answers.append(str(error))
        client.close()
    assert answers[-1] == "bob/late"
    assert sum(seen.path == "/api/models/bob/late" for seen in server.requests) <= 2  # as one fetch asks


def test_a_file_has_its_place_until_it_is_made(monkeypatch):
    started, go, places = threading.Event(), threading.Event(), threading.Semaphore(1)
    monkeypatch.setattr(worker, "_places", places)

    def work():
        started.set()
        go.wait(30)

    async def main():
        left = asyncio.ensure_future(worker.aside(work))
        assert await asyncio.to_thread(started.wait, 30)
        left.cancel()  # the visitor leaves, but the thread works on
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await worker.aside(int)
        go.set()
        assert places.acquire(timeout=30)
        places.release()
        assert await worker.aside(int) == 0

    run(main)


def test_the_systems_own_words_are_left_out(monkeypatch):
    def refuse(*arguments, **options):
        raise checkpoint.WeightsError("bob/x could not be fetched: the Hub could not be reached ([Errno -2] Name (x))")

    monkeypatch.setattr(models.hub, "load_source", refuse)
    with pytest.raises(checkpoint.WeightsError, match="^bob/x could not be fetched: the Hub could not be reached$"):
        models.get("bob/x")


def test_models_that_visitors_opened_make_room_for_others(monkeypatch):
    opened = []
    monkeypatch.setattr(models, "_models", {})
    monkeypatch.setattr(models, "_load", lambda name, before=None: opened.append(name) or name)
    names = [f"bob/{i}" for i in range(models.KEPT + 1)]
    for name in ("dcgan", *names, "dcgan", names[-1], names[0]):
        assert models.get(name) == name
    assert opened == ["dcgan", *names, names[0]]


def test_one_that_failed_is_tried_again(monkeypatch):
    attempts = iter([checkpoint.WeightsError("out of reach"), None])

    def load(name, before=None):
        if error := next(attempts):
            raise error
        return json.dumps(name)

    monkeypatch.setattr(models, "_models", {})
    monkeypatch.setattr(models, "_load", load)
    with pytest.raises(checkpoint.WeightsError, match="out of reach"):
        models.get("bob/x")
    assert models.get("bob/x") == '"bob/x"'


@pytest.fixture
def visitor(server, folder, monkeypatch):
    """Opens models of the Hub in this process, as a visitor of a page does. Gives the folder that keeps them."""
    kept = folder / "visitor"
    server.use(monkeypatch, folder / "visitor-home", "hf_alice")
    monkeypatch.setenv("GANLIB_HUB_CACHE", str(kept))
    monkeypatch.setattr(models, "_models", {})
    return kept


def test_an_opened_model_is_asked_for_again_after_a_time(server, folder, visitor, monkeypatch):
    server.put("alice/news", weights(folder / "news", "dcgan", **TINY))
    first = models.get("alice/news")
    assert models.get("alice/news") is first
    monkeypatch.setattr(models, "FRESH", 0)
    assert models.get("alice/news") is first  # it has not changed
    server.put("alice/news", weights(folder / "news2", "dcgan", **TINY, latent_dim=77))
    second = models.get("alice/news")
    assert second.latent_dim == 77
    monkeypatch.setattr(fetching, "_fetches", threading.Semaphore(0))
    assert models.get("alice/news") is second  # the Hub cannot be asked now
    monkeypatch.setattr(fetching, "_fetches", threading.Semaphore(8))
    with monkeypatch.context() as away:
        away.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
        assert models.get("alice/news") is second
    server._repos["models", "alice/news"].private = True
    with pytest.raises(checkpoint.WeightsError, match="alice/news could not be fetched: the Hub has no public model"):
        models.get("alice/news")
    assert second.sample([1]).shape == (1, 1, 28, 28)  # who has it, keeps it


def test_a_late_failure_does_not_drop_a_newer_model(monkeypatch):
    monkeypatch.setattr(models, "_models", {})
    monkeypatch.setattr(models, "_load", lambda name, before=None: name)
    models.get("bob/x")
    newer = models._models["bob/x"]
    models._forget("bob/x", Future())
    assert models._models["bob/x"] is newer


def test_opened_models_work_when_their_files_are_gone_and_are_fetched_again(server, folder, visitor, monkeypatch):
    for name in ("one", "two"):
        server.put(f"bob/{name}", weights(folder / name, "dcgan", **TINY))
    one = models.get("bob/one")
    monkeypatch.setenv("GANLIB_HUB_QUOTA", "0")
    models.get("bob/two")
    assert not list(visitor.glob("models--*"))
    assert one.sample([1]).shape == (1, 1, 28, 28)
    models._models.clear()
    assert models.get("bob/one").weights_sha256 == one.weights_sha256


@pytest.mark.parametrize(("error", "sentence"), [
    (OSError(errno.ENOSPC, "No space left on device"), "the server has no space left on its disk"),
    (PermissionError(errno.EACCES, "Permission denied", "/srv/secret"), "the server cannot write its files")])
def test_a_full_disk_is_told_in_a_sentence(server, folder, visitor, monkeypatch, error, sentence):
    from huggingface_hub import file_download

    def refuse(*arguments, **options):
        raise error

    server.put("bob/full", weights(folder / "full", "dcgan", **TINY))
    monkeypatch.setattr(file_download, "http_get", refuse)
    with pytest.raises(checkpoint.WeightsError, match=f"^bob/full could not be fetched: {sentence}$"):
        models.get("bob/full")
    assert not list(visitor.glob("models--bob--full"))


def test_the_hubs_client_does_not_wait_for_ever(server, folder, visitor, monkeypatch):
    server.put("bob/silent", weights(folder / "silent", "dcgan", **TINY))
    monkeypatch.setattr(fetching, "SILENCE", 0.2)
    huggingface_hub.close_session()  # with limits of other tests
    with (server.hold("GET /api/models/bob/silent"),
          pytest.raises(checkpoint.WeightsError, match="^bob/silent could not be fetched: the Hub could not be")):
        models.get("bob/silent")
    huggingface_hub.close_session()
    assert models.get("bob/silent").name == "bob/silent"
