"""What a label provider is: something that completes chat prompts and answers yes or no.

Implementations: :mod:`.local` (transformers), :mod:`.openai_api` (a compatible server),
:mod:`.scripted` (a fake for tests and for trying the app without a model). None of them is
loaded before it is first asked.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson
import regex

from autointerp_core.errors import ParameterError, ProviderError
from autointerp_core.labels.providers.json_reply import answer_text

THINKING_ROOM = 4096
"""Tokens more for a model that was seen to think before it answers."""
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
    json_field: str | None = None
    """Where a provider can force the shape of an answer, force a JSON object with one string
    under this name. The answer's text is that string; a provider that cannot ignores this."""


GREEDY = Settings()
YES_NO = Settings(max_new_tokens=4)
"""How a yes or no is asked for where it has to be read from the words of an answer."""


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
    too_long: bool = False
    """True for the one error that fewer or shorter examples cure: the context is full."""


@dataclass(frozen=True)
class Verdict:
    """The yes or no to prompt number ``index`` of a call.

    ``probability`` is that of yes, between 0 and 1; 1.0 or 0.0 where only a word was given.
    None, with an ``error``, is a missing judgement: nothing was learnt, least of all "no".
    """

    index: int
    probability: float | None
    error: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None
    """US dollars; None where no price is known."""
    too_long: bool = False
    """True where the error is a full context."""


_YES_OR_NO = regex.compile(
    r"""^[^\p{L}\p{N}]*                                   # quotes, asterisks, brackets
    (?:(?:the\s+|my\s+|final\s+)*(?:answer|label|response|verdict)\b(?:\s+is\b)?[^\p{L}\p{N}]*)?
    (?:(?P<yes>yes)\b(?!\s*(?:/|or\b|and\b|but\s+no\b))
      # "no idea" and "no answer" are not the answer no.
      |(?P<no>no)\b(?!\s*(?:/|or\b|but\s+yes\b))
        (?=\s*(?:$|[^\p{L}\p{N}\s]|\n|(?:it|its|this|that|the|there|they|these|none|not)\b)))""",
    regex.IGNORECASE | regex.VERBOSE,
)


def read_yes_no(text: str | None) -> bool | None:
    """The yes or no that an answer begins with; None where it is neither."""
    # Reasoning comes first where a server does not keep it apart.
    found = _YES_OR_NO.match(answer_text(text, "answer"))
    if found is None:
        return None
    return found["yes"] is not None


def verdict(answer: Completion, probability: float | None = None) -> Verdict:
    """What an answer says: ``probability`` where one is known, else its first word."""
    error = answer.error
    if probability is not None and not math.isfinite(probability):
        probability = None
    if error is None and probability is None:
        said = read_yes_no(answer.text)
        if said is not None:
            probability = float(said)
        elif (answer.text or "").strip():
            error = f"neither yes nor no (it answered: {' '.join((answer.text or '').split())!r})"
        else:
            error = "empty answer"
    return Verdict(
        answer.index,
        probability if error is None else None,
        error,
        answer.tokens_in,
        answer.tokens_out,
        answer.seconds,
        answer.cost,
        answer.too_long,
    )


@dataclass(frozen=True)
class Price:
    """US dollars a million tokens."""

    tokens_in: float
    tokens_out: float

    def __post_init__(self) -> None:
        for value in (self.tokens_in, self.tokens_out):
            if not (math.isfinite(value) and value >= 0):
                raise ParameterError(
                    f"a price is {value}; give dollars a million tokens, 0 or more"
                )

    def of(self, tokens_in: int, tokens_out: int) -> float:
        """US dollars for so many tokens."""
        return (tokens_in * self.tokens_in + tokens_out * self.tokens_out) / 1e6


@dataclass
class Usage:
    """What a provider used since it was made."""

    requests: int = 0
    """Prompts that were sent, each attempt counted; answers from a cache are none."""
    tokens_in: int = 0
    tokens_out: int = 0
    possibly_paid: int = 0
    """Requests whose reply was cut off or unreadable: the server may have counted them."""
    possibly_paid_tokens: int = 0
    """Estimated prompt tokens of those requests."""
    dollars: float | None = None
    """None where no price is known."""


@dataclass(frozen=True)
class Budget:
    """What a provider may use before it stops; None: no bound."""

    tokens: int | None = None
    dollars: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("token", self.tokens), ("money", self.dollars)):
            if value is not None and not value > 0:
                raise ParameterError(f"the {name} budget is {value}; give more than 0, or none")

    def less(self, usage: Usage) -> Budget | None:
        """What is left after ``usage``; None where nothing is."""
        tokens, dollars = self.tokens, self.dollars
        if tokens is not None:
            tokens -= usage.tokens_in + usage.tokens_out + usage.possibly_paid_tokens
        if dollars is not None:
            dollars -= usage.dollars or 0.0
        if (tokens is not None and tokens <= 0) or (dollars is not None and dollars <= 0):
            return None
        return Budget(tokens, dollars)


NO_BOUND = Budget()


def cut_off(tokens: int) -> str:
    """The error of an answer whose token limit came before it did."""
    return (
        f"the model was still thinking at its limit of {tokens:,} tokens and gave no answer: "
        "switch its thinking off, or use a model that thinks less"
    )


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, for budgets and forecasts: four bytes each."""
    return (len(text.encode("utf-8", "surrogatepass")) + 3) // 4


def prompt_hash(prompt: ChatPrompt, settings: Settings, *, kind: str | None = None) -> str:
    """SHA-256 (hex) over everything that is sent: messages in order, and settings.

    ``kind`` sets apart questions that differ in something else, say in asking for
    probabilities; what has no kind and no JSON field hashes as it always did.
    """
    sent: dict[str, object] = {
        "messages": [[m.role, m.content] for m in prompt.messages],
        "max_new_tokens": settings.max_new_tokens,
        "temperature": settings.temperature,
        "seed": settings.seed,
    }
    if settings.json_field is not None:
        sent["json_field"] = settings.json_field
    if kind is not None:
        sent["kind"] = kind
    # Dataset text may hold lone surrogates in theory; hashing must not fail on them.
    try:
        raw = orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raw = repr(sorted(sent.items())).encode("utf-8", "backslashreplace")
    return hashlib.sha256(raw).hexdigest()


class LabelProvider(ABC):
    """Completes prompts. ``name`` is the provider's, :attr:`model` the model's.

    Args:
        price: of tokens, where known; without it costs are None, and a money budget is refused.
        budget: what may be used before :attr:`stopped` ends a call.

    Raises:
        ParameterError: a money budget without a price.
    """

    name: str

    def __init__(self, *, price: Price | None = None, budget: Budget | None = None) -> None:
        self.price, self.budget = price, budget or NO_BOUND
        if self.budget.dollars is not None and price is None:
            raise ParameterError(
                "a money budget needs a price: give the price of a million tokens in and out, "
                "or a token budget"
            )
        self.usage = Usage(dollars=0.0 if price else None)
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

    def yes_no(self, prompts: Sequence[ChatPrompt], *, fresh: bool = False) -> Iterator[Verdict]:
        """Whether the answer to each prompt is yes, as they are ready: in any order.

        Read from the answer's first word here; providers that know probabilities give those.
        An answer that is neither, is empty, or could not be had is a :class:`Verdict` with an
        ``error``. Fewer come only where :attr:`stopped` says why.

        Raises:
            ProviderError, BadInput: as :meth:`complete`.
        """
        for answer in self.complete(prompts, YES_NO, fresh=fresh):
            yield verdict(answer)

    def rank(self, prompt: ChatPrompt, candidates: Sequence[str]) -> list[float]:
        """Log-probability of each candidate as the answer to ``prompt``.

        An empty list where a budget is used up; :attr:`stopped` says so.

        Raises:
            ProviderError: this provider gives no probabilities.
            PromptTooLong: the prompt and a candidate do not fit the model's context.
        """
        raise ProviderError(
            f"the {self.name} provider gives no probabilities; it cannot rank {len(candidates)} "
            "candidates"
        )

    def count_tokens(self, text: str) -> int:
        """About how many tokens this model makes of a text; loads nothing."""
        return estimate_tokens(text)

    def cost(self, tokens_in: int, tokens_out: int) -> float | None:
        """US dollars for so many tokens; None where no price is known."""
        return None if self.price is None else self.price.of(tokens_in, tokens_out)

    def count(self, tokens_in: int, tokens_out: int) -> None:
        """Add what an answer used to :attr:`usage`."""
        self.usage.tokens_in += tokens_in
        self.usage.tokens_out += tokens_out
        cost = self.cost(tokens_in, tokens_out)
        if cost is not None:
            self.usage.dollars = (self.usage.dollars or 0.0) + cost

    def over_budget(self, tokens_in: int = 0, tokens_out: int = 0) -> str | None:
        """Why no further prompt may be asked, or None.

        What was possibly paid counts as paid, and so do tokens that are under way:
        ``tokens_in`` of prompts, at most ``tokens_out`` of answers.
        """
        used = self.usage
        tokens_in += used.possibly_paid_tokens
        tokens = used.tokens_in + used.tokens_out + tokens_in + tokens_out
        if self.budget.tokens is not None and tokens >= self.budget.tokens:
            return f"the budget of {self.budget.tokens:,} tokens is used up"
        dollars = (used.dollars or 0.0) + (self.cost(tokens_in, tokens_out) or 0.0)
        if self.budget.dollars is not None and dollars >= self.budget.dollars:
            return f"the budget of ${self.budget.dollars:g} is used up"
        return None

    def check(self) -> None:
        """See whether it can be asked at all, before hours are spent on what it is to read.

        Cheap, and sends nothing: a server that is down is found out by the first prompt.

        Raises:
            ProviderSetupError: there is no key.
            BadInput: there is no such model.
        """
        return

    def close(self) -> None:
        """Free what it holds (a model's memory); it may be used again."""
        return
