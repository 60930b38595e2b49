"""A proxy on loopback that serves a page below a path, as nginx does on a shared host."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}  # headers of one connection alone


@contextmanager
def below(path: str, page: str) -> Iterator[str]:
    """The address, ending in `path`, at which the page is found."""
    client = httpx.AsyncClient(timeout=None)

    async def forward(request: Request) -> Response:
        if not request.url.path.startswith(path):
            return Response("nothing here", 404)
        url = page + (request.url.path.removeprefix(path) or "/")
        headers = {name: value for name, value in request.headers.items() if name not in HOP}
        headers |= {"x-forwarded-host": request.headers["host"], "x-forwarded-proto": "http"}
        ahead = client.build_request(request.method, url, params=request.query_params, headers=headers,
                                     content=await request.body())
        answer = await client.send(ahead, stream=True)
        kept = {name: value for name, value in answer.headers.items() if name not in HOP}
        return StreamingResponse(answer.aiter_raw(), answer.status_code, kept, background=BackgroundTask(answer.aclose))

    methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]
    app = Starlette(routes=[Route("/{rest:path}", forward, methods=methods)])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}{path}"
        server.should_exit = True
        thread.join(30)
