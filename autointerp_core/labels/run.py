"""From features to labels a person can judge: propose, score, choose.

Search labels first (they cost nothing), then the language model's proposals, then scores
of all of them. Each step records what it made; a rerun asks for nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autointerp_core.labels.config import LabelConfig
from autointerp_core.labels.document_split import SMALLEST, Split
from autointerp_core.labels.estimate import estimate_labels
from autointerp_core.labels.explain.generate import generate_labels
from autointerp_core.labels.explain.report import GenerationReport
from autointerp_core.labels.providers.base import LabelProvider, Usage
from autointerp_core.labels.scoring.measuring import score_and_measure
from autointerp_core.labels.scoring.report import ScoreReport
from autointerp_core.labels.scoring.study_model import StudyModel
from autointerp_core.labels.search.raised_tokens import record_output_labels
from autointerp_core.labels.search.rank_phrases import RANKED, can_rank, plan, rank_labels
from autointerp_core.labels.search.record import record_search_labels, search_labeler
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study


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
    config: LabelConfig,
    *,
    llm_features: Sequence[int] | None = None,
    open_model: Callable[[], StudyModel] | None = None,
    progress: ProgressCallback = silent,
) -> LabelReport:
    """Propose labels for features, and score them where ``config`` says so.

    Args:
        study: where the examples come from.
        features: what to label.
        history: where labels are looked up and recorded.
        config: how.
        llm_features: features that get LLM labels too; None: all.
        open_model: loads the study's model and SAE, for measures that encode text.
        progress: as everywhere.

    Raises:
        BadInput: a feature is not in the study, a model cannot be loaded.
        ProviderError: the provider failed for good; labels made so far are recorded.
    """
    config = config.on(study)
    provider = config.make_provider()
    split = Split(study, hold_out=config.hold_out)
    labeler = search_labeler(split, config.search_embedder)
    search = record_search_labels(
        study, features, history, split=split, labeler=labeler, progress=progress
    )
    if config.output_labels:
        record_output_labels(study, features, history, split)
    report = LabelReport(search)
    chosen = list(features) if llm_features is None else list(llm_features)
    expected = estimate_labels(study, chosen, config)
    if expected.requests:
        forecast = f"{expected.text(paid=config.paid)}; less where answers are known already"
        progress(Progress("labels", message=forecast))
    judge: LabelProvider | None = None
    try:
        if provider is not None:
            report.llm = GenerationReport()
            for method, settings in plan(
                config.method, config.candidates, ranks=can_rank(provider)
            ):
                if method == RANKED:
                    made = rank_labels(
                        split,
                        chosen,
                        provider,
                        history,
                        labeler,
                        max_examples=config.max_examples,
                        hint=config.hint,
                        regenerate=config.regenerate,
                        progress=progress,
                    )
                else:
                    made = generate_labels(
                        study,
                        chosen,
                        provider,
                        history,
                        method=method,
                        max_examples=config.max_examples,
                        group=config.group,
                        regenerate=config.regenerate,
                        hint=config.hint,
                        settings=settings,
                        split=split,
                        progress=progress,
                    )
                report.llm.add(made)
                if report.llm.stopped:
                    break
        judge = config.make_judge_provider(provider)
        report.out_of_budget = bool(config.judged) and judge is None
        if judge is not provider and provider is not None:
            provider.close()
        scoring = config.scoring
        if scoring is not None and report.stopped:  # a spent budget leaves what costs nothing
            free = tuple(scorer for scorer in scoring.scorers if scorer not in scoring.judged)
            scoring = replace(scoring, scorers=free) if free else None
        if scoring is not None and split.holds_out:
            report.scores = score_and_measure(
                study,
                features,
                history,
                scoring,
                judge=judge,
                open_model=open_model,
                progress=progress,
            )
    finally:
        for used in {id(p): p for p in (provider, judge) if p is not None}.values():
            used.close()
    usage = list({id(p): p.usage for p in (provider, judge) if p is not None}.values())
    _count(report, usage)
    report.notices = _notices(report, split, config) + _possibly_paid(usage)
    return report


def _notices(report: LabelReport, split: Split, config: LabelConfig) -> list[str]:
    told = [
        *(report.llm.notices if report.llm else []),
        *(report.scores.notices if report.scores else []),
    ]
    if config.scorers and not split.holds_out:
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


def total(report: LabelReport) -> dict[str, Any]:
    """What the whole run asked of models."""
    return {name: getattr(report, name) for name in ("requests", "tokens_in", "tokens_out", "cost")}
