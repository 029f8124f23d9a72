"""Ablation: does taking the feature out make what the label names less likely to come next?

The model reads windows of *test* documents up to the feature's peak, with the feature and without
it, all later layers included. The label is compared with the tokens that lose most, as
:mod:`.output` compares it with those of the direct way, and with tokens that other features'
ablation moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autointerp_core.errors import ParameterError
from autointerp_core.labels.document_split import TEST
from autointerp_core.labels.scoring.measures import (
    MEASURES,
    Measure,
    Measured,
    MeasureTools,
    Subject,
)
from autointerp_core.labels.scoring.measures.output import compare

ABLATION = "ablation"
_WINDOWS = 6
_TOKENS = 20
_KEPT = 10
_OTHERS = 8
NO_PEAKS = "it has no peak in a test document whose text can be read up to it"


class AblationMeasure(Measure):
    """Compares labels with what the model no longer says."""

    name = ABLATION
    about = "whether taking the feature out makes what the label names less likely"
    results = (ABLATION,)
    encodes = True

    def by(self, tools: MeasureTools) -> str:
        return tools.known.embedder.name

    def measure(self, subjects: Sequence[Subject], tools: MeasureTools) -> Iterator[Measured]:
        if tools.open_model is None:
            raise ParameterError(
                "ablation runs the study's own model and SAE, which are not at hand here"
            )
        model = tools.open_model()

        def lost(feature: int) -> list[str]:
            prompts = texts_to_peaks(tools, feature)
            found: dict[str, str] = {}
            for token in model.ablated(prompts, feature, _TOKENS) if prompts else ():
                text = token.strip()
                if any(character.isalnum() for character in text):
                    found.setdefault(text.casefold(), text)
            return list(found.values())[:_KEPT]

        yield from compare(ABLATION, subjects, tools, lost, _OTHERS, NO_PEAKS)


def texts_to_peaks(tools: MeasureTools, feature: int, count: int = _WINDOWS) -> list[str]:
    """Windows of test documents that end with one of the feature's strongest peaks."""
    tokens, _ = tools.split.peaks(feature, TEST)
    found: dict[str, None] = {}
    for example in tools.study.windows_at(feature, tokens[: 3 * count], after=0):
        if len(example.text.split()) > 1 and len(found) < count:
            found.setdefault(example.text)
    return list(found)


MEASURES.register(ABLATION, AblationMeasure())
