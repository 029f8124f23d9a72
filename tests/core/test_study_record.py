"""``study.json`` is read and written in one place, and comes back byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autointerp_core.errors import StudyError
from autointerp_core.store.studies import begun_studies, find_study, list_studies, study_folder
from autointerp_core.store.study_record import StudyRecord, read_record, write_record

BEFORE = sorted((Path(__file__).parent / "data" / "before_house").rglob("study.json"))


def _whole() -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(BEFORE[0].read_bytes())
    return raw


@pytest.mark.parametrize("path", BEFORE, ids=lambda path: path.parent.name)
def test_a_record_made_before_is_written_back_byte_for_byte(path: Path, tmp_path: Path) -> None:
    record = read_record(path.parent)
    write_record(tmp_path, record)
    assert (tmp_path / "study.json").read_bytes() == path.read_bytes()
    # The identity names the folder: its digest has to be what it was.
    assert record.identity is not None
    assert record.id.removesuffix("-dashboard").endswith(record.identity.digest[:10])


def test_unknown_keys_of_a_newer_version_are_kept() -> None:
    raw = _whole()
    raw["later"] = {"a": [1]}
    raw["sae"]["later"] = "x"
    raw["passes"][0]["later"] = None
    assert StudyRecord.from_json(raw).to_json() == raw


def test_what_files_made_by_hand_leave_out_has_defaults(tmp_path: Path) -> None:
    raw = {
        "schema": 1,
        "id": "small",
        "model": {"name": "m"},
        "sae": {"source": "s", "fingerprint": "f", "d_sae": 4},
        "hook": "blocks.0.hook_resid_post",
        "dataset": {"name": "d", "column": "text"},
        "counts": {"documents": 1, "sequences": 2, "tokens": 3, "counted": 3},
        "tokenisation": {"context_size": 8},
        "passes": [{"name": "000"}],
        "health": {"warnings": [{"code": "fvu", "message": "bad"}]},
    }
    (tmp_path / "study.json").write_text(json.dumps(raw))
    record = read_record(tmp_path)
    assert (record.n_tokens, record.d_sae, record.complete) == (3, 4, True)
    assert [warning.message for warning in record.warnings] == ["bad"]
    assert record.passes[0].n_features is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda raw: raw.pop("hook"), "'hook'"),
        (lambda raw: raw["sae"].pop("d_sae"), "'d_sae'"),
        (lambda raw: raw.update(passes=3), "TypeError"),
        (lambda raw: raw.update(model="m"), "study.json cannot be read"),
        (lambda raw: raw.update(schema=99), "newer version"),
    ],
)
def test_damage_is_told_in_one_line(tmp_path: Path, change: Any, told: str) -> None:
    raw = _whole()
    change(raw)
    (tmp_path / "study.json").write_text(json.dumps(raw))
    with pytest.raises(StudyError, match=told) as error:
        read_record(tmp_path)
    assert "\n" not in str(error.value)


def test_studies_are_found_by_id_or_folder(own_home: Path, tmp_path: Path) -> None:
    record = read_record(BEFORE[0].parent)
    for folder in (own_home / "studies" / record.id, tmp_path / "elsewhere"):
        write_record(folder, record)
    (own_home / "studies" / "broken").mkdir()
    (own_home / "studies" / "begun" / "tokens").mkdir(parents=True)
    assert begun_studies() == ["begun"]
    found = list_studies()
    assert [each.id for each in found.studies] == [record.id]
    assert len(found.errors) == 1
    assert study_folder(record.id) == find_study(record.id) == own_home / "studies" / record.id
    assert find_study(str(tmp_path / "elsewhere")) == tmp_path / "elsewhere"
    for name in ("", "nope", "../studies/" + record.id, str(tmp_path / "elsewhere")):
        with pytest.raises(StudyError, match=record.id):
            study_folder(name)
