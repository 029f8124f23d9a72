"""A report as one HTML file to send: figures, tables and evidence, nothing loaded from anywhere.

As safe as the page of features (:mod:`autointerp_core.export.html_safety`); plotly's own script
lies in the file, and draws from numbers alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from autointerp_core.export.html_safety import json_block, script_policy
from autointerp_core.labels.scoring.evidence import JudgedWindow
from autointerp_core.report import figures, tables
from autointerp_core.report.gather import ReportData, ScorerReport, gather
from autointerp_core.report.rank_agreement import comparable
from autointerp_core.report.windows import ShownFeature, shown_features
from autointerp_core.store.files import atomic_file
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Example, Study

Part = dict[str, Any]


def write_report(path: Path, study: Study, history: LabelHistory) -> ReportData:
    """Write the report of a study; returns what is in it.

    Raises:
        OutputError: the file cannot be written.
    """
    data = gather(study, history)
    plotly, script, style = get_plotlyjs(), _part("report.js"), _part("report.css")
    head = _part("report.html").replace("$POLICY", script_policy(plotly, script))
    with atomic_file(path) as handle:
        handle.write(head.replace("$TITLE", escape(f"Label report of {study.id}")).encode())
        handle.write(f"<style>\n{style}</style>\n".encode())
        handle.write(json_block("data-facts", _facts(data)))
        handle.write(json_block("data-sections", _sections(study, data)))
        handle.write(f"<script>{plotly}</script>\n<script>{script}</script>\n</html>\n".encode())
    return data


def _part(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


def _facts(data: ReportData) -> dict[str, Any]:
    rows = [*tables.facts(data), ("Written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))]
    return {"title": f"Label report of {data.info.id}", "rows": rows}


def _sections(study: Study, data: ReportData) -> list[Part]:
    sections = [_section("Scores", _scores(data))]
    if data.controls:
        sections.append(_section("Controls", _controls(data)))
    if data.scorer_pairs:
        parts = [_text(tables.AGREEMENT_OF_SCORERS)]
        if pairs := comparable(data.scorer_pairs):
            title = "rank correlation of scorers"
            parts.append(_figure(title, figures.correlations(pairs), True))
        else:
            parts.append(_text(tables.NO_AGREEMENT))
        sections.append(_section("Agreement of scorers", parts))
    sections.append(_section("Judges", [_text(tables.JUDGES), *map(_table, tables.judges(data))]))
    for scorer in data.scorers:
        sections.append(_section(f"Worst and best by {scorer.name}", _features(study, scorer)))
    sections.append(_section("Cost", [_text(tables.COST), _table(tables.costs(data))]))
    return sections


def _scores(data: ReportData) -> list[Part]:
    if not data.scorers:
        return [_text(tables.NO_SCORES)]
    drawn = [
        _figure(f"distribution of {s.name}", figures.distribution(s, data.controls))
        for s in data.scorers
    ]
    return [_text(tables.SCORES), _table(tables.scores(data)), *drawn]


def _controls(data: ReportData) -> list[Part]:
    return [
        _text(tables.CONTROLS),
        _figure("means", figures.means(data.scorers, data.controls), True),
        _table(tables.distances_table(data)),
    ]


def _features(study: Study, scorer: ScorerReport) -> list[Part]:
    parts: list[Part] = []
    for title, best in (("Worst", False), ("Best", True)):
        parts.append({"kind": "heading", "text": title})
        parts += [_feature(each) for each in shown_features(study, scorer, best=best)]
    return parts


def _feature(shown: ShownFeature) -> Part:
    windows = [_judged(window) for window in shown.windows]
    windows += [_example(example) for example in shown.examples]
    return {
        "kind": "feature",
        "title": f"{shown.scored.feature}: {shown.scored.label or 'no label'}",
        "note": tables.value_of(shown.scored.result),
        "windows": windows,
    }


def _judged(window: JudgedWindow) -> Part:
    example = window.window.example
    note = f"{tables.KINDS.get(window.window.kind, window.window.kind)}, {tables.verdict(window)}"
    units = sorted({example.unit_index(index) for index in window.marked or ()})
    return {**_example(example, note), "verdict": window.right, "marked": units}


def _example(example: Example, note: str | None = None) -> Part:
    whole = example.whole
    return {
        "note": note or f"activation {example.activation:.3g}",
        "verdict": None,
        "tokens": whole.tokens,
        "values": whole.values,
        "marked": [],
    }


def _section(title: str, parts: Iterable[Part]) -> Part:
    return {"title": title, "parts": list(parts)}


def _text(text: str) -> Part:
    return {"kind": "text", "text": text, "faint": True}


def _table(table: tables.Table) -> Part:
    return {"kind": "table", "head": table.head, "rows": table.rows}


def _figure(title: str, figure: go.Figure, wide: bool = False) -> Part:
    found = figure.to_plotly_json()
    layout = {key: value for key, value in found["layout"].items() if key != "template"}
    return {
        "kind": "figure",
        "title": title,
        "wide": wide,
        "figure": {"data": found["data"], "layout": layout},
    }
