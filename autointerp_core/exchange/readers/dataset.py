"""The label history in a folder that the dataset format wrote: nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from autointerp_core.errors import BadInput
from autointerp_core.exchange.readers.lines import json_file
from autointerp_core.export.history_file import HistoryFile, check_same_sae
from autointerp_core.store.events import LabelEvent
from autointerp_core.store.study_record import StudyRecord


def read_dataset(path: Path, info: StudyRecord) -> HistoryFile:
    """The label events in ``history/*.parquet``.

    Raises:
        BadInput: there are none, they are damaged, or they are another SAE's.
    """
    about = json_file(path / "autointerp.json")
    if not isinstance(about, dict):
        raise BadInput(f"{path / 'autointerp.json'} does not say whose features these are")
    check_same_sae(about, info)
    files = sorted((path / "history").glob("*.parquet"))
    if not files:
        raise BadInput(f"{path} holds no history/*.parquet; give a folder that we wrote")
    events = [event for file in files for event in _events(file, info.sae_fingerprint)]
    ordered = tuple(sorted(events, key=lambda event: event.id))
    return HistoryFile(info.sae_fingerprint, about, ordered)


def _events(file: Path, sae: str) -> list[LabelEvent]:
    try:
        rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
        return [
            LabelEvent(**{**row, "sae": sae, "details": orjson.loads(row["details"] or "{}")})
            for row in rows
        ]
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError) as error:
        raise BadInput(f"{file} is no table of label events: {error}") from error
