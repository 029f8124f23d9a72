"""Families of features as they are kept beside a study: a tree of groups, families and features.

No part of what a study is: the file can be deleted and made again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from autointerp_core.errors import StudyError
from autointerp_core.store.files import write_json

FAMILIES_FILE = "families.json"
VERSION = 1


@dataclass(frozen=True)
class Family:
    """Features that are much like each other."""

    label: str
    features: tuple[int, ...]
    """The most typical first."""


@dataclass(frozen=True)
class Group:
    """Families that are somewhat like each other; one alone is a group, too."""

    label: str
    families: tuple[Family, ...]

    @property
    def features(self) -> tuple[int, ...]:
        """Those of all its families."""
        return tuple(feature for family in self.families for feature in family.features)


def write_families(study: Path, groups: tuple[Group, ...]) -> None:
    """Keep the families of a study, the largest groups first.

    Raises:
        OutputError: the study's folder cannot be written.
        DiskFull: no space is left.
    """
    content = {"version": VERSION, "groups": [asdict(group) for group in groups]}
    write_json(study / FAMILIES_FILE, content)


def read_families(study: Path) -> tuple[Group, ...] | None:
    """The families of a study; None where none were made.

    Raises:
        StudyError: the file is damaged, or from a newer version.
    """
    path = study / FAMILIES_FILE
    try:
        loaded = json.loads(path.read_bytes())
        if loaded["version"] != VERSION:
            raise StudyError(f"{path} is of version {loaded['version']}; make the families again")
        return tuple(
            Group(
                str(group["label"]),
                tuple(
                    Family(str(one["label"]), tuple(int(f) for f in one["features"]))
                    for one in group["families"]
                ),
            )
            for group in loaded["groups"]
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path} is damaged ({error}); delete it") from error
