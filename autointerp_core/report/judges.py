"""Where two judges judged the same windows of the same labels: how far they agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from autointerp_core.errors import StudyError
from autointerp_core.labels.document_split import TEST, VALIDATE
from autointerp_core.labels.scoring.agreement import Agreement, agreement
from autointerp_core.labels.scoring.evidence import read_verdicts
from autointerp_core.labels.scoring.scorers import SCORERS
from autointerp_core.store.event_details import ScoreDetails
from autointerp_core.store.events import SCORED, LabelEvent
from autointerp_core.store.study import Study

Place = tuple[int, int, str, int, str, tuple[int, ...]]
"""Feature, proposal, part, token, kind of window and what is marked: one question."""


@dataclass(frozen=True)
class JudgePair:
    """Two judges at one scorer's questions."""

    scorer: str
    one: str
    other: str
    features: int
    found: Agreement


def judge_pairs(study: Study, events: Iterable[LabelEvent]) -> list[JudgePair]:
    """Every two judges that were asked the same; nothing of files that are gone or damaged."""
    said: dict[str, dict[str, dict[Place, bool]]] = {}
    read: set[str] = set()
    for event in events:
        if event.kind != SCORED:
            continue
        details = ScoreDetails.from_json(event.details)
        asked = {
            scorer: judge
            for scorer, judge in details.judges.items()
            if judge and scorer in SCORERS and SCORERS[scorer].asks_model
        }
        if not details.evidence or details.evidence in read or not asked:
            continue
        read.add(details.evidence)
        try:
            verdicts = read_verdicts(study, details.evidence)
        except StudyError:
            continue
        _add(said, asked, verdicts)
    return [
        pair
        for scorer, judges in said.items()
        for one, other in combinations(sorted(judges), 2)
        if (pair := _pair(scorer, one, other, judges)) is not None
    ]


def _add(
    said: dict[str, dict[str, dict[Place, bool]]],
    asked: Mapping[str, str | None],
    verdicts: Iterable[tuple[str, Place, bool]],
) -> None:
    for scorer, place, verdict in verdicts:
        judge = asked.get(scorer)
        if judge and place[2] in (VALIDATE, TEST):
            said.setdefault(scorer, {}).setdefault(judge, {})[place] = verdict


def _pair(
    scorer: str, one: str, other: str, judges: Mapping[str, Mapping[Place, bool]]
) -> JudgePair | None:
    common = sorted(judges[one].keys() & judges[other].keys())
    found = agreement(
        [judges[one][place] for place in common],
        [judges[other][place] for place in common],
        [place[0] for place in common],
    )
    if found is None:
        return None
    return JudgePair(scorer, one, other, len({place[0] for place in common}), found)
