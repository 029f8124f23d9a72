"""The features table: one page of rows, sortable by its headers, with links and ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from autointerp_core.explore.feature_index import Row
from autointerp_core.explore.view import View
from ui.elements.component import register
from ui.elements.scores import ABOUT

_TABLE = register("table")

Column = dict[str, Any]
COLUMNS: tuple[Column, ...] = (
    {"key": "feature", "title": "Feature", "kind": "number", "sort": "feature"},
    {"key": "label", "title": "Label", "kind": "text", "sort": "label"},
    {"key": "status", "title": "Status", "kind": "text", "sort": "status"},
    {"key": "source", "title": "Source", "kind": "text", "sort": "source"},
    {
        "key": "density",
        "title": "Density",
        "kind": "number",
        "sort": "density",
        "percent": True,
        "help": "Share of counted tokens on which the feature fires",
    },
    {"key": "max", "title": "Max", "kind": "number", "sort": "max"},
    {
        "key": "mean",
        "title": "Mean",
        "kind": "number",
        "sort": "mean",
        "help": "Mean activation over the tokens on which it fires",
    },
    {"key": "top_tokens", "title": "Top tokens", "kind": "tokens"},
)
SCORE: Column = {
    "key": "score",
    "title": "Score",
    "kind": "number",
    "sort": "score",
    "digits": 2,
    "help": f"{ABOUT} With several scorers, their mean.",
}
INPUT: Column = {"key": "input", "title": "Input score", "kind": "number", "sort": "input"}


def features_table(
    rows: Sequence[Row],
    view: View,
    *,
    study: str,
    picked: Sequence[int],
    extra: Sequence[tuple[Column, Sequence[float]]] = (),
    key: str = "table",
    on_open: Callable[[], None],
    on_sort: Callable[[], None],
    on_pick: Callable[[], None],
) -> None:
    """Show ``rows``. The callbacks read the widget ``key``: ``open``, ``sort``, ``picked``.

    ``extra`` adds numeric columns before the tokens.
    """
    columns = [*COLUMNS[:-1], *(column for column, _ in extra), COLUMNS[-1]]
    top = max((row.max for row in rows), default=0.0) or 1.0
    lines = [_line(row, top, view, study) for row in rows]
    for column, values in extra:
        for line, value in zip(lines, values, strict=True):
            line[column["key"]] = None if math.isnan(value) else value
    _TABLE(
        key=key,
        data={
            "title": "Features",
            "columns": columns,
            "rows": lines,
            "sort": view.sort,
            "descending": view.descending,
            "picked": list(picked),
        },
        default={"picked": None},
        on_open_change=on_open,
        on_sort_change=on_sort,
        on_picked_change=on_pick,
    )


def feature_link(study: str, feature: int, view: View) -> str:
    """The address of a feature, in the view it is looked at from."""
    query = urlencode({"study": study, "feature": str(feature), **view.params()})
    return f"feature?{query}"


def source_name(source: str | None) -> str:
    """``llm:/long/path/model`` → ``LLM · model``."""
    if not source:
        return ""
    kind, _, rest = source.partition(":")
    name = rest.rstrip("/").rsplit("/", 1)[-1]
    word = {"llm": "LLM", "search": "search", "human": "human", "import": "import"}.get(kind, kind)
    return f"{word} · {name}" if name else word


def missing_reason(row: Row) -> str:
    """Why a feature has no label, in a few words."""
    if row.dead:
        return "never fires"
    return row.state.llm_error or row.state.search_error or "no label yet"


def _line(row: Row, top: float, view: View, study: str) -> dict[str, Any]:
    state = row.state
    # Densities span decades: 1e-5 is an empty bar, 1 a full one.
    spread = (math.log10(row.density) + 5) / 5 if row.density > 0 else 0.0
    return {
        "feature": row.feature,
        "href": feature_link(study, row.feature, view),
        "label": state.label,
        "missing": missing_reason(row) if state.label is None else "",
        "status": state.status,
        "flagged": state.flagged,
        "source": source_name(state.label_source),
        "density": row.density,
        "max": row.max,
        "mean": row.mean,
        "top_tokens": list(row.top_tokens),
        "bars": {
            "density": round(min(max(spread, 0.0), 1.0), 3),
            "max": round(row.max / top, 3),
        },
    }
