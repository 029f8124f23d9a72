"""What an error of a server means: try again, give this prompt up, or give all of them up."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import regex

from autointerp_core.labels.providers.openai_key import (
    has_key,
    hide,
    how_to_set,
    key_name,
    shown,
)
from autointerp_core.labels.providers.openai_wire import is_too_long


class Again(Exception):
    """Worth another attempt, after ``wait`` seconds where the server said so."""

    def __init__(self, message: str, wait: float | None = None, *, possibly_paid: bool = False):
        super().__init__(message)
        self.wait, self.possibly_paid = wait, possibly_paid


class Unreachable(Again):
    """Nobody took the request."""


class Refused(Exception):
    """This prompt will not be answered."""

    def __init__(self, message: str, *, too_long: bool = False):
        super().__init__(message)
        self.too_long = too_long


class Unreadable(Refused):
    """A reply came, completely, and holds no answer: possibly paid, and not to be asked again."""

    def __init__(self) -> None:
        super().__init__(UNREADABLE)


class Fatal(Exception):
    """Nothing further will succeed; the message is for the person."""


UNREADABLE = "the server's reply could not be read; if none can, check the base URL"


@dataclass(frozen=True)
class Words:
    """What a server said of an error."""

    text: str
    """Its message in one piece, with the parameters that it names."""
    parameters: str = ""
    """Those parameters alone, as dotted paths."""


def words(error: Any) -> Words:
    """The server's words, wherever its error keeps them.

    ``error.message``, ``message``, ``detail``, ``message.detail``; a string, or a list with a place
    and a message for each parameter.
    """
    return in_body(getattr(error, "body", None), getattr(error, "param", None), str(error.message))


def in_body(body: Any, parameter: Any = None, otherwise: str = "") -> Words:
    """The same, from an error's body."""
    pieces = list(_pieces(body, 0))
    text = "; ".join(dict.fromkeys(text for text, _ in pieces if text.strip()))
    named = [place for _, place in pieces if place]
    if isinstance(parameter, str):
        named.append(parameter)
    return Words(text or otherwise, " ".join(dict.fromkeys(named)))


_HOLDS_WORDS = ("message", "msg", "detail", "details", "error", "errors", "reason", "title")
_PASSED_ON = ("metadata", "raw")
"""Where a router keeps what the server behind it said."""
DEEPEST = 6


def _pieces(value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """(message, place of a parameter) of every message in an error's body."""
    if depth > DEEPEST:
        return
    if isinstance(value, str):
        if value.lstrip().startswith(("{", "[")):
            try:
                inner = list(_pieces(orjson.loads(value), depth + 1))
            except orjson.JSONDecodeError:
                inner = []
            if inner:
                yield from inner
                return
        yield _of_page(value), ""
    elif isinstance(value, list):
        for item in value:
            yield from _pieces(item, depth + 1)
    elif isinstance(value, dict):
        # What was given is left out: it may be a whole prompt.
        loc = value.get("loc")
        place = ".".join(str(p) for p in loc if p != "body") if isinstance(loc, list) else ""
        for key in (*_HOLDS_WORDS, *_PASSED_ON):
            if value.get(key):
                for text, inner_place in _pieces(value[key], depth + 1):
                    yield (f"{place}: {text}" if place else text), inner_place or place


def _of_page(text: str) -> str:
    """The title of a page that something on the way sent in place of an answer; other text."""
    if not regex.match(r"\s*<(?:!doctype|html|head|\?xml)", text, regex.IGNORECASE):
        return text
    title = regex.search(r"<(title|h1)[^<>]*>([^<]+)</\1", text, regex.IGNORECASE)
    return f"a page titled {html.unescape(title[2]).strip()!r}" if title else "a page of HTML"


def said(error: Any) -> str:
    """The server's message on one line, short, without the key."""
    return tidy(words(error).text)


def tidy(text: str) -> str:
    """Words of a server, fit for a message."""
    return hide(" ".join(text.split()))[:200]


def code(error: Any) -> str:
    """The server's name for the error, and its kind; empty where it gives none."""
    body = getattr(error, "body", None)
    found = (body.get("code"), body.get("type")) if isinstance(body, dict) else ()
    return " ".join(value for value in found if isinstance(value, str))


def from_status(error: Any, base_url: str, model: str) -> Exception:
    """The meaning of a reply that is an error."""
    status, message, name = int(error.status_code), said(error), code(error)
    server = shown(base_url)
    if any(is_too_long(status, one, message) for one in (name.split() or [""])):
        return Refused(f"the prompt is too long for {model}: {message}", too_long=True)
    if status == 401 and not has_key(base_url):
        return Fatal(f"{server} asks for an API key (401): {how_to_set(base_url)}")
    if status == 401 or (status == 403 and not regex.search("(?i)moderat|flagged", message)):
        return Fatal(f"{server} refused the API key ({status}): check {key_name(base_url)}")
    if status == 402 or (status == 429 and "insufficient_quota" in f"{message} {name}"):
        return Fatal(f"{server}: the account has no quota left ({message})")
    if status in (400, 404) and _is_about_model(status, f"{message} {name}", model):
        return Fatal(f"{server} has no model {model!r} ({message})")
    if status in (404, 405):
        return Fatal(
            f"{server} has nothing at /chat/completions ({status}): check the base URL; it "
            "usually ends with /v1"
        )
    if status >= 500 and _TEMPLATE.search(message):
        return Refused(f"the server's chat template refused the prompt ({status}): {message}")
    if status in (408, 409, 429) or status >= 500:
        words = f"status {status}: {message}" if message else f"status {status}"
        return Again(words, retry_after(error.response.headers))
    return Refused(f"the server refused the prompt ({status}): {message}")


_TEMPLATE = regex.compile(
    r"(?i)jinja|raise_exception|template.{0,3}error|chat.?template|roles? must alternate"
)
"""What another attempt would meet again."""


def _is_about_model(status: int, message: str, model: str) -> bool:
    if status == 400:
        # A prompt can be refused with any words; only these say that no prompt would do.
        return bool(
            regex.search("(?i)model_not_found|not a valid model|model.{0,80}not exist", message)
        )
    named = regex.search(rf"(?<!\w){regex.escape(model)}(?!\w)", message)
    return bool(named or regex.search(r"(?i)\bmodels?\b|model_not_found", message))


def from_connection(error: Any, base_url: str, *, first: bool) -> Exception:
    """The meaning of a reply that did not come; ``first`` where none ever came."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        cause = type(error.__cause__).__name__
        if cause == "ConnectTimeout":
            return unreachable(base_url) if first else Unreachable("no connection in time")
        return Again("timed out", possibly_paid=True)
    if type(error.__cause__).__name__ in ("ConnectError", "PoolTimeout", "UnsupportedProtocol"):
        return unreachable(base_url) if first else Unreachable("connection refused")
    return Again("connection cut", possibly_paid=True)


def unreachable(base_url: str) -> Fatal:
    """Nobody is there."""
    return Fatal(f"cannot reach {shown(base_url)}: is the server running?")


def retry_after(headers: Any) -> float | None:
    """Seconds a server asks to wait; dates, which chat servers do not send, count as unknown."""
    try:
        wait = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return wait if math.isfinite(wait) and wait >= 0 else None
