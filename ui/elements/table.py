"""The features table: one page of rows, sortable by its headers, with links and ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from autointerp_core.explore.excerpts import Excerpt
from autointerp_core.explore.feature_index import Row
from autointerp_core.explore.view import View
from ui.elements.component import register
from ui.elements.scores import ABOUT, shown
from ui.glossary import TERMS, about

_TABLE = register("table")

Column = dict[str, Any]
COLUMNS: tuple[Column, ...] = (
    {"key": "feature", "title": "Feature", "kind": "number", "sort": "feature", "width": "5.2rem",
     "help": about("Feature")},
    {"key": "label", "title": "Label", "kind": "text", "sort": "label", "width": "23%",
     "help": about("Label")},
    {"key": "status", "title": "Status", "kind": "text", "sort": "status", "width": "8.4rem",
     "help": "Whether a person decided: accepted a proposal, or overrode it with own words"},
    {"key": "source", "title": "Source", "kind": "text", "sort": "source", "width": "7rem",
     "help": f"Who made the label.\n\nLLM: {about('LLM label')}\n\n"
     f"search: {about('Search label')}"},
    {"key": "density", "title": "Density", "kind": "number", "sort": "density", "percent": True,
     "width": "5.6rem", "help": f"{about('Density')} The bar has a logarithmic scale."},
    {"key": "max", "title": "Max", "kind": "number", "sort": "max", "width": "4.6rem",
     "help": "Its strongest activation in this study; the bar compares it on this page"},
    {"key": "mean", "title": "Mean", "kind": "number", "sort": "mean", "width": "4.6rem",
     "help": "Mean activation over the tokens on which it fires"},
    {"key": "top_tokens", "title": "Top tokens", "kind": "tokens",
     "help": "The most frequent peak tokens of its strongest examples"},
)  # fmt: skip
SCORE_SORT = "score:"
"""Before the scorer's name, where a header sorts by its scores."""


def score_column(scorer: str, *, ranks: bool) -> Column:
    """What a scorer gave the labels on test documents."""
    said = TERMS.get(scorer.capitalize(), "")
    told = "\n\nIt ranks: queues, filters and the order of proposals go by it." if ranks else ""
    return {
        "key": SCORE_SORT + scorer,
        "title": scorer.capitalize(),
        "kind": "number",
        "sort": SCORE_SORT + scorer,
        "digits": 2,
        "width": "6rem",
        "help": f"{said} {ABOUT}{told}".strip(),
    }


INPUT: Column = {
    "key": "input",
    "title": "Input score",
    "kind": "number",
    "sort": "input",
    "width": "6.6rem",
    "help": about("Input score"),
}
EXCERPT: Column = {
    "key": "excerpt",
    "title": "Where it fires",
    "kind": "excerpt",
    "help": "A word that was looked for, where the feature fires strongest on it; or its peak",
}


def features_table(
    rows: Sequence[Row],
    view: View,
    *,
    study: str,
    picked: Sequence[int],
    ticked: int = 0,
    extra: Sequence[tuple[Column, Sequence[float]]] = (),
    excerpts: Mapping[int, Excerpt] | None = None,
    last: int | None = None,
    arrived: bool = False,
    ranking: str = "",
    key: str = "table",
    on_open: Callable[[], None],
    on_sort: Callable[[], None],
    on_pick: Callable[[], None],
) -> None:
    """Show ``rows``. The callbacks read the widget ``key``: ``open``, ``sort``, ``picked``.

    ``extra`` adds numeric columns before the tokens; ``excerpts``, where there are any, stand in
    place of these. ``ticked`` counts the changes of ticks that ``picked`` knows of. ``last`` is
    the feature looked at last: marked, and scrolled to on arrival. ``ranking`` is the scorer that
    the view sorts by where it sorts by score.
    """
    tail = COLUMNS[-1] if excerpts is None else EXCERPT
    columns = [*COLUMNS[:-1], *(column for column, _ in extra), tail]
    top = max((row.max for row in rows), default=0.0) or 1.0
    lines = [_line(row, top, view, study) for row in rows]
    for row, line in zip(rows, lines, strict=True):
        found = (excerpts or {}).get(row.feature)
        line["excerpt"] = None if found is None else asdict(found)
    for column, values in extra:
        for line, value in zip(lines, values, strict=True):
            line[column["key"]] = None if math.isnan(value) else value
    _TABLE(
        key=key,
        data={
            "title": "Features",
            "columns": columns,
            "rows": lines,
            "sort": SCORE_SORT + ranking if view.sort == "score" else view.sort,
            "descending": view.descending,
            "picked": list(picked),
            "ticked": ticked,
            "study": study,
            "words": view.q.split() if view.scope != "text" else [],
            "last": last,
            "arrived": arrived,
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


def _no_scores(row: Row) -> dict[str, str]:
    """Why a scorer has no number, by the key of its column."""
    proposal = row.state.shown()
    if proposal is None:
        return {}
    found = shown(proposal)
    return {SCORE_SORT + one.name: one.reason for one in found if one.reason and not one.known}


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
        "why": _no_scores(row),
        "bars": {
            "density": round(min(max(spread, 0.0), 1.0), 3),
            "max": round(row.max / top, 3),
        },
    }
