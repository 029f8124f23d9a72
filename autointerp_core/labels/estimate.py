"""What a labelling run will ask of a language model, told before it starts.

Prompts of a few features are built as the run would build them and counted; the rest is
taken to be like them. Tokens are estimated from bytes, so this is good to a third or so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autointerp_core.labels.document_split import Split, shown_examples
from autointerp_core.labels.explain.prompts import get_method
from autointerp_core.labels.options import RANKED, LabelOptions
from autointerp_core.labels.providers.base import estimate_tokens
from autointerp_core.labels.scoring.judge import FitQuestion, prompt_for
from autointerp_core.labels.scoring.names import JUDGED, NONE
from autointerp_core.labels.scoring.sample_windows import ACTIVE, Window
from autointerp_core.labels.search.rank_phrases import plan
from autointerp_core.store.study import Example, Study

_SAMPLE = 6
"""Features whose prompts are built."""
_LABEL_TOKENS = 10
_EXPLAINED_TOKENS = 90
_TESTED = 3
"""Proposals judged on test documents too: the best one, the LLM's, the search's."""
_A_LABEL = "a label of about five words"


@dataclass(frozen=True)
class RunEstimate:
    """Totals of a run. ``dollars`` is None where no price is known."""

    requests: int
    tokens_in: int
    tokens_out: int
    dollars: float | None

    def text(self, *, paid: bool) -> str:
        """One line for a person; a cost that is not known is not 0.

        ``paid``: whether anybody asks for money, as a server may.
        """
        known = "cost unknown" if self.dollars is None else f"${self.dollars:.2f}"
        return (
            f"about {self.requests:,} requests, {self.tokens_in:,} tokens in, "
            f"{self.tokens_out:,} out" + (f", {known}" if paid else "")
        )


def estimate(
    study: Study, features: Sequence[int], options: LabelOptions, *, write: bool = True
) -> RunEstimate:
    """What labelling (and scoring) features would ask for, if nothing was known yet.

    ``write=False``: the labels exist, they are only to be scored.

    Raises:
        BadInput: a feature is not in the study.
    """
    table = study.table
    live = table.loc[table["num_examples"] > 0, "feature"].to_numpy()
    wanted = np.intersect1d(np.asarray(list(features), dtype=np.int64), live)
    writes = write and options.provider != NONE
    if not len(wanted) or not (writes or options.judged):
        return RunEstimate(0, 0, 0, _cost(options, 0, 0))
    split = Split(study, hold_out=options.hold_out)
    steps = np.linspace(0, len(wanted) - 1, min(_SAMPLE, len(wanted))).astype(int)
    sample = [(f, shown_examples(split, f, limit=20)) for f in wanted[steps].tolist()]
    sample = [(feature, examples) for feature, examples in sample if examples]
    if not sample:
        return RunEstimate(0, 0, 0, _cost(options, 0, 0))
    requests = tokens_in = tokens_out = 0.0
    if writes:
        for method, settings in plan(
            options.method, options.candidates, ranks=options.provider == "local"
        ):
            ranked = method == RANKED
            asked = get_method("words" if ranked else method)
            requests += 1
            tokens_in += _mean(
                estimate_tokens(asked.build(study, f, e[: options.max_examples], options.hint).text)
                for f, e in sample
            )
            if not ranked:
                long = settings.max_new_tokens > 2 * _LABEL_TOKENS + 20
                tokens_out += _EXPLAINED_TOKENS if long else _LABEL_TOKENS
    judged = _judged_each(split, options, options.candidates if writes else 2)
    for scorer in options.judged:
        requests += judged
        tokens_in += judged * _mean(_judge_tokens(scorer, e[0]) for _, e in sample)
        tokens_out += judged
    count = len(wanted)
    total_in, total_out = round(count * tokens_in), round(count * tokens_out)
    cost = _cost(options, total_in, total_out)
    return RunEstimate(round(count * requests), total_in, total_out, cost)


def estimate_run(
    study: Study,
    features: Sequence[int],
    *,
    provider: str,
    method: str | None,
    max_examples: int,
    candidates: int,
    scorers: Sequence[str],
    per_class: int = 20,
    price_in: float | None = None,
    price_out: float | None = None,
) -> RunEstimate:
    """:func:`estimate` from single values; no ``method``: labels are only to be scored."""
    options = LabelOptions(
        provider=provider,
        max_examples=max_examples,
        candidates=max(1, candidates),
        scorers=tuple(scorers),
        score_windows=per_class,
        price_in=price_in,
        price_out=price_out,
    )
    if method is not None:
        options = replace(options, method=method)
    return estimate(study, features, options, write=method is not None)


def _judged_each(split: Split, options: LabelOptions, proposals: int) -> int:
    """Judgements of one scorer a feature, at most: choosing, testing, and the shuffled label."""
    if not split.holds_out:
        return 0
    proposals = max(2, proposals)
    return 2 * options.score_windows * (proposals + min(_TESTED, proposals) + 1)


def _judge_tokens(scorer: str, example: Example) -> int:
    marked = (example.peak_index,) if scorer != JUDGED[0] else None
    return estimate_tokens(
        prompt_for(FitQuestion(_A_LABEL, Window(example, ACTIVE, 0), marked)).text
    )


def _cost(options: LabelOptions, tokens_in: int, tokens_out: int) -> float | None:
    if not options.paid:
        return None
    return None if options.price is None else options.price.of(tokens_in, tokens_out)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
