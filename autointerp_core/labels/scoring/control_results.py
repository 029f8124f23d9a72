"""What labels scored on a control SAE's features, beside those on the real SAE's.

*carried*: the label of the real SAE's feature, put to the control's feature of the same number,
which has nothing to do with it: a score above the floor here comes from elsewhere than the label.
*anew*: the best label made of the control's own features: how well a feature without meaning lets
itself be labelled (arXiv 2501.17727: nearly as well as a real one).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from autointerp_core.store.label_state import LabelState, Proposal, ranked
from autointerp_core.store.score_values import ScorerResult, value_of

CARRIED = "control:"
"""How the source of a carried label begins; then the study it is from."""
REAL, LABEL_CARRIED, LABEL_ANEW = "real", "carried", "anew"

Results = Mapping[str, list[ScorerResult]]
"""By scorer, one a feature."""


def carried_results(states: Iterable[LabelState]) -> Results:
    """Test results of carried labels."""
    return _results(
        next((p for p in reversed(_tested(state)) if p.source.startswith(CARRIED)), None)
        for state in states
    )


def anew_results(states: Iterable[LabelState]) -> Results:
    """Test results of the best label of each feature that was made of the control itself."""
    found = []
    for state in states:
        own = [p for p in _tested(state) if not p.source.startswith(CARRIED)]
        best = ranked(own)
        found.append(best[-1] if best else own[-1] if own else None)
    return _results(found)


def standing_results(states: Iterable[LabelState]) -> Results:
    """Test results of the label that stands, of a real SAE's features."""
    return _results(state.shown() for state in states)


def _tested(state: LabelState) -> list[Proposal]:
    return [
        p for p in state.proposals if any(value_of(one) is not None for one in p.scores.values())
    ]


def _results(proposals: Iterable[Proposal | None]) -> Results:
    found: dict[str, list[ScorerResult]] = {}
    for proposal in proposals:
        for name, raw in (proposal.scores if proposal is not None else {}).items():
            found.setdefault(name, []).append(ScorerResult.from_json(name, raw))
    return found
