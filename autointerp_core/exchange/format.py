"""What a format is: a description of itself, and how one batch of features is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autointerp_core.exchange.subject import Subject
from autointerp_core.progress import ProgressCallback


@dataclass(frozen=True)
class Batch:
    """Features written together, and the files they become (relative to the export's folder)."""

    name: str
    features: tuple[int, ...]
    files: tuple[str, ...]
    parts: tuple[str, ...] = ()
    """Files that only ``close`` needs; they are gone when the export is finished."""


@dataclass(frozen=True)
class Plan:
    """What an export would write; nothing is written yet."""

    batches: tuple[Batch, ...]
    closing: tuple[str, ...] = ()
    """Files written once all batches are, such as an index."""
    lines: tuple[str, ...] = ()
    """The files in words, for people."""
    folders: tuple[str, ...] = ()
    """Folders of further files, which depend on what features have: such as one a label."""
    left_out: tuple[str, ...] = ()
    """What is over the format's limits, each in a line: left out whole, never cut."""

    @property
    def n_files(self) -> int:
        return sum(len(batch.files) for batch in self.batches) + len(self.closing)


@dataclass(frozen=True)
class Sent:
    """What came of sending an export somewhere, in a line."""

    line: str


def _nothing(*_: Any) -> None:
    return None


@dataclass(frozen=True)
class Format:
    """A format that a study can be written in."""

    name: str
    """As ``--format`` takes it."""
    title: str
    about: str
    """What it is for, in a sentence."""
    plan: Callable[[Subject], Plan]
    """What would be written. Raises BadInput where the study lacks what the format needs."""
    write: Callable[[Subject, Batch, Path], Sequence[str] | None]
    """Write the files of one batch, each whole or not at all, the same bytes every time. Gives the
    names of further files it wrote, beyond those planned."""
    close: Callable[[Subject, Plan, Path], None] = _nothing
    """Write what needs all batches to be there; also the same bytes every time."""
    send: Callable[[Subject, Plan, Path, ProgressCallback], Sent | None] = _nothing
    """Send what was written, where the configuration asks for that."""
    settings: tuple[str, ...] = ()
    """Names of the :class:`ExportConfig` fields that concern it."""
    version: int = 1
    """Raised when the same study would be written differently."""
    needs: str = ""
    """What a study must have, in words; empty: nothing beyond features."""


@dataclass(frozen=True)
class Scale:
    """How many features go into a batch, named by number."""

    size: int
    name: str = "batch-{}"
    files: tuple[str, ...] = field(default=())
    """Files of a batch, with ``{}`` for its name."""

    def batches(self, features: Sequence[int]) -> tuple[Batch, ...]:
        """The features cut into batches of ``size``, in order."""
        out = []
        for at in range(0, len(features), self.size):
            name = self.name.format(at // self.size)
            part = tuple(features[at : at + self.size])
            out.append(Batch(name, part, tuple(f.format(name) for f in self.files)))
        return tuple(out)
