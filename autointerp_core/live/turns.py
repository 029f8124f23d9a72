"""What steering is asked to do and what comes of it. No torch here: the app builds these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

from annotated_doc import Doc

from autointerp_core.errors import ParameterError

HOWS = ("add", "ablate", "clamp")
UNITS = ("max", "activation")
PLACES = ("generated", "all")
MOST_TOKENS = 1000
"""Generated tokens at most."""


@dataclass(frozen=True)
class Turn:
    """What is done to one feature.

    Raises:
        ParameterError: a value outside what its field allows.
    """

    feature: Annotated[int, Doc("The feature's number.")]
    how: Annotated[
        str,
        Doc(
            "add: strength is added along the feature's direction; clamp: the feature is held at "
            "strength; ablate: it is taken out (strength plays no part)."
        ),
    ] = "add"
    strength: Annotated[
        float, Doc("In units of the feature's own max in the study; below 0 turns it down.")
    ] = 4.0
    units: Annotated[
        str, Doc("What strength counts: max (the feature's own in the study) or activation.")
    ] = "max"

    def __post_init__(self) -> None:
        if isinstance(self.feature, bool) or not isinstance(self.feature, int) or self.feature < 0:
            raise ParameterError(f"feature is {self.feature!r}; give a number from 0")
        _one_of("how", self.how, HOWS)
        _one_of("units", self.units, UNITS)
        if not math.isfinite(self.strength):
            raise ParameterError(f"strength is {self.strength}; give a number, such as 4")


@dataclass(frozen=True)
class SteerConfig:
    """How a prompt is gone on with, steered and unsteered alike.

    Raises:
        ParameterError: a value outside what its field allows.
    """

    prompt: Annotated[str, Doc("The text to go on from.")]
    tokens: Annotated[int, Doc(f"Tokens to generate, at most {MOST_TOKENS:,}.")] = 40
    seed: Annotated[int, Doc("Of sampling; the same for the steered and the unsteered text.")] = 0
    temperature: Annotated[float, Doc("Of sampling; 0 takes the likeliest token each time.")] = 0.7
    at: Annotated[
        str,
        Doc(
            "Where: generated (every position that predicts a generated token), all (those and "
            "the prompt's, but for special tokens and sinks), or places in the prompt, counted "
            "from 0: 3,5-8."
        ),
    ] = "generated"

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise ParameterError("the prompt is empty; give a text to go on from")
        if isinstance(self.tokens, bool) or not 1 <= self.tokens <= MOST_TOKENS:
            raise ParameterError(f"tokens is {self.tokens}; give a number from 1 to {MOST_TOKENS}")
        if not 0 <= self.seed < 2**63:
            raise ParameterError(f"seed is {self.seed}; give a whole number from 0")
        if not (math.isfinite(self.temperature) and 0 <= self.temperature <= 10):
            raise ParameterError(f"temperature is {self.temperature}; give a number from 0 to 10")
        if self.at not in PLACES:
            self.places()

    def places(self) -> tuple[int, ...] | None:
        """The places in the prompt that were chosen; None: none by number.

        Raises:
            ParameterError: it is no list of places.
        """
        if self.at in PLACES:
            return None
        found: set[int] = set()
        for part in self.at.replace(" ", "").split(","):
            low, dash, high = part.partition("-")
            if not (low.isdecimal() and len(low) < 7 and (not dash or high.isdecimal())):
                raise ParameterError(
                    f"at is {self.at!r}; give generated, all, or places in the prompt such as 3,5-8"
                )
            last = int(high[:7]) if dash else int(low)
            found.update(range(int(low), min(last, int(low) + 100_000) + 1))
        return tuple(sorted(found))


@dataclass(frozen=True)
class Continued:
    """A generated text."""

    text: str
    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    """Each generated token's text."""
    ended: bool
    """Whether the model ended it itself."""


@dataclass(frozen=True)
class TokenChange:
    """A token and how likely it is to come next after the prompt."""

    id: int
    text: str
    unsteered: float
    steered: float


@dataclass(frozen=True)
class Steered:
    """A prompt gone on with twice: as the model does, and with features turned."""

    prompt_pieces: tuple[str, ...]
    steered: Continued
    unsteered: Continued
    changes: tuple[TokenChange, ...]
    """Next tokens whose probability changed most, most first."""
    at: tuple[int, ...]
    """Places of the prompt that were turned."""
    notes: tuple[str, ...] = ()
    """What a person should be told about how it was done."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` gave, from JSON."""

        def continued(part: Mapping[str, Any]) -> Continued:
            return Continued(part["text"], tuple(part["ids"]), tuple(part["pieces"]), part["ended"])

        return cls(
            prompt_pieces=tuple(given["prompt_pieces"]),
            steered=continued(given["steered"]),
            unsteered=continued(given["unsteered"]),
            changes=tuple(TokenChange(**each) for each in given["changes"]),
            at=tuple(given["at"]),
            notes=tuple(given["notes"]),
        )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ParameterError(f"{name} is {value!r}; choose from {', '.join(allowed)}")
