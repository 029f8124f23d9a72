"""The history as a file: everything comes back in a fresh home, once, and only for its own SAE."""

from __future__ import annotations

import gzip
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autointerp_core.errors import BadInput
from autointerp_core.export.history_file import (
    HistoryFile,
    brought,
    history_lines,
    is_history_file,
    plan_history,
    read_history_file,
    take_brought,
    write_history_file,
)
from autointerp_core.store.history import LabelHistory, NewEvent
from autointerp_core.store.input_scores import add_input_scores, read_input_scores
from autointerp_core.store.study import Study
from autointerp_core.store.study_names import given_name, rename
from autointerp_core.store.study_record import StudyRecord
from benchmarks.synthetic import write_study

SAE = "synthetic-sae"
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["propose", "accept", "override", "flag", "note", "undo", "score", "fail"]),
        st.integers(0, 3),
        TEXTS,
    ),
    max_size=25,
)


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    folder = tmp_path_factory.mktemp("studies") / "small"
    write_study(folder, 8, 4)
    return Study(folder).info


def live(history: LabelHistory, acts: list[tuple[str, int, str]]) -> None:
    """Somebody's day with the app; what the history refuses is left out."""
    for what, feature, text in acts:
        state = history.state(SAE, feature)
        label = " ".join(text.split()[:5]) or "words"
        if what == "propose":
            history.record(SAE, feature, "generated", label, source="llm:m", method="peaks")
        elif what == "fail":
            history.record(SAE, feature, "failed", source="search", reason=label)
        elif what == "flag":
            history.flag(SAE, feature, author="Ana")
        elif what == "note":
            history.note(SAE, feature, text, author="Ben 東京")
        elif what == "override" and any(c.isalnum() for c in label):
            history.override(SAE, feature, label, author="Ana", reason=text)
        elif what == "score" and state.proposals:
            details = {"scores": {"embedding": 0.5}, "validate": {"embedding": 0.25}, "study": "s"}
            history.record(
                SAE, feature, "scored", source="llm:m", parent=state.proposals[-1].event_id,
                details=details,
            )  # fmt: skip
        elif what == "accept" and state.proposals:
            history.accept(SAE, feature, state.proposals[0].event_id, author="Ben")
        elif what == "undo" and (state.status != "unreviewed" or state.flagged or state.note):
            history.undo(SAE, feature, author="Ana")


def dump(history: LabelHistory) -> list[dict[str, Any]]:
    """Every event, parents named by their place in the order instead of by id."""
    events = list(history.all_events(SAE))
    place = {event.id: at for at, event in enumerate(events)}
    return [
        {**asdict(e), "id": at, "parent": None if e.parent is None else place[e.parent]}
        for at, e in enumerate(events)
    ]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acts=ACTS)
@pytest.mark.slow
def test_a_fresh_home_gets_everything_and_twice_adds_nothing(
    acts: list[tuple[str, int, str]], info: StudyRecord, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("home")
    with LabelHistory.open(folder / "a.db", folder / "a.jsonl") as old:
        live(old, acts)
        data = b"".join(history_lines(info, old))
        states, events = old.states(SAE, range(4)), dump(old)
    file = read_history_file(data)
    with LabelHistory.open(folder / "b.db", folder / "b.jsonl") as new:
        # Ids differ: another SAE's events are there already.
        new.record("another", 0, "generated", "x", source="search")
        assert new.adopt(file.sae, file.events) == len(events)
        assert new.adopt(file.sae, file.events) == 0
        assert dump(new) == events
        for feature, state in new.states(SAE, range(4)).items():
            was = states[feature]
            assert (state.label, state.status, state.flagged, state.note, state.num_events) == (
                was.label, was.status, was.flagged, was.note, was.num_events,
            )  # fmt: skip
            assert [(p.text, p.source, p.scores) for p in state.proposals] == [
                (p.text, p.source, p.scores) for p in was.proposals
            ]


def test_what_an_import_would_change_is_told(info: StudyRecord, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with LabelHistory.open(tmp_path / "a.db", tmp_path / "a.jsonl") as old:
        old.record_many(NewEvent(SAE, f, "generated", f"w {f}", source="search") for f in range(3))
        old.override(SAE, 1, "theirs", author="Ben")
        assert write_history_file(path, info, old) == 4
    file = read_history_file(path.read_bytes())
    with LabelHistory.open(tmp_path / "b.db", tmp_path / "b.jsonl") as new:
        new.override(SAE, 1, "mine", author="Ana")
        new.override(SAE, 2, "w 2", author="Ana")
        found = plan_history(file, info, new)
        assert (found.new_events, found.known_events, found.changed) == (4, 0, (1,))
        new.adopt(file.sae, file.events)
        assert new.state(SAE, 1).label == "theirs"
        assert plan_history(file, info, new).new_events == 0


def test_the_studys_name_and_input_scores_come_along(tmp_path: Path) -> None:
    for home in ("old", "new"):
        write_study(tmp_path / home / "small", 8, 4)
    old, new = tmp_path / "old" / "small", tmp_path / "new" / "small"
    rename(old, "Frogs 東京")
    add_input_scores(old, {1: 0.5, 7: -3.25})
    info = Study(old).info
    with LabelHistory.open(tmp_path / "a.db", tmp_path / "a.jsonl") as history:
        live(history, [("propose", 1, "w"), ("score", 1, ""), ("accept", 1, ""), ("flag", 2, "x"),
                       ("note", 2, "see 3"), ("override", 3, "mine"), ("undo", 3, "")])  # fmt: skip
        data = b"".join(history_lines(info, history, old))
        was = dump(history)
    file = read_history_file(data)
    found = brought(file, Study(new).info, new)
    take_brought(found, new)
    assert (given_name(new), read_input_scores(new)) == ("Frogs 東京", {1: 0.5, 7: -3.25})
    assert not brought(file, Study(new).info, new)
    # What the study has keeps its place; another study of the SAE gets nothing.
    add_input_scores(new, {1: 9.0})
    rename(new, "mine")
    (new / "input_scores.json").write_text('{"scores": {"1": 9.0}}')
    found = brought(file, Study(new).info, new)
    assert (found.name, dict(found.scores)) == ("", {7: -3.25})
    write_study(tmp_path / "new" / "other", 8, 4)
    other = tmp_path / "new" / "other"
    assert not brought(file, Study(other).info, other)
    # A fresh home then writes the very same file.
    (new / "input_scores.json").unlink()
    rename(new, "")
    with LabelHistory.open(tmp_path / "b.db", tmp_path / "b.jsonl") as fresh:
        fresh.adopt(file.sae, file.events)
        take_brought(brought(file, Study(new).info, new), new)
        assert dump(fresh) == was
        assert b"".join(history_lines(Study(new).info, fresh, new)) == data


@pytest.mark.parametrize(
    "about", [{"input_scores": {"9": 1}}, {"input_scores": {"x": 1}}, {"input_scores": [1]},
              {"input_scores": {"1": "high"}}, {"input_scores": {"1": None}}, {"study_name": 3}],
)  # fmt: skip
def test_scores_and_names_that_make_no_sense_are_refused(
    about: dict[str, Any], tmp_path: Path
) -> None:
    write_study(tmp_path / "small", 8, 4)
    info = Study(tmp_path / "small").info
    file = HistoryFile(SAE, {"study": info.id} | about, ())
    with pytest.raises(BadInput, match="line 1"):
        brought(file, info, tmp_path / "small")


def packed(data: bytes) -> bytes:
    return gzip.compress(data)


def test_gzip_is_read(info: StudyRecord, tmp_path: Path) -> None:
    with LabelHistory.open(tmp_path / "a.db", tmp_path / "a.jsonl") as old:
        old.override(SAE, 1, "mine", author="Ben")
        data = b"".join(history_lines(info, old))
    assert is_history_file(packed(data))
    assert read_history_file(packed(data)) == read_history_file(data)


HEAD = b'{"format":"autointerp-label-history","version":1,"sae_fingerprint":"synthetic-sae"}\n'


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no label history"),
        (b"{}\n", "no label history"),
        (b"\x1f\x8bbroken", "damaged gzip"),
        (HEAD.replace(b":1,", b":9,"), "version 9"),
        (HEAD + b"{nonsense\n", "line 2 is not JSON"),
        (HEAD + b"[]\n", "line 2 holds no object"),
        (HEAD + b'\n{"id":1,"sae":"other","feature":0,"kind":"flagged"}\n', "line 3"),
    ],
)
def test_bad_files_are_refused_in_words(data: bytes, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        read_history_file(data)


def test_another_saes_history_is_refused(info: StudyRecord, tmp_path: Path) -> None:
    file = HistoryFile("other", {"sae_fingerprint": "other", "sae": "x", "hook": "h"}, ())
    with (
        LabelHistory.open(tmp_path / "a.db", tmp_path / "a.jsonl") as history,
        pytest.raises(BadInput, match=r"another SAE.*fingerprint other"),
    ):
        plan_history(file, info, history)
