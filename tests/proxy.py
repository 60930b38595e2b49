"""A proxy on loopback that serves a page below a path, as nginx does on a shared host."""

import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}  # headers of one connection alone


@contextmanager
def below(path: str, page: str) -> Iterator[str]:
    """The address, ending in `path`, at which the page is found."""
    client = httpx.AsyncClient(timeout=None)

    async def close(app: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    async def forward(request: Request) -> Response:
        if request.url.path == path:  # below which the page's own addresses are
            return RedirectResponse(f"{path}/?{request.url.query}")
        if not request.url.path.startswith(f"{path}/"):
            return Response("{}", media_type="application/json")  # gradio asks the host's root for a manifest
        url = page + request.url.path.removeprefix(path)
        headers = {name: value for name, value in request.headers.items() if name not in HOP}
        headers |= {"x-forwarded-host": request.headers["host"], "x-forwarded-proto": "http"}
        ahead = client.build_request(request.method, url, params=request.query_params, headers=headers,
                                     content=await request.body())
        answer = await client.send(ahead, stream=True)
        kept = {name: value for name, value in answer.headers.items() if name not in HOP}
        return StreamingResponse(answer.aiter_raw(), answer.status_code, kept, background=BackgroundTask(answer.aclose))

    methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]
    app = Starlette(routes=[Route("/{rest:path}", forward, methods=methods)], lifespan=asynccontextmanager(close))
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
        yield f"http://127.0.0.1:{port}{path}"
    finally:
        server.should_exit = True
        thread.join(30)
