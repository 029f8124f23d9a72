"""Which kinds of model cannot be read here, by the ``model_type`` of their config.

Extraction reads every token with what stands before it and nothing after: padding stands on the
right and no mask is needed. A model that looks both ways, or one that is half encoder, would give
numbers without an error, and wrong ones.
"""

from __future__ import annotations

from typing import Any

from autointerp_core.errors import ModelSourceError

ENCODERS = frozenset(
    {
        "albert",
        "bert",
        "big_bird",
        "camembert",
        "canine",
        "convbert",
        "data2vec-text",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "ernie",
        "esm",
        "esmc",
        "eurobert",
        "flaubert",
        "fnet",
        "funnel",
        "gte",
        "ibert",
        "jina_embeddings_v3",
        "layoutlm",
        "layoutlmv2",
        "layoutlmv3",
        "longformer",
        "luke",
        "megatron-bert",
        "mobilebert",
        "modernbert",
        "modernvbert",
        "mpnet",
        "mra",
        "neomme",
        "nezha",
        "nomic_bert",
        "nystromformer",
        "perceiver",
        "qdqbert",
        "reformer",
        "rembert",
        "roberta",
        "roberta-prelayernorm",
        "roc_bert",
        "roformer",
        "splinter",
        "squeezebert",
        "tapas",
        "ultrabert",
        "ultravbert",
        "xlm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xlnet",
        "xmod",
        "yoso",
        "clip",
        "siglip",
        "siglip2",
        "vit",
        "dinov2",
        "dinov3_vit",
        "deit",
        "beit",
        "convnext",
        "swin",
        "hubert",
        "wav2vec2",
        "wavlm",
    }
)
"""Every token sees the whole text (or picture, or sound)."""
ENCODER_DECODERS = frozenset(
    {
        "bart",
        "bigbird_pegasus",
        "blenderbot",
        "blenderbot-small",
        "encoder-decoder",
        "fsmt",
        "led",
        "longt5",
        "m2m_100",
        "marian",
        "mbart",
        "mt5",
        "musicgen",
        "musicgen_melody",
        "mvp",
        "nllb-moe",
        "pegasus",
        "pegasus_x",
        "plbart",
        "prophetnet",
        "seamless_m4t",
        "seamless_m4t_v2",
        "speech_to_text",
        "switch_transformers",
        "t5",
        "t5gemma",
        "t5gemma2",
        "trocr",
        "udop",
        "umt5",
        "vision-encoder-decoder",
        "whisper",
    }
)


def refuse_encoders(config: dict[str, Any], model_type: str, name: str) -> None:
    """Check that a model reads text from left to right.

    Args:
        config: content of config.json, its text part laid over it.

    Raises:
        ModelSourceError: it is an encoder, or has one.
    """
    if config.get("is_encoder_decoder") or model_type in ENCODER_DECODERS:
        raise ModelSourceError(
            f"{name} is an encoder-decoder model ({model_type}); expected a decoder-only one, such "
            "as Llama, Gemma or GPT-2"
        )
    # BERT and others exist as decoders too, and then say so.
    if model_type in ENCODERS and config.get("is_decoder") is not True:
        raise ModelSourceError(
            f"{name} is an encoder ({model_type}), which reads a text in both directions; expected "
            "a decoder-only language model, such as Llama, Gemma or GPT-2"
        )
    if config.get("use_bidirectional_attention") in (True, "all"):
        raise ModelSourceError(
            f"{name} ({model_type}) attends in both directions (use_bidirectional_attention), as "
            "embedding models do; expected a language model that reads from left to right"
        )
