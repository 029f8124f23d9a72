"""Reading examples: more than the study keeps, no empty group without a reason, documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autointerp_core.store.study import Study
from tests.pages.conftest import Open, remembered
from tests.pages.test_pages import element, texts
from ui.feature.documents import Reading
from ui.marks import marked


def sequences(study: Study) -> dict[int, int]:
    """In how many sequences each feature fires."""
    columns = (study.table[name].tolist() for name in ("feature", "num_examples"))
    return dict(zip(*columns, strict=True))


@pytest.mark.slow
def test_more_examples_come_from_the_firings(
    study: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.feature.example_groups.STORED", 3)
    opened = Study(study)
    counts = dict(
        zip(opened.table["feature"].tolist(), opened.table["num_examples"].tolist(), strict=True)
    )
    feature = max(counts, key=counts.__getitem__)
    app = open_page("feature", study="small", feature=str(feature))
    kept = len(element(app, "groups")["groups"][0]["rows"])
    assert kept < counts[feature]
    app.button(key="more_of_them").click().run()
    rows = element(app, "groups")["groups"][0]["rows"]
    # Independent: the strongest activation of every sequence, from the study's own iterator.
    _, strength = opened.sequence_peaks(feature)
    assert len(rows) > kept
    assert len({row["sequence"] for row in rows}) == len(rows)
    assert np.allclose([row["activation"] for row in rows], strength[: len(rows)])


@pytest.mark.slow
def test_no_quarter_is_empty_where_the_feature_fires(study: Path, open_page: Open) -> None:
    opened = Study(study)
    counts = dict(
        zip(opened.table["feature"].tolist(), opened.table["num_examples"].tolist(), strict=True)
    )
    for feature in (
        max(counts, key=counts.__getitem__),
        min((f for f in counts if counts[f]), key=counts.__getitem__),
    ):
        app = open_page("feature", study="small", feature=str(feature), tab="quantiles")
        groups = element(app, "groups")["groups"]
        assert len(groups) == 4
        for group in groups:
            assert group["rows"] or "too few for an example in every quarter" in group["empty"]
        if counts[feature] >= 4:
            assert all(group["rows"] for group in groups)


@pytest.mark.slow
def test_every_document_of_a_feature_can_be_read(study: Path, open_page: Open) -> None:
    opened = Study(study)
    counts = dict(
        zip(opened.table["feature"].tolist(), opened.table["num_examples"].tolist(), strict=True)
    )
    feature = max(counts, key=counts.__getitem__)
    tokens, _ = opened.sequence_peaks(feature)
    owners = opened.tokens.owners[opened.tokens.sequence_of(tokens)]
    order = list(dict.fromkeys(owners.tolist()))
    app = open_page("feature", study="small", feature=str(feature))
    app.button(key="read_documents").click().run()
    assert f"Document {order[0]:,} " in texts(app)
    assert f"1 of {len(order):,} it fires in" in texts(app)
    app.button(key="document_Weaker").click().run()
    assert remembered(app, Reading).document == order[1]


def test_marks_show_what_cannot_be_seen() -> None:
    assert marked("a\u202eb\u2066c\u200bd\x07") == "a[U+202E]b[U+2066]c[zero-width space]d[U+0007]"
    for untouched in ("plain", "naïve — “quoted”", "می\u200cخواهم", "👩\u200d🚀", "a\nb\tc"):
        assert marked(untouched) == untouched
