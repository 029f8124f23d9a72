"""The label history through kills, losses and wrong places: nothing decided is ever lost."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from autointerp_core.errors import (
    LabelStoreError,
    MissingDependency,
)
from autointerp_core.home import CODE_ROOT
from autointerp_core.store.backup import Backup
from autointerp_core.store.history import LabelHistory
from tests.core.history_fixtures import SAE, backup_lines, proposed, run


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
