"""A feature's examples as lines of a prompt: which token it fires on, and how strongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autointerp_core.labels.marks import is_visible, mark, plain
from autointerp_core.labels.word_pieces import goes_on, is_word
from autointerp_core.store.study import Example, Study

BEFORE, AFTER = 14, 8
"""Tokens shown around the peak; enough to see why, few enough for a small model."""
SHOWN_LOGITS = 8


def strength(activation: float, maximum: float) -> int:
    """Activation on a scale of 0 to 10, as integers are easier to read than decimals.

    Below zero, down to -10, where the activation is: a signed SAE's features fire either way.
    """
    if maximum <= 0 or activation == 0:
        return 0
    size = max(1, min(10, round(10 * abs(activation) / maximum)))
    return size if activation > 0 else -size


def mark_peak(example: Example, before: int = BEFORE, after: int = AFTER) -> str:
    """The example on one line, its peak between ``<<`` and ``>>``: whole characters."""
    example = example.whole
    peak = example.peak_index
    low, high = max(0, peak - before), min(len(example.tokens), peak + after + 1)
    left = "".join(example.tokens[low:peak])
    right = "".join(example.tokens[peak + 1 : high])
    return " ".join(f"{plain(left)}{mark(example.tokens[peak])}{plain(right)}".split())


def clip(example: Example, around: int) -> Example:
    """The example with at most ``around`` tokens on each side of its peak."""
    example = example.whole
    low = max(0, example.peak_index - around)
    high = example.peak_index + around + 1
    return replace(
        example,
        start_position=example.start_position + low,
        token_ids=example.token_ids[low:high],
        tokens=example.tokens[low:high],
        values=example.values[low:high],
        peak_index=example.peak_index - low,
    )


def whole_word(example: Example) -> str:
    """The word that the peak token is a piece of, as far as the window shows it."""
    example = example.whole
    tokens, peak = example.tokens, example.peak_index
    first = last = peak
    if not is_word(tokens[peak].strip()):
        return " ".join(tokens[peak].split()) if is_visible(tokens[peak]) else ""
    while first > 0 and _continues(tokens[first - 1].strip(), tokens[first]):
        first -= 1
    while last + 1 < len(tokens) and _continues(tokens[last], tokens[last + 1]):
        last += 1
    return "".join(tokens[first : last + 1]).strip()


def _continues(before: str, token: str) -> bool:
    return is_word(before.strip()) and is_word(token) and goes_on(before, token)


def mark_strengths(example: Example, top: float) -> str:
    """The example on one line, every strong token marked and followed by its strength."""
    example = example.whole
    low = max(0, example.peak_index - BEFORE)
    high = example.peak_index + AFTER + 1
    out = []
    shown = zip(example.tokens[low:high], example.values[low:high], strict=True)
    for n, (token, value) in enumerate(shown, start=low):
        peak = n == example.peak_index
        if peak or (is_visible(token) and abs(value) >= 0.3 * abs(example.activation)):
            out.append(mark(token, f"({strength(value, top)})"))
        else:
            out.append(plain(token))
    return " ".join("".join(out).split())


def strongest(examples: Sequence[Example]) -> float:
    return max((example.activation for example in examples), default=0.0)


def peak_lines(examples: Sequence[Example]) -> list[str]:
    top = strongest(examples)
    return ["Texts:"] + [f"{strength(e.activation, top)}: {mark_peak(e)}" for e in examples]


def marked_line(examples: Sequence[Example]) -> list[str]:
    """The marked words themselves, commonest first: what a small model looks at."""
    marked: dict[str, int] = {}
    for example in examples:
        word = whole_word(example)
        if word:
            marked[word] = marked.get(word, 0) + 1
    common = sorted(marked, key=lambda word: -marked[word])[:8]
    return ["Marked: " + ", ".join(plain(word) for word in common)] if common else []


def logit_line(study: Study, feature: int) -> list[str]:
    raised = [logit.text.strip() for logit in study.logits(feature)[0]]
    raised = [plain(text) for text in dict.fromkeys(raised) if text.isprintable() and text]
    return ["Words it makes likely next: " + ", ".join(raised[:SHOWN_LOGITS])] if raised else []


def silent_lines(study: Study, feature: int, examples: Sequence[Example]) -> list[str]:
    """Windows of the very same documents in which the feature is silent."""
    documents = sorted({example.document_index for example in examples})
    limit = max(2, len(examples) // 2)
    silent = study.silent_examples(feature, limit, documents=documents)
    if not silent:
        return []
    return ["Texts of the same kind without a reaction:"] + [
        "0: " + " ".join(plain("".join(e.whole.tokens[:23])).split()) for e in silent
    ]
