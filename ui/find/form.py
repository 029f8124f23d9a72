"""The form of the Find page: which documents are meant, and how features are ranked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from autointerp_core.errors import AutointerpError
from autointerp_core.find.documents import texts_in
from autointerp_core.find.statistics import COUNT, MAX, MEAN
from ui import readers, session
from ui.find.asked import CLASS, CORPUS, PATTERN, TEXTS, WAYS, WORDS, Asked, kept, put
from ui.sentences import sentence

RANKS = {
    "evidence": "Evidence",
    "auroc": "AUROC",
    "difference": "Mean difference",
    "fisher": "Fisher separation",
    "density_ratio": "Density ratio",
}
VALUES = {MAX: "Strongest activation", MEAN: "Activation a token", COUNT: "Firings a token"}
_ABOUT = (
    "**Words**, **Pattern**: the study's documents that hold one of the words, or match a regular "
    "expression, against the rest.\n\n**Texts**: texts of your own, read by the model, against "
    "others or against the study's documents.\n\n**Class**: a column of the study's dataset says "
    "which document is of which class.\n\n**Corpus**: all documents of this study against those of "
    "another study of its SAE, or of a dataset."
)
_ABOUT_RANK = (
    "Features that are significant (false discovery rate of 1 % over all features) come first by "
    "any measure.\n\n**Evidence**: by how many standard deviations of chance the feature tells "
    "positive documents from others; how often it fires earns nothing. **AUROC**: the chance that "
    "a positive document holds a higher value. **Fisher separation**: squared mean difference over "
    "the variances. **Density ratio**: firings a token there over firings a token elsewhere."
)


def show(opened: readers.OpenStudy, asked: Asked) -> None:
    """The form; every change is a new question."""
    with st.container(key="find_form", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.segmented_control(
                "Positive documents", list(WAYS), default=asked.how, key=_key("how"),
                format_func=WAYS.__getitem__, required=True, on_change=_apply,
                label_visibility="collapsed",
            )  # fmt: skip
            with st.container(key="about_find", width="content"):
                st.markdown("", help=_ABOUT)
            st.space("stretch")
            st.selectbox(
                "Rank by", list(RANKS), list(RANKS).index(asked.rank), key=_key("rank"),
                format_func=lambda name: f"Rank by: {RANKS[name]}", on_change=_apply,
                label_visibility="collapsed", width=230,
            )  # fmt: skip
            st.selectbox(
                "Value of a document", list(VALUES), list(VALUES).index(asked.value),
                key=_key("value"), format_func=lambda name: f"By: {VALUES[name]}",
                on_change=_apply, label_visibility="collapsed", width=230,
            )  # fmt: skip
            with st.container(key="about_rank", width="content"):
                st.markdown("", help=_ABOUT_RANK)
        if asked.how == TEXTS:
            _texts(opened, asked)
        elif asked.how == CLASS:
            _class(opened, asked)
        elif asked.how == CORPUS:
            _corpus(opened, asked)
        else:
            words = asked.how == WORDS
            st.text_input(
                "Words" if words else "Regular expression",
                asked.q,
                key=_key("q"),
                placeholder="inflation, prices, central bank" if words else r"\b19\d\d\b",
                on_change=_apply,
                label_visibility="collapsed",
                help="Whole words, letters in either case, commas between them" if words else None,
                width=520,
            )


def _texts(opened: readers.OpenStudy, asked: Asked) -> None:
    left, right = st.columns(2)
    with left:
        st.text_area(
            "Positive texts, one a line", asked.q, key=_key("q"), height=140, on_change=_apply,
            placeholder="Prices rose by 3 % in May.\nThe central bank kept interest rates …",
        )  # fmt: skip
        _file("q", "Positive texts from a file")
    with right:
        st.text_area(
            "Negative texts, one a line", asked.negative, key=_key("not"), height=140,
            on_change=_apply, placeholder="Empty: all documents of the study",
        )  # fmt: skip
        _file("negative", "Negative texts from a file")


def _file(field: str, title: str) -> None:
    with st.popover(title, icon=":material/upload_file:"):
        given = st.file_uploader(
            "A text a line, or .jsonl", type=["txt", "jsonl"], key=_key(f"file_{field}")
        )
        if given is None:
            return
        try:
            texts = texts_in(given.name, given.getvalue())
        except AutointerpError as error:
            st.text(sentence(str(error)))
            return
        st.text(f"{len(texts):,} texts")
        st.button("Take them", key=_key(f"take_{field}"), on_click=_take, args=(field, texts))


def _take(field: str, texts: list[str]) -> None:
    """A text is a line here, so line breaks inside one become spaces."""
    joined = "\n".join(" ".join(text.split()) for text in texts)
    kept().draft += 1
    put(replace(_before(), **{field: joined}))


def _class(opened: readers.OpenStudy, asked: Asked) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(
            f"Column of {opened.info.dataset_name}", asked.column, key=_key("column"),
            placeholder="category", on_change=_apply, width=260,
        )  # fmt: skip
        st.text_input(
            "Class", asked.which, key=_key("class"), placeholder="Empty: each in turn",
            on_change=_apply, width=260,
        )  # fmt: skip


def _corpus(opened: readers.OpenStudy, asked: Asked) -> None:
    found, _ = readers.studies()
    called = readers.names(found)
    others = [
        info.id
        for info in found
        if info.id != opened.name and info.sae_fingerprint == opened.info.sae_fingerprint
    ]
    st.selectbox(
        "This study's documents against", others, others.index(asked.against)
        if asked.against in others else None, key=_key("against"), on_change=_apply,
        accept_new_options=True, width=520, format_func=lambda name: called.get(name, name),
        placeholder="another study of this SAE; or type a dataset: a file, a folder, a hub id",
    )  # fmt: skip


def _key(name: str) -> str:
    return f"find_{name}_{kept().draft}"


def _before() -> Asked:
    return kept().asked or Asked()


def _apply() -> None:
    """Callback of every box: together they are the question."""

    def got(name: str, default: Any) -> Any:
        value = session.widget(_key(name))
        return default if value is None else value

    before = _before()
    how = got("how", before.how)
    fresh = how != before.how
    asked = replace(
        before,
        how=how,
        q="" if fresh and TEXTS in (how, before.how) else got("q", before.q),
        negative=got("not", before.negative),
        rank=got("rank", before.rank),
        value=got("value", before.value),
        against=got("against", "" if how == CORPUS and not fresh else before.against),
        column=got("column", before.column),
        which=got("class", before.which if how != CLASS or fresh else ""),
    )
    if fresh:
        kept().draft += 1
        if PATTERN in (how, before.how):
            asked = replace(asked, q="")
    kept().feature = None
    put(asked)
