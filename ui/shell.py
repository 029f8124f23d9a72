"""The frame around every page: navigation, study picker, author, health, errors in words.

Every page begins with :func:`setup`. On a freshly started server a deep link runs the
page's script alone, without ``app.py``: then :func:`setup` registers the pages and starts
the run again, which goes through ``app.py`` from there on.
"""

from __future__ import annotations

import threading
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

from autointerp_core.errors import AutointerpError
from autointerp_core.store.study_record import StudyRecord
from ui import problems, readers, session, url, welcome
from ui.decisions import author
from ui.elements import bar, glossary_page, pulse
from ui.marks import marked
from ui.sentences import sentence

TITLE = "Autointerp Explorer"
ICON = Path(__file__).parent / "icon.png"
_PAGES = Path(__file__).parent.parent / "pages"
_here = threading.local()
_PLAIN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]()<>#+-.!|~$:"})
"""Help is read as markdown; a study's names are plain text."""


def pages() -> dict[str, list[Page]]:
    """The app's pages, in the order of the navigation; those under a name open from a menu.

    Without icons: Streamlit would fetch them as favicons from another host.
    """
    return {
        "": [
            # The default page has no path of its own, and /features must be an address.
            st.Page(_home, title=TITLE, default=True, visibility="hidden", url_path="home"),
            st.Page(_PAGES / "features.py", title="Features"),
            st.Page(_PAGES / "feature.py", title="Feature"),
            st.Page(_PAGES / "review.py", title="Review"),
            st.Page(_PAGES / "studies.py", title="Studies"),
            st.Page(_PAGES / "export.py", title="Export"),
        ],
        "Playground": [
            st.Page(_PAGES / "try_a_text.py", title="Try a text"),
            st.Page(_PAGES / "find.py", title="Find features"),
            st.Page(_PAGES / "steer.py", title="Steer"),
        ],
        "Explore": [
            st.Page(_PAGES / "map.py", title="Map"),
            st.Page(_PAGES / "compare.py", title="Compare"),
            st.Page(_PAGES / "report.py", title="Report"),
        ],
    }


def _home() -> None:
    st.switch_page("pages/features.py", query_params=url.params())


def run(page: Page) -> None:
    """Run a page from ``app.py``; :func:`setup` then knows that the frame is in place."""
    _here.through_app = True
    try:
        page.run()
    finally:
        _here.through_app = False


def setup() -> None:
    """First line of every page: navigation where it is missing, and the frame."""
    if not getattr(_here, "through_app", False):
        st.navigation(pages(), position="top")
        st.rerun()
    problems.begin()
    url.settle()
    st.html(Path(__file__).parent / "app.css")
    _frame()
    author.ask_if_needed()


def need_study() -> readers.OpenStudy:
    """The study picked, opened; without one, says what to do and ends the run."""
    name = session.current().study
    if not name:
        welcome.no_study()
        st.stop()
    try:
        return readers.open_study(name)
    except AutointerpError as error:
        problems.problem(str(error))
        st.stop()


def _frame() -> None:
    with problems.errors():
        found, damaged = readers.studies()
        names = [info.id for info in found]
        called = readers.names(found)
        _pick_default(names)
        with st.container(key="frame", horizontal=True, vertical_alignment="center", gap="small"):
            if names:
                st.selectbox(
                    "Study",
                    names,
                    key="study_pick",
                    on_change=_picked,
                    format_func=lambda name: called.get(name, name),
                    label_visibility="collapsed",
                    width=360,
                )
                _facts(next((i for i in found if i.id == session.current().study), None))
            else:
                st.markdown(f"**{TITLE}**", width="stretch")
            if damaged:
                with st.popover(f"{len(damaged)} unreadable", icon=":material/error:"):
                    for error in damaged:
                        st.text(marked(str(error)))
            _working()
            pulse.show()
            bar.fit()
            glossary_page.button()
            author.badge()
        notice = readers.history().notice
        if notice:
            st.text(sentence(notice))


def _pick_default(names: list[str]) -> None:
    """Which study: the address says so, else this session's last one, else the newest."""
    asked = url.study()
    if asked and asked not in names:
        # need_study() says that there is none; where there is no study at all, what to do.
        session.current().pick(asked if names else "")
        session.set_widget("study_pick", names[0] if names else None)
        return
    name = asked or session.current().study
    if name not in names:
        name = names[0] if names else ""
    session.current().pick(name)
    if name:
        session.set_widget("study_pick", name)
        if not asked:
            url.put(url.params() | {"study": name})


def _picked() -> None:
    """Another study: its own first page, the filter kept out of it."""
    name = session.widget("study_pick")
    session.current().pick(name)
    url.put({"study": name})


def _working() -> None:
    """Jobs that run, and the way to them."""
    count = readers.active_jobs()
    if count:
        label = "1 job running" if count == 1 else f"{count} jobs"
        st.page_link(_PAGES / "studies.py", label=label, icon=":material/progress_activity:")


def _facts(info: StudyRecord | None) -> None:
    """One quiet line about the study, and its health warnings."""
    if info is None:
        st.space("stretch")  # the page itself says what is wrong with it
        return
    with st.container(key="quiet_facts", width="stretch"):
        st.text(
            f"{info.d_sae:,} features",
            help=marked(
                f"{info.n_counted:,} tokens · model {info.model_name} · SAE {info.sae_source} · "
                f"hook point {info.hook} · dataset {info.dataset_name} · study {info.id}"
            ).translate(_PLAIN),
        )
    if info.warnings:
        count = len(info.warnings)
        label = "1 warning" if count == 1 else f"{count} warnings"
        with st.popover(label, icon=":material/warning:", key="health"):
            for warning in info.warnings:
                st.text(marked(warning.message))
