"""SAEs: both layouts against the libraries that own them, and every way they can be wrong."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sae_lens import SAE
from safetensors.torch import load_file, save_file
from sparsify import SparseCoder

from autointerp_core.errors import AutointerpError, HookError, SAESourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.model_files import ModelConfig
from autointerp_core.sources.releases import find_release, release_names
from autointerp_core.sources.sae import check_fits, inspect_sae, load_sae
from tests.core.tiny import edit_json, tiny_saelens, tiny_sparsify, tiny_topk_saelens

HOOK = "blocks.2.hook_resid_post"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def dense(coder: SparseCoder, x: torch.Tensor) -> torch.Tensor:
    """sparsify's own encode, scattered into [n, d_sae]."""
    with torch.no_grad():
        out = coder.encode(x)
    return torch.zeros(len(x), coder.num_latents).scatter_(-1, out.top_indices, out.top_acts)


def refused(path: Path, sae_id: str | None = None, kind: type[Exception] = SAESourceError) -> str:
    """Loading fails with one line of that kind; returns it."""
    with pytest.raises(kind) as caught:
        load_sae(str(path), sae_id)
    message = str(caught.value)
    assert "\n" not in message
    assert isinstance(caught.value, AutointerpError)
    return message


# --- sparsify's layout -------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["topk", "groupmax"])
@pytest.mark.parametrize(("d_in", "d_sae", "k"), [(32, 64, 8), (576, 4608, 32)])
def test_sparsify_encodes_as_sparsify_does(
    tmp_path: Path, activation: str, d_in: int, d_sae: int, k: int
) -> None:
    tiny_sparsify(tmp_path, 2, d_in, d_sae, k, activation=activation)
    loaded = load_sae(str(tmp_path), HOOK)
    coder = SparseCoder.load_from_disk(tmp_path / "layers.2")
    x = torch.randn(200, d_in)
    expected = dense(coder, x)
    acts = loaded.sae.encode(x)
    assert acts.dtype == torch.float32
    assert acts.shape == (200, d_sae)
    assert ((acts > 0) == (expected > 0)).all()
    torch.testing.assert_close(acts, expected, rtol=1e-5, atol=1e-5 * float(expected.max()))
    with torch.no_grad():
        out = coder.encode(x)
        torch.testing.assert_close(
            loaded.sae.decode(acts),
            coder.decode(out.top_acts, out.top_indices),
            rtol=1e-4,
            atol=1e-3,
        )


def test_sparsify_config(tmp_path: Path) -> None:
    tiny_sparsify(tmp_path, 2)
    config = inspect_sae(str(tmp_path), HOOK)
    assert (config.d_in, config.d_sae, config.k) == (32, 64, 8)
    assert (config.architecture, config.layout) == ("topk", "sparsify")
    assert config.hook == HookPoint(2, "resid_post")
    assert config.prepend_bos is False
    assert config.folder == (tmp_path / "layers.2").resolve()
    edit_json(tmp_path / "layers.2" / "cfg.json", prepend_bos=True)
    (tmp_path / "config.json").write_text('{"model": "meta/some-8B", "ctx_len": 512}')
    config = inspect_sae(str(tmp_path), HOOK)
    assert config.prepend_bos is True
    assert (config.model_name, config.context_size) == ("meta/some-8B", 512)


def test_expansion_factor_counts_where_num_latents_is_zero(tmp_path: Path) -> None:
    tiny_sparsify(tmp_path, 2, d_sae=0, expansion_factor=3)
    assert inspect_sae(str(tmp_path)).d_sae == 96
    assert load_sae(str(tmp_path)).sae.encode(torch.randn(2, 32)).shape == (2, 96)


def test_multi_topk_is_a_loss_and_changes_no_encode(tmp_path: Path) -> None:
    tiny_sparsify(tmp_path, 2, multi_topk=True)
    x = torch.randn(20, 32)
    coder = SparseCoder.load_from_disk(tmp_path / "layers.2")
    torch.testing.assert_close(load_sae(str(tmp_path)).sae.encode(x), dense(coder, x))


def test_the_layer_folder_itself(tmp_path: Path) -> None:
    tiny_sparsify(tmp_path, 2)
    folder = tmp_path / "layers.2"
    assert inspect_sae(str(folder)).hook.name == HOOK
    assert inspect_sae(str(folder), HOOK).hook.name == HOOK
    assert "blocks.2.hook_resid_post" in refused(folder, "blocks.3.hook_resid_post")


def test_a_renamed_layer_folder_needs_the_hook(tmp_path: Path) -> None:
    tiny_sparsify(tmp_path, 2)
    folder = (tmp_path / "layers.2").rename(tmp_path / "mine")
    assert "sae_id" in refused(folder)
    assert load_sae(str(folder), "blocks.5.hook_resid_post").config.hook.layer == 5


def test_half_precision_weights_are_cast(tmp_path: Path) -> None:
    tiny_sparsify(tmp_path / "a", 2)
    weights = tmp_path / "a/layers.2/sae.safetensors"
    half = {name: tensor.bfloat16() for name, tensor in load_file(weights).items()}
    save_file(half, weights)
    loaded = load_sae(str(tmp_path / "a"))
    assert loaded.sae.encode(torch.randn(2, 32)).dtype == torch.float32
    assert {p.dtype for p in loaded.sae.parameters()} == {torch.float32}
    # The same numbers stored in 32 bits, somewhere else, are the same SAE.
    tiny_sparsify(tmp_path / "b", 2)
    save_file(
        {name: tensor.float() for name, tensor in half.items()},
        tmp_path / "b/layers.2/sae.safetensors",
    )
    assert load_sae(str(tmp_path / "b")).fingerprint == loaded.fingerprint


@pytest.mark.parametrize("other", [{"transcode": True}, {"activation": "groupmax"}])
def test_sparsify_has_signed_saes_of_one_kind_only(tmp_path: Path, other: dict[str, Any]) -> None:
    tiny_sparsify(tmp_path, 2)
    edit_json(tmp_path / "layers.2/cfg.json", signed=True, **other)
    assert "signed: true" in refused(tmp_path)


def test_a_transcoder_of_a_block_predicts_what_leaves_it(tmp_path: Path) -> None:
    tiny_sparsify(tmp_path, 2, transcode=True)
    loaded = load_sae(str(tmp_path))
    assert loaded.config.hook == HookPoint(2, "resid_pre")
    assert loaded.hook_out == HookPoint(2, "resid_post")


def test_an_unknown_activation(tmp_path: Path) -> None:
    tiny_sparsify(tmp_path, 2)
    edit_json(tmp_path / "layers.2/cfg.json", activation="softmax")
    assert "topk and groupmax" in refused(tmp_path)


def test_a_sparsify_module_that_is_no_block(tmp_path: Path) -> None:
    tiny_sparsify(tmp_path, 2)
    (tmp_path / "layers.2").rename(tmp_path / "layers.2.mlp")
    assert load_sae(str(tmp_path)).config.hook == HookPoint(2, "module", "mlp.output")
    assert load_sae(str(tmp_path), "layers.2.mlp").config.hook.layer == 2


# --- SAELens' layout ---------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["topk", "standard", "gated", "jumprelu"])
@pytest.mark.parametrize("normalize", ["none", "layer_norm", "constant_norm_rescale"])
def test_saelens_encodes_as_saelens_does(tmp_path: Path, architecture: str, normalize: str) -> None:
    extra: dict[str, Any] = {"k": 8} if architecture == "topk" else {}
    tiny_saelens(tmp_path, architecture=architecture, normalize_activations=normalize, **extra)
    loaded = load_sae(str(tmp_path), HOOK)
    x = torch.randn(50, 32)
    reference: SAE[Any] = SAE.load_from_disk(tmp_path)
    with torch.no_grad():
        expected = reference.encode(x)
        assert torch.equal(loaded.sae.encode(x), expected)
        assert torch.equal(loaded.sae.decode(expected), reference.decode(expected))
    assert loaded.config.architecture == architecture
    assert loaded.config.normalize_activations == normalize


def test_saelens_config(tmp_path: Path) -> None:
    tiny_saelens(
        tmp_path, architecture="standard", metadata={"l0": 41.5, "fvu": 0.2, "prepend_bos": False}
    )
    config = inspect_sae(str(tmp_path))
    assert (config.d_in, config.d_sae, config.k) == (32, 64, None)
    assert (config.hook.name, config.model_name, config.context_size) == (HOOK, "tiny", 64)
    assert (config.recorded_l0, config.recorded_fvu) == (41.5, 0.2)
    assert (config.layout, config.prepend_bos) == ("saelens", False)


def test_topk_with_rescaling_by_decoder_norm(tmp_path: Path) -> None:
    tiny_topk_saelens(tmp_path, rescale_acts_by_decoder_norm=True)
    x = torch.randn(30, 32)
    assert torch.equal(
        load_sae(str(tmp_path)).sae.encode(x), SAE.load_from_disk(tmp_path).encode(x)
    )


def test_a_config_from_before_version_6(tmp_path: Path) -> None:
    tiny_topk_saelens(tmp_path)
    old = {
        "d_in": 32,
        "d_sae": 64,
        "dtype": "torch.float32",
        "hook_name": HOOK,
        "hook_layer": 2,
        "model_name": "gpt2-small",
        "context_size": 128,
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 5},
        "normalize_activations": "none",
        "apply_b_dec_to_input": False,
    }
    (tmp_path / "cfg.json").write_text(json.dumps(old))
    loaded = load_sae(str(tmp_path))
    assert (loaded.config.architecture, loaded.config.k) == ("topk", 5)
    assert loaded.config.prepend_bos is True
    x = torch.randn(30, 32)
    acts = loaded.sae.encode(x)
    assert int((acts > 0).sum(-1).max()) <= 5
    assert torch.equal(acts, SAE.load_from_disk(tmp_path).encode(x))


def test_a_subfolder_is_chosen_by_name_or_hook(tmp_path: Path) -> None:
    tiny_topk_saelens(tmp_path / "one", hook="blocks.1.hook_resid_pre")
    tiny_topk_saelens(tmp_path / HOOK)
    tiny_topk_saelens(tmp_path / "deep/two", hook="blocks.3.hook_resid_post")
    assert inspect_sae(str(tmp_path), HOOK).hook.layer == 2
    assert inspect_sae(str(tmp_path), "one").hook.name == "blocks.1.hook_resid_pre"
    assert inspect_sae(str(tmp_path), "deep/two").hook.layer == 3
    assert inspect_sae(str(tmp_path), "blocks.1.hook_resid_pre").hook.layer == 1
    assert inspect_sae(str(tmp_path), "blocks.3.hook_resid_post").hook.layer == 3
    assert "one" in refused(tmp_path, "blocks.1.hook_resid_post")
    message = refused(tmp_path)
    assert "several" in message
    assert all(name in message for name in ("one", HOOK, "deep/two"))


def test_two_saes_of_one_hook_must_be_named(tmp_path: Path) -> None:
    tiny_topk_saelens(tmp_path / "narrow")
    tiny_topk_saelens(tmp_path / "wide")
    message = refused(tmp_path, HOOK)
    assert "narrow, wide" in message


def test_only_one_sae_needs_no_id(tmp_path: Path) -> None:
    tiny_topk_saelens(tmp_path / "only")
    assert load_sae(str(tmp_path)).config.folder == (tmp_path / "only").resolve()


def test_the_demo_ignores_the_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autointerp_core.sources import demo

    tiny_topk_saelens(tmp_path)
    monkeypatch.setattr(demo, "demo_sae_path", lambda: tmp_path)
    assert inspect_sae("demo", "blocks.19.hook_resid_post").hook.layer == 2


def test_a_demo_without_its_sae(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autointerp_core.sources import demo

    monkeypatch.setattr(demo, "demo_root", lambda: tmp_path)
    assert "demo SAE is missing" in refused(Path("demo"))


def test_centred_models_get_a_centred_input(tmp_path: Path) -> None:
    centred = {"center_writing_weights": True}
    tiny_topk_saelens(tmp_path)
    about = {"hook_name": HOOK, "model_name": "gpt2-small", "sae_lens_version": "6.54.12"}
    edit_json(tmp_path / "cfg.json", metadata={**about, "model_from_pretrained_kwargs": centred})
    loaded = load_sae(str(tmp_path))
    assert loaded.config.center_input
    edit_json(tmp_path / "cfg.json", metadata=about)
    plain = load_sae(str(tmp_path))
    x = torch.randn(20, 32) + 3
    mean = x.mean(-1, keepdim=True)
    acts = loaded.sae.encode(x)
    assert torch.equal(acts, plain.sae.encode(x - mean))
    torch.testing.assert_close(loaded.sae.decode(acts), plain.sae.decode(acts) + mean)
    assert loaded.fingerprint != plain.fingerprint
    # TransformerLens ignores the option where there is no LayerNorm to make it harmless.
    edit_json(
        tmp_path / "cfg.json",
        metadata={**about, "model_name": "llama", "model_from_pretrained_kwargs": centred},
    )
    assert not load_sae(str(tmp_path)).config.center_input


# --- fingerprints ------------------------------------------------------------------------------


def test_the_fingerprint_sees_weights_and_switches(tmp_path: Path) -> None:
    seen = {}
    changes: dict[str, dict[str, Any]] = {
        "base": {},
        "seed": {"seed": 1},
        "k": {"k": 7},
        "b_dec": {"apply_b_dec_to_input": False},
        "norm": {"normalize_activations": "layer_norm"},
        "rescale": {"rescale_acts_by_decoder_norm": True},
    }
    for name, options in changes.items():
        tiny_topk_saelens(tmp_path / name, **options)
        seen[name] = load_sae(str(tmp_path / name)).fingerprint
    assert len(set(seen.values())) == len(seen)
    assert all(mark.startswith("sha256:") and len(mark) == 71 for mark in seen.values())
    tiny_topk_saelens(tmp_path / "again", metadata={"model_name": "other"})
    assert load_sae(str(tmp_path / "again")).fingerprint == seen["base"]


def test_loading_leaves_the_files_alone(tmp_path: Path) -> None:
    tiny_sparsify(tmp_path, 2)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    load_sae(str(tmp_path))
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


# --- what can be wrong -------------------------------------------------------------------------


def test_nothing_there(tmp_path: Path) -> None:
    assert "not found" in refused(tmp_path / "absent")
    assert "holds nothing" in refused(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    message = refused(tmp_path, HOOK)
    assert "no cfg.json" in message
    assert "notes.txt" in message
    assert "is a file" in refused(tmp_path / "notes.txt")
    assert "not found" in refused(tmp_path / ("x" * 5000))
    with pytest.raises(SAESourceError, match="no SAE given"):
        inspect_sae(" ")


def test_the_layer_asked_for_is_not_there(tmp_path: Path) -> None:
    for layer in (9, 10):
        tiny_sparsify(tmp_path, layer)
    message = refused(tmp_path, "blocks.19.hook_resid_post")
    assert "blocks.19.hook_resid_post" in message
    assert "layers.9, layers.10" in message


def test_an_id_that_is_no_hook(tmp_path: Path) -> None:
    tiny_sparsify(tmp_path, 2)
    assert "layers.2" in refused(tmp_path, "nineteen", HookError)
    tiny_topk_saelens(tmp_path / "own")
    refused(tmp_path / "own", "nineteen", HookError)


@pytest.mark.parametrize("text", ["{", "[1]", "", '{"d_in": 32'])
def test_a_broken_config(tmp_path: Path, text: str) -> None:
    tiny_topk_saelens(tmp_path)
    (tmp_path / "cfg.json").write_text(text)
    assert "cfg.json" in refused(tmp_path)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"d_in": None}, "d_in"),
        ({"d_in": "32"}, "d_in"),
        ({"d_sae": 0}, "d_sae"),
        ({"k": 65}, "k=65"),
        ({"k": -1}, "k"),
        ({"architecture": "temporal"}, "temporal"),
        ({"architecture": "batchtopk"}, "save_inference_model"),
        ({"normalize_activations": "sideways"}, "sideways"),
        ({"normalize_activations": "expected_average_only_in"}, "scaling"),
        ({"metadata": {"sae_lens_version": "6.54.12"}}, "sae_id"),
    ],
)
def test_a_config_that_cannot_be_used(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    tiny_topk_saelens(tmp_path)
    edit_json(tmp_path / "cfg.json", **changes)
    assert word in refused(tmp_path)


def test_a_hook_that_is_not_supported(tmp_path: Path) -> None:
    tiny_topk_saelens(tmp_path, hook="blocks.2.attn.hook_pattern")
    assert "hook_pattern" in refused(tmp_path, kind=HookError)


def _weights(tmp_path: Path, layout: str) -> Path:
    if layout == "sparsify":
        return tiny_sparsify(tmp_path, 2) / "layers.2/sae.safetensors"
    return tiny_topk_saelens(tmp_path) / "sae_weights.safetensors"


@pytest.mark.parametrize("layout", ["saelens", "sparsify"])
class TestWeights:
    def test_that_disagree_with_the_config(self, tmp_path: Path, layout: str) -> None:
        path = _weights(tmp_path, layout)
        key = "d_sae" if layout == "saelens" else "num_latents"
        edit_json(path.parent / "cfg.json", **{key: 128})
        message = refused(tmp_path)
        assert "disagree" in message
        assert "128" in message

    def test_that_are_truncated(self, tmp_path: Path, layout: str) -> None:
        path = _weights(tmp_path, layout)
        path.write_bytes(path.read_bytes()[:-100])
        assert "damaged" in refused(tmp_path)

    def test_that_are_no_safetensors(self, tmp_path: Path, layout: str) -> None:
        path = _weights(tmp_path, layout)
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
        assert "damaged" in refused(tmp_path)

    def test_that_are_missing(self, tmp_path: Path, layout: str) -> None:
        path = _weights(tmp_path, layout)
        path.unlink()
        message = refused(tmp_path)
        assert path.name in message
        assert "cfg.json" in message

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_that_are_not_numbers(self, tmp_path: Path, layout: str, value: float) -> None:
        path = _weights(tmp_path, layout)
        tensors = load_file(path)
        tensors["b_dec"][3] = value
        save_file(tensors, path)
        assert "'b_dec'" in refused(tmp_path)

    def test_that_lack_a_tensor_or_have_one_more(self, tmp_path: Path, layout: str) -> None:
        path = _weights(tmp_path, layout)
        tensors = load_file(path)
        save_file({**tensors, "W_skip": torch.zeros(32, 32)}, path)
        assert "W_skip" in refused(tmp_path)
        del tensors["W_dec"]
        save_file(tensors, path)
        assert "lack 'W_dec'" in refused(tmp_path)

    def test_a_plain_pickle_is_read_without_running_code(self, tmp_path: Path, layout: str) -> None:
        path = _weights(tmp_path, layout)
        expected = load_sae(str(tmp_path)).fingerprint
        torch.save(load_file(path), path.with_suffix(".pt"))
        path.unlink()
        assert load_sae(str(tmp_path)).fingerprint == expected

    def test_a_pickle_that_would_run_code_is_refused(self, tmp_path: Path, layout: str) -> None:
        path = _weights(tmp_path, layout)
        path.unlink()
        mark = tmp_path / "ran"
        path.with_suffix(".pt").write_bytes(pickle.dumps(_Trap(str(mark))))
        assert "pickle" in refused(tmp_path)
        assert not mark.exists()


class _Trap:
    """Unpickling this creates a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


# --- model, releases, imports ------------------------------------------------------------------


def test_check_fits(tmp_path: Path) -> None:
    tiny_topk_saelens(tmp_path)
    sae = inspect_sae(str(tmp_path))
    model = ModelConfig("m", tmp_path, 3, 32, 64, 100, "float32", None, True)
    check_fits(sae, model)
    with pytest.raises(SAESourceError, match="width 32, but m is 48 wide"):
        check_fits(sae, replace(model, d_model=48))
    with pytest.raises(HookError, match="it has 2 layers, 0 to 1"):
        check_fits(sae, replace(model, n_layers=2))


def test_check_fits_what_a_transcoder_predicts(tmp_path: Path) -> None:
    tiny_saelens(
        tmp_path,
        architecture="transcoder",
        hook="blocks.1.mlp.hook_in",
        metadata={"hook_name_out": "blocks.2.hook_mlp_out", "model_name": "me/small"},
        d_out=24,
        apply_b_dec_to_input=False,
    )
    sae = inspect_sae(str(tmp_path))
    model = ModelConfig("m", tmp_path, 3, 32, 64, 100, "float32", None, True)
    with pytest.raises(SAESourceError, match=r"predicts vectors of width 24, but m is 32 .*small"):
        check_fits(sae, model)
    check_fits(replace(sae, d_out=32), model)
    with pytest.raises(HookError, match=r"blocks\.2\.hook_mlp_out does not exist .*me/small"):
        check_fits(replace(sae, d_out=32), replace(model, n_layers=2))


def test_releases_are_found_without_parsing_them_all() -> None:
    names = release_names()
    assert len(names) >= 150
    assert len(set(names)) == len(names)
    release = find_release("gpt2-small-res-jb")
    assert release is not None
    assert release.repo_id == "jbloom/GPT2-Small-SAEs-Reformatted"
    assert release.conversion is None
    assert release.overrides["model_from_pretrained_kwargs"] == {"center_writing_weights": True}
    assert "blocks.8.hook_resid_pre" in release.saes
    assert find_release("no-such-release") is None
    assert find_release("gpt2-small-res") is None
    last = find_release(names[-1])
    assert last is not None
    assert last.saes


def test_a_release_lists_its_saes() -> None:
    with pytest.raises(SAESourceError, match=r"needs an sae_id; it holds .* in all"):
        inspect_sae("gpt2-small-res-jb")
    with pytest.raises(SAESourceError, match="has no SAE 'x'"):
        inspect_sae("gpt2-small-res-jb", "x")


def test_inspecting_imports_no_torch(tmp_path: Path) -> None:
    tiny_sparsify(tmp_path / "a", 2)
    tiny_topk_saelens(tmp_path / "b")
    script = (
        "import sys\n"
        "from autointerp_core.sources.sae import inspect_sae\n"
        "from autointerp_core.sources.releases import find_release\n"
        f"print(inspect_sae({str(tmp_path / 'a')!r}, {HOOK!r}).d_sae)\n"
        f"print(inspect_sae({str(tmp_path / 'b')!r}).d_sae)\n"
        "find_release('gpt2-small-res-jb')\n"
        "print(sorted({'torch', 'transformers', 'sae_lens', 'datasets'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:3] == ["64", "64", "[]"]
