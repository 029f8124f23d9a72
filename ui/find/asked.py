"""What is to be found, as the address says it: short things stand in it, long ones do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autointerp_core.find.contrast import ContrastConfig
from autointerp_core.find.request import FindRequest
from autointerp_core.find.result import EVIDENCE, RANKINGS
from autointerp_core.find.statistics import MAX, VALUES
from autointerp_core.store.studies import list_studies
from ui import session, url

WORDS, PATTERN, TEXTS, CLASS, CORPUS = "words", "pattern", "texts", "class", "corpus"
WAYS = {
    WORDS: "Words",
    PATTERN: "Pattern",
    TEXTS: "Texts",
    CLASS: "Class",
    CORPUS: "Corpus",
}
TOP = 50
_LONGEST = 1500
"""Characters of texts that an address may hold."""


@dataclass(frozen=True)
class Asked:
    """One question; ``q`` and ``negative`` hold a text a line where texts are meant."""

    how: str = WORDS
    q: str = ""
    negative: str = ""
    rank: str = EVIDENCE
    value: str = MAX
    against: str = ""
    column: str = ""
    which: str = ""
    """The class that is positive; empty: each in turn."""

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> Asked:
        """What the address says, as far as it makes sense."""

        def one_of(name: str, options: tuple[str, ...], default: str) -> str:
            given = params.get(name, default)
            return given if given in options else default

        return cls(
            how=one_of("how", tuple(WAYS), WORDS),
            q=params.get("q", ""),
            negative=params.get("not", ""),
            rank=one_of("rank", RANKINGS, EVIDENCE),
            value=one_of("value", VALUES, MAX),
            against=params.get("against", ""),
            column=params.get("column", ""),
            which=params.get("class", ""),
        )

    def params(self) -> dict[str, str]:
        """The shortest parameters that :meth:`from_params` reads back; long texts go out."""
        long = self.how == TEXTS and len(self.q) + len(self.negative) > _LONGEST
        found = {
            "how": self.how,
            "q": "" if long else self.q,
            "not": "" if long or self.how != TEXTS else self.negative,
            "rank": "" if self.rank == EVIDENCE else self.rank,
            "value": "" if self.value == MAX else self.value,
            "against": self.against if self.how in (TEXTS, CORPUS) else "",
            "column": self.column if self.how == CLASS else "",
            "class": self.which if self.how == CLASS else "",
        }
        return {name: text for name, text in found.items() if text}

    @property
    def complete(self) -> bool:
        """Whether it says enough to look."""
        if self.how == CLASS:
            return bool(self.column.strip())
        return bool((self.against if self.how == CORPUS else self.q).strip())

    def needs_job(self) -> bool:
        """Whether a model or a dataset has to be read, which a page does not do itself."""
        if self.how in (WORDS, PATTERN):
            return False
        if self.how == CORPUS:
            return all(record.id != self.against for record in list_studies().studies)
        return True

    def request(self, study: str) -> FindRequest:
        """The request it stands for.

        Raises:
            BadInput: it says too little, or two things at once.
        """
        plain = FindRequest(
            study=study,
            positive=_lines(self.q) if self.how == TEXTS else (),
            negative=_lines(self.negative) if self.how == TEXTS else (),
            pattern=self.q if self.how == PATTERN else None,
            words=self.q if self.how == WORDS else None,
            class_column=self.column if self.how == CLASS else None,
            class_value=(self.which or None) if self.how == CLASS else None,
            against=(self.against or None) if self.how in (TEXTS, CORPUS) else None,
        )
        config = ContrastConfig(top=TOP, rank_by=self.rank, value=self.value)
        return replace(plain, contrast=config)


@dataclass
class Kept:
    """The question asked last, with texts too long for the address."""

    asked: Asked | None = None
    draft: int = 0
    """How often the boxes were drawn anew."""
    feature: int | None = None
    """The feature whose places are shown."""


def kept() -> Kept:
    """The memory of the study picked."""
    return session.study_memory(Kept)


def current() -> Asked:
    """What the address asks; long texts, and on return by the navigation all, from memory."""
    arrived = session.current().arrive("find")
    said, before = Asked.from_params(url.params()), kept().asked
    left = arrived and not said.complete
    if before is not None and (left or before.params() == said.params()):
        said = before
    if before != said:
        kept().draft += 1
    kept().asked = said
    put(said)
    return said


def put(asked: Asked) -> None:
    """Ask something else."""
    kept().asked = asked
    url.put({"study": session.current().study} | asked.params())


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line for line in text.splitlines() if line.strip())
