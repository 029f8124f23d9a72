"""Decisions of people: many at once, each on what its author had seen, all or none recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from autointerp_core.errors import LabelRejected, ParameterError
from autointerp_core.store.decisions import Action, Decision
from autointerp_core.store.events import NewEvent
from autointerp_core.store.history import LabelHistory

SAE, OTHER = "sha256:abc", "sha256:other"


@pytest.fixture
def history(tmp_path: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open(tmp_path / "labels.db") as opened:
        yield opened


def proposed(history: LabelHistory, feature: int, text: str = "net loss", sae: str = SAE) -> int:
    return history.record(sae, feature, "generated", text, source="search").id


def kinds(history: LabelHistory, feature: int, sae: str = SAE) -> list[str]:
    return [event.kind for event in history.history(sae, feature)]


def test_many_decisions_are_one_step_and_each_says_what_came_of_it(history: LabelHistory) -> None:
    events = {feature: proposed(history, feature) for feature in range(4)}
    seen = {feature: history.state(SAE, feature).last_event for feature in range(4)}
    theirs = history.override(SAE, 2, "theirs", author="Eve")
    outcomes = history.decide(
        [Decision("accept", SAE, f, seen[f], event=events[f]) for f in range(4)], "Ana"
    )
    assert [outcome.theirs for outcome in outcomes] == [None, None, theirs, None]
    assert [bool(outcome.conflict) for outcome in outcomes] == [False, False, True, False]
    assert "Eve" in outcomes[2].conflict
    assert kinds(history, 2) == ["generated", "overridden", "accepted"]
    recorded = [outcome.event for outcome in outcomes]
    assert all(event is not None and event.author == "Ana" for event in recorded)
    ids = [event.id for event in recorded if event is not None]
    assert ids == list(range(ids[0], ids[0] + 4))
    assert len({event.time for event in recorded if event is not None}) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        Decision("accept", SAE, 1, event=999),
        Decision("accept", SAE, 1),
        Decision("revert", SAE, 1, event=1),  # an event of feature 0
        Decision("undo", SAE, 1),
        Decision("undo", SAE, 0, event=1),  # a proposal
        Decision("override", SAE, 1, text="a b c d e f g h i j"),
        Decision("override", SAE, 1, text=" "),
        Decision("flag", "", 1),
        Decision("flag", SAE, -1),
        Decision(cast(Action, "dream"), SAE, 1),
        Decision("flag", SAE, 1, proposal=NewEvent(SAE, 1, "imported", "x", "import:f")),
        Decision("accept", SAE, 1, proposal=NewEvent(SAE, 2, "imported", "x", "import:f")),
    ],
)
def test_nothing_of_a_batch_is_kept_where_one_decision_means_nothing(
    history: LabelHistory, wrong: Decision
) -> None:
    event = proposed(history, 0)
    with pytest.raises((ParameterError, LabelRejected)):
        history.decide([Decision("accept", SAE, 0, event=event), wrong], "Ana")
    with pytest.raises(ParameterError, match="author"):
        history.decide([Decision("flag", SAE, 0)], " ")
    assert kinds(history, 0) == ["generated"]
    assert kinds(history, 1) == []
    assert history.decide([], "Ana") == []


def test_decisions_made_together_cross_nobody_and_see_each_other(history: LabelHistory) -> None:
    event = proposed(history, 3)
    outcomes = history.decide(
        [
            Decision("accept", SAE, 3, event, event=event),
            Decision("override", SAE, 3, event, text="my own"),
            Decision("note", SAE, 3, event, text="look again"),
            Decision("undo", SAE, 3, reason="the note, after all"),
        ],
        "Ana",
    )
    assert [outcome.theirs for outcome in outcomes] == [None] * 4
    state = history.state(SAE, 3)
    assert (state.label, state.status, state.note) == ("my own", "overridden", None)


def test_undo_of_a_named_event_leaves_later_decisions_of_others(history: LabelHistory) -> None:
    made = history.decide([Decision("override", SAE, f, text=f"mine {f}") for f in (1, 2, 3)], "A")
    ids = [outcome.event.id for outcome in made if outcome.event is not None]
    history.override(SAE, 2, "theirs", author="Eve")
    history.flag(SAE, 1, author="Eve")
    undone = history.decide(
        [Decision("undo", SAE, f, event=event) for f, event in zip((1, 2, 3), ids, strict=True)],
        "A",
    )
    assert [outcome.theirs.text if outcome.theirs else None for outcome in undone] == [
        None,
        "theirs",
        None,
    ]
    assert history.state(SAE, 1).flagged
    assert [history.state(SAE, f).label for f in (1, 2, 3)] == [None, "theirs", None]
    again = history.decide([Decision("undo", SAE, 1, event=ids[0])], "A")[0]
    assert again.event is None
    assert kinds(history, 1).count("undone") == 1


def test_one_batch_reaches_over_saes_and_hundreds_of_features(history: LabelHistory) -> None:
    history.record_many(
        NewEvent(sae, feature, "generated", f"label {feature}", "search")
        for sae in (SAE, OTHER)
        for feature in range(1200)
    )
    states = {sae: history.states(sae) for sae in (SAE, OTHER)}
    outcomes = history.decide(
        [
            Decision("accept", sae, cast(int, np.int64(f)), s.last_event, event=s.current_event)
            for sae, found in states.items()
            for f, s in found.items()
        ],
        "Ana",
    )
    assert len(outcomes) == 2400
    for sae in (SAE, OTHER):
        after = history.states(sae)
        assert {state.label for state in after.values()} == {f"label {f}" for f in range(1200)}
        assert {state.status for state in after.values()} == {"accepted"}


def test_a_text_from_elsewhere_comes_with_its_decision(history: LabelHistory) -> None:
    proposed(history, 3)
    seen = history.state(SAE, 3).last_event
    history.override(SAE, 3, "theirs", author="Eve")
    new = NewEvent(SAE, 3, "imported", "from a file", "import:f.json", author="Ana")
    (outcome,) = history.decide([Decision("accept", SAE, 3, seen, proposal=new)], "Ana")
    assert outcome.theirs is not None
    assert kinds(history, 3) == ["generated", "overridden", "imported", "accepted"]
    state = history.state(SAE, 3)
    assert (state.label, state.status, state.label_source) == (
        "from a file",
        "accepted",
        "import:f.json",
    )
