"""The judged windows that a report shows of its worst and best features."""

from __future__ import annotations

from dataclasses import dataclass

from autointerp_core.errors import StudyError
from autointerp_core.labels.scoring.evidence import JudgedWindow, read_evidence
from autointerp_core.report.gather import ScoredFeature, ScorerReport
from autointerp_core.store.study import Example, Study

WINDOWS = 4
FEATURES = 5


@dataclass(frozen=True)
class ShownFeature:
    """A feature with what its score rests on."""

    scored: ScoredFeature
    windows: tuple[JudgedWindow, ...]
    """Windows judged wrongly first."""
    examples: tuple[Example, ...]
    """Its strongest ones, where no windows were kept."""


def shown_features(
    study: Study, scorer: ScorerReport, *, best: bool, count: int = FEATURES
) -> list[ShownFeature]:
    """The worst or best features of a scorer, with evidence."""
    chosen = scorer.best(count) if best else scorer.worst(count)
    found = []
    for each in chosen:
        windows = judged_windows(study, scorer.name, each)
        examples = () if windows else tuple(study.examples(each.feature, limit=WINDOWS))
        found.append(ShownFeature(each, tuple(windows[:WINDOWS]), examples))
    return found


def judged_windows(study: Study, scorer: str, scored: ScoredFeature) -> list[JudgedWindow]:
    """The windows behind a score, those judged wrongly first; none where they are gone."""
    place = scored.evidence
    if place is None or place.study not in (None, study.id):
        return []
    try:
        windows = read_evidence(study, place.file, scored.feature, place.event)
    except StudyError:
        return []
    mine = [window for window in windows if window.scorer == scorer]
    return sorted(mine, key=lambda window: (window.right is not False, not window.expected))
