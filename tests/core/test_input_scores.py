"""Input scores are data of the study: given once, there in every file, newest wins."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from autointerp_core.errors import StudyError
from autointerp_core.export.result_files import label_rows, write_feature_examples
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.input_scores import add_input_scores, add_older_scores, read_input_scores
from tests.core.label_fixtures import on_words, write_study


def test_newest_wins_feature_by_feature(tmp_path: Path) -> None:
    assert read_input_scores(tmp_path) == {}
    add_input_scores(tmp_path, {11: 0.5, 3: 1.0})
    add_input_scores(tmp_path, {3: -2.0, 4: float("inf")})
    assert read_input_scores(tmp_path) == {3: -2.0, 11: 0.5}
    assert list(read_input_scores(tmp_path)) == [3, 11]
    add_older_scores(tmp_path, {3: 9.0, 5: 7.0})
    assert read_input_scores(tmp_path) == {3: -2.0, 5: 7.0, 11: 0.5}


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=add_input_scores, args=(tmp_path, {feature: feature / 2}))
        for feature in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_input_scores(tmp_path) == {feature: feature / 2 for feature in range(12)}


@pytest.mark.parametrize("content", ["", "[]", '{"scores": {"x": 1}}', '{"scores": [1]}'])
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "input_scores.json").write_text(content)
    with pytest.raises(StudyError, match=r"input_scores\.json cannot be read.*delete it"):
        read_input_scores(tmp_path)


def test_every_door_tells_the_studys_scores(tmp_path: Path, own_home: Path) -> None:
    words = {3: on_words("river"), 8: on_words("bank")}
    study = write_study(tmp_path / "study", ["the river bank"] * 3, words)
    features = study.features.tolist()
    add_input_scores(study.folder, {features[0]: 0.75})
    with LabelHistory.open() as history:
        rows = label_rows(study, history, features)
        given = label_rows(study, history, features, {features[0]: 0.125})
    assert [row["score"] for row in rows] == [0.75, *[None] * (len(features) - 1)]
    assert given[0]["score"] == 0.125
    write_feature_examples(tmp_path / "examples.jsonl", study, features)
    lines = [json.loads(line) for line in (tmp_path / "examples.jsonl").read_text().splitlines()]
    assert [line["score"] for line in lines] == [row["score"] for row in rows]
