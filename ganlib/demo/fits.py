"""The named directions of the page's models, each fitted once and kept as long as its model."""

import copy
import threading
from concurrent.futures import Future

from ganlib import directions
from ganlib.checkpoint import GENERATOR, HASHES
from ganlib.model import Model

MEASURED_ON = 150  # latents for the correlations of a model whose metrics lack them: more take too long
HASH = HASHES[GENERATOR]  # of the weights that were measured
KEY = "_fitted_directions"  # they know their model: kept elsewhere, they would keep it alive

_lock = threading.Lock()


def fitted(gan: Model) -> directions.Directions:
    """The named directions of a model. A second call waits for the first one's fit."""
    with _lock:
        first = KEY not in vars(gan)
        future: Future[directions.Directions] = vars(gan).setdefault(KEY, Future())
    if first:
        try:
            future.set_result(directions.named(measured(gan)))
        except BaseException as error:
            future.set_exception(error)
            with _lock:  # the next call tries again
                vars(gan).pop(KEY, None)
    return future.result()


def measured(gan: Model) -> Model:
    """The model with the correlations by which directions earn their names.

    They are measured now if its metrics lack them, or are those of other weights.
    """
    known = gan.metrics.get(HASH, gan.weights_sha256) == gan.weights_sha256 and directions.MEASURE in gan.metrics
    if known or tuple(gan.shape) != directions.SHAPE:
        return gan
    found = copy.copy(gan)
    rows = directions.correlations(gan, directions.of_attributes(gan), MEASURED_ON)
    found.metrics = {**gan.metrics, directions.MEASURE: rows, HASH: gan.weights_sha256}
    return found
