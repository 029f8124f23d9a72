"""What a background job can be, and where its work is found (imported by the worker only)."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

from autointerp_core.errors import JobError
from autointerp_core.progress import ProgressCallback

Work: TypeAlias = Callable[[dict[str, Any], ProgressCallback], dict[str, Any]]

KINDS: dict[str, str] = {
    "label": "autointerp_core.jobs.work:run_label_job",
    "demo": "autointerp_core.jobs.work:run_demo_job",
    "generate": "autointerp_core.jobs.work:run_generate_job",
    "score": "autointerp_core.jobs.work:run_score_job",
    "find": "autointerp_core.jobs.work:run_find_job",
    "neighbours": "autointerp_core.jobs.work:run_neighbours_job",
    "families": "autointerp_core.jobs.work:run_families_job",
    "map": "autointerp_core.jobs.work:run_map_job",
    "compare": "autointerp_core.jobs.work:run_compare_job",
    "export": "autointerp_core.jobs.exchange_work:run_export_job",
    "import": "autointerp_core.jobs.exchange_work:run_import_job",
    "selftest": "autointerp_core.jobs.selftest:run_selftest_job",
}


def check_kind(kind: str) -> None:
    """Refuse a kind that is not registered.

    Raises:
        JobError: unknown kind.
    """
    if kind not in KINDS:
        raise JobError(f"{kind!r} is no kind of job; one of: {', '.join(sorted(KINDS))}")


def load(kind: str) -> Work:
    """Import the work of ``kind``.

    Raises:
        JobError: unknown kind.
    """
    check_kind(kind)
    module, _, name = KINDS[kind].partition(":")
    work: Work = getattr(import_module(module), name)
    return work
