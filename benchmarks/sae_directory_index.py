"""``python -m benchmarks.sae_directory_index``: what the app's SAE browser knows, made new.

Hook points and architectures are SAELens' own (:mod:`benchmarks.sae_directory`); widths stand in
the names of releases, ids and files. What no name says (models' sizes in ``_MODELS``, widths in
``_SAID``) was put down from general knowledge and checked against no page. Writes the file
beside ``autointerp_core/sources/sae_directory.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq

from autointerp_core.sources.releases import Release, find_release
from autointerp_core.sources.sae_directory import INDEX, SCHEMA, list_digest
from benchmarks.sae_directory import Entry, entries


@dataclass(frozen=True)
class Model:
    """A model's sizes; ``width`` None where it is not known."""

    width: int | None
    layers: int
    billions: float


# By the end of the name, without the words that only say how it was trained on.
_MODELS = {
    "gemma-2-2b": Model(2304, 26, 2.6), "gemma-2-9b": Model(3584, 42, 9.2),
    "gemma-2-27b": Model(4608, 46, 27.2), "gemma-3-270m": Model(640, 18, 0.27),
    "gemma-3-1b": Model(1152, 26, 1.0), "gemma-3-4b": Model(2560, 34, 3.9),
    "gemma-3-12b": Model(3840, 48, 11.8), "gemma-3-27b": Model(5376, 62, 27.0),
    "gemma-2b": Model(2048, 18, 2.5), "pythia-70m-deduped": Model(512, 6, 0.07),
    "gpt2-small": Model(768, 12, 0.124), "llama-3.1-8b": Model(4096, 32, 8.0),
    "deepseek-r1-distill-llama-8b": Model(4096, 32, 8.0), "meta-llama-3-8b": Model(4096, 32, 8.0),
    "llama-3.3-70b": Model(8192, 80, 70.6), "mistral-7b": Model(4096, 32, 7.2),
    "qwen2.5-7b": Model(3584, 28, 7.6), "qwen3-0.6b": Model(1024, 28, 0.6),
    "qwen3-1.7b": Model(2048, 28, 1.7), "qwen3-4b": Model(2560, 36, 4.0),
    "qwen3-8b": Model(4096, 36, 8.2), "qwen3-14b": Model(5120, 40, 14.8),
    "qwen3-30b-a3b": Model(2048, 48, 30.5), "qwen3.5-2b": Model(None, 24, 2.0),
    "qwen3.5-9b": Model(None, 32, 9.0), "qwen3.5-27b": Model(None, 64, 27.0),
    "qwen3.5-35b-a3b": Model(None, 40, 35.0), "gpt-oss-20b": Model(2880, 24, 20.9),
}  # fmt: skip
_THOUSAND, _MILLION = 1024, 1 << 20
# Widths that no name says; see above.
_SAID = {
    "gpt2-small-res-jb": 24_576,
    "gpt2-small-hook-z-kk": 24_576,
    "gpt2-small-mlp-tm": 24_576,
    "gemma-2b-res-jb": 16_384,
    "gemma-2b-it-res-jb": 16_384,
    "pythia-70m-deduped-att-sm": 32_768,
    "pythia-70m-deduped-mlp-sm": 32_768,
    "pythia-70m-deduped-res-sm": 32_768,
    "llama_scope_r1_distill": 32_768,
    "mistral-7b-res-wg": 65_536,
    "goodfire-llama-3.1-8b-instruct": 65_536,
    "goodfire-llama-3.3-70b-instruct": 65_536,
}


@cache
def _release(name: str) -> Release:
    release = find_release(name)
    assert release is not None
    return release


def model_of(name: str | None) -> Model | None:
    """The sizes of a model, by its name in the directory."""
    short = (name or "").rsplit("/", 1)[-1].lower()
    short = re.sub(r"-(it|pt|base|instruct)$", "", short)
    return _MODELS.get(short)


def width_of(release: str, sae_id: str, path: str, model: Model | None) -> int | None:
    """How many features an SAE has, as its names say; None where they do not."""
    if release in _SAID:
        return _SAID[release]
    for text in (sae_id, path, release):
        if found := re.search(r"width[-_]2pow(\d+)", text):
            return 1 << int(found[1])
        if found := re.search(r"width[-_](\d+)([km])\b", text.replace("_l0", " ").lower()):
            return _said(int(found[1]), found[2])
        if found := re.search(r"hook_resid_pre_(\d+)$", text):
            return int(found[1])
    if found := re.search(r"^l\d+[arm]_(\d+)x$", sae_id):
        return model.width * int(found[1]) if model and model.width else None
    if found := re.search(r"-(?:w|v5-)(\d+)k\b", release):
        return _said(int(found[1]), "k")
    return None


def _said(number: int, unit: str) -> int:
    """``65k`` and ``64k`` are both 65,536: names round, widths are powers of two."""
    exact = number * (_THOUSAND if unit == "k" else _MILLION)
    powers = [1 << power for power in range(10, 24)]
    nearest = min(powers, key=lambda power: abs(power - exact))
    return nearest if abs(nearest - exact) < 0.03 * exact else exact


def gigabytes(model: Model | None, layer: int | None, width: int | None) -> float | None:
    """What a study takes: the model up to the hook and the SAE, in float32."""
    if model is None:
        return None
    share = 1.0 if layer is None else min((layer + 1) / model.layers, 1.0)
    sae = 2 * (model.width or 0) * (width or 0) * 4 / 1e9
    return model.billions * 4 * share + sae


def row(entry: Entry) -> dict[str, object]:
    """What the browser shows of an entry."""
    release = _release(entry.release)
    record = release.saes[entry.sae_id]
    name = str(release.model)
    model = model_of(name)
    hook = entry.config.hook if entry.config is not None else None
    layer = hook.layer if hook is not None else None
    width = width_of(entry.release, entry.sae_id, str(record["path"]), model)
    reason = entry.reason or ("" if entry.family else "model family not known here")
    return {
        "release": entry.release,
        "id": entry.sae_id,
        "model": name,
        "hook": hook.name if hook is not None else None,
        "layer": layer,
        "architecture": entry.config.architecture if entry.config is not None else None,
        "d_sae": width,
        "l0": record.get("l0"),
        "gigabytes": gigabytes(model, layer, width),
        "reason": re.split(r"[:;]", reason.removeprefix("it is "))[0] or None,
    }


def build() -> pa.Table:
    """The whole table, with the list it was made from."""
    table = pa.Table.from_pylist([row(entry) for entry in entries()], schema=SCHEMA)
    return table.replace_schema_metadata({"list": list_digest()})


def main() -> None:
    table = build()
    pq.write_table(table, INDEX, compression="zstd", compression_level=19)
    unknown = {name: table[name].null_count for name in table.column_names}
    print(f"{len(table):,} SAEs, {INDEX.stat().st_size:,} bytes; not known: {unknown}")


if __name__ == "__main__":
    main()
