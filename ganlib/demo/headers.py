"""What goes with every answer of the page, and how large a request may be."""

import os
from contextlib import suppress

from fastapi.middleware import Middleware
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_REQUEST = 48 * 2**20  # bytes: more than any file that the page takes, as text
# who may show the page in a frame: Hugging Face, whose Spaces are frames, and what runs on the visitor's own machine
FRAMES = ("'self'", "https://huggingface.co", "https://*.huggingface.co", "https://*.hf.space")
LOCAL = ("http://localhost:*", "http://127.0.0.1:*")  # such as a notebook
TOO_LARGE = f"The request is too large: it may have {MAX_REQUEST // 2**20} MB."


def frames() -> tuple[str, ...]:
    """Who may show the page in a frame. `GANLIB_FRAMES` adds addresses, with spaces between them."""
    more = os.environ.get("GANLIB_FRAMES", "").replace(",", " ").replace(";", " ").split()
    return (*FRAMES, *(() if os.environ.get("SPACE_ID") else LOCAL), *more)


def middleware() -> list[Middleware]:
    return [Middleware(Guard, frames())]


class _TooLarge(Exception):
    """More bytes came than a request may have."""


class Guard:
    """An ASGI app before another one: it adds headers to each answer, and refuses requests that are too large."""

    def __init__(self, app: ASGIApp, ancestors: tuple[str, ...]):
        self.app = app
        self.headers = {"content-security-policy": f"frame-ancestors {' '.join(ancestors)}",
                        "x-content-type-options": "nosniff",
                        "referrer-policy": "strict-origin-when-cross-origin"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        seen, begun = 0, False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MAX_REQUEST:
                raise _TooLarge
            return message

        async def unless_too_large(message: Message) -> None:
            if seen <= MAX_REQUEST:  # otherwise it is what the app made of _TooLarge
                await answer(message)

        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length) > MAX_REQUEST:
            seen = int(length)
        else:
            with suppress(_TooLarge):
                await self.app(scope, counted, unless_too_large)
        if seen > MAX_REQUEST and not begun:
            await JSONResponse({"error": TOO_LARGE}, 413)(scope, receive, answer)
