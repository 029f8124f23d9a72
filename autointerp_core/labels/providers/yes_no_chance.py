"""What the probabilities of an answer's first token say of yes and no."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import regex

from autointerp_core.labels.providers.base import read_yes_no

LEAST_MASS = 0.25
"""Of all probability that yes and no must have together. A model that would rather say something
else has not judged, however the little that is left is shared between them."""


@dataclass(frozen=True)
class Chance:
    """A judgement, or why there is none."""

    probability: float | None
    """Of yes, among yes and no; None where that is no judgement."""
    given: bool
    """Whether the server gave probabilities at all."""
    error: str | None = None
    """Why there is no judgement, where probabilities were given."""
    thinks: bool = False
    """The first token begins a thought."""


def weigh(chosen: str, tokens: Iterable[tuple[str, float]]) -> Chance:
    """A judgement from an answer's first token.

    It is one only where the token that was chosen is yes or no in any spelling, and both together
    have :data:`LEAST_MASS`: a model that is about to think, or to explain itself, has not answered.

    Args:
        chosen: the token that was written.
        tokens: the likeliest tokens and their probabilities.
    """
    mass = {True: 0.0, False: 0.0}
    for token, probability in tokens:
        said = _word(token)
        if said is not None:
            mass[said] += probability
    return judged(chosen, _word(chosen) is not None, mass[True], mass[False])


def judged(chosen: str, answers: bool, yes: float, no: float, least: float = LEAST_MASS) -> Chance:
    """The same from the probabilities of yes and of no in all their spellings.

    Args:
        chosen: text of the chosen token.
        answers: whether it is yes or no.
        yes, no: what all spellings of either have together.
        least: the mass that makes a judgement; 0 takes any share, whatever was chosen.
    """
    total = yes + no
    if least <= 0 and total:
        return Chance(yes / total, True)
    if not answers or not total:
        begins = "it begins to think: " if _begins_thought(chosen) else ""
        return Chance(
            None,
            True,
            f"neither yes nor no ({begins}it answered: {chosen.strip()!r}; yes and no have "
            f"{total:.2g} of the probability)",
            bool(begins),
        )
    if total < least - 1e-9:
        return Chance(
            None,
            True,
            f"yes and no have {total:.2g} of the probability; at least {least:g} is a judgement",
        )
    return Chance(yes / total, True)


def _begins_thought(token: str) -> bool:
    return bool(regex.search(r"think|thought|reason|channel|analysis|◁", token, regex.IGNORECASE))


def _word(token: str) -> bool | None:
    """Whether a token is yes or no, however spelt; None where it is neither."""
    bare = token.strip(" ▁Ġ\t\n\r\"'*.,")
    return read_yes_no(bare) if bare.isalpha() else None
