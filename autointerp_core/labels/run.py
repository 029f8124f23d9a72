"""From features to labels a person can judge: propose, score, choose.

Search labels first (they cost nothing), then the language model's proposals, then scores
of all of them. Each step records what it made; a rerun asks for nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autointerp_core.labels.document_split import SMALLEST, Split
from autointerp_core.labels.embedders import make_embedder
from autointerp_core.labels.estimate import estimate
from autointerp_core.labels.explain.generate import generate_labels
from autointerp_core.labels.explain.report import GenerationReport
from autointerp_core.labels.options import RANKED, LabelOptions
from autointerp_core.labels.providers.base import LabelProvider, Usage
from autointerp_core.labels.scoring.names import JUDGED, NONE
from autointerp_core.labels.scoring.run import ScoreReport, score_labels
from autointerp_core.labels.search.rank_phrases import can_rank, plan, rank_labels
from autointerp_core.labels.search.record import SEARCH, record_search_labels, search_labeler
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study, own_model


@dataclass
class LabelReport:
    """What :func:`label_features` did."""

    search: GenerationReport
    llm: GenerationReport | None = None
    scores: ScoreReport | None = None
    requests: int = 0
    """Prompts that were sent to models."""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    """US dollars; None where something was asked for at a price that is not known."""
    out_of_budget: bool = False
    """Whether nothing was left for a judge of its own."""
    notices: list[str] = field(default_factory=list)

    @property
    def stopped(self) -> str | None:
        """Why the run ended early (a budget); None where it did not."""
        ended = [r.stopped for r in (self.llm, self.scores) if r is not None]
        if self.out_of_budget:
            ended.append("the budget is used up: labels were made, none was judged")
        return next((reason for reason in ended if reason), None)


def label_features(
    study: Study,
    features: Sequence[int],
    history: LabelHistory,
    options: LabelOptions,
    *,
    llm_features: Sequence[int] | None = None,
    progress: ProgressCallback = silent,
) -> LabelReport:
    """Propose labels for features, and score them where ``options`` says so.

    Args:
        study: where the examples come from.
        features: what to label.
        history: where labels are looked up and recorded.
        options: how.
        llm_features: features that get LLM labels too; None: all.
        progress: as everywhere.

    Raises:
        BadInput: a feature is not in the study, a model cannot be loaded.
        ProviderError: the provider failed for good; labels made so far are recorded.
    """
    provider = options.make_provider()
    split = Split(study, hold_out=options.hold_out)
    labeler = search_labeler(split)
    search = record_search_labels(
        study, features, history, split=split, labeler=labeler, progress=progress
    )
    report = LabelReport(search)
    chosen = list(features) if llm_features is None else list(llm_features)
    expected = estimate(study, chosen, options)
    if expected.requests:
        forecast = f"{expected.text(paid=options.paid)}; less where answers are known already"
        progress(Progress("labels", message=forecast))
    judge: LabelProvider | None = None
    try:
        if provider is not None:
            report.llm = GenerationReport()
            for method, settings in plan(
                options.method, options.candidates, ranks=can_rank(provider)
            ):
                if method == RANKED:
                    made = rank_labels(
                        split,
                        chosen,
                        provider,
                        history,
                        labeler,
                        max_examples=options.max_examples,
                        hint=options.hint,
                        regenerate=options.regenerate,
                        progress=progress,
                    )
                else:
                    made = generate_labels(
                        study,
                        chosen,
                        provider,
                        history,
                        method=method,
                        max_examples=options.max_examples,
                        group=options.group,
                        regenerate=options.regenerate,
                        hint=options.hint,
                        settings=settings,
                        split=split,
                        progress=progress,
                    )
                report.llm.add(made)
                if report.llm.stopped:
                    break
        judge = options.make_judge_provider(provider)
        report.out_of_budget = bool(options.judged) and judge is None
        if judge is not provider and provider is not None:
            provider.close()
        scorers = options.scorers
        if report.stopped:  # a spent budget leaves what costs nothing
            scorers = tuple(scorer for scorer in scorers if scorer not in JUDGED)
        if scorers and split.holds_out:
            report.scores = score_labels(
                study,
                features,
                history,
                scorers=scorers,
                provider=judge,
                embedder=make_embedder(options.embedder),
                per_class=options.score_windows,
                progress=progress,
            )
    finally:
        for used in {id(p): p for p in (provider, judge) if p is not None}.values():
            used.close()
    usage = list({id(p): p.usage for p in (provider, judge) if p is not None}.values())
    _count(report, usage)
    report.notices = _notices(report, split, options) + _possibly_paid(usage)
    return report


def _notices(report: LabelReport, split: Split, options: LabelOptions) -> list[str]:
    told = [
        *(report.llm.notices if report.llm else []),
        *(report.scores.notices if report.scores else []),
    ]
    if options.scorers and not split.holds_out:
        count = len(split.study.tokens.documents) - 1
        told.append(
            f"no scores: the study has {count} documents, and holding some out for testing needs "
            f"at least {SMALLEST}"
        )
    return list(dict.fromkeys(told))


def _count(report: LabelReport, used: Sequence[Usage]) -> None:
    """What providers used, into the report."""
    for usage in used:
        report.requests += usage.requests
        report.tokens_in += usage.tokens_in
        report.tokens_out += usage.tokens_out
        asked = usage.requests or usage.possibly_paid
        if asked and usage.dollars is None:
            report.cost = None
        elif report.cost is not None:
            report.cost += usage.dollars or 0.0


def _possibly_paid(used: Sequence[Usage]) -> list[str]:
    """Replies that were of no use: nobody but the server knows whether they were counted."""
    count = sum(usage.possibly_paid for usage in used)
    tokens = sum(usage.possibly_paid_tokens for usage in used)
    if not count:
        return []
    return [
        f"{count} replies were cut off or unreadable; they may have cost another {tokens:,} "
        "prompt tokens"
    ]


def run_generate_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """The app's background job: labels for some features of one study, scored if asked.

    Args:
        params: ``study`` (folder), ``features``, and any field of :class:`LabelOptions`.
            ``provider`` may be ``search`` for search labels alone; ``regenerate`` is true
            unless given; the model is the study's own unless given.
        progress: as everywhere.

    Returns:
        ``features``; of labels ``made``, ``reused``, ``failed``, ``dead``; ``tokens_in``,
        ``tokens_out``, ``cost`` (None: unknown), ``seconds``, ``stopped``, ``notices``;
        ``scores``, the score report or None.
    """
    study = Study(Path(params["study"]))
    features = [int(feature) for feature in params["features"]]
    given = {
        **params,
        "provider": NONE if params.get("provider") == SEARCH else params.get("provider"),
    }
    options = LabelOptions.from_params(given, regenerate=True, model_path=own_model(study))
    with LabelHistory.open() as history:
        report = label_features(study, features, history, options, progress=progress)
    main = report.llm or report.search
    scores = asdict(report.scores) if report.scores is not None else None
    return {
        **asdict(main),
        **total(report),
        "features": features,
        "stopped": report.stopped,
        "notices": report.notices,
        "scores": scores,
    }


def total(report: LabelReport) -> dict[str, Any]:
    """What the whole run asked of models."""
    return {name: getattr(report, name) for name in ("requests", "tokens_in", "tokens_out", "cost")}
