"""Pages run without a browser (AppTest) on a small synthetic study."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from autointerp_core.store.history import LabelHistory, NewEvent
from benchmarks.synthetic import write_study
from ui import session

ROOT = Path(__file__).resolve().parents[2]
SAE = "synthetic-sae"
_T = TypeVar("_T")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and caches that know nothing of earlier ones."""
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path))
    monkeypatch.delenv("AUTOINTERP_DB", raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()
    return tmp_path


@pytest.fixture
def study(home: Path) -> Path:
    """A study of 120 features with labels: search for all, LLM for every third."""
    write_study(home / "studies" / "small", 120, 8, warnings=[("neighbour", "layer 8 is better")])
    with LabelHistory.open() as history:
        history.record_many(
            NewEvent(SAE, f, "generated", f"words {f}", source="search", method="search")
            for f in range(120)
        )
        history.record_many(
            NewEvent(SAE, f, "generated", f"model {f}", source="llm:x/tiny", method="plain")
            for f in range(0, 120, 3)
        )
    return home / "studies" / "small"


Open = Callable[..., AppTest]


@pytest.fixture
def open_page(home: Path) -> Open:
    """Open a page by its script, with query parameters, as author ``author``."""

    def opened(page: str, /, *, author: str = "Ana", **params: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
        app.session_state[session.KEY] = session.Session(author=author)
        for name, value in params.items():
            app.query_params[name] = value
        app.run()
        app.switch_page(f"pages/{page}.py")
        # Changing the page clears the address, as a click in the navigation does.
        for name, value in params.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return opened


def remembered(app: AppTest, kind: type[_T]) -> _T:
    """What a page remembers in its session, of one kind."""
    kept: session.Session = app.session_state[session.KEY]
    for parts in (kept.of_session, kept.of_study):
        if kind in parts:
            found: _T = parts[kind]
            return found
    raise AssertionError(f"the session remembers no {kind.__name__}")


def own_element(app: AppTest, kind: str) -> tuple[str, dict[str, Any]]:
    """Id and data of the keyboard, or of a box that belongs to it."""
    for found in app.get("bidi_component"):
        data: dict[str, Any] = json.loads(found.proto.json)
        if data.get("kind") == kind:
            return found.proto.id, data
    raise AssertionError(f"no {kind}")


def send(app: AppTest, do: str, *, text: str = "", event: int | None = None) -> None:
    """A press as the browser sends it: on the screen that is shown, with the next number."""
    element, data = own_element(app, "keyboard")
    one = {"number": data["taken"] + 1, "token": data["token"], "run": data["run"], "do": do,
           "event": event, "text": text, "draft": f"{do} draft", **data["screen"]}  # fmt: skip
    widgets = app._tree.get_widget_states()
    widgets.widgets.add(id=element, json_value=json.dumps({"presses": [one]}))
    app._run(widgets)
    assert not app.exception, app.exception


def record_score(
    feature: int,
    parent: int,
    scores: dict[str, Any],
    *,
    rank: float | None = None,
    unscored: str | None = None,
    evidence: str | None = None,
    source: str = "search",
    validate: dict[str, float] | None = None,
) -> None:
    """Score a proposal as the scoring job does: ``scores`` on test, ``rank`` on validate."""
    details = {
        "score": rank,
        "test_score": None,
        "scores": scores,
        "validate": validate or (dict.fromkeys(scores, rank) if rank is not None else {}),
        "study": "small",
        "evidence": evidence,
        "unscored": unscored,
    }
    with LabelHistory.open() as history:
        history.record(SAE, feature, "scored", source=source, method="x", parent=parent,
                       details=details)  # fmt: skip


def a_score(value: float | None = 0.86, **more: Any) -> dict[str, Any]:
    """What a scorer's result looks like in a scored event."""
    return {
        "name": "detection",
        "value": value,
        "floor": 0.5,
        "low": 0.74,
        "high": 0.93,
        "shuffled": 0.51,
        "n": 40,
        "n_missing": 0,
        "n_active": 20,
        "n_easy": 10,
        "n_hard": 10,
        "easy": 0.9,
        "hard": 0.8,
        "measure": "balanced accuracy",
        "judge": "llm:tiny",
        "reason": None,
    } | more
