"""The Report page: scorers apart, controls, agreement, evidence, judges and cost."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from autointerp_core.home import studies_dir
from autointerp_core.report import figures, tables
from autointerp_core.report.gather import ReportData, ScorerReport, gather
from autointerp_core.report.html_report import write_report
from autointerp_core.report.rank_agreement import comparable
from autointerp_core.report.tables import Table
from autointerp_core.report.windows import ShownFeature, shown_features
from ui import problems, readers, session
from ui.elements.charts import CONFIG
from ui.elements.judged import judged_line
from ui.elements.tokens import Group, token_view
from ui.marks import marked

_SHOWN = 5


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    session.current().arrive("report")
    with problems.errors():
        data = _data(opened)
        _head(opened, data)
        _scores(data)
        _controls(data)
        _agreement(data)
        _judges(data)
        _evidence(opened, data)
        _cost(data)


def _head(opened: readers.OpenStudy, data: ReportData) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="report_head"):
        with st.container(width="stretch", key="quiet_report"):
            st.text(
                f"{data.labelled:,} labels, {data.reviewed:,} of them reviewed by people. The same "
                "from a terminal: autointerp report --help"
            )
        st.download_button(
            "As one HTML file",
            data=lambda: _file(opened),
            file_name=f"report-{opened.name}.html",
            mime="text/html",
            key="download_report",
            icon=":material/download:",
            on_click="ignore",
        )


def _scores(data: ReportData) -> None:
    st.subheader("Scores")
    if not data.scorers:
        st.text(
            "No label of this study is scored yet. Choose features on the Features page and score "
            "them, or use: autointerp score --help"
        )
        return
    _quiet("scores", tables.SCORES)
    _table(tables.scores(data), "report_scores")
    columns = st.columns(2, gap="medium")
    for place, scorer in enumerate(data.scorers):
        with columns[place % 2]:
            _plot(figures.distribution(scorer, data.controls), f"report_spread_{place}")


def _controls(data: ReportData) -> None:
    st.subheader("Controls")
    _quiet("controls", tables.CONTROLS)
    if not data.controls:
        st.text(
            "No control of this study was made yet: autointerp score --study "
            f"{data.info.id} --control shuffled,random-sae"
        )
        return
    _plot(figures.means(data.scorers, data.controls), "report_means")
    _table(tables.distances_table(data), "report_distances")


def _agreement(data: ReportData) -> None:
    if not data.scorer_pairs:
        return
    st.subheader("Agreement of scorers")
    _quiet("agreement", tables.AGREEMENT_OF_SCORERS)
    if pairs := comparable(data.scorer_pairs):
        _plot(figures.correlations(pairs), "report_correlations")
    else:
        st.text(tables.NO_AGREEMENT)


def _judges(data: ReportData) -> None:
    st.subheader("Judges")
    _quiet("judges", tables.JUDGES)
    for place, table in enumerate(tables.judges(data)):
        _table(table, f"report_judges_{place}")


def _evidence(opened: readers.OpenStudy, data: ReportData) -> None:
    if not data.scorers:
        return
    st.subheader("Worst and best features")
    by = {scorer.name: scorer for scorer in data.scorers}
    with st.container(horizontal=True, vertical_alignment="center"):
        name = st.segmented_control(
            "By",
            list(by),
            default=next(iter(by)),
            required=True,
            key="report_by",
            format_func=figures.plain,
            label_visibility="collapsed",
        )
        side = st.segmented_control(
            "Which",
            ["Worst", "Best"],
            default="Worst",
            required=True,
            key="report_side",
            label_visibility="collapsed",
        )
    scorer = by[name or next(iter(by))]
    _features(opened, scorer, best=side == "Best")


def _features(opened: readers.OpenStudy, scorer: ScorerReport, *, best: bool) -> None:
    shown = shown_features(opened.study, scorer, best=best, count=_SHOWN)
    rows = [
        {
            "feature": each.scored.feature,
            "label": marked(each.scored.label or ""),
            "value": tables.value_of(each.scored.result),
            "open": f"/feature?study={opened.name}&feature={each.scored.feature}",
        }
        for each in shown
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key="report_features",
        column_config={
            "feature": st.column_config.NumberColumn("feature", format="%d"),
            "open": st.column_config.LinkColumn("", display_text="Open"),
        },
    )
    token_view([_group(opened, each) for each in shown], scale=_scale(shown), key="tokens")


def _group(opened: readers.OpenStudy, shown: ShownFeature) -> Group:
    study = opened.study
    found = [judged_line(readers.line(study, w.window.example), w) for w in shown.windows]
    found += [readers.line(study, example) for example in shown.examples]
    note = tables.value_of(shown.scored.result)
    title = f"{shown.scored.feature}: {shown.scored.label or 'no label'}"
    return Group(marked(title), found, note, "No windows of it are kept.")


def _scale(shown: list[ShownFeature]) -> float:
    found = [w.window.example.activation for each in shown for w in each.windows]
    found += [example.activation for each in shown for example in each.examples]
    return max([abs(value) for value in found], default=1.0) or 1.0


def _cost(data: ReportData) -> None:
    st.subheader("Cost")
    _quiet("cost", tables.COST)
    _table(tables.costs(data), "report_cost")


def _quiet(name: str, text: str) -> None:
    with st.container(key=f"quiet_report_{name}"):
        st.text(text)


def _table(table: Table, key: str) -> None:
    frame = pd.DataFrame([[marked(cell) for cell in row] for row in table.rows], columns=table.head)
    st.dataframe(frame, hide_index=True, key=key)


def _plot(figure: go.Figure, key: str) -> None:
    st.plotly_chart(figure, config=CONFIG, key=key)


def _data(opened: readers.OpenStudy) -> ReportData:
    history = readers.history()
    version = history.last_event_id(opened.sae)
    controls = sum(1 for _ in studies_dir().glob("*/study.json"))
    return _gathered(str(opened.study.folder), opened.stamp, version, controls)


@st.cache_resource(max_entries=4, show_spinner="Reading scores")
def _gathered(folder: str, stamp: int, _version: int, _studies: int) -> ReportData:
    return gather(readers.study_of(folder, stamp), readers.history())


def _file(opened: readers.OpenStudy) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        write_report(path, opened.study, readers.history())
        return path.read_bytes()
