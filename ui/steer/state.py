"""What is to be turned, and how: in the page's address, so that a link shows the same."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from autointerp_core.live.client import SteerAnswer
from autointerp_core.live.turns import HOWS, SteerConfig, Turn

MOST_TURNS = 6
MOST_TOKENS = 400
MOST_SEED = 2**31 - 1
MOST_HEAT = 5.0
MOST_PROMPT = 4_000
"""Characters of a prompt at most."""
DEFAULT_PROMPT = "When I look back on that day, I think"


@dataclass(frozen=True)
class Plan:
    """Everything a steered text depends on."""

    turns: tuple[Turn, ...] = ()
    prompt: str = DEFAULT_PROMPT
    at: str = "generated"
    tokens: int = 40
    seed: int = 0
    temperature: float = 0.7

    def config(self) -> SteerConfig:
        """How the prompt is gone on with.

        Raises:
            ParameterError: a value that cannot be used.
        """
        return SteerConfig(self.prompt, self.tokens, self.seed, self.temperature, self.at)

    def params(self) -> dict[str, str]:
        """As the page's address says it."""
        turns = ",".join(f"{t.feature}:{t.how}:{t.strength:g}" for t in self.turns)
        return {
            "turn": turns,
            "prompt": self.prompt[:600],
            "at": self.at,
            "tokens": str(self.tokens),
            "seed": str(self.seed),
            "temperature": f"{self.temperature:g}",
        }


def from_params(given: dict[str, str]) -> Plan:
    """The plan of an address; what means nothing there is left at its default."""
    plain = Plan()
    return Plan(
        turns=_turns(given.get("turn", "")),
        prompt=given.get("prompt", plain.prompt)[:MOST_PROMPT],
        at=given.get("at", plain.at),
        tokens=int(_within(_number(given.get("tokens", ""), plain.tokens), 1, MOST_TOKENS)),
        seed=int(_within(_number(given.get("seed", ""), plain.seed), 0, MOST_SEED)),
        temperature=_within(_number(given.get("temperature", ""), plain.temperature), 0, MOST_HEAT),
    )


def _turns(text: str) -> tuple[Turn, ...]:
    found: dict[int, Turn] = {}
    for part in text.split(","):
        feature, _, rest = part.partition(":")
        how, _, strength = rest.partition(":")
        if feature.isdecimal() and len(feature) < 10:
            how = how if how in HOWS else "add"
            found[int(feature)] = Turn(int(feature), how, _number(strength, 4.0))
    return tuple(found.values())[:MOST_TURNS]


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _number(text: str, default: float) -> float:
    try:
        found = float(text)
    except ValueError:
        return default
    return found if math.isfinite(found) and abs(found) < 1e15 else default


@dataclass
class Steering:
    """What this session has steered in the study picked, by the panel it was asked in."""

    plans: dict[str, Plan] = field(default_factory=dict)
    answers: dict[str, tuple[Plan, SteerAnswer]] = field(default_factory=dict)
    wanted: set[str] = field(default_factory=set)
    """Panels in which texts were asked for by a click, until that was heard."""
