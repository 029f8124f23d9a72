"""Compared features as a table that scrolls, with links to both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from ui import readers
from ui.marks import marked

_FEATURE = r"feature=(\d+)"
HEIGHT = 520
MOST_ROWS = 5_000
"""Rows of a table: enough to read, few enough to be there at once."""


def links(opened: readers.OpenStudy, features: Sequence[int]) -> list[str | None]:
    """The address of each feature's page; None where it is none."""
    return [
        f"feature?{urlencode({'study': opened.name, 'feature': feature})}" if feature >= 0 else None
        for feature in features
    ]


def labels(opened: readers.OpenStudy, features: Sequence[int]) -> list[str]:
    """The label of each feature, or nothing."""
    snapshot = opened.snapshot()
    return [marked(snapshot.state(int(f)).label or "") if f >= 0 else "" for f in features]


def link_column(title: str, help_: str) -> Any:
    """A column of :func:`links` that shows the feature's number."""
    return st.column_config.LinkColumn(title, display_text=_FEATURE, help=help_, width="small")


def number_column(title: str, help_: str, form: str = "%.2f") -> Any:
    """A column of numbers."""
    return st.column_config.NumberColumn(title, help=help_, format=form, width="small")


def cut(count: int) -> None:
    """Say that a table has fewer rows than there are features."""
    if count > MOST_ROWS:
        st.caption(
            f"The first {MOST_ROWS:,} of {count:,} rows; `autointerp compare A B --top 0` has all."
        )


def table(columns: dict[str, Any], configs: dict[str, Any], key: str) -> None:
    """Show columns of one length; a click on a header sorts, and all rows are there."""
    st.dataframe(
        pd.DataFrame(columns),
        column_config=configs,
        hide_index=True,
        height=HEIGHT,
        key=key,
    )


def finite(values: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers as the table shows them, NaN where they are not known."""
    return np.where(np.isfinite(values), values, np.nan).astype(np.float64)


def partly(whose: str, share: float) -> None:
    """Say so where only the beginning of a very large study was read."""
    if share < 1:
        st.caption(f"{whose}, only the first {share:.0%} of the tokens are compared.")
