"""Builders of tiny random models, SAEs and tokenizers, for everybody's tests.

Real file formats written by the libraries that own them, sizes that load in milliseconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEXTS = [
    "The quarterly net loss widened to $4.2 million on weaker sales, the company said.",
    "Shares of the bank rose 3% on Monday after the central bank kept interest rates unchanged.",
    "def main():\n    print('hello, world')\n",
    "Frogs and newts are amphibians; they live on land and in water.",
    "Grüße aus München — 東京は晴れ 🙂🚀 👩‍👩‍👧 naïve café.",
    "She pleaded not guilty, and the trial will begin on Tuesday in the district court.",
    "One two three four five six seven eight nine ten, again and again and again.",
    "According to the report, the river's level has fallen for three years in a row.",
]


def tiny_tokenizer(folder: Path, vocab_size: int = 400, *, bos: bool = True) -> Any:
    """Train and save a fast byte-level BPE tokenizer.

    ``<|bos|>`` is id 0 and ``<|eos|>`` id 1. With so few merges an emoji, and every Chinese
    character, is several tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|bos|>", "<|eos|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # The emoji and Chinese line is left out, so that its characters stay bytes.
    tokenizer.train_from_iterator((text for text in TEXTS if text.isascii()), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|bos|>" if bos else None,
        eos_token="<|eos|>",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    fast.save_pretrained(folder)
    return fast


def tiny_model(
    folder: Path,
    architecture: str = "llama",
    n_layers: int = 4,
    d_model: int = 32,
    *,
    seed: int = 0,
    vocab_size: int = 400,
    context: int = 256,
    tie: bool = False,
    tokenizer: bool = True,
    **extra: Any,
) -> Path:
    """Save a random causal language model, with a tokenizer, as ``save_pretrained`` does.

    Args:
        architecture: llama, mistral, qwen2, qwen3, gpt2, gpt_neox, gemma2 or gemma3_text.
        extra: further fields of its config.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    common: dict[str, Any] = {
        "vocab_size": vocab_size,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": None,
        "tie_word_embeddings": tie,
    }
    if architecture == "gpt2":
        shape = {"n_layer": n_layers, "n_embd": d_model, "n_head": 4, "n_positions": context}
    else:
        shape = {
            "num_hidden_layers": n_layers,
            "hidden_size": d_model,
            "num_attention_heads": 4,
            "intermediate_size": 2 * d_model,
            "max_position_embeddings": context,
        }
        if architecture != "gpt_neox":
            shape |= {"num_key_value_heads": 2, "head_dim": 8}
        if architecture in ("gemma2", "gemma3_text", "mistral"):
            shape |= {"sliding_window": 16}
        if architecture in ("gemma2", "gemma3_text"):
            shape |= {"query_pre_attn_scalar": 8}
    config = AutoConfig.for_model(architecture, **{**common, **shape, **extra})
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Large enough that every block matters, biases and norms included.
            scale = 0.3 if parameter.ndim > 1 else 0.1
            parameter.add_(scale * torch.randn_like(parameter))
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    if tokenizer:
        tiny_tokenizer(folder, vocab_size)
    return Path(folder)


def tiny_llama(folder: Path, n_layers: int = 4, d_model: int = 32, **extra: Any) -> Path:
    """A random Llama with its tokenizer; see :func:`tiny_model`."""
    return tiny_model(folder, "llama", n_layers, d_model, **extra)


def tiny_saelens(
    folder: Path,
    d_in: int = 32,
    d_sae: int = 64,
    hook: str = "blocks.2.hook_resid_post",
    *,
    architecture: str = "topk",
    seed: int = 0,
    metadata: dict[str, Any] | None = None,
    **config: Any,
) -> Path:
    """Save a random SAE of any architecture through SAELens' own ``save_model``."""
    import torch
    from sae_lens.registry import get_sae_class
    from sae_lens.saes.sae import SAEMetadata

    sae_class, config_class = get_sae_class(architecture)
    about = {"hook_name": hook, "model_name": "tiny", "context_size": 64, "prepend_bos": True}
    cfg = config_class(
        d_in=d_in, d_sae=d_sae, metadata=SAEMetadata(**{**about, **(metadata or {})}), **config
    )
    torch.manual_seed(seed)
    sae = sae_class(cfg)
    with torch.no_grad():
        for name, parameter in sae.named_parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
            if name == "threshold":
                parameter.abs_()
    sae.save_model(folder)
    return Path(folder)


def tiny_topk_saelens(
    folder: Path,
    d_in: int = 32,
    d_sae: int = 64,
    k: int = 8,
    hook: str = "blocks.2.hook_resid_post",
    **extra: Any,
) -> Path:
    """Save a random TopK SAE in the SAELens layout; ``folder`` itself holds cfg.json."""
    return tiny_saelens(folder, d_in, d_sae, hook, architecture="topk", k=k, **extra)


def tiny_sparsify(
    folder: Path, layer: int = 2, d_in: int = 32, d_sae: int = 64, k: int = 8, **config: Any
) -> Path:
    """Save a random SAE as sparsify does, into ``folder/layers.{layer}``; returns ``folder``.

    Decoder norms are left uneven on purpose: sparsify's encode must not depend on them.
    """
    import torch
    from sparsify import SparseCoder
    from sparsify.config import SparseCoderConfig

    torch.manual_seed(layer)
    coder = SparseCoder(d_in, SparseCoderConfig(num_latents=d_sae, k=k, **config))
    with torch.no_grad():
        for parameter in coder.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    coder.save_to_disk(Path(folder) / f"layers.{layer}")
    return Path(folder)


def edit_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; a key set to None is removed."""
    content = {**json.loads(path.read_text()), **changes}
    kept = {key: value for key, value in content.items() if changes.get(key, ...) is not None}
    path.write_text(json.dumps(kept))
