"""The label history on a real database, from many processes, through kills and losses."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import numpy as np
import orjson
import pytest

from autointerp_core.errors import (
    LabelConflict,
    LabelRejected,
    LabelStoreError,
    MissingDependency,
    ParameterError,
)
from autointerp_core.home import CODE_ROOT
from autointerp_core.store.backup import Backup
from autointerp_core.store.history import EditConflict, LabelHistory, NewEvent
from autointerp_core.store.label_state import derive

SAE = "sha256:abc"


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


def proposed(history: LabelHistory, text: str = "net loss", feature: int = 3) -> int:
    return history.record(SAE, feature, "generated", text, source="llm:m", method="plain").id


def backup_lines(path: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def run(code: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=CODE_ROOT,
        capture_output=True,
        text=True,
        check=check,
    )


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


# ---------------------------------------------------------------- kills and losses

KILLED_BETWEEN = """
import os, signal, sys
from autointerp_core.store import backup
from autointerp_core.store.history import LabelHistory

def die(self, store, events):
    line = backup.safe_json({"store": store, **next(iter(events))}) + b"\\n"
    with open(self.path, "ab") as handle:
        handle.write(line[: int(len(line) * float(sys.argv[1]))])
    os.kill(os.getpid(), signal.SIGKILL)

with LabelHistory.open() as history:
    history.override("sha256:abc", 1, "first", author="ann")
    backup.Backup.append = die
    history.override("sha256:abc", 1, "second", author="ann")
"""


@pytest.mark.parametrize("written", ["0", "0.5", "1"])
@pytest.mark.slow
def test_a_kill_between_database_and_backup_is_repaired(database: Path, written: str) -> None:
    assert run(KILLED_BETWEEN, written, check=False).returncode == -signal.SIGKILL
    with LabelHistory.open() as history:
        assert [e.text for e in history.history(SAE, 1)] == ["first", "second"]
        assert [line["text"] for line in backup_lines(history.backup_path)] == ["first", "second"]


def test_another_open_history_repairs_it_by_its_next_write(history: LabelHistory) -> None:
    assert run(KILLED_BETWEEN, "0.5", check=False).returncode == -signal.SIGKILL
    history.override(SAE, 1, "third", author="ann")
    texts = [line["text"] for line in backup_lines(history.backup_path)]
    assert texts == ["first", "second", "third"]


ENDLESS = """
from autointerp_core.store.history import LabelHistory
with LabelHistory.open() as history:
    while True:
        print(history.override("sha256:abc", 1, "x", author="ann").id, flush=True)
"""


@pytest.mark.slow
def test_kill_9_at_any_moment_loses_no_acknowledged_event(database: Path) -> None:
    chance = random.Random(1)
    acknowledged = 0
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", ENDLESS], cwd=CODE_ROOT, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged = int(writer.stdout.readline())
        time.sleep(chance.uniform(0.0, 0.1))
        writer.kill()
        out = writer.communicate()[0].split("\n")[:-1]
        acknowledged = max([acknowledged, *map(int, out)])
        with LabelHistory.open() as history:
            ids = [event.id for event in history.all_events()]
            assert ids == list(range(1, len(ids) + 1))
            assert len(ids) >= acknowledged
            assert [line["id"] for line in backup_lines(history.backup_path)] == ids


def filled(history: LabelHistory) -> None:
    machine = proposed(history)
    history.record(
        SAE, 3, "scored", source="emb", parent=machine, details={"scores": {"auroc": 0.9}}
    )
    history.accept(SAE, 3, machine, author="ann")
    history.note(SAE, 4, "emoji 😀, <b>, \u202e", author="bob")


def test_a_lost_database_comes_back_from_its_backup(history: LabelHistory, database: Path) -> None:
    filled(history)
    before, states = list(history.all_events()), history.states(SAE)
    copy = history.backup_path.read_bytes()
    history.close()
    with open(history.backup_path, "ab") as handle:
        handle.write(b'{"store":"half a li')
    lose(database)
    assert LabelHistory.restore_from_backup() == 4
    with LabelHistory.open() as again:
        assert again.notice is None
        assert list(again.all_events()) == before
        assert again.states(SAE) == states
        again.flag(SAE, 3, author="ann")
        assert again.last_event_id(SAE) == 5
    assert history.backup_path.read_bytes().startswith(copy)
    assert [line["id"] for line in backup_lines(history.backup_path)] == [1, 2, 3, 4, 5]
    with pytest.raises(LabelStoreError, match="already holds events"):
        LabelHistory.restore_from_backup()


def test_events_of_a_database_begun_anew_are_merged(history: LabelHistory, database: Path) -> None:
    filled(history)
    states = history.states(SAE)
    history.close()
    lose(database)
    with LabelHistory.open() as anew:
        assert anew.notice is not None
        assert "restore_from_backup" in anew.notice
        assert list(anew.all_events()) == []
        other = proposed(anew, "fresh", feature=10)
        anew.accept(SAE, 10, other, author="ann")
    lose(database)
    assert LabelHistory.restore_from_backup() == 6
    with LabelHistory.open() as merged:
        assert {f: merged.state(SAE, f) for f in states} == states
        assert merged.state(SAE, 10).label == "fresh"
        parents = [e.parent for e in merged.history(SAE, 10)]
        assert parents == [None, merged.history(SAE, 10)[0].id]
        assert [line["id"] for line in backup_lines(merged.backup_path)] == [1, 2, 3, 4, 5, 6]
    assert list(database.parent.glob("labels-backup.before-*.jsonl"))
    lose(database)
    assert LabelHistory.restore_from_backup() == 6


def test_an_older_copy_put_back_loses_nothing(history: LabelHistory, database: Path) -> None:
    proposed(history, "one")
    history.close()
    old = database.read_bytes()
    with LabelHistory.open() as later:
        proposed(later, "two")
    lose(database)
    database.write_bytes(old)
    with LabelHistory.open() as older:
        assert older.notice is not None
        assert "older than its backup" in older.notice
        proposed(older, "three")
    lose(database)
    LabelHistory.restore_from_backup()
    with LabelHistory.open() as merged:
        assert sorted(str(e.text) for e in merged.all_events()) == ["one", "three", "two"]


def lose(database: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def test_a_lost_backup_is_written_anew(history: LabelHistory) -> None:
    filled(history)
    lines = history.backup_path.read_bytes()
    history.backup_path.unlink()
    with LabelHistory.open():
        assert history.backup_path.read_bytes() == lines


def test_a_damaged_backup_line_is_named(history: LabelHistory, database: Path) -> None:
    filled(history)
    history.close()
    lines = history.backup_path.read_bytes().split(b"\n")
    lines[1] = b"{garbage"
    history.backup_path.write_bytes(b"\n".join(lines))
    lose(database)
    with pytest.raises(LabelStoreError, match="line 2"):
        LabelHistory.restore_from_backup()
    with pytest.raises(LabelStoreError, match="cannot read"):
        LabelHistory.restore_from_backup(backup=database.parent / "absent.jsonl")


def test_lines_of_other_databases_and_long_lines_are_stepped_over(tmp_path: Path) -> None:
    backup = Backup(tmp_path / "b.jsonl")
    assert backup.last_id("aa") == 0
    backup.append("aa", [{"id": 1}, {"id": 2, "text": "x" * 200_000}])
    backup.append("bb", [{"id": n, "text": "y" * 3000} for n in range(100)])
    with open(backup.path, "ab") as handle:
        handle.write(b'{"store":"aa","id":77')
    assert (backup.last_id("aa"), backup.last_id("bb"), backup.last_id("cc")) == (2, 99, 0)
    backup.append("aa", [{"id": 3}])
    assert backup.last_id("aa") == 3
    assert len(backup.read()) == 103


# ---------------------------------------------------------------- places and errors


def test_database_and_backup_by_environment(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOINTERP_DB", f"sqlite:///{tmp_path}/else/where.db")
    monkeypatch.setenv("AUTOINTERP_LABELS_BACKUP", str(tmp_path / "safe" / "copy.jsonl"))
    with LabelHistory.open() as history:
        proposed(history)
    assert (tmp_path / "else" / "where.db").exists()
    assert len(backup_lines(tmp_path / "safe" / "copy.jsonl")) == 1
    assert not database.exists()
    with LabelHistory.open(tmp_path / "third.db", tmp_path / "third.jsonl") as history:
        assert history.backup_path == tmp_path / "third.jsonl"


def test_sqlite_is_in_wal_mode(history: LabelHistory, database: Path) -> None:
    with closing(sqlite3.connect(database)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.slow
def test_locked_beyond_the_timeout(database: Path) -> None:
    with LabelHistory.open(timeout=0.2) as history:
        proposed(history)
        with closing(sqlite3.connect(database, isolation_level=None)) as raw:
            raw.execute("BEGIN IMMEDIATE")
            with pytest.raises(LabelStoreError, match="locked by another program"):
                proposed(history)
            assert len(history.history(SAE, 3)) == 1  # reading goes on
            raw.execute("ROLLBACK")
        with history._backup.lock(), pytest.raises(LabelStoreError, match="locked for"):
            proposed(history)
        assert proposed(history) == 2


def test_a_read_only_database_can_be_read_and_says_so_on_writing(
    history: LabelHistory, database: Path
) -> None:
    proposed(history)
    history.close()
    database.chmod(0o444)
    database.parent.chmod(0o555)
    # Everything above is opened for others, however deep pytest has put it.
    closed = [folder for folder in database.parents[1:] if not folder.stat().st_mode & 0o005]
    opened = [(folder, folder.stat().st_mode) for folder in closed]
    for folder, mode in opened:
        folder.chmod(mode | 0o055)
    as_root = os.geteuid() == 0
    if as_root:  # root may write anything: be nobody for a while
        os.seteuid(65534)
    try:
        with LabelHistory.open() as readable:
            assert readable.state(SAE, 3).label == "net loss"
            with pytest.raises(LabelStoreError, match="nothing was saved"):
                proposed(readable)
    finally:
        if as_root:
            os.seteuid(0)
        for folder, mode in opened:
            folder.chmod(mode)
        database.parent.chmod(0o755)
        database.chmod(0o644)
    with LabelHistory.open() as again, again._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=ON")
        connection.close()
        with pytest.raises(LabelStoreError, match="is read-only; nothing was saved"):
            proposed(again)


def test_files_that_are_no_label_database(tmp_path: Path, database: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello " * 1000)
    with pytest.raises(LabelStoreError, match="not an SQLite database"):
        LabelHistory.open(text)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as raw:
        raw.execute("CREATE TABLE bookmarks (x)")
    with pytest.raises(LabelStoreError, match=r"another program \(tables: bookmarks\)"):
        LabelHistory.open(other)
    with LabelHistory.open() as history:
        proposed(history)
    with closing(sqlite3.connect(database)) as raw, raw:
        raw.execute("UPDATE label_store SET schema_version = 99")
    with pytest.raises(LabelStoreError, match="newer version"):
        LabelHistory.open()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "in-memory"),
        ("nonsense://host/x", "SQLite or PostgreSQL, not in nonsense"),
        ("mysql://host/x", "SQLite or PostgreSQL, not in mysql"),
        ("sqlite:////dev/null/labels.db", "cannot be written|cannot open"),
        ("://", "cannot be read"),
    ],
)
def test_urls_that_are_none(tmp_path: Path, url: str, says: str, database: Path) -> None:
    with pytest.raises(LabelStoreError, match=says):
        LabelHistory.open(url)


def test_a_missing_driver_is_named_and_no_password_is_shown(database: Path) -> None:
    with pytest.raises(MissingDependency, match="pip install") as error:
        LabelHistory.open("postgresql+psycopg2://me:secret@host/labels")
    assert "secret" not in str(error.value)


def test_an_unwritable_backup_stops_the_write_before_it_is_recorded(
    history: LabelHistory, tmp_path: Path
) -> None:
    proposed(history)
    (tmp_path / "folder.jsonl").mkdir()
    blocked = LabelHistory(history._engine, history._url, Backup(tmp_path / "folder.jsonl"))
    with pytest.raises(LabelStoreError, match="cannot be written"):
        proposed(blocked)
    assert len(history.history(SAE, 3)) == 1


def as_version_1(database: Path) -> None:
    """Turn a database back into what the first version wrote."""
    with closing(sqlite3.connect(database)) as raw:
        raw.execute("ALTER TABLE label_events DROP COLUMN study")
        raw.execute("UPDATE label_store SET schema_version = 1")
        raw.commit()


@pytest.mark.parametrize("studies", [("A",), ("A", "B")])
def test_an_older_database_is_upgraded(database: Path, studies: tuple[str, ...]) -> None:
    with LabelHistory.open() as history:
        history.record(SAE, 3, "generated", "by a model", source="llm:m", method="peaks")
        for study in studies:
            details = {"study": study, "prompt_hash": study}
            history.record(SAE, 3, "generated", f"in {study}", source="search", details=details)
        history.override(SAE, 4, "mine", author="Ana")
    as_version_1(database)
    with LabelHistory.open() as history:
        state = history.state(SAE, 3, "A")
        assert state.label_search == "in A"
        # Made in the same runs: known where there is one study, else shown apart.
        assert state.label_llm == ("by a model" if studies == ("A",) else None)
        apart = {(p.text, p.study) for p in state.foreign}
        assert apart == (set() if studies == ("A",) else {("by a model", "?"), ("in B", "B")})
        assert history.state(SAE, 4, "A").label == history.state(SAE, 4, "B").label == "mine"
    with LabelHistory.open() as history:
        assert [event.study for event in history.history(SAE, 4)] == [None]


def test_an_older_backup_names_studies_too(database: Path, tmp_path: Path) -> None:
    with LabelHistory.open() as history:
        history.record(SAE, 3, "generated", "by a model", source="llm:m", method="peaks")
        details = {"study": "A", "prompt_hash": "x"}
        history.record(SAE, 3, "generated", "in A", source="search", details=details)
        backup = history.backup_path
    lines = [orjson.loads(line) for line in backup.read_bytes().splitlines()]
    for line in lines:
        del line["study"]
    old = tmp_path / "old.jsonl"
    old.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    LabelHistory.restore_from_backup(tmp_path / "new.db", old)
    with LabelHistory.open(tmp_path / "new.db", old) as history:
        assert history.state(SAE, 3, "A").label_llm == "by a model"
        assert history.state(SAE, 3, "B").label is None


def test_machine_labels_count_in_their_own_study_only(database: Path) -> None:
    with LabelHistory.open() as history:
        for study, value in (("A", 0.6), ("B", 0.9)):
            made = history.record(
                SAE, 3, "generated", f"from {study}", source="llm:m", method="peaks", study=study
            )
            scores = {"validate": {"embedding": value}, "scores": {"embedding": value}}
            history.record(
                SAE, 3, "scored", source="llm:m", parent=made.id, details={**scores, "study": study}
            )
            history.record(SAE, 3, "failed", source="search", reason=f"not in {study}", study=study)
        for study, other in (("A", "B"), ("B", "A")):
            state = history.state(SAE, 3, study)
            assert (state.label, state.search_error) == (f"from {study}", f"not in {study}")
            assert [p.text for p in state.proposals] == [f"from {study}"]
            (foreign,) = state.foreign
            assert (foreign.text, foreign.study) == (f"from {other}", other)
            assert foreign.scores == {"embedding": 0.9 if other == "B" else 0.6}
        # Accepted knowingly it is a person's decision, and holds in every study of the SAE.
        history.accept(SAE, 3, history.state(SAE, 3, "A").foreign[0].event_id, author="Ana")
        for study in "AB":
            state = history.state(SAE, 3, study)
            assert (state.label, state.status) == ("from B", "accepted")
        # Scored where it was made: A shows no score for it.
        assert history.state(SAE, 3, "A").test_score is None
        assert history.state(SAE, 3, "B").test_score == 0.9
