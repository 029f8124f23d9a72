"""The semantic regex of a search label, from the event that made it into the exports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pandas as pd
import pytest

from autointerp_core.exchange.config import ExportConfig
from autointerp_core.exchange.run import export_features
from autointerp_core.export.result_files import label_rows, labels_content, schema
from autointerp_core.export.tables import labels_table
from autointerp_core.store.events import NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.search_forms import search_forms
from autointerp_core.store.study import Study
from tests.core.exchange_fixtures import SAE, awkward_study

FORM = "@{:context river|shore:}([:lexeme bank:])"


@pytest.fixture
def labelled(own_home: Path) -> Iterator[tuple[Study, LabelHistory]]:
    with awkward_study(own_home) as (study, history):

        def made(feature: int, text: str, form: str | None, where: str = study.id) -> NewEvent:
            details = {} if form is None else {"form": form}
            return NewEvent(
                SAE, feature, "generated", text, source="search", details=details, study=where
            )

        history.record_many(
            [
                made(2, "bank near river", FORM),
                made(3, "bank", FORM),
                made(3, "words", "[:lexeme words:]"),  # the newer one stands
                made(4, "bank", FORM),
                made(4, "bank", "[:field bank:]", "another study"),
                made(5, "bank", None),
            ]
        )
        yield study, history


def test_the_form_is_that_of_the_label_shown(labelled: tuple[Study, LabelHistory]) -> None:
    study, history = labelled
    states = history.states(SAE, range(12), study.id)
    found = search_forms(history, SAE, states, study.id)
    assert found == {2: FORM, 3: "[:lexeme words:]", 4: FORM}


def test_exports_have_it(labelled: tuple[Study, LabelHistory], tmp_path: Path) -> None:
    study, history = labelled
    rows = label_rows(study, history, [2, 5])
    assert [row.get("form_search") for row in rows] == [FORM, None]
    assert "form_search" not in rows[1]
    jsonschema.validate(labels_content(study, rows), schema("feature_labels"))
    assert labels_table(study, history, [2])["form_search"].tolist() == [FORM]
    assert "form_search" not in labels_table(study, history, [5])  # files as they always were
    export_features(study, history, "dataset", [2, 3, 5], tmp_path / "dataset")
    table = pd.read_parquet(tmp_path / "dataset" / "features")
    assert table["form_search"].fillna("").tolist() == [FORM, "[:lexeme words:]", ""]
    export_features(study, history, "html", [2], tmp_path / "page", ExportConfig(examples=1))
    assert FORM in (tmp_path / "page" / "features.html").read_text("utf-8")
