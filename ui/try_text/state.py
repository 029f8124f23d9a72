"""What is shown: in the page's address where that is short enough, else in the session."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import quote

from autointerp_core.live.encoded import EncodedText
from autointerp_core.live.ranking import MEASURES
from ui import session, url
from ui.elements.painted import SLOTS

MOST_CHARACTERS = 20_000
"""Of a text at most; more is cut with consent."""
MOST_IN_ADDRESS = 1_800
"""Bytes of texts that an address holds."""
SHOWS = ("pinned", "strongest", "list")
_KEPT = 6


@dataclass(frozen=True)
class Asked:
    """What is shown."""

    text: str = ""
    other: str | None = None
    """A second text to compare; None: one text alone."""
    pins: tuple[int, ...] = ()
    by: str = "max"
    show: str = "strongest"

    @property
    def in_address(self) -> bool:
        """Whether the address can hold it all."""
        return len(quote(self.text)) + len(quote(self.other or "")) <= MOST_IN_ADDRESS

    def params(self, study: str) -> dict[str, str]:
        """The address."""
        found = {"study": study}
        if self.in_address and self.text:
            found["text"] = self.text
            if self.other is not None:
                found["other"] = self.other
        if self.pins:
            found["pins"] = ",".join(map(str, self.pins))
        if self.by != "max":
            found["by"] = self.by
        if self.show != "strongest":
            found["show"] = self.show
        return found


@dataclass
class Reading:
    """What this session has typed and read in the study picked."""

    asked: Asked | None = None
    read: dict[str, EncodedText] = field(default_factory=dict)
    """Texts that were read, the newest last."""
    cut: str = ""
    """A text beyond the limit, until it is said what to do with it."""
    open: int | None = None
    """A feature clicked, until its page is shown."""
    rows: int = 25
    problem: str = ""
    filled: str | None = None
    """What the box is to show in place of what stands there; likewise the second one."""
    filled_other: str | None = None

    def keep(self, texts: tuple[EncodedText, ...]) -> None:
        """Remember what was read; only the newest few."""
        for text in texts:
            self.read.pop(text.text, None)
            self.read[text.text] = text
        while len(self.read) > _KEPT:
            del self.read[next(iter(self.read))]


def memory() -> Reading:
    """This session's."""
    return session.study_memory(Reading)


def current() -> Asked:
    """What the address says, with a long text as this session has it."""
    given, kept = url.params(), memory()
    before = kept.asked or Asked()
    if not any(name in given for name in ("text", "other", "pins", "by", "show")):
        # By the navigation: what was left is found again.
        url.put(before.params(session.current().study))
        return before
    long = not before.in_address and "text" not in given
    asked = Asked(
        text=before.text if long else given.get("text", "")[:MOST_CHARACTERS],
        other=before.other if long else given.get("other"),
        pins=_pins(given.get("pins", "")),
        by=given.get("by", "max") if given.get("by") in MEASURES else "max",
        show=given.get("show", "") if given.get("show") in SHOWS else "strongest",
    )
    kept.asked = asked
    return asked


def now() -> Asked:
    """What is shown."""
    return memory().asked or Asked()


def put(asked: Asked) -> None:
    """Callback: show this."""
    memory().asked = asked
    url.put(asked.params(session.current().study))


def pin(feature: int) -> None:
    """Give a feature a colour; the seventh takes the place of the first."""
    pins = [each for each in now().pins if each != feature]
    put(replace(now(), pins=tuple([*pins, feature][-SLOTS:]), show="pinned"))


def unpin(feature: int) -> None:
    """Take a feature's colour away."""
    put(replace(now(), pins=tuple(each for each in now().pins if each != feature)))


def _pins(text: str) -> tuple[int, ...]:
    parts = [part for part in text.split(",") if part.isdecimal() and len(part) < 10]
    return tuple(dict.fromkeys(int(part) for part in parts))[:SLOTS]
