"""One label of one feature, scored on the documents that choose."""

from __future__ import annotations

import threading
from functools import lru_cache

from autointerp_core.labels.document_split import SMALLEST, VALIDATE, Split
from autointerp_core.labels.embedders import KnownTexts, default_embedder
from autointerp_core.labels.scoring.run import score_labels
from autointerp_core.labels.scoring.sample_windows import WindowSampler
from autointerp_core.labels.scoring.scorers import SCORERS, ScorerRun, Tools, answer_runs
from autointerp_core.labels.scoring.scorers.embedding import EMBEDDING
from autointerp_core.service.answers import LabelScore
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study

_SEED = 0
_FLOOR = 0.5
_lock = threading.Lock()


def score_text(study: Study, history: LabelHistory, feature: int, label: str) -> LabelScore:
    """The embedding score of a label on *validate* documents.

    A proposal's score is recorded as a scoring job records it, with its score on test documents
    for people; a text that nobody proposed leaves no trace.
    """
    state = history.state(study.info.sae_fingerprint, feature, study.id)
    if any(proposal.text == label for proposal in state.proposals):
        score_labels(study, [feature], history)
    scorer = SCORERS[EMBEDDING]
    sampler = _sampler(study)
    if sampler is None:
        reason = f"the study has too few documents; a score needs at least {SMALLEST}"
        return _answer(study, feature, label, None, 0, reason)
    with _lock:
        found = sampler.sample(feature, VALIDATE)
    if found.problem is not None:
        return _answer(study, feature, label, None, 0, found.problem)
    run = ScorerRun.of(scorer.name, label, found, _SEED)
    if run.refused is not None:
        return _answer(study, feature, label, None, 0, run.refused)
    answer_runs([run], Tools(KnownTexts(default_embedder())))
    value = run.value()
    return _answer(study, feature, label, None if value is None else round(value, 4),
                   len(run.windows), None)  # fmt: skip


@lru_cache(maxsize=2)
def _sampler(study: Study) -> WindowSampler | None:
    split = Split(study)
    return WindowSampler(study, split, seed=_SEED) if split.holds_out else None


def _answer(
    study: Study, feature: int, label: str, value: float | None, windows: int, reason: str | None
) -> LabelScore:
    return LabelScore(
        study.id,
        feature,
        label,
        EMBEDDING,
        SCORERS[EMBEDDING].measure,
        value,
        _FLOOR,
        windows,
        reason,
    )
