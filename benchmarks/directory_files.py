"""Entries of SAELens' directory with tiny random weights, loaded by their release's name.

The files lie as the publisher lays them out; ``local_hub`` hands them to SAELens' own loaders
and to ours instead of downloads. Sizes that SAELens reads off a repository's name are
overridden, since no tiny SAE has 16,384 latents.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from autointerp_core.sources.releases import find_release
from autointerp_core.sources.sae_weights import tensor_infos
from benchmarks import published_saes as published
from benchmarks.published_saes import D_SAE, K, Published, Wanted
from benchmarks.sae_directory import Entry, published_config


@contextlib.contextmanager
def local_hub(root: Path, d_in: int, d_out: int) -> Iterator[None]:
    """``root`` in place of every hub repository."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError
    from sae_lens.loading import pretrained_sae_loaders as loaders
    from sae_lens.loading import pretrained_saes_directory as directory
    from sae_lens.saes import sae as sae_module

    def download(repo_id: str, filename: str, subfolder: str | None = None, **_: Any) -> str:
        path = root / (subfolder or "") / filename
        if not path.is_file():
            raise EntryNotFoundError(f"{repo_id} has no {filename}")
        return str(path)

    def shapes(_: str, filename: str) -> dict[str, list[int]]:
        return {name: list(info.shape) for name, info in tensor_infos(root / filename).items()}

    overrides = directory.get_config_overrides

    def with_sizes(release: str, sae_id: str) -> dict[str, Any]:
        found = {**overrides(release, sae_id), "d_in": d_in, "d_sae": D_SAE}
        record = find_release(release)
        assert record is not None
        if record.conversion == "qwen_scope":
            found["activation_fn_kwargs"] = {"k": K}
        if record.conversion == "gemma_2_transcoder":
            found["d_out"] = d_out
        return found

    with (
        patch.object(loaders, "hf_hub_download", download),
        patch.object(loaders, "get_safetensors_tensor_shapes", shapes),
        patch.object(loaders, "get_config_overrides", with_sizes),
        patch.object(sae_module, "get_config_overrides", with_sizes),
        patch.object(huggingface_hub, "snapshot_download", lambda *_, **__: str(root)),
    ):
        yield


def write_entry(root: Path, entry: Entry, wanted: Wanted) -> Published:
    """The files of an entry below ``root``, and its publisher's arithmetic."""
    release = find_release(entry.release)
    assert release is not None
    record = release.saes[entry.sae_id]
    path = str(record["path"])
    made = _WRITERS[entry.loader](root, path, entry, wanted, record)
    return Published(entry.release, entry.sae_id, made.encode, made.reconstruct)


def _saelens(root: Path, path: str, entry: Entry, wanted: Wanted, _: Any) -> Published:
    assert entry.config is not None
    normalize = entry.config.normalize_activations
    named = replace(wanted, model=str(entry.config.model_name))
    made = published.saelens(
        root / path, named, entry.config.architecture, normalize_activations=normalize
    )
    if not entry.config.center_input:
        return made

    def encode(x: Tensor) -> Tensor:
        return made.encode(x - x.mean(dim=-1, keepdim=True))

    def reconstruct(x: Tensor) -> Tensor:
        mean = x.mean(dim=-1, keepdim=True)
        return made.reconstruct(x - mean) + mean

    return Published(made.path, None, encode, reconstruct)


def _gemma_2(root: Path, path: str, entry: Entry, wanted: Wanted, _: Any) -> Published:
    assert entry.config is not None
    site = "embedding" if entry.config.hook.name == "hook_embed" else "res"
    site = "transcoders" if entry.config.predicts_output else site
    return published.gemma_scope(root, wanted, site, inside=root / path)


def _gemma_3(root: Path, path: str, entry: Entry, wanted: Wanted, _: Any) -> Published:
    assert entry.config is not None
    site = "transcoder" if entry.config.predicts_output else "resid_post"
    return published.gemma_scope_2(
        root, wanted, site, affine="_skip" in entry.config.architecture, config=False,
        inside=root / path,
    )  # fmt: skip


def _hook_z(root: Path, path: str, entry: Entry, wanted: Wanted, _: Any) -> Published:
    tensors = wanted.tensors()
    kept = {name: tensors[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    torch.save(kept, root / path)
    _config(root, path.split(".pt")[0] + "_cfg.json", entry, wanted)

    def encode(x: Tensor) -> Tensor:
        return torch.relu((x - kept["b_dec"]) @ kept["W_enc"] + kept["b_enc"])

    def reconstruct(x: Tensor) -> Tensor:
        return encode(x) @ kept["W_dec"] + kept["b_dec"]

    return Published("", None, encode, reconstruct)


def _llama_scope(root: Path, path: str, entry: Entry, wanted: Wanted, record: Any) -> Published:
    norm = math.sqrt(wanted.d_in) / float(record["norm_scaling_factor"])
    r1 = entry.loader == "llama_scope_r1_distill"
    return published.llama_scope(root / path, wanted, r1=r1, norm=norm)


def _dictionary_learning(root: Path, path: str, entry: Entry, wanted: Wanted, _: Any) -> Published:
    release = find_release(entry.release)
    assert release is not None
    content = published_config(release, entry.sae_id, "config.json")
    assert content is not None
    return published.dictionary_learning(root / path, wanted, content["trainer"]["dict_class"])


def _flat(root: Path, path: str, entry: Entry, wanted: Wanted, _: Any) -> Published:
    linear = "_linear" if entry.loader == "goodfire" else ""
    return published.goodfire(root, wanted, linear=linear, name=path)


def _qwen_scope(root: Path, path: str, entry: Entry, wanted: Wanted, _: Any) -> Published:
    made = published.qwen_scope(root, wanted, root)
    (root / f"layer{wanted.layer}.sae.pt").rename(root / path)
    return made


def _mwhanna(root: Path, path: str, entry: Entry, wanted: Wanted, _: Any) -> Published:
    made = published.transcoder_set(root, wanted)
    (root / f"layer_{wanted.layer}.safetensors").rename(root / path)
    for name in ("wandb-config.yaml", "config.yaml"):
        _config(root, name, entry, wanted)
    return made


def _cross_layer(root: Path, path: str, entry: Entry, wanted: Wanted, _: Any) -> Published:
    return published.cross_layer(root, wanted)


def _config(root: Path, name: str, entry: Entry, wanted: Wanted) -> None:
    release = find_release(entry.release)
    assert release is not None
    content = published_config(release, entry.sae_id, name, wanted.d_in, wanted.d_sae)
    (root / name).write_text(json.dumps(content), encoding="utf-8")


_WRITERS = {
    "saelens": _saelens,
    "gemma_2": _gemma_2,
    "gemma_2_transcoder": _gemma_2,
    "gemma_3": _gemma_3,
    "connor_rob_hook_z": _hook_z,
    "llama_scope": _llama_scope,
    "llama_scope_r1_distill": _llama_scope,
    "dictionary_learning_1": _dictionary_learning,
    "goodfire": _flat,
    "deepseek_r1": _flat,
    "qwen_scope": _qwen_scope,
    "mwhanna_transcoder": _mwhanna,
    "mntss_clt_layer_transcoder": _cross_layer,
}
