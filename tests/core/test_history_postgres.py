"""The label history on a real PostgreSQL server: what holds on SQLite holds there."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from sqlalchemy import create_engine, text

from autointerp_core.cli import main
from autointerp_core.errors import LabelStoreError, MissingDependency
from autointerp_core.home import CODE_ROOT
from autointerp_core.store.copy_history import copy_history
from autointerp_core.store.decisions import Decision
from autointerp_core.store.history import EditConflict, LabelHistory, NewEvent
from tests.core.postgres_server import PostgresServer

pytestmark = pytest.mark.slow
SAE = "sha256:abc"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as started:
        yield started


@pytest.fixture
def url(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> str:  # fmt: skip
    """An empty database, which is this installation's."""
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AUTOINTERP_LABELS_BACKUP", raising=False)
    found = server.make_database(f"t{abs(hash(request.node.name))}")
    monkeypatch.setenv("AUTOINTERP_DB", found)
    return found


@pytest.fixture
def history(url: str) -> Iterator[LabelHistory]:
    with LabelHistory.open() as opened:
        yield opened


def proposed(history: LabelHistory, label: str, feature: int = 3, study: str = "a") -> int:
    event = NewEvent(
        SAE, feature, "generated", label, "llm:m", "plain", details={"prompt_hash": label},
        study=study,
    )  # fmt: skip
    return history.record_many([event])[0].id


def decided(history: LabelHistory) -> None:
    """A little of everything."""
    first = proposed(history, "net loss")
    proposed(history, "weekdays", 4, "b")
    history.accept(SAE, 3, first, author="Ana", expected=first)
    history.override(SAE, 4, "days of the week", author="Bo", reason="clearer")
    history.flag(SAE, 4, author="Bo")
    history.note(SAE, 3, "caf\u00e9 \u6771", author="Ana")
    history.undo(SAE, 3, author="Ana")


def test_states_events_and_backup_are_as_on_sqlite(history: LabelHistory, tmp_path: Path) -> None:
    decided(history)
    with LabelHistory.open(tmp_path / "same.db") as same:
        decided(same)
        for study in (None, "a", "b"):
            ours, theirs = history.states(SAE, study=study), same.states(SAE, study=study)
            assert {f: (s.label, s.status, s.flagged, s.note) for f, s in ours.items()} == {
                f: (s.label, s.status, s.flagged, s.note) for f, s in theirs.items()
            }
        assert [(e.id, e.kind, e.text) for e in history.all_events()] == [
            (e.id, e.kind, e.text) for e in same.all_events()
        ]
        assert history.decided(SAE) == same.decided(SAE)
        assert len(history.generated_index(SAE, "plain", "llm:m")) == 2
        lines = [orjson.loads(x) for x in history.backup_path.read_bytes().splitlines()]
        theirs_too = [orjson.loads(x) for x in same.backup_path.read_bytes().splitlines()]
    varies = ("store", "time")
    assert [{k: v for k, v in x.items() if k not in varies} for x in lines] == [
        {k: v for k, v in x.items() if k not in varies} for x in theirs_too
    ]


def test_two_people_on_one_feature_are_told(history: LabelHistory) -> None:
    seen = proposed(history, "net loss")
    history.override(SAE, 3, "loss", author="Ana", expected=seen)
    with pytest.raises(EditConflict):
        history.override(SAE, 3, "profit", author="Bo", expected=seen)
    assert [e.text for e in history.history(SAE, 3)] == ["net loss", "loss", "profit"]


WRITER = """
import sys, time
from autointerp_core.errors import LabelStoreError
from autointerp_core.store.history import LabelHistory

who, told = sys.argv[1], set()
history = LabelHistory.open()
print("ready", flush=True)
sys.stdin.readline()
for n in range(25):
    while True:
        try:
            history.record("sha256:abc", n, "noted", f"{who} {n}", source="human", author=who)
            break
        except LabelStoreError as error:
            told.add(str(error))
            time.sleep(0.1)
print(*told, sep="\\n", flush=True)
"""


@pytest.mark.parametrize("restarted", [False, True], ids=["", "server restarted"])
def test_eight_processes_lose_nothing(
    server: PostgresServer, history: LabelHistory, restarted: bool
) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, f"w{n}"], cwd=CODE_ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for n in range(8)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    if restarted:
        while not history.last_event_id(SAE):
            time.sleep(0.01)
        server.stop()
        with pytest.raises(LabelStoreError, match="cannot be reached"):
            history.states(SAE)
        time.sleep(0.3)
        server.start()
    ended = [writer.communicate(timeout=60) for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 8, ended
    told = {line for out, _ in ended for line in out.splitlines() if line}
    assert bool(told) == restarted
    assert all("cannot be reached, or went away" in line for line in told), told
    texts = [event.text for event in history.all_events(SAE)]
    assert set(texts) == {f"w{w} {n}" for w in range(8) for n in range(25)}
    if not restarted:  # a commit whose answer was cut off may have been made
        assert len(texts) == 200
    assert [event.id for event in history.all_events()] == list(range(1, len(texts) + 1))
    history.record(SAE, 0, "noted", "on it goes", source="human", author="w")
    kept = [orjson.loads(line)["id"] for line in history.backup_path.read_bytes().splitlines()]
    assert kept == list(range(1, len(texts) + 2))


def test_a_history_moves_between_databases(
    history: LabelHistory, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LabelHistory.open(tmp_path / "file.db") as file:
        decided(file)
        before = list(file.all_events())
    assert main(["labels", "copy", str(tmp_path / "file.db"), url]) == 0
    assert capsys.readouterr().out == f"{len(before)} events copied\n"
    assert list(history.all_events()) == before  # ids and all
    assert copy_history(str(tmp_path / "file.db"), url) == 0
    history.override(SAE, 9, "only there", author="Cy")
    assert copy_history(url, str(tmp_path / "file.db")) == 1
    assert copy_history(url, str(tmp_path / "new.db")) == len(before) + 1
    with LabelHistory.open(tmp_path / "new.db") as new:
        assert list(new.all_events()) == list(history.all_events())
    with pytest.raises(LabelStoreError, match="both are"):
        copy_history(url, url)
    with pytest.raises(LabelStoreError, match="no label database"):
        copy_history(str(tmp_path / "absent.db"), url)


def test_restored_from_its_backup(
    server: PostgresServer, history: LabelHistory, capsys: pytest.CaptureFixture[str]
) -> None:
    decided(history)
    another = server.make_database("restored")
    command = ["labels", "restore", "--database", another, "--backup", str(history.backup_path)]
    assert main(command) == 0
    assert "7 events restored" in capsys.readouterr().out
    with LabelHistory.open(another, history.backup_path) as restored:
        assert list(restored.all_events()) == list(history.all_events())
    assert main(command) == 1
    assert "already holds events" in capsys.readouterr().err


VERSION_1 = (
    "CREATE TABLE label_events (id BIGINT PRIMARY KEY, sae VARCHAR(128) NOT NULL, "
    "feature INTEGER NOT NULL, kind VARCHAR(16) NOT NULL, text TEXT, source TEXT NOT NULL, "
    "method TEXT, author TEXT, reason TEXT, time VARCHAR(32) NOT NULL, parent BIGINT, "
    "prompt_hash TEXT, details TEXT)",
    "CREATE TABLE label_store (schema_version INTEGER NOT NULL, store VARCHAR(32) NOT NULL, "
    "last_id BIGINT NOT NULL, created VARCHAR(32) NOT NULL)",
    "INSERT INTO label_store VALUES (1, 'old', 2, '2026-01-01T00:00:00.000000Z')",
    "INSERT INTO label_events VALUES (1, 'sha256:abc', 3, 'generated', 'net loss', 'search', "
    "'search', NULL, NULL, '2026-01-01T00:00:00.000000Z', NULL, 'h', '{\"study\": \"s\"}')",
    "INSERT INTO label_events VALUES (2, 'sha256:abc', 3, 'generated', 'loss', 'llm:m', "
    "'plain', NULL, NULL, '2026-01-01T00:00:00.000000Z', NULL, NULL, NULL)",
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_older_database_is_upgraded(url: str, tmp_path: Path, kind: str) -> None:
    where = url if kind == "postgresql" else f"sqlite:///{tmp_path / 'old.db'}"
    engine = create_engine(where)
    with engine.begin() as connection:
        for statement in VERSION_1:
            connection.exec_driver_sql(statement)
    engine.dispose()
    with LabelHistory.open(where) as history:
        assert [(e.text, e.study) for e in history.history(SAE, 3)] == [
            ("net loss", "s"),
            ("loss", "s"),
        ]
        history.decide([Decision("override", SAE, 3, 2, text="a loss")], "Ana")
        assert history.state(SAE, 3).label == "a loss"


def test_a_newer_schema_is_refused(history: LabelHistory, url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE label_store SET schema_version = 99"))
    engine.dispose()
    with pytest.raises(LabelStoreError, match=r"newer version \(schema 99"):
        LabelHistory.open(url)


def test_a_wrong_password_an_absent_database_and_nobody_there(
    server: PostgresServer, url: str
) -> None:
    wrong = server.url(password="secret")
    with pytest.raises(LabelStoreError, match="refuses this user or password") as refused:
        LabelHistory.open(wrong)
    assert "secret" not in str(refused.value)
    with pytest.raises(LabelStoreError, match="make it first"):
        LabelHistory.open(server.url("nowhere"))
    with pytest.raises(LabelStoreError, match="cannot be reached"):
        LabelHistory.open("postgresql+psycopg://me:secret@127.0.0.1:9/labels")


def test_without_the_driver_its_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDependency, match=r'pip install "psycopg\[binary\]==3\.3\.9"$'):
        LabelHistory.open("postgresql+psycopg://me@127.0.0.1/labels")
