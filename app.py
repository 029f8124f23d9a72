"""Autointerp Explorer: find SAE features worth a look, understand one, decide on its label.

``streamlit run app.py``
"""

import streamlit as st

from ui import shell

st.set_page_config(page_title=shell.TITLE, page_icon=shell.ICON, layout="wide")
shell.run(st.navigation(shell.pages(), position="top"))
