"""What a model was asked before about a study, so that nothing is asked twice."""

from __future__ import annotations

from autointerp_core.labels.document_split import LABEL, Split
from autointerp_core.labels.providers.base import LabelProvider
from autointerp_core.store.event_details import FAILED_BY_PROVIDER, GenerationDetails
from autointerp_core.store.events import FAILED
from autointerp_core.store.history import LabelHistory


def llm_source(provider: LabelProvider) -> str:
    """How events name a provider's model."""
    return f"llm:{provider.model}"


def known_questions(
    history: LabelHistory, split: Split, method: str, source: str
) -> set[tuple[int, str]]:
    """(feature, prompt hash) of labels there are, made from the documents that may be shown now.

    One made from all documents would ask the same by chance, and could not be scored.
    """
    study = split.study
    found = history.generated_index(study.info.sae_fingerprint, method, source, study=study.id)
    allowed = (LABEL, split.shown)
    return {
        k for k, e in found.items() if GenerationDetails.from_json(e.details).documents in allowed
    }


def failed_questions(
    history: LabelHistory, split: Split, method: str, source: str
) -> set[tuple[int, str]]:
    """Questions whose answer held no label, twice: asking again would answer the same."""
    study = split.study
    failed = history.generated_index(
        study.info.sae_fingerprint, method, source, kind=FAILED, study=study.id
    )
    return {
        key
        for key, event in failed.items()
        if GenerationDetails.from_json(event.details).failure != FAILED_BY_PROVIDER
    }
