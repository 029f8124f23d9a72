"""Handing over what top-k chose, and decoding only what fires: SAELens' own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp_core.sources import sae as sae_module
from autointerp_core.sources.sae import LoadedSAE, load_sae
from tests.core.tiny import tiny_saelens, tiny_sparsify

TOPK: list[dict[str, Any]] = [
    {"architecture": "topk", "k": 8},
    {"architecture": "topk", "k": 8, "rescale_acts_by_decoder_norm": True},
    {"architecture": "topk", "k": 8, "normalize_activations": "layer_norm"},
]
OTHERS: list[dict[str, Any]] = [
    {"architecture": "standard"},
    {"architecture": "gated"},
    {"architecture": "jumprelu", "normalize_activations": "layer_norm"},
]


def loaded(folder: Path, how: dict[str, Any]) -> LoadedSAE:
    return load_sae(str(tiny_saelens(folder, **how)))


def check_chosen(sae: LoadedSAE, x: torch.Tensor) -> None:
    encode = sae.topk_encoder()
    assert encode is not None
    before = sae.sae.encode(x)
    values, latents = encode(x)
    found = torch.zeros_like(before).scatter_(-1, latents, values)
    assert torch.equal(found, before)
    assert torch.equal(sae.sae.encode(x), before), "the SAE itself is as it was"


@pytest.mark.parametrize("how", TOPK, ids=str)
def test_what_top_k_chose_is_what_encode_gives(tmp_path: Path, how: dict[str, Any]) -> None:
    check_chosen(loaded(tmp_path, how), torch.randn(300, 32))


@pytest.mark.parametrize("how", [{}, {"transcode": True}, {"skip_connection": True}], ids=str)
def test_so_it_is_of_sparsify(tmp_path: Path, how: dict[str, Any]) -> None:
    folder = tiny_sparsify(tmp_path, 2, **how) / "layers.2"
    check_chosen(load_sae(str(folder)), torch.randn(300, 32))


@pytest.mark.parametrize("how", OTHERS, ids=str)
def test_others_are_encoded_as_they_were(tmp_path: Path, how: dict[str, Any]) -> None:
    assert loaded(tmp_path, how).topk_encoder() is None


@pytest.mark.parametrize("how", [*TOPK, *OTHERS], ids=str)
def test_rows_that_fire_decode_to_the_same(
    tmp_path: Path, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sae = loaded(tmp_path, how)
    x = torch.randn(3, 32)
    silent = torch.randperm(64)[8:]

    def few() -> torch.Tensor:
        # Anew each time: what the input's normalisation took away is given back once.
        acts: torch.Tensor = sae.sae.encode(x)
        acts[:, silent] = 0
        return acts

    whole = sae.reconstruct(x, few())
    monkeypatch.setattr(sae_module, "_WIDE", 1)
    decoded = []
    decode = type(sae.sae).decode

    def watched(self: Any, acts: torch.Tensor) -> torch.Tensor:
        decoded.append(acts.shape[-1])
        made: torch.Tensor = decode(self, acts)
        return made

    monkeypatch.setattr(type(sae.sae), "decode", watched)
    torch.testing.assert_close(sae.reconstruct(x, few()), whole, rtol=1e-5, atol=1e-5)
    assert decoded[0] <= 8
    assert sae.sae.W_dec.shape[0] == 64


@pytest.mark.parametrize("how", [*TOPK, *OTHERS], ids=str)
def test_what_fires_is_what_encode_gives(tmp_path: Path, how: dict[str, Any]) -> None:
    """To the bit, for blocks of any size one after another, and for some latents alone."""
    sae = loaded(tmp_path, how)
    for latents in (None, [3, 50, 7]):
        fires = sae.firing_encoder(latents)
        for n in (300, 40, 301):
            x = torch.randn(n, 32)
            chosen = latents if sae.topk_encoder() is None else None
            expected = sae.encoder(chosen)(x)
            where, latent, value = fires(x)
            found = torch.zeros_like(expected)
            found[where, latent] = value
            assert torch.equal(found, expected)


@pytest.mark.parametrize("architecture", ["standard", "jumprelu"])
def test_what_is_no_number_is_among_what_fires(tmp_path: Path, architecture: str) -> None:
    sae = loaded(tmp_path, {"architecture": architecture})
    x = torch.randn(4, 32)
    x[2] = torch.nan
    where, _, value = sae.firing_encoder()(x)
    assert value[where == 2].isnan().all()
    assert (where == 2).sum() == 64


@pytest.mark.parametrize("how", TOPK, ids=str)
def test_a_wide_top_k_sae_reconstructs_from_what_it_chose(
    tmp_path: Path, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sae = loaded(tmp_path, how)
    x = torch.randn(30, 32)
    made, acts = sae.reconstruction(x)
    monkeypatch.setattr(sae_module, "_WIDE", 1)
    ours, chosen = sae.reconstruction(x)
    torch.testing.assert_close(ours, made, rtol=1e-5, atol=1e-5)
    assert chosen.shape == (30, 8)
    assert torch.equal((chosen != 0).sum(1), (acts != 0).sum(1))
