"""How labels are to be scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_doc import Doc

from autointerp_core.errors import KnobError
from autointerp_core.labels.embedders import AUTO, make_embedder
from autointerp_core.labels.providers.base import LabelProvider
from autointerp_core.labels.providers.config import ProviderConfig, at_least
from autointerp_core.labels.providers.make import NONE
from autointerp_core.labels.registry import one_of
from autointerp_core.labels.scoring.measures import MEASURES, measures_of
from autointerp_core.labels.scoring.sample_windows import MIN_ACTIVE, PER_CLASS
from autointerp_core.labels.scoring.scorers import (
    SCORERS,
    asking,
    in_order,
    judged,
    known_names,
    parse_scoring,
)
from autointerp_core.sources.control_sae import CONTROLS


@dataclass(frozen=True, kw_only=True)
class ScoringConfig(ProviderConfig):
    """What labelling and scoring alone share: which scorers, and on how much text."""

    scorers: Annotated[
        tuple[str, ...],
        Doc(
            f"Scorers: none, all, or some of {','.join(SCORERS)}; {' and '.join(judged(SCORERS))} "
            f"ask a language model. Also measures, which rank no label: {','.join(MEASURES)}."
        ),
    ] = ()
    score_windows: Annotated[
        int, Doc("Activating windows a score is measured on; as many silent ones.")
    ] = PER_CLASS
    embedder: Annotated[
        str,
        Doc(
            "Of the embedding scores: auto (minilm where it is installed, else wordllama), minilm, "
            "wordllama, or sentence-transformers:<model> where that package is installed."
        ),
    ] = AUTO
    harder_windows: Annotated[
        bool,
        Doc(
            "Ask a detection judge about silent windows of similar features and those most like "
            "the label as well, reported apart: up to 20 questions more a tested label."
        ),
    ] = False
    control: Annotated[
        str | None,
        Doc(
            "Do the same for a control of the SAE as well, to see what scores mean: shuffled "
            "(directions with their coordinates mixed), random-sae, or both."
        ),
    ] = None

    def __post_init__(self) -> None:
        if isinstance(self.scorers, str):
            object.__setattr__(self, "scorers", parse_scoring(self.scorers))
        object.__setattr__(self, "scorers", tuple(self.scorers))
        super().__post_init__()

    def validate(self) -> None:
        super().validate()
        at_least("score_windows", self.score_windows, MIN_ACTIVE)
        for scorer in self.scorers:
            one_of("scorers", scorer, known_names())
        make_embedder(self.embedder)
        for kind in self.controls:
            one_of("control", kind, CONTROLS)

    @property
    def controls(self) -> tuple[str, ...]:
        """Kinds of control SAEs that the same is done for."""
        given = (self.control or "").split(",")
        return tuple(dict.fromkeys(part.strip() for part in given if part.strip()))

    @property
    def judged(self) -> tuple[str, ...]:
        """The scorers and measures that ask a language model."""
        return asking(self.scorers)

    @property
    def window_scorers(self) -> tuple[str, ...]:
        """Those that put labels to windows, and so rank them."""
        return in_order(self.scorers)

    @property
    def measures(self) -> tuple[str, ...]:
        """The others, which rank nothing."""
        return measures_of(self.scorers)


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(ScoringConfig):
    """How to score labels that exist; ``provider`` judges where a scorer asks a model."""

    scorers: Annotated[
        tuple[str, ...],
        Doc(
            f"Scorers: all, or some of {','.join(SCORERS)}; {' and '.join(judged(SCORERS))} ask a "
            f"language model. Also measures, which rank no label: {','.join(MEASURES)}."
        ),
    ] = ("embedding",)
    again: Annotated[bool, Doc("Judge anew what was judged before.")] = False

    def validate(self) -> None:
        super().validate()
        if not self.scorers:
            raise KnobError(f"{{0}} names no scorer; choose from {', '.join(SCORERS)}", "scorers")
        if self.judged and self.provider == NONE:
            raise KnobError(
                f"scoring by {', '.join(self.judged)} asks a language model; give a {{0}}, or "
                "score by embedding alone",
                "provider",
            )

    @property
    def paid(self) -> bool:
        return bool(self.judged) and super().paid

    def providers(self) -> list[LabelProvider]:
        return super().providers() if self.judged else []
