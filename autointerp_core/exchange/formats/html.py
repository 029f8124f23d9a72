"""One HTML page to look at, without a server."""

from __future__ import annotations

from pathlib import Path

from autointerp_core.exchange.format import Format, Plan
from autointerp_core.exchange.subject import Subject
from autointerp_core.export.html_page import write_html_page

_FILE = "features.html"


def _plan(subject: Subject) -> Plan:
    return Plan((), (_FILE,), (f"{_FILE}: one page with {len(subject.features):,} features",))


def _close(subject: Subject, _: Plan, folder: Path) -> None:
    write_html_page(
        folder / _FILE,
        subject.study,
        subject.history,
        subject.asked,
        dict(subject.scores),
        max_examples=subject.config.examples,
    )


def _no_batches(*_: object) -> None:
    """The page is one file, written at the end."""


FORMAT = Format(
    name="html",
    title="Web page",
    about="one page with examples, labels and statistics; opens without a server",
    plan=_plan,
    write=_no_batches,
    close=_close,
    settings=("examples",),
)
