"""The label history on a real database: recording, decisions of people, many writers."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from autointerp_core.errors import (
    LabelConflict,
    LabelRejected,
    ParameterError,
)
from autointerp_core.home import CODE_ROOT
from autointerp_core.store.history import EditConflict, LabelHistory, NewEvent
from autointerp_core.store.label_state import derive
from tests.core.history_fixtures import SAE, backup_lines, proposed


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AUTOINTERP_DB", raising=False)
    monkeypatch.delenv("AUTOINTERP_LABELS_BACKUP", raising=False)
    return tmp_path / "home" / "labels.db"


@pytest.fixture
def history(database: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open() as opened:
        assert opened.place == str(database)
        yield opened


# ---------------------------------------------------------------- recording and reading


def test_what_is_recorded_is_what_is_read(history: LabelHistory) -> None:
    details = {"prompt_hash": "h1", "tokens": 12, "cost": None, "nan": float("nan")}
    first = history.record(
        SAE, 3, "generated", "a\ud800\x00b", source="llm:m", method="plain", details=details
    )
    assert (first.id, first.text, first.details["nan"]) == (1, "a\ufffdb", None)
    assert first.time.endswith("Z")
    assert history.history(SAE, 3) == [first]
    assert list(history.all_events(SAE)) == [first] == list(history.all_events())
    assert history.state(SAE, 3).label_llm == "a\ufffdb"
    assert history.state(SAE, 4).num_events == 0
    assert history.saes() == [SAE]
    assert (history.last_event_id(SAE), history.last_event_id("other")) == (1, 0)


def test_numpy_integers_are_integers(history: LabelHistory) -> None:
    three = cast(int, np.int64(3))
    first = history.record(SAE, three, "generated", "x", source="search", method="m")
    history.accept(SAE, three, cast(int, np.int64(first.id)), author="ann", expected=first.id)
    assert history.states(SAE, [three])[3].status == history.state(SAE, three).status == "accepted"
    assert [type(event.feature) for event in history.history(SAE, three)] == [int, int]
    assert (three, "h") not in history.generated_index(SAE, "m", "search")


@pytest.mark.parametrize(
    "event",
    [
        NewEvent(SAE, 3, "dreamt", "x"),
        NewEvent(SAE, -1, "generated", "x"),
        NewEvent(SAE, 3, "generated", "  "),
        NewEvent("", 3, "generated", "x"),
        NewEvent(SAE, 3, "scored"),
    ],
)
def test_meaningless_events_are_refused_and_nothing_of_their_batch_is_kept(
    history: LabelHistory, event: NewEvent
) -> None:
    with pytest.raises(ParameterError):
        history.record_many([NewEvent(SAE, 1, "generated", "fine"), event])
    assert list(history.all_events()) == []


@pytest.mark.slow
def test_bulk_states_equal_the_pure_function_one_by_one(history: LabelHistory) -> None:
    chance = random.Random(0)
    events = [
        NewEvent(SAE, feature, "generated", f"label {feature}", source, "v1")
        for feature in range(12_000)
        for source in ("llm:m", "search")
    ]
    recorded = history.record_many(events)
    assert [event.id for event in recorded] == list(range(1, 24_001))
    history.record_many(
        [
            NewEvent(
                SAE, e.feature, "scored", parent=e.id, details={"scores": {"s": chance.random()}}
            )
            for e in chance.sample(recorded, 500)
        ]
    )
    before = history.last_event_id(SAE)
    for feature in (5, 6, 11_999):
        history.accept(SAE, feature, 2 * feature + 1, author="ann")
    history.flag(SAE, 8, author="ann")
    history.record("another", 9, "generated", "x", source="search")
    assert history.changed_since(SAE, before) == {5, 6, 8, 11_999}
    states = history.states(SAE)
    assert len(states) == 12_000
    for feature in (5, 6, 8, 11_999, *chance.sample(range(12_000), 60)):
        assert states[feature] == derive(feature, history.history(SAE, feature))
    assert history.states(SAE, [5, 99_999]) == {5: states[5], 99_999: derive(99_999, [])}
    many = history.states(SAE, range(11_000, 12_500))
    assert many == {f: states.get(f, derive(f, [])) for f in range(11_000, 12_500)}
    assert [e.id for e in history.all_events()] == list(
        range(1, history.last_event_id("another") + 1)
    )


def test_a_rerun_finds_what_was_generated(history: LabelHistory) -> None:
    def record(text: str, prompt: str, method: str = "plain") -> None:
        details = {"prompt_hash": prompt}
        history.record(SAE, 3, "generated", text, source="llm:m", method=method, details=details)

    record("old", "h1")
    record("new", "h1")
    record("other", "h2")
    record("elsewhere", "h1", method="contrast")
    assert history.generated_index(SAE, "plain", "llm:m")[3, "h1"].text == "new"
    for question in (
        (SAE, 3, "plain", "llm:m", "h3"),
        (SAE, 3, "plain", "llm:other", "h1"),
        (SAE, 4, "plain", "llm:m", "h1"),
        ("other", 3, "plain", "llm:m", "h1"),
    ):
        sae, feature, method, source, prompt = question
        assert (feature, prompt) not in history.generated_index(sae, method, source)
    index = history.generated_index(SAE, "plain", "llm:m")
    assert {key: event.text for key, event in index.items()} == {
        (3, "h1"): "new",
        (3, "h2"): "other",
    }


# ---------------------------------------------------------------- people


def test_accept_override_revert_undo_and_redo(history: LabelHistory) -> None:
    machine = proposed(history)
    history.accept(SAE, 3, machine, author="ann", reason="fits")
    own = history.override(SAE, 3, " quarterly \n losses ", author="ann")
    assert (own.text, own.source) == ("quarterly losses", "human")
    proposed(history, "regenerated")
    state = history.state(SAE, 3)
    assert (state.label, state.status, state.label_llm) == (
        "quarterly losses",
        "overridden",
        "regenerated",
    )
    history.undo(SAE, 3, author="ann")
    assert (history.state(SAE, 3).label, history.state(SAE, 3).status) == ("net loss", "accepted")
    undone = history.undo(SAE, 3, author="ann")
    assert (undone.kind, undone.text) == ("undone", "net loss")
    assert history.state(SAE, 3).status == "unreviewed"
    assert history.state(SAE, 3).label == "regenerated"
    with pytest.raises(ParameterError, match="nothing to undo"):
        history.undo(SAE, 3, author="ann")
    history.revert(SAE, 3, own.id, author="ann")  # redo
    assert history.state(SAE, 3).status == "overridden"
    assert len(history.history(SAE, 3)) == 7


def test_flags_and_notes_can_be_undone_too(history: LabelHistory) -> None:
    history.flag(SAE, 3, author="ann")
    history.note(SAE, 3, " look\nagain\x07 ", author="ann")
    assert history.state(SAE, 3).note == "look\nagain"
    history.note(SAE, 3, "", author="ann")
    assert history.state(SAE, 3).note is None
    history.undo(SAE, 3, author="bob")
    assert history.state(SAE, 3).note == "look\nagain"
    history.unflag(SAE, 3, author="ann")
    assert not history.state(SAE, 3).flagged
    history.undo(SAE, 3, author="ann")
    assert history.state(SAE, 3).flagged
    assert history.state(SAE, 3).status == "unreviewed"


def test_what_cannot_be_accepted(history: LabelHistory) -> None:
    machine = proposed(history)
    failed = history.record(SAE, 3, "failed", source="llm:m", reason="refused")
    with pytest.raises(ParameterError, match="no label event 99"):
        history.accept(SAE, 3, 99, author="ann")
    with pytest.raises(ParameterError, match="no label event"):
        history.accept(SAE, 4, machine, author="ann")
    with pytest.raises(ParameterError, match="holds no label"):
        history.accept(SAE, 3, failed.id, author="ann")
    with pytest.raises(ParameterError, match="author"):
        history.accept(SAE, 3, machine, author=" ")
    with pytest.raises(LabelRejected):
        history.override(SAE, 3, "one two three four five six seven eight nine ten", author="ann")
    assert history.last_event_id(SAE) == failed.id


def test_the_second_of_two_people_is_told_and_both_are_kept(history: LabelHistory) -> None:
    machine = proposed(history)
    seen = history.state(SAE, 3).last_event
    anns = history.accept(SAE, 3, machine, author="ann", expected=seen)
    with pytest.raises(LabelConflict, match="ann") as told:
        history.override(SAE, 3, "my own", author="bob", expected=seen)
    assert isinstance(told.value, EditConflict)
    assert told.value.theirs == anns
    assert told.value.mine is not None
    assert told.value.mine.text == "my own"
    assert [e.kind for e in history.history(SAE, 3)] == ["generated", "accepted", "overridden"]
    assert history.state(SAE, 3).label == "my own"


def test_what_does_not_change_the_decision_is_no_conflict(history: LabelHistory) -> None:
    machine = proposed(history)
    seen = history.state(SAE, 3).last_event
    proposed(history, "regenerated")
    history.record(SAE, 3, "scored", source="embedding", parent=machine, details={"scores": {}})
    history.flag(SAE, 3, author="ann")
    history.undo(SAE, 3, author="ann")
    history.note(SAE, 3, "hm", author="ann")
    accepted = history.accept(SAE, 3, machine, author="bob", expected=seen)
    with pytest.raises(EditConflict):
        history.flag(SAE, 3, author="bob", expected=seen)
    history.undo(SAE, 3, author="ann")  # bob's flag
    history.undo(SAE, 3, author="ann")  # his label
    with pytest.raises(EditConflict, match=r"ann \(undone 'net loss'"):
        history.accept(SAE, 3, machine, author="bob", expected=accepted.id)


def test_a_first_event_can_conflict_too(history: LabelHistory) -> None:
    history.override(SAE, 3, "ann's", author="ann", expected=0)
    with pytest.raises(EditConflict):
        history.override(SAE, 3, "bob's", author="bob", expected=0)


def test_undo_takes_back_what_its_author_saw_not_what_came_since(history: LabelHistory) -> None:
    mine = history.override(SAE, 3, "bob's", author="bob")
    theirs = history.override(SAE, 3, "ann's", author="ann")
    with pytest.raises(EditConflict) as told:
        history.undo(SAE, 3, author="bob", expected=mine.id)
    assert told.value.theirs == theirs
    assert told.value.mine is not None
    assert told.value.mine.parent == mine.id
    assert history.state(SAE, 3).label == "ann's"
    # and once more: what bob saw is undone already
    with pytest.raises(EditConflict, match="nothing left") as told:
        history.undo(SAE, 3, author="bob", expected=mine.id)
    assert told.value.mine is None


# ---------------------------------------------------------------- many writers

WRITER = """
import sys
from autointerp_core.store.history import LabelHistory
name, count = sys.argv[1], int(sys.argv[2])
with LabelHistory.open() as history:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(count):
        history.override("sha256:abc", number % 5, f"{name} {number}", author=name)
"""


@pytest.mark.slow
def test_200_writes_from_8_processes_on_a_new_database(database: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, f"writer{number}", "25"],
            cwd=CODE_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:  # off, all at once
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    with LabelHistory.open() as history:
        events = list(history.all_events())
        assert {event.text for event in events} == {
            f"writer{writer} {number}" for writer in range(8) for number in range(25)
        }
        assert [event.id for event in events] == list(range(1, 201))
        lines = backup_lines(history.backup_path)
    assert [line["id"] for line in lines] == list(range(1, 201))


def test_threads_share_one_history(history: LabelHistory) -> None:
    def write(name: str) -> None:
        for number in range(10):
            history.override(SAE, number, f"{name} {number}", author=name)
            history.states(SAE)

    threads = [threading.Thread(target=write, args=(f"t{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(1 for _ in history.all_events()) == 60
    assert len(backup_lines(history.backup_path)) == 60
