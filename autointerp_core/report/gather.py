"""What a report says of a study's labels: every scorer apart, its controls, its judges, its cost.

Read from the study's files and the label history; no model, no figure. Scores of different scorers
are never averaged: they have different floors and mean different things.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autointerp_core.labels.scoring.calibration import Calibrations, read_calibrations
from autointerp_core.labels.scoring.control_results import (
    anew_results,
    carried_results,
)
from autointerp_core.labels.scoring.measures import MEASURES
from autointerp_core.labels.scoring.report import ScorerSummary, summarise
from autointerp_core.labels.scoring.scorers import SCORERS
from autointerp_core.report.cost import CostLine, cost_lines
from autointerp_core.report.judges import JudgePair, judge_pairs
from autointerp_core.report.rank_agreement import ScorerPair, scorer_pairs
from autointerp_core.store.event_details import MeasuredDetails
from autointerp_core.store.events import FAILED, GENERATED, MEASURED, SCORED, LabelEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.label_state import EvidencePlace, LabelState
from autointerp_core.store.score_values import ScorerResult
from autointerp_core.store.studies import controls_of
from autointerp_core.store.study import Study
from autointerp_core.store.study_record import StudyRecord

_MACHINE = (GENERATED, FAILED, SCORED, MEASURED)


@dataclass(frozen=True)
class ScoredFeature:
    """One feature by one scorer."""

    feature: int
    label: str | None
    result: ScorerResult
    evidence: EvidencePlace | None = None


@dataclass(frozen=True)
class ScorerReport:
    """One scorer (or measure) over a study's features."""

    name: str
    about: str
    of_label: bool
    summary: ScorerSummary
    features: tuple[ScoredFeature, ...]
    """Those with a value, worst first."""
    without: int
    """Features that it was asked of and has no value of."""

    @property
    def values(self) -> list[float]:
        return [float(each.result.value or 0.0) for each in self.features]

    def worst(self, count: int) -> tuple[ScoredFeature, ...]:
        return self.features[:count]

    def best(self, count: int) -> tuple[ScoredFeature, ...]:
        return self.features[::-1][:count]


@dataclass(frozen=True)
class ControlReport:
    """One control of the study."""

    kind: str
    study: str
    values: Mapping[str, Mapping[str, Sequence[float]]]
    """By scorer; then ``carried``, ``anew``, or (of measures of a feature) ``measured``."""
    summaries: Mapping[str, Mapping[str, ScorerSummary]]
    """Likewise."""


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows."""

    info: StudyRecord
    labelled: int
    reviewed: int
    scorers: tuple[ScorerReport, ...]
    scorer_pairs: tuple[ScorerPair, ...]
    judge_pairs: tuple[JudgePair, ...]
    controls: tuple[ControlReport, ...]
    costs: tuple[CostLine, ...]
    calibrations: Calibrations


def gather(study: Study, history: LabelHistory) -> ReportData:
    """Put a study's report together."""
    info = study.info
    stored = {int(feature) for feature in study.features}
    states = {
        feature: state
        for feature, state in history.states(info.sae_fingerprint, study=study.id).items()
        if feature in stored
    }
    events = [
        event
        for event in history.machine_events(info.sae_fingerprint, _MACHINE, study.id)
        if event.feature in stored
    ]
    measured = _measured(events, states)
    scorers = tuple(
        _scorer(name, found)
        for name, found in _in_order({**_scored(states), **measured}).items()
        if any(each.result.value is not None for each in found)
    )
    return ReportData(
        info=info,
        labelled=sum(state.label is not None for state in states.values()),
        reviewed=sum(state.status != "unreviewed" for state in states.values()),
        scorers=scorers,
        scorer_pairs=tuple(
            scorer_pairs({s.name: {f.feature: f.result for f in s.features} for s in scorers})
        ),
        judge_pairs=tuple(judge_pairs(study, events)),
        controls=tuple(_control(record, history) for record in controls_of(info.id)),
        costs=tuple(cost_lines(events)),
        calibrations=read_calibrations(),
    )


def _scored(states: Mapping[int, LabelState]) -> dict[str, list[ScoredFeature]]:
    """By scorer, what it found of the labels that stand."""
    found: dict[str, list[ScoredFeature]] = {}
    for feature, state in sorted(states.items()):
        shown = state.shown()
        for name, raw in (shown.scores if shown is not None else {}).items():
            result = ScorerResult.from_json(name, raw)
            place = shown.evidence.get(name) if shown is not None else None
            found.setdefault(name, []).append(ScoredFeature(feature, state.label, result, place))
    return found


def _measured(
    events: Iterable[LabelEvent], states: Mapping[int, LabelState]
) -> dict[str, list[ScoredFeature]]:
    """By result of a measure, the newest of each feature and of the label that stands."""
    newest: dict[str, dict[int, ScoredFeature]] = {}
    for event in events:
        if event.kind != MEASURED:
            continue
        details = MeasuredDetails.from_json(event.details)
        state = states.get(event.feature)
        label = state.label if state is not None else None
        if details.label is not None and details.label != label:
            continue
        for name, result in details.results.items():
            known = newest.setdefault(name, {})
            had = known.get(event.feature)
            if had is None or result.value is not None:
                known[event.feature] = ScoredFeature(event.feature, label, result)
    return {name: list(known.values()) for name, known in newest.items()}


def _in_order(found: Mapping[str, list[ScoredFeature]]) -> dict[str, list[ScoredFeature]]:
    """Scorers first, then measures, then what is not known here."""
    measures = [name for measure in MEASURES.values() for name in measure.results]
    order = [*SCORERS.names, *measures]
    names = sorted(found, key=lambda n: (order.index(n) if n in order else len(order), n))
    return {name: found[name] for name in names}


def _scorer(name: str, found: Sequence[ScoredFeature]) -> ScorerReport:
    valued = [each for each in found if each.result.value is not None]
    summary = summarise([each.result for each in valued])
    assert summary is not None  # one at least has a value
    measure = next((m for m in MEASURES.values() if name in m.results), None)
    about = SCORERS[name].about if name in SCORERS else measure.about if measure else ""
    return ScorerReport(
        name,
        about,
        measure is None or measure.of_label,
        summary,
        tuple(sorted(valued, key=lambda each: (each.result.value or 0.0, each.feature))),
        len(found) - len(valued),
    )


def _control(record: StudyRecord, history: LabelHistory) -> ControlReport:
    states = history.states(record.sae_fingerprint, study=record.id)
    events = history.machine_events(record.sae_fingerprint, (MEASURED,), record.id)
    parts: dict[str, Mapping[str, list[ScorerResult]]] = {
        "carried": carried_results(states.values()),
        "anew": anew_results(states.values()),
        "measured": {
            name: [each.result for each in found]
            for name, found in _measured(events, states).items()
        },
    }
    values: dict[str, dict[str, list[float]]] = {}
    summaries: dict[str, dict[str, ScorerSummary]] = {}
    for part, results in parts.items():
        for name, found in results.items():
            summary = summarise(found)
            if summary is not None:
                numbers = [r.value for r in found if r.value is not None]
                values.setdefault(name, {})[part] = numbers
                summaries.setdefault(name, {})[part] = summary
    return ControlReport(record.control or "", record.id, values, summaries)


def distances(data: ReportData) -> list[tuple[str, str, str, float, float, float]]:
    """How far the real SAE's mean is above each control's.

    Returns:
        Scorer, kind of control, ``carried``, ``anew`` or ``measured``, difference, and its 95 %
        interval from those of both means (as of independent draws).
    """
    found = []
    real = {scorer.name: scorer.summary for scorer in data.scorers}
    for control in data.controls:
        for name, parts in control.summaries.items():
            if name not in real:
                continue
            one = real[name]
            for part, other in parts.items():
                gap = one.mean - other.mean
                below = float(np.hypot(one.mean - one.low, other.high - other.mean))
                above = float(np.hypot(one.high - one.mean, other.mean - other.low))
                found.append((name, control.kind, part, gap, gap - below, gap + above))
    return found
