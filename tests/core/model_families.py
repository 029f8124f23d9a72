"""Tiny random models, one for each family of language model that transformers has.

A family is a ``model_type``; where one model type holds two different networks (OPT with a
projection, NeoX without parallel residuals) each has a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

N_LAYERS = 4
VOCABULARY = 160

_LLAMA = {
    "hidden_size": 32,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
}
_HEADS = {**_LLAMA, "head_dim": 8}
_GPT2 = {"n_layer": N_LAYERS, "n_embd": 32, "n_head": 4, "n_positions": 128}
_NEOX = {key: value for key, value in _LLAMA.items() if key != "num_key_value_heads"}
_GEMMA = {**_HEADS, "query_pre_attn_scalar": 8, "sliding_window": 16}
_MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_LATENT = {
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
_DELTA = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
    "layer_types": [
        "linear_attention",
        "linear_attention",
        "full_attention",
        "linear_attention",
    ],
}
_SHORT_VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}


@dataclass(frozen=True)
class Family:
    """How to make one."""

    name: str
    config: Mapping[str, Any]
    model_type: str = ""
    nested: Mapping[str, Any] = field(default_factory=dict)
    """For a multimodal model: everything of its config beside ``text_config``."""
    auto_class: str = "AutoModelForCausalLM"


def _family(name: str, config: Mapping[str, Any], **extra: Any) -> Family:
    return Family(name, config, **extra)


FAMILIES = {
    family.name: family
    for family in (
        _family("llama", _HEADS),
        _family("mistral", {**_HEADS, "sliding_window": 16}),
        _family("ministral", {**_HEADS, "sliding_window": 16}),
        _family("ministral3", _HEADS),
        _family("mixtral", {**_HEADS, **_EXPERTS}),
        _family("qwen2", _LLAMA),
        _family("qwen2_moe", {**_LLAMA, **_MOE, "shared_expert_intermediate_size": 16}),
        _family("qwen3", _HEADS),
        _family("qwen3_moe", {**_HEADS, **_MOE}),
        _family(
            "qwen3_next", {**_HEADS, **_MOE, **_DELTA, "shared_expert_intermediate_size": 16}
        ),
        _family("qwen3_5_text", {**_HEADS, **_DELTA}),
        _family(
            "qwen3_5_moe_text", {**_HEADS, **_MOE, **_DELTA, "shared_expert_intermediate_size": 16}
        ),
        _family("gemma", _HEADS),
        _family("gemma2", _GEMMA),
        _family("gemma3_text", _GEMMA),
        _family(
            "gemma3n_text",
            {
                **_HEADS,
                "num_hidden_layers": 5,
                "num_kv_shared_layers": 1,
                "layer_types": ["sliding_attention", "full_attention"] * 2 + ["full_attention"],
                "activation_sparsity_pattern": [0.0] * 5,
                "hidden_size_per_layer_input": 8,
                "vocab_size_per_layer_input": VOCABULARY,
                "laurel_rank": 4,
                "sliding_window": 16,
                "altup_num_inputs": 2,
            },
        ),
        _family(
            "gemma4_text",
            {
                **_LLAMA,
                "num_hidden_layers": 6,
                "head_dim": 8,
                "global_head_dim": 16,
                "num_kv_shared_layers": 2,
                "layer_types": ["sliding_attention", "full_attention"] * 3,
                "hidden_size_per_layer_input": 8,
                "vocab_size_per_layer_input": VOCABULARY,
                "sliding_window": 16,
            },
        ),
        _family("gpt2", _GPT2),
        _family("gpt_bigcode", _GPT2),
        _family("openai-gpt", _GPT2),
        _family("gpt_neox", _NEOX),
        _family("gpt_neox sequential", {**_NEOX, "use_parallel_residual": False},
                model_type="gpt_neox"),
        _family(
            "gpt_neo",
            {
                "num_layers": N_LAYERS, "hidden_size": 32, "num_heads": 4, "window_size": 16,
                "max_position_embeddings": 128, "attention_types": [[["global", "local"], 2]],
            },
        ),
        _family("gptj", {**_GPT2, "rotary_dim": 4}),
        _family("codegen", {**_GPT2, "n_head": 16, "n_embd": 64, "rotary_dim": 4}),
        _family("gpt_oss", {**_HEADS, **_EXPERTS, "sliding_window": 16}),
        _family(
            "opt",
            {**_NEOX, "ffn_dim": 48, "word_embed_proj_dim": 32},
        ),
        _family(
            "opt with projection",
            {**_NEOX, "ffn_dim": 48, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
            model_type="opt",
        ),
        _family("biogpt", _NEOX),
        _family(
            "xglm",
            {"d_model": 32, "ffn_dim": 48, "num_layers": N_LAYERS, "attention_heads": 4,
             "max_position_embeddings": 128},
        ),
        _family("bloom", {"hidden_size": 32, "n_layer": N_LAYERS, "n_head": 4}),
        _family("mpt", {"d_model": 32, "n_layers": N_LAYERS, "n_heads": 4, "max_seq_len": 128}),
        _family("falcon", {**_NEOX, "ffn_hidden_size": 48}),
        _family("phi", _LLAMA),
        _family("phi3", {**_LLAMA, "sliding_window": 16}),
        _family("phimoe", {**_LLAMA, **_EXPERTS, "sliding_window": 16}),
        _family("olmo", _LLAMA),
        _family("olmo2", _LLAMA),
        _family("olmo3", {**_LLAMA, "sliding_window": 16}),
        _family("olmoe", {**_LLAMA, **_MOE}),
        _family("stablelm", _LLAMA),
        _family("starcoder2", {**_LLAMA, "sliding_window": 16}),
        _family("smollm3", _LLAMA),
        _family("seed_oss", _HEADS),
        _family("arcee", _HEADS),
        _family("ernie4_5", _HEADS),
        _family("helium", _HEADS),
        _family("persimmon", _NEOX),
        _family("granite", {**_LLAMA, "residual_multiplier": 0.5, "embedding_multiplier": 2.0}),
        _family("granitemoe", {**_LLAMA, **_EXPERTS, "residual_multiplier": 0.5}),
        _family(
            "granitemoehybrid",
            {**_LLAMA, **_EXPERTS, "mamba_n_heads": 8, "mamba_d_state": 8, "mamba_d_head": 8,
             "shared_intermediate_size": 16,
             "layer_types": ["mamba", "attention", "mamba", "attention"]},
        ),
        _family("cohere", _LLAMA),
        _family("cohere2", {**_LLAMA, "sliding_window": 16}),
        _family("deepseek_v2", {**_LLAMA, **_LATENT, "num_key_value_heads": 4}),
        _family("deepseek_v3", {**_LLAMA, **_LATENT, "num_key_value_heads": 4}),
        _family("glm", _HEADS),
        _family("glm4", _HEADS),
        _family("nemotron", _HEADS),
        _family("exaone4", {**_HEADS, "sliding_window": 16}),
        _family("hunyuan_v1_dense", _HEADS),
        _family("nanochat", _HEADS),
        _family("apertus", _HEADS),
        _family("diffllama", _HEADS),
        _family("llama4_text", {**_HEADS, **_EXPERTS, "intermediate_size_mlp": 48,
                                "attention_chunk_size": 64}),
        _family("lfm2", {**_LLAMA, "block_ff_dim": 48,
                         "layer_types": ["conv", "full_attention", "conv", "full_attention"]}),
        _family(
            "falcon_h1",
            {**_HEADS, "mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8,
             "mamba_d_state": 8, "mamba_chunk_size": 16},
        ),
        _family(
            "jamba",
            {**_LLAMA, "num_experts": 2, "num_experts_per_tok": 1, "mamba_d_state": 4,
             "mamba_dt_rank": 4, "attn_layer_period": 2, "attn_layer_offset": 1,
             "expert_layer_period": 2, "expert_layer_offset": 1, "use_mamba_kernels": False},
        ),
        _family(
            "zamba2",
            {**_LLAMA, "num_key_value_heads": 4, "mamba_d_state": 8, "n_mamba_heads": 4,
             "mamba_ngroups": 1, "chunk_size": 16, "num_mem_blocks": 1, "hybrid_layer_ids": [1, 3],
             "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
             "use_mamba_kernels": False},
        ),
        _family(
            "bamba",
            {**_LLAMA, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8,
             "attn_layer_indices": [1, 3]},
        ),
        _family(
            "recurrent_gemma",
            {**_LLAMA, "lru_width": 32, "num_key_value_heads": 1, "attention_window_size": 16,
             "block_types": ["recurrent", "recurrent", "attention"]},
        ),
        _family("mamba", {"hidden_size": 32, "num_hidden_layers": N_LAYERS, "state_size": 4}),
        _family(
            "mamba2",
            {"hidden_size": 32, "num_hidden_layers": N_LAYERS, "state_size": 8, "head_dim": 8,
             "num_heads": 8, "n_groups": 1, "chunk_size": 16},
        ),
        _family("falcon_mamba",
                {"hidden_size": 32, "num_hidden_layers": N_LAYERS, "state_size": 4}),
        _family(
            "rwkv",
            {"hidden_size": 32, "num_hidden_layers": N_LAYERS, "attention_hidden_size": 32,
             "intermediate_size": 48, "context_length": 128},
        ),
        _family("gemma3", _GEMMA, nested={"vision_config": _SHORT_VISION, "mm_tokens_per_image": 4},
                auto_class="AutoModelForImageTextToText"),
        _family("mistral3", _HEADS, nested={"vision_config": {**_SHORT_VISION, "head_dim": 8}},
                auto_class="AutoModelForImageTextToText"),
        _family("llava", {**_HEADS, "model_type": "llama"},
                nested={"vision_config": {**_SHORT_VISION, "model_type": "clip_vision_model"}},
                auto_class="AutoModelForImageTextToText"),
        _family(
            "qwen2_5_vl",
            {**_LLAMA, "rope_parameters": {
                "rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}},
            nested={"vision_config": {
                "depth": 1, "hidden_size": 16, "num_heads": 2, "out_hidden_size": 32,
                "intermediate_size": 16}},
            auto_class="AutoModelForImageTextToText",
        ),
        _family("qwen3_5", {**_HEADS, **_DELTA},
                nested={"vision_config": {
                    "depth": 1, "hidden_size": 16, "num_heads": 2, "out_hidden_size": 32,
                    "intermediate_size": 16, "num_position_embeddings": 16}},
                auto_class="AutoModelForImageTextToText"),
        _family("llama4", {**_HEADS, **_EXPERTS, "intermediate_size_mlp": 48,
                           "attention_chunk_size": 64},
                nested={"vision_config": {**_SHORT_VISION, "vision_output_dim": 16,
                        "projector_input_dim": 16, "projector_output_dim": 16}},
                auto_class="AutoModelForImageTextToText"),
    )
}  # fmt: skip


NO_ATTENTION = ("mamba", "mamba2", "falcon_mamba", "rwkv")


def save_family(folder: Path, name: str, *, seed: int = 0) -> Path:
    """Save a random model of a family (no tokenizer), large enough that every block matters."""
    import torch
    import transformers
    from transformers import AutoConfig

    family = FAMILIES[name]
    model_type = family.model_type or family.name
    common = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None}
    given = {**common, **family.config}
    if family.nested:
        given = {"text_config": given, **family.nested}
    config = AutoConfig.for_model(model_type, **given)
    torch.manual_seed(seed)
    model = getattr(transformers, family.auto_class).from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 0.1 if parameter.ndim > 1 else 0.02
            parameter.add_(scale * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return Path(folder)


class Untruncated:
    """The whole model as Hugging Face has it, with hooks set by hand."""

    def __init__(self, model: Any, blocks: Any) -> None:
        self.model, self.blocks = model, blocks

    def outputs(self, ids: Any) -> tuple[list[Any], Any]:
        """What each block gives [b, s, d_model], and the model's logits."""
        seen: list[Any] = []

        def keep(_module: Any, _args: Any, output: Any) -> None:
            value = output[0] if isinstance(output, tuple | list) else output
            # Gemma 3n carries several streams; the first is the residual.
            seen.append((value[0] if value.ndim == 4 else value).clone())

        logits = self._run(ids, [block.register_forward_hook(keep) for block in self.blocks])
        return seen, logits

    def at(self, ids: Any, layer: int, path: str, side: str) -> Any:
        """A module's first input or output [b, s, width] in one block."""
        module = self.blocks[layer].get_submodule(path) if path else self.blocks[layer]
        seen: list[Any] = []

        def output_of(_module: Any, _args: Any, output: Any) -> None:
            seen.append(output[0] if isinstance(output, tuple | list) else output)

        def input_of(_module: Any, args: Any, kwargs: Any) -> None:
            seen.append((args[0] if args else kwargs["hidden_states"]).clone())

        handle = (
            module.register_forward_hook(output_of)
            if side == "output"
            else module.register_forward_pre_hook(input_of, with_kwargs=True)
        )
        self._run(ids, [handle])
        return seen[0].reshape(*ids.shape, -1)

    def _run(self, ids: Any, handles: Sequence[Any]) -> Any:
        import torch

        try:
            with torch.no_grad():
                return self.model(input_ids=ids, use_cache=False).logits
        finally:
            for handle in handles:
                handle.remove()


def untruncated(folder: Path, name: str) -> Untruncated:
    """The whole model of a family, its attention written out (no SDPA)."""
    import torch
    import transformers

    load: Callable[..., Any] = getattr(transformers, FAMILIES[name].auto_class).from_pretrained
    eager = {} if name in NO_ATTENTION else {"attn_implementation": "eager"}
    model = load(folder, **eager).eval()
    text = model.get_decoder() or model.base_model
    config = model.config.get_text_config()
    lists = [
        (path.count("."), blocks)
        for path, blocks in text.named_modules()
        if isinstance(blocks, torch.nn.ModuleList) and len(blocks) == config.num_hidden_layers
    ]
    return Untruncated(model, min(lists, key=lambda item: item[0])[1])


def families_table(folders: Mapping[str, Path]) -> str:
    """The page of the docs: a row a family, from what its tiny model really gives."""
    import torch

    from autointerp_core.sources.hooks import HOOK_KINDS, HookPoint
    from autointerp_core.sources.model import inspect_model, load_truncated

    columns = [kind for kind in HOOK_KINDS if kind not in ("resid_pre", "resid_post")]
    names = [HOOK_KINDS[kind] for kind in columns]
    lines = [
        "# Models that are tested",
        "",
        "Made by `python -m tests.core.model_families`; a test fails where it is out of date.",
        "",
        "One random model of each family is compared with Hugging Face's whole model: the residual",
        "stream after 1, 2, all but one and all blocks (largest difference within 1e-4 of the",
        "largest value), the order of the top tokens, and every hook with TransformerBridge or,",
        "where that has none, with places written by hand. `hook_resid_pre`, `hook_resid_post` and",
        "`hook_embed` are there in all; so is every module by name, such as `layers.3.mlp.output`.",
        "A dot means that the family has no such place: no `hook_resid_mid` where attention and",
        "MLP run side by side, no `mlp.hook_post` in a mixture of experts. Where blocks differ",
        "(Mamba beside attention), a hook is ticked if some block has it.",
        "",
        "Refused by name: encoders (BERT, RoBERTa, ModernBERT …), encoder-decoders (T5, BART,",
        "Whisper …) and models that attend in both directions (EmbeddingGemma).",
        "",
        "| family | " + " | ".join(f"`{name}`" for name in names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for family, folder in folders.items():
        config = inspect_model(str(folder))
        model = load_truncated(config, config.n_layers, torch.float32, torch.device("cpu"))
        has = [
            any(model.has(HookPoint(layer, kind)) for layer in range(config.n_layers))
            for kind in columns
        ]
        lines.append(f"| {family} | " + " | ".join("✓" if each else "·" for each in has) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as root:
        made = {name: save_family(Path(root) / str(i), name) for i, name in enumerate(FAMILIES)}
        page = Path(__file__).resolve().parents[2] / "docs" / "model_families.md"
        page.write_text(families_table(made), encoding="utf-8")
