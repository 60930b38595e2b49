"""A page in a process of its own, and a client that sends it what no browser would."""

import json
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.conftest import serving
from tests.stress.report import ROOT, no_sentence, status

PATIENCE = 60.0  # seconds that an answer may take
CANARY = "canary-4f1c2b"  # is in a file that the page must not serve
SERVED_IN_ERROR = ("root:x:0", CANARY)
KNOWN = "Caught handled exception, but response already started"  # by gradio, of the events of an unknown call
INSIDE = re.compile("|".join(map(re.escape, ("Traceback", "site-packages", str(ROOT), '.py"', "object at 0x"))))


@dataclass
class Answer:
    """What the page answered: the status, and a text; `refused`: the error of an event, if it was one."""

    status: int
    text: str
    refused: str | None = None
    ended: bool = True


@dataclass
class Page:
    """A running page. sent: how many requests it got so far."""

    address: str
    process: int
    log: Path
    client: httpx.Client
    sent: int = 0
    read: int = 0  # of the log
    config: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    def raw(self, method: str, path: str, content: bytes | None = None, **options: Any) -> Answer:
        """Sends a request as it is; the path may be any text in ASCII."""
        self.sent += 1
        try:
            found = self.client.request(method, f"{self.address}{path}", content=content, **options)
        except httpx.TimeoutException:
            return Answer(0, f"no answer in {PATIENCE:.0f} seconds", ended=False)
        except httpx.HTTPError as error:
            return Answer(0, f"no answer: {error!r}", ended=False)
        return Answer(found.status_code, found.text)

    def get(self, path: str) -> Answer:
        """The answer to any path. The events of a call that there is not break off, which is gradio's."""
        found = self.raw("GET", path)
        found.ended |= path.startswith("/gradio_api/call/")
        found.status = found.status or 404 * found.ended
        return found

    def post(self, path: str, body: Any) -> Answer:
        return self.raw("POST", path, json.dumps(body).encode(), headers={"Content-Type": "application/json"})

    def call(self, name: str, data: Any, way: str = "call") -> Answer:
        """Calls an endpoint, by `way` as a list of values ("call"), by their names ("call/v2"), or at once ("run")."""
        body = data if way == "call/v2" else {"data": data}
        began = self.post(f"/gradio_api/{way}/{name}", body)
        if began.status != 200 or way == "run":
            return began
        event = json.loads(began.text)["event_id"]
        return self.events(f"/gradio_api/call/{name}/{event}")

    def join(self, number: int, data: Any, query: Mapping[str, str] | None = None) -> Answer:
        """Calls the handler of that number as a browser does, with the query of the page's address."""
        session = f"stress{self.sent}"
        text = f"?{httpx.QueryParams(query)}" if query else ""
        began = self.post(f"/gradio_api/queue/join{text}", {"data": data, "fn_index": number, "session_hash": session})
        if began.status != 200:
            return began
        return self.events(f"/gradio_api/queue/data?session_hash={session}")

    def ask(self, component: Any, function: Any, data: Any, session: Any = "stress") -> Answer:
        """Calls a server function of a stage."""
        found = self.post("/gradio_api/component_server", {"data": data, "component_id": component,
                                                           "fn_name": function, "session_hash": session})
        if found.status == 200 and isinstance(said := _json(found.text), dict) and "error" in said:
            found.refused = str(said["error"])
        return found

    def events(self, path: str) -> Answer:
        """The events of a call, up to its last one."""
        lines: list[str] = []
        event, ended = "", False
        refused: str | None = None
        try:
            with self.client.stream("GET", f"{self.address}{path}") as found:
                for line in found.iter_lines():
                    lines.append(line)
                    if line.startswith("event: "):
                        event = line[7:]
                    if not line.startswith("data: "):
                        continue
                    said = _json(line[6:])
                    message = said.get("msg") if isinstance(said, dict) else None
                    if event == "error":
                        refused = str(said.get("error") if isinstance(said, dict) else said)
                    if message == "process_completed" and not said["success"]:
                        refused = str((said.get("output") or {}).get("error"))
                    if message == "unexpected_error":
                        refused = f"unexpected: {said.get('message')}"
                    if event in ("error", "complete") or message in ("process_completed", "unexpected_error"):
                        ended = True
                        break
        except httpx.HTTPError as error:
            lines.append(f"no answer: {error!r}")
        return Answer(found.status_code if lines else 0, "\n".join(lines), refused, ended)

    def cut(self, text: bytes) -> None:
        """Sends the beginning of a request, and leaves."""
        self.sent += 1
        place = urlsplit(self.address)
        with socket.create_connection((place.hostname, place.port), timeout=PATIENCE) as connection:
            connection.sendall(text)

    def upload(self, name: str, data: bytes) -> str:
        """Uploads a file as a browser does. Returns its path on the server."""
        self.sent += 1
        found = self.client.post(f"{self.address}/gradio_api/upload", files={"files": (name, data)})
        return str(found.json()[0])

    def wrong(self, answer: Answer) -> str:
        """What is wrong with an answer, and with what the page logged meanwhile; empty if nothing is."""
        faults = []
        if not answer.ended or not answer.status:
            faults.append(f"no answer came to an end: {answer.text[-200:]!r}")
        for text in SERVED_IN_ERROR:
            if text in answer.text:
                faults.append("it served a file from outside")
        if answer.refused is not None:
            said = no_sentence(answer.refused, 4_000)
            if said or not answer.refused.rstrip().endswith((".", "!", "?")):
                faults.append(f"the error is no sentence: {said or repr(answer.refused[:300])}")
        if "Something went wrong" in (answer.refused or ""):
            faults.append(answer.refused)
        failed = answer.status >= 400 or answer.refused is not None
        if failed and (found := INSIDE.search(answer.text)):
            faults.append(f"the answer shows the server's inside, {found[0]!r}: {answer.text[:300]!r}")
        if answer.status >= 500 and no_sentence((_json(answer.text) or {}).get("error")):
            faults.append(f"it answered {answer.status}: {answer.text[:200]!r}")
        if news := self.news():
            faults.append(f"it logged {news!r}")
        return "; ".join(faults)

    def news(self) -> str:
        """The end of the last traceback that the page logged since the last question; empty if there is none."""
        size = self.log.stat().st_size
        if size == self.read:
            return ""
        with self.log.open(errors="replace") as file:
            file.seek(self.read)
            text = file.read()
        self.read = size
        if "Traceback" not in text or KNOWN in text:
            return ""
        lines = [line for line in text.strip().splitlines() if line and not line.startswith(" ")]
        return " / ".join(lines[-1:])[:300]

    def works(self) -> str:
        """What is wrong with a good request; empty if nothing is."""
        found = self.call("generate", ["dcgan", 7, 4])
        if '"path"' not in found.text or found.refused is not None:
            return f"a good request failed: {found.text[:300]!r}"
        return ""

    def functions(self) -> Iterator[tuple[int, str, str]]:
        """The component, the stage and the name of each server function."""
        for component in self.config["components"]:
            for name in component["props"].get("server_fns") or ():
                yield component["id"], component["props"]["elem_id"], name

    def status(self) -> dict[str, int]:
        return status(self.process)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


@contextmanager
def open_page(folder: Path, environment: Mapping[str, str] = os.environ,
              wrapped: Callable[[list, Path], list] = lambda command, kept: command) -> Iterator[Page]:
    """The page as a host runs it, with all that it writes in that folder, and a file that it must not serve above.

    wrapped: changes the command that runs it; the second argument is its folder for temporary files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "kept"
    kept.mkdir()
    (folder / "outside.txt").write_text(CANARY)
    environment = {"HF_HUB_OFFLINE": "1", **environment, "GRADIO_SERVER_NAME": "127.0.0.1", "TMPDIR": str(kept),
                   "GRADIO_ANALYTICS_ENABLED": "False"}
    log = folder / "log"
    command = wrapped([sys.executable, ROOT / "app.py"], kept)
    with (serving(command, environment, log, known=".*", cwd=ROOT) as (address, process),
          httpx.Client(timeout=PATIENCE, limits=httpx.Limits(max_keepalive_connections=4)) as client):
        page = Page(address, process, log, client)
        page.config = client.get(f"{address}/config").json()
        page.info = client.get(f"{address}/gradio_api/info").json()
        for _ in range(100):
            if not page.works():
                break
            time.sleep(0.1)
        page.news()
        yield page
