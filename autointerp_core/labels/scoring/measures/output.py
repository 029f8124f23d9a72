"""Output: does the label name what the feature makes the model say?

A feature's decoder direction, put through the final norm and the unembedding, raises some tokens
and lowers others; taking the feature out of the residual stream takes this away again, as far as
it goes the direct way (what later layers make of it is not in it). The label is compared with the
text of the tokens raised most, and with tokens that other features raise: AUROC of the likeness,
0.5 for a label that says nothing about the output. Features that read are often not features that
write: a low value with a good score on windows says that the label is of the input side alone
(arXiv 2501.08319).

``shuffled`` is the same with labels of other features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from autointerp_core.arrays import Float64Array
from autointerp_core.labels.auroc import auroc_value
from autointerp_core.labels.scoring.measures import (
    MEASURES,
    Measure,
    Measured,
    MeasureTools,
    Subject,
    no_value,
)
from autointerp_core.labels.scoring.score_statistics import AUROC, FLOOR, auroc
from autointerp_core.labels.search.raised_tokens import raised_tokens
from autointerp_core.store.score_values import ScorerResult

OUTPUT = "output"
MIN_TOKENS = 3
_OTHERS = 24
"""Other features whose tokens stand against a feature's own."""
_SHUFFLED = 5
NO_LOGITS = "the study has no top and bottom logits; extract it again with them"


class OutputMeasure(Measure):
    """Compares labels with the tokens that features raise."""

    name = OUTPUT
    about = "whether the label names tokens that the feature makes likelier"
    results = (OUTPUT,)

    def by(self, tools: MeasureTools) -> str:
        return tools.known.embedder.name

    def measure(self, subjects: Sequence[Subject], tools: MeasureTools) -> Iterator[Measured]:
        study = tools.study

        def raised(feature: int) -> list[str]:
            return raised_tokens(study, feature)

        yield from compare(OUTPUT, subjects, tools, raised, _OTHERS, NO_LOGITS)


def compare(
    name: str,
    subjects: Sequence[Subject],
    tools: MeasureTools,
    tokens_of: Callable[[int], list[str]],
    n_others: int,
    nothing: str,
) -> Iterator[Measured]:
    """Labels compared with the tokens of their features, and with those of ``n_others`` others.

    Args:
        name: of the result.
        tokens_of: the tokens that a feature makes likelier.
        nothing: why a feature may have none.
    """
    study, by = tools.study, tools.known.embedder.name
    generator = np.random.default_rng([tools.seed, 0x4F55])
    live = study.table.loc[study.table["num_examples"] > 0, "feature"].to_numpy()
    pool = [int(f) for f in generator.permutation(live)[: n_others + 1]]
    known = {feature: tokens_of(feature) for feature in pool} if subjects else {}
    labels = [subject.label or "" for subject in subjects]
    for place, subject in enumerate(subjects):
        own = known[subject.feature] if subject.feature in known else tokens_of(subject.feature)
        mine = {token.casefold() for token in own}
        others = [
            token
            for feature in pool
            if feature != subject.feature
            for token in known[feature]
            if token.casefold() not in mine
        ]
        wrong = [
            label
            for label in (*labels[place + 1 :], *labels[:place])
            if label.casefold() != labels[place].casefold()
        ][:_SHUFFLED]
        found = _result(name, tools, labels[place], own, others, wrong, by, nothing)
        yield Measured(subject, {name: found}, {"tokens": own})


def _result(
    name: str,
    tools: MeasureTools,
    label: str,
    own: Sequence[str],
    others: Sequence[str],
    wrong: Sequence[str],
    by: str,
    nothing: str,
) -> ScorerResult:
    if len(own) < MIN_TOKENS or len(others) < MIN_TOKENS:
        reason = (
            f"{len(own)} tokens with a letter or digit are known of it; the {name} measure needs "
            f"{MIN_TOKENS}"
            if own
            else nothing
        )
        return no_value(name, AUROC, by, FLOOR, reason, len(own))
    vectors = tools.known.vectors([*own, *others])
    right = _likeness(tools, label, vectors)
    value, low, high = auroc(right[: len(own)], right[len(own) :])
    shuffled = []
    for text in wrong:
        like = _likeness(tools, text, vectors)
        shuffled.append(auroc_value(like[: len(own)], like[len(own) :]))
    return ScorerResult(
        name,
        value,
        low,
        high,
        shuffled=sum(shuffled) / len(shuffled) if shuffled else None,
        n=len(own) + len(others),
        n_active=len(own),
        measure=AUROC,
        judge=by,
        floor=FLOOR,
    )


def _likeness(tools: MeasureTools, label: str, vectors: np.ndarray) -> Float64Array:
    like: Float64Array = (vectors @ tools.known.vectors([label])[0]).astype(np.float64)
    return like


MEASURES.register(OUTPUT, OutputMeasure())
