"""The sessions of gradio, as light as this page needs them. A call of the API without a session gets one too.

Gradio's own session has the configuration of all components, for its deep links, which this page does not use. To make
it takes longer than an answer.
"""

from types import SimpleNamespace
from typing import Any, cast

from gradio.state_holder import SessionState, StateHolder

KEPT = 1_000  # the least recently used is dropped first; gradio looks at each of them every second


class Session(SessionState):
    """The state of one visitor, without the configuration of components."""

    def __init__(self, blocks: Any):
        # there is no block of which a configuration could be made
        super().__init__(cast(Any, SimpleNamespace(default_config=blocks.default_config, blocks={})))

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: Any) -> None:
        pass


class Sessions(StateHolder):
    """The sessions of a page, by their names."""

    def __init__(self, blocks: Any):
        super().__init__()  # type: ignore[no-untyped-call]
        self.set_blocks(blocks)

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self:
            self.session_data[session_id] = Session(self.blocks)
        return super().__getitem__(session_id)

    def forget(self, session_id: str) -> None:
        """Drop a session that nobody will ask for again."""
        with self.lock:
            self.session_data.pop(session_id, None)
            self.time_last_used.pop(session_id, None)
