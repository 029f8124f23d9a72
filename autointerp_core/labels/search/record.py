"""Making the search labels of many features and recording those that are new."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from autointerp_core.labels.document_split import HELD_OUT, LABEL, Split
from autointerp_core.labels.embedders import WORDLLAMA, make_embedder
from autointerp_core.labels.explain.report import GenerationReport
from autointerp_core.labels.search.labeler import SearchLabeler
from autointerp_core.labels.search.processes import label_many
from autointerp_core.progress import ProgressCallback, silent
from autointerp_core.store.event_details import SearchDetails
from autointerp_core.store.events import FAILED, GENERATED, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.label_state import LabelState
from autointerp_core.store.study import Study

SEARCH = "search"
_AT_ONCE = 1024


def search_labeler(split: Split, embedder: str = WORDLLAMA) -> SearchLabeler:
    """A labeller that reads what may be shown to one; ``embedder`` chooses words.

    Raises:
        ParameterError: there is no such embedder.
    """
    documents = split.documents(LABEL).tolist() if split.holds_out else None
    return SearchLabeler(split.study, documents, make_embedder(embedder))


def record_search_labels(
    study: Study,
    features: Sequence[int],
    history: LabelHistory,
    *,
    split: Split | None = None,
    labeler: SearchLabeler | None = None,
    progress: ProgressCallback = silent,
) -> GenerationReport:
    """Make search labels and record those whose text is new.

    The same study, documents and method give the same label, so one that is there is not made
    again.

    Raises:
        BadInput: a feature is not in the study.
        AutointerpError: a process of its own failed; labels made so far are recorded.
    """
    wanted = sorted({int(feature) for feature in features})
    report = GenerationReport()
    if not wanted:
        return report
    for feature in np.setdiff1d(wanted, study.features).tolist():
        study.stats(feature)  # raises
    split = split or Split(study)
    sae = study.info.sae_fingerprint
    labeler = labeler or search_labeler(split)
    method = labeler.method
    started = time.perf_counter()
    states = history.states(sae, wanted, study.id)
    known = history.generated_index(sae, method, SEARCH, study=study.id)
    live = set(study.table.loc[study.table["num_examples"] > 0, "feature"].tolist())
    todo = []
    for feature in wanted:
        state = states[feature]
        newest = _newest(state)
        if feature not in live:
            report.dead += 1
        elif state.search_error == HELD_OUT and split.holds_out:
            report.failed += 1
        elif newest is not None and (feature, _key(method, newest, split)) in known:
            report.reused += 1
        else:
            todo.append(feature)
    batch: list[NewEvent] = []
    try:
        for found in label_many(labeler, todo, progress) if todo else ():
            if len(batch) >= _AT_ONCE:
                full, batch = batch, []
                history.record_many(full)
            if found.text is None:
                report.failed += 1
                batch.append(_event(study, method, found.feature, FAILED, reason=HELD_OUT))
                continue
            key = _key(method, found.text, split)
            details = SearchDetails(
                study=study.id, documents=split.shown, prompt_hash=key, evidence=found.evidence
            )
            made = _event(
                study, method, found.feature, GENERATED, found.text, details=details.to_json()
            )
            batch.append(made)
            report.made += 1
    finally:  # where a process failed or somebody cancelled, what is done stays done
        history.record_many(batch)
    report.seconds = time.perf_counter() - started
    return report


def _key(method: str, text: str, split: Split) -> str:
    """What makes two search labels the same one: how, the text, and from which documents."""
    return hashlib.sha256(f"{method}\n{split.shown}\n{text}".encode()).hexdigest()


def _newest(state: LabelState) -> str | None:
    """The text of the newest search label, unless making one failed since."""
    if state.search_error is not None:
        return None
    return next((p.text for p in reversed(state.proposals) if p.source == SEARCH), None)


def _event(
    study: Study,
    method: str,
    feature: int,
    kind: str,
    text: str | None = None,
    *,
    reason: str | None = None,
    details: dict[str, Any] | None = None,
) -> NewEvent:
    return NewEvent(
        study.info.sae_fingerprint,
        feature,
        kind,
        text,
        source=SEARCH,
        method=method,
        reason=reason,
        details=details,
        study=study.id,
    )
