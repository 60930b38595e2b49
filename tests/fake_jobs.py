"""Hugging Face Jobs of the fake Hub: a job is a process in an empty folder, with a Python that has what it asks for.

It stands in for `uv run --with REQUIREMENT … python …` in a container. It knows nothing of ganlib.
"""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HARDWARE = [
    {"name": "cpu-basic", "prettyName": "CPU Basic", "cpu": "2 vCPU", "ram": "16 GB", "accelerator": None,
     "unitCostMicroUSD": 167, "unitCostUSD": 0.000167, "unitLabel": "minute"},
    {"name": "a10g-small", "prettyName": "Nvidia A10G - small", "cpu": "4 vCPU", "ram": "15 GB",
     "accelerator": {"type": "gpu", "model": "A10G", "quantity": "1", "vram": "24 GB", "manufacturer": "Nvidia"},
     "unitCostMicroUSD": 16667, "unitCostUSD": 0.016667, "unitLabel": "minute"}]


@dataclass
class Job:
    """spec: as the client sent it. lines: its output so far."""

    id: str
    owner: str
    spec: dict[str, Any]
    stage: str = "RUNNING"
    message: str | None = None
    lines: list[str] = field(default_factory=list)
    process: subprocess.Popen | None = None

    def answer(self) -> dict[str, Any]:
        shown = {key: value for key, value in self.spec.items() if key not in ("secrets", "timeoutSeconds")}
        return {"id": self.id, "createdAt": "2026-11-28T00:00:00.000Z", **shown,
                "owner": {"id": "1", "name": self.owner, "type": "user"},
                "status": {"stage": self.stage, "message": self.message}}


class Jobs:
    """The jobs of a Hub.

    folder: where they run
    environment: of all jobs, without a token
    python: makes an environment with these requirements, and returns its Python; None for a job that only waits
    """

    def __init__(self, folder: Path, environment: dict[str, str], python: Callable[[list[str]], Path] | None):
        self.started: list[Job] = []
        self._folder, self._environment, self._python = folder, environment, python
        self._changed = threading.Condition()

    def answer(self, method: str, rest: list[str], query: dict[str, list[str]], body: bytes, owner: str) -> Any:
        """What follows /api/jobs; an iterator of bytes is sent as it comes."""
        jobs = {job.id: job for job in self.started if job.owner == owner}
        match method, *rest:
            case "GET", "hardware":
                return HARDWARE
            case "POST", _:
                return self._start(json.loads(body), owner).answer()
            case "GET", _:
                wanted = [label.split("=") for label in query.get("label", [])]
                return [job.answer() for job in jobs.values() if job.stage in query.get("stage", [job.stage])
                        and all(job.spec["labels"].get(key) == value for key, value in wanted)]
            case "GET", _, name if name in jobs:
                return jobs[name].answer()
            case "GET", _, name, "logs" if name in jobs:
                return self._log(jobs[name])
        return None

    def kill(self, job: Job) -> None:
        """Ends a job as a timeout does."""
        job.message = "Job timeout"
        job.process.kill()
        with self._changed:
            assert self._changed.wait_for(lambda: job.stage != "RUNNING", 60)

    def end_at(self, text: str) -> None:
        """Asks the first job to end, as a cancellation does, when its log has the text."""
        def said() -> bool:
            return any(text in line for job in self.started[:1] for line in job.lines)

        with self._changed:
            if self._changed.wait_for(said, 300):
                self.started[0].process.terminate()

    def close(self) -> None:
        for job in self.started:
            if job.process is not None:
                job.process.kill()
            self._end(job)

    def _start(self, spec: dict[str, Any], owner: str) -> Job:
        job = Job(f"job{len(self.started)}", owner, spec)
        self.started.append(job)
        if self._python is not None:
            threading.Thread(target=self._run, args=(job,), daemon=True).start()
        return job

    def _run(self, job: Job) -> None:
        words, wanted = job.spec["command"], []
        assert words[:2] == ["uv", "run"]
        words = words[2:]
        while words[0] == "--with":
            wanted.append(words[1])
            words = words[2:]
        assert words[0] == "python"
        place = self._folder / job.id
        place.mkdir(parents=True)
        secrets = job.spec.get("secrets", {})
        environment = self._environment | {"HOME": str(place)} | job.spec["environment"] | secrets
        with subprocess.Popen([self._python(wanted), *words[1:]], cwd=place, env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as job.process:
            for line in job.process.stdout:
                with self._changed:
                    job.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        if code := job.process.returncode:
            job.message = job.message or f"Job failed with exit code: {code}. Reason: Error"
        self._end(job)

    def _end(self, job: Job) -> None:
        with self._changed:
            job.stage = "ERROR" if job.message else "COMPLETED"
            self._changed.notify_all()

    def _log(self, job: Job) -> Iterator[bytes]:
        """The output as server-sent events, from the first line to the end of the job."""
        sent = 0
        yield event("===== Job started at 2026-11-28 00:00:00 =====")
        while True:
            with self._changed:
                while len(job.lines) == sent and job.stage == "RUNNING":
                    self._changed.wait()
                new = job.lines[sent:]
            if not new:
                return
            for line in new:
                yield event(line)
            sent += len(new)


def event(line: str) -> bytes:
    return f"data: {json.dumps({'data': line, 'timestamp': '2026-11-28T00:00:00.000Z'})}\n\n".encode()
