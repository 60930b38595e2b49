"""Waypoints: places in latent space as short texts, which links, passports and the page's API share.

| text       | means                                                                            |
|------------|----------------------------------------------------------------------------------|
| "3"        | seed 3, as the class that it picks                                               |
| "3:7"      | seed 3 as class 7                                                                |
| "zTEXT"    | a latent that was found, as text by `ganlib.sampling.latent_to_text`             |
| "zTEXT:7"  | the same as class 7, which a model with classes needs                            |
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganlib import sampling
from ganlib.checks import check_int, quoted, require
from ganlib.model import Model

MAX_WAYPOINTS = 6  # of a walk on the page
MAX_CLASS = 999_999  # which PATTERN allows
PATTERN = re.compile(r"(?:(?P<seed>\d{1,10})|z(?P<found>[A-Za-z0-9_-]+))(?::(?P<chosen>\d{1,6}))?", re.ASCII)


@dataclass(frozen=True)
class Waypoint:
    """A seed or a found latent, with a class or without one. `str` gives its text.

    Args:
        seed: the seed, None for a found latent.
        found: the text of a found latent, None for a seed.
        chosen: the class, None for a model without classes, or where the seed picks it.
    """

    seed: int | None = None
    found: str | None = None
    chosen: int | None = None

    def __post_init__(self) -> None:
        require((self.seed is None) != (self.found is None), "a waypoint is a seed or a found latent, one of them")
        if self.seed is not None:
            object.__setattr__(self, "seed", check_int(self.seed, 0, sampling.MAX_SEED, "a seed"))
        if self.chosen is not None:
            object.__setattr__(self, "chosen", check_int(self.chosen, 0, MAX_CLASS, "a waypoint's class"))
        match = PATTERN.fullmatch(str(self))
        require(match is not None and match["found"] == self.found,
                f"the text of a latent has letters, digits, - and _ alone, not {quoted(self.found)}")

    @classmethod
    def parse(cls, text: str, model: Model) -> "Waypoint":
        """The waypoint of a text. Raises ValueError if the text is none, or none of this model."""
        match = PATTERN.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"a waypoint is a seed such as 3, or 3:7 for seed 3 as class 7, not {quoted(text)}")
        seed, found, chosen = match["seed"], match["found"], match["chosen"]
        point = cls(None if seed is None else int(seed), found, None if chosen is None else int(chosen))
        point.latent(model), point.label(model)
        return point

    @classmethod
    def at(cls, z: Tensor, label: int | None = None) -> "Waypoint":
        """The waypoint of a found latent (D,), whose numbers are rounded to float16."""
        return cls(found=sampling.latent_to_text(z), chosen=label)

    def __str__(self) -> str:
        place = f"z{self.found}" if self.seed is None else str(self.seed)
        return place if self.chosen is None else f"{place}:{self.chosen}"

    def latent(self, model: Model) -> Tensor:
        """Its latent (latent_dim,) float32. Raises ValueError if it is not one of this model."""
        if self.found is not None:
            return sampling.latent_from_text(self.found, model.latent_dim)
        return model.latents([] if self.seed is None else [self.seed])[0]

    def label(self, model: Model) -> int | None:
        """Its class, None for a model without classes. Raises ValueError if the model has no such class."""
        if model.num_classes is None:
            require(self.chosen is None, f"{model.name} has no classes: a waypoint must be without one, not {self}")
            return None
        if self.chosen is not None:
            return check_int(self.chosen, 0, model.num_classes - 1, "a waypoint's class")
        require(self.seed is not None, f"{model.name} has classes: a found latent needs one, such as :0 at its end")
        return int(sampling.labels([self.seed or 0], model.num_classes)[0])


def ends(points: Sequence[Waypoint], model: Model) -> tuple[Tensor, list[int] | None]:
    """Latents (K, latent_dim) and labels (K,) of waypoints, None without classes: the arguments of `Model.walk`."""
    require(len(points) > 0, "give at least one waypoint")
    labels = [point.label(model) for point in points]
    with torch.inference_mode(False):
        z = torch.stack([point.latent(model) for point in points])
    return z, None if model.num_classes is None else [label or 0 for label in labels]
