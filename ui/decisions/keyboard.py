"""The keyboard of the pages where people decide, and the boxes for labels and notes.

The browser keeps a queue of presses (``keyboard.js``), each with a number and the screen it
was pressed on; here each is taken once, in order, before the page is drawn.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from autointerp_core.errors import AutointerpError
from autointerp_core.store.history import LabelState
from autointerp_core.store.text_cleaning import (
    MAX_LABEL_CHARACTERS,
    MAX_LABEL_WORDS,
    MAX_NOTE_CHARACTERS,
)
from ui import session, url
from ui.decisions import author, decide
from ui.elements.component import register

_DESK = register("keyboard", Path(__file__).parent)
_KEY = "keyboard"
_OPENING = ", ".join(
    f".st-key-{key} button" for key in ("generate", "score", "score_this", "keys", "glossary")
)
"""Buttons that open a dialog: keys are dead from the click on."""


@dataclass(frozen=True)
class Screen:
    """What is looked at when a key is pressed."""

    study: str
    sae: str
    feature: int
    seen: int
    """The feature's last event that was shown; 0: none."""


@dataclass(frozen=True)
class Meaning:
    """What a key does on a screen."""

    do: str
    event: int | None = None
    """The proposal it accepts."""
    moves: bool = False
    """It goes to another feature, or changes how much is shown, and decides nothing."""
    opens: bool = False
    """It opens a dialog."""


@dataclass(frozen=True)
class Press:
    """A key pressed, or a text sent off, on a screen."""

    number: int
    do: str
    screen: Screen
    event: int | None = None
    text: str = ""
    draft: str = ""
    """Name of the draft that the text is from."""
    run: int = 0
    """Number of the screen, counted over the session."""


@dataclass
class Pressed:
    """What the session remembers of its keyboard."""

    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """So that a press meant for a session that ended is not taken by the next one."""
    taken: int = 0
    """The last press that was taken."""


def show(screen: Screen, keys: Mapping[str, Meaning], on_press: Callable[[Press], None]) -> None:
    """Listen to ``keys`` on this screen. Draw it after what the keys act on."""
    kept, known = session.memory(Pressed), session.current()
    known.drawn += 1
    _DESK(
        key=_KEY,
        data={
            "kind": "keyboard",
            "screen": asdict(screen),
            "keys": {key: asdict(meaning) for key, meaning in keys.items()},
            "token": kept.token,
            "taken": kept.taken,
            "author": author.current(),
            "opens": _OPENING,
            "run": known.drawn,  # so that the browser hears of every run
        },
        default={"presses": []},
        on_presses_change=lambda: _take(on_press),
        width=1,
    )


def box(kind: Literal["label", "note"], screen: Screen, state: LabelState) -> None:
    """A box for a label or a note. Its text survives everything until it is saved."""
    kept = session.memory(Pressed)
    told = decide.told(screen.sae, screen.feature)
    text = (state.note if kind == "note" else state.label) or ""
    _DESK(
        key=f"{kind}_box",
        data={
            "kind": kind,
            "id": f"{kind} {screen.sae} {screen.feature}",
            "other": f"note {screen.sae} {screen.feature}",
            "text": text,
            "status": state.status,
            "screen": asdict(screen),
            "words": MAX_LABEL_WORDS,
            "characters": MAX_NOTE_CHARACTERS if kind == "note" else MAX_LABEL_CHARACTERS,
            "taken": kept.taken,
            "saved": dict(decide.memory().drafts),
            "refused": told.message if told is not None and told.kind == "rejected" else "",
            "run": session.current().drawn + 1,  # the keyboard is drawn after it
        },
    )


def hint(title: str, key: str) -> str:
    """A button's title with its key."""
    return f"{title} :small[{key}]"


def _take(on_press: Callable[[Press], None]) -> None:
    """Callback: every press not taken yet, in order, once."""
    given = session.widget(_KEY).presses or []
    with session.held():
        kept = session.memory(Pressed)
        for each in given:
            if each.get("token") != kept.token or each["number"] <= kept.taken:
                continue
            kept.taken = each["number"]
            press = _read(each)
            try:
                with url.pinned(press.run):
                    on_press(press)
            except AutointerpError as error:
                decide.tell(press.screen.sae, press.screen.feature, "failed", str(error))
    url.settle()


def _read(given: Mapping[str, Any]) -> Press:
    event = given["event"]
    return Press(
        int(given["number"]),
        str(given["do"]),
        Screen(str(given["study"]), str(given["sae"]), int(given["feature"]), int(given["seen"])),
        None if event is None else int(event),
        str(given["text"]),
        str(given["draft"]),
        int(given["run"]),
    )
