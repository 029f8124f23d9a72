"""The formats there are. Imports nothing but names: the command line lists them at every start."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from autointerp_core.errors import ParameterError

if TYPE_CHECKING:
    from autointerp_core.exchange.format import Format

EXPORTS: Mapping[str, str] = {
    "results": "results",
    "html": "html",
    "neuronpedia": "neuronpedia",
    "neuronpedia-upload": "neuronpedia_upload",
    "sae-dashboard": "sae_dashboard",
    "delphi": "delphi",
    "circuit-tracer": "circuit_tracer",
    "dataset": "dataset",
}
"""Modules of :mod:`.formats` by the name of their format, in the order in which people see them."""
IMPORTS: Mapping[str, str] = {
    "results": "a feature_labels.json, or a label history exported elsewhere",
    "neuronpedia": "explanations of a Neuronpedia export: a file (.jsonl, .jsonl.gz) or its folder",
    "delphi": "delphi's results folder, with explanations/ and scores/",
    "dataset": "a folder that the dataset format wrote: its label history",
}
"""What can be read, and what is expected there."""


def export_formats() -> dict[str, Format]:
    """Every format a study can be written in, by name."""
    return {name: export_format(name) for name in EXPORTS}


def export_format(name: str) -> Format:
    """The format of that name.

    Raises:
        ParameterError: there is none.
    """
    if name not in EXPORTS:
        raise ParameterError(f"{name!r} is no export format; one of: {', '.join(EXPORTS)}")
    found: Format = import_module(f"autointerp_core.exchange.formats.{EXPORTS[name]}").FORMAT
    return found


def check_import_format(name: str) -> None:
    """Refuse a format that cannot be read.

    Raises:
        ParameterError: it cannot.
    """
    if name not in IMPORTS:
        raise ParameterError(f"{name!r} is no import format; one of: {', '.join(IMPORTS)}")
