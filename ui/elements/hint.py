"""A line for a first visit: what this page is and what to do next. Dismissed, it stays away.

The browser remembers that, so nothing is asked of the server.
"""

from __future__ import annotations

from ui.elements.component import register

_HINT = register("hint")
_TEXTS = {
    "features": "Each row is a feature: a part of what the model represents. Open one to read "
    "the text it fires on, and accept or write its label. Review hands you one after another.",
    "feature": "Orange marks the tokens it fires on, a frame the strongest. Read some examples, "
    "then accept a proposed label (keys 1 and 2) or write your own.",
    "try_a_text": "Which features fire on a text of your own? Type one and read it: each token "
    "shows its strongest feature. Click a token for the others, pin up to six in colours.",
    "steer": "What does the model write when a feature is turned up, held or taken out? The same "
    "prompt and the same seed, with and without.",
}


def line(name: str) -> None:
    """The line of a page, until it is dismissed in this browser."""
    _HINT(key=f"hint_{name}", data={"name": name, "text": _TEXTS[name]})
