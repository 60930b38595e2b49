"""Runs that are trained in memory to be measured, and a JSON file of their measures, so that no run is repeated."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from ganlib.architectures import Architecture, describe
from ganlib.checkpoint import read_json, to_json, write_atomically
from ganlib.classifier import DigitClassifier
from ganlib.data import Data
from ganlib.model import Model
from ganlib.training import NonFiniteLoss, TrainConfig, train


def train_in_memory(name: str, architecture: Architecture, config: TrainConfig, data: Data, device: str,
                    shown: bool = True) -> Model | None:
    """The model at the end of a run, None if a loss did not stay finite. shown: with a progress bar."""
    try:
        for step in tqdm(train(architecture, data, config, device), f"{name}, seed {config.seed}", config.steps,
                         unit="step", dynamic_ncols=True, leave=False, disable=not shown):
            pass
    except NonFiniteLoss:
        return None
    return Model(name, architecture, step.generator, step.state.discriminator, encoder=step.state.average_encoder,
                 history=step.state.history)


class Results:
    """The measures of runs, kept in a file or, without a path, in memory. Raises WeightsError for another kind of file,
    and OSError if no file can be written in its folder.

    A run is identified by everything that its result depends on: data, classifier, device, networks and training;
    `more` is what else the measures depend on.
    """

    def __init__(self, path: Path | None, data: Data, network: DigitClassifier | None, device: str, **more: object):
        self.path, self.entries = path, []
        self.common = {**data.fingerprint(), "device": torch.device(device).type,
                       "features": network and network.fingerprint(), **more}
        if path is not None:
            self.entries = read_json(path, list, missing=[])
            path.parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=path.parent).close()  # raises now, and not after hours of training

    def find(self, architecture: Architecture, config: TrainConfig) -> dict | None:
        """The measures of a run, None if they are not kept."""
        run, known = self._identity(architecture, config), (e for e in self.entries if isinstance(e, dict))
        return next((entry["measures"] for entry in known if entry.get("run") == run and "measures" in entry), None)

    def add(self, title: str, architecture: Architecture, config: TrainConfig, measures: dict) -> None:
        """Keeps the measures of a run; `title` is for readers."""
        if self.path is not None:
            self.entries = read_json(self.path, list, missing=[])  # another command may have added to the file
        self.entries.append({"title": title, "run": self._identity(architecture, config), "measures": measures})
        if self.path is not None:
            write_atomically(self.path, to_json(self.entries))

    def _identity(self, architecture: Architecture, config: TrainConfig) -> dict:
        """As JSON returns it: tuples as lists, functions as their names."""
        known = {**self.common, "networks": describe(architecture), "train": asdict(config)}
        return json.loads(json.dumps(known, default=lambda function: function.__name__))
