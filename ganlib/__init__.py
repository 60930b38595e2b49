"""ganlib: small generative networks to explore, run, retrain and publish.

    import ganlib
    model = ganlib.load("dcgan")
    x = model.sample(seeds=range(16))     # (16, 1, 28, 28) float32 in [-1, 1]

Modules that the environment variable GANLIB_IMPORT names, separated by commas, are imported with ganlib, so that what
they register is available to command lines and the page too.
"""

import importlib as _importlib
import importlib.util as _util
import os as _os
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from ganlib.version import __version__ as __version__

if _TYPE_CHECKING:
    from ganlib._public import *  # noqa: F403


# who samples from a model needs nothing that trains, which takes as long to import as a model to load
_ROOMS = {"load": "hub", "Model": "model", "WeightsError": "checkpoint", "save": "checkpoint", "shipped": "checkpoint"}


def __getattr__(name: str) -> _Any:
    """A module of ganlib, or a public name: they are imported when first used, so that `ganlib --help` is quick."""
    if name in _ROOMS:
        globals()[name] = getattr(_importlib.import_module(f"ganlib.{_ROOMS[name]}"), name)
        return globals()[name]
    if not name.startswith("_") and _util.find_spec(f"ganlib.{name}"):
        return _importlib.import_module(f"ganlib.{name}")
    if name == "__all__" or not name.startswith("_"):
        public = _importlib.import_module("ganlib._public")
        globals().update({known: getattr(public, known) for known in public.__all__}, __all__=public.__all__)
        if name in globals():
            return globals()[name]
    raise AttributeError(f"module 'ganlib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})


for _name in filter(None, map(str.strip, _os.environ.get("GANLIB_IMPORT", "").split(","))):
    try:
        _importlib.import_module(_name)
    except ModuleNotFoundError as _error:
        if _error.name is None or not f"{_name}.".startswith(f"{_error.name}."):
            raise  # what the module itself imports
        raise ImportError(f"GANLIB_IMPORT names the module {_name}, which is not installed and not in a folder of "
                          f"PYTHONPATH") from None
