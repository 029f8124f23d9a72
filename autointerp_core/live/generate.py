"""Going on from a prompt, token by token, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import AutointerpError
from autointerp_core.live.interventions import Positions
from autointerp_core.progress import Progress, ProgressCallback, silent

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Drawn:
    """Texts drawn from one prompt, one a seed."""

    ids: tuple[tuple[int, ...], ...]
    """Generated token ids, the one that ends a text left out."""
    ended: tuple[bool, ...]
    first: torch.Tensor
    """Logits after the prompt [vocab], float32 on the CPU."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn."""

    tokens: int
    temperature: float
    seeds: tuple[int, ...]
    """One text is drawn for each; they run as one batch."""


def generate(
    model: Any,
    prompt: Sequence[int],
    how: Sampling,
    end_ids: Sequence[int],
    positions: Positions,
    at_prompt: torch.Tensor,
    at_generated: bool,
    progress: ProgressCallback = silent,
) -> Drawn:
    """Draw texts that go on from a prompt.

    Args:
        model: a causal language model of transformers.
        end_ids: tokens that end a text.
        positions: told before every forward pass which positions are changed.
        at_prompt: which of the prompt's are [len(prompt)].
        at_generated: whether the generated tokens' are.

    Raises:
        AutointerpError: the model's logits are no finite numbers.
        Cancelled: raised by ``progress``.
    """
    import torch

    device = next(model.parameters()).device
    rows = len(how.seeds)
    dice = [torch.Generator().manual_seed(seed) for seed in how.seeds]
    ids = torch.tensor([list(prompt)] * rows, device=device)
    given, cache, first = ids, None, None
    done = [False] * rows
    out: list[list[int]] = [[] for _ in range(rows)]
    ends = set(end_ids)
    try:
        for step in range(how.tokens):
            after = torch.full((ids.shape[1] - len(prompt),), at_generated, dtype=torch.bool)
            mask = torch.cat([at_prompt, after])[-given.shape[1] :]
            positions.mask = mask.to(device)
            with torch.inference_mode():
                found = model(input_ids=given, past_key_values=cache, use_cache=True)
            logits = found.logits[:, -1].float().cpu()
            if not bool(logits.isfinite().all()):
                raise AutointerpError(
                    "the model's next-token logits are no finite numbers: the strength is too "
                    "large (or the model cannot run in this precision); give a smaller one"
                )
            first = logits[0] if first is None else first
            drawn = [_draw(logits[row], how.temperature, dice[row]) for row in range(rows)]
            for row, token in enumerate(drawn):
                if not done[row] and token in ends:
                    done[row] = True
                elif not done[row]:
                    out[row].append(token)
            progress(Progress("generating", step + 1, how.tokens, "tokens"))
            if all(done):
                break
            new = torch.tensor(drawn, device=device)[:, None]
            ids = torch.cat([ids, new], dim=1)
            # A model without a cache that can be handed back reads everything again.
            cache = getattr(found, "past_key_values", None)
            given = ids if cache is None else new
    finally:
        positions.mask = None
    assert first is not None
    return Drawn(tuple(map(tuple, out)), tuple(done), first)


def _draw(logits: torch.Tensor, temperature: float, dice: torch.Generator) -> int:
    import torch

    if temperature == 0:
        return int(logits.argmax())
    chances = torch.softmax(logits.double() / temperature, dim=-1)
    return int(torch.multinomial(chances, 1, generator=dice))
