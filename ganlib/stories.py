"""Stories for the live lab: settings, and what there is to watch. A test holds that each shows what it says."""

from dataclasses import dataclass
from typing import Any

from ganlib.lab import Settings


@dataclass(frozen=True)
class Story:
    """A film worth watching.

    Args:
        name: in links.
        title: a few words.
        watch: two sentences that say what to watch.
        settings: those that differ from the target's own.
        steps: how long it takes.
        cures: the name of the story whose trouble it cures, None for others.
    """

    name: str
    title: str
    watch: str
    settings: dict[str, Any]
    steps: int
    cures: str | None = None

    def __post_init__(self) -> None:
        Settings.of(self.settings)  # raises ValueError for wrong ones


_COLLAPSE = {"target": "ring", "loss": "non-saturating", "penalty": "none", "gamma": 0.0}
_WINS = {"target": "ring", "loss": "non-saturating", "n_critic": 5, "discriminator_lr": 1e-2, "generator_lr": 5e-4}
_STALLS = {"target": "normal", "mean": 5.0, "std": 0.3, "penalty": "none", "gamma": 0.0, "n_critic": 5,
           "discriminator_lr": 2e-2, "generator_lr": 2e-4}

STORIES: tuple[Story, ...] = (
    Story("digits", "Digits, live",
          "Eight seeds of each digit grow from noise. Watch strokes appear first, and then the digits.",
          {"target": "digits"}, 500),
    Story("fair-fight", "A fair fight",
          "Both networks learn at the same pace. Watch the orange points reach all eight spots while D(x) goes to ½.",
          {"target": "ring", "gamma": 0.3}, 1_500),
    Story("mode-collapse", "Mode collapse",
          "The generator learns much faster than the discriminator. Watch all points jump together, and reach few "
          "spots at a time.",
          _COLLAPSE | {"generator_lr": 1e-2, "discriminator_lr": 1e-4}, 600),
    Story("two-time-scales", "Two time scales",
          "Now the discriminator learns four times as fast as the generator. Watch the points stay on all eight spots.",
          _COLLAPSE | {"generator_lr": 1e-3, "discriminator_lr": 4e-3}, 800, "mode-collapse"),
    Story("discriminator-wins", "The discriminator wins",
          "The discriminator is too fast and has no penalty. Watch its map become a sharp mosaic while the distance "
          "stops falling.",
          _WINS | {"penalty": "none", "gamma": 0.0}, 600),
    Story("penalties", "Penalties keep it smooth",
          "The same fast discriminator, now with a penalty on steep slopes (R1 and R2). Watch its map stay smooth and "
          "the points find the spots.",
          _WINS | {"penalty": "r1+r2", "gamma": 0.35}, 800, "discriminator-wins"),
    Story("saturating-stall", "The saturating loss stalls",
          "The discriminator is certain, so the saturating loss is flat. Watch the orange numbers hardly move.",
          _STALLS | {"loss": "saturating"}, 500),
    Story("relativistic", "The relativistic loss moves",
          "Only the loss has changed: it compares each generated number with a real one. Watch the orange numbers move "
          "to the target.",
          _STALLS | {"loss": "relativistic"}, 1_500, "saturating-stall"),
)

# each trouble with its cure
TROUBLES: tuple[tuple[Story, Story], ...] = tuple(
    (trouble, cure) for trouble in STORIES for cure in STORIES if cure.cures == trouble.name)
