"""What goes with every answer of the page, and how large a request may be."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from ganlib.demo import headers

HUGGING_FACE = "frame-ancestors 'self' https://huggingface.co https://*.huggingface.co https://*.hf.space"


def client() -> TestClient:
    app = FastAPI(middleware=headers.middleware())

    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    return TestClient(app)


def test_a_space_may_be_framed_by_hugging_face_alone(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "alice/page")
    monkeypatch.delenv("GANLIB_FRAMES", raising=False)
    said = client().post("/read", content=b"abc").headers
    assert said["content-security-policy"] == HUGGING_FACE
    assert (said["x-content-type-options"], said["referrer-policy"]) == ("nosniff", "strict-origin-when-cross-origin")


def test_a_page_on_this_machine_may_be_framed_by_a_notebook_and_by_what_the_host_names(monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv("GANLIB_FRAMES", "https://school.example; https://museum.example")
    assert client().post("/none").headers["content-security-policy"] == (
        f"{HUGGING_FACE} http://localhost:* http://127.0.0.1:* https://school.example https://museum.example")


@pytest.mark.parametrize("told", [True, False], ids=["its length is told", "in parts"])
def test_a_request_that_is_too_large_is_refused_in_a_sentence(monkeypatch, told):
    monkeypatch.setattr(headers, "MAX_REQUEST", 1_000)

    def parts() -> Iterator[bytes]:
        for _ in range(11):
            yield bytes(100)

    assert client().post("/read", content=bytes(1_000)).json() == 1_000
    answer = client().post("/read", content=bytes(1_001) if told else parts())
    assert (answer.status_code, answer.json()) == (413, {"error": headers.TOO_LARGE})
    assert "frame-ancestors" in answer.headers["content-security-policy"]


def test_the_page_sends_the_headers_and_takes_no_huge_request(address):
    with urllib.request.urlopen(address) as answer:
        assert answer.headers["content-security-policy"].startswith(HUGGING_FACE)
    request = urllib.request.Request(f"{address}/gradio_api/call/generate", b"{}", {
        "content-type": "application/json", "content-length": str(headers.MAX_REQUEST + 1)})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 413
    assert refused.value.read().decode() == f'{{"error":"{headers.TOO_LARGE}"}}'
