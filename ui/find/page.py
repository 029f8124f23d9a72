"""The Find page: which features belong to some documents."""

from __future__ import annotations

import json
from collections.abc import Mapping

import streamlit as st

from autointerp_core import jobs
from autointerp_core.find.request import FindRequest
from autointerp_core.find.result import FindResult
from autointerp_core.find.run import find_features
from autointerp_core.home import studies_dir
from ui import problems, readers
from ui.find import asked as asking
from ui.find import form, results
from ui.runs import start

PLACE = "find"


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    asked = asking.current()
    with problems.errors():
        form.show(opened, asked)
        if not asked.complete:
            _how()
            return
        found = _by_job(opened, asked) if asked.needs_job() else _direct(opened, asked)
        if found:
            results.show(opened, opened.snapshot(), found)
    results.leave(opened)


def _how() -> None:
    with st.container(key="nothing", width=620):
        st.markdown("**Which features belong to some documents?**")
        st.write(
            "Say which documents are meant: by words they hold, by a pattern, by texts of your "
            "own, by a column of the dataset, or by comparing this study's corpus with another. "
            "Every feature is compared between these documents and the others, and listed with "
            "how sure that is."
        )


def _direct(opened: readers.OpenStudy, asked: asking.Asked) -> Mapping[str, FindResult]:
    """Found from the firings of studies, in a second or so."""
    request = asked.request(opened.name)
    stamp = readers.stamp_of(studies_dir() / asked.against) if request.against else 0
    content = json.dumps(request.to_json(), sort_keys=True)
    return _found(content, opened.stamp, stamp)


@st.cache_data(max_entries=16, show_spinner="Comparing every feature …")
def _found(content: str, stamp: int, other_stamp: int) -> dict[str, FindResult]:
    found = find_features(FindRequest.from_json(json.loads(content)))
    return found if isinstance(found, dict) else {"": found}


def _by_job(opened: readers.OpenStudy, asked: asking.Asked) -> Mapping[str, FindResult]:
    """What a job has found for just this question; else a button that starts it."""
    request = asked.request(opened.name).to_json()
    params = {"study": opened.name, "request": request}
    same = json.dumps(params, sort_keys=True)
    done = next(
        (
            job
            for job in jobs.list_jobs()
            if job.kind == "find"
            and job.status == "done"
            and json.dumps(dict(job.params), sort_keys=True) == same
        ),
        None,
    )
    if done is not None:
        return {
            str(name): FindResult.from_json(content)
            for name, content in done.result["found"].items()
        }
    if asked.how == asking.TEXTS:
        texts = asked.request(opened.name)
        others = f"{len(texts.negative):,} negative ones" if texts.negative else "all documents"
        st.text(f"{len(texts.positive):,} positive texts against {others}")
    st.button(
        "Find", type="primary", key="find_start", icon=":material/search:",
        on_click=start.start, args=(PLACE, "find", params, _title(asked)),
        help="Texts are read by the model, in the background",
    )  # fmt: skip
    start.follow(PLACE)
    return {}


def _title(asked: asking.Asked) -> str:
    if asked.how == asking.CLASS:
        return f"Features of classes in {asked.column}"
    if asked.how == asking.CORPUS:
        return f"Features of this corpus against {asked.against}"
    return f"Features of {len(asked.q.splitlines())} texts"
