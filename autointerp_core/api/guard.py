"""Who may ask: only this machine's own address, no page of another origin, writes with a token.

A page in a browser on this machine may send requests to ``127.0.0.1``. It cannot read answers (no
CORS header is ever sent), but it could write, or read after rebinding its own name to this address.
So every request must name a host that we serve, a request that says where it comes from must come
from us, and a write needs the token, which such a page does not know.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import orjson

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_BYTES = 1 << 20

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Middleware that refuses what is not ours, before anything reads it.

    Args:
        app: what answers.
        token: what a write must bring as ``Authorization: Bearer``.
        hosts: names under which this server may be asked, without port.
        every_request: whether reads need the token, too (where more than this machine can ask).
    """

    def __init__(
        self, app: App, token: str, hosts: Iterable[str] = LOOPBACK, *, every_request: bool = False
    ):
        self._app, self._token = app, token.encode()
        self._hosts = frozenset(host.lower() for host in hosts)
        self._every = every_request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        refused = self._refused(scope["method"], headers)
        if refused is not None:
            await _answer(send, *refused)
            return
        await self._app(scope, receive, send)

    def _refused(self, method: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """Status and reason, None where it may pass."""
        host = _text(headers.get(b"host"))
        # Where reading needs the token, a name that was rebound to us gets nothing without it.
        if not self._every and not self._known(f"//{host}"):
            return 421, f"this server is not {host or 'nobody'}; ask it by its own address"
        origin = headers.get(b"origin")
        if origin is not None and not self._own(_text(origin), host):
            return 403, "a page of another origin may not ask this server"
        if headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
            return 403, "a page of another origin may not ask this server"
        if method in _READS and not self._every:
            return None
        given = headers.get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + self._token):
            return 401, "give the token that `autointerp serve` printed: Authorization: Bearer …"
        if method not in _READS and not _short(headers.get(b"content-length")):
            return 413, f"a body has at most {_MOST_BYTES:,} bytes, and says how many"
        return None

    def _known(self, url: str) -> bool:
        try:
            return (urlsplit(url).hostname or "").lower() in self._hosts
        except ValueError:
            return False

    def _own(self, origin: str, host: str) -> bool:
        """Whether an origin is this very server: same host, same port."""
        try:
            return urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            return False


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("latin-1")


def _short(length: bytes | None) -> bool:
    text = _text(length)
    return text.isdecimal() and len(text) < 10 and int(text) <= _MOST_BYTES


async def _answer(send: Send, status: int, reason: str) -> None:
    body = orjson.dumps({"error": reason})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
