"""One form for making and scoring labels, of one feature or of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import streamlit as st

from autointerp_core.errors import AutointerpError
from ui import readers, session
from ui.runs import cost, fields, start
from ui.runs.settings import GENERATE, RunSettings
from ui.sentences import sentence

_TITLES = {"generate": "Generate labels", "score": "Score labels"}


@dataclass
class Asked:
    """The form asked for: what to do, with which features, from which place."""

    run: tuple[str, list[int], str] | None = None
    start: bool = False


@dataclass
class Chosen:
    """What was chosen last in this session."""

    settings: RunSettings = field(default_factory=RunSettings)


def ask(what: str, features: Sequence[int], place: str = start.BULK) -> None:
    """Callback: open the form when the page is drawn."""
    session.study_memory(Asked).run = (what, list(features), place)
    session.memory(fields.Opened).times += 1


def show(opened: readers.OpenStudy, place: str = start.BULK) -> None:
    """The form, as long as it is asked for in this place. Each page that may ask calls it once."""
    asked = session.study_memory(Asked).run
    if asked is None:
        return
    what, features, asked_in = asked
    if asked_in != place:
        _forget()  # the page was left without closing the form
        return
    title = f"{_TITLES[what]} of {_count(features)}"
    dialog = st.dialog(title, width="medium", icon=":material/auto_awesome:", on_dismiss=_forget)
    dialog(_form)(opened, what, features, place)


def _forget() -> None:
    session.study_memory(Asked).run = None


def _count(features: Sequence[int]) -> str:
    return f"feature {features[0]}" if len(features) == 1 else f"{len(features):,} features"


def remembered() -> RunSettings:
    """What was chosen last in this session."""
    return session.memory(Chosen).settings


def _form(opened: readers.OpenStudy, what: str, features: list[int], place: str) -> None:
    settings = replace(remembered(), again=what == GENERATE and place != start.BULK)
    if what == GENERATE:
        settings = fields.kind(settings)
    settings = fields.scorers(settings, what)
    if settings.needs_model(what):
        settings = fields.model(opened, settings)
    if what == GENERATE and settings.kind == "llm":
        settings = fields.prompt(settings)
    if settings.needs_model(what):
        settings = fields.money(settings)
    if not (what == GENERATE and settings.kind == "search"):
        title = "Ask again for what exists already"
        settings = replace(
            settings, again=st.toggle(title, settings.again, key=fields.key("again"))
        )
    problem = settings.problem(what)
    with st.container(key="run_estimate"):
        st.text(sentence(problem) if problem else _estimate(opened, what, features, settings))
    title = f"Start for {_count(features)}"
    # The callback only notes it: its own settings would be without what was typed last.
    st.button(title, key="run_start", type="primary", disabled=bool(problem), on_click=_press)
    asked = session.study_memory(Asked)
    pressed, asked.start = asked.start, False
    if pressed and not problem:
        _start(opened, what, features, place, settings)
        st.rerun()


def _press() -> None:
    session.study_memory(Asked).start = True


def _start(
    opened: readers.OpenStudy, what: str, features: list[int], place: str, settings: RunSettings
) -> None:
    session.memory(Chosen).settings = settings
    _forget()
    verb = "Labels" if what == GENERATE else "Scores"
    params = settings.params(what, str(opened.study.folder), features)
    start.start(place, what, params, f"{verb} of {_count(features)}")


def _estimate(
    opened: readers.OpenStudy, what: str, features: list[int], settings: RunSettings
) -> str:
    try:
        return cost.estimate_line(opened, what, features, settings)
    except AutointerpError as error:
        return sentence(str(error))
