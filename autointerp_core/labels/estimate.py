"""What a labelling run will ask of a language model, told before it starts.

Prompts of a few features are built as the run would build them and counted; the rest is
taken to be like them. Tokens are estimated from bytes, so this is good to a third or so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from autointerp_core.labels.config import LabelConfig, ProviderConfig, ScoreConfig
from autointerp_core.labels.document_split import Split, shown_examples
from autointerp_core.labels.explain.prompts import get_method
from autointerp_core.labels.providers.base import Settings, estimate_tokens
from autointerp_core.labels.providers.make import NONE, PROVIDERS
from autointerp_core.labels.scoring.config import ScoringConfig
from autointerp_core.labels.scoring.judge import FitQuestion
from autointerp_core.labels.scoring.llm_judge import prompt_for
from autointerp_core.labels.scoring.measures import MEASURES
from autointerp_core.labels.scoring.sample_windows import ACTIVE, Window
from autointerp_core.labels.scoring.scorers import SCORERS, judged
from autointerp_core.labels.search.rank_phrases import RANKED, plan
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


def estimate_labels(study: Study, features: Sequence[int], config: LabelConfig) -> RunEstimate:
    """What labelling (and scoring) features would ask for, if nothing was known yet.

    Raises:
        BadInput: a feature is not in the study.
    """
    split = Split(study, hold_out=config.hold_out)
    live, sample = _sample(study, split, features)
    if not sample or (config.provider == NONE and not config.judged):
        return RunEstimate(0, 0, 0, _cost(config, 0, 0))
    asked = [0.0, 0.0, 0.0]
    proposals = 2
    if config.provider != NONE:
        proposals = config.candidates
        ranks = PROVIDERS[config.provider].ranks
        for method, settings in plan(config.method, config.candidates, ranks=ranks):
            _add(asked, _writing(study, sample, method, settings, config))
    _add(asked, _judging(split, sample, config, proposals))
    return _total(config, live, asked)


def estimate_scores(study: Study, features: Sequence[int], config: ScoreConfig) -> RunEstimate:
    """What scoring the labels of features would ask for, if nothing was known yet.

    Raises:
        BadInput: a feature is not in the study.
    """
    split = Split(study)
    live, sample = _sample(study, split, features)
    if not sample or not config.judged:
        return RunEstimate(0, 0, 0, _cost(config, 0, 0))
    return _total(config, live, _judging(split, sample, config, 2))


Sample = list[tuple[int, list[Example]]]
Asked = tuple[float, float, float]
"""Requests, tokens in and tokens out, means a feature."""


def _add(total: list[float], asked: Asked) -> None:
    for place, value in enumerate(asked):
        total[place] += value


def _sample(study: Study, split: Split, features: Sequence[int]) -> tuple[int, Sample]:
    """How many of the features ever fire, and examples of some of them."""
    table = study.table
    live = table.loc[table["num_examples"] > 0, "feature"].to_numpy()
    asked = np.asarray(list(features), dtype=np.int64)
    wanted = np.intersect1d(asked, live)
    if len(asked) <= _SAMPLE:  # those opened from kept firings are in no table
        opened = np.intersect1d(asked, study.kept).tolist()
        wanted = np.append(wanted, [f for f in opened if not study.stats(f).dead]).astype(np.int64)
    if not len(wanted):
        return 0, []
    steps = np.linspace(0, len(wanted) - 1, min(_SAMPLE, len(wanted))).astype(int)
    sample = [(f, shown_examples(split, f, limit=20)) for f in wanted[steps].tolist()]
    return len(wanted), [(feature, examples) for feature, examples in sample if examples]


def _writing(
    study: Study, sample: Sample, method: str, settings: Settings, config: LabelConfig
) -> Asked:
    ranked = method == RANKED
    asked = get_method("words" if ranked else method)
    prompts = (
        asked.build(study, feature, examples[: config.max_examples], config.hint)
        for feature, examples in sample
    )
    long = settings.max_new_tokens > 2 * _LABEL_TOKENS + 20
    answer = 0 if ranked else _EXPLAINED_TOKENS if long else _LABEL_TOKENS
    return 1, _mean(estimate_tokens(prompt.text) for prompt in prompts), answer


def _judging(split: Split, sample: Sample, config: ScoringConfig, proposals: int) -> Asked:
    """At most: of each scorer choosing, testing, and the shuffled label."""
    if not split.holds_out:
        return 0, 0, 0
    proposals = max(2, proposals)
    tested = min(_TESTED, proposals)
    each = 2 * config.score_windows * (proposals + tested + 1)
    asked = [0.0, 0.0, 0.0]
    for measure in (MEASURES[name] for name in config.measures):
        requests, tokens_in, tokens_out = measure.asked
        _add(asked, (requests, requests * tokens_in, requests * tokens_out))
    for scorer in judged(config.window_scorers):
        tokens = _mean(_judge_tokens(scorer, examples[0]) for _, examples in sample)
        asks = each + (SCORERS[scorer].harder * tested if config.harder_windows else 0)
        _add(asked, (asks, asks * tokens, asks))
    return asked[0], asked[1], asked[2]


def _judge_tokens(scorer: str, example: Example) -> int:
    question = FitQuestion(scorer, _A_LABEL, Window(example, ACTIVE, 0), (example.peak_index,))
    return estimate_tokens(prompt_for(question).text)


def _total(config: ProviderConfig, features: int, asked: Sequence[float]) -> RunEstimate:
    requests, tokens_in, tokens_out = (round(features * mean) for mean in asked)
    return RunEstimate(requests, tokens_in, tokens_out, _cost(config, tokens_in, tokens_out))


def _cost(config: ProviderConfig, tokens_in: int, tokens_out: int) -> float | None:
    if not config.paid:
        return None
    return None if config.price is None else config.price.of(tokens_in, tokens_out)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
