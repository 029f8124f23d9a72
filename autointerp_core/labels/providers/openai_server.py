"""Whom requests are sent to, what is asked, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from autointerp_core.errors import ParameterError
from autointerp_core.labels.providers import openai_wire as wire
from autointerp_core.labels.providers.base import ChatPrompt, Completion, Usage


@dataclass(frozen=True)
class Limits:
    """How hard a server is asked."""

    concurrency: int = 8
    timeout: float = 60.0
    attempts: int = 6
    first_wait: float = 0.5

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.attempts < 1 or not self.timeout > 0:
            raise ParameterError("concurrency, attempts and timeout must be positive")


class Server(Protocol):
    """Whom requests are sent to, and what is known and counted of it.

    Attributes:
        base_url: its address.
        limits: how hard it is asked.
        dialect: what it was found to take.
        reached: whether it ever answered anything.
        usage: what was used, kept up to date here and by :meth:`count`.
        stopped: why no further prompt is asked.
    """

    base_url: str
    limits: Limits
    dialect: wire.Dialect
    reached: bool
    usage: Usage
    stopped: str | None

    @property
    def model(self) -> str:
        """Whom to ask for."""

    def client(self) -> Any:
        """The SDK's asynchronous client."""

    def learn(self, dialect: wire.Dialect, said: str = "") -> None:
        """Ask in this way from now on; ``said`` are the words it was learnt from."""

    def say(self, notice: str) -> None:
        """Tell a person, once."""

    def keep(self, key: str, answer: Completion, probability: float | None) -> None:
        """Never ask for this again."""

    def over_budget(self, tokens_in: int = 0, tokens_out: int = 0) -> str | None:
        """Why no further prompt may be asked while so much is under way, or None."""

    def count(self, tokens_in: int, tokens_out: int) -> None:
        """Add to what was used."""

    def count_tokens(self, text: str) -> int:
        """About how many tokens a text has."""

    def cost(self, tokens_in: int, tokens_out: int) -> float | None:
        """US dollars for so many tokens, where a price is known."""


@dataclass(frozen=True)
class Reply:
    """An answer, and the probability of yes where one was asked for and given."""

    answer: Completion
    probability: float | None = None


@dataclass(frozen=True)
class Question:
    """One prompt to send; ``indices`` are the places it has in the call, at least one."""

    indices: tuple[int, ...]
    prompt: ChatPrompt
    key: str
    """Its hash, for the cache."""
