"""From features to labels a person can judge: propose, score, choose.

Search labels first (they cost nothing), then the language model's proposals, then scores
of all of them. Each step records what it made; a rerun asks for nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp_core.labels.candidates import can_rank, plan, rank_labels
from autointerp_core.labels.estimate import estimate
from autointerp_core.labels.generate import generate_labels
from autointerp_core.labels.options import NONE, RANKED, LabelOptions
from autointerp_core.labels.provider import LabelProvider
from autointerp_core.labels.report import GenerationReport
from autointerp_core.labels.search_run import SEARCH, record_search_labels, search_labeler
from autointerp_core.labels.split import SMALLEST, Split
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study

if TYPE_CHECKING:
    from autointerp_core.labels.scoring import ScoreReport


@dataclass
class LabelReport:
    """What :func:`label_features` did."""

    search: GenerationReport
    llm: GenerationReport | None = None
    scores: ScoreReport | None = None
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
        forecast = f"{expected.text(paid=options.paid)} at most, less what is known already"
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
        if options.scorers and not report.stopped:
            report.scores = _score(study, features, history, options, judge, split, progress)
    finally:
        for used in {id(p): p for p in (provider, judge) if p is not None}.values():
            used.close()
    report.notices = _notices(report, split, options) + _possibly_paid(provider, judge)
    return report


def _score(
    study: Study,
    features: Sequence[int],
    history: LabelHistory,
    options: LabelOptions,
    judge: LabelProvider | None,
    split: Split,
    progress: ProgressCallback,
) -> ScoreReport | None:
    from autointerp_core.labels.scoring import score_labels

    if not split.holds_out:
        return None
    return score_labels(
        study,
        features,
        history,
        scorers=options.scorers,
        provider=judge,
        per_class=options.score_windows,
        progress=progress,
    )


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


def _possibly_paid(*providers: LabelProvider | None) -> list[str]:
    """Replies that were cut off: nobody but the server knows whether they were counted."""
    different = {id(p): p.usage for p in providers if p is not None}.values()
    count = sum(usage.possibly_paid for usage in different)
    tokens = sum(usage.possibly_paid_tokens for usage in different)
    if not count:
        return []
    return [f"{count} replies were cut off; they may have cost another {tokens:,} prompt tokens"]


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
    """Tokens and cost of labels and scores together; cost None where any of it is unknown."""
    parts = [part for part in (report.llm, report.scores) if part is not None]
    tokens = {
        name: sum(getattr(part, name) for part in parts) for name in ("tokens_in", "tokens_out")
    }
    paid = [part.cost for part in parts if part.tokens_in or part.tokens_out]
    known = [cost for cost in paid if cost is not None]
    return {**tokens, "cost": sum(known) if len(known) == len(paid) else None}


def own_model(study: Study) -> str:
    """What to load to get the model the study was made with."""
    model = study.info.raw["model"]
    return str(model.get("path") or model["name"])
