"""Measures of runs, kept in a JSON file while more are made: what is in it need not be done again."""

import json
from pathlib import Path

import torch

from ganlib.checkpoint import read_json, to_json, write_whole
from ganlib.classifier import DigitClassifier
from ganlib.data import Data


def conditions(data: Data, network: DigitClassifier | None, device: str) -> dict:
    """What a run's result depends on beside its networks and their training: the data, who measures, and where."""
    return {**data.fingerprint(), "device": torch.device(device).type, "features": network and network.fingerprint()}


class Results:
    """The runs of one file, or, without a path, of this process alone.

    A run is known by its identity: all that its result depends on, as JSON can hold it. Raises WeightsError where there
    is a file that is not such a list.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self.entries = self._read()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def _read(self) -> list:
        return [] if self.path is None else read_json(self.path, list, missing=[])

    def find(self, identity: dict) -> dict | None:
        """The measures of this run, None where it is not kept."""
        wanted = json.loads(json.dumps(identity))  # tuples as lists, as the file gives them back
        known = (entry for entry in self.entries if isinstance(entry, dict))
        return next((entry["measures"] for entry in known if entry.get("run") == wanted and "measures" in entry), None)

    def add(self, title: str, identity: dict, measures: dict) -> None:
        """Keep a run; title: what people know it by."""
        kept = self.entries if self.path is None else self._read()  # another command may have added to the file
        self.entries = [*kept, {"title": title, "run": identity, "measures": measures}]
        if self.path is not None:
            write_whole(self.path, to_json(self.entries))
