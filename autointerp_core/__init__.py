"""Autointerp Explorer's engine: examples and labels for the features of sparse autoencoders.

The public names are the ones below, and only those. They load on first use, so that a
process which only reads studies never imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autointerp_core.errors import AutointerpError, BadInput
    from autointerp_core.pipeline import build_demo, run_labeling
    from autointerp_core.store.history import LabelHistory
    from autointerp_core.store.studies import list_studies
    from autointerp_core.store.study import Study

__version__ = "0.1.0"

_WHERE = {
    "AutointerpError": "errors",
    "BadInput": "errors",
    "LabelHistory": "store.history",
    "Study": "store.study",
    "build_demo": "pipeline",
    "list_studies": "store.studies",
    "run_labeling": "pipeline",
}

__all__ = [
    "AutointerpError",
    "BadInput",
    "LabelHistory",
    "Study",
    "build_demo",
    "list_studies",
    "run_labeling",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
