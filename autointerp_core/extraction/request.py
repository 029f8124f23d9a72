"""What one extraction is asked to do, and which study that is."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from autointerp_core.errors import ParameterError
from autointerp_core.extraction.firings import SHARD_TOKENS
from autointerp_core.extraction.summary import Masks
from autointerp_core.store.study import SCHEMA

if TYPE_CHECKING:
    from autointerp_core.sources.hooks import HookPoint


@dataclass(frozen=True)
class ExtractionRequest:
    """Everything an extraction needs. ``features`` None means all of them."""

    model_path: str
    sae_path: str
    dataset_path: str
    sae_id: str | None = None
    features: tuple[int, ...] | None = None
    column: str = "text"
    n_rows: int = 1000
    context_size: int | None = None
    prepend_bos: bool | None = None
    """None: as the SAE's config says."""
    masks: Masks = field(default_factory=Masks)
    dtype: str = "auto"
    device: str | None = None
    batch_sequences: int = 64
    block_features: int = 256
    shard_tokens: int = SHARD_TOKENS
    n_examples: int = 20
    logits: bool = True

    def __post_init__(self) -> None:
        for name in ("n_rows", "batch_sequences", "block_features", "shard_tokens", "n_examples"):
            _positive(name, getattr(self, name))
        if self.context_size is not None:
            _positive("context_size", self.context_size, least=2)
        if not self.masks.sink_factor > 0:
            raise ParameterError(f"sink_factor is {self.masks.sink_factor}; give a number above 0")


def _positive(name: str, value: Any, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ParameterError(f"{name} is {value!r}; give a whole number of at least {least}")


@dataclass(frozen=True)
class Identity:
    """Everything that changes a study's numbers; the feature set does not."""

    model: str
    tokenizer: str
    sae: str
    hook: str
    dataset: str
    column: str
    rows: int
    context_size: int
    prepend_bos: bool
    masks: Masks
    dtype: str
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def digest(self) -> str:
        raw = orjson.dumps(self.to_json(), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(raw).hexdigest()

    def study_id(self, model_name: str, hook: HookPoint) -> str:
        """Readable and unique: model, hook, then a part of the digest."""
        model = re.sub(r"[^a-z0-9]+", "-", model_name.rstrip("/").rsplit("/", 1)[-1].lower())
        return f"{model.strip('-')[:40]}-{hook.slug}-{self.digest[:10]}"
