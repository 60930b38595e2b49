"""Runs that are trained in memory to be measured; a JSON file keeps what came out, so that none is done twice."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from ganlib.architectures import Architecture, describe
from ganlib.checkpoint import read_json, to_json, write_whole
from ganlib.classifier import DigitClassifier
from ganlib.data import Data
from ganlib.model import Model
from ganlib.training import NonFiniteLoss, TrainConfig, train


def train_in_memory(name: str, architecture: Architecture, config: TrainConfig, data: Data, device: str,
                    shown: bool = True) -> Model | None:
    """The model at the end of a run, None where a loss did not stay finite. shown: with a progress bar."""
    try:
        with tqdm(total=config.steps, desc=f"{name}, seed {config.seed}", unit="step", dynamic_ncols=True, leave=False,
                  disable=not shown) as bar:
            for step in train(architecture, data, config, device):
                bar.update()
    except NonFiniteLoss:
        return None
    return Model(name, architecture, step.generator, step.state.discriminator, history=step.state.history)


class Results:
    """The measures of runs of one file, or, without a path, of this process alone.

    A run is known by all that its result depends on: the data, who measures, where, the networks and their training.

    Args:
        path: of the file, or None.
        data, network, device: what all runs have in common: the data, the classifier that measures, and where.
        more: what else their measures depend on.

    Raises:
        WeightsError: there is a file that is no list of runs.
    """

    def __init__(self, path: Path | None, data: Data, network: DigitClassifier | None, device: str, **more):
        self.path, self.entries = path, []
        self.common = {**data.fingerprint(), "device": torch.device(device).type,
                       "features": network and network.fingerprint(), **more}
        if path is not None:
            self.entries = read_json(path, list, missing=[])
            path.parent.mkdir(parents=True, exist_ok=True)

    def find(self, architecture: Architecture, config: TrainConfig) -> dict | None:
        """The measures of a run, None where they are not kept."""
        wanted, known = self._identity(architecture, config), (e for e in self.entries if isinstance(e, dict))
        return next((entry["measures"] for entry in known if entry.get("run") == wanted and "measures" in entry), None)

    def add(self, title: str, architecture: Architecture, config: TrainConfig, measures: dict) -> None:
        """Keep the measures of a run; title: what people know it by."""
        if self.path is not None:
            self.entries = read_json(self.path, list, missing=[])  # another command may have added to the file
        self.entries.append({"title": title, "run": self._identity(architecture, config), "measures": measures})
        if self.path is not None:
            write_whole(self.path, to_json(self.entries))

    def _identity(self, architecture: Architecture, config: TrainConfig) -> dict:
        """As JSON gives it back: tuples as lists, functions by their names."""
        known = {**self.common, "networks": describe(architecture), "train": asdict(config)}
        return json.loads(json.dumps(known, default=lambda function: function.__name__))
