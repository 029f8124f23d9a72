"""EleutherAI sparsify's layout: ``cfg.json`` beside ``sae.safetensors``, a folder a module.

The folder's name is the module: ``layers.9`` (a block), ``layers.9.mlp``,
``layers.9.attention``, ``embed_tokens``. An SAE reads the module's output; a transcoder reads
its input and predicts its output. Several seeds lie one folder deeper.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.layouts.base import Place, Weights
from autointerp_core.sources.sae_config import (
    HookNames,
    SAEConfig,
    check_k,
    json_or_empty,
    positive,
    read_json,
    recorded_fvu,
    size,
    text,
)
from autointerp_core.sources.sae_weights import (
    check_shapes,
    only_or_named,
    read_tensors,
    tensor_infos,
)

if TYPE_CHECKING:
    import torch

CONFIG_NAME = "cfg.json"
WEIGHTS_NAME = "sae.safetensors"

_MODULE = re.compile(
    r"(?:.+\.)?(?:layers|h|blocks)\.\d+(?:\.[\w.]+)?|(?:.+\.)?(?:embed_tokens|wte|embed_in)"
)


class SparsifyLayout:
    name = "sparsify"
    files = f"{CONFIG_NAME} (with num_latents or expansion_factor) + {WEIGHTS_NAME}"
    config_reads_weights = False

    def entries(self, folder: Path) -> list[str]:
        path = folder / CONFIG_NAME
        if not path.is_file():
            return []
        try:
            config = read_json(path)
        except SAESourceError:
            return []  # SAELens' layout has this file name, too, and says what is wrong
        # sparsify writes the size as one of these and never d_sae; SAELens always writes d_sae.
        return (
            [""]
            if "d_sae" not in config and {"expansion_factor", "num_latents"} & config.keys()
            else []
        )

    def patterns(self, place: Place) -> list[str]:
        return ["*.safetensors", "*.pt", "*.bin"]

    def hooks(self, place: Place) -> HookNames:
        config = read_json(place.folder / CONFIG_NAME)
        module = self._module(place, config)
        if module is None:
            return HookNames()
        if config.get("transcode"):
            return HookNames(reads=f"{module}.input", predicts=f"{module}.output")
        return HookNames(reads=module)

    def _module(self, place: Place, config: dict[str, Any]) -> str | None:
        for key in ("hook_name", "hook_point", "hookpoint"):
            if (named := text(config.get(key))) is not None:
                return named
        seed = re.fullmatch(r"seed\d+", place.folder.name)
        name = place.around[0] if seed and place.around else place.folder.name
        return name if _MODULE.fullmatch(name) else None

    def config(self, place: Place, hook: HookPoint, source: str) -> SAEConfig:
        raw = read_json(place.folder / CONFIG_NAME)
        transcode, skip, signed = (
            bool(raw.get(key)) for key in ("transcode", "skip_connection", "signed")
        )
        activation = raw.get("activation", "topk")
        if activation not in ("topk", "groupmax"):
            raise SAESourceError(
                f"{source} has the activation {activation!r}; supported are topk and groupmax"
            )
        if signed and (activation != "topk" or transcode or skip):
            raise SAESourceError(
                f"{source} has signed: true together with activation={activation}, "
                f"transcode={transcode}, skip_connection={skip}; sparsify's signed SAEs are plain "
                "top-k ones"
            )
        d_in = positive(raw, "d_in", source)
        # sparsify's own defaults, for configs of older versions that left keys out.
        d_sae = size(raw.get("num_latents")) or d_in * positive(
            {"expansion_factor": 32, **raw}, "expansion_factor", source
        )
        k = positive({"k": 32, **raw}, "k", source)
        check_k(k, d_sae, source)
        if activation == "groupmax" and d_sae % k:
            raise SAESourceError(
                f"{source}: groupmax needs {d_sae} latents to be divisible by k={k}"
            )
        hook_out = self._target(place, raw, hook, source) if transcode else None
        run = _training_run(place.folder)
        return SAEConfig(
            d_in=d_in,
            d_sae=d_sae,
            architecture=_architecture(activation, transcode, skip, signed),
            k=k,
            hook=hook,
            model_name=text(raw.get("model_name")) or text(run.get("model")),
            context_size=size(raw.get("context_size")) or size(run.get("ctx_len")),
            prepend_bos=raw.get("prepend_bos") is True,
            normalize_activations="none",
            recorded_fvu=recorded_fvu(raw),
            recorded_l0=None,
            layout=self.name,
            source=source,
            folder=place.folder,
            hook_out=hook_out,
            d_out=d_in if transcode else None,
            dtype=_stored_dtype(place.folder),
            unusual=tuple(_unusual(transcode, skip, signed)),
        )

    def _target(self, place: Place, raw: dict[str, Any], hook: HookPoint, source: str) -> HookPoint:
        """What a transcoder predicts: its module's output."""
        found = self.hooks(place).hook_out()
        if found is None:
            raise SAESourceError(
                f"{source} is a transcoder (transcode: true), but neither {CONFIG_NAME} nor the "
                "folder's name says what it predicts; name the folder as sparsify does, e.g. "
                f"layers.{hook.layer}.mlp"
            )
        return found

    def weights(self, place: Place, config: SAEConfig) -> Weights:
        tensors = read_tensors(only_or_named(place.folder, WEIGHTS_NAME))
        d_in, d_sae = config.d_in, config.d_sae
        expected: dict[str, tuple[int, ...]] = {
            "encoder.weight": (d_sae, d_in),
            "encoder.bias": (d_sae,),
            "W_dec": (d_sae, d_in),
            "b_dec": (d_in,),
        }
        skip = "_skip" in config.architecture
        if skip:
            expected["W_skip"] = (d_in, d_in)
        check_shapes(tensors, expected, config.source)
        state = {
            "W_enc": tensors["encoder.weight"].T.contiguous(),
            "b_enc": tensors["encoder.bias"],
            "W_dec": tensors["W_dec"],
            "b_dec": tensors["b_dec"],
        }
        assert config.k is not None
        activation = _groupmax(config.k) if config.architecture.startswith("groupmax") else None
        if config.predicts_output:
            if skip:
                state["W_skip"] = tensors["W_skip"]
            return Weights(
                "skip_transcoder" if skip else "transcoder",
                state,
                {"d_out": d_in, "apply_b_dec_to_input": False},
                activation or _topk(config.k),
            )
        # ``topk(relu(W_enc (x - b_dec) + b_enc))``: relu before or after picking the largest k
        # gives the same, and decoder norms play no part (sparsify keeps them at one while
        # training only).
        return Weights(
            "abstopk" if config.signed else "topk",
            state,
            {"k": config.k, "apply_b_dec_to_input": True, "rescale_acts_by_decoder_norm": False},
            activation,
            tensors["W_skip"] if skip else None,
        )


def _architecture(activation: str, transcode: bool, skip: bool, signed: bool) -> str:
    if signed:
        return "abstopk"
    return activation + ("_skip" if skip else "") + ("_transcoder" if transcode else "")


def _unusual(transcode: bool, skip: bool, signed: bool) -> list[str]:
    notes = []
    if transcode:
        notes.append("b_dec is not subtracted from the input")
    if skip:
        notes.append("a linear skip connection adds to what it predicts")
    if signed:
        notes.append("activations are signed: strength is magnitude")
    return notes


def _training_run(folder: Path) -> dict[str, Any]:
    """sparsify's trainer leaves its whole configuration beside the layer folders."""
    for above in (folder.parent, folder.parent.parent):
        if run := json_or_empty(above / "config.json"):
            return run
    return {}


def _stored_dtype(folder: Path) -> str | None:
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        return None
    try:
        info = tensor_infos(path).get("W_dec")
    except SAESourceError:
        return None  # damaged: loading says so
    return info.dtype if info else None


def _topk(k: int) -> torch.nn.Module:
    from sae_lens.saes.topk_sae import TopK

    activation: torch.nn.Module = TopK(k)
    return activation


def _groupmax(k: int) -> torch.nn.Module:
    """sparsify's groupmax: of k equal groups of neighbouring latents, each keeps its largest."""
    import torch

    class GroupMax(torch.nn.Module):
        def forward(self, pre: torch.Tensor) -> torch.Tensor:
            """``pre`` [.., d_sae] -> [.., d_sae], at most k of them above zero."""
            groups = pre.relu().reshape(*pre.shape[:-1], k, -1)
            values, at = groups.max(dim=-1, keepdim=True)
            return torch.zeros_like(groups).scatter_(-1, at, values).flatten(-2)

    return GroupMax()
