"""What is answered: frozen records of plain values, ready for JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StudySummary:
    """A study that can be asked about."""

    id: str
    model: str
    sae: str
    hook: str
    dataset: str
    features: int
    d_sae: int
    tokens: int


@dataclass(frozen=True)
class FoundFeature:
    """A feature in a list."""

    feature: int
    label: str | None
    status: str
    density: float
    max: float
    top_tokens: list[str]
    score: float | None
    """What the label is ranked by, on documents kept for choosing; null where it is not scored."""


@dataclass(frozen=True)
class Found:
    """Features that a search found, best first."""

    study: str
    query: str
    by: str
    total: int
    features: list[FoundFeature]


@dataclass(frozen=True)
class ExampleText:
    """A window of tokens, with the feature's activation at each."""

    activation: float
    document: int
    position: int
    tokens: list[str]
    values: list[float]
    peak: int
    """Which token the window is around."""


@dataclass(frozen=True)
class Logit:
    """A token, and what the feature adds to its logit."""

    token: str
    logit: float


@dataclass(frozen=True)
class SaidLabel:
    """A text about a feature, and who said it."""

    text: str
    source: str
    method: str | None
    current: bool
    """Whether it is the feature's label now."""
    decided: str
    """``accepted`` or ``overridden`` by a person; empty for a proposal."""
    scores: dict[str, float]
    """By scorer, on documents kept for choosing (what test documents say is for people)."""


@dataclass(frozen=True)
class FeatureCard:
    """All that is known of a feature."""

    study: str
    feature: int
    label: str | None
    status: str
    flagged: bool
    fired: int
    density: float
    max: float
    mean: float
    examples: list[ExampleText]
    promoted: list[Logit]
    suppressed: list[Logit]
    labels: list[SaidLabel]
    neighbours: list[int]


@dataclass(frozen=True)
class ActiveFeature:
    """A feature that fires on a token."""

    feature: int
    activation: float
    label: str | None


@dataclass(frozen=True)
class EncodedToken:
    """A token of a text, and what fires on it, strongest first."""

    text: str
    features: list[ActiveFeature]


@dataclass(frozen=True)
class Encoded:
    """A text, token by token."""

    study: str
    text: str
    tokens: list[EncodedToken]


@dataclass(frozen=True)
class Proposed:
    """A label that was proposed: it waits for a person."""

    study: str
    feature: int
    text: str
    author: str
    event: int
    new: bool
    """False where the same author had proposed the same text before."""
    status: str
    """Of the feature's label now; a proposal never changes it."""


@dataclass(frozen=True)
class LabelScore:
    """How well a label tells windows the feature fires on from others, on *validate* documents.

    What was measured on test documents is for people: whoever chooses labels by a score must not
    see it.
    """

    study: str
    feature: int
    text: str
    scorer: str
    measure: str
    value: float | None
    floor: float
    """What a guess gets."""
    windows: int
    reason: str | None
    """Why there is no value."""
