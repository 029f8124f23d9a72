"""Two studies beside each other.

Of one SAE: which features fire more, or less, on one's documents (:mod:`.density_shift`). Of two
SAEs at one hook point of one model: which feature of one is which of the other
(:mod:`.matching`), and labels carried over (:mod:`.carry_over`).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from autointerp_core.errors import BadInput
from autointerp_core.store.study_record import StudyRecord

Comparable: TypeAlias = Literal["one_sae", "two_saes"]


def how_to_compare(a: StudyRecord, b: StudyRecord) -> Comparable:
    """What two studies have in common.

    Raises:
        BadInput: they are one study, of two models, or of two places in one.
    """
    if a.id == b.id:
        raise BadInput(f"{a.id} is one study; give two different ones to compare")
    if a.sae_fingerprint == b.sae_fingerprint:
        return "one_sae"
    if not _same_model(a, b):
        raise BadInput(
            f"the two SAEs are of different models ({a.model_name} and {b.model_name}): their "
            "features have no directions in common; compare studies of one model"
        )
    if a.hook != b.hook:
        raise BadInput(
            f"the two SAEs read at different places ({a.hook} and {b.hook}); compare SAEs of one "
            "hook point"
        )
    return "two_saes"


def _same_model(a: StudyRecord, b: StudyRecord) -> bool:
    """By weights where both are known (a hub commit and a hash differ), else by name."""
    if a.model.fingerprint and a.model.fingerprint == b.model.fingerprint:
        return True
    name_a, name_b = (r.model_name.rstrip("/").rsplit("/", 1)[-1].lower() for r in (a, b))
    return name_a == name_b and (a.model.d_model or 0) in (b.model.d_model or 0, 0)
