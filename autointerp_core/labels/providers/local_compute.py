"""What a transformers model computes for a provider: texts, yes or no, likelihoods of candidates.

Rows are token ids of prompts. The beginning that all of them share is run once; with greedy
decoding that changes no answer.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from autointerp_core.labels.providers.base import Settings
from autointerp_core.labels.providers.local_tokens import reply_text
from autointerp_core.labels.providers.yes_no_chance import Chance, judged

SHORTEST = 16
"""Tokens; a shorter shared beginning is not worth its copies."""


class SharedBeginning:
    """Token ids that prompts begin with, and the cache of having run them."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self._cache: Any = None

    def run(self, model: Any, rows: Sequence[list[int]]) -> None:
        """Run the beginning that all these prompts share, once, and keep its cache."""
        import torch

        if self.ids and all(row[: len(self.ids)] == self.ids for row in rows):
            return
        self.ids, self._cache = [], None
        if len(rows) < 2 or not _attends_to_everything(model):
            return
        low, high = min(rows), max(rows)
        longest = min(len(row) for row in rows) - 1
        same = next((n for n in range(longest) if low[n] != high[n]), longest)
        if same < SHORTEST:
            return
        with torch.inference_mode():
            ids = torch.tensor([low[:same]], device=model.device)
            self._cache = model(ids, use_cache=True, logits_to_keep=1).past_key_values
        self.ids = low[:same]

    def under(self, rows: Sequence[list[int]]) -> tuple[list[int], Any]:
        """The shared beginning, and a copy of its cache for each row; nothing where none fits."""
        size = len(self.ids)
        if not size or any(r[:size] != self.ids or len(r) == size for r in rows):
            return [], None
        cache = copy.deepcopy(self._cache)
        cache.batch_repeat_interleave(len(rows))
        return self.ids, cache


def _attends_to_everything(model: Any) -> bool:
    """False for models with a sliding window, whose caches forget the beginning."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return kinds == {"full_attention"} and not getattr(config, "sliding_window", None)


def generate(
    model: Any,
    tokenizer: Any,
    stops: list[int],
    shared: SharedBeginning,
    rows: Sequence[list[int]],
    settings: Settings,
) -> list[tuple[str, int]]:
    """Text and number of generated tokens for each row of prompt ids."""
    import torch
    from transformers import GenerationConfig

    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else stops[0]
    width = max(len(row) for row in rows)
    head, cache = shared.under(rows)
    # The padding stands between the shared beginning and the rest of each prompt.
    ids = torch.tensor([head + [pad] * (width - len(r)) + r[len(head) :] for r in rows])
    mask = torch.tensor(
        [[1] * len(head) + [0] * (width - len(r)) + [1] * (len(r) - len(head)) for r in rows]
    )
    sampling = settings.temperature > 0
    # Made anew, so that a checkpoint's own sampling defaults do not leak in.
    config = GenerationConfig(
        max_new_tokens=settings.max_new_tokens,
        do_sample=sampling,
        eos_token_id=stops,
        pad_token_id=pad,
        **({"temperature": settings.temperature, "top_p": 0.95} if sampling else {}),
    )
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.inference_mode(), torch.random.fork_rng(devices):
        torch.manual_seed(settings.seed)
        out = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            generation_config=config,
            **({"past_key_values": cache} if cache is not None else {}),
        )
    answers = []
    for prompt, row in zip(rows, out[:, width:].tolist(), strict=True):
        end = next((n for n, token in enumerate(row) if token in stops), len(row))
        answers.append((reply_text(tokenizer, prompt, row[:end]), end))
    return answers


def chances(
    model: Any,
    tokenizer: Any,
    words: tuple[list[int], list[int]],
    shared: SharedBeginning,
    rows: Sequence[list[int]],
    least_mass: float,
) -> list[Chance]:
    """Yes against no as the next token of each row, or why that is no judgement."""
    import torch

    either = {n for ids in words for n in ids}
    yes, no = (torch.tensor(ids, device=model.device) for ids in words)
    head, cache = shared.under(rows)
    tails = [row[len(head) :] for row in rows]
    width = max(len(tail) for tail in tails)
    # The padding comes after everything that counts, so that nothing ever attends to it.
    ids = torch.tensor([tail + [tail[-1]] * (width - len(tail)) for tail in tails])
    # Only where some prompt ends: logits of every position would not fit a large vocabulary.
    ends = sorted({len(tail) - 1 for tail in tails})
    places = torch.tensor(ends, device=model.device)
    at = torch.tensor([ends.index(len(tail) - 1) for tail in tails], device=model.device)
    with torch.inference_mode():
        logits = model(
            ids.to(model.device),
            logits_to_keep=places,
            use_cache=cache is not None,
            **({"past_key_values": cache} if cache is not None else {}),
        ).logits
        row = torch.arange(len(rows), device=model.device)
        next_token = logits[row, at].float()
        whole = next_token.logsumexp(-1)
        shares = [(next_token[:, n].logsumexp(-1) - whole).double().exp() for n in (yes, no)]
        found = zip(*(s.tolist() for s in shares), next_token.argmax(-1).tolist(), strict=True)
    return [
        judged(tokenizer.decode([n]), n in either, p_yes, p_no, least_mass)
        for p_yes, p_no, n in found
    ]


def tail_scores(model: Any, head: list[int], tails: Sequence[list[int]]) -> list[float]:
    """Summed log-probability of each tail after the head, which is run once."""
    import torch

    device = model.device
    with torch.inference_mode():
        first = model(torch.tensor([head], device=device), use_cache=True, logits_to_keep=1)
        cache = first.past_key_values
        start = first.logits[:, -1].float().log_softmax(-1)[0]
        scores = start[torch.tensor([tail[0] for tail in tails], device=device)]
        width = max(len(tail) for tail in tails) - 1
        if not width:
            return [float(score) for score in scores]
        cache.batch_repeat_interleave(len(tails))
        # What stands in the padding comes after everything that counts.
        rows = torch.tensor(
            [(tail[:-1] + [tail[-1]] * width)[:width] for tail in tails], device=device
        )
        logits = model(rows, past_key_values=cache, use_cache=True).logits
        follow = logits.float().log_softmax(-1)
        target = torch.tensor(
            [(tail[1:] + [tail[-1]] * width)[:width] for tail in tails], device=device
        )
        counted = torch.tensor(
            [[n < len(tail) - 1 for n in range(width)] for tail in tails], device=device
        )
        chosen = follow.gather(-1, target[..., None])[..., 0]
        scores = scores + (chosen * counted).sum(-1)
    return [float(score) for score in scores]
