"""Finding features: topics, excerpts, the view in the address, names of studies, queues."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from autointerp_core.store.input_scores import add_input_scores
from autointerp_core.store.study import Study
from autointerp_core.store.study_names import FILE, study_name
from tests.pages.conftest import Open
from tests.pages.test_pages import element, texts


@pytest.mark.slow
def test_a_topic_ranks_features_and_shows_where_they_fire_on_it(
    study: Path, open_page: Open
) -> None:
    app = open_page("features", study="small", q="market", **{"in": "topic", "sort": "match"})
    data = element(app, "rows")
    assert [column["key"] for column in data["columns"]][-1] == "excerpt"
    best = data["rows"][0]["excerpt"]
    assert best["found"]
    assert best["hit"].lower().startswith("market")
    # Independent of the search: the excerpt is text of a document, and the feature fires there.
    opened = Study(study)
    text = bytes(opened.tokens.text).decode()
    assert best["before"] + best["hit"] + best["after"] in text


@pytest.mark.slow
def test_words_are_searched_for_by_topic_unless_said_otherwise(
    study: Path, open_page: Open
) -> None:
    app = open_page("features", study="small")
    (box,) = [each for each in app.text_input if each.label == "Search"]
    box.set_value("market").run()
    assert (app.query_params["in"], app.query_params["sort"]) == ("topic", "match")
    (box,) = [each for each in app.text_input if each.label == "Search"]
    box.set_value("").run()
    assert "sort" not in app.query_params
    assert [row["feature"] for row in element(app, "rows")["rows"]] == list(range(50))


@pytest.mark.slow
def test_a_number_as_topic_finds_that_feature_first(study: Path, open_page: Open) -> None:
    app = open_page("features", study="small", q="42", **{"in": "topic", "sort": "match"})
    assert element(app, "rows")["rows"][0]["feature"] == 42


@pytest.mark.slow
def test_an_old_address_without_a_scope_still_filters(study: Path, open_page: Open) -> None:
    app = open_page("features", study="small", q="model 3")
    assert "excerpt" not in [column["key"] for column in element(app, "rows")["columns"]]


@pytest.mark.slow
def test_the_address_holds_tab_window_lines_and_plot(study: Path, open_page: Open) -> None:
    app = open_page("feature", study="small", feature="6", tab="quantiles", window="4",
                    lines="line")  # fmt: skip
    found = element(app, "groups")
    assert len(found["groups"]) == 4
    assert found["layout"] == "line"
    assert max(len(row["tokens"]) for group in found["groups"] for row in group["rows"]) <= 8
    app.segmented_control(key="group").set_value("silent").run()
    assert app.query_params["tab"] == "silent"
    app.button(key="next").click().run()
    assert app.query_params["tab"] == "silent"
    assert app.query_params["feature"] == "7"
    table = open_page("features", study="small", plot="1", across="mean", axes="0")
    assert table.selectbox(key="plot_across").value == "mean"
    assert not table.toggle(key="plot_log").value
    table.toggle(key="show_plot").set_value(False).run()
    assert table.query_params["plot"] == "0"


@pytest.mark.slow
def test_back_leads_to_the_page_of_the_table_with_the_feature_marked(
    study: Path, open_page: Open
) -> None:
    app = open_page("feature", study="small", feature="60", size="25")
    app.button(key="back").click().run()
    assert app.query_params["page"] == "3"
    data = element(app, "rows")
    assert data["last"] == 60
    assert data["arrived"]
    assert 60 in [row["feature"] for row in data["rows"]]


@pytest.mark.slow
def test_a_study_has_a_name_that_can_be_given(study: Path, open_page: Open) -> None:
    app = open_page("studies", study="small")
    plain = app.selectbox(key="study_pick").options[0]
    assert "layer" in plain
    app.text_input(key="new_name_small").set_value("My \u202estudy").run()
    assert app.selectbox(key="study_pick").options == ["My [U+202E]study"]
    record = Study(study).info
    assert study_name(study, record) == "My \u202estudy"
    app.text_input(key="new_name_small").set_value("").run()
    assert app.selectbox(key="study_pick").options == [plain]
    (study / FILE).write_text("{")
    assert study_name(study, record) == plain
    assert texts(app)


@pytest.mark.slow
def test_input_scores_stand_on_the_feature(study: Path, open_page: Open) -> None:
    add_input_scores(study, {6: 0.335})
    for page in ("feature", "review"):
        app = open_page(page, study="small", feature="6")
        assert ["Input score", "0.335"] in [pair[:2] for pair in element(app, "pairs")["pairs"]], (
            page
        )


@pytest.mark.slow
def test_review_holds_features_that_can_be_interpreted_and_says_what_it_leaves_out(
    study: Path, open_page: Open
) -> None:
    (path,) = study.glob("passes/*/features.parquet")
    table = pd.read_parquet(path)
    table.loc[[0, 3], "density"] = [0.5, 5e-5]  # fires nearly everywhere, nearly nowhere
    table.to_parquet(path)
    fires = int((table["fired"] > 0).sum())
    app = open_page("review", study="small")
    assert f"0 of {fires - 2} reviewed" in texts(app)
    assert "2 rarer or denser" in texts(app)
    assert app.query_params["feature"] == "1"
    app.selectbox(key="queue_of_False").set_value(True).run()
    assert app.query_params["of"] == "all"
    assert f"0 of {fires} reviewed" in texts(app)
    assert app.query_params["feature"] == "0"


@pytest.mark.parametrize("typed", ["abc", "-3", "4.5"])
@pytest.mark.slow
def test_what_is_no_feature_number_is_told(study: Path, open_page: Open, typed: str) -> None:
    app = open_page("feature", study="small", feature="6")
    app.text_input(key="jump").set_value(typed).run()
    assert f"“{typed}” is no feature number" in texts(app)
    assert app.query_params["feature"] == "6"


@pytest.mark.slow
def test_a_number_beyond_the_sae_is_told_with_its_range(study: Path, open_page: Open) -> None:
    last = Study(study).info.d_sae - 1
    app = open_page("feature", study="small", feature="99999")
    assert f"this SAE has 0–{last:,}" in texts(app)


@pytest.mark.parametrize("page", ["feature", "review"])
@pytest.mark.slow
def test_an_address_with_no_such_feature_says_so(study: Path, open_page: Open, page: str) -> None:
    app = open_page(page, study="small", feature="99999")
    assert "feature 99999 is not in this study: this SAE has 0–119" in texts(app).lower().replace(
        "sae", "SAE"
    )
    assert "Nothing left" not in "".join(found.value for found in app.markdown)
    app = open_page(page, study="small", feature="abc")
    assert "“abc” is no feature number" in texts(app)
    assert app.query_params["feature"].isdecimal()
