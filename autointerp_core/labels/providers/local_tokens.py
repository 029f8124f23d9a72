"""Prompts and answers of a local chat model as token ids.

Chat templates, models without one, and the tokens that end an answer or say yes and no.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.labels.providers.reply_markup import is_marker, opens_thought


def prompt_ids(tokenizer: Any, prompt: ChatPrompt, cue: str) -> list[int]:
    """Token ids of a prompt, up to where the answer begins.

    ``cue`` stands before the answer where there is no chat template.
    """
    if tokenizer.chat_template:
        messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
        text = _template(tokenizer, messages)
    else:
        text = _plain_prompt(prompt, cue)
    # A template writes its own BOS; one added by the tokenizer would be a second.
    ids = _ids(tokenizer, text)
    bos = tokenizer.bos_token_id
    if not tokenizer.chat_template and bos is not None and ids[:1] != [bos]:
        ids = [bos, *ids]
    return ids


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _template(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    from jinja2 import TemplateError

    def render(turns: list[dict[str, str]]) -> str:
        # Thinking would use up the few tokens a label has; templates without it ignore this.
        text: str = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return text

    try:
        return render(messages)
    except TemplateError:
        # Some models (Gemma) take no system turn: its text goes before the first question.
        merged = [dict(m) for m in messages]
        system = merged.pop(0)["content"] if merged[0]["role"] == "system" else ""
        merged[0]["content"] = f"{system}\n\n{merged[0]['content']}".strip()
        return render(merged)


def _plain_prompt(prompt: ChatPrompt, cue: str) -> str:
    """The prompt for a model that only continues text."""
    parts = []
    for message in prompt.messages:
        if message.role == "assistant":
            parts.append(f"{cue}: {message.content}\n")
        else:
            parts.append(f"{message.content}\n")
    return "\n".join(parts) + f"\n{cue}:"


def continuation_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of an answer where it stands: after a prompt."""
    if tokenizer.chat_template:
        # Templates end with a line break or a space; text needs none of its own.
        return _ids(tokenizer, text)
    cue, whole = _ids(tokenizer, ":"), _ids(tokenizer, f": {text}")
    return whole[len(cue) :] if whole[: len(cue)] == cue else _ids(tokenizer, f" {text}")


def stop_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every token that ends an answer, the tokenizer's or model's own first.

    A checkpoint names one in its generation config, another in its tokenizer, and its
    chat template may end turns with a third; generating past any of them writes a
    conversation with itself.
    """
    found: list[int] = []
    for source in (getattr(model, "generation_config", None), model.config, tokenizer):
        value = getattr(source, "eos_token_id", None)
        found += value if isinstance(value, list) else [value] if value is not None else []
    known = tokenizer.get_vocab()
    for end in TURN_ENDS:
        if end in known and (tokenizer.chat_template is None or end in tokenizer.chat_template):
            found.append(known[end])
    if "<|channel|>" in known and "<|end|>" in known and len(set(found)) > 1:
        # In the harmony format it ends a message, and the thought is one.
        found = [token for token in found if token != known["<|end|>"]]
    return list(dict.fromkeys(found))


TURN_ENDS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<turn|>", "<|end|>"),
    *("<|endoftext|>", "<|return|>", "<|call|>", "</s>", "<eos>", "<｜end▁of▁sentence｜>"),
    *("<|END_OF_TURN_TOKEN|>", "<|END_RESPONSE|>", "[|endofturn|]", "<|end_of_text|>"),
    *("<|endofturn|>", "<|end_of_turn|>", "<|user|>", "<|role_end|>", "[EOS]", "<eod>"),
)
"""Tokens that end an answer, family by family; those that a tokenizer and its template have."""
PROMPT_END = 12
"""Tokens in which a template says that the reply begins with a thought."""


def reply_text(tokenizer: Any, prompt: Sequence[int], reply: Sequence[int]) -> str:
    """What a model wrote, with the markers that tell its thoughts from its answer.

    They are special tokens to some tokenizers and would be lost with those. A thought that the
    prompt itself opened is opened here as well.
    """
    special = set(tokenizer.all_special_ids)
    kept = [n for n in reply if n not in special or is_marker(tokenizer.decode([n]))]
    text: str = tokenizer.decode(kept, skip_special_tokens=False)
    opened = opens_thought(tokenizer.decode(list(prompt[-PROMPT_END:]), skip_special_tokens=False))
    return f"<think>{text}" if opened else text


def yes_no_ids(tokenizer: Any) -> tuple[list[int], list[int]] | None:
    """Tokens that say yes, and tokens that say no; None where they cannot be told apart."""
    yes, no = (set(_spellings(tokenizer, word)) for word in ("yes", "no"))
    both = yes & no
    if not yes - both or not no - both:
        return None
    return sorted(yes - both), sorted(no - both)


def _spellings(tokenizer: Any, word: str) -> list[int]:
    """Tokens that are ``word`` in any case, with or without a space before it.

    In a vocabulary that splits the word, the tokens it begins with.
    """
    # Space and line break, as byte-level and as sentence-piece vocabularies write them.
    whole = [
        number
        for token, number in tokenizer.get_vocab().items()
        if token.lstrip("ĠĊ▁ \n").casefold() == word
    ]
    if whole:
        return whole
    forms = [f"{space}{spelt}" for space in ("", " ") for spelt in (word, word.capitalize())]
    rows = [tokenizer(form, add_special_tokens=False)["input_ids"] for form in forms]
    return [row[0] for row in rows if row and tokenizer.decode(row[:1]).strip()]
