"""Generation: text written for a label should make the feature fire, other text should not.

A language model writes ``TEXTS`` short texts for the label and as many that contain nothing of
it; the study's model and SAE read them. With the feature's strongest activation on each text:

* *responsiveness*: AUROC of texts for the label against texts written without it;
* *clarity*: AUROC of texts for the label against windows of the study's *test* documents, drawn
  without looking at the feature;
* *purity*: average precision of texts for the label among all of these; a guess gets their share.

The names and ideas are FADE's (arXiv 2502.16994), whose clarity this is but for the scale: FADE
gives |2 · AUROC − 1|, which hides a feature that fires on everything *but* the concept. FADE takes
responsiveness and purity on natural text that a language model rated; rated natural text is what
the detection scorer has here, so these two ask about written text instead.

Intervals: Newcombe's of an AUROC; of the average precision the binomial one over the texts for
the label (Boyd, Eng and Page 2013) in Wilson's form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from autointerp_core.arrays import Float64Array
from autointerp_core.errors import ParameterError
from autointerp_core.labels.document_split import TEST
from autointerp_core.labels.scoring.measures import (
    MEASURES,
    Measure,
    Measured,
    MeasureTools,
    Subject,
    no_value,
)
from autointerp_core.labels.scoring.proportions import Count, wilson
from autointerp_core.labels.scoring.score_statistics import AUROC, FLOOR, auroc
from autointerp_core.labels.scoring.study_model import StudyModel, strongest
from autointerp_core.labels.scoring.written_texts import A_PROMPT, TEXTS, WrittenTexts, write_texts
from autointerp_core.store.score_values import ScorerResult

GENERATION = "generation"
RESPONSIVENESS, CLARITY, PURITY = "responsiveness", "clarity", "purity"
AVERAGE_PRECISION = "average precision"
_NATURAL = 2 * TEXTS
"""Windows of test documents."""
_AT_ONCE = 16
"""Labels written for and encoded together."""


class GenerationMeasure(Measure):
    """Writes texts for labels and lets the SAE read them."""

    name = GENERATION
    about = "whether text that a model writes for the label makes the feature fire"
    results = (RESPONSIVENESS, CLARITY, PURITY)
    asks_model = True
    asked = (2 * TEXTS // A_PROMPT, 170, 30 * A_PROMPT)
    encodes = True

    def by(self, tools: MeasureTools) -> str:
        return f"llm:{tools.provider.model}" if tools.provider is not None else ""

    def measure(self, subjects: Sequence[Subject], tools: MeasureTools) -> Iterator[Measured]:
        writer = tools.provider
        if writer is None:
            raise ParameterError(
                "generation needs a model that writes: give a judge provider and its model, or "
                "leave generation out"
            )
        if tools.open_model is None:
            raise ParameterError(
                "generation encodes text with the study's own model and SAE, which are not at hand"
            )
        if not subjects:
            return
        encoder = tools.open_model()
        natural = natural_windows(tools)
        for at in range(0, len(subjects), _AT_ONCE):
            some = subjects[at : at + _AT_ONCE]
            labels = [subject.label or "" for subject in some]
            written = write_texts(writer, labels, tools.seed, fresh=tools.fresh)
            yield from _measured(some[: len(written)], written, natural, encoder, self.by(tools))
            if len(written) < len(some):
                return  # a budget: ``writer.stopped`` says so


def natural_windows(tools: MeasureTools, count: int = _NATURAL) -> list[str]:
    """Windows of test documents, drawn without looking at any feature; same seed, same windows."""
    study, tokens = tools.study, tools.study.tokens
    documents = tools.split.documents(TEST)
    low, high = tokens.document_edges(documents)
    generator = np.random.default_rng([tools.seed, 0x4E57])
    full = np.flatnonzero(high > low)
    picks = generator.permutation(full)[: 4 * count]
    centres = low[picks] + generator.integers(0, high[picks] - low[picks])
    found: dict[str, None] = {}
    feature = int(study.features[0])
    for example in study.windows_at(feature, centres):
        text = " ".join(example.text.split())
        if len(text.split()) >= 3 and len(found) < count:
            found.setdefault(text)
    return list(found)


def _measured(
    subjects: Sequence[Subject],
    written: Sequence[WrittenTexts],
    natural: Sequence[str],
    encoder: StudyModel,
    by: str,
) -> Iterator[Measured]:
    texts = [t for one in written for t in (*one.fitting, *one.unfitting)]
    features = sorted({subject.feature for subject in subjects})
    encoded = encoder.encode([*texts, *natural], features)
    at = 0
    for subject, one in zip(subjects, written, strict=True):
        feature, n, m = subject.feature, len(one.fitting), len(one.unfitting)
        own = encoded[at : at + n + m]
        at += n + m
        said = [strongest(each, feature) for each in own]
        drawn = [strongest(each, feature) for each in encoded[len(texts) :]]
        results = score_texts(said[:n], said[n:], drawn, by, one.problem)
        yield Measured(
            subject,
            results,
            {
                "fitting": [list(pair) for pair in zip(one.fitting, _short(said[:n]), strict=True)],
                "unfitting": [
                    list(pair) for pair in zip(one.unfitting, _short(said[n:]), strict=True)
                ],
                "natural": _short(drawn),
            },
            missing=len(one.errors),
            tokens_in=one.tokens_in,
            tokens_out=one.tokens_out,
            seconds=one.seconds,
            cost=one.cost,
        )


def score_texts(
    fitting: Sequence[float],
    unfitting: Sequence[float],
    natural: Sequence[float],
    by: str,
    problem: str | None = None,
) -> dict[str, ScorerResult]:
    """The three results from the strongest activation on each text."""
    total = len(fitting) + len(unfitting) + len(natural)
    share = len(fitting) / total if total else FLOOR
    if problem is not None:
        return {
            RESPONSIVENESS: no_value(RESPONSIVENESS, AUROC, by, FLOOR, problem, total),
            CLARITY: no_value(CLARITY, AUROC, by, FLOOR, problem, total),
            PURITY: no_value(PURITY, AVERAGE_PRECISION, by, share, problem, total),
        }
    return {
        RESPONSIVENESS: _auroc(RESPONSIVENESS, fitting, unfitting, by),
        CLARITY: _auroc(CLARITY, fitting, natural, by),
        PURITY: _purity(np.asarray(fitting), np.asarray([*unfitting, *natural]), by, share),
    }


def _auroc(name: str, fitting: Sequence[float], other: Sequence[float], by: str) -> ScorerResult:
    if not other:
        return no_value(name, AUROC, by, FLOOR, "there are no texts to compare with", len(fitting))
    value, low, high = auroc(fitting, other)
    n = len(fitting) + len(other)
    return ScorerResult(
        name, value, low, high, n=n, n_active=len(fitting), measure=AUROC, judge=by, floor=FLOOR
    )


def _purity(fitting: Float64Array, other: Float64Array, by: str, share: float) -> ScorerResult:
    value = average_precision(fitting, other)
    _, low, high = wilson(Count(value * len(fitting), len(fitting)))
    return ScorerResult(
        PURITY,
        value,
        low,
        high,
        n=len(fitting) + len(other),
        n_active=len(fitting),
        measure=AVERAGE_PRECISION,
        judge=by,
        floor=share,
    )


def average_precision(positive: Float64Array, negative: Float64Array) -> float:
    """Mean precision over the recall steps of a ranking; equal values are one step."""
    values = np.concatenate([positive, negative])
    right = np.concatenate([np.ones(len(positive)), np.zeros(len(negative))])
    order = np.argsort(-values, kind="stable")
    values, right = values[order], right[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    hits = np.cumsum(right)[last]
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / (last + 1)).sum() / len(positive))


def _short(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]


MEASURES.register(GENERATION, GenerationMeasure())
