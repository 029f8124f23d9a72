"""Small rules for texts that people read."""

from __future__ import annotations

from ui.marks import marked


def sentence(message: str) -> str:
    """An error's message as a sentence of its own."""
    message = marked(message)
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "?")) else ".")
