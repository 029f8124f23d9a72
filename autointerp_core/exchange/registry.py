"""The formats there are. Imports nothing heavy: the app lists them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from autointerp_core.errors import ParameterError
from autointerp_core.exchange.format import Format

_EXPORTS = (
    "results",
    "html",
    "neuronpedia",
    "neuronpedia_upload",
    "sae_dashboard",
    "delphi",
    "circuit_tracer",
    "dataset",
)
"""Modules of :mod:`.formats`, in the order in which people see them."""
IMPORTS: Mapping[str, str] = {
    "results": "a feature_labels.json, or a label history exported elsewhere",
    "neuronpedia": "explanations of a Neuronpedia export: a file (.jsonl, .jsonl.gz) or its folder",
    "delphi": "delphi's results folder, with explanations/ and scores/",
    "dataset": "a folder that the dataset format wrote: its label history",
}
"""What can be read, and what is expected there."""


def export_formats() -> dict[str, Format]:
    """Every format a study can be written in, by name."""
    found = {}
    for module in _EXPORTS:
        made: Format = import_module(f"autointerp_core.exchange.formats.{module}").FORMAT
        found[made.name] = made
    return found


def export_format(name: str) -> Format:
    """The format of that name.

    Raises:
        ParameterError: there is none.
    """
    known = export_formats()
    if name not in known:
        raise ParameterError(f"{name!r} is no export format; one of: {', '.join(known)}")
    return known[name]


def check_import_format(name: str) -> None:
    """Refuse a format that cannot be read.

    Raises:
        ParameterError: it cannot.
    """
    if name not in IMPORTS:
        raise ParameterError(f"{name!r} is no import format; one of: {', '.join(IMPORTS)}")
