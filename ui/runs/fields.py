"""The fields of the form for making and scoring labels: settings in, changed settings out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from autointerp_core.labels.providers.make import PROVIDERS
from autointerp_core.labels.providers.openai_key import DEFAULT_SERVER
from autointerp_core.sources.control_sae import CONTROLS
from autointerp_core.store.study import GROUPS
from ui import readers, session
from ui.glossary import about
from ui.runs import settings as offered
from ui.runs.settings import GENERATE, KINDS, RunSettings

_SCORING = (
    "Each label is judged on windows of documents that no labeller saw, beside its chance floor "
    "and the labels of other features. The best on one part of them (validate) is proposed; the "
    "number shown comes from the other part (test)."
)


@dataclass
class Opened:
    """How often the form was opened."""

    times: int = 0


def key(name: str) -> str:
    """New keys each time the form opens, so that it starts from what is remembered."""
    return f"run_{name}_{session.memory(Opened).times}"


def kind(settings: RunSettings) -> RunSettings:
    kind = st.segmented_control(
        "Label by",
        list(KINDS),
        default=settings.kind,
        key=key("kind"),
        required=True,
        format_func=KINDS.__getitem__,
        help="Search labels come from counting, without a model. They are made in either case.",
    )
    return replace(settings, kind=kind or "llm")


def scorers(settings: RunSettings, what: str) -> RunSettings:
    found = offered.scorers()
    chosen = st.pills(
        "Score afterwards by" if what == GENERATE else "Score by",
        list(found),
        default=settings.scorers,
        selection_mode="multi",
        key=key("scorers"),
        format_func=lambda name: name.capitalize(),
        help="\n\n".join([_SCORING, *found.values()]),
    )
    settings = replace(settings, scorers=tuple(n for n in found if n in chosen))
    if not settings.scorers:
        return settings
    controls = st.pills(
        "The same for a control",
        CONTROLS,
        default=settings.controls,
        selection_mode="multi",
        key=key("controls"),
        help=f"{about('Control')} The first run for a study loads its model and reads all of its "
        "text again, which takes as long as making the study did.",
    )
    settings = replace(settings, controls=tuple(controls))
    if not settings.can_look_harder:
        return settings
    harder = st.toggle(
        "Harder windows for the judge",
        settings.harder_windows,
        key=key("harder"),
        help="It is asked about silent windows of similar features, and those most like the label, "
        "as well: up to 20 questions more a tested label. They are told apart from the score.",
    )
    return replace(settings, harder_windows=harder)


def model(opened: readers.OpenStudy, settings: RunSettings) -> RunSettings:
    found = offered.providers()
    provider = st.segmented_control(
        "Model from",
        list(found),
        default=settings.provider,
        key=key("provider"),
        required=True,
        format_func=found.__getitem__,
    )
    settings = replace(settings, provider=provider or "local")
    if not PROVIDERS[settings.provider].has_model:
        st.text("For trying the app: no model is asked, and the labels mean nothing.")
        return settings
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        own = f"{opened.info.model_name} (the study's own)"
        local = provider == "local"
        model = st.text_input(
            "Model (hub id or folder)" if local else "Model",
            settings.model,
            key=key(f"model_{provider}"),
            placeholder=own if local else "as the server names it",
        )
        if settings.paid:
            url = st.text_input(
                "Base URL", settings.base_url, key=key("url"), placeholder=DEFAULT_SERVER
            )
            settings = replace(settings, base_url=url or "")
    return settings.with_model(model or "")


def prompt(settings: RunSettings) -> RunSettings:
    found = offered.methods()
    method = st.selectbox(
        "Prompt",
        list(found),
        list(found).index(settings.method),
        key=key("method"),
        format_func=lambda name: f"{name}: {found[name]}",
    )
    first, second, third = st.columns(3, gap="small")
    count = first.number_input("Examples shown", 1, 40, settings.examples, key=key("examples"))
    group = second.selectbox(
        "Examples from",
        GROUPS,
        GROUPS.index(settings.group),
        key=key("group"),
        format_func=lambda name: name.replace("_", " "),
    )
    tries = third.number_input(
        "LLM labels a feature",
        1,
        8,
        settings.proposals,
        key=key("proposals"),
        help="Further ones are asked for in other ways. The search label competes with them; "
        "scores decide which is proposed.",
    )
    hint = st.text_input(
        "What the texts are about (optional)", settings.hint, key=key("hint"), max_chars=200,
        placeholder="finance",
    )  # fmt: skip
    return replace(
        settings,
        method=method,
        examples=int(count or 10),
        group=group,
        proposals=int(tries or 1),
        hint=hint or "",
    )


def money(settings: RunSettings) -> RunSettings:
    paid = settings.paid
    fields: list[tuple[str, str, Any]] = [("budget_tokens", "Stop after tokens", 1000)]
    if paid:
        fields = [
            ("price_in", "Dollars per 1M tokens in", 0.01),
            ("price_out", "Dollars per 1M tokens out", 0.01),
            ("budget_dollars", "Stop after dollars", 0.5),
            *fields,
        ]
    given = {}
    for column, (name, title, step) in zip(st.columns(len(fields)), fields, strict=True):
        whole = name == "budget_tokens"
        given[name] = column.number_input(
            title,
            min_value=0 if whole else 0.0,
            value=getattr(settings, name),
            step=step,
            key=key(name),
            placeholder="unknown" if name.startswith("price") else "no limit",
            format="%d" if whole else "%.4g",
        )
    return replace(settings, **given)
