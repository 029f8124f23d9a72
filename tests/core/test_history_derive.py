"""The laws of the derived label, over arbitrary histories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp_core.errors import LabelRejected
from autointerp_core.store.event_details import ScoreDetails
from autointerp_core.store.events import TOPIC_OF, LabelEvent
from autointerp_core.store.label_state import (
    EvidencePlace,
    LabelState,
    derive,
    ranked,
)
from autointerp_core.store.score_values import refusal
from autointerp_core.store.text_cleaning import clean_label, clean_note, safe_text

MACHINE = ["generated", "imported", "scored", "failed"]
HUMAN = sorted(TOPIC_OF)
SOURCES = ["llm:a", "llm:b", "search", "import:x.json"]
LAW = settings(deadline=None, max_examples=150)
WORDS = ["finance", "weekdays", "court pleas", "net loss"]


def event(event_id: int, kind: str, **given: Any) -> LabelEvent:
    values: dict[str, Any] = {
        "text": None,
        "source": "human",
        "method": None,
        "author": None,
        "reason": None,
        "time": "2026-11-24T12:00:00.000000Z",
        "parent": None,
        "details": {},
        **given,
    }
    return LabelEvent(event_id, "sae", 7, kind, **values)


@st.composite
def one_event(draw: st.DrawFn, event_id: int, before: list[LabelEvent]) -> LabelEvent | None:
    """A lawful next event, as the history's own actions would write it."""
    kind = draw(st.sampled_from(MACHINE + HUMAN + ["undone", "undone"]))
    source = draw(st.sampled_from(SOURCES))
    if kind == "undone":
        gone = {e.parent for e in before if e.kind == "undone"}
        standing = [e for e in before if e.kind in TOPIC_OF and e.id not in gone]
        return event(event_id, kind, parent=standing[-1].id) if standing else None
    if kind in ("accepted", "reverted"):
        texts = [e for e in before if e.text and e.kind not in ("noted", "failed")]
        if not texts:
            return None
        chosen = draw(st.sampled_from(texts))
        return event(event_id, kind, text=chosen.text, parent=chosen.id)
    if kind == "scored":
        proposals = [e for e in before if e.kind in ("generated", "imported")]
        if not proposals:
            return None
        chosen = draw(st.sampled_from(proposals))
        score = draw(st.floats(0, 1))
        return event(event_id, kind, parent=chosen.id, details={"scores": {"embedding": score}})
    if kind in ("generated", "imported"):
        return event(event_id, kind, text=draw(st.sampled_from(WORDS)), source=source)
    if kind == "failed":
        return event(event_id, kind, reason="refused", source=source)
    text = draw(st.sampled_from(WORDS)) if kind in ("overridden", "noted") else None
    return event(event_id, kind, text=text)


@st.composite
def histories(draw: st.DrawFn) -> list[LabelEvent]:
    events: list[LabelEvent] = []
    for event_id in range(1, draw(st.integers(0, 14)) + 1):
        new = draw(one_event(event_id, events))
        if new is not None:
            events.append(new)
    return events


def without_counters(state: LabelState) -> LabelState:
    return replace(state, last_event=None, num_events=0)


@LAW
@given(histories(), st.data())
@pytest.mark.slow
def test_undo_restores_exactly_the_state_before(events: list[LabelEvent], data: Any) -> None:
    before = derive(7, events)
    new = data.draw(one_event(100, events))
    if new is None or new.kind not in TOPIC_OF:
        return
    after = derive(7, [*events, new, event(101, "undone", parent=new.id)])
    assert without_counters(after) == without_counters(before)
    assert (after.last_event, after.num_events) == (101, len(events) + 2)


@LAW
@given(histories(), st.sampled_from(SOURCES), st.floats(0, 1))
@pytest.mark.slow
def test_machines_never_change_a_decision(
    events: list[LabelEvent], source: str, score: float
) -> None:
    before = derive(7, events)
    more = [
        event(100, "generated", text="something new", source=source),
        event(101, "scored", parent=100, details={"scores": {"embedding": score}}),
        event(102, "failed", reason="refused", source=source),
    ]
    for end in range(1, 4):
        after = derive(7, events + more[:end])
        assert (after.status, after.flagged, after.note) == (
            before.status,
            before.flagged,
            before.note,
        )
        if before.status != "unreviewed":
            assert (after.label, after.current_event) == (before.label, before.current_event)


@LAW
@given(histories())
@pytest.mark.slow
def test_what_people_decided_does_not_depend_on_when_machines_wrote(
    events: list[LabelEvent],
) -> None:
    """All machine events first, then the people's, in the same order each: the same facts."""
    people = [e for e in events if e.kind in TOPIC_OF or e.kind == "undone"]
    machines = [e for e in events if e not in people]
    assert replace(derive(7, machines + people), last_event=None) == replace(
        derive(7, events), last_event=None
    )


@LAW
@given(histories())
@pytest.mark.slow
def test_a_stack_of_decisions_is_the_oracle(events: list[LabelEvent]) -> None:
    stack: list[LabelEvent] = []
    for each in events:
        if each.kind in TOPIC_OF:
            stack.append(each)
        elif each.kind == "undone":
            stack.pop()
    state = derive(7, events)
    labels = [e for e in stack if TOPIC_OF[e.kind] == "label"]
    flags = [e for e in stack if TOPIC_OF[e.kind] == "flag"]
    notes = [e for e in stack if TOPIC_OF[e.kind] == "note"]
    assert state.flagged == (bool(flags) and flags[-1].kind == "flagged")
    assert state.note == (notes[-1].text if notes else None)
    assert (state.status == "unreviewed") == (not labels)
    if labels:
        assert (state.label, state.current_event) == (labels[-1].text, labels[-1].id)
        if labels[-1].kind != "reverted":
            assert state.status == labels[-1].kind


@LAW
@given(histories())
@pytest.mark.slow
def test_the_label_of_an_unreviewed_feature_follows_the_rule(events: list[LabelEvent]) -> None:
    state = derive(7, events)
    if state.status != "unreviewed":
        return
    texts = {e.id: e.text for e in events}
    scores: dict[str | None, float] = {}
    for each in events:
        if each.kind == "scored":
            assert each.parent is not None
            scores[texts[each.parent]] = each.details["scores"]["embedding"]
    if scores:
        judged = [e for e in events if e.kind in ("generated", "imported") and e.text in scores]
        best = max(judged, key=lambda e: (scores[e.text], e.id))
        assert (state.label, state.current_event) == (best.text, best.id)
        assert state.label_source == best.source
    elif state.label_llm is not None or state.label_search is not None:
        assert state.label == (state.label_llm or state.label_search)


def test_a_failure_after_a_label_says_so_and_keeps_the_label() -> None:
    made = event(1, "generated", text="net loss", source="llm:a")
    failed = event(2, "failed", reason="the model refused", source="llm:a")
    state = derive(7, [made, failed])
    assert (state.label, state.label_llm, state.llm_error) == (
        "net loss",
        "net loss",
        "the model refused",
    )
    again = event(3, "generated", text="net losses", source="llm:b")
    assert derive(7, [made, failed, again]).llm_error is None
    only = derive(7, [event(1, "failed", reason="no windows", source="search")])
    assert (only.label, only.label_search, only.search_error) == (None, None, "no windows")


def test_imported_texts_are_proposals_of_last_resort() -> None:
    imported = event(1, "imported", text="from a file", source="import:labels.json")
    assert derive(7, [imported]).label == "from a file"
    searched = event(2, "generated", text="found", source="search")
    assert derive(7, [imported, searched]).label == "found"


def test_reverting_keeps_what_the_text_was() -> None:
    events = [
        event(1, "generated", text="machine", source="llm:a"),
        event(2, "overridden", text="person"),
        event(3, "accepted", text="machine", parent=1),
        event(4, "reverted", text="person", parent=2),
    ]
    state = derive(7, events)
    assert (state.label, state.status, state.label_source) == ("person", "overridden", "human")
    state = derive(7, [*events, event(5, "reverted", text="machine", parent=3)])
    assert (state.label, state.status, state.label_source) == ("machine", "accepted", "llm:a")
    state = derive(7, [*events, event(5, "reverted", text="machine", parent=1)])
    assert state.status == "accepted"


@pytest.mark.parametrize(
    ("details", "score"),
    [
        ({"scores": {"a": 0.5, "b": {"value": 1.0, "floor": 0.5}}}, 0.5),
        ({"scores": {"embedding": 0.9, "detection": None, "fuzzing": 0.4}}, 0.4),
        ({"validate": {"embedding": 0.9, "detection": 0.7}, "score": 0.8}, 0.7),
        ({"validate": {"embedding": {"value": None, "reason": "cannot"}}}, None),
        ({"score": 0.2, "scores": {"a": 0.5}}, 0.2),
        ({"scores": {"a": None, "b": "x", "c": True, "d": float("nan")}}, None),
        ({}, None),
    ],
)
def test_ranking_score(details: dict[str, Any], score: float | None) -> None:
    assert ScoreDetails.from_json(details).rank == score


def test_later_scores_replace_earlier_ones_of_the_same_name() -> None:
    state = derive(
        7,
        [
            event(1, "generated", text="a", source="llm:a"),
            event(2, "scored", parent=1, details={"scores": {"x": 0.1, "y": 0.9}}),
            event(3, "scored", parent=1, details={"scores": {"x": 0.7}}),
        ],
    )
    assert state.proposals[0].scores == {"x": 0.7, "y": 0.9}
    assert state.score == 0.7  # x ranks, by name: neither is a scorer that we know


def scored(event_id: int, parent: int, validate: float | None, test: float) -> LabelEvent:
    details = {
        "scores": {"embedding": {"value": test}},
        "validate": {"embedding": validate},
        "score": validate,
        "evidence": f"run-{event_id}",
        "study": "s",
    }
    return event(event_id, "scored", parent=parent, details=details)


def test_validate_chooses_and_test_is_shown() -> None:
    state = derive(
        7,
        [
            event(1, "generated", text="chosen", source="llm:m"),
            event(2, "generated", text="lucky", source="llm:m"),
            event(3, "generated", text="counted", source="search"),
            scored(4, 1, 0.8, 0.6),
            scored(5, 2, 0.7, 0.9),
            scored(6, 3, 0.5, 0.95),
        ],
    )
    assert (state.label, state.score, state.test_score) == ("chosen", 0.8, 0.6)
    # The newest LLM label is scored, and an older one is better by validation.
    assert state.label_llm == "chosen"
    shown = state.shown()
    assert shown is not None
    assert shown.unscored is None
    assert shown.evidence == {"embedding": EvidencePlace("s", "run-4", 1)}
    newer = derive(7, [*histories_of(state), event(9, "generated", text="new", source="llm:m")])
    assert newer.label_llm == "new"


def histories_of(state: LabelState) -> list[LabelEvent]:
    """Events that give the proposals of a state again, scored as they were."""
    out: list[LabelEvent] = []
    for n, proposal in enumerate(state.proposals):
        out.append(event(2 * n + 1, "generated", text=proposal.text, source=proposal.source))
        out.append(scored(2 * n + 2, 2 * n + 1, proposal.score, proposal.test_score or 0.0))
    return out


def test_scores_belong_to_texts_and_compare_by_what_all_have() -> None:
    judged = {"embedding": 0.5, "detection": 0.6}
    events = [
        event(1, "generated", text="same", source="search"),
        event(2, "generated", text="other", source="llm:m"),
        scored(3, 1, 0.7, 0.7),
        scored(4, 2, 0.9, 0.9),
        event(5, "generated", text="same", source="search", method="newer"),
        event(6, "scored", parent=5, details={"validate": judged, "scores": {"detection": 0.6}}),
    ]
    state = derive(7, events)
    first, _, third = state.proposals
    assert first.scores == third.scores == {"embedding": {"value": 0.7}, "detection": 0.6}
    assert (third.score, third.validate) == (0.6, judged)  # detection ranks, where it is known
    # By embedding, which both have: 0.9 and 0.5.
    assert (state.label, ranked(state.proposals)[-1].text) == ("other", "other")


CANNOT = {"value": None, "reason": refusal("it compares meanings; the label names marks")}


def validated(event_id: int, parent: int, judge: str = "llm:x", **values: Any) -> LabelEvent:
    details = {"validate": values, "judges": dict.fromkeys(values, judge)}
    return event(event_id, "scored", parent=parent, details=details)


@pytest.mark.parametrize(
    ("first", "second", "best"),
    [
        # An outage left the first without detection: it is not locked out, nor favoured.
        ({"embedding": 0.9, "detection": None}, {"embedding": 0.8, "detection": 0.95}, "first"),
        ({"embedding": 0.7}, {"embedding": 0.8, "detection": 0.5}, "second"),
        # Nothing in common: detection ranks, and who has no number of it comes after.
        ({"embedding": 0.9}, {"detection": 0.8}, "second"),
        ({"embedding": 0.5, "detection": 0.9}, {"embedding": 0.6, "detection": 0.6}, "first"),
        ({"embedding": 0.5}, {"embedding": 0.5, "detection": 0.1}, "second"),
        # One ranks, not their mean; what is equal by it is told apart by the next.
        ({"embedding": 0.9, "detection": 0.6}, {"embedding": 0.1, "detection": 0.7}, "second"),
        ({"embedding": 0.9, "detection": 0.7}, {"embedding": 0.1, "detection": 0.7}, "first"),
        ({"fuzzing": 0.9, "embedding": 0.6}, {"fuzzing": 0.1, "embedding": 0.7}, "first"),
        # What it cannot judge is compared at chance.
        ({"embedding": 0.51}, {"embedding": CANNOT}, "first"),
        ({"embedding": 0.49}, {"embedding": CANNOT}, "second"),
    ],
)
def test_proposals_compare_by_the_scorers_they_share(
    first: dict[str, Any], second: dict[str, Any], best: str
) -> None:
    events = [
        event(1, "generated", text="first", source="llm:m"),
        event(2, "generated", text="second", source="llm:m"),
        validated(3, 1, **first),
        validated(4, 2, **second),
    ]
    state = derive(7, events)
    assert (state.label, state.label_llm) == (best, best)


def test_a_missing_score_replaces_none() -> None:
    kept = {
        "validate": {"detection": 0.8},
        "scores": {"detection": {"value": 0.7}},
        "evidence": "a",
    }
    lost = {
        "validate": {"detection": None},
        "scores": {"detection": {"value": None}},
        "evidence": "b",
        "unscored": "no judgement",
    }
    events = [
        event(1, "generated", text="a", source="llm:m"),
        event(2, "scored", parent=1, details=kept),
        event(3, "scored", parent=1, details=lost),
    ]
    found = derive(7, events).proposals[0]
    assert (found.score, found.test_score) == (0.8, 0.7)
    assert found.evidence["detection"].file == "a"
    assert found.unscored is None


def test_canned_labels_and_scores_give_way_to_real_ones() -> None:
    canned = event(3, "generated", text="canned", source="llm:scripted")
    found = event(1, "generated", text="found", source="search")
    real = event(2, "generated", text="real", source="llm:m")
    alone = derive(7, [canned])
    assert (alone.label, alone.label_llm) == ("canned", "canned")
    state = derive(7, [found, canned, validated(4, 3, embedding=0.99)])
    assert (state.label, state.label_llm) == ("found", "canned")
    state = derive(7, [real, canned])
    assert (state.label, state.label_llm) == ("real", "real")
    scores = [validated(4, 3, embedding=0.99), validated(5, 2, embedding=0.6)]
    state = derive(7, [found, real, canned, *scores])
    assert (state.label, state.label_llm) == ("real", "real")

    judged = [real, validated(3, 2, "llm:gpt", detection=0.7)]
    played = validated(4, 2, "llm:scripted", detection=1.0)
    assert derive(7, [*judged, played]).score == 0.7
    assert derive(7, [real, played, validated(5, 2, "llm:gpt", detection=0.7)]).score == 0.7
    tested = [
        event(i, "scored", parent=2, details={"scores": {"detection": {"value": v, "judge": j}}})
        for i, v, j in ((3, 0.7, "llm:gpt"), (4, 1.0, "llm:scripted"))
    ]
    assert derive(7, [real, *tested]).test_score == 0.7


def test_what_only_test_documents_scored_is_never_chosen_by_it() -> None:
    state = derive(
        7,
        [
            event(1, "generated", text="a", source="llm:m"),
            event(2, "generated", text="b", source="search"),
            scored(3, 2, None, 0.99),
        ],
    )
    assert (state.label, state.score) == ("a", None)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  net\n\tloss  ", "net loss"),
        ("a\x00b\x1b[31mc\x7f", "ab[31mc"),
        ("\ud83d\ude00 smile \udc00", "\U0001f600 smile \ufffd"),
        ("\N{ZERO WIDTH SPACE}x", "\N{ZERO WIDTH SPACE}x"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("one two three four five six seven eight nine", None),
        ("数字と年", "数字と年"),
    ],
)
def test_clean_label(typed: str, kept: str | None) -> None:
    assert clean_label(typed) == (typed if kept is None else kept)


@pytest.mark.parametrize("typed", ["", "  \n", "\x00\x01", "\N{ZERO WIDTH SPACE} \N{WORD JOINER}"])
def test_an_empty_label_is_refused(typed: str) -> None:
    with pytest.raises(LabelRejected, match="empty"):
        clean_label(typed)


def test_a_label_of_too_many_characters_is_refused() -> None:
    with pytest.raises(LabelRejected, match="100,000 characters; at most 300"):
        clean_label("x" * 100_000)
    assert clean_label("x" * 300) == "x" * 300


def test_a_long_label_is_refused_and_counted() -> None:
    with pytest.raises(LabelRejected, match="has 10 words; at most 9"):
        clean_label("a b c d e\nf g h i j")


@LAW
@given(st.text(alphabet=st.characters(codec=None, categories=None)))
def test_cleaning_is_stable_and_always_storable(text: str) -> None:
    safe_text(text).encode()
    note = clean_note(text)
    assert clean_note(note) == note
    try:
        label = clean_label(text)
    except LabelRejected:
        return
    assert clean_label(label) == label
    assert "\n" not in label


def test_a_label_somebody_wrote_has_its_own_score() -> None:
    events = [
        event(1, "generated", text="a", source="search"),
        event(2, "overridden", text="mine"),
        scored(3, 1, 0.6, 0.6),
        scored(4, 2, 0.9, 0.8),
    ]
    state = derive(7, events)
    assert (state.label, state.score, state.test_score) == ("mine", 0.9, 0.8)
    assert [p.text for p in state.proposals] == ["a"]
    undone = derive(7, [*events, event(5, "undone", parent=2)])
    assert (undone.label, undone.test_score, undone.own) == ("a", 0.6, None)
