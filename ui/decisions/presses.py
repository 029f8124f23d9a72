"""What a press decides: the same for every page where people decide."""

from __future__ import annotations

from typing import cast

from autointerp_core.errors import LabelRejected
from autointerp_core.store.decisions import Action, Decision
from autointerp_core.store.history import LabelState
from autointerp_core.store.text_cleaning import clean_label, clean_note
from ui.decisions import author, decide
from ui.decisions.keyboard import Press

DECIDES = ("accept", "flag", "unflag", "undo", "label", "note")


def make(press: Press, state: LabelState, then: int | None = None) -> None:
    """Save what the press decides about the feature that was on the screen.

    ``state`` is that feature's label now; ``then`` the feature to go to once it is saved.
    """
    screen = press.screen
    decision = _decision(press, state)
    if decision is None:
        what = "note" if press.do == "note" else "label"
        decide.saved_draft(press.draft, press.number)
        decide.tell(
            screen.sae, screen.feature, "saved", f"Nothing to save: it is the {what} already"
        )
        decide.move_on(screen.study, screen.feature, then)
        return
    draft = (press.draft, press.number) if press.draft else ("", 0)
    request = decide.Request((decision,), screen.study, then, draft=draft)
    decide.make(request, author.current())


def _decision(press: Press, state: LabelState) -> Decision | None:
    screen = press.screen
    if press.do == "label":
        return _label(press, state)
    if press.do == "note" and clean_note(press.text) == (state.note or ""):
        return None
    return Decision(
        cast(Action, press.do),
        screen.sae,
        screen.feature,
        screen.seen,
        text=press.text if press.do == "note" else "",
        event=press.event,
    )


def _label(press: Press, state: LabelState) -> Decision | None:
    """A text that was proposed is accepted, not written anew; None where it stands already."""
    sae, feature, seen = press.screen.sae, press.screen.feature, press.screen.seen
    try:
        label = clean_label(press.text)
    except LabelRejected:
        label = ""  # refused, with the reason, when it is to be saved
    if label and label == state.label and state.status != "unreviewed":
        return None
    for proposal in reversed(state.proposals):
        if proposal.text == label:
            return Decision("accept", sae, feature, seen, event=proposal.event_id)
    return Decision("override", sae, feature, seen, text=press.text)
