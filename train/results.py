"""Measures of runs, kept in a JSON file while more are made: what is in it need not be done again."""

import json
from pathlib import Path

from ganlib.checkpoint import read_json, to_json, write_whole


class Results:
    """The runs of one file, or, without a path, of this process alone.

    A run is known by its identity: all that its result depends on, as JSON can hold it. Raises WeightsError where there
    is a file that is not such a list.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self.entries = [] if path is None else read_json(path, list, missing=[])
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def find(self, identity: dict) -> dict | None:
        """The measures of this run, None where it is not kept."""
        wanted = json.loads(json.dumps(identity))  # tuples as lists, as the file gives them back
        known = (entry for entry in self.entries if isinstance(entry, dict))
        return next((entry["measures"] for entry in known if entry.get("run") == wanted and "measures" in entry), None)

    def add(self, title: str, identity: dict, measures: dict) -> None:
        """Keep a run; title: what people know it by."""
        self.entries.append({"title": title, "run": identity, "measures": measures})
        if self.path is not None:
            write_whole(self.path, to_json(self.entries))
