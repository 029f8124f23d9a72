"""What one extraction is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Self

from annotated_doc import Doc

from autointerp_core.errors import ParameterError
from autointerp_core.extraction.firings import SHARD_TOKENS
from autointerp_core.feature_request import FeatureRequest
from autointerp_core.sources.chat import parse_roles
from autointerp_core.sources.sae import DEFAULT_CONTEXT
from autointerp_core.store.study_record import Masks

PARAMETERS: Mapping[str, str] = {
    "column": "column_name",
    "n_rows": "n_samples",
    "batch_sequences": "minibatch_size_tokens",
    "block_features": "minibatch_size_features",
    "n_examples": "max_examples_per_feature",
}
"""Fields that ``run_labeling`` and the command line know by another name."""
KEEP = ("asked", "all", "auto")
MASK_PARAMETERS: Mapping[str, str] = {
    "special": "mask_special",
    "sinks": "mask_sinks",
    "sink_factor": "sink_factor",
}
"""Fields of :class:`Masks`, likewise."""


@dataclass(frozen=True)
class ExtractionConfig:
    """Everything an extraction needs; checked when it is made.

    Raises:
        ParameterError: a value outside what its field allows.
    """

    model_path: Annotated[str, Doc("Hub id or local folder of the language model, or demo.")]
    sae_path: Annotated[
        str,
        Doc(
            "Folder (SAELens or EleutherAI sparsify layout), SAELens release, hub repository, "
            "or demo."
        ),
    ]
    dataset_path: Annotated[
        str,
        Doc(
            "Hub id, save_to_disk folder, .jsonl/.json/.csv/.parquet/.txt file (also .gz, .zst), "
            "folder of such files, or demo."
        ),
    ]
    sae_id: Annotated[
        str | None,
        Doc("Which SAE under sae_path, say blocks.19.hook_resid_post; several (a,b) or all."),
    ] = None
    features: Annotated[tuple[int, ...] | None, Doc("Features to extract; None: all.")] = None
    column: Annotated[
        str, Doc("Dataset column that holds the texts, conversations or token ids.")
    ] = "text"
    n_rows: Annotated[int, Doc("Dataset rows used, from the start.")] = 1000
    context_size: Annotated[
        int | None, Doc(f"Tokens a sequence at most; None: the SAE's, else {DEFAULT_CONTEXT}.")
    ] = None
    prepend_bos: Annotated[
        bool | None, Doc("Begin every sequence with BOS; None: as the SAE's config says.")
    ] = None
    pack: Annotated[
        bool, Doc("Fill every sequence with one document after another, as SAELens trains.")
    ] = False
    chat_roles: Annotated[
        str | None,
        Doc("Of conversations, count only messages of these roles, say assistant; None: all."),
    ] = None
    masks: Masks = field(default_factory=Masks)
    dtype: Annotated[str, Doc("Of the model: auto, float32, bfloat16 or float16.")] = "auto"
    device: Annotated[str | None, Doc("cuda, cuda:1, cpu; None takes CUDA where there is one.")] = (
        None
    )
    batch_sequences: Annotated[int, Doc("Sequences a forward batch; changes no result.")] = 64
    block_features: Annotated[int, Doc("Features a block of dense work; changes no result.")] = 256
    shard_tokens: Annotated[int, Doc("Tokens a shard: what a stopped run loses at most.")] = (
        SHARD_TOKENS
    )
    n_examples: Annotated[int, Doc("Top examples a feature.")] = 20
    logits: Annotated[
        bool, Doc("Also find the tokens whose logits each decoder direction changes most.")
    ] = True
    neighbours: Annotated[
        bool, Doc("Also find the features whose decoder directions are most alike.")
    ] = True
    keep: Annotated[
        str,
        Doc(
            "Whose firings to keep: asked, all (others can be opened later without the model), or "
            "auto (all, where that takes no more than a tenth of the free disk)."
        ),
    ] = "auto"
    engine: Annotated[
        str,
        Doc(
            "Who computes activations: native, ray (many GPUs or machines), or sae-dashboard (the "
            "reference, far slower)."
        ),
    ] = "native"
    workers: Annotated[
        int | None, Doc("Workers of the ray engine; None: one a GPU, else one a two CPUs.")
    ] = None
    ray_address: Annotated[
        str | None,
        Doc("Ray cluster: local (this machine alone), auto, host:port or ray://host:port."),
    ] = None

    def __post_init__(self) -> None:
        for name in ("n_rows", "batch_sequences", "block_features", "shard_tokens", "n_examples"):
            _positive(name, getattr(self, name))
        if self.workers is not None:
            _positive("workers", self.workers)
        if self.context_size is not None:
            _positive("context_size", self.context_size, least=2)
        parse_roles(self.chat_roles)  # refuses what is no role
        if self.keep not in KEEP:
            raise ParameterError(f"keep is {self.keep!r}; choose from {', '.join(KEEP)}")
        if not self.masks.sink_factor > 0:
            raise ParameterError(f"sink_factor is {self.masks.sink_factor}; give a number above 0")

    @classmethod
    def from_params(cls, params: Mapping[str, Any], **changes: Any) -> Self:
        """From parameters named as those of ``run_labeling``.

        Keys that are none of an extraction's are left alone, null means default;
        ``feature_indices`` may be given in any of the ways that it may there.

        Raises:
            BadInput: a value cannot be used.
        """
        names = {each.name: PARAMETERS.get(each.name, each.name) for each in fields(cls)}
        given = {f: params[n] for f, n in names.items() if params.get(n) is not None}
        if params.get("feature_indices") is not None:
            given["features"] = FeatureRequest.parse(params["feature_indices"]).indices
        masks = {f: params[n] for f, n in MASK_PARAMETERS.items() if params.get(n) is not None}
        for name in ("model_path", "sae_path", "dataset_path"):
            if name in given:
                given[name] = str(given[name])
        return cls(**{**given, **({"masks": Masks(**masks)} if masks else {}), **changes})


def _positive(name: str, value: Any, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        flag = PARAMETERS.get(name, name).replace("_", "-")
        raise ParameterError(
            f"{name} (--{flag}) is {value!r}; give a whole number of at least {least}"
        )
