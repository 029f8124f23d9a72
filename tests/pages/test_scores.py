"""Scores beside labels: what is shown of them, and what is said where there are none."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from autointerp_core.explore.label_columns import agreement
from autointerp_core.explore.view import View
from autointerp_core.store.history import LabelHistory, NewEvent
from autointerp_core.store.score_values import ScorerResult
from tests.pages.conftest import SAE, Open, a_score, record_score
from tests.pages.test_pages import element, texts
from ui import readers
from ui.elements.scores import Shown

HOSTILE = "<img src=x onerror=alert(1)> [l](https://evil.example) :red[x] $x$"


def drawn(app: AppTest) -> list[dict[str, Any]]:
    """The data of every drawing of scores, in the order of the page."""
    found = [json.loads(e.proto.json) for e in app.get("bidi_component")]
    return [data for data in found if "about" in data]


def event_of(feature: int, source: str) -> int:
    with LabelHistory.open() as history:
        return next(
            p.event_id
            for p in reversed(history.state(SAE, feature).proposals)
            if p.source.startswith(source)
        )


@pytest.mark.slow
def test_scores_stand_beside_the_labels_and_the_title(study: Path, open_page: Open) -> None:
    record_score(6, event_of(6, "search"), {"detection": a_score()}, rank=0.8)
    app = open_page("feature", study="small", feature="6")
    title, llm, search = drawn(app)
    assert title["compact"]
    assert title["scores"][0]["value"] == 0.86
    assert llm["why"] == "not scored yet"
    (score,) = search["scores"]
    assert (score["value"], score["low"], score["high"], score["floor"]) == (0.86, 0.74, 0.93, 0.5)
    assert score["interval"] == "0.74–0.93"
    assert score["baseline"] == "floor 0.50 · shuffled 0.51 · 40 windows"
    assert score["line"] == (
        "detection 0.86 (95 % interval 0.74–0.93), floor 0.50, shuffled 0.51, 40 windows"
    )
    facts = dict(score["facts"])
    assert facts["Easy silent windows"] == "0.900"
    assert facts["Hard silent windows"] == "0.800"
    assert "validate" in search["about"]


def test_what_is_recorded_at_the_natural_density_is_shown() -> None:
    recorded = ScorerResult(
        "embedding", 0.8, auprc=0.41, auprc_low=0.3, auprc_high=0.5, density=0.02, fit=0.7,
        correlation=0.3, correlation_low=0.1, correlation_high=0.4, near=0.66, n_near=10,
    )  # fmt: skip
    facts = dict(Shown.read("embedding", recorded.to_json()).facts())
    assert facts["AUPRC"] == "0.410 (0.30–0.50), floor 0.020"
    assert facts["Correlation"] == "0.300 (0.10–0.40), floor 0.000"
    assert facts["Silent windows most like the label"] == "0.660 of 10"
    assert facts["Fires in"] == "2.00% of windows"
    assert facts["Fit"] == "0.700, floor 0.500"
    assert "F1" not in facts


@pytest.mark.slow
def test_the_table_shows_and_sorts_by_the_score_on_test_documents(
    study: Path, open_page: Open
) -> None:
    # Chosen by validate (0.9), shown by test (0.6): the two must not be mixed up.
    record_score(4, event_of(4, "search"), {"embedding": a_score(0.6)}, rank=0.9)
    record_score(7, event_of(7, "search"), {"embedding": a_score(0.8)}, rank=0.7)
    app = open_page("features", study="small", sort="score", dir="desc")
    table = element(app, "rows")
    assert [(row["feature"], row["score:embedding"]) for row in table["rows"][:3]] == [
        (7, 0.8),
        (4, 0.6),
        (0, None),
    ]
    column = next(column for column in table["columns"] if column["key"] == "score:embedding")
    assert "test" in column["help"]


def several(study: Path) -> None:
    """Two scorers that rank three features, and two labels of one, the other way round."""
    for feature, embedding, detection in ((4, 0.9, 0.6), (7, 0.8, 0.7), (9, 0.7, 0.8)):
        both = {"embedding": a_score(embedding), "detection": a_score(detection)}
        record_score(feature, event_of(feature, "search"), both, rank=0.8)


@pytest.mark.slow
def test_several_scores_stand_side_by_side_and_the_chosen_one_first(
    study: Path, open_page: Open
) -> None:
    several(study)
    title, *_, search = drawn(open_page("feature", study="small", feature="4"))
    assert [score["name"] for score in search["scores"]] == ["embedding", "detection"]
    shown = [(score["name"], score["value"]) for score in title["scores"]]
    assert shown == [("detection", 0.6), ("embedding", 0.9)]
    title = drawn(open_page("feature", study="small", feature="4", by="embedding"))[0]
    assert [score["name"] for score in title["scores"]] == ["embedding", "detection"]
    title = drawn(open_page("feature", study="small", feature="4", by="nobody's"))[0]
    assert [score["name"] for score in title["scores"]] == ["detection", "embedding"]


@pytest.mark.slow
def test_a_column_a_scorer_and_the_chosen_one_ranks(study: Path, open_page: Open) -> None:
    several(study)
    app = open_page("features", study="small", sort="score", dir="desc")
    table = element(app, "rows")
    titles = [column["title"] for column in table["columns"]]
    assert [t for t in titles if t in ("Detection", "Embedding")] == ["Detection", "Embedding"]
    assert "Fuzzing" not in titles  # which no label has
    assert [row["feature"] for row in table["rows"][:3]] == [9, 7, 4]
    assert table["rows"][0]["score:detection"] == 0.8
    assert table["rows"][0]["score:embedding"] == 0.7
    assert table["sort"] == "score:detection"
    app = open_page("features", study="small", sort="score", dir="desc", by="embedding")
    table = element(app, "rows")
    assert [row["feature"] for row in table["rows"][:3]] == [4, 7, 9]
    assert table["sort"] == "score:embedding"
    # A filter on scores means the scorer that ranks, and so does what is said of it.
    app = open_page("features", study="small", score="0.75:", by="embedding")
    assert [row["feature"] for row in element(app, "rows")["rows"]] == [4, 7]
    app = open_page("features", study="small", score="0.75:")
    assert [row["feature"] for row in element(app, "rows")["rows"]] == [9]


@pytest.mark.slow
def test_a_queue_by_score_goes_by_the_chosen_scorer(study: Path, open_page: Open) -> None:
    several(study)
    app = open_page("review", study="small", queue="score", of="all")
    assert app.query_params["feature"] == "4"
    assert "3 have a score by detection" in texts(app)
    app.selectbox(key="queue_by_detection").set_value("embedding").run()
    assert (app.query_params["by"], app.query_params["feature"]) == ("embedding", "9")
    assert app.query_params["of"] == "all"
    app.button(key="next").click().run()
    assert (app.query_params["by"], app.query_params["feature"]) == ("embedding", "7")


@pytest.mark.slow
def test_proposals_are_ordered_by_the_chosen_scorer(study: Path, open_page: Open) -> None:
    with LabelHistory.open() as history:
        for text in ("the one", "the two"):
            history.record(SAE, 6, "generated", text, source="llm:x/tiny")
    for text, detection, embedding in (("the one", 0.9, 0.5), ("the two", 0.6, 0.8)):
        event = next(p.event_id for p in LabelHistory.open().state(SAE, 6).proposals
                     if p.text == text)  # fmt: skip
        validate = {"detection": detection, "embedding": embedding}
        record_score(6, event, {"detection": a_score(0.7)}, source="llm:x/tiny", validate=validate)
    app = open_proposals(open_page("feature", study="small", feature="6"))
    assert texts(app).rindex("the one") < texts(app).rindex("the two")
    app.segmented_control(key="proposals_by_").set_value("embedding").run()
    assert app.query_params["by"] == "embedding"
    assert texts(app).rindex("the two") < texts(app).rindex("the one")
    # What stands until somebody decides does not change with what one person looks at.
    assert LabelHistory.open().state(SAE, 6).label == "the one"


@pytest.mark.slow
def test_a_label_that_could_not_be_scored_says_why(study: Path, open_page: Open) -> None:
    reason = "fires in 2 test documents; at least 5 are needed"
    record_score(6, event_of(6, "llm"), {}, unscored=reason, source="llm:x/tiny")
    nothing = a_score(None, low=None, high=None, reason="no judgement of any active window")
    record_score(6, event_of(6, "search"), {"detection": nothing})
    title, llm, search = drawn(open_page("feature", study="small", feature="6"))
    assert title["why"] == llm["why"] == f"not scored: {reason}"
    assert search["why"] == "not scored: no judgement of any active window"
    assert not search["scores"]


@pytest.mark.slow
def test_missing_judgements_are_counted_and_chance_is_said(study: Path, open_page: Open) -> None:
    weak = a_score(0.55, low=0.41, n=30, n_missing=10)
    record_score(6, event_of(6, "search"), {"detection": weak}, rank=0.5)
    search = drawn(open_page("feature", study="small", feature="6"))[2]
    (score,) = search["scores"]
    assert score["chance"]
    assert "not above chance" in score["line"]
    assert dict(score["facts"])["Judged windows"] == "30, 10 more without a judgement"


@pytest.mark.parametrize(
    "raw", ["high", None, True, [1], {"value": "0.9", "n": -3, "low": math.nan}]
)
def test_scores_that_make_no_sense_count_as_unknown(raw: Any) -> None:
    found = Shown.read("x", raw)
    assert not found.known
    assert found.n is None
    assert found.line().startswith("x: no score")
    assert found.above_floor is None


@pytest.mark.slow
def test_hostile_text_in_scores_is_only_text(study: Path, open_page: Open) -> None:
    with LabelHistory.open() as history:
        history.record(SAE, 6, "generated", HOSTILE, source=f"llm:{HOSTILE}", method=HOSTILE)
    named = {HOSTILE: a_score(judge=HOSTILE, measure=HOSTILE)}
    record_score(6, event_of(6, "llm"), named, rank=0.8, source="llm:x")
    record_score(6, event_of(6, "search"), {}, unscored=HOSTILE)
    app = open_page("feature", study="small", feature="6")
    app.session_state["proposals_open"] = True
    app.run()
    assert not app.exception
    for markdown in app.markdown:
        assert "evil" not in markdown.value
    assert HOSTILE in texts(app)


def open_proposals(app: AppTest) -> AppTest:
    app.session_state["proposals_open"] = True
    return app.run()


@pytest.mark.slow
def test_every_proposal_is_listed_once_and_can_be_accepted(study: Path, open_page: Open) -> None:
    with LabelHistory.open() as history:
        for text, method in (("third way", "contrast"), ("Model 6", "words")):
            history.record(SAE, 6, "generated", text, source="llm:x/tiny", method=method)
    third = next(
        p.event_id for p in LabelHistory.open().state(SAE, 6).proposals if p.text == "third way"
    )
    record_score(6, third, {"detection": a_score(0.7)}, rank=0.9, source="llm:x/tiny")
    record_score(6, event_of(6, "search"), {"detection": a_score(0.95)}, rank=0.6)
    app = open_proposals(open_page("feature", study="small", feature="6"))
    labels = [e.label for e in app.expander]
    assert "All proposals (3)" in labels
    shown = texts(app)
    assert "LLM · tiny (contrast) · detection 0.70 (validate 0.90)" in shown
    assert "search · detection 0.95 (validate 0.60)" in shown
    assert "LLM · tiny (plain), LLM · tiny (words) · not scored yet" in shown
    # Chosen on validate: a better test score of another label must not change the choice.
    badges = [found.value for found in app.markdown if "best" in found.value]
    assert len(badges) == 1
    app.button(key=f"accept_{third}").click().run()
    with LabelHistory.open() as history:
        assert history.state(SAE, 6).label == "third way"


@pytest.mark.slow
def test_the_queue_by_score_begins_with_the_worst(study: Path, open_page: Open) -> None:
    for feature, value in ((4, 0.6), (7, 0.4), (9, 0.9)):
        record_score(feature, event_of(feature, "search"), {"embedding": a_score(value)}, rank=0.5)
    app = open_page("review", study="small", queue="score")
    assert app.query_params["feature"] == "7"
    app.button(key="next").click().run()
    assert app.query_params["feature"] == "4"


@pytest.mark.slow
def test_disagreement_is_by_scores_where_both_have_them(study: Path, open_page: Open) -> None:
    # Every third feature has both labels, in different words; two of them are scored.
    for feature, llm, search in ((9, 0.9, 0.88), (12, 0.55, 0.95)):
        record_score(feature, event_of(feature, "llm"), {"embedding": a_score(llm)}, rank=0.5)
        record_score(feature, event_of(feature, "search"), {"embedding": a_score(search)}, rank=0.5)
    snapshot = readers.open_study("small").snapshot()
    values = snapshot.agreement
    assert values[12] == pytest.approx(0.2)  # 0.4 apart, of 0.5 between chance and perfect
    assert values[9] == pytest.approx(0.96)
    assert 0.5 < values[3] < 0.9  # other words, but nobody knows whether they mean the same
    assert np.isnan(values[4])
    order = snapshot.features[snapshot.order(View(sort="agreement"))]
    assert order[0] == 12
    app = open_page("review", study="small", queue="agreement")
    assert app.query_params["feature"] == "12"


def test_the_same_words_agree_whatever_their_scores(study: Path) -> None:
    with LabelHistory.open() as history:
        history.record_many(
            NewEvent(SAE, 119, "generated", text, source=source, method="m")
            for text, source in (("Days  week", "search"), ("week days", "llm:x"))
        )
        state = history.state(SAE, 119)
    assert agreement(state) == 1.0


@pytest.mark.slow
def test_a_persons_label_has_its_own_score(study: Path, open_page: Open) -> None:
    with LabelHistory.open() as history:
        event = history.override(SAE, 6, "my own words", author="Ana")
    app = open_page("feature", study="small", feature="6")
    assert drawn(app)[0]["why"] == "not scored yet"
    record_score(6, event.id, {"detection": a_score(0.77)}, rank=0.7, source="human")
    app = open_page("feature", study="small", feature="6")
    assert drawn(app)[0]["scores"][0]["value"] == 0.77
    table = element(open_page("features", study="small", sort="score", dir="desc"), "rows")
    assert (table["rows"][0]["feature"], table["rows"][0]["score:detection"]) == (6, 0.77)
