"""What Neuronpedia calls a model, a set of SAEs, and one of them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from autointerp_core.exchange.subject import Subject


@dataclass(frozen=True)
class Names:
    """``source`` is ``{layer}-{set}``: one SAE of a set that has one a layer."""

    model: str
    source_set: str
    source: str
    release: str
    creator: str

    def identifier(self, *parts: object) -> str:
        """25 characters that name a row, the same for the same row (as long as a CUID)."""
        raw = "|".join(map(str, (self.model, self.source, *parts)))
        return "c" + hashlib.sha256(raw.encode()).hexdigest()[:24]


def names_of(subject: Subject) -> Names:
    """The names of a study's SAE: those given, else made from the study's.

    Raises:
        BadInput: the hook point names no layer.
    """
    config, info = subject.config, subject.info
    model = config.model_id or _slug(info.model_name.rstrip("/").rsplit("/", 1)[-1])
    place = _slug(info.hook.rsplit(".", 1)[-1].removeprefix("hook_").replace("_", "-"))
    source_set = config.source_set or f"{place}-{info.d_sae}"
    return Names(
        model,
        source_set,
        f"{subject.layer}-{source_set}",
        config.release or source_set,
        config.creator,
    )


def _slug(text: str) -> str:
    found = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
    return found or "model"
