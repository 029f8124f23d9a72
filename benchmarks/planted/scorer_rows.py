"""What the embedding scorer is worth with each embedder, on the ruled concepts that test it.

    python -m benchmarks.planted.scorer_rows [--half validation] [--embedders minilm …]

On windows of test documents (of validate documents for the validation half): AUROC, AUPRC, F1,
correlation and fit of every concept's own name, the share of the other concepts' names that it
beats, and in how many pairs a figure prefers it to its broadened and to its narrowed label.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from autointerp_core.arrays import Float64Array
from autointerp_core.labels.document_split import TEST, VALIDATE, Split
from autointerp_core.labels.embedders import MINILM, WORDLLAMA, KnownTexts, make_embedder
from autointerp_core.labels.scoring.sample_windows import WindowSampler
from autointerp_core.labels.scoring.scorers import ScorerRun, Tools, answer_runs
from autointerp_core.labels.scoring.scorers.embedding import EMBEDDING
from autointerp_core.store.event_details import ScorerResult
from autointerp_core.store.study import Study
from benchmarks.planted.build import build_planted, build_ruled
from benchmarks.planted.ruled import TESTING, VALIDATION, ruled
from benchmarks.report import Row, publish

FIGURES = ("value", "auprc", "f1", "correlation", "fit")
PREFERRED = 0.8
"""Share of pairs in which the figure that ranks must prefer the right label."""


def scorer_rows(study: Study, half: str, embedders: Sequence[str]) -> list[Row]:
    """Rows for one half of the ruled concepts."""
    part = TEST if half == TESTING else VALIDATE
    rows: list[Row] = []
    for name in embedders:
        sampler = WindowSampler(study, Split(study))
        tools = Tools(KnownTexts(make_embedder(name)))
        every = ruled()
        found: list[list[ScorerResult]] = []
        judged = 0
        begun = time.perf_counter()
        for feature, one in enumerate(every):
            drawn = sampler.sample(feature, part) if one.half == half else None
            if drawn is None or drawn.problem is not None:
                continue
            labels = [one.name, one.broadened, one.narrowed]
            labels += [other.name for other in every if other.name != one.name]
            runs = [ScorerRun.of(EMBEDDING, label, drawn, 0) for label in labels]
            answer_runs(runs, tools)
            judged += len(runs)
            found.append([run.score(name) for run in runs])
        seconds = time.perf_counter() - begun
        note = f"{len(found)} concepts of the {half} half with enough windows"
        for figure in FIGURES:
            table = np.array([[getattr(r, figure) or 0.0 for r in row] for row in found])
            rows.append(Row(f"{name}_{figure}", float(table[:, 0].mean()), note=note))
            beaten = _above(table[:, :1], table[:, 3:])
            rows.append(Row(f"{name}_{figure}_others_beaten", beaten))
            wider, narrower = (
                _above(table[:, :1], table[:, 1:2]),
                _above(table[:, :1], table[:, 2:3]),
            )
            ranks = figure == "fit" and name == MINILM and half == TESTING
            note_pairs = f"broadened {wider:.3f}, narrowed {narrower:.3f}"
            limit = PREFERRED if ranks else None
            value = (wider + narrower) / 2
            rows.append(Row(f"{name}_{figure}_pairs", value, limit, ">=", note=note_pairs))
        nearest = [row[0].near for row in found if row[0].near is not None]
        if nearest:
            rows.append(Row(f"{name}_near_windows", float(np.mean(nearest))))
        rows.append(Row(f"{name}_scores_per_minute", judged / seconds * 60, note="one core"))
    return rows


def _above(own: Float64Array, others: Float64Array) -> float:
    """Share of others below one's own; equal ones count half."""
    return float(((own > others) + 0.5 * (own == others)).mean())


def main() -> int:
    """Measure, print and write ``benchmarks/out/scorers.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=(TESTING, VALIDATION), default=TESTING)
    parser.add_argument("--embedders", nargs="+", default=[WORDLLAMA, MINILM])
    parser.add_argument("--folder", type=Path, help="where planted studies are kept")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        study = build_ruled(build_planted(arguments.folder or Path(folder)))
        rows = scorer_rows(study, arguments.half, arguments.embedders)
    return publish("scorers", rows)


if __name__ == "__main__":
    sys.exit(main())
