"""What the embedding scorer is worth with each embedder, on the ruled concepts that test it.

    python -m benchmarks.planted.scorer_rows [--half development] [--embedders minilm …]

On windows of test documents: AUROC, AUPRC, F1, correlation and fit of every concept's own name, the
share of the other concepts' names that it beats, and in how many pairs a figure prefers it to its
broadened and to its narrowed label. On the development half also how the figures do where a label
that names one of a feature's words is the right one (:mod:`.guards`).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from autointerp_core.arrays import Float64Array
from autointerp_core.labels.document_split import TEST, Split
from autointerp_core.labels.embedders import MINILM, WORDLLAMA, KnownTexts, make_embedder
from autointerp_core.labels.scoring.sample_windows import WindowSampler, WindowSet
from autointerp_core.labels.scoring.scorers import ScorerRun, Tools, answer_runs
from autointerp_core.labels.scoring.scorers.embedding import EMBEDDING
from autointerp_core.store.score_values import ScorerResult
from autointerp_core.store.study import Study
from benchmarks.planted.build import build_guards, build_ruled
from benchmarks.planted.guards import NAMED_AMONG, ONE_WORD, guards
from benchmarks.planted.ruled import DEVELOPMENT, FIRST, SECOND, TESTING, ruled
from benchmarks.report import Row, publish

FIGURES = ("value", "auprc", "f1", "correlation", "fit")
PREFERRED = 0.8
"""Share of pairs in which the figure that ranks must prefer the right label."""


def scorer_rows(study: Study, half: str, rule: int, embedder: str) -> Iterator[Row]:
    """Rows for the concepts of one half that one rule took."""
    sampler = WindowSampler(study, Split(study))
    tools = Tools(KnownTexts(make_embedder(embedder)))
    chosen = [(f, one) for f, one in enumerate(ruled()) if (one.half, one.rule) == (half, rule)]
    found: list[list[ScorerResult]] = []
    begun = time.perf_counter()
    for feature, one in chosen:
        drawn = sampler.sample(feature, TEST)
        if drawn.problem is None:
            labels = [one.name, one.broadened, one.narrowed]
            labels += [other.name for _, other in chosen if other is not one]
            found.append(_scored(labels, drawn, tools))
    seconds = time.perf_counter() - begun
    start = f"{embedder}_{'' if rule == SECOND else 'first_forty_'}"
    note = f"{len(found)} concepts of the {half} half with enough windows"
    for figure in FIGURES:
        table = np.array([[getattr(r, figure) or 0.0 for r in row] for row in found])
        yield Row(f"{start}{figure}", float(table[:, 0].mean()), note=note)
        yield Row(f"{start}{figure}_others_beaten", _above(table[:, :1], table[:, 3:]))
        wider, narrower = (_above(table[:, :1], table[:, i : i + 1]) for i in (1, 2))
        ranks = figure == "fit" and embedder == MINILM and half == TESTING
        yield Row(
            f"{start}{figure}_pairs",
            (wider + narrower) / 2,
            PREFERRED if ranks else None,
            ">=",
            note=f"broadened {wider:.3f}, narrowed {narrower:.3f}",
        )
    nearest = [row[0].near for row in found if row[0].near is not None]
    if nearest:
        yield Row(f"{start}near_windows", float(np.mean(nearest)))
    judged = sum(map(len, found))
    yield Row(f"{start}scores_per_minute", judged / seconds * 60, note="one core")


def guard_rows(study: Study, embedder: str) -> Iterator[Row]:
    """How often the right label is preferred where it names one of the feature's words."""
    sampler = WindowSampler(study, Split(study))
    tools = Tools(KnownTexts(make_embedder(embedder)))
    for kind in (ONE_WORD, NAMED_AMONG):
        above: dict[str, list[float]] = {"value": [], "fit": []}
        for feature, guard in enumerate(guards()):
            drawn = sampler.sample(feature, TEST) if guard.kind == kind else None
            if drawn is None or drawn.problem is not None:
                continue
            scored = _scored([guard.right, *guard.wrong], drawn, tools)
            for figure, values in above.items():
                own, *wrong = (getattr(result, figure) or 0.0 for result in scored)
                values.append(_above(np.array([own]), np.array(wrong)))
        for figure, values in above.items():
            name = f"{embedder}_guard_{kind.replace(' ', '_')}_{figure}_pairs"
            yield Row(name, float(np.mean(values)), note=f"{len(values)} features")


def _scored(labels: Sequence[str], drawn: WindowSet, tools: Tools) -> list[ScorerResult]:
    runs = [ScorerRun.of(EMBEDDING, label, drawn, 0) for label in labels]
    answer_runs(runs, tools)
    return [run.score(tools.known.embedder.name) for run in runs]


def _above(own: Float64Array, others: Float64Array) -> float:
    """Share of others below one's own; equal ones count half."""
    return float(((own > others) + 0.5 * (own == others)).mean())


def main() -> int:
    """Measure, print and write ``benchmarks/out/scorers.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=(TESTING, DEVELOPMENT), default=TESTING)
    parser.add_argument("--embedders", nargs="+", default=[WORDLLAMA, MINILM])
    parser.add_argument("--folder", type=Path, help="where planted studies are kept")
    arguments = parser.parse_args()
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        study = build_ruled(arguments.folder or Path(folder))
        for name in arguments.embedders:
            rows += scorer_rows(study, arguments.half, SECOND, name)
            if arguments.half == DEVELOPMENT:
                rows += scorer_rows(study, DEVELOPMENT, FIRST, name)
                rows += guard_rows(build_guards(study), name)
    return publish("scorers", rows)


if __name__ == "__main__":
    sys.exit(main())
