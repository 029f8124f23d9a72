"""The whole way in order: extraction → search labels → LLM labels → the two result files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import ParameterError, StudyError
from autointerp_core.features import FeatureRequest
from autointerp_core.home import home, studies_dir
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.sources.demo import demo_sae_path
from autointerp_core.store.files import check_writable, write_json
from autointerp_core.store.study import read_info

if TYPE_CHECKING:
    from autointerp_core.extraction.request import ExtractionRequest
    from autointerp_core.labels.generate import GenerationReport
    from autointerp_core.labels.provider import LabelProvider
    from autointerp_core.store.study import Study

PROVIDERS = ("local", "openai", "scripted", "none")
ENGINES = ("native", "sae-dashboard")
DEMO_LLM_LABELS = 24


def run_labeling(
    feature_indices: int | str | Path | Sequence[int],
    model_path: str,
    sae_path: str,
    dataset_path: str,
    sae_id: str | None,
    output_dir: str | Path = "results",
    n_samples: int = 1000,
    max_examples_per_feature: int = 20,
    device: str | None = None,
    column_name: str = "text",
    minibatch_size_features: int = 256,
    minibatch_size_tokens: int = 64,
    label_model_path: str | None = None,
    max_examples_for_labeling: int = 10,
    feature_scores: Sequence[float] | Mapping[int, float] | None = None,
    *,
    label_provider: str = "local",
    engine: str = "native",
    context_size: int | None = None,
    prepend_bos: bool | None = None,
    dtype: str = "auto",
    mask_special: bool = True,
    mask_sinks: bool = True,
    sink_factor: float = 10.0,
    label_method: str = "peaks",
    regenerate: bool = False,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Find the examples of features and label them; write the two result files.

    Args:
        feature_indices: List of int, ``"11,313,251"``, path of a JSON file
            ``{"feature_indices": [...], "scores": [...]}``, or ``"all"``.
        model_path: Hub id or local folder of the language model, or ``"demo"``.
        sae_path: Folder (SAELens or EleutherAI sparsify layout), SAELens release, hub
            repository, or ``"demo"``.
        dataset_path: Hub id, ``save_to_disk`` folder, .jsonl/.json/.csv/.parquet/.txt file,
            or ``"demo"``.
        sae_id: Which SAE under ``sae_path``, say ``"blocks.19.hook_resid_post"``.
        output_dir: Folder for ``feature_examples.jsonl`` and ``feature_labels.json``.
        n_samples: Dataset rows used, from the start.
        max_examples_per_feature: Top examples a feature.
        device: ``"cuda"``, ``"cuda:1"``, ``"cpu"``; None takes CUDA where there is one.
        column_name: Dataset column that holds the text.
        minibatch_size_features: Features a block of dense work; changes no result.
        minibatch_size_tokens: Sequences a forward batch; changes no result.
        label_model_path: Chat model that writes labels; None takes ``model_path``.
        max_examples_for_labeling: Examples shown to that model.
        feature_scores: A score a feature, repeated in the files; wins over a JSON file's.
        label_provider: ``"local"`` (transformers), ``"openai"`` (any compatible server),
            ``"scripted"`` (no model: canned answers, for trying things out), or ``"none"``
            (search labels only).
        engine: ``"native"``, or ``"sae-dashboard"`` (the reference engine, far slower).
        context_size: Tokens a sequence at most; None: the SAE's, else 1024.
        prepend_bos: None: as the SAE's config says.
        dtype: Of the model: ``"auto"``, ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        mask_special: Leave special tokens out of examples and statistics.
        mask_sinks: Leave attention sinks out, likewise.
        sink_factor: A sink's activation norm exceeds this many reference medians.
        label_method: Prompt method of the LLM label.
        regenerate: Make labels anew that exist already. Never changes an accepted one.
        progress: Called with a :class:`~autointerp_core.progress.Progress` now and then.

    Returns:
        ``examples_path``, ``labels_path``, ``study_path``, and counts: ``num_features``,
        ``num_dead``, ``features_computed``, ``labels_made``, ``labels_reused``,
        ``labels_failed``, ``warnings``.

    Raises:
        BadInput: what was given cannot be used; nothing was written.
        AutointerpError: something else failed; a rerun goes on where it stopped.
    """
    from autointerp_core.extraction.request import ExtractionRequest
    from autointerp_core.extraction.summary import Masks

    report = progress or silent
    asked = FeatureRequest.parse(feature_indices, feature_scores)
    _one_of("label_provider", label_provider, PROVIDERS)
    _one_of("engine", engine, ENGINES)
    if max_examples_for_labeling < 1:
        raise ParameterError(
            f"max_examples_for_labeling is {max_examples_for_labeling}; give at least 1"
        )
    output = Path(output_dir).expanduser()
    check_writable(output)
    request = ExtractionRequest(
        model_path=str(model_path),
        sae_path=str(sae_path),
        sae_id=sae_id,
        dataset_path=str(dataset_path),
        features=asked.indices,
        column=column_name,
        n_rows=n_samples,
        context_size=context_size,
        prepend_bos=prepend_bos,
        masks=Masks(mask_special, mask_sinks, sink_factor),
        dtype=dtype,
        device=device,
        batch_sequences=minibatch_size_tokens,
        block_features=minibatch_size_features,
        n_examples=max_examples_per_feature,
    )
    provider = _provider(label_provider, label_model_path or str(model_path), device, dtype)
    done = _label(
        request,
        engine,
        provider,
        llm_features=None,
        method=label_method,
        max_examples=max_examples_for_labeling,
        regenerate=regenerate,
        report=report,
    )
    from autointerp_core.labels.results import write_feature_examples, write_feature_labels
    from autointerp_core.store.history import LabelHistory

    features = list(asked.indices) if asked.indices is not None else done.study.features.tolist()
    scores = dict(asked.scores)
    report(Progress("writing", message=f"writing {output}"))
    examples_path, labels_path = output / "feature_examples.jsonl", output / "feature_labels.json"
    write_feature_examples(
        examples_path, done.study, features, scores, max_examples=max_examples_per_feature
    )
    with LabelHistory.open() as history:
        write_feature_labels(labels_path, done.study, history, features, scores)
    dead = done.study.table.set_index("feature")["fired"].loc[features] == 0
    return {
        "examples_path": str(examples_path),
        "labels_path": str(labels_path),
        "study_path": str(done.study.folder),
        "num_features": len(features),
        "num_dead": int(dead.sum()),
        "features_computed": done.features_computed,
        "labels_made": done.llm.made if done.llm else 0,
        "labels_reused": done.llm.reused if done.llm else 0,
        "labels_failed": done.llm.failed if done.llm else 0,
        "warnings": [w.message for w in done.study.info.warnings],
    }


@dataclass(frozen=True)
class _Labelled:
    study: Study
    features_computed: int
    llm: GenerationReport | None


def _label(
    request: ExtractionRequest,
    engine: str,
    provider: LabelProvider | None,
    *,
    llm_features: int | None,
    method: str,
    max_examples: int,
    regenerate: bool,
    report: ProgressCallback,
) -> _Labelled:
    """Extract, then label; ``llm_features`` limits how many get an LLM label (None: all)."""
    from autointerp_core.extraction.run import extract
    from autointerp_core.labels.generate import generate_labels, record_search_labels
    from autointerp_core.store.history import LabelHistory

    if engine == "native":
        extraction = extract(request, studies_dir(), report)
    else:
        from autointerp_core.extraction.dashboard import extract_with_dashboard

        extraction = extract_with_dashboard(request, studies_dir(), report)
    study = extraction.study
    wanted = list(request.features) if request.features is not None else study.features.tolist()
    with LabelHistory.open() as history:
        record_search_labels(study, wanted, history, progress=report)
        llm = None
        if provider is not None:
            chosen = wanted if llm_features is None else _readable(study, llm_features)
            llm = generate_labels(
                study,
                chosen,
                provider,
                history,
                method=method,
                max_examples=max_examples,
                regenerate=regenerate,
                progress=report,
            )
    return _Labelled(study, len(extraction.computed), llm)


def _readable(study: Study, count: int) -> list[int]:
    """Features for a first look: of middling density, spread evenly over the index."""
    table = study.table
    live = table[table["num_examples"] >= 20]
    middling = live[live["density"].between(*live["density"].quantile([0.25, 0.75]))]
    step = max(1, len(middling) // count)
    return [int(feature) for feature in middling["feature"].iloc[::step][:count]]


def _provider(name: str, model_path: str, device: str | None, dtype: str) -> LabelProvider | None:
    """The label provider, not yet loaded: a rerun that needs no label loads no model."""
    if name == "none":
        return None
    from autointerp_core.labels.provider import ProviderOptions, make_provider

    options = ProviderOptions(model_path=model_path, device=device, dtype=dtype)
    return make_provider(name, options)


def built_demo() -> str | None:
    """Id of the demo study where it was built to the end, from the SAE bundled now."""
    try:
        built = json.loads(_demo_record().read_bytes())
        info = read_info(studies_dir() / built["study"])
    except (OSError, ValueError, KeyError, TypeError, StudyError):
        return None  # never built, or not readable any more: either way it is to be built
    return info.id if built["sae"] == _demo_sae_digest() else None


def build_demo(progress: ProgressCallback = silent) -> dict[str, Any]:
    """Build the demo study: all features of the bundled SAE, labels for a first look."""
    from autointerp_core.extraction.request import ExtractionRequest

    request = ExtractionRequest(
        model_path="demo", sae_path="demo", dataset_path="demo", n_rows=1_000_000
    )
    provider = _provider("local", "demo", None, "auto")
    done = _label(
        request,
        "native",
        provider,
        llm_features=DEMO_LLM_LABELS,
        method="words",  # the one a 135M model can follow
        max_examples=20,
        regenerate=False,
        report=progress,
    )
    # Written last: a build killed while labelling is gone on with, not taken for whole.
    write_json(_demo_record(), {"study": done.study.id, "sae": _demo_sae_digest()})
    return {"study": done.study.id, "study_path": str(done.study.folder)}


def _demo_record() -> Path:
    return home() / "demo.json"


def _demo_sae_digest() -> str:
    weights = sorted(demo_sae_path().rglob("*.safetensors"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in weights)).hexdigest()


def run_label_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Background job: ``run_labeling`` with ``params`` as its arguments."""
    return run_labeling(**params, progress=progress)


def run_demo_job(params: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Background job: the demo study."""
    return build_demo(progress)


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ParameterError(f"{name} is {value!r}; choose from {', '.join(allowed)}")
