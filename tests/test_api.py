"""What programs call: every endpoint is described and typed, and what a caller leaves out takes its default."""

import errno
import json
import re
import urllib.error
import urllib.request
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

import ganlib
from ganlib import checks, images
from ganlib.demo import controls, fetching, main, models, page
from ganlib.lab import TARGETS
from tests.conftest import needs_mnist

NEEDED = {  # what has no default
    "/read": {"picture": "a file"}, "/invert": {"picture": "a file"}, "/reconstruct": {"picture": "a file"},
    "/passport": {"file": "a file"}, "/answers": {"guesses": ["real"] * 10}, "/lab": {"settings": {"target": "ring"}},
    "/course": {"number": 1}, "/classifiers": {"first": [-1, 0], "second": [1, 0]},
    "/generator_losses": {"logits": [0]}, "/cross_entropy": {"real": 0.5, "generated": 0.5},
}
ROOT = Path(__file__).resolve().parents[1]
NO_PAGE: Any = object()  # where none is opened


@pytest.fixture(scope="module")
def client(address):
    found = Client(address, verbose=False)
    yield found
    found.close()


@pytest.fixture(scope="module")
def endpoints(client) -> dict[str, dict[str, Any]]:
    return client.view_api(return_format="dict", print_info=False)["named_endpoints"]


def post(address: str, name: str, body: Any, route: str = "call/") -> tuple[int, Any]:
    """The status and the answer of a call, as curl makes it."""
    request = urllib.request.Request(f"{address}/gradio_api/{route}{name}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def curl(address: str, name: str, body: Any) -> list[Any]:
    """What an endpoint gives, or the dictionary that says why it does not."""
    _, event = post(address, name, body)
    with urllib.request.urlopen(f"{address}/gradio_api/call/{name}/{event['event_id']}", timeout=60) as answer:
        return json.loads(answer.read().decode().rpartition("data: ")[2])


def test_every_endpoint_says_what_it_does_and_each_parameter_what_it_means(endpoints):
    for name, found in endpoints.items():
        assert found["description"].endswith("."), name
        for parameter in found["parameters"]:
            assert parameter["python_type"]["description"] == parameter["type"]["description"]
            assert parameter["type"]["description"].endswith((".", "…")), (name, parameter)
            assert parameter["python_type"]["type"] != "Any", (name, parameter)
        required = {parameter["parameter_name"] for parameter in found["parameters"]
                    if not parameter["parameter_has_default"]}
        assert required == NEEDED.get(name, {}).keys(), name


def test_types_are_those_of_the_functions(endpoints):
    types = {name: {parameter["parameter_name"]: parameter["python_type"]["type"] for parameter in found["parameters"]}
             for name, found in endpoints.items()}
    assert types["/generate"] == {"model": "str", "seed": "int", "count": "int", "truncation": "float",
                                  "captions": "list[str]", "digit": "str"}
    assert types["/invert"]["picture"] == types["/passport"]["file"] == "filepath"
    assert types["/walk"]["closed"] == "bool"


def test_the_targets_of_the_lab_are_listed(endpoints):
    settings = endpoints["/lab"]["parameters"][0]
    assert set(TARGETS) <= set(re.findall(r"[a-z-]+", settings["type"]["description"]))


def test_models_that_may_be_named_are_listed(endpoints):
    for name, names in (("/generate", models.image_models()), ("/toy", models.toy_models())):
        model = endpoints[name]["parameters"][0]
        assert model["parameter_default"] == names[0]
        assert ", ".join(names) in model["type"]["description"]


def test_an_argument_that_is_left_out_or_null_takes_its_default(address, client):
    expected = client.predict("dcgan", 7, 25, 1.0, [], "any", api_name="/generate")[0]
    size = Path(expected).stat().st_size
    for arguments in (["dcgan", 7, 25, 1.0, []], ["dcgan"], ["dcgan", None, None, None, None, None]):
        sheet, said = curl(address, "generate", {"data": arguments})
        assert said.startswith("**dcgan** on ")
        with urllib.request.urlopen(sheet["url"], timeout=60) as file:
            assert len(file.read()) == size
    assert curl(address, "v2/generate", {"model": "dcgan"})[0]["path"] == sheet["path"]
    assert client.predict("dcgan", None, 25, None, api_name="/generate")[0] == expected


def test_what_has_no_default_is_asked_for_in_a_sentence(address, client):
    assert curl(address, "read", {"data": ["dcgan"]})["error"] == "/read needs a value for picture."
    assert curl(address, "answers", {"data": []})["error"] == "/answers needs a value for guesses."
    with pytest.raises(AppError, match="/cross_entropy needs a value for real and generated"):
        client.predict(None, None, api_name="/cross_entropy")


@pytest.mark.parametrize("path", ["/etc/passwd", str(ROOT / "weights" / "dcgan" / "samples.png"),
                                  "http://127.0.0.1:1/three.png"])
@pytest.mark.parametrize("meta", [{"meta": {"_type": "gradio.FileData"}}, {"meta": {}}, {"meta": None}, {}])
def test_a_file_of_the_server_is_refused_in_a_sentence(address, path, meta):
    for name, before in (("read", ["dcgan"]), ("invert", ["dcgan"]), ("reconstruct", ["vae"]), ("passport", [])):
        assert curl(address, name, {"data": [*before, {"path": path, **meta}]})["error"] == (
            "The file could not be opened: upload it, or give an address that anybody can open."), name


def test_too_many_values_are_refused_in_a_sentence(address):
    assert curl(address, "growth", {"data": ["dcgan", 1, 2]})["error"] == (
        "/growth takes at most 2 values: model, moment.")


@pytest.mark.parametrize(("name", "body", "status", "sentence"), [
    ("v2/generate", {"size": 3}, 400, "Parameter `size` is not a valid key-word argument."),
    ("v2/read", {"model": "dcgan"}, 400, "No value provided for required argument: picture."),
    ("v2/nothing", {}, 404, "There is no endpoint /nothing."),
    ("nothing", {"data": []}, 404, "There is no endpoint /nothing."),
])
def test_a_wrong_call_is_answered_in_a_sentence(address, name, body, status, sentence):
    assert post(address, name, body) == (status, {"error": sentence})


@pytest.mark.parametrize(("name", "body"), [
    ("component_server", {"data": {}, "component_id": 99_999, "fn_name": "x", "session_hash": "x"}),
    ("queue/join", {"data": [], "fn_index": 99_999, "session_hash": "x"})])
def test_a_request_that_gradio_does_not_understand_is_answered_in_a_sentence(address, name, body):
    assert post(address, name, body, route="") == (400, {"error": "The server did not understand this request."})


def test_an_address_that_gradio_cannot_read_is_answered_in_a_sentence(address):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{address}/gradio_api/proxy=%00", timeout=60)
    assert json.load(caught.value) == {"error": "The server did not understand this request."}


def test_values_that_a_handler_does_not_take_are_refused_in_a_sentence(address, client):
    file = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    said = "These values are not those that are asked for: reload the page."
    assert curl(address, "generator_losses", {"data": [[file]]})["error"] == said
    handler = next(found["id"] for found in client.config["dependencies"] if found["api_name"] == "classes")
    assert post(address, "queue/join", {"data": [], "fn_index": handler, "session_hash": "x"}, route="")[0] == 200
    with urllib.request.urlopen(f"{address}/gradio_api/queue/data?session_hash=x", timeout=60) as events:
        assert said in events.read().decode()


@needs_mnist
@pytest.mark.slow
def test_every_endpoint_works_with_its_defaults(client, endpoints, tmp_path):
    images.to_pil(ganlib.load("dcgan", "cpu").sample([7])[0]).save(tmp_path / "three.png")
    file = handle_file(tmp_path / "three.png")
    for name in endpoints:
        values = {key: file if value == "a file" else value for key, value in NEEDED.get(name, {}).items()}
        if name == "/passport":
            values = {"file": handle_file(client.predict(api_name="/generate")[0])}
        if name == "/lab":  # whose 1,000 steps a test cannot wait for
            values["steps"] = 20
        assert client.predict(api_name=name, **values), name


@pytest.mark.parametrize(("error", "sentence"), [
    (OSError(errno.ENOSPC, "No space left on device", "/srv/secret"),
     "The server cannot read or write a file at this moment: No space left on device."),
    (KeyError("secret"), "Something went wrong on the server (KeyError).")])
def test_an_error_that_the_caller_cannot_correct_is_a_sentence_too(error, sentence):
    def failing():
        raise error

    with pytest.raises(gr.Error) as caught:
        controls.refusing(failing)()
    assert caught.value.message == sentence


def test_a_call_that_waits_for_a_model_is_made_again():
    def waiting():
        raise fetching.Missing("user/repo", Future())

    with pytest.raises(fetching.Missing):
        controls.refusing(waiting)()


def test_a_docstring_is_read_as_it_is_written():
    def function(first: int, second: int, third: str) -> int:
        """Count something,
        in two lines.

        Args:
            first, second: numbers,
                from 0 to 9: not more.
            third: a word.

        Returns:
            The count,
            a number.

        Raises:
            ValueError: always.
        """

    assert controls.documentation(function) == (
        "Count something, in two lines.",
        {"first": "numbers, from 0 to 9: not more.", "second": "numbers, from 0 to 9: not more.", "third": "a word."},
        "The count, a number.")


@pytest.mark.parametrize(("options", "sentence"), [
    (["--port", "0"], "app.py: --port must be a whole number from 1 to 65535, not 0\n"),
    (["--mcp"], 'app.py: the MCP server needs mcp: pip install -e ".[app]"\n'),
])
def test_the_page_says_in_a_sentence_why_it_does_not_start(options, sentence, monkeypatch, capsys):
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert main(options, NO_PAGE) == 1
    assert capsys.readouterr().err == sentence


def test_options_of_the_command_line_reach_gradio(monkeypatch):
    found = {}
    monkeypatch.setattr(page, "launch", lambda demo, **options: found.update(options))
    assert main(["--open", "--host", "0.0.0.0", "--port", "8000", "--mcp"], NO_PAGE) == 0
    assert found == {"inbrowser": True, "server_name": "0.0.0.0", "server_port": 8000, "mcp_server": True}
    assert main([], NO_PAGE) == 0
    assert found == {"inbrowser": False, "server_name": None, "server_port": None, "mcp_server": None}


def test_a_space_without_a_checkout_has_the_same_app():
    root = Path(__file__).parents[1]
    assert (root / "ganlib" / "demo" / "__main__.py").read_text() == (root / "app.py").read_text()
