"""Every published layout against the class that owns it, and every way a layout can be wrong."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp_core.errors import AutointerpError, SAESourceError
from autointerp_core.sources.layouts import LAYOUTS
from autointerp_core.sources.sae import LoadedSAE, inspect_sae, load_sae
from benchmarks import published_saes as published
from benchmarks.published_saes import Published, Wanted

LAYER = 1
D_IN, D_OUT = 32, 24


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def wanted(reads: str = "hook_resid_post", *, d_out: int = D_IN, **changes: Any) -> Wanted:
    return Wanted(LAYER, D_IN, d_out, reads, **changes)


def agrees(made: Published, *, reconstructs: bool = True) -> LoadedSAE:
    """Load it and compare activations and reconstruction with the reference; returns it."""
    loaded = load_sae(made.path, made.sae_id)
    torch.manual_seed(0)
    x = torch.randn(300, D_IN) + 0.2
    expected = made.encode(x)
    acts = loaded.sae.encode(x)
    assert acts.dtype == torch.float32
    assert ((acts != 0) == (expected != 0)).all()
    # Neither everything nor nothing fires: a rule that is left out would show.
    assert 0.02 < float((expected != 0).float().mean()) < 0.95
    torch.testing.assert_close(acts, expected, rtol=1e-5, atol=1e-5)
    if reconstructs:
        torch.testing.assert_close(
            loaded.reconstruct(x, acts), made.reconstruct(x), rtol=1e-4, atol=1e-4
        )
    some = [5, 3, 60]
    torch.testing.assert_close(loaded.encoder(some)(x), expected[:, some], rtol=1e-5, atol=1e-5)
    return loaded


def refused(path: Path | str, sae_id: str | None = None) -> str:
    """Loading fails with one line; returns it."""
    with pytest.raises(SAESourceError) as caught:
        load_sae(str(path), sae_id)
    message = str(caught.value)
    assert "\n" not in message
    assert isinstance(caught.value, AutointerpError)
    return message


# --- SAELens -----------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", published.SAELENS_ARCHITECTURES)
def test_saelens(tmp_path: Path, architecture: str) -> None:
    transcoder = architecture.endswith("transcoder")
    made = published.saelens(
        tmp_path / "sae", wanted(d_out=D_OUT if transcoder else D_IN), architecture
    )
    loaded = agrees(made)
    assert (loaded.config.layout, loaded.config.architecture) == ("saelens", architecture)
    assert loaded.predicts_output is transcoder
    if transcoder:
        assert loaded.hook_out is not None
        assert loaded.hook_out.name == f"blocks.{LAYER}.hook_mlp_out"
        assert loaded.config.d_out == D_OUT
    else:
        assert loaded.hook_out is None


@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu", "gated", "abstopk"])
@pytest.mark.parametrize("normalize", ["layer_norm", "constant_norm_rescale"])
def test_saelens_normalisation(tmp_path: Path, architecture: str, normalize: str) -> None:
    agrees(published.saelens(tmp_path, wanted(), architecture, normalize_activations=normalize))


@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu", "gated", "abstopk"])
def test_saelens_without_b_dec_in_the_input(tmp_path: Path, architecture: str) -> None:
    loaded = agrees(published.saelens(tmp_path, wanted(), architecture, apply_b_dec_to_input=False))
    assert any("b_dec is not subtracted" in note for note in loaded.config.unusual)


@pytest.mark.parametrize("architecture", ["topk", "abstopk"])
def test_saelens_rescaled_by_decoder_norms(tmp_path: Path, architecture: str) -> None:
    agrees(published.saelens(tmp_path, wanted(), architecture, rescale_acts_by_decoder_norm=True))


@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu"])
def test_heads_of_hook_z_come_side_by_side(tmp_path: Path, architecture: str) -> None:
    made = published.saelens(
        tmp_path, wanted("attn.hook_z"), architecture, reshape_activations="hook_z"
    )
    loaded = agrees(made)
    assert loaded.config.hook.name == f"blocks.{LAYER}.attn.hook_z"


def test_signed_activations_keep_their_sign(tmp_path: Path) -> None:
    loaded = agrees(published.saelens(tmp_path, wanted(), "abstopk"))
    acts = loaded.sae.encode(torch.randn(50, D_IN))
    assert loaded.config.signed
    assert bool((acts < 0).any())
    assert bool(((acts != 0).sum(-1) == published.K).all())


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated", "topk"])
def test_a_scaling_that_lies_beside_a_checkpoint_is_folded(
    tmp_path: Path, architecture: str
) -> None:
    made = published.saelens(
        tmp_path, wanted(), architecture, normalize_activations="expected_average_only_in"
    )
    assert "scaling" in refused(tmp_path)
    (tmp_path / "activation_scaler.json").write_text('{"scaling_factor": 0.37}')
    loaded = load_sae(str(tmp_path))
    x = torch.randn(100, D_IN)
    expected = made.encode(x * 0.37)
    torch.testing.assert_close(loaded.sae.encode(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        loaded.reconstruct(x, expected), made.reconstruct(x * 0.37) / 0.37, rtol=1e-4, atol=1e-4
    )


def test_a_whitening_that_lies_beside_a_checkpoint_is_folded(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    made = published.saelens(
        tmp_path, wanted(), "standard", normalize_activations="covariance_whitening"
    )
    assert "scaling" in refused(tmp_path)
    torch.manual_seed(1)
    matrix = torch.eye(D_IN) + 0.05 * torch.randn(D_IN, D_IN)
    mean = 0.3 * torch.randn(D_IN)
    save_file(
        {"mean": mean, "matrix": matrix, "inverse_matrix": torch.linalg.inv(matrix).contiguous()},
        tmp_path / "activation_whitening.safetensors",
    )
    x = torch.randn(100, D_IN)
    torch.testing.assert_close(
        load_sae(str(tmp_path)).sae.encode(x),
        made.encode((x - mean) @ matrix),
        rtol=1e-4,
        atol=1e-4,
    )


# --- the others --------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", published.SPARSIFY_ARCHITECTURES)
@pytest.mark.parametrize("module", ["layers.1", "layers.1.mlp", "layers.1.attention"])
def test_sparsify(tmp_path: Path, architecture: str, module: str) -> None:
    loaded = agrees(published.sparsify(tmp_path, wanted(), architecture, module))
    transcoder = architecture.endswith("transcoder")
    assert loaded.predicts_output is transcoder
    names = {
        ("layers.1", False): ("blocks.1.hook_resid_post", None),
        ("layers.1", True): ("blocks.1.hook_resid_pre", "blocks.1.hook_resid_post"),
        ("layers.1.mlp", False): ("layers.1.mlp.output", None),
        ("layers.1.mlp", True): ("blocks.1.mlp.hook_in", "layers.1.mlp.output"),
        ("layers.1.attention", False): ("layers.1.attention.output", None),
        ("layers.1.attention", True): ("layers.1.attention.input", "layers.1.attention.output"),
    }
    out = loaded.hook_out.name if loaded.hook_out else None
    assert (loaded.config.hook.name, out) == names[module, transcoder]


def test_sparsify_embedding_and_seeds(tmp_path: Path) -> None:
    made = published.sparsify(tmp_path / "a", wanted("hook_embed"), "topk", "embed_tokens")
    assert agrees(made).config.hook.name == "hook_embed"
    made = published.sparsify(tmp_path / "b", wanted(), "topk", "layers.1/seed0")
    assert agrees(made).config.hook.name == "blocks.1.hook_resid_post"


def test_saelens_reads_a_sparsify_skip_connection_as_none(tmp_path: Path) -> None:
    """Where its loader is wrong: it also transposes the decoder and asks for bfloat16."""
    from sae_lens.loading.pretrained_sae_loaders import sparsify_disk_loader

    made = published.sparsify(tmp_path, wanted(), "topk_skip", "layers.1")
    _, state = sparsify_disk_loader(tmp_path / "layers.1")
    assert "W_skip" not in state
    assert tuple(state["W_dec"].shape) == (D_IN, published.D_SAE)
    agrees(made)


@pytest.mark.parametrize("kind", published.DICTIONARY_CLASSES)
def test_dictionary_learning(tmp_path: Path, kind: str) -> None:
    made = published.dictionary_learning(tmp_path / "trainer_0", wanted(), kind)
    config = agrees(made).config
    assert (config.layout, config.hook.name) == ("dictionary_learning", "blocks.1.hook_resid_post")
    assert (config.model_name, config.context_size) == ("tiny", 128)


def test_saelens_loader_leaves_out_the_decoder_bias_of_the_new_class(tmp_path: Path) -> None:
    """Where SAELens' loader is wrong: ``AutoEncoderNew`` has its bias in ``decoder.bias``."""
    from unittest.mock import patch

    from sae_lens.loading import pretrained_sae_loaders as loaders

    made = published.dictionary_learning(tmp_path, wanted(), "AutoEncoderNew")
    with patch.object(
        loaders,
        "hf_hub_download",
        lambda repo_id, filename, **_: str(tmp_path / Path(filename).name),
    ):
        config, state, _ = loaders.dictionary_learning_sae_huggingface_loader_1("any", "x")
    assert state["b_dec"] is None
    assert config["apply_b_dec_to_input"] is True
    agrees(made)


@pytest.mark.parametrize(
    ("submodule", "io", "hook"),
    [
        ("resid_post_layer_1", "out", "blocks.1.hook_resid_post"),
        (None, "out", "blocks.1.hook_resid_post"),
        ("resid_post_layer_1", "in", "blocks.1.hook_resid_pre"),
        ("mlp_layer_1", "out", "layers.1.mlp.output"),
        ("mlp_layer1", "in", "blocks.1.mlp.hook_in"),
        ("attention_layer_1", "out", "layers.1.attention.output"),
    ],
)
def test_dictionary_learning_submodules(
    tmp_path: Path, submodule: str | None, io: str, hook: str
) -> None:
    published.dictionary_learning(tmp_path, wanted(), "AutoEncoder")
    path = tmp_path / "config.json"
    raw = json.loads(path.read_text())
    raw["trainer"]["submodule_name"] = submodule
    raw["buffer"]["io"] = io
    path.write_text(json.dumps(raw))
    assert inspect_sae(str(tmp_path)).hook.name == hook


@pytest.mark.parametrize(
    ("site", "reads", "hook"),
    [
        ("res", "hook_resid_post", "blocks.1.hook_resid_post"),
        ("mlp", "hook_mlp_out", "blocks.1.hook_mlp_out"),
        ("att", "attn.hook_z", "blocks.1.attn.hook_z"),
        ("transcoders", "ln2.hook_normalized", "blocks.1.ln2.hook_normalized"),
        ("embedding", "hook_embed", "hook_embed"),
    ],
)
def test_gemma_scope(tmp_path: Path, site: str, reads: str, hook: str) -> None:
    made = published.gemma_scope(tmp_path, wanted(reads), site)
    config = agrees(made, reconstructs=site != "embedding").config
    assert (config.hook.name, config.model_name) == (hook, "google/gemma-2-2b")
    assert config.recorded_l0 == 71
    if site == "transcoders":
        assert config.hook_out is not None
        assert config.hook_out.name == "blocks.1.hook_mlp_out"


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("config", [False, True])
@pytest.mark.parametrize("site", ["resid_post", "attn_out", "mlp_out", "transcoder"])
def test_gemma_scope_2(tmp_path: Path, site: str, affine: bool, config: bool) -> None:
    affine = affine and site == "transcoder"
    made = published.gemma_scope_2(tmp_path, wanted(), site, affine=affine, config=config)
    found = agrees(made).config
    assert found.model_name == "google/gemma-3-1b-pt"
    assert (
        found.hook.name
        == {
            "resid_post": "blocks.1.hook_resid_post",
            "attn_out": "blocks.1.attn.hook_z",
            "mlp_out": "blocks.1.hook_mlp_out",
            "transcoder": "blocks.1.mlp.hook_in",
        }[site]
    )
    if site == "transcoder":
        assert found.hook_out is not None
        assert found.hook_out.name == "blocks.1.hook_mlp_out"
        assert found.architecture == f"jumprelu{'_skip' if affine else ''}_transcoder"


def test_gemma_scope_2_cross_layer(tmp_path: Path) -> None:
    made = published.gemma_scope_2(tmp_path, wanted(), "transcoder", cross_layer=True)
    config = agrees(made).config
    assert config.reconstructs is False
    assert any("cross-layer" in note for note in config.unusual)


@pytest.mark.parametrize("activation", ["relu", "jumprelu", "topk"])
@pytest.mark.parametrize("norm", ["dataset-wise", "token-wise", "inference"])
@pytest.mark.parametrize("by_norm", [True, False])
def test_llamascopium(tmp_path: Path, activation: str, norm: str, by_norm: bool) -> None:
    made = published.llamascopium(tmp_path, wanted(), activation, norm=norm, by_norm=by_norm)
    assert agrees(made).config.layout == "openmoss"


@pytest.mark.parametrize("activation", ["relu", "jumprelu", "topk"])
def test_llamascopium_transcoder(tmp_path: Path, activation: str) -> None:
    made = published.llamascopium(tmp_path, wanted("mlp.hook_in"), activation, transcoder=True)
    loaded = agrees(made)
    assert loaded.hook_out is not None
    assert loaded.hook_out.name == "blocks.1.hook_mlp_out"


@pytest.mark.parametrize("r1", [False, True])
def test_llama_scope(tmp_path: Path, r1: bool) -> None:
    agrees(published.llama_scope(tmp_path, wanted(), r1=r1))


@pytest.mark.parametrize("linear", ["_linear", ""])
def test_goodfire(tmp_path: Path, linear: str) -> None:
    config = agrees(published.goodfire(tmp_path, wanted(), linear=linear)).config
    assert config.model_name == "meta-llama/Llama-3.1-8B-Instruct"
    assert config.hook.name == "blocks.1.hook_resid_post"


def test_qwen_scope(tmp_path: Path) -> None:
    config = agrees(published.qwen_scope(tmp_path, wanted())).config
    assert (config.k, config.model_name) == (published.K, "Qwen/Qwen3-8B-Base")


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("jump", [False, True])
def test_transcoder_sets(tmp_path: Path, jump: bool, skip: bool) -> None:
    made = published.transcoder_set(tmp_path, wanted("mlp.hook_in"), jump=jump, skip=skip)
    loaded = agrees(made)
    assert loaded.config.hook.name == "blocks.1.mlp.hook_in"
    assert loaded.hook_out is not None


@pytest.mark.parametrize("jump", [False, True])
def test_cross_layer_transcoders_by_layer(tmp_path: Path, jump: bool) -> None:
    made = published.cross_layer(tmp_path, wanted("hook_resid_mid"), jump=jump)
    config = agrees(made).config
    assert config.hook.name == "blocks.1.hook_resid_mid"
    assert config.reconstructs is False
    assert inspect_sae(str(tmp_path), "W_enc_2").hook.layer == 2
    assert inspect_sae(str(tmp_path), "blocks.0.hook_resid_mid").hook.layer == 0


# --- what can be wrong -------------------------------------------------------------------------


def test_an_unknown_layout_lists_what_is_there_and_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    message = refused(tmp_path)
    assert "model.onnx" in message
    assert all(layout.files in message for layout in LAYOUTS.values())
    assert "Supported are" in refused(tmp_path / "model.onnx")


def test_a_folder_with_two_layouts(tmp_path: Path) -> None:
    published.saelens(tmp_path, wanted(), "standard")
    published.dictionary_learning(tmp_path, wanted(), "AutoEncoder")
    message = refused(tmp_path)
    assert "saelens" in message
    assert "dictionary_learning" in message
    # In different folders they are two SAEs, and one of them is asked for.
    published.saelens(tmp_path / "two/a", wanted(), "standard")
    published.dictionary_learning(tmp_path / "two/b", wanted(), "AutoEncoder")
    assert "several" in refused(tmp_path / "two")
    assert inspect_sae(str(tmp_path / "two"), "b").layout == "dictionary_learning"


@pytest.mark.parametrize("kind", ["saelens", "set", "sparsify"])
def test_a_transcoder_without_its_target(tmp_path: Path, kind: str) -> None:
    if kind == "saelens":
        published.saelens(tmp_path, wanted(), "transcoder")
        path = tmp_path / "cfg.json"
        raw = json.loads(path.read_text())
        del raw["metadata"]["hook_name_out"]
        path.write_text(json.dumps(raw))
        message = refused(tmp_path)
    elif kind == "set":
        published.transcoder_set(tmp_path, wanted("mlp.hook_in"))
        (tmp_path / "config.yaml").unlink()
        message = refused(tmp_path, "layer_1")
        assert "sae_id" in message  # nothing says where it reads, either
        (tmp_path / "config.yaml").write_text("feature_input_hook: mlp.hook_in\n")
        message = refused(tmp_path, "layer_1")
    else:
        published.sparsify(tmp_path, wanted(), "topk_transcoder", "layers.1.mlp")
        (tmp_path / "layers.1.mlp").rename(tmp_path / "mine")
        message = refused(tmp_path / "mine", "blocks.1.mlp.hook_in")
    assert "transcoder" in message
    assert "predicts" in message


class _Trap:
    """Unpickling this creates a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


Writer = Callable[[Path], Published]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: published.dictionary_learning(path, wanted(), "AutoEncoder"),
        lambda path: published.goodfire(path, wanted()),
        lambda path: published.qwen_scope(path, wanted()),
    ],
)
def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, write: Writer) -> None:
    made = write(tmp_path)
    mark = tmp_path / "ran"
    for path in [*tmp_path.rglob("*.pt"), *tmp_path.rglob("*.pth")]:
        path.write_bytes(pickle.dumps({"encoder.weight": _Trap(str(mark))}))
    assert "pickle" in refused(made.path, made.sae_id)
    assert not mark.exists()


def test_a_temporal_sae_is_refused_by_name(tmp_path: Path) -> None:
    published.saelens(tmp_path / "a", wanted(), "standard")
    path = tmp_path / "a/cfg.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "architecture": "temporal"}))
    assert "temporal" in refused(tmp_path / "a")
    own = tmp_path / "layer_12" / "temporal"
    own.mkdir(parents=True)
    (own / "conf.yaml").write_text("llm: {dimin: 32}")
    (own / "latest_ckpt.safetensors").write_bytes(b"")
    message = refused(own)
    assert "temporal" in message
    assert "whole sequences" in message


def test_metadata_that_is_a_string(tmp_path: Path) -> None:
    published.saelens(tmp_path, wanted(), "standard")
    path = tmp_path / "cfg.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "metadata": "gpt2, layer 8"}))
    message = refused(tmp_path)
    assert "'metadata'" in message
    assert "str" in message


@pytest.mark.parametrize("name", ["params.npz", "params.safetensors", "layer_1.safetensors"])
def test_damaged_headers(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    message = refused(tmp_path, "blocks.1.hook_resid_post" if name.startswith("params") else name)
    assert "damaged" in message


def test_a_qwen_scope_file_needs_its_repository_name(tmp_path: Path) -> None:
    made = published.qwen_scope(tmp_path, wanted())
    Path(made.path).rename(tmp_path / "mine")
    assert "L0_" in refused(tmp_path / "mine")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"sae_type": "clt"}, "clt"),
        ({"act_fn": "batchtopk"}, "batchtopk"),
        ({"use_glu_encoder": True}, "GLU"),
        ({"norm_activation": "batch-wise"}, "batch-wise"),
        ({"d_model": None}, "d_model"),
    ],
)
def test_what_llamascopium_has_and_we_cannot_use(
    tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    published.llamascopium(tmp_path, wanted(), "relu")
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert word in refused(tmp_path)


def test_an_average_norm_that_is_missing(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    published.llamascopium(tmp_path, wanted(), "relu")
    path = tmp_path / "sae_weights.safetensors"
    save_file({k: v for k, v in load_file(path).items() if "norm" not in k}, path)
    assert "average norm" in refused(tmp_path)


def test_an_unknown_dictionary_class(tmp_path: Path) -> None:
    published.dictionary_learning(tmp_path, wanted(), "AutoEncoder")
    path = tmp_path / "config.json"
    raw = json.loads(path.read_text())
    raw["trainer"]["dict_class"] = "CrossCoder"
    path.write_text(json.dumps(raw))
    message = refused(tmp_path)
    assert "CrossCoder" in message
    assert "AutoEncoderTopK" in message
    (tmp_path / "config.json").write_text("{}")
    assert "trainer" in refused(tmp_path)
