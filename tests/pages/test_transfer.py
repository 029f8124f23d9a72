"""Export, import and the Studies page, without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp_core import jobs
from autointerp_core.errors import BadInput
from autointerp_core.export import import_labels, tables
from autointerp_core.export.history_file import plan_history, read_history_file
from autointerp_core.store.history import LabelHistory
from tests.pages.conftest import SAE, Open
from tests.pages.test_pages import texts
from ui import exporting, readers
from ui.studies.page import delete_study


def test_exported_labels_hold_the_decisions_and_come_back(study: Path) -> None:
    with LabelHistory.open() as history:
        history.override(SAE, 5, "by hand", author="Ana")
    opened = readers.open_study("small")
    data = exporting.labels_json(opened, [3, 5, 96])
    rows = json.loads(data)["features"]
    assert [(row["feature_index"], row["label"], row["status"]) for row in rows] == [
        (3, "model 3", "unreviewed"),
        (5, "by hand", "overridden"),
        (96, "model 96", "unreviewed"),
    ]
    with LabelHistory.open() as history:
        history.undo(SAE, 5, author="Ana")
    changes = import_labels.plan(data, opened.snapshot())
    assert [change.effect for change in changes] == ["same", "changed", "same"]
    with LabelHistory.open() as history:
        assert (
            import_labels.apply(changes, history, SAE, file_name="f.json", author="Ben").count == 1
        )
        state = history.state(SAE, 5)
    assert (state.label, state.status, state.label_source) == (
        "by hand",
        "accepted",
        "import:f.json",
    )
    assert import_labels.plan(data, opened.snapshot())[1].effect == "same"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", "not a JSON file"),
        (b"[]", 'no list "features"'),
        (b'{"features": [{"label": "x"}]}', "entry 0"),
        (b"\xff\xfe", "not a JSON file"),
        (b" ", "the file is empty"),
    ],
)
def test_a_malformed_import_is_refused_in_words(study: Path, data: bytes, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        import_labels.plan(data, readers.open_study("small").snapshot())


def test_an_import_says_what_it_refuses(study: Path) -> None:
    rows = [
        {"feature_index": 1, "label": "a b c d e f g h i j"},
        {"feature_index": 5000, "label": "somewhere else"},
        {"feature_index": 2, "label": None},
    ]
    changes = import_labels.plan(
        json.dumps({"features": rows}).encode(), readers.open_study("small").snapshot()
    )
    assert [change.effect for change in changes] == ["refused", "unknown"]
    assert "10 words" in changes[0].why


def test_tables_cannot_smuggle_formulas(study: Path) -> None:
    with LabelHistory.open() as history:
        history.override(SAE, 5, "=HYPERLINK(1)", author="Ana")
        table = tables.history_table(history, SAE)
    assert b"'=HYPERLINK" in tables.csv(table)
    assert tables.parquet(table)[:4] == b"PAR1"
    assert len(table) == 161


@pytest.mark.slow
def test_studies_are_listed_opened_and_deleted_but_labels_stay(
    study: Path, open_page: Open
) -> None:
    app = open_page("studies", study="small")
    assert "120 of 120 features" in texts(app)
    assert "layer 8 is better" in texts(app)
    delete_study("small")
    assert not study.exists()
    app.run()
    assert "No study yet" in texts(app)
    with LabelHistory.open() as history:
        assert history.state(SAE, 5).label == "words 5"


@pytest.mark.slow
def test_jobs_show_their_error_and_offer_a_retry(home: Path, open_page: Open) -> None:
    job = jobs.submit("selftest", {"steps": 1, "fail_at": 0}, "A job that fails")
    while jobs.get(job.id).active:
        pass
    app = open_page("studies")
    assert "the selftest was told to fail" in texts(app)
    assert app.button(key=f"retry_{job.id}")


@pytest.mark.slow
def test_export_offers_every_file(study: Path, open_page: Open) -> None:
    app = open_page("export", study="small")
    assert {"feature_labels.json", "feature_examples.jsonl"} <= {text.value for text in app.text}
    assert "120 features" in texts(app)


@pytest.mark.slow
def test_the_page_takes_in_a_history_and_shows_it_before(
    study: Path, open_page: Open, tmp_path: Path
) -> None:
    opened = readers.open_study("small")
    with LabelHistory.open() as history:
        history.override(SAE, 5, "by hand", author="Ana")
        history.note(SAE, 5, "a note", author="Ana")
    data = exporting.whole_history(opened)
    with LabelHistory.open() as history:
        history.undo(SAE, 5, author="Ana")
        events = len(history.history(SAE, 5))

    # Into an installation that knows nothing of it.
    with LabelHistory.open(tmp_path / "elsewhere.db") as other:
        file = read_history_file(data)
        assert plan_history(file, opened.info, other).new_events == len(file.events)
    app = open_page("export", study="small")
    app.file_uploader(key="import_file").upload("history.jsonl", data).run()
    assert "are here already" in texts(app)
    assert app.button(key="import_apply").disabled
    with LabelHistory.open() as history:
        assert len(history.history(SAE, 5)) == events


@pytest.mark.slow
def test_files_of_another_sae_are_refused_in_words(study: Path, open_page: Open) -> None:
    opened = readers.open_study("small")
    labels = json.loads(exporting.labels_json(opened, [3, 5]))
    assert labels["study"]["sae_fingerprint"] == SAE
    labels["study"]["sae_fingerprint"] = "of-another"
    history = exporting.whole_history(opened).replace(SAE.encode(), b"of-another")
    for name, data in (("labels.json", json.dumps(labels).encode()), ("h.jsonl", history)):
        app = open_page("export", study="small")
        app.file_uploader(key="import_file").upload(name, data).run()
        assert "is about another SAE" in texts(app), name
        assert not [button for button in app.button if button.key == "import_apply"]


def test_the_html_page_of_chosen_features_opens_alone(study: Path) -> None:
    page = exporting.html_page(readers.open_study("small"), [3, 5]).decode()
    assert page.startswith("<!doctype html>") or page.lower().startswith("<!doctype html>")
    assert "model 3" in page
    assert "words 7" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
