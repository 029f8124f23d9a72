"""Try a text: which features fire on it, token by token and in a table; two texts compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from autointerp_core.explore.view import View
from autointerp_core.live.encoded import EncodedText
from autointerp_core.live.ranking import compare_features, rank_features
from ui import live, problems, readers, session, url
from ui.elements import hint
from ui.elements.component import register
from ui.feature_names import Names
from ui.try_text import inputs, paint, state
from ui.try_text.state import Asked

_TABLE = register("ranking", Path(__file__).parent)
_SHOWS = {"strongest": "Strongest feature", "pinned": "Pinned features", "list": "Token by token"}
_BY = {"max": "Max", "mean": "Mean", "count": "Count"}


def show(opened: readers.OpenStudy) -> None:
    """The whole page."""
    session.current().arrive("try_a_text")
    with problems.errors():
        asked = state.current()
        hint.line("try_a_text")
        inputs.show(opened, asked)
        texts = _texts(opened, asked)
        live.show_notices()
        if texts is not None:
            names = Names(opened.name, opened.snapshot())
            _how(opened, asked, texts)
            paint.show(opened, asked, texts, names, _clicks("try_tokens"))
            _table(opened, asked, texts, names)
        _go(opened)
    live.process_line(opened)
    url.drawn()


def _texts(opened: readers.OpenStudy, asked: Asked) -> tuple[EncodedText, ...] | None:
    """What is asked for, read; None where there is nothing to read yet, or it failed."""
    wanted = [text for text in (asked.text, asked.other or "") if text.strip()]
    if not asked.text.strip():
        return None
    kept = state.memory()
    missing = [text for text in dict.fromkeys(wanted) if text not in kept.read]
    if missing:
        answer = live.ask(opened, lambda client, tell: client.encode(missing, None, tell), "read")
        if answer is None:
            return None
        # Under the text asked for: a lone half of a character is replaced on the way.
        kept.keep(tuple(replace(t, text=m) for t, m in zip(answer.texts, missing, strict=True)))
    return tuple(kept.read[text] for text in wanted)


def _how(opened: readers.OpenStudy, asked: Asked, texts: tuple[EncodedText, ...]) -> None:
    """How tokens are coloured, what was read, and saving it."""
    with st.container(key="try_how", horizontal=True, vertical_alignment="center", gap="small"):
        session.set_widget("try_show", asked.show)
        st.segmented_control(
            "Colours",
            list(_SHOWS),
            key="try_show",
            format_func=_SHOWS.__getitem__,
            label_visibility="collapsed",
            on_change=_shown,
        )
        with st.container(key="quiet_read", width="stretch"):
            st.text(_facts(opened, texts))
        st.download_button(
            "Save",
            data=lambda: _saved(opened, asked, texts),
            file_name="text-features.json",
            key="try_save",
            icon=":material/download:",
            on_click="ignore",
            help="The text, the pins and what fires where; this page opens it again.",
        )
    if not asked.in_address:
        with st.container(key="quiet_long"):
            st.text("The text is too long for the address: to pass it on, save it to a file.")


def _shown() -> None:
    chosen = session.widget("try_show")
    if chosen is not None:
        state.put(replace(state.now(), show=chosen))


def _facts(opened: readers.OpenStudy, texts: tuple[EncodedText, ...]) -> str:
    parts = []
    for text in texts:
        left = sum(1 for why in text.masked if why)
        fact = f"{text.n_tokens:,} tokens"
        if left:
            fact += f", {left} of them left out (special tokens, sinks)"
        if text.n_sequences > 1:
            fact += (
                f", read in {text.n_sequences} pieces of {opened.info.context_size} tokens, each "
                "by itself"
            )
        parts.append(fact)
    return " · ".join(parts)


def _saved(opened: readers.OpenStudy, asked: Asked, texts: tuple[EncodedText, ...]) -> bytes:
    names = Names(opened.name, opened.snapshot())

    def told(text: EncodedText) -> list[dict[str, Any]]:
        fired: list[list[dict[str, Any]]] = [[] for _ in range(text.n_tokens)]
        for token, feature, activation in zip(
            text.token.tolist(), text.feature.tolist(), text.activation.tolist(), strict=True
        ):
            fired[token].append(
                {"feature": feature, "activation": activation, "label": names(feature).label}
            )
        return [
            {"text": piece, "masked": why, "features": found}
            for piece, why, found in zip(text.pieces, text.masked, fired, strict=True)
        ]

    content: dict[str, Any] = {"study": opened.name, "text": asked.text}
    if asked.other is not None:
        content["other"] = asked.other
    content |= {"pins": list(asked.pins), "tokens": told(texts[0])}
    if len(texts) > 1:
        content["other_tokens"] = told(texts[1])
    return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", "replace")


def _table(
    opened: readers.OpenStudy, asked: Asked, texts: tuple[EncodedText, ...], names: Names
) -> None:
    """The features of the text, best first; of two texts, those that differ most."""
    kept = state.memory()
    comparing = len(texts) > 1
    if comparing:
        found = compare_features(texts[0], texts[1], asked.by)
        total, features = len(found.feature), found.feature[: kept.rows].tolist()
        values = [
            [a, b, a - b] for a, b in zip(found.first.tolist(), found.second.tolist(), strict=True)
        ][: kept.rows]
        unit = " per 100 tokens" if asked.by == "count" else ""
        columns = [
            {"title": f"{_BY[asked.by]}{unit}, first text", "number": True},
            {"title": "second text", "number": True},
            {"title": "Difference", "number": True},
        ]
    else:
        ranked = rank_features(texts[0], asked.by)
        total, features = len(ranked.feature), ranked.feature[: kept.rows].tolist()
        values = [
            [a, b, c]
            for a, b, c in zip(
                ranked.max.tolist(), ranked.mean.tolist(), ranked.count.tolist(), strict=True
            )
        ][: kept.rows]
        columns = [
            {"title": "Max", "number": True, "by": "max", "help": "Strongest activation here"},
            {"title": "Mean", "number": True, "by": "mean",
             "help": "Mean over all tokens that count, those it is silent on included"},
            {"title": "Count", "number": True, "by": "count", "whole": True,
             "help": "Tokens on which it fires"},
        ]  # fmt: skip
    with st.container(key="try_table_head", horizontal=True, vertical_alignment="center"):
        what = "features differ" if comparing else "features fire"
        st.text(f"{total:,} {what} on tokens that count", width="stretch")
        if comparing:
            session.set_widget("try_by", asked.by)
            st.segmented_control(
                "Compared by", list(_BY), key="try_by", format_func=_BY.__getitem__,
                label_visibility="collapsed", on_change=_compared,
            )  # fmt: skip
    _TABLE(
        key="try_features",
        data={
            "title": "Features of the text",
            "by": asked.by,
            "columns": [
                {"title": "Feature", "number": True}, {"title": "Label"},
                {"title": "Score", "number": True, "help": "Of its label, on test documents"},
                *columns,
            ],
            "rows": [
                {
                    "feature": feature,
                    "href": names(feature).href,
                    "label": names(feature).label,
                    "missing": names(feature).missing,
                    "values": [_two(names(feature).score), *row],
                    "pinned": feature in asked.pins,
                }
                for feature, row in zip(features, values, strict=True)
            ],
        },
        **_clicks("try_features"),
        on_by_change=_sorted,
    )  # fmt: skip
    if total > kept.rows:
        st.button(f"Show more of {total:,}", key="try_more", on_click=_more)


def _two(score: float | None) -> float | None:
    return None if score is None else round(score, 2)


def _clicks(key: str) -> dict[str, Any]:
    """What clicks in an element do."""

    def clicked() -> None:
        state.memory().open = int(session.widget(key).open)

    def pinned() -> None:
        state.pin(int(session.widget(key).pin))

    def unpinned() -> None:
        state.unpin(int(session.widget(key).unpin))

    return {"on_open_change": clicked, "on_pin_change": pinned, "on_unpin_change": unpinned}


def _sorted() -> None:
    state.put(replace(state.now(), by=str(session.widget("try_features").by)))


def _compared() -> None:
    chosen = session.widget("try_by")
    if chosen is not None:
        state.put(replace(state.now(), by=chosen))


def _more() -> None:
    state.memory().rows += 75


def _go(opened: readers.OpenStudy) -> None:
    """To the page of a feature that was clicked."""
    kept = state.memory()
    target, kept.open = kept.open, None
    if target is not None:
        address = url.address(opened.name, View(), target)
        st.switch_page("pages/feature.py", query_params=address)
