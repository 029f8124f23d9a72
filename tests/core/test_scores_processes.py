"""Embedding scores by several processes are those of one, and what is done stays done."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from autointerp_core.arrays import Float32Array
from autointerp_core.errors import AutointerpError
from autointerp_core.labels import workers
from autointerp_core.labels.embedders.wordllama import WordLlamaEmbedder
from autointerp_core.labels.scoring import run
from autointerp_core.labels.scoring.run import score_labels
from autointerp_core.progress import Progress
from autointerp_core.store.events import GENERATED, SCORED, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.score_fixtures import CONCEPTS, concept_study

LABELS = [(f, text) for f, name in enumerate(CONCEPTS) for text in (name, f"{name}, money")]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return concept_study(tmp_path_factory.mktemp("processes") / "toy-study", 300)


def labelled(path: Path, study: Study) -> LabelHistory:
    history = LabelHistory.open(path)
    details = {"documents": "label"}
    history.record_many(
        NewEvent(
            study.info.sae_fingerprint, f, GENERATED, text, "llm:toy", "peaks", details=details
        )
        for f, text in LABELS
    )
    return history


def scored(history: LabelHistory, study: Study) -> list[dict[str, Any]]:
    """Every score in the order of its event, without what is new each time."""
    found = [
        event
        for events in history.histories(study.info.sae_fingerprint, range(len(CONCEPTS))).values()
        for event in events
        if event.kind == SCORED
    ]
    assert all(event.details["evidence"] for event in found)
    return [
        {"feature": e.feature, "parent": e.parent, **e.details, "evidence": None}
        for e in sorted(found, key=lambda event: event.id)
    ]


def kill(report: Progress) -> None:
    """The processes that do the work, once something is done."""
    if report.done == 1:
        for child in psutil.Process().children():
            os.kill(child.pid, signal.SIGKILL)


@pytest.mark.slow
def test_two_processes_record_what_one_does_and_one_killed_loses_little(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_CHUNK", 1)
    # As with an embedder that only the asking process holds.
    monkeypatch.setattr(WordLlamaEmbedder, "one_for_all", True)
    asked: list[str] = []
    embed = WordLlamaEmbedder.embed

    def counted(self: WordLlamaEmbedder, texts: Sequence[str]) -> Float32Array:
        asked.extend(texts)
        return embed(self, texts)

    monkeypatch.setattr(WordLlamaEmbedder, "embed", counted)
    features = range(len(CONCEPTS))
    with labelled(tmp_path / "one.db", study) as history:
        alone = score_labels(study, features, history)
        expected = scored(history, study)
    assert len(expected) == len(LABELS)
    assert alone.scorers["embedding"].features == len(CONCEPTS)
    asked.clear()

    with labelled(tmp_path / "two.db", study) as history:
        both = score_labels(study, features, history, processes=2)
        assert scored(history, study) == expected
    assert (both.to_json(), both.scorers) == (alone.to_json(), alone.scorers)
    assert asked  # by the others, of this process

    monkeypatch.setattr(workers, "_AHEAD", 1)  # so that something is left to be done
    with labelled(tmp_path / "killed.db", study) as history:
        with pytest.raises(AutointerpError, match=r"scoring labels failed.*killed \(signal 9\)"):
            score_labels(study, features, history, progress=kill, processes=2)
        assert not psutil.Process().children()
        kept = scored(history, study)
        assert kept == expected[: len(kept)]
        assert 2 <= len(kept) < len(expected)
        assert score_labels(study, features, history).reused == len(kept)
        assert len(scored(history, study)) == len(expected)
