"""Whether a model has a hook, found out without its weights."""

from __future__ import annotations

from autointerp_core.errors import HookError
from autointerp_core.sources.hooks import EMBED, HOOK_KINDS, MODULE, HookPoint
from autointerp_core.sources.model_files import ModelConfig, weights_folder
from autointerp_core.sources.model_load import find_blocks
from autointerp_core.sources.places import block_map

_EVERYWHERE = (EMBED, MODULE, "resid_pre", "resid_post")
"""Kinds that every model has, or of which only running it tells."""


def check_hook(hook: HookPoint, model: ModelConfig) -> None:
    """Refuse a hook that the model's architecture does not have.

    The model is built without weights. Where it cannot be (it is on the hub, or its code is),
    nothing is refused: the run itself will tell.

    Raises:
        HookError: it has no such hook.
    """
    inside = hook.kind in HOOK_KINDS and hook.kind not in _EVERYWHERE
    if not inside or hook.layer is None or not model.is_local:
        return
    import torch
    from transformers import AutoConfig, AutoModel

    try:
        gguf = {"gguf_file": model.gguf_file} if model.gguf_file else {}
        config = AutoConfig.from_pretrained(weights_folder(model), **gguf).get_text_config()
        with torch.device("meta"):
            built = AutoModel.from_config(config)
        block = find_blocks(built, model.n_layers, model.name)[hook.layer]
        places = block_map(model)
    except HookError:
        raise
    # Configurations fail to build in their own ways.
    except Exception:
        return
    places.place(hook, block)
