"""The New study form: an SAE, its model, a dataset; checked before anything runs."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from autointerp_core import jobs
from autointerp_core.errors import AutointerpError, BadInput
from autointerp_core.extraction.estimate import estimate
from autointerp_core.feature_request import FeatureRequest
from autointerp_core.home import home
from autointerp_core.sources.releases import release_names
from autointerp_core.store.files import write_bytes
from ui import session
from ui.glossary import about
from ui.marks import marked
from ui.sentences import sentence
from ui.studies import advanced as advanced_settings
from ui.studies import browse, probe

_WHICH = {"all": "All", "list": "A list", "file": "A JSON file"}
_LABELS = {"none": "Search labels only", "local": "Search and LLM labels"}
_PREVIEW = 5
# What an SAE that does not say is taken to have been trained on.
_CONTEXT = 1024
_LEAST_CONTEXT = 2
"""BOS and a token."""


@dataclass
class Started:
    """What came of starting a study, until it was told."""

    told: str = ""


def show() -> None:
    """The form. Each part shows what was found, or what is wrong with it, in its place."""
    with st.container(key="new_study", gap="small"):
        # A box each, so that what one of them finds does not move the others about.
        with st.container(key="new_sae_part", gap="small"):
            sae = _sae()
        with st.container(key="new_model_part", gap="small"):
            model = _model(sae)
        with st.container(key="new_data_part", gap="small"):
            data = _dataset()
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            rows = st.number_input("Rows", 1, None, 1000, key="new_rows", width=140)
            said = int((sae or {}).get("context_size") or _CONTEXT)
            own = said if said > 1 else _CONTEXT
            context = st.number_input(
                "Context size (tokens)",
                _LEAST_CONTEXT,
                None,
                own,
                key=f"new_context_{own}",
                width=200,
                help=about("Context size"),
            )
            labels = st.selectbox(
                "Labels",
                list(_LABELS),
                key="new_labels",
                format_func=_LABELS.__getitem__,
                width=240,
            )
        if said < 2:
            st.text(
                f"The SAE's config says context_size {said}: no room for a token beside BOS. "
                f"{own} is taken unless you give another."
            )
        with st.container(key="new_features_part", gap="small"):
            features, scores, ready = _features(sae)
        try:
            advanced = advanced_settings.show()
        except BadInput as error:
            _wrong(error)
            advanced, ready = {}, False
        if sae is None or data is None or not model:
            st.text("Give an SAE, a model and a dataset; then it can start.")
            return
        with st.container(key="new_estimate"):
            st.text(_estimate(sae, data, features, int(rows), int(context), labels))
        params = {
            "feature_indices": features,
            "feature_scores": scores or None,
            "model_path": model,
            "sae_path": sae["path"],
            "sae_id": sae["id"] or None,
            "dataset_path": data["path"],
            "column_name": data["column"],
            "n_samples": int(rows),
            "context_size": int(context),
            "label_provider": labels,
            **advanced,
            "output_dir": str(home() / "results" / time.strftime("%Y%m%d-%H%M%S")),
        }
        st.button(
            "Start",
            key="new_start",
            type="primary",
            disabled=not ready,
            on_click=_start,
            args=(params,),
        )


def _sae() -> dict[str, Any] | None:
    browse.show()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        path = st.selectbox(
            "SAE: a folder, a hub repository, or a SAELens release",
            ["demo", *_releases()],
            index=None,
            key="new_sae",
            accept_new_options=True,
            placeholder="path/to/sae, owner/repository, a release, or demo",
        )
        sae_id = st.text_input(
            "Which one there", key="new_sae_id", placeholder="blocks.9.hook_resid_post", width=280
        )
    if not path:
        return None
    try:
        found = probe.sae(path.strip(), (sae_id or "").strip(), "")
    except BadInput as error:
        _wrong(error)
        return None
    parts = [
        f"{found['layout']} layout",
        found["architecture"] + (f", k = {found['k']}" if found["k"] else ""),
        f"{found['d_sae']:,} features",
        f"width {found['d_in']:,}",
        found["hook"],
    ]
    parts += [f"trained on {found['model_name']}"] if found["model_name"] else []
    with st.container(key="quiet_sae"):
        st.text(marked("Found: " + " · ".join(parts)))
    return found | {"path": path.strip(), "id": (sae_id or "").strip()}


def _model(sae: dict[str, Any] | None) -> str:
    """The model, by default the SAE's own, checked to fit."""
    known = (sae or {}).get("model_name") or ""
    known = "demo" if (sae or {}).get("path") == "demo" else known
    name = st.text_input(
        "Model: hub id or folder", known, key=f"new_model_{known}", placeholder="meta-llama/…"
    )
    name = (name or "").strip()
    if sae is not None and name:
        try:
            sae |= probe.sae(sae["path"], sae["id"], name).get("model", {})
        except BadInput as error:
            _wrong(error)
            return ""
    with st.container(key="quiet_hub"):
        st.text(_hub())
    return name


def _hub() -> str:
    from huggingface_hub import get_token

    if get_token():
        return "Signed in to the Hugging Face hub."
    return "Not signed in to the Hugging Face hub; gated models need  hf auth login  in a terminal."


def _dataset() -> dict[str, Any] | None:
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        path = st.text_input(
            "Dataset: hub id, folder or file",
            key="new_data",
            placeholder="owner/dataset, path/to/file.jsonl, or demo",
        )
        upload = st.file_uploader(
            "or upload one",
            type=["jsonl", "json", "csv", "parquet", "txt", "gz", "zst", "bz2", "xz"],
            key="new_upload",
            width=320,
        )
    given = (path or "").strip()
    if upload is not None:
        given = str(save_upload(upload.name, upload.getvalue()))
    if not given:
        return None
    try:
        found = probe.dataset(given)
    except BadInput as error:
        _wrong(error)
        return None
    columns, likeliest = found["columns"], found["likeliest"]
    default = columns.index(likeliest) if likeliest in columns else 0
    column = st.selectbox(
        "Column with the text", columns, default, key=f"new_column_{given}", width=280
    )
    if column in found["wrong"]:
        _wrong(BadInput(found["wrong"][column]))
        return None
    records = found["records"][column]
    with st.container(key="preview", border=True, gap="xxsmall"):
        for record in records[:_PREVIEW]:
            st.text(marked(record[:160].replace("\n", "↵ ")) or "(empty)")
    return {"path": given, "column": column, "records": records}


def _estimate(
    sae: dict[str, Any], data: dict[str, Any], features: Any, rows: int, context: int, labels: str
) -> str:
    records = data["records"]
    found = estimate(
        sae,
        records,
        rows if len(records) >= probe.ROWS else min(rows, len(records)),
        context,
        features=len(features) if isinstance(features, list) else None,
        llm=labels == "local",
        speed=probe.speed(),
    )
    return found.text()


def _features(sae: dict[str, Any] | None) -> tuple[Any, dict[int, float], bool]:
    """Which features, their scores, and whether the choice can be used."""
    which = st.segmented_control(
        "Features",
        list(_WHICH),
        key="new_which",
        default="all",
        required=True,
        format_func=_WHICH.__getitem__,
    )
    if which == "all" or which is None:
        return "all", {}, True
    text: str | Path = ""
    if which == "list":
        text = (
            st.text_input("Feature numbers", key="new_list", placeholder="11, 313, 251, 500-520")
            or ""
        )
    else:
        upload = st.file_uploader(
            'JSON: {"feature_indices": […], "scores": […]}', type="json", key="new_features"
        )
        text = save_upload(upload.name, upload.getvalue()) if upload is not None else ""
    if not text:
        return None, {}, False
    try:
        asked = FeatureRequest.parse(text)
    except BadInput as error:
        _wrong(error)
        return None, {}, False
    scores = {int(feature): float(score) for feature, score in asked.scores.items()}
    indices = asked.indices or ()
    d_sae = int((sae or {}).get("d_sae") or 0)
    beyond = [feature for feature in indices if d_sae and feature >= d_sae]
    if beyond:
        named = ", ".join(f"{feature:,}" for feature in beyond[:5])
        more = f" and {len(beyond) - 5:,} more" if len(beyond) > 5 else ""
        _wrong(BadInput(f"this SAE has features 0–{d_sae - 1:,}; it has no {named}{more}"))
        return None, {}, False
    count = len(indices)
    st.text(f"{count:,} features" + (f", {len(scores):,} of them with a score" if scores else ""))
    return list(asked.indices or ()), scores, True


def _releases() -> list[str]:
    try:
        return release_names()
    except AutointerpError:
        return []  # sae-lens is absent: folders and repositories can be given all the same


def save_upload(name: str, data: bytes) -> Path:
    """An uploaded file in the home folder, under its own name in a folder named by its content.

    So another upload of the same name never replaces what a queued job will read. The name is
    one of letters, digits, dots and dashes.
    """
    folder = home() / "uploads" / hashlib.sha256(data).hexdigest()[:24]
    path = folder / re.sub(r"[^A-Za-z0-9._-]", "_", Path(name).name)[-100:].lstrip(".")
    if not path.exists():  # written whole or not at all
        write_bytes(path, data)
    return path


def _wrong(error: AutointerpError) -> None:
    with st.container(key=f"problem_{type(error).__name__}_{abs(hash(str(error)))}"):
        st.text(sentence(str(error)))


def _start(params: dict[str, Any]) -> None:
    scores = params["feature_scores"]
    if scores:
        # JSON has no whole numbers as keys: the scores go beside the list of features.
        params["feature_scores"] = [scores.get(f) for f in params["feature_indices"]]
    name = Path(params["sae_path"]).name
    try:
        jobs.submit("label", params, f"Study of {name} on {Path(params['dataset_path']).name}")
        session.memory(Started).told = "Queued. It goes on when this tab is closed."
    except AutointerpError as error:
        session.memory(Started).told = str(error)
