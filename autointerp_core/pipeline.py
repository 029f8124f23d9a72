"""The whole way in order: extraction → search labels → LLM labels → the two result files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp_core.controls import do_controls
from autointerp_core.errors import KnobError, StudyError
from autointerp_core.export.output import Output
from autointerp_core.feature_request import FeatureRequest
from autointerp_core.home import home, studies_dir
from autointerp_core.progress import ProgressCallback, silent
from autointerp_core.sources.demo import demo_sae_path
from autointerp_core.store.files import write_json
from autointerp_core.store.study_record import Masks, read_record
from autointerp_core.study_labels import (
    keep_scores,
    label_study,
    notices,
    outcome,
    score_study,
    wanted_features,
    write_results,
)
from autointerp_core.study_model import model_of

if TYPE_CHECKING:
    from autointerp_core.extraction.config import ExtractionConfig
    from autointerp_core.labels.config import LabelConfig
    from autointerp_core.labels.run import LabelReport
    from autointerp_core.store.study import Study

__all__ = ["build_demo", "built_demo", "label_study", "run_labeling", "score_study"]

DEMO_LLM_LABELS = 24


def run_labeling(
    feature_indices: int | str | Path | Sequence[int],
    model_path: str,
    sae_path: str,
    dataset_path: str,
    sae_id: str | Sequence[str] | None,
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
    workers: int | None = None,
    ray_address: str | None = None,
    keep: str = "auto",
    context_size: int | None = None,
    prepend_bos: bool | None = None,
    pack: bool = False,
    chat_roles: str | None = None,
    dtype: str = "auto",
    mask_special: bool = True,
    mask_sinks: bool = True,
    sink_factor: float = 10.0,
    label_method: str = "peaks",
    label_base_url: str | None = None,
    label_hint: str | None = None,
    label_concurrency: int = 8,
    candidates: int = 2,
    scoring: str = "none",
    score_windows: int = 20,
    harder_windows: bool = False,
    embedder: str = "auto",
    search_embedder: str = "wordllama",
    control: str | None = None,
    output_labels: bool = False,
    judge_provider: str | None = None,
    judge_model_path: str | None = None,
    hold_out: bool = True,
    price_in: float | None = None,
    price_out: float | None = None,
    budget_dollars: float | None = None,
    budget_tokens: int | None = None,
    regenerate: bool = False,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Find the examples of features and label them; write the two result files.

    Args:
        feature_indices: List or array of int, ``"11,313,5-9"``, path of a JSON file
            ``{"feature_indices": [...], "scores": [...]}``, or ``"all"``.
        model_path: Hub id or local folder of the language model, or ``"demo"``.
        sae_path: Folder (SAELens or EleutherAI sparsify layout), SAELens release, hub
            repository, or ``"demo"``.
        dataset_path: Hub id, ``save_to_disk`` folder, .jsonl/.json/.csv/.parquet/.txt file
            (all but .parquet also .gz, .zst, .bz2, .xz), folder of such files, any of these in
            a storage (``s3://``, ``gs://``, ``hf://``, ``https://``), or ``"demo"``.
        sae_id: Which SAE under ``sae_path``, say ``"blocks.19.hook_resid_post"``; several, as a
            list or ``"a,b"``, or ``"all"``: the model runs once for all of them, each has a study
            and a folder in ``output_dir`` of its own.
        output_dir: Folder for ``feature_examples.jsonl`` and ``feature_labels.json``; may be in
            a storage (``s3://bucket/folder``).
        n_samples: Dataset rows used, from the start.
        max_examples_per_feature: Top examples a feature.
        device: ``"cuda"``, ``"cuda:1"``, ``"cpu"``; None takes CUDA where there is one.
        column_name: Dataset column that holds the texts, the conversations (which the model's
            chat template puts into text), or the token ids.
        minibatch_size_features: Features a block of dense work; changes no result.
        minibatch_size_tokens: Sequences a forward batch; changes no result.
        label_model_path: Chat model that writes labels; None takes ``model_path``.
        max_examples_for_labeling: Examples shown to that model.
        feature_scores: A score a feature, repeated in the files; wins over a JSON file's.
        label_provider: ``"local"`` (transformers), ``"openai"`` (any compatible server),
            ``"scripted"`` (no model: canned answers, for trying things out), or ``"none"``
            (search labels only).
        engine: ``"native"``, ``"ray"`` (many GPUs or machines), or ``"sae-dashboard"`` (the
            reference engine, far slower).
        workers: Of the ray engine; None: one a GPU, else one for every two CPUs.
        ray_address: Ray cluster: ``"local"`` (this machine alone, also for None), ``"auto"``,
            ``"host:port"`` or ``"ray://host:port"``.
        keep: Whose firings to keep: ``"asked"``, ``"all"`` (features not asked for can then be
            opened later without the model), or ``"auto"``: all, where that takes no more than a
            tenth of the free disk.
        context_size: Tokens a sequence at most; None: the SAE's, else 1024.
        prepend_bos: None: as the SAE's config says. A text that begins with BOS gets no other;
            where the tokenizer has none, its EOS is put there.
        pack: Fill every sequence with one document after another, as SAELens trains.
        chat_roles: Of conversations, count only messages of these roles, say
            ``"user,assistant"``; the model reads them all. None: all count.
        dtype: Of the model: ``"auto"``, ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        mask_special: Leave special tokens out of examples and statistics.
        mask_sinks: Leave attention sinks out, likewise.
        sink_factor: A sink's activation norm exceeds this many reference medians.
        label_method: Prompt method of the LLM label: ``"peaks"``, ``"words"``, ``"texts"``,
            ``"strengths"``, ``"contrast"``, ``"explain"``, or ``"ranked"`` (phrases found by
            counting, chosen by likelihood: for models too small to write).
        label_base_url: Server of the openai provider; None: ``OPENAI_BASE_URL``, else OpenAI.
        label_hint: What the texts are about, say ``"finance"``; told to the labeller.
        label_concurrency: Requests to a server at a time.
        candidates: Proposals a feature: the search label, and at least one of the model; with
            scores the best one on validation documents is the label.
        scoring: ``"none"``, ``"all"``, or some of ``"embedding,detection,fuzzing"``; the last
            two ask the judge model. Also measures, which rank no label: ``"intruder"``,
            ``"generation"``, ``"output"``, ``"ablation"``.
        score_windows: Activating windows a score is measured on; as many silent ones.
        harder_windows: Ask a detection judge about silent windows of similar features and those
            most like the label as well, reported apart.
        embedder: Of the embedding scores: ``"auto"`` (minilm where it is installed, else
            wordllama), ``"minilm"``, ``"wordllama"``, or
            ``"sentence-transformers:<model>"`` where that package is installed.
        search_embedder: Chooses the words of search labels: ``"wordllama"``, or ``"minilm"`` or
            ``"auto"``, which take ten times as long.
        control: ``"shuffled"``, ``"random-sae"`` or both: do the same for a control of the SAE as
            well, to see what scores mean.
        output_labels: Also propose the tokens that a feature's decoder direction makes likelier.
        judge_provider: Provider of the judge; None: the labeller's.
        judge_model_path: Model that judges; None: the labeller's.
        hold_out: Keep half of the documents from the labeller, to score labels on. Without
            it labels are made from all documents and cannot be scored.
        price_in: US dollars a million prompt tokens; unknown prices give unknown costs.
        price_out: US dollars a million answer tokens.
        budget_dollars: Stop asking models when this much is spent; needs the prices.
        budget_tokens: Stop asking models when this many tokens are used.
        regenerate: Make labels anew that exist already. Never changes an accepted one.
        progress: Called with a :class:`~autointerp_core.progress.Progress` now and then.

    Returns:
        ``examples_path``, ``labels_path``, ``study_path``, and counts: ``num_features``,
        ``num_dead``, ``features_computed``, ``labels_made``, ``labels_reused``,
        ``labels_failed`` and ``labels_failed_why``, ``search_labels``, ``requests``,
        ``tokens_in``, ``tokens_out``, ``cost`` (None: unknown),
        ``stopped`` (why a budget ended the run, else None), ``scores`` (a summary by scorer),
        ``controls`` (see :func:`~autointerp_core.controls.do_controls`), ``notices``,
        ``warnings``. Of several SAEs: those of the first, and ``saes``: all of it for each, by
        its ``sae_id``.

    Raises:
        BadInput: what was given cannot be used; nothing was written.
        AutointerpError: something else failed; a rerun goes on where it stopped.
    """
    given = dict(locals())
    from autointerp_core.extraction.config import ExtractionConfig
    from autointerp_core.extraction.several import extract_several, sae_ids
    from autointerp_core.labels.config import PARAMETERS, LabelConfig
    from autointerp_core.labels.scoring.scorers import parse_scoring

    report = progress or silent
    asked = FeatureRequest.parse(feature_indices, feature_scores)
    extraction = ExtractionConfig(
        model_path=str(model_path),
        sae_path=str(sae_path),
        sae_id=sae_id if isinstance(sae_id, str) else None,
        dataset_path=str(dataset_path),
        features=asked.indices,
        column=column_name,
        n_rows=n_samples,
        context_size=context_size,
        prepend_bos=prepend_bos,
        pack=pack,
        chat_roles=chat_roles,
        masks=Masks(special=mask_special, sinks=mask_sinks, sink_factor=sink_factor),
        dtype=dtype,
        device=device,
        batch_sequences=minibatch_size_tokens,
        block_features=minibatch_size_features,
        n_examples=max_examples_per_feature,
        engine=engine,
        keep=keep,
        workers=workers,
        ray_address=ray_address,
    )
    with naming(PARAMETERS):
        config = LabelConfig(
            provider=label_provider,
            model_path=label_model_path or str(model_path),
            base_url=label_base_url,
            concurrency=label_concurrency,
            device=device,
            dtype=dtype,
            price_in=price_in,
            price_out=price_out,
            budget_dollars=budget_dollars,
            budget_tokens=budget_tokens,
            scorers=parse_scoring(scoring),
            score_windows=score_windows,
            harder_windows=harder_windows,
            embedder=embedder,
            search_embedder=search_embedder,
            control=control,
            output_labels=output_labels,
            method=label_method,
            max_examples=max_examples_for_labeling,
            hint=label_hint,
            candidates=candidates,
            regenerate=regenerate,
            hold_out=hold_out,
            judge_provider=judge_provider,
            judge_model_path=judge_model_path,
        )
    config.check()
    output = Output.of(output_dir)
    several = sae_ids(str(sae_path), sae_id)
    if several is not None:
        extract_several([replace(extraction, sae_id=one) for one in several], studies_dir(), report)
        results = {
            one: run_labeling(**{**given, "sae_id": one, "output_dir": output.place(_folder(one))})
            for one in several
        }
        return {**results[several[0]], "saes": results}
    done = _label(extraction, config, asked, report=report)
    controls = []
    if config.controls:
        from autointerp_core.store.history import LabelHistory

        with LabelHistory.open() as history:
            wanted = wanted_features(done.study, asked)
            controls = do_controls(done.study, wanted, history, config, progress=report)
    return {
        **write_results(done.study, asked, output, max_examples_per_feature, report),
        "features_computed": done.features_computed,
        **outcome(done.labels),
        "controls": controls,
        "notices": [*notices(done.study, asked), *done.labels.notices],
    }


def _folder(sae_id: str) -> str:
    """A folder's name for an SAE's."""
    return re.sub(r"[^\w.-]+", "_", sae_id)


@dataclass(frozen=True)
class _Labelled:
    study: Study
    features_computed: int
    labels: LabelReport


@contextmanager
def naming(names: Mapping[str, str]) -> Iterator[None]:
    """Errors about settings name them as ``names`` says: configuration name → caller's name."""
    try:
        yield
    except KnobError as error:
        raise error.called(names) from error


def _label(
    extraction: ExtractionConfig,
    config: LabelConfig,
    asked: FeatureRequest | None = None,
    *,
    llm_features: int | None = None,
    report: ProgressCallback,
) -> _Labelled:
    """Extract, then label; ``llm_features`` limits how many get an LLM label (None: all)."""
    from autointerp_core.extraction.run import extract
    from autointerp_core.labels.run import label_features
    from autointerp_core.store.history import LabelHistory

    done = extract(extraction, studies_dir(), report)
    study = done.study
    if asked is not None:
        keep_scores(study, asked)
    wanted = (
        list(extraction.features) if extraction.features is not None else study.features.tolist()
    )
    with LabelHistory.open() as history:
        labels = label_features(
            study,
            wanted,
            history,
            config,
            llm_features=None if llm_features is None else _readable(study, llm_features),
            open_model=model_of(study, config.device),
            progress=report,
        )
    return _Labelled(study, len(done.computed), labels)


def _readable(study: Study, count: int) -> list[int]:
    """Features for a first look: of middling density, spread evenly over the index."""
    table = study.table
    live = table[table["num_examples"] >= 20]
    middling = live[live["density"].between(*live["density"].quantile([0.25, 0.75]))]
    step = max(1, len(middling) // count)
    return [int(feature) for feature in middling["feature"].iloc[::step][:count]]


def built_demo() -> str | None:
    """Id of the demo study where it was built to the end, from the SAE bundled now."""
    try:
        built = json.loads(_demo_record().read_bytes())
        info = read_record(studies_dir() / built["study"])
    except (OSError, ValueError, KeyError, TypeError, StudyError):
        return None  # never built, or not readable any more: either way it is to be built
    return info.id if built["sae"] == _demo_sae_digest() else None


def build_demo(progress: ProgressCallback = silent) -> dict[str, Any]:
    """Build the demo study: all features of the bundled SAE, labels for a first look."""
    from autointerp_core.extraction.config import ExtractionConfig
    from autointerp_core.labels.config import LabelConfig

    extraction = ExtractionConfig(
        model_path="demo", sae_path="demo", dataset_path="demo", n_rows=1_000_000
    )
    config = LabelConfig(
        model_path="demo",
        method="words",  # the one a 135M model can follow
        max_examples=20,
        candidates=3,
        scorers=("embedding",),
    )
    done = _label(extraction, config, llm_features=DEMO_LLM_LABELS, report=progress)
    # Written last: a build killed while labelling is gone on with, not taken for whole.
    write_json(_demo_record(), {"study": done.study.id, "sae": _demo_sae_digest()})
    return {"study": done.study.id, "study_path": str(done.study.folder)}


def _demo_record() -> Path:
    return home() / "demo.json"


def _demo_sae_digest() -> str:
    weights = sorted(demo_sae_path().rglob("*.safetensors"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in weights)).hexdigest()
