"""Where a text comes from: typed or pasted, put into the model's chat template, or a saved file."""

from __future__ import annotations

import json
from dataclasses import replace

import streamlit as st

from autointerp_core.errors import BadInput
from ui import live, problems, readers, session
from ui.try_text import state
from ui.try_text.state import MOST_CHARACTERS, Asked


def show(opened: readers.OpenStudy, asked: Asked) -> None:
    """The boxes, and what else can be done with them."""
    _fill(asked)
    comparing = asked.other is not None
    with st.form("try_form", border=False):
        columns = st.columns(2) if comparing else [st.container()]
        with columns[0]:
            st.text_area(
                "Text",
                key="try_text",
                height=90,
                placeholder="Type or paste a text, such as: On Monday the bank said that …",
                label_visibility="visible" if comparing else "collapsed",
            )
        if comparing:
            with columns[1]:
                st.text_area("Second text", key="try_other", height=90)
        st.form_submit_button(
            "Read it", key="try_read", type="primary", on_click=_read, args=(comparing,)
        )
    with st.container(key="try_ways", horizontal=True, vertical_alignment="center", gap="small"):
        _compare(comparing)
        _chat(opened)
        _file_in(opened)
    _consent()


def _fill(asked: Asked) -> None:
    """Boxes show what was read, unless somebody is typing."""
    kept = state.memory()
    for key, text, filled in (
        ("try_text", asked.text, kept.filled),
        ("try_other", asked.other or "", kept.filled_other),
    ):
        if filled is not None or session.widget(key) is None:
            session.set_widget(key, text if filled is None else filled)
    kept.filled = kept.filled_other = None


def _read(comparing: bool) -> None:
    with session.held():
        text = session.widget("try_text") or ""
        other = (session.widget("try_other") or "") if comparing else None
        kept = state.memory()
        kept.problem, kept.cut = "", ""
        long = next((each for each in (text, other or "") if len(each) > MOST_CHARACTERS), "")
        if not text.strip() or (other is not None and not other.strip()):
            kept.problem = "the text is empty: type or paste one, then read it"
        elif long:
            kept.cut = long
        else:
            state.put(replace(state.now(), text=text, other=other))


def _consent() -> None:
    """A text beyond the limit is cut only when somebody says so."""
    kept = state.memory()
    if kept.problem:
        problems.problem(kept.problem, "Nothing to read")
    if not kept.cut:
        return
    with st.container(key="try_cut"):
        problems.problem(
            f"the text has {len(kept.cut):,} characters, and this page takes {MOST_CHARACTERS:,}; "
            "longer ones are read by a study, or by: autointerp encode",
            "Too long",
        )
        st.button(f"Read the first {MOST_CHARACTERS:,} characters", key="try_cut_it", on_click=_cut)


def _cut() -> None:
    with session.held():
        kept = state.memory()
        kept.cut = ""
        text = (session.widget("try_text") or "")[:MOST_CHARACTERS]
        other = session.widget("try_other")
        second = None if state.now().other is None else (other or "")[:MOST_CHARACTERS]
        state.put(replace(state.now(), text=text, other=second))
        session.set_widget("try_text", text)


def _compare(comparing: bool) -> None:
    if comparing:
        st.button(
            "One text", key="try_one", type="tertiary", icon=":material/close:",
            on_click=state.put, args=(replace(state.now(), other=None),),
        )  # fmt: skip
    else:
        st.button(
            "Compare with a second text",
            key="try_two",
            type="tertiary",
            icon=":material/compare_arrows:",
            on_click=state.put,
            args=(replace(state.now(), other=""),),
        )


def _chat(opened: readers.OpenStudy) -> None:
    """A conversation as the model is trained to see it."""
    with st.popover("As a chat", type="tertiary", icon=":material/forum:", key="try_chat"):
        st.text("Put into the model's own chat template; special tokens and all.")
        with st.form("chat_form", border=False):
            system = st.text_input("System (may be empty)", key="chat_system")
            user = st.text_area("User", key="chat_user", height=70)
            answer = st.text_area("Assistant (empty: where it is to begin)", key="chat_answer",
                                  height=70)  # fmt: skip
            if st.form_submit_button("Put it into the box", key="chat_put"):
                messages = [{"role": "system", "content": system}] if system.strip() else []
                messages.append({"role": "user", "content": user})
                if answer.strip():
                    messages.append({"role": "assistant", "content": answer})
                if not user.strip():
                    problems.problem("the user says nothing: type what is asked", "No message")
                    return
                found = live.ask(
                    opened,
                    lambda client, tell: client.chat_text(
                        messages, to_answer=not answer.strip(), progress=tell
                    ),
                    "chat",
                )
                if found is not None:
                    state.memory().filled = found
                    st.rerun()


def _file_in(opened: readers.OpenStudy) -> None:
    """What was saved before."""
    with st.popover("Open a file", type="tertiary", icon=":material/folder_open:", key="try_open"):
        st.text("A file saved on this page, or any text file.")
        given = st.file_uploader("File", key="try_file", label_visibility="collapsed")
        if given is not None and st.button("Open it", key="try_open_it"):
            with problems.errors():
                asked = from_file(given.getvalue())
                with session.held():
                    state.put(
                        replace(state.now(), text=asked.text, other=asked.other, pins=asked.pins)
                    )
                    state.memory().filled = asked.text
                    state.memory().filled_other = asked.other
                st.rerun()


def from_file(raw: bytes) -> Asked:
    """A text and its pins from a file: one saved here, or plain text.

    Raises:
        BadInput: it is no text, empty, or too long.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput("the file is no UTF-8 text; save it as UTF-8") from error
    asked = Asked(text)
    if text.lstrip().startswith("{"):
        try:
            saved = json.loads(text)
        except (ValueError, RecursionError):
            saved = {}
        if isinstance(saved, dict) and isinstance(saved.get("text"), str):
            other = saved.get("other")
            pins = [pin for pin in saved.get("pins") or [] if isinstance(pin, int) and pin >= 0]
            asked = Asked(saved["text"], other if isinstance(other, str) else None, tuple(pins[:6]))
    for part in (asked.text, asked.other):
        if part is not None and len(part) > MOST_CHARACTERS:
            raise BadInput(
                f"the file holds {len(part):,} characters, and this page takes "
                f"{MOST_CHARACTERS:,}; cut it, or read it by: autointerp encode --text-file"
            )
    if not asked.text.strip():
        raise BadInput("the file holds no text")
    return asked
