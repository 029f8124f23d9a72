"""The Find page: asking, what is shown, where it leads, and what is said where nothing can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from autointerp_core.find.request import FindRequest
from autointerp_core.find.run import find_features
from autointerp_core.store.input_scores import read_input_scores
from benchmarks.synthetic import write_study
from tests.pages.conftest import Open
from tests.pages.test_pages import element, texts
from ui.find.asked import Asked

FEATURES = 24


@pytest.fixture
def words(home: Path) -> Path:
    """Two documents of three hold "temple"; the features fire by lot."""
    fill = [" the", " river", " of", " profit", " old", " market"]
    documents = [
        [fill[(index + at) % len(fill)] for at in range(14)]
        + ([" temple"] * 2 if index % 3 else [])
        for index in range(60)
    ]
    return write_study(home / "studies" / "small", FEATURES, 8, documents=documents)


def rows(app: AppTest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = element(app, "rows")["rows"]
    return found


@pytest.mark.slow
def test_words_give_a_ranked_table_that_the_core_gives_too(words: Path, open_page: Open) -> None:
    app = open_page("find", study="small", how="words", q="temple")
    listed = [row["feature"] for row in rows(app)]
    result = find_features(FindRequest(study="small", words="temple"))
    assert not isinstance(result, dict)
    own = [each.feature for each in result.found]
    assert listed[: len(own)] == own
    said = texts(app)
    assert "40 positive documents (documents with temple) against 20" in said
    assert "Drawn by lot" in said


@pytest.mark.slow
def test_the_address_is_the_question(words: Path, open_page: Open) -> None:
    app = open_page("find", study="small", how="pattern", q="tem.le", rank="auroc", value="mean")
    assert element(app, "rows")["ranking"] == "auroc"
    (box,) = [each for each in app.text_input if each.label == "Regular expression"]
    assert box.value == "tem.le"
    box.set_value("profit").run()
    assert app.query_params["q"] == "profit"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"how": "words", "q": "zebra"}, "holds zebra"),
        ({"how": "pattern", "q": "("}, "is not a regular expression"),
        ({"how": "pattern", "q": "."}, "all documents are positive"),
        ({"how": "words", "q": ","}, "The list of words is empty"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_is_said_in_place(
    words: Path, open_page: Open, asked: dict[str, str], said: str
) -> None:
    app = open_page("find", study="small", **asked)
    assert said.lower() in texts(app).lower()
    assert not app.exception


def test_without_a_question_it_says_what_can_be_asked(words: Path, open_page: Open) -> None:
    app = open_page("find", study="small")
    assert any("Which features belong" in each.value for each in app.markdown)


def test_texts_wait_for_a_press_as_the_model_must_read_them(words: Path, open_page: Open) -> None:
    app = open_page("find", study="small", how="texts", q="a temple\nan old river")
    assert [button.label for button in app.button if button.key == "find_start"] == ["Find"]


@pytest.mark.slow
def test_what_is_found_becomes_a_review_queue(words: Path, open_page: Open) -> None:
    app = open_page("find", study="small", how="words", q="temple")
    best = rows(app)[0]
    (button,) = [each for each in app.button if each.key == "find_review"]
    button.click().run()
    assert not app.exception
    scores = read_input_scores(words)
    assert scores[best["feature"]] == pytest.approx(best["evidence"])


def test_a_question_is_read_back_from_its_address() -> None:
    for asked in (
        Asked(how="words", q="a, b"),
        Asked(how="texts", q="one\ntwo", negative="three", value="count"),
        Asked(how="class", column="kind", which="x", rank="fisher"),
        Asked(how="corpus", against="other"),
    ):
        assert Asked.from_params(asked.params()) == asked
        request = asked.request("small")
        assert FindRequest.from_json(json.loads(json.dumps(request.to_json()))) == request
    long = Asked(how="texts", q="word " * 2000)
    assert "q" not in long.params()
    assert Asked.from_params({"how": "magic", "rank": "luck"}) == Asked()


@pytest.mark.slow
def test_a_topic_is_searched_in_other_studies_too(words: Path, home: Path, open_page: Open) -> None:
    documents = [[" temple", " priest", " altar", " market"]] * 20
    write_study(home / "studies" / "other", 12, 8, seed=3, documents=documents)
    asked = {"study": "small", "q": "temple", "in": "topic", "sort": "match"}
    app = open_page("features", **asked)
    (where,) = [each for each in app.get("button_group") if each.proto.id.endswith("elsewhere")]
    assert [option.content for option in where.proto.options] == [
        "This study",
        "All studies of this SAE",
    ]
    app.session_state["elsewhere"] = "All studies of this SAE"
    app.run()
    assert not app.exception
    table = app.dataframe[0].value
    assert set(table["Study"]) - {""}
    assert all(link.startswith("feature?study=") for link in table["Feature"])
