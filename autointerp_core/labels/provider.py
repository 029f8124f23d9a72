"""What a label provider is: something that completes chat prompts.

Implementations: :mod:`.local` (transformers), :mod:`.openai_api` (a compatible server),
:mod:`.scripted` (a fake for tests and for trying the app without a model). None of them is
loaded before it is first asked.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from autointerp_core.errors import ParameterError, ProviderError

PROVIDERS = ("local", "openai", "scripted")
MAX_NEW_TOKENS = 32
"""Nine words, with room for quotes and a prefix that cleaning takes away."""


@dataclass(frozen=True)
class Message:
    """One turn of a chat; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class ChatPrompt:
    """What is sent to a model. The last message is the user's."""

    messages: tuple[Message, ...]

    @property
    def text(self) -> str:
        """Everything in it, a message a paragraph."""
        return "\n\n".join(message.content for message in self.messages)

    def with_last(self, extra: str) -> ChatPrompt:
        """The same prompt with ``extra`` added to the end of the last message."""
        last = self.messages[-1]
        return ChatPrompt((*self.messages[:-1], Message(last.role, f"{last.content}\n\n{extra}")))


@dataclass(frozen=True)
class Settings:
    """How an answer is generated. Temperature 0 is greedy: the same prompt, the same answer."""

    max_new_tokens: int = MAX_NEW_TOKENS
    temperature: float = 0.0
    seed: int = 0


GREEDY = Settings()


@dataclass(frozen=True)
class Completion:
    """The answer to prompt number ``index`` of a call; ``text`` or ``error`` is None."""

    index: int
    text: str | None
    error: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    """Of work on this prompt; prompts answered together share their time equally."""
    cost: float | None = None
    """US dollars; None where no price is known."""


def prompt_hash(prompt: ChatPrompt, settings: Settings) -> str:
    """SHA-256 (hex) over everything that is sent: messages in order, and settings."""
    sent = {
        "messages": [[m.role, m.content] for m in prompt.messages],
        "max_new_tokens": settings.max_new_tokens,
        "temperature": settings.temperature,
        "seed": settings.seed,
    }
    # Dataset text may hold lone surrogates in theory; hashing must not fail on them.
    try:
        raw = orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raw = repr(sorted(sent.items())).encode("utf-8", "backslashreplace")
    return hashlib.sha256(raw).hexdigest()


class LabelProvider(ABC):
    """Completes prompts. ``name`` is the provider's, :attr:`model` the model's."""

    name: str

    def __init__(self) -> None:
        self.notices: list[str] = []
        """Things a person should be told once, say that a model has no chat template."""
        self.stopped: str | None = None
        """Why the last call ended before every prompt was answered (a budget); else None."""

    @property
    @abstractmethod
    def model(self) -> str:
        """The model's name, as it is recorded; cheap, loads nothing."""

    @abstractmethod
    def complete(
        self, prompts: Sequence[ChatPrompt], settings: Settings = GREEDY, *, fresh: bool = False
    ) -> Iterator[Completion]:
        """Answers, as they are ready: in any order, one for each prompt.

        An answer that could not be had is a :class:`Completion` with an ``error``. Fewer come
        only where :attr:`stopped` says why. ``fresh`` asks again what was answered before,
        where a provider keeps answers.

        Raises:
            ProviderError: nothing can be had from this provider (no server, no key).
            BadInput: the model cannot be found or loaded.
        """

    def rank(self, prompt: ChatPrompt, candidates: Sequence[str]) -> list[float]:
        """Log-probability of each candidate as the answer to ``prompt``.

        Raises:
            ProviderError: this provider gives no probabilities.
        """
        raise ProviderError(
            f"the {self.name} provider gives no probabilities; it cannot rank {len(candidates)} "
            "candidates"
        )

    def close(self) -> None:
        """Free what it holds (a model's memory); it may be used again."""
        return


def make_provider(
    name: str, *, model_path: str, device: str | None = None, dtype: str = "auto"
) -> LabelProvider:
    """The provider called ``name``; loads no model yet.

    Raises:
        ParameterError: there is no such provider.
    """
    if name == "local":
        from autointerp_core.labels.local import LocalProvider

        return LocalProvider(model_path, device=device, dtype=dtype)
    if name == "scripted":
        from autointerp_core.labels.scripted import ScriptedProvider

        return ScriptedProvider()
    if name == "openai":
        from autointerp_core.labels.openai_api import OpenAIProvider

        return OpenAIProvider(model_path)
    raise ParameterError(f"no label provider {name!r}; choose from {', '.join(PROVIDERS)}")
