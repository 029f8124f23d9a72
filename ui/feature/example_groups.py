"""Which examples of a feature are shown: by group, as many and as wide as asked, and why none."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import streamlit as st

from autointerp_core.explore.feature_index import Row
from ui import readers
from ui.elements.tokens import Group, Line

WHOLE = 1_000_000
"""So many tokens around a peak are the whole sequence."""
STORED = 20
"""Examples of a group that a study keeps; more are cut from the firings when asked for."""
_SILENT = 10
QUARTERS = {
    "quantile_1": "strongest quarter",
    "quantile_2": "second quarter",
    "quantile_3": "third quarter",
    "quantile_4": "weakest quarter",
}
_DEAD = "This feature never fires on the counted tokens of this study: it has no examples."
_NEVER_SILENT = (
    "No window without a firing was found: it fires nearly everywhere in this study. Fewer "
    "tokens around the peak may leave some."
)


@dataclass(frozen=True)
class Choice:
    """What was asked for: the group, tokens around a peak, and how many."""

    group: str = "top"
    around: int = 16
    few: int = STORED
    """Examples of the top group before more are asked for."""
    steps: int = 0
    """How often more were asked for."""

    @property
    def names(self) -> list[str]:
        """The groups that it stands for."""
        if self.group == "every":
            return ["top", *QUARTERS, "silent"]
        if self.group == "quantiles":
            return [*QUARTERS]
        return ["top" if self.group == "judged" else self.group]


def read(opened: readers.OpenStudy, row: Row, choice: Choice) -> list[Group]:
    """The groups asked for. None is empty without saying why."""
    if row.dead:
        kinds = [name for name in choice.names if name == "silent"] or ["top"]
        return [Group("Top", [], empty=_DEAD) if k == "top" else _silent(opened, row, choice)
                for k in kinds]  # fmt: skip
    found = []
    for name in choice.names:
        if name == "silent":
            found.append(_silent(opened, row, choice))
        elif name == "top":
            lines = _top(opened, row, choice)
            note = f"{len(lines):,} strongest of {row.num_examples:,} sequences, one each"
            found.append(Group("Top", lines, note))
        else:
            lines = _quarter(opened, row, name, choice)
            found.append(Group(QUARTERS[name].capitalize(), lines, _span(lines), _why(row)))
    return found


def by_peak(groups: list[Group]) -> list[Group]:
    """The same examples, those with the same peak token together, largest group first."""
    rows: dict[str, list[Line]] = defaultdict(list)
    for group in groups:
        for line in group.rows:
            rows[line.tokens[line.peak] if line.activation != 0 else ""].append(line)
    silent = rows.pop("", [])
    found = [
        Group(token, lines, f"{len(lines)} example{'s' if len(lines) > 1 else ''}")
        for token, lines in sorted(rows.items(), key=lambda item: -len(item[1]))
    ]
    empty = [group for group in groups if not group.rows] if not found else []
    return found + ([Group("Not firing", silent)] if silent else []) + empty


def activations(opened: readers.OpenStudy, row: Row, choice: Choice) -> list[float]:
    """Activations of the examples shown (for the ticks of the histogram)."""
    return [
        line.activation
        for name in choice.names
        if name != "silent"
        for line in stored(opened, row.feature, name, 16)
        if line.activation != 0
    ]


def stored(opened: readers.OpenStudy, feature: int, group: str, around: int) -> list[Line]:
    """The examples of a group that the study keeps."""
    after = max(around - 1, 0)
    return readers.lines(opened, feature, group, limit=STORED, before=around, after=after)


def _top(opened: readers.OpenStudy, row: Row, choice: Choice) -> list[Line]:
    kept = stored(opened, row.feature, "top", choice.around)
    if not choice.steps:
        return kept[: choice.few]
    return kept + _beyond(opened, row.feature, 0.0, 1.0, kept, 40 * choice.steps, choice.around)


def _quarter(opened: readers.OpenStudy, row: Row, name: str, choice: Choice) -> list[Line]:
    kept = stored(opened, row.feature, name, choice.around)
    number = [*QUARTERS].index(name)
    # Where the study drew none from a quarter (they are among the strongest), they are read here.
    wanted = 10 * choice.steps if kept else 10 * (choice.steps + 1)
    if not wanted:
        return kept
    low, high = number / 4, (number + 1) / 4
    more = _beyond(opened, row.feature, low, high, kept, wanted, choice.around)
    return sorted([*kept, *more], key=lambda line: -line.activation)


def _silent(opened: readers.OpenStudy, row: Row, choice: Choice) -> Group:
    limit = _SILENT * (choice.steps + 1)
    after = max(choice.around - 1, 0)
    lines = readers.lines(
        opened, row.feature, "silent", limit=limit, before=choice.around, after=after
    )
    note = "windows in which it stays silent, drawn at random"
    return Group("Not firing", lines, note, _NEVER_SILENT)


def _beyond(
    opened: readers.OpenStudy,
    feature: int,
    low: float,
    high: float,
    kept: list[Line],
    count: int,
    around: int,
) -> list[Line]:
    found: list[Line] = _cut(
        str(opened.study.folder),
        opened.stamp,
        feature,
        (low, high),
        tuple(line.sequence for line in kept),
        count,
        around,
    )
    return found


@st.cache_data(max_entries=64, show_spinner=False)
def _cut(
    folder: str,
    stamp: int,
    feature: int,
    part: tuple[float, float],
    without: tuple[int, ...],
    count: int,
    around: int,
) -> list[Line]:
    """Peaks of further sequences, from a part of them sorted by strength.

    The strongest ones of all, evenly spaced ones of a quarter; identical windows once.
    """
    study = readers.study_of(folder, stamp)
    peaks, _ = study.sequence_peaks(feature)
    low, high = (int(len(peaks) * edge) for edge in part)
    peaks = peaks[low:high]
    peaks = peaks[~np.isin(study.tokens.sequence_of(peaks), without)]
    if part != (0.0, 1.0) and len(peaks) > count:
        peaks = peaks[np.linspace(0, len(peaks) - 1, count).astype(np.int64)]
    windows = study.windows_at(
        feature, peaks[:count], "more", before=around, after=max(around - 1, 0)
    )
    once = {window.token_ids: window for window in reversed(windows)}
    return [readers.line(study, window) for window in windows if once[window.token_ids] is window]


def _why(row: Row) -> str:
    sequences = f"{row.num_examples} sequence{'' if row.num_examples == 1 else 's'}"
    return f"It fires in {sequences} only: too few for an example in every quarter."


def _span(lines: list[Line]) -> str:
    if not lines:
        return ""
    values = [line.activation for line in lines]
    return f"{min(values):.3g} to {max(values):.3g}"
