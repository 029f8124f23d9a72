"""The live model: any text's features at once, and what a model says while they are turned.

``model`` holds model and SAE in this process; ``worker`` is a process of its own that keeps them
warm for the app, and ``client`` speaks to it without importing torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autointerp_core.live.encoded import EncodedText
    from autointerp_core.live.model import LiveModel, open_live, open_pair

_WHERE = {
    "EncodedText": "encoded",
    "LiveModel": "model",
    "open_live": "model",
    "open_pair": "model",
}

__all__ = ["EncodedText", "LiveModel", "open_live", "open_pair"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
