"""What the page's address says, and changing it. The address is the state: links reproduce it."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from autointerp_core.explore.view import View


def params() -> dict[str, str]:
    return dict(st.query_params.to_dict())


LOOK = ("tab", "window", "lines", "peak", "plot", "across", "up", "axes")
"""What says how a page is looked at (``look.py``); it stays while one goes from place to place."""


def put(values: Mapping[str, str]) -> None:
    """Make the address hold ``values``, and how the page is looked at, and nothing else."""
    values = {name: text for name, text in params().items() if name in LOOK} | dict(values)
    if params() != dict(values):
        st.query_params.from_dict(values)


def view() -> View:
    return View.from_params(params())


def study() -> str:
    return params().get("study", "")


def feature() -> int | None:
    """The feature named by the address, None where it names none."""
    text = params().get("feature", "")
    return int(text) if text.isdecimal() and len(text) < 10 else None


def address(study_name: str, view_: View, feature_: int | None = None) -> dict[str, str]:
    """Query parameters of a page."""
    own = {"study": study_name}
    if feature_ is not None:
        own["feature"] = str(feature_)
    return own | view_.params()
