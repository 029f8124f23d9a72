"""The tiny model and SAE that the kept study was extracted from (documents.jsonl is by hand).

Run at the commit that README.md names, with its root as PYTHONPATH::

    python make_sources.py

A random Llama, a tokenizer trained on the documents, and a TopK SAE of 32 latents. Most read
the mean difference between one token and all others, so that they fire on words a label can
name; some are random, some dead.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from autointerp_core.labels.split import LABEL, part_of
from safetensors.torch import load_file, save_file

from tests.core import tiny

SOURCES = Path(__file__).parent / "sources"
HOOK = "blocks.1.hook_resid_post"
D_MODEL, D_SAE, VOCABULARY, CONTEXT = 16, 32, 512, 24
WORDS = {
    1: " river",
    2: " said",
    3: " bank",
    4: " on",
    5: " the",
    6: " judge",
    7: ".",
    8: " rose",
    9: " and",
    11: " court",
    12: " of",
    13: ",",
    17: " Monday",
    18: " frogs",
    19: " net",
    20: " turtle",
    23: "(",
}
"""What a latent reads, where it was made to read something."""
NOT_ASCII = 14
HELD_OUT_ONLY = 22
"""Reads what only documents hold that are kept for scoring labels."""
DEAD = (10, 21, 26)


def documents() -> list[str]:
    lines = (SOURCES / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def main() -> None:
    tiny.TEXTS = documents()
    folder = tiny.tiny_llama(
        SOURCES / "tiny", n_layers=3, d_model=D_MODEL, vocab_size=VOCABULARY, context=1024, tie=True
    )
    tiny.tiny_topk_saelens(SOURCES / "sae", d_in=D_MODEL, d_sae=D_SAE, k=6, hook=HOOK)
    ids, states, held_out = residuals(folder)
    weights = SOURCES / "sae" / "sae_weights.safetensors"
    tensors = load_file(weights)
    aim(tensors, ids, states, held_out, folder)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, weights)


def residuals(folder: Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids ``[T]``, the residual stream after block 1 ``[T, d_model]``, held out ``[T]``."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids, states, held_out = [], [], []
    for text in documents():
        whole = tokenizer.encode(text)
        for first in range(0, len(whole), CONTEXT - 1):
            # Cut as the study cuts it, with the BOS that the SAE's config asks for.
            batch = torch.tensor([[0, *whole[first : first + CONTEXT - 1]]])
            with torch.no_grad():
                found = model(batch, output_hidden_states=True).hidden_states[2]
            ids.append(batch[0, 1:])
            states.append(found[0, 1:])
            held_out += [part_of(text.encode()) != LABEL] * (batch.shape[1] - 1)
    return torch.cat(ids), torch.cat(states), torch.tensor(held_out)


def aim(
    tensors: dict[str, torch.Tensor],
    ids: torch.Tensor,
    states: torch.Tensor,
    held_out: torch.Tensor,
    folder: Path,
) -> None:
    """Point latents at tokens, each along the direction that tells its token from the others."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tensors["b_dec"] = states.mean(0)
    centred = states - states.mean(0)
    whitened = torch.linalg.pinv(torch.cov(centred.T) + 0.05 * torch.eye(D_MODEL))
    for latent, word in WORDS.items():
        (token,) = tokenizer.encode(word, add_special_tokens=False)
        _aim_one(tensors, latent, centred, ids == token, whitened)
    _aim_at_held_out(tensors, centred, held_out, whitened)
    many_bytes = [i for i in range(VOCABULARY) if _is_byte(tokenizer, i)]
    _aim_one(tensors, NOT_ASCII, centred, torch.isin(ids, torch.tensor(many_bytes)), whitened)
    for latent in DEAD:
        tensors["b_enc"][latent] = -1000.0


def _aim_one(
    tensors: dict[str, torch.Tensor],
    latent: int,
    centred: torch.Tensor,
    here: torch.Tensor,
    whitened: torch.Tensor,
) -> None:
    direction = whitened @ (centred[here].mean(0) - centred[~here].mean(0))
    strength = centred @ direction
    tensors["W_enc"][:, latent] = direction * 4 / strength[here].mean()
    tensors["b_enc"][latent] = -2.0


def _aim_at_held_out(
    tensors: dict[str, torch.Tensor],
    centred: torch.Tensor,
    held_out: torch.Tensor,
    whitened: torch.Tensor,
) -> None:
    """The direction that tells some held-out position best from every position shown."""
    directions = centred[held_out] @ whitened
    inside = (directions * centred[held_out]).sum(1)
    outside = (directions @ centred[~held_out].T).max(1).values
    best = ((inside - outside) / inside).argmax()
    scale = 6 / (inside[best] - outside[best])
    tensors["W_enc"][:, HELD_OUT_ONLY] = directions[best] * scale
    tensors["b_enc"][HELD_OUT_ONLY] = -(outside[best] * scale + 1)


def _is_byte(tokenizer: Any, token: int) -> bool:
    text = tokenizer.decode([token])
    return "\ufffd" in text


if __name__ == "__main__":
    main()
