"""Small rules for texts that people read."""

from __future__ import annotations


def sentence(message: str) -> str:
    """An error's message as a sentence of its own."""
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "?")) else ".")
