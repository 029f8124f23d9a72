"""The label database away: a line in words on every page, nothing lost, and it goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from autointerp_core.store.history import LabelHistory, LabelState, NewEvent
from benchmarks.synthetic import write_study
from tests.core.postgres_server import PostgresServer
from tests.pages.conftest import ROOT, SAE, Open, own_element, send
from tests.pages.test_pages import texts
from ui import readers

PAGES = sorted(path.stem for path in (ROOT / "pages").glob("*.py"))
AWAY = "cannot be reached, or went away"

pytestmark = pytest.mark.slow


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """A server with the labels of a small study."""
    write_study(home / "studies" / "small", 120, 8)
    with PostgresServer() as started:
        monkeypatch.setenv("AUTOINTERP_DB", started.make_database("labels"))
        with LabelHistory.open() as history:
            history.record_many(
                NewEvent(SAE, f, "generated", f"words {f}", source="search", method="search")
                for f in range(120)
            )
        yield started
        readers.history().close()


def state(feature: int) -> LabelState:
    with LabelHistory.open(os.environ["AUTOINTERP_DB"]) as history:
        return history.states(SAE)[feature]


def run(app: AppTest) -> str:
    """The page drawn again: all its texts."""
    app.run()
    assert not app.exception, app.exception
    return texts(app)


@pytest.mark.parametrize("page", ["feature", "review"])
def test_the_server_restarts_under_a_session(
    server: PostgresServer, open_page: Open, page: str
) -> None:
    app = open_page(page, study="small", feature="6")
    server.stop()
    send(app, "label", text="my own words")
    assert AWAY in texts(app)
    assert "Traceback" not in texts(app)
    assert AWAY in run(app)

    server.start()
    said = run(app)
    assert "Not saved" in " ".join(found.value for found in app.markdown)
    assert AWAY in said  # beside the box: why it was not
    assert own_element(app, "label")[1]["saved"] == {}  # so the browser keeps the draft
    assert state(6).label == "words 6"
    send(app, "label", text="my own words")
    assert own_element(app, "label")[1]["saved"] == {"label draft": 2}
    assert AWAY not in texts(app)
    assert state(6).label == "my own words"

    server.stop()
    (button,) = [one for one in app.button if one.key == "undo"]
    button.click().run()
    assert not app.exception, app.exception
    assert AWAY in texts(app)
    server.start()
    assert "my own words" in run(app)


def test_no_page_shows_a_stack_trace(
    study: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    st.cache_resource.clear()
    monkeypatch.setenv("AUTOINTERP_DB", "postgresql+psycopg://me:secret@127.0.0.1:9/labels")
    for page in PAGES:
        said = texts(open_page(page, study="small", feature="6"))
        assert AWAY in said, page
        assert "secret" not in said, page
