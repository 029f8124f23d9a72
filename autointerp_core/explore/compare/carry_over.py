"""Labels of one SAE carried over to the matching features of another: proposals, never decisions.

Each says where it is from: study, feature and event, and how alike the two features are. What was
carried over can be withdrawn, as one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.store.events import IMPORTED, LabelEvent, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.sae_matches import NOBODY, Partners
from autointerp_core.store.study_record import StudyRecord
from autointerp_core.store.text_cleaning import one_line

METHOD = "matched"
DETAILS = "carried_from"
"""The key of an event's details that holds an :class:`Origin`."""


@dataclass(frozen=True)
class Origin:
    """Where a carried label is from."""

    study: str
    sae: str
    feature: int
    event: int
    """The decision or proposal that gave the label."""
    status: str
    """Of the label there: ``unreviewed``, ``accepted`` or ``overridden``."""
    source: str
    """Who wrote it there."""
    cosine: float | None
    correlation: float | None


@dataclass(frozen=True)
class Carried:
    """A label that can go from feature ``origin.feature`` to ``feature``."""

    feature: int
    label: str
    origin: Origin


def what_can_be_carried(
    partners: Partners,
    a: Snapshot,
    b: Snapshot,
    record_a: StudyRecord,
    *,
    least: float,
    by: str,
    decided_only: bool = False,
) -> list[Carried]:
    """Labels of A for features of B that wait for a decision and do not have it already.

    Args:
        partners: of A's features, in their order.
        least: how alike a pair must be, by the measure ``by`` (``cosine`` or ``correlation``);
            both must be each other's partner.
        decided_only: only labels that a person accepted or wrote.
    """
    alike = partners.cosine if by == "cosine" else partners.correlation
    good = partners.mutual & (partners.partner != NOBODY) & (alike >= least)
    found = []
    for row in np.flatnonzero(good).tolist():
        feature = int(partners.partner[row])
        state, other = a.state(int(a.features[row])), b.state(feature)
        if state.label is None or state.current_event is None or b.at(feature) is None:
            continue
        if decided_only and state.status == "unreviewed":
            continue
        known = {proposal.text for proposal in other.proposals}
        if other.status != "unreviewed" or state.label in known or state.label == other.label:
            continue
        origin = Origin(
            record_a.id, record_a.sae_fingerprint, state.feature, state.current_event,
            state.status, state.label_source or "human",
            _number(partners.cosine[row]), _number(partners.correlation[row]),
        )  # fmt: skip
        found.append(Carried(feature, state.label, origin))
    return found


def carry_over(
    carried: Sequence[Carried], history: LabelHistory, sae: str, author: str
) -> list[LabelEvent]:
    """Record them as proposals for the features of ``sae``, in one transaction.

    Raises:
        LabelStoreError: they could not be saved.
    """
    return history.record_many(
        NewEvent(
            sae,
            one.feature,
            IMPORTED,
            one.label,
            source=f"import:{one.origin.study}",
            method=METHOD,
            author=one_line(author) or None,
            reason=f"carried over from feature {one.origin.feature} of {one.origin.study}",
            details={DETAILS: asdict(one.origin)},
        )
        for one in carried
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
