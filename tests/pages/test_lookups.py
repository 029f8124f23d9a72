"""What the app works out itself, against plain loops over the same data."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from autointerp_core import jobs
from autointerp_core.errors import SAESourceError, StudyError
from autointerp_core.explore.cofiring import companions
from autointerp_core.explore.decoder_neighbours import neighbours
from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.view import View
from autointerp_core.extraction.estimate import estimate
from autointerp_core.extraction.upgrades import add_neighbours
from autointerp_core.home import jobs_dir
from autointerp_core.progress import silent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.input_scores import add_input_scores
from autointerp_core.store.study import Study
from tests.pages.conftest import SAE
from ui import readers


@pytest.fixture
def snapshot(study: Path) -> Snapshot:
    return readers.open_study("small").snapshot()


def test_text_search_equals_a_search_in_every_window(study: Path, snapshot: Snapshot) -> None:
    opened = Study(study)
    for text in ("market", "river of", "Monday the", "QUARTERLY", "no such text"):
        expected = [
            feature
            for feature in opened.features.tolist()
            if any(text.lower() in e.text.lower() for e in opened.examples(feature))
        ]
        found = snapshot.features[snapshot.order(View(q=text, scope="text"))]
        assert found.tolist() == expected


def test_terms_must_all_match_in_labels_or_tokens(snapshot: Snapshot) -> None:
    found = snapshot.features[snapshot.order(View(q="WORDS 11"))].tolist()
    # Feature 111's LLM label hides its search label.
    assert found == [11, 110, 112, 113, 115, 116, 118, 119]
    assert snapshot.features[snapshot.order(View(q="42"))].tolist() == [42]


@pytest.mark.parametrize("sort", ["density", "max", "label", "status", "source", "agreement"])
def test_sorting_both_ways_keeps_every_feature(snapshot: Snapshot, sort: str) -> None:
    up = snapshot.order(View(sort=sort))
    down = snapshot.order(View(sort=sort, descending=True))
    assert sorted(up.tolist()) == sorted(down.tolist()) == list(range(120))
    if sort in ("density", "max"):
        values = snapshot.column(sort)
        assert (np.diff(values[up]) >= 0).all()
        assert (np.diff(values[down]) <= 0).all()


def test_ranges_and_flags_filter(study: Path, snapshot: Snapshot) -> None:
    high = float(np.median(snapshot.column("max")))
    view = View(dead=False).with_range("max", (high, math.inf))
    rows = snapshot.order(view)
    assert (snapshot.column("max")[rows] >= high).all()
    assert 0 < len(rows) < 120
    assert View.from_params(view.params()).dead is False
    with LabelHistory.open() as history:
        history.flag(SAE, 7, author="Ana")
    fresh = readers.open_study("small").snapshot()
    assert fresh.features[fresh.order(View(flagged=True))].tolist() == [7]
    # The snapshot before does not change under a page that is still drawing it.
    assert snapshot.order(View(flagged=True)).tolist() == []


def test_input_scores_are_the_studys(study: Path) -> None:
    before = readers.open_study("small").snapshot()
    assert np.isnan(before.column("input")).all()
    add_input_scores(study, {4: 0.25, 5: float("nan")})
    scored = readers.open_study("small").snapshot()
    assert scored.column("input")[4] == 0.25
    assert np.isnan(scored.column("input")).sum() == 119
    assert scored.features[scored.order(View(sort="input"))][0] == 4


def test_input_scores_of_jobs_done_before_are_taken_once(study: Path, tmp_path: Path) -> None:
    """Scores stood in the label files of jobs, and went with them."""
    for number, score in ((1, 0.5), (2, 0.25)):
        path = tmp_path / f"labels-{number}.json"
        rows = [{"feature_index": 4, "score": score}, {"feature_index": 5, "score": None}]
        path.write_text(json.dumps({"features": rows}))
        folder = jobs_dir() / f"2026010{number}T000000-000000-aaaaaa"
        request = {"kind": "label", "title": "old", "params": {}}
        result = {"study_path": str(study), "labels_path": str(path)}
        state = {"status": "done", "created": "2026-01-01T00:00:00.000000Z", "result": result}
        folder.mkdir(parents=True)
        (folder / "request.json").write_text(json.dumps(request))
        (folder / "state.json").write_text(json.dumps(state))
    add_input_scores(study, {7: 2.0})
    for job in jobs.list_jobs():
        jobs.delete(job.id)
    assert jobs.list_jobs() == []
    for _ in range(2):
        column = readers.open_study("small").snapshot().column("input")
        assert {4: column[4], 7: column[7]} == {4: 0.25, 7: 2.0}
        assert np.isnan(column).sum() == 118


def test_companions_equal_sets_of_tokens(study: Path) -> None:
    opened = Study(study)
    tokens = {}
    for feature in opened.features.tolist():
        tokens[feature] = set(opened.passes[0].firings(feature, feature + 1)[1].tolist())
    own = tokens[5]
    expected = {
        feature: len(own & other) / math.sqrt(len(own) * len(other))
        for feature, other in tokens.items()
        if feature != 5 and own & other
    }
    found = companions(opened, 5, limit=200)
    assert {c.feature: pytest.approx(c.likeness) for c in found} == expected
    assert companions(opened, 96) == []


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_neighbours_added_to_an_old_study_equal_cosines(
    study: Path, tmp_path: Path, kind: str
) -> None:
    weights = np.random.default_rng(0).normal(size=(120, 16)).astype(np.float32)
    folder = tmp_path / "sae"
    folder.mkdir()
    config = {"d_in": 16, "d_sae": 120, "architecture": "topk", "k": 4}
    config["metadata"] = {"hook_name": "blocks.9.hook_resid_post"}
    (folder / "cfg.json").write_text(json.dumps(config))
    if kind == "BF16":
        cut = (weights.view(np.uint32) >> 16).astype(np.uint16)
        save_file({"W_dec": cut}, folder / "sae_weights.safetensors")
        raw = (folder / "sae_weights.safetensors").read_bytes().replace(b'"U16"', b'"BF16"', 1)
        # One letter more in the header: its length goes with it.
        size = int.from_bytes(raw[:8], "little")
        (folder / "sae_weights.safetensors").write_bytes((size + 1).to_bytes(8, "little") + raw[8:])
    else:
        stored = weights.astype(np.float16 if kind == "F16" else np.float32)
        save_file({"W_dec": stored}, folder / "sae_weights.safetensors")
    about = json.loads((study / "study.json").read_text())
    about["sae"] |= {"path": str(folder), "sae_id": None}
    (study / "study.json").write_text(json.dumps(about))

    unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    cosine = unit @ unit[5]
    cosine[5] = -2
    opened = Study(study)
    with pytest.raises(StudyError, match="made before"):
        neighbours(opened, 5)
    assert add_neighbours(opened, silent) == 120
    assert add_neighbours(opened, silent) == 0
    found = neighbours(opened, 5, limit=3)
    assert [n.feature for n in found] == np.argsort(-cosine)[:3].tolist()
    assert [n.cosine for n in found] == pytest.approx(np.sort(-cosine)[:3] * -1, abs=0.02)


def test_absent_weights_are_told(study: Path) -> None:
    with pytest.raises(SAESourceError, match="not in a folder on this computer"):
        add_neighbours(Study(study), silent)


def test_estimates_grow_with_the_work() -> None:
    sae = {"d_in": 576, "d_sae": 2048, "layer": 9, "k": 32}
    few = estimate(sae, ["x" * 400], 1000, 512)
    many = estimate(sae, ["x" * 400], 100_000, 512)
    assert many.seconds > few.seconds
    assert many.disk > few.disk
    assert many.memory == few.memory
    assert "tokens" in few.text()
