"""SAELens' directory: every kind of SAE in it, loaded by its release's name from local files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from autointerp_core.sources.sae import inspect_sae, load_sae
from benchmarks import sae_directory
from benchmarks.directory_files import local_hub, write_entry
from benchmarks.published_saes import Wanted

# Entries of each loader, one of each kind of hook; all kinds are rows of `make parity`.
ENTRIES = [
    ("gemma-scope-2b-pt-res", "layer_0/width_16k/average_l0_105"),
    ("gemma-scope-2b-pt-res", "embedding/width_4k/average_l0_6"),
    ("gemma-scope-2b-pt-att", "layer_0/width_16k/average_l0_104"),
    ("gemma-scope-2b-pt-transcoders", "layer_0/width_16k/average_l0_76"),
    ("gemma-scope-2-1b-pt-transcoders-all", "layer_0_width_16k_l0_big_affine"),
    ("gemma-scope-2-1b-pt-mlp", "layer_13_width_16k_l0_big"),
    ("llama_scope_lxm_8x", "l0m_8x"),
    ("llama_scope_r1_distill", "l0r_800m_slimpajama"),
    ("sae_bench_pythia70m_sweep_gated_ctx128_0730", None),
    ("gpt2-small-hook-z-kk", "blocks.0.hook_z"),
    ("gpt2-small-res-jb", "blocks.8.hook_resid_pre"),
    ("gpt2-small-resid-mid-v5-32k", "blocks.3.hook_resid_mid"),
    ("mwhanna-qwen3-4b-transcoders", "layer_0"),
    ("mntss-gemma-2-2b-2.5m-clt-as-per-layer", "layer_1"),
    ("goodfire-llama-3.1-8b-instruct", None),
    ("deepseek-r1-distill-llama-8b-qresearch", None),
    ("qwen-scope-3-8b-base-w64k-l50", None),
]


def entry_of(release: str, sae_id: str | None) -> sae_directory.Entry:
    found = sae_directory.entries_of(release)
    return next(e for e in found if sae_id is None or e.sae_id == sae_id)


@pytest.mark.slow
@pytest.mark.parametrize(("release", "sae_id"), ENTRIES)
def test_an_entry_loads_as_its_publisher_computes_it(
    tmp_path: Path, release: str, sae_id: str | None
) -> None:
    torch.set_num_threads(1)
    entry = entry_of(release, sae_id)
    assert entry.config is not None
    hook = entry.config.hook
    layer = hook.layer or 0
    wanted = Wanted(layer, 32, 32, hook.name.removeprefix(f"blocks.{layer}."))
    made = write_entry(tmp_path, entry, wanted)
    with local_hub(tmp_path, 32, 32):
        config = inspect_sae(made.path, made.sae_id)
        loaded = load_sae(made.path, made.sae_id)
    # What was derived offline is what its files say.
    assert (config.hook, config.architecture) == (hook, entry.config.architecture)
    assert config.hook_out == entry.config.hook_out
    x = torch.randn(200, 32) + 0.2
    expected, acts = made.encode(x), loaded.sae.encode(x)
    assert ((acts != 0) == (expected != 0)).all()
    torch.testing.assert_close(acts, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        loaded.reconstruct(x, acts), made.reconstruct(x), rtol=1e-3, atol=1e-3
    )


@pytest.mark.slow
def test_nearly_every_entry_is_of_a_kind_that_can_be_used() -> None:
    kinds = {kind.name for kind in sae_directory.kinds()}
    counted = sae_directory.count(kinds)
    assert counted.total >= 13_857
    assert counted.share >= 0.99
    assert all("temporal" in reason for reason in counted.reasons)
    assert counted.usable + sum(counted.reasons.values()) == counted.total
    # Without a parity row a kind does not count.
    assert sae_directory.count(set()).usable == 0
