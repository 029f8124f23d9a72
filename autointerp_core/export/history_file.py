"""The whole label history of an SAE as a file, and back: nothing is lost on the way.

JSON lines. The first says what the file is about: SAE (by the fingerprint of its weights), model,
hook point, dataset; and what people gave the study it was written from: a name, and input scores.
Each other line is one event as the database holds it, with its id, so that "accepts event 12" keeps
its meaning. Importing adds the events that are not there yet, with their authors and times;
importing twice adds nothing.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import orjson

from autointerp_core.errors import BadInput
from autointerp_core.store.events import KINDS, LabelEvent
from autointerp_core.store.files import atomic_file
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.input_scores import add_input_scores, read_input_scores
from autointerp_core.store.score_values import number
from autointerp_core.store.study_names import MAX_NAME, given_name, rename
from autointerp_core.store.study_record import StudyRecord
from autointerp_core.store.text_cleaning import one_line, safe_json

FORMAT = "autointerp-label-history"
VERSION = 1


@dataclass(frozen=True)
class HistoryFile:
    """What a file holds: whose history it is, and the events in the order of their ids."""

    sae: str
    """Fingerprint of the SAE's weights."""
    about: dict[str, Any]
    events: tuple[LabelEvent, ...]


@dataclass(frozen=True)
class HistoryPlan:
    """What importing would do; nothing is recorded yet."""

    new_events: int
    known_events: int
    changed: tuple[int, ...]
    """Features with a label or decision here that would read differently afterwards."""


def write_history_file(
    path: Path, info: StudyRecord, history: LabelHistory, folder: Path | None = None
) -> int:
    """Write every event of the study's SAE; returns how many.

    Args:
        path: the file.
        info: the study's.
        history: where the events are.
        folder: of the study, whose name and input scores go with them.

    Raises:
        OutputError, DiskFull: the file cannot be written.
    """
    count = 0
    with atomic_file(path) as handle:
        for line in history_lines(info, history, folder):
            handle.write(line)
            count += 1
    return count - 1


def history_lines(
    info: StudyRecord, history: LabelHistory, folder: Path | None = None
) -> Iterable[bytes]:
    """The file's lines, heading first; with the study's ``folder``, its name and input scores."""
    brought = {} if folder is None else _brought(folder)
    yield safe_json(heading(info) | brought) + b"\n"
    for event in history.all_events(info.sae_fingerprint):
        yield safe_json({**asdict(event), "details": dict(event.details)}) + b"\n"


def heading(info: StudyRecord) -> dict[str, Any]:
    """What a file of this study is about, in its first line."""
    return {"format": FORMAT, "version": VERSION, **origin(info)}


def origin(info: StudyRecord) -> dict[str, Any]:
    """Whose features a file is about: study, model, SAE, hook point and dataset."""
    return {
        "study": info.id,
        "model": info.model_name,
        "sae": info.sae_source,
        "sae_fingerprint": info.sae_fingerprint,
        "d_sae": info.d_sae,
        "hook": info.hook,
        "dataset": info.dataset_name,
    }


def _brought(folder: Path) -> dict[str, Any]:
    """What people gave a study, as far as they did."""
    scores = {str(feature): score for feature, score in read_input_scores(folder).items()}
    found = {"study_name": given_name(folder), "input_scores": scores}
    return {name: value for name, value in found.items() if value}


@dataclass(frozen=True)
class Brought:
    """What of a file belongs to the study at hand, and is not there yet."""

    name: str = ""
    scores: Mapping[int, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.name or self.scores)


def brought(file: HistoryFile, info: StudyRecord, folder: Path) -> Brought:
    """The study's name and input scores from a file of the very same study, where it lacks them.

    Raises:
        BadInput: they make no sense.
    """
    if file.about.get("study") != info.id:
        return Brought()
    name, raw = file.about.get("study_name", ""), file.about.get("input_scores", {})
    if not isinstance(name, str) or not isinstance(raw, dict):
        raise BadInput("line 1 holds no study name and input scores that can be read")
    known = read_input_scores(folder)
    scores = {}
    for text, score in raw.items():
        inside = text.isdecimal() and len(text) < 10 and int(text) < info.d_sae
        if not inside or number(score) is None:
            raise BadInput(
                f"line 1 gives feature {text[:20]!r} the input score {str(score)[:20]!r}; expected "
                f"a number for a feature of 0–{info.d_sae - 1:,}"
            )
        if int(text) not in known:
            scores[int(text)] = float(score)
    return Brought("" if given_name(folder) else one_line(name)[:MAX_NAME], scores)


def take_brought(found: Brought, folder: Path) -> None:
    """Give a study its name and input scores.

    Raises:
        OutputError, DiskFull: they cannot be saved.
    """
    if found.name:
        rename(folder, found.name)
    if found.scores:
        add_input_scores(folder, found.scores)


def is_history_file(data: bytes) -> bool:
    """Whether these bytes begin as such a file does (gzip too)."""
    try:
        return FORMAT.encode() in _unpacked(data)[:200]
    except BadInput:
        return False


def read_history_file(data: bytes) -> HistoryFile:
    """Read such a file.

    Raises:
        BadInput: another format, a newer version, or a damaged line (its number is named).
    """
    lines = _unpacked(data).splitlines()
    first = _object(lines[0], 1) if lines else {}
    if first.get("format") != FORMAT or not isinstance(first.get("sae_fingerprint"), str):
        raise BadInput(f"this is no label history; its first line does not say {FORMAT!r}")
    if first.get("version") != VERSION:
        raise BadInput(
            f"this label history has version {first.get('version')!r}, this program reads "
            f"{VERSION}; update it"
        )
    sae = str(first["sae_fingerprint"])
    events = tuple(
        _event(_object(line, number), number, sae)
        for number, line in enumerate(lines[1:], 2)
        if line.strip()
    )
    return HistoryFile(sae, first, tuple(sorted(events, key=lambda event: event.id)))


def plan_history(file: HistoryFile, info: StudyRecord, history: LabelHistory) -> HistoryPlan:
    """What importing ``file`` would change.

    Raises:
        BadInput: it is the history of another SAE.
    """
    check_same_sae(file.about, info)
    before, after = history.preview_adoption(file.sae, file.events)
    changed = [
        feature
        for feature, state in after.items()
        if (old := before[feature]).label is not None
        and (old.label, old.status) != (state.label, state.status)
    ]
    new = sum(after[f].num_events - before[f].num_events for f in after)
    return HistoryPlan(new, len(file.events) - new, tuple(sorted(changed)))


def check_same_sae(about: dict[str, Any], info: StudyRecord) -> None:
    """Refuse a file that says it is about another SAE.

    Raises:
        BadInput: it is.
    """
    theirs = about.get("sae_fingerprint")
    if theirs is not None and theirs != info.sae_fingerprint:
        raise BadInput(
            f"this file is about another SAE ({about.get('sae') or 'unknown'} at "
            f"{about.get('hook') or 'an unknown hook'}, fingerprint {theirs}); this study's is "
            f"{info.sae_source}, fingerprint {info.sae_fingerprint}"
        )


def _unpacked(data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise BadInput(f"the file is a damaged gzip file: {error}") from error


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"line {number} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadInput(f"line {number} holds no object")
    return found


_TEXTS = ("text", "method", "author", "reason")


def _event(raw: dict[str, Any], number: int, sae: str) -> LabelEvent:
    whole = all(isinstance(raw.get(name), int) for name in ("id", "feature"))
    texts = all(raw.get(name) is None or isinstance(raw[name], str) for name in _TEXTS)
    if (
        not (whole and texts)
        or raw.get("kind") not in KINDS
        or raw.get("sae") != sae
        or not all(isinstance(raw.get(name), str) for name in ("source", "time"))
        or not isinstance(raw.get("details") or {}, dict)
        or not (raw.get("parent") is None or isinstance(raw["parent"], int))
        or raw["feature"] < 0
    ):
        raise BadInput(f"line {number} is no label event of this SAE")
    known = {each.name for each in fields(LabelEvent)}
    values = {name: value for name, value in raw.items() if name in known}
    return LabelEvent(**{**values, "details": raw.get("details") or {}})
