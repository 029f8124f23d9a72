"""Whether a model has a hook, found out without its weights."""

from __future__ import annotations

from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.model_files import ModelConfig
from autointerp_core.sources.model_load import find_hook


def check_hook(hook: HookPoint, model: ModelConfig) -> None:
    """Refuse a hook that a local model's architecture does not have.

    Of a model on the hub nothing is refused here, since its files would have to be fetched: the
    run itself tells.

    Raises:
        HookError: it has no such hook.
    """
    if model.is_local:
        find_hook(model, hook)
