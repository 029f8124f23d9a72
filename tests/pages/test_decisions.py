"""Nothing decided is mixed up: other SAEs, other people, many at once, no name yet."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from autointerp_core import jobs
from autointerp_core.store.history import LabelHistory, LabelState, NewEvent
from benchmarks.synthetic import write_study
from tests.pages.conftest import ROOT, SAE, Open, own_element, remembered, send
from tests.pages.test_pages import texts
from ui import readers
from ui.decisions.decide import Decided
from ui.navigation import Looking
from ui.studies.new_study import save_upload

OTHER = "another-sae"


@pytest.fixture
def other(study: Path) -> Path:
    """A second study, of another SAE, whose features somebody else has worked on."""
    folder = write_study(study.with_name("other"), 120, 8, fingerprint=OTHER)
    with LabelHistory.open() as history:
        history.record_many(
            NewEvent(OTHER, f, "generated", f"other {f}", source="search") for f in range(120)
        )
        history.override(OTHER, 6, "Eve's own", author="Eve")
    return folder


def go(app: AppTest, **params: str) -> None:
    """Follow a link of the app: another address in the same session."""
    for name in list(app.query_params):
        del app.query_params[name]
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception


def states(sae: str) -> dict[int, LabelState]:
    with LabelHistory.open() as history:
        return history.states(sae)


@pytest.mark.slow
def test_undo_in_another_study_takes_back_nothing_of_another_sae(
    other: Path, open_page: Open
) -> None:
    app = open_page("review", study="small", feature="6")
    app.button(key="accept_search").click().run()
    go(app, study="other", feature="6")
    assert "Accepted" not in texts(app)  # that was feature 6 of the other SAE
    app.button(key="undo").click().run()
    assert "nothing in this session" in texts(app)
    assert states(OTHER)[6].label == "Eve's own"
    assert states(SAE)[6].label == "words 6"
    # Back in the first, it is that decision which is undone.
    go(app, study="small", feature="9")
    app.button(key="undo").click().run()
    assert app.query_params["feature"] == "6"
    assert states(SAE)[6].status == "unreviewed"


@pytest.mark.slow
def test_undo_in_review_never_takes_back_what_another_person_decided(
    study: Path, open_page: Open
) -> None:
    with LabelHistory.open() as history:
        history.override(SAE, 6, "Eve's own", author="Eve")
    app = open_page("review", study="small", feature="6")
    app.button(key="undo").click().run()
    assert states(SAE)[6].label == "Eve's own"
    # Mine, then hers: undoing mine leaves hers, and says that she was there.
    app = open_page("review", study="small", feature="9")
    app.button(key="accept_search").click().run()
    with LabelHistory.open() as history:
        history.override(SAE, 9, "Eve's again", author="Eve")
    app.button(key="undo").click().run()
    assert states(SAE)[9].label == "Eve's again"
    assert "Eve" in texts(app)


@pytest.mark.slow
def test_previous_in_review_goes_back_to_what_was_decided_last(
    study: Path, open_page: Open
) -> None:
    app = open_page("review", study="small")
    assert app.button(key="previous").disabled
    first = int(texts(app).split("Feature ")[1].split()[0])
    app.button(key="accept_search").click().run()
    app.button(key="accept_search").click().run()
    assert not app.button(key="previous").disabled
    second = app.query_params["feature"]
    app.button(key="previous").click().run()
    app.button(key="previous").click().run()
    assert app.query_params["feature"] == str(first)
    assert second != str(first)
    assert states(SAE)[first].status == "accepted"
    assert app.button(key="previous").disabled


@pytest.mark.slow
def test_what_a_session_remembers_of_a_study_is_gone_in_another(
    other: Path, open_page: Open
) -> None:
    app = open_page("features", study="small")
    remembered(app, Looking).picked = {3, 5}
    go(app, study="other")
    assert remembered(app, Looking).picked == set()
    assert not [button for button in app.button if button.key == "bulk_accept"]


@pytest.mark.slow
def test_bulk_without_a_name_says_nothing_was_saved_until_it_is(
    study: Path, open_page: Open
) -> None:
    app = open_page("features", study="small", author="")
    remembered(app, Looking).picked = {3, 4}
    app.run()
    app.button(key="bulk_accept").click().run()
    app.button(key="bulk_yes").click().run()
    assert "features accepted" not in texts(app)
    assert states(SAE)[3].status == "unreviewed"
    waiting = remembered(app, Decided).waiting
    assert [d.feature for request in waiting for d in request.decisions] == [3, 4]
    app.text_input(key="author_new").set_value("Ana").run()
    assert "2 features accepted" in texts(app)
    assert [states(SAE)[f].status for f in (3, 4, 5)] == ["accepted", "accepted", "unreviewed"]


@pytest.mark.slow
def test_bulk_asks_with_count_and_filter_and_is_one_step_to_undo(
    study: Path, open_page: Open
) -> None:
    with LabelHistory.open() as history:
        history.override(SAE, 6, "mine before", author="Ana")
    app = open_page("features", study="small", q="words", status="unreviewed", density="0.001:")
    remembered(app, Looking).picked = {4, 5, 6, 7}  # 6 is not in the filter any more
    app.run()
    assert "1 no longer match the filter" in texts(app)
    assert "3 selected" in texts(app)
    app.button(key="bulk_accept").click().run()
    shown = texts(app)
    assert "3 of the 80 features that match are selected." in shown
    assert "Filter: “words” in labels and tokens, unreviewed, density from 0.1 %." in shown
    assert "4: words 4" in shown
    assert app.button(key="bulk_yes").label == "Accept labels of 3 features"
    assert states(SAE)[4].status == "unreviewed"
    app.button(key="bulk_no").click().run()
    assert states(SAE)[4].status == "unreviewed"
    app.button(key="bulk_accept").click().run()
    app.button(key="bulk_yes").click().run()
    assert [states(SAE)[f].status for f in (4, 5, 7)] == ["accepted"] * 3
    with LabelHistory.open() as history:
        history.override(SAE, 5, "theirs since", author="Eve")
    app.button(key="bulk_undo").click().run()
    now = states(SAE)
    assert [now[f].status for f in (4, 5, 7)] == ["unreviewed", "overridden", "unreviewed"]
    assert (now[5].label, now[6].label) == ("theirs since", "mine before")
    assert "Eve" in texts(app)
    assert not [button for button in app.button if button.key == "bulk_undo"]


@pytest.mark.slow
def test_bulk_tells_whom_it_crosses(study: Path, open_page: Open) -> None:
    app = open_page("features", study="small")
    remembered(app, Looking).picked = {3, 4}
    app.run()
    with LabelHistory.open() as history:
        history.override(SAE, 4, "theirs", author="Eve")
    app.button(key="bulk_accept").click().run()
    app.button(key="bulk_yes").click().run()
    assert "2 features accepted" in texts(app)
    assert "Changed meanwhile by Eve: feature 4" in texts(app)
    with LabelHistory.open() as history:
        kinds = [event.kind for event in history.history(SAE, 4)]
    assert kinds == ["generated", "overridden", "accepted"]


@pytest.mark.slow
def test_bulk_that_cannot_be_saved_says_so(
    study: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page("features", study="small")
    remembered(app, Looking).picked = {3, 4}
    app.run()
    backup = readers.history().backup_path
    backup.unlink()
    backup.mkdir()
    app.button(key="bulk_accept").click().run()
    app.button(key="bulk_yes").click().run()
    assert "Nothing was saved" in texts(app)
    assert states_without_backup() == {"unreviewed"}
    backup.rmdir()


def states_without_backup() -> set[str]:
    return {state.status for state in readers.history().states(SAE, [3, 4]).values()}


def test_uploads_of_one_name_do_not_replace_each_other(home: Path) -> None:
    first = save_upload("data.jsonl", b'{"text": "first"}\n')
    second = save_upload("data.jsonl", b'{"text": "second"}\n')
    assert first.name == second.name == "data.jsonl"
    assert first.read_bytes() == b'{"text": "first"}\n'
    assert second.read_bytes() == b'{"text": "second"}\n'
    assert save_upload("data.jsonl", b'{"text": "first"}\n') == first
    assert save_upload("../../.x y.json", b"{}").is_relative_to(home / "uploads")


@pytest.mark.slow
def test_the_studies_page_opens_no_study(
    other: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LabelHistory.open() as history:
        history.override(SAE, 5, "done", author="Ana")
        history.override(OTHER, 9, "done", author="Ana")
        history.undo(OTHER, 6, author="Eve")
        history.flag(SAE, 7, author="Ana")
        history.override(SAE, 8, "taken back", author="Ana")
        history.undo(SAE, 8, author="Ana")

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} was opened")

    app = open_page("features", study="small")
    monkeypatch.setattr(readers, "open_study", refuse)
    app.switch_page("pages/studies.py")
    app.query_params["study"] = "small"
    app.run()
    assert not app.exception, app.exception
    assert texts(app).count("120 of 120 features · 1 reviewed (1%)") == 2


@pytest.mark.slow
def test_a_job_is_followed_in_its_own_study_only(other: Path, open_page: Open) -> None:
    app = open_page("feature", study="small", feature="6")
    app.button(key="score").click().run()
    app.button(key="run_start").click().run()
    assert any(str(button.key).startswith("cancel_") or button.key == "run_seen"
               for button in app.button)  # fmt: skip
    go(app, study="other", feature="6")
    assert "Scores of feature 6" not in texts(app)
    for job in jobs.list_jobs():
        jobs.cancel(job.id)


def events(feature: int) -> list[tuple[str, str | None, str]]:
    with LabelHistory.open() as history:
        return [(e.kind, e.text, e.source) for e in history.history(SAE, feature) if e.author]


@pytest.mark.slow
def test_a_text_that_was_proposed_is_accepted_and_keeps_its_source(
    study: Path, open_page: Open
) -> None:
    app = open_page("feature", study="small", feature="6")
    send(app, "label", text=" model  6 ")
    assert states(SAE)[6].label_source == "llm:x/tiny"
    send(app, "label", text="model 6")  # nothing has changed: nothing to record
    assert "Nothing to save" in texts(app)
    send(app, "label", text="my own")
    assert "Saved “my own”" in texts(app)
    send(app, "label", text="words 6")
    assert [(kind, text) for kind, text, _ in events(6)] == [
        ("accepted", "model 6"),
        ("overridden", "my own"),
        ("accepted", "words 6"),
    ]


@pytest.mark.slow
def test_undo_pressed_before_the_page_is_drawn_takes_back_the_last_thing_done(
    study: Path, open_page: Open
) -> None:
    with LabelHistory.open() as history:
        history.override(SAE, 6, "Eve's own", author="Eve")
    app = open_page("feature", study="small", feature="6")
    element, data = own_element(app, "keyboard")
    both = [
        {"number": number, "token": data["token"], "run": data["run"], "do": do, "event": None,
         "text": "", "draft": "", **data["screen"]}
        for number, do in ((1, "flag"), (2, "undo"), (3, "undo"))
    ]  # fmt: skip
    widgets = app._tree.get_widget_states()
    widgets.widgets.add(id=element, json_value=json.dumps({"presses": both}))
    app._run(widgets)
    assert (states(SAE)[6].label, states(SAE)[6].flagged) == ("Eve's own", False)
    assert [kind for kind, _, _ in events(6)] == ["overridden", "flagged", "undone"]


@pytest.mark.slow
def test_a_draft_is_forgotten_only_once_it_is_saved(study: Path, open_page: Open) -> None:
    app = open_page("feature", study="small", feature="6", author="")
    send(app, "note", text="look again")
    assert own_element(app, "note")[1]["saved"] == {}
    app.text_input(key="author_new").set_value("Ana").run()
    assert own_element(app, "note")[1]["saved"] == {"note draft": 1}
    assert states(SAE)[6].note == "look again"
    send(app, "note", text="look again")
    assert [kind for kind, _, _ in events(6)] == ["noted"]


@pytest.mark.slow
def test_presses_of_another_session_are_not_taken(study: Path, open_page: Open) -> None:
    app = open_page("feature", study="small", feature="6")
    element, data = own_element(app, "keyboard")
    for token, number in (("of-a-server-before", 1), (data["token"], data["taken"])):
        one = {"number": number, "token": token, "run": 1, "do": "flag", "event": None,
               "text": "", "draft": "", **data["screen"]}  # fmt: skip
        widgets = app._tree.get_widget_states()
        widgets.widgets.add(id=element, json_value=json.dumps({"presses": [one]}))
        app._run(widgets)
    assert events(6) == []


def test_the_session_is_one_object() -> None:
    """Only ui/session.py touches Streamlit's; its own keys belong to widgets."""
    for path in (ROOT / "ui").rglob("*.py"):
        if path.name != "session.py":
            assert not re.search(r"\bsession_state\b", path.read_text()), path


def test_theme_weights_are_such_as_the_browser_takes() -> None:
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    weights = theme["headingFontWeights"]
    assert all(weight % 50 == 0 and 100 <= weight <= 900 for weight in weights)
