"""The layouts in which SAEs are published, and which of them a folder has."""

from __future__ import annotations

from pathlib import Path

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.layouts.base import Layout, Place, Weights
from autointerp_core.sources.layouts.dictionary_learning import DictionaryLearningLayout
from autointerp_core.sources.layouts.flat_files import GoodfireLayout, QwenScopeLayout
from autointerp_core.sources.layouts.gemma_scope import GemmaScope2Layout, GemmaScopeLayout
from autointerp_core.sources.layouts.openmoss import OpenMOSSLayout
from autointerp_core.sources.layouts.saelens import SAELensLayout
from autointerp_core.sources.layouts.sparsify import SparsifyLayout
from autointerp_core.sources.layouts.temporal import TemporalLayout
from autointerp_core.sources.layouts.transcoder_sets import TranscoderSetLayout

__all__ = ["LAYOUTS", "Layout", "Place", "Weights", "described", "places_in"]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        SAELensLayout(),
        SparsifyLayout(),
        DictionaryLearningLayout(),
        GemmaScopeLayout(),
        GemmaScope2Layout(),
        OpenMOSSLayout(),
        GoodfireLayout(),
        QwenScopeLayout(),
        TranscoderSetLayout(),
        TemporalLayout(),
    )
}
_NAMES_ABOVE = 8


def places_in(folder: Path, repository: str = "") -> list[Place]:
    """The SAEs that lie directly in a folder, of whatever layout.

    Raises:
        SAESourceError: the folder has the marks of two layouts.
    """
    above = tuple(parent.name for parent in folder.parents[:_NAMES_ABOVE] if parent.name)
    around = above + ((repository,) if repository else ())
    found = {
        name: entries for name, layout in LAYOUTS.items() if (entries := layout.entries(folder))
    }
    if len(found) > 1:
        marks = " and ".join(f"{name} ({LAYOUTS[name].files})" for name in found)
        raise SAESourceError(
            f"{folder} has the files of {len(found)} layouts, {marks}: keep one of them there"
        )
    return [
        Place(name, folder, entry, around) for name, entries in found.items() for entry in entries
    ]


def described() -> str:
    """Every layout and its files, for messages."""
    return "; ".join(f"{layout.name}: {layout.files}" for layout in LAYOUTS.values())
