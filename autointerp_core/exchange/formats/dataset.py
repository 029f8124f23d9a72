"""A Hugging Face dataset of features, examples, labels, scores and history, with its card.

A folder a table, 1,024 features a file; Parquet with page indices, so that DuckDB and pandas read
single features in place. ``load_dataset(folder, "features")`` works on the folder and, once
pushed, on the repository.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from autointerp_core.errors import OutputError
from autointerp_core.exchange.dataset_tables import SCHEMAS, rows_of
from autointerp_core.exchange.format import Batch, Format, Plan, Scale, Sent
from autointerp_core.exchange.run_names import LOCK, MANIFEST
from autointerp_core.exchange.subject import BLOCK, Subject
from autointerp_core.export.history_file import origin
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.files import atomic_file, write_bytes, write_json

FEATURES_A_FILE = 1024
CARD, ORIGIN = "README.md", "autointerp.json"
_ABOUT: Mapping[str, str] = {
    "features": "a row a feature: label, statistics, logits, neighbours",
    "examples": "a row an example: tokens, with the activation at every token",
    "labels": "a row a text that was proposed or decided, and who said it",
    "scores": "a row a score: a text, a scorer, what it found",
    "history": "a row a label event: what the database holds, with authors and times",
}
_PAGE = 64 * 1024
"""Bytes of a page: what a reader of one feature has to read at least."""


def _plan(subject: Subject) -> Plan:
    scale = Scale(FEATURES_A_FILE, "{:05d}", tuple(f"{name}/{{}}.parquet" for name in SCHEMAS))
    batches = scale.batches(subject.features)
    lines = [f"{name}/: {len(batches)} Parquet files; {_ABOUT[name]}" for name in SCHEMAS]
    lines.append("README.md: the dataset card")
    if subject.config.push_to:
        lines.append(f"then pushed to https://huggingface.co/datasets/{subject.config.push_to}")
    return Plan(batches, (CARD, ORIGIN), tuple(lines))


def _write(subject: Subject, batch: Batch, folder: Path) -> None:
    for name, schema in SCHEMAS.items():
        _table(folder / f"{name}/{batch.name}.parquet", name, schema, subject, batch.features)


def _table(
    path: Path, name: str, schema: pa.Schema, subject: Subject, features: Sequence[int]
) -> None:
    with (
        atomic_file(path) as handle,
        pq.ParquetWriter(
            handle,
            schema,
            compression="zstd",
            write_page_index=True,
            data_page_size=_PAGE,
            data_page_version="2.0",
        ) as writer,
    ):
        for start in range(0, len(features), BLOCK):
            rows = list(rows_of(name, subject, features[start : start + BLOCK]))
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema))


def _close(subject: Subject, _: Plan, folder: Path) -> None:
    info = subject.info
    write_json(folder / ORIGIN, origin(info))
    configs = "\n".join(
        f"- config_name: {name}\n  data_files: {name}/*.parquet"
        + ("\n  default: true" if name == "features" else "")
        for name in SCHEMAS
    )
    tables = "\n".join(f"| `{name}` | {about} |" for name, about in _ABOUT.items())
    card = files(__package__).joinpath("dataset_card.md").read_text("utf-8")
    for key, value in {
        "CONFIGS": configs,
        "TABLES": tables,
        "MODEL": info.model_name,
        "SAE": f"{info.sae_source} (weights {info.sae_fingerprint})",
        "HOOK": info.hook,
        "DATASET": f"{info.dataset_name}, column {info.column}",
        "TOKENS": f"{info.n_counted:,} tokens of {info.n_documents:,} documents",
        "FEATURES": f"{len(subject.features):,} of {info.d_sae:,}",
        "STUDY": subject.study.id,
        "MOMENT": subject.moment,
    }.items():
        card = card.replace(f"${key}", " ".join(value.split()) if key not in _BLOCKS else value)
    write_bytes(folder / CARD, card.encode())


_BLOCKS = ("CONFIGS", "TABLES")


def _send(subject: Subject, _: Plan, folder: Path, progress: ProgressCallback) -> Sent | None:
    repository = subject.config.push_to
    if not repository:
        return None
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    progress(Progress("push", 0, 1, "folders"))
    try:
        api = HfApi()
        api.create_repo(repository, repo_type="dataset", exist_ok=True, private=True)
        api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=folder,
            ignore_patterns=[MANIFEST, LOCK],
            commit_message=f"Features of {subject.info.model_name}",
        )
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise OutputError(
            f"the dataset is written to {folder}, but pushing it to {repository} failed: {reason}; "
            "log in with `hf auth login` and run the same command again"
        ) from error
    progress(Progress("push", 1, 1, "folders"))
    return Sent(f"pushed to https://huggingface.co/datasets/{repository} (private)")


FORMAT = Format(
    name="dataset",
    title="Hugging Face dataset",
    about="features, examples, labels, scores and history as Parquet, with a dataset card",
    plan=_plan,
    write=_write,
    close=_close,
    send=_send,
    settings=("examples", "push_to"),
)
