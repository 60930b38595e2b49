"""MNIST for the labs of all visitors: read once, and downloaded when a visitor agreed, never twice at once."""

import asyncio
import importlib.util
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ganlib.data import DATASETS, ImageSet, NotDownloaded, default_root
from ganlib.lab import Settings, open_target

PATIENCE = 5.0  # seconds that one request waits for it

DOWNLOAD = ("The digits are from MNIST, which is not on this server yet. It is a download of 11 MB. Should the server "
            "download it now?")
NO_DOWNLOAD = "MNIST could not be downloaded to this server. The recorded film of digits still plays."
NO_READING = "MNIST on this server cannot be read. The recorded film of digits still plays."
NO_TORCHVISION = "Digits need MNIST, and this server cannot download it. The recorded film of digits still plays."

log = logging.getLogger(__name__)


class Mnist:
    """MNIST of this server.

    Args:
        patience: seconds that one request waits for it.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._one = ThreadPoolExecutor(1, thread_name_prefix="mnist")  # its thread starts with the first reading
        self._jobs: dict[bool, Future[Any]] = {}
        self._open = self._failed = False

    def state(self) -> dict[str, str] | None:
        """None if it is at hand, else a sentence: {"download": what would be downloaded} or {"off": why it cannot be}.
        """
        opener = DATASETS["mnist"]
        if self._open or (isinstance(opener, ImageSet) and (default_root() / opener.folder).is_dir()):
            return None
        if self._failed:
            return {"off": NO_DOWNLOAD}
        return {"download": DOWNLOAD} if importlib.util.find_spec("torchvision") else {"off": NO_TORCHVISION}

    async def open(self, settings: Settings, download: bool) -> bool:
        """Read it. Returns False if it takes longer, as a download does; then ask again.

        Raises:
            NotDownloaded: it is missing, and download is False.
            ValueError: it cannot be downloaded or read, in one sentence.
        """
        if self._open:
            return True
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._job(settings, download))), self._patience)
        except TimeoutError:
            return False
        except NotDownloaded:
            raise
        except (ValueError, ImportError) as error:
            self._failed = self._failed or download
            log.warning("%s", error)  # not for visitors: it names folders of the server
            raise ValueError(NO_DOWNLOAD if download else NO_READING) from None
        self._open = True
        return True

    def _job(self, settings: Settings, download: bool) -> "Future[Any]":
        """The reading in progress, or a new one. One follows the other."""
        with self._lock:
            job = self._jobs.get(download)
            if job is None or (job.done() and job.exception() is not None):
                job = self._jobs[download] = self._one.submit(open_target, settings, download)
            return job
