"""Autointerp Explorer's engine: examples and labels for the features of sparse autoencoders.

The public names are the ones below, and only those. They load on first use, so that a
process which only reads studies never imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autointerp_core.errors import AutointerpError, BadInput
    from autointerp_core.labels.config import LabelConfig, ScoreConfig
    from autointerp_core.labels.run import label_features
    from autointerp_core.labels.scoring.run import score_labels
    from autointerp_core.pipeline import build_demo, label_study, run_labeling, score_study
    from autointerp_core.store.history import LabelHistory
    from autointerp_core.store.studies import list_studies
    from autointerp_core.store.study import Study

__version__ = "0.1.0"

_WHERE = {
    "AutointerpError": "errors",
    "BadInput": "errors",
    "LabelConfig": "labels.config",
    "LabelHistory": "store.history",
    "ScoreConfig": "labels.config",
    "Study": "store.study",
    "build_demo": "pipeline",
    "label_features": "labels.run",
    "label_study": "pipeline",
    "list_studies": "store.studies",
    "run_labeling": "pipeline",
    "score_labels": "labels.scoring.run",
    "score_study": "pipeline",
}

__all__ = [
    "AutointerpError",
    "BadInput",
    "LabelConfig",
    "LabelHistory",
    "ScoreConfig",
    "Study",
    "build_demo",
    "label_features",
    "label_study",
    "list_studies",
    "run_labeling",
    "score_labels",
    "score_study",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
