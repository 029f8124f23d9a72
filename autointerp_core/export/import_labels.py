"""Labels from a ``feature_labels.json``: read, compared with what is there, then recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autointerp_core.errors import BadInput, LabelRejected
from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.export.history_file import check_same_sae
from autointerp_core.store.decisions import Decision, Outcome
from autointerp_core.store.events import IMPORTED, NewEvent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study_record import StudyRecord
from autointerp_core.store.text_cleaning import clean_label

Effect = Literal["new", "changed", "same", "refused", "unknown"]


@dataclass(frozen=True)
class Change:
    """What importing one row would do. ``decided``: a person had decided on it.

    ``based_on`` is the feature's last event when this was worked out.
    """

    feature: int
    label: str
    decided: bool
    effect: Effect
    before: str | None = None
    why: str = ""
    based_on: int = 0


@dataclass(frozen=True)
class Imported:
    """What an import did: how many features it changed, and whom it crossed."""

    count: int
    conflicts: tuple[Outcome, ...] = ()


def plan(data: bytes, snapshot: Snapshot, info: StudyRecord | None = None) -> list[Change]:
    """What importing this file would change; nothing is recorded.

    Args:
        data: the file.
        snapshot: the features it is to be imported for.
        info: their study; where the file says whose features it is about, it must be that SAE's.

    Raises:
        BadInput: it is no label file, or one of another SAE.
    """
    content = _content(data)
    about = content.get("study")
    if info is not None and isinstance(about, dict):
        check_same_sae(about, info)
    rows = _rows(content)
    return [_change(row, snapshot) for row in rows if row.get("label") is not None]


def apply(
    changes: list[Change], history: LabelHistory, sae: str, *, file_name: str, author: str
) -> Imported:
    """Record what is new or changed: the text as an imported proposal, decisions as accepted.

    Where somebody decided since :func:`plan` looked, both events stay, and the result says so.

    Raises:
        ParameterError: no author.
        LabelStoreError: it could not be saved.
    """
    wanted = [change for change in changes if change.effect in ("new", "changed")]
    source = f"import:{file_name}"
    proposals = [
        NewEvent(sae, c.feature, IMPORTED, c.label, source=source, author=author) for c in wanted
    ]
    outcomes = history.decide(
        [
            Decision(
                "accept",
                sae,
                change.feature,
                change.based_on,
                proposal=proposal,
                reason=f"decided in {file_name}",
            )
            for change, proposal in zip(wanted, proposals, strict=True)
            if change.decided
        ],
        author,
    )
    history.record_many(
        proposal for change, proposal in zip(wanted, proposals, strict=True) if not change.decided
    )
    return Imported(len(wanted), tuple(found for found in outcomes if found.theirs is not None))


def _content(data: bytes) -> Mapping[str, Any]:
    if not data.strip():
        raise BadInput("the file is empty; expected a feature_labels.json or a label history")
    try:
        loaded = json.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, ValueError) as error:
        raise BadInput(
            f"this is not a JSON file, or it was cut off ({error}); expected a "
            "feature_labels.json or a label history: export it again"
        ) from error
    return loaded if isinstance(loaded, dict) else {}


def _rows(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = content.get("features")
    if not isinstance(rows, list):
        raise BadInput('the file has no list "features"; expected a feature_labels.json')
    for number, row in enumerate(rows):
        whole = isinstance(row, dict) and isinstance(row.get("feature_index"), int)
        if not whole or isinstance(row["feature_index"], bool) or row["feature_index"] < 0:
            raise BadInput(f'entry {number} of "features" has no "feature_index" that is a number')
    return rows


def _change(row: Mapping[str, Any], snapshot: Snapshot) -> Change:
    feature, given = int(row["feature_index"]), row["label"]
    decided = row.get("status") in ("accepted", "overridden")
    try:
        label = clean_label(str(given))
    except LabelRejected as error:
        return Change(feature, str(given), decided, "refused", why=str(error))
    if snapshot.at(feature) is None:
        return Change(feature, label, decided, "unknown", why="not in this study")
    state = snapshot.state(feature)
    if state.label == label and (not decided or state.status != "unreviewed"):
        return Change(feature, label, decided, "same", state.label)
    effect: Effect = "changed" if state.label else "new"
    return Change(feature, label, decided, effect, state.label, based_on=state.last_event or 0)
