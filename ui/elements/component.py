"""Registering our own page elements: a JS and a CSS file beside their module, plus shared ones."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

_HERE = Path(__file__).parent


def register(name: str, folder: Path = _HERE) -> ComponentRenderer:
    """The mount function of the element in ``<name>.js`` and ``<name>.css`` of ``folder``.

    Call it once, at import: registering again would replace the element of open pages.
    """
    read = {part: (_HERE / part).read_text("utf-8") for part in ("text.js", "text.css")}
    renderer: ComponentRenderer = st.components.v2.component(
        f"autointerp_{name}",
        html='<div class="root"></div>\n',
        css=read["text.css"] + (folder / f"{name}.css").read_text("utf-8"),
        js=read["text.js"] + (folder / f"{name}.js").read_text("utf-8"),
    )
    return renderer
