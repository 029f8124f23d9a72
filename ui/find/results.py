"""What was found: the ranked table, where a feature fires, and what can be done with the list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import streamlit as st

from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.find.result import FindResult, FoundFeature, Window, classes_json
from autointerp_core.store import selections
from autointerp_core.store.input_scores import add_input_scores
from ui import problems, readers, session
from ui.elements.component import register
from ui.elements.table import missing_reason
from ui.elements.tokens import Group, Line, token_view
from ui.find.asked import kept
from ui.marks import marked
from ui.sentences import sentence

_TABLE = register("found", Path(__file__).parent)


@dataclass
class Leaving:
    """Where a click leads, until the page is drawn."""

    to: str = ""
    among: str = ""


def show(opened: readers.OpenStudy, snapshot: Snapshot, found: Mapping[str, FindResult]) -> None:
    """Results by class; "" where there are no classes."""
    name = next(iter(found))
    if len(found) > 1:
        name = str(st.selectbox("Class", list(found), key="find_class", width=320))
    result = found[name]
    _summary(result)
    if not result.found:
        st.text("No feature fires more in positive documents than in the others.")
        return
    _actions(opened, found, result)
    _places(result)  # above the table, where it is seen whichever row was clicked
    _table(opened, snapshot, result)


def _summary(result: FindResult) -> None:
    positive, negative = result.positive, result.negative
    chance = result.chance
    st.text(
        marked(
            f"{positive.documents:,} positive documents ({positive.name}) against "
            f"{negative.documents:,} ({negative.name}): {result.significant:,} of "
            f"{result.tested:,} features significant"
        )
    )
    with st.container(key="quiet_find", gap=None):
        if chance is not None:
            st.text(
                f"Drawn by lot, the best feature has evidence {chance.best_evidence:.1f} and "
                f"AUROC {chance.best_auroc:.2f}; {chance.significant:,} significant in "
                f"{chance.draws} draws"
            )
        for notice in result.notices:
            st.text(sentence(notice))


def _actions(
    opened: readers.OpenStudy, found: Mapping[str, FindResult], result: FindResult
) -> None:
    content = classes_json(found) if len(found) > 1 else result.to_json()
    with st.container(key="find_actions", horizontal=True, gap="small"):
        st.download_button(
            "Save as JSON", data=orjson.dumps(content, option=orjson.OPT_INDENT_2),
            file_name="features.json", mime="application/json", key="find_save",
            icon=":material/download:",
            help="feature_indices, scores and statistics: what label, the script and New study "
            "take",
        )  # fmt: skip
        st.button(
            "Open in Review", key="find_review", icon=":material/checklist:",
            help="A review queue of these features, best first: what ranks them becomes their "
            "input score in this study",
            on_click=_review, args=(opened, result),
        )  # fmt: skip
        st.button(
            "Open as a table", key="find_table", icon=":material/table_rows:",
            help="The Features page with these only", on_click=_as_table, args=(result,),
        )  # fmt: skip


def _listed(result: FindResult) -> str:
    return selections.keep(each.feature for each in result.found)


def _review(opened: readers.OpenStudy, result: FindResult) -> None:
    with problems.errors():
        scores = {each.feature: each.score(result.ranking) for each in result.found}
        add_input_scores(opened.study.folder, scores)
        leaving = session.memory(Leaving)
        leaving.to, leaving.among = "review", _listed(result)


def _as_table(result: FindResult) -> None:
    with problems.errors():
        leaving = session.memory(Leaving)
        leaving.to, leaving.among = "features", _listed(result)


def leave(opened: readers.OpenStudy) -> None:
    """Go where a click asked to go; the last thing the page does."""
    leaving = session.memory(Leaving)
    to, leaving.to = leaving.to, ""
    query = {"study": opened.name, "among": leaving.among}
    if to == "review":
        query |= {"queue": "input", "of": "all"}
        st.switch_page("pages/review.py", query_params=query)
    if to == "features":
        st.switch_page("pages/features.py", query_params=query)


def _table(opened: readers.OpenStudy, snapshot: Snapshot, result: FindResult) -> None:
    top = max(each.evidence for each in result.found) or 1.0
    _TABLE(
        key="found",
        data={
            "rows": [_row(opened, snapshot, each, top) for each in result.found],
            "ranking": result.ranking,
            "open": kept().feature,
        },
        on_places_change=_choose,
    )


def _row(
    opened: readers.OpenStudy, snapshot: Snapshot, found: FoundFeature, top: float
) -> dict[str, Any]:
    at = snapshot.at(found.feature)
    row = None if at is None else snapshot.row(at)
    label = None if row is None else row.state.label
    missing = "not in this study" if row is None else missing_reason(row)
    return {
        "feature": found.feature,
        "href": "feature?" + urlencode({"study": opened.name, "feature": str(found.feature)}),
        "label": label,
        "missing": missing,
        "significant": found.significant,
        "evidence": found.evidence,
        "share": round(max(found.evidence, 0.0) / top, 3),
        "q": found.q,
        "auroc": [found.auroc, found.auroc_low, found.auroc_high],
        "difference": found.difference,
        "fisher": found.fisher,
        "ratio": [found.density_ratio, found.ratio_low, found.ratio_high],
        "fires": [found.fires_positive, found.fires_negative],
    }


def _choose() -> None:
    feature = int(session.widget("found").places)
    kept().feature = None if kept().feature == feature else feature


def _places(result: FindResult) -> None:
    """Where the feature clicked fires in positive documents."""
    found = next((each for each in result.found if each.feature == kept().feature), None)
    if found is None:
        return
    lines = [_line(window) for window in found.examples]
    scale = max((abs(line.activation) for line in lines), default=1.0) or 1.0
    token_view(
        [Group(f"Feature {found.feature} in positive documents", lines)],
        scale=scale,
        subject=found.feature,
    )


def _line(window: Window) -> Line:
    return Line(
        activation=window.values[window.peak],
        sequence=window.document,
        position=window.peak,
        document=window.document,
        start=0,
        peak=window.peak,
        tokens=list(window.tokens),
        values=list(window.values),
        ids=list(window.ids),
    )
