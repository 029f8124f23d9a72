"""Labels of the output side: the tokens that a feature's decoder direction makes likelier.

A proposal of its own (arXiv 2501.08319): what a feature reads and what it makes the model say are
often two things. Made from the study's stored logits, of no document at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice

from autointerp_core.labels.document_split import Split
from autointerp_core.labels.explain.report import GenerationReport
from autointerp_core.store.event_details import SearchDetails, SearchEvidence
from autointerp_core.store.events import GENERATED, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study

OUTPUT = "output"
"""Source of these labels."""
METHOD = "raised tokens"
_WORDS = 4


def raised_tokens(study: Study, feature: int) -> list[str]:
    """Text of the tokens whose logits a feature raises most, that hold a letter or digit; once.

    None where the study has no logits.
    """
    found: dict[str, str] = {}
    for token in study.logits(feature).top:
        text = token.text.strip()
        if any(character.isalnum() for character in text):
            found.setdefault(text.casefold(), text)
    return list(found.values())


def raised_label(study: Study, feature: int) -> str | None:
    """``predicts monday, tuesday, friday``; None where no token with a letter is raised."""
    words = islice((w for w in raised_tokens(study, feature) if len(w.split()) == 1), _WORDS)
    listed = ", ".join(words)
    return f"predicts {listed}" if listed else None


def record_output_labels(
    study: Study, features: Sequence[int], history: LabelHistory, split: Split
) -> GenerationReport:
    """Make output labels of the features that fire, and record those whose text is new."""
    report = GenerationReport()
    sae = study.info.sae_fingerprint
    known = history.generated_index(sae, METHOD, OUTPUT, study=study.id)
    live = set(study.table.loc[study.table["num_examples"] > 0, "feature"].tolist())
    new = []
    for feature in sorted({int(feature) for feature in features}):
        text = raised_label(study, feature) if feature in live else None
        if text is None:
            report.dead += 1
            continue
        key = hashlib.sha256(f"{METHOD}\n{split.shown}\n{text}".encode()).hexdigest()
        if (feature, key) in known:
            report.reused += 1
            continue
        details = SearchDetails(
            study=study.id,
            documents=split.shown,  # no text of any part is in it
            prompt_hash=key,
            evidence=SearchEvidence(firings=study.stats(feature).fired),
        )
        new.append(
            NewEvent(
                sae,
                feature,
                GENERATED,
                text,
                source=OUTPUT,
                method=METHOD,
                details=details.to_json(),
                study=study.id,
            )
        )
        report.made += 1
    history.record_many(new)
    return report
