"""Small words about files, for messages; none of them raises."""

from __future__ import annotations

from pathlib import Path

from autointerp_core.remote import RemotePath

_SHOWN = 8


def shortened(names: list[str], shown: int = _SHOWN) -> str:
    """A list for a message: the first few names, and how many there are in all."""
    listed = ", ".join(names[:shown])
    return listed + (f", … ({len(names)} in all)" if len(names) > shown else "")


def listing(folder: Path | RemotePath) -> str:
    """What a folder holds, by name."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        return f"nothing that can be read ({error.strerror})"
    return shortened(names) or "nothing"
