"""sae-dashboard's ``SaeVisRunner`` on a ``TransformerBridge``, and what has to stand around it.

Four habits of sae-dashboard 0.8 are dealt with here, none by changing its code:

* It calls ``fold_W_dec_norm()`` on the SAE it is given. That changes the SAE in place, scales
  every activation by its decoder norm, and raises for a plain TopK SAE. Its own numbers need
  no unit norms: they only make features' logits and neuron weights comparable with each
  other. So it gets a deep copy whose fold does nothing, and activations stay ``encode``'s.
* For an SAE that is not TopK it encodes with the asked features' columns cut out of the
  weights, and it knows how to for three architectures only. Others are marked as TopK, which
  to it means: encode whole, then select.
* It knows no padding, and neither token ids nor columns (the two things it can ignore) say
  what a sink or a padded position is. So ``Watch`` stands in front of the copy's ``encode``:
  it keeps the firings, and hands on activations that are zero where a position does not count.
* It passes tokens to the model on the CPU, wherever the model is.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import MissingDependency
from autointerp_core.store.study import SPECIAL, TokenStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from sae_dashboard.sae_vis_data import SaeVisData
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge

    from autointerp_core.sources.hooks import HookPoint
    from autointerp_core.sources.model import ModelConfig
    from autointerp_core.store.study_record import Masks

_CUT_BY_COLUMNS = ("standard", "jumprelu", "gated")
"""Architectures whose weights sae-dashboard can cut down to a block of features."""
TOP_TOKENS = 20
"""Tokens in SaeVisData's top list unless asked otherwise (sae-dashboard's own default)."""


def load_bridge(
    config: ModelConfig, tokenizer: Any, dtype: torch.dtype, device: torch.device
) -> TransformerBridge:
    """The whole model under TransformerLens' hook names, from local weights, no hub asked.

    The bridge keeps Hugging Face's weights as they are: nothing folded, nothing centred.
    """
    from transformer_lens.model_bridge import TransformerBridge

    from autointerp_core.sources.model import load_chat_model

    model = load_chat_model(config, device, dtype)
    if hasattr(model.config, "vision_config") and find_spec("torchvision") is None:
        raise MissingDependency(
            f"{config.name} is multimodal: TransformerLens would install torchvision by itself, "
            "and another torch with it; use engine='native', or install a torchvision that fits "
            "your torch first"
        )
    return TransformerBridge.boot_transformers(
        config.name, hf_model=model, tokenizer=tokenizer, device=str(device), dtype=dtype
    )


def run_sae_vis(
    bridge: TransformerBridge,
    sae: SAE[Any],
    tokens: torch.Tensor,
    hook: str,
    features: Sequence[int],
    *,
    minibatch_size_features: int = 256,
    minibatch_size_tokens: int = 64,
    top_tokens: int = TOP_TOKENS,
    watch: Watch | None = None,
) -> SaeVisData:
    """``SaeVisRunner`` on ``tokens`` ``[rows, width]``; the SAE given is left as it is.

    The layout is the smallest that serves: the top tokens of whole rows, no quantile groups.
    A buffer around each token, sae-dashboard's default, would keep peaks near either end of a
    row out of the list.
    """
    from sae_dashboard.components_config import (
        ActsHistogramConfig,
        FeatureTablesConfig,
        LogitsHistogramConfig,
        LogitsTableConfig,
        SequencesConfig,
    )
    from sae_dashboard.layout import Column, SaeVisLayoutConfig
    from sae_dashboard.sae_vis_data import SaeVisConfig
    from sae_dashboard.sae_vis_runner import SaeVisRunner

    device = next(bridge.parameters()).device
    sequences = SequencesConfig(
        buffer=None,
        n_quantiles=0,
        top_acts_group_size=min(top_tokens, tokens.numel()),
        stack_mode="stack-none",
    )
    layout = SaeVisLayoutConfig(
        columns=[
            Column(FeatureTablesConfig()),
            Column(ActsHistogramConfig(), LogitsTableConfig(), LogitsHistogramConfig()),
            Column(sequences),
        ]
    )
    config = SaeVisConfig(
        hook_point=hook,
        features=list(features),
        minibatch_size_features=minibatch_size_features,
        minibatch_size_tokens=minibatch_size_tokens,
        device=str(device),
        feature_centric_layout=layout,
    )
    encoder = _dashboard_copy(sae)
    if watch is not None:
        encoder.encode = watch.before(encoder.encode)
    with _quiet():
        return SaeVisRunner(config).run(encoder, BridgeModel(bridge), tokens)


def _dashboard_copy(sae: SAE[Any]) -> Any:
    from sae_lens.saes.topk_sae import TopK

    copied: Any = copy.deepcopy(sae)
    copied.fold_W_dec_norm = lambda: None
    inner = copied.activation_fn
    if not isinstance(inner, TopK) and copied.cfg.architecture() not in _CUT_BY_COLUMNS:
        whole = TopK(k=1)
        whole.forward = lambda pre: inner(pre)
        copied.activation_fn = whole
    return copied


@contextmanager
def _quiet() -> Iterator[None]:
    """sae-dashboard indexes through eindex, which torch warns of once a call."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Using a non-tuple sequence", category=UserWarning, module=r"eindex\."
        )
        yield


class BridgeModel:
    """What sae-dashboard and the health check ask of a model, answered by the bridge."""

    def __init__(self, bridge: TransformerBridge):
        self.bridge = bridge
        self.device = next(bridge.parameters()).device

    @property
    def hook_dict(self) -> Any:
        return self.bridge.hook_dict

    @property
    def W_U(self) -> Any:
        return self.bridge.W_U

    def run_with_hooks(self, tokens: torch.Tensor, **options: Any) -> Any:
        return self.bridge.run_with_hooks(tokens.to(self.device), **options)

    def has(self, hook: HookPoint) -> bool:
        """Whether the bridge knows this hook."""
        return hook.name in self.bridge.hook_dict

    def run(self, ids: torch.Tensor, hooks: Sequence[HookPoint]) -> dict[HookPoint, torch.Tensor]:
        """As ``TruncatedModel.run``: residual vectors [b, s, d_model] in float32 at each hook."""
        import torch

        captured: dict[HookPoint, torch.Tensor] = {}

        def keep(point: HookPoint) -> tuple[str, Callable[..., None]]:
            def store(value: torch.Tensor, hook: Any) -> None:
                # Heads side by side, as everywhere here.
                captured[point] = value.to(torch.float32, copy=True).flatten(2)

            return point.name, store

        with torch.inference_mode():
            self.run_with_hooks(
                ids,
                fwd_hooks=[keep(point) for point in hooks],
                stop_at_layer=max(point.layer or 0 for point in hooks) + 1,
            )
        return captured


@dataclass(frozen=True)
class Rectangle:
    """A study's sequences as the one tensor sae-dashboard takes: a row each, padded right.

    Attention is causal, so no real token sees the padding; any valid id serves for it.
    Empty sequences have no row.
    """

    tokens: torch.Tensor
    first: NDArray[np.int64]
    """Study token at which each row starts."""
    real: torch.Tensor
    """Bool, of the shape of ``tokens``: False for padding."""
    counted: torch.Tensor
    """Bool: real, and no special token where those are left out. Sinks are not known yet."""

    @classmethod
    def of(cls, store: TokenStore, masks: Masks, n_sequences: int | None = None) -> Rectangle:
        """All sequences, or the first ``n_sequences``."""
        import torch

        bounds = np.asarray(store.sequences)
        bounds = bounds if n_sequences is None else bounds[: n_sequences + 1]
        lengths = np.diff(bounds)
        first, lengths = bounds[:-1][lengths > 0], lengths[lengths > 0]
        at = np.arange(int(lengths.max(initial=0)))
        real = at < lengths[:, None]
        where = np.where(real, first[:, None] + at, 0)
        counted = real & (store.flags[where] & SPECIAL == 0) if masks.special else real
        ids = np.where(real, store.ids[where], 0).astype(np.int64)
        return cls(torch.from_numpy(ids), first, torch.from_numpy(real), torch.from_numpy(counted))


@dataclass(frozen=True)
class Found:
    """What one block of features did: firings by feature, then token; norm of every token."""

    indptr: NDArray[np.int64]
    token: NDArray[np.int64]
    activation: NDArray[np.float32]
    norm: NDArray[np.float32]


class Watch:
    """Keeps the firings of ``features`` that sae-dashboard computes, and applies the masks.

    One for each run over one block of features: batches are told apart by their order.
    """

    def __init__(
        self,
        rectangle: Rectangle,
        n_tokens: int,
        features: NDArray[np.int32],
        sink_norm: float,
        report: Callable[[int], None],
    ):
        self.rectangle, self.features, self.sink_norm = rectangle, features, sink_norm
        self.report = report
        self.norm = np.zeros(n_tokens, dtype=np.float32)
        self.rows_done = 0
        self.parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []

    def before(self, encode: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """An ``encode`` that passes through here; its result is zero where nothing counts."""
        import torch

        columns = torch.as_tensor(self.features, dtype=torch.long)

        def watched(x: torch.Tensor) -> torch.Tensor:
            acts = encode(x)
            low, self.rows_done = self.rows_done, self.rows_done + len(x)
            real = self.rectangle.real[low : self.rows_done].to(acts.device)
            norm = x.float().norm(dim=-1)
            # Cut down to the block already, unless the SAE was encoded whole.
            cut = acts.shape[-1] == len(columns)
            block = acts if cut else acts[..., columns.to(acts.device)]
            self._keep(low, block, norm, real)
            counted = self.rectangle.counted[low : self.rows_done].to(acts.device)
            counted = counted & (norm <= self.sink_norm).to(acts.device)
            self.report(self.rows_done)
            return acts.masked_fill_(~counted[..., None], 0)

        return watched

    def _keep(self, low: int, block: torch.Tensor, norm: torch.Tensor, real: torch.Tensor) -> None:
        row, column, feature = ((block > 0) & real[..., None]).nonzero(as_tuple=True)
        value = block[row, column, feature].float().cpu().numpy()
        token = self.rectangle.first[low + row.cpu().numpy()] + column.cpu().numpy()
        self.parts.append((feature.cpu().numpy(), token, value))
        row, column = real.nonzero(as_tuple=True)
        at = self.rectangle.first[low + row.cpu().numpy()] + column.cpu().numpy()
        self.norm[at] = norm[row.to(norm.device), column.to(norm.device)].cpu().numpy()

    def found(self) -> Found:
        row, token, value = (np.concatenate(arrays) for arrays in zip(*self.parts, strict=True))
        order = np.lexsort((token, row))
        indptr = np.zeros(len(self.features) + 1, dtype=np.int64)
        np.cumsum(np.bincount(row, minlength=len(self.features)), out=indptr[1:])
        return Found(indptr, token[order], value[order], self.norm)
