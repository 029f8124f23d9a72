"""The command line: bad input is one line and exit 2, good input is two valid files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from safetensors.torch import load_file, save_file

from autointerp_core.cli import main
from autointerp_core.export.result_files import schema
from autointerp_core.store.study import Study
from tests.core.extraction_fixtures import D_SAE, HOOK, Tiny, data_files, make_tiny
from tests.core.tiny import edit_json, tiny_llama, tiny_topk_saelens

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = make_tiny(tmp_path_factory.mktemp("tiny"), n_documents=30)
    torch.set_num_threads(threads)
    return made


def _arguments(tiny: Tiny, output: Path, **changes: str | None) -> list[str]:
    flags: dict[str, str | None] = {
        "feature-indices": "3,7,11",
        "model-path": str(tiny.model),
        "sae-path": str(tiny.saelens),
        "sae-id": HOOK,
        "dataset-path": str(tiny.dataset),
        "output-dir": str(output),
        "label-provider": "none",
        "context-size": "24",
        "device": "cpu",
    }
    flags |= {name.replace("_", "-"): value for name, value in changes.items()}
    return ["label", *(f"--{name}={value}" for name, value in flags.items() if value is not None)]


# Each case breaks one thing and says what the error must name.
def _json(tmp: Path, content: Any) -> str:
    path = tmp / "features.json"
    path.write_text(json.dumps(content))
    return str(path)


def _broken_sae(tmp: Path, **config: Any) -> str:
    folder = tiny_topk_saelens(tmp / "sae", hook=HOOK)
    edit_json(next(folder.rglob("cfg.json")), **config)
    return str(folder)


def _odd_weights(tmp: Path) -> str:
    folder = tiny_topk_saelens(tmp / "sae", hook=HOOK)
    path = next(folder.rglob("*.safetensors"))
    weights = load_file(path)
    weights["W_enc"] = weights["W_enc"][:, :-1].contiguous()
    save_file(weights, path)
    return str(folder)


def _pickled(tmp: Path) -> str:
    folder = tiny_topk_saelens(tmp / "sae", hook=HOOK)
    next(folder.rglob("*.safetensors")).unlink()
    config = next(folder.rglob("cfg.json")).parent
    (config / "sae.pt").write_bytes(b"\x80\x04cposix\nsystem\n.")
    return str(folder)


def _one_token_sae(tmp: Path) -> str:
    metadata = {"context_size": 1, "prepend_bos": True}
    return str(tiny_topk_saelens(tmp / "one", hook=HOOK, metadata=metadata))


def _without_template(tmp: Path) -> str:
    folder = tiny_llama(tmp / "plain")
    for path in folder.glob("*.jinja"):
        path.unlink()
    edit_json(folder / "tokenizer_config.json", chat_template=None)
    return str(folder)


def _file(tmp: Path, name: str, content: str) -> str:
    path = tmp / name
    path.write_text(content)
    return str(path)


Case = Callable[[Path], dict[str, str | None]]
BAD: dict[str, tuple[Case, str]] = {
    "out of range": (lambda t: {"feature_indices": "3,64,99"}, "64, 99.*0 to 63"),
    "negative": (lambda t: {"feature_indices": "-1"}, "-1.*0 to 63"),
    "not a number": (lambda t: {"feature_indices": "3,x"}, "'x' is not a feature number"),
    "empty list": (lambda t: {"feature_indices": ""}, "empty"),
    "JSON without indices": (
        lambda t: {"feature_indices": _json(t, {"scores": [1]})},
        "feature_indices",
    ),
    "JSON scores length": (
        lambda t: {"feature_indices": _json(t, {"feature_indices": [1, 2], "scores": [1]})},
        "2 feature indices but 1 scores",
    ),
    "JSON missing": (lambda t: {"feature_indices": str(t / "no.json")}, "no features file"),
    "JSON malformed": (lambda t: {"feature_indices": _file(t, "f.json", "{")}, "JSON"),
    "SAE without config": (lambda t: {"sae_path": str(t)}, "cfg.json"),
    "SAE without layer": (lambda t: {"sae_id": "blocks.3.hook_resid_post"}, "blocks"),
    "SAE weights disagree": (lambda t: {"sae_path": _odd_weights(t)}, "W_enc"),
    "SAE pickled": (lambda t: {"sae_path": _pickled(t)}, "pickle|unpickl"),
    "sae_id no hook": (
        lambda t: {"sae_path": _broken_sae(t), "sae_id": "layer nineteen"},
        "layer nineteen",
    ),
    "SAE width": (
        lambda t: {"sae_path": str(tiny_topk_saelens(t / "w", d_in=48, hook=HOOK))},
        "48.*32|32.*48",
    ),
    "layer beyond": (
        lambda t: {
            "sae_path": str(tiny_topk_saelens(t / "b", hook="blocks.9.hook_resid_post")),
            "sae_id": "blocks.9.hook_resid_post",
        },
        "9",
    ),
    "unknown column": (lambda t: {"column_name": "body"}, "body.*text"),
    "no text": (
        lambda t: {"dataset_path": _file(t, "e.jsonl", '{"text": ""}\n{"text": null}\n')},
        "text",
    ),
    "dataset missing": (lambda t: {"dataset_path": str(t / "no.jsonl")}, "no.jsonl"),
    "dataset on hub": (lambda t: {"dataset_path": "nobody/nothing"}, "nobody/nothing"),
    "model missing": (lambda t: {"model_path": str(t / "nowhere")}, "nowhere"),
    "model on hub": (lambda t: {"model_path": "nobody/nothing"}, "nobody/nothing"),
    "output is a file": (lambda t: {"output_dir": _file(t, "out", "") + "/x"}, "not a folder"),
    "provider": (lambda t: {"label_provider": "magic"}, "magic.*local"),
    "engine": (lambda t: {"engine": "steam"}, "steam.*native"),
    "device": (lambda t: {"device": "tpu9"}, "tpu9"),
    "dtype": (lambda t: {"dtype": "float3"}, "float3"),
    "label method": (lambda t: {"label_method": "best"}, "best.*peaks.*ranked"),
    "scoring": (lambda t: {"scoring": "vibes"}, "vibes.*embedding, detection, fuzzing"),
    "candidates": (lambda t: {"candidates": "0"}, "candidates is 0"),
    "budget of 0": (lambda t: {"budget_tokens": "0"}, "budget is 0"),
    "money without price": (lambda t: {"budget_dollars": "5"}, "needs a? ?price"),
    "half a price": (lambda t: {"price_in": "0.5"}, "give both prices"),
    "no key": (
        lambda t: {"label_provider": "openai", "label_model_path": "gpt"},
        "no API key: set OPENAI_API_KEY",
    ),
    "judge model": (
        lambda t: {
            "label_provider": "none",
            "scoring": "all",
            "judge_provider": "local",
            "judge_model_path": str(t / "judge"),
        },
        "judge",
    ),
    "label model": (
        lambda t: {"label_provider": "local", "label_model_path": str(t / "nowhere")},
        "nowhere",
    ),
    "nobody to judge": (lambda t: {"label_provider": "none", "scoring": "fuzzing"}, "judge"),
    "rows": (lambda t: {"n_samples": "0"}, "--n-samples"),
    "range backwards": (lambda t: {"feature_indices": "9-5"}, "5-9"),
    "JSON nested deeply": (
        lambda t: {"feature_indices": _file(t, "f.json", "[" * 50_000 + "]" * 50_000)},
        "nested too deeply",
    ),
    "score of 400 digits": (
        lambda t: {
            "feature_indices": _json(t, {"feature_indices": [1], "scores": [int("9" * 400)]})
        },
        "feature 1 is not finite",
    ),
    "output name too long": (lambda t: {"output_dir": str(t / ("x" * 300))}, "300 bytes.*255"),
    "no template": (
        lambda t: {
            "model_path": _without_template(t),
            "dataset_path": _file(t, "c.jsonl", '{"messages": [{"role": "user", "content": "a"}]}'),
            "column_name": "messages",
        },
        "no chat template",
    ),
    "roles of texts": (lambda t: {"chat_roles": "assistant"}, "--chat-roles"),
    "no such role": (lambda t: {"chat_roles": "user;"}, "no role"),
    "two columns of one name": (
        lambda t: {"dataset_path": _file(t, "c.csv", "text,text\na,b\n")},
        "'text' more than once",
    ),
    "no room beside BOS": (
        lambda t: {"sae_path": _one_token_sae(t), "sae_id": None, "context_size": None},
        "no room for a token",
    ),
    "scores length": (lambda t: {"feature_scores": "1,2"}, "3 feature indices but 2 scores"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_exit_2_and_nothing_written(
    name: str,
    tiny: Tiny,
    tmp_path: Path,
    own_home: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    make, message = BAD[name]
    output = tmp_path / "results"
    arguments = _arguments(tiny, output, **make(tmp_path))
    capfd.readouterr()
    assert main(arguments) == 2
    last = capfd.readouterr().err.rstrip("\n").rsplit("\n", 1)[-1]
    assert last.startswith("error: ")
    assert re.search(message, last), last
    assert not output.exists()
    assert not (own_home / "studies").exists()


@pytest.mark.slow
def test_label_writes_valid_files(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "deep" / "results"
    arguments = _arguments(tiny, output, feature_indices="7,3,11,3", feature_scores="1,2,3,4")
    assert main(arguments) == 0
    lines = [json.loads(x) for x in (output / "feature_examples.jsonl").read_text().splitlines()]
    labels = json.loads((output / "feature_labels.json").read_text())
    for line in lines:
        jsonschema.validate(line, schema("feature_examples"))
        for example in line["examples"]:
            assert "".join(example["tokens"]) == example["text"]
            assert example["activation"] == example["values"][example["peak_index"]]
    jsonschema.validate(labels, schema("feature_labels"))
    assert [line["feature_id"] for line in lines] == [7, 3, 11]
    assert [line["score"] for line in lines] == [1, 2, 3]
    assert labels["num_features"] == 3
    printed = capfd.readouterr().out
    assert str(output / "feature_labels.json") in printed


@pytest.mark.slow
def test_all_features(tiny: Tiny, tmp_path: Path) -> None:
    assert main(_arguments(tiny, tmp_path / "a", feature_indices="all")) == 0
    labels = json.loads((tmp_path / "a" / "feature_labels.json").read_text())
    assert labels["num_features"] == D_SAE


@pytest.mark.slow
def test_full_disk_leaves_no_half_file(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A real full disk: one shard's write meets ENOSPC, then the rerun goes on."""
    import errno

    from autointerp_core.store import feature_shards
    from autointerp_core.store.files import write_bytes

    def full(path: Path, data: bytes) -> None:
        if path.name == "00001.safetensors":
            with pytest.MonkeyPatch.context() as patch:

                def no_space(*_: object) -> None:
                    raise OSError(errno.ENOSPC, "No space left on device")

                patch.setattr("autointerp_core.store.files.os.fsync", no_space)
                return write(path, data)
        return write(path, data)

    write = write_bytes
    monkeypatch.setattr(feature_shards, "write_bytes", full)
    for module in ("firings", "native", "summary"):
        monkeypatch.setattr(f"autointerp_core.extraction.{module}.REFERENCE_SEQUENCES", 4)
    output = tmp_path / "results"
    assert main(_arguments(tiny, output)) == 1
    assert "disk is full" in capfd.readouterr().err.rstrip("\n").rsplit("\n", 1)[-1]
    assert not output.exists()
    studies = Path(os.environ["AUTOINTERP_HOME"]) / "studies"
    assert not list(studies.rglob("*.tmp"))
    monkeypatch.setattr(feature_shards, "write_bytes", write)
    assert main(_arguments(tiny, output)) == 0


@pytest.mark.slow
def test_shell_script_in_a_process_of_its_own(tiny: Tiny, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "MODEL_PATH": str(tiny.model),
        "DATASET_PATH": str(tiny.dataset),
        "OUTPUT_DIR": str(tmp_path / "out"),
        "N_SAMPLES": "20",
        "MAX_EXAMPLES": "3",
    }
    script = ["bash", str(ROOT / "run_llama_labeling.sh")]
    done = subprocess.run(
        [*script, "3,7,11", str(tiny.sparsify), HOOK],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    labels = json.loads((tmp_path / "out" / "feature_labels.json").read_text())
    jsonschema.validate(labels, schema("feature_labels"))
    study = Study(Path(done.stdout.split("study ")[1].splitlines()[0]))
    assert study.info.sae.layout == "sparsify"
    before = data_files(study.folder)
    failed = subprocess.run(
        [*script, "3,64", str(tiny.sparsify), HOOK],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 2
    assert failed.stderr.strip().splitlines()[-1].startswith("error: features out of range: 64")
    assert data_files(study.folder) == before


def test_shell_script_without_an_sae_says_what_to_give(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", str(ROOT / "run_llama_labeling.sh")],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if k != "SAE_PATH"},
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "demo" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == [tmp_path / "home"] or list(tmp_path.iterdir()) == []


def test_every_parameter_has_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    import inspect

    from autointerp_core import run_labeling

    assert main(["label", "--help"]) == 0
    text = capsys.readouterr().out
    for name in set(inspect.signature(run_labeling).parameters) - {"progress"}:
        assert f"--{name.replace('_', '-')}" in text


@pytest.mark.slow
def test_public_names_are_documented_and_lazy() -> None:
    code = (
        "import sys, autointerp_core as a; assert not {'torch','streamlit'} & set(sys.modules);"
        "assert all(getattr(a, n).__doc__ for n in a.__all__); print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "ok", done.stderr


@pytest.mark.slow
def test_no_module_of_the_core_imports_streamlit() -> None:
    code = (
        "import sys, pkgutil, importlib, autointerp_core as a\n"
        "for m in pkgutil.walk_packages(a.__path__, 'autointerp_core.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "print('streamlit' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.slow
def test_export_writes_files_with_decisions_in_them(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import pandas as pd

    from autointerp_core import LabelHistory, list_studies

    assert main(_arguments(tiny, tmp_path / "a")) == 0
    studies = Path(os.environ["AUTOINTERP_HOME"]) / "studies"
    info = list_studies(studies)[0][0]
    with LabelHistory.open() as history:
        history.override(info.sae_fingerprint, 7, "=said by me", author="Ada")
    output = tmp_path / "b"
    assert main(["export", "--study", info.id, "--output-dir", str(output)]) == 0
    labels = json.loads((output / "feature_labels.json").read_text())
    row = next(row for row in labels["features"] if row["feature_index"] == 7)
    assert (row["label"], row["status"]) == ("=said by me", "overridden")
    table = pd.read_parquet(output / "labels.parquet").set_index("feature_index")
    assert table.loc[7, "label"] == "=said by me"
    # A spreadsheet must not run it.
    cell = pd.read_csv(output / "labels.csv").set_index("feature_index").at[7, "label"]
    assert str(cell).startswith("'")
    events = pd.read_parquet(output / "history.parquet")
    assert "Ada" in set(events["author"])
    capfd.readouterr()
    assert main(["export", "--study", "nothing", "--output-dir", str(tmp_path / "c")]) == 1
    assert info.id in capfd.readouterr().err
    assert not (tmp_path / "c").exists()
