"""What people type, paste and pass for features and scores: read, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from autointerp_core.errors import FeatureRequestError, OutputError
from autointerp_core.feature_request import FeatureRequest
from autointerp_core.store.files import check_writable


def refused(given: Any, scores: Any = None) -> str:
    with pytest.raises(FeatureRequestError) as caught:
        FeatureRequest.parse(given, scores)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    return message


@pytest.mark.parametrize(
    "given",
    [
        "3,7,11", " 3 7\n11 ", "3;7;11", "3, 7,\t11,", [3, 7, 11], (3, 7, 11), ["3", "7,11"],
        range(3, 12, 4), {3: None, 7: None, 11: None}.keys(), iter([3, 7, 11]),
        np.array([3, 7, 11]), np.array([3, 7, 11], dtype=np.uint16), np.array([3.0, 7.0, 11.0]),
        [np.int64(3), np.int32(7), np.uint8(11)], [np.float32(3), 7, 11.0],
        torch.tensor([3, 7, 11]), [torch.tensor(3), torch.tensor(7), 11],
        pd.Series([3, 7, 11]), [3, 7, 11, 3, 7],
    ],
)  # fmt: skip
def test_lists_of_every_kind(given: Any) -> None:
    """Case 35 (botorch 1709): arrays were a TypeError."""
    assert FeatureRequest.parse(given).indices == (3, 7, 11)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("5-9", (5, 6, 7, 8, 9)),
        ("5 - 9", (5, 6, 7, 8, 9)),
        ("5–7", (5, 6, 7)),
        ("1,5-7,6,20", (1, 5, 6, 7, 20)),
        (["5-6", 9], (5, 6, 9)),
        ("7-7", (7,)),
        (7, (7,)),
        (np.int64(7), (7,)),
        (torch.tensor(7), (7,)),
        (7.0, (7,)),
        ("-3", (-3,)),  # out of range, which the SAE says with its size
    ],
)
def test_ranges_and_lone_numbers(given: Any, expected: tuple[int, ...]) -> None:
    assert FeatureRequest.parse(given).indices == expected


@pytest.mark.slow
def test_a_list_of_any_length() -> None:
    """Case 34 (aider 3473): over 255 characters was 'File name too long'."""
    numbers = list(range(0, 400_000, 4))
    for text in (",".join(map(str, numbers)), " ".join(map(str, numbers))):
        assert FeatureRequest.parse(text).indices == tuple(numbers)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ("three", "'three'"),
        ("3,x,5", "'x'"),
        ("3.5", "'3.5'"),
        ([3.5], "3.5"),
        ([float("nan")], "nan"),
        ([float("inf")], "inf"),
        ([True, False], "mask"),
        (np.array([True, False]), "mask"),
        ([None], "None"),
        ([[1, 2]], "[1, 2]"),
        (np.array([[1, 2]]), "[1, 2]"),
        (np.array([0.5]), "0.5"),
        (None, "None"),
        ({"a": 1}, "dict"),
        (b"3", "b'3'"),
        ("9-5", "5-9"),
        ("0-99999999999", "all"),
        ("1" * 400, "402 characters"),
        (10**400, "401 characters"),
        pytest.param(10**5000, "not a feature number", id="thousands of digits"),
        ("", "empty"),
        (" , ,", "empty"),
        ([], "empty"),
        (np.array([]), "empty"),
        ("absent.json", "no features file"),
        ("~/absent.json", "no features file"),
        ("a\0b", "not a feature number"),
    ],
)
def test_what_is_no_list_of_features(given: Any, word: str) -> None:
    assert word in refused(given)


def test_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "features.json"
    path.write_text('{"feature_indices": [3.0, "5-6", 1e1], "scores": [0.5, 1, null, -2.5e-1]}')
    found = FeatureRequest.parse(str(path))
    assert found.indices == (3, 5, 6, 10)
    assert found.scores == {3: 0.5, 5: 1.0, 10: -0.25}
    path.write_text("\ufeff[3, 7]", encoding="utf-8")
    assert FeatureRequest.parse(path).indices == (3, 7)
    assert FeatureRequest.parse(str(path), [1, 2]).scores == {3: 1.0, 7: 2.0}
    renamed = path.rename(tmp_path / "features.txt")
    assert FeatureRequest.parse(str(renamed)).indices == (3, 7)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"feature_indices": [1], "scores": [1' + "0" * 400 + "]}", "not finite"),
        ('{"feature_indices": [1], "scores": [1' + "0" * 5000 + "]}", "not a readable JSON"),
        ('{"feature_indices": [1], "scores": [NaN]}', "not finite"),
        ('{"feature_indices": [1], "scores": ["high"]}', "'high'"),
        ('{"feature_indices": [1], "scores": [true]}', "True"),
        ('{"feature_indices": [1, 2], "scores": [1]}', "2 feature indices but 1 scores"),
        ('{"feature_indices": [1], "scores": 1}', "scores are int"),
        ('{"features": [1]}', "features"),
        ('{"feature_indices": 3}', "feature_indices"),
        ("3", "int"),
        ("{", "not a readable JSON"),
        ("\ud800", "not a readable JSON"),
    ],
)
def test_bad_json_files(tmp_path: Path, content: str, word: str) -> None:
    path = tmp_path / "features.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert word in refused(str(path))


@pytest.mark.parametrize(
    "scores",
    [
        [0.5, 2], (0.5, 2), np.array([0.5, 2], dtype=np.float32), torch.tensor([0.5, 2.0]),
        [np.float32(0.5), np.float64(2)], [torch.tensor(0.5), np.int64(2)],
        {3: 0.5, 7: 2}, {"3": 0.5, "7": 2}, {np.int64(3): np.float16(0.5), 7: 2},
        pd.Series([0.5, 2]),
    ],
)  # fmt: skip
def test_scores_of_every_kind(scores: Any) -> None:
    """Case 35: np.float32 'is not a number'."""
    found = FeatureRequest.parse([3, 7], scores)
    assert found.scores == {3: 0.5, 7: 2.0}
    assert all(type(score) is float for score in found.scores.values())
    assert found.notices == ()


def test_scores_of_features_that_were_not_asked_for_are_told() -> None:
    found = FeatureRequest.parse([3], {3: 1.0, 8: 2.0, 9: 3.0})
    assert found.scores == {3: 1.0}
    assert found.notices == (
        "2 scores are for features that were not asked for, and left out: 8, 9",
    )
    many = FeatureRequest.parse([3], dict.fromkeys(range(100), 1.0))
    assert many.notices[0].startswith("99 scores")
    assert many.notices[0].endswith("9, 10, …")
    assert FeatureRequest.parse("all", {3: 1.0}).scores == {3: 1.0}


@pytest.mark.parametrize("scores", [[10**400], [float("inf")], ["x"], [True], {0: [1]}, 3, "0.5"])
def test_scores_that_are_none(scores: Any) -> None:
    assert "score" in refused([0], scores)


def test_an_output_folder_whose_name_is_too_long(tmp_path: Path) -> None:
    for name in ("x" * 256, "東" * 100, f"fine/{'y' * 300}/deeper"):
        with pytest.raises(OutputError, match="bytes") as caught:
            check_writable(tmp_path / name)
        assert len(str(caught.value)) < 300
        assert list(tmp_path.iterdir()) == []
    check_writable(tmp_path / ("x" * 255))
    with pytest.raises(OutputError, match="shorter"):
        check_writable(tmp_path.joinpath(*["y" * 250] * 17))
    with pytest.raises(OutputError, match="NUL"):
        check_writable(tmp_path / "a\0b")


def test_the_request_survives_json() -> None:
    found = FeatureRequest.parse(np.array([3, 7]), np.array([0.5, 1.0]))
    assert json.loads(json.dumps([found.indices, found.scores])) == [[3, 7], {"3": 0.5, "7": 1.0}]
