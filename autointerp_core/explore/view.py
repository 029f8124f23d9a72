"""A view of a study's features: what is filtered, how it is sorted, and its place in a URL.

Pure data: no Streamlit here. A link made from :meth:`View.params` reproduces the view, and
whatever a URL holds that makes no sense is ignored, never an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from autointerp_core.store.selections import is_name

PAGE_SIZES = (25, 50, 100, 200)
STATUSES = ("unreviewed", "accepted", "overridden")
SCOPES = {
    "topic": "Topic",
    "all": "Labels and tokens",
    "labels": "Labels",
    "tokens": "Tokens",
    "text": "Examples",
}
HAS = {"llm": "LLM label", "search": "search label", "none": "no label", "note": "note"}
RANGES = ("density", "max", "mean", "score", "input")
SORTS = {
    "feature": "Index",
    "label": "Label",
    "status": "Status",
    "source": "Source",
    "density": "Density",
    "max": "Max",
    "mean": "Mean",
    "score": "Label score",
    "input": "Input score",
    "agreement": "Agreement of labels",
    "random": "Random",
    "match": "Best match",
}
"""``match`` means something where a topic is searched for; elsewhere it is the index."""
MAX_QUERY = 200
MAX_SCORER = 60
Range = tuple[float, float]


@dataclass(frozen=True)
class View:
    """Filter, sort and page of the features table. Hashable, so that orders can be cached."""

    q: str = ""
    scope: str = "all"
    status: tuple[str, ...] = ()
    flagged: bool | None = None
    dead: bool | None = None
    has: tuple[str, ...] = ()
    ranges: tuple[tuple[str, Range], ...] = field(default=())
    among: str = ""
    """Name of a selection (``store/selections.py``) that the features are from; empty: all."""
    sort: str = "feature"
    descending: bool = False
    page: int = 1
    size: int = 50
    by: str = ""
    """The scorer whose number ``score`` means; empty, or unknown to the study: the one that ranks
    where nobody chose (``score_values.RANKING``)."""

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> View:
        """What the URL says, as far as it makes sense."""
        scope = params.get("in", "all")
        sort = params.get("sort", "feature")
        size = _int(params.get("size"), 50)
        return cls(
            q=params.get("q", "")[:MAX_QUERY],
            scope=scope if scope in SCOPES else "all",
            status=_choices(params.get("status"), STATUSES),
            flagged=_flag(params.get("flag")),
            dead=_flag(params.get("dead")),
            has=_choices(params.get("has"), tuple(HAS)),
            ranges=tuple(
                (name, found) for name in RANGES if (found := _range(params.get(name))) is not None
            ),
            among=params.get("among", "") if is_name(params.get("among", "")) else "",
            sort=sort if sort in SORTS else "feature",
            descending=params.get("dir") == "desc",
            page=max(_int(params.get("page"), 1), 1),
            size=size if size in PAGE_SIZES else 50,
            by=params.get("by", "")[:MAX_SCORER],
        )

    def params(self) -> dict[str, str]:
        """The shortest parameters that :meth:`from_params` reads back to this view."""
        found = {
            "q": self.q,
            "in": "" if self.scope == "all" else self.scope,
            "status": ",".join(self.status),
            "flag": "" if self.flagged is None else str(int(self.flagged)),
            "dead": "" if self.dead is None else str(int(self.dead)),
            "has": ",".join(self.has),
            "among": self.among,
            "sort": "" if self.sort == "feature" else self.sort,
            "dir": "desc" if self.descending else "",
            "page": "" if self.page == 1 else str(self.page),
            "size": "" if self.size == 50 else str(self.size),
            "by": self.by,
        }
        found |= {name: f"{_text(low)}:{_text(high)}" for name, (low, high) in self.ranges}
        return {name: value for name, value in found.items() if value}

    @property
    def filtered(self) -> bool:
        plain = View(sort=self.sort, descending=self.descending, by=self.by)
        return self.order_key() != plain.order_key()

    def order_key(self) -> View:
        """This view without what does not change which features come in which order."""
        return replace(self, page=1, size=50)

    @property
    def by_topic(self) -> bool:
        """Whether a topic is searched for: then features are ranked, not only filtered."""
        return self.scope == "topic" and bool(self.q.strip())

    def range_of(self, name: str) -> Range | None:
        return dict(self.ranges).get(name)

    def with_range(self, name: str, bounds: Range | None) -> View:
        """This view with one column's range replaced (None: any value), from page 1."""
        found = {key: value for key, value in self.ranges if key != name}
        if bounds is not None and bounds != (-math.inf, math.inf):
            found[name] = bounds
        ordered = tuple((key, found[key]) for key in RANGES if key in found)
        return replace(self, ranges=ordered, page=1)


def _choices(text: str | None, allowed: tuple[str, ...]) -> tuple[str, ...]:
    given = (text or "").split(",")
    return tuple(choice for choice in allowed if choice in given)


def _flag(text: str | None) -> bool | None:
    return {"1": True, "0": False}.get(text or "")


def _int(text: str | None, default: int) -> int:
    try:
        return int(text or "")
    except ValueError:
        return default


def _range(text: str | None) -> Range | None:
    low, colon, high = (text or "").partition(":")
    if not colon:
        return None
    try:
        bounds = (float(low or "-inf"), float(high or "inf"))
    except ValueError:
        return None
    return None if any(math.isnan(b) for b in bounds) else bounds


def _text(value: float) -> str:
    return "" if math.isinf(value) else f"{value:.6g}"
