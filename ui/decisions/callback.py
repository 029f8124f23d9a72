"""The callback behind every button that decides on a label."""

from __future__ import annotations

from autointerp_core.store.decisions import Action, Decision
from autointerp_core.store.history import LabelState
from ui import url
from ui.decisions import author, decide


def act(
    action: Action,
    sae: str,
    state: LabelState,
    *,
    text: str = "",
    event: int | None = None,
    then: int | None = None,
) -> None:
    """Callback: decide, and go on to feature ``then`` where one is given."""
    decision = Decision(action, sae, state.feature, state.last_event or 0, text=text, event=event)
    decide.make(decide.Request((decision,), url.study(), then), author.current())
