"""What was said of a feature, as other tools take it: a text, who said it, and how it scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autointerp_core.exchange.subject import Labelled
from autointerp_core.store.label_state import Proposal
from autointerp_core.store.score_values import ScorerResult, value_of

HUMAN = "human"
_LLM = "llm:"


@dataclass(frozen=True)
class Explanation:
    """One text about a feature."""

    text: str
    source: str
    """As label events have it: ``llm:<model>``, ``search``, ``human``, ``import:<file>``."""
    method: str | None
    scores: Mapping[str, Any]
    """By scorer; a number, or a mapping with a ``value``."""
    current: bool
    """Whether it is the feature's label now."""
    decided: str = ""
    """``accepted`` or ``overridden`` where a person decided on it, else empty."""
    event: int = 0
    validate: Mapping[str, Any] = field(default_factory=dict)
    """Scores on the documents that choose, by scorer."""

    @property
    def model(self) -> str | None:
        """The language model that wrote it; None where none did."""
        return self.source.removeprefix(_LLM) if self.source.startswith(_LLM) else None

    @property
    def numbers(self) -> dict[str, float]:
        """The scores that are numbers, by scorer."""
        return self.numbers_of(self.scores)

    @staticmethod
    def numbers_of(scores: Mapping[str, Any]) -> dict[str, float]:
        """What of some scores is a number, by scorer."""
        found = {name: value_of(score) for name, score in scores.items()}
        return {name: value for name, value in found.items() if value is not None}


def explanations(labelled: Labelled) -> list[Explanation]:
    """The label that stands, then every other text proposed in this study; each text once.

    Of proposals with one text from one source the newest stands for all of them.
    """
    state = labelled.state
    decided = "" if state.status == "unreviewed" else state.status
    newest: dict[tuple[str, str], Proposal] = {}
    for proposal in state.proposals:
        newest[proposal.text, proposal.source] = proposal
    found = [
        Explanation(p.text, p.source, p.method, p.scores, False, "", p.event_id, p.validate)
        for p in newest.values()
    ]
    if state.label is None:
        return found
    shown = state.shown()
    source = state.label_source or HUMAN
    own = newest.get((state.label, source))
    first = Explanation(
        state.label,
        source,
        own.method if own is not None else None,
        shown.scores if shown is not None else {},
        True,
        decided,
        state.current_event or 0,
        shown.validate if shown is not None else {},
    )
    rest = [each for each in found if (each.text, each.source) != (first.text, first.source)]
    return [first, *rest]


def result_of(scorer: str, raw: Any) -> dict[str, Any]:
    """A score as plain JSON with every field, whatever it was stored as."""
    return ScorerResult.from_json(scorer, raw).to_json()
