"""Proxies on loopback, as nginx is one: a page below a path of a shared host, and several replicas of a page."""

import itertools
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

COOKIE = "replica"
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}  # headers of one connection alone


@contextmanager
def below(path: str, page: str) -> Iterator[str]:
    """The address, ending in `path`, at which the page is found."""
    async def forward(client: httpx.AsyncClient, request: Request) -> Response:
        if request.url.path == path:  # below which the page's own addresses are
            return RedirectResponse(f"{path}/?{request.url.query}")
        if not request.url.path.startswith(f"{path}/"):
            return Response("{}", media_type="application/json")  # gradio asks the host's root for a manifest
        return await _pass_on(client, request, page + request.url.path.removeprefix(path))

    with _serving(forward) as address:
        yield address + path


@contextmanager
def before(replicas: list[str]) -> Iterator[str]:
    """The address of several replicas of a page: a visitor stays with one, by a cookie, as long as it answers."""
    order = itertools.cycle(range(len(replicas)))

    async def forward(client: httpx.AsyncClient, request: Request) -> Response:
        number = int(request.cookies.get(COOKIE, next(order)))
        for i in range(number, number + len(replicas)):
            with suppress(httpx.TransportError):
                answer = await _pass_on(client, request, replicas[i % len(replicas)] + request.url.path)
                answer.set_cookie(COOKIE, str(i % len(replicas)))
                return answer
        return Response("no replica answers", 502)

    with _serving(forward) as address:
        yield address


async def _pass_on(client: httpx.AsyncClient, request: Request, url: str) -> Response:
    """The answer that the page at `url` gives to a request."""
    headers = {name: value for name, value in request.headers.items() if name not in HOP}
    headers |= {"x-forwarded-host": request.headers["host"], "x-forwarded-proto": "http"}
    ahead = client.build_request(request.method, url, params=request.query_params, headers=headers,
                                 content=await request.body())
    answer = await client.send(ahead, stream=True)
    kept = {name: value for name, value in answer.headers.items() if name not in HOP}
    return StreamingResponse(answer.aiter_raw(), answer.status_code, kept, background=BackgroundTask(answer.aclose))


@contextmanager
def _serving(forward: Callable[[httpx.AsyncClient, Request], Awaitable[Response]]) -> Iterator[str]:
    """The address of a server in a thread, all of whose answers `forward` makes."""
    client = httpx.AsyncClient(timeout=None)

    async def close(app: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]
    app = Starlette(routes=[Route("/{rest:path}", partial(forward, client), methods=methods)],
                    lifespan=asynccontextmanager(close))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", loop="asyncio",
                                           timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
