"""What was found: features with their statistics, what they were found in, and its JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from autointerp_core.store.files import write_json
from autointerp_core.store.records import Example

EVIDENCE, AUROC, DIFFERENCE, FISHER, RATIO = (
    "evidence",
    "auroc",
    "difference",
    "fisher",
    "density_ratio",
)
RANKINGS = (EVIDENCE, AUROC, DIFFERENCE, FISHER, RATIO)


@dataclass(frozen=True)
class Group:
    """Documents of one side."""

    name: str
    documents: int
    tokens: int
    """Counted tokens that were compared."""


@dataclass(frozen=True)
class Window:
    """Where a feature fires in a positive document: tokens with its activation at each."""

    document: int
    """Of the positive texts, or of the study."""
    tokens: tuple[str, ...]
    values: tuple[float, ...]
    ids: tuple[int, ...]
    peak: int

    @classmethod
    def of(cls, example: Example) -> Self:
        return cls(
            document=example.document_index,
            tokens=example.tokens,
            values=tuple(round(value, 4) for value in example.values),
            ids=example.token_ids,
            peak=example.peak_index,
        )


@dataclass(frozen=True)
class FoundFeature:
    """A feature, and what is different about positive documents by each measure.

    Intervals are 95 % ones over documents.
    """

    feature: int
    evidence: float
    """Standard deviations of chance that the AUROC is above 0.5."""
    p: float
    """One-sided."""
    q: float
    """``p`` corrected for the number of features: the false discovery rate at which it counts."""
    significant: bool
    auroc: float
    auroc_low: float
    auroc_high: float
    difference: float
    mean_positive: float
    mean_negative: float
    fisher: float | None
    """None where neither group varies."""
    density_ratio: float
    ratio_low: float
    ratio_high: float
    density_positive: float
    density_negative: float
    fires_positive: int
    """Positive documents that it fires in."""
    fires_negative: int
    examples: tuple[Window, ...] = ()
    """Where it fires strongest in positive documents."""
    group: str = ""
    """The class it was found for, where classes were compared."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        listed = [
            Window(
                document=int(each["document"]),
                tokens=tuple(each["tokens"]),
                values=tuple(each["values"]),
                ids=tuple(each["ids"]),
                peak=int(each["peak"]),
            )
            for each in content.get("examples", ())
        ]
        return cls(**{**content, "examples": tuple(listed)})

    def score(self, ranking: str) -> float:
        """The measure it is ranked by; a Fisher separation that is not known is 0."""
        value = getattr(self, ranking)
        return 0.0 if value is None else float(value)


@dataclass(frozen=True)
class Chance:
    """What the same documents give when it is drawn by lot which are positive."""

    draws: int
    significant: int
    """Features called significant, over all draws."""
    best_evidence: float
    """Of the best feature, the median over the draws."""
    best_auroc: float


@dataclass(frozen=True)
class FindResult:
    """The best features, best first: those that are significant, then the others."""

    positive: Group
    negative: Group
    value: str
    """Of a feature in a document: max, mean or count."""
    ranking: str
    level: float
    """The false discovery rate up to which a feature counts as significant."""
    tested: int
    """Features that fire in any of the documents."""
    significant: int
    cut: int | None
    """Of each document only the first so many tokens were compared; None: all."""
    chance: Chance | None
    notices: tuple[str, ...]
    found: tuple[FoundFeature, ...]
    study: str | None = None
    """Id of the study whose features these are."""

    def to_json(self) -> dict[str, Any]:
        """``feature_indices`` and ``scores``, as :func:`run_labeling` reads them, best first, and
        ``statistics``; nothing in it is NaN or infinite."""
        about = asdict(self)
        about["features"] = about.pop("found")
        return {
            "feature_indices": [each.feature for each in self.found],
            "scores": [each.score(self.ranking) for each in self.found],
            "statistics": _finite(about),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` wrote."""
        about = dict(content["statistics"])
        found = tuple(FoundFeature.from_json(each) for each in about.pop("features"))
        chance = about.pop("chance")
        return cls(
            **{
                **about,
                "found": found,
                "positive": Group(**about["positive"]),
                "negative": Group(**about["negative"]),
                "chance": None if chance is None else Chance(**chance),
                "notices": tuple(about["notices"]),
            }
        )

    def write(self, path: Path) -> None:
        """Write :meth:`to_json`, whole or not at all.

        Raises:
            OutputError, DiskFull: it cannot be written.
        """
        write_json(path, self.to_json())


def classes_json(results: Mapping[str, FindResult]) -> dict[str, Any]:
    """The features of several classes as one file: every feature once, with its best class.

    Each class' best come first in turn, so that the front of the list has all classes.
    """
    turns = max((len(result.found) for result in results.values()), default=0)
    listed = [
        replace(result.found[turn], group=name)
        for turn in range(turns)
        for name, result in results.items()
        if turn < len(result.found)
    ]
    best: dict[int, FoundFeature] = {}
    for each in listed:
        known = best.get(each.feature)
        if known is None or each.evidence > known.evidence:
            best[each.feature] = each
    order: Sequence[int] = list(dict.fromkeys(each.feature for each in listed))
    ranking = next(iter(results.values())).ranking
    return {
        "feature_indices": list(order),
        "scores": [best[feature].score(ranking) for feature in order],
        "statistics": {
            "classes": {name: result.to_json()["statistics"] for name, result in results.items()},
            "features": [_finite(asdict(best[feature])) for feature in order],
        },
    }


def _finite(value: Any) -> Any:
    """Numbers that JSON does not have become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
