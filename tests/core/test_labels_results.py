"""The two result files hold exactly what DESIGN §3 says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from autointerp_core.errors import BadInput, OutputError
from autointerp_core.export.result_files import (
    label_rows,
    schema,
    write_feature_examples,
    write_feature_labels,
)
from autointerp_core.labels.explain.generate import generate_labels
from autointerp_core.labels.providers.scripted import ScriptedProvider
from autointerp_core.labels.search.labeler import DEAD
from autointerp_core.labels.search.record import record_search_labels
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.label_fixtures import on_words, write_study

DOCUMENTS = [f"Café №{i} had a net loss.\nOn Monday 🙂 it closed again." for i in range(30)]
FEATURES = {2: on_words("loss"), 3: on_words("Monday"), 5: on_words("nowhere")}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path / "study", DOCUMENTS, FEATURES)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open(tmp_path / "labels.db") as opened:
        yield opened


@pytest.mark.slow
def test_rows_follow_the_rules(study: Study, history: LabelHistory) -> None:
    sae = study.info.sae_fingerprint
    record_search_labels(study, [2, 3, 5], history)
    generate_labels(study, [2], ScriptedProvider(lambda _: "losses"), history)
    generate_labels(study, [3], ScriptedProvider(lambda _: "N/A"), history)
    history.override(sae, 3, "days", author="me")
    history.flag(sae, 3, author="me")
    rows = label_rows(study, history, [5, 2, 3], {2: 0.5, 3: float("nan")})
    dead, loss, monday = rows
    assert [row["feature_index"] for row in rows] == [5, 2, 3]
    assert dead == {
        "feature_index": 5,
        "score": None,
        "label_llm": None,
        "label_search": None,
        "label": None,
        "num_examples": 0,
        "status": "unreviewed",
        "flagged": False,
        "scores": {},
        "scores_llm": {},
        "scores_search": {},
        "label_error": DEAD,
    }
    # A canned label never stands before another.
    assert (loss["label"], loss["label_llm"]) == (loss["label_search"], "losses")
    assert loss["score"] == 0.5
    assert loss["num_examples"] == 30
    assert "label_error" not in loss
    assert (monday["label"], monday["status"], monday["flagged"]) == ("days", "overridden", True)
    assert monday["label_llm"] is None
    assert "no label" in monday["label_error"]
    assert monday["score"] is None
    assert "Monday" in monday["label_search"]


@pytest.mark.slow
def test_nothing_asked_for_is_no_error(study: Study, history: LabelHistory) -> None:
    record_search_labels(study, [2], history)
    (row,) = label_rows(study, history, [2])
    assert row["label_llm"] is None
    assert row["label"] == row["label_search"]
    assert "label_error" not in row


def test_labels_file(study: Study, history: LabelHistory, tmp_path: Path) -> None:
    record_search_labels(study, [2, 3, 5], history)
    path = tmp_path / "out" / "feature_labels.json"
    write_feature_labels(path, study, history, [2, 3, 5], {2: 0.25})
    found = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(found, schema("feature_labels"))
    assert list(found) == ["num_features", "study", "features"]
    assert found["num_features"] == 3
    assert found["features"] == label_rows(study, history, [2, 3, 5], {2: 0.25})
    assert [p.name for p in path.parent.iterdir()] == ["feature_labels.json"]


def test_examples_file(study: Study, tmp_path: Path) -> None:
    path = tmp_path / "out" / "feature_examples.jsonl"
    write_feature_examples(path, study, [5, 3, 2], {2: 0.25}, max_examples=7)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["feature_id"] for line in lines] == [5, 3, 2]
    for line in lines:
        jsonschema.validate(line, schema("feature_examples"))
        assert list(line) == ["feature_id", "finance_score", "score", "density", "examples"]
        for example in line["examples"]:
            assert "".join(example["tokens"]) == example["text"]
            assert example["text"] in DOCUMENTS[example["document_index"]]
            assert len(example["tokens"]) == len(example["values"])
            assert example["values"][example["peak_index"]] == example["activation"]
    assert lines[2]["score"] == lines[2]["finance_score"] == 0.25
    assert lines[1]["score"] is None
    assert [len(line["examples"]) for line in lines] == [0, 7, 7]
    assert lines[0]["density"] == 0
    assert np.isclose(lines[2]["density"], study.stats(2).density)
    order = "activation sequence_index token_position text document_index tokens values peak_index"
    assert list(lines[2]["examples"][0]) == order.split()


def test_unknown_features_write_nothing(
    study: Study, history: LabelHistory, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="feature 40"):
        write_feature_examples(tmp_path / "a.jsonl", study, [2, 40])
    with pytest.raises(BadInput, match="feature 1 "):
        write_feature_labels(tmp_path / "b.json", study, history, [1])
    assert not list(tmp_path.glob("[ab].json*"))


def test_a_folder_that_is_a_file_is_one_clear_error(study: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_feature_examples(tmp_path / "file" / "a.jsonl", study, [2])


@pytest.mark.parametrize("bad", ["N/A", "unknown", "", "a b c d e f g h i j"])
def test_the_schema_refuses_stand_ins(bad: str) -> None:
    row = {
        "feature_index": 1,
        "score": None,
        "label_llm": bad,
        "label_search": None,
        "label": None,
        "num_examples": 0,
        "status": "unreviewed",
        "flagged": False,
    }
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"num_features": 1, "features": [row]}, schema("feature_labels"))
