"""What the record of a new study starts with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from autointerp_core.sources.control_sae import read_control
from autointerp_core.store.study_record import (
    CountsRecord,
    DatasetRecord,
    HealthRecord,
    ModelRecord,
    SAERecord,
    SinksRecord,
    StudyRecord,
    TokenisationRecord,
)
from autointerp_core.store.tokenstore import TokenStore

if TYPE_CHECKING:
    from autointerp_core.extraction.health import Health
    from autointerp_core.extraction.resolve import ResolvedExtraction

PACKAGES = ("torch", "transformers", "sae-lens", "transformer-lens", "numpy", "tokenizers")
"""Whose versions are recorded, with those an engine adds."""


def new_record(
    resolved: ResolvedExtraction,
    study_id: str,
    tokens: TokenStore,
    reference_median: float,
    health: Health,
    *,
    engine: str | None = None,
    packages: Sequence[str] = (),
) -> StudyRecord:
    """The record of a study without a pass; ``engine`` where it is not our own.

    How many positions count is not known yet: 0.
    """
    config, model, rows, identity = (
        resolved.config,
        resolved.model,
        resolved.rows,
        resolved.identity,
    )
    sae, how = resolved.sae.config, resolved.tokenisation
    control = read_control(config.sae_path)
    return StudyRecord(
        id=study_id,
        identity=replace(identity, engine=engine),
        model=ModelRecord(
            name=model.name,
            path=config.model_path,
            n_layers=model.n_layers,
            d_model=model.d_model,
            fingerprint=identity.model,
        ),
        sae=SAERecord(
            source=sae.source,
            path=config.sae_path,
            sae_id=config.sae_id,
            layout=sae.layout,
            architecture=sae.architecture,
            k=sae.k,
            d_in=sae.d_in,
            d_sae=sae.d_sae,
            fingerprint=resolved.sae.fingerprint,
        ),
        hook=resolved.hook.name,
        dataset=DatasetRecord(
            name=rows.name,
            path=config.dataset_path,
            column=rows.column,
            n_rows=rows.n_rows,
            fingerprint=rows.fingerprint,
        ),
        tokenisation=TokenisationRecord(
            context_size=how.context_size,
            prepend_bos=how.prepend_bos,
            bos_id=how.bos_id,
            special_ids=how.special_ids,
            separator_id=how.separator_id,
            notices=how.notices or None,
        ),
        sinks=SinksRecord(factor=config.masks.sink_factor, reference_median=reference_median),
        counts=CountsRecord(
            documents=len(tokens.documents) - 1,
            sequences=tokens.n_sequences,
            tokens=tokens.n_tokens,
            counted=0,
        ),
        health=HealthRecord.from_json(health.to_json()),
        versions={name: package_version(name) for name in dict.fromkeys((*PACKAGES, *packages))},
        passes=(),
        control_of=control.study if control is not None else None,
    )


def package_version(package: str) -> str | None:
    """Version of an installed distribution; None where it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
