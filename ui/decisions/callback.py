"""The callback behind every button that decides on a label."""

from __future__ import annotations

from autointerp_core.store.history import LabelState
from ui.decisions import author, decide
from ui.decisions.decide import Decision


def act(
    action: decide.Action,
    sae: str,
    state: LabelState,
    *,
    text: str = "",
    event: int | None = None,
    then: int | None = None,
) -> None:
    """Callback: decide, and go on to feature ``then`` where one is given."""
    expected = state.last_event or 0
    decision = Decision(action, sae, state.feature, expected, text=text, event=event)
    decide.make([decision], author.current(), then)
