"""Texts that a language model writes for a label, and for anything but that label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autointerp_core.labels.providers.base import (
    ChatPrompt,
    Completion,
    LabelProvider,
    Message,
    Settings,
)
from autointerp_core.labels.scoring.read_written import read_texts

TEXTS = 10
"""Wanted for the label, and as many against it."""
MIN_TEXTS = 5
A_PROMPT = 5
"""Texts asked for at a time: long lists repeat themselves."""
_ROOM = 320
_SYSTEM = (
    "You write short pieces of text to test a label. Each is one line of ten to thirty words, like "
    "a passage cut out of an article, a story, a manual or a letter; no two are about the same "
    "thing. Write the texts alone, each on a line of its own, without numbers or comments."
)
_FOR = (
    "Label: {label}\nWrite {count} different texts that clearly contain what the label names. "
    "Where the label names words or signs, use them; never write about the label itself. Batch "
    "{batch}."
)
_AGAINST = (
    "Label: {label}\nWrite {count} different texts that contain nothing of what the label names: "
    "no such words, signs or topics, nor anything near them. Batch {batch}."
)


@dataclass
class WrittenTexts:
    """What was written for one label."""

    fitting: list[str] = field(default_factory=list)
    unfitting: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """Why a prompt gave nothing."""
    answered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None

    @property
    def problem(self) -> str | None:
        """Why there are not enough texts; None where there are."""
        had = min(len(self.fitting), len(self.unfitting))
        if had >= MIN_TEXTS:
            return None
        why = f": {self.errors[0]}" if self.errors else ""
        return (
            f"the writer gave {len(self.fitting)} texts for the label and {len(self.unfitting)} "
            f"against it; generation needs {MIN_TEXTS} of each{why}"
        )

    def take(self, answer: Completion, *, fitting: bool) -> None:
        """Take in one answer of the writer."""
        self.answered += 1
        self.tokens_in += answer.tokens_in
        self.tokens_out += answer.tokens_out
        self.seconds += answer.seconds
        if answer.cost is not None:
            self.cost = (self.cost or 0.0) + answer.cost
        if answer.error is not None:
            self.errors.append(answer.error)
            return
        into = self.fitting if fitting else self.unfitting
        known = {text.casefold() for text in into}
        texts = read_texts(answer.text)
        if not texts:
            said = " ".join((answer.text or "").split())[:80]
            self.errors.append(f"no texts (it answered: {said!r})")
        for text in texts:
            if text.casefold() not in known and len(into) < TEXTS:
                known.add(text.casefold())
                into.append(text)


def write_texts(
    provider: LabelProvider, labels: Sequence[str], seed: int = 0, *, fresh: bool = False
) -> list[WrittenTexts]:
    """Texts for and against each label; those after the last answered one are left out.

    Fewer come only where ``provider.stopped`` says why.

    Raises:
        ProviderError: nothing can be had from the provider.
    """
    batches = TEXTS // A_PROMPT
    found = [WrittenTexts() for _ in labels]
    settings = Settings(max_new_tokens=_ROOM, temperature=0.7, seed=seed)
    asked: list[tuple[int, bool]] = []
    prompts: list[ChatPrompt] = []
    for place, label in enumerate(labels):
        for fitting in (True, False):
            for batch in range(1, batches + 1):
                asked.append((place, fitting))
                prompts.append(writing_prompt(label, fitting=fitting, batch=batch))
    for answer in provider.complete(prompts, settings, fresh=fresh):
        place, fitting = asked[answer.index]
        found[place].take(answer, fitting=fitting)
    whole = [place for place, one in enumerate(found) if one.answered == 2 * batches]
    return found if len(whole) == len(found) else found[: _first_gap(whole)]


def writing_prompt(label: str, *, fitting: bool, batch: int) -> ChatPrompt:
    """What the writer is asked."""
    ask = (_FOR if fitting else _AGAINST).format(
        label=" ".join(label.split()), count=A_PROMPT, batch=batch
    )
    return ChatPrompt((Message("system", _SYSTEM), Message("user", ask)))


def _first_gap(whole: Sequence[int]) -> int:
    have = set(whole)
    return next(place for place in range(len(have) + 1) if place not in have)
