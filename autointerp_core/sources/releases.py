"""SAELens' list of published SAEs, read from its YAML file without importing SAELens.

Importing ``sae_lens`` imports torch, and parsing all 43,000 lines takes seconds; here only
the lines of the one release asked for are parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from autointerp_core.errors import MissingDependency, SAESourceError
from autointerp_core.sources.paths import shortened


@dataclass(frozen=True)
class Release:
    """One release: a hub repository and the SAEs in it, by SAELens id."""

    name: str
    repo_id: str
    model: str | None
    conversion: str | None
    """Name of SAELens' converter; None where the files are in SAELens' own layout."""
    overrides: dict[str, Any]
    saes: dict[str, dict[str, Any]]

    def entry(self, sae_id: str | None) -> tuple[str, dict[str, Any]]:
        """The id and record of one SAE; the only one where no id is given.

        Raises:
            SAESourceError: no such id, or none given and there are several.
        """
        if sae_id is None and len(self.saes) == 1:
            return next(iter(self.saes.items()))
        if sae_id is None or sae_id not in self.saes:
            asked = "needs an sae_id" if sae_id is None else f"has no SAE {sae_id!r}"
            raise SAESourceError(
                f"SAELens release {self.name!r} {asked}; it holds {shortened(list(self.saes))}"
            )
        return sae_id, self.saes[sae_id]


def is_cross_layer(release: Release, sae_id: str) -> bool:
    """Whether an SAE of a release is one layer of a cross-layer transcoder."""
    path = str(release.saes[sae_id]["path"])
    return release.conversion == "mntss_clt_layer_transcoder" or path.startswith("clt/")


def release_names() -> list[str]:
    """The names of all releases, in the file's order."""
    return re.findall(r"^([^\s#:][^:\n]*):", _catalogue(), re.MULTILINE)


def find_release(name: str) -> Release | None:
    """The release of that name, or None. Reads no network and imports no torch."""
    if "/" in name or not name.strip():
        return None
    match = re.search(rf"^{re.escape(name)}:.*\n(?:[ \t#-].*\n|\n)*", _catalogue(), re.MULTILINE)
    if match is None:
        return None
    import yaml

    record = yaml.load(match[0], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))[name]
    return Release(
        name=name,
        repo_id=record["repo_id"],
        model=record.get("model"),
        conversion=record.get("conversion_func"),
        overrides=dict(record.get("config_overrides") or {}),
        saes={str(sae["id"]): sae for sae in record["saes"]},
    )


def catalogue_path() -> Path:
    """SAELens' own list of releases.

    Raises:
        MissingDependency: SAELens is not installed.
    """
    spec = find_spec("sae_lens")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency("sae-lens is not installed: pip install sae-lens==6.54.12")
    return Path(spec.submodule_search_locations[0]) / "pretrained_saes.yaml"


@lru_cache(maxsize=1)
def _catalogue() -> str:
    return catalogue_path().read_text(encoding="utf-8") + "\n"
