"""What a person decides about a feature's label, saved to the history from button callbacks.

A decision made before its author is known waits in the session until the name is given.
What came of it (a refusal, a conflict) is kept for the page to show in its place.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from autointerp_core.errors import AutointerpError, LabelRejected
from autointerp_core.store.events import ACCEPTED, FLAGGED
from autointerp_core.store.history import EditConflict, NewEvent
from ui import readers, url

Action = Literal["accept", "override", "revert", "flag", "unflag", "note", "undo"]


@dataclass(frozen=True)
class Decision:
    """One thing to record. ``expected`` is the last event the person had seen."""

    action: Action
    sae: str
    feature: int
    expected: int | None
    text: str = ""
    event: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What to tell about the last decision on a feature, and where."""

    feature: int
    kind: Literal["saved", "rejected", "conflict", "failed"]
    message: str
    text: str = ""


def make(decisions: Sequence[Decision], author: str, then: int | None = None) -> None:
    """Record decisions, or keep them until there is an author.

    ``then`` is the feature to go to once the decision is recorded.
    """
    if not author:
        st.session_state["waiting"] = (list(decisions), then)
        return
    if len(decisions) != 1:
        _record_all(decisions, author)
        return
    found = _record(decisions[0], author)
    st.session_state["outcome"] = found
    if found.kind in ("saved", "conflict"):
        st.session_state.setdefault("decided", []).append((decisions[0].feature, time.time()))
        if then is not None:
            url.put(url.params() | {"feature": str(then)})


def waiting() -> bool:
    return bool(st.session_state.get("waiting"))


def resume(author: str) -> None:
    """Record what waited for an author."""
    decisions, then = st.session_state.pop("waiting", ([], None))
    make(decisions, author, then)


def forget() -> None:
    st.session_state.pop("waiting", None)


def outcome(feature: int) -> Outcome | None:
    """What came of the last decision, as long as its feature is the one looked at."""
    found = st.session_state.get("outcome")
    return found if isinstance(found, Outcome) and found.feature == feature else None


def last_outcome() -> Outcome | None:
    """What came of the last decision, on whatever feature."""
    found = st.session_state.get("outcome")
    return found if isinstance(found, Outcome) else None


def decided() -> list[tuple[int, float]]:
    """Feature and time of every decision of this session, oldest first."""
    found: list[tuple[int, float]] = st.session_state.get("decided", [])
    return found


def _record_all(decisions: Sequence[Decision], author: str) -> None:
    """Accept or flag many features in one transaction: all of them or none."""
    kinds = {"accept": ACCEPTED, "flag": FLAGGED}
    try:
        readers.history().record_many(
            NewEvent(
                decision.sae,
                decision.feature,
                kinds[decision.action],
                decision.text or None,
                author=author,
                parent=decision.event if decision.action == "accept" else None,
                reason="together with others",
            )
            for decision in decisions
        )
    except AutointerpError as error:
        st.session_state["bulk_told"] = str(error)


def _record(decision: Decision, author: str) -> Outcome:
    try:
        _save(decision, author)
    except LabelRejected as error:
        return Outcome(decision.feature, "rejected", str(error), decision.text)
    except EditConflict as error:
        return Outcome(decision.feature, "conflict", str(error))
    except AutointerpError as error:
        return Outcome(decision.feature, "failed", str(error), decision.text)
    return Outcome(decision.feature, "saved", _DONE[decision.action])


_DONE: dict[Action, str] = {
    "accept": "Accepted",
    "override": "Saved",
    "revert": "Reverted",
    "flag": "Flagged",
    "unflag": "Flag removed",
    "note": "Note saved",
    "undo": "Undone",
}


def _save(decision: Decision, author: str) -> None:
    history = readers.history()
    sae, feature = decision.sae, decision.feature
    expected = decision.expected
    match decision.action:
        case "accept":
            history.accept(sae, feature, decision.event or 0, author=author, expected=expected)
        case "override":
            history.override(sae, feature, decision.text, author=author, expected=expected)
        case "revert":
            history.revert(sae, feature, decision.event or 0, author=author, expected=expected)
        case "flag":
            history.flag(sae, feature, author=author, expected=expected)
        case "unflag":
            history.unflag(sae, feature, author=author, expected=expected)
        case "note":
            history.note(sae, feature, decision.text, author=author, expected=expected)
        case "undo":
            history.undo(sae, feature, author=author, expected=expected)
