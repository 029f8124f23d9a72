"""Faults that labels once had: ties, features of held-out text, failures told again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from sqlalchemy import event as sql_event

from autointerp_core.errors import Cancelled, PromptTooLong
from autointerp_core.labels.auroc import auroc_columns, auroc_value
from autointerp_core.labels.config import LabelConfig, ScoreConfig
from autointerp_core.labels.document_split import HELD_OUT, Split
from autointerp_core.labels.explain.generate import generate_labels
from autointerp_core.labels.explain.held_out import TOO_FEW
from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.labels.providers.scripted import ScriptedProvider
from autointerp_core.labels.run import label_features
from autointerp_core.labels.scoring.run import score_labels
from autointerp_core.labels.search.corpus_counts import CorpusCounts
from autointerp_core.labels.search.rank_phrases import rank_labels
from autointerp_core.labels.search.record import record_search_labels, search_labeler
from autointerp_core.labels.search.word_lists import WordLists
from autointerp_core.progress import Progress
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.label_fixtures import on_words, write_study
from tests.core.score_fixtures import concept_study

shares = st.lists(st.integers(0, 6).map(lambda n: n / 6), min_size=1, max_size=25)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[LabelHistory]:
    with LabelHistory.open(tmp_path / "labels.db") as opened:
        yield opened


class Ranker(ScriptedProvider):
    """Finds longer phrases likelier; too long where ``room`` is less than the prompt."""

    def __init__(self, room: int = 10**9) -> None:
        super().__init__()
        self.room, self.ranked = room, 0

    def rank(self, prompt: ChatPrompt, candidates: Sequence[str]) -> list[float]:
        self.ranked += 1
        if len(prompt.text) > self.room:
            raise PromptTooLong("too long")
        return [float(len(candidate)) for candidate in candidates]


# ------------------------------------------------------------------ ties


@given(shares, shares)
def test_ties_count_half(active: list[float], silent: list[float]) -> None:
    found = mannwhitneyu(active, silent).statistic / (len(active) * len(silent))
    assert auroc_value(active, silent) == pytest.approx(found, abs=1e-12)
    said = np.array([*active, *silent])
    columns = np.stack([said, -said, np.zeros_like(said)], axis=1)
    assert auroc_columns(columns, len(active)) == pytest.approx([found, 1 - found, 0.5])


def test_a_label_that_is_as_like_every_window_is_at_the_floor(tmp_path: Path) -> None:
    """It was 0.0: a label without a known word stood behind every other one, however bad."""
    study = concept_study(tmp_path / "toy-study", 80)
    counts = CorpusCounts(study)
    lists = WordLists(counts)
    token, _ = study.sequence_peaks(0)
    words = counts.words.token_word[token]
    windows = lists.windows(words, np.unique(words))
    assert 0 < windows.n_active < len(windows.cells)
    nothing, days = lists.texts_auroc(["", "monday, tuesday"], windows)
    assert nothing == 0.5
    assert days > 0.8


# ------------------------------------------------------------------ held-out text


@pytest.fixture
def hidden(tmp_path: Path) -> Study:
    """Feature 3 fires in one document, which is kept for testing; feature 4 never fires."""
    documents = [f"The net loss of quarter {i} was larger." for i in range(60)]
    held_out = Split(write_study(tmp_path / "a", documents, {1: on_words("x")})).documents("test")
    features = {3: on_words(str(held_out[0])), 4: lambda pieces: [0.0] * len(pieces)}
    return write_study(tmp_path / "b", documents, features)


def test_a_feature_of_held_out_text_is_not_dead_and_is_told_of_once(
    hidden: Study, history: LabelHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Ranker()
    split, sae = Split(hidden), hidden.info.sae_fingerprint
    for _ in range(3):
        search = record_search_labels(hidden, [3, 4], history)
        assert (search.failed, search.dead) == (1, 1)
        ranked = rank_labels(split, [3, 4], provider, history, search_labeler(split))
        assert (ranked.failed, ranked.dead, ranked.reasons) == (1, 1, {HELD_OUT: 1})
        for method in ("peaks", "words"):
            made = generate_labels(hidden, [3, 4], provider, history, method=method)
            assert (made.failed, made.dead) == (1, 1)
    events = history.history(sae, 3)
    assert [(e.kind, e.source, e.reason) for e in events] == [
        ("failed", "search", HELD_OUT),
        ("failed", "llm:scripted", HELD_OUT),
    ]
    assert history.history(sae, 4) == []
    assert provider.seen == []


def test_a_failure_is_not_told_again_after_another_way_made_a_label(
    tmp_path: Path, history: LabelHistory
) -> None:
    """One peak in the label part: there is no weakest quarter of it to show, and a best one."""
    documents = [f"The net loss of quarter {i} was larger." for i in range(60)]
    shown = Split(write_study(tmp_path / "a", documents, {1: on_words("x")})).documents("label")
    study = write_study(tmp_path / "b", documents, {3: on_words(str(shown[0]))})
    provider = ScriptedProvider(lambda _: "a number")
    for _ in range(2):
        assert generate_labels(study, [3], provider, history).failed == 0
        weak = generate_labels(study, [3], provider, history, group="quantile_2")
        assert weak.reasons == {TOO_FEW: 1}
    kinds = [event.kind for event in history.history(study.info.sae_fingerprint, 3)]
    assert kinds == ["generated", "failed"]


def test_a_prompt_too_long_to_rank_is_asked_and_told_of_once(
    tmp_path: Path, history: LabelHistory
) -> None:
    study = concept_study(tmp_path / "toy-study", 80)
    provider, split = Ranker(room=10), Split(study)
    for _ in range(2):
        report = rank_labels(split, [0], provider, history, search_labeler(split))
        assert (report.failed, report.made) == (1, 0)
        assert "too long" in next(iter(report.reasons))
    (failed,) = history.history(study.info.sae_fingerprint, 0)
    assert (failed.kind, failed.method) == ("failed", "ranked")
    asked = provider.ranked
    assert asked > 0
    roomy = Ranker()
    again = rank_labels(split, [0], roomy, history, search_labeler(split), regenerate=True)
    assert again.made == 1


# ------------------------------------------------------------------ queries


def test_scoring_reads_the_history_of_a_chunk_at_once(
    tmp_path: Path, history: LabelHistory
) -> None:
    features = {i: on_words(*words) for i, words in enumerate([("oak",), ("pine",), ("pear",)] * 8)}
    documents = [f"The oak {i}, a pine and one pear stood by the river." for i in range(60)]
    study = write_study(tmp_path / "s", documents, features)
    label_features(study, sorted(features), history, LabelConfig(provider="none"))
    statements: list[str] = []

    def heard(*given: object) -> None:
        statements.append(str(given[2]))

    sql_event.listen(history._engine, "before_cursor_execute", heard)
    score_labels(study, sorted(features), history, ScoreConfig(score_windows=5))
    reads = [text for text in statements if "label_events" in text and "SELECT" in text]
    assert len(reads) <= 4, f"{len(reads)} queries for {len(features)} features in one chunk"


def test_a_search_label_that_is_there_is_not_made_again(
    tmp_path: Path, history: LabelHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = concept_study(tmp_path / "toy-study", 80)
    first = record_search_labels(study, [0, 1, 3], history)
    assert (first.made, first.dead) == (2, 1)

    def never(*given: object) -> None:
        raise AssertionError("the study's texts are read for nothing")

    with monkeypatch.context() as patch:
        patch.setattr(CorpusCounts, "__init__", never)
        again = record_search_labels(study, [0, 1, 3], history)
        assert (again.made, again.reused, again.dead) == (0, 2, 1)
    more = record_search_labels(study, [0, 1, 2], history)
    assert (more.made, more.reused) == (1, 2)
    everything = Split(study, hold_out=False)
    assert record_search_labels(study, [0], history, split=everything).made == 1
    assert record_search_labels(study, [0], history).made == 1
    sae = study.info.sae_fingerprint
    assert [e.kind for e in history.history(sae, 0)] == ["generated"] * 3


def test_search_labels_made_before_a_stop_stay(tmp_path: Path, history: LabelHistory) -> None:
    study = concept_study(tmp_path / "study", 60)

    def stop(_: Progress) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        record_search_labels(study, [0, 1, 2], history, progress=stop)
    assert record_search_labels(study, [0, 1, 2], history).reused == 3
