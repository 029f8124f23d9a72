"""Turning features: what to turn, the two texts side by side, what the next token would be."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import streamlit as st

from autointerp_core.errors import AutointerpError
from autointerp_core.live.client import SteerAnswer
from autointerp_core.live.turns import HOWS, Continued, Turn
from ui import live, problems, readers, session
from ui.elements.component import register
from ui.elements.painted import Text, Token, painted
from ui.feature_names import Names
from ui.marks import marked
from ui.steer.state import (
    MOST_HEAT,
    MOST_PROMPT,
    MOST_SEED,
    MOST_TOKENS,
    MOST_TURNS,
    Plan,
    Steering,
)

_CHANGES = register("changes", Path(__file__).parent)
_HOWS = {"add": "Add", "ablate": "Take out", "clamp": "Hold at"}
_AT = {"generated": "Generated tokens", "all": "All tokens", "chosen": "Chosen tokens"}
_SHOWN = 12


def show(opened: readers.OpenStudy, key: str, plan: Plan, *, fixed: int | None = None) -> Plan:
    """The panel ``key``; returns the plan as the widgets have it.

    ``fixed``: the one feature that is turned (on its own page); None: any, several.
    """
    names = Names(opened.name, opened.snapshot())
    kept = session.study_memory(Steering)
    plan = kept.plans.get(key, plan)
    with st.container(key=f"{key}_turns", gap="xsmall"):
        turns = _turns(key, plan, names, fixed)
    with st.form(f"{key}_form", border=False):
        prompt = st.text_area(
            "Prompt", value=plan.prompt, key=f"{key}_prompt", height=70, max_chars=MOST_PROMPT
        )
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            kind = plan.at if plan.at in ("generated", "all") else "chosen"
            at = st.selectbox(
                "Turned at",
                list(_AT),
                index=list(_AT).index(kind),
                key=f"{key}_at",
                format_func=_AT.__getitem__,
                width=180,
                help="Generated: every position that predicts a generated token. All: the "
                "prompt's too, but for special tokens and sinks. Chosen: places in the prompt.",
            )
            chosen = st.text_input(
                "Places", value=plan.at if kind == "chosen" else "", key=f"{key}_places",
                placeholder="3,5-8", width=110,
                help="Of chosen tokens: places in the prompt, counted from 0.",
            )  # fmt: skip
            tokens = st.number_input(
                "Tokens", 1, MOST_TOKENS, plan.tokens, key=f"{key}_tokens", width=110
            )
            heat = st.number_input(
                "Temperature", 0.0, MOST_HEAT, plan.temperature, 0.1, key=f"{key}_heat", width=120,
                help="0 takes the likeliest token each time; then the seed plays no part.",
            )  # fmt: skip
            seed = st.number_input("Seed", 0, MOST_SEED, plan.seed, key=f"{key}_seed", width=110)
            st.form_submit_button(
                "Go on", key=f"{key}_go", type="primary", on_click=_wanted, args=(key,)
            )
    now = Plan(turns, prompt, at if at != "chosen" else chosen.strip(), tokens, seed, heat)
    if key in kept.wanted:
        kept.wanted.discard(key)
        kept.plans[key] = now
        _ask(opened, key, now)
    live.show_notices()
    found = kept.answers.get(key)
    if found is not None and (fixed is None or _of(found[0], fixed)):
        _answer(opened, key, *found)
    return now


def _wanted(key: str) -> None:
    session.study_memory(Steering).wanted.add(key)


def _of(plan: Plan, feature: int) -> bool:
    return [turn.feature for turn in plan.turns] == [feature]


def _turns(key: str, plan: Plan, names: Names, fixed: int | None) -> tuple[Turn, ...]:
    """A line a feature: how it is turned, and how strongly."""
    given = plan.turns if fixed is None else _fixed(plan, fixed)
    found = []
    for number, turn in enumerate(given):
        line = f"{key}_{turn.feature}"
        with st.container(
            key=f"{key}_turn_{number}", horizontal=True, vertical_alignment="bottom", gap="small"
        ):
            how = st.selectbox(
                "How", HOWS, HOWS.index(turn.how), key=f"{line}_how", width=130,
                format_func=_HOWS.__getitem__,
                help="Add: along the feature's direction. Take out: whatever it is, it is 0. "
                "Hold at: whatever it is, it is this.",
            )  # fmt: skip
            strength = st.slider(
                "Strength, in units of its max", -10.0, 10.0, min(max(turn.strength, -10.0), 10.0),
                0.25, key=f"{line}_strength", disabled=how == "ablate", width=260,
            )  # fmt: skip
            if fixed is None:
                named = names(turn.feature)
                with st.container(width="stretch"):
                    st.text(f"{turn.feature} · {marked(named.label or named.missing)}")
                st.button(
                    "Remove", key=f"{line}_off", type="tertiary", on_click=_remove,
                    args=(key, plan, turn.feature),
                )  # fmt: skip
        found.append(Turn(turn.feature, how, strength))
    turns = tuple(found)
    if fixed is None:
        _add(key, replace(plan, turns=turns), names)
    return turns


def _fixed(plan: Plan, feature: int) -> tuple[Turn, ...]:
    return tuple(t for t in plan.turns if t.feature == feature) or (Turn(feature),)


def _add(key: str, plan: Plan, names: Names) -> None:
    if len(plan.turns) >= MOST_TURNS:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.number_input(
            "Feature", 0, None, None, key=f"{key}_new", width=140, placeholder="its number",
            on_change=_added, args=(key, plan, names),
        )  # fmt: skip


def _added(key: str, plan: Plan, names: Names) -> None:
    number = session.widget(f"{key}_new")
    if number is None:
        return
    if number not in [turn.feature for turn in plan.turns]:
        session.study_memory(Steering).plans[key] = replace(
            plan, turns=(*plan.turns, Turn(int(number)))
        )
    session.set_widget(f"{key}_new", None)


def _remove(key: str, plan: Plan, feature: int) -> None:
    kept = session.study_memory(Steering)
    plan = kept.plans.get(key, plan)
    turns = tuple(turn for turn in plan.turns if turn.feature != feature)
    kept.plans[key] = replace(plan, turns=turns)


def _ask(opened: readers.OpenStudy, key: str, plan: Plan) -> None:
    """Have the two texts written."""
    kept = session.study_memory(Steering)
    kept.answers.pop(key, None)
    with problems.errors():
        if not plan.turns:
            raise AutointerpError("no feature is turned: type a feature's number above")
        config = plan.config()
        answer = live.ask(
            opened, lambda client, tell: client.steer(plan.turns, config, tell), f"{key}_steer"
        )
        if answer is not None:
            kept.answers[key] = (plan, answer)


def _answer(opened: readers.OpenStudy, key: str, plan: Plan, answer: SteerAnswer) -> None:
    found = answer.found
    with st.container(key=f"quiet_{key}_facts", horizontal=True, vertical_alignment="center"):
        turned = "; ".join(_said(turn) for turn in plan.turns)
        where = "places " + ", ".join(map(str, found.at)) if found.at else "no place"
        st.text(
            f"{turned} · in the prompt at {where} · seed {plan.seed}, temperature "
            f"{plan.temperature:g}" + "".join(f" · {marked(note)}" for note in found.notes),
            width="stretch",
        )
        st.download_button(
            "Save", data=lambda: _saved(opened, plan, answer), file_name="steered.json",
            key=f"{key}_save", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    left, right = st.columns(2)
    for column, title, text in (
        (left, "Unsteered", found.unsteered), (right, "Steered", found.steered),
    ):  # fmt: skip
        with column:
            ended = " (ended by the model)" if text.ended else ""
            painted(
                [Text(f"{title}{ended}", _tokens(found.prompt_pieces, text))],
                key=f"{key}_{title.lower()}",
                detail=False,
            )
    _CHANGES(
        key=f"{key}_changes",
        data={
            "rows": [asdict(change) for change in found.changes[:_SHOWN]],
            "empty": "The next token is as likely as before: nothing changed.",
        },
    )


def _tokens(prompt: tuple[str, ...], text: Continued) -> list[Token]:
    asked = [Token(piece, 0, dim=True) for piece in prompt]
    return asked + [
        Token(piece, number) for piece, number in zip(text.pieces, text.ids, strict=True)
    ]


def _said(turn: Turn) -> str:
    if turn.how == "ablate":
        return f"feature {turn.feature} taken out"
    does = "held at" if turn.how == "clamp" else "turned by"
    return f"feature {turn.feature} {does} {turn.strength:g} × its max"


def _saved(opened: readers.OpenStudy, plan: Plan, answer: SteerAnswer) -> bytes:
    content = {"study": opened.name, **asdict(plan), **answer.found.to_json()}
    return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", "replace")
