"""How many SAEs of SAELens' directory can be used here, and why the others cannot.

The directory (``pretrained_saes.yaml``) has repository, path and model of 13,857 SAEs, not what
they are. That is what SAELens' own config functions know, so they are run here, offline, one
entry after another: most derive everything from repository and path; where they would read a
small file of the repository, they get what is published about it, and ``known_from`` says so.
What comes out is read by the same code that reads a release when it is used.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from autointerp_core.errors import AutointerpError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.layouts import saelens
from autointerp_core.sources.releases import Release, find_release, release_names
from autointerp_core.sources.sae_config import SAEConfig

D_IN, D_SAE = 32, 64

# What a repository's config says of its kind, by the words of its release's name. From the
# releases' own pages; where a release's config says otherwise, loading says so.
_DICT_CLASSES = (
    ("_topk_", "AutoEncoderTopK"),
    ("_vanilla_", "AutoEncoder"),
    ("_gated_", "GatedAutoEncoder"),
    ("_panneal_", "AutoEncoder"),
    ("_standard_", "AutoEncoder"),
    ("andyrdt", "BatchTopKSAE"),
)
# The SAEBench releases of six SAEs, one of each kind, by the folder's name.
_DICT_CLASSES_BY_PATH = (
    ("matryoshka", "MatryoshkaBatchTopKSAE"),
    ("batchtopk", "BatchTopKSAE"),
    ("batch_top_k", "BatchTopKSAE"),
    ("topk", "AutoEncoderTopK"),
    ("top_k", "AutoEncoderTopK"),
    ("jumprelu", "JumpReluAutoEncoder"),
    ("jump_relu", "JumpReluAutoEncoder"),
    ("gated", "GatedAutoEncoder"),
    ("panneal", "AutoEncoder"),
    ("p_anneal", "AutoEncoder"),
    ("standard", "AutoEncoder"),
)
# SAELens' own layout, by release: the architecture its cfg.json has.
_ARCHITECTURES = (
    ("-oai", "topk"),
    ("-v5-", "topk"),
    ("matryoshka", "jumprelu"),
    ("", "standard"),
)
_LLAMA_SCOPE = {"R": "hook_resid_post", "M": "hook_mlp_out", "A": "hook_attn_out"}
_FAMILIES = (
    ("qwen3.5-35b-a3b", "qwen3_5_moe_text"),
    ("qwen3.5", "qwen3_5_text"),
    ("qwen3-30b-a3b", "qwen3_moe"),
    ("qwen3", "qwen3"),
    ("qwen2.5", "qwen2"),
    ("gpt-oss", "gpt_oss"),
    ("gemma-3", "gemma3_text"),
    ("gemma-2-", "gemma2"),
    ("gemma-2b", "gemma"),
    ("mistral", "mistral"),
    ("pythia", "gpt_neox"),
    ("gpt2", "gpt2"),
    ("llama", "llama"),
)


@dataclass(frozen=True)
class Entry:
    """One SAE of the directory."""

    release: str
    sae_id: str
    loader: str
    """SAELens' loader: ``gemma_2``, …; ``saelens`` for its own layout."""
    known_from: str
    """``loader``: SAELens derives all from repository and path; else what was added to it."""
    config: SAEConfig | None
    reason: str
    """Why it cannot be used; empty where it can."""
    family: str | None
    """transformers' name for the model's architecture."""

    @property
    def kind(self) -> Kind | None:
        """What a parity row must cover for this entry, None where it cannot be used."""
        if self.config is None or self.family is None:
            return None
        hook = self.config.hook
        return Kind(
            self.config.architecture, self.loader, hook.at(0).name if hook.layer else hook.name,
            self.family,
        )  # fmt: skip


@dataclass(frozen=True, order=True)
class Kind:
    """Entries that differ only in layer, width and training: one parity row."""

    architecture: str
    loader: str
    hook: str
    """The hook's name in block 0."""
    family: str

    @property
    def name(self) -> str:
        where = self.hook.removeprefix("blocks.0.").removeprefix("layers.0.")
        return f"{self.architecture} / SAELens {self.loader} / {where} / {self.family}"


@cache
def entries() -> tuple[Entry, ...]:
    """Every SAE of the directory."""
    return tuple(entry for name in release_names() for entry in entries_of(name))


@cache
def entries_of(name: str) -> tuple[Entry, ...]:
    """Every SAE of one release."""
    release = find_release(name)
    assert release is not None
    with offline_loaders():
        return tuple(_entry(release, sae_id) for sae_id in release.saes)


def kinds() -> dict[Kind, Entry]:
    """The kinds of SAE in the directory, each with its first entry."""
    first: dict[Kind, Entry] = {}
    for entry in entries():
        if (kind := entry.kind) is not None:
            first.setdefault(kind, entry)
    return dict(sorted(first.items()))


@dataclass(frozen=True)
class Count:
    """How many entries can be used, and the rest by reason."""

    total: int
    usable: int
    reasons: dict[str, int]

    @property
    def share(self) -> float:
        return self.usable / self.total


def count(covered: set[str]) -> Count:
    """Usable: hook, architecture and loader known, and a parity row of its kind is ok.

    Args:
        covered: names of parity rows that are ok (:attr:`Kind.name`).
    """
    reasons: Counter[str] = Counter()
    every = entries()
    for entry in every:
        if entry.reason:
            reasons[entry.reason] += 1
        elif entry.kind is None:
            reasons["model family unknown"] += 1
        elif entry.kind.name not in covered:
            reasons[f"no parity row: {entry.kind.name}"] += 1
    return Count(len(every), len(every) - sum(reasons.values()), dict(reasons))


def _entry(release: Release, sae_id: str) -> Entry:
    loader = release.conversion or "saelens"
    try:
        raw = _derive(release, sae_id)
        hook = saelens.hook_names(raw).hook() or HookPoint.parse(sae_id)
        config = saelens.config_from(raw, hook, "release", f"{release.name}, {sae_id}", None)
        reason = ""
    except AutointerpError as error:
        config, reason = None, str(error).replace(f"{release.name}, {sae_id}", "it")
    model = str((config.model_name if config else None) or release.model or "").lower()
    family = next((family for word, family in _FAMILIES if word in model), None)
    return Entry(release.name, sae_id, loader, KNOWN_FROM[loader], config, reason, family)


KNOWN_FROM = {
    "gemma_2": "loader",
    "gemma_2_transcoder": "loader",
    "gemma_3": "loader (what it does where config.json is absent), sizes from the weights",
    "qwen_scope": "loader",
    "goodfire": "loader",
    "deepseek_r1": "loader",
    "connor_rob_hook_z": "loader; hook from the id (the config's act_name)",
    "dictionary_learning_1": "loader; dict_class from the release's or folder's name",
    "llama_scope": "loader; hook from the name's letter (R, M or A), as its authors name it",
    "llama_scope_r1_distill": "loader; hook from the name's letter (R)",
    "mwhanna_transcoder": "loader (sizes and model name from the repository's config)",
    "mntss_clt_layer_transcoder": "loader; hooks from the repository's config.yaml as published",
    "temporal": "loader",
    "saelens": "hook from the id; architecture from the release's page (its cfg.json has both)",
}


def _derive(release: Release, sae_id: str) -> dict[str, Any]:
    """The config that SAELens' loader makes of an entry, offline."""
    from sae_lens.loading import pretrained_sae_loaders as loaders

    path = str(release.saes[sae_id]["path"])
    if release.conversion is None:
        architecture = next(kind for word, kind in _ARCHITECTURES if word in release.name)
        top_k = {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 8}}
        raw: dict[str, Any] = {
            "architecture": architecture,
            "d_in": D_IN,
            "d_sae": D_SAE,
            "model_name": release.model,
            "hook_name": re.sub(r"_\d+$", "", sae_id),
            **(top_k if architecture == "topk" else {}),
            "normalize_activations": "layer_norm" if architecture == "topk" else "none",
            **release.overrides,
        }
        return raw
    getter = loaders.NAMED_PRETRAINED_SAE_CONFIG_GETTERS[release.conversion]
    with _asked_for(release, sae_id):
        raw = getter(release.repo_id, path, "cpu", False, dict(release.overrides))
    found: dict[str, Any] = loaders.handle_config_defaulting(
        {**raw, "d_in": raw.get("d_in") or D_IN, "d_sae": raw.get("d_sae") or D_SAE}
    )
    return found


_ASKED: dict[str, Any] = {}


@contextlib.contextmanager
def _asked_for(release: Release, sae_id: str) -> Iterator[None]:
    _ASKED.update(release=release, sae_id=sae_id, path=str(release.saes[sae_id]["path"]))
    yield


@contextlib.contextmanager
def offline_loaders() -> Iterator[None]:
    """SAELens' config functions without a network: small files come from what is published."""
    from huggingface_hub.errors import EntryNotFoundError
    from sae_lens.loading import pretrained_sae_loaders as loaders

    with tempfile.TemporaryDirectory() as folder:

        def download(repo_id: str, filename: str, **_: Any) -> str:
            content = published_config(_ASKED["release"], _ASKED["sae_id"], filename)
            if content is None:
                raise EntryNotFoundError(f"{filename} is not published about {repo_id}")
            path = Path(folder) / Path(filename).name
            path.write_text(json.dumps(content))  # JSON is YAML, too
            return str(path)

        def shapes(repo_id: str, filename: str) -> dict[str, list[int]]:
            layer = _ASKED["path"]
            return {
                "w_enc": [D_IN, D_SAE],
                "w_dec": [D_SAE, D_IN],
                f"b_dec_{layer}": [D_IN],
                f"b_enc_{layer}": [D_SAE],
            }

        with (
            patch.object(loaders, "hf_hub_download", download),
            patch.object(loaders, "get_safetensors_tensor_shapes", shapes),
        ):
            yield


def published_config(
    release: Release, sae_id: str, filename: str, d_in: int = D_IN, d_sae: int = D_SAE
) -> dict[str, Any] | None:
    """What is published of a repository's small file, None where nothing is."""
    path = str(release.saes[sae_id]["path"])
    conversion = release.conversion
    if conversion == "connor_rob_hook_z":
        layer = re.search(r"blocks\.(\d+)", sae_id)
        assert layer is not None
        return {
            "act_size": d_in,
            "dict_size": d_sae,
            "act_name": f"blocks.{layer[1]}.attn.hook_z",
        }
    if conversion in ("llama_scope", "llama_scope_r1_distill"):
        named = re.search(r"L(\d+)([RMA])", path)
        assert named is not None
        hook = f"blocks.{named[1]}.{_LLAMA_SCOPE[named[2]]}"
        return {
            "d_model": d_in,
            "d_sae": d_sae,
            "expansion_factor": d_sae // d_in,
            "hook_point_in": hook,
            "hook_point_out": hook,
            "jump_relu_threshold": 0.4,
            "dataset_average_activation_norm": {"in": 7.5, "out": 7.5},
        }
    if conversion == "dictionary_learning_1":
        layer = re.search(r"layer_(\d+)", path)
        assert layer is not None
        return {
            "trainer": {
                "dict_class": _dict_class(release.name, path),
                "activation_dim": d_in,
                "dict_size": d_sae,
                "k": 8,
                "layer": int(layer[1]),
                "lm_name": release.model,
            },
            "buffer": {"ctx_len": 128},
        }
    if conversion == "mwhanna_transcoder":
        if filename.startswith("wandb"):
            return {name: {"value": size} for name, size in _wandb(d_in, d_sae).items()}
        return {"model_name": release.model}
    if conversion == "mntss_clt_layer_transcoder":
        return {
            "model_name": f"google/{release.model}",
            "feature_input_hook": "hook_resid_mid",
            "feature_output_hook": "hook_mlp_out",
        }
    if conversion == "temporal":
        return {
            "llm": {"dimin": d_in},
            "data": {"dtype": "float32"},
            "sae": {
                "exp_factor": d_sae / d_in,
                "n_heads": 8,
                "n_attn_layers": 1,
                "bottleneck_factor": 64,
                "sae_diff_type": "topk",
                "kval_topk": 8,
                "tied_weights": True,
                "scaling_factor": 1.0,
            },
        }
    return None


def _wandb(d_in: int, d_sae: int) -> dict[str, int]:
    return {"d_model": d_in, "d_feature": d_sae, "batch_size": 128}


def _dict_class(release: str, path: str) -> str:
    found = next((kind for word, kind in _DICT_CLASSES if word in release), None)
    lowered = path.lower()
    found = found or next((kind for word, kind in _DICT_CLASSES_BY_PATH if word in lowered), None)
    if found is None:
        raise AssertionError(f"nothing is known of the kind of {release}, {path}")
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    by_kind: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for entry in entries():
        if entry.kind is not None and not entry.reason:
            by_kind[entry.kind.name] += 1
        else:
            reasons[entry.reason or "model family unknown"] += 1
    for name, n in sorted(by_kind.items()):
        print(f"{n:6,}  {name}")
    for reason, n in reasons.most_common():
        print(f"{n:6,}  not usable: {reason}")


if __name__ == "__main__":
    main()
