"""The dataset: read in place by DuckDB and pandas, by the datasets library, and back in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from autointerp_core.errors import OutputError
from autointerp_core.exchange.config import ExportConfig
from autointerp_core.exchange.imports import import_path
from autointerp_core.exchange.run import export_features
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.exchange_fixtures import SAE, awkward_study


@pytest.fixture
def awkward(own_home: Path) -> Iterator[tuple[Study, LabelHistory]]:
    with awkward_study(own_home) as found:
        yield found


def test_other_programs_read_it_in_place(
    awkward: tuple[Study, LabelHistory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, history = awkward
    monkeypatch.setattr("autointerp_core.exchange.formats.dataset.FEATURES_A_FILE", 5)
    export_features(study, history, "dataset", range(12), tmp_path)
    found = duckdb.sql(
        f"SELECT feature, label, status FROM '{tmp_path}/features/*.parquet' ORDER BY feature"
    ).fetchall()
    states = history.states(SAE, range(12), study.id)
    assert found == [(f, states[f].label, states[f].status) for f in range(12)]
    one = duckdb.sql(
        f"SELECT tokens, values, peak_index FROM '{tmp_path}/examples/*.parquet' "
        "WHERE feature = 7 AND \"group\" = 'top' AND rank = 0"
    ).fetchall()[0]
    example = study.examples(7)[0]
    assert tuple(one[0]) == example.tokens
    assert one[1] == pytest.approx(example.values)
    assert one[2] == example.peak_index
    scores = pd.read_parquet(tmp_path / "scores")
    assert scores[["feature", "scorer", "value"]].values.tolist() == [[1, "detection", 0.8125]]
    column = pq.ParquetFile(tmp_path / "features/00000.parquet").metadata.row_group(0).column(0)
    assert column.has_column_index
    assert column.has_offset_index


@pytest.mark.slow
def test_the_datasets_library_reads_every_table_as_the_card_says(
    awkward: tuple[Study, LabelHistory], tmp_path: Path
) -> None:
    from datasets import load_dataset

    study, history = awkward
    export_features(study, history, "dataset", range(12), tmp_path / "out")
    for name in ("features", "examples", "labels", "scores", "history"):
        read = load_dataset(
            str(tmp_path / "out"), name, split="train", cache_dir=str(tmp_path / "cache")
        )
        assert len(read)
    assert read[0]["text"] == next(iter(history.all_events(SAE))).text


def test_the_whole_history_comes_back_and_twice_adds_nothing(
    awkward: tuple[Study, LabelHistory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, history = awkward
    history.note(SAE, 3, 'a note\nof two lines, "quoted" 日本', author="Ana")
    export_features(study, history, "dataset", range(12), tmp_path / "out")
    assert import_path(study, history, tmp_path / "out", "dataset", author="x").labels == 0
    monkeypatch.setenv("AUTOINTERP_DB", f"sqlite:///{tmp_path / 'other.db'}")
    monkeypatch.setenv("AUTOINTERP_LABELS_BACKUP", str(tmp_path / "other.jsonl"))
    with LabelHistory.open() as other:
        first = import_path(study, other, tmp_path / "out", "dataset", author="x")
        assert first.labels == len(list(history.all_events(SAE)))
        assert import_path(study, other, tmp_path / "out", "dataset", author="x").labels == 0

        def said(where: LabelHistory) -> list[tuple[Any, ...]]:
            return [
                (e.feature, e.kind, e.text, e.source, e.method, e.author, e.time, e.study,
                 dict(e.details))
                for e in where.all_events(SAE)
            ]  # fmt: skip

        assert said(other) == said(history)
        states, theirs = (h.states(SAE, range(12), study.id) for h in (history, other))
        for feature in range(12):
            mine, there = states[feature], theirs[feature]
            assert (mine.label, mine.status, mine.note) == (there.label, there.status, there.note)


def test_it_is_pushed_only_when_asked_and_a_refusal_is_one_line(
    awkward: tuple[Study, LabelHistory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, history = awkward
    calls: list[dict[str, Any]] = []

    class Hub:
        def create_repo(self, name: str, **given: Any) -> None:
            calls.append({"name": name, **given})

        def upload_folder(self, **given: Any) -> None:
            calls.append(given)

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    export_features(study, history, "dataset", [1], tmp_path)
    assert calls == []
    done = export_features(
        study, history, "dataset", [1], tmp_path, ExportConfig(push_to="me/mine")
    )
    assert done.sent is not None
    assert "me/mine" in done.sent
    assert calls[0] == {"name": "me/mine", "repo_type": "dataset", "exist_ok": True,
                        "private": True}  # fmt: skip
    assert calls[1]["folder_path"] == tmp_path

    def refuses(self: Hub, name: str, **_: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(Hub, "create_repo", refuses)
    with pytest.raises(OutputError, match=r"pushing it to me/mine failed: no network"):
        export_features(study, history, "dataset", [1], tmp_path, ExportConfig(push_to="me/mine"))
    assert json.loads((tmp_path / "autointerp.json").read_text())["sae_fingerprint"] == SAE
