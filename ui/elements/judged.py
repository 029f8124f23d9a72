"""A judged window as the token view shows it."""

from __future__ import annotations

from dataclasses import replace

from autointerp_core.labels.scoring.evidence import JudgedWindow
from ui.elements.tokens import Line

KINDS = {
    "active": "Firing",
    "easy": "Easy silent",
    "hard": "Hard silent",
    "neighbour": "Neighbours' silent",
    "near": "Like the label, silent",
}


def judged_line(line: Line, judged: JudgedWindow) -> Line:
    """A window with what was expected of the judge, and what it said."""
    kind = KINDS.get(judged.window.kind, judged.window.kind).lower()
    said = judged.probability
    undecided = "undecided: as near to yes as to no" if said is not None else "no judgement"
    return replace(
        line,
        marked=list(judged.marked or ()),
        verdict="missing" if judged.right is None else "right" if judged.right else "wrong",
        judged="" if said is None else f"{said:.2f}",
        note=f"{kind} · expected {'yes' if judged.expected else 'no'}",
        why=judged.error or (undecided if judged.right is None else ""),
    )
