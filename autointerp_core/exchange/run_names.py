"""The files that an export keeps for itself in its folder."""

MANIFEST = ".autointerp-export.json"
"""What the folder is an export of, and which batches are written."""
LOCK = ".autointerp-export.lock"
"""Held while an export is at work; the file stays, as unlinking it would let a second one in."""
